//! Stores of artifacts keep their contract, and what is hostile is refused.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mlops_core::{Digest, Error, Timestamp};
use mlops_registry::artifacts::{
    ArtifactStore, ArtifactStoreExt, Entry, Gc, Limits, LocalStore, Manifest, MemoryStore, Mode,
    Transfer, conformance,
};
use proptest::prelude::*;

fn late() -> Gc<'static> {
    Gc::new(Timestamp::from_millis(i64::MAX), Duration::ZERO)
}

fn blob_path(store: &LocalStore, digest: Digest) -> PathBuf {
    let hex = digest.hex();
    store.path().join("blobs/sha256").join(&hex[..2]).join(hex)
}

/// Every file below, without the locks.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(directory).unwrap().display().to_string());
            }
        }
    }
    found.retain(|name| !["lock", "sweep", "sweep-kept"].contains(&name.as_str()));
    found.sort();
    found
}

#[cfg(unix)]
fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn memory() {
    conformance::artifact_store(&MemoryStore::new());
    let shared: Arc<dyn ArtifactStore> = Arc::new(MemoryStore::new());
    conformance::artifact_store(&shared);
}

#[test]
fn local() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path().join("deep/store")).unwrap();
    conformance::artifact_store(&store);
    assert_eq!(files(store.path()), ["mlops-artifacts"], "nothing is left");
}

#[test]
fn the_layout_is_what_the_page_says() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    let blob = store.put_bytes(b"").unwrap();
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(
        files(directory.path()),
        [format!("blake3/e3/{hex}"), format!("blobs/sha256/e3/{hex}"), "mlops-artifacts".into()]
    );
    assert_eq!(
        blob.blake3.to_string(),
        "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    );
    assert_eq!(
        fs::read_to_string(directory.path().join("blake3/e3").join(hex)).unwrap(),
        format!("{}\n", blob.blake3)
    );
    assert!(fs::metadata(blob_path(&store, blob.digest)).unwrap().permissions().readonly());
}

#[test]
fn another_directory_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("thesis.tex"), "x").unwrap();
    assert!(matches!(LocalStore::open(path), Err(Error::Invalid { .. })));
    assert_eq!(files(path), ["thesis.tex"]);
    assert!(LocalStore::open(path.join("thesis.tex")).is_err(), "a file");
    let newer = path.join("newer");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("mlops-artifacts"), "mlops-artifacts 2\n").unwrap();
    let error = LocalStore::open(&newer).unwrap_err().to_string();
    assert!(error.contains("newer release"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_are_refused() {
    use std::os::unix::fs::symlink;

    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path().join("store")).unwrap();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), b"secret").unwrap();
    // In the place of a blob.
    let digest = store.put_bytes(b"secret").unwrap().digest;
    fs::remove_file(blob_path(&store, digest)).unwrap();
    symlink(outside.join("secret"), blob_path(&store, digest)).unwrap();
    assert!(store.get(digest, &Transfer::new()).is_err());
    assert!(store.stat(digest).is_err());
    assert!(store.put_bytes(b"secret").is_err());
    // In the place of a directory.
    let digest = store.put_bytes(b"other").unwrap().digest;
    let parent = blob_path(&store, digest).parent().unwrap().to_path_buf();
    fs::remove_dir_all(&parent).unwrap();
    symlink(&outside, &parent).unwrap();
    assert!(store.put_bytes(b"other").is_err());
    assert!(store.get(digest, &Transfer::new()).is_err());
    assert_eq!(files(&outside), ["secret"], "nothing was written through it");
    // Of a directory that is put.
    let from = directory.path().join("from");
    fs::create_dir(&from).unwrap();
    symlink(outside.join("secret"), from.join("x")).unwrap();
    assert!(store.put_directory(&from, &Transfer::new()).is_err());
    symlink(&from, directory.path().join("from-link")).unwrap();
    assert!(store.put_directory(directory.path().join("from-link"), &Transfer::new()).is_err());
    // And of the store's own parts.
    fs::remove_dir_all(store.path().join("tmp")).unwrap();
    symlink(&outside, store.path().join("tmp")).unwrap();
    assert!(LocalStore::open(store.path()).is_err());
}

