//! Summaries of columns.

use arrow::array::{Float64Array, StringArray};
use mlops::core::batch;
use mlops::core::states::{CategoryCounts, NumericSummary, Quantiles};

use crate::cases::{GOLDEN, Outcome, STATISTIC, cases, close, name, optional, texts};
use crate::paths::{among_nulls, measured};

#[test]
fn columns_are_exact() -> Outcome {
    for case in cases("columns") {
        let what = name(case);
        let x = optional(&case["x"]);
        let (holes, holes_nulls) = among_nulls(&x);
        let plain = batch! {"x" => Float64Array::from(x.clone())}?;
        let summary = measured(what, &NumericSummary::new("x"), &plain);
        let among = measured(what, &NumericSummary::new("x"), &batch! {"x" => holes.clone()}?);
        let expect = |key: &str| case[key].as_f64();
        assert_eq!(Some(summary.n()), case["n"].as_u64(), "{what}");
        assert_eq!(Some(summary.nulls), case["nulls"].as_u64(), "{what}");
        assert_eq!((summary.min, summary.max), (expect("min"), expect("max")), "{what}");
        assert_eq!((among.nulls, among.nans, among.n()), (holes_nulls, 0, summary.n()), "{what}");
        assert_eq!((among.min, among.max), (summary.min, summary.max), "{what}");
        assert_eq!(among.moments, summary.moments, "{what}");

        let largest = x.iter().flatten().fold(0.0, |m: f64, x| m.max(x.abs()));
        // The documented bounds; for almost all of the cases they are half a unit in the last place.
        let beyond = summary.n() as f64 * largest * 2f64.powi(-80);
        let near = |key: &str, ours: Option<f64>, slack: f64| {
            let (Some(ours), Some(expected)) = (ours, expect(key)) else {
                assert_eq!(ours, expect(key), "{what} {key}");
                return;
            };
            let off = (ours - expected).abs();
            let bound = 1e-15 * expected.abs() + slack;
            assert!(
                off <= bound,
                "{what} {key}: ours {ours:?}, exactly {expected:?}, off by {off:e}"
            );
        };
        // Spread over more than 80 bits, where the sum is not promised to be exact.
        let wide = ["cancelling", "wide"].contains(&what);
        near("sum", Some(summary.sum()), if wide { beyond } else { 0.0 });
        near("mean", summary.mean(), if wide { beyond } else { 0.0 });
        near("var", summary.variance(), 0.0);
        near("std", summary.std(), 0.0);

        let table = measured(what, &Quantiles::new("x"), &plain);
        assert!(table.is_exact() && table.nulls() == summary.nulls, "{what}");
        let among = measured(what, &Quantiles::new("x"), &batch! {"x" => holes}?);
        let coarse = measured(what, &Quantiles::new("x").with_cap(0), &plain);
        for pair in case["quantiles"].as_array().expect("quantiles") {
            let (q, expected) = (pair[0].as_f64().expect("q"), pair[1].as_f64().expect("it"));
            let ours = table.quantile(q).expect("a quantile");
            close(&format!("{what} quantile {q}"), ours, expected, STATISTIC);
            assert_eq!(among.quantile(q), Some(ours), "{what}");
            let (low, high) = coarse.bounds(q).expect("bounds");
            assert!(low <= ours && ours <= high, "{what} quantile {q}: {ours} in [{low}, {high}]");
        }
    }
    Ok(())
}

#[test]
fn categories_are_counted() -> Outcome {
    let case = &GOLDEN["transforms"]["categorical"];
    let city = texts(&case["city_nulls"]);
    let rows = batch! {"city" => StringArray::from(city.clone())}?;
    let table = measured("city", &CategoryCounts::new("city"), &rows);
    for label in city.iter().flatten() {
        let expected = city.iter().filter(|c| *c == &Some(*label)).count() as u64;
        assert_eq!(table.count(label), expected, "{label}");
    }
    assert_eq!(table.nulls, city.iter().filter(|c| c.is_none()).count() as u64);
    Ok(())
}
