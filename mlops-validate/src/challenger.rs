//! A challenger against the champion, on the same rows.

use arrow::array::{Array, BooleanArray, Float64Array};
use mlops_core::metrics::{Classified, Scored, average_precision, brier, f1, log_loss, precision};
use mlops_core::stats::{
    Interval, PairedOutcomes, Resampling, ScorePair, bootstrap, mcnemar, roc_auc_difference,
    tango_difference,
};
use mlops_core::{Assessment, Error, Finding, Result, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::{Metric, labels};

/// The scores of two models for the same rows.
#[derive(Clone, Copy, Debug)]
pub struct ModelPair<'a> {
    /// What came true.
    pub y_true: &'a dyn Array,
    /// The label that counts as positive.
    pub positive: &'a str,
    /// The score of the positive by the model that wants to be promoted.
    pub challenger: &'a dyn Array,
    /// The score of the positive by the model in production.
    pub champion: &'a dyn Array,
    /// From this score on a row is predicted positive.
    pub threshold: f64,
}

/// What a challenger must show.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// To be worse by no more than a margin.
    NonInferior,
    /// To be better.
    Superior,
}

/// Judges a challenger by the confidence limits of its difference to the champion on one metric.
///
/// The difference is positive where the challenger is better, also for a loss. Not inferior: its
/// lower limit is at least −margin (pass), or its upper limit below −margin (fail). Superior: its
/// lower limit is above 0 (pass), or its upper limit is at most 0 (fail). Otherwise inconclusive.
/// Both answers are findings; the one that is not required is for information.
///
/// Accuracy, recall, specificity: Tango's interval and McNemar's exact test. ROC AUC: `DeLong`. The
/// others: the seeded paired bootstrap, which needs 20 rows of either label.
///
/// ```
/// use mlops_core::Verdict;
/// use mlops_core::arrow::array::{Float64Array, Int64Array};
/// use mlops_validate::{ChallengerGate, Metric, ModelPair};
///
/// let y_true: Int64Array = (0..600).map(|i| Some(i % 2)).collect();
/// let scores = |gap: f64| -> Float64Array {
///     (0..600).map(|i| Some(gap * f64::from(i % 2) + f64::from(i % 7) / 10.0)).collect()
/// };
/// let (better, worse) = (scores(0.4), scores(0.1));
/// let pair = ModelPair {
///     y_true: &y_true, positive: "1", challenger: &better, champion: &worse, threshold: 0.5,
/// };
/// let gate = ChallengerGate::new("champion", Metric::RocAuc).superior();
/// assert_eq!(gate.judge(pair)?.verdict, Verdict::Pass);
/// let swapped = ModelPair { challenger: &worse, champion: &better, ..pair };
/// assert_eq!(gate.judge(swapped)?.verdict, Verdict::Fail);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengerGate {
    name: String,
    metric: Metric,
    margin: f64,
    requirement: Requirement,
    confidence: f64,
    resampling: Resampling,
}

impl ChallengerGate {
    /// A bootstrap of fewer rows of a label has limits that are too narrow.
    const BOOTSTRAP_ROWS: usize = 20;

    /// A gate of this name that asks for no inferiority beyond 0.01, at 95 % limits.
    pub fn new(name: impl Into<String>, metric: Metric) -> Self {
        Self {
            name: name.into(),
            metric,
            margin: 0.01,
            requirement: Requirement::NonInferior,
            confidence: 0.95,
            resampling: Resampling::new(0, 1000),
        }
    }

    /// The same, with this margin of the metric within which the challenger may be worse.
    #[must_use]
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// The same, asking the challenger to be better.
    #[must_use]
    pub fn superior(mut self) -> Self {
        self.requirement = Requirement::Superior;
        self
    }

    /// The same, with limits of this two-sided confidence, in (0, 1).
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// The same, resampling like this where the limits have no closed form.
    #[must_use]
    pub fn resampling(mut self, resampling: Resampling) -> Self {
        self.resampling = resampling;
        self
    }

