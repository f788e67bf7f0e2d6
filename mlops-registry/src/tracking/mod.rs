//! Tracking: experiments, their runs, and what the runs were given, measured and made.
//!
//! A [`Tracker`] keeps experiments and runs; a run logs points of metrics, parameters, tags,
//! datasets and models in a [`Batch`], all of it or nothing. Every registry of this crate is a
//! tracker, too, in the same file or database, so that a version of a model and the run that made
//! it stand in one place.
//!
//! ```
//! use mlops_core::Timestamp;
//! use mlops_registry::MemoryRegistry;
//! use mlops_registry::tracking::{Batch, Best, NewRun, Query, RunStatus, Tracker, TrackerExt};
//!
//! let tracker = MemoryRegistry::new();
//! let mut now: Timestamp = "2026-01-31T12:00:00Z".parse()?;
//! let experiment = tracker.open_experiment("loans", now)?;
//! for depth in [2, 3] {
//!     let new = NewRun::new(experiment.id).with_user("ana").with_param("depth", depth);
//!     let run = tracker.create_run(new, now)?;
//!     for step in 1..=20 {
//!         now = Timestamp::from_millis(now.millis() + 1000);
//!         let loss = f64::from(depth).recip() + f64::from(step).recip();
//!         tracker.log(&run.id, &Batch::new().metric("loss", loss, step.into(), now))?;
//!     }
//!     tracker.finish_run(&run.id, RunStatus::Finished, now)?;
//! }
//!
//! let query = Query::new()
//!     .experiment(experiment.id)
//!     .filter("metrics.loss < 0.5 and status = 'FINISHED'")?
//!     .order_by("metrics.loss")?;
//! let found = tracker.search(&query)?.items;
//! assert_eq!(found.len(), 1);
//! assert_eq!(found[0].params["depth"], "3");
//! assert_eq!(tracker.metric_history(&found[0].id, "loss")?.len(), 20);
//! assert_eq!(tracker.best_run(&query, "loss", Best::Lowest)?.as_ref(), found.first());
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! Names and values have [MLflow's limits](limits), so that whatever is kept here can be sent to
//! a server of MLflow. Times are the caller's; ids of runs are 128 random bits unless the caller
//! has one.

pub mod conformance;
pub mod limits;

mod batch;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod chunk;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod columns;
mod compare;
mod experiment;
mod filter;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod group;
mod logger;
mod memory;
mod parse;
mod query;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod rows;
mod run;
mod search;
mod sort;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod sql;
mod system;
mod tracker;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod verify;

pub use batch::{Batch, Logged, Metric, Point};
pub use compare::Comparison;
pub use experiment::{Experiment, ExperimentChange, NewExperiment};
pub use filter::{Attribute, DatasetPart, Field, Filter, Operator, Order, Test};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use group::Group;
pub use logger::{Logger, LoggerOptions, WhenFull};
pub(crate) use memory::Tracked;
pub use query::{PAGE_RUNS, Page, Query, View};
pub(crate) use run::random_id;
pub use run::{Dataset, LoggedModel, NewRun, Run, RunChange, RunStatus};
pub use system::SystemMetrics;
pub use tracker::{Best, Collected, Tracker, TrackerExt};

#[cfg(test)]
mod tests {
    use crate::MemoryRegistry;

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_file_keeps_the_contract() {
        use super::{NewExperiment, NewRun, Point, Tracker};

        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("registry.db");
        let registry = crate::SqliteRegistry::open(&path).expect("open");
        super::conformance::tracker(&registry);
        let at = mlops_core::Timestamp::from_millis(0);
        let experiment = registry.create_experiment(NewExperiment::new("e"), at).expect("e").id;
        let mut new = NewRun::new(experiment).with_param("long", "x".repeat(3000));
        new.batch = new.batch.metric("m", 1.5, 3, at);
        let made = registry.create_run(new, at).expect("create_run");
        drop(registry);

        // Another process, later.
        let registry = crate::SqliteRegistry::open(&path).expect("open");
        assert_eq!(registry.run(&made.id).expect("run"), made);
        let point = Point { step: 3, at, value: 1.5 };
        assert_eq!(registry.metric_history(&made.id, "m").expect("history"), [point]);
        let verification = registry.verify().expect("verify");
        assert!(verification.is_whole(), "{verification}");
    }

    #[test]
    fn memory_keeps_the_contract() {
        super::conformance::tracker(&MemoryRegistry::new());
    }
}
