//! The two measurements behind every row-by-row expectation: nulls, and values that fail a test.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use mlops_core::bytes::{put_u64, take_u64};
use mlops_core::{Analyzer, Description, Result, Rows, State};
use serde_json::Value;

use crate::failing_rows::FailingRows;
use crate::values::{apply, present};

/// How many rows there are and which are null; all expectations of a column share it.
#[derive(Clone, Debug)]
pub(crate) struct NullCount {
    pub(crate) column: String,
}

/// Rows, and those of them that are null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nulls {
    pub(crate) rows: u64,
    pub(crate) nulls: FailingRows,
}

impl Analyzer for NullCount {
    type State = Nulls;
    type Output = Nulls;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> Nulls {
        Nulls::default()
    }

    fn update(&self, state: &mut Nulls, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        state.rows += rows.len() as u64;
        if let Some(failing) = nulls_of(column) {
            state.nulls.update(rows, column, &failing)?;
        }
        Ok(())
    }

    fn finish(&self, state: Nulls) -> Result<Nulls> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Nulls> {
        Ok(Nulls { rows: take_u64(bytes)?, nulls: FailingRows::decode(bytes)? })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/null_count", 1, &self.column))
    }
}

impl State for Nulls {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.rows += other.rows;
        self.nulls.merge(other.nulls);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        self.nulls.encode(out);
    }

    fn size(&self) -> usize {
        size_of::<u64>() + self.nulls.size()
    }
}

/// The rows without a value, `None` where all have one.
pub(crate) fn nulls_of(column: &ArrayRef) -> Option<BooleanBuffer> {
    present(column).map(|present| !&present)
}

/// Whether each value of an array passes; compiled for the type of one column.
pub(crate) type Passes = dyn Fn(&ArrayRef) -> Result<BooleanBuffer> + Send + Sync;

/// A test of single values: nulls always pass.
#[derive(Clone)]
pub(crate) struct Test {
    pub(crate) column: String,
    /// What is tested, written down: equal tests are made once.
    pub(crate) params: Value,
    pub(crate) passes: Arc<Passes>,
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Test").field("params", &self.params).finish_non_exhaustive()
    }
}

impl Test {
    /// The rows whose value does not pass.
    pub(crate) fn failing(&self, column: &ArrayRef) -> Result<BooleanBuffer> {
        let failing = !&apply(column, &*self.passes)?;
        Ok(match present(column) {
            Some(present) => &failing & &present,
            None => failing,
        })
    }
}

/// Which values fail a test.
#[derive(Clone, Debug)]
pub(crate) struct Unexpected(pub(crate) Test);

impl Analyzer for Unexpected {
    type State = FailingRows;
    type Output = FailingRows;

    fn columns(&self) -> Vec<String> {
        vec![self.0.column.clone()]
    }

    fn start(&self) -> FailingRows {
        FailingRows::default()
    }

    fn update(&self, state: &mut FailingRows, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.0.column)?;
        state.update(rows, column, &self.0.failing(column)?)
    }

    fn finish(&self, state: FailingRows) -> Result<FailingRows> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<FailingRows> {
        FailingRows::decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/unexpected", 1, &self.0.params))
    }
}

impl State for FailingRows {
    fn merge(&mut self, other: Self) -> Result<()> {
        Self::merge(self, other);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        Self::encode(self, out);
    }

    fn size(&self) -> usize {
        Self::size(self)
    }
}
