//! The windows that are left, from anywhere in the level, side by side in blocks of their own.

use super::isa::Isa;
use super::plan::LanePlan;
use super::stage::{verdict, votes};
use super::table::Exact;
use super::workspace::{Survivor, Workspace};

/// A packed block continues while more than this part of its lanes is alive.
const KEEP_PACKED: usize = 4;

/// Takes the queued windows through their remaining stages in packed blocks; leaves the hits.
#[inline(always)]
pub(super) unsafe fn survivors<I: Isa>(
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
                    let norm = I::load_norms(norms.as_ptr());
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
