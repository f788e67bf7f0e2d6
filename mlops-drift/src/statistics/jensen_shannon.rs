//! The Jensen–Shannon divergence and distance of two tables of counts.

use std::fmt;

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::statistics::density::deviance;
use crate::statistics::shares::{LogBase, Shares};

/// What [`jensen_shannon`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JensenShannon {
    /// The divergence, in [0, 1] bits or [0, ln 2] nats. TFDV's `jensen_shannon_divergence` in
    /// bits.
    pub divergence: f64,
    /// Its root, which is a metric. `scipy.spatial.distance.jensenshannon(q, p, base)`: what
    /// Evidently (nats) and `NannyML` (bits) compute on their own bins.
    pub distance: f64,
    /// The base of the logarithm.
    pub base: LogBase,
}

impl fmt::Display for JensenShannon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { divergence, distance, base } = self;
        write!(f, "Jensen–Shannon divergence {divergence:.4} {base}, distance {distance:.4}")
    }
}

/// The Jensen–Shannon divergence of two samples of categories, and the distance that is its root:
/// `½ Σ pᵢ log(pᵢ / hᵢ) + ½ Σ qᵢ log(qᵢ / hᵢ)` with `h = (p + q) / 2`.
///
/// Symmetric and finite whatever cells are empty. Both forms go by the same name in the trade, in
/// either base; a threshold for one is none for another. A cell that is empty on both sides counts
/// for nothing.
///
/// ```
/// use mlops_drift::statistics::{LogBase, jensen_shannon};
/// let js = jensen_shannon(&[50, 50], &[90, 10], LogBase::Two)?;
/// assert!((js.divergence - 0.14679310243605215).abs() < 1e-15);
/// assert!((js.distance - 0.3831358798599423).abs() < 1e-15);
/// assert_eq!(jensen_shannon(&[1, 0], &[0, 1], LogBase::Two)?.divergence, 1.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a sample with no rows,
/// [`Length`](mlops_core::Error::Length) for different cells.
///
/// # References
/// Lin (1991), doi:10.1109/18.61115; Endres & Schindelin (2003), doi:10.1109/TIT.2003.813506.
pub fn jensen_shannon(reference: &[u64], current: &[u64], base: LogBase) -> Result<JensenShannon> {
    let mut sum = 0.0;
    for cell in Shares::plain("the Jensen–Shannon divergence", reference, current)?.cells() {
        let half = 0.5 * (cell.reference + cell.current);
        if half > 0.0 {
            // Both sums of shares are 1, so the linear terms of the deviances cancel.
            let by = 0.5 * cell.difference;
            sum += deviance(cell.current, half, by) + deviance(cell.reference, half, -by);
        }
    }
    let most = std::f64::consts::LN_2;
    let divergence = base.in_unit((0.5 * sum).min(most));
    Ok(JensenShannon { divergence, distance: divergence.sqrt(), base })
}
