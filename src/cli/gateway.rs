//! `facelatch gateway`: the same as `facelatch-gateway`, the program for page, metrics and MQTT.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args as ClapArgs;

use super::{Answer, CommandError};

/// The program beside this one.
const PROGRAM: &str = "facelatch-gateway";

/// The gateway: web page, metrics and other systems, for a door that runs (starts facelatch-gateway)
#[derive(ClapArgs)]
#[command(disable_help_flag = true)]
pub(super) struct Args {
    /// What facelatch-gateway is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// Runs the command: this process becomes the other program. Gives back why that failed.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    let program = beside.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into());
    let error = Command::new(&program).args(args.arguments).exec();
    Err(format!("{} cannot be started: {error}; it comes with the package facelatch", program.display())
        .into())
}
