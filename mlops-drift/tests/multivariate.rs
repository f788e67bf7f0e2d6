//! Tests of several columns together: their false alarms where nothing drifted and their power where
//! something did, by simulation; the same bits for any number of threads and any cutting of the
//! rows. `MLOPS_REPLICATES` raises the number of replicates.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float64Builder, RecordBatch, StringArray};
use arrow::datatypes::Float64Type;
use mlops_core::ndarray::Array2;
use mlops_core::stats::Draws;
use mlops_core::{Cancel, DataSource, MemorySource, Progress, Verdict};
use mlops_drift::multivariate::{
    Categories, CorrelationChange, Encoding, Judged, MissingValues, Mmd, MmdEstimator, Points,
    RowSample, Scaling, SlicedWasserstein, Watch,
};
use rayon::prelude::*;

fn replicates(default: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Three standard errors of a rate.
fn noise(rate: f64, n: u64) -> f64 {
    3.0 * (rate * (1.0 - rate) / n as f64).sqrt()
}

/// What rows may be like.
#[derive(Clone, Copy, Debug)]
enum Law {
    Normal,
    /// Heavy tails: lognormal with σ = 2.
    Tails,
    /// Few values, so that most distances tie.
    Tied,
}

/// How the current rows differ.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drift {
    Nothing,
    /// Each column moved by half a standard deviation.
    Shift,
    /// The columns as they were, but the first two now move together.
    Together,
}

/// Three columns.
fn matrix(n: usize, law: Law, drift: Drift, draws: &mut Draws) -> Array2<f64> {
    let mut x = Array2::zeros((n, 3));
    for mut row in x.rows_mut() {
        let z = [draws.normal(), draws.normal(), draws.normal()];
        for (j, x) in row.iter_mut().enumerate() {
            let z = if drift == Drift::Together && j == 1 {
                0.7 * z[0] + 0.51_f64.sqrt() * z[1]
            } else {
                z[j]
            };
            let z = if drift == Drift::Shift { z + 0.5 } else { z };
            *x = match law {
                Law::Normal => z,
                Law::Tails => (2.0 * z).exp(),
                Law::Tied => z.round().clamp(-1.0, 1.0),
            };
        }
    }
    x
}

type Test = fn(&Points, u64) -> Judged;

/// Each with few permutations, which changes the power but not the level: 5 % of 39 + 1 is 2.
const TESTS: [(&str, Test); 5] = [
    ("mmd", |points, seed| Mmd::new(seed).replicates(39).test(points).expect("mmd").judged),
    ("mmd, blocked", |points, seed| {
        let blocked = MmdEstimator::Blocked { points: 24 };
        Mmd::new(seed).replicates(39).estimator(blocked).test(points).expect("mmd").judged
    }),
    ("mmd, linear", |points, seed| {
        let test = Mmd::new(seed).replicates(39).estimator(MmdEstimator::Linear);
        test.test(points).expect("mmd").judged
    }),
    ("sliced wasserstein", |points, seed| {
        let test = SlicedWasserstein::new(seed).replicates(39).directions(8);
        test.test(points).expect("sliced wasserstein").judged
    }),
    ("correlation change", |points, seed| {
        CorrelationChange::new(seed).replicates(39).test(points).expect("correlations").judged
    }),
];

/// How often a test rejects, fails and passes.
fn rates(test: Test, law: Law, drift: Drift, sizes: (usize, usize), replicates: u64) -> [f64; 3] {
    let one = |replicate| {
        let mut draws = Draws::new(51, sizes.0 as u32, replicate);
        let x = matrix(sizes.0, law, Drift::Nothing, &mut draws);
        let y = matrix(sizes.1, law, drift, &mut draws);
        let scaling = if replicate % 2 == 0 { Scaling::Standard } else { Scaling::Rank };
        let points = Points::of_rows(x.view(), y.view(), &["a", "b", "c"], scaling);
        let judged = test(&points.expect("points"), replicate);
        let verdict = |v| f64::from(u8::from(judged.verdict == v));
        [
            f64::from(u8::from(judged.p_value <= 0.05)),
            verdict(Verdict::Fail),
            verdict(Verdict::Pass),
        ]
    };
    let all: Vec<[f64; 3]> = (0..replicates).into_par_iter().map(one).collect();
    [0, 1, 2].map(|i| all.iter().map(|rates| rates[i]).sum::<f64>() / replicates as f64)
}

