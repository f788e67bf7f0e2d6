//! The maximum mean discrepancy: how far apart two samples are for a Gaussian kernel.

use std::fmt;

use mlops_core::stats::{Draws, Interval, normal_quantile, student_t_quantile};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::multivariate::gram::{Labelled, bandwidth, gram_sums, kernel, squared_distance};
use crate::multivariate::judged::{Evidence, Judged, VerdictRule, check_floor, test_options};
use crate::multivariate::permutation::{Permutations, Watch};
use crate::multivariate::points::Points;

const STREAM: u32 = 0x4d56_0100;
const SHUFFLE: u32 = 0x4d56_0101;

/// Which estimator of the squared maximum mean discrepancy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MmdEstimator {
    /// [`Quadratic`](Self::Quadratic) up to [`Mmd::EXACT`] points of both sides together, else
    /// [`Blocked`](Self::Blocked) by that many.
    #[default]
    Auto,
    /// The unbiased U-statistic over all pairs: `O((n + m)²)` time; memory for a few rows of the
    /// kernel, never for all pairs.
    Quadratic,
    /// The mean of the U-statistic over blocks: `O((n + m)·points)` (Zaremba et al. 2013).
    Blocked {
        /// How many points of both sides together a block has, about.
        points: usize,
    },
    /// The mean over disjoint pairs of pairs: `O(n + m)` (Gretton et al. 2012, lemma 14); uses as
    /// many points of the larger side as the smaller has.
    Linear,
}

/// The kernel two-sample test by the maximum mean discrepancy (MMD) with
/// `k(x, y) = exp(−‖x − y‖² / (2σ²))`.
///
/// `MMD² = E k(x, x′) + E k(y, y′) − 2 E k(x, y)`, 0 where the two laws are one and only there; its
/// unbiased estimate may be below 0. `2σ²` is the median of the squared distances of the *pooled*
/// sample (exact up to [`Mmd::MEDIAN`] points, else of that many points at equal steps of the
/// pooled sample's own order). The p-value is `(k + 1)/(B + 1)` over permutations of the labels
/// (of signs for the linear estimator), each of which reuses the kernel rows: exact whatever the
/// law. alibi-detect's `MMDDrift`; its bandwidth comes from the reference alone, its p may be 0.
///
/// The effect is `MMD²`. Its lower limit is `MMD² − z √(V₁ + V₀)`: `V₁` the variance of the first
/// order, from each point's mean kernel to either side, `V₀` the variance under permutation, which
/// is what remains where the two laws are one. The upper limit is the largest `θ` with
/// `θ − MMD² ≤ z √(cθ + V₀)`: the variance grows with `θ`, by at most `c = 4λ(1/n + 1/m)` with `λ`
/// the largest eigenvalue of the kernel's covariance, which `√(V₀/2)/(1/n + 1/m)` bounds (the norm
/// of all of them). In simulations it is missed far less often than it may be. The floor 0.01 is an MMD of 0.1: about what moving
/// a single normal coordinate by a quarter of its standard deviation gives.
///
/// ```
/// use mlops_core::ndarray::Array2;
/// use mlops_core::Verdict;
/// use mlops_drift::multivariate::{Mmd, Points, Scaling};
/// // The same columns, each alone unchanged; only that they move together is new.
/// let spread = |i: usize| (i * 7919 % 101) as f64 / 50.5 - 1.0;
/// let apart = Array2::from_shape_fn((101, 2), |(i, j)| spread(i * (1 + 2 * j) + j));
/// let together = Array2::from_shape_fn((101, 2), |(i, _)| spread(i));
/// let points = Points::of_rows(apart.view(), together.view(), &["x", "y"], Scaling::Standard)?;
/// let test = Mmd::new(42).test(&points)?;
/// assert!(test.mmd2 > 0.01 && test.judged.p_value < 0.01);
/// assert_eq!(test.judged.verdict, Verdict::Fail);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # References
/// Gretton et al. (2012), A Kernel Two-Sample Test, JMLR 13; Zaremba, Gretton & Blaschko (2013),
/// B-tests, arXiv 1307.1954; Garreau, Jitkrittum & Kanagawa (2017), arXiv 1707.07269; Phipson &
/// Smyth (2010), doi:10.2202/1544-6115.1585.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mmd {
    seed: u64,
    replicates: u32,
    estimator: MmdEstimator,
    sigma: Option<f64>,
    floor: f64,
    rule: VerdictRule,
}

test_options!(Mmd);

impl Mmd {
    /// Points of both sides together up to which all pairs are used unless told otherwise.
    pub const EXACT: usize = 8_192;
    /// Points up to which the median of all distances is exact.
    pub const MEDIAN: usize = 1_024;

