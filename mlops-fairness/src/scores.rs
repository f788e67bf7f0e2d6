//! Metrics of scores: ROC and precision-recall, losses, calibration, and the area between the ROC
//! curves of groups.

use std::borrow::Cow;
use std::fmt;

use mlops_core::states::{Moments, Sum};
use mlops_core::{Error, Result, State};
use serde::{Deserialize, Serialize};

use crate::counts::total;
use crate::estimate::Spread;
use crate::group_scores::{Entry, Scores, Table, times};
use crate::value::TOO_HEAVY;
use crate::{Counts, Group, GroupCell, GroupMetric, MetricFrame, Undefined, Value};

/// Bins of equal width for scores; what lies outside falls into the first or the last. Where too many
/// scores share a bin, what rests on their order is undefined: credit scores from 300 to 850 want
/// bins from 300 to 850.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bins {
    /// How many, from 1 to [`Bins::MAX`]; so many different scores are kept, too.
    pub n: u32,
    /// Where the first begins.
    pub low: f64,
    /// Where the last ends.
    pub high: f64,
}

impl Default for Bins {
    /// 1,000 bins of `[0, 1]`.
    fn default() -> Self {
        Self { n: 1000, low: 0.0, high: 1.0 }
    }
}

impl Bins {
    /// The most bins.
    pub const MAX: u32 = 1 << 16;

    /// So many bins from one number to a larger one.
    ///
    /// ```
    /// use mlops_fairness::Bins;
    /// let credit = Bins::new(1000, 300.0, 850.0)?;
    /// assert!(Bins::new(1000, 850.0, 300.0).is_err());
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for none or more than [`MAX`](Self::MAX), and for ends that are not finite
    /// or not ascending.
    pub fn new(n: u32, low: f64, high: f64) -> Result<Self> {
        let bins = Self { n, low, high };
        bins.check()?;
        Ok(bins)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let width = self.high - self.low;
        if self.n == 0 || self.n > Self::MAX || !(width > 0.0 && width.is_finite()) {
            let expected = format!("1 to {} bins from a number to a larger one", Self::MAX);
            return Err(Error::invalid("bins of scores", expected, format!("{self:?}")));
        }
        Ok(())
    }

    /// The bin of a score.
    pub(crate) fn of(&self, score: f64) -> usize {
        let at = (score - self.low) / (self.high - self.low) * f64::from(self.n);
        // Casts of floats stop at the ends of the range.
        (at as usize).min(self.n as usize - 1)
    }

    fn edge(&self, bin: usize) -> f64 {
        if bin >= self.n as usize {
            return self.high;
        }
        self.low + (self.high - self.low) * (bin as f64 / f64::from(self.n))
    }
}

/// What is known of all scores of one group and class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) rows: u64,
    /// Without a label or a score.
    pub(crate) unscored: u64,
    /// With a weight that is none.
    pub(crate) invalid: u64,
    /// With a score that is no probability.
    pub(crate) outside: u64,
    /// Score less class, of probabilities; the square of it, and −ln of what was given to the class.
    pub(crate) residuals: Moments,
    pub(crate) squares: Moments,
    pub(crate) losses: Moments,
    pub(crate) weighted: Option<Box<WeightedSide>>,
}

/// The same by weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WeightedSide {
    /// Of all rows with a score.
    pub(crate) weights: Moments,
    /// Of probabilities Σw times 1, residual, residual², residual⁴, loss, loss².
    pub(crate) sums: [Sum; 6],
}

/// Rows that share a score, or a bin of scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScorePoint {
    /// The score, or where the bin begins.
    #[serde(with = "any_number")]
    pub score: f64,
    /// The rows of the negative class.
    pub negatives: u64,
    /// The rows of the positive class.
    pub positives: u64,
    /// Σs of both.
    scores: Sum,
    /// Σw of either, where rows are weighted.
    weights: Option<[Sum; 2]>,
}

