//! Metrics of predicted numbers.

use arrow::array::Float64Array;

use super::arguments::Estimated;
use super::report::mean;
use crate::states::Moments;
use crate::{Error, Result};

pub(super) fn absolute_errors(y_true: &Float64Array, y_pred: &Float64Array) -> Vec<f64> {
    y_true.values().iter().zip(y_pred.values()).map(|(t, p)| (t - p).abs()).collect()
}

pub(super) fn squared_errors(y_true: &Float64Array, y_pred: &Float64Array) -> Vec<f64> {
    y_true.values().iter().zip(y_pred.values()).map(|(t, p)| (t - p).powi(2)).collect()
}

/// A number beyond the range of `f64` is no number to report.
fn finite(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Error::undefined(what, "the errors are beyond the range of f64"))
    }
}

/// The mean of |true − predicted|, in the unit of y.
///
/// O(n). `sklearn.metrics.mean_absolute_error`.
///
/// # Errors
/// [`Error::Length`]; [`Error::Value`] for a null, NaN or infinity, with its row;
/// [`Error::Undefined`] without rows or where the errors overflow.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::metrics::{Estimated, mean_absolute_error, r2};
/// let y_true = Float64Array::from(vec![3.0, -0.5, 2.0, 7.0]);
/// let y_pred = Float64Array::from(vec![2.5, 0.0, 2.0, 8.0]);
/// let rows = Estimated { y_true: &y_true, y_pred: &y_pred };
/// assert_eq!(mean_absolute_error(rows)?, 0.5);
/// assert!((r2(rows)? - 0.9486081370449679).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn mean_absolute_error(rows: Estimated<'_>) -> Result<f64> {
    let what = "the mean absolute error";
    let (y_true, y_pred) = rows.read(what)?;
    finite(what, mean(&absolute_errors(&y_true, &y_pred)))
}

/// The mean of (true − predicted)², in the squared unit of y.
///
/// O(n). `sklearn.metrics.mean_squared_error`.
///
/// # Errors
/// As [`mean_absolute_error`].
pub fn mean_squared_error(rows: Estimated<'_>) -> Result<f64> {
    let what = "the mean squared error";
    let (y_true, y_pred) = rows.read(what)?;
    finite(what, mean(&squared_errors(&y_true, &y_pred)))
}

/// The root of the mean squared error, in the unit of y.
///
/// O(n). `sklearn.metrics.root_mean_squared_error`.
///
/// # Errors
/// As [`mean_absolute_error`].
pub fn root_mean_squared_error(rows: Estimated<'_>) -> Result<f64> {
    Ok(mean_squared_error(rows)?.sqrt())
}

/// The coefficient of determination, 1 − Σ (true − predicted)² / Σ (true − mean)²; at most 1.
///
/// O(n). `sklearn.metrics.r2_score`, which says 0 or 1 where this is undefined.
///
/// # Errors
/// As [`mean_absolute_error`]; [`Error::Undefined`] where all true values are equal.
pub fn r2(rows: Estimated<'_>) -> Result<f64> {
    let (y_true, y_pred) = rows.read("R²")?;
    r2_of(&y_true, &y_pred)
}

pub(super) fn r2_of(y_true: &Float64Array, y_pred: &Float64Array) -> Result<f64> {
    // Not about a rounded mean: beside a large one that would be another spread.
    let spread = Moments::of(y_true.values()).variance(0).unwrap_or(f64::INFINITY);
    if spread == 0.0 {
        return Err(Error::undefined("R²", "all true values are equal"));
    }
    finite("R²", 1.0 - mean(&squared_errors(y_true, y_pred)) / finite("R²", spread)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r2_beside_a_large_mean() {
        // The mean, 1e15 + 1/12, is no f64; about the nearest one the sum of squares is another.
        let y_true = Float64Array::from(vec![1e15, 1e15, 1e15 + 0.25]);
        let y_pred = Float64Array::from(vec![1e15, 1e15, 1e15]);
        let rows = Estimated { y_true: &y_true, y_pred: &y_pred };
        assert_eq!(r2(rows).unwrap(), -0.5);
    }

    #[test]
    fn what_has_no_value_is_said() {
        let constant = Float64Array::from(vec![0.1, 0.1, 0.1]);
        let other = Float64Array::from(vec![1.0, 2.0, 3.0]);
        let rows = |y_true, y_pred| Estimated { y_true, y_pred };
        assert!(matches!(r2(rows(&constant, &other)), Err(Error::Undefined { .. })));
        assert_eq!(r2(rows(&other, &other)).unwrap(), 1.0);
        let nothing = other.slice(0, 0);
        assert!(mean_squared_error(rows(&nothing, &nothing)).is_err());
        assert!(matches!(mean_absolute_error(rows(&other, &nothing)), Err(Error::Length { .. })));
        let huge = Float64Array::from(vec![f64::MAX, -f64::MAX]);
        let opposite = Float64Array::from(vec![-f64::MAX, f64::MAX]);
        for metric in [mean_absolute_error, mean_squared_error, root_mean_squared_error, r2] {
            assert!(matches!(metric(rows(&huge, &opposite)), Err(Error::Undefined { .. })));
        }
    }
}
