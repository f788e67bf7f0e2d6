//! Bounds on a model's metrics, of all rows and of slices, judged at the confidence limit.

use arrow::array::RecordBatch;
use mlops_core::metrics::{Classified, Estimated, Scored};
use mlops_core::stats::{Interval, Resampling};
use mlops_core::{Assessment, Error, Finding, Model, Result, Verdict};
use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, Estimates, resample};
use super::holdout::HoldoutUse;
use super::metric::{Bound, Metric, also, percent};
use super::options::gate_options;
use super::predicted::{Predicted, Target};
use super::slices::{Slice, Slicing, holm_steps, set_aside, soften};

/// Bounds on metrics of a hold-out, each judged at its confidence limit.
///
/// A metric that must be at least a bound passes if its *lower* confidence limit is, fails if its
/// *upper* limit is below, and is inconclusive otherwise, or where it is undefined: too few rows
/// do not pass. Limits are those of the reports (Wilson, `DeLong` on the logit scale, t), or exact
/// where those don't hold: a ROC AUC with fewer than 20 rows of a label or a variance of 0 has the
/// limits that Hoeffding's bound over disjoint pairs gives. Where there is no closed form: a
/// seeded bootstrap.
///
/// **Slices.** With [`by`](Self::by) and [`by_bins`](Self::by_bins) every bound is asked of every
/// slice, too. A pass needs each slice's own limit and is therefore wrong no more often than any
/// one of them; fails are corrected for the number of slices by Holm's steps, so that a model that
/// is good everywhere is not blocked for having many slices.
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
///
/// A slice that is bad among many that are good:
///
/// ```
/// use mlops_core::arrow::array::{BooleanArray, StringArray};
/// use mlops_core::metrics::Classified;
/// use mlops_core::batch;
/// use mlops_validate::{Metric, QualityGate};
///
/// // 91 % right of all, but only 55 % of the 600 rows of `f`.
/// let y_true = BooleanArray::from(vec![true; 3_000]);
/// let y_pred: BooleanArray = (0..3_000).map(|i| Some(i % 5 > 0 || i % 9 < 5)).collect();
/// let sex = StringArray::from_iter_values((0..3_000).map(|i| ["f", "m"][usize::from(i % 5 > 0)]));
/// let rows = Classified { y_true: &y_true, y_pred: &y_pred, positive: "true" };
/// let gate = QualityGate::new("quality").at_least(Metric::Accuracy, 0.85).by("sex");
/// let found = gate.judge_sliced(rows, &batch! { "sex" => sex }?)?;
/// let failing: Vec<_> = found.failures().map(|f| f.subject.as_str()).collect();
/// assert_eq!(failing, ["sex = f"]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityGate {
    name: String,
    bounds: Vec<(Metric, Bound)>,
    confidence: f64,
    resampling: Resampling,
    #[serde(default)]
    slicing: Slicing,
    #[serde(default)]
    holdout: Option<HoldoutUse>,
}

gate_options!(QualityGate);

