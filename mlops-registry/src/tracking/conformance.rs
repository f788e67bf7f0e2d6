//! The contract of a tracker, clause by clause.

use std::collections::BTreeSet;

use mlops_core::{Digest, Error, Timestamp};

use super::{
    Batch, Best, Dataset, ExperimentChange, LoggedModel, Metric, NewExperiment, NewRun, Point,
    Query, Run, RunChange, RunStatus, Tracker, TrackerExt, View,
};

/// Tests the contract of [`Tracker`] on one that has no experiments whose names start with
/// `conformance-`.
///
/// # Panics
/// Where the contract is broken.
pub fn tracker(tracker: &dyn Tracker) {
    experiments(tracker);
    runs(tracker);
    params_and_tags(tracker);
    history(tracker);
    all_or_nothing(tracker);
    searches(tracker);
    pages(tracker);
    deletion(tracker);
    threads(tracker);
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_millis(1_769_860_800_000 + second * 1000)
}

fn experiment(tracker: &dyn Tracker, name: &str) -> u64 {
    let new = NewExperiment::new(format!("conformance-{name}"));
    tracker.create_experiment(new, time(0)).expect("create_experiment").id
}

fn run(tracker: &dyn Tracker, experiment: u64) -> String {
    tracker.create_run(NewRun::new(experiment), time(0)).expect("create_run").id
}

fn invalid<T: std::fmt::Debug>(result: mlops_core::Result<T>, why: &str) {
    let error = result.expect_err(why);
    assert!(matches!(error, Error::Invalid { .. }), "{why}: {error}");
    assert!(error.to_string().len() < 1000, "{why}: an error of sane length");
}

fn missing<T: std::fmt::Debug>(result: mlops_core::Result<T>, why: &str) {
    let error = result.expect_err(why);
    assert!(matches!(error, Error::NotFound { .. }), "{why}: {error}");
    assert!(error.to_string().len() < 1000, "{why}: an error of sane length");
}

fn experiments(tracker: &dyn Tracker) {
    let name = "conformance-größe ✓ 100%";
    let new = NewExperiment::new(name).with_tag("team", "risk").with_tag("a/b", "");
    let made = tracker.create_experiment(new.clone(), time(7)).expect("create_experiment");
    assert_eq!((&made.name, &made.tags), (&new.name, &new.tags), "what was asked for");
    assert_eq!((made.created_at, made.deleted_at), (time(7), None), "the time is the caller's");
    assert_eq!(tracker.experiment(made.id).expect("experiment"), made, "as it was made");
    assert_eq!(tracker.find_experiment(name).expect("find").as_ref(), Some(&made), "by name");
    assert_eq!(tracker.find_experiment("conformance-").expect("find"), None, "no such name");
    missing(tracker.experiment(u64::MAX), "no such experiment");
    missing(tracker.experiment(0), "no such experiment");
    invalid(tracker.create_experiment(new, time(8)), "the name is taken");
    let opened = tracker.open_experiment(name, time(9)).expect("open_experiment");
    assert_eq!(opened, made, "opened, not made again");
    let other = tracker.open_experiment("conformance-other", time(9)).expect("open_experiment");
    assert!(other.id > made.id, "ids count up");

    let long = "n".repeat(501);
    for bad in ["", " ", "a\nb", "a\0b", &long] {
        invalid(tracker.create_experiment(NewExperiment::new(bad), time(0)), "a bad name");
    }
    let bad_tag = NewExperiment::new("conformance-bad").with_tag("../x", "");
    invalid(tracker.create_experiment(bad_tag, time(0)), "a bad key of a tag");
    assert_eq!(tracker.find_experiment("conformance-bad").expect("find"), None, "not made");

    let mut change = ExperimentChange { name: Some(name.into()), ..Default::default() };
    invalid(tracker.change_experiment(other.id, change.clone()), "the name is taken");
    change.name = Some("conformance-renamed".into());
    change.tags.insert("team".into(), None);
    change.tags.insert("new".into(), Some("1".into()));
    let changed = tracker.change_experiment(made.id, change.clone()).expect("change");
    assert_eq!(changed.name, "conformance-renamed", "the new name");
    let tags: Vec<_> = changed.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(tags, [("a/b", ""), ("new", "1")], "a tag set, a tag taken away");
    assert_eq!(tracker.experiment(made.id).expect("experiment"), changed, "as it was changed");
    let again = tracker.change_experiment(made.id, change.clone()).expect("its own name again");
    assert_eq!(again, changed, "the same change again changes nothing");
    missing(tracker.change_experiment(u64::MAX, change), "no such experiment");
    let ids: Vec<_> =
        tracker.experiments(View::All).expect("experiments").iter().map(|e| e.id).collect();
    assert!(ids.is_sorted() && ids.contains(&made.id) && ids.contains(&other.id), "all, by id");
}

