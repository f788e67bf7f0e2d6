//! Metrics by group equal those of fairlearn, to its edges, scikit-learn, AIF360 and aequitas, on
//! values made by `tests/golden/make_group_metrics.py`.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops_core::arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use mlops_core::{Analyzer, DataSourceExt, MemorySource, Rows, State, conformance};
use mlops_fairness::compat::Fairlearn;
use mlops_fairness::parity::{self, Aggregate, Reference};
use mlops_fairness::{
    Average, Bins, Composite, ErrorMetric, Group, GroupClasses, GroupCounts, GroupErrors,
    GroupScores, Method, Metric, MetricFrame, ScoreCounts, ScoreMetric, abroca, inequality,
};
use serde_json::Value;

fn golden(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("golden/group_metrics.json")).unwrap();
    all[part].clone()
}

fn texts(values: &Value) -> ArrayRef {
    Arc::new(values.as_array().unwrap().iter().map(Value::as_str).collect::<StringArray>())
}

fn numbers(values: &Value) -> ArrayRef {
    Arc::new(values.as_array().unwrap().iter().map(Value::as_f64).collect::<Float64Array>())
}

fn integers(values: &Value) -> ArrayRef {
    let of = |value: &Value| value.as_f64().map(|v| v as i32);
    Arc::new(values.as_array().unwrap().iter().map(of).collect::<Int32Array>())
}

fn rows(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

/// To twelve digits, NaN to NaN.
fn close(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap_or(f64::NAN);
    let same = (ours.is_nan() && theirs.is_nan())
        || (ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0);
    assert!(same, "{what}: {ours}, {theirs}");
}

/// Measured in one piece, and from parts that were merged and went through bytes.
fn measured<A: Analyzer<Output: PartialEq + std::fmt::Debug>>(
    analyzer: &A,
    rows: &RecordBatch,
) -> A::Output {
    let whole = MemorySource::from(rows.clone()).measure(analyzer).unwrap();
    let mut merged = analyzer.start();
    for at in (0..rows.num_rows()).step_by(29).rev() {
        let part = rows.slice(at, 29.min(rows.num_rows() - at));
        let mut state = analyzer.start();
        analyzer.update(&mut state, &Rows::new(&part)).unwrap();
        let bytes = mlops_core::bytes::state_to_bytes(analyzer, &state).unwrap();
        merged.merge(mlops_core::bytes::state_from_bytes(analyzer, &bytes).unwrap()).unwrap();
    }
    assert_eq!(analyzer.finish(merged).unwrap(), whole);
    whole
}

/// A metric of their name, as fairlearn has it.
fn fairlearn(name: &str) -> impl Fn(&mlops_fairness::Counts) -> f64 + Copy {
    use mlops_fairness::compat::FairlearnMetric;
    let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name);
    let composite = Composite::ALL.into_iter().find(|metric| metric.name() == name);
    assert!(metric.is_some() || composite.is_some(), "{name}");
    move |counts: &mlops_fairness::Counts| match (metric, composite) {
        (Some(metric), _) => FairlearnMetric::value(&metric, counts),
        (_, Some(composite)) => FairlearnMetric::value(&composite, counts),
        _ => f64::NAN,
    }
}

const METHODS: [(Method, &str); 2] =
    [(Method::BetweenGroups, "between_groups"), (Method::ToOverall, "to_overall")];

fn agrees(name: &str, frame: &MetricFrame, theirs: &Value, cell: &str) {
    let ours = Fairlearn::of(frame.clone());
    for (metric, overall) in theirs["overall"][cell].as_object().unwrap() {
        let what = format!("{name}, `{cell}`: {metric}");
        let m = fairlearn(metric);
        close(ours.overall(m), overall, &what);
        close(ours.group_min(m), &theirs["group_min"][cell][metric], &format!("{what} min"));
        close(ours.group_max(m), &theirs["group_max"][cell][metric], &format!("{what} max"));
        for (method, word) in METHODS {
            let of = |kind: &str| &theirs[format!("{kind} {word}")][cell][metric];
            close(ours.difference(m, method), of("difference"), &format!("{what} − {word}"));
            close(ours.ratio(m, method), of("ratio"), &format!("{what} / {word}"));
            // Where ours is defined it is theirs.
            let of_metric = |counts: &mlops_fairness::Counts| match m(counts) {
                value if value.is_nan() => Err(mlops_fairness::Undefined::new("NaN")),
                value => Ok(value),
            };
            if let Ok(value) = frame.difference(of_metric, method) {
                close(value, of("difference"), &format!("{what} − {word}, ours"));
            }
            if let Ok(value) = frame.ratio(of_metric, method) {
                close(value, of("ratio"), &format!("{what} / {word}, ours"));
            }
        }
    }
}

