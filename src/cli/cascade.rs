//! `facelatch cascade`: convert and inspect trained classifiers.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Answer, CommandError};
use crate::detect::Cascade;
use facelatch_host::say;

/// Convert or inspect a trained cascade
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Turn OpenCV's XML into the compact form that `models/` ships
    Convert {
        /// A cascade in XML, new or old format
        #[arg(value_name = "IN.xml")]
        input: PathBuf,
        /// File to write
        #[arg(value_name = "OUT")]
        output: PathBuf,
    },
    /// Show what a cascade file holds
    Info {
        /// A cascade, XML or compact
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// One JSON object on stdout
        #[arg(long)]
        json: bool,
    },
}

#[derive(serde::Serialize)]
struct Info {
    window_width: u32,
    window_height: u32,
    stages: usize,
    trees: usize,
    nodes: usize,
    features: usize,
    tilted_features: usize,
    compact_bytes: usize,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    match args.action {
        Action::Convert { input, output } => {
            let bytes = load(&input)?.to_compact();
            std::fs::write(&output, &bytes)
                .map_err(|e| format!("{}: {e}; choose a writable file", output.display()))?;
        }
        Action::Info { file, json } => {
            let info = info(&load(&file)?);
            if json {
                say!("{}", serde_json::to_string(&info)?);
            } else {
                say!("window           {}x{}", info.window_width, info.window_height);
                say!("stages           {}", info.stages);
                say!("weak classifiers {} ({} nodes)", info.trees, info.nodes);
                say!("features         {} ({} tilted)", info.features, info.tilted_features);
                say!("compact form     {} bytes", info.compact_bytes);
            }
        }
    }
    Ok(Answer::Done)
}

fn info(cascade: &Cascade) -> Info {
    let trees = || cascade.stages().iter().flat_map(|s| &s.trees);
    Info {
        window_width: cascade.window().0,
        window_height: cascade.window().1,
        stages: cascade.stages().len(),
        trees: trees().count(),
        nodes: trees().map(|t| t.nodes.len()).sum(),
        features: cascade.features().len(),
        tilted_features: cascade.features().iter().filter(|f| f.tilted).count(),
        compact_bytes: cascade.to_compact().len(),
    }
}

/// Reads a cascade file of either form.
///
/// # Errors
/// Names the file, what is wrong and the remedy.
pub fn load(path: &Path) -> Result<Cascade, CommandError> {
    let bytes =
        std::fs::read(path).map_err(|e| format!("{}: {e}; name a readable cascade file", path.display()))?;
    Cascade::from_bytes(&bytes).map_err(|e| {
        format!(
            "{}: {e}; use a Haar cascade of OpenCV or one made by `facelatch cascade convert`",
            path.display()
        )
        .into()
    })
}
