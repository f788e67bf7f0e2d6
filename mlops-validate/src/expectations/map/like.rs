//! Texts are like SQL patterns, or like none.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::patterns::{MatchOn, Patterns};
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;

/// Every text as a whole is like the SQL pattern: `%` stands for any characters or none, `_` for
/// one character, and what follows `escape` for itself. Of several patterns one must do, or all
/// with `match_on: all`.
///
/// Case counts, and a character is a Unicode scalar value. There is no escape unless one is
/// given. Time is linear in the text for each part between two `%`. Nulls are left out.
///
/// Great Expectations: `expect_column_values_to_match_like_pattern` and `…_like_pattern_list`,
/// which ask the database (SQLite, unless told, does not mind the case of ASCII letters).
///
/// ```
/// use mlops_validate::{Expectation, like};
/// let text = r#"{"expectation": "like", "column": "code", "pattern": "A!_%", "escape": "!"}"#;
/// let read: Expectation = serde_json::from_str(text)?;
/// assert_ne!(read, like("code", "A!_%"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Like {
    /// The column.
    pub column: String,
    /// The pattern or patterns.
    pub pattern: Patterns,
    /// The character that takes the meaning of the next one away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<char>,
    /// How many of several patterns must do.
    #[serde(default, skip_serializing_if = "MatchOn::is_any")]
    pub match_on: MatchOn,
}

/// Expects every text to be like the SQL pattern, or like one of several: [`Like`].
pub fn like(column: impl Into<String>, pattern: impl Into<Patterns>) -> Expectation {
    let (column, pattern) = (column.into(), pattern.into());
    Like { column, pattern, escape: None, match_on: MatchOn::Any }.into()
}

/// No text is like the SQL pattern, or like any of several: [`Like`] turned around.
///
/// Great Expectations: `expect_column_values_to_not_match_like_pattern` and
/// `…_not_match_like_pattern_list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotLike {
    /// The column.
    pub column: String,
    /// The pattern or patterns.
    pub pattern: Patterns,
    /// The character that takes the meaning of the next one away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<char>,
}

/// Expects no text to be like the SQL pattern, or like any of several: [`NotLike`].
pub fn not_like(column: impl Into<String>, pattern: impl Into<Patterns>) -> Expectation {
    NotLike { column: column.into(), pattern: pattern.into(), escape: None }.into()
}

/// A pattern, cut at its `%`.
#[derive(Clone, Debug)]
struct LikePattern {
    /// What stands before the first `%`, between two, and after the last: at least one part.
    /// `None` stands for any character.
    parts: Vec<Vec<Option<char>>>,
}

impl LikePattern {
    /// The most characters of a pattern.
    const LONGEST: usize = 4096;

    fn parse(pattern: &str, escape: Option<char>) -> Result<Self> {
        let bad = |expected: &str| Err(Error::invalid("pattern", expected, format!("`{pattern}`")));
        if pattern.len() > Self::LONGEST {
            return bad("one of at most 4096 bytes");
        }
        let mut part = Vec::new();
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                c if Some(c) == escape => match chars.next() {
                    Some(c) => part.push(Some(c)),
                    None => return bad("a character after the escape"),
                },
                '%' => parts.push(std::mem::take(&mut part)),
                '_' => part.push(None),
                c => part.push(Some(c)),
            }
        }
        parts.push(part);
        Ok(Self { parts })
    }

    fn of(patterns: &Patterns, escape: Option<char>) -> Result<Vec<Self>> {
        if patterns.0.is_empty() {
            return Err(Error::invalid("pattern", "a pattern or several", "none"));
        }
        patterns.0.iter().map(|p| Self::parse(p, escape)).collect()
    }

    fn matches(&self, text: &str) -> bool {
        let [first, more @ ..] = self.parts.as_slice() else { return false };
        let Some(mut rest) = after(first, text) else { return false };
        let [inner @ .., last] = more else { return rest.is_empty() };
        // The first place where a part fits leaves the most for the others.
        for part in inner {
            match find(part, rest) {
                Some(left) => rest = left,
                None => return false,
            }
        }
        let start = rest.char_indices().rev().take(last.len()).last().map_or(rest.len(), |c| c.0);
        after(last, &rest[start..]).is_some_and(str::is_empty)
    }
}

/// What is left of the text behind the part, if it starts with it.
fn after<'t>(part: &[Option<char>], text: &'t str) -> Option<&'t str> {
    let mut chars = text.chars();
    for expected in part {
        let found = chars.next()?;
        if expected.is_some_and(|expected| expected != found) {
            return None;
        }
    }
    Some(chars.as_str())
}

/// What is left of the text behind the first place where the part fits.
fn find<'t>(part: &[Option<char>], text: &'t str) -> Option<&'t str> {
    let mut chars = text.chars();
    loop {
        if let Some(left) = after(part, chars.as_str()) {
            return Some(left);
        }
        chars.next()?;
    }
}

const WANTED: &str = "a column of text";

impl Kind for Like {
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
        LikePattern::of(&self.pattern, self.escape).map(drop)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("like {}", self.pattern.words(self.match_on.join()));
        to.values(words, &self.column, WANTED, |data_type| {
            let patterns = LikePattern::of(&self.pattern, self.escape)?;
            Ok(match self.match_on {
                MatchOn::Any => Texts::only(data_type, move |text: &str| {
                    patterns.iter().any(|p| p.matches(text))
                }),
                MatchOn::All => Texts::only(data_type, move |text: &str| {
                    patterns.iter().all(|p| p.matches(text))
                }),
            })
        })
    }
}

impl Kind for NotLike {
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
        LikePattern::of(&self.pattern, self.escape).map(drop)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("not like {}", self.pattern.words(" or "));
        to.values(words, &self.column, WANTED, |data_type| {
            let patterns = LikePattern::of(&self.pattern, self.escape)?;
            let none = move |text: &str| !patterns.iter().any(|p| p.matches(text));
            Ok(Texts::only(data_type, none))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn agrees_with_a_regex(pattern in "[ab%_é]{0,8}", text in "[abcé\n]{0,10}") {
            let regex: String = pattern.chars().map(|c| match c {
                '%' => "(?s:.*)".to_owned(),
                '_' => "(?s:.)".to_owned(),
                c => c.to_string(),
            }).collect();
            let expected = regex::Regex::new(&format!("^{regex}$")).unwrap().is_match(&text);
            let like = LikePattern::parse(&pattern, None).unwrap();
            prop_assert_eq!(like.matches(&text), expected, "{} {}", pattern, text);
        }
    }

    #[test]
    fn escapes_and_bad_patterns() {
        let matches = |pattern, text| LikePattern::parse(pattern, Some('!')).unwrap().matches(text);
        assert!(matches("50!%", "50%") && !matches("50!%", "505"));
        assert!(matches("!!a!_", "!a_"));
        assert!(LikePattern::parse("a!", Some('!')).is_err());
        assert!(LikePattern::of(&Patterns(vec![]), None).is_err());
    }
}
