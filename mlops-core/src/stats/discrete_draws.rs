//! Binomial and hypergeometric draws in a time that does not depend on the counts.

use super::draws::Draws;
use super::incomplete::log_binomial_density;
use crate::{Error, Result};

/// Below this variance the mass is gone through from the mode outwards.
const NARROW: f64 = 25.0;

/// An urn, and how many are drawn from it without being put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urn {
    /// The items that count.
    pub successes: u64,
    /// The others.
    pub failures: u64,
    /// How many items are drawn; at most all.
    pub drawn: u64,
}

/// A distribution over low..=high with one mode.
struct Mass<F> {
    low: u64,
    high: u64,
    mode: u64,
    mean: f64,
    variance: f64,
    /// The logarithm of the mass, up to a constant.
    log: F,
}

impl Draws {
    /// As [`binomial`](Self::binomial), in a time that does not depend on n: what a bootstrap of
    /// counts draws. The two give different values from the same place.
    ///
    /// Ratio of uniforms under Stadlober's table mountain (1990, doi:10.1016/0377-0427(90)90349-5);
    /// the masses by Loader's saddle point, so that none is rounded away. p over ½ is mirrored.
    ///
    /// # Errors
    /// [`Error::Undefined`] where p is no probability.
    pub fn binomial_at_once(&mut self, n: u64, p: f64) -> Result<u64> {
        let variance = n as f64 * p * (1.0 - p);
        if variance <= NARROW || !(p > 0.0 && p < 1.0) {
            return self.binomial(n, p);
        }
        let (small, mirrored) = if p > 0.5 { (1.0 - p, true) } else { (p, false) };
        let mean = n as f64 * small;
        let other = 1.0 - small;
        let k = self.by_ratio_of_uniforms(&Mass {
            low: 0,
            high: n,
            mode: (mean + small) as u64,
            mean,
            variance,
            log: |k: u64| log_binomial_density(k as f64, (n - k) as f64, small, other),
        });
        Ok(if mirrored { n - k } else { k })
    }

