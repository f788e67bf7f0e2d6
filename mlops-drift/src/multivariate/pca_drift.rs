//! What a change of the error of reconstruction looks like.

use std::fmt;

use mlops_core::stats::Interval;
use serde::{Deserialize, Serialize};

use crate::multivariate::judged::Judged;

/// What [`PcaReconstruction`](super::PcaReconstruction) found in current data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PcaDrift {
    /// The mean error of the held-out half of the reference.
    pub reference_error: f64,
    /// The mean error of the current rows.
    pub current_error: f64,
    /// The standard deviation of the held-out errors.
    pub reference_sd: f64,
    /// The difference of the means in that standard deviation: above 0 where the components rebuild
    /// the current rows worse. The largest finite number where the held-out errors do not vary.
    pub change: f64,
    /// Limits of the change; `None` where errors do not vary.
    pub interval: Option<Interval>,
    /// How many components there are.
    pub components: u64,
    /// The share of the variance that they explain.
    pub explained: f64,
    /// Rows that they were fitted on.
    pub fitted_rows: u64,
    /// Rows of the held-out half.
    pub n: u64,
    /// Current rows.
    pub m: u64,
    /// Current rows that were left out for what they miss.
    pub dropped: u64,
    /// Current values that were filled in.
    pub imputed: u64,
    /// The coordinates, those whose squared residual changed most first.
    pub features: Vec<FeatureError>,
    /// The verdict; its effect is the size of the change.
    pub judged: Judged,
}

/// How well a coordinate is rebuilt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeatureError {
    /// The coordinate.
    pub feature: String,
    /// Its mean squared residual in the held-out half, of a variance of 1 in the fitted half.
    pub reference: f64,
    /// Its mean squared residual in the current data.
    pub current: f64,
}

impl FeatureError {
    /// How much the squared residual grew.
    pub fn change(&self) -> f64 {
        self.current - self.reference
    }
}

impl fmt::Display for PcaDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PCA reconstruction: mean error {:.4} of {} rows, {:.4} of {} held out; {} components \
             explain {:.1} % of the variance of {} rows: {}",
            self.current_error,
            self.m,
            self.reference_error,
            self.n,
            self.components,
            100.0 * self.explained,
            self.fitted_rows,
            self.judged
        )?;
        for feature in self.features.iter().take(5) {
            write!(
                f,
                "\n  {}: squared residual {:.4} was {:.4}",
                feature.feature, feature.current, feature.reference
            )?;
        }
        Ok(())
    }
}
