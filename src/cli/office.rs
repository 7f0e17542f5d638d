//! The gallery as commands reach it: through the running daemon, or on disk when there is none.

use std::path::PathBuf;
use std::time::Duration;

use super::{CommandError, frames};
use crate::audit::{AuditLog, Context, Fact, FolderDisk, Hash};
use crate::clock;
use crate::config::Config;
use crate::daemon::protocol::{Person, Request, people};
use crate::daemon::socket::Client;
use crate::daemon::{fact, stamp};
use crate::door::{DoorError, Newcomer, Origin, PeopleChange, Report, enrol, import};
use crate::matching::{Embedding, Gallery, Subject};
use crate::store::{self, FrameStore, GalleryStore, RecordingFile, StoreKey};

/// What to do about a name with hours that nobody enrolled has.
pub const STRANGER_REMEDY: &str = "write the name as facelatch people list prints it, or enrol the person";

/// An answer from the daemon takes at most this long; enrolments wait for their own end.
const ANSWER: Duration = Duration::from_secs(10);

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

    fn note(&mut self, fact: Fact) -> Result<(), CommandError> {
        if let Some(log) = &mut self.log {
            let detail = fact.detail.iter().map(String::as_str).chain(["by=command_line"]);
            let detail = Some(detail.collect::<Vec<_>>().join(" "));
            log.append(&[(stamp(clock::now()), Fact { detail, ..fact })])?;
        }
        Ok(())
    }

    /// Makes the change of `make` and records what it reports.
    fn change<E: Into<CommandError>>(
        &mut self,
        make: impl FnOnce(&mut Gallery) -> Result<Report, E>,
    ) -> Result<(), CommandError> {
        let mut gallery = self.store.load()?;
        let report = make(&mut gallery).map_err(Into::into)?;
        self.store.save(&gallery)?;
        fact(&report).map_or(Ok(()), |fact| self.note(fact))
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
        if let Some(client) = Client::connect(&config.daemon.socket)? {
            client.limit(ANSWER)?;
            return Ok(Office::Daemon(client));
        }
        Ok(Office::File(Box::new(Desk::open(config)?)))
    }

    /// Everybody enrolled.
    pub fn people(&mut self) -> Result<Vec<Person>, CommandError> {
        match self {
            Office::Daemon(client) => Ok(serde_json::from_value(client.ask(&Request::People {}, |_| {})?)?),
            Office::File(desk) => Ok(people(&desk.store.load()?)),
        }
    }

    /// Removes a person and everything known of them. Recorded frames go all: nobody can say in which of
    /// them a person is not.
    pub fn remove(&mut self, name: &str) -> Result<(), CommandError> {
        match self {
            Office::Daemon(client) => {
                client.ask(&Request::Remove { name: name.to_owned() }, |_| {})?;
            }
            Office::File(desk) => {
                desk.change(|gallery| PeopleChange::Remove { name: name.to_owned() }.apply(gallery))?;
                desk.frames.erase()?;
                desk.erase_recording()?;
            }
        }
        Ok(())
    }

    /// Enrols a person from embeddings of pictures, `anyway` although they may look like somebody enrolled.
    pub fn add(
        &mut self,
        name: &str,
        embeddings: &[Embedding],
        anyway: bool,
        facts: &Facts,
    ) -> Result<(), CommandError> {
        match self {
            Office::Daemon(client) => {
                let request = Request::Add {
                    name: name.to_owned(),
                    model: facts.model.hash,
                    embeddings: embeddings.iter().map(|e| e.values().to_vec()).collect(),
                    anyway,
                };
                client.ask(&request, |_| {})?;
            }
            Office::File(desk) => {
                let (one_person, enrolled) = (facts.model.apart, clock::unix());
                let newcomer = Newcomer { name, embeddings, one_person, enrolled, anyway };
                desk.change(|gallery| {
                    let subject = enrol(gallery, newcomer, &facts.model, &facts.rules)?;
                    Ok::<_, DoorError>(Report::Enrolled {
                        subject,
                        name: name.to_owned(),
                        from: Origin::Pictures,
                    })
                })?;
            }
        }
        Ok(())
    }

    /// Renames a person or notes something.
    pub fn change(&mut self, change: PeopleChange) -> Result<(), CommandError> {
        match (self, change) {
            (Office::File(desk), change) => desk.change(|gallery| change.apply(gallery)),
            (Office::Daemon(client), PeopleChange::Rename { name, to }) => {
                client.ask(&Request::Rename { name, to }, |_| {})?;
                Ok(())
            }
            (Office::Daemon(client), PeopleChange::Note { name, note }) => {
                client.ask(&Request::Note { name, note }, |_| {})?;
                Ok(())
            }
            _ => Err("not this way".into()),
        }
    }

    /// Takes in a person of another board, `anyway` although somebody enrolled may be alike.
    pub fn import(&mut self, person: Subject, anyway: bool, facts: &Facts) -> Result<(), CommandError> {
        match self {
            Office::File(desk) => {
                desk.change(|gallery| import(gallery, &person, anyway, &facts.model, &facts.rules))
            }
            Office::Daemon(client) => {
                let next = person.id.0.saturating_add(1);
                let person = store::to_json(&Gallery::restore(0, next, vec![person])?);
                client.ask(&Request::Import { person, anyway }, |_| {})?;
                Ok(())
            }
        }
    }

    /// Everything known of these people.
    pub fn export(&mut self, names: &[String]) -> Result<Gallery, CommandError> {
        match self {
            Office::File(desk) => {
                let people = desk.store.load()?.only(names)?;
                for person in people.subjects() {
                    desk.note(Fact { subject: Some(person.id), ..Fact::new("exported") })?;
                }
                Ok(people)
            }
            Office::Daemon(client) => {
                let (mut next_id, mut version, mut everybody) = (0, 0, Vec::new());
                for name in names {
                    let person = client.ask(&Request::Export { name: name.clone() }, |_| {})?;
                    let person = store::from_json(person)?;
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
        desk.note(Fact::new("restored").with(format!("people={}", gallery.subjects().len())))?;
        Ok(left_out)
    }

    /// A new key in place of the old one.
    pub fn rotate_key(&mut self) -> Result<(), CommandError> {
        let desk = self.without_daemon()?;
        desk.store.rotate_key()?;
        desk.frames.erase()?;
        desk.note(Fact::new("key_rotated"))
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

/// Names with hours of their own (`schedule.people`) that nobody enrolled has. Nothing is made on the
/// disk for it.
pub fn strangers(config: &Config) -> Result<Vec<String>, CommandError> {
    let hours = &config.schedule.people;
    if hours.is_empty() {
        return Ok(Vec::new());
    }
    let enrolled = match Client::connect(&config.daemon.socket)? {
        Some(client) => {
            client.limit(ANSWER)?;
            Office::Daemon(client).people()?
        }
        None if !config.store.gallery.try_exists()? => Vec::new(),
        None => {
            let key = StoreKey::open(&config.store.key)?;
            people(&GalleryStore::for_reading(&config.store.gallery, key).load()?)
        }
    };
    Ok(hours.keys().filter(|name| enrolled.iter().all(|person| person.name != **name)).cloned().collect())
}

/// What enrolling needs to know of the network in use.
pub struct Facts {
    /// The model and its metric.
    pub model: crate::door::ModelFacts,
    /// The door's rules.
    pub rules: crate::access::AccessRules,
}
