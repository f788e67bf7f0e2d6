//! How good is a model while labels are not known yet, and when they come?
//!
//! [`Cbpe`] estimates a classifier's performance from its scores, [`Dle`] the loss of a regression
//! from features and predictions; both are fitted on a reference with labels, and are measurements
//! from then on. [`LabelJoin`] joins labels that come late. What the estimates assume and cannot
//! see (concept drift), and what their bands cover, is said there and in
//! `docs/performance-without-labels.md`.
//!
//! ```
//! use mlops_core::arrow::array::{BooleanArray, Float64Array};
//! use mlops_core::{DataSourceExt, MemorySource, Verdict, batch};
//! use mlops_drift::performance::{Cbpe, CbpeOptions, PerformanceLimit};
//!
//! // Of rows with score 0.2 every fifth is positive, of those with 0.8 all but every fifth.
//! let reference = MemorySource::from(batch! {
//!     "score" => Float64Array::from_iter_values((0..1000).map(|i| [0.2, 0.8][i % 2])),
//!     "fraud" => BooleanArray::from_iter((0..1000).map(|i| Some((i % 2 == 1) != (i / 2 % 5 == 0)))),
//! }?);
//! let cbpe = Cbpe::fit(&reference, &CbpeOptions::new("fraud", "score", "true"))?;
//!
//! let current = batch! { "score" => Float64Array::from_iter_values((0..500).map(|i| [0.2, 0.8][i % 2])) }?;
//! let estimated = MemorySource::from(current).measure(&cbpe)?;
//! assert!((estimated.accuracy.value.unwrap() - 0.8).abs() < 1e-12);
//! let limits = [PerformanceLimit::at_least("accuracy", 0.7)];
//! assert_eq!(estimated.assess(&limits)?.verdict, Verdict::Pass);
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod boosted_trees;
mod calibration;
mod cbpe;
mod dle;
mod estimate;
mod isotonic;
mod realised;
mod reference;
mod score_counts;

pub use boosted_trees::{BoostedTrees, TreeOptions};
pub use calibration::{Calibrate, CalibrationCheck, expected_calibration_error};
pub use cbpe::{Cbpe, CbpeOptions, CbpeReference, PerformanceEstimate};
pub use dle::{Dle, DleOptions, Learner, LossEstimate, LossState};
pub use estimate::{Estimate, PerformanceLimit};
pub use isotonic::Isotonic;
pub use realised::{JoinColumns, JoinCounts, LabelJoin, NamedRows, assess_metrics, join_labels};
pub use score_counts::ScoreCounts;
