//! A challenger against the champion, on the same rows.

use arrow::array::RecordBatch;
use mlops_core::stats::Resampling;
use mlops_core::{Assessment, Error, Finding, Result, Severity, Verdict};
use serde::{Deserialize, Serialize};

use super::difference::{Difference, PairedRows};
use super::estimate::resample;
use super::holdout::HoldoutUse;
use super::labels;
use super::metric::{Metric, also, percent};
use super::options::gate_options;
use super::pair::{Contest, ModelPair, Pair, ValuePair};
use super::predicted::{Output, Target};
use super::slices::{Slicing, holm_steps, set_aside, soften};

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
/// Both answers are findings; the one that is not required is for information. At 95 % an equal
/// model is taken for a better one in 2.5 % of hold-outs, and of all the uses of one hold-out
/// together in as many with a [`HoldoutLedger`](crate::HoldoutLedger).
///
/// | metric | limits | p-value |
/// |---|---|---|
/// | accuracy, recall, specificity | Tango's score interval | McNemar's mid-p |
/// | ROC AUC | `DeLong` on the logit scale; exact with fewer than 20 rows of a label or no variance | `DeLong` |
/// | log loss, Brier, MAE, MSE | t of the rows' differences of loss | the same t |
/// | others | the seeded paired bootstrap, from 20 rows (of either label) on | – |
///
/// **Slices** ask for the same within each value or bin of a column, as those of
/// [`QualityGate`](crate::QualityGate): every slice has to pass, and fails are Holm's.
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
///
/// One hold-out asked again and again:
///
/// ```
/// use mlops_core::arrow::array::{BooleanArray, Float64Array};
/// use mlops_core::{Digest, Timestamp, Verdict};
/// use mlops_validate::{ChallengerGate, HoldoutLedger, Metric, ModelPair, Spending};
///
/// let y_true = BooleanArray::from(vec![true; 200]);
/// // Right on 200 rows, where the champion is on 190: p = 0.002, enough once.
/// let challenger = Float64Array::from(vec![0.9; 200]);
/// let champion: Float64Array = (0..200).map(|i| Some(if i < 10 { 0.1 } else { 0.9 })).collect();
/// let pair = ModelPair {
///     y_true: &y_true, positive: "true", challenger: &challenger, champion: &champion,
///     threshold: 0.5,
/// };
/// let gate = ChallengerGate::new("champion", Metric::Accuracy).superior();
/// let ledger = HoldoutLedger::in_memory();
/// let (holdout, now) = (Digest::of(b"its rows"), Timestamp::from_millis(0));
/// let mut verdicts = Vec::new();
/// for model in ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"] {
///     let spent = ledger.spend(holdout, model, now, Spending::Quadratic)?;
///     verdicts.push(gate.clone().on_holdout(&spent).judge(pair)?.verdict);
/// }
/// assert_eq!((verdicts[0], verdicts[7]), (Verdict::Pass, Verdict::Inconclusive));
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
    #[serde(default)]
    slicing: Slicing,
    #[serde(default)]
    holdout: Option<HoldoutUse>,
}

gate_options!(ChallengerGate);

impl ChallengerGate {
    /// A gate of this name that asks for no inferiority beyond 0.01, at 95 % limits.
    pub fn new(name: impl Into<String>, metric: Metric) -> Self {
        Self {
            name: name.into(),
            metric,
            margin: 0.01,
            requirement: Requirement::NonInferior,
            confidence: 0.95,
            resampling: Resampling::new(0, 1000),
            slicing: Slicing::default(),
            holdout: None,
        }
    }

    /// The same, with this margin of the metric within which the challenger may be worse; of a
    /// loss or an error it is in the metric's own unit.
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

