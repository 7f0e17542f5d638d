//! Vectors of 16-bit lanes, one lane a window, on each instruction set.
//!
//! All functions are `#[inline(always)]` and come to life inside a function that carries the
//! `#[target_feature]`s (see [`super::scan_level`]); there they are one to a few instructions each.

/// A vector instruction set.
///
/// # Safety
/// Every function may only be called where the processor has the instruction set; `load`, `norm` and
/// `transpose` besides require their pointers to be valid for what they say they read and write.
pub(super) trait Isa: Copy {
    /// Windows in a vector.
    const LANES: usize;
    /// `LANES` integers of 16 bits, or as many masks of all ones or all zeros.
    type W: Copy;
    /// `LANES` numbers in single precision.
    type R: Copy;

    /// `LANES` values from `p` on, unaligned.
    unsafe fn load(p: *const u16) -> Self::W;
    /// A pair of equal 16-bit halves in all lanes.
    unsafe fn splat(pair: u32) -> Self::W;
    unsafe fn add(a: Self::W, b: Self::W) -> Self::W;
    unsafe fn sub(a: Self::W, b: Self::W) -> Self::W;
    /// Low halves of the products.
    unsafe fn mul(a: Self::W, b: Self::W) -> Self::W;
    unsafe fn and(a: Self::W, b: Self::W) -> Self::W;
    /// `a` where the mask is set, else `b`.
    unsafe fn select(mask: Self::W, a: Self::W, b: Self::W) -> Self::W;
    /// One bit a lane: signed `a < b`.
    unsafe fn less(a: Self::W, b: Self::W) -> u32;
    /// `LANES` numbers from `p` on, in the order of `below`.
    unsafe fn norm(p: *const f32) -> Self::R;
    /// Mask of `65536 f * norm < threshold`, `f` signed.
    unsafe fn below(f: Self::W, norm: Self::R, threshold: f32) -> Self::W;
    /// All lanes 0.
    unsafe fn zero() -> Self::R;
    /// `sum + weight * f`, `f` unsigned, rounded after each of the two operations.
    unsafe fn accumulate(sum: Self::R, f: Self::W, weight: f32) -> Self::R;
    /// Mask of `sum * norm < threshold`.
    unsafe fn below_real(sum: Self::R, norm: Self::R, threshold: f32) -> Self::W;
    /// Reads 8 values from each of 8 places and writes for `i < count` the eight `i`-th ones to
    /// `to + i * stride`.
    unsafe fn transpose(from: &[*const u16; 8], to: *mut u16, stride: usize, count: usize);
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::Isa;
    use std::arch::x86_64::*;

    /// SSE2, which every x86-64 processor has: 8 windows.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Sse2;

    /// AVX2: 16 windows.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2;

