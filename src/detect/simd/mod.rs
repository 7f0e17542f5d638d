//! The scan in vectors of 16-bit lanes, one lane a window.
//!
//! A row of windows passes the contrast gate and the first stage in blocks of adjacent windows. The
//! windows that are left go on in their block while it is well filled; then they are moved,
//! transposed, into blocks of survivors from anywhere in the level.
//!
//! Integral images wrap at 16 bits: a feature's value is exact as long as it fits itself, and the
//! few features that do not fit are put together from rectangles that do. Votes are summed in fixed
//! point; where the sum comes near the threshold the stage is done again as OpenCV does it.
//!
//! This module and what is below it is the crate's only SIMD code; `docs/detector.md` has the gain.

mod isa;
mod table;

use std::sync::Arc;

use super::cascade::Cascade;
use super::pyramid::{Level, Reducer};
use crate::picture::GrayView;
use isa::Isa;
use table::{Exact, Form, LaneStage, Layout, Next, Table};

/// An instruction set that the scan can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// Plain code, for every processor and every cascade.
    Portable,
    /// x86-64 as every such processor has it: 8 windows at a time.
    Sse2,
    /// x86-64-v2, with SSE4.2: 8 windows at a time.
    Sse42,
    /// x86-64-v3, with AVX2: 16 windows at a time.
    Avx2,
    /// aarch64: 8 windows at a time.
    Neon,
}

impl InstructionSet {
    /// All of them.
    pub const ALL: [InstructionSet; 5] = [
        InstructionSet::Portable,
        InstructionSet::Sse2,
        InstructionSet::Sse42,
        InstructionSet::Avx2,
        InstructionSet::Neon,
    ];

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            InstructionSet::Portable => true,
            InstructionSet::Sse2 => cfg!(target_arch = "x86_64"),
            InstructionSet::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Sse42 => {
                std::arch::is_x86_feature_detected!("sse4.2") && std::arch::is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("bmi1")
                    && std::arch::is_x86_feature_detected!("bmi2")
                    && std::arch::is_x86_feature_detected!("popcnt")
            }
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Sse42 | InstructionSet::Avx2 => false,
        }
    }

    /// The fastest that this processor has.
    pub fn best() -> Self {
        use InstructionSet::{Avx2, Neon, Portable, Sse2, Sse42};
        [Avx2, Sse42, Sse2, Neon].into_iter().find(|s| s.is_available()).unwrap_or(Portable)
    }

    /// Its name as the command line and the tests spell it.
    pub fn name(self) -> &'static str {
        match self {
            InstructionSet::Portable => "portable",
            InstructionSet::Sse2 => "sse2",
            InstructionSet::Sse42 => "sse4.2",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Neon => "neon",
        }
    }
}

/// Whether lanes can scan with the cascade; the portable scan can with any.
pub(super) fn suits(cascade: &Cascade) -> bool {
    table::suits(cascade)
}

/// Room for reading past the end of a row or plane, in values.
const SLACK: usize = 64;

/// Rows of the level's integral image one after the other.
struct Plain {
    stride: usize,
    tilted: usize,
}

impl Layout for Plain {
    fn at(&self, x: u32, y: u32, tilted: bool) -> u32 {
        y * self.stride as u32 + x + if tilted { self.tilted as u32 } else { 0 }
    }
}

/// Each row split into its even and its odd columns, for windows two pixels apart.
struct Split {
    stride: usize,
    tilted: usize,
}

impl Layout for Split {
    fn at(&self, x: u32, y: u32, tilted: bool) -> u32 {
        let half = if x % 2 == 1 { self.stride as u32 / 2 } else { 0 };
        y * self.stride as u32 + x / 2 + half + if tilted { self.tilted as u32 } else { 0 }
    }
}

/// Survivors: each corner's values of all lanes side by side.
struct Packed {
    /// Columns of a window's integral image.
    columns: usize,
    /// Windows in a vector.
    lanes: usize,
    tilted: usize,
}

impl Layout for Packed {
    fn at(&self, x: u32, y: u32, tilted: bool) -> u32 {
        let slot = y as usize * self.columns + x as usize + if tilted { self.tilted } else { 0 };
        (slot * self.lanes) as u32
    }
}

