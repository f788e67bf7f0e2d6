//! The built-in classifier: ridge regression of the label on squares and products of ranks.

use mlops_core::{Error, Result};

use crate::multivariate::gram::dot;
use crate::multivariate::permutation::Watch;

/// Which terms a row is described by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    d: usize,
    squares: bool,
    products: bool,
}

impl Terms {
    /// The most terms: squares and products are left out where there would be more.
    pub(crate) const MOST: usize = 512;

    pub(crate) fn of(d: usize) -> Self {
        let products = d.saturating_mul(d + 3) / 2 <= Self::MOST;
        Self { d, squares: 2 * d <= Self::MOST, products }
    }

    fn len(self) -> usize {
        let products = if self.products { self.d * (self.d - 1) / 2 } else { 0 };
        self.d + if self.squares { self.d } else { 0 } + products
    }

    /// Appends the terms of a point of ranks in (−1, 1): of uniform ranks each has mean 0 and
    /// variance 1, and no two have a covariance.
    fn push(self, ranks: &[f64], out: &mut Vec<f64>) {
        out.extend(ranks.iter().map(|r| 3.0_f64.sqrt() * r));
        if self.squares {
            out.extend(ranks.iter().map(|r| 5.0_f64.sqrt() * (1.5 * r * r - 0.5)));
        }
        if self.products {
            for (i, a) in ranks.iter().enumerate() {
                out.extend(ranks[..i].iter().map(|b| 3.0 * a * b));
            }
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match (self.squares, self.products) {
            (_, true) => "ridge on ranks, squares and products",
            (true, false) => "ridge on ranks and squares",
            (false, false) => "ridge on ranks",
        }
    }
}

/// Ridge regressions of labels on the terms of points, one for each fold on the rows of the others.
///
/// What depends on the rows alone is factored once; a refit on other labels costs `O(N p)`.
pub(crate) struct Ridge {
    terms: Terms,
    x: Vec<f64>,
    /// The mean of each term.
    mean: Vec<f64>,
    fold_of: Vec<usize>,
    factors: Vec<Cholesky>,
}

impl Ridge {
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn new(
        ranks: &[f64],
        d: usize,
        fold_of: &[usize],
        folds: usize,
        watch: Watch<'_>,
    ) -> Result<Self> {
        let terms = Terms::of(d);
        let p = terms.len();
        let mut x = Vec::with_capacity(fold_of.len() * p);
        for point in ranks.chunks_exact(d) {
            terms.push(point, &mut x);
        }
        let n = fold_of.len() as f64;
        let mut mean = vec![0.0; p];
        for row in x.chunks_exact(p) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / n);
        }
        for row in x.chunks_exact_mut(p) {
            row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
        }
        let grams = watch.parts(folds, |fold| {
            let mut gram = vec![0.0; p * p];
            for (row, _) in x.chunks_exact(p).zip(fold_of).filter(|(_, of)| **of == fold) {
                for (i, a) in row.iter().enumerate() {
                    let sums = gram[i * p..=i * p + i].iter_mut();
                    sums.zip(row).for_each(|(sum, b)| *sum += a * b);
                }
            }
            Ok(gram)
        })?;
        let mut total = vec![0.0; p * p];
        for gram in &grams {
            total.iter_mut().zip(gram).for_each(|(sum, x)| *sum += x);
        }
        let factors = watch.parts(folds, |fold| {
            let mut rest: Vec<f64> = total.iter().zip(&grams[fold]).map(|(a, b)| a - b).collect();
            for i in 0..p {
                // As if all terms together explained as much of the label as noise does.
                rest[i * p + i] += p as f64;
            }
            Cholesky::of(rest, p)
        })?;
        Ok(Self { terms, x, mean, fold_of: fold_of.to_vec(), factors })
    }

    /// For each fold the coefficients of a regression of these numbers, one a row, on the rows of
    /// the other folds.
    pub(crate) fn fit(&self, y: &[f64]) -> Vec<Vec<f64>> {
        let p = self.terms.len();
        let mut parts = vec![vec![0.0; p]; self.factors.len()];
        for ((row, fold), y) in self.x.chunks_exact(p).zip(&self.fold_of).zip(y) {
            parts[*fold].iter_mut().zip(row).for_each(|(sum, x)| *sum += x * y);
        }
        let mut total = vec![0.0; p];
        for part in &parts {
            total.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        }
        let solved = parts.into_iter().zip(&self.factors).map(|(mut part, factor)| {
            part.iter_mut().zip(&total).for_each(|(part, total)| *part = total - *part);
            factor.solve(part)
        });
        solved.collect()
    }

    /// The score of each row by the coefficients of its fold.
    pub(crate) fn scores(&self, coefficients: &[Vec<f64>]) -> Vec<f64> {
        let rows = self.x.chunks_exact(self.terms.len()).zip(&self.fold_of);
        rows.map(|(row, fold)| dot(row, &coefficients[*fold])).collect()
    }

    /// The score of any point of ranks by these coefficients.
    pub(crate) fn score(&self, ranks: &[f64], coefficients: &[f64]) -> f64 {
        let mut row = Vec::with_capacity(self.terms.len());
        self.terms.push(ranks, &mut row);
        row.iter().zip(&self.mean).zip(coefficients).map(|((x, mean), c)| (x - mean) * c).sum()
    }

    pub(crate) fn describe(&self) -> &'static str {
        self.terms.describe()
    }
}

