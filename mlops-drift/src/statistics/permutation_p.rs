//! The permutation test of any statistic of two tables of counts.

use mlops_core::{Error, Result};

use crate::statistics::draw::without_replacement;
use crate::statistics::hypergeometric::MOST_DRAWN_FROM;
use crate::statistics::monte_carlo::{MonteCarlo, SimulatedP};
use crate::statistics::tables::Table;

/// P of a statistic this large or larger where both samples have one distribution, by exchanging
/// rows between them.
///
/// Given how many rows each cell has on both sides together, the current counts are multivariate
/// hypergeometric, whatever the distribution: the test is exact for any sizes, rare cells and all,
/// and for any `statistic(reference, current)` that is large where there is drift. Counts are
/// drawn, not rows: a draw costs `O(cells)`. `scipy.stats.permutation_test` on the labels of the
/// rows, at the price of the table.
///
/// The cells must not have been chosen by looking at one side: categories, or bins fixed
/// beforehand. For bins that are quantiles of the reference
/// [`DirichletMultinomial`](crate::statistics::DirichletMultinomial) has the law. Give categories
/// that only one side has a cell of their own: exchanged, they tell how surprising that is.
///
/// ```
/// use mlops_drift::statistics::{MonteCarlo, ZeroCells, permutation_p, psi};
/// let (reference, current) = ([90, 6, 3, 1], [70, 15, 10, 5]);
/// let index = |r: &[u64], c: &[u64]| psi(r, c, ZeroCells::AddHalf);
/// let test = permutation_p(&reference, &current, index, MonteCarlo::new(42))?;
/// assert!(test.p_value < 0.02 && test.replicates > 100);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a sample with no rows, and where the statistic is undefined on the
/// samples themselves; [`Error::Length`] for different cells; [`Error::Invalid`] for more than 2⁴⁰
/// rows, or no draws.
///
/// # References
/// Phipson & Smyth (2010), doi:10.2202/1544-6115.1585; Besag & Clifford (1991),
/// doi:10.1093/biomet/78.2.301.
pub fn permutation_p(
    reference: &[u64],
    current: &[u64],
    statistic: impl Fn(&[u64], &[u64]) -> Result<f64>,
    how: MonteCarlo,
) -> Result<SimulatedP> {
    const WHAT: &str = "a permutation test";
    let Table { n, m, .. } = Table::of(WHAT, reference, current)?;
    if n + m > MOST_DRAWN_FROM {
        return Err(Error::invalid(WHAT, "at most 2^40 rows", n + m));
    }
    let observed = statistic(reference, current)?;
    let both: Vec<u64> = reference.iter().zip(current).map(|(r, c)| r + c).collect();
    let (mut left, mut right) = (vec![0; both.len()], vec![0; both.len()]);
    how.p_value(observed, |draws| {
        without_replacement(&both, m, draws, &mut right);
        for ((left, right), both) in left.iter_mut().zip(&right).zip(&both) {
            *left = both - right;
        }
        statistic(&left, &right).ok()
    })
}
