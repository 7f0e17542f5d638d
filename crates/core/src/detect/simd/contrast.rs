//! Where a picture has contrast at all: windows elsewhere need not be looked at.
//!
//! A pixel of a reduced picture is a rounded mean of source pixels, so it lies between the least and
//! the greatest of the source pixels that its window covers. The variance of values that lie within
//! a range is at most a quarter of the range squared (Popoviciu). A window over source blocks with a
//! small range therefore fails the contrast gate, whatever the scale, and neither it nor the pixels
//! that only such windows cover are computed.

use facelatch_simd::InstructionSet;

use super::super::pyramid::{self, Level, Tap};
use crate::picture::GrayView;

/// Edge of a block in source pixels.
const BLOCK: usize = 8;

/// Least and greatest pixel of each block of the source picture.
#[derive(Default)]
pub(super) struct Contrast {
    columns: usize,
    low: Vec<u8>,
    high: Vec<u8>,
    lines: [Vec<u8>; 3],
}

/// `out[i]`: `f` of `line[i]` and `line[i + distance]`.
#[inline(always)]
fn pairwise(line: &[u8], distance: usize, out: &mut [u8], f: impl Fn(u8, u8) -> u8) {
    for ((out, &a), &b) in out.iter_mut().zip(line).zip(&line[distance..]) {
        *out = f(a, b);
    }
}

/// Folds rows of equal length into `line`.
#[inline(always)]
fn fold<'a>(line: &mut [u8], rows: impl Iterator<Item = &'a [u8]>, f: impl Fn(u8, u8) -> u8) {
    for row in rows {
        for (value, &other) in line.iter_mut().zip(row) {
            *value = f(*value, other);
        }
    }
}

impl Contrast {
    /// Measures `picture`. Inlined, so that it is compiled for the caller's instruction set.
    #[inline(always)]
    pub fn measure(&mut self, picture: GrayView<'_>) {
        const CHUNK: usize = 4 * BLOCK;
        let (width, height) = (picture.width(), picture.height());
        self.columns = width.div_ceil(BLOCK);
        self.low.clear();
        self.high.clear();
        let whole = width / CHUNK;
        for line in &mut self.lines {
            line.resize(width.next_multiple_of(CHUNK) + BLOCK, 0);
        }
        let [low, high, other] = &mut self.lines;
        for top in (0..height).step_by(BLOCK) {
            let rows = || (top..height.min(top + BLOCK)).map(|y| picture.row(y));
            for chunk in 0..whole {
                let (mut least, mut most) = ([u8::MAX; CHUNK], [0; CHUNK]);
                for row in rows() {
                    let pixels = &row.as_chunks::<CHUNK>().0[chunk];
                    for ((least, most), &pixel) in least.iter_mut().zip(&mut most).zip(pixels) {
                        (*least, *most) = (pixel.min(*least), pixel.max(*most));
                    }
                }
                low[chunk * CHUNK..][..CHUNK].copy_from_slice(&least);
                high[chunk * CHUNK..][..CHUNK].copy_from_slice(&most);
            }
            // What lies beyond the picture changes neither.
            let rest = whole * CHUNK;
            low[rest..].fill(u8::MAX);
            fold(&mut low[rest..], rows().map(|row| &row[rest..]), u8::min);
            high[rest..].fill(0);
            fold(&mut high[rest..], rows().map(|row| &row[rest..]), u8::max);
            self.low.extend(blocks(low, other, u8::min).take(self.columns));
            self.high.extend(blocks(high, other, u8::max).take(self.columns));
        }
    }
}

/// Calls [`Contrast::measure`] compiled for `set`.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "one instruction set there"))]
pub(super) fn measure(set: InstructionSet, contrast: &mut Contrast, picture: GrayView<'_>) {
    #[cfg(target_arch = "x86_64")]
    if set == InstructionSet::Avx2 && set.is_available() {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
        fn avx2(contrast: &mut Contrast, picture: GrayView<'_>) {
            contrast.measure(picture);
        }
        // SAFETY: `is_available` has just said that the processor has these features.
        return unsafe { avx2(contrast, picture) };
    }
    contrast.measure(picture);
}

/// `f` of the pixels of each block of `line`; `other` is working memory.
#[inline(always)]
fn blocks<'a>(
    line: &'a mut [u8],
    other: &mut [u8],
    f: impl Fn(u8, u8) -> u8 + Copy + 'a,
) -> impl Iterator<Item = u8> + 'a {
    pairwise(line, 1, other, f);
    pairwise(other, 2, line, f);
    line.chunks_exact(BLOCK).map(move |block| f(block[0], block[BLOCK / 2]))
}

/// See [`Map::first`].
pub(super) const MAP_PADDING: usize = 16;

/// How a level lies on the source picture: the same for every picture of one size.
#[derive(Default)]
pub(super) struct Map {
    /// Per column, and for some behind the last up to a multiple of [`MAP_PADDING`]: its first
    /// source pixel, and both weights as [`super::isa::Isa::blend_across`]
    /// wants them. The second pixel is the next one; behind the last there must be a copy of it.
    pub first: Vec<u32>,
    pub weights: Vec<u32>,
    /// Per row.
    pub down: Vec<Tap>,
    /// Block column of each window's leftmost pixel.
    left: Vec<u16>,
    /// Block columns that a window covers, at the most.
    across: usize,
}

