//! Is the face's finest structure that of skin, or that of paper?
//!
//! Local binary patterns: each pixel's eight neighbours are brighter or darker, which makes one of 59
//! classes (the 58 with at most two changes around the ring, and the rest: Ojala, Pietikäinen and Mäenpää,
//! IEEE PAMI 2002). How often each class comes, over the face and over each ninth of it, at three distances,
//! tells a printed face from a living one (Määttä, Hadid and Pietikäinen, IJCB 2011). The weights of the
//! figures are learned from `nuaa` (`training/train_patterns.py`, logistic regression).

use crate::picture::{GrayView, Rect};

/// The face is brought to a square of this edge.
const SIDE: usize = 64;
/// Distances of the neighbours.
const DISTANCES: [usize; 3] = [1, 2, 4];
/// Classes of patterns.
const CLASSES: usize = 59;
/// Parts of the face along each edge.
const PARTS: usize = 3;
/// Figures of a face: its own histogram and its parts', at each distance.
const FIGURES: usize = DISTANCES.len() * (1 + PARTS * PARTS) * CLASSES;

/// Step of the weights and the constant, 32-bit floats, then a weight for each figure in steps, 8-bit
/// integers; little-endian.
const LEARNED: &[u8; 8 + FIGURES] = include_bytes!("../../../../models/patterns.bin");

/// The class of each of the 256 patterns.
const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [58; 256];
    let (mut pattern, mut next) = (0_usize, 0);
    while pattern < 256 {
        let bits = pattern as u8;
        if (bits ^ bits.rotate_right(1)).count_ones() <= 2 {
            table[pattern] = next;
            next += 1;
        }
        pattern += 1;
    }
    table
}

/// The logarithm of the odds that the face lives, by its patterns alone. `None` for a face that is too
/// small to show any.
pub fn log_odds(picture: GrayView<'_>, face: Rect) -> Option<f32> {
    let square = square(picture, face)?;
    let number = |at: usize| f32::from_le_bytes(std::array::from_fn(|i| LEARNED[at + i]));
    let (step, constant) = (number(0), number(4));
    let mut weights = LEARNED[8..].iter().map(|w| f32::from(*w as i8));
    let mut sum = 0.0;
    let mut add = |histogram: &[u32; CLASSES]| {
        let all = histogram.iter().sum::<u32>().max(1) as f32;
        sum += histogram.iter().zip(&mut weights).map(|(n, w)| w * (*n as f32 / all).sqrt()).sum::<f32>();
    };
    for distance in DISTANCES {
        let inner = SIDE - 2 * distance;
        let mut parts = [[0_u32; CLASSES]; PARTS * PARTS];
        // Part p of a row or column ends before (p + 1) * inner / PARTS.
        let part_of = |i: usize| (0..PARTS).find(|p| i < (p + 1) * inner / PARTS).unwrap_or(PARTS - 1);
        for y in 0..inner {
            let row = part_of(y) * PARTS;
            for x in 0..inner {
                let class = class(&square, x + distance, y + distance, distance);
                parts[row + part_of(x)][class] += 1;
            }
        }
        add(&std::array::from_fn(|class| parts.iter().map(|part| part[class]).sum()));
        parts.iter().for_each(&mut add);
    }
    Some(step * sum + constant)
}

/// The class of the pattern about a pixel.
fn class(square: &[u8; SIDE * SIDE], x: usize, y: usize, distance: usize) -> usize {
    let at = |x: usize, y: usize| square[y * SIDE + x];
    let (left, right, above, below) = (x - distance, x + distance, y - distance, y + distance);
    let ring = [
        at(left, above),
        at(x, above),
        at(right, above),
        at(right, y),
        at(right, below),
        at(x, below),
        at(left, below),
        at(left, y),
    ];
    let middle = at(x, y);
    let pattern = ring.iter().rev().fold(0_usize, |bits, v| bits << 1 | usize::from(*v >= middle));
    usize::from(CLASS[pattern])
}

/// The face as a square of [`SIDE`], each value the mean of the area that it covers.
fn square(picture: GrayView<'_>, face: Rect) -> Option<[u8; SIDE * SIDE]> {
    let part = picture.bounds().intersection(&face)?;
    let (width, height) = (part.width as usize, part.height as usize);
    if width < SIDE || height < SIDE {
        return None;
    }
    let columns = shares(width);
    let rows = shares(height);
    let mut square = [0; SIDE * SIDE];
    let mut sums = vec![0.0_f32; width];
    for (line, target) in rows.iter().zip(square.chunks_exact_mut(SIDE)) {
        sums.fill(0.0);
        for (y, share) in line.pixels() {
            let row = &picture.row(part.y as usize + y)[part.x as usize..][..width];
            sums.iter_mut().zip(row).for_each(|(sum, p)| *sum += share * f32::from(*p));
        }
        for (column, value) in columns.iter().zip(target) {
            let sum: f32 = column.pixels().map(|(x, share)| share * sums[x]).sum();
            *value = (sum + 0.5) as u8;
        }
    }
    Some(square)
}

