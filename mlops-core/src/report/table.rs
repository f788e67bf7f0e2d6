//! Tables of typed cells.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::{Deserialize, Serialize};

use super::format;
use crate::{Digest, Error, Result, Timestamp, Verdict};

/// How many significant digits a number shows where nothing else was said.
pub(crate) const DIGITS: u8 = 4;

/// How many rows a renderer shows where nothing else was said.
const ROWS: usize = 100;

/// One value in a table or beside a name; it knows what it is, so that each renderer can show it
/// well.
///
/// ```
/// use mlops_core::report::Cell;
/// assert_eq!(Cell::from(1_234_567_u64).to_string(), "1,234,567");
/// assert_eq!(Cell::from(0.123456).to_string(), "0.1235");
/// assert_eq!(Cell::percent(0.25).to_string(), "25.0 %");
/// assert_eq!(Cell::from(f64::NAN).to_string(), "NaN");
/// assert_eq!(Cell::from(None::<f64>).to_string(), "—");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cell {
    /// There is no value; shown as a dash.
    Missing,
    /// Words.
    Text(String),
    /// A name in a program: a column, a digest, a version; shown in a fixed-width face.
    Code(String),
    /// A number of things.
    Count(u64),
    /// A number, shown to so many significant digits; it may be NaN or infinite and says so.
    Number {
        /// The number.
        #[serde(with = "super::number")]
        value: f64,
        /// Significant digits to show, 1 to 17.
        digits: u8,
    },
    /// A share between 0 and 1, shown as a percentage.
    Percent(#[serde(with = "super::number")] f64),
    /// A number with its confidence limits.
    Interval {
        /// The number.
        #[serde(with = "super::number")]
        value: f64,
        /// Its lower limit.
        #[serde(with = "super::number")]
        low: f64,
        /// Its upper limit.
        #[serde(with = "super::number")]
        high: f64,
    },
    /// A verdict, as a badge.
    Verdict(Verdict),
    /// A number and a bar of its length, of the length that stands for `full`.
    Bar {
        /// The number.
        #[serde(with = "super::number")]
        value: f64,
        /// The number that fills the cell.
        #[serde(with = "super::number")]
        full: f64,
    },
    /// A share between 0 and 1, as a percentage and a bar that is full at 1.
    Share(#[serde(with = "super::number")] f64),
    /// A small line without axes; NaN is a gap.
    Spark(#[serde(with = "super::number::list")] Vec<f64>),
}

impl Cell {
    /// A number to so many significant digits.
    pub fn number(value: f64, digits: u8) -> Self {
        Self::Number { value, digits }
    }

    /// A share between 0 and 1, as a percentage.
    pub fn percent(share: f64) -> Self {
        Self::Percent(share)
    }

    /// A number with its confidence limits.
    pub fn interval(value: f64, low: f64, high: f64) -> Self {
        Self::Interval { value, low, high }
    }

    /// A number with a bar; `full` fills the cell.
    pub fn bar(value: f64, full: f64) -> Self {
        Self::Bar { value, full }
    }

    /// A share between 0 and 1, as a percentage and a bar.
    pub fn share(share: f64) -> Self {
        Self::Share(share)
    }

    /// A small line.
    pub fn spark(values: impl IntoIterator<Item = f64>) -> Self {
        Self::Spark(values.into_iter().collect())
    }

    /// A name in a program.
    pub fn code(name: impl Into<String>) -> Self {
        Self::Code(name.into())
    }

    /// The side that such a value stands on in a column.
    pub(crate) fn align(&self) -> Option<Align> {
        match self {
            Self::Missing => None,
            Self::Text(_)
            | Self::Code(_)
            | Self::Verdict(_)
            | Self::Bar { .. }
            | Self::Share(_)
            | Self::Spark(_) => Some(Align::Left),
            _ => Some(Align::Right),
        }
    }

    /// How much of a bar is full, from 0 to 1.
    pub(crate) fn fill(value: f64, full: f64) -> f64 {
        let share = (value / full).abs();
        if share.is_finite() { share.min(1.0) } else { 0.0 }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Missing => "—".to_owned(),
            Self::Text(text) | Self::Code(text) => format::clean(text),
            Self::Count(n) => format::count(*n),
            Self::Number { value, digits } => format::number(*value, *digits),
            Self::Percent(share) | Self::Share(share) => format::percent(*share, 3),
            Self::Interval { value, low, high } => format!(
                "{} [{}, {}]",
                format::number(*value, DIGITS),
                format::number(*low, DIGITS),
                format::number(*high, DIGITS)
            ),
            Self::Verdict(verdict) => verdict.to_string(),
            Self::Bar { value, .. } => format::number(*value, DIGITS),
            Self::Spark(values) => spark(values),
        };
        f.pad(&text)
    }
}

/// A row of block characters whose heights are the values, from the least to the greatest; a gap
/// where a value is not finite.
pub(crate) fn spark(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    values
        .iter()
        .map(|v| {
            if !v.is_finite() {
                return ' ';
            }
            // Halved, the range of any two numbers is finite.
            let share = (v / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
            let level = if share.is_nan() { 3 } else { (share * 7.0).round() as usize };
            BLOCKS[level.min(7)]
        })
        .collect()
}

macro_rules! cell_from {
    ($($type:ty, $value:ident => $cell:expr;)*) => {$(
        impl From<$type> for Cell {
            fn from($value: $type) -> Self {
                $cell
            }
        }
    )*};
}

cell_from! {
    &str, v => Self::Text(v.to_owned());
    String, v => Self::Text(v);
    &String, v => Self::Text(v.clone());
    u64, v => Self::Count(v);
    u32, v => Self::Count(u64::from(v));
    usize, v => Self::Count(v as u64);
    i32, v => Self::from(f64::from(v));
    i64, v => Self::from(v as f64);
    f64, v => Self::Number { value: v, digits: DIGITS };
    bool, v => Self::Text(if v { "yes" } else { "no" }.to_owned());
    Verdict, v => Self::Verdict(v);
    Timestamp, v => Self::Text(v.to_string());
    Digest, v => Self::Code(v.to_string());
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

/// The cells of one row, from a tuple of anything that is a cell, an array or a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(pub Vec<Cell>);

impl<T: Into<Cell>> From<Vec<T>> for Row {
    fn from(cells: Vec<T>) -> Self {
        Self(cells.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Cell>, const N: usize> From<[T; N]> for Row {
    fn from(cells: [T; N]) -> Self {
        Self(cells.into_iter().map(Into::into).collect())
    }
}

impl Row {
    /// The cell in this column.
    pub(crate) fn cell(&self, column: usize) -> &Cell {
        self.0.get(column).unwrap_or(&Cell::Missing)
    }
}

macro_rules! row_from_tuple {
    ($(($($t:ident $n:tt),+);)*) => {$(
        impl<$($t: Into<Cell>),+> From<($($t,)+)> for Row {
            fn from(cells: ($($t,)+)) -> Self {
                Self(vec![$(cells.$n.into()),+])
            }
        }
    )*};
}

row_from_tuple! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
}

/// The side of its column that a cell stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of typed cells under column titles.
///
/// ```
/// use mlops_core::Verdict;
/// use mlops_core::report::{Cell, Table};
///
/// let table = Table::new(["Column", "Rows", "PSI", "Verdict"])
///     .row(("age", 200_000_u64, 0.0123, Verdict::Pass))
///     .row(("income", 199_120_u64, Cell::number(0.41, 2), Verdict::Fail));
/// assert_eq!(table.rows.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Table {
    /// What the table shows.
    pub caption: Option<String>,
    /// The columns' titles.
    pub columns: Vec<String>,
    /// The sides of the columns that were set; a column without one goes by its cells.
    pub align: Vec<Option<Align>>,
    /// The rows. A row with fewer cells than columns is filled up with missing ones.
    pub rows: Vec<Row>,
    /// How many rows a renderer shows before "and N more"; JSON always has all.
    pub limit: usize,
    /// Whether HTML makes a card of each row where the page is narrow, instead of letting the
    /// table scroll sideways.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cards: bool,
}

impl Table {
    /// An empty table with these columns.
    pub fn new<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Self {
        Self {
            caption: None,
            columns: columns.into_iter().map(Into::into).collect(),
            align: Vec::new(),
            rows: Vec::new(),
            limit: ROWS,
            cards: false,
        }
    }

    /// The same, with a caption.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = Some(caption.into());
        self
    }

    /// The same, with the column of this number (from 0) on this side.
    #[must_use]
    pub fn align(mut self, column: usize, side: Align) -> Self {
        if column < self.columns.len() {
            self.align.resize(self.columns.len(), None);
            self.align[column] = Some(side);
        }
        self
    }

    /// The same, showing at most so many rows.
    #[must_use]
    pub fn limit(mut self, rows: usize) -> Self {
        self.limit = rows;
        self
    }

    /// The same, each row a card where an HTML page is narrow.
    #[must_use]
    pub fn cards(mut self) -> Self {
        self.cards = true;
        self
    }

    /// The same, with one more row.
    #[must_use]
    pub fn row(mut self, row: impl Into<Row>) -> Self {
        self.rows.push(row.into());
        self
    }

    /// The same, with these rows too.
    #[must_use]
    pub fn rows<T: Into<Row>>(mut self, rows: impl IntoIterator<Item = T>) -> Self {
        self.rows.extend(rows.into_iter().map(Into::into));
        self
    }

    /// How many columns there are, counting cells that stand beyond the titles.
    pub(crate) fn width(&self) -> usize {
        self.rows.iter().map(|r| r.0.len()).max().unwrap_or(0).max(self.columns.len())
    }

    /// The title of a column.
    pub(crate) fn title(&self, column: usize) -> String {
        self.columns.get(column).map(|t| format::clean(t)).unwrap_or_default()
    }

    /// The side of a column.
    pub(crate) fn side(&self, column: usize) -> Align {
        self.align.get(column).copied().flatten().unwrap_or_else(|| {
            let of_cells = self.rows.iter().find_map(|r| r.0.get(column).and_then(Cell::align));
            of_cells.unwrap_or(Align::Left)
        })
    }

    /// The rows that are shown.
    pub(crate) fn shown(&self) -> &[Row] {
        &self.rows[..self.rows.len().min(self.limit)]
    }

    /// What stands under the rows that are shown: how many are not, or that there are none.
    pub(crate) fn footnote(&self) -> Option<String> {
        let hidden = self.rows.len() - self.shown().len();
        if self.rows.is_empty() {
            Some("no rows".to_owned())
        } else if hidden > 0 {
            Some(format!("and {} more", format::count(hidden as u64)))
        } else {
            None
        }
    }
}

impl TryFrom<&RecordBatch> for Table {
    type Error = Error;

    /// The batch's rows under its columns' names: floats as numbers, everything else as Arrow
    /// prints it, numbers on the right, a missing value where there is none.
    ///
    /// # Errors
    /// Of a type that Arrow can't print.
    ///
    /// ```
    /// use mlops_core::arrow::array::{Float64Array, Int64Array};
    /// use mlops_core::{batch, report::Table};
    ///
    /// let rows = batch! {
    ///     "id" => Int64Array::from(vec![1_000_001, 7]),
    ///     "income" => Float64Array::from(vec![Some(0.5), None]),
    /// }?;
    /// let table = Table::try_from(&rows)?;
    /// assert_eq!(table.columns, ["id", "income"]);
    /// assert_eq!(table.rows[0].0[0].to_string(), "1000001");
    /// assert_eq!(table.rows[1].0[1].to_string(), "—");
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    fn try_from(batch: &RecordBatch) -> Result<Self> {
        let mut table = Self::new(batch.schema().fields().iter().map(|f| f.name().clone()));
        table.rows = vec![Row::default(); batch.num_rows()];
        for (c, column) in batch.columns().iter().enumerate() {
            if column.data_type().is_numeric() {
                table = table.align(c, Align::Right);
            }
            for (row, cell) in table.rows.iter_mut().zip(cells(column)?) {
                row.0.push(cell);
            }
        }
        Ok(table)
    }
}

fn cells(column: &ArrayRef) -> Result<Vec<Cell>> {
    if column.data_type().is_floating() {
        let floats = cast(column, &DataType::Float64)?;
        let floats = arrow::array::AsArray::as_primitive::<Float64Type>(&floats);
        return Ok(floats.iter().map(Cell::from).collect());
    }
    let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?;
    (0..column.len())
        .map(|i| {
            let valid = column.is_valid(i);
            Ok(if valid { Cell::Text(formatter.value(i).try_to_string()?) } else { Cell::Missing })
        })
        .collect()
}
