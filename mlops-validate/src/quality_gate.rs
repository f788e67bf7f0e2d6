//! Bounds on a model's metrics, judged at the confidence limit.

use std::fmt;

use arrow::array::{Float64Array, Int64Array};
use mlops_core::metrics::{
    ClassificationReport, Classified, Estimated, Metric as Measured, RegressionReport, Scored,
    average_precision, r2,
};
use mlops_core::stats::{Interval, Resampling, bootstrap, clopper_pearson};
use mlops_core::{Assessment, Error, Finding, Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::labels;

/// A metric of predictions, by its name in [`mlops_core::metrics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// The share of right predictions.
    Accuracy,
    /// Right among the predicted positives.
    Precision,
    /// Found among the positives.
    Recall,
    /// Left alone among the negatives.
    Specificity,
    /// The harmonic mean of precision and recall.
    F1,
    /// The area under the ROC curve.
    RocAuc,
    /// The area under the precision-recall curve.
    AveragePrecision,
    /// The logarithmic loss.
    LogLoss,
    /// The Brier score.
    Brier,
    /// The mean absolute error.
    Mae,
    /// The mean squared error.
    Mse,
    /// The root of the mean squared error.
    Rmse,
    /// The coefficient of determination.
    R2,
}

impl Metric {
    /// The name, a field of [`ClassificationReport`] or [`RegressionReport`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::Specificity => "specificity",
            Self::F1 => "f1",
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::Mae => "mae",
            Self::Mse => "mse",
            Self::Rmse => "rmse",
            Self::R2 => "r2",
        }
    }

    /// A bound that asks a metric to be bad, or that no value can reach, is a slip.
    fn check(self, bound: Bound) -> Result<()> {
        let what = || format!("the bound of {self}");
        let (Bound::AtLeast(b) | Bound::AtMost(b)) = bound;
        if !b.is_finite() {
            return Err(Error::invalid(what(), "a number", b));
        }
        match (self.is_loss(), bound) {
            (true, Bound::AtLeast(b)) => {
                return Err(Error::invalid(
                    what(),
                    "at most, since less is better",
                    format!("at least {b}"),
                ));
            }
            (false, Bound::AtMost(b)) => {
                return Err(Error::invalid(
                    what(),
                    "at least, since more is better",
                    format!("at most {b}"),
                ));
            }
            _ => {}
        }
        let in_range = match self {
            Self::LogLoss | Self::Mae | Self::Mse | Self::Rmse => b >= 0.0,
            Self::R2 => b <= 1.0,
            _ => (0.0..=1.0).contains(&b),
        };
        if !in_range {
            return Err(Error::invalid(what(), "a value that it can have", b));
        }
        Ok(())
    }

    /// Whether less is better.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::LogLoss | Self::Brier | Self::Mae | Self::Mse | Self::Rmse)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a metric must lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Bounds on metrics of a hold-out, each judged at its confidence limit.
///
/// A metric that must be at least a bound passes if its *lower* confidence limit is, fails if its
/// *upper* limit is below, and is inconclusive otherwise, or where it is undefined: too few rows
/// do not pass. Limits are those of the reports (Wilson, `DeLong`, t); a seeded bootstrap where
/// there is no closed form. With one label or none right everywhere a ROC AUC of 1 has the exact
/// limit that as many disjoint pairs as the rarer label has rows give.
///
/// ```
/// use mlops_core::Verdict;
/// use mlops_core::arrow::array::{Float64Array, Int64Array};
/// use mlops_core::metrics::Scored;
/// use mlops_validate::{Metric, QualityGate};
///
/// let y_true: Int64Array = (0..400).map(|i| Some(i % 2)).collect();
/// let y_score: Float64Array =
///     (0..400).map(|i| Some(0.3 * f64::from(i % 2) + f64::from(i % 7) / 10.0)).collect();
/// let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "1" };
/// let gate = QualityGate::new("quality").at_least(Metric::RocAuc, 0.7);
/// assert_eq!(gate.judge_scores(rows, 0.5)?.verdict, Verdict::Pass);
/// let strict = QualityGate::new("quality").at_least(Metric::RocAuc, 0.99);
/// assert_eq!(strict.judge_scores(rows, 0.5)?.verdict, Verdict::Fail);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityGate {
    name: String,
    bounds: Vec<(Metric, Bound)>,
    confidence: f64,
    resampling: Resampling,
}

