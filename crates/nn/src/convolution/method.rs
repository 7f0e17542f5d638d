//! One convolution: its sizes, the memory it works in, and which way it is done.

use std::cell::RefCell;

use super::direct::Direct;
use super::kernels::Kernels;
use super::product::{Aligned, STEP};
use super::winograd::{Four, Two, Winograd};

/// Lines and columns of a kernel.
pub(super) const KERNEL: usize = 3;

/// From how many tiles on [`Winograd`] pays: the larger a tile, the more weights it reads.
const TILES_THAT_PAY: usize = 12;

/// The most transformed weights that pay: 2 MiB of them; more would wait for the memory, and take much of it.
const WEIGHTS_THAT_PAY: usize = 1 << 19;

/// Places of the largest map that ours are for: any face's has fewer, and a place takes memory.
const LARGEST_MAP: usize = 1 << 18;

/// The most floats of cut lines that are copied: 16 MiB.
const LARGEST_COPIES: usize = 1 << 22;

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
            && (1..=LARGEST_MAP).contains(&places)
            && self.before.0.max(self.before.1) < KERNEL
            && reaches(self.out_height, self.stride.0, self.height, self.before.0)
            && reaches(self.out_width, self.stride.1, self.width, self.before.1)
            && self.lines_to_copy().saturating_mul(KERNEL * self.inputs) <= LARGEST_COPIES
    }

    /// At most so many lines of a kernel are copied since they do not lie in the map as they are read: those
    /// that the edge cuts, and the end of the map, which each line of the kernel may meet.
    pub(super) fn lines_to_copy(&self) -> usize {
        let cut = (0..self.out_width).filter(|x| self.inside(*x).is_none()).count();
        (self.out_height * cut + 1) * KERNEL
    }

    fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    fn output_len(&self) -> usize {
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

/// Memory for what lies between the steps of one convolution; reused by the next.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) first: Aligned,
    pub(super) second: Aligned,
    pub(super) starts: Vec<*const f32>,
}

/// A way to do a convolution.
#[derive(Clone, Copy)]
enum Way {
    WinogradFour,
    WinogradTwo,
    Direct,
}

impl Way {
    /// The best, and the most floats that its weights take.
    fn best(kernels: &Kernels, geometry: &Geometry) -> (Way, usize) {
        let tiles = |side| geometry.out_height.div_ceil(side) * geometry.out_width.div_ceil(side);
        let outputs = geometry.outputs.next_multiple_of(kernels.lanes);
        let weights = |of_each: usize| of_each * geometry.inputs.next_multiple_of(STEP) * outputs;
        for (way, side) in [(Way::WinogradFour, 4), (Way::WinogradTwo, 2)] {
            let weights = weights((side + KERNEL - 1_usize).pow(2));
            if geometry.stride == (1, 1) && tiles(side) >= TILES_THAT_PAY && weights <= WEIGHTS_THAT_PAY {
                return (way, weights);
            }
        }
        (Way::Direct, weights(KERNEL * KERNEL))
    }
}

/// A convolution made ready, the way that is best for its sizes.
pub(super) enum Method {
    WinogradFour(Winograd<6, 4>),
    WinogradTwo(Winograd<4, 2>),
    Direct(Direct),
}

impl Method {
    /// At most so many floats its weights take.
    pub(super) fn weights(kernels: &'static Kernels, geometry: &Geometry) -> usize {
        Way::best(kernels, geometry).1
    }

