//! p-values by simulation, which hold their level at any number of draws.

use std::fmt;

use mlops_core::stats::Draws;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// How to simulate: the seed, how many draws at most, and when to stop early.
///
/// Draw `i` is that of [`Draws::new`]`(seed, stream, i)`, so that a p-value is the same on any
/// thread. Simulation stops before `replicates` where `stop_after` draws have reached the observed
/// statistic (Besag & Clifford): a column that clearly did not drift costs some dozens of draws,
/// and the p-value keeps its level exactly.
///
/// ```
/// use mlops_drift::statistics::MonteCarlo;
/// // Of 50 tests the least p must get below 0.05 / 50.
/// assert_eq!(MonteCarlo::to_reach(7, 0.05, 50)?.replicates, 3_999);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonteCarlo {
    /// The seed.
    pub seed: u64,
    /// Which use of the seed this is: give each column its own.
    pub stream: u32,
    /// The most draws, `B`; no p-value is below `1 / (B + 1)`.
    pub replicates: u32,
    /// How many draws must reach the observed statistic to end the simulation; `None` for never.
    pub stop_after: Option<u32>,
}

impl MonteCarlo {
    /// How many draws end a simulation early, unless said otherwise.
    pub const STOP_AFTER: u32 = 20;

    /// Up to 9,999 draws in stream 0.
    pub fn new(seed: u64) -> Self {
        Self { seed, stream: 0, replicates: 9_999, stop_after: Some(Self::STOP_AFTER) }
    }

    /// As many draws as let a p-value pass at level `alpha` corrected for so many tests, fourfold:
    /// `B + 1 = 4 · tests / alpha`, so that what drifted is not lost for want of draws whichever
    /// correction is used.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a level outside (0, 1), no tests, or more than 2³² draws.
    pub fn to_reach(seed: u64, alpha: f64, tests: usize) -> Result<Self> {
        let draws = 4.0 * tests as f64 / checked_alpha(alpha)?;
        if tests == 0 || draws > f64::from(u32::MAX) {
            let expected = "from 1 test up to what 2^32 draws can tell apart";
            return Err(Error::invalid("the number of tests", expected, tests));
        }
        Ok(Self { replicates: (draws - 1e-6).ceil() as u32 - 1, ..Self::new(seed) })
    }

    /// The same in another stream.
    #[must_use]
    pub fn stream(self, stream: u32) -> Self {
        Self { stream, ..self }
    }

    /// The draws of one replicate.
    pub(crate) fn draws(self, replicate: u32) -> Draws {
        Draws::new(self.seed, self.stream, u64::from(replicate))
    }

    /// P of `statistic` or more, where `draw` gives its value on a draw; where that is undefined
    /// the draw counts as large.
    pub(crate) fn p_value(
        self,
        statistic: f64,
        mut draw: impl FnMut(&mut Draws) -> Option<f64>,
    ) -> Result<SimulatedP> {
        if self.replicates == 0 || self.stop_after == Some(0) {
            return Err(Error::invalid("the draws of a simulation", "at least 1", 0));
        }
        if statistic.is_nan() {
            return Err(Error::undefined("a simulation", "the statistic of the samples is NaN"));
        }
        // Sums in another order of cells are ties.
        let bound =
            if statistic.is_finite() { statistic - 1e-12 * statistic.abs() } else { statistic };
        let mut at_least = 0;
        for replicate in 0..self.replicates {
            let value = draw(&mut self.draws(replicate));
            at_least += u32::from(value.is_none_or(|value| value.is_nan() || value >= bound));
            if Some(at_least) == self.stop_after {
                let replicates = replicate + 1;
                let p_value = f64::from(at_least) / f64::from(replicates);
                return Ok(SimulatedP { statistic, p_value, at_least, replicates });
            }
        }
        let p_value = (f64::from(at_least) + 1.0) / (f64::from(self.replicates) + 1.0);
        Ok(SimulatedP { statistic, p_value, at_least, replicates: self.replicates })
    }
}

pub(crate) fn checked_alpha(alpha: f64) -> Result<f64> {
    if alpha > 0.0 && alpha < 1.0 {
        Ok(alpha)
    } else {
        Err(Error::invalid("a level", "a share such as 0.05", alpha))
    }
}

/// A p-value by simulation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SimulatedP {
    /// The statistic of the data.
    pub statistic: f64,
    /// `(at_least + 1) / (replicates + 1)`, or `at_least / replicates` where the simulation stopped
    /// early. Never 0; `P(p ≤ α) ≤ α` where nothing drifted, for every α, draws included.
    pub p_value: f64,
    /// How many draws gave as much or more.
    pub at_least: u32,
    /// How many draws there were.
    pub replicates: u32,
}

impl fmt::Display for SimulatedP {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statistic, p_value, at_least, replicates } = self;
        write!(f, "{statistic:.4}, reached by {at_least} of {replicates} draws, p = {p_value:.4e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_early_keeps_the_level() {
        // Statistic and draws uniform: p must be too, or larger.
        let how = MonteCarlo { replicates: 199, stop_after: Some(10), ..MonteCarlo::new(5) };
        let all = 4000;
        let mut below = [0.0; 3];
        for i in 0..all {
            let observed = Draws::new(6, 0, i).uniform();
            let p = how.stream(i as u32).p_value(observed, |draws| Some(draws.uniform()));
            let p = p.unwrap();
            assert!(p.replicates == 199 || p.at_least == 10);
            for (below, alpha) in below.iter_mut().zip([0.01, 0.05, 0.5]) {
                *below += f64::from(u8::from(p.p_value <= alpha));
            }
        }
        for (below, alpha) in below.into_iter().zip([0.01f64, 0.05, 0.5]) {
            let noise = 4.0 * (alpha * (1.0 - alpha) / all as f64).sqrt();
            assert!((below / all as f64 - alpha).abs() < noise, "{alpha}: {below}");
        }
    }

    #[test]
    fn what_is_undefined_counts_as_large() {
        let how = MonteCarlo { replicates: 9, stop_after: None, ..MonteCarlo::new(5) };
        assert_eq!(how.p_value(1.0, |_| None).unwrap().p_value, 1.0);
        assert_eq!(how.p_value(1.0, |_| Some(f64::NAN)).unwrap().p_value, 1.0);
        assert_eq!(how.p_value(1.0, |_| Some(0.9)).unwrap().p_value, 0.1);
        // Infinite numbers tie, too.
        let infinite = f64::INFINITY;
        assert_eq!(how.p_value(infinite, |_| Some(infinite)).unwrap().p_value, 1.0);
        assert_eq!(how.p_value(infinite, |_| Some(9.0)).unwrap().p_value, 0.1);
        assert_eq!(how.p_value(-infinite, |_| Some(9.0)).unwrap().p_value, 1.0);
        assert!(how.p_value(f64::NAN, |_| Some(0.9)).is_err());
        let none = MonteCarlo { replicates: 0, ..how };
        assert!(none.p_value(1.0, |_| Some(0.9)).is_err());
        assert!(
            MonteCarlo::to_reach(1, 0.0, 3).is_err() && MonteCarlo::to_reach(1, 0.1, 0).is_err()
        );
    }
}
