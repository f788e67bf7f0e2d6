//! Files that are no registry, are damaged, are newer, can't be written.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::path::Path;

use mlops_core::{
    Approval, Assessment, Error, Finding, GateReport, NewVersion, Promotion, PromotionPolicy,
    Registry, RegistryExt, Rollback, Timestamp, Unset, Verdict, Withdrawal,
};
use mlops_registry::audit::{Entry, Log};
use mlops_registry::{Journal, SqliteRegistry};

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

/// Two versions, each promoted once, and a rollback.
fn fill(path: &Path) {
    let registry = SqliteRegistry::open(path).unwrap();
    let policy = PromotionPolicy { required_gates: vec!["quality".into()], ..Default::default() };
    registry.set_policy("loans", "champion", policy, "cleo", AT).unwrap();
    for n in 1..=2 {
        let new = NewVersion::new("loans", "ana")
            .with_artifact("model.json", format!("{{\"w\": {n}}}"))
            .with_artifact("profile.bin", vec![n; 9000])
            .with_metric("auc", 0.8)
            .with_metric("gap", f64::NAN)
            .with_param("depth", n)
            .with_tag("team", "risk");
        let version = registry.register(new, AT).unwrap();
        let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8");
        let assessment = Assessment::new("quality", 9, vec![finding]);
        let report = GateReport::new(version.digest, assessment, AT);
        registry.record_gate("loans", version.number, report).unwrap();
        let approval = Approval { by: "ben".into(), comment: "read".into(), at: AT };
        registry.approve("loans", version.number, approval).unwrap();
        let promotion = Promotion {
            model: "loans".into(),
            alias: "champion".into(),
            version: version.number,
            actor: "ana".into(),
            reason: "better".into(),
            expected_revision: version.number - 1,
            key: None,
        };
        registry.promote(promotion, AT).unwrap();
    }
    let rollback = Rollback {
        model: "loans".into(),
        alias: "champion".into(),
        actor: "ben".into(),
        reason: "complaints".into(),
        expected_revision: 2,
        key: None,
    };
    registry.rollback(rollback, AT).unwrap();
}

/// The same, and what the first schema did not know: an approval that was taken back, and the
/// alias unset.
fn fill_more(path: &Path) {
    fill(path);
    let registry = SqliteRegistry::open(path).unwrap();
    registry.withdraw("loans", 1, Withdrawal::new("ben", "a leak", AT)).unwrap();
    let away = Unset::new("loans", "champion").by("ben").because("a leak").seeing(3);
    registry.unset(away, AT).unwrap();
    let approval = Approval { by: "zoe".into(), comment: "read".into(), at: AT };
    registry.approve("loans", 1, approval).unwrap();
}

/// Everything that can be read, as text.
#[expect(clippy::format_push_string, reason = "a test may allocate")]
fn contents(registry: &SqliteRegistry) -> Result<String, Error> {
    let mut out = String::new();
    for model in registry.models()? {
        for n in registry.versions(&model)? {
            let version = registry.version(&model, n)?;
            for artifact in &version.artifacts {
                out.push_str(&format!("{:?}\n", registry.artifact(&model, n, &artifact.name)?));
            }
            out.push_str(&format!("{version:?}\n"));
        }
        for alias in registry.aliases(&model)? {
            let mut history = registry.history(&model, &alias.alias)?;
            // The first schema named gates without the digests of their reports, approvals without
            // their times, and no policy.
            for change in &mut history {
                change.evidence.clear();
                change.approved_at.clear();
                change.policy = None;
            }
            out.push_str(&format!("{alias:?} {history:?}\n"));
        }
        out.push_str(&format!("{:?}\n", registry.policy(&model, "champion")?));
    }
    Ok(out)
}

fn refused(path: &Path, expected: &str) {
    let before = std::fs::read(path).ok();
    let error = SqliteRegistry::open(path).unwrap_err().to_string();
    assert!(error.contains(expected), "expected {expected:?} in: {error}");
    assert_eq!(std::fs::read(path).ok(), before, "the file is left as it is");
}

