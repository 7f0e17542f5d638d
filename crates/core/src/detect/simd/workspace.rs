//! The memory that a scan works in.

/// A window on its way through the cascade.
#[derive(Clone, Copy)]
pub(super) struct Survivor {
    /// Index in its row of windows.
    pub(super) column: u32,
    /// Top row in the level.
    pub(super) row: u32,
    pub(super) norm: f32,
}

/// Working memory of one scanning thread, kept between frames.
#[derive(Default)]
pub(in super::super) struct Workspace {
    /// How many rows of the level are reduced, not counting those skipped.
    pub(super) reduced_to: usize,
    pub(super) lines: [[Vec<u8>; 2]; 2],
    pub(super) blended: Vec<u16>,
    pub(super) reduced: Vec<u8>,
    pub(super) plane: Vec<u16>,
    pub(super) line: Vec<u16>,
    pub(super) falling: Vec<u16>,
    pub(super) rising: Vec<u16>,
    pub(super) column_sums: Vec<u16>,
    pub(super) column_squares: Vec<u32>,
    pub(super) band_sums: Vec<u16>,
    pub(super) band_squares: Vec<u32>,
    /// A row of zeros.
    pub(super) black: Vec<u8>,
    pub(super) sums: Vec<u32>,
    pub(super) squares: Vec<u32>,
    pub(super) nf: Vec<u32>,
    pub(super) norms: Vec<f32>,
    pub(super) gate: Vec<u64>,
    pub(super) passed: Vec<u64>,
    pub(super) queues: Vec<Vec<Survivor>>,
    pub(super) packed: Vec<u16>,
    /// Hits as `row << 32 | column`, sorted when the level is done.
    pub(super) hits: Vec<u64>,
}
