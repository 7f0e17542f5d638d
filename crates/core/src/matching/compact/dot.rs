//! Products of many rows of bytes with one probe, on each instruction set.
//!
//! `unsafe` is for two things: vector loads, which take pointers, and calls of functions that need an
//! instruction set, made only by a [`Kernel`], which exists for those alone that the processor has.
//! `make bench-gallery` prints the gain over the portable code. The byte products of AVX-512 VNNI were tried
//! and left out: the search waits for the memory, and took as long as with AVX2.

use facelatch_simd::InstructionSet;

/// Bytes in a block.
pub(super) const BLOCK: usize = 64;

/// 64 values of a row, each raised by 128; a row is one or more blocks.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Block(pub(super) [u8; BLOCK]);

/// The probe's values for one block.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct ProbeBlock {
    bytes: [i8; BLOCK],
    words: [i16; BLOCK],
}

/// A probe made ready, as many blocks as a row.
pub(super) struct Probe(Vec<ProbeBlock>);

impl Probe {
    /// Values beyond the end are 0, whatever a row holds there.
    pub(super) fn new(values: &[i8]) -> Self {
        let block = |part: &[i8]| {
            let mut block = ProbeBlock { bytes: [0; BLOCK], words: [0; BLOCK] };
            block.bytes[..part.len()].copy_from_slice(part);
            block.words.iter_mut().zip(part).for_each(|(word, v)| *word = i16::from(*v));
            block
        };
        Probe(values.chunks(BLOCK).map(block).collect())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        for block in &mut self.0 {
            block.bytes.zeroize();
            block.words.zeroize();
        }
    }
}

/// The instruction sets that the search is written for.
const INSTRUCTION_SETS: [InstructionSet; 4] =
    [InstructionSet::Portable, InstructionSet::Sse2, InstructionSet::Avx2, InstructionSet::Neon];

/// One of [`INSTRUCTION_SETS`] that this processor has.
#[derive(Clone, Copy)]
pub(super) struct Kernel(InstructionSet);

impl Kernel {
    pub(super) fn new(set: InstructionSet) -> Option<Self> {
        (INSTRUCTION_SETS.contains(&set) && set.is_available()).then_some(Kernel(set))
    }

    /// The fastest.
    pub(super) fn best() -> Self {
        Kernel(InstructionSet::best_of(&INSTRUCTION_SETS))
    }

