//! Which algorithm does a convolution: Winograd's with one tile or the other, or the direct one.

use std::cell::RefCell;

use super::direct::Direct;
use super::geometry::{Filters, Geometry, KERNEL, Maps};
use super::kernels::{Kernels, STEP};
use super::memory::Scratch;
use super::winograd::{Tile2x2, Tile4x4, Winograd};

/// From how many tiles on [`Winograd`] pays: the larger a tile, the more weights it reads.
const MIN_TILES: usize = 12;

/// The most transformed weights that pay: 2 MiB of them; more would wait for the memory, and take much of it.
const MAX_WEIGHTS: usize = 1 << 19;

/// The algorithm that suits a convolution, before anything is prepared.
#[derive(Clone, Copy)]
enum Choice {
    Winograd4x4,
    Winograd2x2,
    Direct,
}

impl Choice {
    /// The best, and the most floats that its weights take.
    fn best(kernels: &Kernels, geometry: &Geometry) -> (Choice, usize) {
        let tiles = |side| geometry.out_height.div_ceil(side) * geometry.out_width.div_ceil(side);
        let outputs = geometry.outputs.next_multiple_of(kernels.lanes);
        let weights = |of_each: usize| of_each * geometry.inputs.next_multiple_of(STEP) * outputs;
        for (way, side) in [(Choice::Winograd4x4, 4), (Choice::Winograd2x2, 2)] {
            let weights = weights((side + KERNEL - 1_usize).pow(2));
            if geometry.stride == (1, 1) && tiles(side) >= MIN_TILES && weights <= MAX_WEIGHTS {
                return (way, weights);
            }
        }
        (Choice::Direct, weights(KERNEL * KERNEL))
    }
}

/// A convolution made ready, the way that is best for its sizes.
pub(super) enum Algorithm {
    Winograd4x4(Winograd<6, 4>),
    Winograd2x2(Winograd<4, 2>),
    Direct(Direct),
}

impl Algorithm {
    /// The most floats that its weights take.
    pub(super) fn weights(kernels: &'static Kernels, geometry: &Geometry) -> usize {
        Choice::best(kernels, geometry).1
    }

    /// Prepares the way that is best for the sizes.
    pub(super) fn new(kernels: &'static Kernels, geometry: &Geometry, filters: Filters<'_>) -> Self {
        match Choice::best(kernels, geometry).0 {
            Choice::Winograd4x4 => {
                Algorithm::Winograd4x4(Winograd::new::<Tile4x4>(kernels, geometry, filters))
            }
            Choice::Winograd2x2 => {
                Algorithm::Winograd2x2(Winograd::new::<Tile2x2>(kernels, geometry, filters))
            }
            Choice::Direct => Algorithm::Direct(Direct::new(kernels, geometry, filters)),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Algorithm::Winograd4x4(_) => "winograd, 4x4",
            Algorithm::Winograd2x2(_) => "winograd, 2x2",
            Algorithm::Direct(_) => "direct",
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
            Algorithm::Winograd4x4(algorithm) => algorithm.run(geometry, relu, maps, scratch),
            Algorithm::Winograd2x2(algorithm) => algorithm.run(geometry, relu, maps, scratch),
            Algorithm::Direct(algorithm) => algorithm.run(geometry, relu, maps, scratch),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use super::super::dispatch::available;

    /// Numbers from -1 to 1.
    fn numbers(seed: u64) -> impl Iterator<Item = f32> {
        let mut rng = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(move || 2.0 * rng.f32() - 1.0)
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
        for kernels in available() {
            let mut ways = vec![Algorithm::Direct(Direct::new(kernels, g, filters))];
            if g.stride == (1, 1) {
                ways.push(Algorithm::Winograd2x2(Winograd::new::<Tile2x2>(kernels, g, filters)));
                ways.push(Algorithm::Winograd4x4(Winograd::new::<Tile4x4>(kernels, g, filters)));
            }
            for way in ways {
                // What was there must not matter.
                let mut output = vec![f32::NAN; g.output_len()];
                way.run(g, relu, Maps { input: &input, residual, output: &mut output });
                // Rounding grows with the number of products.
                let tolerance = 3e-6 * (KERNEL * KERNEL * g.inputs) as f64;
                for (found, expected) in output.iter().zip(&expected) {
                    let off = (f64::from(*found) - expected).abs();
                    assert!(off < tolerance, "{g:?}, {} by {}: off by {off}", kernels.set, way.name());
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
}
