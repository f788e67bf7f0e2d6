//! A measurement: how many even and odd numbers a column holds.

use mlops_core::arrow::array::Array;
use mlops_core::bytes::{add_count, put_u64, take_count};
use mlops_core::{Analyzer, Description, Result, Rows, State};

/// Counts even and odd values of a column; other numbers and nulls are neither.
#[derive(Clone, Debug, PartialEq)]
pub struct Parity {
    /// The column.
    pub column: String,
}

/// Even and odd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvenOdd {
    /// Even values.
    pub even: u64,
    /// Odd values.
    pub odd: u64,
}

impl State for EvenOdd {
    fn merge(&mut self, other: Self) -> Result<()> {
        add_count(&mut self.even, other.even);
        add_count(&mut self.odd, other.odd);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.even);
        put_u64(out, self.odd);
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl Analyzer for Parity {
    type State = EvenOdd;
    type Output = EvenOdd;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> EvenOdd {
        EvenOdd::default()
    }

    fn update(&self, state: &mut EvenOdd, rows: &Rows<'_>) -> Result<()> {
        let numbers = rows.numbers(&self.column)?;
        for value in (0..numbers.len()).filter(|&i| numbers.is_valid(i)).map(|i| numbers.value(i)) {
            add_count(&mut state.even, u64::from(value % 2.0 == 0.0));
            add_count(&mut state.odd, u64::from((value % 2.0).abs() == 1.0));
        }
        Ok(())
    }

    fn finish(&self, state: EvenOdd) -> Result<EvenOdd> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<EvenOdd> {
        Ok(EvenOdd { even: take_count(bytes)?, odd: take_count(bytes)? })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("third_party.parity", 1, &self.column))
    }
}
