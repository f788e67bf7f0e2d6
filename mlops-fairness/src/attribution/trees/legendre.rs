//! The nodes of exact integration.

use std::f64::consts::PI;

/// A place in `[0, 1]` and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct QuadratureNode {
    pub(super) t: f64,
    pub(super) weight: f64,
}

/// Gauss–Legendre quadrature on `[0, 1]`: with `n` nodes, exact for polynomials of degree below
/// `2n`. All weights are positive.
pub(super) fn gauss_legendre(n: usize) -> Vec<QuadratureNode> {
    let mut nodes = vec![QuadratureNode { t: 0.5, weight: 1.0 }; n];
    // The roots lie symmetrically about 0.
    for i in 0..n.div_ceil(2) {
        let mut x = (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        if 2 * i + 1 == n {
            x = 0.0;
        }
        let mut derivative = 1.0;
        // Newton's steps double the digits; the guess has three or more.
        for _ in 0..8 {
            let (p, d) = legendre(n, x);
            derivative = d;
            let step = p / d;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        let weight = 1.0 / ((1.0 - x) * (1.0 + x) * derivative * derivative);
        nodes[i] = QuadratureNode { t: 0.5 * (1.0 - x), weight };
        nodes[n - 1 - i] = QuadratureNode { t: 0.5 * (1.0 + x), weight };
    }
    // A constant must come out as itself.
    let sum: f64 = nodes.iter().map(|node| node.weight).sum();
    for node in &mut nodes {
        node.weight /= sum;
    }
    nodes
}

/// The Legendre polynomial of this degree, and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut p) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, p) = (p, ((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k);
    }
    (p, n as f64 * (x * p - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monomials_are_integrated_exactly_up_to_the_degree_and_no_further() {
        for n in (1..=12).chain([33, 64, 256]) {
            let nodes = gauss_legendre(n);
            assert!(nodes.iter().all(|q| q.t > 0.0 && q.t < 1.0 && q.weight > 0.0));
            assert!(nodes.is_sorted_by(|a, b| a.t < b.t));
            let integral =
                |degree: i32| -> f64 { nodes.iter().map(|q| q.weight * q.t.powi(degree)).sum() };
            for degree in 0..2 * n as i32 {
                let error = integral(degree) * f64::from(degree + 1) - 1.0;
                assert!(error.abs() < 2e-14 * (n as f64).max(4.0), "{n} {degree}: {error}");
            }
            if n < 8 {
                let degree = 2 * n as i32;
                assert!((integral(degree) * f64::from(degree + 1) - 1.0).abs() > 1e-9);
            }
        }
    }
}
