//! DDM, the drift detection method.

use mlops_core::Result;
use mlops_core::bytes::{bad, put_f64, put_u8, take_u8};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{ErrorRate, positive, require, take_not_negative, take_unit};

/// Options of [`Ddm`]; the defaults are those of Gama et al. (2004).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdmOptions {
    /// Values before the first comparison, at least 1; 30.
    pub min_values: u64,
    /// The warning level in standard errors, above 0; 2.
    pub warning_level: f64,
    /// The drift level in standard errors, above the warning level; 3.
    pub drift_level: f64,
}

impl Default for DdmOptions {
    fn default() -> Self {
        Self { min_values: 30, warning_level: 2.0, drift_level: 3.0 }
    }
}

impl DdmOptions {
    fn check(&self) -> Result<()> {
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        positive("warning_level", self.warning_level)?;
        positive("drift_level", self.drift_level)?;
        let above = self.drift_level > self.warning_level;
        require(
            "drift_level",
            self.drift_level,
            above,
            &format!("more than warning_level, {}", self.warning_level),
        )
    }
}

/// The drift detection method: the error rate of a model, against its own minimum.
///
/// With the error rate `p` of the values so far and `s = √(p(1 − p)/n)`, it remembers `p_min` and
/// `s_min` of the moment when `p + s` was least, warns where `p + s > p_min + 2 s_min`, and says
/// drift where `p + s > p_min + 3 s_min`; after that it begins anew. Only a rise is seen. It takes 0
/// and 1 (an error); `O(1)` a value. Its statistic is `(p + s − p_min) / s_min`, to be compared with
/// the two levels; undefined before `min_values`, and while `s_min = 0`.
///
/// If the first `min_values` have no error at all then `p_min = s_min = 0`, and the first error is a
/// drift: that is the method. And as `p` is the mean of all values since the start, the longer the
/// stream was quiet the later a change is seen; [`Rddm`](super::Rddm) is the remedy.
///
/// `river.drift.binary.DDM` (which begins one value later: its `warm_start` is ours − 1),
/// `frouros` `DDM`.
///
/// # References
/// Gama, Medas, Castillo, Rodrigues (2004), doi:10.1007/978-3-540-28645-5_29.
#[derive(Clone, Debug, PartialEq)]
pub struct Ddm {
    options: DdmOptions,
    clock: Clock,
    rate: ErrorRate,
    least: Option<Least>,
}

/// The rate and its standard error when their sum was least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Least {
    pub(super) p: f64,
    pub(super) s: f64,
}

impl Least {
    /// The lesser of what was and what is.
    pub(super) fn of(before: Option<Self>, p: f64, s: f64) -> Self {
        before.filter(|least| p + s >= least.p + least.s).unwrap_or(Self { p, s })
    }

    /// Whether a rate is more than so many standard errors above.
    pub(super) fn exceeded(self, p: f64, s: f64, level: f64) -> bool {
        p + s > self.p + level * self.s
    }

    /// How many standard errors above a rate is.
    pub(super) fn level(self, p: f64, s: f64) -> Option<f64> {
        (self.s > 0.0).then(|| (p + s - self.p) / self.s)
    }

    pub(super) fn put(least: Option<Self>, out: &mut Vec<u8>) {
        put_u8(out, least.is_some().into());
        if let Some(least) = least {
            put_f64(out, least.p);
            put_f64(out, least.s);
        }
    }

    pub(super) fn take(bytes: &mut &[u8]) -> Result<Option<Self>> {
        match take_u8(bytes)? {
            0 => Ok(None),
            1 => Ok(Some(Self { p: take_unit(bytes)?, s: take_not_negative(bytes)? })),
            other => Err(bad(bytes, "0 or 1", other)),
        }
    }
}

impl Ddm {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: DdmOptions) -> Result<Self> {
        Ok(Self { options, clock: Clock::default(), rate: ErrorRate::default(), least: None })
    }

    /// The error rate since the start or the last drift; `None` before the first value.
    pub fn error_rate(&self) -> Option<f64> {
        (self.rate.n > 0).then(|| self.rate.rate().0)
    }

    fn push(&mut self, x: f64) -> Signal {
        self.rate.push(x);
        if self.rate.n < self.options.min_values {
            return Signal::None;
        }
        let (p, s) = self.rate.rate();
        let least = Least::of(self.least, p, s);
        self.least = Some(least);
        let over = |level| least.exceeded(p, s, level);
        Signal::of(over(self.options.drift_level), over(self.options.warning_level))
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        (self.rate, self.least) = (ErrorRate::default(), None);
    }

    fn level(&self) -> Option<f64> {
        let (p, s) = self.rate.rate();
        self.least?.level(p, s)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.rate.put(out);
        Least::put(self.least, out);
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.rate = ErrorRate::take(bytes)?;
        self.least = Least::take(bytes)?;
        let compared = self.rate.n >= self.options.min_values;
        if self.least.is_some() == compared { Ok(()) } else { Err(bad(bytes, "a minimum", "none")) }
    }
}

stream_detector!(Ddm(DdmOptions), "ddm", 1, Input::Binary);
