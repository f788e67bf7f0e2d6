//! Parquet out and in: whole, pruned, cut off, damaged.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
    Decimal256Array, DictionaryArray, DurationSecondArray, Float32Array, Float64Array, Int8Array,
    Int64Array, IntervalYearMonthArray, ListArray, NullArray, RecordBatch, StringArray,
    StringViewArray, StructArray, Time32SecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int8Type, Int64Type, i256};
use mlops_core::states::RowCount;
use mlops_core::{
    DataSource, DataSourceExt, Digest, MemorySource, Plan, RowGroup, RowId, arrow, batch,
    conformance,
};
use mlops_data::{
    FilesSource, Filtered, ParquetSink, ParquetSource, Projected, Prune, Sink, write_all,
};
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
    // A row stands in a group of the file, whether that is read or not.
    let row = |origin: &str, row| RowId { origin: origin.into(), row };
    let origin = path.display().to_string();
    let place = Some(RowGroup { group: 3, row: 4 });
    assert_eq!(source.row_group(&row(&origin, 34)), place);
    let directory = FilesSource::open(dir.path()).unwrap();
    assert_eq!(directory.row_group(&row(&origin, 34)), place);
    assert_eq!(source.row_group(&row(&origin, 100)), None);
    assert_eq!(source.row_group(&row("another", 34)), None);
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

/// A column of every type whose bounds could be told wrongly, in row groups of 16 rows.
fn awkward() -> RecordBatch {
    let n = 96_i64;
    let some = |i: i64| (i % 7 != 0 && !(16..32).contains(&i)).then_some(i);
    let floats = [1.5, f64::NAN, -0.0, 0.0, f64::NEG_INFINITY, 1e300, f64::INFINITY, -5e-324];
    let long = |i: i64| format!("{}é{i}", "z".repeat(80 + i as usize % 3));
    let structs = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Int64, true)),
        Arc::new((0..n).map(some).collect::<Int64Array>()) as ArrayRef,
    )]);
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..n).map(|i| some(i).map(|i| vec![Some(i), None])),
    );
    batch! {
        "int" => (0..n).map(|i| some(i).map(|i| (i - 40) * 1_000_000_007)).collect::<Int64Array>(),
        "whole" => Int64Array::from_iter_values((0..n).map(|i| i % 10 - 5)),
        "tiny" => (0..n).map(|i| some(i).map(|i| (i - 50) as i8)).collect::<Int8Array>(),
        "byte" => (0..n).map(|i| some(i).map(|i| (i * 3) as u8)).collect::<UInt8Array>(),
        "uint32" => (0..n).map(|i| some(i).map(|i| u32::MAX / 96 * i as u32)).collect::<UInt32Array>(),
        "uint" => (0..n).map(|i| some(i).map(|i| u64::MAX / 96 * i as u64)).collect::<UInt64Array>(),
        "float" => (0..n).map(|i| some(i).map(|i| floats[i as usize % 8])).collect::<Float64Array>(),
        "calm" => (0..n).map(|i| some(i).map(|i| i as f64 / 3.0 - 9.0)).collect::<Float64Array>(),
        "single" => (0..n).map(|i| some(i).map(|i| floats[i as usize % 8] as f32)).collect::<Float32Array>(),
        "nan" => Float64Array::from(vec![f64::NAN; 96]),
        "bool" => (0..n).map(|i| some(i).map(|i| i > 50)).collect::<BooleanArray>(),
        "short" => (0..n).map(|i| some(i).map(|i| format!("é{i}"))).collect::<StringArray>(),
        "long" => (0..n).map(|i| some(i).map(long)).collect::<StringArray>(),
        "view" => (0..n).map(|i| some(i).map(long)).collect::<StringViewArray>(),
        "coded" => (0..n).map(|i| some(i).map(|i| ["b", "a", "c"][i as usize % 3])).collect::<DictionaryArray<Int8Type>>(),
        "bytes" => (0..n).map(|i| some(i).map(|i| vec![255 - i as u8; 70])).collect::<BinaryArray>(),
        "price" => (0..n).map(|i| some(i).map(|i| i128::from(i - 60) * 1_000)).collect::<Decimal128Array>().with_precision_and_scale(9, 2).unwrap(),
        "large" => (0..n).map(|i| some(i).map(|i| i128::from(i - 60) << 70)).collect::<Decimal128Array>(),
        "huge" => (0..n).map(|i| some(i).map(|i| i256::from_i128(i128::from(i - 60) << 70))).collect::<Decimal256Array>(),
        "day" => (0..n).map(|i| some(i).map(|i| i as i32 - 70)).collect::<Date32Array>(),
        "date" => (0..n).map(|i| some(i).map(|i| (i - 70) * 86_400_000)).collect::<Date64Array>(),
        "second" => (0..n).map(|i| some(i).map(|i| i - 70)).collect::<TimestampSecondArray>(),
        "nano" => (0..n).map(|i| some(i).map(|i| i - 70)).collect::<TimestampNanosecondArray>().with_timezone("+02:00"),
        "time" => (0..n).map(|i| some(i).map(|i| i as i32 * 7)).collect::<Time32SecondArray>(),
        "took" => (0..n).map(|i| some(i).map(|i| i - 60)).collect::<DurationSecondArray>(),
        "months" => (0..n).map(|i| some(i).map(|i| i as i32)).collect::<IntervalYearMonthArray>(),
        "none" => Int64Array::new_null(96),
        "null" => NullArray::new(96),
        "struct" => structs,
        "list" => lists,
    }
    .unwrap()
}

