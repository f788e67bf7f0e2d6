//! Statistics and metrics against scipy, statsmodels, scikit-learn and mpmath: the cases that
//! `tests/golden/make_core.py` made.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

use mlops_core::Result;
use mlops_core::arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use mlops_core::metrics::{
    Classified, Estimated, Scored, accuracy, average_precision, brier, f1, log_loss,
    mean_absolute_error, mean_squared_error, precision, r2, recall, roc_auc,
    root_mean_squared_error, specificity,
};
use mlops_core::stats::{
    Correction, CountPair, Interval, PairedOutcomes, Proportion, ProportionPair, SampleMean,
    ScorePair, adjust, beta_cdf, binomial_cdf, binomial_sf, chi_square_homogeneity, chi_square_sf,
    clopper_pearson, f_sf, katz_log_ratio, kolmogorov_sf, ks_two_sample_exact, mcnemar,
    mean_t_interval, miettinen_nurminen_difference, miettinen_nurminen_ratio, newcombe_difference,
    normal_quantile, normal_sf, roc_auc_delong, roc_auc_difference, student_t_quantile,
    student_t_sf, wilson,
};
use serde_json::Value;

type Method<'a> = &'a dyn Fn(&[f64], f64) -> Result<Interval>;

fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|v| v.as_f64().unwrap()).collect()
}

fn counts(value: &Value) -> Vec<u64> {
    list(value).iter().map(|v| v.as_u64().unwrap()).collect()
}

/// Equal to within this share of the expected value, or this far from 0.
#[track_caller]
fn close(ours: f64, expected: f64, relative: f64, what: impl std::fmt::Debug) {
    let off = (ours - expected).abs();
    let bound = relative * expected.abs().max(f64::MIN_POSITIVE);
    assert!(off <= bound, "{what:?}: {ours:e}, expected {expected:e}, off by {:e}", off / expected);
}

fn all(cases: &Value, name: &str, relative: f64, ours: impl Fn(&[f64]) -> Result<f64>) {
    let cases = list(&cases[name]);
    assert!(!cases.is_empty(), "{name} has cases");
    for case in cases {
        let args = numbers(&case["args"]);
        let expected = case["value"].as_f64().unwrap();
        close(ours(&args).unwrap(), expected, relative, (name, &args));
    }
}

#[test]
fn tails_keep_their_relative_accuracy() {
    let cases = read("tails.json");
    all(&cases, "normal_sf", 1e-12, |a| Ok(normal_sf(a[0])));
    all(&cases, "normal_quantile", 1e-13, |a| normal_quantile(a[0]));
    all(&cases, "chi_square_sf", 1e-11, |a| chi_square_sf(a[0], a[1]));
    all(&cases, "student_t_sf", 1e-11, |a| student_t_sf(a[0], a[1]));
    all(&cases, "f_sf", 1e-11, |a| f_sf(a[0], a[1], a[2]));
    all(&cases, "beta_cdf", 1e-11, |a| beta_cdf(a[0], a[1], a[2]));
    all(&cases, "binomial_sf", 1e-11, |a| binomial_sf(a[0] as u64, a[1] as u64, a[2]));
    all(&cases, "binomial_cdf", 1e-11, |a| binomial_cdf(a[0] as u64, a[1] as u64, a[2]));
    all(&cases, "student_t_quantile", 1e-10, |a| student_t_quantile(a[0], a[1]));
    all(&cases, "kolmogorov_sf", 1e-11, |a| Ok(kolmogorov_sf(a[0])));
    let ks = |a: &[f64]| ks_two_sample_exact(a[0], a[1] as u64, a[2] as u64);
    all(&cases, "ks_exact_counted", 1e-11, ks);
    all(&cases, "ks_exact_scipy", 1e-9, ks);
}

