//! The verdict where nothing drifted: how often it fails, by simulation, and how that spreads over
//! references. `MLOPS_REPLICATES` raises the number of replicates, and takes samples of 20,000 rows
//! into every tenth. The tables of `docs/drift.md`:
//!
//! ```text
//! MLOPS_REPLICATES=20000 cargo test --release -p mlops-drift --test calibration -- --nocapture
//! ```

mod samples;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use mlops_core::stats::{Draws, normal_cdf};
use mlops_drift::{ColumnDrift, DriftMonitor, ReferenceProfile, Statistic};
use rayon::prelude::*;

use samples::{noise, options, replicates, source};

/// Sizes of both sides; the last only where many replicates are asked for, and in one of
/// [`LARGE_EVERY`], as it takes ten times as long as the others together.
const SIZES: [usize; 4] = [100, 500, 2_000, 20_000];
const LARGE_EVERY: u64 = 10;

/// A column of normal numbers.
fn normal(n: usize, shift: f64, draws: &mut Draws) -> RecordBatch {
    let x: Vec<f64> = (0..n).map(|_| draws.normal() + shift).collect();
    RecordBatch::try_from_iter([("x", Arc::new(Float64Array::from(x)) as ArrayRef)])
        .expect("a batch")
}

/// How columns go together.
#[derive(Clone, Copy)]
enum Dependence {
    None,
    /// Every pair of the normal variables behind them has this correlation.
    Correlation(f64),
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("independent columns"),
            Self::Correlation(r) => write!(f, "columns of correlation {r}"),
        }
    }
}

