//! Sources that break their word, states that lie, labels and numbers of awkward types: an error
//! that says where, or the right number; never a panic.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    Array, ArrayRef, BooleanArray, Date64Array, Decimal128Array, Decimal256Array, DictionaryArray,
    DurationSecondArray, Float64Array, Int8Array, Int32Array, Int64Array, IntervalYearMonthArray,
    NullArray, RecordBatch, StringArray, Time32SecondArray, Time64MicrosecondArray,
    TimestampSecondArray,
};
use mlops_core::arrow::datatypes::{DataType, Field, Schema, SchemaRef, i256};
use mlops_core::bytes::{put_len, put_str, put_u64};
use mlops_core::states::{
    CategoryCounts, ConfusionCounts, Histogram, NumericSummary, Quantiles, RowCount,
};
use mlops_core::{
    Analyzer, Batches, Categories, DataSource, DataSourceExt, Error, MemorySource, Partition,
    Result, Rows, Scan, State, batch, to_numbers,
};

/// Promises a column `x` of 64-bit integers, and gives these batches.
#[derive(Debug)]
struct Liar(Vec<RecordBatch>);

impl DataSource for Liar {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]))
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        // Numbers that overflow when they are added.
        let part = |i| Partition::new("liar").starting_at(u64::MAX - i).with_rows(u64::MAX);
        Ok((0..self.0.len() as u64).map(part).collect())
    }

    fn read(&self, partition: usize, _: Option<&[usize]>, _: usize) -> Result<Batches> {
        Ok(Batches::new([Ok(self.0[partition].clone())]))
    }
}

#[test]
fn a_source_that_breaks_its_word_is_an_error_that_says_where() {
    let good = || batch! { "x" => Int64Array::from(vec![1, 2]) }.unwrap();
    let changed = batch! { "x" => StringArray::from(vec!["1"]) }.unwrap();
    let renamed = batch! { "y" => Int64Array::from(vec![1]) }.unwrap();
    let narrower = good().project(&[]).unwrap();
    for (bad, says) in [(changed, "Utf8"), (renamed, "`y`"), (narrower, "no column")] {
        let source = Liar(vec![good(), bad]);
        let summary = NumericSummary::new("x");
        let errors = [
            source.measure(&summary).map(drop).unwrap_err(),
            source.scan().in_order(&summary, |_| Ok(())).map(drop).unwrap_err(),
            source.collect().map(drop).unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.contains("liar") && text.contains(says), "{text}");
            assert!(text.contains("`x` of type Int64"), "{text}");
        }
    }
    assert_eq!(Liar(vec![good(), good()]).measure(&NumericSummary::new("x")).unwrap().rows, 4);
}

#[test]
fn a_source_of_a_forgotten_type_does_what_every_source_does() {
    let memory = MemorySource::from(batch! { "x" => Int64Array::from(vec![1, 2]) }.unwrap());
    let source: &dyn DataSource = &memory;
    assert_eq!(source.measure(&RowCount).unwrap(), 2);
    assert_eq!(source.collect().unwrap().num_rows(), 2);
    assert_eq!(source.scan().batch_size(1).run(&RowCount).unwrap(), 2);
}

#[test]
fn memory_takes_what_differs_in_words_only() {
    let schema = |nullable| {
        let metadata = [("k".to_owned(), "v".to_owned())].into();
        let field = Field::new("x", DataType::Int64, nullable).with_metadata(metadata);
        Arc::new(Schema::new(vec![field]))
    };
    let some = batch! { "x" => Int64Array::from(vec![1]) }.unwrap();
    let null = batch! { "x" => Int64Array::from(vec![None]) }.unwrap();
    let source = MemorySource::new(schema(false), [some.clone(), some.clone()]).unwrap();
    assert_eq!(source.collect().unwrap().schema(), schema(false));
    assert!(MemorySource::new(schema(true), [some.clone(), null.clone()]).is_ok());
    let error = MemorySource::new(schema(false), [some, null]).unwrap_err().to_string();
    assert!(error.contains("batch 1") && error.contains('x'), "{error}");
    let other = batch! { "x" => StringArray::from(vec!["1"]) }.unwrap();
    let error = MemorySource::new(schema(true), [other]).unwrap_err().to_string();
    assert_eq!(
        error,
        "batch 0: column 1 of a batch: expected `x` of type Int64, found `x` of type Utf8"
    );
}

