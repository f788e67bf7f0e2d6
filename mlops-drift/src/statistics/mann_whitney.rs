//! The Mann–Whitney U test: exact of two arrays, certified from counts at edges.

use std::fmt;

use arrow::array::Float64Array;
use mlops_core::Result;
use mlops_core::stats::normal_sf;
use serde::{Deserialize, Serialize};

use crate::statistics::alternative::Alternative;
use crate::statistics::edge_counts::{Cell, EdgePair, p_between};
use crate::statistics::two_samples::Runs;

/// What [`mann_whitney`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MannWhitneyTest {
    /// `U` of the current data: pairs in which their value is the larger one, ties counted half.
    pub statistic: f64,
    /// `U/(nm)`, in [0, 1]: P of a current value above one of the reference plus half that of a tie,
    /// the area under the ROC curve; 0.5 is no shift.
    pub superiority: f64,
    /// P of a `U` this far out where both samples have one distribution.
    pub p_value: f64,
    /// Whether the p-value was counted out; else it is the normal law's, with the correction for
    /// ties and for continuity.
    pub exact: bool,
    /// The departure that was looked for.
    pub alternative: Alternative,
    /// The values of the reference that were compared.
    pub n: u64,
    /// The current values that were compared.
    pub m: u64,
}

impl fmt::Display for MannWhitneyTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let law = if self.exact { "exact" } else { "asymptotic" };
        write!(
            f,
            "Mann–Whitney {}: U = {} ({:.4} of the pairs), p = {:.3e} ({law}), n = {}, m = {}",
            self.alternative, self.statistic, self.superiority, self.p_value, self.n, self.m
        )
    }
}

/// The Mann–Whitney U (Wilcoxon rank-sum) test on two arrays; nulls are left out, infinities are
/// the ends of the order. `Less` asks whether the current values tend to be smaller, `Greater`
/// whether they tend to be larger.
///
/// `scipy.stats.mannwhitneyu(current, reference, alternative=…)`: exact without ties where the
/// count is quick (the smaller side times the pairs up to 2²² and at most 2¹²⁷ arrangements: 60 and
/// 60 values, or 8 and 200), which is further than scipy's 8 values; otherwise the normal law with the
/// corrections for ties and continuity. That law is rough where a few values differ from a crowd of equal
/// ones and a side is small: of shares of 2 % with 5 to 20 rows beside 100 or 1,000, 7 to 9 % were rejected
/// at 5 % and 2 to 4 % at 0.5 % ([`fisher_exact`](crate::statistics::fisher_exact) holds there).
/// Where all values are equal p is 1. `O((n + m) log(n + m))`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_drift::statistics::{Alternative, mann_whitney};
/// let reference = Float64Array::from(vec![1.0, 2.0, 3.0]);
/// let current = Float64Array::from(vec![4.0, 5.0, 6.0, 2.5]);
/// let test = mann_whitney(&reference, &current, Alternative::TwoSided)?;
/// assert_eq!((test.statistic, test.exact), (11.0, true));
/// assert!((test.p_value - 4.0 / 35.0).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Undefined`](mlops_core::Error::Undefined) for a side with no values or with NaN.
///
/// # References
/// Mann & Whitney (1947), doi:10.1214/aoms/1177730491.
pub fn mann_whitney(
    reference: &Float64Array,
    current: &Float64Array,
    alternative: Alternative,
) -> Result<MannWhitneyTest> {
    let runs = Runs::of("mann-whitney", reference, current)?;
    let (n, m) = (runs.n, runs.m);
    let (mut below, mut doubled, mut ties) = (0u64, 0u128, Ties::default());
    for run in &runs.all {
        // Twice the pairs: 2 for each value of the reference below, 1 for each that is equal.
        doubled += u128::from(run.c) * (2 * u128::from(below) + u128::from(run.r));
        below += run.r;
        ties.add(Ties::of(run.r + run.c));
    }
    let (p_value, exact) = law(doubled, ties, alternative, n, m);
    Ok(MannWhitneyTest {
        statistic: 0.5 * doubled as f64,
        superiority: 0.5 * doubled as f64 / runs.product(),
        p_value,
        exact,
        alternative,
        n,
        m,
    })
}

