//! The beta-binomial law: how many of some rows succeed where the share is itself uncertain.

use crate::statistics::density::{ln_factorial, log_density};
use crate::statistics::draw::Unimodal;

/// How many of `rows` succeed with a probability that is Beta(`a`, `b`); `a, b > 0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BetaBinomial {
    pub(crate) rows: u64,
    pub(crate) a: f64,
    pub(crate) b: f64,
}

impl BetaBinomial {
    /// P(K ≥ k). Its own terms are summed, outwards until they no longer matter, so that it keeps
    /// its relative accuracy far in the tail.
    pub(crate) fn at_least(&self, k: u64) -> f64 {
        if k == 0 {
            return 1.0;
        }
        if k > self.rows {
            return 0.0;
        }
        if (k as f64) * (self.a + self.b) > self.rows as f64 * self.a {
            self.upwards(k)
        } else {
            (1.0 - self.downwards(k - 1)).max(0.0)
        }
    }

    fn upwards(&self, k: u64) -> f64 {
        if self.is_wide() {
            return self.in_blocks(k, self.rows, true).min(1.0);
        }
        let (mut sum, mut term) = (1.0, 1.0);
        for j in k..self.rows {
            term *= self.up(j);
            sum += term;
            // With b < 1 the terms may rise again.
            if term < 1e-17 * sum && self.b >= 1.0 {
                break;
            }
        }
        (self.pmf(k) * sum).min(1.0)
    }

    /// P(K ≤ k).
    fn downwards(&self, k: u64) -> f64 {
        if self.is_wide() {
            return self.in_blocks(0, k, false).min(1.0);
        }
        let (mut sum, mut term) = (1.0, 1.0);
        for j in (0..k).rev() {
            term /= self.up(j);
            sum += term;
            if term < 1e-17 * sum && self.a >= 1.0 {
                break;
            }
        }
        (self.pmf(k) * sum).min(1.0)
    }

    /// Whether there are too many outcomes to sum them one by one.
    fn is_wide(&self) -> bool {
        self.rows > 1 << 16 && self.spread() > 1e4
    }

    /// P(low ≤ K ≤ high), in blocks that are short beside all that the probability varies over.
    ///
    /// Two points at the standard deviation of a block's places from its middle stand for it,
    /// which is exact for cubics.
    fn in_blocks(&self, low: u64, high: u64, upwards: bool) -> f64 {
        let spread = self.spread();
        let (mut from, mut left) = (if upwards { low } else { high }, high - low + 1);
        let mut sum = 0.0;
        loop {
            let (below, above) = (from as f64 + 1.0, (self.rows - from) as f64 + 1.0);
            // Near an end the probability is a power of what is left to it; a high one has an end
            // that is too far out to matter.
            let power = |x: f64| x.min(2500.0) + 4.0;
            let near = (below / power(self.a)).min(above / power(self.b)) / 20.0;
            let places = (spread / 1000.0).min(near);
            let places = (places as u64).clamp(1, left);
            let end = if upwards { from + (places - 1) } else { from - (places - 1) };
            let middle = f64::midpoint(from as f64, end as f64);
            let length = places as f64;
            let off = ((length * length - 1.0) / 12.0).sqrt();
            let block = 0.5 * length * (self.density(middle - off) + self.density(middle + off));
            sum += block;
            left -= places;
            let falling = if upwards { self.b >= 1.0 } else { self.a >= 1.0 };
            // So far out that it is 0 it does not rise again.
            if left == 0 || (falling && block <= 1e-19 * sum) {
                return sum;
            }
            from = if upwards { end + 1 } else { end - 1 };
        }
    }

    /// P(K = k), and what lies between for a k that is not whole.
    fn density(&self, k: f64) -> f64 {
        let Self { a, b, .. } = *self;
        let rows = self.rows as f64;
        let left = rows - k;
        let all = a + b + rows;
        let (x, y) = ((a + b) / all, rows / all);
        // By negative binomials of one common probability, which cancels.
        let log =
            log_density(a, k, x, y) + log_density(b, left, x, y) - log_density(a + b, rows, x, y);
        a / (a + k) * (b / (b + left)) * (all / (a + b)) * log.exp()
    }
}

impl Unimodal for BetaBinomial {
    fn low(&self) -> u64 {
        0
    }

    fn high(&self) -> u64 {
        self.rows
    }

    /// For `a, b ≥ 1`, where there is one.
    fn mode(&self) -> u64 {
        let both = self.a + self.b - 2.0;
        if both <= 0.0 {
            return 0;
        }
        (((self.rows as f64 + 1.0) * ((self.a - 1.0) / both)) as u64).min(self.rows)
    }

    fn pmf(&self, k: u64) -> f64 {
        self.density(k as f64)
    }

