//! The difference of two models on the same rows, with its limits.

use arrow::array::{BooleanArray, Float64Array};
use mlops_core::metrics::{Classified, Scored, average_precision, f1, precision};
use mlops_core::states::Sum;
use mlops_core::stats::{
    Bootstrap, Interval, PairedOutcomes, Resampling, SampleMean, ScorePair, mcnemar,
    mean_t_interval, roc_auc_difference, student_t_two_sided, tango_difference,
};
use mlops_core::{Error, Result};

use super::auc_difference_limits::roc_auc_difference_limits;
use super::estimate::{matthews_of, median, resample};
use super::labels;
use super::metric::Metric;
use super::pair::Pair;
use super::predicted::check_labels;

/// A bootstrap of fewer rows of a label has limits that are too narrow.
const BOOTSTRAP_ROWS: usize = 20;

/// A difference, positive where the challenger is better.
pub(super) struct Difference {
    pub(super) value: f64,
    pub(super) limits: Interval,
    pub(super) p_value: Option<f64>,
    pub(super) how: String,
}

impl Difference {
    pub(super) fn resampled(found: &Bootstrap, sign: f64) -> Self {
        let Interval { low, high, .. } = found.interval;
        let (low, high) = if sign < 0.0 { (-high, -low) } else { (low, high) };
        let mut limits = found.interval;
        (limits.low, limits.high) = (low, high);
        let how = format!("paired bootstrap of {}", found.replicates);
        Self { value: sign * found.estimate, limits, p_value: None, how }
    }

    /// Student's t of the rows' differences.
    fn of_means(differences: &[f64], confidence: f64) -> Result<Self> {
        let what = "a difference of mean losses";
        let n = differences.len() as u64;
        if n < 2 {
            return Err(Error::undefined(what, "it needs two rows"));
        }
        let mean = |values: &[f64]| {
            let mut sum = Sum::new();
            match sum.add_slice(values) {
                0 => sum.mean(n),
                _ => None,
            }
        };
        let beyond = || Error::undefined(what, "the losses are beyond the range of f64");
        let center = mean(differences).ok_or_else(beyond)?;
        let squares: Vec<f64> = differences.iter().map(|d| (d - center).powi(2)).collect();
        let std_dev = (mean(&squares).ok_or_else(beyond)? * (n as f64 / (n - 1) as f64)).sqrt();
        let limits = mean_t_interval(SampleMean { mean: center, std_dev, n }, confidence)?;
        let p_value = if std_dev > 0.0 {
            let t = center / (std_dev / (n as f64).sqrt());
            Some(student_t_two_sided(t, (n - 1) as f64)?)
        } else {
            None
        };
        Ok(Self { value: center, limits, p_value, how: "paired t".into() })
    }
}

/// Labels or true numbers, and what both models predict.
pub(super) struct PairedRows {
    y_true: Vec<f64>,
    challenger: Vec<f64>,
    champion: Vec<f64>,
    /// Of classifiers; `None` of regressors.
    threshold: Option<f64>,
}

impl PairedRows {
    pub(super) fn of(pair: Pair<'_>) -> Result<Self> {
        let (truth, new, old) = match pair {
            Pair::Scores(p) => (p.y_true, p.challenger, p.champion),
            Pair::Values(p) => (p.y_true, p.challenger, p.champion),
        };
        check_labels(truth, new.len())?;
        for (name, scores) in [("challenger", new), ("champion", old)] {
            if scores.len() != truth.len() {
                return Err(Error::Length {
                    left: "y_true".into(),
                    left_len: truth.len(),
                    right: name.into(),
                    right_len: scores.len(),
                });
            }
        }
        let (y_true, threshold) = match pair {
            Pair::Scores(p) => {
                if p.threshold.is_nan() {
                    return Err(Error::invalid("the threshold", "a number", p.threshold));
                }
                let labels = labels::known("y_true", truth, p.positive)?;
                (
                    labels.into_iter().map(|label| f64::from(u8::from(label))).collect(),
                    Some(p.threshold),
                )
            }
            Pair::Values(_) => (labels::scores("y_true", truth)?, None),
        };
        let (challenger, champion) =
            (labels::scores("challenger", new)?, labels::scores("champion", old)?);
        Ok(Self { y_true, challenger, champion, threshold })
    }

    pub(super) fn len(&self) -> usize {
        self.y_true.len()
    }

