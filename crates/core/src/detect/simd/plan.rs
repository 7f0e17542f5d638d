//! What is prepared before the scan: the cascade's tables, and how the levels lie on the picture.

use std::sync::Arc;

use facelatch_simd::InstructionSet;

use super::super::cascade::Cascade;
use super::super::pyramid::{Level, Tap};
use super::contrast::{self, Contrast, Map};
use super::layout::{Packed, Plain, SLACK, Split};
use super::table::{Exact, Table};
use crate::picture::GrayView;

/// A cascade prepared for lanes: shared by all who scan.
pub(in super::super) struct LanePlan {
    pub(super) cascade: Arc<Cascade>,
    pub(super) set: InstructionSet,
    pub(super) stride: usize,
    /// Where the tilted plane starts behind the upright one; 0 without tilted features.
    pub(super) tilted: usize,
    pub(super) has_tilted: bool,
    pub(super) plain: Table,
    pub(super) split: Table,
    pub(super) packed: Table,
    pub(super) exact_plain: Exact,
    pub(super) exact_split: Exact,
    /// Smallest `area x sqsum - sum^2` that passes the contrast gate.
    pub(super) least_nf: u64,
    /// Smallest range of pixels that can pass it.
    pub(super) least_range: u8,
    /// Per level of the pictures at hand.
    pub(super) maps: Vec<Map>,
    pub(super) mapped: (usize, usize),
    pub(super) levels: Vec<Level>,
    pub(super) taps: Vec<Tap>,
    pub(super) contrast: Contrast,
    /// Whether `contrast` is that of the picture at hand.
    pub(super) measured: bool,
}

impl LanePlan {
    /// The plan for a cascade that suits.
    pub fn new(cascade: Arc<Cascade>, set: InstructionSet) -> Self {
        let (w, h) = cascade.window();
        let lanes = if set == InstructionSet::Avx2 { 16 } else { 8 };
        let (columns, rows) = (w as usize + 1, h as usize + 1);
        let packed = Packed { columns, lanes, tilted: columns * rows };
        let area = u64::from((w - 2) * (h - 2));
        let least_nf = least_nf(area as f64);
        let passes = |range: &u8| area.pow(2) * u64::from(*range).pow(2) >= 4 * least_nf;
        LanePlan {
            packed: Table::new(&cascade, &packed),
            least_nf,
            least_range: (0..=u8::MAX).find(passes).unwrap_or(u8::MAX),
            maps: Vec::new(),
            mapped: (0, 0),
            levels: Vec::new(),
            taps: Vec::new(),
            contrast: Contrast::default(),
            stride: 0,
            tilted: 0,
            has_tilted: cascade.features().iter().any(|f| f.tilted),
            measured: false,
            plain: Table::default(),
            split: Table::default(),
            exact_plain: Exact::default(),
            exact_split: Exact::default(),
            cascade,
            set,
        }
    }

    /// Prepares the scan of `levels` of `picture`.
    pub fn prepare(&mut self, picture: GrayView<'_>, levels: &[Level]) {
        let Some(first) = levels.first() else { return };
        self.lay_out(first.width, first.height);
        // Where little of the picture is looked at, measuring all of it does not pay.
        let pixels: usize = levels.iter().map(|l| l.width * l.height).sum();
        self.measured = 2 * pixels >= picture.width() * picture.height();
        if self.measured {
            contrast::measure(self.set, &mut self.contrast, picture);
        }
        let size = (picture.width(), picture.height());
        if self.mapped == size && self.levels == levels {
            return;
        }
        let (w, h) = self.cascade.window();
        self.mapped = size;
        self.levels.clear();
        self.levels.extend_from_slice(levels);
        self.maps.resize_with(levels.len().max(self.maps.len()), Map::default);
        for (map, level) in self.maps.iter_mut().zip(levels) {
            map.fill(size, (w as usize, h as usize), level, &mut self.taps);
        }
    }

    /// Makes room for levels of up to `width` x `height` pixels.
    fn lay_out(&mut self, width: usize, height: usize) {
        let stride = ((width + 1).next_multiple_of(32) + 32).max(self.stride);
        let tilted = if self.has_tilted { (height + 1) * stride + SLACK } else { 0 };
        if stride == self.stride && tilted <= self.tilted {
            return;
        }
        let tilted = tilted.max(self.tilted);
        (self.stride, self.tilted) = (stride, tilted);
        let (plain, split) = (Plain { stride, tilted }, Split { stride, tilted });
        self.plain = Table::new(&self.cascade, &plain);
        self.split = Table::new(&self.cascade, &split);
        self.exact_plain = Exact::new(&self.cascade, &plain);
        self.exact_split = Exact::new(&self.cascade, &split);
    }

    /// Values of a block of survivors, `lanes` windows side by side.
    pub(super) fn packed_len(&self, lanes: usize) -> usize {
        let (w, h) = self.cascade.window();
        let planes = if self.tilted > 0 { 2 } else { 1 };
        (w as usize + 1) * (h as usize + 1) * lanes * planes
    }
}

/// The gate as OpenCV computes it is monotonic in nf; this finds where it opens.
fn least_nf(area: f64) -> u64 {
    let open = |nf: u64| area * f64::from((1.0 / (nf as f64).sqrt()) as f32) < 0.1;
    let (mut shut, mut opens) = (0u64, 1u64 << 50);
    while opens - shut > 1 {
        let middle = (shut + opens) / 2;
        if open(middle) { opens = middle } else { shut = middle }
    }
    opens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_of_a_24_pixel_window() {
        let area = 22.0 * 22.0;
        let least = least_nf(area);
        assert!(area * f64::from((1.0 / (least as f64).sqrt()) as f32) < 0.1);
        assert!(area * f64::from((1.0 / ((least - 1) as f64).sqrt()) as f32) >= 0.1);
    }
}