fn runs(tracker: &dyn Tracker) {
    let id = experiment(tracker, "runs");
    let plain = tracker.create_run(NewRun::new(id), time(1)).expect("create_run");
    assert_eq!(plain.id.len(), 32, "32 digits: {}", plain.id);
    assert!(plain.id.bytes().all(|b| b"0123456789abcdef".contains(&b)), "hexadecimal");
    assert_eq!(plain.name, format!("run-{}", &plain.id[..8]), "a name of its own");
    assert_eq!((plain.status, plain.experiment), (RunStatus::Running, id), "it runs");
    assert_eq!((plain.started_at, plain.ended_at), (time(1), None), "the time is the caller's");
    assert_eq!(tracker.run(&plain.id).expect("run"), plain, "as it was made");

    let dataset = Dataset::new("loans", "d1").with_source("s3://x?y").with_context("training");
    let model = LoggedModel::new("model", Digest::of(b"model")).at_step(-3);
    let mut new = NewRun::new(id)
        .with_id(format!("conformance-{}", &plain.id[..8]))
        .with_name("größe ✓")
        .with_parent(&plain.id)
        .with_user("ana")
        .with_source("train.rs")
        .with_commit("0f")
        .with_param("depth", 3)
        .with_tag("team", "risk");
    new.batch =
        new.batch.metric("auc", 0.5, 1, time(2)).dataset(dataset.clone()).model(model.clone());
    let full = tracker.create_run(new.clone(), time(2)).expect("create_run");
    assert_eq!(Some(&full.id), new.id.as_ref(), "the id is the caller's");
    assert_eq!((&*full.name, full.parent.as_ref()), ("größe ✓", Some(&plain.id)), "its fields");
    let texts = (full.user.as_deref(), full.source.as_deref(), full.commit.as_deref());
    assert_eq!(texts, (Some("ana"), Some("train.rs"), Some("0f")), "its fields");
    assert_eq!((full.params["depth"].as_str(), full.tags["team"].as_str()), ("3", "risk"));
    assert_eq!((full.metric("auc"), full.metric("loss")), (Some(0.5), None), "its metric");
    assert_eq!((&full.datasets, &full.models), (&vec![dataset], &vec![model]), "in and out");
    assert_eq!(tracker.run(&full.id).expect("run"), full, "as it was made");
    let children = tracker.children(&plain.id).expect("children");
    assert_eq!(children, std::slice::from_ref(&full), "the parts of a run");

    invalid(tracker.create_run(new.clone(), time(3)), "the id is taken");
    missing(tracker.create_run(NewRun::new(u64::MAX), time(3)), "no such experiment");
    missing(tracker.create_run(NewRun::new(id).with_parent("none"), time(3)), "no such parent");
    let bad = [
        NewRun::new(id).with_id("../x"),
        NewRun::new(id).with_id(""),
        NewRun::new(id).with_name("a\nb"),
        NewRun::new(id).with_param("a//b", 1),
        NewRun::new(id).with_param("k".repeat(251), 1),
        NewRun::new(id).with_param("k", "v".repeat(6001)),
        NewRun::new(id).with_tag("k", "v".repeat(8001)),
        NewRun::new(id).with_tag("k", "\0"),
        NewRun::new(id).with_id("self").with_parent("self"),
    ];
    for new in bad {
        invalid(tracker.create_run(new, time(3)), "a bad run");
    }
    let in_it = Query::new().experiment(id).view(View::All);
    assert_eq!(tracker.search_all(&in_it).expect("search").len(), 2, "what failed left nothing");

    let change = RunChange { name: Some("other".into()), ..RunChange::default() };
    let changed = tracker.change_run(&full.id, change, time(4)).expect("change_run");
    assert_eq!(changed, Run { name: "other".into(), ..full.clone() }, "another name");
    let done = tracker.finish_run(&full.id, RunStatus::Failed, time(5)).expect("finish_run");
    assert_eq!((done.status, done.ended_at), (RunStatus::Failed, Some(time(5))), "it ended");
    assert_eq!(done.millis(), Some(3000), "how long it took");
    invalid(tracker.finish_run(&full.id, RunStatus::Running, time(5)), "no end");
    tracker.log(&full.id, &Batch::new().tag("late", "yes")).expect("a run that is over takes more");
    let resumed = tracker.resume_run(&full.id, time(6)).expect("resume_run");
    assert_eq!((resumed.status, resumed.ended_at), (RunStatus::Running, None), "it goes on");
    assert_eq!(resumed.metrics, full.metrics, "with what it had");
    let change =
        RunChange { remove_tags: vec!["late".into(), "none".into()], ..RunChange::default() };
    let changed = tracker.change_run(&full.id, change, time(7)).expect("change_run");
    assert_eq!(changed.tags, full.tags, "a tag taken away");
    assert_eq!(tracker.run(&full.id).expect("run"), changed, "as it was changed");
    for id in ["", "none", "../x", &"x".repeat(100_000)] {
        missing(tracker.run(id), "no such run");
        missing(tracker.log(id, &Batch::new()), "no such run");
        missing(tracker.metric_history(id, "auc"), "no such run");
        missing(tracker.change_run(id, RunChange::default(), time(0)), "no such run");
        missing(tracker.delete_run(id, time(0)), "no such run");
        missing(tracker.restore_run(id), "no such run");
    }
}

