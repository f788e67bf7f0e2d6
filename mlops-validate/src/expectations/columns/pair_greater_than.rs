//! The value of one column is greater than that of another.

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::row_predicate::{IgnoreRows, Left, check_columns, name};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expression::Expression;

/// In every row the value of one column is greater than that of the other (or equal, if told).
///
/// Numbers, texts (by their bytes), dates and timestamps; integers and floats are compared
/// exactly. A row in which one value is missing is looked at, unless told, and fails. Great
/// Expectations: `expect_column_pair_values_a_to_be_greater_than_b`; deequ: `isGreaterThan`,
/// `isLessThan` (the other way round), `…OrEqualTo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PairGreaterThan {
    /// The column.
    pub column_a: String,
    /// The other column.
    pub column_b: String,
    /// Whether equal values are well, too.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub or_equal: bool,
    /// Which rows are left out.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub ignore_rows: IgnoreRows,
}

/// Expects the value of the first column to be greater than that of the second:
/// [`PairGreaterThan`].
pub fn pair_greater_than(column_a: impl Into<String>, column_b: impl Into<String>) -> Expectation {
    PairGreaterThan {
        column_a: column_a.into(),
        column_b: column_b.into(),
        or_equal: false,
        ignore_rows: IgnoreRows::AllMissing,
    }
    .into()
}

impl Kind for PairGreaterThan {
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
        let sign = if self.or_equal { ">=" } else { ">" };
        let expression = Expression::parse(&format!("{} {sign} {}", name(a), name(b)))?;
        Ok(to.predicate(
            format!("`{a}` {sign} `{b}`"),
            &expression,
            &[a.as_str(), b.as_str()],
            Left::Out(self.ignore_rows),
        ))
    }
}