/// What [`mann_whitney_from_counts`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MannWhitneyBounds {
    /// The exact `U` of the two samples lies in here. Certain, not a confidence interval.
    pub statistic: (f64, f64),
    /// `U/(nm)`, likewise.
    pub superiority: (f64, f64),
    /// The exact p-value lies in here.
    pub p_value: (f64, f64),
    /// The departure that was looked for.
    pub alternative: Alternative,
}

/// The Mann–Whitney test from counts at edges: an interval that certainly holds `U`, and one for p.
///
/// Pairs whose rows are in different cells or on one edge are certain; those of one open cell count
/// anything from none to all. The correction for ties is bounded the same way. `O(cells)`.
///
/// # Errors
/// None for a pair that was made; the result leaves room.
pub fn mann_whitney_from_counts(
    pair: &EdgePair<'_>,
    alternative: Alternative,
) -> Result<MannWhitneyBounds> {
    let mut pairs = Pairs::of(pair);
    pair.cells().for_each(|cell| pairs.add(&cell));
    // p is monotone in U either side of the middle, and in the ties: the ends are at the corners.
    let ends = [pairs.least, pairs.least + pairs.open];
    let p_values = ends.into_iter().map(|u| pairs.p_values(u, alternative));
    let (mut low, mut high) =
        p_values.fold((1.0f64, 0.0f64), |(low, high), (l, h)| (low.min(l), high.max(h)));
    if alternative == Alternative::TwoSided && pairs.may_be_even() {
        high = 1.0;
    }
    if pairs.may_be_equal() {
        // All equal is no evidence; all but one may be much, as the spread vanishes.
        (low, high) = (0.0, 1.0);
    }
    Ok(pairs.bounds(alternative, p_between(low, high)))
}

/// Twice the pairs in which the current value is the larger one, of the cells so far, which come in
/// order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pairs {
    n: u64,
    m: u64,
    /// Rows of the reference so far.
    below: u64,
    /// What is certain,
    least: u128,
    /// and what may be added, of rows in one open cell.
    open: u128,
    /// The ties that there are at least, and at most.
    fewest: Ties,
    most: Ties,
}

impl Pairs {
    pub(crate) fn of(pair: &EdgePair<'_>) -> Self {
        let (n, m) = (pair.n(), pair.m());
        let none = Ties::default();
        Self { n, m, below: 0, least: 0, open: 0, fewest: none, most: none }
    }

    pub(crate) fn add(&mut self, cell: &Cell) {
        let together = u128::from(cell.r) * u128::from(cell.c);
        self.least += 2 * u128::from(cell.c) * u128::from(self.below);
        self.below += cell.r;
        let cubes = Ties::of(cell.r + cell.c);
        if cell.open {
            self.open += 2 * together;
        } else {
            self.least += together;
            self.fewest.add(cubes);
        }
        self.most.add(cubes);
    }

    fn middle(&self) -> u128 {
        u128::from(self.n) * u128::from(self.m)
    }

    /// Whether neither side may be the larger one.
    fn may_be_even(&self) -> bool {
        (self.least..=self.least + self.open).contains(&self.middle())
    }

    /// Whether all values may be equal, but need not.
    fn may_be_equal(&self) -> bool {
        self.fewest != self.most && self.most.all_of(self.n, self.m)
    }

    /// The smallest and the largest p-value of a `U`, whatever the ties.
    fn p_values(&self, doubled: u128, alternative: Alternative) -> (f64, f64) {
        let (n, m) = (self.n, self.m);
        let (mut low, mut high) = (1.0f64, 0.0f64);
        let mut see = |p: f64| (low, high) = (low.min(p), high.max(p));
        let (p, exact) = law(doubled, self.fewest, alternative, n, m);
        see(p);
        if self.fewest != self.most {
            see(law(doubled, self.most, alternative, n, m).0);
            if exact {
                // If some of an open cell are tied after all.
                see(normal(doubled, self.fewest, alternative, n, m));
            }
        }
        (low, high)
    }

