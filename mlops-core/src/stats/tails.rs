//! Tail probabilities and quantiles of the distributions that tests and intervals stand on.
//!
//! A survival function here is never `1 - cdf`: it keeps its relative accuracy (about 10⁻¹²) down
//! to where `f64` ends, so p-values of 10⁻²⁰⁰ can be ranked and corrected.

use super::incomplete::{self, Tails, binomial_density, crossing};
use crate::{Error, Result};

/// Degrees of freedom and shapes beyond this are refused: the fractions would run for seconds.
const MAX_SHAPE: f64 = 1e11;

fn shape(what: &str, value: f64) -> Result<f64> {
    if value > 0.0 && value <= MAX_SHAPE {
        Ok(value)
    } else {
        Err(Error::undefined(what, format!("it needs a number in (0, 1e11], not {value}")))
    }
}

fn number(what: &str, value: f64) -> Result<f64> {
    if value.is_nan() {
        return Err(Error::undefined(what, "its argument is NaN"));
    }
    Ok(value)
}

fn probability(what: &str, value: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Error::undefined(what, format!("{value} is no probability")))
    }
}

fn open_probability(what: &str, value: f64) -> Result<f64> {
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(Error::undefined(what, format!("it needs a probability in (0, 1), not {value}")))
    }
}

/// P(Z ≤ x) of the standard normal distribution; relative accuracy in the left tail. NaN for NaN.
///
/// `scipy.stats.norm.cdf`.
pub fn normal_cdf(x: f64) -> f64 {
    let half = normal_two_sided(x) / 2.0;
    if x > 0.0 { 1.0 - half } else { half }
}

/// P(Z > x) of the standard normal distribution; relative accuracy in the right tail. NaN for NaN.
///
/// `scipy.stats.norm.sf`.
///
/// ```
/// use mlops_core::stats::normal_sf;
/// assert_eq!(normal_sf(0.0), 0.5);
/// assert!((normal_sf(30.0) / 4.906713927148187e-198 - 1.0).abs() < 1e-12);
/// ```
pub fn normal_sf(x: f64) -> f64 {
    normal_cdf(-x)
}

/// P(|Z| ≥ |z|): the two-sided p-value of a z statistic. NaN for NaN.
pub fn normal_two_sided(z: f64) -> f64 {
    if z.is_nan() {
        return z;
    }
    // erfc(z/√2) is Q(½, z²/2), where the argument is rounded once.
    incomplete::gamma(0.5, z * z / 2.0).upper
}

/// The z with P(Z ≤ z) = p.
///
/// Wichura's AS 241 (1988, doi:10.2307/2347330), accurate to 10⁻¹⁵. `scipy.stats.norm.ppf`.
///
/// # Errors
/// [`Error::Undefined`] where p is not in (0, 1).
///
/// ```
/// use mlops_core::stats::normal_quantile;
/// assert!((normal_quantile(0.975)? - 1.959963984540054).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn normal_quantile(p: f64) -> Result<f64> {
    open_probability("the normal quantile", p).map(wichura)
}

