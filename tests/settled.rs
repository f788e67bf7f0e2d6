//! What the footer of a Parquet file proves is not read, and the answer says how much that was.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;

use mlops::arrow::array::{
    Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use mlops::arrow::datatypes::SchemaRef;
use mlops::core::{
    Batches, DataSource, MemorySource, Partition, Result, Statistics, Verdict, batch,
};
use mlops::data::{ParquetSink, ParquetSource, write_all};
use mlops::validate::{Suite, Validation, in_range, in_set, not_null, string_length};

/// A file, and which of its partitions were read, each with its columns.
#[derive(Debug)]
struct Counting {
    file: ParquetSource,
    reads: Mutex<Vec<(usize, Vec<usize>)>>,
}

impl DataSource for Counting {
    fn schema(&self) -> SchemaRef {
        self.file.schema()
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        self.file.partitions()
    }

    fn read(&self, at: usize, projection: Option<&[usize]>, rows: usize) -> Result<Batches> {
        self.reads.lock().unwrap().push((at, projection.unwrap().to_vec()));
        self.file.read(at, projection, rows)
    }

    fn statistics(&self, at: usize, projection: Option<&[usize]>) -> Result<Option<Statistics>> {
        self.file.statistics(at, projection)
    }
}

const ROWS: i64 = 4000;

fn rows() -> RecordBatch {
    let all = || 0..ROWS;
    batch! {
        "id" => Int64Array::from_iter_values(all()),
        "x" => Float64Array::from_iter_values(all().map(|i| i as f64)),
        "day" => Date32Array::from_iter_values(all().map(|i| i as i32)),
        "time" => TimestampMicrosecondArray::from_iter_values(all().map(|i| i * 1_000_000)),
        "kind" => StringArray::from_iter_values(all().map(|_| "only")),
        "some" => all().map(|i| (i % 2 == 0).then_some(i)).collect::<Int64Array>(),
    }
    .unwrap()
}

fn check(suite: &Suite, file: &ParquetSource) -> (Validation, Vec<(usize, Vec<usize>)>) {
    let source = Counting { file: file.clone(), reads: Mutex::default() };
    let found = suite.check(&source).unwrap();
    (found, source.reads.into_inner().unwrap())
}

#[test]
fn what_a_footer_proves_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let memory = MemorySource::from(rows());
    let sink = Box::new(ParquetSink::create(&path, memory.schema()).unwrap());
    write_all(&memory, sink).unwrap();
    let file = ParquetSource::open(&path).unwrap();

    let proved = Suite::new("proved")
        .expect(not_null("id"))
        .expect(in_range("id", 0..ROWS))
        .expect(in_range("day", "1970-01-01".."1981-01-01"))
        .expect(in_range("time", "1970-01-01".."1970-01-02"))
        .expect(in_set("kind", ["only", "other"]))
        .expect(string_length("kind", 4..=4))
        .expect(in_range("some", 0..));
    let (found, reads) = check(&proved, &file);
    assert_eq!(found.verdict, Verdict::Pass, "{found}");
    assert_eq!(reads, [], "nothing is decoded");
    for outcome in &found.outcomes {
        assert_eq!(outcome.settled_rows, ROWS as u64, "{}", outcome.expectation);
    }
    // The answers are those of the rows.
    let read = proved.check(&memory).unwrap();
    for (settled, read) in found.outcomes.iter().zip(&read.outcomes) {
        assert_eq!((&settled.finding, &settled.measured), (&read.finding, &read.measured));
        assert_eq!(read.settled_rows, 0);
    }

    // What may fail is read, and no other column with it; floats may hide a NaN.
    let refuted = proved.expect(in_range("id", 1..)).expect(in_range("x", 0.0..));
    let (found, reads) = check(&refuted, &file);
    assert!(
        !reads.is_empty() && reads.iter().all(|(_, columns)| columns[..] == [0, 1]),
        "{reads:?}"
    );
    let [.., refuted, float] = &found.outcomes[..] else { panic!("all are answered") };
    assert_eq!((refuted.settled_rows, float.settled_rows), (0, 0));
    assert_eq!(refuted.finding.rows[0].row, 0);
    assert_eq!(found.outcomes[0].settled_rows, ROWS as u64);
}
