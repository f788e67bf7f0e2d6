//! The two-sample Cramér–von Mises test: exact of two arrays, certified from counts at edges.

use std::fmt;

use arrow::array::Float64Array;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::statistics::bridge_square::BridgeSquare;
use crate::statistics::edge_counts::{Cell, EdgePair, larger, outward, p_between};
use crate::statistics::ks_p::divisor;
use crate::statistics::tied_law::{Group, Moments, untied};
use crate::statistics::two_samples::{Compensated, Runs};

/// What [`cramer_von_mises_two_sample`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CramerVonMisesTest {
    /// `T = nm/N² Σ (F − G)²` over all `N = n + m` values.
    pub statistic: f64,
    /// P of a `T` this large or larger where both samples have one distribution, given the ties.
    pub p_value: f64,
    /// Whether the p-value was counted out; else it is the limiting law's.
    pub exact: bool,
    /// The values of the reference that were compared.
    pub n: u64,
    /// The current values that were compared.
    pub m: u64,
}

impl fmt::Display for CramerVonMisesTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let law = if self.exact { "exact" } else { "asymptotic" };
        let Self { statistic, p_value, n, m, .. } = self;
        write!(
            f,
            "Cramér–von Mises T = {statistic:.4}, p = {p_value:.3e} ({law}), n = {n}, m = {m}"
        )
    }
}

/// The two-sample Cramér–von Mises test on two arrays; nulls are left out, infinities are the ends
/// of the order.
///
/// `scipy.stats.cramervonmises_2samp` where no value occurs twice. With ties the two differ: here
/// `F` and `G` are the empirical distribution functions whatever the ties, so that equal samples
/// give 0; scipy's sum of squared rank differences counts ties within a sample as departures
/// (200 and 100 copies of one number give it T = 12.5, p = 2·10⁻⁹). With ties the limiting law is taken at
/// `T` standardised by its mean and variance over permutations of the tied sample, without which a sample
/// with 70 % zeros rejects twice as often as it should. `O((n + m) log(n + m))`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// let reference = Float64Array::from(vec![1.0, 2.0, 3.0]);
/// let current = Float64Array::from(vec![4.0, 5.0, 6.0]);
/// let test = mlops_drift::statistics::cramer_von_mises_two_sample(&reference, &current)?;
/// assert!((test.statistic - 19.0 / 36.0).abs() < 1e-15 && test.exact);
/// assert!((test.p_value - 0.1).abs() < 1e-15);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with no values or with NaN.
///
/// # References
/// Anderson (1962), doi:10.1214/aoms/1177704477.
pub fn cramer_von_mises_two_sample(
    reference: &Float64Array,
    current: &Float64Array,
) -> Result<CramerVonMisesTest> {
    let runs = Runs::of("cramer-von mises", reference, current)?;
    let (n, m) = (runs.n, runs.m);
    let product = runs.product();
    let sum: Compensated = runs
        .crosses()
        .map(|(run, cross)| (run.r + run.c) as f64 * (cross / product) * (cross / product))
        .collect();
    let statistic = sum.value() * scale(n, m);
    let mut before = 0;
    let tied = runs.all.len() as u64 != n + m;
    let groups = runs.all.iter().map(|run| {
        before += run.r + run.c;
        group(before as f64 / (n + m) as f64, (run.r + run.c) as f64 / (n + m) as f64)
    });
    let ties = tied.then(|| Ties::of(groups.collect(), n + m));
    let (p_value, exact) = law(statistic, n, m, ties)?;
    Ok(CramerVonMisesTest { statistic, p_value, exact, n, m })
}

/// `nm/N²`.
fn scale(n: u64, m: u64) -> f64 {
    let (n, m) = (n as f64, m as f64);
    n / (n + m) * (m / (n + m))
}

/// What [`cramer_von_mises_from_counts`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CramerVonMisesBounds {
    /// The exact `T` of the two samples lies in here. Certain, not a confidence interval.
    pub statistic: (f64, f64),
    /// The p-value of [`cramer_von_mises_two_sample`] at both ends, given the ties on edges (those
    /// between edges are not seen); `p_value.1` belongs to `statistic.0`.
    pub p_value: (f64, f64),
}

