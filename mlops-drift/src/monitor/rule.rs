//! When drift is called drift: the floors of effects, the error rate, the rule over a dataset.

use std::collections::BTreeMap;

use mlops_core::stats::Correction;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::monitor::statistic::Statistic;
use crate::profile::cells::Cells;
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
    /// The Wasserstein-1 distance in standard deviations of the reference for numbers (0.1: the
    /// rows moved by a tenth of one on average), the total variation distance for categories. A
    /// column of numbers whose reference is constant has no such unit; `D` decides there, with the
    /// default floor.
    Wasserstein {
        /// Floor of the distance, above 0.
        wasserstein: f64,
        /// Floor of the total variation distance, in (0, 1).
        total_variation: f64,
    },
    /// The population stability index for both, with its own limits and test. The trade's
    /// [0.1](crate::statistics::PSI_FOLKLORE_MODERATE) and
    /// [0.25](crate::statistics::PSI_FOLKLORE_MAJOR) are by name.
    Psi {
        /// Its floor, above 0.
        floor: f64,
    },
}

impl Effect {
    /// Floor of Kolmogorov–Smirnov's `D`, unless said otherwise: a tenth of the rows.
    pub const KS: f64 = 0.1;
    /// Floor of the total variation distance, unless said otherwise.
    pub const TOTAL_VARIATION: f64 = 0.05;
    /// Floor of the Wasserstein distance in standard deviations, unless said otherwise.
    pub const WASSERSTEIN: f64 = 0.1;

    /// [`Distance`](Self::Distance) with the default floors.
    pub fn distance() -> Self {
        Self::Distance { ks: Self::KS, total_variation: Self::TOTAL_VARIATION }
    }

    /// [`Wasserstein`](Self::Wasserstein) with the default floors.
    pub fn wasserstein() -> Self {
        Self::Wasserstein { wasserstein: Self::WASSERSTEIN, total_variation: Self::TOTAL_VARIATION }
    }
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
    /// Any test rejects after correction, whatever the size of the effect: has anything changed at
    /// all? A pass as under [`AnyColumn`](Self::AnyColumn), if none does. A column that is gone or
    /// has another type fails here, too.
    CorrectedP,
}

/// The rule of a monitor; [`Display`](std::fmt::Display) says it in words.
///
/// A column **fails** if a calibrated test rejects, after Benjamini–Hochberg's correction over all
/// tests of all columns, *and* the lower confidence limit of the effect is over its floor. It
/// **passes** if the upper confidence limit of every effect lies within its floor. Otherwise, or
/// with too few values, it is **inconclusive**: "not significant" is not a pass. A column that is
/// gone, or whose type changed so that its values can't be compared, fails: what the model was
/// trained on is not there.
///
/// # Which test decides
/// | column | test | effect |
/// |---|---|---|
/// | numbers | Kolmogorov–Smirnov, exact p up to `nm` = 2²⁰, asymptotic beyond | `D` |
/// | numbers of at most 20 values | chi-square over the values | `D` |
/// | two categories | Fisher's exact test | difference of the share |
/// | more categories | chi-square, those that expect fewer than 5 rows together; permuted counts of finer cells where that is most rows | total variation, of all categories |
/// | any, under [`Effect::Psi`] | the index by its χ² law where every cell expects 20 rows, else by the Dirichlet–multinomial law (numbers) or permuted counts (categories) | index |
/// | null, NaN, ±∞ | Fisher's exact test | difference of the share |
/// | new and vanished categories | Good and Turing's unseen mass | share beyond what is to be expected |
/// | out of range | beta-binomial law | share beyond what is to be expected |
///
/// Each column's own choice is in [`ColumnDrift::test`](crate::ColumnDrift::test) and on the page.
///
/// # Error rates
/// They hold on average over references drawn from one population: a single reference
/// that lies at the edge of what chance gives makes every later comparison with it a little more,
/// or less, likely to reject. The tests count the reference's own sampling error, and the floor
/// under the effect keeps false failures far below `alpha`: `docs/drift.md` has the rates, and
/// their spread over references. The limits of an effect hold for each column by itself, not for
/// all of them at once. One comparison is one look: for looks again and again see
/// [`sequential`](crate::sequential).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DriftRule {
    /// The error rate over all tests, in (0, 1); 0.05.
    pub alpha: f64,
    /// Which error rate, and how it is held: Benjamini and Hochberg's false discovery rate.
    pub correction: Correction,
    /// The confidence of the effects' limits, both together, in (0, 1); 0.95.
    pub confidence: f64,
    /// The effects and their floors; [`Effect::distance`], `D` 0.1 and total variation 0.05.
    pub effect: Effect,
    /// The floor of the change in the share of nulls, NaN and infinities, in (0, 1); 0.05.
    pub missing: f64,
    /// The floor of the share of values that one side only has (new and vanished categories, out of
    /// range), beyond what chance gives, in (0, 1); 0.1.
    pub novelty: f64,
    /// Other floors for single columns, of whatever effect decides there. Where that is a distance
    /// in (0, 1), it is the floor of what one side only has, too, which no such distance is below.
    pub floors: BTreeMap<String, f64>,
    /// Fewer values (rows, for what is missing) than this on either side are inconclusive; 30.
    pub min_rows: u64,
    /// The rule over the dataset.
    pub dataset: DatasetRule,
    /// The bins of the population stability index of numbers, by reference quantiles; 10.
    pub psi_bins: usize,
    /// What the population stability index does about empty cells.
    pub zero_cells: ZeroCells,
    /// The seed of p-values that are drawn; 0. The same seed, the same report.
    pub seed: u64,
}

