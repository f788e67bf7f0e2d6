//! Models predict and are fitted as scikit-learn's, on values made by
//! `tests/golden/make_models.py`.

use mlops_core::arrow::array::{Float64Array, RecordBatch};
use mlops_core::model::trees::sklearn;
use mlops_core::model::{LinearModel, Link, Model, Predictions, load, to_batch};
use ndarray::Array2;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    given: Vec<Given>,
    #[cfg(feature = "linfa")]
    logistic: Vec<Logistic>,
    #[cfg(feature = "linfa")]
    linear: Linear,
    trees: Vec<Tree>,
}

#[derive(Deserialize)]
struct Given {
    classes: Vec<String>,
    x: Vec<Vec<f64>>,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    margins: Vec<f64>,
    probabilities: Vec<f64>,
}

#[cfg(feature = "linfa")]
#[derive(Deserialize)]
struct Logistic {
    alpha: f64,
    x: Vec<Vec<f64>>,
    y: Vec<String>,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
}

#[cfg(feature = "linfa")]
#[derive(Deserialize)]
struct Linear {
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
    coefficients: Vec<f64>,
    intercept: f64,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Tree {
    classes: Option<Vec<String>>,
    x: Vec<Vec<f64>>,
    feature: Vec<i64>,
    threshold: Vec<f64>,
    left: Vec<i64>,
    right: Vec<i64>,
    cover: Vec<f64>,
    value: Vec<Vec<f64>>,
    leaf: Vec<u32>,
    expected: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/models.json")).expect("the golden file")
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|j| format!("x{j}")).collect()
}

fn batch(x: &[Vec<f64>]) -> RecordBatch {
    let columns = x[0].len();
    let x = Array2::from_shape_fn((x.len(), columns), |(i, j)| x[i][j]);
    to_batch(x.view(), &names(columns)).expect("a batch")
}

#[track_caller]
fn near(ours: &[f64], golden: &[f64], relative: f64) {
    assert_eq!(ours.len(), golden.len());
    for (ours, golden) in ours.iter().zip(golden) {
        let bound = relative * golden.abs().max(1.0);
        assert!((ours - golden).abs() <= bound, "ours {ours:e}, golden {golden:e}");
    }
}

fn scores(predictions: Predictions) -> Float64Array {
    match predictions {
        Predictions::Scores { scores, .. } => scores,
        Predictions::Values(values) => values,
        _ => panic!("a new kind of prediction"),
    }
}

#[test]
fn probabilities_are_scikit_learns() {
    for given in golden().given {
        let link = match &given.classes[..] {
            [negative, positive] => {
                Link::Logistic { negative: negative.clone(), positive: positive.clone() }
            }
            classes => Link::Softmax { classes: classes.to_vec() },
        };
        let model = LinearModel::new(names(3), given.coefficients, given.intercepts, link).unwrap();
        let rows = batch(&given.x);
        near(model.margin(&rows).unwrap().values(), &given.margins, 1e-14);
        let ours = scores(model.predict(&rows).unwrap());
        near(ours.values(), &given.probabilities, 1e-14);
        let loaded = load(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(scores(loaded.predict(&rows).unwrap()), ours);
        mlops_core::conformance::model(&model, &rows);
    }
}

#[test]
fn trees_are_scikit_learns() {
    for tree in golden().trees {
        let outputs = tree.classes.as_ref().map_or(1, Vec::len);
        let file = serde_json::json!({
            "format": "sklearn-trees",
            "version": 1,
            "features": names(3),
            "classes": tree.classes,
            "link": if tree.classes.is_some() { "scores" } else { "identity" },
            "base": vec![0.0; outputs],
            "single_precision": true,
            "allows_missing": false,
            "trees": [{
                "output": null,
                "feature": tree.feature,
                "threshold": tree.threshold,
                "left": tree.left,
                "right": tree.right,
                "cover": tree.cover,
                "value": tree.value.concat(),
            }],
        });
        let model = sklearn::load(file.to_string().as_bytes()).unwrap();
        let rows = batch(&tree.x);
        assert_eq!(model.apply(&rows).unwrap().values(), &tree.leaf[..]);
        near(scores(model.predict(&rows).unwrap()).values(), &tree.expected, 1e-15);
        mlops_core::conformance::model(&model, &rows);
    }
}

#[cfg(feature = "linfa")]
mod fits {
    use std::sync::Arc;

    use mlops_core::arrow::array::{ArrayRef, StringArray};
    use mlops_core::model::linfa::{LogisticOptions, linear_regression, logistic_regression};

    use super::*;

    fn with(rows: &RecordBatch, y: ArrayRef) -> RecordBatch {
        let mut columns: Vec<(String, ArrayRef)> =
            names(rows.num_columns()).into_iter().zip(rows.columns().iter().cloned()).collect();
        columns.push(("y".into(), y));
        RecordBatch::try_from_iter(columns).expect("a batch")
    }

    #[test]
    fn logistic_regressions_are_scikit_learns() {
        for case in golden().logistic {
            let rows = with(&batch(&case.x), Arc::new(StringArray::from(case.y)));
            let options =
                LogisticOptions::default().with_alpha(case.alpha).with_gradient_tolerance(1e-11);
            let model = logistic_regression(&rows, &names(3), "y", &options).unwrap();
            near(model.coefficients(), &case.coefficients, 1e-6);
            // A softmax's intercepts are not penalised: only their differences are determined.
            let centred = |b: &[f64]| -> Vec<f64> {
                let mean = b.iter().sum::<f64>() / b.len() as f64;
                b.iter().map(|b| if case.intercepts.len() > 1 { b - mean } else { *b }).collect()
            };
            near(&centred(model.intercepts()), &centred(&case.intercepts), 1e-6);
        }
    }

    #[test]
    fn linear_regressions_are_scikit_learns() {
        let case = golden().linear;
        let rows = with(&batch(&case.x), Arc::new(Float64Array::from(case.y)));
        let model = linear_regression(&rows, &names(4), "y").unwrap();
        near(model.coefficients(), &case.coefficients, 1e-10);
        near(model.intercepts(), &[case.intercept], 1e-9);
        near(scores(model.predict(&rows).unwrap()).values(), &case.values, 1e-12);
    }
}
