//! Texts match a pattern.

use arrow::datatypes::Schema;
use mlops_core::{Error, Plan, Result};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::expectation::{Check, Compiled, Expectation};
use crate::values::{Domain, domain, test_text, value_type};

/// Every text has a match of the pattern somewhere: write `^…$` for the whole text.
///
/// The pattern is of the `regex` crate, which takes time linear in the text (and has no
/// look-around and no back-references); its compiled size is limited. Integers are matched as
/// they print. Nulls are left out. Great Expectations: `expect_column_values_to_match_regex`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MatchesRegex {
    /// The column.
    pub column: String,
    /// The pattern.
    pub regex: String,
}

/// Expects every text to have a match of the pattern: [`MatchesRegex`].
pub fn matches_regex(column: impl Into<String>, regex: impl Into<String>) -> Expectation {
    let check = MatchesRegex { column: column.into(), regex: regex.into() };
    Expectation::new(Check::MatchesRegex(check))
}

impl MatchesRegex {
    /// The most bytes that a compiled pattern may take.
    const SIZE_LIMIT: usize = 1 << 20;

    pub(crate) fn compile(&self) -> Result<Regex> {
        RegexBuilder::new(&self.regex)
            .size_limit(Self::SIZE_LIMIT)
            .dfa_size_limit(2 * Self::SIZE_LIMIT)
            .build()
            .map_err(|e| Error::invalid("regex", "a pattern that compiles within 1 MiB", e))
    }

    pub(crate) fn compile_for(
        &self,
        of: &Expectation,
        schema: &Schema,
        plan: &mut Plan,
    ) -> Result<Compiled> {
        let data_type = value_type(schema.field_with_name(&self.column)?.data_type()).clone();
        let integers = domain(&data_type) == Some(Domain::Int) && !data_type.is_temporal();
        if domain(&data_type) != Some(Domain::Text) && !integers {
            return Ok(of.wrong_type(schema, "a column of text"));
        }
        let regex = self.compile()?;
        let words = format!("a match of `{}`", self.regex);
        Ok(of.of_values(words, &self.column, schema, plan, move |array| {
            test_text(array, |value| regex.is_match(value))
        }))
    }
}