/// A cascade prepared for lanes: shared by all who scan.
pub(super) struct LanePlan {
    cascade: Arc<Cascade>,
    set: InstructionSet,
    stride: usize,
    /// Where the tilted plane starts behind the upright one; 0 without tilted features.
    tilted: usize,
    plain: Table,
    split: Table,
    packed: Table,
    exact_plain: Exact,
    exact_split: Exact,
    /// Smallest `area x sqsum - sum^2` that passes the contrast gate.
    least_nf: u64,
}

impl LanePlan {
    /// The plan for a cascade that [`suits`].
    pub fn new(cascade: Arc<Cascade>, set: InstructionSet) -> Self {
        let (w, h) = cascade.window();
        let lanes = if set == InstructionSet::Avx2 { 16 } else { 8 };
        let (columns, rows) = (w as usize + 1, h as usize + 1);
        let packed = Packed { columns, lanes, tilted: columns * rows };
        LanePlan {
            packed: Table::new(&cascade, &packed),
            least_nf: least_nf(f64::from((w - 2) * (h - 2))),
            stride: 0,
            tilted: 0,
            plain: Table::default(),
            split: Table::default(),
            exact_plain: Exact::default(),
            exact_split: Exact::default(),
            cascade,
            set,
        }
    }

    /// Makes room for levels of up to `width` x `height` pixels.
    pub fn lay_out(&mut self, width: usize, height: usize) {
        let stride = ((width + 1).next_multiple_of(32) + 32).max(self.stride);
        let has_tilted = self.cascade.features().iter().any(|f| f.tilted);
        let tilted = if has_tilted { (height + 1) * stride + SLACK } else { 0 };
        if stride == self.stride && tilted <= self.tilted {
            return;
        }
        let tilted = tilted.max(self.tilted);
        (self.stride, self.tilted) = (stride, tilted);
        let (plain, split) = (Plain { stride, tilted }, Split { stride, tilted });
        self.plain = Table::new(&self.cascade, &plain);
        self.split = Table::new(&self.cascade, &split);
        self.exact_plain = Exact::new(&self.cascade, &plain);
        self.exact_split = Exact::new(&self.cascade, &split);
    }
}

/// The gate as OpenCV computes it is monotonic in nf; this finds where it opens.
fn least_nf(area: f64) -> u64 {
    let open = |nf: u64| area * f64::from((1.0 / (nf as f64).sqrt()) as f32) < 0.1;
    let (mut shut, mut opens) = (0u64, 1u64 << 50);
    while opens - shut > 1 {
        let middle = (shut + opens) / 2;
        if open(middle) { opens = middle } else { shut = middle }
    }
    opens
}

/// A window on its way through the cascade.
#[derive(Clone, Copy)]
struct Survivor {
    /// Index in its row of windows.
    column: u32,
    /// Top row in the level.
    row: u32,
    norm: f32,
}

/// Working memory of one scanning thread, kept between frames.
#[derive(Default)]
pub(super) struct Workspace {
    reducer: Reducer,
    reduced: Vec<u8>,
    plane: Vec<u16>,
    line: Vec<u16>,
    falling: Vec<u16>,
    rising: Vec<u16>,
    column_sums: Vec<u32>,
    column_squares: Vec<u32>,
    sums: Vec<u32>,
    squares: Vec<u32>,
    nf: Vec<u32>,
    norms: Vec<f32>,
    gate: Vec<u64>,
    passed: Vec<u64>,
    queues: Vec<Vec<Survivor>>,
    packed: Vec<u16>,
    /// Hits as `row << 32 | column`, sorted when the level is done.
    hits: Vec<u64>,
}

impl Workspace {
    /// Scans one level of `picture` and reports the hits' positions `(x, y)` in the level, in order.
    pub fn scan(
        &mut self,
        plan: &LanePlan,
        picture: GrayView<'_>,
        level: &Level,
        mut hit: impl FnMut(usize, usize),
    ) {
        self.hits.clear();
        scan_level(plan, self, picture, level);
        self.hits.sort_unstable();
        for h in &self.hits {
            hit((h & 0xffff_ffff) as usize * level.step, (h >> 32) as usize);
        }
    }
}

