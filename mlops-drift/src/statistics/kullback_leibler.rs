//! The Kullback–Leibler divergence of two tables of counts, both ways.

use std::fmt;

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::statistics::density::deviance;
use crate::statistics::shares::{Cell, LogBase, Shares, ZeroCells};

/// What [`kullback_leibler`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KullbackLeibler {
    /// `D(current ‖ reference) = Σ pᵢ log(pᵢ / qᵢ)`: what a code made for the reference wastes on
    /// the current data. `None` where it is infinite: a cell with current rows but none of the
    /// reference. `scipy.stats.entropy(p, q, base)`; Frouros's and driftwatch's direction.
    pub current_from_reference: Option<f64>,
    /// `D(reference ‖ current) = Σ qᵢ log(qᵢ / pᵢ)`; `None` where a cell has reference rows but no
    /// current ones. `scipy.stats.entropy(q, p, base)`; Evidently's direction.
    pub reference_from_current: Option<f64>,
    /// The base of the logarithm.
    pub base: LogBase,
}

impl fmt::Display for KullbackLeibler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |d: Option<f64>| d.map_or_else(|| "infinite".into(), |d| format!("{d:.4}"));
        write!(
            f,
            "Kullback–Leibler D(current ‖ reference) {}, D(reference ‖ current) {}, {}",
            text(self.current_from_reference),
            text(self.reference_from_current),
            self.base
        )
    }
}

/// The Kullback–Leibler divergence of two samples of categories, in both directions, with `p` the
/// current shares and `q` those of the reference.
///
/// `≥ 0`, no upper bound, not symmetric: name the direction with the number. The two sum to
/// [`psi`](crate::statistics::psi) (in nats). Under [`ZeroCells::Refuse`] a direction with an
/// infinite term is `None`; every other rule makes both finite. [`ZeroCells::Clip`] and
/// [`ZeroCells::AddToShares`] do not renormalise, so that a divergence may fall below 0 by as much
/// as was raised.
///
/// ```
/// use mlops_drift::statistics::{LogBase, ZeroCells, kullback_leibler};
/// let kl = kullback_leibler(&[50, 50], &[90, 10], ZeroCells::Refuse, LogBase::E)?;
/// assert!((kl.current_from_reference.unwrap() - 0.3680642071684971).abs() < 1e-15);
/// assert!((kl.reference_from_current.unwrap() - 0.5108256237659907).abs() < 1e-15);
/// let gone = kullback_leibler(&[5, 5], &[10, 0], ZeroCells::Refuse, LogBase::Two)?;
/// assert_eq!((gone.current_from_reference, gone.reference_from_current), (Some(1.0), None));
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a sample with no rows,
/// [`Length`](mlops_core::Error::Length) for different cells,
/// [`Invalid`](mlops_core::Error::Invalid) for a rule with a number that is not above 0.
///
/// # References
/// Kullback & Leibler (1951), doi:10.1214/aoms/1177729694.
pub fn kullback_leibler(
    reference: &[u64],
    current: &[u64],
    zero_cells: ZeroCells,
    base: LogBase,
) -> Result<KullbackLeibler> {
    let shares = Shares::of("the Kullback–Leibler divergence", reference, current, zero_cells)?;
    let raised = shares.are_raised();
    let (mut forth, mut back) = (Some(0.0), Some(0.0));
    for cell in shares.cells() {
        let Cell { reference: q, current: p, difference } = cell;
        // Where the shares sum to 1 the linear terms of the deviances cancel.
        let term = |x: f64, mean: f64, difference: f64, log: f64| {
            if mean > 0.0 {
                Some(if raised { x * log } else { deviance(x, mean, difference) })
            } else {
                (x == 0.0).then_some(0.0)
            }
        };
        let log = if raised { cell.log_ratio() } else { 0.0 };
        forth = forth.zip(term(p, q, difference, log)).map(|(sum, term)| sum + term);
        back = back.zip(term(q, p, -difference, -log)).map(|(sum, term)| sum + term);
    }
    Ok(KullbackLeibler {
        current_from_reference: forth.map(|d| base.in_unit(d)),
        reference_from_current: back.map(|d| base.in_unit(d)),
        base,
    })
}
