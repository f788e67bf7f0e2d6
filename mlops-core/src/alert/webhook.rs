//! A sink that POSTs JSON.

use std::fmt;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::{Alert, AlertSink};
use crate::{Error, Result};

/// POSTs each alert as JSON to a URL, and tries again where that may help: when the receiver is
/// busy (429), fails (5xx), or can't be reached. The wait doubles from attempt to attempt, with a
/// jitter that is a function of the alert and the attempt; `Retry-After` in seconds is honoured.
/// Redirects are not followed, because headers may be secret.
///
/// The URL's path, query and credentials and the headers' values are taken for secrets: they are
/// in no error, log or `Debug` output.
pub struct WebhookSink {
    agent: ureq::Agent,
    url: String,
    host: String,
    headers: Vec<(String, String)>,
    attempts: u32,
    wait: Duration,
    longest_wait: Duration,
}

impl WebhookSink {
    /// To this `http://` or `https://` URL: 10 seconds an attempt, 5 attempts, waits from half a
    /// second up to 30.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another scheme or no host.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        let url = url.into();
        let Some(host) = shown(&url) else {
            // The URL may hold a secret even where it is none.
            return Err(Error::invalid("webhook", "an http:// or https:// URL", "another text"));
        };
        Ok(Self {
            agent: agent(Duration::from_secs(10)),
            url,
            host,
            headers: Vec::new(),
            attempts: 5,
            wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
        })
    }

    /// The same, with a header; its value is a secret.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name or value that no header can have.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Result<Self> {
        let (name, value) = (name.into(), value.into());
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(Error::invalid("webhook header", "a header's name", name.escape_debug()));
        }
        if !value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
            let expected = format!("a value of printable ASCII for `{name}`");
            return Err(Error::invalid("webhook header", expected, "another one"));
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// The same, giving up on an attempt after this long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.agent = agent(timeout);
        self
    }

    /// The same, trying so often, at least once.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The same, waiting this long after the first attempt, and never longer than `longest`
    /// (whatever the receiver asks for).
    #[must_use]
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        (self.wait, self.longest_wait) = (first, longest);
        self
    }

    /// One attempt.
    fn attempt(&self, body: &[u8]) -> Attempt {
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match request.send(body) {
            Ok(response) => {
                let status = response.status().as_u16();
                let after = response
                    .headers()
                    .get("retry-after")
                    .and_then(|v| v.to_str().ok()?.trim().parse().ok())
                    .map(Duration::from_secs);
                match status {
                    200..=299 => Attempt::Arrived,
                    429 | 500..=599 => Attempt::Again(format!("status {status}"), after),
                    _ => Attempt::Never(format!("status {status}")),
                }
            }
            Err(error) => said(&error),
        }
    }

    /// How long to wait after an attempt, counted from 0: doubled each time, then shortened by up
    /// to a half so that many senders spread out.
    fn backoff(&self, key: &str, attempt: u32) -> Duration {
        let doubled = self.wait.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let draw = xxh3_64(format!("{key}/{attempt}").as_bytes()) >> 11;
        let share = 0.5 + 0.5 * draw as f64 / (1u64 << 53) as f64;
        doubled.min(self.longest_wait).mul_f64(share)
    }
}

/// What came of an attempt.
enum Attempt {
    Arrived,
    Again(String, Option<Duration>),
    Never(String),
}

/// What a transport error may say: never its own text, which can hold the URL.
fn said(error: &ureq::Error) -> Attempt {
    match error {
        ureq::Error::Io(e) => Attempt::Again(format!("transport error: {}", e.kind()), None),
        ureq::Error::Timeout(_) => Attempt::Again("timed out".to_owned(), None),
        ureq::Error::HostNotFound => Attempt::Again("host not found".to_owned(), None),
        ureq::Error::ConnectionFailed => Attempt::Again("connection failed".to_owned(), None),
        ureq::Error::Protocol(_) => Attempt::Again("broken HTTP response".to_owned(), None),
        _ => Attempt::Never("the request could not be made".to_owned()),
    }
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .into()
}

/// The scheme and host of a URL, which is all of it that is shown.
fn shown(url: &str) -> Option<String> {
    if url.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = ["http", "https"].into_iter().find(|s| s.eq_ignore_ascii_case(scheme))?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then(|| format!("{scheme}://{host}"))
}

