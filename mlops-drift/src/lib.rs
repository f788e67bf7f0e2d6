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
//! ([`ks_from_cells`](statistics::ks_from_cells)), **categories** by the chi-square test and the total variation distance;
//! both have the population stability index ([`psi_test`](statistics::psi_test)). Nulls, NaN and infinities are shares of
//! their own. The [`DriftRule`] is three-valued: a column *fails* if a test calibrated for both
//! sample sizes rejects after correction over all columns and the effect is over its floor for
//! certain; it *passes* if the effect is within the floor for certain; otherwise it is
//! *inconclusive*.
//!
//! Monitors that check every batch have a test that stays valid over all looks: [`sequential`].
//! What only several columns together show, embeddings among them, is in [`multivariate`].
//! The formulas work on their own: see [`statistics`].

mod monitor;
pub mod multivariate;
pub mod performance;
mod profile;
pub mod sequential;
pub mod statistics;
pub mod stream;
pub mod windows;

pub use monitor::drift_monitor::DriftMonitor;
pub use monitor::report::{ColumnDrift, DriftReport, Status};
pub use monitor::rule::{DatasetRule, DriftRule, Effect};
pub use monitor::shares::{Share, ShareChange};
pub use monitor::statistic::{DecidingTest, Statistic, StatisticResult};
pub use profile::cells::{Cells, Kind};
pub use profile::counts::{ColumnCounts, CountAtCells, CountState};
pub use profile::edges::{EdgesState, FindEdges};
pub use profile::family::Family;
pub use profile::fit::ProfileOptions;
pub use profile::found_edges::FoundEdges;
pub use profile::reference::{ColumnProfile, ReferenceProfile};
