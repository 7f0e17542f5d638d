//! The few things that the stores ask of a disk, so that a simulated one can fail and lose power.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file larger than this is not ours: a gallery of a million people takes less.
const MAX_BYTES: u64 = 4 << 30;

/// A disk, as far as the stores need one.
pub trait Disk: fmt::Debug + Send {
    /// A whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// A file with this content in place of any other, for this user alone. Not on the disk before
    /// [`Disk::sync`].
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// On return the file's content is on the disk.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, in place of any other of that name. Not on the disk before
    /// [`Disk::sync_folder`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// On return the names in the folder of `path` are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Replaces a file: after a crash at any moment it is the old or the new one; on return it is the new
/// one for good.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    disk.write(&new, bytes)?;
    swap_in(disk, &new, path)
}

/// The last steps of [`replace`] for a neighbour file that somebody else has written, with an owner or a
/// mode of its own.
pub fn swap_in(disk: &dyn Disk, new: &Path, path: &Path) -> io::Result<()> {
    disk.sync(new)?;
    disk.rename(new, path)?;
    disk.sync_folder(path)
}

/// Reads a file that [`replace`] wrote. What a process killed in between has renamed is seen by this
/// system, but a power cut would undo it: on return it is on the disk.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let bytes = disk.read(path)?;
    disk.sync_folder(path)?;
    Ok(bytes)
}
