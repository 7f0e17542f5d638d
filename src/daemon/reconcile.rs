//! Whether gallery, state and audit log match, and what a kill has left to be done.
//!
//! Each of the three knows how far the others had come: the log's entries say the version of the gallery and
//! the number of the state's last write ([`Marks`]); gallery and state hold the log's last entry. Always the
//! file is written first and spoken of after, so that a kill leaves a file that is ahead of what is said of
//! it. One that is behind was put back from a copy, or is lost.

use crate::access::{PersistentState, Restored, RolledBack};
use crate::audit::{AuditError, AuditEvent, AuditLog, Checkpoint, Hash, LogDisk, Mark, Marks, Stamp};
use crate::matching::Gallery;
use crate::store::{Ledger, LogHead, OwedChange, OwedEntry, StateStore};

/// What gallery and state were at a start.
#[derive(Clone, Debug, Default)]
pub struct Books {
    version: u64,
    next_id: u32,
    ledger: Ledger,
    /// The number of its last write, and where the log stood; `None` for a state that cannot be read, which
    /// counts as secure mode in any case.
    state: Option<(u64, Option<LogHead>)>,
}

/// What came of comparing them.
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    /// Which are older than the others say.
    pub what: RolledBack,
    /// How that shows, in words.
    pub words: String,
    /// What the log has said of gallery and state so far.
    pub marks: Marks,
    /// Frames recorded before this version of the gallery are yet to be erased.
    pub erase: Option<u64>,
    /// The wall clock at the last entry of the log, in ms since 1970; 0 without one.
    pub newest_ms: u64,
}

impl Books {
    /// Those of these files.
    pub fn of(
        gallery: &Gallery,
        ledger: &Ledger,
        resume: &Restored<PersistentState>,
        state: &StateStore,
    ) -> Self {
        let (version, next_id, ledger) = (gallery.version(), gallery.next_id(), ledger.clone());
        let read = !matches!(resume, Restored::Unreadable);
        Books { version, next_id, ledger, state: read.then(|| (state.number(), state.log())) }
    }

    /// What the first entry of a daemon says of them.
    pub fn found(&self) -> Mark {
        let (version, next_id) = (self.version, self.next_id);
        Mark::Found { version, next_id, state: self.state.map_or(0, |(number, _)| number) }
    }

    /// The places in the audit log that they name, and who does.
    pub fn heads(&self) -> impl Iterator<Item = (&'static str, Checkpoint)> {
        let state = self.state.and_then(|(_, head)| head);
        let named = [("the gallery", self.ledger.log), ("the door's state", state)];
        named.into_iter().filter_map(|(who, head)| Some((who, checkpoint(head?))))
    }

    /// Compares them with a log that is not there.
    pub fn without_log(&self) -> Reconciled {
        let mut found = Reconciled::default();
        for (who, head) in self.heads() {
            found.log_lacks(who, head);
        }
        found
    }
}

impl Reconciled {
    fn say(&mut self, words: &str) {
        if !self.words.is_empty() {
            self.words.push_str("; ");
        }
        self.words.push_str(words);
    }

    fn log_lacks(&mut self, who: &str, head: Checkpoint) {
        self.what.log = true;
        self.say(&format!("the audit log lacks entry {}, which {who} knows", head.entries));
    }

    /// What to do about it, for an operator.
    pub fn remedy() -> &'static str {
        "see facelatch status; facelatch mode normal --accept-rollback accepts the files as they are"
    }
}

/// Compares the files with the log, and writes the entries that a kill has kept out of it.
///
/// # Errors
/// When the log cannot be read or written; nothing has been done then.
pub fn reconcile<D: LogDisk>(
    log: &mut AuditLog<D>,
    books: &Books,
    now: Stamp,
) -> Result<Reconciled, AuditError> {
    let marks = log.marks().unwrap_or_default();
    let mut found = Reconciled { marks, newest_ms: log.found_wall_ms(), ..Reconciled::default() };
    let Books { version, next_id, ledger, state } = books;
    if *version < marks.gallery {
        found.what.gallery = true;
        found.say(&format!(
            "the gallery is of version {version}, the audit log knows of version {}",
            marks.gallery
        ));
    } else if *next_id < marks.next_id {
        found.what.gallery = true;
        found.say(&format!("the gallery gives out id {next_id}, which the audit log knows as given out"));
    }
    if let Some((number, _)) = state
        && *number < marks.state
    {
        found.what.state = true;
        let state = match number {
            0 => "the door's state is lost".to_owned(),
            n => format!("the door's state was written {n} times"),
        };
        found.say(&format!("{state}, the audit log knows of {} writes", marks.state));
    }
    for (who, head) in books.heads() {
        if !log.holds(head)? {
            found.log_lacks(who, head);
        }
    }
    let late = |change: &OwedChange, owed: &OwedEntry| {
        let detail = owed.detail.iter().map(String::as_str).chain(["late=true"]);
        let event = AuditEvent { subject: owed.subject, ..AuditEvent::new(&owed.event) };
        let OwedChange { version, next_id, .. } = *change;
        (now, event.with(detail.collect::<Vec<_>>().join(" ")).marked(Mark::Change { version, next_id }))
    };
    let missing = |change: &OwedChange| -> Vec<(Stamp, AuditEvent)> {
        change.missing((marks.gallery, marks.part)).iter().map(|owed| late(change, owed)).collect()
    };
    let events: Vec<_> = ledger.owed.iter().flat_map(missing).collect();
    if !events.is_empty() {
        log::warn!("event=audit_late entries={} reason=\"the process was killed before them\"", events.len());
        log.append(&events)?;
    }
    found.erase = Some(ledger.erase).filter(|version| *version > marks.erased);
    Ok(found)
}

/// The entry that a change of the gallery to this state owes the log.
pub fn owed(event: AuditEvent) -> OwedEntry {
    OwedEntry { event: event.event, subject: event.subject, detail: event.detail }
}

/// What an entry about the change to this gallery says of it.
pub fn change_mark(gallery: &Gallery) -> Mark {
    Mark::Change { version: gallery.version(), next_id: gallery.next_id() }
}

/// A place in the log, as gallery and state keep it.
pub fn log_head(at: Checkpoint) -> LogHead {
    LogHead { entries: at.entries, hash: at.hash.0 }
}

fn checkpoint(head: LogHead) -> Checkpoint {
    Checkpoint { entries: head.entries, hash: Hash(head.hash) }
}
