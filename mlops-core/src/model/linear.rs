//! Linear models: regression, logistic regression, multinomial logistic regression.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{Link, Model, Predictions, file, first_duplicate};
use crate::{Error, Result, Rows};

/// A linear model: `margin = intercept + Σ_j coefficient_j · x_j`, and a [`Link`].
///
/// A row with a null feature has a null prediction, and so has one whose margin is not a number
/// (a NaN feature, `∞ − ∞`); predictions are never NaN. Terms are added in the order of the
/// features, so that a row's prediction is the same bits in any batch. Time is
/// `O(n_rows · n_features · n_outputs)`.
///
/// The same thing as scikit-learn's `LinearRegression.predict` and
/// `LogisticRegression.predict_proba`.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{Model, batch};
/// use mlops_core::model::LinearModel;
///
/// let model = LinearModel::logistic(["income", "debt"], [0.5, -2.0], 1.0, "reject", "accept")?;
/// let rows = batch! {
///     "debt" => Float64Array::from(vec![Some(1.0), None]),
///     "income" => Float64Array::from(vec![2.0, 3.0]),
/// }?;
/// let accept = model.predict(&rows)?.score_of("accept")?;
/// assert_eq!(accept.iter().collect::<Vec<_>>(), [Some(0.5), None]);
/// assert_eq!(LinearModel::from_bytes(&model.to_bytes()?)?, model);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct LinearModel {
    features: Vec<String>,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    link: Link,
    missing_as_zero: bool,
    schema: SchemaRef,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    features: Vec<String>,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    link: Link,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    missing_as_zero: bool,
}

impl TryFrom<Parts> for LinearModel {
    type Error = Error;

    fn try_from(parts: Parts) -> Result<Self> {
        let model = Self::new(parts.features, parts.coefficients, parts.intercepts, parts.link)?;
        Ok(Self { missing_as_zero: parts.missing_as_zero, ..model })
    }
}

impl From<LinearModel> for Parts {
    fn from(model: LinearModel) -> Self {
        let LinearModel { features, coefficients, intercepts, link, missing_as_zero, .. } = model;
        Self { features, coefficients, intercepts, link, missing_as_zero }
    }
}

impl LinearModel {
    /// The name of its file format.
    pub const FORMAT: &str = "mlops.linear";
    /// The version of its file format.
    pub const VERSION: u32 = 1;

    /// A model from its parts: `coefficients` of shape `(n_outputs, n_features)`, row after row,
    /// and `intercepts` of shape `(n_outputs,)`, with one output unless the link is a softmax.
    ///
    /// # Errors
    /// [`Error::Invalid`] for lengths that don't fit, numbers that are not finite, a feature or
    /// class named twice, or fewer than two classes.
    pub fn new(
        features: Vec<String>,
        coefficients: Vec<f64>,
        intercepts: Vec<f64>,
        link: Link,
    ) -> Result<Self> {
        const WHAT: &str = "linear model";
        if let Some(twice) = first_duplicate(&features) {
            let found = format!("`{twice}` twice");
            return Err(Error::invalid(WHAT, "features of different names", found));
        }
        let outputs = link.outputs();
        link.check(WHAT)?;
        let expected = outputs.saturating_mul(features.len());
        if coefficients.len() != expected {
            let expected = format!("{outputs} x {} coefficients", features.len());
            return Err(Error::invalid(WHAT, expected, coefficients.len()));
        }
        if intercepts.len() != outputs {
            let expected = format!("{outputs} intercepts");
            return Err(Error::invalid(WHAT, expected, intercepts.len()));
        }
        for (name, numbers) in [("coefficients", &coefficients), ("intercepts", &intercepts)] {
            if let Some(at) = numbers.iter().position(|x| !x.is_finite()) {
                let found = format!("{} at index {at}", numbers[at]);
                return Err(Error::invalid(format!("{name} of a {WHAT}"), "finite numbers", found));
            }
        }
        let fields = features.iter().map(|name| Field::new(name, DataType::Float64, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { features, coefficients, intercepts, link, missing_as_zero: false, schema })
    }

    /// A linear regression.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn regression<S: Into<String>>(
        features: impl IntoIterator<Item = S>,
        coefficients: impl Into<Vec<f64>>,
        intercept: f64,
    ) -> Result<Self> {
        let features = features.into_iter().map(Into::into).collect();
        Self::new(features, coefficients.into(), vec![intercept], Link::Identity)
    }

