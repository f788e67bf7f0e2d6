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

    /// By negative binomials of one common probability, which cancels.
    fn pmf(&self, k: u64) -> f64 {
        let Self { a, b, .. } = *self;
        let (k, left, rows) = (k as f64, (self.rows - k) as f64, self.rows as f64);
        let all = a + b + rows;
        let (x, y) = ((a + b) / all, rows / all);
        let log =
            log_density(a, k, x, y) + log_density(b, left, x, y) - log_density(a + b, rows, x, y);
        a / (a + k) * (b / (b + left)) * (all / (a + b)) * log.exp()
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
}
