//! 3x3 convolutions as products of the pixels' own lines: what a stride leaves out cannot be shared between
//! tiles, and few tiles do not pay for the larger matrices of [`super::winograd`].

use super::gemm::Weights;
use super::geometry::{Filters, Geometry, KERNEL, Maps};
use super::kernels::{Kernels, STEP};
use super::memory::{Aligned, Scratch};

/// Values of a row where a pixel has one value: then its surroundings are one part, as three of three floats
/// would not pay.
const ONE_INPUT: usize = (KERNEL * KERNEL).next_multiple_of(STEP);

/// A 3x3 convolution, made ready.
pub(super) struct Direct {
    /// Rows of three parts, the lines of the kernel, or of one part with the lines in it.
    weights: Weights,
    /// Of the outputs, filled up to whole vectors.
    bias: Aligned,
    zeros: Aligned,
}

impl Direct {
    /// Lays out the weights.
    pub(super) fn new(kernels: &'static Kernels, geometry: &Geometry, filters: Filters<'_>) -> Self {
        let inputs = geometry.inputs;
        let line_len = KERNEL * inputs;
        let parts = if inputs == 1 { 1 } else { KERNEL };
        let part_len = KERNEL * line_len / parts;
        let weights = Weights::new(kernels, geometry.outputs, parts, part_len, |output, part, place| {
            let (line, place) = (part + place / line_len, place % line_len);
            filters.weight(output, place % inputs, line, place / inputs)
        });
        let (bias, zeros) = (weights.filled(filters.bias), Aligned::zeros(weights.part_len()));
        Direct { weights, bias, zeros }
    }

    /// The convolution of `maps.input`, with `maps.residual` added, not below 0 if `relu`.
    pub(super) fn run(&self, geometry: &Geometry, relu: bool, maps: Maps<'_>, scratch: &mut Scratch) {
        if geometry.inputs == 1 {
            self.copy_surroundings(geometry, maps.input, scratch);
        } else {
            self.find_lines(geometry, maps.input, scratch);
        }
        let bias = self.bias.floats();
        let first_relu = relu && maps.residual.is_none();
        // SAFETY: each start has as many floats as a part: of zeros, of the map or of a copy.
        unsafe { self.weights.multiply(&scratch.starts, bias, first_relu, geometry.outputs, maps.output) };
        if let Some(residual) = maps.residual {
            for (value, other) in maps.output.iter_mut().zip(residual) {
                let sum = *value + other;
                *value = if relu { sum.max(0.0) } else { sum };
            }
        }
    }

    /// Rows of one part each, all of them copies; of a map with one value a pixel.
    fn copy_surroundings(&self, geometry: &Geometry, input: &[f32], scratch: &mut Scratch) {
        let length = self.weights.part_len();
        let (out_height, out_width) = (geometry.out_height, geometry.out_width);
        // The map with zeros around it.
        let width = (out_width - 1) * geometry.stride.1 + KERNEL;
        let height = (out_height - 1) * geometry.stride.0 + KERNEL;
        scratch.second.grow(height * width);
        let padded = &mut scratch.second.floats_mut()[..height * width];
        padded.fill(0.0);
        let (before, seen) = (geometry.before, geometry.width.min(width - geometry.before.1));
        for (to, from) in
            padded.chunks_exact_mut(width).skip(before.0).zip(input.chunks_exact(geometry.width))
        {
            to[before.1..][..seen].copy_from_slice(&from[..seen]);
        }
        scratch.first.grow(out_height * out_width * length);
        let rows = &mut scratch.first.floats_mut()[..out_height * out_width * length];
        for (y, rows) in rows.chunks_exact_mut(out_width * length).enumerate() {
            let lines: [&[f32]; KERNEL] =
                std::array::from_fn(|line| &padded[(y * geometry.stride.0 + line) * width..][..width]);
            for (x, row) in rows.as_chunks_mut::<ONE_INPUT>().0.iter_mut().enumerate() {
                let mut surroundings = [0.0; ONE_INPUT];
                for (line, to) in lines.iter().zip(surroundings.as_chunks_mut::<KERNEL>().0) {
                    to.copy_from_slice(&line[x * geometry.stride.1..][..KERNEL]);
                }
                *row = surroundings;
            }
        }
        scratch.starts.clear();
        scratch.starts.extend(rows.chunks_exact(length).map(<[f32]>::as_ptr));
    }

    /// Rows of three parts each, where they lie in the map if they do.
    fn find_lines(&self, geometry: &Geometry, input: &[f32], scratch: &mut Scratch) {
        let (length, line_len) = (self.weights.part_len(), KERNEL * geometry.inputs);
        scratch.first.grow(geometry.lines_to_copy() * length);
        let mut copies = scratch.first.floats_mut().chunks_exact_mut(length);
        scratch.starts.clear();
        for y in 0..geometry.out_height {
            for x in 0..geometry.out_width {
                for line in 0..KERNEL {
                    let start = match (geometry.line(y, line), geometry.inside(x)) {
                        (None, _) => self.zeros.floats().as_ptr(),
                        // Beyond the line's end are further pixels, which have weight 0.
                        (Some(line), Some(first))
                            if (line * geometry.width + first) * geometry.inputs + length <= input.len() =>
                        {
                            input[(line * geometry.width + first) * geometry.inputs..].as_ptr()
                        }
                        (Some(line), _) => {
                            let Some(copy) = copies.next() else { unreachable!("room for all copies") };
                            copy.fill(0.0);
                            geometry.copy_line(input, line, x, &mut copy[..line_len]);
                            copy.as_ptr()
                        }
                    };
                    scratch.starts.push(start);
                }
            }
        }
    }
}
