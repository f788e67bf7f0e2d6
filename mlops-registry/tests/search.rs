//! Searches of many runs, which several connections read at once.

#![cfg(feature = "sqlite")]

use std::sync::atomic::{AtomicBool, Ordering};

use mlops_core::Timestamp;
use mlops_registry::tracking::{Batch, NewRun, Query, Run, Tracker, TrackerExt};
use mlops_registry::{MemoryRegistry, SqliteRegistry};

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);
/// More than one connection alone would read.
const RUNS: usize = 2_300;

/// Runs with ties, NaN, −0, texts, gaps and deleted ones among them, always the same.
fn fill(tracker: &(dyn Tracker + Sync)) -> u64 {
    let id = tracker.open_experiment("many", AT).expect("an experiment").id;
    for i in 0..RUNS {
        let x = (i * 7919) % 1013;
        let mut new = NewRun::new(id)
            .with_id(format!("r{i}"))
            .with_param("model", ["tree", "linear", "boosted"][x % 3]);
        let value = match x {
            0..5 => f64::NAN,
            5..10 => -0.0,
            10..15 => 0.0,
            15 => f64::INFINITY,
            _ => (x % 97) as f64 - 50.0,
        };
        new.batch = new.batch.metric("a", value, 0, AT);
        if x % 2 == 0 {
            new.batch = new.batch.metric("b", -value, 0, AT);
        }
        // They do not start in the order in which they are made.
        let start = Timestamp::from_millis(AT.millis() + (x % 50) as i64);
        let run = tracker.create_run(new, start).expect("a run");
        if x % 101 == 0 {
            tracker.delete_run(&run.id, AT).expect("deleted");
        }
    }
    id
}

fn ids(runs: &[Run]) -> Vec<&str> {
    runs.iter().map(|run| run.id.as_str()).collect()
}

#[test]
fn many_readers_find_what_one_finds() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = SqliteRegistry::open(folder.path().join("r.db")).expect("a registry");
    let memory = MemoryRegistry::new();
    let (id, same) = (fill(&file), fill(&memory));
    for (filter, order) in [
        ("", &[][..]),
        ("", &["metrics.a"]),
        ("", &["metrics.a DESC"]),
        ("", &["metrics.b DESC", "metrics.a"]),
        ("", &["params.model", "start_time DESC", "metrics.a"]),
        ("metrics.a > 0 and metrics.b < 0", &["metrics.b"]),
        ("metrics.a >= 0 and params.model = 'tree' and metrics.a < 20", &["metrics.a DESC"]),
        ("metrics.b is null or metrics.a = 0", &["start_time"]),
        ("not (metrics.a != 0) or params.model like 'b%'", &["run_id"]),
        ("metrics.a > 1000", &["metrics.a"]),
        ("metrics.nowhere > 0 or metrics.a = inf", &[]),
    ] {
        let query = |id| {
            let mut query = Query::new().experiment(id).filter(filter).expect(filter);
            for order in order {
                query = query.order_by(order).expect(order);
            }
            query
        };
        let (found, expected) = (query(id).limit(5_000), query(same).limit(5_000));
        let found = file.search(&found).expect(filter).items;
        let expected = memory.search(&expected).expect(filter).items;
        assert_eq!(ids(&found), ids(&expected), "{filter} by {order:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.params, expected.params);
            assert_eq!(format!("{:?}", found.metrics), format!("{:?}", expected.metrics));
        }
        let paged = file.search_all(&query(id).limit(301)).expect("pages");
        assert_eq!(ids(&paged), ids(&found), "{filter} by {order:?}, in pages");
    }
}

#[test]
fn many_readers_see_one_instant() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.db");
    let registry = SqliteRegistry::open(&path).expect("a registry");
    let id = fill(&registry);
    let run = registry.create_run(NewRun::new(id), AT).expect("a run").id;
    let both = Query::new().experiment(id).filter("metrics.p > 0 and metrics.q > 0");
    let either = Query::new().experiment(id).filter("metrics.p > 0 or metrics.q > 0");
    let (both, either) = (both.expect("a filter"), either.expect("a filter"));
    let sides = |step: i64| {
        let up = if step % 2 == 0 { 1.0 } else { -1.0 };
        Batch::new().metric("p", up, step, AT).metric("q", -up, step, AT)
    };
    registry.log(&run, &sides(0)).expect("a step");
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = SqliteRegistry::open(&path).expect("another");
            for step in 1.. {
                other.log(&run, &sides(step)).expect("a step");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let look = |_| Ok((registry.search(&both)?.items, registry.search(&either)?.items));
        let seen: mlops_core::Result<Vec<_>> = (0..200).map(look).collect();
        done.store(true, Ordering::Relaxed);
        seen
    });
    for (both, either) in seen.expect("searches") {
        assert!(both.is_empty(), "two instants: {:?}", both[0].metrics);
        assert_eq!(either.len(), 1);
    }
}
