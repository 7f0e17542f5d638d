//! 3x3 convolutions at stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", CVPR 2016, sections 4.1 to 4.3): a tile of 4x4 outputs is made of 6x6
//! inputs by 36 products where the definition has 144, one of 2x2 outputs of 4x4 inputs by 16 where it has 36.

use super::gemm::Weights;
use super::geometry::{Filters, Geometry, KERNEL, Maps, Padded};
use super::kernels::{Kernels, Places, STEP, TransformCall, Transforms};
use super::memory::{Aligned, Scratch};
use super::simd::Simd;

/// Values between the transforms of the tiles taken at a time, for each channel: few enough to stay in the
/// processor's cache. A multiple of both tiles' values.
const TOGETHER: usize = 432;

/// One-dimensional minimal filtering: `OUT` outputs of a filter of three from `SIDE` inputs.
pub(super) trait Minimal<const SIDE: usize, const OUT: usize> {
    /// The paper's G.
    const G: [[f64; KERNEL]; SIDE];

    /// The tile's transforms among the kernels.
    fn transforms(kernels: &'static Kernels) -> &'static Transforms<SIDE, OUT>;

    /// The paper's B' times `d`.
    ///
    /// # Safety
    /// The processor has `S`.
    unsafe fn forward<S: Simd>(d: [S::Vector; SIDE]) -> [S::Vector; SIDE];

    /// The paper's A' times `m`.
    ///
    /// # Safety
    /// The processor has `S`.
    unsafe fn back<S: Simd>(m: [S::Vector; SIDE]) -> [S::Vector; OUT];
}

/// F(2, 3).
pub(super) struct Tile2x2;

impl Minimal<4, 2> for Tile2x2 {
    const G: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