impl QualityGate {
    /// A gate of this name that bounds nothing yet, and so passes nothing; 95 % limits.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            bounds: Vec::new(),
            confidence: 0.95,
            resampling: Resampling::new(0, 1000),
        }
    }

    /// The same, asking for at least this much.
    #[must_use]
    pub fn at_least(mut self, metric: Metric, bound: f64) -> Self {
        self.bounds.push((metric, Bound::AtLeast(bound)));
        self
    }

    /// The same, asking for at most this much, as of a loss.
    #[must_use]
    pub fn at_most(mut self, metric: Metric, bound: f64) -> Self {
        self.bounds.push((metric, Bound::AtMost(bound)));
        self
    }

    /// The same, with limits of this two-sided confidence, in (0, 1).
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// The same, resampling like this where a metric's limits have no closed form.
    #[must_use]
    pub fn resampling(mut self, resampling: Resampling) -> Self {
        self.resampling = resampling;
        self
    }

    /// Judges a binary classifier's scores; from `threshold` on a row is predicted positive.
    ///
    /// # Errors
    /// As [`ClassificationReport::of_scores`]; [`Error::Invalid`] for a metric of regressions, a
    /// bound that the metric can't have or that asks it to be bad, or a threshold outside the
    /// range of the scores' kind: in \[0, 1\] where all scores are.
    pub fn judge_scores(&self, rows: Scored<'_>, threshold: f64) -> Result<Assessment> {
        let report = ClassificationReport::of_scores(rows, threshold, self.confidence)?;
        if !(0.0..=1.0).contains(&threshold) && are_probabilities(rows.y_score) {
            let expected = "a number from 0 to 1, as the scores are";
            return Err(Error::invalid("threshold", expected, threshold));
        }
        self.judge(report.n, |metric| {
            let mut measured = report.get(metric.name()).cloned();
            if let Some(m) = &mut measured
                && m.interval.is_none()
                && let Some(value) = m.value
            {
                m.interval = match metric {
                    Metric::RocAuc => {
                        let rarer = report.confusion.positives().min(report.confusion.negatives());
                        separated(value, rarer, self.confidence)
                    }
                    Metric::AveragePrecision => self.average_precision_limits(rows)?,
                    _ => None,
                };
            }
            Ok(measured)
        })
    }

    /// Judges a classifier's predicted labels, where there are no scores.
    ///
    /// ```
    /// use mlops_core::Verdict;
    /// use mlops_core::arrow::array::StringArray;
    /// use mlops_core::metrics::Classified;
    /// use mlops_validate::{Metric, QualityGate};
    ///
    /// let y_true = StringArray::from_iter_values((0..500).map(|i| ["no", "yes"][i % 2]));
    /// let y_pred = StringArray::from_iter_values((0..500).map(|i| ["no", "yes"][i % 50 % 2]));
    /// let rows = Classified { y_true: &y_true, y_pred: &y_pred, positive: "yes" };
    /// let gate = QualityGate::new("quality").at_least(Metric::Accuracy, 0.95);
    /// assert_eq!(gate.judge_labels(rows)?.verdict, Verdict::Pass);
    /// // What needs scores is undefined, and so opens nothing.
    /// let gate = gate.at_least(Metric::RocAuc, 0.9);
    /// assert_eq!(gate.judge_labels(rows)?.verdict, Verdict::Inconclusive);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`ClassificationReport::of_labels`]; [`Error::Invalid`] for a metric of regressions or a
    /// bound that is not finite.
    pub fn judge_labels(&self, rows: Classified<'_>) -> Result<Assessment> {
        let report = ClassificationReport::of_labels(rows, self.confidence)?;
        self.judge(report.n, |metric| Ok(report.get(metric.name()).cloned()))
    }

    /// Judges a regressor's numbers.
    ///
    /// # Errors
    /// As [`RegressionReport::of`]; [`Error::Invalid`] for a metric of classifications or a bound
    /// that is not finite.
    pub fn judge_values(&self, rows: Estimated<'_>) -> Result<Assessment> {
        let report = RegressionReport::of(rows, self.confidence)?;
        self.judge(report.n, |metric| {
            let mut measured = report.get(metric.name()).cloned();
            if let (Metric::R2, Some(m)) = (metric, &mut measured)
                && m.value.is_some()
            {
                m.interval = self.r2_limits(rows)?;
            }
            Ok(measured)
        })
    }

    fn judge(
        &self,
        rows: u64,
        measure: impl Fn(Metric) -> Result<Option<Measured>>,
    ) -> Result<Assessment> {
        let findings = self.bounds.iter().map(|&(metric, bound)| {
            metric.check(bound)?;
            let measured = measure(metric)?.ok_or_else(|| {
                Error::invalid("a metric of the gate", "one of this kind of model", metric)
            })?;
            let expected = match bound {
                Bound::AtLeast(b) => format!("at least {b}"),
                Bound::AtMost(b) => format!("at most {b}"),
            };
            let reason = || measured.reason.clone().unwrap_or_else(|| "no reason given".into());
            let (verdict, observed) = match (measured.value, measured.interval) {
                (Some(value), Some(limits)) => {
                    let (good, bad) = match bound {
                        Bound::AtLeast(b) => (limits.low >= b, limits.high < b),
                        Bound::AtMost(b) => (limits.high <= b, limits.low > b),
                    };
                    let verdict = match (good, bad) {
                        (true, _) => Verdict::Pass,
                        (_, true) => Verdict::Fail,
                        _ => Verdict::Inconclusive,
                    };
                    let confidence = (limits.confidence * 1e6).round() / 1e4;
                    (verdict, format!("{value:.4}, {confidence} % limits {limits}"))
                }
                (Some(value), None) => {
                    (Verdict::Inconclusive, format!("{value:.4} without limits: {}", reason()))
                }
                (None, _) => (Verdict::Inconclusive, format!("undefined: {}", reason())),
            };
            let mut finding = Finding::new(metric.name(), "model", verdict, expected, observed);
            if let Some(value) = measured.value {
                finding = finding.with_value(value);
            }
            if let Some(limits) = measured.interval {
                finding = finding.with_interval(limits.low, limits.high);
            }
            Ok(finding)
        });
        Ok(Assessment::new(&self.name, rows, findings.collect::<Result<_>>()?))
    }

    fn average_precision_limits(&self, rows: Scored<'_>) -> Result<Option<Interval>> {
        let y_true = labels::known("y_true", rows.y_true, rows.positive)?;
        let y_score = labels::scores("y_score", rows.y_score)?;
        Ok(bootstrap(y_true.len(), self.resampling, self.confidence, |drawn| {
            let y_true: Int64Array =
                drawn.iter().map(|&i| i64::from(y_true[i])).collect::<Vec<_>>().into();
            let y_score: Float64Array =
                drawn.iter().map(|&i| y_score[i]).collect::<Vec<_>>().into();
            average_precision(Scored { y_true: &y_true, y_score: &y_score, positive: "1" }).ok()
        })
        .ok()
        .map(|b| b.interval))
    }

    fn r2_limits(&self, rows: Estimated<'_>) -> Result<Option<Interval>> {
        let y_true = labels::scores("y_true", rows.y_true)?;
        let y_pred = labels::scores("y_pred", rows.y_pred)?;
        Ok(bootstrap(y_true.len(), self.resampling, self.confidence, |drawn| {
            let pick = |values: &[f64]| -> Float64Array {
                drawn.iter().map(|&i| values[i]).collect::<Vec<_>>().into()
            };
            r2(Estimated { y_true: &pick(&y_true), y_pred: &pick(&y_pred) }).ok()
        })
        .ok()
        .map(|b| b.interval))
    }
}

