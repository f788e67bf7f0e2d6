//! How often the limits of what is no rate hold what they promise, and how often a gate on them errs:
//! areas under ROC curves, losses, errors of estimated numbers, calibration.
//!
//! Simulated, seeded, `MLOPS_SIMULATIONS` times (30 unless told otherwise). The tables in
//! `docs/fairness.md` are what this prints:
//!
//! `MLOPS_SIMULATIONS=2000 cargo test --release -p mlops-fairness --test coverage_scores -- --nocapture`

#![expect(clippy::unwrap_used, reason = "a test")]

use mlops_core::arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use mlops_core::stats::{Draws, Interval, normal_cdf};
use mlops_core::{DataSourceExt, MemorySource, Verdict};
use mlops_fairness::{
    Composite, Counts, ErrorCounts, ErrorMetric, FairnessGate, Group, GroupErrors, GroupScores,
    Measure, MetricFrame, Operation, Question, ScoreCounts, ScoreMetric, gap,
};
use rayon::prelude::*;
use std::sync::Arc;

const CONFIDENCE: f64 = 0.95;

fn simulations() -> u64 {
    std::env::var("MLOPS_SIMULATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(30)
}

fn holds(limits: Interval, truth: f64) -> bool {
    limits.low <= truth + 1e-12 && truth <= limits.high + 1e-12
}

/// How often something is so.
fn share(stream: u32, so: impl Fn(&mut Draws) -> bool + Sync) -> f64 {
    let runs = simulations();
    let count =
        (0..runs).into_par_iter().filter(|&run| so(&mut Draws::new(21, stream, run))).count();
    count as f64 / runs as f64
}

/// At least the promise, less a point or so and four standard errors of the simulation.
fn enough(held: f64, slack: f64, what: &str) {
    let noise = 4.0 * (CONFIDENCE * (1.0 - CONFIDENCE) / simulations() as f64).sqrt();
    assert!(held >= CONFIDENCE - slack - noise, "{what}: {held}");
}

/// A table of rows by group.
fn table(groups: &[Vec<(bool, f64)>]) -> MemorySource {
    let rows: Vec<(String, bool, f64)> = groups
        .iter()
        .enumerate()
        .flat_map(|(g, rows)| rows.iter().map(move |&(y, s)| (g.to_string(), y, s)))
        .collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("zero", Arc::new(Float64Array::from(vec![0.0; rows.len()]))),
        ("g", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0)))),
        ("y", Arc::new(rows.iter().map(|row| Some(row.1)).collect::<BooleanArray>())),
        ("s", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2)))),
    ];
    MemorySource::from(RecordBatch::try_from_iter(columns).unwrap())
}

fn scored(groups: &[Vec<(bool, f64)>]) -> MetricFrame<ScoreCounts> {
    table(groups).measure(&GroupScores::new("y", "true", "s", ["g"])).unwrap()
}

/// Scores of two normal distributions as far apart as makes this area, in thousandths.
fn ranked(draws: &mut Draws, n: usize, positive: f64, area: f64) -> Vec<(bool, f64)> {
    // Φ(d/√2) = AUC, by bisection.
    let (mut low, mut high) = (0.0, 6.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_cdf(middle / 2f64.sqrt()) < area { low = middle } else { high = middle }
    }
    let positives = (n as f64 * positive).round() as usize;
    (0..n)
        .map(|row| {
            let label = row < positives;
            let z = draws.normal() + if label { low } else { 0.0 };
            (label, (normal_cdf(z - low / 2.0) * 1000.0).floor() / 1000.0)
        })
        .collect()
}

fn limits<C: mlops_fairness::Estimates>(
    frame: &MetricFrame<C>,
    measure: Measure,
    operation: Operation,
) -> Interval {
    gap::of(frame, Question::new(measure, operation), CONFIDENCE).unwrap().interval
}

