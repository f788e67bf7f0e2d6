//! The z test on two shares.

use std::fmt;

use mlops_core::stats::{ProportionPair, normal_cdf, normal_sf, normal_two_sided};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::alternative::Alternative;
use crate::statistics::tables::MOST_ROWS;

/// How the variance of the difference of two shares is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProportionVariance {
    /// Of one share of both samples together, which is what the null hypothesis says: the score
    /// test, whose square is [`chi_square`](crate::statistics::chi_square) of the 2 × 2 table.
    /// `statsmodels.stats.proportion.proportions_ztest`.
    #[default]
    Pooled,
    /// Of either share on its own: the Wald test, which rejects too often where rows are few or
    /// shares extreme (15 % at 5 % for undrifted shares of 2 % of 500 and 100 rows). `statsmodels.stats.proportion.test_proportions_2indep(method="wald",
    /// correction=False)`.
    Unpooled,
}

/// What [`two_proportion_z`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TwoProportionZ {
    /// The difference of the shares in its standard errors; above 0 where the current one is
    /// larger.
    pub statistic: f64,
    /// P of a statistic this extreme where the shares are the same, by the normal law.
    pub p_value: f64,
    /// The current share less the reference's.
    pub difference: f64,
}

impl fmt::Display for TwoProportionZ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statistic, p_value, difference } = self;
        write!(f, "difference {difference:+.4}, z {statistic:.4}, p = {p_value:.4e}")
    }
}

/// The z test that two shares are the same: `z = (p − q) / √(s²)` with
/// `s² = h(1 − h)(1/m + 1/n)`, `h` the share of both together, or by name
/// `s² = p(1 − p)/m + q(1 − q)/n`.
///
/// The normal law needs some 10 successes and failures a side; below that
/// [`fisher_exact`](crate::statistics::fisher_exact) holds its level. No continuity correction.
///
/// ```
/// use mlops_core::stats::{Proportion, ProportionPair};
/// use mlops_drift::statistics::{Alternative, ProportionVariance, two_proportion_z};
/// let pair = ProportionPair {
///     reference: Proportion { successes: 30, n: 100 },
///     current: Proportion { successes: 50, n: 100 },
/// };
/// let test = two_proportion_z(pair, ProportionVariance::Pooled, Alternative::TwoSided)?;
/// assert!((test.statistic - 2.886751345948129).abs() < 1e-14);
/// assert!((test.p_value - 0.0038924171227786).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with no rows, and where the variance is estimated as 0: all or
/// none succeed, on both sides alike ([pooled](ProportionVariance::Pooled)) or on each.
/// [`Error::Invalid`] for more successes than rows, and for more than 2⁶² rows.
pub fn two_proportion_z(
    pair: ProportionPair,
    variance: ProportionVariance,
    alternative: Alternative,
) -> Result<TwoProportionZ> {
    let ProportionPair { current, reference } = pair;
    let (p, q) = (current.estimate()?, reference.estimate()?);
    if current.n.max(reference.n) > MOST_ROWS {
        let found = format_args!("{} and {}", reference.n, current.n);
        return Err(Error::invalid("the rows of two shares", "at most 2^62 a side", found));
    }
    let (n, m) = (reference.n as f64, current.n as f64);
    // From integers: shares that nearly agree lose no digit.
    let cross = i128::from(current.successes) * i128::from(reference.n)
        - i128::from(reference.successes) * i128::from(current.n);
    let difference = cross as f64 / (n * m);
    let squared = match variance {
        ProportionVariance::Pooled => {
            let hits = current.successes as f64 + reference.successes as f64;
            let misses =
                (current.n - current.successes) as f64 + (reference.n - reference.successes) as f64;
            hits / (n + m) * (misses / (n + m)) * (1.0 / m + 1.0 / n)
        }
        ProportionVariance::Unpooled => p * (1.0 - p) / m + q * (1.0 - q) / n,
    };
    if squared <= 0.0 {
        return Err(Error::undefined("the z of two shares", "their variance is estimated as 0"));
    }
    let statistic = difference / squared.sqrt();
    let p_value = match alternative {
        Alternative::TwoSided => normal_two_sided(statistic),
        Alternative::Less => normal_cdf(statistic),
        Alternative::Greater => normal_sf(statistic),
    };
    Ok(TwoProportionZ { statistic, p_value, difference })
}