fn params_and_tags(tracker: &dyn Tracker) {
    let id = run(tracker, experiment(tracker, "params"));
    let text = "line\nfeed, ' \" % \\ and ✓".to_owned();
    let batch = Batch::new().param("text", &text).param("empty", "").tag("t", "1");
    let logged = tracker.log(&id, &batch).expect("log");
    assert_eq!((logged.params, logged.tags, logged.repeated), (2, 1, 0), "what was added");
    let logged = tracker.log(&id, &batch).expect("the same again is fine");
    assert_eq!((logged.params, logged.tags, logged.repeated), (0, 1, 2), "nothing was added");
    let long = ("p".repeat(6000), "ü".repeat(8000));
    tracker.log(&id, &Batch::new().param("p", &long.0).tag("t", &long.1)).expect("the longest");
    let run = tracker.run(&id).expect("run");
    assert_eq!((&run.params["text"], &*run.params["empty"]), (&text, ""), "as they were given");
    assert_eq!((&run.params["p"], &run.tags["t"]), (&long.0, &long.1), "a tag's new value");
    invalid(tracker.log(&id, &Batch::new().param("text", "x")), "another value of a parameter");
    let dataset = Dataset::new("d", "1");
    let model = LoggedModel::new("m", Digest::of(b"1"));
    for (twice, kept) in [(0, 1), (2, 0)] {
        let batch = Batch::new().dataset(dataset.clone()).model(model.clone());
        let logged = tracker.log(&id, &batch).expect("log");
        let counts = (logged.repeated, logged.datasets, logged.models);
        assert_eq!(counts, (twice, kept, kept), "kept once");
    }
    let batch = Batch::new().dataset(dataset.clone().with_context("c")).model(model.at_step(1));
    tracker.log(&id, &batch).expect("log");
    let run = tracker.run(&id).expect("run");
    assert_eq!((run.datasets.len(), run.models.len()), (2, 2), "others");
    assert!(run.datasets.is_sorted() && run.models.is_sorted(), "in order");
}

