//! Shapley values of any model as a weighted regression on coalitions.

use std::collections::HashMap;

use mlops_core::stats::Draws;
use mlops_core::{Error, Result};

use super::MaskedModel;
use super::explainer::plays_games;
use super::masked_model::{Game, Played, Plays};

/// Shapley values of any model by Kernel SHAP: the additive function that fits the values of
/// coalitions best under the weights `(M − 1) / (C(M, s) · s · (M − s))`, through the empty and the
/// full coalition exactly.
///
/// The smallest and largest coalitions are all asked for while the budget reaches, the others are
/// drawn in complementary pairs; the regression is solved in closed form (Cholesky, `M − 1`
/// unknowns). There is no hidden L1 penalty: no feature is made 0. Where the budget reaches for all
/// `2^M − 2` coalitions the values are exact. Standard errors are not known; the
/// [`PermutationExplainer`](super::PermutationExplainer) has them.
///
/// Lundberg & Lee 2017, arXiv:1705.07874; Covert & Lee 2021, arXiv:2012.01536. shap:
/// `KernelExplainer` with `l1_reg=0`.
#[derive(Clone, Debug)]
pub struct KernelExplainer {
    model: MaskedModel,
    seed: u64,
    coalitions: Option<usize>,
}

impl KernelExplainer {
    /// `2 M + 2048` coalitions a row under the seed 0.
    pub fn new(model: MaskedModel) -> Self {
        Self { model, seed: 0, coalitions: None }
    }

    /// The same with other draws.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with so many coalitions a row.
    #[must_use]
    pub fn coalitions(mut self, coalitions: usize) -> Self {
        self.coalitions = Some(coalitions);
        self
    }
}

impl Plays for KernelExplainer {
    fn check(&self) -> Result<()> {
        if self.coalitions == Some(0) {
            return Err(Error::invalid("coalitions", "at least 1", 0));
        }
        Ok(())
    }

    fn play(&self, game: &Game<'_>) -> Result<Played> {
        let (m, k) = (game.players(), game.outputs());
        if m < 2 {
            let phi = game.full().iter().zip(game.base()).map(|(f, b)| f - b);
            return Ok(Played { phi: phi.take(k * m).collect(), standard_errors: None });
        }
        let budget = self.coalitions.unwrap_or(2 * m + 2048);
        let Coalitions { masks, weights } = Coalitions::of(m, budget, self.seed, game.key());
        let values = game.values(&masks)?;
        // z_j − z_last for the others: the last is what is left of the total.
        let n = m - 1;
        let contrast = |mask: &[bool], j: usize| f64::from(i8::from(mask[j]) - i8::from(mask[n]));
        let mut gram = vec![0.0; n * n];
        let mut right = vec![0.0; k * n];
        for (c, (mask, &weight)) in masks.chunks_exact(m).zip(&weights).enumerate() {
            let z: Vec<f64> = (0..n).map(|j| contrast(mask, j)).collect();
            for (i, &zi) in z.iter().enumerate().filter(|(_, z)| **z != 0.0) {
                for (j, &zj) in z.iter().enumerate().take(i + 1) {
                    gram[i * n + j] += weight * zi * zj;
                }
                for output in 0..k {
                    let total = game.full()[output] - game.base()[output];
                    let last = if mask[n] { total } else { 0.0 };
                    let y = values[c * k + output] - game.base()[output] - last;
                    right[output * n + i] += weight * zi * y;
                }
            }
        }
        factor(&mut gram, n).ok_or_else(|| {
            Error::undefined(
                "Kernel SHAP",
                format!(
                    "{budget} coalitions don't tell {m} features apart: ask for more, {} always do",
                    2 * m
                ),
            )
        })?;
        let mut phi = Vec::with_capacity(k * m);
        for (output, right) in right.chunks_exact_mut(n).enumerate() {
            solve(&gram, right);
            let total = game.full()[output] - game.base()[output];
            let others: f64 = right.iter().sum();
            phi.extend_from_slice(right);
            phi.push(total - others);
        }
        Ok(Played { phi, standard_errors: None })
    }
}

plays_games!(KernelExplainer);

/// Coalitions and their weights in the regression.
struct Coalitions {
    masks: Vec<bool>,
    weights: Vec<f64>,
}

