//! One stage of the cascade for one or two blocks of windows: votes, and what they amount to.

use super::isa::Isa;
use super::table::{self, Form, LaneStage, Next, Table};

macro_rules! at {
    ($isa:ty, $base:expr, $at:expr) => {
        <$isa>::load($base.add($at as usize))
    };
}

/// The sums of votes of one stage for `N` blocks of windows whose corners lie from their `base` on.
///
/// Two blocks at a time share the look-ups in the table.
#[inline(always)]
pub(super) unsafe fn votes<I: Isa, const N: usize>(
    table: &Table,
    stage: &LaneStage,
    base: [*const u16; N],
    norm: [I::Accumulator; N],
) -> [I::Vector; N] {
    // SAFETY: the caller vouches for the instruction set and for every corner of every lane.
    unsafe {
        let mut sum = [I::splat(stage.base); N];
        macro_rules! vote {
            ($k:expr, $value:expr, $stump:expr) => {
                let left = I::scaled_cmp_lt($value, norm[$k], $stump.threshold);
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
        for (list, flip) in [
            (&table.nine[stage.nine.clone()], false),
            (&table.nine_inverted[stage.nine_inverted.clone()], true),
        ] {
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
    norm: I::Accumulator,
    threshold: f32,
) -> I::Vector {
    // SAFETY: as `votes`.
    unsafe {
        match form {
            Form::Points(range) => {
                let mut value = I::splat(0);
                for p in &table.points[range.clone()] {
                    value = I::add(value, I::mul(at!(I, base, p.at), I::splat(p.weight)));
                }
                I::scaled_cmp_lt(value, norm, threshold)
            }
            Form::Parts(range) => {
                let mut value = I::zero_sum();
                for p in &table.parts[range.clone()] {
                    let part = I::sub(
                        I::add(at!(I, base, p.at[0]), at!(I, base, p.at[3])),
                        I::add(at!(I, base, p.at[1]), at!(I, base, p.at[2])),
                    );
                    value = I::accumulate(value, part, p.weight);
                }
                I::sum_cmp_lt(value, norm, threshold)
            }
        }
    }
}

/// Which lanes pass: bits of `asked` whose votes suffice; `again` answers for the doubtful ones.
#[inline(always)]
pub(super) unsafe fn verdict<I: Isa>(
    sum: I::Vector,
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
        (
            I::cmp_lt_bits(sum, I::splat(pair(stage.fail_below))),
            I::cmp_lt_bits(sum, I::splat(pair(stage.pass_from))),
        )
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
