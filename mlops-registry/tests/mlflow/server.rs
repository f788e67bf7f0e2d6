//! A real MLflow server for a test, gone with all its processes when the test is over.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mlops_registry::mlflow::{MlflowClient, MlflowOptions};
use serde_json::Value;

/// The directories of the virtual environments that have MLflow, from `MLOPS_MLFLOW`.
pub(crate) fn environments() -> Vec<PathBuf> {
    let named = std::env::var("MLOPS_MLFLOW").unwrap_or_default();
    let found: Vec<_> = named.split(':').filter(|p| !p.is_empty()).map(PathBuf::from).collect();
    if found.is_empty() {
        println!("skipped: MLOPS_MLFLOW names no directory of a virtual environment with MLflow");
    }
    found
}

pub(crate) struct Server {
    /// A shell that leads a process group: the server's parent. Where the server ends or this test
    /// dies (the shell's standard input ends), it kills the group.
    shell: Child,
    /// A variable that all processes of the server inherit, whoever their parent is.
    mark: String,
    pub(crate) url: String,
    pub(crate) directory: tempfile::TempDir,
    python: PathBuf,
}

impl Server {
    pub(crate) fn start(environment: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let python = environment.join("bin/python");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(directory.path().join("log")).unwrap();
        let mark = format!("MLOPS_TEST_SERVER={}-{port}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let shell = Command::new("sh")
            .args(["-c", r#"("$@"; kill -KILL 0) & read _; kill -KILL 0"#, "sh"])
            .arg(&python)
            .args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"])
            .args(["--port", &port.to_string()])
            .args(["--backend-store-uri", &format!("sqlite:///{}", at("mlflow.db"))])
            .args(["--artifacts-destination", &at("artifacts"), "--serve-artifacts"])
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env(name, value)
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { shell, mark, url, directory, python };
        let options = MlflowOptions::new(&server.url).unwrap();
        let options = options.attempts(1, Duration::ZERO, Duration::ZERO);
        let started = Instant::now();
        while MlflowClient::new(options.clone()).server().is_err() {
            let ended = server.shell.try_wait().unwrap().is_some();
            let log = fs::read_to_string(server.directory.path().join("log")).unwrap();
            let patient = started.elapsed() < Duration::from_secs(240);
            assert!(patient && !ended, "no server came up: {log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        server
    }

    pub(crate) fn client(&self) -> MlflowClient {
        MlflowClient::new(MlflowOptions::new(&self.url).unwrap())
    }

    /// What the committed Python script says.
    pub(crate) fn python(&self, arguments: &[&str]) -> Value {
        python(&self.python, arguments)
    }

    /// The processes that the server has.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|b| *b == 0).any(|variable| variable == self.mark.as_bytes())
        };
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|e| e.unwrap().file_name().to_str().and_then(|name| name.parse().ok()));
        pids.filter(marked).collect()
    }

    /// Ends the server; the processes that are left.
    pub(crate) fn stop(&mut self) -> Vec<u32> {
        drop(self.shell.stdin.take());
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.shell.wait();
        let started = Instant::now();
        loop {
            // Whoever left the group, too.
            let left = self.processes();
            for pid in &left {
                let pid = pid.to_string();
                let _ = Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status();
            }
            if left.is_empty() || started.elapsed() > Duration::from_secs(20) {
                return left;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let left = self.stop();
        assert!(left.is_empty() || std::thread::panicking(), "processes are left: {left:?}");
    }
}

/// Runs the script with an environment's Python, in a directory of its own.
pub(crate) fn python(python: &Path, arguments: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mlflow/check.py");
    let directory = tempfile::tempdir().unwrap();
    let done = Command::new(python)
        .arg(script)
        .args(arguments)
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        .env("PYTHONWARNINGS", "ignore")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "check.py {arguments:?}: {out}\n{err}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}
