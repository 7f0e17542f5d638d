//! Watching one face from frame to frame.

use std::collections::VecDeque;

use super::align::Region;
use super::cues::Cues;
use super::reduced::{Reduced, factor_of, inner, scaled};
use super::{background, lbp, moire, planarity};
use crate::picture::{GrayView, Rect};

/// Frames between the two that are compared: 0.35 s at 20 frames a second.
const FRAME_LAG: usize = 7;

/// Reduced widths of a face. One that grew or shrank beyond them is measured at another reduction.
const FACE_WIDTH_RANGE: std::ops::RangeInclusive<f32> = 24.0..=64.0;

/// Two regions less alike than this after alignment are not the same thing seen twice.
const MIN_CORRELATION: f32 = 0.75;

/// Regions as alike as this need no second attempt.
const GOOD_CORRELATION: f32 = 0.9;

/// A box that overlaps the one before by less (intersection over union) has jumped: it is not known to hold
/// the same thing, and what lies before has nothing to do with it.
const MIN_IOU: f32 = 0.5;

#[derive(Debug)]
struct Past {
    reduced: Reduced,
    face: Rect,
}

/// The latest frames of one face.
#[derive(Debug, Default)]
pub struct Watch {
    track: Option<u64>,
    factor: usize,
    past: VecDeque<Past>,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Watch::default()
    }

    /// Forgets the face: the next frame has nothing to do with those before.
    pub fn forget(&mut self) {
        self.track = None;
        self.past.clear();
    }

    /// Measures the motion of the face in the box `face`, which belongs to `track`.
    pub fn measure_motion(&mut self, picture: GrayView<'_>, face: Rect, track: u64) -> Cues {
        let mut cues = Cues::default();
        let reduced = self.reduce(picture, face, track);
        if let Some(past) = self.past.iter().rev().nth(FRAME_LAG - 1) {
            compare(past, &reduced, face, self.factor, &mut cues);
        }
        self.keep(reduced, face);
        cues
    }

    /// Measures what one picture shows; the motion is measured in another frame, which costs less.
    pub fn measure_texture(&mut self, picture: GrayView<'_>, face: Rect, track: u64) -> Cues {
        self.push(picture, face, track);
        Watch::measure_still(picture, face)
    }

    /// Keeps a frame for the motion of later ones.
    pub fn push(&mut self, picture: GrayView<'_>, face: Rect, track: u64) {
        let reduced = self.reduce(picture, face, track);
        self.keep(reduced, face);
    }

    /// What a picture shows without any before it.
    pub fn measure_still(picture: GrayView<'_>, face: Rect) -> Cues {
        let (peak, patterns) = (moire::peak(picture, face), lbp::log_odds(picture, face));
        Cues { peak, patterns, ..Cues::default() }
    }

    fn reduce(&mut self, picture: GrayView<'_>, face: Rect, track: u64) -> Reduced {
        let size = face.width as f32 / self.factor.max(1) as f32;
        let jumped = self.past.back().is_some_and(|past| past.face.iou(&face) < MIN_IOU);
        if self.track != Some(track) || jumped || !FACE_WIDTH_RANGE.contains(&size) {
            self.forget();
            self.track = Some(track);
            self.factor = factor_of(face);
        }
        Reduced::new(picture, self.factor)
    }

    fn keep(&mut self, reduced: Reduced, face: Rect) {
        self.past.push_back(Past { reduced, face });
        if self.past.len() > FRAME_LAG {
            self.past.pop_front();
        }
    }
}

fn compare(past: &Past, now: &Reduced, face: Rect, factor: usize, cues: &mut Cues) {
    let f = factor as f32;
    let before = scaled(past.face, factor);
    let centre = |r: Rect| (r.x as f32 + r.width as f32 / 2.0, r.y as f32 + r.height as f32 / 2.0);
    let ((bx, by), (nx, ny)) = (centre(past.face), centre(face));
    let region = inner(before);
    let Some(prepared) = Region::new(&past.reduced, region) else { return };
    // Boxes jitter by a pixel or two: a face that hardly moved is sought where it was first.
    let begin = |dx, dy| prepared.align(now, (dx, dy, 1.0));
    let best = match begin((nx - bx) / f, (ny - by) / f) {
        Some(aligned) if aligned.likeness >= GOOD_CORRELATION => Some(aligned),
        first => first.into_iter().chain(begin(0.0, 0.0)).max_by(|a, b| a.likeness.total_cmp(&b.likeness)),
    };
    let Some(aligned) = best else { return };
    if aligned.likeness < MIN_CORRELATION {
        return;
    }
    let width = before.width.max(1) as f32;
    cues.motion = Some(aligned.distance() / width);
    cues.residual = planarity::residual(&past.reduced, now, region, &aligned).map(|r| r.shift);
    cues.along = background::along(&past.reduced, now, before, &aligned).map(|a| a.share);
}

#[cfg(test)]
mod tests {
    use super::super::align::tests::{drawn, pattern};
    use super::*;
    use crate::picture::Gray;

    const FACE: Rect = Rect::new(100, 80, 80, 80);

    /// Frame `n` of something that moves by a pixel and a half each; `deep` pushes its middle ahead.
    fn frame(n: u32, deep: f32) -> Gray {
        let shift = 1.5 * n as f32;
        drawn(280, 240, |x, y| {
            let near = (-((x - 140.0 - shift).powi(2) + (y - 120.0).powi(2)) / 700.0).exp();
            pattern((x - shift - deep * n as f32 * near) / 2.0, y / 2.0)
        })
    }

    fn last(deep: f32) -> Cues {
        let mut watch = Watch::new();
        let looks = (0..=FRAME_LAG as u32).map(|n| {
            let face = Rect { x: FACE.x + (1.5 * n as f32) as i32, ..FACE };
            watch.measure_motion(frame(n, deep).view(), face, 1)
        });
        looks.last().unwrap()
    }

    #[test]
    fn motion_and_depth_are_measured_once_there_is_a_past() {
        let mut watch = Watch::new();
        for n in 0..FRAME_LAG as u32 {
            assert_eq!(watch.measure_motion(frame(n, 0.0).view(), FACE, 1).motion, None, "{n}");
        }
        let (flat, deep) = (last(0.0), last(0.4));
        assert!((flat.motion.unwrap() - 1.5 * FRAME_LAG as f32 / 80.0).abs() < 0.02, "{flat:?}");
        assert!(deep.residual.unwrap() > 3.0 * flat.residual.unwrap(), "{deep:?} {flat:?}");
        assert!(flat.along.unwrap() > 0.5, "{flat:?}");
    }

    #[test]
    fn another_track_has_no_past() {
        let mut watch = Watch::new();
        for n in 0..20 {
            let _ = watch.measure_motion(frame(0, 0.0).view(), FACE, 1);
            let cues = watch.measure_motion(frame(0, 0.0).view(), FACE, 2 + n);
            assert_eq!(cues.motion, None);
        }
    }

    #[test]
    fn any_box_is_borne() {
        let mut watch = Watch::new();
        for face in [
            Rect::new(-50, -50, 90, 90),
            Rect::new(270, 230, 90, 90),
            Rect::new(0, 0, 1, 1),
            Rect::new(0, 0, 280, 240),
            Rect::new(i32::MAX - 9, 0, 9, 9),
            Rect::new(5, 5, 0, 0),
        ] {
            for n in 0..10 {
                let _ = watch.measure_motion(frame(n, 0.0).view(), face, 7);
            }
        }
    }
}
