//! The seam of tracking.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use mlops_core::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Logged, Point};
use super::experiment::{Experiment, ExperimentChange, NewExperiment};
use super::filter::{Field, Filter, Order, Test};
use super::query::{Page, Query, View};
use super::run::{NewRun, Run, RunChange, RunStatus};

/// Experiments, their runs, and what the runs log.
///
/// # Contract
/// - Every method that changes something is all or nothing, and durable when it returns; any
///   number of threads and processes may call at once.
/// - Times are the caller's. Ids of experiments grow, and none is used again.
/// - An experiment's name is taken as long as it exists, deleted or not.
/// - `log` takes a run that is not deleted, over or not. A parameter keeps its first value: the
///   same again is fine, another is [`Error::Invalid`] and nothing of the batch is kept. A tag
///   takes the new value. A point, a dataset and a model that are there already are kept once, so
///   that a batch may be sent again after a failure. Values are kept to the bit, NaN and ±inf
///   too.
/// - A metric's history is sorted by step, then time, then arrival; the run shows the last.
/// - What is deleted stays until [`collect_garbage`](Self::collect_garbage), is not changed but
///   by restoring it, and is found by [`View::Deleted`]. A deleted experiment hides its runs, and
///   restores them as they were.
/// - `search` is the same on every backend; see [`Filter`] and [`Order`] for what it means. A run
///   that does not change while pages are turned is given once.
/// - A thing that is not there is [`Error::NotFound`]; a request that breaks a rule or a
///   [limit](super::limits) is [`Error::Invalid`] and changes nothing.
///
/// [`conformance::tracker`](super::conformance::tracker) tests it.
pub trait Tracker: Debug + Send + Sync {
    /// Makes an experiment.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is taken.
    fn create_experiment(&self, new: NewExperiment, at: Timestamp) -> Result<Experiment>;

    /// The experiment of this id, deleted or not.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn experiment(&self, id: u64) -> Result<Experiment>;

    /// The experiment of this name, deleted or not.
    ///
    /// # Errors
    /// Those of the backend.
    fn find_experiment(&self, name: &str) -> Result<Option<Experiment>>;

    /// The experiments in view, by id.
    ///
    /// # Errors
    /// Those of the backend.
    fn experiments(&self, view: View) -> Result<Vec<Experiment>>;

    /// Changes the name or tags.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is taken or the experiment deleted.
    fn change_experiment(&self, id: u64, change: ExperimentChange) -> Result<Experiment>;

    /// Deletes an experiment, and its runs with it. One that is deleted already stays so.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn delete_experiment(&self, id: u64, at: Timestamp) -> Result<()>;

    /// Takes the deletion back.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn restore_experiment(&self, id: u64) -> Result<()>;

    /// Makes a run that starts at this time, with all that its batch holds.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the experiment or the parent is not there;
    /// [`Error::Invalid`] where one of them is deleted, or the id is taken.
    fn create_run(&self, new: NewRun, at: Timestamp) -> Result<Run>;

    /// The run of this id, deleted or not.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn run(&self, id: &str) -> Result<Run>;

    /// Changes the name, the status, or takes tags away.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the run is deleted.
    fn change_run(&self, id: &str, change: RunChange, at: Timestamp) -> Result<Run>;

    /// Adds all of this to a run.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a parameter has another value, or the run is deleted.
    fn log(&self, run: &str, batch: &Batch) -> Result<Logged>;

    /// Every point of a metric, sorted by step, time, arrival; none where there is no such metric.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such run.
    fn metric_history(&self, run: &str, key: &str) -> Result<Vec<Point>>;

    /// The runs that a query asks for.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an experiment that is not there; [`Error::Invalid`] for a limit
    /// or a token that can't be.
    fn search(&self, query: &Query) -> Result<Page<Run>>;

    /// Deletes a run. One that is deleted already stays so.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn delete_run(&self, id: &str, at: Timestamp) -> Result<()>;

    /// Takes the deletion back.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn restore_run(&self, id: &str) -> Result<()>;

    /// Forgets for good what was deleted before this time: runs, and experiments with all their
    /// runs.
    ///
    /// # Errors
    /// Those of the backend.
    fn collect_garbage(&self, deleted_before: Timestamp) -> Result<Collected>;
}

