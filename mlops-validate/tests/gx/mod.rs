//! The cases that the real Great Expectations answered, as batches.

use std::sync::Arc;

use mlops_core::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, RecordBatch,
    StringArray,
};
use mlops_core::arrow::compute::cast;
use mlops_core::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use mlops_core::arrow::datatypes::{Field, Schema};
use mlops_core::arrow::record_batch::RecordBatchOptions;
use serde_json::Value;

/// All cases.
pub(crate) fn cases() -> Vec<Value> {
    let all: Value =
        serde_json::from_str(include_str!("../golden/great_expectations.json")).unwrap();
    all["cases"].as_array().unwrap().clone()
}

/// The frame of a case.
pub(crate) fn frame(case: &Value) -> RecordBatch {
    let columns: Vec<_> = case["frame"].as_array().unwrap().iter().map(column).collect();
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
        .collect();
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns.into_iter().map(|(_, array)| array).collect(),
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )
    .unwrap()
}

fn column(column: &Value) -> (String, ArrayRef) {
    let values = column["values"].as_array().unwrap();
    let number = |v: &Value| match v.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(other) => Some(other.parse().unwrap()),
        None => v.as_f64(),
    };
    let text: ArrayRef = Arc::new(values.iter().map(Value::as_str).collect::<StringArray>());
    let micros =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let array: ArrayRef = match column["type"].as_str().unwrap() {
        "int64" => Arc::new(values.iter().map(Value::as_i64).collect::<Int64Array>()),
        "float64" => Arc::new(values.iter().map(number).collect::<Float64Array>()),
        "float32" => {
            let values = values.iter().map(|v| number(v).map(|v| v as f32));
            Arc::new(values.collect::<Float32Array>())
        }
        "bool" => Arc::new(values.iter().map(Value::as_bool).collect::<BooleanArray>()),
        "utf8" => text,
        "date32" => cast(&text, &DataType::Date32).unwrap(),
        "timestamp[us]" => cast(&text, &micros(None)).unwrap(),
        "timestamp[us, UTC]" => {
            // Arrow can't read texts in a zone by name, but it is the name that pandas writes.
            let times = cast(&text, &micros(Some("+00:00"))).unwrap();
            let times = times.as_primitive::<TimestampMicrosecondType>().clone();
            Arc::new(times.with_timezone("UTC"))
        }
        "decimal128(10, 2)" => cast(&text, &DataType::Decimal128(10, 2)).unwrap(),
        other => panic!("{other}"),
    };
    (column["name"].as_str().unwrap().to_owned(), array)
}
