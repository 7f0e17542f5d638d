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
//! The other SIMD code is `crate::matching`'s search; `docs/design/detector.md` has the gain.

mod contrast;
mod isa;
mod table;

use std::ops::Range;
use std::sync::Arc;

use super::cascade::Cascade;
use super::pyramid::{Level, Tap};
use crate::picture::GrayView;
use contrast::{Contrast, MAP_PADDING, Map};
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
    has_tilted: bool,
    plain: Table,
    split: Table,
    packed: Table,
    exact_plain: Exact,
    exact_split: Exact,
    /// Smallest `area x sqsum - sum^2` that passes the contrast gate.
    least_nf: u64,
    /// Smallest range of pixels that can pass it.
    least_range: u8,
    /// Per level of the pictures at hand.
    maps: Vec<Map>,
    mapped: (usize, usize),
    levels: Vec<Level>,
    taps: Vec<Tap>,
    contrast: Contrast,
    /// Whether `contrast` is that of the picture at hand.
    measured: bool,
}

impl LanePlan {
    /// The plan for a cascade that [`suits`].
    pub fn new(cascade: Arc<Cascade>, set: InstructionSet) -> Self {
        let (w, h) = cascade.window();
        let lanes = if set == InstructionSet::Avx2 { 16 } else { 8 };
        let (columns, rows) = (w as usize + 1, h as usize + 1);
        let packed = Packed { columns, lanes, tilted: columns * rows };
        let area = u64::from((w - 2) * (h - 2));
        let least_nf = least_nf(area as f64);
        let passes = |range: &u8| area.pow(2) * u64::from(*range).pow(2) >= 4 * least_nf;
        LanePlan {
            packed: Table::new(&cascade, &packed),
            least_nf,
            least_range: (0..=u8::MAX).find(passes).unwrap_or(u8::MAX),
            maps: Vec::new(),
            mapped: (0, 0),
            levels: Vec::new(),
            taps: Vec::new(),
            contrast: Contrast::default(),
            stride: 0,
            tilted: 0,
            has_tilted: cascade.features().iter().any(|f| f.tilted),
            measured: false,
            plain: Table::default(),
            split: Table::default(),
            exact_plain: Exact::default(),
            exact_split: Exact::default(),
            cascade,
            set,
        }
    }

    /// Prepares the scan of `levels` of `picture`.
    pub fn prepare(&mut self, picture: GrayView<'_>, levels: &[Level]) {
        let Some(first) = levels.first() else { return };
        self.lay_out(first.width, first.height);
        // Where little of the picture is looked at, measuring all of it does not pay.
        let pixels: usize = levels.iter().map(|l| l.width * l.height).sum();
        self.measured = 2 * pixels >= picture.width() * picture.height();
        if self.measured {
            measure(self.set, &mut self.contrast, picture);
        }
        let size = (picture.width(), picture.height());
        if self.mapped == size && self.levels == levels {
            return;
        }
        let (w, h) = self.cascade.window();
        self.mapped = size;
        self.levels.clear();
        self.levels.extend_from_slice(levels);
        self.maps.resize_with(levels.len().max(self.maps.len()), Map::default);
        for (map, level) in self.maps.iter_mut().zip(levels) {
            map.fill(size, (w as usize, h as usize), level, &mut self.taps);
        }
    }

    /// Makes room for levels of up to `width` x `height` pixels.
    fn lay_out(&mut self, width: usize, height: usize) {
        let stride = ((width + 1).next_multiple_of(32) + 32).max(self.stride);
        let tilted = if self.has_tilted { (height + 1) * stride + SLACK } else { 0 };
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
    /// How many rows of the level are reduced, not counting those passed over.
    reduced_to: usize,
    lines: [[Vec<u8>; 2]; 2],
    blended: Vec<u16>,
    reduced: Vec<u8>,
    plane: Vec<u16>,
    line: Vec<u16>,
    falling: Vec<u16>,
    rising: Vec<u16>,
    column_sums: Vec<u16>,
    column_squares: Vec<u32>,
    band_sums: Vec<u16>,
    band_squares: Vec<u32>,
    /// A row of zeros.
    black: Vec<u8>,
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
    /// Scans one level, by its index, of the `picture` that `plan` has been prepared for and reports
    /// the hits' positions `(x, y)` in the level, in order.
    pub fn scan(
        &mut self,
        plan: &LanePlan,
        picture: GrayView<'_>,
        index: usize,
        mut hit: impl FnMut(usize, usize),
    ) {
        self.hits.clear();
        let (level, map) = (&plan.levels[index], &plan.maps[index]);
        scan_level(plan, self, picture, level, map);
        self.hits.sort_unstable();
        for h in &self.hits {
            hit((h & 0xffff_ffff) as usize * level.step, (h >> 32) as usize);
        }
    }
}

/// Calls the scan compiled for the plan's instruction set.
fn scan_level(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level, map: &Map) {
    assert!(plan.set.is_available(), "{} is not available here", plan.set.name());
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
        fn avx2(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level, map: &Map) {
            level_in_lanes::<isa::x86::Avx2>(plan, ws, picture, level, map);
        }
        #[target_feature(enable = "sse4.2,popcnt")]
        fn sse42(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level, map: &Map) {
            level_in_lanes::<isa::x86::Sse<true>>(plan, ws, picture, level, map);
        }
        match plan.set {
            // SAFETY: `is_available` has just said that the processor has these features.
            InstructionSet::Avx2 => unsafe { avx2(plan, ws, picture, level, map) },
            // SAFETY: as above.
            InstructionSet::Sse42 => unsafe { sse42(plan, ws, picture, level, map) },
            _ => level_in_lanes::<isa::x86::Sse<false>>(plan, ws, picture, level, map),
        }
    }
    #[cfg(target_arch = "aarch64")]
    level_in_lanes::<isa::arm::Neon>(plan, ws, picture, level, map);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    unreachable!("only the portable scan is available");
}

