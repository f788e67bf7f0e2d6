//! Exact attribution for linear models.

use arrow::array::{Array, Float64Array, RecordBatch};
use mlops_core::model::{LinearModel, Link};
use mlops_core::states::NumericSummary;
use mlops_core::{DataSource, Error, Plan, Result, Rows, Scan};
use rayon::prelude::*;

use super::explainer::outputs_of;
use super::linear_correlated::Transform;
use super::{AttributionParts, Attributions, Correlation, Explainer, Space, Watch};

/// Shapley values of a linear model's margin.
///
/// They explain the margin `b + w·x` (the log-odds of a logistic regression, one margin a class of
/// a softmax) against the mean of a background. With features taken as independent they are exact:
/// `φ_j = w_j · (x_j − E[x_j])`, as for the interventional value function (Štrumbelj & Kononenko
/// 2014, doi:10.1007/s10115-013-0679-x; Lundberg & Lee 2017, arXiv:1705.07874). shap:
/// `LinearExplainer(model, background)`. Features that move together are taken so by
/// [`correlated`](Self::correlated).
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{MemorySource, batch, model::LinearModel};
/// use mlops_fairness::attribution::LinearExplainer;
///
/// let model = LinearModel::regression(["age", "income"], [2.0, -1.0], 0.5)?;
/// let background = MemorySource::from(batch! {
///     "age" => Float64Array::from(vec![30.0, 50.0]),
///     "income" => Float64Array::from(vec![2.0, 4.0]),
/// }?);
/// let explainer = LinearExplainer::new(&model, &background)?;
/// let explained = explainer.explain(&batch! {
///     "age" => Float64Array::from(vec![41.0]),
///     "income" => Float64Array::from(vec![5.0]),
/// }?)?;
/// assert_eq!(explained.base_values, [77.5]);
/// assert_eq!(explained.row(0), Some(&[2.0, -2.0][..]));
/// assert_eq!(explained.predictions, [77.5]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinearExplainer {
    model: LinearModel,
    means: Vec<f64>,
    outputs: Vec<String>,
    space: Space,
    base_values: Vec<f64>,
    /// Where features are taken with what they tell of each other.
    transform: Option<Transform>,
}

impl LinearExplainer {
    /// How far `base + Σφ` may be from the prediction, relative to the sizes of what is added up.
    pub const TOLERANCE: f64 = Attributions::TOLERANCE;

    /// An explainer of this model against the means of a background: one scan.
    ///
    /// # Errors
    /// As [`with_means`](Self::with_means); [`Error::Undefined`] for a feature without a single
    /// finite value, and those of the scan for columns that are missing.
    pub fn new(model: &LinearModel, background: &dyn DataSource) -> Result<Self> {
        let mut plan = Plan::new();
        let summaries: Vec<_> =
            model.features().iter().map(|name| plan.add(NumericSummary::new(name))).collect();
        let measured = Scan::new(background).run(&plan)?;
        let mut means = Vec::with_capacity(summaries.len());
        for (name, handle) in model.features().iter().zip(&summaries) {
            let summary = measured.get(handle)?;
            let undefined =
                || Error::undefined(format!("mean of `{name}`"), "the background has no value");
            means.push(if model.missing_as_zero() {
                // Zeros count, too.
                let rows = summary.n() + summary.nulls + summary.nans;
                if rows == 0 {
                    return Err(undefined());
                }
                summary.sum() / rows as f64
            } else {
                summary.mean().ok_or_else(undefined)?
            });
        }
        Self::with_means(model.clone(), means)
    }

