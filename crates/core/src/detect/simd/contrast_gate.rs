//! The contrast gate: which windows vary enough to hold a face, and by what their features are divided.

use std::ops::Range;

use super::super::pyramid::Level;
use super::isa::Isa;
use super::layout::SLACK;
use super::plan::LanePlan;
use super::reduce::row_length;
use super::workspace::Workspace;

/// Rows of a level that are looked at together for whether there is contrast.
pub(super) const BAND: usize = 8;

/// Pixels of a window without its rim for which `area x sqsum - sum^2` fits 32 bits.
pub(super) const LARGEST_AREA: usize = 513;

/// Brings the sums of the columns of a row of windows from row `from` (nowhere, if `None`) to `to`.
#[inline(always)]
pub(super) fn sum_columns<I: Isa>(ws: &mut Workspace, row: usize, from: Option<usize>, to: usize, wh: usize) {
    let (sums, squares) = (&mut ws.column_sums, &mut ws.column_squares);
    let pixels = |y: usize| &ws.reduced[y * row..][..row];
    match from {
        Some(from) if to - from < wh - 2 => {
            for y in from + 1..=to {
                // SAFETY: the caller runs on the instruction set.
                unsafe { I::move_columns(sums, squares, pixels(y), pixels(y + wh - 2)) };
            }
        }
        _ => {
            sums.clear();
            sums.resize(row + SLACK, 0);
            squares.clear();
            squares.resize(row + SLACK, 0);
            ws.black.resize(row.max(ws.black.len()), 0);
            for y in to + 1..to + wh - 1 {
                // SAFETY: as above.
                unsafe { I::move_columns(sums, squares, &ws.black[..row], pixels(y)) };
            }
        }
    }
}

/// Running sums, along the row, of the columns (of a band of rows, or of one row of windows) from the
/// `first` window's on, for `padded` windows. A window's sum is the difference of two values that lie
/// `width` apart, the next window's is `stride` further: returns both.
#[inline(always)]
fn running_sums<I: Isa>(
    ws: &mut Workspace,
    level: &Level,
    first: usize,
    padded: usize,
    ww: usize,
    band: bool,
) -> (usize, usize) {
    let left = first * level.step;
    let paired = level.step == 2 && ww.is_multiple_of(2);
    // Columns are summed two and two where no window starts or ends between them.
    let (width, stride) = if paired { ((ww - 2) / 2, 1) } else { (ww - 2, level.step) };
    // Whole vectors, reaching beyond the last column.
    let count = ((padded - 1) * stride + width).next_multiple_of(4);
    for sums in [&mut ws.sums, &mut ws.squares] {
        // The first is the sum of no columns.
        sums.resize((count + 1).max(sums.len()), 0);
    }
    let (columns, column_squares) =
        if band { (&ws.band_sums, &ws.band_squares) } else { (&ws.column_sums, &ws.column_squares) };
    // SAFETY: the caller runs on the instruction set; a column's sum is at most that of
    // `table::MAX_ROWS` pixels, below 32768.
    unsafe {
        I::running_sums16(&columns[left + 1..], paired, &mut ws.sums[1..=count]);
        I::running_sums32(&column_squares[left + 1..], paired, &mut ws.squares[1..=count]);
    }
    (width, stride)
}

/// Which words of `span` have windows in the rows `top..=bottom` that may have contrast.
///
/// The squared deviations of a window's pixels from their mean sum up to no more than those of a region
/// that holds the window. One look at all of a band's rows therefore settles for most of a wall what
/// would take one for each row.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "as `normalise`, and the band")]
pub(super) fn with_contrast<I: Isa>(
    ws: &mut Workspace,
    plan: &LanePlan,
    level: &Level,
    (top, bottom): (usize, usize),
    span: Range<usize>,
    windows: usize,
    ww: usize,
    wh: usize,
) -> Range<usize> {
    let row = row_length(level);
    ws.band_sums.clear();
    ws.band_sums.extend_from_slice(&ws.column_sums);
    ws.band_squares.clear();
    ws.band_squares.extend_from_slice(&ws.column_squares);
    for y in top + wh - 1..bottom + wh - 1 {
        let pixels = &ws.reduced[y * row..][..row];
        // SAFETY: the caller runs on the instruction set.
        unsafe { I::move_columns(&mut ws.band_sums, &mut ws.band_squares, &ws.black[..row], pixels) };
    }
    let first = span.start * 64;
    let windows = windows.min(span.end * 64) - first;
    let padded = windows.next_multiple_of(8);
    let (width, stride) = running_sums::<I>(ws, level, first, padded, ww, true);
    let (sums, squares) = (&ws.sums[..], &ws.squares[..]);
    let window_sums = sums.iter().zip(&sums[width..]).map(|(a, b)| b.wrapping_sub(*a));
    let window_squares = squares.iter().zip(&squares[width..]).map(|(a, b)| b.wrapping_sub(*a));

    // In single precision. Each step rounds by at most 2^-24 of the largest possible product, and there
    // are fewer than sixteen.
    let area = ((ww - 2) * (wh - 2 + bottom - top)) as f32;
    let rounding = area * area * 65025.0 / (1 << 20) as f32;
    let limit = plan.least_nf as f32 / ((ww - 2) * (wh - 2)) as f32 * area - rounding;
    // The sign says whether it is below the limit.
    let below = |out: &mut u32, (sum, square): (u32, u32)| {
        let (sum, square) = (sum as i32 as f32, square as i32 as f32);
        *out = (area * square - sum * sum - limit).to_bits();
    };
    ws.nf[..span.len() * 64].fill(1 << 31);
    let out = ws.nf[..padded].iter_mut();
    let window_sums = window_sums.zip(window_squares);
    if stride == 1 {
        out.zip(window_sums).for_each(|(out, sums)| below(out, sums));
    } else {
        out.zip(window_sums.step_by(2)).for_each(|(out, sums)| below(out, sums));
    }
    let open = |word: &[u32; 64]| word.iter().fold(u32::MAX, |all, bits| all & bits) >> 31 == 0;
    let words = &ws.nf.as_chunks::<64>().0[..span.len()];
    match words.iter().position(open) {
        Some(from) => {
            let to = words.iter().rposition(open).map_or(from, |last| last + 1);
            span.start + from..span.start + to
        }
        None => span.start..span.start,
    }
}

