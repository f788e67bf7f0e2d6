//! What earlier runs found: their numbers, and the states of files that did not change.
//!
//! A [`MetricHistory`] keeps the numbers of each run: a [`MetricRecord`] takes them from what any
//! suite, monitor or gate found. A [`HistoryGate`] holds those of a new run to the earlier ones
//! ([`AnomalyCheck`]), and answers like any other gate. The bands of [`normal_prediction`],
//! [`robust_prediction`] and [`HoltWinters`] account for how long the history is, so that they
//! raise as many false alarms as they say; no run is held to a band that it helped to make.
//!
//! A [`StateStore`] keeps what was measured of each file: validating a table of 10,000 files
//! after one new file reads that file, and gives the same bits as reading all.
//!
//! ```
//! use mlops_core::arrow::array::Int32Array;
//! use mlops_core::{MemorySource, Timestamp, ValidatorExt, batch};
//! use mlops_validate::history::{AnomalyCheck, HistoryCheck, HistoryGate, MetricHistory, MetricRecord};
//! use mlops_validate::{Suite, not_null};
//!
//! let suite = Suite::new("applications").expect(not_null("age").mostly(0.5));
//! let gate = HistoryGate::new("applications over time")
//!     .check(HistoryCheck::new("not_null", AnomalyCheck::RobustZ).subject("age"));
//! let history = MetricHistory::in_memory();
//! let mut verdicts = Vec::new();
//! for day in 0..12 {
//!     // Of 100 ages 3 to 5 are missing, and 30 on the last day: as much as the suite still takes.
//!     let missing = if day == 11 { 30 } else { 3 + day % 3 };
//!     let ages = (0..100).map(|i| (i >= missing).then_some(40));
//!     let batch = MemorySource::from(batch! { "age" => ages.collect::<Int32Array>() }?);
//!     let found = suite.validate(&batch)?;
//!     let run = MetricRecord::of(&found, Timestamp::from_millis(i64::from(day) * 86_400_000));
//!     verdicts.push((found.verdict, gate.judge(&history, &run)?.verdict));
//!     history.append(&run)?;
//! }
//! use mlops_core::Verdict::{Fail, Inconclusive, Pass};
//! assert_eq!(verdicts[7], (Pass, Inconclusive)); // too little history as yet
//! assert_eq!(verdicts[10], (Pass, Pass));
//! assert_eq!(verdicts[11], (Pass, Fail));
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod anomaly;
mod gate;
mod holt_winters;
mod metric_history;
mod prediction;
mod record;
mod state_store;

pub use anomaly::{Anomaly, AnomalyCheck};
pub use gate::{HistoryCheck, HistoryGate};
pub use holt_winters::HoltWinters;
pub use metric_history::{HistoryQuery, MetricHistory, Series, TornLine};
pub use prediction::{
    Band, Prediction, Side, normal_prediction, online_normal_prediction, robust_prediction,
};
pub use record::{MetricRecord, MetricValue};
pub use state_store::{Reuse, StateStore, StoredState};
