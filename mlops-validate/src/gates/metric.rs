//! The metrics that gates know by name, and the bounds that make sense for them.

use std::fmt;

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// A metric of predictions; most are by their name in [`mlops_core::metrics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// The share of right predictions.
    Accuracy,
    /// The mean of recall and specificity; limits of Zou and Donner (MOVER) from Wilson's of both.
    BalancedAccuracy,
    /// Right among the predicted positives.
    Precision,
    /// Found among the positives.
    Recall,
    /// Left alone among the negatives.
    Specificity,
    /// The harmonic mean of precision and recall.
    F1,
    /// Matthews' correlation of label and prediction, in \[−1, 1\].
    MatthewsCorrelation,
    /// The area under the ROC curve.
    RocAuc,
    /// The area under the precision-recall curve.
    AveragePrecision,
    /// The logarithmic loss.
    LogLoss,
    /// The Brier score.
    Brier,
    /// The mean absolute error.
    Mae,
    /// The median absolute error; its limits are order statistics, exact for any distribution.
    MedianAbsoluteError,
    /// The mean squared error.
    Mse,
    /// The root of the mean squared error.
    Rmse,
    /// The coefficient of determination.
    R2,
}

impl Metric {
    /// The name, a field of [`ClassificationReport`](mlops_core::metrics::ClassificationReport) or
    /// [`RegressionReport`](mlops_core::metrics::RegressionReport) where it stands there.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::Specificity => "specificity",
            Self::F1 => "f1",
            Self::MatthewsCorrelation => "matthews_correlation",
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::Mae => "mae",
            Self::MedianAbsoluteError => "median_absolute_error",
            Self::Mse => "mse",
            Self::Rmse => "rmse",
            Self::R2 => "r2",
        }
    }

    /// Whether less is better.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::LogLoss | Self::Brier) || (self.is_of_values() && self != Self::R2)
    }

    /// Whether it is one of regressions.
    pub(crate) fn is_of_values(self) -> bool {
        matches!(self, Self::Mae | Self::MedianAbsoluteError | Self::Mse | Self::Rmse | Self::R2)
    }

    /// A bound that asks a metric to be bad, or that no value can reach, is a slip.
    pub(crate) fn check(self, bound: Bound) -> Result<()> {
        let what = || format!("the bound of {self}");
        let b = bound.value();
        if !b.is_finite() {
            return Err(Error::invalid(what(), "a number", b));
        }
        match (self.is_loss(), bound) {
            (true, Bound::AtLeast(b)) => {
                let found = format!("at least {b}");
                return Err(Error::invalid(what(), "at most, since less is better", found));
            }
            (false, Bound::AtMost(b)) => {
                let found = format!("at most {b}");
                return Err(Error::invalid(what(), "at least, since more is better", found));
            }
            _ => {}
        }
        let in_range = match self {
            Self::LogLoss | Self::Mae | Self::MedianAbsoluteError | Self::Mse | Self::Rmse => {
                b >= 0.0
            }
            Self::R2 => b <= 1.0,
            Self::MatthewsCorrelation => (-1.0..=1.0).contains(&b),
            _ => (0.0..=1.0).contains(&b),
        };
        if !in_range {
            return Err(Error::invalid(what(), "a value that it can have", b));
        }
        Ok(())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a number must lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// From this on.
    AtLeast(f64),
    /// Up to this.
    AtMost(f64),
}

impl Bound {
    /// The number itself.
    pub fn value(self) -> f64 {
        let (Self::AtLeast(bound) | Self::AtMost(bound)) = self;
        bound
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
        }
    }
}

/// A confidence in per cent is the slip that everyone makes once.
pub(crate) fn check_confidence(confidence: f64) -> Result<()> {
    if confidence > 0.0 && confidence < 1.0 {
        return Ok(());
    }
    Err(Error::invalid("the confidence", "a share such as 0.95", confidence))
}

/// A confidence as it is printed: `95`, `99.75`.
pub(crate) fn percent(confidence: f64) -> f64 {
    (confidence * 1e6).round() / 1e4
}

/// A share that a rule allows.
pub(crate) fn check_share(what: &str, share: f64) -> Result<()> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::invalid(what, "a share from 0 to 1, such as 0.01", share))
}

/// More words at the end of a sentence.
pub(crate) fn also(text: &mut String, more: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = fmt::Write::write_fmt(text, more);
}
