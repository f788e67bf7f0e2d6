//! Drift tests for monitors that look at every batch, valid over all looks together.
//!
//! A test of 5 % that is repeated every day for a year rejects undrifted data almost surely, and
//! one that takes the reference for the truth does so even where it is made for repeated looks:
//! the reference's own sampling error looks like drift once enough rows have come. An
//! [`EProcess`] is a bet against "the rows go on as the reference did" that on average wins
//! nothing if that is so, the reference's sampling error included. Its value, the *e-value*, is
//! evidence: it reaches 20 with probability at most 1 in 20, however many looks there are and
//! whenever one stops ([Ville's inequality](https://en.wikipedia.org/wiki/Ville%27s_inequality)).
//!
//! A [`SequentialMonitor`] runs one for every column of a profile and is fed batch by batch:
//!
//! ```
//! use mlops_core::arrow::array::Float64Array;
//! use mlops_core::{MemorySource, batch};
//! use mlops_drift::sequential::{SequentialMonitor, SequentialRule};
//! use mlops_drift::{ProfileOptions, ReferenceProfile};
//!
//! let rows = |n: i32, raise: f64| -> mlops_core::Result<MemorySource> {
//!     let income = (0..n).map(|i| f64::from(i * 7919 % 1009) + raise);
//!     Ok(MemorySource::from(batch! { "income" => Float64Array::from_iter_values(income) }?))
//! };
//! let profile = ReferenceProfile::fit(&rows(2_000, 0.0)?, &ProfileOptions::default())?;
//! let mut monitor = SequentialMonitor::new(profile, SequentialRule::default())?;
//! for _ in 0..100 {
//!     assert_eq!(monitor.look(&rows(200, 0.0)?)?.alarms().count(), 0);
//! }
//! let mut day = 1;
//! while monitor.look(&rows(200, 100.0)?)?.alarms().count() == 0 {
//!     day += 1;
//! }
//! assert!(day < 10, "{day}");
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod e_process;
mod look;
mod sequential_monitor;

pub use e_process::EProcess;
pub use look::{SequentialColumn, SequentialReport};
pub use sequential_monitor::{SequentialMonitor, SequentialRule};
