//! `facelatch completions`: what a shell completes, from the command line's own definition.

use clap::Args as ClapArgs;
use clap_complete::Shell;

use super::{Answer, CommandError, definition};

/// Print a shell's completions of this command line
#[derive(ClapArgs)]
pub(super) struct Args {
    /// For which shell
    shell: Shell,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "facelatch", &mut text);
    super::say_text(&text);
    Ok(Answer::Done)
}
