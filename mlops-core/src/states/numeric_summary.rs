//! What there is to say about a column of numbers in one pass.

use std::fmt;

use arrow::array::{Array, Float64Array};
use serde::{Deserialize, Serialize};

use super::kernel::{self, BLOCK, Range};
use super::moments::Moments;
use super::values;
use crate::bytes::{add_count, bad, put_f64, put_u8, put_u64, take_f64, take_u8};
use crate::{Analyzer, Description, Result, Rows, State};

/// Rows, nulls, NaN, ±∞, minimum, maximum, zeros, negatives, mean and variance of a column that
/// [`Rows::numbers`] can read.
///
/// Null, NaN, +∞ and −∞ are counted apart; all else is over the finite values. −0 is 0.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch, states::NumericSummary};
/// let ages = Float64Array::from(vec![Some(31.0), None, Some(47.0), Some(f64::NAN)]);
/// let source = MemorySource::from(batch! { "age" => ages }?);
/// let age = source.measure(&NumericSummary::new("age"))?;
/// assert_eq!((age.rows, age.nulls, age.nans, age.n()), (4, 1, 1, 2));
/// assert_eq!((age.mean(), age.min, age.max), (Some(39.0), Some(31.0), Some(47.0)));
/// assert_eq!(age.variance(), Some(128.0));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumericSummary {
    /// The column to measure.
    pub column: String,
}

impl NumericSummary {
    /// The stable kind of its [`Description`].
    pub const KIND: &'static str = "numeric_summary";
    /// The version of its state's bytes.
    pub const VERSION: u16 = 1;

    /// The summary of this column.
    pub fn new(column: impl Into<String>) -> Self {
        Self { column: column.into() }
    }
}

/// The summary of a column of numbers; also the state in which it is measured.
///
/// Of no finite values `min`, `max` and the mean are `None`, and [`sum`](Self::sum) is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// All rows.
    pub rows: u64,
    /// Rows without a value.
    pub nulls: u64,
    /// Rows that are NaN.
    pub nans: u64,
    /// Rows that are +∞.
    pub positive_infinities: u64,
    /// Rows that are −∞.
    pub negative_infinities: u64,
    /// Rows that are 0 or −0.
    pub zeros: u64,
    /// Rows that are finite and below 0.
    pub negatives: u64,
    /// The smallest finite value.
    pub min: Option<f64>,
    /// The largest finite value.
    pub max: Option<f64>,
    /// Count, sum and sum of squares of the finite values.
    pub moments: Moments,
}

impl Summary {
    /// The summary of plain values, none of them null.
    pub fn of(values: &[f64]) -> Self {
        let mut summary = Self { rows: values.len() as u64, ..Self::default() };
        summary.add_values(values);
        summary
    }

    /// How many values are finite.
    pub fn n(&self) -> u64 {
        self.moments.n()
    }

    /// The sum of the finite values, rounded once.
    pub fn sum(&self) -> f64 {
        self.moments.sum()
    }

