//! The Page–Hinkley test.

use mlops_core::Result;
use mlops_core::bytes::put_f64;
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{Direction, Mean, not_negative, positive, require, take_finite};

/// Options of [`PageHinkley`]; the defaults are those of `river`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageHinkleyOptions {
    /// Values before the first comparison, at least 1; 30.
    pub min_values: u64,
    /// The change that is tolerated (`δ`), in units of the values, 0 or more; .005.
    pub delta: f64,
    /// The threshold (`λ`), in units of the values, above 0; 50.
    pub threshold: f64,
    /// The share of the past sum that is kept at each value, in (0, 1]; .9999. 1 is the test as
    /// Page and Hinkley have it.
    pub alpha: f64,
    /// The change that is looked for; both.
    pub direction: Direction,
}

impl Default for PageHinkleyOptions {
    fn default() -> Self {
        let (delta, threshold, alpha) = (0.005, 50.0, 1.0 - 0.0001);
        Self { min_values: 30, delta, threshold, alpha, direction: Direction::Both }
    }
}

impl PageHinkleyOptions {
    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        not_negative("delta", self.delta)?;
        positive("threshold", self.threshold)?;
        let share = self.alpha > 0.0 && self.alpha <= 1.0;
        require("alpha", self.alpha, share, "a number above 0, at most 1")
    }
}

/// The Page–Hinkley test: sums of deviations from the running mean, against their extremes.
///
/// With the mean `x̄` of the values so far, `m ← α m + (x − x̄ − δ)`; a rise is a drift where
/// `m − min m > λ`. For a fall, `m ← α m + (x − x̄ + δ)` and `max m − m > λ`. After a drift it begins
/// anew. It takes numbers; `O(1)` a value. Its statistic is that difference, the larger of the sides
/// that are looked at.
///
/// The threshold is in units of the values: at the default, unit variance needs some 50 values of a
/// shift of 1. `river.drift.PageHinkley`. `frouros` `PageHinkley` compares `m` itself, without its
/// minimum, which is not the test: a fall before a rise hides the rise.
///
/// # References
/// Page (1954), doi:10.1093/biomet/41.1-2.100; Hinkley (1971), doi:10.1093/biomet/58.3.509.
#[derive(Clone, Debug, PartialEq)]
pub struct PageHinkley {
    options: PageHinkleyOptions,
    clock: Clock,
    mean: Mean,
    rise: Excursion,
    fall: Excursion,
}

/// A sum and its extreme.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Excursion {
    sum: f64,
    extreme: f64,
}

impl PageHinkley {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: PageHinkleyOptions) -> Result<Self> {
        let (rise, fall) = (Excursion::default(), Excursion::default());
        Ok(Self { options, clock: Clock::default(), mean: Mean::default(), rise, fall })
    }

    fn push(&mut self, x: f64) -> Signal {
        self.mean.push(x);
        let PageHinkleyOptions { alpha, delta, .. } = self.options;
        let deviation = x - self.mean.mean;
        self.rise.sum = alpha * self.rise.sum + (deviation - delta);
        self.rise.extreme = self.rise.extreme.min(self.rise.sum);
        self.fall.sum = alpha * self.fall.sum + (deviation + delta);
        self.fall.extreme = self.fall.extreme.max(self.fall.sum);
        Signal::of(self.level().is_some_and(|level| level > self.options.threshold), false)
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        self.mean = Mean::default();
        (self.rise, self.fall) = (Excursion::default(), Excursion::default());
    }

    fn level(&self) -> Option<f64> {
        let up = self.rise.sum - self.rise.extreme;
        let down = self.fall.extreme - self.fall.sum;
        (self.mean.n >= self.options.min_values).then(|| self.options.direction.of(up, down))
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.mean.put(out);
        for side in [self.rise, self.fall] {
            put_f64(out, side.sum);
            put_f64(out, side.extreme);
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.mean = Mean::take(bytes)?;
        for side in [&mut self.rise, &mut self.fall] {
            *side = Excursion { sum: take_finite(bytes)?, extreme: take_finite(bytes)? };
        }
        Ok(())
    }
}

stream_detector!(PageHinkley(PageHinkleyOptions), "page_hinkley", 1, Input::Number);
