//! The bootstrap of counts: its cost does not depend on the rows.

use std::fmt;

use mlops_core::stats::{Draws, Interval, Resampling};
use mlops_core::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Counts, Metric, MetricFrame};

/// How counts are drawn anew.
///
/// Resampling rows with replacement makes the counts of all cells multinomial; they are drawn as
/// such, by binomial draws that take the same time for a thousand rows and a billion. Draw `r`
/// depends on the seed, the stream and `r` alone: the same at any thread count.
///
/// A percentile interval of a difference between the highest and the lowest of several groups
/// never covers 0, because a maximum of noise is not 0: compare it with
/// [`maximum_null`](super::maximum_null). Its use is what has no interval of its own, as a
/// difference of F1 scores.
///
/// ```
/// use mlops_fairness::uncertainty::CountBootstrap;
/// use mlops_fairness::{Counts, Group, Metric, MetricFrame};
///
/// let group = |name: &str| Group { values: vec![Some(name.into())] };
/// let frame = MetricFrame::new(vec!["sex".into()], [
///     (group("F"), Counts::confusion(300, 100, 500, 100)),
///     (group("M"), Counts::confusion(400, 150, 350, 100)),
/// ]);
/// let found = CountBootstrap::new(7, 10_000).differences(&frame, &[Metric::SelectionRate], 0.95)?;
/// let selection = &found[0];
/// assert!((selection.difference.estimate - 0.15).abs() < 1e-12);
/// assert!((selection.difference.interval.low - 0.107).abs() < 0.01);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CountBootstrap {
    /// The seed, the stream and the number of draws.
    pub resampling: Resampling,
    /// Whether every group keeps its number of rows. fairlearn's bootstrap does not.
    pub stratified: bool,
}

/// A number and its bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bootstrapped {
    /// The number of the counts themselves.
    pub estimate: f64,
    /// Percentile limits; they need not hold the estimate of a maximum.
    pub interval: Interval,
    /// How many draws gave a number.
    pub draws: u32,
    /// How many did not: a group had no rows that could count.
    pub undefined: u32,
}

impl fmt::Display for Bootstrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} {}, {} draws", self.estimate, self.interval, self.draws)?;
        if self.undefined > 0 {
            write!(f, ", {} undefined", self.undefined)?;
        }
        Ok(())
    }
}

/// The bootstrap of the comparisons of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BootstrappedGap {
    /// The metric.
    pub metric: Metric,
    /// The highest less the lowest.
    pub difference: Bootstrapped,
    /// The lowest over the highest; `None` where it is 0 in every group.
    pub ratio: Option<Bootstrapped>,
}

/// The cells of a group, in one order.
fn cells(c: &Counts) -> [u64; 9] {
    [
        c.true_positive,
        c.false_positive,
        c.true_negative,
        c.false_negative,
        c.unlabelled_positive,
        c.unlabelled_negative,
        c.unpredicted_positive,
        c.unpredicted_negative,
        c.empty,
    ]
}

fn set(counts: &mut Counts, cell: usize, rows: u64) {
    *match cell {
        0 => &mut counts.true_positive,
        1 => &mut counts.false_positive,
        2 => &mut counts.true_negative,
        3 => &mut counts.false_negative,
        4 => &mut counts.unlabelled_positive,
        5 => &mut counts.unlabelled_negative,
        6 => &mut counts.unpredicted_positive,
        7 => &mut counts.unpredicted_negative,
        _ => &mut counts.empty,
    } = rows;
}

/// Cells that are drawn together: where they stand, how many rows each has.
struct Stratum {
    cells: Vec<(usize, usize, u64)>,
    rows: u64,
}

impl Stratum {
    fn draw(&self, draws: &mut Draws, into: &mut [Counts]) -> Result<()> {
        let (mut rows, mut left) = (self.rows, self.rows);
        for &(group, cell, count) in &self.cells {
            // Of the rows that are still to fall, this cell's share of the cells that are left.
            let drawn = if count == left {
                rows
            } else {
                draws.binomial_at_once(rows, count as f64 / left as f64)?
            };
            set(&mut into[group], cell, drawn);
            rows -= drawn;
            left -= count;
        }
        Ok(())
    }
}

/// Many draws at a time, so that a thread keeps its buffers.
const BLOCK: u32 = 64;

impl CountBootstrap {
    /// So many draws under this seed, every group keeping its rows.
    pub fn new(seed: u64, draws: u32) -> Self {
        Self { resampling: Resampling::new(seed, draws), stratified: true }
    }

    /// The same with groups that gain and lose rows, as fairlearn draws.
    #[must_use]
    pub fn unstratified(mut self) -> Self {
        self.stratified = false;
        self
    }