    /// A logistic regression of two classes; high margins speak for `positive`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn logistic<S: Into<String>>(
        features: impl IntoIterator<Item = S>,
        coefficients: impl Into<Vec<f64>>,
        intercept: f64,
        negative: impl Into<String>,
        positive: impl Into<String>,
    ) -> Result<Self> {
        let features = features.into_iter().map(Into::into).collect();
        let link = Link::Logistic { negative: negative.into(), positive: positive.into() };
        Self::new(features, coefficients.into(), vec![intercept], link)
    }

    /// The same, in which a feature without a value (null or NaN) adds nothing to the margin,
    /// instead of leaving the row without one: how XGBoost's `gblinear` takes missing values.
    #[must_use]
    pub fn with_missing_as_zero(mut self) -> Self {
        self.missing_as_zero = true;
        self
    }

    /// Whether a feature without a value adds nothing to the margin.
    pub fn missing_as_zero(&self) -> bool {
        self.missing_as_zero
    }

    /// The features, in the order of the coefficients.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The coefficients, shape `(n_outputs, n_features)`, row after row.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// The intercepts, shape `(n_outputs,)`.
    pub fn intercepts(&self) -> &[f64] {
        &self.intercepts
    }

    /// How margins become predictions.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// How many margins a row has: one, or one for each class of a softmax.
    pub fn outputs(&self) -> usize {
        self.intercepts.len()
    }

    /// The margins before the link, shape `(n_rows, n_outputs)`, row after row (so `(n_rows,)` but
    /// for a softmax): log-odds of a logistic model. What additive attributions add up to. Null
    /// where the row has a null feature or the margin is not a number.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] and [`Error::ColumnType`] with the feature's name.
    pub fn margin(&self, batch: &RecordBatch) -> Result<Float64Array> {
        let rows = Rows::new(batch);
        let outputs = self.outputs();
        let mut margins: Vec<Vec<f64>> =
            self.intercepts.iter().map(|&b| vec![b; batch.num_rows()]).collect();
        let mut valid: Option<NullBuffer> = None;
        for (j, feature) in self.features.iter().enumerate() {
            let x = rows.numbers(feature)?;
            let without_gaps;
            let x = if self.missing_as_zero {
                let value = |x: Option<f64>| x.filter(|x| !x.is_nan()).unwrap_or(0.0);
                without_gaps = Float64Array::from_iter_values(x.iter().map(value));
                &without_gaps
            } else {
                x
            };
            for (k, margin) in margins.iter_mut().enumerate() {
                let coefficient = self.coefficients[k * self.features.len() + j];
                for (sum, x) in margin.iter_mut().zip(x.values()) {
                    *sum += coefficient * x;
                }
            }
            valid = NullBuffer::union(valid.as_ref(), x.nulls());
        }
        let is_valid = |row: usize| valid.as_ref().is_none_or(|v| v.is_valid(row));
        if outputs == 1
            && valid.as_ref().is_none_or(|v| v.null_count() == 0)
            && let Some(only) = margins.pop_if(|m| m.iter().all(|z| !z.is_nan()))
        {
            return Ok(only.into());
        }
        Ok((0..batch.num_rows())
            .flat_map(|row| {
                let is_valid = is_valid(row);
                margins.iter().map(move |m| (is_valid && !m[row].is_nan()).then_some(m[row]))
            })
            .collect())
    }

    /// The model as bytes: versioned JSON, in which every number reads back as the same bits.
    ///
    /// # Errors
    /// Never for a model that could be made; serialisation is fallible by type.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        file::write(Self::FORMAT, Self::VERSION, self)
    }

    /// A model from the bytes of [`to_bytes`](Self::to_bytes). No training library is needed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another format or version, cut or changed JSON, and all that
    /// [`new`](Self::new) refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        file::read(Self::FORMAT, Self::VERSION, bytes)
    }
}

impl Model for LinearModel {
    fn input_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        self.link.apply(&self.margin(batch)?)
    }
}

