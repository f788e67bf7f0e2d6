//! Shapley values of any model from random orders, each against one row of the background.

use mlops_core::stats::Draws;
use mlops_core::{Error, Result};

use super::explainer::plays_games;
use super::masked_model::{Game, Played, Plays};
use super::permutation::{RunningMean, walk, walk_masks};
use super::{Attributions, MaskedModel};

/// Shapley values of any model from samples of an order *and* a row of the background: each pair of
/// walks (forwards and backwards) takes `2 (M − 1)` predictions, whatever the background's size.
///
/// Of an unweighted background, rows are taken without repetition until all were taken, and then
/// again: with a whole multiple of the background's rows the attributions add up to the prediction
/// exactly; else the sum is as near as the sampled rows' mean prediction is to that of all, and
/// [`additivity`](Attributions::additivity) only says how near. For as many predictions as the
/// [`PermutationExplainer`](super::PermutationExplainer) makes, this draws an order for every row of
/// the background and not one for all, and so errs less. Weighted rows are drawn by their weight.
///
/// Standard errors are of the mean over samples drawn independently; taking rows without
/// repetition, the true ones are smaller. Štrumbelj & Kononenko 2014,
/// doi:10.1007/s10115-013-0679-x; shap: `SamplingExplainer`, which moves φ to make them fit.
#[derive(Clone, Debug)]
pub struct SamplingExplainer {
    model: MaskedModel,
    seed: u64,
    samples: u32,
}

/// Predictions of one call, about.
const PART: usize = 1 << 14;

impl SamplingExplainer {
    /// 500 samples a row under the seed 0.
    pub fn new(model: MaskedModel) -> Self {
        Self { model, seed: 0, samples: 500 }
    }

    /// The same with other draws.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with so many samples, at least 2.
    #[must_use]
    pub fn samples(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// The row of the background for each sample.
    fn rows(&self, key: u64) -> Vec<u32> {
        let n = self.model.backgrounds();
        let mut draws = Draws::new(self.seed, 0, key);
        let samples = self.samples as usize;
        if let Some(weights) = self.model.weights() {
            let mut sums = Vec::with_capacity(n);
            let mut total = 0.0;
            for weight in weights {
                total += weight;
                sums.push(total);
            }
            let last = weights.iter().rposition(|&w| w > 0.0).unwrap_or(0);
            return (0..samples)
                .map(|_| {
                    let at = draws.uniform() * total;
                    sums.partition_point(|sum| *sum <= at).min(last) as u32
                })
                .collect();
        }
        let mut rows = Vec::with_capacity(samples + n);
        while rows.len() < samples {
            rows.extend(draws.permutation(n).into_iter().map(|row| row as u32));
        }
        rows.truncate(samples);
        rows
    }
}

impl Plays for SamplingExplainer {
    fn check(&self) -> Result<()> {
        if self.samples < 2 {
            return Err(Error::invalid("samples", "at least 2", self.samples));
        }
        Ok(())
    }

    fn tolerance(&self) -> Option<f64> {
        let whole = (self.samples as usize).is_multiple_of(self.model.backgrounds());
        (whole && self.model.weights().is_none()).then_some(Attributions::TOLERANCE)
    }

    fn play(&self, game: &Game<'_>) -> Result<Played> {
        let (m, k) = (game.players(), game.outputs());
        let mut mean = RunningMean::new(k * m);
        if m == 0 {
            return Ok(mean.played(true));
        }
        let against = self.rows(game.key());
        let part = (PART / (2 * m)).max(1);
        for (at, rows) in against.chunks(part).enumerate() {
            let first = (at * part) as u32;
            let orders: Vec<_> = (0..rows.len() as u32)
                // The stream 0 chooses the rows.
                .map(|i| Draws::new(self.seed, first + i + 1, game.key()).permutation(m))
                .collect();
            let inner = 2 * (m - 1);
            let mut masks = Vec::with_capacity(orders.len() * inner * m);
            for order in &orders {
                walk_masks(order, &mut masks);
            }
            let rows_of_masks: Vec<u32> =
                rows.iter().flat_map(|row| std::iter::repeat_n(*row, inner)).collect();
            let values = game.values_against(&masks, &rows_of_masks)?;
            for (i, (order, &row)) in orders.iter().zip(rows).enumerate() {
                let base = game.background_prediction(row as usize);
                let values = &values[i * inner * k..(i + 1) * inner * k];
                mean.add(&walk(order, base, values, game.full()));
            }
        }
        Ok(mean.played(false))
    }
}

plays_games!(SamplingExplainer);
