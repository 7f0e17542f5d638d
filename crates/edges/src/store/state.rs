//! What of the door must outlive a restart: lockout and secure mode. One small JSON file.
//!
//! Each write has a number, and says where the audit log stood: with the log's own word on the number of the
//! last write ([`facelatch_core::access::RolledBack`]), a file put back from a copy, or lost, shows.
//!
//! The end of a lockout is a time of the monotonic clock, which restarts at each boot: the kernel's
//! boot id is written along with it. The wall clock plays no part.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::ledger::LogHead;
use facelatch_core::access::{PersistentState, Restored, SubjectId};
use facelatch_host::disk::{Disk, FileSystem, read, replace};

/// Where Linux tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The state file.
#[derive(Debug)]
pub struct StateStore {
    path: PathBuf,
    boot: String,
    disk: Box<dyn Disk>,
    /// Of the last write; 0 before there was any, and in files of version 1.
    number: Cell<u64>,
    /// Where the audit log stands, as far as it has been said.
    log: Cell<Option<LogHead>>,
    /// People whose time is over: the date, and for how many seconds of uptime the clock has said so.
    over: RefCell<BTreeMap<SubjectId, (u64, u64)>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredState {
    version: u32,
    boot: String,
    saved: PersistentState,
    #[serde(default)]
    number: u64,
    #[serde(default)]
    log: Option<LogHead>,
    #[serde(default)]
    over: BTreeMap<SubjectId, (u64, u64)>,
}

impl StateStore {
    /// The state file at `path`, in the present boot of this machine.
    ///
    /// # Errors
    /// When the kernel does not tell which boot this is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let boot = fs::read_to_string(BOOT_ID).map_err(|source| StoreError::State {
            path: BOOT_ID.into(),
            what: "read (is /proc mounted?)",
            source,
        })?;
        Ok(Self::on(Box::new(FileSystem), path, boot.trim()))
    }

    /// The state file at `path` of another disk, in a boot of this name.
    pub fn on(disk: Box<dyn Disk>, path: &Path, boot: &str) -> Self {
        let (number, log) = (Cell::new(0), Cell::new(None));
        let over = RefCell::default();
        StateStore { path: path.to_owned(), boot: boot.to_owned(), disk, number, log, over }
    }

    /// The number of the last write, as [`StateStore::load`] has found it or [`StateStore::save`] has made it.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// Where the audit log stood at the last write, or what [`StateStore::log_stands`] was told since.
    pub fn log(&self) -> Option<LogHead> {
        self.log.get()
    }

    /// The audit log stands there: the next write says so.
    pub fn log_stands(&self, head: LogHead) {
        self.log.set(Some(head));
    }

    /// People whose time is over, as it was found: the date, and for how many seconds of uptime the clock has
    /// said so.
    pub fn over(&self) -> BTreeMap<SubjectId, (u64, u64)> {
        self.over.borrow().clone()
    }

    /// The next write has these people.
    pub fn note_over(&self, over: BTreeMap<SubjectId, (u64, u64)>) {
        self.over.replace(over);
    }

    /// The next write has a greater number than this one.
    pub fn go_on_after(&self, number: u64) {
        self.number.set(self.number.get().max(number));
    }

    /// What was saved. A file that is there but cannot be read is not the same as none.
    pub fn load(&self) -> Restored<PersistentState> {
        let bytes = match read(self.disk.as_ref(), &self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Restored::Fresh,
            Err(error) => {
                log::error!("event=state_unreadable file={:?} error={:?}", self.path, error.to_string());
                return Restored::Unreadable;
            }
        };
        match serde_json::from_slice::<StoredState>(&bytes) {
            Ok(stored) if matches!(stored.version, 1 | 2) => {
                self.number.set(stored.number);
                self.log.set(stored.log);
                self.over.replace(stored.over);
                match stored.boot == self.boot {
                    true => Restored::SameBoot(stored.saved),
                    false => Restored::OtherBoot(stored.saved),
                }
            }
            _ => {
                log::error!(
                    "event=state_unreadable file={} error=\"it is damaged: faces are locked out; see facelatch mode\"",
                    self.path.display()
                );
                Restored::Unreadable
            }
        }
    }

    /// Writes the state; on return it is on disk.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then untouched.
    pub fn save(&self, saved: &PersistentState) -> Result<(), StoreError> {
        let (number, log) = (self.number.get() + 1, self.log.get());
        let stored = StoredState {
            version: 2,
            boot: self.boot.clone(),
            saved: *saved,
            number,
            log,
            over: self.over(),
        };
        let error = |source| StoreError::State { path: self.path.clone(), what: "write", source };
        let bytes = serde_json::to_vec(&stored).map_err(|e| error(e.into()))?;
        replace(self.disk.as_ref(), &self.path, &bytes).map_err(error)?;
        self.number.set(number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use facelatch_core::access::{SavedLock, SavedLockout};
    use facelatch_core::time::Timestamp;

    #[test]
    fn what_was_saved_returns_in_this_boot_and_another_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let store = StateStore::open(&path).unwrap();
        assert_eq!(store.load(), Restored::Fresh);
        let lock = SavedLock { until: Timestamp::from_nanos(u64::MAX), time: Duration::from_secs(30) };
        let lockout = SavedLockout { denials: 7, locked: Some(lock) };
        let saved = PersistentState { lockout, secure_mode: true, ..PersistentState::default() };
        // A file of version 1, which had no numbers.
        let stored = serde_json::json!({"version": 1, "boot": store.boot, "saved": saved});
        fs::write(&path, stored.to_string()).unwrap();
        assert_eq!((store.load(), store.number()), (Restored::SameBoot(saved), 0));
        store.save(&PersistentState::default()).unwrap();
        store.log_stands(LogHead { entries: 5, hash: [7; 32] });
        store.note_over([(SubjectId(4), (99, 3_600))].into());
        store.save(&saved).unwrap();
        let again = StateStore::open(&path).unwrap();
        assert_eq!((again.load(), again.number()), (Restored::SameBoot(saved), 2));
        assert_eq!(again.over(), [(SubjectId(4), (99, 3_600))].into());
        assert_eq!(again.log(), Some(LogHead { entries: 5, hash: [7; 32] }));
        assert_eq!(StateStore::open(&path).unwrap().load(), Restored::SameBoot(saved));
        let later = StateStore::on(Box::new(FileSystem), &path, "another");
        assert_eq!(later.load(), Restored::OtherBoot(saved));
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(store.load(), Restored::Unreadable, "cut at {cut}");
        }
        let missing = StateStore::on(Box::new(FileSystem), &dir.path().join("no/state"), "b");
        assert!(missing.save(&saved).unwrap_err().to_string().contains("no/state"));
    }
}
