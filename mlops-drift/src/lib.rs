//! Has the data drifted away from what the model was trained on?
//!
//! A [`ReferenceProfile`] is fitted on a reference (the training data) and stored with the model:
//! some tens of KiB a column, whatever the number of rows. A [`DriftMonitor`] counts current data
//! in the profile's cells, in one scan, and judges every column and the dataset:
//!
//! ```
//! use mlops_core::arrow::array::{Float64Array, StringArray};
//! use mlops_core::{MemorySource, Verdict, batch};
//! use mlops_drift::{DriftMonitor, ProfileOptions, ReferenceProfile};
//!
//! let applicants = |n: i32, raise: f64| -> mlops_core::Result<MemorySource> {
//!     Ok(MemorySource::from(batch! {
//!         "income" => Float64Array::from_iter_values((0..n).map(|i| f64::from(i * 7919 % 1009) + raise)),
//!         "region" => StringArray::from_iter_values((0..n).map(|i| ["north", "south"][(i % 2) as usize])),
//!     }?))
//! };
//! let profile = ReferenceProfile::fit(&applicants(10_000, 0.0)?, &ProfileOptions::default())?;
//! let stored = profile.to_bytes();
//!
//! let monitor = DriftMonitor::new(ReferenceProfile::from_bytes(&stored)?);
//! assert_eq!(monitor.compare(&applicants(5_000, 0.0)?)?.verdict, Verdict::Pass);
//! let report = monitor.compare(&applicants(5_000, 250.0)?)?;
//! assert_eq!(report.verdict, Verdict::Fail);
//! println!("{report}");
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! **Numbers** are compared by Kolmogorov–Smirnov's `D`, which counts at edges enclose for certain
//! ([`ks_from_cells`]), **categories** by the chi-square test and the total variation distance;
//! both have the population stability index ([`psi_test`]). Nulls, NaN and infinities are shares of
//! their own. The [`DriftRule`] is three-valued: a column *fails* if a test calibrated for both
//! sample sizes rejects after correction over all columns and the effect is over its floor for
//! certain; it *passes* if the effect is within the floor for certain; otherwise it is
//! *inconclusive*.
//!
//! The formulas work on their own: [`psi`], [`chi_square`], [`total_variation`], and the exact
//! [`ks_two_sample`] on two arrays.

mod bins;
mod chi_square;
mod counts;
mod decide;
mod family;
mod finders;
mod fit;
mod ks;
mod monitor;
mod page;
mod profile;
mod psi;
mod report;
mod rule;
mod tables;
mod total_variation;
mod windows;

pub use chi_square::{ChiSquare, chi_square};
pub use counts::{ColumnCounts, CountAtCells, CountState};
pub use family::Family;
pub use fit::ProfileOptions;
pub use ks::{KsBounds, KsTest, ks_from_cells, ks_two_sample};
pub use monitor::DriftMonitor;
pub use profile::{Cells, ColumnProfile, Kind, ReferenceProfile};
pub use psi::{PSI_FOLKLORE_MAJOR, PSI_FOLKLORE_MODERATE, PsiTest, ZeroCells, psi, psi_test};
pub use report::{
    ColumnDrift, DriftReport, Missing, MissingChange, Statistic, StatisticResult, Status,
};
pub use rule::{DatasetRule, DriftRule, Effect};
pub use total_variation::{TotalVariation, total_variation};
pub use windows::{DriftOverTime, Window, WindowDrift, over_time};
