//! Coarser tables made of fine cells: quantile bins, pooled categories, bins to be drawn.

use std::ops::Range;

use mlops_core::report::Distribution;

use crate::profile::cells::Cells;
use crate::profile::counts::ColumnCounts;
use crate::profile::reference::ColumnProfile;

/// A category whose smaller expected count is below this is pooled with the other rare ones: the
/// rule under which the χ² law of the test is trusted (Cochran 1954).
const MIN_EXPECTED: f64 = 5.0;
/// A category of so many rows that all of them are current ones with less than this probability,
/// if nothing drifted, is one that the reference has not missed.
const MISSED: f64 = 1e-3;
/// How many categories are drawn at most.
const DRAWN_CATEGORIES: usize = 12;
/// How many bins of numbers are drawn at most, tails not counted.
const DRAWN_BINS: usize = 24;

/// Runs of cells `(lo, hi]`, each ending on an edge, that hold about equally many reference rows:
/// at most `bins` of them, fewer where many rows share a value. Always at least two, so that a
/// constant reference notices another constant.
pub(crate) fn quantile_bins(reference: &[u64], bins: usize) -> Vec<Range<usize>> {
    let n: u64 = reference.iter().sum();
    let mut cuts = Vec::new();
    let (mut below, mut cell) = (0u64, 0);
    // Cells 2i + 1 are the edges; a bin ends behind one.
    for bin in 1..bins as u64 {
        let target = |count: u64| (count as f64 * bins as f64 - n as f64 * bin as f64).abs();
        // The last whole row that is not beyond the target.
        let share = (u128::from(n) * u128::from(bin) / bins as u128) as u64;
        while cell + 2 < reference.len() {
            let next = below + reference[cell] + reference[cell + 1];
            if next > share && below > 0 && target(below) <= target(next) {
                break;
            }
            below = next;
            cell += 2;
        }
        if below > 0 && below < n && cuts.last() != Some(&cell) {
            cuts.push(cell);
        }
    }
    if cuts.is_empty() {
        // One value, or none: it against what is below and above.
        let first = reference.iter().position(|c| *c > 0).unwrap_or(0);
        let last = reference.iter().rposition(|c| *c > 0).unwrap_or(0) + 1;
        cuts.extend([first, last].into_iter().filter(|c| (1..reference.len()).contains(c)));
    }
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(reference.len()));
    starts.zip(ends).map(|(a, b)| a..b).collect()
}

/// The counts of runs of cells.
pub(crate) fn regroup(counts: &[u64], bins: &[Range<usize>]) -> Vec<u64> {
    bins.iter().map(|bin| counts[bin.clone()].iter().sum()).collect()
}

/// The counts of categories with the rare ones pooled as far as the χ² law of a test needs, and
/// what the reference's labels do not hold with them: into the last cell. What is rare is decided
/// by both sides together, as if they were one sample, so that pooling favours neither.
///
/// An unseen category can't be told from others like it; it is counted as rare, which it would be
/// if nothing had changed.
pub(crate) fn category_cells(reference: &[u64], current: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let (n, m): (u64, u64) = (reference.iter().sum(), current.iter().sum());
    let smaller = n.min(m) as f64 / (n as f64 + m as f64);
    let rare = |rows: f64| rows * smaller < MIN_EXPECTED;
    let (mut left, mut right, pooled) = pooled(reference, current, rare);
    let rows = pooled.0 as f64 + pooled.1 as f64;
    if rows > 0.0 && rare(rows) && left.len() > 1 {
        // Too small to stand alone: with the smallest of the others.
        let smallest = (0..left.len()).min_by_key(|&i| left[i] + right[i]).unwrap_or(0);
        left[smallest] += pooled.0;
        right[smallest] += pooled.1;
    } else if rows > 0.0 {
        left.push(pooled.0);
        right.push(pooled.1);
    }
    (left, right)
}

/// The finest cells whose counts can be permuted, and the distance of which is at most that of the
/// categories: pooled are only those of so few rows that the reference may have missed others like
/// them, and what its labels do not hold. Left apart, these would speak of drift where there is
/// none: identifiers are all unseen, and all of the reference's are gone.
pub(crate) fn permutable_cells(reference: &[u64], current: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let (n, m): (u64, u64) = (reference.iter().sum(), current.iter().sum());
    let of_current = (m as f64 / (n as f64 + m as f64)).ln();
    let rare = |rows: f64| rows * of_current > MISSED.ln();
    let (mut left, mut right, pooled) = pooled(reference, current, rare);
    if pooled != (0, 0) {
        left.push(pooled.0);
        right.push(pooled.1);
    }
    (left, right)
}

/// The cells that are not rare by their rows on both sides, and the counts of all others.
fn pooled(
    reference: &[u64],
    current: &[u64],
    rare: impl Fn(f64) -> bool,
) -> (Vec<u64>, Vec<u64>, (u64, u64)) {
    let last = reference.len() - 1;
    let mut pooled = (0, 0);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (cell, (&r, &c)) in reference.iter().zip(current).enumerate() {
        if cell == last || rare(r as f64 + c as f64) {
            pooled = (pooled.0 + r, pooled.1 + c);
        } else {
            left.push(r);
            right.push(c);
        }
    }
    (left, right, pooled)
}

