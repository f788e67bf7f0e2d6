//! Counting for fairness, and the metrics that follow: `cargo bench --bench fairness`.
//!
//! Plain lines `name ms`, with ns a row a core: every way in which groups and labels may be stored,
//! at 1 M and 10 M rows on all threads; the least of seven runs. With a folder that
//! `benches/peers/fairness.py` made the work is done on its data, and printed by its names.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::datatypes::{Int8Type, Int16Type, Int32Type};
use mlops::core::stats::Draws;
use mlops::core::{DataSource, DataSourceExt, MemorySource};
use mlops::data::IpcSource;
use mlops::fairness::{
    Composite, Counts, GapKind, Group, GroupCounts, GroupScores, Method, Metric, MetricFrame,
    ScoreMetric,
};

const RUNS: usize = 7;
const BLOCK: usize = 64 * 1024;
const RACES: [&str; 5] = ["White", "Black", "Asian", "Other", "Latino"];
const LONG: [&str; 5] = [
    "African-American",
    "Caucasian, European",
    "Asian or Pacific",
    "Native American",
    "Hispanic or Latino",
];

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    match folder {
        Some(folder) => beside_peers(&PathBuf::from(folder)),
        None => alone(),
    }
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

fn line(name: &str, took: Duration, rows: usize) {
    let cores = rayon::current_num_threads() as f64;
    let each = took.as_secs_f64() * 1e9 * cores / rows as f64;
    println!("{name} {:.3}   {each:.2} ns a row a core", took.as_secs_f64() * 1e3);
}

/// Every metric of counts for every group, with all comparisons.
fn all_metrics(frame: &MetricFrame) -> f64 {
    let mut sum = 0.0;
    let mut take = |value: Result<f64, mlops::fairness::Undefined>| sum += value.unwrap_or(0.0);
    for method in [Method::BetweenGroups, Method::ToOverall] {
        for metric in Metric::ALL {
            take(frame.difference(metric, method));
            take(frame.ratio(metric, method));
        }
        for metric in Composite::ALL {
            take(frame.difference(metric, method));
            take(frame.ratio(metric, method));
        }
    }
    sum
}

fn measure(name: &str, source: &MemorySource, rows: usize, counts: &GroupCounts) -> Result<()> {
    line(name, least(|| Ok(all_metrics(&source.measure(counts)?)))?, rows);
    Ok(())
}