/// Eight columns that don't drift: normal, heavy-tailed with nulls, tied, half zeros, a number of
/// few values, categories with rare ones, many categories, yes or no.
fn rows(n: usize, dependence: Dependence, draws: &mut Draws) -> RecordBatch {
    const COLUMNS: usize = 8;
    let (own, common) = match dependence {
        Dependence::None => (1.0, 0.0),
        Dependence::Correlation(r) => ((1.0 - r).sqrt(), r.sqrt()),
    };
    let mut z = vec![[0.0; COLUMNS]; n];
    for row in &mut z {
        let shared = if common > 0.0 { common * draws.normal() } else { 0.0 };
        for x in row.iter_mut() {
            *x = own * draws.normal() + shared;
        }
    }
    let column = |i: usize| z.iter().map(move |row| row[i]);
    let numbers = |values: Vec<Option<f64>>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let texts = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
    let city = |x: f64| {
        let u = normal_cdf(x);
        match u {
            u if u < 0.5 => "a".to_owned(),
            u if u < 0.8 => "b".to_owned(),
            u if u < 0.99 => "c".to_owned(),
            // Ten of one row in a thousand.
            u => format!("rare {}", ((u - 0.99) * 1_000.0) as u32),
        }
    };
    // A Zipf-like law: the k-th of the categories with about 1/k.
    let product = |x: f64| format!("p{}", (300f64.powf(normal_cdf(x))) as u32);
    let columns: [(&str, ArrayRef); COLUMNS] = [
        ("normal", numbers(column(0).map(Some).collect())),
        (
            "heavy",
            numbers(
                column(1).map(|x| Some((3.0 * x).exp()).filter(|v| v.fract() < 0.93)).collect(),
            ),
        ),
        ("tied", numbers(column(2).map(|x| Some((x * 10.0).round())).collect())),
        ("zeros", numbers(column(3).map(|x| Some(x.max(0.0))).collect())),
        ("few", numbers(column(4).map(|x| Some((x * 1.5).round() / 2.0)).collect())),
        ("city", texts(column(5).map(city).collect())),
        ("product", texts(column(6).map(product).collect())),
        ("flag", texts(column(7).map(|x| if x < 0.5 { "no" } else { "yes" }.to_owned()).collect())),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

/// What is counted over replicates, for one pair of sizes.
#[derive(Clone, Default)]
struct Tally {
    replicates: u64,
    failed: u64,
    passed: u64,
    /// Any test rejected after correction, whatever its effect: the dataset rule of the corrected p.
    rejected: u64,
    /// Deciding tests with p ≤ 0.05, by column.
    tests: BTreeMap<String, u64>,
    /// Statistics with p ≤ 0.05 of those that had a p, by column.
    statistics: BTreeMap<(Statistic, String), (u64, u64)>,
}

impl Tally {
    fn add(mut self, other: Self) -> Self {
        self.replicates += other.replicates;
        self.failed += other.failed;
        self.passed += other.passed;
        self.rejected += other.rejected;
        for (column, n) in other.tests {
            *self.tests.entry(column).or_default() += n;
        }
        for (of, (n, all)) in other.statistics {
            let mine = self.statistics.entry(of).or_default();
            *mine = (mine.0 + n, mine.1 + all);
        }
        self
    }

    fn rate(&self, n: u64) -> f64 {
        n as f64 / self.replicates as f64
    }
}

/// One reference and one current sample of the largest size, and what the verdict says of all pairs
/// of sizes: the first rows of a sample are a sample.
fn replicate(dependence: Dependence, most: usize, draws: &mut Draws) -> Vec<Tally> {
    let (reference, current) = (rows(most, dependence, draws), rows(most, dependence, draws));
    let mut tallies = vec![Tally::default(); SIZES.len() * SIZES.len()];
    for (i, &n) in SIZES.iter().enumerate().filter(|(_, n)| **n <= most) {
        let profile =
            ReferenceProfile::fit(&source(reference.slice(0, n)), &options()).expect("fit");
        let monitor = DriftMonitor::new(profile.clone());
        for (j, &m) in SIZES.iter().enumerate().filter(|(_, m)| **m <= most) {
            let counts = profile.count(&source(current.slice(0, m))).expect("counts");
            let report = monitor.compare_profile(&counts).expect("a report");
            let mut tally = Tally {
                replicates: 1,
                failed: u64::from(report.verdict.is_fail()),
                passed: u64::from(report.verdict.is_pass()),
                rejected: u64::from(
                    report
                        .columns
                        .iter()
                        .filter_map(ColumnDrift::adjusted_p_value)
                        .any(|p| p <= 0.05),
                ),
                ..Tally::default()
            };
            for column in &report.columns {
                if let Some(test) = &column.test {
                    tally.tests.insert(column.column.clone(), u64::from(test.p_value <= 0.05));
                }
                for result in &column.statistics {
                    if let Some(p) = result.p_value {
                        let of = (result.statistic, column.column.clone());
                        tally.statistics.insert(of, (u64::from(p <= 0.05), 1));
                    }
                }
            }
            tallies[i * SIZES.len() + j] = tally;
        }
    }
    tallies
}

#[test]
fn undrifted_independent_columns_fail_less_often_than_nominal() {
    undrifted(0, Dependence::None);
}

#[test]
fn undrifted_correlated_columns_fail_less_often_than_nominal() {
    undrifted(1, Dependence::Correlation(0.9));
}

#[expect(clippy::print_stdout, reason = "the docs have the table that it prints")]
fn undrifted(stream: u32, dependence: Dependence) {
    let n_replicates = replicates(6);
    let most = |i: u64| {
        if n_replicates >= 1_000 && i.is_multiple_of(LARGE_EVERY) { 20_000 } else { 2_000 }
    };
    let totals = (0..n_replicates)
        .into_par_iter()
        .map(|i| replicate(dependence, most(i), &mut Draws::new(41, stream, i)))
        .reduce(
            || vec![Tally::default(); SIZES.len() * SIZES.len()],
            |a, b| a.into_iter().zip(b).map(|(a, b)| a.add(b)).collect(),
        );
    println!("{dependence}, eight columns:");
    println!(
        "      n       m  replicates  P(any column fails)  P(pass)  P(any rejection)  deciding tests reject"
    );
    let mut worst: BTreeMap<Statistic, (f64, String)> = BTreeMap::new();
    for (k, tally) in totals.iter().enumerate().filter(|(_, tally)| tally.replicates > 0) {
        let (n, m) = (SIZES[k / SIZES.len()], SIZES[k % SIZES.len()]);
        let tests: Vec<_> = tally.tests.values().map(|x| tally.rate(*x)).collect();
        let (low, high) =
            (tests.iter().copied().fold(1.0, f64::min), tests.iter().copied().fold(0.0, f64::max));
        println!(
            "{n:>7} {m:>7}  {:>10}  {:>19.5}  {:>7.4}  {:>16.4}  {low:.4} to {high:.4}",
            tally.replicates,
            tally.rate(tally.failed),
            tally.rate(tally.passed),
            tally.rate(tally.rejected),
        );
        for ((statistic, column), (rejected, all)) in &tally.statistics {
            let rate = *rejected as f64 / *all as f64;
            let worst = worst.entry(*statistic).or_insert((0.0, String::new()));
            if *all * 2 > tally.replicates && rate > worst.0 {
                *worst = (rate, format!("{column}, n {n}, m {m}"));
            }
        }
        // Nominal is 5 %; the floor under the effect makes failures far fewer.
        let slack = noise(0.05, tally.replicates);
        assert!(tally.rate(tally.failed) <= 0.05 + slack, "n {n}, m {m}");
        assert!(tally.rate(tally.rejected) <= 0.06 + slack, "n {n}, m {m}");
        // The largest of eight columns, at each of many pairs of sizes: four standard errors.
        assert!(high <= 0.06 + 4.0 / 3.0 * slack, "n {n}, m {m}: {:?}", tally.tests);
    }
    for (statistic, (rate, place)) in worst {
        println!("  {:<20} rejects at 0.05 in at most {rate:.4} ({place})", statistic.to_string());
    }
}

#[test]
fn the_level_is_an_average_over_references() {
    // The same reference again and again: some always look a little like drift.
    let n_replicates = replicates(8);
    let (references, looks) = match n_replicates {
        n if n < 1_000 => (n, n),
        n => (500, n / 50),
    };
    for (i, (n, m)) in [(2_000, 100), (2_000, 2_000), (2_000, 20_000)].into_iter().enumerate() {
        if m > 10 * n_replicates as usize {
            continue;
        }
        let mut rates: Vec<f64> = (0..references)
            .into_par_iter()
            .map(|reference| {
                let mut draws = Draws::new(43, i as u32, reference);
                let normal = |draws: &mut Draws, n: usize| normal(n, 0.0, draws);
                let profile = ReferenceProfile::fit(&source(normal(&mut draws, n)), &options())
                    .expect("a profile");
                let monitor = DriftMonitor::new(profile);
                let rejected = (0..looks).filter(|_| {
                    let report = monitor.compare(&source(normal(&mut draws, m))).expect("a report");
                    let test = report.columns[0].test.as_ref().expect("a test");
                    test.p_value <= 0.05
                });
                rejected.count() as f64 / looks as f64
            })
            .collect();
        rates.sort_unstable_by(f64::total_cmp);
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let at = |p: f64| rates[((rates.len() - 1) as f64 * p) as usize];
        println!(
            "n {n}, m {m:>6}: ks rejects at 0.05 in {mean:.4} of all comparisons; over {references} \
             references median {:.4}, 90 % {:.4}, 99 % {:.4}",
            at(0.5),
            at(0.9),
            at(0.99)
        );
        // Comparisons with one reference are not independent: the spread is over references.
        let spread = (rates.iter().map(|r| (r - mean).powi(2)).sum::<f64>()
            / (rates.len() as f64).powi(2))
        .sqrt();
        assert!(mean <= 0.05 + 0.01 + 4.0 * spread + noise(0.05, looks), "{mean}");
    }
}
