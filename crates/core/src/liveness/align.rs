//! How a flat thing moved between two pictures: the homography that lays one over the other.
//!
//! Gauss-Newton on the pixels of a region, the pictures' slopes taken in the first one, so that the
//! equations are set up once (Lucas and Kanade 1981; the inverse compositional form of Baker and
//! Matthews 2004). Both regions are brought to mean 0 and deviation 1 first: light that changes as a
//! whole is no motion.

use super::reduced::Reduced;
use crate::picture::Rect;

/// Steps until the search is given up.
const MAX_STEPS: usize = 12;

/// A step shorter than this, in pixels of the region's rim, ends the search.
const CONVERGED: f32 = 0.01;

/// A homography about the centre of a region, in units of half its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Homography(pub [f32; 8]);

impl Homography {
    /// Nothing moves.
    pub const IDENTITY: Homography = Homography([0.0; 8]);

    /// Where a point goes.
    pub fn apply(&self, x: f32, y: f32) -> (f32, f32) {
        let [a, b, c, d, e, f, g, h] = self.0;
        let w = 1.0 + g * x + h * y;
        (((1.0 + a) * x + b * y + c) / w, (d * x + (1.0 + e) * y + f) / w)
    }

    fn matrix(&self) -> [[f32; 3]; 3] {
        let [a, b, c, d, e, f, g, h] = self.0;
        [[1.0 + a, b, c], [d, 1.0 + e, f], [g, h, 1.0]]
    }

    fn of(m: [[f32; 3]; 3]) -> Option<Self> {
        let n = m[2][2];
        let [[a, b, c], [d, e, f], [g, h, _]] = m.map(|row| row.map(|v| v / n));
        // A division by zero would give NaN.
        let homography = Homography([a - 1.0, b, c, d, e - 1.0, f, g, h]);
        homography.0.iter().all(|v| v.is_finite()).then_some(homography)
    }

    /// This after the inverse of `step`.
    fn without(&self, step: &Homography) -> Option<Self> {
        let [[a, b, c], [d, e, f], [g, h, i]] = step.matrix();
        // The adjugate is the inverse up to a factor, which `of` takes out.
        let inverse = [
            [e * i - f * h, c * h - b * i, b * f - c * e],
            [f * g - d * i, a * i - c * g, c * d - a * f],
            [d * h - e * g, b * g - a * h, a * e - b * d],
        ];
        let m = self.matrix();
        let product =
            std::array::from_fn(|r| std::array::from_fn(|c| (0..3).map(|k| m[r][k] * inverse[k][c]).sum()));
        Homography::of(product)
    }
}

/// A region of a picture and where a flat thing in it went.
#[derive(Clone, Debug)]
pub struct Aligned {
    centre: (f32, f32),
    half: f32,
    /// The motion.
    pub motion: Homography,
    /// Correlation of the two regions once laid over each other, -1 to 1.
    pub likeness: f32,
    /// Standard deviation of the first region's gray values.
    pub contrast: f32,
}

impl Aligned {
    /// Where a pixel of the first picture is in the second.
    pub fn follow(&self, x: f32, y: f32) -> (f32, f32) {
        let (u, v) = self.motion.apply((x - self.centre.0) / self.half, (y - self.centre.1) / self.half);
        (self.centre.0 + u * self.half, self.centre.1 + v * self.half)
    }

    /// Root mean square of how far the corners of the region moved, in reduced pixels.
    pub fn distance(&self) -> f32 {
        let corners = [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)];
        let sum: f32 = corners
            .iter()
            .map(|&(x, y)| {
                let (u, v) = self.motion.apply(x, y);
                ((u - x).powi(2) + (v - y).powi(2)) * self.half * self.half
            })
            .sum();
        (sum / 4.0).sqrt()
    }
}

/// A region of a picture, ready to be laid over others.
pub struct Region {
    centre: (f32, f32),
    half: f32,
    deviation: f32,
    points: Vec<Point>,
    /// Sums of products of the slopes.
    normal: [[f32; 8]; 8],
}

