//! Learners: what trains a model on rows with a label and a weight each.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use mlops_core::model::{LinearModel, Nulls, Predictions, features};
use mlops_core::{Error, Model, Result};

/// Rows to learn from, each with a label and a weight.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Training<'a> {
    /// The rows, with all columns that were given.
    pub rows: &'a RecordBatch,
    /// Whether each row's label is the positive one. These need not be the labels in `rows`.
    pub labels: &'a [bool],
    /// How much each row counts; not negative, about 1 on average.
    pub weights: &'a [f64],
    /// The name of the negative class, which the model must predict.
    pub negative: &'a str,
    /// The name of the positive class.
    pub positive: &'a str,
}

impl<'a> Training<'a> {
    /// These rows, labels and weights, and the names of the classes.
    pub fn new(
        rows: &'a RecordBatch,
        labels: &'a [bool],
        weights: &'a [f64],
        negative: &'a str,
        positive: &'a str,
    ) -> Self {
        Self { rows, labels, weights, negative, positive }
    }
}

/// Something that trains binary classifiers.
///
/// # Contract
/// - The model's [`Predictions`] are scores of the classes `negative` and `positive`.
/// - The same training rows give the same model.
///
/// A closure is one.
pub trait Fit: Send + Sync {
    /// Trains a model.
    ///
    /// # Errors
    /// Whatever keeps it from being trained.
    fn fit(&self, training: &Training<'_>) -> Result<Arc<dyn Model>>;
}

impl<F> Fit for F
where
    F: Fn(&Training<'_>) -> Result<Arc<dyn Model>> + Send + Sync,
{
    fn fit(&self, training: &Training<'_>) -> Result<Arc<dyn Model>> {
        self(training)
    }
}

/// A model that says the same of every row.
pub(super) struct Constant {
    negative: String,
    positive: String,
    says: bool,
}

impl Constant {
    pub(super) fn new(negative: &str, positive: &str, says: bool) -> Self {
        Self { negative: negative.to_owned(), positive: positive.to_owned(), says }
    }
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = if self.says { &self.positive } else { &self.negative };
        write!(f, "always {says}")
    }
}

impl Model for Constant {
    fn input_schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let p = f64::from(u8::from(self.says));
        let scores = Float64Array::from_iter_values(std::iter::repeat_n(p, batch.num_rows()));
        Ok(Predictions::binary(&self.negative, &self.positive, &scores))
    }
}

/// Trains logistic regressions on weighted rows, by Newton's method.
///
/// Minimises Σ wᵢ·ln(1 + exp(−yᵢ(x·β + b))) + (α/2)‖β‖²; the intercept is not penalised. With the
/// default α = 1 this is scikit-learn's `LogisticRegression(C=1.0)`. For a few dozen features.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LogisticFit {
    /// The columns that it reads: numbers without nulls.
    pub features: Vec<String>,
    /// The penalty on the squared coefficients.
    pub alpha: f64,
    /// The most steps.
    pub max_steps: u32,
}

impl LogisticFit {
    /// On these columns, with a penalty of 1 and at most 100 steps.
    pub fn new<S: Into<String>>(features: impl IntoIterator<Item = S>) -> Self {
        Self {
            features: features.into_iter().map(Into::into).collect(),
            alpha: 1.0,
            max_steps: 100,
        }
    }

