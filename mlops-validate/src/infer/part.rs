//! Training rows in two parts, told apart by their names alone.

use arrow::array::BooleanArray;
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, Digest, Result, Rows};

/// A measurement of a share of the rows, or of all the others. Which rows these are is a question
/// of their names: the same for any cutting.
#[derive(Debug)]
pub(super) struct InPart<A> {
    pub(super) of: A,
    /// The share that is held back.
    pub(super) share: f64,
    /// Whether the rows that are held back are measured, or the others.
    pub(super) held_back: bool,
}

impl<A: Analyzer> Analyzer for InPart<A> {
    type State = A::State;
    type Output = A::Output;

    fn columns(&self) -> Vec<String> {
        self.of.columns()
    }

    fn start(&self) -> A::State {
        self.of.start()
    }

    fn update(&self, state: &mut A::State, rows: &Rows<'_>) -> Result<()> {
        if self.share == 0.0 && !self.held_back {
            return self.of.update(state, rows);
        }
        let digest = Digest::of(rows.origin());
        let seed = u64::from_str_radix(&digest.hex()[..16], 16).unwrap_or(0);
        let mask: BooleanArray = (0..rows.len())
            .map(|row| {
                let drawn = Draws::new(seed, 7, rows.row_number(row)).uniform() < self.share;
                Some(drawn == self.held_back)
            })
            .collect();
        let chosen = rows.select(&mask)?;
        self.of.update(state, &chosen.rows())
    }

    fn finish(&self, state: A::State) -> Result<A::Output> {
        self.of.finish(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<A::State> {
        self.of.decode(bytes)
    }
}
