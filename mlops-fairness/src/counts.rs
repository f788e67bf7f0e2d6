//! Rows of a group by label and prediction, and how much they weigh.

use mlops_core::State;
use mlops_core::states::{Moments, Sum};
use serde::{Deserialize, Serialize};

use crate::GroupCell;

/// Rows of one group by label and prediction.
///
/// Rows without a label, or without a prediction, are kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Positive label, positive prediction.
    pub true_positive: u64,
    /// Negative label, positive prediction.
    pub false_positive: u64,
    /// Negative label, negative prediction.
    pub true_negative: u64,
    /// Positive label, negative prediction.
    pub false_negative: u64,
    /// No label, positive prediction.
    pub unlabelled_positive: u64,
    /// No label, negative prediction.
    pub unlabelled_negative: u64,
    /// Positive label, no prediction.
    pub unpredicted_positive: u64,
    /// Negative label, no prediction.
    pub unpredicted_negative: u64,
    /// Neither.
    pub empty: u64,
    /// How much the rows weigh, where they were weighted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Box<CellWeights>>,
}

/// Σw and Σw² of the rows of each cell, exact until they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellWeights {
    /// By label and prediction: negative, positive, none.
    cells: [[Moments; 3]; 3],
}

impl CellWeights {
    pub(crate) fn set(&mut self, label: usize, predicted: usize, weights: &Moments) {
        // Merging moments never fails.
        let _ = self.cells[label][predicted].merge(*weights);
    }

    /// Σw and Σw² over some cells.
    fn over(&self, cells: &[(usize, usize)]) -> Weight {
        let mut all = Moments::new();
        for &(label, predicted) in cells {
            let _ = all.merge(self.cells[label][predicted]);
        }
        Weight { sum: all.sum(), squares: all.sum_of_squares() }
    }
}

/// Σw and Σw² of some rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Weight {
    /// Σw.
    pub sum: f64,
    /// Σw².
    pub squares: f64,
}

impl Weight {
    /// Kish's effective number of rows, (Σw)²/Σw²: so many rows of equal weight know as much
    /// about a mean. `None` where nothing weighs anything.
    pub fn effective_n(&self) -> Option<f64> {
        (self.squares > 0.0).then(|| self.sum * self.sum / self.squares)
    }
}

/// Rows that count and, where they are weighted, their weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mass {
    pub(crate) rows: u64,
    pub(crate) weight: Option<Weight>,
}

impl Mass {
    /// Σw, which is the number of rows where nothing is weighted.
    pub(crate) fn value(&self) -> f64 {
        self.weight.map_or(self.rows as f64, |weight| weight.sum)
    }
}

/// The cells by label and prediction, as the moments stand.
pub(crate) mod cell {
    pub(crate) const TN: (usize, usize) = (0, 0);
    pub(crate) const FP: (usize, usize) = (0, 1);
    pub(crate) const UNPREDICTED_NEGATIVE: (usize, usize) = (0, 2);
    pub(crate) const FN: (usize, usize) = (1, 0);
    pub(crate) const TP: (usize, usize) = (1, 1);
    pub(crate) const UNPREDICTED_POSITIVE: (usize, usize) = (1, 2);
    pub(crate) const UNLABELLED_NEGATIVE: (usize, usize) = (2, 0);
    pub(crate) const UNLABELLED_POSITIVE: (usize, usize) = (2, 1);
}

impl Counts {
    /// Counts of rows that all have a label and a prediction.
    pub fn confusion(tp: u64, fp: u64, tn: u64, fn_: u64) -> Self {
        Self {
            true_positive: tp,
            false_positive: fp,
            true_negative: tn,
            false_negative: fn_,
            ..Self::default()
        }
    }

    /// The rows of a cell by label and prediction: negative, positive, none.
    pub(crate) fn at(&mut self, label: usize, predicted: usize) -> &mut u64 {
        match (label, predicted) {
            cell::TN => &mut self.true_negative,
            cell::FP => &mut self.false_positive,
            cell::UNPREDICTED_NEGATIVE => &mut self.unpredicted_negative,
            cell::FN => &mut self.false_negative,
            cell::TP => &mut self.true_positive,
            cell::UNPREDICTED_POSITIVE => &mut self.unpredicted_positive,
            cell::UNLABELLED_NEGATIVE => &mut self.unlabelled_negative,
            cell::UNLABELLED_POSITIVE => &mut self.unlabelled_positive,
            _ => &mut self.empty,
        }
    }

    fn get(&self, cell: (usize, usize)) -> u64 {
        match cell {
            cell::TN => self.true_negative,
            cell::FP => self.false_positive,
            cell::UNPREDICTED_NEGATIVE => self.unpredicted_negative,
            cell::FN => self.false_negative,
            cell::TP => self.true_positive,
            cell::UNPREDICTED_POSITIVE => self.unpredicted_positive,
            cell::UNLABELLED_NEGATIVE => self.unlabelled_negative,
            cell::UNLABELLED_POSITIVE => self.unlabelled_positive,
            _ => self.empty,
        }
    }

    /// The rows of some cells, and their weight.
    pub(crate) fn mass(&self, cells: &[(usize, usize)]) -> Mass {
        Mass {
            rows: cells.iter().fold(0, |sum, &cell| sum.saturating_add(self.get(cell))),
            weight: self.weights.as_ref().map(|weights| weights.over(cells)),
        }
    }

    /// The rows that have a prediction: those of the selection rate.
    pub fn predicted(&self) -> u64 {
        sum([self.complete(), self.unlabelled_positive, self.unlabelled_negative])
    }

    /// Whether rows have predictions, and none a label.
    pub(crate) fn lack_labels(&self) -> bool {
        self.predicted() > 0
            && sum([self.complete(), self.unpredicted_positive, self.unpredicted_negative]) == 0
    }

    /// The rows that have a label and a prediction: those of the confusion rates.
    pub fn complete(&self) -> u64 {
        sum([self.true_positive, self.false_positive, self.true_negative, self.false_negative])
    }

    /// All rows of the group.
    pub fn rows(&self) -> u64 {
        sum([self.predicted(), self.unpredicted_positive, self.unpredicted_negative, self.empty])
    }

    /// TP, FP, TN and FN as weights, or as numbers of rows where there are none.
    pub fn weighted_confusion(&self) -> [f64; 4] {
        [cell::TP, cell::FP, cell::TN, cell::FN].map(|cell| self.mass(&[cell]).value())
    }
}

impl GroupCell for Counts {
    fn add(&mut self, other: &Self) {
        for label in 0..3 {
            for predicted in 0..3 {
                let theirs = other.get((label, predicted));
                let mine = self.at(label, predicted);
                *mine = mine.saturating_add(theirs);
            }
        }
        if let Some(theirs) = &other.weights {
            let mine = self.weights.get_or_insert_default();
            for label in 0..3 {
                for predicted in 0..3 {
                    mine.set(label, predicted, &theirs.cells[label][predicted]);
                }
            }
        }
    }

    fn rows(&self) -> u64 {
        self.rows()
    }
}

/// A sum that stays at the largest number: hostile counts must not wrap around or panic.
pub(crate) fn sum<const N: usize>(counts: [u64; N]) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// A sum of floats that does not depend on their order.
pub(crate) fn total(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().collect::<Sum>().value()
}
