//! Did the head turn, or nod? What the nose does that no flat thing does.
//!
//! Two views of a scene differ by the homography of a plane and, for what lies before that plane, by a
//! parallax along one direction that grows with its height ("plane plus parallax": Kumar, Anandan and Hanna
//! 1994; Irani and Anandan, "Parallax geometry of pairs of points", ECCV 1996). Seen from afar, a head that
//! turned by an angle moves what lies `z` before the plane of the face sideways by `z` times the sine of that
//! angle; a nod moves it up or down. So both pictures of the face are laid over each other by a homography,
//! a bend of the whole (quadratic in the place, as that of a sheet of paper is) and a turn and a nod of a
//! nose, all fitted at once to the pixels. A sheet that is turned, tilted, moved or bent leaves nothing to
//! the last two.

use super::align::{Aligned, Region, moments, solve};
use super::reduced::{Reduced, factor_of, inner, scaled};
use crate::picture::{GrayView, Rect};

/// Motions fitted at once: a homography's 8, the bend's 4, turn and nod.
const MOTIONS: usize = 14;

/// Steps of the fit.
const MAX_STEPS: usize = 10;

/// A step shorter than this, in half widths of the face, ends the fit.
const CONVERGED: f32 = 2e-4;

/// Two views less alike than this after the fit are not the same face seen twice.
const MIN_CORRELATION: f32 = 0.9;

/// A pixel that fits worse than this, in deviations, counts less: blinks, glare, a mouth that speaks.
const OUTLIER_ERROR: f32 = 0.4;

/// How far the head has turned from where it was; no biometric data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turned {
    /// About the sine of the angle to either side, with a nose about a third of half a face high.
    pub turn: f32,
    /// The same up and down.
    pub nod: f32,
    /// How alike both views are, -1 to 1.
    pub likeness: f32,
}

/// A view of a face that later ones are compared with.
#[derive(Debug)]
pub struct FaceView {
    reduced: Reduced,
    face: Rect,
}

impl FaceView {
    /// The face in the box `face`.
    pub fn new(picture: GrayView<'_>, face: Rect) -> Self {
        FaceView { reduced: Reduced::new(picture, factor_of(face)), face }
    }

    /// How far the head, now in the box `face`, has turned since. `None` where the views cannot be compared.
    pub fn turned(&self, picture: GrayView<'_>, face: Rect) -> Option<Turned> {
        let factor = self.reduced.factor();
        let now = Reduced::new(picture, factor);
        let before = scaled(self.face, factor);
        if before.x >= now.width() as i32 || before.y >= now.height() as i32 {
            return None;
        }
        let region = inner(before);
        let centre = |r: Rect| (r.x as f32 + r.width as f32 / 2.0, r.y as f32 + r.height as f32 / 2.0);
        let ((bx, by), (nx, ny)) = (centre(self.face), centre(face));
        let grown = face.width as f32 / self.face.width.max(1) as f32;
        let (dx, dy) = ((nx - bx) / factor as f32, (ny - by) / factor as f32);
        let prepared = Region::new(&self.reduced, region)?;
        let flat = [(dx, dy, grown), (dx, dy, 1.0), (0.0, 0.0, 1.0)]
            .into_iter()
            .filter_map(|start| prepared.align(&now, start))
            .max_by(|a, b| a.likeness.total_cmp(&b.likeness))?;
        fit(&self.reduced, &now, region, &flat)
    }
}

/// The nose's height over the plane of the face, in half widths of the region, at a place in the same unit
/// from the region's centre. A box of the frontal cascade has the nose's tip a little below its middle.
fn height(u: f32, v: f32) -> f32 {
    0.35 * (-(u * u) / 0.06 - (v - 0.15).powi(2) / 0.12).exp()
}

/// The displacements of a place by each motion of strength 1.
fn motions(u: f32, v: f32) -> [(f32, f32); MOTIONS] {
    let z = height(u, v);
    [
        (u, 0.0),
        (v, 0.0),
        (1.0, 0.0),
        (0.0, u),
        (0.0, v),
        (0.0, 1.0),
        (-u * u, -u * v),
        (-u * v, -v * v),
        (u * u, 0.0),
        (v * v, 0.0),
        (0.0, u * u),
        (0.0, v * v),
        (z, 0.0),
        (0.0, z),
    ]
}

struct Point {
    u: f32,
    v: f32,
    value: f32,
    slopes: [f32; MOTIONS],
}

