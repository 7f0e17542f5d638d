//! Is the face flat? What its motion leaves over once the best homography is taken out.
//!
//! Two views of a flat picture differ by a homography (Hartley and Zisserman, "Multiple View Geometry",
//! 2004, chapter 13), however the hand trembles. A head has depth and moves in itself: turning, speaking
//! and blinking leave motion that no homography explains. Measured by blocks: the shift that is left in
//! each (Lucas and Kanade 1981), and their median in widths of the face.

use super::align::Aligned;
use super::reduced::Reduced;
use crate::picture::Rect;

/// Edge of a block in reduced pixels.
const BLOCK: usize = 6;

/// A block with less texture than this (the lesser eigenvalue of its slopes' products, a pixel) says
/// nothing about motion.
const MIN_TEXTURE: f32 = 12.0;

/// What is left over of the motion of a region, once aligned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residual {
    /// Median of the blocks' shifts, in widths of the region.
    pub shift: f32,
    /// Blocks that it rests on.
    pub blocks: usize,
}

/// The residual of `region`, which `aligned` lays over `to`. `None` with too few textured blocks.
pub fn residual(from: &Reduced, to: &Reduced, region: Rect, aligned: &Aligned) -> Option<Residual> {
    let (left, top) = (region.x.max(1) as usize, region.y.max(1) as usize);
    let right = ((region.x + region.width).max(0) as usize).min(from.width().saturating_sub(1));
    let bottom = ((region.y + region.height).max(0) as usize).min(from.height().saturating_sub(1));
    let mut shifts = Vec::new();
    for y in (top..bottom.saturating_sub(BLOCK - 1)).step_by(BLOCK) {
        for x in (left..right.saturating_sub(BLOCK - 1)).step_by(BLOCK) {
            shifts.extend(block(from, to, x, y, aligned));
        }
    }
    let blocks = shifts.len();
    if blocks < 8 {
        return None;
    }
    // The median: a glare that wanders over a print moves some blocks, a head's depth nearly all.
    let (_, middle, _) = shifts.select_nth_unstable_by(blocks / 2, f32::total_cmp);
    Some(Residual { shift: *middle / region.width as f32, blocks })
}

/// The shift of one block in reduced pixels; `None` without texture.
fn block(from: &Reduced, to: &Reduced, x0: usize, y0: usize, aligned: &Aligned) -> Option<f32> {
    let area = (BLOCK * BLOCK) as f32;
    let (mut mean_from, mut mean_to) = (0.0, 0.0);
    let mut seen = [[0.0_f32; BLOCK]; BLOCK];
    for (dy, row) in seen.iter_mut().enumerate() {
        for (dx, value) in row.iter_mut().enumerate() {
            let (x, y) = aligned.follow((x0 + dx) as f32, (y0 + dy) as f32);
            *value = to.between(x, y)?;
            mean_to += *value / area;
            mean_from += from.at(x0 + dx, y0 + dy) / area;
        }
    }
    let (mut xx, mut xy, mut yy, mut ex, mut ey) = (0.0_f32, 0.0, 0.0, 0.0, 0.0);
    for (dy, row) in seen.iter().enumerate() {
        for (dx, value) in row.iter().enumerate() {
            let (gx, gy) = from.slope(x0 + dx, y0 + dy);
            // Light that changes over the face is not motion.
            let error = (value - mean_to) - (from.at(x0 + dx, y0 + dy) - mean_from);
            xx += gx * gx;
            xy += gx * gy;
            yy += gy * gy;
            ex += gx * error;
            ey += gy * error;
        }
    }
    let middle = (xx + yy) / 2.0;
    let lesser = middle - ((xx - yy).powi(2) / 4.0 + xy * xy).sqrt();
    if lesser / area < MIN_TEXTURE || lesser.is_nan() {
        return None;
    }
    let determinant = xx * yy - xy * xy;
    let (dx, dy) = ((yy * ex - xy * ey) / determinant, (xx * ey - xy * ex) / determinant);
    Some(dx.hypot(dy))
}

#[cfg(test)]
mod tests {
    use super::super::align::tests::{align, drawn, pattern};
    use super::*;

    fn left_over(second: impl Fn(f32, f32) -> (f32, f32)) -> Residual {
        let from = Reduced::new(drawn(90, 90, pattern).view(), 1);
        let to = Reduced::new(
            drawn(90, 90, |x, y| {
                let (x, y) = second(x, y);
                pattern(x, y)
            })
            .view(),
            1,
        );
        let region = Rect::new(25, 25, 40, 40);
        let aligned = align(&from, &to, region, (0.0, 0.0, 1.0)).unwrap();
        residual(&from, &to, region, &aligned).unwrap()
    }

    #[test]
    fn a_flat_motion_leaves_nothing_and_depth_does() {
        let flat = left_over(|x, y| (x * 1.02 + 0.03 * y - 2.0, y * 0.99 - 0.02 * x + 1.2));
        // The middle of the region comes forward: it shifts by up to 1.2 pixels against the rim.
        let deep = left_over(|x, y| {
            let near = (-((x - 45.0).powi(2) + (y - 45.0).powi(2)) / 150.0).exp();
            (x - 1.0 - 1.2 * near, y)
        });
        assert!(flat.shift < 0.002, "{flat:?}");
        assert!(deep.shift > 4.0 * flat.shift && deep.shift > 0.003, "{deep:?} {flat:?}");
    }
}
