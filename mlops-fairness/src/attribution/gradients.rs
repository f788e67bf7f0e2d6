//! Expected gradients: attributions of models that know their derivatives.

use std::fmt::Debug;

use arrow::array::RecordBatch;
use mlops_core::model::{LinearModel, Link, Nulls, features, sigmoid};
use mlops_core::ndarray::{Array2, Array3, ArrayView2, s};
use mlops_core::stats::Draws;
use mlops_core::{Digest, Error, Result};
use rayon::prelude::*;

use super::explainer::outputs_of;
use super::{AttributionParts, Attributions, Background, Explainer, Space, Watch};

/// A model that gives its outputs and how they change with its features.
///
/// # Contract
/// A row's numbers depend on nothing but the row.
pub trait Differentiable: Debug + Send + Sync + 'static {
    /// The features, in the order of the matrix's columns.
    fn features(&self) -> &[String];

    /// The outputs' names.
    fn outputs(&self) -> Vec<String>;

    /// What the outputs are.
    fn space(&self) -> Space;

    /// For rows of shape `(n_rows, n_features)` the outputs, shape `(n_rows, n_outputs)`, and their
    /// derivatives, shape `(n_rows, n_outputs, n_features)`.
    ///
    /// # Errors
    /// Those of the model.
    fn gradients(&self, x: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array3<f64>)>;
}

/// The predictions: the value of a regression, the probability of the positive class of a logistic
/// model, all probabilities of a softmax. (Their margins need no gradients:
/// [`LinearExplainer`](super::LinearExplainer).)
impl Differentiable for LinearModel {
    fn features(&self) -> &[String] {
        self.features()
    }

    fn outputs(&self) -> Vec<String> {
        outputs_of(self.link())
    }

    fn space(&self) -> Space {
        match self.link() {
            Link::Identity | Link::Logit | Link::Log | Link::Softplus | Link::Sqrt => Space::Value,
            _ => Space::Probability,
        }
    }

    fn gradients(&self, x: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array3<f64>)> {
        let (n, k) = (self.features().len(), self.intercepts().len());
        let weight = |k: usize, j: usize| self.coefficients()[k * n + j];
        let mut outputs = Array2::zeros((x.nrows(), k));
        let mut slopes = Array3::zeros((x.nrows(), k, n));
        let mut margins = vec![0.0; k];
        for (i, row) in x.rows().into_iter().enumerate() {
            for (l, margin) in margins.iter_mut().enumerate() {
                *margin = self.intercepts()[l];
                for (j, x) in row.iter().enumerate() {
                    *margin += weight(l, j) * x;
                }
            }
            // Of links that look at each margin by itself: what it becomes, and how fast.
            let alone: Option<fn(f64) -> (f64, f64)> = match self.link() {
                Link::Identity | Link::Probability { .. } | Link::Scores { .. } => {
                    Some(|m| (m, 1.0))
                }
                Link::Logit | Link::Logistic { .. } | Link::OneVsRest { .. } => {
                    Some(|m| (sigmoid(m), sigmoid(m) * sigmoid(-m)))
                }
                Link::Log => Some(|m| (m.exp(), m.exp())),
                Link::Softplus => Some(|m| (m.max(0.0) + (-m.abs()).exp().ln_1p(), sigmoid(m))),
                Link::Sqrt => Some(|m| (m * m.abs(), 2.0 * m.abs())),
                _ => None,
            };
            match (alone, self.link()) {
                (Some(alone), _) => {
                    for (l, &margin) in margins.iter().enumerate() {
                        let (output, slope) = alone(margin);
                        outputs[[i, l]] = output;
                        (0..n).for_each(|j| slopes[[i, l, j]] = slope * weight(l, j));
                    }
                }
                (None, Link::Softmax { .. }) => {
                    let most = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let exp: Vec<f64> = margins.iter().map(|z| (z - most).exp()).collect();
                    let total: f64 = exp.iter().sum();
                    for l in 0..k {
                        outputs[[i, l]] = exp[l] / total;
                    }
                    for j in 0..n {
                        let mean: f64 = (0..k).map(|l| exp[l] / total * weight(l, j)).sum();
                        for l in 0..k {
                            slopes[[i, l, j]] = exp[l] / total * (weight(l, j) - mean);
                        }
                    }
                }
                (None, link) => {
                    let found = format!("{link:?}");
                    return Err(Error::invalid("gradients of a model", "a smooth link", found));
                }
            }
        }
        Ok((outputs, slopes))
    }
}

/// Expected gradients: `φ_j = E[(x_j − b_j) · ∂f/∂x_j (b + α (x − b))]` over rows b of the
/// background and α uniform in (0, 1): integrated gradients, averaged over the background.
///
/// Aumann–Shapley values of the path from b to x; for a model that is linear between them they are
/// the Shapley values. The integral over α is taken at one random point in each of `steps` equal
/// pieces, so the attributions add up but for the error of that, which
/// [`additivity`](Attributions::additivity) measures and does not forbid. Standard errors are those
/// of the draws of α, seen in pairs of pieces side by side, an upper estimate. Erion et al. 2021,
/// doi:10.1038/s42256-021-00343-w; shap: `GradientExplainer`.
#[derive(Clone, Debug)]
pub struct GradientExplainer<M> {
    model: M,
    names: Vec<String>,
    outputs: Vec<String>,
    background: Array2<f64>,
    weights: Vec<f64>,
    base_values: Vec<f64>,
    seed: u64,
    steps: u32,
}

