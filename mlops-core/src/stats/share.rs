//! Shares of weighted rows, and how many equal rows would know as much.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::interval::{
    Interval, Proportion, RealPair, limits_of_difference, limits_of_ratio, limits_of_share,
    score_of_difference, two_sided_z,
};
use super::tails::normal_two_sided;
use crate::{Error, Result};

/// Kish's effective sample size, (Σw)²/Σw²: how many rows of equal weight would know as much.
///
/// At most the number of rows, and that number where all weights are equal.
/// Kish 1965, *Survey Sampling*, section 11.7.
///
/// # Errors
/// [`Error::Undefined`] where the sum of the weights, or of their squares, is not positive and
/// finite.
///
/// ```
/// use mlops_core::stats::kish_effective_n;
/// assert_eq!(kish_effective_n(8.0, 16.0)?, 4.0); // four rows of weight 2
/// assert_eq!(kish_effective_n(4.0, 10.0)?, 1.6); // one of 3 and one of 1
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn kish_effective_n(sum: f64, sum_of_squares: f64) -> Result<f64> {
    let usable = |x: f64| x > 0.0 && x.is_finite();
    if !usable(sum) || !usable(sum_of_squares) {
        return Err(Error::undefined(
            "the effective sample size",
            format!("the weights sum to {sum} and their squares to {sum_of_squares}"),
        ));
    }
    // Divided before it is squared: the square of a large sum need not be finite.
    Ok((sum / sum_of_squares * sum).max(1.0))
}

/// A share, and the number of equal rows that would know it as well.
///
/// Of unweighted rows this is a [`Proportion`]; of weighted ones the weighted share with
/// [`kish_effective_n`]. Its intervals are those of proportions with numbers that need not be
/// whole: for whole ones they are the same to the bit.
///
/// ```
/// use mlops_core::stats::{Proportion, Share, kish_effective_n, wilson};
/// let plain = Share::try_from(Proportion { successes: 8, n: 10 })?;
/// assert_eq!(plain.interval(0.95)?, wilson(8, 10, 0.95)?);
/// // The same share of rows that weigh differently is known less well.
/// let weighted = Share::new(0.8, kish_effective_n(10.0, 20.0)?)?;
/// assert!(weighted.interval(0.95)?.width() > plain.interval(0.95)?.width());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Share {
    /// The share, in \[0, 1\].
    pub estimate: f64,
    /// How many equal rows would know it as well; at least 1.
    pub n: f64,
}

impl Share {
    /// A share of so many (effective) rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share outside \[0, 1\] or less than one row.
    pub fn new(estimate: f64, n: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&estimate) {
            return Err(Error::invalid("a share", "a number in [0, 1]", estimate));
        }
        if !(n >= 1.0 && n.is_finite()) {
            return Err(Error::invalid("the rows of a share", "at least 1", n));
        }
        Ok(Self { estimate, n })
    }

    /// Wilson's score interval.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a confidence outside (0, 1).
    pub fn interval(self, confidence: f64) -> Result<Interval> {
        let (low, high) = limits_of_share(self.estimate, self.n, two_sided_z(confidence)?);
        Interval::new(low, high, confidence)
    }

    /// Miettinen and Nurminen's interval of `self − reference`; see
    /// [`miettinen_nurminen_difference`](super::miettinen_nurminen_difference).
    ///
    /// # Errors
    /// As [`interval`](Self::interval).
    pub fn difference(self, reference: Self, confidence: f64) -> Result<Interval> {
        let z = two_sided_z(confidence)?;
        let estimate = self.estimate - reference.estimate;
        let (low, high) = limits_of_difference(self.pair(reference), estimate, z);
        Interval::new(low, high, confidence)
    }

    /// Newcombe's interval of `self − reference`; see
    /// [`newcombe_difference`](super::newcombe_difference).
    ///
    /// # Errors
    /// As [`interval`](Self::interval).
    pub fn newcombe_difference(self, reference: Self, confidence: f64) -> Result<Interval> {
        let (of, against) = (self.interval(confidence)?, reference.interval(confidence)?);
        let (p, q) = (self.estimate, reference.estimate);
        let low = (p - q - (p - of.low).hypot(against.high - q)).max(-1.0);
        let high = (p - q + (of.high - p).hypot(q - against.low)).min(1.0);
        Interval::new(low, high, confidence)
    }

    /// Koopman's score interval of `self / reference`, with Miettinen and Nurminen's factor; see
    /// [`miettinen_nurminen_ratio`](super::miettinen_nurminen_ratio). The upper limit is infinite
    /// where the reference is 0.
    ///
    /// # Errors
    /// As [`interval`](Self::interval); [`Error::Undefined`] where both shares are 0.
    pub fn ratio(self, reference: Self, confidence: f64) -> Result<Interval> {
        let z = two_sided_z(confidence)?;
        let shares = (self.estimate, reference.estimate);
        if shares == (0.0, 0.0) {
            return Err(Error::undefined("a ratio of proportions", "neither has a success"));
        }
        let (low, high) = limits_of_ratio(self.pair(reference), shares, z);
        Interval::new(low, high, confidence)
    }

    /// Katz's interval of `self / reference` on the log scale; see
    /// [`katz_log_ratio`](super::katz_log_ratio).
    ///
    /// # Errors
    /// As [`interval`](Self::interval); [`Error::Undefined`] where either share is 0.
    pub fn log_ratio(self, reference: Self, confidence: f64) -> Result<Interval> {
        let z = two_sided_z(confidence)?;
        let (p, q) = (self.estimate, reference.estimate);
        if p == 0.0 || q == 0.0 {
            return Err(Error::undefined(
                "Katz's interval of a ratio",
                "a proportion has no success; the score interval is defined there",
            ));
        }
        let part = |share: Self| (1.0 - share.estimate) / (share.estimate * share.n);
        let half = z * (part(self) + part(reference)).sqrt();
        Interval::new(p / q * (-half).exp(), p / q * half.exp(), confidence)
    }

    /// The two-sided p-value of equal shares, by the score test that the interval of
    /// [`difference`](Self::difference) inverts: the interval at 1 − p just reaches 0.
    ///
    /// `statsmodels.stats.proportion.test_proportions_2indep(method="score", compare="diff")`.
    pub fn equality_p(self, reference: Self) -> f64 {
        let estimate = self.estimate - reference.estimate;
        let score = score_of_difference(self.pair(reference), estimate, 0.0);
        normal_two_sided(score.sqrt())
    }

    fn pair(self, reference: Self) -> RealPair {
        RealPair {
            x: self.estimate * self.n,
            n: self.n,
            y: reference.estimate * reference.n,
            m: reference.n,
        }
    }
}

