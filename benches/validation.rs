//! Validation: `cargo bench --bench validation`.
//!
//! Lines of `name ms`, the least of several runs. Given a folder with the files that
//! `benches/peers/validation.py` makes, it reads those, which is how that script measures us beside
//! the peers; otherwise it makes data of the same shape, a tenth of the rows, unless told `full`.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use mlops::core::stats::Draws;
use mlops::core::{DataSource, MemorySource, Verdict};
use mlops::data::{IpcSource, ParquetSink, ParquetSource, write_all};
use mlops::validate::{
    Expectation, Suite, Value, in_range, in_set, matches_regex, mean, not_null, satisfies,
    string_length, unique, unique_count,
};

const KINDS: [&str; 5] = ["placed", "shipped", "delivered", "returned", "lost"];
const REGEX: &str = r"^[a-z0-9.]+@[a-z0-9]+\.[a-z]{2,}$";
const RUNS: usize = 5;
const TIMES: u32 = 100_000;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let mut folder = None;
    let mut rows = 100_000;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "full" => rows = 1_000_000,
            flag if flag.starts_with("--") => {}
            path => folder = Some(PathBuf::from(path)),
        }
    }
    let data = match &folder {
        Some(folder) => Data::read(folder)?,
        None => Data::make(rows)?,
    };
    nine(&data.nine)?;
    wide(&data.wide)?;
    tall(&data.tall)?;
    distinct(&data.distinct)?;
    record()
}

/// The suite's time on the source, and that it says what it should.
fn time(name: &str, suite: &Suite, source: &dyn DataSource, verdict: Verdict) -> Result<()> {
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        let found = black_box(suite.check(source)?);
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
        if found.verdict != verdict {
            return Err(format!("{name}: {found}").into());
        }
    }
    println!("{name} {least:.3}");
    Ok(())
}

/// The expectations that the peers are asked: eight, and a regex.
fn nine(source: &MemorySource) -> Result<()> {
    let plain = Suite::new("plain")
        .expect(not_null("id"))
        .expect(unique("id"))
        .expect(in_range("x", 0.0..=200.0))
        .expect(in_range("y", 0.0..=100.0))
        .expect(in_set("kind", KINDS))
        .expect(mean("x", 99.0..=101.0))
        .expect(not_null("y").mostly(0.9))
        .expect(string_length("email", 5..=40));
    time("nine", &plain, source, Verdict::Pass)?;
    let regex = plain.expect(matches_regex("email", REGEX));
    time("nine_regex", &regex, source, Verdict::Pass)
}

/// 226 checks of 80 columns; a few values lie outside.
fn wide(source: &MemorySource) -> Result<()> {
    let mut suite = Suite::new("wide");
    for i in 0..80 {
        let (column, at) = (format!("c{i}"), f64::from(i));
        suite = suite
            .expect(not_null(&column).mostly(0.9))
            .expect(in_range(&column, at - 4.0..=at + 4.0).mostly(0.9));
        if i < 66 {
            suite = suite.expect(mean(&column, at - 0.1..=at + 0.1));
        }
    }
    time("wide", &suite, source, Verdict::Pass)
}

/// 16 checks of 10 columns from Parquet, with the failing rows.
fn tall(path: &Path) -> Result<()> {
    let mut suite = Suite::new("tall");
    for i in 0..10 {
        let (column, at) = (format!("c{i}"), f64::from(i));
        suite = suite.expect(in_range(&column, at - 4.5..=at + 4.5).mostly(0.9));
        if i < 6 {
            suite = suite.expect(not_null(&column).mostly(0.9));
        }
    }
    let source = ParquetSource::open(path)?;
    time("parquet", &suite, &source, Verdict::Pass)?;
    time("parquet_rows", &suite, &source, Verdict::Pass)
}

/// Exact distinct counts.
fn distinct(source: &MemorySource) -> Result<()> {
    for column in ["random", "dense", "sorted", "text"] {
        let suite = Suite::new("distinct").expect(unique_count(column, 1..));
        time(&format!("distinct_{column}"), &suite, source, Verdict::Pass)?;
    }
    for column in ["random", "dense", "sorted", "text"] {
        let suite = Suite::new("unique").expect(unique(column).mostly(0.9));
        time(&format!("unique_{column}"), &suite, source, Verdict::Pass)?;
    }
    Ok(())
}

