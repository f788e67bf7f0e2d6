//! Counting a column in given cells: the one analyzer of this crate.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, Float64Array};
use mlops_core::bytes::{add_count, bad, put_len, put_str, put_u8, take_len, take_u8};
use mlops_core::states::{Histogram, HistogramState, NumericSummary, Summary};
use mlops_core::{Analyzer, Categories, Description, Digest, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::profile::cells::Cells;
use crate::profile::family::Family;

/// As many rows as the bytes of summaries and counts can be read back with.
pub(crate) const MOST_ROWS: u64 = 1 << 56;

/// How the rows of a column fall into its cells; nulls, NaN and infinities are counted apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnCounts {
    pub(crate) nulls: u64,
    pub(crate) nan: u64,
    pub(crate) negative_infinite: u64,
    pub(crate) positive_infinite: u64,
    pub(crate) cells: Vec<u64>,
    /// Of numbers.
    pub(crate) summary: Option<Box<Summary>>,
}

impl ColumnCounts {
    /// Nothing counted yet, by label.
    fn of_labels(cells: &Cells) -> Self {
        Self {
            nulls: 0,
            nan: 0,
            negative_infinite: 0,
            positive_infinite: 0,
            cells: vec![0; cells.len()],
            summary: None,
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
        // In halves, which can't overflow: a loop without a check takes several at a time.
        let halves = self.cells.iter().fold((0u64, 0u64), |(low, high), n| {
            (low + (n & u64::from(u32::MAX)), high + (n >> 32))
        });
        let sum = u128::from(halves.0) + (u128::from(halves.1) << 32);
        u64::try_from(sum).unwrap_or(u64::MAX)
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.missing().saturating_add(self.values())
    }

    /// The rows in each cell, as [`Cells`] orders them.
    pub fn cells(&self) -> &[u64] {
        &self.cells
    }

    /// Minimum, maximum, exact sum, mean and variance of the finite values of a column that is
    /// counted as numbers; `None` for one that is counted by label.
    ///
    /// In the unit of the column's [`Family`](crate::Family): dates are days, times are seconds,
    /// milliseconds, microseconds or nanoseconds, decimals their value. Sums are reproducible
    /// ([`Sum`](mlops_core::states::Sum)): the same bits however the rows came. Numbers beyond
    /// 2⁵³ were rounded when they were read.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_deref()
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

    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        add_count(&mut self.nulls, other.nulls);
        add_count(&mut self.nan, other.nan);
        add_count(&mut self.negative_infinite, other.negative_infinite);
        add_count(&mut self.positive_infinite, other.positive_infinite);
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            add_count(mine, *theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.summary, &other.summary) {
            mine.merge(**theirs)?;
        }
        Ok(())
    }

    /// What is wrong with counts that no column in these cells has.
    pub(crate) fn check(&self, cells: &Cells) -> Result<(), &'static str> {
        if self.cells.len() != cells.len() {
            return Err("a count for each cell");
        }
        if self.checked_rows().is_none() {
            return Err("counts of at most 2^56 rows");
        }
        match (cells, &self.summary) {
            (Cells::Edges(edges), Some(summary)) => {
                let apart = [
                    (summary.rows, self.rows()),
                    (summary.nulls, self.nulls),
                    (summary.nans, self.nan),
                    (summary.negative_infinities, self.negative_infinite),
                    (summary.positive_infinities, self.positive_infinite),
                    (summary.n(), self.values()),
                ];
                let taken = |count: &u64| *count > 0;
                let ends = [
                    (summary.min, self.cells.iter().position(taken)),
                    (summary.max, self.cells.iter().rposition(taken)),
                ];
                let agree = apart.iter().all(|(a, b)| a == b)
                    && ends.into_iter().all(|(x, cell)| x.map(|x| cell_of(edges, x)) == cell);
                if agree { Ok(()) } else { Err("a summary of the values that were counted") }
            }
            (Cells::Labels(_), None) => Ok(()),
            (Cells::Edges(_), None) => Err("a summary of numbers"),
            (Cells::Labels(_), Some(_)) => Err("no summary of labels"),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.cells.len());
        self.all().for_each(|count| put_varint(out, count));
        put_u8(out, u8::from(self.summary.is_some()));
        if let Some(summary) = &self.summary {
            summary.encode(out);
        }
    }

    pub(crate) fn decode(bytes: &mut &[u8], cells: &Cells) -> Result<Self> {
        let n = take_len(bytes, 1)?;
        if n != cells.len() {
            return Err(bad(bytes, format!("{} cells", cells.len()), n));
        }
        let counts = Self {
            nulls: take_varint(bytes)?,
            nan: take_varint(bytes)?,
            negative_infinite: take_varint(bytes)?,
            positive_infinite: take_varint(bytes)?,
            cells: (0..n).map(|_| take_varint(bytes)).collect::<Result<_>>()?,
            summary: match take_u8(bytes)? {
                0 => None,
                1 => Some(Box::new(NumericSummary::new("").decode(bytes)?)),
                other => return Err(bad(bytes, "0 or 1", other)),
            },
        };
        counts.check(cells).map_err(|expected| bad(bytes, expected, "others"))?;
        Ok(counts)
    }
}

