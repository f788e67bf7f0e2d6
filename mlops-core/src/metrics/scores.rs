//! Metrics of scores and probabilities.

use arrow::array::Float64Array;

use super::arguments::Scored;
use crate::stats::ranking::{check, ties};
use crate::stats::roc_auc_delong;
use crate::{Error, Result};

/// The area under the ROC curve, a tie counting half; in \[0, 1\].
///
/// Counted in integers. O(n log n). `sklearn.metrics.roc_auc_score`; with a standard error as
/// [`roc_auc_delong`](crate::stats::roc_auc_delong).
///
/// # Errors
/// [`Error::Length`]; [`Error::Value`] for a null, NaN or infinity, with its row;
/// [`Error::Undefined`] where only one label occurs.
pub fn roc_auc(rows: Scored<'_>) -> Result<f64> {
    let (y_true, y_score) = rows.read()?;
    Ok(roc_auc_delong(&y_true, y_score.values())?.auc)
}

/// Average precision: Σ (recallₖ − recallₖ₋₁) · precisionₖ over the thresholds, from the highest
/// score down; the area under the precision-recall curve without interpolation, in \[0, 1\].
///
/// O(n log n). `sklearn.metrics.average_precision_score`.
///
/// # Errors
/// [`Error::Length`]; [`Error::Value`] for a null, NaN or infinity, with its row;
/// [`Error::Undefined`] where no row is positive.
pub fn average_precision(rows: Scored<'_>) -> Result<f64> {
    let (y_true, y_score) = rows.read()?;
    average_precision_of(&y_true, &y_score)
}

pub(super) fn average_precision_of(y_true: &[bool], y_score: &Float64Array) -> Result<f64> {
    check(y_true, y_score.values())?;
    let (mut positives, mut predicted, mut sum) = (0_u64, 0_u64, 0.0);
    for tie in ties(y_true, y_score.values()).into_iter().rev() {
        positives += tie.positives;
        predicted += tie.positives + tie.negatives;
        // The terms come in the order of the scores, whatever the order of the rows.
        sum += tie.positives as f64 * (positives as f64 / predicted as f64);
    }
    if positives == 0 {
        return Err(Error::undefined("average precision", "no row is positive"));
    }
    Ok((sum / positives as f64).min(1.0))
}

/// The mean of −ln of the probability that was given to what came true, in nats, at least 0.
///
/// Probabilities are kept 2⁻⁵² away from 0 and 1, as `sklearn.metrics.log_loss` does. O(n).
///
/// # Errors
/// [`Error::Length`]; [`Error::Value`] for a null or what is no probability, with its row;
/// [`Error::Undefined`] without rows.
pub fn log_loss(rows: Scored<'_>) -> Result<f64> {
    let (y_true, y_score) = rows.read_probabilities("log loss")?;
    Ok(super::report::mean(&log_losses(&y_true, &y_score)))
}

pub(super) fn log_losses(y_true: &[bool], y_score: &Float64Array) -> Vec<f64> {
    y_true
        .iter()
        .zip(y_score.values())
        .map(|(&truth, &p)| {
            let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            -if truth { p.ln() } else { (-p).ln_1p() }
        })
        .collect()
}

/// The mean squared difference of probability and what came true, in \[0, 1\].
///
/// O(n). `sklearn.metrics.brier_score_loss`.
///
/// # Errors
/// As [`log_loss`].
pub fn brier(rows: Scored<'_>) -> Result<f64> {
    let (y_true, y_score) = rows.read_probabilities("the Brier score")?;
    Ok(super::report::mean(&brier_losses(&y_true, &y_score)))
}

pub(super) fn brier_losses(y_true: &[bool], y_score: &Float64Array) -> Vec<f64> {
    y_true
        .iter()
        .zip(y_score.values())
        .map(|(&truth, &p)| (p - f64::from(u8::from(truth))).powi(2))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Float64Array};

    #[test]
    fn one_label_and_no_probability_are_said() {
        let y_true = BooleanArray::from(vec![false, false]);
        let y_score = Float64Array::from(vec![0.5, 1.5]);
        let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
        assert!(matches!(roc_auc(rows), Err(Error::Undefined { .. })));
        assert!(matches!(average_precision(rows), Err(Error::Undefined { .. })));
        assert!(matches!(log_loss(rows), Err(Error::Value { row: 1, .. })));
        assert!(matches!(brier(rows), Err(Error::Value { row: 1, .. })));
        let (y_true, y_score) = (y_true.slice(0, 0), y_score.slice(0, 0));
        let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
        assert!(matches!(log_loss(rows), Err(Error::Undefined { .. })));
    }

    #[test]
    fn certainty_that_was_wrong_has_a_finite_loss() {
        let y_true = BooleanArray::from(vec![true, false]);
        let y_score = Float64Array::from(vec![0.0, 1.0]);
        let rows = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
        assert!((log_loss(rows).unwrap() - 36.04365338911715).abs() < 1e-12);
        assert_eq!(brier(rows).unwrap(), 1.0);
    }
}
