//! The area under the ROC curve with DeLong's variance, of one model and of two on the same rows.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::interval::{Interval, two_sided_z};
use super::ranking::{check, doubled_placements, ties};
use super::tails::normal_two_sided;
use crate::{Error, Result};

/// The area under the ROC curve, and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RocAuc {
    /// The probability that a positive scores above a negative, a tie counting half; in \[0, 1\].
    pub auc: f64,
    /// DeLong's standard error; `None` with fewer than two positives or two negatives.
    pub std_error: Option<f64>,
    /// How many positives there are.
    pub positives: u64,
    /// How many negatives there are.
    pub negatives: u64,
}

impl RocAuc {
    /// An area that was found from counts of scores, with its standard error.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an area outside \[0, 1\], or an error that is negative or no number.
    pub fn new(auc: f64, std_error: Option<f64>, positives: u64, negatives: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&auc) {
            return Err(Error::invalid("a ROC AUC", "a number in [0, 1]", auc));
        }
        if let Some(error) = std_error.filter(|error| !(*error >= 0.0 && error.is_finite())) {
            return Err(Error::invalid("a standard error", "a number from 0", error));
        }
        Ok(Self { auc, std_error, positives, negatives })
    }

    /// Limits on the logit scale, so that they stay within (0, 1).
    ///
    /// # Errors
    /// [`Error::Undefined`] where the standard error is undefined, or is 0 because the scores
    /// separate the labels; [`Error::Invalid`] for a confidence outside (0, 1).
    pub fn interval(&self, confidence: f64) -> Result<Interval> {
        let z = two_sided_z(confidence)?;
        let what = "DeLong's interval of a ROC AUC";
        let error = self
            .std_error
            .ok_or_else(|| Error::undefined(what, "it needs two rows of each label"))?;
        if error <= 0.0 || self.auc <= 0.0 || self.auc >= 1.0 {
            return Err(Error::undefined(what, "the estimated variance is 0"));
        }
        let complement = 1.0 - self.auc;
        let half = z * error / (self.auc * complement);
        // logit⁻¹(logit(auc) ± half), without the logarithm.
        let odds = self.auc / complement;
        let limit = |factor: f64| 1.0 / (1.0 + 1.0 / (odds * factor));
        Interval::new(
            limit((-half).exp()).min(self.auc),
            limit(half.exp()).max(self.auc),
            confidence,
        )
    }
}

impl fmt::Display for RocAuc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ROC AUC {:.4}", self.auc)?;
        if let Some(error) = self.std_error {
            write!(f, " ± {error:.4}")?;
        }
        write!(f, " ({} positives, {} negatives)", self.positives, self.negatives)
    }
}

/// The sums over the rows of one label of doubled placements and their products, as integers.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    n: u64,
    sum: [u128; 2],
    product: u128,
}

impl Moments {
    fn add(&mut self, a: u64, b: u64, times: u64) {
        let (a, b, times) = (u128::from(a), u128::from(b), u128::from(times));
        self.n += times as u64;
        self.sum[0] += a * times;
        self.sum[1] += b * times;
        self.product += a * b * times;
    }

    /// The covariance (over n − 1) of placements, divided by n; `scale` opposites are a whole.
    fn covariance_of_mean(&self, scale: u64) -> Option<f64> {
        if self.n < 2 {
            return None;
        }
        let n = u128::from(self.n);
        // n Σab − Σa Σb is exact; either may be the larger.
        let (both, apart) = (n * self.product, self.sum[0] * self.sum[1]);
        let exact = both.abs_diff(apart) as f64;
        let signed = if both >= apart { exact } else { -exact };
        let (n, scale) = (self.n as f64, scale as f64);
        Some(signed / (n * n * (n - 1.0)) / (4.0 * scale * scale))
    }
}

fn one_label(what: &str, label: &str) -> Error {
    Error::undefined(what, format!("there are no {label} rows"))
}

/// The area under the ROC curve with DeLong's standard error. Labels are true for the positive.
///
/// Infinite scores are the largest and smallest. Ties count half. Counted in integers: the order of
/// the rows changes no bit. O(n log n). `sklearn.metrics.roc_auc_score`; DeLong et al. 1988,
/// doi:10.2307/2531595; Sun and Xu 2014, doi:10.1109/LSP.2014.2337313.
///
/// # Errors
/// [`Error::Length`], [`Error::Value`] for a NaN score, [`Error::Undefined`] where a label does not
/// occur.
///
/// ```
/// use mlops_core::stats::roc_auc_delong;
/// let roc = roc_auc_delong(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert_eq!(roc.auc, 0.75);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn roc_auc_delong(y_true: &[bool], y_score: &[f64]) -> Result<RocAuc> {
    check(y_true, y_score)?;
    let all_positives = y_true.iter().filter(|&&label| label).count() as u64;
    let (mut below, mut above) = (0_u64, all_positives);
    let (mut positive, mut negative) = (Moments::default(), Moments::default());
    for tie in ties(y_true, y_score) {
        let placement = 2 * below + tie.negatives;
        positive.add(placement, placement, tie.positives);
        let placement = 2 * above - tie.positives;
        negative.add(placement, placement, tie.negatives);
        below += tie.negatives;
        above -= tie.positives;
    }
    roc_of(positive.sum[0], positive, negative)
}