impl Coalitions {
    /// All of the outer sizes while the budget reaches, and draws from the sizes between.
    fn of(m: usize, budget: usize, seed: u64, key: u64) -> Self {
        // Sizes s and m − s go together; the middle one of an even m is its own complement.
        let sizes = m / 2;
        let alone = |s: usize| 2 * s == m;
        // The share of a size and its complement in the whole weight, unnormalised.
        let share: Vec<f64> = (1..=sizes)
            .map(|s| {
                let one = (m - 1) as f64 / (s as f64 * (m - s) as f64);
                if alone(s) { one } else { 2.0 * one }
            })
            .collect();
        let mut all = Self { masks: Vec::new(), weights: Vec::new() };
        let mut left = budget as f64;
        let mut whole = 0;
        for s in 1..=sizes {
            let rest: f64 = share[s - 1..].iter().sum();
            let count = binomial(m, s) * if alone(s) { 1.0 } else { 2.0 };
            // What this size would get of the draws that are left is enough for all of it. Single
            // features come first in any case: they tell all features apart.
            let reaches = left * share[s - 1] / rest >= count * (1.0 - 1e-9);
            let is_first = s == 1 && left >= count;
            if !reaches && !is_first {
                break;
            }
            let weight = share[s - 1] / count;
            subsets(m, s, |mask| {
                all.push(mask, weight);
                if !alone(s) {
                    let complement: Vec<bool> = mask.iter().map(|z| !z).collect();
                    all.push(&complement, weight);
                }
            });
            left -= count;
            whole = s;
        }
        let rest: f64 = share[whole..].iter().sum();
        let pairs = (left / 2.0) as usize;
        if whole < sizes && pairs > 0 {
            let first = all.weights.len();
            let mut seen: HashMap<Vec<bool>, usize> = HashMap::new();
            let mut draws = Draws::new(seed, 0, key);
            let mut players: Vec<usize> = (0..m).collect();
            let mut drawn = 0.0;
            // Draws that were made already weigh more and cost nothing: a few times as many.
            for _ in 0..pairs.saturating_mul(4) {
                if seen.len() >= 2 * pairs {
                    break;
                }
                let mut at = draws.uniform() * rest;
                let size = (whole..sizes)
                    .find(|&s| {
                        at -= share[s];
                        at < 0.0
                    })
                    .unwrap_or(sizes - 1)
                    + 1;
                draws.shuffle(&mut players);
                let mut mask = vec![false; m];
                for &player in &players[..size] {
                    mask[player] = true;
                }
                let complement: Vec<bool> = mask.iter().map(|z| !z).collect();
                for mask in [mask, complement] {
                    if let Some(&at) = seen.get(&mask) {
                        all.weights[at] += 1.0;
                    } else {
                        all.push(&mask, 1.0);
                        seen.insert(mask, all.weights.len() - 1);
                    }
                    drawn += 1.0;
                }
            }
            for weight in &mut all.weights[first..] {
                *weight *= rest / drawn;
            }
        }
        all
    }

    fn push(&mut self, mask: &[bool], weight: f64) {
        self.masks.extend_from_slice(mask);
        self.weights.push(weight);
    }
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64)
}

/// All masks of m with s set, in the order of their first.
fn subsets(m: usize, s: usize, mut each: impl FnMut(&[bool])) {
    let mut chosen: Vec<usize> = (0..s).collect();
    loop {
        let mut mask = vec![false; m];
        for &i in &chosen {
            mask[i] = true;
        }
        each(&mask);
        let Some(at) = (0..s).rev().find(|&i| chosen[i] < m - s + i) else { return };
        chosen[at] += 1;
        for i in at + 1..s {
            chosen[i] = chosen[i - 1] + 1;
        }
    }
}

/// The Cholesky factor of a symmetric matrix, of which the lower triangle is given and replaced.
/// `None` where it is not positive definite beyond rounding.
fn factor(a: &mut [f64], n: usize) -> Option<()> {
    for i in 0..n {
        let diagonal = a[i * n + i];
        for j in 0..=i {
            let dot: f64 = (0..j).map(|l| a[i * n + l] * a[j * n + l]).sum();
            let rest = a[i * n + j] - dot;
            if i == j {
                // NaN is no pivot either.
                let is_pivot = rest > diagonal * n as f64 * 1e-14;
                if !is_pivot {
                    return None;
                }
                a[i * n + i] = rest.sqrt();
            } else {
                a[i * n + j] = rest / a[j * n + j];
            }
        }
    }
    Some(())
}

/// Solves with the factor in place.
fn solve(factor: &[f64], x: &mut [f64]) {
    let n = x.len();
    for i in 0..n {
        let dot: f64 = (0..i).map(|l| factor[i * n + l] * x[l]).sum();
        x[i] = (x[i] - dot) / factor[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|l| factor[l * n + i] * x[l]).sum();
        x[i] = (x[i] - dot) / factor[i * n + i];
    }
}
