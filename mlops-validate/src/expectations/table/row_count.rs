//! How many rows there are.

use std::ops::RangeBounds;

use mlops_core::{Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::expectations::count_bounds::{bounds, check_bounds, words};

/// The number of rows lies between two bounds, both included.
///
/// Great Expectations: `expect_table_row_count_to_be_between` and `…_to_equal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RowCount {
    /// The fewest rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The most rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// Expects so many rows, as `1_000..`, `..=5_000` or `100..=100`: [`RowCount`].
pub fn row_count(rows: impl RangeBounds<u64>) -> Expectation {
    let (min, max) = bounds(rows);
    RowCount { min, max }.into()
}

impl Kind for RowCount {
    fn subject(&self) -> Subject<'_> {
        Subject::Table
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn check_usable(&self) -> Result<()> {
        check_bounds("row count", self.min, self.max)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected = words("rows", self.min, self.max);
        let rows = to.add(mlops_core::states::RowCount);
        let (min, max) = (self.min.unwrap_or(0), self.max.unwrap_or(u64::MAX));
        Ok(to.measured(expected, rows, move |&n| {
            let verdict = Verdict::from_bool((min..=max).contains(&n));
            Ok(Observation::new(verdict, format!("{n} rows"), n).with_number(n as f64))
        }))
    }
}
