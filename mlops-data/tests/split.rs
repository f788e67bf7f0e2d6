//! Splits: disjoint, whole, the same however the source is cut.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, TimestampSecondArray};
use arrow::compute::kernels::cmp::gt;
use arrow::datatypes::Int64Type;
use mlops_core::{DataSource, DataSourceExt, MemorySource, arrow, batch, conformance};
use mlops_data::{Cut, Filtered, ParquetSink, ParquetSource, Projected, Split, write_all};
use proptest::prelude::*;

fn rows(n: i64) -> RecordBatch {
    batch! {
        "id" => Int64Array::from_iter_values(0..n),
        "kind" => (0..n).map(|i| [Some("a"), Some("b"), None, Some("b")][i as usize % 4]).collect::<StringArray>(),
        "who" => (0..n).map(|i| Some(format!("p{}", i / 3))).collect::<StringArray>(),
        "at" => (0..n).map(|i| (i % 10 != 9).then_some(1_000_000 - i * 60)).collect::<TimestampSecondArray>(),
    }
    .unwrap()
}

fn ids(source: &impl DataSource) -> BTreeSet<i64> {
    let batch = source.collect().unwrap();
    batch.column(0).as_primitive::<Int64Type>().values().iter().copied().collect()
}

fn splits(seed: u64) -> [Split; 4] {
    [
        Split::random(0.3, seed).unwrap(),
        Split::stratified("kind", 0.3, seed).unwrap(),
        Split::grouped("who", 0.3, seed).unwrap(),
        Split::by_time("at", Cut::Latest(0.3)).unwrap(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sides_are_disjoint_and_together_whole(n in 12_i64..300, seed in any::<u64>(), group in 1_usize..80) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.parquet");
        let memory = MemorySource::from(rows(n));
        let sink = ParquetSink::with_row_groups(&path, memory.schema(), group).unwrap();
        write_all(&memory, Box::new(sink)).unwrap();
        // The same rows as parts of a list of batches.
        let cut: Vec<_> = (0..n as usize).step_by(group)
            .map(|at| rows(n).slice(at, group.min(n as usize - at))).collect();
        let cut = MemorySource::new(memory.schema(), cut).unwrap();
        for split in splits(seed) {
            let parts = split.split(Arc::new(memory.clone())).unwrap();
            let (train, test) = (ids(&parts.train), ids(&parts.test));
            prop_assert!(train.is_disjoint(&test));
            prop_assert_eq!((train.len() + test.len()) as u64 + parts.unassigned, n as u64);
            prop_assert_eq!(test.len() as u64, parts.test.rows());
            for other in [Arc::new(cut.clone()) as Arc<dyn DataSource>, Arc::new(ParquetSource::open(&path).unwrap())] {
                let other = split.split(other).unwrap();
                prop_assert_eq!(&ids(&other.train), &train);
                prop_assert_eq!(&ids(&other.test), &test);
            }
        }
    }
}

#[test]
fn both_sides_are_sources() {
    for split in splits(7) {
        let parts = split.split(Arc::new(MemorySource::from(rows(100)))).unwrap();
        conformance::data_source(&parts.train);
        conformance::data_source(&parts.test);
        assert!(parts.test.partitions().unwrap()[0].origin.ends_with("#test"));
    }
}

#[test]
fn strata_have_their_exact_shares_and_groups_stay_together() {
    let source: Arc<dyn DataSource> = Arc::new(MemorySource::from(rows(400)));
    let parts = Split::stratified("kind", 0.25, 3).unwrap().split(source.clone()).unwrap();
    let count = |kind: Option<&str>| {
        let batch = parts.test.collect().unwrap();
        batch.column(1).as_string::<i32>().iter().filter(|k| *k == kind).count()
    };
    assert_eq!((count(Some("a")), count(Some("b")), count(None)), (25, 50, 25));
    let other = Split::stratified("kind", 0.25, 4).unwrap().split(source.clone()).unwrap();
    assert_ne!(ids(&other.test), ids(&parts.test));

    let parts = Split::grouped("who", 0.25, 3).unwrap().split(source).unwrap();
    let people = |ids: BTreeSet<i64>| ids.into_iter().map(|id| id / 3).collect::<BTreeSet<_>>();
    assert!(people(ids(&parts.train)).is_disjoint(&people(ids(&parts.test))));
}

#[test]
fn time_goes_one_way() {
    let source: Arc<dyn DataSource> = Arc::new(MemorySource::from(rows(100)));
    let latest = Split::by_time("at", Cut::Latest(0.2)).unwrap().split(source.clone()).unwrap();
    // Time runs against the ids here; every tenth row has none.
    assert_eq!((latest.unassigned, latest.test.rows()), (10, 18));
    assert!(ids(&latest.test).last() < ids(&latest.train).first());
    let at = latest.cut.unwrap();
    let same = Split::by_time("at", Cut::Number(at)).unwrap().split(source.clone()).unwrap();
    assert_eq!(ids(&same.test), ids(&latest.test));
    // 1,000,000 s are 1970-01-12T13:46:40.
    let dated = Split::by_time("at", "1970-01-12T13:46:40").unwrap().split(source.clone()).unwrap();
    assert_eq!(ids(&dated.test), BTreeSet::from([0]));
    assert!(Split::by_time("at", "yesterday").is_err());
    assert!(Split::by_time("kind", Cut::Latest(0.2)).unwrap().split(source.clone()).is_err());
    assert!(Split::random(1.0, 0).is_err());
    let one = Arc::new(MemorySource::from(rows(1)));
    let error = Split::by_time("at", Cut::Latest(0.2)).unwrap().split(one).unwrap_err();
    assert!(error.to_string().contains("no row is earlier"), "{error}");
}

#[test]
fn some_rows_and_some_columns() {
    let source: Arc<dyn DataSource> = Arc::new(MemorySource::from(rows(50)));
    let keep =
        |rows: &mlops_core::Rows<'_>| Ok(gt(rows.column("id")?, &Int64Array::new_scalar(40))?);
    let filtered = Filtered::new(source.clone(), "late", &["id"], keep).unwrap();
    conformance::data_source(&filtered);
    assert_eq!(filtered.rows(), 9);
    let projected = Projected::without(source.clone(), &["who", "id"]).unwrap();
    conformance::data_source(&projected);
    assert_eq!(projected.collect().unwrap().num_columns(), 2);
    assert!(Projected::to(source, &["town"]).unwrap_err().to_string().contains("`town`"));
}
