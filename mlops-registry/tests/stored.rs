//! Versions whose artifacts lie in a store beside the database.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mlops_core::{Error, NewVersion, Registry, Timestamp, conformance};
use mlops_registry::SqliteRegistry;
use mlops_registry::artifacts::{
    ArtifactStore, ArtifactStoreExt, Blob, Gc, Limits, LocalStore, MemoryStore, Roots, Transfer,
};
use mlops_registry::tracking::{Batch, LoggedModel, NewRun, Tracker, TrackerExt};

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

fn late() -> Gc<'static> {
    Gc::new(Timestamp::from_millis(i64::MAX), Duration::ZERO)
}

fn bytes(n: usize, salt: u8) -> Vec<u8> {
    (0..n).map(|i| (i * 31 % 251) as u8 ^ salt).collect()
}

fn open(directory: &Path) -> (SqliteRegistry, LocalStore) {
    let store = LocalStore::open(directory.join("artifacts")).unwrap();
    let registry = SqliteRegistry::open(directory.join("registry.db")).unwrap();
    (registry.with_artifacts(store.clone()), store)
}

#[expect(clippy::unnecessary_wraps, reason = "what is asked for roots may fail")]
fn none() -> mlops_core::Result<Roots> {
    Ok(Roots::default())
}

#[test]
fn the_contract_holds_wherever_the_bytes_are() {
    for above in [0, 1000] {
        let directory = tempfile::tempdir().unwrap();
        let registry = SqliteRegistry::open(directory.path().join("registry.db")).unwrap();
        let registry = Arc::new(registry.with_artifacts_above(MemoryStore::new(), above));
        let shared: Arc<dyn Registry> = registry.clone();
        conformance::registry(&shared);
        let found = registry.verify().unwrap();
        assert!(found.is_whole(), "{found}");
    }
}

#[test]
fn large_artifacts_lie_in_the_store_and_small_ones_in_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let (registry, store) = open(directory.path());
    let (large, small) = (bytes(3 << 20, 0), bytes(1 << 20, 1));
    let new = || {
        NewVersion::new("loans", "ana")
            .with_artifact("large.bin", large.clone())
            .with_artifact("small.bin", small.clone())
    };
    let version = registry.register(new(), AT).unwrap();
    assert_eq!(version, registry.version("loans", 1).unwrap());
    assert!(store.has(Blob::of(&large).digest).unwrap());
    assert!(!store.has(Blob::of(&small).digest).unwrap());
    for (name, bytes) in [("large.bin", &large), ("small.bin", &small)] {
        assert!(registry.artifact("loans", 1, name).unwrap() == *bytes);
        let mut read = Vec::new();
        let mut reader = registry.artifact_reader("loans", 1, name, &Transfer::new()).unwrap();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == *bytes);
    }
    let missing = registry.artifact_reader("loans", 1, "other", &Transfer::new());
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    let found = registry.verify().unwrap();
    assert!(found.is_whole() && found.bytes == 4 << 20, "{found}");
    // The database did not take the large one.
    let size: u64 = ["registry.db", "registry.db-wal"]
        .iter()
        .map(|name| std::fs::metadata(directory.path().join(name)).map_or(0, |meta| meta.len()))
        .sum();
    assert!(size < 3 << 20, "{size}");
    // The same version is the same wherever its bytes are.
    let alone = SqliteRegistry::open(directory.path().join("alone.db")).unwrap();
    assert_eq!(alone.register(new(), AT).unwrap().digest, version.digest);
    // Bytes that are in the database already stay there.
    let other = SqliteRegistry::open(directory.path().join("alone.db")).unwrap();
    let other = other.with_artifacts(MemoryStore::new());
    other.register(new(), AT).unwrap();
    assert!(other.artifact("loans", 2, "large.bin").unwrap() == large);
    // And those that were outside come in where there is no store.
    drop(registry);
    let inside = SqliteRegistry::open(directory.path().join("registry.db")).unwrap();
    let without = inside.artifact("loans", 1, "large.bin").unwrap_err();
    assert!(without.to_string().contains("with_artifacts"), "{without}");
    assert!(!inside.verify().unwrap().is_whole(), "its bytes are out of reach");
    inside.register(new(), AT).unwrap();
    assert!(inside.artifact("loans", 1, "large.bin").unwrap() == large);
    assert!(inside.verify().unwrap().is_whole());
}