impl TryFrom<Proportion> for Share {
    type Error = Error;

    fn try_from(proportion: Proportion) -> Result<Self> {
        Self::new(proportion.estimate()?, proportion.n as f64)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} of {:.1} rows", self.estimate, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{
        Draws, ProportionPair, katz_log_ratio, miettinen_nurminen_difference,
        miettinen_nurminen_ratio, newcombe_difference, wilson,
    };

    fn of(successes: u64, n: u64) -> Share {
        Share::try_from(Proportion { successes, n }).unwrap()
    }

    #[test]
    fn whole_rows_have_the_intervals_of_proportions() {
        for (x, n, y, m) in [(56, 70, 48, 80), (0, 10, 3, 7), (5, 5, 9, 9), (1, 1000, 999, 1000)] {
            let pair = ProportionPair {
                current: Proportion { successes: x, n },
                reference: Proportion { successes: y, n: m },
            };
            let (a, b) = (of(x, n), of(y, m));
            let near = |one: Interval, other: Interval| {
                let same = |a: f64, b: f64| a == b || (a - b).abs() < 1e-9 * a.abs().max(1.0);
                assert!(same(one.low, other.low) && same(one.high, other.high), "{one} {other}");
            };
            near(a.interval(0.9).unwrap(), wilson(x, n, 0.9).unwrap());
            near(a.difference(b, 0.9).unwrap(), miettinen_nurminen_difference(pair, 0.9).unwrap());
            near(a.newcombe_difference(b, 0.9).unwrap(), newcombe_difference(pair, 0.9).unwrap());
            near(a.ratio(b, 0.9).unwrap(), miettinen_nurminen_ratio(pair, 0.9).unwrap());
            if let Ok(log) = katz_log_ratio(pair, 0.9) {
                near(a.log_ratio(b, 0.9).unwrap(), log);
            } else {
                assert!(a.log_ratio(b, 0.9).is_err());
            }
        }
    }

    #[test]
    fn the_p_value_is_where_the_interval_reaches_none() {
        let (a, b) = (of(56, 70), of(48, 80));
        let p = a.equality_p(b);
        assert!((0.001..0.05).contains(&p), "{p}");
        assert!(a.difference(b, 1.0 - p + 1e-9).unwrap().low < 1e-6);
        assert!(a.difference(b, 1.0 - p - 1e-6).unwrap().low > 0.0);
        assert_eq!(of(3, 9).equality_p(of(3, 9)), 1.0);
        assert_eq!(of(0, 9).equality_p(of(0, 4)), 1.0);
    }

    #[test]
    fn no_weights_and_no_numbers_are_refused() {
        for (sum, squares) in [(0.0, 0.0), (-1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert!(kish_effective_n(sum, squares).is_err(), "{sum} {squares}");
        }
        assert!((kish_effective_n(1e200, 1e300).unwrap() / 1e100 - 1.0).abs() < 1e-12);
        for (share, n) in [(1.5, 3.0), (f64::NAN, 3.0), (0.5, 0.5), (0.5, f64::INFINITY)] {
            assert!(Share::new(share, n).is_err(), "{share} {n}");
        }
        assert!(of(0, 3).ratio(of(0, 3), 0.95).is_err());
    }

    /// Weights of 1 and 9, success as likely in both: the interval of effective rows covers, that
    /// of the rows as they are counted does not.
    #[test]
    fn effective_rows_cover_where_rows_do_not() {
        let runs = 2000;
        let (mut held, mut naive) = (0, 0);
        for run in 0..runs {
            let mut draws = Draws::new(11, 0, run);
            let (mut hit, mut sum, mut squares) = (0.0, 0.0, 0.0);
            for row in 0..200 {
                let weight = if row % 10 == 0 { 9.0 } else { 1.0 };
                hit += if draws.bernoulli(0.3) { weight } else { 0.0 };
                sum += weight;
                squares += weight * weight;
            }
            let covers =
                |n: f64| Share::new(hit / sum, n).unwrap().interval(0.95).unwrap().contains(0.3);
            held += u32::from(covers(kish_effective_n(sum, squares).unwrap()));
            naive += u32::from(covers(200.0));
        }
        let share = |n: u32| f64::from(n) / runs as f64;
        assert!((0.93..0.97).contains(&share(held)), "{}", share(held));
        assert!(share(naive) < 0.85, "{}", share(naive));
    }
}
