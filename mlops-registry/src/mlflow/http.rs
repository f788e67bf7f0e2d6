//! Requests: credentials, retries, time limits, and answers of bounded size.

use std::io::Read;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::{Request, Response};
use ureq::{Agent, Body, SendBody};

use super::error::{MlflowError, MlflowResult};
use super::options::MlflowOptions;

/// What an error keeps of a server's message.
const MESSAGE_CHARS: usize = 1000;
/// What is read of an error's body.
const ERROR_BYTES: u64 = 64 << 10;
/// How long a connection may rest before it is opened anew: servers close theirs after 5 s.
const IDLE: Duration = Duration::from_secs(2);

/// Whether a request may be made again when nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice does what once does.
    Always,
    /// It would make a second thing: again only if the server did not take it up.
    Unsent,
    /// As always, but that a 500 is an answer: old servers say so of a file that is not there.
    File,
}

/// A server, and the connections to it.
#[derive(Debug)]
pub(super) struct Http {
    options: MlflowOptions,
    /// Keeps connections open.
    calls: Agent,
    /// Opens one per request: for what must not be sent into a connection that is just closing.
    fresh: Agent,
    transfers: Agent,
}

/// A request, if it is one, and who sends it.
type Made<'a> = (&'a Agent, Result<Request<SendBody<'static>>, ureq::http::Error>);

/// What came of an attempt.
enum Outcome {
    Answer(Response<Body>),
    Failed { again: bool, ambiguous: bool, after: Option<Duration>, error: MlflowError },
}

