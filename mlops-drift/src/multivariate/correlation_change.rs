//! A change of the correlations between columns: the largest, and which pairs it shows in.

use std::fmt;

use mlops_core::stats::Interval;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::multivariate::gram::dot;
use crate::multivariate::judged::{Evidence, Judged, VerdictRule, check_floor, test_options};
use crate::multivariate::permutation::{Permutations, Watch, upper_quantile};
use crate::multivariate::points::{Points, Scaling, scale};

const STREAM: u32 = 0x4d56_0300;

/// Which correlation coefficient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Correlation {
    /// Of the values (`numpy.corrcoef`).
    #[default]
    Pearson,
    /// Of their ranks, ties in the middle (`scipy.stats.spearmanr`): for heavy tails.
    Spearman,
}

/// The permutation test of equal correlation matrices by the largest difference of Fisher's
/// `z = artanh r` over all pairs of coordinates, in its standard deviation
/// `√(1/(n − 3) + 1/(m − 3))`.
///
/// Each side is standardised by itself (ranked by itself for Spearman) before labels are permuted,
/// so that columns that only moved or spread are no change. The p-value `(k + 1)/(B + 1)` of the
/// largest difference needs no normal law; that of a pair is adjusted over all pairs by the same
/// permutations (single-step maxT). `O(B N d²)`, at most [`CorrelationChange::MOST`] coordinates.
///
/// The effect is the largest `|r_current − r_reference|`. The limits of a pair's difference are
/// Zou's from limits of each `r` at `c` standard deviations of `z`, `c` the quantile of the largest
/// permuted difference, so that they hold for all pairs at once and whatever the tails; the limits
/// of the effect are the largest of the pairs'. The floor is 0.1.
///
/// ```
/// use mlops_core::ndarray::Array2;
/// use mlops_drift::multivariate::{CorrelationChange, Points, Scaling};
/// let spread = |i: usize| (i * 7919 % 101) as f64;
/// let apart = Array2::from_shape_fn((101, 2), |(i, j)| spread(i * (1 + 2 * j) + j));
/// let together = Array2::from_shape_fn((101, 2), |(i, j)| spread(i) + (j * (i % 5)) as f64);
/// let points = Points::of_rows(apart.view(), together.view(), &["x", "y"], Scaling::Raw)?;
/// let change = CorrelationChange::new(42).test(&points)?;
/// assert!(change.judged.verdict.is_fail());
/// assert!(change.pairs[0].reference.abs() < 0.2 && change.pairs[0].current > 0.99);
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # References
/// Fisher (1921), Metron 1; Westfall & Young (1993), Resampling-Based Multiple Testing; Zou (2007),
/// doi:10.1037/1082-989X.12.4.399.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrelationChange {
    seed: u64,
    replicates: u32,
    correlation: Correlation,
    listed: usize,
    floor: f64,
    rule: VerdictRule,
}

test_options!(CorrelationChange);

impl CorrelationChange {
    /// The most coordinates that are compared, each with each.
    pub const MOST: usize = 1_000;

