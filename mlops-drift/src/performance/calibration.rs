//! Whether scores are probabilities, and a calibrator where they are not.

use mlops_core::stats::Draws;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::isotonic::Isotonic;

/// The expected calibration error: how far, on the average, the share of positives among rows of
/// like score is from their mean score; in \[0, 1\].
///
/// `Σ_b (n_b / n) |mean score in b − share of positives in b|` over `bins` bins of equal numbers
/// of rows in the order of their scores; rows of one score stay together, in the bin of their
/// middle rank. Noise alone makes it positive: about `√(2 bins p(1−p) / (π n))` for scores that are
/// right.
///
/// Naeini, Cooper and Hauskrecht 2015, doi:10.1609/aaai.v29i1.9602 (with equal numbers of rows).
///
/// ```
/// use mlops_drift::performance::expected_calibration_error;
/// let y = [false, true, false, true];
/// assert_eq!(expected_calibration_error(&y, &[0.5; 4], 2)?, 0.0);
/// let error = expected_calibration_error(&y, &[0.1, 0.3, 0.8, 0.8], 2)?;
/// assert!((error - 0.3).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`]; [`Error::Value`] for a score outside \[0, 1\]; [`Error::Undefined`] without
/// rows; [`Error::Invalid`] for no bins.
pub fn expected_calibration_error(y_true: &[bool], y_score: &[f64], bins: usize) -> Result<f64> {
    error_in_order_of(y_true, y_score, y_score, bins)
}

/// The same with rows binned by the order of other scores, so that two sets of scores meet in the
/// same bins.
fn error_in_order_of(y_true: &[bool], y_score: &[f64], order: &[f64], bins: usize) -> Result<f64> {
    if y_true.len() != y_score.len() {
        let (left, right) = ("y_true".into(), "y_score".into());
        return Err(Error::Length {
            left,
            left_len: y_true.len(),
            right,
            right_len: y_score.len(),
        });
    }
    if let Some(row) = y_score.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::Value {
            column: "y_score".into(),
            row: row as u64,
            expected: "a probability".into(),
            found: y_score[row].to_string(),
        });
    }
    let n = y_true.len();
    if n == 0 {
        return Err(Error::undefined("expected calibration error", "there are no rows"));
    }
    if bins == 0 {
        return Err(Error::invalid("bins", "at least one", bins));
    }
    let mut rows: Vec<(f64, f64, bool)> =
        order.iter().zip(y_score).zip(y_true).map(|((&o, &s), &y)| (o + 0.0, s, y)).collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    let (mut total, mut gap, mut in_bin) = (0.0, 0.0, 0);
    let mut at = 0;
    for tie in rows.chunk_by(|a, b| a.0 == b.0) {
        // Twice the middle rank, so that it is whole.
        let bin = (2 * at + tie.len()).saturating_sub(1).saturating_mul(bins) / (2 * n);
        if bin != in_bin {
            total += f64::abs(gap);
            (gap, in_bin) = (0.0, bin);
        }
        for row in tie {
            gap += row.1 - f64::from(u8::from(row.2));
        }
        at += tie.len();
    }
    Ok((total + f64::abs(gap)) / n as f64)
}

/// Whether scores are calibrated before they count as probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Calibrate {
    /// If the expected calibration error (10 bins) of scores that were calibrated out of fold is
    /// smaller than that of the scores as they are, on the same rows in the same bins.
    #[default]
    WhereItHelps,
    /// Always.
    Always,
    /// Never: the scores are probabilities.
    Never,
}

/// What calibration did to the scores of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibrationCheck {
    /// The expected calibration error (10 bins) of the scores as they are.
    pub before: f64,
    /// The same after calibration out of fold; `None` where a fold had only one label.
    pub after: Option<f64>,
    /// Whether the estimates use calibrated scores.
    pub calibrated: bool,
}

/// The bins of the errors that are compared.
const BINS: usize = 10;

