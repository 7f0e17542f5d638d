//! 3x3 convolutions at stride 1 by Winograd's minimal filtering F(2x2, 3x3): a tile of 2x2 outputs is made of
//! 4x4 inputs by 16 products where the definition has 36 (Lavin and Gray, "Fast Algorithms for Convolutional
//! Neural Networks", CVPR 2016, section 4.1).

use super::kernels::Kernels;
use super::lanes::Lanes;
use super::product::{Aligned, STEP, Weights, even_parts};
use super::{Geometry, Maps, Padded, Scratch};

/// Values of a transformed tile.
const POINTS: usize = 16;

/// Tiles taken at a time, so that what lies between the transforms stays in the processor's cache.
const TILES: usize = 24;

/// A 3x3 convolution at stride 1, made ready.
pub(super) struct Winograd {
    kernels: &'static Kernels,
    /// One matrix, inputs by outputs, for each point of a tile.
    points: Vec<Weights>,
    /// Of the outputs, filled up to whole vectors.
    bias: Aligned,
    zeros: Aligned,
}

impl Winograd {
    /// `weight` by output, input, line and column.
    pub(super) fn new(
        kernels: &'static Kernels,
        geometry: &Geometry,
        weight: impl Fn(usize, usize, usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        // G g G' of the paper, in double precision.
        let transformed = |output: usize, input: usize, point: usize| -> f32 {
            const G: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
            let (lines, columns) = (G[point / 4], G[point % 4]);
            let mut sum = 0.0;
            for (y, a) in lines.iter().enumerate() {
                for (x, b) in columns.iter().enumerate() {
                    sum += a * b * f64::from(weight(output, input, y, x));
                }
            }
            sum as f32
        };
        let points = (0..POINTS)
            .map(|point| {
                Weights::new(kernels, geometry.outputs, 1, geometry.inputs, |output, _, input| {
                    transformed(output, input, point)
                })
            })
            .collect::<Vec<_>>();
        let filled = points[0].filled_columns();
        let mut filled_bias = Aligned::zeros(filled);
        filled_bias.floats_mut()[..bias.len()].copy_from_slice(bias);
        let zeros = Aligned::zeros(filled.max(geometry.inputs + STEP));
        Winograd { kernels, points, bias: filled_bias, zeros }
    }

    /// The convolution of `maps.input`, with `maps.residual` added, not below 0 if `relu`.
    pub(super) fn run(&self, geometry: &Geometry, relu: bool, maps: Maps<'_>, scratch: &mut Scratch) {
        let (high, wide) = (geometry.out_height.div_ceil(2), geometry.out_width.div_ceil(2));
        let length = self.points[0].part_len();
        let columns = self.points[0].filled_columns();
        let blocks = even_parts(high * wide, TILES);
        scratch.first.grow(POINTS * TILES * length);
        scratch.second.grow(POINTS * TILES * columns);
        let input = Padded { geometry, input: maps.input, zeros: self.zeros.floats() };
        let residual = maps.residual.map(<[f32]>::as_ptr);
        let output = maps.output.as_mut_ptr();
        let call = Transform {
            inputs: geometry.inputs,
            filled_inputs: length,
            outputs: geometry.outputs,
            bias: self.bias.floats().as_ptr(),
            relu,
        };
        for (first, count) in blocks {
            let (gathered, products) = (scratch.first.floats_mut(), scratch.second.floats_mut());
            for i in 0..count {
                let (y, x) = ((first + i) / wide * 2, (first + i) % wide * 2);
                let from: [*const f32; POINTS] = std::array::from_fn(|p| input.pixel(y + p / 4, x + p % 4));
                let to = gathered[i * length..].as_mut_ptr();
                // SAFETY: each pixel has `inputs` floats; point p of tile i is at (p * count + i) * length in
                // `gathered`, which has room for POINTS * TILES of them.
                unsafe { (self.kernels.gather)(&call, &from, to, count * length) };
            }
            for (point, weights) in self.points.iter().enumerate() {
                let base = &gathered[point * count * length..][..count * length];
                scratch.starts.clear();
                scratch.starts.extend((0..count).map(|i| base[i * length..].as_ptr()));
                let out = &mut products[point * count * columns..][..count * columns];
                // SAFETY: each row has `length` floats.
                unsafe { weights.multiply(&scratch.starts, self.zeros.floats(), false, columns, out) };
            }
            for i in 0..count {
                let (y, x) = ((first + i) / wide * 2, (first + i) % wide * 2);
                let place = |p: usize| {
                    let (y, x) = (y + p / 2, x + p % 2);
                    (y < geometry.out_height && x < geometry.out_width)
                        .then(|| (y * geometry.out_width + x) * geometry.outputs)
                };
                let places: [Option<usize>; 4] = std::array::from_fn(place);
                let from = products[i * columns..].as_ptr();
                // SAFETY: point p of tile i is at (p * count + i) * columns in `products`, and each place is
                // that of `outputs` floats in both maps.
                unsafe { (self.kernels.scatter)(&call, from, count * columns, &places, residual, output) };
            }
        }
    }
}

/// What the transforms of one convolution have in common.
pub(super) struct Transform {
    inputs: usize,
    filled_inputs: usize,
    outputs: usize,
    bias: *const f32,
    relu: bool,
}

/// B' d B of the paper for the 4x4 pixels `from`, channel by channel, to 16 places `apart` from `to` on.
///
/// # Safety
/// The processor has `L`. Each pixel has `call.inputs` floats, and each place room for
/// `call.filled_inputs`.
#[inline(always)]
pub(super) unsafe fn gather<L: Lanes>(
    call: &Transform,
    from: &[*const f32; POINTS],
    to: *mut f32,
    apart: usize,
) {
    // SAFETY: the caller vouches for everything that is read and written.
    unsafe {
        for channel in (0..call.filled_inputs).step_by(L::LANES) {
            let (left, room) = (call.inputs.saturating_sub(channel), call.filled_inputs - channel);
            let mut d = [L::zero(); POINTS];
            for (value, pixel) in d.iter_mut().zip(from) {
                let p = pixel.add(channel);
                *value = if left >= L::LANES { L::load(p) } else { L::load_part(p, left) };
            }
            // One axis after the other.
            for i in 0..4 {
                let [a, b, c, e] = [d[i], d[4 + i], d[8 + i], d[12 + i]];
                (d[i], d[4 + i], d[8 + i], d[12 + i]) =
                    (L::sub(a, c), L::add(b, c), L::sub(c, b), L::sub(b, e));
            }
            for i in 0..4 {
                let [a, b, c, e] = [d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]];
                let row = [L::sub(a, c), L::add(b, c), L::sub(c, b), L::sub(b, e)];
                for (j, value) in row.into_iter().enumerate() {
                    let p = to.add((4 * i + j) * apart + channel);
                    if room >= L::LANES { L::store(p, value) } else { L::store_part(p, value, room) }
                }
            }
        }
    }
}

