//! Looking for faces frame by frame, at no more cost than the scene asks for.
//!
//! A full scan is needed while something moves and no face is known. Once a face is known, a scan
//! around it suffices, with a full scan now and then for newcomers. While nothing moves at all, the
//! last answer stands, for a limited time.

use std::time::Duration;

use crate::picture::{GrayView, Rect};
use crate::time::Timestamp;

use super::detector::{Detector, Sequential, Workers};
use super::params::{ParamsError, ScanParams};

/// Edge of the blocks whose mean brightness the motion test compares, in pixels.
const BLOCK: usize = 8;
/// The rows of a block that stand for all of it.
const SAMPLED: [usize; 4] = [0, 2, 4, 6];
/// Longest sleep that [`SearchParams::check`] admits.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// When to scan what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchParams {
    /// How a full scan is done.
    pub scan: ScanParams,
    /// With a face known: the time from one full scan to the next.
    pub full_scan_interval: Duration,
    /// With nothing moving: how long the last answer may stand, at most 1 s. A face that appears
    /// without motion is found after this time.
    pub longest_sleep: Duration,
    /// A block of 8x8 pixels has changed when its mean differs by more than this many gray levels
    /// from the frame scanned last, 1 to 255.
    pub motion_threshold: u8,
    /// The scene moves when at least this many blocks have changed, 1 or more.
    pub motion_blocks: u32,
    /// The region around a known face reaches this share of the face's size beyond it on every
    /// side, 0.1 to 3.
    pub region_margin: f32,
}

impl Default for SearchParams {
    fn default() -> Self {
        SearchParams {
            scan: ScanParams { scale_factor: 1.1, min_neighbors: 5, min_size: 60, max_size: 0 },
            full_scan_interval: Duration::from_millis(500),
            longest_sleep: Duration::from_millis(800),
            motion_threshold: 6,
            motion_blocks: 2,
            region_margin: 0.5,
        }
    }
}

/// Why search parameters make no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SearchParamsError {
    /// The scan parameters make none.
    #[error(transparent)]
    Scan(#[from] ParamsError),
    /// A still scene would be left alone too long.
    #[error("longest scan pause {0:?}: at most 1 s, or a motionless face is found too late")]
    LongestSleep(Duration),
    /// Noise would count as motion, or nothing would.
    #[error("motion threshold and motion blocks must be at least 1")]
    Motion,
    /// The region would not hold the face, or everything.
    #[error("region margin {0}: 0.1 to 3 times the face")]
    RegionMargin(f32),
}

impl SearchParams {
    /// Whether the parameters make sense.
    ///
    /// # Errors
    /// Says which one does not.
    pub fn check(&self) -> Result<(), SearchParamsError> {
        self.scan.check()?;
        if self.longest_sleep > MAX_SLEEP {
            return Err(SearchParamsError::LongestSleep(self.longest_sleep));
        }
        if self.motion_threshold == 0 || self.motion_blocks == 0 {
            return Err(SearchParamsError::Motion);
        }
        if !(0.1..=3.0).contains(&self.region_margin) {
            return Err(SearchParamsError::RegionMargin(self.region_margin));
        }
        Ok(())
    }
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchKind {
    /// The whole frame was scanned.
    Full,
    /// The surroundings of the known faces were scanned. Boxes can differ by a few pixels from those
    /// of a full scan.
    Region,
    /// Nothing moved: the answer is that of the frame scanned last.
    Still,
}

/// A detector that follows a scene.
pub struct Searcher {
    detector: Detector,
    params: SearchParams,
    faces: Vec<Rect>,
    /// Working memory: the faces known before, and those around one of them.
    before: Vec<Rect>,
    around: Vec<Rect>,
    /// Block means of the current frame and of the one scanned last.
    means: Vec<u8>,
    scanned: Vec<u8>,
    size: (usize, usize),
    last_scan: Option<Timestamp>,
    last_full: Option<Timestamp>,
}

impl Searcher {
    /// A searcher that has seen nothing yet. Parameters that [`SearchParams::check`] refuses make it
    /// find nothing or sleep too long.
    pub fn new(detector: Detector, params: SearchParams) -> Self {
        Searcher {
            detector,
            params,
            faces: Vec::new(),
            before: Vec::new(),
            around: Vec::new(),
            means: Vec::new(),
            scanned: Vec::new(),
            size: (0, 0),
            last_scan: None,
            last_full: None,
        }
    }

    /// The faces of the frame searched last, in its pixels.
    pub fn faces(&self) -> &[Rect] {
        &self.faces
    }

    /// Looks for the faces in `picture`, the frame taken at `now`, and leaves them in
    /// [`Searcher::faces`]. Once all buffers have grown to what the scene needs it allocates nothing.
    pub fn search(&mut self, now: Timestamp, picture: GrayView<'_>) -> SearchKind {
        self.search_with(now, picture, &Sequential)
    }

    /// As [`Searcher::search`], with full scans done by `workers`.
    pub fn search_with(
        &mut self,
        now: Timestamp,
        picture: GrayView<'_>,
        workers: &impl Workers,
    ) -> SearchKind {
        block_means(picture, &mut self.means);
        let size = (picture.width(), picture.height());
        if self.size != size {
            self.size = size;
            self.forget();
        }
        let older = |then: Option<Timestamp>, limit: Duration| match then {
            Some(then) => now < then || now.since(then) >= limit,
            None => true,
        };
        if !older(self.last_scan, self.params.longest_sleep) && !self.moved() {
            return SearchKind::Still;
        }
        std::mem::swap(&mut self.means, &mut self.scanned);
        self.last_scan = Some(now);
        if !self.faces.is_empty() && !older(self.last_full, self.params.full_scan_interval) {
            self.follow(picture);
            if !self.faces.is_empty() {
                return SearchKind::Region;
            }
        }
        self.last_full = Some(now);
        self.detector.detect_into(picture, &self.params.scan, workers, &mut self.faces);
        SearchKind::Full
    }

