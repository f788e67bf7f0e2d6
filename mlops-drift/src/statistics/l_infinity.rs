//! The largest difference of a share of two tables of counts.

use mlops_core::Result;

use crate::statistics::shares::Shares;

/// The L∞ distance of two samples of categories: `max |pᵢ − qᵢ|`, the largest change of any one
/// share.
///
/// In [0, 1], symmetric, a metric. It does not grow with the number of categories, and does not
/// see a change that is spread over many. TFDV's `infinity_norm`.
///
/// ```
/// assert_eq!(mlops_drift::statistics::l_infinity(&[2, 1, 1], &[1, 1, 2])?, 0.25);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a sample with no rows,
/// [`Length`](mlops_core::Error::Length) for different cells.
pub fn l_infinity(reference: &[u64], current: &[u64]) -> Result<f64> {
    let shares = Shares::plain("the L∞ distance", reference, current)?;
    Ok(shares.cells().map(|cell| cell.difference.abs()).fold(0.0, f64::max))
}
