//! What the x86-64 instruction sets have in common.

use std::arch::x86_64::*;

use super::super::portable::running_sums_rest;

/// Transposes 8 registers of 16-bit values, within each 128 bits.
macro_rules! transposed {
    ($row:ident, $low16:ident, $high16:ident, $low32:ident, $high32:ident, $low64:ident, $high64:ident) => {{
        let (a0, a1) = ($low16($row!(0), $row!(1)), $high16($row!(0), $row!(1)));
        let (a2, a3) = ($low16($row!(2), $row!(3)), $high16($row!(2), $row!(3)));
        let (a4, a5) = ($low16($row!(4), $row!(5)), $high16($row!(4), $row!(5)));
        let (a6, a7) = ($low16($row!(6), $row!(7)), $high16($row!(6), $row!(7)));
        let (b0, b1) = ($low32(a0, a2), $high32(a0, a2));
        let (b2, b3) = ($low32(a1, a3), $high32(a1, a3));
        let (b4, b5) = ($low32(a4, a6), $high32(a4, a6));
        let (b6, b7) = ($low32(a5, a7), $high32(a5, a7));
        [
            $low64(b0, b4),
            $high64(b0, b4),
            $low64(b1, b5),
            $high64(b1, b5),
            $low64(b2, b6),
            $high64(b2, b6),
            $low64(b3, b7),
            $high64(b3, b7),
        ]
    }};
}

#[inline(always)]
pub(super) unsafe fn running8(row: &[u8], line: &mut [u16]) {
    let line = &mut line[..row.len()];
    let mut rows = row.chunks_exact(8);
    let mut lines = line.chunks_exact_mut(8);
    // SAFETY: both chunks are 8 values long; SSE2 is part of x86-64.
    unsafe {
        let mut carry = _mm_setzero_si128();
        for (row, line) in (&mut rows).zip(&mut lines) {
            let v = _mm_loadl_epi64(row.as_ptr().cast());
            let v = _mm_unpacklo_epi8(v, _mm_setzero_si128());
            let v = _mm_add_epi16(v, _mm_slli_si128::<2>(v));
            let v = _mm_add_epi16(v, _mm_slli_si128::<4>(v));
            let v = _mm_add_epi16(v, _mm_slli_si128::<8>(v));
            let old = _mm_loadu_si128(line.as_ptr().cast());
            let new = _mm_add_epi16(_mm_add_epi16(old, v), carry);
            _mm_storeu_si128(line.as_mut_ptr().cast(), new);
            let total = _mm_shufflehi_epi16::<0xff>(v);
            carry = _mm_add_epi16(carry, _mm_unpackhi_epi64(total, total));
        }
        let mut sum = _mm_extract_epi16::<0>(carry) as u16;
        for (value, &pixel) in lines.into_remainder().iter_mut().zip(rows.remainder()) {
            sum = sum.wrapping_add(u16::from(pixel));
            *value = value.wrapping_add(sum);
        }
    }
}

/// [`super::super::Isa::blend_down`], with 32768 taken from each sum: that makes the pixels signed bytes and
/// the products fit. Weights of 0 and 256, which do not fit into a byte, are left to the caller.
macro_rules! blend_down_signed {
    ($bytes:literal, $top:ident, $bottom:ident, $weight:ident, $out:ident,
     $load:ident, $xor:ident, $low:ident, $high:ident, $madd:ident, $set:ident, $store:expr) => {{
        let n = $top.len();
        assert!(n >= $bytes && $bottom.len() == n && $out.len() == n);
        let flip = $set(0x8080u16 as i16);
        let weights = $set(((256 - $weight) | $weight << 8) as i16);
        let mut i = 0;
        loop {
            // The last step overlaps the one before.
            i = i.min(n - $bytes);
            let a = $xor($load($top.as_ptr().add(i).cast()), flip);
            let b = $xor($load($bottom.as_ptr().add(i).cast()), flip);
            $store($out.as_mut_ptr().add(i), $madd(weights, $low(a, b)), $madd(weights, $high(a, b)));
            i += $bytes;
            if i >= n {
                break;
            }
        }
    }};
}

