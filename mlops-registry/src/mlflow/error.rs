//! What a server said, or why it could not be asked.

use std::sync::Arc;

/// The result of everything that talks to a server.
pub type MlflowResult<T> = Result<T, MlflowError>;

/// What went wrong between here and the server.
///
/// The URL is named by scheme and host alone, and no credential is in it: what a server repeats
/// of them is struck out.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MlflowError {
    /// The server answered, and refused.
    #[error("{request}: {code} (status {status}): {message}")]
    Server {
        /// The method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// MLflow's `error_code`, as `RESOURCE_DOES_NOT_EXIST`; `HTTP` where the answer was not
        /// MLflow's.
        code: String,
        /// MLflow's `message`, its start.
        message: String,
    },
    /// No answer came.
    #[error("{request} at {host}, {attempts} attempt(s): {reason}")]
    Transport {
        /// The method and path.
        request: String,
        /// The server's scheme and host.
        host: String,
        /// How often it was tried.
        attempts: u32,
        /// What happened at last.
        reason: String,
        /// Whether the server may have done what it was asked.
        ambiguous: bool,
    },
    /// The server answered with what it should not.
    #[error("{request}: expected {expected}, found {found}")]
    Answer {
        /// The method and path.
        request: String,
        /// What would do.
        expected: String,
        /// What came.
        found: String,
    },
    /// This server can't do it.
    #[error("{what} needs {needs}; the server is {found}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What has it.
        needs: String,
        /// What is there.
        found: String,
    },
    /// It was never sent: a bad argument, or a file here that can't be read or written.
    #[error(transparent)]
    Local(Arc<mlops_core::Error>),
}

impl MlflowError {
    /// An argument that can't be sent.
    pub(super) fn invalid(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        mlops_core::Error::invalid(what, expected, found).into()
    }

    /// MLflow's `error_code`, where the server refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the thing asked for is not there (`RESOURCE_DOES_NOT_EXIST`, or a bare 404).
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Server { code, .. } if code != "HTTP" => code == "RESOURCE_DOES_NOT_EXIST",
            Self::Server { status, .. } => *status == 404,
            _ => false,
        }
    }

    /// Whether a thing of that name is there already (`RESOURCE_ALREADY_EXISTS`).
    pub fn is_already_there(&self) -> bool {
        self.code() == Some("RESOURCE_ALREADY_EXISTS")
    }

    /// Whether the server may have done what it was asked although this is an error: the
    /// connection broke, or it failed, after the request was sent.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Transport { ambiguous, .. } => *ambiguous,
            Self::Server { status, .. } => *status >= 500,
            Self::Answer { .. } => true,
            _ => false,
        }
    }
}

impl From<mlops_core::Error> for MlflowError {
    fn from(error: mlops_core::Error) -> Self {
        Self::Local(Arc::new(error))
    }
}

impl From<MlflowError> for mlops_core::Error {
    fn from(error: MlflowError) -> Self {
        match error {
            MlflowError::Local(inner) => Arc::try_unwrap(inner)
                .unwrap_or_else(|inner| Self::Within { context: "mlflow".into(), source: inner }),
            error if error.is_not_found() => Self::NotFound {
                existing: Vec::new(),
                what: "on the MLflow server,".into(),
                name: error.to_string(),
            },
            error => Self::other("mlflow", error),
        }
    }
}
