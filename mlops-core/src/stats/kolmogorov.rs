//! p-values of the two-sample Kolmogorov–Smirnov statistic.

use std::f64::consts::PI;

use crate::{Error, Result};

/// The exact count of paths is done where it takes at most this many cells (some 0.1 s).
const MAX_CELLS: f64 = (1_u64 << 24) as f64;
/// Equal sample sizes have a closed form of this many steps at most.
const MAX_EQUAL: u64 = 1 << 22;

/// P(K > x) of the limiting distribution of √(nm/(n+m)) · D; 1 for x ≤ 0 and NaN for NaN.
///
/// The series with terms e^(−2k²x²), or for small x its theta transform; a few terms of either
/// give every digit, so it always ends. `scipy.special.kolmogorov`.
///
/// ```
/// use mlops_core::stats::kolmogorov_sf;
/// assert_eq!(kolmogorov_sf(0.0), 1.0);
/// assert!((kolmogorov_sf(1.3580986393225505) - 0.05).abs() < 1e-15);
/// ```
pub fn kolmogorov_sf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x <= 0.0 {
        return 1.0;
    }
    if x < 0.8 {
        let scale = PI * PI / (8.0 * x * x);
        let sum: f64 = [7.0, 5.0, 3.0, 1.0_f64].map(|k| (-k * k * scale).exp()).iter().sum();
        return 1.0 - (2.0 * PI).sqrt() / x * sum;
    }
    let sum: f64 = (1..=6_u8)
        .rev()
        .map(|k| {
            let term = (-2.0 * f64::from(k).powi(2) * x * x).exp();
            if k % 2 == 1 { term } else { -term }
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The asymptotic p-value: P(D ≥ d) from [`kolmogorov_sf`] at √(nm/(n+m)) · d.
///
/// `scipy.stats.kstwobign.sf`. For samples below some hundreds of rows it is a little too large.
///
/// # Errors
/// [`Error::Undefined`] where a sample is empty; [`Error::Invalid`] where d is not in \[0, 1\].
pub fn ks_two_sample_asymptotic(d: f64, n: u64, m: u64) -> Result<f64> {
    check(d, n, m)?;
    let (n, m) = (n as f64, m as f64);
    Ok(kolmogorov_sf((n / (n + m) * m).sqrt() * d))
}

/// The exact p-value: the share of the arrangements of n and m untied values whose statistic is
/// at least d. With ties it is too large, never too small.
///
/// All terms are positive, so the relative accuracy holds down to 10⁻³⁰⁰. O(n·m), O(n) where the
/// sizes are equal. `scipy.stats.ks_2samp(method="exact")`; Hodges 1958, doi:10.1007/BF02589501.
///
/// # Errors
/// [`Error::Undefined`] where a sample is empty; [`Error::Invalid`] where d is not in \[0, 1\] or
/// n·m is beyond 10⁹.
///
/// ```
/// use mlops_core::stats::ks_two_sample_exact;
/// // Two samples of three lie apart in 2 of 20 arrangements.
/// assert!((ks_two_sample_exact(1.0, 3, 3)? - 0.1).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn ks_two_sample_exact(d: f64, n: u64, m: u64) -> Result<f64> {
    check(d, n, m)?;
    if n == m && n <= MAX_EQUAL {
        return Ok(equal_sizes((d * n as f64).round() as u64, n));
    }
    if u128::from(n) * u128::from(m) > 1_000_000_000 {
        return Err(Error::invalid(
            "the exact two-sample KS p-value",
            "sizes whose product is at most 1e9",
            format_args!("{n} and {m}"),
        ));
    }
    Ok(crossing_paths(d, n, m))
}

/// The p-value of a two-sample KS statistic d, for sizes n and m in either order.
///
/// Exact where both samples have at most 10 000 rows, as `scipy.stats.ks_2samp` chooses, and also
/// beyond where that is quick; else asymptotic. One exception keeps the time below some 0.1 s:
/// from about 4 000 rows each (unequal), a d so large that p is far below 10⁻²⁰ is asymptotic too.
///
/// # Errors
/// [`Error::Undefined`] where a sample is empty; [`Error::Invalid`] where d is not in \[0, 1\].
///
/// ```
/// use mlops_core::stats::ks_two_sample_p;
/// assert_eq!(ks_two_sample_p(0.0, 1_000_000, 2_000_000)?, 1.0);
/// assert_eq!(ks_two_sample_p(0.0, 10_000_000, 10_000_000)?, 1.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn ks_two_sample_p(d: f64, n: u64, m: u64) -> Result<f64> {
    check(d, n, m)?;
    let band = n as f64 * m as f64 * (2.0 * d).min(1.0);
    let small = (n == m && n <= MAX_EQUAL) || (n.max(m) <= 1 << 24 && band <= MAX_CELLS);
    if small { ks_two_sample_exact_unchecked(d, n, m) } else { ks_two_sample_asymptotic(d, n, m) }
}

fn ks_two_sample_exact_unchecked(d: f64, n: u64, m: u64) -> Result<f64> {
    let equal = n == m && n <= MAX_EQUAL;
    if equal { ks_two_sample_exact(d, n, m) } else { Ok(crossing_paths(d, n, m)) }
}

fn check(d: f64, n: u64, m: u64) -> Result<()> {
    if n == 0 || m == 0 {
        return Err(Error::undefined("the two-sample KS p-value", "a sample is empty"));
    }
    if !(0.0..=1.0).contains(&d) {
        return Err(Error::invalid("the two-sample KS statistic", "a number in [0, 1]", d));
    }
    Ok(())
}

