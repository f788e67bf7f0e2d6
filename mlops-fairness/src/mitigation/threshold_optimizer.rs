//! The best thresholds by group under a parity: Hardt, Price and Srebro's post-processing.

use std::fmt;

use mlops_core::{DataSource, Error, Result, Scan};
use serde::{Deserialize, Serialize};

use super::group_thresholds::{Constant, GroupRule, GroupThresholds};
use super::tradeoff::{Mixture, Point, hull, labels, mixture, points};
use crate::{Group, GroupScores, Groups, MetricFrame, ScoreCounts};

/// What is made equal between groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Parity {
    /// The selection rate.
    #[default]
    DemographicParity,
    /// The true-positive rate: equal opportunity.
    TruePositiveRate,
    /// The false-positive rate.
    FalsePositiveRate,
    /// The true-negative rate.
    TrueNegativeRate,
    /// The false-negative rate.
    FalseNegativeRate,
    /// The true-positive and the false-positive rate.
    EqualizedOdds,
}

impl Parity {
    /// The name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DemographicParity => "demographic_parity",
            Self::TruePositiveRate => "true_positive_rate",
            Self::FalsePositiveRate => "false_positive_rate",
            Self::TrueNegativeRate => "true_negative_rate",
            Self::FalseNegativeRate => "false_negative_rate",
            Self::EqualizedOdds => "equalized_odds",
        }
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is made as large as the parity allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Objective {
    /// The share of right decisions.
    #[default]
    Accuracy,
    /// The mean of the true-positive and the true-negative rate.
    BalancedAccuracy,
    /// The selection rate.
    SelectionRate,
    /// The true-positive rate.
    TruePositiveRate,
    /// The true-negative rate.
    TrueNegativeRate,
}

impl Objective {
    /// Of true positives, false positives, positives and negatives.
    pub(super) fn of(self, [tp, fp, positives, negatives]: [f64; 4]) -> f64 {
        let (tpr, tnr) = (tp / positives, (negatives - fp) / negatives);
        match self {
            Self::Accuracy => (tp + negatives - fp) / (positives + negatives),
            Self::BalancedAccuracy => 0.5 * tpr + 0.5 * tnr,
            Self::SelectionRate => (tp + fp) / (positives + negatives),
            Self::TruePositiveRate => tpr,
            Self::TrueNegativeRate => tnr,
        }
    }
}

/// Whether a row's decision may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// Two thresholds a group, one of which is drawn for each row: the parity is met exactly.
    Randomized {
        /// The seed of the draws.
        seed: u64,
    },
    /// One threshold a group: the rates are equal up to a tolerance.
    Deterministic {
        /// How far apart the rates of two groups may be; where no thresholds come so near, they
        /// are as near as they can be.
        tolerance: f64,
    },
}

/// Chooses the thresholds of each group that serve an objective best under a parity.
///
/// Hardt, Price and Srebro 2016 (<https://arxiv.org/abs/1610.02413>): the rates that one group can
/// reach by thresholds and mixtures of two are the hull of its ROC curve; where the hulls of all
/// groups meet at one rate, the best is chosen, on a grid of it. fairlearn: `ThresholdOptimizer`
/// (with `flip=False`); on the same grid the same thresholds.
///
/// Equalized odds need a [randomised](Decision::Randomized) rule.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, Int32Array, StringArray};
/// use mlops_core::{MemorySource, batch};
/// use mlops_fairness::GroupScores;
/// use mlops_fairness::mitigation::{Parity, ThresholdOptimizer};
///
/// let scored = MemorySource::from(batch! {
///     "sex" => StringArray::from_iter_values((0..400).map(|i| ["F", "M"][i % 2])),
///     "paid" => Int32Array::from_iter_values((0..400).map(|i| i32::from(i / 2 % 5 < 2))),
///     // Women score lower, whether they pay or not.
///     "score" => Float64Array::from_iter_values((0..400).map(|i: i32| {
///         f64::from(i / 2 % 7) + 4.0 * f64::from(u8::from(i / 2 % 5 < 2)) + 2.0 * f64::from(i % 2)
///     })),
/// }?);
/// let counts = GroupScores::new("paid", "1", "score", ["sex"]);
/// let rule = ThresholdOptimizer::new(Parity::TruePositiveRate).fit(&scored, &counts)?;
/// assert_eq!(rule.groups().len(), 2);
/// // The same rate in both groups, on the rows of the fit.
/// let [f, m] = [0, 1].map(|at| rule.expected(at).true_positive_rate);
/// assert!((f - m).abs() < 1e-12);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ThresholdOptimizer {
    /// What is made equal.
    pub parity: Parity,
    /// What is made large.
    pub objective: Objective,
    /// Whether decisions may be drawn.
    pub decision: Decision,
    /// Into how many steps the common rate is cut.
    pub grid: u32,
}

