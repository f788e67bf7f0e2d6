//! States that are used again: the same bits as a scan of everything, and only what is new is read.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use mlops_core::arrow::array::{Float64Array, StringArray};
use mlops_core::arrow::datatypes::SchemaRef;
use mlops_core::states::{CategoryCounts, NumericSummary, RowCount};
use mlops_core::{
    Analyzer, Batches, DataSource, DataSourceExt, Digest, Error, MemorySource, Partition, Plan,
    Result, Rows, State, Verdict, batch,
};
use mlops_validate::history::StateStore;
use mlops_validate::{Suite, in_range, not_null, row_count, unique};

/// Files of a table, in memory: each has a version, and two partitions. Counts what is read.
#[derive(Debug, Default)]
struct Table {
    files: Vec<(String, u64, MemorySource)>,
    read: Mutex<Vec<String>>,
    forgetful: bool,
}

impl Table {
    fn of(n: u64) -> Self {
        let mut table = Self::default();
        (0..n).for_each(|i| table.put(&format!("day-{i:03}"), i, 0));
        table
    }

    fn put(&mut self, name: &str, seed: u64, version: u64) {
        let value = |i: u64| match (i * 7 + seed * 13 + version) % 29 {
            0 => None,
            1 => Some(f64::NAN),
            v => Some(v as f64 * 0.1 - 1e-3 * i as f64),
        };
        let rows = batch! {
            "x" => (0..40).map(value).collect::<Float64Array>(),
            "k" => StringArray::from_iter_values((0..40).map(|i| format!("{}", i * seed % 11))),
        };
        let source = MemorySource::from(rows.unwrap());
        self.files.retain(|file| file.0 != name);
        self.files.push((name.to_owned(), version, source));
    }

    fn taken(&self) -> Vec<String> {
        let mut read = std::mem::take(&mut *self.read.lock().unwrap());
        read.sort();
        read.dedup();
        read
    }
}

impl DataSource for Table {
    fn schema(&self) -> SchemaRef {
        self.files[0].2.schema()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let halves = |f: &(String, u64, MemorySource)| {
            let part = |at| Partition::new(f.0.clone()).starting_at(at).with_rows(20);
            [part(0), part(20)]
        };
        Ok(self.files.iter().flat_map(halves).collect())
    }

    fn read(&self, at: usize, columns: Option<&[usize]>, size: usize) -> Result<Batches> {
        let (name, _, rows) = &self.files[at / 2];
        self.read.lock().unwrap().push(name.clone());
        let batch = rows.collect()?.slice(20 * (at % 2), 20);
        Ok(Batches::new(MemorySource::from(batch).read(0, columns, size)?.collect::<Vec<_>>()))
    }

    fn fingerprint(&self, origin: &str) -> Option<Digest> {
        let file = self.files.iter().find(|f| f.0 == origin)?;
        (!self.forgetful).then(|| Digest::of(format!("version {}", file.1)))
    }
}

fn plan() -> Plan {
    let mut plan = Plan::new();
    plan.add(RowCount);
    plan.add(NumericSummary::new("x"));
    plan.add(CategoryCounts::new("k"));
    plan
}

