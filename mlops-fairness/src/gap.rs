//! The gap of a rate between groups: differences, ratios and extremes, with limits that hold for
//! the worst pair.
//!
//! | operation | between groups | to overall |
//! |---|---|---|
//! | difference | every pair's Miettinen–Nurminen limits at 1 − α/pairs | each group's against all others, times the share of the others |
//! | ratio | the same with score limits of ratios | the same |
//! | group minimum, maximum | each group's Wilson limits at 1 − α/groups | |
//!
//! [`Limits`] takes Newcombe's limits of differences or Katz's of ratios by name. Where rows are
//! weighted every rate counts as Kish's effective number of rows.
//!
//! What is no rate has limits of its own in each group, and gaps get theirs from these by MOVER (Zou
//! and Donner 2008, doi:10.1002/sim.3095), ratios on the scale of logarithms:
//!
//! | of a group | limits |
//! |---|---|
//! | F1 | Wilson's of TP / (TP + FP + FN), which it grows with |
//! | balanced accuracy | of the two rates together, by MOVER |
//! | FN / FP | Wilson's of FN / (FN + FP), which it grows with |
//! | ROC AUC | DeLong's on the logit scale; with fewer than 20 rows of a label Hoeffding's, which always hold |
//! | log loss, Brier score, absolute and squared error | Student's t on the scale of logarithms |
//! | mean error, mean score, prediction, label | Student's t |
//! | calibration error | see below |
//!
//! A calibration error Σ w |d| is too large by chance: with errors of the bins' shares that are
//! normal, of sizes σ, it is at least the true one less z √(Σ w² σ²), and at most that much more than
//! the true one and √(2/π) Σ w σ (the concentration of Gaussian measure; Borell 1975,
//! doi:10.1007/BF01425510). So its limits begin at 0 where the model may well be calibrated.

use std::fmt;

use mlops_core::stats::Interval;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::measure::{Measure, Operation, Question};
use crate::{Estimates, Group, Metric, MetricFrame, Undefined};

mod arms;
mod limits;

use arms::Arms;
pub(crate) use arms::{others, rest};
pub use limits::{DifferenceLimits, Limits, RatioLimits};

/// The most groups of which every pair is compared, 2,016 pairs; see [`difference()`].
pub const MAX_PAIRED_GROUPS: usize = 64;

/// How far apart the groups are: the largest difference, or the smallest ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The name of the gap: `demographic_parity_difference`.
    pub name: String,
    /// The difference in `[0, 1]` (0 is parity), the ratio in `[0, 1]` (1 is parity), or the lowest
    /// or highest value.
    pub value: f64,
    /// Simultaneous limits over all pairs of groups, or over all groups.
    pub interval: Interval,
    /// The number behind it; of a criterion of several the one that decides.
    pub metric: Measure,
    /// The group of the highest value. Of a gap to everyone the group that is farthest away or, if that
    /// has less, everyone ([`Group::default`]).
    pub highest: (Group, GroupValue),
    /// The group of the lowest value; of a gap to everyone the other of the two.
    pub lowest: (Group, GroupValue),
}

/// A group's value, and what it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupValue {
    /// The value.
    pub value: f64,
    /// The rows that could count.
    pub rows: u64,
    /// Of a rate the rows that do, unless rows are weighted: then it is no share of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
}

impl fmt::Display for GroupValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Some(part) => write!(f, "{:.4} ({part}/{})", self.value, self.rows),
            None => write!(f, "{:.4} ({} rows)", self.value, self.rows),
        }
    }
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