impl Region {
    /// `None` when the region has no contrast or leaves the picture.
    pub fn new(from: &Reduced, region: Rect) -> Option<Self> {
        let (left, top) = (region.x.max(1) as usize, region.y.max(1) as usize);
        let right = ((region.x + region.width).max(0) as usize).min(from.width().checked_sub(1)?);
        let bottom = ((region.y + region.height).max(0) as usize).min(from.height().checked_sub(1)?);
        if right < left + 8 || bottom < top + 8 {
            return None;
        }
        let half = region.width.max(1) as f32 / 2.0;
        let centre =
            (region.x as f32 + half - 0.5, region.y as f32 + region.height.max(1) as f32 / 2.0 - 0.5);
        let (mean, deviation) =
            moments((top..bottom).flat_map(|y| (left..right).map(move |x| from.at(x, y))))?;
        // Slopes in units of deviations a half width.
        let mut points = Vec::with_capacity((right - left) * (bottom - top));
        let mut normal = [[0.0_f32; 8]; 8];
        for y in top..bottom {
            for x in left..right {
                let (gx, gy) = from.slope(x, y);
                let (gx, gy) = (gx * half / deviation, gy * half / deviation);
                let (u, v) = ((x as f32 - centre.0) / half, (y as f32 - centre.1) / half);
                let turn = u * gx + v * gy;
                let slopes = [u * gx, v * gx, gx, u * gy, v * gy, gy, -u * turn, -v * turn];
                for (i, row) in normal.iter_mut().enumerate() {
                    row[i..].iter_mut().zip(&slopes[i..]).for_each(|(sum, b)| *sum += slopes[i] * b);
                }
                points.push((u, v, (from.at(x, y) - mean) / deviation, slopes));
            }
        }
        for (i, j) in (0..8).flat_map(|i| (0..i).map(move |j| (i, j))) {
            normal[i][j] = normal[j][i];
        }
        // A little damping: directions that the region says nothing about are left alone.
        let damping = 1e-4 * (0..8).map(|i| normal[i][i]).sum::<f32>() / 8.0;
        (0..8).for_each(|i| normal[i][i] += damping);
        Some(Region { centre, half, deviation, points, normal })
    }

    /// Lays the region over `to`, beginning with a shift by `(dx, dy)` pixels and growth by `scale`.
    ///
    /// `None` when nothing like it is found.
    pub fn align(&self, to: &Reduced, (dx, dy, scale): (f32, f32, f32)) -> Option<Aligned> {
        let &Region { centre, half, deviation, ref points, normal } = self;
        let mut motion = Homography([scale - 1.0, 0.0, dx / half, 0.0, scale - 1.0, dy / half, 0.0, 0.0]);
        let mut seen = vec![None; points.len()];
        let mut likeness = 0.0;
        for _ in 0..MAX_STEPS {
            likeness = sample(to, points, &motion, centre, half, &mut seen)?;
            let (mean, deviation) = moments(seen.iter().flatten().copied())?;
            let mut right_side = [0.0_f32; 8];
            for ((.., value, slopes), seen) in points.iter().zip(&seen) {
                let Some(seen) = seen else { continue };
                let error = (seen - mean) / deviation - value;
                right_side.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope * error);
            }
            let step = Homography(solve(normal, right_side)?);
            motion = motion.without(&step)?;
            if motion.0.iter().any(|v| v.abs() > 4.0) {
                return None;
            }
            if step.0.iter().all(|v| v.abs() * half < CONVERGED) {
                break;
            }
        }
        let last = sample(to, points, &motion, centre, half, &mut seen);
        likeness = last.unwrap_or(likeness);
        Some(Aligned { centre, half, motion, likeness, contrast: deviation })
    }
}

type Point = (f32, f32, f32, [f32; 8]);

/// Fills `seen` with the second picture's values under `motion`; the correlation with the first one.
fn sample(
    to: &Reduced,
    points: &[Point],
    motion: &Homography,
    centre: (f32, f32),
    half: f32,
    seen: &mut [Option<f32>],
) -> Option<f32> {
    let mut inside = 0_usize;
    for ((u, v, ..), seen) in points.iter().zip(seen.iter_mut()) {
        let (x, y) = motion.apply(*u, *v);
        *seen = to.between(centre.0 + x * half, centre.1 + y * half);
        inside += usize::from(seen.is_some());
    }
    if inside * 4 < points.len() * 3 {
        return None;
    }
    let (mean, deviation) = moments(seen.iter().flatten().copied())?;
    let product: f32 = points
        .iter()
        .zip(seen.iter())
        .filter_map(|((_, _, value, _), seen)| Some(value * (((*seen)? - mean) / deviation)))
        .sum();
    Some(product / inside as f32)
}

/// Mean and standard deviation, `None` for values without contrast.
pub(super) fn moments(values: impl Iterator<Item = f32> + Clone) -> Option<(f32, f32)> {
    let (mut count, mut sum) = (0_usize, 0.0_f32);
    for value in values.clone() {
        count += 1;
        sum += value;
    }
    let mean = sum / count.max(1) as f32;
    let deviation = (values.map(|v| (v - mean).powi(2)).sum::<f32>() / count.max(1) as f32).sqrt();
    (deviation > 1.0).then_some((mean, deviation))
}