    /// The largest differences and the smallest ratios of these metrics between groups.
    ///
    /// # Errors
    /// As [`statistic`](Self::statistic).
    pub fn differences(
        &self,
        frame: &MetricFrame,
        metrics: &[Metric],
        confidence: f64,
    ) -> Result<Vec<BootstrappedGap>> {
        let ends = |groups: &[Counts], metric: Metric| -> Option<(f64, f64)> {
            let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
            for counts in groups {
                let value = metric.of(counts).value?;
                ends = (ends.0.min(value), ends.1.max(value));
            }
            (ends.0 <= ends.1).then_some(ends)
        };
        let found = self.run(frame, confidence, 2 * metrics.len(), |groups, out| {
            for (&metric, out) in metrics.iter().zip(out.chunks_exact_mut(2)) {
                let ends = ends(groups, metric);
                out[0] = ends.map_or(f64::NAN, |(low, high)| high - low);
                out[1] = ends.map_or(f64::NAN, |(low, high)| low / high);
            }
        })?;
        metrics
            .iter()
            .zip(found.chunks_exact(2))
            .map(|(&metric, pair)| {
                let [difference, ratio] = [&pair[0], &pair[1]];
                let difference = difference.clone().map_err(|reason| {
                    Error::undefined(format!("the bootstrap of the {metric} difference"), reason)
                })?;
                Ok(BootstrappedGap { metric, difference, ratio: ratio.clone().ok() })
            })
            .collect()
    }

    /// Any number of the groups' counts, in the order of the frame's groups; `None` where it is
    /// undefined.
    ///
    /// # Errors
    /// [`Error::Undefined`] where the number is undefined on the counts themselves or on more than
    /// one draw in twenty; [`Error::Invalid`] without draws, for a confidence outside (0, 1), and
    /// for counts that are weighted, because a count of weights is no count of draws.
    pub fn statistic(
        &self,
        frame: &MetricFrame,
        confidence: f64,
        statistic: impl Fn(&[Counts]) -> Option<f64> + Sync,
    ) -> Result<Bootstrapped> {
        let mut found = self.run(frame, confidence, 1, |groups, out| {
            out[0] = statistic(groups).unwrap_or(f64::NAN);
        })?;
        found
            .pop()
            .unwrap_or(Err(String::new()))
            .map_err(|reason| Error::undefined("a bootstrap interval", reason))
    }

    /// `width` numbers of each draw, and the interval of each.
    fn run(
        &self,
        frame: &MetricFrame,
        confidence: f64,
        width: usize,
        measure: impl Fn(&[Counts], &mut [f64]) + Sync,
    ) -> Result<Vec<Result<Bootstrapped, String>>> {
        Interval::new(0.0, 0.0, confidence)?;
        let Resampling { seed, stream, replicates } = self.resampling;
        if replicates == 0 {
            return Err(Error::invalid("the draws of a bootstrap", "at least 1", 0));
        }
        let own: Vec<Counts> = frame.groups().map(|(_, counts)| counts.clone()).collect();
        if own.iter().any(|counts| counts.weights.is_some()) {
            let found = "weighted ones";
            return Err(Error::invalid("the counts of a bootstrap", "unweighted counts", found));
        }
        if width == 0 {
            return Ok(Vec::new());
        }
        let strata = self.strata(&own)?;
        let mut estimates = vec![f64::NAN; width];
        measure(&own, &mut estimates);
        let blocks: Vec<Vec<f64>> = (0..replicates.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let (first, upto) = (block * BLOCK, replicates.min(block * BLOCK + BLOCK));
                let mut groups = vec![Counts::default(); own.len()];
                let mut out = vec![f64::NAN; width * (upto - first) as usize];
                for (replicate, out) in (first..upto).zip(out.chunks_exact_mut(width)) {
                    let mut draws = Draws::new(seed, stream, u64::from(replicate));
                    for stratum in &strata {
                        stratum.draw(&mut draws, &mut groups)?;
                    }
                    measure(&groups, out);
                }
                Ok(out)
            })
            .collect::<Result<_>>()?;
        let tail = (1.0 - confidence) / 2.0;
        let columns: Vec<usize> = (0..width).collect();
        Ok(columns
            .into_par_iter()
            .map(|column| {
                let values = blocks.iter().flat_map(|b| b.iter().skip(column).step_by(width));
                let mut values: Vec<f64> = values.copied().filter(|v| v.is_finite()).collect();
                let draws = values.len() as u32;
                let undefined = replicates - draws;
                if !estimates[column].is_finite() {
                    return Err("it is undefined on the counts themselves".to_owned());
                }
                if u64::from(undefined) * 20 > u64::from(replicates) {
                    return Err(format!("it is undefined on {undefined} of {replicates} draws"));
                }
                let (low, high) =
                    (percentile(&mut values, tail), percentile(&mut values, 1.0 - tail));
                let interval =
                    Interval::new(low, high.max(low), confidence).map_err(|e| e.to_string())?;
                Ok(Bootstrapped { estimate: estimates[column], interval, draws, undefined })
            })
            .collect())
    }

    fn strata(&self, own: &[Counts]) -> Result<Vec<Stratum>> {
        let of = |group: usize, counts: &Counts| {
            let cells = cells(counts).into_iter().enumerate();
            cells
                .filter(|c| c.1 > 0)
                .map(move |(cell, rows)| (group, cell, rows))
                .collect::<Vec<_>>()
        };
        let by_group = own.iter().enumerate().map(|(group, counts)| of(group, counts));
        let cells: Vec<Vec<_>> =
            if self.stratified { by_group.collect() } else { vec![by_group.flatten().collect()] };
        cells
            .into_iter()
            .map(|cells| {
                let rows = cells.iter().try_fold(0_u64, |sum, c| sum.checked_add(c.2));
                let rows = rows.ok_or_else(|| {
                    Error::invalid("the counts of a bootstrap", "fewer than 2^64 rows", "more")
                })?;
                Ok(Stratum { cells, rows })
            })
            .collect()
    }
}