    /// The bounds against both sides, with no more than 0 as the lower end of the p-value: what a
    /// verdict does not ask for, and of small samples takes as long to count as the upper one.
    pub(crate) fn least_evidence(&self) -> MannWhitneyBounds {
        let two_sided = Alternative::TwoSided;
        let high = if self.may_be_even() || self.may_be_equal() {
            1.0
        } else {
            // The end that is nearer to the middle.
            let least = self.least > self.middle();
            self.p_values(if least { self.least } else { self.least + self.open }, two_sided).1
        };
        self.bounds(two_sided, (0.0, high))
    }

    fn bounds(&self, alternative: Alternative, p_value: (f64, f64)) -> MannWhitneyBounds {
        let (least, largest) = (self.least as f64, (self.least + self.open) as f64);
        let scale = 0.5 / (self.n as f64 * self.m as f64);
        MannWhitneyBounds {
            statistic: (0.5 * least, 0.5 * largest),
            superiority: (scale * least, scale * largest),
            p_value,
            alternative,
        }
    }
}

/// `Σ (t³ − t)` over groups of `t` equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ties {
    /// Exact up to 2¹²⁷, which 2⁴² values do not reach,
    exact: u128,
    /// and beyond that a number.
    rounded: f64,
}

impl Ties {
    /// One group.
    fn of(t: u64) -> Self {
        let (wide, x) = (u128::from(t), t as f64);
        let exact = if t < 1 << 21 {
            u128::from(t * t * t - t)
        } else {
            wide.wrapping_mul(wide).wrapping_mul(wide).wrapping_sub(wide)
        };
        Self { exact, rounded: x * (x * x - 1.0) }
    }

    fn add(&mut self, other: Self) {
        self.exact = self.exact.wrapping_add(other.exact);
        self.rounded += other.rounded;
    }

    /// Whether they are one group of all.
    fn all_of(&self, n: u64, m: u64) -> bool {
        *self == Self::of(n + m)
    }
}

fn law(doubled: u128, ties: Ties, alternative: Alternative, n: u64, m: u64) -> (f64, bool) {
    if ties.rounded == 0.0
        && let Some(p) = counted((doubled / 2) as u64, alternative, n, m)
    {
        return (p, true);
    }
    (normal(doubled, ties, alternative, n, m), false)
}

/// The normal law with the corrections for ties and for continuity.
fn normal(doubled: u128, ties: Ties, alternative: Alternative, n: u64, m: u64) -> f64 {
    let (x, y) = (n as f64, m as f64);
    let all = x + y;
    // (N³ − N − Σ (t³ − t))/(N (N − 1)), which is N + 1 without ties and 0 where all are equal.
    let wide = u128::from(n) + u128::from(m);
    let spread = if wide <= 1 << 42 {
        (wide * wide * wide - wide).saturating_sub(ties.exact) as f64
    } else {
        (all * (all * all - 1.0) - ties.rounded).max(0.0)
    };
    let deviation = (x / 12.0 * y * (spread / all / (all - 1.0))).sqrt();
    if deviation <= 0.0 {
        return 1.0;
    }
    let middle = u128::from(n) * u128::from(m);
    let above = if doubled >= middle {
        0.5 * (doubled - middle) as f64
    } else {
        -0.5 * (middle - doubled) as f64
    };
    let z = |above: f64| (above - 0.5) / deviation;
    match alternative {
        Alternative::TwoSided => (2.0 * normal_sf(z(above.abs()))).min(1.0),
        Alternative::Greater => normal_sf(z(above)),
        Alternative::Less => normal_sf(z(-above)),
    }
}

