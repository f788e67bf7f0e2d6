//! Attributions of other libraries' models are theirs, on files and numbers that
//! `tests/golden/make_trees.py` made.

#[path = "../../mlops-core/tests/golden/tree_cases.rs"]
mod tree_cases;

use std::collections::BTreeMap;
use std::sync::Arc;

use mlops_core::arrow::array::{ArrayRef, Int32Array, RecordBatch, UInt32Array};
use mlops_core::arrow::compute::take_record_batch;
use mlops_core::model::Link;
use mlops_fairness::attribution::{
    Attributions, Background, InteractionExplainer, InterventionalExplainer, Precision,
    RescaledExplainer, TreeExplainer,
};
use serde::Deserialize;

use tree_cases::{Case, Columns, read};

/// How near numbers must be, relative to |base| + Σ|φ|: `XGBoost` computes in `f32`.
fn tolerance(case: &Case) -> f64 {
    match case.loader.as_str() {
        "xgboost" => 5e-6,
        _ => 1e-10,
    }
}

/// The models of which contributions are known.
fn cases() -> Vec<(String, Case)> {
    let all = tree_cases::cases().into_iter();
    all.filter(|(_, case)| !case.contribs.is_empty() && !case.is_linear()).collect()
}

/// The greatest difference of a row, relative to what it adds up.
fn apart<'a>(rows: impl Iterator<Item = (Vec<f64>, &'a [f64])>) -> f64 {
    rows.map(|(ours, theirs)| {
        let scale: f64 = theirs.iter().map(|v| v.abs()).sum();
        let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f64::max) / scale.max(f64::MIN_POSITIVE)
    })
    .fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
}

