//! The likelihood-ratio test of homogeneity.

use mlops_core::Result;

use crate::statistics::chi_square::ChiSquare;
use crate::statistics::density::deviance;
use crate::statistics::tables::Table;

/// The likelihood-ratio test that two samples of categories have one distribution:
/// `G = 2 Σ observed ln(observed / expected)` over both rows of the table.
///
/// `scipy.stats.chi2_contingency(table, lambda_="log-likelihood", correction=False)`, with the
/// categories that are empty on both sides left out; samples of different size are no matter. Its
/// χ² law wants 20 rows expected in every category on either side (with 10 it rejects 6 % at 5 %),
/// that of [`chi_square`](crate::statistics::chi_square) only 5; below, a p-value of
/// [`permutation_p`](crate::statistics::permutation_p) is exact. `G / 2(n + m)` is the Jensen–Shannon
/// divergence in nats with the samples weighed by their sizes. One category alone is a statistic of
/// 0 and a p-value of 1.
///
/// ```
/// let test = mlops_drift::statistics::g_test(&[10, 10, 20], &[20, 20, 20])?;
/// assert!((test.statistic - 2.768858761678132).abs() < 1e-14);
/// assert!((test.p_value - 0.25046668010954194).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a sample with no rows,
/// [`Length`](mlops_core::Error::Length) for different cells.
///
/// # References
/// Wilks (1935), doi:10.1214/aoms/1177732564.
pub fn g_test(reference: &[u64], current: &[u64]) -> Result<ChiSquare> {
    let table = Table::of("the G-test", reference, current)?;
    let mut half = 0.0;
    for ((&(r, c), residual), (er, ec)) in
        table.pairs.iter().zip(table.residuals()).zip(table.expected())
    {
        half += deviance(r as f64, er, -residual) + deviance(c as f64, ec, residual);
    }
    ChiSquare::of(2.0 * half, table.cells(), table.min_expected())
}
