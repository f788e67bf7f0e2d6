//! Bins of equal width.

use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Bins of equal width for scores; what lies outside falls into the first or the last. Where too many
/// scores share a bin, what rests on their order is undefined: credit scores from 300 to 850 want
/// bins from 300 to 850.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bins {
    /// How many, from 1 to [`Bins::MAX`]; so many different scores are kept, too.
    pub n: u32,
    /// Where the first begins.
    pub low: f64,
    /// Where the last ends.
    pub high: f64,
}

impl Default for Bins {
    /// 1,000 bins of `[0, 1]`.
    fn default() -> Self {
        Self { n: 1000, low: 0.0, high: 1.0 }
    }
}

impl Bins {
    /// The most bins.
    pub const MAX: u32 = 1 << 16;

    /// So many bins from one number to a larger one.
    ///
    /// ```
    /// use mlops_fairness::Bins;
    /// let credit = Bins::new(1000, 300.0, 850.0)?;
    /// assert!(Bins::new(1000, 850.0, 300.0).is_err());
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for none or more than [`MAX`](Self::MAX), and for ends that are not finite
    /// or not ascending.
    pub fn new(n: u32, low: f64, high: f64) -> Result<Self> {
        let bins = Self { n, low, high };
        bins.check()?;
        Ok(bins)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let width = self.high - self.low;
        if self.n == 0 || self.n > Self::MAX || !(width > 0.0 && width.is_finite()) {
            let expected = format!("1 to {} bins from a number to a larger one", Self::MAX);
            return Err(Error::invalid("bins of scores", expected, format!("{self:?}")));
        }
        Ok(())
    }

    /// The bin of a score.
    pub(crate) fn of(&self, score: f64) -> usize {
        let at = (score - self.low) / (self.high - self.low) * f64::from(self.n);
        // Casts of floats stop at the ends of the range.
        (at as usize).min(self.n as usize - 1)
    }

    pub(crate) fn edge(&self, bin: usize) -> f64 {
        if bin >= self.n as usize {
            return self.high;
        }
        self.low + (self.high - self.low) * (bin as f64 / f64::from(self.n))
    }
}
