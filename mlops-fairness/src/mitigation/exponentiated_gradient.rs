//! Fair classification by reduction to weighted classification.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use mlops_core::model::Predictions;
use mlops_core::stats::Draws;
use mlops_core::{Error, Model, Result, Rows};
use serde::{Deserialize, Serialize};

use super::constraint::{Constraint, Moments};
use super::fit::{Constant, Fit, Training};
use super::groups::RowGroups;
use super::labels::labels;
use super::linear_program::saddle;
use super::row_key::RowKeys;

/// How far a group's mean may be from that of everyone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bound {
    /// At most so far; twice as far apart may two groups be.
    Difference(f64),
    /// Their ratio, whichever is the larger, at least so much, and a slack.
    Ratio {
        /// The least ratio, in (0, 1].
        ratio: f64,
        /// How far it may be missed.
        slack: f64,
    },
}

impl Bound {
    /// The ratio and the slack.
    pub(super) fn check(self) -> Result<(f64, f64)> {
        let (ratio, slack) = match self {
            Self::Difference(bound) => (1.0, bound),
            Self::Ratio { ratio, slack } => (ratio, slack),
        };
        if !(ratio > 0.0 && ratio <= 1.0) {
            return Err(Error::invalid("a bound of ratios", "a number in (0, 1]", ratio));
        }
        if !(slack >= 0.0 && slack.is_finite()) {
            return Err(Error::invalid("a bound of differences", "a number from 0", slack));
        }
        Ok((ratio, slack))
    }
}

/// Where numbers count as equal.
const PRECISION: f64 = 1e-8;

/// Trains a mixture of models that is as accurate as a parity allows.
///
/// Agarwal, Beygelzimer, Dudík, Langford and Wallach 2018 (<https://arxiv.org/abs/1803.02453>): a
/// game of a learner, which is trained on rows weighted and relabelled by multipliers, and of the
/// multipliers, which grow exponentially where the constraint is broken. After each turn a linear
/// program finds the best mixture of all models so far, and the duality gap says how near it is.
/// fairlearn: `ExponentiatedGradient`.
///
/// Any learner that takes weights will do: a closure, or [`LogisticFit`](super::LogisticFit). The
/// learner must give the same model for the same rows; then so does this.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, Int32Array, StringArray};
/// use mlops_core::{Model, batch};
/// use mlops_fairness::mitigation::{Constraint, ExponentiatedGradient, LogisticFit};
///
/// let rows = batch! {
///     "sex" => StringArray::from_iter_values((0..600).map(|i| ["F", "M"][i % 2])),
///     "skill" => Float64Array::from_iter_values((0..600).map(|i| f64::from(i / 2 % 10))),
///     "luck" => Float64Array::from_iter_values((0..600).map(|i| f64::from(i * 7 % 5 + i % 2 * 4))),
///     "hired" => Int32Array::from_iter_values(
///         (0..600).map(|i| i32::from(i / 2 % 10 + 2 * (i % 2) + i * 7 % 3 > 6)),
///     ),
/// }?;
/// let fair = ExponentiatedGradient::new(Constraint::DemographicParity, ["sex"])
///     .fit(&LogisticFit::new(["skill", "luck"]), &rows, "hired", "1")?;
/// assert!(fair.violation < 0.05 && fair.gap < 0.05);
/// assert_eq!(fair.predict(&rows)?.len(), 600);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExponentiatedGradient {
    /// What is held equal.
    pub constraint: Constraint,
    /// The columns whose values make the groups.
    pub sensitive_features: Vec<String>,
    /// How nearly; 0.01 apart from everyone unless told otherwise.
    pub bound: Bound,
    /// 1/ε bounds the sum of the multipliers; 0.01.
    pub epsilon: f64,
    /// The most turns; 50.
    pub max_iterations: u32,
    /// The duality gap that ends it; by default half a standard error of the first model's error.
    pub gap: Option<f64>,
    /// The first learning rate, times 1/ε; 2.
    pub eta: f64,
    /// The seed that decisions of the mixture are drawn with.
    pub seed: u64,
}

