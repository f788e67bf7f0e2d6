//! Kuiper's two-sample test: exact on two arrays, certified from counts at edges.

use std::fmt;

use arrow::array::Float64Array;
use mlops_core::stats::binomial_pmf;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::edge_counts::{EdgePair, p_between};
use crate::statistics::ks::{extremes, ratio};
use crate::statistics::ks_buckets::Wanted;
use crate::statistics::ks_p::divisor;

/// What [`kuiper_two_sample`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KuiperTest {
    /// `V = max (F − G) + max (G − F)`, in [0, 1].
    pub statistic: f64,
    /// P of a `V` this large or larger where both samples have one continuous distribution; with
    /// ties it is too large rather than too small.
    pub p_value: f64,
    /// Whether the p-value was counted out; else it is the limiting law's.
    pub exact: bool,
    /// The values of the reference that were compared.
    pub n: u64,
    /// The current values that were compared.
    pub m: u64,
}

impl fmt::Display for KuiperTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let law = if self.exact { "exact" } else { "asymptotic" };
        let Self { statistic, p_value, n, m, .. } = self;
        write!(f, "Kuiper V = {statistic:.4}, p = {p_value:.3e} ({law}), n = {n}, m = {m}")
    }
}

/// Kuiper's two-sample test on two arrays; nulls are left out, infinities are the ends of the
/// order. Beside Kolmogorov–Smirnov it is as sensitive in the tails as in the middle (a change of
/// spread), and on a circle it does not depend on where the circle is cut.
///
/// The statistic of `astropy.stats.kuiper_two` and frouros; the p-value of [`kuiper_p_value`].
/// `O((n + m) log(n + m))`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// let narrow = Float64Array::from(vec![4.0, 5.0, 6.0, 7.0]);
/// let wide = Float64Array::from(vec![1.0, 2.0, 9.0, 10.0]);
/// let test = mlops_drift::statistics::kuiper_two_sample(&narrow, &wide)?;
/// assert_eq!((test.statistic, test.exact), (1.0, true));
/// assert!((test.p_value - 8.0 / 70.0).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with no values or with NaN.
///
/// # References
/// Kuiper (1960), doi:10.1016/S1385-7258(60)50006-0.
pub fn kuiper_two_sample(reference: &Float64Array, current: &Float64Array) -> Result<KuiperTest> {
    let found = extremes("kuiper", reference, current, Wanted::Both)?;
    let (n, m) = (found.n, found.m);
    let statistic = ratio(found.plus + found.minus, n, m);
    let (p_value, exact) = law(statistic, n, m)?;
    Ok(KuiperTest { statistic, p_value, exact, n, m })
}

/// What [`kuiper_from_counts`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KuiperBounds {
    /// The exact `V` of the two samples lies in here. Certain, not a confidence interval.
    pub statistic: (f64, f64),
    /// The p-values of both ends: counted out for equal sizes up to 4 million and where `nm ≤ 2²⁰`, so
    /// that the exact one lies in here, else by the limiting law, so that hundreds of columns stay
    /// quick. `p_value.1` belongs to `statistic.0`.
    pub p_value: (f64, f64),
}

/// Kuiper's test from counts at edges: `V` lies between its value at the edges and the sum of the
/// bounds of `D⁺` and `D⁻` (see [`ks_from_cells`](super::ks_from_cells)). `O(cells)`.
///
/// # Errors
/// None for a pair that was made; the result leaves room.
pub fn kuiper_from_counts(pair: &EdgePair<'_>) -> Result<KuiperBounds> {
    let bounds = kuiper_least_evidence(pair)?;
    let ((low, high), p_high) = (bounds.statistic, bounds.p_value.1);
    let p_low = if low == high { p_high } else { kuiper_quick(high, pair.n(), pair.m())? };
    Ok(KuiperBounds { p_value: p_between(p_low, p_high), ..bounds })
}

