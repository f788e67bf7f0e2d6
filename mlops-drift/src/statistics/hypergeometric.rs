//! The hypergeometric law: probabilities and tails with relative accuracy.

use mlops_core::{Error, Result};

use crate::statistics::density::{ln_factorial, log_density};
use crate::statistics::draw::Unimodal;

/// Beyond this many rows a tail would take seconds to sum.
pub(crate) const MOST_DRAWN_FROM: u64 = 1 << 40;

/// How many of `drawn` rows are good, drawn without replacement from so many good and bad ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hypergeometric {
    pub(crate) good: u64,
    pub(crate) bad: u64,
    pub(crate) drawn: u64,
}

impl Hypergeometric {
    /// # Errors
    /// [`Error::Invalid`] where more is drawn than there is, or there are more than 2⁴⁰ rows.
    pub(crate) fn new(what: &str, good: u64, bad: u64, drawn: u64) -> Result<Self> {
        let all = good.checked_add(bad).filter(|all| *all <= MOST_DRAWN_FROM && drawn <= *all);
        match all {
            Some(_) => Ok(Self { good, bad, drawn }),
            None => Err(Error::invalid(
                what,
                "at most 2^40 rows, and no more drawn than there are",
                format_args!("{drawn} of {good} and {bad}"),
            )),
        }
    }

    /// P(K ≤ k).
    pub(crate) fn cdf(&self, k: u64) -> f64 {
        if k >= self.high() {
            return 1.0;
        }
        if k < self.low() {
            return 0.0;
        }
        if k >= self.mode() {
            return (1.0 - self.at_least(k + 1)).max(0.0);
        }
        let (mut sum, mut term) = (1.0, 1.0);
        for j in (self.low()..k).rev() {
            term /= self.up(j);
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
        }
        (self.pmf(k) * sum).min(1.0)
    }

    /// P(K ≥ k).
    pub(crate) fn at_least(&self, k: u64) -> f64 {
        if k <= self.low() {
            return 1.0;
        }
        if k > self.high() {
            return 0.0;
        }
        if k <= self.mode() {
            return (1.0 - self.cdf(k - 1)).max(0.0);
        }
        let (mut sum, mut term) = (1.0, 1.0);
        for j in k..self.high() {
            term *= self.up(j);
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
        }
        (self.pmf(k) * sum).min(1.0)
    }

    /// The sum of the probabilities of all outcomes that are no likelier than `k`.
    pub(crate) fn no_likelier(&self, k: u64) -> f64 {
        // Outcomes as likely as this one count, whatever rounding says.
        let bound = self.pmf(k) * (1.0 + self.tolerance());
        let mode = self.mode();
        if self.pmf(mode) <= bound {
            return 1.0;
        }
        // On the other side of the mode the probabilities fall away from it: halve.
        if k > mode {
            let (mut inside, mut count) = (mode, mode - self.low());
            while count > 0 {
                let step = count / 2;
                let at = inside - step - 1;
                if self.pmf(at) > bound {
                    inside = at;
                    count -= step + 1;
                } else {
                    count = step;
                }
            }
            let far = if inside > self.low() { self.cdf(inside - 1) } else { 0.0 };
            return (self.at_least(k) + far).min(1.0);
        }
        let (mut inside, mut count) = (mode, self.high() - mode);
        while count > 0 {
            let step = count / 2;
            let at = inside + step + 1;
            if self.pmf(at) > bound {
                inside = at;
                count -= step + 1;
            } else {
                count = step;
            }
        }
        let far = if inside < self.high() { self.at_least(inside + 1) } else { 0.0 };
        (self.cdf(k) + far).min(1.0)
    }

    /// The relative error that two probabilities may have.
    fn tolerance(&self) -> f64 {
        let spread = (self.good.min(self.bad).min(self.drawn) as f64).sqrt();
        1e-11 + 1e-15 * spread
    }
}

impl Unimodal for Hypergeometric {
    fn low(&self) -> u64 {
        self.drawn.saturating_sub(self.bad)
    }

    fn high(&self) -> u64 {
        self.drawn.min(self.good)
    }

    fn mode(&self) -> u64 {
        let (good, drawn) = (u128::from(self.good) + 1, u128::from(self.drawn) + 1);
        let mode = good * drawn / (u128::from(self.good) + u128::from(self.bad) + 2);
        (mode as u64).clamp(self.low(), self.high())
    }

    /// By binomials of one common probability, which cancels (Loader 2000): no large logarithm is
    /// subtracted from another.
    fn pmf(&self, k: u64) -> f64 {
        if k < self.low() || k > self.high() {
            return 0.0;
        }
        let (good, bad, drawn) = (self.good as f64, self.bad as f64, self.drawn as f64);
        let left = (self.good + self.bad - self.drawn) as f64;
        let (x, y) = (drawn / (good + bad), left / (good + bad));
        let k = k as f64;
        let log = log_density(k, good - k, x, y) + log_density(drawn - k, bad - (drawn - k), x, y)
            - log_density(drawn, left, x, y);
        log.exp()
    }

    fn quick_pmf(&self, k: u64) -> f64 {
        let Self { good, bad, drawn } = *self;
        let choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
        (choose(good, k) + choose(bad, drawn - k) - choose(good + bad, drawn)).exp()
    }

    fn up(&self, k: u64) -> f64 {
        let from = (self.good - k) as f64 * (self.drawn - k) as f64;
        from / ((k + 1) as f64 * ((self.bad + k + 1) - self.drawn) as f64)
    }

    fn spread(&self) -> f64 {
        let (good, bad, drawn) = (self.good as f64, self.bad as f64, self.drawn as f64);
        let all = good + bad;
        let left = all - drawn;
        (drawn * (good / all) * (bad / all) * (left / (all - 1.0).max(1.0))).sqrt()
    }

    fn rows(&self) -> u64 {
        self.good + self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_tails_to_their_parts() {
        for (good, bad, drawn) in
            [(0, 3, 2), (3, 0, 2), (5, 7, 0), (5, 7, 12), (5, 7, 6), (1, 40, 3), (300, 200, 90)]
        {
            let law = Hypergeometric::new("a law", good, bad, drawn).unwrap();
            let all: Vec<f64> = (law.low()..=law.high()).map(|k| law.pmf(k)).collect();
            assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-13, "{law:?}");
            let most = all.iter().copied().fold(0.0, f64::max);
            assert!((law.pmf(law.mode()) - most).abs() < 1e-13);
            for k in law.low()..=law.high() {
                let i = (k - law.low()) as usize;
                let (below, above): (f64, f64) = (all[..=i].iter().sum(), all[i..].iter().sum());
                assert!((law.cdf(k) - below).abs() < 1e-12 * below, "{law:?} {k}");
                assert!((law.at_least(k) - above).abs() < 1e-12 * above, "{law:?} {k}");
                let bound = all[i] * (1.0 + 1e-9);
                let sum: f64 = all.iter().filter(|p| **p <= bound).sum();
                let found = law.no_likelier(k);
                assert!((found - sum).abs() < 1e-12 * sum, "{law:?} {k}: {found} not {sum}");
            }
            assert_eq!(law.cdf(law.high() + 1), 1.0);
            assert_eq!(law.at_least(law.high() + 1), 0.0);
        }
        assert!(Hypergeometric::new("a law", 2, 3, 6).is_err());
        assert!(Hypergeometric::new("a law", u64::MAX, 3, 1).is_err());
    }
}
