//! The one error of the seams.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The result of everything in the house that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, what was expected and what was found.
///
/// Bad *data* is not an error: it is a [`Finding`](crate::Finding). An error says that a question
/// could not be asked: a column that is not there, bytes that are no state, a file that ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A column that somebody asked for is not in the schema.
    #[error("column `{column}` is not there; the columns are: {}", shortlist(.available))]
    ColumnNotFound {
        /// The column asked for.
        column: String,
        /// The columns that are there.
        available: Vec<String>,
    },
    /// A column has a type that this operation can't use.
    #[error("column `{column}`: expected {expected}, found type {found}")]
    ColumnType {
        /// The column.
        column: String,
        /// The types that would do.
        expected: String,
        /// The type that it has.
        found: String,
    },
    /// A value in a row is not what it must be.
    #[error("column `{column}`, row {row}: expected {expected}, found {found}")]
    Value {
        /// The column.
        column: String,
        /// The row, counted from 0 within its source.
        row: u64,
        /// What would do.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// An argument, option or description is not usable.
    #[error("{what}: expected {expected}, found {found}")]
    Invalid {
        /// What was looked at: an argument, a field, a file.
        what: String,
        /// What would do.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Two lengths that must agree do not.
    #[error("{left} has length {left_len}, {right} has {right_len}")]
    Length {
        /// The first thing measured.
        left: String,
        /// Its length: rows, cells, values.
        left_len: usize,
        /// The other.
        right: String,
        /// Its length.
        right_len: usize,
    },
    /// A number that has no value for this data.
    #[error("{what} is undefined: {reason}")]
    Undefined {
        /// The number asked for.
        what: String,
        /// Why it has no value.
        reason: String,
    },
    /// Two states that measure different things were merged.
    #[error("states of {what} don't merge: {reason}")]
    Merge {
        /// What the states measure.
        what: String,
        /// How they differ.
        reason: String,
    },
    /// Bytes that are not what they claim to be.
    #[error("{what}, byte {offset}: expected {expected}, found {found}")]
    Decode {
        /// What was being read.
        what: String,
        /// Where it stopped making sense.
        offset: u64,
        /// What the format wants there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A text file that doesn't parse.
    #[error("{}, line {line}: expected {expected}, found {found}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What the format wants there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The work was cancelled by its [`Cancel`](crate::Cancel) token.
    #[error("cancelled")]
    Cancelled,
    /// A thing asked for by name does not exist.
    #[error("{what} `{name}` does not exist{}", among(existing))]
    NotFound {
        /// The kind of thing: a model, a version, an alias.
        what: String,
        /// Its name.
        name: String,
        /// The names of some that do exist, where somebody looked.
        existing: Vec<String>,
    },
    /// A change that lost a race: somebody else was first.
    #[error("{what}: expected revision {expected}, found {found}")]
    Conflict {
        /// What was to be changed.
        what: String,
        /// The revision that the caller had seen.
        expected: u64,
        /// The revision that is there.
        found: u64,
    },
    /// A key that another request has: not a race, and asking again changes nothing.
    #[error("key `{key}` of {model} was used for {by}")]
    KeyUsed {
        /// The key.
        key: String,
        /// The model, whose own it is.
        model: String,
        /// The request that has it.
        by: String,
    },
    /// A rule of the house forbids it: a gate, a missing approval.
    #[error("{what} is blocked: {}", .reasons.join("; "))]
    Blocked {
        /// What was to be done.
        what: String,
        /// Every rule that stands in its way.
        reasons: Vec<String>,
    },
    /// A part failed; this says which.
    #[error("{context}: {source}")]
    Within {
        /// The part: an analyzer, a stage, a file.
        context: String,
        /// Its error, shared because a plan hands it to everyone who asks.
        source: Arc<Error>,
    },
    /// An error of another process, of which only the text came along.
    #[error("{message}")]
    Recorded {
        /// What it said there.
        message: String,
    },
    /// An error of a library underneath.
    #[error("{context}: {source}")]
    Other {
        /// What was being done.
        context: String,
        /// The library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What exists, as the end of a sentence that says what does not.
fn among(existing: &[String]) -> String {
    if existing.is_empty() { String::new() } else { format!("; there are {}", existing.join(", ")) }
}

impl Error {
    /// An argument or description that can't be used.
    pub fn invalid(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Display,
    ) -> Self {
        Self::Invalid { what: what.into(), expected: expected.into(), found: found.to_string() }
    }

    /// A number that has no value, and why.
    pub fn undefined(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Undefined { what: what.into(), reason: reason.into() }
    }

    /// A thing that does not exist, with those that do: the first twenty of them.
    pub fn not_found(
        what: impl Into<String>,
        name: impl Display,
        existing: impl IntoIterator<Item = impl Display>,
    ) -> Self {
        let mut existing = existing.into_iter().map(|name| name.to_string());
        let mut shown: Vec<_> = existing.by_ref().take(20).collect();
        if existing.next().is_some() {
            shown.push("…".to_owned());
        }
        // Whoever asks may have asked for a megabyte.
        let name = name.to_string().chars().take(200).collect();
        Self::NotFound { what: what.into(), name, existing: shown }
    }

    /// A column of the wrong type.
    pub fn column_type(
        column: impl Into<String>,
        expected: impl Into<String>,
        found: impl Display,
    ) -> Self {
        Self::ColumnType {
            column: column.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// Two states that can't meet.
    pub fn merge(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Merge { what: what.into(), reason: reason.into() }
    }

    /// An error of the file system, with the path it concerns.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    /// An error of a library underneath.
    pub fn other(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Other { context: context.into(), source: source.into() }
    }

    /// This error, with the part that it happened in.
    #[must_use]
    pub fn within(self, context: impl Into<String>) -> Self {
        match self {
            // A cancellation stays one whatever it passed through: callers branch on it.
            Self::Cancelled => Self::Cancelled,
            other => Self::Within { context: context.into(), source: Arc::new(other) },
        }
    }

    /// Whether the work stopped because it was asked to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(source: arrow::error::ArrowError) -> Self {
        match source {
            // What the house raised inside an arrow callback comes back as itself.
            arrow::error::ArrowError::ExternalError(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => Self::Other { context: "arrow".into(), source: inner },
            },
            source => Self::other("arrow", source),
        }
    }
}

/// At most a dozen names, and how many more there are.
fn shortlist(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        text.push_str("(none)");
    } else if names.len() > SHOWN {
        return format!("{text} and {} more", names.len() - SHOWN);
    }
    text
}
