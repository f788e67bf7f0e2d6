//! Bins of numbers, for the statistics that compare counts.

use std::fmt;
use std::ops::Range;

use arrow::array::Float64Array;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

const MOST_BINS: usize = 1 << 20;

/// How numbers are put into bins, by the reference alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bins {
    /// So many bins of about equally many reference values, each ending on one. Fewer where many
    /// are tied. [`DirichletMultinomial`](crate::statistics::DirichletMultinomial) is their law.
    Quantiles(usize),
    /// So many bins of equal width over the range of the reference. One outlier in it leaves most
    /// of them empty: prefer quantiles, unless a number must be compared with one made like this.
    EqualWidth(usize),
}

/// Both sides in the same bins, from [`bin_counts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BinCounts {
    /// Where bins `(lo, hi]` end; the first begins at −∞ and the last, which is one more, ends at
    /// +∞.
    pub edges: Vec<f64>,
    /// Reference values in each bin.
    pub reference: Vec<u64>,
    /// Current values in each bin.
    pub current: Vec<u64>,
}

impl fmt::Display for BinCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut low = f64::NEG_INFINITY;
        let ends = self.edges.iter().copied().chain(std::iter::once(f64::INFINITY));
        for ((end, reference), current) in ends.zip(&self.reference).zip(&self.current) {
            writeln!(f, "({low}, {end}]: {reference} and {current}")?;
            low = end;
        }
        Ok(())
    }
}

/// Counts of two arrays in bins that the reference sets; nulls are left out.
///
/// The outer bins are open, so that values beyond the range of the reference count in them. A
/// constant reference gets three bins: below it, it, above it. `O((n + m) log n)`.
///
/// ```
/// use mlops_core::arrow::array::Float64Array;
/// use mlops_drift::statistics::{Bins, ZeroCells, bin_counts, psi};
/// let reference = Float64Array::from_iter_values((0..100).map(f64::from));
/// let current = Float64Array::from_iter_values((0..50).map(|i| f64::from(i * 3)));
/// let counts = bin_counts(&reference, &current, Bins::Quantiles(4))?;
/// assert_eq!(counts.edges, [24.0, 49.0, 74.0]);
/// assert_eq!((&counts.reference[..], &counts.current[..]), (&[25; 4][..], &[9, 8, 8, 25][..]));
/// let index = psi(&counts.reference, &counts.current, ZeroCells::AddHalf)?;
/// assert!((0.25..0.26).contains(&index), "{index}");
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] for a side with no values or with NaN, and for equal widths of an infinite
/// range; [`Error::Invalid`] for fewer than two bins or more than 2²⁰.
pub fn bin_counts(
    reference: &Float64Array,
    current: &Float64Array,
    bins: Bins,
) -> Result<BinCounts> {
    const WHAT: &str = "bins of numbers";
    let (Bins::Quantiles(wanted) | Bins::EqualWidth(wanted)) = bins;
    if !(2..=MOST_BINS).contains(&wanted) {
        return Err(Error::invalid("the number of bins", "from 2 to 2^20", wanted));
    }
    let values = |side: &str, values: &Float64Array| {
        // −0 and +0 are one value, though they sort apart.
        let values: Vec<f64> = values.iter().flatten().map(|x| x + 0.0).collect();
        if values.is_empty() {
            return Err(Error::undefined(WHAT, format!("the {side} has no values")));
        }
        if values.iter().any(|x| x.is_nan()) {
            return Err(Error::undefined(WHAT, format!("the {side} holds NaN")));
        }
        Ok(values)
    };
    let mut left = values("reference", reference)?;
    let right = values("current data", current)?;
    left.sort_unstable_by(f64::total_cmp);
    let n = left.len();
    let (low, high) = (left[0], left[n - 1]);
    let mut edges: Vec<f64> = match bins {
        _ if low == high => vec![low.next_down(), low],
        Bins::Quantiles(bins) => (1..bins)
            .map(|bin| left[((bin as u128 * n as u128 / bins as u128) as usize).max(1) - 1])
            .filter(|edge| *edge < high)
            .collect(),
        Bins::EqualWidth(_) if low.is_infinite() || high.is_infinite() => {
            return Err(Error::undefined(WHAT, "the range of the reference is infinite"));
        }
        Bins::EqualWidth(bins) => equal_widths(low, high, bins).collect(),
    };
    // Steps of a range of a few floats round to either side.
    edges.sort_unstable_by(f64::total_cmp);
    edges.dedup();
    if edges.is_empty() {
        // The largest value is more than its share: it against all that is smaller.
        edges.extend(left.iter().rev().find(|x| **x < high));
    }
    let count = |values: &[f64]| {
        let mut counts = vec![0; edges.len() + 1];
        for value in values {
            counts[edges.partition_point(|edge| edge < value)] += 1;
        }
        counts
    };
    let (reference, current) = (count(&left), count(&right));
    Ok(BinCounts { edges, reference, current })
}

/// Where bins of equal width end, without the last; no step overflows.
fn equal_widths(low: f64, high: f64, bins: usize) -> impl Iterator<Item = f64> {
    (1..bins).map(move |bin| {
        let share = bin as f64 / bins as f64;
        low * (1.0 - share) + high * share
    })
}

