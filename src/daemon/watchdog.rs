//! What the watchdog is fed on.

use std::time::Duration;

use crate::time::Timestamp;

/// Whether the daemon gets anywhere: what the watchdog is fed on.
#[derive(Debug)]
pub(super) struct FrameProgress {
    stall: Duration,
    seen: Timestamp,
    /// When the camera last said that it has no frames; `None` while it gives some.
    idle: Option<Timestamp>,
}

impl FrameProgress {
    pub(super) fn new(now: Timestamp, stall: Duration) -> Self {
        FrameProgress { stall, seen: now, idle: None }
    }

    /// True while frames are processed, or the camera thread itself reports that it has none. Frames
    /// that come but are not processed, and a camera call that does not return, are not progress.
    pub(super) fn is_made(&self, now: Timestamp) -> bool {
        let recent = |at: Timestamp| now.since(at) < self.stall;
        recent(self.seen) || self.idle.is_some_and(recent)
    }

    /// A frame was processed.
    pub(super) fn processed(&mut self, now: Timestamp) {
        (self.seen, self.idle) = (now, None);
    }

    /// The camera says that it has no frames; true when it had some until now.
    pub(super) fn camera_idle(&mut self, now: Timestamp) -> bool {
        self.idle.replace(now).is_none()
    }

    /// True while the camera has not said that it has no frames.
    pub(super) fn has_frames(&self) -> bool {
        self.idle.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processed_frames_or_the_cameras_own_word_are_progress() {
        let at = Timestamp::from_millis;
        let mut progress = FrameProgress::new(at(0), Duration::from_secs(5));
        assert!(progress.is_made(at(4_999)) && !progress.is_made(at(5_000)));
        assert!(progress.camera_idle(at(6_000)), "the first word of it");
        assert!(!progress.camera_idle(at(7_000)) && !progress.has_frames());
        assert!(progress.is_made(at(11_999)) && !progress.is_made(at(12_000)));
        progress.processed(at(13_000));
        assert!(progress.has_frames() && progress.is_made(at(17_999)) && !progress.is_made(at(18_000)));
    }
}
