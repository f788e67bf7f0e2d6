//! What explainers of interactions give.

use std::cmp::Ordering;
use std::sync::Arc;

use mlops_core::arrow::array::{Float64Array, RecordBatch};
use mlops_core::states::Sum;
use mlops_core::{Error, Result};

use super::super::batches::batch;
use super::super::{AttributionParts, Attributions, PhiColumns, Space};

/// For every row and output, what features added alone and what pairs of them added together.
///
/// The prediction of output *k* of row *i* is
/// `base_values[k] + Σ_j main[i, k, j] + 2 Σ_p values[i, k, p]`: a pair stands in the symmetric
/// matrix twice. Pairs that never meet are not kept; they are 0. shap:
/// `shap_interaction_values`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Interactions {
    /// The features.
    pub features: Vec<String>,
    /// The outputs.
    pub outputs: Vec<String>,
    /// What the explained numbers are.
    pub space: Space,
    /// The mean prediction over the background, shape `(n_outputs,)`.
    pub base_values: Vec<f64>,
    /// The pairs of features that meet, as indices `i < j`, ascending.
    pub pairs: Vec<(usize, usize)>,
    /// The diagonal `φ_ii`: what each feature added by itself, shape
    /// `(n_rows, n_outputs, n_features)`.
    pub main: Vec<f64>,
    /// `φ_ij = φ_ji` of each pair, shape `(n_rows, n_outputs, n_pairs)`.
    pub values: Vec<f64>,
    /// The predictions that are explained, shape `(n_rows, n_outputs)`.
    pub predictions: Vec<f64>,
    /// The largest `|base + Σφ − prediction|` of a row, relative to what is added up.
    pub worst: f64,
}

impl Interactions {
    /// Of what features added alone and pairs together, with every row held against its prediction.
    ///
    /// # Errors
    /// [`Error::Undefined`] for a row that does not add up.
    pub(super) fn new(
        alone: AttributionParts,
        pairs: Vec<(usize, usize)>,
        values: Vec<f64>,
        tolerance: f64,
    ) -> Result<Self> {
        let mut all = Self {
            features: alone.features,
            outputs: alone.outputs,
            space: alone.space,
            base_values: alone.base_values,
            pairs,
            main: alone.values,
            values,
            predictions: alone.predictions,
            worst: 0.0,
        };
        let k = all.outputs.len();
        let mut worst = 0.0;
        for (at, &prediction) in all.predictions.iter().enumerate() {
            let base = all.base_values[at % k];
            let (main, values) =
                (part(&all.main, at, all.features.len()), part(&all.values, at, all.pairs.len()));
            let sum = base + main.iter().sum::<f64>() + 2.0 * values.iter().sum::<f64>();
            let size = |all: &[f64]| all.iter().map(|v| v.abs()).sum::<f64>();
            let scale = base.abs() + size(main) + 2.0 * size(values);
            let off = (sum - prediction).abs();
            let error = if off == 0.0 { 0.0 } else { off / scale };
            // NaN adds up to nothing.
            if error.is_nan() || error > tolerance {
                return Err(Error::undefined(
                    format!("interactions of row {}", at / k),
                    format!("base + Σφ = {sum}, but the prediction is {prediction}"),
                ));
            }
            if error > worst {
                worst = error;
            }
        }
        all.worst = worst;
        Ok(all)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.predictions.len() / self.outputs.len().max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.predictions.is_empty()
    }

    fn at(&self, row: usize, output: usize) -> Option<usize> {
        (row < self.len() && output < self.outputs.len()).then(|| row * self.outputs.len() + output)
    }

    /// φ of two features, or of one alone where they are the same. `None` for a row, output or
    /// feature that is not there.
    pub fn pair(&self, row: usize, output: usize, i: usize, j: usize) -> Option<f64> {
        let at = self.at(row, output)?;
        let n = self.features.len();
        if i >= n || j >= n {
            return None;
        }
        if i == j {
            return part(&self.main, at, n).get(i).copied();
        }
        match self.pairs.binary_search(&(i.min(j), i.max(j))) {
            Ok(p) => part(&self.values, at, self.pairs.len()).get(p).copied(),
            Err(_) => Some(0.0),
        }
    }

