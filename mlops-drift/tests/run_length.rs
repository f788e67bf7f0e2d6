//! How many values each streaming detector takes to an alarm: where nothing changes, and after a
//! change. By simulation; `MLOPS_REPLICATES` raises the number of replicates. The table of
//! `docs/streaming-detectors.md` is printed by
//! `MLOPS_REPLICATES=40 cargo test --release -p mlops-drift --test run_length -- --nocapture`.

use std::time::Instant;

use mlops_core::Description;
use mlops_core::stats::Draws;
use mlops_drift::stream::{
    ChartBaseline, ChartLimits, Cusum, CusumOptions, Ecdd, EcddLimit, EcddOptions, Gma, GmaOptions,
    Input, RunRule, Shewhart, ShewhartOptions, StreamDetector, StreamKinds,
};
use serde_json::{Value, json};

fn replicates(default: u64) -> u64 {
    std::env::var("MLOPS_REPLICATES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// The rate of errors, or the mean of normal values with sd 1, while nothing changes and after.
fn levels(input: Input) -> (f64, [f64; 3]) {
    match input {
        Input::Binary | Input::Unit => (0.2, [0.3, 0.4, 0.6]),
        _ => (0.0, [0.5, 1.0, 3.0]),
    }
}

fn value(input: Input, level: f64, draws: &mut Draws) -> f64 {
    match input {
        Input::Binary | Input::Unit => f64::from(draws.bernoulli(level)),
        _ => level + draws.normal(),
    }
}

/// Alarms among so many values at one level; after each the detector goes on by itself. It begins
/// anew every 10,000 values, so that a baseline that it measured is not one for all.
fn alarms(detector: &mut dyn StreamDetector, level: f64, n: u64, seed: u64) -> u64 {
    let mut draws = Draws::new(seed, 1, 0);
    let input = detector.input();
    let mut found = 0;
    for i in 0..n {
        if i % 10_000 == 0 {
            detector.reset();
        }
        let x = value(input, level, &mut draws);
        found += u64::from(detector.update(x).expect("a value of its kind").is_drift());
    }
    found
}

/// Values from a change to the alarm, at most `MOST`, after `BEFORE` values in which alarms are let
/// go.
fn delay(detector: &mut dyn StreamDetector, before: f64, after: f64, seed: u64) -> u64 {
    let mut draws = Draws::new(seed, 2, 0);
    let input = detector.input();
    detector.reset();
    for _ in 0..BEFORE {
        detector.update(value(input, before, &mut draws)).expect("a value of its kind");
    }
    let drift =
        |_: &u64| detector.update(value(input, after, &mut draws)).expect("a value").is_drift();
    (1..MOST).find(drift).unwrap_or(MOST)
}

const BEFORE: u64 = 500;
const MOST: u64 = 2000;

/// Every kind at its defaults, and charts for a known level.
fn catalogue() -> Vec<(String, Description)> {
    let of = |kind: &str, params: Value| Description::new(kind.to_owned(), 1, &params);
    let mut all: Vec<_> = StreamKinds::standard()
        .names()
        .map(|kind| (kind.to_owned(), of(kind, json!({}))))
        .collect();
    let known = json!({"known": {"mean": 0.0, "sd": 1.0}});
    let mut add = |name: &str, kind: &str, params: Value| {
        all.push((format!("{kind}, {name}"), of(kind, params)));
    };
    add("`probability` .95", "bocd", json!({"rule": {"probability": 0.95}}));
    add(
        "`tabular`",
        "cusum",
        json!({"baseline": known, "min_values": 1, "allowance": 0.5, "threshold": 5.0}),
    );
    add(
        "`chart` .1, 2.814",
        "gma",
        json!({"baseline": known, "min_values": 1, "lambda": 0.1, "threshold": 2.814 * (0.1_f64 / 1.9).sqrt()}),
    );
    add("threshold 20", "page_hinkley", json!({"threshold": 20.0}));
    add(
        "known level, rule 1",
        "shewhart",
        json!({"baseline": known, "rules": ["one_beyond_three"]}),
    );
    add("known level, 4 rules", "shewhart", json!({"baseline": known}));
    all
}

#[test]
fn run_lengths_of_every_kind() {
    let replicates = replicates(2);
    println!("| detector | values a false alarm | delay, small | middle | large | ns a value |");
    println!("|---|---|---|---|---|---|");
    for (name, description) in catalogue() {
        let mut detector = StreamKinds::standard().start(&description).expect("a detector");
        let (before, after) = levels(detector.input());
        let slow = ["bocd", "incremental_ks", "kswin"].contains(&&*description.kind);
        let n = replicates * if slow { 2_000 } else { 10_000 };
        let found = alarms(&mut detector, before, n, 7);
        let length =
            if found == 0 { format!("> {n}") } else { format!("{:.0}", n as f64 / found as f64) };

        let delays = after.map(|after| {
            let mut all: Vec<u64> =
                (0..replicates).map(|seed| delay(&mut detector, before, after, seed)).collect();
            all.sort_unstable();
            let missed = all.iter().filter(|d| **d == MOST).count();
            (all[all.len() / 2], missed)
        });
        let shown = delays.map(|(median, missed)| {
            let share = 100.0 * missed as f64 / replicates as f64;
            match (median, missed) {
                (MOST, _) => format!("> {MOST} ({share:.0} % missed)"),
                (median, 0) => median.to_string(),
                (median, _) => format!("{median} ({share:.0} % missed)"),
            }
        });

        // As fast as it goes, on values that are there already.
        let mut draws = Draws::new(11, 3, 0);
        let values: Vec<f64> =
            (0..1000).map(|_| value(detector.input(), before, &mut draws)).collect();
        // The best of ten, for machines that do other things, too.
        let ns = (0..10).map(|_| {
            let begun = Instant::now();
            for x in values.iter().cycle().take(n as usize / 10) {
                detector.update(*x).expect("a value");
            }
            begun.elapsed().as_nanos() as f64 / (n / 10) as f64
        });
        let ns = ns.fold(f64::INFINITY, f64::min);
        println!("| {name} | {length} | {} | {ns:.0} |", shown.join(" | "));

        // What is sure even of two replicates: a large change is found at once or soon, and more
        // often than chance gives alarms.
        let (large, _) = delays[2];
        assert!(large <= 200, "{name}: {large}");
        assert!(found <= n / 15, "{name}: {found} alarms in {n}");
    }
}

/// Error rates: how often an alarm is false depends on the rate that is right.
#[test]
fn false_alarms_by_error_rate() {
    println!("| detector | p = .01 | .05 | .2 | .3 |\n|---|---|---|---|---|");
    let n = 10_000 * replicates(2);
    let mut rows = 0;
    for (name, description) in catalogue() {
        let mut detector = StreamKinds::standard().start(&description).expect("a detector");
        if name != "adwin" && !matches!(detector.input(), Input::Binary | Input::Unit) {
            continue;
        }
        rows += 1;
        let shown = [0.01, 0.05, 0.2, 0.3].map(|rate| {
            let mut draws = Draws::new(7, 4, 0);
            let mut found = 0;
            for i in 0..n {
                if i % 10_000 == 0 {
                    detector.reset();
                }
                let x = f64::from(draws.bernoulli(rate));
                found += u64::from(detector.update(x).expect("an error or none").is_drift());
            }
            assert!(found <= n / 15, "{name} at {rate}: {found} alarms in {n}");
            if found == 0 { format!("> {n}") } else { format!("{:.0}", n as f64 / found as f64) }
        });
        println!("| {name} | {} |", shown.join(" | "));
    }
    assert!(rows >= 8, "{rows} detectors of errors");
}

/// ADWIN keeps what came after a cut, which begins with some of what came before: it cuts again.
#[test]
fn adwin_signals_more_than_once_after_one_change() {
    let description = Description::new("adwin", 1, &json!({}));
    let counts: Vec<usize> = (0..20)
        .map(|seed| {
            let mut detector = StreamKinds::standard().start(&description).expect("a detector");
            let mut draws = Draws::new(seed, 5, 0);
            let mut drift = |i: &u64| {
                let x = f64::from(draws.bernoulli(if *i < 2000 { 0.2 } else { 0.4 }));
                detector.update(x).expect("an error or none").is_drift()
            };
            (0..4000).filter(|i| drift(i) && *i >= 2000).count()
        })
        .collect();
    println!("signals of adwin in 2,000 values after one change: {counts:?}");
    assert!(counts.iter().all(|n| *n >= 1) && counts.iter().any(|n| *n > 1), "{counts:?}");
}

/// Charts whose run lengths the literature knows.
#[test]
fn charts_have_the_run_lengths_of_the_textbooks() {
    let known = ChartBaseline::Known { mean: 0.0, sd: 1.0 };
    let shewhart = |rules: &[RunRule], subgroup, limits| {
        let rules = rules.to_vec();
        let options =
            ShewhartOptions { baseline: known, subgroup, limits, rules, ..Default::default() };
        Box::new(Shewhart::new(options).expect("a chart")) as Box<dyn StreamDetector>
    };
    let cusum = |threshold| {
        let options = CusumOptions { threshold, ..CusumOptions::tabular(0.0, 1.0) };
        Box::new(Cusum::new(options).expect("a chart")) as Box<dyn StreamDetector>
    };
    let gma = |lambda, width| {
        let options = GmaOptions::chart(0.0, 1.0, lambda, width);
        Box::new(Gma::new(options).expect("a chart")) as Box<dyn StreamDetector>
    };
    let root = ChartLimits::StandardError;
    let one = [RunRule::OneBeyondThree];
    let four = RunRule::WESTERN_ELECTRIC;
    let cases = [
        // 1/P(|Z| > 3); Montgomery, ch. 6.
        ("rule 1", shewhart(&one, 1, root), 0.0, 370.4),
        ("rule 1, a shift of 1", shewhart(&one, 1, root), 1.0, 43.89),
        ("rule 1, means of four", shewhart(&one, 4, root), 0.0, 4.0 * 370.4),
        // A shift of ½ is one of a standard error of the mean of four.
        ("rule 1, means of four, a shift of ½", shewhart(&one, 4, root), 0.5, 4.0 * 43.89),
        // Champ and Woodall 1987, table 1.
        ("rules 1 and 2", shewhart(&four[..2], 1, root), 0.0, 225.44),
        ("rules 1 and 4", shewhart(&[four[0], four[3]], 1, root), 0.0, 152.73),
        ("rules 1 to 4", shewhart(&four, 1, root), 0.0, 91.75),
        ("rules 1 to 4, a shift of 1", shewhart(&four, 1, root), 1.0, 9.22),
        // Montgomery, table 9.3.
        ("cusum, h = 4", cusum(4.0), 0.0, 168.0),
        ("cusum, h = 4, a shift of 1", cusum(4.0), 1.0, 8.38),
        ("cusum, h = 5", cusum(5.0), 0.0, 465.0),
        ("cusum, h = 5, a shift of 1", cusum(5.0), 1.0, 10.4),
        // Lucas and Saccucci 1990, table 3.
        ("ewma", gma(0.1, 2.814), 0.0, 500.0),
        ("ewma, a shift of 1", gma(0.1, 2.814), 1.0, 10.3),
    ];
    for (name, mut chart, level, expected) in cases {
        let runs = 150 * replicates(2);
        let n = runs * expected as u64;
        let found = alarms(&mut *chart, level, n, 5);
        let length = n as f64 / found as f64;
        // Run lengths are nearly geometric: their standard deviation is their mean.
        let noise = 4.0 * expected / (runs as f64).sqrt() + 0.01 * expected;
        assert!((length - expected).abs() < noise, "{name}: {length:.1}, not {expected}");
        println!("{name}: {length:.2} ({expected})");
    }
}

/// Limits of single values' spread on means of 25 are five times as wide, and see nothing.
#[test]
fn limits_without_the_root_of_n_are_blind() {
    let chart = |limits| {
        let baseline = ChartBaseline::Known { mean: 0.0, sd: 1.0 };
        let options = ShewhartOptions { baseline, subgroup: 25, limits, ..Default::default() };
        Shewhart::new(options).expect("a chart")
    };
    let n = 10_000 * replicates(2);
    let with_root = alarms(&mut chart(ChartLimits::StandardError), 1.0, n, 3);
    let without = alarms(&mut chart(ChartLimits::StandardDeviation), 1.0, n, 3);
    // A shift of 1 is one of five standard errors: nearly every point is beyond the limits. Those
    // without the root leave only the rule of eight points on one side.
    assert!(with_root > n / 25 * 9 / 10, "{with_root} of {}", n / 25);
    assert!(without < n / 25 / 4, "{without} of {}", n / 25);
}

/// What a limit of ECDD promises, and what it keeps.
#[test]
fn run_lengths_of_ecdd() {
    println!("| limit | p = .05 | .1 | .2 | .3 |\n|---|---|---|---|---|");
    for limit in [EcddLimit::Arl100, EcddLimit::Arl400, EcddLimit::Arl1000, EcddLimit::Fixed(3.0)] {
        let lengths = [0.05, 0.1, 0.2, 0.3].map(|p| {
            let options = EcddOptions { limit, ..EcddOptions::default() };
            let n = 20_000 * replicates(2);
            let found = alarms(&mut Ecdd::new(options).expect("a detector"), p, n, 9);
            n as f64 / found.max(1) as f64
        });
        println!(
            "| {limit:?} | {:.0} | {:.0} | {:.0} | {:.0} |",
            lengths[0], lengths[1], lengths[2], lengths[3]
        );
        assert!(lengths.iter().all(|length| *length > 30.0), "{limit:?}: {lengths:?}");
    }
}
