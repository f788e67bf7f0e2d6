//! HDDM-W, the drift detection method by `McDiarmid`'s bound on weighted averages.

use mlops_core::Result;
use mlops_core::bytes::{bad, put_f64, put_u8, take_u8};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::hddm_a::{Levels, check_levels};
use super::parts::{open_probability, require, take_finite, take_unit};

/// Options of [`HddmW`]; the defaults are those of Frías-Blanco et al. (2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HddmWOptions {
    /// Values before the first comparison, at least 1; 1 (`frouros`: 30).
    pub min_values: u64,
    /// The level of the warning, in (0, 1); .005.
    pub alpha_warning: f64,
    /// The level of the drift, in (0, 1), less than the warning's; .001.
    pub alpha_drift: f64,
    /// The weight of a new value in the moving averages, in (0, 1); .05.
    pub lambda: f64,
    /// Whether a fall of the mean is looked for, too, each side at half the level; `false`.
    pub two_sided: bool,
}

impl Default for HddmWOptions {
    fn default() -> Self {
        let (alpha_warning, alpha_drift) = (0.005, 0.001);
        Self { min_values: 1, alpha_warning, alpha_drift, lambda: 0.05, two_sided: false }
    }
}

impl HddmWOptions {
    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        open_probability("lambda", self.lambda)?;
        check_levels(self.alpha_warning, self.alpha_drift)
    }
}

/// The drift detection method by `McDiarmid`'s bound on weighted averages: for gradual changes.
///
/// The average is a moving one, `X ← λ x + (1 − λ) X` from the first value on, and by `McDiarmid`
/// its distance from its expectation exceeds `√(d ln(1/α)/2)` with probability `α` at most, where
/// `d` is the sum of the squared weights of the values (1 for one value). It remembers the average
/// at the moment when average plus bound was least, begins another average there, and where that
/// one exceeds the first by `√((d₁ + d₂) ln(1/α)/2)` says warning or drift; after a drift it begins
/// anew. Numbers in [0, 1] are taken, errors (0 and 1) among them; `O(1)` a value. Its statistic is
/// the difference over its bound at `alpha_drift` (more than 1 is a drift), the larger of the two
/// sides.
///
/// The peers give the first value another weight than the sum of squares says:
/// `river.drift.binary.HDDMW` takes `d = λ² + (1 − λ)²` where one value has `d = 1`, and so alarms
/// some values too early; `frouros` `HDDMW` begins the average at 0, takes the bound of the cut at
/// level `λ`, and with two sides alarms at every value.
///
/// # References
/// Frías-Blanco et al. (2015), doi:10.1109/TKDE.2014.2345382; `McDiarmid` (1989),
/// doi:10.1017/CBO9781107359949.008.
#[derive(Clone, Debug, PartialEq)]
pub struct HddmW {
    options: HddmWOptions,
    clock: Clock,
    levels: Levels,
    values: u64,
    all: Option<Average>,
    up: Side,
    down: Side,
}

/// A moving average and the sum of its squared weights.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Average {
    mean: f64,
    weights: f64,
}

impl Average {
    fn push(average: Option<Self>, x: f64, lambda: f64) -> Self {
        let Some(Self { mean, weights }) = average else { return Self { mean: x, weights: 1.0 } };
        let rest = 1.0 - lambda;
        Self { mean: lambda * x + rest * mean, weights: lambda * lambda + rest * rest * weights }
    }

    fn bound(weights: f64, log_level: f64) -> f64 {
        (weights * log_level / 2.0).sqrt()
    }
}

/// The average at the cut, and the one since.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Side {
    before: Option<Average>,
    since: Option<Average>,
}

impl Side {
    /// `sign` is 1 for a rise and −1 for a fall.
    fn push(&mut self, all: Average, x: f64, sign: f64, lambda: f64, log_level: f64) {
        let edge = |a: Average| sign * a.mean + Average::bound(a.weights, log_level);
        if self.before.is_none_or(|before| edge(all) < edge(before)) {
            *self = Self { before: Some(all), since: None };
        } else {
            self.since = Some(Average::push(self.since, x, lambda));
        }
    }

    fn level(&self, sign: f64, log_level: f64) -> Option<f64> {
        let (before, since) = (self.before?, self.since?);
        let bound = Average::bound(before.weights + since.weights, log_level);
        Some(sign * (since.mean - before.mean) / bound)
    }
}

impl HddmW {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: HddmWOptions) -> Result<Self> {
        let levels = Levels::new(options.alpha_warning, options.alpha_drift, options.two_sided);
        let (clock, side) = (Clock::default(), Side::default());
        Ok(Self { options, clock, levels, values: 0, all: None, up: side, down: side })
    }

    /// The moving average since the start or the last drift; `None` before the first value.
    pub fn mean(&self) -> Option<f64> {
        self.all.map(|a| a.mean)
    }

    fn push(&mut self, x: f64) -> Signal {
        let (lambda, log_level) = (self.options.lambda, self.levels.drift);
        self.values += 1;
        let all = Average::push(self.all, x, lambda);
        self.all = Some(all);
        self.up.push(all, x, 1.0, lambda, log_level);
        if self.options.two_sided {
            self.down.push(all, x, -1.0, lambda, log_level);
        }
        let Some(level) = self.level() else { return Signal::None };
        Signal::of(level > 1.0, level > (self.levels.warning / self.levels.drift).sqrt())
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        (self.values, self.all) = (0, None);
        (self.up, self.down) = (Side::default(), Side::default());
    }

    fn level(&self) -> Option<f64> {
        if self.values < self.options.min_values {
            return None;
        }
        let up = self.up.level(1.0, self.levels.drift);
        let down = self.down.level(-1.0, self.levels.drift);
        match (up, down) {
            (Some(up), Some(down)) => Some(up.max(down)),
            (one, other) => one.or(other),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        mlops_core::bytes::put_u64(out, self.values);
        let sides = [self.up.before, self.up.since, self.down.before, self.down.since];
        for average in [self.all].into_iter().chain(sides) {
            put_u8(out, average.is_some().into());
            if let Some(average) = average {
                put_f64(out, average.mean);
                put_f64(out, average.weights);
            }
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.values = mlops_core::bytes::take_count(bytes)?;
        let mut average = || match take_u8(bytes)? {
            0 => Ok(None),
            1 => {
                let (mean, weights) = (take_unit(bytes)?, take_finite(bytes)?);
                if weights > 0.0 && weights <= 1.0 {
                    Ok(Some(Average { mean, weights }))
                } else {
                    Err(bad(bytes, "a sum of squared weights in (0, 1]", weights))
                }
            }
            other => Err(bad(bytes, "0 or 1", other)),
        };
        self.all = average()?;
        self.up = Side { before: average()?, since: average()? };
        self.down = Side { before: average()?, since: average()? };
        Ok(())
    }
}

stream_detector!(HddmW(HddmWOptions), "hddm_w", 1, Input::Unit);
