//! Group fairness: every count-based metric from one mergeable count, with honest uncertainty and
//! a gate that fails closed; and attribution of predictions to features.
//!
//! [`GroupCounts`] counts labels and predictions by group in one pass; the [`MetricFrame`] that
//! comes out has every rate, [`gap`] the differences and ratios between groups with simultaneous
//! limits, and a [`FairnessGate`] holds them against bounds. [`attribution`] explains predictions.
//!
//! ```
//! use mlops_core::arrow::array::{Int64Array, StringArray};
//! use mlops_core::{DataSourceExt, MemorySource, Verdict, batch};
//! use mlops_fairness::{FairnessGate, GapKind, GroupCounts, Metric, gap};
//!
//! // Of 1,000 women 40 % are hired, of 1,000 men 60 %.
//! let hired = |i: i64| i64::from(i / 2 % 10 < [4, 6][(i % 2) as usize]);
//! let rows = MemorySource::from(batch! {
//!     "sex" => StringArray::from_iter_values((0..2_000).map(|i| ["F", "M"][(i % 2) as usize])),
//!     "hired" => Int64Array::from_iter_values((0..2_000).map(hired)),
//! }?);
//! let frame = rows.measure(&GroupCounts::new("hired", "1", ["sex"]))?;
//! assert_eq!(frame.overall(Metric::SelectionRate).value, Some(0.5));
//!
//! let parity = gap::demographic_parity_difference(&frame, 0.95)?;
//! assert!((parity.value - 0.2).abs() < 1e-12 && parity.interval.low > 0.1);
//!
//! // A gate passes only if the whole interval lies inside the bound.
//! let gate = FairnessGate::new("parity").rule(GapKind::DemographicParityDifference, "sex", 0.1);
//! assert_eq!(gate.judge(&frame).verdict, Verdict::Fail);
//! # Ok::<(), mlops_core::Error>(())
//! ```

pub mod attribution;
pub mod gap;

mod combinations;
mod gate;
mod group_counts;
mod metric;
mod metric_frame;
mod outcomes;
pub mod report;

pub use gap::Gap;
pub use gate::{FairnessGate, FairnessValidator, GapKind, Rule, SmallGroups};
pub use group_counts::{GroupCounts, GroupCountsState};
pub use metric::{Counts, Metric, Rate};
pub use metric_frame::{Group, MetricFrame};