/// The lower factor of a positive definite matrix.
struct Cholesky {
    lower: Vec<f64>,
    n: usize,
}

impl Cholesky {
    fn of(mut a: Vec<f64>, n: usize) -> Result<Self> {
        for i in 0..n {
            let (above, row) = a.split_at_mut(i * n);
            for j in 0..=i {
                let known =
                    dot(&row[..j], if j < i { &above[j * n..j * n + j] } else { &row[..j] });
                let left = row[j] - known;
                if j < i {
                    row[j] = left / above[j * n + j];
                } else if left > 0.0 {
                    row[i] = left.sqrt();
                } else {
                    let reason = "its matrix is not positive definite";
                    return Err(Error::undefined("a ridge regression", reason));
                }
            }
        }
        Ok(Self { lower: a, n })
    }

    fn solve(&self, mut b: Vec<f64>) -> Vec<f64> {
        let row = |i: usize| &self.lower[i * self.n..=i * self.n + i];
        for i in 0..self.n {
            b[i] = (b[i] - dot(&row(i)[..i], &b[..i])) / row(i)[i];
        }
        for i in (0..self.n).rev() {
            b[i] /= row(i)[i];
            let solved = b[i];
            b[..i].iter_mut().zip(row(i)).for_each(|(b, l)| *b -= l * solved);
        }
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlops_core::stats::Draws;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_factor_solves(n in 1usize..10, seed in any::<u64>()) {
            let mut draws = Draws::new(seed, 0, 0);
            let f: Vec<f64> = (0..n * n).map(|_| draws.normal()).collect();
            let entry = |i: usize, j: usize| {
                dot(&f[i * n..(i + 1) * n], &f[j * n..(j + 1) * n]) + f64::from(u8::from(i == j))
            };
            let a: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
            let x: Vec<f64> = (0..n).map(|_| draws.normal()).collect();
            let b: Vec<f64> = (0..n).map(|i| dot(&a[i * n..(i + 1) * n], &x)).collect();
            let solved = Cholesky::of(a, n).unwrap().solve(b);
            for (x, y) in x.iter().zip(solved) {
                prop_assert!((x - y).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn each_fold_is_scored_by_the_others() {
        // The label is the sign of a product, which no single rank tells.
        let mut draws = Draws::new(1, 0, 0);
        let ranks: Vec<f64> = (0..400).map(|_| 2.0 * draws.uniform() - 1.0).collect();
        let y: Vec<f64> = ranks.chunks(2).map(|r| (r[0] * r[1]).signum()).collect();
        let folds: Vec<usize> = (0..200).map(|i| i % 4).collect();
        let ridge = Ridge::new(&ranks, 2, &folds, 4, Watch::none()).unwrap();
        let fits = ridge.fit(&y);
        let scores = ridge.scores(&fits);
        let right = scores.iter().zip(&y).filter(|(s, y)| *s * *y > 0.0).count();
        assert!(right > 180, "{right} of 200");
        for (i, point) in ranks.chunks(2).enumerate() {
            assert!((ridge.score(point, &fits[i % 4]) - scores[i]).abs() < 1e-12);
        }
        // Labels of a fold change the fits of the others alone.
        let mut other = y.clone();
        other.iter_mut().step_by(4).for_each(|y| *y = -*y);
        let again = ridge.fit(&other);
        assert!(fits[0].iter().zip(&again[0]).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(fits[1] != again[1]);
    }

    #[test]
    fn terms_are_bounded() {
        for d in [1, 2, 30, 31, 200, 256, 257, 768] {
            let mut row = Vec::new();
            Terms::of(d).push(&vec![0.5; d], &mut row);
            assert_eq!(row.len(), Terms::of(d).len());
            assert!(row.len() <= Terms::MOST.max(d), "{d}");
        }
    }
}