impl<M: Differentiable> GradientExplainer<M> {
    /// This model against this background, in 50 steps a row of it under the seed 0.
    ///
    /// # Errors
    /// Columns that the background lacks, nulls, numbers that are not finite, and the model's own.
    pub fn new(model: M, background: &Background) -> Result<Self> {
        let names = model.features().to_vec();
        let matrix = finite(background.rows(), &names)?;
        let weights = match background.weights() {
            Some(weights) => weights.to_vec(),
            None => vec![1.0; matrix.nrows()],
        };
        let (predictions, _) = checked(&model, matrix.view())?;
        let total: f64 = weights.iter().sum();
        let base_values = predictions
            .columns()
            .into_iter()
            .map(|c| c.iter().zip(&weights).map(|(p, w)| p * w).sum::<f64>() / total)
            .collect();
        let outputs = model.outputs();
        Ok(Self {
            model,
            names,
            outputs,
            background: matrix,
            weights,
            base_values,
            seed: 0,
            steps: 50,
        })
    }

    /// The same with other draws.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with so many steps on each path, an even number of at least 2.
    #[must_use]
    pub fn steps(mut self, steps: u32) -> Self {
        self.steps = steps.max(2).next_multiple_of(2);
        self
    }

    /// Explains the rows of a batch.
    ///
    /// # Errors
    /// As [`Explainer::explain_with`].
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.explain_with(batch, Watch::new())
    }

    fn row(&self, x: &[f64], watch: &Watch<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
        let (n, k) = (x.len(), self.outputs.len());
        let mut bytes = Vec::with_capacity(8 * n);
        for x in x {
            bytes.extend_from_slice(&x.to_bits().to_le_bytes());
        }
        let digest = Digest::of(&bytes);
        let key = digest.as_bytes()[..8].iter().fold(0, |key, byte| key << 8 | u64::from(*byte));
        let total: f64 = self.weights.iter().sum();
        let (mut phi, mut variance) = (vec![0.0; k * n], vec![0.0; k * n]);
        let steps = self.steps as usize;
        let mut path = Array2::zeros((steps, n));
        for (b, (from, weight)) in self.background.rows().into_iter().zip(&self.weights).enumerate()
        {
            watch.check()?;
            let mut draws = Draws::new(self.seed, b as u32, key);
            for (step, mut point) in path.rows_mut().into_iter().enumerate() {
                let alpha = (step as f64 + draws.uniform()) / steps as f64;
                for (j, p) in point.iter_mut().enumerate() {
                    *p = from[j] + alpha * (x[j] - from[j]);
                }
            }
            let (_, slopes) = checked(&self.model, path.view())?;
            for l in 0..k {
                for j in 0..n {
                    let (mut sum, mut spread) = (0.0, 0.0);
                    for step in (0..steps).step_by(2) {
                        let [a, b] = [step, step + 1].map(|s| slopes[[s, l, j]] * (x[j] - from[j]));
                        sum += a + b;
                        spread += (a - b).powi(2);
                    }
                    let share = weight / total;
                    phi[l * n + j] += share * sum / steps as f64;
                    variance[l * n + j] += share * share * spread / (steps * steps) as f64;
                }
            }
        }
        Ok((phi, variance.into_iter().map(f64::sqrt).collect()))
    }
}

impl<M: Differentiable> Explainer for GradientExplainer<M> {
    fn features(&self) -> &[String] {
        &self.names
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
        let x = finite(batch, &self.names)?;
        let (predictions, _) = checked(&self.model, x.view())?;
        let steps = watch.steps(x.nrows());
        watch.check()?;
        let rows: Vec<_> = (0..x.nrows())
            .into_par_iter()
            .map(|i| {
                let found = self.row(&x.slice(s![i, ..]).to_vec(), &watch);
                let found = found.map_err(|e| e.within(format!("row {i}")))?;
                steps.done(1)?;
                Ok(found)
            })
            .collect::<Result<_>>()?;
        let (values, errors): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Attributions::new(
            AttributionParts {
                features: self.names.clone(),
                outputs: self.outputs.clone(),
                space: self.model.space(),
                base_values: self.base_values.clone(),
                values: values.concat(),
                predictions: predictions.iter().copied().collect(),
            },
            None,
        )?
        .with_standard_errors(errors.concat())
    }
}

fn finite(batch: &RecordBatch, names: &[String]) -> Result<Array2<f64>> {
    let x = features(batch, names, Nulls::Refuse)?;
    for (name, column) in names.iter().zip(x.columns()) {
        if let Some(row) = column.iter().position(|x| !x.is_finite()) {
            return Err(Error::Value {
                column: name.clone(),
                row: row as u64,
                expected: "a finite number".into(),
                found: column[row].to_string(),
            });
        }
    }
    Ok(x)
}

/// Outputs and derivatives, of the shapes that they should have, and numbers.
fn checked(
    model: &dyn Differentiable,
    x: ArrayView2<'_, f64>,
) -> Result<(Array2<f64>, Array3<f64>)> {
    let (outputs, slopes) = model.gradients(x)?;
    let (rows, k) = (x.nrows(), model.outputs().len());
    if outputs.dim() != (rows, k) || slopes.dim() != (rows, k, x.ncols()) {
        let expected = format!("({rows}, {k}) and ({rows}, {k}, {})", x.ncols());
        let found = format!("{:?} and {:?}", outputs.dim(), slopes.dim());
        return Err(Error::invalid("shapes of outputs and derivatives", expected, found));
    }
    if outputs.iter().chain(&slopes).any(|x| !x.is_finite()) {
        return Err(Error::undefined("gradients", "an output or derivative is not finite"));
    }
    Ok((outputs, slopes))
}
