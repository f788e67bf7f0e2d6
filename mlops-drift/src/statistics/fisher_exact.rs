//! Fisher's exact test on two shares.

use std::fmt;

use mlops_core::Result;
use mlops_core::stats::{Proportion, ProportionPair};
use serde::{Deserialize, Serialize};

use crate::statistics::alternative::Alternative;
use crate::statistics::hypergeometric::{Hypergeometric, MOST_DRAWN_FROM};

/// What [`fisher_exact`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FisherExact {
    /// P of a table this extreme, exact given both margins.
    pub p_value: f64,
    /// The current odds over those of the reference; `None` where that is 0/0 or infinite.
    pub odds_ratio: Option<f64>,
}

impl FisherExact {
    /// The most rows of both sides together.
    pub const MOST_ROWS: u64 = MOST_DRAWN_FROM;
}

impl fmt::Display for FisherExact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.odds_ratio {
            Some(ratio) => {
                write!(f, "Fisher's exact p = {:.4e}, odds ratio {ratio:.4}", self.p_value)
            }
            None => write!(f, "Fisher's exact p = {:.4e}", self.p_value),
        }
    }
}

/// Fisher's exact test that two shares are the same.
///
/// Given both margins the reference's successes are hypergeometric. One-sided: the probability of
/// as many or more (fewer) among the current rows; two-sided: that of all tables that are no
/// likelier than this one. `scipy.stats.fisher_exact([[current successes, failures], [reference
/// successes, failures]], alternative)`. Sums are of a tail's own terms, outwards until they no
/// longer matter, so that p keeps its relative accuracy down to 10⁻³⁰⁰; this takes
/// `O(√(n + m))` steps: microseconds at a million rows a side, 10 ms at the limit.
///
/// ```
/// use mlops_core::stats::{Proportion, ProportionPair};
/// use mlops_drift::statistics::{Alternative, fisher_exact};
/// let pair = ProportionPair {
///     reference: Proportion { successes: 1, n: 6 },
///     current: Proportion { successes: 8, n: 10 },
/// };
/// let test = fisher_exact(pair, Alternative::TwoSided)?;
/// assert!((test.p_value - 0.034965034965034975).abs() < 1e-15);
/// assert_eq!(test.odds_ratio, Some(20.0));
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a side with no rows,
/// [`Invalid`](mlops_core::Error::Invalid) for more successes than rows, and for more than 2⁴⁰ rows
/// ([`FisherExact::MOST_ROWS`]).
///
/// # References
/// Fisher (1935), doi:10.2307/2342435.
pub fn fisher_exact(pair: ProportionPair, alternative: Alternative) -> Result<FisherExact> {
    let ProportionPair { current, reference } = pair;
    current.estimate()?;
    reference.estimate()?;
    let all = current.n.saturating_add(reference.n);
    let successes = current.successes.saturating_add(reference.successes);
    let bad = all - successes;
    let law = Hypergeometric::new("Fisher's exact test", successes, bad, current.n)?;
    let k = current.successes;
    let p_value = match alternative {
        Alternative::TwoSided => law.no_likelier(k),
        Alternative::Less => law.cdf(k),
        Alternative::Greater => law.at_least(k),
    };
    let failures = |side: Proportion| (side.n - side.successes) as f64;
    let over = failures(current) * reference.successes as f64;
    let odds_ratio = (over > 0.0).then(|| k as f64 * failures(reference) / over);
    Ok(FisherExact { p_value, odds_ratio })
}
