//! What tests of means and variances need to know of a sample.

use arrow::array::{Array, Float64Array};
use mlops_core::states::Moments;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// The size of a sample, its mean and its variance (of n − 1 degrees of freedom).
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_drift::statistics::SampleMoments;
/// let of = SampleMoments::of(&Float64Array::from(vec![Some(1.0), None, Some(2.0), Some(3.0)]))?;
/// assert_eq!((of.n, of.mean, of.variance), (3, 2.0, 1.0));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleMoments {
    /// How many values there are.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their variance, `Σ (x − mean)² / (n − 1)`.
    pub variance: f64,
}

impl SampleMoments {
    /// The moments of an array; nulls are left out. The same bits in any order of the values.
    ///
    /// # Errors
    /// [`Error::Undefined`] for fewer than two values, for NaN and infinities, and where the
    /// variance is beyond the range of floats.
    pub fn of(values: &Float64Array) -> Result<Self> {
        let mut moments = Moments::new();
        let left_out = if values.null_count() == 0 {
            moments.add_slice(values.values())
        } else {
            values.iter().flatten().map(|x| u64::from(!moments.add(x))).sum()
        };
        if left_out > 0 {
            return Err(undefined(format!("{left_out} values are NaN or infinite")));
        }
        Self::from_moments(&moments)
    }

    /// The moments of a state.
    ///
    /// # Errors
    /// [`Error::Undefined`] for fewer than two values, and where the variance is beyond the range
    /// of floats.
    pub fn from_moments(moments: &Moments) -> Result<Self> {
        let n = moments.n();
        match (moments.mean(), moments.variance(1)) {
            (Some(mean), Some(variance)) => Ok(Self { n, mean, variance }),
            _ if n < 2 => Err(undefined(format!("there are {n} values, and it takes two"))),
            _ => Err(undefined("the variance is beyond the range of floats")),
        }
    }

    /// These moments, if they can be those of a sample.
    pub(crate) fn checked(self, side: &str) -> Result<Self> {
        if self.n < 2 {
            let reason = format!("the {side} has {} values, and it takes two", self.n);
            return Err(undefined(reason));
        }
        if self.mean.is_finite() && self.variance.is_finite() && self.variance >= 0.0 {
            Ok(self)
        } else {
            Err(Error::invalid(
                format!("the moments of the {side}"),
                "finite numbers, and a variance that is not negative",
                format_args!("a mean of {} and a variance of {}", self.mean, self.variance),
            ))
        }
    }

    /// Degrees of freedom of the variance.
    pub(crate) fn freedom(self) -> f64 {
        (self.n - 1) as f64
    }
}

fn undefined(reason: impl Into<String>) -> Error {
    Error::undefined("a test of means or variances", reason)
}