fn history(tracker: &dyn Tracker) {
    let id = run(tracker, experiment(tracker, "history"));
    let point = |step: i64, second: i64, value: f64| Point { step, at: time(second), value };
    let log = |points: &[Point]| {
        let metrics =
            points.iter().map(|p| Metric { key: "m".into(), point: *p }).collect::<Vec<_>>();
        tracker.log(&id, &Batch { metrics, ..Batch::default() }).expect("log")
    };
    let bits = |points: &[Point]| -> Vec<_> {
        points.iter().map(|p| (p.step, p.at, p.value.to_bits())).collect()
    };
    let check = |expected: &[Point], why: &str| {
        let stored = tracker.metric_history(&id, "m").expect("metric_history");
        assert_eq!(bits(&stored), bits(expected), "{why}");
        let last = tracker.run(&id).expect("run").metrics.get("m").copied();
        assert_eq!(
            bits(last.as_slice()),
            bits(expected.last().copied().as_slice()),
            "the last: {why}"
        );
    };
    check(&[], "none yet");
    let nan = f64::from_bits(0x7ff8_0000_dead_beef);
    let odd = [f64::INFINITY, f64::NEG_INFINITY, nan, -0.0, 0.0, 5e-324, f64::MAX, 0.1 + 0.2];
    let mut all: Vec<_> = odd.into_iter().map(|v| point(1, 0, v)).collect();
    assert_eq!(log(&all).points, 8, "every value, to the bit");
    check(&all, "points of one step and time stay in the order of their arrival");
    let logged = log(&all);
    assert_eq!((logged.points, logged.repeated), (0, 8), "sent again, kept once");
    check(&all, "sent again");
    assert_eq!(log(&[point(1, 0, 7.0), point(1, 0, 7.0)]).points, 1, "twice in one batch, once");
    all.push(point(1, 0, 7.0));
    check(&all, "a ninth of the same step and time");
    log(&[point(3, -5, 3.0), point(2, 9, 2.0), point(i64::MIN, 0, -1.0), point(2, -9, 1.0)]);
    all.insert(0, point(i64::MIN, 0, -1.0));
    all.extend([point(2, -9, 1.0), point(2, 9, 2.0), point(3, -5, 3.0)]);
    check(&all, "by step, then time");
    log(&[point(2, 9, 2.0), point(2, 9, 2.5)]);
    let at = all.len() - 1;
    all.insert(at, point(2, 9, 2.5));
    check(&all, "late, one of them again");
    // Long enough for whatever a backend packs points into, in batches of every size.
    let mut step = 10;
    for n in [1, 2, 700, 1, 3000, 1, 1, 1, 50, 5] {
        let new: Vec<_> = (step..step + n).map(|s| point(s, s, s as f64 / 3.0)).collect();
        assert_eq!(log(&new).points, n as u64, "new ones");
        step += n;
        all.extend(new);
    }
    check(&all, "a long one");
    let again: Vec<_> = all.iter().copied().step_by(7).collect();
    assert_eq!(log(&again).points, 0, "a part of it again");
    check(&all, "sent again");
    log(&[point(500, 0, -1.0)]);
    let at = all.partition_point(|p| p.order() <= (500, time(0).millis()));
    all.insert(at, point(500, 0, -1.0));
    check(&all, "one that comes late");
    assert_eq!(tracker.metric_history(&id, "none").expect("history"), [], "no such metric");
    let both = Batch::new().metric("a", 1.0, 0, time(0)).metric("m", 1.0, i64::MAX, time(0));
    tracker.log(&id, &both.metric("a", 2.0, 1, time(0))).expect("log");
    assert_eq!(tracker.metric_history(&id, "a").expect("history").len(), 2, "keys apart");
    let histories = tracker.histories(&id).expect("histories");
    assert_eq!(histories.keys().collect::<Vec<_>>(), ["a", "m"], "every key");
}

