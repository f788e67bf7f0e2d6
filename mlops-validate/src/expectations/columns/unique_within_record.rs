//! No value stands twice in a row.

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::row_predicate::{IgnoreRows, Left, check_columns, name};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expression::Expression;
use crate::values::{Domain, domain};

/// In no row do two of these columns have equal values; two missing values are equal. A number
/// never equals a text.
///
/// Great Expectations: `expect_select_column_values_to_be_unique_within_record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UniqueWithinRecord {
    /// The columns, at least two.
    pub columns: Vec<String>,
    /// Which rows are left out.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub ignore_rows: IgnoreRows,
}

/// Expects no two of these columns to have equal values in a row: [`UniqueWithinRecord`].
pub fn unique_within_record<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Expectation {
    let columns = columns.into_iter().map(Into::into).collect();
    UniqueWithinRecord { columns, ignore_rows: IgnoreRows::AllMissing }.into()
}

impl Kind for UniqueWithinRecord {
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
        let mut apart = Vec::new();
        for (i, a) in self.columns.iter().enumerate() {
            for b in &self.columns[i + 1..] {
                let (x, y) = (name(a), name(b));
                let missing = format!("({x} IS NULL AND {y} IS NULL)");
                apart.push(if comparable(to, a, b)? {
                    format!("NOT {missing} AND ({x} <> {y} OR {x} IS NULL OR {y} IS NULL)")
                } else {
                    format!("NOT {missing}")
                });
            }
        }
        let expression = Expression::parse(&apart.join(" AND "))?;
        let columns: Vec<_> = self.columns.iter().map(String::as_str).collect();
        let words = format!("different values in `{}`", columns.join("`, `"));
        Ok(to.predicate(words, &expression, &columns, Left::Out(self.ignore_rows)))
    }
}

/// Whether values of these columns can be equal at all.
fn comparable(to: &Compiler<'_>, a: &str, b: &str) -> Result<bool> {
    let number = |d| matches!(d, Some(Domain::Int | Domain::Float));
    let (a, b) = (to.value_type(a)?, to.value_type(b)?);
    Ok(if a.is_temporal() || b.is_temporal() {
        a.is_temporal() && b.is_temporal()
    } else {
        domain(a) == domain(b) || (number(domain(a)) && number(domain(b)))
    })
}