impl ScorePoint {
    /// Negatives and positives, or their weights.
    pub(crate) fn mass(&self) -> [f64; 2] {
        self.weights.map_or([self.negatives as f64, self.positives as f64], |weights| {
            weights.map(|weight| weight.value())
        })
    }

    fn merge(&mut self, other: &Self) {
        self.negatives = self.negatives.saturating_add(other.negatives);
        self.positives = self.positives.saturating_add(other.positives);
        let _ = self.scores.merge(other.scores);
        if let Some(theirs) = other.weights {
            let mine = self.weights.get_or_insert_default();
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                let _ = mine.merge(theirs);
            }
        }
    }
}

/// Numbers that may be infinite, which JSON cannot hold: then as text.
mod any_number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
    pub(super) fn serialize<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if x.is_finite() {
            return x.serialize(serializer);
        }
        Written::Text(x.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Written::deserialize(from)? {
            Written::Number(x) => Ok(x),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Scores of one group by class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreCounts {
    bins: Bins,
    /// Whether points are scores, not bins.
    exact: bool,
    /// In ascending order.
    points: Vec<ScorePoint>,
    /// Of negatives and of positives.
    sides: [Side; 2],
    /// Rows without a label.
    unlabelled: u64,
}

/// How far apart the bounds of an area under a ROC curve may be for its middle to stand for it.
const WIDEST: f64 = 0.01;

/// A number that lies between two others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bounded {
    /// The least that it can be.
    pub low: f64,
    /// What it is if rows of one bin come in no order; the number itself where it is known.
    pub value: f64,
    /// The most that it can be.
    pub high: f64,
}

impl Bounded {
    /// Whether it is known.
    pub fn is_exact(&self) -> bool {
        self.low == self.high
    }
}

impl fmt::Display for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_exact() {
            return write!(f, "{:.4}", self.value);
        }
        write!(f, "{:.4}, between {:.4} and {:.4}", self.value, self.low, self.high)
    }
}

/// A bin of a calibration curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Its rows.
    pub rows: u64,
    /// The rows of it that are positive.
    pub positives: u64,
    /// How much its rows weigh, as a share of all.
    pub share: f64,
    /// Their mean score.
    pub mean_score: f64,
    /// The share of positives among them.
    pub positive_share: f64,
}

impl ScoreCounts {
    pub(crate) fn new(bins: Bins) -> Self {
        Self { bins, exact: true, ..Self::default() }
    }

    /// Takes in the scores of a class: negative, positive or none.
    pub(crate) fn set(&mut self, class: usize, scores: Scores) {
        let Some(side) = self.sides.get_mut(class) else {
            self.unlabelled = self.unlabelled.saturating_add(scores.side.rows);
            return;
        };
        let weighted = scores.side.weighted.is_some();
        side.merge(&scores.side);
        let (exact, entries): (bool, Vec<(f64, Entry)>) = match scores.table {
            Table::Exact(found) => {
                let entries = found.into_iter().map(|(bits, entry)| {
                    let score = f64::from_bits(bits);
                    (score, Entry { scores: times(score, entry.rows), ..entry })
                });
                (true, entries.collect())
            }
            Table::Binned(found) => {
                let bins = self.bins;
                let entries = found.into_iter().enumerate().filter(|(_, entry)| entry.rows > 0);
                (false, entries.map(|(bin, entry)| (bins.edge(bin), entry)).collect())
            }
        };
        let points = entries.into_iter().map(|(score, entry)| {
            let mut point = ScorePoint {
                score,
                negatives: 0,
                positives: 0,
                scores: entry.scores,
                weights: weighted.then(Default::default),
            };
            *(if class == 1 { &mut point.positives } else { &mut point.negatives }) = entry.rows;
            if let Some(weights) = &mut point.weights {
                weights[class] = entry.weight;
            }
            point
        });
        let mut points: Vec<_> = points.collect();
        points.sort_by(|a, b| a.score.total_cmp(&b.score));
        self.join(exact, points);
    }

