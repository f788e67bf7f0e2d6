//! How many rows of a column have a value.

use mlops_core::bytes::{add_count, bad, put_u64, take_count};
use mlops_core::{Analyzer, Description, Result, Rows, State};
use serde::Serialize;

use crate::values::present;

/// Rows, and those with a value; of any type.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Presence {
    pub(crate) column: String,
}

/// The state and the result of [`Presence`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) rows: u64,
    pub(crate) present: u64,
}

impl Analyzer for Presence {
    type State = Present;
    type Output = Present;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> Present {
        Present::default()
    }

    fn update(&self, state: &mut Present, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        let there = present(column).map_or(rows.len(), |there| there.count_set_bits());
        add_count(&mut state.rows, rows.len() as u64);
        add_count(&mut state.present, there as u64);
        Ok(())
    }

    fn finish(&self, state: Present) -> Result<Present> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Present> {
        let state = Present { rows: take_count(bytes)?, present: take_count(bytes)? };
        if state.present > state.rows {
            return Err(bad(bytes, format!("at most {} rows", state.rows), state.present));
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/presence", 1, self))
    }
}

impl State for Present {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.present, other.present);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        put_u64(out, self.present);
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}
