//! Which vector instructions this processor has.
//!
//! The detector, the search and the networks each have code for some of the [`InstructionSet`]s. They
//! choose among those with [`InstructionSet::best_of`] and call a function that carries the matching
//! `#[target_feature]`s. What a variant promises is listed at each variant: such a function may enable
//! those features and no others.
//!
//! The vectors themselves stay with their users: the detector works on 16-bit integers, the search on
//! bytes, the networks on floats, and their traits have no operation in common.

use std::fmt;

/// A level of vector instructions, ordered from the slowest to the fastest of an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionSet {
    /// Plain code, for every processor.
    Portable,
    /// x86-64 as every such processor has it: `sse2`.
    Sse2,
    /// x86-64-v2: `sse4.2` and `popcnt`.
    Sse42,
    /// x86-64-v3: `avx2`, `fma`, `bmi1`, `bmi2` and `popcnt`.
    Avx2,
    /// x86-64-v3 with `avx512f`.
    Avx512,
    /// aarch64 as every such processor has it: `neon`.
    Neon,
}

impl InstructionSet {
    /// All of them.
    pub const ALL: [InstructionSet; 6] = [
        InstructionSet::Portable,
        InstructionSet::Sse2,
        InstructionSet::Sse42,
        InstructionSet::Avx2,
        InstructionSet::Avx512,
        InstructionSet::Neon,
    ];

    /// Whether this processor has it. The answer is cached: a call costs a few loads.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            InstructionSet::Portable => true,
            InstructionSet::Sse2 => cfg!(target_arch = "x86_64"),
            InstructionSet::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Sse42 => is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => {
                InstructionSet::Avx2.is_available() && is_x86_feature_detected!("avx512f")
            }
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Sse42 | InstructionSet::Avx2 | InstructionSet::Avx512 => false,
        }
    }

    /// The fastest of `sets` that this processor has; [`InstructionSet::Portable`] if it has none.
    pub fn best_of(sets: &[InstructionSet]) -> Self {
        let available = sets.iter().copied().filter(|set| set.is_available());
        available.max().unwrap_or(InstructionSet::Portable)
    }

    /// Its name as the command line and the tests spell it.
    pub fn name(self) -> &'static str {
        match self {
            InstructionSet::Portable => "portable",
            InstructionSet::Sse2 => "sse2",
            InstructionSet::Sse42 => "sse4.2",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512 => "avx512",
            InstructionSet::Neon => "neon",
        }
    }
}

impl fmt::Display for InstructionSet {
    /// As its vendor spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstructionSet::Portable => "portable code",
            InstructionSet::Sse2 => "SSE2",
            InstructionSet::Sse42 => "SSE4.2",
            InstructionSet::Avx2 => "AVX2",
            InstructionSet::Avx512 => "AVX-512",
            InstructionSet::Neon => "NEON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_includes_the_slower_ones_of_its_architecture() {
        use InstructionSet::{Avx2, Avx512, Neon, Portable, Sse2, Sse42};
        assert!(Portable.is_available());
        for (faster, slower) in [(Sse42, Sse2), (Avx2, Sse42), (Avx512, Avx2)] {
            assert!(faster > slower);
            assert!(!faster.is_available() || slower.is_available(), "{faster} without {slower}");
        }
        assert!(!(Neon.is_available() && Sse2.is_available()), "two architectures at once");
        assert_eq!(Sse2.is_available(), cfg!(target_arch = "x86_64"));
        assert_eq!(Neon.is_available(), cfg!(target_arch = "aarch64"));
    }

    #[test]
    fn the_best_is_the_fastest_of_the_list_that_is_there() {
        let best = InstructionSet::best_of(&InstructionSet::ALL);
        assert!(best.is_available());
        for set in InstructionSet::ALL {
            assert!(set <= best || !set.is_available(), "{set} is faster than {best}");
        }
        let absent: Vec<_> = InstructionSet::ALL.into_iter().filter(|set| !set.is_available()).collect();
        assert!(!absent.is_empty(), "one of two architectures is always absent");
        assert_eq!(InstructionSet::best_of(&absent), InstructionSet::Portable);
    }

    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<_> = InstructionSet::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(names.len(), InstructionSet::ALL.len());
    }
}
