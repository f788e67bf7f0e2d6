//! Counts of two samples at the same edges: what every statistic from counts starts from.

use std::fmt;
use std::sync::OnceLock;

use mlops_core::states::Summary;
use mlops_core::{Error, Result};

use crate::statistics::distance_law::{DistanceLaw, Laws};
use crate::statistics::ks::{CellExtremes, cell_extremes};
use crate::statistics::tables::check;

/// The counts of one sample in `2k + 1` cells around `k ≥ 1` edges, and what else is known of it.
///
/// The cells are the open interval below the first edge, the first edge itself, the open interval
/// up to the second edge, and so on. Nulls, NaN and infinities are not in them. Values beyond the
/// outer edges have no place on the axis but for the exact smallest and largest value: statistics
/// in units of the values (Wasserstein, energy) need [`range`](Self::range) there, those of ranks
/// do not.
///
/// ```
/// use mlops_core::states::Summary;
/// use mlops_drift::statistics::EdgeCounts;
/// // 3, 4, 4, 5 and 9 at the edges 4 and 8.
/// let side = EdgeCounts::new(&[4.0, 8.0], &[1, 2, 1, 0, 1])
///     .with_summary(&Summary::of(&[3.0, 4.0, 4.0, 5.0, 9.0]));
/// assert_eq!((side.range, side.mean), (Some((3.0, 9.0)), Some(5.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct EdgeCounts<'a> {
    /// The edges, finite and strictly increasing.
    pub edges: &'a [f64],
    /// The rows in each of the `2k + 1` cells.
    pub counts: &'a [u64],
    /// The exact smallest and largest of the values that are counted.
    pub range: Option<(f64, f64)>,
    /// Their mean, exact but for its last bit: it tightens the Wasserstein distance.
    pub mean: Option<f64>,
    /// Their sample standard deviation (divided by n − 1).
    pub std: Option<f64>,
}

impl<'a> EdgeCounts<'a> {
    /// These counts, of which nothing else is known.
    pub fn new(edges: &'a [f64], counts: &'a [u64]) -> Self {
        Self { edges, counts, range: None, mean: None, std: None }
    }

    /// With the exact smallest and largest value.
    #[must_use]
    pub fn with_range(self, min: f64, max: f64) -> Self {
        Self { range: Some((min, max)), ..self }
    }

    /// With the range, mean and standard deviation of a summary of the same values.
    #[must_use]
    pub fn with_summary(self, summary: &Summary) -> Self {
        Self {
            range: summary.min.zip(summary.max),
            mean: summary.mean(),
            std: summary.std(),
            ..self
        }
    }
}

/// Two samples counted at the same edges, checked, with their running totals: made once for a
/// column, used by every statistic from counts.
///
/// ```
/// use mlops_drift::statistics::{EdgeCounts, EdgePair};
/// let edges = [0.0, 1.0];
/// let pair = EdgePair::new(
///     EdgeCounts::new(&edges, &[0, 10, 0, 10, 0]),
///     EdgeCounts::new(&edges, &[0, 5, 0, 15, 0]),
/// )?;
/// assert_eq!((pair.n(), pair.m()), (20, 20));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone)]
pub struct EdgePair<'a> {
    pub(crate) reference: EdgeCounts<'a>,
    pub(crate) current: EdgeCounts<'a>,
    n: u64,
    m: u64,
    /// `n m (F − G)` behind each cell, rounded once.
    cross: Vec<f64>,
    /// Rows of both sides up to and with each cell.
    pooled: Vec<u64>,
    /// What a further difference of `cross` and a count may be off by, relative to both.
    slack: f64,
    /// Whether more than one row stands on an edge.
    pub(crate) tied: bool,
    /// What both distances are integrals over, and their laws.
    segments: OnceLock<Vec<Segment>>,
    laws: OnceLock<Laws>,
    /// What Kolmogorov–Smirnov and Kuiper ask for.
    extremes: OnceLock<CellExtremes>,
}

impl fmt::Debug for EdgePair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgePair({} and {} rows at {} edges)", self.n, self.m, self.edges().len())
    }
}

/// One cell as the rank statistics want it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// An open interval, whose rows may stand in any order; else one value.
    pub(crate) open: bool,
    /// Rows of the reference in it.
    pub(crate) r: u64,
    /// Current rows in it.
    pub(crate) c: u64,
    /// Rows of both sides before it.
    pub(crate) before: u64,
    /// `n m (F − G)` before it.
    pub(crate) left: f64,
    /// `n m (F − G)` behind it.
    pub(crate) right: f64,
    /// No value in it can have a smaller `n m (F − G)`.
    pub(crate) low: f64,
    /// No value in it can have a larger one.
    pub(crate) high: f64,
}

