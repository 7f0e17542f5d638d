//! The inner loops, made for each instruction set, and the choice between them.

use super::lanes::Lanes;
#[cfg(target_arch = "aarch64")]
use super::lanes::arm::Neon;
#[cfg(target_arch = "x86_64")]
use super::lanes::x86::{Avx2, Avx512};
use super::product::{Call, panel};
use super::winograd::{Four, Places, Transform, Two, gather, scatter};

/// The inner loops for one instruction set. They exist only where the processor has it.
pub(super) struct Kernels {
    /// What users know it by.
    pub(super) name: &'static str,
    /// Floats in a vector.
    pub(super) lanes: usize,
    /// Columns, in vectors, and rows of a product that stay in registers.
    pub(super) most_vectors: usize,
    pub(super) most_rows: usize,
    /// [`panel`] of so many vectors, up to `most_vectors`, and rows, up to `most_rows`.
    pub(super) product: unsafe fn(usize, usize, &Call, *const *const f32, *mut f32),
    /// Transforms of [`Two`].
    pub(super) two: Transforms<4, 2>,
    /// Transforms of [`Four`].
    pub(super) four: Transforms<6, 4>,
}

/// The transforms of a tile for one instruction set.
pub(super) struct Transforms<const SIDE: usize, const OUT: usize> {
    /// [`gather`].
    pub(super) gather: unsafe fn(&Transform, &[[*const f32; SIDE]; SIDE], *mut f32, usize),
    /// [`scatter`].
    pub(super) scatter: unsafe fn(&Transform, *const f32, usize, &Places<OUT>, Option<*const f32>, *mut f32),
}

impl Kernels {
    /// All that this processor can run, fastest first; none where it lacks fused multiply-adds.
    pub(super) fn available() -> Vec<&'static Kernels> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f");
            [(avx512, &avx512::KERNELS), (avx2, &avx2::KERNELS)]
                .into_iter()
                .filter_map(|(has, kernels)| has.then_some(kernels))
                .collect()
        }
        #[cfg(target_arch = "aarch64")]
        {
            vec![&neon::KERNELS]
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            Vec::new()
        }
    }
}

/// A module with the kernels of one instruction set: its name, the name that users know, its vectors and
/// features, the vectors and rows of the largest panel that its registers hold, and both counted out.
macro_rules! kernels {
    ($name:ident, $known_as:literal, $lanes:ty, $features:literal, $vectors:literal, $rows:literal,
     [$($v:literal),*], $all_rows:tt) => {
        mod $name {
            use super::*;

            pub(super) static KERNELS: Kernels = Kernels {
                name: $known_as,
                lanes: <$lanes>::LANES,
                most_vectors: $vectors,
                most_rows: $rows,
                product,
                two: Transforms { gather: two::gather_tile, scatter: two::scatter_tile },
                four: Transforms { gather: four::gather_tile, scatter: four::scatter_tile },
            };

            /// # Safety
            /// As [`panel`].
            #[target_feature(enable = $features)]
            unsafe fn product(
                vectors: usize,
                rows: usize,
                call: &Call,
                starts: *const *const f32,
                out: *mut f32,
            ) {
                // SAFETY: the caller's.
                unsafe { kernels!(@choose $lanes, vectors, rows, call, starts, out, [$($v),*], $all_rows) }
            }

            kernels!(@transforms two, $lanes, $features, Two, 4, 2);
            kernels!(@transforms four, $lanes, $features, Four, 6, 4);
        }
    };
    (@transforms $name:ident, $lanes:ty, $features:literal, $tile:ty, $side:literal, $out:literal) => {
        mod $name {
            use super::*;

            /// # Safety
            /// As [`gather`].
            #[target_feature(enable = $features)]
            pub(super) unsafe fn gather_tile(
                call: &Transform,
                from: &[[*const f32; $side]; $side],
                to: *mut f32,
                apart: usize,
            ) {
                // SAFETY: the caller's.
                unsafe { gather::<$lanes, $tile, $side, $out>(call, from, to, apart) }
            }

            /// # Safety
            /// As [`scatter`].
            #[target_feature(enable = $features)]
            pub(super) unsafe fn scatter_tile(
                call: &Transform,
                from: *const f32,
                apart: usize,
                places: &Places<$out>,
                residual: Option<*const f32>,
                output: *mut f32,
            ) {
                // SAFETY: the caller's.
                unsafe {
                    scatter::<$lanes, $tile, $side, $out>(call, from, apart, places, residual, output)
                }
            }
        }
    };
    (@choose $lanes:ty, $vectors:ident, $rows:ident, $call:ident, $starts:ident, $out:ident,
     [$($v:literal),*], $all_rows:tt) => {
        match $vectors {
            $($v => kernels!(@rows $lanes, $v, $rows, $call, $starts, $out, $all_rows),)*
            _ => unreachable!("a panel of {} vectors", $vectors),
        }
    };
    (@rows $lanes:ty, $v:literal, $rows:ident, $call:ident, $starts:ident, $out:ident, [$($r:literal),*]) => {
        match $rows {
            $($r => panel::<$lanes, $v, $r>($call, $starts, $out),)*
            _ => unreachable!("{} rows", $rows),
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx2, "AVX2", Avx2, "avx2,fma", 2, 6, [1, 2], [1, 2, 3, 4, 5, 6]);
#[cfg(target_arch = "x86_64")]
kernels!(avx512, "AVX-512", Avx512, "avx512f", 3, 8, [1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8]);
#[cfg(target_arch = "aarch64")]
kernels!(neon, "NEON", Neon, "neon", 4, 5, [1, 2, 3, 4], [1, 2, 3, 4, 5]);
