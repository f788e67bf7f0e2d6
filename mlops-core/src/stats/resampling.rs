//! The bootstrap and the permutation test, seeded and the same at any thread count.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::draws::Draws;
use super::interval::Interval;
use crate::{Error, Result};

/// How to resample. Replicate `r` draws from [`Draws::new`]`(seed, stream, r)`, whoever computes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resampling {
    /// The seed.
    pub seed: u64,
    /// Which use of the seed this is; give each its own.
    pub stream: u32,
    /// How many replicates.
    pub replicates: u32,
}

impl Resampling {
    /// So many replicates under this seed, in stream 0.
    pub fn new(seed: u64, replicates: u32) -> Self {
        Self { seed, stream: 0, replicates }
    }

    /// One value for each replicate, in their order. Each thread keeps one buffer of row numbers.
    fn run<T: Send>(self, each: impl Fn(&mut Draws, &mut Vec<usize>) -> T + Sync) -> Vec<T> {
        (0..self.replicates)
            .into_par_iter()
            .map_init(Vec::new, |rows, replicate| {
                each(&mut Draws::new(self.seed, self.stream, u64::from(replicate)), rows)
            })
            .collect()
    }

    fn check(self, n: usize, what: &str) -> Result<()> {
        if self.replicates == 0 {
            return Err(Error::invalid("the replicates", "at least 1", 0));
        }
        if n == 0 {
            return Err(Error::undefined(what, "there are no rows"));
        }
        Ok(())
    }
}

/// What a bootstrap gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bootstrap {
    /// The statistic of the rows themselves.
    pub estimate: f64,
    /// The standard deviation of the replicates.
    pub std_error: f64,
    /// The percentile interval, widened to hold the estimate.
    pub interval: Interval,
    /// How many replicates gave a number.
    pub replicates: u32,
    /// How many did not: the statistic was undefined on their rows.
    pub undefined: u32,
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.4} {}, bootstrap of {} replicates",
            self.estimate, self.interval, self.replicates
        )?;
        if self.undefined > 0 {
            write!(f, ", {} undefined", self.undefined)?;
        }
        Ok(())
    }
}

/// The percentile bootstrap of a statistic of n rows.
///
/// Each replicate draws n rows with replacement and asks `statistic` for its value on those row
/// numbers; `None` where it is undefined. Limits interpolate between replicates as
/// `numpy.percentile` does. `scipy.stats.bootstrap(method="percentile")`; Efron and Tibshirani 1993,
/// chapter 13.
///
/// # Errors
/// [`Error::Undefined`] without rows, where the statistic is undefined on the rows themselves or on
/// more than one replicate in twenty; [`Error::Invalid`] without replicates or for a confidence
/// outside (0, 1).
///
/// ```
/// use mlops_core::stats::{Resampling, bootstrap};
/// let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
/// let mean = |rows: &[usize]| Some(rows.iter().map(|&i| values[i]).sum::<f64>() / rows.len() as f64);
/// let result = bootstrap(values.len(), Resampling::new(42, 2000), 0.95, mean)?;
/// assert_eq!(result.estimate, 4.5);
/// assert!(result.interval.low > 2.5 && result.interval.high < 6.5);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn bootstrap(
    n: usize,
    resampling: Resampling,
    confidence: f64,
    statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Bootstrap> {
    let what = "a bootstrap interval";
    resampling.check(n, what)?;
    Interval::new(0.0, 0.0, confidence)?;
    let own: Vec<usize> = (0..n).collect();
    let defined = |rows: &[usize]| statistic(rows).filter(|value| value.is_finite());
    let estimate = defined(&own)
        .ok_or_else(|| Error::undefined(what, "the statistic is undefined on the rows"))?;
    let values = resampling.run(|draws, rows| {
        rows.clear();
        rows.extend((0..n).map(|_| draws.below(n as u64) as usize));
        defined(rows)
    });
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    let replicates = values.len() as u32;
    let undefined = resampling.replicates - replicates;
    if u64::from(undefined) * 20 > u64::from(resampling.replicates) {
        return Err(Error::undefined(
            what,
            format!(
                "the statistic is undefined on {undefined} of {} replicates",
                resampling.replicates
            ),
        ));
    }
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    // Sums run over sorted values; they do not depend on which replicate gave which.
    let count = values.len() as f64;
    let mean = values.iter().map(|v| v / count).sum::<f64>();
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    Ok(Bootstrap {
        estimate,
        std_error: (squares / (count - 1.0).max(1.0)).sqrt(),
        interval: Interval::new(
            percentile(&values, tail).min(estimate),
            percentile(&values, 1.0 - tail).max(estimate),
            confidence,
        )?,
        replicates,
        undefined,
    })
}

/// The value at this share of sorted values, on the line between its neighbours.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = at.floor();
    let low = sorted[below as usize];
    let high = sorted[(below as usize + 1).min(sorted.len() - 1)];
    low + (high - low) * (at - below)
}

