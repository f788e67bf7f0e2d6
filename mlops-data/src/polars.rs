//! Data frames of polars, through the Arrow C Data Interface: no value is copied but where a
//! column stands in several chunks.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use ::polars::prelude::{ArrowField, Column, CompatLevel, DataFrame, PlSmallStr, Series};
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow::datatypes::{Field, Schema};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use mlops_core::{Error, Result};
use polars_arrow::ffi;

/// A data frame as a batch. Text comes as `Utf8View`.
///
/// # Errors
/// A type that Arrow's Rust implementation does not have.
pub fn from_polars(frame: &DataFrame) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(frame.width());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(frame.width());
    for column in frame.columns() {
        let name = column.name();
        let array = column.as_materialized_series().rechunk().to_arrow(0, CompatLevel::newest());
        let field = ArrowField::new(name.clone(), array.dtype().clone(), true);
        let mut schema = ffi::export_field_to_c(&field);
        let mut exported = ffi::export_array_to_c(array);
        // SAFETY: both pairs of structs have the layout that the C Data Interface fixes
        // (`repr(C)`) and were just exported; `from_raw` moves them out and leaves released ones.
        #[expect(unsafe_code, reason = "the interface between two Arrow implementations")]
        let data = unsafe {
            let schema = FFI_ArrowSchema::from_raw((&raw mut schema).cast());
            let exported = FFI_ArrowArray::from_raw((&raw mut exported).cast());
            from_ffi(exported, &schema)
        }?;
        let array = make_array(data);
        fields.push(Field::new(name.as_str(), array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(frame.height()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}

/// A batch as a data frame.
///
/// # Errors
/// A type that polars does not have.
pub fn to_polars(batch: &RecordBatch) -> Result<DataFrame> {
    let error = |e: ::polars::prelude::PolarsError| Error::other("polars", e);
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let (exported, schema) = to_ffi(&array.to_data())?;
        let (exported, schema) = (ManuallyDrop::new(exported), ManuallyDrop::new(schema));
        // SAFETY: the same layouts the other way; each struct is moved out by one read and, being in
        // `ManuallyDrop`, is released by its new owner alone.
        #[expect(unsafe_code, reason = "the interface between two Arrow implementations")]
        let array = unsafe {
            let schema: ffi::ArrowSchema = std::ptr::read((&raw const *schema).cast());
            let exported: ffi::ArrowArray = std::ptr::read((&raw const *exported).cast());
            let kind = ffi::import_field_from_c(&schema).map_err(error)?;
            ffi::import_array_from_c(exported, kind.dtype).map_err(error)?
        };
        let series =
            Series::try_from((PlSmallStr::from(field.name().as_str()), array)).map_err(error)?;
        columns.push(Column::from(series));
    }
    DataFrame::new(batch.num_rows(), columns).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
        TimestampMillisecondArray,
    };
    use mlops_core::batch;

    #[test]
    fn there_and_back() {
        let rows = batch! {
            "n" => Int64Array::from(vec![Some(1), None, Some(3)]),
            "x" => Float64Array::from(vec![Some(f64::NAN), Some(-0.0), None]),
            "t" => StringArray::from(vec![Some("a"), None, Some("longer than twelve bytes")]),
        }
        .unwrap();
        let frame = to_polars(&rows).unwrap();
        assert_eq!(frame.shape(), (3, 3));
        let back = from_polars(&frame).unwrap();
        assert_eq!(back.column(0), rows.column(0));
        assert_eq!(back.column(1), rows.column(1));
        assert!(back.column(2).as_string_view().iter().eq(rows.column(2).as_string::<i32>()));
        // A slice keeps its place.
        let back = from_polars(&to_polars(&rows.slice(1, 2)).unwrap()).unwrap();
        assert_eq!(back.column(0).as_ref(), rows.slice(1, 2).column(0).as_ref());
    }

    #[test]
    fn other_types_no_rows_and_several_chunks() {
        let seconds = TimestampMillisecondArray::from(vec![Some(1_500), None]);
        let rows = batch! {
            "b" => BooleanArray::from(vec![Some(true), None]),
            "d" => Date32Array::from(vec![Some(20_089), None]),
            "t" => seconds.with_timezone("UTC"),
        }
        .unwrap();
        for rows in [rows.clone(), rows.slice(0, 0)] {
            let back = from_polars(&to_polars(&rows).unwrap()).unwrap();
            assert_eq!(back.num_rows(), rows.num_rows());
            for (mine, theirs) in rows.columns().iter().zip(back.columns()) {
                assert_eq!(mine, theirs);
            }
        }
        let mut twice = to_polars(&rows).unwrap();
        twice.vstack_mut(&to_polars(&rows).unwrap()).unwrap();
        let back = from_polars(&twice).unwrap();
        assert_eq!(back.num_rows(), 4);
        assert_eq!(back.column(1).slice(2, 2).as_ref(), rows.column(1).as_ref());
    }
}