    fn quick_pmf(&self, k: u64) -> f64 {
        let (a, b) = (self.a as u64, self.b as u64);
        // C(a + k − 1, k): ways to spread k rows over a places.
        let spread =
            |a: u64, k: u64| ln_factorial(a + k - 1) - ln_factorial(k) - ln_factorial(a - 1);
        (spread(a, k) + spread(b, self.rows - k) - spread(a + b, self.rows)).exp()
    }

    fn up(&self, k: u64) -> f64 {
        let left = (self.rows - k) as f64;
        left * (self.a + k as f64) / ((k + 1) as f64 * (self.b + (left - 1.0)))
    }

    fn spread(&self) -> f64 {
        let (all, rows) = (self.a + self.b, self.rows as f64);
        (rows * (self.a / all) * (self.b / all) * ((all + rows) / (all + 1.0))).sqrt()
    }

    fn rows(&self) -> u64 {
        self.rows.saturating_add((self.a + self.b) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_and_tails_equal_mpmath() {
        for (rows, a, b, k, pmf, tail) in [
            (10, 0.5, 3.0, 4, 0.0539785964473001759, 0.142511439294317205),
            (100, 2.0, 99.0, 30, 7.65866787325643036e-10, 1.33691043979787144e-9),
            (1000, 2.5, 997.5, 400, 1.17777680130618643e-139, 1.8904568905761209e-139),
            (50, 0.25, 0.75, 50, 0.0146411696408589704, 0.0146411696408589704),
        ] {
            let law = BetaBinomial { rows, a, b };
            assert!((law.pmf(k) / pmf - 1.0).abs() < 1e-12, "{law:?}: {:e}", law.pmf(k));
            assert!((law.at_least(k) / tail - 1.0).abs() < 1e-12, "{law:?}: {:e}", law.at_least(k));
            let whole: f64 = (0..=rows).map(|k| law.pmf(k)).sum();
            assert!((whole - 1.0).abs() < 1e-12, "{law:?}: {whole}");
        }
        let whole = BetaBinomial { rows: 30, a: 3.0, b: 8.0 };
        for k in 0..=30 {
            assert!((whole.quick_pmf(k) / whole.pmf(k) - 1.0).abs() < 1e-12);
            let sum: f64 = (k..=30).map(|k| whole.pmf(k)).sum();
            assert!((whole.at_least(k) - sum).abs() < 1e-13);
        }
        assert_eq!(whole.at_least(31), 0.0);
    }

    #[test]
    fn blocks_sum_as_their_places_do() {
        let rows = 200_000;
        for (a, b) in [(0.7, 3.5), (4.0, 20.0), (9.0, 0.5)] {
            let law = BetaBinomial { rows, a, b };
            assert!(law.is_wide());
            let mut above = vec![0.0; rows as usize + 1];
            let mut sum = 0.0;
            for k in (0..=rows).rev() {
                sum += law.pmf(k);
                above[k as usize] = sum;
            }
            let mean = (rows as f64 * a / (a + b)) as u64;
            let far = mean + (rows - mean) / 3;
            for k in [1, mean / 50, mean, far, rows - (rows - mean) / 50, rows] {
                let (found, sum) = (law.at_least(k), above[k as usize]);
                assert!((found / sum - 1.0).abs() < 1e-9, "{law:?} {k}: {found:e} not {sum:e}");
            }
        }
        // Of high powers: as the recurrence has them.
        let high = BetaBinomial { rows: 1_000_000, a: 5_000.0, b: 7_000.0 };
        assert!(!high.is_wide());
        for k in [440_000, 452_000] {
            let (blocks, terms) = (high.in_blocks(k, high.rows, true), high.upwards(k));
            assert!((blocks / terms - 1.0).abs() < 1e-9, "{k}: {blocks:e} not {terms:e}");
        }
        for k in [300_000, 400_000] {
            let (blocks, terms) = (high.in_blocks(0, k, false), high.downwards(k));
            assert!((blocks / terms - 1.0).abs() < 1e-9, "{k}: {blocks:e} not {terms:e}");
        }
        let (a, b) = ((1u64 << 30) as f64, (1u64 << 40) as f64);
        let many = BetaBinomial { rows: 1 << 40, a, b };
        // Tens of thousands of standard deviations away nothing is left to sum.
        assert_eq!(many.at_least(1 << 29), 1.0);
        assert_eq!(many.at_least(1 << 31), 0.0);
        // Rows without end are no trouble.
        let vast = BetaBinomial { rows: 1 << 40, a: 2.0, b: 99.0 };
        // Beta(2, 99): 100 · 0.9⁹⁹ · 0.1 + 0.9¹⁰⁰.
        let beta = 10.0 * 0.9f64.powi(99) + 0.9f64.powi(100);
        assert!((vast.at_least(109_951_162_778) / beta - 1.0).abs() < 1e-7);
    }
}
