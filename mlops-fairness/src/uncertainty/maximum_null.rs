//! What maxima are where nothing differs: the null of worst-case gaps, of areas between ROC curves,
//! and of calibration errors, and what is left of a value when that is taken out.

use std::fmt;

use mlops_core::stats::{Draws, Resampling, Urn};
use mlops_core::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{CalibrationBin, Metric, MetricFrame, ScoreCounts};

/// A value that is above 0 even where nothing differs, beside what it is then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MaximumNull {
    /// The value.
    pub observed: f64,
    /// Its mean where nothing differs.
    pub null_mean: f64,
    /// What it stays below in 95 of 100 cases there.
    pub null_95: f64,
    /// √max(0, x² − E₀x²): near 0 where nothing differs, near the value where it is large.
    pub debiased: f64,
    /// (draws at least as large + 1) / (draws + 1).
    pub p_value: f64,
    /// How many draws were made.
    pub draws: u32,
}

impl fmt::Display for MaximumNull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.4}, debiased {:.4}; of equal groups {:.4} on average, p = {:.4}",
            self.observed, self.debiased, self.null_mean, self.p_value
        )
    }
}

impl MaximumNull {
    /// From the value and what the draws of the null give.
    fn of(
        observed: f64,
        how: Resampling,
        draw: impl Fn(&mut Draws) -> Result<f64> + Sync,
    ) -> Result<Self> {
        if how.replicates == 0 {
            return Err(Error::invalid("the draws of a null", "at least 1", 0));
        }
        let mut values = (0..how.replicates)
            .into_par_iter()
            .map(|replicate| draw(&mut Draws::new(how.seed, how.stream, u64::from(replicate))))
            .collect::<Result<Vec<f64>>>()?;
        // Sums run over sorted values.
        values.sort_unstable_by(f64::total_cmp);
        let n = values.len() as f64;
        let square = values.iter().map(|v| v * v / n).sum::<f64>();
        let bound = observed - 1e-12 * observed.abs();
        let at_least = values.len() - values.partition_point(|v| *v < bound);
        let at = ((0.95 * n).ceil() as usize).clamp(1, values.len()) - 1;
        Ok(Self {
            observed,
            null_mean: values.iter().map(|v| v / n).sum(),
            null_95: values[at],
            debiased: (observed * observed - square).max(0.0).sqrt(),
            p_value: (at_least as f64 + 1.0) / (n + 1.0),
            draws: how.replicates,
        })
    }
}

/// The largest difference of a rate between groups, beside what it is where the same successes are
/// dealt to all rows alike: each group keeps its rows, all together keep their successes, and who
/// has them is drawn from an urn. O(groups) a draw, whatever the rows.
///
/// # Errors
/// [`Error::Undefined`] with fewer than two groups, or where the rate of one is undefined;
/// [`Error::Invalid`] without draws, and for weighted rates.
///
/// ```
/// use mlops_core::stats::Resampling;
/// use mlops_fairness::uncertainty::maximum_null;
/// use mlops_fairness::{Counts, Group, Metric, MetricFrame};
///
/// // Five groups of 50, drawn from one population: the largest gap is no small number.
/// let groups = [14, 18, 12, 16, 15].into_iter().enumerate().map(|(i, selected)| {
///     let group = Group { values: vec![Some(i.to_string())] };
///     (group, Counts::confusion(0, selected, 50 - selected, 0))
/// });
/// let frame = MetricFrame::new(vec!["g".into()], groups);
/// let null = maximum_null(&frame, Metric::SelectionRate, Resampling::new(1, 10_000))?;
/// assert!(null.observed > 0.11 && null.null_mean > 0.14);
/// assert_eq!(null.debiased, 0.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn maximum_null(frame: &MetricFrame, metric: Metric, how: Resampling) -> Result<MaximumNull> {
    let what = || format!("the null of the {metric} difference");
    let rates: Vec<_> = frame.by_group(metric).collect();
    if rates.len() < 2 {
        return Err(Error::undefined(what(), "there are fewer than two groups"));
    }
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (group, rate) in &rates {
        if rate.weights.is_some() {
            return Err(Error::invalid(what(), "unweighted counts", "weighted ones"));
        }
        let value = rate
            .value
            .ok_or_else(|| Error::undefined(what(), format!("in {group} it is {rate}")))?;
        (low, high) = (low.min(value), high.max(value));
    }
    let sizes: Vec<u64> = rates.iter().map(|(_, rate)| rate.denominator).collect();
    let add = |of: fn(&crate::Rate) -> u64| {
        let sum = rates.iter().try_fold(0_u64, |sum, (_, rate)| sum.checked_add(of(rate)));
        sum.ok_or_else(|| Error::invalid(what(), "fewer than 2^64 rows", "more"))
    };
    let (successes, rows) = (add(|rate| rate.numerator)?, add(|rate| rate.denominator)?);
    MaximumNull::of(high - low, how, |draws| {
        let (mut left, mut others) = (successes, rows - successes);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &size in &sizes {
            let got =
                draws.hypergeometric(Urn { successes: left, failures: others, drawn: size })?;
            left -= got;
            others -= size - got;
            let rate = got as f64 / size as f64;
            (low, high) = (low.min(rate), high.max(rate));
        }
        Ok(high - low)
    })
}