/// Appends seven bits a byte, the lowest first: most cells have few rows, and half of them none.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        put_u8(out, value as u8 | 0x80);
        value >>= 7;
    }
    put_u8(out, value as u8);
}

/// Takes a number in as few bytes as it needs.
fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_u8(bytes)?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
            break;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(bad(bytes, "a number below 2^64 in as few bytes as it needs", "others"))
}

/// The cell of a finite value among edges.
fn cell_of(edges: &[f64], x: f64) -> usize {
    let below = edges.partition_point(|edge| *edge < x);
    2 * below + usize::from(edges.get(below) == Some(&x))
}

/// Counts a column in given cells.
///
/// The state is integers: it merges by addition, and takes `8 (cells + 4)` bytes, and 200 more for
/// the summary of numbers. Numbers are counted by [`Histogram`] and summed up by
/// [`NumericSummary`] in the same visit, labels as [`Rows::categories`] reads them; a column of
/// type `Null` is all nulls.
///
/// A clone shares what was made ready for counting.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct CountAtCells {
    column: String,
    cells: Cells,
    /// Made when first needed: it takes as long as to count some hundred thousand rows.
    ready: Arc<OnceLock<Ready>>,
}

/// What follows from the column and its cells.
#[derive(Debug)]
struct Ready {
    /// What counts and sums up numbers, where the cells are edges.
    numbers: Option<(Histogram, NumericSummary)>,
    identity: Digest,
}

impl PartialEq for CountAtCells {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column && self.cells == other.cells
    }
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
        Ok(Self { column, cells, ready: Arc::default() })
    }

    /// The column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The cells.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    fn ready(&self) -> &Ready {
        self.ready.get_or_init(|| {
            let numbers = match &self.cells {
                // Its edges were looked at, so there is one.
                Cells::Edges(edges) => Histogram::new(&self.column, edges.to_vec()).ok(),
                Cells::Labels(_) => None,
            };
            let mut bytes = Vec::new();
            put_str(&mut bytes, &self.column);
            put_u8(&mut bytes, u8::from(self.cells.is_categorical()));
            self.cells.encode(&mut bytes);
            Ready {
                numbers: numbers.map(|histogram| (histogram, NumericSummary::new(&self.column))),
                identity: Digest::of(bytes),
            }
        })
    }

    fn numbers(&self) -> Option<&(Histogram, NumericSummary)> {
        self.ready().numbers.as_ref()
    }
}

/// So many values are counted, then summed up while they are still near.
const NEAR: usize = 2048;

/// What [`CountAtCells`] has counted so far.
#[derive(Clone, Debug, PartialEq)]
pub enum CountState {
    /// At edges.
    #[doc(hidden)]
    Numbers(Box<(HistogramState, Summary)>),
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
        match self.numbers() {
            Some(numbers) => CountState::Numbers(Box::new(numbers.start())),
            None => CountState::Labels(ColumnCounts::of_labels(&self.cells)),
        }
    }

    fn update(&self, state: &mut CountState, rows: &Rows<'_>) -> Result<()> {
        match (self.numbers(), &self.cells, state) {
            (Some((histogram, _)), _, CountState::Numbers(state)) => {
                let column = rows.numbers(&self.column)?;
                let (counted, summary) = &mut **state;
                for at in (0..column.len()).step_by(NEAR) {
                    let near = column.slice(at, NEAR.min(column.len() - at));
                    histogram.add(counted, &near);
                    summary.add(&near);
                }
                Ok(())
            }
            (None, Cells::Labels(labels), CountState::Labels(state)) => {
                match Family::of(rows.column(&self.column)?.data_type()) {
                    Some(Family::Float) => {
                        count_numbers(labels, rows.numbers(&self.column)?, state);
                    }
                    _ => count_labels(labels, rows.categories(&self.column)?, state),
                }
                Ok(())
            }
            _ => Err(foreign()),
        }
    }

    fn finish(&self, state: CountState) -> Result<ColumnCounts> {
        let counts = match (self.numbers(), state) {
            (Some(numbers), CountState::Numbers(state)) => {
                let (counted, summary) = numbers.finish(*state)?;
                ColumnCounts {
                    nulls: counted.nulls,
                    nan: counted.nans,
                    negative_infinite: counted.negative_infinities,
                    positive_infinite: counted.positive_infinities,
                    cells: counted.cells,
                    summary: Some(Box::new(summary)),
                }
            }
            (None, CountState::Labels(counts)) => counts,
            _ => return Err(foreign()),
        };
        // What is made of them adds them up.
        match counts.check(&self.cells) {
            Ok(()) => Ok(counts),
            Err(expected) => {
                Err(Error::invalid(format!("counts of `{}`", self.column), expected, "others"))
            }
        }
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<CountState> {
        let Some(numbers) = self.numbers() else {
            return ColumnCounts::decode(bytes, &self.cells).map(CountState::Labels);
        };
        let state = CountState::Numbers(Box::new(numbers.decode(bytes)?));
        // Counts and summary must be of the same values.
        match self.finish(state.clone()) {
            Ok(_) => Ok(state),
            Err(error) => Err(bad(bytes, "counts and a summary that agree", error)),
        }
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }

    /// Thousands of edges take a millisecond to write as text, and as long as a scan of a column.
    fn identity(&self) -> Option<Digest> {
        Some(self.ready().identity)
    }
}

