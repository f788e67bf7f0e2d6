//! Logistic regression, binary and multinomial.

use std::fmt::Display;

use arrow::array::RecordBatch;
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::{
    FittedLogisticRegression, LogisticRegression, MultiFittedLogisticRegression,
    MultiLogisticRegression,
};
use ndarray::{Array1, Array2};

use super::training::{Labels, labels, matrix};
use crate::model::{LinearModel, Link, sigmoid};
use crate::{Error, Result};

/// How a logistic regression is fitted.
///
/// The loss is `Σ_i −ln p(y_i | x_i) + alpha/2 · ‖coefficients‖²`, the intercept unpenalised:
/// scikit-learn's with `C = 1/alpha`. Scale the features first, or the penalty means little.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LogisticOptions {
    /// The weight of the L2 penalty, ≥ 0; 1 by default. 0 has no solution for separable classes.
    pub alpha: f64,
    /// Whether there is an intercept; by default there is.
    pub fit_intercept: bool,
    /// The most steps of L-BFGS; 500 by default.
    pub max_iterations: u64,
    /// Where the fit is good enough: a norm of the loss's gradient *per row*; 1e-4 by default.
    pub gradient_tolerance: f64,
}

impl Default for LogisticOptions {
    fn default() -> Self {
        Self { alpha: 1.0, fit_intercept: true, max_iterations: 500, gradient_tolerance: 1e-4 }
    }
}

impl LogisticOptions {
    /// The same with this weight of the L2 penalty.
    #[must_use]
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The same with or without an intercept.
    #[must_use]
    pub fn with_intercept(mut self, fit_intercept: bool) -> Self {
        self.fit_intercept = fit_intercept;
        self
    }

    /// The same with at most this many steps.
    #[must_use]
    pub fn with_max_iterations(mut self, steps: u64) -> Self {
        self.max_iterations = steps;
        self
    }

    /// The same with this tolerance of the gradient per row.
    #[must_use]
    pub fn with_gradient_tolerance(mut self, tolerance: f64) -> Self {
        self.gradient_tolerance = tolerance;
        self
    }

    fn check(&self) -> Result<()> {
        if !(self.alpha.is_finite() && self.alpha >= 0.0) {
            return Err(Error::invalid("alpha", "a finite number of at least 0", self.alpha));
        }
        if !(self.gradient_tolerance.is_finite() && self.gradient_tolerance > 0.0) {
            let expected = "a finite number above 0";
            return Err(Error::invalid("gradient_tolerance", expected, self.gradient_tolerance));
        }
        Ok(())
    }
}

/// Fits a logistic regression to rows of features and a label: binary for two classes, where the
/// one that sorts last (as a number, if all labels are) is the positive; multinomial for more.
///
/// # Errors
/// [`Error::Value`] for nulls, and features that are not finite; [`Error::Invalid`] for no rows,
/// one class, or options out of range; [`Error::Undefined`] where the loss has no minimum
/// (separable classes with `alpha` 0), or it was not found in the given steps.
pub fn logistic_regression<S: AsRef<str>>(
    batch: &RecordBatch,
    features: &[S],
    label: &str,
    options: &LogisticOptions,
) -> Result<LinearModel> {
    options.check()?;
    let x = matrix(batch, features)?;
    let Labels { classes, codes } = labels(batch, label)?;
    let tolerance = options.gradient_tolerance * x.nrows() as f64;
    let dataset = DatasetBase::new(x, codes);
    let failed = |e| Error::other("fitting a logistic regression", e);
    let names = || features.iter().map(|f| f.as_ref().to_owned()).collect();
    let model = if let [negative, positive] = &classes[..] {
        let fitted = LogisticRegression::default()
            .alpha(options.alpha)
            .with_intercept(options.fit_intercept)
            .max_iterations(options.max_iterations)
            .gradient_tolerance(tolerance)
            .fit(&dataset)
            .map_err(failed)?;
        let (coefficients, intercept) = oriented(&fitted);
        let link = Link::Logistic { negative: negative.clone(), positive: positive.clone() };
        LinearModel::new(names(), coefficients, vec![intercept], link)
    } else {
        let fitted = MultiLogisticRegression::default()
            .alpha(options.alpha)
            .with_intercept(options.fit_intercept)
            .max_iterations(options.max_iterations)
            .gradient_tolerance(tolerance)
            .fit(&dataset)
            .map_err(failed)?;
        let coefficients = fitted.params().t().iter().copied().collect();
        LinearModel::new(
            names(),
            coefficients,
            fitted.intercept().to_vec(),
            Link::Softmax { classes },
        )
    };
    let model = model.map_err(|_| no_minimum("the coefficients grow without bound"))?;
    check_fit(&model, &dataset.records, &dataset.targets, options)?;
    Ok(model)
}