    /// Compares the two.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Value`] for a row without label or finite scores;
    /// [`Error::Invalid`] for a margin below 0, a confidence outside (0, 1), or a metric that is
    /// not one of classifiers. A difference without limits is inconclusive.
    pub fn judge(&self, pair: ModelPair<'_>) -> Result<Assessment> {
        if !(self.margin >= 0.0 && self.margin.is_finite()) {
            return Err(Error::invalid("the margin", "a number from 0 on", self.margin));
        }
        Interval::new(0.0, 0.0, self.confidence)?;
        let rows = Rows::of(pair)?;
        let (difference, limits, p_value) = match self.difference(&rows) {
            Ok(found) => found,
            Err(Error::Undefined { reason, .. }) => {
                let finding = Finding::new(
                    "challenger",
                    self.metric.name(),
                    Verdict::Inconclusive,
                    "a difference with confidence limits",
                    format!("undefined: {reason}"),
                );
                return Ok(Assessment::new(&self.name, rows.len(), vec![finding]));
            }
            Err(error) => return Err(error),
        };
        let observed = format!(
            "{difference:+.4}, {} % limits {limits}",
            (self.confidence * 1e6).round() / 1e4
        );
        let finding = |check: &str, verdict, expected: String, which| {
            let severity =
                if self.requirement == which { Severity::Critical } else { Severity::Info };
            let finding = Finding::new(check, self.metric.name(), verdict, expected, &observed)
                .with_severity(severity)
                .with_value(difference)
                .with_interval(limits.low, limits.high);
            match p_value {
                Some(p) => finding.with_p_value(p),
                None => finding,
            }
        };
        let three = |pass: bool, fail: bool| match (pass, fail) {
            (true, _) => Verdict::Pass,
            (_, true) => Verdict::Fail,
            _ => Verdict::Inconclusive,
        };
        let findings = vec![
            finding(
                "non_inferior",
                three(limits.low >= -self.margin, limits.high < -self.margin),
                format!("a difference of at least {}", -self.margin),
                Requirement::NonInferior,
            ),
            finding(
                "superior",
                three(limits.low > 0.0, limits.high <= 0.0),
                "a difference above 0".into(),
                Requirement::Superior,
            ),
        ];
        Ok(Assessment::new(&self.name, rows.len(), findings))
    }

    /// The difference, its limits, and the p-value of no difference.
    fn difference(&self, rows: &Rows) -> Result<(f64, Interval, Option<f64>)> {
        match self.metric {
            Metric::Accuracy | Metric::Recall | Metric::Specificity => {
                // Recall is the accuracy among the positives, specificity that among the others.
                let outcomes = rows.outcomes(match self.metric {
                    Metric::Recall => Some(true),
                    Metric::Specificity => Some(false),
                    _ => None,
                });
                let limits = tango_difference(outcomes, self.confidence)?;
                let test = mcnemar(outcomes)?;
                let n = outcomes.n() as f64;
                let difference =
                    (outcomes.only_current as f64 - outcomes.only_reference as f64) / n;
                Ok((difference, limits, Some(test.p_value)))
            }
            Metric::RocAuc => {
                let scores = ScorePair { current: &rows.challenger, reference: &rows.champion };
                let found = roc_auc_difference(&rows.y_true, scores)?;
                Ok((found.difference, found.interval(self.confidence)?, found.p_value))
            }
            metric => {
                let sign = if metric.is_loss() { -1.0 } else { 1.0 };
                // An unknown metric is an error, an undefined one of a replicate is not.
                if let Err(error @ Error::Invalid { .. }) =
                    rows.metric(metric, &rows.challenger, None)
                {
                    return Err(error);
                }
                let positives = rows.y_true.iter().filter(|&&label| label).count();
                if positives.min(rows.y_true.len() - positives) < Self::BOOTSTRAP_ROWS {
                    let least = Self::BOOTSTRAP_ROWS;
                    let reason = format!("a bootstrap needs {least} rows of either label");
                    return Err(Error::undefined("the difference", reason));
                }
                let found =
                    bootstrap(rows.y_true.len(), self.resampling, self.confidence, |drawn| {
                        let new = rows.metric(metric, &rows.challenger, Some(drawn)).ok()?;
                        let old = rows.metric(metric, &rows.champion, Some(drawn)).ok()?;
                        Some(sign * (new - old))
                    })?;
                Ok((found.estimate, found.interval, None))
            }
        }
    }
}

struct Rows {
    y_true: Vec<bool>,
    challenger: Vec<f64>,
    champion: Vec<f64>,
    threshold: f64,
}

impl Rows {
    fn of(pair: ModelPair<'_>) -> Result<Self> {
        if pair.threshold.is_nan() {
            return Err(Error::invalid("the threshold", "a number", pair.threshold));
        }
        for (name, scores) in [("challenger", pair.challenger), ("champion", pair.champion)] {
            if scores.len() != pair.y_true.len() {
                return Err(Error::Length {
                    left: "y_true".into(),
                    left_len: pair.y_true.len(),
                    right: name.into(),
                    right_len: scores.len(),
                });
            }
        }
        Ok(Self {
            y_true: labels::known("y_true", pair.y_true, pair.positive)?,
            challenger: labels::scores("challenger", pair.challenger)?,
            champion: labels::scores("champion", pair.champion)?,
            threshold: pair.threshold,
        })
    }