/// Calls [`Contrast::measure`] compiled for `set`.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "one instruction set there"))]
fn measure(set: InstructionSet, contrast: &mut Contrast, picture: GrayView<'_>) {
    #[cfg(target_arch = "x86_64")]
    if set == InstructionSet::Avx2 && set.is_available() {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
        fn avx2(contrast: &mut Contrast, picture: GrayView<'_>) {
            contrast.measure(picture);
        }
        // SAFETY: `is_available` has just said that the processor has these features.
        return unsafe { avx2(contrast, picture) };
    }
    contrast.measure(picture);
}

#[inline(always)]
fn level_in_lanes<I: Isa>(
    plan: &LanePlan,
    ws: &mut Workspace,
    picture: GrayView<'_>,
    level: &Level,
    map: &Map,
) {
    let (ww, wh) = plan.cascade.window();
    let (ww, wh) = (ww as usize, wh as usize);
    let split = level.step == 2;
    let row = row_length(level);
    ws.reduced_to = 0;
    ws.reduced.resize((row * level.height).max(ws.reduced.len()), 0);
    if plan.tilted > 0 {
        // Tilted sums are made from the top.
        reduce::<I>(ws, picture, level, map, 0, level.height);
    }
    let mut rows = PlaneRows::start(plan, ws, level);

    let (table, exact) =
        if split { (&plan.split, &plan.exact_split) } else { (&plan.plain, &plan.exact_plain) };
    let windows = level.columns.div_ceil(level.step);
    let words = windows.div_ceil(64);
    let padded = words * 64 + SLACK;
    ws.norms.resize(padded.max(ws.norms.len()), 0.0);
    ws.nf.resize(padded.max(ws.nf.len()), 0);
    ws.gate.resize(words.max(ws.gate.len()), 0);
    // One word more, always zero or of no consequence.
    ws.passed.resize((words + 1).max(ws.passed.len()), 0);
    ws.queues.resize_with(plan.cascade.stages().len() + 1, Vec::new);
    ws.packed.resize(plan.packed_len(I::LANES), 0);

    // The row of windows that the column sums stand at.
    let mut summed: Option<usize> = None;
    let gated = (ww - 2) * (wh - 2) <= LARGEST_AREA && wh + BAND <= table::MOST_ROWS as usize;
    for top in (0..level.rows).step_by(BAND) {
        let end = level.rows.min(top + BAND);
        let range = if plan.measured {
            map.candidates(&plan.contrast, (top, end - 1), wh, plan.least_range, &mut ws.lines)
        } else {
            0..windows
        };
        if range.is_empty() {
            continue;
        }
        let mut span = range.start / 64..range.end.div_ceil(64);
        reduce::<I>(ws, picture, level, map, top, end - 1 + wh);
        if gated {
            sum_columns::<I>(ws, row, summed, top, wh);
            summed = Some(top);
            span = with_contrast::<I>(ws, plan, level, (top, end - 1), span, windows, ww, wh);
        }
        if span.is_empty() {
            continue;
        }
        for y in (top..end).step_by(level.step) {
            sum_columns::<I>(ws, row, summed, y, wh);
            summed = Some(y);
            if !normalise::<I>(ws, plan, level, span.clone(), windows, ww, wh) {
                continue;
            }
            rows.reach::<I>(plan, ws, level, y, y + wh);
            let row = Row { table, exact, plan, place: y * plan.stride };
            // SAFETY: the plane holds `height + 1` rows of `stride` values and `SLACK` more, each
            // twice with tilted features; a window at `place + column` reaches `wh` rows down, at
            // most to row `height`, and a block of lanes at most `LANES` values beyond the window,
            // all of which `PlaneRows` has made room for; `norms` is padded likewise.
            unsafe {
                row.first_stage::<I>(ws, span.clone());
                row.blocks::<I>(ws, y, span.clone());
            }
        }
    }
    // SAFETY: as above; survivors are windows of this level.
    unsafe { survivors::<I>(ws, exact, plan, split, ww, wh) };
}

