//! Good rows to one file, bad rows to another: whole, or not at all.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of `#[test]`")]

use std::fs::File;
use std::path::{Path, PathBuf};

use mlops_core::arrow::array::{AsArray, Int32Array, RecordBatch, StringArray};
use mlops_core::arrow::compute::concat_batches;
use mlops_core::arrow::datatypes::{Int32Type, SchemaRef, UInt64Type};
use mlops_core::{
    Batches, Cancel, DataSource, MemorySource, Partition, Progress, Result, Severity, Verdict,
    batch,
};
use mlops_validate::{
    Quarantine, QuarantineFiles, Suite, in_range, in_set, not_null, quarantine, row_count, unique,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn files(directory: &Path) -> QuarantineFiles {
    QuarantineFiles { clean: directory.join("clean.parquet"), bad: directory.join("bad.parquet") }
}

fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn ages(batch: &RecordBatch) -> Vec<Option<i32>> {
    batch.column_by_name("age").unwrap().as_primitive::<Int32Type>().iter().collect()
}

fn data() -> MemorySource {
    MemorySource::from(
        batch! {
            "age" => Int32Array::from(vec![Some(31), Some(150), None, Some(47), Some(-3), Some(47)]),
            "sex" => StringArray::from(vec!["F", "X", "M", "M", "F", "F"]),
        }
        .unwrap(),
    )
}

#[test]
fn every_row_goes_to_one_side_with_its_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let suite = Suite::new("people")
        .expect(row_count(100..))
        .expect(not_null("age"))
        .expect(in_range("age", 18..=99))
        .expect(in_set("sex", ["F", "M"]));
    for batch_size in [1, 2, 1000] {
        let split =
            Quarantine::new(&suite, files.clone()).batch_size(batch_size).run(&data()).unwrap();
        assert_eq!((split.clean, split.bad), (3, 3));
        assert_eq!(split.assessment.verdict, Verdict::Fail);
        assert_eq!(split.assessment.findings[0].verdict, Verdict::Fail, "the row count is judged");
        assert_eq!(ages(&read(&files.clean)), [Some(31), Some(47), Some(47)]);
        let bad = read(&files.bad);
        assert_eq!(ages(&bad), [Some(150), None, Some(-3)]);
        let rows = bad.column_by_name("quarantine_row").unwrap();
        assert_eq!(rows.as_primitive::<UInt64Type>().values(), &[1, 2, 4]);
        let reasons = bad.column_by_name("quarantine_reasons").unwrap().as_list::<i32>();
        let of = |row| -> Vec<String> {
            let list = reasons.value(row);
            list.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
        };
        assert_eq!(of(0), ["in_range(age)", "in_set(sex)"]);
        assert_eq!(of(1), ["not_null(age)"]);
        assert_eq!(of(2), ["in_range(age)"]);
    }
}

#[test]
fn what_mostly_tolerates_stays() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let tolerant = Suite::new("people").expect(in_range("age", 18..=99).mostly(0.5));
    let split = quarantine(&data(), &tolerant, files.clone()).unwrap();
    assert_eq!((split.clean, split.bad), (6, 0));
    assert!(split.assessment.verdict.is_pass());
    assert_eq!(read(&files.bad).num_rows(), 0);
    let strict = Suite::new("people").expect(in_range("age", 18..=99).mostly(0.9));
    let split = quarantine(&data(), &strict, files).unwrap();
    assert_eq!((split.clean, split.bad), (4, 2));
}

#[test]
fn every_row_of_a_group_of_duplicates_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let suite = Suite::new("people").expect(unique("age"));
    let split = quarantine(&data(), &suite, files.clone()).unwrap();
    assert_eq!((split.clean, split.bad), (4, 2));
    assert_eq!(ages(&read(&files.bad)), [Some(47), Some(47)]);
}

#[test]
fn warnings_put_rows_aside_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let suite = Suite::new("people").expect(in_range("age", 18..=99).severity(Severity::Warning));
    assert_eq!(quarantine(&data(), &suite, files.clone()).unwrap().bad, 0);
    let split = Quarantine::new(&suite, files).severity(Severity::Warning).run(&data()).unwrap();
    assert_eq!(split.bad, 2);
}

#[test]
fn a_cancelled_run_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    std::fs::write(&files.clean, "old").unwrap();
    let suite = Suite::new("people").expect(in_range("age", 18..=99));
    let cancel = Cancel::new();
    let throw = |p: &Progress| {
        if p.rows >= 2 {
            cancel.cancel();
        }
    };
    let error = Quarantine::new(&suite, files.clone())
        .batch_size(1)
        .on_progress(&throw)
        .cancel(&cancel)
        .run(&data())
        .unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(std::fs::read_to_string(&files.clean).unwrap(), "old");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_bad_place_is_an_error_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let suite = Suite::new("people").expect(in_range("age", 18..=99));
    let one = dir.path().join("one.parquet");
    let same = QuarantineFiles { clean: one.clone(), bad: one };
    assert!(quarantine(&data(), &suite, same).is_err());
    let clean = dir.path().join("one.parquet");
    let bad = dir.path().join(".").join("..").join(dir.path().file_name().unwrap());
    let other_words = QuarantineFiles { clean, bad: bad.join("one.parquet") };
    assert!(quarantine(&data(), &suite, other_words).is_err());
    let error = quarantine(&data(), &suite, files(&dir.path().join("no"))).unwrap_err();
    assert!(error.to_string().contains("clean.parquet"), "{error}");
}

