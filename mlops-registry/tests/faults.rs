//! Every write, sync, truncation and removal that SQLite asks the system for fails in its turn:
//! the call fails, and the registry is as it was before it or as it is after it.
//!
//! `MLOPS_FAULTS=1` has every one of the errors that stay, instead of every fifth.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]
#![expect(unsafe_code, reason = "a virtual file system of SQLite is a table of C functions")]

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicPtr, Ordering};

use mlops_core::{
    Approval, Assessment, Finding, GateReport, NewVersion, Promotion, PromotionPolicy, Registry,
    Rollback, Timestamp, Unset, Verdict, Withdrawal,
};
use mlops_registry::outbox::Outbox;
use mlops_registry::tracking::{Batch, NewRun, Query, Tracker, TrackerExt, View};
use mlops_registry::{Journal, SqliteRegistry};
use rusqlite::ffi::{
    SQLITE_FULL, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE,
    SQLITE_IOERR_WRITE, SQLITE_OK, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_find, sqlite3_vfs_register,
};

/// How many steps are left until one fails; negative: all of them have succeeded or failed.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);
/// Whether the steps after it fail, too; and which error it is: 0 the step's own, else this.
static STAYS: AtomicI32 = AtomicI32::new(0);
static FULL: AtomicI32 = AtomicI32::new(0);
static REAL: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(std::ptr::null_mut());

/// Whether this step fails, and how.
fn step(own: c_int, writes: bool) -> Option<c_int> {
    let left = LEFT.fetch_sub(1, Ordering::SeqCst);
    let now = left == 0 || (left < 0 && STAYS.load(Ordering::SeqCst) != 0);
    if !now {
        return None;
    }
    match (FULL.load(Ordering::SeqCst) != 0, writes) {
        (true, true) => Some(SQLITE_FULL),
        // A full disk still syncs, truncates and removes.
        (true, false) => None,
        (false, _) => Some(own),
    }
}

/// Our file, with the real one in the memory behind it.
#[repr(C)]
struct File {
    base: sqlite3_file,
}

/// # Safety
/// `file` was opened by [`open`], which leaves room for the real file behind ours.
unsafe fn real(file: *mut sqlite3_file) -> (*mut sqlite3_file, &'static sqlite3_io_methods) {
    // SAFETY: see above; the methods of an open file are a constant of SQLite.
    unsafe {
        let behind = file.cast::<File>().add(1).cast::<sqlite3_file>();
        (behind, &*(*behind).pMethods)
    }
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) $(, fails $own:expr, $writes:expr)?;)*) => {$(
        #[expect(non_snake_case, reason = "SQLite's names")]
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $type)*) -> c_int {
            $(if let Some(error) = step($own, $writes) {
                return error;
            })?
            // SAFETY: SQLite calls this with a file that `open` opened.
            unsafe {
                let (file, methods) = real(file);
                methods.$name.map_or(SQLITE_OK, |method| method(file $(, $arg)*))
            }
        }
    )*};
}

forward! {
    xClose();
    xRead(to: *mut c_void, n: c_int, at: sqlite3_int64);
    xWrite(from: *const c_void, n: c_int, at: sqlite3_int64), fails SQLITE_IOERR_WRITE, true;
    xTruncate(size: sqlite3_int64), fails SQLITE_IOERR_TRUNCATE, false;
    xSync(flags: c_int), fails SQLITE_IOERR_FSYNC, false;
    xFileSize(size: *mut sqlite3_int64);
    xLock(level: c_int);
    xUnlock(level: c_int);
    xCheckReservedLock(out: *mut c_int);
    xFileControl(op: c_int, arg: *mut c_void);
    xSectorSize();
    xDeviceCharacteristics();
    xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
    xShmLock(offset: c_int, n: c_int, flags: c_int);
    xShmUnmap(delete: c_int);
}

