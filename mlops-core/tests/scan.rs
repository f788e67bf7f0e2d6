//! Scans: progress, cancellation, order, errors; and the views of columns.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use mlops_core::arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Int8Array, Int32Array, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray,
    StringViewArray, TimestampMillisecondArray, UInt64Array,
};
use mlops_core::arrow::datatypes::SchemaRef;
use mlops_core::bytes::state_to_bytes;
use mlops_core::states::{NumericSummary, RowCount};
use mlops_core::{
    Analyzer, Batches, Cancel, Categories, DataSource, DataSourceExt, Error, MemorySource,
    Partition, Plan, Progress, Result, Rows, Scan, Settled, State, Statistics, batch, conformance,
    to_numbers,
};

fn rows(n: i64) -> RecordBatch {
    batch! {
        "a" => Int64Array::from_iter_values(0..n),
        "b" => StringArray::from_iter_values((0..n).map(|i| format!("b{}", i % 3))),
    }
    .unwrap()
}

#[test]
fn memory_keeps_the_contract_of_a_source() {
    conformance::data_source(&MemorySource::from(rows(10)));
    conformance::data_source(&MemorySource::from(rows(0)));
    let two = MemorySource::new(rows(1).schema(), [rows(3), rows(0), rows(4)]).unwrap();
    conformance::data_source(&two);
    conformance::data_source(&(Arc::new(two) as Arc<dyn DataSource>));
    let large = MemorySource::from(rows(MemorySource::PARTITION_ROWS as i64 + 5));
    assert_eq!(large.partitions().unwrap().len(), 2);
    let other = batch! { "c" => Int64Array::from(vec![1]) }.unwrap();
    assert!(MemorySource::new(rows(1).schema(), [other]).is_err());
}

#[test]
fn progress_reaches_its_totals() {
    let source = MemorySource::new(rows(1).schema(), (0..5).map(|_| rows(1000))).unwrap();
    let seen = Mutex::new(Vec::new());
    let listen = |p: &Progress| seen.lock().unwrap().push(*p);
    source.scan().batch_size(100).on_progress(&listen).run(&RowCount).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() >= 50);
    assert!(seen.iter().all(|p| p.rows <= 5000 && p.rows_total == Some(5000)));
    assert_eq!(seen.iter().map(|p| p.rows).max(), Some(5000));
    assert_eq!(seen.iter().map(|p| p.partitions).max(), Some(5));
    assert_eq!(seen.iter().filter_map(Progress::fraction).fold(0.0, f64::max), 1.0);
}

#[test]
fn a_scan_stops_when_asked() {
    let source = MemorySource::from(rows(100_000));
    let cancel = Cancel::new();
    let stop = |p: &Progress| {
        if p.rows > 500 {
            cancel.cancel();
        }
    };
    let scan = source.scan().batch_size(100).on_progress(&stop).cancel(&cancel);
    assert!(scan.run(&RowCount).unwrap_err().is_cancelled());
}

#[derive(Debug)]
struct Watch(MemorySource, Mutex<Vec<Option<Vec<usize>>>>);
impl DataSource for Watch {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
    fn partitions(&self) -> Result<Vec<Partition>> {
        self.0.partitions()
    }
    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        self.1.lock().unwrap().push(projection.map(<[usize]>::to_vec));
        self.0.read(partition, projection, batch_size)
    }
}

#[test]
fn origins_by_themselves_merge_to_the_whole() {
    #[derive(Debug)]
    struct Files(Vec<MemorySource>, Mutex<Vec<usize>>);
    impl DataSource for Files {
        fn schema(&self) -> SchemaRef {
            self.0[0].schema()
        }
        fn partitions(&self) -> Result<Vec<Partition>> {
            self.0.iter().map(|file| Ok(file.partitions()?.remove(0))).collect()
        }
        fn read(&self, at: usize, columns: Option<&[usize]>, size: usize) -> Result<Batches> {
            self.1.lock().unwrap().push(at);
            self.0[at].read(0, columns, size)
        }
    }
    let file = |i: i64| MemorySource::from(rows(i + 1)).named(format!("{}", i % 3));
    let files = Files((0..5).map(file).collect(), Mutex::default());
    let bytes = |state: &<NumericSummary as Analyzer>::State| {
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        bytes
    };
    let analyzer = NumericSummary::new("a");
    let whole = files.scan().state(&analyzer).unwrap();
    files.1.lock().unwrap().clear();
    let states = Mutex::new(Vec::new());
    let totals = Mutex::new(Vec::new());
    let listen = |p: &Progress| totals.lock().unwrap().push((p.rows_total, p.partitions_total));
    let keep = |name: &str, state| {
        states.lock().unwrap().push((name.to_owned(), state));
        Ok(())
    };
    let scan = files.scan().on_progress(&listen);
    let mut merged = scan.by_origin(&analyzer, |name| name != "1", keep).unwrap();
    let mut read = std::mem::take(&mut *files.1.lock().unwrap());
    read.sort_unstable();
    assert_eq!(read, [0, 2, 3], "the partitions of 1 are left alone");
    assert!(totals.lock().unwrap().iter().all(|t| *t == (Some(1 + 3 + 4), Some(3))));
    files.scan().by_origin(&analyzer, |name| name == "1", keep).unwrap();
    let mut states = states.into_inner().unwrap();
    states.sort_by(|a, b| b.0.cmp(&a.0));
    assert_eq!(states.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["2", "1", "0"]);
    for (_, state) in states {
        merged.merge(state).unwrap();
    }
    assert_eq!(bytes(&merged), bytes(&whole));
    assert!(files.scan().by_origin(&NumericSummary::new("z"), |_| true, |_, _| Ok(())).is_err());
}