#[test]
fn undrifted_data_are_rejected_at_the_level() {
    let n_replicates = replicates(120);
    println!("null: rejected / fail / pass of {n_replicates}, level 0.05");
    for (name, test) in TESTS {
        for law in [Law::Normal, Law::Tails, Law::Tied] {
            for sizes in [(30, 30), (45, 20)] {
                let [rejected, fail, pass] = rates(test, law, Drift::Nothing, sizes, n_replicates);
                println!("{name:<20} {law:?} {sizes:?}: {rejected:.3} {fail:.3} {pass:.3}");
                assert!(rejected <= 0.06 + noise(0.05, n_replicates), "{name} {law:?} {sizes:?}");
                // The lower limit must be over a floor, besides.
                assert!(fail <= rejected);
            }
        }
    }
}

#[test]
fn drift_is_found() {
    let n_replicates = replicates(12);
    println!("power: rejected / fail / pass of {n_replicates}, n = m = 150");
    for (name, test) in TESTS {
        for drift in [Drift::Shift, Drift::Together] {
            let sizes = (150, 150);
            let [rejected, fail, pass] = rates(test, Law::Normal, drift, sizes, n_replicates);
            println!("{name:<20} {drift:?}: {rejected:.3} {fail:.3} {pass:.3}");
            let least = match (name, drift) {
                // What it costs to look at few pairs.
                ("mmd, linear", Drift::Shift) => 0.1,
                ("mmd", Drift::Together) => 0.4,
                ("correlation change", Drift::Shift) => 0.0,
                (_, Drift::Shift) | ("correlation change", _) => 0.9,
                _ => 0.0,
            };
            assert!(rejected >= least, "{name} {drift:?}: {rejected}");
            if rejected > 0.5 {
                assert_eq!(pass, 0.0, "{name} {drift:?}");
            }
        }
    }
}

/// Mixed columns with what is missing.
fn mixed(n: usize, seed: u64) -> RecordBatch {
    let mut draws = Draws::new(52, 0, seed);
    let mut x = Float64Builder::new();
    let (mut city, mut lists) = (Vec::new(), Vec::new());
    for _ in 0..n {
        x.append_option((!draws.bernoulli(0.1)).then(|| draws.normal()));
        city.push([Some("a"), Some("b"), None, Some("c")][draws.below(4) as usize]);
        let list = [draws.normal(), draws.normal()].map(Some).to_vec();
        lists.push((!draws.bernoulli(0.05)).then_some(list));
    }
    let columns: [(&str, ArrayRef); 3] = [
        ("x", Arc::new(x.finish())),
        ("city", Arc::new(StringArray::from(city))),
        ("e", Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(lists, 2))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).expect("a batch")
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(work)
}

#[test]
fn the_same_bits_for_any_threads_and_cutting() {
    let (reference, current) = (mixed(300, 1), mixed(200, 2));
    let cut = |batch: &RecordBatch, step: usize| {
        let parts = (0..batch.num_rows()).step_by(step);
        let parts = parts.map(|at| batch.slice(at, step.min(batch.num_rows() - at)));
        MemorySource::new(batch.schema(), parts).expect("a source")
    };
    let run = |threads, step| {
        on_threads(threads, || {
            let draw = RowSample::of(&reference.schema(), 5).expect("columns");
            let draw = draw.with_cap(150).expect("a cap");
            let sample = |batch| draw.draw(&cut(batch, step)).expect("a sample");
            let (x, y) = (sample(&reference), sample(&current));
            let encoding = Encoding::default();
            let points = Points::new(&x, &y, encoding, Scaling::Standard).expect("points");
            let results: Vec<String> =
                TESTS.iter().map(|(_, test)| format!("{:?}", test(&points, 3))).collect();
            results
        })
    };
    let expected = run(1, 1000);
    assert_eq!(run(2, 1000), expected);
    assert_eq!(run(3, 7), expected);
    assert_eq!(run(5, 64), expected);
}

