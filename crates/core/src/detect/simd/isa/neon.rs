//! NEON.

use std::arch::aarch64::*;

use super::Isa;
use super::portable::{blend_down_plain, running_sums_rest};

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
        running_sums_rest($columns, $paired, $sums, whole);
    }};
}

// SAFETY (all functions): NEON is part of aarch64; by the contract of the trait pointers are valid.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Isa for Neon {
    const LANES: usize = 8;
    type Vector = uint16x8_t;
    type Accumulator = (float32x4_t, float32x4_t);

    #[inline(always)]
    unsafe fn load(p: *const u16) -> Self::Vector {
        unsafe { vld1q_u16(p) }
    }
    #[inline(always)]
    unsafe fn splat(pair: u32) -> Self::Vector {
        unsafe { vreinterpretq_u16_u32(vdupq_n_u32(pair)) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { vaddq_u16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { vsubq_u16(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { vmulq_u16(a, b) }
    }
    #[inline(always)]
    unsafe fn and(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { vandq_u16(a, b) }
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        unsafe { vbslq_u16(mask, a, b) }
    }
    #[inline(always)]
    unsafe fn cmp_lt_bits(a: Self::Vector, b: Self::Vector) -> u32 {
        const BITS: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
        unsafe {
            let mask = vcltq_s16(vreinterpretq_s16_u16(a), vreinterpretq_s16_u16(b));
            u32::from(vaddvq_u16(vandq_u16(mask, vld1q_u16(BITS.as_ptr()))))
        }
    }
    #[inline(always)]
    unsafe fn load_norms(p: *const f32) -> Self::Accumulator {
        unsafe { (vld1q_f32(p), vld1q_f32(p.add(4))) }
    }
    #[inline(always)]
    unsafe fn scaled_cmp_lt(f: Self::Vector, norm: Self::Accumulator, threshold: f32) -> Self::Vector {
        unsafe {
            let zero = vdupq_n_u16(0);
            let low = vcvtq_f32_s32(vreinterpretq_s32_u16(vzip1q_u16(zero, f)));
            let high = vcvtq_f32_s32(vreinterpretq_s32_u16(vzip2q_u16(zero, f)));
            Self::sum_cmp_lt((low, high), norm, threshold)
        }
    }
    #[inline(always)]
    unsafe fn zero_sum() -> Self::Accumulator {
        unsafe { (vdupq_n_f32(0.0), vdupq_n_f32(0.0)) }
    }
    #[inline(always)]
    unsafe fn accumulate(sum: Self::Accumulator, f: Self::Vector, weight: f32) -> Self::Accumulator {
        unsafe {
            let low = vcvtq_f32_u32(vmovl_u16(vget_low_u16(f)));
            let high = vcvtq_f32_u32(vmovl_high_u16(f));
            (vaddq_f32(sum.0, vmulq_n_f32(low, weight)), vaddq_f32(sum.1, vmulq_n_f32(high, weight)))
        }
    }
    #[inline(always)]
    unsafe fn sum_cmp_lt(sum: Self::Accumulator, norm: Self::Accumulator, threshold: f32) -> Self::Vector {
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
            return blend_down_plain(top, bottom, weight, 0, out);
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
    unsafe fn cmp_ge_bits(values: &[u32; 64], least: u32) -> u64 {
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
