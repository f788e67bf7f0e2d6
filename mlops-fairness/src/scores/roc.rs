//! What rests on the order of scores: ROC and precision-recall, and the area between the ROC curves
//! of groups.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Bins, ScoreCounts, ScoreMetric};
use crate::counts::total;
use crate::value::TOO_HEAVY;
use crate::{Group, MetricFrame, Undefined, Value};

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

impl ScoreCounts {
    /// The area under the ROC curve, a tie counting half, in `[0, 1]`; bounds where scores were
    /// counted by bin. scikit-learn: `roc_auc_score`.
    ///
    /// # Errors
    /// [`Undefined`] where only one label occurs.
    pub fn roc_auc(&self) -> Result<Bounded, Undefined> {
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
            return Err(self.no_positives());
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
    pub(crate) fn must_be_fine(&self) -> Result<(), Undefined> {
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

    /// The ROC curve from the highest score down: pairs of false- and true-positive rate, from
    /// (0, 0) to (1, 1).
    ///
    /// # Errors
    /// [`Undefined`] where only one label occurs, and where too many scores share a bin.
    pub fn roc_curve(&self) -> Result<Vec<(f64, f64)>, Undefined> {
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
    pub fn abroca(&self) -> Result<(Group, Group, f64), Undefined> {
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
}