/// Merged with itself until counts are as large as they get, then counted on.
fn grown<A: Analyzer>(analyzer: &A, bytes: &[u8], rows: &RecordBatch) -> A::Output {
    let mut state = analyzer.decode(&mut { bytes }).unwrap();
    for _ in 0..100 {
        state.merge(state.clone()).unwrap();
    }
    analyzer.update(&mut state, &Rows::new(rows)).unwrap();
    analyzer.finish(state).unwrap()
}

#[test]
fn counts_stop_where_they_can_not_overflow() {
    const MANY: u64 = 1 << 56;
    let rows = batch! {
        "x" => Float64Array::from(vec![Some(1.0), None, Some(f64::NAN)]),
        "t" => StringArray::from(vec![Some("1"), None, Some("0")]),
    }
    .unwrap();
    let counts = |counts: &[u64]| {
        let mut bytes = Vec::new();
        for &n in counts {
            put_u64(&mut bytes, n);
        }
        bytes
    };
    assert!(grown(&RowCount, &counts(&[MANY]), &rows) > MANY);
    assert!(RowCount.decode(&mut counts(&[u64::MAX]).as_slice()).is_err());

    let mut bytes = counts(&[MANY / 8; 4]);
    put_u64(&mut bytes, 3);
    put_len(&mut bytes, 0);
    let confusion = grown(&ConfusionCounts::new("t", "t", "1"), &bytes, &rows);
    assert!(confusion.n() > MANY && !confusion.to_string().is_empty());

    let mut bytes = counts(&[MANY / 2, 0]);
    put_len(&mut bytes, 1);
    put_str(&mut bytes, "1");
    put_u64(&mut bytes, MANY / 2);
    let table = grown(&CategoryCounts::new("t"), &bytes, &rows);
    assert!(table.rows() > MANY && !table.to_string().is_empty());

    let histogram = Histogram::new("x", vec![0.0]).unwrap();
    let counted = grown(&histogram, &counts(&[MANY / 8, 1, 1, 1, 3, MANY / 8, 5, MANY / 4]), &rows);
    assert!(counted.rows() > MANY && counted.cdf().unwrap()[0] <= 1.0);
    assert!(!format!("{counted}{:?}{:?}", counted.right_open(), counted.less_than()).is_empty());

    let ones = Quantiles::new("x");
    let mut state = ones.start();
    ones.update(&mut state, &Rows::new(&rows)).unwrap();
    for _ in 0..100 {
        state.merge(state.clone()).unwrap();
    }
    let table = ones.finish(state).unwrap();
    assert_eq!((table.quantile(0.5), table.n() > MANY), (Some(1.0), true));
}

#[test]
fn numbers_of_every_type() {
    let numbers = |array: &dyn Array| to_numbers("x", array).unwrap();
    let of = |array: &dyn Array| numbers(array).iter().collect::<Vec<_>>();
    let cents = Decimal128Array::from(vec![Some(-125), None]).with_precision_and_scale(9, 2);
    assert_eq!(of(&cents.unwrap()), [Some(-1.25), None]);
    let wide = Decimal256Array::from(vec![i256::from_i128(250)]).with_precision_and_scale(40, 1);
    assert_eq!(of(&wide.unwrap()), [Some(25.0)]);
    assert_eq!(of(&Time32SecondArray::from(vec![7])), [Some(7.0)]);
    assert_eq!(of(&Time64MicrosecondArray::from(vec![8])), [Some(8.0)]);
    assert_eq!(of(&DurationSecondArray::from(vec![9])), [Some(9.0)]);
    assert_eq!(of(&Date64Array::from(vec![86_400_000])), [Some(86_400_000.0)]);
    let zoned = TimestampSecondArray::from(vec![5]).with_timezone("+02:00");
    assert_eq!(of(&zoned), [Some(5.0)]);
    assert_eq!(of(&Int64Array::from(vec![i64::MAX])), [Some(9_223_372_036_854_775_808.0)]);
    assert_eq!(of(&NullArray::new(2)), [None, None]);
    let keys = Int8Array::from(vec![Some(1), Some(0), None]);
    let values: ArrayRef = Arc::new(Decimal128Array::from(vec![Some(3), None]));
    assert_eq!(of(&DictionaryArray::new(keys, values)), [None, Some(3e-10), None]);
    let intervals = IntervalYearMonthArray::from(vec![1]);
    match to_numbers("x", &intervals) {
        Ok(months) => assert_eq!(months.value(0), 1.0),
        Err(error) => assert!(error.to_string().contains('x'), "{error}"),
    }
}

