//! The gap of a rate between groups: differences and ratios, with limits that hold for the worst
//! pair.

use std::fmt;

use mlops_core::stats::{
    Interval, Proportion, ProportionPair, miettinen_nurminen_difference, miettinen_nurminen_ratio,
    wilson,
};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Group, Metric, MetricFrame, Rate};

/// The most groups of which every pair is compared, 2,016 pairs; see [`difference()`].
pub const MAX_PAIRED_GROUPS: usize = 64;

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
/// Of more than [`MAX_PAIRED_GROUPS`] groups, whose pairs are too many, each group gets a Wilson
/// interval at `1 − (1 − confidence) / groups` instead, and the limits follow from these: about a
/// tenth wider at 100 groups of one size.
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
    if rates.len() > MAX_PAIRED_GROUPS {
        // Every rate lies in its own interval: the largest gap is at most that between the ends
        // of all, and at least the space between the lowest interval and the highest.
        let ends = Ends::of(&rates, confidence)?;
        limits = ((ends.highest_low - ends.lowest_high).max(0.0), ends.highest - ends.lowest);
    } else {
        for_pairs(&rates, |a, b, pairs| {
            let each = 1.0 - (1.0 - confidence) / pairs;
            let interval = miettinen_nurminen_difference(pair(a, b), each)?;
            limits.0 = limits.0.max(interval.low).max(-interval.high);
            limits.1 = limits.1.max(interval.high).max(-interval.low);
            Ok(())
        })?;
    }
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
    if rates.len() > MAX_PAIRED_GROUPS {
        let ends = Ends::of(&rates, confidence)?;
        // Neither is divided by 0: the highest rate is not, and its interval has some width.
        let apart = ends.lowest_high < ends.highest_low;
        let high = if apart { ends.lowest_high / ends.highest_low } else { 1.0 };
        limits = (ends.lowest / ends.highest, high);
    } else {
        ratio_of_pairs(&rates, confidence, &mut limits)?;
    }
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

fn ratio_of_pairs(rates: &[(Group, Rate)], confidence: f64, limits: &mut (f64, f64)) -> Result<()> {
    for_pairs(rates, |a, b, pairs| {
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

/// The ends of the simultaneous intervals of the groups' rates.
struct Ends {
    lowest: f64,
    highest: f64,
    lowest_high: f64,
    highest_low: f64,
}

impl Ends {
    fn of(rates: &[(Group, Rate)], confidence: f64) -> Result<Self> {
        let each = 1.0 - (1.0 - confidence) / rates.len() as f64;
        let mut ends = Self { lowest: 1.0, highest: 0.0, lowest_high: 1.0, highest_low: 0.0 };
        for (_, rate) in rates {
            let interval = wilson(rate.numerator, rate.denominator, each)?;
            ends.lowest = ends.lowest.min(interval.low);
            ends.highest = ends.highest.max(interval.high);
            ends.lowest_high = ends.lowest_high.min(interval.high);
            ends.highest_low = ends.highest_low.max(interval.low);
        }
        Ok(ends)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counts;

    /// Groups of these many selected of these many rows.
    fn frame(groups: &[(u64, u64)]) -> MetricFrame {
        let groups = groups.iter().enumerate().map(|(i, &(selected, n))| {
            let group = Group { values: vec![Some(format!("g{i:05}"))] };
            (group, Counts::confusion(0, selected, n - selected, 0))
        });
        MetricFrame::new(vec!["g".into()], groups)
    }

    #[test]
    fn two_groups_have_the_score_interval_itself() {
        let gap = demographic_parity_difference(&frame(&[(56, 70), (48, 80)]), 0.95).unwrap();
        assert!((gap.value - 0.2).abs() < 1e-15);
        assert_eq!(format!("{}", gap.interval), "[0.0528, 0.3382]");
        assert_eq!(gap.highest.0.to_string(), "g00000");
    }

    #[test]
    fn limits_of_a_gap_that_may_be_none_begin_at_none() {
        let equal = frame(&[(40, 100), (40, 100), (41, 100)]);
        let gap = demographic_parity_difference(&equal, 0.95).unwrap();
        assert_eq!(gap.interval.low, 0.0);
        assert!(gap.interval.high > 0.1);
        let gap = demographic_parity_ratio(&equal, 0.95).unwrap();
        assert_eq!(gap.interval.high, 1.0);
    }

    #[test]
    fn a_rate_of_0_in_one_group_is_a_ratio_of_0_and_in_all_undefined() {
        let gap = demographic_parity_ratio(&frame(&[(0, 50), (25, 50)]), 0.95).unwrap();
        assert_eq!((gap.value, gap.interval.low), (0.0, 0.0));
        assert!(gap.interval.high < 0.5, "{gap}");
        // Two groups without a success say nothing of each other's ratio.
        let gap = demographic_parity_ratio(&frame(&[(0, 50), (0, 9), (25, 50)]), 0.95).unwrap();
        assert_eq!((gap.value, gap.interval.low), (0.0, 0.0));
        assert!(gap.interval.high > 0.0 && gap.interval.high < 0.8, "{gap}");
        let none = demographic_parity_ratio(&frame(&[(0, 50), (0, 50)]), 0.95);
        assert!(matches!(none, Err(Error::Undefined { .. })));
    }

    #[test]
    fn limits_widen_with_confidence_and_shut_with_rows() {
        let groups = |times: u64| frame(&[(30 * times, 100 * times), (45 * times, 100 * times)]);
        for kind in [demographic_parity_difference, demographic_parity_ratio] {
            let of = |times, confidence| kind(&groups(times), confidence).unwrap().interval;
            assert!(of(1, 0.99).width() > of(1, 0.9).width());
            assert!(of(100, 0.95).width() < of(1, 0.95).width() / 5.0);
            for confidence in [0.0, 1.0, -0.5, f64::NAN] {
                assert!(kind(&groups(1), confidence).is_err(), "{confidence}");
            }
        }
    }

    #[test]
    fn many_groups_have_limits_like_those_of_pairs_in_no_time() {
        let groups =
            |n: u64| -> Vec<_> { (0..n).map(|i| (3000 + 13 * (i % 50), 10_000)).collect() };
        let (pairs, each) = (frame(&groups(64)), frame(&groups(65)));
        for kind in [demographic_parity_difference, demographic_parity_ratio] {
            let (pairs, each) = (kind(&pairs, 0.95).unwrap(), kind(&each, 0.95).unwrap());
            assert_eq!(pairs.value, each.value);
            let ratio = each.interval.width() / pairs.interval.width();
            assert!((0.8..1.4).contains(&ratio), "{pairs} and {each}");
        }
        let many = frame(&groups(10_000));
        let gap = demographic_parity_difference(&many, 0.95).unwrap();
        assert!(gap.interval.contains(gap.value), "{gap}");
        // Most have none at all.
        let mut rare = vec![(0, 5); 200];
        rare.push((5, 5));
        let gap = demographic_parity_ratio(&frame(&rare), 0.95).unwrap();
        assert_eq!((gap.value, gap.interval.low), (0.0, 0.0));
    }

    #[test]
    fn huge_counts_are_no_trouble() {
        let huge = frame(&[(u64::MAX / 3, u64::MAX), (u64::MAX / 2, u64::MAX)]);
        let gap = demographic_parity_difference(&huge, 0.95).unwrap();
        assert!((gap.value - 1.0 / 6.0).abs() < 1e-15 && gap.interval.width() < 1e-6, "{gap}");
        assert!(demographic_parity_ratio(&huge, 0.95).is_ok());
    }
}