/// A fitted binary logistic regression over these features; the class that sorts last is the
/// positive, whichever linfa took for it.
///
/// # Errors
/// [`Error::Invalid`] if there is not a name for each coefficient, and as [`LinearModel::new`].
pub fn from_logistic<S: AsRef<str>, C: Ord + Clone + Display>(
    features: &[S],
    fitted: &FittedLogisticRegression<f64, C>,
) -> Result<LinearModel> {
    let labels = fitted.labels();
    let (negative, positive) = (&labels.neg.class, &labels.pos.class);
    let (first, last) = (negative.min(positive), negative.max(positive));
    let (coefficients, intercept) = oriented(fitted);
    let features = features.iter().map(AsRef::as_ref);
    LinearModel::logistic(features, coefficients, intercept, first.to_string(), last.to_string())
}

/// A fitted multinomial logistic regression over these features.
///
/// # Errors
/// [`Error::Invalid`] if there is not a name for each coefficient, and as [`LinearModel::new`].
pub fn from_multinomial<S: AsRef<str>, C: PartialOrd + Clone + Display>(
    features: &[S],
    fitted: &MultiFittedLogisticRegression<f64, C>,
) -> Result<LinearModel> {
    LinearModel::new(
        features.iter().map(|f| f.as_ref().to_owned()).collect(),
        fitted.params().t().iter().copied().collect(),
        fitted.intercept().to_vec(),
        Link::Softmax { classes: fitted.classes().iter().map(ToString::to_string).collect() },
    )
}

/// The coefficients and the intercept such that high margins speak for the class that sorts last.
/// linfa takes the more frequent class for the positive one.
fn oriented<C: PartialOrd + Clone>(fitted: &FittedLogisticRegression<f64, C>) -> (Vec<f64>, f64) {
    let labels = fitted.labels();
    let sign = if labels.pos.class > labels.neg.class { 1.0 } else { -1.0 };
    (fitted.params().iter().map(|c| sign * c).collect(), sign * fitted.intercept())
}

fn no_minimum(reason: &str) -> Error {
    Error::undefined("the fit of the logistic regression", reason)
}