impl State for CountState {
    fn merge(&mut self, other: Self) -> Result<()> {
        match (self, other) {
            (Self::Numbers(mine), Self::Numbers(theirs)) => mine.merge(*theirs),
            (Self::Labels(mine), Self::Labels(theirs))
                if mine.cells.len() == theirs.cells.len() =>
            {
                mine.add(&theirs)
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
    let by_code = categories.counts();
    counts.nulls += categories.codes().null_count() as u64;
    for (label, count) in categories.labels().iter().zip(by_code) {
        let label = label.unwrap_or_default();
        let found = labels.binary_search_by(|known| known.as_str().cmp(label));
        counts.cells[found.unwrap_or(labels.len())] += count;
    }
}

/// Counts floats by the label of their whole number: 3.0 is `3`, and 3.5 is no label of integers.
fn count_numbers(labels: &[String], numbers: &Float64Array, counts: &mut ColumnCounts) {
    let whole = |label: &String| label.parse::<i64>().ok().map(|x| x as f64);
    let mut cells: Vec<_> =
        labels.iter().enumerate().filter_map(|(i, label)| Some((whole(label)?, i))).collect();
    cells.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    for number in numbers {
        match number {
            None => counts.nulls += 1,
            Some(x) if x.is_nan() => counts.nan += 1,
            Some(f64::INFINITY) => counts.positive_infinite += 1,
            Some(f64::NEG_INFINITY) => counts.negative_infinite += 1,
            Some(x) => {
                let found = cells.binary_search_by(|cell| cell.0.total_cmp(&(x + 0.0)));
                counts.cells[found.map_or(labels.len(), |at| cells[at].1)] += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array, NullArray, StringArray};
    use mlops_core::{Kinds, Plan, batch, conformance};

    use super::*;

    #[test]
    fn equal_counts_are_made_once() {
        let of = |column: &str, cells: Cells| CountAtCells::new(column, cells).expect("cells");
        let all = [
            of("x", Cells::Edges([1.0].into())),
            of("x", Cells::Edges([1.0, 2.0].into())),
            of("y", Cells::Edges([1.0].into())),
            of("x", Cells::Labels(["a".to_owned()].into())),
            of("x", Cells::Labels([].into())),
            of("x", Cells::Edges([].into())),
        ];
        let mut plan = Plan::new();
        for analyzer in all.iter().chain(&all) {
            plan.add(analyzer.clone());
        }
        assert_eq!(plan.len(), all.len());
        let kinds = Kinds::new().with::<CountAtCells>(CountAtCells::KIND, CountAtCells::VERSION);
        let description = plan.description().expect("a description");
        let mut back = Plan::from_description(&description, &kinds).expect("the plan");
        back.add(all[3].clone());
        assert_eq!(back.len(), all.len());
    }

    #[test]
    fn numbers_take_as_few_bytes_as_they_need() {
        for (value, bytes) in [(0, 1), (127, 1), (128, 2), (1 << 56, 9), (u64::MAX, 10)] {
            let mut written = Vec::new();
            put_varint(&mut written, value);
            assert_eq!(written.len(), bytes);
            assert_eq!(take_varint(&mut written.as_slice()).expect("a number"), value);
            assert!(take_varint(&mut &written[..bytes - 1]).is_err());
        }
        assert!(take_varint(&mut &[0x80, 0][..]).is_err(), "one byte too many");
        assert!(take_varint(&mut &[[0xff; 9].as_slice(), &[2]].concat()[..]).is_err(), "2^64");
    }

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
            ("x", labels(&["-1", "0", "1"])),
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
        let summary = counts.summary().expect("a summary of numbers");
        assert_eq!((summary.min, summary.max, summary.n()), (Some(-1e300), Some(1e300), 7));
        assert_eq!((summary.zeros, summary.negatives), (2, 1));
        let count = CountAtCells::new("x", labels(&["-1", "0", "1"])).expect("cells");
        let mut state = count.start();
        count.update(&mut state, &Rows::new(&rows)).expect("counts");
        let counts = count.finish(state).expect("counts");
        assert_eq!((counts.cells(), counts.missing()), (&[0, 2, 2, 3][..], 4));
        assert!(CountAtCells::new("x", Cells::Edges([1.0, 1.0].into())).is_err());
        assert!(CountAtCells::new("x", Cells::Edges([f64::NAN].into())).is_err());
        assert!(CountAtCells::new("x", labels(&["b", "a"])).is_err());
    }
}
