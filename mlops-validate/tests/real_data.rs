//! COMPAS and Adult, where `MLOPS_DATA` says where they are.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, outside of `#[test]`; a skipped test says so"
)]

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use mlops_core::arrow::array::{RecordBatch, UInt64Array};
use mlops_core::arrow::compute::{concat_batches, take_record_batch};
use mlops_core::stats::Draws;
use mlops_core::{MemorySource, ValidatorExt};
use mlops_validate::{InferOptions, LeakageOptions, Suite, leakage};

fn data(name: &str) -> Option<RecordBatch> {
    let Some(directory) = std::env::var_os("MLOPS_DATA") else {
        println!("skipped: MLOPS_DATA is not set");
        return None;
    };
    let path = PathBuf::from(directory).join(name);
    let format = arrow::csv::reader::Format::default().with_header(true);
    let (schema, _) = format.infer_schema(File::open(&path).unwrap(), None).unwrap();
    let schema = Arc::new(schema);
    let reader = arrow::csv::ReaderBuilder::new(schema.clone())
        .with_header(true)
        .build(File::open(&path).unwrap())
        .unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    Some(concat_batches(&schema, &batches).unwrap())
}

#[test]
fn on_compas_only_is_recid_knows_the_label() {
    let Some(batch) = data("compas-two-years.csv") else { return };
    let found =
        leakage(&MemorySource::from(batch), "two_year_recid", "1", &LeakageOptions::default())
            .unwrap();
    println!("{found}");
    let leaks: Vec<_> = found.failures().map(|f| f.subject.as_str()).collect();
    assert_eq!(leaks, ["is_recid"]);
    assert!((found.findings[0].value.unwrap() - 0.97).abs() < 0.005);
    assert!(found.findings[1].verdict.is_pass(), "the next is far from it");
}

#[test]
fn on_halves_of_adult_alarms_stay_within_the_budget() {
    let Some(batch) = data("adult-train.csv") else { return };
    let runs = 200;
    let mut alarms = 0;
    for seed in 0..runs {
        let order = Draws::new(seed, 0, 0).permutation(batch.num_rows());
        let half = |rows: &[usize]| {
            let rows: UInt64Array = rows.iter().map(|&r| Some(r as u64)).collect();
            MemorySource::from(take_record_batch(&batch, &rows).unwrap())
        };
        let (one, other) = order.split_at(batch.num_rows() / 2);
        let suite = Suite::infer(&half(one), &InferOptions::default()).unwrap();
        let found = suite.validate(&half(other)).unwrap();
        if !found.verdict.is_pass() {
            alarms += 1;
            println!("{found}");
        }
    }
    println!("{alarms} alarms on {runs} undrifted halves; the budget is 5 %");
    assert!(alarms <= 12, "more than the budget of 5 % and a point");
}