/// One record against 50 checks; in ms as the others, so 0.002 are 2 µs.
fn record() -> Result<()> {
    let batch = RecordBatch::try_from_iter([
        ("age", Arc::new(Int64Array::from(vec![31])) as ArrayRef),
        ("income", Arc::new(Float64Array::from(vec![52_000.0]))),
        ("country", Arc::new(StringArray::from(vec!["NO"]))),
        ("email", Arc::new(StringArray::from(vec!["somebody@example.org"]))),
        ("debt", Arc::new(Float64Array::from(vec![8_000.0]))),
    ])?;
    let checks = |i: i64| -> mlops::core::Result<Vec<Expectation>> {
        Ok(vec![
            not_null("age"),
            in_range("age", i..=99),
            not_null("income"),
            in_range("income", 0.0..=1e6),
            in_set("country", ["NO", "SE", "DK", "FI"]),
            string_length("email", 3..=80),
            in_range("debt", 0.0..=1e6),
            not_null("country"),
            satisfies("debt <= 5 * income")?,
            not_null("debt"),
        ])
    };
    let mut suite = Suite::new("requests");
    for i in 0..5 {
        suite = checks(i)?.into_iter().fold(suite, Suite::expect);
    }
    let judge = suite.for_records(&batch.schema())?;
    let record = [
        Value::Int(31),
        Value::Float(52_000.0),
        Value::Text("NO"),
        Value::Text("somebody@example.org"),
        Value::Float(8_000.0),
    ];
    let start = Instant::now();
    for _ in 0..TIMES {
        black_box(judge.verdict(black_box(&record))?);
    }
    println!("record_50 {:.6}", start.elapsed().as_secs_f64() * 1e3 / f64::from(TIMES));
    Ok(())
}

struct Data {
    nine: MemorySource,
    wide: MemorySource,
    tall: PathBuf,
    distinct: MemorySource,
    /// Holds the file that was made.
    _made: Option<tempfile::TempDir>,
}

impl Data {
    fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            nine: loaded(&folder.join("nine.arrow"))?,
            wide: loaded(&folder.join("wide.arrow"))?,
            tall: folder.join("tall.parquet"),
            distinct: loaded(&folder.join("distinct.arrow"))?,
            _made: None,
        })
    }

    fn make(rows: usize) -> Result<Self> {
        let mut draws = Draws::new(20240301, 0, 0);
        let mut normal = |rows: usize, mean: f64, sd: f64| -> ArrayRef {
            Arc::new((0..rows).map(|_| Some(mean + sd * draws.normal())).collect::<Float64Array>())
        };
        let numbers = |rows: usize, f: &dyn Fn(u64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values((0..rows as u64).map(f)))
        };
        // Odd, so a permutation of the numbers below a power of two.
        let shuffled = |i: u64, of: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7) % of;
        let texts = |rows: usize, f: &dyn Fn(u64) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..rows as u64).map(f)))
        };
        let x = normal(rows, 100.0, 15.0);
        let nine = RecordBatch::try_from_iter([
            ("id", numbers(rows, &|i| i as i64 ^ 0x5555)),
            ("x", x),
            ("y", normal(rows, 20.0, 2.0)),
            ("kind", texts(rows, &|i| KINDS[i as usize % 4].into())),
            (
                "email",
                texts(rows, &|i| format!("user{}@example{}.org", shuffled(i, 1 << 30), i % 97)),
            ),
        ])?;
        let wide: Vec<_> =
            (0..80).map(|i| (format!("c{i}"), normal(rows, f64::from(i), 1.0))).collect();
        let tall: Vec<_> =
            (0..10).map(|i| (format!("c{i}"), normal(rows * 10, f64::from(i), 1.0))).collect();
        let distinct = RecordBatch::try_from_iter([
            (
                "random",
                numbers(rows * 10, &|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2) as i64),
            ),
            ("dense", numbers(rows * 10, &|i| i as i64 ^ 0x5555)),
            ("sorted", numbers(rows * 10, &|i| 5 * i as i64)),
            (
                "text",
                texts(rows * 10, &|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2).to_string()),
            ),
        ])?;
        let made = tempfile::tempdir()?;
        let path = made.path().join("tall.parquet");
        let tall = MemorySource::from(RecordBatch::try_from_iter(tall)?);
        write_all(&tall, Box::new(ParquetSink::create(&path, tall.schema())?))?;
        Ok(Self {
            nine: nine.into(),
            wide: RecordBatch::try_from_iter(wide)?.into(),
            tall: path,
            distinct: distinct.into(),
            _made: Some(made),
        })
    }
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