/// Both sides in a few bins, with what is missing apart.
pub(crate) fn distribution(column: &ColumnProfile, current: &ColumnCounts) -> Distribution {
    let reference = column.counts();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let drawn = match column.cells() {
        Cells::Edges(edges) => {
            let bins = drawn_bins(edges, reference.cells());
            left = regroup(reference.cells(), &bins);
            right = regroup(current.cells(), &bins);
            let inner = bins.iter().skip(1).map(|bin| edges[bin.start / 2 - 1]);
            let ends = (std::iter::once(f64::NEG_INFINITY), std::iter::once(f64::INFINITY));
            Distribution::numbers(ends.0.chain(inner).chain(ends.1).collect::<Vec<_>>())
        }
        Cells::Labels(labels) => {
            let mut names = Vec::new();
            let mut draw = |name: String, r: u64, c: u64| {
                names.push(name);
                left.push(r);
                right.push(c);
            };
            let (n, m) = (reference.values().max(1) as f64, current.values().max(1) as f64);
            let count = |i: usize| (reference.cells()[i], current.cells()[i]);
            let share = |i: usize| (count(i).0 as f64 / n).max(count(i).1 as f64 / m);
            let mut order: Vec<_> = (0..labels.len()).collect();
            order.sort_by(|&a, &b| share(b).total_cmp(&share(a)).then(a.cmp(&b)));
            let (shown, rest) = order.split_at(order.len().min(DRAWN_CATEGORIES));
            for &i in shown {
                draw(labels[i].clone(), count(i).0, count(i).1);
            }
            let (r, c) = rest.iter().fold((0, 0), |(r, c), &i| (r + count(i).0, c + count(i).1));
            if r + c > 0 {
                draw(format!("({} others)", rest.len()), r, c);
            }
            let (r, c) = count(labels.len());
            if r + c > 0 {
                draw("(no label of the reference)".into(), r, c);
            }
            Distribution::categories(names)
        }
    };
    drawn.series("reference", left, reference.missing()).series("current", right, current.missing())
}

/// Bins of about equal width between the reference's 0.5th and 99.5th percentile, ending on edges,
/// and one for each tail.
fn drawn_bins(edges: &[f64], reference: &[u64]) -> Vec<Range<usize>> {
    let n: u64 = reference.iter().sum();
    let quantile = |p: f64| {
        let (mut below, least) = (0, (p * n as f64).ceil() as u64);
        let at = (0..edges.len()).find(|&i| {
            below += reference[2 * i] + reference[2 * i + 1];
            below >= least
        });
        at.unwrap_or(edges.len().saturating_sub(1))
    };
    if edges.is_empty() {
        return std::iter::once(0..reference.len()).collect();
    }
    let (low, high) = (edges[quantile(0.005)], edges[quantile(0.995)]);
    let mut cuts: Vec<usize> = Vec::new();
    for step in 0..=DRAWN_BINS {
        let at = low + (high - low) * (step as f64 / DRAWN_BINS as f64);
        let right = edges.partition_point(|e| *e < at).min(edges.len() - 1);
        let left = right.saturating_sub(1);
        let nearest = if at - edges[left] < edges[right] - at { left } else { right };
        // Behind the edge, so that an edge with many rows on it belongs to the bin it closes.
        let cut = 2 * nearest + 2;
        if cuts.last().is_none_or(|c| *c < cut) {
            cuts.push(cut);
        }
    }
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(reference.len()));
    starts.zip(ends).filter(|(a, b)| a < b).map(|(a, b)| a..b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_bins_share_the_reference_evenly() {
        // Ten values, one on each of ten edges.
        let cells: Vec<u64> = (0..21).map(|i| u64::from(i % 2 == 1)).collect();
        assert_eq!(regroup(&cells, &quantile_bins(&cells, 5)), [2, 2, 2, 2, 2]);
        assert_eq!(regroup(&cells, &quantile_bins(&cells, 10)), [1; 10]);
        // No more bins than values, and a heavy value keeps its bin to itself.
        assert_eq!(quantile_bins(&cells, 100).len(), 10);
        assert_eq!(
            regroup(&[0, 90, 0, 5, 0, 5, 0], &quantile_bins(&[0, 90, 0, 5, 0, 5, 0], 4)),
            [90, 10]
        );
        // Edges without rows, as a merged profile or one of other data may have, end no bin.
        let sparse = [0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 2, 0];
        assert_eq!(regroup(&sparse, &quantile_bins(&sparse, 4)), [2, 2, 2, 2]);
        // A constant stands alone, so that another constant is noticed.
        assert_eq!(quantile_bins(&[0, 7, 0], 10), [0..1, 1..2, 2..3]);
        assert_eq!(quantile_bins(&[7], 10).len(), 1);
    }

    #[test]
    fn rare_and_unseen_categories_are_pooled_by_both_sides_together() {
        // Labels of 100, 3 and 2 rows, and 4 unseen ones on the current side.
        let (r, c) = category_cells(&[60, 2, 2, 0], &[40, 1, 4, 7]);
        assert_eq!((r, c), (vec![60, 4], vec![40, 12]));
        // What is pooled but still too small joins the smallest of the others.
        let (r, c) = category_cells(&[60, 30, 1, 0], &[40, 20, 0, 0]);
        assert_eq!((r, c), (vec![60, 31], vec![40, 20]));
        // Identifiers: every label once, and all of them new. Nothing has drifted.
        let (mut r, mut c) = (vec![1; 500], vec![0; 500]);
        r.push(0);
        c.push(500);
        assert_eq!(category_cells(&r, &c), (vec![500], vec![500]));
        assert_eq!(permutable_cells(&r, &c), (vec![500], vec![500]));
        // Few current rows: too few for the law of a test, but the reference has missed none.
        let (r, c) = ([500, 400, 1, 0], [3, 0, 0, 1]);
        assert_eq!(category_cells(&r, &c), (vec![901], vec![4]));
        assert_eq!(permutable_cells(&r, &c), (vec![500, 400, 1], vec![3, 0, 1]));
    }
}