fn all_or_nothing(tracker: &dyn Tracker) {
    let id = run(tracker, experiment(tracker, "atomic"));
    tracker.log(&id, &Batch::new().param("p", 1)).expect("log");
    let before = tracker.run(&id).expect("run");
    let full = || {
        Batch::new()
            .metric("m", 1.0, 0, time(0))
            .tag("t", "1")
            .dataset(Dataset::new("d", "1"))
            .model(LoggedModel::new("m", Digest::of(b"")))
    };
    let bad = [
        full().param("p", 2),
        full().metric("a//b", 1.0, 0, time(0)),
        full().tag("..", ""),
        full().param("x", "\0"),
        full().dataset(Dataset::new("", "1")),
        full().model(LoggedModel::new("a\nb", Digest::of(b""))),
    ];
    for batch in bad {
        invalid(tracker.log(&id, &batch), "a bad batch");
    }
    assert_eq!(tracker.run(&id).expect("run"), before, "nothing of it was kept");
    assert_eq!(tracker.metric_history(&id, "m").expect("history"), [], "no point");
}

fn searches(tracker: &dyn Tracker) {
    let id = experiment(tracker, "search");
    let make = |name: &str, second: i64, batch: Batch| {
        let mut new = NewRun::new(id).with_name(name);
        if name == "a" {
            new = new.with_user("ana");
        }
        new.batch = batch;
        tracker.create_run(new, time(second)).expect("create_run").id
    };
    let b = Batch::new;
    let at = time(0);
    let first = make("a", 1, b().metric("auc", 0.9, 0, at).param("model", "tree").tag("x", "Ab"));
    make("b", 4, b().metric("auc", 0.8, 0, at).metric("auc", 0.5, 1, at).param("model", "linear"));
    make("c", 2, b().metric("auc", f64::NAN, 0, at).dataset(Dataset::new("loans", "d1")));
    let mut d = b().metric("auc", f64::INFINITY, 0, at).tag("x", "a%c");
    d = d.dataset(Dataset::new("other", "d2")).dataset(Dataset::new("loans", "d3"));
    make("d", 2, d);
    make("e", 3, b().param("model", "tree").tag("x", "y".repeat(7000) + "z"));
    tracker.finish_run(&first, RunStatus::Finished, time(100)).expect("finish_run");

    let found = |filter: &str, order: &[&str]| -> String {
        let mut query = Query::new().experiment(id).filter(filter).expect(filter);
        for order in order {
            query = query.order_by(order).expect(order);
        }
        let runs = tracker.search(&query).expect(filter).items;
        for run in &runs {
            assert_eq!(tracker.run(&run.id).expect("run").id, run.id, "whole runs");
        }
        runs.iter().map(|run| run.name.as_str()).collect()
    };
    for (filter, names) in [
        ("", "bedca"),
        ("metrics.auc > 0.5", "da"),
        ("metrics.auc >= 0.5", "bda"),
        ("metrics.auc < 0.9", "b"),
        ("metrics.auc != 0.9", "bdc"),
        ("metrics.auc = inf", "d"),
        ("metrics.auc = nan", ""),
        ("metrics.auc is null", "e"),
        ("metrics.auc is not null", "bdca"),
        ("not metrics.auc > 0.5", "bec"),
        ("metrics.none > 0", ""),
        ("metrics.none is null", "bedca"),
        ("params.model = 'tree'", "ea"),
        ("params.model != 'tree'", "b"),
        ("params.model = 'Tree'", ""),
        ("params.model in ('tree', 'linear') and metrics.auc < 1", "ba"),
        ("params.model not in ('tree')", "b"),
        ("params.model is null", "dc"),
        ("tags.x like 'A%'", "a"),
        ("tags.x ilike 'a%'", "da"),
        ("tags.x not like 'a%'", "ea"),
        ("tags.x like 'a\\%c'", "d"),
        ("tags.x like '%yz'", "e"),
        ("run_name in ('a', 'c')", "ca"),
        ("status = 'FINISHED'", "a"),
        ("tags.mlflow.runName = 'a'", "a"),
        ("status != 'FINISHED'", "bedc"),
        ("user_id = 'ana'", "a"),
        ("user_id is null", "bedc"),
        ("end_time is null", "bedc"),
        ("start_time > '2026-01-31T12:00:02Z'", "be"),
        ("start_time <= 1769860802000", "dca"),
        ("datasets.name = 'loans'", "dc"),
        ("datasets.name != 'loans'", "d"),
        ("datasets.digest = 'd2'", "d"),
        ("datasets.name is null", "bea"),
        ("datasets.name is not null", "dc"),
        ("metrics.auc > 0.5 or params.model = 'linear'", "bda"),
        ("not (metrics.auc > 0.5 or params.model = 'linear')", "ec"),
        ("metrics.auc > 0 and metrics.auc < 1 and metrics.auc != 0.5", "a"),
    ] {
        assert_eq!(found(filter, &[]), names, "{filter}");
    }
    assert_eq!(found(&format!("run_id = '{first}'"), &[]), "a", "by its id");
    for (order, names) in [
        (&["metrics.auc"][..], "badce"),
        (&["metrics.auc desc"], "dabce"),
        (&["params.model", "metrics.auc"], "baedc"),
        (&["params.model desc", "metrics.auc"], "aebdc"),
        (&["start_time"], "adceb"),
        (&["end_time"], "abedc"),
        (&["run_name desc"], "edcba"),
        (&["metrics.none"], "bedca"),
    ] {
        assert_eq!(found("", order), names, "{order:?}");
    }
    let here = Query::new().experiment(id);
    let best = |best| {
        let run = tracker.best_run(&here, "auc", best).expect("best_run");
        run.map(|run| run.name)
    };
    assert_eq!(best(Best::Highest).as_deref(), Some("d"), "infinity is the highest");
    assert_eq!(best(Best::Lowest).as_deref(), Some("b"), "NaN is not the lowest");
    let c = here.clone().filter("run_name = 'c'").expect("a filter");
    assert_eq!(tracker.best_run(&c, "auc", Best::Lowest).expect("best_run"), None, "NaN alone");
    missing(tracker.best_run(&here, "none", Best::Lowest), "no run has the metric");
    let nothing = here.clone().filter("run_name = 'nobody'").expect("a filter");
    assert_eq!(tracker.best_run(&nothing, "none", Best::Lowest).expect("best_run"), None, "no run");
    missing(tracker.children("nobody"), "the children of no run");
    missing(tracker.search(&Query::new().experiment(u64::MAX)), "no such experiment");
    for limit in [0, 50_001] {
        invalid(tracker.search(&here.clone().limit(limit)), "a bad limit");
    }
    let many = |n: usize| {
        let all = vec!["metrics.auc > 0"; n].join(" or ");
        tracker.search(&here.clone().filter(&all).expect("a filter"))
    };
    many(256).expect("as many comparisons as there may be");
    invalid(many(257), "a column of all runs for each of too many comparisons");
}