#[test]
fn fairlearns_numbers_on_every_edge() {
    let cases = golden("fairlearn");
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let list = |key: &str| -> Vec<String> {
            case[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().into()).collect()
        };
        let columns = &case["columns"];
        let rows = rows([
            ("sex", texts(&columns["sex"])),
            ("race", texts(&columns["race"])),
            ("dept", texts(&columns["dept"])),
            ("y", integers(&columns["y"])),
            ("p", integers(&columns["p"])),
            ("w", numbers(&columns["w"])),
        ]);
        let mut counts = GroupCounts::new("p", "1", list("features"))
            .with_labels("y")
            .with_control_features(list("controls"));
        if let Some(weight) = case["weight"].as_str() {
            counts = counts.with_weights(weight);
        }
        let frame = measured(&counts, &rows);
        let theirs = &case["fairlearn"];
        let by_group = theirs["by_group"].as_object().unwrap();
        if frame.control_features().is_empty() {
            agrees(name, &frame, theirs, "");
            let ours = Fairlearn::of(frame.clone());
            for metric in theirs["overall"][""].as_object().unwrap().keys() {
                let groups = ours.by_group(fairlearn(metric));
                assert_eq!(groups.len(), by_group.len(), "{name}");
                for (group, value) in groups {
                    let what = format!("{name}: {metric} of {group}");
                    close(value, &by_group[&group.to_string()][metric], &what);
                }
            }
            named(name, &ours, &theirs["named"]);
        } else {
            for (cell, frame) in frame.by_control() {
                agrees(name, &frame, theirs, &cell.to_string());
                for (group, counts) in frame.groups() {
                    for (metric, value) in
                        by_group[&format!("{cell}, {group}")].as_object().unwrap()
                    {
                        let what = format!("{name}: {metric} of {group} in {cell}");
                        close(fairlearn(metric)(counts), value, &what);
                    }
                }
            }
        }
    }
}

fn named(name: &str, ours: &Fairlearn, theirs: &Value) {
    for (method, word) in METHODS {
        let check =
            |value: f64, key: String| close(value, &theirs[&key], &format!("{name}: {key}"));
        let dp = "demographic_parity";
        check(ours.demographic_parity_difference(method), format!("{dp}_difference {word}"));
        check(ours.demographic_parity_ratio(method), format!("{dp}_ratio {word}"));
        let eo = "equal_opportunity";
        check(ours.equal_opportunity_difference(method), format!("{eo}_difference {word}"));
        check(ours.equal_opportunity_ratio(method), format!("{eo}_ratio {word}"));
        for (how, end) in [(Aggregate::WorstCase, "worst_case"), (Aggregate::Mean, "mean")] {
            let odds = format!("equalized_odds_difference {word} {end}");
            check(ours.equalized_odds_difference(method, how), odds);
            let odds = format!("equalized_odds_ratio {word} {end}");
            check(ours.equalized_odds_ratio(method, how), odds);
        }
    }
}