    /// The test with 499 permutations under this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            replicates: 499,
            estimator: MmdEstimator::Auto,
            sigma: None,
            floor: 0.01,
            rule: VerdictRule::default(),
        }
    }

    /// The same with this estimator.
    #[must_use]
    pub fn estimator(mut self, estimator: MmdEstimator) -> Self {
        self.estimator = estimator;
        self
    }

    /// The same with this σ instead of the median's.
    #[must_use]
    pub fn sigma(mut self, sigma: f64) -> Self {
        self.sigma = Some(sigma);
        self
    }

    /// Tests two samples.
    ///
    /// # Errors
    /// [`Error::Undefined`] if most distances are 0 and no σ was given, or the linear estimator
    /// lacks points (it needs 4 a side); [`Error::Invalid`] for options that are none.
    pub fn test(&self, points: &Points) -> Result<MmdTest> {
        self.watched(points, Watch::none())
    }

    /// As [`test`](Self::test), watched.
    ///
    /// # Errors
    /// As [`test`](Self::test); [`Error::Cancelled`].
    pub fn watched(&self, points: &Points, watch: Watch<'_>) -> Result<MmdTest> {
        self.rule.check()?;
        check_floor(self.floor)?;
        if self.replicates == 0 {
            return Err(Error::invalid("the permutations", "at least 1", 0));
        }
        let sigma = match self.sigma {
            Some(sigma) if sigma > 0.0 && sigma.is_finite() => sigma,
            Some(other) => return Err(Error::invalid("sigma", "a positive number", other)),
            None => bandwidth(points, Self::MEDIAN)?,
        };
        let gamma = 1.0 / (2.0 * sigma * sigma);
        if !(gamma > 0.0 && gamma.is_finite()) {
            let expected = "a number whose square is neither 0 nor infinite";
            return Err(Error::invalid("sigma", expected, sigma));
        }
        let found = match self.estimator {
            MmdEstimator::Auto if points.len() <= Self::EXACT => {
                self.blocks(points, gamma, 1, watch)
            }
            MmdEstimator::Auto => {
                self.blocks(points, gamma, points.len().div_ceil(Self::EXACT), watch)
            }
            MmdEstimator::Quadratic => self.blocks(points, gamma, 1, watch),
            MmdEstimator::Blocked { points: size } => {
                if size < 4 {
                    return Err(Error::invalid("points of a block", "at least 4", size));
                }
                self.blocks(points, gamma, points.len().div_ceil(size), watch)
            }
            MmdEstimator::Linear => self.linear(points, gamma, watch),
        }?;
        let (n, m) = (points.reference().points, points.current().points);
        let (low, high) = found.limits;
        let interval = Interval::new(low.max(0.0), high.max(0.0), self.rule.confidence);
        let evidence = Evidence {
            p_value: found.p_value,
            replicates: self.replicates,
            effect: found.mmd2,
            interval: interval.ok(),
            floor: self.floor,
            rows: n.min(m) as u64,
        };
        Ok(MmdTest {
            mmd2: found.mmd2,
            sigma,
            blocks: found.blocks,
            n: n as u64,
            m: m as u64,
            judged: Judged::new(&self.rule, evidence),
        })
    }

    /// The mean of the U-statistic over so many blocks at most, each with two points a side.
    fn blocks(
        &self,
        points: &Points,
        gamma: f64,
        blocks: usize,
        watch: Watch<'_>,
    ) -> Result<Found> {
        let (n, m) = (points.reference().points, points.current().points);
        let blocks = blocks.clamp(1, n.min(m) / 2);
        // A block is a sample of each side only in a random order: points come in their own.
        let order = |from: usize, len: usize, index| -> Vec<usize> {
            let mut draws = Draws::new(self.seed, SHUFFLE, index);
            draws.permutation(len).into_iter().map(|i| from + i).collect()
        };
        let (x, y) = (order(0, n, 0), order(n, m, 1));
        let mut observed = Vec::with_capacity(blocks);
        let mut permuted = vec![0.0; self.replicates as usize];
        let mut first_order = 0.0;
        for block in 0..blocks {
            let part = |side: &[usize]| {
                let at = |b: usize| (b as u128 * side.len() as u128 / blocks as u128) as usize;
                side[at(block)..at(block + 1)].to_vec()
            };
            let (a, b) = (part(&x), part(&y));
            let stream = STREAM.wrapping_add(2 + block as u32);
            let how = Permutations::new(self.seed, stream, self.replicates, a.len(), b.len())?;
            let rows: Vec<&[f64]> = a.iter().chain(&b).map(|&i| points.point(i)).collect();
            let sums = gram_sums(&rows, gamma, &how, watch)?;
            observed.push(sums.own.mmd2(a.len(), b.len()));
            for (sum, labelled) in permuted.iter_mut().zip(&sums.permuted) {
                *sum += labelled.mmd2(a.len(), b.len()) / blocks as f64;
            }
            first_order += sums.first_order_variance() / (blocks * blocks) as f64;
        }
        let mmd2 = observed.iter().sum::<f64>() / blocks as f64;
        let null = permuted.iter().map(|x| x * x).sum::<f64>() / permuted.len() as f64;
        let z = normal_quantile(0.5 + 0.5 * self.rule.confidence)?;
        // The larger root of (θ − MMD²)² = z² (cθ + V₀).
        let growth = 0.5 * z * z * (8.0 * null / blocks as f64).sqrt();
        let known = mmd2.max(0.0);
        let high = known + growth + (growth * (2.0 * known + growth) + z * z * null).sqrt();
        Ok(Found {
            mmd2,
            p_value: Permutations::p_value(mmd2, &permuted, 1e-12),
            limits: (mmd2 - z * (first_order + null).sqrt(), high),
            blocks: blocks as u64,
        })
    }

    fn linear(&self, points: &Points, gamma: f64, watch: Watch<'_>) -> Result<Found> {
        let (n, m) = (points.reference().points, points.current().points);
        let pairs = n.min(m) / 2;
        if pairs < 2 {
            let reason = format!("it needs 4 points a side, and has {n} and {m}");
            return Err(Error::undefined("the linear estimate of MMD²", reason));
        }
        let order = |from: usize, len: usize, index| -> Vec<usize> {
            let mut draws = Draws::new(self.seed, SHUFFLE, index);
            draws.permutation(len).into_iter().map(|i| from + i).collect()
        };
        let (x, y) = (order(0, n, 0), order(n, m, 1));
        let k =
            |i: usize, j: usize| kernel(gamma, squared_distance(points.point(i), points.point(j)));
        // Where nothing drifted, exchanging a pair's x and y turns the sign: signs are permuted.
        let h: Vec<f64> = x
            .chunks_exact(2)
            .zip(y.chunks_exact(2))
            .map(|(x, y)| k(x[0], x[1]) + k(y[0], y[1]) - k(x[0], y[1]) - k(x[1], y[0]))
            .collect();
        let count = h.len() as f64;
        let mean = h.iter().sum::<f64>() / count;
        let variance = h.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let permuted = watch.parts(self.replicates as usize, |replicate| {
            let mut draws = Draws::new(self.seed, STREAM, replicate as u64);
            let mut sum = 0.0;
            for chunk in h.chunks(64) {
                let mut signs = draws.next_u64();
                for x in chunk {
                    sum += if signs & 1 == 0 { *x } else { -x };
                    signs >>= 1;
                }
            }
            Ok(sum / count)
        })?;
        let t = student_t_quantile(0.5 + 0.5 * self.rule.confidence, count - 1.0)?;
        let margin = t * (variance / count).sqrt();
        Ok(Found {
            mmd2: mean,
            p_value: Permutations::p_value(mean, &permuted, 1e-12),
            limits: (mean - margin, mean + margin),
            blocks: h.len() as u64,
        })
    }
}