fn pages(tracker: &dyn Tracker) {
    let (id, other) = (experiment(tracker, "pages"), experiment(tracker, "pages-2"));
    for i in 0..23 {
        let mut new = NewRun::new(if i % 3 == 0 { other } else { id });
        if i % 5 != 0 {
            new.batch = Batch::new().metric("m", f64::from(i % 4), 0, time(0));
        }
        tracker.create_run(new, time(i64::from(i % 2))).expect("create_run");
    }
    for order in [&[][..], &["metrics.m"], &["metrics.m desc", "start_time"]] {
        let mut query = Query::new().experiment(id).experiment(other).experiment(id);
        for order in order {
            query = query.order_by(order).expect(order);
        }
        let ids = |runs: Vec<Run>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
        let whole = tracker.search(&query).expect("search");
        assert_eq!((whole.items.len(), whole.next), (23, None), "one page for all");
        let whole = ids(whole.items);
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), 23, "each once");
        for limit in [1, 5, 22, 23] {
            let pages = tracker.search_all(&query.clone().limit(limit)).expect("search_all");
            assert_eq!(ids(pages), whole, "pages of {limit}, {order:?}");
        }
        // A run that is made meanwhile does not move the others.
        let first = tracker.search(&query.clone().limit(5)).expect("search");
        tracker.create_run(NewRun::new(id), time(50)).expect("create_run");
        let next = first.next.expect("another page");
        let second = tracker.search(&query.clone().limit(5).page(&*next)).expect("search");
        if order.is_empty() {
            assert_eq!(ids(second.items), whole[5..10], "the second page");
        }
        invalid(tracker.search(&Query::new().page(&*next)), "the token of another search");
        let newest = Query::new().experiment(id).limit(1);
        let newest = tracker.search(&newest).expect("search").items.remove(0);
        tracker.delete_run(&newest.id, time(0)).expect("delete_run");
    }
    invalid(tracker.search(&Query::new().page("x")), "no token");
}

