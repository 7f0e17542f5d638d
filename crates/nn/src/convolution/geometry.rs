//! The sizes of one convolution, and what it reads and writes.

/// Lines and columns of a kernel.
pub(super) const KERNEL: usize = 3;

/// Places of the largest map that ours are for: any face's has fewer, and a place takes memory.
const MAX_PLACES: usize = 1 << 18;

/// The most floats of cut lines that are copied: 16 MiB.
const MAX_COPIES: usize = 1 << 22;

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
    pub(super) fn column(&self, x: usize, column: usize) -> Option<usize> {
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

    /// Whether ours are for these sizes: something to do, at most the kernel's own zeros around the map, and
    /// memory of the map's order. A file may say anything.
    pub(super) fn is_ours(&self) -> bool {
        let none = [self.inputs, self.outputs, self.height, self.width].contains(&0);
        let places = self.out_height.saturating_mul(self.out_width);
        // The last window begins in the map or before it.
        let reaches = |out: usize, stride: usize, size: usize, before: usize| {
            out >= 1 && (out - 1).checked_mul(stride).is_some_and(|at| at < size + before)
        };
        !none
            && (1..=MAX_PLACES).contains(&places)
            && self.before.0.max(self.before.1) < KERNEL
            && reaches(self.out_height, self.stride.0, self.height, self.before.0)
            && reaches(self.out_width, self.stride.1, self.width, self.before.1)
            && self.lines_to_copy().saturating_mul(KERNEL * self.inputs) <= MAX_COPIES
    }

    /// At most so many lines of a kernel are copied since they do not lie in the map as they are read: those
    /// that the edge cuts, and the end of the map, which each line of the kernel may meet.
    pub(super) fn lines_to_copy(&self) -> usize {
        let cut = (0..self.out_width).filter(|x| self.inside(*x).is_none()).count();
        (self.out_height * cut + 1) * KERNEL
    }

    pub(super) fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    pub(super) fn output_len(&self) -> usize {
        self.out_height * self.out_width * self.outputs
    }
}

/// What a convolution multiplies with and adds.
#[derive(Clone, Copy)]
pub(super) struct Filters<'a> {
    /// By output, input, line and column, as ONNX has them.
    pub(super) weights: &'a [f32],
    /// Inputs of each output.
    pub(super) inputs: usize,
    /// One for each output.
    pub(super) bias: &'a [f32],
}

impl Filters<'_> {
    pub(super) fn weight(&self, output: usize, input: usize, line: usize, column: usize) -> f32 {
        self.weights[((output * self.inputs + input) * KERNEL + line) * KERNEL + column]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a hostile file may say must not be taken for a convolution of ours: it would take any memory.
    #[test]
    fn windows_far_behind_the_map_are_not_ours() {
        let one = Geometry {
            inputs: 1,
            outputs: 1,
            height: 1,
            width: 1,
            out_height: 1,
            out_width: 1,
            stride: (1, 1),
            before: (1, 1),
        };
        assert!(one.is_ours());
        let far = 1_000_000;
        for g in [
            Geometry { stride: (far, far), out_height: 2, out_width: 2, ..one.clone() },
            Geometry { stride: (usize::MAX, 1), out_height: 2, ..one.clone() },
            Geometry { out_height: 400, out_width: 400, inputs: 512, ..one.clone() },
            Geometry { height: far, width: far, out_height: far, out_width: far, ..one.clone() },
            Geometry { height: 1000, inputs: far, out_height: 1000, ..one.clone() },
            Geometry { out_width: 0, ..one.clone() },
            Geometry { inputs: 0, ..one.clone() },
            Geometry { before: (3, 0), ..one.clone() },
        ] {
            assert!(!g.is_ours(), "{g:?}");
        }
    }
}
