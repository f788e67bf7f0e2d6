//! No value is missing.

use mlops_core::{Judge, Plan};
use serde::{Deserialize, Serialize};

use crate::expectation::{Check, Compiled, Expectation, RowRule, nulls};
use crate::unexpected::NullCount;

/// No value of the column is null; the share of `mostly` is of all rows.
///
/// A NaN is a value. Great Expectations: `expect_column_values_to_not_be_null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotNull {
    /// The column.
    pub column: String,
}

/// Expects every row to have a value in the column: [`NotNull`].
pub fn not_null(column: impl Into<String>) -> Expectation {
    Expectation::new(Check::NotNull(NotNull { column: column.into() }))
}

impl NotNull {
    pub(crate) fn compile(&self, of: &Expectation, plan: &mut Plan) -> Compiled {
        const EXPECTED: &str = "a value";
        let handle = plan.add(NullCount { column: self.column.clone() });
        let of = of.clone();
        let judge = Judge::new(move |m| {
            Ok(match nulls(m, &handle) {
                Ok(counts) => of.of_rows(EXPECTED, counts.rows, "rows", &counts.nulls),
                Err(error) => of.unmeasured(EXPECTED, &error),
            })
        });
        Compiled { judge, rule: Some(RowRule::Null(self.column.clone())) }
    }
}