    /// The same with means that are known already, in the order of the model's features.
    ///
    /// # Errors
    /// [`Error::Invalid`] for means that are not one finite number for each feature;
    /// [`Error::Undefined`] where the margin of the mean row overflows.
    pub fn with_means(model: LinearModel, means: Vec<f64>) -> Result<Self> {
        if means.len() != model.features().len() {
            let expected = format!("{} of them", model.features().len());
            return Err(Error::invalid("background means", expected, means.len()));
        }
        if let Some(bad) = means.iter().find(|m| !m.is_finite()) {
            return Err(Error::invalid("background means", "finite numbers", bad));
        }
        let weights = model.coefficients();
        let base_values: Vec<f64> = (0..model.outputs())
            .map(|k| {
                let weights = &weights[k * means.len()..(k + 1) * means.len()];
                let terms = weights.iter().zip(&means);
                terms.fold(model.intercepts()[k], |sum, (w, mean)| sum + w * mean)
            })
            .collect();
        if base_values.iter().any(|b| !b.is_finite()) {
            return Err(Error::undefined("base value", "the margin of the mean row overflows"));
        }
        let (outputs, space) = match model.link() {
            Link::Identity => (vec!["prediction".to_owned()], Space::Value),
            link => (outputs_of(link), Space::Margin),
        };
        Ok(Self { model, means, outputs, space, base_values, transform: None })
    }

    /// An explainer that takes features with what they tell of each other: what is not known is
    /// expected from what is, as of normal data of this mean and covariance.
    ///
    /// A feature then gets a share of what it tells of the others, even where its own coefficient is
    /// 0. Exact for at most [`Correlation::EXACT`] features; beyond, from random orders under the
    /// seed of `correlation`, with standard errors. Chen, Janzing & Lundberg 2020 ("true to the
    /// data"), arXiv:2006.16234; shap: `LinearExplainer` with
    /// `feature_perturbation="correlation_dependent"`, which always draws.
    ///
    /// # Errors
    /// As [`with_means`](Self::with_means); [`Error::Invalid`] for a correlation of other features.
    pub fn correlated(model: &LinearModel, correlation: &Correlation) -> Result<Self> {
        if correlation.features() != model.features() {
            let expected = model.features().join(", ");
            let found = correlation.features().join(", ");
            return Err(Error::invalid("features of the correlation", expected, found));
        }
        let transform = correlation.transform(model.coefficients(), model.outputs());
        let plain = Self::with_means(model.clone(), correlation.means().to_vec())?;
        Ok(Self { transform: Some(transform), ..plain })
    }

    /// The mean of each feature over the background.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// The margins of the background's mean row, shape `(n_outputs,)`.
    pub fn base_values(&self) -> &[f64] {
        &self.base_values
    }

    /// Explains the rows of a batch that has the model's features, in
    /// O(`n_rows` · `n_outputs` · `n_features`), or times `n_features` more with correlations.
    ///
    /// Every row is checked: `base + Σφ` is held against the margin that the model computes on its
    /// own, and attributions are never adjusted to fit.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::Value`] for a null or a number that is not finite;
    /// [`Error::Undefined`] if the attributions of a row don't add up, as where numbers overflow.
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        self.explain_with(batch, Watch::new())
    }
}

