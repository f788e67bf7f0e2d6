//! Every metric of a model at once, with confidence limits, and the reason where one is missing.

use std::fmt;

use arrow::array::Float64Array;
use serde::{Deserialize, Serialize};

use super::arguments::{Classified, Estimated, Scored, check_probabilities};
use super::confusion::Confusion;
use super::regression::{absolute_errors, r2_of, squared_errors};
use super::scores::{average_precision_of, brier_losses, log_losses};
use crate::states::Sum;
use crate::stats::{Interval, SampleMean, mean_t_interval, roc_auc_delong, wilson};
use crate::{Error, Result};

/// The mean, rounded once, whatever the order of the values; infinite where one of them is, NaN of
/// nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    let mut sum = Sum::new();
    // The sum leaves out what is not finite: squares that overflowed must not look like no error.
    if sum.add_slice(values) > 0 {
        return f64::INFINITY;
    }
    sum.mean(values.len() as u64).unwrap_or(f64::NAN)
}

/// A metric's value and limits, or why there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metric {
    /// The value, where it has one.
    pub value: Option<f64>,
    /// Its confidence limits, where there are any.
    pub interval: Option<Interval>,
    /// Why the value, or else the interval, is missing.
    pub reason: Option<String>,
}

impl Metric {
    fn new(value: Result<f64>, interval: impl FnOnce(f64) -> Result<Interval>) -> Result<Self> {
        let value = match value {
            Ok(value) if value.is_finite() => value,
            Ok(_) => return Ok(Self::missing("it is beyond the range of f64")),
            Err(Error::Undefined { reason, .. }) => return Ok(Self::missing(&reason)),
            Err(error) => return Err(error),
        };
        match interval(value) {
            Ok(interval) => Ok(Self { value: Some(value), interval: Some(interval), reason: None }),
            Err(Error::Undefined { reason, .. }) => {
                Ok(Self { value: Some(value), interval: None, reason: Some(reason) })
            }
            Err(error) => Err(error),
        }
    }

    fn missing(reason: &str) -> Self {
        Self { value: None, interval: None, reason: Some(reason.to_owned()) }
    }

    /// A proportion with Wilson's interval.
    fn share(value: Result<f64>, part: u64, whole: u64, confidence: f64) -> Result<Self> {
        Self::new(value, |_| wilson(part, whole, confidence))
    }

    /// A mean over the rows with Student's t interval, none of it below 0.
    fn loss(losses: &[f64], confidence: f64) -> Result<Self> {
        if losses.is_empty() {
            return Ok(Self::missing("there are no rows"));
        }
        let center = mean(losses);
        Self::new(Ok(center), |_| {
            let squares: Vec<f64> = losses.iter().map(|loss| (loss - center).powi(2)).collect();
            let n = losses.len() as u64;
            if n < 2 {
                return Err(Error::undefined("the interval of a mean", "there is one row"));
            }
            let std_dev = (mean(&squares) * (n as f64 / (n - 1) as f64)).sqrt();
            if !std_dev.is_finite() {
                return Err(Error::undefined("the interval", "the losses vary too much for f64"));
            }
            let t = mean_t_interval(SampleMean { mean: center, std_dev, n }, confidence)?;
            Interval::new(t.low.max(0.0), t.high, confidence)
        })
    }
}

/// How good a binary classifier is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassificationReport {
    /// The label that counts as positive.
    pub positive: String,
    /// How many rows there are.
    pub n: u64,
    /// The counts that the rates come from.
    pub confusion: Confusion,
    /// Right predictions; Wilson's interval, as for the other rates.
    pub accuracy: Metric,
    /// Right among the predicted positives.
    pub precision: Metric,
    /// Found among the positives.
    pub recall: Metric,
    /// Left alone among the negatives.
    pub specificity: Metric,
    /// The harmonic mean of precision and recall. F1 = 2J/(1 + J) rises with the proportion
    /// J = TP/(TP + FP + FN), so its limits are Wilson's of that.
    pub f1: Metric,
    /// The area under the ROC curve; `DeLong`'s interval on the logit scale.
    pub roc_auc: Metric,
    /// The area under the precision-recall curve.
    pub average_precision: Metric,
    /// The logarithmic loss in nats; the t interval of a mean.
    pub log_loss: Metric,
    /// The Brier score; the t interval of a mean.
    pub brier: Metric,
}

impl ClassificationReport {
    /// The report of probabilities; a row is predicted positive from `threshold` on.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Value`] for a null, NaN or infinity, with its row;
    /// [`Error::Undefined`] without rows; [`Error::Invalid`] for a confidence outside (0, 1). One
    /// metric without a value is no error. Scores outside \[0, 1\] leave log loss and Brier score
    /// undefined.
    pub fn of_scores(rows: Scored<'_>, threshold: f64, confidence: f64) -> Result<Self> {
        let (y_true, y_score) = rows.read()?;
        if threshold.is_nan() {
            return Err(Error::invalid("the threshold", "a number", threshold));
        }
        let confusion =
            Confusion::of(&y_true, y_score.values().iter().map(|&score| score >= threshold));
        Self::new(rows.positive, confusion, Some((&y_true, &y_score)), confidence)
    }