/// As [`kuiper_from_counts`], with no more than 0 as the lower end of the p-value: what a verdict
/// does not ask for, and of small samples takes as long to count as the upper one.
pub(crate) fn kuiper_least_evidence(pair: &EdgePair<'_>) -> Result<KuiperBounds> {
    let (n, m) = (pair.n(), pair.m());
    let (plus, minus) = pair.extremes();
    let low = ratio(plus.0 + minus.0, n, m);
    let high = ratio((plus.1 + minus.1).min(u128::from(n) * u128::from(m)), n, m).max(low);
    Ok(KuiperBounds { statistic: (low, high), p_value: (0.0, kuiper_quick(low, n, m)?) })
}

/// The p-value of Kuiper's `V` for samples of `n` and `m` values.
///
/// Exact for equal sizes up to 4 million and for others with `nm ≤ 2²⁴`: `V` does not change when
/// the sequence of both samples' values is turned as a circle, so that sequences are counted from
/// their lowest point; with `n = m` that gives `2 Σ [h ρ(kh) − (h + 1) ρ(k(h + 1))]` with
/// `h = nV` and `ρ(j) = C(2n, n + j)/C(2n, n)`. Otherwise `2 Σ (4k²λ² − 1) exp(−2k²λ²)` at
/// `λ = √(nm/(n + m)) (V + (m + 2n)/(3nm) − gcd(n, m)/(2nm))`, `m ≥ n`: twice Hodges' correction of
/// the one-sided Kolmogorov–Smirnov statistics, less half a step of the lattice. Terms are positive or fall fast: tails keep their digits.
///
/// # Errors
/// [`Error::Undefined`] for an empty sample; [`Error::Invalid`] for a `V` outside [0, 1].
///
/// # References
/// Kuiper (1960), doi:10.1016/S1385-7258(60)50006-0; Maag & Stephens (1968),
/// doi:10.1214/aoms/1177698250.
pub fn kuiper_p_value(v: f64, n: u64, m: u64) -> Result<f64> {
    law(v, n, m).map(|(p, _)| p)
}

/// Counting paths takes this many steps at most, some 0.1 s.
const MOST_STEPS: u128 = 1 << 24;
/// Where hundreds of columns are to be quick.
const QUICK_STEPS: u128 = 1 << 20;
/// Equal sizes have a closed form of at most this many steps.
const MOST_EQUAL: u64 = 1 << 22;

fn law(v: f64, n: u64, m: u64) -> Result<(f64, bool)> {
    law_within(v, n, m, MOST_STEPS)
}

fn kuiper_quick(v: f64, n: u64, m: u64) -> Result<f64> {
    law_within(v, n, m, QUICK_STEPS).map(|(p, _)| p)
}

fn law_within(v: f64, n: u64, m: u64, steps: u128) -> Result<(f64, bool)> {
    if n == 0 || m == 0 {
        return Err(Error::undefined("the p-value of kuiper", "a sample is empty"));
    }
    if !(0.0..=1.0).contains(&v) {
        return Err(Error::invalid("the statistic of kuiper", "a number in [0, 1]", v));
    }
    if n == m && n <= MOST_EQUAL {
        return Ok((equal_sizes((v * n as f64).round() as u64, n), true));
    }
    if u128::from(n) * u128::from(m) <= steps {
        return Ok((circular_paths(v, n, m)?, true));
    }
    let (large, small) = (n.max(m) as f64, n.min(m) as f64);
    // V overshoots a level by this on average, and half a step of its lattice is counted with it.
    let step = divisor(n, m) as f64 / small / large;
    let lattice = (1.0 + 2.0 * small / large) / (3.0 * small) - 0.5 * step;
    let lambda = (small / (small + large) * large).sqrt() * (v + lattice);
    Ok((asymptotic(lambda), false))
}

fn asymptotic(lambda: f64) -> f64 {
    // 1 − 10⁻²² there, and the terms would cancel.
    if lambda < 0.3 {
        return 1.0;
    }
    let square = lambda * lambda;
    let terms = (1..=20u8).rev().map(|k| {
        let k = f64::from(k) * f64::from(k) * square;
        (4.0 * k - 1.0) * (-2.0 * k).exp()
    });
    (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0)
}

