//! The contract of a store as a function that implementations call from their tests.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mlops_core::{Cancel, Digest, Error, Progress, Timestamp};

use super::{
    ArtifactStore, ArtifactStoreExt, Blob, Gc, Limits, MemoryStore, Roots, Stored, Swept, Transfer,
};

/// Piece by piece, as many bytes at once as these numbers say, in turn.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = out.len().min(self.1 * 977 % 5000 + 1);
        self.0.read(&mut out[..n])
    }
}

/// Bytes and then an error.
struct Breaks<'a>(&'a [u8]);

impl Read for Breaks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::other("the line is dead")),
            n => Ok(n),
        }
    }
}

fn bytes(n: usize, salt: u8) -> Vec<u8> {
    (0..n).map(|i| (i * 31 % 251) as u8 ^ salt).collect()
}

/// Everything is older than any grace.
fn late() -> Gc<'static> {
    Gc::new(Timestamp::from_millis(i64::MAX), Duration::ZERO)
}

fn listed(store: &dyn ArtifactStore) -> Vec<Stored> {
    let mut all = Vec::new();
    store
        .list(&mut |stored| {
            all.push(stored);
            Ok(())
        })
        .expect("list");
    all.sort_unstable_by_key(|stored| stored.digest);
    all
}

/// Tests the contract of [`ArtifactStore`] on an empty store.
///
/// # Panics
/// Where the contract is broken.
pub fn artifact_store(store: &dyn ArtifactStore) {
    assert!(listed(store).is_empty(), "an empty store is asked for");
    round_trips(store);
    what_is_not_there(store);
    broken_puts(store);
    progress_and_cancel(store);
    leases(store);
    sweeps(store);
    directories(store);
    threads(store);
    race_of_puts_and_sweeps(store);
}

fn clear(store: &dyn ArtifactStore) {
    for _ in 0..2 {
        store.sweep(&mut || Ok(HashSet::new()), &late()).expect("sweep");
    }
    assert!(listed(store).is_empty(), "nothing is marked, nothing stays");
}

fn round_trips(store: &dyn ArtifactStore) {
    let mut digests = Vec::new();
    for n in [0, 1, 100, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 1_000_003] {
        let bytes = bytes(n, 0);
        let blob = store.put(&mut Dribble(&bytes, 0), &Transfer::new()).expect("put");
        assert_eq!(blob, Blob::of(&bytes), "the names of {n} bytes");
        let again = store.put_bytes(&bytes).expect("put again");
        assert_eq!(again, blob, "the same bytes again");
        let stored = store.stat(blob.digest).expect("stat").expect("what was put is there");
        assert_eq!((stored.digest, stored.size), (blob.digest, n as u64), "stat");
        assert!(store.get_bytes(blob.digest, n as u64).expect("get") == bytes, "the same bytes");
        assert_eq!(store.check(blob.digest, &Transfer::new()).expect("check"), n as u64);
        let mut half = vec![0; n / 2];
        let mut reader = store.get(blob.digest, &Transfer::new()).expect("get");
        assert_eq!((reader.digest(), reader.size()), (blob.digest, n as u64));
        reader.read_exact(&mut half).expect("half of it");
        assert!(half == bytes[..n / 2], "a reader that is dropped halfway");
        digests.push(blob.digest);
    }
    digests.sort_unstable();
    let found: Vec<_> = listed(store).into_iter().map(|stored| stored.digest).collect();
    assert_eq!(found, digests, "list shows all, once");
    for digest in digests {
        assert!(store.delete(digest).expect("delete"), "it was there");
        assert!(!store.has(digest).expect("has"), "deleted is gone");
        assert!(!store.delete(digest).expect("delete"), "it is gone already");
    }
    assert!(listed(store).is_empty(), "all deleted");
}

fn what_is_not_there(store: &dyn ArtifactStore) {
    let digest = Digest::of(b"nobody put this");
    let missing = |error: Error| matches!(error, Error::NotFound { .. });
    assert!(missing(store.get(digest, &Transfer::new()).expect_err("get")), "get");
    assert!(missing(store.check(digest, &Transfer::new()).expect_err("check")), "check");
    assert_eq!(store.stat(digest).expect("stat"), None);
    assert_eq!(store.size(digest).expect("size"), None);
    let small = store.put_bytes(b"four").expect("put");
    assert!(
        matches!(store.get_bytes(small.digest, 3), Err(Error::Invalid { .. })),
        "more than the caller takes"
    );
    clear(store);
}