    /// The report of predicted labels; the metrics of scores have no value.
    ///
    /// # Errors
    /// As [`of_scores`](Self::of_scores).
    pub fn of_labels(rows: Classified<'_>, confidence: f64) -> Result<Self> {
        Self::new(rows.positive, super::confusion(rows)?, None, confidence)
    }

    fn new(
        positive: &str,
        counts: Confusion,
        scores: Option<(&[bool], &Float64Array)>,
        confidence: f64,
    ) -> Result<Self> {
        // Before any metric, so that a wrong confidence never looks like an undefined metric.
        Interval::new(0.0, 0.0, confidence)?;
        if counts.n() == 0 {
            return Err(Error::undefined("a classification report", "there are no rows"));
        }
        let found = counts.true_positives;
        let union = found + counts.false_positives + counts.false_negatives;
        let none = || Metric::missing("there are no scores, only labels");
        let (mut roc_auc, mut average_precision, mut log_loss, mut brier) =
            (none(), none(), none(), none());
        if let Some((y_true, y_score)) = scores {
            let delong = roc_auc_delong(y_true, y_score.values());
            roc_auc = match delong {
                Ok(roc) => Metric::new(Ok(roc.auc), |_| roc.interval(confidence))?,
                Err(error) => Metric::new(Err(error), |_| Interval::new(0.0, 0.0, confidence))?,
            };
            average_precision = Metric::new(average_precision_of(y_true, y_score), |_| {
                Err(Error::undefined("the interval", "no closed form; bootstrap it"))
            })?;
            (log_loss, brier) = if check_probabilities(y_score).is_ok() {
                (
                    Metric::loss(&log_losses(y_true, y_score), confidence)?,
                    Metric::loss(&brier_losses(y_true, y_score), confidence)?,
                )
            } else {
                let none = Metric::missing("the scores are no probabilities");
                (none.clone(), none)
            };
        }
        let share = |value, part, whole| Metric::share(value, part, whole, confidence);
        Ok(Self {
            positive: positive.to_owned(),
            n: counts.n(),
            confusion: counts,
            accuracy: share(counts.accuracy(), counts.correct(), counts.n())?,
            precision: share(counts.precision(), found, counts.predicted_positives())?,
            recall: share(counts.recall(), found, counts.positives())?,
            specificity: share(counts.specificity(), counts.true_negatives, counts.negatives())?,
            f1: Metric::new(counts.f1(), |value| {
                let share = wilson(found, union, confidence)?;
                let f1 = |j: f64| 2.0 * j / (1.0 + j);
                Interval::new(f1(share.low).min(value), f1(share.high).max(value), confidence)
            })?,
            roc_auc,
            average_precision,
            log_loss,
            brier,
        })
    }

    /// The metrics by name, in the order of their fields.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, &Metric)> {
        [
            ("accuracy", &self.accuracy),
            ("precision", &self.precision),
            ("recall", &self.recall),
            ("specificity", &self.specificity),
            ("f1", &self.f1),
            ("roc_auc", &self.roc_auc),
            ("average_precision", &self.average_precision),
            ("log_loss", &self.log_loss),
            ("brier", &self.brier),
        ]
        .into_iter()
    }

    /// The metric of this name, a field's.
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.metrics().find_map(|(n, metric)| (n == name).then_some(metric))
    }
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "classification of {} rows, {} of them positive (`{}`)",
            self.n,
            self.confusion.positives(),
            self.positive
        )?;
        table(f, self.metrics())?;
        write!(f, "\n  {}", self.confusion)
    }
}

/// How good a regressor is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegressionReport {
    /// How many rows there are.
    pub n: u64,
    /// The mean absolute error, in the unit of y; the t interval of a mean.
    pub mae: Metric,
    /// The mean squared error; the t interval of a mean.
    pub mse: Metric,
    /// Its root, in the unit of y; its limits are the roots of those.
    pub rmse: Metric,
    /// The coefficient of determination.
    pub r2: Metric,
}

impl RegressionReport {
    /// The report of predicted numbers.
    ///
    /// # Errors
    /// As [`mean_absolute_error`](super::mean_absolute_error), but a metric without a value is no
    /// error; [`Error::Invalid`] for a confidence outside (0, 1).
    pub fn of(rows: Estimated<'_>, confidence: f64) -> Result<Self> {
        Interval::new(0.0, 0.0, confidence)?;
        let (y_true, y_pred) = rows.read("a regression report")?;
        let mse = Metric::loss(&squared_errors(&y_true, &y_pred), confidence)?;
        let root = |limits: Interval| {
            Interval::new(limits.low.sqrt(), limits.high.sqrt(), limits.confidence)
        };
        Ok(Self {
            n: y_true.values().len() as u64,
            mae: Metric::loss(&absolute_errors(&y_true, &y_pred), confidence)?,
            rmse: Metric {
                value: mse.value.map(f64::sqrt),
                interval: mse.interval.map(root).transpose()?,
                reason: mse.reason.clone(),
            },
            mse,
            r2: Metric::new(r2_of(&y_true, &y_pred), |_| {
                Err(Error::undefined("the interval", "no closed form; bootstrap it"))
            })?,
        })
    }

