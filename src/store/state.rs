//! What of the door must outlive a restart: lockout and secure mode. One small JSON file.
//!
//! The end of a lockout is a time of the monotonic clock, which starts anew at each boot: the kernel's
//! boot id is written along with it. The wall clock plays no part.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::disk::{Disk, FileSystem, read, replace};
use crate::access::{Resume, Saved};

/// Where Linux tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The state file.
#[derive(Debug)]
pub struct StateStore {
    path: PathBuf,
    boot: String,
    disk: Box<dyn Disk>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    boot: String,
    saved: Saved,
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
        StateStore { path: path.to_owned(), boot: boot.to_owned(), disk }
    }

    /// What was saved. A file that is there but cannot be read is not the same as none.
    pub fn load(&self) -> Resume<Saved> {
        let bytes = match read(self.disk.as_ref(), &self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Resume::Fresh,
            Err(error) => {
                log::error!("event=state_unreadable file={:?} error={:?}", self.path, error.to_string());
                return Resume::Unreadable;
            }
        };
        match serde_json::from_slice::<Stored>(&bytes) {
            Ok(stored) if stored.version == 1 && stored.boot == self.boot => Resume::SameBoot(stored.saved),
            Ok(stored) if stored.version == 1 => Resume::OtherBoot(stored.saved),
            _ => {
                log::error!(
                    "event=state_unreadable file={} error=\"it is damaged: faces are locked out; see facelatch mode\"",
                    self.path.display()
                );
                Resume::Unreadable
            }
        }
    }

    /// Writes the state; on return it is on disk.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then untouched.
    pub fn save(&self, saved: &Saved) -> Result<(), StoreError> {
        let stored = Stored { version: 1, boot: self.boot.clone(), saved: *saved };
        let error = |source| StoreError::State { path: self.path.clone(), what: "write", source };
        let bytes = serde_json::to_vec(&stored).map_err(|e| error(e.into()))?;
        replace(self.disk.as_ref(), &self.path, &bytes).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::{SavedLock, SavedLockout};
    use crate::time::Timestamp;

    #[test]
    fn what_was_saved_returns_in_this_boot_and_another_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let store = StateStore::open(&path).unwrap();
        assert_eq!(store.load(), Resume::Fresh);
        let lock = SavedLock { until: Timestamp::from_nanos(u64::MAX), time: Duration::from_secs(30) };
        let lockout = SavedLockout { denials: 7, locked: Some(lock) };
        let saved = Saved { lockout, secure_mode: true };
        store.save(&saved).unwrap();
        assert_eq!(StateStore::open(&path).unwrap().load(), Resume::SameBoot(saved));
        let later = StateStore::on(Box::new(FileSystem), &path, "another");
        assert_eq!(later.load(), Resume::OtherBoot(saved));
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(store.load(), Resume::Unreadable, "cut at {cut}");
        }
        let missing = StateStore::on(Box::new(FileSystem), &dir.path().join("no/state"), "b");
        assert!(missing.save(&saved).unwrap_err().to_string().contains("no/state"));
    }
}
