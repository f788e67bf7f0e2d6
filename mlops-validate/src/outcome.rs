//! What a suite found, with the numbers behind every verdict.

use mlops_core::{Assessment, DataSource, Finding, Verdict};
use serde::{Deserialize, Serialize};

use crate::expectation::is_default;
use crate::report::MaskedCount;
use crate::{Expectation, Sample};

/// The answer to one expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// What was asked. A function of the host is written down as
    /// [`Withheld`](crate::Withheld).
    #[serde(serialize_with = "writable")]
    pub expectation: Expectation,
    /// The answer, as every gate and report reads it.
    pub finding: Finding,
    /// The numbers behind it.
    pub measured: Measured,
    /// How many of the rows were answered for by what the source knew of them (the statistics of
    /// a Parquet file), without being read. It changes nothing in the answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub settled_rows: u64,
}

/// The numbers behind an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Measured {
    /// Rows were looked at one by one.
    Rows {
        /// All rows, those under the condition where there is one.
        element_count: u64,
        /// Those that were left out because a value is missing.
        missing_count: u64,
        /// Those of the others that fail.
        unexpected_count: u64,
        /// The first of these, by name.
        samples: Vec<Sample>,
    },
    /// One value was computed from all rows: a number, a list, a table of counts.
    Value(serde_json::Value),
    /// There was nothing that could be measured: all is null, there are no rows. Great
    /// Expectations calls it a success, we call it inconclusive.
    Vacuous,
    /// Rows were looked at one by one, and [small cells](crate::Redaction::small_cells) are not
    /// said.
    Withheld {
        /// All rows, those under the condition where there is one.
        element_count: MaskedCount,
        /// Those that were left out because a value is missing.
        missing_count: MaskedCount,
        /// Those of the others that fail.
        unexpected_count: MaskedCount,
        /// The first of these, by name, where their number is said.
        samples: Vec<Sample>,
    },
    /// It could not be measured: a column is missing or of another type, an overflow.
    Failed(String),
}

/// What a suite found on a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Validation {
    /// The suite's name.
    pub suite: String,
    /// The verdict over the critical expectations.
    pub verdict: Verdict,
    /// How many rows there were.
    pub rows: u64,
    /// The answer to every expectation, in the suite's order.
    pub outcomes: Vec<Outcome>,
    /// What was [left out](Self::redacted) of it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction: Option<String>,
}

fn writable<S: serde::Serializer>(of: &Expectation, serializer: S) -> Result<S::Ok, S::Error> {
    of.writable().serialize(serializer)
}

impl Validation {
    pub(crate) fn new(suite: String, rows: u64, outcomes: Vec<Outcome>) -> Self {
        let mut found =
            Self { suite, verdict: Verdict::Inconclusive, rows, outcomes, redaction: None };
        found.verdict = found.assessment().verdict;
        found
    }

    /// The same, with the row groups of the failing rows in the source that was scanned:
    /// [`Suite::check`](crate::Suite::check) says them by itself.
    #[must_use]
    pub fn located_in(mut self, source: &dyn DataSource) -> Self {
        for outcome in &mut self.outcomes {
            if let Measured::Rows { samples, .. } = &mut outcome.measured {
                for sample in samples {
                    sample.row_group = source.row_group(&sample.row);
                }
            }
        }
        self
    }

    /// The findings alone, for gates, reports and alerts.
    pub fn assessment(&self) -> Assessment {
        let findings = self.outcomes.iter().map(|o| o.finding.clone()).collect();
        let found = Assessment::new(self.suite.clone(), self.rows, findings);
        // Where there is nothing, nothing is shown to be good, whatever was expected of it.
        let vacuous = self.rows == 0 && found.verdict.is_pass();
        if vacuous { found.with_verdict(Verdict::Inconclusive) } else { found }
    }

    /// The outcomes that are a fail, whatever their severity.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|o| o.finding.verdict.is_fail())
    }
}
