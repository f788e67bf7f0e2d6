//! Evidence, the outbox and erasure on every backend that needs no server, and what only a file
//! can show: that the bytes of a name are gone, and that an erasure covers no forgery.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::sync::Arc;

use mlops_registry::MemoryRegistry;

mod children;
mod whole_life;

use children::AT;

#[test]
fn memory() {
    whole_life::evidence(&MemoryRegistry::new());
    whole_life::outbox(&Arc::new(MemoryRegistry::new()));
    let registry = MemoryRegistry::new();
    whole_life::erase(&registry, &|person, by| registry.erase(person, by, AT));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;

    use mlops_core::bytes::{put_i64, put_str};
    use mlops_core::{Digest, PromotionPolicy, Registry, Timestamp};
    use mlops_registry::audit::{Draft, Entry, Head, Log, Salt};
    use mlops_registry::tracking::{Batch, NewRun, Tracker, TrackerExt};
    use mlops_registry::{Journal, SqliteRegistry};

    use super::children::{AT, promotion};
    use super::whole_life::{self, BEN, COMMENT};
    use super::*;

    #[test]
    fn files() {
        for journal in [Journal::Wal, Journal::Rollback] {
            let directory = tempfile::tempdir().unwrap();
            let open = |name: &str| {
                SqliteRegistry::open_with(directory.path().join(name), journal).unwrap()
            };
            whole_life::evidence(&open("evidence.db"));
            whole_life::outbox(&Arc::new(open("outbox.db")));
            let registry = open("erase.db");
            whole_life::erase(&registry, &|person, by| registry.erase(person, by, AT));
            for registry in [registry, open("erase.db")] {
                let found = registry.verify().unwrap();
                assert!(found.is_whole(), "{journal}: {found}");
            }
        }
    }

    /// Whether a text is anywhere in the file or beside it.
    fn holds(directory: &Path, text: &str) -> bool {
        std::fs::read_dir(directory).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    #[test]
    fn the_bytes_of_a_name_are_gone() {
        for journal in [Journal::Wal, Journal::Rollback] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("registry.db");
            let registry = SqliteRegistry::open_with(&path, journal).unwrap();
            whole_life::story(&registry);
            // Enough of him that pages split and move.
            let experiment = registry.open_experiment("e", AT).unwrap().id;
            for n in 0..300 {
                let new = NewRun::new(experiment).with_user(BEN).with_param("n", n);
                registry.create_run(new, AT).unwrap();
                let policy = PromotionPolicy { approvals: n, ..Default::default() };
                registry.set_policy("loans", "other", policy, BEN, AT).unwrap();
            }
            // And of runs that are collected before anybody asks.
            let gone = registry.open_experiment("gone", AT).unwrap().id;
            for n in 0..300 {
                let batch = Batch::new().tag("note", format!("{n:0200}"));
                let new = NewRun { batch, ..NewRun::new(gone).with_user(BEN) };
                registry.create_run(new, AT).unwrap();
            }
            registry.delete_experiment(gone, AT).unwrap();
            let later = Timestamp::from_millis(AT.millis() + 1);
            assert_eq!(Tracker::collect_garbage(&registry, later).unwrap().runs, 300);
            assert!(holds(directory.path(), BEN) && holds(directory.path(), COMMENT));
            let erased = registry.erase(BEN, "dpo", AT).unwrap();
            assert_eq!((erased.runs, erased.records), (300, 311), "{erased}");
            assert!(erased.overwritten, "{journal}: {erased}");
            assert!(!holds(directory.path(), BEN), "{journal}: the name is gone");
            registry.erase("cleo", "dpo", AT).unwrap();
            assert!(!holds(directory.path(), COMMENT), "{journal}: what both wrote is gone");
            let found = registry.verify().unwrap();
            assert!(found.is_whole(), "{journal}: {found}");
        }
    }

    /// What is final stays so afterwards.
    #[test]
    fn the_guards_are_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        let registry = SqliteRegistry::open(&path).unwrap();
        let raw = rusqlite::Connection::open(&path).unwrap();
        let triggers = || -> Vec<String> {
            let sql = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name";
            let mut statement = raw.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let before = triggers();
        whole_life::story(&registry);
        registry.erase(BEN, "dpo", AT).unwrap();
        assert_eq!(triggers(), before);
        for edit in [
            "UPDATE version SET author = 'eve'",
            "UPDATE approval SET person = 'eve'",
            "UPDATE gate SET report = ''",
            "UPDATE policy SET actor = 'eve'",
            "UPDATE alias_change SET change = ''",
        ] {
            let error = raw.execute_batch(edit).unwrap_err().to_string();
            assert!(error.contains("never changed"), "{edit}: {error}");
        }
    }

    /// Somebody who owns the file weakens a policy and calls it an erasure.
    #[test]
    fn an_erasure_covers_no_forgery() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        let registry = SqliteRegistry::open(&path).unwrap();
        whole_life::story(&registry);
        assert!(registry.verify().unwrap().is_whole());
        let seal = |json: &str, actor: &str| {
            let mut out = Vec::new();
            let texts = ["mlops-registry-seal-v1", "policy", "loans", "champion", json, actor];
            for text in texts {
                put_str(&mut out, text);
            }
            put_i64(&mut out, AT.millis());
            Digest::of(out)
        };
        let raw = rusqlite::Connection::open(&path).unwrap();
        let read = "SELECT policy, seal FROM policy WHERE alias = 'champion'";
        let (json, stored): (String, Vec<u8>) =
            raw.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let old = seal(&json, BEN);
        assert_eq!(stored, old.as_bytes(), "this test knows how seals are made");
        for (forged, whole) in [(json.replace("\"quality\"", ""), false), (json.clone(), true)] {
            let copy = directory.path().join(format!("{whole}.db"));
            raw.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
            let raw = rusqlite::Connection::open(&copy).unwrap();
            let new = seal(&forged, "erased-0123456789abcdef");
            raw.execute_batch("DROP TRIGGER policy_is_final").unwrap();
            raw.execute(
                "UPDATE policy SET policy = ?1, actor = 'erased-0123456789abcdef', seal = ?2",
                (&forged, new.as_bytes()),
            )
            .unwrap();
            let last = registry.entries(0..u64::MAX).unwrap().pop().unwrap();
            let mut draft = Draft::erasure(AT, "eve", [0]);
            draft.detail["rows"] = serde_json::json!({ old.to_string(): new.to_string() });
            let head: Head = last.head().unwrap();
            let entry = Entry::next(head, draft, Salt::random().unwrap()).unwrap();
            raw.execute(
                "INSERT INTO audit (seq, hash, entry) VALUES (?1, ?2, ?3)",
                (
                    entry.seq().cast_signed(),
                    entry.hash().unwrap().as_bytes(),
                    entry.to_json().unwrap(),
                ),
            )
            .unwrap();
            let registry = SqliteRegistry::open(&copy).unwrap();
            let found = registry.verify().unwrap();
            assert_eq!(found.is_whole(), whole, "{found}");
            assert!(whole || found.to_string().contains("another policy than entry 0 says"));
        }
    }

    /// A circle of seals that became each other does not keep `verify` for ever.
    #[test]
    fn a_circle_of_erasures_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        let registry = SqliteRegistry::open(&path).unwrap();
        whole_life::story(&registry);
        let raw = rusqlite::Connection::open(&path).unwrap();
        let seal: Vec<u8> =
            raw.query_row("SELECT seal FROM policy LIMIT 1", [], |row| row.get(0)).unwrap();
        let one = Digest::from_bytes(seal.try_into().unwrap()).to_string();
        let other = Digest::of("other").to_string();
        let last = registry.entries(0..u64::MAX).unwrap().pop().unwrap();
        let mut draft = Draft::erasure(AT, "eve", [0]);
        draft.detail["rows"] = serde_json::json!({ &one: other, &other: one });
        let entry = Entry::next(last.head().unwrap(), draft, Salt::random().unwrap()).unwrap();
        raw.execute(
            "INSERT INTO audit (seq, hash, entry) VALUES (?1, ?2, ?3)",
            (entry.seq().cast_signed(), entry.hash().unwrap().as_bytes(), entry.to_json().unwrap()),
        )
        .unwrap();
        let found = registry.verify().unwrap();
        assert!(!found.is_whole(), "{found}");
        // Nothing else minds.
        registry.promote(promotion(2, 3), AT).unwrap();
    }
}
