//! Categories that the reference never saw: how many rows they may have where nothing drifted.

use std::fmt;

use mlops_core::stats::beta_quantile;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::beta_binomial::BetaBinomial;
use crate::statistics::hypergeometric::MOST_DRAWN_FROM;
use crate::statistics::psi::checked_confidence;
use crate::statistics::tables::MOST_ROWS;

/// The share of rows whose category a sample did not see, by Good and Turing.
///
/// ```
/// use mlops_drift::statistics::UnseenMass;
/// // A hundred rows: 4 categories were seen once, 3 twice.
/// let mass = UnseenMass::of(&[40, 30, 20, 1, 1, 1, 1, 2, 2, 2])?;
/// assert_eq!((mass.n, mass.singletons, mass.doubletons), (100, 4, 3));
/// assert_eq!(mass.estimate(), 0.04);
/// assert!((0.10..0.14).contains(&mass.upper_limit(0.95)?));
/// // 5 of 100 current rows in unseen categories are nothing; 30 are drift.
/// assert!(mass.p_value(5, 100)? > 0.3);
/// assert!(mass.p_value(30, 100)? < 1e-3);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # References
/// Good (1953), doi:10.1093/biomet/40.3-4.237; Esty (1983), Annals of Statistics 11:905, for the
/// variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnseenMass {
    /// The rows of the sample.
    pub n: u64,
    /// Categories with one row.
    pub singletons: u64,
    /// Categories with two.
    pub doubletons: u64,
}

impl UnseenMass {
    /// Of a reference's counts, one for each category that it has; zeros count for nothing.
    ///
    /// # Errors
    /// [`Error::Undefined`] where it counts no rows, [`Error::Invalid`] for more than 2⁶² of them.
    pub fn of(reference: &[u64]) -> Result<Self> {
        let n = reference.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
        let having = |rows| reference.iter().filter(|count| **count == rows).count() as u64;
        match n {
            Some(0) => Err(Error::undefined("the unseen mass", "the reference counts no rows")),
            Some(n) if n <= MOST_ROWS => {
                Ok(Self { n, singletons: having(1), doubletons: having(2) })
            }
            _ => Err(Error::invalid("the unseen mass", "counts that sum to at most 2^62", "more")),
        }
    }

    /// Good and Turing's estimate, in [0, 1]: the share of rows that are alone in their category,
    /// `N₁ / n`. Its mean is that of the unseen mass of `n − 1` rows, whatever the distribution.
    pub fn estimate(&self) -> f64 {
        self.singletons as f64 / self.n.max(1) as f64
    }

    /// The Beta law that stands for what is known of the unseen mass: mean `μ = (N₁ + 1) / (n + 1)`,
    /// and as many rows as give it about the variance of Good's estimate: `μ(1 − μ)/v` of them with
    /// `v = ((N₁ + 1)(1 − μ) + 2 N₂ + 1) / (n + 1)²`. `None` where every row is alone: all may be unseen.
    fn law(&self) -> Option<(f64, f64)> {
        let (a, b) = (self.singletons as f64 + 1.0, self.n.saturating_sub(self.singletons) as f64);
        if b == 0.0 {
            return None;
        }
        let variance = a * (b / (self.n as f64 + 1.0));
        let weight = variance / (variance + 2.0 * self.doubletons as f64 + 1.0);
        Some((a * weight, b * weight))
    }

    /// The upper confidence limit of the unseen mass.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a confidence outside (0, 1), [`Error::Undefined`] for more than 10¹¹
    /// rows.
    pub fn upper_limit(&self, confidence: f64) -> Result<f64> {
        let confidence = checked_confidence(confidence)?;
        self.law().map_or(Ok(1.0), |(a, b)| beta_quantile(confidence, a, b))
    }

    /// P of `unseen` or more of `m` current rows in categories that the reference never saw, where
    /// nothing drifted.
    ///
    /// Given the reference those rows are binomial with the unseen mass as their share, and the
    /// mass is uncertain by the Beta law above: the beta-binomial tail. The reference's sampling
    /// error is in it. Not exact, but never above its level by more than simulation can tell: for
    /// uniform, geometric and Zipf laws of 4 to 20,000 categories, reference and current data of
    /// 30 to 20,000 rows, at 5 % between 0 and 5 % reject. With the categories themselves at hand
    /// [`permutation_p`](crate::statistics::permutation_p) is exact.
    ///
    /// # Errors
    /// [`Error::Undefined`] for no current rows, [`Error::Invalid`] for more unseen rows than rows and
    /// for more than 2⁴⁰ of them.
    pub fn p_value(&self, unseen: u64, m: u64) -> Result<f64> {
        const WHAT: &str = "the test of unseen categories";
        if m == 0 {
            return Err(Error::undefined(WHAT, "there are no current rows"));
        }
        if unseen > m || m > MOST_DRAWN_FROM {
            let expected = "at most 2^40 rows, and no more unseen ones than there are";
            return Err(Error::invalid(WHAT, expected, format!("{unseen} of {m}")));
        }
        Ok(self.law().map_or(1.0, |(a, b)| BetaBinomial { rows: m, a, b }.at_least(unseen)))
    }
}

impl fmt::Display for UnseenMass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unseen mass {:.4}: {} of {} rows are alone in their category",
            self.estimate(),
            self.singletons,
            self.n
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends() {
        let all_alone = UnseenMass::of(&[1; 50]).unwrap();
        assert_eq!(all_alone.estimate(), 1.0);
        assert_eq!(
            (all_alone.upper_limit(0.95).unwrap(), all_alone.p_value(9, 9).unwrap()),
            (1.0, 1.0)
        );
        let none_alone = UnseenMass::of(&[500, 500, 0]).unwrap();
        assert_eq!(none_alone.estimate(), 0.0);
        assert!((0.002..0.006).contains(&none_alone.upper_limit(0.95).unwrap()));
        assert_eq!(none_alone.p_value(0, 10).unwrap(), 1.0);
        let p = none_alone.p_value(1, 100).unwrap();
        assert!((0.04..0.11).contains(&p), "one new row in a hundred: {p}");
        assert!(none_alone.p_value(100, 100).unwrap() < 1e-50);
        assert!(none_alone.p_value(2, 1).is_err() && none_alone.p_value(0, 1 << 41).is_err());
        assert!(none_alone.p_value(1, 0).is_err() && none_alone.p_value(0, 0).is_err());
        assert!(UnseenMass::of(&[]).is_err() && UnseenMass::of(&[0]).is_err());
        assert!(UnseenMass::of(&[u64::MAX, 2]).is_err());
        assert!(none_alone.upper_limit(1.0).is_err());
    }

    #[test]
    fn more_is_never_likelier() {
        let mass = UnseenMass::of(&[90, 5, 1, 1, 1, 2]).unwrap();
        let p: Vec<f64> = (0..=200).map(|unseen| mass.p_value(unseen, 200).unwrap()).collect();
        assert!(p.windows(2).all(|pair| pair[1] <= pair[0] && pair[1] > 0.0));
    }
}
