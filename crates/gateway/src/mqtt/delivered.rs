//! The number of the last event that the broker has, over restarts.

use std::io;
use std::path::{Path, PathBuf};

use super::error::MqttError;
use facelatch_host::disk::{self, FileSystem};

/// The number, and the file that holds it.
#[derive(Debug)]
pub(super) struct Delivered {
    path: PathBuf,
    number: Option<u64>,
    /// False while the file is behind.
    written: bool,
}

impl Delivered {
    /// Reads the file; one that is missing holds nothing yet.
    pub(super) fn open(path: &Path) -> Result<Self, MqttError> {
        let error = |problem: String| MqttError::File { key: "delivered", path: path.to_owned(), problem };
        let number = match disk::read(&FileSystem, path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let number = text.trim().parse();
                Some(number.map_err(|_| {
                    error(
                        "contains no number; remove it to deliver events from now on, or write into it the \
                         number of the last event that Home Assistant has"
                            .into(),
                    )
                })?)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(error(format!("cannot be read: {e}"))),
        };
        Ok(Delivered { path: path.to_owned(), number, written: true })
    }

    /// The number; `None` before any is known.
    pub(super) fn number(&self) -> Option<u64> {
        self.number
    }

    /// From now on this one. Where it cannot be written it holds until the process ends: after that
    /// events come again, which is told by their numbers.
    pub(super) fn set(&mut self, number: u64) {
        self.number = Some(number);
        let outcome = disk::replace(&FileSystem, &self.path, format!("{number}\n").as_bytes());
        if let Err(error) = &outcome
            && self.written
        {
            log::error!("event=mqtt_not_saved file={:?} error={:?}", self.path, error.to_string());
        }
        self.written = outcome.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_outlives_the_process_and_a_broken_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("delivered");
        let mut delivered = Delivered::open(&path).unwrap();
        assert_eq!(delivered.number(), None);
        delivered.set(41);
        delivered.set(42);
        assert_eq!(Delivered::open(&path).unwrap().number(), Some(42));
        for bad in ["", "x", "-1", "99999999999999999999"] {
            std::fs::write(&path, bad).unwrap();
            let error = Delivered::open(&path).unwrap_err().to_string();
            assert!(error.contains("mqtt.delivered") && error.contains("no number"), "{error}");
        }
        // A folder that is not there: the number holds in memory.
        let mut lost = Delivered::open(&dir.path().join("no/delivered")).unwrap();
        lost.set(7);
        assert_eq!(lost.number(), Some(7));
    }
}
