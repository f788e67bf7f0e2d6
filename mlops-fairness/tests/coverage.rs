//! How often the limits of a rate and of a gap hold what they promise, and how often the gate errs.
//!
//! One rate and two groups are enumerated, every possible outcome with its probability:
//! `tests/coverage-map.csv` is what comes out, for every pair of rates from 5 % to 95 %. Five groups
//! are simulated, seeded, `MLOPS_SIMULATIONS` times (80 unless told otherwise). The tables in
//! `docs/fairness.md` and of `FairnessGate` are what this prints:
//!
//! `MLOPS_SIMULATIONS=4000 cargo test --release -p mlops-fairness --test coverage -- --nocapture`
//!
//! With `MLOPS_WRITE_COVERAGE=1` the map is written anew, and larger groups are enumerated, too.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;
use std::fmt::Write as _;

use mlops_core::Verdict;
use mlops_core::stats::{Draws, Interval, Proportion, Share, binomial_pmf, wilson};
use mlops_fairness::gap::{
    DifferenceLimits, Limits, RatioLimits, demographic_parity_difference, demographic_parity_ratio,
};
use mlops_fairness::{Counts, FairnessGate, GapKind, Group, Metric, MetricFrame};

const CONFIDENCE: f64 = 0.95;
const MAP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/coverage-map.csv");

