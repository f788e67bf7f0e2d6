//! Counts between fixed edges, and of the edges themselves.

use std::fmt;

use arrow::array::{Array, Float64Array};
use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::dyadic::{ALL_VALID, Valid};
use super::grid::Grid;
use super::kernel::BLOCK;
use super::values;
use crate::bytes::{add_count, bad, put_len, put_u64, take_len};
use crate::{Analyzer, Description, Error, Result, Rows, State};

/// Counts of a column of numbers by fixed edges.
///
/// Of k edges there are 2k + 1 cells: below e₀, equal to e₀, between e₀ and e₁, equal to e₁, …,
/// above the last. So a bin may own either of its edges, and the empirical distribution function
/// is exact at every edge, ties and atoms included. Null, NaN, +∞ and −∞ are counted apart. −0
/// is 0. States of other edges refuse to merge.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch, states::Histogram};
/// let x = Float64Array::from(vec![1.0, 2.0, 2.5, 4.0, 9.0]);
/// let source = MemorySource::from(batch! { "x" => x }?);
/// let h = source.measure(&Histogram::new("x", vec![2.0, 4.0])?)?;
/// assert_eq!(h.cells, [1, 1, 1, 1, 1]);
/// assert_eq!(h.right_open(), [1, 2, 2]); // (−∞, 2), [2, 4), [4, ∞)
/// assert_eq!(h.left_open(), [2, 2, 1]); // (−∞, 2], (2, 4], (4, ∞)
/// assert_eq!(h.cdf(), Some(vec![0.4, 0.8])); // share of values ≤ each edge
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Histogram {
    column: String,
    edges: Vec<f64>,
    /// Follows from the edges.
    grid: Grid,
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column && self.edges == other.edges
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    column: String,
    edges: Vec<f64>,
}

impl TryFrom<Written> for Histogram {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Self::new(written.column, written.edges)
    }
}

impl From<Histogram> for Written {
    fn from(histogram: Histogram) -> Self {
        Self { column: histogram.column, edges: histogram.edges }
    }
}

impl Histogram {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "histogram";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;

    /// Counts of this column by these edges, strictly increasing; none makes one cell of all.
    ///
    /// # Errors
    /// [`Error::Invalid`] on edges that are not finite or not strictly increasing.
    pub fn new(column: impl Into<String>, edges: impl Into<Vec<f64>>) -> Result<Self> {
        let column = column.into();
        let mut edges = edges.into();
        for (i, edge) in edges.iter_mut().enumerate() {
            if !edge.is_finite() {
                let what = format!("edge {i} of `{column}`");
                return Err(Error::invalid(what, "a finite number", *edge));
            }
            // −0 is 0.
            *edge += 0.0;
        }
        if let Some((low, high)) = edges.iter().zip(edges.iter().skip(1)).find(|(a, b)| a >= b) {
            let what = format!("edges of `{column}`");
            let found = format!("{low} before {high}");
            return Err(Error::invalid(what, "strictly increasing numbers", found));
        }
        let grid = Grid::new(&edges);
        Ok(Self { column, edges, grid })
    }

