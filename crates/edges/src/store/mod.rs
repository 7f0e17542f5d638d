//! What is kept on disk: gallery, state over restarts ([`StateStore`]), recording ([`RecordingFile`]),
//! recorded frames ([`FrameStore`]).
//!
//! The gallery is encrypted, written whole, swapped in atomically.
//!
//! File format (version 3): the 8 bytes `FLGAL\0\0\x03`, a 24-byte nonce, then the gallery as JSON
//! under XChaCha20-Poly1305 (`seal.rs`), and with it the [`Ledger`]: what the audit log has yet to be told,
//! and where it stood. Version 2, which had no ledger, and version 1, which knew no consent notes and expiry
//! dates either, are read as well and replaced by version 3 with the next change. The key is 32 bytes in a
//! file of mode 0600, or a systemd credential (which may itself be sealed by a TPM: systemd-creds).
//!
//! A copy for a backup or another board is the same content under another key, and begins with
//! `FLCPY\0\0\x01`.
//!
//! Changing the key takes three steps, each atomic: the new key is written beside the old one (`.next`),
//! the gallery is written under the new key, the new key takes the old one's name. Whoever opens the
//! gallery after a crash finds out which key it is sealed with and completes what was started.
//!
//! A write goes to a neighbour file, is synced, renamed over the old one, and the folder is synced:
//! after a crash at any moment the file is the old or the new one.

mod error;
mod frames;
mod key;
mod ledger;
mod recording;
mod seal;
mod state;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use facelatch_core::access::SubjectId;
use facelatch_core::matching::{Embedding, Gallery, GalleryError, ModelHash, Subject};

use facelatch_host::disk::{self, Disk, FileSystem};
use seal::{Magic, Unsealable, seal, unseal};

pub use error::StoreError;
pub use frames::{FrameError, FrameLimits, FrameNote, FrameStore};
pub use key::StoreKey;
pub use ledger::{Ledger, LogHead, OwedChange, OwedEntry};
pub use recording::RecordingFile;
pub use state::StateStore;

const MAGIC: Magic = *b"FLGAL\0\0\x03";
const MAGIC_2: Magic = *b"FLGAL\0\0\x02";
const MAGIC_1: Magic = *b"FLGAL\0\0\x01";
const COPY_MAGIC: Magic = *b"FLCPY\0\0\x01";

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
    /// Copies have none: they are of no use to another board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<Ledger>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSubject {
    id: SubjectId,
    name: String,
    enrolled: u64,
    model: ModelHash,
    templates: Vec<Vec<f32>>,
    /// When looks were added; a person without any is read by versions that know none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    added: Vec<u64>,
    #[serde(default)]
    consent: Option<String>,
    #[serde(default)]
    expires: Option<u64>,
}

/// A gallery as JSON.
fn encode(gallery: &Gallery, ledger: Option<&Ledger>) -> io::Result<Zeroizing<Vec<u8>>> {
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
                added: s.added.clone(),
                consent: s.consent.clone(),
                expires: s.expires,
            })
            .collect(),
        ledger: ledger.cloned(),
    };
    Ok(Zeroizing::new(serde_json::to_vec(&stored)?))
}

/// What [`encode`] wrote; `None` when it is nothing of that kind.
fn decode(plain: &[u8]) -> Option<Result<(Gallery, Ledger), GalleryError>> {
    let stored: StoredGallery = serde_json::from_slice(plain).ok()?;
    let subjects = stored
        .subjects
        .into_iter()
        .map(|s| Subject {
            id: s.id,
            name: s.name,
            enrolled: s.enrolled,
            model: s.model,
            templates: s.templates.into_iter().map(Embedding::new).collect(),
            added: s.added,
            consent: s.consent,
            expires: s.expires,
        })
        .collect();
    let gallery = Gallery::restore(stored.version, stored.next_id, subjects);
    Some(gallery.map(|gallery| (gallery, stored.ledger.unwrap_or_default())))
}

