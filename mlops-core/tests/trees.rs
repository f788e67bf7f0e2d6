//! Models of other libraries are read and predict as theirs, on files and numbers that
//! `tests/golden/make_trees.py` made.

#[path = "golden/tree_cases.rs"]
mod tree_cases;

use mlops_core::arrow::array::{Array, Float64Array, RecordBatch};
use mlops_core::model::trees::{TreeEnsemble, lightgbm, xgboost};
use mlops_core::model::{LinearModel, Model, Predictions};
use mlops_core::{Result, conformance};
use proptest::prelude::*;

use tree_cases::{Case, cases, folder};

/// How near numbers must be: XGBoost and ONNX add `f32`.
fn tolerance(case: &Case) -> f64 {
    match case.loader.as_str() {
        "xgboost" | "onnx" => 3e-6,
        _ => 1e-13,
    }
}

fn flat(predictions: Predictions) -> Float64Array {
    match predictions {
        Predictions::Values(values) => values,
        Predictions::Scores { scores, .. } => scores,
        _ => panic!("a new kind of prediction"),
    }
}

/// `None` where all are near, else the first that is not.
fn apart(ours: &Float64Array, theirs: &[f64], tolerance: f64) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} numbers for {}", ours.len(), theirs.len()));
    }
    (0..theirs.len()).find_map(|i| {
        let (a, b) = (ours.value(i), theirs[i]);
        let near = ours.is_valid(i) && (a - b).abs() <= tolerance * b.abs().max(1.0);
        (!near).then(|| format!("number {i}: ours {a:e}, theirs {b:e}"))
    })
}

#[test]
fn predictions_are_those_of_the_library_that_wrote_the_file() {
    let mut wrong = Vec::new();
    let mut done = 0;
    for (name, case) in cases() {
        let (rows, bytes) = (case.rows(), case.bytes());
        let tolerance = tolerance(&case);
        let result =
            if case.is_linear() { linear(&bytes, &rows) } else { trees(&case, &bytes, &rows) };
        let (margin, prediction) = match result {
            Ok(numbers) => numbers,
            Err(e) => {
                wrong.push(format!("{name}: {e}"));
                continue;
            }
        };
        if !case.margin.is_empty()
            && let Some(what) = apart(&margin, &case.margin, tolerance)
        {
            wrong.push(format!("{name}, margins: {what}"));
        }
        if let Some(what) = apart(&prediction, &case.prediction, tolerance) {
            wrong.push(format!("{name}, predictions: {what}"));
        }
        done += 1;
    }
    assert!(wrong.is_empty(), "{} of {done} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(done > 70, "only {done} cases");
}

fn trees(case: &Case, bytes: &[u8], rows: &RecordBatch) -> Result<(Float64Array, Float64Array)> {
    let model = case.load(bytes)?;
    let back = TreeEnsemble::from_bytes(&model.to_bytes())?;
    assert_eq!(back, model);
    conformance::model(&back, rows);
    Ok((model.margin(rows)?, flat(model.predict(rows)?)))
}

fn linear(bytes: &[u8], rows: &RecordBatch) -> Result<(Float64Array, Float64Array)> {
    let model = xgboost::load_linear(bytes)?;
    assert!(xgboost::load(bytes).is_err());
    assert_eq!(LinearModel::from_bytes(&model.to_bytes()?)?, model);
    Ok((model.margin(rows)?, flat(model.predict(rows)?)))
}

/// As the libraries' default: not all of them, but one of each kind of file.
fn kinds() -> Vec<(String, Case, Vec<u8>)> {
    let wanted = [
        "xgboost_stump",
        "xgboost_ubj",
        "xgboost_dart",
        "xgboost_categorical",
        "xgboost_vector",
        "lightgbm_stump",
        "lightgbm_categorical",
        "lightgbm_categorical_dump",
        "lightgbm_pandas",
        "catboost_targets",
        "sklearn_tree",
        "onnx_rf_binary",
    ];
    let kept = cases().into_iter().filter(|(name, _)| wanted.contains(&name.as_str()));
    let kept: Vec<_> = kept
        .map(|(name, case)| {
            let bytes = case.bytes();
            (name, case, bytes)
        })
        .collect();
    assert_eq!(kept.len(), wanted.len());
    kept
}

#[test]
fn cut_files_are_errors() {
    for (name, case, bytes) in kinds() {
        let step = (bytes.len() / 200).max(1);
        // A file may end in a line break or what nobody reads.
        let end = bytes.len() * 9 / 10;
        for n in (0..end).step_by(step) {
            assert!(case.load(&bytes[..n]).is_err(), "{name}, cut at {n} of {}", bytes.len());
        }
    }
}

#[test]
fn linear_trees_are_refused() {
    let bytes = std::fs::read(folder().join("lightgbm_linear.refused.txt")).expect("the file");
    let error = lightgbm::load(&bytes).unwrap_err().to_string();
    assert!(error.contains("linear tree"), "{error}");
}

/// What a hostile or broken writer puts into a file.
fn changed(bytes: &mut Vec<u8>, how: u8, at: usize, with: u8) {
    const TOKENS: [&[u8]; 12] = [
        b"NaN",
        b"-1",
        b"Infinity",
        b"99999999999",
        b"[",
        b"}",
        b"\"",
        b"null",
        b"1e400",
        b"[]",
        b"2147483647",
        b"-9223372036854775808",
    ];
    let at = at % bytes.len().max(1);
    match how % 4 {
        0 => bytes[at] = with,
        1 => {
            let end = (at + usize::from(with)).min(bytes.len());
            bytes.drain(at..end);
        }
        2 => {
            let token = TOKENS[usize::from(with) % TOKENS.len()];
            // In the place of the number that stands here.
            let is_part = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'e');
            let n = bytes[at..].iter().position(|b| !is_part(b)).unwrap_or(0);
            bytes.splice(at..at + n, token.iter().copied());
        }
        _ => {
            let from = usize::from(with) % bytes.len().max(1);
            let part = bytes[from..(from + 40).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is done to a file, it is read as a model that predicts, or refused.
    #[test]
    fn changed_files_never_panic(
        changes in prop::collection::vec((any::<u8>(), any::<u32>(), any::<u8>()), 1..4),
    ) {
        for (_, case, mut bytes) in kinds() {
            for &(how, at, with) in &changes {
                changed(&mut bytes, how, at as usize, with);
            }
            if let Ok(model) = case.load(&bytes) {
                drop(model.predict(&case.rows()));
                prop_assert_eq!(TreeEnsemble::from_bytes(&model.to_bytes()).expect("its own bytes"), model);
            }
        }
    }
}