unsafe extern "C" fn barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite calls this with a file that `open` opened.
    unsafe {
        let (file, methods) = real(file);
        if let Some(method) = methods.xShmBarrier {
            method(file);
        }
    }
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Version 2: no memory maps, so that every write is a call.
    iVersion: 2,
    xClose: Some(xClose),
    xRead: Some(xRead),
    xWrite: Some(xWrite),
    xTruncate: Some(xTruncate),
    xSync: Some(xSync),
    xFileSize: Some(xFileSize),
    xLock: Some(xLock),
    xUnlock: Some(xUnlock),
    xCheckReservedLock: Some(xCheckReservedLock),
    xFileControl: Some(xFileControl),
    xSectorSize: Some(xSectorSize),
    xDeviceCharacteristics: Some(xDeviceCharacteristics),
    xShmMap: Some(xShmMap),
    xShmLock: Some(xShmLock),
    xShmBarrier: Some(barrier),
    xShmUnmap: Some(xShmUnmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes for the file, ours and the real one's.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let behind = file.cast::<File>().add(1).cast::<sqlite3_file>();
        let vfs = REAL.load(Ordering::SeqCst);
        let Some(method) = (*vfs).xOpen else { return SQLITE_IOERR_WRITE };
        let code = method(vfs, name, behind, flags, out);
        if !(*behind).pMethods.is_null() {
            (*file).pMethods = &raw const METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    if let Some(error) = step(SQLITE_IOERR_DELETE, false) {
        return error;
    }
    // SAFETY: the real file system's own method on itself.
    unsafe {
        let vfs = REAL.load(Ordering::SeqCst);
        (*vfs).xDelete.map_or(SQLITE_OK, |method| method(vfs, name, sync))
    }
}

/// Puts ourselves before the real file system, for this whole process.
fn install() {
    // SAFETY: the copy lives for ever, and SQLite is not in use yet.
    unsafe {
        let vfs = sqlite3_vfs_find(std::ptr::null());
        REAL.store(vfs, Ordering::SeqCst);
        let mut ours = *vfs;
        ours.szOsFile += size_of::<File>() as c_int;
        ours.zName = c"faulty".as_ptr();
        ours.pNext = std::ptr::null_mut();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        assert_eq!(sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1), SQLITE_OK);
    }
}

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

type Step = fn(&SqliteRegistry) -> mlops_core::Result<()>;

/// A model's life, as steps each of which is all or nothing.
const STEPS: [(&str, Step); 14] = [
    ("register", register),
    ("gate", |r| {
        let finding = Finding::new("auc", "hold-out", Verdict::Pass, "≥ 0.75", "0.8");
        let n = last(r)?;
        let assessment = Assessment::new("quality", 9, vec![finding]);
        r.record_gate("loans", n, GateReport::new(r.version("loans", n)?.digest, assessment, AT))
    }),
    ("approve", |r| {
        r.approve("loans", last(r)?, Approval { by: "ben".into(), comment: String::new(), at: AT })
    }),
    ("policy", |r| r.set_policy("loans", "champion", PromotionPolicy::default(), "cleo", AT)),
    ("promote", |r| promote(r, last(r)?)),
    ("promote the first", |r| promote(r, 1)),
    ("roll back", |r| {
        let (model, alias) = ("loans".into(), "champion".into());
        let (actor, reason) = ("ben".into(), "worse".into());
        r.rollback(Rollback { model, alias, actor, reason, expected_revision: 2, key: None }, AT)
            .map(drop)
    }),
    ("unset", |r| {
        let asked = Unset::new("loans", "champion").by("ben").because("a leak").seeing(1);
        r.unset(asked, AT).map(drop)
    }),
    ("withdraw", |r| r.withdraw("loans", 1, Withdrawal::new("ben", "a leak", AT))),
    ("create a run", |r| {
        let new = NewRun::new(1).with_id("new").with_user("ben").with_param("depth", 3);
        r.create_run(new, AT).map(drop)
    }),
    ("log", |r| r.log("kept", &points(0..1500).tag("state", "new")).map(drop)),
    ("collect garbage", |r| {
        let late = Timestamp::from_millis(i64::MAX);
        r.collect_garbage(late).map(drop)
    }),
    ("take a turn", |r| r.turn("ops", AT, Timestamp::from_millis(AT.millis() + 1000)).map(drop)),
    ("erase", |r| r.erase("ben", "cleo", AT).map(drop)),
];

fn points(steps: std::ops::Range<i64>) -> Batch {
    steps.fold(Batch::new(), |batch, step| batch.metric("loss", 0.5, step, AT))
}

/// An experiment, a run with points, one that is deleted, and a consumer.
fn track(r: &SqliteRegistry) -> mlops_core::Result<()> {
    let experiment = r.open_experiment("loans", AT)?.id;
    for id in ["kept", "gone"] {
        r.create_run(NewRun::new(experiment).with_id(id).with_user("ben"), AT)?;
        r.log(id, &points(-100..3).param("seed", 7))?;
    }
    r.delete_run("gone", AT)?;
    r.subscribe("ops", 0)
}

fn last(r: &SqliteRegistry) -> mlops_core::Result<u64> {
    Ok(r.versions("loans")?.last().copied().unwrap_or(0))
}

fn register(r: &SqliteRegistry) -> mlops_core::Result<()> {
    let n = r.versions("loans")?.len() as u8;
    let new = NewVersion::new("loans", "ana")
        .with_artifact("model.bin", vec![n; 20_000])
        .with_artifact("tag", vec![n]);
    r.register(new.with_metric("auc", 0.8), AT).map(drop)
}

fn promote(r: &SqliteRegistry, version: u64) -> mlops_core::Result<()> {
    let expected_revision = r.history("loans", "champion")?.len() as u64;
    let (model, alias) = ("loans".into(), "champion".into());
    let (actor, reason) = ("ana".into(), "better".into());
    r.promote(Promotion { model, alias, version, actor, reason, expected_revision, key: None }, AT)
        .map(drop)
}