#[test]
fn rows_become_points_as_the_encoding_says() {
    let (reference, current) = (mixed(300, 1), mixed(200, 2));
    let source = MemorySource::from(reference);
    let draw = RowSample::of(&source.schema(), 5).expect("columns");
    let (x, y) = (
        draw.draw(&source).expect("a sample"),
        draw.draw(&MemorySource::from(current)).expect("a sample"),
    );
    let names = |encoding| {
        let points = Points::new(&x, &y, encoding, Scaling::Raw).expect("points");
        let names: Vec<_> = points.features().iter().map(|f| f.name.clone()).collect();
        (names.join(" "), points.reference(), points.current())
    };
    let (features, n, m) = names(Encoding::default());
    assert_eq!(features, "x city e[0] e[1]");
    assert_eq!((n.rows, m.rows), (300, 200));
    // Only those without an embedding are left out.
    assert_eq!((n.points as u64 + n.dropped, m.points as u64 + m.dropped), (300, 200));
    assert!((1..40).contains(&n.dropped) && (10..60).contains(&n.imputed), "{n:?}");
    let one_hot = Categories::OneHot { levels: 2 };
    let all = Encoding { categories: one_hot, missing: MissingValues::DropRow };
    let (features, n, _) = names(all);
    assert_eq!(features.split(' ').filter(|f| f.starts_with("city=")).count(), 3, "{features}");
    assert!(n.dropped > 80 && n.imputed == 0, "{n:?}");
}

#[test]
fn work_can_be_watched_and_stopped() {
    let mut draws = Draws::new(53, 0, 0);
    let x = matrix(40, Law::Normal, Drift::Nothing, &mut draws);
    let y = matrix(40, Law::Normal, Drift::Nothing, &mut draws);
    let points = Points::of_rows(x.view(), y.view(), &["a", "b", "c"], Scaling::Raw);
    let points = points.expect("points");
    let seen = std::sync::atomic::AtomicU64::new(0);
    let listen = |p: &Progress| {
        assert!(p.fraction().is_some_and(|f| f > 0.0 && f <= 1.0));
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let watch = Watch::none().on_progress(&listen);
    let watched = Mmd::new(1).watched(&points, watch).expect("a result");
    assert_eq!(watched, Mmd::new(1).test(&points).expect("a result"));
    assert!(seen.into_inner() > 0);
    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = Watch::none().cancel(&cancel);
    assert!(Mmd::new(1).watched(&points, stopped).expect_err("stopped").is_cancelled());
    let stopped = SlicedWasserstein::new(1).watched(&points, stopped);
    assert!(stopped.expect_err("stopped").is_cancelled());
}

#[test]
fn what_has_no_value_is_an_error() {
    let one = Array2::from_elem((30, 1), 1.0);
    let points = |x: &Array2<f64>, y: &Array2<f64>| {
        Points::of_rows(x.view(), y.view(), &["x"], Scaling::Standard)
    };
    assert!(points(&one, &one).is_err(), "all are constant");
    assert!(points(&Array2::zeros((1, 1)), &one).is_err(), "a single row");
    assert!(points(&Array2::from_elem((3, 1), f64::NAN), &one).is_err());
    let mut mostly = one.clone();
    mostly[[0, 0]] = 2.0;
    let points = points(&one, &mostly).expect("points");
    // Most distances are 0, and there is no bandwidth; with one there is a result.
    assert!(Mmd::new(1).test(&points).is_err());
    let test = Mmd::new(1).sigma(1.0).test(&points).expect("a result");
    assert!(test.judged.p_value > 0.9, "{test}");
    assert!(Mmd::new(1).sigma(0.0).test(&points).is_err());
    assert!(Mmd::new(1).replicates(0).test(&points).is_err());
    assert!(Mmd::new(1).floor(f64::NAN).test(&points).is_err());
    let test = SlicedWasserstein::new(1).test(&points).expect("a result");
    assert!(test.judged.p_value > 0.9, "{test}");
    assert!(SlicedWasserstein::new(1).directions(0).test(&points).is_err());
}