#[test]
fn damage_in_the_store_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (registry, store) = open(directory.path());
    let large = bytes(2 << 20, 0);
    let new = NewVersion::new("loans", "ana").with_artifact("large.bin", large.clone());
    registry.register(new, AT).unwrap();
    let hex = Blob::of(&large).digest.hex();
    let path = store.path().join("blobs/sha256").join(&hex[..2]).join(&hex);
    let damage = |bytes: &[u8]| {
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(registry.artifact("loans", 1, "large.bin"), Err(Error::Decode { .. })));
        let reader = registry.artifact_reader("loans", 1, "large.bin", &Transfer::new());
        assert!(reader.and_then(|mut reader| reader.drain()).is_err());
        assert_eq!(registry.verify().unwrap().problems.len(), 1);
    };
    let mut flipped = large.clone();
    flipped[2_000_000] ^= 1;
    damage(&flipped);
    damage(&large[..100]);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(registry.artifact("loans", 1, "large.bin"), Err(Error::NotFound { .. })));
    assert!(!registry.verify().unwrap().is_whole());
    let swept = registry.collect_artifacts(none, &late().dry_run()).unwrap();
    assert_eq!(swept.missing, [Blob::of(&large).digest], "{swept}");
}

#[test]
fn files_that_are_in_the_store_are_registered_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (registry, store) = open(directory.path());
    let new = || NewVersion::new("loans", "ana").with_artifact("README", "see model/");
    let lease = store.lease().unwrap();
    let under = Transfer::new().under(&lease);
    let blob = store.put(&mut std::io::repeat(7).take(5 << 20), &under).unwrap();
    let from = directory.path().join("from");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("vocab.txt"), "a b").unwrap();
    let (_, tokens) = store.put_directory(&from, &under).unwrap();
    let files = [("weights.bin".to_owned(), blob), ("tokens.json".to_owned(), tokens)];
    let version = registry.register_stored(new(), files, AT).unwrap();
    lease.release().unwrap();
    assert_eq!(version, registry.version("loans", 1).unwrap());
    let names: Vec<_> = version.artifacts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["README", "tokens.json", "weights.bin"]);
    assert_eq!(version.digest, mlops_core::manifest_digest(&version.artifacts));
    // Everything that a version has stays, and what a manifest among it names.
    let swept = registry.collect_artifacts(none, &late()).unwrap();
    assert_eq!((swept.referenced.count, swept.removed.count), (3, 0), "{swept}");
    let into = directory.path().join("into");
    store.get_directory(tokens.digest, &into, &Limits::default(), &Transfer::new()).unwrap();
    let mut reader = registry.artifact_reader("loans", 1, "weights.bin", &Transfer::new()).unwrap();
    assert_eq!(reader.drain().unwrap(), 5 << 20);

    let register = |name: &str, blob: Blob| {
        registry.register_stored(new(), [(name.to_owned(), blob)], AT).unwrap_err()
    };
    assert!(matches!(register("x", Blob::of(b"nobody put it")), Error::NotFound { .. }));
    for bad in ["../x", "README", "readme", "README/x", ""] {
        assert!(matches!(register(bad, blob), Error::Invalid { .. }), "{bad}");
    }
    let alone = SqliteRegistry::open(directory.path().join("alone.db")).unwrap();
    let files = [("x".to_owned(), blob)];
    assert!(matches!(alone.register_stored(new(), files, AT), Err(Error::Invalid { .. })));
    // A version may have nothing but files of the store.
    let bare = NewVersion::new("bare", "ana");
    registry.register_stored(bare, [("x".to_owned(), blob)], AT).unwrap();
    assert_eq!(registry.versions("loans").unwrap(), [1], "a refused request leaves no trace");
}

/// A model that a run names stays, be it a file or a directory; what it names and the store has
/// not is nobody's loss.
#[test]
fn the_models_of_runs_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (registry, store) = open(directory.path());
    let from = directory.path().join("from");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("a.txt"), "a").unwrap();
    let (manifest, tree) = store.put_directory(&from, &Transfer::new()).unwrap();
    let [file, loose] = [b"file", b"none"].map(|bytes| store.put_bytes(bytes).unwrap());
    let experiment = registry.open_experiment("e", AT).unwrap().id;
    let model = LoggedModel::new;
    let batch = Batch::new()
        .model(model("file", file.digest))
        .model(model("tree", tree.digest))
        .model(model("elsewhere", Blob::of(b"elsewhere").digest));
    let run = registry.create_run(NewRun::new(experiment).with_id("r"), AT).unwrap();
    registry.log(&run.id, &batch).unwrap();

    let swept = registry.collect_artifacts(none, &late()).unwrap();
    assert_eq!((swept.referenced.count, swept.removed.count), (3, 1), "{swept}");
    assert_eq!(swept.missing, []);
    let kept = [file.digest, tree.digest, manifest.entries[0].sha256];
    assert!(kept.iter().all(|digest| store.has(*digest).unwrap()));
    assert!(!store.has(loose.digest).unwrap());

    // A deleted run may be restored; one that is forgotten may not.
    registry.delete_run("r", AT).unwrap();
    assert_eq!(registry.collect_artifacts(none, &late()).unwrap().removed.count, 0);
    registry.collect_garbage(Timestamp::from_millis(i64::MAX)).unwrap();
    assert_eq!(registry.collect_artifacts(none, &late()).unwrap().removed.count, 3);
}