#[test]
fn labels_that_are_numbers_are_compared_as_numbers() {
    let whole: ArrayRef = Arc::new(Int32Array::from(vec![1, 0, 1, 0]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, -0.0, 1.0, 0.0]));
    let cents = Decimal128Array::from(vec![100, 0, 100, 0]).with_precision_and_scale(9, 2);
    let cents: ArrayRef = Arc::new(cents.unwrap());
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true, false]));
    for positive in ["1", "1.0"] {
        for (i, y_true) in [&whole, &floats, &cents, &flags].into_iter().enumerate() {
            if i == 3 && positive == "1.0" {
                continue;
            }
            for y_pred in [&whole, &floats, &cents] {
                let rows =
                    RecordBatch::try_from_iter([("y", y_true.clone()), ("p", y_pred.clone())]);
                let source = MemorySource::from(rows.unwrap());
                let counts = ConfusionCounts::new("y", "p", positive);
                let c = source.measure(&counts).unwrap();
                assert_eq!((c.tp, c.tn, c.fp, c.fn_), (2, 2, 0, 0), "{positive} of {y_true:?}");
                let stated = counts.with_negative(if positive == "1" { "0" } else { "0.0" });
                if i < 3 {
                    assert_eq!(source.measure(&stated).unwrap(), c);
                }
            }
        }
    }
    let large = batch! {
        "y" => Float64Array::from(vec![1e16, 0.0]),
        "p" => Int64Array::from(vec![10_000_000_000_000_000, 0]),
    };
    let c = MemorySource::from(large.unwrap())
        .measure(&ConfusionCounts::new("y", "p", "10000000000000000"))
        .unwrap();
    assert_eq!((c.tp, c.tn), (1, 1));
}

#[test]
fn a_prediction_that_is_no_number_is_not_a_negative() {
    let rows = batch! {
        "y" => Int32Array::from(vec![1, 1, 1]),
        "p" => Float64Array::from(vec![1.0, 1.0, f64::NAN]),
    };
    let source = MemorySource::from(rows.unwrap());
    let error = source.measure(&ConfusionCounts::new("y", "p", "1")).unwrap_err();
    assert!(matches!(&error, Error::Value { column, row: 2, .. } if column == "p"), "{error}");
}

#[test]
fn categories_of_a_slice_of_a_large_dictionary() {
    let n = 5000;
    let values = StringArray::from_iter_values((0..n).map(|i| format!("v{}", i / 2)));
    let keys: Int32Array = (0..n).map(|i| (i % 7 != 0).then_some(i)).collect();
    let column: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    let whole = Categories::of("x", &column).unwrap();
    for at in (0..n as usize).step_by(97) {
        let part = column.slice(at, 97.min(n as usize - at));
        let part = Categories::of("x", &part).unwrap();
        assert!(part.labels().len() <= 97);
        for row in 0..part.codes().len() {
            assert_eq!(part.label(row), whole.label(at + row));
        }
    }
    let source = MemorySource::from(RecordBatch::try_from_iter([("x", column)]).unwrap());
    let counts = |size| Scan::new(&source).batch_size(size).run(&CategoryCounts::new("x")).unwrap();
    assert_eq!(counts(10), counts(100_000));
}
