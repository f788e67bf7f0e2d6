//! Rows for which an expression is true.

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::row_predicate::Left;
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expression::Expression;

/// For every row an [`Expression`] over its columns is true.
///
/// Where the expression knows no answer, because of a null, `nulls` says what that is: the row is
/// skipped unless told. Great Expectations: `UnexpectedRowsExpectation` (the rows for which it is
/// false); deequ: `satisfies` (with `nulls: fail`); dbt: `expression_is_true`; SQL's `CHECK` (with
/// `nulls: pass`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Satisfies {
    /// The expression, `debt <= 5 * income AND country <> 'XX'`.
    pub expression: Expression,
}

/// Expects an expression to be true for every row: [`Satisfies`].
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_core::{MemorySource, ValidatorExt, batch};
/// use mlops_validate::{Suite, satisfies};
///
/// let suite = Suite::new("loans").expect(satisfies("debt <= 5 * income")?);
/// let data = MemorySource::from(batch! {
///     "debt" => Float64Array::from(vec![10.0, 90.0]),
///     "income" => Float64Array::from(vec![8.0, 9.0]),
/// }?);
/// assert_eq!(suite.validate(&data)?.findings[0].rows[0].row, 1);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// As [`Expression::parse`].
pub fn satisfies(expression: &str) -> Result<Expectation> {
    Ok(Satisfies { expression: Expression::parse(expression)? }.into())
}

impl Kind for Satisfies {
    fn subject(&self) -> Subject<'_> {
        Subject::Expression(&self.expression)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let columns = self.expression.columns();
        let columns: Vec<_> = columns.iter().map(String::as_str).collect();
        let left = Left::Unknown(to.of.nulls);
        Ok(to.predicate(self.expression.to_string(), &self.expression, &columns, left))
    }
}
