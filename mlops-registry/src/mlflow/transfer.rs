//! An embedded store as `mlruns/`, and back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mlops_core::{Digest, Error, Registry, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::export::{MlrunsWriter, check_key};
use super::import::Mlruns;
use super::json::KeyValue;
use super::runs::{Metric, Run, RunData, RunInfo, RunInputs};
use super::sync::{inputs, metric, tags};
use crate::tracking::{
    Batch, Dataset, NewRun, Query, RunChange, RunStatus, Tracker, TrackerExt, View,
};

/// The experiment that an export keeps the files of versions in.
const VERSIONS: &str = "mlops-registry";

/// Writes the experiments and runs of a store that are not deleted, and the versions and aliases
/// of a registry where one is given, as an `mlruns/` directory; its path, absolute.
///
/// `mlflow migrate-filestore` imports it ([`MlrunsWriter`]). Every version has a run of its own, in
/// the experiment `mlops-registry`, that holds its files, and the metrics and parameters whose
/// names MLflow takes; gates, approvals and history are not MLflow's and stay behind. Models that
/// a run made are tags, as in [`sync_runs`](super::sync_runs).
///
/// # Errors
/// [`Error::Io`], as of a path that is taken; those of the store and the registry.
pub fn export_mlruns(
    tracker: &dyn Tracker,
    registry: Option<&dyn Registry>,
    path: impl AsRef<Path>,
) -> Result<PathBuf> {
    let mut writer = MlrunsWriter::create(path)?;
    let mut names = BTreeSet::new();
    let mut last = 0;
    for experiment in tracker.experiments(View::Active)? {
        let pairs: Vec<_> = experiment.tags.iter().map(KeyValue::from).collect();
        let created = experiment.created_at.millis();
        writer.experiment(experiment.id, &experiment.name, created, &pairs)?;
        last = last.max(experiment.id);
        names.insert(experiment.name);
        let mut query = Query::new().experiment(experiment.id);
        loop {
            let page = tracker.search(&query)?;
            for run in &page.items {
                export_run(tracker, run, &mut writer)
                    .map_err(|e| e.within(format!("run {}", run.id)))?;
            }
            match page.next {
                Some(next) => query.page = Some(next),
                None => break,
            }
        }
    }
    if let Some(registry) = registry {
        let mut name = VERSIONS.to_owned();
        while names.contains(&name) {
            name.push('_');
        }
        export_versions(registry, last + 1, &name, &mut writer)?;
    }
    writer.finish()
}

fn export_run(
    tracker: &dyn Tracker,
    run: &crate::tracking::Run,
    writer: &mut MlrunsWriter,
) -> Result<()> {
    let described = Run {
        info: RunInfo {
            run_id: run.id.clone(),
            experiment_id: run.experiment.to_string(),
            run_name: run.name.clone(),
            user_id: run.user.clone().unwrap_or_default(),
            status: run.status,
            start_time: Some(run.started_at.millis()),
            end_time: run.ended_at.map(Timestamp::millis),
            ..RunInfo::default()
        },
        data: RunData {
            params: run.params.iter().map(KeyValue::from).collect(),
            // Ids stay as they are, so that the parent's is its own.
            tags: tags(run, run.parent.as_deref()),
            ..RunData::default()
        },
        inputs: RunInputs { dataset_inputs: inputs(run) },
    };
    let mut histories = Vec::new();
    for key in run.metrics.keys() {
        histories.extend(tracker.metric_history(&run.id, key)?.into_iter().map(|p| metric(key, p)));
    }
    writer.run(run.experiment, &described, histories)
}

fn export_versions(
    registry: &dyn Registry,
    experiment: u64,
    name: &str,
    writer: &mut MlrunsWriter,
) -> Result<()> {
    let mut made = false;
    for model in registry.models()? {
        let mut first = true;
        for number in registry.versions(&model)? {
            let version = registry.version(&model, number)?;
            let at = version.created_at.millis();
            if !made {
                writer.experiment(experiment, name, at, &[])?;
                made = true;
            }
            if first {
                writer.model(&model, at, &[])?;
                first = false;
            }
            let run = Digest::of(format!("{model}\0{number}")).hex()[..32].to_owned();
            let pairs = [
                ("mlops.author", version.author.clone()).into(),
                ("mlops.digest", version.digest.to_string()).into(),
            ];
            let params = version.params.iter().filter(|(key, _)| check_key(key).is_ok());
            let metrics = version.metrics.iter().filter(|(key, _)| check_key(key).is_ok());
            let described = Run {
                info: RunInfo {
                    run_id: run.clone(),
                    experiment_id: experiment.to_string(),
                    run_name: format!("{model} v{number}"),
                    user_id: version.author.clone(),
                    status: RunStatus::Finished,
                    start_time: Some(at),
                    end_time: Some(at),
                    ..RunInfo::default()
                },
                data: RunData {
                    params: params.map(KeyValue::from).collect(),
                    tags: pairs.to_vec(),
                    ..RunData::default()
                },
                ..Run::default()
            };
            let points = metrics.map(|(key, value)| Metric::new(key, *value, 0, at));
            writer.run(experiment, &described, points)?;
            for artifact in &version.artifacts {
                let bytes = registry.artifact(&model, number, &artifact.name)?;
                let path = format!("model/{}", artifact.name);
                writer.artifact(experiment, &run, &path, bytes.as_slice())?;
            }
            writer.version(&model, number, at, (experiment, &run, "model"), &pairs)?;
        }
        for alias in registry.aliases(&model)? {
            writer.alias(&model, &alias.alias, alias.version)?;
        }
    }
    Ok(())
}