/// Calls the scan compiled for the plan's instruction set.
fn scan_level(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level) {
    assert!(plan.set.is_available(), "{} is not available here", plan.set.name());
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
        fn avx2(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level) {
            level_in_lanes::<isa::x86::Avx2>(plan, ws, picture, level);
        }
        #[target_feature(enable = "sse4.2,popcnt")]
        fn sse42(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level) {
            level_in_lanes::<isa::x86::Sse2>(plan, ws, picture, level);
        }
        match plan.set {
            // SAFETY: `is_available` has just said that the processor has these features.
            InstructionSet::Avx2 => unsafe { avx2(plan, ws, picture, level) },
            // SAFETY: as above.
            InstructionSet::Sse42 => unsafe { sse42(plan, ws, picture, level) },
            _ => level_in_lanes::<isa::x86::Sse2>(plan, ws, picture, level),
        }
    }
    #[cfg(target_arch = "aarch64")]
    level_in_lanes::<isa::arm::Neon>(plan, ws, picture, level);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    unreachable!("only the portable scan is available");
}

#[inline(always)]
fn level_in_lanes<I: Isa>(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level) {
    let (ww, wh) = plan.cascade.window();
    let (ww, wh) = (ww as usize, wh as usize);
    ws.reducer.reduce(picture, level.width, level.height, &mut ws.reduced);
    let split = level.step == 2;
    fill_plane(plan, ws, level.width, level.height, split);

    let (table, exact) =
        if split { (&plan.split, &plan.exact_split) } else { (&plan.plain, &plan.exact_plain) };
    let windows = level.columns.div_ceil(level.step);
    let words = windows.div_ceil(64);
    let padded = words * 64 + SLACK;
    ws.norms.resize(padded.max(ws.norms.len()), 0.0);
    ws.nf.resize(padded.max(ws.nf.len()), 0);
    ws.gate.resize(words.max(ws.gate.len()), 0);
    ws.passed.resize(words.max(ws.passed.len()), 0);
    ws.queues.resize_with(plan.cascade.stages().len() + 1, Vec::new);
    ws.packed.resize(plan.packed_len(I::LANES), 0);

    ws.column_sums.clear();
    ws.column_sums.resize(level.width, 0);
    ws.column_squares.clear();
    ws.column_squares.resize(level.width, 0);
    for y in 1..wh - 1 {
        add_row(&mut ws.column_sums, &mut ws.column_squares, &ws.reduced[y * level.width..]);
    }
    for y in (0..level.rows).step_by(level.step) {
        if y > 0 {
            for y in y + 1 - level.step..=y {
                let (out, into) = (y * level.width, (y + wh - 2) * level.width);
                let (out, into) = (&ws.reduced[out..], &ws.reduced[into..]);
                move_rows(&mut ws.column_sums, &mut ws.column_squares, out, into);
            }
        }
        if !normalise(ws, plan, level, windows, ww, wh) {
            continue;
        }
        let place = y * plan.stride;
        // SAFETY: the plane holds `height + 1` rows of `stride` values and `SLACK` more, each
        // twice with tilted features; a window at `place + column` reaches `wh` rows down, at most
        // to row `height`, and a block of lanes at most `LANES` values beyond the window, all of
        // which `fill_plane` has made room for; `norms` is padded likewise.
        unsafe {
            first_stage::<I>(ws, &table.stages[0], table, exact, plan, place, windows);
            blocks::<I>(ws, table, exact, plan, place, y, windows);
        }
    }
    // SAFETY: as above; survivors are windows of this level.
    unsafe { survivors::<I>(ws, exact, plan, split, ww, wh) };
}

impl LanePlan {
    fn packed_len(&self, lanes: usize) -> usize {
        let (w, h) = self.cascade.window();
        let planes = if self.tilted > 0 { 2 } else { 1 };
        (w as usize + 1) * (h as usize + 1) * lanes * planes
    }
}