/// Fits all motions, beginning with the flat one that `flat` is.
fn fit(from: &Reduced, to: &Reduced, region: Rect, flat: &Aligned) -> Option<Turned> {
    let (left, top) = (region.x.max(1) as usize, region.y.max(1) as usize);
    let right = ((region.x + region.width).max(0) as usize).min(from.width().checked_sub(1)?);
    let bottom = ((region.y + region.height).max(0) as usize).min(from.height().checked_sub(1)?);
    let half = region.width.max(1) as f32 / 2.0;
    let centre = (region.x as f32 + half - 0.5, region.y as f32 + region.height as f32 / 2.0 - 0.5);
    let mut points = Vec::new();
    for y in top..bottom {
        for x in left..right {
            let (gx, gy) = from.slope(x, y);
            let (u, v) = ((x as f32 - centre.0) / half, (y as f32 - centre.1) / half);
            let slopes = motions(u, v).map(|(dx, dy)| (dx * gx + dy * gy) * half);
            points.push(Point { u, v, value: from.at(x, y), slopes });
        }
    }
    let (mean, deviation) = moments(points.iter().map(|p| p.value))?;
    for point in &mut points {
        point.value = (point.value - mean) / deviation;
        point.slopes.iter_mut().for_each(|slope| *slope /= deviation);
    }
    let mut strength = [0.0_f32; MOTIONS];
    let mut seen = vec![None; points.len()];
    let mut likeness = 0.0;
    for step in 0..=MAX_STEPS {
        for (point, seen) in points.iter().zip(&mut seen) {
            let (mut u, mut v) = (point.u, point.v);
            for ((dx, dy), s) in motions(point.u, point.v).into_iter().zip(strength) {
                (u, v) = (u + s * dx, v + s * dy);
            }
            let (x, y) = flat.follow(centre.0 + u * half, centre.1 + v * half);
            *seen = to.between(x, y);
        }
        let inside = seen.iter().flatten().count();
        if inside * 4 < points.len() * 3 {
            return None;
        }
        let (mean, deviation) = moments(seen.iter().flatten().copied())?;
        let (mut normal, mut wanted, mut product) = ([[0.0_f32; MOTIONS]; MOTIONS], [0.0_f32; MOTIONS], 0.0);
        for (point, seen) in points.iter().zip(&seen) {
            let Some(seen) = seen else { continue };
            let seen = (seen - mean) / deviation;
            product += seen * point.value;
            let error = seen - point.value;
            let weight = OUTLIER_ERROR / error.abs().max(OUTLIER_ERROR);
            for (i, a) in point.slopes.iter().enumerate() {
                wanted[i] += weight * a * error;
                for (sum, b) in normal[i].iter_mut().zip(&point.slopes) {
                    *sum += weight * a * b;
                }
            }
        }
        likeness = product / inside as f32;
        if step == MAX_STEPS {
            break;
        }
        // Directions that the face says nothing about are left alone.
        let damping = 1e-4 * (0..MOTIONS).map(|i| normal[i][i]).sum::<f32>() / MOTIONS as f32;
        (0..MOTIONS).for_each(|i| normal[i][i] += damping);
        let change = solve(normal, wanted)?;
        strength.iter_mut().zip(change).for_each(|(s, c)| *s -= c);
        if strength.iter().any(|s| s.abs() > 1.0) {
            return None;
        }
        if change.iter().all(|c| c.abs() < CONVERGED) {
            break;
        }
    }
    let [.., turn, nod] = strength;
    (likeness >= MIN_CORRELATION).then_some(Turned { turn, nod, likeness })
}

#[cfg(test)]
mod tests {
    use super::super::align::tests::{drawn, pattern};
    use super::super::reduced::INNER;
    use super::*;

    const FACE: Rect = Rect::new(60, 60, 80, 80);

    /// What a second view shows as turned when it shows at a place, in half widths of the inner face, what the
    /// first one shows where `before` says.
    fn seen(before: impl Fn(f32, f32) -> (f32, f32)) -> Turned {
        let first = drawn(200, 200, |x, y| pattern(x / 2.0, y / 2.0));
        let half = 40.0 * INNER;
        let second = drawn(200, 200, |x, y| {
            let (u, v) = before((x - 99.5) / half, (y - 99.5) / half);
            pattern((99.5 + u * half) / 2.0, (99.5 + v * half) / 2.0)
        });
        FaceView::new(first.view(), FACE).turned(second.view(), FACE).unwrap()
    }

    #[test]
    fn a_nose_that_moves_is_a_turn_or_a_nod() {
        for (turn, nod) in [(0.3, 0.0), (-0.3, 0.0), (0.0, 0.3), (0.0, -0.25), (0.0, 0.0)] {
            let found = seen(|x, y| {
                // The place that moved here: a few steps find it.
                let (mut u, mut v) = (x, y);
                for _ in 0..20 {
                    let z = height(u, v);
                    (u, v) = (x - turn * z, y - nod * z);
                }
                (u, v)
            });
            let off = (found.turn - turn).abs().max((found.nod - nod).abs());
            assert!(off < 0.05, "{turn}, {nod}: {found:?}");
        }
    }

    #[test]
    fn a_sheet_that_is_turned_tilted_moved_or_bent_is_not() {
        for (name, found) in [
            ("moved", seen(|x, y| (x - 0.1, y + 0.05))),
            ("turned", seen(|x, y| (x / 0.92 / (1.0 - 0.06 * x), y / (1.0 - 0.06 * x)))),
            ("tilted", seen(|x, y| (x / (1.0 + 0.06 * y), y / 0.93 / (1.0 + 0.06 * y)))),
            ("in the plane", seen(|x, y| (0.995 * x - 0.1 * y, 0.1 * x + 0.995 * y))),
            ("bent", seen(|x, y| (x + 0.06 * x * x, y))),
            ("bent the other way", seen(|x, y| (x, y - 0.06 * y * y))),
        ] {
            assert!(found.turn.abs() < 0.03 && found.nod.abs() < 0.03, "{name}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_the_same_face_is_not_compared() {
        let first = drawn(200, 200, |x, y| pattern(x / 2.0, y / 2.0));
        let other = drawn(200, 200, |x, y| pattern(y / 1.3 + 40.0, 90.0 - x / 3.1));
        let view = FaceView::new(first.view(), FACE);
        assert_eq!(view.turned(other.view(), FACE), None);
        assert!(view.turned(first.view(), FACE).is_some_and(|t| t.turn.abs() < 1e-3));
        for face in [Rect::new(-50, -50, 90, 90), Rect::new(i32::MAX - 9, 0, 9, 9), Rect::new(5, 5, 0, 0)] {
            let _ = FaceView::new(first.view(), face).turned(other.view(), FACE);
            let _ = view.turned(other.view(), face);
        }
    }
}
