//! The gap of a rate between groups: differences and ratios, with limits that hold for the worst
//! pair.

use std::fmt;

use mlops_core::stats::{
    Interval, Proportion, ProportionPair, miettinen_nurminen_difference, miettinen_nurminen_ratio,
};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Group, Metric, MetricFrame, Rate};

/// How far apart the groups are: the largest difference, or the smallest ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The name of the gap: `demographic_parity_difference`.
    pub name: String,
    /// The difference in `[0, 1]` (0 is parity), or the ratio in `[0, 1]` (1 is parity).
    pub value: f64,
    /// Simultaneous limits over all pairs of groups.
    pub interval: Interval,
    /// The rate behind it.
    pub metric: Metric,
    /// The group of the highest rate.
    pub highest: (Group, Rate),
    /// The group of the lowest rate.
    pub lowest: (Group, Rate),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:.4} [{:.4}, {:.4}]: {} of {} is {}, of {} {}",
            self.name,
            self.value,
            self.interval.low,
            self.interval.high,
            self.metric,
            self.highest.0,
            self.highest.1,
            self.lowest.0,
            self.lowest.1
        )
    }
}

/// The largest difference of the rate between two groups.
///
/// The limits hold for the worst pair: every pair gets a Miettinen–Nurminen score interval at
/// `1 − (1 − confidence) / pairs` (Bonferroni), and the limits of the largest absolute difference
/// follow from all of them together. They are conservative; a percentile bootstrap of a maximum
/// is not an alternative, it never covers 0.
///
/// fairlearn: `MetricFrame.difference(method="between_groups")`.
///
/// # Errors
/// [`Error::Undefined`] where there are fewer than two groups, or a group's rate is undefined:
/// a gap that leaves a group out would be a silent pass.
pub fn difference(frame: &MetricFrame, metric: Metric, confidence: f64) -> Result<Gap> {
    let rates = defined(frame, metric, "difference")?;
    let (highest, lowest) = extremes(&rates);
    let mut limits = (0.0_f64, 0.0_f64);
    for_pairs(&rates, |a, b, pairs| {
        let each = 1.0 - (1.0 - confidence) / pairs;
        let interval = miettinen_nurminen_difference(pair(a, b), each)?;
        limits.0 = limits.0.max(interval.low).max(-interval.high);
        limits.1 = limits.1.max(interval.high).max(-interval.low);
        Ok(())
    })?;
    let value = highest.1.value.unwrap_or(0.0) - lowest.1.value.unwrap_or(0.0);
    Ok(Gap {
        name: format!("{metric}_difference"),
        value,
        // The point lies between the limits but for rounding in the last place.
        interval: Interval::new(limits.0.min(value), limits.1.max(value), confidence)?,
        metric,
        highest,
        lowest,
    })
}

/// The smallest ratio of the rate between two groups, the lower over the higher.
///
/// The limits hold for the worst pair, as in [`difference()`], from score intervals of the ratio.
///
/// fairlearn: `MetricFrame.ratio(method="between_groups")`. The four-fifths rule asks that the
/// ratio of selection rates be at least 0.8.
///
/// # Errors
/// As [`difference()`]; also where the rate is 0 in every group.
pub fn ratio(frame: &MetricFrame, metric: Metric, confidence: f64) -> Result<Gap> {
    let rates = defined(frame, metric, "ratio")?;
    let (highest, lowest) = extremes(&rates);
    let high = highest.1.value.unwrap_or(0.0);
    if high == 0.0 {
        return Err(Error::undefined(format!("{metric}_ratio"), "the rate is 0 in every group"));
    }
    let mut limits = (1.0_f64, 1.0_f64);
    for_pairs(&rates, |a, b, pairs| {
        let each = 1.0 - (1.0 - confidence) / pairs;
        for (a, b) in [(a, b), (b, a)] {
            // A pair without a single success says nothing about its ratio.
            let (low, high) = if a.numerator + b.numerator == 0 {
                (0.0, f64::INFINITY)
            } else {
                let interval = miettinen_nurminen_ratio(pair(a, b), each)?;
                (interval.low, interval.high)
            };
            limits.0 = limits.0.min(low);
            limits.1 = limits.1.min(high);
        }
        Ok(())
    })?;
    let value = lowest.1.value.unwrap_or(0.0) / high;
    Ok(Gap {
        name: format!("{metric}_ratio"),
        value,
        interval: Interval::new(limits.0.min(value), limits.1.max(value), confidence)?,
        metric,
        highest,
        lowest,
    })
}

fn named(mut gap: Gap, name: &str) -> Gap {
    name.clone_into(&mut gap.name);
    gap
}

