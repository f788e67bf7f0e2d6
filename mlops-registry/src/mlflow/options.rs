//! Where a server is, who asks, and how patiently.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;

use super::error::{MlflowError, MlflowResult};
use super::url;

/// Where a server is, who asks, and how patiently.
///
/// `Debug` shows the scheme and host, and no credential.
///
/// ```
/// use mlops_registry::mlflow::MlflowOptions;
///
/// let options = MlflowOptions::new("https://ana:s3cret@mlflow.example.org/team")?;
/// assert!(!format!("{options:?}").contains("s3cret"));
/// // The variables that MLflow's own client reads.
/// let vars = |name: &str| (name == "MLFLOW_TRACKING_URI").then(|| "http://localhost:5000".into());
/// let options = MlflowOptions::from_vars(vars)?;
/// assert!(format!("{options:?}").contains("http://localhost:5000"));
/// # Ok::<(), mlops_registry::mlflow::MlflowError>(())
/// ```
#[derive(Clone)]
pub struct MlflowOptions {
    pub(super) base: String,
    pub(super) host: String,
    pub(super) auth: Option<Auth>,
    pub(super) workspace: Option<String>,
    pub(super) timeout: Duration,
    pub(super) transfer_timeout: Duration,
    pub(super) attempts: u32,
    pub(super) wait: Duration,
    pub(super) longest_wait: Duration,
    pub(super) answer_bytes: u64,
}

/// A header's value and what must never be shown.
#[derive(Clone)]
pub(super) struct Auth {
    pub(super) header: String,
    pub(super) secrets: Vec<String>,
}

impl MlflowOptions {
    /// The server at this `http://` or `https://` URL, which may have a path and credentials
    /// (`http://user:password@host:5000/path`).
    ///
    /// # Errors
    /// [`MlflowError::Local`] for anything else; it does not repeat the text.
    pub fn new(uri: &str) -> MlflowResult<Self> {
        let bad = || {
            MlflowError::invalid("tracking URI", "http:// or https://, a host, a path", "another")
        };
        if uri.len() > 4096 || uri.chars().any(|c| c.is_control() || c == ' ' || c == '\\') {
            return Err(bad());
        }
        let no_scheme = || {
            let expected = "http:// or https:// first, as in http://localhost:5000";
            MlflowError::invalid("tracking URI", expected, "no scheme")
        };
        let (scheme, rest) = uri.split_once("://").ok_or_else(no_scheme)?;
        let scheme = ["http", "https"]
            .into_iter()
            .find(|s| s.eq_ignore_ascii_case(scheme))
            .ok_or_else(bad)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let path = path.trim_end_matches('/');
        if host.is_empty() || authority.contains(['?', '#']) || path.contains(['?', '#', '@']) {
            return Err(bad());
        }
        let options = Self {
            base: format!("{scheme}://{host}{path}"),
            host: format!("{scheme}://{host}"),
            auth: None,
            workspace: None,
            timeout: Duration::from_secs(120),
            transfer_timeout: Duration::from_secs(3600),
            attempts: 6,
            wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            answer_bytes: 64 << 20,
        };
        match user {
            None => Ok(options),
            Some(user) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                let decoded = |text| url::decode(text).ok_or_else(bad);
                options.basic(&decoded(name)?, &decoded(password)?)
            }
        }
    }

    /// As MLflow's own client is configured: `MLFLOW_TRACKING_URI`, `MLFLOW_TRACKING_USERNAME` and
    /// `…_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`, and `MLFLOW_WORKSPACE`, by whatever knows the
    /// variables (`|name| std::env::var(name).ok()`).
    ///
    /// # Errors
    /// As [`new`](Self::new); one that is missing.
    pub fn from_vars(vars: impl Fn(&str) -> Option<String>) -> MlflowResult<Self> {
        let uri = vars("MLFLOW_TRACKING_URI")
            .ok_or_else(|| MlflowError::invalid("MLFLOW_TRACKING_URI", "a URL", "nothing"))?;
        let mut options = Self::new(&uri)?;
        if let Some(user) = vars("MLFLOW_TRACKING_USERNAME") {
            let password = vars("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
            options = options.basic(&user, &password)?;
        } else if let Some(token) = vars("MLFLOW_TRACKING_TOKEN") {
            options = options.bearer(&token)?;
        }
        match vars("MLFLOW_WORKSPACE") {
            Some(workspace) => options.workspace(workspace),
            None => Ok(options),
        }
    }

    /// The same, as this user.
    ///
    /// # Errors
    /// [`MlflowError::Local`] for a name with a colon.
    pub fn basic(mut self, user: &str, password: &str) -> MlflowResult<Self> {
        if user.contains(':') || user.is_empty() {
            return Err(MlflowError::invalid("user", "a name without a colon", "another"));
        }
        let engine = base64::engine::general_purpose::STANDARD;
        let encoded = engine.encode(format!("{user}:{password}"));
        let secrets = vec![password.to_owned(), encoded.clone()];
        self.auth = Some(Auth { header: format!("Basic {encoded}"), secrets });
        Ok(self)
    }

    /// The same, with this token.
    ///
    /// # Errors
    /// [`MlflowError::Local`] for one that no header can hold.
    pub fn bearer(mut self, token: &str) -> MlflowResult<Self> {
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(MlflowError::invalid("token", "printable ASCII", "another"));
        }
        self.auth =
            Some(Auth { header: format!("Bearer {token}"), secrets: vec![token.to_owned()] });
        Ok(self)
    }

    /// The same, in this workspace of the server (MLflow 3.10 and later).
    ///
    /// # Errors
    /// [`MlflowError::Local`] for a name that no header can hold.
    pub fn workspace(mut self, name: impl Into<String>) -> MlflowResult<Self> {
        let name = name.into();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(MlflowError::invalid("workspace", "printable ASCII", "another"));
        }
        self.workspace = Some(name);
        Ok(self)
    }

    /// The same, giving up on one attempt of a call after this long (120 s unless told), and on
    /// one transfer of an artifact after that long (an hour), or where nothing moved for `call`.
    #[must_use]
    pub fn timeouts(mut self, call: Duration, transfer: Duration) -> Self {
        (self.timeout, self.transfer_timeout) = (call, transfer);
        self
    }

    /// The same, trying so often (6 unless told), at least once; the waits double from `first` to
    /// `longest`, and what a server asks for is honoured up to `longest`.
    #[must_use]
    pub fn attempts(mut self, attempts: u32, first: Duration, longest: Duration) -> Self {
        (self.attempts, self.wait, self.longest_wait) = (attempts.max(1), first, longest);
        self
    }

    /// The same, refusing JSON answers of more bytes (64 MiB unless told).
    #[must_use]
    pub fn answer_bytes(mut self, most: u64) -> Self {
        self.answer_bytes = most;
        self
    }
}

impl fmt::Debug for MlflowOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MlflowOptions")
            .field("host", &self.host)
            .field("authenticated", &self.auth.is_some())
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
