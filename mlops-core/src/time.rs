//! Points in time, passed in and never taken from a hidden clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Prints and parses as RFC 3339, and is serialised so.
///
/// ```
/// use mlops_core::Timestamp;
/// let t: Timestamp = "2026-01-31T12:00:00Z".parse()?;
/// assert_eq!(t.to_string(), "2026-01-31T12:00:00Z");
/// assert_eq!(t.millis(), 1_769_860_800_000);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// The given number of milliseconds after (before, if negative) the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The system's clock, read now. Programs call this; the house's own functions take the time.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(millis) = text.strip_suffix(" ms").and_then(|t| t.parse().ok()) {
            return Ok(Self(millis));
        }
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|_| Error::invalid("timestamp", "RFC 3339, as 2026-01-31T12:00:00Z", text))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(t: Timestamp) -> Self {
        t.to_string()
    }
}