fn deletion(tracker: &dyn Tracker) {
    let id = experiment(tracker, "deletion");
    let ids: Vec<_> = (0..4)
        .map(|i| {
            let mut new = NewRun::new(id).with_param("p", i).with_tag("t", "x".repeat(500));
            new.batch = new.batch.metric("m", 1.0, 0, time(0)).dataset(Dataset::new("d", i));
            tracker.create_run(new, time(i)).expect("create_run").id
        })
        .collect();
    let seen = |view| {
        let query = Query::new().experiment(id).view(view).order_by("start_time").expect("order");
        let runs = tracker.search(&query).expect("search").items;
        runs.iter().map(|r| r.params["p"].clone()).collect::<String>()
    };
    let views = || (seen(View::Active), seen(View::Deleted), seen(View::All));
    let strings = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    tracker.delete_run(&ids[1], time(10)).expect("delete_run");
    tracker.delete_run(&ids[1], time(11)).expect("it stays deleted");
    assert_eq!(tracker.run(&ids[1]).expect("run").deleted_at, Some(time(10)), "since when");
    assert_eq!(views(), strings("023", "1", "0123"), "one deleted");
    invalid(tracker.log(&ids[1], &Batch::new().tag("t", "")), "a deleted run takes nothing");
    invalid(tracker.change_run(&ids[1], RunChange::default(), time(0)), "nor changes");
    invalid(tracker.resume_run(&ids[1], time(0)), "nor goes on");
    let child = NewRun::new(id).with_parent(&ids[1]);
    invalid(tracker.create_run(child, time(0)), "nor gets a part");
    assert_eq!(tracker.metric_history(&ids[1], "m").expect("history").len(), 1, "still there");

    let name = "conformance-deletion";
    tracker.delete_experiment(id, time(12)).expect("delete_experiment");
    tracker.delete_experiment(id, time(13)).expect("it stays deleted");
    let gone = tracker.experiment(id).expect("experiment");
    assert_eq!(gone.deleted_at, Some(time(12)), "since when");
    assert_eq!(views(), strings("", "0123", "0123"), "its runs with it");
    invalid(tracker.log(&ids[0], &Batch::new().tag("t", "")), "its runs take nothing");
    invalid(tracker.create_run(NewRun::new(id), time(0)), "it gets no run");
    invalid(tracker.change_experiment(id, ExperimentChange::default()), "it does not change");
    invalid(tracker.open_experiment(name, time(0)), "it is not opened");
    invalid(tracker.create_experiment(NewExperiment::new(name), time(0)), "its name is taken");
    let listed = |view| tracker.experiments(view).expect("experiments").iter().any(|e| e.id == id);
    let listed = (listed(View::Active), listed(View::Deleted), listed(View::All));
    assert_eq!(listed, (false, true, true), "where it is listed");

    tracker.restore_experiment(id).expect("restore_experiment");
    assert_eq!(views(), strings("023", "1", "0123"), "as it was");
    tracker.restore_run(&ids[1]).expect("restore_run");
    assert_eq!(views(), strings("0123", "", "0123"), "all back");
    for missing_one in [u64::MAX, 0] {
        missing(tracker.delete_experiment(missing_one, time(0)), "no such experiment");
        missing(tracker.restore_experiment(missing_one), "no such experiment");
    }

    tracker.delete_run(&ids[2], time(20)).expect("delete_run");
    tracker.delete_run(&ids[3], time(30)).expect("delete_run");
    let collected = tracker.collect_garbage(time(30)).expect("collect_garbage");
    assert!(collected.runs >= 1, "{collected}");
    assert_eq!(views(), strings("01", "3", "013"), "what was deleted before then is forgotten");
    missing(tracker.run(&ids[2]), "forgotten");
    let again = NewRun::new(id).with_id(&ids[2]).with_param("p", 9).with_tag("t", "new");
    let again = tracker.create_run(again, time(40)).expect("its id is free");
    assert_eq!((again.metrics.len(), again.datasets.len()), (0, 0), "nothing is left of the old");
    assert_eq!(tracker.metric_history(&ids[2], "m").expect("history"), [], "no point");
    tracker.delete_experiment(id, time(50)).expect("delete_experiment");
    let collected = tracker.collect_garbage(time(51)).expect("collect_garbage");
    assert!(collected.runs >= 4 && collected.experiments >= 1, "{collected}");
    missing(tracker.experiment(id), "forgotten");
    missing(tracker.run(&ids[0]), "forgotten");
    let next = tracker.create_experiment(NewExperiment::new(name), time(60)).expect("free again");
    assert!(next.id > id, "an id is not used again");
}

