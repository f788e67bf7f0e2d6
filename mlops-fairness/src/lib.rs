//! Group fairness: every count-based metric from one mergeable count, with honest uncertainty and
//! a gate that fails closed; and attribution of predictions to features.
//!
//! [`GroupCounts`] counts labels and predictions by group in one pass; the [`MetricFrame`] that
//! comes out has every rate, [`gap`] the differences and ratios between groups with simultaneous
//! limits, and a [`FairnessGate`] holds them against bounds. [`attribution`] explains predictions.

pub mod attribution;
pub mod gap;

mod gate;
mod group_counts;
mod metric;
mod metric_frame;
pub mod report;

pub use gap::Gap;
pub use gate::{FairnessGate, FairnessValidator, GapKind, Rule, SmallGroups};
pub use group_counts::{GroupCounts, GroupCountsState};
pub use metric::{Counts, Metric, Rate};
pub use metric_frame::{Group, MetricFrame};
