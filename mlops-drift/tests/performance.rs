//! Performance without labels: what the bands cover, by simulation, and what the state keeps.
//!
//! `MLOPS_REPLICATES` raises the number of replicates.

use std::time::Duration;

use arrow::array::{BooleanArray, Float64Array, StringArray, TimestampSecondArray, UInt32Array};
use arrow::record_batch::RecordBatch;
use mlops_core::metrics::{Scored, roc_auc};
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, DataSourceExt, Error, MemorySource, Verdict, batch, conformance};
use mlops_drift::performance::{Calibrate, Cbpe, CbpeOptions, PerformanceLimit};
use mlops_drift::windows::{ByWindow, Windowing};

fn replicates(quick: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(quick)
}

/// Scores, and whether each row is positive.
fn drawn(
    stream: u32,
    replicate: u64,
    n: u64,
    score: impl Fn(&mut Draws) -> f64,
    truth: impl Fn(f64) -> f64,
) -> (Vec<f64>, Vec<bool>) {
    (0..n)
        .map(|i| {
            let mut draws = Draws::new(replicate, stream, i);
            let score = score(&mut draws);
            (score, draws.bernoulli(truth(score)))
        })
        .unzip()
}

fn rows((score, y): &(Vec<f64>, Vec<bool>)) -> RecordBatch {
    batch! {
        "score" => Float64Array::from(score.clone()),
        "y" => BooleanArray::from(y.clone()),
    }
    .expect("rows")
}

/// The metrics that the labels give.
fn realised(score: &[f64], y: &[bool]) -> [f64; 6] {
    let count = |truth: bool, predicted: bool| {
        score.iter().zip(y).filter(|(s, y)| (**s >= 0.5) == predicted && **y == truth).count()
            as f64
    };
    let (tp, fp) = (count(true, true), count(false, true));
    let (fn_, tn) = (count(true, false), count(false, false));
    let (y_true, y_score) = (BooleanArray::from(y.to_vec()), Float64Array::from(score.to_vec()));
    let scored = Scored { y_true: &y_true, y_score: &y_score, positive: "true" };
    let auc = roc_auc(scored).expect("both labels");
    [
        auc,
        (tp + tn) / score.len() as f64,
        2.0 * tp / (2.0 * tp + fp + fn_),
        tp / (tp + fp),
        tp / (tp + fn_),
        tn / (tn + fp),
    ]
}

/// Coverage of the realised metric of a window by 95 % bands, over references and windows, under
/// covariate shift of scores that are off.
#[test]
fn bands_cover_what_the_labels_will_say() {
    let runs = replicates(60);
    for (name, n, m, truth) in [
        ("squares", 2000, 300, (|s: f64| s * s) as fn(f64) -> f64),
        ("right", 1000, 1000, |s| s),
        ("wavy", 3000, 2000, |s| (0.1 + 0.8 * s + 0.1 * (9.0 * s).sin()).clamp(0.0, 1.0)),
    ] {
        let mut covered = [0_u64; 6];
        for run in 0..runs {
            let reference = drawn(1, run, n, Draws::uniform, truth);
            let shifted = |draws: &mut Draws| f64::midpoint(draws.uniform(), draws.uniform());
            let current = drawn(2, run, m, shifted, truth);
            let options = CbpeOptions::new("y", "score", "true");
            let cbpe = Cbpe::fit(&MemorySource::from(rows(&reference)), &options).expect("a fit");
            let found = MemorySource::from(rows(&current)).measure(&cbpe).expect("estimates");
            for (i, (estimate, truth)) in
                found.estimates().zip(realised(&current.0, &current.1)).enumerate()
            {
                covered[i] += u64::from(estimate.interval.expect("a band").contains(truth));
            }
        }
        let shares = covered.map(|c| c as f64 / runs as f64);
        println!("{name}: roc_auc, accuracy, f1, precision, recall, specificity: {shares:.3?}");
        // Three standard errors of a share of 0.95, and a point for what is only nearly normal.
        let slack = 3.0 * (0.95 * 0.05 / runs as f64).sqrt() + 0.015;
        assert!(shares.iter().all(|share| *share >= 0.95 - slack), "{name}: {shares:?}");
    }
}

