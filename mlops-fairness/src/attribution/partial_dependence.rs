//! Partial dependence and individual conditional expectations.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use mlops_core::{Error, Model, Predictions, Result, is_numeric, is_text, to_numbers};
use rayon::prelude::*;

use super::Watch;

/// What a model predicts as one feature takes value after value, all else as it is in each row.
///
/// The mean over the rows is the partial dependence (Friedman 2001, doi:10.1214/aos/1013203451), each
/// row's own line its individual conditional expectation (Goldstein et al. 2015,
/// doi:10.1080/10618600.2014.907095). scikit-learn: `partial_dependence(kind="both")`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{batch, model::LinearModel};
/// use mlops_fairness::attribution::PartialDependence;
///
/// let model = LinearModel::regression(["a", "b"], [2.0, 1.0], 0.0)?;
/// let rows = batch! {
///     "a" => Float64Array::from(vec![0.0, 1.0, 2.0]),
///     "b" => Float64Array::from(vec![0.0, 3.0, 6.0]),
/// }?;
/// let found = PartialDependence::of("a").measure(&model, &rows)?;
/// assert_eq!(found.labels, ["0", "1", "2"]);
/// assert_eq!(found.mean, [3.0, 5.0, 7.0]);
/// assert_eq!(found.line(2, 0), Some(vec![6.0, 8.0, 10.0]));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PartialDependence {
    feature: String,
    points: usize,
    grid: Option<ArrayRef>,
}

/// What [`PartialDependence`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DependenceCurve {
    /// The feature.
    pub feature: String,
    /// The values that it took.
    pub grid: ArrayRef,
    /// The same as text.
    pub labels: Vec<String>,
    /// The outputs: classes, or one name.
    pub outputs: Vec<String>,
    /// The mean prediction, shape `(n_grid, n_outputs)`.
    pub mean: Vec<f64>,
    /// Its standard error over the rows, of the same shape; NaN of a single row.
    pub standard_errors: Vec<f64>,
    /// The predictions of each row, shape `(n_rows, n_grid, n_outputs)`.
    pub lines: Vec<f64>,
}

impl DependenceCurve {
    /// What the model predicts for one row as the feature takes its values.
    pub fn line(&self, row: usize, output: usize) -> Option<Vec<f64>> {
        let (g, k) = (self.labels.len(), self.outputs.len());
        let line = self.lines.get(row * g * k..(row + 1) * g * k)?;
        (output < k).then(|| line.iter().skip(output).step_by(k).copied().collect())
    }
}

impl PartialDependence {
    /// Of this feature, at its own values: all of them where there are at most 20, else the values
    /// at 20 equally spaced ranks from the least to the greatest.
    pub fn of(feature: impl Into<String>) -> Self {
        Self { feature: feature.into(), points: 20, grid: None }
    }

    /// The same at so many values at most (at least 2).
    #[must_use]
    pub fn points(mut self, points: usize) -> Self {
        self.points = points.max(2);
        self
    }

    /// The same at these values, of the column's type.
    #[must_use]
    pub fn at(mut self, grid: ArrayRef) -> Self {
        self.grid = Some(grid);
        self
    }

    /// Measures the model on these rows.
    ///
    /// # Errors
    /// As [`measure_with`](Self::measure_with).
    pub fn measure(&self, model: &dyn Model, batch: &RecordBatch) -> Result<DependenceCurve> {
        self.measure_with(model, batch, Watch::new())
    }

    /// The same, watched; progress counts values of the grid.
    ///
    /// # Errors
    /// A column that is not there; [`Error::Undefined`] for no rows, no values, or a prediction that
    /// is null; [`Error::ColumnType`] for a grid of another type, and those of the model.
    pub fn measure_with(
        &self,
        model: &dyn Model,
        batch: &RecordBatch,
        watch: Watch<'_>,
    ) -> Result<DependenceCurve> {
        let column = mlops_core::column(batch, &self.feature)?;
        let at = batch.schema_ref().index_of(&self.feature)?;
        let rows = batch.num_rows();
        if rows == 0 {
            return Err(Error::undefined("partial dependence", "there are no rows"));
        }
        let grid = match &self.grid {
            Some(grid) if grid.data_type() == column.data_type() => grid.clone(),
            Some(grid) => {
                let expected = format!("a grid of type {}", column.data_type());
                return Err(Error::column_type(&self.feature, expected, grid.data_type()));
            }
            None => self.grid_of(column)?,
        };
        if grid.is_empty() {
            return Err(Error::undefined("partial dependence", "there is no value to take"));
        }
        let outputs = match model.predict(&batch.slice(0, 1))? {
            Predictions::Scores { classes, .. } => classes.to_vec(),
            _ => vec!["prediction".to_owned()],
        };
        let k = outputs.len();
        let steps = watch.steps(grid.len());
        watch.check()?;
        let by_value: Vec<Vec<f64>> = (0..grid.len())
            .into_par_iter()
            .map(|g| {
                let mut columns = batch.columns().to_vec();
                columns[at] = take(&grid, &UInt32Array::from(vec![g as u32; rows]), None)?;
                let asked = RecordBatch::try_new(Arc::clone(batch.schema_ref()), columns)?;
                let predictions = model.predict(&asked)?;
                let numbers = match &predictions {
                    Predictions::Scores { scores, .. } => scores,
                    other => other.as_values()?,
                };
                if numbers.null_count() > 0 || numbers.len() != rows * k {
                    let row = (0..numbers.len()).find(|&i| numbers.is_null(i)).unwrap_or(0) / k;
                    return Err(Error::undefined(
                        format!("prediction of row {row}"),
                        format!("the model predicts nothing at value {g} of the grid"),
                    ));
                }
                steps.done(1)?;
                Ok(numbers.values().to_vec())
            })
            .collect::<Result<_>>()?;
        let n = rows as f64;
        let (mut mean, mut standard_errors) = (Vec::new(), Vec::new());
        for numbers in &by_value {
            for output in 0..k {
                let of = || numbers.iter().skip(output).step_by(k);
                let m = of().sum::<f64>() / n;
                let squares: f64 = of().map(|x| (x - m).powi(2)).sum();
                mean.push(m);
                standard_errors.push((squares / (n * (n - 1.0))).sqrt());
            }
        }
        let lines = (0..rows)
            .flat_map(|row| by_value.iter().flat_map(move |v| &v[row * k..(row + 1) * k]))
            .copied()
            .collect();
        let labels = labels(&grid)?;
        Ok(DependenceCurve {
            feature: self.feature.clone(),
            grid,
            labels,
            outputs,
            mean,
            standard_errors,
            lines,
        })
    }

