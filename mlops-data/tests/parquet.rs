//! Parquet out and in: whole, pruned, cut off, damaged.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use mlops_core::{DataSource, DataSourceExt, Digest, MemorySource, arrow, batch, conformance};
use mlops_data::{ParquetSink, ParquetSource, Prune, Sink, write_all};
use proptest::prelude::*;

fn rows(n: i64) -> RecordBatch {
    batch! {
        "id" => Int64Array::from_iter_values(0..n),
        "x" => (0..n).map(|i| (i % 5 != 0).then_some(i as f64 / 3.0)).collect::<Float64Array>(),
        "city" => (0..n).map(|i| Some(["Oslo", "Bergen"][i as usize % 2])).collect::<StringArray>(),
    }
    .unwrap()
}

fn write(dir: &Path, n: i64, group: usize) -> PathBuf {
    let path = dir.join("rows.parquet");
    let batch = rows(n);
    let sink = ParquetSink::with_row_groups(&path, batch.schema(), group).unwrap();
    let written = write_all(&MemorySource::from(batch), Box::new(sink)).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((written.rows, written.bytes), (n as u64, bytes.len() as u64));
    assert_eq!(written.digest, Digest::of(bytes));
    path
}

#[test]
fn what_goes_in_comes_out() {
    let dir = tempfile::tempdir().unwrap();
    let source = ParquetSource::open(write(dir.path(), 100, 7)).unwrap();
    conformance::data_source(&source);
    assert_eq!(source.collect().unwrap(), rows(100));
    // Columns in the order asked for, one of them twice.
    let batch = source.read(0, Some(&[2, 0, 2]), 100).unwrap().next().unwrap().unwrap();
    let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["city", "id", "city"]);
    assert!(source.read(0, Some(&[3]), 100).is_err());
    let none = ParquetSource::open(write(dir.path(), 0, 7)).unwrap();
    conformance::data_source(&none);
}

#[test]
fn pruning_keeps_row_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), 100, 10);
    let at_least = Prune::at_least("id", &Int64Array::from(vec![25]));
    let at_most = Prune::at_most("id", &Int64Array::from(vec![44]));
    let source = ParquetSource::pruned(&path, &[at_least, at_most]).unwrap();
    conformance::data_source(&source);
    assert_eq!(source.row_groups(), (3, 10));
    let partition = &source.partitions().unwrap()[0];
    assert_eq!((partition.first_row, partition.rows), (20, Some(30)));
    assert_eq!(source.collect().unwrap(), rows(100).slice(20, 30));
    let equal = Prune::equal("city", &StringArray::from(vec!["Tromsø"]));
    assert_eq!(ParquetSource::pruned(&path, &[equal]).unwrap().row_groups().0, 0);
    let missing = Prune::equal("town", &StringArray::from(vec!["Oslo"]));
    let error = ParquetSource::pruned(&path, &[missing]).unwrap_err().to_string();
    assert!(error.contains("column `town`"), "{error}");
}

#[test]
fn a_file_that_was_cut_off_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), 100, 10);
    let whole = std::fs::read(&path).unwrap();
    for len in [0, 3, 11, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..len]).unwrap();
        let error = ParquetSource::open(&path).unwrap_err().to_string();
        assert!(error.contains("rows.parquet") && error.contains("whole Parquet"), "{error}");
    }
}

#[test]
fn a_sink_that_is_dropped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.parquet");
    std::fs::write(&path, "before").unwrap();
    let mut sink = ParquetSink::create(&path, rows(1).schema()).unwrap();
    sink.write(&rows(10)).unwrap();
    let other = batch! { "y" => Int64Array::from(vec![1]) }.unwrap();
    assert!(sink.write(&other).unwrap_err().to_string().contains("y: Int64"));
    drop(sink);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Damaged bytes are an error or rows; never a panic, never another number of rows.
    #[test]
    fn damaged_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), 40, 10);
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        std::fs::write(&path, bytes).unwrap();
        if let Ok(source) = ParquetSource::open(&path) {
            let said: u64 = source.partitions().unwrap().iter().map(|p| p.rows.unwrap()).sum();
            if let Ok(batch) = source.collect() {
                prop_assert_eq!(batch.num_rows() as u64, said);
            }
        }
    }
}