/// The largest difference of selection rates. fairlearn: `demographic_parity_difference`.
///
/// # Errors
/// As [`difference()`].
pub fn demographic_parity_difference(frame: &MetricFrame, confidence: f64) -> Result<Gap> {
    difference(frame, Metric::SelectionRate, confidence)
        .map(|gap| named(gap, "demographic_parity_difference"))
}

/// The smallest ratio of selection rates. fairlearn: `demographic_parity_ratio`.
///
/// # Errors
/// As [`ratio()`].
pub fn demographic_parity_ratio(frame: &MetricFrame, confidence: f64) -> Result<Gap> {
    ratio(frame, Metric::SelectionRate, confidence)
        .map(|gap| named(gap, "demographic_parity_ratio"))
}

/// The largest difference of true-positive rates. fairlearn: `equal_opportunity_difference`.
///
/// # Errors
/// As [`difference()`].
pub fn equal_opportunity_difference(frame: &MetricFrame, confidence: f64) -> Result<Gap> {
    difference(frame, Metric::TruePositiveRate, confidence)
        .map(|gap| named(gap, "equal_opportunity_difference"))
}

/// The larger of the differences of true-positive and of false-positive rates; the limits hold
/// for both together. fairlearn: `equalized_odds_difference(agg="worst_case")`.
///
/// # Errors
/// As [`difference()`].
pub fn equalized_odds_difference(frame: &MetricFrame, confidence: f64) -> Result<Gap> {
    let each = f64::midpoint(1.0, confidence);
    let tpr = difference(frame, Metric::TruePositiveRate, each)?;
    let fpr = difference(frame, Metric::FalsePositiveRate, each)?;
    let low = tpr.interval.low.max(fpr.interval.low);
    let high = tpr.interval.high.max(fpr.interval.high);
    let mut worst = if fpr.value > tpr.value { fpr } else { tpr };
    worst.interval = Interval::new(low, high, confidence)?;
    Ok(named(worst, "equalized_odds_difference"))
}

/// The smaller of the ratios of true-positive and of false-positive rates; the limits hold for
/// both together. fairlearn: `equalized_odds_ratio(agg="worst_case")`.
///
/// # Errors
/// As [`ratio()`].
pub fn equalized_odds_ratio(frame: &MetricFrame, confidence: f64) -> Result<Gap> {
    let each = f64::midpoint(1.0, confidence);
    let tpr = ratio(frame, Metric::TruePositiveRate, each)?;
    let fpr = ratio(frame, Metric::FalsePositiveRate, each)?;
    let low = tpr.interval.low.min(fpr.interval.low);
    let high = tpr.interval.high.min(fpr.interval.high);
    let mut worst = if fpr.value < tpr.value { fpr } else { tpr };
    worst.interval = Interval::new(low, high, confidence)?;
    Ok(named(worst, "equalized_odds_ratio"))
}

fn defined(frame: &MetricFrame, metric: Metric, what: &str) -> Result<Vec<(Group, Rate)>> {
    let what = || format!("{metric}_{what} between groups of {}", frame.features().join(" × "));
    let rates: Vec<_> = frame.by_group(metric).map(|(g, r)| (g.clone(), r)).collect();
    if rates.len() < 2 {
        let found = rates.first().map_or("no group".to_owned(), |(g, _)| format!("only {g}"));
        return Err(Error::undefined(what(), format!("there is {found}")));
    }
    if let Some((group, rate)) = rates.iter().find(|(_, rate)| rate.value.is_none()) {
        return Err(Error::undefined(what(), format!("in {group} it is {rate}")));
    }
    Ok(rates)
}

/// The group of the highest and of the lowest rate; of equal ones the first.
fn extremes(rates: &[(Group, Rate)]) -> ((Group, Rate), (Group, Rate)) {
    // Fractions compare exactly as products of integers.
    let less = |a: &Rate, b: &Rate| {
        u128::from(a.numerator) * u128::from(b.denominator)
            < u128::from(b.numerator) * u128::from(a.denominator)
    };
    let (mut high, mut low) = (&rates[0], &rates[0]);
    for rate in rates {
        if less(&high.1, &rate.1) {
            high = rate;
        }
        if less(&rate.1, &low.1) {
            low = rate;
        }
    }
    (high.clone(), low.clone())
}

fn pair(a: &Rate, b: &Rate) -> ProportionPair {
    let of = |rate: &Rate| Proportion { successes: rate.numerator, n: rate.denominator };
    ProportionPair { current: of(a), reference: of(b) }
}

fn for_pairs(
    rates: &[(Group, Rate)],
    mut each: impl FnMut(&Rate, &Rate, f64) -> Result<()>,
) -> Result<()> {
    let pairs = (rates.len() * (rates.len() - 1) / 2) as f64;
    for (i, (_, a)) in rates.iter().enumerate() {
        for (_, b) in &rates[i + 1..] {
            each(a, b, pairs)?;
        }
    }
    Ok(())
}
