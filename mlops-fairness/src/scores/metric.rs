//! Metrics of scores by name.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ScoreCounts;
use crate::{GroupMetric, Value};

/// A metric of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoreMetric {
    /// [`ScoreCounts::roc_auc`]; of a bounded one the value in the middle, undefined where the bounds
    /// are further apart than 0.01.
    RocAuc,
    /// [`ScoreCounts::average_precision`], the area under the precision-recall curve.
    AveragePrecision,
    /// [`ScoreCounts::log_loss`].
    LogLoss,
    /// [`ScoreCounts::brier`].
    Brier,
    /// [`ScoreCounts::calibration_error`] over 10 bins.
    CalibrationError,
    /// [`ScoreCounts::mean_prediction`].
    MeanPrediction,
    /// [`ScoreCounts::base_rate`].
    BaseRate,
}

impl ScoreMetric {
    /// Every one of them, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::RocAuc,
        Self::AveragePrecision,
        Self::LogLoss,
        Self::Brier,
        Self::CalibrationError,
        Self::MeanPrediction,
        Self::BaseRate,
    ];

    /// The literature's name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::CalibrationError => "calibration_error",
            Self::MeanPrediction => "mean_prediction",
            Self::BaseRate => "base_rate",
        }
    }

    /// Its value for a group.
    ///
    /// # Errors
    /// [`Undefined`](crate::Undefined), as the method of its name.
    pub fn value(self, counts: &ScoreCounts) -> Value {
        match self {
            Self::RocAuc => counts.must_be_fine().and_then(|()| Ok(counts.roc_auc()?.value)),
            Self::AveragePrecision => counts.average_precision(),
            Self::LogLoss => counts.log_loss(),
            Self::Brier => counts.brier(),
            Self::CalibrationError => counts.calibration_error(10),
            Self::MeanPrediction => counts.mean_prediction(),
            Self::BaseRate => counts.base_rate(),
        }
    }
}

impl GroupMetric<ScoreCounts> for ScoreMetric {
    fn metric_name(&self) -> Cow<'static, str> {
        (*self).name().into()
    }

    fn measure(&self, counts: &ScoreCounts) -> Value {
        self.value(counts)
    }
}

impl fmt::Display for ScoreMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad((*self).name())
    }
}
