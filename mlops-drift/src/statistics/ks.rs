//! The two-sample Kolmogorov–Smirnov test: exact on two arrays, certified from counts at edges.

use std::fmt;

use arrow::array::Float64Array;
use mlops_core::stats::{Interval, ks_two_sample_asymptotic, ks_two_sample_exact};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::alternative::Alternative;
use crate::statistics::edge_counts::p_between;
use crate::statistics::ks_buckets::{self, Extremes, Wanted};
use crate::statistics::ks_p::{KsP, ks_p_value};
use crate::statistics::psi::checked_confidence;
use crate::statistics::tables::check;
use crate::statistics::two_samples::sorted;

/// What [`ks_two_sample`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KsTest {
    /// `D = max |F(x) − G(x)|` of the two empirical distribution functions, in [0, 1]; of a
    /// one-sided test its `D⁺` or `D⁻`.
    pub statistic: f64,
    /// P of a `D` this large or larger where both samples have one continuous distribution; with
    /// ties it is too large rather than too small.
    pub p_value: f64,
    /// Whether the p-value was counted out; else it is the limiting law's ([`ks_p_value`]).
    pub exact: bool,
    /// The departure that was looked for.
    pub alternative: Alternative,
    /// The values of the reference that were compared.
    pub n: u64,
    /// The current values that were compared.
    pub m: u64,
}

/// The two-sided two-sample Kolmogorov–Smirnov test on two arrays; nulls are left out.
///
/// `scipy.stats.ks_2samp(reference, current)`, with the p-value of [`ks_p_value`], with ties, slices,
/// −0 = +0 and infinities. `O((n + m) log(n + m))`; large samples are not sorted but counted, on the
/// caller's threads, and looked into where `D` can be.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// let reference = Float64Array::from(vec![1.0, 2.0, 3.0, 4.0, 5.0]);
/// let current = Float64Array::from(vec![Some(3.5), None, Some(4.5), Some(5.5), Some(6.5), Some(7.5)]);
/// let test = mlops_drift::statistics::ks_two_sample(&reference, &current)?;
/// assert_eq!((test.statistic, test.n, test.m), (0.6, 5, 5));
/// assert!((test.p_value - 0.35714285714285715).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] if a side has no values or holds NaN, which has no place in an order.
///
/// # References
/// Smirnov (1948), doi:10.1214/aoms/1177730256; Hodges (1958), doi:10.1007/BF02589501.
pub fn ks_two_sample(reference: &Float64Array, current: &Float64Array) -> Result<KsTest> {
    ks_one_sided(reference, current, Alternative::TwoSided)
}

/// The test with an alternative: `Less` asks whether the current values are further left than the
/// reference's somewhere (`D⁻ = max G − F`), `Greater` whether they are further right
/// (`D⁺ = max F − G`).
///
/// `scipy.stats.ks_2samp(reference, current, alternative=…)`, whose words are about the distribution
/// *functions* of its first sample and come to the same; nulls are left out.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_drift::statistics::{Alternative, ks_one_sided};
/// let (small, large) = (Float64Array::from(vec![1.0, 2.0]), Float64Array::from(vec![3.0, 4.0]));
/// let test = ks_one_sided(&small, &large, Alternative::Greater)?;
/// assert_eq!(test.statistic, 1.0);
/// assert!((test.p_value - 1.0 / 6.0).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// As [`ks_two_sample`].
pub fn ks_one_sided(
    reference: &Float64Array,
    current: &Float64Array,
    alternative: Alternative,
) -> Result<KsTest> {
    KsTest::of(extremes("ks", reference, current, alternative.into())?, alternative)
}

/// The wanted extremes of F − G, by sorting where that is quicker than counting.
pub(crate) fn extremes(
    what: &str,
    reference: &Float64Array,
    current: &Float64Array,
    wanted: Wanted,
) -> Result<Extremes> {
    if reference.len() + current.len() < ks_buckets::WORTHWHILE {
        let x = sorted(what, "reference", reference)?;
        Ok(Extremes::of_sorted(&x, &sorted(what, "current data", current)?))
    } else {
        ks_buckets::of_arrays(reference, current, wanted)
    }
}

