//! `facelatch audit`: who opened the door, and whether the log of it is whole.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::{Answer, CommandError, print_json};
use crate::audit::{Break, Checkpoint, Entry, FolderDisk, LogCheck, check, kept_entries, read_checkpoint};
use crate::config::Config;
use crate::daemon::reconcile::Books;
use crate::store::{GalleryStore, StateStore, StoreKey};
use facelatch_host::say;

/// Verify, show or export the log of who opened the door
#[derive(ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: AuditCommand,
    #[command(flatten)]
    config: super::ConfigFile,
    /// Read the log in this folder
    #[arg(long, value_name = "DIR", global = true)]
    folder: Option<PathBuf>,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Check that every entry is as it was written; names the first that is not
    Verify {
        /// An earlier export: check that the log continues it
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show entries, the latest last
    Show {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: usize,
        /// One JSON object per line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Write the entries as they stand in the log, and a checkpoint as the last line
    Export {
        /// Write to this file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Only the checkpoint: one line, to be stored away from the board
        #[arg(long)]
        head: bool,
    },
}

/// Runs the command: "no" when the chain is broken.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let (folder, config) = match args.folder {
        Some(folder) => (folder, None),
        None => {
            let config = Config::load(&args.config.path)?;
            (config.audit.folder.clone(), Some(config))
        }
    };
    if let Err(error) = fs::read_dir(&folder) {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => "run this as root or as the user facelatch",
            _ => "the daemon makes it when it first starts; use --folder to name another folder",
        };
        return Err(format!("audit log {}: cannot be read: {error}; {remedy}", folder.display()).into());
    }
    match args.command {
        AuditCommand::Verify { checkpoint, json } => {
            let checkpoint = checkpoint.as_deref().map(read_checkpoint).transpose()?;
            // Before the log, which a daemon may be writing.
            let heads = config.as_ref().map(heads).unwrap_or_default();
            let (mut outcome, ()) = read(&folder, checkpoint, || (), |(), _, _| ())?;
            for (who, head) in heads {
                if outcome.is_err() {
                    break;
                }
                if let (Err(broken), ()) = read(&folder, Some(head), || (), |(), _, _| ())? {
                    let problem = format!(
                        "{who} was written with this log at entry {}, but {}",
                        head.entries, broken.problem
                    );
                    outcome = Err(Break { problem, ..broken });
                }
            }
            Ok(verdict(&outcome, checkpoint, json))
        }
        AuditCommand::Show { last, json } => {
            let keep = |kept: &mut VecDeque<Entry>, entry: &Entry, _: &[u8]| {
                kept.push_back(entry.clone());
                if kept.len() > last {
                    kept.pop_front();
                }
            };
            let (outcome, mut entries) = read(&folder, None, VecDeque::new, keep)?;
            if entries.len() < last {
                let first = entries.front().map_or(u64::MAX, |entry| entry.seq);
                let kept = kept_entries(&FolderDisk::for_reading(&folder), first)?;
                let more = kept.into_iter().rev().take(last - entries.len());
                more.for_each(|(entry, _)| entries.push_front(entry));
            }
            for entry in &entries {
                if json {
                    print_json(&serde_json::to_value(entry)?);
                } else {
                    say!("{}", in_words(entry));
                }
            }
            Ok(whole(&outcome))
        }
        AuditCommand::Export { out, head } => {
            let copy = |(first, text): &mut (Option<u64>, Vec<u8>), entry: &Entry, line: &[u8]| {
                first.get_or_insert(entry.seq);
                if !head {
                    text.extend_from_slice(line);
                }
            };
            let (outcome, (first, mut text)) = read(&folder, None, Default::default, copy)?;
            if !head {
                let kept = kept_entries(&FolderDisk::for_reading(&folder), first.unwrap_or(u64::MAX))?;
                text.splice(..0, kept.into_iter().flat_map(|(_, line)| line));
            }
            if let Ok(LogCheck { head, .. }) = &outcome {
                serde_json::to_writer(&mut text, &serde_json::json!({ "checkpoint": head }))?;
                text.push(b'\n');
            }
            write(out.as_deref(), &text)?;
            Ok(whole(&outcome))
        }
    }
}

