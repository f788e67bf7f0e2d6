//! Which limits gaps have.

use serde::{Deserialize, Serialize};

/// The interval of a difference of two independent rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DifferenceLimits {
    /// Miettinen and Nurminen's score limits.
    #[default]
    MiettinenNurminen,
    /// Newcombe's, from two Wilson intervals.
    Newcombe,
}

/// The interval of a ratio of two independent rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RatioLimits {
    /// Koopman's score limits, with Miettinen and Nurminen's factor.
    #[default]
    Score,
    /// Katz's on the log scale; where a rate is 0, which they are not defined for, the score
    /// limits.
    Log,
}

/// Which limits, and their confidence. A number is the confidence of the default ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// The confidence, in (0, 1).
    pub confidence: f64,
    /// Of differences.
    #[serde(default)]
    pub difference: DifferenceLimits,
    /// Of ratios.
    #[serde(default)]
    pub ratio: RatioLimits,
}

impl Limits {
    /// Miettinen and Nurminen's limits at this confidence.
    pub fn new(confidence: f64) -> Self {
        let (difference, ratio) = (DifferenceLimits::default(), RatioLimits::default());
        Self { confidence, difference, ratio }
    }

    /// The same with these limits of differences.
    #[must_use]
    pub fn difference(mut self, limits: DifferenceLimits) -> Self {
        self.difference = limits;
        self
    }

    /// The same with these limits of ratios.
    #[must_use]
    pub fn ratio(mut self, limits: RatioLimits) -> Self {
        self.ratio = limits;
        self
    }

    /// The same where each of several statements must hold.
    #[must_use]
    pub(super) fn split(mut self, statements: f64) -> Self {
        self.confidence = 1.0 - (1.0 - self.confidence) / statements;
        self
    }
}

impl From<f64> for Limits {
    fn from(confidence: f64) -> Self {
        Self::new(confidence)
    }
}
