//! Drift: `cargo bench --bench drift`.
//!
//! Lines of `name ms`, the least of several runs, with ns a value a core where that says more.
//! Given a folder with the files that `benches/peers/drift.py` makes, it measures on those, which
//! is how that script shows us beside the peers; otherwise it makes data of the same shape, and
//! measures the kernel besides: each kind of data on one thread in batches of 16 Ki rows, from the
//! cache (64 Ki rows) and from memory (10 M rows). An argument `counts` stops after that.
//!
//! `cargo bench --bench drift -- wide [DIR]` fits and compares 1,000 columns, streamed from Parquet
//! (60,000 rows and 6,000, made in the folder unless they are there, some 600 MB; a temporary one if
//! none is given), and says how much memory that took at the most.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Float64Array, RecordBatch};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema, TimeUnit};
use mlops::core::stats::Draws;
use mlops::core::{Analyzer, DataSource, MemorySource, Rows, Scan};
use mlops::data::{IpcSource, ParquetSink, ParquetSource, Sink};
use mlops::drift::statistics::{ks_two_sample, ks_two_sources};
use mlops::drift::{CountAtCells, DriftMonitor, ProfileOptions, ReferenceProfile};

const KINDS: [&str; 6] = ["normal", "lognormal", "uniform", "integers", "sorted", "constant"];
const LARGE: usize = 10_000_000;
const MIDDLE: usize = 1_000_000;
const SMALL: usize = 64 * 1024;
const COLUMNS: usize = 20;
const RUNS: usize = 7;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let mut folder = None;
    let (mut counts_only, mut wide_only, mut make_only) = (false, false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "counts" => counts_only = true,
            "wide" => wide_only = true,
            "wide-make" => make_only = true,
            flag if flag.starts_with("--") => {}
            path => folder = Some(PathBuf::from(path)),
        }
    }
    if make_only {
        return make_wide(&folder.ok_or("no folder")?);
    }
    if wide_only {
        return wide(folder.as_deref());
    }
    if folder.is_none() {
        counts()?;
    }
    if !counts_only {
        twenty(folder.as_deref())?;
        two_samples(folder.as_deref())?;
    }
    Ok(())
}

fn least<T>(mut work: impl FnMut() -> Result<T>) -> Result<Duration> {
    let mut least = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        black_box(work()?);
        least = least.min(start.elapsed());
    }
    Ok(least)
}

fn line(name: &str, took: Duration, values: usize, threads: usize) {
    let each = took.as_secs_f64() * 1e9 * threads as f64 / values as f64;
    let ms = took.as_secs_f64() * 1e3;
    println!("{name} {ms:.3}   {each:.2} ns a value a core");
}

fn drawn(kind: &str, rows: usize, seed: u64) -> Float64Array {
    let mut draws = Draws::new(seed, 0, 0);
    let mut draw = || match kind {
        "lognormal" => (3.0 * draws.normal()).exp(),
        "uniform" => draws.uniform(),
        "integers" => draws.below(50) as f64,
        "constant" => 7.5,
        _ => draws.normal(),
    };
    let mut values: Vec<f64> = (0..rows).map(|_| draw()).collect();
    if kind == "sorted" {
        values.sort_unstable_by(f64::total_cmp);
    }
    values.into()
}

fn one(name: &str, column: ArrayRef) -> Result<MemorySource> {
    Ok(RecordBatch::try_from_iter([(name, column)])?.into())
}

