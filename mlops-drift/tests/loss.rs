//! Loss without labels: what the bands cover, by simulation, and what the state keeps.
//!
//! `MLOPS_REPLICATES` raises the number of replicates.

use std::sync::Arc;

use arrow::array::{Array, Float64Array, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use mlops_core::metrics::{Estimated, RegressionReport};
use mlops_core::model::FnModel;
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, DataSourceExt, MemorySource, Predictions, Verdict, batch, conformance};
use mlops_drift::performance::{Dle, DleOptions, PerformanceLimit};

/// A model that is right on the average, and knows less the larger x is and where the kind is
/// "rough".
fn rows(stream: u32, replicate: u64, n: u64, power: f64) -> RecordBatch {
    let drawn: Vec<(f64, bool, f64)> = (0..n)
        .map(|i| {
            let mut draws = Draws::new(replicate, stream, i);
            let x = draws.uniform().powf(power);
            let rough = draws.bernoulli(0.3);
            let spread = (0.2 + x) * if rough { 2.0 } else { 1.0 };
            (x, rough, 5.0 * x + spread * draws.normal())
        })
        .collect();
    batch! {
        "x" => Float64Array::from_iter_values(drawn.iter().map(|d| d.0)),
        "kind" => StringArray::from_iter_values(drawn.iter().map(|d| if d.1 { "rough" } else { "fine" })),
        "predicted" => Float64Array::from_iter_values(drawn.iter().map(|d| 5.0 * d.0)),
        "y" => Float64Array::from_iter_values(drawn.iter().map(|d| d.2)),
    }
    .expect("rows")
}

fn fit(rows: &RecordBatch) -> Dle {
    let options = DleOptions::new("y", "predicted", ["x", "kind"]);
    Dle::fit(&MemorySource::from(rows.clone()), &options).expect("a fit")
}

fn realised(rows: &RecordBatch) -> [f64; 3] {
    let found = Estimated { y_true: &rows["y"], y_pred: &rows["predicted"] };
    let report = RegressionReport::of(found, 0.95).expect("a report");
    [report.mae, report.mse, report.rmse].map(|metric| metric.value.expect("a value"))
}

#[test]
fn bands_cover_what_the_labels_will_say() {
    let runs: u64 =
        std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut covered = [0_u64; 3];
    for run in 0..runs {
        let dle = fit(&rows(1, run, 600, 1.0));
        let current = rows(2, run, 400, 0.5);
        let found = MemorySource::from(current.clone()).measure(&dle).expect("estimates");
        for (i, (estimate, truth)) in found.estimates().zip(realised(&current)).enumerate() {
            covered[i] += u64::from(estimate.interval.expect("a band").contains(truth));
        }
    }
    let shares = covered.map(|c| c as f64 / runs as f64);
    println!("mae, mse, rmse: {shares:.3?}");
    let slack = 3.0 * (0.95 * 0.05 / runs as f64).sqrt() + 0.03;
    assert!(shares.iter().all(|share| *share >= 0.95 - slack), "{shares:?}");
}

#[test]
fn a_shift_to_where_less_is_known_is_seen_and_another_world_is_not() {
    let dle = fit(&rows(1, 0, 1500, 1.0));
    let current = rows(2, 0, 1500, 0.3);
    let found = MemorySource::from(current.clone()).measure(&dle).expect("estimates");
    let [mae, mse, _] = realised(&current);
    let [estimated, reference] =
        [found.mae.value, found.mae.reference].map(|v| v.expect("a value"));
    assert!((estimated / mae - 1.0).abs() < 0.1 && estimated > 1.2 * reference, "{found}");
    assert!((found.mse.value.expect("a value") / mse - 1.0).abs() < 0.2, "{found}");
    let verdict = |limit| found.assess(&[limit]).expect("an answer").verdict;
    assert_eq!(verdict(PerformanceLimit::at_most("mae", 1.5 * mae)), Verdict::Pass);
    assert_eq!(verdict(PerformanceLimit::at_most("mae", reference)), Verdict::Fail);
    assert_eq!(
        verdict(PerformanceLimit::at_most("rmse", found.rmse.value.expect("a value"))),
        Verdict::Inconclusive
    );

    // y is not looked at: were it another, the estimate would be the same.
    let without = current.project(&[0, 1, 2]).expect("columns");
    assert_eq!(MemorySource::from(without).measure(&dle).expect("estimates"), found);
}

#[test]
fn states_and_fits_are_functions_of_the_rows() {
    let reference = rows(1, 0, 400, 1.0);
    let dle = fit(&reference);
    // 7 and 400 have no common divisor.
    let order = UInt32Array::from_iter_values((0..400).map(|i| i * 7 % 400));
    let shuffled = arrow::compute::take_record_batch(&reference, &order).expect("rows");
    let text = serde_json::to_string(&dle).expect("text");
    assert_eq!(serde_json::to_string(&fit(&shuffled)).expect("text"), text);
    let read: Dle = serde_json::from_str(&text).expect("a fit read back");
    assert_eq!(read.description(), dle.description());

    let nasty = batch! {
        "x" => (0..60).map(|i| (i % 7 != 3).then_some(f64::from(i) * if i == 9 { 1e308 } else { 0.05 })).collect::<Float64Array>(),
        "kind" => (0..60).map(|i| [Some("rough"), None, Some("new")][i % 3]).collect::<StringArray>(),
        "predicted" => (0..60).map(|i| match i % 9 {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(f64::NEG_INFINITY),
            _ => Some(f64::from(i)),
        }).collect::<Float64Array>(),
    }
    .expect("rows");
    conformance::analyzer(&dle, &nasty);
    let found = MemorySource::from(nasty).measure(&dle).expect("estimates");
    assert_eq!((found.rows, found.left_out), (39, 21));
    let empty = MemorySource::from(reference.slice(0, 0)).measure(&dle).expect("estimates");
    assert!(empty.estimates().all(|e| e.value.is_none()));
}

#[test]
fn another_learner_takes_the_trees_place() {
    let reference = rows(1, 0, 300, 1.0);
    let source = MemorySource::from(reference.clone());
    let options = DleOptions::new("y", "predicted", ["x"]);
    // The mean loss, whatever the features are.
    let dle = Dle::fit_with(&source, &options, &|_, target| {
        let mean = target.iter().sum::<f64>() / target.len() as f64;
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Float64, true)]));
        Ok(Box::new(FnModel::new("mean", schema, move |batch| {
            Ok(Predictions::values(vec![mean; batch.num_rows()]))
        })))
    })
    .expect("a fit");
    let found = source.measure(&dle).expect("estimates");
    let [mae, ..] = realised(&reference);
    assert!((found.mae.value.expect("a value") - mae).abs() < 1e-12);
    assert!((found.mae.reference.expect("a value") - mae).abs() < 1e-12);
    assert!(dle.description().is_none() && serde_json::to_string(&dle).is_err());
    assert_eq!(dle.reference_rows(), (300, 0));
    assert!(Dle::fit(&MemorySource::from(reference.slice(0, 3)), &options).is_err());
    assert!(Dle::fit(&source, &options.confidence(0.0)).is_err());
    assert_eq!(reference["x"].null_count(), 0);
}
