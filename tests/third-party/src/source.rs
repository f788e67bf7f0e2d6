//! A source: the numbers from `n − 1` down to 0, in two partitions.

use std::sync::Arc;

use mlops_core::arrow::array::{Int64Array, RecordBatch, RecordBatchOptions};
use mlops_core::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mlops_core::{Batches, DataSource, Error, Partition, Result};

/// Counts down.
#[derive(Clone, Debug)]
pub struct Countdown {
    /// How many numbers.
    pub n: u64,
}

impl Countdown {
    fn halves(&self) -> [(u64, u64); 2] {
        [(0, self.n / 2), (self.n / 2, self.n)]
    }
}

impl DataSource for Countdown {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("left", DataType::Int64, true)]))
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let part = |(from, to)| Partition::new("countdown").starting_at(from).with_rows(to - from);
        Ok(self.halves().map(part).to_vec())
    }

    fn read(&self, partition: usize, columns: Option<&[usize]>, size: usize) -> Result<Batches> {
        let halves = self.halves();
        let &(from, to) = halves
            .get(partition)
            .ok_or_else(|| Error::invalid("partition", "0 or 1", partition))?;
        let schema = match columns {
            Some(columns) => Arc::new(self.schema().project(columns)?),
            None => self.schema(),
        };
        let (n, step) = (self.n, size.max(1));
        Ok(Batches::new((from..to).step_by(step).map(move |at| {
            let rows = at..to.min(at.saturating_add(step as u64));
            let count = (rows.end - rows.start) as usize;
            let left: Int64Array = rows.map(|row| (n - 1 - row) as i64).collect();
            let arrays = schema.fields().iter().map(|_| Arc::new(left.clone()) as _).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
        })))
    }
}
