//! The criteria of the literature by name, as values; [`gap`](crate::gap) has their limits.
//!
//! ```
//! use mlops_fairness::{Counts, Group, Method, MetricFrame, parity};
//!
//! let frame = MetricFrame::new(vec!["sex".into()], [
//!     (Group::of("F"), Counts::confusion(30, 10, 50, 10)), // 40 of 100 selected
//!     (Group::of("M"), Counts::confusion(30, 20, 40, 10)), // 50 of 100
//! ]);
//! let ratio = parity::demographic_parity_ratio(&frame, Method::BetweenGroups);
//! assert_eq!(ratio, Ok(0.8));
//! ```

use std::fmt;

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Composite, Group, Method, Metric, MetricFrame, Undefined, Value};

/// How the two gaps of equalized odds become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The worse of them.
    #[default]
    WorstCase,
    /// Their mean.
    Mean,
}

/// The largest difference of selection rates, in `[0, 1]`; 0 is parity. fairlearn:
/// `demographic_parity_difference`; also statistical parity.
///
/// # Errors
/// As [`MetricFrame::difference`].
pub fn demographic_parity_difference(frame: &MetricFrame, method: Method) -> Value {
    frame.difference(Metric::SelectionRate, method)
}

/// The smallest ratio of selection rates, in `[0, 1]`; 1 is parity. fairlearn:
/// `demographic_parity_ratio`.
///
/// # Errors
/// As [`MetricFrame::ratio`].
pub fn demographic_parity_ratio(frame: &MetricFrame, method: Method) -> Value {
    frame.ratio(Metric::SelectionRate, method)
}

/// The largest difference of true-positive rates, in `[0, 1]`. fairlearn:
/// `equal_opportunity_difference`. Hardt, Price and Srebro 2016, arXiv:1610.02413.
///
/// # Errors
/// As [`MetricFrame::difference`].
pub fn equal_opportunity_difference(frame: &MetricFrame, method: Method) -> Value {
    frame.difference(Metric::TruePositiveRate, method)
}

/// The smallest ratio of true-positive rates, in `[0, 1]`. fairlearn: `equal_opportunity_ratio`.
///
/// # Errors
/// As [`MetricFrame::ratio`].
pub fn equal_opportunity_ratio(frame: &MetricFrame, method: Method) -> Value {
    frame.ratio(Metric::TruePositiveRate, method)
}

/// The largest difference of false-positive rates, in `[0, 1]`: predictive equality.
///
/// # Errors
/// As [`MetricFrame::difference`].
pub fn predictive_equality_difference(frame: &MetricFrame, method: Method) -> Value {
    frame.difference(Metric::FalsePositiveRate, method)
}

/// The largest difference of positive predictive values, in `[0, 1]`. Chouldechova 2017,
/// doi:10.1089/big.2016.0047.
///
/// # Errors
/// As [`MetricFrame::difference`].
pub fn predictive_parity_difference(frame: &MetricFrame, method: Method) -> Value {
    frame.difference(Metric::PositivePredictiveValue, method)
}

/// The smallest ratio of positive predictive values, in `[0, 1]`.
///
/// # Errors
/// As [`MetricFrame::ratio`].
pub fn predictive_parity_ratio(frame: &MetricFrame, method: Method) -> Value {
    frame.ratio(Metric::PositivePredictiveValue, method)
}

/// The differences of true-positive and of false-positive rates as one, in `[0, 1]`. fairlearn:
/// `equalized_odds_difference`. Hardt, Price and Srebro 2016, arXiv:1610.02413.
///
/// # Errors
/// As [`MetricFrame::difference`], of either rate.
pub fn equalized_odds_difference(
    frame: &MetricFrame,
    method: Method,
    aggregate: Aggregate,
) -> Value {
    let tpr = frame.difference(Metric::TruePositiveRate, method)?;
    let fpr = frame.difference(Metric::FalsePositiveRate, method)?;
    Ok(match aggregate {
        Aggregate::WorstCase => tpr.max(fpr),
        Aggregate::Mean => f64::midpoint(tpr, fpr),
    })
}