impl ThresholdOptimizer {
    /// Under this parity, for accuracy, drawn with seed 0, on a grid of 1,000 steps.
    pub fn new(parity: Parity) -> Self {
        Self {
            parity,
            objective: Objective::default(),
            decision: Decision::Randomized { seed: 0 },
            grid: 1000,
        }
    }

    /// The same for this objective.
    #[must_use]
    pub fn objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// The same, drawing under this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.decision = Decision::Randomized { seed };
        self
    }

    /// The same with one threshold a group, and rates that may be this far apart.
    #[must_use]
    pub fn deterministic(mut self, tolerance: f64) -> Self {
        self.decision = Decision::Deterministic { tolerance };
        self
    }

    /// The same with so many steps of the common rate.
    #[must_use]
    pub fn grid(mut self, steps: u32) -> Self {
        self.grid = steps;
        self
    }

    /// Counts the labels of a source by group and score, in one pass, and chooses.
    ///
    /// Of more different scores than the counts have bins, thresholds are edges of the bins.
    ///
    /// # Errors
    /// Those of the scan, and of [`choose`](Self::choose); [`Error::Invalid`] for weighted counts.
    pub fn fit(&self, source: &dyn DataSource, counts: &GroupScores) -> Result<GroupThresholds> {
        if counts.weight.is_some() {
            return Err(Error::invalid("the counts of thresholds", "unweighted ones", "weights"));
        }
        self.choose(&Scan::new(source).run(counts)?, &counts.groups, &counts.positive)
    }

    /// Chooses the thresholds of these groups, whose scores were counted already.
    ///
    /// # Errors
    /// [`Error::Undefined`] where a group has no positive or no negative labels, or where too many of
    /// its scores share a bin ([`Bins`](crate::Bins)), and names it; [`Error::Invalid`] without
    /// groups, for a grid or a tolerance out of range, an objective that the equalized odds do not
    /// have, and for equalized odds that are not to be drawn.
    pub fn choose(
        &self,
        frame: &MetricFrame<ScoreCounts>,
        by: &Groups,
        positive: &str,
    ) -> Result<GroupThresholds> {
        self.check()?;
        if frame.groups().len() == 0 {
            return Err(Error::undefined("thresholds by group", "there are no labelled scores"));
        }
        // Of equalized odds the curve is the ROC curve.
        let y = match self.parity {
            Parity::EqualizedOdds => Objective::TruePositiveRate,
            _ => self.objective,
        };
        let mut curves = Vec::with_capacity(frame.groups().len());
        for (group, scores) in frame.groups() {
            let curve = points(scores, self.parity, y).ok_or_else(|| degenerate(group))?;
            scores.must_be_fine().map_err(|e| e.of(format!("thresholds of {group}")))?;
            curves.push(curve);
        }
        let (negatives, positives): (Vec<f64>, Vec<f64>) = frame
            .groups()
            .map(|(_, scores)| labels(scores))
            .map(|(negatives, positives)| (negatives as f64, positives as f64))
            .unzip();
        let (target, value, rules) = match (self.decision, self.parity) {
            (Decision::Deterministic { tolerance }, _) => {
                self.one_threshold(&curves, &positives, &negatives, tolerance)
            }
            (_, Parity::EqualizedOdds) => self.equalized_odds(&curves, &positives, &negatives),
            _ => self.simple(&curves, &positives, &negatives),
        };
        let groups = frame.groups().zip(rules).map(|((group, scores), (cuts, share, ignored))| {
            GroupRule::new(group.clone(), cuts, share, ignored, scores)
        });
        let by = (by.clone(), positive.to_owned());
        GroupThresholds::new(*self, by, target, value, groups.collect())
    }

    fn check(&self) -> Result<()> {
        if self.grid == 0 || self.grid > 1_000_000 {
            return Err(Error::invalid("steps of the grid", "1 to 1,000,000", self.grid));
        }
        let odds = self.parity == Parity::EqualizedOdds;
        if let Decision::Deterministic { tolerance } = self.decision {
            if !(0.0..=1.0).contains(&tolerance) {
                return Err(Error::invalid("tolerance", "a number in [0, 1]", tolerance));
            }
            if odds {
                let expected = "a randomised rule: one threshold a group can't equalise both rates";
                return Err(Error::invalid("equalized odds", expected, "a deterministic one"));
            }
        }
        if odds && !matches!(self.objective, Objective::Accuracy | Objective::BalancedAccuracy) {
            let expected = "accuracy or balanced accuracy";
            let found = format!("{:?}", self.objective);
            return Err(Error::invalid("the objective under equalized odds", expected, found));
        }
        Ok(())
    }

    fn targets(&self) -> impl Iterator<Item = f64> {
        let steps = self.grid;
        (0..=steps).map(move |i| f64::from(i) / f64::from(steps))
    }

    /// One rate for all: the mean of the groups' best at it, weighted by their rows.
    fn simple(&self, curves: &[Vec<Point>], positives: &[f64], negatives: &[f64]) -> Chosen {
        let hulls: Vec<_> = curves.iter().map(|points| hull(points)).collect();
        let shares = shares(positives, negatives);
        let value = |x: f64| -> f64 {
            hulls.iter().zip(&shares).map(|(hull, share)| share * mixture(hull, x).y).sum()
        };
        let (target, value) = best(self.targets().map(|x| (x, value(x))));
        let rules = hulls.iter().map(|hull| {
            let Mixture { share, cuts, .. } = mixture(hull, target);
            (cuts, share, None)
        });
        (target, value, rules.collect())
    }

    /// One false-positive rate, and the least of the true-positive rates: what is above is brought
    /// down to it by decisions that ignore the score.
    fn equalized_odds(
        &self,
        curves: &[Vec<Point>],
        positives: &[f64],
        negatives: &[f64],
    ) -> Chosen {
        let hulls: Vec<_> = curves.iter().map(|points| hull(points)).collect();
        let (p, n): (f64, f64) = (positives.iter().sum(), negatives.iter().sum());
        let least =
            |x: f64| hulls.iter().map(|hull| mixture(hull, x).y).fold(f64::INFINITY, f64::min);
        let value = |x: f64| {
            let value = self.objective.of([p * least(x), n * x, p, n]);
            // Equal up to rounding is equal: the first is taken.
            (value * 1e15).round() / 1e15
        };
        let (target, value) = best(self.targets().map(|x| (x, value(x))));
        let y = least(target);
        let rules = hulls.iter().map(|hull| {
            let Mixture { y: own, share, cuts } = mixture(hull, target);
            let above = own - target;
            let ignored = if above > 0.0 { ((own - y) / above).clamp(0.0, 1.0) } else { 0.0 };
            (cuts, share, Some(Constant { ignored, probability: target }))
        });
        (target, value, rules.collect())
    }

    /// One threshold a group, with rates within half the tolerance of a common one.
    fn one_threshold(
        &self,
        curves: &[Vec<Point>],
        positives: &[f64],
        negatives: &[f64],
        tolerance: f64,
    ) -> Chosen {
        let shares = shares(positives, negatives);
        let mut chosen: Option<(bool, f64, f64, Vec<Point>)> = None;
        for target in self.targets() {
            let picks: Vec<Point> =
                curves.iter().map(|points| nearest(points, target, tolerance / 2.0)).collect();
            let (low, high) = picks
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.x), h.max(p.x)));
            let spread = high - low;
            let near = spread <= tolerance + 1e-12;
            let value: f64 = picks.iter().zip(&shares).map(|(p, share)| share * p.y).sum();
            // First the rates, then the objective; nothing near enough is judged by how near.
            let score = if near { value } else { -spread };
            if chosen.as_ref().is_none_or(|(was_near, best, ..)| {
                (near, score).partial_cmp(&(*was_near, *best)) == Some(std::cmp::Ordering::Greater)
            }) {
                chosen = Some((near, score, target, picks));
            }
        }
        let (_, _, target, picks) = chosen.unwrap_or((false, 0.0, 0.0, Vec::new()));
        let value = picks.iter().zip(&shares).map(|(p, share)| share * p.y).sum();
        (target, value, picks.into_iter().map(|p| ([p.cut; 2], 1.0, None)).collect())
    }
}