/// The negative and positive labels of two groups at the same scores, ascending.
#[derive(Debug)]
struct Pair {
    one: Vec<[u64; 2]>,
    other: Vec<[u64; 2]>,
}

impl Pair {
    fn of(one: &ScoreCounts, other: &ScoreCounts) -> Result<Self> {
        if one.is_exact() != other.is_exact() {
            return Err(Error::undefined(
                AREA,
                "the scores of one group were counted by bin, those of the other one by one",
            ));
        }
        for scores in [one, other] {
            scores.must_be_fine().map_err(|e| e.of(AREA))?;
        }
        let mut all: Vec<f64> =
            one.points().iter().chain(other.points()).map(|p| p.score).collect();
        all.sort_unstable_by(f64::total_cmp);
        all.dedup();
        let spread = |scores: &ScoreCounts| {
            let mut points = scores.points().iter().peekable();
            let at = |score: &f64| match points.next_if(|point| point.score == *score) {
                Some(point) => [point.negatives, point.positives],
                None => [0, 0],
            };
            all.iter().map(at).collect()
        };
        Ok(Self { one: spread(one), other: spread(other) })
    }

    fn area(&self) -> Result<f64> {
        match (curve(&self.one), curve(&self.other)) {
            (Some(a), Some(b)) => Ok(between(&a, &b)),
            _ => Err(Error::undefined(
                AREA,
                "a group does not have both positive and negative labels",
            )),
        }
    }
}

const AREA: &str = "the area between ROC curves";

/// The points of a ROC curve, from (0, 0) to (1, 1); `None` with one label only.
fn curve(counts: &[[u64; 2]]) -> Option<Vec<(f64, f64)>> {
    let sum = |at: usize| counts.iter().fold(0_u64, |sum, c| sum.saturating_add(c[at]));
    let (n, p) = (sum(0), sum(1));
    if n == 0 || p == 0 {
        return None;
    }
    let mut points = vec![(0.0, 0.0)];
    let (mut fp, mut tp) = (0_u64, 0_u64);
    for count in counts.iter().rev() {
        fp = fp.saturating_add(count[0]);
        tp = tp.saturating_add(count[1]);
        points.push((fp as f64 / n as f64, tp as f64 / p as f64));
    }
    Some(points)
}

/// The area between two curves that rise.
fn between(a: &[(f64, f64)], b: &[(f64, f64)]) -> f64 {
    // On the part of a curve that holds (x, x′), its heights at both ends.
    fn heights(curve: &[(f64, f64)], at: usize, from: f64, upto: f64) -> (f64, f64) {
        let ((x0, y0), (x1, y1)) = (curve[at], curve[at + 1]);
        let y = |x: f64| y0 + (y1 - y0) * ((x - x0) / (x1 - x0));
        (y(from), y(upto))
    }
    let (mut i, mut j, mut x, mut area) = (0, 0, 0.0, 0.0);
    while i + 1 < a.len() && j + 1 < b.len() {
        // Pieces that stand upright have no width.
        if a[i + 1].0 <= x {
            i += 1;
            continue;
        }
        if b[j + 1].0 <= x {
            j += 1;
            continue;
        }
        let next = a[i + 1].0.min(b[j + 1].0);
        let (one, other) = (heights(a, i, x, next), heights(b, j, x, next));
        let (left, right) = (one.0 - other.0, one.1 - other.1);
        area += (next - x)
            * if left * right >= 0.0 {
                f64::midpoint(left.abs(), right.abs())
            } else {
                // They cross: two triangles.
                (left * left + right * right) / (2.0 * (left.abs() + right.abs()))
            };
        x = next;
    }
    area
}

