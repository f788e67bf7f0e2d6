//! The sampling laws of distances that are integrals of `F − G` over the axis.

use mlops_core::Result;
use mlops_core::stats::{chi_square_sf, normal_quantile};

/// A stretch of the axis with the two empirical distribution functions on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) length: f64,
    pub(crate) f: f64,
    pub(crate) g: f64,
}

/// A law known by three moments, as a shifted gamma law (Pearson's type III).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ThreeMoments {
    pub(crate) mean: f64,
    /// The standard deviation: the variance of very large or small values is beyond floats.
    pub(crate) spread: f64,
    pub(crate) skewness: f64,
}

impl ThreeMoments {
    /// P of a value this large or larger. A law without spread is at its mean for certain.
    pub(crate) fn sf(&self, x: f64) -> Result<f64> {
        if self.spread <= 0.0 {
            return Ok(if x > self.mean { 0.0 } else { 1.0 });
        }
        let shape = 4.0 / (self.skewness * self.skewness);
        let gamma = shape + shape.sqrt() * ((x - self.mean) / self.spread);
        if gamma <= 0.0 { Ok(1.0) } else { chi_square_sf(2.0 * gamma, 2.0 * shape) }
    }

    /// The value that is exceeded with the probability with which a standard normal number exceeds
    /// `z`, by Wilson and Hilferty's cube (1931), for a skewness of at most some 1.5.
    pub(crate) fn upper(&self, z: f64) -> f64 {
        let shape = 4.0 / (self.skewness * self.skewness);
        let ninth = 1.0 / (9.0 * shape);
        let gamma = shape * (1.0 - ninth + z * ninth.sqrt()).max(0.0).powi(3);
        self.mean + self.spread * (gamma - shape) / shape.sqrt()
    }
}

/// What the error process `B` of `F − G` does to integrals over the axis, in one pass: a Brownian
/// bridge of a distribution `P` times `ν`.
///
/// As a *null* law it is that of the permutations: `P` is the pooled sample and
/// `ν = (1/n + 1/m) N/(N − 1)`. As the law of the *error* of any two distributions it is a bound:
/// `B` has the covariance `K_F/n + K_G/m` with `K_F(x, y) = F(x)(1 − F(y))` for `x ≤ y`, and an
/// independent part makes it that of the bridge of `P = (m F + n G)/(n + m)` at `ν = 1/n + 1/m`; by
/// Anderson's inequality (1955) norms of `B` are stochastically below those of the bridge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DistanceLaw {
    /// Of `∫ |B|`: exact in its mean, a bound of its variance.
    pub(crate) absolute: ThreeMoments,
    /// Of `∫ B²`: exact in three moments.
    pub(crate) square: ThreeMoments,
    /// The share of the mean of `∫ |B|` that the largest stretch with few rows beyond it has.
    pub(crate) largest: f64,
    /// The delta method's standard deviation of `∫ |F − G|`: that of the mean of the Kantorovich potential
    /// `φ(x) = ∫ sign(F − G)` over both samples.
    pub(crate) potential: f64,
}

impl DistanceLaw {
    /// The skewness of `∫ |B|` of a bridge on [0, 1], above that of other distributions.
    const SKEWNESS: f64 = 1.3;
    /// Where the smaller sample expects fewer rows than this beyond a stretch, F − G is not normal.
    const FEW: f64 = 5.0;
    /// Such a stretch that has more than this of the mean decides alone. Of a normal sample the largest
    /// has 5 % at 30 values and less of more; of a lognormal(3) one it has half.
    const LARGEST: f64 = 0.2;

    /// The law where nothing drifted, of samples of `n` and `m` values.
    pub(crate) fn null(stretches: impl Iterator<Item = Stretch> + Clone, n: u64, m: u64) -> Self {
        let (n, m) = (n as f64, m as f64);
        let all = n + m;
        Self::of(stretches, (n, m), n / all, (1.0 / n + 1.0 / m) * all / (all - 1.0))
    }

    /// A bound of the law of the error, whatever the two distributions are.
    pub(crate) fn error(stretches: impl Iterator<Item = Stretch> + Clone, n: u64, m: u64) -> Self {
        let (n, m) = (n as f64, m as f64);
        Self::of(stretches, (n, m), m / (n + m), 1.0 / n + 1.0 / m)
    }

