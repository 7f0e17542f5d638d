//! What the audit log asks of a disk, and the folder that gives it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::AuditError;

/// A flat set of files by name.
pub trait LogDisk {
    /// What to call a file, or with an empty name the whole, in messages.
    fn place(&self, name: &str) -> String;
    /// The files there, in any order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// A whole file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// An empty file of that name, in place of any other; on return its name is on the disk.
    fn create(&mut self, name: &str) -> io::Result<()>;
    /// Writes into a file at an offset. Not on the disk before [`LogDisk::sync`].
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// On return all bytes written into the file are on the disk.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Cuts a file; on return the disk has it cut.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Removes a file; on return it is gone from the disk.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// What a disk has refused, in words.
pub(super) fn refused(disk: &impl LogDisk, name: &str, what: &'static str, source: io::Error) -> AuditError {
    AuditError::Io { place: disk.place(name), what, source }
}

/// A folder, for one writer at a time.
#[derive(Debug)]
pub struct FolderDisk {
    folder: PathBuf,
    open: Option<(String, File)>,
    /// Locked while this lives, by a writer.
    _lock: Option<File>,
}

impl FolderDisk {
    /// The folder, read-only; a writer may continue meanwhile.
    pub fn for_reading(folder: &Path) -> Self {
        FolderDisk { folder: folder.to_owned(), open: None, _lock: None }
    }

    /// The folder for the one who writes; it is made (mode 0700) when it is not there.
    ///
    /// # Errors
    /// When it cannot be made or another process writes there.
    pub fn for_writing(folder: &Path) -> Result<Self, AuditError> {
        let place = || folder.display().to_string();
        let error = |what, source| AuditError::Io { place: place(), what, source };
        let mut make = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        make.recursive(true)
            .create(folder)
            .map_err(|e| error("make its folder (check that its parent folder exists and is writable)", e))?;
        let lock = private(true)
            .open(folder.join("lock"))
            .map_err(|e| error("make its lock file (check that its folder is writable)", e))?;
        match lock.try_lock() {
            Ok(()) => Ok(FolderDisk { folder: folder.to_owned(), open: None, _lock: Some(lock) }),
            Err(fs::TryLockError::WouldBlock) => Err(AuditError::InUse { place: place() }),
            Err(fs::TryLockError::Error(e)) => Err(error("lock", e)),
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(open, _)| open != name) {
            let file = private(false).open(self.folder.join(name))?;
            self.open = Some((name.to_owned(), file));
        }
        self.open.as_ref().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

fn private(create: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(create).truncate(false).mode(0o600);
    options
}

impl LogDisk for FolderDisk {
    fn place(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|e| e.file_name().into_string().ok());
        fs::read_dir(&self.folder)?.filter_map(|e| name(e).transpose()).collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join(name))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = private(true).open(self.folder.join(name))?;
        file.set_len(0)?;
        self.open = Some((name.to_owned(), file));
        self.sync_folder()
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let file = self.file(name)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(open, _)| open == name) {
            self.open = None;
        }
        fs::remove_file(self.folder.join(name))?;
        self.sync_folder()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_folder_for_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("audit");
        let mut disk = FolderDisk::for_writing(&folder).unwrap();
        assert!(matches!(FolderDisk::for_writing(&folder), Err(AuditError::InUse { .. })));
        disk.create("a").unwrap();
        disk.write_at("a", 0, b"one two").unwrap();
        disk.create("b").unwrap();
        disk.write_at("a", 4, b"three").unwrap();
        disk.sync("a").unwrap();
        disk.truncate("a", 7).unwrap();
        assert_eq!(FolderDisk::for_reading(&folder).read("a").unwrap(), b"one thr");
        disk.remove("a").unwrap();
        let mut names = disk.names().unwrap();
        names.sort();
        assert_eq!(names, ["b", "lock"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("b"))), (0o700, 0o600));
        drop(disk);
        let _ = FolderDisk::for_writing(&folder).unwrap();
    }
}