/// The area between the ROC curves of two groups ([`abroca`](crate::abroca)) beside what it is
/// where scores do not depend on the group: within each label the rows are dealt to the two groups
/// anew. O(scores) a draw, whatever the rows; weights are not looked at.
///
/// # Errors
/// [`Error::Undefined`] where a group has only one label, or the scores of one group were counted
/// by bin and those of the other were not; [`Error::Invalid`] without draws or for 2⁶⁴ rows and
/// more.
pub fn abroca_null(one: &ScoreCounts, other: &ScoreCounts, how: Resampling) -> Result<MaximumNull> {
    let pair = Pair::of(one, other)?;
    let observed = pair.area()?;
    let sum = |counts: &[[u64; 2]], label: usize| {
        counts
            .iter()
            .try_fold(0_u64, |sum, c| sum.checked_add(c[label]))
            .ok_or_else(|| Error::invalid("the labels of a group", "fewer than 2^64 rows", "more"))
    };
    let of_one = [sum(&pair.one, 0)?, sum(&pair.one, 1)?];
    let mut all = of_one;
    for (label, all) in all.iter_mut().enumerate() {
        *all = all.checked_add(sum(&pair.other, label)?).ok_or_else(|| {
            Error::invalid("the labels of two groups", "fewer than 2^64 rows", "more")
        })?;
    }
    MaximumNull::of(observed, how, |draws| {
        let mut one = vec![[0_u64; 2]; pair.one.len()];
        let mut other = one.clone();
        for label in 0..2 {
            let (mut wanted, mut left) = (of_one[label], all[label]);
            for (at, (a, b)) in pair.one.iter().zip(&pair.other).enumerate() {
                let here = a[label] + b[label];
                let urn = Urn { successes: wanted, failures: left - wanted, drawn: here };
                let got = draws.hypergeometric(urn)?;
                one[at][label] = got;
                other[at][label] = here - got;
                wanted -= got;
                left -= here;
            }
        }
        Pair { one, other }.area()
    })
}

