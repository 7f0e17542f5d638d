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
    /// Reads 8 values from each of the first `LANES` places and writes for `i < count` the `i`-th
    /// ones of all to `to + i * stride`.
    unsafe fn transpose(from: &[*const u16; 16], to: *mut u16, stride: usize, count: usize);
    /// Adds the running sums of `row` to `line`, which is at least as long.
    unsafe fn add_running_sums(row: &[u8], line: &mut [u16]);
    /// `out[i] = (c0 v[o] + c1 v[o + 1] + 32768) >> 16` with `o = first[i]`, which must be below
    /// `v.len() - 1`, and `weights[i] = c0 | c1 << 16`; all as long as `out`.
    unsafe fn blend_across(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]);
    /// One bit a value: `values[i] >= least`, which is above 0.
    unsafe fn at_least(values: &[u32; 64], least: u32) -> u64;
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
    unsafe fn running8(row: &[u8], line: &mut [u16]) {
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

    #[inline(always)]
    unsafe fn across8(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
        let mut outs = out.chunks_exact_mut(8);
        let mut firsts = first.chunks_exact(8);
        let mut pairs = weights.chunks_exact(8);
        // SAFETY: the caller vouches that `first` stays below the last value of `v`; the chunks are
        // 8 values long; SSE2 is part of x86-64.
        unsafe {
            // Products of signed halves: the values are taken 32768 lower, which the constant mends,
            // as the two weights make 256.
            let flip = _mm_set1_epi16(i16::MIN);
            let mend = _mm_set1_epi32(256 * 32768 + 32768);
            macro_rules! four {
                ($first:expr, $weights:expr) => {{
                    macro_rules! two {
                        ($i:expr) => {
                            _mm_cvtsi32_si128(
                                v.as_ptr().add($first[$i] as usize).cast::<i32>().read_unaligned(),
                            )
                        };
                    }
                    let v = _mm_unpacklo_epi64(
                        _mm_unpacklo_epi32(two!(0), two!(1)),
                        _mm_unpacklo_epi32(two!(2), two!(3)),
                    );
                    let weights = _mm_loadu_si128($weights.as_ptr().cast());
                    let sum = _mm_madd_epi16(_mm_xor_si128(v, flip), weights);
                    _mm_srli_epi32::<16>(_mm_add_epi32(sum, mend))
                }};
            }
            for ((out, first), weights) in (&mut outs).zip(&mut firsts).zip(&mut pairs) {
                let a = four!(&first[..4], &weights[..4]);
                let b = four!(&first[4..], &weights[4..]);
                let bytes = _mm_packus_epi16(_mm_packs_epi32(a, b), _mm_setzero_si128());
                _mm_storel_epi64(out.as_mut_ptr().cast(), bytes);
            }
        }
        let rest = outs.into_remainder().iter_mut();
        super::across1(v, firsts.remainder(), pairs.remainder(), rest);
    }

    #[inline(always)]
    unsafe fn at_least64(values: &[u32; 64], least: u32) -> u64 {
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
        unsafe fn blend_across(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
            unsafe { across8(v, first, weights, out) }
        }
        #[inline(always)]
        unsafe fn at_least(values: &[u32; 64], least: u32) -> u64 {
            unsafe { at_least64(values, least) }
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
        unsafe fn blend_across(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
            unsafe { across8(v, first, weights, out) }
        }
        #[inline(always)]
        unsafe fn at_least(values: &[u32; 64], least: u32) -> u64 {
            unsafe { at_least64(values, least) }
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
        unsafe fn transpose(from: &[*const u16; 16], to: *mut u16, stride: usize, count: usize) {
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
        #[inline(always)]
        unsafe fn add_running_sums(row: &[u8], line: &mut [u16]) {
            let line = &mut line[..row.len()];
            let mut rows = row.chunks_exact(8);
            let mut lines = line.chunks_exact_mut(8);
            unsafe {
                let zero = vdupq_n_u16(0);
                let mut carry = zero;
                for (row, line) in (&mut rows).zip(&mut lines) {
                    let v = vmovl_u8(vld1_u8(row.as_ptr()));
                    let v = vaddq_u16(v, vextq_u16::<7>(zero, v));
                    let v = vaddq_u16(v, vextq_u16::<6>(zero, v));
                    let v = vaddq_u16(v, vextq_u16::<4>(zero, v));
                    let old = vld1q_u16(line.as_ptr());
                    vst1q_u16(line.as_mut_ptr(), vaddq_u16(vaddq_u16(old, v), carry));
                    carry = vaddq_u16(carry, vdupq_laneq_u16::<7>(v));
                }
                let mut sum = vgetq_lane_u16::<0>(carry);
                for (value, &pixel) in lines.into_remainder().iter_mut().zip(rows.remainder()) {
                    sum = sum.wrapping_add(u16::from(pixel));
                    *value = value.wrapping_add(sum);
                }
            }
        }
        #[inline(always)]
        unsafe fn blend_across(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
            let mut outs = out.chunks_exact_mut(4);
            let mut firsts = first.chunks_exact(4);
            let mut pairs = weights.chunks_exact(4);
            unsafe {
                for ((out, first), weights) in (&mut outs).zip(&mut firsts).zip(&mut pairs) {
                    let mut two = vdupq_n_u32(0);
                    macro_rules! put {
                        ($i:literal) => {
                            let from = v.as_ptr().add(first[$i] as usize).cast::<u32>();
                            two = vsetq_lane_u32::<$i>(from.read_unaligned(), two);
                        };
                    }
                    put!(0);
                    put!(1);
                    put!(2);
                    put!(3);
                    let two = vreinterpretq_u16_u32(two);
                    let weights = vreinterpretq_u16_u32(vld1q_u32(weights.as_ptr()));
                    let low = vmull_u16(vget_low_u16(two), vget_low_u16(weights));
                    let high = vmull_high_u16(two, weights);
                    let rounded = vrshrn_n_u32::<16>(vpaddq_u32(low, high));
                    let bytes = vmovn_u16(vcombine_u16(rounded, rounded));
                    let word = vget_lane_u32::<0>(vreinterpret_u32_u8(bytes));
                    out.copy_from_slice(&word.to_le_bytes());
                }
            }
            let rest = outs.into_remainder().iter_mut();
            super::across1(v, firsts.remainder(), pairs.remainder(), rest);
        }
        #[inline(always)]
        unsafe fn at_least(values: &[u32; 64], least: u32) -> u64 {
            let mut bits = 0u64;
            unsafe {
                let least = vdupq_n_u32(least);
                const BITS: [u32; 4] = [1, 2, 4, 8];
                let each = vld1q_u32(BITS.as_ptr());
                for i in 0..16 {
                    let mask = vcgeq_u32(vld1q_u32(values.as_ptr().add(4 * i)), least);
                    bits |= u64::from(vaddvq_u32(vandq_u32(mask, each))) << (4 * i);
                }
            }
            bits
        }
    }
}

/// [`Isa::blend_across`] one at a time.
#[inline(always)]
fn across1<'a>(v: &[u16], first: &[u32], weights: &[u32], out: impl Iterator<Item = &'a mut u8>) {
    for ((out, &o), &w) in out.zip(first).zip(weights) {
        let (a, b) = (u32::from(v[o as usize]), u32::from(v[o as usize + 1]));
        *out = ((a * (w & 0xffff) + b * (w >> 16) + 32768) >> 16) as u8;
    }
}
