//! Confidence intervals of proportions, their differences and ratios, and means.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::tails::{beta_quantile, normal_quantile, student_t_quantile};
use crate::{Error, Result};

/// Two confidence limits and the confidence they hold with.
///
/// A limit may be infinite (a ratio whose denominator may be 0); in JSON it is then `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Interval {
    /// The lower limit.
    #[serde(with = "unbounded::below")]
    pub low: f64,
    /// The upper limit.
    #[serde(with = "unbounded::above")]
    pub high: f64,
    /// The confidence, in (0, 1): 0.95 for a 95 % interval.
    pub confidence: f64,
}

impl Interval {
    /// An interval with these limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a limit is NaN, the limits are in the wrong order, or the
    /// confidence is not in (0, 1).
    pub fn new(low: f64, high: f64, confidence: f64) -> Result<Self> {
        check_confidence(confidence)?;
        if low <= high {
            Ok(Self { low, high, confidence })
        } else {
            Err(Error::invalid(
                "an interval",
                "a lower limit that is at most the upper",
                format_args!("[{low}, {high}]"),
            ))
        }
    }

    /// Whether the value lies in it; the limits do.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// How wide it is.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(4);
        write!(f, "[{:.digits$}, {:.digits$}]", self.low, self.high)
    }
}

/// JSON has no infinity: an open end is written as nothing.
mod unbounded {
    macro_rules! end {
        ($name:ident, $value:expr) => {
            pub(in super::super) mod $name {
                use serde::{Deserialize, Deserializer, Serialize, Serializer};

                pub(in super::super::super) fn serialize<S: Serializer>(
                    value: &f64,
                    to: S,
                ) -> Result<S::Ok, S::Error> {
                    value.is_finite().then_some(*value).serialize(to)
                }

                pub(in super::super::super) fn deserialize<'de, D: Deserializer<'de>>(
                    from: D,
                ) -> Result<f64, D::Error> {
                    Ok(Option::deserialize(from)?.unwrap_or($value))
                }
            }
        };
    }
    end!(below, f64::NEG_INFINITY);
    end!(above, f64::INFINITY);
}

/// So many successes in so many trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proportion {
    /// The successes.
    pub successes: u64,
    /// The trials.
    pub n: u64,
}

impl Proportion {
    /// The share of successes.
    ///
    /// # Errors
    /// [`Error::Undefined`] without trials, [`Error::Invalid`] with more successes than trials.
    pub fn estimate(self) -> Result<f64> {
        if self.successes > self.n {
            return Err(Error::invalid(
                "a proportion",
                "at most as many successes as trials",
                format_args!("{} of {}", self.successes, self.n),
            ));
        }
        if self.n == 0 {
            return Err(Error::undefined("a proportion", "there are no trials"));
        }
        Ok(self.successes as f64 / self.n as f64)
    }
}

/// Two independent proportions: `current − reference` and `current / reference` are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProportionPair {
    /// The one that is compared.
    pub current: Proportion,
    /// The one that it is compared with.
    pub reference: Proportion,
}

fn check_confidence(confidence: f64) -> Result<()> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok(())
    } else {
        Err(Error::invalid("a confidence", "a share such as 0.95", confidence))
    }
}

/// The z that leaves (1 − confidence)/2 on each side.
pub(super) fn two_sided_z(confidence: f64) -> Result<f64> {
    check_confidence(confidence)?;
    Ok(-normal_quantile((1.0 - confidence) / 2.0)?)
}

/// Wilson's score interval of a proportion.
///
/// The values p with |p̂ − p| ≤ z √(p(1−p)/n). Never empty, never outside \[0, 1\], good from the
/// smallest n. Wilson 1927, doi:10.1080/01621459.1927.10502953;
/// `statsmodels.stats.proportion.proportion_confint(method="wilson")`.
///
/// # Errors
/// [`Error::Undefined`] for n = 0; [`Error::Invalid`] for successes > n or a confidence outside
/// (0, 1).
///
/// ```
/// use mlops_core::stats::wilson;
/// let interval = wilson(8, 10, 0.95)?;
/// assert!((interval.low - 0.490162471536642).abs() < 1e-12);
/// assert!((interval.high - 0.943317848545625).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn wilson(successes: u64, n: u64, confidence: f64) -> Result<Interval> {
    let p = Proportion { successes, n }.estimate()?;
    let z = two_sided_z(confidence)?;
    let (low, high) = limits_of_share(p, n as f64, z);
    Ok(Interval { low, high, confidence })
}

