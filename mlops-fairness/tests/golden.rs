//! Group metrics equal fairlearn's and attributions shap's, on values made by `tests/golden/make_fairness.py`.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    Array, ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray,
};
use mlops_core::{Analyzer, DataSourceExt, MemorySource, Rows, State, batch};
use mlops_fairness::{GapKind, GroupCounts, Metric, MetricFrame};
use serde_json::Value;

const GAPS: [GapKind; 5] = [
    GapKind::DemographicParityDifference,
    GapKind::DemographicParityRatio,
    GapKind::EqualOpportunityDifference,
    GapKind::EqualizedOddsDifference,
    GapKind::EqualizedOddsRatio,
];

fn cases() -> Vec<Value> {
    let text = include_str!("golden/fairness.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all["cases"].as_array().unwrap().clone()
}

fn rows(case: &Value) -> RecordBatch {
    let numbers = |key: &str| -> Int32Array {
        case[key].as_array().unwrap().iter().map(|v| v.as_i64().unwrap() as i32).collect()
    };
    let group: StringArray =
        case["group"].as_array().unwrap().iter().map(|v| Some(v.as_str().unwrap())).collect();
    batch! { "g" => group, "y" => numbers("y_true"), "p" => numbers("y_pred") }.unwrap()
}

fn analyzer() -> GroupCounts {
    GroupCounts::new("p", "1", ["g"]).with_labels("y")
}

fn close(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1e-3), "{what}: {ours}, {theirs}");
}

/// The metrics that a case has.
fn known(values: &Value) -> Vec<Metric> {
    let known: Vec<_> =
        Metric::ALL.into_iter().filter(|metric| values[metric.name()].is_number()).collect();
    assert!(known.len() > 8);
    known
}

fn agrees(frame: &MetricFrame, case: &Value) {
    let name = case["name"].as_str().unwrap();
    for metric in known(&case["overall"]) {
        let overall = frame.overall(metric).value.unwrap();
        close(overall, &case["overall"][metric.name()], &format!("{name}: overall {metric}"));
        for (group, rate) in frame.by_group(metric) {
            let theirs = &case["by_group"][group.to_string()][metric.name()];
            close(rate.value.unwrap(), theirs, &format!("{name}: {metric} of {group}"));
        }
    }
    for kind in GAPS {
        let gap = kind.of(frame, 0.95).unwrap();
        close(gap.value, &case["gaps"][kind.name()], &format!("{name}: {}", kind.name()));
        assert!(gap.interval.contains(gap.value), "{gap}");
    }
}

#[test]
fn whole_merged_sliced_and_decoded_equal_fairlearn() {
    let cases = cases();
    assert_eq!(cases.len(), 4);
    for case in &cases {
        let rows = rows(case);
        agrees(&MemorySource::from(rows.clone()).measure(&analyzer()).unwrap(), case);

        let mut merged = analyzer().start();
        for at in (0..rows.num_rows()).step_by(37).rev() {
            let slice = rows.slice(at, 37.min(rows.num_rows() - at));
            let mut part = analyzer().start();
            analyzer().update(&mut part, &Rows::new(&slice)).unwrap();
            merged.merge(part).unwrap();
        }
        let bytes = mlops_core::bytes::state_to_bytes(&analyzer(), &merged).unwrap();
        let decoded = mlops_core::bytes::state_from_bytes(&analyzer(), &bytes).unwrap();
        agrees(&analyzer().finish(decoded).unwrap(), case);
    }
}

#[test]
fn dictionaries_and_other_types_count_the_same() {
    use mlops_core::arrow::compute::cast;
    use mlops_core::arrow::datatypes::DataType;

    for case in &cases() {
        let rows = rows(case);
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let column = |name: &str, to: &DataType| -> ArrayRef {
            cast(rows.column_by_name(name).unwrap(), to).unwrap()
        };
        let columns = [
            ("g", column("g", &dictionary)),
            ("y", column("y", &DataType::Int64)),
            ("p", column("p", &DataType::UInt8)),
        ];
        assert!(columns[0].1.len() > 100);
        let other = RecordBatch::try_from_iter(columns).unwrap();
        agrees(&MemorySource::from(other).measure(&analyzer()).unwrap(), case);
    }
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/fairness.json")).unwrap()
}

fn texts(case: &Value, key: &str) -> StringArray {
    case[key].as_array().unwrap().iter().map(|v| v.as_str()).collect()
}

#[test]
fn intersections_of_two_features_equal_fairlearn() {
    let all = golden();
    let case = &all["intersectional"];
    let labels = |key: &str| -> Int32Array {
        case[key].as_array().unwrap().iter().map(|v| v.as_i64().map(|v| v as i32)).collect()
    };
    let rows = batch! {
        "sex" => texts(case, "sex"), "race" => texts(case, "race"),
        "y" => labels("y_true"), "p" => labels("y_pred"),
    }
    .unwrap();
    let counts = GroupCounts::new("p", "1", ["sex", "race"]).with_labels("y");
    let frame = MemorySource::from(rows).measure(&counts).unwrap();
    assert_eq!(frame.groups().len(), case["by_group"].as_object().unwrap().len());
    for metric in known(&case["by_group"]["F, a"]) {
        for (group, rate) in frame.by_group(metric) {
            let theirs = &case["by_group"][group.to_string()][metric.name()];
            close(rate.value.unwrap(), theirs, &format!("{metric} of {group}"));
        }
    }
    for kind in GAPS {
        let gap = kind.of(&frame, 0.95).unwrap();
        close(gap.value, &case["gaps"][kind.name()], kind.name());
    }
}

#[test]
fn linear_attributions_equal_shap() {
    use mlops_core::model::LinearModel;
    use mlops_fairness::attribution::LinearExplainer;

    let all = golden();
    let features = ["a", "b", "c", "d"];
    for case in all["linear"].as_array().unwrap() {
        let numbers = |value: &Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let table = |key: &str| {
            let rows: Vec<_> = case[key].as_array().unwrap().iter().map(numbers).collect();
            let columns = features.iter().enumerate().map(|(j, name)| {
                let column: Float64Array = rows.iter().map(|row| Some(row[j])).collect();
                (*name, Arc::new(column) as ArrayRef)
            });
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let (weights, intercept) =
            (numbers(&case["coefficients"]), case["intercept"].as_f64().unwrap());
        let model = match case["name"].as_str().unwrap() {
            "regression" => LinearModel::regression(features, weights, intercept),
            _ => LinearModel::logistic(features, weights, intercept, "0", "1"),
        };
        let background = MemorySource::from(table("background"));
        let explainer = LinearExplainer::new(&model.unwrap(), &background).unwrap();
        // Both add up numbers of this size, in different orders.
        let scale = case["base_value"].as_f64().unwrap().abs().max(1.0);
        let base = (explainer.base_values()[0] - case["base_value"].as_f64().unwrap()).abs();
        assert!(base <= 1e-12 * scale, "base value: {base:e} apart");
        let rows = table("rows");
        let explained = explainer.explain(&rows).unwrap();
        for (row, theirs) in case["shap_values"].as_array().unwrap().iter().enumerate() {
            for (ours, theirs) in explained.row(row).unwrap().iter().zip(numbers(theirs)) {
                let apart = (ours - theirs).abs();
                assert!(apart <= 1e-12 * theirs.abs().max(1.0), "row {row}: {ours}, {theirs}");
            }
        }
    }
}
