//! Templates of one byte a value, searched whole: exact, and as fast as memory can be read.
//!
//! A template is scaled so that its largest value is 127 and rounded; two such templates are compared
//! by the cosine of their angle. For vectors of length 1 that ranks as the Euclidean distance does.
//! Rounding moves a similarity by a few thousandths ([`Hit::similarity`]), so who needs the full
//! precision asks for a few hits and compares those again.
//!
//! Rows lie one after the other in blocks of 64 bytes, each value raised by 128: bytes without a sign
//! widen to words in one step on every processor, and what the rise adds, 128 times the sum of the
//! probe, is the same for all rows.

mod dot;

use facelatch_simd::InstructionSet;
use zeroize::Zeroize;

use dot::{BLOCK, Block, Kernel, Probe};

/// What a value of 0 is stored as.
const RISE: u8 = 128;
/// The most values a template may have: the largest sum, 255 * 127 a value, then fits 32 bits.
pub const MAX_VALUES: usize = 65_536;
/// Rows that are multiplied before their results are looked at: their sums stay in the first cache.
const BATCH: usize = 256;

/// A vector as bytes; -127 to 127, the largest of them 127.
///
/// Biometric data: it has no `Debug` and is wiped when dropped.
pub struct Bytes(Vec<i8>);

impl Bytes {
    /// Scales and rounds a vector; `None` when it is empty, longer than `MAX_VALUES`, all zero, or
    /// holds something that is not a finite number.
    pub fn of(values: &[f32]) -> Option<Self> {
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let usable =
            (1..=MAX_VALUES).contains(&values.len()) && values.iter().all(|v| v.is_finite()) && largest > 0.0;
        // Divided first, for a factor of 127 / largest would overflow for the smallest numbers.
        usable.then(|| Bytes(values.iter().map(|v| (v / largest * 127.0).round() as i8).collect()))
    }

    /// Takes bytes as they are, for templates that were stored so; `None` as for [`Bytes::of`], and
    /// when a value is -128, which no template has.
    pub fn stored(values: &[i8]) -> Option<Self> {
        let usable = (1..=MAX_VALUES).contains(&values.len())
            && !values.contains(&-128)
            && values.iter().any(|v| *v != 0);
        usable.then(|| Bytes(values.to_vec()))
    }

    /// The values.
    pub fn values(&self) -> &[i8] {
        &self.0
    }

    /// 1 / length of the vector.
    fn inverse_norm(&self) -> f32 {
        let squares: i64 = self.0.iter().map(|v| i64::from(*v) * i64::from(*v)).sum();
        (1.0 / (squares as f64).sqrt()) as f32
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A row and how alike it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The row, counted from 0 in the order of [`CompactTemplates::push`].
    pub row: usize,
    /// Cosine of the angle between the bytes of row and probe, -1 to 1.
    pub similarity: f32,
}

/// Many templates of one byte a value, in rows.
///
/// Biometric data: `Debug` shows the size only, and the rows are wiped when they are dropped or moved.
pub struct CompactTemplates {
    values: usize,
    blocks: Vec<Block>,
    /// 1 / length of each row.
    scales: Vec<f32>,
    kernel: Kernel,
}

impl CompactTemplates {
    /// None yet, room for `rows` of `values` values each; `values` from 1 to `MAX_VALUES`.
    ///
    /// Rows take `values` bytes, rounded up to 64, and 4 more. Beyond the room that was asked for, it
    /// grows by a sixteenth at a time, so that little is ever unused.
    pub fn with_capacity(values: usize, rows: usize) -> Self {
        let values = values.clamp(1, MAX_VALUES);
        CompactTemplates {
            values,
            blocks: Vec::with_capacity(rows * values.div_ceil(BLOCK)),
            scales: Vec::with_capacity(rows),
            kernel: Kernel::best(),
        }
    }