    fn len(&self) -> u64 {
        self.y_true.len() as u64
    }

    /// Who was right, on all rows or on those of one label.
    fn outcomes(&self, of: Option<bool>) -> PairedOutcomes {
        let mut counts = PairedOutcomes { concordant: 0, only_current: 0, only_reference: 0 };
        for ((&label, &new), &old) in self.y_true.iter().zip(&self.challenger).zip(&self.champion) {
            if of.is_some_and(|of| of != label) {
                continue;
            }
            let right = |score: f64| (score >= self.threshold) == label;
            match (right(new), right(old)) {
                (true, false) => counts.only_current += 1,
                (false, true) => counts.only_reference += 1,
                _ => counts.concordant += 1,
            }
        }
        counts
    }

    /// A metric of one model on these rows, or on all.
    fn metric(&self, metric: Metric, scores: &[f64], drawn: Option<&[usize]>) -> Result<f64> {
        let all: Vec<usize>;
        let drawn = if let Some(drawn) = drawn {
            drawn
        } else {
            all = (0..scores.len()).collect();
            &all
        };
        let y_true: BooleanArray = drawn.iter().map(|&i| Some(self.y_true[i])).collect();
        let y_score: Float64Array = drawn.iter().map(|&i| scores[i]).collect::<Vec<_>>().into();
        let scored = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
        let y_pred: BooleanArray =
            drawn.iter().map(|&i| Some(scores[i] >= self.threshold)).collect();
        let classified = Classified { y_true: &y_true, y_pred: &y_pred, positive: "true" };
        match metric {
            Metric::Precision => precision(classified),
            Metric::F1 => f1(classified),
            Metric::AveragePrecision => average_precision(scored),
            Metric::LogLoss => log_loss(scored),
            Metric::Brier => brier(scored),
            other => Err(Error::invalid("the metric", "one that compares classifiers", other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(n: u32, gap: f64, noise: u32) -> Float64Array {
        (0..n)
            .map(|i| {
                Some(
                    0.5 + gap * (f64::from(i % 2) - 0.5)
                        + (f64::from((i * noise) % 97) - 48.0) / 200.0,
                )
            })
            .collect()
    }

    #[test]
    fn every_metric_compares_and_few_rows_decide_nothing() {
        for metric in [
            Metric::Accuracy,
            Metric::RocAuc,
            Metric::Precision,
            Metric::Recall,
            Metric::Specificity,
            Metric::F1,
            Metric::AveragePrecision,
            Metric::LogLoss,
            Metric::Brier,
        ] {
            let gate =
                ChallengerGate::new("c", metric).superior().resampling(Resampling::new(1, 200));
            let verdict = |n: u32, new: f64, old: f64| {
                let y_true: BooleanArray = (0..n).map(|i| Some(i % 2 == 1)).collect();
                let (challenger, champion) = (scores(n, new, 7), scores(n, old, 13));
                let pair = ModelPair {
                    y_true: &y_true,
                    positive: "true",
                    challenger: &challenger,
                    champion: &champion,
                    threshold: 0.5,
                };
                gate.judge(pair).unwrap().verdict
            };
            assert_eq!(verdict(800, 0.3, 0.1), Verdict::Pass, "{metric}");
            assert_eq!(verdict(800, 0.1, 0.3), Verdict::Fail, "{metric}");
            assert_eq!(verdict(8, 0.21, 0.2), Verdict::Inconclusive, "{metric}");
        }
    }

    #[test]
    fn a_model_is_not_inferior_to_itself_and_not_superior() {
        let y_true: BooleanArray = (0..300).map(|i| Some(i % 2 == 1)).collect();
        let same = scores(300, 0.1, 7);
        let pair = ModelPair {
            y_true: &y_true,
            positive: "true",
            challenger: &same,
            champion: &same,
            threshold: 0.5,
        };
        let gate = ChallengerGate::new("c", Metric::RocAuc);
        assert_eq!(gate.judge(pair).unwrap().verdict, Verdict::Pass);
        assert_eq!(gate.clone().superior().judge(pair).unwrap().verdict, Verdict::Fail);
        assert!(gate.margin(-1.0).judge(pair).is_err());
        assert!(ChallengerGate::new("c", Metric::R2).judge(pair).is_err());
    }
}
