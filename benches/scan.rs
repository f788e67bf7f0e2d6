//! The scan and the states that it feeds: `cargo bench --bench scan`.
//!
//! Criterion times each case at 64 Ki rows (in cache) and at 10 M rows, on one thread. Then come
//! plain lines: the same work on one thread and on all of them, in ns a value a core, and the
//! share of the memory-read bandwidth that was measured in between on the same threads.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use criterion::{BenchmarkId, Criterion, Throughput};
use mlops_core::states::{Histogram, NumericSummary, Sum};
use mlops_core::{MemorySource, Plan, Scan};
use multiversion::multiversion;
use rayon::ThreadPool;
use rayon::prelude::*;

const LARGE: usize = 10_000_000;
const SMALL: usize = 64 * 1024;
const COLUMNS: usize = 8;

/// Numbers as data have them: a bell of spread 15 around 40, the same on every machine.
fn column(rows: usize, seed: u64) -> Float64Array {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..rows)
        .map(|_| {
            let bell = uniform() + uniform() + uniform() + uniform() - 2.0;
            Some(40.0 + 26.0 * bell)
        })
        .collect()
}

/// The same numbers with every other one missing, at random.
fn with_nulls(values: &Float64Array) -> Float64Array {
    let mut state = 1u64;
    let valid = values.values().iter().map(|&x| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 63 == 1).then_some(x)
    });
    valid.collect()
}

/// Equal spaces over the bulk of [`column`].
fn edges(n: usize) -> Vec<f64> {
    (0..n).map(|i| -10.0 + 100.0 * i as f64 / (n - 1) as f64).collect()
}

fn table(columns: Vec<Float64Array>) -> MemorySource {
    let named = columns.into_iter().enumerate();
    let named = named.map(|(i, c)| (format!("x{i}"), Arc::new(c) as ArrayRef));
    MemorySource::from(RecordBatch::try_from_iter(named).expect("columns of one length"))
}

fn summaries() -> Plan {
    let mut plan = Plan::new();
    for i in 0..COLUMNS {
        plan.add(NumericSummary::new(format!("x{i}")));
    }
    plan
}

#[multiversion(targets("x86_64+avx512f+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn read_xor(values: &[f64]) -> u64 {
    values.iter().fold(0, |all, x| all ^ x.to_bits())
}

#[multiversion(targets("x86_64+avx512f+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn read_add(values: &[f64]) -> u64 {
    values.iter().fold(0, |all, x| all.wrapping_add(x.to_bits()))
}

/// Four streams at once, as far apart as the piece allows.
#[multiversion(targets("x86_64+avx512f+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn read_streams(values: &[f64]) -> u64 {
    let quarter = values.len() / 4;
    let (a, rest) = values.split_at(quarter);
    let (b, rest) = rest.split_at(quarter);
    let (c, d) = rest.split_at(quarter);
    let pairs = a.iter().zip(b).zip(c.iter().zip(d));
    pairs.fold(0, |all, ((a, b), (c, d))| {
        all ^ a.to_bits() ^ b.to_bits() ^ c.to_bits() ^ d.to_bits()
    })
}

/// The least of several runs.
fn least(runs: usize, mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..runs).map(|_| time(&mut work)).min().unwrap_or_default()
}

/// Reading every value and doing nothing with it: the best of three ways.
fn reading(columns: &[&[f64]]) -> Duration {
    let ways: [fn(&[f64]) -> u64; 3] = [read_xor, read_add, read_streams];
    let pass = |way: fn(&[f64]) -> u64| {
        let pieces = columns.par_iter().flat_map(|c| c.par_chunks(1 << 18));
        black_box(pieces.map(way).reduce(|| 0, |a, b| a ^ b));
    };
    ways.into_iter().map(|way| least(5, || pass(way))).min().unwrap_or_default()
}

