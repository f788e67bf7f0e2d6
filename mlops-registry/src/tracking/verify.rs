//! A look at what tracking keeps.
//!
//! Rows of runs have no seals, unlike those of the registry: they are many, and they change. What
//! is checked is what they say twice: chunks of points against their checksums and against the
//! row of their metric, and datasets against their identity.

use mlops_core::{Digest, Error, Result, Timestamp};

use super::batch::Point;
use super::run::{Dataset, RunStatus};
use crate::sql::{Row, Sql, Verification, args};

/// What the row of a metric says of its points.
#[derive(Clone, Copy, PartialEq)]
struct Said {
    last: (i64, i64, u64),
    chunks: i64,
    tail: i64,
}

/// The chunks of one metric, as they come.
#[derive(Default)]
struct Seen {
    metric: (i64, i64),
    said: Option<Said>,
    chunks: i64,
    tail: i64,
    last: Option<Point>,
}

impl Seen {
    /// What is wrong with the metric, now that all of it was seen.
    fn flaw(&self) -> Option<&'static str> {
        let last = self.last.map(|p| (p.step, p.at.millis(), p.value.to_bits()));
        let found = last.map(|last| Said { last, chunks: self.chunks, tail: self.tail });
        match self.said {
            _ if self.chunks == 0 => None,
            None => Some("points of no metric"),
            said if said != found => Some("its last point is not that of its chunks"),
            _ => None,
        }
    }
}

impl dyn Sql + '_ {
    pub(crate) fn verify_tracking(&self, found: &mut Verification) {
        let runs = self.query("SELECT run, status FROM run ORDER BY id", args![], &mut |row| {
            let (id, status) = (row.get::<String>(0)?, row.get::<String>(1)?);
            found.runs += 1;
            if let Err(e) = status.parse::<RunStatus>() {
                found.say(format!("run {id}"), e);
            }
            Ok(())
        });
        found.or_say("runs", runs);
        let points = self.verify_points(found);
        found.or_say("points of metrics", points);
        let datasets = self.verify_datasets(found);
        found.or_say("datasets of runs", datasets);
        for (what, query) in [
            (
                "metrics without points",
                "SELECT count(*) FROM run_metric m WHERE NOT EXISTS
                     (SELECT 1 FROM run_points p WHERE p.run = m.run AND p.key = m.key)",
            ),
            (
                "metrics in another experiment than their run",
                "SELECT count(*) FROM run_metric m JOIN run r ON r.id = m.run
                 WHERE m.experiment <> r.experiment",
            ),
            (
                "parameters and tags in another experiment than their run",
                "SELECT count(*) FROM run_text t JOIN run r ON r.id = t.run
                 WHERE t.experiment <> r.experiment",
            ),
            (
                "datasets in another experiment than their run",
                "SELECT count(*) FROM run_input i JOIN run r ON r.id = i.run
                 WHERE i.experiment <> r.experiment",
            ),
            (
                "parameters and tags without a value, or with two",
                "SELECT count(*) FROM run_text WHERE (brief IS NULL) = (long IS NULL)",
            ),
        ] {
            let rows = self.one(query, args![], |row| row.get::<i64>(0));
            let rows = found.or_say("runs", rows).unwrap_or(0);
            if rows > 0 {
                found.say("runs", format!("{rows} {what}"));
            }
        }
    }

    fn verify_points(&self, found: &mut Verification) -> Result<()> {
        let query = "SELECT p.run, p.key, p.seq, p.min_step, p.max_step, p.points,
                            m.step, m.at, m.bits, m.chunks, m.tail, m.value
                     FROM run_points p LEFT JOIN run_metric m ON m.run = p.run AND m.key = p.key
                     ORDER BY p.run, p.key, p.seq";
        let mut seen = Seen::default();
        let say = |found: &mut Verification, (run, key): (i64, i64), flaw: &str| {
            found.say(format!("metric {key} of the run in row {run}"), flaw);
        };
        let mut points = Vec::new();
        self.query(query, args![], &mut |row| {
            let metric = (row.get::<i64>(0)?, row.get::<i64>(1)?);
            if metric != seen.metric {
                if let Some(flaw) = seen.flaw() {
                    say(found, seen.metric, flaw);
                }
                seen = Seen { metric, said: said(row)?, ..Seen::default() };
                if !value_agrees(row)? {
                    say(found, metric, "its value is not what its bits say");
                }
            }
            seen.chunks += 1;
            if row.get::<i64>(2)? != seen.chunks {
                say(found, metric, "a chunk of points is missing");
                seen.chunks = row.get(2)?;
            }
            seen.tail = row.with(5, |cell| match cell {
                crate::sql::Cell::Blob(bytes) => Ok(bytes.len() as i64),
                _ => Err("bytes"),
            })?;
            points.clear();
            if let Err(e) = row.points(5, &mut points) {
                say(found, metric, &e.to_string());
                return Ok(());
            }
            found.points += points.len() as u64;
            let steps = || points.iter().map(|p| p.step);
            if (steps().min(), steps().max()) != (Some(row.get(3)?), Some(row.get(4)?)) {
                say(found, metric, "a chunk has other steps than its row says");
            }
            for point in &points {
                if seen.last.is_none_or(|last| last.order() <= point.order()) {
                    seen.last = Some(*point);
                }
            }
            Ok(())
        })?;
        if let Some(flaw) = seen.flaw() {
            say(found, seen.metric, flaw);
        }
        Ok(())
    }

    fn verify_datasets(&self, found: &mut Verification) -> Result<()> {
        let query = "SELECT run, name, digest, source, context, identity FROM run_input";
        self.query(query, args![], &mut |row| {
            let dataset = Dataset {
                name: row.get(1)?,
                digest: row.get(2)?,
                source: row.get(3)?,
                context: row.get(4)?,
            };
            let json = serde_json::to_vec(&dataset).map_err(|e| Error::other("dataset", e))?;
            if Digest::of(json) != row.get::<Digest>(5)? {
                let run = row.get::<i64>(0)?;
                found.say(format!("dataset of the run in row {run}"), "not what it was logged as");
            }
            Ok(())
        })
    }
}

fn said(row: &Row<'_>) -> Result<Option<Said>> {
    let Some(step) = row.get::<Option<i64>>(6)? else { return Ok(None) };
    let at = row.get::<Timestamp>(7)?.millis();
    let last = (step, at, row.get::<i64>(8)?.cast_unsigned());
    Ok(Some(Said { last, chunks: row.get(9)?, tail: row.get(10)? }))
}

/// Whether the number for people is the one that counts. NULL stands for NaN, and SQLite has one
/// zero.
fn value_agrees(row: &Row<'_>) -> Result<bool> {
    let Some(bits) = row.get::<Option<i64>>(8)? else { return Ok(true) };
    let kept = f64::from_bits(bits.cast_unsigned());
    Ok(row.get::<Option<f64>>(11)?.map_or(kept.is_nan(), |value| value == kept))
}