impl Default for DriftRule {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            correction: Correction::BenjaminiHochberg,
            confidence: 0.95,
            effect: Effect::distance(),
            missing: 0.05,
            novelty: 0.1,
            floors: BTreeMap::new(),
            min_rows: 30,
            dataset: DatasetRule::AnyColumn,
            psi_bins: 10,
            zero_cells: ZeroCells::AddHalf,
            seed: 0,
        }
    }
}

impl DriftRule {
    /// The default rule.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this error rate.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The same with this correction over all tests.
    #[must_use]
    pub fn correction(mut self, correction: Correction) -> Self {
        self.correction = correction;
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

    /// The same with this floor for what one side only has.
    #[must_use]
    pub fn novelty(mut self, floor: f64) -> Self {
        self.novelty = floor;
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

    /// The same with this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The floor of this column's effect, if that is the one that decides.
    pub(crate) fn floor_of(&self, column: &str, effect: Statistic) -> Option<f64> {
        let floor = match (self.effect, effect) {
            (Effect::Distance { ks, .. }, Statistic::Ks) => ks,
            (Effect::Wasserstein { wasserstein, .. }, Statistic::WassersteinNormalised) => {
                wasserstein
            }
            (
                Effect::Distance { total_variation, .. }
                | Effect::Wasserstein { total_variation, .. },
                Statistic::TotalVariation,
            ) => total_variation,
            (Effect::Psi { floor }, Statistic::Psi) => floor,
            _ => return None,
        };
        Some(self.floors.get(column).copied().unwrap_or(floor))
    }

    /// The floor of what one side only has.
    pub(crate) fn novelty_of(&self, column: &str) -> f64 {
        match (self.effect, self.floors.get(column)) {
            (Effect::Distance { .. }, Some(floor)) => *floor,
            _ => self.novelty,
        }
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
        open("floor of what one side only has", self.novelty)?;
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
            Effect::Wasserstein { wasserstein, total_variation } => {
                positive("floor of wasserstein", wasserstein)?;
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
            let Some(found) = profile.column(column) else {
                let available = profile.columns().iter().map(|c| c.name().to_owned()).collect();
                return Err(Error::ColumnNotFound { column: column.clone(), available });
            };
            let within_one = match self.effect {
                Effect::Distance { .. } => true,
                Effect::Wasserstein { .. } => matches!(found.cells(), Cells::Labels(_)),
                Effect::Psi { .. } => false,
            };
            if within_one && floor >= 1.0 {
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
            Effect::Wasserstein { wasserstein, total_variation } => format!(
                "{wasserstein} standard deviations (Wasserstein distance, numbers) or \
                 {total_variation} (total variation, categories)"
            ),
            Effect::Psi { floor } => format!("{floor} (population stability index)"),
        };
        let correction = match self.correction {
            Correction::Bonferroni => "Bonferroni's",
            Correction::Holm => "Holm's",
            Correction::BenjaminiYekutieli => "Benjamini–Yekutieli's",
            _ => "Benjamini–Hochberg's",
        };
        write!(
            f,
            "A column fails if a test rejects at {} after {correction} correction over all tests of \
             all columns and the lower {} % confidence limit of its effect is over the floor: \
             {floors}, {} for the share of nulls, NaN and infinities, {} for values that one side \
             only has; and if it is gone or of another type. It passes if the upper limits lie \
             within the floors. Otherwise, or with fewer than {} values on either side, it is \
             inconclusive. ",
            self.alpha,
            self.confidence * 100.0,
            self.missing,
            self.novelty,
            self.min_rows,
        )?;
        match self.dataset {
            DatasetRule::AnyColumn => {
                write!(f, "The dataset fails with any column, and passes only with all of them.")
            }
            DatasetRule::Share(share) => {
                write!(f, "The dataset fails if {} % of the columns do.", share * 100.0)
            }
            DatasetRule::CorrectedP => write!(
                f,
                "The dataset fails if any test rejects, whatever the size of its effect, and passes \
                 only with all columns."
            ),
        }
    }
}
