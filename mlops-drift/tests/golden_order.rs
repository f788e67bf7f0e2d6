//! The two-sample statistics of order against scipy and exact laws; made by
//! `tests/golden/make_order.py`.

use arrow::array::Float64Array;
use mlops_drift::statistics::{
    Alternative, AndersonDarlingTies, anderson_darling_two_sample, cramer_von_mises_two_sample,
    energy_two_sample, epps_singleton, ks_one_sided, ks_p_value, kuiper_p_value, kuiper_two_sample,
    mann_whitney, wasserstein_two_sample,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    kuiper_p: Vec<(f64, u64, u64, f64)>,
    ks_p: Vec<KsTail>,
}

#[derive(Deserialize)]
struct KsTail {
    d: f64,
    n: u64,
    m: u64,
    two_sided: f64,
    one_sided: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    reference: Vec<u64>,
    current: Vec<u64>,
    ks_two_sided: Option<(f64, f64)>,
    ks_less: Option<(f64, f64)>,
    ks_greater: Option<(f64, f64)>,
    u_two_sided: (f64, f64),
    u_less: (f64, f64),
    u_greater: (f64, f64),
    u_exact_two_sided: Option<f64>,
    u_exact_less: Option<f64>,
    u_exact_greater: Option<f64>,
    kuiper: f64,
    cvm: f64,
    cvm_scipy: Option<f64>,
    cvm_p: Option<f64>,
    ad_midrank: f64,
    ad_right: f64,
    ad_p_table: f64,
    w1: Option<f64>,
    energy: Option<f64>,
    epps_singleton: Option<(f64, f64)>,
}

impl Case {
    fn sides(&self) -> (Float64Array, Float64Array) {
        let numbers = |bits: &[u64]| bits.iter().map(|b| f64::from_bits(*b)).collect::<Vec<_>>();
        (numbers(&self.reference).into(), numbers(&self.current).into())
    }