/// Rows of a level that are looked at together for whether there is contrast.
const BAND: usize = 8;

/// Pixels of a window without its rim for which `area x sqsum - sum^2` fits 32 bits.
const LARGEST_AREA: usize = 513;

/// Pixels from one row of the reduced picture to the next: loops over a row do whole vectors. What is
/// behind the level's last column is of no consequence.
fn row_length(level: &Level) -> usize {
    level.width.next_multiple_of(MAP_PADDING)
}

/// Brings the sums of the columns of a row of windows from row `from` (nowhere, if `None`) to `to`.
#[inline(always)]
fn sum_columns<I: Isa>(ws: &mut Workspace, row: usize, from: Option<usize>, to: usize, wh: usize) {
    let (sums, squares) = (&mut ws.column_sums, &mut ws.column_squares);
    let pixels = |y: usize| &ws.reduced[y * row..][..row];
    match from {
        Some(from) if to - from < wh - 2 => {
            for y in from + 1..=to {
                // SAFETY: the caller runs on the instruction set.
                unsafe { I::move_columns(sums, squares, pixels(y), pixels(y + wh - 2)) };
            }
        }
        _ => {
            sums.clear();
            sums.resize(row + SLACK, 0);
            squares.clear();
            squares.resize(row + SLACK, 0);
            ws.black.resize(row.max(ws.black.len()), 0);
            for y in to + 1..to + wh - 1 {
                // SAFETY: as above.
                unsafe { I::move_columns(sums, squares, &ws.black[..row], pixels(y)) };
            }
        }
    }
}

impl LanePlan {
    fn packed_len(&self, lanes: usize) -> usize {
        let (w, h) = self.cascade.window();
        let planes = if self.tilted > 0 { 2 } else { 1 };
        (w as usize + 1) * (h as usize + 1) * lanes * planes
    }
}

/// Reduces `picture` to rows `from..to` of the level, into `ws.reduced`, as far as they are not there.
#[inline(always)]
fn reduce<I: Isa>(
    ws: &mut Workspace,
    picture: GrayView<'_>,
    level: &Level,
    map: &Map,
    from: usize,
    to: usize,
) {
    let (row, last) = (row_length(level), picture.width() - 1);
    let from = from.max(ws.reduced_to);
    if from >= to {
        return;
    }
    ws.reduced_to = to;
    let rows = ws.reduced[from * row..to * row].chunks_exact_mut(row);
    if (level.width, level.height) == (picture.width(), picture.height()) {
        for (y, row) in rows.enumerate() {
            row[..=last].copy_from_slice(picture.row(from + y));
        }
        return;
    }
    assert!(map.first.last().is_some_and(|&o| o as usize <= last));
    ws.blended.resize((last + 2).max(ws.blended.len()), 0);
    let blended = &mut ws.blended[..last + 2];
    for (tap, out) in map.down[from..to].iter().zip(rows) {
        let (top, bottom) = (picture.row(tap.first as usize), picture.row(tap.second as usize));
        // Down first, then across: the sum is exact in integers, so the order is free.
        // SAFETY: the caller runs on the instruction set.
        unsafe { I::blend_down(top, bottom, tap.weight as u16, &mut blended[..=last]) };
        blended[last + 1] = blended[last];
        // SAFETY: the caller runs on the instruction set; `first` does not fall, its last value has
        // been checked above, and `blended` has one value behind the last.
        unsafe { I::blend_across(blended, &map.first, &map.weights, out) };
    }
}

/// Which rows of the level's integral image are there: they are made as the scan gets to them, and
/// not at all where no window has contrast.
struct PlaneRows {
    ready: usize,
}

impl PlaneRows {
    /// Makes room for the level; with tilted features, which are summed from the top, all is done
    /// at once.
    #[inline(always)]
    fn start(plan: &LanePlan, ws: &mut Workspace, level: &Level) -> Self {
        let stride = plan.stride;
        assert!(row_length(level) + 1 + 16 <= stride);
        let upright = (level.height + 1) * stride + SLACK;
        assert!(plan.tilted == 0 || upright <= plan.tilted);
        let needed = plan.tilted + upright + SLACK;
        if ws.plane.len() < needed {
            ws.plane.resize(needed, 0);
        }
        if plan.tilted > 0 {
            tilted_rows(plan, ws, level);
        }
        ws.line.clear();
        ws.line.resize(stride, 0);
        PlaneRows { ready: 0 }
    }

