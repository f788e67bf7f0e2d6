//! The counts of a binary confusion matrix and the rates that follow from them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::arguments::Classified;
use crate::{Error, Result};

/// How many rows fell into each cell of the binary confusion matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Confusion {
    /// Positive, and predicted so.
    pub true_positives: u64,
    /// Negative, but predicted positive.
    pub false_positives: u64,
    /// Positive, but predicted negative.
    pub false_negatives: u64,
    /// Negative, and predicted so.
    pub true_negatives: u64,
}

fn ratio(what: &str, part: u64, whole: u64, reason: &str) -> Result<f64> {
    if whole == 0 {
        return Err(Error::undefined(what, reason));
    }
    Ok(part as f64 / whole as f64)
}

impl Confusion {
    /// The counts of rows that are positive and that were predicted to be.
    pub(super) fn of(y_true: &[bool], y_pred: impl Iterator<Item = bool>) -> Self {
        let mut cells = [0_u64; 4];
        for (&truth, predicted) in y_true.iter().zip(y_pred) {
            cells[usize::from(truth) * 2 + usize::from(predicted)] += 1;
        }
        let [true_negatives, false_positives, false_negatives, true_positives] = cells;
        Self { true_positives, false_positives, false_negatives, true_negatives }
    }

    /// All rows.
    pub fn n(&self) -> u64 {
        self.correct() + self.false_positives + self.false_negatives
    }

    /// Rows that were predicted rightly.
    pub fn correct(&self) -> u64 {
        self.true_positives + self.true_negatives
    }

    /// Positive rows.
    pub fn positives(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Negative rows.
    pub fn negatives(&self) -> u64 {
        self.true_negatives + self.false_positives
    }

    /// Rows predicted positive.
    pub fn predicted_positives(&self) -> u64 {
        self.true_positives + self.false_positives
    }

    /// The share of right predictions, in \[0, 1\].
    ///
    /// # Errors
    /// [`Error::Undefined`] without rows.
    pub fn accuracy(&self) -> Result<f64> {
        ratio("accuracy", self.correct(), self.n(), "there are no rows")
    }

    /// TP / (TP + FP), in \[0, 1\].
    ///
    /// # Errors
    /// [`Error::Undefined`] where nothing was predicted positive.
    pub fn precision(&self) -> Result<f64> {
        let whole = self.predicted_positives();
        ratio("precision", self.true_positives, whole, "no row was predicted positive")
    }

    /// TP / (TP + FN), the true-positive rate, in \[0, 1\].
    ///
    /// # Errors
    /// [`Error::Undefined`] where no row is positive.
    pub fn recall(&self) -> Result<f64> {
        ratio("recall", self.true_positives, self.positives(), "no row is positive")
    }

    /// TN / (TN + FP), the true-negative rate, in \[0, 1\].
    ///
    /// # Errors
    /// [`Error::Undefined`] where no row is negative.
    pub fn specificity(&self) -> Result<f64> {
        ratio("specificity", self.true_negatives, self.negatives(), "no row is negative")
    }

    /// 2 TP / (2 TP + FP + FN), in \[0, 1\].
    ///
    /// # Errors
    /// [`Error::Undefined`] where no row is positive and none was predicted to be.
    pub fn f1(&self) -> Result<f64> {
        let whole = 2 * self.true_positives + self.false_positives + self.false_negatives;
        let reason = "no row is positive and none was predicted positive";
        ratio("F1", 2 * self.true_positives, whole, reason)
    }
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} true positives, {} false positives, {} false negatives, {} true negatives",
            self.true_positives, self.false_positives, self.false_negatives, self.true_negatives
        )
    }
}

/// Counts the binary confusion matrix. `sklearn.metrics.confusion_matrix`.
///
/// # Errors
/// [`Error::Length`]; [`Error::Value`] for a null or NaN, with its row; [`Error::ColumnType`];
/// [`Error::Invalid`] for a positive label that the type cannot hold.
pub fn confusion(rows: Classified<'_>) -> Result<Confusion> {
    let (y_true, y_pred) = rows.read()?;
    Ok(Confusion::of(&y_true, y_pred.into_iter()))
}

/// The share of right predictions of the positive label. `sklearn.metrics.accuracy_score`, for two
/// labels.
///
/// ```
/// use mlops_core::arrow::array::StringArray;
/// use mlops_core::metrics::{Classified, accuracy};
/// let y_true = StringArray::from(vec!["yes", "no", "no", "yes"]);
/// let y_pred = StringArray::from(vec!["yes", "no", "yes", "yes"]);
/// let rows = Classified { y_true: &y_true, y_pred: &y_pred, positive: "yes" };
/// assert_eq!(accuracy(rows)?, 0.75);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// As [`confusion`], and [`Confusion::accuracy`].
pub fn accuracy(rows: Classified<'_>) -> Result<f64> {
    confusion(rows)?.accuracy()
}

/// [`Confusion::precision`] of these rows. `sklearn.metrics.precision_score`.
///
/// # Errors
/// As [`confusion`], and [`Confusion::precision`].
pub fn precision(rows: Classified<'_>) -> Result<f64> {
    confusion(rows)?.precision()
}

/// [`Confusion::recall`] of these rows. `sklearn.metrics.recall_score`.
///
/// # Errors
/// As [`confusion`], and [`Confusion::recall`].
pub fn recall(rows: Classified<'_>) -> Result<f64> {
    confusion(rows)?.recall()
}

/// [`Confusion::specificity`] of these rows. `sklearn.metrics.recall_score` of the other label.
///
/// # Errors
/// As [`confusion`], and [`Confusion::specificity`].
pub fn specificity(rows: Classified<'_>) -> Result<f64> {
    confusion(rows)?.specificity()
}

/// [`Confusion::f1`] of these rows. `sklearn.metrics.f1_score`.
///
/// # Errors
/// As [`confusion`], and [`Confusion::f1`].
pub fn f1(rows: Classified<'_>) -> Result<f64> {
    confusion(rows)?.f1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_nothing_is_undefined() {
        let negatives = Confusion { true_negatives: 5, ..Confusion::default() };
        assert_eq!(negatives.accuracy().unwrap(), 1.0);
        assert_eq!(negatives.specificity().unwrap(), 1.0);
        for rate in [negatives.precision(), negatives.recall(), negatives.f1()] {
            assert!(matches!(rate, Err(Error::Undefined { .. })));
        }
        assert!(Confusion::default().accuracy().is_err());
        let missed = Confusion { false_negatives: 2, ..negatives };
        assert_eq!((missed.recall().unwrap(), missed.f1().unwrap()), (0.0, 0.0));
    }
}
