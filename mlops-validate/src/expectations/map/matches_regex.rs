//! Texts match patterns, or match none.

use mlops_core::{Error, Result};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use super::patterns::{MatchOn, Patterns};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;

/// Every text has a match of the pattern somewhere: write `^…$` for the whole text. Of several
/// patterns one must match, or all with `match_on: all`.
///
/// The patterns are of the `regex` crate, which takes time linear in the text (and has no
/// look-around and no back-references; they are errors of the suite); their compiled size is
/// limited. `$` is the end of the text, not a place before a last line break as in Python.
/// Integers are matched as they print; floats have no one way to print and are a wrong type. Nulls
/// are left out.
///
/// Great Expectations: `expect_column_values_to_match_regex` and `…_match_regex_list`. deequ:
/// `hasPattern`. pandera: `str_matches`, `str_contains`, `str_startswith`, `str_endswith`.
///
/// ```
/// use mlops_validate::{Expectation, matches_regex};
/// let text = r#"{"expectation": "matches_regex", "column": "zip", "regex": ["^\\d{4}$", "^[A-Z]"]}"#;
/// let read: Expectation = serde_json::from_str(text)?;
/// assert_eq!(read, matches_regex("zip", [r"^\d{4}$", "^[A-Z]"]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MatchesRegex {
    /// The column.
    pub column: String,
    /// The pattern or patterns.
    pub regex: Patterns,
    /// How many of several patterns must match.
    #[serde(default, skip_serializing_if = "MatchOn::is_any")]
    pub match_on: MatchOn,
}

/// Expects every text to have a match of the pattern, or of one of several: [`MatchesRegex`].
pub fn matches_regex(column: impl Into<String>, regex: impl Into<Patterns>) -> Expectation {
    let (column, regex) = (column.into(), regex.into());
    MatchesRegex { column, regex, match_on: MatchOn::Any }.into()
}

/// Expects every text to have a match of each of these patterns: [`MatchesRegex`].
pub fn matches_all_regexes(column: impl Into<String>, regex: impl Into<Patterns>) -> Expectation {
    let (column, regex) = (column.into(), regex.into());
    MatchesRegex { column, regex, match_on: MatchOn::All }.into()
}

/// No text has a match of the pattern, or of any of several: [`MatchesRegex`] turned around.
///
/// Great Expectations: `expect_column_values_to_not_match_regex` and `…_not_match_regex_list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotMatchesRegex {
    /// The column.
    pub column: String,
    /// The pattern or patterns.
    pub regex: Patterns,
}

/// Expects no text to have a match of the pattern, or of any of several: [`NotMatchesRegex`].
pub fn not_matches_regex(column: impl Into<String>, regex: impl Into<Patterns>) -> Expectation {
    NotMatchesRegex { column: column.into(), regex: regex.into() }.into()
}

/// The most bytes that compiled patterns may take.
pub(super) const SIZE_LIMIT: usize = 1 << 20;

/// Patterns, compiled.
enum Matcher {
    One(Regex),
    Several(RegexSet),
}

impl Matcher {
    fn of(patterns: &Patterns) -> Result<Self> {
        let bad = |e| Error::invalid("regex", "a pattern that compiles within 1 MiB", e);
        match patterns.0.as_slice() {
            [] => Err(Error::invalid("regex", "a pattern or several", "none")),
            [one] => RegexBuilder::new(one)
                .size_limit(SIZE_LIMIT)
                .dfa_size_limit(2 * SIZE_LIMIT)
                .build()
                .map(Self::One)
                .map_err(bad),
            // One automaton looks for all of them at once.
            several => RegexSetBuilder::new(several)
                .size_limit(SIZE_LIMIT)
                .dfa_size_limit(2 * SIZE_LIMIT)
                .build()
                .map(Self::Several)
                .map_err(bad),
        }
    }

    fn any(&self, text: &str) -> bool {
        match self {
            Self::One(regex) => regex.is_match(text),
            Self::Several(set) => set.is_match(text),
        }
    }
}

const WANTED: &str = "a column of text or integers";

impl Kind for MatchesRegex {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        Matcher::of(&self.regex).map(drop)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("a match of {}", self.regex.words(self.match_on.join()));
        to.values(words, &self.column, WANTED, |data_type| {
            if self.match_on == MatchOn::Any {
                let matcher = Matcher::of(&self.regex)?;
                return Ok(Texts::or_integers(data_type, move |text: &str| matcher.any(text)));
            }
            let each = |pattern: &String| Matcher::of(&Patterns::from(pattern));
            let each = self.regex.0.iter().map(each).collect::<Result<Vec<_>>>()?;
            let all = move |text: &str| each.iter().all(|matcher| matcher.any(text));
            Ok(Texts::or_integers(data_type, all))
        })
    }
}

impl Kind for NotMatchesRegex {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        Matcher::of(&self.regex).map(drop)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("no match of {}", self.regex.words(" or "));
        to.values(words, &self.column, WANTED, |data_type| {
            let matcher = Matcher::of(&self.regex)?;
            Ok(Texts::or_integers(data_type, move |text: &str| !matcher.any(text)))
        })
    }
}
