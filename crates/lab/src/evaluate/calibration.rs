//! What trials of known people say about a door, and what they are too few to say.
//!
//! A trial is a comparison (rates FMR and FNMR) or a whole attempt by the 15-frame rule (FAR and FRR). An
//! error rate is the share of trials that go wrong. Its interval counts **independent** trials only:
//!
//! * All trials of one unit count as one, however many there are. A unit is a person for FNMR, two people
//!   for FMR, a stranger for FAR, and an attempt for FRR (the people enrolled are the door's own, not a
//!   sample of others).
//! * Units that share a person (Ada and Bob, Ada and Eve) may go wrong together. How much they do is
//!   estimated from the errors, and lowers the count further where it shows; without errors it cannot.
//!
//! The interval is Clopper and Pearson's for that count. A claim, "at most the target", is one-sided: it
//! is made where the chance of being wrong is at most 5 %. For a threshold chosen by this rule among the
//! impostors' scores that chance is exact, for independent trials: the rate above the k-th highest of n
//! scores is beta distributed (Wilks, Annals of Mathematical Statistics 12, 1941).

use std::collections::BTreeMap;

use serde::Serialize;

use super::intervals::{clopper_pearson_of_share, trials_needed, upper_bound};

/// The chance of a wrong claim.
const RISK: f64 = 0.05;

/// Which trials are not independent: those with the same pair of numbers.
///
/// Two people's numbers, or one number twice for a unit of its own.
pub type Unit = (usize, usize);

/// A comparison or an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// What it belongs to.
    pub unit: Unit,
    /// The similarity that it reached; `None` for what matches at no threshold.
    pub score: Option<f32>,
}

/// An error rate at a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Trials that went wrong.
    pub errors: usize,
    /// Trials.
    pub trials: usize,
    /// How many independent trials they are worth.
    pub independent: f64,
    /// `errors / trials`.
    pub share: f64,
    /// The 95 % interval.
    pub interval: (f64, f64),
}

/// A threshold for which a target can be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// The rate wanted.
    pub target: f64,
    /// From this similarity on it holds.
    pub threshold: f64,
    /// The rate of these trials there.
    pub rate: Rate,
    /// The rate is at most this with 95 % confidence: no more than the target.
    pub at_most: f64,
}

/// Why a target cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, thiserror::Error)]
#[error(
    "sample too small to show a rate of at most {target}: {independent:.0} independent trials, {needed} needed \
     with no errors; the lowest rate that these can show is {least:.2e}"
)]
pub struct Unsupported {
    /// The rate wanted.
    pub target: f64,
    /// What the trials are worth.
    pub independent: f64,
    /// Independent trials without an error that it would take.
    pub needed: u64,
    /// The least rate that as many trials without an error would support.
    pub least: f64,
}

/// Trials of one kind: all of them genuine, or all of them impostors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trials(Vec<Trial>);

impl FromIterator<Trial> for Trials {
    /// A score that is not a number matches at no threshold.
    fn from_iter<I: IntoIterator<Item = Trial>>(trials: I) -> Self {
        let tame = |t: Trial| Trial { score: t.score.filter(|s| !s.is_nan()), ..t };
        Trials(trials.into_iter().map(tame).collect())
    }
}

impl Trials {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their scores.
    pub fn scores(&self) -> impl Iterator<Item = Option<f32>> {
        self.0.iter().map(|t| t.score)
    }

