//! RDDM, the reactive drift detection method.

use std::collections::VecDeque;

use mlops_core::Result;
use mlops_core::bytes::{bad, put_len, put_u8, put_u64, take, take_count, take_len, take_u8};
use serde::{Deserialize, Serialize};

use super::ddm::Least;
use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{ErrorRate, positive, require, size};

/// Options of [`Rddm`]; the defaults are those of Barros et al. (2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RddmOptions {
    /// Values before the first comparison, at least 1; 129.
    pub min_values: u64,
    /// The warning level in standard errors, above 0; 1.773.
    pub warning_level: f64,
    /// The drift level in standard errors, above the warning level; 2.258.
    pub drift_level: f64,
    /// A concept of this many values or more is cut to the latest `min_concept`; 40,000.
    pub max_concept: u64,
    /// The latest values that are kept, at least 1 and less than `max_concept`; 7,000.
    pub min_concept: usize,
    /// A warning that lasts longer than this many values is a drift, at least 1; 1,400.
    pub warning_limit: u64,
}

impl Default for RddmOptions {
    fn default() -> Self {
        Self {
            min_values: 129,
            warning_level: 1.773,
            drift_level: 2.258,
            max_concept: 40_000,
            min_concept: 7_000,
            warning_limit: 1_400,
        }
    }
}

impl RddmOptions {
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
        )?;
        size("min_concept", self.min_concept, 1)?;
        let longer = self.max_concept > self.min_concept as u64;
        require(
            "max_concept",
            self.max_concept,
            longer,
            &format!("more than min_concept, {}", self.min_concept),
        )?;
        require("warning_limit", self.warning_limit, self.warning_limit >= 1, "1 or more")
    }
}

/// The reactive drift detection method: [`Ddm`](super::Ddm) that does not grow insensitive.
///
/// As DDM it compares `p + s` with its own minimum. Besides, it keeps the latest `min_concept`
/// values, and before the value after a drift computes the rate anew from those since the warning
/// began (or from the last one alone, if there was no warning); when a concept gets `max_concept`
/// values long it does the same with all that are kept, says nothing, and keeps the minimum; and a
/// warning that lasts `warning_limit` values is a drift. It takes 0 and 1 (an error); `O(1)` a
/// value, but the value after a drift costs up to `min_concept`. Its statistic is DDM's.
///
/// It follows the implementation of the authors in MOA. `frouros` `RDDM` differs from it after the
/// first drift: it computes the rate from all that is kept instead of what came since the warning
/// began, and forgets the minimum when a concept is cut.
///
/// # References
/// Barros, Cabral, Gonçalves, Santos (2017), doi:10.1016/j.eswa.2017.08.023.
#[derive(Clone, Debug, PartialEq)]
pub struct Rddm {
    options: RddmOptions,
    clock: Clock,
    rate: ErrorRate,
    least: Option<Least>,
    kept: VecDeque<bool>,
    /// How many values ago the present warning began.
    warned: Option<u64>,
    /// The concept is too long, and is cut before the next value.
    cut: bool,
}

impl Rddm {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: RddmOptions) -> Result<Self> {
        Ok(Self {
            options,
            clock: Clock::default(),
            rate: ErrorRate::default(),
            least: None,
            kept: VecDeque::new(),
            warned: None,
            cut: false,
        })
    }

    /// The error rate of the present concept; `None` before the first value.
    pub fn error_rate(&self) -> Option<f64> {
        (self.rate.n > 0).then(|| self.rate.rate().0)
    }

    fn push(&mut self, x: f64) -> Signal {
        if self.cut {
            self.replay(false);
        }
        if self.kept.len() == self.options.min_concept {
            self.kept.pop_front();
        }
        self.kept.push_back(x != 0.0);
        self.rate.push(x);
        self.warned = self.warned.map(|ago| ago + 1);
        if self.rate.n < self.options.min_values {
            return Signal::None;
        }
        let (p, s) = self.rate.rate();
        let least = Least::of(self.least, p, s);
        self.least = Some(least);
        if least.exceeded(p, s, self.options.drift_level) {
            if self.warned.is_none() {
                self.keep_last(1);
            }
            return Signal::Drift;
        }
        if !least.exceeded(p, s, self.options.warning_level) {
            self.warned = None;
            self.cut = self.rate.n >= self.options.max_concept;
            return Signal::None;
        }
        if *self.warned.get_or_insert(0) >= self.options.warning_limit {
            self.keep_last(1);
            self.warned = None;
            return Signal::Drift;
        }
        Signal::Warning
    }

    fn keep_last(&mut self, n: usize) {
        let more = self.kept.len().saturating_sub(n);
        self.kept.drain(..more);
    }

    fn forget(&mut self) {
        self.replay(true);
    }

    /// The rate anew, from the values since the warning began or all that are kept.
    fn replay(&mut self, after_drift: bool) {
        if let Some(ago) = self.warned.take() {
            self.keep_last(usize::try_from(ago + 1).unwrap_or(usize::MAX));
        }
        if after_drift {
            self.least = None;
        }
        self.rate = ErrorRate::default();
        for error in &self.kept {
            self.rate.push(f64::from(u8::from(*error)));
            if after_drift && self.rate.n > self.options.min_values {
                let (p, s) = self.rate.rate();
                self.least = Some(Least::of(self.least, p, s));
            }
        }
        self.cut = false;
    }

    fn restart(&mut self) {
        (self.rate, self.least) = (ErrorRate::default(), None);
        self.kept.clear();
        (self.warned, self.cut) = (None, false);
    }

    fn level(&self) -> Option<f64> {
        if self.rate.n < self.options.min_values {
            return None;
        }
        let (p, s) = self.rate.rate();
        self.least?.level(p, s)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.rate.put(out);
        Least::put(self.least, out);
        put_len(out, self.kept.len());
        out.extend(self.kept.iter().map(|error| u8::from(*error)));
        put_u8(out, self.warned.is_some().into());
        if let Some(ago) = self.warned {
            put_u64(out, ago);
        }
        put_u8(out, self.cut.into());
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        self.rate = ErrorRate::take(bytes)?;
        self.least = Least::take(bytes)?;
        let n = take_len(bytes, 1)?;
        if n > self.options.min_concept {
            return Err(bad(bytes, format!("at most {} values", self.options.min_concept), n));
        }
        let kept = take(bytes, n)?;
        if let Some(other) = kept.iter().find(|byte| **byte > 1) {
            return Err(bad(bytes, "0 or 1", other));
        }
        self.kept = kept.iter().map(|byte| *byte == 1).collect();
        let flag = |bytes: &mut &[u8]| match take_u8(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(bad(bytes, "0 or 1", other)),
        };
        self.warned = if flag(bytes)? { Some(take_count(bytes)?) } else { None };
        self.cut = flag(bytes)?;
        Ok(())
    }
}

stream_detector!(Rddm(RddmOptions), "rddm", 1, Input::Binary);
