//! The Hellinger distance of two tables of counts.

use mlops_core::Result;

use crate::statistics::shares::Shares;

/// The Hellinger distance of two samples of categories: `√(½ Σ (√pᵢ − √qᵢ)²)`, with `p` the current
/// shares and `q` those of the reference.
///
/// In [0, 1], symmetric, a metric; 1 where the samples share no cell. Equal to `√(1 − Σ √(pᵢ qᵢ))`,
/// but the squares lose no digits where the samples nearly agree. Empty cells need no rule.
///
/// ```
/// let distance = mlops_drift::statistics::hellinger(&[50, 50], &[90, 10])?;
/// assert!((distance - 0.3249196962329063).abs() < 1e-15);
/// assert_eq!(mlops_drift::statistics::hellinger(&[0, 5], &[7, 0])?, 1.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a sample with no rows,
/// [`Length`](mlops_core::Error::Length) for different cells.
///
/// # References
/// Hellinger (1909), doi:10.1515/crll.1909.136.210.
pub fn hellinger(reference: &[u64], current: &[u64]) -> Result<f64> {
    let mut sum = 0.0;
    for cell in Shares::plain("the Hellinger distance", reference, current)?.cells() {
        let roots = cell.reference.sqrt() + cell.current.sqrt();
        if roots > 0.0 {
            sum += (cell.difference / roots).powi(2);
        }
    }
    Ok((0.5 * sum).sqrt().min(1.0))
}