/// Computes the normalisers of a row of windows, of those in words `span`, times 2^-16, and the bits of those with enough
/// contrast; says whether there is any.
#[inline(always)]
pub(super) fn normalise<I: Isa>(
    ws: &mut Workspace,
    plan: &LanePlan,
    level: &Level,
    span: Range<usize>,
    windows: usize,
    ww: usize,
    wh: usize,
) -> bool {
    let area = ((ww - 2) * (wh - 2)) as u64;
    let first = span.start * 64;
    let windows = windows.min(span.end * 64) - first;
    let padded = windows.next_multiple_of(8);
    let (width, stride) = running_sums::<I>(ws, level, first, padded, ww, false);
    let (sums, squares) = (&ws.sums[..], &ws.squares[..]);
    let window_sums = sums.iter().zip(&sums[width..]).map(|(a, b)| b.wrapping_sub(*a));
    let window_squares = squares.iter().zip(&squares[width..]).map(|(a, b)| b.wrapping_sub(*a));

    // area^2 * 127.5^2 bounds nf: up to that many pixels it fits into 32 bits and wrapping is harmless.
    if area <= LARGEST_AREA as u64 {
        let area = area as u32;
        let normaliser = |nf: &mut u32, (sum, square): (u32, u32)| {
            *nf = area.wrapping_mul(square).wrapping_sub(sum.wrapping_mul(sum));
        };
        let nfs = ws.nf[..padded].iter_mut();
        let window_sums = window_sums.zip(window_squares);
        if stride == 1 {
            nfs.zip(window_sums).for_each(|(nf, sums)| normaliser(nf, sums));
        } else {
            nfs.zip(window_sums.step_by(2)).for_each(|(nf, sums)| normaliser(nf, sums));
        }
        ws.nf[windows..span.len() * 64].fill(0);
        let gates = ws.gate[span].iter_mut();
        let nfs = ws.nf.as_chunks::<64>().0.iter();
        let norms = ws.norms[first..].as_chunks_mut::<64>().0.iter_mut();
        let mut any = 0;
        for ((gate, nf), norm) in gates.zip(nfs).zip(norms) {
            // SAFETY: the caller runs on the instruction set.
            *gate = unsafe { I::cmp_ge_bits(nf, plan.least_nf as u32) };
            any |= *gate;
            if *gate != 0 {
                inverse_roots(nf, norm);
            }
        }
        any != 0
    } else {
        let mut any = 0;
        ws.gate[span].fill(0);
        let window_sums = window_sums.zip(window_squares).step_by(stride).take(windows);
        for (i, (sum, square)) in window_sums.enumerate() {
            let (sum, square) = (u64::from(sum), u64::from(square));
            let nf = (area * square).saturating_sub(sum * sum);
            let bit = u64::from(nf >= plan.least_nf);
            any |= bit;
            ws.gate[(first + i) / 64] |= bit << (i % 64);
            ws.norms[first + i] = (1.0 / (nf.max(1) as f64).sqrt()) as f32 * (1.0 / 65536.0);
        }
        any != 0
    }
}

/// `1 / sqrt(nf)` as OpenCV rounds it (root, quotient, then to single precision), times 2^-16.
///
/// A root and a quotient in double precision are slow. One step of Newton's method from their
/// single-precision kin is good to about 2^-43; only where that lies so near the middle of two
/// neighbours that their choice is in doubt, the slow way decides.
#[inline(always)]
fn inverse_roots(nf: &[u32; 64], norms: &mut [f32; 64]) {
    const HALF: u64 = 1 << 28;
    const DOUBT: u64 = 1 << 13;
    let mut doubtful = 0u64;
    for (norm, &nf) in norms.iter_mut().zip(nf) {
        let nf = nf.max(1);
        let rough = f64::from(1.0 / (nf as f32).sqrt());
        let fine = rough * (1.5 - 0.5 * f64::from(nf) * rough * rough);
        // The 29 bits that single precision drops.
        let dropped = fine.to_bits() & (2 * HALF - 1);
        doubtful |= u64::from(dropped.wrapping_sub(HALF - DOUBT) < 2 * DOUBT);
        *norm = fine as f32 * (1.0 / 65536.0);
    }
    if doubtful != 0 {
        for (norm, &nf) in norms.iter_mut().zip(nf) {
            *norm = (1.0 / f64::from(nf.max(1)).sqrt()) as f32 * (1.0 / 65536.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_roots_are_those_of_the_slow_way() {
        let mut rng = fastrand::Rng::with_seed(12345);
        for round in 0..20_000 {
            let nf: [u32; 64] =
                std::array::from_fn(|i| if round % 2 == 0 { rng.u32(..) } else { (i + round * 37) as u32 });
            let mut norms = [0.0; 64];
            inverse_roots(&nf, &mut norms);
            for (norm, nf) in norms.iter().zip(nf) {
                let slow = (1.0 / f64::from(nf.max(1)).sqrt()) as f32;
                assert_eq!(norm * 65536.0, slow, "{nf}");
            }
        }
    }
}
