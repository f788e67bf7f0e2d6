//! What a search reads of a database: columns of all runs, and a few runs whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use mlops_core::{Error, Result};

use super::batch::Point;
use super::filter::{Attribute, DatasetPart, Field, Operator, Test, Value};
use super::query::Query;
use super::rows::{BRIEF_BYTES, RUN, read_run};
use super::run::{Dataset, LoggedModel, Run};
use super::search::{Reader, Source};
use super::tracker::no_experiment;
use crate::sql::{Cell, Readers, Row, Sql, args};

/// How many runs are read with one statement.
const TOGETHER: usize = 64;

/// From how many runs on it is worth while to read them with several connections.
const MANY: i64 = 2_000;

/// Whether there are many runs.
pub(super) fn many(sql: &dyn Sql) -> Result<bool> {
    let last = sql.one("SELECT max(id) FROM run", args![], |row| row.get::<Option<i64>>(0))?;
    Ok(last.flatten() >= Some(MANY))
}

/// The experiments that a query searches, by whoever reads the database.
pub(super) struct Columns<'r, 's> {
    readers: &'r mut Readers<'s>,
    /// And whether they are deleted.
    experiments: Vec<(i64, bool)>,
}

impl<'r, 's> Columns<'r, 's> {
    pub(super) fn new(readers: &'r mut Readers<'s>, query: &Query) -> Result<Self> {
        let all = "SELECT id, deleted_at FROM experiment WHERE name IS NOT NULL ORDER BY id";
        let all = readers.one().all(all, args![], |row| {
            Ok((row.get::<i64>(0)?, row.get::<Option<i64>>(1)?.is_some()))
        })?;
        let mut experiments = Vec::new();
        for id in &query.experiments {
            let found = all.iter().find(|(row, _)| row.cast_unsigned() == *id);
            experiments.push(*found.ok_or_else(|| no_experiment(*id))?);
        }
        experiments.sort_unstable();
        experiments.dedup();
        if query.experiments.is_empty() {
            experiments = all;
        }
        experiments.retain(|(_, deleted)| !deleted || query.view.shows(true));
        Ok(Self { readers, experiments })
    }
}

impl Source for Columns<'_, '_> {
    fn readers(&self) -> usize {
        self.readers.count()
    }

    fn each<T: Send>(
        &mut self,
        jobs: usize,
        job: impl Fn(&dyn Reader, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let experiments = &self.experiments;
        self.readers.each(jobs, |sql, i| job(&Experiments { sql, experiments }, i))
    }
}

/// One who reads the columns of experiments.
struct Experiments<'s> {
    sql: &'s dyn Sql,
    experiments: &'s [(i64, bool)],
}

