//! What a search reads of a database: columns of all runs, and a few runs whole.

use std::collections::HashMap;

use mlops_core::{Error, Result};

use super::batch::Point;
use super::filter::{Attribute, DatasetPart, Field, Value};
use super::query::Query;
use super::rows::{RUN, read_run};
use super::run::{Dataset, LoggedModel, Run};
use super::search::Source;
use super::tracker::no_experiment;
use crate::sql::{Cell, Row, Sql, args};

/// How many runs are read with one statement.
const TOGETHER: usize = 64;

pub(super) struct Columns<'s> {
    sql: &'s dyn Sql,
    /// The experiments that are searched.
    experiments: Vec<i64>,
}

impl<'s> Columns<'s> {
    pub(super) fn new(sql: &'s dyn Sql) -> Self {
        Self { sql, experiments: Vec::new() }
    }

    fn key(&self, name: &str) -> Result<Option<i64>> {
        if name.contains('\0') {
            return Ok(None);
        }
        self.sql.one("SELECT id FROM run_key WHERE name = ?1", args![name], |row| row.get(0))
    }

    fn texts(&self, kind: i64, key: &str, each: &mut dyn FnMut(i64, Value<'_>)) -> Result<()> {
        let Some(key) = self.key(key)? else { return Ok(()) };
        for experiment in &self.experiments {
            let mut long = Vec::new();
            let query = "SELECT run, brief FROM run_text
                         WHERE experiment = ?1 AND kind = ?2 AND key = ?3";
            self.sql.query(query, args![*experiment, kind, key], &mut |row| {
                let run = row.get::<i64>(0)?;
                row.with(1, |cell| {
                    match cell {
                        Cell::Text(text) => each(run, Value::Text(text)),
                        Cell::Null => long.push(run),
                        _ => return Err("a text"),
                    }
                    Ok(())
                })
            })?;
            for run in long {
                let query = "SELECT long FROM run_text WHERE run = ?1 AND kind = ?2 AND key = ?3";
                self.sql
                    .query(query, args![run, kind, key], &mut |row| say_text(row, 0, run, each))?;
            }
        }
        Ok(())
    }
}

/// Says what the column has, if anything.
fn say_text(
    row: &Row<'_>,
    column: usize,
    run: i64,
    each: &mut dyn FnMut(i64, Value<'_>),
) -> Result<()> {
    row.with(column, |cell| {
        match cell {
            Cell::Text(text) => each(run, Value::Text(text)),
            Cell::Int(time) => each(run, Value::Time(*time)),
            Cell::Null => {}
            _ => return Err("a text or a time"),
        }
        Ok(())
    })
}

impl Source for Columns<'_> {
    fn rows(&mut self, query: &Query) -> Result<Vec<(i64, i64)>> {
        let all = "SELECT id, deleted_at FROM experiment WHERE name IS NOT NULL ORDER BY id";
        let all = self.sql.all(all, args![], |row| {
            Ok((row.get::<i64>(0)?, row.get::<Option<i64>>(1)?.is_some()))
        })?;
        let mut chosen = all.clone();
        if !query.experiments.is_empty() {
            chosen.clear();
            for id in &query.experiments {
                let found = all.iter().find(|(row, _)| row.cast_unsigned() == *id);
                chosen.push(*found.ok_or_else(|| no_experiment(*id))?);
            }
            chosen.sort_unstable();
            chosen.dedup();
        }
        let mut rows = Vec::new();
        for (experiment, deleted) in chosen {
            let whole = query.view.shows(true) && (deleted || query.view.shows(false));
            let query = match (deleted, query.view.shows(false)) {
                _ if whole => "SELECT id, started_at FROM run WHERE experiment = ?1",
                (true, _) => continue,
                (false, true) => {
                    "SELECT id, started_at FROM run WHERE experiment = ?1 AND deleted_at IS NULL"
                }
                (false, false) => {
                    "SELECT id, started_at FROM run
                     WHERE experiment = ?1 AND deleted_at IS NOT NULL"
                }
            };
            self.experiments.push(experiment);
            self.sql.query(query, args![experiment], &mut |row| {
                rows.push((row.get(0)?, row.get(1)?));
                Ok(())
            })?;
        }
        rows.sort_unstable();
        Ok(rows)
    }

    fn column(
        &mut self,
        _: &Query,
        field: &Field,
        each: &mut dyn FnMut(i64, Value<'_>),
    ) -> Result<()> {
        let (select, table) = match field {
            Field::Param(key) => return self.texts(0, key, each),
            Field::Tag(key) => return self.texts(1, key, each),
            Field::Metric(key) => {
                let Some(key) = self.key(key)? else { return Ok(()) };
                let query = "SELECT run, bits FROM run_metric WHERE experiment = ?1 AND key = ?2";
                for experiment in &self.experiments {
                    self.sql.query(query, args![*experiment, key], &mut |row| {
                        let value = f64::from_bits(row.get::<i64>(1)?.cast_unsigned());
                        each(row.get(0)?, Value::Number(value));
                        Ok(())
                    })?;
                }
                return Ok(());
            }
            Field::Attribute(attribute) => {
                let column = match attribute {
                    Attribute::Id => "run",
                    Attribute::Name => "name",
                    Attribute::Status => "status",
                    Attribute::User => "person",
                    Attribute::Source => "source",
                    Attribute::Commit => "code",
                    Attribute::Parent => "parent",
                    Attribute::Started => "started_at",
                    Attribute::Ended => "ended_at",
                };
                (format!("id, {column}"), "run")
            }
            Field::Dataset(part) => {
                let column = match part {
                    DatasetPart::Name => "name",
                    DatasetPart::Digest => "digest",
                    DatasetPart::Context => "context",
                };
                (format!("run, {column}"), "run_input")
            }
        };
        let query = format!("SELECT {select} FROM {table} WHERE experiment = ?1");
        for experiment in &self.experiments {
            self.sql.query(&query, args![*experiment], &mut |row| {
                say_text(row, 1, row.get(0)?, each)
            })?;
        }
        Ok(())
    }

    fn fetch(&mut self, rows: &[i64]) -> Result<Vec<Run>> {
        fetch(self.sql, rows)
    }
}

/// These runs with all that they logged, in this order.
pub(super) fn fetch(sql: &dyn Sql, rows: &[i64]) -> Result<Vec<Run>> {
    let mut runs = Vec::with_capacity(rows.len());
    for rows in rows.chunks(TOGETHER) {
        let mut found = fetch_some(sql, rows)?;
        runs.extend(rows.iter().filter_map(|row| found.remove(row)));
    }
    Ok(runs)
}

fn fetch_some(sql: &dyn Sql, rows: &[i64]) -> Result<HashMap<i64, Run>> {
    // One run, or as many as go together: two texts of every statement, to be prepared once.
    let n = if rows.len() == 1 { 1 } else { TOGETHER };
    let places: Vec<_> = (1..=n).map(|i| format!("?{i}")).collect();
    let places = places.join(", ");
    let args: Vec<Cell<'_>> =
        (0..n).map(|i| rows.get(i).map_or(Cell::Null, |row| Cell::Int(*row))).collect();
    let query = format!("SELECT {RUN} FROM run WHERE id IN ({places})");
    let runs = sql.all(&query, &args, read_run)?;
    let mut runs: HashMap<i64, Run> = runs.into_iter().collect();
    let mut each = |select: &str, read: &mut dyn FnMut(&mut Run, &Row<'_>) -> Result<()>| {
        let query = select.replace("{rows}", &places);
        sql.query(&query, &args, &mut |row| {
            let id = row.get::<i64>(0)?;
            let run = runs.get_mut(&id);
            let run = run.ok_or_else(|| missing(sql, id))?;
            read(run, row)
        })
    };
    each(
        "SELECT m.run, k.name, m.step, m.at, m.bits
         FROM run_metric m JOIN run_key k ON k.id = m.key WHERE m.run IN ({rows})",
        &mut |run, row| {
            let value = f64::from_bits(row.get::<i64>(4)?.cast_unsigned());
            let point = Point { step: row.get(2)?, at: row.get(3)?, value };
            run.metrics.insert(row.get(1)?, point);
            Ok(())
        },
    )?;
    each(
        "SELECT t.run, t.kind, k.name, t.brief, t.long
         FROM run_text t JOIN run_key k ON k.id = t.key WHERE t.run IN ({rows})",
        &mut |run, row| {
            let map = if row.get::<i64>(1)? == 0 { &mut run.params } else { &mut run.tags };
            map.insert(row.get(2)?, row.text(3)?);
            Ok(())
        },
    )?;
    each(
        "SELECT run, name, digest, source, context FROM run_input WHERE run IN ({rows})",
        &mut |run, row| {
            run.datasets.push(Dataset {
                name: row.get(1)?,
                digest: row.get(2)?,
                source: row.get(3)?,
                context: row.get(4)?,
            });
            Ok(())
        },
    )?;
    each(
        "SELECT run, name, digest, step FROM run_model WHERE run IN ({rows})",
        &mut |run, row| {
            let (name, digest): (String, _) = (row.get(1)?, row.get(2)?);
            run.models.push(LoggedModel { name, digest, step: row.get(3)? });
            Ok(())
        },
    )?;
    for run in runs.values_mut() {
        run.datasets.sort_unstable();
        run.models.sort_unstable();
    }
    Ok(runs)
}

fn missing(sql: &dyn Sql, row: i64) -> Error {
    sql.damaged("what a run logged", "its run", format!("no row {row}"))
}