    /// Takes in points in ascending order, exact or not.
    fn join(&mut self, exact: bool, mut points: Vec<ScorePoint>) {
        if points.is_empty() {
            return;
        }
        if self.points.is_empty() {
            (self.points, self.exact) = (points, exact);
            return;
        }
        if self.exact && !exact {
            let mine = std::mem::take(&mut self.points);
            self.points = self.binned(mine);
            self.exact = false;
        } else if !self.exact && exact {
            points = self.binned(points);
        }
        let mut all = std::mem::take(&mut self.points);
        all.append(&mut points);
        all.sort_by(|a, b| a.score.total_cmp(&b.score));
        all.dedup_by(|next, kept| {
            let same = next.score == kept.score;
            if same {
                kept.merge(next);
            }
            same
        });
        self.points = all;
    }

    fn binned(&self, points: Vec<ScorePoint>) -> Vec<ScorePoint> {
        let mut binned: Vec<ScorePoint> = Vec::new();
        for mut point in points {
            point.score = self.bins.edge(self.bins.of(point.score));
            match binned.last_mut().filter(|last| last.score == point.score) {
                Some(last) => last.merge(&point),
                None => binned.push(point),
            }
        }
        binned
    }

    /// Rows with a label and a score: those of the metrics.
    pub fn complete(&self) -> u64 {
        self.sides[0].scored().saturating_add(self.sides[1].scored())
    }

    /// Whether every different score was kept; else the points are bins.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// The scores, or the bins that have rows, in ascending order.
    pub fn points(&self) -> &[ScorePoint] {
        &self.points
    }

    /// Negatives and positives, or their weights.
    fn mass(&self) -> [f64; 2] {
        let part = |i: usize| total(self.points.iter().map(|point| point.mass()[i]));
        [part(0), part(1)]
    }

    pub(crate) fn classes(&self) -> std::result::Result<[f64; 2], Undefined> {
        match self.mass() {
            [_, positives] if positives <= 0.0 => Err(Undefined::new("no positive labels")),
            [negatives, _] if negatives <= 0.0 => Err(Undefined::new("no negative labels")),
            [negatives, positives] if (negatives * positives).is_infinite() => {
                Err(Undefined::new(TOO_HEAVY))
            }
            both => Ok(both),
        }
    }

    /// The area under the ROC curve, a tie counting half, in `[0, 1]`; bounds where scores were
    /// counted by bin. scikit-learn: `roc_auc_score`.
    ///
    /// # Errors
    /// [`Undefined`] where only one label occurs.
    pub fn roc_auc(&self) -> std::result::Result<Bounded, Undefined> {
        let [negatives, positives] = self.classes()?;
        // Whole numbers as long as the rows weigh the same, and so exact up to 2⁵³ pairs.
        let mut below = 0.0;
        let mut pairs: Vec<(f64, f64)> = Vec::with_capacity(self.points.len());
        for point in &self.points {
            let [n, p] = point.mass();
            pairs.push((p * below, p * n));
            below += n;
        }
        let all = negatives * positives;
        let ordered = total(pairs.iter().map(|(ordered, _)| *ordered));
        let tied = total(pairs.iter().map(|(_, tied)| *tied));
        let value = ((ordered + tied / 2.0) / all).clamp(0.0, 1.0);
        if self.exact {
            return Ok(Bounded { low: value, value, high: value });
        }
        let low = (ordered / all).clamp(0.0, value);
        Ok(Bounded { low, value, high: ((ordered + tied) / all).clamp(value, 1.0) })
    }