#[test]
fn only_the_columns_that_are_asked_for_are_read() {
    let watch = Watch(MemorySource::from(rows(5)), Mutex::default());
    watch.measure(&(NumericSummary::new("a"), RowCount)).unwrap();
    watch.measure(&RowCount).unwrap();
    assert_eq!(*watch.1.lock().unwrap(), [Some(vec![0]), Some(vec![])]);
}

/// Knows how many rows there are, and tells what is read of it.
#[derive(Debug)]
struct Counted(Watch);
impl DataSource for Counted {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
    fn partitions(&self) -> Result<Vec<Partition>> {
        self.0.partitions()
    }
    fn read(
        &self,
        partition: usize,
        projection: Option<&[usize]>,
        batch_size: usize,
    ) -> Result<Batches> {
        self.0.read(partition, projection, batch_size)
    }
    fn statistics(&self, partition: usize, _: Option<&[usize]>) -> Result<Option<Statistics>> {
        // Of the last nothing is known.
        let partitions = self.partitions()?;
        let rows = partitions.get(partition).and_then(|p| p.rows);
        Ok((partition + 1 < partitions.len()).then(|| Statistics::new(rows.unwrap_or(0))))
    }
}

#[test]
fn what_is_settled_is_not_read() {
    let pieces = [rows(5), rows(3), rows(2)];
    let memory = MemorySource::new(rows(1).schema(), pieces).unwrap();
    let source: Arc<dyn DataSource> = Arc::new(Counted(Watch(memory.clone(), Mutex::default())));
    conformance::data_source(&source);
    let counted = Counted(Watch(memory.clone(), Mutex::default()));
    let reads = || std::mem::take(&mut *counted.0.1.lock().unwrap());
    // One by itself, several, a plan in a plan.
    assert_eq!(counted.measure(&RowCount).unwrap(), 10);
    assert_eq!(reads(), [Some(vec![])]);
    assert_eq!(counted.measure(&(RowCount, RowCount)).unwrap(), (10, 10));
    assert_eq!(reads(), [Some(vec![])]);
    assert_eq!(counted.measure(&(RowCount, NumericSummary::new("a"))).unwrap().0, 10);
    assert_eq!(reads(), [Some(vec![0]), Some(vec![0]), Some(vec![0])]);
    let mut inner = Plan::new();
    let inner_rows = inner.add(RowCount);
    let mut plan = Plan::new();
    let (inner, n) = (plan.add(inner), plan.add(RowCount));
    let measured = counted.measure(&plan).unwrap();
    assert_eq!(*measured.get(&inner).unwrap().get(&inner_rows).unwrap(), 10);
    let settled = measured.settled(&n).unwrap();
    assert_eq!((settled.partitions, settled.rows), (2, 8));
    assert_eq!(measured.settled(&inner).unwrap(), settled);
    assert_eq!(reads(), [Some(vec![])]);

    // Those that are left see their own columns only; the result is the same bits.
    let mut plan = Plan::new();
    let (n, a) = (plan.add(RowCount), plan.add(NumericSummary::new("a")));
    let missing = plan.add(NumericSummary::new("z"));
    let seen = Mutex::new(Progress::default());
    let listen = |p: &Progress| *seen.lock().unwrap() = *p;
    let measured = counted.scan().on_progress(&listen).run(&plan).unwrap();
    assert_eq!(reads(), [Some(vec![0]), Some(vec![0]), Some(vec![0])]);
    assert_eq!((*measured.get(&n).unwrap(), measured.get(&a).unwrap().rows), (10, 10));
    assert!(measured.get(&missing).is_err());
    assert_eq!(measured.settled(&n).unwrap(), settled);
    assert_eq!(measured.settled(&a).unwrap(), Settled::default());
    let bits = |scan: Scan<'_>| state_to_bytes(&plan, &scan.state(&plan).unwrap()).unwrap();
    let read = bits(memory.scan());
    assert_eq!(bits(counted.scan()), read);
    assert_eq!(bits(counted.scan().without_statistics()), read);
    assert_eq!(bits(source.scan()), read);
    let by_itself = counted.scan().without_statistics().run(&plan).unwrap();
    assert_eq!(by_itself.settled(&n).unwrap(), Settled::default());
    assert!(by_itself.settled(&inner).is_err(), "a handle of another plan");
    drop(reads());
    // What is settled counts as progress.
    let seen = Mutex::new(Progress::default());
    let listen = |p: &Progress| *seen.lock().unwrap() = *p;
    counted.scan().on_progress(&listen).run(&RowCount).unwrap();
    let seen = *seen.lock().unwrap();
    assert_eq!((seen.rows, seen.partitions), (10, 3));
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(counted.scan().cancel(&cancel).run(&RowCount).unwrap_err().is_cancelled());
}

