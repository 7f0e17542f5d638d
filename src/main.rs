//! The `facelatch` command: parses arguments, calls the library, maps the outcome to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    facelatch::cli::main()
}
