//! Vectors of 32-bit floats on each instruction set.
//!
//! All functions are `#[inline(always)]` and come to life inside a function that carries the
//! `#[target_feature]`s (see [`super::dispatch`]); there they are one to a few instructions each. Sums of
//! products without fused multiply-adds are not offered: processors that lack them run tract's own code.

/// A vector instruction set.
///
/// # Safety
/// Every function may only be called where the processor has the instruction set, and pointers must be valid
/// for what it says it reads or writes.
pub(super) trait Simd {
    /// Floats in a vector.
    const LANES: usize;
    /// `LANES` floats.
    type Vector: Copy;
    /// Four floats, each of which can multiply a vector.
    type Quad: Copy;

    /// All lanes 0.
    unsafe fn zero() -> Self::Vector;
    /// `LANES` floats from `p` on.
    unsafe fn load(p: *const f32) -> Self::Vector;
    /// The first `n` floats from `p` on, of 1 to `LANES`; further lanes are 0, and nothing there is read.
    unsafe fn load_part(p: *const f32, n: usize) -> Self::Vector;
    /// Writes `LANES` floats.
    unsafe fn store(p: *mut f32, v: Self::Vector);
    /// Writes the first `n` lanes, of 1 to `LANES`.
    unsafe fn store_part(p: *mut f32, v: Self::Vector, n: usize);
    /// Lane by lane.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`, lane by lane.
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `sum + v * by`, rounded once.
    unsafe fn mul_add(sum: Self::Vector, v: Self::Vector, by: f32) -> Self::Vector;
    /// The larger of each lane.
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The four floats from `p` on, which stay as they are while the value is used.
    unsafe fn load_quad(p: *const f32) -> Self::Quad;
    /// `sum + v * quad[J]`, rounded once.
    unsafe fn accumulate<const J: i32>(sum: Self::Vector, v: Self::Vector, quad: Self::Quad) -> Self::Vector;
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// 8 lanes: AVX2 with FMA.
    pub(in super::super) struct Avx2;

    /// 16 lanes: AVX-512F.
    pub(in super::super) struct Avx512;

    /// The mask of the first `n` of 8 lanes.
    #[inline(always)]
    unsafe fn first8(n: usize) -> __m256i {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }

    // SAFETY (all blocks of both): the caller has the instruction set and vouches for the pointers.
    impl Simd for Avx2 {
        const LANES: usize = 8;
        type Vector = __m256;
        type Quad = *const f32;

        #[inline(always)]
        unsafe fn zero() -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_part(p: *const f32, n: usize) -> __m256 {
            // SAFETY: see above; lanes that are masked out are not read.
            unsafe { _mm256_maskload_ps(p, first8(n)) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m256) {
            // SAFETY: see above.
            unsafe { _mm256_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_part(p: *mut f32, v: __m256, n: usize) {
            // SAFETY: see above; lanes that are masked out are not written.
            unsafe { _mm256_maskstore_ps(p, first8(n), v) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(sum: __m256, v: __m256, by: f32) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_fmadd_ps(v, _mm256_set1_ps(by), sum) }
        }
        #[inline(always)]
        unsafe fn max(a: __m256, b: __m256) -> __m256 {
            // SAFETY: see above.
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn load_quad(p: *const f32) -> *const f32 {
            p
        }
        #[inline(always)]
        unsafe fn accumulate<const J: i32>(sum: __m256, v: __m256, quad: *const f32) -> __m256 {
            // SAFETY: see above; `quad` points to four floats.
            unsafe { _mm256_fmadd_ps(v, _mm256_broadcast_ss(&*quad.add(J as usize)), sum) }
        }
    }

    impl Simd for Avx512 {
        const LANES: usize = 16;
        type Vector = __m512;
        type Quad = *const f32;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_part(p: *const f32, n: usize) -> __m512 {
            // SAFETY: see above; lanes that are masked out are not read.
            unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m512) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_part(p: *mut f32, v: __m512, n: usize) {
            // SAFETY: see above; lanes that are masked out are not written.
            unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, v) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(sum: __m512, v: __m512, by: f32) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_fmadd_ps(v, _mm512_set1_ps(by), sum) }
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn load_quad(p: *const f32) -> *const f32 {
            p
        }
        #[inline(always)]
        unsafe fn accumulate<const J: i32>(sum: __m512, v: __m512, quad: *const f32) -> __m512 {
            // SAFETY: see above; `quad` points to four floats.
            unsafe { _mm512_fmadd_ps(v, _mm512_set1_ps(*quad.add(J as usize)), sum) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) mod neon {
    use super::Simd;
    use std::arch::aarch64::*;

    /// 4 lanes: every 64-bit ARM has them.
    pub(in super::super) struct Neon;

    // SAFETY (all blocks): every 64-bit ARM has the instruction set; the caller vouches for the pointers.
    impl Simd for Neon {
        const LANES: usize = 4;
        type Vector = float32x4_t;
        type Quad = float32x4_t;

        #[inline(always)]
        unsafe fn zero() -> float32x4_t {
            // SAFETY: see above.
            unsafe { vdupq_n_f32(0.0) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> float32x4_t {
            // SAFETY: see above.
            unsafe { vld1q_f32(p) }
        }
        #[inline(always)]
        unsafe fn load_part(p: *const f32, n: usize) -> float32x4_t {
            let mut four = [0.0; 4];
            // SAFETY: see above; `n` is at most 4.
            unsafe {
                p.copy_to_nonoverlapping(four.as_mut_ptr(), n);
                vld1q_f32(four.as_ptr())
            }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: float32x4_t) {
            // SAFETY: see above.
            unsafe { vst1q_f32(p, v) }
        }
        #[inline(always)]
        unsafe fn store_part(p: *mut f32, v: float32x4_t, n: usize) {
            let mut four = [0.0; 4];
            // SAFETY: see above; `n` is at most 4.
            unsafe {
                vst1q_f32(four.as_mut_ptr(), v);
                p.copy_from_nonoverlapping(four.as_ptr(), n);
            }
        }
        #[inline(always)]
        unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            // SAFETY: see above.
            unsafe { vaddq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            // SAFETY: see above.
            unsafe { vsubq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(sum: float32x4_t, v: float32x4_t, by: f32) -> float32x4_t {
            // SAFETY: see above.
            unsafe { vfmaq_n_f32(sum, v, by) }
        }
        #[inline(always)]
        unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            // SAFETY: see above.
            unsafe { vmaxq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn load_quad(p: *const f32) -> float32x4_t {
            // SAFETY: see above.
            unsafe { vld1q_f32(p) }
        }
        #[inline(always)]
        unsafe fn accumulate<const J: i32>(
            sum: float32x4_t,
            v: float32x4_t,
            quad: float32x4_t,
        ) -> float32x4_t {
            // SAFETY: see above.
            unsafe { vfmaq_laneq_f32::<J>(sum, v, quad) }
        }
    }
}
