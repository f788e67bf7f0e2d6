//! From a rule and what was measured to its findings.

use mlops_core::{Finding, Severity, Verdict};

use super::fairness_gate::{FairnessGate, SmallGroups};
use super::frames::{Frames, with_frame};
use super::rule::{At, Rule, WhenUndefined};
use super::unsettled::rows_needed;
use crate::estimate::Estimates;
use crate::gap::{self, Limits};
use crate::{Group, MetricFrame};

/// A rule of a gate, being judged.
pub(super) struct Judging<'a> {
    pub(super) gate: &'a FairnessGate,
    pub(super) rule: &'a Rule,
}

impl Judging<'_> {
    pub(super) fn judge(&self, measured: &Frames<'_>, findings: &mut Vec<Finding>) {
        with_frame!(self.rule, measured, |frame| self.judge_frame(frame, findings), |why| {
            let say = speaker(self.rule, self.rule.subject(), self.gate.confidence);
            findings.push(say(Verdict::Inconclusive, why));
        });
    }

    fn judge_frame<C: Estimates>(&self, frame: &MetricFrame<C>, findings: &mut Vec<Finding>) {
        let Self { gate, rule } = *self;
        let say = speaker(rule, rule.subject(), gate.confidence);
        let frame = match frame.features_of(&rule.features) {
            Ok(frame) => frame,
            Err(error) => {
                findings.push(say(Verdict::Inconclusive, error.to_string()));
                return;
            }
        };
        if frame.control_features().is_empty() {
            self.judge_cell(&frame, gate.limits(), &say, findings);
            return;
        }
        let cells = frame.by_control();
        if cells.is_empty() {
            findings.push(say(Verdict::Inconclusive, "there are no rows".to_owned()));
        }
        let mut limits = gate.limits();
        limits.confidence = 1.0 - (1.0 - gate.confidence) / cells.len().max(1) as f64;
        let controls = frame.control_features().join(" × ");
        for (cell, frame) in &cells {
            let subject = format!("{} where {controls} is {cell}", rule.subject());
            let say = speaker(rule, subject, limits.confidence);
            self.judge_cell(frame, limits, &say, findings);
        }
    }

    /// The groups that are large enough, and the names of the others.
    pub(super) fn large<C: Estimates>(
        &self,
        frame: &MetricFrame<C>,
    ) -> (MetricFrame<C>, Vec<Group>) {
        let least = self.rule.min_group_size.unwrap_or(self.gate.min_group_size);
        frame.split(|cell| cell.asked(self.rule.metric) >= least)
    }

    fn judge_cell<C: Estimates>(
        &self,
        frame: &MetricFrame<C>,
        limits: Limits,
        say: &dyn Fn(Verdict, String) -> Finding,
        findings: &mut Vec<Finding>,
    ) {
        let Self { gate, rule } = *self;
        let question = rule.question();
        let missing: Vec<_> = frame
            .groups()
            .map(|(group, cell)| (group, cell.rows().saturating_sub(cell.asked(rule.metric))))
            .filter(|(_, rows)| *rows > 0)
            .map(|(group, rows)| format!("{rows} in {group}"))
            .collect();
        let warn = |observed: String| {
            say(Verdict::Inconclusive, observed).with_severity(rule.severity.min(Severity::Warning))
        };
        if !missing.is_empty() {
            let observed = format!("rows without a label or prediction: {}", few(&missing));
            findings.push(warn(observed));
        }
        let (mut kept, small) = self.large(frame);
        if !small.is_empty() {
            let least = rule.min_group_size.unwrap_or(gate.min_group_size);
            let observed = format!("fewer than {least} rows in: {}", few(&names(&small)));
            match gate.small_groups {
                SmallGroups::Inconclusive => {
                    findings.push(say(Verdict::Inconclusive, observed));
                    return;
                }
                SmallGroups::SetAside => findings.push(warn(format!("not measured, {observed}"))),
            }
        }
        if rule.undefined != WhenUndefined::Inconclusive {
            let parts = rule.metric.parts();
            let (defined, without) =
                kept.split(|cell| parts.iter().all(|&part| cell.estimate(part, 1.0).is_ok()));
            if !without.is_empty() {
                let observed = format!("it is undefined in: {}", few(&names(&without)));
                if rule.undefined == WhenUndefined::Fail {
                    findings.push(say(Verdict::Fail, observed));
                    return;
                }
                findings.push(warn(format!("not measured, {observed}")));
                kept = defined;
            }
        }
        let gap = match gap::of(&kept, question, limits) {
            Ok(gap) => gap,
            Err(error) => {
                findings.push(say(Verdict::Inconclusive, error.to_string()));
                return;
            }
        };
        let verdict = rule.judge(&gap);
        let mut observed = gap.to_string();
        if verdict == Verdict::Inconclusive
            && let Some(times) = rows_needed(rule, &kept, limits)
        {
            observed = format!(
                "{observed}; about {times:.1} times the rows would settle it at these values"
            );
        }
        let (low, high) = (gap.interval.low, gap.interval.high);
        findings.push(say(verdict, observed).with_value(gap.value).with_interval(low, high));
    }
}

/// Makes the findings of a rule about a subject.
fn speaker(rule: &Rule, subject: String, confidence: f64) -> impl Fn(Verdict, String) -> Finding {
    let sign = if rule.operation.has_floor() { "≥" } else { "≤" };
    let expected = match rule.at {
        // Two digits are enough of a share that was split.
        At::ConfidenceLimit => {
            let percent = (confidence * 1e4).round() / 100.0;
            format!("{sign} {} at the {percent} % limit", rule.bound)
        }
        At::Point => format!("{sign} {}, whatever its limits", rule.bound),
    };
    move |verdict, observed| {
        Finding::new(rule.name(), &subject, verdict, &expected, observed)
            .with_severity(rule.severity)
    }
}

fn names(groups: &[Group]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

/// The first of many names, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = &names[..names.len().min(SHOWN)];
    match names.len() - shown.len() {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}
