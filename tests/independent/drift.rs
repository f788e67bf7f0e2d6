//! Statistics of drift.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
use mlops::core::states::{Histogram, Quantiles};
use mlops::core::stats::{self, CountPair};
use mlops::core::{MemorySource, Result, batch};
use mlops::drift::statistics::{ZeroCells, chi_square, ks_two_sample, psi, psi_test};
use mlops::drift::{DriftMonitor, ProfileOptions, ReferenceProfile, Statistic};

use crate::cases::{
    GOLDEN, Outcome, STATISTIC, TAIL, agree, cases, close, counts, floats, name, on_threads,
};
use crate::paths::{among_nulls, measured, shuffled, slices};

#[test]
fn kolmogorov_smirnov_is_scipys() -> Outcome {
    for case in GOLDEN["ks"]["cases"].as_array().expect("cases") {
        let (x, y) = (floats(&case["reference"]), floats(&case["current"]));
        let (n, m) = (x.len() as u64, y.len() as u64);
        let (a, b) = (Float64Array::from(x.clone()), Float64Array::from(y.clone()));
        let test = ks_two_sample(&a, &b)?;
        let (what, statistic) = (name(case), case["statistic"].as_f64().expect("D"));
        assert_eq!((test.statistic, test.n, test.m), (statistic, n, m), "{what}");
        close(what, test.p_value, case["exact"].as_f64().expect("p"), TAIL);
        let exact = stats::ks_two_sample_exact(statistic, n, m)?;
        close(what, exact, case["exact"].as_f64().expect("p"), TAIL);
        let limit = stats::ks_two_sample_asymptotic(statistic, n, m)?;
        close(what, limit, case["asymptotic"].as_f64().expect("p"), TAIL);

        let (full_x, full_y): (Vec<_>, Vec<_>) =
            (x.iter().copied().map(Some).collect(), y.iter().copied().map(Some).collect());
        let arrays: [ArrayRef; 2] = [Arc::new(a), Arc::new(b)];
        let mut ways: Vec<[ArrayRef; 2]> =
            slices(&arrays[0]).into_iter().zip(slices(&arrays[1])).map(|(a, b)| [a, b]).collect();
        ways.push([shuffled(&arrays[0]), shuffled(&arrays[1])]);
        let holes: [ArrayRef; 2] =
            [Arc::new(among_nulls(&full_x).0), Arc::new(among_nulls(&full_y).0)];
        ways.push([slices(&holes[0]).swap_remove(1), slices(&holes[1]).swap_remove(1)]);
        ways.push(holes);
        for [a, b] in ways {
            let (a, b) = (a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>());
            let again = on_threads(what, || ks_two_sample(a, b).expect("KS"));
            assert_eq!(again, test, "{what}");
        }

        // From a profile: each value is an edge of the reference, so the bounds hold D.
        let options = ProfileOptions::new().integer_categories(0);
        let profile = ReferenceProfile::fit(
            &MemorySource::from(batch! {"x" => Float64Array::from(x)}?),
            &options,
        )?;
        let report = DriftMonitor::new(profile)
            .compare(&MemorySource::from(batch! {"x" => Float64Array::from(y)}?))?;
        let found = report.column("x").and_then(|c| c.statistic(Statistic::Ks));
        if let Some((low, high)) = found.and_then(|s| s.bounds) {
            assert!(
                low <= statistic && statistic <= high,
                "{what}: {statistic} in [{low}, {high}]"
            );
        }
    }
    let large = &GOLDEN["ks"]["large"];
    let x: Vec<f64> = (0..12_000u64).map(|i| (i * 7919 % 10_007) as f64 / 10_007.0).collect();
    let y = (0..11_000u64).map(|i| (i * 104_729 % 10_007) as f64 / 10_007.0);
    let y: Vec<f64> = y.zip(&x).map(|(y, x)| y * y * 0.1 + x * 0.9).collect();
    let (a, b) = (Float64Array::from(x), Float64Array::from(y));
    let test = on_threads("large", || ks_two_sample(&a, &b).expect("KS"));
    assert_eq!(Some(test.statistic), large["statistic"].as_f64());
    let limit = stats::ks_two_sample_asymptotic(test.statistic, test.n, test.m)?;
    close("large", limit, large["asymptotic"].as_f64().expect("p"), TAIL);
    Ok(())
}

#[test]
fn chi_square_is_scipys() -> Outcome {
    for case in cases("chi_square") {
        let (reference, current) = (counts(&case["reference"]), counts(&case["current"]));
        let what = name(case);
        let number = |key: &str| case[key].as_f64().expect("a number");
        let pair = CountPair { current: &current, reference: &reference };
        let core = stats::chi_square_homogeneity(pair)?;
        let drift = chi_square(&reference, &current)?;
        assert_eq!(core.dof, case["dof"].as_u64().expect("dof"), "{what}");
        assert_eq!(drift.degrees_of_freedom, core.dof, "{what}");
        for (ours, p) in [(core.statistic, core.p_value), (drift.statistic, drift.p_value)] {
            close(what, ours, number("statistic"), STATISTIC);
            close(what, p, number("p_value"), TAIL);
        }
        close(what, core.cramers_v, number("cramers_v"), STATISTIC);
        close(what, core.smallest_expected(), number("min_expected"), STATISTIC);
        close(what, drift.min_expected, number("min_expected"), STATISTIC);
    }
    Ok(())
}

#[test]
fn psi_is_its_formula_on_the_references_quantiles() -> Outcome {
    for case in cases("psi") {
        let what = name(case);
        let (x, y) = (floats(&case["reference"]), floats(&case["current"]));
        // The edges themselves are the reference's quantiles.
        let table = Quantiles::new("x").of(&x);
        let mut edges: Vec<f64> =
            (1..10).filter_map(|k| table.quantile(f64::from(k) / 10.0)).collect();
        edges.dedup();
        let expected = floats(&case["edges"]);
        assert_eq!(edges.len(), expected.len(), "{what}");
        for (ours, expected) in edges.iter().zip(&expected) {
            close(what, *ours, *expected, 1e-15);
        }
        let histogram = Histogram::new("x", expected)?;
        let count = |values: Vec<f64>, key: &str| -> Result<Vec<u64>> {
            let full: Vec<_> = values.iter().copied().map(Some).collect();
            let found = measured(what, &histogram, &batch! {"x" => Float64Array::from(values)}?);
            let holes = measured(what, &histogram, &batch! {"x" => among_nulls(&full).0}?);
            assert_eq!(holes.cells, found.cells, "{what}");
            assert_eq!(found.left_open(), counts(&case[key]), "{what}");
            Ok(found.left_open())
        };
        let (a, b) = (count(x, "reference_counts")?, count(y, "current_counts")?);
        for (key, rule) in [
            ("add_half", ZeroCells::AddHalf),
            ("add_tiny", ZeroCells::Add(1e-6)),
            ("clip", ZeroCells::Clip(0.0001)),
            ("refuse", ZeroCells::Refuse),
        ] {
            let what = format!("{what} {key}");
            agree(&what, psi(&a, &b, rule), &case[key], STATISTIC);
            if case[key].is_f64() {
                agree(&what, psi(&b, &a, rule), &case[key], STATISTIC);
                agree(&what, psi_test(&a, &b, rule, 0.95).map(|t| t.value), &case[key], STATISTIC);
            }
        }
    }
    Ok(())
}
