//! When drift is called drift: the floors of effects, the error rate, the rule over a dataset.

use std::collections::BTreeMap;

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::profile::reference::ReferenceProfile;
use crate::statistics::shares::ZeroCells;

/// Which effect must reach a floor before a column fails, and how large that is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// The largest difference of the distribution functions for numbers (0.1: a tenth of the rows
    /// moved past some value), the total variation distance for categories.
    Distance {
        /// Floor of Kolmogorov–Smirnov's `D`, in (0, 1).
        ks: f64,
        /// Floor of the total variation distance, in (0, 1).
        total_variation: f64,
    },
    /// The population stability index for both, with its own limits. The trade's
    /// [0.1](crate::statistics::PSI_FOLKLORE_MODERATE) and [0.25](crate::statistics::PSI_FOLKLORE_MAJOR) are by name.
    Psi {
        /// Its floor, above 0.
        floor: f64,
    },
}

/// When the whole dataset counts as drifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DatasetRule {
    /// One column that fails is enough; all must pass for a pass.
    #[default]
    AnyColumn,
    /// At least this share of the columns fails, in (0, 1]; a pass if that could not be reached
    /// even were every undecided column a fail.
    Share(f64),
}

/// The rule of a monitor; [`Display`](std::fmt::Display) says it in words.
///
/// A column **fails** if a calibrated test rejects, after Benjamini–Hochberg's correction over all
/// tests of all columns, *and* the lower confidence limit of the effect is over its floor. It
/// **passes** if the upper confidence limit of every effect lies within its floor. Otherwise, or
/// with too few values, it is **inconclusive**: "not significant" is not a pass.
///
/// The error rates hold on average over references drawn from one population: a single reference
/// that lies at the edge of what chance gives makes every later comparison with it a little more,
/// or less, likely to reject. The tests count the reference's own sampling error, and the floor
/// under the effect keeps false failures far below `alpha`: in this crate's simulations, with
/// references and current data of 100 to 2,000 rows, fewer than 1 in 100 undrifted datasets fail.
/// The limits of an effect hold for each column by itself, not for all of them at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriftRule {
    /// The false discovery rate over all tests, in (0, 1); 0.05.
    pub alpha: f64,
    /// The confidence of the effects' limits, both together, in (0, 1); 0.95.
    pub confidence: f64,
    /// The effects and their floors; `D` 0.1 and total variation 0.05.
    pub effect: Effect,
    /// The floor of the change in the share of nulls, NaN and infinities, in (0, 1); 0.05.
    pub missing: f64,
    /// Other floors for single columns, of whatever effect decides there.
    pub floors: BTreeMap<String, f64>,
    /// Fewer values than this on either side are inconclusive; 30.
    pub min_rows: u64,
    /// The rule over the dataset.
    pub dataset: DatasetRule,
    /// The bins of the population stability index of numbers, by reference quantiles; 10.
    pub psi_bins: usize,
    /// What the population stability index does about empty cells.
    pub zero_cells: ZeroCells,
}

impl Default for DriftRule {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            confidence: 0.95,
            effect: Effect::Distance { ks: 0.1, total_variation: 0.05 },
            missing: 0.05,
            floors: BTreeMap::new(),
            min_rows: 30,
            dataset: DatasetRule::AnyColumn,
            psi_bins: 10,
            zero_cells: ZeroCells::AddHalf,
        }
    }
}

impl DriftRule {
    /// The default rule.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this false discovery rate.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The same with this confidence.
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// The same with this effect and its floor.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The same with this floor for missing values.
    #[must_use]
    pub fn missing(mut self, floor: f64) -> Self {
        self.missing = floor;
        self
    }

    /// The same with another floor for one column.
    #[must_use]
    pub fn floor(mut self, column: impl Into<String>, floor: f64) -> Self {
        self.floors.insert(column.into(), floor);
        self
    }

    /// The same with this least number of values.
    #[must_use]
    pub fn min_rows(mut self, rows: u64) -> Self {
        self.min_rows = rows;
        self
    }

    /// The same with this rule over the dataset.
    #[must_use]
    pub fn dataset(mut self, rule: DatasetRule) -> Self {
        self.dataset = rule;
        self
    }

    /// The same with this many bins of the population stability index.
    #[must_use]
    pub fn psi_bins(mut self, bins: usize) -> Self {
        self.psi_bins = bins;
        self
    }

    /// The same with this rule for empty cells of the population stability index.
    #[must_use]
    pub fn zero_cells(mut self, rule: ZeroCells) -> Self {
        self.zero_cells = rule;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let open = |what: &str, x: f64| {
            if x > 0.0 && x < 1.0 {
                Ok(())
            } else {
                Err(Error::invalid(what, "a number between 0 and 1", x))
            }
        };
        open("alpha", self.alpha)?;
        open("confidence", self.confidence)?;
        open("floor of missing values", self.missing)?;
        let positive = |what: &str, x: f64| {
            if x > 0.0 && x.is_finite() {
                Ok(())
            } else {
                Err(Error::invalid(what, "a positive number", x))
            }
        };
        match self.effect {
            Effect::Distance { ks, total_variation } => {
                open("floor of ks", ks)?;
                open("floor of total variation", total_variation)?;
            }
            Effect::Psi { floor } => positive("floor of psi", floor)?,
        }
        for (column, floor) in &self.floors {
            positive(&format!("floor of column `{column}`"), *floor)?;
        }
        if let DatasetRule::Share(share) = self.dataset
            && !(share > 0.0 && share <= 1.0)
        {
            return Err(Error::invalid("share of columns", "a number in (0, 1]", share));
        }
        if !(2..=1000).contains(&self.psi_bins) {
            return Err(Error::invalid("psi_bins", "2 to 1000", self.psi_bins));
        }
        Ok(())
    }

    /// A floor of a column that is not there would leave another in force unnoticed, and one that
    /// no effect can reach would switch the column off.
    pub(crate) fn check_columns(&self, profile: &ReferenceProfile) -> Result<()> {
        for (column, &floor) in &self.floors {
            if profile.column(column).is_none() {
                let available = profile.columns().iter().map(|c| c.name().to_owned()).collect();
                return Err(Error::ColumnNotFound { column: column.clone(), available });
            }
            if matches!(self.effect, Effect::Distance { .. }) && floor >= 1.0 {
                let what = format!("floor of column `{column}`");
                return Err(Error::invalid(what, "a number between 0 and 1", floor));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for DriftRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let floors = match self.effect {
            Effect::Distance { ks, total_variation } => format!(
                "{ks} (Kolmogorov–Smirnov's D, numbers) or {total_variation} (total variation, \
                 categories)"
            ),
            Effect::Psi { floor } => format!("{floor} (population stability index)"),
        };
        write!(
            f,
            "A column fails if a test rejects at {} after Benjamini–Hochberg's correction over all \
             tests of all columns and the lower {} % confidence limit of its effect is over the \
             floor: {floors}, or {} for the share of nulls, NaN and infinities. It passes if the \
             upper limits lie within the floors. Otherwise, or with fewer than {} values on either \
             side, it is inconclusive. ",
            self.alpha,
            self.confidence * 100.0,
            self.missing,
            self.min_rows,
        )?;
        match self.dataset {
            DatasetRule::AnyColumn => {
                write!(f, "The dataset fails with any column, and passes only with all of them.")
            }
            DatasetRule::Share(share) => {
                write!(f, "The dataset fails if {} % of the columns do.", share * 100.0)
            }
        }
    }
}