/// Writes the integral image, and the tilted one behind it if the plan has it, of `ws.reduced`.
#[inline(always)]
fn fill_plane(plan: &LanePlan, ws: &mut Workspace, width: usize, height: usize, split: bool) {
    let stride = plan.stride;
    assert!(width + 1 + 32 <= stride);
    let upright = (height + 1) * stride + SLACK;
    assert!(plan.tilted == 0 || upright <= plan.tilted);
    let needed = plan.tilted + upright + SLACK;
    if ws.plane.len() < needed {
        ws.plane.resize(needed, 0);
    }
    ws.line.clear();
    ws.line.resize(stride, 0);
    ws.plane[..stride].fill(0);
    for y in 0..height {
        let row = &ws.reduced[y * width..][..width];
        let mut sum = 0u16;
        for (value, &pixel) in ws.line[1..].iter_mut().zip(row) {
            sum = sum.wrapping_add(u16::from(pixel));
            *value = value.wrapping_add(sum);
        }
        put_line(&ws.line, &mut ws.plane[(y + 1) * stride..][..stride], split);
    }
    if plan.tilted == 0 {
        return;
    }
    // A cone is the cone one row up and its two edges, which are sums along diagonals.
    let tilted = plan.tilted;
    ws.line.fill(0);
    ws.plane[tilted..tilted + stride].fill(0);
    for diagonal in [&mut ws.falling, &mut ws.rising] {
        diagonal.clear();
        diagonal.resize(width + 2, 0);
    }
    for y in 0..height {
        let row = &ws.reduced[y * width..][..width];
        for (value, &rising) in ws.line.iter_mut().zip(&ws.rising[..=width]) {
            *value = value.wrapping_add(rising);
        }
        for x in (0..width).rev() {
            ws.falling[x + 1] = ws.falling[x].wrapping_add(u16::from(row[x]));
        }
        ws.falling[0] = 0;
        for (x, &pixel) in row.iter().enumerate() {
            ws.rising[x] = ws.rising[x + 1].wrapping_add(u16::from(pixel));
        }
        for (value, &falling) in ws.line.iter_mut().zip(&ws.falling[..=width]) {
            *value = value.wrapping_add(falling);
        }
        put_line(&ws.line, &mut ws.plane[tilted + (y + 1) * stride..][..stride], split);
    }
}

/// Stores one row, as it is or even columns before odd ones.
#[inline(always)]
fn put_line(line: &[u16], row: &mut [u16], split: bool) {
    if split {
        let (even, odd) = row.split_at_mut(row.len() / 2);
        for ((pair, even), odd) in line.chunks_exact(2).zip(even).zip(odd) {
            (*even, *odd) = (pair[0], pair[1]);
        }
    } else {
        row.copy_from_slice(line);
    }
}

#[inline(always)]
fn add_row(sums: &mut [u32], squares: &mut [u32], row: &[u8]) {
    for ((sum, square), &pixel) in sums.iter_mut().zip(squares).zip(row) {
        let p = u32::from(pixel);
        *sum += p;
        *square += p * p;
    }
}

#[inline(always)]
fn move_rows(sums: &mut [u32], squares: &mut [u32], out: &[u8], into: &[u8]) {
    for (((sum, square), &o), &i) in sums.iter_mut().zip(squares).zip(out).zip(into) {
        let (o, i) = (i32::from(o), i32::from(i));
        *sum = sum.wrapping_add_signed(i - o);
        *square = square.wrapping_add_signed(i * i - o * o);
    }
}