/// Wherever the manifest of a directory lies, its files stay; and while nobody can read it, so does
/// everything.
#[test]
fn files_of_directories_stay_with_their_manifests() {
    let directory = tempfile::tempdir().unwrap();
    let (registry, store) = open(directory.path());
    let put = |text: &str| {
        let from = directory.path().join(text);
        std::fs::create_dir(&from).unwrap();
        std::fs::write(from.join("a.txt"), text).unwrap();
        store.put_directory(&from, &Transfer::new()).unwrap()
    };
    let (inline, inline_blob) = put("inline");
    let (stored, stored_blob) = put("stored");
    let (loose, _) = put("loose");
    let new = NewVersion::new("loans", "ana")
        .with_artifact("inline.json", inline.to_json().unwrap())
        .with_artifact("no-manifest.json", "{\"files\":[]}")
        .with_artifact("no-manifest-either.json", "{\"files\":[1,2]}");
    registry.register_stored(new, [("stored.json".to_owned(), stored_blob)], AT).unwrap();
    let swept = registry.collect_artifacts(none, &late()).unwrap();
    // What nothing refers to: the loose file and manifest, and the manifest that the database has.
    assert_eq!((swept.referenced.count, swept.removed.count), (3, 3), "{swept}");
    let has = |digest| store.has(digest).unwrap();
    assert!(has(inline.entries[0].sha256) && has(stored.entries[0].sha256));
    assert!(!has(loose.entries[0].sha256) && !has(inline_blob.digest));

    let hex = stored_blob.digest.hex();
    let path = store.path().join("blobs/sha256").join(&hex[..2]).join(&hex);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![b' '; stored_blob.size as usize]).unwrap();
    let loose = store.put_bytes(b"loose").unwrap();
    let error = registry.collect_artifacts(none, &late()).unwrap_err();
    assert!(matches!(error, Error::Within { .. } | Error::Decode { .. }), "{error}");
    assert!(has(stored.entries[0].sha256) && has(loose.digest), "nothing went");
}

#[test]
fn what_was_put_for_a_version_that_was_not_registered_is_collected() {
    let directory = tempfile::tempdir().unwrap();
    let (registry, store) = open(directory.path());
    let kept = NewVersion::new("loans", "ana").with_artifact("x", bytes(2 << 20, 0));
    registry.register(kept, AT).unwrap();
    // As a crash between the bytes and the transaction leaves it.
    let lost = store.put_bytes(&bytes(2 << 20, 1)).unwrap();
    let swept = registry.collect_artifacts(none, &late()).unwrap();
    assert_eq!((swept.referenced.count, swept.removed.count), (1, 1), "{swept}");
    assert!(!store.has(lost.digest).unwrap() && registry.verify().unwrap().is_whole());
}

/// Threads register the same few files while another collects with no grace.
#[test]
fn collecting_beside_registering_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path().join("artifacts")).unwrap();
    let registry = SqliteRegistry::open(directory.path().join("registry.db")).unwrap();
    let registry = registry.with_artifacts_above(store.clone(), 10);
    let done = AtomicBool::new(false);
    let (registry, done, store) = (&registry, &done, &store);
    std::thread::scope(|scope| {
        let collector = scope.spawn(move || {
            let mut sweeps = 0;
            while !done.load(Ordering::Relaxed) {
                registry.collect_artifacts(none, &late()).unwrap();
                sweeps += 1;
            }
            sweeps
        });
        let threads: Vec<_> = (0..3_u8)
            .map(|thread| {
                scope.spawn(move || {
                    for n in 0..12_u8 {
                        let file = bytes(3000, n / 2);
                        // Somebody puts it and forgets it.
                        store.put_bytes(&file).unwrap();
                        let model = format!("model-{thread}");
                        let new = NewVersion::new(&model, "ana").with_artifact("x", file.clone());
                        let version = registry.register(new, AT).unwrap();
                        assert!(registry.artifact(&model, version.number, "x").unwrap() == file);
                    }
                })
            })
            .collect();
        let results: Vec<_> =
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(collector.join().unwrap() > 0);
        assert!(results.iter().all(Result::is_ok));
    });
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
    let digests: BTreeSet<_> = registry.artifact_roots().unwrap().blobs;
    assert_eq!(digests.len(), 6);
}
