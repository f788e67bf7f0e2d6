//! Tracking and versions in one SQLite file, durable: the disk has it when a call returns.
//!
//!     cargo bench --bench registry -- [folder] [full]
//!
//! prints lines `name milliseconds`, the time of one piece of work, with the names that
//! `benches/peers/registry.py` explains; it runs this beside a real MLflow. `full` searches
//! 100,000 runs of 20 metrics instead of 2,000. Without a folder, a temporary one is used.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use mlops::core::{NewVersion, Registry, Timestamp};
use mlops::registry::SqliteRegistry;
use mlops::registry::tracking::{
    Batch, Logger, LoggerOptions, Metric, NewRun, Query, Tracker, TrackerExt,
};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Threads that wait for the disk together.
const THREADS: usize = 64;
const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);

fn main() -> Result<()> {
    let (mut folder, mut runs) = (None, 2_000);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "full" => runs = 100_000,
            flag if flag.starts_with("--") => {}
            path => folder = Some(PathBuf::from(path)),
        }
    }
    let scratch = match folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    writes(scratch.path())?;
    search(scratch.path(), runs)
}

/// The time of one of `n` pieces of work.
fn say(name: &str, n: usize, start: Instant) {
    println!("{name} {:.6}", start.elapsed().as_secs_f64() * 1e3 / n as f64);
}

fn writes(folder: &Path) -> Result<()> {
    let registry = Arc::new(SqliteRegistry::open(folder.join("writes.db"))?);
    let id = registry.open_experiment("bench", AT)?.id;
    let run = registry.create_run(NewRun::new(id), AT)?.id;
    let threads = |n: usize, work: &(dyn Fn(usize) -> mlops::core::Result<()> + Sync)| {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..THREADS)
                .map(|t| scope.spawn(move || (0..n / THREADS).try_for_each(|i| work(t * n + i))))
                .collect();
            all.into_iter().all(|thread| matches!(thread.join(), Ok(Ok(()))))
        })
    };
    let expect = |good: bool| if good { Ok(()) } else { Err("a thread failed") };
    let create = |_| registry.create_run(NewRun::new(id), AT).map(drop);
    let start = Instant::now();
    (0..200).try_for_each(create)?;
    say("run", 200, start);
    let start = Instant::now();
    expect(threads(12_800, &create))?;
    say("run_threads", 12_800, start);

    let metric = |step: usize| {
        let batch = Batch::new().metric("loss", 0.5, step as i64, AT);
        registry.log(&run, &batch).map(drop)
    };
    let start = Instant::now();
    (0..200).try_for_each(metric)?;
    say("metric", 200, start);
    let start = Instant::now();
    expect(threads(12_800, &metric))?;
    say("metric_threads", 12_800, start);

    let logger = Logger::new(registry.clone(), &run, LoggerOptions::default())?;
    let start = Instant::now();
    for step in 0..200_000 {
        logger.metric("queued", 0.5, step, AT)?;
    }
    logger.finish()?;
    say("metric_queued", 200_000, start);

    for (name, points) in [("batch_1000", 1_000), ("batch_100000", 100_000)] {
        let start = Instant::now();
        for n in 0..10 {
            let metric = |i: usize| {
                Metric::new(format!("{name}/{}", i * 10 / points), 0.5, (n * points + i) as i64, AT)
            };
            let batch = Batch { metrics: (0..points).map(metric).collect(), ..Batch::new() };
            registry.log(&run, &batch)?;
        }
        say(name, 10, start);
    }

    let start = Instant::now();
    for i in 0..200 {
        let new = NewVersion::new("loans", "ana").with_artifact("model", format!("{i}"));
        registry.register(new, AT)?;
    }
    say("version", 200, start);
    drop(registry);
    let start = Instant::now();
    for _ in 0..10 {
        drop(black_box(SqliteRegistry::open(folder.join("writes.db"))?));
    }
    say("open", 10, start);
    Ok(())
}

fn search(folder: &Path, runs: usize) -> Result<()> {
    let registry = SqliteRegistry::open(folder.join("search.db"))?;
    let id = registry.open_experiment("bench", AT)?.id;
    let workers = 64;
    std::thread::scope(|scope| {
        let registry = &registry;
        let make = |t: usize| {
            (0..runs / workers).try_for_each(|i| {
                let mut new = NewRun::new(id).with_param("model", ["tree", "linear"][i % 2]);
                for m in 0..20 {
                    // A permutation: values in no order.
                    let value = ((t * runs + i * 7919 + m * 104_729) % 10_007) as f64 / 10_007.0;
                    new.batch = new.batch.metric(format!("m{m}"), value, 0, AT);
                }
                registry.create_run(new, AT).map(drop)
            })
        };
        let all: Vec<_> = (0..workers).map(|t| scope.spawn(move || make(t))).collect();
        for thread in all {
            thread.join().map_err(|_| "a thread failed")??;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let all = Query::new().experiment(id);
    let cases = [
        (
            "search",
            all.clone()
                .filter("metrics.m3 > 0.9 and params.model = 'tree'")?
                .order_by("metrics.m1 DESC")?
                .limit(100),
        ),
        ("search_1000", all.clone().filter("metrics.m3 > 0.5")?),
        ("search_order", all.clone().order_by("metrics.m1")?),
        (
            "search_many",
            all.clone()
                .filter("metrics.m3 > 0.5 and metrics.m4 < 0.5 and metrics.m5 >= 0.25")?
                .order_by("metrics.m6")?
                .limit(100),
        ),
        ("search_text", all.clone().filter("params.model like 't%'")?.limit(100)),
    ];
    for (name, query) in cases {
        let mut least = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            let page = black_box(registry.search(&query)?);
            least = least.min(start.elapsed().as_secs_f64() * 1e3);
            if page.items.is_empty() {
                return Err("nothing was found".into());
            }
        }
        println!("{name} {least:.3}");
    }
    Ok(())
}
