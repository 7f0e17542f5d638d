//! The inner loops, compiled for each instruction set, and the choice between them.

use facelatch_simd::InstructionSet;

use super::gemm::gemm_panel;
use super::kernels::{GemmCall, Kernels, Places, TransformCall, Transforms};
use super::simd::Simd;
#[cfg(target_arch = "aarch64")]
use super::simd::neon::Neon;
#[cfg(target_arch = "x86_64")]
use super::simd::x86::{Avx2, Avx512};
use super::winograd::{Tile2x2, Tile4x4, gather, scatter};

/// The tables of all instruction sets of this architecture, the fastest first.
const TABLES: &[&Kernels] = &[
    #[cfg(target_arch = "x86_64")]
    &avx512::KERNELS,
    #[cfg(target_arch = "x86_64")]
    &avx2::KERNELS,
    #[cfg(target_arch = "aarch64")]
    &neon::KERNELS,
];

/// All that this processor can run, fastest first; none where it lacks fused multiply-adds.
pub(super) fn available() -> impl Iterator<Item = &'static Kernels> {
    TABLES.iter().copied().filter(|kernels| kernels.set.is_available())
}

/// The instruction set that our convolutions use here, if this processor has one of theirs.
pub(crate) fn instruction_set() -> Option<InstructionSet> {
    available().next().map(|kernels| kernels.set)
}

/// A module with the kernels of one instruction set: its name, the instruction set, its vectors and
/// features, the vectors and rows of the largest panel that its registers hold, and both counted out.
macro_rules! kernels {
    ($name:ident, $set:ident, $simd:ty, $features:literal, $vectors:literal, $rows:literal,
     [$($v:literal),*], $all_rows:tt) => {
        mod $name {
            use super::*;

            pub(super) static KERNELS: Kernels = Kernels {
                set: InstructionSet::$set,
                lanes: <$simd>::LANES,
                max_vectors: $vectors,
                max_rows: $rows,
                gemm_panel: panel,
                tile2x2: Transforms { gather: tile2x2::gather_tile, scatter: tile2x2::scatter_tile },
                tile4x4: Transforms { gather: tile4x4::gather_tile, scatter: tile4x4::scatter_tile },
            };

            /// # Safety
            /// As [`gemm_panel`].
            #[target_feature(enable = $features)]
            unsafe fn panel(
                vectors: usize,
                rows: usize,
                call: &GemmCall,
                starts: *const *const f32,
                out: *mut f32,
            ) {
                // SAFETY: the caller's.
                unsafe { kernels!(@choose $simd, vectors, rows, call, starts, out, [$($v),*], $all_rows) }
            }

            kernels!(@transforms tile2x2, $simd, $features, Tile2x2, 4, 2);
            kernels!(@transforms tile4x4, $simd, $features, Tile4x4, 6, 4);
        }
    };
    (@transforms $name:ident, $simd:ty, $features:literal, $tile:ty, $side:literal, $out:literal) => {
        mod $name {
            use super::*;

            /// # Safety
            /// As [`gather`].
            #[target_feature(enable = $features)]
            pub(super) unsafe fn gather_tile(
                call: &TransformCall,
                from: &[[*const f32; $side]; $side],
                to: *mut f32,
                apart: usize,
            ) {
                // SAFETY: the caller's.
                unsafe { gather::<$simd, $tile, $side, $out>(call, from, to, apart) }
            }

            /// # Safety
            /// As [`scatter`].
            #[target_feature(enable = $features)]
            pub(super) unsafe fn scatter_tile(
                call: &TransformCall,
                from: *const f32,
                apart: usize,
                places: &Places<$out>,
                residual: Option<*const f32>,
                output: *mut f32,
            ) {
                // SAFETY: the caller's.
                unsafe {
                    scatter::<$simd, $tile, $side, $out>(call, from, apart, places, residual, output)
                }
            }
        }
    };
    (@choose $simd:ty, $vectors:ident, $rows:ident, $call:ident, $starts:ident, $out:ident,
     [$($v:literal),*], $all_rows:tt) => {
        match $vectors {
            $($v => kernels!(@rows $simd, $v, $rows, $call, $starts, $out, $all_rows),)*
            _ => unreachable!("a panel of {} vectors", $vectors),
        }
    };
    (@rows $simd:ty, $v:literal, $rows:ident, $call:ident, $starts:ident, $out:ident, [$($r:literal),*]) => {
        match $rows {
            $($r => gemm_panel::<$simd, $v, $r>($call, $starts, $out),)*
            _ => unreachable!("{} rows", $rows),
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx2, Avx2, Avx2, "avx2,fma", 2, 6, [1, 2], [1, 2, 3, 4, 5, 6]);
#[cfg(target_arch = "x86_64")]
kernels!(avx512, Avx512, Avx512, "avx512f", 3, 8, [1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8]);
#[cfg(target_arch = "aarch64")]
kernels!(neon, Neon, Neon, "neon", 4, 5, [1, 2, 3, 4], [1, 2, 3, 4, 5]);
