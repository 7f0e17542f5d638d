//! Vectors of 16-bit lanes, one lane a window, on each instruction set.
//!
//! All functions are `#[inline(always)]` and come to life inside a function that carries the
//! `#[target_feature]`s (see [`super::level`]); there they are one to a few instructions each.

#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

/// A vector instruction set.
///
/// # Safety
/// Every function may only be called where the processor has the instruction set; `load`, `load_norms` and
/// `transpose` besides require their pointers to be valid for what they say they read and write.
pub(super) trait Isa: Copy {
    /// Windows in a vector.
    const LANES: usize;
    /// `LANES` integers of 16 bits, or as many masks of all ones or all zeros.
    type Vector: Copy;
    /// `LANES` numbers in single precision.
    type Accumulator: Copy;

    /// `LANES` values from `p` on, unaligned.
    unsafe fn load(p: *const u16) -> Self::Vector;
    /// A pair of equal 16-bit halves in all lanes.
    unsafe fn splat(pair: u32) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Low halves of the products.
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn and(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a` where the mask is set, else `b`.
    unsafe fn select(mask: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// One bit a lane: signed `a < b`.
    unsafe fn cmp_lt_bits(a: Self::Vector, b: Self::Vector) -> u32;
    /// `LANES` numbers from `p` on, in the order of `scaled_cmp_lt`.
    unsafe fn load_norms(p: *const f32) -> Self::Accumulator;
    /// Mask of `65536 f * norm < threshold`, `f` signed.
    unsafe fn scaled_cmp_lt(f: Self::Vector, norm: Self::Accumulator, threshold: f32) -> Self::Vector;
    /// All lanes 0.
    unsafe fn zero_sum() -> Self::Accumulator;
    /// `sum + weight * f`, `f` unsigned, rounded after each of the two operations.
    unsafe fn accumulate(sum: Self::Accumulator, f: Self::Vector, weight: f32) -> Self::Accumulator;
    /// Mask of `sum * norm < threshold`.
    unsafe fn sum_cmp_lt(sum: Self::Accumulator, norm: Self::Accumulator, threshold: f32) -> Self::Vector;
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
    unsafe fn cmp_ge_bits(values: &[u32; 64], least: u32) -> u64;
}
