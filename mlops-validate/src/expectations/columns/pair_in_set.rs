//! The values of two columns are one of the pairs of a set.

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use super::row_predicate::{IgnoreRows, Left, check_columns, name};
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expression::Expression;
use crate::{Expectation, Scalar};

/// In every row the values of two columns are one of these pairs.
///
/// A missing value stands in a pair as `null`. Great Expectations:
/// `expect_column_pair_values_to_be_in_set`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PairInSet {
    /// The column.
    pub column_a: String,
    /// The other column.
    pub column_b: String,
    /// The pairs; a missing value is written `null`.
    pub pairs: Vec<(Option<Scalar>, Option<Scalar>)>,
    /// Which rows are left out.
    #[serde(default, skip_serializing_if = "crate::expectation::is_default")]
    pub ignore_rows: IgnoreRows,
}

/// Expects the values of two columns to be one of these pairs in every row: [`PairInSet`].
pub fn pair_in_set<A: Into<Scalar>, B: Into<Scalar>>(
    column_a: impl Into<String>,
    column_b: impl Into<String>,
    pairs: impl IntoIterator<Item = (A, B)>,
) -> Expectation {
    PairInSet {
        column_a: column_a.into(),
        column_b: column_b.into(),
        pairs: pairs.into_iter().map(|(a, b)| (Some(a.into()), Some(b.into()))).collect(),
        ignore_rows: IgnoreRows::AllMissing,
    }
    .into()
}

impl Kind for PairInSet {
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
        let one = |(x, y): &(Option<Scalar>, Option<Scalar>)| {
            format!("({} AND {})", is(a, x.as_ref()), is(b, y.as_ref()))
        };
        // A pair whose member is of another type than its column is no row's.
        let (x, y) = (to.value_type(a)?, to.value_type(b)?);
        let fits = |pair: &&(Option<Scalar>, Option<Scalar>)| {
            pair.0.as_ref().is_none_or(|v| v.fits(x)) && pair.1.as_ref().is_none_or(|v| v.fits(y))
        };
        let pairs: Vec<_> = self.pairs.iter().filter(fits).map(one).collect();
        let any = if pairs.is_empty() { "FALSE".to_owned() } else { balanced(&pairs) };
        let words = format!("one of {} pairs of `{a}` and `{b}`", self.pairs.len());
        let left = Left::Out(self.ignore_rows);
        Ok(to.predicate(words, &Expression::parse(&any)?, &[a.as_str(), b.as_str()], left))
    }
}

fn is(column: &str, value: Option<&Scalar>) -> String {
    match value {
        Some(value) => format!("{} = {}", name(column), value.in_sql()),
        None => format!("{} IS NULL", name(column)),
    }
}

/// One or another of these, nested as little as can be.
fn balanced(any: &[String]) -> String {
    match any {
        [one] => one.clone(),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            format!("({} OR {})", balanced(left), balanced(right))
        }
    }
}
