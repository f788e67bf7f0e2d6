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

use mlops_core::stats::{Interval, Share};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, Limited};
use crate::measure::{Measure, Operation, Question};
use crate::{Estimates, Group, Method, Metric, MetricFrame, Rate, Undefined};

/// The most groups of which every pair is compared, 2,016 pairs; see [`difference()`].
pub const MAX_PAIRED_GROUPS: usize = 64;

/// The interval of a difference of two independent rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DifferenceLimits {
    /// Miettinen and Nurminen's score limits.
    #[default]
    MiettinenNurminen,
    /// Newcombe's, from two Wilson intervals.
    Newcombe,
}

/// The interval of a ratio of two independent rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RatioLimits {
    /// Koopman's score limits, with Miettinen and Nurminen's factor.
    #[default]
    Score,
    /// Katz's on the log scale; where a rate is 0, which they are not defined for, the score
    /// limits.
    Log,
}

/// Which limits, and their confidence. A number is the confidence of the default ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// The confidence, in (0, 1).
    pub confidence: f64,
    /// Of differences.
    #[serde(default)]
    pub difference: DifferenceLimits,
    /// Of ratios.
    #[serde(default)]
    pub ratio: RatioLimits,
}

impl Limits {
    /// Miettinen and Nurminen's limits at this confidence.
    pub fn new(confidence: f64) -> Self {
        let (difference, ratio) = (DifferenceLimits::default(), RatioLimits::default());
        Self { confidence, difference, ratio }
    }

    /// The same with these limits of differences.
    #[must_use]
    pub fn difference(mut self, limits: DifferenceLimits) -> Self {
        self.difference = limits;
        self
    }

    /// The same with these limits of ratios.
    #[must_use]
    pub fn ratio(mut self, limits: RatioLimits) -> Self {
        self.ratio = limits;
        self
    }

    /// The same where each of several statements must hold.
    #[must_use]
    fn split(mut self, statements: f64) -> Self {
        self.confidence = 1.0 - (1.0 - self.confidence) / statements;
        self
    }
}

impl From<f64> for Limits {
    fn from(confidence: f64) -> Self {
        Self::new(confidence)
    }
}

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

/// A group and its number.
struct Arm {
    group: Group,
    estimate: Estimate,
    /// All others, and how much of everyone the group is.
    rest: Option<(Estimate, f64)>,
}

struct Arms {
    metric: Measure,
    groups: Vec<Arm>,
    overall: Option<GroupValue>,
}

impl Arms {
    fn of<C: Estimates>(
        frame: &MetricFrame<C>,
        metric: Measure,
        question: Question,
        times: f64,
    ) -> Result<Self> {
        let what = || format!("{question} between groups of {}", frame.features().join(" × "));
        let needed = if question.operation.compares() { 2 } else { 1 };
        let mut arms: Vec<Arm> = Vec::with_capacity(frame.groups().len());
        for (group, cell) in frame.groups() {
            let estimate = cell.estimate(metric, times).map_err(|undefined| {
                Error::undefined(what(), format!("in {group} {metric} is {undefined}"))
            })?;
            let rest = match question.method {
                Method::ToOverall => C::rest(frame.total(), cell, metric, times),
                Method::BetweenGroups => None,
            };
            arms.push(Arm { group: group.clone(), estimate, rest });
        }
        if arms.len() < needed {
            let found =
                arms.first().map_or("no group".to_owned(), |arm| format!("only {}", arm.group));
            if frame.features().is_empty() {
                return Err(Error::undefined(question.name(), "there are no sensitive features"));
            }
            return Err(Error::undefined(what(), format!("there is {found}")));
        }
        let overall = frame.total().estimate(metric, times).ok();
        let overall = overall.map(|total| GroupValue::of(&total));
        Ok(Self { metric, groups: arms, overall })
    }

