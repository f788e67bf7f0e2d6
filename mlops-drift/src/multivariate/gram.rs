//! Sums over a kernel matrix that is never held: row by row, each used for all permutations.

use mlops_core::{Error, Result};

use crate::multivariate::encoding::median;
use crate::multivariate::permutation::{Permutations, Watch};
use crate::multivariate::points::Points;

/// Rows of the kernel that are held at once by a thread.
const TILE: usize = 32;

pub(crate) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// The Gaussian kernel of a squared distance.
pub(crate) fn kernel(gamma: f64, squared: f64) -> f64 {
    (-gamma * squared).exp()
}

/// σ with `2σ²` the median of the squared distances of the pooled points, or of `most` of them at
/// equal steps of their own order, so that it does not depend on who is on which side.
pub(crate) fn bandwidth(points: &Points, most: usize) -> Result<f64> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        let mut orders = points.point(a).iter().zip(points.point(b)).map(|(a, b)| a.total_cmp(b));
        orders.find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    let all = order.len();
    let used: Vec<usize> =
        if all <= most { order } else { (0..most).map(|i| order[i * all / most]).collect() };
    let mut squares = Vec::with_capacity(used.len() * (used.len() - 1) / 2);
    for (i, &a) in used.iter().enumerate() {
        squares
            .extend(used[..i].iter().map(|&b| squared_distance(points.point(a), points.point(b))));
    }
    match median(squares) {
        Some(square) if square > 0.0 && square.is_finite() => Ok((square / 2.0).sqrt()),
        found => Err(Error::undefined(
            "the median of the distances as a bandwidth",
            format!("it is {}: give a sigma", found.unwrap_or(f64::NAN)),
        )),
    }
}

/// Sums of the kernel over ordered pairs of different points, by the sides of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Labelled {
    pub(crate) reference: f64,
    pub(crate) current: f64,
    /// Over pairs of one of each side, each once.
    pub(crate) between: f64,
}

/// The sums under the points' own labels, and under each permutation of them.
#[derive(Clone, Debug)]
pub(crate) struct GramSums {
    pub(crate) own: Labelled,
    pub(crate) permuted: Vec<Labelled>,
    /// Each point's sums over the others of the reference and over the other current ones.
    by_side: Vec<[f64; 2]>,
    n: usize,
    m: usize,
}

/// What a tile of kernel rows adds.
struct Tile {
    by_side: Vec<[f64; 2]>,
    /// Under each labelling, the sum over pairs of current points with the first in the tile.
    current: Vec<f64>,
}

/// Sums the Gaussian kernel of all pairs of these points, of which the first `n` are the
/// reference's: `O(N²·(dimension + B/4))` for `B` permutations, memory for 32 kernel rows a thread
/// and a bit for each permutation and point.
pub(crate) fn gram_sums(
    points: &[&[f64]],
    gamma: f64,
    permutations: &Permutations,
    watch: Watch<'_>,
) -> Result<GramSums> {
    let (n, m) = (permutations.n, permutations.m);
    let all = points.len();
    let d = points.first().map_or(0, |p| p.len());
    // By coordinate, so that the distances of one point to all run side by side.
    let by_coordinate: Vec<f64> =
        (0..d).flat_map(|f| points.iter().map(move |point| point[f])).collect();
    let labels: Vec<Vec<u64>> = std::iter::once(bits(&permutations.own()))
        .chain((0..permutations.replicates()).map(|r| bits(&permutations.labels(r))))
        .collect();
    let tiles = watch.parts(all.div_ceil(TILE), |tile| {
        let rows = tile * TILE..all.min((tile + 1) * TILE);
        let mut held = vec![0.0; rows.len() * all];
        let mut by_side = Vec::with_capacity(rows.len());
        for (row, out) in rows.clone().zip(held.chunks_exact_mut(all)) {
            for (&x, column) in points[row].iter().zip(by_coordinate.chunks_exact(all)) {
                for (sum, y) in out.iter_mut().zip(column) {
                    *sum += (x - y) * (x - y);
                }
            }
            for square in out.iter_mut() {
                *square = kernel(gamma, *square);
            }
            out[row] = 0.0;
            by_side.push([sum(&out[..n]), sum(&out[n..])]);
        }
        let mut weights = vec![0.0; all];
        let current = labels.iter().map(|bits| {
            spread(bits, &mut weights);
            let mut total = 0.0;
            for (row, kernel) in rows.clone().zip(held.chunks_exact(all)) {
                if weights[row] != 0.0 {
                    total += dot(&kernel[row + 1..], &weights[row + 1..]);
                }
            }
            total
        });
        Ok(Tile { current: current.collect(), by_side })
    })?;
    // Tiles are added in their order, whoever made them.
    let mut inner = vec![0.0; labels.len()];
    let mut by_side = Vec::with_capacity(all);
    for tile in tiles {
        inner.iter_mut().zip(&tile.current).for_each(|(sum, x)| *sum += x);
        by_side.extend(tile.by_side);
    }
    let total: f64 = by_side.iter().map(|[x, y]| x + y).sum();
    let labelled = labels.iter().zip(&inner).map(|(bits, inner)| {
        let of_current: f64 = by_side
            .iter()
            .enumerate()
            .filter(|(i, _)| bits[i / 64] >> (i % 64) & 1 == 1)
            .map(|(_, [x, y])| x + y)
            .sum();
        let current = 2.0 * inner;
        let between = of_current - current;
        Labelled { reference: total - current - 2.0 * between, current, between }
    });
    let mut labelled = labelled.collect::<Vec<_>>().into_iter();
    let own = labelled.next().unwrap_or_default();
    Ok(GramSums { own, permuted: labelled.collect(), by_side, n, m })
}

impl GramSums {
    /// The variance of the unbiased estimate of MMD² to the first order:
    /// `4 Var(E k(x, x′) − E k(x, y))/n` and the same of the other side.
    pub(crate) fn first_order_variance(&self) -> f64 {
        let (n, m) = (self.n as f64, self.m as f64);
        let part = |points: &[[f64; 2]], own: usize, others: [f64; 2]| {
            let witness: Vec<f64> = points
                .iter()
                .map(|sums| sums[own] / others[own] - sums[1 - own] / others[1 - own])
                .collect();
            let count = witness.len() as f64;
            let mean = witness.iter().sum::<f64>() / count;
            let squares = witness.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
            4.0 * squares / (count - 1.0) / count
        };
        let (x, y) = self.by_side.split_at(self.n);
        part(x, 0, [n - 1.0, m]) + part(y, 1, [n, m - 1.0])
    }
}

fn bits(labels: &[bool]) -> Vec<u64> {
    let word = |chunk: &[bool]| {
        chunk.iter().enumerate().fold(0, |word, (i, &label)| word | u64::from(label) << i)
    };
    labels.chunks(64).map(word).collect()
}

fn spread(bits: &[u64], weights: &mut [f64]) {
    for (chunk, &word) in weights.chunks_mut(64).zip(bits) {
        for (i, weight) in chunk.iter_mut().enumerate() {
            *weight = (word >> i & 1) as f64;
        }
    }
}

/// Eight sums side by side, so that the compiler can use lanes.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in xs.zip(ys) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f64>() + rest
}

fn sum(x: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = x.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().sum();
    for x in chunks {
        lanes.iter_mut().zip(x).for_each(|(lane, x)| *lane += x);
    }
    lanes.iter().sum::<f64>() + rest
}