    /// Prepares the way that is best for the sizes.
    pub(super) fn new(kernels: &'static Kernels, geometry: &Geometry, filters: Filters<'_>) -> Self {
        match Way::best(kernels, geometry).0 {
            Way::WinogradFour => Method::WinogradFour(Winograd::new::<Four>(kernels, geometry, filters)),
            Way::WinogradTwo => Method::WinogradTwo(Winograd::new::<Two>(kernels, geometry, filters)),
            Way::Direct => Method::Direct(Direct::new(kernels, geometry, filters)),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Method::WinogradFour(_) => "winograd, 4x4",
            Method::WinogradTwo(_) => "winograd, 2x2",
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
            Method::WinogradFour(method) => method.run(geometry, relu, maps, scratch),
            Method::WinogradTwo(method) => method.run(geometry, relu, maps, scratch),
            Method::Direct(method) => method.run(geometry, relu, maps, scratch),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers from -1 to 1.
    fn numbers(seed: u64) -> impl Iterator<Item = f32> {
        let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        std::iter::successors(Some(seed), next).map(|state| (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
    }

    /// What a convolution is by its definition, in double precision.
    fn defined(g: &Geometry, filters: Filters<'_>, maps: &Maps<'_>, relu: bool) -> Vec<f64> {
        let places = (0..g.output_len()).map(|i| {
            let (y, x, output) = (i / g.outputs / g.out_width, i / g.outputs % g.out_width, i % g.outputs);
            let mut sum = f64::from(filters.bias[output]) + maps.residual.map_or(0.0, |r| f64::from(r[i]));
            for line in 0..KERNEL {
                for column in 0..KERNEL {
                    let (Some(row), Some(at)) = (g.line(y, line), g.column(x, column)) else { continue };
                    for input in 0..g.inputs {
                        sum += f64::from(maps.input[(row * g.width + at) * g.inputs + input])
                            * f64::from(filters.weight(output, input, line, column));
                    }
                }
            }
            if relu { sum.max(0.0) } else { sum }
        });
        places.collect()
    }

    fn geometry() -> impl Strategy<Value = Geometry> {
        let sizes = (1..50usize, 1..50usize, 1..20usize, 1..20usize);
        (sizes, (1..4usize, 1..4usize), (0..3usize, 0..3usize), (0..3usize, 0..3usize)).prop_filter_map(
            "sizes that ours are for",
            |((inputs, outputs, height, width), stride, before, after)| {
                let out = |size: usize, before: usize, after: usize, stride: usize| {
                    Some((size + before + after).checked_sub(KERNEL)? / stride + 1)
                };
                let out_height = out(height, before.0, after.0, stride.0)?;
                let out_width = out(width, before.1, after.1, stride.1)?;
                let g = Geometry { inputs, outputs, height, width, out_height, out_width, stride, before };
                g.is_ours().then_some(g)
            },
        )
    }

    /// Each way, with each instruction set that there is, gives what a convolution is.
    fn check(g: &Geometry, seed: u64, residual: bool, relu: bool) {
        let mut numbers = numbers(seed);
        let mut some = |n: usize| numbers.by_ref().take(n).collect::<Vec<f32>>();
        let (input, added, bias) = (some(g.input_len()), some(g.output_len()), some(g.outputs));
        let weights = some(g.outputs * g.inputs * KERNEL * KERNEL);
        let filters = Filters { weights: &weights, inputs: g.inputs, bias: &bias };
        let residual = residual.then_some(added.as_slice());
        let expected = defined(g, filters, &Maps { input: &input, residual, output: &mut [] }, relu);
        for kernels in Kernels::available() {
            let mut ways = vec![Method::Direct(Direct::new(kernels, g, filters))];
            if g.stride == (1, 1) {
                ways.push(Method::WinogradTwo(Winograd::new::<Two>(kernels, g, filters)));
                ways.push(Method::WinogradFour(Winograd::new::<Four>(kernels, g, filters)));
            }
            for way in ways {
                // What was there must not matter.
                let mut output = vec![f32::NAN; g.output_len()];
                way.run(g, relu, Maps { input: &input, residual, output: &mut output });
                // Rounding grows with the number of products.
                let tolerance = 3e-6 * (KERNEL * KERNEL * g.inputs) as f64;
                for (found, expected) in output.iter().zip(&expected) {
                    let off = (f64::from(*found) - expected).abs();
                    assert!(off < tolerance, "{g:?}, {} by {}: off by {off}", kernels.name, way.name());
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn all_ways_give_what_a_convolution_is(
            g in geometry(), seed in any::<u64>(), residual in any::<bool>(), relu in any::<bool>(),
        ) {
            check(&g, seed, residual, relu);
        }
    }

    /// Every line of the kernel meets the end of the map, which is too short to be read in steps.
    #[test]
    fn a_map_of_one_line_below_its_padding() {
        let (height, width, out_height, out_width) = (1, 3, 3, 1);
        let (stride, before) = ((1, 1), (2, 0));
        for inputs in 1..8 {
            let g = Geometry { inputs, outputs: 5, height, width, out_height, out_width, stride, before };
            check(&g, 7, false, false);
        }
    }

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