/// What [`Tracker::collect_garbage`] forgot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Collected {
    /// Experiments.
    pub experiments: u64,
    /// Runs, those of the experiments among them.
    pub runs: u64,
}

impl std::fmt::Display for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} experiments and {} runs forgotten", self.experiments, self.runs)
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Tracker + ?Sized> Tracker for $pointer {
            fn create_experiment(&self, new: NewExperiment, at: Timestamp) -> Result<Experiment> {
                (**self).create_experiment(new, at)
            }
            fn experiment(&self, id: u64) -> Result<Experiment> {
                (**self).experiment(id)
            }
            fn find_experiment(&self, name: &str) -> Result<Option<Experiment>> {
                (**self).find_experiment(name)
            }
            fn experiments(&self, view: View) -> Result<Vec<Experiment>> {
                (**self).experiments(view)
            }
            fn change_experiment(&self, id: u64, change: ExperimentChange) -> Result<Experiment> {
                (**self).change_experiment(id, change)
            }
            fn delete_experiment(&self, id: u64, at: Timestamp) -> Result<()> {
                (**self).delete_experiment(id, at)
            }
            fn restore_experiment(&self, id: u64) -> Result<()> {
                (**self).restore_experiment(id)
            }
            fn create_run(&self, new: NewRun, at: Timestamp) -> Result<Run> {
                (**self).create_run(new, at)
            }
            fn run(&self, id: &str) -> Result<Run> {
                (**self).run(id)
            }
            fn change_run(&self, id: &str, change: RunChange, at: Timestamp) -> Result<Run> {
                (**self).change_run(id, change, at)
            }
            fn log(&self, run: &str, batch: &Batch) -> Result<Logged> {
                (**self).log(run, batch)
            }
            fn metric_history(&self, run: &str, key: &str) -> Result<Vec<Point>> {
                (**self).metric_history(run, key)
            }
            fn search(&self, query: &Query) -> Result<Page<Run>> {
                (**self).search(query)
            }
            fn delete_run(&self, id: &str, at: Timestamp) -> Result<()> {
                (**self).delete_run(id, at)
            }
            fn restore_run(&self, id: &str) -> Result<()> {
                (**self).restore_run(id)
            }
            fn collect_garbage(&self, deleted_before: Timestamp) -> Result<Collected> {
                (**self).collect_garbage(deleted_before)
            }
        }
    )*};
}

forward!(&T, Arc<T>, Box<T>);

/// What follows from the methods of every [`Tracker`].
pub trait TrackerExt: Tracker {
    /// The experiment of this name, made if need be; of many that ask at once, one makes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is deleted, or the name can't be one.
    fn open_experiment(&self, name: &str, at: Timestamp) -> Result<Experiment> {
        let found = match self.find_experiment(name)? {
            Some(found) => found,
            None => match self.create_experiment(NewExperiment::new(name), at) {
                Ok(made) => return Ok(made),
                // Somebody else may have been first.
                Err(error) => self.find_experiment(name)?.ok_or(error)?,
            },
        };
        match found.deleted_at {
            None => Ok(found),
            Some(_) => Err(deleted(&format!("experiment `{name:.60}`"))),
        }
    }

    /// A run ends, well or not.
    ///
    /// # Errors
    /// As [`Tracker::change_run`]; [`Error::Invalid`] for a status that is not an end, and a time
    /// before the run started.
    fn finish_run(&self, id: &str, status: RunStatus, at: Timestamp) -> Result<Run> {
        if !status.is_over() {
            return Err(Error::invalid("end of a run", "FINISHED, FAILED, KILLED", status));
        }
        let started = self.run(id)?.started_at;
        if at < started {
            return Err(Error::invalid("end of a run", format!("{started} or later"), at));
        }
        self.change_run(id, RunChange::status(status), at)
    }

    /// Goes on with a run whose process died, or that was over: it is `RUNNING` again. The run
    /// shows the last step of each of its metrics.
    ///
    /// # Errors
    /// As [`Tracker::change_run`].
    fn resume_run(&self, id: &str, at: Timestamp) -> Result<Run> {
        let run = self.run(id)?;
        if run.status == RunStatus::Running && run.deleted_at.is_none() {
            return Ok(run);
        }
        self.change_run(id, RunChange::status(RunStatus::Running), at)
    }

