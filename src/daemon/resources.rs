//! What a daemon works with, and where it finds it.

use std::path::PathBuf;
use std::time::Duration;

use super::audit_events::stamp;
use super::request::Rights;
use crate::access::AccessRules;
use crate::audit::{AuditError, AuditLog, Context, FolderDisk, Rotation};
use crate::camera::FrameSource;
use crate::clock::{self, WallClock};
use crate::door::{ModelFacts, NamedHours};
use crate::lines::{Indicator, Inputs};
use crate::store::{FrameStore, GalleryStore, RecordingFile, StateStore};
use crate::strike::Strike;
use crate::vision::{QualityRules, Vision};

/// Everything a daemon works with, opened and checked.
pub struct Resources {
    /// The pipeline.
    pub vision: Vision,
    /// The access rules.
    pub rules: AccessRules,
    /// What the model's card says.
    pub model: ModelFacts,
    /// Who may come in when.
    pub hours: NamedHours,
    /// The time of the week.
    pub wall: WallClock,
    /// The gallery's file.
    pub store: GalleryStore,
    /// What outlives a restart.
    pub state: StateStore,
    /// Where the controller's inputs go, if anywhere.
    pub recording: Option<RecordingFile>,
    /// Where a recording is, including an old one: removed people are removed from it.
    pub recorded: PathBuf,
    /// Where recorded frames are, if there may be any.
    pub frames: Option<FrameRecording>,
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// The strike, secured.
    pub strike: Box<dyn Strike>,
    /// Button, REX and door contact.
    pub inputs: Box<dyn Inputs>,
    /// Lights and buzzer.
    pub indicator: Box<dyn Indicator>,
    /// The socket's path.
    pub socket: PathBuf,
    /// The gateway's socket, if there is to be one.
    pub gateway: Option<GatewayEndpoint>,
    /// What makes a face fit for enrolment, as people who look are told.
    pub quality: QualityRules,
    /// After this long without progress the watchdog is no longer fed.
    pub stall: Duration,
    /// The audit log.
    pub audit: AuditLocation,
    /// What a release does whose entry does not reach the disk.
    pub unrecorded: UnrecordedRules,
}

/// Recorded frames.
pub struct FrameRecording {
    /// Where they are.
    pub store: FrameStore,
    /// Whether more are recorded; old ones are removed in any case.
    pub record: bool,
}

/// Where the audit log is, and what its entries say. It is opened by its own thread, again and again if
/// need be: a disk that fails must not keep the door from working.
#[derive(Clone, Debug)]
pub struct AuditLocation {
    /// Its folder.
    pub folder: PathBuf,
    /// When a new file is started.
    pub rotation: Rotation,
    /// What is in force.
    pub context: Context,
}

impl AuditLocation {
    pub(super) fn open(&self) -> Result<AuditLog<FolderDisk>, AuditError> {
        let disk = FolderDisk::for_writing(&self.folder)?;
        AuditLog::open(disk, self.rotation, self.context, stamp(clock::now()))
    }
}

/// What becomes of a release by face while its entry in the audit log is not on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnrecordedRules {
    /// The time it waits.
    pub(super) wait: Duration,
    /// Then it happens without its entry; else it does not.
    pub(super) release: bool,
}

impl UnrecordedRules {
    /// Waits at most `wait` and at most half the time that the release lasts: one that waited for longer than it
    /// lasts would never come.
    pub fn new(wait: Duration, hold: Duration, release: bool) -> Self {
        UnrecordedRules { wait: wait.min(hold / 2), release }
    }
}

/// The gateway's socket.
#[derive(Clone, Debug)]
pub struct GatewayEndpoint {
    /// Its path, in a folder that is there already and belongs to the gateway's group.
    pub socket: PathBuf,
    /// What the gateway may do.
    pub rights: Rights,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_never_waits_for_longer_than_half_of_what_it_lasts() {
        let ms = Duration::from_millis;
        assert_eq!(UnrecordedRules::new(ms(300), ms(3_000), true).wait, ms(300));
        assert_eq!(UnrecordedRules::new(ms(2_000), ms(3_000), true).wait, ms(1_500));
    }
}
