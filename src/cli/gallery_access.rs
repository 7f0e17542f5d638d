//! The gallery as commands reach it: through the running daemon, or on disk when there is none.

use std::path::PathBuf;
use std::time::Duration;

use super::{CommandError, frames};
use crate::access::{Restored, RolledBack};
use crate::audit::{AuditEvent, AuditLog, Context, FolderDisk, Hash};
use crate::clock;
use crate::config::Config;
use crate::daemon::erasure::Erasure;
use crate::daemon::reconcile::{Books, Reconciled, change_mark, log_head, owed, reconcile};
use crate::daemon::{audit_event, stamp};
use crate::door::{EnrolmentRequest, Origin, PeopleChange, Report, Terms, enrol, import};
use crate::matching::{Embedding, Gallery, GalleryError, name};
use crate::protocol::client::Client;
use crate::protocol::{MAX_REQUEST, Person, Request, people};
use crate::store::{
    self, FrameStore, GalleryStore, Ledger, LogHead, OwedChange, RecordingFile, StateStore, StoreKey,
};

/// What to do about a name with hours that nobody enrolled has.
pub const STRANGER_REMEDY: &str = "write the name as facelatch people list prints it, or enrol the person";

/// An answer from the daemon takes at most this long: importing many people takes a while.
const ANSWER: Duration = Duration::from_secs(30);

/// Where changes to the gallery go.
pub enum GalleryAccess {
    /// The daemon runs and owns the gallery.
    Daemon(Client),
    /// No daemon runs: the file is ours as long as we hold its lock.
    File(Box<OfflineGallery>),
}

/// The files of a door without a daemon.
pub struct OfflineGallery {
    store: GalleryStore,
    gallery: Gallery,
    ledger: Ledger,
    frames: FrameStore,
    log: Option<AuditLog<FolderDisk>>,
    recording: PathBuf,
    found: Reconciled,
}

impl OfflineGallery {
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
        let mut offline = OfflineGallery { store, gallery, ledger, frames, log, recording, found };
        if !offline.found.what.any()
            && let Some(version) = offline.found.erase.take()
        {
            offline.erase_recorded(version)?;
        }
        Ok(offline)
    }

    fn note(&mut self, events: impl IntoIterator<Item = AuditEvent>) -> Result<(), CommandError> {
        if let Some(log) = &mut self.log {
            let now = stamp(clock::now());
            let entries: Vec<_> = events.into_iter().map(|event| (now, event)).collect();
            log.append(&entries)?;
        }
        Ok(())
    }

    /// Makes the change of `make` and records what it reports. With a person all that was recorded of them goes.
    fn change<E: Into<CommandError>>(
        &mut self,
        make: impl FnOnce(&mut Gallery) -> Result<Vec<Report>, E>,
    ) -> Result<(), CommandError> {
        self.check_belongs_together(RolledBack::default())?;
        let mut gallery = self.gallery.clone();
        let reports = make(&mut gallery).map_err(Into::into)?;
        let erases = reports.iter().any(Report::erases);
        self.put(gallery, reports.iter().filter_map(audit_event).collect(), erases, false)
    }

    /// Refuses when the files do not match one another, except those of `mended`, which the change itself mends.
    fn check_belongs_together(&self, mended: RolledBack) -> Result<(), CommandError> {
        let what = self.found.what;
        if what.and(mended) == mended {
            return Ok(());
        }
        let words = Some(&self.found.words).filter(|words| !words.is_empty());
        let words = words.map_or_else(|| "see facelatch audit show".to_owned(), Clone::clone);
        Err(format!(
            "the door's files do not match one another ({what}): {words}; start the daemon: {}",
            Reconciled::remedy()
        )
        .into())
    }

    /// Writes a gallery, then tells the audit log, then erases what was recorded with people who are gone. A
    /// kill in between leaves in the gallery what is still to be done.
    fn put(
        &mut self,
        gallery: Gallery,
        events: Vec<AuditEvent>,
        erases: bool,
        new_key: bool,
    ) -> Result<(), CommandError> {
        let by = |event: AuditEvent| {
            let detail = event.detail.iter().map(String::as_str).chain(["by=command_line"]);
            AuditEvent { detail: Some(detail.collect::<Vec<_>>().join(" ")), ..event }
        };
        let events: Vec<AuditEvent> = events.into_iter().map(by).collect();
        let (version, next_id) = (gallery.version(), gallery.next_id());
        let entries = events.iter().cloned().map(owed).collect();
        let (head, recorded) = self.log_stands();
        let ledger = self.ledger.with(OwedChange { version, next_id, entries }, erases, head, recorded);
        match new_key {
            true => self.store.rotate_key(&gallery, &ledger)?,
            false => self.store.save(&gallery, &ledger)?,
        }
        (self.gallery, self.ledger) = (gallery, ledger);
        let mark = change_mark(&self.gallery);
        self.note(events.into_iter().map(|event| event.marked(mark)))?;
        if erases { self.erase_recorded(version) } else { Ok(()) }
    }

    /// Where the log stands, and how far it has the gallery's changes.
    fn log_stands(&self) -> (Option<LogHead>, (u64, u32)) {
        let Some(log) = &self.log else { return (None, (0, 0)) };
        let marks = log.marks().unwrap_or_default();
        (Some(log_head(log.head())), (marks.gallery, marks.part))
    }

    /// Erases what was recorded before this version of the gallery: see [`Erasure`].
    fn erase_recorded(&mut self, version: u64) -> Result<(), CommandError> {
        let mut erasure = Erasure::before(version);
        erasure.frames_erased(version, self.frames.erase()?);
        RecordingFile::remove(&self.recording)
            .map_err(|e| format!("{}: cannot be removed: {e}; remove it", self.recording.display()))?;
        erasure.recording_erased(version);
        self.note(erasure.entry())
    }
}

