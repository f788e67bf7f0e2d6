//! EDDM, the early drift detection method.

use mlops_core::Result;
use mlops_core::bytes::{bad, put_f64, put_u8, put_u64, take_count, take_u8};
use serde::{Deserialize, Serialize};

use super::detector::{Clock, Input, Signal, stream_detector};
use super::parts::{open_probability, require, take_not_negative};

/// Options of [`Eddm`]; the defaults are those of Baena-García et al. (2006).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EddmOptions {
    /// Errors before the first comparison, at least 2; 30.
    pub min_errors: u64,
    /// Values before the first maximum is kept, at least 1; 30. The first distances, of one or two
    /// errors, would else set a maximum by chance.
    pub min_values: u64,
    /// The warning level, a share of the maximum in (0, 1); .95.
    pub warning_level: f64,
    /// The drift level, a share of the maximum below the warning level; .90.
    pub drift_level: f64,
}

impl Default for EddmOptions {
    fn default() -> Self {
        Self { min_errors: 30, min_values: 30, warning_level: 0.95, drift_level: 0.9 }
    }
}

impl EddmOptions {
    fn check(&self) -> Result<()> {
        require("min_errors", self.min_errors, self.min_errors >= 2, "2 or more")?;
        require("min_values", self.min_values, self.min_values >= 1, "1 or more")?;
        open_probability("warning_level", self.warning_level)?;
        open_probability("drift_level", self.drift_level)?;
        let below = self.drift_level < self.warning_level;
        require(
            "drift_level",
            self.drift_level,
            below,
            &format!("less than warning_level, {}", self.warning_level),
        )
    }
}

/// The early drift detection method: how far apart the errors of a model are.
///
/// With the mean `p'` and the standard deviation `s'` of the numbers of values between two errors,
/// it remembers the maximum of `p' + 2 s'` and compares `(p' + 2 s') / max` with the two levels at
/// every error from the 30th on; between errors the last answer stands, and after a drift it begins
/// anew. Only a rise of the error rate is seen. It takes 0 and 1 (an error); `O(1)` a value. Its
/// statistic is that ratio.
///
/// The standard deviation divides by the number of errors, as `frouros` `EDDM` and MOA do;
/// `river.drift.binary.EDDM` divides by one less and so sees changes at other places, and does not
/// take a warning back when a new maximum is reached.
///
/// # References
/// Baena-García, del Campo-Ávila, Fidalgo, Bifet, Gavaldà, Morales-Bueno (2006), "Early drift
/// detection method", IWKDDS.
#[derive(Clone, Debug, PartialEq)]
pub struct Eddm {
    options: EddmOptions,
    clock: Clock,
    seen: Distances,
}

/// The distances since the start or the last drift.
#[derive(Clone, Debug, Default, PartialEq)]
struct Distances {
    values: u64,
    last_error: u64,
    errors: u64,
    mean: f64,
    /// The sum of squared differences from the mean.
    squares: f64,
    most: f64,
    ratio: Option<f64>,
}

impl Eddm {
    #[expect(clippy::unnecessary_wraps, reason = "others can fail here")]
    fn start(options: EddmOptions) -> Result<Self> {
        Ok(Self { options, clock: Clock::default(), seen: Distances::default() })
    }

    /// The mean distance between errors since the start or the last drift; `None` before the first.
    pub fn mean_distance(&self) -> Option<f64> {
        (self.seen.errors > 0).then_some(self.seen.mean)
    }

    fn push(&mut self, x: f64) -> Signal {
        let (seen, options) = (&mut self.seen, &self.options);
        seen.values += 1;
        if x != 0.0 {
            let distance = (seen.values - seen.last_error) as f64;
            seen.last_error = seen.values;
            seen.errors += 1;
            let from_old = distance - seen.mean;
            seen.mean += from_old / seen.errors as f64;
            seen.squares += from_old * (distance - seen.mean);
            if seen.values >= options.min_values {
                let sd = (seen.squares / seen.errors as f64).sqrt();
                let spread = seen.mean + 2.0 * sd;
                seen.most = seen.most.max(spread);
                if seen.errors >= options.min_errors {
                    seen.ratio = Some(spread / seen.most);
                }
            }
        }
        let below = |level| seen.ratio.is_some_and(|ratio| ratio < level);
        Signal::of(below(options.drift_level), below(options.warning_level))
    }

    fn forget(&mut self) {
        self.restart();
    }

    fn restart(&mut self) {
        self.seen = Distances::default();
    }

    fn level(&self) -> Option<f64> {
        self.seen.ratio
    }

    fn put(&self, out: &mut Vec<u8>) {
        for count in [self.seen.values, self.seen.last_error, self.seen.errors] {
            put_u64(out, count);
        }
        for number in [self.seen.mean, self.seen.squares, self.seen.most] {
            put_f64(out, number);
        }
        put_u8(out, self.seen.ratio.is_some().into());
        if let Some(ratio) = self.seen.ratio {
            put_f64(out, ratio);
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> Result<()> {
        let mut count = || take_count(bytes);
        let (values, last_error, errors) = (count()?, count()?, count()?);
        if errors > last_error || last_error > values {
            return Err(bad(bytes, "errors among the values", errors));
        }
        let mut number = || take_not_negative(bytes);
        let (mean, squares, most) = (number()?, number()?, number()?);
        let ratio = match take_u8(bytes)? {
            0 => None,
            1 => Some(take_not_negative(bytes)?),
            other => return Err(bad(bytes, "0 or 1", other)),
        };
        self.seen = Distances { values, last_error, errors, mean, squares, most, ratio };
        Ok(())
    }
}

stream_detector!(Eddm(EddmOptions), "eddm", 1, Input::Binary);
