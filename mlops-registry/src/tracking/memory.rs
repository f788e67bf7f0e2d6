//! Tracking that lives and dies with its process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlops_core::{Result, Timestamp};

use super::batch::{Batch, Logged, Point, ascends, param_differs, remove_repeated};
use super::experiment::{Experiment, ExperimentChange, NewExperiment};
use super::filter::{Attribute, DatasetPart, Field, Test, Value};
use super::query::{Page, Query, View};
use super::run::{NewRun, Run, RunChange};
use super::search::{Reader, Source, search};
use super::tracker::{Collected, Tracker, deleted, id_taken, name_taken, no_experiment, no_run};
use crate::MemoryRegistry;

/// What a [`MemoryRegistry`] tracks.
#[derive(Debug, Default)]
pub(crate) struct Tracked(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    experiments: BTreeMap<u64, Experiment>,
    last_experiment: u64,
    /// By the order in which they were made.
    runs: BTreeMap<i64, Tracks>,
    rows: HashMap<String, i64>,
    last_row: i64,
}

#[derive(Debug)]
struct Tracks {
    run: Run,
    /// In the order of step, time, arrival.
    points: BTreeMap<String, Vec<Point>>,
}

impl Tracked {
    /// Puts a pseudonym where this user stands; how many runs changed.
    pub(crate) fn rename_user(&self, person: &str, pseudonym: &str) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = state.runs.values_mut().filter(|t| t.run.user.as_deref() == Some(person));
        theirs.map(|tracks| tracks.run.user = Some(pseudonym.to_owned())).count() as u64
    }
}

impl State {
    fn experiment(&mut self, id: u64) -> Result<&mut Experiment> {
        self.experiments.get_mut(&id).ok_or_else(|| no_experiment(id))
    }

    fn live_experiment(&mut self, id: u64) -> Result<&mut Experiment> {
        let experiment = self.experiment(id)?;
        if experiment.deleted_at.is_some() {
            return Err(deleted(&format!("experiment {id}")));
        }
        Ok(experiment)
    }

    fn named(&self, name: &str) -> Option<&Experiment> {
        self.experiments.values().find(|e| e.name == name)
    }

    fn tracks(&mut self, id: &str) -> Result<&mut Tracks> {
        let row = self.rows.get(id);
        row.and_then(|row| self.runs.get_mut(row)).ok_or_else(|| no_run(id))
    }

    fn live_tracks(&mut self, id: &str) -> Result<&mut Tracks> {
        let run = &self.tracks(id)?.run;
        let gone = run.deleted_at.is_some();
        let experiment = run.experiment;
        if gone {
            return Err(deleted(&format!("run {id:.60}")));
        }
        self.live_experiment(experiment)?;
        self.tracks(id)
    }

    fn shows(&self, view: View, run: &Run) -> bool {
        let experiment = self.experiments.get(&run.experiment);
        view.shows(run.deleted_at.is_some() || experiment.is_none_or(|e| e.deleted_at.is_some()))
    }
}

impl Tracks {
    /// Adds all of a batch, or nothing.
    fn log(&mut self, batch: &Batch) -> Result<Logged> {
        let run = &mut self.run;
        for (key, value) in &batch.params {
            if let Some(old) = run.params.get(key).filter(|old| *old != value) {
                return Err(param_differs(&run.id, key, old, value));
            }
        }
        let mut logged = Logged::default();
        for (key, value) in &batch.params {
            match run.params.insert(key.clone(), value.clone()) {
                None => logged.params += 1,
                Some(_) => logged.repeated += 1,
            }
        }
        run.tags.extend(batch.tags.clone());
        logged.tags = batch.tags.len() as u64;
        for (key, mut new) in batch.points() {
            let old = self.points.entry(key.to_owned()).or_default();
            if !ascends(&new, old.last()) {
                logged.repeated += remove_repeated(&mut new, old.iter().copied());
            }
            logged.points += new.len() as u64;
            old.extend(new);
            old.sort_by_key(Point::order);
            if let Some(last) = old.last() {
                run.metrics.insert(key.to_owned(), *last);
            }
        }
        for dataset in &batch.datasets {
            if let Err(at) = run.datasets.binary_search(dataset) {
                run.datasets.insert(at, dataset.clone());
                logged.datasets += 1;
            } else {
                logged.repeated += 1;
            }
        }
        for model in &batch.models {
            if let Err(at) = run.models.binary_search(model) {
                run.models.insert(at, model.clone());
                logged.models += 1;
            } else {
                logged.repeated += 1;
            }
        }
        Ok(logged)
    }
}