/// Computes the normalisers of a row of windows, times 2^-16, and the bits of those with enough
/// contrast; says whether there is any.
#[inline(always)]
fn normalise(
    ws: &mut Workspace,
    plan: &LanePlan,
    level: &Level,
    windows: usize,
    ww: usize,
    wh: usize,
) -> bool {
    ws.sums.clear();
    ws.squares.clear();
    let (mut sum, mut square) = (0u32, 0u32);
    ws.sums.push(0);
    ws.squares.push(0);
    for (&s, &q) in ws.column_sums.iter().zip(&ws.column_squares) {
        sum = sum.wrapping_add(s);
        square = square.wrapping_add(q);
        ws.sums.push(sum);
        ws.squares.push(square);
    }
    let area = ((ww - 2) * (wh - 2)) as u64;
    let step = level.step;
    let words = windows.div_ceil(64);
    ws.gate[..words].fill(0);
    // area^2 * 127.5^2 bounds nf: up to 513 pixels it fits into 32 bits and wrapping is harmless.
    if area <= 513 {
        let least = plan.least_nf as u32;
        let area = area as u32;
        let mut any = false;
        let (from, to) = (&ws.sums[1..], &ws.sums[ww - 1..]);
        let (qfrom, qto) = (&ws.squares[1..], &ws.squares[ww - 1..]);
        if step == 2 {
            let (from, qfrom) = (from.chunks(2), qfrom.chunks(2));
            let (to, qto) = (to.chunks(2), qto.chunks(2));
            for ((((nf, a), b), c), d) in ws.nf[..windows].iter_mut().zip(from).zip(to).zip(qfrom).zip(qto) {
                let (sum, square) = (b[0].wrapping_sub(a[0]), d[0].wrapping_sub(c[0]));
                *nf = area.wrapping_mul(square).wrapping_sub(sum.wrapping_mul(sum));
                any |= *nf >= least;
            }
        } else {
            for ((((nf, a), b), c), d) in ws.nf[..windows].iter_mut().zip(from).zip(to).zip(qfrom).zip(qto) {
                let (sum, square) = (b.wrapping_sub(*a), d.wrapping_sub(*c));
                *nf = area.wrapping_mul(square).wrapping_sub(sum.wrapping_mul(sum));
                any |= *nf >= least;
            }
        }
        if !any {
            return false;
        }
        ws.nf[windows..].fill(0);
        for (word, nf) in ws.nf.chunks(64).take(words).enumerate() {
            let mut bits = 0u64;
            for (i, &nf) in nf.iter().enumerate() {
                bits |= u64::from(nf >= least) << i;
            }
            ws.gate[word] = bits;
            if bits != 0 {
                for (norm, &nf) in ws.norms[word * 64..].iter_mut().zip(nf) {
                    *norm = (1.0 / f64::from(nf.max(1)).sqrt()) as f32 * (1.0 / 65536.0);
                }
            }
        }
        true
    } else {
        let mut any = 0;
        for i in 0..windows {
            let x = i * step;
            let sum = u64::from(ws.sums[x + ww - 1].wrapping_sub(ws.sums[x + 1]));
            let square = u64::from(ws.squares[x + ww - 1].wrapping_sub(ws.squares[x + 1]));
            let nf = (area * square).saturating_sub(sum * sum);
            let bit = u64::from(nf >= plan.least_nf);
            any |= bit;
            ws.gate[i / 64] |= bit << (i % 64);
            ws.norms[i] = (1.0 / (nf.max(1) as f64).sqrt()) as f32 * (1.0 / 65536.0);
        }
        any != 0
    }
}

macro_rules! at {
    ($isa:ty, $base:expr, $at:expr) => {
        <$isa>::load($base.add($at as usize))
    };
}

/// The sum of votes of one stage for a block of windows whose corners lie from `base` on.
#[inline(always)]
unsafe fn votes<I: Isa>(table: &Table, stage: &LaneStage, base: *const u16, norm: I::R) -> I::W {
    // SAFETY: the caller vouches for the instruction set and for every corner of every lane.
    unsafe {
        let mut sum = I::splat(stage.base);
        for s in &table.six[stage.six.clone()] {
            let whole = I::sub(
                I::add(at!(I, base, s.at[0]), at!(I, base, s.at[1])),
                I::add(at!(I, base, s.at[2]), at!(I, base, s.at[3])),
            );
            let half = I::sub(at!(I, base, s.at[4]), at!(I, base, s.at[5]));
            let value = I::add(whole, I::add(half, half));
            let left = I::below(value, norm, s.threshold);
            sum = I::add(sum, I::and(left, I::splat(s.vote)));
        }
        for s in &table.eight[stage.eight.clone()] {
            let whole = I::sub(
                I::add(at!(I, base, s.at[0]), at!(I, base, s.at[1])),
                I::add(at!(I, base, s.at[2]), at!(I, base, s.at[3])),
            );
            let inner = I::sub(
                I::add(at!(I, base, s.at[4]), at!(I, base, s.at[5])),
                I::add(at!(I, base, s.at[6]), at!(I, base, s.at[7])),
            );
            let value = I::add(whole, I::mul(inner, I::splat(s.factor)));
            let left = I::below(value, norm, s.threshold);
            sum = I::add(sum, I::and(left, I::splat(s.vote)));
        }
        for (list, flip) in
            [(&table.nine[stage.nine.clone()], false), (&table.enin[stage.enin.clone()], true)]
        {
            for s in list {
                let corners = I::add(
                    I::add(at!(I, base, s.at[0]), at!(I, base, s.at[1])),
                    I::add(at!(I, base, s.at[2]), at!(I, base, s.at[3])),
                );
                let middles = I::add(
                    I::add(at!(I, base, s.at[4]), at!(I, base, s.at[5])),
                    I::add(at!(I, base, s.at[6]), at!(I, base, s.at[7])),
                );
                let centre = at!(I, base, s.at[8]);
                let half = I::sub(middles, I::add(centre, centre));
                let twice = I::add(half, half);
                let value = if flip { I::sub(twice, corners) } else { I::sub(corners, twice) };
                let left = I::below(value, norm, s.threshold);
                sum = I::add(sum, I::and(left, I::splat(s.vote)));
            }
        }
        for s in &table.other[stage.other.clone()] {
            let left = form_below::<I>(table, &s.form, base, norm, s.threshold);
            sum = I::add(sum, I::and(left, I::splat(s.vote)));
        }
        for tree in &table.trees[stage.trees.clone()] {
            // From the last node up: children come after their parents.
            let nodes = &table.nodes[tree.clone()];
            let mut values = [I::splat(0); table::MAX_NODES];
            for (i, node) in nodes.iter().enumerate().rev() {
                let left = form_below::<I>(table, &node.form, base, norm, node.threshold);
                let a = match node.left {
                    Next::Node(n) => values[n],
                    Next::Vote(v) => I::splat(v),
                };
                let b = match node.right {
                    Next::Node(n) => values[n],
                    Next::Vote(v) => I::splat(v),
                };
                values[i] = I::select(left, a, b);
            }
            sum = I::add(sum, values[0]);
        }
        sum
    }
}

