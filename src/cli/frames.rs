//! `facelatch frames`: the pictures that were recorded, where that was asked for.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};

use super::{Answer, CommandError, print_json};
use crate::config::Config;
use crate::store::{FrameStore, StoreKey};
use facelatch_host::say;

/// List, export or erase recorded frames
///
/// The daemon records frames with a face only where the configuration says so (`[recording] frames`). They
/// are pictures of people: kept encrypted, for the days configured at most.
#[derive(ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: FramesCommand,
    #[command(flatten)]
    config: super::ConfigFile,
}

#[derive(Subcommand)]
enum FramesCommand {
    /// List them, oldest first
    List {
        /// One JSON object per line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Decrypt them into JPEG files, readable by everyone with access to the folder
    Export {
        /// The folder for them; created if missing
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Their names as listed; without one, all of them
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Erase every one of them
    Erase,
}

/// Runs the command: "no" when there is none to list or export.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let mut store = open(&config)?;
    match args.command {
        FramesCommand::List { json } => {
            for name in store.names() {
                let (note, picture) = store.read(name)?;
                if json {
                    print_json(&serde_json::json!({ "name": name, "bytes": picture.len(), "note": note }));
                } else {
                    let faces = note.faces.len();
                    let wall = super::audit::wall(note.wall_ms);
                    say!("{name}  {wall}  frame {}, {faces} face(s)", note.sequence);
                }
            }
            Ok(if store.names().next().is_some() { Answer::Done } else { Answer::No })
        }
        FramesCommand::Export { out, names } => {
            let names = if names.is_empty() { store.names().map(str::to_owned).collect() } else { names };
            fs::create_dir_all(&out).map_err(|e| cannot(&out, &e))?;
            for name in &names {
                // A name from outside must not lead elsewhere.
                let Some(known) = store.names().find(|known| known == name) else {
                    return Err(
                        format!("recorded frame {name}: there is none (see: facelatch frames list)").into()
                    );
                };
                let (_, picture) = store.read(known)?;
                let path = out.join(known).with_extension("jpg");
                let options =
                    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
                options.and_then(|mut file| file.write_all(&picture)).map_err(|e| cannot(&path, &e))?;
            }
            say!("{} frame(s) in {}", names.len(), out.display());
            Ok(if names.is_empty() { Answer::No } else { Answer::Done })
        }
        FramesCommand::Erase => {
            say!("erased {} frame(s)", store.erase()?);
            Ok(Answer::Done)
        }
    }
}

/// The frames of this configuration; nothing is made for it.
pub fn open(config: &Config) -> Result<FrameStore, CommandError> {
    let key = StoreKey::open(&config.store.key)?;
    Ok(FrameStore::open(&config.recording.frames_folder, key, config.frame_limits())?)
}

fn cannot(path: &Path, error: &std::io::Error) -> CommandError {
    format!("{}: cannot be written: {error}", path.display()).into()
}