fn broken_puts(store: &dyn ArtifactStore) {
    for n in [0, 10, 600_000] {
        let all = bytes(n, 7);
        let put = |transfer: Transfer<'_>| store.put(&mut all.as_slice(), &transfer);
        store.put(&mut Breaks(&all), &Transfer::new()).expect_err("a reader that fails");
        let other = Transfer::new().expect(Digest::of(b"other"));
        assert!(matches!(put(other), Err(Error::Invalid { .. })), "other bytes than expected");
        if n > 0 {
            let less = Transfer::new().at_most(n as u64 - 1);
            assert!(matches!(put(less), Err(Error::Invalid { .. })), "more than allowed");
        }
        let cancel = Cancel::new();
        cancel.cancel();
        let stopped = put(Transfer::new().cancel(&cancel)).expect_err("cancelled");
        assert!(stopped.is_cancelled(), "{stopped}");
        let foreign = MemoryStore::new().lease().expect("a lease of another store");
        assert!(put(Transfer::new().under(&foreign)).is_err(), "a lease of another store");
        assert!(listed(store).is_empty(), "a put that fails leaves nothing");
        let good = Transfer::new().expect(Digest::of(&all)).at_most(n as u64);
        put(good).expect("exactly as many as allowed, and those expected");
        clear(store);
    }
}

fn progress_and_cancel(store: &dyn ArtifactStore) {
    let all = bytes(1_500_000, 3);
    let seen = Mutex::new(Vec::<Progress>::new());
    let note = |p: &Progress| seen.lock().unwrap_or_else(PoisonError::into_inner).push(*p);
    let check = |what: &str| {
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(seen.len() > 3, "{what}: progress is told on the way");
        assert!(seen.is_sorted_by_key(|p| p.bytes), "{what}: it never goes back");
        let last = seen.last().expect("progress");
        assert_eq!((last.bytes, last.bytes_total), (1_500_000, Some(1_500_000)), "{what}: the end");
    };
    let transfer = Transfer::new().on_progress(&note).total(1_500_000);
    let blob = store.put(&mut all.as_slice(), &transfer).expect("put");
    check("put");
    let listening = Transfer::new().on_progress(&note);
    store.get(blob.digest, &listening).expect("get").drain().expect("read");
    check("get");
    clear(store);

    for stop_at in [0, 400_000, 700_000] {
        let cancel = Cancel::new();
        let stop = |p: &Progress| {
            if p.bytes >= stop_at {
                cancel.cancel();
            }
        };
        let transfer = Transfer::new().on_progress(&stop).cancel(&cancel);
        let error = store.put(&mut all.as_slice(), &transfer).expect_err("cancelled");
        assert!(error.is_cancelled(), "{error}");
        assert!(listed(store).is_empty(), "a put that is stopped leaves nothing");
    }
    let blob = store.put_bytes(&all).expect("put");
    let cancel = Cancel::new();
    let mut reader = store.get(blob.digest, &Transfer::new().cancel(&cancel)).expect("get");
    reader.read_exact(&mut [0; 10]).expect("the first bytes");
    cancel.cancel();
    assert!(reader.drain().expect_err("cancelled").is_cancelled());
    clear(store);
}

