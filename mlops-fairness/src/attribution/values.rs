//! Attributions of a batch of rows: what every explainer gives.

use std::collections::BTreeMap;
use std::fmt;

use mlops_core::states::Sum;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// What the numbers that are explained are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Space {
    /// What the model adds up before its link: log-odds of a logistic model, log of a rate.
    Margin,
    /// The probability of a class, or another score that the model gives it.
    Probability,
    /// The number that a regression predicts, in its own unit.
    Value,
    /// The log-loss of the row against its label.
    LogLoss,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Margin => "margin",
            Self::Probability => "probability",
            Self::Value => "value",
            Self::LogLoss => "log-loss",
        })
    }
}

/// How well base value and attributions add up to the predictions.
///
/// The error of a row is `|base + Σφ − prediction| / (|base| + Σ|φ|)`, where the prediction is the
/// one that the model makes on its own, apart from the explaining. Attributions are never adjusted
/// to fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Additivity {
    /// The largest error of a row; 0 without rows.
    pub worst: f64,
    /// The row that has it.
    pub row: Option<u64>,
    /// What it is held against: a larger one is an error. `None` where a method estimates, and
    /// the sum is only near.
    pub tolerance: Option<f64>,
}

/// For every row and output, what each feature added to the prediction.
///
/// The prediction of output *k* of row *i* is `base_values[k] + Σ_j φ[i, k, j]`; whoever makes
/// attributions checks that for every row ([`additivity`](Self::additivity)). shap: an
/// `Explanation` with `values` and `base_values`; xgboost: `pred_contribs` without its last column.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attributions {
    /// The features, in the order of the values.
    pub features: Vec<String>,
    /// The outputs: the classes that are explained, or one name for a single number.
    pub outputs: Vec<String>,
    /// What the explained numbers are.
    pub space: Space,
    /// The mean prediction over the background, shape `(n_outputs,)`.
    pub base_values: Vec<f64>,
    /// φ, shape `(n_rows, n_outputs, n_features)`: row after row, in a row output after output, so
    /// the features of one row and output stand together.
    pub values: Vec<f64>,
    /// The predictions that are explained, shape `(n_rows, n_outputs)`.
    pub predictions: Vec<f64>,
    /// Standard errors of φ where it is estimated from draws, of the same shape.
    pub standard_errors: Option<Vec<f64>>,
    /// How well all this adds up.
    pub additivity: Additivity,
}

/// The parts that [`Attributions`] are made of; shapes as there.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "who makes attributions names every part")]
pub struct AttributionParts {
    /// The features.
    pub features: Vec<String>,
    /// The outputs.
    pub outputs: Vec<String>,
    /// What the explained numbers are.
    pub space: Space,
    /// Shape `(n_outputs,)`.
    pub base_values: Vec<f64>,
    /// Shape `(n_rows, n_outputs, n_features)`.
    pub values: Vec<f64>,
    /// Shape `(n_rows, n_outputs)`.
    pub predictions: Vec<f64>,
}

impl Attributions {
    /// How far the sum may be from the prediction, relative to what is added up, for a method that
    /// is exact or adds up by construction, in `f64`.
    pub const TOLERANCE: f64 = 1e-11;

    /// Attributions from their parts, with every row held against its prediction: an error beyond
    /// the tolerance; `None` only measures.
    ///
    /// # Errors
    /// [`Error::Invalid`] for shapes that don't fit, no outputs, or a feature or output named twice;
    /// [`Error::Undefined`] if a row does not add up, as where numbers overflow or are NaN.
    pub fn new(parts: AttributionParts, tolerance: impl Into<Option<f64>>) -> Result<Self> {
        Self::with_scale(parts, tolerance.into(), 0.0)
    }

