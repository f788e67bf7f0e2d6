//! A process that works on a registry is killed at random instants: what it was told is done is
//! there, nothing is half there. And many processes work on one file at once.
//!
//! `MLOPS_KILLS` raises the number of kills.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mlops_core::{
    Approval, Assessment, Error, Finding, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, RegistryExt, Rollback, Timestamp, Verdict, history_flaws,
};
use mlops_registry::audit::{Entry, Log};
use mlops_registry::{Journal, SqliteRegistry};

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

/// The bytes that a version with this tag has.
fn file(tag: &str) -> Vec<u8> {
    let size = tag.bytes().fold(7, |sum: usize, b| sum * 31 % 300_007 + usize::from(b));
    tag.bytes().cycle().take(size).collect()
}

/// One round of a model's life; `told` hears of every step that is done.
fn round(registry: &SqliteRegistry, model: &str, tag: &str, mut told: impl FnMut(String)) {
    let new = NewVersion::new(model, "ana")
        .with_artifact("model.bin", file(tag))
        .with_artifact("tag", tag)
        .with_metric("auc", 0.8)
        .with_commit(tag)
        .with_key(tag);
    let version = registry.register(new.clone(), AT).unwrap();
    let n = version.number;
    told(format!("registered {n} {tag}"));
    assert_eq!(registry.register(new, AT).unwrap(), version, "again under its key");
    let policy = PromotionPolicy { required_gates: vec![tag.into()], ..Default::default() };
    registry.set_policy(model, "other", policy, "cleo", AT).unwrap();
    told(format!("policy {tag}"));
    let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8");
    let report = GateReport::new(version.digest, Assessment::new("quality", 9, vec![finding]), AT);
    registry.record_gate(model, n, report).unwrap();
    told(format!("gated {n}"));
    let approval = Approval { by: "ben".into(), comment: String::new(), at: AT };
    registry.approve(model, n, approval).unwrap();
    told(format!("approved {n}"));
    loop {
        let expected_revision = registry.revision(model, "champion").unwrap();
        let promotion = Promotion {
            model: model.into(),
            alias: "champion".into(),
            version: n,
            actor: "ana".into(),
            reason: tag.into(),
            expected_revision,
            key: Some(format!("promote {tag}")),
        };
        match registry.promote(promotion, AT) {
            Ok(alias) => break told(format!("moved {} {n}", alias.revision)),
            Err(Error::Conflict { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

/// What the child processes do; without their environment it is no test at all.
#[test]
fn child() {
    let Ok(path) = std::env::var("MLOPS_CHILD") else { return };
    let (rounds, tag) =
        (std::env::var("MLOPS_ROUNDS").unwrap(), std::env::var("MLOPS_TAG").unwrap());
    let registry = SqliteRegistry::open(path).unwrap();
    let mut out = std::io::stdout();
    let mut told = |line: String| {
        out.write_all(format!("told {line}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    for n in 0..rounds.parse().unwrap() {
        round(&registry, "loans", &format!("{tag}-{n}"), &mut told);
        if n % 3 == 2 {
            let expected_revision = registry.revision("loans", "champion").unwrap();
            let rollback = Rollback {
                model: "loans".into(),
                alias: "champion".into(),
                actor: "ben".into(),
                reason: "worse".into(),
                expected_revision,
                key: Some(format!("roll back {tag}-{n}")),
            };
            match registry.rollback(rollback, AT) {
                Ok(alias) => told(format!("moved {} {}", alias.revision, alias.version)),
                Err(Error::Conflict { .. }) => {}
                Err(e) => panic!("{e}"),
            }
        }
    }
    told("the end".into());
}

fn spawn(path: &Path, tag: &str, rounds: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("MLOPS_CHILD", path)
        .env("MLOPS_ROUNDS", rounds.to_string())
        .env("MLOPS_TAG", tag)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the child was told is done: its whole lines.
fn heard(child: &mut Child) -> Vec<String> {
    let mut lines = Vec::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if let (Some(at), true) = (line.find("told "), line.ends_with('\n')) {
            lines.push(line[at + 5..].trim_end().to_owned());
        }
        line.clear();
    }
    lines
}

fn check(registry: &SqliteRegistry, told: &[String]) {
    for line in told {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "registered" => {
                let (n, tag) = (number(1), words[2]);
                assert_eq!(registry.artifact("loans", n, "tag").unwrap(), tag.as_bytes(), "{line}");
                assert_eq!(registry.artifact("loans", n, "model.bin").unwrap(), file(tag));
            }
            "gated" => assert_eq!(registry.version("loans", number(1)).unwrap().gates.len(), 1),
            "approved" => {
                assert_eq!(registry.version("loans", number(1)).unwrap().approvals.len(), 1);
            }
            "moved" => {
                let history = registry.history("loans", "champion").unwrap();
                let change = &history[usize::try_from(number(1)).unwrap() - 1];
                assert_eq!(change.version, number(2), "{line}");
            }
            // Later ones may have followed; the log has them all.
            "policy" => {
                let log = registry.entries(0..u64::MAX).unwrap();
                let set = |e: &Entry| e.action() == "policy" && says(e, words[1]);
                assert_eq!(log.iter().filter(|e| set(e)).count(), 1, "{line}");
            }
            _ => assert_eq!(line, "the end"),
        }
    }
}

fn says(entry: &Entry, tag: &str) -> bool {
    entry.detail()["policy"].as_str().is_some_and(|json| json.contains(&format!("{tag:?}")))
}

/// Every version is whole, told of or not.
fn whole(registry: &SqliteRegistry) {
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
    assert_eq!(registry.len().unwrap(), found.entries);
    for n in registry.versions("loans").unwrap() {
        let tag = String::from_utf8(registry.artifact("loans", n, "tag").unwrap()).unwrap();
        assert!(registry.artifact("loans", n, "model.bin").unwrap() == file(&tag), "{tag}");
    }
}

#[test]
fn killed_at_random_instants() {
    const THREADS: u64 = 4;
    let kills: u64 = std::env::var("MLOPS_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let each = kills.div_ceil(THREADS);
    let told = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || kill(t, each))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let (lines, early) = told.iter().fold((0, 0), |sum, told| (sum.0 + told.0, sum.1 + told.1));
    println!("{} kills, {lines} steps were told done, {early} before the first", each * THREADS);
    assert!(lines > 0, "no child got as far as one step");
}

/// Kills this many; how many steps were told done, and how many children told of none.
fn kill(thread: u64, kills: u64) -> (usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let (mut lines, mut early) = (0, 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(thread + 1);
    for kill in 0..kills {
        // Eight kills a file: the first fall into its making, the later find what others left.
        let path = directory.path().join(format!("registry-{}.db", kill / 8));
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = spawn(&path, &format!("k{kill}"), 1000);
        std::thread::sleep(Duration::from_micros((random >> 40) % 150_000));
        child.kill().unwrap();
        let told = heard(&mut child);
        child.wait().unwrap();
        lines += told.len();
        early += usize::from(told.is_empty());
        let registry = SqliteRegistry::open(&path).unwrap();
        check(&registry, &told);
        whole(&registry);
    }
    (lines, early)
}

#[test]
fn eight_processes_of_one_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    let mut children: Vec<_> = (0..8).map(|n| spawn(&path, &format!("p{n}"), 6)).collect();
    let told: Vec<_> = children.iter_mut().flat_map(heard).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a child failed");
    }
    let registry = SqliteRegistry::open_with(&path, Journal::Wal).unwrap();
    assert_eq!(told.iter().filter(|line| *line == "the end").count(), 8);
    check(&registry, &told);
    whole(&registry);
    assert_eq!(registry.versions("loans").unwrap(), (1..=48).collect::<Vec<_>>());
    let moves: Vec<_> = told.iter().filter(|line| line.starts_with("moved")).collect();
    let revisions: HashSet<_> = moves.iter().map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(revisions.len(), moves.len(), "a revision was given out twice");
    let history = registry.history("loans", "champion").unwrap();
    assert_eq!(history.len(), moves.len(), "every move that was told, and no other");
    assert!(history_flaws(&history).is_empty());
}
