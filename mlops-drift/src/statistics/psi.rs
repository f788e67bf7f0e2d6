//! The population stability index of two tables of counts.

use std::fmt;

use mlops_core::stats::{Interval, chi_square_sf, normal_quantile};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::shares::{Shares, ZeroCells};
use crate::statistics::tables::Table;

/// "Moderate" by the trade's folklore: Siddiqi, *Credit Risk Scorecards* (2006), and Lewis, *An
/// Introduction to Credit Scoring* (1994). It is no test: at 100 current rows noise exceeds it.
pub const PSI_FOLKLORE_MODERATE: f64 = 0.1;
/// "Major" by the same folklore.
pub const PSI_FOLKLORE_MAJOR: f64 = 0.25;

/// The population stability index of two tables with the same cells:
/// `Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ)`, with `p` the current shares and `q` those of the reference.
///
/// In nats, `≥ 0`, symmetric in the two tables, no upper bound. It is the Jeffreys divergence.
///
/// ```
/// use mlops_drift::statistics::{ZeroCells, psi};
/// assert_eq!(psi(&[50, 30, 20], &[50, 30, 20], ZeroCells::AddHalf)?, 0.0);
/// let value = psi(&[50, 50], &[60, 40], ZeroCells::Refuse)?;
/// assert!((value - (0.1 * 1.2f64.ln() - 0.1 * 0.8f64.ln())).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for tables with no rows, and under [`ZeroCells::Refuse`] for a cell that
/// is empty on one side; [`Error::Length`] for tables of different length; [`Error::Invalid`] for
/// a rule with a number that is not above 0.
///
/// # References
/// Jeffreys (1946), doi:10.1098/rspa.1946.0056; Yurdakul & Naranjo (2020), doi:10.21314/JRMV.2020.227.
pub fn psi(reference: &[u64], current: &[u64], zero_cells: ZeroCells) -> Result<f64> {
    let shares = Shares::of("psi", reference, current, zero_cells)?;
    let mut sum = 0.0;
    for cell in shares.cells().filter(|cell| cell.difference != 0.0) {
        if cell.reference == 0.0 || cell.current == 0.0 {
            let at = (0..reference.len()).find(|&i| (reference[i] == 0) != (current[i] == 0));
            let reason = format!(
                "cell {} is empty on one side only; any other rule for empty cells gives a value",
                at.unwrap_or(0)
            );
            return Err(Error::undefined("psi", reason));
        }
        sum += cell.difference * cell.log_ratio();
    }
    Ok(sum)
}

/// The index with what is known about its error, from [`psi_test`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PsiTest {
    /// The index itself.
    pub value: f64,
    /// The number of cells that have rows on either side.
    pub cells: usize,
    /// What sampling error alone gives on average where nothing drifted:
    /// `(cells − 1)(1/n + 1/m)`.
    pub expected_from_noise: f64,
    /// P of an index this large or larger where nothing drifted; `None` where a cell expects fewer
    /// than [`PsiTest::MIN_EXPECTED`] rows and the law below does not hold: then
    /// [`DirichletMultinomial`](crate::statistics::DirichletMultinomial) has one for bins between
    /// reference quantiles, [`permutation_p`](crate::statistics::permutation_p) for categories. A
    /// single cell can't differ: 1.
    pub p_value: Option<f64>,
    /// Confidence limits of the index of the two populations: bias taken off, variance by the
    /// delta method to second order.
    pub interval: Interval,
}

impl fmt::Display for PsiTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PSI {:.4} {}, {} cells", self.value, self.interval, self.cells)?;
        match self.p_value {
            Some(p) => write!(f, ", p = {p:.4e}"),
            None => f.write_str(", too few rows for the χ² law"),
        }
    }
}

impl PsiTest {
    /// The expected rows in every cell from which on the χ² law of the index is trusted.
    pub const MIN_EXPECTED: f64 = 20.0;
}

/// The index with its p-value and confidence limits, calibrated for both sample sizes.
///
/// Where nothing drifted, `psi / (1/n + 1/m)` follows χ² with `cells − 1` degrees of freedom
/// (Yurdakul & Naranjo); thresholds that look at one size only fire on noise. The limits are
/// `psi − bias ± z √v` with `bias = ½ Σ ∂²psi·var`, `v` the delta method's variance plus
/// `2 (cells − 1)(1/n + 1/m)²`, which is what remains where the first order vanishes; `confidence`
/// (0.95, say) is that of both limits together.
///
/// # Errors
/// As [`psi`]; a confidence outside (0, 1).
pub fn psi_test(
    reference: &[u64],
    current: &[u64],
    zero_cells: ZeroCells,
    confidence: f64,
) -> Result<PsiTest> {
    let value = psi(reference, current, zero_cells)?;
    let table = Table::of("psi", reference, current)?;
    let shares = Shares::of("psi", reference, current, zero_cells)?;
    let (n, m) = (table.n as f64, table.m as f64);
    let noise = 1.0 / n + 1.0 / m;
    let cells = table.cells();
    let freedom = cells.saturating_sub(1) as f64;
    let p_value = if cells < 2 {
        Some(1.0)
    } else if table.min_expected() >= PsiTest::MIN_EXPECTED {
        Some(chi_square_sf(value / noise, freedom)?)
    } else {
        None
    };

    // The index is a sum over cells, so its Hessian is diagonal within each side.
    let (mut mean_p, mut mean_q, mut square_p, mut square_q, mut bias) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for cell in shares.cells().filter(|cell| cell.reference > 0.0 && cell.current > 0.0) {
        let (q, p, log) = (cell.reference, cell.current, cell.log_ratio());
        let (by_p, by_q) = (log + 1.0 - q / p, 1.0 - log - p / q);
        mean_p += p * by_p;
        mean_q += q * by_q;
        square_p += p * by_p * by_p;
        square_q += q * by_q * by_q;
        bias += 0.5 * (1.0 + q / p) * (1.0 - p) / m + 0.5 * (1.0 + p / q) * (1.0 - q) / n;
    }
    let first =
        (square_p - mean_p * mean_p).max(0.0) / m + (square_q - mean_q * mean_q).max(0.0) / n;
    let spread = (first + 2.0 * freedom * noise * noise).sqrt();
    let z = normal_quantile(0.5 + 0.5 * checked_confidence(confidence)?)?;
    let centre = value - bias;
    Ok(PsiTest {
        value,
        cells,
        expected_from_noise: freedom * noise,
        p_value,
        interval: Interval::new(
            (centre - z * spread).max(0.0),
            (centre + z * spread).max(0.0),
            confidence,
        )?,
    })
}

/// A confidence that is one.
pub(crate) fn checked_confidence(confidence: f64) -> Result<f64> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok(confidence)
    } else {
        Err(Error::invalid("confidence", "a number between 0 and 1, as 0.95", confidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_both_sides_lack_say_nothing() {
        for rule in [ZeroCells::AddHalf, ZeroCells::Add(1.0), ZeroCells::Clip(1e-4)] {
            let with = psi(&[10_000, 0, 9_000, 0], &[50, 0, 50, 0], rule).expect("shares");
            let without = psi(&[10_000, 9_000], &[50, 50], rule).expect("shares");
            assert_eq!(with.to_bits(), without.to_bits(), "{rule:?}");
        }
        let equal = psi(&[10_000, 10_000, 0], &[50, 50, 0], ZeroCells::AddHalf).expect("shares");
        assert!(equal < 1e-15, "{equal}");
    }
}
