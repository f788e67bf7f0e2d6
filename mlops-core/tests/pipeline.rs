//! Pipelines end to end: order, hand-over, failures, retries, cancellation, panics, bad graphs.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use mlops_core::pipeline::{
    Chain, Clock, Context, Event, EventKind, Node, Pipeline, Retry, RunReport, Runner, Stage,
    Status, stage, stage_with,
};
use mlops_core::{Cancel, Error, Progress, Result};
use proptest::prelude::*;

/// A clock that stands still but for its own waits, which take no time.
#[derive(Debug, Default)]
struct FakeClock(Mutex<Duration>);

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        *self.0.lock().expect("no test panics in here")
    }

    fn sleep(&self, duration: Duration, cancel: &Cancel) -> Result<()> {
        *self.0.lock().expect("no test panics in here") += duration;
        cancel.check()
    }
}

fn failing() -> Error {
    Error::undefined("the answer", "nobody asked")
}

#[test]
fn a_stage_of_ones_own_starts_a_chain() {
    struct Extract;
    impl Stage for Extract {
        type Input = ();
        type Output = Vec<u32>;

        fn name(&self) -> &'static str {
            "extract"
        }

        fn run(&self, (): &(), context: &Context<'_>) -> Result<Vec<u32>> {
            context.check()?;
            Ok(vec![1, 2, 3])
        }

        fn version(&self) -> Option<String> {
            Some("1".into())
        }
    }
    let chain = Chain::new(Extract)
        >> stage("transform", |x: &Vec<u32>| Ok(x.iter().map(|x| x * 2).collect::<Vec<_>>()))
        >> stage("load", |x: &Vec<u32>| Ok(x.iter().sum::<u32>()));
    assert_eq!(format!("{chain:?}"), r#"["extract", "transform", "load"]"#);
    let (pipeline, load) = chain.into_pipeline();
    for _ in 0..2 {
        let run = Runner::new().run(&pipeline).unwrap();
        assert_eq!(*run.get(load).unwrap(), 12);
        let report = run.success().unwrap();
        assert_eq!(report.stage("extract").unwrap().version.as_deref(), Some("1"));
        assert_eq!(report.stage("load").unwrap().needs, ["transform"]);
    }
}

#[test]
fn stages_run_side_by_side() {
    // Both wait for the other: one after the other they would wait for ever.
    let both = Arc::new(Barrier::new(2));
    let meet = |name: &str| {
        let both = both.clone();
        stage(name, move |()| {
            both.wait();
            Ok(1)
        })
    };
    let mut p = Pipeline::new();
    let (a, b) = (p.add(meet("a")), p.add(meet("b")));
    let sum = p.add_after(stage("sum", |(a, b): &(Arc<i32>, Arc<i32>)| Ok(**a + **b)), (a, b));
    assert_eq!(*Runner::new().threads(2).run(&p).unwrap().get(sum).unwrap(), 2);
}

#[test]
fn one_thread_is_the_callers() {
    let here = std::thread::current().id();
    let chain = stage("who", |()| Ok(std::thread::current().id()))
        >> stage("same", move |id: &std::thread::ThreadId| Ok(*id == here));
    assert!(*chain.run(&Runner::new().threads(1)).unwrap());
}