#[test]
fn areas_under_roc_curves() {
    let auc = Measure::Score(ScoreMetric::RocAuc);
    println!("| AUC | rows, positive | of one | of the difference of two | of five at parity |");
    println!("|---:|---:|---:|---:|---:|");
    for (at, (area, n, positive)) in [
        (0.6, 60, 0.5),
        (0.8, 60, 0.5),
        (0.8, 60, 0.2),
        (0.8, 200, 0.3),
        (0.95, 200, 0.3),
        (0.7, 500, 0.1),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = at as u32 * 3;
        let one = share(stream, |draws| {
            let frame = scored(&[ranked(draws, n, positive, area)]);
            holds(limits(&frame, auc, Operation::GroupMin), area)
        });
        let two = share(stream + 1, |draws| {
            let groups = [ranked(draws, n, positive, area), ranked(draws, n, positive, area - 0.1)];
            holds(limits(&scored(&groups), auc, Operation::Difference), 0.1)
        });
        let five = share(stream + 2, |draws| {
            let groups: Vec<_> = (0..5).map(|_| ranked(draws, n, positive, area)).collect();
            holds(limits(&scored(&groups), auc, Operation::Difference), 0.0)
        });
        let percent = [one, two, five].map(|share| format!("{:.1} %", share * 100.0));
        println!("| {area} | {n}, {:.0} % | {} |", positive * 100.0, percent.join(" | "));
        for (held, what) in [(one, "one"), (two, "two"), (five, "five")] {
            enough(held, 0.015, &format!("AUC {area}, {n} rows, {what}"));
        }
    }
}

/// Labels of probabilities that are shares of twenty, given as they are or too high.
fn probable(draws: &mut Draws, n: usize, off: f64) -> Vec<(bool, f64)> {
    (0..n)
        .map(|_| {
            let p = (draws.below(19) + 1) as f64 / 20.0;
            (draws.bernoulli(p), (p + off).min(1.0))
        })
        .collect()
}

/// The mean over the probabilities of [`probable`].
fn expected(of: impl Fn(f64) -> f64) -> f64 {
    (1..20).map(|i| of(f64::from(i) / 20.0)).sum::<f64>() / 19.0
}

#[test]
fn losses_of_scores() {
    let cases = [
        ("Brier", ScoreMetric::Brier, expected(|p| p * (1.0 - p))),
        ("log loss", ScoreMetric::LogLoss, expected(|p| -p * p.ln() - (1.0 - p) * (1.0 - p).ln())),
        ("mean score", ScoreMetric::MeanPrediction, 0.5),
    ];
    println!("| loss | rows | of one | of the difference of two | of the ratio |");
    println!("|---|---:|---:|---:|---:|");
    for (at, (name, metric, truth)) in cases.into_iter().enumerate() {
        for (k, n) in [30, 100, 500].into_iter().enumerate() {
            let (stream, measure) = (100 + at as u32 * 10 + k as u32 * 3, Measure::Score(metric));
            let one = share(stream, |draws| {
                let frame = scored(&[probable(draws, n, 0.0)]);
                holds(limits(&frame, measure, Operation::GroupMax), truth)
            });
            let two = |operation, truth| {
                share(stream + 1, |draws| {
                    let groups = [probable(draws, n, 0.0), probable(draws, n, 0.0)];
                    holds(limits(&scored(&groups), measure, operation), truth)
                })
            };
            let (apart, ratio) = (two(Operation::Difference, 0.0), two(Operation::Ratio, 1.0));
            let percent = [one, apart, ratio].map(|share| format!("{:.1} %", share * 100.0));
            println!("| {name} | {n} | {} |", percent.join(" | "));
            for (held, what) in [(one, "one"), (apart, "difference"), (ratio, "ratio")] {
                enough(held, 0.015, &format!("{name}, {n} rows, {what}"));
            }
        }
    }
}

fn estimated(groups: &[Vec<(bool, f64)>]) -> MetricFrame<ErrorCounts> {
    table(groups).measure(&GroupErrors::new("zero", "s", ["g"])).unwrap()
}

