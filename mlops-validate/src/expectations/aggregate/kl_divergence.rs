//! The Kullback–Leibler divergence of a column from a distribution.

use arrow::datatypes::DataType;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::Bounds;
use super::distribution::{Counted, Distribution, check_max, far, relative_entropy, shares};
use super::sets::check_weights;
use super::statistic::{Seen, observe};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};

const NAME: &str = "Kullback-Leibler divergence";

/// The Kullback–Leibler divergence of a column from a distribution, Σ p ln(p/q) in nats, is small
/// enough.
///
/// p are the column's shares, q the weights that are written down, which sum to 1 with their
/// tails. Where the column has something and the distribution nothing it is infinite, and a fail;
/// a holdout keeps some weight for that: `tail_weight_holdout` for values that the distribution
/// does not list (in equal parts) or for numbers beyond its edges (half to each side),
/// `internal_weight_holdout` for bins of weight 0. Nulls are left out; NaN in bins is undefined.
///
/// Great Expectations: `expect_column_kl_divergence_to_be_less_than`; its bins with an infinite
/// end are `tail_weights` here. `scipy.stats.entropy(p, q)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KlDivergence {
    /// The column.
    pub column: String,
    /// The distribution to compare with.
    #[serde(flatten)]
    pub reference: Distribution,
    /// The largest divergence that is a pass.
    pub max: f64,
    /// The weight kept for what the distribution does not list, in \[0, 1\].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tail_weight_holdout: f64,
    /// The weight kept for bins of weight 0, in \[0, 1\].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub internal_weight_holdout: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// Expects the Kullback–Leibler divergence of a column from a distribution to be at most `max`:
/// [`KlDivergence`].
pub fn kl_divergence(column: impl Into<String>, reference: Distribution, max: f64) -> Expectation {
    KlDivergence {
        column: column.into(),
        reference,
        max,
        tail_weight_holdout: 0.0,
        internal_weight_holdout: 0.0,
    }
    .into()
}

impl Kind for KlDivergence {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn check_usable(&self) -> Result<()> {
        check_max(self.max)?;
        self.reference.check_usable()?;
        let tails = self.reference.tail_weights.unwrap_or_default();
        check_weights(&self.reference.weights, tails.iter().sum())?;
        let (tail, inner) = (self.tail_weight_holdout, self.internal_weight_holdout);
        let bad = |expected: &str, found: f64| Err(Error::invalid("holdout", expected, found));
        if !(tail >= 0.0 && inner >= 0.0 && tail + inner <= 1.0) {
            return bad("shares that sum to at most 1", tail + inner);
        }
        if inner > 0.0 && self.reference.bins.is_empty() {
            return bad("none for bins where there are no bins", inner);
        }
        if tail > 0.0 && self.reference.tail_weights.is_some() {
            return bad("none for tails that have weights", tail);
        }
        Ok(())
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let measured = match self.reference.measure(&self.column, to)? {
            Ok(measured) => measured,
            Err(expected) => return to.wrong_type(&self.column, expected),
        };
        let this = self.clone();
        Ok(to.judged(format!("{NAME} <= {}", self.max), move |m| {
            let seen = match measured.counted(m)? {
                Err(seen) => seen,
                Ok(counted) if counted.n == 0 => Seen::Nothing { counts_as: None },
                Ok(counted) => return Ok(far(NAME, this.divergence(&counted), this.max, &counted)),
            };
            let bounds = Bounds::of(..=this.max).of_numbers();
            Ok(observe(NAME, &bounds, &DataType::Null, seen))
        }))
    }
}

impl KlDivergence {
    fn divergence(&self, counted: &Counted) -> f64 {
        let (tail, inner) = (self.tail_weight_holdout, self.internal_weight_holdout);
        let mut expected = self.reference.weights.clone();
        if self.reference.bins.is_empty() {
            // What is kept for new values is taken only where there are some.
            if !counted.others.is_empty() {
                let each = tail / counted.others.len() as f64;
                for w in &mut expected {
                    *w *= 1.0 - tail;
                }
                expected.extend(counted.others.iter().map(|_| each));
            }
        } else {
            let empty = expected.iter().filter(|w| **w == 0.0).count();
            for w in &mut expected {
                *w = if *w == 0.0 && inner > 0.0 {
                    inner / empty as f64
                } else {
                    *w * (1.0 - tail - inner)
                };
            }
            expected.extend(self.reference.tail_weights.unwrap_or([tail / 2.0; 2]));
        }
        let observed = counted.known.iter().chain(&counted.others).map(|&n| n as f64).collect();
        // Rounding may leave a little below 0.
        relative_entropy(&shares(observed), &shares(expected)).max(0.0)
    }
}
