//! Processes that put are killed at random instants, many work on one store while a third collects
//! garbage, the disk is full or read-only, and a large artifact needs no memory.
//!
//! `MLOPS_KILLS` raises the number of kills.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use mlops_core::{Digest, Error, Timestamp};
use mlops_registry::artifacts::{ArtifactStore, ArtifactStoreExt, Blob, Gc, LocalStore, Transfer};

mod children;

use children::{Random, heard, kill_after, kills, say, text};

fn late() -> Gc<'static> {
    Gc::new(Timestamp::from_millis(i64::MAX), Duration::ZERO)
}

/// The bytes of this tag.
fn file(tag: &str) -> Vec<u8> {
    tag.bytes().cycle().take(tag.len() * 7919 % 700_000).collect()
}

/// What the child processes do; without their environment it is no test at all.
#[test]
fn child() {
    let Ok(path) = std::env::var("MLOPS_CHILD") else { return };
    let tag = std::env::var("MLOPS_TAG").unwrap();
    let store = LocalStore::open(&path);
    match std::env::var("MLOPS_DOES").unwrap().as_str() {
        "put" => {
            let store = store.unwrap();
            for n in 0..1000 {
                // Half of them are everybody's, half its own.
                let tag = if n % 2 == 0 { format!("all-{n}") } else { format!("{tag}-{n}") };
                let blob = store.put_bytes(&file(&tag)).unwrap();
                say(&format!("put {tag} {}", blob.digest.hex()));
            }
        }
        "many" => {
            let store = store.unwrap();
            for n in 0..20 {
                let tag = if n % 2 == 0 { format!("all-{n}") } else { format!("{tag}-{n}") };
                let blob = store.put_bytes(&file(&tag)).unwrap();
                assert!(store.get_bytes(blob.digest, 1 << 20).unwrap() == file(&tag));
            }
            say("the end");
        }
        // Registers what it puts: a name in a directory stands for the row of a transaction.
        "register" => {
            let store = store.unwrap();
            for n in 0..1000 {
                let bytes = format!("few different ones {}", n % 4);
                let lease = store.lease().unwrap();
                let under = Transfer::new().under(&lease);
                let blob = store.put(&mut bytes.as_bytes(), &under).unwrap();
                let row = Path::new(&path).with_file_name("rows").join(format!("{tag}-{n}"));
                let temp = row.with_extension("tmp");
                fs::write(&temp, blob.digest.hex()).unwrap();
                fs::rename(&temp, &row).unwrap();
                lease.release().unwrap();
                say(&format!("row {tag}-{n}"));
                // Some are forgotten, so that the next put finds bytes that just go.
                if n % 3 != 0 {
                    fs::remove_file(row).unwrap();
                }
            }
        }
        "collect" => {
            let store = store.unwrap();
            for _ in 0..10_000 {
                let rows = Path::new(&path).with_file_name("rows");
                store.sweep(&mut || Ok(registered(&rows)), &late()).unwrap();
                say("swept");
            }
        }
        "huge" => huge(&store.unwrap()),
        "full" => full(Path::new(&path)),
        other => panic!("{other}"),
    }
}

fn spawn(path: &Path, does: &str, tag: &str) -> Child {
    children::spawn(&[("MLOPS_CHILD", text(path)), ("MLOPS_DOES", does), ("MLOPS_TAG", tag)])
}

/// Everything that is there is whole; how many there are.
fn whole(store: &LocalStore) -> u64 {
    let mut n = 0;
    store
        .list(&mut |stored| {
            n += 1;
            store.get(stored.digest, &Transfer::new())?.drain().map(drop)
        })
        .unwrap();
    n
}

#[test]
fn killed_at_random_instants() {
    let directory = tempfile::tempdir().unwrap();
    let (mut random, mut puts) = (Random(0x9e37_79b9_7f4a_7c15), 0);
    let mut left_over = 0;
    let kills = kills(110);
    for kill in 0..kills {
        // Twenty kills a store: the first fall into its making, the later find leftovers.
        let path = directory.path().join(format!("store-{}", kill / 20));
        let child = spawn(&path, "put", &format!("k{kill}"));
        let told = kill_after(child, random.micros(80_000));
        let store = LocalStore::open(&path).unwrap();
        for line in &told {
            let words: Vec<_> = line.split(' ').collect();
            let digest: Digest = words[2].parse().unwrap();
            assert_eq!(digest, Digest::of(file(words[1])));
            assert!(store.has(digest).unwrap(), "{line}: acknowledged and not there");
        }
        puts += told.len();
        if kill % 10 == 9 {
            whole(&store);
        }
        if kill % 20 == 19 || kill + 1 == kills {
            let before = whole(&store);
            let swept = store.sweep(&mut || Ok(HashSet::new()), &late()).unwrap();
            assert_eq!(swept.removed.count, before, "{swept}");
            left_over += swept.leftovers.count;
            assert_eq!(fs::read_dir(path.join("tmp")).unwrap().count(), 0, "tmp/ is empty");
            assert_eq!(fs::read_dir(path.join("leases")).unwrap().count(), 0, "no lease is left");
        }
    }
    println!("{kills} kills, {puts} puts acknowledged and there, {left_over} leftovers swept");
    assert!(puts > 0 && left_over > 0, "{puts} {left_over}");
}

#[test]
fn eight_processes_put_the_same_and_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut children: Vec<_> = (0..8).map(|n| spawn(&path, "many", &format!("p{n}"))).collect();
    for child in &mut children {
        assert_eq!(heard(child), ["the end"]);
        assert!(child.wait().unwrap().success());
    }
    let store = LocalStore::open(&path).unwrap();
    assert_eq!(whole(&store), 10 + 8 * 10, "each once");
    assert_eq!(fs::read_dir(path.join("tmp")).unwrap().count(), 0);
}

