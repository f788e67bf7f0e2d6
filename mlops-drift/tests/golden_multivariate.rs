//! Tests of several columns against numpy and scipy; made by `tests/golden/make_multivariate.py`.

use mlops_core::ndarray::Array2;
use mlops_drift::multivariate::{
    Correlation, CorrelationChange, Mmd, MmdEstimator, Points, Scaling, SlicedWasserstein,
};
use serde::Deserialize;

type Matrix = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Golden {
    two_samples: Vec<TwoSamples>,
}

#[derive(Deserialize)]
struct TwoSamples {
    name: String,
    reference: Matrix,
    current: Matrix,
    sigma: f64,
    mmd2: f64,
    mmd2_at_sigma_0_7: f64,
    wasserstein: Option<f64>,
    pearson: Option<[Matrix; 2]>,
    spearman: Option<[Matrix; 2]>,
}

fn cases() -> Vec<(TwoSamples, Points)> {
    let golden: Golden =
        serde_json::from_str(include_str!("golden/multivariate.json")).expect("golden values");
    let points = |case: &TwoSamples| {
        let matrix =
            |rows: &Matrix| Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j]);
        let names: Vec<String> = (0..case.reference[0].len()).map(|i| i.to_string()).collect();
        let (x, y) = (matrix(&case.reference), matrix(&case.current));
        Points::of_rows(x.view(), y.view(), &names, Scaling::Raw).expect("points")
    };
    golden.two_samples.into_iter().map(|case| (points(&case), case)).map(|(p, c)| (c, p)).collect()
}

fn close(name: &str, found: f64, expected: f64, scale: f64) {
    let far = (found - expected).abs() > 1e-12 * scale;
    assert!(!far, "{name}: {found:e}, not {expected:e}");
}

#[test]
fn mmd_equals_its_formula() {
    for (case, points) in cases() {
        // A difference of means of a kernel that is at most 1.
        let test = Mmd::new(1).replicates(9).test(&points).expect("a result");
        close(&case.name, test.sigma, case.sigma, case.sigma);
        close(&case.name, test.mmd2, case.mmd2, 1.0);
        let test = Mmd::new(1).replicates(9).sigma(0.7).test(&points).expect("a result");
        close(&case.name, test.mmd2, case.mmd2_at_sigma_0_7, 1.0);
        // A single block is all pairs, in whatever order.
        let blocked = Mmd::new(7).replicates(9).estimator(MmdEstimator::Blocked { points: 1000 });
        close(&case.name, blocked.test(&points).expect("a result").mmd2, case.mmd2, 1.0);
    }
}

#[test]
fn sliced_wasserstein_on_a_line_equals_scipys() {
    let mut compared = 0;
    for (case, points) in cases() {
        if let Some(expected) = case.wasserstein {
            let test = SlicedWasserstein::new(1).replicates(9).test(&points).expect("a result");
            close(&case.name, test.distance, expected, expected);
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn correlations_equal_numpys_and_scipys() {
    let mut compared = 0;
    for (case, points) in cases() {
        let kinds =
            [(Correlation::Pearson, &case.pearson), (Correlation::Spearman, &case.spearman)];
        for (correlation, expected) in kinds {
            let Some([x, y]) = expected else { continue };
            let change = CorrelationChange::new(1).replicates(9).correlation(correlation);
            for pair in change.test(&points).expect("a result").pairs {
                let place = |name: &str| name.parse::<usize>().expect("a place");
                let (a, b) = (place(&pair.first), place(&pair.second));
                close(&case.name, pair.reference, x[a][b], 1.0);
                close(&case.name, pair.current, y[a][b], 1.0);
                assert!(pair.interval.contains(pair.current - pair.reference));
                compared += 1;
            }
        }
    }
    assert!(compared > 20);
}
