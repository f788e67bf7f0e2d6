//! Tests of two variances: the F test and Bartlett's from moments, Levene's and that of Brown and
//! Forsythe on arrays.

use std::fmt;

use arrow::array::{Array, Float64Array};
use mlops_core::states::Moments;
use mlops_core::stats::{chi_square_sf, f_sf};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::alternative::Alternative;
use crate::statistics::sample_moments::SampleMoments;
use crate::statistics::t_test::pooled_t;

/// What a test of two spreads found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VarianceTest {
    /// The statistic of the test that was asked for.
    pub statistic: f64,
    /// P of a statistic this extreme where the spreads are the same.
    pub p_value: f64,
    /// The current spread over the reference's: of variances, or for [`levene`] of mean absolute
    /// deviations from the centre. `None` where the reference has none.
    pub ratio: Option<f64>,
}

impl fmt::Display for VarianceTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statistic {:.4}, p = {:.4e}", self.statistic, self.p_value)?;
        match self.ratio {
            Some(ratio) => write!(f, ", ratio of spreads {ratio:.4}"),
            None => Ok(()),
        }
    }
}

fn checked(
    what: &str,
    reference: SampleMoments,
    current: SampleMoments,
) -> Result<(SampleMoments, SampleMoments)> {
    let (reference, current) = (reference.checked("reference")?, current.checked("current data")?);
    if reference.variance > 0.0 && current.variance > 0.0 {
        Ok((reference, current))
    } else {
        Err(Error::undefined(what, "a side is constant"))
    }
}

/// Degrees of freedom that the tails can take.
fn bounded(freedom: f64) -> f64 {
    freedom.min(1e11)
}

/// The F test that two normal samples have one variance: `F = s² / u²`, current over reference.
///
/// Two-sided: twice the smaller tail, as R's `var.test`; one-sided `scipy.stats.f.sf(F, m − 1,
/// n − 1)` and `.cdf`. It takes the samples to be normal and does not forgive if they are not, at
/// any sample size: of undrifted exponential data 30 % are rejected at 5 %. Prefer [`levene`] where
/// the rows are at hand.
///
/// ```
/// use mlops_drift::statistics::{Alternative, SampleMoments, f_test};
/// let reference = SampleMoments { n: 13, mean: 0.0, variance: 39.0 };
/// let current = SampleMoments { n: 11, mean: 0.0, variance: 87.75 };
/// let test = f_test(reference, current, Alternative::TwoSided)?;
/// assert_eq!(test.statistic, 2.25);
/// assert!((test.p_value - 0.1847773592753322).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with fewer than two values or without spread, and where the ratio
/// is beyond the range of floats;
/// [`Error::Invalid`] for moments that no sample has.
pub fn f_test(
    reference: SampleMoments,
    current: SampleMoments,
    alternative: Alternative,
) -> Result<VarianceTest> {
    let (reference, current) = checked("F of two variances", reference, current)?;
    let statistic = current.variance / reference.variance;
    if statistic == 0.0 || !statistic.is_finite() {
        return Err(Error::undefined("F of two variances", "their ratio is beyond floats"));
    }
    let (m, n) = (bounded(current.freedom()), bounded(reference.freedom()));
    let greater = || f_sf(statistic, m, n);
    let less = || f_sf(reference.variance / current.variance, n, m);
    let p_value = match alternative {
        Alternative::TwoSided => (2.0 * greater()?.min(less()?)).min(1.0),
        Alternative::Less => less()?,
        Alternative::Greater => greater()?,
    };
    Ok(VarianceTest { statistic, p_value, ratio: Some(statistic) })
}

