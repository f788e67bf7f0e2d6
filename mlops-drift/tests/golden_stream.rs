//! Streaming detectors against river, frouros, scipy and the papers' formulas; made by
//! `tests/golden/make_stream.py`.

use std::collections::{BTreeMap, BTreeSet};

use mlops_core::Description;
use mlops_drift::stream::{
    Adwin, IncrementalKs, IncrementalKsOptions, Signal, Stepd, StepdOptions, StreamDetector,
    StreamDetectorExt, StreamKinds,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    streams: BTreeMap<String, Vec<f64>>,
    cases: Vec<Case>,
    windows: Vec<Trace>,
    differs: Vec<Differs>,
    river_ks_of_equal_tied_samples: f64,
}

#[derive(Deserialize)]
struct Case {
    detector: Description,
    stream: String,
    peer: String,
    /// Whether the peer forgot everything at a drift.
    anew: bool,
    drifts: Vec<usize>,
    warnings: Option<Vec<usize>>,
    statistics: Vec<(usize, f64)>,
}

#[derive(Deserialize)]
struct Trace {
    detector: Description,
    stream: String,
    /// Position, values, mean, variance.
    windows: Vec<(usize, u64, f64, f64)>,
}

#[derive(Deserialize)]
struct Differs {
    detector: Description,
    stream: String,
    peer: String,
    drifts: Vec<usize>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/stream.json")).expect("golden values")
}

fn close(name: &str, found: f64, expected: f64, tolerance: f64) {
    let far = (found - expected).abs() > tolerance * expected.abs().max(1.0);
    assert!(!far, "{name}: {found:e}, not {expected:e}");
}

/// What a detector says of every value.
fn run(
    detector: &mut dyn StreamDetector,
    values: &[f64],
    anew: bool,
) -> Vec<(Signal, Option<f64>)> {
    let mut said = Vec::new();
    for x in values {
        let signal = detector.update(*x).expect("a value of its kind");
        said.push((signal, detector.statistic()));
        if anew && signal.is_drift() {
            detector.reset();
        }
    }
    said
}

fn places(said: &[(Signal, Option<f64>)], signal: Signal) -> Vec<usize> {
    said.iter().enumerate().filter(|(_, (s, _))| *s == signal).map(|(i, _)| i).collect()
}

#[test]
fn change_points_and_statistics_equal_the_peers() {
    let golden = golden();
    let mut kinds = BTreeSet::new();
    let mut drifts = BTreeMap::<_, usize>::new();
    for case in &golden.cases {
        let mut detector = StreamKinds::standard().start(&case.detector).expect("a detector");
        let kind = case.detector.kind.to_string();
        let name = format!("{} of {} by {}", case.detector.params, case.stream, case.peer);
        let name = format!("{kind} {name}");
        let said = run(&mut detector, &golden.streams[&case.stream], case.anew);
        assert_eq!(places(&said, Signal::Drift), case.drifts, "{name}");
        if let Some(warnings) = &case.warnings {
            assert_eq!(&places(&said, Signal::Warning), warnings, "{name}");
        }
        for (at, expected) in &case.statistics {
            let found = said[*at].1.unwrap_or_else(|| panic!("{name}: no statistic at {at}"));
            close(&format!("{name} at {at}"), found, *expected, 1e-9);
        }
        *drifts.entry(kind.clone()).or_default() += case.drifts.len();
        kinds.insert(kind);
    }
    // No kind is left out, and each saw something.
    assert_eq!(kinds, StreamKinds::standard().names().map(str::to_owned).collect());
    assert!(drifts.values().all(|n| *n > 0), "{drifts:?}");
}

#[test]
fn saved_and_resumed_after_every_drift_changes_nothing() {
    let golden = golden();
    for case in golden.cases.iter().step_by(5) {
        let mut detector = StreamKinds::standard().start(&case.detector).expect("a detector");
        let mut drifts = Vec::new();
        for (at, x) in golden.streams[&case.stream].iter().enumerate() {
            if detector.update(*x).expect("a value").is_drift() {
                drifts.push(at);
                detector = StreamKinds::standard().resume(&detector.to_bytes()).expect("a state");
                if case.anew {
                    detector.reset();
                }
            }
        }
        assert_eq!(drifts, case.drifts, "{:?} of {}", case.detector, case.stream);
    }
}

#[test]
fn adwin_has_the_window_of_the_paper() {
    let golden = golden();
    for case in &golden.windows {
        let mut adwin = Adwin::new(case.detector.parse().expect("options")).expect("a detector");
        let mut at = 0;
        for (place, width, mean, variance) in &case.windows {
            while at <= *place {
                adwin.update(golden.streams[&case.stream][at]).expect("a number");
                at += 1;
            }
            assert_eq!(adwin.width(), *width, "{} at {place}", case.stream);
            close(&case.stream, adwin.mean().expect("a mean"), *mean, 1e-12);
            close(&case.stream, adwin.variance().expect("a variance"), *variance, 1e-9);
        }
    }
}

#[test]
fn where_peers_leave_their_papers_we_do_not_follow() {
    let golden = golden();
    let mut differ = BTreeMap::<(String, String), usize>::new();
    for case in &golden.differs {
        let mut detector = StreamKinds::standard().start(&case.detector).expect("a detector");
        let said = run(&mut detector, &golden.streams[&case.stream], false);
        let key = (case.detector.kind.to_string(), case.peer.clone());
        *differ.entry(key).or_default() += usize::from(places(&said, Signal::Drift) != case.drifts);
    }
    let expected = [
        ("adwin", "frouros"),
        ("adwin", "river"),
        ("eddm", "river"),
        ("hddm_a", "river"),
        ("hddm_w", "frouros"),
        ("hddm_w", "river"),
        ("rddm", "frouros"),
        ("stepd", "frouros"),
    ];
    let found: Vec<_> = differ.iter().map(|((k, p), n)| (k.as_str(), p.as_str(), *n > 0)).collect();
    assert_eq!(found, expected.map(|(k, p)| (k, p, true)), "{differ:?}");
}

#[test]
fn equal_tied_samples_are_at_no_distance() {
    let options = IncrementalKsOptions { reference: 50, window: 50, ..Default::default() };
    let mut ks = IncrementalKs::new(options).expect("a detector");
    for i in 0..300 {
        assert_eq!(ks.update(f64::from(i % 2)).expect("a number"), Signal::None);
    }
    assert_eq!(ks.statistic(), Some(0.0));
    assert_eq!(golden().river_ks_of_equal_tied_samples, 1.0);
}

#[test]
fn rare_errors_at_an_equal_rate_are_no_drift() {
    // One error in 1,000: the recent window has none. The difference, .001, is far less than the
    // correction for continuity, whose absolute value alone would be 2.9 standard errors.
    let mut stepd = Stepd::new(StepdOptions::default()).expect("a detector");
    let said: Vec<_> = (0..3000)
        .map(|i| stepd.update(f64::from(i % 1000 == 40)).expect("0 or 1"))
        .skip(300)
        .collect();
    assert!(said.iter().all(|signal| !signal.is_drift()));
}