/// The digests of all rows.
fn registered(rows: &Path) -> HashSet<Digest> {
    let mut all = HashSet::new();
    for row in fs::read_dir(rows).unwrap() {
        let row = row.unwrap().path();
        if row.extension().is_none()
            // One that goes at this moment is no row.
            && let Ok(hex) = fs::read_to_string(row)
        {
            all.insert(hex.parse().unwrap());
        }
    }
    all
}

/// Processes register while others collect with no grace; all are killed at random instants.
/// Whatever has a row has its bytes.
#[test]
fn collecting_beside_registering_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let rows = directory.path().join("rows");
    fs::create_dir(&rows).unwrap();
    let mut random = Random(7);
    let (mut registered_rows, mut sweeps) = (0, 0);
    let store = LocalStore::open(&path).unwrap();
    for round in 0..kills(110) / 10 {
        let mut putters: Vec<_> =
            (0..3).map(|n| spawn(&path, "register", &format!("r{round}-{n}"))).collect();
        let mut collector = spawn(&path, "collect", "");
        std::thread::sleep(Duration::from_millis(100) + random.micros(200_000));
        for child in putters.iter_mut().chain([&mut collector]) {
            std::thread::sleep(random.micros(5000));
            child.kill().unwrap();
        }
        for child in &mut putters {
            registered_rows += heard(child).len();
            child.wait().unwrap();
        }
        sweeps += heard(&mut collector).len();
        collector.wait().unwrap();
        for digest in registered(&rows) {
            store.check(digest, &Transfer::new()).unwrap();
        }
        // And what the dead held goes once nothing refers to it.
        let swept = store.sweep(&mut || Ok(registered(&rows)), &late()).unwrap();
        assert_eq!((swept.leased.count, swept.missing.len()), (0, 0), "{swept}");
    }
    println!("{registered_rows} registered beside {sweeps} sweeps, none lost");
    assert!(registered_rows > 0 && sweeps > 0, "{registered_rows} {sweeps}");
}

/// The most memory that this process ever had, in KiB.
fn high_water() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const HUGE: u64 = 200 << 20;

/// Bytes that come from nowhere.
struct Endless(u64);

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = usize::try_from(self.0).unwrap_or(usize::MAX).min(out.len());
        out[..n].fill((self.0 >> 16) as u8);
        self.0 -= n as u64;
        Ok(n)
    }
}

fn huge(store: &LocalStore) {
    let before = high_water();
    let blob = store.put(&mut Endless(HUGE), &Transfer::new()).unwrap();
    assert_eq!(blob.size, HUGE);
    store.get(blob.digest, &Transfer::new()).unwrap().drain().unwrap();
    store.check(blob.digest, &Transfer::new()).unwrap();
    store.put(&mut Endless(HUGE), &Transfer::new()).unwrap();
    say(&format!("grew {}", high_water() - before));
}

#[cfg(target_os = "linux")]
#[test]
fn a_huge_artifact_needs_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = spawn(&directory.path().join("store"), "huge", "");
    let told = heard(&mut child);
    assert!(child.wait().unwrap().success(), "{told:?}");
    let grew: u64 = told[0].strip_prefix("grew ").unwrap().parse().unwrap();
    println!("{} MiB put twice, read and checked: {grew} KiB above the baseline", HUGE >> 20);
    assert!(grew < 40 << 10, "{grew} KiB");
}

/// On a file system of 1 MiB, in a place of its own.
fn full(path: &Path) {
    let store = LocalStore::open(path).unwrap();
    let small = store.put_bytes(b"small").unwrap();
    let names = || {
        let mut names = Vec::new();
        let mut open = vec![path.to_path_buf()];
        while let Some(at) = open.pop() {
            for entry in fs::read_dir(at).unwrap() {
                let entry = entry.unwrap().path();
                if entry.is_dir() { open.push(entry) } else { names.push(entry) }
            }
        }
        names.sort();
        names
    };
    let before = names();
    let kind = |result: mlops_core::Result<Blob>| match result {
        Err(Error::Io { source, .. }) => Some(source.kind()),
        _ => None,
    };
    for size in [2 << 20, 100 << 20] {
        let full = store.put(&mut Endless(size), &Transfer::new());
        assert_eq!(kind(full), Some(std::io::ErrorKind::StorageFull));
        assert_eq!(names(), before, "a full disk: nothing is left");
    }
    assert_eq!(store.get_bytes(small.digest, 10).unwrap(), b"small");
    store.put_bytes(&vec![1; 100_000]).unwrap();
    let before = names();
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(path).status().unwrap();
    assert!(remount.success());
    assert_eq!(kind(store.put_bytes(b"x")), Some(std::io::ErrorKind::ReadOnlyFilesystem));
    assert_eq!(store.get_bytes(small.digest, 10).unwrap(), b"small", "it can still be read");
    assert_eq!(LocalStore::open(path).unwrap().get_bytes(small.digest, 10).unwrap(), b"small");
    assert_eq!(names(), before);
    say("the end");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_a_read_only_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mount");
    fs::create_dir(&path).unwrap();
    // In a mount namespace of its own, so that nobody else sees it and nothing is left.
    let script = "mount -t tmpfs -o size=1m,mode=700 none \"$1\" && shift && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .arg(&path)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("MLOPS_CHILD", &path)
        .env("MLOPS_DOES", "full")
        .env("MLOPS_TAG", "")
        .output();
    let Ok(output) = output else { return println!("skipped: there is no unshare") };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if !text.contains("running 1 test") {
        return println!("skipped: no file system may be mounted here: {errors}");
    }
    assert!(output.status.success() && text.contains("told the end"), "{text}{errors}");
}
