//! `facelatch gateway`: the operator's view, as a process of its own.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::{Answer, CommandError};
use crate::gateway::config::GatewayConfig;
use crate::gateway::{self, secret};

/// Where the package puts the configuration.
const CONFIG_PATH: &str = "/etc/facelatch/gateway.toml";

/// Run the gateway: web page, metrics and other systems, for a door that runs
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG_PATH, global = true)]
    config: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// Set the web page's password: one line on standard input
    Password,
    /// Make a new token for Prometheus and print it
    Token,
    /// Check the configuration
    Check,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Answer, CommandError> {
    let config = GatewayConfig::load(&args.config)?;
    match args.what {
        None => gateway::run(config)?,
        Some(What::Password) => {
            if io::stdin().is_terminal() {
                super::note(&format!(
                    "The new password ({} characters or more; it is shown):",
                    secret::SHORTEST
                ));
            }
            let mut line = String::new();
            io::stdin().read_line(&mut line)?;
            secret::set_password(&config.web.password_file, line.trim_end_matches(['\n', '\r']))?;
            say!("set; it counts at once: whoever is logged in has to log in again");
        }
        Some(What::Token) => say!("{}", secret::set_token(&config.web.token_file)?),
        Some(What::Check) => say!("{}: fine", args.config.display()),
    }
    Ok(Answer::Done)
}