    /// The average precision, Σ (recallₖ − recallₖ₋₁) · precisionₖ from the highest score down, in
    /// `[0, 1]`. scikit-learn: `average_precision_score`.
    ///
    /// # Errors
    /// [`Undefined`] where no label is positive, and where scores were counted by bin.
    pub fn average_precision(&self) -> Value {
        self.must_be_exact()?;
        let [negatives, positives] = self.mass();
        if positives <= 0.0 {
            return Err(Undefined::new("no positive labels"));
        }
        if (negatives + positives).is_infinite() {
            return Err(Undefined::new(TOO_HEAVY));
        }
        let (mut found, mut selected) = (0.0, 0.0);
        let terms = self.points.iter().rev().map(|point| {
            let [n, p] = point.mass();
            found += p;
            selected += p + n;
            if p > 0.0 { p * (found / selected) } else { 0.0 }
        });
        Ok((total(terms.collect::<Vec<_>>()) / positives).min(1.0))
    }

    /// That bins hold few enough scores each for what rests on the scores' order: that the area under
    /// the ROC curve is known within [`WIDEST`].
    pub(crate) fn must_be_fine(&self) -> std::result::Result<(), Undefined> {
        if self.exact {
            return Ok(());
        }
        let area = self.roc_auc()?;
        if area.high - area.low <= WIDEST {
            return Ok(());
        }
        let Bins { n, low, high } = self.bins;
        let outside = self.sides[0].outside.saturating_add(self.sides[1].outside);
        let outside = if self.is_unit() && outside > 0 {
            format!("; {outside} of {} scores lie outside of it", self.complete())
        } else {
            String::new()
        };
        Err(Undefined::new(format!(
            "more than {n} different scores were counted in bins of [{low}, {high}], too many of them \
             in one bin: an AUC may be {:.4} to {:.4}{outside}; give bins that fit, as \
             `with_score_bins(Bins::new({n}, low, high)?)`",
            area.low, area.high
        )))
    }

    /// Whether bins are of probabilities.
    fn is_unit(&self) -> bool {
        self.bins.low == 0.0 && self.bins.high == 1.0
    }

    fn must_be_exact(&self) -> std::result::Result<(), Undefined> {
        if self.exact {
            return Ok(());
        }
        Err(Undefined::new(format!("there are more than {} different scores", self.bins.n)))
    }

    /// That all scores are probabilities; their number, or weight.
    fn probabilities(&self) -> Value {
        let outside = self.sides[0].outside.saturating_add(self.sides[1].outside);
        if outside > 0 {
            return Err(Undefined::new(format!("{outside} scores are no probabilities")));
        }
        let weight = self.over(|side| side.residuals.n() as f64, 0);
        if weight.is_infinite() {
            Err(Undefined::new(TOO_HEAVY))
        } else if weight > 0.0 {
            Ok(weight)
        } else {
            Err(Undefined::new("no rows with a label and a score"))
        }
    }

    /// A sum over both classes, or the weighted one of this number.
    fn over(&self, plain: fn(&Side) -> f64, weighted: usize) -> f64 {
        total(self.sides.iter().map(|side| {
            side.weighted.as_ref().map_or_else(|| plain(side), |of| of.sums[weighted].value())
        }))
    }

    /// The mean of −ln of the probability that was given to what came true, in nats, at least 0.
    /// scikit-learn: `log_loss`.
    ///
    /// # Errors
    /// [`Undefined`] without rows, or where a score is no probability.
    pub fn log_loss(&self) -> Value {
        Ok(self.over(|side| side.losses.sum(), 4) / self.probabilities()?)
    }

    /// The mean squared difference of score and label, in `[0, 1]`. scikit-learn:
    /// `brier_score_loss`.
    ///
    /// # Errors
    /// As [`log_loss`](Self::log_loss).
    pub fn brier(&self) -> Value {
        Ok(self.over(|side| side.residuals.sum_of_squares(), 2) / self.probabilities()?)
    }

