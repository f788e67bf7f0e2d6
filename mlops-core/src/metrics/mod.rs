//! Metrics of predictions against what came true, from Arrow arrays.
//!
//! Arguments that could be swapped are named fields. A null, a NaN or a length that does not match
//! is an error that names the row; a metric that has no value for the data is
//! [`Error::Undefined`](crate::Error::Undefined) with the reason (a peer's silent 0 is not one).
//! Sums do not depend on the order of the rows.
//!
//! ```
//! use mlops_core::arrow::array::{Float64Array, Int64Array};
//! use mlops_core::metrics::{ClassificationReport, Scored};
//! let y_true = Int64Array::from(vec![0, 0, 1, 1]);
//! let y_score = Float64Array::from(vec![0.1, 0.4, 0.35, 0.8]);
//! let scored = Scored { y_true: &y_true, y_score: &y_score, positive: "1" };
//! let report = ClassificationReport::of_scores(scored, 0.5, 0.95)?;
//! assert_eq!(report.accuracy.value, Some(0.75));
//! assert_eq!(report.roc_auc.value, Some(0.75));
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod arguments;
mod confusion;
mod regression;
mod report;
mod scores;

pub use arguments::{Classified, Estimated, Scored};
pub use confusion::{Confusion, accuracy, confusion, f1, precision, recall, specificity};
pub use regression::{mean_absolute_error, mean_squared_error, r2, root_mean_squared_error};
pub use report::{ClassificationReport, Metric, RegressionReport};
pub use scores::{average_precision, brier, log_loss, roc_auc};
