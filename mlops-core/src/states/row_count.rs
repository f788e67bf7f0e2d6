//! How many rows there are.

use serde::{Deserialize, Serialize};

use crate::bytes::{add_count, put_u64, take_count};
use crate::{Analyzer, Description, Result, Rows, State, Statistics};

/// The number of rows, null or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCount;

impl Analyzer for RowCount {
    type State = u64;
    type Output = u64;

    fn columns(&self) -> Vec<String> {
        Vec::new()
    }

    fn start(&self) -> u64 {
        0
    }

    fn update(&self, state: &mut u64, rows: &Rows<'_>) -> Result<()> {
        *state += rows.len() as u64;
        Ok(())
    }

    fn settle(&self, state: &mut u64, statistics: &Statistics) -> Result<bool> {
        add_count(state, statistics.rows());
        Ok(true)
    }

    fn finish(&self, state: u64) -> Result<u64> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<u64> {
        take_count(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("row_count", 1, self))
    }
}

/// A count is a state.
impl State for u64 {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(self, other);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, *self);
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
