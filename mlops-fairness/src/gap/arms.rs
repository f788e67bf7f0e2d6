//! The groups of a gap beside each other, and the limits that hold for all of them together.

use mlops_core::stats::{Interval, Share};
use mlops_core::{Error, Result};

use super::{Gap, GroupValue, Limits, MAX_PAIRED_GROUPS};
use crate::estimate::{Estimate, Limited};
use crate::measure::{Measure, Operation, Question};
use crate::{Estimates, Group, Method, MetricFrame, Rate};

/// A group and its number.
struct Arm {
    group: Group,
    estimate: Estimate,
    /// All others, and how much of everyone the group is.
    rest: Option<(Estimate, f64)>,
}

pub(super) struct Arms {
    metric: Measure,
    groups: Vec<Arm>,
    overall: Option<GroupValue>,
}

impl Arms {
    pub(super) fn of<C: Estimates>(
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

    pub(super) fn gap(&self, question: Question, limits: Limits) -> Result<Gap> {
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
