//! Repeated looks: false alarms over a year of looks with the reference redrawn each time, and how
//! soon drift is found. `MLOPS_REPLICATES` raises the number of replicates.

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::stats::Draws;
use mlops_core::{MemorySource, Verdict, batch};
use mlops_drift::sequential::{EProcess, SequentialMonitor, SequentialRule};
use mlops_drift::{ProfileOptions, ReferenceProfile};
use rayon::prelude::*;

const LOOKS: u64 = 365;

fn replicates(default: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// The unknown probabilities of `k` cells that end at reference values of given ranks: gaps
/// between the order statistics of `n` uniform numbers.
fn cells(n: u64, k: u64, draws: &mut Draws) -> (Vec<u64>, Vec<f64>) {
    let mut values: Vec<f64> = (0..n).map(|_| draws.uniform()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let ranks: Vec<u64> = (0..=k).map(|i| i * n / k).collect();
    let reference = ranks.windows(2).map(|w| w[1] - w[0]).collect();
    let edge = |rank: u64| match rank {
        0 => 0.0,
        r if r == n => 1.0,
        r => values[r as usize - 1],
    };
    (reference, ranks.windows(2).map(|w| edge(w[1]) - edge(w[0])).collect())
}

/// The probabilities of the same cells after a normal variable moved by `shift`.
fn moved(shares: &[f64], shift: f64) -> Vec<f64> {
    let mut at = 0.0f64;
    let mut below = 0.0;
    shares
        .iter()
        .enumerate()
        .map(|(i, share)| {
            at += share;
            let z = mlops_core::stats::normal_quantile(at.clamp(1e-12, 1.0 - 1e-12)).expect("z");
            let now =
                if i + 1 == shares.len() { 1.0 } else { mlops_core::stats::normal_cdf(z - shift) };
            let share = now - below;
            below = now;
            share.max(0.0)
        })
        .collect()
}

/// The first look, from 1, at which the process reaches 20.
fn first_alarm(
    reference: &[u64],
    rows: u64,
    draws: &mut Draws,
    shares: impl Fn(u64) -> Vec<f64>,
) -> Option<u64> {
    let mut process = EProcess::new(reference).expect("a process");
    (1..=LOOKS).find(|&look| {
        process.update(&draws.multinomial(rows, &shares(look)).expect("rows")).expect("a look");
        process.p_value() <= 0.05
    })
}

fn rate(alarms: &[Option<u64>]) -> f64 {
    alarms.iter().flatten().count() as f64 / alarms.len() as f64
}

#[test]
fn a_year_of_looks_at_undrifted_data_stays_within_the_level() {
    let n_replicates = replicates(6);
    let most = 0.05 + 3.0 * (0.05 * 0.95 / n_replicates as f64).sqrt();
    let run = |stream: u32, f: &(dyn Fn(&mut Draws) -> Option<u64> + Sync)| -> f64 {
        let all: Vec<_> =
            (0..n_replicates).into_par_iter().map(|i| f(&mut Draws::new(71, stream, i))).collect();
        rate(&all)
    };
    let mut stream = 0;
    for (n, rows) in [(100, 50), (2_000, 100), (2_000, 1_000), (20_000, 100)] {
        stream += 1;
        let ours = run(stream, &|draws| {
            let (reference, shares) = cells(n, 16.min(n / 6), draws);
            first_alarm(&reference, rows, draws, |_| shares.clone())
        });
        println!("numbers      n {n:>6}, {rows:>5} rows a look: {ours:.4} raise an alarm");
        assert!(ours <= most, "n {n}: {ours}");
    }
    // The same bet with the reference taken for the truth.
    let known = run(9, &|draws| {
        let (reference, shares) = cells(2_000, 16, draws);
        let truth: Vec<u64> = reference.iter().map(|r| r * 1_000_000).collect();
        first_alarm(&truth, 100, draws, |_| shares.clone())
    });
    println!("numbers      n   2000,   100 rows a look: {known:.4} if the reference is the truth");
    assert!(known > 0.4, "{known}");

    // Shares that are fixed, rare ones of about one reference row among them.
    for (name, n, rows, rare) in [
        ("1 of 4 rare ", 500, 20, 1),
        ("10 of 12 rare", 500, 20, 10),
        ("10 of 12 rare", 2_000, 500, 10),
        ("yes or no   ", 2_000, 100, 0),
    ] {
        stream += 1;
        let mut shares = vec![0.6, 0.4 - f64::from(rare) / n as f64];
        shares.extend((0..rare).map(|_| 1.0 / n as f64));
        let ours = run(stream, &|draws| {
            let reference = draws.multinomial(n, &shares).expect("rows");
            first_alarm(&reference, rows, draws, |_| shares.clone())
        });
        println!("{name} n {n:>6}, {rows:>5} rows a look: {ours:.4} raise an alarm");
        assert!(ours <= most, "{name}: {ours}");
    }
}

#[test]
fn drift_is_found_soon_after_it_begins() {
    let n_replicates = replicates(6);
    for (i, (shift, begins, within)) in
        [(0.2, 1, 40), (0.5, 1, 6), (0.2, 101, 60), (0.5, 101, 10), (1.0, 101, 4)]
            .into_iter()
            .enumerate()
    {
        let delays: Vec<_> = (0..n_replicates)
            .into_par_iter()
            .map(|replicate| {
                let mut draws = Draws::new(72, i as u32, replicate);
                let (reference, shares) = cells(2_000, 16, &mut draws);
                let other = moved(&shares, shift);
                let found = first_alarm(&reference, 100, &mut draws, |look| {
                    if look < begins { shares.clone() } else { other.clone() }
                });
                found.map_or(LOOKS, |look| look.saturating_sub(begins) + 1)
            })
            .collect();
        let mut sorted = delays.clone();
        sorted.sort_unstable();
        let at = |p: f64| sorted[((sorted.len() - 1) as f64 * p) as usize];
        println!(
            "normal moved by {shift} sd from look {begins:>3}, n 2000, 100 rows a look: found after \
             {} looks (median; 90 %: {})",
            at(0.5),
            at(0.9)
        );
        assert!(at(0.5) <= within, "{sorted:?}");
    }
}

fn day(draws: &mut Draws, rows: usize, shift: f64, nulls: f64) -> MemorySource {
    let x: Vec<f64> = (0..rows).map(|_| draws.normal() + shift).collect();
    let zeros: Vec<_> = (0..rows)
        .map(
            |_| if draws.bernoulli(nulls) { None } else { Some((draws.normal() + shift).max(0.0)) },
        )
        .collect();
    let city: Vec<_> = (0..rows)
        .map(|_| if draws.bernoulli(0.3 + shift / 5.0) { "Bergen" } else { "Oslo" })
        .collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("x", std::sync::Arc::new(Float64Array::from(x))),
        ("zeros", std::sync::Arc::new(Float64Array::from(zeros))),
        ("city", std::sync::Arc::new(StringArray::from(city))),
    ];
    MemorySource::from(RecordBatch::try_from_iter(columns).expect("a batch"))
}

#[test]
fn a_monitor_stops_and_goes_on() {
    let mut draws = Draws::new(73, 0, 0);
    let profile =
        ReferenceProfile::fit(&day(&mut draws, 2_000, 0.0, 0.01), &ProfileOptions::default())
            .expect("a profile");
    let rule = SequentialRule::default();
    let mut monitor = SequentialMonitor::new(profile.clone(), rule.clone()).expect("a monitor");
    let untouched = monitor.report().expect("a report");
    assert_eq!((untouched.looks, untouched.verdict), (0, Verdict::Inconclusive));
    for _ in 0..20 {
        let report = monitor.look(&day(&mut draws, 100, 0.0, 0.01)).expect("a look");
        assert_eq!(report.verdict, Verdict::Inconclusive, "{report}");
    }

    // In another process.
    let bytes = monitor.to_bytes();
    let mut again =
        SequentialMonitor::resume(profile.clone(), rule.clone(), &bytes).expect("the same");
    assert_eq!(again, monitor);
    let next = day(&mut draws, 100, 0.0, 0.2);
    let counted = profile.count(&next).expect("counts");
    let report = monitor.look(&next).expect("a look");
    assert_eq!(again.look_at_counts(&counted).expect("a look"), report);
    assert_eq!(again.to_bytes(), monitor.to_bytes());
    // A fifth of one column is null all of a sudden.
    let alarms: Vec<_> = report.alarms().map(|c| c.column.as_str()).collect();
    assert_eq!(alarms, ["zeros"], "{report}");
    assert_eq!(report.column("zeros").map(|c| (c.looks, c.likely_start)), Some((21, 21)));
    let text = report.to_string();
    assert!(text.contains("zeros") && text.contains("likely since look 21"), "{text}");
    assert_eq!(report.assessment().verdict, Verdict::Fail);
    let json = serde_json::to_string(&report).expect("json");
    assert_eq!(
        serde_json::from_str::<mlops_drift::sequential::SequentialReport>(&json).expect("a report"),
        report
    );

    // The order of rows and of batches within a look says nothing; bytes that are not whole do.
    let shifted = day(&mut draws, 300, 1.0, 0.01);
    let report = monitor.look(&shifted).expect("a look");
    assert_eq!(report.alarms().count(), 3, "{report}");
    let bytes = monitor.to_bytes();
    let other = SequentialRule::default().cells(4);
    assert!(SequentialMonitor::resume(profile.clone(), other, &bytes).is_err());
    let others = rule.clone().cells(9);
    let error = SequentialMonitor::resume(profile.clone(), others, &bytes).expect_err("others");
    assert!(error.to_string().contains("the rule differs: this one has 9 cells"), "{error}");
    for at in [0, 5, 10, 50, 90, 130, bytes.len() - 1] {
        let mut hostile = bytes.clone();
        hostile[at] ^= 1;
        assert!(SequentialMonitor::resume(profile.clone(), rule.clone(), &hostile).is_err());
        assert!(SequentialMonitor::resume(profile.clone(), rule.clone(), &bytes[..at]).is_err());
    }
    assert!(SequentialMonitor::new(profile.clone(), SequentialRule::default().alpha(1.0)).is_err());
    assert!(
        SequentialMonitor::new(profile.clone(), SequentialRule::default().floor(-0.1)).is_err()
    );
    assert!(SequentialMonitor::new(profile, SequentialRule::default().cells(1)).is_err());
}

#[test]
fn a_column_that_is_gone_fails_and_one_of_nothing_says_so() {
    let rows = |x: Vec<Option<f64>>| {
        let n = x.len();
        MemorySource::from(
            batch! {
                "x" => Float64Array::from(x),
                "one" => Float64Array::from(vec![1.0; n]),
            }
            .expect("a batch"),
        )
    };
    let profile =
        ReferenceProfile::fit(&rows(vec![Some(1.0), None, Some(2.0)]), &ProfileOptions::default())
            .expect("a profile");
    let mut monitor =
        SequentialMonitor::new(profile, SequentialRule::default()).expect("a monitor");
    let empty = monitor.look(&rows(Vec::new())).expect("a look");
    assert_eq!((empty.looks, empty.column("x").map(|c| c.looks)), (0, Some(0)));
    let only =
        MemorySource::from(batch! { "one" => Float64Array::from(vec![1.0; 9]) }.expect("a batch"));
    let report = monitor.look(&only).expect("a look");
    assert_eq!(report.column("x").map(|c| c.verdict), Some(Verdict::Fail));
    assert_eq!(report.column("one").map(|c| c.verdict), Some(Verdict::Inconclusive));
    // What is gone is still gone in the process that goes on.
    let bytes = monitor.to_bytes();
    let again =
        SequentialMonitor::resume(monitor.profile().clone(), monitor.rule().clone(), &bytes)
            .expect("the same");
    assert_eq!((again.report().expect("a report"), &again), (report, &monitor));
    let back = monitor.look(&rows(vec![Some(1.5)])).expect("a look");
    assert_eq!(back.column("x").map(|c| c.verdict), Some(Verdict::Inconclusive));
}

#[test]
fn what_failed_stays_failed_when_the_drift_goes_away() {
    let mut draws = Draws::new(74, 0, 0);
    let profile =
        ReferenceProfile::fit(&day(&mut draws, 2_000, 0.0, 0.01), &ProfileOptions::default())
            .expect("a profile");
    let mut monitor =
        SequentialMonitor::new(profile.clone(), SequentialRule::default()).expect("a monitor");
    for _ in 0..3 {
        monitor.look(&day(&mut draws, 300, 1.0, 0.01)).expect("a look");
    }
    let failed_at = |monitor: &SequentialMonitor| {
        let report = monitor.report().expect("a report");
        report.columns.iter().map(|c| (c.verdict, c.failed_at)).collect::<Vec<_>>()
    };
    let first = failed_at(&monitor);
    assert!(first.iter().all(|(verdict, look)| verdict.is_fail() && look.is_some()), "{first:?}");
    for _ in 0..20 {
        monitor.look(&day(&mut draws, 2_000, 0.0, 0.01)).expect("a look");
    }
    assert_eq!(failed_at(&monitor), first);
    let rule = SequentialRule::default();
    let again = SequentialMonitor::resume(profile, rule, &monitor.to_bytes()).expect("the same");
    assert_eq!(failed_at(&again), first);
    // The rows since are less than the floor away: without memory the columns would be let go.
    let report = monitor.report().expect("a report");
    assert!(report.columns.iter().any(|c| c.effect.is_some_and(|e| e < 0.05)), "{report}");
    assert!(report.to_string().contains("enough rows had moved at look"), "{report}");
}

#[test]
fn more_rows_than_numbers_can_tell_apart_are_refused() {
    let n = 1u64 << 42;
    assert!(EProcess::new(&[n, n, n, n + 1]).is_err());
    let mut draws = Draws::new(75, 0, 0);
    let mut process = EProcess::new(&[n; 4]).expect("a process");
    for _ in 0..50 {
        process.update(&draws.multinomial(1000, &[0.25; 4]).expect("rows")).expect("a look");
    }
    let mut small = EProcess::new(&[1 << 30; 4]).expect("a process");
    small.update(process.counts()).expect("a look");
    let mut whole = EProcess::new(&[n; 4]).expect("a process");
    whole.update(process.counts()).expect("a look");
    assert!((whole.log_e_value() - small.log_e_value()).abs() < 0.05, "{whole:?}");
    assert!(process.p_value() > 0.05);
    assert!(process.update(&[n; 4]).is_err());
}