#[test]
fn a_failure_skips_what_needs_it_and_nothing_else() {
    use Status::{Failed, Finished, Skipped};
    let mut p = Pipeline::new();
    let bad = p.add(stage("bad", |()| Err::<i32, _>(failing())));
    let next = p.add_after(stage("next", |n: &i32| Ok(*n)), bad);
    let last = p.add_after(stage("last", |n: &i32| Ok(*n)), next);
    let good = p.add(stage("good", |()| Ok(5)));
    let ordered = p.add(stage("ordered", |()| Ok(6)));
    p.order(bad, ordered).unwrap();
    for threads in [1, 3] {
        let run = Runner::new().threads(threads).run(&p).unwrap();
        assert_eq!(*run.get(good).unwrap(), 5);
        let statuses: Vec<_> = run.report().stages.iter().map(|s| s.status).collect();
        assert_eq!(statuses, [Failed, Skipped, Skipped, Finished, Skipped]);
        assert_eq!(run.report().stage("last").unwrap().error.as_deref(), Some("`bad` failed"));
        let text = "stage `bad`: the answer is undefined: nobody asked";
        assert_eq!(run.get(last).unwrap_err().to_string(), text);
        assert_eq!(run.success().unwrap_err().to_string(), text);
        assert!(run.get(ordered).is_err() && !run.report().is_success());
    }
}

#[test]
fn retries_wait_longer_and_longer() {
    let tries = AtomicU32::new(0);
    let flaky = stage_with("flaky", move |(): &(), context| {
        assert_eq!(tries.fetch_add(1, Ordering::Relaxed) + 1, context.attempt());
        if context.attempt() < 4 { Err(failing()) } else { Ok(context.attempt()) }
    });
    let retry = Retry::times(5).base_delay(Duration::from_secs(10)).factor(3.0);
    let mut p = Pipeline::new();
    let node = p.add(flaky.retry(retry));
    let (clock, delays) = (FakeClock::default(), Mutex::new(Vec::new()));
    let listen = |event: &Event<'_>| {
        if let EventKind::Retried { delay, .. } = event.kind {
            delays.lock().unwrap().push(delay.as_secs());
        }
    };
    let run = Runner::new().clock(&clock).on_event(&listen).run(&p).unwrap();
    assert_eq!(*run.get(node).unwrap(), 4);
    assert_eq!(*delays.lock().unwrap(), [10, 30, 60]);
    let report = run.report().stage("flaky").unwrap();
    assert_eq!((report.attempts, report.elapsed), (4, Duration::from_secs(100)));
}

#[test]
fn attempts_are_bounded_and_a_wait_can_be_cancelled() {
    let always = || stage("always", |()| Err::<(), _>(failing())).retry(Retry::times(3));
    let mut p = Pipeline::new();
    p.add(always());
    let clock = FakeClock::default();
    let run = Runner::new().clock(&clock).run(&p).unwrap();
    assert_eq!(run.report().stages[0].attempts, 3);
    assert_eq!(run.report().stages[0].status, Status::Failed);

    // The real clock: cancelled in the wait of a minute, the run ends at once.
    let retry = Retry::times(2).base_delay(Duration::from_secs(60));
    let mut p = Pipeline::new();
    let node = p.add(always().retry(retry));
    let cancel = Cancel::new();
    let stop = |event: &Event<'_>| {
        if matches!(event.kind, EventKind::Retried { .. }) {
            cancel.cancel();
        }
    };
    let run = Runner::new().cancel(&cancel).on_event(&stop).run(&p).unwrap();
    assert_eq!(run.report().stages[0].status, Status::Cancelled);
    assert!(run.get(node).unwrap_err().is_cancelled());
    assert!(run.report().elapsed < Duration::from_secs(30));
}