    /// The mean score, in `[0, 1]`. fairlearn: `mean_prediction`.
    ///
    /// # Errors
    /// As [`log_loss`](Self::log_loss).
    pub fn mean_prediction(&self) -> Value {
        let weight = self.probabilities()?;
        let positives = self.sides[1]
            .weighted
            .as_ref()
            .map_or(self.sides[1].residuals.n() as f64, |of| of.sums[0].value());
        Ok((self.over(|side| side.residuals.sum(), 1) + positives) / weight)
    }

    /// How a metric that is a mean of rows is spread; `None` without rows, and for what is no mean.
    pub(crate) fn spread(&self, metric: ScoreMetric) -> Option<Spread> {
        let [negative, positive] = &self.sides;
        let both = |of: fn(&Side) -> &Moments| {
            let mut moments = *of(negative);
            // Merging moments never fails.
            let _ = moments.merge(*of(positive));
            moments
        };
        // Where the moments of the number stand among the sums by weight, and of its square.
        let (moments, at): (fn(&Side) -> &Moments, _) = match metric {
            ScoreMetric::Brier => (|side| &side.squares, (2, 3)),
            ScoreMetric::LogLoss => (|side| &side.losses, (4, 5)),
            ScoreMetric::MeanPrediction => (|side| &side.residuals, (1, 2)),
            _ => return None,
        };
        let weighted = self.sides.iter().any(|side| side.weighted.is_some());
        let mean_score = metric == ScoreMetric::MeanPrediction;
        if !weighted && !mean_score {
            return Spread::plain(&both(moments));
        }
        // A score is the residual, and 1 where the class is: Σs = Σr + n₁, Σs² = Σr² + 2 Σr₁ + n₁.
        let (n, first, second, of_positive) = if weighted {
            let over = |at: usize| self.over(|_| 0.0, at);
            let of_positive = positive.weighted.as_ref();
            let of_positive = |at: usize| of_positive.map_or(0.0, |of| of.sums[at].value());
            (self.all_weights(), over(at.0), over(at.1), [of_positive(0), of_positive(1)])
        } else {
            let all = both(moments);
            let of_positive = [positive.residuals.n() as f64, positive.residuals.sum()];
            return Spread::of_rows(
                all.n(),
                all.sum() + of_positive[0],
                all.sum_of_squares() + 2.0 * of_positive[1] + of_positive[0],
            );
        };
        if mean_score {
            let [n1, r1] = of_positive;
            return Spread::weighted(&n, first + n1, second + 2.0 * r1 + n1);
        }
        Spread::weighted(&n, first, second)
    }

    /// How much the rows of a label weigh that have a score, where they are weighted.
    pub(crate) fn weights(&self, label: usize) -> Option<&Moments> {
        self.sides[label].weighted.as_ref().map(|of| &of.weights)
    }

    /// The rows of a label that have a score.
    pub(crate) fn scored(&self, label: usize) -> u64 {
        self.sides[label].scored()
    }

    fn all_weights(&self) -> Moments {
        let mut weights = Moments::new();
        for side in self.sides.iter().filter_map(|side| side.weighted.as_ref()) {
            let _ = weights.merge(side.weights);
        }
        weights
    }

    /// How many rows of equal weight would know as much.
    pub(crate) fn effective_rows(&self) -> f64 {
        let weights = self.all_weights();
        if weights.n() == 0 {
            return self.complete() as f64;
        }
        let squares = weights.sum_of_squares();
        if squares > 0.0 { weights.sum() / squares * weights.sum() } else { 0.0 }
    }

    /// The share of positive labels among rows with a score, in `[0, 1]`.
    ///
    /// # Errors
    /// [`Undefined`] without rows.
    pub fn base_rate(&self) -> Value {
        let [negatives, positives] = self.mass();
        let all = negatives + positives;
        if all.is_infinite() {
            Err(Undefined::new(TOO_HEAVY))
        } else if all > 0.0 {
            Ok(positives / all)
        } else {
            Err(Undefined::new("no rows with a label and a score"))
        }
    }

