//! How good is a model while labels are not known yet, and when they come?
//!
//! [`Cbpe`] estimates a classifier's performance from its scores alone. What that assumes and
//! cannot see is said there, and in `docs/performance-without-labels.md`.

mod calibration;
mod cbpe;
mod estimate;
mod isotonic;
mod reference;
mod score_counts;

pub use calibration::{Calibrate, CalibrationCheck, expected_calibration_error};
pub use cbpe::{Cbpe, CbpeOptions, CbpeReference, PerformanceEstimate};
pub use estimate::{Estimate, PerformanceLimit};
pub use isotonic::Isotonic;
pub use score_counts::ScoreCounts;
