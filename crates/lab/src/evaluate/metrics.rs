//! What the scores of many pairs say: accuracy, ROC, equal error rate.
//!
//! FMR, the false-match rate, is the share of impostor pairs at or above a threshold; FNMR, the
//! false-non-match rate, the share of genuine pairs below it; TAR = 1 - FNMR. All are per comparison
//! of two pictures (ISO/IEC 19795-1).
//!
//! A pair of which one picture shows no face has no score. It counts as an error in every accuracy,
//! whichever kind it is. In the rates, which ask who is let in, it is a comparison that never matches.

use std::collections::BTreeMap;

use serde::Serialize;

use super::intervals::clopper_pearson;

/// The false-match rates that are reported where there are enough impostor pairs.
const RATES: [(&str, f64); 4] = [("0.1", 0.1), ("0.01", 0.01), ("0.001", 0.001), ("0.0001", 0.0001)];
/// Resamples for the bootstrap intervals of AUC and EER, fewer for many pairs.
const RESAMPLES: usize = 1000;
const FOLDS: usize = 10;

/// The result of one comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairScore {
    /// Whether both pictures are of one person.
    pub genuine: bool,
    /// The similarity; `None` when a picture shows no face.
    pub similarity: Option<f32>,
}

/// What many comparisons say. Intervals are 95 %: Clopper–Pearson for shares, percentile bootstrap
/// over pairs for AUC and EER.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluationReport {
    /// Number of pairs.
    pub pairs: usize,
    /// Of these, of one person.
    pub genuine: usize,
    /// Of these, of two people.
    pub impostor: usize,
    /// Pairs of which a picture shows no face: errors.
    pub undetected: usize,
    /// Share of pairs classified correctly, by LFW's protocol: the threshold for each tenth of the pairs is
    /// the best one of the other nine tenths.
    pub accuracy: f64,
    /// Its interval.
    pub accuracy_interval: (f64, f64),
    /// The mean of those thresholds.
    pub accuracy_threshold: f64,
    /// Share of pairs classified correctly at `threshold`.
    pub accuracy_at_threshold: f64,
    /// Its interval.
    pub accuracy_at_threshold_interval: (f64, f64),
    /// Chance that a genuine pair is more alike than an impostor pair.
    pub auc: Option<f64>,
    /// Its interval.
    pub auc_interval: Option<(f64, f64)>,
    /// The rate at which FMR and FNMR are equal.
    pub eer: Option<f64>,
    /// Its interval.
    pub eer_interval: Option<(f64, f64)>,
    /// Share of genuine pairs matched at the lowest threshold with at most this FMR on these pairs.
    pub tar_at_fmr: BTreeMap<String, f64>,
    /// Their intervals, for that threshold.
    pub tar_at_fmr_interval: BTreeMap<String, (f64, f64)>,
    /// Those thresholds.
    pub threshold_at_fmr: BTreeMap<String, f64>,
    /// The model card's threshold, at or above which two faces match.
    pub threshold: f64,
    /// FMR at `threshold`.
    pub fmr_at_threshold: Option<f64>,
    /// Its interval.
    pub fmr_at_threshold_interval: (f64, f64),
    /// FNMR at `threshold`.
    pub fnmr_at_threshold: Option<f64>,
    /// Its interval.
    pub fnmr_at_threshold_interval: (f64, f64),
    /// Mean distance (1 - similarity) of the genuine pairs with a score.
    pub mean_genuine_distance: Option<f64>,
    /// Mean distance of the impostor pairs with a score.
    pub mean_impostor_distance: Option<f64>,
}

