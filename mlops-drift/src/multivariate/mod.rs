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
//! | test | sees | its effect, and the floor |
//! |---|---|---|
//! | [`Mmd`] | any change, as far as one kernel shows it | `MMD²`, 0.01 |
//! | [`SlicedWasserstein`] | changes along directions | mean `W₁`, 0.1 standard deviations |
//! | [`DomainClassifier`] | what a classifier can learn, and in which columns | AUC, 0.55 |
//! | [`CorrelationChange`] | columns that move together otherwise, pair by pair | change of `r`, 0.1 |
//! | [`PcaReconstruction`] | rows off the reference's principal components | mean error, 0.1 standard deviations |
//!
//! The first four need rows of both sides, and permute their labels. That is exact whatever the law
//! of the rows, but for correlations, where each side is standardised by itself first: there the
//! level holds as nearly as simulation can tell. The last is fitted once, holds no rows, and rides on
//! any scan of current data; what is permuted are its errors. Categories are encoded by their share
//! or one-hot ([`Categories`]), missing values are filled in or their rows left out
//! ([`MissingValues`]); both are counted. Every test has a seed, the same result to the bit for any
//! number of threads, batch size and partitioning, memory bounded by the cap of the samples, and a
//! [`Watch`] to follow and stop it.
//!
//! How often each rejects where nothing drifted, and where something did, is printed by
//! `cargo test -p mlops-drift --test multivariate -- --nocapture`.

mod columns;
mod correlation_change;
mod domain_classifier;
mod eigen;
mod encoding;
#[cfg(test)]
mod golden;
mod gram;
mod judged;
mod mmd;
mod pca_drift;
mod pca_reconstruction;
mod permutation;
mod points;
mod reconstruct;
mod ridge;
mod row_sample;
mod sliced_wasserstein;
mod space;

pub use columns::{ColumnKind, ComparedColumn};
pub use correlation_change::{CorrelatedPair, Correlation, CorrelationChange, CorrelationTest};
pub use domain_classifier::{
    Classifier, ClassifierFn, ColumnImportance, DomainClassifier, DomainClassifierTest, Scorer,
};
pub use encoding::{Categories, Encoding, Feature, MissingValues};
pub use judged::{Judged, VerdictRule};
pub use mmd::{Mmd, MmdEstimator, MmdTest};
pub use pca_drift::{FeatureError, PcaDrift};
pub use pca_reconstruction::{PcaOptions, PcaReconstruction};
pub use permutation::Watch;
pub use points::{Points, Scaling, Side};
pub use row_sample::{RowSample, Sample, SampleState};
pub use sliced_wasserstein::{SlicedWasserstein, SlicedWassersteinTest};