fn loaded(path: &Path) -> Result<(MemorySource, usize)> {
    let file = IpcSource::open(path)?;
    let mut batches: Vec<RecordBatch> = Vec::new();
    for partition in 0..file.partitions()?.len() {
        for batch in file.read(partition, None, usize::MAX)? {
            batches.push(batch?);
        }
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    Ok((MemorySource::new(file.schema(), batches)?, rows))
}

fn beside_peers(folder: &Path) -> Result<()> {
    for (file, size) in [("people_1m", "1m"), ("people_10m", "10m")] {
        let (source, rows) = loaded(&folder.join(format!("{file}.arrow")))?;
        let parity = GroupCounts::new("p", "1", ["race"]);
        measure(&format!("parity_{size}"), &source, rows, &parity)?;
        let all = parity.clone().with_labels("y");
        measure(&format!("metrics_{size}"), &source, rows, &all)?;
        let crossed = GroupCounts::new("p", "1", ["race", "sex"]).with_labels("y");
        measure(&format!("crossed_{size}"), &source, rows, &crossed)?;
        let weighted = all.with_weights("w");
        measure(&format!("weighted_{size}"), &source, rows, &weighted)?;
    }
    Ok(())
}

/// Drawing is slower than counting: a block of draws, again and again.
fn drawn(rows: usize, below: usize, stream: u32) -> impl Iterator<Item = usize> {
    let mut draws = Draws::new(7, stream, 0);
    let block: Vec<usize> = (0..=BLOCK).map(|_| draws.below(below as u64) as usize).collect();
    (0..rows).map(move |i| block[i % block.len()])
}

/// A column of so many labels, or of long ones.
fn column(kind: &str, rows: usize, labels: usize, stream: u32) -> ArrayRef {
    let names: Vec<String> = match labels {
        5 => RACES.map(str::to_owned).to_vec(),
        n => (0..n).map(|i| format!("g{i}")).collect(),
    };
    let drawn = drawn(rows, labels, stream);
    match kind {
        "dictionary/i8" => {
            Arc::new(drawn.map(|i| &*names[i]).collect::<DictionaryArray<Int8Type>>())
        }
        "dictionary/i16" => {
            Arc::new(drawn.map(|i| &*names[i]).collect::<DictionaryArray<Int16Type>>())
        }
        "dictionary/i32" => {
            Arc::new(drawn.map(|i| &*names[i]).collect::<DictionaryArray<Int32Type>>())
        }
        "string" => Arc::new(StringArray::from_iter_values(drawn.map(|i| &names[i]))),
        "view" => Arc::new(StringViewArray::from_iter_values(drawn.map(|i| &names[i]))),
        "string/long" => Arc::new(StringArray::from_iter_values(drawn.map(|i| LONG[i % 5]))),
        "boolean" => Arc::new(drawn.map(|i| Some(i == 1)).collect::<BooleanArray>()),
        "f64" => Arc::new(Float64Array::from_iter_values(drawn.map(|i| i as f64))),
        _ => Arc::new(Int64Array::from_iter_values(drawn.map(|i| i as i64))),
    }
}

fn table(rows: usize, columns: &[(&str, &str, usize)]) -> Result<MemorySource> {
    let columns = (0..)
        .zip(columns)
        .map(|(stream, (name, kind, labels))| (*name, column(kind, rows, *labels, stream)));
    Ok(RecordBatch::try_from_iter(columns)?.into())
}

fn alone() -> Result<()> {
    for (rows, size) in [(1_000_000, "1m"), (10_000_000, "10m")] {
        let counts = GroupCounts::new("p", "1", ["race"]);
        for (groups, labels) in [
            ("dictionary/i8", "boolean"),
            ("dictionary/i16", "boolean"),
            ("dictionary/i32", "boolean"),
            ("boolean", "boolean"),
            ("string", "boolean"),
            ("string", "i64"),
            ("string", "f64"),
            ("string", "string"),
            ("view", "boolean"),
            ("string/long", "boolean"),
            ("i64", "i64"),
        ] {
            let of = if groups == "boolean" { 2 } else { 5 };
            let source = table(rows, &[("race", groups, of), ("y", labels, 2), ("p", labels, 2)])?;
            let counts = if labels == "string" {
                GroupCounts::new("p", "g1", ["race"])
            } else {
                counts.clone()
            };
            let name = format!("parity/{size}/{groups}/{labels}");
            measure(&name, &source, rows, &counts)?;
            let name = format!("metrics/{size}/{groups}/{labels}");
            measure(&name, &source, rows, &counts.with_labels("y"))?;
        }
        // As many columns, and cells of all of them: 5, and 1,000.
        for kind in ["dictionary/i32", "string"] {
            let crossed = GroupCounts::new("p", "1", ["a", "b", "c"]).with_labels("y");
            for (cells, of) in [(5, [5, 1, 1]), (1000, [10, 10, 10])] {
                let [a, b, c] = of.map(|labels| labels);
                let columns = [("a", kind, a), ("b", kind, b), ("c", kind, c)];
                let outcomes = [("y", "boolean", 2), ("p", "boolean", 2)];
                let source = table(rows, &[&columns[..], &outcomes[..]].concat())?;
                measure(&format!("cells/{size}/{kind}/{cells}"), &source, rows, &crossed)?;
            }
        }
        let source = table(rows, &[("race", "string", 5), ("y", "boolean", 2), ("s", "i64", 100)])?;
        let scores = GroupScores::new("y", "1", "s", ["race"]);
        let took = least(|| {
            let frame = source.measure(&scores)?;
            Ok(frame.difference(ScoreMetric::RocAuc, Method::BetweenGroups)?)
        })?;
        line(&format!("roc_auc/{size}/string"), took, rows);
    }
    for n in [2, 5, 20, 64, 1000, 10_000] {
        let groups = (0..n).map(|i| {
            let group = Group { values: vec![Some(i.to_string())] };
            (group, Counts::confusion(300 + i % 50, 100, 500, 100))
        });
        let frame = MetricFrame::new(vec!["group".into()], groups);
        let took = least(|| Ok(GapKind::EqualizedOddsDifference.of(&frame, 0.95)?))?;
        println!("equalized_odds_difference with limits, {n} groups: {took:.1?}");
    }
    Ok(())
}