fn roc_of(pairs: u128, positive: Moments, negative: Moments) -> Result<RocAuc> {
    for (side, label) in [(positive, "positive"), (negative, "negative")] {
        if side.n == 0 {
            return Err(one_label("ROC AUC", label));
        }
    }
    let all = 2.0 * (u128::from(positive.n) * u128::from(negative.n)) as f64;
    Ok(RocAuc {
        auc: pairs as f64 / all,
        std_error: variance(positive, negative).map(f64::sqrt),
        positives: positive.n,
        negatives: negative.n,
    })
}

fn variance(positive: Moments, negative: Moments) -> Option<f64> {
    let one = positive.covariance_of_mean(negative.n)?;
    let other = negative.covariance_of_mean(positive.n)?;
    Some(one + other)
}

/// The scores of two models for the same rows.
#[derive(Clone, Copy, Debug)]
pub struct ScorePair<'a> {
    /// The model that is compared: a challenger.
    pub current: &'a [f64],
    /// The model that it is compared with: a champion.
    pub reference: &'a [f64],
}

/// The difference of two areas under ROC curves on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RocAucDifference {
    /// The current model's area.
    pub current: RocAuc,
    /// The reference's.
    pub reference: RocAuc,
    /// Current less reference, in \[−1, 1\].
    pub difference: f64,
    /// DeLong's standard error of the difference; `None` with fewer than two rows of a label.
    pub std_error: Option<f64>,
    /// The two-sided p-value of no difference; `None` where the standard error is undefined or 0.
    pub p_value: Option<f64>,
}

impl RocAucDifference {
    /// Normal limits, cut at −1 and 1.
    ///
    /// # Errors
    /// [`Error::Undefined`] where the standard error is undefined, or is 0 although the areas
    /// differ; [`Error::Invalid`] for a confidence outside (0, 1).
    pub fn interval(&self, confidence: f64) -> Result<Interval> {
        let z = two_sided_z(confidence)?;
        let what = "DeLong's interval of a difference of ROC AUCs";
        let error = self
            .std_error
            .ok_or_else(|| Error::undefined(what, "it needs two rows of each label"))?;
        // Models that order all rows alike have a certain difference of 0.
        if error == 0.0 && self.difference != 0.0 {
            return Err(Error::undefined(what, "the estimated variance is 0"));
        }
        Interval::new(
            (self.difference - z * error).max(-1.0),
            (self.difference + z * error).min(1.0),
            confidence,
        )
    }
}

impl fmt::Display for RocAucDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ROC AUC {:.4} against {:.4}, difference {:+.4}",
            self.current.auc, self.reference.auc, self.difference
        )?;
        if let Some(p) = self.p_value {
            write!(f, ", p = {p:.4e}")?;
        }
        Ok(())
    }
}

