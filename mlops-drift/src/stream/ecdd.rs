//! ECDD, an EWMA chart of a model's errors.

use mlops_core::Result;
use mlops_core::bytes::put_f64;
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{ErrorRate, open_probability, positive, require, take_unit};

/// How many standard errors above the error rate the moving average may be: `L`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EcddLimit {
    /// The paper's polynomial in the error rate for a false alarm every 100 values, at `lambda` .2.
    Arl100,
    /// The same for a false alarm every 400 values.
    #[default]
    Arl400,
    /// The same for a false alarm every 1,000 values.
    Arl1000,
    /// This number, above 0, at any error rate.
    Fixed(f64),
}

impl EcddLimit {
    /// `L` at this error rate.
    pub fn at(self, p: f64) -> f64 {
        let odd = |[c0, c1, c3, c5, c7]: [f64; 5]| {
            c0 + c1 * p + c3 * p.powi(3) + c5 * p.powi(5) + c7 * p.powi(7)
        };
        match self {
            Self::Arl100 => odd([2.76, -6.23, 18.12, -312.45, 1002.18]),
            Self::Arl400 => odd([3.97, -6.56, 48.73, -330.13, 848.18]),
            Self::Arl1000 => odd([1.17, 7.56, -21.24, 112.12, -987.23]),
            Self::Fixed(limit) => limit,
        }
    }
}

/// Options of [`Ecdd`]; the defaults are those of Ross et al. (2012).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EcddOptions {
    /// Values before the first comparison, at least 1; 30.
    pub min_values: u64,
    /// The weight of a new value, in (0, 1); .2. The paper's limits are for .2 only.
    pub lambda: f64,
    /// The limit; [`EcddLimit::Arl400`].
    pub limit: EcddLimit,
    /// The share of the limit that is a warning, in (0, 1); .5.
    pub warning_level: f64,
}

impl Default for EcddOptions {
    fn default() -> Self {
        Self { min_values: 30, lambda: 0.2, limit: EcddLimit::default(), warning_level: 0.5 }
    }
}

impl EcddOptions {
    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        open_probability("lambda", self.lambda)?;
        open_probability("warning_level", self.warning_level)?;
        match self.limit {
            EcddLimit::Fixed(limit) => positive("limit", limit),
            _ => require("lambda", self.lambda, self.lambda == 0.2, "0.2 with the paper's limits"),
        }
    }
}

/// EWMA for concept drift detection: a moving average of a model's errors, against their rate.
///
/// With the rate `p` of all `t` values and the moving average `Z ← λ x + (1 − λ) Z` from 0, it says
/// drift where `Z > p + L σ_Z`, `σ_Z² = p(1 − p) · λ/(2 − λ) · (1 − (1 − λ)^{2t})`, and warning at
/// half of `L`; after a drift it begins anew. `L` depends on `p` so that false alarms come at a
/// chosen rate; only a rise is seen. It takes 0 and 1 (an error); `O(1)` a value. Its statistic is
/// `(Z − p)/σ_Z` over `L` (more than 1 is a drift); undefined before `min_values`, and while all
/// values are equal.
///
/// `frouros` `ECDDWT`.
///
/// # References
/// Ross, Adams, Tasoulis, Hand (2012), doi:10.1016/j.patrec.2011.08.019.
#[derive(Clone, Debug, PartialEq)]
pub struct Ecdd {
    options: EcddOptions,
    clock: Clock,
    rate: ErrorRate,
    average: f64,
}

impl Ecdd {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: EcddOptions) -> Result<Self> {
        Ok(Self { options, clock: Clock::default(), rate: ErrorRate::default(), average: 0.0 })
    }

    /// The error rate since the start or the last drift; `None` before the first value.
    pub fn error_rate(&self) -> Option<f64> {
        (self.rate.n > 0).then(|| self.rate.rate().0)
    }

    /// The moving average.
    pub fn average(&self) -> f64 {
        self.average
    }

    fn push(&mut self, x: f64) -> Signal {
        self.rate.push(x);
        let lambda = self.options.lambda;
        self.average = lambda * x + (1.0 - lambda) * self.average;
        let Some(level) = self.level() else { return Signal::None };
        Signal::of(level > 1.0, level > self.options.warning_level)
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        (self.rate, self.average) = (ErrorRate::default(), 0.0);
    }

    fn level(&self) -> Option<f64> {
        if self.rate.n < self.options.min_values {
            return None;
        }
        let lambda = self.options.lambda;
        let (p, _) = self.rate.rate();
        let reached = 1.0 - (1.0 - lambda).powf(2.0 * self.rate.n as f64);
        let sigma = (p * (1.0 - p) * lambda / (2.0 - lambda) * reached).sqrt();
        let limit = self.options.limit.at(p);
        // A polynomial that leaves its range allows nothing, and then every excess is a drift.
        let allowed = limit.max(f64::MIN_POSITIVE) * sigma;
        (sigma > 0.0).then(|| (self.average - p) / allowed)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.rate.put(out);
        put_f64(out, self.average);
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.rate = ErrorRate::take(bytes)?;
        self.average = take_unit(bytes)?;
        Ok(())
    }
}

stream_detector!(Ecdd(EcddOptions), "ecdd", 1, Input::Binary);
