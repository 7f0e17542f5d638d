//! The picture pyramid: which scales are scanned, and the exact bilinear reduction to each.

use crate::picture::GrayView;

use super::group::round;
use super::params::ScanParams;

/// One scale of the scan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// How much smaller than the picture the level is.
    pub scale: f32,
    /// Width of the reduced picture.
    pub width: usize,
    /// Height of the reduced picture.
    pub height: usize,
    /// Distance between tested windows in pixels of the level, both ways.
    pub step: usize,
    /// Rows of windows: `y` runs from 0 to below this, by `step`.
    pub rows: usize,
    /// Columns of windows: `x` runs from 0 to below this, by `step`.
    pub columns: usize,
}

/// Fills `levels` with the scales at which a window of `window` pixels is tested in a picture of
/// `picture` pixels (width, height each).
pub(super) fn plan(
    window: (u32, u32),
    picture: (usize, usize),
    params: &ScanParams,
    levels: &mut Vec<Level>,
) {
    levels.clear();
    let size = |scale: f64| (round(f64::from(window.0) * scale), round(f64::from(window.1) * scale));
    let scaled = |scale: f32| {
        // The product is formed in single precision.
        let edge = |w: u32| round(f64::from(w as f32 * scale));
        (edge(window.0), edge(window.1))
    };
    let (iw, ih) = (picture.0 as i32, picture.1 as i32);
    let edge = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let least = edge(params.min_size);
    let most = match params.max_size {
        0 => (iw, ih),
        size => (edge(size), edge(size)),
    };

    let mut push = |scale: f32| {
        let reduced = |edge: usize| round(f64::from(edge as f32 / scale)).max(0) as usize;
        let (width, height) = (reduced(picture.0), reduced(picture.1));
        levels.push(Level {
            scale,
            width,
            height,
            step: if scale >= 2.0 { 1 } else { 2 },
            rows: (height + 1).saturating_sub(window.1 as usize),
            columns: (width + 1).saturating_sub(window.0 as usize),
        });
    };

    // The nearest to `min_size`, should no scale be within the limits.
    let mut nearest: Option<(f32, i64)> = None;
    let (mut any, mut above) = (false, false);
    let mut factor = 1.0f64;
    loop {
        let (w, h) = size(factor);
        if w > iw || h > ih {
            break;
        }
        let scale = factor as f32;
        let (w, h) = scaled(scale);
        let distance = i64::from(least - w).pow(2) + i64::from(least - h).pow(2);
        if nearest.is_none_or(|(_, d)| distance < d) {
            nearest = Some((scale, distance));
        }
        above = above || w > most.0 || h > most.1;
        if !above && w >= least && h >= least {
            push(scale);
            any = true;
        }
        factor *= params.scale_factor;
    }
    if !any && let Some((scale, _)) = nearest {
        push(scale);
    }

    // OpenCV hands rows out in stripes whose number follows from the first level's width; with an
    // odd number of rows and step 2 the last row may fall off.
    if let Some(first) = levels.first() {
        let stripes = first.columns.div_ceil(32);
        for level in levels.iter_mut() {
            if stripes == 0 {
                level.rows = 0;
                continue;
            }
            let stripe = (level.rows / level.step).div_ceil(stripes).max(1) * level.step;
            level.rows = level.rows.min(stripes * stripe);
        }
    }
}

/// Where a reduced pixel lies between two source pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    /// First source pixel.
    pub first: u32,
    /// Second source pixel, the next one except at the border.
    pub second: u32,
    /// Weight of the second in 1/256; the first has the rest.
    pub weight: u32,
}

/// The taps of one axis: `to` pixels out of `from`, on the fixed-point grid of OpenCV's
/// `INTER_LINEAR_EXACT`.
pub(super) fn taps(from: usize, to: usize, out: &mut Vec<Tap>) {
    out.clear();
    let scale = 1.0 / (to as f64 / from as f64);
    let last = from as i64 - 1;
    out.extend((0..to).map(|i| {
        let at = scale * (i as f64 + 0.5) - 0.5;
        let first = at.floor();
        let weight = ((at - first) * 256.0).round_ties_even() as u32;
        let clamp = |p: i64| p.clamp(0, last) as u32;
        Tap { first: clamp(first as i64), second: clamp(first as i64 + 1), weight }
    }));
}

/// Working memory of the reduction, kept between frames.
#[derive(Default)]
pub(super) struct Reducer {
    across: Vec<Tap>,
    down: Vec<Tap>,
    blended: Vec<u16>,
}

impl Reducer {
    /// Inlined, so that it is compiled for the caller's instruction set.
    ///
    /// Reduces `picture` to `width` x `height` into `out` (row order, no gaps).
    #[inline(always)]
    pub fn reduce(&mut self, picture: GrayView<'_>, width: usize, height: usize, out: &mut Vec<u8>) {
        out.clear();
        if (width, height) == (picture.width(), picture.height()) {
            for y in 0..height {
                out.extend_from_slice(picture.row(y));
            }
            return;
        }
        taps(picture.width(), width, &mut self.across);
        taps(picture.height(), height, &mut self.down);
        for tap in &self.down {
            let (top, bottom) = (picture.row(tap.first as usize), picture.row(tap.second as usize));
            let (w0, w1) = (256 - tap.weight as u16, tap.weight as u16);
            // Down first, then across: the sum is exact in integers, so the order is free.
            self.blended.clear();
            self.blended.extend(top.iter().zip(bottom).map(|(&a, &b)| u16::from(a) * w0 + u16::from(b) * w1));
            let blended = &self.blended[..];
            out.extend(self.across.iter().map(|t| {
                let a = u32::from(blended[t.first as usize]) * (256 - t.weight);
                let b = u32::from(blended[t.second as usize]) * t.weight;
                ((a + b + 32768) >> 16) as u8
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scales(window: u32, picture: (usize, usize), params: ScanParams) -> Vec<f32> {
        let mut levels = Vec::new();
        plan((window, window), picture, &params, &mut levels);
        levels.iter().map(|l| l.scale).collect()
    }

    #[test]
    fn scales_stop_at_the_picture_and_respect_the_limits() {
        let p = |min_size, max_size| ScanParams { scale_factor: 2.0, min_neighbors: 3, min_size, max_size };
        assert_eq!(scales(24, (100, 200), p(0, 0)), [1.0, 2.0, 4.0]);
        assert_eq!(scales(24, (100, 200), p(25, 0)), [2.0, 4.0]);
        assert_eq!(scales(24, (100, 200), p(0, 50)), [1.0, 2.0]);
        assert!(scales(24, (23, 200), p(0, 0)).is_empty());
        // Nothing fits: the scale nearest to the smallest size.
        assert_eq!(scales(24, (100, 200), p(500, 0)), [4.0]);
        assert_eq!(scales(24, (100, 200), p(30, 31)), [1.0]);
    }

    #[test]
    fn reduction_of_a_ramp_and_of_nothing() {
        let ramp: Vec<u8> = (0..64).map(|i| (i % 8) * 16).collect();
        let view = GrayView::new(8, 8, 8, &ramp).unwrap();
        let mut out = Vec::new();
        Reducer::default().reduce(view, 4, 3, &mut out);
        assert_eq!(out, [8, 40, 72, 104].repeat(3));
        Reducer::default().reduce(view, 8, 8, &mut out);
        assert_eq!(out, ramp);
    }
}
