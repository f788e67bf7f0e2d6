//! Record batches written down in place, and their columns by name.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};

use crate::{Error, Result};

/// A record batch of named columns, all nullable; a [`Result`](crate::Result).
///
/// ```
/// use arrow::array::{Float64Array, StringArray};
/// use mlops_core::batch;
/// let batch = batch! {
///     "age" => Float64Array::from(vec![Some(31.0), None]),
///     "city" => StringArray::from(vec!["Oslo", "Bergen"]),
/// }?;
/// assert_eq!(batch.num_rows(), 2);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[macro_export]
macro_rules! batch {
    ($($name:expr => $array:expr),* $(,)?) => {
        $crate::arrow::array::RecordBatch::try_from_iter_with_nullable([$((
            $name,
            ::std::sync::Arc::new($array) as $crate::arrow::array::ArrayRef,
            true,
        )),*])
        .map_err($crate::Error::from)
    };
}

/// The column of this name.
///
/// # Errors
/// [`Error::ColumnNotFound`] with the names that are there.
///
/// ```
/// use arrow::array::{Array, Float64Array};
/// let people = mlops_core::batch! { "age" => Float64Array::from(vec![31.0, 47.0]) }?;
/// assert_eq!(mlops_core::column(&people, "age")?.len(), 2);
/// let missing = mlops_core::column(&people, "sex").unwrap_err();
/// assert_eq!(missing.to_string(), "column `sex` is not there; the columns are: age");
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::ColumnNotFound {
        column: name.to_owned(),
        available: batch.schema_ref().fields().iter().map(|f| f.name().clone()).collect(),
    })
}

/// The batch with this column, nullable, as its last; the schema's metadata stay.
///
/// # Errors
/// [`Error::Invalid`] if a column has this name already, so that none is lost unnoticed;
/// [`Error::Length`] if the column has not as many rows as the batch.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{Float64Array, StringArray};
/// let people = mlops_core::batch! { "age" => Float64Array::from(vec![31.0, 47.0]) }?;
/// let city = Arc::new(StringArray::from(vec!["Oslo", "Bergen"]));
/// let people = mlops_core::with_column(&people, "city", city.clone())?;
/// assert_eq!(people.num_columns(), 2);
/// assert!(mlops_core::with_column(&people, "city", city).is_err());
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> Result<RecordBatch> {
    let schema = batch.schema_ref();
    if schema.index_of(name).is_ok() {
        let found = format!("`{name}` twice");
        return Err(Error::invalid("columns", "each name once", found));
    }
    if column.len() != batch.num_rows() {
        return Err(Error::Length {
            left: "the batch".into(),
            left_len: batch.num_rows(),
            right: format!("column `{name}`"),
            right_len: column.len(),
        });
    }
    let new = Arc::new(Field::new(name, column.data_type().clone(), true));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([new]).collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    let columns = batch.columns().iter().cloned().chain([column]).collect();
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
