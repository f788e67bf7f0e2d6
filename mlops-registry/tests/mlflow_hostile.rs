//! A server that answers garbage, without end, slowly or not at all neither hangs the client nor
//! makes it panic, and no error tells a secret.
#![cfg(feature = "mlflow")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mlops_core::{NewVersion, Registry, Timestamp};
use mlops_registry::mlflow::{
    LoggedModelStatus, MlflowClient, MlflowError, MlflowOptions, MlflowRegistry, NewLoggedModel,
    NewModelVersion, NewRun, RunBatch, Search,
};
use mlops_registry::tracking::{RunStatus, View};

/// A server that answers every request by a function of what it asked; how often it was asked.
struct Hostile {
    url: String,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Hostile {
    fn new(answer: impl Fn(&str, &mut TcpStream, &AtomicBool) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end, answer) = (asked.clone(), over.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let (count, end, answer) = (count.clone(), end.clone(), answer.clone());
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    let request = request(&mut stream);
                    if !request.is_empty() {
                        count.fetch_add(1, Ordering::Relaxed);
                        answer(&request, &mut stream, &end);
                    }
                });
            }
        });
        Self { url, asked, over }
    }

    /// One that gives the same bytes to everyone.
    fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |_, stream, _| drop(stream.write_all(&bytes)))
    }

    fn client(&self) -> MlflowClient {
        MlflowClient::new(self.options())
    }

    fn options(&self) -> MlflowOptions {
        let options = MlflowOptions::new(&self.url).unwrap();
        let short = Duration::from_millis(400);
        options
            .timeouts(short, short)
            .attempts(3, Duration::from_millis(1), Duration::from_millis(5))
            .answer_bytes(100_000)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

/// A whole request: its head, and the body that it announces.
fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(head) = text.find("\r\n\r\n") {
            let lower = text[..head].to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1);
            let length: usize =
                length.map_or(0, |l| l.split("\r\n").next().unwrap().parse().unwrap());
            if bytes.len() >= head + 4 + length {
                return text;
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return String::new(),
        }
    }
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into()
}