    /// Every run that a query asks for, all pages of it.
    ///
    /// # Errors
    /// As [`Tracker::search`].
    fn search_all(&self, query: &Query) -> Result<Vec<Run>> {
        let mut query = query.clone();
        let mut runs = Vec::new();
        loop {
            let page = self.search(&query)?;
            runs.extend(page.items);
            match page.next {
                Some(next) => query.page = Some(next),
                None => return Ok(runs),
            }
        }
    }

    /// The run with the best last value of a metric among those that a query asks for; its order
    /// and page do not matter. NaN is never the best; `None` where there is nothing else, or no run
    /// at all.
    ///
    /// # Errors
    /// As [`Tracker::search`]; [`Error::NotFound`] where there are runs and none has the metric.
    fn best_run(&self, query: &Query, metric: &str, best: Best) -> Result<Option<Run>> {
        let field = Field::Metric(metric.to_owned());
        let has_one = Filter::Is(field.clone(), Test::Null { negated: true });
        let those = Query {
            filter: query.filter.clone().and(has_one),
            order: vec![Order { field, descending: best == Best::Highest }],
            limit: 1,
            page: None,
            ..query.clone()
        };
        let first = self.search(&those)?.items.pop();
        if first.is_none() {
            // A slip in the name would look like an empty experiment.
            let any = Query { limit: 20, page: None, ..query.clone() };
            let runs = self.search(&any)?.items;
            if !runs.is_empty() {
                let keys: BTreeSet<_> = runs.iter().flat_map(|run| run.metrics.keys()).collect();
                return Err(Error::not_found("metric", metric, keys));
            }
        }
        Ok(first.filter(|run| run.metric(metric).is_some_and(|v| !v.is_nan())))
    }

    /// The runs that are part of this one, the first made first.
    ///
    /// # Errors
    /// As [`Tracker::search`]; [`Error::NotFound`] for a run that is not there.
    fn children(&self, id: &str) -> Result<Vec<Run>> {
        self.run(id)?;
        let parent = Field::Attribute(super::filter::Attribute::Parent);
        let test = Test::Text(super::filter::Operator::Equal, id.to_owned());
        let query = Query { filter: Filter::Is(parent, test), ..Query::default() };
        let mut runs = self.search_all(&query)?;
        runs.reverse();
        Ok(runs)
    }

    /// Every metric's history.
    ///
    /// # Errors
    /// As [`Tracker::metric_history`].
    fn histories(&self, id: &str) -> Result<BTreeMap<String, Vec<Point>>> {
        let keys = self.run(id)?.metrics.into_keys();
        keys.map(|key| {
            let history = self.metric_history(id, &key)?;
            Ok((key, history))
        })
        .collect()
    }
}

impl<T: Tracker + ?Sized> TrackerExt for T {}

/// Which value of a metric is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Best {
    /// The highest: an accuracy.
    Highest,
    /// The lowest: a loss.
    Lowest,
}

/// The error of a change to what is deleted.
pub(super) fn deleted(what: &str) -> Error {
    Error::invalid(what, "one that is not deleted", "a deleted one")
}

pub(super) fn no_experiment(id: u64) -> Error {
    Error::NotFound { existing: Vec::new(), what: "experiment".into(), name: id.to_string() }
}

pub(super) fn no_run(id: &str) -> Error {
    Error::NotFound {
        existing: Vec::new(),
        what: "run".into(),
        name: id.chars().take(60).collect(),
    }
}

/// The error of a name that another experiment has.
pub(super) fn name_taken(name: &str, by: &Experiment) -> Error {
    let deleted = if by.deleted_at.is_some() { ", which is deleted" } else { "" };
    Error::invalid(
        "name of the experiment",
        "one that no other has",
        format!("{}, that of experiment {}{deleted}", super::limits::shown(name), by.id),
    )
}

/// The error of an id that another run has.
pub(super) fn id_taken(id: &str) -> Error {
    Error::invalid("id of the run", "one that no other has", super::limits::shown(id))
}
