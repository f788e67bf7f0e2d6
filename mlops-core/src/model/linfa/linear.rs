//! Linear regression by least squares.

use arrow::array::RecordBatch;
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_linear::{FittedLinearRegression, LinearRegression};
use ndarray::{Array1, Array2};

use super::training::{matrix, target};
use crate::model::LinearModel;
use crate::{Error, Result};

/// Fits a linear regression with an intercept by ordinary least squares. The same thing as
/// scikit-learn's `LinearRegression`, except that columns which leave the solution open are
/// refused.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::batch;
/// use mlops_core::model::linfa::linear_regression;
/// let rows = batch! {
///     "x" => Float64Array::from(vec![1.0, 2.0, 3.0]),
///     "y" => Float64Array::from(vec![5.0, 7.0, 9.0]),
/// }?;
/// let model = linear_regression(&rows, &["x"], "y")?;
/// assert!((model.coefficients()[0] - 2.0).abs() < 1e-12);
/// assert!((model.intercepts()[0] - 3.0).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for nulls and numbers that are not finite; [`Error::Invalid`] for fewer rows
/// than unknowns; [`Error::Undefined`], naming the column, for one that is constant or a linear
/// combination of those before it.
pub fn linear_regression<S: AsRef<str>>(
    batch: &RecordBatch,
    features: &[S],
    target_name: &str,
) -> Result<LinearModel> {
    let x = matrix(batch, features)?;
    let y: Array1<f64> = target(batch, target_name)?;
    if x.nrows() <= x.ncols() {
        let expected = format!("at least {} for {} features", x.ncols() + 1, x.ncols());
        return Err(Error::invalid("rows to train on", expected, x.nrows()));
    }
    check_independent(features, &x)?;
    let fitted = LinearRegression::new()
        .fit(&DatasetBase::new(x, y))
        .map_err(|e| Error::other("fitting a linear regression", e))?;
    from_linear(features, &fitted)
}

/// A fitted linear regression over these features.
///
/// # Errors
/// [`Error::Invalid`] if there is not a name for each coefficient, and as [`LinearModel::new`].
pub fn from_linear<S: AsRef<str>>(
    features: &[S],
    fitted: &FittedLinearRegression<f64>,
) -> Result<LinearModel> {
    let names = features.iter().map(AsRef::as_ref);
    LinearModel::regression(names, fitted.params().to_vec(), fitted.intercept())
}

/// Gram–Schmidt over the centred columns: what is left of each after those before it. A QR solver
/// would go on with rounding errors where nothing is left.
fn check_independent<S: AsRef<str>>(features: &[S], x: &Array2<f64>) -> Result<()> {
    // About the square root of the rounding unit: beyond it no digit of a coefficient is sure.
    const LEFT: f64 = 1e-8;
    let mut basis: Vec<Array1<f64>> = Vec::with_capacity(x.ncols());
    for (name, column) in features.iter().zip(x.columns()) {
        let scale = column.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let constant = column.iter().all(|&x| x == column[0]);
        let mut rest = if scale == 0.0 { column.to_owned() } else { column.mapv(|x| x / scale) };
        let mean = rest.sum() / rest.len() as f64;
        rest -= mean;
        let length = rest.dot(&rest).sqrt();
        for unit in &basis {
            rest.scaled_add(-unit.dot(&rest), unit);
        }
        let left = rest.dot(&rest).sqrt();
        if constant || left <= LEFT * length {
            let why = if constant { "is constant" } else { "is a combination of those before it" };
            return Err(Error::undefined(
                "the fit of the linear regression",
                format!("column `{}` {why}; leave it out", name.as_ref()),
            ));
        }
        rest /= left;
        basis.push(rest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use linfa::traits::Predict;

    use super::*;
    use crate::model::{Model, Nulls, features};
    use crate::{batch, conformance};

    fn made() -> RecordBatch {
        let column = |f: f64| {
            Float64Array::from_iter_values((0..100).map(|i| (f64::from(i) * f).sin() * 9.0))
        };
        let y = Float64Array::from_iter_values(
            (0..100).map(|i| 3.0 + (f64::from(i) * 1.3).sin() * 18.0 + f64::from(i % 7)),
        );
        batch! {
            "a" => column(1.3),
            "b" => column(2.1),
            "double" => Float64Array::from_iter_values((0..100).map(|i| (f64::from(i) * 1.3).sin())),
            "same" => Float64Array::from(vec![0.1; 100]),
            "y" => y,
        }
        .unwrap()
    }

    #[test]
    fn values_are_linfas() {
        let rows = made();
        let x = features(&rows, &["a", "b"], Nulls::Refuse).unwrap();
        let y = target(&rows, "y").unwrap();
        let fitted = LinearRegression::new().fit(&DatasetBase::new(x.clone(), y)).unwrap();
        let ours = from_linear(&["a", "b"], &fitted).unwrap();
        let predictions = ours.predict(&rows).unwrap();
        for (ours, theirs) in
            predictions.as_values().unwrap().values().iter().zip(fitted.predict(&x))
        {
            assert!((ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0));
        }
        assert_eq!(linear_regression(&rows, &["a", "b"], "y").unwrap(), ours);
        conformance::model(&ours, &rows);
    }

    #[test]
    fn open_solutions_are_refused_by_name() {
        let of = |names: &[&str]| linear_regression(&made(), names, "y").unwrap_err().to_string();
        assert!(of(&["a", "same"]).contains("`same` is constant"));
        assert!(of(&["b", "a", "double"]).contains("`double` is a combination"));
        let short = made().slice(0, 2);
        let error = linear_regression(&short, &["a", "b"], "y").unwrap_err().to_string();
        assert!(error.contains("at least 3 for 2 features"), "{error}");
    }
}
