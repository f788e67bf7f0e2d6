//! The total variation distance of two tables of counts, with limits that hold at any size.

use std::fmt;

use mlops_core::Result;
use mlops_core::stats::Interval;
use serde::{Deserialize, Serialize};

use crate::statistics::psi::checked_confidence;
use crate::statistics::tables::Table;

/// What [`total_variation`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TotalVariation {
    /// `½ Σ |pᵢ − qᵢ|`, in [0, 1]: the share of rows that would have to move.
    pub value: f64,
    /// Confidence limits of the distance of the two populations.
    pub interval: Interval,
}

impl fmt::Display for TotalVariation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "total variation {:.4} {}", self.value, self.interval)
    }
}

/// The total variation distance `½ Σ |pᵢ − qᵢ|` of two samples of categories, with limits of the
/// distance of their populations.
///
/// The distance of two samples is too large on average, never too small (Jensen), and moves by at
/// most `1/n` or `1/m` when a row changes, so that it stays within `t = √(½ ln(2/α) (1/n + 1/m))`
/// of its mean (`McDiarmid`) with probability `1 − α/2` on either side. So the upper limit is
/// `value + t`, at any sample size; the lower is `value − t − b`, with the mean's excess bounded by
/// `b = ½ Σ √(pᵢ(1−pᵢ)/m + qᵢ(1−qᵢ)/n)`, where the shares are the samples'. Both limits together
/// hold with probability `confidence = 1 − α` and are wide rather than narrow; of many cells of a few
/// rows each `b`, and with it the lower limit, is not to be trusted.
///
/// ```
/// let tv = mlops_drift::statistics::total_variation(&[500, 500], &[800, 200], 0.95)?;
/// assert!((tv.value - 0.3).abs() < 1e-15 && tv.interval.low > 0.2 && tv.interval.high < 0.37);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a sample with no rows,
/// [`Length`](mlops_core::Error::Length) for different cells; a confidence outside (0, 1).
///
/// # References
/// `McDiarmid` (1989), doi:10.1017/CBO9781107359949.008.
pub fn total_variation(
    reference: &[u64],
    current: &[u64],
    confidence: f64,
) -> Result<TotalVariation> {
    with_added(reference, current, confidence, 0.0)
}

/// The same with so many rows more in every cell of the excess's bound: roots of sparse counts are
/// too small on average, and with ½ added they are not.
pub(crate) fn with_added(
    reference: &[u64],
    current: &[u64],
    confidence: f64,
    added: f64,
) -> Result<TotalVariation> {
    let table = Table::of("total variation", reference, current)?;
    let (n, m) = (table.n as f64, table.m as f64);
    let alpha = 1.0 - checked_confidence(confidence)?;
    let (mut moved, mut excess) = (0u128, 0.0);
    for &(r, c) in &table.pairs {
        moved +=
            (u128::from(r) * u128::from(table.m)).abs_diff(u128::from(c) * u128::from(table.n));
        let (q, p) = (((r as f64 + added) / n).min(1.0), ((c as f64 + added) / m).min(1.0));
        excess += 0.5 * (p * (1.0 - p) / m + q * (1.0 - q) / n).sqrt();
    }
    let value = 0.5 * moved as f64 / (n * m);
    let t = (0.5 * (2.0 / alpha).ln() * (1.0 / n + 1.0 / m)).sqrt();
    Ok(TotalVariation {
        value,
        interval: Interval::new((value - t - excess).max(0.0), (value + t).min(1.0), confidence)?,
    })
}
