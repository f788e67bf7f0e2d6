//! Tests of several columns together: their false alarms where nothing drifted and their power where
//! something did, by simulation; the same bits for any number of threads and any cutting of the
//! rows. `MLOPS_REPLICATES` raises the number of replicates.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float64Builder, RecordBatch, StringArray};
use arrow::datatypes::Float64Type;
use mlops_core::model::to_batch;
use mlops_core::ndarray::{Array2, ArrayView2};
use mlops_core::stats::Draws;
use mlops_core::{
    Cancel, DataSource, DataSourceExt, DriftDetectorExt, MemorySource, Progress, Verdict,
};
use mlops_drift::multivariate::{
    Categories, ClassifierFn, CorrelationChange, DomainClassifier, Encoding, Judged, MissingValues,
    Mmd, MmdEstimator, PcaOptions, PcaReconstruction, Points, RowSample, Scaling, Scorer,
    SlicedWasserstein, Watch,
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

type Test = fn(&Array2<f64>, &Array2<f64>, u64) -> Judged;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn points(x: &Array2<f64>, y: &Array2<f64>, seed: u64) -> Points {
    let scaling = if seed.is_multiple_of(2) { Scaling::Standard } else { Scaling::Rank };
    Points::of_rows(x.view(), y.view(), &NAMES, scaling).expect("points")
}

/// Each with few permutations, which changes the power but not the level: 5 % of 39 + 1 is 2.
const TESTS: [(&str, Test); 7] = [
    ("mmd", |x, y, seed| {
        Mmd::new(seed).replicates(39).test(&points(x, y, seed)).expect("mmd").judged
    }),
    ("mmd, blocked", |x, y, seed| {
        let blocked = MmdEstimator::Blocked { points: 24 };
        let test = Mmd::new(seed).replicates(39).estimator(blocked);
        test.test(&points(x, y, seed)).expect("mmd").judged
    }),
    ("mmd, linear", |x, y, seed| {
        let test = Mmd::new(seed).replicates(39).estimator(MmdEstimator::Linear);
        test.test(&points(x, y, seed)).expect("mmd").judged
    }),
    ("sliced wasserstein", |x, y, seed| {
        let test = SlicedWasserstein::new(seed).replicates(39).directions(8);
        test.test(&points(x, y, seed)).expect("sliced wasserstein").judged
    }),
    ("correlation change", |x, y, seed| {
        let test = CorrelationChange::new(seed).replicates(39);
        test.test(&points(x, y, seed)).expect("correlations").judged
    }),
    ("domain classifier", |x, y, seed| {
        let test = DomainClassifier::new(seed).replicates(39).folds(3);
        test.test(&points(x, y, seed)).expect("a classifier").judged
    }),
    ("pca reconstruction", |x, y, seed| {
        let source =
            |x: &Array2<f64>| MemorySource::from(to_batch(x.view(), &NAMES).expect("a batch"));
        let options = PcaOptions::new(seed).replicates(39);
        let pca = PcaReconstruction::fit(&source(x), &options).expect("components");
        pca.compare(&source(y)).expect("a comparison").judged
    }),
];

/// How often a test rejects, fails and passes.
fn rates(test: Test, law: Law, drift: Drift, sizes: (usize, usize), replicates: u64) -> [f64; 3] {
    let one = |replicate| {
        let mut draws = Draws::new(51, sizes.0 as u32, replicate);
        let x = matrix(sizes.0, law, Drift::Nothing, &mut draws);
        let y = matrix(sizes.1, law, drift, &mut draws);
        let judged = test(&x, &y, replicate);
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
    let n_replicates = replicates(200);
    println!("null: rejected / fail / pass of {n_replicates}, level 0.05");
    for (name, test) in TESTS {
        for (law, sizes) in [(Law::Normal, (30, 30)), (Law::Tails, (45, 20)), (Law::Tied, (20, 40))]
        {
            let [rejected, fail, pass] = rates(test, law, Drift::Nothing, sizes, n_replicates);
            println!("{name:<20} {law:?} {sizes:?}: {rejected:.3} {fail:.3} {pass:.3}");
            assert!(rejected <= 0.06 + noise(0.05, n_replicates), "{name} {law:?} {sizes:?}");
            // The lower limit must be over a floor, besides.
            assert!(fail <= rejected);
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
                // Correlations and residuals know nothing of a shift along the components.
                ("correlation change" | "pca reconstruction", Drift::Shift) => 0.0,
                ("pca reconstruction", _) => 0.25,
                (_, Drift::Shift) | ("correlation change" | "domain classifier", _) => 0.9,
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
            let options = PcaOptions::new(5).replicates(49);
            let pca = PcaReconstruction::fit(&cut(&reference, step), &options);
            let pca = pca.expect("components").compare(&cut(&current, step));
            let estimators = [
                MmdEstimator::Quadratic,
                MmdEstimator::Blocked { points: 40 },
                MmdEstimator::Linear,
            ];
            let mmd = estimators.map(|estimator| {
                let test = Mmd::new(3).replicates(49).estimator(estimator);
                test.test(&points).expect("mmd")
            });
            let sliced = SlicedWasserstein::new(3).replicates(49).directions(16);
            let classifier = DomainClassifier::new(3).replicates(49);
            (
                pca.expect("a comparison"),
                mmd,
                sliced.test(&points).expect("sliced wasserstein"),
                CorrelationChange::new(3).replicates(49).test(&points).expect("correlations"),
                classifier.test(&points).expect("a classifier"),
            )
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

#[test]
fn limits_hold_an_effect_that_is_known() {
    let n_replicates = replicates(60);
    // A normal column moved by δ, against a kernel with σ: E k is that of a normal difference.
    let (delta, sigma, rho) = (0.4_f64, 1.0_f64, 0.5_f64);
    let width = sigma * sigma + 2.0;
    let mmd2 =
        2.0 * (sigma * sigma / width).sqrt() * (1.0 - (-delta * delta / (2.0 * width)).exp());
    let one = |replicate| {
        let mut draws = Draws::new(54, 0, replicate);
        let mut rows = |n: usize, shift: f64, rho: f64| {
            let mut x = Array2::zeros((n, 2));
            for mut row in x.rows_mut() {
                let (a, b) = (draws.normal(), draws.normal());
                row[0] = a + shift;
                row[1] = rho * a + (1.0 - rho * rho).sqrt() * b;
            }
            x
        };
        let (x, y) = (rows(60, 0.0, 0.0), rows(90, delta, rho));
        let raw = |x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>, names: &[&str]| {
            Points::of_rows(x, y, names, Scaling::Raw).expect("points")
        };
        let first = mlops_core::ndarray::s![.., ..1];
        let line = raw(x.slice(first), y.slice(first), &["a"]);
        let mmd = Mmd::new(replicate).replicates(99).sigma(sigma).test(&line).expect("mmd");
        let sliced = SlicedWasserstein::new(replicate).replicates(99).test(&line);
        let plane = raw(x.view(), y.view(), &["a", "b"]);
        let change = CorrelationChange::new(replicate).replicates(99).test(&plane);
        let limits = [
            (mmd.judged.interval, mmd2),
            (sliced.expect("sliced wasserstein").judged.interval, delta),
            (Some(change.expect("correlations").pairs[0].interval), rho),
        ];
        limits.map(|(limits, truth)| f64::from(u8::from(!limits.expect("limits").contains(truth))))
    };
    let all: Vec<[f64; 3]> = (0..n_replicates).into_par_iter().map(one).collect();
    let [mmd, sliced, change] =
        [0, 1, 2].map(|i| all.iter().map(|m| m[i]).sum::<f64>() / n_replicates as f64);
    println!("limits miss MMD² {mmd:.3}, sliced W1 {sliced:.3}, correlation {change:.3}; 0.05 may");
    let most = 0.07 + noise(0.05, n_replicates);
    assert!(mmd <= most && sliced <= most && change <= most);
}

#[test]
fn components_are_stored_and_ride_on_a_scan() {
    let mut draws = Draws::new(55, 0, 0);
    let x = matrix(400, Law::Normal, Drift::Together, &mut draws);
    let same = matrix(300, Law::Normal, Drift::Together, &mut draws);
    let apart = matrix(300, Law::Normal, Drift::Nothing, &mut draws);
    let source = |x: &Array2<f64>| MemorySource::from(to_batch(x.view(), &NAMES).expect("a batch"));
    let pca = PcaReconstruction::fit(&source(&x), &PcaOptions::new(1)).expect("components");
    assert_eq!(pca.rows().0 + pca.rows().1, 400);
    let text = serde_json::to_string(&pca).expect("text");
    let read: PcaReconstruction = serde_json::from_str(&text).expect("components");
    let drift = read.compare(&source(&apart)).expect("a comparison");
    assert_eq!(drift, pca.compare(&source(&apart)).expect("a comparison"));
    assert!(drift.change > 0.0 && drift.judged.verdict.is_fail(), "{drift}");
    assert_eq!(drift.features.len(), 3);
    // Squared residuals add up to the squared errors.
    let errors = pca.errors(&to_batch(apart.view(), &NAMES).expect("a batch")).expect("errors");
    let squares = errors.iter().flatten().map(|e| e * e).sum::<f64>() / 300.0;
    let by_feature: f64 = drift.features.iter().map(|f| f.current).sum();
    assert!((squares - by_feature).abs() < 1e-12 * squares);
    let undrifted = pca.compare(&source(&same)).expect("a comparison");
    assert!(!undrifted.judged.verdict.is_fail(), "{undrifted}");
    assert_eq!(pca.detect(&source(&apart)).expect("an assessment").verdict, Verdict::Fail);
    let other = to_batch(Array2::zeros((9, 1)).view(), &["a"]).expect("a batch");
    let detected = pca.detect(&MemorySource::from(other)).expect("an assessment");
    assert_eq!(detected.verdict, Verdict::Inconclusive);
    assert!(detected.findings[0].observed.contains("column `b` is not there"));
    mlops_core::conformance::drift_detector(&pca, &source(&same).collect().expect("a batch"));
    for (from, to) in
        [("\"scale\":[", "\"scale\":[1.0,"), ("\"explained\":[", "\"explained\":[2.0,")]
    {
        let damaged = text.replacen(from, to, 1);
        assert_ne!(damaged, text);
        assert!(serde_json::from_str::<PcaReconstruction>(&damaged).is_err(), "{from}");
    }
}

#[test]
fn any_classifier_can_be_asked() {
    let mut draws = Draws::new(56, 0, 0);
    let x = matrix(90, Law::Normal, Drift::Nothing, &mut draws);
    let mut y = matrix(60, Law::Normal, Drift::Nothing, &mut draws);
    for mut row in y.rows_mut() {
        row[1] += 1.5;
    }
    let points = Points::of_rows(x.view(), y.view(), &NAMES, Scaling::Standard).expect("points");
    // The direction from mean to mean.
    let means = ClassifierFn(|x: ArrayView2<'_, f64>, labels: &[bool]| {
        let mut direction = vec![0.0; x.ncols()];
        let n = labels.iter().filter(|l| **l).count() as f64;
        for (row, label) in x.rows().into_iter().zip(labels) {
            let weight = if *label { 1.0 / n } else { -1.0 / (labels.len() as f64 - n) };
            direction.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
        }
        let score: Scorer = Box::new(move |x: ArrayView2<'_, f64>| {
            let dot = |row: mlops_core::ndarray::ArrayView1<'_, f64>| {
                row.iter().zip(&direction).map(|(x, u)| x * u).sum()
            };
            Ok(x.rows().into_iter().map(dot).collect())
        });
        Ok(score)
    });
    for test in [DomainClassifier::new(1), DomainClassifier::new(1).classifier(means)] {
        let found = test.replicates(49).test(&points).expect("a result");
        assert!(found.auc > 0.75 && found.judged.verdict.is_fail(), "{found}");
        assert_eq!(found.columns[0].column, "b", "{found}");
        assert!(found.columns[0].importance > 5.0 * found.columns[1].importance.abs(), "{found}");
        assert!((found.expected_from_noise - 0.5).abs() < 0.05, "{found}");
    }
    let lies = ClassifierFn(|_: ArrayView2<'_, f64>, _: &[bool]| {
        let score: Scorer = Box::new(|_: ArrayView2<'_, f64>| Ok(vec![0.0]));
        Ok(score)
    });
    assert!(DomainClassifier::new(1).classifier(lies).test(&points).is_err());
    assert!(DomainClassifier::new(1).folds(1).test(&points).is_err());
    assert!(DomainClassifier::new(1).folds(61).test(&points).is_err());
    // Told apart without error: the limit is that of 60 pairs.
    let far = &y + 100.0;
    let points = Points::of_rows(x.view(), far.view(), &NAMES, Scaling::Standard).expect("points");
    let found = DomainClassifier::new(1).replicates(19).test(&points).expect("a result");
    assert_eq!((found.auc, found.judged.verdict), (1.0, Verdict::Fail));
    let low = found.judged.interval.expect("limits").low;
    assert!((low - 0.025_f64.powf(1.0 / 60.0)).abs() < 1e-12);
}

#[test]
fn what_was_constant_is_in_its_own_unit_and_no_rounding() {
    // Of 0.1 a thousand times the mean is another number.
    for n in [997, 1000, 1003] {
        let rows = |constant: f64, seed: u64| {
            let mut draws = Draws::new(seed, 0, 0);
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for _ in 0..n {
                a.push(draws.normal());
                b.push(a[a.len() - 1] + draws.normal());
            }
            let columns: [(&str, ArrayRef); 3] = [
                ("a", Arc::new(arrow::array::Float64Array::from(a))),
                ("b", Arc::new(arrow::array::Float64Array::from(b))),
                ("c", Arc::new(arrow::array::Float64Array::from(vec![constant; n]))),
            ];
            MemorySource::from(RecordBatch::try_from_iter(columns).expect("a batch"))
        };
        let pca = PcaReconstruction::fit(&rows(0.1, 1), &PcaOptions::new(1)).expect("a fit");
        let same = pca.compare(&rows(0.1, 2)).expect("a comparison");
        let near = pca.compare(&rows(0.1000000000000001, 2)).expect("a comparison");
        let apart = pca.compare(&rows(0.11, 2)).expect("a comparison");
        assert!((near.change - same.change).abs() < 1e-9, "{} {}", near.change, same.change);
        assert!((apart.change - same.change).abs() < 0.1, "{} {}", apart.change, same.change);
    }
}

#[test]
fn too_few_permutations_give_no_limits_and_nonsense_is_refused() {
    let x = matrix(40, Law::Normal, Drift::Nothing, &mut Draws::new(1, 0, 0));
    let points = points(&x, &x, 0);
    for replicates in [1, 9, 18] {
        let test = CorrelationChange::new(1).replicates(replicates).test(&points).expect("a test");
        assert_eq!(test.judged.interval.map(|i| i.high > 0.9), Some(true), "{test}");
        let test = SlicedWasserstein::new(1).replicates(replicates).test(&points).expect("a test");
        assert_eq!((test.judged.interval, test.judged.verdict), (None, Verdict::Inconclusive));
    }
    for sigma in [1e-200, 1e200, f64::NAN, -1.0] {
        assert!(Mmd::new(1).sigma(sigma).test(&points).is_err(), "{sigma}");
    }
}

#[test]
fn a_classifier_always_sees_both_kinds() {
    let x = Array2::from_shape_fn((40, 1), |(i, _)| (i % 7) as f64);
    let y = Array2::from_shape_fn((2, 1), |(i, _)| (i % 5) as f64);
    let points = Points::of_rows(x.view(), y.view(), &["x"], Scaling::Raw).expect("points");
    let picky = ClassifierFn(|_: ArrayView2<'_, f64>, labels: &[bool]| {
        assert!(labels.contains(&true) && labels.contains(&false));
        Ok(Box::new(|x: ArrayView2<'_, f64>| Ok(x.iter().copied().collect())) as Scorer)
    });
    let test = DomainClassifier::new(1).folds(2).replicates(99).classifier(picky).test(&points);
    assert_eq!(test.expect("a test").judged.verdict, Verdict::Inconclusive);
}
