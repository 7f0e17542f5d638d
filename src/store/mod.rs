//! What is kept on disk: gallery, state over restarts ([`StateStore`]), recording ([`RecordingFile`]),
//! recorded frames ([`FrameStore`]).
//!
//! The gallery is encrypted, written whole, swapped in atomically.
//!
//! File format (version 1): the 8 bytes `FLGAL\0\0\x01`, a 24-byte nonce, then the gallery as JSON
//! under XChaCha20-Poly1305 (`seal.rs`). The key is 32 bytes in a file of mode 0600, or a systemd
//! credential.
//!
//! A write goes to a neighbour file, is synced, renamed over the old one, and the folder is synced:
//! after a crash at any moment the file is the old or the new one.

pub mod disk;
mod frames;
mod key;
mod recording;
mod seal;
mod state;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::access::SubjectId;
use crate::matching::{Embedding, Gallery, GalleryError, ModelHash, Subject};

use disk::{Disk, FileSystem};
use seal::{Magic, Unsealable, seal, unseal};

pub use frames::{FrameError, FrameLimits, FrameNote, FrameStore};
pub use key::StoreKey;
pub use recording::RecordingFile;
pub use state::StateStore;

const MAGIC: Magic = *b"FLGAL\0\0\x01";

/// Why the gallery cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused a read or write.
    #[error("gallery {path}: cannot {what}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The state file cannot be read or written.
    #[error("state {path}: cannot {what}: {source}")]
    State {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works on it.
    #[error("gallery {path}: another facelatch is using it; try again, or stop that one first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The key file is missing, readable by others, or of another size.
    #[error("key {path}: {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The file is not a gallery of this version.
    #[error("gallery {path}: {problem}; restore it from a backup, or move it away and enrol anew")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// Key and file do not belong together, or a byte was changed.
    #[error(
        "gallery {path}: it was written with another key than {key}, or was changed: restore the key \
         or the file from a backup, or move the file away and enrol anew"
    )]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Where the key came from.
        key: PathBuf,
    },
    /// The content makes no sense although it is authentic.
    #[error("gallery {path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: GalleryError,
    },
}

/// A gallery file and its key, held by this process alone.
#[derive(Debug)]
pub struct GalleryStore {
    path: PathBuf,
    key: StoreKey,
    disk: Box<dyn Disk>,
    /// Locked until the store is dropped; the lock dies with the process.
    _lock: Option<File>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredGallery {
    version: u64,
    next_id: u32,
    subjects: Vec<StoredSubject>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSubject {
    id: SubjectId,
    name: String,
    enrolled: u64,
    model: ModelHash,
    templates: Vec<Vec<f32>>,
}

impl GalleryStore {
    /// The store at `path`, sealed by `key`, locked against other processes.
    ///
    /// # Errors
    /// When another process holds it or its folder cannot be written.
    pub fn open(path: &Path, key: StoreKey) -> Result<Self, StoreError> {
        let error = |what, source| StoreError::Io { path: path.to_owned(), what, source };
        let file = path.with_extension("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .or_else(|e| match e.kind() {
                // A disk that has failed is often read-only: the door goes on with what is on it.
                io::ErrorKind::ReadOnlyFilesystem => File::open(&file),
                _ => Err(e),
            })
            .map_err(|e| {
                error("make its lock file (is its folder there, and may this user write in it?)", e)
            })?;
        match lock.try_lock() {
            Ok(()) => Ok(GalleryStore { _lock: Some(lock), ..Self::on(Box::new(FileSystem), path, key) }),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
            Err(fs::TryLockError::Error(e)) => Err(error("lock", e)),
        }
    }

    /// The store at `path` for reading alone, which a daemon may write meanwhile; nothing is made.
    pub fn for_reading(path: &Path, key: StoreKey) -> Self {
        Self::on(Box::new(FileSystem), path, key)
    }

    /// The store at `path` of another disk, which nobody else uses.
    pub fn on(disk: Box<dyn Disk>, path: &Path, key: StoreKey) -> Self {
        GalleryStore { path: path.to_owned(), key, disk, _lock: None }
    }

    /// Reads the gallery; a missing file is an empty gallery.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or was sealed by another key.
    pub fn load(&self) -> Result<Gallery, StoreError> {
        let bytes = match disk::read(self.disk.as_ref(), &self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Gallery::default()),
            Err(e) => return Err(self.io("read", e)),
        };
        let plain = self.unseal(&bytes)?;
        let stored: StoredGallery =
            serde_json::from_slice(&plain).map_err(|_| self.format("its content is of another version"))?;
        let subjects = stored
            .subjects
            .into_iter()
            .map(|s| Subject {
                id: s.id,
                name: s.name,
                enrolled: s.enrolled,
                model: s.model,
                templates: s.templates.into_iter().map(Embedding::new).collect(),
            })
            .collect();
        Gallery::restore(stored.version, stored.next_id, subjects)
            .map_err(|source| StoreError::Content { path: self.path.clone(), source })
    }

