//! Expressions beside DuckDB: `golden/make_expression.py` recorded what it answers.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use mlops_core::Rows;
use mlops_core::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use mlops_core::arrow::compute::cast;
use mlops_core::arrow::datatypes::{DataType, TimeUnit};
use mlops_validate::Expression;
use serde_json::Value;

const EXACT: &str = "an integer is compared with a float exactly, not by its nearest float";
const BY_ZERO: &str = "division by zero is unknown, of floats, too";
const CONCAT: &str = "CONCAT is ||, and null if a part is: Spark's, not PostgreSQL's";
const OVERFLOW: &str = "what overflows is unknown, where DuckDB reckons `i > -1` instead";

/// Where we differ on purpose: the row, what we say, why.
const DIFFERENT: &[(&str, usize, Option<bool>, &str)] = &[
    ("CAST(i AS DOUBLE) = 9223372036854775807", 4, Some(false), EXACT),
    ("i / 0 > 1", 0, None, BY_ZERO),
    ("i / 0 > 1", 1, None, BY_ZERO),
    ("i / 0 > 1", 2, None, BY_ZERO),
    ("i / 0 > 1", 4, None, BY_ZERO),
    ("x / 0 > 1", 0, None, BY_ZERO),
    ("x / 0 > 1", 1, None, BY_ZERO),
    ("x / 0 > 1", 2, None, BY_ZERO),
    ("x / 0 > 1", 4, None, BY_ZERO),
    ("CONCAT(t, s) = ' pad '", 2, None, CONCAT),
    ("CONCAT(t, s) = ' pad '", 3, None, CONCAT),
    ("i + 1 > 0", 4, None, OVERFLOW),
    ("i * 2 > 0", 4, None, OVERFLOW),
];

fn table(golden: &Value) -> RecordBatch {
    let columns = golden["columns"].as_array().unwrap().iter().map(|column| {
        let values = column["values"].as_array().unwrap();
        let texts = || values.iter().map(Value::as_str).collect::<StringArray>();
        let array: ArrayRef = match column["type"].as_str().unwrap() {
            "BIGINT" => Arc::new(values.iter().map(Value::as_i64).collect::<Int64Array>()),
            "DOUBLE" => Arc::new(values.iter().map(Value::as_f64).collect::<Float64Array>()),
            "BOOLEAN" => Arc::new(values.iter().map(Value::as_bool).collect::<BooleanArray>()),
            "DATE" => cast(&texts(), &DataType::Date32).unwrap(),
            "TIMESTAMP" => {
                cast(&texts(), &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap()
            }
            _ => Arc::new(texts()),
        };
        (column["name"].as_str().unwrap().to_owned(), array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn we_answer_as_duckdb_does() {
    let golden: Value = serde_json::from_str(include_str!("golden/expression.json")).unwrap();
    let batch = table(&golden);
    let mut compared = 0;
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let text = case["expression"].as_str().unwrap();
        let bound = Expression::parse(text).and_then(|e| e.bind(batch.schema_ref()));
        let bound = bound.unwrap_or_else(|e| panic!("{text}: {e}"));
        let truth = bound.truth(&Rows::new(&batch)).unwrap();
        for (row, theirs) in case["rows"].as_array().unwrap().iter().enumerate() {
            let ours = truth.is_valid(row).then(|| truth.value(row));
            // What is an error of a row there is unknown here.
            let theirs = theirs.as_bool();
            let differs = DIFFERENT.iter().find(|d| d.0 == text && d.1 == row);
            let expected = differs.map_or(theirs, |d| d.2);
            let why = differs.map_or("", |d| d.3);
            assert!(differs.is_none() || expected != theirs, "{text}: no difference, {why}");
            if ours != expected {
                wrong.push(format!("{text}, row {row}: ours {ours:?}, DuckDB {theirs:?}"));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 150, "only {compared} cases");
}