#[test]
fn what_is_no_registry_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    refused(directory.path(), "a directory");
    refused(&path("none/registry.db"), "No such file");
    std::fs::write(path("text"), "a,b\n1,2\n").unwrap();
    refused(&path("text"), "another kind of file");
    std::fs::write(path("cut"), "SQLite format 3\0").unwrap();
    refused(&path("cut"), "another kind of file");
    let other = rusqlite::Connection::open(path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE model (id INTEGER)").unwrap();
    drop(other);
    refused(&path("other.db"), "another application");
    // An empty file, as `tempfile` makes it, becomes a registry.
    std::fs::write(path("empty"), "").unwrap();
    assert_eq!(SqliteRegistry::open(path("empty")).unwrap().models().unwrap(), [""; 0]);
}

#[test]
fn a_newer_schema_is_refused_with_both_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    fill(&path);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 7).unwrap();
    drop(raw);
    refused(&path, "1 to 2; a newer release made this file, found 7");
}

#[test]
fn journals_change_with_the_file_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    fill(&path);
    let written = contents(&SqliteRegistry::open(&path).unwrap()).unwrap();
    for journal in [Journal::Rollback, Journal::Wal] {
        let registry = SqliteRegistry::open_with(&path, journal).unwrap();
        assert_eq!((registry.journal(), registry.path()), (journal, path.as_path()));
        assert_eq!(contents(&registry).unwrap(), written);
    }
}

#[test]
fn history_is_final_even_for_sql() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    fill_more(&path);
    let raw = rusqlite::Connection::open(&path).unwrap();
    for table in ["alias_change", "gate", "approval", "withdrawal", "policy", "audit"] {
        raw.execute(&format!("DELETE FROM {table}"), []).unwrap_err();
        let column = if table == "audit" { "hash" } else { "seal" };
        raw.execute(&format!("UPDATE {table} SET {column} = x'00'"), []).unwrap_err();
    }
    drop(raw);
    assert!(SqliteRegistry::open(&path).unwrap().verify().unwrap().is_whole());
}