fn threads(tracker: &dyn Tracker) {
    let ids: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            let opened = tracker.open_experiment("conformance-threads", time(0));
            let id = opened.expect("open_experiment").id;
            (id, run(tracker, id))
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    let experiments: BTreeSet<_> = ids.iter().map(|(id, _)| id).collect();
    assert_eq!(experiments.len(), 1, "of many that ask at once, one makes it");
    // All log to the first run: the same parameter, points of one metric, and one of their own.
    let shared = &ids[0].1;
    let refused: usize = std::thread::scope(|scope| {
        let log = |n: i64| {
            for i in 0..8 {
                let mut batch =
                    Batch::new().param("same", "x").metric(format!("m{n}"), 1.0, i, time(i));
                for j in 0..4 {
                    batch = batch.metric("m", n as f64, i * 4 + j, time(0));
                }
                tracker.log(shared, &batch).expect("log");
            }
            usize::from(tracker.log(shared, &Batch::new().param("who", n)).is_err())
        };
        let threads: Vec<_> = (0..6).map(|n| scope.spawn(move || log(n))).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).sum()
    });
    assert_eq!(refused, 5, "the first value of a parameter wins");
    assert_eq!(tracker.metric_history(shared, "m").expect("history").len(), 6 * 32, "every point");
    let run = tracker.run(shared).expect("run");
    assert_eq!((run.metrics.len(), run.params.len()), (7, 2), "and each their own");
}