#[test]
fn intervals_equal_statsmodels() {
    let cases = read("intervals.json");
    let pair = |a: &[f64]| ProportionPair {
        current: Proportion { successes: a[0] as u64, n: a[1] as u64 },
        reference: Proportion { successes: a[2] as u64, n: a[3] as u64 },
    };
    let methods: [(&str, f64, Method<'_>); 7] = [
        ("wilson", 1e-12, &|a, c| wilson(a[0] as u64, a[1] as u64, c)),
        ("clopper_pearson", 1e-9, &|a, c| clopper_pearson(a[0] as u64, a[1] as u64, c)),
        ("newcombe", 1e-11, &|a, c| newcombe_difference(pair(a), c)),
        ("mn_difference", 1e-9, &|a, c| miettinen_nurminen_difference(pair(a), c)),
        ("katz", 1e-12, &|a, c| katz_log_ratio(pair(a), c)),
        ("mn_ratio", 1e-9, &|a, c| miettinen_nurminen_ratio(pair(a), c)),
        ("mean_t", 1e-11, &|a, c| {
            mean_t_interval(SampleMean { mean: a[0], std_dev: a[1], n: a[2] as u64 }, c)
        }),
    ];
    for (name, bound, method) in methods {
        assert!(!list(&cases[name]).is_empty());
        for case in list(&cases[name]) {
            if case["value"].is_null() {
                continue;
            }
            let args = numbers(&case["args"]);
            let expected = numbers(&case["value"]);
            let ours = method(&args, case["confidence"].as_f64().unwrap()).unwrap();
            for (ours, expected) in [(ours.low, expected[0]), (ours.high, expected[1])] {
                let off = (ours - expected).abs();
                let far = bound * expected.abs().max(1.0);
                assert!(off <= far, "{name} {args:?}: {ours}, expected {expected}");
            }
        }
    }
}

#[test]
fn tests_equal_scipy_and_statsmodels() {
    let cases = read("tests.json");
    for case in list(&cases["multiple"]) {
        let p: Vec<_> = numbers(&case["p"]).into_iter().map(Some).collect();
        for (name, correction) in [
            ("bonferroni", Correction::Bonferroni),
            ("holm", Correction::Holm),
            ("fdr_bh", Correction::BenjaminiHochberg),
            ("fdr_by", Correction::BenjaminiYekutieli),
        ] {
            let expected = numbers(&case[name]);
            // Tests without a p-value change nothing.
            let mut gaps = vec![None];
            gaps.extend(p.iter().flat_map(|p| [*p, None]));
            for p in [&p, &gaps] {
                let ours = adjust(correction, p).unwrap().p_values;
                let ours: Vec<_> = ours.into_iter().flatten().collect();
                assert_eq!(ours.len(), expected.len());
                for (ours, expected) in ours.iter().zip(&expected) {
                    close(*ours, *expected, 1e-12, name);
                }
            }
        }
    }
    for case in list(&cases["chi_square"]) {
        let (current, reference) = (counts(&case["current"]), counts(&case["reference"]));
        let pair = CountPair { current: &current, reference: &reference };
        let ours = chi_square_homogeneity(pair).unwrap();
        close(ours.statistic, case["statistic"].as_f64().unwrap(), 1e-13, &current);
        close(ours.statistic, case["scipy_statistic"].as_f64().unwrap(), 1e-9, &current);
        close(ours.p_value, case["p_value"].as_f64().unwrap(), 1e-10, &current);
        assert_eq!(Some(ours.dof), case["dof"].as_u64());
        for (row, ours) in
            list(&case["expected"]).iter().zip([ours.expected_current, ours.expected_reference])
        {
            for (ours, expected) in ours.iter().zip(numbers(row)) {
                close(*ours, expected, 1e-13, "expected counts");
            }
        }
        // Empty columns, which the reference refuses, change nothing.
        let wider = |counts: &[u64]| [&[0], counts, &[0, 0]].concat();
        let (current, reference) = (wider(&current), wider(&reference));
        let pair = CountPair { current: &current, reference: &reference };
        let wide = chi_square_homogeneity(pair).unwrap();
        assert_eq!((wide.statistic, wide.dof), (ours.statistic, ours.dof));
        assert_eq!(wide.dropped, 3);
    }
    for case in list(&cases["mcnemar"]) {
        let rows = PairedOutcomes {
            concordant: 7,
            only_current: case["b"].as_u64().unwrap(),
            only_reference: case["c"].as_u64().unwrap(),
        };
        let ours = mcnemar(rows).unwrap();
        close(ours.p_value, case["exact"].as_f64().unwrap(), 1e-9, rows);
        close(ours.mid_p_value, case["mid"].as_f64().unwrap(), 1e-9, rows);
    }
}

/// The values as they are, and as a slice out of the middle of a longer array.
fn layouts<T: Clone>(values: &[T], array: impl Fn(Vec<T>) -> ArrayRef) -> [ArrayRef; 2] {
    let longer = [&values[..3], values, &values[..5]].concat();
    [array(values.to_vec()), array(longer).slice(3, values.len())]
}

#[test]
fn metrics_equal_scikit_learn() {
    let cases = read("metrics.json");
    for case in list(&cases["classified"]) {
        let labels = numbers(&case["y_true"]);
        let scores = numbers(&case["y_score"]);
        let integers = |v: Vec<f64>| -> ArrayRef {
            std::sync::Arc::new(v.into_iter().map(|v| Some(v as i64)).collect::<Int64Array>())
        };
        let words = |v: Vec<f64>| -> ArrayRef {
            let word = |v: f64| Some(if v == 1.0 { "yes" } else { "no" });
            std::sync::Arc::new(v.into_iter().map(word).collect::<StringArray>())
        };
        let floats = |v: Vec<f64>| -> ArrayRef { std::sync::Arc::new(Float64Array::from(v)) };
        let predicted: Vec<f64> = scores.iter().map(|&s| f64::from(u8::from(s >= 0.5))).collect();
        let score_layouts = layouts(&scores, floats);
        let forms = [
            ("1", layouts(&labels, integers), layouts(&predicted, integers)),
            ("yes", layouts(&labels, words), layouts(&predicted, words)),
            ("1", layouts(&labels, floats), layouts(&predicted, integers)),
        ];
        for (positive, y_true, y_pred) in &forms {
            for i in 0..2 {
                let (y_true, y_pred) = (y_true[i].as_ref(), y_pred[i].as_ref());
                let classified = Classified { y_true, y_pred, positive };
                let scored = Scored { y_true, y_score: score_layouts[i].as_ref(), positive };
                for (name, ours) in [
                    ("accuracy", accuracy(classified)),
                    ("precision", precision(classified)),
                    ("recall", recall(classified)),
                    ("specificity", specificity(classified)),
                    ("f1", f1(classified)),
                    ("roc_auc", roc_auc(scored)),
                    ("average_precision", average_precision(scored)),
                    ("log_loss", log_loss(scored)),
                    ("brier", brier(scored)),
                ] {
                    close(ours.unwrap(), case[name].as_f64().unwrap(), 1e-12, name);
                }
            }
        }
        let truth: Vec<bool> = labels.iter().map(|&v| v == 1.0).collect();
        let other = numbers(&case["other_score"]);
        let roc = roc_auc_delong(&truth, &scores).unwrap();
        let expected = |name: &str| case[name].as_f64().unwrap();
        close(roc.std_error.unwrap(), expected("delong_std_error"), 1e-12, "standard error");
        let interval = roc.interval(0.95).unwrap();
        let limits = numbers(&case["delong_interval"]);
        close(interval.low, limits[0], 1e-12, "lower limit");
        close(interval.high, limits[1], 1e-12, "upper limit");
        let pair = ScorePair { current: &scores, reference: &other };
        let pair = roc_auc_difference(&truth, pair).unwrap();
        assert_eq!(pair.current, roc);
        close(pair.difference, expected("delong_difference"), 1e-11, "difference");
        let error = expected("delong_difference_std_error");
        close(pair.std_error.unwrap(), error, 1e-12, "its standard error");
        close(pair.p_value.unwrap(), expected("delong_p_value"), 1e-9, "its p-value");
    }
    for case in list(&cases["estimated"]) {
        let floats = |v: Vec<f64>| -> ArrayRef { std::sync::Arc::new(Float64Array::from(v)) };
        let y_true = layouts(&numbers(&case["y_true"]), floats);
        let y_pred = layouts(&numbers(&case["y_pred"]), floats);
        for i in 0..2 {
            let rows = Estimated { y_true: y_true[i].as_ref(), y_pred: y_pred[i].as_ref() };
            for (name, ours) in [
                ("mae", mean_absolute_error(rows)),
                ("mse", mean_squared_error(rows)),
                ("rmse", root_mean_squared_error(rows)),
                ("r2", r2(rows)),
            ] {
                close(ours.unwrap(), case[name].as_f64().unwrap(), 1e-12, name);
            }
        }
    }
}
