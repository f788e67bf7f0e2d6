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

    fn of(
        stretches: impl Iterator<Item = Stretch> + Clone,
        (n, m): (f64, f64),
        weight: f64,
        noise: f64,
    ) -> Self {
        let unit = unit(stretches.clone());
        let (mut absolute, mut square) = (Absolute::default(), Square::default());
        let mut far = Far::of(n, m);
        for Stretch { length, f, g } in stretches {
            let length = length / unit;
            let p = weight * f + (1.0 - weight) * g;
            let both = absolute.add(p, length);
            far.add(p, both.sqrt() * length);
            square.add(p, both, length);
        }
        Self {
            absolute: absolute.law(noise, unit),
            square: square.law(noise, unit),
            largest: far.share(&absolute),
        }
    }

    /// The law where nothing drifted, and a bound of that of the error whatever the two distributions
    /// are, in one pass.
    pub(crate) fn both(stretches: impl Iterator<Item = Stretch> + Clone, n: u64, m: u64) -> Laws {
        let (n, m) = (n as f64, m as f64);
        let all = n + m;
        let unit = unit(stretches.clone());
        let scale = 1.0 / unit;
        let (mut null, mut error) = (Absolute::default(), Absolute::default());
        let (mut square, mut far, mut potential) =
            (Square::default(), Far::of(n, m), Potential::default());
        let weight = n / all;
        for Stretch { length, f, g } in stretches {
            let length = length * scale;
            let p = weight * f + (1.0 - weight) * g;
            let both = null.add(p, length);
            far.add(p, both.sqrt() * length);
            square.add(p, both, length);
            error.add((1.0 - weight) * f + weight * g, length);
            potential.add(f, g, length);
        }
        let noise = 1.0 / n + 1.0 / m;
        let of_null = noise * all / (all - 1.0);
        Laws {
            largest: far.share(&null),
            null: null.law(of_null, unit),
            square: square.law(of_null, unit),
            error: error.law(noise, unit),
            potential: potential.deviation(n, m) * unit,
        }
    }

    /// P of `∫ |B|` this large or larger; `None` where it hangs on a few values far out.
    pub(crate) fn absolute_sf(&self, x: f64) -> Result<Option<f64>> {
        sf_unless(self.largest, &self.absolute, x)
    }

    /// `z` of a two-sided confidence.
    pub(crate) fn z(confidence: f64) -> Result<f64> {
        normal_quantile(0.5 + 0.5 * confidence)
    }
}

/// What [`DistanceLaw::both`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Laws {
    null: ThreeMoments,
    largest: f64,
    /// Of `∫ B²` where nothing drifted.
    pub(crate) square: ThreeMoments,
    /// A bound of the law of `∫ |B|` of the error.
    pub(crate) error: ThreeMoments,
    /// The delta method's standard deviation of `∫ |F − G|`: that of the mean of the Kantorovich
    /// potential `φ(x) = ∫ sign(F − G)` over both samples.
    pub(crate) potential: f64,
}

impl Laws {
    /// P of `∫ |B|` this large or larger where nothing drifted; `None` where it hangs on a few values
    /// far out.
    pub(crate) fn absolute_sf(&self, x: f64) -> Result<Option<f64>> {
        sf_unless(self.largest, &self.null, x)
    }
}

fn sf_unless(largest: f64, law: &ThreeMoments, x: f64) -> Result<Option<f64>> {
    if largest > DistanceLaw::LARGEST { Ok(None) } else { law.sf(x).map(Some) }
}

/// In a unit near the longest stretch cubes of lengths neither overflow nor vanish; a power of two
/// changes no other bit.
fn unit(stretches: impl Iterator<Item = Stretch>) -> f64 {
    let longest = stretches.map(|s| s.length).fold(0.0, |a, b| if b > a { b } else { a });
    let unit = f64::from_bits(longest.to_bits() & f64::INFINITY.to_bits());
    // Between the numbers whose inverse is one, too.
    if longest.is_finite() { unit.clamp(f64::MIN_POSITIVE, 1.0 / f64::MIN_POSITIVE) } else { 1.0 }
}

/// Of `∫ |B|` so far.
#[derive(Clone, Copy, Debug, Default)]
struct Absolute {
    mean: f64,
    /// The running integral of the factor of x in `∫∫_{x<y}`.
    before: f64,
    variance: f64,
}

impl Absolute {
    /// Adds a stretch and hands back `P (1 − P)`.
    fn add(&mut self, p: f64, length: f64) -> f64 {
        let q = 1.0 - p;
        let both = if p * q > 0.0 { p * q } else { 0.0 };
        let root = both.sqrt();
        self.mean += root * length;
        if root > 0.0 {
            // K²/√(K K) falls into p^1.5 q^-0.5 of the smaller and its mirror of the larger;
            // half of a stretch lies before its own middle.
            let over = length / root;
            let step = p * p * over;
            self.variance += q * q * over * (self.before + 0.5 * step);
            self.before += step;
        }
        both
    }

    fn law(&self, noise: f64, unit: f64) -> ThreeMoments {
        const OF_ONE: f64 = 2.0 / std::f64::consts::PI;
        ThreeMoments {
            mean: (OF_ONE * noise).sqrt() * self.mean * unit,
            // E|XY| of two normal numbers with correlation ρ is at most 2/π + (1 − 2/π) ρ²
            // times their deviations.
            spread: ((1.0 - OF_ONE) * 2.0 * noise * self.variance).sqrt() * unit,
            skewness: DistanceLaw::SKEWNESS,
        }
    }
}

/// The largest stretch so far with few rows beyond it.
#[derive(Clone, Copy, Debug)]
struct Far {
    rows: f64,
    largest: f64,
}