    fn gap(&self, question: Question, limits: Limits) -> Result<Gap> {
        let (high, low) = self.extremes()?;
        let (top, bottom) = (high.estimate.value, low.estimate.value);
        let (value, (from, upto)) = match (question.operation, question.method) {
            (Operation::Difference, Method::BetweenGroups) => {
                (top - bottom, self.difference(limits)?)
            }
            (Operation::Ratio, Method::BetweenGroups) => {
                if top == 0.0 {
                    let what = question.name();
                    return Err(Error::undefined(what, "it is 0 in every group"));
                }
                (bottom / top, self.ratio(limits)?)
            }
            (Operation::GroupMin, _) => (bottom, self.ends(limits)?.lowest()),
            (Operation::GroupMax, _) => (top, self.ends(limits)?.highest()),
            (operation, Method::ToOverall) => self.to_overall(question, operation, limits)?,
        };
        let of = |arm: &Arm| (arm.group.clone(), GroupValue::of(&arm.estimate));
        let (highest, lowest) = match (question.method, self.overall) {
            (Method::ToOverall, Some(overall)) if question.operation.compares() => {
                let arm = of(self.farthest(question.operation, overall.value).unwrap_or(high));
                let everyone = (Group::default(), overall);
                if arm.1.value >= overall.value { (arm, everyone) } else { (everyone, arm) }
            }
            _ => (of(high), of(low)),
        };
        Ok(Gap {
            name: question.name(),
            value,
            interval: Interval::new(from.min(value), upto.max(value), limits.confidence)?,
            metric: self.metric,
            highest,
            lowest,
        })
    }

    /// The group that is farthest from everyone, of equal ones the first.
    fn farthest(&self, operation: Operation, overall: f64) -> Option<&Arm> {
        let apart = |arm: &Arm| {
            let value = arm.estimate.value;
            if operation == Operation::Ratio {
                let ratio = value / overall;
                1.0 - ratio.min(ratio.recip())
            } else {
                (value - overall).abs()
            }
        };
        let arms = self.groups.iter().filter(|arm| arm.rest.is_some());
        arms.reduce(|first, arm| if apart(arm) > apart(first) { arm } else { first })
    }

    /// Of equal values the first group.
    fn extremes(&self) -> Result<(&Arm, &Arm)> {
        let none = || Error::undefined(self.metric.name(), "there is no group");
        let (first, others) = self.groups.split_first().ok_or_else(none)?;
        Ok(others.iter().fold((first, first), |(high, low), arm| {
            let value = arm.estimate.value;
            (
                if value > high.estimate.value { arm } else { high },
                if value < low.estimate.value { arm } else { low },
            )
        }))
    }

    fn difference(&self, limits: Limits) -> Result<(f64, f64)> {
        if self.groups.len() > MAX_PAIRED_GROUPS {
            // Every value lies in its own interval: the largest gap is at most that between the
            // ends of all, and at least the space between the lowest interval and the highest.
            let ends = self.ends(limits)?;
            return Ok(((ends.highest_low - ends.lowest_high).max(0.0), ends.high - ends.low));
        }
        let mut found = (0.0_f64, 0.0_f64);
        self.pairs(limits, |a, b| {
            let (low, high) = a.difference(b)?;
            found.0 = found.0.max(low).max(-high);
            found.1 = found.1.max(high).max(-low);
            Ok(())
        })?;
        Ok(found)
    }