/// Everything that there is, in a text.
fn contents(r: &SqliteRegistry) -> String {
    let versions: Vec<_> =
        r.versions("loans").unwrap().into_iter().map(|n| r.version("loans", n).unwrap()).collect();
    for version in &versions {
        for artifact in &version.artifacts {
            r.artifact("loans", version.number, &artifact.name).unwrap();
        }
    }
    let runs = r.search_all(&Query::new().view(View::All)).unwrap();
    let points: Vec<_> =
        runs.iter().map(|run| r.metric_history(&run.id, "loss").unwrap()).collect();
    let told = r.consumers().unwrap();
    format!(
        "{versions:?} {:?} {runs:?} {points:?} {told:?}",
        r.history("loans", "champion").unwrap()
    )
}

fn arm(left: i64, stays: bool, full: bool) {
    STAYS.store(stays.into(), Ordering::SeqCst);
    FULL.store(full.into(), Ordering::SeqCst);
    LEFT.store(left, Ordering::SeqCst);
}

/// A file of the first schema is brought to today's whole, or stays what it was.
fn migration(journal: Journal) -> u32 {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/registry_v1.db");
    let mut faults = 0;
    for n in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry.db");
        std::fs::copy(&kept, &path).unwrap();
        arm(n, false, false);
        let result = SqliteRegistry::open_with(&path, journal);
        let reached = LEFT.load(Ordering::SeqCst) < 0;
        arm(i64::MAX, false, false);
        let failed = result.is_err();
        drop(result);
        let again = SqliteRegistry::open_with(&path, journal).unwrap();
        let found = again.verify().unwrap();
        assert!(found.is_whole(), "{journal}, fault {n}, failed {failed}: {found}");
        assert_eq!((found.versions, found.entries), (2, 10), "{journal}, fault {n}");
        if !reached {
            assert!(!failed);
            break;
        }
        faults += 1;
    }
    faults
}

#[test]
fn every_step_fails_in_its_turn() {
    install();
    let mut faults = 0_u32;
    let mut failed = 0;
    for journal in [Journal::Wal, Journal::Rollback] {
        for (stays, full) in [(false, false), (true, false), (true, true)] {
            // The file as it was before each step: a ready second version beside a champion.
            let directory = tempfile::tempdir().unwrap();
            let base = directory.path().join("base.db");
            let build = SqliteRegistry::open_with(&base, journal).unwrap();
            for at in [0, 1, 2, 0, 1, 2, 4] {
                STEPS[at].1(&build).unwrap();
            }
            track(&build).unwrap();
            drop(build);
            for (at, (name, run)) in STEPS.iter().enumerate() {
                // `approve` and `promote` need a new version, `roll back` two promotions.
                let path = directory.path().join(format!("{at}.db"));
                // Errors that stay are sampled, unless all are asked for.
                let stride =
                    if stays && std::env::var_os("MLOPS_FAULTS").is_none() { 5 } else { 1 };
                for n in (0..).step_by(stride) {
                    for suffix in ["", "-wal", "-shm", "-journal"] {
                        let file = directory.path().join(format!("{at}.db{suffix}"));
                        std::fs::remove_file(file).ok();
                    }
                    std::fs::copy(&base, &path).unwrap();
                    let registry = SqliteRegistry::open_with(&path, journal).unwrap();
                    match *name {
                        "promote" => (0..3).for_each(|s| STEPS[s].1(&registry).unwrap()),
                        "approve" => register(&registry).unwrap(),
                        "roll back" => promote(&registry, 1).unwrap(),
                        _ => {}
                    }
                    let before = contents(&registry);
                    arm(n, stays, full);
                    let result = run(&registry);
                    let reached = LEFT.load(Ordering::SeqCst) < 0;
                    // Within the process a failure changed nothing, and goes on working.
                    arm(i64::MAX, false, false);
                    let seen = contents(&registry);
                    let place = format!("{journal}: {name}, fault {n}, {stays} {full}: {result:?}");
                    if result.is_err() {
                        assert_eq!(seen, before, "{place}");
                        failed += 1;
                    } else {
                        assert!(seen != before || *name == "policy", "{place}");
                    }
                    drop(registry);
                    let again = SqliteRegistry::open_with(&path, journal).unwrap();
                    let found = again.verify().unwrap();
                    assert!(found.is_whole(), "{place}: {found}");
                    assert_eq!(contents(&again), seen, "{place}, opened again");
                    if n % 5 == 0 {
                        register(&again).unwrap();
                    }
                    if !reached {
                        result.unwrap();
                        break;
                    }
                    faults += 1;
                }
            }
        }
    }
    for journal in [Journal::Wal, Journal::Rollback] {
        faults += migration(journal);
    }
    println!("{faults} faults, {failed} calls failed, none half");
    assert!(failed > 50);
}
