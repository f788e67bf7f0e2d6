//! A number for a row that depends on its values alone.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use mlops_core::{Digest, Result, column};

/// The keys of the rows of a batch: equal rows have equal keys, whatever batch they stand in.
#[derive(Debug)]
pub(crate) struct RowKeys(Rows);

impl RowKeys {
    /// The keys by the values of these columns. A dictionary counts as what it stands for.
    pub(crate) fn of(batch: &RecordBatch, columns: &[String]) -> Result<Self> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
        for name in columns {
            let array = column(batch, name)?;
            arrays.push(match array.data_type() {
                DataType::Dictionary(_, value) => cast(array, value)?,
                _ => array.clone(),
            });
        }
        let fields = arrays.iter().map(|a| SortField::new(a.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        // Without columns there would be no rows.
        if arrays.is_empty() {
            let rows = vec![0_u8; batch.num_rows()];
            let same: ArrayRef = std::sync::Arc::new(arrow::array::UInt8Array::from(rows));
            let converter = RowConverter::new(vec![SortField::new(DataType::UInt8)])?;
            return Ok(Self(converter.convert_columns(&[same])?));
        }
        Ok(Self(converter.convert_columns(&arrays)?))
    }

    /// The key of a row: the first eight bytes of a digest, so that neighbours share nothing.
    pub(crate) fn key(&self, row: usize) -> u64 {
        let digest = Digest::of(self.0.row(row).as_ref());
        digest.as_bytes().iter().take(8).fold(0, |key, &byte| key << 8 | u64::from(byte))
    }
}