#[cfg(unix)]
#[test]
fn every_flipped_byte_is_found_and_a_put_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    let bytes: Vec<u8> = (0..700_000_u32).map(|i| (i % 253) as u8).collect();
    let blob = store.put_bytes(&bytes).unwrap();
    let path = blob_path(&store, blob.digest);
    make_writable(&path);
    for at in [0, 1, 262_143, 262_144, 699_999] {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        fs::write(&path, &bad).unwrap();
        assert!(matches!(store.get_bytes(blob.digest, 1 << 20), Err(Error::Decode { .. })), "{at}");
        assert!(matches!(store.check(blob.digest, &Transfer::new()), Err(Error::Decode { .. })));
    }
    for bad in [&bytes[..699_999], &[], &[bytes.as_slice(), b"x"].concat()] {
        fs::write(&path, bad).unwrap();
        assert!(store.get_bytes(blob.digest, 1 << 20).is_err());
        assert!(store.check(blob.digest, &Transfer::new()).is_err());
    }
    store.put_bytes(&bytes).unwrap();
    assert!(store.get_bytes(blob.digest, 1 << 20).unwrap() == bytes, "put again, whole again");
    // A torn note of the BLAKE3 is no damage, a wrong one neither: the SHA-256 decides.
    let hex = blob.digest.hex();
    let note = directory.path().join("blake3").join(&hex[..2]).join(hex);
    for text in ["", "blake3:12", "blake3:", &format!("blake3:{}\n", "0".repeat(64))] {
        fs::write(&note, text).unwrap();
        assert_eq!(store.check(blob.digest, &Transfer::new()).unwrap(), 700_000);
    }
    store.put_bytes(&bytes).unwrap();
    assert_eq!(fs::read_to_string(&note).unwrap(), format!("{}\n", blob.blake3));
}

#[test]
fn what_the_dead_left_is_swept_after_the_grace() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    fs::write(directory.path().join("tmp/0123.tmp"), b"half").unwrap();
    fs::write(directory.path().join("leases/0123"), Digest::of(b"x").as_bytes()).unwrap();
    store.put_bytes(b"x").unwrap();
    fs::create_dir_all(directory.path().join("blake3/ab")).unwrap();
    let orphan = format!("blake3/ab/ab{}", "0".repeat(62));
    fs::write(directory.path().join(&orphan), b"").unwrap();
    let young = Gc::new(Timestamp::now(), Duration::from_secs(3600));
    let swept = store.sweep(&mut || Ok(HashSet::new()), &young).unwrap();
    assert_eq!((swept.leftovers.count, swept.young.count), (0, 1), "{swept}");
    let swept = store.sweep(&mut || Ok(HashSet::new()), &late()).unwrap();
    assert_eq!((swept.leftovers.count, swept.leftovers.bytes), (1, 4), "{swept}");
    assert_eq!(swept.removed.count, 1, "a lease of the dead holds nothing");
    assert_eq!(files(directory.path()), ["mlops-artifacts"]);
}

#[test]
fn what_is_being_written_is_no_leftover() {
    struct Slow<'a>(&'a LocalStore, usize);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.1 += 1;
            if self.1 > 3 {
                return Ok(0);
            }
            let swept = self.0.sweep(&mut || Ok(HashSet::new()), &late()).unwrap();
            assert_eq!(swept.leftovers.count, 0, "{swept}");
            out.fill(7);
            Ok(out.len())
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    let blob = store.put(&mut Slow(&store, 0), &Transfer::new()).unwrap();
    assert_eq!(store.check(blob.digest, &Transfer::new()).unwrap(), blob.size);
}

fn entry(path: &str) -> Entry {
    Entry::new(path, 1, Digest::of(b"x"), Mode::Plain)
}

#[test]
fn hostile_manifests() {
    let limits = Limits::default();
    let refused = |paths: &[&str]| {
        let entries = paths.iter().map(|path| entry(path)).collect();
        let error = Manifest::new(entries, &limits).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{paths:?}: {error}");
    };
    for path in [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "a//b",
        "",
        ".",
        "./a",
        "a/.",
        "C:\\x",
        "a\\..\\b",
        "nul",
        "COM1.txt",
        "a/aux/b",
        "x:stream",
        "tab\tx",
        "a\0b",
        "dot.",
        "space ",
        "a/..",
    ] {
        refused(&[path]);
    }
    refused(&["a", "a"]);
    refused(&["a", "A"]);
    refused(&["a", "a/b"]);
    refused(&["Dir/x", "dir/y"]);
    refused(&["ß/x", "ẞ/y"]);
    refused(&[&"x".repeat(256)]);
    refused(&[&["d"; 300].join("/")]);

    let one = Manifest::new(vec![entry("a")], &limits).unwrap();
    let json = String::from_utf8(one.to_json().unwrap()).unwrap();
    let x = Digest::of(b"x").hex();
    assert_eq!(
        json,
        format!(
            r#"{{"files":[{{"mode":"0644","path":"a","sha256":"{x}","size":1}}],"format":"mlops-directory-v1"}}"#
        )
    );
    assert_eq!(Manifest::from_json(json.as_bytes(), &limits).unwrap(), one);
    for other in [
        json.replace("\"size\":1", "\"size\": 1"),
        json.replace("\"size\":1", "\"size\":1.0"),
        json.replace("\"size\":1", "\"size\":-1"),
        json.replace("\"size\":1", "\"size\":18446744073709551615"),
        json.replace("\"size\":1", "\"size\":1,\"size\":1"),
        json.replace("\"size\":1", "\"more\":1,\"size\":1"),
        json.replace("\"path\":\"a\"", "\"path\":\"\\u0061\""),
        json.replace("\"path\":\"a\"", "\"path\":\"../a\""),
        json.replace(&x, &x.to_uppercase()),
        json.replace(&x, &format!("sha256:{x}")),
        json.replace("0644", "4755"),
        json.replace("-v1", "-v2"),
        format!("{json}\n"),
        format!("{json}{json}"),
        String::new(),
        "[".repeat(1 << 20),
    ] {
        assert!(Manifest::from_json(other.as_bytes(), &limits).is_err(), "{other:.200}");
    }
    let small = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        assert!(Manifest::from_json(json.as_bytes(), &limits).is_err(), "{limits:?}");
    };
    small(|l| l.files = 0);
    small(|l| l.bytes = 0);
    small(|l| l.file_bytes = 0);
    small(|l| l.manifest_bytes = 10);
}