    /// The calibration curve: of so many bins of `[0, 1]` those that have rows.
    ///
    /// scikit-learn: `calibration_curve(strategy="uniform")`, whose bins are open below.
    ///
    /// # Errors
    /// As [`log_loss`](Self::log_loss); also where scores were counted by bins of which these are
    /// not made up, or with weights.
    pub fn calibration_curve(
        &self,
        bins: u32,
    ) -> std::result::Result<Vec<CalibrationBin>, Undefined> {
        let all = self.probabilities()?;
        let fits = bins > 0 && self.is_unit() && self.bins.n.is_multiple_of(bins);
        let weighted = self.points.iter().any(|point| point.weights.is_some());
        if bins == 0 || (!self.exact && (!fits || weighted)) {
            let reason = format!(
                "there are more than {n} different scores, and {bins} bins are not made of {n}",
                n = self.bins.n
            );
            return Err(Undefined::new(if weighted {
                "there are weights and more different scores than bins".to_owned()
            } else {
                reason
            }));
        }
        // Where they are made up of the others, a score has the same bin in either state.
        let coarse = Bins { n: bins, low: 0.0, high: 1.0 };
        let of = |score: f64| {
            if !fits {
                return coarse.of(score);
            }
            let fine = if self.exact {
                self.bins.of(score)
            } else {
                (score * f64::from(self.bins.n)).round() as usize
            };
            fine / (self.bins.n / bins) as usize
        };
        let mut curve: Vec<CalibrationBin> = Vec::new();
        let ends = self.points.chunk_by(|a, b| of(a.score) == of(b.score));
        for points in ends {
            let mass = points.iter().map(ScorePoint::mass);
            let positive = total(mass.clone().map(|[_, p]| p));
            let weight = total(mass.map(|[n, p]| n + p));
            if weight <= 0.0 {
                continue;
            }
            let scores = total(points.iter().map(|point| {
                if point.weights.is_some() {
                    let [n, p] = point.mass();
                    (n + p) * point.score
                } else {
                    point.scores.value()
                }
            }));
            let bin = of(points[0].score);
            let negatives: u64 = points.iter().map(|point| point.negatives).sum();
            let positives: u64 = points.iter().map(|point| point.positives).sum();
            curve.push(CalibrationBin {
                low: coarse.edge(bin),
                high: coarse.edge(bin + 1),
                rows: negatives.saturating_add(positives),
                positives,
                share: weight / all,
                mean_score: scores / weight,
                positive_share: positive / weight,
            });
        }
        Ok(curve)
    }

    /// The expected calibration error over so many bins: the mean over rows of the distance
    /// between the mean score and the share of positives in the row's bin, in `[0, 1]`. Above 0 by
    /// chance alone even where scores are calibrated. Naeini, Cooper and Hauskrecht 2015,
    /// doi:10.1609/aaai.v29i1.9602.
    ///
    /// # Errors
    /// As [`calibration_curve`](Self::calibration_curve).
    pub fn calibration_error(&self, bins: u32) -> Value {
        let curve = self.calibration_curve(bins)?;
        let apart = |bin: &CalibrationBin| bin.share * (bin.mean_score - bin.positive_share).abs();
        Ok(total(curve.iter().map(apart)))
    }

    /// The ROC curve from the highest score down: pairs of false- and true-positive rate, from
    /// (0, 0) to (1, 1).
    ///
    /// # Errors
    /// [`Undefined`] where only one label occurs, and where too many scores share a bin.
    pub fn roc_curve(&self) -> std::result::Result<Vec<(f64, f64)>, Undefined> {
        self.must_be_fine()?;
        let [negatives, positives] = self.classes()?;
        let (mut n, mut p) = (0.0, 0.0);
        let mut curve = vec![(0.0, 0.0)];
        for point in self.points.iter().rev() {
            let mass = point.mass();
            n += mass[0];
            p += mass[1];
            curve.push(((n / negatives).min(1.0), (p / positives).min(1.0)));
        }
        // The sums of weights may have rounded.
        if let Some(last) = curve.last_mut() {
            *last = (1.0, 1.0);
        }
        Ok(curve)
    }

