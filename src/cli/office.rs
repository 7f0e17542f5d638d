//! The gallery as commands reach it: through the running daemon, or on disk when there is none.

use std::path::PathBuf;
use std::time::Duration;

use super::{CommandError, frames};
use crate::audit::{AuditLog, Context, Fact, FolderDisk, Hash};
use crate::clock;
use crate::config::Config;
use crate::daemon::client::Client;
use crate::daemon::protocol::{MAX_REQUEST, Person, Request, people};
use crate::daemon::{fact, stamp};
use crate::door::{Newcomer, Origin, PeopleChange, Report, Terms, enrol, import};
use crate::matching::{Embedding, Gallery, GalleryError, name};
use crate::store::{self, FrameStore, GalleryStore, RecordingFile, StoreKey};

/// What to do about a name with hours that nobody enrolled has.
pub const STRANGER_REMEDY: &str = "write the name as facelatch people list prints it, or enrol the person";

/// An answer from the daemon takes at most this long: importing many people takes a while.
const ANSWER: Duration = Duration::from_secs(30);

/// Where changes to the gallery go.
pub enum Office {
    /// The daemon runs and owns the gallery.
    Daemon(Client),
    /// No daemon runs: the file is ours as long as we hold its lock.
    File(Box<Desk>),
}

/// The files of a door without a daemon.
pub struct Desk {
    store: GalleryStore,
    frames: FrameStore,
    log: Option<AuditLog<FolderDisk>>,
    recording: PathBuf,
}

impl Desk {
    fn open(config: &Config) -> Result<Self, CommandError> {
        let key = StoreKey::open_or_create(&config.store.key)?;
        let store = GalleryStore::open(&config.store.gallery, key)?;
        let folder = &config.audit.folder;
        let log = if folder.is_dir() {
            // No model is loaded for this.
            let text = toml::to_string(config).unwrap_or_default();
            let context = Context { model: Hash::ZERO, config: Hash::of(text.as_bytes()) };
            let disk = FolderDisk::for_writing(folder)?;
            Some(AuditLog::open(disk, config.audit_rotation(), context, stamp(clock::now()))?)
        } else {
            // Nothing has happened here yet: the door has never run.
            None
        };
        Ok(Desk { store, frames: frames::open(config)?, log, recording: config.recording.file.clone() })
    }

    fn note(&mut self, facts: impl IntoIterator<Item = Fact>) -> Result<(), CommandError> {
        if let Some(log) = &mut self.log {
            let signed = |fact: Fact| {
                let detail = fact.detail.iter().map(String::as_str).chain(["by=command_line"]);
                let detail = Some(detail.collect::<Vec<_>>().join(" "));
                (stamp(clock::now()), Fact { detail, ..fact })
            };
            let entries: Vec<_> = facts.into_iter().map(signed).collect();
            log.append(&entries)?;
        }
        Ok(())
    }

    /// Makes the change of `make` and records what it reports. With a person all that was recorded of them goes:
    /// frames go all, as nobody can say in which of them a person is not.
    fn change<E: Into<CommandError>>(
        &mut self,
        make: impl FnOnce(&mut Gallery) -> Result<Vec<Report>, E>,
    ) -> Result<(), CommandError> {
        let mut gallery = self.store.load()?;
        let reports = make(&mut gallery).map_err(Into::into)?;
        self.store.save(&gallery)?;
        self.note(reports.iter().filter_map(fact))?;
        if reports.iter().any(Report::erases) {
            self.frames.erase()?;
            self.erase_recording()?;
        }
        Ok(())
    }

    /// Similarities to the people enrolled stand in the controller's recording.
    fn erase_recording(&self) -> Result<(), CommandError> {
        RecordingFile::remove(&self.recording)
            .map_err(|e| format!("{}: cannot be removed: {e}; remove it", self.recording.display()).into())
    }
}

impl Office {
    /// Finds the daemon of this configuration, or opens its gallery.
    pub fn open(config: &Config) -> Result<Self, CommandError> {
        if let Some(client) = Client::find(&config.daemon.socket)? {
            return Ok(Office::Daemon(client.within(ANSWER)));
        }
        Ok(Office::File(Box::new(Desk::open(config)?)))
    }

    /// Everybody enrolled.
    pub fn people(&mut self) -> Result<Vec<Person>, CommandError> {
        match self {
            Office::Daemon(client) => Ok(client.ask(&Request::People {})?),
            Office::File(desk) => Ok(people(&desk.store.load()?)),
        }
    }

    /// Enrols a person from embeddings of pictures.
    pub fn add(
        &mut self,
        name: &str,
        embeddings: &[Embedding],
        terms: Terms,
        facts: &Facts,
    ) -> Result<(), CommandError> {
        match self {
            Office::Daemon(client) => {
                let Terms { anyway, existing, unlike } = terms;
                let request = Request::Add {
                    name: name.to_owned(),
                    model: facts.model.hash,
                    embeddings: embeddings.iter().map(|e| e.values().to_vec()).collect(),
                    anyway,
                    existing,
                    unlike,
                };
                client.ask::<serde_json::Value>(&request)?;
                Ok(())
            }
            Office::File(desk) => {
                let (one_person, enrolled) = (facts.model.apart, clock::unix());
                let from = Origin::Pictures;
                let newcomer = Newcomer { name, embeddings, one_person, enrolled, terms, from };
                desk.change(|gallery| enrol(gallery, newcomer, &facts.model, &facts.rules))
            }
        }
    }

