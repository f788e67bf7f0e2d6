//! Some rows of a batch, each column copied when it is first asked for.

use std::sync::OnceLock;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, FilterPredicate};

use super::{Held, Names, Rows, Views};
use crate::Result;

/// Some rows of a batch, for analyzers that look at no others: [`Rows::select`].
#[derive(Debug)]
pub struct Selected {
    pub(super) source: RecordBatch,
    /// A bit for each row of `source`.
    pub(super) kept: BooleanBuffer,
    filter: FilterPredicate,
    names: Names,
    origin: String,
    /// The number of the first row of `source`.
    pub(super) first_row: u64,
    columns: Vec<OnceLock<ArrayRef>>,
    batch: OnceLock<RecordBatch>,
    row_numbers: OnceLock<Vec<u64>>,
    pub(super) views: Views,
}

impl Selected {
    pub(super) fn new(
        source: RecordBatch,
        kept: BooleanBuffer,
        names: Names,
        origin: &str,
        first_row: u64,
    ) -> Self {
        let filter = FilterBuilder::new(&BooleanArray::new(kept.clone(), None)).optimize().build();
        let n = source.num_columns();
        Self {
            source,
            kept,
            filter,
            names,
            origin: origin.to_owned(),
            first_row,
            columns: std::iter::repeat_with(OnceLock::new).take(n).collect(),
            batch: OnceLock::new(),
            row_numbers: OnceLock::new(),
            views: Views::of(n),
        }
    }

    /// The rows, for any number of analyzers, which share their views.
    pub fn rows(&self) -> Rows<'_> {
        Rows { held: Held::Selected(self), names: self.names.clone(), origin: &self.origin }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.filter.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn column(&self, index: usize) -> Result<&ArrayRef> {
        let place = &self.columns[index];
        if let Some(column) = place.get() {
            return Ok(column);
        }
        let column = self.filter.filter(self.source.column(index))?;
        Ok(place.get_or_init(|| column))
    }

    pub(super) fn batch(&self) -> Result<&RecordBatch> {
        if let Some(batch) = self.batch.get() {
            return Ok(batch);
        }
        let columns = (0..self.columns.len()).map(|i| self.column(i).cloned());
        let columns = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        let batch = RecordBatch::try_new_with_options(self.source.schema(), columns, &options)?;
        Ok(self.batch.get_or_init(|| batch))
    }

    pub(super) fn row_numbers(&self) -> &[u64] {
        self.row_numbers.get_or_init(|| {
            self.kept.set_indices().map(|i| self.first_row.saturating_add(i as u64)).collect()
        })
    }
}