/// What a question asks of the groups of a frame; [`difference()`] and [`ratio()`] say how.
///
/// ```
/// use mlops_core::arrow::array::{BooleanArray, Float64Array, StringArray};
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_fairness::{GroupScores, Measure, Operation, Question, ScoreMetric, gap};
///
/// let people = MemorySource::from(batch! {
///     "sex" => StringArray::from_iter_values((0..400).map(|i| ["F", "M"][i % 2])),
///     "paid" => (0..400).map(|i| Some(i % 3 == 0)).collect::<BooleanArray>(),
///     "score" => Float64Array::from_iter_values((0..400).map(|i| f64::from(i % 7) / 7.0)),
/// }?);
/// let frame = people.measure(&GroupScores::new("paid", "true", "score", ["sex"]))?;
/// let auc = Question::new(Measure::Score(ScoreMetric::RocAuc), Operation::GroupMin);
/// let least = gap::of(&frame, auc, 0.95)?;
/// assert!(least.value > 0.45 && least.interval.low > 0.35);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] where there are fewer than two groups to compare, none at all, or a group's
/// value is undefined: a gap that leaves a group out would be a silent pass. [`Error::Invalid`] for
/// a confidence outside (0, 1), and for what this frame does not have or no limits are known of.
pub fn of<C: Estimates>(
    frame: &MetricFrame<C>,
    question: Question,
    limits: impl Into<Limits>,
) -> Result<Gap> {
    scaled(frame, question, limits.into(), 1.0)
}

/// A value with its limits, or why there is none.
pub type WithLimits = Result<(GroupValue, Interval), Undefined>;

/// The value of every group with limits that belong to it alone.
///
/// # Errors
/// [`Error::Invalid`] for what this frame does not have or no limits are known of, and for a
/// confidence outside (0, 1).
pub fn by_group<C: Estimates>(
    frame: &MetricFrame<C>,
    measure: Measure,
    confidence: f64,
) -> Result<Vec<(Group, WithLimits)>> {
    Interval::new(0.0, 0.0, confidence)?;
    let [part] = measure.parts()[..] else {
        return Err(Error::invalid("a value of groups", "a single metric", measure.name()));
    };
    there::<C>(part, || format!("{measure} by group"))?;
    Question::new(part, Operation::GroupMax).check()?;
    frame
        .groups()
        .map(|(group, cell)| {
            let found = match cell.estimate(part, 1.0) {
                Err(undefined) => Err(undefined),
                Ok(estimate) => {
                    let (low, high) = estimate.interval(confidence)?;
                    Ok((GroupValue::of(&estimate), Interval::new(low, high, confidence)?))
                }
            };
            Ok((group.clone(), found))
        })
        .collect()
}

/// That a frame has a number.
fn there<C: Estimates>(measure: Measure, what: impl Fn() -> String) -> Result<()> {
    if C::has(measure) {
        return Ok(());
    }
    let known: Vec<_> = Measure::all().filter(|&m| m.parts().into_iter().all(C::has)).collect();
    let known: Vec<_> = known.into_iter().map(Measure::name).collect();
    let expected = format!("of {}: one of {}", C::WHAT, known.join(", "));
    Err(Error::invalid(what(), expected, measure.name()))
}