    /// Compares the two.
    ///
    /// # Errors
    /// As [`judge_sliced`](Self::judge_sliced), and for a gate with slices.
    pub fn judge<'a>(&self, pair: impl Into<Pair<'a>>) -> Result<Assessment> {
        self.judge_rows(&PairedRows::of(pair.into())?, None)
    }

    /// Compares the two, with the columns that cut their rows into slices.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::Value`] for a row without finite scores; [`Error::Invalid`] for
    /// labels that are missing, a margin below 0, a confidence that is no share, or a metric that
    /// is not one of this kind of model; [`Error::ColumnNotFound`] for a column of slices. A
    /// difference without limits is inconclusive.
    pub fn judge_sliced<'a>(
        &self,
        pair: impl Into<Pair<'a>>,
        columns: &RecordBatch,
    ) -> Result<Assessment> {
        self.judge_rows(&PairedRows::of(pair.into())?, Some(columns))
    }

    /// Compares two models on rows with labels: predicts with both, and judges what came out.
    ///
    /// # Errors
    /// Those of the models; as [`judge_sliced`](Self::judge_sliced).
    pub fn judge_models(
        &self,
        models: Contest<'_>,
        data: &RecordBatch,
        target: &Target,
    ) -> Result<Assessment> {
        let challenger = target.read(models.challenger, data)?;
        let champion = target.read(models.champion, data)?;
        let y_true = &challenger.y_true;
        let pair = match (&challenger.output, &champion.output) {
            (
                Output::Scores { positive, scores, threshold },
                Output::Scores { positive: other, scores: old, .. },
            ) if positive == other => Pair::Scores(ModelPair {
                y_true,
                positive,
                challenger: scores,
                champion: old,
                threshold: *threshold,
            }),
            (Output::Values(new), Output::Values(old)) => {
                Pair::Values(ValuePair { y_true, challenger: new, champion: old })
            }
            (Output::Right(new), Output::Right(old)) => {
                let (new, old) = (labels::numbers(new)?, labels::numbers(old)?);
                return self.judge_rows(
                    &PairedRows::of(Pair::Scores(ModelPair {
                        y_true,
                        positive: "true",
                        challenger: &new,
                        champion: &old,
                        threshold: 0.5,
                    }))?,
                    Some(data),
                );
            }
            _ => {
                let expected = "two models of one kind, with the same positive class";
                return Err(Error::invalid("champion and challenger", expected, "different ones"));
            }
        };
        self.judge_rows(&PairedRows::of(pair)?, Some(data))
    }

    /// Compares the two by any statistic of rows, larger for the better, by the seeded paired
    /// bootstrap. The metric of the gate is not asked.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a margin below 0 or a confidence that is no share.
    pub fn judge_statistic(
        &self,
        name: &str,
        rows: usize,
        challenger: impl Fn(&[usize]) -> Option<f64> + Sync,
        champion: impl Fn(&[usize]) -> Option<f64> + Sync,
    ) -> Result<Assessment> {
        self.check_margin()?;
        let confidence = self.left_confidence()?;
        let found = resample(rows, self.resampling, confidence, |drawn| {
            Some(challenger(drawn)? - champion(drawn)?)
        });
        let found = found.map(|found| Difference::resampled(&found, 1.0));
        let findings = self.findings(name, name, found)?;
        Ok(self.assessment(rows, findings))
    }

    fn check_margin(&self) -> Result<()> {
        if self.margin >= 0.0 && self.margin.is_finite() {
            return Ok(());
        }
        Err(Error::invalid("the margin", "a number from 0 on", self.margin))
    }

    fn judge_rows(&self, rows: &PairedRows, columns: Option<&RecordBatch>) -> Result<Assessment> {
        self.check_margin()?;
        let confidence = self.left_confidence()?;
        let whole = rows.difference(self.metric, self.resampling, confidence);
        let mut findings = self.findings(self.metric.name(), self.metric.name(), whole)?;
        let (large, small) = self.slicing.by_size(columns, rows.len())?;
        if !self.slicing.cuts.is_empty() {
            let taken: Vec<_> = large.iter().map(|slice| rows.take(slice.rows.values())).collect();
            let judge = |i: usize, confidence: f64| -> Result<Vec<Finding>> {
                let found = taken[i].difference(self.metric, self.resampling, confidence);
                self.findings(self.metric.name(), &large[i].name, found)
            };
            let own: Vec<_> =
                (0..large.len()).map(|i| judge(i, confidence)).collect::<Result<_>>()?;
            let required = |findings: &[Finding]| {
                findings.iter().any(|f| f.severity == Severity::Critical && f.verdict.is_fail())
            };
            let fails = holm_steps(large.len(), 1.0 - confidence, |i, level| {
                Ok(required(&own[i]) && required(&judge(i, 1.0 - level)?))
            })?;
            for ((own, slice), fails) in own.into_iter().zip(&large).zip(fails) {
                for mut finding in own {
                    also(&mut finding.observed, format_args!(", {} rows", slice.rows.len()));
                    if finding.severity == Severity::Critical {
                        soften(&mut finding, fails, large.len(), self.slicing.rule);
                    }
                    findings.push(finding);
                }
            }
            findings.extend(set_aside(&small, large.is_empty(), self.slicing.min_rows));
        }
        Ok(self.assessment(rows.len(), findings))
    }

    /// Not inferior, and superior; or that neither can be said.
    fn findings(
        &self,
        metric: &str,
        subject: &str,
        found: Result<Difference>,
    ) -> Result<Vec<Finding>> {
        let found = match found {
            Ok(found) => found,
            Err(Error::Undefined { reason, .. }) => {
                return Ok(vec![Finding::new(
                    "challenger",
                    subject,
                    Verdict::Inconclusive,
                    format!("a difference of {metric} with confidence limits"),
                    format!("undefined: {reason}"),
                )]);
            }
            Err(error) => return Err(error),
        };
        let Difference { value, limits, p_value, how } = found;
        let observed =
            format!("{value:+.4}, {} % limits {limits}, {how}", percent(limits.confidence));
        let finding = |check: &str, verdict, expected: String, which| {
            let severity =
                if self.requirement == which { Severity::Critical } else { Severity::Info };
            let finding = Finding::new(check, subject, verdict, expected, &observed)
                .with_severity(severity)
                .with_value(value)
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
        Ok(vec![
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
        ])
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Float64Array};

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
            Metric::BalancedAccuracy,
            Metric::MatthewsCorrelation,
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
        let y_true: BooleanArray = (0..2000).map(|i| Some(i % 2 == 1)).collect();
        let same = scores(2000, 0.1, 7);
        let pair = ModelPair {
            y_true: &y_true,
            positive: "true",
            challenger: &same,
            champion: &same,
            threshold: 0.5,
        };
        let gate = ChallengerGate::new("c", Metric::RocAuc);
        assert_eq!(gate.judge(pair).unwrap().verdict, Verdict::Pass);
        // That they are the same is not shown by any number of rows on which they are.
        let superior = gate.clone().superior().judge(pair).unwrap();
        assert_eq!(superior.verdict, Verdict::Inconclusive);
        assert!(
            gate.clone().confidence(95.0).judge(pair).unwrap_err().to_string().contains("0.95")
        );
        assert!(gate.margin(-1.0).judge(pair).is_err());
        assert!(ChallengerGate::new("c", Metric::R2).judge(pair).is_err());
    }

    #[test]
    fn regressors_are_compared_on_every_metric_of_theirs() {
        let numbers = |n: u32, gain: f64, noise: u32| -> Float64Array {
            (0..n)
                .map(|i| Some(f64::from(i % 50) + gain * (f64::from((i * noise) % 97) - 48.0)))
                .collect()
        };
        for metric in
            [Metric::Mae, Metric::Mse, Metric::Rmse, Metric::MedianAbsoluteError, Metric::R2]
        {
            let gate =
                ChallengerGate::new("c", metric).superior().resampling(Resampling::new(1, 100));
            let verdict = |n: u32, new: f64, old: f64| {
                let pair = ValuePair {
                    y_true: &numbers(n, 0.0, 1),
                    challenger: &numbers(n, new, 7),
                    champion: &numbers(n, old, 13),
                };
                gate.judge(pair).unwrap().verdict
            };
            assert_eq!(verdict(400, 0.1, 0.3), Verdict::Pass, "{metric}");
            assert_eq!(verdict(400, 0.3, 0.1), Verdict::Fail, "{metric}");
            assert_eq!(verdict(7, 0.21, 0.2), Verdict::Inconclusive, "{metric}");
        }
    }

    #[test]
    fn a_slice_that_became_worse_blocks_a_model_that_is_better_on_the_whole() {
        let n = 2000;
        let y_true: BooleanArray = (0..n).map(|i| Some(i % 2 == 1)).collect();
        let group = |i: u32| if i % 10 < 2 { "few" } else { "many" };
        let score = |i: u32, right: bool| if right == (i % 2 == 1) { 0.9 } else { 0.1 };
        let champion: Float64Array = (0..n).map(|i| Some(score(i, i % 7 > 0))).collect();
        let challenger: Float64Array = (0..n)
            .map(|i| Some(score(i, if group(i) == "few" { i % 3 > 0 } else { i % 31 > 0 })))
            .collect();
        let columns = mlops_core::batch! {
            "group" => arrow::array::StringArray::from_iter_values((0..n).map(group)),
        }
        .unwrap();
        let pair = ModelPair {
            y_true: &y_true,
            positive: "true",
            challenger: &challenger,
            champion: &champion,
            threshold: 0.5,
        };
        let gate = ChallengerGate::new("c", Metric::Accuracy).superior();
        assert_eq!(gate.judge(pair).unwrap().verdict, Verdict::Pass);
        let found = gate.by("group").judge_sliced(pair, &columns).unwrap();
        assert_eq!(found.verdict, Verdict::Fail);
        let failing: Vec<_> = found
            .failures()
            .filter(|f| f.severity == Severity::Critical)
            .map(|f| f.subject.as_str())
            .collect();
        assert_eq!(failing, ["group = few"]);
    }
}