/// Whether what came out of the solver is the minimum that was asked for. linfa does not say.
fn check_fit(
    model: &LinearModel,
    x: &Array2<f64>,
    y: &Array1<usize>,
    options: &LogisticOptions,
) -> Result<()> {
    // L-BFGS also stops where the loss no longer changes, which doubles do at a gradient of about
    // the square root of their rounding unit.
    const ROUNDING: f64 = 1.5e-8;
    let (outputs, features) = (model.outputs(), model.features().len());
    let mut gradient = vec![0.0; outputs * (features + 1)];
    let mut separated = true;
    let mut margins = vec![0.0; outputs];
    for (x, &y) in x.rows().into_iter().zip(y) {
        for (k, margin) in margins.iter_mut().enumerate() {
            let of = &model.coefficients()[k * features..(k + 1) * features];
            *margin = model.intercepts()[k] + of.iter().zip(x).map(|(c, x)| c * x).sum::<f64>();
        }
        let greatest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = margins.iter().map(|z| (z - greatest).exp()).sum();
        for k in 0..outputs {
            let residual = if outputs == 1 {
                separated &= if y == 1 { margins[0] > 0.0 } else { margins[0] < 0.0 };
                sigmoid(margins[0]) - y as f64
            } else {
                separated &= k == y || margins[k] < margins[y];
                (margins[k] - greatest).exp() / total - f64::from(u8::from(k == y))
            };
            let of = &mut gradient[k * (features + 1)..(k + 1) * (features + 1)];
            for (g, x) in of.iter_mut().zip(x) {
                *g += residual * x;
            }
            of[features] += residual;
        }
    }
    if options.alpha == 0.0 && separated {
        return Err(no_minimum(
            "the features separate the classes, and without a penalty (alpha > 0) the coefficients \
             grow without bound",
        ));
    }
    let mut square = 0.0;
    for (k, of) in gradient.chunks_exact(features + 1).enumerate() {
        for (j, g) in of.iter().enumerate() {
            let g = match model.coefficients()[k * features..(k + 1) * features].get(j) {
                Some(c) => g + options.alpha * c,
                None if options.fit_intercept => *g,
                None => 0.0,
            };
            square += g * g;
        }
    }
    let norm = square.sqrt() / x.nrows() as f64;
    if norm.is_nan() || norm > (10.0 * options.gradient_tolerance).max(ROUNDING) {
        return Err(no_minimum(&format!(
            "after at most {} steps the gradient per row is {norm:.3e}, above the tolerance {:e}; \
             scale the features, or allow more steps",
            options.max_iterations, options.gradient_tolerance
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
    use ndarray::Axis;

    use super::*;
    use crate::model::{Model, Nulls, features};
    use crate::{batch, conformance};

    /// Three features and a label that depends on two of them, with noise; no RNG needed.
    fn made(classes: &[&str], rows: usize) -> RecordBatch {
        let wave = |i: usize, f: f64| (i as f64 * f).sin() * 2.0 + (i as f64 * f * f).cos();
        let column = |f: f64| Float64Array::from_iter_values((0..rows).map(|i| wave(i, f)));
        let label = (0..rows).map(|i| {
            let z = wave(i, 1.3) - 0.5 * wave(i, 2.7) + 0.4 * wave(i, 7.9);
            let at = (z * 0.4 + classes.len() as f64 / 2.0).clamp(0.0, classes.len() as f64 - 0.1);
            classes[at as usize]
        });
        let label = StringArray::from_iter_values(label);
        batch! { "a" => column(1.3), "b" => column(2.7), "c" => column(3.1), "y" => label }.unwrap()
    }

    fn near(ours: &dyn Array, theirs: impl IntoIterator<Item = f64>) {
        let ours = crate::to_numbers("ours", ours).unwrap();
        for (ours, theirs) in ours.values().iter().zip(theirs) {
            assert!((ours - theirs).abs() <= 1e-12, "{ours} {theirs}");
        }
    }

    #[test]
    fn binary_probabilities_are_linfas() {
        // Whichever class is the larger, which linfa takes for the positive one.
        for classes in [["no", "yes"], ["yes", "no"]] {
            for rows in [50, 331] {
                let rows = made(&classes, rows);
                let names = ["a", "b", "c"];
                let x = features(&rows, &names, Nulls::Refuse).unwrap();
                let y: Array1<String> = crate::Rows::new(&rows)
                    .categories("y")
                    .map(|c| (0..rows.num_rows()).map(|i| c.label(i).unwrap().into()).collect())
                    .unwrap();
                let fitted =
                    LogisticRegression::default().fit(&DatasetBase::new(x.clone(), y)).unwrap();
                let ours = from_logistic(&names, &fitted).unwrap();
                let p = ours.predict(&rows).unwrap().score_of(&fitted.labels().pos.class).unwrap();
                near(&p, fitted.predict_probabilities(&x));
                assert!(
                    matches!(ours.link(), Link::Logistic { positive, .. } if positive == "yes")
                );
                conformance::model(&ours, &rows);
            }
        }
    }

    #[test]
    fn multinomial_probabilities_are_linfas() {
        let rows = made(&["low", "mid", "top"], 200);
        let names = ["a", "b"];
        let x = features(&rows, &names, Nulls::Refuse).unwrap();
        let Labels { classes, codes } = labels(&rows, "y").unwrap();
        let y = codes.mapv(|code| classes[code].clone());
        let fitted =
            MultiLogisticRegression::default().fit(&DatasetBase::new(x.clone(), y)).unwrap();
        let ours = from_multinomial(&names, &fitted).unwrap();
        let theirs = fitted.predict_probabilities(&x);
        for (class, theirs) in fitted.classes().iter().zip(theirs.axis_iter(Axis(1))) {
            near(&ours.predict(&rows).unwrap().score_of(class).unwrap(), theirs.iter().copied());
        }
    }

    #[test]
    fn fits_a_batch() {
        for classes in [&["no", "yes"][..], &["a", "b", "c"][..]] {
            let rows = made(classes, 300);
            let options = LogisticOptions::default().with_gradient_tolerance(1e-8);
            let model = logistic_regression(&rows, &["a", "b", "c"], "y", &options).unwrap();
            let labels = model.predict(&rows).unwrap().labels().unwrap();
            let truth = crate::Rows::new(&rows);
            let truth = truth.categories("y").unwrap();
            let right = (0..300).filter(|&i| truth.label(i) == Some(labels.value(i))).count();
            assert!(right > 200, "{right} of 300");
            // The same model to the bit from the same rows.
            let again = logistic_regression(&rows, &["a", "b", "c"], "y", &options).unwrap();
            assert_eq!(again, model);
        }
    }

    #[test]
    fn numbers_are_labels() {
        let rows = batch! {
            "x" => Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]),
            "y" => Int64Array::from(vec![0, 0, 1, 1]),
        }
        .unwrap();
        let model = logistic_regression(&rows, &["x"], "y", &LogisticOptions::default()).unwrap();
        assert!(model.predict(&rows).unwrap().score_of("1").unwrap().value(3) > 0.5);
    }

    #[test]
    fn what_has_no_minimum_is_said() {
        let rows = batch! {
            "x" => Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]),
            "huge" => Float64Array::from(vec![1e9, 2e9, -3e9, 4e8]),
            "same" => Float64Array::from(vec![7.0; 4]),
            "y" => StringArray::from(vec!["a", "a", "b", "b"]),
        }
        .unwrap();
        let fit = |features: &[&str], options: LogisticOptions| {
            logistic_regression(&rows, features, "y", &options).map_err(|e| e.to_string())
        };
        let error = fit(&["x"], LogisticOptions::default().with_alpha(0.0)).unwrap_err();
        assert!(error.contains("separate the classes"), "{error}");
        let error = fit(&["x"], LogisticOptions::default().with_max_iterations(1)).unwrap_err();
        assert!(error.contains("allow more steps"), "{error}");
        for bad in [-1.0, f64::NAN] {
            let error = fit(&["x"], LogisticOptions::default().with_alpha(bad)).unwrap_err();
            assert!(error.contains("alpha: expected"), "{error}");
        }
        // A constant says nothing, and then the prior is the answer.
        let constant = fit(&["same"], LogisticOptions::default()).unwrap();
        near(&(std::sync::Arc::new(constant.margin(&rows).unwrap()) as ArrayRef), [0.0; 4]);
        // Whatever the scale: a fit or an error, and no panic.
        drop(fit(&["huge", "x"], LogisticOptions::default()));
    }
}