impl MemoryRegistry {
    fn tracking(&self) -> MutexGuard<'_, State> {
        // Every change is made in one step after all that can fail.
        self.tracked().0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracker for MemoryRegistry {
    fn create_experiment(&self, new: NewExperiment, at: Timestamp) -> Result<Experiment> {
        new.check()?;
        let mut state = self.tracking();
        if let Some(other) = state.named(&new.name) {
            return Err(name_taken(&new.name, other));
        }
        state.last_experiment += 1;
        let made = Experiment::new(state.last_experiment, new, at);
        state.experiments.insert(made.id, made.clone());
        Ok(made)
    }

    fn experiment(&self, id: u64) -> Result<Experiment> {
        self.tracking().experiment(id).cloned()
    }

    fn find_experiment(&self, name: &str) -> Result<Option<Experiment>> {
        Ok(self.tracking().named(name).cloned())
    }

    fn experiments(&self, view: View) -> Result<Vec<Experiment>> {
        let state = self.tracking();
        let all = state.experiments.values();
        Ok(all.filter(|e| view.shows(e.deleted_at.is_some())).cloned().collect())
    }

    fn change_experiment(&self, id: u64, change: ExperimentChange) -> Result<Experiment> {
        change.check()?;
        let mut state = self.tracking();
        state.live_experiment(id)?;
        if let Some(name) = &change.name
            && let Some(other) = state.named(name).filter(|e| e.id != id)
        {
            return Err(name_taken(name, other));
        }
        let experiment = state.live_experiment(id)?;
        if let Some(name) = change.name {
            experiment.name = name;
        }
        for (key, value) in change.tags {
            match value {
                Some(value) => experiment.tags.insert(key, value),
                None => experiment.tags.remove(&key),
            };
        }
        Ok(experiment.clone())
    }

    fn delete_experiment(&self, id: u64, at: Timestamp) -> Result<()> {
        self.tracking().experiment(id)?.deleted_at.get_or_insert(at);
        Ok(())
    }

    fn restore_experiment(&self, id: u64) -> Result<()> {
        self.tracking().experiment(id)?.deleted_at = None;
        Ok(())
    }

    fn create_run(&self, new: NewRun, at: Timestamp) -> Result<Run> {
        let (run, batch) = new.into_run(at)?;
        let mut state = self.tracking();
        state.live_experiment(run.experiment)?;
        if let Some(parent) = &run.parent {
            state.live_tracks(parent)?;
        }
        if state.rows.contains_key(&run.id) {
            return Err(id_taken(&run.id));
        }
        let mut tracks = Tracks { run, points: BTreeMap::new() };
        tracks.log(&batch)?;
        let made = tracks.run.clone();
        state.last_row += 1;
        let row = state.last_row;
        state.rows.insert(made.id.clone(), row);
        state.runs.insert(row, tracks);
        Ok(made)
    }

    fn run(&self, id: &str) -> Result<Run> {
        Ok(self.tracking().tracks(id)?.run.clone())
    }

    fn change_run(&self, id: &str, change: RunChange, at: Timestamp) -> Result<Run> {
        change.check()?;
        let mut state = self.tracking();
        let run = &mut state.live_tracks(id)?.run;
        change.apply(run, at);
        for key in &change.remove_tags {
            run.tags.remove(key);
        }
        Ok(run.clone())
    }

    fn log(&self, run: &str, batch: &Batch) -> Result<Logged> {
        batch.check()?;
        self.tracking().live_tracks(run)?.log(batch)
    }

    fn metric_history(&self, run: &str, key: &str) -> Result<Vec<Point>> {
        Ok(self.tracking().tracks(run)?.points.get(key).cloned().unwrap_or_default())
    }

    fn search(&self, query: &Query) -> Result<Page<Run>> {
        search(&mut &*self.tracking(), query)
    }

    fn delete_run(&self, id: &str, at: Timestamp) -> Result<()> {
        self.tracking().tracks(id)?.run.deleted_at.get_or_insert(at);
        Ok(())
    }

    fn restore_run(&self, id: &str) -> Result<()> {
        self.tracking().tracks(id)?.run.deleted_at = None;
        Ok(())
    }

    fn collect_garbage(&self, deleted_before: Timestamp) -> Result<Collected> {
        let mut state = self.tracking();
        let State { experiments, runs, rows, .. } = &mut *state;
        let old = |at: Option<Timestamp>| at.is_some_and(|at| at < deleted_before);
        let before = (experiments.len(), runs.len());
        experiments.retain(|_, e| !old(e.deleted_at));
        runs.retain(|_, t| !old(t.run.deleted_at) && experiments.contains_key(&t.run.experiment));
        rows.retain(|_, row| runs.contains_key(row));
        Ok(Collected {
            experiments: (before.0 - experiments.len()) as u64,
            runs: (before.1 - runs.len()) as u64,
        })
    }
}

impl Source for &State {
    fn readers(&self) -> usize {
        1
    }

