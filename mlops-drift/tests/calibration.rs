//! False alarms where nothing drifted, coverage of the limits, and power where something did: by
//! simulation. `MLOPS_REPLICATES` raises the number of replicates.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::stats::Draws;
use mlops_core::{MemorySource, Verdict};
use mlops_drift::statistics::{ZeroCells, chi_square, ks_from_cells, psi_test, total_variation};
use mlops_drift::{DriftMonitor, ProfileOptions, ReferenceProfile, Statistic};

const SIZES: [u64; 3] = [100, 500, 2000];

fn replicates(default: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Three standard errors of a rate.
fn noise(rate: f64, n: u64) -> f64 {
    3.0 * (rate * (1.0 - rate) / n as f64).sqrt()
}

/// Five columns of which nothing is known but that they don't drift: continuous, tied, heavy-tailed
/// with nulls, categories with rare ones, a yes or no.
fn rows(n: u64, draws: &mut Draws, shift: f64) -> MemorySource {
    let n = n as usize;
    let mut normal = || draws.normal();
    let x: Vec<f64> = (0..n).map(|_| normal() + shift).collect();
    let tied: Vec<f64> = (0..n).map(|_| (normal() * 1.5).round()).collect();
    let tails: Vec<Option<f64>> =
        (0..n).map(|_| Some((3.0 * normal()).exp()).filter(|_| normal() < 1.5)).collect();
    let category = |u: f64| {
        if u < 0.5 {
            "a"
        } else if u < 0.8 {
            "b"
        } else if u < 0.99 {
            "c"
        } else {
            "d"
        }
    };
    let city: Vec<_> = (0..n).map(|_| category(draws.uniform())).collect();
    let flag: Vec<_> = (0..n).map(|_| if draws.bernoulli(0.3) { "yes" } else { "no" }).collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("x", Arc::new(Float64Array::from(x))),
        ("tied", Arc::new(Float64Array::from(tied))),
        ("tails", Arc::new(Float64Array::from(tails))),
        ("city", Arc::new(StringArray::from(city))),
        ("flag", Arc::new(StringArray::from(flag))),
    ];
    MemorySource::from(RecordBatch::try_from_iter(columns).expect("a batch"))
}

#[test]
fn undrifted_data_do_not_fail() {
    let n_replicates = replicates(15);
    let options = ProfileOptions::default().edges(256);
    let (mut fails, mut passes, mut all) = (0u64, 0u64, 0u64);
    for (i, n) in SIZES.into_iter().enumerate() {
        for (j, m) in SIZES.into_iter().enumerate() {
            let (mut failed, mut passed) = (0, 0);
            // References are redrawn, too: the error rate holds on average over them.
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(41, (3 * i + j) as u32, replicate);
                let profile =
                    ReferenceProfile::fit(&rows(n, &mut draws, 0.0), &options).expect("a profile");
                let report = DriftMonitor::new(profile).compare(&rows(m, &mut draws, 0.0));
                match report.expect("a report").verdict {
                    Verdict::Fail => failed += 1,
                    Verdict::Pass => passed += 1,
                    Verdict::Inconclusive => {}
                }
            }
            println!("n {n:>5} m {m:>5}: {failed} fail, {passed} pass of {n_replicates}");
            fails += failed;
            passes += passed;
            all += n_replicates;
        }
    }
    println!("{fails} of {all} undrifted datasets failed, {passes} passed");
    // Nominal is 5 %; a floor under the effect makes it far less.
    assert!(fails as f64 <= 0.01 * all as f64, "{fails} of {all}");
}