impl QualityGate {
    /// A gate of this name that bounds nothing yet, and so passes nothing; 95 % limits.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            bounds: Vec::new(),
            confidence: 0.95,
            resampling: Resampling::new(0, 1000),
            slicing: Slicing::default(),
            holdout: None,
        }
    }

    /// The same, asking for at least this much.
    #[must_use]
    pub fn at_least(self, metric: Metric, bound: f64) -> Self {
        self.bound(metric, Bound::AtLeast(bound))
    }

    /// The same, asking for at most this much, as of a loss.
    #[must_use]
    pub fn at_most(self, metric: Metric, bound: f64) -> Self {
        self.bound(metric, Bound::AtMost(bound))
    }

    /// The same, with this bound.
    #[must_use]
    pub fn bound(mut self, metric: Metric, bound: Bound) -> Self {
        self.bounds.push((metric, bound));
        self
    }

    /// Judges a model on rows with labels: predicts, and judges what came out.
    ///
    /// ```
    /// use mlops_core::arrow::array::Float64Array;
    /// use mlops_core::model::LinearModel;
    /// use mlops_core::batch;
    /// use mlops_validate::{Metric, QualityGate, Target};
    ///
    /// let model = LinearModel::regression(["area"], [2.0], 10.0)?;
    /// let flats = batch! {
    ///     "area" => Float64Array::from_iter_values((0..200).map(f64::from)),
    ///     "price" => Float64Array::from_iter_values((0..200).map(|i| f64::from(2 * i + i % 21))),
    /// }?;
    /// let gate = QualityGate::new("price").at_most(Metric::Mae, 8.0);
    /// gate.judge_model(&model, &flats, &Target::new("price"))?.require_pass()?;
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the model; as [`judge_sliced`](Self::judge_sliced).
    pub fn judge_model(
        &self,
        model: &dyn Model,
        data: &RecordBatch,
        target: &Target,
    ) -> Result<Assessment> {
        let predicted = target.read(model, data)?;
        self.judge(predicted.outcomes(), Some(data))
    }

    /// Judges a binary classifier's scores; from `threshold` on a row is predicted positive.
    ///
    /// # Errors
    /// As [`judge_sliced`](Self::judge_sliced), and for a gate with slices.
    pub fn judge_scores(&self, rows: Scored<'_>, threshold: f64) -> Result<Assessment> {
        self.judge(Predicted::Scores { rows, threshold }, None)
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
    /// As [`judge_sliced`](Self::judge_sliced), and for a gate with slices.
    pub fn judge_labels(&self, rows: Classified<'_>) -> Result<Assessment> {
        self.judge(rows.into(), None)
    }

    /// Judges a regressor's numbers.
    ///
    /// # Errors
    /// As [`judge_sliced`](Self::judge_sliced), and for a gate with slices.
    pub fn judge_values(&self, rows: Estimated<'_>) -> Result<Assessment> {
        self.judge(rows.into(), None)
    }

    /// Judges predictions, with the columns that cut their rows into slices.
    ///
    /// # Errors
    /// [`Error::Invalid`] for labels that are missing, a metric of another kind of model, a bound
    /// that the metric can't have or that asks it to be bad, a confidence that is no share, or a
    /// threshold outside \[0, 1\] where all scores are inside; [`Error::Length`];
    /// [`Error::Value`] for a prediction that is null, NaN or infinite; [`Error::Undefined`]
    /// without rows; [`Error::ColumnNotFound`] for a column of slices.
    pub fn judge_sliced<'a>(
        &self,
        rows: impl Into<Predicted<'a>>,
        columns: &RecordBatch,
    ) -> Result<Assessment> {
        self.judge(rows.into(), Some(columns))
    }

    /// Judges any statistic of rows that the caller can compute, by the seeded bootstrap. The
    /// metrics of the gate are not asked. `None` says that it is undefined on those rows.
    ///
    /// ```
    /// use mlops_validate::{Bound, QualityGate};
    /// let cost: Vec<f64> = (0..500).map(|i| f64::from(i % 10)).collect();
    /// let mean = |rows: &[usize]| Some(rows.iter().map(|&i| cost[i]).sum::<f64>() / rows.len() as f64);
    /// let gate = QualityGate::new("cost");
    /// let found = gate.judge_statistic("cost per row", Bound::AtMost(5.0), cost.len(), mean)?;
    /// assert!(found.verdict.is_pass());
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bound that is not finite or a confidence that is no share.
    pub fn judge_statistic(
        &self,
        name: &str,
        bound: Bound,
        rows: usize,
        statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
    ) -> Result<Assessment> {
        let confidence = self.left_confidence()?;
        if !bound.value().is_finite() {
            return Err(Error::invalid(format!("the bound of {name}"), "a number", bound.value()));
        }
        let found = resample(rows, self.resampling, confidence, statistic);
        let finding = finding(name, "model", bound, &Estimate::resampled(found)?);
        Ok(self.assessment(rows, vec![finding]))
    }

    fn judge(&self, outcomes: Predicted<'_>, columns: Option<&RecordBatch>) -> Result<Assessment> {
        let confidence = self.left_confidence()?;
        for &(metric, bound) in &self.bounds {
            metric.check(bound)?;
        }
        outcomes.check()?;
        let whole = Estimates::of(outcomes, confidence)?;
        let mut findings = Vec::new();
        for &(metric, bound) in &self.bounds {
            let estimate = whole.get(metric, self.resampling)?;
            findings.push(finding(metric.name(), "model", bound, &estimate));
        }
        let (large, small) = self.slicing.by_size(columns, outcomes.len())?;
        if !self.slicing.cuts.is_empty() {
            self.judge_slices(outcomes, &large, confidence, &mut findings)?;
            findings.extend(set_aside(&small, large.is_empty(), self.slicing.min_rows));
        }
        Ok(self.assessment(outcomes.len(), findings))
    }

    fn judge_slices(
        &self,
        outcomes: Predicted<'_>,
        slices: &[Slice],
        confidence: f64,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let taken: Vec<_> =
            slices.iter().map(|slice| outcomes.take(&slice.rows)).collect::<Result<_>>()?;
        let estimates: Vec<_> = taken
            .iter()
            .map(|taken| Estimates::of(outcomes.of(taken), confidence))
            .collect::<Result<_>>()?;
        for &(metric, bound) in &self.bounds {
            let own: Vec<_> = estimates
                .iter()
                .map(|estimates| estimates.get(metric, self.resampling))
                .collect::<Result<_>>()?;
            let fails = holm_steps(slices.len(), 1.0 - confidence, |i, level| {
                // Limits of more confidence are no closer.
                if !own[i].interval.is_some_and(|limits| judge(limits, bound).is_fail()) {
                    return Ok(false);
                }
                let wider = Estimates::of(outcomes.of(&taken[i]), 1.0 - level)?
                    .get(metric, self.resampling)?;
                Ok(wider.interval.is_some_and(|limits| judge(limits, bound).is_fail()))
            })?;
            for ((slice, own), fails) in slices.iter().zip(&own).zip(fails) {
                let mut finding = finding(metric.name(), &slice.name, bound, own);
                also(&mut finding.observed, format_args!(", {} rows", slice.rows.len()));
                soften(&mut finding, fails, slices.len(), self.slicing.rule);
                findings.push(finding);
            }
        }
        Ok(())
    }
}