/// What the first bytes of a gallery of a version that is read say.
fn magic_of(bytes: &[u8]) -> &'static Magic {
    [&MAGIC_1, &MAGIC_2].into_iter().find(|magic| bytes.starts_with(&magic[..])).unwrap_or(&MAGIC)
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
                // A disk that has failed is often read-only: the door continues with what is on it.
                io::ErrorKind::ReadOnlyFilesystem => File::open(&file),
                _ => Err(e),
            })
            .map_err(|e| error("make its lock file (check that its folder exists and is writable)", e))?;
        match lock.try_lock() {
            Ok(()) => {
                let store = GalleryStore { _lock: Some(lock), ..Self::on(Box::new(FileSystem), path, key) };
                store.settled()
            }
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
        self.load_with_ledger().map(|(gallery, _)| gallery)
    }

    /// Reads the gallery and what is still to be done about it.
    ///
    /// # Errors
    /// As [`GalleryStore::load`].
    pub fn load_with_ledger(&self) -> Result<(Gallery, Ledger), StoreError> {
        let bytes = match disk::read(self.disk.as_ref(), &self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(e) => return Err(self.io("read", e)),
        };
        self.read(&self.key, magic_of(&bytes), &bytes)
    }

    /// Writes the gallery, and with it what is then to be done; on return both are on the disk.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then untouched.
    pub fn save(&self, gallery: &Gallery, ledger: &Ledger) -> Result<(), StoreError> {
        let sealed = self.seal(&self.key, gallery, ledger)?;
        disk::replace(self.disk.as_ref(), &self.path, &sealed).map_err(|e| self.io("write", e))
    }

    /// As [`GalleryStore::save`], with a new key, which takes the place of the old one. After a crash at any
    /// moment the gallery opens, with the old or the new key.
    ///
    /// # Errors
    /// When one of the files cannot be written.
    pub fn rotate_key(&mut self, gallery: &Gallery, ledger: &Ledger) -> Result<(), StoreError> {
        let place = self.key.origin().to_owned();
        let key = StoreKey::random(&place)?;
        let next = next_key(&place);
        let cannot = |e: io::Error| key::problem(&place, format!("cannot be replaced: {e}"));
        disk::replace(self.disk.as_ref(), &next, key.bytes()).map_err(cannot)?;
        let sealed = self.seal(&key, gallery, ledger)?;
        let written = disk::replace(self.disk.as_ref(), &self.path, &sealed);
        written.map_err(|e| self.io("write", e))?;
        self.key = key;
        self.disk.rename(&next, &place).and_then(|()| self.disk.sync_folder(&place)).map_err(cannot)
    }

    /// Completes an interrupted change of the key, if there was one.
    ///
    /// # Errors
    /// When the new key cannot take its place.
    pub fn settled(mut self) -> Result<Self, StoreError> {
        let place = self.key.origin().to_owned();
        let next = next_key(&place);
        let Ok(bytes) = self.disk.read(&next) else { return Ok(self) };
        let (Some(new), Ok(file)) = (StoreKey::from_bytes(&bytes, &place), self.disk.read(&self.path)) else {
            return Ok(self);
        };
        let opens = |key: &StoreKey| unseal(key, magic_of(&file), "", &file).is_ok();
        if !opens(&self.key) && opens(&new) {
            let cannot = |e: io::Error| key::problem(&place, format!("cannot be replaced: {e}"));
            self.key = new;
            self.disk.rename(&next, &place).and_then(|()| self.disk.sync_folder(&place)).map_err(cannot)?;
        }
        Ok(self)
    }

    /// Writes people for a backup or another board, sealed with a key of its own.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_copy(path: &Path, key: &StoreKey, people: &Gallery) -> Result<(), StoreError> {
        let io = |e| StoreError::Io { path: path.to_owned(), what: "write", source: e };
        let sealed = encode(people, None).and_then(|plain| seal(key, &COPY_MAGIC, "", &plain)).map_err(io)?;
        disk::replace(&FileSystem, path, &sealed).map_err(io)
    }

    /// Reads what [`GalleryStore::write_copy`] wrote.
    ///
    /// # Errors
    /// When it cannot be read, was sealed with another key, or is not such a file.
    pub fn read_copy(path: &Path, key: StoreKey) -> Result<Gallery, StoreError> {
        let store = Self::on(Box::new(FileSystem), path, key);
        let bytes = store.disk.read(path).map_err(|e| store.io("read", e))?;
        store.read(&store.key, &COPY_MAGIC, &bytes).map(|(people, _)| people)
    }

    fn seal(&self, key: &StoreKey, gallery: &Gallery, ledger: &Ledger) -> Result<Vec<u8>, StoreError> {
        let plain = encode(gallery, Some(ledger)).map_err(|e| self.io("encode", e))?;
        seal(key, &MAGIC, "", &plain).map_err(|e| self.io("seal", e))
    }

    fn read(&self, key: &StoreKey, magic: &Magic, bytes: &[u8]) -> Result<(Gallery, Ledger), StoreError> {
        let plain = unseal(key, magic, "", bytes).map_err(|why| match why {
            Unsealable::Short => self.format("the file is truncated"),
            Unsealable::Foreign => self.format("it is not such a file made by facelatch"),
            Unsealable::Newer => self.format("it was written by a newer facelatch"),
            Unsealable::Sealed => {
                StoreError::Sealed { path: self.path.clone(), key: key.origin().to_owned() }
            }
        })?;
        decode(&plain)
            .ok_or_else(|| self.format("its content is of another version"))?
            .map_err(|source| StoreError::Content { path: self.path.clone(), source })
    }

    fn io(&self, what: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), what, source }
    }

    fn format(&self, problem: &'static str) -> StoreError {
        StoreError::Format { path: self.path.clone(), problem }
    }
}

