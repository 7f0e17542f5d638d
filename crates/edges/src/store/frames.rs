//! Recorded frames: pictures of people, one sealed file each in a folder of their own.
//!
//! A file is named by the wall clock and the monotonic clock of its frame, so that the names sort by
//! age, and sealed as the gallery is (`seal.rs`), its name included: it cannot be passed off as another.
//! Inside stand the length of the note (4 bytes, little endian), the note as JSON, and the JPEG.
//!
//! The folder never grows beyond a size, the oldest frames going first, and frames beyond an age go
//! when it is swept.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::StoreKey;
use super::seal::{Magic, Unsealable, seal, unseal};
use facelatch_core::picture::Rect;

const MAGIC: Magic = *b"FLFRM\0\0\x01";
const SUFFIX: &str = ".frame";
/// The wall clock may go back by this much before frames count as coming from a wrong one.
const SLACK_MS: u64 = 86_400_000;

/// Why frames cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The system refused.
    #[error("recorded frame {path}: cannot {what}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a frame of this version.
    #[error("recorded frame {path}: {problem}; remove it")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// Key and file do not match, or a byte or the name was changed.
    #[error(
        "recorded frame {path}: it was sealed with another key than {key}, or was changed or renamed: \
         restore that key, or erase the frame"
    )]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Where the key came from.
        key: PathBuf,
    },
}

/// What stands beside a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameNote {
    /// Wall clock at its capture, ms since 1970.
    pub wall_ms: u64,
    /// Monotonic clock at its capture, ns since boot: the same as in the recording of the controller.
    pub captured_ns: u64,
    /// The camera's frame number.
    pub sequence: u64,
    /// Every face found.
    pub faces: Vec<Rect>,
}

impl FrameNote {
    fn file_name(&self) -> String {
        format!("{:015}-{:020}{SUFFIX}", self.wall_ms, self.captured_ns)
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The most bytes that the files together have.
    pub bytes: u64,
    /// None is kept for longer.
    pub age: Duration,
}

/// The folder of recorded frames.
#[derive(Debug)]
pub struct FrameStore {
    folder: PathBuf,
    key: StoreKey,
    limits: FrameLimits,
    /// Names and sizes.
    files: BTreeMap<String, u64>,
}

impl FrameStore {
    /// The frames in `folder`, which need not be there.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn open(folder: &Path, key: StoreKey, limits: FrameLimits) -> Result<Self, FrameError> {
        let mut store = Self::unlisted(folder, key, limits);
        store.look()?;
        Ok(store)
    }

    /// The same for a folder that cannot be listed just now: it is tried again when frames are swept or
    /// erased.
    pub fn unlisted(folder: &Path, key: StoreKey, limits: FrameLimits) -> Self {
        FrameStore { folder: folder.to_owned(), key, limits, files: BTreeMap::new() }
    }