    /// The product of each row with the probe: `out[i]` is that of the blocks from `i * probe` on.
    pub(super) fn dots(self, rows: &[Block], probe: &Probe, out: &mut [i32]) {
        let probe = probe.0.as_slice();
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` of a set exists only where `is_available` found the processor to have it.
            InstructionSet::Avx2 => unsafe { x86::dots_avx2(rows, probe, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Sse2 => unsafe { x86::dots_sse2(rows, probe, out) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            InstructionSet::Neon => unsafe { neon::dots_neon(rows, probe, out) },
            _ => dots_portable(rows, probe, out),
        }
    }
}

fn dots_portable(rows: &[Block], probe: &[ProbeBlock], out: &mut [i32]) {
    for (row, dot) in rows.chunks_exact(probe.len()).zip(out) {
        *dot = row
            .iter()
            .zip(probe)
            .flat_map(|(block, probe)| block.0.iter().zip(&probe.bytes))
            .map(|(r, p)| i32::from(*r) * i32::from(*p))
            .sum();
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Block, ProbeBlock};

    /// How far ahead of the row at hand memory is asked for, in blocks: the processor's own reading
    /// ahead stops at every page.
    const AHEAD: usize = 32;

    /// Asks for the memory that is needed soon.
    #[inline(always)]
    fn prefetch(row: &[Block]) {
        for block in row {
            let soon = std::ptr::from_ref(block).wrapping_add(AHEAD).cast();
            // SAFETY: a prefetch reads nothing and never faults, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(soon) };
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dots_avx2(rows: &[Block], probe: &[ProbeBlock], out: &mut [i32]) {
        for (row, dot) in rows.chunks_exact(probe.len()).zip(out) {
            prefetch(row);
            let mut sums = _mm256_setzero_si256();
            for (block, probe) in row.iter().zip(probe) {
                for (values, probe) in block.0.as_chunks::<16>().0.iter().zip(probe.words.as_chunks::<16>().0)
                {
                    // SAFETY: 16 bytes are read from an array of 16 bytes.
                    let values = unsafe { _mm_loadu_si128(values.as_ptr().cast()) };
                    // SAFETY: 32 bytes are read from an array of 16 numbers of 2 bytes.
                    let probe = unsafe { _mm256_loadu_si256(probe.as_ptr().cast()) };
                    let products = _mm256_madd_epi16(_mm256_cvtepu8_epi16(values), probe);
                    sums = _mm256_add_epi32(sums, products);
                }
            }
            let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
            *dot = sum_of_lanes(sums);
        }
    }

    #[target_feature(enable = "sse2")]
    pub(super) fn dots_sse2(rows: &[Block], probe: &[ProbeBlock], out: &mut [i32]) {
        let zero = _mm_setzero_si128();
        for (row, dot) in rows.chunks_exact(probe.len()).zip(out) {
            prefetch(row);
            let mut sums = zero;
            for (block, probe) in row.iter().zip(probe) {
                for (values, probe) in block.0.as_chunks::<16>().0.iter().zip(probe.words.as_chunks::<16>().0)
                {
                    // SAFETY: 16 bytes are read from an array of 16 bytes.
                    let values = unsafe { _mm_loadu_si128(values.as_ptr().cast()) };
                    // SAFETY: 16 bytes are read from each half of an array of 16 numbers of 2 bytes.
                    let (low, high) = unsafe {
                        (
                            _mm_loadu_si128(probe[..8].as_ptr().cast()),
                            _mm_loadu_si128(probe[8..].as_ptr().cast()),
                        )
                    };
                    let low = _mm_madd_epi16(_mm_unpacklo_epi8(values, zero), low);
                    let high = _mm_madd_epi16(_mm_unpackhi_epi8(values, zero), high);
                    sums = _mm_add_epi32(sums, _mm_add_epi32(low, high));
                }
            }
            *dot = sum_of_lanes(sums);
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn sum_of_lanes(sums: __m128i) -> i32 {
        let pairs = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b01_00_11_10>(sums));
        _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32::<0b10_11_00_01>(pairs)))
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::{Block, ProbeBlock};

    #[target_feature(enable = "neon")]
    pub(super) fn dots_neon(rows: &[Block], probe: &[ProbeBlock], out: &mut [i32]) {
        let zero = vdupq_n_s32(0);
        for (row, dot) in rows.chunks_exact(probe.len()).zip(out) {
            let (mut low, mut high) = (zero, zero);
            for (block, probe) in row.iter().zip(probe) {
                for (values, probe) in block.0.as_chunks::<16>().0.iter().zip(probe.words.as_chunks::<16>().0)
                {
                    // SAFETY: 16 bytes are read from an array of 16 bytes.
                    let values = unsafe { vld1q_u8(values.as_ptr()) };
                    // SAFETY: 16 bytes are read from each half of an array of 16 numbers of 2 bytes.
                    let (first, second) =
                        unsafe { (vld1q_s16(probe[..8].as_ptr()), vld1q_s16(probe[8..].as_ptr())) };
                    let a = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(values)));
                    let b = vreinterpretq_s16_u16(vmovl_high_u8(values));
                    low = vmlal_s16(low, vget_low_s16(a), vget_low_s16(first));
                    high = vmlal_high_s16(high, a, first);
                    low = vmlal_s16(low, vget_low_s16(b), vget_low_s16(second));
                    high = vmlal_high_s16(high, b, second);
                }
            }
            *dot = vaddvq_s32(vaddq_s32(low, high));
        }
    }
}