/// AS 241, for p in (0, 1).
pub(super) fn wichura(p: f64) -> f64 {
    fn ratio(r: f64, numerator: [f64; 8], denominator: [f64; 8]) -> f64 {
        let at = |coefficients: [f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * r + c);
        at(numerator) / at(denominator)
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(
            0.180625 - q * q,
            [
                3.3871328727963666080,
                1.3314166789178437745e2,
                1.9715909503065514427e3,
                1.3731693765509461125e4,
                4.5921953931549871457e4,
                6.7265770927008700853e4,
                3.3430575583588128105e4,
                2.5090809287301226727e3,
            ],
            [
                1.0,
                4.2313330701600911252e1,
                6.8718700749205790830e2,
                5.3941960214247511077e3,
                2.1213794301586595867e4,
                3.9307895800092710610e4,
                2.8729085735721942674e4,
                5.2264952788528545610e3,
            ],
        );
    }
    let r = (-(if q < 0.0 { p } else { 1.0 - p }).ln()).sqrt();
    let z = if r <= 5.0 {
        ratio(
            r - 1.6,
            [
                1.42343711074968357734,
                4.63033784615654529590,
                5.76949722146069140550,
                3.64784832476320460504,
                1.27045825245236838258,
                2.41780725177450611770e-1,
                2.27238449892691845833e-2,
                7.74545014278341407640e-4,
            ],
            [
                1.0,
                2.05319162663775882187,
                1.67638483018380384940,
                6.89767334985100004550e-1,
                1.48103976427480074590e-1,
                1.51986665636164571966e-2,
                5.47593808499534494600e-4,
                1.05075007164441684324e-9,
            ],
        )
    } else {
        ratio(
            r - 5.0,
            [
                6.65790464350110377720,
                5.46378491116411436990,
                1.78482653991729133580,
                2.96560571828504891230e-1,
                2.65321895265761230930e-2,
                1.24266094738807843860e-3,
                2.71155556874348757815e-5,
                2.01033439929228813265e-7,
            ],
            [
                1.0,
                5.99832206555887937690e-1,
                1.36929880922735805310e-1,
                1.48753612908506148525e-2,
                7.86869131145613259100e-4,
                1.84631831751005468180e-5,
                1.42151175831644588870e-7,
                2.04426310338993978564e-15,
            ],
        )
    };
    z.copysign(q)
}

/// P(X > x) of the chi-square distribution; 1 for x ≤ 0.
///
/// `scipy.stats.chi2.sf`.
///
/// # Errors
/// [`Error::Undefined`] where x is NaN or the degrees of freedom are not in (0, 10¹¹].
///
/// ```
/// use mlops_core::stats::chi_square_sf;
/// assert!((chi_square_sf(3.841458820694124, 1.0)? - 0.05).abs() < 1e-14);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn chi_square_sf(x: f64, df: f64) -> Result<f64> {
    let df = shape("the chi-square tail", df)?;
    Ok(incomplete::gamma(df / 2.0, number("the chi-square tail", x)? / 2.0).upper)
}

fn student_tails(t: f64, df: f64) -> Result<Tails> {
    let what = "Student's t tail";
    let df = shape(what, df)?;
    let t = number(what, t)?;
    // Of the two shares, the smaller one is exact; t² may overflow, its ratio to df not.
    let ratio = (t.abs() / df.sqrt()).powi(2);
    let (x, y) =
        if ratio.is_infinite() { (0.0, 1.0) } else { (1.0 / (1.0 + ratio), ratio / (1.0 + ratio)) };
    Ok(incomplete::beta(df / 2.0, 0.5, x, y))
}

/// P(T > t) of Student's t distribution.
///
/// `scipy.stats.t.sf`.
///
/// # Errors
/// [`Error::Undefined`] where t is NaN or the degrees of freedom are not in (0, 10¹¹].
pub fn student_t_sf(t: f64, df: f64) -> Result<f64> {
    let tail = student_tails(t, df)?.lower / 2.0;
    Ok(if t >= 0.0 { tail } else { 1.0 - tail })
}

/// P(|T| ≥ |t|): the two-sided p-value of a t statistic.
///
/// # Errors
/// As [`student_t_sf`].
pub fn student_t_two_sided(t: f64, df: f64) -> Result<f64> {
    Ok(student_tails(t, df)?.lower)
}

/// The t with P(T ≤ t) = p.
///
/// `scipy.stats.t.ppf`.
///
/// # Errors
/// [`Error::Undefined`] where p is not in (0, 1) or the degrees of freedom are not in (0, 10¹¹].
pub fn student_t_quantile(p: f64, df: f64) -> Result<f64> {
    let p = open_probability("the quantile of Student's t", p)?;
    shape("the quantile of Student's t", df)?;
    if p == 0.5 {
        return Ok(0.0);
    }
    let tail = if p < 0.5 { p } else { 1.0 - p };
    let t = crossing(0.0, f64::MAX, tail, |t| student_t_sf(t, df).unwrap_or(0.0));
    Ok(if p < 0.5 { -t } else { t })
}

