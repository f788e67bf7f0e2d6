//! What stands in a report for an expectation whose parameters are not written down.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::check::{Check, Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expectation::Expectation;
use crate::row_test::NullPolicy;

/// An expectation that was asked, without its parameters: because a report may not show them, or
/// because a function of the host can't be written down.
///
/// It stands in [`Outcome`](crate::Outcome)s only; a suite that holds one can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Withheld {
    /// The kind of the expectation.
    pub of: String,
    /// The columns that it is about.
    pub columns: Vec<String>,
    /// Whether rows answer it one by one.
    pub rows: bool,
}

impl Withheld {
    /// The expectation without what it compares with, what people wrote of it, and its condition.
    pub(crate) fn from(expectation: &Expectation) -> Expectation {
        if let Check::Withheld(_) = expectation.check {
            return expectation.clone();
        }
        let columns = expectation.columns();
        let rows = expectation.check.kind().of_rows();
        let nulls = match columns.as_slice() {
            [_] if rows => expectation.nulls,
            _ => NullPolicy::Skip,
        };
        let check = Self { of: expectation.kind().to_owned(), columns, rows };
        Expectation {
            nulls,
            mostly: expectation.mostly,
            severity: expectation.severity,
            id: expectation.id.clone(),
            ..Expectation::from(check)
        }
    }
}

impl Kind for Withheld {
    fn subject(&self) -> Subject<'_> {
        match self.columns.as_slice() {
            [] => Subject::Table,
            [column] => Subject::Column(column),
            columns => Subject::Columns(columns.iter().map(String::as_str).collect()),
        }
    }

    fn of_rows(&self) -> bool {
        self.rows
    }

    fn compile(&self, _: &mut Compiler<'_>) -> Result<Compiled> {
        let what = format!("expectation of kind {}", self.of);
        Err(Error::invalid(what, "its parameters", "what a report left of it"))
    }
}
