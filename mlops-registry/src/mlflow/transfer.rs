//! An embedded store as `mlruns/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mlops_core::{Digest, Registry, Result, Timestamp};

use super::export::{MlrunsWriter, check_key};
use super::json::KeyValue;
use super::runs::{Metric, Run, RunData, RunInfo, RunInputs};
use super::sync::{inputs, metric, tags};
use crate::tracking::{Query, RunStatus, Tracker, View};

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
/// [`Error::Io`](mlops_core::Error::Io), as of a path that is taken; those of the store and the registry.
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
            // One that was unset is none to MLflow.
            if let Some(version) = alias.version {
                writer.alias(&model, &alias.alias, version)?;
            }
        }
    }
    Ok(())
}