impl fmt::Display for LinearModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.features.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(9);
        match &self.link {
            Link::Identity => write!(f, "linear regression")?,
            Link::Logistic { negative, positive } => {
                write!(f, "logistic regression, {positive} against {negative}")?;
            }
            Link::Softmax { classes } => {
                write!(f, "multinomial logistic regression of {}", classes.join(", "))?;
            }
            other => write!(f, "linear model, link {other:?}")?,
        }
        write!(f, "\n  {:<width$}", "intercept")?;
        for b in &self.intercepts {
            write!(f, " {b:>12.6}")?;
        }
        for (j, name) in self.features.iter().enumerate() {
            write!(f, "\n  {name:<width$}")?;
            for c in self.coefficients.iter().skip(j).step_by(self.features.len()) {
                write!(f, " {c:>12.6}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;
    use crate::model::sigmoid;
    use crate::{batch, conformance};

    fn iris() -> LinearModel {
        LinearModel::new(
            vec!["a".into(), "b".into()],
            vec![1.0, 2.0, -1.0, 0.5, 0.0, -3.0],
            vec![0.1, 0.2, 0.3],
            Link::Softmax { classes: vec!["x".into(), "y".into(), "z".into()] },
        )
        .unwrap()
    }

    fn nasty() -> RecordBatch {
        let inf = f64::INFINITY;
        batch! {
            "a" => Float64Array::from(vec![
                Some(0.0), None, Some(f64::NAN), Some(inf), Some(inf), Some(-1e300), Some(-0.0), Some(3.5),
            ]),
            "b" => Float64Array::from(vec![
                Some(1.0), Some(1.0), Some(1.0), Some(-inf), Some(1.0), Some(1e300), Some(0.0), None,
            ]),
        }
        .unwrap()
    }

    #[test]
    fn keeps_the_contract() {
        conformance::model(&iris(), &nasty());
        conformance::model(
            &LinearModel::regression(["b", "a"], [2.0, 3.0], 1.0).unwrap(),
            &nasty(),
        );
        let logistic = LinearModel::logistic(["b", "a"], [2.0, 3.0], 1.0, "0", "1").unwrap();
        conformance::model(&logistic, &nasty());
    }

    #[test]
    fn what_is_not_a_number_is_null() {
        let model = LinearModel::regression(["a", "b"], [1.0, 1.0], 0.5).unwrap();
        let values = model.predict(&nasty()).unwrap();
        let expected =
            [Some(1.5), None, None, None, Some(f64::INFINITY), Some(0.0), Some(0.5), None];
        assert_eq!(values.as_values().unwrap().iter().collect::<Vec<_>>(), expected);
        let scores = iris().predict(&nasty()).unwrap();
        let x: Vec<_> = scores.score_of("x").unwrap().iter().map(|p| p.is_some()).collect();
        // 0 * inf in z's margin is not a number either.
        assert_eq!(x, [true, false, false, false, false, true, true, false]);
    }

    #[test]
    fn what_is_missing_may_count_for_nothing() {
        let model = LinearModel::regression(["a", "b"], [1.0, 1.0], 0.5).unwrap();
        let model = model.with_missing_as_zero();
        let values = model.predict(&nasty()).unwrap();
        let inf = Some(f64::INFINITY);
        let expected =
            [Some(1.5), Some(1.5), Some(1.5), None, inf, Some(0.0), Some(0.5), Some(4.0)];
        assert_eq!(values.as_values().unwrap().iter().collect::<Vec<_>>(), expected);
        conformance::model(&model, &nasty());
        assert_eq!(LinearModel::from_bytes(&model.to_bytes().unwrap()).unwrap(), model);
    }

    #[test]
    fn integers_are_features() {
        let model = LinearModel::regression(["n"], [0.5], 0.0).unwrap();
        let rows = batch! { "n" => Int64Array::from(vec![3]) }.unwrap();
        assert_eq!(model.predict(&rows).unwrap().as_values().unwrap().value(0), 1.5);
    }

    #[test]
    fn tails_keep_their_digits() {
        let model = LinearModel::logistic(["z"], [1.0], 0.0, "0", "1").unwrap();
        let rows = batch! { "z" => Float64Array::from(vec![-745.0, 745.0, 40.0]) }.unwrap();
        let scores = model.predict(&rows).unwrap();
        let (low, high) = (scores.score_of("0").unwrap(), scores.score_of("1").unwrap());
        assert_eq!((low.value(0), high.value(1)), (1.0, 1.0));
        assert!(high.value(0) > 0.0 && low.value(1) > 0.0);
        // exp(-40), not the 0 that 1 - p would give.
        assert!((low.value(2) / (-40.0f64).exp() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let refused = |model: Result<LinearModel>, word: &str| {
            let error = model.unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(LinearModel::regression(["a"], [1.0, 2.0], 0.0), "1 x 1 coefficients");
        refused(LinearModel::regression(["a", "a"], [1.0, 2.0], 0.0), "`a` twice");
        refused(LinearModel::regression(["a"], [f64::NAN], 0.0), "NaN at index 0");
        refused(LinearModel::regression(["a"], [1.0], f64::INFINITY), "finite");
        refused(LinearModel::logistic(["a"], [1.0], 0.0, "x", "x"), "`x` twice");
        let link = Link::Softmax { classes: vec!["x".into()] };
        refused(LinearModel::new(vec![], vec![], vec![0.0], link), "two classes");
    }

    #[test]
    fn files_are_stable_and_not_trusted() {
        let model = LinearModel::logistic(["a"], [0.1], -0.0, "no", "yes").unwrap();
        let text = concat!(
            r#"{"format":"mlops.linear","version":1,"model":{"features":["a"],"coefficients":[0.1],"#,
            r#""intercepts":[-0.0],"link":{"logistic":{"negative":"no","positive":"yes"}}}}"#
        );
        assert_eq!(String::from_utf8(model.to_bytes().unwrap()).unwrap(), text);
        let refused = |text: &str, word: &str| {
            let error = LinearModel::from_bytes(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(&text.replace("\"version\":1", "\"version\":2"), "version 2");
        refused(&text.replace("mlops.linear", "mlops.tree"), "mlops.tree");
        refused(&text.replace("[0.1]", "[0.1,0.2]"), "1 x 1 coefficients");
        refused(&text.replace("[0.1]", "[1e999]"), "number out of range");
        refused(&text.replace("\"coefficients\"", "\"weights\""), "weights");
        for n in 0..text.len() {
            assert!(LinearModel::from_bytes(&text.as_bytes()[..n]).is_err());
        }
    }

    #[test]
    fn prints_as_a_table() {
        let model = LinearModel::logistic(["income"], [0.5], -1.25, "no", "yes").unwrap();
        let expected = "logistic regression, yes against no\n  intercept    -1.250000\n  income        0.500000";
        assert_eq!(model.to_string(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_model_comes_back_to_the_bit(
            numbers in prop::collection::vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), 1..9),
            intercept in -1e3..1e3,
        ) {
            let features = (0..numbers.len()).map(|j| format!("f{j}"));
            let model = LinearModel::regression(features, numbers, intercept).unwrap();
            let bytes = model.to_bytes().unwrap();
            let back = LinearModel::from_bytes(&bytes).unwrap();
            prop_assert_eq!(back.to_bytes().unwrap(), bytes);
            let bits = |m: &LinearModel| m.coefficients().iter().map(|c| c.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&model));
        }

        #[test]
        fn changed_bytes_never_panic(at in 0usize..400, byte in any::<u8>()) {
            let mut bytes = iris().to_bytes().unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(model) = LinearModel::from_bytes(&bytes) {
                drop(model.predict(&nasty()));
                prop_assert_eq!(LinearModel::from_bytes(&model.to_bytes().unwrap()).unwrap(), model);
            }
        }

        #[test]
        fn scores_add_up(z in prop::collection::vec(-800.0..800.0f64, 3)) {
            let link = Link::Softmax { classes: vec!["x".into(), "y".into(), "z".into()] };
            let model = LinearModel::new(vec![], vec![], z.clone(), link).unwrap();
            let rows = batch! { "t" => Int64Array::from(vec![0]) }.unwrap();
            let Predictions::Scores { scores, .. } = model.predict(&rows).unwrap() else { panic!() };
            let total: f64 = scores.values().iter().sum();
            prop_assert!((total - 1.0).abs() < 1e-15);
            prop_assert!((sigmoid(z[0]) + sigmoid(-z[0]) - 1.0).abs() < 1e-15);
        }
    }
}