impl KsTest {
    /// The test from the extremes, whichever way they were found.
    pub(crate) fn of(extremes: Extremes, alternative: Alternative) -> Result<Self> {
        let Extremes { n, m, plus, minus } = extremes;
        let statistic = match alternative {
            Alternative::TwoSided => plus.max(minus),
            Alternative::Greater => plus,
            Alternative::Less => minus,
        };
        let statistic = ratio(statistic, n, m);
        let KsP { p_value, exact } = ks_p_value(statistic, n, m, alternative)?;
        Ok(Self { statistic, p_value, exact, alternative, n, m })
    }
}

impl fmt::Display for KsTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let law = if self.exact { "exact" } else { "asymptotic" };
        write!(
            f,
            "KS {}: D = {:.4}, p = {:.3e} ({law}), n = {}, m = {}",
            self.alternative, self.statistic, self.p_value, self.n, self.m
        )
    }
}

/// What [`ks_from_cells`] found: an interval that certainly holds the exact statistic, and limits
/// for the distance of the two populations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KsBounds {
    /// The exact `D` of the two samples lies in here. Certain, not a confidence interval.
    pub statistic: (f64, f64),
    /// `D⁺ = max F − G` of the two samples, likewise.
    pub d_plus: (f64, f64),
    /// `D⁻ = max G − F` of the two samples, likewise.
    pub d_minus: (f64, f64),
    /// The p-values of both ends: counted out where `nm ≤ 2²⁰`, so that the exact one lies in here,
    /// else by the limiting law, so that hundreds of columns stay quick. `p_value.1` belongs to
    /// `statistic.0`.
    pub p_value: (f64, f64),
    /// Confidence limits of `sup |F − G|` of the two populations.
    pub interval: Interval,
}

/// The Kolmogorov–Smirnov test from counts in `2k + 1` cells around `k` edges: the open interval
/// below the first edge, the first edge itself, the open interval up to the second, and so on.
///
/// At the edges both distribution functions are known exactly; inside an open interval `(a, b)`
/// `F − G` lies between `F(a) − G(b−)` and `F(b−) − G(a)`. So `D` is certainly at least its
/// maximum at edges and at most the largest bound; for values that all stand on edges the two
/// meet. Counts are integers, divided once.
///
/// The confidence limits are `D − c √(1/n + 1/m)` and `D + t √(1/n + 1/m)` with
/// `c = √(½ ln(4/α))`, `t = √(½ ln(2/α))`, `α = 1 − confidence`, each limit with error `α/2`. The
/// upper holds at any sample size: `D` of samples is too large on average (Jensen) and moves by at
/// most `1/n` or `1/m` with a row (`McDiarmid`). The lower holds asymptotically whatever the two
/// distributions are: the error of `F − G` is a Gaussian process whose covariance, plus that of an
/// independent one, is a Brownian bridge's of the pooled distribution at `1/n + 1/m`, so that by
/// Anderson's inequality its maximum is stochastically below Kolmogorov's.
///
/// ```
/// // One edge: 4 values below it, 2 on it, 4 above; and 1, 2, 7.
/// let ks = mlops_drift::statistics::ks_from_cells(&[4, 2, 4], &[1, 2, 7], 0.95)?;
/// assert_eq!(ks.statistic.0, 0.3);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a sample with no rows, [`Error::Length`] for different cells,
/// [`Error::Invalid`] for an even number of cells or a confidence outside (0, 1).
///
/// # References
/// Smirnov (1948), doi:10.1214/aoms/1177730256; Anderson (1955),
/// doi:10.1090/S0002-9939-1955-0069229-1; `McDiarmid` (1989), doi:10.1017/CBO9781107359949.008.
pub fn ks_from_cells(reference: &[u64], current: &[u64], confidence: f64) -> Result<KsBounds> {
    let (n, m) = check("ks", reference, current)?;
    if reference.len().is_multiple_of(2) {
        return Err(Error::invalid("cells of ks", "2k + 1 of them", reference.len()));
    }
    let extremes = cell_extremes(reference, current, n, m);
    let bounds = ks_least_evidence(extremes, n, m, confidence)?;
    let ((low, high), p_high) = (bounds.statistic, bounds.p_value.1);
    let p_low = if low == high { p_high } else { p_value(high, n, m)? };
    Ok(KsBounds { p_value: p_between(p_low, p_high), ..bounds })
}

