//! The same answers as Great Expectations on a table of cases, which `golden/make_validate.py`
//! recorded with the real one; but where it calls a success what nothing was measured for, we say
//! inconclusive.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

use std::sync::Arc;

use mlops_core::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use mlops_core::{MemorySource, ValidatorExt, Verdict};
use mlops_validate::{Expectation, Suite};
use serde_json::Value;

fn column(case: &Value) -> ArrayRef {
    if let Some(n) = case["naturals"].as_i64() {
        return Arc::new(Int64Array::from_iter_values(0..n));
    }
    let values = case["values"].as_array().unwrap().iter();
    match case["type"].as_str().unwrap() {
        "int" => Arc::new(values.map(Value::as_i64).collect::<Int64Array>()),
        "text" => Arc::new(values.map(Value::as_str).collect::<StringArray>()),
        "float" => {
            let number =
                |v: &Value| v.as_f64().or_else(|| v.as_str().and_then(|text| text.parse().ok()));
            Arc::new(values.map(number).collect::<Float64Array>())
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_case_agrees() {
    let golden: Value = serde_json::from_str(include_str!("golden/validate.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 30);
    let mut vacuous = 0;
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let expectation: Expectation = serde_json::from_value(case["ours"].clone()).unwrap();
        let batch = RecordBatch::try_from_iter_with_nullable([("x", column(case), true)]).unwrap();
        let rows = batch.num_rows() as u64;
        let suite = Suite::new(name).expect(expectation);
        let found = suite.validate(&MemorySource::from(batch)).unwrap();
        let finding = &found.findings[0];
        let success = case["success"].as_bool().unwrap();
        let percent = case["unexpected_percent"].as_f64();
        if case["element_count"].as_u64().is_some() && percent.is_none() {
            assert!(success, "{name}: Great Expectations calls nothing a success");
            assert_eq!(finding.verdict, Verdict::Inconclusive, "{name}");
            vacuous += 1;
            continue;
        }
        assert_eq!(finding.verdict, Verdict::from_bool(success), "{name}: {finding}");
        if let Some(percent) = percent {
            assert_eq!(case["element_count"].as_u64(), Some(rows), "{name}");
            assert_eq!(finding.failing_rows, case["unexpected_count"].as_u64(), "{name}");
            let ours = (1.0 - finding.value.unwrap()) * 100.0;
            assert!((ours - percent).abs() < 1e-9, "{name}: {ours} and {percent}");
            let indices: Vec<_> = case["unexpected_index_list"]
                .as_array()
                .unwrap()
                .iter()
                .map(Value::as_u64)
                .collect();
            let ours: Vec<_> = finding.rows.iter().map(|r| Some(r.row)).collect();
            assert_eq!(ours, indices, "{name}");
        }
    }
    assert!(vacuous >= 3, "{vacuous} cases in which nothing was measured");
}
