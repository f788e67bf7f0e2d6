//! Page's cumulative sum chart.

use mlops_core::Result;
use mlops_core::bytes::put_f64;
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{Baseline, Direction, Mean, not_negative, positive, require, take_not_negative};

/// Options of [`Cusum`]; the defaults are those of `frouros`, but for both directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CusumOptions {
    /// Values before the first comparison, at least 1; 30.
    pub min_values: u64,
    /// What a value is compared with; the running mean.
    pub baseline: Baseline,
    /// The allowance `k` that is taken off each deviation, in the baseline's units, 0 or more; .005.
    pub allowance: f64,
    /// The decision interval `h`, in the baseline's units, above 0; 50.
    pub threshold: f64,
    /// The change that is looked for; both.
    pub direction: Direction,
}

impl Default for CusumOptions {
    fn default() -> Self {
        Self {
            min_values: 30,
            baseline: Baseline::RunningMean,
            allowance: 0.005,
            threshold: 50.0,
            direction: Direction::Both,
        }
    }
}

impl CusumOptions {
    /// The tabular chart of the textbooks for a known level: `k` = ½, `h` = 5, from the first value
    /// on. Normal values give a false alarm every 465, and a shift of one `sd` is seen after 10.4
    /// (Montgomery, *Introduction to Statistical Quality Control*, table 9.3).
    pub fn tabular(mean: f64, sd: f64) -> Self {
        Self {
            min_values: 1,
            baseline: Baseline::Known { mean, sd },
            allowance: 0.5,
            threshold: 5.0,
            direction: Direction::Both,
        }
    }

    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        self.baseline.check()?;
        not_negative("allowance", self.allowance)?;
        positive("threshold", self.threshold)
    }
}

/// Page's cumulative sum chart: deviations from a level, added up while they add up.
///
/// With the deviation `z` from the [`Baseline`], `S⁺ ← max(0, S⁺ + z − k)` and
/// `S⁻ ← max(0, S⁻ − z − k)`; more than `h` is a drift, after which both sums, and a running mean,
/// begin anew. It takes numbers; `O(1)` a value. Its statistic is the larger sum of the sides that
/// are looked at.
///
/// `frouros` `CUSUM` is the rise with the running mean.
///
/// # References
/// Page (1954), doi:10.1093/biomet/41.1-2.100.
#[derive(Clone, Debug, PartialEq)]
pub struct Cusum {
    options: CusumOptions,
    clock: Clock,
    mean: Mean,
    up: f64,
    down: f64,
}

impl Cusum {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: CusumOptions) -> Result<Self> {
        Ok(Self { options, clock: Clock::default(), mean: Mean::default(), up: 0.0, down: 0.0 })
    }

    fn push(&mut self, x: f64) -> Signal {
        self.mean.push(x);
        let z = self.options.baseline.deviation(x, &self.mean);
        let k = self.options.allowance;
        self.up = (self.up + z - k).max(0.0);
        self.down = (self.down - z - k).max(0.0);
        Signal::of(self.level().is_some_and(|level| level > self.options.threshold), false)
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        (self.mean, self.up, self.down) = (Mean::default(), 0.0, 0.0);
    }

    fn level(&self) -> Option<f64> {
        let level = || self.options.direction.of(self.up, self.down);
        (self.mean.n >= self.options.min_values).then(level)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.mean.put(out);
        put_f64(out, self.up);
        put_f64(out, self.down);
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.mean = Mean::take(bytes)?;
        self.up = take_not_negative(bytes)?;
        self.down = take_not_negative(bytes)?;
        Ok(())
    }
}

stream_detector!(Cusum(CusumOptions), "cusum", 1, Input::Number);
