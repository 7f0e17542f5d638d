//! SSE2, which every x86-64 processor has, and SSE4.2.

use std::arch::x86_64::*;

use super::super::Isa;
use super::super::portable::blend_down_plain;
use super::common::{across8, at_least64, blend_down_signed, running8, running16, running32, transposed};

/// 8 windows: with SSE2, which every x86-64 processor has, or `V2` with SSSE3 as well.
#[derive(Clone, Copy)]
pub(in super::super::super) struct Sse<const V2: bool>;

/// Needs SSSE3.
#[inline(always)]
unsafe fn blend_down_signed16(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]) {
    if top.len() < 16 || weight == 0 || weight == 256 {
        return blend_down_plain(top, bottom, weight, 0x8000, out);
    }
    // SAFETY: 16 pixels are read and 16 values written at a time, all within the slices.
    unsafe {
        let store = |out: *mut u16, low, high| {
            _mm_storeu_si128(out.cast(), low);
            _mm_storeu_si128(out.add(8).cast(), high);
        };
        blend_down_signed!(
            16,
            top,
            bottom,
            weight,
            out,
            _mm_loadu_si128,
            _mm_xor_si128,
            _mm_unpacklo_epi8,
            _mm_unpackhi_epi8,
            _mm_maddubs_epi16,
            _mm_set1_epi16,
            store
        );
    }
}