    fn transforms(kernels: &'static Kernels) -> &'static Transforms<4, 2> {
        &kernels.tile2x2
    }

    #[inline(always)]
    unsafe fn forward<S: Simd>([a, b, c, d]: [S::Vector; 4]) -> [S::Vector; 4] {
        // SAFETY: the caller's.
        unsafe { [S::sub(a, c), S::add(b, c), S::sub(c, b), S::sub(b, d)] }
    }

    #[inline(always)]
    unsafe fn back<S: Simd>([a, b, c, d]: [S::Vector; 4]) -> [S::Vector; 2] {
        // SAFETY: the caller's.
        unsafe { [S::add(S::add(a, b), c), S::sub(S::sub(b, c), d)] }
    }
}

/// F(4, 3).
pub(super) struct Tile4x4;

impl Minimal<6, 4> for Tile4x4 {
    const G: [[f64; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];

    fn transforms(kernels: &'static Kernels) -> &'static Transforms<6, 4> {
        &kernels.tile4x4
    }

    #[inline(always)]
    unsafe fn forward<S: Simd>([a, b, c, d, e, f]: [S::Vector; 6]) -> [S::Vector; 6] {
        // SAFETY: the caller's.
        unsafe {
            let (p, q) = (S::mul_add(e, c, -4.0), S::mul_add(d, b, -4.0));
            let (r, s) = (S::sub(e, c), S::sub(d, b));
            [
                S::mul_add(S::mul_add(e, c, -5.0), a, 4.0),
                S::add(p, q),
                S::sub(p, q),
                S::mul_add(r, s, 2.0),
                S::mul_add(r, s, -2.0),
                S::mul_add(S::mul_add(f, d, -5.0), b, 4.0),
            ]
        }
    }

    #[inline(always)]
    unsafe fn back<S: Simd>([a, b, c, d, e, f]: [S::Vector; 6]) -> [S::Vector; 4] {
        // SAFETY: the caller's.
        unsafe {
            let (p, q, r, s) = (S::add(b, c), S::sub(b, c), S::add(d, e), S::sub(d, e));
            [
                S::add(S::add(a, p), r),
                S::mul_add(q, s, 2.0),
                S::mul_add(p, r, 4.0),
                S::add(S::mul_add(q, s, 8.0), f),
            ]
        }
    }
}

/// A 3x3 convolution at stride 1, made ready.
pub(super) struct Winograd<const SIDE: usize, const OUT: usize> {
    transforms: &'static Transforms<SIDE, OUT>,
    /// One matrix, inputs by outputs, for each value of a transformed tile.
    matrices: Vec<Weights>,
    /// Of the outputs, filled up to whole vectors.
    bias: Aligned,
    zeros: Aligned,
}

impl<const SIDE: usize, const OUT: usize> Winograd<SIDE, OUT> {
    /// Transforms and lays out the weights.
    pub(super) fn new<M: Minimal<SIDE, OUT>>(
        kernels: &'static Kernels,
        geometry: &Geometry,
        filters: Filters<'_>,
    ) -> Self {
        // G g G' of the paper, in double precision.
        let transformed = |output: usize, input: usize, lines: [f64; KERNEL], columns: [f64; KERNEL]| {
            let mut sum = 0.0;
            for (y, a) in lines.iter().enumerate() {
                for (x, b) in columns.iter().enumerate() {
                    sum += a * b * f64::from(filters.weight(output, input, y, x));
                }
            }
            sum as f32
        };
        let matrix = |point: usize| {
            let (lines, columns) = (M::G[point / SIDE], M::G[point % SIDE]);
            Weights::new(kernels, geometry.outputs, 1, geometry.inputs, |output, _, input| {
                transformed(output, input, lines, columns)
            })
        };
        let matrices = (0..SIDE * SIDE).map(matrix).collect::<Vec<_>>();
        let bias = matrices[0].filled(filters.bias);
        let zeros = Aligned::zeros(matrices[0].filled_columns().max(geometry.inputs));
        Winograd { transforms: M::transforms(kernels), matrices, bias, zeros }
    }

    /// The convolution of `maps.input`, with `maps.residual` added, not below 0 if `relu`.
    pub(super) fn run(&self, geometry: &Geometry, relu: bool, maps: Maps<'_>, scratch: &mut Scratch) {
        let wide = geometry.out_width.div_ceil(OUT);
        let tiles = geometry.out_height.div_ceil(OUT) * wide;
        let length = self.matrices[0].part_len();
        let columns = self.matrices[0].filled_columns();
        scratch.first.grow(TOGETHER * length);
        scratch.second.grow(TOGETHER * columns);
        let (gathered, products) = (scratch.first.floats_mut(), scratch.second.floats_mut());
        let input = Padded { geometry, input: maps.input, zeros: self.zeros.floats() };
        let residual = maps.residual.map(<[f32]>::as_ptr);
        let output = maps.output.as_mut_ptr();
        let call = TransformCall {
            inputs: geometry.inputs,
            filled_inputs: length,
            outputs: geometry.outputs,
            bias: self.bias.floats().as_ptr(),
            relu,
        };
        let together = TOGETHER / (SIDE * SIDE);
        for first in (0..tiles).step_by(together) {
            let count = together.min(tiles - first);
            let corner = |i: usize| ((first + i) / wide * OUT, (first + i) % wide * OUT);
            for i in 0..count {
                let (y, x) = corner(i);
                let from: [[*const f32; SIDE]; SIDE] =
                    std::array::from_fn(|dy| std::array::from_fn(|dx| input.pixel(y + dy, x + dx)));
                let to = gathered[i * length..].as_mut_ptr();
                // SAFETY: each pixel has `inputs` floats; value p of tile i is at (p * count + i) * length in
                // `gathered`, which has room for TOGETHER of them.
                unsafe { (self.transforms.gather)(&call, &from, to, count * length) };
            }
            for (point, matrix) in self.matrices.iter().enumerate() {
                let base = &gathered[point * count * length..][..count * length];
                scratch.starts.clear();
                scratch.starts.extend(base.chunks_exact(length).map(<[f32]>::as_ptr));
                let out = &mut products[point * count * columns..][..count * columns];
                // SAFETY: each row has `length` floats.
                unsafe { matrix.multiply(&scratch.starts, self.zeros.floats(), false, columns, out) };
            }
            for i in 0..count {
                let (y, x) = corner(i);
                let place = |y: usize, x: usize| {
                    let inside = y < geometry.out_height && x < geometry.out_width;
                    inside.then(|| (y * geometry.out_width + x) * geometry.outputs)
                };
                let places: Places<OUT> =
                    std::array::from_fn(|dy| std::array::from_fn(|dx| place(y + dy, x + dx)));
                let from = products[i * columns..].as_ptr();
                // SAFETY: value p of tile i is at (p * count + i) * columns in `products`, and each place is
                // that of `outputs` floats in both maps.
                unsafe { (self.transforms.scatter)(&call, from, count * columns, &places, residual, output) };
            }
        }
    }
}

/// B' d B of the paper for the pixels `from`, channel by channel, to `SIDE`² places `apart` from `to` on.
///
/// # Safety
/// The processor has `S`. Each pixel has `call.inputs` floats, and each place room for `call.filled_inputs`,
/// which is that filled up to a multiple of [`STEP`].
#[expect(clippy::needless_range_loop, reason = "an index is into several arrays, or a place in memory too")]
#[inline(always)]
pub(super) unsafe fn gather<S: Simd, M: Minimal<SIDE, OUT>, const SIDE: usize, const OUT: usize>(
    call: &TransformCall,
    from: &[[*const f32; SIDE]; SIDE],
    to: *mut f32,
    apart: usize,
) {
    // So no vector begins behind the last input.
    const { assert!(S::LANES.is_multiple_of(STEP)) };
    // SAFETY: the caller vouches for everything that is read and written.
    unsafe {
        for channel in (0..call.filled_inputs).step_by(S::LANES) {
            let (left, room) = (call.inputs - channel, call.filled_inputs - channel);
            let mut half = [[S::zero(); SIDE]; SIDE];
            for x in 0..SIDE {
                let mut d = [S::zero(); SIDE];
                for y in 0..SIDE {
                    let p = from[y][x].add(channel);
                    d[y] = if left >= S::LANES { S::load(p) } else { S::load_part(p, left) };
                }
                let column = M::forward::<S>(d);
                for y in 0..SIDE {
                    half[y][x] = column[y];
                }
            }
            for y in 0..SIDE {
                let row = M::forward::<S>(half[y]);
                for x in 0..SIDE {
                    let p = to.add((y * SIDE + x) * apart + channel);
                    if room >= S::LANES { S::store(p, row[x]) } else { S::store_part(p, row[x], room) }
                }
            }
        }
    }
}

/// A' m A of the paper for the `SIDE`² places `apart` from `from` on, with the bias and the residual, to the
/// pixels at `places` of `output`, as far as they are in it.
///
/// # Safety
/// The processor has `S`. Each place of `from` and the bias hold `call.outputs` floats filled up to whole
/// vectors, and there are `call.outputs` at each of `places` in `residual` and `output`.
#[expect(clippy::needless_range_loop, reason = "an index is into several arrays, or a place in memory too")]
#[inline(always)]
pub(super) unsafe fn scatter<S: Simd, M: Minimal<SIDE, OUT>, const SIDE: usize, const OUT: usize>(
    call: &TransformCall,
    from: *const f32,
    apart: usize,
    places: &Places<OUT>,
    residual: Option<*const f32>,
    output: *mut f32,
) {
    // SAFETY: the caller vouches for everything that is read and written.
    unsafe {
        for channel in (0..call.outputs).step_by(S::LANES) {
            let left = call.outputs - channel;
            let mut half = [[S::zero(); SIDE]; OUT];
            for x in 0..SIDE {
                let mut m = [S::zero(); SIDE];
                for y in 0..SIDE {
                    m[y] = S::load(from.add((y * SIDE + x) * apart + channel));
                }
                let column = M::back::<S>(m);
                for y in 0..OUT {
                    half[y][x] = column[y];
                }
            }
            let bias = S::load(call.bias.add(channel));
            for y in 0..OUT {
                let row = M::back::<S>(half[y]);
                for x in 0..OUT {
                    let Some(place) = places[y][x] else { continue };
                    let mut value = S::add(row[x], bias);
                    if let Some(residual) = residual {
                        let p = residual.add(place + channel);
                        let other = if left >= S::LANES { S::load(p) } else { S::load_part(p, left) };
                        value = S::add(value, other);
                    }
                    if call.relu {
                        value = S::max(value, S::zero());
                    }
                    let p = output.add(place + channel);
                    if left >= S::LANES { S::store(p, value) } else { S::store_part(p, value, left) }
                }
            }
        }
    }
}
