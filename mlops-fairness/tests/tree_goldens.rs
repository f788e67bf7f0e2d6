//! Attributions of other libraries' models are theirs, on files and numbers that
//! `tests/golden/make_trees.py` made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlops_core::Result;
use mlops_core::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::model::trees::{TreeEnsemble, catboost, lightgbm, sklearn, xgboost};
use mlops_fairness::attribution::{InteractionExplainer, Precision, TreeExplainer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    loader: String,
    file: String,
    columns: BTreeMap<String, Vec<Option<Cell>>>,
    #[serde(default)]
    contribs: Vec<f64>,
    #[serde(default)]
    interactions: Vec<f64>,
    #[serde(default)]
    iterations: String,
    #[serde(default)]
    loader_of: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cell {
    Number(f64),
    Text(String),
}

impl Case {
    fn rows(&self) -> RecordBatch {
        let columns = self.columns.iter().map(|(name, cells)| {
            let text = |cell: &Option<Cell>| match cell {
                Some(Cell::Text(text)) => Some(text.clone()),
                _ => None,
            };
            let number = |cell: &Option<Cell>| match cell {
                Some(Cell::Number(x)) => Some(*x),
                _ => None,
            };
            let column: ArrayRef = if cells.iter().any(|cell| text(cell).is_some()) {
                Arc::new(cells.iter().map(text).collect::<StringArray>())
            } else {
                Arc::new(cells.iter().map(number).collect::<Float64Array>())
            };
            (name.clone(), column, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
    }

    fn load(&self) -> Result<TreeEnsemble> {
        let bytes = std::fs::read(folder().join(&self.file)).expect("the model's file");
        match (self.loader.as_str(), self.iterations.as_str()) {
            ("xgboost", "best") => xgboost::load_iterations(&bytes, xgboost::Iterations::Best),
            ("xgboost", _) => xgboost::load(&bytes),
            ("lightgbm", _) => lightgbm::load(&bytes),
            ("catboost", _) => catboost::load(&bytes),
            (_, _) => sklearn::load(&bytes),
        }
    }

    /// How near numbers must be, relative to |base| + Σ|φ|: `XGBoost` computes in `f32`.
    fn tolerance(&self) -> f64 {
        match self.loader.as_str() {
            "xgboost" => 5e-6,
            _ => 1e-10,
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../mlops-core/tests/golden/trees")
}

fn cases() -> Vec<(String, Case)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the golden files") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".case.json") {
            let text = std::fs::read_to_string(&path).expect("a case");
            let case: Case = serde_json::from_str(&text).expect("a case");
            if !case.contribs.is_empty() && case.loader_of != "linear" {
                all.push((name.to_owned(), case));
            }
        }
    }
    all.sort_by(|a: &(String, Case), b| a.0.cmp(&b.0));
    all
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
            let model = case.load()?;
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
            [("f64", &ours, case.tolerance()), ("f32", &single, case.tolerance().max(1e-5))]
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
        let model = case.load().expect(&name);
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
