//! What rows of tracking say.

use mlops_core::{Error, Result};

use super::batch::Point;
use super::chunk;
use super::run::{Run, RunStatus};
use crate::sql::{Cell, Row};

/// The longest value of a parameter or tag that stands in an index, in bytes.
pub(super) const BRIEF_BYTES: usize = 200;

/// The columns of [`read_run`].
pub(super) const RUN: &str = "id, run, experiment, name, parent, status, person, source, code,
                              started_at, ended_at, deleted_at";

/// A run without what it logged, and its row.
pub(super) fn read_run(row: &Row<'_>) -> Result<(i64, Run)> {
    let status: RunStatus = row.get::<String>(5)?.parse()?;
    let experiment = row.get::<i64>(2)?.cast_unsigned();
    let (id, name): (String, String) = (row.get(1)?, row.get(3)?);
    let mut run = Run::new(id, experiment, name, status, row.get(9)?);
    run.parent = row.get(4)?;
    run.user = row.get(6)?;
    run.source = row.get(7)?;
    run.commit = row.get(8)?;
    run.ended_at = row.get(10)?;
    run.deleted_at = row.get(11)?;
    Ok((row.get(0)?, run))
}

impl Row<'_> {
    /// A text that stands in this column, or else in the next.
    pub(super) fn text(&self, brief: usize) -> Result<String> {
        match self.get::<Option<String>>(brief)? {
            Some(text) => Ok(text),
            None => self.get(brief + 1),
        }
    }

    /// Appends the points of a chunk to these.
    pub(super) fn points(&self, column: usize, points: &mut Vec<Point>) -> Result<()> {
        let mut decoded: Result<(), Error> = Ok(());
        self.with(column, |cell| {
            let Cell::Blob(bytes) = cell else { return Err("points of a metric") };
            decoded = chunk::decode(bytes, points);
            Ok(())
        })?;
        decoded
    }
}
