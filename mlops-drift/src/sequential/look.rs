//! What is known after a look.

use std::fmt;

use mlops_core::{Assessment, Finding, Verdict};
use serde::{Deserialize, Serialize};

use super::e_process::EProcess;
use super::sequential_monitor::SequentialRule;

/// The evidence against a column after a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SequentialColumn {
    /// The column.
    pub column: String,
    /// Fail after an alarm of enough effect, or if the column is not there any more; inconclusive
    /// otherwise. Never a pass.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// The decimal logarithm of the e-value now; `None` for a column that can't be watched.
    pub log10_e_value: Option<f64>,
    /// The decimal logarithm of the largest e-value at any look.
    pub max_log10_e_value: Option<f64>,
    /// The p-value that is valid over all looks: `min(1, 1/max E)`.
    pub p_value: Option<f64>,
    /// The same after correction over all columns.
    pub adjusted_p_value: Option<f64>,
    /// The looks that had rows for it.
    pub looks: u64,
    /// Its rows.
    pub rows: u64,
    /// The look, from 1, from which on a drift explains the rows best, of those that had rows for
    /// it.
    pub likely_start: u64,
    /// The look of all looks, from 1, at which the evidence first failed it; from then on it stays
    /// failed.
    pub failed_at: Option<u64>,
    /// The total variation distance from the reference over the cells since then.
    pub effect: Option<f64>,
}

impl SequentialColumn {
    pub(super) fn new(
        column: &str,
        rule: &SequentialRule,
        reference: &[u64],
        process: Option<(&EProcess, f64)>,
        absent: Option<&str>,
        failed_at: Option<u64>,
    ) -> Self {
        let ten = std::f64::consts::LN_10;
        let mut found = Self {
            column: column.to_owned(),
            verdict: Verdict::Inconclusive,
            reason: "the reference has nothing to compare with".into(),
            log10_e_value: process.map(|(p, _)| p.log_e_value() / ten),
            max_log10_e_value: process.map(|(p, _)| p.max_log_e_value() / ten),
            p_value: process.map(|(p, _)| p.p_value()),
            adjusted_p_value: process.map(|(_, adjusted)| adjusted),
            looks: process.map_or(0, |(p, _)| p.looks()),
            rows: process.map_or(0, |(p, _)| p.counts().iter().sum()),
            likely_start: process.map_or(1, |(p, _)| p.likely_start()),
            effect: process.and_then(|(p, _)| distance(reference, &p.counts_since_start())),
            failed_at,
        };
        if let (Some(adjusted), Some(most)) = (found.adjusted_p_value, found.max_log10_e_value) {
            let effect = found.effect.unwrap_or(0.0);
            let (since, floor) = (found.likely_start, rule.floor);
            let evidence = format!("the e-value reached 10^{most:.1}");
            if adjusted > rule.alpha {
                found.reason = format!("{evidence}: too little to call it drift");
            } else if let (Some(look), true) = (failed_at, effect < floor) {
                found.verdict = Verdict::Fail;
                found.reason = format!(
                    "{evidence}, and enough rows had moved at look {look}; {:.1} % have since look \
                     {since}",
                    effect * 100.0
                );
            } else if effect >= floor {
                found.verdict = Verdict::Fail;
                found.reason = format!(
                    "{evidence}; {:.1} % of the rows moved, likely since look {since}",
                    effect * 100.0
                );
            } else {
                found.reason = format!(
                    "changed ({evidence}), but only {:.1} % of the rows moved, less than {:.1} %",
                    effect * 100.0,
                    floor * 100.0
                );
            }
        }
        if let Some(absent) = absent {
            found.verdict = Verdict::Fail;
            absent.clone_into(&mut found.reason);
        }
        found
    }

    /// Whether the rows say now that it fails.
    pub(super) fn has_evidence(&self, rule: &SequentialRule) -> bool {
        self.adjusted_p_value.is_some_and(|p| p <= rule.alpha)
            && self.effect.is_some_and(|effect| effect >= rule.floor)
    }

    fn finding(&self, rule: &SequentialRule) -> Finding {
        let expected = format!("no evidence of drift at {} over all looks", rule.alpha);
        let mut finding =
            Finding::new("e_process", &self.column, self.verdict, expected, self.reason.clone());
        if let Some(effect) = self.effect {
            finding = finding.with_value(effect);
        }
        match self.adjusted_p_value {
            Some(p) => finding.with_p_value(p),
            None => finding,
        }
    }
}

/// The total variation distance of two tables; `None` for one without rows.
fn distance(reference: &[u64], current: &[u64]) -> Option<f64> {
    let (n, m) = (reference.iter().sum::<u64>(), current.iter().sum::<u64>());
    let pairs = reference.iter().zip(current);
    let sum = |(&r, &c): (&u64, &u64)| (r as f64 / n as f64 - c as f64 / m as f64).abs();
    (n > 0 && m > 0).then(|| 0.5 * pairs.map(sum).sum::<f64>())
}

/// What a [`SequentialMonitor`](super::SequentialMonitor) knows after a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SequentialReport {
    /// Fail with any column, inconclusive otherwise.
    pub verdict: Verdict,
    /// The looks so far.
    pub looks: u64,
    /// The rows so far.
    pub rows: u64,
    /// Every column of the profile, in the order of its schema.
    pub columns: Vec<SequentialColumn>,
    /// The rule that was applied.
    pub rule: SequentialRule,
}

impl SequentialReport {
    pub(super) fn new(
        looks: u64,
        rows: u64,
        columns: Vec<SequentialColumn>,
        rule: SequentialRule,
    ) -> Self {
        let verdict = Verdict::all(columns.iter().map(|c| c.verdict));
        Self { verdict, looks, rows, columns, rule }
    }

    /// What is known of this column.
    pub fn column(&self, name: &str) -> Option<&SequentialColumn> {
        self.columns.iter().find(|c| c.column == name)
    }

    /// The columns that failed.
    pub fn alarms(&self) -> impl Iterator<Item = &SequentialColumn> {
        self.columns.iter().filter(|c| c.verdict.is_fail())
    }

    /// The report as the house's common form: a finding a column.
    pub fn assessment(&self) -> Assessment {
        let findings = self.columns.iter().map(|c| c.finding(&self.rule)).collect();
        Assessment::new("drift over all looks", self.rows, findings).with_verdict(self.verdict)
    }
}

impl fmt::Display for SequentialReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "drift over {} {}, {} rows: {} ({} of {} columns)",
            self.looks,
            if self.looks == 1 { "look" } else { "looks" },
            self.rows,
            self.verdict,
            self.alarms().count(),
            self.columns.len(),
        )?;
        let mut columns: Vec<_> = self.columns.iter().collect();
        let evidence = |c: &SequentialColumn| c.max_log10_e_value.unwrap_or(f64::NEG_INFINITY);
        columns.sort_by(|a, b| b.verdict.cmp(&a.verdict).then(evidence(b).total_cmp(&evidence(a))));
        let width = columns.iter().map(|c| c.column.chars().count()).max().unwrap_or(0);
        for c in columns {
            let name = mlops_core::report::clean(&c.column);
            writeln!(f, "  {name:<width$}  {:<12}  {}", c.verdict, c.reason)?;
        }
        write!(f, "  {}", self.rule)
    }
}