    pub(super) fn take(&self, rows: &[u64]) -> Self {
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row as usize]).collect();
        Self {
            y_true: pick(&self.y_true),
            challenger: pick(&self.challenger),
            champion: pick(&self.champion),
            threshold: self.threshold,
        }
    }

    fn labels(&self) -> Vec<bool> {
        self.y_true.iter().map(|&label| label == 1.0).collect()
    }

    /// The difference with its limits.
    pub(super) fn difference(
        &self,
        metric: Metric,
        resampling: Resampling,
        confidence: f64,
    ) -> Result<Difference> {
        match self.threshold {
            Some(threshold) if !metric.is_of_values() => {
                self.of_classifiers(metric, threshold, resampling, confidence)
            }
            None if metric.is_of_values() => self.of_regressors(metric, resampling, confidence),
            Some(_) => Err(Error::invalid("the metric", "one that compares classifiers", metric)),
            None => Err(Error::invalid("the metric", "one that compares regressors", metric)),
        }
    }

    fn of_classifiers(
        &self,
        metric: Metric,
        threshold: f64,
        resampling: Resampling,
        confidence: f64,
    ) -> Result<Difference> {
        match metric {
            Metric::Accuracy | Metric::Recall | Metric::Specificity => {
                // Recall is the accuracy among the positives, specificity that among the others.
                let of = match metric {
                    Metric::Recall => Some(1.0),
                    Metric::Specificity => Some(0.0),
                    _ => None,
                };
                let outcomes = self.right(threshold, of);
                let limits = tango_difference(outcomes, confidence)?;
                let test = mcnemar(outcomes)?;
                let gained = outcomes.only_current as f64 - outcomes.only_reference as f64;
                let how = format!(
                    "McNemar: {} rows only right now, {} only before, exact p {:.3}",
                    outcomes.only_current, outcomes.only_reference, test.p_value
                );
                let value = gained / outcomes.n() as f64;
                Ok(Difference { value, limits, p_value: Some(test.mid_p_value), how })
            }
            Metric::RocAuc => {
                let y_true = self.labels();
                let scores = ScorePair { current: &self.challenger, reference: &self.champion };
                let found = roc_auc_difference(&y_true, scores)?;
                let limits = roc_auc_difference_limits(&found, &y_true, scores, confidence)?;
                let how = "DeLong".into();
                Ok(Difference { value: found.difference, limits, p_value: found.p_value, how })
            }
            Metric::LogLoss | Metric::Brier => {
                let loss = |truth: f64, p: f64| {
                    if metric == Metric::Brier {
                        return (p - truth).powi(2);
                    }
                    let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
                    -if truth == 1.0 { p.ln() } else { (-p).ln_1p() }
                };
                for (name, scores) in
                    [("challenger", &self.challenger), ("champion", &self.champion)]
                {
                    if let Some(row) = scores.iter().position(|p| !(0.0..=1.0).contains(p)) {
                        return Err(Error::Value {
                            column: name.into(),
                            row: row as u64,
                            expected: "a probability in [0, 1]".into(),
                            found: scores[row].to_string(),
                        });
                    }
                }
                Difference::of_means(&self.gains(loss), confidence)
            }
            _ => {
                let positives = self.labels().iter().filter(|&&label| label).count();
                let rarer = positives.min(self.y_true.len() - positives);
                enough_rows(rarer, "rows of either label")?;
                let found = self.bootstrap(resampling, confidence, |scores, drawn| {
                    self.of_labels(metric, threshold, scores, drawn)
                })?;
                Ok(Difference::resampled(&found, 1.0))
            }
        }
    }

    fn of_regressors(
        &self,
        metric: Metric,
        resampling: Resampling,
        confidence: f64,
    ) -> Result<Difference> {
        match metric {
            Metric::Mae => Difference::of_means(&self.gains(|t, p| (t - p).abs()), confidence),
            Metric::Mse => Difference::of_means(&self.gains(|t, p| (t - p).powi(2)), confidence),
            _ => {
                enough_rows(self.y_true.len(), "rows")?;
                let found = self.bootstrap(resampling, confidence, |values, drawn| {
                    self.of_values(metric, values, drawn)
                })?;
                Ok(Difference::resampled(&found, if metric.is_loss() { -1.0 } else { 1.0 }))
            }
        }
    }

    /// How much less the challenger loses on each row.
    fn gains(&self, loss: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        self.y_true
            .iter()
            .zip(self.challenger.iter().zip(&self.champion))
            .map(|(&truth, (&new, &old))| loss(truth, old) - loss(truth, new))
            .collect()
    }

    fn bootstrap(
        &self,
        resampling: Resampling,
        confidence: f64,
        metric: impl Fn(&[f64], &[usize]) -> Option<f64> + Sync,
    ) -> Result<Bootstrap> {
        resample(self.y_true.len(), resampling, confidence, |drawn| {
            Some(metric(&self.challenger, drawn)? - metric(&self.champion, drawn)?)
        })
    }

    /// Who was right, on all rows or on those of one label.
    fn right(&self, threshold: f64, of: Option<f64>) -> PairedOutcomes {
        let mut counts = PairedOutcomes { concordant: 0, only_current: 0, only_reference: 0 };
        for ((&label, &new), &old) in self.y_true.iter().zip(&self.challenger).zip(&self.champion) {
            if of.is_some_and(|of| of != label) {
                continue;
            }
            let right = |score: f64| (score >= threshold) == (label == 1.0);
            match (right(new), right(old)) {
                (true, false) => counts.only_current += 1,
                (false, true) => counts.only_reference += 1,
                _ => counts.concordant += 1,
            }
        }
        counts
    }

    /// A metric of one classifier on these rows.
    fn of_labels(
        &self,
        metric: Metric,
        threshold: f64,
        scores: &[f64],
        drawn: &[usize],
    ) -> Option<f64> {
        if matches!(metric, Metric::BalancedAccuracy | Metric::MatthewsCorrelation) {
            let mut cells = [0_u64; 4];
            for &i in drawn {
                let label = usize::from(self.y_true[i] == 1.0);
                cells[label * 2 + usize::from(scores[i] >= threshold)] += 1;
            }
            if metric == Metric::MatthewsCorrelation {
                return matthews_of(cells);
            }
            let [tn, fp, fn_, tp] = cells;
            let share = |part: u64, other: u64| {
                (part + other > 0).then(|| part as f64 / (part + other) as f64)
            };
            return Some(f64::midpoint(share(tp, fn_)?, share(tn, fp)?));
        }
        let y_true: BooleanArray = drawn.iter().map(|&i| Some(self.y_true[i] == 1.0)).collect();
        let y_score: Float64Array = drawn.iter().map(|&i| scores[i]).collect::<Vec<_>>().into();
        let scored = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
        let y_pred: BooleanArray = drawn.iter().map(|&i| Some(scores[i] >= threshold)).collect();
        let classified = Classified { y_true: &y_true, y_pred: &y_pred, positive: "true" };
        match metric {
            Metric::Precision => precision(classified).ok(),
            Metric::F1 => f1(classified).ok(),
            Metric::AveragePrecision => average_precision(scored).ok(),
            _ => None,
        }
    }

    /// A metric of one regressor on these rows.
    fn of_values(&self, metric: Metric, values: &[f64], drawn: &[usize]) -> Option<f64> {
        let n = drawn.len() as f64;
        let error = |i: usize| self.y_true[i] - values[i];
        // The drawn rows come in an order that a seed fixes; replicates are compared, not merged.
        let squares = || drawn.iter().map(|&i| error(i).powi(2)).sum::<f64>() / n;
        match metric {
            Metric::Rmse => Some(squares().sqrt()),
            Metric::MedianAbsoluteError => {
                let mut errors: Vec<f64> = drawn.iter().map(|&i| error(i).abs()).collect();
                errors.sort_unstable_by(f64::total_cmp);
                Some(median(&errors))
            }
            Metric::R2 => {
                let mean = drawn.iter().map(|&i| self.y_true[i]).sum::<f64>() / n;
                let spread =
                    drawn.iter().map(|&i| (self.y_true[i] - mean).powi(2)).sum::<f64>() / n;
                (spread > 0.0).then(|| 1.0 - squares() / spread)
            }
            _ => None,
        }
    }
}

fn enough_rows(rows: usize, of_what: &str) -> Result<()> {
    if rows >= BOOTSTRAP_ROWS {
        return Ok(());
    }
    Err(Error::undefined("the difference", format!("a bootstrap needs {BOOTSTRAP_ROWS} {of_what}")))
}
