//! Files that change, vanish, or are none, between being opened and being read.

use std::fs::{File, FileTimes};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mlops_core::arrow::array::{Int64Array, RecordBatch};
use mlops_core::arrow::datatypes::{DataType, Field, Schema};
use mlops_core::{DataSource, DataSourceExt, MemorySource, batch, conformance};
use mlops_data::{
    CsvOptions, CsvSink, FilesSource, Filtered, IpcSink, ParquetSink, ParquetSource, Projected,
    Prune, Sink, open, write_all,
};

fn rows(first: i64) -> RecordBatch {
    batch! { "x" => Int64Array::from_iter_values(first..first + 100) }.expect("a batch")
}

fn write(path: &Path, first: i64) {
    let schema = rows(0).schema();
    let sink: Box<dyn Sink> = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => Box::new(CsvSink::create(path, schema).expect("a sink")),
        Some("arrow") => Box::new(IpcSink::create(path, schema).expect("a sink")),
        _ => Box::new(ParquetSink::create(path, schema).expect("a sink")),
    };
    write_all(&MemorySource::from(rows(first)), sink).expect("a file");
}

#[test]
fn a_file_that_is_another_by_now_is_not_read_as_the_old_one() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["a.csv", "a.parquet", "a.arrow"] {
        let path = dir.path().join(name);
        write(&path, 100);
        let source = open(&path).expect("a source");
        assert_eq!(source.collect().expect("rows"), rows(100));
        // As long as before, with other values; the clock of the file system may be coarse.
        write(&path, 300);
        let later = SystemTime::now() + Duration::from_secs(10);
        let file = File::options().write(true).open(&path).expect("the file");
        file.set_times(FileTimes::new().set_modified(later)).expect("its time");
        drop(file);
        let error = source.collect().expect_err("another file").to_string();
        assert!(error.contains(name) && error.contains("since"), "{error}");
        std::fs::remove_file(&path).expect("removed");
        let error = source.collect().expect_err("no file").to_string();
        assert!(error.contains(name), "{error}");
        std::fs::create_dir(&path).expect("a directory");
        let error = source.collect().expect_err("a directory").to_string();
        assert!(error.contains(name) && error.contains("directory"), "{error}");
    }
}

#[test]
fn a_fingerprint_is_of_the_file_and_of_how_it_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let print = |source: &dyn DataSource| {
        conformance::data_source(source);
        source.fingerprint(&source.partitions().expect("partitions")[0].origin)
    };
    for name in ["a.csv", "a.parquet", "a.arrow"] {
        let path = dir.path().join(name);
        write(&path, 100);
        let first = open(&path).expect("a source");
        assert!(print(&*first).is_some());
        assert_eq!(first.fingerprint("another"), None);
        assert_eq!(print(&*open(&path).expect("a source")), print(&*first));
        // Other bytes, as many, with the time that the file had: the entry's own time tells.
        let changed = path.metadata().and_then(|m| m.modified()).expect("its time");
        std::thread::sleep(Duration::from_millis(30));
        write(&path, 300);
        let file = File::options().write(true).open(&path).expect("the file");
        file.set_times(FileTimes::new().set_modified(changed)).expect("its time");
        #[cfg(unix)]
        assert_ne!(print(&*open(&path).expect("a source")), print(&*first), "{name}");
    }
    let all: Arc<dyn DataSource> =
        Arc::new(FilesSource::open(dir.path().join("a.?????*")).expect("two files"));
    let one = open(dir.path().join("a.arrow")).expect("a source");
    assert_eq!(print(&*all), print(&*one));
    assert_eq!(all.fingerprint("another"), None);
    // Some of the rows are other rows; some of the columns may be other columns.
    let some = Filtered::new(all.clone(), "some", &["x"], |r| Ok(vec![true; r.len()].into()));
    assert_eq!(print(&some.expect("some rows")), None);
    let projected = print(&Projected::to(all.clone(), &["x"]).expect("a column"));
    assert!(projected.is_some() && projected != print(&*all));

    let path = dir.path().join("a.csv");
    let other = CsvOptions::new().null_values(["350"]).open(&path).expect("a source");
    assert_ne!(print(&other), print(&*open(&path).expect("a source")));
    let path = dir.path().join("a.parquet");
    let sink = ParquetSink::with_row_groups(&path, rows(0).schema(), 10).expect("a sink");
    write_all(&MemorySource::from(rows(0)), Box::new(sink)).expect("a file");
    let bound = Prune::at_most("x", &Int64Array::from(vec![15]));
    let pruned = ParquetSource::pruned(&path, &[bound]).expect("a source");
    assert_ne!(print(&pruned), print(&*open(&path).expect("a source")));
}

#[test]
fn what_is_no_file_is_not_an_empty_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
    let error = CsvOptions::new().schema(schema.clone()).open(dir.path()).expect_err("no file");
    assert!(error.to_string().contains("directory"), "{error}");
    // Says that it has no bytes, and has many.
    #[cfg(target_os = "linux")]
    {
        let names = CsvOptions::new().header(false).delimiter(b'\0');
        let error = names.open("/proc/self/limits").expect_err("no length").to_string();
        assert!(error.contains("/proc/self/limits"), "{error}");
        let error = CsvOptions::new().schema(schema).open("/dev/zero").expect_err("no file");
        assert!(error.to_string().contains("/dev/zero"), "{error}");
    }
    for name in ["empty.csv", "empty.parquet", "empty.arrow"] {
        let path = dir.path().join(name);
        File::create(&path).expect("a file");
        let error = open(&path).expect_err("nothing in it").to_string();
        assert!(error.contains(name), "{error}");
    }
}
