//! Three-valued verdicts, the findings they come from, and gates that block on anything but a pass.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::clean;
use crate::{Digest, Error, Result, Timestamp, canonical_json, integers_as_text};

/// The answer to a question about data or a model.
///
/// There are three, because "not shown to be bad" is not "shown to be good".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The confidence limit lies inside the bound.
    Pass,
    /// Too few rows, undefined, nothing measured, or the interval crosses the bound.
    Inconclusive,
    /// The confidence limit lies outside the bound.
    Fail,
}

impl Verdict {
    /// The verdict over several: fail if one fails, else inconclusive if one is or there are none,
    /// else pass.
    ///
    /// ```
    /// use mlops_core::Verdict::{self, *};
    /// assert_eq!(Verdict::all([Pass, Inconclusive, Fail]), Fail);
    /// assert_eq!(Verdict::all([Pass, Pass]), Pass);
    /// assert_eq!(Verdict::all([]), Inconclusive);
    /// ```
    pub fn all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max().unwrap_or(Self::Inconclusive)
    }

    /// Pass or fail, for a question whose answer is certain.
    pub fn from_bool(pass: bool) -> Self {
        if pass { Self::Pass } else { Self::Fail }
    }

    /// Whether it is a pass.
    pub fn is_pass(self) -> bool {
        self == Self::Pass
    }

    /// Whether it is a fail.
    pub fn is_fail(self) -> bool {
        self == Self::Fail
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        })
    }
}

/// How much a finding matters.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; never changes a verdict.
    Info,
    /// Somebody should look; never changes a verdict.
    Warning,
    /// Counts.
    #[default]
    Critical,
}

/// A row's name: the partition's name (a file, say) and the row's number in it, from 0.
///
/// It does not depend on how the source was cut into partitions or batches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowId {
    /// The name of the thing that the row stands in: a file, a table, `memory`.
    pub origin: String,
    /// The row's number in it, from 0.
    pub row: u64,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.row)
    }
}

/// One answer to one question about one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was asked: `not_null`, `psi`, `demographic_parity_difference`.
    pub check: String,
    /// What it was asked of: a column, some columns, a metric, the dataset.
    pub subject: String,
    /// The answer.
    pub verdict: Verdict,
    /// How much it matters.
    pub severity: Severity,
    /// What would have been a pass, in words.
    pub expected: String,
    /// What was seen, in words.
    pub observed: String,
    /// The number behind the verdict, where there is one; finite.
    pub value: Option<f64>,
    /// Its confidence limits, where there are any.
    pub interval: Option<(f64, f64)>,
    /// A p-value, where a test was made.
    pub p_value: Option<f64>,
    /// How many rows failed, where rows can.
    pub failing_rows: Option<u64>,
    /// The first of the failing rows, by name.
    pub rows: Vec<RowId>,
}

impl Finding {
    /// A finding of full severity with nothing but its words.
    pub fn new(
        check: impl Into<String>,
        subject: impl Into<String>,
        verdict: Verdict,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            subject: subject.into(),
            verdict,
            severity: Severity::Critical,
            expected: expected.into(),
            observed: observed.into(),
            value: None,
            interval: None,
            p_value: None,
            failing_rows: None,
            rows: Vec::new(),
        }
    }

    /// The same, mattering this much.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same, with the number behind it; a number that is not finite is left out.
    #[must_use]
    pub fn with_value(mut self, value: f64) -> Self {
        self.value = value.is_finite().then_some(value);
        self
    }

    /// The same, with confidence limits.
    #[must_use]
    pub fn with_interval(mut self, low: f64, high: f64) -> Self {
        self.interval = (low.is_finite() && high.is_finite()).then_some((low, high));
        self
    }

    /// The same, with a p-value.
    #[must_use]
    pub fn with_p_value(mut self, p: f64) -> Self {
        self.p_value = p.is_finite().then_some(p);
        self
    }

    /// The same, with the rows that failed: how many, and the names of the first.
    #[must_use]
    pub fn with_rows(mut self, failing: u64, rows: Vec<RowId>) -> Self {
        self.failing_rows = Some(failing);
        self.rows = rows;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What data hold must not drive a terminal.
        let [check, subject, expected, observed] =
            [&self.check, &self.subject, &self.expected, &self.observed].map(|t| clean(t));
        // Else a line that is no pass would seem to speak against a verdict that is.
        let weight = match self.severity {
            Severity::Critical => "",
            Severity::Warning => " (warning)",
            Severity::Info => " (info)",
        };
        write!(
            f,
            "{:<12} {check}{weight} of {subject}: expected {expected}, found {observed}",
            self.verdict
        )
    }
}

/// What a validator, a detector or a gate found, and the verdict over all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Assessment {
    /// Who asked: the suite's, monitor's or gate's name.
    pub name: String,
    /// The verdict over the findings that count.
    pub verdict: Verdict,
    /// Every finding, in the order of the questions.
    pub findings: Vec<Finding>,
    /// How many rows were looked at.
    pub rows: u64,
}

