//! Reading what MLflow has into a store.

use std::collections::HashMap;
use std::fmt;

use mlops_core::{Cancel, Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::client::MlflowClient;
use super::import::Mlruns;
use super::json::{KeyValue, all_pages};
use super::runs::{Experiment, Metric, Run, Search};
use super::sync::{MODEL, ORIGIN, PARENT, cut_digest, read_model};
use crate::tracking::{
    Batch, Dataset, ExperimentChange, NewRun, RunChange, Tracker, TrackerExt, View,
};

/// How many points go to the store at once.
const POINTS: usize = 100_000;

/// What has MLflow's experiments and runs: a server ([`MlflowClient`]), the SQLite file of one
/// (`MlflowDatabase`, with the feature `sqlite`), a directory `mlruns/` ([`Mlruns`]).
pub trait MlflowSource: fmt::Debug {
    /// The experiments that are not deleted.
    ///
    /// # Errors
    /// A source that can't be read.
    fn active_experiments(&self) -> Result<Vec<Experiment>>;

    /// The runs of an experiment, deleted ones, too, each with the last point of every metric.
    ///
    /// # Errors
    /// A source that can't be read.
    fn runs_of(&self, experiment: &str) -> Result<Vec<Run>>;

    /// Every point of a metric of a run, in any order.
    ///
    /// # Errors
    /// A source that can't be read.
    fn history_of(&self, experiment: &str, run: &str, key: &str) -> Result<Vec<Metric>>;
}

impl MlflowSource for MlflowClient {
    fn active_experiments(&self) -> Result<Vec<Experiment>> {
        let found = all_pages("POST /api/2.0/mlflow/experiments/search", |page| {
            self.search_experiments(&Search { page, ..Search::default() })
        });
        Ok(found?)
    }

    fn runs_of(&self, experiment: &str) -> Result<Vec<Run>> {
        Ok(self.all_runs(experiment, "", View::All)?)
    }

    fn history_of(&self, _: &str, run: &str, key: &str) -> Result<Vec<Metric>> {
        Ok(self.metric_history(run, key)?)
    }
}

impl MlflowSource for Mlruns {
    fn active_experiments(&self) -> Result<Vec<Experiment>> {
        let mut found = self.experiments()?;
        found.retain(|experiment| experiment.lifecycle_stage != "deleted");
        Ok(found)
    }

    fn runs_of(&self, experiment: &str) -> Result<Vec<Run>> {
        let read =
            |id: String| self.run(experiment, &id).map_err(|e| e.within(format!("run {id}")));
        self.run_ids(experiment)?.into_iter().map(read).collect()
    }

    fn history_of(&self, experiment: &str, run: &str, key: &str) -> Result<Vec<Metric>> {
        self.metric_history(experiment, run, key)
    }
}

/// What [`import_runs`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Imported {
    /// Experiments.
    pub experiments: u64,
    /// Runs, those that were there already among them.
    pub runs: u64,
    /// Points of metrics that were not there before.
    pub points: u64,
    /// Runs that this store had sent there ([`sync_runs`](super::sync_runs)), and that were passed
    /// by.
    pub own: u64,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} experiments, {} runs, {} new points",
            self.experiments, self.runs, self.points
        )?;
        if self.own > 0 { write!(f, "; {} runs were sent from here", self.own) } else { Ok(()) }
    }
}