    /// The symmetric matrix of one output of a row, shape `(n_features, n_features)`.
    pub fn dense(&self, row: usize, output: usize) -> Option<Vec<f64>> {
        let at = self.at(row, output)?;
        let n = self.features.len();
        let mut matrix = vec![0.0; n * n];
        for (i, &main) in part(&self.main, at, n).iter().enumerate() {
            matrix[i * n + i] = main;
        }
        for (&(i, j), &value) in self.pairs.iter().zip(part(&self.values, at, self.pairs.len())) {
            matrix[i * n + j] = value;
            matrix[j * n + i] = value;
        }
        Some(matrix)
    }

    /// The Shapley values: `φ_i = φ_ii + Σ_j φ_ij`.
    ///
    /// # Errors
    /// As [`Attributions::new`].
    pub fn attributions(&self) -> Result<Attributions> {
        let n = self.features.len();
        let mut values = self.main.clone();
        for at in 0..self.predictions.len() {
            for (&(i, j), value) in self.pairs.iter().zip(part(&self.values, at, self.pairs.len()))
            {
                values[at * n + i] += value;
                values[at * n + j] += value;
            }
        }
        let parts = AttributionParts {
            features: self.features.clone(),
            outputs: self.outputs.clone(),
            space: self.space,
            base_values: self.base_values.clone(),
            values,
            predictions: self.predictions.clone(),
        };
        Attributions::new(parts, Attributions::TOLERANCE)
    }

    /// The columns of [`Attributions::to_batch`], of the Shapley values, and behind them a column
    /// `phi:a*b` of `φ_ij` for each pair ([`PhiColumns::pair`]); with several outputs all of them for
    /// each, one after the other.
    ///
    /// # Errors
    /// As [`attributions`](Self::attributions).
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let (k, n) = (self.outputs.len(), self.pairs.len());
        let own = self.attributions()?.to_batch()?;
        let name = |&(i, j): &(usize, usize)| (self.features[i].clone(), self.features[j].clone());
        let names: Vec<_> = self.pairs.iter().map(name).collect();
        let mut fields: Vec<_> = own.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        fields.extend(PhiColumns::of(&self.outputs).pair_fields(&names));
        let mut columns = own.columns().to_vec();
        for at in 0..k * n {
            let column = self.values.iter().skip(at).step_by(k * n).copied();
            columns.push(Arc::new(Float64Array::from_iter_values(column)));
        }
        batch(fields, columns, self.len())
    }

    /// The pairs with their mean `|φ_ij|` over the rows, of one output, the strongest first and of
    /// equal ones the first in order. The sums are reproducible: the order of rows does not matter.
    ///
    /// # Errors
    /// [`Error::Undefined`] for no rows, [`Error::Invalid`] for an output that is not there.
    pub fn strongest(&self, output: usize) -> Result<Vec<((usize, usize), f64)>> {
        if self.is_empty() {
            return Err(Error::undefined("strength of interactions", "there are no rows"));
        }
        if output >= self.outputs.len() {
            let expected = format!("one of {}", self.outputs.len());
            return Err(Error::invalid("output", expected, output));
        }
        let (k, n) = (self.outputs.len(), self.pairs.len());
        let mean = |p: usize| {
            let all = self.values.iter().skip(output * n + p).step_by(k * n);
            let sizes: Vec<f64> = all.map(|v| v.abs()).collect();
            Sum::of(&sizes).value() / self.len() as f64
        };
        let mut all: Vec<_> =
            self.pairs.iter().enumerate().map(|(p, pair)| (*pair, mean(p))).collect();
        all.sort_by(|a, b| match b.1.total_cmp(&a.1) {
            Ordering::Equal => a.0.cmp(&b.0),
            other => other,
        });
        Ok(all)
    }
}

/// The values of one output of a row.
fn part(all: &[f64], at: usize, width: usize) -> &[f64] {
    all.get(at * width..(at + 1) * width).unwrap_or_default()
}
