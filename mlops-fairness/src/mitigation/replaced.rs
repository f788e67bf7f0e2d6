//! Rows with other numbers in some of their columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use mlops_core::Result;

/// The batch with these numbers in the columns of their names, and without some columns.
pub(crate) fn replaced(
    batch: &RecordBatch,
    without: impl Fn(&str) -> bool,
    numbers: &BTreeMap<&str, Float64Array>,
) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if without(field.name()) {
            continue;
        }
        if let Some(numbers) = numbers.get(field.name().as_str()) {
            fields.push(Arc::new(Field::new(field.name(), DataType::Float64, true)));
            columns.push(Arc::new(numbers.clone()) as _);
        } else {
            fields.push(field.clone());
            columns.push(column.clone());
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