/// Inside, outside, or across the bound.
fn judge(limits: Interval, bound: Bound) -> Verdict {
    let (good, bad) = match bound {
        Bound::AtLeast(b) => (limits.low >= b, limits.high < b),
        Bound::AtMost(b) => (limits.high <= b, limits.low > b),
    };
    match (good, bad) {
        (true, _) => Verdict::Pass,
        (_, true) => Verdict::Fail,
        _ => Verdict::Inconclusive,
    }
}

fn finding(check: &str, subject: &str, bound: Bound, estimate: &Estimate) -> Finding {
    let reason = if estimate.reason.is_empty() { "no reason given" } else { &estimate.reason };
    let (verdict, observed) = match (estimate.value, estimate.interval) {
        (Some(value), Some(limits)) => {
            let observed = format!("{value:.4}, {} % limits {limits}", percent(limits.confidence));
            (judge(limits, bound), observed)
        }
        (Some(value), None) => {
            (Verdict::Inconclusive, format!("{value:.4} without limits: {reason}"))
        }
        (None, _) => (Verdict::Inconclusive, format!("undefined: {reason}")),
    };
    let mut finding = Finding::new(check, subject, verdict, bound.to_string(), observed);
    if let Some(value) = estimate.value {
        finding = finding.with_value(value);
    }
    if let Some(limits) = estimate.interval {
        finding = finding.with_interval(limits.low, limits.high);
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SliceRule;
    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray};
    use mlops_core::batch;
    use mlops_core::stats::Draws;

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
        let others = QualityGate::new("q")
            .at_most(Metric::Brier, 0.24)
            .at_least(Metric::AveragePrecision, 0.6)
            .at_least(Metric::BalancedAccuracy, 0.6)
            .at_least(Metric::MatthewsCorrelation, 0.3);
        assert_eq!(judge(&others, 1000, 0.3), Verdict::Pass);
    }

    #[test]
    fn a_metric_of_another_kind_of_model_is_an_error() {
        let y = Float64Array::from(vec![1.0, 2.0, 3.0]);
        let rows = Estimated { y_true: &y, y_pred: &y };
        assert!(QualityGate::new("q").at_least(Metric::F1, 0.5).judge_values(rows).is_err());
        assert!(QualityGate::new("q").at_least(Metric::R2, f64::NAN).judge_values(rows).is_err());
        let gate = QualityGate::new("q")
            .at_most(Metric::Mae, 0.5)
            .at_most(Metric::MedianAbsoluteError, 0.5)
            .at_least(Metric::R2, 0.5);
        assert!(gate.judge_values(rows).is_ok());
        let y = BooleanArray::from(vec![true, false]);
        let rows = Classified { y_true: &y, y_pred: &y, positive: "true" };
        assert!(QualityGate::new("q").at_most(Metric::Mae, 0.5).judge_labels(rows).is_err());
    }

    #[test]
    fn slips_are_refused_with_what_would_do() {
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
        let gate = gate().at_least(Metric::Accuracy, 0.5);
        let error = gate.judge_scores(rows, 50.0).unwrap_err();
        assert!(error.to_string().contains("threshold"), "{error}");
        let error = gate.clone().confidence(95.0).judge_scores(rows, 0.5).unwrap_err();
        assert_eq!(error.to_string(), "the confidence: expected a share such as 0.95, found 95");
        let nothing = Int64Array::from(Vec::<i64>::new());
        let error = gate.judge_scores(Scored { y_true: &nothing, ..rows }, 0.5).unwrap_err();
        assert!(error.to_string().contains("were the labels forgotten?"), "{error}");
        let late: Int64Array = (0..100).map(|i| (i < 60).then_some(i % 2)).collect();
        let error = gate.judge_scores(Scored { y_true: &late, ..rows }, 0.5).unwrap_err();
        assert!(error.to_string().contains("40 without one, the first of them row 60"), "{error}");
    }

    #[test]
    fn slices_of_a_good_model_are_rarely_blocked_and_a_bad_one_is_found() {
        let gate = QualityGate::new("q").at_least(Metric::Accuracy, 0.8).by("group");
        let columns = batch! {
            "group" => StringArray::from_iter_values((0..4000).map(|i| format!("g{}", i % 20))),
        }
        .unwrap();
        let run = |seed: u64, bad: f64| {
            let mut draws = Draws::new(seed, 0, 0);
            let y_true = BooleanArray::from(vec![true; 4000]);
            // Exactly at the bound in every group, so that each slice fails with 2.5 % alone.
            let y_pred: BooleanArray = (0..4000)
                .map(|i| Some(draws.bernoulli(if i % 20 == 7 { bad } else { 0.8 })))
                .collect();
            let rows = Classified { y_true: &y_true, y_pred: &y_pred, positive: "true" };
            gate.judge_sliced(rows, &columns).unwrap()
        };
        let failing =
            |found: &Assessment| found.failures().filter(|f| f.subject != "model").count();
        let alarms = (0..60).filter(|&seed| failing(&run(seed, 0.8)) > 0).count();
        // 40 % without a correction; 2.5 % of 60 runs is 1.5.
        assert!(alarms <= 6, "{alarms} of 60 runs");
        let found = run(1, 0.55);
        let names: Vec<_> = found.failures().map(|f| f.subject.as_str()).collect();
        assert_eq!(names, ["group = g7"]);
        // Guarding slices block only by a fail.
        let guard = gate.clone().slice_rule(SliceRule::Guard);
        let text = serde_json::to_string(&guard).unwrap();
        assert_eq!(serde_json::from_str::<QualityGate>(&text).unwrap(), guard);
        let good = BooleanArray::from(vec![true; 4000]);
        let rows = Classified { y_true: &good, y_pred: &good, positive: "true" };
        assert!(guard.judge_sliced(rows, &columns).unwrap().verdict.is_pass());
        assert!(gate.judge_labels(rows).is_err(), "slices need their columns");
        let aside = gate.min_slice_rows(500).judge_sliced(rows, &columns).unwrap();
        assert_eq!(aside.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn the_order_of_rows_changes_no_bit() {
        let mut order: Vec<usize> = (0..300).collect();
        let gate = QualityGate::new("q")
            .at_least(Metric::RocAuc, 0.6)
            .at_least(Metric::BalancedAccuracy, 0.6)
            .by_bins("x", [0.3, 0.6]);
        let run = |order: &[usize]| {
            let y_true: BooleanArray = order.iter().map(|i| Some(i % 3 == 0)).collect();
            let score = |i: &usize| [0.2, 0.0, 0.0][*i % 3] + (*i % 13) as f64 / 20.0;
            let y_score: Float64Array = order.iter().map(|i| Some(score(i))).collect();
            let x: Float64Array = order.iter().map(|&i| Some(i as f64 / 300.0)).collect();
            let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
            let rows = Predicted::Scores { rows, threshold: 0.5 };
            gate.judge_sliced(rows, &batch! { "x" => x }.unwrap()).unwrap()
        };
        let once = run(&order);
        Draws::new(2, 0, 0).shuffle(&mut order);
        assert_eq!(run(&order), once);
    }
}
