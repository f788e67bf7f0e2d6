//! The geometric (exponentially weighted) moving average chart.

use mlops_core::Result;
use mlops_core::bytes::put_f64;
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{Baseline, Direction, Mean, open_probability, positive, require, take_finite};

/// Options of [`Gma`]; the defaults are those of `frouros`, but for both directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GmaOptions {
    /// Values before the first comparison, at least 1; 30.
    pub min_values: u64,
    /// What a value is compared with; the running mean.
    pub baseline: Baseline,
    /// The weight of a new value, in (0, 1); .01.
    pub lambda: f64,
    /// The threshold, in the baseline's units, above 0; 1.
    pub threshold: f64,
    /// The change that is looked for; both.
    pub direction: Direction,
}

impl Default for GmaOptions {
    fn default() -> Self {
        Self {
            min_values: 30,
            baseline: Baseline::RunningMean,
            lambda: 0.01,
            threshold: 1.0,
            direction: Direction::Both,
        }
    }
}

impl GmaOptions {
    /// The chart of Roberts for a known level: limits at `width` standard errors of the average,
    /// `L √(λ/(2 − λ))`, from the first value on. Normal values give a false alarm every 500 at
    /// `lambda` .1 and `width` 2.814 (Lucas and Saccucci 1990, doi:10.1080/00401706.1990.10484583).
    pub fn chart(mean: f64, sd: f64, lambda: f64, width: f64) -> Self {
        Self {
            min_values: 1,
            baseline: Baseline::Known { mean, sd },
            lambda,
            threshold: width * (lambda / (2.0 - lambda)).sqrt(),
            direction: Direction::Both,
        }
    }

    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        self.baseline.check()?;
        open_probability("lambda", self.lambda)?;
        positive("threshold", self.threshold)
    }
}

/// The geometric moving average chart, also called EWMA: deviations from a level, the older the less.
///
/// With the deviation `z` from the [`Baseline`], `G ← λ z + (1 − λ) G` from 0; a drift where `G` (or
/// `−G`, or either) is over the threshold, after which the average, and a running mean, begin anew.
/// It takes numbers; `O(1)` a value. Its statistic is `G`, `−G` or `|G|`.
///
/// `frouros` `GeometricMovingAverage` is the rise with the running mean; its `alpha` is `1 − λ`.
///
/// # References
/// Roberts (1959), doi:10.1080/00401706.1959.10489860.
#[derive(Clone, Debug, PartialEq)]
pub struct Gma {
    options: GmaOptions,
    clock: Clock,
    mean: Mean,
    average: f64,
}

impl Gma {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: GmaOptions) -> Result<Self> {
        Ok(Self { options, clock: Clock::default(), mean: Mean::default(), average: 0.0 })
    }

    fn push(&mut self, x: f64) -> Signal {
        self.mean.push(x);
        let z = self.options.baseline.deviation(x, &self.mean);
        let lambda = self.options.lambda;
        self.average = lambda * z + (1.0 - lambda) * self.average;
        Signal::of(self.level().is_some_and(|level| level > self.options.threshold), false)
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        (self.mean, self.average) = (Mean::default(), 0.0);
    }

    fn level(&self) -> Option<f64> {
        let level = || self.options.direction.of(self.average, -self.average);
        (self.mean.n >= self.options.min_values).then(level)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.mean.put(out);
        put_f64(out, self.average);
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.mean = Mean::take(bytes)?;
        self.average = take_finite(bytes)?;
        Ok(())
    }
}

stream_detector!(Gma(GmaOptions), "gma", 1, Input::Number);
