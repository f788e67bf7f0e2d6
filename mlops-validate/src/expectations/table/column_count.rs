//! How many columns there are.

use std::ops::{Bound, RangeBounds};

use mlops_core::{Error, Result, Verdict};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};

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
    let min = match columns.start_bound() {
        Bound::Included(n) => Some(*n),
        Bound::Excluded(n) => Some(n.saturating_add(1)),
        Bound::Unbounded => None,
    };
    let max = match columns.end_bound() {
        Bound::Included(n) => Some(*n),
        // `..0` holds nothing, and neither does the range that is refused for it.
        Bound::Excluded(0) => {
            return ColumnCount { min: Some(1), max: Some(0) }.into();
        }
        Bound::Excluded(n) => Some(*n - 1),
        Bound::Unbounded => None,
    };
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
        match (self.min, self.max) {
            (None, None) => {
                Err(Error::invalid("column count", "a `min`, a `max` or both", "neither"))
            }
            (Some(min), Some(max)) if min > max => {
                Err(Error::invalid("column count", "min <= max", format!("{min} > {max}")))
            }
            _ => Ok(()),
        }
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let expected = match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => format!("{min} columns"),
            (Some(min), Some(max)) => format!("{min} to {max} columns"),
            (Some(min), None) => format!("at least {min} columns"),
            (None, Some(max)) => format!("at most {max} columns"),
            (None, None) => "any number of columns".into(),
        };
        let range = self.min.unwrap_or(0)..=self.max.unwrap_or(u64::MAX);
        let n = to.schema.fields().len();
        let verdict = Verdict::from_bool(range.contains(&(n as u64)));
        let seen = Observation::new(verdict, format!("{n} columns"), n).with_number(n as f64);
        Ok(to.fixed(expected, seen))
    }
}
