//! The Wasserstein-1 distance: exact of two arrays, certified from counts at edges.

use std::fmt;

use arrow::array::{Array, Float64Array};
use mlops_core::states::Summary;
use mlops_core::stats::Interval;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::distance_law::{DistanceLaw, Stretch};
use crate::statistics::edge_counts::{EdgePair, Segment, larger, outward, p_between};
use crate::statistics::psi::checked_confidence;
use crate::statistics::two_samples::{Compensated, Runs};

/// What [`wasserstein_two_sample`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WassersteinTest {
    /// `W₁ = ∫ |F − G| dx`, in the values' unit: how far a value has to be moved on average to
    /// turn one sample into the other.
    pub statistic: f64,
    /// `W₁` in sample standard deviations of the reference; `None` where that is 0 or there is one
    /// value only.
    pub normalised: Option<f64>,
    /// P of a distance this large or larger where nothing drifted, from the law's moments; `None`
    /// where the distance hangs on a few values far out, and the law does not hold.
    pub p_value: Option<f64>,
    /// The values of the reference that were compared.
    pub n: u64,
    /// The current values that were compared.
    pub m: u64,
}

impl fmt::Display for WassersteinTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W1 = {:.4}", self.statistic)?;
        if let Some(normalised) = self.normalised {
            write!(f, " ({normalised:.4} sd)")?;
        }
        if let Some(p) = self.p_value {
            write!(f, ", p = {p:.3e}")?;
        }
        write!(f, ", n = {}, m = {}", self.n, self.m)
    }
}

/// The Wasserstein-1 (earth mover's) distance of two arrays; nulls are left out.
///
/// `scipy.stats.wasserstein_distance`; `normalised` is what Evidently calls the normed Wasserstein
/// distance, but for the divisor `n − 1`. `O((n + m) log(n + m))`.
///
/// Where nothing drifted, `W₁` is the integral of a Brownian bridge's absolute value; its mean is
/// known, its variance is bounded, and the p-value is that of a shifted gamma law with them. In
/// the body it is right to some tenths of a point; beyond 10⁻³ it tells the order of magnitude.
/// Where one gap between values has over a fifth of the mean (tails as those of lognormal(3)), it is
/// `None`: use a test of ranks there.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// let reference = Float64Array::from(vec![0.0, 1.0, 3.0]);
/// let current = Float64Array::from(vec![5.0, 6.0, 8.0]);
/// let test = mlops_drift::statistics::wasserstein_two_sample(&reference, &current)?;
/// assert_eq!(test.statistic, 5.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with no values, NaN or infinities, and for values so far apart
/// that their distance is no number.
///
/// # References
/// Vallender (1974), doi:10.1137/1118101; Anderson (1955),
/// doi:10.1090/S0002-9939-1955-0069229-1.
pub fn wasserstein_two_sample(
    reference: &Float64Array,
    current: &Float64Array,
) -> Result<WassersteinTest> {
    let runs = Runs::finite("wasserstein", reference, current)?;
    let product = runs.product();
    let distance: Compensated = runs
        .crosses()
        .zip(runs.gaps())
        .map(|((_, cross), gap)| cross.abs() / product * gap)
        .collect();
    let statistic = finite(distance.value())?;
    let law = DistanceLaw::null(runs.stretches(), runs.n, runs.m);
    let mut summary = Summary::default();
    if reference.null_count() == 0 {
        summary = Summary::of(reference.values());
    } else {
        let values: Vec<f64> = reference.iter().flatten().collect();
        summary.moments = Summary::of(&values).moments;
    }
    Ok(WassersteinTest {
        statistic,
        normalised: summary.std().filter(|sd| *sd > 0.0).map(|sd| statistic / sd),
        p_value: law.absolute_sf(statistic)?,
        n: runs.n,
        m: runs.m,
    })
}

/// What [`wasserstein_from_counts`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WassersteinBounds {
    /// The exact `W₁` of the two samples lies in here. Certain, not a confidence interval.
    pub statistic: (f64, f64),
    /// The same in standard deviations of the reference, where these are known and not 0.
    pub normalised: Option<(f64, f64)>,
    /// The p-value of [`wasserstein_two_sample`] at both ends, with the law's moments from the
    /// middles of the cells; `p_value.1` belongs to `statistic.0`. All of [0, 1] where that law does
    /// not hold.
    pub p_value: (f64, f64),
    /// Confidence limits of the distance of the two populations.
    pub interval: Interval,
    /// The limits in standard deviations of the reference, which are taken as a unit: their own
    /// sampling error is not in the limits.
    pub normalised_interval: Option<Interval>,
}

impl fmt::Display for WassersteinBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.statistic;
        write!(f, "W1 in [{low:.4}, {high:.4}], {} of the populations", self.interval)
    }
}

