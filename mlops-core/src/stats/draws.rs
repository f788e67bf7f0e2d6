//! Random draws by counter: the same at any thread count, because no draw depends on another.

use super::tails::{binomial_pmf, wichura};
use crate::{Error, Result};

/// Draws of one place: a seed, a stream and an index in it (a row, a replicate).
///
/// Philox 4×32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405) keyed by the seed, with the
/// index, the stream and the number of the draw as its counter. Two places never share a draw, and
/// whoever draws for a place, on whatever thread, gets the same values. A place has 2³³ draws.
///
/// ```
/// use mlops_core::stats::Draws;
/// let mut replicate = Draws::new(7, 0, 12);
/// let again = Draws::new(7, 0, 12).next_u64();
/// assert_eq!(replicate.next_u64(), again);
/// assert_ne!(Draws::new(7, 0, 13).next_u64(), again);
/// assert!((0.0..1.0).contains(&replicate.uniform()));
/// ```
#[derive(Clone, Debug)]
pub struct Draws {
    key: [u32; 2],
    stream: u32,
    index: [u32; 2],
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Draws {
    /// The draws of this index of this stream under this seed. Give each use of randomness in one
    /// program a stream of its own.
    pub fn new(seed: u64, stream: u32, index: u64) -> Self {
        let halves = |x: u64| [x as u32, (x >> 32) as u32];
        Self { key: halves(seed), stream, index: halves(index), block: 0, words: [0; 4], used: 4 }
    }

    fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            let [low, high] = self.index;
            self.words = philox([self.block, self.stream, low, high], self.key);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// A number in \[0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (-53_f64).exp2()
    }

    /// A number in (0, 1), the middle of one of 2⁵² steps.
    pub(super) fn open_uniform(&mut self) -> f64 {
        ((self.next_u64() >> 12) as f64 + 0.5) * (-52_f64).exp2()
    }

    /// A standard normal number, by the inverse of the distribution function.
    pub fn normal(&mut self) -> f64 {
        wichura(self.open_uniform())
    }

    /// An integer in 0..bound, each equally likely; 0 for a bound of 0.
    ///
    /// Lemire 2019, doi:10.1145/3230636.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// True with probability p; never for p ≤ 0 or NaN, always for p ≥ 1.
    pub fn bernoulli(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Puts the items into a random order, each order equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// The numbers 0..n in a random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// How many of n draws succeed, each with probability p.
    ///
    /// By inversion from the mode outwards: O(√(n p (1−p))) steps.
    ///
    /// # Errors
    /// [`Error::Undefined`] where p is no probability.
    pub fn binomial(&mut self, n: u64, p: f64) -> Result<u64> {
        let mode = ((n as f64 + 1.0) * p) as u64;
        let mode = mode.min(n);
        let top = binomial_pmf(mode, n, p)?;
        if p == 0.0 || p == 1.0 {
            return Ok(mode);
        }
        let odds = p / (1.0 - p);
        let mut rest = self.open_uniform() - top;
        let (mut low, mut high) = (mode, mode);
        let (mut at_low, mut at_high) = (top, top);
        while rest > 0.0 {
            let (before_low, before_high) = (low, high);
            if high < n {
                at_high *= (n - high) as f64 / (high + 1) as f64 * odds;
                high += 1;
                rest -= at_high;
                if rest <= 0.0 {
                    return Ok(high);
                }
            }
            if low > 0 {
                at_low *= low as f64 / (n - low + 1) as f64 / odds;
                low -= 1;
                rest -= at_low;
                if rest <= 0.0 {
                    return Ok(low);
                }
            }
            // All is used up and rounding left a crumb, or what is left is too small to be drawn.
            let ended = before_low == low && before_high == high;
            if ended || (at_low < 1e-20 && at_high < 1e-20) {
                break;
            }
        }
        Ok(mode)
    }

    /// How n draws fall into cells of these probabilities, which need only be in proportion.
    ///
    /// A binomial draw for each cell from what is left.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a weight is negative or not finite, or all are 0.
    pub fn multinomial(&mut self, n: u64, weights: &[f64]) -> Result<Vec<u64>> {
        let mut left = 0.0;
        for (i, &weight) in weights.iter().enumerate() {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::invalid(
                    format!("weight {i}"),
                    "a finite number that is not negative",
                    weight,
                ));
            }
            left += weight;
        }
        if !(left > 0.0 && left.is_finite()) {
            return Err(Error::invalid("the weights", "a positive, finite sum", left));
        }
        let last = weights.iter().rposition(|&w| w > 0.0).unwrap_or(0);
        let mut n = n;
        let mut counts = Vec::with_capacity(weights.len());
        for (i, &weight) in weights.iter().enumerate() {
            let count = if i == last {
                n
            } else if n == 0 || weight == 0.0 {
                0
            } else {
                self.binomial(n, (weight / left).min(1.0))?
            };
            left = (left - weight).max(0.0);
            n -= count;
            counts.push(count);
        }
        Ok(counts)
    }
}

fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let a = u64::from(c0) * 0xD251_1F53;
        let b = u64::from(c2) * 0xCD9E_8D57;
        (c0, c1, c2, c3) =
            ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::chi_square_sf;

    /// The known answers of the Random123 distribution.
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
        assert_eq!(
            philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    fn uniformity(counts: &[u64], expected: &[f64]) -> f64 {
        let n: u64 = counts.iter().sum();
        let statistic: f64 = counts
            .iter()
            .zip(expected)
            .map(|(&c, p)| (c as f64 - n as f64 * p).powi(2) / (n as f64 * p))
            .sum();
        chi_square_sf(statistic, counts.len() as f64 - 1.0).unwrap()
    }

    #[test]
    fn draws_follow_their_distributions() {
        let mut draws = Draws::new(1, 2, 3);
        let mut faces = [0; 7];
        let mut tenths = [0; 10];
        let mut normal = [0; 10];
        let mut orders = [0; 6];
        for _ in 0..20_000 {
            faces[draws.below(7) as usize] += 1;
            tenths[(draws.uniform() * 10.0) as usize] += 1;
            normal[(crate::stats::normal_cdf(draws.normal()) * 10.0) as usize] += 1;
            let order = draws.permutation(3);
            orders[order[0] * 2 + usize::from(order[1] > order[2])] += 1;
        }
        assert!(uniformity(&faces, &[1.0 / 7.0; 7]) > 0.001);
        assert!(uniformity(&tenths, &[0.1; 10]) > 0.001);
        assert!(uniformity(&normal, &[0.1; 10]) > 0.001);
        assert!(uniformity(&orders, &[1.0 / 6.0; 6]) > 0.001);
    }

    #[test]
    fn binomial_and_multinomial_draws_follow_theirs() {
        let mut draws = Draws::new(5, 0, 0);
        for (n, p) in [(6, 0.3), (6, 0.95), (1, 0.5)] {
            let mut counts = vec![0; n as usize + 1];
            for _ in 0..20_000 {
                counts[draws.binomial(n, p).unwrap() as usize] += 1;
            }
            let expected: Vec<_> = (0..=n).map(|k| binomial_pmf(k, n, p).unwrap()).collect();
            let seen: Vec<usize> = (0..expected.len()).filter(|&k| expected[k] > 1e-3).collect();
            let counts: Vec<_> = seen.iter().map(|&k| counts[k]).collect();
            let total: f64 = seen.iter().map(|&k| expected[k]).sum();
            let expected: Vec<_> = seen.iter().map(|&k| expected[k] / total).collect();
            assert!(uniformity(&counts, &expected) > 0.001, "{n} {p}");
        }
        let mut totals = [0; 4];
        for _ in 0..500 {
            let counts = draws.multinomial(40, &[1.0, 0.0, 3.0, 4.0]).unwrap();
            assert_eq!(counts.iter().sum::<u64>(), 40);
            assert_eq!(counts[1], 0);
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count;
            }
        }
        assert!(uniformity(&[totals[0], totals[2], totals[3]], &[0.125, 0.375, 0.5]) > 0.001);
        let large = draws.binomial(1_000_000_000, 0.5).unwrap();
        assert!(large.abs_diff(500_000_000) < 100_000);
    }

    #[test]
    fn bad_weights_are_errors() {
        let mut draws = Draws::new(0, 0, 0);
        for weights in [&[][..], &[0.0], &[-1.0, 2.0], &[f64::NAN], &[f64::INFINITY]] {
            assert!(draws.multinomial(3, weights).is_err(), "{weights:?}");
        }
        assert!(draws.binomial(3, f64::NAN).is_err());
        assert!(draws.binomial(3, 1.5).is_err());
        assert_eq!(draws.below(0), 0);
        assert_eq!(draws.below(1), 0);
    }
}