/// [`super::super::Isa::blend_across`] of values from which 32768 has been taken if `SIGNED`.
#[inline(always)]
pub(super) unsafe fn across8<const SIGNED: bool>(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
    let (first, weights) = (first.as_chunks::<8>().0, weights.as_chunks::<8>().0);
    // SAFETY: the caller vouches that `first` stays below the last value of `v`; SSE2 is part of
    // x86-64.
    unsafe {
        // Products of signed halves: the values are taken 32768 lower, which the constant mends,
        // as the two weights make 256.
        let flip = if SIGNED { _mm_setzero_si128() } else { _mm_set1_epi16(i16::MIN) };
        let mend = _mm_set1_epi32(256 * 32768 + 32768);
        macro_rules! four {
            ($first:expr, $weights:expr, $i:literal) => {{
                macro_rules! two {
                    ($k:expr) => {
                        _mm_cvtsi32_si128(
                            v.as_ptr().add($first[$i + $k] as usize).cast::<i32>().read_unaligned(),
                        )
                    };
                }
                let v = _mm_unpacklo_epi64(
                    _mm_unpacklo_epi32(two!(0), two!(1)),
                    _mm_unpacklo_epi32(two!(2), two!(3)),
                );
                let weights = _mm_loadu_si128($weights.as_ptr().add($i).cast());
                let sum = _mm_madd_epi16(_mm_xor_si128(v, flip), weights);
                _mm_srli_epi32::<16>(_mm_add_epi32(sum, mend))
            }};
        }
        for ((out, first), weights) in out.as_chunks_mut::<8>().0.iter_mut().zip(first).zip(weights) {
            let (a, b) = (four!(first, weights, 0), four!(first, weights, 4));
            let bytes = _mm_packus_epi16(_mm_packs_epi32(a, b), _mm_setzero_si128());
            _mm_storel_epi64(out.as_mut_ptr().cast(), bytes);
        }
    }
}

/// Running sums, four at a time, of the vectors that `$four` gives for an index into `$sums`.
macro_rules! running {
    ($columns:ident, $paired:ident, $sums:ident, $four:expr) => {{
        let whole = $sums.len() / 4 * 4;
        let mut carry = _mm_setzero_si128();
        for i in (0..whole).step_by(4) {
            let v = $four(i);
            let v = _mm_add_epi32(v, _mm_slli_si128::<4>(v));
            let v = _mm_add_epi32(v, _mm_slli_si128::<8>(v));
            let v = _mm_add_epi32(v, carry);
            _mm_storeu_si128($sums.as_mut_ptr().add(i).cast(), v);
            carry = _mm_shuffle_epi32::<0xff>(v);
        }
        running_sums_rest($columns, $paired, $sums, whole);
    }};
}

#[inline(always)]
pub(super) unsafe fn running16(columns: &[u16], paired: bool, sums: &mut [u32]) {
    assert!(columns.len() >= sums.len() * if paired { 2 } else { 1 });
    let from = columns.as_ptr();
    // SAFETY: four values or pairs are read, and four written, where there are that many;
    // SSE2 is part of x86-64.
    unsafe {
        if paired {
            let ones = _mm_set1_epi16(1);
            running!(columns, paired, sums, |i: usize| _mm_madd_epi16(
                _mm_loadu_si128(from.add(2 * i).cast()),
                ones
            ));
        } else {
            let zero = _mm_setzero_si128();
            running!(columns, paired, sums, |i: usize| _mm_unpacklo_epi16(
                _mm_loadl_epi64(from.add(i).cast()),
                zero
            ));
        }
    }
}

#[inline(always)]
pub(super) unsafe fn running32(columns: &[u32], paired: bool, sums: &mut [u32]) {
    assert!(columns.len() >= sums.len() * if paired { 2 } else { 1 });
    let from = columns.as_ptr();
    // SAFETY: as `running16`.
    unsafe {
        if paired {
            running!(columns, paired, sums, |i: usize| {
                let a = _mm_castsi128_ps(_mm_loadu_si128(from.add(2 * i).cast()));
                let b = _mm_castsi128_ps(_mm_loadu_si128(from.add(2 * i + 4).cast()));
                _mm_add_epi32(
                    _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(a, b)),
                    _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(a, b)),
                )
            });
        } else {
            running!(columns, paired, sums, |i: usize| _mm_loadu_si128(from.add(i).cast()));
        }
    }
}

#[inline(always)]
pub(super) unsafe fn at_least64(values: &[u32; 64], least: u32) -> u64 {
    // SAFETY: 16 values are read at each of four places; SSE2 is part of x86-64.
    unsafe {
        let flip = _mm_set1_epi32(i32::MIN);
        let below = _mm_set1_epi32((least - 1) as i32 ^ i32::MIN);
        let mut bits = 0u64;
        for i in 0..4 {
            let p = values.as_ptr().add(i * 16).cast::<__m128i>();
            macro_rules! mask {
                ($k:expr) => {
                    _mm_cmpgt_epi32(_mm_xor_si128(_mm_loadu_si128(p.add($k)), flip), below)
                };
            }
            let masks =
                _mm_packs_epi16(_mm_packs_epi32(mask!(0), mask!(1)), _mm_packs_epi32(mask!(2), mask!(3)));
            bits |= (_mm_movemask_epi8(masks) as u32 as u64) << (16 * i);
        }
        bits
    }
}

pub(super) use {blend_down_signed, transposed};