    /// The units that they belong to.
    pub fn units(&self) -> usize {
        self.0.iter().map(|t| t.unit).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// The share at or above `threshold`: of impostors FMR or FAR. `None` without a trial.
    pub fn accepted(&self, threshold: f64) -> Option<Rate> {
        self.rate(|score| score.is_some_and(|s| f64::from(s) >= threshold))
    }

    /// The share below `threshold`: of genuine trials FNMR or FRR. `None` without a trial.
    pub fn rejected(&self, threshold: f64) -> Option<Rate> {
        self.rate(|score| !score.is_some_and(|s| f64::from(s) >= threshold))
    }

    fn rate(&self, is_error: impl Fn(Option<f32>) -> bool) -> Option<Rate> {
        let trials = self.0.len();
        if trials == 0 {
            return None;
        }
        let mut units: BTreeMap<Unit, (usize, usize)> = BTreeMap::new();
        for trial in &self.0 {
            let (errors, of) = units.entry(trial.unit).or_default();
            *errors += usize::from(is_error(trial.score));
            *of += 1;
        }
        let errors = units.values().map(|(errors, _)| errors).sum();
        let share = errors as f64 / trials as f64;
        let independent = independent(&units, share);
        let interval = clopper_pearson_of_share(share, independent);
        Some(Rate { errors, trials, independent, share, interval })
    }

    /// The lowest threshold for which these impostors support that at most `target` of all impostors are
    /// accepted.
    ///
    /// # Errors
    /// When they are too few for the target even without an error.
    pub fn threshold_for(&self, target: f64) -> Result<Claim, Unsupported> {
        let units = self.units() as f64;
        let refused = |independent| Unsupported {
            target,
            independent,
            needed: trials_needed(target).unwrap_or(u64::MAX),
            least: if independent > 0.0 { upper_bound(0.0, independent, RISK) } else { 1.0 },
        };
        let mut scores: Vec<f32> = self.scores().flatten().collect();
        scores.sort_by(f32::total_cmp);
        scores.dedup();
        let claim = |threshold: f64| -> Option<Claim> {
            let rate = self.accepted(threshold)?;
            let at_most = upper_bound(rate.share * rate.independent, rate.independent, RISK);
            (at_most <= target).then_some(Claim { target, threshold, rate, at_most })
        };
        // Just above a score that must be refused; the highest of them refuses all.
        let candidates: Vec<f64> = scores.iter().map(|s| f64::from(s.next_up())).collect();
        if candidates.is_empty() {
            let nothing = if self.is_empty() { None } else { claim(f64::INFINITY) };
            return nothing.ok_or(refused(units));
        }
        // The bound falls with the threshold but for small steps of the effective count: the search
        // halves, then makes sure.
        let mut at = candidates.partition_point(|t| claim(*t).is_none());
        while at < candidates.len() {
            if let Some(claim) = claim(candidates[at]) {
                return Ok(claim);
            }
            at += 1;
        }
        Err(refused(units))
    }
}

/// How many independent trials the units are worth: their number, or less where those that share a
/// person go wrong together (the variance of a mean over pairs, Aronow, Samii and Assenova, Political
/// Analysis 23, 2015).
fn independent(units: &BTreeMap<Unit, (usize, usize)>, share: f64) -> f64 {
    let n = units.len() as f64;
    let per_unit = units.values().map(|(_, of)| *of as f64).sum::<f64>() / n;
    let mut people: BTreeMap<usize, f64> = BTreeMap::new();
    let mut variance = 0.0;
    for ((a, b), (errors, of)) in units {
        let off = (*errors as f64 - share * *of as f64) / per_unit;
        *people.entry(*a).or_default() += off;
        if a != b {
            *people.entry(*b).or_default() += off;
            // Counted with either person.
            variance -= off * off;
        }
    }
    variance += people.values().map(|off| off * off).sum::<f64>();
    variance /= n * n;
    let spread = share * (1.0 - share);
    if spread <= 0.0 || variance <= 0.0 { n } else { (spread / variance).clamp(1.0, n) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::metrics::SplitMix;

    /// A normal deviate (Box and Muller).
    fn normal(random: &mut SplitMix) -> f64 {
        let uniform = |random: &mut SplitMix| (random.below(1 << 53) as f64 + 0.5) / (1u64 << 53) as f64;
        let (u, v) = (uniform(random), uniform(random));
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }

    /// The normal distribution's share above `x`, by Simpson's rule.
    fn above(x: f64) -> f64 {
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let (steps, end) = (2_000, 12.0);
        let h = (end - x) / f64::from(steps);
        let sum: f64 = (0..=steps)
            .map(|i| {
                let weight = match i {
                    0 => 1.0,
                    i if i == steps => 1.0,
                    i if i % 2 == 1 => 4.0,
                    _ => 2.0,
                };
                weight * density(x + h * f64::from(i))
            })
            .sum();
        sum * h / 3.0
    }

    fn people(score: &mut impl FnMut(usize, usize) -> f64, people: usize, each: usize) -> Trials {
        (0..people)
            .flat_map(|p| std::iter::repeat_n(p, each))
            .map(|p| Trial { unit: (p, p), score: Some(score(p, p) as f32) })
            .collect()
    }

    fn pairs(score: &mut impl FnMut(usize, usize) -> f64, people: usize) -> Trials {
        (0..people)
            .flat_map(|a| (a + 1..people).map(move |b| (a, b)))
            .map(|(a, b)| Trial { unit: (a, b), score: Some(score(a, b) as f32) })
            .collect()
    }

    const RUNS: usize = 1_000;

    /// The share of runs whose interval holds the truth.
    fn coverage(truth: f64, mut run: impl FnMut(&mut SplitMix) -> Rate) -> f64 {
        let mut random = SplitMix::new(7);
        let held = (0..RUNS)
            .filter(|_| {
                let (low, high) = run(&mut random).interval;
                (low..=high).contains(&truth)
            })
            .count();
        held as f64 / RUNS as f64
    }

    /// Genuine scores are N(0.5, 0.2), impostors' N(-0.4, 0.2); the rates at a threshold are known.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        println!("coverage of the 95 % intervals in {RUNS} runs each:");
        let genuine = |r: &mut SplitMix| 0.5 + 0.2 * normal(r);
        let impostor = |r: &mut SplitMix| -0.4 + 0.2 * normal(r);
        let mut independent = Vec::new();
        for (threshold, n) in [(0.3, 1_000), (0.1, 10_000), (0.5, 400)] {
            let (fnmr, far) = (above((0.5 - threshold) / 0.2), above((threshold + 0.4) / 0.2));
            let got = coverage(fnmr, |r| people(&mut |_, _| genuine(r), n, 1).rejected(threshold).unwrap());
            println!("  FNMR or FRR {fnmr:.5}, {n} people or attempts: {:.1} %", got * 100.0);
            independent.push((fnmr * n as f64, got));
            let got = coverage(far, |r| people(&mut |_, _| impostor(r), n, 1).accepted(threshold).unwrap());
            println!(
                "  FAR {far:.5}, {n} strangers, {:.1} false accepts expected: {:.1} %",
                far * n as f64,
                got * 100.0
            );
            independent.push((far * n as f64, got));
        }
        for (threshold, n) in [(-0.2, 60), (-0.1, 150)] {
            let fmr = above((threshold + 0.4) / 0.2);
            let got = coverage(fmr, |r| pairs(&mut |_, _| impostor(r), n).accepted(threshold).unwrap());
            println!("  FMR {fmr:.5}, {} pairs of {n} people: {:.1} %", n * (n - 1) / 2, got * 100.0);
            independent.push((fmr * (n * (n - 1) / 2) as f64, got));
        }
        for (expected, got) in independent {
            // Counts are whole: with few errors expected no interval can be wrong just 5 % of the time, and
            // Clopper and Pearson's errs on the safe side.
            let most = if expected >= 50.0 { 0.97 } else { 1.0 };
            assert!((0.93..=most).contains(&got), "{expected} errors expected: {got}");
        }
    }

    /// The threshold that is said to hold a target does so in all but 5 % of the runs.
    #[test]
    fn claimed_targets_hold() {
        let impostor = |r: &mut SplitMix| -0.4 + 0.2 * normal(r);
        for (target, n) in [(0.05, 400), (0.01, 1_000)] {
            let mut random = SplitMix::new(11);
            let held = (0..RUNS)
                .filter(|_| {
                    let trials = people(&mut |_, _| impostor(&mut random), n, 1);
                    let claim = trials.threshold_for(target).unwrap();
                    assert!(claim.at_most <= target);
                    above((claim.threshold + 0.4) / 0.2) <= target
                })
                .count();
            println!("target {target}, {n} strangers: held in {held} of {RUNS} runs");
            // Only whole errors can be allowed, so that the risk is 5 % at most, and a little less.
            assert!((0.93..=0.995).contains(&(held as f64 / RUNS as f64)), "{held}");
        }
    }

    /// Whether an interval that took every comparison for a trial would hold the true rate.
    fn naive_holds(rate: &Rate, truth: f64) -> bool {
        let (low, high) = clopper_pearson_of_share(rate.share, rate.trials as f64);
        (low..=high).contains(&truth)
    }

    /// Comparisons of one person are alike, and some people are easily mistaken for others: counting
    /// comparisons would be wrong more often than the interval says.
    #[test]
    fn what_goes_wrong_together_counts_once() {
        let (count, each) = (80, 20);
        let fnmr = above((0.5 - 0.3) / 0.2);
        let mut naive_held = 0;
        let got = coverage(fnmr, |r| {
            // Half of the variance is the person's.
            let own: Vec<f64> = (0..count).map(|_| 0.2 * 0.5f64.sqrt() * normal(r)).collect();
            let mut score = |p: usize, _| 0.5 + own[p] + 0.2 * 0.5f64.sqrt() * normal(r);
            let rate = people(&mut score, count, each).rejected(0.3).unwrap();
            naive_held += usize::from(naive_holds(&rate, fnmr));
            rate
        });
        println!(
            "FNMR {fnmr:.3}, {count} people with {each} alike comparisons each: {:.1} %; counting comparisons {:.1} %",
            got * 100.0,
            naive_held as f64 / RUNS as f64 * 100.0
        );
        assert!(got >= 0.93 && (naive_held as f64) < 0.9 * RUNS as f64);

        let fmr = above(0.2 / 0.2);
        let mut naive_held = 0;
        let got = coverage(fmr, |r| {
            // A fifth of the variance is either person's.
            let own: Vec<f64> = (0..count).map(|_| 0.2 * 0.2f64.sqrt() * normal(r)).collect();
            let mut score = |a: usize, b: usize| -0.4 + own[a] + own[b] + 0.2 * 0.6f64.sqrt() * normal(r);
            let rate = pairs(&mut score, count).accepted(-0.2).unwrap();
            naive_held += usize::from(naive_holds(&rate, fmr));
            rate
        });
        println!(
            "FMR {fmr:.3}, {count} people, some like many: {:.1} %; counting pairs {:.1} %",
            got * 100.0,
            naive_held as f64 / RUNS as f64 * 100.0
        );
        assert!((0.90..=0.97).contains(&got) && (naive_held as f64) < 0.9 * RUNS as f64);
    }

    #[test]
    fn too_few_people_support_no_small_rate() {
        // Forty people, as AT&T has: 780 pairs, however many comparisons.
        let mut trials: Vec<Trial> = pairs(&mut |_, _| -0.5, 40).0;
        trials.extend(trials.clone());
        let trials = Trials::from_iter(trials);
        let refused = trials.threshold_for(0.001).unwrap_err();
        assert_eq!((refused.needed, refused.independent), (2_995, 780.0));
        assert!((refused.least - 0.003_833).abs() < 1e-5, "{}", refused.least);
        assert!(refused.to_string().contains("2995"), "{refused}");
        let claim = trials.threshold_for(0.01).unwrap();
        assert_eq!((claim.rate.errors, claim.rate.trials), (0, 1_560));
        assert!(claim.threshold > -0.5 && claim.at_most <= 0.01);
        assert!(Trials::default().threshold_for(0.5).is_err());
        assert_eq!(Trials::default().accepted(0.0), None);
    }

    #[test]
    fn what_has_no_score_never_matches() {
        let trials: Trials = [Some(0.4), None, Some(f32::NAN), Some(0.6)]
            .into_iter()
            .enumerate()
            .map(|(n, score)| Trial { unit: (n, n), score })
            .collect();
        assert_eq!(trials.accepted(0.5).unwrap().errors, 1);
        assert_eq!(trials.rejected(0.5).unwrap().errors, 3);
        assert_eq!(trials.rejected(-9.0).unwrap().errors, 2);
        let unseen: Trials = (0..100).map(|n| Trial { unit: (n, n), score: None }).collect();
        assert_eq!(unseen.threshold_for(0.05).unwrap().rate.errors, 0);
    }
}