impl EvaluationReport {
    /// What the scores say; `threshold` is the model card's.
    pub fn new(scores: &[PairScore], threshold: f32) -> EvaluationReport {
        let threshold = f64::from(threshold);
        let split = Split::new(scores);
        let (folded, accuracy_threshold) = cross_validated(scores);
        let at_threshold = scores.iter().filter(|s| right(s, threshold)).count();
        let n = scores.len();
        let share = |k: usize, n: usize| if n == 0 { 0.0 } else { k as f64 / n as f64 };
        let curve = split.curve();
        let both = split.impostor_count > 0 && split.genuine_count > 0;
        let mut report = EvaluationReport {
            pairs: n,
            genuine: split.genuine_count,
            impostor: n - split.genuine_count,
            undetected: scores.iter().filter(|s| s.similarity.is_none()).count(),
            accuracy: share(folded, n),
            accuracy_interval: clopper_pearson(folded, n),
            accuracy_threshold,
            accuracy_at_threshold: share(at_threshold, n),
            accuracy_at_threshold_interval: clopper_pearson(at_threshold, n),
            auc: both.then(|| split.auc()),
            auc_interval: None,
            eer: both.then(|| equal_error(&curve)),
            eer_interval: None,
            tar_at_fmr: BTreeMap::new(),
            tar_at_fmr_interval: BTreeMap::new(),
            threshold_at_fmr: BTreeMap::new(),
            threshold,
            fmr_at_threshold: (split.impostor_count > 0).then(|| split.fmr(threshold)),
            fmr_at_threshold_interval: clopper_pearson(split.false_matches(threshold), split.impostor_count),
            fnmr_at_threshold: (split.genuine_count > 0).then(|| 1.0 - split.tar(threshold)),
            fnmr_at_threshold_interval: clopper_pearson(
                split.genuine_count - split.matches(threshold),
                split.genuine_count,
            ),
            mean_genuine_distance: mean_distance(&split.genuine),
            mean_impostor_distance: mean_distance(&split.impostor),
        };
        if both {
            let (auc, eer) = split.bootstrap();
            report.auc_interval = Some(auc);
            report.eer_interval = Some(eer);
            for (name, fmr) in RATES {
                // Fewer impostors than 1/FMR cannot show that rate.
                if (split.impostor_count as f64) * fmr < 1.0 - 1e-9 {
                    continue;
                }
                let at = split.threshold_at(fmr);
                let matched = split.matches(at);
                report.tar_at_fmr.insert(name.into(), share(matched, split.genuine_count));
                report.tar_at_fmr_interval.insert(name.into(), clopper_pearson(matched, split.genuine_count));
                report.threshold_at_fmr.insert(name.into(), at);
            }
        }
        report
    }
}

/// Whether a pair is classified correctly at a threshold; one without a score never is.
fn right(score: &PairScore, threshold: f64) -> bool {
    score.similarity.is_some_and(|s| (f64::from(s) >= threshold) == score.genuine)
}

fn mean_distance(similarities: &[f64]) -> Option<f64> {
    let n = similarities.len() as f64;
    (!similarities.is_empty()).then(|| similarities.iter().map(|s| 1.0 - s).sum::<f64>() / n)
}

/// A point of the ROC: the rates at a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operating {
    /// At or above this similarity two faces match.
    pub threshold: f64,
    /// Share of impostor pairs that match.
    pub fmr: f64,
    /// Share of genuine pairs that do not.
    pub fnmr: f64,
}

/// The rates at every threshold that changes them, from the strictest (nothing matches) down.
pub fn operating_points(scores: &[PairScore]) -> Vec<Operating> {
    Split::new(scores).curve()
}

/// The scores of each kind, ascending.
struct Split {
    genuine: Vec<f64>,
    impostor: Vec<f64>,
    /// Genuine pairs with and without a score.
    genuine_count: usize,
    /// Impostor pairs with and without a score.
    impostor_count: usize,
}

impl Split {
    fn new(scores: &[PairScore]) -> Split {
        let pick = |genuine: bool| {
            let mut v: Vec<f64> = scores
                .iter()
                .filter(|s| s.genuine == genuine)
                .filter_map(|s| s.similarity.map(f64::from))
                .collect();
            v.sort_by(f64::total_cmp);
            v
        };
        Split {
            genuine: pick(true),
            impostor: pick(false),
            genuine_count: scores.iter().filter(|s| s.genuine).count(),
            impostor_count: scores.iter().filter(|s| !s.genuine).count(),
        }
    }

    fn matches(&self, threshold: f64) -> usize {
        self.genuine.len() - self.genuine.partition_point(|s| *s < threshold)
    }

    fn false_matches(&self, threshold: f64) -> usize {
        self.impostor.len() - self.impostor.partition_point(|s| *s < threshold)
    }

    fn tar(&self, threshold: f64) -> f64 {
        self.matches(threshold) as f64 / self.genuine_count.max(1) as f64
    }

