//! Following one face from frame to frame by the overlap of its boxes.

use std::time::Duration;

use facelatch_core::access::TrackId;
use facelatch_core::picture::Rect;
use facelatch_core::time::Timestamp;

/// The numbers of tracking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackRules {
    /// Least intersection over union of two boxes of one face, 0 to 1.
    pub min_overlap: f32,
    /// A face unseen for longer than this is another track when it returns.
    pub max_gap: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    id: TrackId,
    face: Rect,
    seen: Timestamp,
}

/// The face being followed, if any.
#[derive(Clone, Debug)]
pub struct Tracker {
    rules: TrackRules,
    current: Option<Track>,
    next: u64,
}

impl Tracker {
    /// A tracker that follows nothing yet.
    pub fn new(rules: TrackRules) -> Self {
        Tracker { rules, current: None, next: 1 }
    }

    /// Where the face followed was last seen, if that was recently enough at `captured`.
    pub fn face(&self, captured: Timestamp) -> Option<Rect> {
        self.current.filter(|track| captured.since(track.seen) <= self.rules.max_gap).map(|t| t.face)
    }

    /// The only face of a frame: continues the track when its box overlaps the last one enough and
    /// soon enough, else begins a new one.
    pub fn follow(&mut self, captured: Timestamp, face: Rect) -> TrackId {
        let continued = self
            .current
            .filter(|track| captured.since(track.seen) <= self.rules.max_gap)
            .filter(|track| face.iou(&track.face) >= self.rules.min_overlap);
        let id = continued.map_or_else(
            || {
                let id = TrackId(self.next);
                self.next += 1;
                id
            },
            |track| track.id,
        );
        self.current = Some(Track { id, face, seen: captured });
        id
    }

    /// Ends the track: with several faces in the picture, nobody can say who comes next.
    pub fn lose(&mut self) {
        self.current = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(frames: &[(u64, Rect)]) -> Vec<u64> {
        let rules = TrackRules { min_overlap: 0.3, max_gap: Duration::from_millis(500) };
        let mut tracker = Tracker::new(rules);
        frames.iter().map(|&(ms, face)| tracker.follow(Timestamp::from_millis(ms), face).0).collect()
    }

    #[test]
    fn overlap_and_time_decide() {
        let at = |x| Rect::new(x, 0, 100, 100);
        assert_eq!(run(&[(0, at(0)), (50, at(40)), (100, at(80))]), [1, 1, 1]);
        assert_eq!(run(&[(0, at(0)), (50, at(60))]), [1, 2], "a jump");
        assert_eq!(run(&[(0, at(0)), (501, at(0))]), [1, 2], "an absence");
        assert_eq!(run(&[(0, at(0)), (500, at(0))]), [1, 1]);
        assert_eq!(run(&[(0, at(0)), (50, Rect::new(0, 0, 200, 200))]), [1, 2], "another size");
    }

    #[test]
    fn a_lost_track_does_not_return() {
        let rules = TrackRules { min_overlap: 0.3, max_gap: Duration::from_millis(500) };
        let mut tracker = Tracker::new(rules);
        let face = Rect::new(0, 0, 50, 50);
        let first = tracker.follow(Timestamp::ZERO, face);
        assert_eq!(tracker.face(Timestamp::from_millis(500)), Some(face));
        assert_eq!(tracker.face(Timestamp::from_millis(501)), None);
        tracker.lose();
        assert_ne!(tracker.follow(Timestamp::from_millis(1), face), first);
    }
}