impl Map {
    /// Fills it for a level of a picture of `picture` pixels and windows of `window`; `taps` is
    /// working memory.
    pub fn fill(
        &mut self,
        picture: (usize, usize),
        window: (usize, usize),
        level: &Level,
        taps: &mut Vec<Tap>,
    ) {
        pyramid::taps(picture.1, level.height, &mut self.down);
        pyramid::taps(picture.0, level.width, taps);
        self.first.clear();
        self.first.extend(taps.iter().map(|t| t.first));
        self.weights.clear();
        self.weights.extend(taps.iter().map(|t| (256 - t.weight) | t.weight << 16));
        let padded = level.width.next_multiple_of(MAP_PADDING);
        self.first.resize(padded, *self.first.last().unwrap_or(&0));
        self.weights.resize(padded, 256);
        self.left.clear();
        self.across = 1;
        // The contrast gate leaves out a window's outermost pixels.
        for x in (0..level.columns).step_by(level.step) {
            let left = taps[x + 1].first as usize / BLOCK;
            let right = taps[x + window.0 - 2].second as usize / BLOCK;
            self.left.push(left as u16);
            self.across = self.across.max(right + 1 - left);
        }
    }

    /// Which windows of the rows `top..=bottom` may have contrast: a range of indices into a row of
    /// windows, empty if there are none. `least` is the least range of pixels that can pass.
    #[inline(always)]
    pub fn candidates(
        &self,
        contrast: &Contrast,
        (top, bottom): (usize, usize),
        window_height: usize,
        least: u8,
        lines: &mut [[Vec<u8>; 2]; 2],
    ) -> std::ops::Range<usize> {
        let columns = contrast.columns;
        let rows = self.down[top + 1].first as usize / BLOCK
            ..self.down[bottom + window_height - 2].second as usize / BLOCK + 1;
        let [low, high] = lines;
        for (lines, empty) in [(&mut *low, u8::MAX), (&mut *high, 0)] {
            for line in lines {
                line.clear();
                line.resize(columns + self.across, empty);
            }
        }
        let of = |plane| {
            move |y: usize| -> &[u8] {
                let plane: &Vec<u8> = plane;
                &plane[y * columns..][..columns]
            }
        };
        fold(&mut low[0], rows.clone().map(of(&contrast.low)), u8::min);
        fold(&mut high[0], rows.map(of(&contrast.high)), u8::max);
        // Now over as many columns as a window covers, by sums of powers of two.
        let mut covered = 1;
        while covered < self.across {
            let distance = covered.min(self.across - covered);
            let ([from, to], [high_from, high_to]) = (&mut *low, &mut *high);
            pairwise(from, distance, to, u8::min);
            pairwise(high_from, distance, high_to, u8::max);
            low.swap(0, 1);
            high.swap(0, 1);
            covered += distance;
        }
        let open = |&left: &u16| {
            let left = usize::from(left);
            high[0][left].saturating_sub(low[0][left]) >= least
        };
        match self.left.iter().position(open) {
            Some(first) => first..self.left.iter().rposition(open).map_or(first, |last| last + 1),
            None => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::ScanParams;
    use crate::picture::Gray;

    /// Every window outside the candidates has pixels within less than the least range.
    #[test]
    fn windows_left_out_are_flat() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut dice = |n: u32| rng.u32(0..n);
        let (mut contrast, mut map, mut lines) = (Contrast::default(), Map::default(), Default::default());
        let (mut levels, mut inside, mut outside) = (Vec::new(), 0, 0);
        for _ in 0..60 {
            let (width, height) = (30 + dice(120) as usize, 30 + dice(90) as usize);
            let (noise, wall) = (1 + dice(24), 100 + dice(60));
            let pixels = (0..width * height).map(|_| (wall + dice(noise)) as u8).collect();
            let mut picture = Gray::from_pixels(width, height, pixels).unwrap();
            let spot = (dice(width as u32) + dice(height as u32) * width as u32) as usize;
            picture.pixels_mut()[spot] = 0;
            contrast.measure(picture.view());
            let params = ScanParams { scale_factor: 1.3, ..Default::default() };
            pyramid::plan((24, 24), (width, height), &params, &mut levels);
            let mut reducer = pyramid::Reducer::default();
            let mut reduced = Vec::new();
            for level in &levels {
                map.fill((width, height), (24, 24), level, &mut Vec::new());
                reducer.reduce(picture.view(), level.width, level.height, &mut reduced);
                for y in (0..level.rows).step_by(level.step) {
                    let range = map.candidates(&contrast, (y, y), 24, 21, &mut lines);
                    for (i, x) in (0..level.columns).step_by(level.step).enumerate() {
                        let pixels = (y + 1..y + 23).flat_map(|y| &reduced[y * level.width..][x + 1..x + 23]);
                        let (low, high) = pixels.fold((255, 0), |(a, b), &p| (p.min(a), p.max(b)));
                        if range.contains(&i) {
                            inside += 1;
                        } else {
                            outside += 1;
                            assert!(high - low < 21, "{low}..{high} at {x} {y} of {level:?}");
                        }
                    }
                }
            }
        }
        assert!(inside > 1000 && outside > 1000, "{inside} {outside}");
    }
}
