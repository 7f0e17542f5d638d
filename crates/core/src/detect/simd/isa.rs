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
    /// `(256 - weight) top + weight bottom`, pixel by pixel, in the form that `blend_across` wants;
    /// `weight` is at most 256, and the three are of one length.
    unsafe fn blend_down(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]);
    /// `out[i] = (c0 v[o] + c1 v[o + 1] + 32768) >> 16` with `o = first[i]`, which must be below
    /// `v.len() - 1`, `weights[i] = c0 | c1 << 16`, and `v` from `blend_down`; the three are of one
    /// length, a multiple of 8.
    unsafe fn blend_across(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]);
    /// Adds the pixels `into` and their squares to the sums of their columns and takes those of
    /// `out`, as long, away. The length is a multiple of 16 and the sums are at least as long.
    unsafe fn move_columns(sums: &mut [u16], squares: &mut [u32], out: &[u8], into: &[u8]);
    /// Running sums of `columns`, or of its pairs if `paired`, of which there must be as many as
    /// `sums` is long; of pairs each value must be below 32768.
    unsafe fn running_sums16(columns: &[u16], paired: bool, sums: &mut [u32]);
    /// The same, wrapping, without that limit.
    unsafe fn running_sums32(columns: &[u32], paired: bool, sums: &mut [u32]);
    /// One bit a value: `values[i] >= least`, which is above 0.
    unsafe fn at_least(values: &[u32; 64], least: u32) -> u64;
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::Isa;
    use std::arch::x86_64::*;

    /// 8 windows: with SSE2, which every x86-64 processor has, or `V2` with SSSE3 as well.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Sse<const V2: bool>;

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

    /// [`Isa::blend_down`], with 32768 taken from each sum: that makes the pixels signed bytes and
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

    /// Needs SSSE3.
    #[inline(always)]
    unsafe fn blend_down_signed16(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]) {
        if top.len() < 16 || weight == 0 || weight == 256 {
            return super::blend_down_plain(top, bottom, weight, 0x8000, out);
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

    /// Needs AVX2.
    #[inline(always)]
    unsafe fn blend_down_signed32(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]) {
        if top.len() < 32 || weight == 0 || weight == 256 {
            return super::blend_down_plain(top, bottom, weight, 0x8000, out);
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

    /// [`Isa::blend_across`] of values from which 32768 has been taken if `SIGNED`.
    #[inline(always)]
    unsafe fn across8<const SIGNED: bool>(v: &[u16], first: &[u32], weights: &[u32], out: &mut [u8]) {
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
            super::running1($columns, $paired, $sums, whole);
        }};
    }

    #[inline(always)]
    unsafe fn running16(columns: &[u16], paired: bool, sums: &mut [u32]) {
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
    unsafe fn running32(columns: &[u32], paired: bool, sums: &mut [u32]) {
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
    impl<const V2: bool> Isa for Sse<V2> {
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
        unsafe fn blend_down(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]) {
            if V2 {
                unsafe { blend_down_signed16(top, bottom, weight, out) }
            } else {
                super::blend_down_plain(top, bottom, weight, 0, out);
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

    /// Running sums, four at a time, of the vectors that `$four` gives for an index into `$sums`.
    macro_rules! running {
        ($columns:ident, $paired:ident, $sums:ident, $four:expr) => {{
            let whole = $sums.len() / 4 * 4;
            let zero = vdupq_n_u32(0);
            let mut carry = zero;
            for i in (0..whole).step_by(4) {
                let v = $four(i);
                let v = vaddq_u32(v, vextq_u32::<3>(zero, v));
                let v = vaddq_u32(v, vextq_u32::<2>(zero, v));
                let v = vaddq_u32(v, carry);
                vst1q_u32($sums.as_mut_ptr().add(i), v);
                carry = vdupq_laneq_u32::<3>(v);
            }
            super::running1($columns, $paired, $sums, whole);
        }};
    }

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
        unsafe fn blend_down(top: &[u8], bottom: &[u8], weight: u16, out: &mut [u16]) {
            let n = top.len();
            if n < 16 || weight == 0 || weight == 256 {
                return super::blend_down_plain(top, bottom, weight, 0, out);
            }
            assert!(bottom.len() == n && out.len() == n);
            unsafe {
                let (w0, w1) = (vdupq_n_u8((256 - weight) as u8), vdupq_n_u8(weight as u8));
                let mut i = 0;
                loop {
                    // The last step overlaps the one before.
                    i = i.min(n - 16);
                    let (a, b) = (vld1q_u8(top.as_ptr().add(i)), vld1q_u8(bottom.as_ptr().add(i)));
                    let low = vmull_u8(vget_low_u8(a), vget_low_u8(w0));
                    let low = vmlal_u8(low, vget_low_u8(b), vget_low_u8(w1));
                    let high = vmlal_high_u8(vmull_high_u8(a, w0), b, w1);
                    vst1q_u16(out.as_mut_ptr().add(i), low);
                    vst1q_u16(out.as_mut_ptr().add(i + 8), high);
                    i += 16;
                    if i >= n {
                        break;
                    }
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
        }
        #[inline(always)]
        unsafe fn move_columns(sums: &mut [u16], squares: &mut [u32], out: &[u8], into: &[u8]) {
            let chunks = into.as_chunks::<8>().0.iter().zip(out.as_chunks::<8>().0);
            let sums = sums.as_chunks_mut::<8>().0.iter_mut();
            let squares = squares.as_chunks_mut::<8>().0.iter_mut();
            unsafe {
                for (((into, out), sums), squares) in chunks.zip(sums).zip(squares) {
                    let (i, o) = (vld1_u8(into.as_ptr()), vld1_u8(out.as_ptr()));
                    let sum = vsubw_u8(vaddw_u8(vld1q_u16(sums.as_ptr()), i), o);
                    vst1q_u16(sums.as_mut_ptr(), sum);
                    let (i, o) = (vmull_u8(i, i), vmull_u8(o, o));
                    let low = vaddw_u16(vld1q_u32(squares.as_ptr()), vget_low_u16(i));
                    vst1q_u32(squares.as_mut_ptr(), vsubw_u16(low, vget_low_u16(o)));
                    let high = vaddw_high_u16(vld1q_u32(squares.as_ptr().add(4)), i);
                    vst1q_u32(squares.as_mut_ptr().add(4), vsubw_high_u16(high, o));
                }
            }
        }
        #[inline(always)]
        unsafe fn running_sums16(columns: &[u16], paired: bool, sums: &mut [u32]) {
            assert!(columns.len() >= sums.len() * if paired { 2 } else { 1 });
            let from = columns.as_ptr();
            unsafe {
                if paired {
                    running!(columns, paired, sums, |i: usize| vpaddlq_u16(vld1q_u16(from.add(2 * i))));
                } else {
                    running!(columns, paired, sums, |i: usize| vmovl_u16(vld1_u16(from.add(i))));
                }
            }
        }
        #[inline(always)]
        unsafe fn running_sums32(columns: &[u32], paired: bool, sums: &mut [u32]) {
            assert!(columns.len() >= sums.len() * if paired { 2 } else { 1 });
            let from = columns.as_ptr();
            unsafe {
                if paired {
                    running!(columns, paired, sums, |i: usize| {
                        vpaddq_u32(vld1q_u32(from.add(2 * i)), vld1q_u32(from.add(2 * i + 4)))
                    });
                } else {
                    running!(columns, paired, sums, |i: usize| vld1q_u32(from.add(i)));
                }
            }
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

/// [`Isa::running_sums32`] one at a time, from the `from`th on.
#[inline(always)]
fn running1<T: Copy + Into<u32>>(columns: &[T], paired: bool, sums: &mut [u32], from: usize) {
    let mut total = from.checked_sub(1).map_or(0, |last| sums[last]);
    for (i, sum) in sums.iter_mut().enumerate().skip(from) {
        total = total.wrapping_add(if paired {
            columns[2 * i].into().wrapping_add(columns[2 * i + 1].into())
        } else {
            columns[i].into()
        });
        *sum = total;
    }
}

/// [`Isa::blend_down`] with whole products, each sum flipped by `flip`.
#[inline(always)]
fn blend_down_plain(top: &[u8], bottom: &[u8], weight: u16, flip: u16, out: &mut [u16]) {
    for ((value, &a), &b) in out.iter_mut().zip(top).zip(bottom) {
        *value = (u16::from(a) * (256 - weight)).wrapping_add(u16::from(b) * weight) ^ flip;
    }
}
