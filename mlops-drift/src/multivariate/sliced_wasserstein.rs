//! The sliced Wasserstein distance: the mean distance of projections on random directions.

use std::fmt;

use mlops_core::stats::{Draws, Interval};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::multivariate::judged::{Evidence, Judged, VerdictRule, check_floor, test_options};
use crate::multivariate::permutation::{Permutations, Watch, upper_quantile};
use crate::multivariate::points::Points;

const STREAM: u32 = 0x4d56_0200;
const DIRECTIONS: u32 = 0x4d56_0201;
const BOOTSTRAP: u32 = 0x4d56_0202;

/// The two-sample permutation test by the sliced Wasserstein distance
/// `SW = mean over directions u of W₁(⟨u, x⟩, ⟨u, y⟩)`.
///
/// The directions are uniform on the sphere, drawn from the seed; of points with one coordinate the
/// distance is `W₁` itself (`scipy.stats.wasserstein_distance`). Each projection is sorted once:
/// `O(L N (log N + B))` for `L` directions, `N` points of both sides and `B` replicates, and 12
/// bytes for each point and direction. The p-value is `(k + 1)/(B + 1)` over permutations of the
/// labels: exact whatever the law.
///
/// The effect is `SW` along these directions, in standard deviations where the points are scaled so.
/// It is the norm of a difference of distribution functions, so by the triangle inequality it is off
/// by at most the norm of what sampling adds to that difference; the limits are `SW ± q` with `q`
/// the quantile of that norm in as many bootstrap replicates. The floor 0.1 is about an eighth of a
/// standard deviation in every coordinate, or a tenth of a single one.
///
/// ```
/// use mlops_core::ndarray::Array2;
/// use mlops_drift::multivariate::{Points, Scaling, SlicedWasserstein};
/// let x = Array2::from_shape_fn((50, 1), |(i, _)| i as f64);
/// let y = Array2::from_shape_fn((50, 1), |(i, _)| i as f64 + 20.0);
/// let points = Points::of_rows(x.view(), y.view(), &["x"], Scaling::Raw)?;
/// let test = SlicedWasserstein::new(1).test(&points)?;
/// assert!((test.distance - 20.0).abs() < 1e-12 && test.judged.p_value < 0.01);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # References
/// Rabin, Peyré, Delon & Bernot (2012), doi:10.1007/978-3-642-24785-9_37; Bonneel et al. (2015),
/// doi:10.1007/s10851-014-0506-3; Phipson & Smyth (2010), doi:10.2202/1544-6115.1585.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlicedWasserstein {
    seed: u64,
    replicates: u32,
    directions: u32,
    floor: f64,
    rule: VerdictRule,
}

test_options!(SlicedWasserstein);

impl SlicedWasserstein {
    /// The test with 64 directions and 499 permutations under this seed.
    pub fn new(seed: u64) -> Self {
        let rule = VerdictRule::default();
        Self { seed, replicates: 499, directions: 64, floor: 0.1, rule }
    }

    /// The same with so many directions.
    #[must_use]
    pub fn directions(mut self, directions: u32) -> Self {
        self.directions = directions;
        self
    }

    /// Tests two samples.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options that are none.
    pub fn test(&self, points: &Points) -> Result<SlicedWassersteinTest> {
        self.watched(points, Watch::none())
    }