fn bytes(state: &impl State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

/// The state with the store, which must be that of a scan of everything; what was read; the report.
fn run(
    store: &StateStore,
    table: &Table,
    plan: &Plan,
) -> (Vec<String>, mlops_validate::history::Reuse) {
    let whole = bytes(&table.scan().state(plan).unwrap());
    table.taken();
    let (state, reuse) = store.state(table.scan().batch_size(7), plan).unwrap();
    assert_eq!(bytes(&state), whole, "the same bits as a scan of everything");
    let read = table.taken();
    assert_eq!(read.len() as u64, reuse.scanned);
    assert_eq!(reuse.scanned + reuse.reused, table.files.len() as u64);
    (read, reuse)
}

#[test]
fn one_new_file_costs_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path().join("states")).unwrap();
    let (mut table, plan) = (Table::of(200), plan());
    assert_eq!(run(&store, &table, &plan).0.len(), 200);
    assert!(run(&store, &table, &plan).0.is_empty());

    table.put("day-200", 200, 0);
    assert_eq!(run(&store, &table, &plan).0, ["day-200"]);
    // Changed, removed, renamed; in another order.
    table.put("day-007", 7, 1);
    assert_eq!(run(&store, &table, &plan).0, ["day-007"]);
    table.files.remove(3);
    assert!(run(&store, &table, &plan).0.is_empty());
    table.files.reverse();
    table.files[5].0 = "elsewhere".into();
    assert_eq!(run(&store, &table, &plan).0, ["elsewhere"]);

    // What vanished or changed goes; what is there stays.
    assert_eq!(store.entries().unwrap().len(), 203);
    assert_eq!(store.keep_only(&[&table]).unwrap(), 3);
    assert_eq!(store.entries().unwrap().len(), 200);
    assert!(run(&store, &table, &plan).0.is_empty());
}

#[test]
fn another_question_is_another_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let table = Table::of(3);
    assert_eq!(run(&store, &table, &plan()).0.len(), 3);
    let mut more = plan();
    more.add(NumericSummary::new("k"));
    let (_, reuse) = run(&store, &table, &more);
    // A member that fails is not remembered: what it failed by may go away.
    assert_eq!((reuse.scanned, reuse.unstored.len()), (3, 3));
    assert!(
        reuse.to_string().starts_with("3 scanned, 0 reused, 3 not stored (day-000: "),
        "{reuse}"
    );
    let mut other = Plan::new();
    other.add(CategoryCounts::new("k"));
    assert_eq!(run(&store, &table, &other).0.len(), 3);
    assert!(run(&store, &table, &other).0.is_empty());
    // Nothing to measure is a question, too.
    assert_eq!(run(&store, &table, &Plan::new()).1.scanned, 3);
    assert_eq!(run(&store, &table, &Plan::new()).1.reused, 3);
}

#[test]
fn what_has_no_fingerprint_or_is_there_twice_is_read_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut table = Table::of(4);
    table.forgetful = true;
    for _ in 0..2 {
        let (read, reuse) = run(&store, &table, &plan());
        assert_eq!((read.len(), reuse.unstored.len()), (4, 4));
    }
    assert!(store.entries().unwrap().is_empty());
    table.forgetful = false;
    run(&store, &table, &plan());
    let twice = table.files[1].clone();
    table.files.push(twice);
    let whole = bytes(&table.scan().state(&plan()).unwrap());
    let (state, reuse) = store.state(table.scan(), &plan()).unwrap();
    assert_eq!(bytes(&state), whole);
    assert_eq!((reuse.reused, reuse.scanned, reuse.unstored.len()), (3, 1, 1));
}

#[derive(Debug)]
struct Nameless;
impl Analyzer for Nameless {
    type State = <RowCount as Analyzer>::State;
    type Output = u64;
    fn columns(&self) -> Vec<String> {
        Vec::new()
    }
    fn start(&self) -> Self::State {
        RowCount.start()
    }
    fn update(&self, state: &mut Self::State, rows: &Rows<'_>) -> Result<()> {
        RowCount.update(state, rows)
    }
    fn finish(&self, state: Self::State) -> Result<u64> {
        RowCount.finish(state)
    }
    fn decode(&self, bytes: &mut &[u8]) -> Result<Self::State> {
        RowCount.decode(bytes)
    }
}

#[test]
fn a_member_without_a_description_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut plan = plan();
    plan.add(Nameless);
    let error = store.run(Table::of(1).scan(), &plan).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("found Nameless"), "{error}");
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|p| p.extension().is_some_and(|e| e == "state")).collect();
    paths.sort();
    paths
}

