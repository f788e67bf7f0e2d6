//! Sending the runs of an embedded store to a server.

use std::collections::BTreeMap;

use mlops_core::{Cancel, Digest, Error, Result};
use serde_json::json;

use super::client::MlflowClient;
use super::json::{KeyValue, all_pages};
use super::runs::{Dataset, DatasetInput, Metric, NewRun, RunBatch, Search};
use crate::tracking::{Experiment, LoggedModel, Point, Query, Run, RunStatus, Tracker, View};

/// The tag that names a run's id in the store that it came from.
pub(super) const ORIGIN: &str = "mlops.run_id";
/// The tag that names the run that it is a part of.
pub(super) const PARENT: &str = "mlflow.parentRunId";
/// The tag that names the digest of all that was sent of a run, once it was.
const SENT: &str = "mlops.synced";
/// What the tags of the models begin with that a run made.
pub(super) const MODEL: &str = "mlops.model.";
/// The longest digest of a dataset at MLflow, in characters.
const DATASET_DIGEST: usize = 36;
/// How many points wait before they are sent.
const POINTS: usize = 10_000;
/// How deep runs are nested.
const NESTED: usize = 100;

/// What [`sync_runs`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Synced {
    /// Experiments that were looked at.
    pub experiments: u64,
    /// Runs that were sent.
    pub runs: u64,
    /// Runs that the server had already, as they are.
    pub unchanged: u64,
    /// Runs that somebody deleted on the server: they stay so.
    pub deleted_there: u64,
    /// Points of metrics that were sent.
    pub points: u64,
}

impl std::fmt::Display for Synced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} experiments: {} runs sent with {} points, {} unchanged, {} deleted there",
            self.experiments, self.runs, self.points, self.unchanged, self.deleted_there
        )
    }
}

/// Sends every experiment and run that is not deleted to a server: parameters, tags, every point
/// of every metric, datasets, parents, status.
///
/// It may be stopped at any instant and called again, from the same store or a copy: experiments
/// are found by name, runs by the tag `mlops.run_id`, and a run whose digest the server has
/// (`mlops.synced`, set last) is passed by. What is sent twice is kept once. Runs that changed are
/// sent again; nothing is deleted on the server, and two of these at once may make a run twice.
///
/// Models that a run made are tags `mlops.model.0`, …. A dataset's digest is cut to MLflow's 36
/// characters; the whole one is in its source. A server's database keeps ±[`f64::MAX`] for an
/// infinity.
///
/// ```no_run
/// use mlops_core::{Cancel, Timestamp};
/// use mlops_registry::MemoryRegistry;
/// use mlops_registry::mlflow::{MlflowClient, MlflowOptions, sync_runs};
///
/// let store = MemoryRegistry::new();
/// let client = MlflowClient::new(MlflowOptions::new("http://localhost:5000")?);
/// println!("{}", sync_runs(&store, &client, &Cancel::new())?);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// Those of the store and of the server; [`Error::Cancelled`].
pub fn sync_runs(tracker: &dyn Tracker, client: &MlflowClient, cancel: &Cancel) -> Result<Synced> {
    let mut sync =
        Sync { tracker, client, cancel, done: Synced::default(), there: BTreeMap::new() };
    for experiment in tracker.experiments(View::Active)? {
        sync.experiment(&experiment)
            .map_err(|e| e.within(format!("experiment {}", experiment.name)))?;
    }
    Ok(sync.done)
}

/// A run as the server has it.
#[derive(Clone, Debug)]
struct There {
    run: String,
    name: String,
    status: RunStatus,
    sent: Option<String>,
    deleted: bool,
}

struct Sync<'a> {
    tracker: &'a dyn Tracker,
    client: &'a MlflowClient,
    cancel: &'a Cancel,
    done: Synced,
    /// By the ids in the store, of all experiments so far.
    there: BTreeMap<String, There>,
}

