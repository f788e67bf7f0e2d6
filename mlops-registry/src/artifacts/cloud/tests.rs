//! A store over `object_store`'s own in-memory store, with requests that fail on schedule.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use object_store::PutMode;
use object_store::memory::InMemory;

use super::super::conformance::artifact_store;
use super::super::store::ArtifactStoreExt;
use super::bucket::{Answer, Below, Meta};
use super::*;

const PART: u64 = 1000;

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing is done, and it may pass.
    Fails,
    /// It is done, and the answer is lost.
    LosesAnswer,
    /// It will never be done.
    Denied,
    /// What is written or read is not what was sent.
    Garbles,
    /// Less than that.
    Shortens,
    /// Nothing is done from here on.
    Dies,
}

const FAULTS: [Fault; 6] =
    [Fault::Fails, Fault::LosesAnswer, Fault::Denied, Fault::Garbles, Fault::Shortens, Fault::Dies];

#[derive(Debug)]
struct Faulty {
    real: Remote<InMemory>,
    /// How many requests there were, and which one goes wrong how.
    requests: AtomicUsize,
    plan: Mutex<Option<(usize, Fault)>>,
    log: Mutex<Vec<String>>,
}

impl Faulty {
    fn new(memory: &Arc<InMemory>) -> Arc<Self> {
        Arc::new(Self {
            real: Remote::new(memory.clone()).unwrap(),
            requests: AtomicUsize::new(0),
            plan: Mutex::default(),
            log: Mutex::default(),
        })
    }

    fn arm(&self, plan: Option<(usize, Fault)>) {
        self.requests.store(0, Ordering::SeqCst);
        *self.plan.lock().unwrap() = plan;
        self.log.lock().unwrap().clear();
    }

    fn lost() -> object_store::Error {
        object_store::Error::Generic { store: "faulty", source: "the line is dead".into() }
    }

    fn request<T>(&self, what: String, work: impl FnOnce(Option<Fault>) -> Answer<T>) -> Answer<T> {
        let n = self.requests.fetch_add(1, Ordering::SeqCst);
        let fault =
            self.plan.lock().unwrap().and_then(|(at, fault)| {
                (n == at || (fault == Fault::Dies && n > at)).then_some(fault)
            });
        self.log.lock().unwrap().push(what);
        match fault {
            Some(Fault::Fails | Fault::Dies) => Err(Self::lost()),
            Some(Fault::Denied) => Err(object_store::Error::PermissionDenied {
                path: "x".into(),
                source: "https://host/x?sig=hunter2 says no".into(),
            }),
            Some(Fault::LosesAnswer) => work(None).and(Err(Self::lost())),
            fault => work(fault),
        }
    }
}

fn spoil(mut bytes: Vec<u8>, fault: Option<Fault>) -> Vec<u8> {
    match fault {
        Some(Fault::Garbles) => {
            let at = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
        }
        Some(Fault::Shortens) => {
            bytes.pop();
        }
        _ => {}
    }
    bytes
}

impl Bucket for Faulty {
    fn put(&self, at: &Path, bytes: Vec<u8>, mode: PutMode) -> Answer<()> {
        self.request(format!("put {at}"), |f| {
            // What is not named by its digest nobody could verify; a server checks what it gets.
            let f = f.filter(|_| at.as_ref().contains("blobs"));
            self.real.put(at, spoil(bytes, f), mode)
        })
    }

    fn head(&self, at: &Path) -> Answer<Meta> {
        self.request(format!("head {at}"), |_| self.real.head(at))
    }

    fn range(&self, at: &Path, range: Range<u64>, e_tag: Option<&str>) -> Answer<Vec<u8>> {
        self.request(format!("get {at}"), |f| {
            let f = f.filter(|_| at.as_ref().contains("blobs"));
            self.real.range(at, range, e_tag).map(|bytes| spoil(bytes, f))
        })
    }

    fn delete(&self, at: &Path) -> Answer<()> {
        self.request(format!("delete {at}"), |_| self.real.delete(at))
    }

    fn below(&self, prefix: &Path) -> Answer<Below> {
        self.request(format!("list {prefix}"), |_| self.real.below(prefix))
    }

    fn begin(&self, at: &Path) -> Answer<String> {
        self.request(format!("begin {at}"), |_| self.real.begin(at))
    }

    fn part(&self, at: &Path, upload: &str, index: usize, bytes: Vec<u8>) -> Answer<String> {
        self.request(format!("part {index}"), |f| {
            self.real.part(at, upload, index, spoil(bytes, f))
        })
    }

