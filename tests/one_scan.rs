//! A suite, a drift monitor, a fairness gate and plain measurements ride on one scan, and say the
//! same, to the bit, as each alone, for any threads, batches and partitions.

#![expect(clippy::unwrap_used, reason = "tests")]

use mlops::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use mlops::core::states::{CategoryCounts, NumericSummary};
use mlops::core::{
    DataSource, DataSourceExt, DriftDetector, DriftDetectorExt, MemorySource, Plan, Scan,
    Validator, ValidatorExt, batch,
};
use mlops::drift::{DriftMonitor, ProfileOptions, ReferenceProfile};
use mlops::fairness::{FairnessGate, GapKind, GroupCounts};
use mlops::validate::{Suite, in_range, in_set, not_null, unique};

const ROWS: usize = 3000;

/// Cancelling sums, ties, NaN, −0, the huge and the tiny, and nulls.
fn rows() -> RecordBatch {
    let nasty = [1e300, -1e300, -0.0, 0.0, f64::NAN, f64::INFINITY, 1e-310, 1e16, -1e16, 3.5, 3.5];
    let numbers = (0..ROWS).map(|i| (i % 17 != 3).then(|| nasty[i * 7 % nasty.len()]));
    let ages = (0..ROWS).map(|i| (i % 29 != 1).then_some(i as i64 * 31 % 90));
    let sexes = (0..ROWS).map(|i| [Some("F"), Some("M"), None][i * 5 % 3]);
    batch! {
        "id" => Int64Array::from_iter_values(0..ROWS as i64),
        "x" => numbers.collect::<Float64Array>(),
        "age" => ages.collect::<Int64Array>(),
        "sex" => sexes.collect::<StringArray>(),
        "y" => Int64Array::from_iter_values((0..ROWS).map(|i| i64::from(i * 13 % 5 < 2))),
        "p" => Int64Array::from_iter_values((0..ROWS).map(|i| i64::from(i * 11 % 7 < 3))),
    }
    .unwrap()
}

fn suite() -> Suite {
    Suite::new("suite")
        .expect(unique("id"))
        .expect(not_null("age").mostly(0.9))
        .expect(in_range("age", 18..=80))
        .expect(in_set("sex", ["F", "M"]))
        .expect(in_range("missing", 0..=1))
}

/// Everything in one scan, as text: floats print their shortest exact form.
fn all_at_once(source: &dyn DataSource, batch_size: usize) -> String {
    let schema = source.schema();
    let mut plan = Plan::new();
    let suite = suite().plan(&schema, &mut plan).unwrap();
    let drift = monitor().plan(&schema, &mut plan).unwrap();
    let fairness = gate().plan(&schema, &mut plan).unwrap();
    let x = plan.add(NumericSummary::new("x"));
    let sex = plan.add(CategoryCounts::new("sex"));
    let measured = Scan::new(source).batch_size(batch_size).run(&plan).unwrap();
    let judge = suite.and(drift).and(fairness);
    let verdicts = judge.judge(&measured).unwrap();
    format!("{verdicts:?}\n{:?}\n{:?}", measured.get(&x).unwrap(), measured.get(&sex).unwrap())
}

fn monitor() -> DriftMonitor {
    let reference = MemorySource::from(rows().slice(0, ROWS / 2));
    let options = ProfileOptions::default().exclude(["id"]);
    DriftMonitor::new(ReferenceProfile::fit(&reference, &options).unwrap())
}

fn gate() -> impl Validator {
    FairnessGate::new("fairness")
        .rule(GapKind::DemographicParityDifference, "sex", 0.1)
        .rule(GapKind::EqualizedOddsDifference, "sex", 0.1)
        .on(GroupCounts::new("p", "1", ["sex"]).with_labels("y"))
}

#[test]
fn together_they_say_what_each_says_alone() {
    let source = MemorySource::from(rows());
    let alone = (
        (suite().validate(&source).unwrap(), monitor().detect(&source).unwrap()),
        gate().validate(&source).unwrap(),
    );
    let x = source.measure(&NumericSummary::new("x")).unwrap();
    let sex = source.measure(&CategoryCounts::new("sex")).unwrap();
    assert_eq!(all_at_once(&source, 1000), format!("{alone:?}\n{x:?}\n{sex:?}"));
    // The findings are about something: bad rows are named, a missing column is said.
    let suite = format!("{}", alone.0.0);
    assert!(suite.contains("missing") && alone.0.0.failures().any(|f| !f.rows.is_empty()));
}

#[test]
fn the_same_bits_for_any_threads_batches_and_partitions() {
    let whole = rows();
    let expected = all_at_once(&MemorySource::from(whole.clone()), 10_000);
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for (parts, batch_size) in [(1, 1), (7, 64), (100, 33), (3, 5000)] {
            let step = ROWS.div_ceil(parts);
            let pieces = (0..ROWS).step_by(step).map(|at| whole.slice(at, step.min(ROWS - at)));
            let source = MemorySource::new(whole.schema(), pieces).unwrap();
            let found = pool.install(|| all_at_once(&source, batch_size));
            assert_eq!(found, expected, "{threads} threads, {parts} parts of {batch_size} rows");
        }
    }
}