#[test]
fn inequality_and_differential_fairness_equal_aif360() {
    for case in golden("aif360").as_array().unwrap() {
        let rows = rows([
            ("g", texts(&case["g"])),
            ("y", integers(&case["y"])),
            ("p", integers(&case["p"])),
            ("w", numbers(&case["w"])),
            ("x0", numbers(&case["x"][0])),
            ("x1", numbers(&case["x"][1])),
            ("x2", numbers(&case["x"][2])),
        ]);
        let theirs = &case["aif360"];
        let counts = GroupCounts::new("p", "1", ["g"]).with_labels("y");
        let frame = measured(&counts, &rows);
        for (alpha, word) in [(2.0, "2"), (1.0, "1"), (0.5, "0.5"), (3.0, "3")] {
            let found = inequality::generalized_entropy(&frame, alpha).unwrap();
            close(found.total, &theirs[format!("total {word}")], &format!("alpha {word}"));
            close(found.between, &theirs[format!("between {word}")], &format!("between {word}"));
        }
        let cv = inequality::coefficient_of_variation(&frame).unwrap();
        close(cv, &theirs["cv"], "coefficient of variation");
        let weighted = measured(&counts.with_weights("w"), &rows);
        for (c, word) in [(1.0, "1.0"), (0.25, "0.25")] {
            let edf = |frame: &MetricFrame, metric: Metric| {
                parity::differential_fairness(frame, metric, c).unwrap()
            };
            close(edf(&frame, Metric::SelectionRate), &theirs[format!("edf {word}")], "edf");
            let labels = &theirs[format!("edf labels {word}")];
            close(edf(&frame, Metric::BaseRate), labels, "edf of labels");
            let of_weights = &theirs[format!("edf weighted {word}")];
            close(edf(&weighted, Metric::SelectionRate), of_weights, "edf, weighted");
            let amplified = parity::bias_amplification(&frame, c).unwrap();
            close(amplified, &theirs[format!("amplification {word}")], "bias amplification");
        }
        for (k, word) in [(1, "1"), (5, "5"), (12, "12")] {
            let found = mlops_fairness::consistency(&rows, &["x0", "x1", "x2"], "p", k).unwrap();
            close(found, &theirs[format!("consistency {word}")], "consistency");
        }
    }
}

#[test]
fn rates_and_disparities_equal_aequitas() {
    let case = golden("aequitas");
    let rows =
        rows([("g", texts(&case["g"])), ("y", integers(&case["y"])), ("p", integers(&case["p"]))]);
    let frame = measured(&GroupCounts::new("p", "1", ["g"]).with_labels("y"), &rows);
    let names = [
        (Metric::TruePositiveRate, "tpr"),
        (Metric::TrueNegativeRate, "tnr"),
        (Metric::FalseOmissionRate, "for"),
        (Metric::FalseDiscoveryRate, "fdr"),
        (Metric::FalsePositiveRate, "fpr"),
        (Metric::FalseNegativeRate, "fnr"),
        (Metric::NegativePredictiveValue, "npv"),
        (Metric::PositivePredictiveValue, "precision"),
        (Metric::SelectionRate, "pprev"),
        (Metric::BaseRate, "prev"),
    ];
    for (metric, theirs) in names {
        for (group, value) in frame.values(metric) {
            let by_group = &case["by_group"][group.to_string()];
            close(value.unwrap(), &by_group[theirs], &format!("{metric} of {group}"));
        }
        if metric == Metric::BaseRate {
            continue;
        }
        let reference = Reference::Group(Group::of("b"));
        for found in parity::disparate_impact(&frame, metric, &reference).unwrap() {
            let of = &case["disparities"][found.group.to_string()][format!("{theirs}_disparity")];
            close(found.ratio.clone().unwrap(), of, &format!("{metric}: {found}"));
            let four_fifths = (0.8..=1.25).contains(&of.as_f64().unwrap());
            assert_eq!(found.within_four_fifths(), Some(four_fifths));
        }
    }
}

/// The cells of a frame with the groups' names, and of all.
fn cells<C: mlops_fairness::GroupCell>(frame: &MetricFrame<C>) -> Vec<(String, C)> {
    let groups = frame.groups().map(|(group, cell)| (group.to_string(), cell.clone()));
    groups.chain([("all".to_owned(), frame.total().clone())]).collect()
}

type Of = fn(&mlops_fairness::Counts) -> mlops_fairness::Value;

