//! The key that seals the gallery.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::StoreError;
use facelatch_host::disk::Disk;

/// 32 secret bytes. `Debug` shows where they came from, never the bytes.
pub struct StoreKey {
    bytes: Zeroizing<[u8; 32]>,
    origin: PathBuf,
}

impl StoreKey {
    /// A random key that lives as long as the process, for galleries that are never stored.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn random(origin: &Path) -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|e| StoreError::Key {
            path: origin.to_owned(),
            problem: format!("the system provides no random numbers: {e}"),
        })?;
        Ok(StoreKey { bytes, origin: origin.to_owned() })
    }

    /// Reads the key file, or makes a new key there when the file does not exist.
    ///
    /// # Errors
    /// When the file is readable by others, is not 32 bytes long, or cannot be read or made.
    pub fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        match fs::metadata(path) {
            Ok(_) => Self::open(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = Self::random(path)?;
                key.create().map_err(|e| problem(path, format!("cannot be made: {e}")))?;
                Ok(key)
            }
            Err(e) => Err(problem(path, format!("cannot be read: {e}"))),
        }
    }

    /// Reads an existing key file.
    ///
    /// # Errors
    /// As [`StoreKey::open_or_create`], and when the file does not exist.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let cannot = |e: io::Error| problem(path, format!("cannot be read: {e}"));
        let file = OpenOptions::new().read(true).open(path).map_err(cannot)?;
        let mode = file.metadata().map_err(cannot)?.permissions().mode();
        if mode & 0o077 != 0 {
            let mode = mode & 0o777;
            return Err(problem(path, format!("mode {mode:04o} lets others read it: chmod 600 it")));
        }
        let mut content = Zeroizing::new(Vec::with_capacity(33));
        file.take(33).read_to_end(&mut content).map_err(cannot)?;
        let bytes: [u8; 32] = content.as_slice().try_into().map_err(|_| {
            problem(path, "it must hold exactly 32 bytes: restore it from a backup".to_owned())
        })?;
        Ok(StoreKey { bytes: Zeroizing::new(bytes), origin: path.to_owned() })
    }

    /// Reads the key from another disk.
    ///
    /// # Errors
    /// When it is not there or not 32 bytes long.
    pub fn on(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let bytes =
            Zeroizing::new(disk.read(path).map_err(|e| problem(path, format!("cannot be read: {e}")))?);
        Self::from_bytes(&bytes, path)
            .ok_or_else(|| problem(path, "it must hold exactly 32 bytes".to_owned()))
    }

    fn create(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.origin)?;
        file.write_all(&*self.bytes)?;
        file.sync_all()
    }

    /// A key that was read; `None` unless it is 32 bytes long.
    pub(super) fn from_bytes(bytes: &[u8], origin: &Path) -> Option<Self> {
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        Some(StoreKey { bytes: Zeroizing::new(bytes), origin: origin.to_owned() })
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Where the key came from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }
}

pub(super) fn problem(path: &Path, problem: String) -> StoreError {
    StoreError::Key { path: path.to_owned(), problem }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey(redacted, from {})", self.origin.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_private_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = StoreKey::open_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = StoreKey::open_or_create(&path).unwrap();
        assert_eq!(made.bytes(), read.bytes());
        assert!(!format!("{read:?}").contains(&format!("{:?}", made.bytes())));
    }

    #[test]
    fn loose_modes_and_other_sizes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (mode, len, word) in [(0o644, 32, "chmod 600"), (0o600, 31, "32 bytes"), (0o600, 33, "32 bytes")]
        {
            fs::write(&path, vec![1; len]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = StoreKey::open_or_create(&path).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