impl ExponentiatedGradient {
    /// For this constraint between groups of these features.
    pub fn new<S: Into<String>>(
        constraint: Constraint,
        sensitive_features: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            constraint,
            sensitive_features: sensitive_features.into_iter().map(Into::into).collect(),
            bound: Bound::Difference(0.01),
            epsilon: 0.01,
            max_iterations: 50,
            gap: None,
            eta: 2.0,
            seed: 0,
        }
    }

    /// The same with this bound.
    #[must_use]
    pub fn bound(mut self, bound: Bound) -> Self {
        self.bound = bound;
        self
    }

    /// The same with at most so many turns.
    #[must_use]
    pub fn max_iterations(mut self, turns: u32) -> Self {
        self.max_iterations = turns;
        self
    }

    /// The same, ended by this duality gap.
    #[must_use]
    pub fn gap(mut self, gap: f64) -> Self {
        self.gap = Some(gap);
        self
    }

    /// The same, drawing decisions under this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trains on these rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options out of range, a third label, or a learner whose models do
    /// not predict every row; [`Error::Undefined`] without rows that the constraint is about, or
    /// with one label only; [`Error::Value`] for a label that is missing; those of the learner.
    pub fn fit(
        &self,
        learner: &dyn Fit,
        rows: &RecordBatch,
        y_true: &str,
        positive: &str,
    ) -> Result<FairMixture> {
        let in_range = |x: f64| x > 0.0 && x.is_finite();
        if !in_range(self.epsilon) || !in_range(self.eta) || self.max_iterations == 0 {
            let found = format!(
                "epsilon {}, eta {} and {} iterations",
                self.epsilon, self.eta, self.max_iterations
            );
            return Err(Error::invalid("exponentiated gradient", "positive numbers", found));
        }
        let view = Rows::new(rows);
        let (labels, negative) = labels(&view, y_true, positive)?;
        let labels: Vec<bool> = labels
            .into_iter()
            .enumerate()
            .map(|(row, label)| {
                label.ok_or_else(|| Error::Value {
                    column: y_true.to_owned(),
                    row: row as u64,
                    expected: "a label".into(),
                    found: "none".into(),
                })
            })
            .collect::<Result<_>>()?;
        let Some(negative) = negative else {
            return Err(Error::undefined("a fair classifier", "there are no negative labels"));
        };
        if !labels.contains(&true) {
            return Err(Error::undefined("a fair classifier", "there are no positive labels"));
        }
        let groups = RowGroups::of(&view, &self.sensitive_features)?;
        let moments =
            Moments::new(self.constraint, &labels, (&groups.of_row, &groups.groups), self.bound)?;
        let game = Game {
            learner,
            rows,
            labels: &labels,
            names: (&negative, positive),
            moments,
            most: 1.0 / self.epsilon,
            models: Vec::new(),
            oracle_calls: 0,
        };
        self.play(game)
    }

    fn play(&self, mut game: Game<'_>) -> Result<FairMixture> {
        let (most, n) = (game.most, game.moments.len());
        let mut theta = vec![0.0_f64; n];
        let mut multipliers = vec![0.0; n];
        let mut counts: Vec<f64> = Vec::new();
        let mut eta = self.eta / most;
        let mut end = self.gap.unwrap_or(0.0);
        let (mut last_check, mut last_gap, mut best_gradient) = (5.0, f64::INFINITY, f64::INFINITY);
        let mut best: Option<(f64, Vec<f64>, u32)> = None;
        let mut solved: Option<(usize, Vec<f64>, Vec<f64>, f64)> = None;
        let mut turns = 0;
        for turn in 0..self.max_iterations {
            turns = turn + 1;
            let lambda = soft(&theta, most);
            multipliers.iter_mut().zip(&lambda).for_each(|(sum, l)| *sum += l);
            let mean: Vec<f64> = multipliers.iter().map(|sum| sum / f64::from(turn + 1)).collect();
            let chosen = game.best_response(&lambda)?;
            if turn == 0 && self.gap.is_none() {
                end = 0.5 * game.standard_error(chosen);
            }
            counts.resize(game.models.len().max(counts.len()), 0.0);
            counts[chosen] += 1.0;
            let gamma = game.models[chosen].gamma.clone();
            let all: f64 = counts.iter().sum();
            let gradient: Vec<f64> = counts.iter().map(|c| c / all).collect();
            let gradient_gap = game.gap(&gradient, &mean, end)?;
            best_gradient = best_gradient.min(gradient_gap);
            let mut found = (gradient_gap, gradient);
            if turn > 0 {
                // The program is the same while there are no new models.
                let fresh = solved.as_ref().is_none_or(|(models, ..)| *models != game.models.len());
                if fresh {
                    let models = game.models.len();
                    let (weights, lambda) = game.saddle();
                    let gap = game.gap(&weights, &lambda, end)?;
                    solved = Some((models, weights, lambda, gap));
                }
                if let Some((_, weights, _, gap)) = &solved
                    && *gap <= found.0
                {
                    found = (*gap, weights.clone());
                }
            }
            let (gap, weights) = found;
            // Of equally good mixtures the last.
            if best.as_ref().is_none_or(|(least, ..)| gap <= least + PRECISION) {
                let least = best.as_ref().map_or(gap, |(least, ..)| least.min(gap));
                best = Some((least, weights, turn));
            }
            if gap < end && turn >= 5 {
                break;
            }
            if f64::from(turn) >= last_check * 1.6 {
                if best_gradient > last_gap * 0.8 {
                    eta *= 0.8;
                }
                last_check = f64::from(turn);
                last_gap = best_gradient;
            }
            for (theta, gamma) in theta.iter_mut().zip(&gamma) {
                *theta += eta * (gamma - game.moments.bound());
            }
        }
        let (gap, weights, _) = best.unwrap_or((f64::INFINITY, vec![1.0], 0));
        game.mixture(self, weights, gap, turns)
    }
}