    /// The same samples with nulls in between, as slices of something longer, in another order.
    fn disguised(&self) -> (Float64Array, Float64Array) {
        let disguise = |values: &Float64Array| {
            let mut padded = vec![Some(f64::NAN), None];
            padded.extend(values.values().iter().rev().flat_map(|v| [Some(*v), None]));
            padded.push(Some(-99.0));
            let padded = Float64Array::from(padded);
            padded.slice(1, padded.len() - 2)
        };
        let (x, y) = self.sides();
        (disguise(&x), disguise(&y))
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/order.json")).expect("golden values")
}

fn close(name: &str, found: f64, expected: f64, relative: f64) {
    let far = (found - expected).abs() > relative * expected.abs() + 1e-300;
    assert!(!far, "{name}: {found:e}, not {expected:e}");
}

#[test]
fn ks_with_alternatives_equals_scipy() {
    for case in golden().cases {
        let (x, y) = case.sides();
        let (px, py) = case.disguised();
        for (alternative, expected) in [
            (Alternative::TwoSided, case.ks_two_sided),
            (Alternative::Less, case.ks_less),
            (Alternative::Greater, case.ks_greater),
        ] {
            let name = format!("{} {alternative}", case.name);
            let test = ks_one_sided(&x, &y, alternative).expect("a test");
            assert_eq!(ks_one_sided(&px, &py, alternative).expect("a test"), test, "{name}");
            if let Some((statistic, p_value)) = expected {
                close(&name, test.statistic, statistic, 1e-12);
                close(&name, test.p_value, p_value, 1e-9);
                assert!(test.exact, "{name}");
            }
        }
    }
}

#[test]
fn ks_tails_keep_their_digits() {
    for KsTail { d, n, m, two_sided, one_sided } in golden().ks_p {
        let name = format!("{d} {n} {m}");
        let p = |alternative| ks_p_value(d, n, m, alternative).expect("a p-value").p_value;
        close(&name, p(Alternative::TwoSided), two_sided, 1e-9);
        close(&name, p(Alternative::Less), one_sided, 1e-9);
        close(&name, p(Alternative::Greater), one_sided, 1e-9);
    }
}

#[test]
fn mann_whitney_equals_scipy() {
    for case in golden().cases {
        let (x, y) = case.sides();
        let (px, py) = case.disguised();
        for (alternative, asymptotic, exact) in [
            (Alternative::TwoSided, case.u_two_sided, case.u_exact_two_sided),
            (Alternative::Less, case.u_less, case.u_exact_less),
            (Alternative::Greater, case.u_greater, case.u_exact_greater),
        ] {
            let name = format!("{} {alternative}", case.name);
            let test = mann_whitney(&x, &y, alternative).expect("a test");
            assert_eq!(mann_whitney(&px, &py, alternative).expect("a test"), test, "{name}");
            close(&name, test.statistic, asymptotic.0, 1e-12);
            let expected = if test.exact { exact.expect("scipy's count") } else { asymptotic.1 };
            close(&name, test.p_value, expected, 1e-9);
        }
    }
}

#[test]
fn kuiper_equals_its_definition_and_its_law() {
    for case in golden().cases {
        let (x, y) = case.sides();
        let (px, py) = case.disguised();
        let test = kuiper_two_sample(&x, &y).expect("a test");
        close(&case.name, test.statistic, case.kuiper, 1e-12);
        assert_eq!(kuiper_two_sample(&px, &py).expect("a test"), test, "{}", case.name);
        // It doesn't matter which side is which.
        let swapped = kuiper_two_sample(&y, &x).expect("a test");
        close(&case.name, swapped.p_value, test.p_value, 1e-9);
    }
    for (v, n, m, p) in golden().kuiper_p {
        close(&format!("V = {v}, {n}, {m}"), kuiper_p_value(v, n, m).expect("a p-value"), p, 1e-9);
    }
}

#[test]
fn cramer_von_mises_equals_scipy_where_nothing_is_tied() {
    for case in golden().cases {
        let name = &case.name;
        let (x, y) = case.sides();
        let (px, py) = case.disguised();
        let test = cramer_von_mises_two_sample(&x, &y).expect("a test");
        assert_eq!(cramer_von_mises_two_sample(&px, &py).expect("a test"), test, "{name}");
        close(name, test.statistic, case.cvm, 1e-12);
        if let (Some(statistic), Some(p_value)) = (case.cvm_scipy, case.cvm_p) {
            close(name, test.statistic, statistic, 1e-9);
            close(name, test.p_value, p_value, 1e-9);
        }
    }
}

#[test]
fn anderson_darling_equals_scipy() {
    for case in golden().cases {
        let name = &case.name;
        let (x, y) = case.sides();
        let (px, py) = case.disguised();
        for (ties, expected) in [
            (AndersonDarlingTies::Midrank, case.ad_midrank),
            (AndersonDarlingTies::Right, case.ad_right),
        ] {
            let test = anderson_darling_two_sample(&x, &y, ties).expect("a test");
            assert_eq!(anderson_darling_two_sample(&px, &py, ties).expect("a test"), test);
            // A difference from 1, in deviations of at most 1.
            let off = 1e-12 * (expected.abs() + 2.0);
            assert!(
                (test.statistic - expected).abs() < off,
                "{name}: {} {expected}",
                test.statistic
            );
        }
        // Within the table that scipy interpolates its curve is within 3 % of the law.
        let test = anderson_darling_two_sample(&x, &y, AndersonDarlingTies::Midrank);
        let p = test.expect("a test").p_value;
        let values: Vec<u64> = case.reference.iter().chain(&case.current).copied().collect();
        let different: std::collections::BTreeSet<u64> = values.iter().copied().collect();
        if different.len() < values.len() {
            // The table knows of no ties.
            assert!((0.0..=1.0).contains(&p), "{name}: {p}");
        } else if case.ad_p_table > 0.001 && case.ad_p_table < 0.25 {
            assert!((p / case.ad_p_table - 1.0).abs() < 0.03, "{name}: {p} {}", case.ad_p_table);
        } else if case.ad_p_table >= 0.25 {
            assert!(p > 0.24, "{name}: {p}");
        } else {
            assert!(p < 0.00105, "{name}: {p}");
        }
    }
}

#[test]
fn distances_equal_scipy() {
    for case in golden().cases {
        let name = &case.name;
        let (x, y) = case.sides();
        let (px, py) = case.disguised();
        let (Some(w1), Some(energy)) = (case.w1, case.energy) else {
            assert!(wasserstein_two_sample(&x, &y).is_err() && energy_two_sample(&x, &y).is_err());
            assert!(epps_singleton(&x, &y).is_err());
            continue;
        };
        let test = wasserstein_two_sample(&x, &y).expect("a test");
        close(name, test.statistic, w1, 1e-12);
        assert_eq!(wasserstein_two_sample(&px, &py).expect("a test"), test, "{name}");
        let test = energy_two_sample(&x, &y).expect("a test");
        close(name, test.distance, energy, 1e-12);
        assert_eq!(energy_two_sample(&px, &py).expect("a test"), test, "{name}");
        assert!((0.0..=1.0).contains(&test.p_value), "{name}");
    }
}

#[test]
fn epps_singleton_equals_scipy() {
    let mut seen = 0;
    for case in golden().cases {
        let Some((statistic, p_value)) = case.epps_singleton else { continue };
        let (x, y) = case.sides();
        let (px, py) = case.disguised();
        let test = epps_singleton(&x, &y).expect("a test");
        assert_eq!(epps_singleton(&px, &py).expect("a test"), test, "{}", case.name);
        // Arguments of the cosines of 10⁹ leave scipy itself 10⁻⁷ or so.
        let digits: f64 = if case.name == "large numbers" { 1e-5 } else { 1e-9 };
        close(&case.name, test.statistic, statistic, digits.max(1e-12));
        close(&case.name, test.wald_p_value, p_value, 100.0 * digits);
        seen += 1;
    }
    assert!(seen > 8);
}
