//! Permutation feature importance: how much a score suffers where a feature says nothing.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use mlops_core::stats::Draws;
use mlops_core::{Error, Model, Predictions, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Watch;

/// How a model's score suffers when the values of a feature are dealt out anew among the rows.
///
/// Breiman 2001, doi:10.1023/A:1010933404324; scikit-learn: `permutation_importance`. The score is a
/// closure over predictions that knows the labels; larger is better. Draws are keyed by seed, feature
/// and repeat. It tells what the model leans on for this score, not what moved a prediction; a
/// feature whose copy the model also reads seems to matter less than it does.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{Result, batch, model::LinearModel};
/// use mlops_fairness::attribution::PermutationImportance;
///
/// let rows = batch! {
///     "a" => Float64Array::from_iter_values((0..100).map(f64::from)),
///     "b" => Float64Array::from_iter_values((0..100).map(|i| f64::from(i % 7))),
/// }?;
/// let model = LinearModel::regression(["a", "b"], [1.0, 0.0], 0.0)?;
/// // Minus the mean squared error against the labels 0, 1, 2, …
/// let found = PermutationImportance::new(10, 7).measure(&model, &rows, |predictions| {
///     let y = predictions.as_values()?.values();
///     let squares: f64 = y.iter().enumerate().map(|(i, y)| (y - i as f64).powi(2)).sum();
///     Ok(-squares / y.len() as f64)
/// })?;
/// assert_eq!(found.score, 0.0);
/// assert!(found.features[0].feature == "a" && found.features[0].mean > 1000.0);
/// assert_eq!((found.features[1].mean, found.features[1].standard_error), (0.0, 0.0));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermutationImportance {
    repeats: u32,
    seed: u64,
    groups: Option<Vec<(String, Vec<String>)>>,
}

/// What [`PermutationImportance`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PermutationImportances {
    /// The score of the rows as they are.
    pub score: f64,
    /// The features, the most important first.
    pub features: Vec<ScoreLoss>,
}

/// What a feature is worth to a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScoreLoss {
    /// The feature, or group of features.
    pub feature: String,
    /// The mean of what the score lost.
    pub mean: f64,
    /// Its standard error over the repeats.
    pub standard_error: f64,
    /// What it lost in each repeat.
    pub losses: Vec<f64>,
}

impl PermutationImportance {
    /// So many repeats (at least 2) for each feature, under this seed.
    pub fn new(repeats: u32, seed: u64) -> Self {
        Self { repeats, seed, groups: None }
    }

    /// The same for groups of columns that are dealt out together, each under a name.
    #[must_use]
    pub fn groups<N: Into<String>, C: Into<String>>(
        mut self,
        groups: impl IntoIterator<Item = (N, Vec<C>)>,
    ) -> Self {
        let groups = groups
            .into_iter()
            .map(|(name, columns)| (name.into(), columns.into_iter().map(Into::into).collect()));
        self.groups = Some(groups.collect());
        self
    }

    /// Measures the model on these rows.
    ///
    /// # Errors
    /// As [`measure_with`](Self::measure_with).
    pub fn measure(
        &self,
        model: &dyn Model,
        batch: &RecordBatch,
        score: impl Fn(&Predictions) -> Result<f64> + Sync,
    ) -> Result<PermutationImportances> {
        self.measure_with(model, batch, score, Watch::new())
    }

