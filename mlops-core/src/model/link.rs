//! How margins become predictions.

use arrow::array::{Array, Float64Array};
use serde::{Deserialize, Serialize};

use super::{Predictions, first_duplicate};
use crate::{Error, Result};

/// How a model turns its margins into predictions.
///
/// Attributions add up to the margin; the link is what stands between it and the number that is
/// served. A null margin, and one that is not a number, is a null prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Link {
    /// The margin is the prediction: a regression, a ranking.
    Identity,
    /// `1 / (1 + exp(−margin))` as a number.
    Logit,
    /// `exp(margin)`: Poisson, gamma, Tweedie, survival.
    Log,
    /// `ln(1 + exp(margin))`.
    Softplus,
    /// `sign(margin) · margin²`: a regression of square roots.
    Sqrt,
    /// `p(positive) = 1 / (1 + exp(−margin))`: two classes, one margin.
    Logistic {
        /// The class of low margins.
        negative: String,
        /// The class of high margins.
        positive: String,
    },
    /// A score of 1 for `positive` where the margin is above 0, else for `negative`.
    Hinge {
        /// The class of margins of at most 0.
        negative: String,
        /// The class of margins above 0.
        positive: String,
    },
    /// `p(k) = exp(margin_k) / Σ_j exp(margin_j)`: a margin for each class.
    Softmax {
        /// The classes, in the order of the margins.
        classes: Vec<String>,
    },
    /// `1 / (1 + exp(−margin_k))` for each class by itself; they need not add up to 1.
    OneVsRest {
        /// The classes, in the order of the margins.
        classes: Vec<String>,
    },
    /// The margins are the scores: forests, whose leaves hold probabilities, and regressions of
    /// several targets.
    Scores {
        /// The classes or targets, in the order of the margins.
        classes: Vec<String>,
    },
    /// The margin is the probability of the class `positive`, one minus it that of the other.
    Probability {
        /// The class of low margins.
        negative: String,
        /// The class of high margins.
        positive: String,
    },
}

impl Link {
    /// How many margins a row has.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Softmax { classes } | Self::OneVsRest { classes } | Self::Scores { classes } => {
                classes.len()
            }
            _ => 1,
        }
    }

    /// Whether the classes are such that they can be told apart.
    pub(super) fn check(&self, what: &str) -> Result<()> {
        let (classes, least): (&[String], usize) = match self {
            Self::Logistic { negative, positive }
            | Self::Hinge { negative, positive }
            | Self::Probability { negative, positive } => {
                if negative == positive {
                    let found = format!("`{negative}` twice");
                    return Err(Error::invalid(what, "two classes of different names", found));
                }
                return Ok(());
            }
            Self::Softmax { classes } => (classes, 2),
            Self::OneVsRest { classes } | Self::Scores { classes } => (classes, 1),
            _ => return Ok(()),
        };
        if classes.len() < least {
            let expected = if least == 2 { "at least two classes" } else { "at least one class" };
            return Err(Error::invalid(what, expected, classes.len()));
        }
        if let Some(twice) = first_duplicate(classes) {
            let found = format!("`{twice}` twice");
            return Err(Error::invalid(what, "classes of different names", found));
        }
        Ok(())
    }

    /// Predictions from margins of shape `(n_rows, n_outputs)`, row after row.
    ///
    /// # Errors
    /// [`Error::Invalid`] for margins that don't fill whole rows.
    pub fn apply(&self, margins: &Float64Array) -> Result<Predictions> {
        let each = |f: fn(f64) -> f64| -> Float64Array {
            margins.iter().map(|m| m.filter(|m| !m.is_nan()).map(f)).collect()
        };
        let both = |low: fn(f64) -> f64, high: fn(f64) -> f64| -> Float64Array {
            let margins = margins.iter().map(|m| m.filter(|m| !m.is_nan()));
            margins.flat_map(|m| [m.map(low), m.map(high)]).collect()
        };
        match self {
            Self::Identity if margins.values().iter().all(|m| !m.is_nan()) => {
                Ok(Predictions::values(margins.clone()))
            }
            Self::Identity => Ok(Predictions::values(each(|m| m))),
            Self::Logit => Ok(Predictions::values(each(sigmoid))),
            Self::Log => Ok(Predictions::values(each(f64::exp))),
            Self::Softplus => {
                Ok(Predictions::values(each(|m| m.max(0.0) + (-m.abs()).exp().ln_1p())))
            }
            Self::Sqrt => Ok(Predictions::values(each(|m| m * m.abs()))),
            Self::Logistic { negative, positive } => {
                // Both sides from the margin: 1 − p would lose the small one's digits.
                let scores = both(|m| sigmoid(-m), sigmoid);
                Predictions::scores([negative.clone(), positive.clone()], scores)
            }
            Self::Hinge { negative, positive } => {
                let scores = both(|m| f64::from(m <= 0.0), |m| f64::from(m > 0.0));
                Predictions::scores([negative.clone(), positive.clone()], scores)
            }
            Self::Probability { negative, positive } => {
                let scores = both(|m| 1.0 - m, |m| m);
                Predictions::scores([negative.clone(), positive.clone()], scores)
            }
            Self::Softmax { classes } => {
                if !margins.len().is_multiple_of(classes.len().max(1)) {
                    let expected = format!("a multiple of {} classes", classes.len());
                    return Err(Error::invalid("margins", expected, margins.len()));
                }
                Predictions::scores(classes.as_slice(), softmax(margins, classes.len()))
            }
            Self::OneVsRest { classes } => Predictions::scores(classes.as_slice(), each(sigmoid)),
            Self::Scores { classes } => Predictions::scores(classes.as_slice(), each(|m| m)),
        }
    }
}

/// The logistic function `1 / (1 + exp(−z))` without overflow, to full relative accuracy in both
/// tails. The same thing as `scipy.special.expit`.
///
/// ```
/// use mlops_core::model::sigmoid;
/// assert_eq!(sigmoid(0.0), 0.5);
/// assert!(sigmoid(-700.0) > 0.0 && sigmoid(710.0) == 1.0);
/// ```
pub fn sigmoid(z: f64) -> f64 {
    // exp of what is at most 0 never overflows.
    let e = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// Softmax of each row of `classes` margins, shifted by the row's greatest.
fn softmax(margins: &Float64Array, classes: usize) -> Float64Array {
    let mut scores = Vec::with_capacity(margins.len());
    for first in (0..margins.len()).step_by(classes) {
        let row = first..first + classes;
        let known = row.clone().all(|i| margins.is_valid(i));
        let greatest = row.clone().map(|i| margins.value(i)).fold(f64::NEG_INFINITY, f64::max);
        let exp = |i: usize| match margins.value(i) {
            // All of the probability is shared by the infinite ones; ∞ − ∞ says nothing of it.
            z if z == greatest => 1.0,
            z => (z - greatest).exp(),
        };
        let total: f64 = row.clone().map(exp).sum();
        scores.extend(row.map(|i| known.then(|| exp(i) / total)));
    }
    scores.into()
}
