//! Predictions held to numpy, scipy and statsmodels; `golden/make_history.py` asked them.

#![expect(clippy::unwrap_used, reason = "tests")]

use mlops_validate::history::{
    AnomalyCheck, Band, HoltWinters, Side, normal_prediction, robust_prediction,
};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/history.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(1e-12);
    assert!(error <= tolerance, "{what}: {found} for {expected}");
}

#[test]
fn samples_are_those_of_scipy() {
    let golden = golden();
    for case in golden["samples"].as_array().unwrap() {
        let values = numbers(&case["values"]);
        let number = |key: &str| case[key].as_f64().unwrap();
        let next = normal_prediction(&values).unwrap();
        close(next.expected, number("mean"), 1e-13, "mean");
        // Of 1e9 ± 1e-3 half the digits are gone before anybody looks.
        close(next.scale, number("scale"), 1e-7, "scale");
        for (alpha, limits) in case["limits"].as_object().unwrap() {
            let found = next.limits(&Band::new(alpha.parse().unwrap())).unwrap();
            let limits = numbers(limits);
            close(found.0 - next.expected, limits[0] - number("mean"), 1e-7, "lower limit");
            close(found.1 - next.expected, limits[1] - number("mean"), 1e-7, "upper limit");
        }
        let above = next.limits(&Band::new(0.01).side(Side::Above)).unwrap();
        assert_eq!(above.0, f64::NEG_INFINITY);
        close(above.1 - next.expected, number("above") - number("mean"), 1e-7, "one-sided");
        close(next.p_value(values[0], Side::Both).unwrap(), number("p_value"), 1e-6, "p-value");

        let robust = robust_prediction(&values).unwrap();
        assert_eq!(robust.expected, number("median"));
        if number("mad") > 0.0 {
            let n = values.len();
            let small = [1.363, 1.206, 1.200, 1.140, 1.129, 1.107];
            let corrected = match n {
                3 => 1.495,
                4..=9 => small[n - 4],
                n => n as f64 / (n as f64 - 0.8),
            };
            let new = (1.0 + std::f64::consts::PI / (2.0 * n as f64)).sqrt();
            close(robust.scale, number("mad") * corrected * new, 1e-12, "robust scale");
        }

        let (last, earlier) = values.split_last().unwrap();
        for (order, expected) in case["diff"].as_object().unwrap() {
            let expected = expected.as_f64().unwrap();
            // Held from both sides: as much as it is passes, a hair less does not.
            let passes = |bound: f64| {
                let check = AnomalyCheck::RateOfChange {
                    order: order.parse().unwrap(),
                    max_decrease: Some(bound),
                    max_increase: Some(bound),
                };
                check.judge(earlier, *last, &Band::new(0.5)).unwrap().verdict.is_pass()
            };
            let size = expected.abs();
            assert!(passes(size * (1.0 + 1e-12)) && !passes(size * (1.0 - 1e-12)), "order {order}");
        }
    }
}

#[test]
fn holt_winters_is_that_of_statsmodels() {
    let golden = golden();
    for (i, case) in golden["holt_winters"].as_array().unwrap().iter().enumerate() {
        let values = numbers(&case["values"]);
        let period = case["period"].as_u64().unwrap() as usize;
        let number = |key: &str| case[key].as_f64().unwrap();
        let weights = numbers(&case["weights"]);
        let weights = (weights[0], weights[1], weights[2]);
        let fixed = HoltWinters::with_weights(&values, period, weights).unwrap();
        close(fixed.sse, number("fixed_sse"), 1e-9, "sum of squares");
        close(fixed.forecast, number("fixed_forecast"), 1e-10, "forecast");
        // Of the two searches ours may end lower, and never ends higher.
        let best = HoltWinters::fit(&values, period).unwrap();
        println!("{i}: {} (statsmodels {})", best.sse, number("best_sse"));
        assert!(best.sse <= number("best_sse") * (1.0 + 1e-6), "{i}: {best:?}");
        let theirs = numbers(&case["best_weights"]);
        if best.sse > number("best_sse") * (1.0 - 1e-6) && theirs[0] > 1e-3 {
            close(best.forecast, number("best_forecast"), 1e-3, "best forecast");
        }
    }
}