    /// Writes the gallery; on return it is on disk.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then untouched.
    pub fn save(&self, gallery: &Gallery) -> Result<(), StoreError> {
        let sealed = self.seal(gallery)?;
        disk::replace(self.disk.as_ref(), &self.path, &sealed).map_err(|e| self.io("write", e))
    }

    fn seal(&self, gallery: &Gallery) -> Result<Vec<u8>, StoreError> {
        let stored = StoredGallery {
            version: gallery.version(),
            next_id: gallery.next_id(),
            subjects: gallery
                .subjects()
                .iter()
                .map(|s| StoredSubject {
                    id: s.id,
                    name: s.name.clone(),
                    enrolled: s.enrolled,
                    model: s.model,
                    templates: s.templates.iter().map(|t| t.values().to_vec()).collect(),
                })
                .collect(),
        };
        let plain = serde_json::to_vec(&stored).map_err(|e| self.io("encode", io::Error::other(e)))?;
        let plain = Zeroizing::new(plain);
        seal(&self.key, &MAGIC, "", &plain).map_err(|e| self.io("seal", e))
    }

    fn unseal(&self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        unseal(&self.key, &MAGIC, "", bytes).map_err(|why| match why {
            Unsealable::Short => self.format("the file is cut short"),
            Unsealable::Foreign => self.format("this is no facelatch gallery"),
            Unsealable::Newer => self.format("it was written by a newer facelatch"),
            Unsealable::Sealed => {
                StoreError::Sealed { path: self.path.clone(), key: self.key.origin().to_owned() }
            }
        })
    }

    fn io(&self, what: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), what, source }
    }

    fn format(&self, problem: &'static str) -> StoreError {
        StoreError::Format { path: self.path.clone(), problem }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store(dir: &Path) -> GalleryStore {
        let key = StoreKey::open_or_create(&dir.join("key")).unwrap();
        GalleryStore::open(&dir.join("gallery"), key).unwrap()
    }

    fn gallery() -> Gallery {
        let mut gallery = Gallery::default();
        let template = Embedding::new(vec![0.1, -1.5e-30, 3.0e30, 1.0 / 3.0]);
        let _ = gallery.enrol("Ada", vec![template], ModelHash([9; 32]), 1_700_000_000).unwrap();
        gallery
    }

    #[test]
    fn a_missing_file_is_empty_and_a_saved_one_returns() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(store(dir.path()).load().unwrap(), Gallery::default());
        store(dir.path()).save(&gallery()).unwrap();
        assert_eq!(store(dir.path()).load().unwrap(), gallery());
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = store(dir.path());
        let key = StoreKey::open_or_create(&dir.path().join("key")).unwrap();
        let second = GalleryStore::open(&dir.path().join("gallery"), key);
        assert!(matches!(second, Err(StoreError::InUse { .. })));
        drop(first);
        let _ = store(dir.path());
    }

    #[test]
    fn nothing_readable_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).save(&gallery()).unwrap();
        let bytes = fs::read(dir.path().join("gallery")).unwrap();
        assert!(!bytes.windows(3).any(|w| w == b"Ada"));
        assert!(!bytes.windows(4).any(|w| w == 0.1f32.to_le_bytes()));
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.save(&gallery()).unwrap();
        let path = dir.path().join("gallery");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(store.load().is_err(), "flip at {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(store.load().is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_key_does_not_open_it() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).save(&gallery()).unwrap();
        fs::remove_file(dir.path().join("key")).unwrap();
        assert!(matches!(store(dir.path()).load(), Err(StoreError::Sealed { .. })));
    }

    proptest! {
        #[test]
        fn every_field_returns(
            names in prop::collection::btree_set("[a-zA-Zäß0-9._-]{1,20}", 0..5),
            values in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO, 1..20),
            model in any::<[u8; 32]>(),
            enrolled in any::<u64>(),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut gallery = Gallery::default();
            for name in &names {
                let templates = vec![Embedding::new(values.clone()); 2];
                let _ = gallery.enrol(name, templates, ModelHash(model), enrolled).unwrap();
            }
            store(dir.path()).save(&gallery).unwrap();
            prop_assert_eq!(store(dir.path()).load().unwrap(), gallery);
        }
    }
}