impl Sync<'_> {
    fn experiment(&mut self, experiment: &Experiment) -> Result<()> {
        self.cancel.check()?;
        let id = self.client.ensure_experiment(&experiment.name)?;
        let read = self.client.experiment(&id)?;
        for (key, value) in &experiment.tags {
            if !read.tags.iter().any(|t| t.key == *key && t.value == *value) {
                self.client.set_experiment_tag(&id, key, value)?;
            }
        }
        let filter = format!("tags.`{ORIGIN}` LIKE '%'");
        let search = Search { view: View::All, page_size: 100, ..Search::new(filter) };
        let known = all_pages("POST /api/2.0/mlflow/runs/search", |page| {
            self.client.search_runs(&[&id], &Search { page, ..search.clone() })
        })?;
        for run in known {
            let Some(origin) = run.tag(ORIGIN).map(str::to_owned) else { continue };
            let there = There {
                sent: run.tag(SENT).map(str::to_owned),
                deleted: run.info.lifecycle_stage == "deleted",
                run: run.info.run_id,
                name: run.info.run_name,
                status: run.info.status,
            };
            // Of two of one origin always the same.
            let known = self.there.entry(origin).or_insert_with(|| there.clone());
            if there.run < known.run {
                *known = there;
            }
        }
        let mut query = Query::new().experiment(experiment.id);
        loop {
            let page = self.tracker.search(&query)?;
            for run in &page.items {
                self.run(&id, run).map_err(|e| e.within(format!("run {}", run.id)))?;
            }
            match page.next {
                Some(next) => query.page = Some(next),
                None => break,
            }
        }
        self.done.experiments += 1;
        Ok(())
    }

    /// The run on the server, made if it is not there, its parents first.
    fn ensure(&mut self, experiment: &str, run: &Run) -> Result<There> {
        // From the run up to the first that is there, or has no parent.
        let mut missing: Vec<Run> = Vec::new();
        let mut next = Some(run.clone());
        while let Some(run) = next.take_if(|run| !self.there.contains_key(&run.id)) {
            if missing.len() == NESTED || missing.iter().any(|r| r.id == run.id) {
                let expected = format!("at most {NESTED} parents, and no circle");
                return Err(Error::invalid("parents of the run", expected, "more"));
            }
            next = match &run.parent {
                Some(parent) => Some(self.tracker.run(parent)?),
                None => None,
            };
            missing.push(run);
        }
        for run in missing.iter().rev() {
            let new = NewRun {
                experiment_id: self.experiment_of(experiment, run)?,
                name: run.name.clone(),
                user: run.user.clone().unwrap_or_default(),
                start_time: run.started_at.millis(),
                tags: vec![(ORIGIN, run.id.as_str()).into()],
            };
            let made = self.client.create_run(&new)?.info;
            let there = There {
                run: made.run_id,
                name: made.run_name,
                status: made.status,
                sent: None,
                deleted: false,
            };
            self.there.insert(run.id.clone(), there);
        }
        self.there.get(&run.id).cloned().ok_or_else(|| Error::other("sync", "a run was lost"))
    }

    /// The server's id of the experiment of a run, which need not be its child's.
    fn experiment_of(&self, here: &str, run: &Run) -> Result<String> {
        let name = self.tracker.experiment(run.experiment)?.name;
        let known = self.client.experiment(here)?.name == name;
        if known { Ok(here.to_owned()) } else { Ok(self.client.ensure_experiment(&name)?) }
    }

    fn run(&mut self, experiment: &str, run: &Run) -> Result<()> {
        self.cancel.check()?;
        let digest = self.digest(run)?.to_string();
        if let Some(there) = self.there.get(&run.id) {
            if there.deleted {
                self.done.deleted_there += 1;
                return Ok(());
            }
            if there.sent.as_ref() == Some(&digest) {
                self.done.unchanged += 1;
                return Ok(());
            }
        }
        let there = self.ensure(experiment, run)?;
        let id = there.run.as_str();
        let parent = run.parent.as_ref().and_then(|parent| self.there.get(parent));
        let mut batch = RunBatch {
            params: run.params.iter().map(KeyValue::from).collect(),
            tags: tags(run, parent.map(|p| p.run.as_str())),
            ..RunBatch::default()
        };
        for key in run.metrics.keys() {
            for point in self.tracker.metric_history(&run.id, key)? {
                batch.metrics.push(metric(key, point));
                if batch.metrics.len() >= POINTS {
                    self.send(id, &mut batch)?;
                }
            }
        }
        self.send(id, &mut batch)?;
        let inputs = inputs(run);
        if !inputs.is_empty() {
            self.client.log_inputs(id, &inputs)?;
        }
        if there.name != run.name {
            self.client.rename_run(id, &run.name)?;
        }
        match run.ended_at.filter(|_| run.status.is_over()) {
            Some(end) => drop(self.client.end_run(id, run.status, end.millis())?),
            None if there.status != RunStatus::Running => drop(self.client.reopen_run(id)?),
            None => {}
        }
        self.client.set_run_tag(id, SENT, &digest)?;
        if let Some(there) = self.there.get_mut(&run.id) {
            there.sent = Some(digest);
        }
        self.done.runs += 1;
        Ok(())
    }

    fn send(&mut self, id: &str, batch: &mut RunBatch) -> Result<()> {
        self.cancel.check()?;
        self.client.log_batch(id, batch)?;
        self.done.points += batch.metrics.len() as u64;
        *batch = RunBatch::default();
        Ok(())
    }

    /// Of all that is sent of a run.
    fn digest(&self, run: &Run) -> Result<Digest> {
        let about = json!({
            "name": run.name,
            "parent": run.parent,
            "status": run.status,
            "started": run.started_at,
            "ended": run.ended_at,
            "params": run.params,
            "tags": tags(run, None),
            "inputs": inputs(run),
        });
        let mut hasher = Digest::hasher();
        hasher.update(about.to_string());
        for key in run.metrics.keys() {
            let points = self.tracker.metric_history(&run.id, key)?;
            hasher.update(format!("\n{key}\n{}\n", points.len()));
            for point in points {
                hasher.update(point.step.to_le_bytes());
                hasher.update(point.at.millis().to_le_bytes());
                hasher.update(point.value.to_bits().to_le_bytes());
            }
        }
        Ok(hasher.finish())
    }
}

