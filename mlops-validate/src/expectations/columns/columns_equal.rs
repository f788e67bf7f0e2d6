//! The values of several columns are equal.

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::row_predicate::{IgnoreRows, Left, check_columns, name};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expression::Expression;

/// In every row all these columns have equal values; where nothing is ignored, missing values are
/// equal to each other. A NaN equals nothing.
///
/// Great Expectations: `expect_multicolumn_values_to_be_equal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ColumnsEqual {
    /// The columns, at least two.
    pub columns: Vec<String>,
    /// Which rows are left out.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub ignore_rows: IgnoreRows,
}

/// Expects these columns to have equal values in every row: [`ColumnsEqual`].
pub fn columns_equal<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Expectation {
    let columns = columns.into_iter().map(Into::into).collect();
    ColumnsEqual { columns, ignore_rows: IgnoreRows::AllMissing }.into()
}

impl Kind for ColumnsEqual {
    fn subject(&self) -> Subject<'_> {
        Subject::Columns(self.columns.iter().map(String::as_str).collect())
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        check_columns(&self.columns)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let first = name(&self.columns[0]);
        let equal = |other: &String| {
            let other = name(other);
            // What is not a number equals nothing, itself neither.
            format!("({first} = {other} OR ({first} IS NULL AND {other} IS NULL))")
        };
        let all: Vec<_> = self.columns[1..].iter().map(equal).collect();
        let expression = Expression::parse(&all.join(" AND "))?;
        let columns: Vec<_> = self.columns.iter().map(String::as_str).collect();
        let words = format!("`{}` equal", columns.join("` = `"));
        Ok(to.predicate(words, &expression, &columns, Left::Out(self.ignore_rows)))
    }
}
