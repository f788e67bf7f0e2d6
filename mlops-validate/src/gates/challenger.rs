//! A challenger against the champion, on the same rows.

use arrow::array::{Array, BooleanArray, Float64Array, RecordBatch};
use mlops_core::metrics::{Classified, Scored, average_precision, f1, precision};
use mlops_core::states::Sum;
use mlops_core::stats::{
    Bootstrap, Interval, PairedOutcomes, Resampling, SampleMean, ScorePair, mcnemar,
    mean_t_interval, roc_auc_difference, student_t_two_sided, tango_difference,
};
use mlops_core::{Assessment, Error, Finding, Model, Result, Severity, Verdict};
use serde::{Deserialize, Serialize};

use super::auc_limits::roc_auc_difference_limits;
use super::estimate::{matthews_of, median, resample};
use super::holdout::HoldoutUse;
use super::labels;
use super::metric::{Metric, also, check_confidence, percent};
use super::predicted::{Output, Target, check_labels};
use super::quality_gate::{set_aside, soften};
use super::slices::{Cut, SliceRule, Slicing, holm_steps};

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

/// The numbers that two models predict for the same rows.
#[derive(Clone, Copy, Debug)]
pub struct ValuePair<'a> {
    /// What came true.
    pub y_true: &'a dyn Array,
    /// What the model that wants to be promoted predicts.
    pub challenger: &'a dyn Array,
    /// What the model in production predicts.
    pub champion: &'a dyn Array,
}

/// What two models predict for the same rows.
#[derive(Clone, Copy, Debug)]
pub enum Pair<'a> {
    /// Two classifiers.
    Scores(ModelPair<'a>),
    /// Two regressors.
    Values(ValuePair<'a>),
}

impl<'a> From<ModelPair<'a>> for Pair<'a> {
    fn from(pair: ModelPair<'a>) -> Self {
        Self::Scores(pair)
    }
}

impl<'a> From<ValuePair<'a>> for Pair<'a> {
    fn from(pair: ValuePair<'a>) -> Self {
        Self::Values(pair)
    }
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

    /// The same, with limits of this two-sided confidence, in (0, 1).
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// The same, resampling like this where the limits have no closed form; with more replicates
    /// where fewer than 20 would decide a limit.
    #[must_use]
    pub fn resampling(mut self, resampling: Resampling) -> Self {
        self.resampling = resampling;
        self
    }

    /// The same, asking it of each value of this column, too. At most 100 values.
    #[must_use]
    pub fn by(mut self, column: impl Into<String>) -> Self {
        self.slicing.cuts.push(Cut::Values(column.into()));
        self
    }

    /// The same, asking it of each bin of this column, too: below the first of the ascending
    /// edges, from each to the next, and from the last on.
    #[must_use]
    pub fn by_bins(mut self, column: impl Into<String>, edges: impl Into<Vec<f64>>) -> Self {
        self.slicing.cuts.push(Cut::Bins(column.into(), edges.into()));
        self
    }

    /// The same, setting slices of fewer rows aside, each with a warning; 30 unless told
    /// otherwise.
    #[must_use]
    pub fn min_slice_rows(mut self, rows: u64) -> Self {
        self.slicing.min_rows = rows;
        self
    }

    /// The same, asking this of slices: [`SliceRule::Guard`] blocks only where a slice is shown
    /// to have become worse.
    #[must_use]
    pub fn slice_rule(mut self, rule: SliceRule) -> Self {
        self.slicing.rule = rule;
        self
    }

    /// The same, judged at the level that is left of a hold-out's budget.
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
    #[must_use]
    pub fn on_holdout(mut self, spent: &HoldoutUse) -> Self {
        self.holdout = Some(spent.clone());
        self
    }

    /// Compares the two.
    ///
    /// # Errors
    /// As [`judge_sliced`](Self::judge_sliced), and for a gate with slices.
    pub fn judge<'a>(&self, pair: impl Into<Pair<'a>>) -> Result<Assessment> {
        self.judge_rows(&Rows::of(pair.into())?, None)
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
        self.judge_rows(&Rows::of(pair.into())?, Some(columns))
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
                    &Rows::of(Pair::Scores(ModelPair {
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
        self.judge_rows(&Rows::of(pair)?, Some(data))
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
        let confidence = self.level()?;
        let found = resample(rows, self.resampling, confidence, |drawn| {
            Some(challenger(drawn)? - champion(drawn)?)
        });
        let found = found.map(|found| Difference::resampled(&found, 1.0));
        let findings = self.findings(name, name, found)?;
        Ok(Assessment::new(&self.name, rows as u64, self.with_holdout(findings)))
    }

    /// The confidence: its own, or what the budget of the hold-out leaves.
    fn level(&self) -> Result<f64> {
        if !(self.margin >= 0.0 && self.margin.is_finite()) {
            return Err(Error::invalid("the margin", "a number from 0 on", self.margin));
        }
        check_confidence(self.confidence)?;
        Ok(self.holdout.as_ref().map_or(self.confidence, |spent| spent.confidence(self.confidence)))
    }

    fn with_holdout(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        findings.extend(self.holdout.iter().map(HoldoutUse::finding));
        findings
    }

    fn judge_rows(&self, rows: &Rows, columns: Option<&RecordBatch>) -> Result<Assessment> {
        let confidence = self.level()?;
        let whole = rows.difference(self.metric, self.resampling, confidence);
        let mut findings = self.findings(self.metric.name(), self.metric.name(), whole)?;
        let slices = self.slicing.of(columns, rows.y_true.len())?;
        let (large, small): (Vec<_>, Vec<_>) =
            slices.into_iter().partition(|slice| slice.rows.len() as u64 >= self.slicing.min_rows);
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
        Ok(Assessment::new(&self.name, rows.y_true.len() as u64, self.with_holdout(findings)))
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

/// Two models, one of which is in production.
#[derive(Clone, Copy, Debug)]
pub struct Contest<'a> {
    /// The one that wants to be promoted.
    pub challenger: &'a dyn Model,
    /// The one in production.
    pub champion: &'a dyn Model,
}

/// A difference, positive where the challenger is better.
struct Difference {
    value: f64,
    limits: Interval,
    p_value: Option<f64>,
    how: String,
}

impl Difference {
    fn resampled(found: &Bootstrap, sign: f64) -> Self {
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
struct Rows {
    y_true: Vec<f64>,
    challenger: Vec<f64>,
    champion: Vec<f64>,
    /// Of classifiers; `None` of regressors.
    threshold: Option<f64>,
}

impl Rows {
    fn of(pair: Pair<'_>) -> Result<Self> {
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

    fn take(&self, rows: &[u64]) -> Self {
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
    fn difference(
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
    let least = ChallengerGate::BOOTSTRAP_ROWS;
    if rows >= least {
        return Ok(());
    }
    Err(Error::undefined("the difference", format!("a bootstrap needs {least} {of_what}")))
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
