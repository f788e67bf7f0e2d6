//! Rows that what is known of them answers for: the same state, to the bit, as if they were read.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
    Int32Array, Int64Array, NullArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use mlops_core::arrow::datatypes::Int8Type;
use mlops_core::{Plan, batch, conformance};
use mlops_validate::{
    Expectation, NullPolicy, Suite, in_range, in_set, is_null, matches_regex, not_in_set, not_null,
    string_length,
};

fn rows() -> RecordBatch {
    let kinds: DictionaryArray<Int8Type> =
        [Some("a"), Some("b"), None, Some("a"), Some("a"), Some("b")].into_iter().collect();
    batch! {
        "int" => Int64Array::from(vec![Some(3), Some(3), None, Some(i64::MIN), Some(7), Some(7)]),
        "big" => UInt64Array::from(vec![u64::MAX, 1, 2, 3, 4, u64::MAX]),
        "date" => Date32Array::from(vec![Some(0), Some(1), None, None, Some(20_000), Some(-5)]),
        "time" => TimestampMicrosecondArray::from(vec![0, 1, 2, 3, i64::MAX, i64::MIN]),
        "money" => Decimal128Array::from(vec![Some(10), Some(10), None, Some(-1), Some(99), Some(101)])
            .with_precision_and_scale(10, 2)
            .unwrap(),
        "float" => Float64Array::from(vec![1.0, f64::NAN, -0.0, 0.0, f64::INFINITY, 0.5]),
        "text" => StringArray::from(vec![Some("b"), Some("b"), Some(""), None, Some("é"), Some("zz")]),
        "kind" => kinds,
        "flag" => BooleanArray::from(vec![Some(true), Some(true), None, Some(false), Some(true), None]),
        "none" => Int32Array::from(vec![None; 6]),
        "null" => Arc::new(NullArray::new(6)) as ArrayRef,
    }
    .unwrap()
}

fn expectations() -> Vec<Expectation> {
    let ranges = [
        in_range("int", 3..=7),
        in_range("int", 4..),
        in_range("big", 2..u64::MAX),
        in_range("date", "1970-01-01".."2000-01-01"),
        in_range("time", "1970-01-01"..),
        in_range("money", 0.1..=1.0),
        in_range("float", 0.0..=1.0),
        in_range("text", "b".."z"),
        in_range("kind", ..="a"),
        in_range("none", 0..),
        in_range("null", 0..),
    ];
    let others = [
        in_set("int", [3, 7]),
        in_set("int", [3, 4, 5, 6, 7]),
        not_in_set("int", [3]),
        in_set("money", [0.1]),
        in_set("float", [0.5, 0.0]),
        in_set("text", ["b", "zz"]),
        not_in_set("kind", ["b"]),
        in_set("flag", [true]),
        string_length("text", 1..),
        matches_regex("text", "^[a-z]$"),
    ];
    let mut all = Vec::new();
    for expectation in ranges.into_iter().chain(others) {
        for nulls in [NullPolicy::Skip, NullPolicy::Pass, NullPolicy::Fail] {
            all.push(expectation.clone().nulls(nulls));
        }
    }
    for column in rows().schema_ref().fields() {
        all.extend([not_null(column.name()), is_null(column.name())]);
    }
    all.push(in_range("int", 0..).where_("big > 1").unwrap());
    all
}

#[test]
fn settled_rows_count_as_if_read() {
    let rows = rows();
    for expectation in expectations() {
        let mut plan = Plan::new();
        let suite = Suite::new("one").expect(expectation);
        suite.plan_check(&rows.schema(), &mut plan).unwrap();
        conformance::analyzer(&plan, &rows);
    }
}