    fn ratio(&self, limits: Limits) -> Result<(f64, f64)> {
        if self.groups.len() > MAX_PAIRED_GROUPS {
            let ends = self.ends(limits)?;
            // Neither is divided by 0: the highest value is not, and its interval has some width.
            let apart = ends.lowest_high < ends.highest_low;
            let high = if apart { ends.lowest_high / ends.highest_low } else { 1.0 };
            let low = if ends.high > 0.0 { ends.low / ends.high } else { 0.0 };
            return Ok((low, high));
        }
        let mut found = (1.0_f64, 1.0_f64);
        self.pairs(limits, |a, b| {
            for (a, b) in [(a, b), (b, a)] {
                let (low, high) = a.ratio(b)?;
                found.0 = found.0.min(low);
                found.1 = found.1.min(high);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Each group against all others, who are independent of it: with the share s of everyone that
    /// it is, its distance from everyone is 1 − s of its distance from the others, and its ratio ρ
    /// to them makes one of ρ/(s ρ + 1 − s) to everyone.
    fn to_overall(
        &self,
        question: Question,
        operation: Operation,
        limits: Limits,
    ) -> Result<(f64, (f64, f64))> {
        let overall = self
            .overall
            .ok_or_else(|| Error::undefined(question.name(), "it is undefined over everyone"))?
            .value;
        let each = limits.split(self.groups.len() as f64);
        if operation == Operation::Difference {
            let (mut value, mut found) = (0.0_f64, (0.0_f64, 0.0_f64));
            for arm in &self.groups {
                let Some((rest, s)) = &arm.rest else { continue };
                value = value.max((arm.estimate.value - overall).abs());
                let (low, high) = arm.estimate.at(each)?.difference(&rest.at(each)?)?;
                let (low, high) = (low * (1.0 - s), high * (1.0 - s));
                found = (found.0.max(low).max(-high), found.1.max(high).max(-low));
            }
            return Ok((value, found));
        }
        if overall == 0.0 {
            return Err(Error::undefined(question.name(), "it is 0 in every group"));
        }
        let (mut value, mut found) = (1.0_f64, (1.0_f64, 1.0_f64));
        for arm in &self.groups {
            let Some((rest, s)) = &arm.rest else { continue };
            let own = arm.estimate.value / overall;
            value = value.min(own).min(own.recip());
            let to_everyone = |ratio: f64| {
                if ratio.is_finite() { ratio / (s * ratio + 1.0 - s) } else { s.recip() }
            };
            let (low, high) = arm.estimate.at(each)?.ratio(&rest.at(each)?)?;
            let (low, high) = (to_everyone(low), to_everyone(high));
            found = (found.0.min(low).min(high.recip()), found.1.min(high).min(low.recip()));
        }
        Ok((value, found))
    }

    /// The ends of the simultaneous intervals of the groups' values.
    fn ends(&self, limits: Limits) -> Result<Ends> {
        let each = limits.split(self.groups.len() as f64).confidence;
        let mut ends = Ends {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            lowest_high: f64::INFINITY,
            highest_low: f64::NEG_INFINITY,
        };
        for arm in &self.groups {
            let (low, high) = arm.estimate.interval(each)?;
            ends.low = ends.low.min(low);
            ends.high = ends.high.max(high);
            ends.lowest_high = ends.lowest_high.min(high);
            ends.highest_low = ends.highest_low.max(low);
        }
        Ok(ends)
    }

    fn pairs(
        &self,
        limits: Limits,
        mut each: impl FnMut(&Limited, &Limited) -> Result<()>,
    ) -> Result<()> {
        let pairs = (self.groups.len() * (self.groups.len() - 1) / 2) as f64;
        let limits = limits.split(pairs);
        let groups = self.groups.iter().map(|arm| arm.estimate.at(limits));
        let groups = groups.collect::<Result<Vec<_>>>()?;
        for (i, a) in groups.iter().enumerate() {
            for b in &groups[i + 1..] {
                each(a, b)?;
            }
        }
        Ok(())
    }
}

/// Everyone but a group, and the group's share of everyone; `None` where it is everyone.
pub(crate) fn rest(total: &Rate, rate: &Rate, times: f64) -> Option<(Share, f64)> {
    let (part, whole, n) =
        if let (Some((part, whole)), Some((own_part, own_whole))) = (total.weights, rate.weights) {
            let (sum, squares) = (whole.sum - own_whole.sum, whole.squares - own_whole.squares);
            // What rounding leaves of nobody is nobody.
            if sum <= 1e-12 * whole.sum || squares <= 0.0 {
                return None;
            }
            (part.sum - own_part.sum, sum, sum / squares * sum)
        } else {
            let n = total.denominator.saturating_sub(rate.denominator);
            let part = total.numerator.saturating_sub(rate.numerator);
            (part as f64, n as f64, n as f64)
        };
    if whole <= 0.0 {
        return None;
    }
    let everyone = total.weights.map_or(total.denominator as f64, |(_, whole)| whole.sum);
    let share = Share::new((part / whole).clamp(0.0, 1.0), (n * times).max(1.0)).ok()?;
    Some((share, (1.0 - whole / everyone).clamp(0.0, 1.0)))
}

/// Everyone but a group, as a share; `None` where the group is everyone.
pub(crate) fn others(total: &Rate, rate: &Rate) -> Option<Share> {
    rest(total, rate, 1.0).map(|(share, _)| share)
}

struct Ends {
    low: f64,
    high: f64,
    lowest_high: f64,
    highest_low: f64,
}

impl Ends {
    /// The limits of the lowest rate.
    fn lowest(&self) -> (f64, f64) {
        (self.low, self.lowest_high)
    }

    /// The limits of the highest rate.
    fn highest(&self) -> (f64, f64) {
        (self.highest_low, self.high)
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
