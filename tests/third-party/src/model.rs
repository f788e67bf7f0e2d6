//! A model: yes where a number reaches a threshold.

use std::sync::Arc;

use mlops_core::arrow::array::RecordBatch;
use mlops_core::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mlops_core::{Model, Predictions, Result, Rows};

/// Says yes from a threshold on.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// The column.
    pub column: String,
    /// The least value of a yes.
    pub at: f64,
}

impl Model for Threshold {
    fn input_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(&self.column, DataType::Float64, true)]))
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let rows = Rows::new(batch);
        let yes = rows.numbers(&self.column)?;
        let yes = yes.iter().map(|x| x.map(|x| f64::from(u8::from(x >= self.at)))).collect();
        Ok(Predictions::binary("no", "yes", &yes))
    }
}
