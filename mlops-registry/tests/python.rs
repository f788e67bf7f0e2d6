//! The log against a verifier that shares nothing with this library: `examples/verify_log.py`,
//! written from the description of the form, in Python with nothing installed.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mlops_registry::MemoryRegistry;
use mlops_registry::audit::{
    Draft, Entry, Head, Log, Notary, NoteSigner, NoteVerifier, Salt, Verifier, export,
};
use serde_json::json;

mod children;
mod whole_life;

use children::AT;
use whole_life::BEN;

/// The program, if it and a Python are there.
fn program() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/verify_log.py");
    let python = Command::new("python3").arg("--version").output();
    let there = path.is_file() && python.is_ok_and(|said| said.status.success());
    if !there {
        println!("skipped: no Python, or no {}", path.display());
    }
    there.then_some(path)
}

struct Case<'a> {
    program: &'a Path,
    directory: &'a Path,
    key: &'a NoteVerifier,
}

impl Case<'_> {
    /// Whether both find the log whole, who must agree.
    fn whole(&self, log: &[u8], checkpoints: &str, what: &str) -> bool {
        let [audit, notes, key] =
            ["audit.jsonl", "checkpoints.txt", "key.pub"].map(|name| self.directory.join(name));
        fs::write(&audit, log).unwrap();
        fs::write(&notes, checkpoints).unwrap();
        fs::write(&key, self.key.to_string()).unwrap();
        let said =
            Command::new("python3").arg(self.program).args([audit, notes, key]).output().unwrap();
        let theirs = said.status.code();
        let ours = Verifier::new(self.key, checkpoints).verify(log).unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        let errors = String::from_utf8_lossy(&said.stderr);
        match (ours.is_whole(), theirs) {
            (true, Some(0)) => true,
            // What is no UTF-8 they can't read.
            (false, Some(1 | 3)) => false,
            _ => panic!("{what}: we say\n{ours}\nthey say ({theirs:?})\n{text}{errors}"),
        }
    }
}

fn lines(log: &impl Log) -> Vec<u8> {
    let mut out = Vec::new();
    export(log, &mut out).unwrap();
    out
}

#[test]
fn a_verifier_of_others_agrees() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut notary = Notary::new(NoteSigner::from_seed("registry.example.com/x", [9; 32]).unwrap());
    let key = notary.verifier();
    let case = Case { program: &program, directory: directory.path(), key: &key };

    let registry = MemoryRegistry::new();
    whole_life::story(&registry);
    let first = notary.sign(&registry).unwrap().to_string();
    registry.erase(BEN, "dpo", AT).unwrap();
    let second = notary.sign(&registry).unwrap().to_string();
    let notes = format!("{first}\n{second}\n");
    let log = lines(&registry);
    assert!(case.whole(&log, &notes, "as it is"));
    assert!(case.whole(&log, &second, "one checkpoint"));
    assert!(!case.whole(&log, "", "no checkpoint"));

    // A byte here and there, in the log and in the checkpoints.
    for n in 0..24 {
        let mut changed = log.clone();
        let at = n * 7919 % changed.len();
        changed[at] ^= 1 << (n % 7);
        assert!(!case.whole(&changed, &notes, &format!("byte {at}")));
    }
    for n in 0..8 {
        let mut changed = second.clone().into_bytes();
        let at = n * 31 % changed.len();
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        let Ok(changed) = String::from_utf8(changed) else { continue };
        assert!(!case.whole(&log, &changed, &format!("byte {at} of a checkpoint")));
    }
    let all: Vec<&[u8]> = log.split_inclusive(|b| *b == b'\n').collect();
    let mut removed = all.clone();
    removed.remove(3);
    let mut swapped = all.clone();
    swapped.swap(2, 3);
    let mut twice = all.clone();
    twice.insert(4, all[4]);
    for (lines, what) in [
        (removed, "a line removed"),
        (swapped, "two lines swapped"),
        (twice, "a line twice"),
        (all[..all.len() - 1].to_vec(), "the end cut off"),
        (Vec::new(), "nothing left"),
    ] {
        assert!(!case.whole(&lines.concat(), &notes, what));
    }
    assert!(!case.whole(&log[..log.len() - 1], &notes, "the last line feed"));
    // Another past with hashes that fit, which only the checkpoint speaks against.
    let other = MemoryRegistry::new();
    whole_life::story(&other);
    other.erase(BEN, "dpo", AT).unwrap();
    assert!(!case.whole(&lines(&other), &notes, "another past"));
    // Signed by somebody else under the same name.
    let mut forger = Notary::new(NoteSigner::from_seed("registry.example.com/x", [8; 32]).unwrap());
    let forged = forger.sign(&other).unwrap().to_string();
    assert!(!case.whole(&lines(&other), &forged, "a key of somebody else"));
}

/// Numbers and texts whose canonical form is easy to get wrong.
#[test]
fn odd_entries_are_read_alike() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut notary = Notary::new(NoteSigner::from_seed("registry.example.com/x", [9; 32]).unwrap());
    let key = notary.verifier();
    let case = Case { program: &program, directory: directory.path(), key: &key };
    let mut log: Vec<Entry> = Vec::new();
    let mut head = Head::empty();
    let details = [
        json!({"a": [0.1, 1e21, 1e20, 123_456_789_012_345_680_000.0, 1e-6, 1.5e-7, -0.0, 5e-324]}),
        json!([f64::MAX, -1.5, 100.0, 1_u64 << 53, -(1_i64 << 53), 333_333_333.333_333_3]),
        json!({"\u{fb33}": 1, "😀": 2, "€": 3, "\r": 4, "1": 5, "ö": 6, "\u{80}": 7, "": 8}),
        json!("\u{7f}\u{2028}\u{1}\t\"\\/<script>"),
        json!(null),
        json!({"nested": {"b": [[], {}, true, false], "a": "\u{10ffff}"}}),
    ];
    for (n, detail) in details.into_iter().enumerate() {
        let draft = Draft::new(AT, "Zoé \"x\"\n", "note", "größe 😀")
            .with_personal("reason", "\u{0}\u{1f}✓")
            .with_detail(detail);
        let entry = Entry::next(head, draft, Salt::from_bytes([n as u8; 32])).unwrap();
        head = entry.head().unwrap();
        log.push(entry);
    }
    // Trees of every shape up to here.
    let notes: Vec<_> =
        (0..=log.len()).map(|n| notary.sign(&log[..n].to_vec()).unwrap().to_string()).collect();
    let notes = notes.join("\n");
    assert!(case.whole(&lines(&log), &notes, "odd entries"));
}