/// Everything that a client asks, one after the other; the errors.
fn everything(client: &MlflowClient) -> Vec<MlflowError> {
    let search = Search::default();
    let batch = RunBatch { params: vec![("a", "b").into()], ..RunBatch::default() };
    let uri = "mlflow-artifacts:/1/a";
    let results = [
        client.server().map(drop),
        client.ensure_experiment("x").map(drop),
        client.create_run(&NewRun::default()).map(drop),
        client.run("x").map(drop),
        client.end_run("x", RunStatus::Finished, 0).map(drop),
        client.log_batch("x", &batch),
        client.metric_history("x", "y").map(drop),
        client.all_runs("0", "", View::All).map(drop),
        client.search_experiments(&search).map(drop),
        client.list_artifacts(uri, "").map(drop),
        client.walk_artifacts(uri, "").map(drop),
        client.artifact(uri, "x", 50_000).map(drop),
        client.create_logged_model(&NewLoggedModel::default()).map(drop),
        client.finish_logged_model("m", LoggedModelStatus::Ready).map(drop),
        client.registered_model("x").map(drop),
        client.create_model_version(&NewModelVersion::default()).map(drop),
        client.search_model_versions(&search).map(drop),
        client.version_by_alias("x", "y").map(drop),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

#[test]
fn garbage() {
    let deep = "[".repeat(50_000);
    let mut answers: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\0\xff\xfe garbage\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}".to_vec(),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            .to_vec(),
        b"HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n".to_vec(),
    ];
    for body in [
        "",
        "null",
        "[]",
        "\"text\"",
        "{\"run\": 5, \"experiment\": [], \"registered_model\": \"x\"}",
        "{\"run\": {\"info\": {\"run_id\": null}}}",
        "{\"error_code\": {\"a\": 1}, \"message\": [1]}",
        &deep,
        "{\"files\": [{\"path\": \"../../etc/passwd\"}]}",
        "{\"model_versions\": [{\"name\": 1}], \"runs\": {}, \"metrics\": [{\"value\": \"x\"}]}",
    ] {
        answers.extend(["200 OK", "404 Not Found", "400 Bad"].map(|status| answer(status, body)));
    }
    for bytes in answers {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        let server = Hostile::saying(bytes);
        let started = Instant::now();
        for error in everything(&server.client()) {
            let text = format!("{error} {error:?} {}", mlops_core::Error::from(error.clone()));
            assert!(text.len() < 9000, "an error of sane length: {} for {shown}", text.len());
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{shown}");
    }
}

#[test]
fn bodies_and_headers_without_end() {
    for head in ["Transfer-Encoding: chunked", "Connection: close"] {
        for filler in ["x", " ", "[", "{\"a\":"] {
            let server = Hostile::new(move |_, stream, over| {
                let chunk = filler.repeat(1000);
                let chunk = if head.starts_with('T') {
                    format!("{:x}\r\n{chunk}\r\n", chunk.len())
                } else {
                    chunk
                };
                let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
                while !over.load(Ordering::Relaxed) && stream.write_all(chunk.as_bytes()).is_ok() {}
            });
            let client = server.client();
            let error = client.run("x").unwrap_err().to_string();
            assert!(error.contains("at most 100000 bytes"), "{error}");
            let error = client.artifact("mlflow-artifacts:/1", "x", 5000).unwrap_err();
            assert!(matches!(error, MlflowError::Answer { .. }), "{error}");
        }
    }
    let server = Hostile::new(|_, stream, over| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n");
        while !over.load(Ordering::Relaxed) && stream.write_all(b"X-Long: yes\r\n").is_ok() {}
    });
    let started = Instant::now();
    server.client().run("x").unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn slow_and_silent() {
    // A byte now and then is not an answer either.
    let slow = Hostile::new(|_, stream, over| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while !over.load(Ordering::Relaxed) && stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let silent = Hostile::new(|_, _, over| {
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for server in [&slow, &silent] {
        let started = Instant::now();
        let error = server.client().run("x").unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
        assert!(error.is_ambiguous());
        server.client().artifact("mlflow-artifacts:/1", "x", 1 << 20).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}

#[test]
fn pages_in_circles() {
    for token in ["same", ""] {
        let server = Hostile::new(move |_, stream, _| {
            let run = "{\"info\": {\"run_id\": \"x\"}}";
            let next = if token.is_empty() { "\"a\"".to_owned() } else { format!("\"{token}\"") };
            let runs = if token.is_empty() { "" } else { run };
            let body = format!("{{\"runs\": [{runs}], \"next_page_token\": {next}}}");
            let _ = stream.write_all(&answer("200 OK", &body));
        });
        let error = server.client().all_runs("0", "", View::All).unwrap_err();
        assert!(error.to_string().contains("without end"), "{error}");
        assert!(server.asked.load(Ordering::Relaxed) <= 2);
    }
    // A directory that holds itself.
    let server =
        Hostile::saying(answer("200 OK", "{\"files\": [{\"path\": \"a\", \"is_dir\": true}]}"));
    let error = server.client().walk_artifacts("mlflow-artifacts:/1", "").unwrap_err();
    assert!(error.to_string().contains("deep"), "{error}");
}

#[test]
fn only_what_is_safe_is_asked_again() {
    let asked = |status: &'static str, ask: &dyn Fn(&MlflowClient)| {
        let server =
            Hostile::saying(answer(status, "{\"error_code\": \"X\", \"message\": \"no\"}"));
        ask(&server.client());
        server.asked.load(Ordering::Relaxed)
    };
    let create = |client: &MlflowClient| drop(client.create_run(&NewRun::default()).unwrap_err());
    let read = |client: &MlflowClient| drop(client.run("x").unwrap_err());
    let log = |client: &MlflowClient| drop(client.log_param("x", "a", "b").unwrap_err());
    for (status, once, again) in [
        ("503 Busy", 1, 3),
        ("500 No", 1, 3),
        ("429 Slow Down", 3, 3),
        ("400 Bad", 1, 1),
        ("401 Who", 1, 1),
        ("302 Found", 1, 1),
    ] {
        assert_eq!(asked(status, &create), once, "making a run at {status}");
        assert_eq!(asked(status, &read), again, "reading at {status}");
        assert_eq!(asked(status, &log), again, "logging at {status}");
    }
    // Nobody listens: nothing was sent, so everything may be tried again.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = MlflowOptions::new(&format!("http://{free}")).unwrap();
    let options = options.attempts(2, Duration::ZERO, Duration::ZERO);
    let error = MlflowClient::new(options).create_run(&NewRun::default()).unwrap_err();
    assert!(
        matches!(error, MlflowError::Transport { attempts: 2, ambiguous: false, .. }),
        "{error}"
    );
}

#[test]
fn secrets_are_told_to_the_server_alone() {
    // One that repeats what it was told.
    let echo = || {
        Hostile::new(|request, stream, _| {
            let said = serde_json::Value::from(request);
            let body = format!("{{\"error_code\": \"X\", \"message\": {said}}}");
            let _ = stream.write_all(&answer("400 Bad", &body));
        })
    };
    let server = echo();
    let bearer = server.options().bearer("s3cret-token").unwrap();
    let basic = server.options().basic("ana", "s3cret:pass").unwrap();
    let with_user = server.url.replace("http://", "http://ana:s3cret%3Apass@");
    let in_url = MlflowOptions::new(&with_user).unwrap();
    for (options, header) in [(bearer, "Bearer"), (basic, "Basic"), (in_url, "Basic")] {
        let client = MlflowClient::new(options.clone());
        let error = client.run("x").unwrap_err();
        let core = mlops_core::Error::from(error.clone());
        let text = format!("{error} {error:?} {core} {core:?} {client:?} {options:?}");
        assert!(text.contains(header) && text.contains("***"), "the header was sent: {text}");
        for secret in ["s3cret", "YW5hOnMzY3JldDpwYXNz"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    for bad in
        ["ftp://ana:s3cret@x", "ana:s3cret@x", "http://a:s3cret@", "http://x/?s3cret", "s3cret"]
    {
        let error = MlflowOptions::new(bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[test]
fn a_registry_on_it_is_an_error() {
    let server = Hostile::saying(answer("200 OK", "{\"experiment\": {\"experiment_id\": \"1\"}}"));
    MlflowRegistry::open(server.client()).unwrap_err();
    // One whose ledger is nonsense.
    let server = Hostile::new(|request, stream, _| {
        let body = if request.starts_with("GET /version") {
            "3.17.2"
        } else if request.contains("server-info") {
            "{\"store_type\": \"SqlStore\"}"
        } else if request.contains("experiments") {
            "{\"experiment\": {\"experiment_id\": \"1\"}}"
        } else if request.contains("registered-models/get") {
            "{\"registered_model\": {\"name\": \"loans\", \"tags\": [{\"key\": \
             \"mlops.ledger_run\", \"value\": \"x\"}]}}"
        } else {
            "{\"run\": {\"info\": {\"run_id\": \"x\"}, \"data\": {\"params\": [{\"key\": \
             \"0000000001\", \"value\": \"{}\"}]}}}"
        };
        let _ = stream.write_all(&answer("200 OK", body));
    });
    let registry = MlflowRegistry::open(server.client()).unwrap();
    let error = registry.versions("loans").unwrap_err();
    assert!(matches!(error, mlops_core::Error::Decode { .. }), "{error}");
    let new = NewVersion::new("loans", "ana").with_artifact("x", "y");
    registry.register(new, Timestamp::from_millis(0)).unwrap_err();
}