#[test]
fn attributions_are_those_of_the_library_that_wrote_the_file() {
    let mut wrong = Vec::new();
    let mut worst: BTreeMap<String, f64> = BTreeMap::new();
    let mut done = 0;
    for (name, case) in cases() {
        let rows = case.rows();
        let of = |precision| {
            let model = case.load(&case.bytes())?;
            TreeExplainer::with_precision(&model, precision)?.explain(&rows)
        };
        let (ours, single) = match (of(Precision::Double), of(Precision::Single)) {
            (Ok(ours), Ok(single)) => (ours, single),
            (Err(e), _) | (_, Err(e)) => {
                wrong.push(format!("{name}: {e}"));
                continue;
            }
        };
        let (m, k) = (ours.features.len(), ours.outputs.len());
        let width = case.contribs.len() / rows.num_rows();
        // Of two classes whose scores add up to one, we explain the positive one.
        let theirs: Vec<&[f64]> = if width == 2 * (m + 1) && k == 1 {
            case.contribs.chunks(m + 1).skip(1).step_by(2).collect()
        } else {
            case.contribs.chunks(m + 1).collect()
        };
        if theirs.len() != rows.num_rows() * k {
            wrong.push(format!("{name}: {} rows of {k} and {m}, theirs {width}", theirs.len()));
            continue;
        }
        for (kind, ours, tolerance) in
            [("f64", &ours, tolerance(&case)), ("f32", &single, tolerance(&case).max(1e-5))]
        {
            let cells = (0..theirs.len()).map(|at| {
                let mut phi = ours.of(at / k, at % k).unwrap_or_default().to_vec();
                phi.push(ours.base_values[at % k]);
                (phi, theirs[at])
            });
            let off = apart(cells);
            let known = worst.entry(format!("{} {kind}", case.loader)).or_default();
            *known = known.max(off);
            if off.is_nan() || off > tolerance {
                wrong.push(format!("{name}, {kind}: {off:e} apart"));
            }
        }
        done += 1;
    }
    println!("{done} models; the greatest differences: {worst:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(done > 60, "{done} models");
}

#[test]
fn interactions_are_those_of_xgboost() {
    let (mut worst, mut done) = (0.0f64, 0);
    for (name, case) in cases().into_iter().filter(|(_, case)| !case.interactions.is_empty()) {
        let model = case.load(&case.bytes()).expect(&name);
        let k = model.outputs();
        let side = model.features().len() + 1;
        let few = case.interactions.len() / (side * side * k);
        let ours = InteractionExplainer::new(&model)
            .and_then(|explainer| explainer.explain(&case.rows().slice(0, few)))
            .expect(&name);
        let cells = case.interactions.chunks(side * side).enumerate().map(|(at, theirs)| {
            let dense = ours.dense(at / k, at % k).unwrap_or_default();
            let mut all: Vec<f64> = Vec::new();
            for row in dense.chunks(side - 1) {
                all.extend(row);
                all.push(0.0);
            }
            all.extend(vec![0.0; side - 1]);
            all.push(ours.base_values[at % k]);
            (all, theirs)
        });
        let off = apart(cells);
        worst = worst.max(off);
        assert!(off < 5e-6, "{name}: {off:e} apart");
        done += 1;
    }
    println!("{done} models; the greatest difference: {worst:e}");
    assert!(done > 3, "{done} models");
}

/// What shap says of a model against a background.
#[derive(Deserialize)]
struct Against {
    rows: Vec<u32>,
    background: Columns,
    #[serde(default)]
    labels: Vec<i32>,
    raw: Vec<f64>,
    #[serde(default)]
    probability: Vec<f64>,
    #[serde(default)]
    log_loss: Vec<f64>,
}

fn with_labels(rows: &RecordBatch, labels: &[i32]) -> RecordBatch {
    let label: ArrayRef = Arc::new(Int32Array::from(labels.to_vec()));
    let columns = rows.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let columns = columns.into_iter().zip(rows.columns().iter().cloned());
    let columns = columns.chain([("label".to_owned(), label)]);
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn attributions_against_a_background_are_those_of_shap() {
    let cases: BTreeMap<String, Case> = tree_cases::cases().into_iter().collect();
    let (mut worst, mut done): (BTreeMap<&str, f64>, _) = (BTreeMap::new(), 0);
    for (name, against) in read::<Against>(".against.json") {
        let model = cases[&name].load(&cases[&name].bytes()).expect(&name);
        // scikit-learn's classes have names, labels here are numbers.
        let model = match model.link() {
            Link::Logistic { .. } => {
                let link = Link::Logistic { negative: "0".into(), positive: "1".into() };
                model.with_link(link).expect(&name)
            }
            _ => model,
        };
        let rows = UInt32Array::from(against.rows.clone());
        let rows = take_record_batch(&cases[&name].rows(), &rows).expect(&name);
        let others = tree_cases::rows(&against.background);
        let m = others.num_rows();
        let background = Background::new(others.clone()).expect(&name);
        let mut check = |kind: &'static str, ours: Attributions, theirs: &[f64]| {
            let f = model.features().len();
            let cells = theirs.chunks(f + 1).enumerate().map(|(row, theirs)| {
                let mut phi = ours.row(row).unwrap_or_default().to_vec();
                // What the label adds is in shap's base value.
                let of_label: f64 = phi.drain(f..).sum();
                phi.push(ours.base_values[0] + of_label);
                (phi, theirs)
            });
            let off = apart(cells);
            // shap weighs in `f32`.
            assert!(off < 1e-7, "{name}, {kind}: {off:e} apart");
            let known = worst.entry(kind).or_default();
            *known = known.max(off);
            done += 1;
        };
        let raw = InterventionalExplainer::new(&model, &background);
        check("raw", raw.and_then(|e| e.explain(&rows)).expect(&name), &against.raw);
        if against.probability.is_empty() {
            continue;
        }
        let probability = RescaledExplainer::new(&model, &background);
        let probability = probability.and_then(|e| e.explain(&rows)).expect(&name);
        check("probability", probability, &against.probability);
        let (of_others, of_rows) = against.labels.split_at(m);
        let background = Background::new(with_labels(&others, of_others)).expect(&name);
        let loss = RescaledExplainer::log_loss(&model, &background, "label");
        let loss = loss.and_then(|e| e.explain(&with_labels(&rows, of_rows))).expect(&name);
        check("log_loss", loss, &against.log_loss);
    }
    println!("{done} explanations; the greatest differences: {worst:?}");
    assert_eq!(done, 12);
}