/// A' m A of the paper for the 16 places `apart` from `from` on, with the bias and the residual, to the four
/// pixels at `places` of `output`, as far as they are in it.
///
/// # Safety
/// The processor has `L`. Each place of `from` and the bias hold `call.outputs` floats filled up to whole
/// vectors, and there are `call.outputs` at each of `places` in `residual` and `output`.
#[inline(always)]
pub(super) unsafe fn scatter<L: Lanes>(
    call: &Transform,
    from: *const f32,
    apart: usize,
    places: &[Option<usize>; 4],
    residual: Option<*const f32>,
    output: *mut f32,
) {
    // SAFETY: the caller vouches for everything that is read and written.
    unsafe {
        for channel in (0..call.outputs).step_by(L::LANES) {
            let left = call.outputs - channel;
            let mut m = [L::zero(); POINTS];
            for (point, value) in m.iter_mut().enumerate() {
                *value = L::load(from.add(point * apart + channel));
            }
            let bias = L::load(call.bias.add(channel));
            let mut half = [L::zero(); 8];
            for i in 0..4 {
                let [a, b, c, e] = [m[i], m[4 + i], m[8 + i], m[12 + i]];
                half[i] = L::add(L::add(a, b), c);
                half[4 + i] = L::sub(L::sub(b, c), e);
            }
            for y in 0..2 {
                let [a, b, c, e] = [half[4 * y], half[4 * y + 1], half[4 * y + 2], half[4 * y + 3]];
                let two = [L::add(L::add(a, b), L::add(c, bias)), L::add(L::sub(b, c), L::sub(bias, e))];
                for (x, mut value) in two.into_iter().enumerate() {
                    let Some(place) = places[2 * y + x] else { continue };
                    if let Some(residual) = residual {
                        let p = residual.add(place + channel);
                        let other = if left >= L::LANES { L::load(p) } else { L::load_part(p, left) };
                        value = L::add(value, other);
                    }
                    if call.relu {
                        value = L::max(value, L::zero());
                    }
                    let p = output.add(place + channel);
                    if left >= L::LANES { L::store(p, value) } else { L::store_part(p, value, left) }
                }
            }
        }
    }
}
