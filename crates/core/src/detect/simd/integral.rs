//! The integral image of a level, as far down as the scan has come.

use super::super::pyramid::Level;
use super::isa::Isa;
use super::layout::SLACK;
use super::plan::LanePlan;
use super::reduce::row_length;
use super::workspace::Workspace;

/// Which rows of the level's integral image are there: they are made as the scan gets to them, and
/// not at all where no window has contrast.
pub(super) struct PlaneRows {
    ready: usize,
}

impl PlaneRows {
    /// Makes room for the level; with tilted features, which are summed from the top, all is done
    /// at once.
    #[inline(always)]
    pub(super) fn start(plan: &LanePlan, ws: &mut Workspace, level: &Level) -> Self {
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
    pub(super) fn reach<I: Isa>(
        &mut self,
        plan: &LanePlan,
        ws: &mut Workspace,
        level: &Level,
        from: usize,
        to: usize,
    ) {
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
