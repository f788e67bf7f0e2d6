//! Drift of several columns together, and of embeddings: what no column shows by itself.
//!
//! Each column may keep its distribution while the columns no longer move together as they did. A
//! [`RowSample`] draws rows of both sides, in one scan each; [`Points`] makes points of them, and a
//! test compares the points:
//!
//! ```
//! use mlops_core::arrow::array::Float64Array;
//! use mlops_core::{DataSource, MemorySource, Verdict, batch};
//! use mlops_drift::multivariate::{Encoding, Mmd, Points, RowSample, Scaling};
//!
//! let spread = |i: usize| (i * 7919 % 997) as f64;
//! let rows = |step: usize| -> mlops_core::Result<MemorySource> {
//!     Ok(MemorySource::from(batch! {
//!         "price" => Float64Array::from_iter_values((0..400).map(spread)),
//!         "size" => Float64Array::from_iter_values((0..400).map(|i| spread(i * step))),
//!     }?))
//! };
//! let (reference, current) = (rows(1)?, rows(3)?);
//! let draw = RowSample::of(&reference.schema(), 42)?;
//! let (reference, current) = (draw.draw(&reference)?, draw.draw(&current)?);
//! let points = Points::new(&reference, &current, Encoding::default(), Scaling::Standard)?;
//! assert_eq!(Mmd::new(42).replicates(99).test(&points)?.judged.verdict, Verdict::Fail);
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! Every test has a seed and the same result for any number of threads.

mod columns;
mod correlation_change;
mod encoding;
mod gram;
mod judged;
mod mmd;
mod permutation;
mod points;
mod row_sample;
mod sliced_wasserstein;

pub use columns::{ColumnKind, ComparedColumn};
pub use correlation_change::{CorrelatedPair, Correlation, CorrelationChange, CorrelationTest};
pub use encoding::{Categories, Encoding, Feature, MissingValues};
pub use judged::{Judged, VerdictRule};
pub use mmd::{Mmd, MmdEstimator, MmdTest};
pub use permutation::Watch;
pub use points::{Points, Scaling, Side};
pub use row_sample::{RowSample, Sample, SampleState};
pub use sliced_wasserstein::{SlicedWasserstein, SlicedWassersteinTest};
