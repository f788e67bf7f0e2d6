//! One-sided or two-sided.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Against what a test holds "nothing drifted". Sides are those of the current data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// Current and reference differ, in either direction.
    #[default]
    TwoSided,
    /// The current data are smaller: a smaller mean, a smaller share, values further left.
    /// `alternative="less"` of scipy, with the current data as its first sample.
    Less,
    /// The current data are larger. `alternative="greater"` of scipy, with the current data as its
    /// first sample.
    Greater,
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TwoSided => "two-sided",
            Self::Less => "less",
            Self::Greater => "greater",
        })
    }
}
