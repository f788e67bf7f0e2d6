//! STEPD, a test of equal proportions.

use std::collections::VecDeque;

use mlops_core::Result;
use mlops_core::bytes::{bad, put_len, take, take_len};
use mlops_core::stats::normal_quantile;
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::hddm_a::check_levels;
use super::parts::{ErrorRate, size};

/// Options of [`Stepd`]; the defaults are those of Nishida and Yamauchi (2007).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepdOptions {
    /// The values in the recent window, at least 1; 30.
    pub window: usize,
    /// The level of the warning, in (0, 1); .05.
    pub alpha_warning: f64,
    /// The level of the drift, in (0, 1), less than the warning's; .003.
    pub alpha_drift: f64,
    /// Whether fewer errors are a change, too; `true`.
    pub two_sided: bool,
}

impl Default for StepdOptions {
    fn default() -> Self {
        Self { window: 30, alpha_warning: 0.05, alpha_drift: 0.003, two_sided: true }
    }
}

impl StepdOptions {
    fn check(&self) -> Result<()> {
        size("window", self.window, 1)?;
        check_levels(self.alpha_warning, self.alpha_drift)
    }
}

/// The statistical test of equal proportions: the errors of the recent window, against all before.
///
/// From `2·window` values on, with `r_o` errors among the `n_o` values before the window, `r` among
/// its `n`, and `p` the rate of all,
/// `T = (|r_o/n_o − r/n| − ½(1/n_o + 1/n)) / √(p(1 − p)(1/n_o + 1/n))`, the test of two proportions
/// with a correction for continuity; 0 where the correction exceeds the difference. It says warning
/// or drift where `T` lies in the normal distribution's tail of level `α` (of `α/2` if two-sided);
/// after a drift it begins anew. It takes 0 and 1 (an error); `O(1)` a value, and remembers the
/// window. Its statistic is `T`, negative where the errors became fewer; undefined while all values
/// are equal.
///
/// `frouros` `STEPD` (one-sided levels of a two-sided test: its .003 is .006 here) and MOA take
/// `|T|` where the correction exceeds the difference, and so say drift of rare errors where nothing
/// differs.
///
/// # References
/// Nishida and Yamauchi (2007), doi:10.1007/978-3-540-75488-6_27.
#[derive(Clone, Debug, PartialEq)]
pub struct Stepd {
    options: StepdOptions,
    clock: Clock,
    /// `T` beyond which is a warning and a drift.
    limits: (f64, f64),
    older: ErrorRate,
    recent: VecDeque<bool>,
    recent_errors: u64,
}

impl Stepd {
    fn start(options: StepdOptions) -> Result<Self> {
        let sides = if options.two_sided { 2.0 } else { 1.0 };
        let limit = |alpha: f64| normal_quantile(alpha / sides).map(|z| -z);
        let limits = (limit(options.alpha_warning)?, limit(options.alpha_drift)?);
        let (older, clock) = (ErrorRate::default(), Clock::default());
        Ok(Self { options, clock, limits, older, recent: VecDeque::new(), recent_errors: 0 })
    }

    fn push(&mut self, x: f64) -> Signal {
        if self.recent.len() == self.options.window
            && let Some(oldest) = self.recent.pop_front()
        {
            self.older.push(f64::from(u8::from(oldest)));
            self.recent_errors -= u64::from(oldest);
        }
        self.recent.push_back(x != 0.0);
        self.recent_errors += u64::from(x != 0.0);
        let Some(level) = self.level() else { return Signal::None };
        let level = if self.options.two_sided { level.abs() } else { level };
        Signal::of(level > self.limits.1, level > self.limits.0)
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        (self.older, self.recent_errors) = (ErrorRate::default(), 0);
        self.recent.clear();
    }

    fn level(&self) -> Option<f64> {
        if self.older.n < self.options.window as u64 {
            return None;
        }
        let (older, n) = (self.older.n as f64, self.recent.len() as f64);
        let p = (self.older.errors + self.recent_errors) as f64 / (older + n);
        let inverse = 1.0 / older + 1.0 / n;
        let rise = self.recent_errors as f64 / n - self.older.errors as f64 / older;
        let beyond = (rise.abs() - 0.5 * inverse).max(0.0).copysign(rise);
        let sigma = (p * (1.0 - p) * inverse).sqrt();
        (sigma > 0.0).then(|| beyond / sigma)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.older.put(out);
        put_len(out, self.recent.len());
        out.extend(self.recent.iter().map(|error| u8::from(*error)));
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.older = ErrorRate::take(bytes)?;
        let n = take_len(bytes, 1)?;
        if n > self.options.window || (n < self.options.window && self.older.n > 0) {
            return Err(bad(bytes, format!("a window of {}", self.options.window), n));
        }
        let recent = take(bytes, n)?;
        if let Some(other) = recent.iter().find(|byte| **byte > 1) {
            return Err(bad(bytes, "0 or 1", other));
        }
        self.recent = recent.iter().map(|byte| *byte == 1).collect();
        self.recent_errors = recent.iter().map(|byte| u64::from(*byte)).sum();
        Ok(())
    }
}

stream_detector!(Stepd(StepdOptions), "stepd", 1, Input::Binary);