#[test]
fn a_missing_column_is_an_error_on_an_empty_source_too() {
    for n in [0, 5] {
        let error = MemorySource::from(rows(n)).measure(&NumericSummary::new("z")).unwrap_err();
        assert!(matches!(error, Error::ColumnNotFound { .. }), "{error}");
        assert!(error.to_string().contains("a, b"), "{error}");
    }
}

#[test]
fn in_order_shows_every_row_with_its_name() {
    let source = MemorySource::new(rows(1).schema(), [rows(3), rows(4)]).unwrap().named("table");
    let mut seen = Vec::new();
    let count = Scan::new(&source)
        .batch_size(2)
        .in_order(&RowCount, |rows| {
            assert_eq!(rows.batch()?.num_columns(), 2);
            seen.extend((0..rows.len()).map(|i| rows.row_id(i).to_string()));
            Ok(())
        })
        .unwrap();
    assert_eq!(count, 7);
    let expected: Vec<_> = (0..7).map(|i| format!("table:{i}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn everything_with_a_number_has_one() {
    let decimal = Decimal128Array::from(vec![Some(1250), None]).with_precision_and_scale(9, 2);
    let columns: Vec<(ArrayRef, f64)> = vec![
        (Arc::new(Int8Array::from(vec![Some(-7), None])), -7.0),
        (Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])), 1.844_674_407_370_955_2e19),
        (Arc::new(Float32Array::from(vec![Some(0.5), None])), 0.5),
        (Arc::new(BooleanArray::from(vec![Some(true), None])), 1.0),
        (Arc::new(Date32Array::from(vec![Some(20_000), None])), 20_000.0),
        (Arc::new(TimestampMillisecondArray::from(vec![Some(1_500), None])), 1_500.0),
        (Arc::new(decimal.unwrap()), 12.5),
        (
            Arc::new(DictionaryArray::new(
                Int8Array::from(vec![Some(0), None]),
                Arc::new(Int32Array::from(vec![9])),
            )),
            9.0,
        ),
    ];
    for (column, expected) in columns {
        let numbers = to_numbers("x", &column).unwrap();
        assert_eq!(numbers.value(0), expected, "{}", column.data_type());
        assert!(numbers.is_null(1), "{}", column.data_type());
    }
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let error = to_numbers("x", &text).unwrap_err().to_string();
    assert!(error.contains("`x`") && error.contains("Utf8"), "{error}");
}

#[test]
fn everything_with_a_text_has_categories() {
    let labels = |column: ArrayRef| -> Vec<Option<String>> {
        let categories = Categories::of("c", &column).unwrap();
        (0..column.len()).map(|i| categories.label(i).map(str::to_owned)).collect()
    };
    let expect = |values: &[Option<&str>]| -> Vec<Option<String>> {
        values.iter().map(|v| v.map(str::to_owned)).collect()
    };
    let text = [Some("b"), None, Some("a"), Some("b"), Some("")];
    let expected = expect(&text);
    assert_eq!(labels(Arc::new(StringArray::from(text.to_vec()))), expected);
    assert_eq!(labels(Arc::new(LargeStringArray::from(text.to_vec()))), expected);
    assert_eq!(labels(Arc::new(StringViewArray::from(text.to_vec()))), expected);
    // A dictionary that holds a value twice, one that no row has, and a null among its values.
    let dictionary = DictionaryArray::new(
        Int32Array::from(vec![Some(0), Some(2), Some(1), Some(3), Some(4), None]),
        Arc::new(StringArray::from(vec![
            Some("b"),
            Some("a"),
            None,
            Some("b"),
            Some(""),
            Some("unused"),
        ])),
    );
    let dictionary: ArrayRef = Arc::new(dictionary);
    assert_eq!(labels(dictionary.clone())[..5], expected[..]);
    let codes = Categories::of("c", &dictionary).unwrap();
    assert_eq!(codes.codes().value(0), codes.codes().value(3), "one label, one code");
    assert_eq!(labels(dictionary.slice(2, 3)), expected[2..]);
    assert_eq!(
        labels(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        expect(&[Some("true"), None, Some("false")])
    );
    assert_eq!(
        labels(Arc::new(Int64Array::from(vec![Some(-1), None]))),
        expect(&[Some("-1"), None])
    );
    assert_eq!(labels(Arc::new(Date32Array::from(vec![20_089]))), expect(&[Some("2025-01-01")]));
    assert_eq!(labels(Arc::new(NullArray::new(2))), expect(&[None, None]));
}

#[test]
fn views_are_made_once() {
    let batch = rows(4);
    let rows = Rows::new(&batch);
    let first = std::ptr::from_ref(rows.numbers("a").unwrap());
    assert!(std::ptr::eq(first, rows.numbers("a").unwrap()));
    let first = std::ptr::from_ref(rows.categories("b").unwrap());
    assert!(std::ptr::eq(first, rows.categories("b").unwrap()));
}