/// As [`ks_from_cells`], with no more than 0 as the lower end of the p-value: what a verdict does
/// not ask for, and of small samples takes as long to count as the upper one.
pub(crate) fn ks_least_evidence(
    (plus, minus): CellExtremes,
    n: u64,
    m: u64,
    confidence: f64,
) -> Result<KsBounds> {
    let alpha = 1.0 - checked_confidence(confidence)?;
    let bounds = |(least, most): (u128, u128)| (ratio(least, n, m), ratio(most, n, m));
    let (d_plus, d_minus) = (bounds(plus), bounds(minus));
    let (low, high) = (d_plus.0.max(d_minus.0), d_plus.1.max(d_minus.1));
    let noise = 1.0 / n as f64 + 1.0 / m as f64;
    let below = (0.5 * (4.0 / alpha).ln() * noise).sqrt();
    let above = (0.5 * (2.0 / alpha).ln() * noise).sqrt();
    Ok(KsBounds {
        statistic: (low, high),
        d_plus,
        d_minus,
        p_value: (0.0, p_value(low, n, m)?),
        interval: Interval::new((low - below).max(0.0), (high + above).min(1.0), confidence)?,
    })
}

/// The least and the most that `n m · max (F − G)` can be, and that of `G − F`.
pub(crate) type CellExtremes = ((u128, u128), (u128, u128));

/// Those of counts of `n` and `m` rows.
pub(crate) fn cell_extremes(reference: &[u64], current: &[u64], n: u64, m: u64) -> CellExtremes {
    if u128::from(n) * u128::from(m) < 1 << 63 {
        return narrow_extremes(reference, current, n as i64, m as i64);
    }
    let cross = |f: u64, g: u64| (u128::from(f) * u128::from(m), u128::from(g) * u128::from(n));
    let (mut f, mut g) = (0u64, 0u64);
    let (mut plus, mut minus) = ((0u128, 0u128), (0u128, 0u128));
    for (cell, (&r, &c)) in reference.iter().zip(current).enumerate() {
        let (f_left, g_left) = (f, g);
        (f, g) = (f + r, g + c);
        let (fx, gx) = cross(f, g);
        plus.0 = plus.0.max(fx.saturating_sub(gx));
        minus.0 = minus.0.max(gx.saturating_sub(fx));
        if cell % 2 == 0 {
            let (fl, gl) = cross(f_left, g_left);
            plus.1 = plus.1.max(fx.saturating_sub(gl));
            minus.1 = minus.1.max(gx.saturating_sub(fl));
        }
    }
    plus.1 = plus.1.max(plus.0);
    minus.1 = minus.1.max(minus.0);
    (plus, minus)
}

/// The same where `n m` fits 63 bits, as it does up to 3 billion rows a side.
fn narrow_extremes(reference: &[u64], current: &[u64], n: i64, m: i64) -> CellExtremes {
    // n m (F − G) so far; the largest of it and of its negative, at edges and anywhere.
    let mut cross = 0i64;
    let (mut plus, mut minus) = ((0i64, 0i64), (0i64, 0i64));
    for (r, c) in reference.chunks(2).zip(current.chunks(2)) {
        // An open cell, and the edge behind it where there is one.
        let (up, down) = (r[0] as i64 * m, c[0] as i64 * n);
        plus.1 = plus.1.max(cross + up);
        minus.1 = minus.1.max(down - cross);
        cross += up - down;
        plus.0 = plus.0.max(cross);
        minus.0 = minus.0.max(-cross);
        if let (&[_, r], &[_, c]) = (r, c) {
            cross += r as i64 * m - c as i64 * n;
            plus.0 = plus.0.max(cross);
            minus.0 = minus.0.max(-cross);
        }
    }
    let wide = |(least, most): (i64, i64)| (least as u128, most.max(least) as u128);
    (wide(plus), wide(minus))
}

/// Beyond 2⁵³ rows the product is rounded otherwise than the numerator.
pub(crate) fn ratio(cross: u128, n: u64, m: u64) -> f64 {
    (cross as f64 / (n as f64 * m as f64)).min(1.0)
}

/// The exact p-value where it is quick, so that hundreds of columns stay quick.
fn p_value(d: f64, n: u64, m: u64) -> Result<f64> {
    const QUICK: u128 = 1 << 20;
    if u128::from(n) * u128::from(m) <= QUICK {
        ks_two_sample_exact(d, n, m)
    } else {
        ks_two_sample_asymptotic(d, n, m)
    }
}
