//! `facelatch people`: who is enrolled, what was agreed with them, and copies of it all.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::gallery_access::{EnrolmentContext, GalleryAccess};
use super::{Answer, CommandError, print_json};
use crate::config::Config;
use crate::door::PeopleChange;
use crate::matching::{Gallery, MOST_LOOKS, Note};
use crate::protocol::Person;
use crate::store::{GalleryStore, StoreKey};
use facelatch_host::say;

/// List, change, copy or remove the people enrolled
#[derive(ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: PeopleCommand,
    #[command(flatten)]
    config: super::ConfigFile,
}

#[derive(Subcommand)]
enum PeopleCommand {
    /// List everybody enrolled
    List {
        /// One JSON object per line instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show what is stored about a person, except the templates
    Show {
        /// The name
        name: String,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Give a person another name
    Rename {
        /// The name
        name: String,
        /// The new one
        to: String,
    },
    /// Note what a person agreed to, and when to remove them
    Note(NoteArgs),
    /// Remove a person and everything known of them: templates, recorded frames, the recording
    Remove {
        /// The name given at enrolment
        name: String,
    },
    /// Copy people into an encrypted file for another board
    Export {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        key: KeyArgs,
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Add the people of a file that another board exported: all of them, or nobody
    Import {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        key: KeyArgs,
        /// Import even if they look like somebody enrolled here (twins)
        #[arg(id = "anyway", long = "anyway")]
        allow_duplicate: bool,
    },
    /// Copy everybody into an encrypted file
    ///
    /// A backup that replaces an earlier one no longer holds the people removed in between.
    Backup {
        /// The file; one that is there is replaced
        file: PathBuf,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Add what is missing from a backup; the daemon must not be running
    ///
    /// People removed since the backup stay removed.
    Restore {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Seal the gallery with a new key; the daemon must not be running
    ///
    /// Recorded frames, which the old key seals, are erased.
    RotateKey,
}

#[derive(ClapArgs)]
struct NoteArgs {
    /// The name
    name: String,
    /// What the person agreed to, such as "signed form 12, 2026-05-01"; "" forgets it
    #[arg(long, value_name = "TEXT")]
    consent: Option<String>,
    /// The day from which the person is removed, YYYY-MM-DD (UTC), or "never"
    #[arg(long, value_name = "DATE", value_parser = day)]
    expires: Option<Day>,
}

#[derive(ClapArgs)]
struct KeyArgs {
    /// The key of that file: 32 bytes, mode 0600; created if missing. Keep it elsewhere
    #[arg(id = "key", long, value_name = "KEYFILE")]
    path: PathBuf,
}

/// Seconds since 1970 of a day's beginning, `None` for never.
#[derive(Clone, Copy, Debug)]
struct Day(Option<u64>);

fn day(text: &str) -> Result<Day, String> {
    if text == "never" {
        return Ok(Day(None));
    }
    let wrong = || "write YYYY-MM-DD, or never".to_owned();
    let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    u64::try_from(start.timestamp().as_second()).map(|s| Day(Some(s))).map_err(|_| wrong())
}

/// Runs the command: "no" when a restored backup left somebody out.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let mut access = GalleryAccess::open(&config)?;
    match args.command {
        PeopleCommand::List { json } => {
            let people = access.people()?;
            if people.is_empty() && !json {
                say!("nobody is enrolled");
            }
            for person in people {
                if json {
                    print_json(&serde_json::to_value(person)?);
                } else {
                    let Person { name, id, looks, templates, model, .. } = person;
                    let looks = if looks > 1 { format!("{looks} looks, ") } else { String::new() };
                    say!("{name}  (id {id}, {looks}{templates} template(s) of model {model})");
                }
            }
        }
        PeopleCommand::Show { name, json } => show(&mut access, &name, json)?,
        PeopleCommand::Rename { name, to } => {
            access.change(PeopleChange::Rename { name: name.clone(), to: to.clone() })?;
            say!("{name} is now called {to}");
        }
        PeopleCommand::Note(NoteArgs { name, consent, expires }) => {
            if consent.is_none() && expires.is_none() {
                return Err("give --consent, --expires or both".into());
            }
            let consent = consent.map(|text| Some(text).filter(|text| !text.is_empty()));
            let note = Note { consent, expires: expires.map(|day| day.0) };
            access.change(PeopleChange::Note { name: name.clone(), note })?;
            say!("noted for {name}");
        }
        PeopleCommand::Remove { name } => {
            access.change(PeopleChange::Remove { name: name.clone() })?;
            say!("removed {name}");
        }
        PeopleCommand::Export { file, key, names } => copy(&mut access, &file, &key, &names)?,
        PeopleCommand::Backup { file, key } => {
            let names: Vec<String> = access.people()?.into_iter().map(|p| p.name).collect();
            copy(&mut access, &file, &key, &names)?;
        }
        PeopleCommand::Import { file, key, allow_duplicate } => {
            let people = GalleryStore::read_copy(&file, StoreKey::open(&key.path)?)?;
            let pipeline = super::pipeline::Pipeline::load(Some(&args.config.path))?;
            let context = EnrolmentContext { model: pipeline.model, rules: pipeline.rules };
            access.import(&people, allow_duplicate, &context)?;
            for person in people.subjects() {
                say!("imported {}", person.name);
            }
        }
        PeopleCommand::Restore { file, key } => {
            let backup = GalleryStore::read_copy(&file, StoreKey::open(&key.path)?)?;
            let left_out = access.restore(&backup)?;
            say!("restored from a backup of {} people", backup.subjects().len());
            for name in &left_out {
                say!("left out: {name}: removed since the backup, or somebody else has the name or id now");
            }
            return Ok(if left_out.is_empty() { Answer::Done } else { Answer::No });
        }
        PeopleCommand::RotateKey => {
            access.rotate_key()?;
            say!("the gallery has a new key: {}", config.store.key.display());
        }
    }
    Ok(Answer::Done)
}

fn show(access: &mut GalleryAccess, name: &str, json: bool) -> Result<(), CommandError> {
    let people = access.people()?;
    let person = super::gallery_access::find(&people, name)?;
    if json {
        print_json(&serde_json::to_value(person)?);
        return Ok(());
    }
    let date = |unix: u64| super::audit::wall(unix.saturating_mul(1_000));
    say!("{}", person.name);
    say!("  id         {}", person.id);
    say!("  enrolled   {}", date(person.enrolled));
    say!("  looks      {} of at most {MOST_LOOKS} (more: facelatch enrol --add-look)", person.looks);
    say!("  templates  {} of model {}", person.templates, person.model);
    say!("  consent    {}", person.consent.as_deref().unwrap_or("none noted"));
    say!("  expires    {}", person.expires.map_or_else(|| "never".to_owned(), date));
    Ok(())
}

fn copy(
    access: &mut GalleryAccess,
    file: &std::path::Path,
    key: &KeyArgs,
    names: &[String],
) -> Result<(), CommandError> {
    let people: Gallery = access.export(names)?;
    GalleryStore::write_copy(file, &StoreKey::open_or_create(&key.path)?, &people)?;
    say!("{} people are in {}, sealed with {}", people.subjects().len(), file.display(), key.path.display());
    Ok(())
}