#[test]
fn damaged_entries_are_measured_again_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let (table, plan) = (Table::of(12), plan());
    run(&store, &table, &plan);
    let paths = entries(dir.path());
    let whole = std::fs::read(&paths[0]).unwrap();
    for (i, path) in paths.iter().enumerate() {
        let mut bytes = std::fs::read(path).unwrap();
        match i {
            0 => bytes.clear(),
            1 => bytes.truncate(bytes.len() / 2),
            2 => bytes.clone_from(&whole),
            3 => bytes.push(0),
            i => {
                let at = bytes.len() * (i - 4) / 8;
                bytes[at] ^= 0x40;
            }
        }
        std::fs::write(path, bytes).unwrap();
    }
    let (read, reuse) = run(&store, &table, &plan);
    assert_eq!((read.len(), reuse.damaged.len()), (12, 12), "{reuse}");
    assert!(reuse.damaged[0].starts_with("day-0"), "{reuse}");
    // Mended by that.
    assert!(run(&store, &table, &plan).0.is_empty());

    // Hostile: a checksum that fits whatever the bytes say.
    let mut bytes = std::fs::read(&paths[0]).unwrap();
    for at in (0..bytes.len() - 32).step_by(5) {
        bytes.truncate(bytes.len() - 32);
        bytes[at] ^= 0xff;
        let sum = Digest::of(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        std::fs::write(&paths[0], &bytes).unwrap();
        run(&store, &table, &plan);
        bytes = std::fs::read(&paths[0]).unwrap();
    }

    // Rubbish goes with the first clearing; what is not the store's stays.
    std::fs::write(&paths[1], b"rubbish").unwrap();
    std::fs::write(dir.path().join(".0.state.1.state.tmp"), b"half").unwrap();
    std::fs::write(dir.path().join("notes.state"), b"mine").unwrap();
    assert_eq!(store.retain(|_| true).unwrap(), 1);
    assert!(dir.path().join("notes.state").exists());
    assert!(!dir.path().join(".0.state.1.state.tmp").exists());
    assert_eq!(run(&store, &table, &plan).0.len(), 1);
}

#[test]
fn a_suite_gives_the_findings_of_a_whole_pass() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    let mut table = Table::of(5);
    let suite = Suite::new("table")
        .expect(row_count(1..))
        .expect(not_null("x").mostly(0.9))
        .expect(in_range("x", 0.0..=2.0).mostly(0.5))
        .expect(unique("k"));
    for _ in 0..2 {
        let whole = mlops_core::ValidatorExt::validate(&suite, &table).unwrap();
        assert_eq!(whole.verdict, Verdict::Fail);
        assert_eq!(store.validate(table.scan(), &suite).unwrap().0, whole);
        let (found, reuse) = store.validate(table.scan(), &suite).unwrap();
        assert_eq!(found, whole);
        assert_eq!(reuse.scanned, 0, "{reuse}");
        table.put("day-005", 5, 0);
    }
}

/// Not a test of its own: the process that [`a_process_killed_while_storing_leaves_a_valid_store`]
/// kills.
#[test]
fn stores_until_killed() {
    let Ok(directory) = std::env::var("MLOPS_TEST_STORE") else { return };
    let store = StateStore::open(&directory).unwrap();
    for round in 0.. {
        let mut table = Table::of(50);
        table.files.iter_mut().for_each(|file| file.1 = round % 2);
        store.run(table.scan(), &plan()).unwrap();
        store.retain(|entry| entry.bytes % 2 == round % 2).unwrap();
        File::create(Path::new(&directory).join("started")).unwrap();
    }
}

#[test]
fn a_process_killed_while_storing_leaves_a_valid_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = StateStore::open(dir.path()).unwrap();
    for pause in [0, 3, 11, 29] {
        let started = dir.path().join("started");
        drop(std::fs::remove_file(&started));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stores_until_killed", "--test-threads=1"])
            .env("MLOPS_TEST_STORE", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..2000 {
            if started.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(started.exists(), "the other process came to store something");
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, reuse) = run(&store, &Table::of(50), &plan());
        assert!(reuse.damaged.is_empty(), "{reuse}");
    }
}