    /// The names, oldest first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Their bytes together.
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    /// Adds a frame; the oldest ones make room for it. Not synced: after a power cut the last ones may
    /// be missing or damaged.
    ///
    /// # Errors
    /// When it cannot be written: it is then not there.
    pub fn add(&mut self, note: &FrameNote, jpeg: &[u8]) -> Result<(), FrameError> {
        let name = note.file_name();
        let path = self.folder.join(&name);
        let text = serde_json::to_vec(note).map_err(|e| self.io(&name, "encode", e.into()))?;
        let length = (text.len() as u32).to_le_bytes();
        let plain = Zeroizing::new([&length[..], &text, jpeg].concat());
        let sealed = seal(&self.key, &MAGIC, &name, &plain).map_err(|e| self.io(&name, "seal", e))?;
        let size = sealed.len() as u64;
        while !self.files.is_empty() && self.bytes() + size > self.limits.bytes {
            let oldest = self.files.first_key_value().map(|(name, _)| name.clone()).unwrap_or_default();
            self.remove(&oldest)?;
        }
        if self.files.is_empty() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.folder)
                .map_err(|e| self.io("", "make its folder", e))?;
        }
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&sealed));
        if let Err(source) = written {
            let _ = fs::remove_file(&path);
            return Err(self.io(&name, "write", source));
        }
        self.files.insert(name, size);
        Ok(())
    }

    /// A frame by its name.
    ///
    /// # Errors
    /// When it cannot be read, was sealed by another key or was changed.
    pub fn read(&self, name: &str) -> Result<(FrameNote, Zeroizing<Vec<u8>>), FrameError> {
        let path = self.folder.join(name);
        let bytes = fs::read(&path).map_err(|e| self.io(name, "read", e))?;
        let format = |problem| FrameError::Format { path: path.clone(), problem };
        let plain = unseal(&self.key, &MAGIC, name, &bytes).map_err(|why| match why {
            Unsealable::Short => format("the file is truncated"),
            Unsealable::Foreign => format("it is not a recorded frame"),
            Unsealable::Newer => format("it was written by a newer facelatch"),
            Unsealable::Sealed => {
                FrameError::Sealed { path: path.clone(), key: self.key.origin().to_owned() }
            }
        })?;
        let (length, rest) = plain.split_first_chunk().ok_or_else(|| format("it is empty"))?;
        let parts = rest.split_at_checked(u32::from_le_bytes(*length) as usize);
        let (text, jpeg) = parts.ok_or_else(|| format("its note is truncated"))?;
        let note = serde_json::from_slice(text).map_err(|_| format("its note is of another version"))?;
        Ok((note, Zeroizing::new(jpeg.to_vec())))
    }

    /// Removes what is older than allowed at this time of the wall clock, and what a wrong clock dated
    /// more than a day ahead; returns how many.
    ///
    /// # Errors
    /// When a file cannot be removed, or the folder not be listed.
    pub fn sweep(&mut self, wall_ms: u64) -> Result<usize, FrameError> {
        // Others may have erased some meanwhile.
        self.look()?;
        let age = u64::try_from(self.limits.age.as_millis()).unwrap_or(u64::MAX);
        let (from, to) = (wall_ms.saturating_sub(age), wall_ms.saturating_add(SLACK_MS));
        let over = |name: &&String| !taken(name).is_some_and(|at| (from..=to).contains(&at));
        let old: Vec<String> = self.files.keys().filter(over).cloned().collect();
        self.remove_all(old)
    }

    /// Removes every frame; returns how many.
    ///
    /// # Errors
    /// As [`FrameStore::sweep`].
    pub fn erase(&mut self) -> Result<usize, FrameError> {
        self.look()?;
        let all = self.files.keys().cloned().collect();
        self.remove_all(all)
    }

    fn look(&mut self) -> Result<(), FrameError> {
        self.files.clear();
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|e| self.io("", "list its folder", e))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| self.io("", "list its folder", e))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // One that disappeared meanwhile does not matter.
            if let (true, Ok(about)) = (name.ends_with(SUFFIX), entry.metadata()) {
                self.files.insert(name, about.len());
            }
        }
        Ok(())
    }

    fn remove_all(&mut self, names: Vec<String>) -> Result<usize, FrameError> {
        for name in &names {
            self.remove(name)?;
        }
        if !names.is_empty() {
            File::open(&self.folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|e| self.io("", "sync its folder", e))?;
        }
        Ok(names.len())
    }

    fn remove(&mut self, name: &str) -> Result<(), FrameError> {
        match fs::remove_file(self.folder.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(self.io(name, "remove", e)),
            _ => self.files.remove(name),
        };
        Ok(())
    }

    fn io(&self, name: &str, what: &'static str, source: io::Error) -> FrameError {
        FrameError::Io { path: self.folder.join(name), what, source }
    }
}

