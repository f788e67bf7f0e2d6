//! The alert itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Assessment, Digest, Finding, Severity, Timestamp, Verdict};

/// Something that somebody should know, and what it rests on.
///
/// As JSON it is an object with the fields below; `at` is RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alert {
    /// Who raises it: the monitor's, suite's or gate's name.
    pub name: String,
    /// How much it matters.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// A few sentences.
    pub summary: String,
    /// The model or dataset that it is about; empty where it was not said.
    pub subject: String,
    /// Where and what else: environment, version, team.
    pub labels: BTreeMap<String, String>,
    /// The findings that are not a pass, the first [`Alert::FINDINGS`] of them.
    pub findings: Vec<Finding>,
    /// When what it speaks of was measured.
    pub at: Timestamp,
    /// The same for the same name, subject and labels, whatever was found and when: receivers
    /// fold repeated alerts by it.
    pub dedup_key: String,
}

impl Alert {
    /// How many findings an alert carries at most; the summary says how many there were.
    pub const FINDINGS: usize = 50;

    /// An alert without findings.
    pub fn new(
        name: impl Into<String>,
        severity: Severity,
        title: impl Into<String>,
        summary: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        Self {
            name: name.into(),
            severity,
            title: title.into(),
            summary: summary.into(),
            subject: String::new(),
            labels: BTreeMap::new(),
            findings: Vec::new(),
            at,
            dedup_key: String::new(),
        }
        .keyed()
    }

    /// The alert that an assessment calls for: none for a pass, a critical one for a fail, a
    /// warning for an inconclusive one, because a thing that can no longer be measured is news.
    pub fn from_assessment(assessment: &Assessment, at: Timestamp) -> Option<Self> {
        let severity = match assessment.verdict {
            Verdict::Pass => return None,
            Verdict::Inconclusive => Severity::Warning,
            Verdict::Fail => Severity::Critical,
        };
        let mut findings: Vec<_> =
            assessment.findings.iter().filter(|f| !f.verdict.is_pass()).cloned().collect();
        // The fails first, each kind in the order of the questions.
        findings.sort_by_key(|f| std::cmp::Reverse(f.verdict));
        let summary = if findings.is_empty() {
            format!("no finding explains it; {} rows were looked at", assessment.rows)
        } else {
            let (n, rows) = (findings.len(), assessment.rows);
            let total = assessment.findings.len();
            format!("{n} of {total} checks over {rows} rows are not a pass")
        };
        let title = format!("{}: {}", assessment.name, assessment.verdict);
        let mut alert = Self::new(assessment.name.clone(), severity, title, summary, at);
        findings.truncate(Self::FINDINGS);
        alert.findings = findings;
        Some(alert)
    }

    /// The same, about this model or dataset.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self.keyed()
    }

    /// The same, with one more label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self.keyed()
    }

    /// The same, mattering this much.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same, under the key of its name, subject and labels. Each part is hashed with its
    /// length before it, so that no two lists of parts run together.
    fn keyed(mut self) -> Self {
        let mut hasher = Digest::hasher();
        let labels = self.labels.iter().flat_map(|(key, value)| [key, value]);
        for part in [&self.name, &self.subject].into_iter().chain(labels) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        self.dedup_key = hasher.finish().hex().chars().take(32).collect();
        self
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        write!(f, "{} [{severity}] {}", self.at, self.title)?;
        if !self.subject.is_empty() {
            write!(f, " ({})", self.subject)?;
        }
        write!(f, ": {}", self.summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assessment(verdicts: &[Verdict]) -> Assessment {
        let finding = |v: &Verdict| Finding::new("psi", "age", *v, "at most 0.2", "something");
        Assessment::new("drift", 100, verdicts.iter().map(finding).collect())
    }

    #[test]
    fn only_what_is_not_a_pass_alerts() {
        let at = Timestamp::from_millis(0);
        let of = |verdicts: &[Verdict]| Alert::from_assessment(&assessment(verdicts), at);
        assert_eq!(of(&[Verdict::Pass]), None);
        let nothing = of(&[]).unwrap();
        assert_eq!(nothing.severity, Severity::Warning);
        let both = of(&[Verdict::Pass, Verdict::Inconclusive, Verdict::Fail]).unwrap();
        assert_eq!(both.severity, Severity::Critical);
        assert_eq!(both.findings.len(), 2);
        assert_eq!(both.findings[0].verdict, Verdict::Fail);
        assert_eq!(both.summary, "2 of 3 checks over 100 rows are not a pass");
        assert_eq!(of(&[Verdict::Fail; 80]).unwrap().findings.len(), Alert::FINDINGS);
    }

    #[test]
    fn the_key_is_that_of_the_place_not_of_the_time() {
        let at = |millis| {
            Alert::new("drift", Severity::Critical, "t", "s", Timestamp::from_millis(millis))
        };
        assert_eq!(at(0).subject("loans").dedup_key, at(9).subject("loans").dedup_key);
        assert_ne!(at(0).subject("loans").dedup_key, at(0).dedup_key);
        assert_ne!(at(0).label("a", "bc").dedup_key, at(0).label("ab", "c").dedup_key);
        let alert = at(0).label("a", "b");
        let json = serde_json::to_string(&alert).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), alert);
    }
}