    /// How many successes are among the items drawn from an urn, each set of items equally likely,
    /// in a time that does not depend on the counts. `scipy.stats.hypergeom`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where more items are drawn than there are, or there are 2⁶⁴ or more.
    ///
    /// ```
    /// use mlops_core::stats::{Draws, Urn};
    /// let urn = Urn { successes: 30, failures: 70, drawn: 20 };
    /// let found = Draws::new(1, 0, 0).hypergeometric(urn)?;
    /// assert!(found <= 20);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    pub fn hypergeometric(&mut self, urn: Urn) -> Result<u64> {
        let Urn { successes, failures, drawn } = urn;
        let all = successes
            .checked_add(failures)
            .ok_or_else(|| Error::invalid("an urn", "fewer than 2^64 items", "more"))?;
        if drawn > all {
            return Err(Error::invalid("items drawn from an urn", format!("at most {all}"), drawn));
        }
        // The rarer kind in the smaller part: the other three cells follow.
        if drawn > all - drawn {
            let left = self.hypergeometric(Urn { successes, failures, drawn: all - drawn })?;
            return Ok(successes - left);
        }
        if successes > failures {
            let other =
                self.hypergeometric(Urn { successes: failures, failures: successes, drawn })?;
            return Ok(drawn - other);
        }
        if successes == 0 || drawn == 0 {
            return Ok(0);
        }
        let (size, part) = (all as f64, drawn as f64 / all as f64);
        let mean = successes as f64 * part;
        let variance =
            mean * (failures as f64 / size) * ((all - drawn) as f64 / (size - 1.0).max(1.0));
        let mode =
            (u128::from(drawn + 1) * u128::from(successes + 1) / (u128::from(all) + 2)) as u64;
        let rest = 1.0 - part;
        let mass = Mass {
            low: 0,
            high: drawn.min(successes),
            mode,
            mean,
            variance,
            // The chances that the successes give k and the failures the others.
            log: |k: u64| {
                let (k, of) = (k as f64, successes as f64);
                let (left, others) = ((drawn as f64) - k, failures as f64);
                log_binomial_density(k, of - k, part, rest)
                    + log_binomial_density(left, others - left, part, rest)
            },
        };
        Ok(if variance <= NARROW {
            let whole = log_binomial_density(drawn as f64, (all - drawn) as f64, part, rest);
            let top = ((mass.log)(mode) - whole).exp();
            // f(k + 1) / f(k)
            let up = |k: u64| {
                let (k, n, s, f) = (k as f64, drawn as f64, successes as f64, failures as f64);
                (s - k) / (k + 1.0) * (n - k) / (f - n + k + 1.0)
            };
            self.outwards(&mass, top, up)
        } else {
            self.by_ratio_of_uniforms(&mass)
        })
    }

    /// By ratio of uniforms: a point (x, w) below the hat, kept where x² is below the mass.
    fn by_ratio_of_uniforms<F: Fn(u64) -> f64>(&mut self, mass: &Mass<F>) -> u64 {
        use std::f64::consts::E;
        let centre = mass.mean + 0.5;
        let width = 2.0 * (2.0 / E * (mass.variance + 0.5)).sqrt() + 3.0 - 2.0 * (3.0 / E).sqrt();
        let top = (mass.log)(mass.mode);
        loop {
            let x = self.open_uniform();
            let at = (centre + width * (self.uniform() - 0.5) / x).floor();
            if at < mass.low as f64 || at > mass.high as f64 {
                continue;
            }
            let k = at as u64;
            let log = (mass.log)(k) - top;
            // 2 ln x lies between these two, which cost no logarithm.
            if x * (4.0 - x) - 3.0 <= log {
                return k;
            }
            if x * (x - log) >= 1.0 {
                continue;
            }
            if 2.0 * x.ln() <= log {
                return k;
            }
        }
    }

    /// By inversion from the mode outwards: O(√variance) steps.
    fn outwards<F>(&mut self, mass: &Mass<F>, top: f64, up: impl Fn(u64) -> f64) -> u64 {
        let mut rest = self.open_uniform() - top;
        let (mut low, mut high) = (mass.mode, mass.mode);
        let (mut at_low, mut at_high) = (top, top);
        while rest > 0.0 && (low > mass.low || high < mass.high) {
            if high < mass.high {
                at_high *= up(high);
                high += 1;
                rest -= at_high;
                if rest <= 0.0 {
                    return high;
                }
            }
            if low > mass.low {
                at_low /= up(low - 1);
                low -= 1;
                rest -= at_low;
                if rest <= 0.0 {
                    return low;
                }
            }
            // What rounding left is too small to be drawn.
            if at_low < 1e-20 && at_high < 1e-20 {
                break;
            }
        }
        mass.mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{binomial_pmf, chi_square_sf};

    fn fits(draws: &[u64], mass: impl Fn(u64) -> f64) -> f64 {
        let (least, most) = (draws.iter().min().unwrap(), draws.iter().max().unwrap());
        let n = draws.len() as f64;
        // Neighbours together until a cell expects ten.
        let (mut statistic, mut cells, mut expected, mut seen) = (0.0, 0, 0.0, 0.0);
        let mut used = 0.0;
        let mut counts = vec![0.0; (most - least + 1) as usize];
        for k in draws {
            counts[(k - least) as usize] += 1.0;
        }
        for (i, count) in counts.iter().enumerate() {
            expected += n * mass(least + i as u64);
            seen += count;
            if expected >= 10.0 {
                statistic += (seen - expected).powi(2) / expected;
                used += expected;
                (expected, seen, cells) = (0.0, 0.0, cells + 1);
            }
        }
        assert!(used > 0.99 * n, "{used} of {n}");
        chi_square_sf(statistic, f64::from(cells)).unwrap()
    }

    #[test]
    fn binomial_draws_follow_their_distribution() {
        let mut draws = Draws::new(5, 7, 0);
        for (n, p) in [(200, 0.5), (101, 0.4), (4000, 0.01), (30_000, 0.999), (1_000_000, 0.3)] {
            let drawn: Vec<u64> =
                (0..20_000).map(|_| draws.binomial_at_once(n, p).unwrap()).collect();
            let fit = fits(&drawn, |k| binomial_pmf(k, n, p).unwrap());
            assert!(fit > 1e-4, "{n} {p}: {fit}");
        }
        assert_eq!(draws.binomial_at_once(10, 0.0).unwrap(), 0);
        assert_eq!(draws.binomial_at_once(10, 1.0).unwrap(), 10);
        assert!(draws.binomial_at_once(10, f64::NAN).is_err());
        assert!(draws.binomial_at_once(1 << 60, 0.5).unwrap().abs_diff(1 << 59) < 1 << 35);
    }

    #[test]
    fn hypergeometric_draws_follow_theirs() {
        let mut draws = Draws::new(6, 7, 0);
        let urns = [(5, 9, 4), (9, 5, 11), (300, 700, 200), (800, 200, 500), (40_000, 60_000, 500)];
        for (successes, failures, drawn) in urns {
            let urn = Urn { successes, failures, drawn };
            let found: Vec<u64> = (0..20_000).map(|_| draws.hypergeometric(urn).unwrap()).collect();
            // Vandermonde, by masses of one probability.
            let all = successes + failures;
            let p = drawn as f64 / all as f64;
            let whole = binomial_pmf(drawn, all, p).unwrap();
            let fit = fits(&found, |k| {
                if k > successes || k > drawn || drawn - k > failures {
                    return 0.0;
                }
                binomial_pmf(k, successes, p).unwrap()
                    * binomial_pmf(drawn - k, failures, p).unwrap()
                    / whole
            });
            assert!(fit > 1e-4, "{urn:?}: {fit}");
        }
    }

    #[test]
    fn the_ends_of_an_urn_are_certain() {
        let mut draws = Draws::new(1, 0, 0);
        let mut of =
            |successes, failures, drawn| draws.hypergeometric(Urn { successes, failures, drawn });
        assert_eq!(of(5, 3, 8).unwrap(), 5);
        assert_eq!(of(5, 0, 3).unwrap(), 3);
        assert_eq!(of(0, 9, 3).unwrap(), 0);
        assert_eq!(of(0, 0, 0).unwrap(), 0);
        assert!(of(1, 1, 3).is_err());
        assert!(of(u64::MAX, 1, 3).is_err());
        let huge = of(u64::MAX / 2, u64::MAX / 2, 1 << 40).unwrap();
        assert!(huge.abs_diff(1 << 39) < 1 << 26, "{huge}");
    }
}
