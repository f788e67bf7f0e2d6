//! Shapley values of any model from random orders of the features.

use mlops_core::stats::Draws;
use mlops_core::{Error, Result};

use super::MaskedModel;
use super::explainer::plays_games;
use super::masked_model::{Game, Played, Plays};

/// Shapley values of any model from random orders: the mean of what each feature adds where it
/// comes in an order, over orders that are walked forwards and backwards (antithetic).
///
/// Each pair of walks adds up to the prediction exactly, so the attributions do. A pair takes
/// `2 (M − 1) · n_background` predictions. Draws are keyed by seed, row values and number of the
/// permutation, so that batches, threads and the order of rows change nothing.
/// [`standard_errors`](super::Attributions::standard_errors) are of the mean over pairs; with
/// [`until`](Self::until) pairs are drawn until all are small enough.
///
/// Castro, Gómez & Tejada 2009, doi:10.1016/j.cor.2008.04.004; Mitchell et al. 2022,
/// arXiv:2104.12199. shap: `PermutationExplainer`, whose `max_evals=500` are `500 / (2M + 1)` pairs.
#[derive(Clone, Debug)]
pub struct PermutationExplainer {
    model: MaskedModel,
    seed: u64,
    permutations: u32,
    at_most: u32,
    target: Option<f64>,
}

/// The fewest pairs from which an error is believed.
const FEWEST: u32 = 10;

impl PermutationExplainer {
    /// Ten pairs of walks under the seed 0.
    pub fn new(model: MaskedModel) -> Self {
        Self { model, seed: 0, permutations: 10, at_most: 10, target: None }
    }

    /// The same with other draws.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with so many pairs of walks.
    #[must_use]
    pub fn permutations(mut self, pairs: u32) -> Self {
        (self.permutations, self.at_most, self.target) = (pairs, pairs, None);
        self
    }

    /// The same, with more pairs for a row until every standard error is at most this, in units of
    /// the prediction, or there are `at_most` pairs. The pairs given before are the fewest, at
    /// least 10: fewer may agree by chance and so look sure of themselves.
    #[must_use]
    pub fn until(mut self, standard_error: f64, at_most: u32) -> Self {
        (self.target, self.at_most) = (Some(standard_error), at_most);
        self
    }
}

impl Plays for PermutationExplainer {
    fn check(&self) -> Result<()> {
        if self.permutations == 0 {
            return Err(Error::invalid("pairs of permutations", "at least 1", 0));
        }
        match self.target {
            Some(target) if target <= 0.0 || target.is_nan() => {
                Err(Error::invalid("standard error to stop at", "a positive number", target))
            }
            Some(_) if self.at_most < self.permutations.max(FEWEST) => {
                let expected = format!("at least {}", self.permutations.max(FEWEST));
                Err(Error::invalid("most pairs of permutations", expected, self.at_most))
            }
            _ => Ok(()),
        }
    }

    fn play(&self, game: &Game<'_>) -> Result<Played> {
        let (m, k) = (game.players(), game.outputs());
        let mut mean = RunningMean::new(k * m);
        if m < 2 {
            mean.add(&between(game.base(), game.full())[..k * m]);
            return Ok(mean.played(true));
        }
        let least =
            if self.target.is_some() { self.permutations.max(FEWEST) } else { self.permutations };
        for pair in 0..self.at_most.max(least) {
            if pair >= least && self.target.is_none_or(|target| mean.largest_error() <= target) {
                break;
            }
            let order = Draws::new(self.seed, pair, game.key()).permutation(m);
            let mut masks = Vec::with_capacity(2 * (m - 1) * m);
            walk_masks(&order, &mut masks);
            mean.add(&walk(&order, game.base(), &game.values(&masks)?, game.full()));
        }
        // Two players stand in both orders in every pair: nothing is left to chance.
        Ok(mean.played(m == 2))
    }
}

plays_games!(PermutationExplainer);

/// The differences of one player from nothing to all.
fn between(base: &[f64], full: &[f64]) -> Vec<f64> {
    full.iter().zip(base).map(|(f, b)| f - b).collect()
}

/// The masks of an order's inner coalitions, forwards and then backwards, shape
/// `(2 (m − 1), m)`.
pub(super) fn walk_masks(order: &[usize], masks: &mut Vec<bool>) {
    let m = order.len();
    let mut walk = |order: &mut dyn Iterator<Item = &usize>| {
        let mut mask = vec![false; m];
        for &player in order.take(m - 1) {
            mask[player] = true;
            masks.extend_from_slice(&mask);
        }
    };
    walk(&mut order.iter());
    walk(&mut order.iter().rev());
}

/// What each player adds, the mean of both walks, from the values of [`walk_masks`]; shape
/// `(n_outputs, m)`.
pub(super) fn walk(order: &[usize], base: &[f64], values: &[f64], full: &[f64]) -> Vec<f64> {
    let (m, k) = (order.len(), base.len());
    let mut phi = vec![0.0; k * m];
    let (forwards, backwards) = values.split_at((m - 1) * k);
    for output in 0..k {
        let mut one_way = |values: &[f64], order: &mut dyn Iterator<Item = &usize>| {
            let mut before = base[output];
            for (step, &player) in order.enumerate() {
                let after = if step + 1 == m { full[output] } else { values[step * k + output] };
                phi[output * m + player] += 0.5 * (after - before);
                before = after;
            }
        };
        one_way(forwards, &mut order.iter());
        one_way(backwards, &mut order.iter().rev());
    }
    phi
}

/// A mean and its standard error, taken in order (Welford 1962, doi:10.2307/1266577).
#[derive(Debug)]
pub(super) struct RunningMean {
    n: u32,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl RunningMean {
    pub(super) fn new(width: usize) -> Self {
        Self { n: 0, mean: vec![0.0; width], squares: vec![0.0; width] }
    }

    pub(super) fn add(&mut self, values: &[f64]) {
        self.n += 1;
        let n = f64::from(self.n);
        for ((x, mean), squares) in values.iter().zip(&mut self.mean).zip(&mut self.squares) {
            let off = x - *mean;
            *mean += off / n;
            *squares += off * (x - *mean);
        }
    }

    fn error(&self, squares: f64) -> f64 {
        let n = f64::from(self.n);
        (squares / (n * (n - 1.0))).sqrt()
    }

    pub(super) fn largest_error(&self) -> f64 {
        if self.n < 2 {
            return f64::INFINITY;
        }
        self.squares.iter().map(|s| self.error(*s)).fold(0.0, f64::max)
    }

    /// The means; standard errors from two on, or 0 where nothing was left to chance.
    pub(super) fn played(self, is_exact: bool) -> Played {
        let standard_errors = if is_exact {
            Some(vec![0.0; self.mean.len()])
        } else if self.n < 2 {
            Some(vec![f64::NAN; self.mean.len()])
        } else {
            Some(self.squares.iter().map(|s| self.error(*s)).collect())
        };
        Played { phi: self.mean, standard_errors }
    }
}
