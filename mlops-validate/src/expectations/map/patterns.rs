//! One pattern or several, and whether any or all of them must match.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One pattern, or several: in a suite a text or a list of texts.
///
/// ```
/// use mlops_validate::Patterns;
/// assert_eq!(serde_json::from_str::<Patterns>(r#""^a""#)?, Patterns::from("^a"));
/// assert_eq!(serde_json::to_string(&Patterns::from(["^a", "^b"]))?, r#"["^a","^b"]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns(pub Vec<String>);

impl From<&str> for Patterns {
    fn from(pattern: &str) -> Self {
        Self(vec![pattern.to_owned()])
    }
}

impl From<String> for Patterns {
    fn from(pattern: String) -> Self {
        Self(vec![pattern])
    }
}

impl From<&String> for Patterns {
    fn from(pattern: &String) -> Self {
        Self(vec![pattern.clone()])
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Patterns {
    fn from(patterns: [S; N]) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>> From<Vec<S>> for Patterns {
    fn from(patterns: Vec<S>) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(String),
    Several(Vec<String>),
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::One(pattern) => Self(vec![pattern]),
            Written::Several(patterns) => Self(patterns),
        })
    }
}

impl Patterns {
    /// The patterns in words.
    pub(super) fn words(&self, join: &str) -> String {
        let quoted: Vec<_> = self.0.iter().map(|p| format!("`{p}`")).collect();
        quoted.join(join)
    }
}

/// Of several patterns, how many must match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MatchOn {
    /// At least one.
    #[default]
    Any,
    /// Every one.
    All,
}

impl MatchOn {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn is_any(&self) -> bool {
        *self == Self::Any
    }

    pub(super) fn join(self) -> &'static str {
        if self == Self::Any { " or " } else { " and " }
    }
}