    /// The column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The edges.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// These edges, each moved by a small part of the distance to its neighbours to where values can
    /// be counted without comparing them with it, in half the time. For data without atoms, where
    /// an edge is as good as its neighbour: an edge that was at an atom may end up beside it.
    ///
    /// Of k edges in an octave (from a power of two to the next) each moves by at most 1/128 and
    /// 1/8k of the octave; far beyond most of the others, to 0 or to the largest that is left. Those that meet are one edge. Edges
    /// that are simple binary fractions already (integers up to some thousands) stay where they
    /// are.
    ///
    /// ```
    /// use mlops_core::states::Histogram;
    /// let near = Histogram::snap(&[-0.7001, 0.1, 1.7, 3.14159])?;
    /// assert_eq!(near, [-0.703125, 0.099609375, 1.703125, 3.15625]);
    /// assert_eq!(Histogram::snap(&near)?, near);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn snap(edges: &[f64]) -> Result<Vec<f64>> {
        let histogram = Self::new("", edges)?;
        if histogram.grid.is_snapped() {
            return Ok(histogram.edges);
        }
        Ok(Grid::snap(&histogram.edges))
    }

    /// The counts of plain values, none of them null.
    pub fn count(&self, values: &[f64]) -> HistogramCounts {
        let mut state = self.start();
        for block in values.chunks(BLOCK) {
            self.add_block(&mut state, block, &ALL_VALID);
        }
        self.named(&state)
    }

    /// Takes in an array, as [`update`](Analyzer::update) does a column.
    pub fn add(&self, state: &mut HistogramState, array: &Float64Array) {
        state.apart[NULLS] += array.null_count() as u64;
        values::for_each_masked_block(array, |block, valid| self.add_block(state, block, valid));
    }

    /// Appends the finite values of an array that lie in the cells that are wanted, as many as
    /// there are cells: a second look at a few of them.
    ///
    /// ```
    /// use arrow::array::Float64Array;
    /// use mlops_core::states::Histogram;
    /// let h = Histogram::new("x", vec![2.0, 4.0])?;
    /// let x = Float64Array::from(vec![Some(1.0), Some(3.5), None, Some(2.0), Some(2.5)]);
    /// let mut between = Vec::new();
    /// h.select(&x, &[false, false, true, false, false], &mut between)?;
    /// assert_eq!(between, [3.5, 2.5]);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if not every cell is wanted or not.
    pub fn select(
        &self,
        array: &Float64Array,
        wanted: &[bool],
        found: &mut Vec<f64>,
    ) -> Result<()> {
        if wanted.len() != self.cells() {
            return Err(Error::Length {
                left: "cells".into(),
                left_len: self.cells(),
                right: "the choice of them".into(),
                right_len: wanted.len(),
            });
        }
        let mut by_place = vec![false; wanted.len() + Grid::BESIDES];
        for (cell, wanted) in wanted.iter().enumerate() {
            by_place[Grid::place(self.edges.len(), cell)] = *wanted;
        }
        values::for_each_masked_block(array, |block, valid| {
            self.grid.select(&by_place, block, valid, found);
        });
        Ok(())
    }

    fn add_block(&self, state: &mut HistogramState, block: &[f64], valid: &Valid) {
        let odd = self.grid.count(block, valid, state.cells.with_room(BLOCK as u32));
        state.apart[NANS] += u64::from(odd.nans);
        state.apart[POSITIVE] += u64::from(odd.positive);
        state.apart[NEGATIVE] += u64::from(odd.negative);
    }

    fn cells(&self) -> usize {
        2 * self.edges.len() + 1
    }

    fn named(&self, state: &HistogramState) -> HistogramCounts {
        HistogramCounts {
            edges: self.edges.clone(),
            cells: state.cells().collect(),
            nulls: state.apart[NULLS],
            nans: state.apart[NANS],
            positive_infinities: state.apart[POSITIVE],
            negative_infinities: state.apart[NEGATIVE],
        }
    }
}

/// What a [`Histogram`] has counted so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramState {
    /// The cells and what the grid needs besides, which is 0 between two blocks, by place.
    cells: Counters,
    apart: [u64; 4],
}

impl HistogramState {
    fn cells(&self) -> impl Iterator<Item = u64> {
        let cells = self.cells.len() - Grid::BESIDES;
        (0..cells).map(move |cell| self.cells.get(Grid::place(cells / 2, cell)))
    }
}

const NULLS: usize = 0;
const NANS: usize = 1;
const POSITIVE: usize = 2;
const NEGATIVE: usize = 3;

impl State for HistogramState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.cells.len() != other.cells.len() {
            let [mine, theirs] = [&*self, &other].map(|state| state.cells.len() - Grid::BESIDES);
            let reason = format!("{mine} cells and {theirs}");
            return Err(Error::merge("a histogram", reason));
        }
        self.cells.merge(&other.cells);
        for (mine, theirs) in self.apart.iter_mut().zip(other.apart) {
            add_count(mine, theirs);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for &count in &self.apart {
            put_u64(out, count);
        }
        put_len(out, self.cells.len() - Grid::BESIDES);
        for count in self.cells() {
            put_u64(out, count);
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.cells.size()
    }
}

/// The sum of counts, which may have been read from anywhere.
fn total(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, &n| sum.saturating_add(n))
}