/// Gauss elimination with pivoting; `None` where there is no one answer.
pub(super) fn solve<const N: usize>(mut m: [[f32; N]; N], mut right: [f32; N]) -> Option<[f32; N]> {
    for column in 0..N {
        let pivot = (column..N).max_by(|a, b| m[*a][column].abs().total_cmp(&m[*b][column].abs()))?;
        if m[pivot][column].abs() < 1e-6 {
            return None;
        }
        m.swap(column, pivot);
        right.swap(column, pivot);
        let (above, known) = (m[column], right[column]);
        for (row, right) in m.iter_mut().zip(&mut right).skip(column + 1) {
            let share = row[column] / above[column];
            row.iter_mut().zip(above).for_each(|(v, a)| *v -= share * a);
            *right -= share * known;
        }
    }
    for column in (0..N).rev() {
        let known: f32 = (column + 1..N).map(|k| m[column][k] * right[k]).sum();
        right[column] = (right[column] - known) / m[column][column];
    }
    right.iter().all(|v| v.is_finite()).then_some(right)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::picture::Gray;

    /// A region of one picture laid over another.
    pub fn align(from: &Reduced, to: &Reduced, region: Rect, start: (f32, f32, f32)) -> Option<Aligned> {
        Region::new(from, region)?.align(to, start)
    }

    /// A smooth pattern with detail everywhere, 0 to 255, periods of 9 to 30 pixels.
    pub fn pattern(x: f32, y: f32) -> f32 {
        127.0
            + 45.0 * (x * 0.43 + 1.3 * (y * 0.21).sin()).sin()
            + 45.0 * (y * 0.37 + 1.1 * (x * 0.23).cos()).sin()
            + 25.0 * ((x + y) * 0.6).sin()
    }

    pub fn drawn(width: usize, height: usize, value: impl Fn(f32, f32) -> f32) -> Gray {
        let pixels = (0..width * height)
            .map(|i| value((i % width) as f32, (i / width) as f32).clamp(0.0, 255.0).round() as u8)
            .collect();
        Gray::from_pixels(width, height, pixels).unwrap()
    }

    #[test]
    fn a_known_motion_is_found() {
        let from = Reduced::new(drawn(100, 90, pattern).view(), 1);
        let truth = Homography([0.05, -0.03, 0.06, 0.02, 0.04, -0.05, 0.02, -0.015]);
        let region = Rect::new(30, 25, 40, 40);
        let (cx, cy, half) = (49.5, 44.5, 20.0);
        // The second picture shows at T(p) what the first one shows at p: search p for each pixel.
        let inverse = Homography::IDENTITY.without(&truth).unwrap();
        let to = drawn(100, 90, |x, y| {
            let (u, v) = inverse.apply((x - cx) / half, (y - cy) / half);
            // Another light as well.
            0.8 * pattern(cx + u * half, cy + v * half) + 20.0
        });
        let to = Reduced::new(to.view(), 1);
        let found = align(&from, &to, region, (0.0, 0.0, 1.0)).unwrap();
        assert!(found.likeness > 0.995, "{found:?}");
        for (x, y) in [(30.0, 25.0), (69.0, 25.0), (49.0, 44.0), (69.0, 64.0)] {
            let (u, v) = truth.apply((x - cx) / half, (y - cy) / half);
            let (fx, fy) = found.follow(x, y);
            let off = ((fx - cx - u * half).powi(2) + (fy - cy - v * half).powi(2)).sqrt();
            assert!(off < 0.15, "({x}, {y}) is {off} off: {found:?}");
        }
        assert!(found.distance() > 1.0);
    }

    #[test]
    fn what_cannot_be_aligned_is_not() {
        let flat = Reduced::new(Gray::filled(60, 60, 90).view(), 1);
        let region = Rect::new(10, 10, 40, 40);
        assert!(align(&flat, &flat, region, (0.0, 0.0, 1.0)).is_none());
        let from = Reduced::new(drawn(60, 60, pattern).view(), 1);
        assert!(align(&from, &from, Rect::new(55, 0, 40, 40), (0.0, 0.0, 1.0)).is_none());
        assert!(align(&from, &from, region, (500.0, 0.0, 1.0)).is_none());
        assert!(align(&from, &from, region, (f32::NAN, 0.0, 1.0)).is_none());
        let still = align(&from, &from, region, (0.0, 0.0, 1.0)).unwrap();
        assert!(still.distance() < 1e-3 && still.likeness > 0.999, "{still:?}");
    }
}
