//! What several tests compute on the way, against numpy and scikit-learn; the golden values are
//! made by `tests/golden/make_multivariate.py`.

use std::sync::Arc;

use mlops_core::model::to_batch;
use mlops_core::ndarray::Array2;
use mlops_core::{MemorySource, Rows, Scan};
use serde::Deserialize;

use crate::multivariate::eigen::symmetric_eigen;
use crate::multivariate::encoding::Encoding;
use crate::multivariate::gram::{bandwidth, gram_sums};
use crate::multivariate::pca_reconstruction::components;
use crate::multivariate::permutation::{Permutations, Watch};
use crate::multivariate::points::{Points, Scaling};
use crate::multivariate::reconstruct::Subspace;
use crate::multivariate::ridge::Ridge;
use crate::multivariate::row_sample::RowSample;
use crate::multivariate::space::{CrossMoments, Space};

type Matrix = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Golden {
    eigen: Vec<EigenCase>,
    pca: Vec<PcaCase>,
    two_samples: Vec<TwoSamples>,
    ridge: RidgeCase,
}

#[derive(Deserialize)]
struct EigenCase {
    name: String,
    n: usize,
    matrix: Matrix,
    values: Vec<f64>,
    vectors: Matrix,
}

#[derive(Deserialize)]
struct PcaCase {
    name: String,
    explained: f64,
    reference: Matrix,
    current: Matrix,
    mean: Vec<f64>,
    scale: Vec<f64>,
    components: Matrix,
    ratio: Vec<f64>,
    errors: Vec<f64>,
}

#[derive(Deserialize)]
struct TwoSamples {
    name: String,
    reference: Matrix,
    current: Matrix,
    sigma: f64,
    first_order_variance: f64,
}

#[derive(Deserialize)]
struct RidgeCase {
    ranks: Matrix,
    labels: Vec<f64>,
    folds: Vec<usize>,
    scores: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/golden/multivariate.json")).unwrap()
}

fn matrix(rows: &Matrix) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn close(name: &str, found: f64, expected: f64, scale: f64) {
    let far = (found - expected).abs() > 1e-12 * scale;
    assert!(!far, "{name}: {found:e}, not {expected:e}");
}

/// The same direction, whichever its sign.
fn along(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let product: f64 = found.iter().zip(expected).map(|(a, b)| a * b).sum();
    let sign = product.signum();
    for (a, b) in found.iter().zip(expected) {
        assert!((a - sign * b).abs() < tolerance, "{name}: {found:?}, not {expected:?}");
    }
}

#[test]
fn eigenvectors_equal_numpys() {
    for case in golden().eigen {
        let eigen = symmetric_eigen(&case.matrix.concat(), case.n).unwrap();
        let scale = case.values.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
        for (found, expected) in eigen.values.iter().zip(&case.values) {
            close(&case.name, *found, *expected, scale);
        }
        let gaps = case.values.windows(2).map(|pair| pair[0] - pair[1]);
        let gap = gaps.fold(scale, f64::min);
        for (found, expected) in eigen.vectors.iter().zip(&case.vectors) {
            along(&case.name, found, expected, (1e-13 * scale / gap).max(1e-12));
        }
    }
}

#[test]
fn components_and_errors_equal_scikit_learns() {
    for case in golden().pca {
        let names: Vec<String> = (0..case.mean.len()).map(|i| format!("x{i}")).collect();
        let batch = to_batch(matrix(&case.reference).view(), &names).unwrap();
        let source = MemorySource::from(batch.clone());
        let sample = RowSample::of(batch.schema_ref(), 1).unwrap().with_cap(50).unwrap();
        let mut space = Space::of(Encoding::default(), &sample.draw(&source).unwrap(), 1);
        let moments = Scan::new(&source).run(&CrossMoments(Arc::new(space.clone()))).unwrap();
        let (components, ratio) = components(&mut space, moments, case.explained).unwrap();
        for f in 0..names.len() {
            close(&case.name, space.centre[f], case.mean[f], case.mean[f].abs());
            close(&case.name, space.scale[f], case.scale[f], case.scale[f] * 10.0);
        }
        assert_eq!(components.len(), case.components.len(), "{}", case.name);
        for (found, expected) in ratio.iter().zip(&case.ratio) {
            // Its means of the numbers around 10⁶ are rounded to 10⁻¹⁰.
            assert!((found - expected).abs() < 1e-10, "{}: {found}, not {expected}", case.name);
        }
        for (found, expected) in components.iter().zip(&case.components) {
            along(&case.name, found, expected, 1e-8);
        }
        let subspace = Subspace { space, components, cap: 10 };
        let current = to_batch(matrix(&case.current).view(), &names).unwrap();
        let mut points = subspace.space.points(&Rows::new(&current)).unwrap();
        subspace.leave_residuals(&mut points);
        for (found, expected) in subspace.errors(&points).iter().zip(&case.errors) {
            assert!((found - expected).abs() < 1e-8 * expected.max(1.0), "{}", case.name);
        }
    }
}

#[test]
fn bandwidth_and_variance_equal_numpys() {
    for case in golden().two_samples {
        let names: Vec<String> = (0..case.reference[0].len()).map(|i| format!("x{i}")).collect();
        let (x, y) = (matrix(&case.reference), matrix(&case.current));
        let points = Points::of_rows(x.view(), y.view(), &names, Scaling::Raw).unwrap();
        let sigma = bandwidth(&points, 1000).unwrap();
        close(&case.name, sigma, case.sigma, sigma);
        let rows: Vec<&[f64]> = (0..points.len()).map(|i| points.point(i)).collect();
        let how = Permutations::new(1, 2, 3, x.nrows(), y.nrows()).unwrap();
        let gamma = 0.5 / (sigma * sigma);
        let sums = gram_sums(&rows, gamma, &how, Watch::none()).unwrap();
        let variance = sums.first_order_variance();
        close(&case.name, variance, case.first_order_variance, variance * 100.0);
        // A permutation by its definition.
        let labels = how.labels(1);
        let mut current = 0.0;
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate().filter(|(j, _)| *j != i) {
                if labels[i] && labels[j] {
                    let square: f64 = a.iter().zip(*b).map(|(a, b)| (a - b).powi(2)).sum();
                    current += (-gamma * square).exp();
                }
            }
        }
        close(&case.name, sums.permuted[1].current, current, current);
        assert_eq!(labels.iter().filter(|l| **l).count(), y.nrows());
    }
}

#[test]
fn ridge_scores_equal_numpys() {
    let case = golden().ridge;
    let d = case.ranks[0].len();
    let folds = case.folds.iter().max().unwrap() + 1;
    let ranks = case.ranks.concat();
    let ridge = Ridge::new(&ranks, d, &case.folds, folds, Watch::none()).unwrap();
    let mean = case.labels.iter().sum::<f64>() / case.labels.len() as f64;
    let y: Vec<f64> = case.labels.iter().map(|l| l - mean).collect();
    for (found, expected) in ridge.scores(&ridge.fit(&y)).iter().zip(&case.scores) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }
}
