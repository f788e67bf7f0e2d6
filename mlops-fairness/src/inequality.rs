//! Generalised entropy of the benefit that predictions give: how unequal it is, between groups
//! and within them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::counts::total;
use crate::{Counts, GroupCell, MetricFrame, Undefined, Value};

/// A generalised entropy index, and which part of it lies between groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inequality {
    /// The index over everyone, at least 0; 0 is equality.
    pub total: f64,
    /// What is left of it where everyone has the mean of his group.
    pub between: f64,
    /// The rest.
    pub within: f64,
}

impl fmt::Display for Inequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, between, within } = self;
        write!(f, "{total:.4}: {between:.4} between groups, {within:.4} within")
    }
}

/// The generalised entropy index of the benefit b = ŷ − y + 1 of each row that has a label and a
/// prediction: 1 where the prediction is right, 2 where it is wrongly positive, 0 where it is
/// wrongly negative.
///
/// With μ the mean benefit, the mean of ((b/μ)^α − 1) / (α(α − 1)); for α = 1 of (b/μ) ln(b/μ),
/// the Theil index; for α = 0 of −ln(b/μ).
///
/// Speicher et al. 2018, doi:10.1145/3219819.3220046. AIF360: `generalized_entropy_index`, which
/// divides by μ once more for α = 0.
///
/// ```
/// use mlops_fairness::{Counts, Group, MetricFrame, inequality};
/// let frame = MetricFrame::new(vec!["sex".into()], [
///     (Group::of("F"), Counts::confusion(30, 10, 50, 10)),
///     (Group::of("M"), Counts::confusion(30, 20, 40, 10)),
/// ]);
/// let found = inequality::generalized_entropy(&frame, 2.0).unwrap();
/// assert!(found.between > 0.0 && found.between < 0.05 * found.within);
/// ```
///
/// # Errors
/// [`Undefined`] without rows, where nobody has a benefit, and for α ≤ 0 where somebody has none.
pub fn generalized_entropy(frame: &MetricFrame, alpha: f64) -> Result<Inequality, Undefined> {
    let benefits = |counts: &Counts| {
        let [tp, fp, tn, fn_] = counts.weighted_confusion();
        [(fn_, 0.0), (tp + tn, 1.0), (fp, 2.0)]
    };
    // Rows of no group are in neither part.
    let mut everyone = Counts::default();
    frame.groups().for_each(|(_, counts)| everyone.add(counts));
    let index = of(&benefits(&everyone), alpha)?;
    let groups: Vec<_> = frame
        .groups()
        .filter_map(|(_, counts)| {
            let benefits = benefits(counts);
            let rows = total(benefits.iter().map(|(rows, _)| *rows));
            (rows > 0.0).then(|| (rows, total(benefits.iter().map(|(n, b)| n * b)) / rows))
        })
        .collect();
    let between = of(&groups, alpha)?;
    Ok(Inequality { total: index, between, within: (index - between).max(0.0) })
}

/// The Theil index, [`generalized_entropy`] with α = 1. AIF360: `theil_index`.
///
/// # Errors
/// As [`generalized_entropy`].
pub fn theil(frame: &MetricFrame) -> Result<Inequality, Undefined> {
    generalized_entropy(frame, 1.0)
}

/// The root of twice the index with α = 2, at least 0. AIF360: `coefficient_of_variation`.
///
/// # Errors
/// As [`generalized_entropy`].
pub fn coefficient_of_variation(frame: &MetricFrame) -> Value {
    Ok((2.0 * generalized_entropy(frame, 2.0)?.total).sqrt())
}

/// The index of so many rows of each benefit.
fn of(benefits: &[(f64, f64)], alpha: f64) -> Value {
    if !alpha.is_finite() {
        return Err(Undefined::new("alpha is no finite number"));
    }
    let rows = total(benefits.iter().map(|(rows, _)| *rows));
    if rows <= 0.0 {
        return Err(Undefined::new("no rows with a label and a prediction"));
    }
    let mean = total(benefits.iter().map(|(rows, benefit)| rows * benefit)) / rows;
    if mean == 0.0 {
        return Err(Undefined::new("nobody has a benefit"));
    }
    let there = || benefits.iter().filter(|(rows, _)| *rows > 0.0);
    if alpha <= 0.0 && there().any(|(_, benefit)| *benefit == 0.0) {
        return Err(Undefined::new("somebody has no benefit, and alpha is not above 0"));
    }
    let term = |share: f64| {
        if alpha == 1.0 {
            if share == 0.0 { 0.0 } else { share * share.ln() }
        } else if alpha == 0.0 {
            -share.ln()
        } else {
            (share.powf(alpha) - 1.0) / (alpha * (alpha - 1.0))
        }
    };
    let index = total(there().map(|(rows, benefit)| rows * term(benefit / mean))) / rows;
    if index.is_finite() { Ok(index.max(0.0)) } else { Err(Undefined::new("too large for f64")) }
}
