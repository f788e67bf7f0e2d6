//! Statistics against scipy and the formulas; made by `tests/golden/make_drift.py`.

use arrow::array::Float64Array;
use mlops_drift::statistics::{
    ZeroCells, chi_square, ks_from_cells, ks_two_sample, psi, psi_test, total_variation,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    ks: Vec<Ks>,
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Ks {
    name: String,
    reference: Vec<u64>,
    current: Vec<u64>,
    statistic: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    reference: Vec<u64>,
    current: Vec<u64>,
    chi_square: f64,
    degrees_of_freedom: u64,
    p_value: f64,
    min_expected: f64,
    psi_add_half: f64,
    psi_add_one: f64,
    psi_clip: f64,
    total_variation: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/drift.json")).expect("golden values")
}

fn close(name: &str, found: f64, expected: f64, relative: f64) {
    let far = (found - expected).abs() > relative * expected.abs() + 1e-300;
    assert!(!far, "{name}: {found:e}, not {expected:e}");
}

fn numbers(bits: &[u64]) -> Vec<f64> {
    bits.iter().map(|b| f64::from_bits(*b)).collect()
}

#[test]
fn ks_equals_scipy() {
    for case in golden().ks {
        let (x, y) = (numbers(&case.reference), numbers(&case.current));
        let test = ks_two_sample(&x.clone().into(), &y.clone().into()).expect("a test");
        close(&case.name, test.statistic, case.statistic, 1e-12);
        close(&case.name, test.p_value, case.p_value, 1e-9);

        // With nulls in between, as a slice of something longer, and in another order.
        let mut padded = vec![Some(99.0), None];
        padded.extend(x.iter().rev().flat_map(|v| [Some(*v), None]));
        padded.push(Some(-99.0));
        let padded = Float64Array::from(padded);
        let sliced = padded.slice(1, padded.len() - 2);
        assert_eq!(ks_two_sample(&sliced, &y.into()).expect("a test"), test, "{}", case.name);
    }
}

#[test]
fn ks_from_cells_at_every_value_is_exact() {
    for case in golden().ks {
        let (x, y) = (numbers(&case.reference), numbers(&case.current));
        let finite = |v: &&f64| v.is_finite();
        let mut edges: Vec<f64> = x.iter().chain(&y).filter(finite).map(|v| v + 0.0).collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let cells = |values: &[f64]| {
            let mut cells = vec![0; 2 * edges.len() + 1];
            for v in values.iter().filter(finite) {
                cells[2 * edges.partition_point(|e| e < v) + 1] += 1;
            }
            cells
        };
        let bounds = ks_from_cells(&cells(&x), &cells(&y), 0.95).expect("bounds");
        assert_eq!(bounds.statistic.0, bounds.statistic.1, "{}", case.name);
        if x.iter().chain(&y).all(|v| v.is_finite()) {
            close(&case.name, bounds.statistic.0, case.statistic, 1e-12);
            close(&case.name, bounds.p_value.0, case.p_value, 1e-9);
        }
    }
}

#[test]
fn chi_square_psi_and_total_variation_equal_their_references() {
    for case in golden().tables {
        let name = &case.name;
        let (r, c) = (&case.reference[..], &case.current[..]);
        let test = chi_square(r, c).expect("a test");
        close(name, test.statistic, case.chi_square, 1e-12);
        assert_eq!(test.degrees_of_freedom, case.degrees_of_freedom, "{name}");
        close(name, test.p_value, case.p_value, 1e-9);
        close(name, test.min_expected, case.min_expected, 1e-12);
        // Differences of nearly equal logarithms: the absolute error is that of one of them.
        for (rule, expected) in [
            (ZeroCells::AddHalf, case.psi_add_half),
            (ZeroCells::Add(1.0), case.psi_add_one),
            (ZeroCells::Clip(1e-4), case.psi_clip),
        ] {
            let found = psi(r, c, rule).expect("an index");
            assert!((found - expected).abs() <= 1e-12 * expected.max(1e-3), "{name}: {found}");
        }
        close(
            name,
            total_variation(r, c, 0.95).expect("a distance").value,
            case.total_variation,
            1e-12,
        );
        let swapped = chi_square(c, r).expect("a test");
        close(name, swapped.statistic, test.statistic, 1e-12);
    }
}

#[test]
fn what_has_no_value_is_an_error() {
    let none = Float64Array::from(vec![None, None]);
    let some = Float64Array::from(vec![1.0, 2.0]);
    assert!(ks_two_sample(&none, &some).is_err());
    assert!(ks_two_sample(&some, &Float64Array::from(vec![f64::NAN])).is_err());
    assert!(ks_from_cells(&[1, 2], &[1, 2], 0.95).is_err());
    assert!(ks_from_cells(&[1, 2, 3], &[1, 2, 3], 1.0).is_err());
    assert!(ks_from_cells(&[0, 0, 0], &[1, 2, 3], 0.95).is_err());
    assert!(chi_square(&[1, 2], &[1, 2, 3]).is_err());
    assert!(chi_square(&[u64::MAX, 2], &[1, 2]).is_err());
    assert!(chi_square(&[], &[]).is_err());
    assert!(psi(&[1, 0], &[1, 1], ZeroCells::Refuse).is_err());
    assert!(psi(&[1, 0], &[1, 1], ZeroCells::Add(f64::NAN)).is_err());
    assert!(psi(&[1, 0], &[1, 1], ZeroCells::Clip(0.0)).is_err());
    assert!(psi_test(&[1, 0], &[1, 1], ZeroCells::AddHalf, 0.0).is_err());
    assert!(total_variation(&[1, 1], &[0, 0], 0.95).is_err());
    assert_eq!(chi_square(&[5], &[7]).expect("one cell").p_value, 1.0);
}
