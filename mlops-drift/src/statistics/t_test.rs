//! Student's and Welch's t tests of two means.

use std::fmt;

use mlops_core::stats::{student_t_sf, student_t_two_sided};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::alternative::Alternative;
use crate::statistics::sample_moments::SampleMoments;

/// What [`welch_t`] and [`pooled_t`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TTest {
    /// The difference of the means in its standard errors; above 0 where the current one is larger.
    pub statistic: f64,
    /// Of Student's law; Welch's are not whole.
    pub degrees_of_freedom: f64,
    /// P of a statistic this extreme where the means are the same.
    pub p_value: f64,
    /// The current mean less the reference's.
    pub difference: f64,
}

impl fmt::Display for TTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statistic, degrees_of_freedom, p_value, difference } = self;
        write!(
            f,
            "difference of means {difference:+.4}, t {statistic:.4} with {degrees_of_freedom:.1} \
             degrees of freedom, p = {p_value:.4e}"
        )
    }
}

/// Welch's t test that two samples have one mean, whatever their variances:
/// `t = (x̄ − ȳ) / √(s²/m + u²/n)`, with the current `x̄`, `s²`, `m` and the reference's `ȳ`, `u²`,
/// `n`; degrees of freedom by Satterthwaite.
///
/// `scipy.stats.ttest_ind(current, reference, equal_var=False, alternative=…)`, or
/// `ttest_ind_from_stats` with the roots of the variances. Normal samples are assumed, or large
/// ones: with heavy tails means are the last thing to compare.
///
/// ```
/// use mlops_drift::statistics::{Alternative, SampleMoments, welch_t};
/// let reference = SampleMoments { n: 13, mean: 15.0, variance: 87.5 };
/// let current = SampleMoments { n: 11, mean: 12.0, variance: 39.0 };
/// let test = welch_t(reference, current, Alternative::TwoSided)?;
/// assert!((test.statistic - -0.9358461935556048).abs() < 1e-14);
/// assert!((test.p_value - 0.35999818693244234).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with fewer than two values, and where both variances are 0 or numbers
/// are beyond the range of floats;
/// [`Error::Invalid`] for moments that no sample has.
///
/// # References
/// Welch (1947), doi:10.1093/biomet/34.1-2.28.
pub fn welch_t(
    reference: SampleMoments,
    current: SampleMoments,
    alternative: Alternative,
) -> Result<TTest> {
    let (reference, current) = (reference.checked("reference")?, current.checked("current data")?);
    let of = |side: SampleMoments| side.variance / side.n as f64;
    let (left, right) = (of(current), of(reference));
    let squared = left + right;
    // Shares of the variance, so that no square of it overflows.
    let (a, b) = (left / squared, right / squared);
    let freedom = 1.0 / (a * a / current.freedom() + b * b / reference.freedom());
    student(current.mean - reference.mean, squared, freedom, alternative)
}

/// Student's t test that two samples of one variance have one mean:
/// `t = (x̄ − ȳ) / √(v (1/m + 1/n))` with the pooled variance `v` of `n + m − 2` degrees of freedom.
///
/// `scipy.stats.ttest_ind(current, reference, alternative=…)`. Where the variances differ and the
/// sizes too, it does not hold its level: 20 % are rejected at 5 % where a fifth of the rows is
/// twice as wide. [`welch_t`] holds it, and gives little away.
///
/// # Errors
/// As [`welch_t`].
///
/// # References
/// Student (1908), doi:10.1093/biomet/6.1.1.
pub fn pooled_t(
    reference: SampleMoments,
    current: SampleMoments,
    alternative: Alternative,
) -> Result<TTest> {
    let (reference, current) = (reference.checked("reference")?, current.checked("current data")?);
    let freedom = current.freedom() + reference.freedom();
    let share = |side: SampleMoments| side.freedom() / freedom * side.variance;
    let pooled = share(current) + share(reference);
    let squared = pooled * (1.0 / current.n as f64 + 1.0 / reference.n as f64);
    student(current.mean - reference.mean, squared, freedom, alternative)
}

fn student(difference: f64, squared: f64, freedom: f64, side: Alternative) -> Result<TTest> {
    if squared <= 0.0 || !difference.is_finite() || !squared.is_finite() {
        let reason = "both sides are constant, or beyond the range of floats";
        return Err(Error::undefined("t of two means", reason));
    }
    let statistic = difference / squared.sqrt();
    if !statistic.is_finite() {
        return Err(Error::undefined("t of two means", "it is beyond the range of floats"));
    }
    // Beyond this the tail takes long, and is the normal one.
    let df = freedom.min(1e11);
    let p_value = match side {
        Alternative::TwoSided => student_t_two_sided(statistic, df)?,
        Alternative::Less => student_t_sf(-statistic, df)?,
        Alternative::Greater => student_t_sf(statistic, df)?,
    };
    Ok(TTest { statistic, degrees_of_freedom: freedom, p_value, difference })
}