/// The pixels that a reduced one covers: the first, its share, the last, its share, and a whole one's.
struct Share {
    first: (usize, f32),
    last: (usize, f32),
    whole: f32,
}

impl Share {
    fn pixels(&self) -> impl Iterator<Item = (usize, f32)> {
        let (first, last, whole) = (self.first, self.last, self.whole);
        (first.0..=last.0).map(move |i| match i {
            _ if i == first.0 => first,
            _ if i == last.0 => last,
            _ => (i, whole),
        })
    }
}

/// How [`SIDE`] pixels share in `length` of them, at least as many.
fn shares(length: usize) -> [Share; SIDE] {
    let whole = SIDE as f32 / length as f32;
    std::array::from_fn(|i| {
        // In units of 1 / SIDE pixels everything is whole.
        let (from, to) = (i * length, (i + 1) * length);
        let (first, last) = (from / SIDE, (to - 1) / SIDE);
        let part = |units: usize| whole * units as f32 / SIDE as f32;
        Share {
            first: (first, part(((first + 1) * SIDE).min(to) - from)),
            last: (last, part(to - (last * SIDE).max(from))),
            whole,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::align::tests::{drawn, pattern};
    use super::*;
    use crate::picture::Gray;

    #[test]
    fn fifty_eight_patterns_are_even() {
        let mut counts = [0; CLASSES];
        CLASS.iter().for_each(|class| counts[usize::from(*class)] += 1);
        assert!(counts[..58].iter().all(|n| *n == 1), "{counts:?}");
        assert_eq!(counts[58], 256 - 58);
        assert_eq!((CLASS[0], CLASS[255], CLASS[0b0101]), (0, 57, 58));
    }

    #[test]
    fn a_square_is_made_of_means() {
        let pixels = (0..128 * 192).map(|i| (i % 128 / 2 + i / 128 / 3) as u8).collect();
        let gray = Gray::from_pixels(128, 192, pixels).unwrap();
        let whole = square(gray.view(), Rect::new(0, 0, 128, 192)).unwrap();
        for (i, value) in whole.iter().enumerate() {
            assert_eq!(usize::from(*value), i % SIDE + i / SIDE);
        }
        for length in [64, 65, 100, 127, 500] {
            let mut given = vec![0.0; length];
            for share in shares(length) {
                let pixels: Vec<_> = share.pixels().collect();
                assert!((pixels.iter().map(|p| p.1).sum::<f32>() - 1.0).abs() < 1e-4, "{length}");
                pixels.iter().for_each(|(i, s)| given[*i] += s * length as f32 / SIDE as f32);
            }
            assert!(given.iter().all(|g| (g - 1.0).abs() < 1e-3), "{length}: {given:?}");
        }
    }

    /// What the trainer says of the same faces: `figures(square(picture, box)) @ weights` of
    /// `training/train_patterns.py`, which reduces by OpenCV.
    #[test]
    fn the_odds_are_the_trainers() {
        let pixels = (0..200 * 150).map(|i| (i % 200, i / 200));
        let pixels = pixels.map(|(x, y): (usize, usize)| (x * x / 7 + y * y / 5 + x * y / 11) as u8);
        let gray = Gray::from_pixels(200, 150, pixels.collect()).unwrap();
        for (face, expected) in [
            (Rect::new(5, 3, 64, 64), 1.7144),
            (Rect::new(20, 20, 100, 100), 4.6646),
            (Rect::new(30, 10, 128, 128), 5.4004),
            (Rect::new(-20, -20, 100, 100), 2.5475),
            (Rect::new(10, 5, 140, 139), 5.1607),
        ] {
            let odds = log_odds(gray.view(), face).unwrap();
            assert!((odds - expected).abs() < 0.02, "{face:?}: {odds}, by the trainer {expected}");
        }
    }

    #[test]
    fn any_box_is_borne() {
        let gray = drawn(200, 150, pattern);
        for (face, some) in [
            (Rect::new(20, 20, 100, 100), true),
            (Rect::new(-20, -20, 100, 100), true),
            (Rect::new(-60, 0, 100, 100), false),
            (Rect::new(10, 10, 63, 63), false),
            (Rect::new(500, 500, 90, 90), false),
            (Rect::new(0, 0, 0, 0), false),
        ] {
            let odds = log_odds(gray.view(), face);
            assert_eq!(odds.is_some(), some, "{face:?}");
            assert!(odds.is_none_or(f32::is_finite));
        }
        assert!(log_odds(Gray::filled(90, 90, 7).view(), Rect::new(0, 0, 90, 90)).unwrap().is_finite());
    }
}