/// Where gallery and state say that the log stood, as far as this user may read them.
fn heads(config: &Config) -> Vec<(&'static str, Checkpoint)> {
    let read = || -> Result<Vec<_>, CommandError> {
        let state = StateStore::open(&config.store.state)?;
        let resume = state.load();
        let gallery = || {
            let key = StoreKey::open(&config.store.key)?;
            GalleryStore::for_reading(&config.store.gallery, key).load_with_ledger()
        };
        let (people, ledger) = gallery().unwrap_or_default();
        Ok(Books::of(&people, &ledger, &resume, &state).heads().collect())
    };
    read().unwrap_or_default()
}

/// Reads the log; a daemon that is writing at this very moment is given time to finish its line.
fn read<T>(
    folder: &Path,
    checkpoint: Option<Checkpoint>,
    start: impl Fn() -> T,
    each: impl Fn(&mut T, &Entry, &[u8]),
) -> Result<(Result<LogCheck, Break>, T), CommandError> {
    const TRIES: usize = 3;
    for attempt in 1.. {
        let mut found = start();
        let outcome = check(&FolderDisk::for_reading(folder), checkpoint, |entry, line| {
            each(&mut found, entry, line);
        });
        match outcome {
            Ok(outcome) if outcome.is_ok() || attempt == TRIES => return Ok((outcome, found)),
            Err(error) if attempt == TRIES => return Err(error.into()),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
    Err("audit log: it changed while being read: try again".into())
}

fn verdict(outcome: &Result<LogCheck, Break>, checkpoint: Option<Checkpoint>, json: bool) -> Answer {
    let report = match outcome {
        Ok(report) => report,
        Err(broken) => {
            if json {
                print_json(&serde_json::json!({
                    "holds": false, "entry": broken.entry, "file": broken.file, "line": broken.line,
                    "problem": broken.problem,
                }));
            } else {
                say!("BROKEN at {broken}");
            }
            return Answer::No;
        }
    };
    let too_old = report.checkpoint_too_old;
    if json {
        print_json(&serde_json::json!({
            "holds": !too_old, "first": report.first, "entries": report.head.entries,
            "hash": report.head.hash, "files": report.files, "kept": report.kept,
            "checkpoint_too_old": too_old,
        }));
    } else {
        let LogCheck { first, head, files, kept, .. } = report;
        say!("holds: entries {first} to {} in {files} file(s), the last {}", head.entries, head.hash);
        if *kept > 0 {
            say!("and {kept} earlier entries of releases and people, kept from files that were retired");
        }
        match checkpoint {
            Some(c) if too_old => say!(
                "but the checkpoint's entry {} was retired and can no longer be compared; export more often",
                c.entries
            ),
            Some(c) => say!("continues the checkpoint at entry {}", c.entries),
            None => {}
        }
    }
    if too_old { Answer::No } else { Answer::Done }
}

/// What `show` and `export` answer behind the entries that could be read.
fn whole(outcome: &Result<LogCheck, Break>) -> Answer {
    match outcome {
        Ok(_) => Answer::Done,
        Err(broken) => {
            super::complain(&format!("the log is broken at {broken}"));
            Answer::No
        }
    }
}

/// Milliseconds since 1970 for people.
pub(super) fn wall(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "(no time)".to_owned(), |t| format!("{t:.3}"))
}

fn in_words(entry: &Entry) -> String {
    let mut line = format!("{:>8}  {}  {}", entry.seq, wall(entry.wall_ms), entry.event);
    if let Some(subject) = entry.subject {
        line += &format!(" subject={subject}");
    }
    if let Some(similarity) = entry.similarity {
        line += &format!(" similarity={similarity:.3}");
    }
    if let Some(detail) = &entry.detail {
        line += &format!(" {detail}");
    }
    line
}

fn write(out: Option<&Path>, text: &[u8]) -> Result<(), CommandError> {
    match out {
        None => {
            super::say_text(text);
            Ok(())
        }
        Some(path) => {
            let cannot = |e: io::Error| format!("{}: cannot be written: {e}", path.display());
            let mut file = File::create(path).map_err(cannot)?;
            Ok(file.write_all(text).and_then(|()| file.sync_all()).map_err(cannot)?)
        }
    }
}