/// A careless edit of any table is an error where it is read and a problem with its place.
#[test]
fn edits_behind_its_back_are_found() {
    for (edit, place) in [
        ("UPDATE metric SET bits = 0 WHERE name = 'auc'", "loans v1"),
        ("UPDATE param SET value = '9'", "loans v1"),
        ("DELETE FROM tag", "loans v1"),
        ("UPDATE chunk SET bytes = x'00' WHERE id = 1", "model.json of loans v1"),
        ("DELETE FROM chunk WHERE blob = 2", "profile.bin of loans v1"),
        ("DROP TRIGGER gate_is_final; UPDATE gate SET report = '{}'", "a gate of loans v1"),
        ("DROP TRIGGER approval_is_final; UPDATE approval SET person = 'zoe'", "an approval of"),
        ("DROP TRIGGER history_is_final; UPDATE alias_change SET version = 2", "loans@champion"),
        ("DROP TRIGGER history_stays; DELETE FROM alias_change WHERE revision = 1", "revision 2"),
        (
            "DROP TRIGGER history_stays; DELETE FROM alias_change WHERE revision = 4",
            "`unset` of no",
        ),
        ("DROP TRIGGER withdrawal_stays; DELETE FROM withdrawal", "entries `withdraw` of no row"),
        ("DROP TRIGGER withdrawal_is_final; UPDATE withdrawal SET reason = 'x'", "taken back"),
        (
            "DROP TRIGGER withdrawal_is_final; UPDATE withdrawal SET approval = 2",
            "v2 that was taken",
        ),
        ("DROP TRIGGER policy_is_final; UPDATE policy SET alias = 'x'", "policy of loans@x"),
        (
            // Who took back, and who did not.
            "DROP TRIGGER approval_is_final; PRAGMA foreign_keys = OFF;
             INSERT INTO approval (id, version, person, comment, at, seal)
                 SELECT 99, version, person, comment, at, seal FROM approval WHERE id = 1;
             UPDATE approval SET (version, person, comment, at, seal) =
                 (SELECT version, person, comment, at, seal FROM approval WHERE id = 3) WHERE id = 1;
             UPDATE approval SET (version, person, comment, at, seal) =
                 (SELECT version, person, comment, at, seal FROM approval WHERE id = 99) WHERE id = 3;
             DROP TRIGGER approval_stays; DELETE FROM approval WHERE id = 99",
            "another withdrawal than entry",
        ),
        ("DROP TRIGGER version_is_final; UPDATE version SET facts = '{}'", "loans v1"),
        ("DROP TRIGGER policy_stays; DELETE FROM policy", "entries `policy` of no row"),
        ("DROP TRIGGER audit_stays; DELETE FROM audit WHERE seq = 3", "audit entry 3"),
        (
            "DROP TRIGGER audit_stays; DELETE FROM audit WHERE seq = 9",
            "no entry of the move of an alias",
        ),
        ("UPDATE audit SET entry = replace(entry, 'better', 'bitter')", "audit entry"),
        (
            "DROP TRIGGER audit_is_final; UPDATE audit SET seq = 99 WHERE seq = 2;
             UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 99",
            "audit entry 2",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        fill_more(&path);
        let raw = rusqlite::Connection::open(&path).unwrap();
        raw.execute_batch(&edit.replace("id = 1", "rowid = 1")).unwrap();
        drop(raw);
        let found = SqliteRegistry::open(&path).unwrap().verify().unwrap();
        assert!(!found.is_whole(), "{edit} was not found");
        assert!(found.to_string().contains(place), "{edit}: expected {place:?} in {found}");
    }
}

/// Flipped bits are an error, a problem, or in bytes that nobody reads; never another answer and
/// never a panic.
#[test]
fn flipped_bits_never_give_another_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    fill(&path);
    let whole = std::fs::read(&path).unwrap();
    let written = contents(&SqliteRegistry::open(&path).unwrap()).unwrap();
    // Pages of tables without rows are all zeros but for their heads.
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let first_page = used.partition_point(|at| *at < 4096);
    let (mut errors, mut problems, mut unread) = (0, 0, 0);
    let mut random = 7_u64;
    for n in 0..300 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A third of the flips in the headers and the schema, where they hurt most.
        let reach = if n % 3 == 0 { first_page } else { used.len() };
        let at = used[(random >> 24) as usize % reach];
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (random >> 61);
        let path = directory.path().join("flipped.db");
        for suffix in ["", "-wal", "-shm", "-journal"] {
            std::fs::remove_file(directory.path().join(format!("flipped.db{suffix}"))).ok();
        }
        std::fs::write(&path, bytes).unwrap();
        let Ok(registry) = SqliteRegistry::open(&path) else {
            errors += 1;
            continue;
        };
        let found = registry.verify();
        match contents(&registry) {
            Err(_) => {
                errors += 1;
                assert!(!found.is_ok_and(|f| f.is_whole()), "byte {at}: verify finds it, too");
            }
            Ok(_) if !found.is_ok_and(|f| f.is_whole()) => problems += 1,
            Ok(read) => {
                assert_eq!(read, written, "byte {at}: another answer, and verify is content");
                unread += 1;
            }
        }
    }
    println!("{errors} errors, {problems} problems, {unread} in bytes that nobody reads");
    assert!(errors + problems > 40);
}