impl GalleryAccess {
    /// Finds the daemon of this configuration, or opens its gallery.
    pub fn open(config: &Config) -> Result<Self, CommandError> {
        if let Some(client) = Client::find(&config.daemon.socket)? {
            return Ok(GalleryAccess::Daemon(client.within(ANSWER)));
        }
        Ok(GalleryAccess::File(Box::new(OfflineGallery::open(config)?)))
    }

    /// Everybody enrolled.
    pub fn people(&mut self) -> Result<Vec<Person>, CommandError> {
        match self {
            GalleryAccess::Daemon(client) => Ok(client.ask(&Request::People {})?),
            GalleryAccess::File(offline) => Ok(people(&offline.gallery)),
        }
    }

    /// Enrols a person from embeddings of pictures.
    pub fn add(
        &mut self,
        name: &str,
        embeddings: &[Embedding],
        terms: Terms,
        context: &EnrolmentContext,
    ) -> Result<(), CommandError> {
        match self {
            GalleryAccess::Daemon(client) => {
                let Terms { allow_duplicate, existing, unlike } = terms;
                let request = Request::Add {
                    name: name.to_owned(),
                    model: context.model.hash,
                    embeddings: embeddings.iter().map(|e| e.values().to_vec()).collect(),
                    allow_duplicate,
                    existing,
                    unlike,
                };
                client.ask::<serde_json::Value>(&request)?;
                Ok(())
            }
            GalleryAccess::File(offline) => {
                let (min_self_similarity, enrolled) =
                    (context.model.distinct_person_threshold, clock::unix());
                let from = Origin::Pictures;
                let newcomer =
                    EnrolmentRequest { name, embeddings, min_self_similarity, enrolled, terms, from };
                offline.change(|gallery| enrol(gallery, newcomer, &context.model, &context.rules))
            }
        }
    }

    /// Removes or renames a person, or notes something.
    pub fn change(&mut self, change: PeopleChange) -> Result<(), CommandError> {
        let client = match self {
            GalleryAccess::File(offline) => {
                return offline.change(|gallery| change.apply(gallery).map(|report| vec![report]));
            }
            GalleryAccess::Daemon(client) => client,
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
    pub fn import(
        &mut self,
        people: &Gallery,
        allow_duplicate: bool,
        context: &EnrolmentContext,
    ) -> Result<(), CommandError> {
        match self {
            GalleryAccess::File(offline) => offline.change(|gallery| {
                import(gallery, people.subjects(), allow_duplicate, &context.model, &context.rules)
            }),
            GalleryAccess::Daemon(client) => {
                let request = Request::Import { person: store::to_json(people), allow_duplicate };
                let size = serde_json::to_vec(&request)?.len() as u64;
                if size > MAX_REQUEST {
                    return Err(format!(
                        "{} people are too many for the daemon at once ({} MiB, at most {}): stop it \
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
            GalleryAccess::File(offline) => {
                let people = offline.gallery.only(names)?;
                let exported = |id| AuditEvent {
                    subject: Some(id),
                    ..AuditEvent::new("exported").with("by=command_line")
                };
                offline.note(people.subjects().iter().map(|person| exported(person.id)))?;
                Ok(people)
            }
            GalleryAccess::Daemon(client) => {
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
        let offline = self.without_daemon()?;
        // A lost gallery is what a backup is for.
        offline.check_belongs_together(RolledBack { gallery: true, ..RolledBack::default() })?;
        let mut gallery = offline.gallery.clone();
        let left_out = gallery.restore_from(backup);
        let marks = offline.found.marks;
        gallery.go_on_after(marks.gallery, marks.next_id);
        let restored = AuditEvent::new("restored").with(format!("people={}", gallery.subjects().len()));
        // Each of those who are back has an entry, as after an enrolment.
        let back = gallery.subjects().iter().filter(|s| offline.gallery.subject(s.id).is_none());
        let back = back
            .map(|s| AuditEvent { subject: Some(s.id), ..AuditEvent::new("enrolled").with("from=backup") });
        let events = std::iter::once(restored).chain(back).collect();
        offline.put(gallery, events, false, false)?;
        Ok(left_out)
    }

    /// A new key in place of the old one. Recorded frames, which the old one seals, go.
    pub fn rotate_key(&mut self) -> Result<(), CommandError> {
        let offline = self.without_daemon()?;
        offline.check_belongs_together(RolledBack::default())?;
        let mut gallery = offline.gallery.clone();
        gallery.go_on_after(0, 0);
        offline.put(gallery, vec![AuditEvent::new("key_rotated")], true, true)
    }

    fn without_daemon(&mut self) -> Result<&mut OfflineGallery, CommandError> {
        match self {
            GalleryAccess::File(offline) => Ok(offline),
            GalleryAccess::Daemon(_) => {
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
pub fn unknown_names(config: &Config) -> Result<Vec<String>, CommandError> {
    let hours = &config.schedule.people;
    if hours.is_empty() {
        return Ok(Vec::new());
    }
    let enrolled = match Client::find(&config.daemon.socket)? {
        Some(client) => GalleryAccess::Daemon(client).people()?,
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
pub struct EnrolmentContext {
    /// The model and its metric.
    pub model: crate::door::ModelFacts,
    /// The door's rules.
    pub rules: crate::access::AccessRules,
}
