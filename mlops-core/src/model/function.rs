//! A closure as a model.

use std::fmt;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;

use super::{Model, Predictions};
use crate::{Error, Result};

/// A closure as a [`Model`]: for a model of another library, a remote one, a rule.
///
/// The closure gets exactly the columns of the schema, in its order. A column that is missing, of
/// another type, or with a null where the schema allows none is an error before the closure runs.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{AsArray, Float64Array};
/// use arrow::datatypes::{DataType, Field, Float64Type, Schema};
/// use mlops_core::{Model, batch};
/// use mlops_core::model::{FnModel, Predictions};
///
/// let schema = Arc::new(Schema::new(vec![Field::new("income", DataType::Float64, false)]));
/// let rule = FnModel::new("rule", schema, |batch| {
///     let income = batch.column(0).as_primitive::<Float64Type>();
///     let p = income.iter().map(|x| x.map(|x| if x > 30.0 { 0.9 } else { 0.2 })).collect();
///     Ok(Predictions::binary("reject", "accept", &p))
/// });
/// let rows = batch! { "income" => Float64Array::from(vec![10.0, 50.0]) }?;
/// assert_eq!(rule.predict(&rows)?.labels()?.value(1), "accept");
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub struct FnModel<F> {
    name: String,
    schema: SchemaRef,
    predict: F,
}

impl<F> FnModel<F>
where
    F: Fn(&RecordBatch) -> Result<Predictions> + Send + Sync + 'static,
{
    /// The model of this name (for errors and `Debug`) that reads the columns of this schema.
    pub fn new(name: impl Into<String>, schema: SchemaRef, predict: F) -> Self {
        Self { name: name.into(), schema, predict }
    }
}

impl<F> fmt::Debug for FnModel<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.schema.fields().iter().map(|field| field.name()).collect();
        f.debug_struct("FnModel")
            .field("name", &self.name)
            .field("columns", &columns)
            .finish_non_exhaustive()
    }
}

impl<F> Model for FnModel<F>
where
    F: Fn(&RecordBatch) -> Result<Predictions> + Send + Sync + 'static,
{
    fn input_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let input = select(batch, &self.schema)?;
        let predictions = (self.predict)(&input)?;
        check_len(&self.name, &predictions, batch.num_rows())?;
        Ok(predictions)
    }
}

/// The columns of the schema, in its order.
fn select(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let name = field.name();
        let column = crate::column(batch, name)?;
        if column.data_type() != field.data_type() {
            let expected = format!("type {}", field.data_type());
            return Err(Error::column_type(name, expected, column.data_type()));
        }
        if !field.is_nullable()
            && let Some(row) = (0..column.len()).find(|&row| column.is_null(row))
        {
            return Err(Error::Value {
                column: name.clone(),
                row: row as u64,
                expected: "a value".into(),
                found: "null".into(),
            });
        }
        columns.push(column.clone());
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

pub(super) fn check_len(name: &str, predictions: &Predictions, rows: usize) -> Result<()> {
    if predictions.len() == rows {
        return Ok(());
    }
    Err(Error::Length {
        left: "the input".into(),
        left_len: rows,
        right: format!("the predictions of `{name}`"),
        right_len: predictions.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::{batch, conformance};

    fn doubled() -> impl Model {
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Float64, false)]));
        FnModel::new("doubled", schema, |batch| {
            let x = crate::to_numbers("x", batch.column(0))?;
            Ok(Predictions::values(x.iter().map(|x| x.map(|x| 2.0 * x)).collect::<Float64Array>()))
        })
    }

    #[test]
    fn keeps_the_contract() {
        let rows = batch! { "x" => Float64Array::from(vec![1.0, -0.0, f64::NAN, 1e300]) }.unwrap();
        conformance::model(&doubled(), &rows);
    }

    #[test]
    fn refuses_what_the_schema_does_not_allow() {
        let null = batch! { "x" => Float64Array::from(vec![Some(1.0), None]) }.unwrap();
        let error = doubled().predict(&null).unwrap_err();
        assert_eq!(error.to_string(), "column `x`, row 1: expected a value, found null");
        let typed = batch! { "x" => Int32Array::from(vec![1]) }.unwrap();
        let error = doubled().predict(&typed).unwrap_err();
        assert_eq!(error.to_string(), "column `x`: expected type Float64, found type Int32");
    }

    #[test]
    fn a_closure_that_loses_rows_is_an_error() {
        let model = FnModel::new("short", Arc::new(Schema::empty()), |_| {
            Ok(Predictions::values(vec![0.0]))
        });
        let rows = batch! { "x" => Int32Array::from(vec![1, 2]) }.unwrap();
        let error = model.predict(&rows).unwrap_err();
        assert_eq!(error.to_string(), "the input has length 2, the predictions of `short` has 1");
        assert_eq!(format!("{model:?}"), r#"FnModel { name: "short", columns: [], .. }"#);
    }
}