    /// As [`test`](Self::test), watched.
    ///
    /// # Errors
    /// As [`test`](Self::test); [`Error::Cancelled`].
    pub fn watched(&self, points: &Points, watch: Watch<'_>) -> Result<SlicedWassersteinTest> {
        self.rule.check()?;
        check_floor(self.floor)?;
        if self.directions == 0 {
            return Err(Error::invalid("the directions", "at least 1", 0));
        }
        let (n, m) = (points.reference().points, points.current().points);
        let how = Permutations::new(self.seed, STREAM, self.replicates, n, m)?;
        // All directions on a line are one.
        let directions = if points.dimension() == 1 { 1 } else { self.directions as usize };
        let slices =
            watch.parts(directions, |i| Ok(Slice::of(points, &self.direction(points, i))))?;
        let distance_of = |steps: &[i64]| {
            let sum: f64 = slices.iter().map(|slice| slice.distance(steps)).sum();
            sum / (slices.len() as f64 * n as f64 * m as f64)
        };
        let step = |current: bool| if current { n as i64 } else { -(m as i64) };
        let steps_of = |labels: Vec<bool>| labels.into_iter().map(step).collect::<Vec<_>>();
        let distance = distance_of(&steps_of(how.own()));
        let permuted = watch.parts(how.replicates(), |replicate| {
            Ok(distance_of(&steps_of(how.labels(replicate))))
        })?;
        let deviations = watch.parts(how.replicates(), |replicate| {
            let mut draws = Draws::new(self.seed, BOOTSTRAP, replicate as u64);
            // How often a point is drawn more than once less: a difference of two samples.
            let mut steps: Vec<i64> = (0..n + m).map(|i| -step(i >= n)).collect();
            for (from, len) in [(0, n), (n, m)] {
                for _ in 0..len {
                    steps[from + draws.below(len as u64) as usize] += step(from > 0);
                }
            }
            Ok(distance_of(&steps))
        })?;
        let margin = upper_quantile(deviations, self.rule.confidence).unwrap_or(f64::INFINITY);
        let limits =
            Interval::new((distance - margin).max(0.0), distance + margin, self.rule.confidence);
        let evidence = Evidence {
            // Sums of up to so many terms, each rounded.
            p_value: Permutations::p_value(distance, &permuted, 0.0),
            replicates: self.replicates,
            effect: distance,
            interval: limits.ok(),
            floor: self.floor,
            rows: n.min(m) as u64,
        };
        Ok(SlicedWassersteinTest {
            distance,
            expected_from_noise: permuted.iter().sum::<f64>() / permuted.len() as f64,
            directions: directions as u32,
            n: n as u64,
            m: m as u64,
            judged: Judged::new(&self.rule, evidence),
        })
    }

    /// A direction, of length 1.
    fn direction(&self, points: &Points, index: usize) -> Vec<f64> {
        if points.dimension() == 1 {
            return vec![1.0];
        }
        let mut draws = Draws::new(self.seed, DIRECTIONS, index as u64);
        let mut direction: Vec<f64> = (0..points.dimension()).map(|_| draws.normal()).collect();
        let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        for x in &mut direction {
            *x /= norm;
        }
        direction
    }
}

/// The points along a direction.
struct Slice {
    /// Their numbers, by their place.
    order: Vec<u32>,
    /// How far the next one is.
    gaps: Vec<f64>,
}

impl Slice {
    fn of(points: &Points, direction: &[f64]) -> Self {
        let mut placed: Vec<(f64, u32)> = (0..points.len())
            .map(|i| {
                let place = points.point(i).iter().zip(direction).map(|(x, u)| x * u).sum::<f64>();
                (place, i as u32)
            })
            .collect();
        placed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let gaps = placed.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        Self { order: placed.into_iter().map(|(_, i)| i).collect(), gaps }
    }

    /// `Σ |F − G|·gap` of the function that climbs by these steps, in units of 1/(nm).
    fn distance(&self, steps: &[i64]) -> f64 {
        let mut height = 0_i64;
        self.order
            .iter()
            .zip(&self.gaps)
            .map(|(&i, gap)| {
                height += steps[i as usize];
                height.unsigned_abs() as f64 * gap
            })
            .sum()
    }
}

/// What [`SlicedWasserstein`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SlicedWassersteinTest {
    /// The distance of the samples, ≥ 0, in the unit of the points.
    pub distance: f64,
    /// The mean distance under permutation: what sampling alone gives.
    pub expected_from_noise: f64,
    /// Over how many directions the mean was taken.
    pub directions: u32,
    /// Points of the reference.
    pub n: u64,
    /// Current points.
    pub m: u64,
    /// The verdict; its effect is the distance.
    pub judged: Judged,
}

impl fmt::Display for SlicedWassersteinTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distance, expected_from_noise: noise, directions, n, m, judged } = self;
        write!(
            f,
            "sliced W1 {distance:.4} ({noise:.4} from noise alone; {directions} directions, {n} and \
             {m} points): {judged}"
        )
    }
}