impl Explainer for LinearExplainer {
    fn features(&self) -> &[String] {
        self.model.features()
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn explain_with(&self, batch: &RecordBatch, watch: Watch<'_>) -> Result<Attributions> {
        const TILE: usize = 1024;
        let rows = Rows::new(batch);
        let names = self.model.features();
        let (n, k, len) = (names.len(), self.outputs.len(), batch.num_rows());
        let weights = self.model.coefficients();
        let mut columns = Vec::with_capacity(n);
        for name in names {
            let x = rows.numbers(name)?;
            let without_gaps = || {
                let value = |x: Option<f64>| x.filter(|x| !x.is_nan()).unwrap_or(0.0);
                Float64Array::from_iter_values(x.iter().map(value))
            };
            let x = if self.model.missing_as_zero() { without_gaps() } else { x.clone() };
            check_finite(name, &x)?;
            columns.push(x);
        }
        let steps = watch.steps(len);
        watch.check()?;
        let mut values = vec![0.0; len * k * n];
        let is_drawn = self.transform.as_ref().is_some_and(Transform::is_drawn);
        let mut errors = vec![0.0; if is_drawn { values.len() } else { 0 }];
        let wide = (k * n).max(1);
        let tile = |(t, (values, errors)): (usize, (&mut [f64], &mut [f64]))| {
            let mut off = vec![0.0; n];
            for (i, phi) in values.chunks_exact_mut(wide).enumerate() {
                let row = t * TILE + i;
                for ((off, x), mean) in off.iter_mut().zip(&columns).zip(&self.means) {
                    *off = x.value(row) - mean;
                }
                match &self.transform {
                    None => {
                        for (phi, weights) in phi.chunks_exact_mut(n).zip(weights.chunks_exact(n)) {
                            for ((phi, w), off) in phi.iter_mut().zip(weights).zip(&off) {
                                *phi = w * off;
                            }
                        }
                    }
                    Some(transform) => {
                        let errors = errors.get_mut(i * wide..(i + 1) * wide);
                        transform.apply(&off, phi, errors);
                    }
                }
            }
            steps.done((values.len() / wide) as u64)
        };
        if n > 0 {
            let mut of_tiles: Vec<&mut [f64]> = errors.chunks_mut(TILE * wide).collect();
            of_tiles.resize_with(values.len().div_ceil(TILE * wide), Default::default);
            values.par_chunks_mut(TILE * wide).zip(of_tiles).enumerate().try_for_each(tile)?;
        }
        let margin = self.model.margin(batch)?;
        // What cancels in the base value cancels in the check, too.
        let constant = weights
            .chunks(n.max(1))
            .map(|w| w.iter().zip(&self.means).map(|(w, m)| (w * m).abs()).sum::<f64>())
            .fold(0.0, f64::max);
        let predictions = (0..margin.len())
            .map(|i| if margin.is_valid(i) { margin.value(i) } else { f64::NAN })
            .collect();
        let attributions = Attributions::with_scale(
            AttributionParts {
                features: names.to_vec(),
                outputs: self.outputs.clone(),
                space: self.space,
                base_values: self.base_values.clone(),
                values,
                predictions,
            },
            Some(Self::TOLERANCE),
            constant,
        )?;
        if errors.is_empty() { Ok(attributions) } else { attributions.with_standard_errors(errors) }
    }
}

fn check_finite(name: &str, x: &Float64Array) -> Result<()> {
    let bad = (0..x.len()).find(|&row| x.is_null(row) || !x.value(row).is_finite());
    match bad {
        None => Ok(()),
        Some(row) => Err(Error::Value {
            column: name.to_owned(),
            row: row as u64,
            expected: "a finite number".into(),
            found: if x.is_null(row) { "null".into() } else { x.value(row).to_string() },
        }),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use mlops_core::batch;
    use proptest::prelude::*;

    use super::*;

    fn rows(columns: &[(&str, Vec<f64>)]) -> RecordBatch {
        let columns = columns.iter().map(|(name, x)| {
            let column: ArrayRef = std::sync::Arc::new(Float64Array::from(x.clone()));
            (*name, column)
        });
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn explainer() -> LinearExplainer {
        let model = LinearModel::regression(["a", "b=x", "b=y"], [1.5, -2.0, 0.25], 0.1).unwrap();
        LinearExplainer::with_means(model, vec![1.0, 0.5, 0.5]).unwrap()
    }

    #[test]
    fn bad_input_is_named() {
        let nan = rows(&[("a", vec![1.0]), ("b=x", vec![f64::NAN]), ("b=y", vec![0.0])]);
        let error = explainer().explain(&nan).unwrap_err().to_string();
        assert!(error.contains("`b=x`, row 0"), "{error}");
        let missing = batch! { "a" => Float64Array::from(vec![1.0]) }.unwrap();
        assert!(explainer().explain(&missing).unwrap_err().to_string().contains("b=x"));
        let none = explainer().explain(&nan.slice(0, 0)).unwrap();
        assert!(none.importance().is_err());
        let big = LinearModel::regression(["a"], [1e300], 0.0).unwrap();
        let big = LinearExplainer::with_means(big, vec![0.0]).unwrap();
        assert!(big.explain(&rows(&[("a", vec![1e300])])).is_err());
    }

    #[test]
    fn brute_force_over_coalitions_agrees() {
        // The value of a coalition: its features from the row, the others at their mean.
        let e = explainer();
        let x = [3.0, 1.0, 0.0];
        let value = |mask: usize| {
            (0..3).fold(0.1, |sum, j| {
                let x = if mask >> j & 1 == 1 { x[j] } else { e.means[j] };
                sum + e.model.coefficients()[j] * x
            })
        };
        let batch = rows(&[("a", vec![x[0]]), ("b=x", vec![x[1]]), ("b=y", vec![x[2]])]);
        let explained = e.explain(&batch).unwrap();
        let factorial = [1.0, 1.0, 2.0, 6.0];
        for j in 0..3 {
            let mut phi = 0.0;
            for mask in (0..8usize).filter(|m| m >> j & 1 == 0) {
                let size = mask.count_ones() as usize;
                let weight = factorial[size] * factorial[2 - size] / factorial[3];
                phi += weight * (value(mask | 1 << j) - value(mask));
            }
            assert!((phi - explained.row(0).unwrap()[j]).abs() < 1e-14);
        }
    }

    #[test]
    fn every_class_of_a_softmax_has_its_margin() {
        let link = Link::Softmax { classes: vec!["x".into(), "y".into(), "z".into()] };
        let weights = vec![1.0, 2.0, -1.0, 0.5, 0.0, -3.0];
        let model =
            LinearModel::new(vec!["a".into(), "b".into()], weights, vec![0.1, 0.2, 0.3], link);
        let explainer = LinearExplainer::with_means(model.unwrap(), vec![1.0, -1.0]).unwrap();
        let batch = rows(&[("b", vec![0.5; 3000]), ("a", (0..3000).map(f64::from).collect())]);
        let explained = explainer.explain(&batch).unwrap();
        assert_eq!(explained.outputs, ["x", "y", "z"]);
        assert_eq!(explained.of(2999, 1), Some(&[-2998.0, 0.75][..]));
        assert_eq!(explained.of(1, 2), Some(&[0.0, -4.5][..]));
        // The same bits in other batches.
        let tail = explainer.explain(&batch.slice(1500, 1500)).unwrap();
        assert_eq!(tail.values, explained.values[1500 * 6..]);
    }

    #[test]
    fn groups_add_up() {
        let batch =
            rows(&[("a", vec![3.0, 1.0]), ("b=x", vec![1.0, 0.0]), ("b=y", vec![0.0, 1.0])]);
        let single = explainer().explain(&batch).unwrap();
        let raw = single.grouped(|name| name.split('=').next().unwrap_or(name).to_owned());
        assert_eq!(raw.features, ["a", "b"]);
        assert_eq!(raw.row(0).unwrap()[1], single.row(0).unwrap()[1] + single.row(0).unwrap()[2]);
        let batch = raw.to_batch().unwrap();
        assert_eq!((batch.num_columns(), batch.num_rows()), (4, 2));
    }

    proptest! {
        #[test]
        fn attributions_plus_base_are_the_prediction(
            w in prop::collection::vec(-1e3..1e3f64, 2),
            means in prop::collection::vec(-1e3..1e3f64, 2),
            a in prop::collection::vec(-1e3..1e3f64, 1..20),
            b in -10.0..10.0f64,
        ) {
            let model = LinearModel::regression(["a", "b"], w, b).unwrap();
            let other: Vec<_> = a.iter().rev().map(|x| x * 0.5).collect();
            let batch = rows(&[("a", a), ("b", other)]);
            let explained =
                LinearExplainer::with_means(model, means).unwrap().explain(&batch).unwrap();
            for row in 0..explained.len() {
                let sum: f64 = explained.row(row).unwrap().iter().sum();
                let p = explained.predictions[row];
                prop_assert!((explained.base_values[0] + sum - p).abs() <= 1e-9 * (1.0 + p.abs()));
            }
        }
    }
}