/// The Cramér–von Mises test from counts at edges: an interval that certainly holds `T`.
///
/// In an open cell the rows come in an unknown order, ties or not. Where `F − G` keeps its sign
/// there, `T` is largest if all of one side come first, tied, and smallest if those of the other do;
/// where it may cross 0, the largest square bounds every row's. `O(cells)`.
///
/// # Errors
/// None for a pair that was made; the result leaves room.
pub fn cramer_von_mises_from_counts(pair: &EdgePair<'_>) -> Result<CramerVonMisesBounds> {
    let mut squares = Squares::of(pair);
    pair.cells().for_each(|cell| squares.add(&cell));
    let bounds = squares.least_evidence()?;
    let ((low, high), p_high) = (bounds.statistic, bounds.p_value.1);
    let p_low = if low == high { p_high } else { law(high, pair.n(), pair.m(), squares.ties())?.0 };
    Ok(CramerVonMisesBounds { p_value: p_between(p_low, p_high), ..bounds })
}

/// The least and the most that the squares of `nm (F − G)` at the rows of the cells so far can add up
/// to, in order of the cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Squares {
    n: u64,
    m: u64,
    low: f64,
    high: f64,
    cells: usize,
    /// Where values are tied.
    moments: Option<Moments>,
}

impl Squares {
    pub(crate) fn of(pair: &EdgePair<'_>) -> Self {
        let moments = pair.tied.then(Moments::default);
        Self { n: pair.n(), m: pair.m(), low: 0.0, high: 0.0, cells: 0, moments }
    }

    pub(crate) fn add(&mut self, cell: &Cell) {
        // A row of the reference takes nm (F − G) up by m, and a current one takes it down by n.
        let (least, most) = squares(cell, self.m as f64, self.n as f64);
        self.low += least;
        self.high += most;
        self.cells += 1;
        if let Some(moments) = &mut self.moments {
            // Divided, so that the share behind the last value is 1: equal values have no variance.
            let all = (self.n + self.m) as f64;
            let h = (cell.r + cell.c) as f64;
            // The values of an open cell are spread over it.
            let behind = if cell.open && h > 1.0 { 0.5 * (h + 1.0) } else { h };
            moments.add(group((cell.before as f64 + behind) / all, h / all));
        }
    }

    fn ties(&self) -> Option<Ties> {
        self.moments.map(|moments| Ties::of(moments, self.n + self.m))
    }

    /// The bounds, with no more than 0 as the lower end of the p-value: what a verdict does not ask
    /// for.
    pub(crate) fn least_evidence(&self) -> Result<CramerVonMisesBounds> {
        let (n, m) = (self.n, self.m);
        let product = n as f64 * m as f64;
        let scaled = |sum: f64| sum / product / product * scale(n, m);
        let (low, high) = outward(scaled(self.low), scaled(self.high), self.cells);
        let (p_high, _) = law(low, n, m, self.ties())?;
        Ok(CramerVonMisesBounds { statistic: (low, high), p_value: (0.0, p_high) })
    }
}

/// The least and the most that the squares of `nm (F − G)` at the rows of a cell can add up to, where
/// a row of the reference takes it up by `up` and a current one takes it down by `down`.
fn squares(cell: &Cell, up: f64, down: f64) -> (f64, f64) {
    let (r, c) = (cell.r as f64, cell.c as f64);
    if !cell.open || cell.r + cell.c == 1 {
        let sum = (r + c) * cell.right * cell.right;
        return (sum, sum);
    }
    let (low, high) = (cell.low, cell.high);
    if low >= 0.0 {
        (ladder(r, low, up) + c * low * low, r * high * high + ladder(c, high, -down))
    } else if high <= 0.0 {
        (ladder(c, -high, down) + r * high * high, c * low * low + ladder(r, -low, -up))
    } else {
        // The last row stands at what is behind the cell.
        (cell.right * cell.right, (r + c) * larger(-low, high).powi(2))
    }
}

/// `Σ_{i=1..k} (from + i step)²`.
fn ladder(k: f64, from: f64, step: f64) -> f64 {
    k * from * from
        + from * step * k * (k + 1.0)
        + step * step * k * (k + 1.0) * (2.0 * k + 1.0) * (1.0 / 6.0)
}

/// What ties change: the mean of `T` over permutations, and its variance in that of no ties.
#[derive(Clone, Copy, Debug)]
struct Ties {
    mean: f64,
    variance: f64,
}

fn group(p: f64, share: f64) -> Group {
    Group { weight: share, p, variance: (p * (1.0 - p)).max(0.0) }
}

impl Ties {
    fn of(Moments { mean, variance, .. }: Moments, all: u64) -> Self {
        let n = all as f64;
        Self { mean: mean * n / (n - 1.0), variance: variance / untied(all, 1.0 / 45.0, group) }
    }
}