    /// The same rows, searched with that instruction set; `None` when this processor lacks it or the search
    /// is not written for it.
    pub fn using(mut self, set: InstructionSet) -> Option<Self> {
        self.kernel = Kernel::new(set)?;
        Some(self)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// True without a row.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    /// Bytes allocated for rows.
    pub fn allocated(&self) -> usize {
        self.blocks.capacity() * BLOCK + self.scales.capacity() * size_of::<f32>()
    }

    /// Adds a row; false, and nothing is added, when its number of values is another.
    #[must_use]
    pub fn push(&mut self, template: &Bytes) -> bool {
        if template.0.len() != self.values {
            return false;
        }
        self.make_room();
        for part in template.0.chunks(BLOCK) {
            let mut block = Block([RISE; BLOCK]);
            for (byte, value) in block.0.iter_mut().zip(part) {
                *byte = RISE.wrapping_add_signed(*value);
            }
            self.blocks.push(block);
        }
        self.scales.push(template.inverse_norm());
        true
    }

    fn make_room(&mut self) {
        let per_row = self.values.div_ceil(BLOCK);
        if self.blocks.len() + per_row <= self.blocks.capacity() {
            return;
        }
        let more = (self.len() / 16).max(16);
        // Not by `reserve`, which may leave the old rows behind in freed memory.
        let mut larger = Vec::with_capacity(self.blocks.len() + more * per_row);
        larger.extend_from_slice(&self.blocks);
        wipe(&mut self.blocks);
        self.blocks = larger;
        self.scales.reserve_exact(more);
    }

    /// The `count` rows most like the probe, best first; of equal ones the lower row first.
    ///
    /// Empty when the probe has another number of values. Every row is compared.
    pub fn nearest(&self, probe: &Bytes, count: usize) -> Vec<Hit> {
        let mut best = Best::new(count.min(self.len()));
        if probe.0.len() != self.values || best.count == 0 {
            return Vec::new();
        }
        let per_row = self.values.div_ceil(BLOCK);
        let rise = i32::from(RISE) * probe.0.iter().map(|v| i32::from(*v)).sum::<i32>();
        let prepared = Probe::new(&probe.0);
        let mut dots = [0i32; BATCH];
        let mut ranks = [0f32; BATCH];
        let batches = self.blocks.chunks(BATCH * per_row).zip(self.scales.chunks(BATCH));
        for (n, (rows, scales)) in batches.enumerate() {
            let (dots, ranks) = (&mut dots[..scales.len()], &mut ranks[..scales.len()]);
            self.kernel.dots(rows, &prepared, dots);
            for ((rank, dot), scale) in ranks.iter_mut().zip(&*dots).zip(scales) {
                *rank = (dot - rise) as f32 * scale;
            }
            best.look_at(n * BATCH, ranks);
        }
        let scale = probe.inverse_norm();
        best.hits.iter().map(|hit| Hit { similarity: hit.similarity * scale, ..*hit }).collect()
    }

    /// The row most like the probe; of equal ones the lowest.
    pub fn top(&self, probe: &Bytes) -> Option<Hit> {
        self.nearest(probe, 1).first().copied()
    }
}

impl std::fmt::Debug for CompactTemplates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CompactTemplates({} of {} values, redacted)", self.len(), self.values)
    }
}

impl Drop for CompactTemplates {
    fn drop(&mut self) {
        wipe(&mut self.blocks);
    }
}

fn wipe(blocks: &mut [Block]) {
    blocks.iter_mut().for_each(|block| block.0.zeroize());
}

/// The best hits so far, best first.
struct Best {
    count: usize,
    hits: Vec<Hit>,
}

impl Best {
    fn new(count: usize) -> Self {
        // A row more than is kept, for the moment between entering and leaving.
        Best { count, hits: Vec::with_capacity(count + 1) }
    }

    /// Takes over what is better than the last of the best so far. Rows come in rising order, so that
    /// an equal one never is.
    fn look_at(&mut self, first: usize, ranks: &[f32]) {
        let mut least = self.least();
        for (n, ranks) in ranks.chunks(16).enumerate() {
            // Nearly always false; the compiler makes vector code of it.
            if ranks.iter().fold(f32::NEG_INFINITY, |m, r| if *r > m { *r } else { m }) <= least {
                continue;
            }
            for (row, rank) in (first + 16 * n..).zip(ranks) {
                if *rank > least {
                    let place = self.hits.partition_point(|hit| hit.similarity >= *rank);
                    self.hits.insert(place, Hit { row, similarity: *rank });
                    self.hits.truncate(self.count);
                    least = self.least();
                }
            }
        }
    }

