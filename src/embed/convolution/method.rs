//! One convolution: its sizes, the memory it works in, and which of the two ways it is done.

use std::cell::RefCell;

use super::direct::Direct;
use super::kernels::Kernels;
use super::product::Aligned;
use super::winograd::Winograd;

/// Lines and columns of a kernel.
pub(super) const KERNEL: usize = 3;

/// From how many tiles on [`Winograd`] pays: each reads 16 weights where [`Direct`] reads 9.
const TILES_THAT_PAY: usize = 12;

/// Sizes of one convolution; pairs are vertical, horizontal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) out_height: usize,
    pub(super) out_width: usize,
    pub(super) stride: (usize, usize),
    /// Lines above and columns left of the map that are taken as 0.
    pub(super) before: (usize, usize),
}

impl Geometry {
    /// The line of the map that the kernel's line `line` reads for outputs in line `y`, if it is one.
    pub(super) fn line(&self, y: usize, line: usize) -> Option<usize> {
        (y * self.stride.0 + line).checked_sub(self.before.0).filter(|line| *line < self.height)
    }

    /// The column of the map that the kernel's column `column` reads for outputs in column `x`, if it is one.
    fn column(&self, x: usize, column: usize) -> Option<usize> {
        (x * self.stride.1 + column).checked_sub(self.before.1).filter(|column| *column < self.width)
    }

    /// The first of the kernel's columns for outputs in column `x`, if all lie in the map.
    pub(super) fn inside(&self, x: usize) -> Option<usize> {
        self.column(x, KERNEL - 1).and(self.column(x, 0))
    }

    /// Copies what the kernel reads in a line of the map for outputs in column `x`. `copy` holds zeros.
    pub(super) fn copy_line(&self, input: &[f32], line: usize, x: usize, copy: &mut [f32]) {
        for (column, pixel) in copy.chunks_exact_mut(self.inputs).enumerate() {
            if let Some(from) = self.column(x, column) {
                pixel.copy_from_slice(&input[(line * self.width + from) * self.inputs..][..self.inputs]);
            }
        }
    }

    fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    fn output_len(&self) -> usize {
        self.out_height * self.out_width * self.outputs
    }
}

/// A map with the zeros around it.
pub(super) struct Padded<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) input: &'a [f32],
    pub(super) zeros: &'a [f32],
}

impl Padded<'_> {
    /// The channels of the pixel at a place counted from the first of the padding.
    pub(super) fn pixel(&self, y: usize, x: usize) -> *const f32 {
        let g = self.geometry;
        let place = |at: usize, before: usize, size: usize| at.checked_sub(before).filter(|at| *at < size);
        match (place(y, g.before.0, g.height), place(x, g.before.1, g.width)) {
            (Some(y), Some(x)) => self.input[(y * g.width + x) * g.inputs..][..g.inputs].as_ptr(),
            _ => self.zeros[..g.inputs].as_ptr(),
        }
    }
}

/// What one convolution reads and writes, channels last.
pub(super) struct Maps<'a> {
    pub(super) input: &'a [f32],
    /// As large as the output.
    pub(super) residual: Option<&'a [f32]>,
    pub(super) output: &'a mut [f32],
}

/// Memory for what lies between the steps of one convolution; reused by the next.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) first: Aligned,
    pub(super) second: Aligned,
    pub(super) starts: Vec<*const f32>,
}

pub(super) enum Method {
    Winograd(Winograd),
    Direct(Direct),
}

impl Method {
    /// `weight` by output, input, line and column; a bias for each output.
    pub(super) fn new(
        kernels: &'static Kernels,
        geometry: &Geometry,
        weight: impl Fn(usize, usize, usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        let tiles = geometry.out_height.div_ceil(2) * geometry.out_width.div_ceil(2);
        if geometry.stride == (1, 1) && tiles >= TILES_THAT_PAY {
            Method::Winograd(Winograd::new(kernels, geometry, weight, bias))
        } else {
            Method::Direct(Direct::new(kernels, geometry, weight, bias))
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Method::Winograd(_) => "winograd",
            Method::Direct(_) => "direct",
        }
    }

    /// The convolution of `maps.input`, with `maps.residual` added, not below 0 if `relu`.
    pub(super) fn run(&self, geometry: &Geometry, relu: bool, maps: Maps<'_>) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        assert!(
            maps.input.len() == geometry.input_len()
                && maps.output.len() == geometry.output_len()
                && maps.residual.is_none_or(|r| r.len() == geometry.output_len())
        );
        SCRATCH.with_borrow_mut(|scratch| match self {
            Method::Winograd(method) => method.run(geometry, relu, maps, scratch),
            Method::Direct(method) => method.run(geometry, relu, maps, scratch),
        });
    }
}
