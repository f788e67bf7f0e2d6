//! Counting for fairness: `cargo bench --bench fairness`.
//!
//! Criterion times [`GroupCounts`] at 64 Ki rows on one thread. Then come plain lines, in ns a row
//! a core, over 10 M rows on all threads: every way in which groups and labels may be stored.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Int8Type, Int32Type};
use criterion::{BenchmarkId, Criterion, Throughput};
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, DataSourceExt, MemorySource, Rows};
use mlops_fairness::{Counts, GapKind, Group, GroupCounts, MetricFrame};

const LARGE: usize = 10_000_000;
const SMALL: usize = 64 * 1024;
const RACES: [&str; 5] = ["White", "Black", "Asian", "Other", "Latino"];
const LONG: [&str; 5] = [
    "African-American",
    "Caucasian, European",
    "Asian or Pacific",
    "Native American",
    "Hispanic or Latino",
];

/// Drawing is slower than counting: a block of draws, again and again.
fn drawn(rows: usize, below: u64, stream: u32) -> impl Iterator<Item = usize> {
    let mut draws = Draws::new(7, stream, 0);
    let block: Vec<usize> = (0..=SMALL).map(|_| draws.below(below) as usize).collect();
    (0..rows).map(move |i| block[i % block.len()])
}

fn batch(rows: usize, group: &str, label: &str) -> RecordBatch {
    let names = |names: &'static [&str]| drawn(rows, names.len() as u64, 0).map(|i| names[i]);
    let group: ArrayRef = match group {
        "dictionary/i8" => Arc::new(names(&RACES).collect::<DictionaryArray<Int8Type>>()),
        "dictionary/i32" => Arc::new(names(&RACES).collect::<DictionaryArray<Int32Type>>()),
        "string" => Arc::new(StringArray::from_iter_values(names(&RACES))),
        "string/long" => Arc::new(StringArray::from_iter_values(names(&LONG))),
        "string/1000" => {
            let labels: Vec<_> = (0..1000).map(|i| format!("g{i}")).collect();
            Arc::new(StringArray::from_iter_values(drawn(rows, 1000, 0).map(|i| &labels[i])))
        }
        _ => Arc::new(Int32Array::from_iter_values(drawn(rows, 5, 0).map(|i| i as i32))),
    };
    let labels = |stream| -> ArrayRef {
        let all = drawn(rows, 2, stream);
        match label {
            "boolean" => Arc::new(all.map(|i| Some(i == 1)).collect::<BooleanArray>()),
            "f64" => Arc::new(Float64Array::from_iter_values(all.map(|i| i as f64))),
            "string" => Arc::new(StringArray::from_iter_values(all.map(|i| ["0", "1"][i]))),
            _ => Arc::new(Int32Array::from_iter_values(all.map(|i| i as i32))),
        }
    };
    let columns = [("group", group), ("y", labels(1)), ("said", labels(2))];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn counts() -> GroupCounts {
    GroupCounts::new("said", "1", ["group"]).with_labels("y")
}

const CASES: [(&str, &str); 9] = [
    ("dictionary/i8", "boolean"),
    ("dictionary/i32", "boolean"),
    ("dictionary/i32", "i32"),
    ("dictionary/i32", "f64"),
    ("string", "boolean"),
    ("string", "i32"),
    ("string", "string"),
    ("string/long", "i32"),
    ("string/1000", "i32"),
];

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("group_counts");
    group.sample_size(10).throughput(Throughput::Elements(SMALL as u64));
    for (groups, labels) in CASES {
        let rows = batch(SMALL, groups, labels);
        group.bench_function(BenchmarkId::new(format!("{groups}/{labels}"), SMALL), |b| {
            b.iter(|| {
                let mut state = counts().start();
                for at in (0..SMALL).step_by(16 * 1024) {
                    let part = rows.slice(at, 16 * 1024);
                    counts().update(&mut state, &Rows::new(&part)).expect("counts");
                }
                black_box(state)
            });
        });
    }
    group.finish();
}

fn least(runs: usize, mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..runs).map(|_| time(&mut work)).min().unwrap_or_default()
}

fn all_threads() {
    let threads = rayon::current_num_threads();
    for (groups, labels) in CASES {
        let source = MemorySource::from(batch(LARGE, groups, labels));
        let took = least(5, || {
            black_box(source.measure(&counts()).expect("counts"));
        });
        let each = took.as_nanos() as f64 * threads as f64 / LARGE as f64;
        println!(
            "group_counts, 10 M rows, groups {groups:<14} labels {labels:<7} {each:>7.2} ns a row \
             a core, {took:>9.1?} on {threads} threads"
        );
    }
    for n in [2, 5, 20, 64, 1000, 10_000] {
        let groups = (0..n).map(|i| {
            let group = Group { values: vec![Some(i.to_string())] };
            (group, Counts::confusion(300 + i % 50, 100, 500, 100))
        });
        let frame = MetricFrame::new(vec!["group".into()], groups);
        let took = least(3, || {
            black_box(GapKind::EqualizedOddsDifference.of(&frame, 0.95).expect("a gap"));
        });
        println!("equalized_odds_difference with limits, {n} groups: {took:.1?}");
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    one_thread(&mut criterion);
    criterion.final_summary();
    all_threads();
}