#[test]
fn a_cancelled_run_starts_nothing_more() {
    let cancel = Cancel::new();
    let switch = cancel.clone();
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let chain = stage("first", move |()| {
        switch.cancel();
        Ok(())
    }) >> stage("second", move |()| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let (p, last) = chain.into_pipeline();
    let run = Runner::new().cancel(&cancel).run(&p).unwrap();
    assert!(run.get(last).unwrap_err().is_cancelled());
    assert_eq!(run.report().count(Status::Cancelled), 1);
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn a_panic_is_an_error_that_names_the_stage() {
    let panics = |(): &()| -> Result<i32> { panic!("index {} is out", 7) };
    let chain = stage("sharp", panics).retry(Retry::times(9)) >> stage("after", |n: &i32| Ok(*n));
    let (p, last) = chain.into_pipeline();
    let run = Runner::new().run(&p).unwrap();
    let error = run.get(last).unwrap_err().to_string();
    assert_eq!(error, "stage `sharp`: panicked: index 7 is out");
    assert_eq!(run.report().stages[0].attempts, 1);
}

#[test]
#[should_panic(expected = "the listener's own")]
fn a_listener_that_panics_ends_the_run() {
    let mut p = Pipeline::new();
    for i in 0..20 {
        p.add(stage(format!("{i}"), |()| Ok(())));
    }
    let listen = |event: &Event<'_>| assert!(event.index != 3, "the listener's own");
    drop(Runner::new().threads(4).on_event(&listen).run(&p));
}

#[test]
fn events_tell_the_story() {
    let work = stage_with("work", |(): &(), context| {
        use mlops_core::OnProgress;
        let mut progress = Progress::default();
        (progress.rows, progress.rows_total) = (1, Some(4));
        context.on_progress(&progress);
        context.note("two rows");
        Ok(2)
    });
    let (p, _) = (work
        >> stage("fail", |_: &i32| Err::<(), _>(failing())).retry(Retry::times(2))
        >> stage("never", |()| Ok(())))
    .into_pipeline();
    let told = Mutex::new(Vec::new());
    let listen = |event: &Event<'_>| {
        told.lock().unwrap().push(event.to_string());
    };
    let clock = FakeClock::default();
    let run = Runner::new().clock(&clock).on_event(&listen).run(&p).unwrap();
    let expected = [
        "[1/3] work: started",
        "[1/3] work: 25 %",
        "[1/3] work: two rows",
        "[1/3] work: finished in 0.000 s",
        "[2/3] fail: started",
        "[2/3] fail: attempt 1 failed, again in 1.000 s: the answer is undefined: nobody asked",
        "[2/3] fail: started, attempt 2",
        "[2/3] fail: failed after 1.000 s: the answer is undefined: nobody asked",
        "[3/3] never: skipped, `fail` failed",
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    let table = "\
stage  status     attempts       time
work   finished          1    0.000 s  two rows
fail   failed            2    1.000 s  the answer is undefined: nobody asked
never  skipped           0    0.000 s  `fail` failed
1 of 3 finished in 1.000 s";
    assert_eq!(run.report().to_string(), table);
    let json = serde_json::to_string(run.report()).unwrap();
    assert_eq!(serde_json::from_str::<RunReport>(&json).unwrap(), *run.report());
}

#[test]
fn names_connect_what_is_added_in_any_order() {
    let mut p = Pipeline::new();
    let raw = p.named::<i32>("raw");
    let doubled = p.add_after(stage("doubled", |n: &i32| Ok(n * 2)), raw);
    p.add(stage("raw", |()| Ok(21)));
    let run = Runner::new().run(&p).unwrap();
    assert_eq!((*run.get(doubled).unwrap(), *run.get(raw).unwrap()), (42, 21));
}

#[test]
fn bad_graphs_are_refused_before_anything_runs() {
    let refused = |p: &Pipeline, text: &str| {
        let error = Runner::new().run(p).unwrap_err().to_string();
        assert_eq!(error, text);
    };
    let never = |(): &()| -> Result<i32> { unreachable!("nothing of a bad graph runs") };

    let mut p = Pipeline::new();
    p.add(stage("twin", never));
    p.add(stage("twin", never));
    refused(&p, "stages: expected different names, found `twin` twice");

    let mut p = Pipeline::new();
    p.add(stage("raw", never));
    let typo = p.named::<i32>("rwa");
    p.add_after(stage("next", |n: &i32| Ok(*n)), typo);
    refused(&p, "stage `next`: stage `rwa` does not exist");

    let mut p = Pipeline::new();
    p.add(stage("raw", never));
    let text = p.named::<f64>("raw");
    p.add_after(stage("next", |x: &f64| Ok(*x)), text);
    refused(&p, "stage `next`: output of stage `raw`: expected f64, found i32");

    let mut p = Pipeline::new();
    p.add(stage("raw", never));
    let c = p.named::<i32>("c");
    let a = p.add_after(stage("a", |n: &i32| Ok(*n)), c);
    let b = p.add_after(stage("b", |n: &i32| Ok(*n)), a);
    p.add_after(stage("c", |n: &i32| Ok(*n)), b);
    p.add_after(stage("beyond", |n: &i32| Ok(*n)), b);
    let text =
        "pipeline: expected no stage that needs itself, found a cycle: a needs c needs b needs a";
    refused(&p, text);

    let mut p = Pipeline::new();
    let a = p.add(stage("a", never));
    p.order(a, a).unwrap();
    refused(&p, "pipeline: expected no stage that needs itself, found a cycle: a needs a");

    let foreign = Pipeline::new().add(stage("elsewhere", never));
    let mut p = Pipeline::new();
    p.add_after(stage("here", |n: &i32| Ok(*n)), foreign);
    refused(&p, "stage `here`: node: expected one of this pipeline, found one of another");
    assert!(p.order(foreign, foreign).is_err());

    let run = Runner::new().run(&Pipeline::new()).unwrap();
    assert!(run.get(foreign).is_err() && run.report().is_success());
}

/// For each stage, which earlier stages it takes, and which it only waits for.
fn graphs() -> impl Strategy<Value = Vec<(Vec<bool>, Vec<bool>)>> {
    let edges = || prop::collection::vec(prop::bool::weighted(0.25), 14);
    prop::collection::vec((edges(), edges()), 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_stage_runs_once_after_all_it_needs(graph in graphs()) {
        let mut results = Vec::new();
        for threads in [1, 2, 7] {
            // When each stage was run, by a counter that all share.
            let clock = Arc::new(AtomicUsize::new(0));
            let log: Arc<Mutex<Vec<(usize, usize, usize)>>> = Arc::default();
            let mut p = Pipeline::new();
            let mut nodes: Vec<Node<u64>> = Vec::new();
            for (at, (takes, _)) in graph.iter().enumerate() {
                let inputs: Vec<_> =
                    nodes.iter().zip(takes).filter(|(_, takes)| **takes).map(|(n, _)| *n).collect();
                let (clock, log) = (clock.clone(), log.clone());
                let work = stage(format!("{at}"), move |inputs: &Vec<Arc<u64>>| {
                    let began = clock.fetch_add(1, Ordering::SeqCst);
                    let sum = inputs.iter().fold(at as u64 + 1, |sum, x| {
                        sum.wrapping_mul(31).wrapping_add(**x)
                    });
                    log.lock().unwrap().push((at, began, clock.fetch_add(1, Ordering::SeqCst)));
                    Ok(sum)
                });
                nodes.push(p.add_after(work, inputs));
            }
            for (later, (_, waits)) in graph.iter().enumerate() {
                for first in (0..later).filter(|&first| waits[first]) {
                    p.order(nodes[first], nodes[later]).unwrap();
                }
            }
            let run = Runner::new().threads(threads).run(&p).unwrap();
            prop_assert!(run.report().is_success());
            let mut log = log.lock().unwrap().clone();
            log.sort_unstable();
            prop_assert_eq!(log.len(), graph.len());
            for (later, (takes, waits)) in graph.iter().enumerate() {
                prop_assert_eq!(log[later].0, later);
                for first in (0..later).filter(|&first| takes[first] || waits[first]) {
                    prop_assert!(log[first].2 < log[later].1, "{} ends before {} begins", first, later);
                }
            }
            results.push(nodes.iter().map(|&n| *run.get(n).unwrap()).collect::<Vec<_>>());
        }
        prop_assert_eq!(&results[0], &results[1]);
        prop_assert_eq!(&results[0], &results[2]);
    }
}
