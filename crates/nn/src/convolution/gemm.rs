//! Products of many short rows of floats with one matrix of weights.
//!
//! A row is given by where its parts begin: a convolution's row is one line of pixels for each line of its
//! kernel, which lie in the picture already and need not be laid out first. The weights are laid out once,
//! in panels of as many columns as stay in registers (Goto and van de Geijn, "Anatomy of High-Performance
//! Matrix Multiplication", ACM TOMS 2008, without its blocking: these matrices are small).

use std::mem::MaybeUninit;

use super::kernels::{GemmCall, Kernels, STEP};
use super::memory::{Aligned, LINE, Line};
use super::simd::Simd;

/// Weights taken at a time: 16 KiB stay in the innermost cache while all rows pass by.
const CACHED: usize = 4096;

/// A matrix of weights, laid out for one set of kernels.
pub(super) struct Weights {
    kernels: &'static Kernels,
    /// For each panel, part and place in the part: the weights of the panel's columns.
    laid_out: Aligned,
    /// The first column of each panel, in vectors, and how many vectors it has.
    panels: Vec<(usize, usize)>,
    columns: usize,
    parts: usize,
    part_len: usize,
}

impl Weights {
    /// The matrix of `columns` columns and rows of `parts` parts of `part_len` floats, whose weights are
    /// given by column, part and place in the part.
    pub(super) fn new(
        kernels: &'static Kernels,
        columns: usize,
        parts: usize,
        part_len: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let lanes = kernels.lanes;
        let panels = even_parts(columns.div_ceil(lanes), kernels.max_vectors).collect::<Vec<_>>();
        let filled = part_len.next_multiple_of(STEP);
        let width = |vectors: usize| vectors * lanes;
        let all = columns.next_multiple_of(lanes);
        let mut laid_out = Aligned::zeros(parts * filled * all);
        let out = laid_out.floats_mut();
        for &(first, vectors) in &panels {
            let panel = &mut out[width(first) * parts * filled..][..width(vectors) * parts * filled];
            for (at, values) in panel.chunks_exact_mut(width(vectors)).enumerate() {
                let (part, place) = (at / filled, at % filled);
                for (i, value) in values.iter_mut().enumerate() {
                    let column = width(first) + i;
                    if column < columns && place < part_len {
                        *value = weight(column, part, place);
                    }
                }
            }
        }
        Weights { kernels, laid_out, panels, columns, parts, part_len: filled }
    }

    /// Floats read from where a part of a row begins.
    pub(super) fn part_len(&self) -> usize {
        self.part_len
    }

    /// `bias` filled up as [`Weights::multiply`] wants it.
    pub(super) fn filled(&self, bias: &[f32]) -> Aligned {
        let mut filled = Aligned::zeros(self.filled_columns());
        filled.floats_mut()[..bias.len()].copy_from_slice(bias);
        filled
    }

    /// Columns filled up to whole vectors.
    pub(super) fn filled_columns(&self) -> usize {
        self.columns.next_multiple_of(self.kernels.lanes)
    }

    /// Writes `bias + row * weights`, not below 0 if `relu`, for each row, `stride` apart in `out`.
    ///
    /// `starts` has a pointer for each row and part of it. `bias` is as long as
    /// [`Weights::filled_columns`]. If `stride` is that long too, the columns beyond the last are written
    /// as well.
    ///
    /// # Safety
    /// From each pointer on [`Weights::part_len`] floats must be readable.
    pub(super) unsafe fn multiply(
        &self,
        starts: &[*const f32],
        bias: &[f32],
        relu: bool,
        stride: usize,
        out: &mut [f32],
    ) {
        let rows = starts.len() / self.parts;
        let columns = if stride >= self.filled_columns() { self.filled_columns() } else { self.columns };
        assert!(
            starts.len() == rows * self.parts
                && bias.len() >= self.filled_columns()
                && stride >= columns
                && (rows == 0 || out.len() >= (rows - 1) * stride + columns)
        );
        let laid_out = self.laid_out.floats();
        for &(first, vectors) in &self.panels {
            let (column, width) = (first * self.kernels.lanes, vectors * self.kernels.lanes);
            let panel =
                &laid_out[column * self.parts * self.part_len..][..width * self.parts * self.part_len];
            let longest = (CACHED / width).next_multiple_of(STEP);
            for part in 0..self.parts {
                for (place, count) in even_parts(self.part_len / STEP, longest / STEP) {
                    let place = place * STEP;
                    let call = GemmCall {
                        weights: panel[(part * self.part_len + place) * width..].as_ptr(),
                        length: count * STEP,
                        start: (part, self.parts, place),
                        bias: ((part, place) == (0, 0)).then(|| bias[column..].as_ptr()),
                        columns: columns - column,
                        stride,
                        relu: relu && part + 1 == self.parts && place + count * STEP == self.part_len,
                    };
                    for (row, count) in even_parts(rows, self.kernels.max_rows) {
                        let starts = starts[row * self.parts..].as_ptr();
                        let out = out[row * stride + column..].as_mut_ptr();
                        // SAFETY: the caller vouches for the pointers in `starts`; the panel has `vectors`
                        // vectors of weights and of bias, and `count` rows of `out` begin `stride` apart and
                        // hold `columns - column` floats each, by the assertion above. Kernels exist only for
                        // what the processor has.
                        unsafe { (self.kernels.gemm_panel)(vectors, count, &call, starts, out) };
                    }
                }
            }
        }
    }
}

