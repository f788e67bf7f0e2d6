//! Counting a column in given cells: the one analyzer of this crate.

use arrow::array::{Array, Float64Array};
use arrow::datatypes::DataType;
use mlops_core::bytes::{bad, put_len, put_u64, take_len, take_u64};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::profile::Cells;
use crate::tables::MOST_ROWS;

/// How the rows of a column fall into its cells; nulls, NaN and infinities are counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnCounts {
    pub(crate) nulls: u64,
    pub(crate) nan: u64,
    pub(crate) negative_infinite: u64,
    pub(crate) positive_infinite: u64,
    pub(crate) cells: Vec<u64>,
}

impl ColumnCounts {
    fn of(cells: &Cells) -> Self {
        Self {
            nulls: 0,
            nan: 0,
            negative_infinite: 0,
            positive_infinite: 0,
            cells: vec![0; cells.len()],
        }
    }

    /// Rows that are null.
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// Rows that are NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    /// Rows that are −∞.
    pub fn negative_infinite(&self) -> u64 {
        self.negative_infinite
    }

    /// Rows that are +∞.
    pub fn positive_infinite(&self) -> u64 {
        self.positive_infinite
    }

    /// Rows that are null, NaN or infinite: not in a cell.
    pub fn missing(&self) -> u64 {
        self.nulls + self.nan + self.negative_infinite + self.positive_infinite
    }

    /// Rows with a value that is in a cell.
    pub fn values(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.missing() + self.values()
    }

    /// The rows in each cell, as [`Cells`] orders them.
    pub fn cells(&self) -> &[u64] {
        &self.cells
    }

    fn all(&self) -> impl Iterator<Item = u64> {
        let apart = [self.nulls, self.nan, self.negative_infinite, self.positive_infinite];
        apart.into_iter().chain(self.cells.iter().copied())
    }

    /// All rows, if that is a number that arithmetic on counts can bear.
    pub(crate) fn checked_rows(&self) -> Option<u64> {
        let rows = self.all().try_fold(0u64, u64::checked_add)?;
        (rows <= MOST_ROWS).then_some(rows)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.nulls += other.nulls;
        self.nan += other.nan;
        self.negative_infinite += other.negative_infinite;
        self.positive_infinite += other.positive_infinite;
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            *mine += theirs;
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.cells.len());
        self.all().for_each(|count| put_u64(out, count));
    }

    pub(crate) fn decode(bytes: &mut &[u8], cells: &Cells) -> Result<Self> {
        let n = take_len(bytes, 8)?;
        if n != cells.len() {
            return Err(bad(bytes, format!("{} cells", cells.len()), n));
        }
        let counts = Self {
            nulls: take_u64(bytes)?,
            nan: take_u64(bytes)?,
            negative_infinite: take_u64(bytes)?,
            positive_infinite: take_u64(bytes)?,
            cells: (0..n).map(|_| take_u64(bytes)).collect::<Result<_>>()?,
        };
        match counts.checked_rows() {
            Some(_) => Ok(counts),
            None => Err(bad(bytes, "counts of at most 2^62 rows", "more")),
        }
    }
}

/// Counts a column in given cells.
///
/// The state is integers: it merges by addition, and takes `8 (cells + 4)` bytes. Numbers are read
/// as [`Rows::numbers`] reads them, labels as [`Rows::categories`] does; a column of type `Null` is
/// all nulls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountAtCells {
    column: String,
    cells: Cells,
}

impl CountAtCells {
    /// Counts this column in these cells.
    pub fn new(column: impl Into<String>, cells: Cells) -> Self {
        Self { column: column.into(), cells }
    }
}

impl Analyzer for CountAtCells {
    type State = ColumnCounts;
    type Output = ColumnCounts;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> ColumnCounts {
        ColumnCounts::of(&self.cells)
    }

    fn update(&self, state: &mut ColumnCounts, rows: &Rows<'_>) -> Result<()> {
        if rows.column(&self.column)?.data_type() == &DataType::Null {
            state.nulls += rows.len() as u64;
            return Ok(());
        }
        match &self.cells {
            Cells::Edges(edges) => count_numbers(edges, rows.numbers(&self.column)?, state),
            Cells::Labels(labels) => {
                let categories = rows.categories(&self.column)?;
                let cell_of: Vec<usize> = categories
                    .labels()
                    .iter()
                    .map(|label| {
                        let label = label.unwrap_or_default();
                        let found = labels.binary_search_by(|known| known.as_str().cmp(label));
                        found.unwrap_or(labels.len())
                    })
                    .collect();
                let codes = categories.codes();
                state.nulls += codes.null_count() as u64;
                if codes.null_count() == 0 {
                    for code in codes.values() {
                        state.cells[cell_of[*code as usize]] += 1;
                    }
                } else {
                    for code in codes.iter().flatten() {
                        state.cells[cell_of[code as usize]] += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(&self, state: ColumnCounts) -> Result<ColumnCounts> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<ColumnCounts> {
        ColumnCounts::decode(bytes, &self.cells)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("drift_counts", 1, self))
    }
}

impl State for ColumnCounts {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cells.len() != other.cells.len() {
            let reason = format!("{} cells and {}", self.cells.len(), other.cells.len());
            return Err(Error::merge("counts in cells", reason));
        }
        self.add(&other);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        ColumnCounts::encode(self, out);
    }

    fn size(&self) -> usize {
        size_of::<Self>() + 8 * self.cells.len()
    }
}

fn count_numbers(edges: &[f64], values: &Float64Array, counts: &mut ColumnCounts) {
    counts.nulls += values.null_count() as u64;
    for x in values.iter().flatten() {
        if x.is_finite() {
            let i = edges.partition_point(|edge| *edge < x);
            let on = edges.get(i).is_some_and(|edge| *edge == x);
            counts.cells[2 * i + usize::from(on)] += 1;
        } else if x.is_nan() {
            counts.nan += 1;
        } else if x > 0.0 {
            counts.positive_infinite += 1;
        } else {
            counts.negative_infinite += 1;
        }
    }
}