    /// Sees to it that rows `from..=to` are there, counted from a common origin.
    #[inline(always)]
    fn reach<I: Isa>(&mut self, plan: &LanePlan, ws: &mut Workspace, level: &Level, from: usize, to: usize) {
        let (stride, split) = (plan.stride, level.step == 2);
        if from >= self.ready {
            ws.line.fill(0);
            ws.plane[from * stride..][..stride].fill(0);
            self.ready = from + 1;
        }
        for y in self.ready..=to {
            let row = row_length(level);
            let row = &ws.reduced[(y - 1) * row..][..row];
            // SAFETY: the caller runs on the instruction set; the line is longer than a row.
            unsafe { I::add_running_sums(row, &mut ws.line[1..]) };
            put_line(&ws.line, &mut ws.plane[y * stride..][..stride], split);
        }
        self.ready = self.ready.max(to + 1);
    }
}

/// Writes the tilted integral image behind the upright one: a cone is the cone one row up and its
/// two edges, which are sums along diagonals.
fn tilted_rows(plan: &LanePlan, ws: &mut Workspace, level: &Level) {
    let (stride, tilted, width) = (plan.stride, plan.tilted, level.width);
    ws.line.clear();
    ws.line.resize(stride, 0);
    ws.plane[tilted..tilted + stride].fill(0);
    for diagonal in [&mut ws.falling, &mut ws.rising] {
        diagonal.clear();
        diagonal.resize(width + 2, 0);
    }
    for y in 0..level.height {
        let row = &ws.reduced[y * row_length(level)..][..width];
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
        let row = &mut ws.plane[tilted + (y + 1) * stride..][..stride];
        put_line(&ws.line, row, level.step == 2);
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

/// Running sums, along the row, of the columns (of a band of rows, or of one row of windows) from the
/// `first` window's on, for `padded` windows. A window's sum is the difference of two values that lie
/// `width` apart, the next window's is `stride` further: returns both.
#[inline(always)]
fn running_sums<I: Isa>(
    ws: &mut Workspace,
    level: &Level,
    first: usize,
    padded: usize,
    ww: usize,
    band: bool,
) -> (usize, usize) {
    let left = first * level.step;
    let paired = level.step == 2 && ww.is_multiple_of(2);
    // Columns are summed two and two where no window starts or ends between them.
    let (width, stride) = if paired { ((ww - 2) / 2, 1) } else { (ww - 2, level.step) };
    // Whole vectors, reaching beyond the last column.
    let count = ((padded - 1) * stride + width).next_multiple_of(4);
    for sums in [&mut ws.sums, &mut ws.squares] {
        // The first is the sum of no columns.
        sums.resize((count + 1).max(sums.len()), 0);
    }
    let (columns, column_squares) =
        if band { (&ws.band_sums, &ws.band_squares) } else { (&ws.column_sums, &ws.column_squares) };
    // SAFETY: the caller runs on the instruction set; a column's sum is at most that of
    // `table::MOST_ROWS` pixels, below 32768.
    unsafe {
        I::running_sums16(&columns[left + 1..], paired, &mut ws.sums[1..=count]);
        I::running_sums32(&column_squares[left + 1..], paired, &mut ws.squares[1..=count]);
    }
    (width, stride)
}

/// Which words of `span` have windows in the rows `top..=bottom` that may have contrast.
///
/// The squared deviations of a window's pixels from their mean sum up to no more than those of a region
/// that holds the window. One look at all of a band's rows therefore settles for most of a wall what
/// would take one for each row.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "as `normalise`, and the band")]
fn with_contrast<I: Isa>(
    ws: &mut Workspace,
    plan: &LanePlan,
    level: &Level,
    (top, bottom): (usize, usize),
    span: Range<usize>,
    windows: usize,
    ww: usize,
    wh: usize,
) -> Range<usize> {
    let row = row_length(level);
    ws.band_sums.clear();
    ws.band_sums.extend_from_slice(&ws.column_sums);
    ws.band_squares.clear();
    ws.band_squares.extend_from_slice(&ws.column_squares);
    for y in top + wh - 1..bottom + wh - 1 {
        let pixels = &ws.reduced[y * row..][..row];
        // SAFETY: the caller runs on the instruction set.
        unsafe { I::move_columns(&mut ws.band_sums, &mut ws.band_squares, &ws.black[..row], pixels) };
    }
    let first = span.start * 64;
    let windows = windows.min(span.end * 64) - first;
    let padded = windows.next_multiple_of(8);
    let (width, stride) = running_sums::<I>(ws, level, first, padded, ww, true);
    let (sums, squares) = (&ws.sums[..], &ws.squares[..]);
    let window_sums = sums.iter().zip(&sums[width..]).map(|(a, b)| b.wrapping_sub(*a));
    let window_squares = squares.iter().zip(&squares[width..]).map(|(a, b)| b.wrapping_sub(*a));

    // In single precision. Each step rounds by at most 2^-24 of the largest possible product, and there
    // are fewer than sixteen.
    let area = ((ww - 2) * (wh - 2 + bottom - top)) as f32;
    let rounding = area * area * 65025.0 / (1 << 20) as f32;
    let limit = plan.least_nf as f32 / ((ww - 2) * (wh - 2)) as f32 * area - rounding;
    // The sign says whether it is below the limit.
    let below = |out: &mut u32, (sum, square): (u32, u32)| {
        let (sum, square) = (sum as i32 as f32, square as i32 as f32);
        *out = (area * square - sum * sum - limit).to_bits();
    };
    ws.nf[..span.len() * 64].fill(1 << 31);
    let out = ws.nf[..padded].iter_mut();
    let window_sums = window_sums.zip(window_squares);
    if stride == 1 {
        out.zip(window_sums).for_each(|(out, sums)| below(out, sums));
    } else {
        out.zip(window_sums.step_by(2)).for_each(|(out, sums)| below(out, sums));
    }
    let open = |word: &[u32; 64]| word.iter().fold(u32::MAX, |all, bits| all & bits) >> 31 == 0;
    let words = &ws.nf.as_chunks::<64>().0[..span.len()];
    match words.iter().position(open) {
        Some(from) => {
            let to = words.iter().rposition(open).map_or(from, |last| last + 1);
            span.start + from..span.start + to
        }
        None => span.start..span.start,
    }
}

/// Computes the normalisers of a row of windows, of those in words `span`, times 2^-16, and the bits of those with enough
/// contrast; says whether there is any.
#[inline(always)]
fn normalise<I: Isa>(
    ws: &mut Workspace,
    plan: &LanePlan,
    level: &Level,
    span: Range<usize>,
    windows: usize,
    ww: usize,
    wh: usize,
) -> bool {
    let area = ((ww - 2) * (wh - 2)) as u64;
    let first = span.start * 64;
    let windows = windows.min(span.end * 64) - first;
    let padded = windows.next_multiple_of(8);
    let (width, stride) = running_sums::<I>(ws, level, first, padded, ww, false);
    let (sums, squares) = (&ws.sums[..], &ws.squares[..]);
    let window_sums = sums.iter().zip(&sums[width..]).map(|(a, b)| b.wrapping_sub(*a));
    let window_squares = squares.iter().zip(&squares[width..]).map(|(a, b)| b.wrapping_sub(*a));

    // area^2 * 127.5^2 bounds nf: up to so many pixels it fits into 32 bits and wrapping is harmless.
    if area <= LARGEST_AREA as u64 {
        let area = area as u32;
        let normaliser = |nf: &mut u32, (sum, square): (u32, u32)| {
            *nf = area.wrapping_mul(square).wrapping_sub(sum.wrapping_mul(sum));
        };
        let nfs = ws.nf[..padded].iter_mut();
        let window_sums = window_sums.zip(window_squares);
        if stride == 1 {
            nfs.zip(window_sums).for_each(|(nf, sums)| normaliser(nf, sums));
        } else {
            nfs.zip(window_sums.step_by(2)).for_each(|(nf, sums)| normaliser(nf, sums));
        }
        ws.nf[windows..span.len() * 64].fill(0);
        let gates = ws.gate[span].iter_mut();
        let nfs = ws.nf.as_chunks::<64>().0.iter();
        let norms = ws.norms[first..].as_chunks_mut::<64>().0.iter_mut();
        let mut any = 0;
        for ((gate, nf), norm) in gates.zip(nfs).zip(norms) {
            // SAFETY: the caller runs on the instruction set.
            *gate = unsafe { I::at_least(nf, plan.least_nf as u32) };
            any |= *gate;
            if *gate != 0 {
                inverse_roots(nf, norm);
            }
        }
        any != 0
    } else {
        let mut any = 0;
        ws.gate[span].fill(0);
        let window_sums = window_sums.zip(window_squares).step_by(stride).take(windows);
        for (i, (sum, square)) in window_sums.enumerate() {
            let (sum, square) = (u64::from(sum), u64::from(square));
            let nf = (area * square).saturating_sub(sum * sum);
            let bit = u64::from(nf >= plan.least_nf);
            any |= bit;
            ws.gate[(first + i) / 64] |= bit << (i % 64);
            ws.norms[first + i] = (1.0 / (nf.max(1) as f64).sqrt()) as f32 * (1.0 / 65536.0);
        }
        any != 0
    }
}

/// `1 / sqrt(nf)` as OpenCV rounds it (root, quotient, then to single precision), times 2^-16.
///
/// A root and a quotient in double precision are slow. One step of Newton's method from their
/// single-precision kin is good to about 2^-43; only where that lies so near the middle of two
/// neighbours that their choice is in doubt, the slow way decides.
#[inline(always)]
fn inverse_roots(nf: &[u32; 64], norms: &mut [f32; 64]) {
    const HALF: u64 = 1 << 28;
    const DOUBT: u64 = 1 << 13;
    let mut doubtful = 0u64;
    for (norm, &nf) in norms.iter_mut().zip(nf) {
        let nf = nf.max(1);
        let rough = f64::from(1.0 / (nf as f32).sqrt());
        let fine = rough * (1.5 - 0.5 * f64::from(nf) * rough * rough);
        // The 29 bits that single precision drops.
        let dropped = fine.to_bits() & (2 * HALF - 1);
        doubtful |= u64::from(dropped.wrapping_sub(HALF - DOUBT) < 2 * DOUBT);
        *norm = fine as f32 * (1.0 / 65536.0);
    }
    if doubtful != 0 {
        for (norm, &nf) in norms.iter_mut().zip(nf) {
            *norm = (1.0 / f64::from(nf.max(1)).sqrt()) as f32 * (1.0 / 65536.0);
        }
    }
}

macro_rules! at {
    ($isa:ty, $base:expr, $at:expr) => {
        <$isa>::load($base.add($at as usize))
    };
}

/// The sums of votes of one stage for `N` blocks of windows whose corners lie from their `base` on.
///
/// Two blocks at a time share the look-ups in the table.
#[inline(always)]
unsafe fn votes<I: Isa, const N: usize>(
    table: &Table,
    stage: &LaneStage,
    base: [*const u16; N],
    norm: [I::R; N],
) -> [I::W; N] {
    // SAFETY: the caller vouches for the instruction set and for every corner of every lane.
    unsafe {
        let mut sum = [I::splat(stage.base); N];
        macro_rules! vote {
            ($k:expr, $value:expr, $stump:expr) => {
                let left = I::below($value, norm[$k], $stump.threshold);
                sum[$k] = I::add(sum[$k], I::and(left, I::splat($stump.vote)));
            };
        }
        // `p0 + p1 - p2 - p3` of four corners from the `$i`th on.
        macro_rules! difference {
            ($base:expr, $s:expr, $i:literal) => {
                I::sub(
                    I::add(at!(I, $base, $s.at[$i]), at!(I, $base, $s.at[$i + 1])),
                    I::add(at!(I, $base, $s.at[$i + 2]), at!(I, $base, $s.at[$i + 3])),
                )
            };
        }
        macro_rules! total {
            ($base:expr, $s:expr, $i:literal) => {
                I::add(
                    I::add(at!(I, $base, $s.at[$i]), at!(I, $base, $s.at[$i + 1])),
                    I::add(at!(I, $base, $s.at[$i + 2]), at!(I, $base, $s.at[$i + 3])),
                )
            };
        }
        for s in &table.six[stage.six.clone()] {
            for k in 0..N {
                let whole = difference!(base[k], s, 0);
                let half = I::sub(at!(I, base[k], s.at[4]), at!(I, base[k], s.at[5]));
                vote!(k, I::add(whole, I::add(half, half)), s);
            }
        }
        for s in &table.eight[stage.eight.clone()] {
            for k in 0..N {
                let inner = I::mul(difference!(base[k], s, 4), I::splat(s.factor));
                vote!(k, I::add(difference!(base[k], s, 0), inner), s);
            }
        }
        for (list, flip) in
            [(&table.nine[stage.nine.clone()], false), (&table.enin[stage.enin.clone()], true)]
        {
            for s in list {
                for k in 0..N {
                    let corners = total!(base[k], s, 0);
                    let centre = at!(I, base[k], s.at[8]);
                    let half = I::sub(total!(base[k], s, 4), I::add(centre, centre));
                    let twice = I::add(half, half);
                    vote!(k, if flip { I::sub(twice, corners) } else { I::sub(corners, twice) }, s);
                }
            }
        }
        for s in &table.other[stage.other.clone()] {
            for k in 0..N {
                let left = form_below::<I>(table, &s.form, base[k], norm[k], s.threshold);
                sum[k] = I::add(sum[k], I::and(left, I::splat(s.vote)));
            }
        }
        for tree in &table.trees[stage.trees.clone()] {
            // From the last node up: children come after their parents.
            let nodes = &table.nodes[tree.clone()];
            for k in 0..N {
                let mut values = [I::splat(0); table::MAX_NODES];
                for (i, node) in nodes.iter().enumerate().rev() {
                    let left = form_below::<I>(table, &node.form, base[k], norm[k], node.threshold);
                    let next = |to| match to {
                        Next::Node(n) => values[n],
                        Next::Vote(v) => I::splat(v),
                    };
                    values[i] = I::select(left, next(node.left), next(node.right));
                }
                sum[k] = I::add(sum[k], values[0]);
            }
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

/// Blocks of adjacent windows of one row, and the stages that they go through.
struct Row<'a> {
    table: &'a Table,
    exact: &'a Exact,
    plan: &'a LanePlan,
    /// Where the row's first window lies in the plane.
    place: usize,
}

impl Row<'_> {
    /// Which of the windows `asked` of `N` blocks, which begin at the windows `columns`, pass a stage.
    #[inline(always)]
    unsafe fn stage<I: Isa, const N: usize>(
        &self,
        ws: &Workspace,
        stage: usize,
        columns: [usize; N],
        asked: [u32; N],
    ) -> [u32; N] {
        let s = &self.table.stages[stage];
        let mut passed = [0; N];
        // SAFETY: see `level_in_lanes`.
        unsafe {
            let base = columns.map(|column| ws.plane.as_ptr().add(self.place + column));
            let mut norm = [I::zero(); N];
            for k in 0..N {
                norm[k] = I::norm(ws.norms.as_ptr().add(columns[k]));
            }
            let sum = votes::<I, N>(self.table, s, base, norm);
            for k in 0..N {
                passed[k] = verdict::<I>(sum[k], s, asked[k], |lane| {
                    let window = columns[k] + lane;
                    let norm = ws.norms[window] * 65536.0;
                    self.exact.passes(&self.plan.cascade, stage, &ws.plane, self.place + window, norm)
                });
            }
        }
        passed
    }

    /// Runs the first stage and leaves in `ws.passed` those to be looked at further.
    #[inline(always)]
    unsafe fn first_stage<I: Isa>(&self, ws: &mut Workspace, words: Range<usize>) {
        let mut skip = 0u64;
        for word in words.clone() {
            let gate = ws.gate[word];
            let mut passed = 0u64;
            for two in 0..32 / I::LANES {
                let shift = two * 2 * I::LANES;
                let asked = [shift, shift + I::LANES].map(|s| (gate >> s) as u32 & all_lanes::<I>());
                if asked == [0, 0] {
                    continue;
                }
                let column = word * 64 + shift;
                // SAFETY: see `level_in_lanes`.
                let [a, b] = unsafe { self.stage::<I, 2>(ws, 0, [column, column + I::LANES], asked) };
                passed |= (u64::from(a) | u64::from(b) << I::LANES) << shift;
            }
            let (visited, carry) = visit(gate & !passed, skip);
            skip = carry;
            ws.passed[word] = passed & visited;
        }
        ws.passed[words.end] = 0;
    }

    /// Takes the windows that passed the first stage through further stages, block by block, until
    /// few of a block are left; those go into the queue of the stage that they face.
    #[inline(always)]
    unsafe fn blocks<I: Isa>(&self, ws: &mut Workspace, y: usize, words: Range<usize>) {
        let stages = self.table.stages.len();
        let end = words.end * 64;
        for stage in 1..PACK_FROM.min(stages) {
            let mut at = next_bit(&ws.passed, words.start * 64, end);
            if at == end {
                return;
            }
            // A block begins where the next window is alive, so that fewer are needed.
            while at < end {
                let first = at;
                let second = next_bit(&ws.passed, first + I::LANES, end);
                let asked = [first, second.min(end - 1)].map(|at| bits(&ws.passed, at) & all_lanes::<I>());
                if second < end {
                    // SAFETY: see `level_in_lanes`.
                    let [a, b] = unsafe { self.stage::<I, 2>(ws, stage, [first, second], asked) };
                    set_bits(&mut ws.passed, first, asked[0], a);
                    set_bits(&mut ws.passed, second, asked[1], b);
                } else {
                    // SAFETY: see `level_in_lanes`.
                    let [a] = unsafe { self.stage::<I, 1>(ws, stage, [first], [asked[0]]) };
                    set_bits(&mut ws.passed, first, asked[0], a);
                }
                at = next_bit(&ws.passed, second + I::LANES, end);
            }
        }
        let mut at = next_bit(&ws.passed, words.start * 64, end);
        while at < end {
            let mut alive = bits(&ws.passed, at) & all_lanes::<I>();
            let mut stage = PACK_FROM.min(stages);
            while stage < stages && alive.count_ones() as usize > I::LANES / KEEP_IN_BLOCK {
                // SAFETY: see `level_in_lanes`.
                [alive] = unsafe { self.stage::<I, 1>(ws, stage, [at], [alive]) };
                stage += 1;
            }
            while alive != 0 {
                let column = at + alive.trailing_zeros() as usize;
                alive &= alive - 1;
                let norm = ws.norms[column];
                ws.queues[stage].push(Survivor { column: column as u32, row: y as u32, norm });
            }
            at = next_bit(&ws.passed, at + I::LANES, end);
        }
    }
}

/// As many ones as a block has windows.
#[inline(always)]
fn all_lanes<I: Isa>() -> u32 {
    (1 << I::LANES) - 1
}

/// The index of the first set bit from `from` on, `end` if there is none below it.
#[inline(always)]
fn next_bit(words: &[u64], from: usize, end: usize) -> usize {
    if from >= end {
        return end;
    }
    let mut word = from / 64;
    let mut rest = words[word] >> (from % 64) << (from % 64);
    while rest == 0 {
        word += 1;
        if word * 64 >= end {
            return end;
        }
        rest = words[word];
    }
    word * 64 + rest.trailing_zeros() as usize
}

/// 32 bits from the `at`th on; one word must follow that of the first.
#[inline(always)]
fn bits(words: &[u64], at: usize) -> u32 {
    let (low, high) = (words[at / 64], words[at / 64 + 1]);
    (low >> (at % 64) | high << 1 << (63 - at % 64)) as u32
}

/// Of the 32 bits from the `at`th on, turns `old` into `new`, a part of it.
#[inline(always)]
fn set_bits(words: &mut [u64], at: usize, old: u32, new: u32) {
    let drop = u64::from(old & !new);
    words[at / 64] &= !(drop << (at % 64));
    words[at / 64 + 1] &= !(drop >> 1 >> (63 - at % 64));
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

/// A block goes on with adjacent windows while more than this part of its lanes is alive.
const KEEP_IN_BLOCK: usize = 4;
/// Before this stage, packing costs more than it saves.
const PACK_FROM: usize = 4;
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
            for (norm, s) in norms.iter_mut().zip(batch) {
                *norm = s.norm;
            }
            // SAFETY: every survivor is a window of this level; `packed` has room for all lanes.
            unsafe { pack::<I>(ws, plan, batch, split, ww, wh) };
            let mut alive = ((1u64 << batch.len()) - 1) as u32;
            let mut stage = first;
            while alive != 0 && stage < last {
                let few = alive.count_ones() as usize <= I::LANES / KEEP_PACKED;
                let waiting = queue.len() - done + ws.queues[stage].len();
                if stage > first && few && waiting >= I::LANES / 2 {
                    break;
                }
                let s = &table.stages[stage];
                // SAFETY: `packed` holds every corner of every lane.
                alive = unsafe {
                    let norm = I::norm(norms.as_ptr());
                    let [sum] = votes::<I, 1>(table, s, [ws.packed.as_ptr()], [norm]);
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
    let places: [usize; 16] = std::array::from_fn(|i| {
        // Unused lanes repeat the first.
        let s = batch.get(i).unwrap_or(&batch[0]);
        s.row as usize * plan.stride + s.column as usize
    });
    for plane in 0..planes {
        for y in 0..=wh {
            let row = plane * plan.tilted + y * plan.stride;
            let slot = (plane * (wh + 1) + y) * columns;
            // Even columns fill every second slot, odd ones those between.
            let parts = if split {
                [(0, columns.div_ceil(2), 2), (plan.stride / 2, columns / 2, 2)]
            } else {
                [(0, columns, 1), (0, 0, 1)]
            };
            for (first, (shift, count, step)) in parts.into_iter().enumerate() {
                for i in (0..count).step_by(8) {
                    // SAFETY: each place is that of a window, with slack behind the plane; the
                    // slots end at the last column.
                    unsafe {
                        let base = ws.plane.as_ptr().add(row + shift + i);
                        let from = places.map(|p| base.add(p));
                        let to = (slot + first + i * step) * I::LANES;
                        let to = ws.packed.as_mut_ptr().add(to);
                        I::transpose(&from, to, step * I::LANES, (count - i).min(8));
                    }
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
    fn inverse_roots_are_those_of_the_slow_way() {
        let mut state = 12345u32;
        for round in 0..20_000 {
            let nf: [u32; 64] = std::array::from_fn(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if round % 2 == 0 { state } else { (i + round * 37) as u32 }
            });
            let mut norms = [0.0; 64];
            inverse_roots(&nf, &mut norms);
            for (norm, nf) in norms.iter().zip(nf) {
                let slow = (1.0 / f64::from(nf.max(1)).sqrt()) as f32;
                assert_eq!(norm * 65536.0, slow, "{nf}");
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