/// The p-value of the two-sample statistic `T` for samples of `n` and `m` values, and whether it is
/// exact (both sizes up to 20, as scipy has it, and no ties): else Anderson's limiting law at `T`
/// standardised with its mean and variance for these sizes and ties.
fn law(t: f64, n: u64, m: u64, ties: Option<Ties>) -> Result<(f64, bool)> {
    if n == 0 || m == 0 {
        return Err(Error::undefined("the p-value of cramer-von mises", "a sample is empty"));
    }
    if n.max(m) <= 20 && ties.is_none() {
        return Ok((counted(t, n, m), true));
    }
    let (x, y) = (n as f64, m as f64);
    let all = x + y;
    let mean = ties.map_or((1.0 + 1.0 / all) / 6.0, |ties| ties.mean);
    // (N + 1)(4nmN − 3(n² + m²) − 2nm)/(45 N² 4nm), divided early so that nothing overflows.
    let variance =
        (all + 1.0) / all * (4.0 - 3.0 * (x / y + y / x) / all - 2.0 / all) / (4.0 * 45.0);
    let variance = variance * ties.map_or(1.0, |ties| ties.variance);
    if variance <= 0.0 {
        // All values are equal.
        return Ok((1.0, false));
    }
    let limit = 1.0 / 6.0 + (t - mean) / (45.0 * variance).sqrt();
    Ok((BridgeSquare::CramerVonMises.sf(limit), false))
}

/// The share of all arrangements of untied values with a statistic of at least `t`, by the
/// distribution of `Σ (F − G)²` along lattice paths (Xiao, Gordon & Yakovlev 2006).
fn counted(t: f64, n: u64, m: u64) -> f64 {
    let g = divisor(n, m);
    let (up, down) = (m / g, n / g);
    // T = nm/N² Σ (…)², with differences in units of 1/lcm(n, m).
    let lcm = (n * up) as f64;
    let least = t / scale(n, m) * lcm * lcm * (1.0 - 1e-12);
    // Sums so far and the number of paths with them, by j, for one i.
    let mut row: Vec<Vec<(u64, f64)>> = vec![Vec::new(); m as usize + 1];
    for i in 0..=n {
        for j in 0..=m {
            let mut here = if i == 0 && j == 0 {
                vec![(0, 1.0)]
            } else {
                let left =
                    if j > 0 { std::mem::take(&mut row[j as usize - 1]) } else { Vec::new() };
                let merged = merge(&left, &row[j as usize]);
                if j > 0 {
                    row[j as usize - 1] = left;
                }
                merged
            };
            let step = (i * up).abs_diff(j * down).pow(2);
            for (sum, _) in &mut here {
                *sum += step;
            }
            row[j as usize] = here;
        }
    }
    let ends = &row[m as usize];
    let all: f64 = ends.iter().map(|(_, paths)| paths).sum();
    let beyond: f64 = ends.iter().filter(|(s, _)| *s as f64 >= least).map(|(_, p)| p).sum();
    beyond / all
}

/// Two sorted lists of sums as one.
fn merge(a: &[(u64, f64)], b: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let mut both = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        match a[i].0.cmp(&b[j].0) {
            std::cmp::Ordering::Less => {
                both.push(a[i]);
                i += 1;
            }
            std::cmp::Ordering::Greater => {
                both.push(b[j]);
                j += 1;
            }
            std::cmp::Ordering::Equal => {
                both.push((a[i].0, a[i].1 + b[j].1));
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    both.extend_from_slice(&a[i..]);
    both.extend_from_slice(&b[j..]);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_are_at_no_distance() {
        let many = Float64Array::from(vec![1.0; 200]);
        let few = Float64Array::from(vec![1.0; 100]);
        let test = cramer_von_mises_two_sample(&many, &few).expect("a test");
        assert_eq!((test.statistic, test.p_value), (0.0, 1.0));
        let small =
            cramer_von_mises_two_sample(&few.slice(0, 7), &few.slice(0, 5)).expect("a test");
        assert_eq!((small.statistic, small.p_value, small.exact), (0.0, 1.0, false));
    }

    #[test]
    fn a_ladder_is_its_sum() {
        for (k, from, step) in [(0u32, 3.0, 1.0), (1, 0.5, -0.25), (5, 2.0, 0.5), (4, 2.0, -0.5)] {
            let sum: f64 = (1..=k).map(|i| (from + f64::from(i) * step).powi(2)).sum();
            assert!((ladder(f64::from(k), from, step) - sum).abs() < 1e-12);
        }
    }

    #[test]
    fn the_limit_is_near_the_count() {
        for t in [0.1, 0.3, 0.5, 0.8, 1.2] {
            let (exact, counted) = law(t, 20, 18, None).expect("a p-value");
            let (limit, not) = law(t, 21, 18, None).expect("a p-value");
            assert!(counted && !not && (exact - limit).abs() < 0.01, "{t}: {exact} {limit}");
        }
    }
}
