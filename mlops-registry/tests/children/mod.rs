//! Child processes of a test: what they do, what they tell, and that they are killed.
#![allow(dead_code, reason = "every test uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mlops_core::{
    Approval, Assessment, Error, Finding, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, RegistryExt, Rollback, Timestamp, Unset, Verdict, Withdrawal, history_flaws,
};
use mlops_registry::audit::{Entry, Log};

pub(crate) const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

/// This program again, as the test `child`, with these variables.
pub(crate) fn spawn(variables: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What a child tells its parent, whole lines only.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("told {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What a child was told is done, to its end.
pub(crate) fn heard(child: &mut Child) -> Vec<String> {
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

/// Kills a child after this time, and says what it told.
pub(crate) fn kill_after(mut child: Child, time: Duration) -> Vec<String> {
    std::thread::sleep(time);
    child.kill().unwrap();
    let told = heard(&mut child);
    child.wait().unwrap();
    told
}

/// How many kills there shall be: `MLOPS_KILLS`, or so many.
pub(crate) fn kills(default: u64) -> u64 {
    std::env::var("MLOPS_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// A generator of instants.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn micros(&mut self, below: u64) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((self.0 >> 40) % below)
    }
}

/// The bytes that a version with this tag has.
pub(crate) fn file(tag: &str) -> Vec<u8> {
    let size = tag.bytes().fold(7, |sum: usize, b| sum * 31 % 300_007 + usize::from(b));
    tag.bytes().cycle().take(size).collect()
}

/// A gate's report that is a pass on this version.
pub(crate) fn pass(version: &mlops_core::Version) -> GateReport {
    let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8");
    GateReport::new(version.digest, Assessment::new("quality", 9, vec![finding]), AT)
}

pub(crate) fn approval(by: &str) -> Approval {
    Approval { by: by.into(), comment: String::new(), at: AT }
}

/// A request of ana's for `loans@champion`.
pub(crate) fn promotion(version: u64, expected_revision: u64) -> Promotion {
    Promotion {
        model: "loans".into(),
        alias: "champion".into(),
        version,
        actor: "ana".into(),
        reason: "better".into(),
        expected_revision,
        key: None,
    }
}

/// A request of ben's for `loans@champion`.
pub(crate) fn rollback(expected_revision: u64) -> Rollback {
    Rollback {
        model: "loans".into(),
        alias: "champion".into(),
        actor: "ben".into(),
        reason: "worse".into(),
        expected_revision,
        key: None,
    }
}

/// A request of cleo's for `loans@champion`.
pub(crate) fn unset(expected_revision: u64) -> Unset {
    Unset::new("loans", "champion").by("cleo").because("a leak").seeing(expected_revision)
}

/// Moves the alias on the revision that it has, whoever else moves it, too.
pub(crate) fn promote(registry: &dyn Registry, promotion: &Promotion) -> u64 {
    loop {
        let expected_revision = registry.revision("loans", "champion").unwrap();
        let promotion = Promotion { expected_revision, ..promotion.clone() };
        match registry.promote(promotion, AT) {
            Ok(alias) => return alias.revision,
            Err(Error::Conflict { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

/// One round of a model's life, every step of which is told of when it is done.
pub(crate) fn round(registry: &dyn Registry, tag: &str, told: &mut dyn FnMut(String)) {
    let new = NewVersion::new("loans", "ana")
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
    registry.set_policy("loans", "other", policy, "cleo", AT).unwrap();
    told(format!("policy {tag}"));
    registry.record_gate("loans", n, pass(&version).run_by("nightly")).unwrap();
    told(format!("gated {n}"));
    registry.approve("loans", n, approval("ben")).unwrap();
    told(format!("approved {n}"));
    registry.approve("loans", n, approval("zoe")).unwrap();
    registry.withdraw("loans", n, Withdrawal::new("zoe", "a leak", AT)).unwrap();
    told(format!("withdrawn {n}"));
    let key = Some(format!("promote {tag}"));
    let revision = promote(registry, &Promotion { key, reason: tag.into(), ..promotion(n, 0) });
    told(format!("moved {revision} {n}"));
}

/// Everything that was told is there.
pub(crate) fn check(registry: &(impl Registry + Log), told: &[String]) {
    let history = registry.history("loans", "champion").unwrap();
    assert!(history_flaws(&history).is_empty(), "a total order");
    for line in told {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "registered" => {
                let (n, tag) = (number(1), words[2]);
                assert_eq!(registry.artifact("loans", n, "tag").unwrap(), tag.as_bytes(), "{line}");
                assert!(registry.artifact("loans", n, "model.bin").unwrap() == file(tag), "{line}");
            }
            "gated" => assert_eq!(registry.version("loans", number(1)).unwrap().gates.len(), 1),
            "approved" => {
                let version = registry.version("loans", number(1)).unwrap();
                assert_eq!(version.approvers()[0], "ben", "{line}");
            }
            "withdrawn" => {
                let version = registry.version("loans", number(1)).unwrap();
                assert_eq!((version.approvers(), version.withdrawn.len()), (vec!["ben"], 1));
            }
            "moved" => {
                let change = &history[usize::try_from(number(1)).unwrap() - 1];
                assert_eq!(change.version.unwrap_or(0), number(2), "{line}");
            }
            // Later ones may have followed; the log has them all.
            "policy" => {
                let log = registry.entries(0..u64::MAX).unwrap();
                let set = |e: &&Entry| {
                    e.action() == "policy" && e.detail()["policy"]["required_gates"][0] == words[1]
                };
                assert_eq!(log.iter().filter(set).count(), 1, "{line}");
            }
            _ => assert_eq!(line, "the end"),
        }
    }
}

/// Every version is whole, told of or not.
pub(crate) fn whole(registry: &dyn Registry) {
    for n in registry.versions("loans").unwrap() {
        let tag = String::from_utf8(registry.artifact("loans", n, "tag").unwrap()).unwrap();
        assert!(registry.artifact("loans", n, "model.bin").unwrap() == file(&tag), "{tag}");
    }
}

/// A path as the value of a variable.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
