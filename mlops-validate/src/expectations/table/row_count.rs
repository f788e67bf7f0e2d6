//! How many rows there are.

use std::ops::{Bound, RangeBounds};

use mlops_core::{Error, Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};

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
    let min = match rows.start_bound() {
        Bound::Included(n) => Some(*n),
        Bound::Excluded(n) => Some(n.saturating_add(1)),
        Bound::Unbounded => None,
    };
    let max = match rows.end_bound() {
        Bound::Included(n) => Some(*n),
        // `..0` holds nothing, and neither does the range that is refused for it.
        Bound::Excluded(0) => {
            return RowCount { min: Some(1), max: Some(0) }.into();
        }
        Bound::Excluded(n) => Some(*n - 1),
        Bound::Unbounded => None,
    };
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
        match (self.min, self.max) {
            (None, None) => Err(Error::invalid("row count", "a `min`, a `max` or both", "neither")),
            (Some(min), Some(max)) if min > max => {
                Err(Error::invalid("row count", "min <= max", format!("{min} > {max}")))
            }
            _ => Ok(()),
        }
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected = match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => format!("{min} rows"),
            (Some(min), Some(max)) => format!("{min} to {max} rows"),
            (Some(min), None) => format!("at least {min} rows"),
            (None, Some(max)) => format!("at most {max} rows"),
            (None, None) => "any number of rows".into(),
        };
        let rows = to.add(mlops_core::states::RowCount);
        let (min, max) = (self.min.unwrap_or(0), self.max.unwrap_or(u64::MAX));
        Ok(to.measured(expected, rows, move |&n| {
            let verdict = Verdict::from_bool((min..=max).contains(&n));
            Ok(Observation::new(verdict, format!("{n} rows"), n).with_number(n as f64))
        }))
    }
}