#[test]
fn concept_drift_is_not_seen() {
    let reference = drawn(1, 0, 4000, Draws::uniform, |s| s);
    let turned = drawn(2, 0, 4000, Draws::uniform, |s| 1.0 - s);
    let options = CbpeOptions::new("y", "score", "true");
    let cbpe = Cbpe::fit(&MemorySource::from(rows(&reference)), &options).expect("a fit");
    let found = MemorySource::from(rows(&turned)).measure(&cbpe).expect("estimates");
    let [_, accuracy, ..] = realised(&turned.0, &turned.1);
    assert!(accuracy < 0.3 && found.accuracy.value.expect("a value") > 0.7);
    let limits = [PerformanceLimit::at_least("accuracy", 0.7)];
    assert_eq!(found.assess(&limits).expect("an answer").verdict, Verdict::Pass);
    let limits = [PerformanceLimit::at_least("accuracy", 0.9)];
    assert_eq!(found.assess(&limits).expect("an answer").verdict, Verdict::Fail);
    assert!(found.assess(&[PerformanceLimit::at_least("mae", 0.9)]).is_err());
}

#[test]
fn states_are_functions_of_the_rows_kept_exactly_or_in_cells() {
    let reference = drawn(1, 3, 5000, Draws::uniform, f64::sqrt);
    for how in [Calibrate::WhereItHelps, Calibrate::Never] {
        let options = CbpeOptions::new("y", "score", "yes").prediction("predicted").calibrate(how);
        let (score, y) = &reference;
        let words = |i: usize| ["no", "yes"][usize::from(score[i] > 0.4)];
        let labelled = batch! {
            "score" => Float64Array::from(score.clone()),
            "predicted" => StringArray::from_iter_values((0..score.len()).map(words)),
            "y" => StringArray::from_iter_values(y.iter().map(|y| if *y { "yes" } else { "no" })),
        }
        .expect("rows");
        let cbpe = Cbpe::fit(&MemorySource::from(labelled.clone()), &options).expect("a fit");
        assert_eq!(cbpe.reference().calibration.calibrated, how == Calibrate::WhereItHelps);

        // The same reference in another order.
        let backwards = UInt32Array::from_iter_values((0..labelled.num_rows() as u32).rev());
        let backwards = arrow::compute::take_record_batch(&labelled, &backwards);
        let backwards = MemorySource::from(backwards.expect("rows"));
        let again = Cbpe::fit(&backwards, &options).expect("a fit");
        let text = serde_json::to_string(&cbpe).expect("text");
        assert_eq!(text, serde_json::to_string(&again).expect("text"));
        let read: Cbpe = serde_json::from_str(&text).expect("a fit read back");
        assert_eq!(read.description(), cbpe.description());

        // Nasty rows, few different scores.
        let score = |i: usize| match i % 11 {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(1.0 + 1e-9),
            3 => Some(-0.0),
            4 => Some(1.0),
            _ => Some((i * 7919 % 101) as f64 / 100.0),
        };
        let nasty = batch! {
            "score" => (0..200).map(score).collect::<Float64Array>(),
            "predicted" => (0..200).map(|i| (i % 13 != 7).then(|| words(i))).collect::<StringArray>(),
        }
        .expect("rows");
        conformance::analyzer(&cbpe, &nasty);
        let found = MemorySource::from(nasty).measure(&cbpe).expect("estimates");
        assert_eq!(found.rows + found.nulls + found.invalid, 200);
        assert!(found.beyond_reference.expect("a count") > 0 && found.roc_auc_bounds.is_none());

        // More different scores than are kept: merged from parts that are exact themselves.
        let many = drawn(9, 4, 9000, Draws::uniform, |s| s);
        let many = batch! {
            "score" => Float64Array::from(many.0),
            "predicted" => StringArray::from_iter_values(many.1.iter().map(|y| if *y { "yes" } else { "no" })),
        }
        .expect("rows");
        let whole = MemorySource::from(many.clone()).measure(&cbpe).expect("estimates");
        let parts = MemorySource::from(many.clone()).scan().batch_size(700).run(&cbpe);
        assert_eq!(parts.expect("estimates"), whole);
        let (low, high) = whole.roc_auc_bounds.expect("bounds");
        assert!(high - low < 1e-3, "{low} {high}");
        // Exactly: by windows that are small, merged by hand.
        let exact = exact_auc(&cbpe, &many);
        assert!((low..=high).contains(&exact), "{exact} in [{low}, {high}]");
        conformance_of_cells(&cbpe, &many);
    }
}

