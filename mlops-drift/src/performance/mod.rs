//! How good is a model while labels are not known yet, and when they come?
//!
//! [`Cbpe`] estimates a classifier's performance from its scores alone. What that assumes and
//! cannot see is said there, and in `docs/performance-without-labels.md`.

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
