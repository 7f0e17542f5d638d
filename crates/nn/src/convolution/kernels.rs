//! The inner loops as a table of functions, one table for each instruction set, and what they are told.
//!
//! The loops are written in `gemm` and `winograd`; `dispatch` makes the tables.

use facelatch_simd::InstructionSet;

/// Floats read at a time from a part of a row: parts are filled up to a multiple of it by weights of 0.
pub(super) const STEP: usize = 4;

/// The inner loops for one instruction set. They exist only where the processor has it.
pub(super) struct Kernels {
    pub(super) set: InstructionSet,
    /// Floats in a vector.
    pub(super) lanes: usize,
    /// Columns, in vectors, and rows of a product that stay in registers.
    pub(super) max_vectors: usize,
    pub(super) max_rows: usize,
    /// `gemm_panel` of so many vectors, up to `max_vectors`, and rows, up to `max_rows`.
    pub(super) gemm_panel: unsafe fn(usize, usize, &GemmCall, *const *const f32, *mut f32),
    /// Transforms of `Tile2x2`.
    pub(super) tile2x2: Transforms<4, 2>,
    /// Transforms of `Tile4x4`.
    pub(super) tile4x4: Transforms<6, 4>,
}

/// The transforms of a tile for one instruction set.
pub(super) struct Transforms<const SIDE: usize, const OUT: usize> {
    /// `gather`.
    pub(super) gather: unsafe fn(&TransformCall, &[[*const f32; SIDE]; SIDE], *mut f32, usize),
    /// `scatter`.
    pub(super) scatter:
        unsafe fn(&TransformCall, *const f32, usize, &Places<OUT>, Option<*const f32>, *mut f32),
}

/// A stretch of a panel's weights, for all rows.
pub(super) struct GemmCall {
    pub(super) weights: *const f32,
    /// Weights of each column, a multiple of [`STEP`].
    pub(super) length: usize,
    /// The part of a row that they are for, how many parts a row has, and the place in the part.
    pub(super) start: (usize, usize, usize),
    /// Added at the first stretch; at the others what `out` holds is.
    pub(super) bias: Option<*const f32>,
    /// Columns to write, from the panel's first on; there may be more than the panel has.
    pub(super) columns: usize,
    pub(super) stride: usize,
    pub(super) relu: bool,
}

/// Where in a map a tile's outputs begin, as far as they are in it.
pub(super) type Places<const OUT: usize> = [[Option<usize>; OUT]; OUT];

/// What the transforms of one convolution have in common.
pub(super) struct TransformCall {
    pub(super) inputs: usize,
    pub(super) filled_inputs: usize,
    pub(super) outputs: usize,
    pub(super) bias: *const f32,
    pub(super) relu: bool,
}
