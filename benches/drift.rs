//! Counting for drift: `cargo bench --bench drift`.
//!
//! Criterion times the counts at a profile's edges, from which PSI and KS come, at 64 Ki and at
//! 10 M rows on one thread. Then come plain lines, in ns a value a core: the same on all threads,
//! a fit, and a whole comparison of 20 columns with a stored profile.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use criterion::{BenchmarkId, Criterion, Throughput};
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, MemorySource, Rows};
use mlops_drift::{CountAtCells, DriftMonitor, ProfileOptions, ReferenceProfile};

const LARGE: usize = 10_000_000;
const SMALL: usize = 64 * 1024;

fn normal(rows: usize, seed: u64) -> Float64Array {
    let mut draws = Draws::new(seed, 0, 0);
    // Drawing is slower than counting: a block of draws, moved about.
    let block: Vec<f64> = (0..SMALL).map(|_| draws.normal()).collect();
    (0..rows).map(|i| Some(block[i % SMALL] + (i / SMALL) as f64 * 1e-7)).collect()
}

fn half_null(values: &Float64Array) -> Float64Array {
    let mut draws = Draws::new(9, 0, 0);
    values.iter().map(|x| x.filter(|_| draws.next_u64() >> 63 == 0)).collect()
}

fn source(columns: Vec<Float64Array>) -> MemorySource {
    let named = columns.into_iter().enumerate();
    let named = named.map(|(i, c)| (format!("x{i}"), Arc::new(c) as ArrayRef));
    MemorySource::from(RecordBatch::try_from_iter(named).expect("columns of one length"))
}

fn counter(edges: usize) -> CountAtCells {
    let options = ProfileOptions::default().edges(edges);
    let profile =
        ReferenceProfile::fit(&source(vec![normal(1_000_000, 1)]), &options).expect("a fit");
    CountAtCells::new("x0", profile.columns()[0].cells().clone()).expect("cells")
}

fn least(runs: usize, mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..runs).map(|_| time(&mut work)).min().unwrap_or_default()
}

fn counts(c: &mut Criterion) {
    for (name, nulls) in [("nulls=0", false), ("nulls=0.5", true)] {
        let mut group = c.benchmark_group(format!("drift_counts/f64/{name}"));
        group.sample_size(10);
        for rows in [SMALL, LARGE] {
            let plain = normal(rows, 2);
            let values = if nulls { half_null(&plain) } else { plain };
            let batch = RecordBatch::try_from_iter([("x0", Arc::new(values) as ArrayRef)])
                .expect("a batch");
            group.throughput(Throughput::Elements(rows as u64));
            for edges in [256, 1024, 4096] {
                let count = counter(edges);
                group.bench_function(BenchmarkId::new(format!("edges={edges}"), rows), |b| {
                    b.iter(|| {
                        let mut state = count.start();
                        for at in (0..rows).step_by(16 * 1024) {
                            let part = batch.slice(at, (16 * 1024).min(rows - at));
                            count.update(&mut state, &Rows::new(&part)).expect("counts");
                        }
                        black_box(state)
                    });
                });
            }
        }
        group.finish();
    }
}

fn whole() {
    let threads = rayon::current_num_threads();
    let line = |name: &str, values: usize, took: Duration| {
        let each = took.as_nanos() as f64 * threads as f64 / values as f64;
        println!("{name:<52} {each:>7.2} ns a value a core, {took:>9.1?} on {threads} threads");
    };
    let one = source(vec![normal(LARGE, 3)]);
    let profile = ReferenceProfile::fit(&one, &ProfileOptions::default()).expect("a fit");
    line(
        "counts of 10 M rows at 1,024 edges (PSI, KS)",
        LARGE,
        least(5, || {
            black_box(profile.count(&one).expect("counts"));
        }),
    );
    line(
        "fit of 10 M rows, both scans",
        LARGE,
        least(2, || {
            black_box(ReferenceProfile::fit(&one, &ProfileOptions::default()).expect("a fit"));
        }),
    );
    let rows = 1_000_000;
    let columns: Vec<_> = (0..20).map(|i| normal(rows, 10 + i)).collect();
    let many = source(columns);
    let profile = ReferenceProfile::fit(&many, &ProfileOptions::default()).expect("a fit");
    let monitor = DriftMonitor::new(profile);
    line(
        "comparison of 20 columns of 1 M rows, all statistics",
        20 * rows,
        least(5, || {
            black_box(monitor.compare(&many).expect("a report"));
        }),
    );
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    counts(&mut criterion);
    criterion.final_summary();
    whole();
}
