//! `[recording]`

use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::table::section;
use crate::store::FrameLimits;

section! {
    /// Everything the controller is told, for `facelatch replay`: similarities, no pictures.
    [recording] RecordingConfig;

    /// Whether to record it.
    enabled: bool = false;
    /// The recording. The part before it is kept under the same name with .old.
    file: PathBuf = "/var/lib/facelatch/recording".into();
    /// Each of the two files grows to about this size.
    max_mb: u64 = 64, range 1 to 4_096 MB;
    /// Also keep frames that show a face, encrypted with the store's key. These are pictures of people: tell
    /// them, and turn it on only to diagnose a problem (docs/guide/privacy.md).
    frames: bool = false;
    /// Folder of the frames: see `facelatch frames`.
    frames_folder: PathBuf = "/var/lib/facelatch/frames".into();
    /// Delete the oldest frames when all together are larger.
    frames_mb: u64 = 256, range 1 to 65_536 MB;
    /// Delete frames older than this.
    frames_days: u64 = 7, range 1 to 365 days;
}

impl Config {
    /// How many recorded frames are kept.
    pub fn frame_limits(&self) -> FrameLimits {
        FrameLimits {
            bytes: self.recording.frames_mb << 20,
            age: Duration::from_secs(self.recording.frames_days * 86_400),
        }
    }
}