/// The counts by the edges of a [`Histogram`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistogramCounts {
    /// The k edges.
    pub edges: Vec<f64>,
    /// The 2k + 1 counts: below the first edge, equal to it, between it and the second, …
    pub cells: Vec<u64>,
    /// Rows without a value.
    pub nulls: u64,
    /// Rows that are NaN.
    pub nans: u64,
    /// Rows that are +∞.
    pub positive_infinities: u64,
    /// Rows that are −∞.
    pub negative_infinities: u64,
}

impl HistogramCounts {
    /// How many values are finite.
    pub fn n(&self) -> u64 {
        total(&self.cells)
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        let infinite = [self.positive_infinities, self.negative_infinities];
        [self.nulls, self.nans].iter().chain(&infinite).fold(self.n(), |n, &m| n.saturating_add(m))
    }

    /// The k + 1 counts of (−∞, e₀), \[e₀, e₁), …, \[e₍k₋₁₎, ∞): each bin owns its lower edge, as
    /// in `numpy.histogram`.
    pub fn right_open(&self) -> Vec<u64> {
        let (first, rest) = self.cells.split_first().map_or((0, &[][..]), |(f, r)| (*f, r));
        std::iter::once(first).chain(rest.chunks(2).map(total)).collect()
    }

    /// The k + 1 counts of (−∞, e₀], (e₀, e₁], …, (e₍k₋₁₎, ∞): each bin owns its upper edge, as in
    /// `pandas.cut`.
    pub fn left_open(&self) -> Vec<u64> {
        self.cells.chunks(2).map(total).collect()
    }

    /// The numbers of values ≤ each edge.
    pub fn at_most(&self) -> Vec<u64> {
        let mut sum = 0u64;
        let pairs = self.cells.chunks_exact(2);
        pairs
            .map(|pair| {
                sum = sum.saturating_add(total(pair));
                sum
            })
            .collect()
    }

    /// The numbers of values < each edge.
    pub fn less_than(&self) -> Vec<u64> {
        self.at_most()
            .iter()
            .zip(self.cells.chunks_exact(2))
            .map(|(n, pair)| n.saturating_sub(pair[1]))
            .collect()
    }

    /// The empirical distribution function at each edge: the share of finite values ≤ it. `None`
    /// without values.
    pub fn cdf(&self) -> Option<Vec<f64>> {
        let n = self.n();
        (n > 0).then(|| self.at_most().into_iter().map(|c| c as f64 / n as f64).collect())
    }
}

impl fmt::Display for HistogramCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} finite by {} edges", self.rows(), self.n(), self.edges.len())?;
        for (count, name) in [
            (self.nulls, "null"),
            (self.nans, "NaN"),
            (self.positive_infinities, "+inf"),
            (self.negative_infinities, "-inf"),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        Ok(())
    }
}

impl Analyzer for Histogram {
    type State = HistogramState;
    type Output = HistogramCounts;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> HistogramState {
        HistogramState { cells: Counters::new(self.cells() + Grid::BESIDES), apart: [0; 4] }
    }

    fn update(&self, state: &mut HistogramState, rows: &Rows<'_>) -> Result<()> {
        self.add(state, rows.numbers(&self.column)?);
        Ok(())
    }

    fn finish(&self, state: HistogramState) -> Result<HistogramCounts> {
        Ok(self.named(&state))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<HistogramState> {
        let mut apart = [0; 4];
        for count in &mut apart {
            *count = values::take_count(bytes)?;
        }
        let n = take_len(bytes, size_of::<u64>())?;
        let expected = self.cells();
        if n != expected {
            return Err(bad(bytes, format!("{expected} cells"), n));
        }
        let mut state = self.start();
        state.apart = apart;
        let mut total = apart.iter().try_fold(0u64, |sum, &c| sum.checked_add(c));
        for cell in 0..n {
            let count = values::take_count(bytes)?;
            total = total.and_then(|sum| sum.checked_add(count));
            state.cells.add_count(Grid::place(self.edges.len(), cell), count);
        }
        if total.is_none_or(|n| n > values::MOST_ROWS) {
            return Err(values::too_many(bytes));
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}