/// The limits of a ROC AUC of exactly 1, or 0, where `DeLong`'s variance is 0: pairs of one
/// positive and one negative, no row in two of them, are independent and all in order.
pub(crate) fn separated(auc: f64, rarer: u64, confidence: f64) -> Option<Interval> {
    let right = match auc {
        1.0 => rarer,
        0.0 => 0,
        _ => return None,
    };
    clopper_pearson(right, rarer, confidence).ok()
}

/// Whether all scores lie in [0, 1].
fn are_probabilities(scores: &dyn arrow::array::Array) -> bool {
    mlops_core::to_numbers("y_score", scores)
        .is_ok_and(|scores| scores.iter().flatten().all(|p| (0.0..=1.0).contains(&p)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::BooleanArray;

    fn judge(gate: &QualityGate, n: i64, gap: f64) -> Verdict {
        let y_true: BooleanArray = (0..n).map(|i| Some(i % 2 == 0)).collect();
        let y_score: Float64Array = (0..n)
            .map(|i| Some(0.2 + gap * f64::from(u8::from(i % 2 == 0)) + (i % 11) as f64 / 25.0))
            .collect();
        let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
        gate.judge_scores(rows, 0.5).unwrap().verdict
    }

    #[test]
    fn few_rows_do_not_pass_and_do_not_fail() {
        let gate = QualityGate::new("q").at_least(Metric::RocAuc, 0.7);
        assert_eq!(judge(&gate, 2000, 0.2), Verdict::Pass);
        assert_eq!(judge(&gate, 12, 0.2), Verdict::Inconclusive);
        assert_eq!(judge(&gate, 2000, 0.0), Verdict::Fail);
        // Perfect on three pairs shows little, on a thousand enough.
        assert_eq!(judge(&gate, 6, 0.9), Verdict::Inconclusive);
        assert_eq!(judge(&gate, 2000, 0.9), Verdict::Pass);
        assert_eq!(judge(&QualityGate::new("q"), 2000, 0.9), Verdict::Inconclusive);
        let loss = QualityGate::new("q")
            .at_most(Metric::Brier, 0.24)
            .at_least(Metric::AveragePrecision, 0.6);
        assert_eq!(judge(&loss, 2000, 0.3), Verdict::Pass);
    }

    #[test]
    fn a_metric_of_another_kind_of_model_is_an_error() {
        let y = Float64Array::from(vec![1.0, 2.0, 3.0]);
        let rows = Estimated { y_true: &y, y_pred: &y };
        assert!(QualityGate::new("q").at_least(Metric::F1, 0.5).judge_values(rows).is_err());
        assert!(QualityGate::new("q").at_least(Metric::R2, f64::NAN).judge_values(rows).is_err());
        let gate = QualityGate::new("q").at_most(Metric::Mae, 0.5).at_least(Metric::R2, 0.5);
        assert!(gate.judge_values(rows).is_ok());
    }

    #[test]
    fn a_bound_that_asks_for_the_bad_is_refused() {
        let y_true: Int64Array = (0..100).map(|i| Some(i % 2)).collect();
        let y_score: Float64Array = (0..100).map(|i| Some(f64::from(i % 2))).collect();
        let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "1" };
        let gate = || QualityGate::new("quality");
        for slip in [
            gate().at_least(Metric::Brier, 0.1),
            gate().at_least(Metric::LogLoss, 0.2),
            gate().at_most(Metric::RocAuc, 0.9),
            gate().at_least(Metric::RocAuc, 80.0),
            gate().at_least(Metric::Accuracy, f64::NAN),
        ] {
            let error = slip.judge_scores(rows, 0.5).unwrap_err().to_string();
            assert!(error.contains("the bound of"), "{error}");
        }
        let error = gate().at_least(Metric::Accuracy, 0.5).judge_scores(rows, 50.0).unwrap_err();
        assert!(error.to_string().contains("threshold"), "{error}");
    }
}