/// The file of the first schema, which every later release opens.
///
/// `MLOPS_WRITE_FIXTURE=1` writes it anew; that is for a new schema only, under a new name.
#[test]
fn the_file_of_the_first_schema_opens() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/registry_v1.db");
    if std::env::var_os("MLOPS_WRITE_FIXTURE").is_some() {
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fill(&kept);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    std::fs::copy(kept, &path).unwrap();
    let registry = SqliteRegistry::open(&path).unwrap();
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
    assert_eq!((found.versions, found.changes, found.entries), (2, 3, 10));
    // What was there before there was a log has its entries, and they say when they were made.
    let log = registry.entries(0..99).unwrap();
    let actions: Vec<_> = log.iter().map(Entry::action).collect();
    let version = ["register", "gate", "approve"];
    assert_eq!(actions[..6], [version, version].concat());
    assert_eq!(actions[6..], ["policy", "promote", "promote", "rollback"]);
    assert!(log.iter().all(|e| e.detail()["logged_by"] == "migration from version 1"));
    let why = registry.why("loans", "champion", AT).unwrap();
    assert_eq!((why.alias.version, why.promotion.revision, why.gates.len()), (Some(1), 1, 1));
    let new = NewVersion::new("loans", "ana").with_artifact("m", "x").with_commit("0123");
    let path_of_new = directory.path().join("new.db");
    std::fs::copy(&path, &path_of_new).unwrap();
    let next = SqliteRegistry::open(path_of_new).unwrap();
    assert_eq!(next.register(new, AT).unwrap().number, 3);
    assert!(next.verify().unwrap().is_whole());
    // An old approval is taken back and given again, the old alias unset, and ben forgotten.
    next.withdraw("loans", 1, Withdrawal::new("ben", "a leak", AT)).unwrap();
    let later = Timestamp::from_millis(AT.millis() + 1);
    let again = Approval { by: "ben".into(), comment: "mended".into(), at: later };
    next.approve("loans", 1, again).unwrap();
    let why = next.why("loans", "champion", AT).unwrap();
    assert_eq!(why.version.approvals.len(), 1, "histories of old do not say which of the two");
    let away = Unset::new("loans", "champion").by("ben").because("a leak").seeing(3);
    assert_eq!(next.unset(away, AT).unwrap().revision, 4);
    assert_eq!(
        next.rollback(Rollback::new("loans", "champion").by("zoe").seeing(4), AT).ok(),
        None
    );
    next.erase("ben", "dpo", AT).unwrap();
    let found = next.verify().unwrap();
    assert!(found.is_whole(), "{found}");
    drop(next);
    let (version, bytes) = registry.load("loans", "champion", "model.json").unwrap();
    assert_eq!((version.number, bytes.as_slice()), (1, &b"{\"w\": 1}"[..]));
    assert_eq!(
        version.digest.to_string(),
        "sha256:9a8710664c6fb2cd9208c2a4087bcaef2207d0cc24f9d3a4b7e969c3fcd4414f"
    );
    assert!(version.metrics["gap"].is_nan());
    assert_eq!(registry.policy("loans", "champion").unwrap().required_gates, ["quality"]);
    let fresh = directory.path().join("fresh.db");
    fill(&fresh);
    let fresh = contents(&SqliteRegistry::open(fresh).unwrap()).unwrap();
    assert_eq!(contents(&registry).unwrap(), fresh, "today's release writes the same");
}

#[test]
fn what_is_no_path_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let start = std::time::Instant::now();
    for (path, word) in [
        ("", "name of a file"),
        (":memory:", "MemoryRegistry"),
        ("sqlite:///registry.db", "no address"),
        ("sqlite:registry.db", "no address"),
        ("file:registry.db", "no address"),
        ("postgres://localhost/registry", "no address"),
        ("a\0b", "zero byte"),
    ] {
        let error = SqliteRegistry::open(path).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{path:?}: {error}");
        assert!(error.to_string().contains(word), "{path:?}: {error}");
    }
    std::fs::write(directory.path().join("file"), "x").unwrap();
    for missing in ["nosuch", "no/such", "file"] {
        let error = SqliteRegistry::open(directory.path().join(missing).join("r.db")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{missing}: {error}");
        assert!(error.to_string().contains(missing), "{error}");
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}