/// `total` in as few parts of at most `most` as possible, as equal as can be: first and count of each.
fn even_parts(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = total.div_ceil(most);
    // At least this many in each, and one more in the first ones.
    let (least, more) = (total.checked_div(parts).unwrap_or(0), total.checked_rem(parts).unwrap_or(0));
    (0..parts).map(move |i| (i * least + i.min(more), least + usize::from(i < more)))
}

/// Floats in the largest panel: the kernels' most vectors and rows.
const PANEL: usize = 3 * 16 * 8;

/// A stretch of a panel of `VECTORS` vectors of columns for `ROWS` rows.
///
/// # Safety
/// The processor has `S`. `starts` holds `ROWS` times the parts of a row, each of which is readable as far as
/// `call.start` and `call.length` say; from `call.weights` on there are `call.length` times `VECTORS` vectors,
/// and from `call.bias` on, if it is there, `VECTORS`. `call.columns` is more than `VECTORS - 1` vectors; from
/// `out` on so many floats, or `VECTORS` vectors if that is less, are readable and writable `ROWS` times,
/// `call.stride` apart.
#[expect(clippy::needless_range_loop, reason = "an index is into several arrays, or a place in memory too")]
#[inline(always)]
pub(super) unsafe fn gemm_panel<S: Simd, const VECTORS: usize, const ROWS: usize>(
    call: &GemmCall,
    starts: *const *const f32,
    out: *mut f32,
) {
    const { assert!(VECTORS * ROWS * S::LANES <= PANEL) };
    let mut products = MaybeUninit::<[Line; PANEL / LINE]>::uninit();
    let products = products.as_mut_ptr().cast::<f32>();
    // SAFETY: the caller vouches for everything that is read and written; the products fit.
    unsafe {
        // The sums stay in registers as long as no other than the plainest loops touch them, hence the way
        // through `products`.
        let mut sums = [[S::zero(); VECTORS]; ROWS];
        let (part, parts, first) = call.start;
        let mut rows = [std::ptr::null(); ROWS];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = (*starts.add(r * parts + part)).add(first);
        }
        let mut weights = call.weights;
        for place in (0..call.length).step_by(STEP) {
            let mut fours = [S::load_quad(rows[0].add(place)); ROWS];
            for r in 1..ROWS {
                fours[r] = S::load_quad(rows[r].add(place));
            }
            macro_rules! step {
                ($j:literal) => {
                    for v in 0..VECTORS {
                        let weight = S::load(weights.add(v * S::LANES));
                        for r in 0..ROWS {
                            sums[r][v] = S::accumulate::<$j>(sums[r][v], weight, fours[r]);
                        }
                    }
                    weights = weights.add(VECTORS * S::LANES);
                };
            }
            step!(0);
            step!(1);
            step!(2);
            step!(3);
        }
        for r in 0..ROWS {
            for v in 0..VECTORS {
                S::store(products.add((r * VECTORS + v) * S::LANES), sums[r][v]);
            }
        }
        finish::<S>(call, VECTORS, ROWS, products, out);
    }
}

/// Adds the bias, or what is in `out` already, to a panel's products and writes them.
///
/// # Safety
/// As [`gemm_panel`].
#[inline(always)]
unsafe fn finish<S: Simd>(call: &GemmCall, vectors: usize, rows: usize, products: *const f32, out: *mut f32) {
    // SAFETY: as in `gemm_panel`.
    unsafe {
        for r in 0..rows {
            for v in 0..vectors {
                let to = out.add(r * call.stride + v * S::LANES);
                let left = call.columns - v * S::LANES;
                let before = match call.bias {
                    Some(bias) => S::load(bias.add(v * S::LANES)),
                    None if left >= S::LANES => S::load(to),
                    None => S::load_part(to, left),
                };
                let mut sum = S::add(S::load(products.add((r * vectors + v) * S::LANES)), before);
                if call.relu {
                    sum = S::max(sum, S::zero());
                }
                if left >= S::LANES { S::store(to, sum) } else { S::store_part(to, sum, left) }
            }
        }
    }
}