/// The multipliers of these exponents: their sum and a 1 beside them is `most`.
fn soft(theta: &[f64], most: f64) -> Vec<f64> {
    // The largest exponent is taken out, so that none overflows.
    let top = theta.iter().copied().fold(0.0, f64::max);
    let sum: f64 = (-top).exp() + theta.iter().map(|t| (t - top).exp()).sum::<f64>();
    theta.iter().map(|t| most * (t - top).exp() / sum).collect()
}

/// A model of the game, and what it does on the rows.
struct Played {
    model: Arc<dyn Model>,
    error: f64,
    gamma: Vec<f64>,
    wrong: u64,
}

struct Game<'a> {
    learner: &'a dyn Fit,
    rows: &'a RecordBatch,
    labels: &'a [bool],
    names: (&'a str, &'a str),
    moments: Moments,
    most: f64,
    models: Vec<Played>,
    oracle_calls: u32,
}

impl Game<'_> {
    /// The model that is best under these multipliers; a new one is kept where it is better than
    /// all before.
    fn best_response(&mut self, lambda: &[f64]) -> Result<usize> {
        let played = self.train(lambda)?;
        let value = |played: &Played| played.error + dot(&played.gamma, lambda);
        let mut best: Option<(usize, f64)> = None;
        for (at, model) in self.models.iter().enumerate() {
            let value = value(model);
            if best.is_none_or(|(_, least)| value < least) {
                best = Some((at, value));
            }
        }
        match best {
            Some((at, least)) if value(&played) >= least - PRECISION => Ok(at),
            _ => {
                self.models.push(played);
                Ok(self.models.len() - 1)
            }
        }
    }

    fn train(&mut self, lambda: &[f64]) -> Result<Played> {
        let mut weights = self.moments.signed_weights(lambda);
        for (weight, &label) in weights.iter_mut().zip(self.labels) {
            *weight += if label { 1.0 } else { -1.0 };
        }
        let labels: Vec<bool> = weights.iter().map(|&w| w > 0.0).collect();
        let sum: f64 = weights.iter().map(|w| w.abs()).sum();
        let scale = if sum > 0.0 { weights.len() as f64 / sum } else { 0.0 };
        for weight in &mut weights {
            *weight = weight.abs() * scale;
        }
        let (negative, positive) = self.names;
        let one = labels.first().copied().filter(|&first| labels.iter().all(|&l| l == first));
        let model: Arc<dyn Model> = if let Some(label) = one {
            // No learner needs to be asked what to make of one label.
            Arc::new(Constant::new(negative, positive, label))
        } else {
            self.oracle_calls += 1;
            self.learner.fit(&Training {
                rows: self.rows,
                labels: &labels,
                weights: &weights,
                negative,
                positive,
            })?
        };
        let decided = decisions(&*model, self.rows, positive)?;
        let decided: Vec<bool> = decided
            .iter()
            .map(|d| {
                d.ok_or_else(|| {
                    Error::invalid("a model of the reduction", "a decision for every row", "null")
                })
            })
            .collect::<Result<_>>()?;
        let wrong = decided.iter().zip(self.labels).filter(|(d, y)| d != y).count();
        Ok(Played {
            error: wrong as f64 / self.labels.len() as f64,
            gamma: self.moments.gamma(&decided),
            wrong: wrong as u64,
            model,
        })
    }

    /// The standard error of a model's error.
    fn standard_error(&self, model: usize) -> f64 {
        let (n, wrong) = (self.labels.len() as f64, self.models[model].wrong as f64);
        let p = wrong / n;
        (p * (1.0 - p) / (n - 1.0).max(1.0)).sqrt()
    }

    /// How far a mixture and multipliers are from the saddle point.
    fn gap(&mut self, weights: &[f64], lambda: &[f64], end: f64) -> Result<f64> {
        let models = self.models.iter().zip(weights);
        let error: f64 = models.clone().map(|(model, w)| model.error * w).sum();
        let mut gamma = vec![0.0; self.moments.len()];
        for (model, w) in models {
            gamma.iter_mut().zip(&model.gamma).for_each(|(sum, g)| *sum += w * g);
        }
        let bound = self.moments.bound();
        let projected = self.moments.project(lambda);
        let lagrangian = |error: f64, gamma: &[f64]| -> f64 {
            error + gamma.iter().zip(&projected).map(|(g, l)| l * (g - bound)).sum::<f64>()
        };
        let value = lagrangian(error, &gamma);
        let worst = gamma.iter().map(|g| g - bound).fold(f64::NEG_INFINITY, f64::max);
        let high = error + self.most * worst.max(0.0);
        let mut low = value;
        for times in [1.0, 2.0, 5.0, 10.0] {
            let scaled: Vec<f64> = lambda.iter().map(|l| times * l).collect();
            let at = self.best_response(&scaled)?;
            let model = &self.models[at];
            low = low.min(lagrangian(model.error, &model.gamma));
            if (value - low).max(high - value) > end + PRECISION {
                break;
            }
        }
        Ok((value - low).max(high - value))
    }

    fn saddle(&self) -> (Vec<f64>, Vec<f64>) {
        let errors: Vec<f64> = self.models.iter().map(|model| model.error).collect();
        let bound = self.moments.bound();
        let rows: Vec<Vec<f64>> = (0..self.moments.len())
            .map(|j| self.models.iter().map(|model| model.gamma[j] - bound).collect())
            .collect();
        let found = saddle(&errors, &rows, self.most);
        (found.weights, found.multipliers)
    }

    fn mixture(
        self,
        how: &ExponentiatedGradient,
        weights: Vec<f64>,
        gap: f64,
        iterations: u32,
    ) -> Result<FairMixture> {
        let mut gamma = vec![0.0; self.moments.len()];
        let mut error = 0.0;
        for (model, w) in self.models.iter().zip(&weights) {
            error += w * model.error;
            gamma.iter_mut().zip(&model.gamma).for_each(|(sum, g)| *sum += w * g);
        }
        let (negative, positive) = self.names;
        let trained = self.models.len();
        let parts: Vec<(f64, Arc<dyn Model>)> = weights
            .into_iter()
            .zip(self.models)
            .filter(|(w, _)| *w > 0.0)
            .map(|(w, played)| (w, played.model))
            .collect();
        // Models of one learner read the same columns; a constant reads none.
        let schema = parts
            .iter()
            .map(|(_, model)| model.input_schema())
            .max_by_key(|schema| schema.fields().len())
            .ok_or_else(|| Error::undefined("a mixture of models", "there are none"))?;
        Ok(FairMixture {
            parts,
            schema,
            negative: negative.to_owned(),
            positive: positive.to_owned(),
            seed: how.seed,
            error,
            violation: gamma.into_iter().fold(0.0, f64::max),
            gap,
            iterations,
            trained,
            oracle_calls: self.oracle_calls,
        })
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What a model decides of each row: whether its label is the positive one.
fn decisions(model: &dyn Model, rows: &RecordBatch, positive: &str) -> Result<Vec<Option<bool>>> {
    let labels = model.predict(rows)?.labels()?;
    if labels.len() != rows.num_rows() {
        let expected = rows.num_rows().to_string();
        return Err(Error::invalid("predictions of a model", expected, labels.len()));
    }
    Ok(labels.iter().map(|label| label.map(|label| label == positive)).collect())
}

/// A mixture of models: each row is decided by one of them, drawn by its weight.
///
/// The draw depends on the seed and on the values of the columns that the models read: equal rows
/// are decided alike. [`probability`](Self::probability) is before the draw.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FairMixture {
    parts: Vec<(f64, Arc<dyn Model>)>,
    schema: SchemaRef,
    negative: String,
    positive: String,
    seed: u64,
    /// The expected share of wrong decisions on the rows of the fit.
    pub error: f64,
    /// By how much the worst group is away from everyone, there.
    pub violation: f64,
    /// The duality gap: the error is at most twice this above the best under the constraint.
    pub gap: f64,
    /// How many turns were played.
    pub iterations: u32,
    /// How many different models were found.
    pub trained: usize,
    /// How often the learner was asked.
    pub oracle_calls: u32,
}