    fn finish(&self, at: &Path, upload: &str, parts: &[String]) -> Answer<()> {
        self.request(format!("finish {at}"), |_| self.real.finish(at, upload, parts))
    }

    fn abort(&self, at: &Path, upload: &str) -> Answer<()> {
        self.request(format!("abort {at}"), |_| self.real.abort(at, upload))
    }
}

/// A store that asks this bucket, sends tiny parts one after the other (which is how the
/// in-memory store takes them), and believes the dead only for a moment.
fn store_on(bucket: Arc<dyn Bucket>, scratch: &FilePath, tries: usize) -> CloudStore {
    let store = CloudStore::on(bucket, "memory/p".into(), "p", scratch).unwrap();
    let mut store = store.with_parts(PART, 1).unwrap();
    (store.tries, store.pause) = (tries, Duration::from_millis(1));
    let soon = Duration::from_millis(20);
    store.patience = Patience { lock: soon, silence: soon };
    store
}

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn conformance_of_the_in_memory_store() {
    let here = tempfile::tempdir().unwrap();
    let memory = Arc::new(InMemory::new());
    let store = CloudStore::new(memory.clone(), "some/prefix", here.path()).unwrap();
    artifact_store(&store);
    // In parts, and beside other things in the bucket.
    let store = CloudStore::new(memory, "", here.path()).unwrap();
    artifact_store(&store.with_parts(200_000, 1).unwrap());
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0, "no scratch is left");
}

#[test]
fn every_request_goes_wrong_in_its_turn() {
    let (small, large) = (bytes(700), bytes(3 * PART as usize + 5));
    let (mut faults, mut failed) = (0, 0);
    for tries in [1, 3] {
        for fault in FAULTS {
            for n in 0.. {
                let here = tempfile::tempdir().unwrap();
                let memory = Arc::new(InMemory::new());
                let faulty = Faulty::new(&memory);
                let store = store_on(faulty.clone(), here.path(), tries);
                let clean = store_on(Arc::new(Remote::new(memory).unwrap()), here.path(), 2);
                let all_that_is_there_is_whole = |place: &str| {
                    clean
                        .list(&mut |stored| clean.check(stored.digest, &Transfer::new()).map(drop))
                        .unwrap_or_else(|e| panic!("{place}: {e}"));
                };
                faulty.arm(Some((n, fault)));
                let mut errors = Vec::new();
                let mut note = |e: Error| errors.push(e);
                for bytes in [&small, &large] {
                    let place = format!("{tries} tries, {fault:?} at {n}");
                    match store.put_bytes(bytes) {
                        Ok(blob) => {
                            assert_eq!(blob, Blob::of(bytes));
                            // What was acknowledged is there, whatever else goes wrong.
                            assert!(
                                clean.get_bytes(blob.digest, 10_000).unwrap() == *bytes,
                                "{place}"
                            );
                        }
                        Err(error) => {
                            note(error);
                            all_that_is_there_is_whole(&place);
                        }
                    }
                    match store.get_bytes(Digest::of(bytes), 10_000) {
                        Ok(found) => assert!(found == *bytes, "{place}: wrong bytes came out"),
                        Err(error) => note(error),
                    }
                }
                let gc = Gc::new(Timestamp::from_millis(i64::MAX), Duration::ZERO);
                let keep = Digest::of(&large);
                store.sweep(&mut || Ok(HashSet::from([keep])), &gc).map_or_else(&mut note, drop);
                store.delete(Digest::of(b"nothing")).map_or_else(&mut note, drop);
                let reached = faulty.requests.load(Ordering::SeqCst) > n;
                faulty.arm(None);
                let place = format!("{tries} tries, {fault:?} at {n}: {errors:?}");
                for error in &errors {
                    assert!(!error.to_string().contains("hunter2"), "a secret: {error}");
                }
                all_that_is_there_is_whole(&place);
                let passes = !matches!(fault, Fault::Denied | Fault::Dies);
                // What is garbled on the way out is an error of that read; a put tries again.
                let of_reading = |e: &Error| matches!(e, Error::Decode { .. });
                if tries > 1 && passes {
                    assert!(errors.iter().all(of_reading), "{place}");
                }
                // Whatever happened, the same calls on a good line do what they say.
                for bytes in [&small, &large] {
                    let blob = store.put_bytes(bytes).unwrap_or_else(|e| panic!("{place}: {e}"));
                    assert!(clean.get_bytes(blob.digest, 10_000).unwrap() == *bytes, "{place}");
                }
                assert!(store.unfinished().unwrap().is_empty(), "{place}");
                failed += usize::from(!errors.is_empty());
                if !reached {
                    assert!(errors.is_empty(), "{place}");
                    break;
                }
                faults += 1;
            }
        }
    }
    println!("{faults} faults, {failed} lives of a store with an error, none with wrong bytes");
    assert!(faults > 200 && failed > 50);
}

