//! How many rows would settle a rule that is inconclusive.

use mlops_core::Verdict;

use super::fairness_gate::FairnessGate;
use super::frames::{Frames, with_frame};
use super::judging::Judging;
use super::rule::Rule;
use crate::MetricFrame;
use crate::estimate::Estimates;
use crate::gap::{self, DifferenceLimits, Limits, RatioLimits};

impl FairnessGate {
    /// The rules that are inconclusive for want of rows: each with the rows of its smallest group
    /// now, and how many it takes if the values stay as they are; `None` where the value lies at
    /// the bound itself, so that no number would do.
    pub fn unsettled<'a>(&self, measured: impl Into<Frames<'a>>) -> Vec<(&Rule, u64, Option<u64>)> {
        let measured = measured.into();
        let needs = |rule| {
            let see = Judging { gate: self, rule };
            see.needs(&measured).map(|(now, then)| (rule, now, then))
        };
        self.rules.iter().filter_map(needs).collect()
    }
}

impl Judging<'_> {
    fn needs(&self, measured: &Frames<'_>) -> Option<(u64, Option<u64>)> {
        with_frame!(self.rule, measured, |frame| self.needs_of(frame), |_why| None)
    }

    fn needs_of<C: Estimates>(&self, frame: &MetricFrame<C>) -> Option<(u64, Option<u64>)> {
        let Self { gate, rule } = *self;
        let frame = frame.features_of(&rule.features).ok()?;
        if !frame.control_features().is_empty() {
            return None;
        }
        let (kept, _) = self.large(&frame);
        let smallest = kept.groups().map(|(_, cell)| cell.asked(rule.metric)).min()?;
        let gap = gap::of(&kept, rule.question(), gate.limits()).ok()?;
        if rule.judge(&gap) != Verdict::Inconclusive {
            return None;
        }
        let times = rows_needed(rule, &kept, gate.limits());
        Some((smallest, times.map(|times| (smallest as f64 * times).ceil() as u64)))
    }
}

/// How many times the rows would make an inconclusive rule pass or fail, if the values stayed as
/// they are; `None` beyond 10,000 times, as where the value lies at the bound itself.
pub(super) fn rows_needed<C: Estimates>(
    rule: &Rule,
    frame: &MetricFrame<C>,
    limits: Limits,
) -> Option<f64> {
    // Limits of a closed form are near enough for an estimate, and many are asked for.
    let limits = limits.difference(DifferenceLimits::Newcombe).ratio(RatioLimits::Log);
    let settled = |times: f64| {
        let gap = gap::scaled(frame, rule.question(), limits, times).ok()?;
        Some(rule.judge(&gap) != Verdict::Inconclusive)
    };
    let mut high = 2.0;
    while !settled(high)? {
        high *= 2.0;
        if high > 10_000.0 {
            return None;
        }
    }
    let mut low = high / 2.0;
    while high / low > 1.02 {
        let middle = (low * high).sqrt();
        if settled(middle)? { high = middle } else { low = middle }
    }
    Some(high)
}