/// When a frame of this name was taken, in ms since 1970; `None` for a name that is none of ours.
fn taken(name: &str) -> Option<u64> {
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const DAY: u64 = 86_400_000;
    const NOW: u64 = 1_800_000_000_000;
    /// Stands for a JPEG.
    const PICTURE: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8];

    fn store(dir: &Path, bytes: u64) -> FrameStore {
        let key = StoreKey::open_or_create(&dir.join("key")).unwrap();
        let limits = FrameLimits { bytes, age: Duration::from_secs(7 * 86_400) };
        FrameStore::open(&dir.join("frames"), key, limits).unwrap()
    }

    fn note(wall_ms: u64) -> FrameNote {
        FrameNote { wall_ms, captured_ns: 5_000_000_001, sequence: 77, faces: vec![Rect::new(1, 2, 30, 40)] }
    }

    #[test]
    fn a_frame_returns_and_nothing_of_it_is_readable() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), 1 << 20).add(&note(NOW), PICTURE).unwrap();
        let store = store(dir.path(), 1 << 20);
        let name = store.names().next().unwrap().to_owned();
        let (found, picture) = store.read(&name).unwrap();
        assert_eq!((found, &picture[..]), (note(NOW), PICTURE));
        let file = dir.path().join("frames").join(&name);
        let bytes = fs::read(&file).unwrap();
        for plain in [&PICTURE[..4], b"faces", b"sequence", b"wall"] {
            assert!(!bytes.windows(plain.len()).any(|w| w == plain), "{plain:?} is readable");
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir.path().join("frames")), mode(&file)), (0o700, 0o600));
        // Damage, another name and another key are told.
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            assert!(store.read(&name).is_err(), "flip at {at}");
            fs::write(&file, &bytes[..at]).unwrap();
            assert!(store.read(&name).is_err(), "cut at {at}");
        }
        let other = note(NOW + 1).file_name();
        fs::write(dir.path().join("frames").join(&other), &bytes).unwrap();
        assert!(store.read(&other).unwrap_err().to_string().contains("renamed"));
        fs::write(&file, &bytes).unwrap();
        fs::remove_file(dir.path().join("key")).unwrap();
        let error = self::store(dir.path(), 1).read(&name).unwrap_err().to_string();
        assert!(error.contains("another key") && error.contains(&name) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn the_oldest_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path(), 1 << 20);
        store.add(&note(NOW), PICTURE).unwrap();
        let one = store.bytes();
        store.limits.bytes = 3 * one;
        for n in 1..10 {
            store.add(&note(NOW + n), PICTURE).unwrap();
            assert!(store.bytes() <= 3 * one);
        }
        let kept: Vec<_> = store.names().map(|name| taken(name).unwrap() - NOW).collect();
        assert_eq!(kept, [7, 8, 9]);
        assert_eq!(fs::read_dir(dir.path().join("frames")).unwrap().count(), 3);
    }

    #[test]
    fn a_sweep_removes_what_is_too_old_and_what_a_wrong_clock_dated() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path(), 1 << 20);
        for at in [0, NOW - 7 * DAY - 1, NOW - 7 * DAY, NOW, NOW + DAY, NOW + DAY + 1] {
            store.add(&note(at), PICTURE).unwrap();
        }
        fs::write(dir.path().join("frames/strange.frame"), "").unwrap();
        fs::write(dir.path().join("frames/somebody-elses"), "").unwrap();
        assert_eq!(store.sweep(NOW).unwrap(), 4);
        let kept: Vec<_> = store.names().map(|name| taken(name).unwrap()).collect();
        assert_eq!(kept, [NOW - 7 * DAY, NOW, NOW + DAY]);
        assert_eq!(store.erase().unwrap(), 3);
        assert_eq!(fs::read_dir(dir.path().join("frames")).unwrap().count(), 1);
        assert_eq!(store.erase().unwrap(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty_and_one_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path(), 1 << 20);
        assert_eq!((store.names().count(), store.sweep(NOW).unwrap(), store.erase().unwrap()), (0, 0, 0));
        assert!(!dir.path().join("frames").exists());
        store.folder = dir.path().join("key/frames");
        let error = store.add(&note(NOW), PICTURE).unwrap_err().to_string();
        assert!(error.contains("key/frames"), "{error}");
    }
}
