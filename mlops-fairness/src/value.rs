//! A number, or the reason why there is none.

use std::borrow::Cow;
use std::fmt;

use mlops_core::Error;
use serde::{Deserialize, Serialize};

/// Why a metric has no value: `no positive labels`.
///
/// ```
/// use mlops_fairness::{Counts, Metric, Undefined};
/// let nobody = Counts::confusion(0, 1, 9, 0);
/// assert_eq!(Metric::TruePositiveRate.value(&nobody), Err(Undefined::new("no positive labels")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Undefined {
    /// The reason, in words.
    pub reason: Cow<'static, str>,
}

/// A value of a metric, or the reason why it has none.
pub type Value = Result<f64, Undefined>;

impl Undefined {
    /// Undefined for this reason.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }

    /// The same as an error about this.
    pub fn of(self, what: impl Into<String>) -> Error {
        Error::undefined(what, self.reason)
    }
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "undefined ({})", self.reason)
    }
}

impl std::error::Error for Undefined {}

/// Why what is divided by a sum of weights has no value.
pub(crate) const TOO_HEAVY: &str = "the weights sum to more than a number can hold";

/// A finite number, or why there is none.
pub(crate) fn ratio(part: f64, whole: f64, reason: &'static str) -> Value {
    if whole.is_infinite() {
        return Err(Undefined::new(TOO_HEAVY));
    }
    let value = part / whole;
    if whole == 0.0 || !value.is_finite() { Err(Undefined::new(reason)) } else { Ok(value) }
}
