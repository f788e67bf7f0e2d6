//! CSV as people have it: right, wrong, and hostile.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use mlops_core::states::RowCount;
use mlops_core::{DataSource, DataSourceExt, Progress, Scan, arrow, conformance};
use mlops_data::{CsvOptions, CsvSource, InferredColumn, Reading};
use proptest::prelude::*;

fn file(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.csv");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn message(text: impl AsRef<[u8]>) -> String {
    let (_dir, path) = file(text);
    match CsvSource::open(&path) {
        Err(e) => e.to_string(),
        Ok(source) => source.collect().unwrap_err().to_string(),
    }
}

#[test]
fn reads_what_it_inferred() {
    let text = "\u{feff}id,when,ok,x,zip,note\r\n1,2024-01-02,true,1.5,0150,\"a, \"\"b\"\"\"\r\n2,,false,,0151,\"\"\r\n";
    let (_dir, path) = file(text);
    let source = CsvSource::open(&path).unwrap();
    conformance::data_source(&source);
    let readings: Vec<_> =
        source.inferred().unwrap().columns.iter().map(InferredColumn::reading).collect();
    assert_eq!(
        readings,
        [
            Reading::Integer,
            Reading::Date,
            Reading::Boolean,
            Reading::Float,
            Reading::Text,
            Reading::Text
        ]
    );
    let batch = source.collect().unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
    assert!(batch.column(1).is_null(1) && batch.column(3).is_null(1));
    let notes = batch.column(5).as_string::<i32>();
    assert_eq!((notes.value(0), notes.value(1), notes.null_count()), ("a, \"b\"", "", 0));
}

#[test]
fn many_rows_are_cut_into_partitions_whose_rows_keep_their_numbers() {
    let rows = 70_000;
    let mut text = String::from("n,t\n");
    for n in 0..rows {
        // Quoted line breaks everywhere: no cut by guessing would survive them.
        writeln!(text, "{n},\"a\n{n},b\"").unwrap();
    }
    let (_dir, path) = file(&text);
    let source = CsvSource::open(&path).unwrap();
    let partitions = source.partitions().unwrap();
    assert_eq!(partitions.len(), 2);
    assert_eq!(partitions[1].first_row, partitions[0].rows.unwrap());
    let batch = source.collect().unwrap();
    assert_eq!(batch.num_rows(), rows);
    let column = batch.column(0).as_primitive::<Int64Type>();
    assert!(column.values().iter().enumerate().all(|(i, n)| *n == i64::try_from(i).unwrap()));
    // Progress counts every byte but the header's.
    let last = std::sync::Mutex::new(Progress::default());
    let show = |p: &Progress| *last.lock().unwrap() = *p;
    assert_eq!(Scan::new(&source).on_progress(&show).run(&RowCount).unwrap(), rows as u64);
    let last = *last.lock().unwrap();
    assert_eq!(last.bytes, text.len() as u64 - 4);
    assert_eq!(Some(last.bytes), last.bytes_total);
}

#[test]
fn what_is_wrong_is_said_with_line_and_value() {
    let ragged = message("a,b\n1,2\n3\n");
    assert!(ragged.ends_with("data.csv, line 3: expected 2 fields, found 1, from `3`"), "{ragged}");
    assert!(message("a,b\n1,2,3\n").contains("line 2: expected 2 fields, found 3"));
    assert!(message("").contains("expected a header, found an empty file"));
    assert!(message("a,b,a\n").contains("`a` as columns 1 and 3"));
    assert!(message(b"a\nx\n\xff\n").contains("line 3: expected UTF-8 text in column `a`"));
    assert!(message(b"\xfe\xff\0a").contains("UTF-16"));
    assert!(message("a\n\"open\n").contains("line 2: expected a closing quote"));
    assert!(CsvSource::open("/no/such/file.csv").unwrap_err().to_string().contains("file.csv"));
}

#[test]
fn header_only_has_columns_and_no_rows() {
    let (_dir, path) = file("a,b");
    let source = CsvSource::open(&path).unwrap();
    conformance::data_source(&source);
    assert_eq!(source.schema().field(1).data_type(), &DataType::Utf8);
    assert_eq!(source.collect().unwrap().num_rows(), 0);
}

#[test]
fn a_type_that_a_later_row_breaks_names_column_line_and_value() {
    let (_dir, path) = file("a,b\n1,2\n3,x\n");
    let source = CsvOptions::new().infer_rows(1).open(&path).unwrap();
    assert!(!source.inferred().unwrap().complete);
    let error = source.collect().unwrap_err().to_string();
    assert!(
        error.contains("line 3: expected a value of type Int64 in column `b`, found `x`"),
        "{error}"
    );
    // Only those who ask for the column hear of it.
    assert_eq!(source.measure(&RowCount).unwrap(), 2);
}

#[test]
fn a_given_schema_is_held_to() {
    let (_dir, path) = file("a;b\n007;x\n8;NA\n");
    let schema = |b| {
        Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int32, false),
            Field::new(
                b,
                DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()),
                true,
            ),
        ]))
    };
    let options = CsvOptions::new().delimiter(b';').null_values(["NA"]);
    let source = options.clone().schema(schema("b")).open(&path).unwrap();
    conformance::data_source(&source);
    let batch = source.collect().unwrap();
    assert_eq!(batch.column(0).as_ref(), &Int32Array::from(vec![7, 8]) as &dyn Array);
    assert_eq!(batch.column(1).logical_null_count(), 1);
    let error = options.schema(schema("c")).open(&path).unwrap_err().to_string();
    assert!(error.contains("expected a, c, found a, b"), "{error}");
}

#[test]
fn without_a_header_columns_are_numbered() {
    let (_dir, path) = file("1,x\n2,y\n");
    let source = CsvOptions::new().header(false).open(&path).unwrap();
    conformance::data_source(&source);
    assert_eq!(source.schema().field(1).name(), "column_2");
    assert_eq!(source.collect().unwrap().num_rows(), 2);
}

#[test]
fn adult_and_compas() {
    let Ok(dir) = std::env::var("MLOPS_DATA") else {
        println!("skipped: MLOPS_DATA is not set");
        return;
    };
    let adult = CsvSource::open(format!("{dir}/adult-train.csv")).unwrap();
    assert_eq!(adult.measure(&RowCount).unwrap(), 32_561);
    assert_eq!(adult.schema().field(0).data_type(), &DataType::Int64);
    let compas = CsvSource::open(format!("{dir}/compas-two-years.csv")).unwrap();
    assert_eq!(compas.collect().unwrap().num_rows(), 7_214);
    let date = compas.schema().field_with_name("screening_date").unwrap().clone();
    assert_eq!(date.data_type(), &DataType::Date32);
    println!("{}", compas.inferred().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Damaged text is an error or rows; never a panic.
    #[test]
    fn damaged_text_never_panics(
        cut in 0_usize..60,
        changes in prop::collection::vec((0_usize..60, any::<u8>()), 0..6),
    ) {
        let mut text = b"a,b,c\n1,\"x,\"\"y\",2024-01-01\r\n2,z,\n,\"\n\",2024-01-02\n".to_vec();
        text.truncate(cut);
        for (at, byte) in changes {
            if let Some(b) = text.get_mut(at) {
                *b = byte;
            }
        }
        let (_dir, path) = file(&text);
        if let Ok(source) = CsvSource::open(&path) {
            let rows = source.collect().unwrap().num_rows() as u64;
            prop_assert_eq!(rows, source.inferred().unwrap().rows);
        }
    }
}
