//! A row of windows in blocks of adjacent ones: the first stage, and the next while blocks stay filled.

use std::ops::Range;

use super::isa::Isa;
use super::plan::LanePlan;
use super::stage::{verdict, votes};
use super::table::{Exact, Table};
use super::workspace::{Survivor, Workspace};

/// A block continues with adjacent windows while more than this part of its lanes is alive.
const KEEP_IN_BLOCK: usize = 4;

/// Before this stage, packing costs more than it saves.
const PACK_FROM: usize = 4;

/// Blocks of adjacent windows of one row, and the stages that they go through.
pub(super) struct Row<'a> {
    pub(super) table: &'a Table,
    pub(super) exact: &'a Exact,
    pub(super) plan: &'a LanePlan,
    /// Where the row's first window lies in the plane.
    pub(super) place: usize,
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
            let mut norm = [I::zero_sum(); N];
            for k in 0..N {
                norm[k] = I::load_norms(ws.norms.as_ptr().add(columns[k]));
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
    pub(super) unsafe fn first_stage<I: Isa>(&self, ws: &mut Workspace, words: Range<usize>) {
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
    pub(super) unsafe fn blocks<I: Isa>(&self, ws: &mut Workspace, y: usize, words: Range<usize>) {
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
/// whoever follows a visited failure is skipped. `skip` (0 or 1) says whether the first is;
/// the second answer says so for the next word.
///
/// In a run of failures every second one is visited, and the window behind the run is skipped
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_follow_the_plain_rule() {
        let mut rng = fastrand::Rng::with_seed(1);
        for round in 0..3000 {
            let state = rng.u64(..);
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
}
