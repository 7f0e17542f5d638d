//! The command line of `facelatch-gateway`.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use facelatch_host::console::{self, Answer, CommandError, note};
use facelatch_host::say;

use crate::config::GatewayConfig;
use crate::secret;

/// Where the package puts the configuration.
const CONFIG_PATH: &str = "/etc/facelatch/gateway.toml";

/// The operator's page, metrics and MQTT for a door that runs. Without a command: run.
#[derive(Parser)]
#[command(name = "facelatch-gateway", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<GatewayCommand>,
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG_PATH, global = true)]
    config: PathBuf,
}

#[derive(Subcommand)]
enum GatewayCommand {
    /// Set the web page's password: one line on standard input
    Password,
    /// Make a new token for Prometheus and print it
    Token,
    /// Check the configuration
    Check,
    /// Print a shell's completions of this command line
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one per command
    Manual {
        /// Into this folder, which is created if missing
        folder: PathBuf,
    },
}

/// The command line's own definition.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    console::main("facelatch-gateway", run)
}

fn run(cli: Cli) -> Result<Answer, CommandError> {
    match cli.command {
        None => crate::run(GatewayConfig::load(&cli.config)?)?,
        Some(GatewayCommand::Password) => {
            let config = GatewayConfig::load(&cli.config)?;
            if io::stdin().is_terminal() {
                note(&format!(
                    "The new password ({} characters or more; it is shown as you type):",
                    secret::MIN_LENGTH
                ));
            }
            let mut line = String::new();
            io::stdin().read_line(&mut line)?;
            secret::set_password(&config.web.password_file, line.trim_end_matches(['\n', '\r']))?;
            say!("password set. It applies at once: everybody has to log in again");
        }
        Some(GatewayCommand::Token) => {
            say!("{}", secret::set_token(&GatewayConfig::load(&cli.config)?.web.token_file)?);
        }
        Some(GatewayCommand::Check) => {
            GatewayConfig::load(&cli.config)?;
            say!("{}: fine", cli.config.display());
        }
        Some(GatewayCommand::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut definition(), "facelatch-gateway", &mut text);
            console::say_text(&text);
        }
        Some(GatewayCommand::Manual { folder }) => {
            let cannot = |e| format!("{}: cannot be written: {e}", folder.display());
            fs::create_dir_all(&folder).map_err(cannot)?;
            clap_mangen::generate_to(definition(), &folder).map_err(cannot)?;
        }
    }
    Ok(Answer::Done)
}