    /// Removes or renames a person, or notes something.
    pub fn change(&mut self, change: PeopleChange) -> Result<(), CommandError> {
        let client = match self {
            Office::File(desk) => {
                return desk.change(|gallery| change.apply(gallery).map(|report| vec![report]));
            }
            Office::Daemon(client) => client,
        };
        let request = match change {
            // What is over is removed by the daemon itself; asked for, it is a removal.
            PeopleChange::Remove { name } | PeopleChange::Expire { name } => Request::Remove { name },
            PeopleChange::Rename { name, to } => Request::Rename { name, to },
            PeopleChange::Note { name, note } => Request::Note { name, note },
        };
        client.ask::<serde_json::Value>(&request)?;
        Ok(())
    }

    /// Takes in the people of another board, `anyway` although somebody enrolled may be alike: all of them or
    /// nobody.
    pub fn import(&mut self, people: &Gallery, anyway: bool, facts: &Facts) -> Result<(), CommandError> {
        match self {
            Office::File(desk) => {
                desk.change(|gallery| import(gallery, people.subjects(), anyway, &facts.model, &facts.rules))
            }
            Office::Daemon(client) => {
                let request = Request::Import { person: store::to_json(people), anyway };
                let size = serde_json::to_vec(&request)?.len() as u64;
                if size > MAX_REQUEST {
                    return Err(format!(
                        "{} people are too many at a time for the daemon ({} MiB, at most {}): stop it \
                         (systemctl stop facelatch) and import without it",
                        people.subjects().len(),
                        size >> 20,
                        MAX_REQUEST >> 20
                    )
                    .into());
                }
                client.ask::<serde_json::Value>(&request)?;
                Ok(())
            }
        }
    }

    /// Everything known of these people.
    pub fn export(&mut self, names: &[String]) -> Result<Gallery, CommandError> {
        match self {
            Office::File(desk) => {
                let people = desk.store.load()?.only(names)?;
                let exported = |id| Fact { subject: Some(id), ..Fact::new("exported") };
                desk.note(people.subjects().iter().map(|person| exported(person.id)))?;
                Ok(people)
            }
            Office::Daemon(client) => {
                // Of somebody who is not there nothing is exported, nor of the others.
                let known: Vec<Person> = client.ask(&Request::People {})?;
                for wanted in names {
                    find(&known, wanted)?;
                }
                // One a request: the daemon's thread has a strike to secure in between.
                let (mut next_id, mut version, mut everybody) = (0, 0, Vec::new());
                for name in names {
                    let person = store::from_json(client.ask(&Request::Export { name: name.clone() })?)?;
                    (next_id, version) = (person.next_id().max(next_id), person.version().max(version));
                    everybody.extend_from_slice(person.subjects());
                }
                Ok(Gallery::restore(version, next_id, everybody)?)
            }
        }
    }

    /// Fills up what is missing; returns the names of those left out.
    pub fn restore(&mut self, backup: &Gallery) -> Result<Vec<String>, CommandError> {
        let desk = self.without_daemon()?;
        let mut gallery = desk.store.load()?;
        let left_out = gallery.restore_from(backup);
        desk.store.save(&gallery)?;
        desk.note([Fact::new("restored").with(format!("people={}", gallery.subjects().len()))])?;
        Ok(left_out)
    }

    /// A new key in place of the old one.
    pub fn rotate_key(&mut self) -> Result<(), CommandError> {
        let desk = self.without_daemon()?;
        desk.store.rotate_key()?;
        desk.frames.erase()?;
        desk.note([Fact::new("key_rotated")])
    }

    fn without_daemon(&mut self) -> Result<&mut Desk, CommandError> {
        match self {
            Office::File(desk) => Ok(desk),
            Office::Daemon(_) => {
                Err("the daemon holds the gallery: stop it first (systemctl stop facelatch)".into())
            }
        }
    }
}

/// The person of that name among those that the daemon has told of.
pub fn find<'a>(people: &'a [Person], wanted: &str) -> Result<&'a Person, GalleryError> {
    let named = people.iter().find(|person| name::same(&person.name, wanted));
    named.ok_or_else(|| {
        let looks = name::Looks::of(wanted);
        let like = people.iter().find(|person| looks.are_those_of(&person.name));
        match like {
            Some(other) => GalleryError::NotQuite { name: wanted.to_owned(), other: other.name.clone() },
            None => GalleryError::NoSuchSubject(wanted.to_owned()),
        }
    })
}

/// Names with hours of their own (`schedule.people`) that nobody enrolled has. Nothing is made on the
/// disk for it.
pub fn strangers(config: &Config) -> Result<Vec<String>, CommandError> {
    let hours = &config.schedule.people;
    if hours.is_empty() {
        return Ok(Vec::new());
    }
    let enrolled = match Client::find(&config.daemon.socket)? {
        Some(client) => Office::Daemon(client).people()?,
        None if !config.store.gallery.try_exists()? => Vec::new(),
        None => {
            let key = StoreKey::open(&config.store.key)?;
            people(&GalleryStore::for_reading(&config.store.gallery, key).load()?)
        }
    };
    let is_known = |wanted: &String| enrolled.iter().any(|person| name::same(&person.name, wanted));
    Ok(hours.keys().filter(|name| !is_known(name)).cloned().collect())
}

/// What enrolling needs to know of the network in use.
pub struct Facts {
    /// The model and its metric.
    pub model: crate::door::ModelFacts,
    /// The door's rules.
    pub rules: crate::access::AccessRules,
}