    fn of(
        stretches: impl Iterator<Item = Stretch> + Clone,
        (n, m): (f64, f64),
        weight: f64,
        noise: f64,
    ) -> Self {
        use std::f64::consts::PI;
        // In a unit near the longest stretch cubes of lengths neither overflow nor vanish; a power of
        // two changes no other bit.
        let longest = stretches.clone().map(|s| s.length).fold(0.0, f64::max);
        let unit = f64::from_bits(longest.to_bits() & f64::INFINITY.to_bits());
        let unit = if longest.is_finite() { unit.max(f64::MIN_POSITIVE) } else { 1.0 };
        let (mut mean, mut mean_square) = (0.0, 0.0);
        let (mut largest, few) = (0.0f64, n.min(m));
        // Running integrals up to here of the factors of x in ∫∫_{x<y} and ∫∫∫_{x<y<z}.
        let (mut a, mut variance) = (0.0, 0.0);
        let (mut squares, mut pairs) = (0.0, 0.0);
        let (mut variance_square, mut third) = (0.0, 0.0);
        let (mut signed_f, mut signed_g, mut potential_f, mut potential_g) = (0.0, 0.0, 0.0, 0.0);
        for Stretch { length, f, g } in stretches {
            let length = length / unit;
            let p = weight * f + (1.0 - weight) * g;
            let q = 1.0 - p;
            let both = (p * q).max(0.0);
            let root = both.sqrt();
            mean += root * length;
            if p.min(q) * few < Self::FEW {
                largest = largest.max(root * length);
            }
            mean_square += both * length;
            if root > 0.0 {
                // K²/√(K K) falls into p^1.5 q^-0.5 of the smaller and its mirror of the larger;
                // half of a stretch lies before its own middle.
                let step = p * p / root * length;
                variance += q * q / root * length * (a + 0.5 * step);
                a += step;
            }
            let step = p * p * length;
            let before = squares + 0.5 * step;
            variance_square += q * q * length * before;
            // Of three points of one stretch a sixth are in order.
            third += q * q * length * (pairs + both * length * (0.5 * squares + step / 6.0));
            pairs += both * length * before;
            squares += step;

            let sign = if f > g {
                1.0
            } else if f < g {
                -1.0
            } else {
                0.0
            };
            let along = |running: &mut f64, total: &mut f64, f: f64| {
                let step = sign * f * length;
                *total += sign * (1.0 - f) * length * (*running + 0.5 * step);
                *running += step;
            };
            along(&mut signed_f, &mut potential_f, f);
            along(&mut signed_g, &mut potential_g, g);
        }
        let variance_square = 4.0 * noise * noise * variance_square;
        let third = 48.0 * noise.powi(3) * third;
        let skewness = if variance_square > 0.0 { third / variance_square.powf(1.5) } else { 1.0 };
        Self {
            absolute: ThreeMoments {
                mean: (2.0 / PI * noise).sqrt() * mean * unit,
                // E|XY| of two normal numbers with correlation ρ is at most 2/π + (1 − 2/π) ρ²
                // times their deviations.
                spread: ((1.0 - 2.0 / PI) * 2.0 * noise * variance).sqrt() * unit,
                skewness: Self::SKEWNESS,
            },
            square: ThreeMoments {
                mean: noise * mean_square * unit,
                spread: variance_square.sqrt() * unit,
                // A square of normal numbers has at most that of a single one.
                skewness: skewness.clamp(1e-3, 8.0f64.sqrt()),
            },
            largest: if mean > 0.0 { largest / mean } else { 0.0 },
            potential: (2.0 * (potential_f / n + potential_g / m).max(0.0)).sqrt() * unit,
        }
    }

    /// P of `∫ |B|` this large or larger; `None` where it hangs on a few values far out.
    pub(crate) fn absolute_sf(&self, x: f64) -> Result<Option<f64>> {
        if self.largest > Self::LARGEST { Ok(None) } else { self.absolute.sf(x).map(Some) }
    }