#[inline(always)]
unsafe fn form_below<I: Isa>(
    table: &Table,
    form: &Form,
    base: *const u16,
    norm: I::R,
    threshold: f32,
) -> I::W {
    // SAFETY: as `votes`.
    unsafe {
        match form {
            Form::Points(range) => {
                let mut value = I::splat(0);
                for p in &table.points[range.clone()] {
                    value = I::add(value, I::mul(at!(I, base, p.at), I::splat(p.weight)));
                }
                I::below(value, norm, threshold)
            }
            Form::Parts(range) => {
                let mut value = I::zero();
                for p in &table.parts[range.clone()] {
                    let part = I::sub(
                        I::add(at!(I, base, p.at[0]), at!(I, base, p.at[3])),
                        I::add(at!(I, base, p.at[1]), at!(I, base, p.at[2])),
                    );
                    value = I::accumulate(value, part, p.weight);
                }
                I::below_real(value, norm, threshold)
            }
        }
    }
}

/// Which lanes pass: bits of `asked` whose votes suffice; `again` answers for the doubtful ones.
#[inline(always)]
unsafe fn verdict<I: Isa>(
    sum: I::W,
    stage: &LaneStage,
    asked: u32,
    mut again: impl FnMut(usize) -> bool,
) -> u32 {
    let pair = |v: i16| {
        let half = u32::from(v as u16);
        half | half << 16
    };
    // SAFETY: the caller vouches for the instruction set.
    let (failed, unsure) = unsafe {
        (I::less(sum, I::splat(pair(stage.fail_below))), I::less(sum, I::splat(pair(stage.pass_from))))
    };
    let mut doubtful = unsure & !failed & asked;
    let mut passed = asked & !unsure;
    while doubtful != 0 {
        let lane = doubtful.trailing_zeros() as usize;
        doubtful &= doubtful - 1;
        passed |= u32::from(again(lane)) << lane;
    }
    passed
}

/// Runs the first stage on a row of windows and leaves in `ws.passed` those to be looked at further.
#[inline(always)]
unsafe fn first_stage<I: Isa>(
    ws: &mut Workspace,
    stage: &LaneStage,
    table: &Table,
    exact: &Exact,
    plan: &LanePlan,
    place: usize,
    windows: usize,
) {
    let words = windows.div_ceil(64);
    let mut skip = 0u64;
    for word in 0..words {
        let gate = ws.gate[word];
        let mut passed = 0u64;
        if gate != 0 {
            for block in 0..64 / I::LANES {
                let shift = block * I::LANES;
                let asked = (gate >> shift) as u32 & ((1u32 << I::LANES) - 1);
                if asked == 0 {
                    continue;
                }
                let column = word * 64 + shift;
                let bits = unsafe {
                    // SAFETY: see `level_in_lanes`.
                    let norm = I::norm(ws.norms.as_ptr().add(column));
                    let sum = votes::<I>(table, stage, ws.plane.as_ptr().add(place + column), norm);
                    verdict::<I>(sum, stage, asked, |lane| {
                        let norm = ws.norms[column + lane] * 65536.0;
                        exact.passes(&plan.cascade, 0, &ws.plane, place + column + lane, norm)
                    })
                };
                passed |= u64::from(bits) << shift;
            }
        }
        let failed = gate & !passed;
        let (visited, carry) = visit(failed, skip);
        skip = carry;
        ws.passed[word] = passed & visited;
    }
}

