//! What several detectors are made of: ranges of options, running means, numbers in bytes.

use mlops_core::bytes::{bad, put_f64, put_u64, take_count, take_f64};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::detector::Input;

/// The largest number that is added up: the sum of 2⁵⁶ of its squares is still finite.
pub(super) const LARGEST: f64 = 1e140;

/// The change of level that a detector looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The values have become larger.
    Up,
    /// The values have become smaller.
    Down,
    /// Either.
    #[default]
    Both,
}

impl Direction {
    /// The statistic of the sides that are looked at.
    pub(super) fn of(self, up: f64, down: f64) -> f64 {
        match self {
            Self::Up => up,
            Self::Down => down,
            Self::Both => up.max(down),
        }
    }
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The mean of the values since the start, this one included; in the units of the values.
    #[default]
    RunningMean,
    /// A level known from before, in standard deviations: `(x − mean) / sd`.
    Known {
        /// The mean while nothing has changed.
        mean: f64,
        /// The standard deviation while nothing has changed.
        sd: f64,
    },
}

impl Baseline {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::RunningMean => Ok(()),
            Self::Known { mean, sd } => {
                require("the known mean", mean, mean.abs() <= LARGEST, "a number to ±1e140")?;
                require("the known sd", sd, (1e-140..=LARGEST).contains(&sd), "1e-140 to 1e140")
            }
        }
    }

    /// How far a value is from it; the running mean has taken the value in.
    pub(super) fn deviation(self, x: f64, running: &Mean) -> f64 {
        match self {
            Self::RunningMean => x - running.mean,
            Self::Known { mean, sd } => (x - mean) / sd,
        }
    }
}

/// An option that is in its range, or an error that says what it is.
pub(super) fn require(
    what: &str,
    found: impl std::fmt::Display,
    good: bool,
    expected: &str,
) -> Result<()> {
    if good { Ok(()) } else { Err(Error::invalid(what, expected, found)) }
}

/// A probability that is neither 0 nor 1.
pub(super) fn open_probability(what: &str, p: f64) -> Result<()> {
    require(what, p, p > 0.0 && p < 1.0, "a number between 0 and 1")
}

/// A finite number above 0.
pub(super) fn positive(what: &str, x: f64) -> Result<()> {
    require(what, x, x > 0.0 && x <= LARGEST, "a number above 0, at most 1e140")
}

/// A finite number that is not negative.
pub(super) fn not_negative(what: &str, x: f64) -> Result<()> {
    require(what, x, (0.0..=LARGEST).contains(&x), "a number from 0 to 1e140")
}

/// The most values that a window holds: memory is bounded whatever a description says.
pub(super) const MOST_KEPT: usize = 1 << 24;

/// A size of something that is kept.
pub(super) fn size(what: &str, n: usize, least: usize) -> Result<()> {
    require(what, n, (least..=MOST_KEPT).contains(&n), &format!("{least} to {MOST_KEPT}"))
}

/// Takes a number that is not NaN and not infinite.
pub(super) fn take_finite(bytes: &mut &[u8]) -> Result<f64> {
    let x = take_f64(bytes)?;
    if x.is_finite() { Ok(x) } else { Err(bad(bytes, "a finite number", x)) }
}

/// Takes a finite number that is not negative.
pub(super) fn take_not_negative(bytes: &mut &[u8]) -> Result<f64> {
    let x = take_finite(bytes)?;
    if x >= 0.0 { Ok(x) } else { Err(bad(bytes, "a number that is not negative", x)) }
}

/// Takes a number as [`Input::Ordered`] leaves it: not NaN, not −0.
pub(super) fn take_ordered(bytes: &mut &[u8]) -> Result<f64> {
    let x = take_f64(bytes)?;
    let kept = Input::Ordered.check(0, x).ok().filter(|kept| kept.to_bits() == x.to_bits());
    kept.ok_or_else(|| bad(bytes, "a number", x))
}

/// Takes a number in [0, 1].
pub(super) fn take_unit(bytes: &mut &[u8]) -> Result<f64> {
    let x = take_finite(bytes)?;
    if (0.0..=1.0).contains(&x) { Ok(x) } else { Err(bad(bytes, "a number from 0 to 1", x)) }
}

/// A mean that moves with each value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mean {
    pub(super) n: u64,
    pub(super) mean: f64,
}

impl Mean {
    pub(super) fn push(&mut self, x: f64) {
        self.n += 1;
        self.mean += (x - self.mean) / self.n as f64;
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        put_f64(out, self.mean);
    }

    pub(super) fn take(bytes: &mut &[u8]) -> Result<Self> {
        Ok(Self { n: take_count(bytes)?, mean: take_finite(bytes)? })
    }
}

/// Errors among values that are 0 or 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ErrorRate {
    pub(super) n: u64,
    pub(super) errors: u64,
}

impl ErrorRate {
    pub(super) fn push(&mut self, x: f64) {
        self.n += 1;
        self.errors += u64::from(x != 0.0);
    }

    /// The rate and its standard error, `p` and `√(p(1 − p)/n)`, of one value or more.
    pub(super) fn rate(self) -> (f64, f64) {
        let n = self.n as f64;
        let p = self.errors as f64 / n;
        (p, (p * (1.0 - p) / n).sqrt())
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.n);
        put_u64(out, self.errors);
    }

    pub(super) fn take(bytes: &mut &[u8]) -> Result<Self> {
        let (n, errors) = (take_count(bytes)?, take_count(bytes)?);
        if errors <= n { Ok(Self { n, errors }) } else { Err(bad(bytes, "errors ≤ n", errors)) }
    }
}