    /// The test of Pearson's coefficients with 199 permutations under this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            replicates: 199,
            correlation: Correlation::Pearson,
            listed: 100,
            floor: 0.1,
            rule: VerdictRule::default(),
        }
    }

    /// The same with this coefficient.
    #[must_use]
    pub fn correlation(mut self, correlation: Correlation) -> Self {
        self.correlation = correlation;
        self
    }

    /// The same, listing at most so many pairs; 100.
    #[must_use]
    pub fn listed(mut self, pairs: usize) -> Self {
        self.listed = pairs;
        self
    }

    /// Tests two samples. Pairs with a coordinate that is constant on a side are left out.
    ///
    /// # Errors
    /// [`Error::Undefined`] with fewer than four points a side, or if no pair of coordinates varies
    /// on both; [`Error::Invalid`] for options that are none or more than [`Self::MOST`]
    /// coordinates.
    pub fn test(&self, points: &Points) -> Result<CorrelationTest> {
        self.watched(points, Watch::none())
    }

    /// As [`test`](Self::test), watched.
    ///
    /// # Errors
    /// As [`test`](Self::test); [`Error::Cancelled`].
    pub fn watched(&self, points: &Points, watch: Watch<'_>) -> Result<CorrelationTest> {
        self.rule.check()?;
        check_floor(self.floor)?;
        let what = "a change of correlations";
        let (n, m) = (points.reference().points, points.current().points);
        if n.min(m) < 4 {
            return Err(Error::undefined(what, format!("it needs 4 points a side: {n} and {m}")));
        }
        if points.dimension() > Self::MOST {
            let expected = format!("at most {} coordinates", Self::MOST);
            return Err(Error::invalid(what, expected, points.dimension()));
        }
        let columns = self.columns(points)?;
        if columns.len() < 2 {
            return Err(Error::undefined(what, "fewer than two coordinates vary on both sides"));
        }
        let how = Permutations::new(self.seed, STREAM, self.replicates, n, m)?;
        let noise = (1.0 / (n as f64 - 3.0) + 1.0 / (m as f64 - 3.0)).sqrt();
        let whole = Sums::of(&columns, &(0..n + m).collect::<Vec<_>>());
        let correlations = |labels: &[bool]| {
            // Only the smaller side is summed; the other is what is left of the whole.
            let few_are_current = m <= n;
            let few: Vec<usize> = (0..n + m).filter(|i| labels[*i] == few_are_current).collect();
            let few = Sums::of(&columns, &few);
            let many = whole.others(&few);
            let (x, y) = if few_are_current { (many, few) } else { (few, many) };
            let pairs = (0..columns.len()).flat_map(|a| (0..a).map(move |b| (b, a)));
            pairs.map(move |pair| [x.pair(pair), y.pair(pair)])
        };
        let score = |[x, y]: [f64; 2]| ((fisher(y) - fisher(x)) / noise).abs();
        let observed: Vec<[f64; 2]> = correlations(&how.own()).collect();
        let largest = watch.parts(how.replicates(), |replicate| {
            Ok(correlations(&how.labels(replicate)).map(score).fold(0.0, f64::max))
        })?;
        let statistic = observed.iter().copied().map(score).fold(0.0, f64::max);
        let critical =
            upper_quantile(largest.clone(), self.rule.confidence).unwrap_or(f64::INFINITY);
        let sizes = [n as f64, m as f64];
        let name = |c: usize| points.features()[columns[c].feature].name.clone();
        let places = (0..columns.len()).flat_map(|a| (0..a).map(move |b| (b, a)));
        let mut limits = (0.0_f64, 0.0_f64);
        let mut pairs = Vec::with_capacity(observed.len());
        for ((a, b), r) in places.zip(observed) {
            let interval = zou(r, sizes, critical, self.rule.confidence)?;
            // The least and the most that the size of a difference within the limits can be.
            let least = interval.low.max(-interval.high).max(0.0);
            limits = (limits.0.max(least), limits.1.max(interval.high.max(-interval.low)));
            pairs.push((a, b, r, interval));
        }
        pairs.sort_by(|x, y| {
            score(y.2).total_cmp(&score(x.2)).then_with(|| (x.0, x.1).cmp(&(y.0, y.1)))
        });
        let effect = pairs.iter().map(|(_, _, [x, y], _)| (y - x).abs()).fold(0.0, f64::max);
        let all = pairs.len() as u64;
        pairs.truncate(self.listed);
        let pairs = pairs.into_iter().map(|(a, b, r, interval)| CorrelatedPair {
            first: name(a),
            second: name(b),
            reference: r[0],
            current: r[1],
            interval,
            adjusted_p_value: Permutations::p_value(score(r), &largest, 1e-9),
        });
        let evidence = Evidence {
            p_value: Permutations::p_value(statistic, &largest, 1e-9),
            replicates: self.replicates,
            effect,
            interval: Interval::new(limits.0, limits.1, self.rule.confidence).ok(),
            floor: self.floor,
            rows: n.min(m) as u64,
        };
        Ok(CorrelationTest {
            correlation: self.correlation,
            statistic,
            pairs: pairs.collect(),
            compared: all,
            n: n as u64,
            m: m as u64,
            judged: Judged::new(&self.rule, evidence),
        })
    }

    /// The coordinates that vary on both sides, standardised on each.
    fn columns(&self, points: &Points) -> Result<Vec<Column>> {
        let n = points.reference().points;
        let scaling = match self.correlation {
            Correlation::Pearson => Scaling::Raw,
            Correlation::Spearman => Scaling::Rank,
        };
        let mut columns = Vec::new();
        for feature in 0..points.dimension() {
            let side = |range: std::ops::Range<usize>| -> Result<Option<Vec<f64>>> {
                let values: Vec<f64> = range.map(|i| points.point(i)[feature]).collect();
                if values.iter().all(|x| *x == values[0]) {
                    return Ok(None);
                }
                scale(Scaling::Standard, scale(scaling, values, true)?, true).map(Some)
            };
            if let (Some(mut values), Some(current)) = (side(0..n)?, side(n..points.len())?) {
                values.extend(current);
                columns.push(Column { feature, values });
            }
        }
        Ok(columns)
    }
}

/// A coordinate of all points, with mean 0 and standard deviation 1 on each side.
struct Column {
    feature: usize,
    values: Vec<f64>,
}

