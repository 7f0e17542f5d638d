//! `facelatch mode`: normal, secure, held open; and lifting a lockout.

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::{Answer, CommandError};
use crate::access::{Mode, ModeCommand};
use crate::config::Config;
use crate::protocol::client::Client;
use crate::protocol::{Request, Status};
use facelatch_host::say;

/// An answer that takes longer is given up.
const ANSWER: Duration = Duration::from_secs(5);

/// Show or change the running door's mode
#[derive(ClapArgs)]
pub(super) struct Args {
    /// The mode; without one, the present one is shown
    #[arg(value_enum)]
    mode: Option<Name>,
    /// Hold the door open for this many seconds
    #[arg(long = "for", value_name = "SECONDS", required_if_eq("mode", "hold-open"))]
    time: Option<u64>,
    /// Let faces in again after too many denied attempts
    #[arg(long)]
    clear_lockout: bool,
    /// With "normal": accept the door's files as they are, although one is older than the others record
    #[arg(long, requires = "mode")]
    accept_rollback: bool,
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
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let Some(client) = Client::find(&config.daemon.socket)?.map(|client| client.within(ANSWER)) else {
        say!("not running: no daemon listens on {}", config.daemon.socket.display());
        return Ok(Answer::No);
    };
    if args.clear_lockout {
        client.ask::<serde_json::Value>(&Request::ClearLockout {})?;
        say!("the lockout was cleared");
        if args.mode.is_none() {
            return Ok(Answer::Done);
        }
    }
    let Some(name) = args.mode else {
        let status: Status = client.ask(&Request::Status {})?;
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
    let request = match (name, args.accept_rollback) {
        (Name::Normal, true) => Request::AcceptRollback {},
        (_, true) => return Err("--accept-rollback needs the mode normal".into()),
        (_, false) => Request::Mode { mode },
    };
    client.ask::<serde_json::Value>(&request)?;
    say!("{}", reached.name());
    Ok(Answer::Done)
}