    /// The metrics by name, in the order of their fields.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, &Metric)> {
        [("mae", &self.mae), ("mse", &self.mse), ("rmse", &self.rmse), ("r2", &self.r2)].into_iter()
    }

    /// The metric of this name, a field's.
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.metrics().find_map(|(n, metric)| (n == name).then_some(metric))
    }
}

impl fmt::Display for RegressionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "regression of {} rows", self.n)?;
        table(f, self.metrics())
    }
}

fn table<'a>(
    f: &mut fmt::Formatter<'_>,
    metrics: impl Iterator<Item = (&'static str, &'a Metric)>,
) -> fmt::Result {
    for (name, metric) in metrics {
        match metric.value {
            Some(value) => write!(f, "\n  {name:<18}{value:>12.4}")?,
            None => write!(f, "\n  {name:<18}{:>12}", "undefined")?,
        }
        if let Some(interval) = metric.interval {
            write!(f, "  {interval} at {} %", (interval.confidence * 1e6).round() / 1e4)?;
        } else if let Some(reason) = &metric.reason {
            write!(f, "  ({reason})")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Draws;
    use arrow::array::{BooleanArray, Int64Array};

    #[test]
    fn one_label_leaves_the_rest_of_the_report() {
        let y_true = BooleanArray::from(vec![false, false, false]);
        let y_score = Float64Array::from(vec![0.1, 0.2, 0.3]);
        let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
        let report = ClassificationReport::of_scores(rows, 0.5, 0.95).unwrap();
        assert_eq!(report.accuracy.value, Some(1.0));
        assert_eq!(report.recall.reason.as_deref(), Some("no row is positive"));
        assert_eq!(report.roc_auc.reason.as_deref(), Some("there are no positive rows"));
        assert!(report.to_string().contains("undefined  (no row is positive)"), "{report}");
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<ClassificationReport>(&text).unwrap(), report);
        assert!(ClassificationReport::of_scores(rows, 0.5, 95.0).is_err());
        assert!(ClassificationReport::of_scores(rows, f64::NAN, 0.95).is_err());
        let rows = Classified { y_true: &y_true, y_pred: &y_true, positive: "false" };
        let labels = ClassificationReport::of_labels(rows, 0.95).unwrap();
        assert_eq!(labels.get("f1").unwrap().value, Some(1.0));
        assert_eq!(labels.get("brier").unwrap().value, None);
        assert!(labels.get("nothing").is_none());
    }

    #[test]
    fn the_order_of_rows_changes_no_bit_and_limits_hold_values() {
        let mut draws = Draws::new(11, 0, 0);
        let mut rows: Vec<(i64, f64)> = (0..300)
            .map(|_| {
                let label = i64::from(draws.bernoulli(0.4));
                let score = 0.3 * label as f64 + 0.7 * draws.uniform();
                (label, (score * 64.0).floor() / 64.0 + draws.uniform() * 1e-17)
            })
            .collect();
        let reports = |rows: &[(i64, f64)]| {
            let y_true: Int64Array = rows.iter().map(|row| Some(row.0)).collect();
            let y_score: Float64Array = rows.iter().map(|row| Some(row.1)).collect();
            let scored = Scored { y_true: &y_true, y_score: &y_score, positive: "1" };
            let estimated = Estimated { y_true: &y_true, y_pred: &y_score };
            (
                ClassificationReport::of_scores(scored, 0.5, 0.9).unwrap(),
                RegressionReport::of(estimated, 0.9).unwrap(),
            )
        };
        let first = reports(&rows);
        for (name, metric) in first.0.metrics().chain(first.1.metrics()) {
            let value = metric.value.unwrap();
            if let Some(interval) = metric.interval {
                assert!(interval.contains(value), "{name}");
            } else {
                assert!(metric.reason.is_some(), "{name}");
            }
        }
        for _ in 0..5 {
            draws.shuffle(&mut rows);
            assert_eq!(reports(&rows), first);
        }
    }

    #[test]
    fn too_much_for_f64_is_undefined() {
        let y_true = Float64Array::from(vec![f64::MAX, 0.0]);
        let y_pred = Float64Array::from(vec![-f64::MAX, 0.0]);
        let report =
            RegressionReport::of(Estimated { y_true: &y_true, y_pred: &y_pred }, 0.95).unwrap();
        assert!(report.metrics().all(|(_, metric)| metric.value.is_none()));
        let one = y_pred.slice(1, 1);
        let report = RegressionReport::of(Estimated { y_true: &one, y_pred: &one }, 0.95).unwrap();
        assert_eq!((report.mae.value, report.mae.interval), (Some(0.0), None));
    }
}