/// What a permutation test gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Permutation {
    /// The statistic of the rows in their own order.
    pub statistic: f64,
    /// How many permutations gave at least as much, or no number.
    pub at_least: u32,
    /// How many permutations there were.
    pub replicates: u32,
    /// (`at_least` + 1) / (`replicates` + 1): never 0, and never too small.
    pub p_value: f64,
}

impl fmt::Display for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.4}, reached by {} of {} permutations, p = {:.4e}",
            self.statistic, self.at_least, self.replicates, self.p_value
        )
    }
}

/// The one-sided permutation test of a statistic that is large where there is an effect.
///
/// `statistic` gets the row numbers 0..n in a random order: the caller decides what they permute
/// (labels against rows, say). A permutation on which it is undefined counts as large. Values within
/// 10⁻¹³ of the observed are ties, whatever order their sums ran in.
///
/// Phipson and Smyth 2010, doi:10.2202/1544-6115.1585; `scipy.stats.permutation_test`.
///
/// # Errors
/// [`Error::Undefined`] without rows or where the statistic is undefined on them;
/// [`Error::Invalid`] without replicates.
pub fn permutation_test(
    n: usize,
    resampling: Resampling,
    statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
) -> Result<Permutation> {
    let what = "a permutation test";
    resampling.check(n, what)?;
    let own: Vec<usize> = (0..n).collect();
    let observed = statistic(&own)
        .filter(|value| !value.is_nan())
        .ok_or_else(|| Error::undefined(what, "the statistic is undefined on the rows"))?;
    let bound = observed - 1e-13 * observed.abs();
    let reached = resampling.run(|draws, rows| {
        rows.clear();
        rows.extend(0..n);
        draws.shuffle(rows);
        statistic(rows).is_none_or(|value| value.is_nan() || value >= bound)
    });
    let at_least = reached.into_iter().filter(|&reached| reached).count() as u32;
    Ok(Permutation {
        statistic: observed,
        at_least,
        replicates: resampling.replicates,
        p_value: (f64::from(at_least) + 1.0) / (f64::from(resampling.replicates) + 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn the_same_at_any_thread_count() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * i % 17)).collect();
        let mean =
            |rows: &[usize]| Some(rows.iter().map(|&i| values[i]).sum::<f64>() / rows.len() as f64);
        let halves = |rows: &[usize]| {
            let sum = |rows: &[usize]| rows.iter().map(|&i| values[i]).sum::<f64>();
            Some(sum(&rows[..25]) - sum(&rows[25..]))
        };
        let run = || {
            let how = Resampling::new(3, 300);
            (bootstrap(50, how, 0.9, mean).unwrap(), permutation_test(50, how, halves).unwrap())
        };
        let one = on_threads(1, run);
        assert_eq!(on_threads(2, run), one);
        assert_eq!(on_threads(7, run), one);
        let other = bootstrap(50, Resampling::new(4, 300), 0.9, mean).unwrap();
        assert_ne!(other.interval, one.0.interval, "another seed, other draws");
    }

    #[test]
    fn undefined_is_counted_and_too_much_of_it_is_an_error() {
        let how = Resampling::new(1, 400);
        // Undefined unless row 0 was drawn: on (1 − 1/n)^n of the replicates.
        let needs_first = |rows: &[usize]| rows.contains(&0).then_some(1.0);
        assert!(bootstrap(20, how, 0.95, needs_first).is_err());
        let rarely = |rows: &[usize]| (rows[0] != 7 || rows[1] != 3).then_some(rows[2] as f64);
        let result = bootstrap(10, how, 0.95, rarely).unwrap();
        assert!(result.undefined > 0 && result.replicates + result.undefined == 400);
        assert!(bootstrap(0, how, 0.95, |_| Some(1.0)).is_err());
        assert!(bootstrap(3, Resampling::new(1, 0), 0.95, |_| Some(1.0)).is_err());
        assert!(bootstrap(3, how, 1.0, |_| Some(1.0)).is_err());
        assert!(permutation_test(3, how, |_| None).is_err());
    }

    #[test]
    fn a_permutation_test_sees_an_effect_and_nothing_else() {
        let shift = |by: f64| {
            move |rows: &[usize]| {
                let value = |place: usize| {
                    let row = rows[place];
                    (row * 7919 % 101) as f64 + if row < 20 { by } else { 0.0 }
                };
                Some((0..20).map(value).sum::<f64>() - (20..40).map(value).sum::<f64>())
            }
        };
        let how = Resampling::new(9, 499);
        let seen = permutation_test(40, how, shift(200.0)).unwrap();
        assert_eq!((seen.at_least, seen.p_value), (0, 1.0 / 500.0));
        assert!(permutation_test(40, how, shift(0.0)).unwrap().p_value > 0.05);
        let constant = permutation_test(40, how, |_| Some(1.0)).unwrap();
        assert_eq!(constant.p_value, 1.0);
    }

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(percentile(&[1.0], 0.3), 1.0);
    }
}
