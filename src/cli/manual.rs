//! `facelatch manual`: the manual pages, from the command line's own definition.

use std::fs;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Answer, CommandError, definition};

/// Write the manual pages, one per command
#[derive(ClapArgs)]
pub(super) struct Args {
    /// Into this folder, created if missing
    folder: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let cannot = |e| format!("{}: cannot be written: {e}", args.folder.display());
    fs::create_dir_all(&args.folder).map_err(cannot)?;
    clap_mangen::generate_to(definition(), &args.folder).map_err(cannot)?;
    Ok(Answer::Done)
}