#[test]
fn classes_equal_scikit_learn() {
    let case = golden("classes");
    let rows = rows([
        ("g", texts(&case["g"])),
        ("y", texts(&case["y"])),
        ("p", texts(&case["p"])),
        ("w", numbers(&case["w"])),
    ]);
    let plain = GroupClasses::new("y", "p", ["g"]);
    for (analyzer, kind) in [(plain.clone(), ""), (plain.with_weights("w"), " weighted")] {
        conformance::analyzer(&analyzer, &rows.slice(0, 60));
        let frame = measured(&analyzer, &rows);
        for (name, counts) in cells(&frame) {
            let theirs = &case["found"][name + kind];
            close(counts.accuracy().unwrap(), &theirs["accuracy"], "accuracy");
            let metrics: [(&str, Of); 3] = [
                ("positive_predictive_value", |c| Metric::PositivePredictiveValue.value(c)),
                ("true_positive_rate", |c| Metric::TruePositiveRate.value(c)),
                ("f1", |c| Composite::F1.value(c)),
            ];
            for (metric, of) in metrics {
                for (class, value) in theirs[metric].as_object().unwrap() {
                    close(of(&counts.one_vs_rest(class)).unwrap(), value, metric);
                }
                for (average, word) in [(Average::Macro, "macro"), (Average::Weighted, "weighted")]
                {
                    let ours = counts.average(of, average).unwrap();
                    close(ours, &theirs[format!("{metric} {word}")], metric);
                }
            }
        }
    }
}

#[test]
fn errors_equal_scikit_learn() {
    let case = golden("errors");
    let rows = rows([
        ("g", texts(&case["g"])),
        ("y", numbers(&case["y"])),
        ("p", numbers(&case["p"])),
        ("w", numbers(&case["w"])),
    ]);
    let plain = GroupErrors::new("y", "p", ["g"]);
    for (analyzer, kind) in [(plain.clone(), ""), (plain.with_weights("w"), " weighted")] {
        conformance::analyzer(&analyzer, &rows.slice(0, 60));
        let frame = measured(&analyzer, &rows);
        for (name, counts) in cells(&frame) {
            for metric in ErrorMetric::ALL {
                let theirs = &case["found"][format!("{name}{kind}")][metric.name()];
                close(metric.value(&counts).unwrap(), theirs, &format!("{metric} of {name}{kind}"));
            }
        }
    }
}

#[test]
fn scores_equal_scikit_learn() {
    for case in golden("scores").as_array().unwrap() {
        let rows = rows([
            ("g", texts(&case["g"])),
            ("y", integers(&case["y"])),
            ("s", numbers(&case["s"])),
            ("w", numbers(&case["w"])),
        ]);
        let plain = GroupScores::new("y", "1", "s", ["g"]);
        for (analyzer, kind) in
            [(plain.clone(), ""), (plain.clone().with_weights("w"), " weighted")]
        {
            conformance::analyzer(&analyzer, &rows.slice(0, 60));
            let frame = measured(&analyzer, &rows);
            for (name, counts) in cells(&frame) {
                assert!(counts.is_exact());
                for metric in ScoreMetric::ALL {
                    let theirs = &case["found"][format!("{name}{kind}")][metric.name()];
                    let what = format!("{metric} of {name}{kind}");
                    close(metric.value(&counts).unwrap(), theirs, &what);
                }
            }
        }
        let frame = measured(&plain, &rows);
        close(frame.abroca().unwrap().2, &case["abroca"], "abroca");
        let of = |name: &str| -> ScoreCounts { frame.group(&Group::of(name)).unwrap().clone() };
        assert_eq!(abroca(&of("a"), &of("a")), Ok(0.0));
        // At a threshold, the counts of labels.
        let half = frame.at(0.5).unwrap();
        assert_eq!(half.total().complete(), 400);

        // Fewer bins than scores: bounds hold what is exact, losses stay.
        let bins = Bins { n: 20, low: 0.0, high: 1.0 };
        let binned = plain.with_score_bins(bins);
        conformance::analyzer(&binned, &rows.slice(0, 150));
        let frame = measured(&binned, &rows);
        for (name, counts) in cells(&frame) {
            let theirs = &case["found"][&name];
            let auc = counts.roc_auc().unwrap();
            let exact = theirs["roc_auc"].as_f64().unwrap();
            assert!(auc.low <= exact + 1e-12 && exact <= auc.high + 1e-12, "{auc} {exact}");
            assert!(auc.is_exact() == counts.is_exact() && auc.high - auc.low < 0.1, "{auc}");
            for metric in [
                ScoreMetric::LogLoss,
                ScoreMetric::Brier,
                ScoreMetric::MeanPrediction,
                ScoreMetric::CalibrationError,
            ] {
                close(metric.value(&counts).unwrap(), &theirs[metric.name()], metric.name());
            }
        }
    }
}