/// The gap that would be seen in so many times the rows, at the same values.
pub(crate) fn scaled<C: Estimates>(
    frame: &MetricFrame<C>,
    question: Question,
    limits: Limits,
    times: f64,
) -> Result<Gap> {
    // Before it is split among several statements, whose numbers nobody wrote.
    Interval::new(0.0, 0.0, limits.confidence)?;
    question.check()?;
    let parts = question.metric.parts();
    for &part in &parts {
        there::<C>(part, || question.name())?;
    }
    let each = limits.split(parts.len() as f64);
    let mut gaps = parts
        .iter()
        .map(|&part| Arms::of(frame, part, question, times)?.gap(question, each))
        .collect::<Result<Vec<_>>>()?
        .into_iter();
    let mut found =
        gaps.next().ok_or_else(|| Error::undefined(question.name(), "it has no rate"))?;
    let (mut low, mut high) = (found.interval.low, found.interval.high);
    for gap in gaps {
        let (a, b) = ((low, high), (gap.interval.low, gap.interval.high));
        if question.metric == Measure::MeanEqualizedOdds {
            (low, high) = (f64::midpoint(a.0, b.0), f64::midpoint(a.1, b.1));
            found.value = f64::midpoint(found.value, gap.value);
            continue;
        }
        // Of two things that should be small the larger, of two that should be large the smaller.
        let worse = if question.operation.has_floor() {
            (low, high) = (a.0.min(b.0), a.1.min(b.1));
            gap.value < found.value
        } else {
            (low, high) = (a.0.max(b.0), a.1.max(b.1));
            gap.value > found.value
        };
        if worse {
            found = gap;
        }
    }
    found.interval = Interval::new(low, high, limits.confidence)?;
    found.name = question.name();
    Ok(found)
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
/// As [`of`].
pub fn difference(frame: &MetricFrame, metric: Metric, limits: impl Into<Limits>) -> Result<Gap> {
    of(frame, Question::new(Measure::Rate(metric), Operation::Difference), limits)
}

/// The smallest ratio of the rate between two groups, the lower over the higher.
///
/// The limits hold for the worst pair, as in [`difference()`], from score intervals of the ratio.
///
/// fairlearn: `MetricFrame.ratio(method="between_groups")`. The four-fifths rule asks that the
/// ratio of selection rates be at least 0.8.
///
/// # Errors
/// As [`of`]; also where the rate is 0 in every group.
pub fn ratio(frame: &MetricFrame, metric: Metric, limits: impl Into<Limits>) -> Result<Gap> {
    of(frame, Question::new(Measure::Rate(metric), Operation::Ratio), limits)
}

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident: $measure:ident, $operation:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// As [`of`].
        pub fn $name(frame: &MetricFrame, limits: impl Into<Limits>) -> Result<Gap> {
            of(frame, Question::new(Measure::$measure, Operation::$operation), limits)
        }
    )*};
}

named! {
    /// The largest difference of selection rates. fairlearn: `demographic_parity_difference`.
    demographic_parity_difference: DemographicParity, Difference;
    /// The smallest ratio of selection rates. fairlearn: `demographic_parity_ratio`.
    demographic_parity_ratio: DemographicParity, Ratio;
    /// The largest difference of true-positive rates. fairlearn: `equal_opportunity_difference`.
    equal_opportunity_difference: EqualOpportunity, Difference;
    /// The smallest ratio of true-positive rates. fairlearn: `equal_opportunity_ratio`.
    equal_opportunity_ratio: EqualOpportunity, Ratio;
    /// The larger of the differences of true-positive and of false-positive rates; the limits hold
    /// for both together. fairlearn: `equalized_odds_difference(agg="worst_case")`.
    equalized_odds_difference: EqualizedOdds, Difference;
    /// The smaller of the ratios of true-positive and of false-positive rates; the limits hold for
    /// both together. fairlearn: `equalized_odds_ratio(agg="worst_case")`.
    equalized_odds_ratio: EqualizedOdds, Ratio;
    /// The largest difference of positive predictive values.
    predictive_parity_difference: PredictiveParity, Difference;
}