    /// The mean of the finite values; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        self.moments.mean()
    }

    /// The sample variance (divided by n − 1) of the finite values; `None` with fewer than two.
    pub fn variance(&self) -> Option<f64> {
        self.moments.variance(1)
    }

    /// The sample standard deviation of the finite values; `None` with fewer than two.
    pub fn std(&self) -> Option<f64> {
        self.moments.std(1)
    }

    /// The share of rows that are null; `None` without rows.
    pub fn null_rate(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.nulls as f64 / self.rows as f64)
    }

    /// Takes in an array, as [`update`](Analyzer::update) does a column.
    pub fn add(&mut self, array: &Float64Array) {
        self.rows += array.len() as u64;
        self.nulls += array.null_count() as u64;
        values::for_each_block(array, |block| self.add_values(block));
    }

    fn add_values(&mut self, all: &[f64]) {
        for block in all.chunks(BLOCK) {
            let range = kernel::range(block);
            if kernel::is_finite(range.magnitude) {
                self.add_block(block, &range);
            } else {
                let mut finite = [0.0; BLOCK];
                let mut n = 0;
                for &x in block {
                    if x.is_nan() {
                        self.nans += 1;
                    } else if x == f64::INFINITY {
                        self.positive_infinities += 1;
                    } else if x == f64::NEG_INFINITY {
                        self.negative_infinities += 1;
                    } else {
                        finite[n] = x;
                        n += 1;
                    }
                }
                self.add_block(&finite[..n], &kernel::range(&finite[..n]));
            }
        }
    }

    fn add_block(&mut self, block: &[f64], range: &Range) {
        if block.is_empty() {
            return;
        }
        // Adding 0 makes −0 the 0 that it counts as.
        let (min, max) = (kernel::from_key(range.min) + 0.0, kernel::from_key(range.max) + 0.0);
        self.min = Some(self.min.map_or(min, |m| m.min(min)));
        self.max = Some(self.max.map_or(max, |m| m.max(max)));
        self.zeros += range.zeros;
        self.negatives += range.negatives;
        self.moments.add_block(block, range.magnitude);
    }

    fn counts(&self) -> [u64; 7] {
        [
            self.rows,
            self.nulls,
            self.nans,
            self.positive_infinities,
            self.negative_infinities,
            self.zeros,
            self.negatives,
        ]
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let mut summary = Self::default();
        for count in [
            &mut summary.rows,
            &mut summary.nulls,
            &mut summary.nans,
            &mut summary.positive_infinities,
            &mut summary.negative_infinities,
            &mut summary.zeros,
            &mut summary.negatives,
        ] {
            *count = values::take_count(bytes)?;
        }
        (summary.min, summary.max) = take_range(bytes)?;
        summary.moments = Moments::decode(bytes)?;
        let rows = [summary.nulls, summary.nans, summary.n()]
            .into_iter()
            .chain([summary.positive_infinities, summary.negative_infinities])
            .try_fold(0u64, u64::checked_add);
        if rows != Some(summary.rows)
            || summary.zeros.checked_add(summary.negatives).is_none_or(|n| n > summary.n())
            || summary.min.is_some() != (summary.n() > 0)
        {
            return Err(bad(bytes, "counts that add up to the rows", summary.rows));
        }
        Ok(summary)
    }
}

/// Appends the smallest and the largest value, if there are any.
pub(super) fn put_range(out: &mut Vec<u8>, min: Option<f64>, max: Option<f64>) {
    match (min, max) {
        (Some(min), Some(max)) => {
            put_u8(out, 1);
            put_f64(out, min);
            put_f64(out, max);
        }
        _ => put_u8(out, 0),
    }
}

/// Takes the smallest and the largest value, finite, in order, without a −0.
pub(super) fn take_range(bytes: &mut &[u8]) -> Result<(Option<f64>, Option<f64>)> {
    match take_u8(bytes)? {
        0 => Ok((None, None)),
        1 => {
            let (min, max) = (take_f64(bytes)?, take_f64(bytes)?);
            let plain = |x: f64| x.is_finite() && (x != 0.0 || x.is_sign_positive());
            if plain(min) && plain(max) && min <= max {
                Ok((Some(min), Some(max)))
            } else {
                Err(bad(bytes, "a finite range", format!("{min} to {max}")))
            }
        }
        other => Err(bad(bytes, "0 or 1", other)),
    }
}

impl State for Summary {
    fn merge(&mut self, other: Self) -> Result<()> {
        let both = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (one, None) | (None, one) => one,
        };
        self.min = both(self.min, other.min, f64::min);
        self.max = both(self.max, other.max, f64::max);
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.nulls, other.nulls);
        add_count(&mut self.nans, other.nans);
        add_count(&mut self.positive_infinities, other.positive_infinities);
        add_count(&mut self.negative_infinities, other.negative_infinities);
        add_count(&mut self.zeros, other.zeros);
        add_count(&mut self.negatives, other.negatives);
        self.moments.merge(other.moments)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for count in self.counts() {
            put_u64(out, count);
        }
        put_range(out, self.min, self.max);
        self.moments.encode(out);
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} null", self.rows, self.nulls)?;
        for (count, name) in [
            (self.nans, "NaN"),
            (self.positive_infinities, "+inf"),
            (self.negative_infinities, "-inf"),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        if let (Some(min), Some(max), Some(mean)) = (self.min, self.max, self.mean()) {
            write!(f, "; from {min} to {max}, mean {mean}")?;
        }
        match self.std() {
            Some(std) => write!(f, ", sd {std}"),
            None => Ok(()),
        }
    }
}

impl Analyzer for NumericSummary {
    type State = Summary;
    type Output = Summary;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> Summary {
        Summary::default()
    }

    fn update(&self, state: &mut Summary, rows: &Rows<'_>) -> Result<()> {
        state.add(rows.numbers(&self.column)?);
        Ok(())
    }

    fn finish(&self, state: Summary) -> Result<Summary> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Summary> {
        Summary::decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new(Self::KIND, Self::VERSION, self))
    }
}
