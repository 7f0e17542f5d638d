//! The `facelatch-gateway` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    facelatch_gateway::cli::main()
}
