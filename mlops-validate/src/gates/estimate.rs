//! A metric's value with the limits that a gate judges it by.

use arrow::array::{Array, Float64Array, Int64Array};
use mlops_core::metrics::{
    ClassificationReport, Estimated, Metric as Measured, RegressionReport, Scored,
    average_precision, r2,
};
use mlops_core::stats::{
    Bootstrap, FEW_FOR_DELONG, Interval, Resampling, RocAuc, binomial_cdf, bootstrap,
    normal_quantile,
};
use mlops_core::{Error, Result};

use super::labels;
use super::metric::Metric;
use super::predicted::Predicted;

/// A value and its limits, or why one of them is missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimate {
    pub(super) value: Option<f64>,
    pub(super) interval: Option<Interval>,
    pub(super) reason: String,
}

impl Estimate {
    fn of(measured: &Measured) -> Self {
        Self {
            value: measured.value,
            interval: measured.interval,
            reason: measured.reason.clone().unwrap_or_default(),
        }
    }

    fn undefined(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    /// What a bootstrap gave.
    pub(super) fn resampled(found: Result<Bootstrap>) -> Result<Self> {
        match found {
            Ok(found) => Ok(Self {
                value: Some(found.estimate),
                interval: Some(found.interval),
                reason: String::new(),
            }),
            Err(Error::Undefined { reason, .. }) => Ok(Self::undefined(reason)),
            Err(error) => Err(error),
        }
    }
}

/// The percentile bootstrap, with as many replicates as it takes for twenty of them to lie beyond
/// either limit, up to 20,000. Where those are too few, as late in the life of a hold-out, the
/// limits are no closer than the normal ones of the replicates' standard deviation.
pub(super) fn resample(
    n: usize,
    resampling: Resampling,
    confidence: f64,
    statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Bootstrap> {
    const MOST: f64 = 20_000.0;
    let wanted = 40.0 / (1.0 - confidence);
    let replicates = resampling.replicates.max(wanted.min(MOST) as u32);
    let mut found = bootstrap(n, Resampling { replicates, ..resampling }, confidence, statistic)?;
    if wanted > MOST {
        let z = -normal_quantile((1.0 - confidence) / 2.0)?;
        let (low, high) =
            (found.estimate - z * found.std_error, found.estimate + z * found.std_error);
        found.interval.low = found.interval.low.min(low);
        found.interval.high = found.interval.high.max(high);
    }
    Ok(found)
}

/// The metrics of some rows at one confidence; what a report knows is computed once.
pub(super) enum Estimates<'a> {
    Classified { report: Box<ClassificationReport>, outcomes: Predicted<'a>, confidence: f64 },
    Estimated { report: Box<RegressionReport>, rows: Estimated<'a>, confidence: f64 },
}

impl<'a> Estimates<'a> {
    pub(super) fn of(outcomes: Predicted<'a>, confidence: f64) -> Result<Self> {
        outcomes.check()?;
        Ok(match outcomes {
            Predicted::Scores { rows, threshold } => {
                let report = ClassificationReport::of_scores(rows, threshold, confidence)?;
                if !(0.0..=1.0).contains(&threshold) && are_probabilities(rows.y_score) {
                    let expected = "a number from 0 to 1, as the scores are";
                    return Err(Error::invalid("threshold", expected, threshold));
                }
                Self::Classified { report: Box::new(report), outcomes, confidence }
            }
            Predicted::Labels(rows) => {
                let report = Box::new(ClassificationReport::of_labels(rows, confidence)?);
                Self::Classified { report, outcomes, confidence }
            }
            Predicted::Values(rows) => {
                let report = Box::new(RegressionReport::of(rows, confidence)?);
                Self::Estimated { report, rows, confidence }
            }
        })
    }

    pub(super) fn get(&self, metric: Metric, resampling: Resampling) -> Result<Estimate> {
        let other_kind =
            || Err(Error::invalid("a metric of the gate", "one of this kind of model", metric));
        match self {
            Self::Classified { report, outcomes, confidence } => match metric {
                _ if metric.is_of_values() => other_kind(),
                Metric::BalancedAccuracy => Ok(balanced(report)),
                Metric::MatthewsCorrelation => matthews(*outcomes, *confidence, resampling),
                Metric::RocAuc => {
                    let mut found = Estimate::of(&report.roc_auc);
                    let (p, n) = (report.confusion.positives(), report.confusion.negatives());
                    if let Some(auc) = found.value
                        && (p.min(n) < FEW_FOR_DELONG || found.interval.is_none())
                    {
                        found.interval = Some(RocAuc::new(auc, None, p, n)?.limits(*confidence)?);
                    }
                    Ok(found)
                }
                Metric::AveragePrecision => {
                    let mut found = Estimate::of(&report.average_precision);
                    if let (Predicted::Scores { rows, .. }, Some(_)) = (outcomes, found.value) {
                        found.interval = average_precision_limits(*rows, *confidence, resampling)?;
                    }
                    Ok(found)
                }
                named => match report.get(named.name()) {
                    Some(measured) => Ok(Estimate::of(measured)),
                    None => other_kind(),
                },
            },
            Self::Estimated { report, rows, confidence } => match metric {
                Metric::R2 => {
                    let mut found = Estimate::of(&report.r2);
                    if found.value.is_some() {
                        found.interval = r2_limits(*rows, *confidence, resampling)?;
                    }
                    Ok(found)
                }
                Metric::MedianAbsoluteError => median_absolute_error(*rows, *confidence),
                named => match report.get(named.name()) {
                    Some(measured) => Ok(Estimate::of(measured)),
                    None => other_kind(),
                },
            },
        }
    }
}

/// Whether all scores lie in \[0, 1\].
fn are_probabilities(scores: &dyn Array) -> bool {
    mlops_core::to_numbers("y_score", scores)
        .is_ok_and(|scores| scores.iter().flatten().all(|p| (0.0..=1.0).contains(&p)))
}

/// Half the sum of two independent proportions: the limits' distances add as squares.
///
/// G. Y. Zou and A. Donner 2008, doi:10.1002/sim.3095.
fn balanced(report: &ClassificationReport) -> Estimate {
    let (recall, specificity) = (&report.recall, &report.specificity);
    let (Some(r), Some(s)) = (recall.value, specificity.value) else {
        let reason = recall.reason.as_ref().or(specificity.reason.as_ref());
        return Estimate::undefined(reason.cloned().unwrap_or_default());
    };
    let value = f64::midpoint(r, s);
    let interval = recall.interval.zip(specificity.interval).and_then(|(of_r, of_s)| {
        let low = value - (r - of_r.low).hypot(s - of_s.low) / 2.0;
        let high = value + (of_r.high - r).hypot(of_s.high - s) / 2.0;
        Interval::new(low.max(0.0), high.min(1.0), of_r.confidence).ok()
    });
    Estimate { value: Some(value), interval, reason: String::new() }
}

/// (TP·TN − FP·FN) / √((TP+FP)(TP+FN)(TN+FP)(TN+FN)) of counts \[TN, FP, FN, TP\]; `None` where a
/// margin is empty. `sklearn.metrics.matthews_corrcoef`, which says 0 there.
pub(super) fn matthews_of(cells: [u64; 4]) -> Option<f64> {
    let [tn, fp, fn_, tp] = cells.map(|count| count as f64);
    let product = (tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_);
    (product > 0.0).then(|| ((tp * tn - fp * fn_) / product.sqrt()).clamp(-1.0, 1.0))
}

fn matthews(outcomes: Predicted<'_>, confidence: f64, resampling: Resampling) -> Result<Estimate> {
    let (y_true, y_pred) = match outcomes {
        Predicted::Scores { rows, threshold } => (
            labels::known("y_true", rows.y_true, rows.positive)?,
            labels::scores("y_score", rows.y_score)?.iter().map(|&s| s >= threshold).collect(),
        ),
        Predicted::Labels(rows) => (
            labels::known("y_true", rows.y_true, rows.positive)?,
            labels::known("y_pred", rows.y_pred, rows.positive)?,
        ),
        Predicted::Values(_) => return Ok(Estimate::undefined("there are numbers, no labels")),
    };
    let cells: Vec<usize> = std::iter::zip(&y_true, &y_pred)
        .map(|(&t, &p)| usize::from(t) * 2 + usize::from(p))
        .collect();
    Estimate::resampled(resample(cells.len(), resampling, confidence, |drawn| {
        let mut counts = [0; 4];
        for &row in drawn {
            counts[cells[row]] += 1;
        }
        matthews_of(counts)
    }))
}

fn average_precision_limits(
    rows: Scored<'_>,
    confidence: f64,
    resampling: Resampling,
) -> Result<Option<Interval>> {
    let y_true = labels::known("y_true", rows.y_true, rows.positive)?;
    let y_score = labels::scores("y_score", rows.y_score)?;
    let found = resample(y_true.len(), resampling, confidence, |drawn| {
        let y_true: Int64Array =
            drawn.iter().map(|&i| i64::from(y_true[i])).collect::<Vec<_>>().into();
        let y_score: Float64Array = drawn.iter().map(|&i| y_score[i]).collect::<Vec<_>>().into();
        average_precision(Scored { y_true: &y_true, y_score: &y_score, positive: "1" }).ok()
    });
    Ok(Estimate::resampled(found)?.interval)
}

fn r2_limits(
    rows: Estimated<'_>,
    confidence: f64,
    resampling: Resampling,
) -> Result<Option<Interval>> {
    let y_true = labels::scores("y_true", rows.y_true)?;
    let y_pred = labels::scores("y_pred", rows.y_pred)?;
    let found = resample(y_true.len(), resampling, confidence, |drawn| {
        let pick = |values: &[f64]| -> Float64Array {
            drawn.iter().map(|&i| values[i]).collect::<Vec<_>>().into()
        };
        r2(Estimated { y_true: &pick(&y_true), y_pred: &pick(&y_pred) }).ok()
    });
    Ok(Estimate::resampled(found)?.interval)
}

/// The median of |true − predicted| with the order statistics between which the median of their
/// distribution lies at least this often.
fn median_absolute_error(rows: Estimated<'_>, confidence: f64) -> Result<Estimate> {
    let y_true = labels::scores("y_true", rows.y_true)?;
    let y_pred = labels::scores("y_pred", rows.y_pred)?;
    let mut errors: Vec<f64> = std::iter::zip(y_true, y_pred)
        .map(|(truth, predicted)| (truth - predicted).abs())
        .collect();
    errors.sort_unstable_by(f64::total_cmp);
    let value = median(&errors);
    if !value.is_finite() {
        return Ok(Estimate::undefined("the errors are beyond the range of f64"));
    }
    let mut estimate = Estimate { value: Some(value), interval: None, reason: String::new() };
    match median_ranks(errors.len() as u64, confidence)? {
        Some(below) => {
            let at = below as usize;
            let (low, high) = (errors[at], errors[errors.len() - 1 - at]);
            estimate.interval = Interval::new(low, high, confidence).ok();
        }
        None => estimate.reason = "too few rows for limits of a median".into(),
    }
    Ok(estimate)
}

/// The median of sorted numbers, of which there is one at least.
pub(super) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// The most values that may be left out on either side: k with P(B ≤ k) ≤ (1 − confidence)/2,
/// B ~ Binomial(n, ½); `None` where not even the extremes are far enough out.
fn median_ranks(n: u64, confidence: f64) -> Result<Option<u64>> {
    let tail = (1.0 - confidence) / 2.0;
    if binomial_cdf(0, n, 0.5)? > tail {
        return Ok(None);
    }
    let (mut enough, mut too_many) = (0, n / 2 + 1);
    while enough + 1 < too_many {
        let middle = u64::midpoint(enough, too_many);
        if binomial_cdf(middle, n, 0.5)? <= tail { enough = middle } else { too_many = middle }
    }
    // P(B ≤ k) ≤ tail makes the order statistic of rank k + 1 (from 1) a limit: index k.
    Ok(Some(enough))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_a_median_are_those_of_the_sign_test() {
        // scipy.stats.binom: P(B <= 1 | 10) = 0.0107, P(B <= 2 | 10) = 0.0547.
        assert_eq!(median_ranks(10, 0.95).unwrap(), Some(1));
        assert_eq!(median_ranks(5, 0.95).unwrap(), None);
        assert_eq!(median_ranks(6, 0.95).unwrap(), Some(0));
        assert_eq!(median_ranks(100, 0.95).unwrap(), Some(39));
        assert_eq!(median(&[1.0, 2.0, 3.0, 10.0]), 2.5);
    }

    #[test]
    fn limits_that_no_replicate_reaches_are_no_closer_than_the_normal_ones() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let mean = |rows: &[usize]| {
            Some(rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64)
        };
        let limits =
            |confidence| resample(50, Resampling::new(1, 100), confidence, mean).unwrap().interval;
        assert!(limits(1.0 - 1e-7).width() > limits(1.0 - 1e-5).width());
        // 5.33 standard errors of 14.43/√50 on either side.
        assert!((limits(1.0 - 1e-7).width() / (2.0 * 5.33 * 2.041) - 1.0).abs() < 0.05);
    }

    #[test]
    fn matthews_without_a_margin_is_undefined() {
        assert_eq!(matthews_of([5, 0, 5, 0]), None);
        assert_eq!(matthews_of([5, 0, 0, 5]), Some(1.0));
        assert!((matthews_of([3, 1, 2, 4]).unwrap() - 0.408248290463863).abs() < 1e-15);
    }
}