fn exact_auc(cbpe: &Cbpe, rows: &RecordBatch) -> f64 {
    let score: &Float64Array = rows.column(0).as_any().downcast_ref().expect("scores");
    let mut p: Vec<(f64, f64)> = score.values().iter().map(|&s| (s, cbpe.probability(s))).collect();
    p.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut area, mut positives) = (0.0, 0.0, 0.0);
    for (_, p) in p {
        area += p * (below + (1.0 - p) / 2.0);
        below += 1.0 - p;
        positives += p;
    }
    area / below / positives
}

fn conformance_of_cells(cbpe: &Cbpe, rows: &RecordBatch) {
    use mlops_core::State;
    let state = MemorySource::from(rows.clone()).scan().state(cbpe).expect("a state");
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    let read = cbpe.decode(&mut bytes.as_slice()).expect("a state read back");
    let mut again = Vec::new();
    read.encode(&mut again);
    assert_eq!(again, bytes);
    for at in (0..bytes.len()).step_by(701) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        if let Ok(mut state) = cbpe.decode(&mut damaged.as_slice()) {
            for _ in 0..10 {
                state.merge(state.clone()).expect("states of one estimator");
            }
            drop(cbpe.finish(state));
        }
        assert!(cbpe.decode(&mut &bytes[..at]).is_err());
    }
}

#[test]
fn what_cannot_be_estimated_is_said() {
    let reference = rows(&drawn(1, 0, 300, Draws::uniform, |s| s));
    let fit = |options: CbpeOptions| Cbpe::fit(&MemorySource::from(reference.clone()), &options);
    let options = || CbpeOptions::new("y", "score", "true");
    assert!(fit(options().confidence(1.0)).is_err());
    assert!(fit(options().threshold(f64::NAN)).is_err());
    assert!(matches!(fit(options().prediction("nope")), Err(Error::ColumnNotFound { .. })));
    for unreachable in [7.0, -0.1] {
        assert!(fit(options().threshold(unreachable)).is_err());
    }
    assert!(fit(options().folds(1)).is_err());
    let of_folds = fit(options().folds(4).seed(9)).expect("a fit");
    assert_eq!((of_folds.options().folds, of_folds.options().seed), (4, 9));
    assert!(fit(CbpeOptions::new("y", "score", "yes")).is_err());
    let empty = MemorySource::from(reference.slice(0, 0));
    assert!(matches!(Cbpe::fit(&empty, &options()), Err(Error::Undefined { .. })));

    let cbpe = fit(options().threshold(0.7)).expect("a fit");
    let estimate = |scores: Vec<f64>| {
        let rows = batch! { "score" => Float64Array::from(scores) }.expect("rows");
        MemorySource::from(rows).measure(&cbpe).expect("estimates")
    };
    let nothing = estimate(vec![]);
    assert!(nothing.estimates().all(|e| e.value.is_none() && e.reason.is_some()), "{nothing}");
    let none_positive = estimate(vec![0.5; 20]);
    assert!(none_positive.precision.value.is_none() && none_positive.accuracy.value.is_some());
    let limits = [PerformanceLimit::at_least("precision", 0.0)];
    let verdict = none_positive.assess(&limits).expect("an answer").verdict;
    assert_eq!(verdict, Verdict::Inconclusive);

    // Another fit's states do not merge with these.
    let other = fit(options()).expect("a fit");
    let source = MemorySource::from(reference.clone());
    let mut state = source.scan().state(&cbpe).expect("a state");
    let theirs = source.scan().state(&other).expect("a state");
    assert!(mlops_core::State::merge(&mut state, theirs).is_err());
}