/// The windows that OpenCV visits, one bit each, given those that fail the first stage if visited:
/// whoever follows a visited failure is passed over. `skip` (0 or 1) says whether the first is;
/// the second answer says so for the next word.
///
/// In a run of failures every second one is visited, and the window behind the run is passed over
/// if the run's last one was. The sum carries through all runs that begin at an even bit, which
/// separates them from those that begin at an odd one.
#[inline(always)]
fn visit(failed: u64, skip: u64) -> (u64, u64) {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let runs = failed & !skip;
    let starts = runs & !(runs << 1);
    let from_even = runs & !runs.wrapping_add(starts & EVEN);
    let from_odd = runs & !from_even;
    let skipped = (from_even << 1 & !EVEN) | (from_odd << 1 & EVEN) | skip;
    (!skipped, (runs & !skipped) >> 63)
}

/// Takes the windows of a row that passed the first stage through further stages, block by block,
/// until few of a block are left; those go into the queue of the stage that they face.
#[inline(always)]
unsafe fn blocks<I: Isa>(
    ws: &mut Workspace,
    table: &Table,
    exact: &Exact,
    plan: &LanePlan,
    place: usize,
    y: usize,
    windows: usize,
) {
    for word in 0..windows.div_ceil(64) {
        let all = ws.passed[word];
        if all == 0 {
            continue;
        }
        for block in 0..64 / I::LANES {
            let shift = block * I::LANES;
            let mut alive = (all >> shift) as u32 & ((1u32 << I::LANES) - 1);
            let column = word * 64 + shift;
            let mut stage = 1;
            while alive.count_ones() as usize > I::LANES / KEEP_IN_BLOCK && stage < table.stages.len() {
                let s = &table.stages[stage];
                alive = unsafe {
                    // SAFETY: see `level_in_lanes`.
                    let norm = I::norm(ws.norms.as_ptr().add(column));
                    let sum = votes::<I>(table, s, ws.plane.as_ptr().add(place + column), norm);
                    verdict::<I>(sum, s, alive, |lane| {
                        let norm = ws.norms[column + lane] * 65536.0;
                        exact.passes(&plan.cascade, stage, &ws.plane, place + column + lane, norm)
                    })
                };
                stage += 1;
            }
            while alive != 0 {
                let lane = alive.trailing_zeros() as usize;
                alive &= alive - 1;
                ws.queues[stage].push(Survivor {
                    column: (column + lane) as u32,
                    row: y as u32,
                    norm: ws.norms[column + lane],
                });
            }
        }
    }
}

/// A block goes on with adjacent windows while more than this part of its lanes is alive.
const KEEP_IN_BLOCK: usize = 4;
/// A packed block goes on while more than this part of its lanes is alive.
const KEEP_PACKED: usize = 4;

