//! A process whose threads track is killed at random instants: each thread's runs are as they were
//! after the last step that it was told is done, or after the next one, to the last point.
//!
//! `MLOPS_KILLS` raises the number of kills.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Child;

use mlops_core::{Digest, Timestamp};
use mlops_registry::tracking::{
    Batch, Dataset, LoggedModel, NewExperiment, NewRun, Query, RunChange, RunStatus, Tracker,
    TrackerExt, View,
};
use mlops_registry::{MemoryRegistry, SqliteRegistry};

mod children;

use children::{AT, Random, heard, kill_after, say, text};

/// How many threads track in a child; their changes are committed together.
const THREADS: usize = 3;

fn after(millis: usize) -> Timestamp {
    Timestamp::from_millis(AT.millis() + millis as i64)
}

/// Some points of two metrics.
fn points(steps: std::ops::Range<usize>) -> Batch {
    steps.fold(Batch::new(), |batch, i| {
        let value = if i % 7 == 0 { f64::NAN } else { i as f64 };
        batch.metric("loss", value, i as i64, after(i)).metric("auc", -value, 0, after(i))
    })
}

/// The `n`-th thing that a thread does: all of it or nothing. Only the first thread deletes,
/// because garbage is collected of all.
fn step(tracker: &dyn Tracker, tag: &str, n: usize) {
    let (run, phase) = (n / 8, n % 8);
    let id = format!("{tag}-{run}");
    let deletes = tag.ends_with("t0");
    let experiment = || tracker.find_experiment(tag).unwrap().unwrap().id;
    let side = |run: usize| format!("{tag} beside {run}");
    let log = |batch: Batch| {
        tracker.log(&id, &batch).unwrap();
    };
    match (phase, run % 4) {
        (0, _) if n == 0 => drop(tracker.create_experiment(NewExperiment::new(tag), AT).unwrap()),
        (0, _) => {
            let side = NewExperiment::new(side(run)).with_tag("n", run.to_string());
            tracker.create_experiment(side, AT).unwrap();
        }
        (1, _) => {
            let mut new = NewRun::new(experiment()).with_id(&id).with_param("run", run);
            new.batch = new.batch.param("long", "x".repeat(3000)).tag("state", "new");
            tracker.create_run(new, AT).unwrap();
        }
        (2, _) => log(points(0..20)),
        // More than a chunk; and some of it once more.
        (3, _) => log(points(10..900)),
        (4, _) => log(points(850..1700)
            .param("run", run)
            .tag("state", "done")
            .dataset(Dataset::new("adult", format!("sha256:{run}")))
            .model(LoggedModel::new("m", Digest::of(&id)))),
        (5, _) => drop(tracker.finish_run(&id, RunStatus::Finished, after(run)).unwrap()),
        (6, 0 | 2) if deletes => tracker.delete_run(&id, after(run)).unwrap(),
        (6, 1) if deletes && run > 1 => {
            let beside = tracker.find_experiment(&side(run)).unwrap().unwrap().id;
            tracker.delete_experiment(beside, after(run)).unwrap();
        }
        (7, 0) if deletes => tracker.restore_run(&id).unwrap(),
        // The run that was just deleted, and the experiment beside the one before it.
        (7, 2) if deletes => drop(tracker.collect_garbage(after(run + 1)).unwrap()),
        _ => {
            let name = Some(format!("{phase} of {id}"));
            let remove_tags = vec!["state".to_owned()];
            let change = RunChange { name, remove_tags, ..RunChange::default() };
            tracker.change_run(&id, change, AT).unwrap();
        }
    }
}

/// All that a thread has made, as text.
fn contents(tracker: &dyn Tracker, tag: &str) -> String {
    let mut out = String::new();
    for experiment in tracker.experiments(View::All).unwrap() {
        if experiment.name == tag || experiment.name.starts_with(&format!("{tag} ")) {
            let (name, tags) = (&experiment.name, &experiment.tags);
            writeln!(out, "{name} {tags:?} {:?}", experiment.deleted_at).unwrap();
            let query = Query::new().experiment(experiment.id).view(View::All);
            let mut runs = tracker.search_all(&query).unwrap();
            runs.sort_by(|a, b| a.id.cmp(&b.id));
            for mut run in runs {
                run.experiment = 0;
                writeln!(out, "{run:?}").unwrap();
                for key in run.metrics.keys() {
                    let points = tracker.metric_history(&run.id, key).unwrap();
                    writeln!(out, "{} {:?}", points.len(), Digest::of(format!("{points:?}")))
                        .unwrap();
                }
            }
        }
    }
    out
}

/// What the child processes do; without their environment it is no test at all.
#[test]
fn child() {
    let Ok(path) = std::env::var("MLOPS_CHILD") else { return };
    let steps: usize = std::env::var("MLOPS_STEPS").unwrap().parse().unwrap();
    let (tag, registry) = (std::env::var("MLOPS_TAG").unwrap(), SqliteRegistry::open(path));
    let registry = registry.unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (tag, registry) = (format!("{tag}t{thread}"), &registry);
            scope.spawn(move || {
                for n in 0..steps {
                    step(registry, &tag, n);
                    say(&format!("{tag} {n}"));
                }
            });
        }
    });
}

fn spawn(path: &Path, tag: &str, steps: usize) -> Child {
    let steps = steps.to_string();
    let path = text(path);
    children::spawn(&[("MLOPS_CHILD", path), ("MLOPS_STEPS", &steps), ("MLOPS_TAG", tag)])
}

/// Each thread's runs are what its steps make of them; how many steps were told done.
fn check(registry: &SqliteRegistry, tag: &str, told: &[String]) -> usize {
    let found = registry.verify().unwrap();
    assert!(found.is_whole(), "{found}");
    for thread in 0..THREADS {
        let tag = format!("{tag}t{thread}");
        let done = told.iter().filter(|line| line.split(' ').next() == Some(&tag)).count();
        let model = MemoryRegistry::new();
        (0..done).for_each(|n| step(&model, &tag, n));
        let stored = contents(registry, &tag);
        if stored != contents(&model, &tag) {
            // The step that was under way is done wholly.
            step(&model, &tag, done);
            assert_eq!(stored, contents(&model, &tag), "{tag} after {done} steps");
        }
    }
    told.len()
}

#[test]
fn killed_at_random_instants() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random(11);
    let kills = children::kills(60);
    let mut steps = 0;
    for kill in 0..kills {
        // Six kills a file: the first fall into its making, the later find what others left.
        let path = directory.path().join(format!("registry-{}.db", kill / 6));
        let tag = format!("k{kill}");
        let told = kill_after(spawn(&path, &tag, 10_000), random.micros(250_000));
        steps += check(&SqliteRegistry::open(&path).unwrap(), &tag, &told);
    }
    println!("{kills} kills, {steps} steps were told done");
    assert!(steps > 0, "no child got as far as one step");
}

#[test]
fn six_processes_of_one_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.db");
    // Six steps of each thread: nobody deletes or collects.
    let mut children: Vec<_> = (0..6).map(|n| spawn(&path, &format!("p{n}"), 6)).collect();
    let told: Vec<_> = children.iter_mut().map(heard).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a child failed");
    }
    let registry = SqliteRegistry::open(&path).unwrap();
    for (n, told) in told.iter().enumerate() {
        assert_eq!(check(&registry, &format!("p{n}"), told), 6 * THREADS);
    }
    assert_eq!(registry.verify().unwrap().runs, 6 * THREADS as u64);
}