/// The Wasserstein-1 distance from counts at edges, with limits of the populations' distance.
///
/// In an open cell `(a, b)` the distance of the two distribution functions is certainly at least
/// `max(0, F(a) − G(b−), G(a) − F(b−))` and at most `max(F(b−) − G(a), G(b−) − F(a))`. Where both
/// means are known their difference is `∫ (F − G)`, so that `W₁ = Δ + 2 ∫ (F − G)⁻ = −Δ + 2 ∫ (F −
/// G)⁺`, which narrows the interval further: after a mere shift `W₁` is exact.
///
/// The confidence limits do not resample. The error of `W₁` is at most `R = ∫ |B|`, the integral
/// of the sampling error of `F − G`, by the triangle inequality; the lower limit is `W₁ − q(R)` with
/// the quantile of a law that bounds `R`'s (see [`wasserstein_two_sample`]). Upwards `W₁` of samples
/// is too large on average (Jensen), and the limit is `W₁ + z √v` with the delta method's variance `v`,
/// which on average is not too small (Poincaré's inequality). Both hold for large samples from
/// distributions with a variance, and are wide rather than narrow: in 600 simulations each of normal
/// and exponential samples of 100 to 1,000 rows, shifted, scaled or the same, the distance was below the
/// limits at 0.95 in at most 2 % and above them in at most 1.5 % (`tests/calibration_order.rs`).
///
/// `O(cells)`.
///
/// ```
/// use mlops_drift::statistics::{EdgeCounts, EdgePair, wasserstein_from_counts};
/// let edges = [0.0, 1.0, 2.0];
/// let pair = EdgePair::new(
///     EdgeCounts::new(&edges, &[0, 300, 0, 400, 0, 300, 0]),
///     EdgeCounts::new(&edges, &[0, 100, 0, 400, 100, 400, 0]),
/// )?;
/// let w1 = wasserstein_from_counts(&pair, 0.95)?;
/// // 0.2 up to 1, and between 0.1 and 0.2 beyond: 100 rows stand somewhere in (1, 2).
/// assert!((w1.statistic.0 - 0.3).abs() < 1e-12 && (w1.statistic.1 - 0.4).abs() < 1e-12);
/// assert!(w1.interval.low > 0.1);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] where rows lie beyond the edges and their range is not known;
/// [`Error::Invalid`] for a confidence outside (0, 1).
///
/// # References
/// Vallender (1974), doi:10.1137/1118101; Anderson (1955),
/// doi:10.1090/S0002-9939-1955-0069229-1.
pub fn wasserstein_from_counts(pair: &EdgePair<'_>, confidence: f64) -> Result<WassersteinBounds> {
    let confidence = checked_confidence(confidence)?;
    let segments = pair.segments()?;
    let (low, high) = enclose(pair, segments)?;
    let laws = pair.laws()?;
    let z = DistanceLaw::z(confidence)?;
    let interval =
        Interval::new((low - laws.error.upper(z)).max(0.0), high + z * laws.potential, confidence)?;
    let unit = pair.reference.std.filter(|sd| *sd > 0.0 && sd.is_finite());
    Ok(WassersteinBounds {
        statistic: (low, high),
        normalised: unit.map(|sd| outward(low / sd, high / sd, 1)),
        p_value: p_between(
            laws.absolute_sf(high)?.unwrap_or(0.0),
            laws.absolute_sf(low)?.unwrap_or(1.0),
        ),
        interval,
        normalised_interval: unit
            .map(|sd| Interval::new(interval.low / sd, interval.high / sd, confidence))
            .transpose()?,
    })
}

fn enclose(pair: &EdgePair<'_>, segments: &[Segment]) -> Result<(f64, f64)> {
    let product = pair.product();
    let (mut low, mut high) = (0.0, 0.0);
    // Of the parts where F is above G, and where it is below.
    let (mut above, mut below) = ((0.0, 0.0), (0.0, 0.0));
    for s in segments {
        let (l, h) = (s.low * s.length, s.high * s.length);
        low += larger(larger(l, -h), 0.0);
        high += larger(h, -l);
        above = (above.0 + larger(l, 0.0), above.1 + larger(h, 0.0));
        below = (below.0 + larger(-h, 0.0), below.1 + larger(-l, 0.0));
    }
    let steps = segments.len();
    let scaled = |(low, high): (f64, f64)| outward(low / product, high / product, steps);
    let (mut low, mut high) = scaled((low, high));
    if low < high
        && let (Some(x), Some(y)) = (pair.reference.mean, pair.current.mean)
    {
        let (above, below) = (scaled(above), scaled(below));
        // ∫ (F − G) is the difference of the means, each of which is rounded.
        let (shift, off) = (y - x, 4.0 * f64::EPSILON * (x.abs() + y.abs()));
        low = low.max(shift + 2.0 * below.0 - off).max(2.0 * above.0 - shift - off);
        high = high.min(shift + 2.0 * below.1 + off).min(2.0 * above.1 - shift + off);
        // They enclose the same number; only means that are not those of the counts cross.
        if low > high {
            return Err(Error::invalid("means of counts", "those of the rows counted", shift));
        }
    }
    Ok((finite(low)?, finite(high)?))
}