#[test]
fn an_upload_is_taken_up_where_it_stopped() {
    let here = tempfile::tempdir().unwrap();
    let memory = Arc::new(InMemory::new());
    let faulty = Faulty::new(&memory);
    let large = bytes(10 * PART as usize);
    let digest = Digest::of(&large);
    // The line dies with the fifth part; the process ends.
    let store = store_on(faulty.clone(), here.path(), 2);
    let mut probe = 0;
    loop {
        faulty.arm(Some((probe, Fault::Dies)));
        store.put_bytes(&large).unwrap_err();
        let sent = faulty.log.lock().unwrap().iter().filter(|w| w.starts_with("part 5")).count();
        if sent > 0 {
            break;
        }
        store.abandon(digest).unwrap();
        probe += 1;
    }
    drop(store);
    faulty.arm(None);
    let store = store_on(faulty.clone(), here.path(), 2);
    assert_eq!(store.unfinished().unwrap(), [digest]);
    assert!(store.get(digest, &Transfer::new()).is_err(), "nothing half is to be seen");
    assert_eq!(store.resume(digest, &Transfer::new()).unwrap(), Blob::of(&large));
    let log = faulty.log.lock().unwrap().clone();
    let parts: Vec<_> = log.iter().filter(|what| what.starts_with("part")).collect();
    assert_eq!(parts, ["part 5", "part 6", "part 7", "part 8", "part 9"]);
    assert!(store.get_bytes(digest, 1 << 20).unwrap() == large);
    assert!(store.unfinished().unwrap().is_empty());
    assert!(matches!(store.resume(digest, &Transfer::new()), Err(Error::NotFound { .. })));
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0);
}

#[test]
fn what_waits_is_verified_before_it_is_sent() {
    let here = tempfile::tempdir().unwrap();
    let faulty = Faulty::new(&Arc::new(InMemory::new()));
    let large = bytes(5 * PART as usize);
    let digest = Digest::of(&large);
    let store = store_on(faulty.clone(), here.path(), 1);
    for n in 0.. {
        faulty.arm(Some((n, Fault::Dies)));
        store.put_bytes(&large).unwrap_err();
        if store.unfinished().unwrap() == [digest] {
            break;
        }
    }
    faulty.arm(None);
    let (file, record) = upload::waiting(here.path(), digest);
    let mut other = large.clone();
    other[7] ^= 1;
    std::fs::write(&file, other).unwrap();
    assert!(matches!(store.resume(digest, &Transfer::new()), Err(Error::Decode { .. })));
    assert!(!file.exists() && !record.exists() && !store.has(digest).unwrap());
    // Records that are torn, of another store, or hostile are not believed.
    for junk in ["", "{}", "[1", "{\"parts\":[null],\"size\":1e999}"] {
        std::fs::write(&record, junk).unwrap();
        let blob = store.put_bytes(&large).unwrap();
        assert!(store.get_bytes(blob.digest, 1 << 20).unwrap() == large);
        // The lease of the put whose line died lasts a day; here the object itself goes.
        faulty.real.delete(&store.blob_path(digest)).unwrap();
    }
}

#[test]
fn a_wait_for_a_request_is_no_part_of_the_callers_runtime() {
    let here = tempfile::tempdir().unwrap();
    let store = CloudStore::new(Arc::new(InMemory::new()), "p", here.path()).unwrap();
    // Inside a runtime, where a nested `block_on` would panic.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let blob = store.put_bytes(b"x").unwrap();
        assert_eq!(store.get_bytes(blob.digest, 9).unwrap(), b"x");
        drop(store);
    });
}

#[test]
fn settings_that_can_not_be() {
    let here = tempfile::tempdir().unwrap();
    let memory = Arc::new(InMemory::new());
    let store = |prefix: &str| CloudStore::new(memory.clone(), prefix, here.path());
    assert!(store("a//b").is_err() && store("../x").is_err());
    assert!(store("p").unwrap().with_parts(0, 1).is_err());
    assert!(store("p").unwrap().with_parts(1, 0).is_err());
    assert!(store("p").unwrap().with_tries(0, Duration::ZERO).is_err());
}
