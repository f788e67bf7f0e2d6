//! Searches of many runs, which several connections read at once.

#![cfg(feature = "sqlite")]

use std::sync::atomic::{AtomicBool, Ordering};

use mlops_core::Timestamp;
use mlops_registry::tracking::{
    Batch, Dataset, DatasetPart, Field, NewRun, Order, Query, Run, Tracker, TrackerExt, View,
};
use mlops_registry::{MemoryRegistry, SqliteRegistry};

const AT: Timestamp = Timestamp::from_millis(1_769_860_800_000);
/// More than one connection alone would read.
const RUNS: usize = 2_300;
/// Enough to differ in everything.
const FEW: usize = 500;

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

/// Random filters and orders of several experiments, some of them deleted, with values that are
/// nasty: one connection or several, whole or in pages, find what memory finds.
#[test]
fn any_search_finds_what_memory_finds() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = SqliteRegistry::open(folder.path().join("r.db")).expect("a registry");
    let memory = MemoryRegistry::new();
    let numbers = [
        f64::NAN,
        -f64::NAN,
        -0.0,
        0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        5e-324,
        -5e-324,
        f64::MAX,
        1.0,
        -1.0,
        0.1,
    ];
    let long = "x".repeat(3_000);
    let texts = ["", "a", "A", "ä", "a%", "it's", "a_b\\", "\u{1f600}", "\n", &long];
    let times = [i64::MIN, i64::MIN + 1, -1, 0, 1, AT.millis(), i64::MAX - 1, i64::MAX];
    // Enough for several connections; eight threads are synced together.
    let many = file.open_experiment("many", AT).expect("an experiment").id;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..RUNS / 8 {
                    file.create_run(NewRun::new(many), AT).expect("a run");
                }
            });
        }
    });
    memory.open_experiment("many", AT).expect("an experiment");
    for tracker in [&file as &dyn Tracker, &memory] {
        let mut random = Random(7);
        let made: Vec<u64> = (0..3)
            .map(|i| tracker.open_experiment(&format!("e{i}"), AT).expect("an experiment").id)
            .collect();
        assert_eq!(made, [2, 3, 4]);
        for i in 0..FEW {
            let mut new = NewRun::new(random.of(&made)).with_id(format!("r{i}"));
            for key in ["a", "b"] {
                if random.below(3) > 0 {
                    new.batch = new.batch.metric(key, random.of(&numbers), 0, AT);
                }
            }
            if random.below(3) > 0 {
                new = new.with_param("p", random.of(&texts));
            }
            if random.below(3) > 0 {
                new = new.with_tag("t", random.of(&texts));
            }
            for _ in 0..random.below(3) {
                let digest = mlops_core::Digest::of(b"x");
                let data = Dataset::new(random.of(&["train", "test"]), digest);
                let data = data.with_context(random.of(&["", "training", "evaluation"]));
                new.batch.datasets.push(data);
            }
            let start = Timestamp::from_millis(random.of(&times));
            let run = tracker.create_run(new, start).expect("a run");
            if random.below(9) == 0 {
                tracker.delete_run(&run.id, AT).expect("deleted");
            }
        }
        tracker.delete_experiment(4, AT).expect("deleted");
        // The many go.
        tracker.delete_experiment(many, Timestamp::from_millis(0)).expect("deleted");
        tracker.collect_garbage(Timestamp::from_millis(1)).expect("collected");
    }
    let mut random = Random(11);
    let fields = ["metrics.a", "metrics.b", "params.p", "tags.t", "start_time", "end_time"];
    let more = ["datasets.name", "datasets.context", "run_id", "status", "user_id", "metrics.none"];
    let leaf = |random: &mut Random| {
        let field = if random.below(3) == 0 { random.of(&more) } else { random.of(&fields) };
        let how = random.of(&["=", "!=", "<", "<=", ">", ">="]);
        let text = |random: &mut Random| format!("'{}'", random.of(&texts).replace('\'', "''"));
        match field {
            _ if random.below(6) == 0 => {
                format!("{field} is {}null", random.of(&["", "not "]))
            }
            "metrics.a" | "metrics.b" | "metrics.none" => {
                format!("{field} {how} {:?}", random.of(&numbers)).replace("NaN", "nan")
            }
            "start_time" | "end_time" => format!("{field} {how} {}", random.of(&times)),
            "status" => format!("status {} 'RUNNING'", random.of(&["=", "!="])),
            _ => match random.below(4) {
                0 => format!("{field} in ({}, {})", text(random), text(random)),
                1 => format!(
                    "{field} {}{}like '{}%'",
                    random.of(&["", "not "]),
                    random.of(&["", "i"]),
                    random.of(&["", "a", "r1", "_", "t", "\\%"])
                ),
                _ => format!("{field} {} {}", random.of(&["=", "!="]), text(random)),
            },
        }
    };
    let mut found_some = 0;
    for _ in 0..100 {
        let mut filter = String::new();
        for n in 0..random.below(5) {
            if n > 0 {
                filter.push_str(random.of(&[" and ", " or "]));
            }
            let leaf = leaf(&mut random);
            let parts = if random.below(4) == 0 { ["not (", &leaf, ")"] } else { ["", &leaf, ""] };
            filter.extend(parts);
        }
        let mut query = match Query::new().filter(&filter) {
            Ok(query) => query,
            Err(e) => panic!("{filter}: {e}"),
        };
        for _ in 0..random.below(3) {
            let field = random.of(&[
                "metrics.a",
                "metrics.b",
                "params.p",
                "tags.t",
                "start_time",
                "end_time",
                "run_id",
            ]);
            query = query.order_by(&format!("{field}{}", random.of(&["", " desc"]))).expect(field);
        }
        for _ in 0..random.below(3) {
            query = query.experiment(2 + random.below(3) as u64);
        }
        query = query.view(random.of(&[View::Active, View::Deleted, View::All]));
        let whole = query.clone().limit(5_000);
        let found = file.search(&whole).expect(&filter).items;
        let expected = memory.search(&whole).expect(&filter).items;
        assert_eq!(ids(&found), ids(&expected), "{query:?}");
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        let paged = query.limit(1 + found.len() / (1 + random.below(7)));
        let paged = file.search_all(&paged).expect("pages");
        assert_eq!(ids(&paged), ids(&found), "{filter}, in pages");
        found_some += usize::from(!found.is_empty() && found.len() < FEW);
    }
    assert!(found_some > 30, "{found_some} of 100 found something");
    let order = Order::ascending(Field::Dataset(DatasetPart::Name));
    for tracker in [&file as &dyn Tracker, &memory] {
        let mut query = Query::new();
        query.order.push(order.clone());
        tracker.search(&query).expect_err("a run may have many");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
