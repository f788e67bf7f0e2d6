//! Attributions of a batch of rows, and their summary.

use std::collections::BTreeMap;

use mlops_core::arrow::array::{ArrayRef, Float64Array, RecordBatch};
use mlops_core::states::Sum;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// For every row, what each feature added to the prediction.
///
/// The prediction of row *i* is `base_value + Σ_j values[i][j]`; whoever makes attributions checks
/// that. shap: an `Explanation` with `values` and `base_values`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attributions {
    /// The features, in the order of the columns.
    pub features: Vec<String>,
    /// The mean prediction over the background.
    pub base_value: f64,
    /// Shape `(n_rows, n_features)`, row after row.
    pub values: Vec<f64>,
    /// The predictions that are explained, shape `(n_rows,)`.
    pub predictions: Vec<f64>,
}

impl Attributions {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.predictions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.predictions.is_empty()
    }

    /// What each feature added in one row, in the order of the features.
    pub fn row(&self, row: usize) -> Option<&[f64]> {
        let n = self.features.len();
        self.values.get(row * n..(row + 1) * n)
    }

    /// The same attributions with features put together, each with the others of its name under
    /// `rename`: the columns of a one-hot encoding under the column that they encode. Shapley
    /// values of a group of independent linear terms are the sums.
    #[must_use]
    pub fn grouped(&self, rename: impl Fn(&str) -> String) -> Self {
        let mut features: Vec<String> = Vec::new();
        let mut place = BTreeMap::new();
        let to: Vec<usize> = self
            .features
            .iter()
            .map(|feature| {
                let name = rename(feature);
                *place.entry(name.clone()).or_insert_with(|| {
                    features.push(name);
                    features.len() - 1
                })
            })
            .collect();
        let mut values = vec![0.0; self.len() * features.len()];
        if !features.is_empty() {
            let rows = values.chunks_exact_mut(features.len());
            for (row, into) in rows.enumerate() {
                for (value, &to) in self.row(row).unwrap_or_default().iter().zip(&to) {
                    into[to] += value;
                }
            }
        }
        Self { features, values, ..self.clone() }
    }

    /// Columns of the attributions, with `base_value` and `prediction` behind them.
    ///
    /// # Errors
    /// None that can be caused from outside: the columns have one length.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let n = self.features.len();
        let column = |j: usize| -> Float64Array {
            self.values.iter().skip(j).step_by(n.max(1)).copied().collect::<Vec<_>>().into()
        };
        let mut columns: Vec<(String, ArrayRef)> = Vec::with_capacity(n + 2);
        for (j, feature) in self.features.iter().enumerate() {
            columns.push((feature.clone(), std::sync::Arc::new(column(j))));
        }
        let base = Float64Array::from(vec![self.base_value; self.len()]);
        columns.push(("base_value".into(), std::sync::Arc::new(base)));
        let predictions = Float64Array::from(self.predictions.clone());
        columns.push(("prediction".into(), std::sync::Arc::new(predictions)));
        Ok(RecordBatch::try_from_iter(columns)?)
    }

    /// Mean |φ| and mean φ of every feature, the strongest first. The sums are reproducible, so
    /// the order of the rows does not matter.
    ///
    /// # Errors
    /// [`Error::Undefined`] for no rows.
    pub fn importance(&self) -> Result<Vec<FeatureImportance>> {
        if self.is_empty() {
            return Err(Error::undefined("feature importance", "there are no rows"));
        }
        let n = self.features.len();
        let rows = self.len() as f64;
        let mut all: Vec<_> = self
            .features
            .iter()
            .enumerate()
            .map(|(j, feature)| {
                let column: Vec<f64> = self.values.iter().skip(j).step_by(n).copied().collect();
                let absolute: Vec<f64> = column.iter().map(|v| v.abs()).collect();
                FeatureImportance {
                    feature: feature.clone(),
                    mean_absolute: Sum::of(&absolute).value() / rows,
                    mean: Sum::of(&column).value() / rows,
                }
            })
            .collect();
        all.sort_by(|a, b| {
            b.mean_absolute.total_cmp(&a.mean_absolute).then_with(|| a.feature.cmp(&b.feature))
        });
        Ok(all)
    }
}

/// How much a feature matters over many rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeatureImportance {
    /// The feature.
    pub feature: String,
    /// Mean |φ|: how far it moves predictions, in units of the prediction.
    pub mean_absolute: f64,
    /// Mean φ: near 0 over the background itself.
    pub mean: f64,
}