/// Bartlett's test that two normal samples have one variance: the likelihood ratio of their
/// variances with his correction, χ² with one degree of freedom. Two-sided.
///
/// `scipy.stats.bartlett(current, reference)`. Like [`f_test`] it takes the samples to be normal.
///
/// # Errors
/// As [`f_test`].
///
/// # References
/// Bartlett (1937), doi:10.1098/rspa.1937.0109.
pub fn bartlett(reference: SampleMoments, current: SampleMoments) -> Result<VarianceTest> {
    let (reference, current) = checked("Bartlett's test", reference, current)?;
    let (m, n) = (current.freedom(), reference.freedom());
    let ratio = current.variance / reference.variance;
    // Each variance over the pooled one, less 1. Weighed by degrees of freedom they sum to 0, so
    // that d − ln(1 + d) may stand for −ln(1 + d), which would cancel.
    let pooled = m / (m + n) * ratio + n / (m + n);
    let apart = (current.variance - reference.variance) / reference.variance / pooled;
    let of_current = left_of_log(n / (m + n) * apart, ratio / pooled);
    let of_reference = left_of_log(-m / (m + n) * apart, 1.0 / pooled);
    let correction = 1.0 + (1.0 / m + 1.0 / n - 1.0 / (m + n)) / 3.0;
    let statistic = (m * of_current + n * of_reference) / correction;
    if !statistic.is_finite() {
        return Err(Error::undefined("Bartlett's test", "the variances' ratio is beyond floats"));
    }
    Ok(VarianceTest { statistic, p_value: chi_square_sf(statistic, 1.0)?, ratio: Some(ratio) })
}

/// `d − ln(1 + d) ≥ 0` without cancellation for small d, with `1 + d` given apart.
fn left_of_log(d: f64, one_and_d: f64) -> f64 {
    if d.abs() > 0.1 {
        return d - one_and_d.ln();
    }
    // d²/2 − d³/3 + d⁴/4 − …, whose terms fall by ten.
    let (mut sum, mut power) = (0.0, d * d);
    for k in 2u8..=20 {
        sum += power / f64::from(k);
        power *= -d;
    }
    sum
}

/// The middle from which [`levene`] takes deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Centre {
    /// The median: Brown and Forsythe's test, which holds its level for skewed data. scipy's
    /// default.
    #[default]
    Median,
    /// The mean: Levene's own, for symmetric data. Of undrifted exponential data it rejects 15 %
    /// at 5 %.
    Mean,
}

/// Levene's test that two samples have one spread: the analysis of variance of absolute deviations
/// from each sample's centre. With the [median](Centre::Median) it is Brown and Forsythe's.
///
/// `scipy.stats.levene(current, reference, center="median")`. Two-sided; `F` with 1 and
/// `n + m − 2` degrees of freedom. Nulls are left out. The same bits in any order of the values.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_drift::statistics::{Centre, levene};
/// let reference = Float64Array::from(vec![8.88, 9.12, 9.04, 8.98, 9.00, 9.08, 9.01, 8.85, 9.06, 8.99]);
/// let current = Float64Array::from(vec![8.95, 9.12, 8.95, 8.85, 9.03, 8.84, 9.07, 8.98, 8.86, 8.98]);
/// let test = levene(&reference, &current, Centre::Median)?;
/// assert!((test.p_value - 0.627579762399721).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with fewer than two values, with NaN or infinities, and where
/// all deviations of each side are the same (of constants, say).
///
/// # References
/// Levene (1960), in *Contributions to Probability and Statistics*; Brown & Forsythe (1974),
/// doi:10.1080/01621459.1974.10482955.
pub fn levene(
    reference: &Float64Array,
    current: &Float64Array,
    centre: Centre,
) -> Result<VarianceTest> {
    let (reference, current) = (deviations(reference, centre)?, deviations(current, centre)?);
    // Of two groups F is the square of the pooled t.
    let test = pooled_t(reference, current, Alternative::TwoSided)
        .map_err(|error| error.within("Levene's test"))?;
    let ratio = (reference.mean > 0.0).then(|| current.mean / reference.mean);
    Ok(VarianceTest { statistic: test.statistic.powi(2), p_value: test.p_value, ratio })
}

fn deviations(values: &Float64Array, centre: Centre) -> Result<SampleMoments> {
    let of = SampleMoments::of(values)?;
    let mut values: Vec<f64> = if values.null_count() == 0 {
        values.values().to_vec()
    } else {
        values.iter().flatten().collect()
    };
    let centre = match centre {
        Centre::Mean => of.mean,
        Centre::Median => {
            let half = values.len() / 2;
            let (below, &mut upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
            let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
            if of.n % 2 == 1 { upper } else { f64::midpoint(lower, upper) }
        }
    };
    for x in &mut values {
        *x = (*x - centre).abs();
    }
    SampleMoments::from_moments(&Moments::of(&values))
}
