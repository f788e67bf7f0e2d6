//! Values beyond the smallest and the largest that the reference saw.

use std::fmt;

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::hypergeometric::Hypergeometric;

/// Current values beyond the range of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// How many are below the reference's smallest value.
    pub below: u64,
    /// How many are above its largest.
    pub above: u64,
}

/// What [`out_of_range`] found: P of so many values outside where nothing drifted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutOfRange {
    /// The share of current values outside.
    pub share: f64,
    /// P of as many or more outside, both ends together. Never too small, ties or not.
    pub p_more: f64,
    /// P of as few or fewer. For continuous values: ties at the ends make few outside no surprise.
    pub p_fewer: f64,
    /// Twice the smaller of the two, at most 1.
    pub p_two_sided: f64,
    /// P of as many or more below the smallest.
    pub p_below: f64,
    /// P of as many or more above the largest.
    pub p_above: f64,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} out of range, p = {:.4e}", self.share, self.p_more)
    }
}

/// How surprising it is that so many of `m` current values lie outside the range of `n` reference
/// values, where nothing drifted.
///
/// The share of a continuous distribution below the smallest of `n` of its values is Beta(1, n),
/// and that outside the range Beta(2, n − 1), whatever the distribution; so the counts of `m` more
/// values are beta-binomial, exactly, which is a hypergeometric law of their ranks in the pooled
/// sample. On average `2m / (n + 1)` are outside. Values equal to an end are not outside, so that
/// ties make `p_more`, `p_below` and `p_above` too large rather than too small. Tails keep their
/// relative accuracy down to 10⁻³⁰⁰. `scipy.stats.betabinom(m, 2, n − 1).sf(k − 1)`.
///
/// ```
/// use mlops_drift::statistics::{Outside, out_of_range};
/// let test = out_of_range(1000, Outside { below: 0, above: 7 }, 500)?;
/// assert_eq!(test.share, 0.014);
/// // (500 · 499 ⋯ 494) / (1500 · 1499 ⋯ 1494)
/// assert!((test.p_above / 4.4454959253987977e-4 - 1.0).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for fewer than two reference values or no current ones;
/// [`Error::Invalid`] for more values outside than values, and for more than 2⁴⁰ of them.
///
/// # References
/// Wilks (1941), doi:10.1214/aoms/1177731788; Gumbel & von Schelling (1950), Annals of
/// Mathematical Statistics 21:247.
pub fn out_of_range(n: u64, outside: Outside, m: u64) -> Result<OutOfRange> {
    const WHAT: &str = "the test of values out of range";
    let Outside { below, above } = outside;
    let both = below.checked_add(above).filter(|both| *both <= m).ok_or_else(|| {
        let found = format!("{below} and {above} of {m}");
        Error::invalid(WHAT, "at most as many values outside as values", found)
    })?;
    if n < 2 || m == 0 {
        let reason = format!("there are {n} reference values and {m} current ones");
        return Err(Error::undefined(WHAT, reason));
    }
    // Fewer than `ends` reference values are among the k + ends − 1 outermost of the pooled ones.
    let at_least = |ends: u64, k: u64| -> Result<f64> {
        Ok(Hypergeometric::new(WHAT, n, m, k.saturating_add(ends - 1))?.cdf(ends - 1))
    };
    let p_more = at_least(2, both)?;
    let p_fewer =
        if both == m { 1.0 } else { Hypergeometric::new(WHAT, n, m, both + 2)?.at_least(2) };
    Ok(OutOfRange {
        share: both as f64 / m as f64,
        p_more,
        p_fewer,
        p_two_sided: (2.0 * p_more.min(p_fewer)).min(1.0),
        p_below: at_least(1, below)?,
        p_above: at_least(1, above)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::beta_binomial::BetaBinomial;
    use crate::statistics::draw::Unimodal;

    #[test]
    fn tails_are_those_of_the_beta_binomial() {
        for (n, m) in [(2, 5), (10, 3), (40, 60), (5, 200)] {
            let law = BetaBinomial { rows: m, a: 2.0, b: n as f64 - 1.0 };
            for k in 0..=m {
                let test = out_of_range(n, Outside { below: k, above: 0 }, m).unwrap();
                let (more, fewer): (f64, f64) =
                    ((k..=m).map(|j| law.pmf(j)).sum(), (0..=k).map(|j| law.pmf(j)).sum());
                assert!((test.p_more - more).abs() <= 1e-11 * more, "{n} {m} {k}: {test:?}");
                assert!((test.p_fewer - fewer).abs() <= 1e-11 * fewer, "{n} {m} {k}: {test:?}");
                let one = BetaBinomial { a: 1.0, b: n as f64, ..law }.at_least(k);
                assert!((test.p_below - one).abs() <= 1e-11 * one && test.p_above == 1.0);
            }
        }
        let none = Outside { below: 0, above: 0 };
        assert!(out_of_range(1, none, 5).is_err() && out_of_range(5, none, 0).is_err());
        assert!(out_of_range(5, Outside { below: 3, above: 3 }, 5).is_err());
        assert!(out_of_range(5, Outside { below: u64::MAX, above: 3 }, 5).is_err());
        assert!(out_of_range(u64::MAX, none, 5).is_err());
        assert!(out_of_range(5, Outside { below: u64::MAX, above: 0 }, u64::MAX).is_err());
    }
}