/// The value at this share of the values in order, on the line between its neighbours, as
/// `numpy.quantile` has it.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    let at = share * (values.len() - 1) as f64;
    let below = at.floor() as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    if above.is_empty() { low } else { low + (high - low) * at.fract() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Group;

    fn counted(groups: &[[u64; 4]]) -> MetricFrame {
        let groups = groups.iter().enumerate().map(|(i, &[tp, fp, tn, fn_])| {
            (Group { values: vec![Some(format!("{i}"))] }, Counts::confusion(tp, fp, tn, fn_))
        });
        MetricFrame::new(vec!["g".into()], groups)
    }

    #[test]
    fn the_same_on_any_threads_and_near_the_score_interval() {
        let frame = counted(&[[300, 100, 500, 100], [200, 100, 600, 100], [9, 1, 90, 0]]);
        for how in [CountBootstrap::new(3, 4000), CountBootstrap::new(3, 4000).unstratified()] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| how.differences(&frame, &Metric::ALL, 0.95).unwrap())
            };
            let one = run(1);
            assert_eq!(run(3), one);
            assert_eq!(one.len(), Metric::ALL.len());
        }
        let two = counted(&[[300, 100, 500, 100], [200, 100, 600, 100]]);
        let found = CountBootstrap::new(1, 20_000);
        let found = found.differences(&two, &[Metric::SelectionRate], 0.95).unwrap()[0].difference;
        let score = crate::gap::demographic_parity_difference(&two, 0.95).unwrap().interval;
        assert!((found.interval.low - score.low).abs() < 0.003, "{found} {score}");
        assert!((found.interval.high - score.high).abs() < 0.003, "{found} {score}");
    }

    #[test]
    fn any_number_of_counts_and_none_of_undefined_ones() {
        let frame = counted(&[[30, 10, 50, 10], [20, 10, 60, 10]]);
        let f1 = |c: &Counts| {
            let (tp, wrong) = (2.0 * c.true_positive as f64, c.false_positive + c.false_negative);
            let all = tp + wrong as f64;
            (all > 0.0).then(|| tp / all)
        };
        let gap = |groups: &[Counts]| Some((f1(&groups[0])? - f1(&groups[1])?).abs());
        let found = CountBootstrap::new(5, 2000).statistic(&frame, 0.9, gap).unwrap();
        assert!(
            (found.estimate - (0.75 - 2.0 / 3.0)).abs() < 1e-12 && found.interval.width() > 0.05
        );
        // No positives: no true-positive rate in any draw.
        let none = counted(&[[0, 10, 50, 0], [20, 10, 60, 10]]);
        let how = CountBootstrap::new(5, 100);
        assert!(how.differences(&none, &[Metric::TruePositiveRate], 0.9).is_err());
        assert!(how.differences(&none, &[Metric::FalsePositiveRate], 0.9).is_ok());
        assert!(CountBootstrap::new(5, 0).statistic(&frame, 0.9, gap).is_err());
        assert!(how.statistic(&frame, 1.0, gap).is_err());
        assert!(how.statistic(&counted(&[]), 0.9, |_| None).is_err());
    }
}
