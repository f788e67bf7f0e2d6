//! Group fairness: every count-based metric from one mergeable count, with honest uncertainty and
//! a gate that fails closed; mitigation; and attribution of predictions to features.
//!
//! [`GroupCounts`] counts labels and predictions by group in one pass; the [`MetricFrame`] that
//! comes out has every rate, [`gap`] the differences and ratios between groups with simultaneous
//! limits, and a [`FairnessGate`] holds them against bounds. [`attribution`] explains predictions.
//!
//! From rows to a gate to a page:
//!
//! ```
//! use mlops_core::arrow::array::{Int32Array, StringArray};
//! use mlops_core::report::Report;
//! use mlops_core::{DataSourceExt, MemorySource, ValidatorExt, Verdict, batch};
//! use mlops_fairness::{FairnessGate, GapKind, GroupCounts, Metric, gap, report};
//!
//! // 6,000 people: half of the men are hired, a third of the women.
//! let people = MemorySource::from(batch! {
//!     "sex" => StringArray::from_iter_values((0..6000).map(|i| ["F", "M"][i % 2])),
//!     "fit" => Int32Array::from_iter_values((0..6000).map(|i| i32::from(i % 5 < 2))),
//!     "hired" => Int32Array::from_iter_values((0..6000).map(|i| i32::from(i / 2 % (3 - i % 2) == 0))),
//! }?);
//!
//! // One pass; no row is needed again.
//! let counts = GroupCounts::new("hired", "1", ["sex"]).with_labels("fit");
//! let frame = people.measure(&counts)?;
//! let rates: Vec<_> = frame.by_group(Metric::SelectionRate).map(|(_, rate)| rate.value).collect();
//! assert_eq!(rates, [Some(1.0 / 3.0), Some(0.5)]);
//!
//! // The gap and its limits.
//! let gap = gap::demographic_parity_difference(&frame, 0.95)?;
//! assert_eq!(gap.highest.0.to_string(), "M");
//! assert!(gap.interval.low > 0.14 && gap.interval.high < 0.20);
//!
//! // A policy is a file; the gate blocks on anything but a pass.
//! let gate = FairnessGate::from_json(
//!     r#"{
//!         "name": "hiring",
//!         "rules": [
//!             {"metric": "demographic_parity", "features": ["sex"], "bound": 0.1},
//!             {"metric": "equalized_odds", "features": ["sex"], "bound": 0.25}
//!         ]
//!     }"#,
//! )?;
//! let verdict = gate.judge(&frame);
//! assert_eq!(verdict.verdict, Verdict::Fail);
//! assert_eq!(verdict.findings[1].verdict, Verdict::Pass);
//!
//! // The same on a scan that measures other things, too.
//! assert_eq!(gate.on(counts).validate(&people)?, verdict);
//!
//! let page = Report::new("Hiring").section(report::section(&frame, &verdict, 0.95));
//! assert!(page.to_html().contains("<svg"));
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! # What is promised
//!
//! - A rate whose denominator is 0 is undefined, never 0; a gap with an undefined rate is an error
//!   that names the group, and a rule about it is inconclusive.
//! - Null is a group like any other. Rows without a label or prediction are counted apart, and a
//!   gate names them.
//! - Limits hold for the worst pair of groups together, not for one pair at a time.
//! - The state is a function of the multiset of rows: the same bits for any threads, batches and
//!   order of merging. It is written as bytes that later releases read.

pub mod attribution;
pub mod compat;
pub mod gap;
pub mod inequality;
pub mod mitigation;
pub mod parity;
pub mod report;
pub mod testing;
pub mod uncertainty;

mod codes;
mod consistency;
mod count_estimates;
mod counts;
mod cross_tab;
mod error_estimates;
mod estimate;
mod gate;
mod group_classes;
mod group_counts;
mod group_errors;
mod group_rows;
mod group_scores;
mod groups;
mod measure;
mod metric;
mod metric_frame;
mod over_time;
mod score_estimates;
mod scores;
mod tally;
mod value;

pub use consistency::consistency;
pub use counts::{CellWeights, Counts, Weight};
pub use estimate::Estimates;
pub use gap::{Gap, GroupValue};
pub use gate::{
    At, FairnessGate, FairnessValidator, Frames, Measured, Rule, SmallGroups, WhenUndefined,
};
pub use group_classes::{Average, ClassCell, ClassCounts, GroupClasses};
pub use group_counts::{GroupCounts, GroupCountsState};
pub use group_errors::{ErrorCounts, ErrorMetric, GroupErrors, GroupErrorsState};
pub use group_rows::GroupRows;
pub use group_scores::{GroupScores, GroupScoresState};
pub use groups::Groups;
pub use measure::{GapKind, Measure, Operation, Question};
pub use metric::{Composite, GroupMetric, Metric, Rate};
pub use metric_frame::{Group, GroupCell, Method, MetricFrame};
pub use over_time::{Change, GapWindow, GapsOverTime, WatchedGaps};
pub use scores::{Bins, Bounded, CalibrationBin, ScoreCounts, ScoreMetric, ScorePoint, abroca};
pub use value::{Undefined, Value};