    fn fmr(&self, threshold: f64) -> f64 {
        self.false_matches(threshold) as f64 / self.impostor_count.max(1) as f64
    }

    /// The lowest threshold, among the scores and just above each, with at most this FMR.
    fn threshold_at(&self, fmr: f64) -> f64 {
        let n = self.impostor.len();
        let allowed = (self.impostor_count as f64 * fmr + 1e-9).floor() as usize;
        if allowed >= n {
            return self.impostor.first().copied().unwrap_or(f64::NEG_INFINITY);
        }
        // The first impostor that must not match; the threshold is the next similarity above it.
        f64::from((self.impostor[n - 1 - allowed] as f32).next_up())
    }

    fn curve(&self) -> Vec<Operating> {
        let mut thresholds: Vec<f64> = self.genuine.iter().chain(&self.impostor).copied().collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let strictest = thresholds.first().map_or(f64::INFINITY, |t| f64::from((*t as f32).next_up()));
        std::iter::once(strictest)
            .chain(thresholds)
            .map(|threshold| Operating {
                threshold,
                fmr: self.fmr(threshold),
                fnmr: 1.0 - self.tar(threshold),
            })
            .collect()
    }

    /// The Mann–Whitney statistic: ties count half, pairs without a score are below all others.
    fn auc(&self) -> f64 {
        let unseen_genuine = (self.genuine_count - self.genuine.len()) as f64;
        let unseen_impostor = (self.impostor_count - self.impostor.len()) as f64;
        let wins: f64 = self
            .genuine
            .iter()
            .map(|g| {
                let below = self.impostor.partition_point(|i| i < g);
                let not_above = self.impostor.partition_point(|i| i <= g);
                (below + not_above) as f64 / 2.0
            })
            .sum();
        let over_unseen = (self.genuine.len() as f64 + unseen_genuine / 2.0) * unseen_impostor;
        (wins + over_unseen) / (self.genuine_count as f64 * self.impostor_count as f64)
    }

    /// Intervals for AUC and EER: percentiles over resampled pairs of each kind, with a fixed seed.
    fn bootstrap(&self) -> ((f64, f64), (f64, f64)) {
        let n = self.genuine_count + self.impostor_count;
        let rounds = (100_000_000 / n.max(1)).clamp(100, RESAMPLES);
        let mut random = SplitMix(0x5eed);
        let (mut aucs, mut eers) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
        for _ in 0..rounds {
            let mut sample = Split {
                genuine: Vec::with_capacity(self.genuine.len()),
                impostor: Vec::with_capacity(self.impostor.len()),
                genuine_count: self.genuine_count,
                impostor_count: self.impostor_count,
            };
            // Indices beyond the scores stand for the pairs without one.
            for _ in 0..self.genuine_count {
                sample.genuine.extend(self.genuine.get(random.below(self.genuine_count)));
            }
            for _ in 0..self.impostor_count {
                sample.impostor.extend(self.impostor.get(random.below(self.impostor_count)));
            }
            sample.genuine.sort_by(f64::total_cmp);
            sample.impostor.sort_by(f64::total_cmp);
            aucs.push(sample.auc());
            eers.push(equal_error(&sample.curve()));
        }
        (percentiles(aucs), percentiles(eers))
    }
}

/// The rate where the FMR and FNMR curves cross, the mean of both at the nearest threshold.
fn equal_error(curve: &[Operating]) -> f64 {
    curve
        .iter()
        .min_by(|a, b| (a.fmr - a.fnmr).abs().total_cmp(&(b.fmr - b.fnmr).abs()))
        .map_or(0.0, |o| (o.fmr + o.fnmr) / 2.0)
}

fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at =
        |p: f64| values.get((p * values.len() as f64) as usize).or(values.last()).copied().unwrap_or(0.0);
    (at(0.025), at(0.975))
}