    /// The counts if scores of at least this much are positive predictions: all metrics of labels
    /// at a threshold.
    ///
    /// # Errors
    /// [`Undefined`] where scores were counted by bin and the threshold is no edge of one, or the
    /// first edge and scores may lie below it.
    pub fn at(&self, threshold: f64) -> std::result::Result<Counts, Undefined> {
        let bin = self.bins.of(threshold);
        let all_inside = self.is_unit() && self.sides.iter().all(|side| side.outside == 0);
        if !self.exact && (self.bins.edge(bin) != threshold || (bin == 0 && !all_inside)) {
            self.must_be_exact()?;
        }
        let unscored = self.sides[0].unscored.saturating_add(self.sides[1].unscored);
        let empty = self.unlabelled.saturating_add(unscored);
        let mut counts = Counts { empty, ..Counts::default() };
        for point in &self.points {
            let predicted = usize::from(point.score >= threshold);
            for (class, rows) in [point.negatives, point.positives].into_iter().enumerate() {
                let place = counts.at(class, predicted);
                *place = place.saturating_add(rows);
            }
        }
        if self.points.iter().any(|point| point.weights.is_some()) {
            return Err(Undefined::new("weights of scores are not kept by row"));
        }
        Ok(counts)
    }
}

impl GroupCell for ScoreCounts {
    fn add(&mut self, other: &Self) {
        if self.points.is_empty() && self.rows() == 0 {
            self.bins = other.bins;
        }
        for (mine, theirs) in self.sides.iter_mut().zip(&other.sides) {
            mine.merge(theirs);
        }
        self.unlabelled = self.unlabelled.saturating_add(other.unlabelled);
        let mut theirs = other.points.clone();
        let exact = other.exact;
        if self.bins != other.bins {
            // Bins of another kind are points of this one.
            theirs = self.binned(theirs);
        }
        self.join(exact, theirs);
        if self.points.is_empty() {
            self.exact = true;
        }
    }

    fn rows(&self) -> u64 {
        let rows = self.sides[0].rows.saturating_add(self.sides[1].rows);
        rows.saturating_add(self.unlabelled)
    }
}

/// A metric of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScoreMetric {
    /// [`ScoreCounts::roc_auc`]; of a bounded one the value in the middle, undefined where the bounds
    /// are further apart than 0.01.
    RocAuc,
    /// [`ScoreCounts::average_precision`], the area under the precision-recall curve.
    AveragePrecision,
    /// [`ScoreCounts::log_loss`].
    LogLoss,
    /// [`ScoreCounts::brier`].
    Brier,
    /// [`ScoreCounts::calibration_error`] over 10 bins.
    CalibrationError,
    /// [`ScoreCounts::mean_prediction`].
    MeanPrediction,
    /// [`ScoreCounts::base_rate`].
    BaseRate,
}

impl ScoreMetric {
    /// Every one of them, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::RocAuc,
        Self::AveragePrecision,
        Self::LogLoss,
        Self::Brier,
        Self::CalibrationError,
        Self::MeanPrediction,
        Self::BaseRate,
    ];

    /// The literature's name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::CalibrationError => "calibration_error",
            Self::MeanPrediction => "mean_prediction",
            Self::BaseRate => "base_rate",
        }
    }

    /// Its value for a group.
    ///
    /// # Errors
    /// [`Undefined`], as the method of its name.
    pub fn value(self, counts: &ScoreCounts) -> Value {
        match self {
            Self::RocAuc => counts.must_be_fine().and_then(|()| Ok(counts.roc_auc()?.value)),
            Self::AveragePrecision => counts.average_precision(),
            Self::LogLoss => counts.log_loss(),
            Self::Brier => counts.brier(),
            Self::CalibrationError => counts.calibration_error(10),
            Self::MeanPrediction => counts.mean_prediction(),
            Self::BaseRate => counts.base_rate(),
        }
    }
}