    /// Drops what is known, so that the next frame is scanned in full.
    pub fn forget(&mut self) {
        self.faces.clear();
        (self.last_scan, self.last_full) = (None, None);
    }

    /// Whether the frame differs from the one scanned last.
    fn moved(&self) -> bool {
        if self.means.len() != self.scanned.len() {
            return true;
        }
        let threshold = self.params.motion_threshold;
        let changed = self.means.iter().zip(&self.scanned).filter(|(a, b)| a.abs_diff(**b) > threshold);
        changed.count() >= self.params.motion_blocks as usize
    }

    /// Scans around each known face, for faces of about its size.
    fn follow(&mut self, picture: GrayView<'_>) {
        std::mem::swap(&mut self.faces, &mut self.before);
        self.faces.clear();
        for face in &self.before {
            let margin = |edge: i32| (edge as f32 * self.params.region_margin).ceil() as i32;
            let (dx, dy) = (margin(face.width), margin(face.height));
            let region = Rect::new(face.x - dx, face.y - dy, face.width + 2 * dx, face.height + 2 * dy);
            let edge = face.width.max(1) as u32;
            let scan = self.params.scan;
            let params = ScanParams {
                min_size: scan.min_size.max(edge * 7 / 10),
                max_size: match scan.max_size {
                    0 => edge * 3 / 2,
                    most => most.min(edge * 3 / 2).max(scan.min_size),
                },
                ..scan
            };
            self.detector.detect_region_into(picture, region, &params, &mut self.around);
            for candidate in &self.around {
                if self.faces.iter().all(|f| f.iou(candidate) < 0.3) {
                    self.faces.push(*candidate);
                }
            }
        }
    }
}

/// The mean brightness of each block of 8x8 pixels, by every other of its rows, row by row; what is left over
/// at the right and at the bottom does not count.
fn block_means(picture: GrayView<'_>, means: &mut Vec<u8>) {
    let (columns, rows) = (picture.width() / BLOCK, picture.height() / BLOCK);
    means.clear();
    for row in 0..rows {
        let rows = SAMPLED.map(|y| &picture.row(row * BLOCK + y).as_chunks::<BLOCK>().0[..columns]);
        means.extend((0..columns).map(|column| {
            // Sums of 16 bits of every other byte, then the sum of those four.
            const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
            let mut pairs = 0;
            for row in rows {
                let bytes = u64::from_le_bytes(row[column]);
                pairs += (bytes & EVEN) + (bytes >> 8 & EVEN);
            }
            let sum = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
            (sum / (SAMPLED.len() * BLOCK) as u64) as u8
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Cascade;
    use crate::picture::Gray;

    fn noise(seed: u32) -> Gray {
        let mut rng = fastrand::Rng::with_seed(seed.into());
        let pixels = (0..320 * 240).map(|_| rng.u8(100..116));
        Gray::from_pixels(320, 240, pixels.collect()).unwrap()
    }

    fn searcher() -> Searcher {
        Searcher::new(Detector::new(Cascade::frontal_face()), SearchParams::default())
    }

    #[test]
    fn a_still_scene_is_scanned_once_in_a_while() {
        let mut searcher = searcher();
        let mut scans = Vec::new();
        for frame in 0..60u64 {
            // Sensor noise differs from frame to frame; its block means hardly do.
            let now = Timestamp::from_millis(frame * 50);
            if searcher.search(now, noise(frame as u32 + 1).view()) != SearchKind::Still {
                scans.push(frame * 50);
            }
        }
        assert_eq!(scans, [0, 800, 1600, 2400]);
    }

    #[test]
    fn motion_wakes_at_once_and_time_that_goes_back_does_not_put_to_sleep() {
        let mut searcher = searcher();
        let mut picture = noise(1);
        let at = Timestamp::from_millis;
        assert_eq!(searcher.search(at(1000), picture.view()), SearchKind::Full);
        assert_eq!(searcher.search(at(1050), picture.view()), SearchKind::Still);
        for y in 100..130 {
            picture.pixels_mut()[y * 320 + 50..][..30].fill(200);
        }
        assert_eq!(searcher.search(at(1100), picture.view()), SearchKind::Full);
        assert_eq!(searcher.search(at(1150), picture.view()), SearchKind::Still);
        assert_eq!(searcher.search(at(20), picture.view()), SearchKind::Full);
        let smaller = Gray::filled(160, 120, 9);
        assert_eq!(searcher.search(at(1200), smaller.view()), SearchKind::Full);
    }

    #[test]
    fn means_are_those_of_the_sampled_rows() {
        let picture = noise(3);
        let mut means = Vec::new();
        block_means(picture.view().region(Rect::new(3, 1, 45, 30)).unwrap(), &mut means);
        assert_eq!(means.len(), 5 * 3);
        for (i, &mean) in means.iter().enumerate() {
            let (x, y) = (3 + i % 5 * BLOCK, 1 + i / 5 * BLOCK);
            let rows = SAMPLED.map(|row| &picture.view().row(y + row)[x..][..BLOCK]);
            let sum: u32 = rows.into_iter().flatten().map(|&p| u32::from(p)).sum();
            assert_eq!(u32::from(mean), sum / 32);
        }
    }

    #[test]
    fn sleeping_too_long_is_refused() {
        let long = Duration::from_millis(1001);
        let params = SearchParams { longest_sleep: long, ..Default::default() };
        assert_eq!(params.check(), Err(SearchParamsError::LongestSleep(long)));
        assert_eq!(SearchParams::default().check(), Ok(()));
    }
}
