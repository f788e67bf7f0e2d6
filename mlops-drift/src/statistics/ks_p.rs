//! p-values of the two-sample Kolmogorov–Smirnov statistics, two- and one-sided.

use mlops_core::stats::{ks_two_sample_asymptotic, ks_two_sample_exact};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::alternative::Alternative;

/// A p-value, and whether it is exact or asymptotic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KsP {
    /// P of a statistic this large or larger where both samples have one continuous distribution.
    pub p_value: f64,
    /// Whether it was counted out; else it is the limiting law's.
    pub exact: bool,
}

/// The exact p-value is counted where this many steps suffice: some 0.1 s.
const MOST_STEPS: f64 = (1u64 << 24) as f64;
/// Equal sizes have closed forms of at most this many steps.
const MOST_EQUAL: u64 = 1 << 22;
/// The count of paths takes sizes with a product up to this.
const MOST_PRODUCT: u128 = 1_000_000_000;

/// The p-value of `d`, one of the statistics `D`, `D⁺` (greater) and `D⁻` (less), for samples of
/// `n` and `m` values.
///
/// Exact, by the count of lattice paths, where that takes at most some 0.1 s: equal sizes up to
/// 4 million, others up to 4,000 a side at least (two-sided, and further the smaller `d` is).
/// Otherwise asymptotic: two-sided by Kolmogorov's law, one-sided by `exp(−2z² − 2z (m + 2n) /
/// (3 √(mn(m + n))))` with `z = d √(mn/(m + n))` and `m ≥ n`. All terms are positive or alternate
/// and fall fast, so that tails keep their digits down to 10⁻³⁰⁰. With ties it is too large rather
/// than too small.
///
/// `scipy.stats.ks_2samp(alternative=…)`; exact and asymptotic as its `method`, but for the
/// two-sided asymptotic one, which is `scipy.stats.kstwobign.sf`.
///
/// ```
/// use mlops_drift::statistics::{Alternative, ks_p_value};
/// // Two samples of three that do not overlap: 2 of 20 arrangements, 1 in the one direction.
/// assert!((ks_p_value(1.0, 3, 3, Alternative::TwoSided)?.p_value - 0.1).abs() < 1e-15);
/// assert!((ks_p_value(1.0, 3, 3, Alternative::Less)?.p_value - 0.05).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for an empty sample; [`Error::Invalid`] for a `d` outside [0, 1].
///
/// # References
/// Hodges (1958), doi:10.1007/BF02589501; Gnedenko & Korolyuk (1951).
pub fn ks_p_value(d: f64, n: u64, m: u64, alternative: Alternative) -> Result<KsP> {
    let product = n as f64 * m as f64;
    let fits = u128::from(n) * u128::from(m) <= MOST_PRODUCT;
    let equal = n == m && n <= MOST_EQUAL;
    if alternative == Alternative::TwoSided {
        let exact = equal || (fits && product * (2.0 * d).min(1.0) <= MOST_STEPS);
        let law = if exact { ks_two_sample_exact } else { ks_two_sample_asymptotic };
        return Ok(KsP { p_value: law(d, n, m)?, exact });
    }
    if n == 0 || m == 0 {
        return Err(Error::undefined("the two-sample KS p-value", "a sample is empty"));
    }
    if !(0.0..=1.0).contains(&d) {
        return Err(Error::invalid("the two-sample KS statistic", "a number in [0, 1]", d));
    }
    if equal {
        return Ok(KsP { p_value: equal_one_sided((d * n as f64).round() as u64, n), exact: true });
    }
    if fits && product <= 2.0 * MOST_STEPS {
        // P(D⁺ ≥ d) and P(D⁻ ≥ d) are the same: the arrangement read backwards.
        return Ok(KsP { p_value: one_sided_paths(d, n, m), exact: true });
    }
    let (large, small) = (n.max(m) as f64, n.min(m) as f64);
    let z = d * (large / (large + small) * small).sqrt();
    // m n (m + n) could overflow nothing but is no integer any more.
    let correction = (large + 2.0 * small) / (large * small * (large + small)).sqrt() / 3.0;
    Ok(KsP { p_value: (-2.0 * z * (z + correction)).exp().min(1.0), exact: false })
}