impl FairMixture {
    /// The models with their weights, which sum to 1.
    pub fn parts(&self) -> &[(f64, Arc<dyn Model>)] {
        &self.parts
    }

    /// The probability of a positive decision for each row; null where a model says nothing.
    ///
    /// # Errors
    /// Those of the models.
    pub fn probability(&self, batch: &RecordBatch) -> Result<Float64Array> {
        let mut sums = vec![Some(0.0); batch.num_rows()];
        for (weight, model) in &self.parts {
            let decided = decisions(&**model, batch, &self.positive)?;
            for (sum, decided) in sums.iter_mut().zip(decided) {
                *sum = match (*sum, decided) {
                    (Some(sum), Some(yes)) => Some(sum + if yes { *weight } else { 0.0 }),
                    _ => None,
                };
            }
        }
        // Weights that sum to 1 but for rounding.
        Ok(sums.into_iter().map(|p| p.map(|p| if p > 1.0 - 1e-12 { 1.0 } else { p })).collect())
    }
}

impl Model for FairMixture {
    fn input_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let probability = self.probability(batch)?;
        let columns: Vec<String> =
            self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let keys = RowKeys::of(batch, &columns)?;
        let decided: Float64Array = probability
            .iter()
            .enumerate()
            .map(|(row, p)| {
                p.map(|p| match p {
                    p if p <= 0.0 => 0.0,
                    p if p >= 1.0 => 1.0,
                    p => f64::from(u8::from(Draws::new(self.seed, 1, keys.key(row)).bernoulli(p))),
                })
            })
            .collect();
        Ok(Predictions::binary(&self.negative, &self.positive, &decided))
    }
}

impl fmt::Display for FairMixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} models of {} trained, error {:.4}, violation {:.4}, gap {:.4} after {} turns",
            self.parts.len(),
            self.trained,
            self.error,
            self.violation,
            self.gap,
            self.iterations
        )
    }
}