/// Takes the queued windows through their remaining stages in packed blocks; leaves the hits.
#[inline(always)]
unsafe fn survivors<I: Isa>(
    ws: &mut Workspace,
    exact: &Exact,
    plan: &LanePlan,
    split: bool,
    ww: usize,
    wh: usize,
) {
    let table = &plan.packed;
    let last = table.stages.len();
    for first in 1..last {
        let mut queue = std::mem::take(&mut ws.queues[first]);
        let mut norms = [0f32; 16];
        let mut done = 0;
        while done < queue.len() {
            let batch = &queue[done..queue.len().min(done + I::LANES)];
            done += batch.len();
            let more = done < queue.len();
            for (norm, s) in norms.iter_mut().zip(batch) {
                *norm = s.norm;
            }
            // SAFETY: every survivor is a window of this level; `packed` has room for all lanes.
            unsafe { pack::<I>(ws, plan, batch, split, ww, wh) };
            let mut alive = ((1u64 << batch.len()) - 1) as u32;
            let mut stage = first;
            while alive != 0 && stage < last {
                let few = alive.count_ones() as usize <= I::LANES / KEEP_PACKED;
                if stage > first && few && (more || !ws.queues[stage].is_empty()) {
                    break;
                }
                let s = &table.stages[stage];
                // SAFETY: `packed` holds every corner of every lane.
                alive = unsafe {
                    let norm = I::norm(norms.as_ptr());
                    let sum = votes::<I>(table, s, ws.packed.as_ptr(), norm);
                    verdict::<I>(sum, s, alive, |lane| {
                        let w = &batch[lane];
                        let place = w.row as usize * plan.stride + w.column as usize;
                        exact.passes(&plan.cascade, stage, &ws.plane, place, w.norm * 65536.0)
                    })
                };
                stage += 1;
            }
            while alive != 0 {
                let lane = alive.trailing_zeros() as usize;
                alive &= alive - 1;
                ws.queues[stage].push(batch[lane]);
            }
        }
        queue.clear();
        ws.queues[first] = queue;
    }
    let hits = &mut ws.hits;
    let queue = &mut ws.queues[last];
    hits.extend(queue.drain(..).map(|s| u64::from(s.row) << 32 | u64::from(s.column)));
}

/// Copies the integral images of the batch's windows side by side into `ws.packed`.
#[inline(always)]
unsafe fn pack<I: Isa>(
    ws: &mut Workspace,
    plan: &LanePlan,
    batch: &[Survivor],
    split: bool,
    ww: usize,
    wh: usize,
) {
    let columns = ww + 1;
    let planes = if plan.tilted > 0 { 2 } else { 1 };
    for half in 0..batch.len().div_ceil(8) {
        let group = &batch[half * 8..];
        let places: [usize; 8] = std::array::from_fn(|i| {
            // Unused lanes repeat the first.
            let s = group.get(i).unwrap_or(&group[0]);
            s.row as usize * plan.stride + s.column as usize
        });
        for plane in 0..planes {
            let slot = plane * columns * (wh + 1);
            for y in 0..=wh {
                let row = plane * plan.tilted + y * plan.stride;
                let mut to = (slot + y * columns) * I::LANES + half * 8;
                let parts = if split {
                    // Even columns fill every second slot, odd ones those between.
                    [(0, columns.div_ceil(2), 2), (plan.stride / 2, columns / 2, 2)]
                } else {
                    [(0, columns, 1), (0, 0, 1)]
                };
                for (shift, count, step) in parts {
                    let mut i = 0;
                    while i < count {
                        // SAFETY: each place is that of a window, with slack behind the plane; the
                        // slots end at the last column.
                        unsafe {
                            let base = ws.plane.as_ptr().add(row + shift + i);
                            let from = places.map(|p| base.add(p));
                            let slots = ws.packed.as_mut_ptr().add(to + i * step * I::LANES);
                            I::transpose(&from, slots, step * I::LANES, (count - i).min(8));
                        }
                        i += 8;
                    }
                    to += I::LANES;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_follow_the_plain_rule() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for round in 0..3000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let failed = match round % 4 {
                0 => state,
                1 => state | state.rotate_left(1) | state.rotate_left(2),
                2 => state & state.rotate_left(7),
                _ => !0 >> (round % 64),
            };
            for skip in [0, 1] {
                let mut passing = skip == 1;
                let mut expected = 0u64;
                for bit in 0..64 {
                    let visited = !passing;
                    expected |= u64::from(visited) << bit;
                    passing = visited && failed >> bit & 1 == 1;
                }
                assert_eq!(visit(failed, skip), (expected, u64::from(passing)), "{failed:x}");
            }
        }
    }

    #[test]
    fn the_gate_of_a_24_pixel_window() {
        let area = 22.0 * 22.0;
        let least = least_nf(area);
        assert!(area * f64::from((1.0 / (least as f64).sqrt()) as f32) < 0.1);
        assert!(area * f64::from((1.0 / ((least - 1) as f64).sqrt()) as f32) >= 0.1);
    }
}