/// A source whose rows stand in this file.
#[derive(Debug)]
struct InFile(PathBuf, MemorySource);

impl DataSource for InFile {
    fn schema(&self) -> SchemaRef {
        self.1.schema()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let rows = self.1.partitions()?[0].rows.unwrap();
        Ok(vec![Partition::new(self.0.display().to_string()).with_rows(rows)])
    }

    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        self.1.read(partition, projection, batch_size)
    }
}

#[test]
fn a_file_of_the_source_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let suite = Suite::new("people").expect(in_range("age", 18..=99));
    for taken in ["clean.parquet", "bad.parquet"] {
        let path = dir.path().join(taken);
        std::fs::write(&path, b"the only copy").unwrap();
        let source = InFile(dir.path().join(".").join(taken), data());
        let error = quarantine(&source, &suite, files(dir.path())).unwrap_err();
        assert!(error.to_string().contains("other files than those of the source"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"the only copy");
    }
}

/// A disk of 2 MiB, where the system lets us make one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |command: &str, arguments: &[&str]| {
        std::process::Command::new(command)
            .args(arguments)
            .arg(dir.path())
            .output()
            .is_ok_and(|o| o.status.success())
    };
    if !mount("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs"]) {
        println!("skipped: mounting a small disk is not allowed here");
        return;
    }
    let files = files(dir.path());
    std::fs::write(&files.clean, "old clean").unwrap();
    std::fs::write(&files.bad, "old bad").unwrap();
    // Noise, so that it does not compress: 8 MB.
    let noise = (0..2_000_000_u32).map(|i| i.wrapping_mul(2_654_435_761).rotate_left(13) as i32);
    let rows = batch! { "age" => noise.collect::<Int32Array>() }.unwrap();
    let suite = Suite::new("people").expect(in_range("age", 0..));
    let result = quarantine(&MemorySource::from(rows), &suite, files.clone());
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    let kept = (std::fs::read(&files.clean), std::fs::read(&files.bad));
    assert!(mount("umount", &[]), "the small disk goes away");
    let error = result.unwrap_err().to_string();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!((kept.0.unwrap(), kept.1.unwrap()), (b"old clean".to_vec(), b"old bad".to_vec()));
    assert_eq!(left, 2, "no temporary file is left");
}

/// What the killed process does; without its environment it is no test at all.
#[test]
fn child() {
    let Ok(directory) = std::env::var("MLOPS_QUARANTINE_CHILD") else { return };
    let suite = Suite::new("people").expect(in_range("age", 0..));
    // Run n has n rows of each side more, all of the value n.
    for n in 1..1_000_000 {
        let ages = (0..2000 + 2 * n).map(|i| if i % 2 == 0 { n } else { -n });
        let rows = batch! { "age" => ages.collect::<Int32Array>() }.unwrap();
        let _ =
            quarantine(&MemorySource::from(rows), &suite, files(Path::new(&directory))).unwrap();
    }
}

#[test]
fn killed_at_any_instant_a_clean_file_is_whole_and_of_the_run_of_the_bad_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let mut seen = 0;
    for kill in 0..20_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child"])
            .env("MLOPS_QUARANTINE_CHILD", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 + kill * 37 % 101));
        child.kill().unwrap();
        child.wait().unwrap();
        if !files.clean.exists() {
            continue;
        }
        seen += 1;
        let (clean, bad) = (ages(&read(&files.clean)), ages(&read(&files.bad)));
        let n = clean[0].unwrap();
        assert_eq!(clean.len(), 1000 + n as usize);
        assert_eq!(bad.len(), clean.len(), "both of run {n}");
        assert!(clean.iter().all(|v| *v == Some(n)) && bad.iter().all(|v| *v == Some(-n)));
    }
    assert!(seen > 0, "some of the kills came after the first run");
}

#[cfg(unix)]
#[test]
fn a_source_is_not_written_over_by_another_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    std::fs::write(&files.clean, "the source").unwrap();
    let link = dir.path().join("source.parquet");
    std::os::unix::fs::symlink(&files.clean, &link).unwrap();
    let source = data().named(link.to_str().unwrap());
    let suite = Suite::new("people").expect(in_range("age", 18..=99));
    let error = quarantine(&source, &suite, files.clone()).unwrap_err();
    assert!(error.to_string().contains("other files than those of the source"), "{error}");
    assert_eq!(std::fs::read_to_string(&files.clean).unwrap(), "the source");
}