pub(crate) fn finite(distance: f64) -> Result<f64> {
    if distance.is_finite() {
        Ok(distance)
    } else {
        Err(Error::undefined("a distance", "the values are too far apart for a number"))
    }
}

impl EdgePair<'_> {
    /// Both distribution functions in the middle of what they can be, over every segment.
    pub(crate) fn stretches<'s>(
        &self,
        segments: &'s [Segment],
    ) -> impl Iterator<Item = Stretch> + Clone + use<'s> {
        let (n, m) = (1.0 / self.n() as f64, 1.0 / self.m() as f64);
        segments.iter().map(move |s| Stretch { length: s.length, f: s.f * n, g: s.g * m })
    }
}

impl Runs {
    /// The distance from every value to the next.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.all.windows(2).map(|pair| pair[1].value - pair[0].value)
    }

    /// The axis between neighbouring values.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Stretch> + Clone + '_ {
        let (n, m) = (1.0 / self.n as f64, 1.0 / self.m as f64);
        let (mut f, mut g) = (0u64, 0u64);
        self.all.iter().zip(self.gaps()).map(move |(run, length)| {
            (f, g) = (f + run.r, g + run.c);
            Stretch { length, f: f as f64 * n, g: g as f64 * m }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::edge_counts::EdgeCounts;

    #[test]
    fn a_shift_is_exact_by_its_means() {
        let edges = [10.0, 20.0];
        let x: Vec<f64> = (0..30).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| x + 8.0).collect();
        let count = |values: &[f64]| {
            let mut counts = vec![0u64; 5];
            for v in values {
                let below = edges.iter().filter(|e| *e < v).count();
                counts[if edges.contains(v) { 2 * below + 1 } else { 2 * below }] += 1;
            }
            counts
        };
        let (r, c) = (count(&x), count(&y));
        let (x, y) = (Float64Array::from(x), Float64Array::from(y));
        let reference = EdgeCounts::new(&edges, &r).with_summary(&Summary::of(x.values()));
        let current = EdgeCounts::new(&edges, &c).with_summary(&Summary::of(y.values()));
        let pair = EdgePair::new(reference, current).expect("a pair");
        let bounds = wasserstein_from_counts(&pair, 0.95).expect("bounds");
        let exact = wasserstein_two_sample(&x, &y).expect("a test");
        assert_eq!(exact.statistic, 8.0);
        // From below exactly; from above as far as the cells leave it open which way it is.
        assert!((bounds.statistic.0 - 8.0).abs() < 1e-12, "{bounds:?}");
        assert!(bounds.statistic.1 >= 8.0 && bounds.statistic.1 < 16.0, "{bounds:?}");
        assert!(bounds.interval.contains(8.0));
        let wrong = EdgeCounts { mean: Some(1e6), ..current };
        let pair = EdgePair::new(reference, wrong).expect("a pair");
        assert!(wasserstein_from_counts(&pair, 0.95).is_err());
    }

    #[test]
    fn the_unit_of_the_values_is_no_matter() {
        let of = |scale: f64, shift: i32| {
            Float64Array::from_iter_values((0..40).map(|i| f64::from(2 * i + shift) * scale))
        };
        let p = |scale: f64| {
            let (x, y) = (of(scale, 0), of(scale, 7));
            let w1 = wasserstein_two_sample(&x, &y).expect("a test");
            let energy = crate::statistics::energy_two_sample(&x, &y).expect("a test");
            assert_eq!(w1.statistic, 7.0 * scale);
            (w1.p_value, energy.p_value)
        };
        let plain = p(1.0);
        assert!(plain.0.is_some_and(|p| (0.2..0.3).contains(&p)) && plain.1 > 0.3);
        // Squares and cubes of such distances are beyond floats.
        for exponent in [-1000, -600, -300, 300, 600, 1000] {
            assert_eq!(p(2.0f64.powi(exponent)), plain, "{exponent}");
        }
    }

    #[test]
    fn what_has_no_distance_is_an_error() {
        let far = Float64Array::from(vec![-1.7e308]);
        let infinite = Float64Array::from(vec![0.0, f64::INFINITY]);
        let one = Float64Array::from(vec![1.0]);
        let other = Float64Array::from(vec![1.7e308]);
        assert!(wasserstein_two_sample(&far, &other).is_err());
        assert!(wasserstein_two_sample(&infinite, &one).is_err());
        let same = wasserstein_two_sample(&one, &one).expect("a test");
        assert_eq!((same.statistic, same.normalised, same.p_value), (0.0, None, Some(1.0)));
    }
}
