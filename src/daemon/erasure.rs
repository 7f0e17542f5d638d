//! What goes with a person who is removed: one rule for the daemon and for the command line without it.

use crate::audit::{AuditEvent, Mark};

/// What was recorded before a version of the gallery, on its way out. Nobody can say in which frames a person is
/// not, and similarities to the person stand in the controller's recording: both go, whole, and then the audit
/// log says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    version: u64,
    /// So many frames are gone.
    frames: Option<usize>,
    /// The controller's recording is gone.
    recording: bool,
}

impl Erasure {
    /// Of everything recorded before this version of the gallery.
    pub fn before(version: u64) -> Self {
        Erasure { version, frames: None, recording: false }
    }

    /// The version of the gallery that asks for it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// So many frames are gone, as this version of the gallery asked for.
    pub fn frames_erased(&mut self, version: u64, frames: usize) {
        if self.version <= version {
            self.frames = Some(frames);
        }
    }

    /// The controller's recording is gone, as this version of the gallery asked for.
    pub fn recording_erased(&mut self, version: u64) {
        self.recording |= self.version <= version;
    }

    /// True until the controller's recording is gone.
    pub fn awaits_recording(&self) -> bool {
        !self.recording
    }

    /// What the audit log is told once everything is gone; until then the next start erases again.
    pub fn entry(&self) -> Option<AuditEvent> {
        let frames = self.frames.filter(|_| self.recording)?;
        Some(AuditEvent::new("erased").with(format!("frames={frames}")).marked(Mark::Erased(self.version)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_when_frames_and_recording_are_gone_for_that_version() {
        let mut erasure = Erasure::before(4);
        erasure.frames_erased(3, 7);
        erasure.recording_erased(4);
        assert_eq!(erasure.entry(), None, "the frames were erased for an earlier removal");
        erasure.frames_erased(5, 9);
        let entry = AuditEvent::new("erased").with("frames=9").marked(Mark::Erased(4));
        assert_eq!(erasure.entry(), Some(entry));
        let mut frames_only = Erasure::before(4);
        frames_only.frames_erased(4, 0);
        assert_eq!((frames_only.entry(), frames_only.awaits_recording()), (None, true));
    }
}