/// The exact p-value of untied samples, where its count is quick and fits 128 bits.
///
/// The arrangements with each `U` are the coefficients of the Gaussian binomial
/// `Π (1 − q^(m+i))/(1 − q^i)`, `i ≤ n`. Products and quotients are exact modulo 2¹²⁸, and so is
/// what comes out, which is smaller.
fn counted(u: u64, alternative: Alternative, n: u64, m: u64) -> Option<f64> {
    const MOST_STEPS: u128 = 1 << 22;
    let (small, large) = (n.min(m), n.max(m));
    let pairs = u128::from(n) * u128::from(m);
    if pairs > MOST_STEPS || pairs * u128::from(small) > MOST_STEPS {
        return None;
    }
    let pairs = pairs as u64;
    let bits: f64 = (1..=small).map(|i| ((large + i) as f64 / i as f64).log2()).sum();
    if bits > 126.0 {
        return None;
    }
    // P(U ≥ u) = P(U ≤ nm − u): the shorter end is counted.
    let at_most = match alternative {
        Alternative::TwoSided => u.min(pairs - u),
        Alternative::Greater => pairs - u,
        Alternative::Less => u,
    };
    let end = at_most as usize;
    let mut ways = vec![0u128; end + 1];
    ways[0] = 1;
    for i in 1..=small as usize {
        let up = large as usize + i;
        for k in (up..=end).rev() {
            ways[k] = ways[k].wrapping_sub(ways[k - up]);
        }
        for k in i..=end {
            ways[k] = ways[k].wrapping_add(ways[k - i]);
        }
    }
    let all = (1..=u128::from(small)).fold(1u128, |c, i| {
        // C(large + i, i) is whole at every step, and the product before the division fits: 126
        // bits and a factor below 2²².
        divided(c, u128::from(large) + i, i)
    });
    let sum = ways.iter().fold(0u128, |s, w| s.wrapping_add(*w));
    let p = sum as f64 / all as f64;
    Some(if alternative == Alternative::TwoSided { (2.0 * p).min(1.0) } else { p.min(1.0) })
}

/// `c · a / b`, where that is whole, without the product.
fn divided(c: u128, a: u128, b: u128) -> u128 {
    let whole = c / b * a;
    whole + c % b * a / b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_case_equals_its_enumeration() {
        for (n, m) in [(1u64, 1u64), (1, 5), (3, 2), (4, 4), (5, 3), (6, 4)] {
            let mut with = vec![0u64; (n * m + 1) as usize];
            for mask in (0u64..1 << (n + m)).filter(|mask| u64::from(mask.count_ones()) == n) {
                let (mut below, mut u) = (0, 0);
                for bit in 0..n + m {
                    if mask >> bit & 1 == 1 { u += below } else { below += 1 }
                }
                with[u] += 1;
            }
            let all: u64 = with.iter().sum();
            for u in 0..=n * m {
                let greater = with[u as usize..].iter().sum::<u64>() as f64 / all as f64;
                let less = with[..=u as usize].iter().sum::<u64>() as f64 / all as f64;
                let found = |a| counted(u, a, n, m).expect("quick");
                assert!((found(Alternative::Greater) - greater).abs() < 1e-15);
                assert!((found(Alternative::Less) - less).abs() < 1e-15);
                let two = (2.0 * greater.min(less)).min(1.0);
                assert!((found(Alternative::TwoSided) - two).abs() < 1e-15, "{n} {m} {u}");
            }
        }
        assert!(counted(0, Alternative::Less, 200, 200).is_none());
        // 1/C(120, 60), whose denominator fills the bits.
        let apart = counted(0, Alternative::Less, 60, 60).expect("quick");
        assert!((apart / 1.035_036_944_093_482e-35 - 1.0).abs() < 1e-12, "{apart:e}");
    }

    #[test]
    fn equal_values_are_no_evidence() {
        let (many, few) = (Float64Array::from(vec![7.0; 50]), Float64Array::from(vec![7.0; 3]));
        for alternative in [Alternative::TwoSided, Alternative::Less, Alternative::Greater] {
            let test = mann_whitney(&many, &few, alternative).expect("a test");
            assert_eq!((test.superiority, test.p_value, test.exact), (0.5, 1.0, false));
        }
    }
}