/// `C(2n, n − h) / C(2n, n)`.
fn equal_one_sided(h: u64, n: u64) -> f64 {
    let mut p = 1.0;
    for j in 0..h {
        p *= (n - j) as f64 / (n + j + 1) as f64;
        // Subnormal products round to themselves, slowly.
        if p < f64::MIN_POSITIVE {
            return 0.0;
        }
    }
    p
}

/// The probability that a random path from (0, 0) to (n, m) reaches `i/n − j/m ≥ d`.
///
/// Backwards from its end: it came to (i, j) from (i−1, j) with probability i/(i+j).
fn one_sided_paths(d: f64, n: u64, m: u64) -> f64 {
    let divisor = divisor(n, m);
    let (n_step, m_step) = (n / divisor, m / divisor);
    // The statistic is a multiple of 1/lcm(n, m).
    let least = (d * n_step as f64 * m as f64).round() as u64;
    if least == 0 {
        return 1.0;
    }
    let mut reached = vec![0.0f64; m as usize + 1];
    for i in 0..=n {
        // Reached: i·m_step − j·n_step ≥ least.
        let here = i * m_step;
        let beyond = if here >= least { (here - least) / n_step + 1 } else { 0 }.min(m + 1);
        reached[..beyond as usize].fill(1.0);
        let mut before = if beyond > 0 { 1.0 } else { 0.0 };
        for j in beyond..=m {
            let cell = &mut reached[j as usize];
            if i + j > 0 {
                *cell = (i as f64 * *cell + j as f64 * before) / (i + j) as f64;
            }
            before = *cell;
        }
    }
    reached[m as usize].clamp(0.0, 1.0)
}

pub(crate) fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_case_equals_its_enumeration() {
        for (n, m) in [(1u64, 1u64), (1, 4), (3, 2), (4, 4), (5, 3), (6, 4), (4, 7)] {
            for k in 0..=n * m {
                let d = k as f64 / (n * m) as f64;
                if !(k * (n * m / divisor(n, m))).is_multiple_of(n * m) {
                    continue;
                }
                let (mut all, mut beyond) = (0u64, 0u64);
                for mask in (0u64..1 << (n + m)).filter(|mask| u64::from(mask.count_ones()) == n) {
                    let (mut i, mut j, mut most) = (0u64, 0u64, 0i64);
                    for bit in 0..n + m {
                        if mask >> bit & 1 == 1 {
                            i += 1;
                        } else {
                            j += 1;
                        }
                        most = most.max((i * m) as i64 - (j * n) as i64);
                    }
                    all += 1;
                    beyond += u64::from(most >= k as i64);
                }
                let p = ks_p_value(d, n, m, Alternative::Greater).expect("a p-value");
                let truth = beyond as f64 / all as f64;
                assert!(p.exact && (p.p_value - truth).abs() < 1e-14, "{d} {n} {m}");
                assert!((one_sided_paths(d, n, m) - truth).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn asymptotics_come_near_the_exact_and_tails_stay_positive() {
        // Just beyond what is counted, against the count itself.
        let (n, m) = (7_000, 5_000);
        for d in [0.01, 0.02, 0.03] {
            let p = ks_p_value(d, n, m, Alternative::Less).expect("a p-value");
            let exact = one_sided_paths(d, n, m);
            assert!(!p.exact && (p.p_value / exact - 1.0).abs() < 0.02, "{} {exact}", p.p_value);
        }
        let far = ks_p_value(0.5, 1000, 1000, Alternative::Less).expect("a p-value").p_value;
        assert!(far > 1e-125 && far < 1e-110, "{far:e}");
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(ks_p_value(bad, 5, 6, Alternative::Less).is_err());
            assert!(ks_p_value(bad, 5, 6, Alternative::TwoSided).is_err());
        }
        assert!(ks_p_value(0.5, 0, 6, Alternative::Greater).is_err());
    }
}
