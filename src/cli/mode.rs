//! `facelatch mode`: normal, secure, held open; and lifting a lockout.

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::{Answer, CommandError};
use crate::access::{Mode, ModeCommand};
use crate::config::Config;
use crate::daemon::protocol::{Request, Status};
use crate::daemon::socket::Client;

/// Show the running door's mode, or put it into another one
#[derive(ClapArgs)]
pub struct Args {
    /// The mode; without one, the present one is shown
    #[arg(value_enum)]
    mode: Option<Name>,
    /// Hold the door open for so many seconds
    #[arg(long = "for", value_name = "SECONDS", required_if_eq("mode", "hold-open"))]
    time: Option<u64>,
    /// Let faces in again after too many denied attempts
    #[arg(long)]
    clear_lockout: bool,
    #[command(flatten)]
    config: super::ConfigFile,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Faces and request to exit open
    Normal,
    /// No face opens, over restarts, until "normal" is asked for; request to exit still opens
    Secure,
    /// The strike stays released for the time of --for; a restart, a fault or "facelatch secure" ends it
    HoldOpen,
}

/// Runs the command: "no" when no daemon runs.
pub fn run(args: Args) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let Some(mut client) = connect(&config)? else {
        say!("not running: no daemon listens on {}", config.daemon.socket.display());
        return Ok(Answer::No);
    };
    if args.clear_lockout {
        client.ask(&Request::ClearLockout {}, |_| {})?;
        say!("the lockout is lifted");
        if args.mode.is_none() {
            return Ok(Answer::Done);
        }
        // One request a connection.
        client = connect(&config)?.ok_or("the daemon has stopped meanwhile")?;
    }
    let Some(name) = args.mode else {
        let status: Status = serde_json::from_value(client.ask(&Request::Status {}, |_| {})?)?;
        say!("{}", status.mode.name());
        return Ok(Answer::Done);
    };
    let (mode, reached) = match name {
        Name::Normal => (ModeCommand::Normal, Mode::Normal),
        Name::Secure => (ModeCommand::Secure, Mode::Secure),
        Name::HoldOpen => {
            let time = Duration::from_secs(args.time.unwrap_or_default());
            (ModeCommand::HoldOpen { time }, Mode::HoldOpen)
        }
    };
    client.ask(&Request::Mode { mode }, |_| {})?;
    say!("{}", reached.name());
    Ok(Answer::Done)
}

fn connect(config: &Config) -> Result<Option<Client>, CommandError> {
    let client = Client::connect(&config.daemon.socket)?;
    if let Some(client) = &client {
        client.limit(Duration::from_secs(5))?;
    }
    Ok(client)
}