/// People as JSON, templates included, for another process or board. Biometric data: to be sealed before it
/// is written anywhere.
pub fn to_json(people: &Gallery) -> serde_json::Value {
    encode(people, None).ok().and_then(|plain| serde_json::from_slice(&plain).ok()).unwrap_or_default()
}

/// What [`to_json`] gave.
///
/// # Errors
/// What is wrong with it, in words.
pub fn from_json(people: serde_json::Value) -> Result<Gallery, String> {
    let plain = Zeroizing::new(people.to_string().into_bytes());
    let people = decode(&plain).ok_or("it holds no people exported by facelatch")?;
    people.map(|(people, _)| people).map_err(|e| e.to_string())
}

/// Where a new key waits until the gallery is sealed with it.
fn next_key(place: &Path) -> PathBuf {
    place.with_extension("next")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use facelatch_core::matching::Note;

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
        store(dir.path()).save(&gallery(), &Ledger::default()).unwrap();
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
        store(dir.path()).save(&gallery(), &Ledger::default()).unwrap();
        let bytes = fs::read(dir.path().join("gallery")).unwrap();
        assert!(!bytes.windows(3).any(|w| w == b"Ada"));
        assert!(!bytes.windows(4).any(|w| w == 0.1f32.to_le_bytes()));
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.save(&gallery(), &Ledger::default()).unwrap();
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
        store(dir.path()).save(&gallery(), &Ledger::default()).unwrap();
        fs::remove_file(dir.path().join("key")).unwrap();
        assert!(matches!(store(dir.path()).load(), Err(StoreError::Sealed { .. })));
    }

    #[test]
    fn files_of_the_versions_before_are_read_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let two = br#"{"version":3,"next_id":5,"subjects":[{"id":4,"name":"Ada","enrolled":7,"model":[9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9],"templates":[[0.5,1.0]],"consent":"form 1","expires":99}]}"#;
        fs::write(dir.path().join("gallery"), seal(&store.key, &MAGIC_2, "", two).unwrap()).unwrap();
        let (gallery, ledger) = store.load_with_ledger().unwrap();
        assert_eq!((gallery.version(), gallery.next_id(), ledger), (3, 5, Ledger::default()));
        assert_eq!(gallery.subjects()[0].consent.as_deref(), Some("form 1"));
        let old = br#"{"version":3,"next_id":5,"subjects":[{"id":4,"name":"Ada","enrolled":7,"model":[9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9],"templates":[[0.5,1.0]]}]}"#;
        fs::write(dir.path().join("gallery"), seal(&store.key, &MAGIC_1, "", old).unwrap()).unwrap();
        let gallery = store.load().unwrap();
        let ada = &gallery.subjects()[0];
        assert_eq!((ada.id, ada.name.as_str(), ada.enrolled), (SubjectId(4), "Ada", 7));
        assert_eq!((&ada.consent, ada.expires), (&None, None));
        store.save(&gallery, &Ledger::default()).unwrap();
        assert!(fs::read(dir.path().join("gallery")).unwrap().starts_with(&MAGIC));
        assert_eq!(store.load().unwrap(), gallery);
        // What is owed comes back with it.
        let owed = OwedChange { version: 4, next_id: 5, entries: Vec::new() };
        let ledger = Ledger::default().with(owed, true, None, (0, 0));
        store.save(&gallery, &ledger).unwrap();
        assert_eq!(store.load_with_ledger().unwrap(), (gallery, ledger));
    }

    #[test]
    fn the_key_is_changed_and_the_old_one_opens_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        store.save(&gallery(), &Ledger::default()).unwrap();
        let old = fs::read(dir.path().join("key")).unwrap();
        store.rotate_key(&gallery(), &Ledger::default()).unwrap();
        assert_eq!(store.load().unwrap(), gallery());
        drop(store);
        assert_eq!(super::tests::store(dir.path()).load().unwrap(), gallery());
        let new = fs::read(dir.path().join("key")).unwrap();
        assert!(new != old && new.len() == 32 && !dir.path().join("key.next").exists());
        fs::write(dir.path().join("key"), &old).unwrap();
        assert!(matches!(super::tests::store(dir.path()).load(), Err(StoreError::Sealed { .. })));
    }

    #[test]
    fn copies_open_with_their_own_key_only_and_are_no_gallery() {
        let dir = tempfile::tempdir().unwrap();
        let key = |name: &str| StoreKey::open_or_create(&dir.path().join(name)).unwrap();
        let path = dir.path().join("backup");
        GalleryStore::write_copy(&path, &key("a"), &gallery()).unwrap();
        assert_eq!(GalleryStore::read_copy(&path, key("a")).unwrap(), gallery());
        assert!(matches!(GalleryStore::read_copy(&path, key("b")), Err(StoreError::Sealed { .. })));
        fs::copy(&path, dir.path().join("gallery")).unwrap();
        assert!(matches!(store(dir.path()).load(), Err(StoreError::Format { .. })));
    }

    proptest! {
        /// Whatever stands in the files: an error, never a panic, and never somebody enrolled.
        #[test]
        fn arbitrary_files_are_errors(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            head in 0usize..=8,
            magic in prop::sample::select(vec![MAGIC, MAGIC_2, MAGIC_1, COPY_MAGIC]),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let bytes = [&magic[..head], &bytes].concat();
            fs::write(dir.path().join("gallery"), &bytes).unwrap();
            prop_assert!(store(dir.path()).load().is_err());
            let key = StoreKey::open(&dir.path().join("key")).unwrap();
            prop_assert!(GalleryStore::read_copy(&dir.path().join("gallery"), key).is_err());
        }

        /// Authentic files with senseless content: those that decode are sensible galleries.
        #[test]
        fn altered_content_is_an_error_or_a_sensible_gallery(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut plain = encode(&gallery(), Some(&Ledger::default())).unwrap().to_vec();
            for (at, byte) in changes {
                let at = at.index(plain.len());
                plain[at] = byte;
            }
            if let Some(Ok((gallery, _))) = decode(&plain) {
                for subject in gallery.subjects() {
                    prop_assert!(Gallery::check_name(&subject.name).is_ok() && !subject.templates.is_empty());
                }
            }
            prop_assert!(decode(&plain[..cut.index(plain.len())]).is_none());
        }

        #[test]
        fn every_field_returns(
            names in prop::collection::btree_set("[a-zA-Zäß0-9._-]{1,20}", 0..5),
            values in prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO, 1..20),
            model in any::<[u8; 32]>(),
            enrolled in any::<u64>(),
            consent in prop::option::of("[ -~äöü]{1,60}"),
            expires in prop::option::of(any::<u64>()),
            looks in 0usize..3,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut gallery = Gallery::default();
            for name in &names {
                let templates = vec![Embedding::new(values.clone()); 2];
                // Names that look alike are refused.
                let Ok(id) = gallery.enrol(name, templates, ModelHash(model), enrolled) else { continue };
                for _ in 0..looks {
                    let _ = gallery.add_look(id, Embedding::new(values.clone()), ModelHash(model), enrolled).unwrap();
                }
                let note = Note { consent: Some(consent.clone()), expires: Some(expires) };
                let _ = gallery.note(name, &note).unwrap();
            }
            store(dir.path()).save(&gallery, &Ledger::default()).unwrap();
            prop_assert_eq!(store(dir.path()).load().unwrap(), gallery);
        }
    }
}
