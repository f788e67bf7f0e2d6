//! The values of two columns are equal.

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::row_predicate::{IgnoreRows, Left, check_columns, name};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expression::Expression;

/// In every row two columns have equal values.
///
/// Integers and floats are compared exactly; a NaN equals nothing. A row in which one value is
/// missing is looked at, unless told, and fails. Great Expectations:
/// `expect_column_pair_values_to_be_equal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PairEqual {
    /// The column.
    pub column_a: String,
    /// The other column.
    pub column_b: String,
    /// Which rows are left out.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub ignore_rows: IgnoreRows,
}

/// Expects two columns to have equal values in every row: [`PairEqual`].
pub fn pair_equal(column_a: impl Into<String>, column_b: impl Into<String>) -> Expectation {
    PairEqual {
        column_a: column_a.into(),
        column_b: column_b.into(),
        ignore_rows: IgnoreRows::AllMissing,
    }
    .into()
}

impl Kind for PairEqual {
    fn subject(&self) -> Subject<'_> {
        Subject::Columns(vec![&self.column_a, &self.column_b])
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        check_columns(&[self.column_a.clone(), self.column_b.clone()])
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let (a, b) = (&self.column_a, &self.column_b);
        let expression = Expression::parse(&format!("{} = {}", name(a), name(b)))?;
        Ok(to.predicate(
            format!("`{a}` = `{b}`"),
            &expression,
            &[a.as_str(), b.as_str()],
            Left::Out(self.ignore_rows),
        ))
    }
}
