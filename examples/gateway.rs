//! `facelatch-gateway` for the tests that run daemon and gateway together.

use std::process::ExitCode;

fn main() -> ExitCode {
    facelatch_gateway::cli::main()
}