/// A label that is misspelt makes every row negative, and every estimate one of nothing.
#[test]
fn a_reference_of_one_class_is_refused_with_its_labels() {
    let fit = |labels: &[&str], positive: &str| {
        let rows = batch! {
            "score" => Float64Array::from_iter_values((0..60).map(|i| f64::from(i) / 60.0)),
            "y" => StringArray::from_iter_values((0..60).map(|i| labels[i % labels.len()])),
        };
        let source = MemorySource::from(rows.expect("rows"));
        Cbpe::fit(&source, &CbpeOptions::new("y", "score", positive))
    };
    assert!(fit(&["yes", "no"], "yes").is_ok());
    let error = |labels: &[&str], positive| fit(labels, positive).expect_err("one class");
    let what = "the positive label of `y` in the reference: expected one";
    assert_eq!(
        error(&["yes", "no"], "Yes").to_string(),
        format!("{what} that occurs, found `Yes`; the labels are `no`, `yes`"),
    );
    assert_eq!(
        error(&["yes"], "yes").to_string(),
        format!("{what} of two or more, found `yes`; the labels are `yes`"),
    );
    let many = ["g", "f", "e", "d", "c", "b"];
    assert!(error(&many, "a").to_string().ends_with("are `b`, `c`, `d`, `e`, `f`, …"));

    let numbers = batch! {
        "score" => Float64Array::from(vec![0.2, 0.8]),
        "y" => Float64Array::from(vec![0.0, 1.0]),
    };
    let numbers = MemorySource::from(numbers.expect("rows"));
    let error = Cbpe::fit(&numbers, &CbpeOptions::new("y", "score", "2")).expect_err("no 2");
    assert!(error.to_string().ends_with("found `2`; the labels are `0`, `1`"), "{error}");
}

#[test]
fn scores_that_are_no_probabilities_make_no_estimator() {
    let reference = |points: usize| {
        let rows = (0..1000).map(|i| if i < points { 7.0 } else { (i % 10) as f64 / 10.0 });
        MemorySource::from(
            batch! {
                "score" => Float64Array::from_iter_values(rows),
                "y" => (0..1000).map(|i| Some(i % 3 == 0)).collect::<BooleanArray>(),
            }
            .expect("rows"),
        )
    };
    let options = CbpeOptions::new("y", "score", "true");
    assert_eq!(Cbpe::fit(&reference(50), &options).expect("a fit").reference().left_out, 50);
    let error = Cbpe::fit(&reference(51), &options).expect_err("too many").to_string();
    let expected = "the scores `score` of the reference: expected probabilities, from 0 to 1, found \
                    others in 51 of 1000 rows, such as 7";
    assert_eq!(error, expected);
}

#[test]
fn few_rows_and_rows_left_out_are_no_answer() {
    let reference = rows(&drawn(1, 0, 2000, Draws::uniform, |s| s));
    let options = CbpeOptions::new("y", "score", "true");
    let cbpe = Cbpe::fit(&MemorySource::from(reference), &options).expect("a fit");
    let verdict = |scores: Vec<f64>| {
        let rows = batch! { "score" => Float64Array::from(scores) }.expect("rows");
        let found = MemorySource::from(rows).measure(&cbpe).expect("estimates");
        let limits = [PerformanceLimit::at_least("accuracy", 0.6)];
        found.assess(&limits).expect("an answer").verdict
    };
    assert_eq!(verdict(vec![0.99]), Verdict::Inconclusive);
    assert_eq!(verdict(vec![0.99; 100]), Verdict::Pass);
    let invalid = |n: usize| (0..3000).map(|i| if i < n { 1.5 } else { 0.99 }).collect();
    assert_eq!(verdict(invalid(2800)), Verdict::Inconclusive);
    assert_eq!(verdict(invalid(100)), Verdict::Pass);
}

#[test]
fn estimates_over_time_are_windows_of_the_estimator() {
    let reference = drawn(1, 0, 4000, Draws::uniform, |s| s);
    let options = CbpeOptions::new("y", "score", "true");
    let cbpe = Cbpe::fit(&MemorySource::from(rows(&reference)), &options).expect("a fit");
    let score = |i: i64| {
        let u = Draws::new(4, 4, i as u64).uniform();
        if i < 2000 { u } else { 0.3 + 0.4 * u }
    };
    let stream = batch! {
        "at" => TimestampSecondArray::from_iter_values((0..4000).map(|i| i * 4)),
        "score" => Float64Array::from_iter_values((0..4000).map(score)),
    }
    .expect("rows");
    let hourly = Windowing::by_time("at", Duration::from_secs(4000)).expect("windows");
    let by_window = ByWindow::new(cbpe.clone(), hourly).expect("windows");
    let found = MemorySource::from(stream).measure(&by_window).expect("windows");
    let limits = [PerformanceLimit::at_least("accuracy", 0.68)];
    let verdicts: Vec<_> = found
        .windows
        .into_iter()
        .map(|w| cbpe.finish(w.state).and_then(|e| e.assess(&limits)).expect("an answer").verdict)
        .collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, Verdict::Fail, Verdict::Fail]);
}