impl GroupMetric<ScoreCounts> for ScoreMetric {
    fn metric_name(&self) -> Cow<'static, str> {
        (*self).name().into()
    }

    fn measure(&self, counts: &ScoreCounts) -> Value {
        self.value(counts)
    }
}

impl fmt::Display for ScoreMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad((*self).name())
    }
}

/// The area between two ROC curves, ∫ |TPR₁ − TPR₂| over the false-positive rate, in `[0, 1]`.
/// Of scores that were counted by bin it is that of the curves through the bins. Above 0 by chance
/// alone even between groups of one kind.
///
/// Gardner, Brooks and Baker 2019, doi:10.1145/3303772.3303791.
///
/// # Errors
/// As [`ScoreCounts::roc_curve`] of either.
pub fn abroca(a: &ScoreCounts, b: &ScoreCounts) -> Value {
    let (a, b) = (steps(&a.roc_curve()?), steps(&b.roc_curve()?));
    let (mut i, mut j, mut x) = (0, 0, 0.0);
    let mut areas = Vec::with_capacity(a.len() + b.len());
    while let (Some(one), Some(other)) = (a.get(i), b.get(j)) {
        let end = one.end.min(other.end);
        let left = one.at(x) - other.at(x);
        let right = one.at(end) - other.at(end);
        let width = end - x;
        areas.push(if left * right >= 0.0 {
            width * f64::midpoint(left.abs(), right.abs())
        } else {
            // They cross: two triangles.
            width * (left * left + right * right) / (2.0 * (left.abs() + right.abs()))
        });
        x = end;
        i += usize::from(one.end <= x);
        j += usize::from(other.end <= x);
    }
    Ok(total(areas).min(1.0))
}

/// A part of a curve that is not upright.
struct Step {
    start: f64,
    end: f64,
    low: f64,
    high: f64,
}

impl Step {
    fn at(&self, x: f64) -> f64 {
        self.low + (self.high - self.low) * ((x - self.start) / (self.end - self.start))
    }
}

fn steps(curve: &[(f64, f64)]) -> Vec<Step> {
    let steps = curve.windows(2).filter(|ends| ends[1].0 > ends[0].0);
    steps
        .map(|ends| Step { start: ends[0].0, end: ends[1].0, low: ends[0].1, high: ends[1].1 })
        .collect()
}

impl MetricFrame<ScoreCounts> {
    /// The two groups whose ROC curves have the largest [`abroca`] between them.
    ///
    /// # Errors
    /// [`Undefined`] with fewer than two groups, or where a group has only one label.
    pub fn abroca(&self) -> std::result::Result<(Group, Group, f64), Undefined> {
        // That every group has a curve, and that there are two.
        self.difference(ScoreMetric::RocAuc, crate::Method::BetweenGroups)?;
        let groups: Vec<_> = self.groups().collect();
        let mut worst: Option<(Group, Group, f64)> = None;
        for (i, (one, a)) in groups.iter().enumerate() {
            for (other, b) in &groups[i + 1..] {
                let area = abroca(a, b)?;
                if worst.as_ref().is_none_or(|worst| area > worst.2) {
                    worst = Some(((*one).clone(), (*other).clone(), area));
                }
            }
        }
        worst.ok_or_else(|| Undefined::new("there is only one group"))
    }

    /// The counts of every group if scores of at least this much are positive predictions.
    ///
    /// # Errors
    /// As [`ScoreCounts::at`].
    pub fn at(&self, threshold: f64) -> std::result::Result<MetricFrame, Undefined> {
        for (_, counts) in self.groups() {
            counts.at(threshold)?;
        }
        Ok(self.map(|counts| counts.at(threshold).unwrap_or_default()))
    }
}