/// P(X > x) of the F distribution; 1 for x ≤ 0.
///
/// `scipy.stats.f.sf(x, numerator_df, denominator_df)`.
///
/// # Errors
/// [`Error::Undefined`] where x is NaN or degrees of freedom are not in (0, 10¹¹].
pub fn f_sf(x: f64, numerator_df: f64, denominator_df: f64) -> Result<f64> {
    let what = "the F tail";
    let (n, d) = (shape(what, numerator_df)?, shape(what, denominator_df)?);
    let x = number(what, x)?;
    if x <= 0.0 {
        return Ok(1.0);
    }
    let ratio = x * (n / d);
    let (low, high) =
        if ratio.is_infinite() { (0.0, 1.0) } else { (1.0 / (1.0 + ratio), ratio / (1.0 + ratio)) };
    Ok(incomplete::beta(d / 2.0, n / 2.0, low, high).lower)
}

/// P(X ≤ x) of the beta distribution; relative accuracy in the left tail.
///
/// `scipy.stats.beta.cdf`.
///
/// # Errors
/// [`Error::Undefined`] where x is NaN or a shape is not in (0, 10¹¹].
pub fn beta_cdf(x: f64, a: f64, b: f64) -> Result<f64> {
    let what = "the beta distribution";
    let (a, b) = (shape(what, a)?, shape(what, b)?);
    let x = number(what, x)?.clamp(0.0, 1.0);
    Ok(incomplete::beta(a, b, x, 1.0 - x).lower)
}

/// The x with P(X ≤ x) = p of the beta distribution, to the float.
///
/// `scipy.stats.beta.ppf`.
///
/// # Errors
/// [`Error::Undefined`] where p is no probability or a shape is not in (0, 10¹¹].
pub fn beta_quantile(p: f64, a: f64, b: f64) -> Result<f64> {
    let what = "the beta quantile";
    let (a, b) = (shape(what, a)?, shape(what, b)?);
    let p = probability(what, p)?;
    if p == 0.0 || p == 1.0 {
        return Ok(p);
    }
    // The tail on the side of the answer that is the smaller is the accurate one.
    let half = incomplete::beta(a, b, 0.5, 0.5).lower;
    Ok(if p <= half {
        crossing(0.0, 0.5, -p, |x| -incomplete::beta(a, b, x, 1.0 - x).lower)
    } else {
        let upper = 1.0 - p;
        1.0 - crossing(0.0, 0.5, -upper, |y| -incomplete::beta(a, b, 1.0 - y, y).upper)
    })
}

fn binomial_tails(what: &str, k: u64, n: u64, p: f64) -> Result<Tails> {
    let p = probability(what, p)?;
    if k >= n {
        return Ok(Tails { lower: 1.0, upper: 0.0 });
    }
    let above = shape(what, (n - k) as f64)?;
    Ok(incomplete::beta(k as f64 + 1.0, above, p, 1.0 - p).swap())
}

/// P(X ≤ k) of n draws that succeed with probability p.
///
/// `scipy.stats.binom.cdf`.
///
/// # Errors
/// [`Error::Undefined`] where p is no probability or n is beyond 10¹¹.
pub fn binomial_cdf(k: u64, n: u64, p: f64) -> Result<f64> {
    Ok(binomial_tails("the binomial distribution", k, n, p)?.lower)
}

/// P(X > k) of n draws that succeed with probability p; note that it leaves k itself out.
///
/// `scipy.stats.binom.sf`.
///
/// # Errors
/// [`Error::Undefined`] where p is no probability or n is beyond 10¹¹.
pub fn binomial_sf(k: u64, n: u64, p: f64) -> Result<f64> {
    Ok(binomial_tails("the binomial tail", k, n, p)?.upper)
}