#[test]
fn tests_reject_at_their_level_and_limits_hold() {
    let n_replicates = replicates(500);
    // Ten equal bins, and categories of which the last are rare.
    let even = [0.1; 10];
    let skewed = [0.4, 0.3, 0.15, 0.1, 0.03, 0.02];
    for (i, n) in SIZES.into_iter().enumerate() {
        for (j, m) in SIZES.into_iter().enumerate() {
            let (mut ks, mut chi, mut psi, mut tried) = (0, 0, 0, 0);
            let (mut low_d, mut low_tv, mut high_psi) = (0, 0, 0);
            for replicate in 0..n_replicates {
                let mut draws = Draws::new(42, (3 * i + j) as u32, replicate);
                let mut draw = |n: u64, p: &[f64]| draws.multinomial(n, p).expect("counts");
                // Continuous values in fine cells: nothing stands on the edges.
                let fine = vec![1.0; 64];
                let spread = |counts: Vec<u64>| -> Vec<u64> {
                    let mut cells: Vec<u64> = counts.iter().flat_map(|c| [*c, 0]).collect();
                    cells.pop();
                    cells
                };
                let (r, c) = (spread(draw(n, &fine)), spread(draw(m, &fine)));
                let bounds = ks_from_cells(&r, &c, 0.95).expect("bounds");
                ks += u64::from(bounds.p_value.1 <= 0.05);
                low_d += u64::from(bounds.interval.low > 0.0);

                let (r, c) = (draw(n, &skewed), draw(m, &skewed));
                chi += u64::from(chi_square(&r, &c).expect("a test").p_value <= 0.05);
                low_tv +=
                    u64::from(total_variation(&r, &c, 0.95).expect("limits").interval.low > 0.0);

                let (r, c) = (draw(n, &even), draw(m, &even));
                let test = psi_test(&r, &c, ZeroCells::AddHalf, 0.95).expect("a test");
                if let Some(p) = test.p_value {
                    tried += 1;
                    psi += u64::from(p <= 0.05);
                }
                high_psi += u64::from(test.interval.low > 0.0);
            }
            let rate = |k: u64| k as f64 / n_replicates as f64;
            let psi_rate = if tried > 0 { psi as f64 / tried as f64 } else { 0.0 };
            println!(
                "n {n:>5} m {m:>5}: ks {:.3} chi-square {:.3} psi {psi_rate:.3} of {tried}; above 0: \
                 D {:.3} TV {:.3} PSI {:.3}",
                rate(ks),
                rate(chi),
                rate(low_d),
                rate(low_tv),
                rate(high_psi),
            );
            let most = 0.06 + noise(0.05, n_replicates);
            assert!(rate(ks) <= most && rate(chi) <= most, "n {n}, m {m}");
            if tried == n_replicates {
                assert!(
                    psi_rate <= most && psi_rate >= 0.04 - noise(0.05, n_replicates),
                    "{psi_rate}"
                );
            }
            // Each lower limit may miss in 2.5 %, and the effect is 0 here.
            let most = 0.025 + noise(0.025, n_replicates);
            assert!(rate(low_d) <= most && rate(low_tv) <= most, "n {n}, m {m}");
            assert!(rate(high_psi) <= most + 0.02, "n {n}, m {m}: {}", rate(high_psi));
        }
    }
}

#[test]
fn limits_hold_the_effect_of_a_known_shift() {
    let n_replicates = replicates(600);
    let reference = [0.25, 0.25, 0.25, 0.25];
    let current = [0.40, 0.25, 0.20, 0.15];
    let (d, tv) = (0.15, 0.15);
    let psi: f64 =
        reference.iter().zip(current).map(|(q, p): (&f64, f64)| (p - q) * (p / q).ln()).sum();
    for (i, (n, m)) in [(100, 100), (500, 500), (2000, 500), (20_000, 2000)].into_iter().enumerate()
    {
        let (mut out_d, mut out_tv, mut out_psi) = (0, 0, 0);
        for replicate in 0..n_replicates {
            let mut draws = Draws::new(43, i as u32, replicate);
            let r = draws.multinomial(n, &reference).expect("counts");
            let c = draws.multinomial(m, &current).expect("counts");
            let atoms = |counts: &[u64]| {
                let mut cells: Vec<u64> = counts.iter().flat_map(|c| [0, *c]).collect();
                cells.push(0);
                cells
            };
            let ks = ks_from_cells(&atoms(&r), &atoms(&c), 0.95).expect("bounds");
            out_d += u64::from(!ks.interval.contains(d));
            out_tv +=
                u64::from(!total_variation(&r, &c, 0.95).expect("limits").interval.contains(tv));
            let test = psi_test(&r, &c, ZeroCells::AddHalf, 0.95).expect("a test");
            out_psi += u64::from(!test.interval.contains(psi));
        }
        let rate = |k: u64| k as f64 / n_replicates as f64;
        println!(
            "n {n:>5} m {m:>5}: limits miss D {:.3} TV {:.3} PSI {:.3}",
            rate(out_d),
            rate(out_tv),
            rate(out_psi)
        );
        let most = 0.05 + noise(0.05, n_replicates);
        assert!(rate(out_d) <= most && rate(out_tv) <= most);
        assert!(rate(out_psi) <= most + 0.02, "{}", rate(out_psi));
    }
}

#[test]
fn a_shift_of_known_size_is_found() {
    let n_replicates = replicates(10);
    let options = ProfileOptions::default().edges(256);
    // A normal distribution moved by half a standard deviation: D = 2Φ(¼) − 1 = 0.197.
    for (i, (n, m, least)) in
        [(500, 500, 0.3), (2000, 500, 0.6), (2000, 2000, 0.99)].into_iter().enumerate()
    {
        let (mut found, mut alone) = (0u64, 0u64);
        for replicate in 0..n_replicates {
            let mut draws = Draws::new(44, i as u32, replicate);
            let profile =
                ReferenceProfile::fit(&rows(n, &mut draws, 0.0), &options).expect("a profile");
            let report =
                DriftMonitor::new(profile).compare(&rows(m, &mut draws, 0.5)).expect("a report");
            let names: Vec<_> = report.drifted().map(|c| c.column.as_str()).collect();
            found += u64::from(names.contains(&"x"));
            alone += u64::from(names == ["x"]);
            let ks = report.column("x").and_then(|c| c.statistic(Statistic::Ks)).expect("ks");
            let (low, high) = ks.bounds.expect("bounds");
            assert!(low <= high && high - low < 0.02, "{low} {high}");
        }
        println!("n {n:>5} m {m:>5}: found in {found}, alone in {alone} of {n_replicates}");
        assert!(found as f64 >= least * n_replicates as f64);
        assert_eq!(alone, found);
    }
}