    /// The same, watched; progress counts calls of the model.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than 2 repeats; [`Error::Undefined`] for no rows or a score that
    /// is not finite; those of the model and of the score.
    pub fn measure_with(
        &self,
        model: &dyn Model,
        batch: &RecordBatch,
        score: impl Fn(&Predictions) -> Result<f64> + Sync,
        watch: Watch<'_>,
    ) -> Result<PermutationImportances> {
        if self.repeats < 2 {
            return Err(Error::invalid("repeats", "at least 2", self.repeats));
        }
        if batch.num_rows() == 0 {
            return Err(Error::undefined("permutation importance", "there are no rows"));
        }
        let names =
            || model.input_schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        let groups = self.groups.clone().unwrap_or_else(|| {
            names().into_iter().map(|name| (name.clone(), vec![name])).collect()
        });
        let mut places = Vec::with_capacity(groups.len());
        for (_, columns) in &groups {
            let mut at = Vec::with_capacity(columns.len());
            for column in columns {
                mlops_core::column(batch, column)?;
                at.push(batch.schema_ref().index_of(column)?);
            }
            places.push(at);
        }
        let scored = |batch: &RecordBatch| -> Result<f64> {
            let score = score(&model.predict(batch)?)?;
            if score.is_finite() {
                Ok(score)
            } else {
                Err(Error::undefined("score", format!("it is {score}")))
            }
        };
        let whole = scored(batch)?;
        let repeats = self.repeats as usize;
        let steps = watch.steps(groups.len() * repeats);
        watch.check()?;
        let losses: Vec<f64> = (0..groups.len() * repeats)
            .into_par_iter()
            .map(|task| {
                let (group, repeat) = (task / repeats, task % repeats);
                let mut draws = Draws::new(self.seed, group as u32, repeat as u64);
                let order = draws.permutation(batch.num_rows());
                let order = UInt32Array::from_iter_values(order.into_iter().map(|i| i as u32));
                let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
                for &at in &places[group] {
                    columns[at] = take(&columns[at], &order, None)?;
                }
                let dealt = RecordBatch::try_new(Arc::clone(batch.schema_ref()), columns)?;
                let loss = whole - scored(&dealt)?;
                steps.done(1)?;
                Ok(loss)
            })
            .collect::<Result<_>>()?;
        let mut features: Vec<_> = groups
            .into_iter()
            .zip(losses.chunks_exact(repeats))
            .map(|((feature, _), losses)| {
                let n = repeats as f64;
                let mean = losses.iter().sum::<f64>() / n;
                let squares: f64 = losses.iter().map(|x| (x - mean).powi(2)).sum();
                let standard_error = (squares / (n * (n - 1.0))).sqrt();
                ScoreLoss { feature, mean, standard_error, losses: losses.to_vec() }
            })
            .collect();
        features.sort_by(|a, b| b.mean.total_cmp(&a.mean).then_with(|| a.feature.cmp(&b.feature)));
        Ok(PermutationImportances { score: whole, features })
    }
}

impl fmt::Display for PermutationImportances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "score {:.6}", self.score)?;
        for loss in &self.features {
            write!(f, "\n  {:>12.6} ± {:.6}  {}", loss.mean, loss.standard_error, loss.feature)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};
    use mlops_core::batch;
    use mlops_core::model::{FnModel, LinearModel};

    use super::*;

    #[test]
    fn groups_move_together_and_text_is_dealt_too() {
        let rows = batch! {
            "a" => Float64Array::from_iter_values((0..60).map(f64::from)),
            "b" => Float64Array::from_iter_values((0..60).map(|i| -f64::from(i))),
            "city" => StringArray::from_iter_values((0..60).map(|i| ["Oslo", "Bergen"][i % 2])),
        }
        .unwrap();
        // The sum of a and b is 0 in every row: dealt out together it stays so, apart it does not.
        let model = LinearModel::regression(["a", "b"], [1.0, 1.0], 0.0).unwrap();
        let spread =
            |p: &Predictions| Ok(-p.as_values()?.values().iter().map(|x| x.abs()).sum::<f64>());
        let importance = PermutationImportance::new(3, 1);
        let apart = importance.measure(&model, &rows, spread).unwrap();
        assert!(apart.features.iter().all(|f| f.mean > 100.0 && f.standard_error > 0.0));
        let groups = importance.clone().groups([("both", vec!["a", "b"])]);
        let together = groups.measure(&model, &rows, spread).unwrap();
        assert_eq!(together.features[0].losses, [0.0; 3]);

        let oslo = FnModel::new("oslo", rows.project(&[2]).unwrap().schema(), |batch| {
            let city = arrow::array::AsArray::as_string::<i32>(batch.column(0));
            Ok(Predictions::values(
                city.iter()
                    .map(|c| Some(f64::from(u8::from(c == Some("Oslo")))))
                    .collect::<Float64Array>(),
            ))
        });
        let right = |p: &Predictions| {
            let y = p.as_values()?.values();
            Ok(y.iter().enumerate().filter(|(i, y)| **y == f64::from(u8::from(i % 2 == 0))).count()
                as f64)
        };
        let found = importance.measure(&oslo, &rows, right).unwrap();
        assert!(found.score == 60.0 && found.features[0].mean > 15.0, "{found}");
        // The same for any number of threads: a task has its own draws.
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| importance.measure(&oslo, &rows, right)).unwrap(), found);
    }

    #[test]
    fn what_has_no_score_is_an_error() {
        let rows = batch! { "a" => Float64Array::from(vec![1.0, 2.0]) }.unwrap();
        let model = LinearModel::regression(["a"], [1.0], 0.0).unwrap();
        let importance = PermutationImportance::new(2, 1);
        assert!(importance.measure(&model, &rows, |_| Ok(f64::NAN)).is_err());
        assert!(importance.measure(&model, &rows.slice(0, 0), |_| Ok(0.0)).is_err());
        assert!(PermutationImportance::new(1, 1).measure(&model, &rows, |_| Ok(0.0)).is_err());
        let unknown = importance.groups([("g", vec!["z"])]);
        assert!(unknown.measure(&model, &rows, |_| Ok(0.0)).is_err());
    }
}
