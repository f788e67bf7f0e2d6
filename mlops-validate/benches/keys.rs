//! Exact uniqueness of 10 M rows, in milliseconds: the best of five scans from memory, with as many
//! threads as rayon takes (`RAYON_NUM_THREADS`). An argument picks the lines that contain it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mlops_core::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use mlops_core::{DataSource, DataSourceExt, MemorySource};
use mlops_validate::{Keys, Missing};

const ROWS: i64 = 10_000_000;

/// Any 64 bits, each once.
fn spread(i: i64) -> i64 {
    let mut x = (i as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as i64
}

/// A permutation of the numbers below `ROWS`, near enough to random for a cache.
fn shuffled(i: i64) -> i64 {
    (i * 7_368_787) % ROWS
}

fn integers(of: impl Fn(i64) -> i64) -> Vec<ArrayRef> {
    vec![Arc::new((0..ROWS).map(of).collect::<Int64Array>())]
}

fn texts(of: impl Fn(i64) -> String) -> Vec<ArrayRef> {
    vec![Arc::new((0..ROWS).map(|i| Some(of(i))).collect::<StringArray>())]
}

type Make = Box<dyn Fn() -> Vec<ArrayRef>>;

#[expect(clippy::print_stdout, reason = "a program that prints what it measured")]
fn main() {
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let cases: Vec<(&str, Make)> = vec![
        ("i64/ascending", Box::new(|| integers(|i| i * 3))),
        ("i64/dense", Box::new(|| integers(shuffled))),
        ("i64/any", Box::new(|| integers(spread))),
        ("i64/any/one_repeated", Box::new(|| integers(|i| spread(i.min(ROWS - 2))))),
        ("i64/any/all_twice", Box::new(|| integers(|i| spread(shuffled(i) / 2)))),
        ("i64/any/1000_keys", Box::new(|| integers(|i| spread(shuffled(i) % 1000)))),
        ("i64/dense/all_twice", Box::new(|| integers(|i| shuffled(i) / 2))),
        (
            "i64/any/nulls=0.5",
            Box::new(|| {
                let some = |i| (spread(i) % 2 == 0).then(|| spread(i));
                vec![Arc::new((0..ROWS).map(some).collect::<Int64Array>())]
            }),
        ),
        ("text/short", Box::new(|| texts(|i| shuffled(i).to_string()))),
        (
            "text/long",
            Box::new(|| texts(|i| format!("a customer of ours, number {:016x}", spread(i)))),
        ),
        ("text/short/all_twice", Box::new(|| texts(|i| (shuffled(i) / 2).to_string()))),
        ("text/short/1000_keys", Box::new(|| texts(|i| (shuffled(i) % 1000).to_string()))),
        (
            "i64+i64/any",
            Box::new(|| [integers(|i| spread(i / 100)), integers(|i| i % 100)].concat()),
        ),
    ];
    for (name, make) in cases.iter().filter(|(name, _)| name.contains(&wanted)) {
        let columns = make();
        let names = ["a", "b"];
        let columns = names.into_iter().zip(columns);
        let Ok(batch) = RecordBatch::try_from_iter(columns.clone()) else { continue };
        let source = MemorySource::from(batch);
        let columns: Vec<_> = columns.map(|c| c.0).collect();
        let mut best = (f64::INFINITY, f64::INFINITY);
        let mut said = String::new();
        for _ in 0..5 {
            let measured = Keys::new(&source.schema(), &columns, Missing::All).and_then(|keys| {
                let start = Instant::now();
                let state = source.scan().state(&keys)?;
                let scanned = start.elapsed();
                let found = mlops_core::Analyzer::finish(&keys, state)?;
                let ms = |t: std::time::Duration| t.as_secs_f64() * 1e3;
                let (scanned, all) = (ms(scanned), ms(start.elapsed()));
                Ok((scanned, all, black_box(found)))
            });
            match measured {
                Ok((scanned, all, found)) => {
                    if all < best.1 {
                        best = (scanned, all);
                    }
                    said = found.to_string();
                }
                Err(error) => said = error.to_string(),
            }
        }
        println!("{name:<24}{:>8.1} ms, the scan {:>6.1} ms: {said}", best.1, best.0);
    }
}
