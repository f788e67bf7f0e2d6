//! Texts have a length.

use std::ops::{Bound, RangeBounds};

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;
use crate::values::{Domain, domain};

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
    StringLength { column: column.into(), min, max }.into()
}

impl Kind for StringLength {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        match (self.min, self.max) {
            (None, None) => Err(Error::invalid("length", "a `min`, a `max` or both", "neither")),
            (Some(min), Some(max)) if min > max => {
                Err(Error::invalid("length", "min <= max", format!("{min} > {max}")))
            }
            _ => Ok(()),
        }
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        if domain(to.value_type(&self.column)?) != Some(Domain::Text) {
            return to.wrong_type(&self.column, "a column of text");
        }
        let words = match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => format!("{min} characters"),
            (Some(min), Some(max)) => format!("{min} to {max} characters"),
            (Some(min), None) => format!("at least {min} characters"),
            (None, Some(max)) => format!("at most {max} characters"),
            (None, None) => "any length".into(),
        };
        let (min, max) = (self.min.unwrap_or(0), self.max.unwrap_or(u64::MAX));
        let passes = move |value: &str| (min..=max).contains(&(value.chars().count() as u64));
        to.values(words, &self.column, Texts(passes))
    }
}
