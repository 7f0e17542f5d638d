//! `[detector]`

use std::path::PathBuf;
use std::time::Duration;

use super::table::{Fault, section};
use crate::detect::{ScanParams, SearchParams};

section! {
    /// How faces are found.
    [detector] DetectorConfig;

    /// An OpenCV cascade (XML or compact) instead of the built-in frontal face.
    cascade: Option<PathBuf> = None, example r#""face.xml""#;
    /// Ratio between two successive search sizes.
    scale_factor: f64 = 1.2, range 1.01 to 4.0;
    /// Overlapping hits needed for a face.
    min_neighbors: u32 = 4, range 0 to 100;
    /// Smallest face.
    min_size: u32 = 80, range 0 to 4_096 px;
    /// Largest face; 0 for no limit.
    max_size: u32 = 0, range 0 to 4_096 px;
    /// While a face is tracked, scan the whole frame this often, and only around the face in between;
    /// 0 scans every frame whole.
    full_scan_ms: u64 = 500, range 0 to 5_000 ms;
    /// Reuse the last detection for at most this long while the scene is still.
    max_scan_pause_ms: u64 = 800, range 0 to 1_000 ms, old still_ms;
}

impl DetectorConfig {
    pub(super) fn check_sizes(&self) -> Result<(), Fault> {
        if self.max_size != 0 && self.max_size < self.min_size {
            let problem = "must be 0 or at least detector.min_size";
            return Err(Fault::new("detector.max_size", self.max_size, problem));
        }
        Ok(())
    }

    pub(super) fn search(&self) -> SearchParams {
        SearchParams {
            scan: ScanParams {
                scale_factor: self.scale_factor,
                min_neighbors: self.min_neighbors,
                min_size: self.min_size,
                max_size: self.max_size,
            },
            full_scan_interval: Duration::from_millis(self.full_scan_ms),
            longest_sleep: Duration::from_millis(self.max_scan_pause_ms),
            ..SearchParams::default()
        }
    }
}