/// Wilson's limits of a share p of n rows, which need not be whole.
pub(super) fn limits_of_share(p: f64, n: f64, z: f64) -> (f64, f64) {
    let share = z * z / n;
    let q = 1.0 - p;
    let root = z * (p * q / n + share / (4.0 * n)).sqrt();
    // The limits' product is p²/(1 + z²/n): the limit near 0 comes from the one far from it.
    let high = (p + share / 2.0 + root) / (1.0 + share);
    let low = if p == 0.0 { 0.0 } else { p * p / ((1.0 + share) * high) };
    let high = if q == 0.0 { 1.0 } else { high };
    (low.min(p), high.clamp(p, 1.0))
}

/// Clopper and Pearson's exact interval of a proportion: covers at least as often as it says.
///
/// Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404; `proportion_confint(method="beta")`.
///
/// # Errors
/// As [`wilson`].
pub fn clopper_pearson(successes: u64, n: u64, confidence: f64) -> Result<Interval> {
    Proportion { successes, n }.estimate()?;
    check_confidence(confidence)?;
    let tail = (1.0 - confidence) / 2.0;
    let (k, failures) = (successes as f64, (n - successes) as f64);
    let low = if successes == 0 { 0.0 } else { beta_quantile(tail, k, failures + 1.0)? };
    // The upper limit is the complement of the failures' lower one, which has the accurate tail.
    let high = if successes == n { 1.0 } else { 1.0 - beta_quantile(tail, failures, k + 1.0)? };
    Ok(Interval { low, high, confidence })
}

/// Newcombe's interval of a difference of independent proportions, from two Wilson intervals.
///
/// Newcombe 1998, Statistics in Medicine 17:873, method 10;
/// `confint_proportions_2indep(method="newcomb", compare="diff")`.
///
/// # Errors
/// As [`wilson`], for either proportion.
pub fn newcombe_difference(pair: ProportionPair, confidence: f64) -> Result<Interval> {
    let (p, q) = (pair.current.estimate()?, pair.reference.estimate()?);
    let of = wilson(pair.current.successes, pair.current.n, confidence)?;
    let against = wilson(pair.reference.successes, pair.reference.n, confidence)?;
    Ok(Interval {
        low: (p - q - (p - of.low).hypot(against.high - q)).max(-1.0),
        high: (p - q + (of.high - p).hypot(q - against.low)).min(1.0),
        confidence,
    })
}

/// Miettinen and Nurminen's score interval of a difference of independent proportions,
/// `current − reference`.
///
/// The differences δ with (p̂₁ − p̂₂ − δ)² ≤ z² Ṽ(δ), where Ṽ is the variance at the most likely
/// proportions that differ by δ, times N/(N−1). Both searches halve a bracket to the last bit, so
/// they always end. Holds its confidence with few rows and with proportions of 0 and 1.
///
/// Miettinen and Nurminen 1985, doi:10.1002/sim.4780040211. The example is case (a) of Newcombe
/// 1998, Statistics in Medicine 17:873; statsmodels 0.15 (`confint_proportions_2indep` with
/// `method="score", compare="diff"`) gives other limits there.
///
/// # Errors
/// As [`wilson`], for either proportion.
///
/// ```
/// use mlops_core::stats::{Proportion, ProportionPair, miettinen_nurminen_difference};
/// let pair = ProportionPair {
///     current: Proportion { successes: 56, n: 70 },
///     reference: Proportion { successes: 48, n: 80 },
/// };
/// let interval = miettinen_nurminen_difference(pair, 0.95)?;
/// assert_eq!(format!("{interval}"), "[0.0528, 0.3382]");
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn miettinen_nurminen_difference(pair: ProportionPair, confidence: f64) -> Result<Interval> {
    let estimate = pair.current.estimate()? - pair.reference.estimate()?;
    let z = two_sided_z(confidence)?;
    let (low, high) = limits_of_difference(pair.into(), estimate, z);
    Ok(Interval { low, high, confidence })
}

/// Miettinen and Nurminen's (Koopman's, with the factor N/(N−1)) score interval of a ratio of
/// independent proportions, `current / reference`.
///
/// With no successes in the reference the upper limit is infinite.
///
/// Koopman 1984, doi:10.2307/2531551; `confint_proportions_2indep(method="score",
/// compare="ratio")`.
///
/// # Errors
/// As [`wilson`], for either proportion; [`Error::Undefined`] where neither has a success.
pub fn miettinen_nurminen_ratio(pair: ProportionPair, confidence: f64) -> Result<Interval> {
    let (p, q) = (pair.current.estimate()?, pair.reference.estimate()?);
    let z = two_sided_z(confidence)?;
    if p == 0.0 && q == 0.0 {
        return Err(Error::undefined("a ratio of proportions", "neither has a success"));
    }
    let (low, high) = limits_of_ratio(pair.into(), (p, q), z);
    Ok(Interval { low, high, confidence })
}