impl Experiments<'_> {
    fn key(&self, name: &str) -> Result<Option<i64>> {
        if name.contains('\0') {
            return Ok(None);
        }
        self.sql.one("SELECT id FROM run_key WHERE name = ?1", args![name], |row| row.get(0))
    }

    fn texts(
        &self,
        kind: i64,
        key: &str,
        test: Option<&Test>,
        each: &mut dyn FnMut(i64, Value<'_>),
    ) -> Result<()> {
        let Some(key) = self.key(key)? else { return Ok(()) };
        if let Some(text) = test.and_then(equal).filter(|text| text.len() <= BRIEF_BYTES) {
            let query = "SELECT run FROM run_text
                         WHERE experiment = ?1 AND kind = ?2 AND key = ?3 AND brief = ?4";
            for (experiment, _) in self.experiments {
                self.sql.query(query, args![*experiment, kind, key, text], &mut |row| {
                    each(row.int(0)?, Value::Text(text));
                    Ok(())
                })?;
            }
            return Ok(());
        }
        for (experiment, _) in self.experiments {
            let mut long = Vec::new();
            let query = "SELECT run, brief FROM run_text
                         WHERE experiment = ?1 AND kind = ?2 AND key = ?3";
            self.sql.query(query, args![*experiment, kind, key], &mut |row| {
                let run = row.int(0)?;
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

/// The text that a test asks for, if that is all it asks.
fn equal(test: &Test) -> Option<&str> {
    match test {
        // PostgreSQL has its own way to write some characters; what is odd is compared here.
        Test::Text(Operator::Equal, text) if !text.contains(char::is_control) => Some(text),
        _ => None,
    }
}

/// Between which bits, taken for integers, lie the numbers that pass a test: from one to another,
/// or from a third to a fourth. `None` where more does.
///
/// The bits of positive numbers grow with them from that of 0, those of negative ones with their
/// size from the least integer, which is −0; beyond the infinities are NaNs.
fn bits(test: &Test) -> Option<[i64; 4]> {
    let Test::Number(how, bound) = test else { return None };
    let of = |x: f64| x.to_bits().cast_signed();
    let (zero, most, least) = (of(-0.0), of(f64::INFINITY), of(f64::NEG_INFINITY));
    // Both zeros are one bound.
    let at = of(bound + 0.0);
    let none = (1, 0);
    let (first, second) = match how {
        _ if bound.is_nan() => return None,
        Operator::NotEqual => return None,
        Operator::Equal if at == 0 => ((0, 0), (zero, zero)),
        Operator::Equal => ((at, at), none),
        Operator::Greater if at >= 0 => ((at + 1, most), none),
        Operator::Greater => ((0, most), (zero, at - 1)),
        Operator::GreaterOrEqual if at == 0 => ((0, most), (zero, zero)),
        Operator::GreaterOrEqual if at > 0 => ((at, most), none),
        Operator::GreaterOrEqual => ((0, most), (zero, at)),
        Operator::Less if at == 0 => ((zero + 1, least), none),
        Operator::Less if at > 0 => ((0, at - 1), (zero, least)),
        Operator::Less => ((at + 1, least), none),
        Operator::LessOrEqual if at >= 0 => ((0, at), (zero, least)),
        Operator::LessOrEqual => ((at, least), none),
    };
    Some([first.0, first.1, second.0, second.1])
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

impl Reader for Experiments<'_> {
    fn rows(&self, query: &Query) -> Result<Vec<(i64, i64)>> {
        let mut rows = Vec::new();
        for (experiment, deleted) in self.experiments {
            let query = match (query.view.shows(true), query.view.shows(false)) {
                // All runs of a deleted experiment are.
                (true, false) if !deleted => {
                    "SELECT id, started_at FROM run
                     WHERE experiment = ?1 AND deleted_at IS NOT NULL"
                }
                (true, _) => "SELECT id, started_at FROM run WHERE experiment = ?1",
                (false, _) => {
                    "SELECT id, started_at FROM run WHERE experiment = ?1 AND deleted_at IS NULL"
                }
            };
            self.sql.query(query, args![*experiment], &mut |row| {
                rows.push((row.int(0)?, row.int(1)?));
                Ok(())
            })?;
        }
        rows.sort_unstable();
        Ok(rows)
    }

    fn column(
        &self,
        field: &Field,
        test: Option<&Test>,
        each: &mut dyn FnMut(i64, Value<'_>),
    ) -> Result<()> {
        let (select, table) = match field {
            Field::Param(key) => return self.texts(0, key, test, each),
            Field::Tag(key) => return self.texts(1, key, test, each),
            Field::Metric(key) => {
                let Some(key) = self.key(key)? else { return Ok(()) };
                let mut say = |row: &Row<'_>| {
                    let value = f64::from_bits(row.int(1)?.cast_unsigned());
                    each(row.int(0)?, Value::Number(value));
                    Ok(())
                };
                let all = "SELECT run, bits FROM run_metric WHERE experiment = ?1 AND key = ?2";
                let some = "SELECT run, bits FROM run_metric WHERE experiment = ?1 AND key = ?2
                            AND (bits BETWEEN ?3 AND ?4 OR bits BETWEEN ?5 AND ?6)";
                for (experiment, _) in self.experiments {
                    match test.and_then(bits) {
                        Some([a, b, c, d]) => {
                            self.sql.query(some, args![*experiment, key, a, b, c, d], &mut say)?;
                        }
                        None => self.sql.query(all, args![*experiment, key], &mut say)?,
                    }
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
        for (experiment, _) in self.experiments {
            self.sql.query(&query, args![*experiment], &mut |row| {
                say_text(row, 1, row.get(0)?, each)
            })?;
        }
        Ok(())
    }

    fn fetch(&self, rows: &[i64]) -> Result<Vec<Run>> {
        fetch(self.sql, rows)
    }
}

/// These runs with all that they logged, in this order.
pub(super) fn fetch(sql: &dyn Sql, rows: &[i64]) -> Result<Vec<Run>> {
    let mut runs = Vec::with_capacity(rows.len());
    let mut keys = HashMap::new();
    for rows in rows.chunks(TOGETHER) {
        let mut found = fetch_some(sql, rows, &mut keys)?;
        runs.extend(rows.iter().filter_map(|row| found.remove(row)));
    }
    Ok(runs)
}

fn fetch_some(
    sql: &dyn Sql,
    rows: &[i64],
    keys: &mut HashMap<i64, String>,
) -> Result<HashMap<i64, Run>> {
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
            let id = row.int(0)?;
            let run = runs.get_mut(&id);
            let run = run.ok_or_else(|| missing(sql, id))?;
            read(run, row)
        })
    };
    // Names of keys are few: each is looked up once, after the rows that have it.
    let (mut points, mut texts) = (Vec::new(), Vec::new());
    each(
        "SELECT run, key, step, at, bits FROM run_metric WHERE run IN ({rows})",
        &mut |_, row| {
            let value = f64::from_bits(row.int(4)?.cast_unsigned());
            let point = Point { step: row.int(2)?, at: row.get(3)?, value };
            points.push((row.int(0)?, row.int(1)?, point));
            Ok(())
        },
    )?;
    each(
        "SELECT run, key, kind, brief, long FROM run_text WHERE run IN ({rows})",
        &mut |_, row| {
            let param = row.get::<i64>(2)? == 0;
            texts.push((row.get::<i64>(0)?, row.get::<i64>(1)?, param, row.text(3)?));
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
    for key in points.iter().map(|p| p.1).chain(texts.iter().map(|t| t.1)) {
        if let Entry::Vacant(unknown) = keys.entry(key) {
            let query = "SELECT name FROM run_key WHERE id = ?1";
            let name = sql.one(query, args![key], |row| row.get(0))?;
            let name = name.ok_or_else(|| sql.damaged("what a run logged", "its key", "none"))?;
            unknown.insert(name);
        }
    }
    let name = |key| keys.get(&key).cloned().unwrap_or_default();
    for (run, key, point) in points {
        if let Some(run) = runs.get_mut(&run) {
            run.metrics.insert(name(key), point);
        }
    }
    for (run, key, param, value) in texts {
        if let Some(run) = runs.get_mut(&run) {
            let map = if param { &mut run.params } else { &mut run.tags };
            map.insert(name(key), value);
        }
    }
    for run in runs.values_mut() {
        run.datasets.sort_unstable();
        run.models.sort_unstable();
    }
    Ok(runs)
}

fn missing(sql: &dyn Sql, row: i64) -> Error {
    sql.damaged("what a run logged", "its run", format!("no row {row}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOW: [Operator; 6] = [
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ];

    fn agrees(how: Operator, bound: f64, value: f64) {
        let test = Test::Number(how, bound);
        let Some([a, b, c, d]) = bits(&test) else { return };
        let at = value.to_bits().cast_signed();
        let found = (a..=b).contains(&at) || (c..=d).contains(&at);
        assert_eq!(found, test.of(Value::Number(value)), "{value:?} {how} {bound:?}");
    }

    #[test]
    fn integers_are_compared_as_their_numbers_are() {
        let (inf, nan, tiny) = (f64::INFINITY, f64::NAN, 5e-324);
        let mut values = vec![0.0, tiny, f64::MIN_POSITIVE, 0.5, 1.0, f64::MAX, inf, nan];
        values.extend(values.clone().into_iter().map(|x: f64| -x));
        values.push(f64::from_bits(u64::MAX));
        for how in HOW {
            for bound in &values {
                for value in &values {
                    agrees(how, *bound, *value);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bits(how in 0_usize..6, bound: u64, value: u64, near in -2_i64..3) {
            let near = bound.wrapping_add_signed(near);
            for value in [value, near, value ^ (1 << 63), near ^ (1 << 63)] {
                agrees(HOW[how], f64::from_bits(bound), f64::from_bits(value));
            }
        }
    }
}