    /// The same with this penalty.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Trains the linear model itself.
    ///
    /// # Errors
    /// [`Error::Length`] for labels or weights of another length; [`Error::Value`] for nulls and
    /// numbers that are not finite; [`Error::Invalid`] for a penalty that is not positive;
    /// [`Error::Undefined`] without rows, or where no minimum was found in the given steps.
    pub fn train(&self, training: &Training<'_>) -> Result<LinearModel> {
        let Training { rows, labels, weights, negative, positive } = *training;
        for (name, len) in [("the labels", labels.len()), ("the weights", weights.len())] {
            if len != rows.num_rows() {
                return Err(Error::Length {
                    left: "the rows".into(),
                    left_len: rows.num_rows(),
                    right: name.into(),
                    right_len: len,
                });
            }
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return Err(Error::invalid("the penalty", "a positive number", self.alpha));
        }
        if rows.num_rows() == 0 {
            return Err(Error::undefined("a logistic regression", "there are no rows"));
        }
        let x = features(rows, &self.features, Nulls::Refuse)?;
        if let Some(((row, column), value)) = x.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::Value {
                column: self.features[column].clone(),
                row: row as u64,
                expected: "a finite number".into(),
                found: value.to_string(),
            });
        }
        let x: Vec<Vec<f64>> = x.rows().into_iter().map(|row| row.to_vec()).collect();
        let beta = self.newton(&x, labels, weights)?;
        let (intercept, coefficients) = beta.split_last().unwrap_or((&0.0, &[]));
        LinearModel::logistic(
            self.features.clone(),
            coefficients.to_vec(),
            *intercept,
            negative,
            positive,
        )
    }

    /// The coefficients, and the intercept last.
    fn newton(&self, x: &[Vec<f64>], labels: &[bool], weights: &[f64]) -> Result<Vec<f64>> {
        let d = self.features.len() + 1;
        let mut beta = vec![0.0; d];
        let loss = |beta: &[f64]| -> f64 {
            let rows = x.iter().zip(labels).zip(weights).map(|((x, &y), w)| {
                let z = margin(beta, x);
                let z = if y { -z } else { z };
                // ln(1 + eᶻ) without overflow.
                w * (z.max(0.0) + (-z.abs()).exp().ln_1p())
            });
            let penalty: f64 = beta[..d - 1].iter().map(|b| b * b).sum();
            rows.sum::<f64>() + self.alpha / 2.0 * penalty
        };
        let mut value = loss(&beta);
        for _ in 0..self.max_steps {
            let mut gradient: Vec<f64> = beta.iter().map(|b| self.alpha * b).collect();
            gradient[d - 1] = 0.0;
            let mut hessian = vec![vec![0.0; d]; d];
            for ((x, &y), w) in x.iter().zip(labels).zip(weights) {
                let p = 1.0 / (1.0 + (-margin(&beta, x)).exp());
                let (slope, curve) = (w * (p - if y { 1.0 } else { 0.0 }), w * p * (1.0 - p));
                let at = |i: usize| if i == d - 1 { 1.0 } else { x[i] };
                for i in 0..d {
                    gradient[i] += slope * at(i);
                    for (j, cell) in hessian[i].iter_mut().enumerate().take(i + 1) {
                        *cell += curve * at(i) * at(j);
                    }
                }
            }
            for (i, row) in hessian.iter_mut().enumerate() {
                // The intercept gets a trace of a penalty, for rows that are all but certain.
                row[i] += if i == d - 1 { 1e-12 } else { self.alpha };
            }
            let scale = weights.iter().sum::<f64>().max(1.0);
            if gradient.iter().all(|g| g.abs() <= 1e-10 * scale) {
                return Ok(beta);
            }
            let step = solve(hessian, &gradient).ok_or_else(no_minimum)?;
            // Half as far as long as it does not get better.
            let mut far = 1.0;
            loop {
                let next: Vec<f64> = beta.iter().zip(&step).map(|(b, s)| b - far * s).collect();
                let found = loss(&next);
                if found < value {
                    (beta, value) = (next, found);
                    break;
                }
                far /= 2.0;
                if far < 1e-9 {
                    // The loss no longer tells steps apart: this is the minimum to rounding.
                    return Ok(beta);
                }
            }
        }
        Err(no_minimum())
    }
}

fn no_minimum() -> Error {
    Error::undefined("a logistic regression", "its minimum was not found in the given steps")
}

fn margin(beta: &[f64], x: &[f64]) -> f64 {
    x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>() + beta[x.len()]
}

/// Solves A·s = g for a symmetric positive A, of which the lower half is given (Cholesky).
#[expect(clippy::needless_range_loop, reason = "the indices of a factorisation")]
pub(super) fn solve(mut a: Vec<Vec<f64>>, g: &[f64]) -> Option<Vec<f64>> {
    let d = g.len();
    for j in 0..d {
        for k in 0..j {
            let factor = a[j][k];
            for i in j..d {
                a[i][j] -= a[i][k] * factor;
            }
        }
        if !(a[j][j] > 0.0 && a[j][j].is_finite()) {
            return None;
        }
        let root = a[j][j].sqrt();
        for i in j..d {
            a[i][j] /= root;
        }
    }
    let mut s = g.to_vec();
    for i in 0..d {
        for k in 0..i {
            s[i] -= a[i][k] * s[k];
        }
        s[i] /= a[i][i];
    }
    for i in (0..d).rev() {
        for k in i + 1..d {
            s[i] -= a[k][i] * s[k];
        }
        s[i] /= a[i][i];
    }
    Some(s)
}

impl Fit for LogisticFit {
    fn fit(&self, training: &Training<'_>) -> Result<Arc<dyn Model>> {
        Ok(Arc::new(self.train(training)?))
    }
}
