//! Scores of a group and what derives from them: ROC and precision-recall, losses, calibration, and
//! the area between the ROC curves of groups.

mod bins;
mod calibration;
mod losses;
mod metric;
mod roc;
mod score_counts;
mod side;
mod table;

pub use bins::Bins;
pub use calibration::CalibrationBin;
pub use metric::ScoreMetric;
pub use roc::{Bounded, abroca};
pub use score_counts::{ScoreCounts, ScorePoint};
use side::Side;
pub(crate) use table::Scores;
