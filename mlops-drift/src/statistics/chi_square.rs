//! Pearson's chi-square test of homogeneity, and Fisher's exact test where it is too coarse.

use mlops_core::Result;
use mlops_core::stats::chi_square_sf;
use serde::{Deserialize, Serialize};

use crate::statistics::tables::{Table, check};

/// What [`chi_square`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChiSquare {
    /// `Σ (observed − expected)² / expected` over both rows of the table.
    pub statistic: f64,
    /// Cells that have rows, less one.
    pub degrees_of_freedom: u64,
    /// P of a statistic this large or larger where both samples have one distribution.
    pub p_value: f64,
    /// The smallest expected count: below about 5 the p-value is only rough.
    pub min_expected: f64,
}

/// Pearson's test that two samples of categories have one distribution (homogeneity): the
/// reference is a sample like the other, not the truth.
///
/// `scipy.stats.chi2_contingency(table, correction=False)`, with the categories that are empty on
/// both sides left out. One category alone is a statistic of 0 and a p-value of 1.
///
/// ```
/// let test = mlops_drift::statistics::chi_square(&[10, 10, 20], &[20, 20, 20])?;
/// assert_eq!(test.degrees_of_freedom, 2);
/// assert!((test.p_value - 0.24935220877729622).abs() < 1e-12);
/// assert!((test.statistic - 2.7777777777777777).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a sample with no rows, [`Length`](mlops_core::Error::Length) for different cells.
///
/// # References
/// Pearson (1900), doi:10.1080/14786440009463897.
pub fn chi_square(reference: &[u64], current: &[u64]) -> Result<ChiSquare> {
    let table = Table::of("chi-square", reference, current)?;
    let mut statistic = 0.0;
    for (&(r, c), (er, ec)) in table.pairs.iter().zip(table.expected()) {
        statistic += (r as f64 - er).powi(2) / er + (c as f64 - ec).powi(2) / ec;
    }
    let degrees_of_freedom = table.cells() as u64 - 1;
    let p_value = if degrees_of_freedom == 0 {
        1.0
    } else {
        chi_square_sf(statistic, degrees_of_freedom as f64)?
    };
    Ok(ChiSquare { statistic, degrees_of_freedom, p_value, min_expected: table.min_expected() })
}

/// Fisher's exact test on two shares, two-sided: the sum of the probabilities of all tables with
/// these margins that are no likelier than this one. `[hits, misses]` of each side.
///
/// `scipy.stats.fisher_exact`. Takes time in the smaller margin: at most `limit` terms, beyond
/// which the answer is `None` and the chi-square test is as good.
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a side with no rows.
pub(crate) fn fisher_exact(
    reference: [u64; 2],
    current: [u64; 2],
    limit: u64,
) -> Result<Option<f64>> {
    let (n, m) = check("Fisher's exact test", &reference, &current)?;
    let all = n + m;
    // The rarer of hits and misses keeps the sum short.
    let hits = reference[0] + current[0];
    let (drawn, mine) =
        if hits <= all - hits { (hits, reference[0]) } else { (all - hits, reference[1]) };
    let (low, high) = (drawn.saturating_sub(m), drawn.min(n));
    if high - low >= limit {
        return Ok(None);
    }
    // Terms relative to the first, by the ratio of neighbours: no factorial is ever formed.
    let mut logs = Vec::with_capacity((high - low + 1) as usize);
    let mut log = 0.0f64;
    logs.push(log);
    for k in low..high {
        let up = (drawn - k) as f64 * (n - k) as f64;
        let down = (k + 1) as f64 * ((m - (drawn - k)) as f64 + 1.0);
        log += (up / down).ln();
        logs.push(log);
    }
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let seen = logs[(mine - low) as usize];
    let (mut tail, mut whole) = (0.0, 0.0);
    for log in logs {
        let p = (log - most).exp();
        whole += p;
        // Tables as likely as this one count, whatever rounding says.
        if log <= seen + 1e-7 {
            tail += p;
        }
    }
    Ok(Some((tail / whole).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fisher_equals_scipy() {
        // scipy.stats.fisher_exact
        for (reference, current, expected) in [
            ([3, 9], [7, 2], 0.029973122852379824),
            ([900, 100], [840, 160], 8.25451696543088e-05),
            ([0, 100], [0, 30], 1.0),
            ([8, 2], [1, 5], 0.034965034965034975),
            ([0, 2000], [40, 60], 2.1056558835032792e-57),
        ] {
            let p = fisher_exact(reference, current, 10_000).expect("rows").expect("few terms");
            assert!((p - expected).abs() <= 1e-9 * expected, "{reference:?} {current:?}: {p:e}");
            let mirrored =
                fisher_exact([current[1], current[0]], [reference[1], reference[0]], 10_000);
            let p = mirrored.expect("rows").expect("few terms");
            assert!((p - expected).abs() <= 1e-9 * expected, "{reference:?} {current:?}: {p:e}");
        }
        assert_eq!(fisher_exact([5000, 5000], [5000, 5000], 10_000).expect("rows"), None);
        assert!(fisher_exact([0, 0], [1, 1], 10).is_err());
    }
}