/// Reads the experiments and runs that MLflow has into a store; MLflow's side is only read.
///
/// Runs keep their ids, their parents and their state, and every point of every metric is kept as
/// it is there (a database has made ±[`f64::MAX`] of an infinity already). Experiments are found by
/// name. It may be stopped at any instant and called again: what is there already is kept once.
/// Runs that this store sent there itself are passed by. Artifacts stay where they are; so do
/// registered models, whose versions have neither digests nor approvals there.
///
/// ```no_run
/// use mlops_core::Cancel;
/// use mlops_registry::MemoryRegistry;
/// use mlops_registry::mlflow::{MlflowClient, MlflowOptions, Mlruns, import_runs};
///
/// let (store, cancel) = (MemoryRegistry::new(), Cancel::new());
/// let client = MlflowClient::new(MlflowOptions::new("http://localhost:5000")?);
/// println!("{}", import_runs(&client, &store, &cancel)?);
/// println!("{}", import_runs(&Mlruns::open("mlruns")?, &store, &cancel)?);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// Those of the source and the store, as of a value that is longer than its
/// [limits](crate::tracking::limits); [`Error::Cancelled`].
pub fn import_runs(
    source: &dyn MlflowSource,
    tracker: &dyn Tracker,
    cancel: &Cancel,
) -> Result<Imported> {
    let mut done = Imported::default();
    for experiment in source.active_experiments()? {
        cancel.check()?;
        let context = format!("experiment {:.100}", experiment.name.escape_debug());
        let from = experiment.experiment_id.clone();
        let to = open_experiment(tracker, experiment).map_err(|e| e.within(&*context))?;
        let mut deleted = Vec::new();
        for run in parents_first(source.runs_of(&from)?) {
            cancel.check()?;
            let id = run.info.run_id.clone();
            if sent_from_here(tracker, &run)? {
                done.own += 1;
                continue;
            }
            let (gone, ended) = (run.info.lifecycle_stage == "deleted", run.info.end_time);
            done.points += import_run(source, tracker, &from, &run, to)
                .map_err(|e| e.within(format!("run {:.100}", id.escape_debug())))?;
            done.runs += 1;
            if gone {
                deleted.push((id, Timestamp::from_millis(ended.unwrap_or(0))));
            }
        }
        // Last, because a run can't be a part of one that is deleted.
        for (id, at) in deleted {
            tracker.delete_run(&id, at)?;
        }
        done.experiments += 1;
    }
    Ok(done)
}

fn open_experiment(tracker: &dyn Tracker, experiment: Experiment) -> Result<u64> {
    let created = Timestamp::from_millis(experiment.creation_time.unwrap_or(0));
    let made = tracker.open_experiment(&experiment.name, created)?;
    let tags: std::collections::BTreeMap<_, _> =
        experiment.tags.into_iter().map(|t| (t.key, Some(t.value))).collect();
    if tags.iter().any(|(key, value)| made.tags.get(key) != value.as_ref()) {
        tracker.change_experiment(made.id, ExperimentChange { tags, ..Default::default() })?;
    }
    Ok(made.id)
}

/// Whether a run is one of this store's that was sent there.
fn sent_from_here(tracker: &dyn Tracker, run: &Run) -> Result<bool> {
    match run.tag(ORIGIN).filter(|origin| *origin != run.info.run_id).map(|o| tracker.run(o)) {
        None | Some(Err(Error::NotFound { .. })) => Ok(false),
        Some(found) => found.map(|_| true),
    }
}

/// The same runs, each after the run that it is a part of; of runs that are parts of each other,
/// in some order.
fn parents_first(runs: Vec<Run>) -> Vec<Run> {
    let places: HashMap<&str, usize> =
        runs.iter().enumerate().map(|(i, run)| (run.info.run_id.as_str(), i)).collect();
    let parents: Vec<Option<usize>> =
        runs.iter().map(|run| places.get(run.tag(PARENT)?).copied()).collect();
    let mut runs: Vec<Option<Run>> = runs.into_iter().map(Some).collect();
    let mut seen = vec![false; runs.len()];
    let mut order = Vec::with_capacity(runs.len());
    for start in 0..runs.len() {
        let mut way = Vec::new();
        let mut at = Some(start);
        while let Some(i) = at.filter(|i| !std::mem::replace(&mut seen[*i], true)) {
            way.push(i);
            at = parents[i];
        }
        order.extend(way.into_iter().rev().filter_map(|i| runs[i].take()));
    }
    order
}