    fn least(&self) -> f32 {
        match self.hits.last() {
            Some(last) if self.hits.len() == self.count => last.similarity,
            _ => f32::NEG_INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every pair compared, all sorted.
    fn naive(rows: &[Vec<i8>], probe: &[i8], count: usize) -> Vec<Hit> {
        let inverse = |v: &[i8]| Bytes::stored(v).unwrap().inverse_norm();
        let mut hits: Vec<Hit> = rows
            .iter()
            .enumerate()
            .map(|(row, t)| {
                let dot: i32 = t.iter().zip(probe).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
                Hit { row, similarity: dot as f32 * inverse(t) * inverse(probe) }
            })
            .collect();
        // Stable: equal ones stay in order. By the rank before the probe's length is divided out,
        // for two ranks may become one by rounding.
        let rank = |hit: &Hit| {
            let t = &rows[hit.row];
            let dot: i32 = t.iter().zip(probe).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            dot as f32 * inverse(t)
        };
        hits.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        hits.truncate(count);
        hits
    }

    fn templates(rows: &[Vec<i8>], values: usize, room: usize) -> CompactTemplates {
        let mut templates = CompactTemplates::with_capacity(values, room);
        for row in rows {
            assert!(templates.push(&Bytes::stored(row).unwrap()));
        }
        templates
    }

    fn row(values: usize) -> impl Strategy<Value = Vec<i8>> {
        // Few different values make ties, large ones sums at the edge of what fits.
        let value = prop_oneof![-127i8..=127, Just(127), Just(-127), -1i8..=1];
        proptest::collection::vec(value, values).prop_map(|mut v| {
            if v.iter().all(|x| *x == 0) {
                v[0] = 1;
            }
            v
        })
    }

    fn case() -> impl Strategy<Value = (Vec<Vec<i8>>, Vec<i8>, usize)> {
        (prop_oneof![1usize..=200, Just(128)], 0usize..=600, 0usize..=9).prop_flat_map(
            |(values, rows, count)| {
                let distinct = proptest::collection::vec(row(values), rows.min(20));
                let order = proptest::collection::vec(0usize..20, rows);
                (distinct, order, row(values), Just(count)).prop_map(|(distinct, order, probe, count)| {
                    let rows = order.iter().map(|n| distinct[n % distinct.len()].clone()).collect();
                    (rows, probe, count)
                })
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_instruction_set_finds_what_the_naive_search_finds((rows, probe, count) in case()) {
            let expected = naive(&rows, &probe, count);
            let probe_bytes = Bytes::stored(&probe).unwrap();
            for set in InstructionSet::ALL {
                let Some(found) = templates(&rows, probe.len(), 0).using(set) else { continue };
                prop_assert_eq!(found.nearest(&probe_bytes, count), expected.clone(), "{}", set.name());
                prop_assert_eq!(found.top(&probe_bytes), naive(&rows, &probe, 1).first().copied());
            }
        }

        #[test]
        fn bytes_keep_the_angle(a in proptest::collection::vec(-1f32..1.0, 128),
                                b in proptest::collection::vec(-1f32..1.0, 128)) {
            let dot = |p: &[f32], q: &[f32]| p.iter().zip(q).map(|(x, y)| x * y).sum::<f32>();
            let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
            let mut one = CompactTemplates::with_capacity(128, 1);
            prop_assert!(one.push(&Bytes::of(&a).unwrap()));
            let hit = one.top(&Bytes::of(&b).unwrap()).unwrap();
            prop_assert!((hit.similarity - cosine).abs() < 0.01, "{} {cosine}", hit.similarity);
        }
    }

    #[test]
    fn the_longest_and_loudest_rows_do_not_overflow() {
        for values in [1, 63, 64, 65, MAX_VALUES] {
            let (high, low) = (vec![127i8; values], vec![-127i8; values]);
            let probe = Bytes::stored(&high).unwrap();
            for set in InstructionSet::ALL {
                let both = templates(&[low.clone(), high.clone()], values, 2);
                let Some(both) = both.using(set) else { continue };
                let hits = both.nearest(&probe, 5);
                assert_eq!(hits.iter().map(|h| h.row).collect::<Vec<_>>(), [1, 0], "{values}");
                assert!((hits[0].similarity - 1.0).abs() < 1e-6 && (hits[1].similarity + 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for odd in [&[][..], &[0.0, 0.0], &[1.0, f32::NAN], &[f32::INFINITY], &vec![1.0; MAX_VALUES + 1]] {
            assert!(Bytes::of(odd).is_none());
        }
        assert!(Bytes::of(&[f32::MIN_POSITIVE / 4.0, 0.0]).is_some_and(|b| b.values() == [127, 0]));
        assert!(Bytes::stored(&[-128, 1]).is_none() && Bytes::stored(&[0]).is_none());
        let mut two = CompactTemplates::with_capacity(2, 0);
        assert!(two.top(&Bytes::of(&[1.0, 0.0]).unwrap()).is_none(), "nobody there");
        assert!(two.push(&Bytes::of(&[1.0, 0.0]).unwrap()));
        assert!(!two.push(&Bytes::of(&[1.0]).unwrap()) && two.len() == 1);
        assert!(two.nearest(&Bytes::of(&[1.0]).unwrap(), 1).is_empty());
        assert_eq!(format!("{two:?}"), "CompactTemplates(1 of 2 values, redacted)");
    }

    #[test]
    fn memory_stays_near_the_raw_size_while_growing() {
        let mut grown = CompactTemplates::with_capacity(128, 0);
        let template = Bytes::of(&[0.5; 128]).unwrap();
        for rows in 1..=20_000usize {
            assert!(grown.push(&template));
            if rows >= 256 {
                assert!(grown.allocated() * 10 <= rows * 128 * 12, "{rows}: {}", grown.allocated());
            }
        }
    }
}