/// Katz's interval of a ratio of independent proportions, `current / reference`, on the log scale.
///
/// Katz et al. 1978, doi:10.2307/2530610;
/// `confint_proportions_2indep(method="log", compare="ratio")`.
///
/// # Errors
/// As [`wilson`], for either proportion; [`Error::Undefined`] where either has no success.
pub fn katz_log_ratio(pair: ProportionPair, confidence: f64) -> Result<Interval> {
    let (p, q) = (pair.current.estimate()?, pair.reference.estimate()?);
    let z = two_sided_z(confidence)?;
    if p == 0.0 || q == 0.0 {
        return Err(Error::undefined(
            "Katz's interval of a ratio",
            "a proportion has no success; the score interval is defined there",
        ));
    }
    let part = |p: f64, of: Proportion| (1.0 - p) / of.successes as f64;
    let half = z * (part(p, pair.current) + part(q, pair.reference)).sqrt();
    let estimate = p / q;
    Ok(Interval { low: estimate * (-half).exp(), high: estimate * half.exp(), confidence })
}

/// The mean of a sample, its standard deviation (with n − 1) and its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleMean {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, of n − 1 degrees of freedom.
    pub std_dev: f64,
    /// How many values there were.
    pub n: u64,
}

/// Student's t interval of a mean: mean ± t · s/√n.
///
/// # Errors
/// [`Error::Undefined`] for n < 2; [`Error::Invalid`] for numbers that are not finite.
pub fn mean_t_interval(sample: SampleMean, confidence: f64) -> Result<Interval> {
    let SampleMean { mean, std_dev, n } = sample;
    check_confidence(confidence)?;
    if n < 2 {
        return Err(Error::undefined("the interval of a mean", "it needs at least two values"));
    }
    if !mean.is_finite() || !std_dev.is_finite() || std_dev < 0.0 {
        return Err(Error::invalid(
            "a mean and its standard deviation",
            "finite numbers",
            format_args!("{mean} and {std_dev}"),
        ));
    }
    let n = n as f64;
    let t = -student_t_quantile((1.0 - confidence) / 2.0, n - 1.0)?;
    let half = t * std_dev / n.sqrt();
    Ok(Interval { low: mean - half, high: mean + half, confidence })
}

