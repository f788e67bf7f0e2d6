//! Metrics of predictions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int32Array};
use mlops::core::metrics::{self, Classified, Estimated, Scored};
use mlops::core::states::ConfusionCounts;
use mlops::core::{Result, batch};

use crate::cases::{STATISTIC, agree, cases, close, counts, floats, name};
use crate::paths::{labels, measured, pair_paths};

#[test]
fn classification_is_scikit_learns() {
    type OfLabels = for<'a> fn(Classified<'a>) -> Result<f64>;
    type OfScores = for<'a> fn(Scored<'a>) -> Result<f64>;
    let of_labels: [(&str, OfLabels); 5] = [
        ("accuracy", |r| metrics::accuracy(r)),
        ("precision", |r| metrics::precision(r)),
        ("recall", |r| metrics::recall(r)),
        ("specificity", |r| metrics::specificity(r)),
        ("f1", |r| metrics::f1(r)),
    ];
    let of_scores: [(&str, OfScores); 4] = [
        ("roc_auc", |r| metrics::roc_auc(r)),
        ("average_precision", |r| metrics::average_precision(r)),
        ("log_loss", |r| metrics::log_loss(r)),
        ("brier", |r| metrics::brier(r)),
    ];
    for case in cases("classification") {
        let (y, p) = (counts(&case["y"]), floats(&case["p"]));
        let said: Vec<u64> = p.iter().map(|p| u64::from(*p >= 0.5)).collect();
        let scores: ArrayRef = Arc::new(Float64Array::from(p));
        let all = counts(&case["confusion"]);
        for ((y_true, positive), (y_pred, _)) in labels(&y).into_iter().zip(labels(&said)) {
            let what = |metric| format!("{} {metric} of {}", name(case), y_true.data_type());
            let rows = Classified { y_true: &y_true, y_pred: &y_pred, positive };
            let c = metrics::confusion(rows).expect("labels");
            let ours = [c.true_positives, c.false_positives, c.false_negatives, c.true_negatives];
            assert_eq!(ours[..], all, "{}", what("confusion"));
            for (metric, of) in of_labels {
                let ours = pair_paths(&what(metric), &y_true, &y_pred, |y_true, y_pred| {
                    of(Classified { y_true, y_pred, positive })
                });
                agree(&what(metric), ours, &case[metric], STATISTIC);
            }
            for (metric, of) in of_scores {
                let ours = pair_paths(&what(metric), &y_true, &scores, |y_true, y_score| {
                    of(Scored { y_true, y_score, positive })
                });
                agree(&what(metric), ours, &case[metric], STATISTIC);
            }
            let rows = Scored { y_true: &y_true, y_score: &scores, positive };
            let report =
                metrics::ClassificationReport::of_scores(rows, 0.5, 0.95).expect("a report");
            for (metric, ours) in report.metrics() {
                assert_eq!(ours.value.is_some(), case[metric].is_f64(), "{}", what(metric));
                if let (Some(ours), Some(expected)) = (ours.value, case[metric].as_f64()) {
                    close(&what(metric), ours, expected, STATISTIC);
                }
            }
        }
        // The analyzer, where labels and predictions are written in different ways.
        let rows = batch! {
            "y" => Int32Array::from_iter_values(y.iter().map(|y| *y as i32)),
            "p" => Float64Array::from_iter_values(said.iter().map(|y| *y as f64)),
        }
        .expect("a batch");
        let c = measured(name(case), &ConfusionCounts::new("y", "p", "1"), &rows);
        assert_eq!([c.tp, c.fp, c.fn_, c.tn][..], all, "{}", name(case));
    }
}

#[test]
fn regression_is_scikit_learns() {
    type OfNumbers = for<'a> fn(Estimated<'a>) -> Result<f64>;
    let of_numbers: [(&str, OfNumbers); 4] = [
        ("mae", |r| metrics::mean_absolute_error(r)),
        ("mse", |r| metrics::mean_squared_error(r)),
        ("rmse", |r| metrics::root_mean_squared_error(r)),
        ("r2", |r| metrics::r2(r)),
    ];
    for case in cases("regression") {
        let y: ArrayRef = Arc::new(Float64Array::from(floats(&case["y"])));
        let p: ArrayRef = Arc::new(Float64Array::from(floats(&case["p"])));
        let report = metrics::RegressionReport::of(Estimated { y_true: &y, y_pred: &p }, 0.95);
        let report = report.expect("a report");
        for (metric, of) in of_numbers {
            let what = format!("{} {metric}", name(case));
            let ours = pair_paths(&what, &y, &p, |y_true, y_pred| of(Estimated { y_true, y_pred }));
            let reported = report.get(metric).and_then(|m| m.value);
            assert_eq!(
                reported.map(f64::to_bits),
                ours.as_ref().ok().map(|x| x.to_bits()),
                "{what}"
            );
            agree(&what, ours, &case[metric], STATISTIC);
        }
    }
}