/// One plain line: the work, its time a value a core, its share of the bandwidth.
fn report(name: &str, columns: &[&[f64]], mut work: impl FnMut()) {
    let values: usize = columns.iter().map(|c| c.len()).sum();
    let threads = rayon::current_num_threads();
    // Reading before, between and after, so that both have had their quiet moment.
    let (mut read, mut took) = (Duration::MAX, Duration::MAX);
    for _ in 0..4 {
        read = read.min(reading(columns));
        took = took.min(least(3, &mut work));
    }
    let each = |d: Duration| d.as_nanos() as f64 * threads as f64 / values as f64;
    println!(
        "{name:<34} {threads} threads: {:6.3} ns a value a core; reading takes {:.3} ns \
         ({:.1} GB/s), so {:.0} % of the bandwidth",
        each(took),
        each(read),
        8.0 * values as f64 / read.as_nanos() as f64,
        100.0 * read.as_secs_f64() / took.as_secs_f64(),
    );
}

fn cases(c: &mut Criterion, pool: &ThreadPool, rows: usize, columns: &[Float64Array]) {
    let source = table(columns.to_vec());
    let nulls = table(columns.iter().map(with_nulls).collect());
    let plan = summaries();
    let mut group = c.benchmark_group("summary/f64");
    group.sample_size(10).throughput(Throughput::Elements((rows * COLUMNS) as u64));
    for (name, source) in [("nulls=0", &source), ("nulls=0.5", &nulls)] {
        group.bench_function(BenchmarkId::new(name, rows), |b| {
            b.iter(|| pool.install(|| Scan::new(source).run(&plan).expect("a scan")));
        });
    }
    group.finish();

    let values = columns[0].values();
    let mut group = c.benchmark_group("sum/f64");
    group.sample_size(10).throughput(Throughput::Elements(rows as u64));
    group.bench_function(BenchmarkId::new("nulls=0", rows), |b| {
        b.iter(|| Sum::of(black_box(values)).value());
    });
    group.finish();

    let mut group = c.benchmark_group("histogram/f64");
    group.sample_size(10).throughput(Throughput::Elements(rows as u64));
    for n in [64, 512, 4096] {
        let histogram = Histogram::new("x0", edges(n)).expect("edges");
        group.bench_function(BenchmarkId::new(format!("edges={n}"), rows), |b| {
            b.iter(|| pool.install(|| Scan::new(&source).run(&histogram).expect("a scan")));
        });
    }
    group.finish();
}

fn main() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");

    // `cargo test --benches` asks only whether it runs.
    let test = std::env::args().any(|a| a == "--test");
    let most = if test { SMALL } else { LARGE };
    let columns: Vec<_> = (0..COLUMNS).map(|i| column(most, i as u64)).collect();
    let mut criterion = Criterion::default().configure_from_args();
    for rows in [SMALL, LARGE] {
        let part: Vec<_> = columns.iter().map(|c| c.slice(0, rows)).collect();
        cases(&mut criterion, &one, rows, &part);
        if rows == most {
            break;
        }
    }
    criterion.final_summary();
    if test {
        return;
    }

    let source = table(columns.clone());
    let slices: Vec<&[f64]> = columns.iter().map(|c| &c.values()[..]).collect();
    let lines = || {
        let plan = summaries();
        report("summary/f64/nulls=0, 10 M × 8", &slices, || {
            black_box(Scan::new(&source).run(&plan).expect("a scan"));
        });
        report("sum/f64/nulls=0, 10 M", &slices[..1], || {
            let sums = slices[0].par_chunks(1 << 18).map(Sum::of);
            black_box(sums.collect::<Vec<_>>());
        });
        for n in [64, 512, 4096] {
            let histogram = Histogram::new("x0", edges(n)).expect("edges");
            report(&format!("histogram/f64/edges={n}, 10 M"), &slices[..1], || {
                black_box(Scan::new(&source).run(&histogram).expect("a scan"));
            });
        }
    };
    one.install(lines);
    lines();
}
