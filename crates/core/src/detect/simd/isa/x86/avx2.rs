//! AVX2.

use std::arch::x86_64::*;

use super::super::Isa;
use super::super::portable::blend_down_plain;
use super::common::{across8, at_least64, blend_down_signed, running8, running16, running32, transposed};

/// AVX2: 16 windows.
#[derive(Clone, Copy)]
pub(in super::super::super) struct Avx2;

/// Needs AVX2.
#[inline(always)]
unsafe fn blend_down_signed32(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]) {
    if top.len() < 32 || weight == 0 || weight == 256 {
        return blend_down_plain(top, bottom, weight, 0x8000, out);
    }
    // SAFETY: 32 pixels are read and 32 values written at a time, all within the slices.
    unsafe {
        let store = |out: *mut u16, low, high| {
            _mm256_storeu_si256(out.cast(), _mm256_permute2x128_si256::<0x20>(low, high));
            _mm256_storeu_si256(out.add(16).cast(), _mm256_permute2x128_si256::<0x31>(low, high));
        };
        blend_down_signed!(
            32,
            top,
            bottom,
            weight,
            out,
            _mm256_loadu_si256,
            _mm256_xor_si256,
            _mm256_unpacklo_epi8,
            _mm256_unpackhi_epi8,
            _mm256_maddubs_epi16,
            _mm256_set1_epi16,
            store
        );
    }
}

// SAFETY (all functions): by the contract of the trait AVX2 is there and pointers are valid.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Isa for Avx2 {
    const LANES: usize = 16;
    type Vector = __m256i;
    /// Lanes 0-3 and 8-11, then 4-7 and 12-15: the order in which 256-bit unpacking leaves them.
    type Accumulator = (__m256, __m256);

    #[inline(always)]
    unsafe fn load(p: *const u16) -> Self::Vector {
        unsafe { _mm256_loadu_si256(p.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(pair: u32) -> Self::Vector {
        unsafe { _mm256_set1_epi32(pair as i32) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm256_add_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm256_sub_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm256_mullo_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn and(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { _mm256_blendv_epi8(b, a, mask) }
    }
    #[inline(always)]
    unsafe fn cmp_lt_bits(a: Self::Vector, b: Self::Vector) -> u32 {
        unsafe {
            let mask = _mm256_cmpgt_epi16(b, a);
            let packed = _mm256_packs_epi16(mask, _mm256_setzero_si256());
            let bits = _mm256_movemask_epi8(packed) as u32;
            (bits & 0xff) | (bits >> 8)
        }
    }
    #[inline(always)]
    unsafe fn load_norms(p: *const f32) -> Self::Accumulator {
        unsafe {
            let (a, b) = (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)));
            (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
        }
    }
    #[inline(always)]
    unsafe fn scaled_cmp_lt(f: Self::Vector, norm: Self::Accumulator, threshold: f32) -> Self::Vector {
        unsafe {
            let zero = _mm256_setzero_si256();
            let low = _mm256_cvtepi32_ps(_mm256_unpacklo_epi16(zero, f));
            let high = _mm256_cvtepi32_ps(_mm256_unpackhi_epi16(zero, f));
            Self::sum_cmp_lt((low, high), norm, threshold)
        }
    }
    #[inline(always)]
    unsafe fn zero_sum() -> Self::Accumulator {
        unsafe { (_mm256_setzero_ps(), _mm256_setzero_ps()) }
    }
    #[inline(always)]
    unsafe fn accumulate(sum: Self::Accumulator, f: Self::Vector, weight: f32) -> Self::Accumulator {
        unsafe {
            let (zero, weight) = (_mm256_setzero_si256(), _mm256_set1_ps(weight));
            let low = _mm256_cvtepi32_ps(_mm256_unpacklo_epi16(f, zero));
            let high = _mm256_cvtepi32_ps(_mm256_unpackhi_epi16(f, zero));
            (
                _mm256_add_ps(sum.0, _mm256_mul_ps(weight, low)),
                _mm256_add_ps(sum.1, _mm256_mul_ps(weight, high)),
            )
        }
    }
    #[inline(always)]
    unsafe fn sum_cmp_lt(sum: Self::Accumulator, norm: Self::Accumulator, threshold: f32) -> Self::Vector {
        unsafe {
            let threshold = _mm256_set1_ps(threshold);
            let low = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_mul_ps(sum.0, norm.0), threshold);
            let high = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_mul_ps(sum.1, norm.1), threshold);
            _mm256_packs_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high))
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: &[*const u16; 16], to: *mut u16, stride: usize, count: usize) {
        unsafe {
            macro_rules! row {
                ($i:expr) => {
                    _mm256_inserti128_si256::<1>(
                        _mm256_castsi128_si256(_mm_loadu_si128(from[$i].cast())),
                        _mm_loadu_si128(from[$i + 8].cast()),
                    )
                };
            }
            let rows = transposed!(
                row,
                _mm256_unpacklo_epi16,
                _mm256_unpackhi_epi16,
                _mm256_unpacklo_epi32,
                _mm256_unpackhi_epi32,
                _mm256_unpacklo_epi64,
                _mm256_unpackhi_epi64
            );
            if count >= 8 {
                for (i, row) in rows.into_iter().enumerate() {
                    _mm256_storeu_si256(to.add(i * stride).cast(), row);
                }
            } else {
                for (i, row) in rows.into_iter().enumerate() {
                    if i < count {
                        _mm256_storeu_si256(to.add(i * stride).cast(), row);
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
        unsafe { blend_down_signed32(top, bottom, weight, out) }
    }
    #[inline(always)]
    unsafe fn blend_across(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
        unsafe { across8::<true>(v, first, weights, out) }
    }
    #[inline(always)]
    unsafe fn move_columns(sums: &mut [u16], squares: &mut [u32], out: &[u8], into: &[u8]) {
        let chunks = into.as_chunks::<16>().0.iter().zip(out.as_chunks::<16>().0);
        let sums = sums.as_chunks_mut::<16>().0.iter_mut();
        let squares = squares.as_chunks_mut::<16>().0.iter_mut();
        unsafe {
            for (((into, out), sums), squares) in chunks.zip(sums).zip(squares) {
                let i = _mm256_cvtepu8_epi16(_mm_loadu_si128(into.as_ptr().cast()));
                let o = _mm256_cvtepu8_epi16(_mm_loadu_si128(out.as_ptr().cast()));
                let sums = sums.as_mut_ptr().cast();
                let difference = _mm256_sub_epi16(i, o);
                _mm256_storeu_si256(sums, _mm256_add_epi16(_mm256_loadu_si256(sums), difference));
                // i i - o o, columns 0-3 and 8-11, then the others.
                let minus = _mm256_sub_epi16(_mm256_setzero_si256(), o);
                let a = _mm256_madd_epi16(_mm256_unpacklo_epi16(i, o), _mm256_unpacklo_epi16(i, minus));
                let b = _mm256_madd_epi16(_mm256_unpackhi_epi16(i, o), _mm256_unpackhi_epi16(i, minus));
                let low = _mm256_permute2x128_si256::<0x20>(a, b);
                let high = _mm256_permute2x128_si256::<0x31>(a, b);
                let squares = squares.as_mut_ptr().cast::<__m256i>();
                _mm256_storeu_si256(squares, _mm256_add_epi32(_mm256_loadu_si256(squares), low));
                let squares = squares.add(1);
                _mm256_storeu_si256(squares, _mm256_add_epi32(_mm256_loadu_si256(squares), high));
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