impl GroupValue {
    pub(crate) fn of(estimate: &Estimate) -> Self {
        Self { value: estimate.value, rows: estimate.rows, part: estimate.part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counts, GapKind};

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
        for kind in [GapKind::DemographicParityDifference, GapKind::DemographicParityRatio] {
            let kind = |frame: &MetricFrame, confidence: f64| kind.of(frame, confidence);
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
        for kind in [GapKind::DemographicParityDifference, GapKind::DemographicParityRatio] {
            let kind = |frame: &MetricFrame, confidence: f64| kind.of(frame, confidence);
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

    #[test]
    fn distances_from_everyone_are_those_from_all_others() {
        let all = frame(&[(30, 100), (90, 200), (40, 50)]);
        let question = Question::new(Measure::Rate(Metric::SelectionRate), Operation::Difference);
        let gap = of(&all, question.to_overall(), 0.95).unwrap();
        assert_eq!(gap.name, "selection_rate_difference_to_overall");
        let overall = 160.0 / 350.0;
        assert!((gap.value - (0.8 - overall)).abs() < 1e-15, "{gap}");
        assert!(gap.interval.low > 0.1 && gap.interval.high < 0.5, "{gap}");
        let question = Question::new(Measure::Rate(Metric::SelectionRate), Operation::Ratio);
        let gap = of(&all, question.to_overall(), 0.95).unwrap();
        assert!((gap.value - overall / 0.8).abs() < 1e-15, "{gap}");
        assert!(gap.interval.low > 0.3 && gap.interval.high < 0.8, "{gap}");
        // Of two groups, s of everyone and 1 − s: the larger of (1 − s) and s of their distance.
        let two = frame(&[(30, 100), (60, 300)]);
        let question = Question::new(Measure::Rate(Metric::SelectionRate), Operation::Difference);
        let gap = of(&two, question.to_overall(), 0.9).unwrap();
        assert!((gap.value - 0.75 * 0.1).abs() < 1e-15, "{gap}");
        let pair = of(&two, question, 0.95).unwrap();
        assert!((gap.interval.high - 0.75 * pair.interval.high).abs() < 1e-9, "{gap} {pair}");
    }

    #[test]
    fn the_lowest_and_the_highest_rate_have_limits() {
        let all = frame(&[(30, 100), (90, 200), (40, 50)]);
        let of = |operation| {
            let question = Question::new(Measure::DemographicParity, operation);
            of(&all, question, 0.95).unwrap()
        };
        let (low, high) = (of(Operation::GroupMin), of(Operation::GroupMax));
        assert_eq!((low.value, high.value), (0.3, 0.8));
        assert!(low.interval.low < 0.21 && low.interval.high < 0.45, "{low}");
        assert!(high.interval.low > 0.6 && high.interval.high > 0.88, "{high}");
        // One group has a lowest rate, but no gap.
        let one = frame(&[(30, 100)]);
        let question = Question::new(Measure::DemographicParity, Operation::GroupMin);
        assert_eq!(super::of(&one, question, 0.95).unwrap().value, 0.3);
        let question = Question::new(Measure::DemographicParity, Operation::Difference);
        assert!(super::of(&one, question.to_overall(), 0.95).is_err());
        assert!(super::of(&frame(&[]), question, 0.95).is_err());
    }

    #[test]
    fn other_limits_by_name() {
        let all = frame(&[(56, 70), (48, 80)]);
        let newcombe = Limits::new(0.95).difference(DifferenceLimits::Newcombe);
        let gap = demographic_parity_difference(&all, newcombe).unwrap();
        // Newcombe 1998, table II, case (a), method 10.
        assert_eq!(format!("{}", gap.interval), "[0.0524, 0.3339]");
        let log = Limits::new(0.95).ratio(RatioLimits::Log);
        let gap = demographic_parity_ratio(&all, log).unwrap();
        let half = 1.959963984540054 * (0.2 / 56.0 + 0.4 / 48.0_f64).sqrt();
        assert!((gap.interval.low - 0.75 * (-half).exp()).abs() < 1e-12, "{gap}");
        // Where a rate is 0 the score limits stand in.
        let gap = demographic_parity_ratio(&frame(&[(0, 50), (25, 50)]), log).unwrap();
        assert_eq!((gap.value, gap.interval.low), (0.0, 0.0));
    }

    #[test]
    fn the_mean_of_two_gaps_lies_between_them() {
        let group = |name: &str, counts| (Group { values: vec![Some(name.to_owned())] }, counts);
        let all = MetricFrame::new(
            vec!["g".into()],
            [
                group("a", Counts::confusion(80, 30, 70, 20)),
                group("b", Counts::confusion(60, 20, 80, 40)),
            ],
        );
        let mean = Question::new(Measure::MeanEqualizedOdds, Operation::Difference);
        let gap = of(&all, mean, 0.95).unwrap();
        assert!((gap.value - 0.15).abs() < 1e-15 && gap.interval.contains(0.15), "{gap}");
        assert_eq!(gap.name, "mean_equalized_odds_difference");
        let worst = equalized_odds_difference(&all, 0.95).unwrap();
        assert!(
            (worst.value - 0.2).abs() < 1e-15
                && worst.metric == Measure::Rate(Metric::TruePositiveRate)
        );
    }
}
