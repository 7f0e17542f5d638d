//! The level's pixels, reduced from the picture as far down as the scan has come.

use super::super::pyramid::Level;
use super::contrast::{MAP_PADDING, Map};
use super::isa::Isa;
use super::workspace::Workspace;
use crate::picture::GrayView;

/// Pixels from one row of the reduced picture to the next: loops over a row do whole vectors. What is
/// behind the level's last column is of no consequence.
pub(super) fn row_length(level: &Level) -> usize {
    level.width.next_multiple_of(MAP_PADDING)
}

/// Reduces `picture` to rows `from..to` of the level, into `ws.reduced`, as far as they are not there.
#[inline(always)]
pub(super) fn reduce<I: Isa>(
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