/// The expected calibration error over so many bins
/// ([`calibration_error`](ScoreCounts::calibration_error)) beside what it is of a calibrated model:
/// labels drawn with the bins' mean scores. Of few rows a bin it is far from 0 even then.
///
/// Bröcker and Smith 2007, doi:10.1175/WAF993.1 (consistency resampling).
///
/// # Errors
/// Those of [`calibration_curve`](ScoreCounts::calibration_curve); [`Error::Undefined`] without
/// rows; [`Error::Invalid`] without draws.
pub fn calibration_null(scores: &ScoreCounts, bins: u32, how: Resampling) -> Result<MaximumNull> {
    let what = "the expected calibration error";
    let bins = scores.calibration_curve(bins).map_err(|e| e.of(what))?;
    let all = bins.iter().map(|bin| bin.rows).fold(0, u64::saturating_add);
    if all == 0 {
        return Err(Error::undefined(what, "there are no rows"));
    }
    let off = |bin: &CalibrationBin, positives: u64| {
        (positives as f64 - bin.mean_score.clamp(0.0, 1.0) * bin.rows as f64).abs() / all as f64
    };
    let observed = bins.iter().map(|bin| off(bin, bin.positives)).sum();
    MaximumNull::of(observed, how, |draws| {
        let mut sum = 0.0;
        for bin in &bins {
            sum += off(bin, draws.binomial_at_once(bin.rows, bin.mean_score.clamp(0.0, 1.0))?);
        }
        Ok(sum)
    })
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{BooleanArray, Float64Array, StringArray};
    use mlops_core::{DataSourceExt, MemorySource, batch};

    use super::*;
    use crate::{Counts, Group, GroupScores};

    fn frame(groups: &[(u64, u64)]) -> MetricFrame {
        let groups = groups.iter().enumerate().map(|(i, &(selected, n))| {
            let group = Group { values: vec![Some(format!("{i}"))] };
            (group, Counts::confusion(0, selected, n - selected, 0))
        });
        MetricFrame::new(vec!["g".into()], groups)
    }

    #[test]
    fn equal_groups_are_rejected_as_often_as_the_level_says() {
        let runs = 300;
        let (mut rejected, mut debiased, mut plain) = (0, 0.0, 0.0);
        for run in 0..runs {
            let mut draws = Draws::new(4, 9, run);
            let groups: Vec<_> = (0..5).map(|_| (draws.binomial(60, 0.3).unwrap(), 60)).collect();
            let how = Resampling { seed: 5, stream: run as u32, replicates: 199 };
            let null = maximum_null(&frame(&groups), Metric::SelectionRate, how).unwrap();
            rejected += u32::from(null.p_value <= 0.05);
            debiased += null.debiased / runs as f64;
            plain += null.observed / runs as f64;
        }
        let share = f64::from(rejected) / runs as f64;
        assert!((0.01..0.09).contains(&share), "{share}");
        assert!(debiased < plain / 2.0, "{debiased} of {plain}");
        // And a real gap stays.
        let apart = frame(&[(600, 2000), (900, 2000), (620, 2000)]);
        let null = maximum_null(&apart, Metric::SelectionRate, Resampling::new(1, 499)).unwrap();
        assert!(null.p_value <= 0.002 && (null.debiased - 0.15).abs() < 0.005, "{null}");
    }

    #[test]
    fn it_needs_two_groups_that_have_the_rate() {
        let how = Resampling::new(1, 10);
        assert!(maximum_null(&frame(&[(3, 9)]), Metric::SelectionRate, how).is_err());
        assert!(maximum_null(&frame(&[(3, 9), (2, 9)]), Metric::TruePositiveRate, how).is_err());
        let none = Resampling::new(1, 0);
        assert!(maximum_null(&frame(&[(3, 9), (2, 9)]), Metric::SelectionRate, none).is_err());
    }

    /// Scores of a group: labels and where they stand.
    fn scored(rows: &[(f64, bool)]) -> ScoreCounts {
        let rows = batch! {
            "g" => StringArray::from_iter_values(rows.iter().map(|_| "a")),
            "s" => Float64Array::from_iter_values(rows.iter().map(|r| r.0)),
            "y" => rows.iter().map(|r| Some(r.1)).collect::<BooleanArray>(),
        };
        let source = MemorySource::from(rows.unwrap());
        let frame = source.measure(&GroupScores::new("y", "true", "s", ["g"])).unwrap();
        frame.groups().next().map(|(_, scores)| scores.clone()).unwrap()
    }

    #[test]
    fn the_area_is_that_of_the_metric() {
        for run in 0..50 {
            let mut draws = Draws::new(1, 1, run);
            let mut group = || -> ScoreCounts {
                let mut rows: Vec<_> = (0..40)
                    .map(|_| ((draws.uniform() * 12.0).floor() / 12.0, draws.bernoulli(0.4)))
                    .collect();
                rows.extend([(0.3, true), (0.4, false)]);
                scored(&rows)
            };
            let (one, other) = (group(), group());
            let null = abroca_null(&one, &other, Resampling::new(1, 1)).unwrap();
            let area = crate::abroca(&one, &other).unwrap();
            assert!((null.observed - area).abs() < 1e-12, "{run}: {null} {area}");
        }
        let (both, one) = (scored(&[(0.1, false), (0.9, true)]), scored(&[(0.1, false)]));
        assert!(abroca_null(&both, &one, Resampling::new(1, 9)).is_err());
        assert!(abroca_null(&both, &both, Resampling::new(1, 0)).is_err());
    }

    #[test]
    fn equal_curves_and_calibrated_models_are_not_rejected() {
        let (mut curves, mut bins) = (0, 0);
        for run in 0..100 {
            let mut draws = Draws::new(8, 3, run);
            let mut group = |n: usize| -> ScoreCounts {
                let rows: Vec<_> = (0..n)
                    .map(|_| {
                        let score = (draws.uniform() * 20.0).floor() / 20.0 + 0.025;
                        (score, draws.bernoulli(score))
                    })
                    .collect();
                scored(&rows)
            };
            let (one, other) = (group(150), group(90));
            let how = Resampling { seed: 2, stream: run as u32, replicates: 99 };
            let null = abroca_null(&one, &other, how).unwrap();
            curves += u32::from(null.p_value <= 0.05);
            let null = calibration_null(&one, 10, how).unwrap();
            bins += u32::from(null.p_value <= 0.05);
            assert!(null.null_mean > 0.03);
        }
        assert!(curves <= 13 && bins <= 13, "{curves} {bins}");
        let off: Vec<_> = (0..500).map(|i| (0.4, i % 5 < 3)).collect();
        let null = calibration_null(&scored(&off), 10, Resampling::new(1, 999)).unwrap();
        assert!((null.debiased - 0.2).abs() < 0.01 && null.p_value < 0.01, "{null}");
    }
}