/// 2 Σ (−1)^(k−1) C(2n, n−kh) / C(2n, n) by Horner, from the innermost term out.
fn equal_sizes(h: u64, n: u64) -> f64 {
    if h == 0 {
        return 1.0;
    }
    let mut p = 0.0;
    for k in (0..n / h).rev() {
        let mut ratio = 1.0;
        for j in 0..h {
            ratio *= (n - k * h - j) as f64 / (n + k * h + j + 1) as f64;
        }
        p = ratio * (1.0 - p);
    }
    (2.0 * p).clamp(0.0, 1.0)
}

/// The probability that a random path from (0, 0) to (n, m) leaves the band |i/n − j/m| < d.
///
/// Backwards from its end, a path came to (i, j) from (i−1, j) with probability i/(i+j), so the
/// probability of having left before (i, j) is a mean of two. Outside the band it is 1, and only
/// cells in the band are visited.
fn crossing_paths(d: f64, n: u64, m: u64) -> f64 {
    // The statistic is a multiple of 1/lcm(n, m); integers decide what is outside.
    let divisor = greatest_common_divisor(n, m);
    let (n_step, m_step) = (n / divisor, m / divisor);
    let least = (d * n_step as f64 * m as f64).round() as u64;
    if least == 0 {
        return 1.0;
    }
    // Rows run over the longer sample so that a row of cells is short.
    let (n, m, n_step, m_step) =
        if n >= m { (n, m, n_step, m_step) } else { (m, n, m_step, n_step) };
    let mut left = vec![1.0_f64; m as usize + 1];
    let mut last = 1.0;
    for i in 0..=n {
        // Inside: |i·m_step − j·n_step| < least.
        let here = i * m_step;
        let first = if here < least { 0 } else { (here - least) / n_step + 1 };
        let end = ((here + least).div_ceil(n_step)).min(m + 1);
        let mut before = 1.0;
        for j in first..end {
            let cell = &mut left[j as usize];
            *cell = if i == 0 && j == 0 {
                0.0
            } else if j == 0 {
                *cell
            } else if i == 0 {
                before
            } else {
                let (i, j) = (i as f64, j as f64);
                (i * *cell + j * before) / (i + j)
            };
            before = *cell;
        }
        last = if first <= m && end > m { left[m as usize] } else { 1.0 };
    }
    last.clamp(0.0, 1.0)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The share of all arrangements with a statistic of at least `d`, one by one.
    fn enumerated(d: f64, n: u64, m: u64) -> f64 {
        let (mut all, mut beyond) = (0_u64, 0_u64);
        for mask in 0_u64..1 << (n + m) {
            if u64::from(mask.count_ones()) != n {
                continue;
            }
            let (mut i, mut j, mut widest) = (0_u64, 0_u64, 0_u64);
            for bit in 0..n + m {
                if mask >> bit & 1 == 1 {
                    i += 1;
                } else {
                    j += 1;
                }
                widest = widest.max((i * m).abs_diff(j * n));
            }
            all += 1;
            beyond += u64::from(widest as f64 >= d * (n * m) as f64 - 1e-9);
        }
        beyond as f64 / all as f64
    }

    #[test]
    fn every_small_case_equals_its_enumeration() {
        for (n, m) in [(1, 1), (1, 4), (3, 2), (4, 4), (5, 3), (6, 4), (4, 7), (5, 5)] {
            for k in 0..=n * m {
                let d = k as f64 / (n * m) as f64;
                let exact = ks_two_sample_exact(d, n, m).unwrap();
                // d is rounded to the grid of the statistic; only points of it are compared.
                let lcm = n * m / greatest_common_divisor(n, m);
                if (k * lcm).is_multiple_of(n * m) {
                    let truth = enumerated(d, n, m);
                    assert!((exact - truth).abs() < 1e-14, "D={d} {n} {m}: {exact} {truth}");
                }
            }
        }
    }

    #[test]
    fn sizes_swap_and_the_closed_form_agrees_with_the_paths() {
        for (n, d) in [(30_u64, 0.3), (200, 0.1), (200, 0.7), (1000, 0.05)] {
            let d = (d * n as f64).round() / n as f64;
            let closed = ks_two_sample_exact(d, n, n).unwrap();
            assert!((crossing_paths(d, n, n) / closed - 1.0).abs() < 1e-11);
        }
        let one = ks_two_sample_exact(0.4, 17, 230).unwrap();
        let other = ks_two_sample_exact(0.4, 230, 17).unwrap();
        assert!((one / other - 1.0).abs() < 1e-12);
    }

    #[test]
    fn it_always_ends() {
        for d in [0.0, 1e-300, 0.5, 1.0] {
            for n in [1, 10_000, 1 << 40, u64::MAX] {
                for m in [1, 9_999, u64::MAX] {
                    let p = ks_two_sample_p(d, n, m).unwrap();
                    assert!((0.0..=1.0).contains(&p));
                    assert!(d > 0.0 || p == 1.0);
                }
            }
        }
        assert!(ks_two_sample_p(0.5, 0, 3).is_err());
        assert!(ks_two_sample_p(f64::NAN, 3, 3).is_err());
        assert!(ks_two_sample_p(1.5, 3, 3).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_falls_with_d(d in 0.0..1.0_f64, step in 0.0..0.2_f64, n in 1_u64..300, m in 1_u64..300) {
            let p = ks_two_sample_p(d, n, m).unwrap();
            let q = ks_two_sample_p((d + step).min(1.0), n, m).unwrap();
            prop_assert!((0.0..=1.0).contains(&p) && q <= p * (1.0 + 1e-12));
        }

        #[test]
        fn the_limit_falls(x in 0.0..10.0_f64, step in 0.0..0.5_f64) {
            prop_assert!(kolmogorov_sf(x + step) <= kolmogorov_sf(x) + 1e-15);
        }
    }
}