#[test]
fn a_manifest_that_lies_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    let blob = store.put_bytes(b"twelve bytes").unwrap();
    let lies = Entry::new("x", 5, blob.digest, Mode::Plain);
    let limits = Limits::default();
    let manifest = Manifest::new(vec![lies], &limits).unwrap();
    let into = directory.path().join("into");
    let error = manifest.materialise(&store, &into, &limits, &Transfer::new()).unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
    // One that was changed after it was checked is checked again.
    let mut manifest = manifest;
    manifest.entries[0].path = "../x".into();
    assert!(manifest.materialise(&store, &into, &limits, &Transfer::new()).is_err());
    assert!(files(directory.path()).is_empty());
    for bad in ["", "/", ".."] {
        let into = Path::new(bad);
        assert!(manifest.materialise(&store, into, &limits, &Transfer::new()).is_err(), "{bad}");
    }
}

#[cfg(unix)]
#[test]
fn modes_are_kept_and_special_files_refused() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    fs::create_dir(&from).unwrap();
    for (name, mode) in [("run.sh", 0o700), ("plain", 0o600), ("shared", 0o664)] {
        fs::write(from.join(name), name).unwrap();
        fs::set_permissions(from.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let store = MemoryStore::new();
    let (manifest, blob) = store.put_directory(&from, &Transfer::new()).unwrap();
    assert_eq!(manifest.entry("run.sh").unwrap().mode, Mode::Executable);
    assert_eq!(manifest.entry("shared").unwrap().mode, Mode::Plain);
    let into = directory.path().join("into");
    store.get_directory(blob.digest, &into, &Limits::default(), &Transfer::new()).unwrap();
    let mode = |name: &str| fs::metadata(into.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run.sh") & 0o100, 0o100);
    assert_eq!(mode("plain") & 0o111, 0);
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    assert!(store.put_directory(&from, &Transfer::new()).is_err(), "a socket");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is read as a manifest is what it would write.
    #[test]
    fn manifests_of_any_bytes(path in "\\PC{0,12}", junk in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = Limits::default();
        prop_assert!(Manifest::from_json(&junk, &limits).is_err());
        if let Ok(manifest) = Manifest::new(vec![entry(&path), entry("model/b")], &limits) {
            let json = manifest.to_json().unwrap();
            let back = Manifest::from_json(&json, &limits).unwrap();
            prop_assert_eq!(&back, &manifest);
            for at in 0..json.len() {
                let mut other = json.clone();
                other[at] ^= 1;
                if let Ok(read) = Manifest::from_json(&other, &limits) {
                    prop_assert!(read != manifest && read.to_json().unwrap() == other);
                }
            }
        }
    }

    /// A directory comes back as it was.
    #[test]
    fn directories_come_back(files in prop::collection::btree_map("[a-c]{1,2}(/[d-f]{1,2}){0,2}", prop::collection::vec(any::<u8>(), 0..50), 0..6)) {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("from");
        fs::create_dir(&from).unwrap();
        for (path, bytes) in &files {
            let path = from.join(path);
            // A file may stand where a directory is wanted; then there is one file less.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() {
                fs::write(path, bytes).ok();
            }
        }
        let store = MemoryStore::new();
        let (manifest, blob) = store.put_directory(&from, &Transfer::new()).unwrap();
        let into = directory.path().join("into");
        store.get_directory(blob.digest, &into, &Limits::default(), &Transfer::new()).unwrap();
        prop_assert_eq!(Manifest::of_directory(&into, &Limits::default(), &Transfer::new()).unwrap(), manifest);
    }
}
