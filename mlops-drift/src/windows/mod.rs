//! Windows of rows and of time: any measurement over them, in one scan or on a stream.
//!
//! A [`Windowing`] says which windows there are. [`ByWindow`] makes any
//! [`Analyzer`](mlops_core::Analyzer) one of every window of a source; [`Windows`] takes a stream
//! of batches and gives windows as they close, with a policy for late rows, bounded memory, and
//! bytes to go on from. Both keep a mergeable state for every *pane* and merge windows from panes.
//!
//! [`over_time`] and [`DriftWindows`] do the same with a [`DriftMonitor`](crate::DriftMonitor):
//!
//! ```
//! use mlops_core::arrow::array::{Date32Array, Float64Array};
//! use mlops_core::{MemorySource, batch};
//! use mlops_drift::windows::{Calendar, Windowing, over_time};
//! use mlops_drift::{DriftMonitor, ProfileOptions, ReferenceProfile};
//!
//! // 40 rows a day for 100 days; from the 60th the incomes are others.
//! let income = |i: i32| f64::from(i * 7919 % 1009) + if i / 40 < 60 { 0.0 } else { 400.0 };
//! let rows = batch! {
//!     "income" => Float64Array::from_iter_values((0..4000).map(income)),
//!     "day" => Date32Array::from_iter_values((0..4000).map(|i| 18_262 + i / 40)), // from 2020-01-01
//! }?;
//! let options = ProfileOptions::default().columns(["income"]);
//! let reference = ReferenceProfile::fit(&MemorySource::from(rows.slice(0, 2000)), &options)?;
//! let monitor = DriftMonitor::new(reference);
//! let monthly = Windowing::by_time("day", Calendar::Month)?;
//! let found = over_time(&monitor, &MemorySource::from(rows), &monthly)?;
//! assert_eq!(found.first_failure("income").map(|w| w.window.name.as_str()), Some("2020-03"));
//! # Ok::<(), mlops_core::Error>(())
//! ```

pub(crate) mod by_window;
pub(crate) mod calendar;
pub(crate) mod event_time;
pub(crate) mod over_time;
pub(crate) mod panes;
pub(crate) mod ring;
pub(crate) mod windowing;

pub use by_window::{ByWindow, ByWindowState, WindowStates};
pub use calendar::Calendar;
pub use over_time::{DriftOverTime, DriftWindows, WindowDrift, over_time};
pub use panes::ClosedWindow;
pub use ring::{LateRows, StreamCounts, Windows};
pub use windowing::{Length, Window, Windowing};