// SAFETY (all functions): by the contract of the trait SSE2 is there (it is part of x86-64) and
// pointers are valid.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const V2: bool> Isa for Sse<V2> {
    const LANES: usize = 8;
    type Vector = __m128i;
    type Accumulator = (__m128, __m128);

    #[inline(always)]
    unsafe fn load(p: *const u16) -> Self::Vector {
        unsafe { _mm_loadu_si128(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(pair: u32) -> Self::Vector {
        unsafe { _mm_set1_epi32(pair as i32) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm_add_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm_sub_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm_mullo_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn and(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm_and_si128(a, b) }
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b)) }
    }
    #[inline(always)]
    unsafe fn cmp_lt_bits(a: Self::Vector, b: Self::Vector) -> u32 {
        unsafe {
            let mask = _mm_cmplt_epi16(a, b);
            _mm_movemask_epi8(_mm_packs_epi16(mask, _mm_setzero_si128())) as u32
        }
    }
    #[inline(always)]
    unsafe fn load_norms(p: *const f32) -> Self::Accumulator {
        unsafe { (_mm_loadu_ps(p), _mm_loadu_ps(p.add(4))) }
    }
    #[inline(always)]
    unsafe fn scaled_cmp_lt(f: Self::Vector, norm: Self::Accumulator, threshold: f32) -> Self::Vector {
        unsafe {
            // The value in the upper half of 32 bits: 65536 f, without sign extension.
            let zero = _mm_setzero_si128();
            let low = _mm_cvtepi32_ps(_mm_unpacklo_epi16(zero, f));
            let high = _mm_cvtepi32_ps(_mm_unpackhi_epi16(zero, f));
            Self::sum_cmp_lt((low, high), norm, threshold)
        }
    }
    #[inline(always)]
    unsafe fn zero_sum() -> Self::Accumulator {
        unsafe { (_mm_setzero_ps(), _mm_setzero_ps()) }
    }
    #[inline(always)]
    unsafe fn accumulate(sum: Self::Accumulator, f: Self::Vector, weight: f32) -> Self::Accumulator {
        unsafe {
            let (zero, weight) = (_mm_setzero_si128(), _mm_set1_ps(weight));
            let low = _mm_cvtepi32_ps(_mm_unpacklo_epi16(f, zero));
            let high = _mm_cvtepi32_ps(_mm_unpackhi_epi16(f, zero));
            (_mm_add_ps(sum.0, _mm_mul_ps(weight, low)), _mm_add_ps(sum.1, _mm_mul_ps(weight, high)))
        }
    }
    #[inline(always)]
    unsafe fn sum_cmp_lt(sum: Self::Accumulator, norm: Self::Accumulator, threshold: f32) -> Self::Vector {
        unsafe {
            let threshold = _mm_set1_ps(threshold);
            let low = _mm_cmplt_ps(_mm_mul_ps(sum.0, norm.0), threshold);
            let high = _mm_cmplt_ps(_mm_mul_ps(sum.1, norm.1), threshold);
            _mm_packs_epi32(_mm_castps_si128(low), _mm_castps_si128(high))
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: &[*const u16; 16], to: *mut u16, stride: usize, count: usize) {
        unsafe {
            macro_rules! row {
                ($i:expr) => {
                    _mm_loadu_si128(from[$i].cast())
                };
            }
            let rows = transposed!(
                row,
                _mm_unpacklo_epi16,
                _mm_unpackhi_epi16,
                _mm_unpacklo_epi32,
                _mm_unpackhi_epi32,
                _mm_unpacklo_epi64,
                _mm_unpackhi_epi64
            );
            if count >= 8 {
                for (i, row) in rows.into_iter().enumerate() {
                    _mm_storeu_si128(to.add(i * stride).cast(), row);
                }
            } else {
                for (i, row) in rows.into_iter().enumerate() {
                    if i < count {
                        _mm_storeu_si128(to.add(i * stride).cast(), row);
                    }
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn add_running_sums(row: &[u8], line: &mut [u16]) {
        unsafe { running8(row, line) }
    }
    #[inline(always)]
    unsafe fn blend_down(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]) {
        if V2 {
            unsafe { blend_down_signed16(top, bottom, weight, out) }
        } else {
            blend_down_plain(top, bottom, weight, 0, out);
        }
    }
    #[inline(always)]
    unsafe fn blend_across(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
        unsafe { across8::<V2>(v, first, weights, out) }
    }
    #[inline(always)]
    unsafe fn move_columns(sums: &mut [u16], squares: &mut [u32], out: &[u8], into: &[u8]) {
        let chunks = into.as_chunks::<8>().0.iter().zip(out.as_chunks::<8>().0);
        let sums = sums.as_chunks_mut::<8>().0.iter_mut();
        let squares = squares.as_chunks_mut::<8>().0.iter_mut();
        unsafe {
            let zero = _mm_setzero_si128();
            for (((into, out), sums), squares) in chunks.zip(sums).zip(squares) {
                let i = _mm_unpacklo_epi8(_mm_loadl_epi64(into.as_ptr().cast()), zero);
                let o = _mm_unpacklo_epi8(_mm_loadl_epi64(out.as_ptr().cast()), zero);
                let sums = sums.as_mut_ptr().cast();
                let difference = _mm_sub_epi16(i, o);
                _mm_storeu_si128(sums, _mm_add_epi16(_mm_loadu_si128(sums), difference));
                // i i - o o.
                let minus = _mm_sub_epi16(zero, o);
                let low = _mm_madd_epi16(_mm_unpacklo_epi16(i, o), _mm_unpacklo_epi16(i, minus));
                let high = _mm_madd_epi16(_mm_unpackhi_epi16(i, o), _mm_unpackhi_epi16(i, minus));
                let squares = squares.as_mut_ptr().cast::<__m128i>();
                _mm_storeu_si128(squares, _mm_add_epi32(_mm_loadu_si128(squares), low));
                let squares = squares.add(1);
                _mm_storeu_si128(squares, _mm_add_epi32(_mm_loadu_si128(squares), high));
            }
        }
    }
    #[inline(always)]
    unsafe fn running_sums16(columns: &[u16], paired: bool, sums: &mut [u32]) {
        unsafe { running16(columns, paired, sums) }
    }
    #[inline(always)]
    unsafe fn running_sums32(columns: &[u32], paired: bool, sums: &mut [u32]) {
        unsafe { running32(columns, paired, sums) }
    }
    #[inline(always)]
    unsafe fn cmp_ge_bits(values: &[u32; 64], least: u32) -> u64 {
        unsafe { at_least64(values, least) }
    }
}
