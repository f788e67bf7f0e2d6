//! Counting a column in given cells: the one analyzer of this crate.

use arrow::array::Array;
use mlops_core::bytes::{add_count, bad, put_len, put_u64, take_len, take_u64};
use mlops_core::states::{Histogram, HistogramState};
use mlops_core::{Analyzer, Categories, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::profile::reference::Cells;
use crate::statistics::tables::MOST_ROWS;

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
        let apart = [self.nan, self.negative_infinite, self.positive_infinite];
        apart.into_iter().fold(self.nulls, u64::saturating_add)
    }

    /// Rows with a value that is in a cell.
    pub fn values(&self) -> u64 {
        self.cells.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.missing().saturating_add(self.values())
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
        add_count(&mut self.nulls, other.nulls);
        add_count(&mut self.nan, other.nan);
        add_count(&mut self.negative_infinite, other.negative_infinite);
        add_count(&mut self.positive_infinite, other.positive_infinite);
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            add_count(mine, *theirs);
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
/// The state is integers: it merges by addition, and takes `8 (cells + 4)` bytes. Numbers are
/// counted by [`Histogram`], labels as [`Rows::categories`] reads them; a column of type `Null` is
/// all nulls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct CountAtCells {
    column: String,
    cells: Cells,
    /// The counter of numbers, where the cells are edges.
    histogram: Option<Histogram>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    column: String,
    cells: Cells,
}

impl TryFrom<Written> for CountAtCells {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Self::new(written.column, written.cells)
    }
}

impl From<CountAtCells> for Written {
    fn from(counts: CountAtCells) -> Self {
        Self { column: counts.column, cells: counts.cells }
    }
}

impl CountAtCells {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "drift_counts";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;

    /// Counts this column in these cells.
    ///
    /// # Errors
    /// [`Error::Invalid`] for edges or labels that are not strictly increasing.
    pub fn new(column: impl Into<String>, cells: Cells) -> Result<Self> {
        let column = column.into();
        cells.check().map_err(|expected| {
            Error::invalid(format!("cells of `{column}`"), expected, "others")
        })?;
        let histogram = match &cells {
            Cells::Edges(edges) => Some(Histogram::new(&column, edges.to_vec())?),
            Cells::Labels(_) => None,
        };
        Ok(Self { column, cells, histogram })
    }
}

/// What [`CountAtCells`] has counted so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountState {
    /// At edges.
    #[doc(hidden)]
    Numbers(HistogramState),
    /// By label.
    #[doc(hidden)]
    Labels(ColumnCounts),
}

impl Analyzer for CountAtCells {
    type State = CountState;
    type Output = ColumnCounts;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> CountState {
        match &self.histogram {
            Some(histogram) => CountState::Numbers(histogram.start()),
            None => CountState::Labels(ColumnCounts::of(&self.cells)),
        }
    }

    fn update(&self, state: &mut CountState, rows: &Rows<'_>) -> Result<()> {
        match (&self.histogram, &self.cells, state) {
            (Some(histogram), _, CountState::Numbers(state)) => histogram.update(state, rows),
            (None, Cells::Labels(labels), CountState::Labels(state)) => {
                count_labels(labels, rows.categories(&self.column)?, state);
                Ok(())
            }
            _ => Err(foreign()),
        }
    }

    fn finish(&self, state: CountState) -> Result<ColumnCounts> {
        let counts = match (&self.histogram, state) {
            (Some(histogram), CountState::Numbers(state)) => {
                let counted = histogram.finish(state)?;
                ColumnCounts {
                    nulls: counted.nulls,
                    nan: counted.nans,
                    negative_infinite: counted.negative_infinities,
                    positive_infinite: counted.positive_infinities,
                    cells: counted.cells,
                }
            }
            (None, CountState::Labels(counts)) => counts,
            _ => return Err(foreign()),
        };
        // What is made of them adds them up.
        if counts.checked_rows().is_none() {
            let what = format!("rows of `{}`", self.column);
            return Err(Error::invalid(what, "at most 2^62", "more"));
        }
        Ok(counts)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<CountState> {
        match &self.histogram {
            Some(histogram) => histogram.decode(bytes).map(CountState::Numbers),
            None => ColumnCounts::decode(bytes, &self.cells).map(CountState::Labels),
        }
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}

impl State for CountState {
    fn merge(&mut self, other: Self) -> Result<()> {
        match (self, other) {
            (Self::Numbers(mine), Self::Numbers(theirs)) => mine.merge(theirs),
            (Self::Labels(mine), Self::Labels(theirs))
                if mine.cells.len() == theirs.cells.len() =>
            {
                mine.add(&theirs);
                Ok(())
            }
            _ => Err(foreign()),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Numbers(state) => state.encode(out),
            Self::Labels(counts) => counts.encode(out),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Numbers(state) => state.size(),
            Self::Labels(counts) => size_of::<Self>() + 8 * counts.cells.len(),
        }
    }
}

fn foreign() -> Error {
    Error::merge("counts in cells", "the other was counted in other cells")
}

fn count_labels(labels: &[String], categories: &Categories, counts: &mut ColumnCounts) {
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
    counts.nulls += codes.null_count() as u64;
    if codes.null_count() == 0 {
        for code in codes.values() {
            counts.cells[cell_of[*code as usize]] += 1;
        }
    } else {
        for code in codes.iter().flatten() {
            counts.cells[cell_of[code as usize]] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array, NullArray, StringArray};
    use mlops_core::{batch, conformance};

    use super::*;

    #[test]
    fn the_contract_holds_on_nasty_data() {
        let rows = batch! {
            "x" => Float64Array::from(vec![
                Some(f64::NAN), Some(-0.0), Some(0.0), None, Some(f64::INFINITY), Some(1e300),
                Some(f64::NEG_INFINITY), Some(5e-324), Some(1.0), Some(1.0), Some(-1e300),
            ]),
            "c" => StringArray::from(vec![
                Some("a"), Some("b"), None, Some("zz"), Some("a"), Some(""), Some("a"), None,
                Some("é"), Some("b"), Some("a"),
            ]),
            "k" => Int32Array::from(vec![Some(1), Some(2), None, Some(1), Some(-7), Some(9), Some(1),
                Some(2), Some(2), Some(2), Some(1)]),
            "nothing" => NullArray::new(11),
        }
        .expect("a batch");
        let edges = Cells::Edges([-1.0, 0.0, 1.0].into());
        let labels = |l: &[&str]| Cells::Labels(l.iter().map(|l| (*l).to_owned()).collect());
        for (column, cells) in [
            ("x", edges.clone()),
            ("k", edges.clone()),
            ("nothing", edges.clone()),
            ("c", labels(&["", "a", "b"])),
            ("k", labels(&["1", "2"])),
            ("nothing", labels(&[])),
        ] {
            conformance::analyzer(&CountAtCells::new(column, cells).expect("cells"), &rows);
        }
        let count = CountAtCells::new("x", edges).expect("cells");
        let mut state = count.start();
        count.update(&mut state, &Rows::new(&rows)).expect("counts");
        let counts = count.finish(state).expect("counts");
        assert_eq!(counts.cells(), [1, 0, 0, 2, 1, 2, 1]);
        assert_eq!((counts.nulls(), counts.nan(), counts.missing()), (1, 1, 4));
        assert_eq!(counts.rows(), 11);
        assert!(CountAtCells::new("x", Cells::Edges([1.0, 1.0].into())).is_err());
        assert!(CountAtCells::new("x", Cells::Edges([f64::NAN].into())).is_err());
        assert!(CountAtCells::new("x", labels(&["b", "a"])).is_err());
    }
}
