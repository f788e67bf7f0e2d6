//! What a gate found, kept with the version of the model that it speaks of.

use mlops_core::{
    Assessment, Finding, GateReport, Registry, Result, Severity, Timestamp, Verdict, Version,
};

use super::fairness_gate::FairnessGate;
use super::frames::{Frames, with_frame};
use super::rule::Rule;
use crate::MetricFrame;
use crate::estimate::Estimates;
use crate::gap;

/// Of more groups than so many the summary has the first.
const MOST_GROUPS: usize = 100;

impl FairnessGate {
    /// The verdicts, and besides the value of every group that a rule is about, with its limits: a
    /// summary for those who read the verdicts later. The values are findings of
    /// [`Severity::Info`], which change no verdict.
    pub fn judge_with_summary<'a>(&self, measured: impl Into<Frames<'a>>) -> Assessment {
        let measured = measured.into();
        let mut found = self.judge(measured);
        let mut told: Vec<(&[String], crate::Measure, Option<&str>)> = Vec::new();
        for rule in &self.rules {
            for part in rule.metric.parts() {
                let subject = (rule.features.as_slice(), part, rule.class.as_deref());
                if told.contains(&subject) {
                    continue;
                }
                told.push(subject);
                let rule = Rule { metric: part, ..rule.clone() };
                let summary =
                    with_frame!(rule, measured, |frame| self.values(&rule, frame), |_why| {
                        Vec::new()
                    });
                found.findings.extend(summary);
            }
        }
        found
    }

    fn values<C: Estimates>(&self, rule: &Rule, frame: &MetricFrame<C>) -> Vec<Finding> {
        let Ok(frame) = frame.features_of(&rule.features) else { return Vec::new() };
        let Ok(values) = gap::by_group(&frame, rule.metric, self.confidence) else {
            return Vec::new();
        };
        let class = rule.class.as_ref().map_or(String::new(), |class| format!(", class {class}"));
        let finding = |(group, value): (crate::Group, gap::WithLimits)| {
            let subject = format!("{} {group}{class}", rule.features.join(" × "));
            let observed = match &value {
                Ok((value, limits)) => format!("{value} {limits}"),
                Err(undefined) => undefined.to_string(),
            };
            let name = rule.metric.name();
            let told = Finding::new(name, subject, Verdict::Pass, "told, not judged", observed)
                .with_severity(Severity::Info);
            match value {
                Ok((value, limits)) => {
                    told.with_value(value.value).with_interval(limits.low, limits.high)
                }
                Err(_) => told,
            }
        };
        values.into_iter().take(MOST_GROUPS).map(finding).collect()
    }

    /// Judges a version, and keeps what was found with it: the verdicts and the summary, bound to
    /// the digest of its bytes, so that a promotion can ask for this gate by its name, and
    /// [`why`](mlops_core::RegistryExt::why) tells of it.
    ///
    /// What was measured must be of the predictions of these very bytes; nothing can check that
    /// but whoever made the predictions.
    ///
    /// ```
    /// # fn example(
    /// #     registry: &dyn mlops_core::Registry,
    /// #     version: &mlops_core::Version,
    /// #     frame: &mlops_fairness::MetricFrame,
    /// #     now: mlops_core::Timestamp,
    /// # ) -> mlops_core::Result<()> {
    /// use mlops_fairness::{FairnessGate, GapKind};
    /// let gate = FairnessGate::new("parity").rule(GapKind::DemographicParityDifference, "sex", 0.1);
    /// let report = gate.record(registry, version, frame, now)?;
    /// assert_eq!((report.subject, report.gate.as_str()), (version.digest, "parity"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Registry::record_gate`].
    pub fn record<'a>(
        &self,
        registry: &dyn Registry,
        version: &Version,
        measured: impl Into<Frames<'a>>,
        at: Timestamp,
    ) -> Result<GateReport> {
        let report = GateReport::new(version.digest, self.judge_with_summary(measured), at);
        registry.record_gate(&version.model, version.number, report.clone())?;
        Ok(report)
    }
}
