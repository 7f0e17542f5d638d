//! `facelatch secure`: lock the door now, with or without a daemon.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::{Answer, CommandError};
use crate::config::Config;
use crate::daemon::protocol::Request;
use crate::daemon::socket::Client;
use crate::strike;

/// Drive the strike to secured and exit (also the unit's ExecStopPost)
#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command. A daemon that holds the line does it; one that hangs or is dead does not matter:
/// then the line is taken and driven here.
pub fn run(args: Args) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    if let Ok(Some(mut client)) = Client::connect(&config.daemon.socket) {
        client.limit(Duration::from_secs(1))?;
        if client.ask(&Request::Secure {}, |_| {}).is_ok() {
            say!("secured by the daemon");
            return Ok(Answer::Done);
        }
    }
    // Opening a strike secures it, dropping it does so again.
    let strike = strike::open(&config.strike_settings())?;
    say!("secured {}", strike.describe());
    Ok(Answer::Done)
}
