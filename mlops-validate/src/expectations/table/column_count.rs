//! How many columns there are.

use std::ops::RangeBounds;

use mlops_core::{Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::expectations::count_bounds::{bounds, check_bounds, words};

/// The number of columns lies between two bounds, both included; decided by the schema alone.
///
/// Great Expectations: `expect_table_column_count_to_be_between` and `…_to_equal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ColumnCount {
    /// The fewest columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The most columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// Expects so many columns, as `3..`, `..=50` or `12..=12`: [`ColumnCount`].
pub fn column_count(columns: impl RangeBounds<u64>) -> Expectation {
    let (min, max) = bounds(columns);
    ColumnCount { min, max }.into()
}

impl Kind for ColumnCount {
    fn subject(&self) -> Subject<'_> {
        Subject::Table
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn check_usable(&self) -> Result<()> {
        check_bounds("column count", self.min, self.max)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected = words("columns", self.min, self.max);
        let range = self.min.unwrap_or(0)..=self.max.unwrap_or(u64::MAX);
        let n = to.schema.fields().len();
        let verdict = Verdict::from_bool(range.contains(&(n as u64)));
        let seen = Observation::new(verdict, format!("{n} columns"), n).with_number(n as f64);
        Ok(to.fixed(expected, seen))
    }
}
