//! The chi-square test that two samples come from one categorical distribution.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::tails::chi_square_sf;
use crate::{Error, Result};

/// Counts of the same categories, in the same order, in two samples.
#[derive(Clone, Copy, Debug)]
pub struct CountPair<'a> {
    /// The sample that is compared.
    pub current: &'a [u64],
    /// The sample that it is compared with.
    pub reference: &'a [u64],
}

/// Pearson's test of homogeneity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChiSquare {
    /// Σ (observed − expected)² / expected, in \[0, N\].
    pub statistic: f64,
    /// Categories that occur, less one.
    pub dof: u64,
    /// The probability of a statistic at least as large under one distribution.
    pub p_value: f64,
    /// Cramér's V, √(statistic / N), in \[0, 1\]: the size of the effect whatever the sample size.
    pub cramers_v: f64,
    /// What `current` would count on average; 0 for a category that occurs nowhere.
    pub expected_current: Vec<f64>,
    /// What `reference` would count on average.
    pub expected_reference: Vec<f64>,
    /// How many categories occur in neither sample; they count for nothing.
    pub dropped: usize,
}

impl ChiSquare {
    /// The smallest expected count of a category that occurs. The p-value is an approximation that
    /// is good from about 5 (Cochran 1954).
    pub fn smallest_expected(&self) -> f64 {
        let both = self.expected_current.iter().chain(&self.expected_reference);
        both.copied().filter(|&e| e > 0.0).fold(f64::INFINITY, f64::min)
    }
}

impl fmt::Display for ChiSquare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "chi-square {:.4}, {} degrees of freedom, p = {:.4e}, V = {:.4}",
            self.statistic, self.dof, self.p_value, self.cramers_v
        )
    }
}

/// Tests that two samples share one distribution over their categories.
///
/// Differences are taken between integers, so nothing cancels.
/// `scipy.stats.chi2_contingency(correction=False)` without the empty columns. O(categories).
///
/// # Errors
/// [`Error::Length`] for counts of different lengths; [`Error::Undefined`] where a sample is empty
/// or only one category occurs.
///
/// ```
/// use mlops_core::stats::{CountPair, chi_square_homogeneity};
/// let counts = CountPair { current: &[20, 30, 0], reference: &[30, 20, 0] };
/// let test = chi_square_homogeneity(counts)?;
/// assert_eq!((test.statistic, test.dof, test.dropped), (4.0, 1, 1));
/// assert!((test.p_value - 0.04550026389635842).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn chi_square_homogeneity(counts: CountPair<'_>) -> Result<ChiSquare> {
    let CountPair { current, reference } = counts;
    if current.len() != reference.len() {
        return Err(Error::Length {
            left: "the current counts".into(),
            left_len: current.len(),
            right: "the reference counts".into(),
            right_len: reference.len(),
        });
    }
    let what = "the chi-square test";
    let sum = |counts: &[u64]| {
        counts
            .iter()
            .try_fold(0_u64, |sum, &count| sum.checked_add(count))
            .ok_or_else(|| Error::invalid("counts", "a sum below 2^64", "more"))
    };
    let (n, m) = (sum(current)?, sum(reference)?);
    if n == 0 || m == 0 {
        let which = if n == 0 { "current" } else { "reference" };
        return Err(Error::undefined(what, format!("the {which} sample is empty")));
    }
    let total = u128::from(n) + u128::from(m);
    let occurring = current.iter().zip(reference).filter(|&(a, b)| a | b != 0).count();
    if occurring < 2 {
        return Err(Error::undefined(what, "only one category occurs"));
    }
    let expected = |row: u64, a: u64, b: u64| {
        row as f64 * ((u128::from(a) + u128::from(b)) as f64 / total as f64)
    };
    let (mut expected_current, mut expected_reference) = (vec![], vec![]);
    let mut statistic = 0.0;
    for (&a, &b) in current.iter().zip(reference) {
        let (e, f) = (expected(n, a, b), expected(m, a, b));
        if a | b != 0 {
            // a − n(a+b)/N = (a·m − b·n)/N, and the other row's residual is its negative.
            let cross = (u128::from(a) * u128::from(m)).abs_diff(u128::from(b) * u128::from(n));
            let residual = cross as f64 / total as f64;
            statistic += residual * (residual / e) + residual * (residual / f);
        }
        expected_current.push(e);
        expected_reference.push(f);
    }
    let dof = occurring as u64 - 1;
    Ok(ChiSquare {
        statistic,
        dof,
        p_value: chi_square_sf(statistic, dof as f64)?,
        cramers_v: (statistic / total as f64).sqrt().min(1.0),
        expected_current,
        expected_reference,
        dropped: current.len() - occurring,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn test(current: &[u64], reference: &[u64]) -> Result<ChiSquare> {
        chi_square_homogeneity(CountPair { current, reference })
    }

    #[test]
    fn what_has_no_answer_is_said() {
        assert!(matches!(test(&[1], &[1, 2]), Err(Error::Length { .. })));
        for (a, b) in [(&[][..], &[][..]), (&[0, 0], &[1, 2]), (&[1, 2], &[0, 0]), (&[3], &[4])] {
            assert!(matches!(test(a, b), Err(Error::Undefined { .. })), "{a:?} {b:?}");
        }
        assert!(matches!(test(&[u64::MAX, 1], &[1, 1]), Err(Error::Invalid { .. })));
        let huge = test(&[u64::MAX - 1, 1], &[1, u64::MAX - 1]).unwrap();
        assert_eq!((huge.p_value, huge.cramers_v), (0.0, 1.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equal_shares_have_nothing_to_tell(
            counts in prop::collection::vec(1_u64..1000, 2..9), factor in 1_u64..9,
        ) {
            let scaled: Vec<_> = counts.iter().map(|c| c * factor).collect();
            let same = test(&counts, &scaled).unwrap();
            prop_assert_eq!((same.statistic, same.p_value), (0.0, 1.0));
            let mut other = counts.clone();
            other.rotate_left(1);
            let one = test(&counts, &other).unwrap();
            let swapped = test(&other, &counts).unwrap();
            prop_assert!((one.statistic - swapped.statistic).abs() <= 1e-12 * one.statistic);
            prop_assert!((0.0..=1.0).contains(&one.p_value));
        }
    }
}