fn leases(store: &dyn ArtifactStore) {
    let none = || Ok(HashSet::new());
    let lease = store.lease().expect("lease");
    let under = Transfer::new().under(&lease);
    let old = store.put_bytes(b"was there before").expect("put");
    let new = store.put(&mut &b"new"[..], &under).expect("put under a lease");
    store.put(&mut &b"was there before"[..], &under).expect("what is there, under a lease");
    store.put_bytes(b"without").expect("put");
    let swept = store.sweep(&mut { none }, &late()).expect("sweep");
    assert_eq!((swept.leased.count, swept.removed.count), (2, 1), "{swept}");
    for digest in [old.digest, new.digest] {
        assert!(store.has(digest).expect("has"), "what a lease holds stays");
        let error = store.delete(digest).expect_err("held");
        assert!(matches!(error, Error::Blocked { .. }), "{error}");
    }
    // Released while the sweep asks: the marks may be from before the commit.
    let mut lease = Some(lease);
    let swept = store
        .sweep(
            &mut || {
                lease.take().map(super::Lease::release).transpose()?;
                Ok(HashSet::new())
            },
            &late(),
        )
        .expect("sweep");
    assert_eq!((swept.leased.count, swept.removed.count), (2, 0), "{swept}");
    // Taken, put and released while it asks, and while it asks nothing is blocked.
    let mut late_one = None;
    let swept = store
        .sweep(
            &mut || {
                let lease = store.lease()?;
                let blob = store.put(&mut &b"late"[..], &Transfer::new().under(&lease))?;
                late_one = Some(blob.digest);
                Ok(HashSet::new())
            },
            &late(),
        )
        .expect("sweep");
    assert_eq!((swept.leased.count, swept.removed.count), (1, 2), "{swept}");
    assert!(store.has(late_one.expect("put")).expect("has"));
    // A digest can be held before its bytes are there.
    let lease = store.lease().expect("lease");
    lease.hold(Digest::of(b"soon")).expect("hold");
    store.put_bytes(b"soon").expect("put");
    let swept = store.sweep(&mut { none }, &late()).expect("sweep");
    assert_eq!((swept.leased.count, swept.removed.count), (1, 1), "{swept}");
    drop(lease);
    clear(store);
}

fn sweeps(store: &dyn ArtifactStore) {
    let kept = store.put_bytes(b"kept").expect("put");
    store.put_bytes(b"not kept").expect("put");
    let lost = Digest::of(b"lost");
    let mut marks = || Ok(HashSet::from([kept.digest, lost]));
    let now = Gc::new(Timestamp::now(), Duration::from_secs(86_400));
    let young = store.sweep(&mut marks, &now).expect("sweep");
    assert_eq!((young.referenced.count, young.young.count), (1, 1), "within the grace: {young}");
    assert_eq!(young.removed.count, 0);
    let dry = store.sweep(&mut marks, &late().dry_run()).expect("sweep");
    assert!(dry.dry_run && listed(store).len() == 2, "a dry run removes nothing");
    let failed = store.sweep(&mut || Err(Error::undefined("marks", "unknown")), &late());
    assert!(failed.is_err() && listed(store).len() == 2, "without marks nothing is removed");
    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = store.sweep(&mut marks, &late().cancel(&cancel)).expect_err("cancelled");
    assert!(stopped.is_cancelled() && listed(store).len() == 2);
    let mut second = None;
    let swept: Swept = store
        .sweep(
            &mut || {
                second = Some(store.sweep(&mut || Ok(HashSet::new()), &late()));
                Ok(HashSet::from([kept.digest, lost]))
            },
            &late(),
        )
        .expect("sweep");
    assert!(matches!(second, Some(Err(Error::Blocked { .. }))), "one sweep at a time");
    assert_eq!(Swept { dry_run: false, ..dry }, swept, "a dry run says what would be done");
    assert_eq!((swept.removed.count, swept.removed.bytes), (1, 8), "{swept}");
    assert_eq!((swept.referenced.count, swept.referenced.bytes), (1, 4), "{swept}");
    assert_eq!(swept.missing, [lost], "what is referred to and lost is said");
    assert_eq!(store.get_bytes(kept.digest, 100).expect("get"), b"kept");
    clear(store);
}

