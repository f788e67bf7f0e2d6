//! Texts match a pattern.

use mlops_core::{Error, Result};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;
use crate::values::{Domain, domain};

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
    MatchesRegex { column: column.into(), regex: regex.into() }.into()
}

impl MatchesRegex {
    /// The most bytes that a compiled pattern may take.
    const SIZE_LIMIT: usize = 1 << 20;

    fn pattern(&self) -> Result<Regex> {
        RegexBuilder::new(&self.regex)
            .size_limit(Self::SIZE_LIMIT)
            .dfa_size_limit(2 * Self::SIZE_LIMIT)
            .build()
            .map_err(|e| Error::invalid("regex", "a pattern that compiles within 1 MiB", e))
    }
}

impl Kind for MatchesRegex {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        self.pattern().map(drop)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let data_type = to.value_type(&self.column)?;
        let integers = domain(data_type) == Some(Domain::Int) && !data_type.is_temporal();
        if domain(data_type) != Some(Domain::Text) && !integers {
            return to.wrong_type(&self.column, "a column of text");
        }
        let regex = self.pattern()?;
        let words = format!("a match of `{}`", self.regex);
        to.values(words, &self.column, Texts(move |value: &str| regex.is_match(value)))
    }
}
