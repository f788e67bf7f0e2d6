//! What is known of rows without reading them, tested against the rows.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_comparator};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, SchemaRef};

use crate::{
    Batches, ColumnStatistics, DataSource, Limit, MemorySource, Partition, Result, Statistics,
};

/// The values of a column as bounds speak of them: of a dictionary what it stands for.
fn plain(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Dictionary(_, value) => cast(column, value).expect("the dictionary's values"),
        _ => column.clone(),
    }
}

/// Whether a row has a value that bounds speak of.
fn counts(column: &dyn Array, row: usize) -> bool {
    column.is_valid(row)
        && match column.data_type() {
            DataType::Float16 => !column.as_primitive::<Float16Type>().value(row).is_nan(),
            DataType::Float32 => !column.as_primitive::<Float32Type>().value(row).is_nan(),
            DataType::Float64 => !column.as_primitive::<Float64Type>().value(row).is_nan(),
            _ => true,
        }
}

fn is_zero(column: &dyn Array, row: usize) -> bool {
    match column.data_type() {
        DataType::Float16 => column.as_primitive::<Float16Type>().value(row).to_f32() == 0.0,
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row) == 0.0,
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row) == 0.0,
        _ => false,
    }
}

/// All that can be known of these rows.
pub(super) fn all_of(rows: &RecordBatch) -> Statistics {
    let mut all = Statistics::new(rows.num_rows() as u64);
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let column = plain(column);
        let mut known = ColumnStatistics::new(Some(column.logical_null_count() as u64));
        // What arrow does not order has no bounds.
        if let Ok(compare) = make_comparator(&column, &column, SortOptions::default()) {
            let values = || (0..column.len()).filter(|&row| counts(&column, row));
            let limit = |row: usize| Limit::new(&column.slice(row, 1), !is_zero(&column, row));
            let min = values().min_by(|a, b| compare(*a, *b)).and_then(limit);
            let max = values().max_by(|a, b| compare(*a, *b)).and_then(limit);
            known = known.between(min, max);
        }
        all = all.with_column(field.name(), known);
    }
    all
}

/// The same rows with less known of them: no bound exact, no bound, no count of nulls, nothing.
pub(super) fn less_of(rows: &RecordBatch) -> Vec<Statistics> {
    let all = all_of(rows);
    let with = |change: &dyn Fn(&mut ColumnStatistics)| {
        let mut less = Statistics::new(all.rows());
        for field in rows.schema_ref().fields() {
            if let Some(column) = all.column(field.name()) {
                let mut column = column.clone();
                change(&mut column);
                less = less.with_column(field.name(), column);
            }
        }
        less
    };
    let inexact = with(&|column| {
        for limit in [&mut column.min, &mut column.max].into_iter().flatten() {
            limit.exact = false;
        }
    });
    let no_bounds = with(&|column| (column.min, column.max) = (None, None));
    let no_nulls = with(&|column| column.null_count = None);
    vec![inexact, no_bounds, no_nulls, Statistics::new(all.rows())]
}

/// Rows in memory of which everything is known.
#[derive(Debug)]
pub(super) struct Known(pub(super) MemorySource);

impl DataSource for Known {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        self.0.partitions()
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        self.0.read(partition, projection, batch_size)
    }

    fn statistics(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
    ) -> Result<Option<Statistics>> {
        let mut batches = self.0.read(partition, projection, usize::MAX)?;
        batches.next().map(|batch| Ok(all_of(&batch?))).transpose()
    }
}

/// Tests what a source says of a partition against its rows.
pub(super) fn hold(known: &Statistics, rows: &RecordBatch) {
    assert_eq!(known.rows(), rows.num_rows() as u64, "the rows that are known of");
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let Some(known) = known.column(field.name()) else { continue };
        let (name, column) = (field.name(), plain(column));
        if let Some(nulls) = known.null_count {
            assert_eq!(nulls, column.logical_null_count() as u64, "the nulls of `{name}`");
        }
        for (limit, outside) in [(&known.min, Ordering::Greater), (&known.max, Ordering::Less)] {
            let Some(limit) = limit else { continue };
            assert_eq!(limit.value.data_type(), column.data_type(), "the bound of `{name}`");
            assert!(limit.value.len() == 1 && counts(&limit.value, 0), "one value, `{name}`");
            let compare = make_comparator(&limit.value, &column, SortOptions::default())
                .expect("what has a bound has an order");
            let mut met = false;
            for row in (0..column.len()).filter(|&row| counts(&column, row)) {
                let order = compare(0, row);
                assert_ne!(order, outside, "`{name}`, row {row}: the bound holds");
                met |= order == Ordering::Equal;
            }
            assert!(met || !limit.exact, "`{name}`: an exact bound is some row's value");
        }
    }
}
