//! Texts have a length.

use std::ops::{Bound, RangeBounds};

use arrow::datatypes::Schema;
use mlops_core::{Error, Plan, Result};
use serde::{Deserialize, Serialize};

use crate::expectation::{Check, Compiled, Expectation};
use crate::values::{Domain, domain, test_text, value_type};

/// Every text has between so many characters (Unicode scalar values), both bounds included.
///
/// Nulls are left out. Great Expectations: `expect_column_value_lengths_to_be_between`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StringLength {
    /// The column.
    pub column: String,
    /// The fewest characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The most characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// Expects every text to have so many characters, as `1..`, `..=80` or `2..=2`:
/// [`StringLength`].
pub fn string_length(column: impl Into<String>, characters: impl RangeBounds<u64>) -> Expectation {
    let min = match characters.start_bound() {
        Bound::Included(n) => Some(*n),
        Bound::Excluded(n) => Some(n.saturating_add(1)),
        Bound::Unbounded => None,
    };
    let (min, max) = match characters.end_bound() {
        Bound::Included(n) => (min, Some(*n)),
        // Nothing is shorter than nothing: refused when used.
        Bound::Excluded(0) => (Some(1), Some(0)),
        Bound::Excluded(n) => (min, Some(*n - 1)),
        Bound::Unbounded => (min, None),
    };
    Expectation::new(Check::StringLength(StringLength { column: column.into(), min, max }))
}

impl StringLength {
    pub(crate) fn check_usable(&self) -> Result<()> {
        match (self.min, self.max) {
            (None, None) => Err(Error::invalid("length", "a `min`, a `max` or both", "neither")),
            (Some(min), Some(max)) if min > max => {
                Err(Error::invalid("length", "min <= max", format!("{min} > {max}")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn compile(
        &self,
        of: &Expectation,
        schema: &Schema,
        plan: &mut Plan,
    ) -> Result<Compiled> {
        let data_type = value_type(schema.field_with_name(&self.column)?.data_type());
        if domain(data_type) != Some(Domain::Text) {
            return Ok(of.wrong_type(schema, "a column of text"));
        }
        let words = match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => format!("{min} characters"),
            (Some(min), Some(max)) => format!("{min} to {max} characters"),
            (Some(min), None) => format!("at least {min} characters"),
            (None, Some(max)) => format!("at most {max} characters"),
            (None, None) => "any length".into(),
        };
        let (min, max) = (self.min.unwrap_or(0), self.max.unwrap_or(u64::MAX));
        Ok(of.of_values(words, &self.column, schema, plan, move |array| {
            test_text(array, |value| (min..=max).contains(&(value.chars().count() as u64)))
        }))
    }
}
