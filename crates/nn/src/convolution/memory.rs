//! Memory that vectors are read from and written to.

/// Floats in a cache line.
pub(super) const LINE: usize = 16;

/// 16 floats on one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Line([f32; LINE]);

/// Floats of which the first begins a cache line.
#[derive(Clone, Default)]
pub(super) struct Aligned(Vec<Line>);

impl Aligned {
    /// `len` zeros, and up to 15 more.
    pub(super) fn zeros(len: usize) -> Self {
        Aligned(vec![Line([0.0; LINE]); len.div_ceil(LINE)])
    }

    /// Makes it at least `len` long; what it held may be lost.
    pub(super) fn grow(&mut self, len: usize) {
        if self.0.len() * LINE < len {
            *self = Self::zeros(len);
        }
    }

    pub(super) fn floats(&self) -> &[f32] {
        // SAFETY: a `Line` is 16 floats and nothing else, so this is the same memory.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }

    pub(super) fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

/// Memory for what lies between the steps of one convolution; reused by the next.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) first: Aligned,
    pub(super) second: Aligned,
    pub(super) starts: Vec<*const f32>,
}
