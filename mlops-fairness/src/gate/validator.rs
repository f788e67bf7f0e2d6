//! A gate on the columns that it reads.

use arrow::datatypes::Schema;
use mlops_core::{Assessment, Finding, Judge, Plan, Result, Validator, Verdict};
use serde::{Deserialize, Serialize};

use super::fairness_gate::FairnessGate;
use super::frames::Measured;

impl FairnessGate {
    /// The gate as a validator of a table that has the columns of labels, predictions or scores, and
    /// sensitive features: of [`GroupCounts`](crate::GroupCounts), and with
    /// [`also`](FairnessValidator::also) of further measurements.
    pub fn on(self, measured: impl Into<Measured>) -> FairnessValidator {
        FairnessValidator { gate: self, measured: measured.into() }
    }
}

/// A [`FairnessGate`] on the columns that it reads; see [`FairnessGate::on`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FairnessValidator {
    gate: FairnessGate,
    measured: Measured,
}

impl FairnessValidator {
    /// The same with a further measurement, in the same scan: scores beside counts. Of one kind the
    /// last counts.
    #[must_use]
    pub fn also(mut self, further: impl Into<Measured>) -> Self {
        self.measured = self.measured.with(further);
        self
    }

    /// The gate.
    pub fn gate(&self) -> &FairnessGate {
        &self.gate
    }

    /// What it measures.
    pub fn measured(&self) -> &Measured {
        &self.measured
    }
}

impl Validator for FairnessValidator {
    fn plan(&self, _: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        self.gate.check()?;
        for (at, rule) in self.gate.rules.iter().enumerate() {
            self.measured
                .covers(rule.metric, rule.class.as_deref())
                .map_err(|e| e.within(format!("rule {}", at + 1)))?;
        }
        let handles = self.measured.plan(plan);
        let gate = self.gate.clone();
        Ok(Judge::new(move |measured| {
            let (frames, broken) = handles.frames(measured)?;
            let mut found = gate.judge(frames);
            if !broken.is_empty() {
                let broken = broken.into_iter().map(|(what, error)| {
                    let expected = "labels, predictions and groups that can be counted";
                    Finding::new(what, &gate.name, Verdict::Inconclusive, expected, error)
                });
                let findings = broken.chain(found.findings).collect();
                found = Assessment::new(&gate.name, found.rows, findings);
            }
            Ok(found)
        }))
    }
}