/// Counts at a stored profile's cells, with the exact sums, on one thread.
fn counts() -> Result<()> {
    let options = ProfileOptions::default().integer_categories(0);
    let fitted = |column: ArrayRef| -> Result<CountAtCells> {
        let profile = ReferenceProfile::fit(&one("x", column)?, &options)?;
        Ok(CountAtCells::new("x", profile.columns()[0].cells().clone())?)
    };
    let time = |name: &str, count: &CountAtCells, column: &ArrayRef| -> Result<()> {
        for rows in [SMALL, LARGE] {
            let pieces = rows.div_ceil(column.len());
            let column = concat(&vec![&**column; pieces])?.slice(0, rows);
            let batch = RecordBatch::try_from_iter([("x", column)])?;
            let took = least(|| {
                let mut state = count.start();
                for at in (0..rows).step_by(Scan::BATCH_SIZE) {
                    let part = batch.slice(at, Scan::BATCH_SIZE.min(rows - at));
                    count.update(&mut state, &Rows::new(&part))?;
                }
                Ok(state)
            })?;
            line(&format!("counts/{name}/{rows}"), took, rows, 1);
        }
        Ok(())
    };
    for kind in KINDS {
        // Data that were constant and vary now, or the other way round, want as much.
        let fit_on = if kind == "constant" { "normal" } else { kind };
        let count = fitted(Arc::new(drawn(fit_on, MIDDLE, 1)))?;
        let column: ArrayRef = Arc::new(drawn(kind, MIDDLE, 2));
        time(&format!("f64/{kind}"), &count, &column)?;
        if kind == "normal" {
            let mut draws = Draws::new(9, 0, 0);
            let values = column.as_primitive::<Float64Type>().iter();
            let half: Float64Array = values.map(|x| x.filter(|_| draws.bernoulli(0.5))).collect();
            time("f64/normal/nulls=0.5", &count, &(Arc::new(half) as ArrayRef))?;
            time("f32/normal", &count, &cast(&column, &DataType::Float32)?)?;
        }
        if kind == "integers" {
            for to in [DataType::Int32, DataType::Int64] {
                time(&format!("{to}/integers"), &count, &cast(&column, &to)?)?;
            }
            let times = DataType::Timestamp(TimeUnit::Millisecond, None);
            let times = cast(&cast(&column, &DataType::Int64)?, &times)?;
            time("timestamp/integers", &count, &times)?;
            let labels = cast(&cast(&column, &DataType::Int64)?, &DataType::Utf8)?;
            let labels: DictionaryArray<Int32Type> = labels.as_string::<i32>().iter().collect();
            let labels: ArrayRef = Arc::new(labels);
            time("dictionary/integers", &fitted(labels.clone())?, &labels)?;
        }
    }
    Ok(())
}

/// 20 columns against a stored profile: all that comes from counts.
fn twenty(folder: Option<&Path>) -> Result<()> {
    let threads = rayon::current_num_threads();
    let table = |kind: &str, side: &str, seed: u64| -> Result<MemorySource> {
        if let Some(folder) = folder {
            return loaded(&folder.join(format!("{kind}_{side}.arrow")));
        }
        let columns = (0..COLUMNS as u64).map(|i| {
            let column: ArrayRef = Arc::new(drawn(kind, MIDDLE, seed + i));
            (format!("x{i}"), column)
        });
        Ok(RecordBatch::try_from_iter(columns)?.into())
    };
    for kind in KINDS {
        let reference = table(kind, "reference", 100)?;
        let mut profile = None;
        let fit = least(|| {
            profile = Some(ReferenceProfile::fit(&reference, &ProfileOptions::default())?);
            Ok(())
        })?;
        let rows = reference.partitions()?.iter().filter_map(|p| p.rows).sum::<u64>() as usize;
        drop(reference);
        let profile = profile.ok_or("no run")?.to_bytes();
        let current = table(kind, "current", 200)?;
        let monitor = DriftMonitor::new(ReferenceProfile::from_bytes(&profile)?);
        let compare = least(|| Ok(monitor.compare(&current)?))?;
        line(&format!("twenty_{kind}"), compare, COLUMNS * rows, threads);
        line(&format!("fit_{kind}"), fit, COLUMNS * rows, threads);
    }
    Ok(())
}

/// The columns of a wide table, its rows, those of the current data, and those of a full-sized one.
const WIDE: usize = 1000;
const WIDE_ROWS: [(&str, usize); 2] = [("reference", 60_000), ("current", 6_000)];
const FULL_ROWS: [usize; 2] = [3_000_000, 300_000];

/// Two wide files, in small row groups, so that no more of them is ever in memory.
fn make_wide(folder: &Path) -> Result<()> {
    let kinds = ["normal", "lognormal", "uniform", "integers"];
    let field = |i| Field::new(format!("x{i}"), DataType::Float64, false);
    let schema = Arc::new(Schema::new((0..WIDE).map(field).collect::<Vec<_>>()));
    for (side, rows) in WIDE_ROWS {
        let path = folder.join(format!("wide_{side}.parquet"));
        if path.exists() {
            continue;
        }
        let mut sink = Box::new(ParquetSink::with_row_groups(path, schema.clone(), 6_000)?);
        for at in (0..rows).step_by(6_000) {
            let n = (rows - at).min(6_000);
            let seed = |i: usize| ((at + usize::from(side == "current")) * WIDE + i) as u64;
            let column = |i| Arc::new(drawn(kinds[i % kinds.len()], n, seed(i))) as ArrayRef;
            sink.write(&RecordBatch::try_new(schema.clone(), (0..WIDE).map(column).collect())?)?;
        }
        sink.finish()?;
    }
    Ok(())
}