    /// `z` of a two-sided confidence.
    pub(crate) fn z(confidence: f64) -> Result<f64> {
        normal_quantile(0.5 + 0.5 * confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a uniform distribution the integrals are known: ∫√(x(1−x)) = π/8, the Cramér–von Mises
    /// limit has mean 1/6, variance 1/45 and third cumulant 8/945.
    #[test]
    fn a_bridge_has_its_moments() {
        let k = 20_000;
        let stretches = (0..k).map(|i| {
            let p = (f64::from(i) + 0.5) / f64::from(k);
            Stretch { length: 1.0 / f64::from(k), f: p, g: p }
        });
        let law = DistanceLaw::error(stretches, 2, 2);
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-4, "{a} {b}");
        close(law.absolute.mean, (2.0 / std::f64::consts::PI).sqrt() * std::f64::consts::PI / 8.0);
        close(law.square.mean, 1.0 / 6.0);
        close(law.square.spread.powi(2), 1.0 / 45.0);
        close(law.square.skewness, 8.0 / 945.0 * 45.0f64.powf(1.5));
        // 7/60 − π/32, and a bound that is near it.
        let variance = 7.0 / 60.0 - std::f64::consts::PI / 32.0;
        let bound = law.absolute.spread.powi(2);
        assert!(bound > variance && bound < 1.1 * variance);
        assert_eq!(law.potential, 0.0);
        // Its 5 % points: 0.46136, and 0.5821 of the absolute one by simulation.
        assert!((law.square.sf(0.46136).expect("p") - 0.05).abs() < 0.002);
        assert!((law.absolute.sf(0.5821).expect("p") - 0.05).abs() < 0.006);
        for (z, p) in [(1.6448536269514722, 0.05), (2.3263478740408408, 0.01)] {
            let quantile = law.absolute.upper(z);
            assert!((law.absolute.sf(quantile).expect("p") / p - 1.0).abs() < 0.05, "{p}");
        }
    }

    /// Of a single stretch `∫ B²` is a multiple of one χ² with one degree of freedom; of two apart it
    /// is their weighted sum, here with the eigenvalues of `[[pq, …], …]` written out.
    #[test]
    fn few_stretches_have_their_moments() {
        let stretch = |p: f64, length: f64| Stretch { length, f: p, g: p };
        let one = DistanceLaw::error([stretch(0.3, 2.0)].into_iter(), 2, 2).square;
        assert!((one.skewness - 8f64.sqrt()).abs() < 1e-12);
        // p = ⅓ and ⅔, lengths 1: K = [[2, 1], [1, 2]]/9, eigenvalues 3/9 and 1/9.
        let two = [stretch(1.0 / 3.0, 1.0), stretch(2.0 / 3.0, 1.0)];
        let two = DistanceLaw::error(two.into_iter(), 2, 2).square;
        let power = |k: i32| (1f64 / 3.0).powi(k) + (1f64 / 9.0).powi(k);
        assert!((two.mean - power(1)).abs() < 1e-12);
        assert!((two.spread.powi(2) - 2.0 * power(2)).abs() < 1e-12);
        assert!((two.skewness - 8.0 * power(3) / (2.0 * power(2)).powf(1.5)).abs() < 1e-12);
    }

    #[test]
    fn no_spread_is_certain() {
        let law = DistanceLaw::null(std::iter::empty(), 3, 4);
        assert_eq!(law.absolute.sf(0.0).expect("p"), 1.0);
        assert_eq!(law.square.sf(0.0).expect("p"), 1.0);
        assert_eq!(law.absolute.upper(2.0), 0.0);
    }

    #[test]
    fn the_potential_of_a_shift_is_the_variance_of_the_values() {
        // F is uniform on [0, 1], G at 5: F > G all the way, φ(x) = x.
        let k = 1000;
        let stretches = (0..k)
            .map(|i| Stretch {
                length: 1.0 / f64::from(k),
                f: (f64::from(i) + 0.5) / f64::from(k),
                g: 0.0,
            })
            .chain([Stretch { length: 4.0, f: 1.0, g: 0.0 }]);
        let law = DistanceLaw::error(stretches, 10, 10);
        assert!((law.potential.powi(2) * 10.0 - 1.0 / 12.0).abs() < 1e-6);
    }
}
