//! The main job as a program: bad input is a clear error and an exit code, and neither an
//! interruption nor a kill leaves a registry that is not whole.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mlops::arrow::array::Int64Array;
use mlops::core::{Registry, batch};
use mlops::data::{ParquetSink, Sink};
use mlops::registry::SqliteRegistry;

/// The example that cargo built beside this test.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let name = format!("lifecycle{}", std::env::consts::EXE_SUFFIX);
    tests.parent().unwrap().parent().unwrap().join("examples").join(name)
}

fn run(out: &Path, args: &[&str]) -> Output {
    Command::new(program()).arg("--out").arg(out).args(args).output().unwrap()
}

/// Runs with a file of this text, expects a failure, gives what was said.
fn complaint(text: &str, args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.csv");
    std::fs::write(&file, text).unwrap();
    let mut all = vec!["--data", file.to_str().unwrap()];
    all.extend(args);
    failed(&run(&dir.path().join("out"), &all))
}

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn rows(n: usize, row: impl Fn(usize) -> String) -> String {
    std::iter::once("x,kind,label\n".to_owned()).chain((0..n).map(row)).collect()
}

fn good(n: usize) -> String {
    rows(n, |i| format!("{}.5,{},{}\n", i * 7 % 100, ["a", "b"][i % 2], i * 13 % 7 % 2))
}

macro_rules! says {
    ($said:expr, $($word:expr),+) => {{
        let said = $said;
        $(assert!(said.contains($word), "`{}` is not in: {said}", $word);)+
    }};
}

#[test]
fn bad_command_lines() {
    let dir = tempfile::tempdir().unwrap();
    says!(failed(&run(dir.path(), &["--colour"])), "--colour", "--help");
    says!(failed(&run(dir.path(), &["--seed", "seven"])), "--seed", "whole number", "seven");
    says!(failed(&run(dir.path(), &["--label", "y"])), "--label", "--data");
    says!(failed(&run(dir.path(), &["--data", "x.csv"])), "--label");
    says!(failed(&run(dir.path(), &["--max-gap", "2"])), "--max-gap", "from 0 to 1");
    let help = run(dir.path(), &["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--sensitive COLUMN"));
}

#[test]
fn bad_files() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere.csv");
    let missing = missing.to_str().unwrap();
    says!(failed(&run(dir.path(), &["--data", missing, "--label", "y"])), "nowhere.csv");
    says!(complaint("", &["--label", "label"]), "data.csv");
    says!(complaint("x,kind,label\n", &["--label", "label"]), "data.csv", "rows");
    says!(complaint(&good(50), &["--label", "lable"]), "`lable`", "x, kind, label");
    says!(complaint(&good(50), &["--label", "label", "--drop", "z"]), "`z`");
    says!(complaint(&good(50), &["--label", "label", "--sensitive", "sex"]), "`sex`");
    says!(complaint(&good(50), &["--label", "label", "--time", "kind"]), "`kind`", "date");
    says!(complaint(&good(50), &["--label", "label", "--positive", "7"]), "--positive", "0 or 1");
    says!(complaint(&good(50), &["--label", "x"]), "`x`", "two classes");
    let one_class = rows(50, |i| format!("{i}.5,a,1\n"));
    says!(complaint(&one_class, &["--label", "label"]), "`label`", "two classes");
    let ragged = good(50) + "1.5,a\n";
    says!(complaint(&ragged, &["--label", "label"]), "data.csv", "line 52", "3", "2");
}

#[test]
fn a_parquet_file_that_ends_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cut.parquet");
    let data = batch! { "x" => Int64Array::from_iter_values(0..5000) }.unwrap();
    let mut sink: Box<dyn Sink> = Box::new(ParquetSink::create(&file, data.schema()).unwrap());
    sink.write(&data).unwrap();
    sink.finish().unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let out = dir.path().join("out");
    let args = ["--data", file.to_str().unwrap(), "--label", "x"];
    says!(failed(&run(&out, &args)), "cut.parquet");
}

#[test]
fn a_registry_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let registry = dir.path().join("registry.db");
    std::fs::write(&registry, "minutes of the meeting").unwrap();
    says!(failed(&run(dir.path(), &["--rows", "5000"])), "registry.db");
    assert_eq!(std::fs::read(&registry).unwrap(), b"minutes of the meeting", "it is left alone");
}

#[test]
fn it_runs_through_and_leaves_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--rows", "24000", "--seed", "3"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for word in ["get data", "promote", "Production", "2026-03", "in quarantine", "whole"] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http://") && !page.contains("<script"));
    let registry = SqliteRegistry::open(dir.path().join("registry.db")).unwrap();
    assert!(registry.verify().unwrap().is_whole());
    assert!(!registry.models().unwrap().is_empty());
    let alerts = std::fs::read_to_string(dir.path().join("alerts.jsonl")).unwrap();
    assert!(alerts.lines().count() >= 1);
}

/// Starts the program again and again on one registry, ends it at some instant, and looks.
#[cfg(unix)]
fn ended_by(signal: &str, times: u64) {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..times {
        let mut child = Command::new(program())
            .args(["--rows", "5000", "--seed", &i.to_string(), "--out"])
            .arg(dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(60 + i * 170));
        let pid = child.id().to_string();
        Command::new("kill").args([signal, &pid]).status().unwrap();
        let status = child.wait().unwrap();
        // It may have been done already; if not, an interruption says so by its code.
        if signal == "-INT" {
            assert!(matches!(status.code(), Some(0 | 130) | None), "{status:?}");
        }
        if dir.path().join("registry.db").exists() {
            let registry = SqliteRegistry::open(dir.path().join("registry.db")).unwrap();
            let found = registry.verify().unwrap();
            assert!(found.is_whole(), "{found}");
        }
    }
}

#[test]
#[cfg(unix)]
fn interrupted_it_leaves_a_whole_registry() {
    ended_by("-INT", 4);
}

#[test]
#[cfg(unix)]
fn killed_it_leaves_a_whole_registry() {
    ended_by("-KILL", 8);
}
