//! Models of other libraries with what these say of a probe, which `tests/golden/make_trees.py` made:
//! as the tests of the loaders and of the explainers read them.

#![allow(dead_code, reason = "every test uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlops_core::Result;
use mlops_core::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::model::trees::{TreeEnsemble, catboost, lightgbm, onnx, sklearn, xgboost};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Columns by name; nulls are missing values.
pub(crate) type Columns = BTreeMap<String, Vec<Option<Cell>>>;

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) loader: String,
    pub(crate) file: String,
    pub(crate) columns: Columns,
    #[serde(default)]
    pub(crate) margin: Vec<f64>,
    pub(crate) prediction: Vec<f64>,
    #[serde(default)]
    pub(crate) contribs: Vec<f64>,
    #[serde(default)]
    pub(crate) interactions: Vec<f64>,
    #[serde(default)]
    iterations: String,
    #[serde(default)]
    loader_of: String,
}

impl Case {
    pub(crate) fn rows(&self) -> RecordBatch {
        rows(&self.columns)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(folder().join(&self.file)).expect("the model's file")
    }

    /// Whether it is no ensemble of trees.
    pub(crate) fn is_linear(&self) -> bool {
        self.loader_of == "linear"
    }

    /// The model of these bytes.
    pub(crate) fn load(&self, bytes: &[u8]) -> Result<TreeEnsemble> {
        match (self.loader.as_str(), self.iterations.as_str()) {
            ("xgboost", "best") => xgboost::load_iterations(bytes, xgboost::Iterations::Best),
            ("xgboost", _) => xgboost::load(bytes),
            ("lightgbm", _) => lightgbm::load(bytes),
            ("catboost", _) => catboost::load(bytes),
            ("sklearn", _) => sklearn::load(bytes),
            ("onnx", _) => onnx::load(bytes),
            (other, _) => panic!("no loader `{other}`"),
        }
    }
}

pub(crate) fn rows(columns: &Columns) -> RecordBatch {
    let columns = columns.iter().map(|(name, cells)| {
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

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../mlops-core/tests/golden/trees")
}

/// All files of this ending, by name.
pub(crate) fn read<T: DeserializeOwned>(ending: &str) -> Vec<(String, T)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the golden files") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(ending) {
            let text = std::fs::read_to_string(&path).expect("a case");
            all.push((name.to_owned(), serde_json::from_str(&text).expect("a case")));
        }
    }
    all.sort_by(|a: &(String, T), b| a.0.cmp(&b.0));
    all
}

/// All models.
pub(crate) fn cases() -> Vec<(String, Case)> {
    read(".case.json")
}
