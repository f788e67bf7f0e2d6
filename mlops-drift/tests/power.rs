//! What our verdict finds, beside the default rules of Evidently and scouter, on the same samples:
//! a rule that fires on noise finds drift, too. `MLOPS_REPLICATES` raises the number of replicates.

mod samples;

use arrow::array::{AsArray, Float64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use mlops_core::stats::{Draws, chi_square_sf};
use mlops_drift::statistics::{ZeroCells, ks_two_sample, psi};
use mlops_drift::{DriftMonitor, ReferenceProfile};
use rayon::prelude::*;

use samples::{options, replicates, source};

fn values(batch: &RecordBatch) -> &Float64Array {
    batch.column(0).as_primitive::<Float64Type>()
}

/// The Wasserstein distance of two sorted samples.
fn wasserstein(x: &[f64], y: &[f64]) -> f64 {
    let mut all: Vec<f64> = x.iter().chain(y).copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    for pair in all.windows(2) {
        while i < x.len() && x[i] <= pair[0] {
            i += 1;
        }
        while j < y.len() && y[j] <= pair[0] {
            j += 1;
        }
        let apart = i as f64 / x.len() as f64 - j as f64 / y.len() as f64;
        sum += apart.abs() * (pair[1] - pair[0]);
    }
    sum
}

fn sorted(array: &Float64Array) -> Vec<f64> {
    let mut all = array.values().to_vec();
    all.sort_unstable_by(f64::total_cmp);
    all
}

/// Evidently's default for a numeric column of more than five values: by the rows of the
/// reference alone, the Kolmogorov–Smirnov test at 0.05 up to 1,000 of them, beyond that the
/// Wasserstein distance over the reference's standard deviation at 0.1.
fn evidently(reference: &Float64Array, current: &Float64Array) -> bool {
    if reference.len() <= 1_000 {
        return ks_two_sample(reference, current).expect("a test").p_value <= 0.05;
    }
    let n = reference.len() as f64;
    let mean = reference.values().iter().sum::<f64>() / n;
    let square = reference.values().iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    wasserstein(&sorted(reference), &sorted(current)) / square.sqrt().max(0.001) >= 0.1
}

/// scouter's default: the index over ten bins between the reference's deciles, against the
/// 95th percentile of χ² with nine degrees of freedom over the *current* rows.
fn scouter(reference: &Float64Array, current: &Float64Array) -> bool {
    let x = sorted(reference);
    let decile = |i: usize| {
        let at = (x.len() - 1) as f64 * i as f64 / 10.0;
        let low = at.floor() as usize;
        x[low] + (at - low as f64) * (x[(low + 1).min(x.len() - 1)] - x[low])
    };
    let edges: Vec<f64> = (1..10).map(decile).collect();
    let count = |values: &Float64Array| {
        let mut counts = vec![0u64; 10];
        for v in values.values() {
            counts[edges.partition_point(|edge| edge < v)] += 1;
        }
        counts
    };
    // It adds 1e-10 to each share; raising empty ones to that differs in the tenth digit.
    let index = psi(&count(reference), &count(current), ZeroCells::Clip(1e-10)).expect("an index");
    chi_square_sf(index * current.len() as f64, 9.0).expect("p") <= 0.05
}

/// What a column of normal numbers becomes.
fn drifted(n: usize, change: &str, draws: &mut Draws) -> RecordBatch {
    let (shift, scale, tail): (f64, f64, f64) = match change {
        "mean + 0.1 sd" => (0.1, 1.0, 0.0),
        "mean + 0.3 sd" => (0.3, 1.0, 0.0),
        "mean + 0.5 sd" => (0.5, 1.0, 0.0),
        "sd x 1.5" => (0.0, 1.5, 0.0),
        "3 % at 20 sd" => (0.0, 1.0, 0.03),
        _ => (0.0, 1.0, 0.0),
    };
    let x = (0..n).map(|_| {
        let z = draws.normal() * scale + shift;
        if tail > 0.0 && draws.bernoulli(tail) { z + 20.0 } else { z }
    });
    let x: Vec<f64> = x.collect();
    RecordBatch::try_from_iter([("x", std::sync::Arc::new(Float64Array::from(x)) as _)])
        .expect("a batch")
}

#[test]
fn power_beside_the_defaults_of_the_peers() {
    let n_replicates = replicates(12);
    println!(
        "alarms of {n_replicates}: verdict fail, corrected p alone (no floor), Evidently, scouter"
    );
    for (i, (n, m)) in
        [(500, 500), (1_500, 100), (2_000, 2_000), (20_000, 2_000)].into_iter().enumerate()
    {
        let changes = [
            "nothing",
            "mean + 0.1 sd",
            "mean + 0.3 sd",
            "mean + 0.5 sd",
            "sd x 1.5",
            "3 % at 20 sd",
        ];
        for (j, change) in changes.into_iter().enumerate() {
            let stream = (i * changes.len() + j) as u32;
            let alarms = (0..n_replicates)
                .into_par_iter()
                .map(|replicate| {
                    let mut draws = Draws::new(51, stream, replicate);
                    let reference = drifted(n, "nothing", &mut draws);
                    let current = drifted(m, change, &mut draws);
                    let (x, y) = (values(&reference).clone(), values(&current).clone());
                    let profile =
                        ReferenceProfile::fit(&source(reference), &options()).expect("a profile");
                    let report =
                        DriftMonitor::new(profile).compare(&source(current)).expect("a report");
                    let p = report.columns[0].adjusted_p_value().expect("p");
                    [report.verdict.is_fail(), p <= 0.05, evidently(&x, &y), scouter(&x, &y)]
                        .map(u64::from)
                })
                .reduce(|| [0; 4], |a, b| std::array::from_fn(|k| a[k] + b[k]));
            let rate = alarms.map(|k| k as f64 / n_replicates as f64);
            println!(
                "n {n:>6} m {m:>5} {change:<14}: {:.4} {:.4} {:.4} {:.4}",
                rate[0], rate[1], rate[2], rate[3]
            );
            let slack = samples::noise(0.05, n_replicates);
            match change {
                "nothing" => assert!(rate[0] <= 0.01 + slack && rate[1] <= 0.06 + slack),
                // D = 2Φ(¼) − 1 = 0.197, well over the floor.
                "mean + 0.5 sd" if n >= 2_000 && m >= 2_000 => assert!(rate[0] > 0.9, "{rate:?}"),
                // D = 0.04, under the floor: the size of the effect says no.
                "mean + 0.1 sd" => assert!(rate[0] <= 0.01 + slack, "{rate:?}"),
                _ => {}
            }
        }
    }
}