/// DeLong's comparison of two models' areas under the ROC curve on the same rows.
///
/// The models' errors are correlated; taking that into account shows smaller differences than two
/// separate intervals do. O(n log n), 16 bytes a row and model.
///
/// # Errors
/// As [`roc_auc_delong`], for either model.
pub fn roc_auc_difference(y_true: &[bool], scores: ScorePair<'_>) -> Result<RocAucDifference> {
    check(y_true, scores.current)?;
    check(y_true, scores.reference)?;
    let a = doubled_placements(y_true, scores.current);
    let b = doubled_placements(y_true, scores.reference);
    let moments = |label: bool, one: &[u64], other: &[u64]| {
        let mut moments = Moments::default();
        for ((&of, &x), &y) in y_true.iter().zip(one).zip(other) {
            if of == label {
                moments.add(x, y, 1);
            }
        }
        moments
    };
    let areas =
        |one: &[u64], other: &[u64]| (moments(true, one, other), moments(false, one, other));
    let (own, reference) = (areas(&a, &a), areas(&b, &b));
    let current = roc_of(own.0.sum[0], own.0, own.1)?;
    let against = roc_of(reference.0.sum[0], reference.0, reference.1)?;
    let shared = areas(&a, &b);
    let std_error = (|| {
        let sum = variance(own.0, own.1)? + variance(reference.0, reference.1)?;
        let left = sum - 2.0 * variance(shared.0, shared.1)?;
        // What rounding leaves of two equal variances is no variance.
        Some(if left <= sum * 1e-14 { 0.0 } else { left.sqrt() })
    })();
    let all = 2.0 * (u128::from(current.positives) * u128::from(current.negatives)) as f64;
    let (x, y) = (own.0.sum[0], reference.0.sum[0]);
    let size = x.abs_diff(y) as f64 / all;
    let difference = if x >= y { size } else { -size };
    Ok(RocAucDifference {
        current,
        reference: against,
        difference,
        std_error,
        p_value: std_error.filter(|&e| e > 0.0).map(|e| normal_two_sided(difference / e)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Draws;
    use proptest::prelude::*;

    /// DeLong by its definition: placements of every pair, and their sample variances.
    fn by_pairs(y_true: &[bool], y_score: &[f64]) -> (f64, f64) {
        let of = |label: bool| -> Vec<f64> {
            y_true.iter().zip(y_score).filter(|(l, _)| **l == label).map(|(_, s)| *s).collect()
        };
        let (p, q) = (of(true), of(false));
        let psi = |x: f64, y: f64| {
            if x > y {
                1.0
            } else if x == y {
                0.5
            } else {
                0.0
            }
        };
        let v10: Vec<f64> =
            p.iter().map(|&x| q.iter().map(|&y| psi(x, y)).sum::<f64>() / q.len() as f64).collect();
        let v01: Vec<f64> =
            q.iter().map(|&y| p.iter().map(|&x| psi(x, y)).sum::<f64>() / p.len() as f64).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let part = |v: &[f64]| {
            let m = mean(v);
            v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / (v.len() as f64 - 1.0) / v.len() as f64
        };
        (mean(&v10), part(&v10) + part(&v01))
    }

    #[test]
    fn one_label_has_no_curve() {
        for labels in [[true, true], [false, false]] {
            let error = roc_auc_delong(&labels, &[0.1, 0.2]).unwrap_err();
            assert!(matches!(error, Error::Undefined { .. }), "{error}");
        }
        let error = roc_auc_delong(&[true, false], &[0.1, f64::NAN]).unwrap_err();
        assert!(matches!(error, Error::Value { row: 1, .. }), "{error}");
        assert!(matches!(roc_auc_delong(&[true], &[]), Err(Error::Length { .. })));
        let lone = roc_auc_delong(&[true, false], &[0.9, 0.1]).unwrap();
        assert_eq!((lone.auc, lone.std_error), (1.0, None));
        assert!(lone.interval(0.95).is_err());
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let labels = [true, false, true, false, true, false];
        let scores = [0.9, 0.8, 0.7, 0.3, 0.2, 0.1];
        let pair = ScorePair { current: &scores, reference: &scores };
        let difference = roc_auc_difference(&labels, pair).unwrap();
        assert_eq!((difference.difference, difference.std_error), (0.0, Some(0.0)));
        assert_eq!(difference.p_value, None);
        assert_eq!(difference.interval(0.95).unwrap().width(), 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_equals_its_definition_in_any_order(
            rows in prop::collection::vec((any::<bool>(), 0_u8..12, 0_u8..12), 8..60), seed: u64,
        ) {
            let mut rows = rows;
            rows.extend([(true, 1, 2), (true, 5, 4), (false, 3, 3), (false, 2, 4)]);
            let unpack = |rows: &[(bool, u8, u8)]| -> (Vec<bool>, Vec<f64>, Vec<f64>) {
                (
                    rows.iter().map(|r| r.0).collect(),
                    rows.iter().map(|r| f64::from(r.1)).collect(),
                    rows.iter().map(|r| f64::from(r.2)).collect(),
                )
            };
            let (y, a, b) = unpack(&rows);
            let roc = roc_auc_delong(&y, &a).unwrap();
            let (auc, variance) = by_pairs(&y, &a);
            prop_assert!((roc.auc - auc).abs() < 1e-14);
            prop_assert!((roc.std_error.unwrap().powi(2) - variance).abs() < 1e-14);
            if let Ok(interval) = roc.interval(0.9) {
                prop_assert!(interval.contains(roc.auc) && interval.low > 0.0 && interval.high < 1.0);
            }
            // DeLong's variance of the difference is that of the placements' differences.
            let pair = roc_auc_difference(&y, ScorePair { current: &a, reference: &b }).unwrap();
            prop_assert_eq!(pair.current, roc);
            Draws::new(seed, 0, 0).shuffle(&mut rows);
            let (y, a, b) = unpack(&rows);
            prop_assert_eq!(roc_auc_delong(&y, &a).unwrap(), roc);
            let again = roc_auc_difference(&y, ScorePair { current: &a, reference: &b }).unwrap();
            prop_assert_eq!(again, pair);
        }
    }
}