    /// The same where more than base and φ was added up: `scale` is the size of what cancelled.
    pub(super) fn with_scale(
        parts: AttributionParts,
        tolerance: Option<f64>,
        scale: f64,
    ) -> Result<Self> {
        let AttributionParts { features, outputs, space, base_values, values, predictions } = parts;
        for (what, names) in [("features", &features), ("outputs", &outputs)] {
            let mut sorted: Vec<_> = names.iter().collect();
            sorted.sort();
            if let Some([twice, _]) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                let found = format!("`{twice}` twice");
                return Err(Error::invalid(what, "different names", found));
            }
        }
        let (n, k) = (features.len(), outputs.len());
        if k == 0 || base_values.len() != k {
            let expected = format!("one for each of at least one output, {k} here");
            return Err(Error::invalid("base values", expected, base_values.len()));
        }
        if !predictions.len().is_multiple_of(k) || values.len() != predictions.len() * n {
            let expected = format!("{n} for each of {} predictions of {k}", predictions.len());
            return Err(Error::invalid("attributions", expected, values.len()));
        }
        let mut all = Self {
            features,
            outputs,
            space,
            base_values,
            values,
            predictions,
            standard_errors: None,
            additivity: Additivity { worst: 0.0, row: None, tolerance },
        };
        all.measure(scale);
        match (tolerance, all.additivity.row) {
            (Some(tolerance), Some(row)) if all.additivity.worst > tolerance => {
                let at = (0..k).map(|output| {
                    let phi = all.of(row as usize, output).unwrap_or_default();
                    let sum = all.base_values[output] + phi.iter().sum::<f64>();
                    format!(
                        "{sum}, but the prediction is {}",
                        all.predictions[row as usize * k + output]
                    )
                });
                let at: Vec<_> = at.collect();
                Err(Error::undefined(
                    format!("attribution of row {row}"),
                    format!("base + Σφ = {}", at.join("; ")),
                ))
            }
            _ => Ok(all),
        }
    }

    fn measure(&mut self, scale: f64) {
        let (n, k) = (self.features.len(), self.outputs.len());
        let (mut worst, mut at) = (-1.0, None);
        for (i, &prediction) in self.predictions.iter().enumerate() {
            let base = self.base_values[i % k];
            let (mut sum, mut size) = (base, base.abs() + scale);
            for phi in &self.values[i * n..(i + 1) * n] {
                sum += phi;
                size += phi.abs();
            }
            let off = (sum - prediction).abs();
            let error = if off == 0.0 { 0.0 } else { off / size };
            // What is no number adds up to nothing.
            let error = if error.is_nan() { f64::INFINITY } else { error };
            if error > worst {
                (worst, at) = (error, Some((i / k) as u64));
            }
        }
        self.additivity.worst = worst.max(0.0);
        self.additivity.row = at;
    }

    /// The same with the standard errors of φ, of its shape.
    ///
    /// # Errors
    /// [`Error::Length`] for another shape.
    pub fn with_standard_errors(mut self, standard_errors: Vec<f64>) -> Result<Self> {
        if standard_errors.len() != self.values.len() {
            return Err(Error::Length {
                left: "the attributions".into(),
                left_len: self.values.len(),
                right: "their standard errors".into(),
                right_len: standard_errors.len(),
            });
        }
        self.standard_errors = Some(standard_errors);
        Ok(self)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.predictions.len() / self.outputs.len().max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.predictions.is_empty()
    }

    /// What each feature added in one row, in the order of the features; of several outputs one
    /// after the other.
    pub fn row(&self, row: usize) -> Option<&[f64]> {
        let n = self.features.len() * self.outputs.len();
        if row >= self.len() {
            return None;
        }
        self.values.get(row * n..(row + 1) * n)
    }

    /// What each feature added to one output of a row, in the order of the features.
    pub fn of(&self, row: usize, output: usize) -> Option<&[f64]> {
        if output >= self.outputs.len() {
            return None;
        }
        let n = self.features.len();
        self.row(row)?.get(output * n..(output + 1) * n)
    }

    /// The prediction of one output of a row.
    pub fn prediction(&self, row: usize, output: usize) -> Option<f64> {
        let k = self.outputs.len();
        if output < k { self.predictions.get(row * k + output).copied() } else { None }
    }

    /// The attributions of one output alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an output that is not there.
    pub fn output(&self, name: &str) -> Result<Self> {
        let at = self.outputs.iter().position(|o| o == name).ok_or_else(|| {
            Error::invalid("output", format!("one of: {}", self.outputs.join(", ")), name)
        })?;
        let (n, k) = (self.features.len(), self.outputs.len());
        let pick = |values: &[f64]| -> Vec<f64> {
            if n == 0 {
                return Vec::new();
            }
            values.chunks_exact(n).skip(at).step_by(k).flatten().copied().collect()
        };
        Ok(Self {
            features: self.features.clone(),
            outputs: vec![name.to_owned()],
            space: self.space,
            base_values: vec![self.base_values[at]],
            values: pick(&self.values),
            predictions: self.predictions.iter().skip(at).step_by(k).copied().collect(),
            standard_errors: self.standard_errors.as_deref().map(pick),
            additivity: self.additivity,
        })
    }

    /// The same attributions with features put together, each with the others of its name under
    /// `rename`: the columns of a one-hot encoding under the column that they encode.
    ///
    /// The sum of Shapley values is what the group added; it is not the Shapley value of a game
    /// whose players are the groups, but where terms are independent the two are one
    /// ([`MaskedModel::groups`](super::MaskedModel::groups) plays that game). Standard errors of sums
    /// are not known, and left out.
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
        let mut values = vec![0.0; self.predictions.len() * features.len()];
        if !features.is_empty() {
            let from = self.values.chunks_exact(self.features.len());
            for (into, from) in values.chunks_exact_mut(features.len()).zip(from) {
                for (value, &to) in from.iter().zip(&to) {
                    into[to] += value;
                }
            }
        }
        Self { features, values, standard_errors: None, ..self.clone() }
    }

    /// Mean |φ| and mean φ of every feature, the strongest first. The sums are reproducible, so
    /// the order of the rows does not matter.
    ///
    /// # Errors
    /// [`Error::Undefined`] for no rows; [`Error::Invalid`] for several outputs: choose one with
    /// [`output`](Self::output).
    pub fn importance(&self) -> Result<Vec<FeatureImportance>> {
        if self.outputs.len() != 1 {
            let found = self.outputs.len();
            return Err(Error::invalid("feature importance", "one output", found));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> AttributionParts {
        AttributionParts {
            features: vec!["a".into(), "b=1".into(), "b=2".into()],
            outputs: vec!["no".into(), "yes".into()],
            space: Space::Probability,
            base_values: vec![0.75, 0.25],
            values: vec![
                0.125, -0.25, 0.0, -0.125, 0.25, 0.0, //
                0.0, 0.0, 0.125, 0.0, 0.0, -0.125,
            ],
            predictions: vec![0.625, 0.375, 0.875, 0.125],
        }
    }

    #[test]
    fn outputs_and_groups_keep_their_places() {
        let all = Attributions::new(parts(), 0.0).unwrap();
        assert_eq!((all.len(), all.additivity.worst), (2, 0.0));
        assert_eq!(all.of(1, 1), Some(&[0.0, 0.0, -0.125][..]));
        assert_eq!(all.of(0, 2), None);
        assert_eq!(all.row(2), None);
        let yes = all.output("yes").unwrap();
        assert_eq!(yes.values, [-0.125, 0.25, 0.0, 0.0, 0.0, -0.125]);
        assert_eq!(yes.predictions, [0.375, 0.125]);
        assert_eq!(yes.importance().unwrap()[0].mean_absolute, 0.125);
        assert!(all.importance().is_err() && all.output("maybe").is_err());
        let raw = all.grouped(|name| name.split('=').next().unwrap_or(name).to_owned());
        assert_eq!(raw.features, ["a", "b"]);
        assert_eq!(raw.of(0, 1), Some(&[-0.125, 0.25][..]));
    }

    #[test]
    fn what_does_not_add_up_is_an_error_with_its_row() {
        let mut wrong = parts();
        wrong.predictions[2] = 0.5;
        let error = Attributions::new(wrong.clone(), 1e-5).unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains("0.875"), "{error}");
        let only_measured = Attributions::new(wrong.clone(), None).unwrap();
        assert_eq!(only_measured.additivity.worst, 0.375 / 0.875);
        assert_eq!(only_measured.additivity.row, Some(1));
        for bad in [f64::NAN, f64::INFINITY] {
            wrong.predictions[2] = bad;
            assert!(Attributions::new(wrong.clone(), 1e-5).is_err());
        }
        let mut short = parts();
        short.values.pop();
        assert!(Attributions::new(short, None).is_err());
        let mut twice = parts();
        twice.features[2] = "a".into();
        assert!(Attributions::new(twice, None).is_err());
    }

    #[test]
    fn nothing_is_something() {
        let none = Attributions::new(
            AttributionParts { values: vec![], predictions: vec![], ..parts() },
            1e-11,
        )
        .unwrap();
        assert!(none.is_empty() && none.row(0).is_none() && none.additivity.row.is_none());
        let constant = AttributionParts {
            features: vec![],
            outputs: vec!["y".into()],
            base_values: vec![2.0],
            values: vec![],
            predictions: vec![2.0, 2.0],
            ..parts()
        };
        let constant = Attributions::new(constant, 1e-11).unwrap();
        assert_eq!((constant.len(), constant.row(1)), (2, Some(&[][..])));
        assert_eq!(constant.output("y").unwrap().len(), 2);
    }
}
