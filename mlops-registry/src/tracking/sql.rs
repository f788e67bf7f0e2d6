//! Tracking in a database: experiments and runs, and how changes get there.

use std::collections::BTreeMap;

use mlops_core::{Error, Result, Timestamp};

use super::batch::{Batch, Logged, Point};
use super::experiment::{Experiment, ExperimentChange, NewExperiment};
use super::group::Group;
use super::query::{Page, Query, View};
use super::run::{Dataset, LoggedModel, NewRun, Run, RunChange};
use super::tracker::{Collected, deleted, id_taken, name_taken, no_experiment, no_run};
use super::{chunk, columns, search};
use crate::sql::{Cell, Database, Sql, args};

/// A database that tracks.
pub(crate) trait Store: Database {
    /// Where its threads meet to commit together.
    fn group(&self) -> &Group;
}

/// Makes a [`Store`] a [`Tracker`](super::Tracker).
macro_rules! forward_tracker {
    ($database:ty) => {
        impl $crate::tracking::Tracker for $database {
            fn create_experiment(
                &self,
                new: $crate::tracking::NewExperiment,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<$crate::tracking::Experiment> {
                $crate::tracking::sql::create_experiment(self, new, at)
            }
            fn experiment(&self, id: u64) -> mlops_core::Result<$crate::tracking::Experiment> {
                $crate::tracking::sql::experiment(self, id)
            }
            fn find_experiment(
                &self,
                name: &str,
            ) -> mlops_core::Result<Option<$crate::tracking::Experiment>> {
                $crate::tracking::sql::find_experiment(self, name)
            }
            fn experiments(
                &self,
                view: $crate::tracking::View,
            ) -> mlops_core::Result<Vec<$crate::tracking::Experiment>> {
                $crate::tracking::sql::experiments(self, view)
            }
            fn change_experiment(
                &self,
                id: u64,
                change: $crate::tracking::ExperimentChange,
            ) -> mlops_core::Result<$crate::tracking::Experiment> {
                $crate::tracking::sql::change_experiment(self, id, &change)
            }
            fn delete_experiment(
                &self,
                id: u64,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<()> {
                $crate::tracking::sql::hide_experiment(self, id, Some(at))
            }
            fn restore_experiment(&self, id: u64) -> mlops_core::Result<()> {
                $crate::tracking::sql::hide_experiment(self, id, None)
            }
            fn create_run(
                &self,
                new: $crate::tracking::NewRun,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<$crate::tracking::Run> {
                $crate::tracking::sql::create_run(self, new, at)
            }
            fn run(&self, id: &str) -> mlops_core::Result<$crate::tracking::Run> {
                $crate::tracking::sql::run(self, id)
            }
            fn change_run(
                &self,
                id: &str,
                change: $crate::tracking::RunChange,
                at: mlops_core::Timestamp,
            ) -> mlops_core::Result<$crate::tracking::Run> {
                $crate::tracking::sql::change_run(self, id, change, at)
            }
            fn log(
                &self,
                run: &str,
                batch: &$crate::tracking::Batch,
            ) -> mlops_core::Result<$crate::tracking::Logged> {
                $crate::tracking::sql::log(self, run, batch)
            }
            fn metric_history(
                &self,
                run: &str,
                key: &str,
            ) -> mlops_core::Result<Vec<$crate::tracking::Point>> {
                $crate::tracking::sql::metric_history(self, run, key)
            }
            fn search(
                &self,
                query: &$crate::tracking::Query,
            ) -> mlops_core::Result<$crate::tracking::Page<$crate::tracking::Run>> {
                $crate::tracking::sql::search(self, query)
            }
            fn delete_run(&self, id: &str, at: mlops_core::Timestamp) -> mlops_core::Result<()> {
                $crate::tracking::sql::hide_run(self, id, Some(at))
            }
            fn restore_run(&self, id: &str) -> mlops_core::Result<()> {
                $crate::tracking::sql::hide_run(self, id, None)
            }
            fn collect_garbage(
                &self,
                deleted_before: mlops_core::Timestamp,
            ) -> mlops_core::Result<$crate::tracking::Collected> {
                $crate::tracking::sql::collect_garbage(self, deleted_before)
            }
        }
    };
}
pub(crate) use forward_tracker;

// Experiments --------------------------------------------------------------------------------------

pub(crate) fn create_experiment(
    db: &impl Store,
    new: NewExperiment,
    at: Timestamp,
) -> Result<Experiment> {
    new.check()?;
    db.group().write(db, move |sql| {
        if let Some(other) = sql.experiment_named(&new.name)? {
            return Err(name_taken(&new.name, &other));
        }
        let insert = "INSERT INTO experiment (name, created_at) VALUES (?1, ?2) RETURNING id";
        let id = sql.insert(insert, args![&new.name, at])?;
        sql.set_experiment_tags(id, new.tags.iter().map(|(k, v)| (k, Some(v))))?;
        Ok(Experiment::new(id.cast_unsigned(), new.clone(), at))
    })
}

pub(crate) fn experiment(db: &impl Store, id: u64) -> Result<Experiment> {
    db.read(|sql| sql.experiment_of(id))
}

pub(crate) fn find_experiment(db: &impl Store, name: &str) -> Result<Option<Experiment>> {
    db.read(|sql| sql.experiment_named(name))
}

pub(crate) fn experiments(db: &impl Store, view: View) -> Result<Vec<Experiment>> {
    db.read(|sql| {
        let mut all = sql.experiments_where("name IS NOT NULL", args![])?;
        all.retain(|e| view.shows(e.deleted_at.is_some()));
        Ok(all)
    })
}

pub(crate) fn change_experiment(
    db: &impl Store,
    id: u64,
    change: &ExperimentChange,
) -> Result<Experiment> {
    change.check()?;
    db.write(|sql| {
        let row = sql.live_experiment(id)?;
        if let Some(name) = &change.name {
            if let Some(other) = sql.experiment_named(name)?.filter(|e| e.id != id) {
                return Err(name_taken(name, &other));
            }
            sql.execute("UPDATE experiment SET name = ?2 WHERE id = ?1", args![row, name])?;
        }
        sql.set_experiment_tags(row, change.tags.iter().map(|(k, v)| (k, v.as_ref())))?;
        sql.experiment_of(id)
    })
}

pub(crate) fn hide_experiment(db: &impl Store, id: u64, at: Option<Timestamp>) -> Result<()> {
    db.write(|sql| {
        if sql.experiment_of(id)?.deleted_at.is_none() || at.is_none() {
            let update = "UPDATE experiment SET deleted_at = ?2 WHERE id = ?1";
            sql.execute(update, args![id.cast_signed(), at])?;
        }
        Ok(())
    })
}

// Runs ---------------------------------------------------------------------------------------------

pub(crate) fn create_run(db: &impl Store, new: NewRun, at: Timestamp) -> Result<Run> {
    let (run, batch) = new.into_run(at)?;
    let batch = Prepared::new(&batch);
    db.group().write(db, move |sql| {
        let mut run = run.clone();
        let experiment = sql.live_experiment(run.experiment)?;
        if let Some(parent) = &run.parent {
            sql.live_run(parent)?;
        }
        if sql.run_row(&run.id)?.is_some() {
            return Err(id_taken(&run.id));
        }
        let row = sql.insert(
            "INSERT INTO run (run, experiment, name, parent, status, person, source, code,
                              started_at, ended_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING id",
            args![
                &run.id,
                experiment,
                &run.name,
                run.parent.as_deref(),
                run.status.name(),
                run.user.as_deref(),
                run.source.as_deref(),
                run.commit.as_deref(),
                run.started_at,
                run.ended_at,
            ],
        )?;
        if !batch.is_empty() {
            sql.append(&run.id, row, experiment, &batch)?;
            run = columns::fetch(sql, &[row])?.pop().ok_or_else(|| no_run(&run.id))?;
        }
        Ok(run)
    })
}

pub(crate) fn run(db: &impl Store, id: &str) -> Result<Run> {
    db.read(|sql| sql.whole_run(id))
}

pub(crate) fn change_run(
    db: &impl Store,
    id: &str,
    change: RunChange,
    at: Timestamp,
) -> Result<Run> {
    change.check()?;
    let id = id.to_owned();
    db.group().write(db, move |sql| {
        let (row, _) = sql.live_run(&id)?;
        let mut run = sql.whole_run(&id)?;
        change.apply(&mut run, at);
        let update = "UPDATE run SET name = ?2, status = ?3, ended_at = ?4 WHERE id = ?1";
        sql.execute(update, args![row, &run.name, run.status.name(), run.ended_at])?;
        for key in &change.remove_tags {
            if run.tags.remove(key).is_some() {
                let delete = "DELETE FROM run_text WHERE run = ?1 AND kind = 1
                              AND key = (SELECT id FROM run_key WHERE name = ?2)";
                sql.execute(delete, args![row, key])?;
            }
        }
        Ok(run)
    })
}

pub(crate) fn log(db: &impl Store, run: &str, batch: &Batch) -> Result<Logged> {
    batch.check()?;
    let batch = Prepared::new(batch);
    let run = run.to_owned();
    db.group().write(db, move |sql| {
        let (row, experiment) = sql.live_run(&run)?;
        sql.append(&run, row, experiment, &batch)
    })
}

pub(crate) fn metric_history(db: &impl Store, run: &str, key: &str) -> Result<Vec<Point>> {
    db.read(|sql| {
        let (row, ..) = sql.run_row(run)?.ok_or_else(|| no_run(run))?;
        let mut points = Vec::new();
        let query = "SELECT p.points FROM run_points p JOIN run_key k ON k.id = p.key
                     WHERE p.run = ?1 AND k.name = ?2 ORDER BY p.seq";
        sql.query(query, args![row, key], &mut |row| row.points(0, &mut points))?;
        // Stable: points of one step and time stay in the order of their arrival.
        if !points.is_sorted_by_key(Point::order) {
            points.sort_by_key(Point::order);
        }
        Ok(points)
    })
}

pub(crate) fn search(db: &impl Store, query: &Query) -> Result<Page<Run>> {
    db.read_together(columns::many, |readers| {
        search::search(&mut columns::Columns::new(readers, query)?, query)
    })
}

pub(crate) fn hide_run(db: &impl Store, id: &str, at: Option<Timestamp>) -> Result<()> {
    db.write(|sql| {
        let found = sql.run_row(id)?.ok_or_else(|| no_run(id))?;
        if found.2.is_none() || at.is_none() {
            sql.execute("UPDATE run SET deleted_at = ?2 WHERE id = ?1", args![found.0, at])?;
        }
        Ok(())
    })
}

pub(crate) fn collect_garbage(db: &impl Store, before: Timestamp) -> Result<Collected> {
    // Runs have names of people, who may be erased later, when nobody finds what was left of them.
    db.write_over(|sql| {
        let old = "SELECT id FROM experiment WHERE name IS NOT NULL AND deleted_at < ?1";
        let experiments = sql.all(old, args![before], |row| row.get::<i64>(0))?;
        let mut runs = Vec::new();
        for experiment in &experiments {
            let all = "SELECT id FROM run WHERE experiment = ?1";
            runs.extend(sql.all(all, args![*experiment], |row| row.get::<i64>(0))?);
        }
        let old = "SELECT id FROM run WHERE deleted_at < ?1";
        runs.extend(sql.all(old, args![before], |row| row.get::<i64>(0))?);
        runs.sort_unstable();
        runs.dedup();
        for run in &runs {
            for table in ["run_metric", "run_points", "run_text", "run_input", "run_model"] {
                sql.execute(&format!("DELETE FROM {table} WHERE run = ?1"), args![*run])?;
            }
            sql.execute("DELETE FROM run WHERE id = ?1", args![*run])?;
        }
        for experiment in &experiments {
            let tags = "DELETE FROM experiment_tag WHERE experiment = ?1";
            sql.execute(tags, args![*experiment])?;
            let forget = "UPDATE experiment SET name = NULL WHERE id = ?1";
            sql.execute(forget, args![*experiment])?;
        }
        Ok(Collected { experiments: experiments.len() as u64, runs: runs.len() as u64 })
    })
}

/// A batch as it goes to the database, its points by key.
struct Prepared {
    points: Vec<(String, Vec<Point>)>,
    params: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    datasets: Vec<Dataset>,
    models: Vec<LoggedModel>,
}

impl Prepared {
    fn new(batch: &Batch) -> Self {
        let points = batch.points().into_iter().map(|(key, points)| (key.to_owned(), points));
        Self {
            points: points.collect(),
            params: batch.params.clone(),
            tags: batch.tags.clone(),
            datasets: batch.datasets.clone(),
            models: batch.models.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        self.points.is_empty()
            && self.params.is_empty()
            && self.tags.is_empty()
            && self.datasets.is_empty()
            && self.models.is_empty()
    }
}

impl dyn Sql + '_ {
    fn experiment_of(&self, id: u64) -> Result<Experiment> {
        let found = match i64::try_from(id) {
            Ok(row) => self.experiments_where("id = ?1 AND name IS NOT NULL", args![row])?.pop(),
            Err(_) => None,
        };
        found.ok_or_else(|| no_experiment(id))
    }

    fn experiment_named(&self, name: &str) -> Result<Option<Experiment>> {
        // PostgreSQL can't be asked for a NUL.
        if name.contains('\0') {
            return Ok(None);
        }
        Ok(self.experiments_where("name = ?1", args![name])?.pop())
    }

    fn experiments_where(&self, which: &str, args: &[Cell<'_>]) -> Result<Vec<Experiment>> {
        let query = format!(
            "SELECT id, name, created_at, deleted_at FROM experiment WHERE {which} ORDER BY id"
        );
        let mut all = self.all(&query, args, |row| {
            let new = NewExperiment::new(row.get::<String>(1)?);
            let mut found = Experiment::new(row.get::<i64>(0)?.cast_unsigned(), new, row.get(2)?);
            found.deleted_at = row.get(3)?;
            Ok(found)
        })?;
        for found in &mut all {
            let query = "SELECT name, value FROM experiment_tag WHERE experiment = ?1";
            let tags = self.all(query, args![found.id.cast_signed()], |row| {
                Ok((row.get::<String>(0)?, row.get::<String>(1)?))
            })?;
            found.tags = tags.into_iter().collect();
        }
        Ok(all)
    }

    fn live_experiment(&self, id: u64) -> Result<i64> {
        let row = i64::try_from(id).map_err(|_| no_experiment(id))?;
        let query = "SELECT deleted_at FROM experiment WHERE id = ?1 AND name IS NOT NULL";
        let found = self.one(query, args![row], |row| row.get::<Option<Timestamp>>(0))?;
        match found.ok_or_else(|| no_experiment(id))? {
            None => Ok(row),
            Some(_) => Err(deleted(&format!("experiment {id}"))),
        }
    }

    fn set_experiment_tags<'t>(
        &self,
        experiment: i64,
        tags: impl Iterator<Item = (&'t String, Option<&'t String>)>,
    ) -> Result<()> {
        for (name, value) in tags {
            match value {
                Some(value) => self.execute(
                    "INSERT INTO experiment_tag (experiment, name, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (experiment, name) DO UPDATE SET value = excluded.value",
                    args![experiment, name, value],
                )?,
                None => self.execute(
                    "DELETE FROM experiment_tag WHERE experiment = ?1 AND name = ?2",
                    args![experiment, name],
                )?,
            };
        }
        Ok(())
    }

    /// The row of a run, its experiment, since when it is deleted, and its experiment is.
    #[expect(clippy::type_complexity, reason = "four columns of a row")]
    fn run_row(&self, id: &str) -> Result<Option<(i64, i64, Option<i64>, Option<i64>)>> {
        if id.len() > super::limits::RUN_ID_BYTES || id.contains('\0') {
            return Ok(None);
        }
        let query = "SELECT r.id, r.experiment, r.deleted_at, e.deleted_at
                     FROM run r JOIN experiment e ON e.id = r.experiment WHERE r.run = ?1";
        self.one(query, args![id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
    }

    /// The row and the experiment of a run that may be changed.
    fn live_run(&self, id: &str) -> Result<(i64, i64)> {
        match self.run_row(id)?.ok_or_else(|| no_run(id))? {
            (row, experiment, None, None) => Ok((row, experiment)),
            (_, _, Some(_), _) => Err(deleted(&format!("run {id}"))),
            (_, experiment, ..) => Err(deleted(&format!("experiment {experiment}"))),
        }
    }

    fn whole_run(&self, id: &str) -> Result<Run> {
        let (row, ..) = self.run_row(id)?.ok_or_else(|| no_run(id))?;
        columns::fetch(self, &[row])?.pop().ok_or_else(|| no_run(id))
    }

    /// Adds all of a batch to a run.
    fn append(&self, run: &str, row: i64, experiment: i64, batch: &Prepared) -> Result<Logged> {
        let mut logged = Logged::default();
        for (name, value) in &batch.params {
            let key = self.key(name)?;
            if self.set_text(row, experiment, (0, key), value, false)? {
                logged.params += 1;
                continue;
            }
            let query = "SELECT brief, long FROM run_text WHERE run = ?1 AND kind = 0 AND key = ?2";
            let old = self.one(query, args![row, key], |row| row.text(0))?.unwrap_or_default();
            if old != *value {
                return Err(super::batch::param_differs(run, name, &old, value));
            }
            logged.repeated += 1;
        }
        for (name, value) in &batch.tags {
            let key = self.key(name)?;
            self.set_text(row, experiment, (1, key), value, true)?;
            logged.tags += 1;
        }
        for (name, points) in &batch.points {
            let key = self.key(name)?;
            let (new, repeated) = self.append_points(row, experiment, key, points)?;
            logged.points += new;
            logged.repeated += repeated;
        }
        for dataset in &batch.datasets {
            let new = self.add_input(row, experiment, dataset)?;
            logged.datasets += u64::from(new);
            logged.repeated += u64::from(!new);
        }
        for model in &batch.models {
            let insert = "INSERT INTO run_model (run, name, digest, step) VALUES (?1, ?2, ?3, ?4)
                          ON CONFLICT DO NOTHING";
            let new = self.execute(insert, args![row, &model.name, &model.digest, model.step])?;
            logged.models += new;
            logged.repeated += u64::from(new == 0);
        }
        Ok(logged)
    }

    fn key(&self, name: &str) -> Result<i64> {
        let query = "SELECT id FROM run_key WHERE name = ?1";
        if let Some(id) = self.one(query, args![name], |row| row.get(0))? {
            return Ok(id);
        }
        self.insert("INSERT INTO run_key (name) VALUES (?1) RETURNING id", args![name])
    }

    /// Sets a parameter or tag, and says whether it did.
    fn set_text(
        &self,
        run: i64,
        experiment: i64,
        (kind, key): (i64, i64),
        value: &str,
        replace: bool,
    ) -> Result<bool> {
        let short = value.len() <= super::rows::BRIEF_BYTES;
        let (brief, long) = if short { (Some(value), None) } else { (None, Some(value)) };
        let insert = if replace {
            "INSERT INTO run_text (run, kind, key, experiment, brief, long)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (run, kind, key)
             DO UPDATE SET brief = excluded.brief, long = excluded.long"
        } else {
            "INSERT INTO run_text (run, kind, key, experiment, brief, long)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
        };
        Ok(self.execute(insert, args![run, kind, key, experiment, brief, long])? > 0)
    }

    fn add_input(&self, run: i64, experiment: i64, dataset: &Dataset) -> Result<bool> {
        let json = serde_json::to_vec(dataset).map_err(|e| Error::other("dataset", e))?;
        let identity = mlops_core::Digest::of(json);
        let Dataset { name, digest, source, context } = dataset;
        let insert = "INSERT INTO run_input
                      (run, identity, experiment, name, digest, source, context)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let row = args![run, identity, experiment, name, digest, source, context];
        Ok(self.execute(insert, row)? > 0)
    }

    /// Adds points to a metric: how many were new, and how many there already.
    fn append_points(
        &self,
        run: i64,
        experiment: i64,
        key: i64,
        points: &[Point],
    ) -> Result<(u64, u64)> {
        let query =
            "SELECT step, at, bits, chunks, tail FROM run_metric WHERE run = ?1 AND key = ?2";
        let found = self.one(query, args![run, key], |row| {
            let value = f64::from_bits(row.get::<i64>(2)?.cast_unsigned());
            let last = Point { step: row.get(0)?, at: row.get(1)?, value };
            Ok((last, row.get::<i64>(3)?, row.get::<i64>(4)?))
        })?;
        let (mut last, mut chunks, mut tail) = match found {
            Some((last, chunks, tail)) => (Some(last), chunks, tail),
            None => (None, 0, 0),
        };
        let mut new = points;
        let kept;
        let mut repeated = 0;
        if !super::batch::ascends(points, last.as_ref()) {
            let mut rest = points.to_vec();
            repeated = super::batch::remove_repeated(&mut rest, self.near(run, key, points)?);
            kept = rest;
            new = &kept;
        }
        if new.is_empty() {
            return Ok((0, repeated));
        }
        let mut whole = Vec::new();
        if chunks > 0 && tail < chunk::OPEN_BYTES as i64 && new.len() < chunk::POINTS / 8 {
            let query = "SELECT points FROM run_points WHERE run = ?1 AND key = ?2 AND seq = ?3";
            self.query(query, args![run, key, chunks], &mut |row| row.points(0, &mut whole))?;
            chunks -= 1;
        }
        whole.extend_from_slice(new);
        for points in whole.chunks(chunk::POINTS) {
            chunks += 1;
            let bytes = chunk::encode(points);
            tail = bytes.len() as i64;
            let steps = || points.iter().map(|p| p.step);
            let (least, most) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
            self.execute(
                "INSERT INTO run_points (run, key, seq, min_step, max_step, points)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (run, key, seq)
                 DO UPDATE SET min_step = excluded.min_step, max_step = excluded.max_step,
                               points = excluded.points",
                args![run, key, chunks, least, most, &bytes],
            )?;
        }
        for point in new {
            if last.as_ref().is_none_or(|last| last.order() <= point.order()) {
                last = Some(*point);
            }
        }
        if let Some(Point { step, at, value }) = last {
            let bits = value.to_bits().cast_signed();
            self.execute(
                "INSERT INTO run_metric (run, key, experiment, step, at, value, bits, chunks, tail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (run, key)
                 DO UPDATE SET step = excluded.step, at = excluded.at, value = excluded.value,
                               bits = excluded.bits, chunks = excluded.chunks,
                               tail = excluded.tail",
                args![run, key, experiment, step, at, value, bits, chunks, tail],
            )?;
        }
        Ok((new.len() as u64, repeated))
    }

    /// The points in chunks with steps that these have, too.
    fn near(&self, run: i64, key: i64, points: &[Point]) -> Result<Vec<Point>> {
        let mut near = Vec::new();
        let steps = || points.iter().map(|p| p.step);
        if let (Some(least), Some(most)) = (steps().min(), steps().max()) {
            let query = "SELECT points FROM run_points WHERE run = ?1 AND key = ?2
                         AND max_step >= ?3 AND min_step <= ?4 ORDER BY seq";
            let args = args![run, key, least, most];
            self.query(query, args, &mut |row| row.points(0, &mut near))?;
        }
        Ok(near)
    }
}
