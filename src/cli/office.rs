//! The gallery as commands reach it: through the running daemon, or on disk when there is none.

use std::path::PathBuf;
use std::time::Duration;

use super::{CommandError, frames};
use crate::access::{Restored, RolledBack};
use crate::audit::{AuditLog, Context, Fact, FolderDisk, Hash, Mark};
use crate::clock;
use crate::config::Config;
use crate::daemon::reconcile::{Books, Reconciled, change_mark, log_head, owed, reconcile};
use crate::daemon::{fact, stamp};
use crate::door::{Newcomer, Origin, PeopleChange, Report, Terms, enrol, import};
use crate::matching::{Embedding, Gallery, GalleryError, name};
use crate::protocol::client::Client;
use crate::protocol::{MAX_REQUEST, Person, Request, people};
use crate::store::{
    self, Change, FrameStore, GalleryStore, Ledger, LogHead, RecordingFile, StateStore, StoreKey,
};

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
    gallery: Gallery,
    ledger: Ledger,
    frames: FrameStore,
    log: Option<AuditLog<FolderDisk>>,
    recording: PathBuf,
    found: Reconciled,
}

impl Desk {
    /// Opens the files and ends what a kill has left undone.
    fn open(config: &Config) -> Result<Self, CommandError> {
        let key = StoreKey::open_or_create(&config.store.key)?;
        let store = GalleryStore::open(&config.store.gallery, key)?;
        let (gallery, ledger) = store.load_with_ledger()?;
        let state = StateStore::open(&config.store.state)?;
        let resume = state.load();
        let books = Books::of(&gallery, &ledger, &resume, &state);
        let folder = &config.audit.folder;
        let (log, mut found) = if folder.is_dir() {
            // No model is loaded for this.
            let text = toml::to_string(config).unwrap_or_default();
            let context = Context { model: Hash::ZERO, config: Hash::of(text.as_bytes()) };
            let disk = FolderDisk::for_writing(folder)?;
            let now = stamp(clock::now());
            let mut log = AuditLog::open(disk, config.audit_rotation(), context, now)?;
            let found = reconcile(&mut log, &books, now)?;
            (Some(log), found)
        } else {
            // Nothing has happened here yet: the door has never run. Its first start finds in the gallery
            // what the log is to be told.
            (None, books.without_log())
        };
        if let Restored::SameBoot(saved) | Restored::OtherBoot(saved) = resume {
            found.what = found.what.and(saved.rolled_back);
        }
        let (frames, recording) = (frames::open(config)?, config.recording.file.clone());
        let mut desk = Desk { store, gallery, ledger, frames, log, recording, found };
        if !desk.found.what.any()
            && let Some(version) = desk.found.erase.take()
        {
            desk.erase_recorded(version)?;
        }
        Ok(desk)
    }

    fn note(&mut self, facts: impl IntoIterator<Item = Fact>) -> Result<(), CommandError> {
        if let Some(log) = &mut self.log {
            let now = stamp(clock::now());
            let entries: Vec<_> = facts.into_iter().map(|fact| (now, fact)).collect();
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
        self.check_belongs_together(RolledBack::default())?;
        let mut gallery = self.gallery.clone();
        let reports = make(&mut gallery).map_err(Into::into)?;
        let erases = reports.iter().any(Report::erases);
        self.put(gallery, reports.iter().filter_map(fact).collect(), erases, false)
    }

    /// Refuses where the files do not belong together, but for those of `mended`, which the change itself mends.
    fn check_belongs_together(&self, mended: RolledBack) -> Result<(), CommandError> {
        let what = self.found.what;
        if what.and(mended) == mended {
            return Ok(());
        }
        let words = Some(&self.found.words).filter(|words| !words.is_empty());
        let words = words.map_or_else(|| "see facelatch audit show".to_owned(), Clone::clone);
        Err(format!(
            "the door's files do not belong together ({what}): {words}; start the daemon: {}",
            Reconciled::remedy()
        )
        .into())
    }

    /// Writes a gallery, then tells the audit log, then erases what was recorded with people who are gone. A
    /// kill in between leaves in the gallery what is still to be done.
    fn put(
        &mut self,
        gallery: Gallery,
        facts: Vec<Fact>,
        erases: bool,
        new_key: bool,
    ) -> Result<(), CommandError> {
        let by = |fact: Fact| {
            let detail = fact.detail.iter().map(String::as_str).chain(["by=command_line"]);
            Fact { detail: Some(detail.collect::<Vec<_>>().join(" ")), ..fact }
        };
        let facts: Vec<Fact> = facts.into_iter().map(by).collect();
        let (version, next_id) = (gallery.version(), gallery.next_id());
        let entries = facts.iter().cloned().map(owed).collect();
        let (head, recorded) = self.log_stands();
        let ledger = self.ledger.with(Change { version, next_id, entries }, erases, head, recorded);
        match new_key {
            true => self.store.rotate_key(&gallery, &ledger)?,
            false => self.store.save(&gallery, &ledger)?,
        }
        (self.gallery, self.ledger) = (gallery, ledger);
        let mark = change_mark(&self.gallery);
        self.note(facts.into_iter().map(|fact| fact.marked(mark)))?;
        if erases { self.erase_recorded(version) } else { Ok(()) }
    }

    /// Where the log stands, and how far it has the gallery's changes.
    fn log_stands(&self) -> (Option<LogHead>, (u64, u32)) {
        let Some(log) = &self.log else { return (None, (0, 0)) };
        let marks = log.marks().unwrap_or_default();
        (Some(log_head(log.head())), (marks.gallery, marks.part))
    }

    /// Erases what was recorded before this version of the gallery: nobody can say in which frames a person is
    /// not, and similarities to the people enrolled stand in the controller's recording.
    fn erase_recorded(&mut self, version: u64) -> Result<(), CommandError> {
        let frames = self.frames.erase()?;
        RecordingFile::remove(&self.recording)
            .map_err(|e| format!("{}: cannot be removed: {e}; remove it", self.recording.display()))?;
        self.note([Fact::new("erased").with(format!("frames={frames}")).marked(Mark::Erased(version))])
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
            Office::File(desk) => Ok(people(&desk.gallery)),
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
                let people = desk.gallery.only(names)?;
                let exported =
                    |id| Fact { subject: Some(id), ..Fact::new("exported").with("by=command_line") };
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
        // A lost gallery is what a backup is for.
        desk.check_belongs_together(RolledBack { gallery: true, ..RolledBack::default() })?;
        let mut gallery = desk.gallery.clone();
        let left_out = gallery.restore_from(backup);
        let marks = desk.found.marks;
        gallery.go_on_after(marks.gallery, marks.next_id);
        let restored = Fact::new("restored").with(format!("people={}", gallery.subjects().len()));
        // Each of those who are back has an entry, as after an enrolment.
        let back = gallery.subjects().iter().filter(|s| desk.gallery.subject(s.id).is_none());
        let back = back.map(|s| Fact { subject: Some(s.id), ..Fact::new("enrolled").with("from=backup") });
        let facts = std::iter::once(restored).chain(back).collect();
        desk.put(gallery, facts, false, false)?;
        Ok(left_out)
    }

    /// A new key in place of the old one. Recorded frames, which the old one seals, go.
    pub fn rotate_key(&mut self) -> Result<(), CommandError> {
        let desk = self.without_daemon()?;
        desk.check_belongs_together(RolledBack::default())?;
        let mut gallery = desk.gallery.clone();
        gallery.go_on_after(0, 0);
        desk.put(gallery, vec![Fact::new("key_rotated")], true, true)
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