fn directories(store: &dyn ArtifactStore) {
    let here = tempfile_directory();
    let from = here.0.join("from");
    std::fs::create_dir_all(from.join("deep/er")).expect("a directory");
    for (name, bytes) in
        [("a.bin", bytes(300_000, 1)), ("deep/er/ß", Vec::new()), ("deep/b", b"b".to_vec())]
    {
        std::fs::write(from.join(name), bytes).expect("a file");
    }
    let (manifest, blob) = store.put_directory(&from, &Transfer::new()).expect("put_directory");
    let paths: Vec<_> = manifest.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a.bin", "deep/b", "deep/er/ß"], "sorted by path");
    assert_eq!(manifest.digest().expect("digest"), blob.digest);
    let gc = late();
    let roots = || Ok(Roots::of_manifests([blob.digest]));
    let swept = store.collect_garbage(roots, &gc).expect("collect_garbage");
    assert_eq!((swept.referenced.count, swept.removed.count), (4, 0), "a manifest keeps its files");
    let (into, limits) = (here.0.join("into"), Limits::default());
    store.get_directory(blob.digest, &into, &limits, &Transfer::new()).expect("get_directory");
    let again = super::Manifest::of_directory(&into, &limits, &Transfer::new()).expect("read it");
    assert_eq!(again, manifest, "the same directory");
    let taken = store.get_directory(blob.digest, &into, &limits, &Transfer::new());
    assert!(matches!(taken, Err(Error::Io { .. })), "a name that is there is not overwritten");
    store.delete(manifest.entries[0].sha256).expect("delete");
    let other = here.0.join("other");
    store
        .get_directory(blob.digest, &other, &limits, &Transfer::new())
        .expect_err("a file is missing");
    assert_eq!(std::fs::read_dir(&here.0).expect("the directory").count(), 2, "nothing half");
    store.delete(blob.digest).expect("delete");
    store.collect_garbage(roots, &gc).expect_err("a manifest is missing: nothing is removed");
    assert_eq!(listed(store).len(), 2);
    clear(store);
}

/// A directory of our own, gone at the end.
struct Scratch(std::path::PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn tempfile_directory() -> Scratch {
    let name = super::files::random_name().expect("random bytes");
    let path = std::env::temp_dir().join(format!("mlops-artifacts-{name}"));
    std::fs::create_dir(&path).expect("a directory");
    Scratch(path)
}

fn threads(store: &dyn ArtifactStore) {
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            scope.spawn(move || {
                for n in 0..6_u8 {
                    let (same, own) = (bytes(50_000, n), bytes(20_000, 100 + thread));
                    for bytes in [&same, &own] {
                        let blob = store.put_bytes(bytes).expect("put");
                        let back = store.get_bytes(blob.digest, 100_000).expect("get");
                        assert!(back == *bytes, "threads see whole bytes");
                    }
                }
            });
        }
    });
    assert_eq!(listed(store).len(), 6 + 8, "what all put is there once");
    clear(store);
}

/// Registers lose nothing, whatever a sweep with no grace does meanwhile.
fn race_of_puts_and_sweeps(store: &dyn ArtifactStore) {
    let registered = Mutex::new(HashSet::new());
    let registered = &registered;
    let (done, sweeps) = (AtomicBool::new(false), AtomicU64::new(0));
    let known = || Ok(registered.lock().unwrap_or_else(PoisonError::into_inner).clone());
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.sweep(&mut { known }, &late()).expect("sweep");
                sweeps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let putters: Vec<_> = (0..4_u8)
            .map(|thread| {
                scope.spawn(move || {
                    for n in 0..30_u8 {
                        // The same few bytes over and over: most are there, or just going.
                        let bytes = bytes(2000, n % 5 + thread / 2 * 5);
                        // Somebody's attempt without a lease and without a future.
                        store.put_bytes(&bytes).expect("put");
                        let lease = store.lease().expect("lease");
                        let under = Transfer::new().under(&lease);
                        let blob = store.put(&mut bytes.as_slice(), &under).expect("put");
                        let mut all = registered.lock().unwrap_or_else(PoisonError::into_inner);
                        all.insert(blob.digest);
                        drop(all);
                        lease.release().expect("release");
                        if n % 5 == 0 {
                            // Forgotten again: a put finds these just going.
                            let mut all = registered.lock().unwrap_or_else(PoisonError::into_inner);
                            all.remove(&blob.digest);
                        } else {
                            let there = store.get_bytes(blob.digest, 5000);
                            assert!(there.is_ok(), "registered and lost: {there:?}");
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> =
            putters.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        sweeper.join().expect("the sweeper");
        assert!(results.iter().all(Result::is_ok), "a putter failed");
    });
    assert!(sweeps.load(Ordering::Relaxed) > 0);
    for digest in known().unwrap_or_default() {
        store.check(digest, &Transfer::new()).expect("what is registered is there, whole");
    }
    clear(store);
}