    /// Values of the column itself, so that the model meets none that it cannot know.
    fn grid_of(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let mut order: Vec<u32> = if is_numeric(column.data_type()) {
            let x = to_numbers(&self.feature, column)?;
            let mut order: Vec<u32> = (0..x.len() as u32)
                .filter(|&i| x.is_valid(i as usize) && x.value(i as usize).is_finite())
                .collect();
            order.sort_by(|&a, &b| x.value(a as usize).total_cmp(&x.value(b as usize)));
            order.dedup_by(|a, b| x.value(*a as usize) == x.value(*b as usize));
            order
        } else if is_text(column.data_type()) {
            let text = cast(column, &DataType::Utf8)?;
            let text: &StringArray = arrow::array::AsArray::as_string(&text);
            let mut order: Vec<u32> =
                (0..text.len() as u32).filter(|&i| text.is_valid(i as usize)).collect();
            order.sort_by_key(|&i| text.value(i as usize));
            order.dedup_by_key(|i| text.value(*i as usize));
            order
        } else {
            return Err(Error::column_type(&self.feature, "numbers or text", column.data_type()));
        };
        if is_numeric(column.data_type()) && order.len() > self.points {
            let last = order.len() - 1;
            let steps = self.points - 1;
            order = (0..=steps).map(|i| order[i * last / steps]).collect();
        }
        Ok(take(column, &UInt32Array::from(order), None)?)
    }
}

fn labels(grid: &ArrayRef) -> Result<Vec<String>> {
    if *grid.data_type() == DataType::Float64 {
        let x: &Float64Array = arrow::array::AsArray::as_primitive(grid);
        return Ok(x.iter().map(|x| x.map_or_else(|| "null".into(), |x| x.to_string())).collect());
    }
    let text = cast(grid, &DataType::Utf8)?;
    let text: &StringArray = arrow::array::AsArray::as_string(&text);
    Ok(text.iter().map(|t| t.unwrap_or("null").to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use mlops_core::batch;
    use mlops_core::model::LinearModel;

    use super::*;

    #[test]
    fn classes_ranks_and_given_grids() {
        let model = LinearModel::logistic(["a"], [1.0], 0.0, "no", "yes").unwrap();
        let rows =
            batch! { "a" => Float64Array::from_iter_values((0..100).map(f64::from)) }.unwrap();
        let found = PartialDependence::of("a").points(5).measure(&model, &rows).unwrap();
        assert_eq!(found.labels, ["0", "24", "49", "74", "99"]);
        assert_eq!(found.outputs, ["no", "yes"]);
        assert_eq!(found.mean[..2], [0.5, 0.5]);
        // Nothing but the feature is read, so all rows say the same.
        assert!(found.standard_errors.iter().all(|e| *e < 1e-12));
        let grid: ArrayRef = Arc::new(Float64Array::from(vec![-1.0, 1.0]));
        let at = PartialDependence::of("a").at(grid).measure(&model, &rows).unwrap();
        assert!((at.mean[1] + at.mean[3] - 1.0).abs() < 1e-15);
        assert_eq!(at.line(5, 1).unwrap().len(), 2);
        assert_eq!((at.line(100, 0), at.line(0, 2)), (None, None));
    }

    #[test]
    fn bad_input_is_named() {
        let model = LinearModel::regression(["a"], [1.0], 0.0).unwrap();
        let rows = batch! { "a" => Float64Array::from(vec![None, Some(f64::NAN)]) }.unwrap();
        assert!(PartialDependence::of("a").measure(&model, &rows).is_err());
        assert!(PartialDependence::of("b").measure(&model, &rows).is_err());
        assert!(PartialDependence::of("a").measure(&model, &rows.slice(0, 0)).is_err());
        let grid: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        assert!(PartialDependence::of("a").at(grid).measure(&model, &rows).is_err());
    }
}