impl AlertSink for WebhookSink {
    fn send(&self, alert: &Alert) -> Result<()> {
        let body = serde_json::to_vec(alert).map_err(|e| Error::other("an alert as JSON", e))?;
        let mut made = 0;
        let reason = loop {
            let result = self.attempt(&body);
            made += 1;
            match result {
                Attempt::Arrived => return Ok(()),
                Attempt::Never(reason) => break reason,
                Attempt::Again(reason, _) if made == self.attempts => break reason,
                Attempt::Again(reason, after) => {
                    let wait = after.map_or_else(
                        || self.backoff(&alert.dedup_key, made - 1),
                        |asked| asked.min(self.longest_wait),
                    );
                    tracing::debug!(host = self.host, made, ?wait, "webhook: {reason}, again");
                    std::thread::sleep(wait);
                }
            }
        };
        let noun = if made == 1 { "attempt" } else { "attempts" };
        Err(Error::other(format!("webhook at {}, {made} {noun}", self.host), reason))
    }
}

impl fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("WebhookSink")
            .field("host", &self.host)
            .field("headers", &headers)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;
    use crate::{Severity, Timestamp};

    /// A server that gives these answers, one a connection, and returns the requests it saw.
    fn server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url =
            format!("http://user:pass@{}/s3cret?token=s3cret", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let serve = |answer: &&str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                loop {
                    let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                    if let Some(head) = text.find("\r\n\r\n") {
                        let length = text.split("content-length: ").nth(1).unwrap();
                        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                        if request.len() >= head + 4 + length {
                            break;
                        }
                    }
                    let n = stream.read(&mut chunk).unwrap();
                    assert!(n > 0, "the whole request comes");
                    request.extend_from_slice(&chunk[..n]);
                }
                if !answer.is_empty() {
                    let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
                    write!(stream, "HTTP/1.1 {answer}\r\n{end}").unwrap();
                }
                String::from_utf8(request).unwrap()
            };
            answers.iter().map(serve).collect()
        });
        (url, thread)
    }

    fn sink(url: String) -> WebhookSink {
        let sink = WebhookSink::new(url).unwrap().header("Authorization", "Bearer s3cret").unwrap();
        sink.timeout(Duration::from_secs(5))
            .attempts(4)
            .waits(Duration::from_millis(1), Duration::from_millis(5))
    }

    fn alert() -> Alert {
        Alert::new("drift", Severity::Critical, "income", "PSI 0.41", Timestamp::from_millis(0))
    }

    #[test]
    fn fails_twice_then_arrives() {
        // The second answer asks for an hour; the longest wait is shorter.
        let (url, server) =
            server(&["503 Busy", "429 Slow Down\r\nRetry-After: 3600", "204 No Content"]);
        sink(url).send(&alert()).unwrap();
        let requests = server.join().unwrap();
        assert_eq!(requests.len(), 3);
        for request in requests {
            assert!(request.starts_with("POST /s3cret?token=s3cret HTTP/1.1"), "{request}");
            assert!(request.to_ascii_lowercase().contains("content-type: application/json"));
            let body = request.split_once("\r\n\r\n").unwrap().1;
            assert_eq!(body, serde_json::to_string(&alert()).unwrap());
        }
    }

    #[test]
    fn gives_up_and_tells_no_secret() {
        // Without an answer, and with one that helps no further.
        let (url, server) = server(&["500 No", "", "502 No", "500 No"]);
        let sink = sink(url);
        let error = sink.send(&alert()).unwrap_err();
        assert_eq!(server.join().unwrap().len(), 4);
        let text = format!("{error} {error:?} {sink:?}");
        assert!(text.contains("4 attempts") && text.contains("status 500"), "{text}");
        assert!(!text.contains("s3cret") && !text.contains("pass"), "{text}");
        // Nobody listens there any more.
        let error = sink.send(&alert()).unwrap_err().to_string();
        assert!(error.contains("4 attempts") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_refusal_is_final() {
        for answer in [&["400 Bad"], &["401 Who"], &["302 Moved\r\nLocation: http://127.0.0.1:1/"]]
        {
            let (url, server) = server(answer);
            let error = sink(url).send(&alert()).unwrap_err().to_string();
            assert!(error.contains("1 attempt: status"), "{error}");
            assert_eq!(server.join().unwrap().len(), 1);
        }
    }

    #[test]
    fn waits_grow_within_their_bound() {
        let sink = WebhookSink::new("https://example.org/x").unwrap();
        for attempt in 0..80 {
            let wait = sink.backoff("key", attempt);
            assert_eq!(wait, sink.backoff("key", attempt));
            let full = Duration::from_millis(500).saturating_mul(1 << attempt.min(10));
            let full = full.min(Duration::from_secs(30));
            assert!(wait >= full.mul_f64(0.499) && wait <= full, "{attempt}: {wait:?}");
        }
        for bad in ["", "ftp://x", "http://", "https:///path", "http://a b", "no url s3cret"] {
            let error = WebhookSink::new(bad).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(sink.header("X-Key", "a\r\nHost: b").is_err());
    }
}