fn equal_sizes(h: u64, n: u64) -> f64 {
    if h <= 1 {
        return 1.0;
    }
    // ρ(kh) from ρ((k−1)h), and from it ρ(k(h+1)).
    let step = |from: u64, to: u64| {
        let mut p = 1.0;
        for j in from..to {
            p *= n.saturating_sub(j) as f64 / (n + j + 1) as f64;
            // Subnormal products round to themselves, slowly.
            if p < f64::MIN_POSITIVE {
                return 0.0;
            }
        }
        p
    };
    let (mut sum, mut rho) = (0.0, 1.0);
    for k in 1..=n / h {
        rho *= step((k - 1) * h, k * h);
        let further = step(k * h, k * (h + 1));
        let term = if k == 1 {
            // h − (h + 1)(n − h)/(n + h + 1) in integers, which do not cancel.
            (2 * u128::from(h) * (u128::from(h) + 1)) as f64 - n as f64
        } else {
            (h as f64 - (h + 1) as f64 * further) * (n + h + 1) as f64
        };
        sum += rho * term / (n + h + 1) as f64;
        if rho < f64::MIN_POSITIVE || rho * h as f64 <= 1e-18 * sum.abs() {
            break;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

/// P of a range of at least `v` of the closed walk with `n` steps of `+1/n` and `m` of `−1/m`.
///
/// Every walk is a rotation of one that starts at its lowest point and stays at or above it. With
/// `j` visits to that point there are `n + m` rotations of which `j` are the same walk's, so that
/// the walks of range `≥ v` are `(n + m) Σ_j 1/j · …`: the coefficient of a logarithm of the series
/// of positive excursions. With steps weighted `n/(n + m)` and `m/(n + m)` all numbers stay moderate.
fn circular_paths(v: f64, n: u64, m: u64) -> Result<f64> {
    let g = divisor(n, m);
    // A step of the first kind goes up by `up`, of the second down by `down`.
    let (up, down) = (m / g, n / g);
    let least = (v * (n / g) as f64 * m as f64).round() as u64;
    // Any walk has the range of its largest step.
    if least <= up.max(down) {
        return Ok(1.0);
    }
    let all = (n + m) as f64;
    let (p, q) = (n as f64 / all, m as f64 / all);
    // Weights of the strictly positive excursions to (s·n/g, s·m/g): those below `v`, and others.
    let mut below = vec![0.0f64; g as usize + 1];
    let mut beyond = below.clone();
    // The walks so far by j, of one i + j after the other, where no cell needs its neighbour: inside,
    // and having reached `v`.
    let mut inside = vec![0.0f64; m as usize + 1];
    let mut reached = inside.clone();
    inside[0] = 1.0;
    for steps in 1..=n + m {
        // Of i = steps − j up and j down: i ≤ n, and at least 0 high, i·up ≥ j·down.
        let rise = steps * up;
        let (first, last) = (steps.saturating_sub(n), (rise / (up + down)).min(m));
        let (start, end) = (first as usize, last as usize);
        for row in [&mut inside, &mut reached] {
            // From (i − 1, j) by a step up, from (i, j − 1) by one down.
            let mut left = if start > 0 { row[start - 1] } else { 0.0 };
            for cell in &mut row[start..=end] {
                let here = *cell * p + left * q;
                left = std::mem::replace(cell, here);
            }
        }
        // Those that are `v` high now.
        if rise >= least {
            let high = ((rise - least) / (up + down)).min(last) as usize;
            let cells = inside[start..].iter_mut().zip(&mut reached[start..]);
            for (a, b) in cells.take((high + 1).saturating_sub(start)) {
                *b += std::mem::take(a);
            }
        }
        // The cell at 0 closes an excursion.
        if rise == last * (up + down) {
            let s = ((steps - last) / down) as usize;
            below[s] = std::mem::take(&mut inside[end]);
            beyond[s] = std::mem::take(&mut reached[end]);
        }
    }
    // B = −ln(1 − A): s B_s = s A_s + Σ (i B_i) A_{s−i}, for all walks and for those beyond.
    let g = g as usize;
    let (mut log_all, mut log_beyond) = (vec![0.0f64; g + 1], vec![0.0f64; g + 1]);
    for s in 1..=g {
        let (mut a, mut b) = ((below[s] + beyond[s]) * s as f64, beyond[s] * s as f64);
        for i in 1..s {
            a += log_all[i] * (below[s - i] + beyond[s - i]);
            b += log_all[i] * beyond[s - i] + log_beyond[i] * below[s - i];
        }
        (log_all[s], log_beyond[s]) = (a, b);
    }
    let walks = binomial_pmf(n, n + m, p)?;
    Ok((log_beyond[g] / g as f64 * all / walks).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enumerated(v: f64, n: u64, m: u64) -> f64 {
        let (mut all, mut beyond) = (0u64, 0u64);
        for mask in (0u64..1 << (n + m)).filter(|mask| u64::from(mask.count_ones()) == n) {
            let (mut i, mut j, mut most, mut least) = (0u64, 0u64, 0i64, 0i64);
            for bit in 0..n + m {
                if mask >> bit & 1 == 1 {
                    i += 1;
                } else {
                    j += 1;
                }
                let cross = (i * m) as i64 - (j * n) as i64;
                (most, least) = (most.max(cross), least.min(cross));
            }
            all += 1;
            beyond += u64::from((most - least) as f64 >= v * (n * m) as f64 - 1e-9);
        }
        beyond as f64 / all as f64
    }

    #[test]
    fn every_small_case_equals_its_enumeration() {
        for (n, m) in [(1u64, 1u64), (1, 4), (3, 2), (4, 4), (5, 3), (6, 4), (4, 7), (6, 6), (6, 9)]
        {
            let unit = n * m / divisor(n, m);
            for k in 0..=unit {
                let v = k as f64 / unit as f64;
                let truth = enumerated(v, n, m);
                let (p, exact) = law(v, n, m).expect("a p-value");
                assert!(exact && (p - truth).abs() < 1e-13, "V={v} {n} {m}: {p} {truth}");
                let paths = circular_paths(v, n, m).expect("a p-value");
                assert!((paths - truth).abs() < 1e-13, "V={v} {n} {m}: {paths} {truth}");
            }
        }
    }

    #[test]
    fn the_closed_form_the_paths_and_the_limit_agree() {
        for (h, n) in [(10u64, 60u64), (30, 60), (60, 60), (20, 100), (95, 400)] {
            let closed = equal_sizes(h, n);
            let paths = circular_paths(h as f64 / n as f64, n, n).expect("a p-value");
            assert!((closed / paths - 1.0).abs() < 1e-10, "{closed:e} {paths:e}");
        }
        // Two samples that do not overlap on the circle: n + m of the arrangements.
        let apart = equal_sizes(480, 480);
        let log = (960.0f64).ln() - binomial_pmf(480, 960, 0.5).expect("p").ln();
        let expected = (log - 960.0 * 2.0f64.ln()).exp();
        assert!((apart / expected - 1.0).abs() < 1e-9 && apart < 1e-280, "{apart:e} {expected:e}");
        for v in [0.06, 0.08, 0.1] {
            let (n, m) = (2000, 1001);
            let exact = circular_paths(v, n, m).expect("a p-value");
            let (limit, counted) = law_within(v, n, m, 1).expect("a p-value");
            assert!(!counted && (limit / exact - 1.0).abs() < 0.03, "{v}: {limit:e} {exact:e}");
        }
        assert!(law(1.5, 3, 3).is_err() && law(0.5, 0, 3).is_err() && law(f64::NAN, 3, 3).is_err());
    }
}