    #[inline(always)]
    unsafe fn transpose8(from: &[*const u16; 8], to: *mut u16, stride: usize, count: usize) {
        // SAFETY: the caller vouches for the pointers; SSE2 is part of x86-64.
        unsafe {
            macro_rules! row {
                ($i:expr) => {
                    _mm_loadu_si128(from[$i].cast())
                };
            }
            let (a0, a1) = (_mm_unpacklo_epi16(row!(0), row!(1)), _mm_unpackhi_epi16(row!(0), row!(1)));
            let (a2, a3) = (_mm_unpacklo_epi16(row!(2), row!(3)), _mm_unpackhi_epi16(row!(2), row!(3)));
            let (a4, a5) = (_mm_unpacklo_epi16(row!(4), row!(5)), _mm_unpackhi_epi16(row!(4), row!(5)));
            let (a6, a7) = (_mm_unpacklo_epi16(row!(6), row!(7)), _mm_unpackhi_epi16(row!(6), row!(7)));
            let (b0, b1) = (_mm_unpacklo_epi32(a0, a2), _mm_unpackhi_epi32(a0, a2));
            let (b2, b3) = (_mm_unpacklo_epi32(a1, a3), _mm_unpackhi_epi32(a1, a3));
            let (b4, b5) = (_mm_unpacklo_epi32(a4, a6), _mm_unpackhi_epi32(a4, a6));
            let (b6, b7) = (_mm_unpacklo_epi32(a5, a7), _mm_unpackhi_epi32(a5, a7));
            let rows = [
                _mm_unpacklo_epi64(b0, b4),
                _mm_unpackhi_epi64(b0, b4),
                _mm_unpacklo_epi64(b1, b5),
                _mm_unpackhi_epi64(b1, b5),
                _mm_unpacklo_epi64(b2, b6),
                _mm_unpackhi_epi64(b2, b6),
                _mm_unpacklo_epi64(b3, b7),
                _mm_unpackhi_epi64(b3, b7),
            ];
            if count >= 8 {
                let mut to = to;
                for row in rows {
                    _mm_storeu_si128(to.cast(), row);
                    to = to.wrapping_add(stride);
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

    // SAFETY (all functions): by the contract of the trait SSE2 is there (it is part of x86-64) and
    // pointers are valid.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Isa for Sse2 {
        const LANES: usize = 8;
        type W = __m128i;
        type R = (__m128, __m128);

        #[inline(always)]
        unsafe fn load(p: *const u16) -> Self::W {
            unsafe { _mm_loadu_si128(p.cast()) }
        }
        #[inline(always)]
        unsafe fn splat(pair: u32) -> Self::W {
            unsafe { _mm_set1_epi32(pair as i32) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm_add_epi16(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm_sub_epi16(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm_mullo_epi16(a, b) }
        }
        #[inline(always)]
        unsafe fn and(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm_and_si128(a, b) }
        }
        #[inline(always)]
        unsafe fn select(mask: Self::W, a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b)) }
        }
        #[inline(always)]
        unsafe fn less(a: Self::W, b: Self::W) -> u32 {
            unsafe {
                let mask = _mm_cmplt_epi16(a, b);
                _mm_movemask_epi8(_mm_packs_epi16(mask, _mm_setzero_si128())) as u32
            }
        }
        #[inline(always)]
        unsafe fn norm(p: *const f32) -> Self::R {
            unsafe { (_mm_loadu_ps(p), _mm_loadu_ps(p.add(4))) }
        }
        #[inline(always)]
        unsafe fn below(f: Self::W, norm: Self::R, threshold: f32) -> Self::W {
            unsafe {
                // The value in the upper half of 32 bits: 65536 f, without sign extension.
                let zero = _mm_setzero_si128();
                let low = _mm_cvtepi32_ps(_mm_unpacklo_epi16(zero, f));
                let high = _mm_cvtepi32_ps(_mm_unpackhi_epi16(zero, f));
                Self::below_real((low, high), norm, threshold)
            }
        }
        #[inline(always)]
        unsafe fn zero() -> Self::R {
            unsafe { (_mm_setzero_ps(), _mm_setzero_ps()) }
        }
        #[inline(always)]
        unsafe fn accumulate(sum: Self::R, f: Self::W, weight: f32) -> Self::R {
            unsafe {
                let (zero, weight) = (_mm_setzero_si128(), _mm_set1_ps(weight));
                let low = _mm_cvtepi32_ps(_mm_unpacklo_epi16(f, zero));
                let high = _mm_cvtepi32_ps(_mm_unpackhi_epi16(f, zero));
                (_mm_add_ps(sum.0, _mm_mul_ps(weight, low)), _mm_add_ps(sum.1, _mm_mul_ps(weight, high)))
            }
        }
        #[inline(always)]
        unsafe fn below_real(sum: Self::R, norm: Self::R, threshold: f32) -> Self::W {
            unsafe {
                let threshold = _mm_set1_ps(threshold);
                let low = _mm_cmplt_ps(_mm_mul_ps(sum.0, norm.0), threshold);
                let high = _mm_cmplt_ps(_mm_mul_ps(sum.1, norm.1), threshold);
                _mm_packs_epi32(_mm_castps_si128(low), _mm_castps_si128(high))
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: &[*const u16; 8], to: *mut u16, stride: usize, count: usize) {
            unsafe { transpose8(from, to, stride, count) }
        }
    }

    // SAFETY (all functions): by the contract of the trait AVX2 is there and pointers are valid.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Isa for Avx2 {
        const LANES: usize = 16;
        type W = __m256i;
        /// Lanes 0-3 and 8-11, then 4-7 and 12-15: the order in which 256-bit unpacking leaves them.
        type R = (__m256, __m256);

        #[inline(always)]
        unsafe fn load(p: *const u16) -> Self::W {
            unsafe { _mm256_loadu_si256(p.cast()) }
        }
        #[inline(always)]
        unsafe fn splat(pair: u32) -> Self::W {
            unsafe { _mm256_set1_epi32(pair as i32) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm256_add_epi16(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm256_sub_epi16(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm256_mullo_epi16(a, b) }
        }
        #[inline(always)]
        unsafe fn and(a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm256_and_si256(a, b) }
        }
        #[inline(always)]
        unsafe fn select(mask: Self::W, a: Self::W, b: Self::W) -> Self::W {
            unsafe { _mm256_blendv_epi8(b, a, mask) }
        }
        #[inline(always)]
        unsafe fn less(a: Self::W, b: Self::W) -> u32 {
            unsafe {
                let mask = _mm256_cmpgt_epi16(b, a);
                let packed = _mm256_packs_epi16(mask, _mm256_setzero_si256());
                let bits = _mm256_movemask_epi8(packed) as u32;
                (bits & 0xff) | (bits >> 8)
            }
        }
        #[inline(always)]
        unsafe fn norm(p: *const f32) -> Self::R {
            unsafe {
                let (a, b) = (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)));
                (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
            }
        }
        #[inline(always)]
        unsafe fn below(f: Self::W, norm: Self::R, threshold: f32) -> Self::W {
            unsafe {
                let zero = _mm256_setzero_si256();
                let low = _mm256_cvtepi32_ps(_mm256_unpacklo_epi16(zero, f));
                let high = _mm256_cvtepi32_ps(_mm256_unpackhi_epi16(zero, f));
                Self::below_real((low, high), norm, threshold)
            }
        }
        #[inline(always)]
        unsafe fn zero() -> Self::R {
            unsafe { (_mm256_setzero_ps(), _mm256_setzero_ps()) }
        }
        #[inline(always)]
        unsafe fn accumulate(sum: Self::R, f: Self::W, weight: f32) -> Self::R {
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
        unsafe fn below_real(sum: Self::R, norm: Self::R, threshold: f32) -> Self::W {
            unsafe {
                let threshold = _mm256_set1_ps(threshold);
                let low = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_mul_ps(sum.0, norm.0), threshold);
                let high = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_mul_ps(sum.1, norm.1), threshold);
                _mm256_packs_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high))
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: &[*const u16; 8], to: *mut u16, stride: usize, count: usize) {
            unsafe { transpose8(from, to, stride, count) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use super::Isa;
    use std::arch::aarch64::*;

    /// NEON, which every aarch64 processor has: 8 windows.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Neon;

    // SAFETY (all functions): NEON is part of aarch64; by the contract of the trait pointers are valid.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Isa for Neon {
        const LANES: usize = 8;
        type W = uint16x8_t;
        type R = (float32x4_t, float32x4_t);

        #[inline(always)]
        unsafe fn load(p: *const u16) -> Self::W {
            unsafe { vld1q_u16(p) }
        }
        #[inline(always)]
        unsafe fn splat(pair: u32) -> Self::W {
            unsafe { vreinterpretq_u16_u32(vdupq_n_u32(pair)) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::W, b: Self::W) -> Self::W {
            unsafe { vaddq_u16(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::W, b: Self::W) -> Self::W {
            unsafe { vsubq_u16(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: Self::W, b: Self::W) -> Self::W {
            unsafe { vmulq_u16(a, b) }
        }
        #[inline(always)]
        unsafe fn and(a: Self::W, b: Self::W) -> Self::W {
            unsafe { vandq_u16(a, b) }
        }
        #[inline(always)]
        unsafe fn select(mask: Self::W, a: Self::W, b: Self::W) -> Self::W {
            unsafe { vbslq_u16(mask, a, b) }
        }
        #[inline(always)]
        unsafe fn less(a: Self::W, b: Self::W) -> u32 {
            const BITS: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
            unsafe {
                let mask = vcltq_s16(vreinterpretq_s16_u16(a), vreinterpretq_s16_u16(b));
                u32::from(vaddvq_u16(vandq_u16(mask, vld1q_u16(BITS.as_ptr()))))
            }
        }
        #[inline(always)]
        unsafe fn norm(p: *const f32) -> Self::R {
            unsafe { (vld1q_f32(p), vld1q_f32(p.add(4))) }
        }
        #[inline(always)]
        unsafe fn below(f: Self::W, norm: Self::R, threshold: f32) -> Self::W {
            unsafe {
                let zero = vdupq_n_u16(0);
                let low = vcvtq_f32_s32(vreinterpretq_s32_u16(vzip1q_u16(zero, f)));
                let high = vcvtq_f32_s32(vreinterpretq_s32_u16(vzip2q_u16(zero, f)));
                Self::below_real((low, high), norm, threshold)
            }
        }
        #[inline(always)]
        unsafe fn zero() -> Self::R {
            unsafe { (vdupq_n_f32(0.0), vdupq_n_f32(0.0)) }
        }
        #[inline(always)]
        unsafe fn accumulate(sum: Self::R, f: Self::W, weight: f32) -> Self::R {
            unsafe {
                let low = vcvtq_f32_u32(vmovl_u16(vget_low_u16(f)));
                let high = vcvtq_f32_u32(vmovl_high_u16(f));
                (vaddq_f32(sum.0, vmulq_n_f32(low, weight)), vaddq_f32(sum.1, vmulq_n_f32(high, weight)))
            }
        }
        #[inline(always)]
        unsafe fn below_real(sum: Self::R, norm: Self::R, threshold: f32) -> Self::W {
            unsafe {
                let threshold = vdupq_n_f32(threshold);
                let low = vcltq_f32(vmulq_f32(sum.0, norm.0), threshold);
                let high = vcltq_f32(vmulq_f32(sum.1, norm.1), threshold);
                vuzp1q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high))
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: &[*const u16; 8], to: *mut u16, stride: usize, count: usize) {
            macro_rules! zip {
                (16, $a:expr, $b:expr) => {
                    (vreinterpretq_u32_u16(vzip1q_u16($a, $b)), vreinterpretq_u32_u16(vzip2q_u16($a, $b)))
                };
                (32, $a:expr, $b:expr) => {
                    (vreinterpretq_u64_u32(vzip1q_u32($a, $b)), vreinterpretq_u64_u32(vzip2q_u32($a, $b)))
                };
            }
            unsafe {
                let (a0, a1) = zip!(16, vld1q_u16(from[0]), vld1q_u16(from[1]));
                let (a2, a3) = zip!(16, vld1q_u16(from[2]), vld1q_u16(from[3]));
                let (a4, a5) = zip!(16, vld1q_u16(from[4]), vld1q_u16(from[5]));
                let (a6, a7) = zip!(16, vld1q_u16(from[6]), vld1q_u16(from[7]));
                let (b0, b1) = zip!(32, a0, a2);
                let (b2, b3) = zip!(32, a1, a3);
                let (b4, b5) = zip!(32, a4, a6);
                let (b6, b7) = zip!(32, a5, a7);
                let rows = [
                    vzip1q_u64(b0, b4),
                    vzip2q_u64(b0, b4),
                    vzip1q_u64(b1, b5),
                    vzip2q_u64(b1, b5),
                    vzip1q_u64(b2, b6),
                    vzip2q_u64(b2, b6),
                    vzip1q_u64(b3, b7),
                    vzip2q_u64(b3, b7),
                ];
                for (i, row) in rows.into_iter().enumerate() {
                    if i < count {
                        vst1q_u16(to.add(i * stride), vreinterpretq_u16_u64(row));
                    }
                }
            }
        }
    }
}
