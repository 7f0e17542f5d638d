//! Does the face move with what surrounds it?
//!
//! The camera is fixed, and so is the wall behind a living head. A photograph brings surroundings of its
//! own, which move with the face in it. Each textured block beside and above the head is compared with the
//! later frame twice: where it was, and where the face's motion would carry it.

use super::align::Aligned;
use super::reduced::Reduced;
use crate::picture::Rect;

/// Edge of a block in reduced pixels.
const BLOCK: usize = 6;

/// A block whose gray values deviate less says nothing.
const MIN_CONTRAST: f32 = 5.0;

/// The face's motion must carry a block at least so far, in reduced pixels.
const MIN_DISPLACEMENT: f32 = 0.6;

/// Squared error, a pixel, that noise and compression make anyway.
const NOISE_ERROR: f32 = 4.0;

/// Half the width of the ring and of the head in it, in widths of the face.
const RING: f32 = 1.45;
const HEAD: f32 = 0.85;
/// How far above and below the face's centre the ring reaches; below are shoulders, which move along.
const ABOVE: f32 = 1.3;
const HAIR: f32 = 0.95;
const BELOW: f32 = 0.35;

/// What the surroundings do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Along {
    /// From -1 (they stand still) to 1 (they move with the face).
    pub share: f32,
    /// Blocks that it rests on.
    pub blocks: usize,
}

/// Whether the surroundings of `face` (in reduced pixels of `from`) move along. `None` where too little of
/// them is textured, or the face hardly moved.
pub fn along(from: &Reduced, to: &Reduced, face: Rect, aligned: &Aligned) -> Option<Along> {
    let width = face.width as f32;
    let (cx, cy) = (face.x as f32 + width / 2.0, face.y as f32 + face.height as f32 / 2.0);
    let limit = |v: f32, end: usize| v.clamp(0.0, end as f32) as usize;
    let (left, right) = (limit(cx - RING * width, from.width()), limit(cx + RING * width, from.width()));
    let (top, bottom) = (limit(cy - ABOVE * width, from.height()), limit(cy + BELOW * width, from.height()));
    let (mut still, mut moved, mut blocks) = (0.0_f32, 0.0_f32, 0);
    for y in (top..bottom.saturating_sub(BLOCK - 1)).step_by(BLOCK) {
        for x in (left..right.saturating_sub(BLOCK - 1)).step_by(BLOCK) {
            let (bx, by) = (x as f32 + BLOCK as f32 / 2.0, y as f32 + BLOCK as f32 / 2.0);
            if (bx - cx).abs() < HEAD * width && by > cy - HAIR * width {
                continue;
            }
            let (tx, ty) = aligned.follow(bx, by);
            if (tx - bx).hypot(ty - by) < MIN_DISPLACEMENT {
                continue;
            }
            let Some((stays, goes)) = errors(from, to, x, y, aligned) else { continue };
            // Each block counts once, however strong its contrast is: what matters is which fits.
            let sum = stays + goes + 2.0 * NOISE_ERROR;
            still += goes / sum;
            moved += stays / sum;
            blocks += 1;
        }
    }
    (blocks >= 6).then(|| Along { share: (moved - still) / blocks as f32, blocks })
}

/// Mean squared errors of a block under no motion and under the face's; `None` without contrast or where
/// it leaves the picture.
fn errors(from: &Reduced, to: &Reduced, x0: usize, y0: usize, aligned: &Aligned) -> Option<(f32, f32)> {
    let area = (BLOCK * BLOCK) as f32;
    let mut values = [[0.0_f32; 3]; BLOCK * BLOCK];
    for (at, value) in values.iter_mut().enumerate() {
        let (x, y) = (x0 + at % BLOCK, y0 + at / BLOCK);
        let (tx, ty) = aligned.follow(x as f32, y as f32);
        *value = [from.at(x, y), to.at(x, y), to.between(tx, ty)?];
    }
    let means: [f32; 3] = std::array::from_fn(|k| values.iter().map(|v| v[k]).sum::<f32>() / area);
    let variance = values.iter().map(|v| (v[0] - means[0]).powi(2)).sum::<f32>() / area;
    if variance < MIN_CONTRAST * MIN_CONTRAST {
        return None;
    }
    let error =
        |k: usize| values.iter().map(|v| ((v[k] - means[k]) - (v[0] - means[0])).powi(2)).sum::<f32>() / area;
    Some((error(1), error(2)))
}

#[cfg(test)]
mod tests {
    use super::super::align::tests::{align, drawn, pattern};
    use super::*;

    /// The face moves by 3 pixels; its surroundings by `share` of that.
    fn share(of: f32) -> Option<f32> {
        let face = Rect::new(60, 60, 40, 40);
        let from = Reduced::new(drawn(160, 160, pattern).view(), 1);
        let second = drawn(160, 160, |x, y| {
            let inside = (x - 80.0).abs() < 30.0 && (y - 80.0).abs() < 34.0;
            pattern(x - if inside { 3.0 } else { 3.0 * of }, y)
        });
        let to = Reduced::new(second.view(), 1);
        let aligned = align(&from, &to, face, (2.0, 0.0, 1.0)).unwrap();
        along(&from, &to, face, &aligned).map(|a| a.share)
    }

    #[test]
    fn a_wall_stands_still_and_a_photograph_moves_along() {
        assert!(share(0.0).unwrap() < -0.7, "{:?}", share(0.0));
        assert!(share(1.0).unwrap() > 0.7, "{:?}", share(1.0));
    }

    #[test]
    fn without_motion_or_texture_nothing_is_said() {
        let face = Rect::new(60, 60, 40, 40);
        let from = Reduced::new(drawn(160, 160, pattern).view(), 1);
        let aligned = align(&from, &from, face, (0.0, 0.0, 1.0)).unwrap();
        assert_eq!(along(&from, &from, face, &aligned), None);
        let walled = |x: f32, y: f32| {
            if (x - 80.0).abs() < 30.0 && (y - 80.0).abs() < 34.0 { pattern(x, y) } else { 100.0 }
        };
        let from = Reduced::new(drawn(160, 160, walled).view(), 1);
        let to = Reduced::new(drawn(160, 160, |x, y| walled(x - 2.0, y)).view(), 1);
        let aligned = align(&from, &to, face, (2.0, 0.0, 1.0)).unwrap();
        assert_eq!(along(&from, &to, face, &aligned), None);
    }
}
