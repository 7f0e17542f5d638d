//! The configuration that the service's daemon last started with, kept in its state folder.
//!
//! Editing the configuration while the door is open must not keep it open: the line that the
//! daemon drove is secured, whatever the file has said since.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use facelatch_host::config_file::ConfigError;

use crate::config::Config;
use crate::disk::{self, Disk, FileSystem};
use crate::strike::{self, StrikeSettings};

/// Within the state folder.
const FILE: &str = "config-in-force.toml";

/// Where the copy is, for a program that systemd has started with a state folder.
pub(super) struct LastConfig {
    path: PathBuf,
}

impl LastConfig {
    /// By the folders that systemd names in `STATE_DIRECTORY`; the first counts.
    pub(super) fn of_service() -> Option<Self> {
        Self::within(std::env::var_os("STATE_DIRECTORY")?)
    }

    fn within(folders: OsString) -> Option<Self> {
        let folder = std::env::split_paths(&folders).next().filter(|path| path.is_absolute())?;
        Some(LastConfig { path: folder.join(FILE) })
    }

    /// Secures the strike of that configuration, unless its line is that of `present`, which is about to be
    /// secured as it is wired now. A line that cannot be taken is logged: the present strike matters more.
    pub(super) fn secure_unless(&self, present: Option<&StrikeSettings>) {
        let former = match Config::load(&self.path) {
            Ok(config) => config.strike_settings(),
            Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return log::error!("event=former_strike_unknown error={:?}", error.to_string()),
        };
        if present.is_some_and(|present| present.is_same_line(&former)) {
            return;
        }
        match strike::open(&former) {
            // Opening it has secured it.
            Ok(strike) => log::warn!("event=former_strike_secured strike={:?}", strike.describe()),
            Err(error) => log::error!("event=former_strike_not_secured error={:?}", error.to_string()),
        }
    }

    /// Keeps `config`, the text of the configuration at `from`, as the one in force. Without the copy the
    /// door works as well, so a full disk must not keep it shut.
    pub(super) fn keep(&self, config: &[u8], from: &Path) {
        self.keep_on(&FileSystem, config, from);
    }

    /// After a crash or a power cut at any moment the file is the old or the new one: half a configuration
    /// would name no line to secure.
    fn keep_on(&self, disk: &dyn Disk, config: &[u8], from: &Path) {
        // A start with the same configuration needs no disk that takes writes.
        if disk.read(&self.path).is_ok_and(|kept| kept == config) {
            // A process killed during this may have left the name unsynced.
            let _ = disk.sync_folder(&self.path);
            return;
        }
        if let Err(error) = disk::replace(disk, &self.path, config) {
            log::error!(
                "event=config_not_kept file={} of={} error={:?}",
                self.path.display(),
                from.display(),
                error.to_string()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes down what is asked of it.
    #[derive(Debug, Default)]
    struct Noted(Mutex<Vec<String>>);

    impl Noted {
        fn note(&self, what: &str, path: &Path) -> io::Result<()> {
            let name = path.file_name().unwrap().to_string_lossy();
            self.0.lock().unwrap().push(format!("{what} {name}"));
            Ok(())
        }
    }

    impl Disk for Noted {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
        fn write(&self, path: &Path, _: &[u8]) -> io::Result<()> {
            self.note("write", path)
        }
        fn sync(&self, path: &Path) -> io::Result<()> {
            self.note("sync", path)
        }
        fn rename(&self, _: &Path, to: &Path) -> io::Result<()> {
            self.note("rename to", to)
        }
        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.note("sync the folder of", path)
        }
    }

    #[test]
    fn the_copy_is_on_the_disk_before_it_takes_the_place_of_the_old_one() {
        let disk = Noted::default();
        let kept = LastConfig::within("/var/lib/facelatch".into()).unwrap();
        kept.keep_on(&disk, b"[strike]", Path::new("/etc/facelatch/facelatch.toml"));
        assert_eq!(
            *disk.0.lock().unwrap(),
            [
                "write config-in-force.new",
                "sync config-in-force.new",
                "rename to config-in-force.toml",
                "sync the folder of config-in-force.toml"
            ]
        );
    }

    #[test]
    fn the_first_absolute_folder_counts() {
        let path = |folders: &str| LastConfig::within(folders.into()).map(|kept| kept.path);
        assert_eq!(path("/var/lib/facelatch:/b"), Some("/var/lib/facelatch/config-in-force.toml".into()));
        assert_eq!(path("facelatch"), None);
        assert_eq!(path(""), None);
    }
}
