//! The energy distance: exact of two arrays, certified from counts at edges.

use std::fmt;

use arrow::array::Float64Array;
use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::statistics::distance_law::DistanceLaw;
use crate::statistics::edge_counts::{EdgePair, larger, outward, p_between};
use crate::statistics::two_samples::{Compensated, Runs};
use crate::statistics::wasserstein::finite;

/// What [`energy_two_sample`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnergyTest {
    /// The energy distance `√(2 ∫ (F − G)² dx)`, in roots of the values' unit.
    pub distance: f64,
    /// The test statistic `nm/(n + m) · distance²`, in the values' unit.
    pub statistic: f64,
    /// P of a statistic this large or larger where nothing drifted, from the law's first three
    /// moments.
    pub p_value: f64,
    /// The values of the reference that were compared.
    pub n: u64,
    /// The current values that were compared.
    pub m: u64,
}

impl fmt::Display for EnergyTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distance, p_value, n, m, .. } = self;
        write!(f, "energy distance = {distance:.4}, p = {p_value:.3e}, n = {n}, m = {m}")
    }
}

/// The energy distance of two arrays; nulls are left out.
///
/// `distance` is `scipy.stats.energy_distance`, the root of `2 E|X − Y| − E|X − X′| − E|Y − Y′|`;
/// `statistic` that of Székely and Rizzo. `O((n + m) log(n + m))`, where the sum over all pairs
/// takes `O(n m)`.
///
/// Where nothing drifted, `∫ (F − G)²` is a sum of squares of normal numbers whose mean, variance
/// and skewness follow from the pooled sample; the p-value is that of the shifted gamma law with
/// the same. In simulations of the limit it is within a tenth of the true one down to
/// 0.01, within a half at 10⁻³, and of its order of magnitude beyond. A side of fewer than 30 values among
/// which most are equal is not normal: up to 9 % were rejected at 5 % and 4 % at 0.5 %.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// let reference = Float64Array::from(vec![0.0, 8.0]);
/// let current = Float64Array::from(vec![0.0, 8.0, 0.0, 0.0]);
/// let test = mlops_drift::statistics::energy_two_sample(&reference, &current)?;
/// assert!((test.distance - 1.0).abs() < 1e-15); // √(2 · 8 · 0.25²)
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a side with no values, NaN or infinities, and
/// for values so far apart that their distance is no number.
///
/// # References
/// Székely & Rizzo (2013), doi:10.1016/j.jspi.2013.03.018; Cramér (1928).
pub fn energy_two_sample(reference: &Float64Array, current: &Float64Array) -> Result<EnergyTest> {
    let runs = Runs::finite("energy distance", reference, current)?;
    let product = runs.product();
    let square: Compensated = runs
        .crosses()
        .zip(runs.gaps())
        .map(|((_, cross), gap)| (cross / product) * (cross / product) * gap)
        .collect();
    let square = finite(square.value())?;
    let law = DistanceLaw::null(runs.stretches(), runs.n, runs.m).square;
    let (n, m) = (runs.n, runs.m);
    Ok(EnergyTest {
        distance: (2.0 * square).sqrt(),
        statistic: 2.0 * square * scale(n, m),
        p_value: law.sf(square)?,
        n,
        m,
    })
}

/// `nm/(n + m)`.
fn scale(n: u64, m: u64) -> f64 {
    let (n, m) = (n as f64, m as f64);
    n / (n + m) * m
}

/// What [`energy_from_counts`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnergyBounds {
    /// The exact energy distance of the two samples lies in here. Certain, not a confidence
    /// interval.
    pub distance: (f64, f64),
    /// The test statistic `nm/(n + m) · distance²`, likewise.
    pub statistic: (f64, f64),
    /// The p-value of [`energy_two_sample`] at both ends, with the law's moments from the middles
    /// of the cells; `p_value.1` belongs to `statistic.0`.
    pub p_value: (f64, f64),
}

/// The energy distance from counts at edges: an interval that certainly holds it.
///
/// In an open cell `F − G` lies between `F(a) − G(b−)` and `F(b−) − G(a)`, and its square between
/// the squares. `O(cells)`.
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) where rows lie beyond the edges and their range is
/// not known.
///
/// # References
/// Székely & Rizzo (2013), doi:10.1016/j.jspi.2013.03.018.
pub fn energy_from_counts(pair: &EdgePair<'_>) -> Result<EnergyBounds> {
    let segments = pair.segments()?;
    let inverse = 1.0 / pair.product();
    let (mut low, mut high) = (0.0, 0.0);
    for s in segments {
        let (l, h) = (s.low * inverse, s.high * inverse);
        let (least, most) = (larger(larger(l, -h), 0.0), larger(h, -l));
        low += least * least * s.length;
        high += most * most * s.length;
    }
    let (low, high) = outward(low, high, segments.len());
    let (low, high) = (finite(low)?, finite(high)?);
    let law = pair.laws()?.square;
    let scale = scale(pair.n(), pair.m());
    Ok(EnergyBounds {
        distance: ((2.0 * low).sqrt(), (2.0 * high).sqrt()),
        statistic: (2.0 * low * scale, 2.0 * high * scale),
        p_value: p_between(law.sf(high)?, law.sf(low)?),
    })
}
