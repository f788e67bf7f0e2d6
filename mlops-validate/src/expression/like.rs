//! `LIKE`: `%` is any text, `_` any one character.

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use mlops_core::{Error, Result};

use super::ast::LikePattern;
use super::test::pack_text;

/// A pattern, taken apart once.
#[derive(Clone, Debug)]
pub(super) struct Like {
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Equals(String),
    Starts(String),
    Ends(String),
    Contains(String),
    /// Everything else, part by part.
    Parts {
        parts: Vec<Part>,
        any_case: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Any,
    One,
    This(char),
}

impl Like {
    pub(super) fn new(like: &LikePattern) -> Result<Self> {
        let mut parts = Vec::new();
        let mut chars = like.pattern.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                c if Some(c) == like.escape => match chars.next() {
                    Some(next) if next == '%' || next == '_' || next == c => Part::This(next),
                    found => {
                        let found = found.map_or("the end".into(), |c| format!("`{c}`"));
                        let what = format!("pattern `{}`", like.pattern);
                        let expected = "`%`, `_` or the escape itself after the escape";
                        return Err(Error::invalid(what, expected, found));
                    }
                },
                // Several are one.
                '%' if parts.last() == Some(&Part::Any) => continue,
                '%' => Part::Any,
                '_' => Part::One,
                c => Part::This(c),
            });
        }
        Ok(Self { shape: Shape::of(parts, like.any_case) })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Equals(this) => text == this,
            Shape::Starts(this) => text.starts_with(this.as_str()),
            Shape::Ends(this) => text.ends_with(this.as_str()),
            Shape::Contains(this) => text.contains(this.as_str()),
            Shape::Parts { parts, any_case } => matches(parts, text, *any_case),
        }
    }

    pub(super) fn over(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        match &self.shape {
            Shape::Equals(this) => pack_text(array, |v| v == this),
            Shape::Starts(this) => pack_text(array, |v| v.starts_with(this.as_str())),
            Shape::Ends(this) => pack_text(array, |v| v.ends_with(this.as_str())),
            _ => pack_text(array, |v| self.matches(v)),
        }
    }
}

impl Shape {
    fn of(parts: Vec<Part>, any_case: bool) -> Self {
        let plain = |parts: &[Part]| {
            let this = |part: &Part| if let Part::This(c) = part { Some(*c) } else { None };
            parts.iter().map(this).collect::<Option<String>>()
        };
        let shape = match parts.as_slice() {
            _ if any_case => None,
            [Part::Any, inner @ .., Part::Any] => plain(inner).map(Self::Contains),
            [Part::Any, rest @ ..] => plain(rest).map(Self::Ends),
            [rest @ .., Part::Any] => plain(rest).map(Self::Starts),
            all => plain(all).map(Self::Equals),
        };
        shape.unwrap_or(Self::Parts { parts, any_case })
    }
}

/// Goes along both; where they part, the last `%` takes one character more. Only the last needs
/// to be gone back to, so the time is at most the product of the lengths.
fn matches(parts: &[Part], text: &str, any_case: bool) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    let mut back = None;
    loop {
        let before = rest.clone();
        let found = rest.next();
        match (parts.get(at), found) {
            (Some(Part::Any), _) => {
                at += 1;
                rest = before.clone();
                back = Some((at, before));
                if at == parts.len() {
                    return true;
                }
            }
            (None, None) => return true,
            (Some(Part::One), Some(_)) => at += 1,
            (Some(Part::This(this)), Some(c)) if same(*this, c, any_case) => at += 1,
            (_, None) => return false,
            _ => {
                let Some((part, from)) = &mut back else { return false };
                from.next();
                rest = from.clone();
                at = *part;
            }
        }
    }
}

fn same(left: char, right: char, any_case: bool) -> bool {
    left == right
        || any_case
            && (left.to_lowercase().eq(right.to_lowercase())
                || left.to_uppercase().eq(right.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn like(pattern: &str, any_case: bool) -> Like {
        Like::new(&LikePattern { pattern: pattern.into(), escape: Some('\\'), any_case }).unwrap()
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("_", "", false),
            ("_", "é", true),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "abc", true),
            ("a%c%e", "abcde", true),
            ("a%c%f", "abcde", false),
            ("%%a%%", "bab", true),
            (r"10\%", "10%", true),
            (r"10\%", "100", false),
            (r"\\_", r"\x", true),
            ("%aab", "aaab", true),
        ] {
            assert_eq!(like(pattern, false).matches(text), expected, "{pattern} {text}");
        }
        assert!(like("ÅR_", true).matches("åre"));
        assert!(!like("ÅR_", false).matches("åre"));
        let pattern = LikePattern { pattern: r"a\b".into(), escape: Some('\\'), any_case: false };
        assert!(Like::new(&pattern).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn agrees_with_a_regex(pattern in "[ab_%]{0,6}", text in "[abé]{0,8}") {
            let regex = pattern.replace('_', ".").replace('%', ".*");
            let regex = regex::Regex::new(&format!("^(?s:{regex})$")).unwrap();
            prop_assert_eq!(like(&pattern, false).matches(&text), regex.is_match(&text));
            prop_assert_eq!(like(&pattern, true).matches(&text), regex.is_match(&text));
        }
    }
}
