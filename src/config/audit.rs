//! `[audit]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Config;
use super::table::{Fault, section};
use crate::audit::Rotation;

section! {
    /// Who opened the door and when: see `facelatch audit`.
    [audit] AuditConfig;

    /// Folder of the log: files of mode 0600, people by id.
    folder: PathBuf = "/var/lib/facelatch/audit".into();
    /// Begin a new file at this size (4096: 10000 entries).
    file_kib: u64 = 4_096, range 16 to 1_048_576 KiB;
    /// Keep this many files.
    keep_files: usize = 16, range 2 to 10_000;
    /// The most important entries of removed files are kept: enrolments and removals, releases for people, other
    /// releases. Each of these three kinds has this much room of its own, so that a flood of other entries
    /// cannot push them out (64: 140000 releases).
    kept_mb: u64 = 64, range 1 to 65_536 MB;
    /// A release by face waits at most this long, and at most half of access.hold_ms, for its entry to reach the
    /// disk. 0 needs on_unrecorded = "release".
    sync_timeout_ms: u64 = 1_000, range 0 to 5_000 ms, old wait_ms;
    /// If the entry is not on the disk in time: deny, or release anyway.
    on_unrecorded: Unrecorded = Unrecorded::default(), old unrecorded;
}

/// What a release does when its entry in the audit log is not on the disk in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unrecorded {
    /// The door stays locked.
    #[default]
    Deny,
    /// The door opens anyway.
    Release,
}

impl AuditConfig {
    pub(super) fn check_wait(&self) -> Result<(), Fault> {
        if self.sync_timeout_ms == 0 && self.on_unrecorded == Unrecorded::Deny {
            let problem =
                "no release could wait for its entry: allow more time, or set on_unrecorded = \"release\"";
            return Err(Fault::new("audit.sync_timeout_ms", self.sync_timeout_ms, problem));
        }
        Ok(())
    }
}

impl Config {
    /// When the audit log begins a new file, and how many it keeps.
    pub fn audit_rotation(&self) -> Rotation {
        let AuditConfig { file_kib, keep_files, kept_mb, .. } = self.audit;
        Rotation { file_bytes: file_kib << 10, keep_files, pool_bytes: kept_mb << 20 }
    }
}