/// A stretch of the axis with no rows of known place in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Its length, in the values' unit.
    pub(crate) length: f64,
    /// `n m (F − G)` is certainly not below this anywhere in it,
    pub(crate) low: f64,
    /// nor above this.
    pub(crate) high: f64,
    /// The reference's `n F`, in the middle of what it can be.
    pub(crate) f: f64,
    /// The current `m G` likewise.
    pub(crate) g: f64,
}

impl<'a> EdgePair<'a> {
    /// Checks that the two can be compared and adds them up: `O(cells)`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no edges, edges that are not finite and strictly increasing, that
    /// differ between the sides, or a range that contradicts its counts; [`Error::Length`] for
    /// cells that do not fit the edges; [`Error::Undefined`] for a side without rows.
    pub fn new(reference: EdgeCounts<'a>, current: EdgeCounts<'a>) -> Result<Self> {
        let edges = reference.edges;
        if !std::ptr::eq(edges, current.edges) && edges != current.edges {
            return Err(Error::invalid(
                "edges of current counts",
                "those of the reference",
                "others",
            ));
        }
        // Counted, not searched for the first: a loop without a way out takes several at a time.
        let rises = edges.windows(2).filter(|pair| pair[0] < pair[1]).count();
        let finite = edges.iter().filter(|e| e.is_finite()).count();
        if edges.is_empty() || rises + 1 != edges.len() || finite != edges.len() {
            return Err(Error::invalid(
                "edges",
                "at least one, finite and strictly increasing",
                format_args!("{} others", edges.len()),
            ));
        }
        let (n, m) = check("statistics from counts", reference.counts, current.counts)?;
        if reference.counts.len() != 2 * edges.len() + 1 {
            return Err(Error::Length {
                left: "cells around the edges, which".to_owned(),
                left_len: 2 * edges.len() + 1,
                right: "counts".to_owned(),
                right_len: reference.counts.len(),
            });
        }
        check_range("reference", &reference)?;
        check_range("current", &current)?;

        let (mut f, mut g) = (0u64, 0u64);
        let running = reference.counts.iter().zip(current.counts).map(|(&r, &c)| {
            (f, g) = (f + r, g + c);
            (f, g)
        });
        // Each side has at most 2^62 rows.
        let product = u128::from(n) * u128::from(m);
        let (cross, pooled): (Vec<f64>, Vec<u64>) = if product < 1 << 63 {
            let (n, m) = (n as i64, m as i64);
            running.map(|(f, g)| ((f as i64 * m - g as i64 * n) as f64, f + g)).unzip()
        } else {
            let (n, m) = (u128::from(n), u128::from(m));
            let cross = |f: u64, g: u64| difference(u128::from(f) * m, u128::from(g) * n);
            running.map(|(f, g)| (cross(f, g), f + g)).unzip()
        };
        let on_edges = |side: &EdgeCounts<'a>| side.counts.iter().skip(1).step_by(2);
        let tied = on_edges(&reference).zip(on_edges(&current)).any(|(r, c)| r + c > 1);
        // Products of counts are exact in f64 there.
        let exact = product < 1 << 53;
        let slack = if exact { 0.0 } else { 4.0 * f64::EPSILON };
        Ok(Self {
            reference,
            current,
            n,
            m,
            cross,
            pooled,
            slack,
            tied,
            segments: OnceLock::new(),
            laws: OnceLock::new(),
            extremes: OnceLock::new(),
        })
    }

    /// The rows of the reference.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The current rows.
    pub fn m(&self) -> u64 {
        self.m
    }

