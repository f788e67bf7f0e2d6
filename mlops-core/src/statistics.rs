//! What is known of a partition without reading it.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef};

/// What a source knows of the rows of a partition without reading them, as a Parquet file does
/// from its footer: [`DataSource::statistics`](crate::DataSource::statistics).
///
/// It is what the source *says*: a footer that lies is not found out as long as nothing is read.
/// Where files come from hands that are not trusted,
/// [`Scan::without_statistics`](crate::Scan::without_statistics) reads every row.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    rows: u64,
    columns: HashMap<String, ColumnStatistics>,
}

/// What a source knows of a column of a partition. What it does not know is `None`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ColumnStatistics {
    /// How many rows have no value, never more than there are rows.
    pub null_count: Option<u64>,
    /// No value is less. NaN is no value here: a column with a least value may hold NaN, so that
    /// no bound proves that floats are numbers. Where no row has a value there is no bound.
    pub min: Option<Limit>,
    /// No value is greater, NaN aside as for `min`.
    pub max: Option<Limit>,
}

/// A bound on the values of a column.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limit {
    /// An array of the one value, which is not null and not NaN, of the column's type; of the type
    /// of a dictionary's values.
    pub value: ArrayRef,
    /// Whether some row has this very value, to the bit. Long texts are cut in footers, and of a
    /// zero the sign is not known.
    pub exact: bool,
}

impl Statistics {
    /// Of so many rows, with nothing known of any column.
    pub fn new(rows: u64) -> Self {
        Self { rows, columns: HashMap::new() }
    }

    /// The same, with what is known of a column; of two with one name the first counts.
    #[must_use]
    pub fn with_column(mut self, name: impl Into<String>, column: ColumnStatistics) -> Self {
        let null_count = column.null_count.filter(|nulls| *nulls <= self.rows);
        self.columns.entry(name.into()).or_insert(ColumnStatistics { null_count, ..column });
        self
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What is known of the column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnStatistics> {
        self.columns.get(name)
    }
}

impl ColumnStatistics {
    /// Of a column with so many nulls.
    pub fn new(null_count: Option<u64>) -> Self {
        Self { null_count, min: None, max: None }
    }

    /// The same, with bounds.
    #[must_use]
    pub fn between(mut self, min: Option<Limit>, max: Option<Limit>) -> Self {
        (self.min, self.max) = (min, max);
        self
    }
}

impl Limit {
    /// The bound that is the first value of this array; `None` if that is null or there is none.
    pub fn new(value: &dyn Array, exact: bool) -> Option<Self> {
        let there = !value.is_empty() && value.is_valid(0);
        there.then(|| Self { value: value.slice(0, 1), exact })
    }
}
