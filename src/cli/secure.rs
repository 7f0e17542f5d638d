//! `facelatch secure`: lock the door now, with or without a daemon.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::last_config::LastConfig;
use super::{Answer, CommandError};
use crate::config::Config;
use crate::protocol::Request;
use crate::protocol::client::Client;
use crate::strike;
use facelatch_host::say;

/// Drive the strike to secured and exit (also the unit's ExecStopPost)
#[derive(ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command. A daemon that holds the line does it; one that hangs or is dead does not matter:
/// then the line is taken and driven here. Within the service, the line that the daemon drove is secured even
/// where the configuration has been changed or broken since.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let loaded = Config::load(&args.config.path);
    if let Some(last_config) = LastConfig::of_service() {
        last_config.secure_unless(loaded.as_ref().ok().map(Config::strike_settings).as_ref());
    }
    let config = loaded?;
    let client = Client::new(&config.daemon.socket).within(Duration::from_secs(1));
    if client.ask::<serde_json::Value>(&Request::Secure {}).is_ok() {
        say!("secured by the daemon");
        return Ok(Answer::Done);
    }
    // Opening a strike secures it, dropping it does so again.
    let strike = strike::open(&config.strike_settings())?;
    say!("secured {}", strike.describe());
    Ok(Answer::Done)
}