/// The last float from `inside` towards `outside` that is not beyond; 200 halvings reach it from
/// anywhere, because the steps end when no float lies between.
pub(super) fn edge(inside: f64, outside: f64, beyond: &dyn Fn(f64) -> bool) -> f64 {
    if !beyond(outside) {
        return outside;
    }
    let (mut inside, mut outside) = (inside, outside);
    for _ in 0..200 {
        let middle = inside + (outside - inside) / 2.0;
        if middle == inside || middle == outside {
            break;
        }
        if beyond(middle) {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    inside
}

pub(super) fn scored(residual: f64, variance: f64) -> f64 {
    if residual == 0.0 {
        0.0
    } else if variance <= 0.0 {
        f64::INFINITY
    } else {
        residual * residual / variance
    }
}

/// Successes x of n and y of m, which need not be whole: weighted rows count for fewer.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealPair {
    pub(super) x: f64,
    pub(super) n: f64,
    pub(super) y: f64,
    pub(super) m: f64,
}

impl From<ProportionPair> for RealPair {
    fn from(pair: ProportionPair) -> Self {
        Self {
            x: pair.current.successes as f64,
            n: pair.current.n as f64,
            y: pair.reference.successes as f64,
            m: pair.reference.n as f64,
        }
    }
}

/// Miettinen and Nurminen's limits of x/n − y/m, which is `estimate`.
pub(super) fn limits_of_difference(pair: RealPair, estimate: f64, z: f64) -> (f64, f64) {
    let beyond = |difference: f64| score_of_difference(pair, estimate, difference) > z * z;
    (edge(estimate, -1.0, &beyond), edge(estimate, 1.0, &beyond))
}

/// Those of the ratio of x/n to y/m, which are `shares` and not both 0.
pub(super) fn limits_of_ratio(pair: RealPair, shares: (f64, f64), z: f64) -> (f64, f64) {
    // Over the share φ/(1+φ), in [0, 1], the search has two ends like that of a difference.
    let estimate = shares.0 / (shares.0 + shares.1);
    let beyond = |share: f64| score_of_ratio(pair, share) > z * z;
    let ratio = |share: f64| share / (1.0 - share);
    (ratio(edge(estimate, 0.0, &beyond)), ratio(edge(estimate, 1.0, &beyond)))
}

/// The squared score of x/n − y/m at this difference; that of 0 is the test statistic of equality.
pub(super) fn score_of_difference(pair: RealPair, estimate: f64, difference: f64) -> f64 {
    let RealPair { x, n, y, m } = pair;
    let total = n + m;
    // The slope of the log-likelihood falls all the way, so its zero is found by halving; the
    // closed form of the cubic loses digits where its roots meet.
    let slope = |q: f64| {
        let p = q + difference;
        let part = |k: f64, p: f64| if k == 0.0 { 0.0 } else { k / p };
        part(x, p) - part(n - x, 1.0 - p) + part(y, q) - part(m - y, 1.0 - q)
    };
    let (mut low, mut high) = ((-difference).max(0.0), (1.0 - difference).min(1.0));
    for _ in 0..100 {
        let middle = low + (high - low) / 2.0;
        if middle == low || middle == high {
            break;
        }
        if slope(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let q = low + (high - low) / 2.0;
    let p = (q + difference).clamp(0.0, 1.0);
    let variance = (p * (1.0 - p) / n + q * (1.0 - q) / m) * total / (total - 1.0);
    scored(estimate - difference, variance)
}

/// The score at the ratio share/(1 − share).
fn score_of_ratio(pair: RealPair, share: f64) -> f64 {
    let RealPair { x, n, y, m } = pair;
    let total = n + m;
    // All is scaled by (1 − share), so that an infinite ratio is a number like any other.
    let (u, v) = (share, 1.0 - share);
    // The most likely q solves a q² − b q + c = 0; p = u q / v.
    let a = total * u;
    let b = n * u + x * v + m * v + y * u;
    let c = (x + y) * v;
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    let q = (2.0 * c / (b + root)).clamp(0.0, 1.0);
    // The same root over v, without dividing by it.
    let p = (2.0 * (x + y) * u / (b + root)).clamp(0.0, 1.0);
    let residual = v * (x / n) - u * (y / m);
    let variance = (v * v * p * (1.0 - p) / n + u * u * q * (1.0 - q) / m) * total / (total - 1.0);
    scored(residual, variance)
}

#[cfg(test)]
mod tests {
    use super::super::tails::binomial_pmf;
    use super::*;
    use proptest::prelude::*;

    fn pair(x: u64, n: u64, y: u64, m: u64) -> ProportionPair {
        ProportionPair {
            current: Proportion { successes: x, n },
            reference: Proportion { successes: y, n: m },
        }
    }

    #[test]
    fn nothing_has_no_interval() {
        for method in [wilson, clopper_pearson] {
            assert!(matches!(method(0, 0, 0.95), Err(Error::Undefined { .. })));
            assert!(matches!(method(2, 1, 0.95), Err(Error::Invalid { .. })));
            for confidence in [0.0, 1.0, f64::NAN, 95.0] {
                assert!(matches!(method(1, 2, confidence), Err(Error::Invalid { .. })));
            }
        }
        for method in [
            newcombe_difference,
            miettinen_nurminen_difference,
            miettinen_nurminen_ratio,
            katz_log_ratio,
        ] {
            assert!(method(pair(0, 0, 1, 3), 0.95).is_err());
            assert!(method(pair(1, 3, 0, 0), 0.95).is_err());
        }
        assert!(miettinen_nurminen_ratio(pair(0, 3, 0, 3), 0.95).is_err());
        assert!(mean_t_interval(SampleMean { mean: 1.0, std_dev: 0.0, n: 1 }, 0.95).is_err());
    }

    #[test]
    fn an_open_end_survives_json() {
        let open = miettinen_nurminen_ratio(pair(3, 5, 0, 5), 0.95).unwrap();
        assert_eq!(open.high, f64::INFINITY);
        let text = serde_json::to_string(&open).unwrap();
        assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), open);
    }

    /// Where all succeed the score has a closed form: (1 − φ)² = z² φ(1 − φ)/n · N/(N − 1).
    #[test]
    fn a_ratio_of_two_certainties_has_limits() {
        let interval = miettinen_nurminen_ratio(pair(10, 10, 20, 20), 0.95).unwrap();
        let z = two_sided_z(0.95).unwrap();
        let bound = |n: f64| 1.0 / (1.0 + z * z / n * 30.0 / 29.0);
        assert!((interval.low - bound(10.0)).abs() < 1e-12, "{interval}");
        assert!((interval.high - 1.0 / bound(20.0)).abs() < 1e-12, "{interval}");
    }

    /// How often the interval of each outcome holds the truth, weighed by its probability.
    #[test]
    fn wilson_covers_near_its_confidence_and_clopper_pearson_always() {
        for n in [5, 12, 40] {
            let mut mean = 0.0;
            for step in 1..100_u8 {
                let p = f64::from(step) / 100.0;
                let coverage = |method: fn(u64, u64, f64) -> Result<Interval>| -> f64 {
                    (0..=n)
                        .filter(|&k| method(k, n, 0.95).unwrap().contains(p))
                        .map(|k| binomial_pmf(k, n, p).unwrap())
                        .sum()
                };
                assert!(coverage(wilson) > 0.83, "n={n} p={p}: {}", coverage(wilson));
                assert!(coverage(clopper_pearson) > 0.95 - 1e-12, "n={n} p={p}");
                mean += coverage(wilson) / 99.0;
            }
            assert!((0.94..0.97).contains(&mean), "n={n}: {mean}");
        }
    }

    #[test]
    fn miettinen_nurminen_covers_near_its_confidence() {
        let (n, m) = (10, 13);
        let mut difference = vec![];
        let mut ratio = vec![];
        for x in 0..=n {
            for y in 0..=m {
                difference.push(miettinen_nurminen_difference(pair(x, n, y, m), 0.95).unwrap());
                ratio.push(miettinen_nurminen_ratio(pair(x, n, y, m), 0.95).ok());
            }
        }
        let (mut mean_d, mut mean_r, mut cells) = (0.0, 0.0, 0.0);
        for a in 1..10_u8 {
            for b in 1..10_u8 {
                let (p, q) = (f64::from(a) / 10.0, f64::from(b) / 10.0);
                let (mut covers_d, mut covers_r) = (0.0, 0.0);
                for x in 0..=n {
                    for y in 0..=m {
                        let weight =
                            binomial_pmf(x, n, p).unwrap() * binomial_pmf(y, m, q).unwrap();
                        let at = (x * (m + 1) + y) as usize;
                        covers_d += weight * f64::from(u8::from(difference[at].contains(p - q)));
                        let holds = ratio[at].is_none_or(|i| i.contains(p / q));
                        covers_r += weight * f64::from(u8::from(holds));
                    }
                }
                assert!(covers_d > 0.90, "{p} {q}: {covers_d}");
                assert!(covers_r > 0.90, "{p} {q}: {covers_r}");
                mean_d += covers_d;
                mean_r += covers_r;
                cells += 1.0;
            }
        }
        assert!((0.945..0.975).contains(&(mean_d / cells)), "{}", mean_d / cells);
        assert!((0.945..0.975).contains(&(mean_r / cells)), "{}", mean_r / cells);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn intervals_hold_the_estimate(
            (x, n) in (1_u64..5000).prop_flat_map(|n| (0..=n, Just(n))),
            (y, m) in (1_u64..5000).prop_flat_map(|n| (0..=n, Just(n))),
            confidence in 0.5..0.9999_f64,
        ) {
            let (p, q) = (x as f64 / n as f64, y as f64 / m as f64);
            for method in [wilson, clopper_pearson] {
                let interval = method(x, n, confidence).unwrap();
                prop_assert!(interval.contains(p) && interval.low >= 0.0 && interval.high <= 1.0);
            }
            for method in [newcombe_difference, miettinen_nurminen_difference] {
                let interval = method(pair(x, n, y, m), confidence).unwrap();
                prop_assert!(interval.contains(p - q), "{interval:?} {}", p - q);
                prop_assert!(interval.low >= -1.0 && interval.high <= 1.0);
                let mirror = method(pair(y, m, x, n), confidence).unwrap();
                prop_assert!((mirror.low + interval.high).abs() < 1e-9);
            }
            for method in [katz_log_ratio, miettinen_nurminen_ratio] {
                if let Ok(interval) = method(pair(x, n, y, m), confidence) {
                    let ratio = p / q;
                    let near = interval.low <= ratio * (1.0 + 1e-12)
                        && interval.high >= ratio * (1.0 - 1e-12);
                    prop_assert!(near, "{interval:?} {ratio}");
                }
            }
        }
    }
}
