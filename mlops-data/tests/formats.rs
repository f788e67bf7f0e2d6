//! The same rows through every format: the same content, the same digest.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use arrow::array::{
    BooleanArray, Date32Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int32Type};
use mlops_core::{DataSource, DataSourceExt, Digest, MemorySource, arrow, batch, conformance};
use mlops_data::{
    CsvSink, DatasetDigest, IpcSink, IpcSource, ParquetSink, Sink, digest, open, write_all,
};
use proptest::prelude::*;

fn rows() -> RecordBatch {
    batch! {
        "n" => Int64Array::from(vec![Some(1), None, Some(i64::MIN), Some(3)]),
        "x" => Float64Array::from(vec![Some(-0.0), Some(1e-300), None, Some(0.1 + 0.2)]),
        "ok" => BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]),
        "day" => Date32Array::from(vec![Some(0), Some(-1), Some(19_000), None]),
        "at" => TimestampMicrosecondArray::from(vec![Some(1), None, Some(-1), Some(1_700_000_000_000_000)]),
        "text" => StringArray::from(vec![Some(""), None, Some("a,\"b\"\r\nc"), Some("Ø")]),
    }
    .unwrap()
}

#[test]
fn every_format_gives_the_rows_back() {
    let dir = tempfile::tempdir().unwrap();
    let memory = MemorySource::from(rows());
    let expected = digest(&memory).unwrap();
    for name in ["rows.csv", "rows.parquet", "rows.arrow"] {
        let path = dir.path().join(name);
        let sink: Box<dyn Sink> = match name {
            "rows.csv" => Box::new(CsvSink::create(&path, memory.schema()).unwrap()),
            "rows.parquet" => Box::new(ParquetSink::create(&path, memory.schema()).unwrap()),
            _ => Box::new(IpcSink::create(&path, memory.schema()).unwrap()),
        };
        assert!(!path.exists());
        let written = write_all(&memory, sink).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((written.bytes, written.digest), (bytes.len() as u64, Digest::of(bytes)));
        let source = open(&path).unwrap();
        conformance::data_source(&source);
        assert_eq!(source.collect().unwrap(), rows(), "{name}");
        assert_eq!(digest(&source).unwrap(), expected, "{name}");
    }
}

#[test]
fn an_arrow_file_of_many_batches_with_dictionaries() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.feather");
    let batch = |labels: Vec<Option<&str>>| {
        let n = labels.len() as i64;
        let labels: DictionaryArray<Int32Type> = labels.into_iter().collect();
        batch! { "c" => labels, "n" => Int64Array::from_iter_values(0..n) }.unwrap()
    };
    let one = batch(vec![Some("a"), None, Some("b")]);
    let mut sink = Box::new(IpcSink::create(&path, one.schema()).unwrap());
    for _ in 0..5 {
        sink.write(&one).unwrap();
    }
    assert_eq!(sink.finish().unwrap().rows, 15);
    let source = IpcSource::open(&path).unwrap();
    conformance::data_source(&source);
    let all = source.collect().unwrap();
    assert_eq!(all, concat_batches(&one.schema(), &vec![one; 5]).unwrap());
    let twice = source.read(0, Some(&[1, 0, 1]), 100).unwrap().next().unwrap().unwrap();
    assert_eq!(twice.num_columns(), 3);
}

#[test]
fn one_column_keeps_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.csv");
    let rows = batch! { "n" => Int64Array::from(vec![Some(1), None, Some(2)]) }.unwrap();
    let sink = CsvSink::create(&path, rows.schema()).unwrap();
    write_all(&MemorySource::from(rows.clone()), Box::new(sink)).unwrap();
    assert_eq!(open(&path).unwrap().collect().unwrap(), rows);
}

#[test]
fn what_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.csv"), "a,b\n1,2\n1,x\n").unwrap();
    let source = mlops_data::CsvOptions::new().infer_rows(1).open(dir.path().join("bad.csv"));
    let source = source.unwrap();
    let sink = CsvSink::create(dir.path().join("out.csv"), source.schema()).unwrap();
    let error = write_all(&source, Box::new(sink)).unwrap_err().to_string();
    assert!(error.contains("column `b`"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let nowhere = dir.path().join("no/such/out.csv");
    assert!(CsvSink::create(nowhere, source.schema()).is_err());
}

#[test]
fn the_digest_is_of_the_content() {
    let batch = rows();
    conformance::analyzer(&DatasetDigest::of(&batch.schema()), &batch);
    let of = |batch: &RecordBatch| digest(&MemorySource::from(batch.clone())).unwrap();
    let base = of(&batch);
    assert_ne!(of(&batch.slice(0, 3)), base);
    assert_ne!(of(&batch.project(&[1, 0, 2, 3, 4, 5]).unwrap()), base);
    // A dictionary holds the same text.
    let column = |kind: &DataType| {
        let labels = cast(batch.column(5), kind).unwrap();
        of(&RecordBatch::try_from_iter([("text", labels)]).unwrap())
    };
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    assert_eq!(column(&DataType::Utf8), column(&dictionary));
    assert_eq!(column(&DataType::Utf8), column(&DataType::LargeUtf8));
    // From golden/make_digest.py. Stored with model versions: the value is not to change.
    let known = batch! { "n" => Int64Array::from(vec![1, 2]), "t" => StringArray::from(vec![Some("a"), None]) };
    assert_eq!(
        of(&known.unwrap()).to_string(),
        "sha256:111cae63919c61dba275a0742b29f158d0dc42f6653de456eb4aca2df24cb486"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Damaged bytes are an error or rows; never a panic, never another number of rows.
    #[test]
    fn damaged_arrow_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep in prop_oneof![Just(None), any::<prop::sample::Index>().prop_map(Some)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.arrow");
        let memory = MemorySource::from(rows());
        write_all(&memory, Box::new(IpcSink::create(&path, memory.schema()).unwrap())).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let cut = keep.map(|keep| keep.index(bytes.len()));
        if let Some(cut) = cut {
            bytes.truncate(cut);
        }
        std::fs::write(&path, bytes).unwrap();
        let opened = IpcSource::open(&path);
        prop_assert!(cut.is_none() || opened.is_err());
        if let Ok(source) = opened {
            let said: u64 = source.partitions().unwrap().iter().map(|p| p.rows.unwrap()).sum();
            let schema: Arc<_> = source.schema();
            let read: mlops_core::Result<Vec<_>> =
                (0..source.partitions().unwrap().len())
                    .flat_map(|i| source.read(i, None, 10).map(Iterator::collect::<Vec<_>>).unwrap_or_default())
                    .collect();
            if let Ok(batches) = read {
                let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
                prop_assert!(rows as u64 <= said, "{} rows of {:?}", rows, schema);
            }
        }
    }
}
