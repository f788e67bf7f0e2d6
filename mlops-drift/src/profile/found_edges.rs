//! What a look at a column found: runs of floats, and the edges to choose among them.

use mlops_core::states::{Counters, Histogram};
use mlops_core::{Error, Result};

use crate::profile::edges::FindEdges;
use crate::profile::keys::{Extent, ZERO, value_of};
use crate::profile::look::Look;

/// With fewer edges it does not matter how fast they are counted at, and each is seen more.
const WORTH_SNAPPING: usize = 512;

fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// A run of floats, by their keys, and how many values are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) count: u64,
}

impl Run {
    fn is_value(&self) -> bool {
        self.low == self.high
    }
}

/// Where the finite numbers of a column lie: runs of floats, from the lowest to the highest, with
/// the number of values in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEdges {
    /// How many values are in all runs.
    pub(super) n: u64,
    /// How many of the lowest bits are 0 in all keys.
    pub(super) grain: u32,
    pub(super) runs: Vec<Run>,
}

impl FoundEdges {
    /// Keys that were counted one by one.
    pub(super) fn values_of(counts: &[(u64, u64)]) -> Self {
        let runs: Vec<_> =
            counts.iter().map(|&(key, count)| Run { low: key, high: key, count }).collect();
        Self { n: total(runs.iter().map(|run| run.count)), grain: 0, runs }
    }

    /// The parts of a look as runs; small neighbours are one, but for those that lie in different
    /// runs of an earlier look. A first look knows the extent, others what grain came of it.
    pub(super) fn parts_of(
        look: &Look,
        counts: &Counters,
        extent: Extent,
        grain: Option<u32>,
        edges: usize,
    ) -> Self {
        let is_first = grain.is_none();
        let grain = grain.unwrap_or(extent.bits.trailing_zeros()).min(u64::BITS - 1);
        let step = 1 << grain;
        let n = total(counts.iter().skip(1));
        let small = n / (2 * edges as u64);
        let mut runs: Vec<Run> = Vec::new();
        let mut left = counts.iter().skip(1);
        for earlier in look.runs() {
            let first = runs.len();
            let mut push = |low: u64, high: u64, count: u64| {
                // Up to the highest key that there can be.
                let high = high - (high - low) % step;
                match runs[first..].last_mut() {
                    Some(last) if last.count.saturating_add(count) <= small => {
                        last.high = high;
                        last.count += count;
                    }
                    _ => runs.push(Run { low, high, count }),
                }
            };
            let of_run = (0..earlier.len() as u64).zip(left.by_ref());
            for (at, mut count) in of_run.filter(|(_, count)| *count > 0) {
                let (mut low, mut high) = earlier.part(at);
                if is_first {
                    // Where 0 is, a part begins with it.
                    if low == ZERO && extent.zeros > 0 {
                        push(low, low, extent.zeros);
                        count = count.saturating_sub(extent.zeros);
                        low = (low + step).min(high);
                    }
                    (low, high) = (low.max(extent.low), high.min(extent.high));
                }
                if count > 0 {
                    push(low.min(high), high, count);
                }
            }
        }
        Self { n, grain, runs }
    }

    /// How many finite values there are.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// How many distinct values there are, where that is known: always where they are no more than
    /// the edges.
    pub fn distinct(&self) -> Option<usize> {
        self.runs.iter().all(Run::is_value).then_some(self.runs.len())
    }