    fn each<T: Send>(
        &mut self,
        jobs: usize,
        job: impl Fn(&dyn Reader, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        (0..jobs).map(|i| job(*self, i)).collect()
    }
}

impl Reader for State {
    fn rows(&self, query: &Query) -> Result<Vec<(i64, i64)>> {
        for id in &query.experiments {
            self.experiments.get(id).ok_or_else(|| no_experiment(*id))?;
        }
        let all = self.runs.iter().filter(|(_, t)| {
            (query.experiments.is_empty() || query.experiments.contains(&t.run.experiment))
                && self.shows(query.view, &t.run)
        });
        Ok(all.map(|(row, t)| (*row, t.run.started_at.millis())).collect())
    }

    fn column(
        &self,
        field: &Field,
        _: Option<&Test>,
        each: &mut dyn FnMut(i64, Value<'_>),
    ) -> Result<()> {
        for (row, Tracks { run, .. }) in &self.runs {
            let mut say = |value: Option<Value<'_>>| {
                if let Some(value) = value {
                    each(*row, value);
                }
            };
            let time = |at: Option<Timestamp>| at.map(|at| Value::Time(at.millis()));
            match field {
                Field::Metric(key) => say(run.metrics.get(key).map(|p| Value::Number(p.value))),
                Field::Param(key) => say(run.params.get(key).map(|v| Value::Text(v))),
                Field::Tag(key) => say(run.tags.get(key).map(|v| Value::Text(v))),
                Field::Attribute(Attribute::Started) => say(time(Some(run.started_at))),
                Field::Attribute(Attribute::Ended) => say(time(run.ended_at)),
                Field::Attribute(attribute) => say(text(run, *attribute).map(Value::Text)),
                Field::Dataset(part) => run.datasets.iter().for_each(|dataset| {
                    say(Some(Value::Text(match part {
                        DatasetPart::Name => &dataset.name,
                        DatasetPart::Digest => &dataset.digest,
                        DatasetPart::Context => &dataset.context,
                    })));
                }),
            }
        }
        Ok(())
    }

    fn fetch(&self, rows: &[i64]) -> Result<Vec<Run>> {
        Ok(rows.iter().filter_map(|row| self.runs.get(row)).map(|t| t.run.clone()).collect())
    }
}

fn text(run: &Run, attribute: Attribute) -> Option<&str> {
    match attribute {
        Attribute::Id => Some(&run.id),
        Attribute::Name => Some(&run.name),
        Attribute::Status => Some(run.status.name()),
        Attribute::User => run.user.as_deref(),
        Attribute::Source => run.source.as_deref(),
        Attribute::Commit => run.commit.as_deref(),
        Attribute::Parent => run.parent.as_deref(),
        Attribute::Started | Attribute::Ended => None,
    }
}