/// What [`import_mlruns`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Imported {
    /// Experiments.
    pub experiments: u64,
    /// Runs, those that were there already among them.
    pub runs: u64,
    /// Points of metrics that were not there before.
    pub points: u64,
}

impl std::fmt::Display for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} experiments, {} runs, {} new points",
            self.experiments, self.runs, self.points
        )
    }
}

/// Reads the experiments and runs of an `mlruns/` directory into a store: runs keep their ids, and
/// every point of every metric is kept to the bit. Experiments are found by name. It may be called
/// again: what is there already is kept once. Artifacts stay where they are.
///
/// # Errors
/// Those of the directory and the store, as of a value that is longer than its
/// [limits](crate::tracking::limits).
pub fn import_mlruns(mlruns: &Mlruns, tracker: &dyn Tracker) -> Result<Imported> {
    let mut done = Imported::default();
    for experiment in mlruns.experiments()? {
        let created = Timestamp::from_millis(experiment.creation_time.unwrap_or(0));
        let made = tracker.open_experiment(&experiment.name, created)?;
        let change = crate::tracking::ExperimentChange {
            tags: experiment.tags.into_iter().map(|t| (t.key, Some(t.value))).collect(),
            ..Default::default()
        };
        if !change.tags.is_empty() {
            tracker.change_experiment(made.id, change)?;
        }
        for id in mlruns.run_ids(&experiment.experiment_id)? {
            done.points += import_run(mlruns, tracker, &experiment.experiment_id, &id, made.id)
                .map_err(|e| e.within(format!("run {id}")))?;
            done.runs += 1;
        }
        done.experiments += 1;
    }
    Ok(done)
}

fn import_run(
    mlruns: &Mlruns,
    tracker: &dyn Tracker,
    from: &str,
    id: &str,
    experiment: u64,
) -> Result<u64> {
    let run = mlruns.run(from, id)?;
    let started = Timestamp::from_millis(run.info.start_time.unwrap_or(0));
    let there = match tracker.run(id) {
        Ok(there) => there,
        Err(Error::NotFound { .. }) => {
            let mut new = NewRun::new(experiment).with_id(id);
            new.name = Some(run.info.run_name.clone()).filter(|n| !n.trim().is_empty());
            new.user = Some(run.info.user_id.clone()).filter(|n| !n.trim().is_empty());
            new.source = run.tag("mlflow.source.name").map(str::to_owned);
            new.commit = run.tag("mlflow.source.git.commit").map(str::to_owned);
            tracker.create_run(new, started)?
        }
        Err(e) => return Err(e),
    };
    if there.deleted_at.is_some() {
        return Ok(0);
    }
    let mut batch = Batch::new();
    for KeyValue { key, value } in run.data.params {
        batch.params.insert(key, value);
    }
    for KeyValue { key, value } in run.data.tags {
        batch.tags.insert(key, value);
    }
    for input in run.inputs.dataset_inputs {
        let context = input.tags.iter().find(|t| t.key == "mlflow.data.context");
        let dataset = Dataset::new(input.dataset.name, input.dataset.digest)
            .with_source(input.dataset.source)
            .with_context(context.map_or("", |t| t.value.as_str()));
        batch.datasets.push(dataset);
    }
    let mut points = tracker.log(id, &batch)?.points;
    for key in mlruns.metric_keys(from, id)? {
        let history = mlruns.metric_history(from, id, &key)?;
        for some in history.chunks(100_000) {
            let mut batch = Batch::new();
            batch.metrics.extend(some.iter().map(|m| {
                let at = Timestamp::from_millis(m.timestamp);
                crate::tracking::Metric::new(&key, m.value, m.step, at)
            }));
            points += tracker.log(id, &batch)?.points;
        }
    }
    let ended = run.info.end_time.map_or(started, Timestamp::from_millis);
    if there.status != run.info.status || there.ended_at != run.info.end_time.map(|_| ended) {
        tracker.change_run(id, RunChange::status(run.info.status), ended)?;
    }
    if run.info.lifecycle_stage == "deleted" {
        tracker.delete_run(id, ended)?;
    }
    Ok(points)
}
