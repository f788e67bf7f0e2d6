//! Exact attribution for linear models.

use mlops_core::arrow::array::{Array, Float64Array, RecordBatch};
use mlops_core::model::LinearModel;
use mlops_core::states::NumericSummary;
use mlops_core::{DataSource, Error, Plan, Result, Rows, Scan};

use super::Attributions;

/// Shapley values of a linear model's margin, exact: `φ_j = w_j · (x_j − E[x_j])`.
///
/// They explain the margin `b + w·x` (the log-odds of a logistic regression) against the mean of a
/// background, with features taken as independent, as is exact for the interventional value
/// function (Štrumbelj & Kononenko 2014, doi:10.1007/s10115-013-0679-x; Lundberg & Lee 2017,
/// arXiv:1705.07874). shap: `LinearExplainer(model, background)`.
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
/// assert_eq!(explained.base_value, 77.5);
/// assert_eq!(explained.row(0), Some(&[2.0, -2.0][..]));
/// assert_eq!(explained.predictions, [77.5]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinearExplainer {
    model: LinearModel,
    means: Vec<f64>,
    base_value: f64,
}

impl LinearExplainer {
    /// How far `base + Σφ` may be from the prediction, relative to the sizes of what is added up.
    pub const TOLERANCE: f64 = 1e-11;

    /// An explainer of this model against the means of a background: one scan.
    ///
    /// # Errors
    /// As [`with_means`](Self::with_means); [`Error::Undefined`] for a feature without a single
    /// finite value, [`Error::Value`]-like errors of the scan for columns that are missing.
    pub fn new(model: &LinearModel, background: &dyn DataSource) -> Result<Self> {
        let mut plan = Plan::new();
        let summaries: Vec<_> =
            model.features().iter().map(|name| plan.add(NumericSummary::new(name))).collect();
        let measured = Scan::new(background).run(&plan)?;
        let mut means = Vec::with_capacity(summaries.len());
        for (name, handle) in model.features().iter().zip(&summaries) {
            means.push(measured.get(handle)?.mean().ok_or_else(|| {
                Error::undefined(format!("mean of `{name}`"), "the background has no value")
            })?);
        }
        Self::with_means(model.clone(), means)
    }

    /// The same with means that are known already, in the order of the model's features.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model of several outputs, or means that are not one finite number
    /// for each feature.
    pub fn with_means(model: LinearModel, means: Vec<f64>) -> Result<Self> {
        if model.outputs() != 1 {
            let found = format!("{} outputs", model.outputs());
            return Err(Error::invalid("linear model", "one output", found));
        }
        if means.len() != model.features().len() {
            let expected = format!("{} of them", model.features().len());
            return Err(Error::invalid("background means", expected, means.len()));
        }
        if let Some(bad) = means.iter().find(|m| !m.is_finite()) {
            return Err(Error::invalid("background means", "finite numbers", bad));
        }
        let base_value = model
            .coefficients()
            .iter()
            .zip(&means)
            .fold(model.intercepts()[0], |sum, (w, mean)| sum + w * mean);
        if !base_value.is_finite() {
            return Err(Error::undefined("base value", "the margin of the mean row overflows"));
        }
        Ok(Self { model, means, base_value })
    }

    /// The mean of each feature over the background.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// The margin of the background's mean row.
    pub fn base_value(&self) -> f64 {
        self.base_value
    }

    /// Explains the rows of a batch that has the model's features, in O(`n_rows` · `n_features`).
    ///
    /// Every row is checked: `base + Σφ` is held against the margin that the model computes on its
    /// own, and attributions are never adjusted to fit.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::Value`] for a null or a number that is not finite;
    /// [`Error::Undefined`] if the attributions of a row don't add up, as where numbers overflow.
    pub fn explain(&self, batch: &RecordBatch) -> Result<Attributions> {
        let rows = Rows::new(batch);
        let names = self.model.features();
        let n = names.len();
        let weights = self.model.coefficients();
        let mut values = vec![0.0; batch.num_rows() * n];
        for (j, name) in names.iter().enumerate() {
            let x = rows.numbers(name)?;
            check_finite(name, x)?;
            for (row, &x) in x.values().iter().enumerate() {
                values[row * n + j] = weights[j] * (x - self.means[j]);
            }
        }
        let margin = self.model.margin(batch)?;
        // What cancels in the base value cancels in the check, too.
        let constant: f64 = weights.iter().zip(&self.means).map(|(w, m)| (w * m).abs()).sum();
        for row in 0..batch.num_rows() {
            let phi = &values[row * n..(row + 1) * n];
            let total = self.base_value + phi.iter().sum::<f64>();
            let scale = self.base_value.abs() + constant + phi.iter().map(|v| v.abs()).sum::<f64>();
            let close = margin.is_valid(row)
                && (total - margin.value(row)).abs() <= Self::TOLERANCE * scale;
            if !close {
                let margin = if margin.is_valid(row) { margin.value(row) } else { f64::NAN };
                return Err(Error::undefined(
                    format!("attribution of row {row}"),
                    format!("base + Σφ = {total}, but the prediction is {margin}"),
                ));
            }
        }
        Ok(Attributions {
            features: names.to_vec(),
            base_value: self.base_value,
            values,
            predictions: margin.values().to_vec(),
        })
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
    use mlops_core::arrow::array::ArrayRef;
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
                prop_assert!((explained.base_value + sum - p).abs() <= 1e-9 * (1.0 + p.abs()));
            }
        }
    }
}
