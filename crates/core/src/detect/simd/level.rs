//! The scan of one level, compiled for each instruction set.

use facelatch_simd::InstructionSet;

use super::super::pyramid::Level;
use super::contrast::Map;
use super::contrast_gate::{BAND, LARGEST_AREA, normalise, sum_columns, with_contrast};
use super::integral::PlaneRows;
use super::isa::{self, Isa};
use super::layout::SLACK;
use super::plan::LanePlan;
use super::reduce::{reduce, row_length};
use super::row::Row;
use super::survivors::survivors;
use super::table;
use super::workspace::Workspace;
use crate::picture::GrayView;

/// The instruction sets that the scan is written for.
pub(in super::super) const INSTRUCTION_SETS: [InstructionSet; 4] =
    [InstructionSet::Sse2, InstructionSet::Sse42, InstructionSet::Avx2, InstructionSet::Neon];

/// Scans one level, by its index, of the `picture` that `plan` has been prepared for and reports
/// the hits' positions `(x, y)` in the level, in order.
pub(in super::super) fn scan(
    plan: &LanePlan,
    ws: &mut Workspace,
    picture: GrayView<'_>,
    index: usize,
    mut hit: impl FnMut(usize, usize),
) {
    ws.hits.clear();
    let (level, map) = (&plan.levels[index], &plan.maps[index]);
    scan_level(plan, ws, picture, level, map);
    ws.hits.sort_unstable();
    for h in &ws.hits {
        hit((h & 0xffff_ffff) as usize * level.step, (h >> 32) as usize);
    }
}

/// Calls the scan compiled for the plan's instruction set.
fn scan_level(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level, map: &Map) {
    assert!(plan.set.is_available(), "{} is not available here", plan.set.name());
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
        fn avx2(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level, map: &Map) {
            level_in_lanes::<isa::x86::avx2::Avx2>(plan, ws, picture, level, map);
        }
        #[target_feature(enable = "sse4.2,popcnt")]
        fn sse42(plan: &LanePlan, ws: &mut Workspace, picture: GrayView<'_>, level: &Level, map: &Map) {
            level_in_lanes::<isa::x86::sse::Sse<true>>(plan, ws, picture, level, map);
        }
        match plan.set {
            // SAFETY: `is_available` has just said that the processor has these features.
            InstructionSet::Avx2 => unsafe { avx2(plan, ws, picture, level, map) },
            // SAFETY: as above.
            InstructionSet::Sse42 => unsafe { sse42(plan, ws, picture, level, map) },
            _ => level_in_lanes::<isa::x86::sse::Sse<false>>(plan, ws, picture, level, map),
        }
    }
    #[cfg(target_arch = "aarch64")]
    level_in_lanes::<isa::neon::Neon>(plan, ws, picture, level, map);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    unreachable!("only the portable scan is available");
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
    let gated = (ww - 2) * (wh - 2) <= LARGEST_AREA && wh + BAND <= table::MAX_ROWS as usize;
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
