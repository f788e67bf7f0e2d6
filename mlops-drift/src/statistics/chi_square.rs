//! Pearson's chi-square test: of homogeneity, and of fit to the reference's shares.

use std::fmt;

use mlops_core::stats::chi_square_sf;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::tables::{Table, check};

/// What [`chi_square`], [`chi_square_goodness_of_fit`] and [`g_test`](crate::statistics::g_test)
/// found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChiSquare {
    /// The statistic of the test that was asked for; ≥ 0.
    pub statistic: f64,
    /// Cells that have rows, less one.
    pub degrees_of_freedom: u64,
    /// P of a statistic this large or larger where nothing drifted, by the χ² law, which holds for
    /// many rows.
    pub p_value: f64,
    /// The smallest expected count: below about 5 the p-value is only rough.
    pub min_expected: f64,
}

impl ChiSquare {
    pub(crate) fn of(statistic: f64, cells: usize, min_expected: f64) -> Result<Self> {
        let degrees_of_freedom = cells as u64 - 1;
        let p_value = if degrees_of_freedom == 0 {
            1.0
        } else {
            chi_square_sf(statistic, degrees_of_freedom as f64)?
        };
        Ok(Self { statistic, degrees_of_freedom, p_value, min_expected })
    }
}

impl fmt::Display for ChiSquare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statistic, degrees_of_freedom, p_value, min_expected } = self;
        write!(
            f,
            "χ² {statistic:.4} with {degrees_of_freedom} degrees of freedom, p = {p_value:.4e}, \
             smallest expected count {min_expected:.1}"
        )
    }
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
    for (residual, (er, ec)) in table.residuals().zip(table.expected()) {
        statistic += residual * (residual / er) + residual * (residual / ec);
    }
    ChiSquare::of(statistic, table.cells(), table.min_expected())
}

/// The shares that [`chi_square_goodness_of_fit`] holds current counts against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReferenceShares<'a> {
    /// Shares that are known, not measured: a design, a census. In any proportion; they are divided
    /// by their sum.
    Known(&'a [f64]),
    /// Shares of a reference that is a sample: its counts. Their own sampling error is in the test.
    Sampled(&'a [u64]),
}

/// Pearson's test that current counts have the reference's shares:
/// `Σ (cᵢ − m qᵢ)² / (m qᵢ)`, divided by `1 + m/n` where the shares are those of `n` sampled rows.
///
/// Against [known](ReferenceShares::Known) shares this is `scipy.stats.chisquare(c, f_exp=m·q)`.
/// Shares of a reference *sample* err as the current ones do: the plain statistic is then
/// `1 + m/n` times too large on average (twice, at equal sizes, so that of tests at 5 % some 49 %
/// reject where ten cells did not drift), which is what Evidently's and whylogs' χ² tests do.
/// [Sampled](ReferenceShares::Sampled) shares take the factor off, and the test is then nearly
/// [`chi_square`], which pools both samples for its expected counts and is the better of the two:
/// this one wants 200 reference rows in every category, and with 50 rejects 7 % at 5 %. Categories with neither share nor rows are left out; one category alone is a
/// statistic of 0 and a p-value of 1.
///
/// ```
/// use mlops_drift::statistics::{ReferenceShares, chi_square_goodness_of_fit};
/// let current = [16, 18, 16, 14, 12, 12];
/// let known = chi_square_goodness_of_fit(ReferenceShares::Known(&[1.0; 6]), &current)?;
/// assert!((known.statistic - 2.0).abs() < 1e-15 && (known.p_value - 0.84914503608460956).abs() < 1e-14);
/// let sampled = chi_square_goodness_of_fit(ReferenceShares::Sampled(&[22; 6]), &current)?;
/// assert!((sampled.statistic - 1.2).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a sample with no rows and for current rows in a category whose share is
/// 0, which no finite statistic expresses: [`chi_square`] has
/// no such trouble. [`Error::Length`] for
/// different cells, [`Error::Invalid`] for shares that are negative or not finite.
///
/// # References
/// Pearson (1900), doi:10.1080/14786440009463897.
pub fn chi_square_goodness_of_fit(
    reference: ReferenceShares<'_>,
    current: &[u64],
) -> Result<ChiSquare> {
    const WHAT: &str = "chi-square's goodness of fit";
    // What each category expects, and what it has beyond that.
    let (cells, inflation): (Vec<(f64, f64)>, f64) = match reference {
        ReferenceShares::Known(shares) => {
            let (_, m) = check(WHAT, &vec![1; shares.len()], current)?;
            let sum: f64 = shares.iter().sum();
            let sound = shares.iter().all(|share| *share >= 0.0) && sum > 0.0 && sum.is_finite();
            if !sound {
                return Err(Error::invalid(
                    "the reference's shares",
                    "numbers that are not negative, and a sum above 0",
                    format_args!("{shares:?}"),
                ));
            }
            let expected = shares.iter().map(|share| share / sum * m as f64);
            (expected.zip(current).map(|(e, &c)| (e, c as f64 - e)).collect(), 1.0)
        }
        ReferenceShares::Sampled(counts) => {
            let (n, m) = check(WHAT, counts, current)?;
            let over = |product: i128| product as f64 / n as f64;
            let cell = |(&r, &c): (&u64, &u64)| {
                let expected = i128::from(r) * i128::from(m);
                (over(expected), over(i128::from(c) * i128::from(n) - expected))
            };
            (counts.iter().zip(current).map(cell).collect(), 1.0 + m as f64 / n as f64)
        }
    };
    let (mut statistic, mut used, mut min_expected) = (0.0, 0, f64::INFINITY);
    for (cell, ((expected, residual), count)) in cells.into_iter().zip(current).enumerate() {
        if expected > 0.0 {
            used += 1;
            min_expected = min_expected.min(expected);
            statistic += residual * (residual / expected);
        } else if *count > 0 {
            let reason = format!("category {cell} has {count} current rows and a share of 0");
            return Err(Error::undefined(WHAT, reason));
        }
    }
    ChiSquare::of(statistic / inflation, used, min_expected)
}