    /// The distinct values, in order, where they are known.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.runs.iter().map(|run| value_of(run.low))
    }

    /// A run with more than two shares of the values, which may hide a value with as many.
    pub(super) fn is_unresolved(&self, run: &Run, edges: usize) -> bool {
        !run.is_value() && self.is_over(run.count, 2, edges)
    }

    /// Puts what was found by [`FindEdges::again`] in the place of the runs that were unresolved.
    ///
    /// # Errors
    /// [`Error::Merge`] if that counted other values: the data changed in between.
    pub fn refine(&mut self, again: &FindEdges, found: Self) -> Result<()> {
        let changed = || Error::merge("runs of values", "the data changed between two looks");
        let mut finer = found.runs.into_iter().peekable();
        let mut runs = Vec::with_capacity(self.runs.len() + finer.len());
        for run in &self.runs {
            let looked_at = !run.is_value() && again.looks_at(run.low);
            if !looked_at {
                runs.push(*run);
                continue;
            }
            let mut left = run.count;
            while let Some(part) = finer.next_if(|part| part.low <= run.high) {
                if part.low < run.low || part.high > run.high {
                    return Err(changed());
                }
                left = left.checked_sub(part.count).ok_or_else(changed)?;
                runs.push(part);
            }
            if left > 0 {
                return Err(changed());
            }
        }
        if finer.next().is_some() {
            return Err(changed());
        }
        self.runs = runs;
        Ok(())
    }

    /// At most this many edges (at least 2), strictly increasing: the values at equally spaced
    /// ranks, always with the extremes. All of the values, where there are no more; none of no
    /// values.
    ///
    /// Between two edges there are at most 3 / `edges` of the values if nothing is unresolved, and
    /// a value that more than 2 / `edges` have is an edge. Where that leaves room, edges that are
    /// no such value and no extreme stand where they are counted at the fastest
    /// ([`Histogram::snap`]), if they are hundreds.
    ///
    /// # Errors
    /// None that finite values could cause.
    pub fn edges(&self, most: usize) -> Result<Vec<f64>> {
        let (Some(first), Some(last)) = (self.runs.first(), self.runs.last()) else {
            return Ok(Vec::new());
        };
        let most = most.max(2);
        if self.runs.len() <= most && self.runs.iter().all(Run::is_value) {
            return Ok(self.values().collect());
        }
        let mut edges = self.at_equal_ranks(most, first);
        edges.push(value_of(last.high));
        edges.dedup();
        if edges.len() < WORTH_SNAPPING {
            return Ok(edges);
        }
        Ok(self.snapped(&edges, most)?.unwrap_or(edges))
    }

    /// These edges where they are counted at the fastest, but for the extremes; `None` if that
    /// loses a value that must be an edge, or leaves too many values between two.
    pub(super) fn snapped(&self, edges: &[f64], most: usize) -> Result<Option<Vec<f64>>> {
        let mut near = Histogram::snap(edges)?;
        let (Some(first), Some(last)) = (self.runs.first(), self.runs.last()) else {
            return Ok(None);
        };
        // Values near an extreme are searched for, which is slow where there are many.
        let is_heavy = |run: &Run| run.is_value() && self.is_over(run.count, 2, most);
        let ends = [first, last].into_iter().filter(|run| is_heavy(run));
        if ends.into_iter().any(|run| !near.contains(&value_of(run.low))) {
            return Ok(None);
        }
        let (low, high) = (value_of(first.low), value_of(last.high));
        near.retain(|&edge| low < edge && edge < high);
        near.insert(0, low);
        near.push(high);
        Ok((near.len() <= most && self.are_fine(&near, most)).then_some(near))
    }

    /// Whether a count is more than so many of equal shares of the values.
    fn is_over(&self, count: u64, shares: u128, most: usize) -> bool {
        u128::from(count) * most as u128 > shares * u128::from(self.n)
    }

    /// The lowest floats of the runs at equally spaced ranks, without the last.
    fn at_equal_ranks(&self, most: usize, first: &Run) -> Vec<f64> {
        let mut edges = Vec::with_capacity(most);
        let mut runs = self.runs.iter();
        let (mut run, mut through) = (first, first.count);
        runs.next();
        for i in 0..most as u64 - 1 {
            let rank = (u128::from(self.n - 1) * u128::from(i) / (most as u128 - 1)) as u64;
            while through <= rank
                && let Some(next) = runs.next()
            {
                run = next;
                through = through.saturating_add(run.count);
            }
            edges.push(value_of(run.low));
        }
        edges
    }

    /// Whether no two of these edges can have more than three shares of the values between them,
    /// and all values with more than two are edges.
    fn are_fine(&self, edges: &[f64], most: usize) -> bool {
        let mut at = 0;
        let mut between = 0u64;
        for run in &self.runs {
            let (low, high) = (value_of(run.low), value_of(run.high));
            if edges.get(at).is_some_and(|&edge| edge <= low) {
                between = 0;
                at += edges[at..].partition_point(|&edge| edge <= low);
            }
            if run.is_value() {
                if at > 0 && edges[at - 1] == low {
                    continue;
                }
                if self.is_over(run.count, 2, most) {
                    return false;
                }
            }
            between = between.saturating_add(run.count);
            if self.is_over(between, 3, most) {
                return false;
            }
            if edges.get(at).is_some_and(|&edge| edge <= high) {
                // All of it may lie beyond the last edge in it.
                at += edges[at..].partition_point(|&edge| edge <= high);
                between = run.count;
            }
        }
        true
    }
}
