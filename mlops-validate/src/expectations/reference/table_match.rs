//! A table is like another.

use mlops_core::states::RowCount;
use mlops_core::{Result, Scan, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::referential_integrity::in_source;
use super::{not_given, unread};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};

/// There are as many rows as in another source.
///
/// The other source is counted before the pass; not given, the expectation is inconclusive. Great
/// Expectations: `expect_table_row_count_to_equal_other_table`; deequ: `RowCountMatch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RowCountEqualsOther {
    /// The name of the other source.
    pub source: String,
}

/// Expects as many rows as another source has: [`RowCountEqualsOther`].
pub fn row_count_equals_other(source: impl Into<String>) -> Expectation {
    RowCountEqualsOther { source: source.into() }.into()
}

impl Kind for RowCountEqualsOther {
    fn subject(&self) -> Subject<'_> {
        Subject::Table
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected = format!("as many rows as `{}`", self.source);
        let Some(other) = to.given.source(&self.source) else {
            return Ok(unread(to, &expected, not_given(&self.source)));
        };
        let count =
            to.given.once(format!("rows of {:?}", self.source), || Scan::new(other).run(&RowCount));
        let there = match count {
            Ok(count) => *count,
            Err(error) => return Ok(unread(to, &expected, error.to_string())),
        };
        let rows = to.add(RowCount);
        Ok(to.measured(expected, rows, move |&here| {
            let words = format!("{here} rows, and {there} there");
            let value = json!({"self": here, "other": there});
            Ok(Observation::new(Verdict::from_bool(here == there), words, value)
                .with_number(here as f64))
        }))
    }
}

/// Every row stands in another source as well, with the same values in the same columns.
///
/// Null equals null here; types compare as in
/// [`ReferentialIntegrity`](crate::ReferentialIntegrity). How often a row stands is not compared:
/// that no row is missing here either, [`RowCountEqualsOther`] tells where rows are unique.
/// deequ: `doesDatasetMatch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DatasetMatch {
    /// The name of the other source.
    pub source: String,
    /// The columns that are compared; all of the table unless told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// Expects every row to stand in another source as well: [`DatasetMatch`].
pub fn dataset_match(source: impl Into<String>) -> Expectation {
    DatasetMatch { source: source.into(), columns: Vec::new() }.into()
}

impl Kind for DatasetMatch {
    fn subject(&self) -> Subject<'_> {
        if self.columns.is_empty() {
            Subject::Table
        } else {
            Subject::Columns(self.columns.iter().map(String::as_str).collect())
        }
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let columns: Vec<String> = if self.columns.is_empty() {
            to.schema.fields().iter().map(|f| f.name().clone()).collect()
        } else {
            self.columns.clone()
        };
        let expected = format!("rows that stand in `{}`", self.source);
        if columns.is_empty() {
            return Ok(to.refused(expected, "a table without columns".into()));
        }
        in_source(to, &expected, &columns, &self.source, &columns, true)
    }
}

/// The columns have the names and types of those of another source, in any order.
///
/// Decided without reading a row. deequ: `SchemaMatch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SchemaMatch {
    /// The name of the other source.
    pub source: String,
}

/// Expects the names and types of the columns of another source: [`SchemaMatch`].
pub fn schema_match(source: impl Into<String>) -> Expectation {
    SchemaMatch { source: source.into() }.into()
}

impl Kind for SchemaMatch {
    fn subject(&self) -> Subject<'_> {
        Subject::Table
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected = format!("the columns of `{}`", self.source);
        let Some(other) = to.given.source(&self.source) else {
            return Ok(unread(to, &expected, not_given(&self.source)));
        };
        let there = other.schema();
        let mut differences = Vec::new();
        for field in to.schema.fields() {
            match there.field_with_name(field.name()) {
                Err(_) => differences.push(format!("`{}` only here", field.name())),
                Ok(theirs) if theirs.data_type() != field.data_type() => {
                    let (ours, theirs) = (field.data_type(), theirs.data_type());
                    differences.push(format!("`{}` {ours} here, {theirs} there", field.name()));
                }
                Ok(_) => {}
            }
        }
        for field in there.fields() {
            if to.schema.column_with_name(field.name()).is_none() {
                differences.push(format!("`{}` only there", field.name()));
            }
        }
        let verdict = Verdict::from_bool(differences.is_empty());
        let words = if differences.is_empty() {
            format!("the same {} columns", there.fields().len())
        } else {
            differences.join(", ")
        };
        Ok(to.fixed(expected, Observation::new(verdict, words, differences)))
    }
}