/// Runs of the `2k + 1` cells around `k` edges (the open interval below the first, the first edge,
/// the next open interval, …) that make bins `(lo, hi]` of about equal width over the range of the
/// edges, each ending on the edge that is nearest to where it should: for counts of a stored
/// profile. Fewer where edges are too far apart.
///
/// ```
/// use mlops_drift::statistics::equal_width_runs;
/// let edges = [0.0, 1.0, 2.0, 3.0, 4.0];
/// assert_eq!(equal_width_runs(&edges, 2)?, [0..6, 6..11]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Undefined`] without edges, [`Error::Invalid`] for edges that are not finite and
/// ascending, and for fewer than two bins or more than 2²⁰.
pub fn equal_width_runs(edges: &[f64], bins: usize) -> Result<Vec<Range<usize>>> {
    let (Some(&low), Some(&high)) = (edges.first(), edges.last()) else {
        return Err(Error::undefined("bins of equal width", "there are no edges"));
    };
    if !(2..=MOST_BINS).contains(&bins) {
        return Err(Error::invalid("the number of bins", "from 2 to 2^20", bins));
    }
    let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
    if !(ascending && low.is_finite() && high.is_finite()) {
        return Err(Error::invalid("edges", "finite numbers in ascending order", "others"));
    }
    let cells = 2 * edges.len() + 1;
    let mut runs = Vec::new();
    let mut start = 0;
    for at in equal_widths(low, high, bins) {
        let right = edges.partition_point(|edge| *edge < at).min(edges.len() - 1);
        let left = right.saturating_sub(1);
        let nearest = if at - edges[left] < edges[right] - at { left } else { right };
        // Behind the edge: rows on it belong to the bin that it closes.
        let end = 2 * nearest + 2;
        if end > start && end < cells {
            runs.push(start..end);
            start = end;
        }
    }
    runs.push(start..cells);
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f64]) -> Float64Array {
        Float64Array::from(values.to_vec())
    }

    #[test]
    fn every_value_falls_into_one_bin() {
        let nasty = [
            array(&[0.0, -0.0, 1.0, 1.0, 1.0, 2.0, f64::MAX, f64::MIN, 5e-324]),
            array(&[3.0, 3.0, 3.0]),
            array(&[7.0]),
            array(&[1.0, 1.0, 1.0, 1.0, 9.0]),
            array(&[1.0, 9.0, 9.0, 9.0, 9.0]),
        ];
        let current = array(&[f64::NEG_INFINITY, -1.0, 0.0, 3.0, 3.5, 9.0, 1e300, f64::INFINITY]);
        for reference in &nasty {
            for bins in [Bins::Quantiles(4), Bins::EqualWidth(5), Bins::Quantiles(1000)] {
                let counts = bin_counts(reference, &current, bins).unwrap();
                assert!(counts.edges.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
                assert!(!counts.edges.is_empty());
                assert_eq!(counts.reference.iter().sum::<u64>(), reference.len() as u64);
                assert_eq!(counts.current.iter().sum::<u64>(), 8);
                // Nulls and order don't matter.
                let mut other: Vec<_> = reference.iter().flat_map(|x| [x, None]).collect();
                other.reverse();
                assert_eq!(bin_counts(&other.into(), &current, bins).unwrap(), counts);
            }
        }
        let three = bin_counts(&nasty[1], &current, Bins::Quantiles(10)).unwrap();
        assert_eq!((three.reference, three.current), (vec![0, 3, 0], vec![3, 1, 4]));
    }

    #[test]
    fn what_has_no_bins_is_an_error() {
        let some = array(&[1.0, 2.0]);
        for bad in [array(&[]), array(&[f64::NAN]), Float64Array::from(vec![None, None])] {
            assert!(bin_counts(&bad, &some, Bins::Quantiles(2)).is_err());
            assert!(bin_counts(&some, &bad, Bins::Quantiles(2)).is_err());
        }
        assert!(bin_counts(&some, &some, Bins::Quantiles(1)).is_err());
        assert!(bin_counts(&some, &some, Bins::EqualWidth(usize::MAX)).is_err());
        let infinite = array(&[1.0, f64::INFINITY]);
        assert!(bin_counts(&infinite, &some, Bins::EqualWidth(3)).is_err());
        assert!(bin_counts(&infinite, &some, Bins::Quantiles(3)).is_ok());
        assert!(equal_width_runs(&[], 3).is_err() && equal_width_runs(&[2.0, 1.0], 3).is_err());
        assert!(equal_width_runs(&[1.0, 2.0], 1).is_err());
        assert!(equal_width_runs(&[1.0, 2.0], usize::MAX).is_err());
    }

    #[test]
    fn runs_cover_all_cells_once() {
        for edges in [&[1.0][..], &[0.0, 1.0], &[0.0, 0.1, 0.2, 9.0], &[-1e308, 0.0, 1e308]] {
            for bins in [2, 3, 10] {
                let runs = equal_width_runs(edges, bins).unwrap();
                assert!(runs.len() <= bins && runs.iter().all(|run| run.start < run.end));
                assert_eq!((runs[0].start, runs[runs.len() - 1].end), (0, 2 * edges.len() + 1));
                assert!(runs.windows(2).all(|pair| pair[0].end == pair[1].start));
            }
        }
    }
}