/// A calibrator of all rows where there is to be one, and the scores of the same rows as a
/// calibrator gives them that has not seen their labels. Rows come in a canonical order, so that
/// folds are a function of the multiset.
pub(super) fn calibrate(
    y_true: &[bool],
    y_score: &[f64],
    how: Calibrate,
    folds: u32,
    seed: u64,
) -> Result<(CalibrationCheck, Option<Isotonic>, Vec<f64>)> {
    let before = expected_calibration_error(y_true, y_score, BINS)?;
    let apart = out_of_fold(y_true, y_score, folds, seed)?;
    let after = match &apart {
        Some(apart) => Some(error_in_order_of(y_true, apart, y_score, BINS)?),
        None => None,
    };
    let calibrated = match how {
        Calibrate::Never => false,
        Calibrate::Always => true,
        Calibrate::WhereItHelps => after.is_some_and(|after| after < before),
    };
    let check = CalibrationCheck { before, after, calibrated };
    if !calibrated {
        return Ok((check, None, y_score.to_vec()));
    }
    let Some(apart) = apart else {
        let reason = format!("{folds} folds need rows of both labels in the others");
        return Err(Error::undefined("calibration", reason));
    };
    Ok((check, Some(Isotonic::fit(y_score, &as_numbers(y_true))?), apart))
}

fn as_numbers(y_true: &[bool]) -> Vec<f64> {
    y_true.iter().map(|&y| f64::from(u8::from(y))).collect()
}

/// Every row by the fit to the other folds; rows of each label are dealt to the folds at random.
fn out_of_fold(
    y_true: &[bool],
    y_score: &[f64],
    folds: u32,
    seed: u64,
) -> Result<Option<Vec<f64>>> {
    let mut fold = vec![0; y_true.len()];
    for label in [false, true] {
        let mut rows: Vec<usize> = (0..y_true.len()).filter(|&i| y_true[i] == label).collect();
        if rows.len() < 2 {
            return Ok(None);
        }
        Draws::new(seed, u32::from(label), 0).shuffle(&mut rows);
        for (i, row) in rows.into_iter().enumerate() {
            fold[row] = i as u32 % folds;
        }
    }
    let labels = as_numbers(y_true);
    let mut apart = vec![0.0; y_true.len()];
    for k in 0..folds {
        let others = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(&fold).filter(|(_, f)| **f != k).map(|(v, _)| *v).collect()
        };
        let fit = Isotonic::fit(&others(y_score), &others(&labels))?;
        for row in (0..apart.len()).filter(|&row| fold[row] == k) {
            apart[row] = fit.predict(y_score[row]);
        }
    }
    Ok(Some(apart))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(n: u64, truth: impl Fn(f64) -> f64) -> (Vec<bool>, Vec<f64>) {
        let mut rows: Vec<(f64, bool)> = (0..n)
            .map(|i| {
                let mut draws = Draws::new(5, 9, i);
                let score = draws.uniform();
                (score, draws.bernoulli(truth(score)))
            })
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.into_iter().map(|(s, y)| (y, s)).unzip()
    }

    #[test]
    fn scores_that_are_off_are_calibrated() {
        let (y, s) = drawn(4000, |s| s * s);
        let (check, fit, apart) = calibrate(&y, &s, Calibrate::WhereItHelps, 10, 1).unwrap();
        assert!(check.calibrated && check.before > 0.1 && check.after.unwrap() < 0.03, "{check:?}");
        let fit = fit.unwrap();
        for s in [0.2, 0.5, 0.8] {
            assert!((fit.predict(s) - s * s).abs() < 0.06);
        }
        let error = expected_calibration_error(&y, &apart, 10).unwrap();
        assert!(error < 0.03, "{error}");
        let (check, fit, same) = calibrate(&y, &s, Calibrate::Never, 10, 1).unwrap();
        assert!(!check.calibrated && fit.is_none() && same == s);
    }

    #[test]
    fn one_label_is_not_calibrated() {
        let (check, fit, _) =
            calibrate(&[true; 5], &[0.5; 5], Calibrate::WhereItHelps, 3, 0).unwrap();
        assert_eq!((check.before, check.after, fit), (0.5, None, None));
        assert!(calibrate(&[true; 5], &[0.5; 5], Calibrate::Always, 3, 0).is_err());
        assert!(expected_calibration_error(&[], &[], 10).is_err());
        assert!(expected_calibration_error(&[true], &[1.5], 10).is_err());
        assert!(expected_calibration_error(&[true], &[0.5], 0).is_err());
        assert!(expected_calibration_error(&[true], &[], 1).is_err());
    }
}