impl Http {
    pub(super) fn new(options: MlflowOptions) -> Self {
        let config = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .proxy(None)
                .max_idle_age(IDLE)
                .user_agent(concat!("mlops/", env!("CARGO_PKG_VERSION")))
                .timeout_connect(Some(options.timeout.min(Duration::from_secs(30))))
        };
        let total = Some(options.timeout);
        let calls = config().timeout_global(total).build().into();
        let fresh = config()
            .timeout_global(total)
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .build()
            .into();
        let transfers = config()
            .timeout_global(Some(options.transfer_timeout))
            .timeout_per_read(total)
            .timeout_per_write(total)
            .build()
            .into();
        Self { options, calls, fresh, transfers }
    }

    /// Reads: always safe to repeat.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> MlflowResult<T> {
        let target = format!("{path}{}", super::url::query(query));
        self.json("GET", path, &target, None, Repeat::Always)
    }

    /// Writes with a JSON body.
    pub(super) fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
        repeat: Repeat,
    ) -> MlflowResult<T> {
        let body = body.to_string();
        self.json(method, path, path, Some(body.as_bytes()), repeat)
    }

    /// Writes JSON that is text already.
    pub(super) fn send_text(
        &self,
        method: &str,
        path: &str,
        body: &str,
        repeat: Repeat,
    ) -> MlflowResult<serde::de::IgnoredAny> {
        self.json(method, path, path, Some(body.as_bytes()), repeat)
    }

    /// A short answer in plain text.
    pub(super) fn text(&self, path: &str) -> MlflowResult<String> {
        let request = format!("GET {path}");
        let response = self.attempts(&request, Repeat::Always, || {
            Ok((&self.calls, self.request("GET", path).body(SendBody::none())))
        })?;
        let bytes = self.body(&request, response, ERROR_BYTES)?;
        String::from_utf8(bytes).map_err(|_| answer(&request, "text", "other bytes"))
    }

    /// A stream of bytes; the caller bounds it.
    pub(super) fn download(&self, path: &str) -> MlflowResult<Body> {
        let request = format!("GET {path}");
        let response = self.attempts(&request, Repeat::File, || {
            Ok((&self.transfers, self.request("GET", path).body(SendBody::none())))
        })?;
        Ok(response.into_body())
    }

    /// Bytes from a reader that can be opened again for another attempt.
    pub(super) fn upload(
        &self,
        path: &str,
        size: u64,
        open: &mut dyn FnMut() -> MlflowResult<Box<dyn Read>>,
    ) -> MlflowResult<()> {
        let request = format!("PUT {path}");
        let response = self.attempts(&request, Repeat::Always, || {
            let builder = self
                .request("PUT", path)
                .header("Content-Type", "application/octet-stream")
                .header("Content-Length", size);
            let body = SendBody::from_owned_reader(Exactly { reader: open()?, left: size });
            Ok((&self.transfers, builder.body(body)))
        })?;
        self.body(&request, response, ERROR_BYTES)?;
        Ok(())
    }

    fn request(&self, method: &str, target: &str) -> ureq::http::request::Builder {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.options.base))
            .header("Accept", "application/json, */*");
        if let Some(auth) = &self.options.auth {
            builder = builder.header("Authorization", &auth.header);
        }
        if let Some(workspace) = &self.options.workspace {
            builder = builder.header("X-MLFLOW-WORKSPACE", workspace);
        }
        builder
    }

    fn json<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        target: &str,
        body: Option<&[u8]>,
        repeat: Repeat,
    ) -> MlflowResult<T> {
        let request = format!("{method} {path}");
        let agent = if repeat == Repeat::Always { &self.calls } else { &self.fresh };
        let response = self.attempts(&request, repeat, || {
            let builder = self.request(method, target);
            let request = match body {
                None => builder.body(SendBody::none()),
                Some(bytes) => builder
                    .header("Content-Type", "application/json")
                    .header("Content-Length", bytes.len())
                    .body(SendBody::from_owned_reader(std::io::Cursor::new(bytes.to_vec()))),
            };
            Ok((agent, request))
        })?;
        let bytes = self.body(&request, response, self.options.answer_bytes)?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let start: String = String::from_utf8_lossy(&bytes).chars().take(80).collect();
            let found = format!("{e} in `{}`", self.clean(&start));
            answer(&request, "MLflow's JSON", &found)
        })
    }

    /// Asks until there is an answer that counts.
    fn attempts<'a>(
        &self,
        request: &str,
        repeat: Repeat,
        mut make: impl FnMut() -> MlflowResult<Made<'a>>,
    ) -> MlflowResult<Response<Body>> {
        let mut made = 0;
        loop {
            let (agent, built) = make()?;
            let built = built.map_err(|_| {
                MlflowError::invalid("request", "a URL and headers", self.clean(request))
            })?;
            let outcome = match agent.run(built) {
                Ok(response) => self.judge(request, response),
                Err(error) => self.said(request, made + 1, &error),
            };
            made += 1;
            match outcome {
                Outcome::Answer(response) => return Ok(response),
                Outcome::Failed { again, ambiguous, after, error } => {
                    let safe = match repeat {
                        Repeat::Always => true,
                        Repeat::Unsent => !ambiguous,
                        Repeat::File => !matches!(error, MlflowError::Server { status: 500, .. }),
                    };
                    if !again || !safe || made >= self.options.attempts {
                        return Err(error);
                    }
                    let doubled = self
                        .options
                        .wait
                        .saturating_mul(1u32.checked_shl(made - 1).unwrap_or(u32::MAX));
                    let wait = after.unwrap_or(doubled).min(self.options.longest_wait);
                    tracing::debug!(host = self.options.host, made, ?wait, "mlflow: {error}");
                    thread::sleep(wait);
                }
            }
        }
    }

    /// Whether an answer is one.
    fn judge(&self, request: &str, response: Response<Body>) -> Outcome {
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Outcome::Answer(response);
        }
        let after = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut bytes = Vec::new();
        let body = response.into_body().into_with_config().limit(ERROR_BYTES).reader();
        // Half an explanation is one, too.
        let _ = body.take(ERROR_BYTES).read_to_end(&mut bytes);
        let (code, message) = match serde_json::from_slice::<Said>(&bytes) {
            Ok(said) if said.error_code.is_some() || said.message.is_some() => {
                let code = match said.error_code {
                    Some(serde_json::Value::String(code)) => code,
                    Some(other) => other.to_string(),
                    None => "HTTP".to_owned(),
                };
                (code, said.message.unwrap_or_default())
            }
            _ => ("HTTP".to_owned(), String::from_utf8_lossy(&bytes).trim().to_owned()),
        };
        let code: String = self.clean(&code).chars().take(80).collect();
        let message = self.clean(&message);
        Outcome::Failed {
            again: matches!(status, 429 | 500 | 502..=504),
            ambiguous: status >= 500,
            after,
            error: MlflowError::Server { request: request.to_owned(), status, code, message },
        }
    }

    /// What a transport error may say: never its own text, which can hold the URL.
    fn said(&self, request: &str, attempts: u32, error: &ureq::Error) -> Outcome {
        use std::io::ErrorKind;
        let (again, ambiguous, reason) = match error {
            ureq::Error::Io(e) if e.kind() == ErrorKind::ConnectionRefused => {
                (true, false, "connection refused".to_owned())
            }
            ureq::Error::Io(e) if e.kind() == ErrorKind::InvalidInput => {
                (false, false, e.to_string())
            }
            ureq::Error::Io(e) => (true, true, format!("transport error: {}", e.kind())),
            ureq::Error::HostNotFound => (true, false, "host not found".to_owned()),
            ureq::Error::ConnectionFailed => (true, false, "connection failed".to_owned()),
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                (true, false, "timed out while connecting".to_owned())
            }
            ureq::Error::Timeout(_) => (true, true, "timed out".to_owned()),
            ureq::Error::Protocol(_) => (true, true, "broken HTTP answer".to_owned()),
            ureq::Error::LargeResponseHeader(..) => (false, true, "endless headers".to_owned()),
            _ => (false, true, "the request could not be made".to_owned()),
        };
        let error = MlflowError::Transport {
            request: request.to_owned(),
            host: self.options.host.clone(),
            attempts,
            reason: self.clean(&reason),
            ambiguous,
        };
        Outcome::Failed { again, ambiguous, after: None, error }
    }

    fn body(&self, request: &str, response: Response<Body>, most: u64) -> MlflowResult<Vec<u8>> {
        response.into_body().into_with_config().limit(most).read_to_vec().map_err(|e| match e {
            ureq::Error::BodyExceedsLimit(_) => {
                answer(request, &format!("at most {most} bytes"), "more")
            }
            e => {
                let Outcome::Failed { mut error, .. } = self.said(request, 1, &e) else {
                    return answer(request, "a body", "none");
                };
                if let MlflowError::Transport { reason, ambiguous, .. } = &mut error {
                    *ambiguous = true;
                    reason.push_str(" in the answer's body");
                }
                error
            }
        })
    }

    /// The start of a server's text, harmless in a terminal and without our secrets.
    fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.options.auth.iter().flat_map(|a| &a.secrets) {
            // Very short ones would strike out half of every text.
            if secret.len() > 2 {
                text = text.replace(secret.as_str(), "***");
            }
        }
        let blank = |c: char| if c.is_control() { ' ' } else { c };
        let mut cleaned: String = text.chars().take(MESSAGE_CHARS).map(blank).collect();
        if text.chars().nth(MESSAGE_CHARS).is_some() {
            cleaned.push('…');
        }
        cleaned
    }
}

/// A reader that gives as many bytes as were announced, or an error.
struct Exactly {
    reader: Box<dyn Read>,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.reader.read(&mut buffer[..most])?;
        if n == 0 && most > 0 {
            let text = "the artifact is shorter than it was said to be";
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// The error of an answer that is none.
pub(super) fn answer(request: &str, expected: &str, found: &str) -> MlflowError {
    MlflowError::Answer {
        request: request.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// MLflow's form of an error.
#[derive(Deserialize)]
struct Said {
    error_code: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<String>,
}