impl Far {
    fn of(n: f64, m: f64) -> Self {
        Self { rows: n.min(m), largest: 0.0 }
    }

    fn add(&mut self, p: f64, mean: f64) {
        let beyond = if p < 0.5 { p } else { 1.0 - p };
        if beyond * self.rows < DistanceLaw::FEW && mean > self.largest {
            self.largest = mean;
        }
    }

    fn share(&self, of: &Absolute) -> f64 {
        if of.mean > 0.0 { self.largest / of.mean } else { 0.0 }
    }
}

/// Of `∫ B²` so far.
#[derive(Clone, Copy, Debug, Default)]
struct Square {
    mean: f64,
    /// Running integrals of the factors of x in `∫∫_{x<y}`, and of x and y in `∫∫∫_{x<y<z}`.
    before: f64,
    pairs: f64,
    variance: f64,
    third: f64,
}

impl Square {
    fn add(&mut self, p: f64, both: f64, length: f64) {
        let q = 1.0 - p;
        self.mean += both * length;
        let step = p * p * length;
        let before = self.before + 0.5 * step;
        self.variance += q * q * length * before;
        // Of three points of one stretch a sixth are in order.
        let third = 0.5 * self.before + step * (1.0 / 6.0);
        self.third += q * q * length * (self.pairs + both * length * third);
        self.pairs += both * length * before;
        self.before += step;
    }

    fn law(&self, noise: f64, unit: f64) -> ThreeMoments {
        let variance = 4.0 * noise * noise * self.variance;
        let third = 48.0 * noise.powi(3) * self.third;
        let skewness = if variance > 0.0 { third / variance.powf(1.5) } else { 1.0 };
        ThreeMoments {
            mean: noise * self.mean * unit,
            spread: variance.sqrt() * unit,
            // A square of normal numbers has at most that of a single one.
            skewness: skewness.clamp(1e-3, 8.0f64.sqrt()),
        }
    }
}

/// Of the Kantorovich potential so far: running integrals and half the variances over both samples.
#[derive(Clone, Copy, Debug, Default)]
struct Potential {
    running: [f64; 2],
    variance: [f64; 2],
}

impl Potential {
    fn add(&mut self, f: f64, g: f64, length: f64) {
        let sign = f64::from(i8::from(f > g) - i8::from(f < g));
        let length = sign * length;
        for (side, f) in [f, g].into_iter().enumerate() {
            let step = f * length;
            self.variance[side] += (1.0 - f) * length * (self.running[side] + 0.5 * step);
            self.running[side] += step;
        }
    }

    fn deviation(&self, n: f64, m: f64) -> f64 {
        (2.0 * (self.variance[0] / n + self.variance[1] / m).max(0.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_noise_one(stretches: impl Iterator<Item = Stretch> + Clone) -> DistanceLaw {
        DistanceLaw::of(stretches, (2.0, 2.0), 0.5, 1.0)
    }

    /// Both laws in one pass are those of each by itself.
    #[test]
    fn both_laws_are_the_two() {
        let stretches = (1..200).map(|i| {
            let p = f64::from(i) / 200.0;
            Stretch { length: 0.25 + (p * 7.0).sin().abs(), f: p, g: p * p }
        });
        let (n, m) = (300, 70);
        let laws = DistanceLaw::both(stretches.clone(), n, m);
        let null = DistanceLaw::null(stretches.clone(), n, m);
        let (x, y) = (n as f64, m as f64);
        let noise = 1.0 / x + 1.0 / y;
        let error = DistanceLaw::of(stretches, (x, y), y / (x + y), noise).absolute;
        for (a, b) in [(laws.null, null.absolute), (laws.square, null.square), (laws.error, error)]
        {
            let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-13, "{a} {b}");
            close(a.mean, b.mean);
            close(a.spread, b.spread);
            close(a.skewness, b.skewness);
        }
        assert_eq!(laws.largest, null.largest);
    }

    /// Of a uniform distribution the integrals are known: ∫√(x(1−x)) = π/8, the Cramér–von Mises
    /// limit has mean 1/6, variance 1/45 and third cumulant 8/945.
    #[test]
    fn a_bridge_has_its_moments() {
        let k = 20_000;
        let stretches = (0..k).map(|i| {
            let p = (f64::from(i) + 0.5) / f64::from(k);
            Stretch { length: 1.0 / f64::from(k), f: p, g: p }
        });
        let law = with_noise_one(stretches.clone());
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-4, "{a} {b}");
        close(law.absolute.mean, (2.0 / std::f64::consts::PI).sqrt() * std::f64::consts::PI / 8.0);
        close(law.square.mean, 1.0 / 6.0);
        close(law.square.spread.powi(2), 1.0 / 45.0);
        close(law.square.skewness, 8.0 / 945.0 * 45.0f64.powf(1.5));
        // 7/60 − π/32, and a bound that is near it.
        let variance = 7.0 / 60.0 - std::f64::consts::PI / 32.0;
        let bound = law.absolute.spread.powi(2);
        assert!(bound > variance && bound < 1.1 * variance);
        assert_eq!(DistanceLaw::both(stretches, 2, 2).potential, 0.0);
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
        let one = with_noise_one([stretch(0.3, 2.0)].into_iter()).square;
        assert!((one.skewness - 8f64.sqrt()).abs() < 1e-12);
        // p = ⅓ and ⅔, lengths 1: K = [[2, 1], [1, 2]]/9, eigenvalues 3/9 and 1/9.
        let two = [stretch(1.0 / 3.0, 1.0), stretch(2.0 / 3.0, 1.0)];
        let two = with_noise_one(two.into_iter()).square;
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
        let law = DistanceLaw::both(stretches, 10, 10);
        assert!((law.potential.powi(2) * 10.0 - 1.0 / 12.0).abs() < 1e-6);
    }
}
