//! Exact Shapley values of any model, by asking it for every coalition.

use mlops_core::{Error, Result};

use super::MaskedModel;
use super::explainer::plays_games;
use super::masked_model::{Game, Played, Plays};

/// Exact Shapley values of any model:
/// `φ_i = Σ_{S ∌ i} |S|! (M − |S| − 1)! / M! · (v(S ∪ i) − v(S))` over all 2^M coalitions.
///
/// `2^M · n_background` predictions a row, where M counts the features that differ from the
/// background somewhere; put columns together with [`MaskedModel::groups`] to have fewer.
/// Shapley 1953; shap: `ExactExplainer` with `maskers.Independent`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{batch, model::ArrayModel};
/// use mlops_fairness::attribution::{Background, ExactExplainer, MaskedModel};
///
/// // A product: what the two add together is shared equally.
/// let product = ArrayModel::regression(["a", "b"], |x| &x.column(0) * &x.column(1));
/// let columns = |a, b| batch! {
///     "a" => Float64Array::from(vec![a]),
///     "b" => Float64Array::from(vec![b]),
/// };
/// let masked = MaskedModel::new(product, &Background::new(columns(0.0, 0.0)?)?)?;
/// let explained = ExactExplainer::new(masked).explain(&columns(3.0, 4.0)?)?;
/// assert_eq!(explained.row(0), Some(&[6.0, 6.0][..]));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExactExplainer {
    model: MaskedModel,
    max_features: usize,
}

/// So many masks at a time that they take little memory.
const PART: usize = 1 << 12;

impl ExactExplainer {
    /// The most features there can be for any limit: 2^24 coalitions of a row.
    pub const MOST: usize = 24;

    /// Up to 16 features that differ from the background.
    pub fn new(model: MaskedModel) -> Self {
        Self { model, max_features: 16 }
    }

    /// Up to so many features, at most [`MOST`](Self::MOST): each more doubles the work.
    #[must_use]
    pub fn max_features(mut self, features: usize) -> Self {
        self.max_features = features.min(Self::MOST);
        self
    }
}

impl Plays for ExactExplainer {
    fn play(&self, game: &Game<'_>) -> Result<Played> {
        let (m, k) = (game.players(), game.outputs());
        if m > self.max_features {
            return Err(Error::invalid(
                "features that differ from the background",
                format!("at most {} for an exact explanation", self.max_features),
                m,
            ));
        }
        if m == 0 {
            return Ok(Played { phi: Vec::new(), standard_errors: None });
        }
        let full = (1_usize << m) - 1;
        let mut values = Vec::with_capacity((full + 1) * k);
        values.extend_from_slice(game.base());
        // The first and the last are known.
        let mut masks = Vec::with_capacity(PART.min(full) * m);
        let mut next = 1;
        while next < full {
            masks.clear();
            let end = (next + PART).min(full);
            for mask in next..end {
                masks.extend((0..m).map(|i| mask >> i & 1 == 1));
            }
            values.extend(game.values(&masks)?);
            next = end;
        }
        values.extend_from_slice(game.full());
        let weights = shapley_weights(m);
        let mut phi = vec![0.0; k * m];
        for (output, phi) in phi.chunks_exact_mut(m).enumerate() {
            for (i, phi) in phi.iter_mut().enumerate() {
                for mask in (0..=full).filter(|mask| mask >> i & 1 == 0) {
                    let with = values[(mask | 1 << i) * k + output];
                    let weight = weights[mask.count_ones() as usize];
                    *phi += weight * (with - values[mask * k + output]);
                }
            }
        }
        Ok(Played { phi, standard_errors: None })
    }
}

plays_games!(ExactExplainer);

/// `s! (m − s − 1)! / m!` for s in 0..m, each the reciprocal of `m · C(m − 1, s)`.
pub(super) fn shapley_weights(m: usize) -> Vec<f64> {
    let mut binomial = 1.0;
    (0..m)
        .map(|s| {
            let weight = 1.0 / (m as f64 * binomial);
            binomial = binomial * (m - 1 - s) as f64 / (s + 1) as f64;
            weight
        })
        .collect()
}