impl Assessment {
    /// The findings, and the verdict that [`Verdict::all`] gives over the critical ones: with no
    /// critical finding it is inconclusive, because nothing was measured.
    pub fn new(name: impl Into<String>, rows: u64, findings: Vec<Finding>) -> Self {
        let verdict = Verdict::all(
            findings.iter().filter(|f| f.severity == Severity::Critical).map(|f| f.verdict),
        );
        Self { name: name.into(), verdict, findings, rows }
    }

    /// The same findings under a verdict that was reached over all of them together, as a dataset
    /// rule does.
    #[must_use]
    pub fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// The findings that are a fail, whatever their severity.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.verdict.is_fail())
    }

    /// The assessment where it is a pass, and an error otherwise: the last line of a gate in
    /// code that goes on with `?`.
    ///
    /// ```
    /// use mlops_core::{Assessment, Finding, Verdict};
    /// let finding = Finding::new("not_null", "age", Verdict::Fail, "a value", "2 of 9 rows null");
    /// let refused = Assessment::new("applications", 9, vec![finding]).require_pass();
    /// assert_eq!(
    ///     refused.unwrap_err().to_string(),
    ///     "applications is blocked: not_null of age: 2 of 9 rows null"
    /// );
    /// assert!(Assessment::new("nothing measured", 0, vec![]).require_pass().is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::Blocked`] for anything but a pass, with every critical finding that is none.
    pub fn require_pass(self) -> Result<Self> {
        if self.verdict.is_pass() {
            return Ok(self);
        }
        let mut reasons: Vec<_> = self
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Critical && !f.verdict.is_pass())
            .map(|f| format!("{} of {}: {}", f.check, f.subject, f.observed))
            .collect();
        if reasons.is_empty() {
            reasons.push(format!("the verdict is {} over {} rows", self.verdict, self.rows));
        }
        Err(Error::Blocked { what: self.name, reasons })
    }
}

impl fmt::Display for Assessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} rows)", clean(&self.name), self.verdict, self.rows)?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

/// An assessment bound to the bytes it speaks of: what a registry stores and a promotion needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GateReport {
    /// The gate's name; the latest report of a name is the one that counts.
    pub gate: String,
    /// The digest of what was judged.
    pub subject: Digest,
    /// What was found.
    pub assessment: Assessment,
    /// When.
    pub at: Timestamp,
    /// Who ran it, a person or a job; `None` if nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl GateReport {
    /// The gate of this assessment's name, on these bytes, at this time.
    pub fn new(subject: Digest, assessment: Assessment, at: Timestamp) -> Self {
        Self { gate: assessment.name.clone(), subject, assessment, at, by: None }
    }

    /// The same, run by this person or job.
    #[must_use]
    pub fn run_by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }

    /// The digest of what was judged and found: SHA-256 of the report's canonical JSON
    /// ([RFC 8785](crate::canonical_json)) without `by`, so that a name can be erased and the
    /// digest stays. Integers that no double holds are written as strings.
    ///
    /// ```
    /// use mlops_core::{Assessment, Digest, GateReport, Timestamp};
    /// let assessment = Assessment::new("quality", 9, vec![]);
    /// let report = GateReport::new(Digest::of("m"), assessment, Timestamp::from_millis(0));
    /// let text = format!(
    ///     r#"{{"assessment":{{"findings":[],"name":"quality","rows":9,"verdict":"inconclusive"}},"at":"1970-01-01T00:00:00Z","gate":"quality","subject":"{}"}}"#,
    ///     Digest::of("m")
    /// );
    /// assert_eq!(report.digest(), Digest::of(text));
    /// assert_eq!(report.clone().run_by("ana").digest(), report.digest());
    /// ```
    pub fn digest(&self) -> Digest {
        // Plain structs of texts and numbers: there is nothing that can't be written.
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.remove("by");
        }
        integers_as_text(&mut json);
        Digest::of(canonical_json(&json).unwrap_or_else(|_| json.to_string()))
    }

    /// Only a pass opens the gate.
    pub fn is_open(&self) -> bool {
        self.assessment.verdict.is_pass()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_says_so() {
        let new = |verdict| Finding::new("gap", "race", verdict, "≤ 0.1", "0.2");
        let warning = Finding { severity: Severity::Warning, ..new(Verdict::Fail) };
        let all = Assessment::new("g", 9, vec![new(Verdict::Pass), warning]);
        let lines: Vec<_> = all.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "g: pass (9 rows)");
        assert_eq!(lines[1], "  pass         gap of race: expected ≤ 0.1, found 0.2");
        assert_eq!(lines[2], "  fail         gap (warning) of race: expected ≤ 0.1, found 0.2");
    }
}
