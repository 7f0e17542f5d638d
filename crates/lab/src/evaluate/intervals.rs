//! Confidence intervals for shares: Clopper and Pearson, Biometrika 26 (1934).
//!
//! The interval for `k` of `n` runs from the `a/2` quantile of the beta distribution with parameters
//! `(k, n - k + 1)` to the `1 - a/2` quantile of that with `(k + 1, n - k)`. It holds its level for
//! independent trials; pairs that share a person are not independent, and then it is too narrow.

/// The 95 % Clopper–Pearson interval for the share that `k` of `n` trials estimate.
///
/// `(0, 1)` when there were no trials; `k` above `n` counts as `n`.
pub fn clopper_pearson(k: usize, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (k, n) = (k.min(n) as f64, n as f64);
    (lower_bound(k, n, 0.025), upper_bound(k, n, 0.025))
}

/// The same for a share measured on many trials of which only `units` are independent: `k` is then the
/// share of `units`, which need not be whole (Korn and Graubard, Survey Methodology 24, 1998).
pub fn clopper_pearson_of_share(share: f64, units: f64) -> (f64, f64) {
    if units <= 0.0 {
        return (0.0, 1.0);
    }
    let k = share.clamp(0.0, 1.0) * units;
    (lower_bound(k, units, 0.025), upper_bound(k, units, 0.025))
}

/// What the true share exceeds with a chance of at most `tail`, when `k` of `n` independent trials hit.
pub fn upper_bound(k: f64, n: f64, tail: f64) -> f64 {
    if k >= n { 1.0 } else { beta_quantile(1.0 - tail, k + 1.0, n - k) }
}

fn lower_bound(k: f64, n: f64, tail: f64) -> f64 {
    if k <= 0.0 { 0.0 } else { beta_quantile(tail, k, n - k + 1.0) }
}

/// How many independent trials without an error it takes to say, with 95 % confidence, that a rate is at
/// most `target` (the rule of three, exactly). `None` unless `target` lies between 0 and 1.
pub fn trials_needed(target: f64) -> Option<u64> {
    let sensible = target > 0.0 && target < 1.0;
    sensible.then(|| (0.05f64.ln() / (-target).ln_1p()).ceil() as u64)
}

/// The `p` quantile of the beta distribution, by bisection.
fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if incomplete_beta(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The regularised incomplete beta function `I_x(a, b)` by its continued fraction (DLMF 8.17.22),
/// evaluated by Lentz' method, on the side where it converges fast.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away_from_zero = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..=1000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            factor = c * d;
            fraction *= factor;
        }
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for `x` of at least 1: Stirling's series (DLMF 5.11.1) after
/// shifting `x` to where five terms suffice.
fn ln_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut x = x;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_of_whole_numbers_is_the_factorial() {
        let mut factorial = 1.0f64;
        for n in 1..30 {
            assert!((ln_gamma(f64::from(n)) - factorial.ln()).abs() < 1e-11, "{n}");
            factorial *= f64::from(n);
        }
    }

    #[test]
    fn incomplete_beta_is_the_binomial_tail() {
        // I_x(k, n - k + 1) is the chance of at least k hits in n trials of chance x.
        let (n, x) = (12u32, 0.3f64);
        let choose = |k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        for k in 1..=n {
            let tail: f64 =
                (k..=n).map(|i| choose(i) * x.powi(i as i32) * (1.0 - x).powi((n - i) as i32)).sum();
            let got = incomplete_beta(x, f64::from(k), f64::from(n - k + 1));
            assert!((got - tail).abs() < 1e-12, "{k}: {got} {tail}");
        }
    }

    #[test]
    fn the_ends_have_closed_forms() {
        for n in [1usize, 10, 300] {
            let (low, high) = clopper_pearson(0, n);
            assert_eq!(low, 0.0);
            assert!((high - (1.0 - 0.025f64.powf(1.0 / n as f64))).abs() < 1e-12);
            let (low, high) = clopper_pearson(n, n);
            assert_eq!(high, 1.0);
            assert!((low - 0.025f64.powf(1.0 / n as f64)).abs() < 1e-12);
        }
        assert_eq!(clopper_pearson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn shares_of_whole_counts_are_the_same_and_few_units_say_little() {
        let (low, high) = clopper_pearson_of_share(0.05, 200.0);
        let (l, h) = clopper_pearson(10, 200);
        assert!((low - l).abs() < 1e-12 && (high - h).abs() < 1e-12);
        let (l, h) = clopper_pearson_of_share(0.05, 4.0);
        assert!(l < low && h > 0.5);
        assert_eq!(clopper_pearson_of_share(0.0, 0.0), (0.0, 1.0));
    }

    #[test]
    fn the_rule_of_three() {
        for target in [0.1, 0.01, 0.001, 1e-6] {
            let n = trials_needed(target).unwrap();
            assert!(upper_bound(0.0, n as f64, 0.05) <= target * (1.0 + 1e-9));
            assert!(upper_bound(0.0, n as f64 - 1.0, 0.05) > target);
        }
        assert_eq!(trials_needed(0.001), Some(2_995));
        assert_eq!([0.0, 1.0, f64::NAN, -1.0].map(trials_needed), [None; 4]);
    }

    #[test]
    fn each_end_leaves_a_fortieth() {
        for (k, n) in [(1, 10), (5, 10), (579, 600), (1200, 3000), (49_995, 50_000)] {
            let (low, high) = clopper_pearson(k, n);
            let share = k as f64 / n as f64;
            assert!(low < share && share < high);
            let (k, n) = (k as f64, n as f64);
            assert!((incomplete_beta(low, k, n - k + 1.0) - 0.025).abs() < 1e-9);
            assert!((incomplete_beta(high, k + 1.0, n - k) - 0.975).abs() < 1e-9);
        }
    }
}
