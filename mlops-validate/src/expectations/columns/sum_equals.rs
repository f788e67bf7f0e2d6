//! The values of several columns add up to a total.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::row_predicate::{IgnoreRows, Left, check_columns, name};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expression::Expression;

/// In every row the values of these columns, added from left to right, are this total exactly: in
/// floats 0.1 + 0.2 is not 0.3. A row in which one value is missing is looked at, unless told, and
/// fails.
///
/// Great Expectations: `expect_multicolumn_sum_to_equal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SumEquals {
    /// The columns, at least two.
    pub columns: Vec<String>,
    /// What they add up to.
    pub total: f64,
    /// Which rows are left out.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub ignore_rows: IgnoreRows,
}

/// Expects the values of these columns to add up to this total in every row: [`SumEquals`].
pub fn sum_equals<S: Into<String>>(
    columns: impl IntoIterator<Item = S>,
    total: f64,
) -> Expectation {
    let columns = columns.into_iter().map(Into::into).collect();
    SumEquals { columns, total, ignore_rows: IgnoreRows::AllMissing }.into()
}

impl Kind for SumEquals {
    fn subject(&self) -> Subject<'_> {
        Subject::Columns(self.columns.iter().map(String::as_str).collect())
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        if !self.total.is_finite() {
            return Err(Error::invalid("total", "a finite number", self.total));
        }
        check_columns(&self.columns)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let sum: Vec<_> = self.columns.iter().map(|c| name(c)).collect();
        let expression = Expression::parse(&format!("{} = {:?}", sum.join(" + "), self.total))?;
        let columns: Vec<_> = self.columns.iter().map(String::as_str).collect();
        let words = format!("`{}` = {}", columns.join("` + `"), self.total);
        Ok(to.predicate(words, &expression, &columns, Left::Out(self.ignore_rows)))
    }
}