struct Found {
    mmd2: f64,
    p_value: f64,
    limits: (f64, f64),
    blocks: u64,
}

impl Labelled {
    /// The unbiased estimate; `inner` of each side counts each pair twice.
    fn mmd2(&self, n: usize, m: usize) -> f64 {
        let (n, m) = (n as f64, m as f64);
        self.reference / (n * (n - 1.0)) + self.current / (m * (m - 1.0))
            - 2.0 * self.between / (n * m)
    }
}

/// What [`Mmd`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MmdTest {
    /// The unbiased estimate of `MMD²`, at most 2; below 0 where the sides are alike.
    pub mmd2: f64,
    /// The kernel's σ.
    pub sigma: f64,
    /// Over how many blocks (pairs of pairs for the linear estimator) the mean was taken; 1: all
    /// pairs were used.
    pub blocks: u64,
    /// Points of the reference.
    pub n: u64,
    /// Current points.
    pub m: u64,
    /// The verdict; its effect is `MMD²`.
    pub judged: Judged,
}

impl fmt::Display for MmdTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mmd2, sigma, blocks, n, m, judged } = self;
        write!(f, "MMD² {mmd2:.6} (σ {sigma:.4}, {n} and {m} points")?;
        if *blocks > 1 {
            write!(f, " in {blocks} blocks")?;
        }
        write!(f, "): {judged}")
    }
}