/// Fits a profile of 1,000 columns and compares with it, both streamed from Parquet.
fn wide(folder: Option<&Path>) -> Result<()> {
    let made = tempfile::tempdir()?;
    let folder = folder.unwrap_or(made.path());
    // In a process of its own: what it takes to make them is none of what is measured.
    let program = std::env::current_exe()?;
    if !Command::new(program).arg("wide-make").arg(folder).status()?.success() {
        return Err("the files were not made".into());
    }
    let open = |side: &str| ParquetSource::open(folder.join(format!("wide_{side}.parquet")));
    let (reference, current) = (open("reference")?, open("current")?);
    let threads = rayon::current_num_threads();
    let start = Instant::now();
    let profile = ReferenceProfile::fit(&reference, &ProfileOptions::default())?;
    let fit = start.elapsed();
    let start = Instant::now();
    let report = DriftMonitor::new(profile).compare(&current)?;
    let compare = start.elapsed();
    black_box(report);
    for ((name, took), ((_, rows), full)) in [("wide_fit", fit), ("wide_compare", compare)]
        .into_iter()
        .zip(WIDE_ROWS.into_iter().zip(FULL_ROWS))
    {
        line(name, took, WIDE * rows, threads);
        let each = took.as_secs_f64() / (WIDE * rows) as f64;
        let projected = each * (WIDE * full) as f64;
        println!("{name}: {:.1} M values/s; {full} rows would take {projected:.0} s", 1e-6 / each);
    }
    match peak_mib() {
        Some(peak) => println!("wide_peak {peak:.0} MiB"),
        None => println!("wide_peak unknown: there is no /proc/self/status"),
    }
    Ok(())
}

/// The most memory that this process has had, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// The exact KS of two raw columns, in memory and as if they did not fit.
fn two_samples(folder: Option<&Path>) -> Result<()> {
    let threads = rayon::current_num_threads();
    let file = folder.map(|folder| loaded(&folder.join("ks.arrow"))).transpose()?;
    let whole = |column: &str| -> Result<Option<Float64Array>> {
        let Some(file) = &file else { return Ok(None) };
        let index = file.schema().index_of(column)?;
        let mut parts = Vec::new();
        for partition in 0..file.partitions()?.len() {
            for batch in file.read(partition, Some(&[index]), usize::MAX)? {
                parts.push(batch?.column(0).clone());
            }
        }
        let parts: Vec<&dyn Array> = parts.iter().map(|part| &**part).collect();
        Ok(Some(concat(&parts)?.as_primitive::<Float64Type>().clone()))
    };
    let made = |kind: &str, seed: u64| -> Float64Array {
        let values = drawn(if kind == "ties" { "integers" } else { "normal" }, LARGE, seed);
        match kind {
            "shift" => values.unary(|x| x + 0.02),
            // Some fifty values, of which the larger are rare.
            "ties" => values.unary(|x| (x * x / 100.0).floor()),
            _ => values,
        }
    };
    for (name, reference, current) in [
        ("shift", "reference", "shift"),
        ("null", "reference", "null"),
        ("ties", "ties_reference", "ties"),
    ] {
        let reference = match whole(reference)? {
            Some(found) => found,
            None => made(if name == "ties" { "ties" } else { "reference" }, 1),
        };
        let current = match whole(current)? {
            Some(found) => found,
            None => made(name, 2),
        };
        let values = reference.len() + current.len();
        let took = least(|| Ok(ks_two_sample(&reference, &current)?))?;
        line(&format!("ks_{name}"), took, values, threads);
        let (reference, current) = (Arc::new(reference), Arc::new(current));
        let (reference, current) = (one("x", reference)?, one("x", current)?);
        let took = least(|| Ok(ks_two_sources(Scan::new(&reference), Scan::new(&current), "x")?))?;
        line(&format!("ks_sources_{name}"), took, values, threads);
    }
    Ok(())
}

/// A file's rows, in memory.
fn loaded(path: &Path) -> Result<MemorySource> {
    let file = IpcSource::open(path)?;
    let mut batches = Vec::new();
    for partition in 0..file.partitions()?.len() {
        for batch in file.read(partition, None, usize::MAX)? {
            batches.push(batch?);
        }
    }
    Ok(MemorySource::new(file.schema(), batches)?)
}