/// A point as MLflow has it.
pub(super) fn metric(key: &str, point: Point) -> Metric {
    Metric::new(key, point.value, point.step, point.at.millis())
}

/// A run's tags, and what MLflow keeps in tags.
pub(super) fn tags(run: &Run, parent: Option<&str>) -> Vec<KeyValue> {
    let mut tags: BTreeMap<String, String> = run.tags.clone();
    let more = [
        (PARENT, parent),
        ("mlflow.user", run.user.as_deref()),
        ("mlflow.source.name", run.source.as_deref()),
        ("mlflow.source.git.commit", run.commit.as_deref()),
    ];
    for (key, value) in more {
        if let Some(value) = value {
            tags.insert(key.to_owned(), value.to_owned());
        }
    }
    for (n, model) in run.models.iter().enumerate() {
        let text = format!("{} (step {}): {}", model.name, model.step, model.digest);
        tags.insert(format!("{MODEL}{n}"), text);
    }
    tags.insert(ORIGIN.to_owned(), run.id.clone());
    tags.into_iter().map(KeyValue::from).collect()
}

/// The model that a tag speaks of.
pub(super) fn read_model(text: &str) -> Option<LoggedModel> {
    let (rest, digest) = text.rsplit_once("): ")?;
    let (name, step) = rest.rsplit_once(" (step ")?;
    Some(LoggedModel::new(name, digest.parse().ok()?).at_step(step.parse().ok()?))
}

/// As much of a dataset's digest as MLflow takes.
pub(super) fn cut_digest(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(DATASET_DIGEST).collect()
}

/// What a run read, as MLflow has it.
pub(super) fn inputs(run: &Run) -> Vec<DatasetInput> {
    let input = |dataset: &crate::tracking::Dataset| {
        let source = json!({ "uri": dataset.source, "digest": dataset.digest });
        let context = Some(&dataset.context).filter(|context| !context.is_empty());
        DatasetInput {
            dataset: Dataset {
                name: dataset.name.clone(),
                digest: cut_digest(&dataset.digest),
                source_type: "local".into(),
                source: source.to_string(),
                ..Dataset::default()
            },
            tags: context.map(|c| ("mlflow.data.context", c).into()).into_iter().collect(),
        }
    };
    run.datasets.iter().map(input).collect()
}
