//! HDDM-A, the drift detection method by Hoeffding's bound on averages.

use mlops_core::Result;
use mlops_core::bytes::{bad, put_f64, put_u64, take_count};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{open_probability, require, take_not_negative};

/// Options of [`HddmA`]; the defaults are those of Frías-Blanco et al. (2015).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HddmAOptions {
    /// Values before the first comparison, at least 1; 1 (`frouros`: 30).
    pub min_values: u64,
    /// The level of the warning, in (0, 1); .005.
    pub alpha_warning: f64,
    /// The level of the drift, in (0, 1), less than the warning's; .001.
    pub alpha_drift: f64,
    /// Whether a fall of the mean is looked for, too, each side at half the level; `false`.
    pub two_sided: bool,
}

impl Default for HddmAOptions {
    fn default() -> Self {
        Self { min_values: 1, alpha_warning: 0.005, alpha_drift: 0.001, two_sided: false }
    }
}

impl HddmAOptions {
    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        check_levels(self.alpha_warning, self.alpha_drift)
    }
}

/// Levels of warning and drift, both in (0, 1), the drift's the smaller.
pub(super) fn check_levels(warning: f64, drift: f64) -> Result<()> {
    open_probability("alpha_warning", warning)?;
    open_probability("alpha_drift", drift)?;
    require("alpha_drift", drift, drift < warning, &format!("less than alpha_warning, {warning}"))
}

/// `ln(1/α)` of the two levels, each halved where there are two sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) warning: f64,
    pub(super) drift: f64,
}

impl Levels {
    pub(super) fn new(warning: f64, drift: f64, two_sided: bool) -> Self {
        let sides = if two_sided { 2.0_f64 } else { 1.0 };
        Self { warning: (sides / warning).ln(), drift: (sides / drift).ln() }
    }
}

/// The drift detection method by Hoeffding's bound on averages: for abrupt changes.
///
/// Of the mean `Z` of all `n` values it remembers the moment (`X`, after `k` values) when
/// `X + √(ln(1/α)/2k)` was least. If nothing has changed then `Z − X` exceeds
/// `√((n − k)/(2 k n) · ln(1/α))` with probability `α` at most, whatever the law of the values in
/// \[0, 1\] is; more is a warning or a drift, after which it begins anew. Numbers in [0, 1] are
/// taken, errors (0 and 1) among them; `O(1)` a value. Its statistic is the difference over its
/// bound at `alpha_drift` (1 or more is a drift), the larger of the two sides.
///
/// `frouros` `HDDMA`. `river.drift.binary.HDDMA` takes the bound of the test, but not that of the
/// cut, at `α/2` on one side, too.
///
/// The bound holds for one look, and it looks at every value: `α` is no rate of false alarms a
/// stream. See the table of run lengths in the crate's documentation.
///
/// # References
/// Frías-Blanco et al. (2015), doi:10.1109/TKDE.2014.2345382; Hoeffding (1963),
/// doi:10.1080/01621459.1963.10500830.
#[derive(Clone, Debug, PartialEq)]
pub struct HddmA {
    options: HddmAOptions,
    clock: Clock,
    levels: Levels,
    /// All values, and those up to the cut where the mean was certainly least, and most.
    all: Sum,
    low: Sum,
    high: Sum,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    n: u64,
    sum: f64,
}

impl Sum {
    fn mean(self) -> f64 {
        self.sum / self.n as f64
    }
}

impl HddmA {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: HddmAOptions) -> Result<Self> {
        let levels = Levels::new(options.alpha_warning, options.alpha_drift, options.two_sided);
        let none = Sum::default();
        Ok(Self { options, clock: Clock::default(), levels, all: none, low: none, high: none })
    }

    /// The mean since the start or the last drift; `None` before the first value.
    pub fn mean(&self) -> Option<f64> {
        (self.all.n > 0).then(|| self.all.mean())
    }

    fn push(&mut self, x: f64) -> Signal {
        self.all.n += 1;
        self.all.sum += x;
        let bound = |n: u64| (self.levels.drift / (2.0 * n as f64)).sqrt();
        let (mean, eps) = (self.all.mean(), bound(self.all.n));
        if self.low.n == 0 || self.low.mean() + bound(self.low.n) >= mean + eps {
            self.low = self.all;
        }
        if self.high.n == 0 || self.high.mean() - bound(self.high.n) <= mean - eps {
            self.high = self.all;
        }
        let Some(level) = self.level() else { return Signal::None };
        // Over the bound at the other level: both are the same but for √ln(1/α).
        Signal::of(level >= 1.0, level >= (self.levels.warning / self.levels.drift).sqrt())
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        (self.all, self.low, self.high) = (Sum::default(), Sum::default(), Sum::default());
    }

    fn level(&self) -> Option<f64> {
        if self.all.n < self.options.min_values {
            return None;
        }
        let over = |cut: Sum, change: f64| {
            let (n, k) = (self.all.n as f64, cut.n as f64);
            let bound = ((n - k) / (2.0 * k * n) * self.levels.drift).sqrt();
            (0 < cut.n && cut.n < self.all.n).then(|| change / bound)
        };
        let up = over(self.low, self.all.mean() - self.low.mean());
        if !self.options.two_sided {
            return up;
        }
        let down = over(self.high, self.high.mean() - self.all.mean());
        match (up, down) {
            (Some(up), Some(down)) => Some(up.max(down)),
            (one, other) => one.or(other),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        for sum in [self.all, self.low, self.high] {
            put_u64(out, sum.n);
            put_f64(out, sum.sum);
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        let mut sum = || -> Result<Sum> {
            let n = take_count(bytes)?;
            let sum = take_not_negative(bytes)?;
            if sum > n as f64 {
                Err(bad(bytes, format!("a sum of at most {n}"), sum))
            } else {
                Ok(Sum { n, sum })
            }
        };
        (self.all, self.low, self.high) = (sum()?, sum()?, sum()?);
        let n = self.all.n;
        if self.low.n.max(self.high.n) > n || (n > 0 && self.low.n.min(self.high.n) == 0) {
            return Err(bad(bytes, format!("cuts within {n} values"), self.low.n.max(self.high.n)));
        }
        Ok(())
    }
}

stream_detector!(HddmA(HddmAOptions), "hddm_a", 1, Input::Unit);