#[test]
fn what_a_footer_says_holds_for_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("awkward.parquet");
    let batch = awkward();
    let sink = ParquetSink::with_row_groups(&path, batch.schema(), 16).unwrap();
    write_all(&MemorySource::from(batch.clone()), Box::new(sink)).unwrap();
    let source = ParquetSource::open(&path).unwrap();
    conformance::data_source(&source);
    // Row group by row group, as pruning leaves them.
    for at in [-5, 0, 4] {
        let bound = Prune::equal("whole", &Int64Array::from(vec![at]));
        conformance::data_source(&ParquetSource::pruned(&path, &[bound]).unwrap());
    }
    let known = source.statistics(0, None).unwrap().unwrap();
    assert_eq!(known.rows(), 96);
    let column = |name: &str| known.column(name).unwrap();
    for name in [
        "int", "tiny", "byte", "uint32", "uint", "bool", "price", "large", "day", "nano", "time",
        "short",
    ] {
        let known = column(name);
        let nulls = batch.column_by_name(name).unwrap().null_count() as u64;
        assert_eq!(known.null_count, Some(nulls), "{name}");
        assert!(known.min.as_ref().unwrap().exact && known.max.as_ref().unwrap().exact, "{name}");
    }
    for name in ["calm", "view", "coded"] {
        assert!(column(name).min.is_some() && column(name).max.is_some(), "{name}");
    }
    // A text that was cut is a bound, but nobody's value.
    assert!(!column("long").max.as_ref().unwrap().exact);
    // No value, no bound; nothing but NaN, no bound, and no null either.
    let none = column("none");
    assert_eq!((none.null_count, none.min.is_none(), none.max.is_none()), (Some(96), true, true));
    let nan = column("nan");
    assert_eq!((nan.null_count, nan.min.is_none(), nan.max.is_none()), (Some(0), true, true));
    assert!(known.column("struct").is_none() && known.column("list").is_none());
    assert!(known.column("no such").is_none());
    // Only what is asked for.
    let some = source.statistics(0, Some(&[1])).unwrap().unwrap();
    assert!(some.column("whole").is_some() && some.column("int").is_none());

    // Another file by now: nothing is known of it.
    let counted = source.measure(&RowCount).unwrap();
    assert_eq!(counted, 96);
    let mut plan = Plan::new();
    let n = plan.add(RowCount);
    let measured = source.measure(&plan).unwrap();
    assert_eq!(measured.settled(&n).unwrap().rows, 96);
    std::fs::write(&path, "another").unwrap();
    assert!(source.measure(&RowCount).unwrap_err().to_string().contains("awkward"));
}

#[test]
fn narrowed_sources_know_what_is_still_true() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), 50, 10);
    std::fs::copy(&path, dir.path().join("more.parquet")).unwrap();
    let files: Arc<dyn DataSource> = Arc::new(FilesSource::open(dir.path()).unwrap());
    conformance::data_source(&files);
    let known = files.statistics(1, None).unwrap().unwrap();
    assert_eq!((known.rows(), known.column("x").unwrap().null_count), (50, Some(10)));
    let projected = Projected::to(files.clone(), &["x"]).unwrap();
    conformance::data_source(&projected);
    let known = projected.statistics(0, Some(&[0])).unwrap().unwrap();
    assert!(known.column("x").is_some() && known.column("id").is_none());
    assert!(projected.statistics(0, Some(&[1])).is_err());
    let some = Filtered::new(files, "some", &["x"], |r| Ok(vec![false; r.len()].into())).unwrap();
    conformance::data_source(&some);
    assert!(some.statistics(0, None).unwrap().is_none());
    assert_eq!(some.measure(&RowCount).unwrap(), 0);
}