/// The ratios of true-positive and of false-positive rates as one, in `[0, 1]`. fairlearn:
/// `equalized_odds_ratio`.
///
/// # Errors
/// As [`MetricFrame::ratio`], of either rate.
pub fn equalized_odds_ratio(frame: &MetricFrame, method: Method, aggregate: Aggregate) -> Value {
    let tpr = frame.ratio(Metric::TruePositiveRate, method)?;
    let fpr = frame.ratio(Metric::FalsePositiveRate, method)?;
    Ok(match aggregate {
        Aggregate::WorstCase => tpr.min(fpr),
        Aggregate::Mean => f64::midpoint(tpr, fpr),
    })
}

/// The largest difference of FN / FP, at least 0: are the wrongs of both kinds shared out alike?
/// Berk et al. 2021, doi:10.1177/0049124118782533.
///
/// # Errors
/// As [`MetricFrame::difference`]; a group without false positives has no such ratio.
pub fn treatment_equality_difference(frame: &MetricFrame, method: Method) -> Value {
    frame.difference(Composite::TreatmentRatio, method)
}

/// Demographic parity within each cell of the control features: the largest difference of
/// selection rates there. Kamiran, Žliobaitė and Calders 2013, doi:10.1007/s10115-012-0584-8.
pub fn conditional_statistical_parity(frame: &MetricFrame, method: Method) -> Vec<(Group, Value)> {
    let cells = frame.by_control().into_iter();
    cells.map(|(cell, frame)| (cell, demographic_parity_difference(&frame, method))).collect()
}

/// Which group the others are compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reference {
    /// This one.
    Group(Group),
    /// That of the most rows; of several the first.
    Largest,
    /// That of the highest rate; of several the first.
    Highest,
}

/// A group beside the reference group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Disparity {
    /// The group.
    pub group: Group,
    /// Its rate over that of the reference group, at least 0; 1 is parity.
    pub ratio: Value,
}

impl Disparity {
    /// The four-fifths rule, to both sides: whether the ratio lies in `[τ, 1/τ]`, τ = 0.8. `None`
    /// where there is no ratio. The rule knows nothing of how sure the rates are.
    ///
    /// 29 CFR § 1607.4 D; aequitas: `tau`.
    pub fn within_four_fifths(&self) -> Option<bool> {
        self.within(0.8)
    }

    /// Whether the ratio lies in `[tau, 1/tau]`; `None` where there is no ratio.
    pub fn within(&self, tau: f64) -> Option<bool> {
        self.ratio.as_ref().ok().map(|&ratio| ratio >= tau && ratio <= 1.0 / tau)
    }
}

impl fmt::Display for Disparity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ratio {
            Ok(ratio) => write!(f, "{}: {ratio:.4}", self.group),
            Err(undefined) => write!(f, "{}: {undefined}", self.group),
        }
    }
}