#[test]
fn errors_of_estimated_numbers() {
    // Errors that are normal, and some that are far off now and then: e^z with a random sign. Of the
    // squares of these a mean of few rows misses the largest, and so do its limits.
    type Draw = fn(&mut Draws) -> f64;
    let normal: Draw = |draws| 0.3 + draws.normal();
    let skewed: Draw = |draws| {
        let size = (0.75 * draws.normal()).exp();
        if draws.bernoulli(0.5) { size } else { -size }
    };
    let absolute = {
        // E|0.3 + z|.
        let density = (-0.3_f64 * 0.3 / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        2.0 * density + 0.3 * (2.0 * normal_cdf(0.3) - 1.0)
    };
    let (mean_size, mean_square) = ((0.75_f64 * 0.75 / 2.0).exp(), (2.0 * 0.75_f64 * 0.75).exp());
    let cases: [(&str, Draw, ErrorMetric, f64, f64); 6] = [
        ("normal, MAE", normal, ErrorMetric::MeanAbsoluteError, absolute, 0.015),
        ("normal, RMSE", normal, ErrorMetric::RootMeanSquaredError, 1.09_f64.sqrt(), 0.02),
        ("normal, mean error", normal, ErrorMetric::MeanError, 0.3, 0.01),
        ("skewed, MAE", skewed, ErrorMetric::MeanAbsoluteError, mean_size, 0.04),
        ("skewed, RMSE", skewed, ErrorMetric::RootMeanSquaredError, mean_square.sqrt(), 0.2),
        ("skewed, mean error", skewed, ErrorMetric::MeanError, 0.0, 0.01),
    ];
    println!("| errors | rows | of one | of the difference of two |\n|---|---:|---:|---:|");
    for (at, (name, draw, metric, truth, slack)) in cases.into_iter().enumerate() {
        for (k, n) in [30, 100, 500].into_iter().enumerate() {
            let (stream, measure) = (200 + at as u32 * 10 + k as u32 * 3, Measure::Error(metric));
            let rows = |draws: &mut Draws| (0..n).map(|_| (false, draw(draws))).collect::<Vec<_>>();
            let one = share(stream, |draws| {
                let frame = estimated(&[rows(draws)]);
                holds(limits(&frame, measure, Operation::GroupMax), truth)
            });
            let two = share(stream + 1, |draws| {
                let groups = [rows(draws), rows(draws)];
                holds(limits(&estimated(&groups), measure, Operation::Difference), 0.0)
            });
            println!("| {name} | {n} | {:.1} % | {:.1} % |", one * 100.0, two * 100.0);
            enough(one, slack, &format!("{name}, {n} rows"));
            enough(two, slack.max(0.015), &format!("{name}, {n} rows, two"));
        }
    }
}

#[test]
fn calibration_errors() {
    let measure = Measure::Score(ScoreMetric::CalibrationError);
    println!("| calibration | rows | of one | of the difference of two |\n|---|---:|---:|---:|");
    for (at, (name, off)) in
        [("as it should be", 0.0), ("off by 0.05", 0.05), ("by 0.15", 0.15)].into_iter().enumerate()
    {
        // Near 1 the shift is cut: what is left of it, by bins of a tenth.
        let mut by_bin = [(0.0_f64, 0.0_f64); 10];
        for i in 1..20 {
            let p = f64::from(i) / 20.0;
            let said = (p + off).min(1.0);
            let bin = &mut by_bin[((said * 10.0 + 1e-9) as usize).min(9)];
            *bin = (bin.0 + (said - p) / 19.0, bin.1 + 1.0);
        }
        let truth: f64 = by_bin.iter().map(|bin| bin.0.abs()).sum();
        for (k, n) in [50, 200, 1000].into_iter().enumerate() {
            let stream = 300 + at as u32 * 10 + k as u32 * 3;
            // The shares of the bins are those of the sample: the limits are of these.
            let one = share(stream, |draws| {
                let frame = scored(&[probable(draws, n, off)]);
                let slack = if off == 0.0 { 0.0 } else { 0.3 * truth / (n as f64).sqrt() };
                let found = limits(&frame, measure, Operation::GroupMax);
                found.low <= truth + slack && truth - slack <= found.high
            });
            let two = share(stream + 1, |draws| {
                let groups = [probable(draws, n, off), probable(draws, n, off)];
                holds(limits(&scored(&groups), measure, Operation::Difference), 0.0)
            });
            println!("| {name} | {n} | {:.1} % | {:.1} % |", one * 100.0, two * 100.0);
            enough(one, 0.01, &format!("calibration {name}, {n} rows"));
            enough(two, 0.01, &format!("calibration {name}, {n} rows, two"));
        }
    }
}

#[test]
fn what_is_made_of_rates() {
    let counts = |draws: &mut Draws, n: u64| {
        // True positives 30 %, false ones 15 %, wrong rejections 10 %.
        let tp = draws.binomial(n, 0.3).unwrap();
        let fp = draws.binomial(n - tp, 0.15 / 0.7).unwrap();
        let fn_ = draws.binomial(n - tp - fp, 0.1 / 0.55).unwrap();
        Counts::confusion(tp, fp, n - tp - fp - fn_, fn_)
    };
    println!("| metric | rows | of one | of the difference of two |\n|---|---:|---:|---:|");
    for (at, (composite, truth)) in [
        (Composite::F1, 0.6 / (0.6 + 0.25)),
        (Composite::BalancedAccuracy, f64::midpoint(0.75, 0.75)),
        (Composite::TreatmentRatio, 0.1 / 0.15),
    ]
    .into_iter()
    .enumerate()
    {
        for (k, n) in [50, 200, 1000].into_iter().enumerate() {
            let stream = 400 + at as u32 * 10 + k as u32 * 3;
            let measure = Measure::Composite(composite);
            let frame = |draws: &mut Draws, groups: usize| {
                MetricFrame::new(
                    vec!["g".into()],
                    (0..groups).map(|g| (Group::of(g.to_string()), counts(draws, n))),
                )
            };
            let one = share(stream, |draws| {
                holds(limits(&frame(draws, 1), measure, Operation::GroupMax), truth)
            });
            let two = share(stream + 1, |draws| {
                holds(limits(&frame(draws, 2), measure, Operation::Difference), 0.0)
            });
            println!("| {composite} | {n} | {:.1} % | {:.1} % |", one * 100.0, two * 100.0);
            enough(one, 0.015, &format!("{composite}, {n} rows"));
            enough(two, 0.015, &format!("{composite}, {n} rows, two"));
        }
    }
}

#[test]
fn the_table_of_a_gate_on_areas() {
    let bound = 0.1;
    let auc = Question::new(Measure::Score(ScoreMetric::RocAuc), Operation::Difference);
    let gate = FairnessGate::new("table").rule(auc, "g", bound);
    let sizes: &[usize] =
        if simulations() > 100 { &[100, 200, 500, 1000, 2000, 5000] } else { &[100, 500] };
    println!(
        "bound {bound} on the AUC, 0.8 in each group, 30 % positive; one at 0.6 in the others"
    );
    println!("| rows a group | blocked at parity, 2 groups | 5 groups | missed at 0.2, 2 | 5 |");
    println!("|---:|---:|---:|---:|---:|");
    for (at, &n) in sizes.iter().enumerate() {
        let passed = |areas: &[f64], stream: u32| {
            share(500 + 10 * stream + at as u32, |draws| {
                let groups: Vec<_> = areas.iter().map(|&a| ranked(draws, n, 0.3, a)).collect();
                gate.judge(&scored(&groups)).verdict == Verdict::Pass
            })
        };
        let blocked = [1.0 - passed(&[0.8; 2], 0), 1.0 - passed(&[0.8; 5], 1)];
        let missed = [passed(&[0.8, 0.6], 2), passed(&[0.8, 0.8, 0.8, 0.8, 0.6], 3)];
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        println!(
            "| {n} | {} | {} | {} | {} |",
            percent(blocked[0]),
            percent(blocked[1]),
            percent(missed[0]),
            percent(missed[1])
        );
        assert!(missed.iter().all(|&missed| missed <= 0.025), "{missed:?}");
        if n >= 5000 {
            assert!(blocked.iter().all(|&blocked| blocked <= 0.05), "{blocked:?} at {n}");
        }
    }
}