type Chosen = (f64, f64, Vec<([super::Cut; 2], f64, Option<Constant>)>);

fn shares(positives: &[f64], negatives: &[f64]) -> Vec<f64> {
    let all: f64 = positives.iter().chain(negatives).sum();
    positives.iter().zip(negatives).map(|(p, n)| (p + n) / all).collect()
}

/// The first of the largest.
fn best(values: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    values.fold((0.0, f64::NEG_INFINITY), |best, (x, y)| if y > best.1 { (x, y) } else { best })
}

/// The point of the largest y within reach of x, or that nearest to it.
fn nearest(points: &[Point], x: f64, reach: f64) -> Point {
    let from = points.partition_point(|p| p.x < x - reach);
    let upto = points.partition_point(|p| p.x <= x + reach);
    let within = points[from..upto.max(from)].iter();
    let by_y = |a: &&Point, b: &&Point| a.y.total_cmp(&b.y);
    if let Some(point) = within.max_by(by_y) {
        return *point;
    }
    // `points` is not empty: there is one for no threshold at all.
    let (below, above) = (points[from.saturating_sub(1)], points[from.min(points.len() - 1)]);
    if (x - below.x).abs() <= (above.x - x).abs() { below } else { above }
}

fn degenerate(group: &Group) -> Error {
    Error::undefined(
        format!("the threshold of group {group}"),
        "it does not have both positive and negative labels",
    )
}