/// The rate of every group over that of the reference group: of
/// [`SelectionRate`](Metric::SelectionRate) the disparate impact. AIF360: `disparate_impact`;
/// aequitas: the disparities.
///
/// ```
/// use mlops_fairness::parity::{Reference, disparate_impact};
/// use mlops_fairness::{Counts, Group, MetricFrame, Metric};
///
/// let frame = MetricFrame::new(vec!["sex".into()], [
///     (Group::of("F"), Counts::confusion(30, 10, 50, 10)),
///     (Group::of("M"), Counts::confusion(40, 20, 30, 10)),
/// ]);
/// let impact = disparate_impact(&frame, Metric::SelectionRate, &Reference::Highest)?;
/// assert_eq!(impact[0].within_four_fifths(), Some(false)); // 40 % of F, 60 % of M
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotFound`] for a reference group that is not there; [`Error::Undefined`] where its
/// rate is undefined.
pub fn disparate_impact(
    frame: &MetricFrame,
    metric: Metric,
    reference: &Reference,
) -> Result<Vec<Disparity>> {
    let rates = frame.values(metric);
    let none = || Error::undefined(format!("disparities of {metric}"), "there is no group");
    // Of equal ones the first: the groups backwards, the last largest.
    let of = match reference {
        Reference::Group(group) => frame.group(group).map(|_| group).ok_or_else(|| {
            Error::NotFound { existing: Vec::new(), what: "group".into(), name: group.to_string() }
        })?,
        Reference::Largest => {
            let groups = frame.groups().collect::<Vec<_>>().into_iter().rev();
            groups.max_by_key(|(_, counts)| counts.rows()).ok_or_else(none)?.0
        }
        Reference::Highest => {
            let rates = rates
                .iter()
                .rev()
                .filter_map(|(group, rate)| rate.as_ref().ok().map(|&rate| (*group, rate)));
            rates.max_by(|a, b| a.1.total_cmp(&b.1)).ok_or_else(none)?.0
        }
    };
    let at = frame.group(of).ok_or_else(none)?;
    let what = || format!("{metric} of the reference group {of}");
    let whole = metric.value(at).map_err(|undefined| undefined.of(what()))?;
    let over = |rate: Value| match rate? {
        _ if whole == 0.0 => Err(Undefined::new(format!("{metric} of {of} is 0"))),
        rate => Ok(rate / whole),
    };
    let disparities = rates.into_iter();
    Ok(disparities
        .map(|(group, rate)| Disparity { group: group.clone(), ratio: over(rate) })
        .collect())
}

/// The smallest ε with e^−ε ≤ p/q ≤ e^ε for the shares of each outcome in any two groups, at
/// least 0; 0 is parity. The shares are smoothed: (n₁ + c/2) / (n + c) with a concentration c.
///
/// [`Metric::SelectionRate`] has that of the predictions, [`Metric::BaseRate`] that of the labels.
/// Foulds et al. 2020, doi:10.1109/ICDE48307.2020.00203. AIF360:
/// `smoothed_empirical_differential_fairness`, with c = 1.
///
/// # Errors
/// [`Undefined`] with fewer than two groups, or without smoothing where an outcome is missing in
/// a group.
pub fn differential_fairness(frame: &MetricFrame, metric: Metric, concentration: f64) -> Value {
    let share = |counts: &crate::Counts| {
        let rate = metric.of(counts);
        let (part, whole) = rate
            .weights
            .map_or((rate.numerator as f64, rate.denominator as f64), |(part, whole)| {
                (part.sum, whole.sum)
            });
        let whole = whole + concentration;
        if !(concentration >= 0.0 && whole > 0.0 && whole.is_finite()) {
            return Err(Undefined::new("no rows"));
        }
        Ok(((part + concentration / 2.0) / whole).clamp(0.0, 1.0))
    };
    let epsilon = |high: f64, low: f64| {
        if low > 0.0 {
            Ok((high / low).ln())
        } else {
            Err(Undefined::new(format!("an outcome of {metric} is missing in a group")))
        }
    };
    let of_frame = |share| frame_share(frame, share);
    let (low, high) = of_frame(&share)?;
    Ok(epsilon(high, low)?.max(epsilon(1.0 - low, 1.0 - high)?))
}

fn frame_share(
    frame: &MetricFrame,
    share: &dyn Fn(&crate::Counts) -> Value,
) -> Result<(f64, f64), Undefined> {
    // That there are two groups is what the difference says.
    frame.difference(|counts: &crate::Counts| share(counts), Method::BetweenGroups)?;
    let low = frame.group_min(|counts: &crate::Counts| share(counts))?;
    Ok((low, frame.group_max(|counts: &crate::Counts| share(counts))?))
}

/// By how much the predictions are less fair than the labels: [`differential_fairness`] of the
/// ones less that of the others. AIF360: `differential_fairness_bias_amplification`.
///
/// # Errors
/// As [`differential_fairness`].
pub fn bias_amplification(frame: &MetricFrame, concentration: f64) -> Value {
    Ok(differential_fairness(frame, Metric::SelectionRate, concentration)?
        - differential_fairness(frame, Metric::BaseRate, concentration)?)
}
