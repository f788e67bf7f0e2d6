//! Files that change, vanish, or are none, between being opened and being read.

use std::fs::{File, FileTimes};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mlops_core::arrow::array::{Int64Array, RecordBatch};
use mlops_core::arrow::datatypes::{DataType, Field, Schema};
use mlops_core::{DataSourceExt, MemorySource, batch};
use mlops_data::{CsvOptions, CsvSink, IpcSink, ParquetSink, Sink, open, write_all};

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