    /// The edges of both.
    pub fn edges(&self) -> &'a [f64] {
        self.reference.edges
    }

    /// `n m` as a number.
    pub(crate) fn product(&self) -> f64 {
        self.n as f64 * self.m as f64
    }

    /// Every cell with rows of either side.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        let counts = self.reference.counts.iter().zip(self.current.counts);
        let (mut before, mut left) = (0, 0.0);
        let behind = self.cross.iter().zip(&self.pooled);
        counts.zip(behind).enumerate().filter_map(move |(i, ((&r, &c), (&right, &pooled)))| {
            let cell = if i % 2 == 0 {
                let (low, high) = self.reach(left, r, c);
                Cell { open: true, r, c, before, left, right, low, high }
            } else {
                Cell { open: false, r, c, before, left, right, low: right, high: right }
            };
            (before, left) = (pooled, right);
            (r > 0 || c > 0).then_some(cell)
        })
    }

    /// What `n m (F − G)` can be while `r` and `c` rows come in an unknown order.
    fn reach(&self, left: f64, r: u64, c: u64) -> (f64, f64) {
        let (down, up) = (c as f64 * self.n as f64, r as f64 * self.m as f64);
        if self.slack == 0.0 || (r == 0 && c == 0) {
            return (left - down, left + up);
        }
        let off = self.slack * (left.abs() + larger(down, up));
        (left - down - off, left + up + off)
    }

    /// The stretches between the values of known place, from the smallest to the largest value.
    ///
    /// # Errors
    /// [`Error::Undefined`] where rows lie beyond the outer edges and their range is not known.
    pub(crate) fn segments(&self) -> Result<&[Segment]> {
        if let Some(all) = self.segments.get() {
            return Ok(all);
        }
        let all = self.cut()?;
        Ok(self.segments.get_or_init(|| all))
    }

    /// The laws of the distances, with moments from the middles of the cells.
    ///
    /// # Errors
    /// As [`segments`](Self::segments).
    pub(crate) fn laws(&self) -> Result<&Laws> {
        let segments = self.segments()?;
        let laws = || DistanceLaw::both(self.stretches(segments), self.n, self.m);
        Ok(self.laws.get_or_init(laws))
    }

    /// The least and the most that the largest `n m (F − G)` and `n m (G − F)` can be.
    pub(crate) fn extremes(&self) -> CellExtremes {
        let (r, c) = (self.reference.counts, self.current.counts);
        *self.extremes.get_or_init(|| cell_extremes(r, c, self.n, self.m))
    }

    fn cut(&self) -> Result<Vec<Segment>> {
        let edges = self.edges();
        let mut all = Vec::with_capacity(edges.len() + 4);
        self.tail(&mut all, Side::Left)?;
        let counts = |side: &EdgeCounts<'a>| side.counts[1..].chunks_exact(2);
        let (mut f, mut g) = (self.reference.counts[0], self.current.counts[0]);
        let inner = edges.windows(2).zip(self.cross[1..].chunks_exact(2));
        let inner = inner.zip(counts(&self.reference).zip(counts(&self.current)));
        all.extend(inner.map(|((pair, cross), (r, c))| {
            // An edge, and the open cell behind it.
            (f, g) = (f + r[0], g + c[0]);
            let (low, high) = self.reach(cross[0], r[1], c[1]);
            let (at_f, at_g) = (f as f64 + 0.5 * r[1] as f64, g as f64 + 0.5 * c[1] as f64);
            (f, g) = (f + r[1], g + c[1]);
            Segment { length: pair[1] - pair[0], low, high, f: at_f, g: at_g }
        }));
        self.tail(&mut all, Side::Right)?;
        Ok(all)
    }

    /// Beyond an outer edge: the outermost value of each side is known, the others lie anywhere
    /// between it and the edge. Counted from outside inwards both tails are the same.
    fn tail(&self, all: &mut Vec<Segment>, side: Side) -> Result<()> {
        let edges = self.edges();
        let of = |counts: &EdgeCounts<'_>, name: &str| -> Result<(u64, f64)> {
            let (rows, edge, place) = match side {
                Side::Left => (counts.counts[0], edges[0], counts.range.map(|r| r.0)),
                Side::Right => (
                    counts.counts[counts.counts.len() - 1],
                    edges[edges.len() - 1],
                    counts.range.map(|r| r.1),
                ),
            };
            match place {
                _ if rows == 0 => Ok((0, 0.0)),
                Some(place) => Ok((rows, (edge - place).abs())),
                None => Err(Error::undefined(
                    "a distance from counts",
                    format!(
                        "{rows} rows of the {name} lie beyond the edges, and their range is not given"
                    ),
                )),
            }
        };
        let (r, far_r) = of(&self.reference, "reference")?;
        let (c, far_c) = of(&self.current, "current data")?;
        // From outside: first only the farther side has rows, at least one; then both have.
        let stretches = [
            ((far_r - far_c).max(0.0), (r > 0 && far_r > far_c, false)),
            ((far_c - far_r).max(0.0), (false, c > 0 && far_c > far_r)),
            (far_r.min(far_c), (r > 0, c > 0)),
        ];
        let (n, m) = (self.n as f64, self.m as f64);
        for (length, (of_r, of_c)) in stretches {
            if length == 0.0 {
                continue;
            }
            let rows = |there: bool, rows: u64| if there { (1.0, rows as f64) } else { (0.0, 0.0) };
            let ((r_least, r_most), (c_least, c_most)) = (rows(of_r, r), rows(of_c, c));
            let (low, high) = (r_least * m - c_most * n, r_most * m - c_least * n);
            let off = self.slack * (r_most * m + c_most * n);
            let (f, g) = (0.5 * (r_least + r_most), 0.5 * (c_least + c_most));
            all.push(match side {
                Side::Left => Segment { length, low: low - off, high: high + off, f, g },
                // What is still to come, taken off what is the same at the end.
                Side::Right => {
                    Segment { length, low: -high - off, high: off - low, f: n - f, g: m - g }
                }
            });
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// The larger of two numbers of which neither is NaN: one instruction, where `f64::max` takes four.
pub(crate) fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// `a − b`, rounded once.
fn difference(a: u128, b: u128) -> f64 {
    if a >= b { (a - b) as f64 } else { -((b - a) as f64) }
}

fn check_range(side: &str, counts: &EdgeCounts<'_>) -> Result<()> {
    let Some((min, max)) = counts.range else { return Ok(()) };
    let (first, last) = (counts.edges[0], counts.edges[counts.edges.len() - 1]);
    let fits = min <= max
        && min.is_finite()
        && max.is_finite()
        && (counts.counts[0] == 0 || min < first)
        && (counts.counts[counts.counts.len() - 1] == 0 || max > last);
    if fits {
        Ok(())
    } else {
        Err(Error::invalid(
            format!("the range of the {side}"),
            "finite numbers that reach beyond the outer edges where rows are counted there",
            format_args!("[{min}, {max}]"),
        ))
    }
}

/// The bounds of a p-value: the last bits of a tail need not fall where its argument rises.
pub(crate) fn p_between(a: f64, b: f64) -> (f64, f64) {
    (a.min(b), a.max(b))
}

/// Two numbers that enclose another, moved apart by what rounding may have taken: `steps`
/// additions of terms of one sign. Equal numbers stay equal: the counts determine the statistic.
pub(crate) fn outward(low: f64, high: f64, steps: usize) -> (f64, f64) {
    if low == high {
        return (low, high);
    }
    let by = (steps as f64 + 16.0) * f64::EPSILON;
    (low - low.abs() * by, high + high.abs() * by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_cut_at_the_values_that_are_known() {
        // 1, 3, 6 and 20 against 2 and 6, at the edges 4 and 8.
        let edges = [4.0, 8.0];
        let reference = EdgeCounts::new(&edges, &[2, 0, 1, 0, 1]).with_range(1.0, 20.0);
        let current = EdgeCounts::new(&edges, &[1, 0, 1, 0, 0]).with_range(2.0, 6.0);
        let pair = EdgePair::new(reference, current).expect("a pair");
        let all = pair.segments().expect("segments");
        let seen: Vec<_> = all.iter().map(|s| (s.length, s.low, s.high)).collect();
        assert_eq!(
            seen,
            // n m F − n m G with n = 4 and m = 2: a row of the reference is 2, a current one 4.
            [(1.0, 2.0, 4.0), (2.0, -2.0, 0.0), (4.0, -4.0, 2.0), (12.0, -2.0, -2.0)]
        );
        let cells: Vec<_> = pair.cells().map(|c| (c.open, c.r, c.c, c.before, c.right)).collect();
        assert_eq!(cells, [(true, 2, 1, 0, 0.0), (true, 1, 1, 3, -2.0), (true, 1, 0, 5, 0.0)]);
        let unknown = EdgePair::new(EdgeCounts { range: None, ..reference }, current);
        assert!(unknown.expect("a pair").segments().is_err());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let edges = [0.0, 1.0];
        let good = EdgeCounts::new(&edges, &[0, 1, 2, 3, 4]);
        assert!(EdgePair::new(good, good).is_ok());
        for bad in [
            EdgeCounts::new(&[0.0, 2.0], good.counts),
            EdgeCounts::new(&edges, &[1, 2, 3]),
            EdgeCounts::new(&edges, &[0, 0, 0, 0, 0]),
            EdgeCounts::new(&edges, &[u64::MAX, 1, 0, 0, 0]),
            good.with_range(0.0, 1.0),
            good.with_range(f64::NAN, 9.0),
        ] {
            assert!(EdgePair::new(good, bad).is_err(), "{bad:?}");
        }
        for edges in [&[][..], &[1.0, 1.0], &[0.0, f64::INFINITY], &[f64::NAN, 1.0]] {
            let side = EdgeCounts::new(edges, &[1, 1, 1, 1, 1][..=2 * edges.len()]);
            assert!(EdgePair::new(side, side).is_err());
        }
    }

    #[test]
    fn huge_counts_are_subtracted_before_they_are_rounded() {
        let edges = [0.0];
        let big = 1u64 << 61;
        let (r, c) = ([0, big, big - 1], [0, big - 1, big]);
        let reference = EdgeCounts::new(&edges, &r).with_range(0.0, 1.0);
        let current = EdgeCounts::new(&edges, &c).with_range(0.0, 1.0);
        let pair = EdgePair::new(reference, current).expect("a pair");
        let expected = (2.0 * big as f64 - 1.0) * 1.0;
        assert_eq!(pair.cells().next().expect("a cell").right, expected);
    }
}