/// LFW's protocol on one list: the pairs of each kind are cut in their order into tenths (pairs of
/// one person mostly stay together), and each tenth is judged by the threshold that is best on the other
/// nine. Returns how many pairs are classified correctly, and the mean threshold.
fn cross_validated(scores: &[PairScore]) -> (usize, f64) {
    let count = |genuine: bool| scores.iter().filter(|s| s.genuine == genuine).count();
    let (genuine, impostor) = (count(true), count(false));
    let folds = FOLDS.min(genuine.max(1)).min(impostor.max(1));
    let mut seen = [0usize; 2];
    let fold_of: Vec<usize> = scores
        .iter()
        .map(|s| {
            let kind = usize::from(s.genuine);
            let fold = seen[kind] * folds / [impostor, genuine][kind];
            seen[kind] += 1;
            fold
        })
        .collect();
    let mut order: Vec<usize> = (0..scores.len()).filter(|i| scores[*i].similarity.is_some()).collect();
    order.sort_by(|a, b| {
        let similarity = |i: &usize| scores[*i].similarity.unwrap_or(f32::NEG_INFINITY);
        similarity(a).total_cmp(&similarity(b))
    });
    let (mut rightly, mut sum) = (0, 0.0);
    for fold in 0..folds {
        // With a single fold there is nothing to hold back: the best threshold of all.
        let training = order.iter().filter(|i| folds == 1 || fold_of[**i] != fold).map(|i| scores[*i]);
        let threshold = best_threshold(&training.collect::<Vec<_>>());
        sum += threshold;
        rightly += (0..scores.len()).filter(|i| fold_of[*i] == fold && right(&scores[*i], threshold)).count();
    }
    (rightly, if folds == 0 { 0.0 } else { sum / folds as f64 })
}

/// The threshold that tells most of the scores (ascending) rightly: half way between two of them, and
/// in the middle of the thresholds that are equally good.
fn best_threshold(ascending: &[PairScore]) -> f64 {
    let value = |s: &PairScore| f64::from(s.similarity.unwrap_or(f32::NEG_INFINITY));
    let (Some(first), Some(last)) = (ascending.first(), ascending.last()) else { return 0.0 };
    // Below all of them every pair matches.
    let mut correct = ascending.iter().filter(|s| s.genuine).count();
    let mut best = correct;
    let mut ties = vec![value(first) - 1e-6];
    for (index, score) in ascending.iter().enumerate() {
        if score.genuine {
            correct -= 1;
        } else {
            correct += 1;
        }
        let next = ascending.get(index + 1);
        if next.is_some_and(|n| value(n) == value(score)) {
            continue;
        }
        let threshold = next.map_or(value(last) + 1e-6, |n| (value(score) + value(n)) / 2.0);
        if correct > best {
            best = correct;
            ties.clear();
        }
        if correct == best {
            ties.push(threshold);
        }
    }
    ties[ties.len() / 2]
}

/// A small random generator (Steele, Lea and Flood, OOPSLA 2014) for reproducible resampling.
pub(super) struct SplitMix(u64);