/// Brings a run over; how many of its points were new.
fn import_run(
    source: &dyn MlflowSource,
    tracker: &dyn Tracker,
    from: &str,
    run: &Run,
    experiment: u64,
) -> Result<u64> {
    let id = run.info.run_id.as_str();
    let started = Timestamp::from_millis(run.info.start_time.unwrap_or(0));
    let there = match tracker.run(id) {
        Ok(there) => there,
        Err(Error::NotFound { .. }) => {
            let mut new = NewRun::new(experiment).with_id(id);
            let text = |text: &str| Some(text.to_owned()).filter(|t| !t.trim().is_empty());
            new.name = text(&run.info.run_name);
            new.user = text(&run.info.user_id);
            new.source = run.tag("mlflow.source.name").map(str::to_owned);
            new.commit = run.tag("mlflow.source.git.commit").map(str::to_owned);
            new.parent = live_parent(tracker, run)?;
            tracker.create_run(new, started)?
        }
        Err(e) => return Err(e),
    };
    if there.deleted_at.is_some() {
        return Ok(0);
    }
    let mut batch = Batch::new();
    batch
        .params
        .extend(run.data.params.iter().map(|KeyValue { key, value }| (key.clone(), value.clone())));
    batch
        .tags
        .extend(run.data.tags.iter().map(|KeyValue { key, value }| (key.clone(), value.clone())));
    for input in &run.inputs.dataset_inputs {
        let context = input.tags.iter().find(|t| t.key == "mlflow.data.context");
        let (digest, source) = whole_digest(&input.dataset)
            .unwrap_or_else(|| (input.dataset.digest.clone(), input.dataset.source.clone()));
        let dataset = Dataset::new(&*input.dataset.name, digest)
            .with_source(source)
            .with_context(context.map_or("", |t| t.value.as_str()));
        batch.datasets.push(dataset);
    }
    if batch.tags.get(ORIGIN).is_some_and(|origin| origin == id) {
        // It comes back to what it was when a store of ours wrote it.
        batch.tags.remove(ORIGIN);
        let models = batch.tags.iter().filter(|(key, _)| key.starts_with(MODEL));
        let models = models.filter_map(|(key, text)| Some((key.clone(), read_model(text)?)));
        for (key, model) in models.collect::<Vec<_>>() {
            batch.tags.remove(&key);
            batch.models.push(model);
        }
    }
    let mut points = tracker.log(id, &batch)?.points;
    for Metric { key, .. } in &run.data.metrics {
        let history = source.history_of(from, id, key)?;
        for some in history.chunks(POINTS) {
            let mut batch = Batch::new();
            batch.metrics.extend(some.iter().map(|m| {
                let at = Timestamp::from_millis(m.timestamp);
                crate::tracking::Metric::new(key, m.value, m.step, at)
            }));
            points += tracker.log(id, &batch)?.points;
        }
    }
    let ended = run.info.end_time.map_or(started, Timestamp::from_millis);
    if there.status != run.info.status || there.ended_at != run.info.end_time.map(|_| ended) {
        tracker.change_run(id, RunChange::status(run.info.status), ended)?;
    }
    Ok(points)
}

/// The digest and the source of a dataset that a store of ours sent: MLflow's digest is only the
/// beginning, and its source has both.
fn whole_digest(dataset: &super::runs::Dataset) -> Option<(String, String)> {
    let source: serde_json::Value = serde_json::from_str(&dataset.source).ok()?;
    let source = source.as_object().filter(|source| source.len() == 2)?;
    let (digest, uri) = (source.get("digest")?.as_str()?, source.get("uri")?.as_str()?);
    (cut_digest(digest) == dataset.digest).then(|| (digest.to_owned(), uri.to_owned()))
}

/// The run that this one is a part of, if the store has it and it is not deleted. The tag stays
/// in any case.
fn live_parent(tracker: &dyn Tracker, run: &Run) -> Result<Option<String>> {
    let Some(parent) = run.tag(PARENT).filter(|parent| *parent != run.info.run_id) else {
        return Ok(None);
    };
    match tracker.run(parent) {
        Ok(found) if found.deleted_at.is_none() => Ok(Some(found.id)),
        Ok(_) | Err(Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::{RunData, RunInfo};
    use super::*;

    #[test]
    fn parents_come_first_and_circles_end() {
        let run = |id: &str, parent: &str| Run {
            info: RunInfo { run_id: id.into(), ..RunInfo::default() },
            data: RunData { tags: vec![(PARENT, parent).into()], ..RunData::default() },
            ..Run::default()
        };
        let ids = |runs: Vec<Run>| -> Vec<String> {
            parents_first(runs).into_iter().map(|run| run.info.run_id).collect()
        };
        let nested = vec![run("c", "b"), run("d", "b"), run("b", "a"), run("a", "gone")];
        assert_eq!(ids(nested), ["a", "b", "c", "d"]);
        assert_eq!(ids(vec![run("a", "b"), run("b", "a"), run("x", "x")]), ["b", "a", "x"]);
    }
}