fn simulations() -> u64 {
    std::env::var("MLOPS_SIMULATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(80)
}

fn writes() -> bool {
    std::env::var_os("MLOPS_WRITE_COVERAGE").is_some()
}

/// Groups of which so many of so many rows are selected.
fn groups(groups: &[(u64, u64)]) -> MetricFrame {
    let groups = groups.iter().enumerate().map(|(i, &(k, n))| {
        let group = Group { values: vec![Some(i.to_string())] };
        (group, Counts::confusion(0, k, n - k, 0))
    });
    MetricFrame::new(vec!["g".into()], groups)
}

/// Groups of n rows of which so many are selected.
fn frame(n: u64, selected: &[u64]) -> MetricFrame {
    groups(&selected.iter().map(|&k| (k, n)).collect::<Vec<_>>())
}

fn pmf(n: u64, p: f64) -> Vec<f64> {
    (0..=n).map(|k| binomial_pmf(k, n, p).unwrap()).collect()
}

/// What is enumerated: the limits, and the true value at two rates.
struct Subject {
    name: &'static str,
    limits: fn(&MetricFrame) -> Option<Interval>,
    truth: fn(f64, f64) -> f64,
}

fn difference(p: f64, q: f64) -> f64 {
    (p - q).abs()
}

fn ratio(p: f64, q: f64) -> f64 {
    p.min(q) / p.max(q)
}

/// The ratio of the first group's rate to the second's, whichever is larger.
fn of_one_to_the_other(frame: &MetricFrame) -> Option<Interval> {
    let rates = frame.by_group(Metric::SelectionRate).map(|(_, rate)| {
        Share::try_from(Proportion { successes: rate.numerator, n: rate.denominator }).unwrap()
    });
    let rates: Vec<_> = rates.collect();
    rates[0].ratio(rates[1], CONFIDENCE).ok()
}

const SUBJECTS: [Subject; 5] = [
    Subject { name: "ratio of one to the other", limits: of_one_to_the_other, truth: |p, q| p / q },
    Subject {
        name: "difference",
        limits: |f| demographic_parity_difference(f, CONFIDENCE).ok().map(|g| g.interval),
        truth: difference,
    },
    Subject {
        name: "difference, Newcombe",
        limits: |f| {
            let limits = Limits::new(CONFIDENCE).difference(DifferenceLimits::Newcombe);
            demographic_parity_difference(f, limits).ok().map(|g| g.interval)
        },
        truth: difference,
    },
    Subject {
        name: "ratio",
        limits: |f| demographic_parity_ratio(f, CONFIDENCE).ok().map(|g| g.interval),
        truth: ratio,
    },
    Subject {
        name: "ratio, log",
        limits: |f| {
            let limits = Limits::new(CONFIDENCE).ratio(RatioLimits::Log);
            demographic_parity_ratio(f, limits).ok().map(|g| g.interval)
        },
        truth: ratio,
    },
];

fn rates() -> Vec<f64> {
    (1..20).map(|i| f64::from(i) / 20.0).collect()
}

/// The coverage of the true value by the limits of groups of n and m rows, at every two rates.
fn enumerated(subject: &Subject, n: u64, m: u64) -> Vec<(f64, f64, f64)> {
    let limits: Vec<Vec<Option<Interval>>> = (0..=n)
        .map(|x| (0..=m).map(|y| (subject.limits)(&groups(&[(x, n), (y, m)]))).collect())
        .collect();
    let rates = rates();
    let of_n: Vec<_> = rates.iter().map(|&p| pmf(n, p)).collect();
    let of_m: Vec<_> = rates.iter().map(|&p| pmf(m, p)).collect();
    let mut found = Vec::new();
    for (i, &p) in rates.iter().enumerate() {
        for (j, &q) in rates.iter().enumerate() {
            if n == m && j > i {
                continue;
            }
            // Limits end at exact values that the rates only approximate.
            let truth = (subject.truth)(p, q);
            // Among the outcomes that have a value: two groups without a success have no ratio.
            let (mut covered, mut defined) = (0.0, 0.0);
            for (x, row) in limits.iter().enumerate() {
                for (y, limits) in row.iter().enumerate() {
                    let Some(limits) = limits else { continue };
                    let chance = of_n[i][x] * of_m[j][y];
                    defined += chance;
                    if limits.low <= truth + 1e-12 && truth <= limits.high + 1e-12 {
                        covered += chance;
                    }
                }
            }
            found.push((p, q, covered / defined));
        }
    }
    found
}

fn mean_and_least(covered: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = covered.clone().count() as f64;
    (covered.clone().sum::<f64>() / n, covered.fold(1.0, f64::min))
}

/// Wilson's limits of one rate: the mean within a point of 95 %, nowhere below 92 %.
#[test]
fn one_rate_by_enumeration() {
    println!("| rows | mean coverage of a rate | least |\n|---:|---:|---:|");
    for n in [30, 50, 100, 500] {
        let limits: Vec<_> = (0..=n).map(|k| wilson(k, n, CONFIDENCE).unwrap()).collect();
        let covered: Vec<f64> = (0..=360)
            .map(|step| {
                let p = 0.05 + f64::from(step) * 0.0025;
                let chances = limits.iter().zip(pmf(n, p));
                chances.filter(|(limits, _)| limits.contains(p)).map(|(_, chance)| chance).sum()
            })
            .collect();
        let (mean, least) = mean_and_least(covered.iter().copied());
        println!("| {n} | {:.2} % | {:.2} % |", mean * 100.0, least * 100.0);
        assert!((mean - CONFIDENCE).abs() <= 0.01 && least >= 0.92, "{n}: {mean} {least}");
    }
}

/// The map: at every two rates the coverage of differences and ratios, nowhere below 92 % from 30
/// rows on, and the mean within a point of 95 %. The smaller of a ratio and its reciprocal is a
/// question with one side near parity, where the limits of either direction hold: its mean is
/// within a point and a quarter, whichever limits (Koopman without the factor: 96.0 %, MOVER 96.2 %
/// of 30 rows each). Limits on the log scale are wider, and on the map for comparison.
#[test]
fn two_groups_by_enumeration() {
    let mut sizes = vec![(30, 30), (30, 90)];
    if writes() {
        sizes.push((50, 50));
    }
    let committed = std::fs::read_to_string(MAP).unwrap_or_default();
    let known: HashSet<&str> = committed.lines().collect();
    let mut map = String::from("limits,n,m,p,q,coverage\n");
    println!("| limits | rows | mean coverage | least |\n|---|---:|---:|---:|");
    for (n, m) in sizes {
        for subject in &SUBJECTS {
            let found = enumerated(subject, n, m);
            let (mean, least) = mean_and_least(found.iter().map(|f| f.2));
            let name = subject.name;
            println!("| {name} | {n} and {m} | {:.2} % | {:.2} % |", mean * 100.0, least * 100.0);
            if !name.ends_with("log") {
                let near = if name == "ratio" { 0.0125 } else { 0.01 };
                assert!((mean - CONFIDENCE).abs() <= near, "{name} of {n} and {m}: mean {mean}");
                assert!(least >= 0.92, "{name} of {n} and {m}: least {least}");
            }
            for (p, q, covered) in found {
                let line = format!("\"{name}\",{n},{m},{p:.2},{q:.2},{covered:.4}");
                if !writes() {
                    assert!(known.contains(line.as_str()), "the map has no line {line}");
                }
                writeln!(map, "{line}").unwrap();
            }
        }
    }
    if writes() {
        std::fs::write(MAP, map).unwrap();
    }
}

/// Draws of the selected of each group, the same on any machine.
fn draw(n: u64, rates: &[f64], stream: u32, replicate: u64) -> Vec<u64> {
    let mut draws = Draws::new(20, stream, replicate);
    rates.iter().map(|&p| draws.binomial(n, p).unwrap()).collect()
}

#[test]
fn simultaneous_limits_by_simulation() {
    let runs = simulations();
    let cases: [(&str, &[f64]); 4] = [
        ("two groups at parity", &[0.3; 2]),
        ("two groups apart", &[0.2, 0.35]),
        ("five groups at parity", &[0.3; 5]),
        ("five groups apart", &[0.1, 0.25, 0.3, 0.3, 0.4]),
    ];
    for (stream, (name, rates)) in cases.into_iter().enumerate() {
        let high = rates.iter().copied().fold(0.0, f64::max);
        let low = rates.iter().copied().fold(1.0, f64::min);
        for (at, n) in [50, 200, 1000].into_iter().enumerate() {
            let (mut difference_held, mut ratio_held) = (0, 0);
            for replicate in 0..runs {
                let selected = draw(n, rates, (stream * 10 + at) as u32, replicate);
                let frame = frame(n, &selected);
                let holds = |limits: Interval, truth: f64| {
                    u64::from(limits.low <= truth + 1e-12 && truth <= limits.high + 1e-12)
                };
                let gap = demographic_parity_difference(&frame, CONFIDENCE).unwrap();
                difference_held += holds(gap.interval, high - low);
                let gap = demographic_parity_ratio(&frame, CONFIDENCE).unwrap();
                ratio_held += holds(gap.interval, low / high);
            }
            for (what, held) in [("difference", difference_held), ("ratio", ratio_held)] {
                let coverage = held as f64 / runs as f64;
                println!("{name}, {n} rows each: the {what} is covered {coverage:.4}");
                // One point, and four standard errors of the simulation.
                let noise = 4.0 * (CONFIDENCE * (1.0 - CONFIDENCE) / runs as f64).sqrt();
                assert!(coverage >= CONFIDENCE - 0.01 - noise, "{name}, {n}: {coverage}");
            }
        }
    }
}

#[test]
fn the_table_of_the_gate() {
    let runs = simulations();
    let bound = 0.1;
    let gate = FairnessGate::new("table").rule(GapKind::DemographicParityDifference, "g", bound);
    println!("bound {bound}, rates of 0.3, one group at 0.5 in the last two columns of each");
    println!("| rows a group | blocked at parity, 2 groups | 5 groups | missed at 0.2, 2 | 5 |");
    println!("|---:|---:|---:|---:|---:|");
    let mut before = [1.0; 2];
    for (at, n) in [50, 100, 200, 500, 1000, 2000, 5000].into_iter().enumerate() {
        let passed = |rates: &[f64], stream: usize| -> f64 {
            let passes = (0..runs).filter(|&replicate| {
                let selected = draw(n, rates, (100 + stream * 10 + at) as u32, replicate);
                gate.judge(&frame(n, &selected)).verdict == Verdict::Pass
            });
            passes.count() as f64 / runs as f64
        };
        let blocked = [1.0 - passed(&[0.3; 2], 0), 1.0 - passed(&[0.3; 5], 1)];
        let missed = [passed(&[0.3, 0.5], 2), passed(&[0.3, 0.3, 0.3, 0.3, 0.5], 3)];
        println!(
            "| {n} | {:.1} % | {:.1} % | {:.2} % | {:.2} % |",
            blocked[0] * 100.0,
            blocked[1] * 100.0,
            missed[0] * 100.0,
            missed[1] * 100.0
        );
        for (blocked, before) in blocked.iter().zip(&mut before) {
            assert!(*blocked <= *before + 0.1, "more rows block less");
            *before = *blocked;
        }
        // A gap at the bound itself is missed in 2.5 % at most; twice of it, hardly ever.
        assert!(missed.iter().all(|&missed| missed <= 0.025), "{missed:?}");
        if n >= 2000 {
            assert!(blocked.iter().all(|&blocked| blocked <= 0.05), "{blocked:?} at {n}");
        }
    }
}
