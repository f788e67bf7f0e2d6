//! Scores of one group by class, in ascending order.

use mlops_core::State;
use mlops_core::states::Sum;
use serde::{Deserialize, Serialize};

use super::table::{Entry, Scores, Table, times};
use super::{Bins, Side};
use crate::counts::total;
use crate::value::TOO_HEAVY;
use crate::{Counts, GroupCell, MetricFrame, Undefined, Value};

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
    pub(super) scores: Sum,
    /// Σw of either, where rows are weighted.
    pub(super) weights: Option<[Sum; 2]>,
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
    pub(super) bins: Bins,
    /// Whether points are scores, not bins.
    pub(super) exact: bool,
    /// In ascending order.
    pub(super) points: Vec<ScorePoint>,
    /// Of negatives and of positives.
    pub(super) sides: [Side; 2],
    /// Rows without a label.
    unlabelled: u64,
    /// Where no row of any group has the positive label: which labels there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absent: Option<String>,
}

impl ScoreCounts {
    pub(crate) fn new(bins: Bins, absent: Option<String>) -> Self {
        Self { bins, exact: true, absent, ..Self::default() }
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
    pub(super) fn mass(&self) -> [f64; 2] {
        let part = |i: usize| total(self.points.iter().map(|point| point.mass()[i]));
        [part(0), part(1)]
    }

    pub(super) fn no_positives(&self) -> Undefined {
        match &self.absent {
            Some(there) => Undefined::new(format!("no positive labels: {there}")),
            None => Undefined::new("no positive labels"),
        }
    }

    pub(crate) fn classes(&self) -> Result<[f64; 2], Undefined> {
        match self.mass() {
            [_, positives] if positives <= 0.0 => Err(self.no_positives()),
            [negatives, _] if negatives <= 0.0 => Err(Undefined::new("no negative labels")),
            [negatives, positives] if (negatives * positives).is_infinite() => {
                Err(Undefined::new(TOO_HEAVY))
            }
            both => Ok(both),
        }
    }

    /// Whether bins are of probabilities.
    pub(super) fn is_unit(&self) -> bool {
        self.bins.low == 0.0 && self.bins.high == 1.0
    }

    pub(super) fn must_be_exact(&self) -> Result<(), Undefined> {
        if self.exact {
            return Ok(());
        }
        Err(Undefined::new(format!("there are more than {} different scores", self.bins.n)))
    }

    /// The rows of a label that have a score.
    pub(crate) fn scored(&self, label: usize) -> u64 {
        self.sides[label].scored()
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

    /// The counts if scores of at least this much are positive predictions: all metrics of labels
    /// at a threshold.
    ///
    /// # Errors
    /// [`Undefined`] where scores were counted by bin and the threshold is no edge of one, or the
    /// first edge and scores may lie below it.
    pub fn at(&self, threshold: f64) -> Result<Counts, Undefined> {
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
            self.absent.clone_from(&other.absent);
        } else if other.rows() > 0 && self.absent != other.absent {
            self.absent = None;
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

impl MetricFrame<ScoreCounts> {
    /// The counts of every group if scores of at least this much are positive predictions.
    ///
    /// # Errors
    /// As [`ScoreCounts::at`].
    pub fn at(&self, threshold: f64) -> Result<MetricFrame, Undefined> {
        for (_, counts) in self.groups() {
            counts.at(threshold)?;
        }
        Ok(self.map(|counts| counts.at(threshold).unwrap_or_default()))
    }
}