/// Sums of each column, and of the products of columns `a ≥ b` at `a(a + 1)/2 + b`.
struct Sums {
    count: f64,
    sum: Vec<f64>,
    product: Vec<f64>,
}

impl Sums {
    /// Over these points.
    fn of(columns: &[Column], points: &[usize]) -> Self {
        let taken: Vec<Vec<f64>> =
            columns.iter().map(|c| points.iter().map(|i| c.values[*i]).collect()).collect();
        let pairs = (0..columns.len()).flat_map(|a| (0..=a).map(move |b| (a, b)));
        Self {
            count: points.len() as f64,
            sum: taken.iter().map(|values| values.iter().sum()).collect(),
            product: pairs.map(|(a, b)| dot(&taken[a], &taken[b])).collect(),
        }
    }

    /// Over the others of all points, of which these are the sums.
    fn others(&self, part: &Self) -> Self {
        let less = |all: &[f64], part: &[f64]| all.iter().zip(part).map(|(a, b)| a - b).collect();
        Self {
            count: self.count - part.count,
            sum: less(&self.sum, &part.sum),
            product: less(&self.product, &part.product),
        }
    }

    /// The correlation of a pair `b < a`; 0 where a column is constant, as it may be under
    /// permutation.
    fn pair(&self, (b, a): (usize, usize)) -> f64 {
        let moment = |a: usize, b: usize| {
            self.product[a * (a + 1) / 2 + b] - self.sum[a] * self.sum[b] / self.count
        };
        let scale = (moment(a, a).max(0.0) * moment(b, b).max(0.0)).sqrt();
        if scale > 0.0 { (moment(a, b) / scale).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// `artanh r`, finite for a perfect correlation, too.
fn fisher(r: f64) -> f64 {
    const PERFECT: f64 = 1.0 - 1e-12;
    r.clamp(-PERFECT, PERFECT).atanh()
}

/// Zou's limits of `r₂ − r₁` from those of each at so many standard deviations of `z`, shared out
/// as the two variances are.
fn zou([x, y]: [f64; 2], sizes: [f64; 2], critical: f64, confidence: f64) -> Result<Interval> {
    let limits = |r: f64, n: f64| {
        let half = critical / (n - 3.0).sqrt();
        let z = fisher(r);
        ((z - half).tanh().min(r), (z + half).tanh().max(r))
    };
    let (x_limits, y_limits) = (limits(x, sizes[0]), limits(y, sizes[1]));
    let low = y - x - (y - y_limits.0).hypot(x_limits.1 - x);
    let high = y - x + (y_limits.1 - y).hypot(x - x_limits.0);
    Interval::new(low.max(-2.0), high.min(2.0), confidence)
}

/// Two coordinates and their correlation on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CorrelatedPair {
    /// A coordinate.
    pub first: String,
    /// Another.
    pub second: String,
    /// Their correlation in the reference, in [−1, 1].
    pub reference: f64,
    /// Their correlation in the current data.
    pub current: f64,
    /// Limits of `current − reference` that hold for all pairs at once.
    pub interval: Interval,
    /// P of a difference this large in any pair where nothing drifted.
    pub adjusted_p_value: f64,
}

/// What [`CorrelationChange`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CorrelationTest {
    /// Which coefficient.
    pub correlation: Correlation,
    /// The largest difference of Fisher's `z`, in its standard deviation.
    pub statistic: f64,
    /// The pairs, those that changed most (in `z`) first; as many as were to be listed.
    pub pairs: Vec<CorrelatedPair>,
    /// How many pairs were compared.
    pub compared: u64,
    /// Points of the reference.
    pub n: u64,
    /// Current points.
    pub m: u64,
    /// The verdict; its effect is the largest `|r_current − r_reference|`.
    pub judged: Judged,
}

impl CorrelationTest {
    /// The listed pairs that changed at this level, adjusted over all pairs.
    pub fn changed(&self, alpha: f64) -> impl Iterator<Item = &CorrelatedPair> {
        self.pairs.iter().filter(move |pair| pair.adjusted_p_value <= alpha)
    }
}

impl fmt::Display for CorrelationTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statistic, compared, n, m, judged, .. } = self;
        write!(
            f,
            "correlations ({:?}): largest change {statistic:.2} sd of z over {compared} pairs, {n} \
             and {m} points: {judged}",
            self.correlation
        )?;
        for pair in self.changed(0.05).take(10) {
            write!(
                f,
                "\n  {} and {}: {:+.3} was {:+.3}, difference {:.3}, adjusted p = {:.4}",
                pair.first,
                pair.second,
                pair.current,
                pair.reference,
                pair.interval,
                pair.adjusted_p_value
            )?;
        }
        Ok(())
    }
}
