//! Eigenvalues and eigenvectors of a symmetric matrix.

use mlops_core::{Error, Result};

use crate::multivariate::gram::dot;

/// The eigenvalues, largest first, and their vectors.
#[derive(Clone, Debug)]
pub(crate) struct Eigen {
    pub(crate) values: Vec<f64>,
    /// A vector of length 1 for each value; its entry of the largest magnitude is positive.
    pub(crate) vectors: Vec<Vec<f64>>,
}

/// The eigenvalues and eigenvectors of a symmetric `n × n` matrix, rows one after the other, of
/// which the lower half is read.
///
/// Householder's reflections make it tridiagonal, implicit QL steps with Wilkinson's shift diagonal
/// (Wilkinson & Reinsch 1971, II/2 and II/4): about `3n³` operations. `numpy.linalg.eigh`.
///
/// # Errors
/// [`Error::Undefined`] if a value does not settle, as where the matrix holds what is not finite.
pub(crate) fn symmetric_eigen(matrix: &[f64], n: usize) -> Result<Eigen> {
    let (mut diagonal, mut beside, mut vectors) = tridiagonal(matrix, n);
    for at in 0..n {
        settle(&mut diagonal, &mut beside, &mut vectors, at, n)?;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| diagonal[b].total_cmp(&diagonal[a]));
    let vectors = order.iter().map(|&i| {
        let mut vector = vectors[i * n..(i + 1) * n].to_vec();
        let largest =
            vector.iter().fold(0.0_f64, |most, x| if x.abs() > most.abs() { *x } else { most });
        if largest < 0.0 {
            for x in &mut vector {
                *x = -*x;
            }
        }
        vector
    });
    Ok(Eigen { vectors: vectors.collect(), values: order.iter().map(|&i| diagonal[i]).collect() })
}

/// The diagonal and the entries beside it of `Qᵀ A Q`, and the rows of `Qᵀ`.
fn tridiagonal(matrix: &[f64], n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut a: Vec<f64> =
        (0..n * n).map(|at| matrix[(at / n).max(at % n) * n + (at / n).min(at % n)]).collect();
    let mut beside = vec![0.0; n];
    let mut reflections: Vec<(f64, Vec<f64>)> = Vec::new();
    for k in 0..n.saturating_sub(2) {
        // The reflection that leaves of the column below the diagonal only its first entry.
        let mut v: Vec<f64> = (k + 1..n).map(|i| a[i * n + k]).collect();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if v[1..].iter().all(|x| *x == 0.0) || norm == 0.0 {
            beside[k] = v[0];
            reflections.push((0.0, v));
            continue;
        }
        let kept = if v[0] > 0.0 { -norm } else { norm };
        beside[k] = kept;
        v[0] -= kept;
        let beta = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
        let rest = |i: usize| (k + 1 + i) * n + k + 1;
        let mut w: Vec<f64> =
            (0..v.len()).map(|i| beta * dot(&a[rest(i)..rest(i) + v.len()], &v)).collect();
        let half = beta / 2.0 * dot(&v, &w);
        for (w, v) in w.iter_mut().zip(&v) {
            *w -= half * v;
        }
        for i in 0..v.len() {
            let row = &mut a[rest(i)..rest(i) + v.len()];
            for ((x, v_j), w_j) in row.iter_mut().zip(&v).zip(&w) {
                *x -= v[i] * w_j + w[i] * v_j;
            }
        }
        reflections.push((beta, v));
    }
    if n > 1 {
        beside[n - 2] = a[(n - 1) * n + n - 2];
    }
    let mut q = vec![0.0; n * n];
    for i in 0..n {
        q[i * n + i] = 1.0;
    }
    // Rows of Qᵀ are columns of Q: the reflections act on the coordinates of each row.
    for row in q.chunks_exact_mut(n.max(1)) {
        for (k, (beta, v)) in reflections.iter().enumerate().rev() {
            let part = &mut row[k + 1..];
            let along = beta * dot(part, v);
            for (x, v) in part.iter_mut().zip(v) {
                *x -= along * v;
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), beside, q)
}

/// QL steps until the entry beside this place of the diagonal is gone.
fn settle(d: &mut [f64], e: &mut [f64], rows: &mut [f64], at: usize, n: usize) -> Result<()> {
    const STEPS: usize = 60;
    for _ in 0..STEPS {
        let small = |i: &usize| e[*i].abs() <= f64::EPSILON * (d[*i].abs() + d[*i + 1].abs());
        let end = (at..n - 1).find(small).unwrap_or(n - 1);
        if end == at {
            return Ok(());
        }
        // Wilkinson's shift, from the two by two block at the top.
        let half = (d[at + 1] - d[at]) / (2.0 * e[at]);
        let root = half.hypot(1.0);
        let mut g = d[end] - d[at] + e[at] / (half + root.copysign(half));
        let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
        let mut split = false;
        for i in (at..end).rev() {
            let f = sine * e[i];
            let b = cosine * e[i];
            let r = f.hypot(g);
            e[i + 1] = r;
            if r == 0.0 {
                // The block falls in two.
                d[i + 1] -= shift;
                e[end] = 0.0;
                split = true;
                break;
            }
            (sine, cosine) = (f / r, g / r);
            g = d[i + 1] - shift;
            let turned = (d[i] - g) * sine + 2.0 * cosine * b;
            shift = sine * turned;
            d[i + 1] = g + shift;
            g = cosine * turned - b;
            let (upper, lower) = rows[i * n..(i + 2) * n].split_at_mut(n);
            for (x, y) in upper.iter_mut().zip(lower) {
                (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
            }
        }
        if !split {
            d[at] -= shift;
            e[at] = g;
            e[end] = 0.0;
        }
    }
    Err(Error::undefined("an eigenvalue", "the steps to it do not settle"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlops_core::stats::Draws;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn vectors_rebuild_the_matrix(n in 1usize..12, seed in any::<u64>(), rank in 1usize..12) {
            let mut draws = Draws::new(seed, 0, 0);
            // Of low rank, often: many equal eigenvalues, 0.
            let factors: Vec<f64> = (0..n * rank).map(|_| draws.normal().round()).collect();
            let entry = |i: usize, j: usize| {
                (0..rank).map(|k| factors[i * rank + k] * factors[j * rank + k]).sum::<f64>()
            };
            let a: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
            let scale = a.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
            let eigen = symmetric_eigen(&a, n).unwrap();
            prop_assert!(eigen.values.is_sorted_by(|a, b| a >= b));
            for i in 0..n {
                for j in 0..n {
                    let rebuilt: f64 = (0..n)
                        .map(|k| eigen.values[k] * eigen.vectors[k][i] * eigen.vectors[k][j])
                        .sum();
                    prop_assert!((rebuilt - a[i * n + j]).abs() < 1e-12 * scale * n as f64);
                    let product = dot(&eigen.vectors[i], &eigen.vectors[j]);
                    prop_assert!((product - f64::from(u8::from(i == j))).abs() < 1e-13 * n as f64);
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_does_not_settle() {
        assert!(symmetric_eigen(&[f64::NAN; 9], 3).is_err());
        assert!(symmetric_eigen(&[], 0).unwrap().values.is_empty());
    }
}
