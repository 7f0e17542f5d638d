//! `[tracking]`

use std::time::Duration;

use super::table::section;
use crate::vision::TrackRules;

section! {
    /// How one face is followed from frame to frame.
    [tracking] TrackingConfig;

    /// Minimum overlap of two boxes of the same face (intersection over union).
    min_overlap: f32 = 0.3, range 0.05 to 0.95;
    /// A face unseen for longer starts a new track.
    max_gap_ms: u64 = 500, range 1 to 5_000 ms;
}

impl TrackingConfig {
    pub(super) fn rules(&self) -> TrackRules {
        TrackRules { min_overlap: self.min_overlap, max_gap: Duration::from_millis(self.max_gap_ms) }
    }
}