/// P(X = k) of n draws that succeed with probability p; 0 for k > n.
///
/// `scipy.stats.binom.pmf`.
///
/// # Errors
/// [`Error::Undefined`] where p is no probability.
pub fn binomial_pmf(k: u64, n: u64, p: f64) -> Result<f64> {
    let p = probability("the binomial distribution", p)?;
    if k > n {
        return Ok(0.0);
    }
    if p == 0.0 || p == 1.0 {
        return Ok(f64::from(u8::from(k == if p == 0.0 { 0 } else { n })));
    }
    Ok(binomial_density(k as f64, (n - k) as f64, p, 1.0 - p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quantile_needs_a_probability() {
        for p in [-0.1, 0.0, 1.0, 1.1, f64::NAN, f64::INFINITY] {
            assert!(normal_quantile(p).is_err(), "{p}");
            assert!(student_t_quantile(p, 3.0).is_err(), "{p}");
        }
        for df in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert!(chi_square_sf(1.0, df).is_err(), "{df}");
            assert!(student_t_sf(1.0, df).is_err(), "{df}");
            assert!(f_sf(1.0, df, 1.0).is_err(), "{df}");
            assert!(beta_quantile(0.5, 1.0, df).is_err(), "{df}");
        }
        assert!(chi_square_sf(f64::NAN, 1.0).is_err());
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(chi_square_sf(0.0, 3.0).unwrap(), 1.0);
        assert_eq!(chi_square_sf(f64::INFINITY, 3.0).unwrap(), 0.0);
        assert_eq!(student_t_sf(f64::INFINITY, 3.0).unwrap(), 0.0);
        assert_eq!(student_t_sf(f64::NEG_INFINITY, 3.0).unwrap(), 1.0);
        assert_eq!(student_t_sf(0.0, 3.0).unwrap(), 0.5);
        assert_eq!(f_sf(f64::INFINITY, 3.0, 2.0).unwrap(), 0.0);
        assert_eq!(binomial_cdf(5, 5, 0.3).unwrap(), 1.0);
        assert_eq!(binomial_sf(0, 5, 0.0).unwrap(), 0.0);
        assert_eq!(binomial_pmf(5, 5, 1.0).unwrap(), 1.0);
        assert_eq!(normal_sf(f64::INFINITY), 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn tails_fall(x in 0.0..500.0_f64, step in 0.0..5.0_f64, df in 0.1..400.0_f64) {
            let chi = |x| chi_square_sf(x, df).unwrap();
            let t = |x| student_t_sf(x, df).unwrap();
            let f = |x| f_sf(x, df, 7.0).unwrap();
            for tail in [&chi as &dyn Fn(f64) -> f64, &t, &f, &normal_sf] {
                let (here, there) = (tail(x), tail(x + step));
                prop_assert!((0.0..=1.0).contains(&here));
                prop_assert!(there <= here * (1.0 + 1e-13), "{here} then {there}");
            }
        }

        #[test]
        fn quantiles_undo_tails(p in 1e-9..0.999_f64, a in 0.2..300.0_f64, b in 0.2..300.0_f64) {
            prop_assert!((normal_cdf(normal_quantile(p).unwrap()) / p - 1.0).abs() < 1e-13);
            let t = student_t_quantile(p, a).unwrap();
            let tail = if p < 0.5 { p } else { 1.0 - p };
            prop_assert!((student_t_sf(t.abs(), a).unwrap() / tail - 1.0).abs() < 1e-11);
            let x = beta_quantile(p, a, b).unwrap();
            // Near 1 the float grid itself is coarser than the tail.
            if x < 0.999 {
                prop_assert!((beta_cdf(x, a, b).unwrap() / p - 1.0).abs() < 1e-9);
            }
        }

        #[test]
        fn binomial_tails_are_sums(n in 1_u64..60, p in 0.0..1.0_f64, k in 0_u64..60) {
            let sum = |ks: std::ops::RangeInclusive<u64>| -> f64 {
                ks.map(|k| binomial_pmf(k, n, p).unwrap()).sum()
            };
            prop_assert!((binomial_cdf(k, n, p).unwrap() - sum(0..=k)).abs() < 1e-12);
            prop_assert!((binomial_sf(k, n, p).unwrap() - sum(k + 1..=n.max(k + 1))).abs() < 1e-12);
        }
    }
}
