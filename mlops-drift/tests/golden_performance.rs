//! Performance without labels against scikit-learn and `NannyML`; made by
//! `tests/golden/make_performance.py`.

use std::collections::HashMap;

use arrow::array::{Float64Array, Int64Array};
use mlops_core::{DataSourceExt, MemorySource, batch};
use mlops_drift::performance::{Cbpe, CbpeOptions, Isotonic, expected_calibration_error};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    isotonic: Vec<IsotonicCase>,
    cbpe: Vec<CbpeCase>,
}

#[derive(Deserialize)]
struct IsotonicCase {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
    at: Vec<f64>,
    predicted: Vec<f64>,
}

#[derive(Deserialize)]
struct CbpeCase {
    name: String,
    reference: Reference,
    current: Vec<f64>,
    calibrated: bool,
    expected_calibration_error: f64,
    estimated: HashMap<String, f64>,
    sampling_error: HashMap<String, f64>,
    roc_auc_unrounded: f64,
    reference_roc_auc: f64,
}

#[derive(Deserialize)]
struct Reference {
    score: Vec<f64>,
    y: Vec<i64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/performance.json")).expect("golden values")
}

fn close(name: &str, found: f64, expected: f64, relative: f64) {
    let far = (found - expected).abs() > relative * expected.abs() + 1e-15;
    assert!(!far, "{name}: {found:e}, not {expected:e}");
}

#[test]
fn isotonic_equals_scikit_learn() {
    for case in golden().isotonic {
        let fit = Isotonic::fit(&case.x, &case.y).expect("a fit");
        for (&at, &expected) in case.at.iter().zip(&case.predicted) {
            close(&case.name, fit.predict(at), expected, 1e-12);
        }
    }
}

#[test]
fn cbpe_equals_nannyml() {
    for case in golden().cbpe {
        let name = &case.name;
        let reference = MemorySource::from(
            batch! {
                "score" => Float64Array::from(case.reference.score.clone()),
                "y" => Int64Array::from(case.reference.y.clone()),
            }
            .expect("rows"),
        );
        let cbpe = Cbpe::fit(&reference, &CbpeOptions::new("y", "score", "1")).expect("a fit");
        assert_eq!(cbpe.reference().calibration.calibrated, case.calibrated, "{name}");
        close(name, cbpe.reference().roc_auc, case.reference_roc_auc, 1e-12);
        if !name.contains("ties") {
            let truth: Vec<bool> = case.reference.y.iter().map(|&y| y == 1).collect();
            let error = expected_calibration_error(&truth, &case.reference.score, 10);
            close(name, error.expect("an error"), case.expected_calibration_error, 1e-12);
        }

        let rows = batch! { "score" => Float64Array::from(case.current.clone()) }.expect("rows");
        let source = MemorySource::from(rows);
        for batch_size in [1, 7, 1000] {
            let found = source.scan().batch_size(batch_size).run(&cbpe).expect("an estimate");
            for (metric, &expected) in &case.estimated {
                let found = match metric.as_str() {
                    "true_positive" => &found.true_positives,
                    "false_positive" => &found.false_positives,
                    "false_negative" => &found.false_negatives,
                    "true_negative" => &found.true_negatives,
                    other => found.get(other).expect("a metric"),
                };
                // NannyML rounds the sums under its ROC curve to 5 decimals.
                let accuracy = if metric == "roc_auc" { 1e-7 } else { 1e-12 };
                let value = found.value.expect("a value");
                close(&format!("{name}: {metric}"), value, expected, accuracy);
                if let Some(sampling) = case.sampling_error.get(metric) {
                    let ratio = found.std_error.expect("an error") / sampling;
                    println!("{name}: {metric}: error {ratio:.2} of NannyML's sampling error");
                    assert!((0.3..2.5).contains(&ratio), "{name}: {metric}: {ratio}");
                }
            }
            let auc = found.roc_auc.value.expect("an AUC");
            close(name, auc, case.roc_auc_unrounded, 1e-12);
        }
    }
}