impl SplitMix {
    #[cfg(test)]
    pub(super) fn new(seed: u64) -> Self {
        SplitMix(seed)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(genuine: &[f32], impostor: &[f32]) -> Vec<PairScore> {
        let with =
            |genuine: bool| move |s: &f32| PairScore { genuine, similarity: s.is_finite().then_some(*s) };
        genuine.iter().map(with(true)).chain(impostor.iter().map(with(false))).collect()
    }

    #[test]
    fn perfect_separation() {
        let genuine: Vec<f32> = (0..20).map(|i| 0.6 + i as f32 / 100.0).collect();
        let impostor: Vec<f32> = (0..100).map(|i| i as f32 / 250.0).collect();
        let r = EvaluationReport::new(&scores(&genuine, &impostor), 0.5);
        assert_eq!((r.pairs, r.genuine, r.impostor, r.undetected), (120, 20, 100, 0));
        assert_eq!((r.accuracy, r.accuracy_at_threshold), (1.0, 1.0));
        assert_eq!((r.auc, r.eer), (Some(1.0), Some(0.0)));
        assert_eq!(r.tar_at_fmr["0.1"], 1.0);
        assert_eq!(r.tar_at_fmr["0.01"], 1.0);
        assert!(!r.tar_at_fmr.contains_key("0.001"), "100 impostors cannot show 0.1 %");
        assert_eq!(r.fmr_at_threshold_interval, clopper_pearson(0, 100));
        assert!((r.accuracy_threshold - 0.5).abs() < 0.01, "{}", r.accuracy_threshold);
    }

    #[test]
    fn known_rates_by_hand() {
        // Ten impostors 0.0..0.9, ten genuine 0.45..1.35.
        let impostor: Vec<f32> = (0..10).map(|i| i as f32 / 10.0).collect();
        let genuine: Vec<f32> = (0..10).map(|i| 0.45 + i as f32 / 10.0).collect();
        let s = scores(&genuine, &impostor);
        let r = EvaluationReport::new(&s, 0.65);
        assert_eq!(r.fmr_at_threshold, Some(0.3));
        assert!((r.fnmr_at_threshold.unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(r.accuracy_at_threshold, 0.75);
        // One false match is allowed: the threshold lies just above 0.8.
        assert_eq!(r.threshold_at_fmr["0.1"], f64::from(0.8f32.next_up()));
        assert_eq!(r.tar_at_fmr["0.1"], 0.6);
        // Genuine i is above 5 + i impostors for i in 0..5, above all ten from then on.
        assert!((r.auc.unwrap() - (5.0 + 6.0 + 7.0 + 8.0 + 9.0 + 50.0) / 100.0).abs() < 1e-12);
        assert!((r.eer.unwrap() - 0.25).abs() < 0.051);
    }

    #[test]
    fn pairs_without_a_face_are_errors() {
        let none = f32::NAN;
        let genuine = [0.9, 0.9, 0.9, none];
        let impostor = [0.1, 0.1, 0.1, 0.1, 0.1, none];
        let r = EvaluationReport::new(&scores(&genuine, &impostor), 0.5);
        assert_eq!(r.undetected, 2);
        assert_eq!(r.accuracy, 0.8);
        assert_eq!(r.accuracy_at_threshold, 0.8);
        // Three genuine pairs beat all six impostors, the unseen one ties with the unseen impostor.
        assert_eq!(r.auc, Some((3.0 * 6.0 + 0.5) / 24.0));
        assert_eq!(r.fnmr_at_threshold, Some(0.25));
        assert_eq!(r.fmr_at_threshold, Some(0.0));
        assert_eq!(r.fmr_at_threshold_interval, clopper_pearson(0, 6));
    }

    #[test]
    fn ties_count_half() {
        let r = EvaluationReport::new(&scores(&[0.5; 10], &[0.5; 10]), 0.5);
        assert_eq!(r.auc, Some(0.5));
        assert_eq!(r.accuracy, 0.5);
        assert_eq!(r.tar_at_fmr["0.1"], 0.0);
    }

    #[test]
    fn one_kind_alone_is_reported_without_curves() {
        let r = EvaluationReport::new(&scores(&[0.9, 0.2], &[]), 0.5);
        assert_eq!(r.accuracy_at_threshold, 0.5);
        assert_eq!((r.auc, r.eer, r.fmr_at_threshold), (None, None, None));
        assert!(r.tar_at_fmr.is_empty());
        let r = EvaluationReport::new(&scores(&[], &[0.9, 0.2, 0.1]), 0.5);
        assert_eq!(r.fmr_at_threshold, Some(1.0 / 3.0));
        assert_eq!(EvaluationReport::new(&[], 0.5).pairs, 0);
    }

    #[test]
    fn the_curve_runs_from_nothing_to_everything() {
        let s = scores(&[0.4, 0.6, f32::NAN], &[0.5, 0.1]);
        let curve = operating_points(&s);
        let (first, last) = (curve[0], curve[curve.len() - 1]);
        assert_eq!((first.fmr, first.fnmr), (0.0, 1.0));
        assert_eq!(last.fmr, 1.0);
        assert!((last.fnmr - 1.0 / 3.0).abs() < 1e-12, "the pair without a face never matches");
        assert!(curve.windows(2).all(|p| p[0].fmr <= p[1].fmr && p[0].fnmr >= p[1].fnmr));
    }

    #[test]
    fn folds_hold_their_pairs_back() {
        // A single odd genuine pair below all impostors cannot lower the threshold that tells it.
        let genuine: Vec<f32> = (0..30).map(|i| if i == 7 { 0.0 } else { 0.8 }).collect();
        let r = EvaluationReport::new(&scores(&genuine, &[0.2; 30]), 0.5);
        assert_eq!(r.accuracy, 59.0 / 60.0);
        assert!((r.accuracy_threshold - 0.5).abs() < 1e-6);
    }
}
