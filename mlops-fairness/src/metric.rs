//! The rates that a group has, from its counts.

use std::fmt;

use mlops_core::stats::{Interval, wilson};
use serde::{Deserialize, Serialize};

/// Rows of one group by label and prediction.
///
/// Rows without a label, or without a prediction, are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Counts {
    pub(crate) fn of(cell: &[[u64; 3]; 3]) -> Self {
        Self {
            true_negative: cell[0][0],
            false_positive: cell[0][1],
            unpredicted_negative: cell[0][2],
            false_negative: cell[1][0],
            true_positive: cell[1][1],
            unpredicted_positive: cell[1][2],
            unlabelled_negative: cell[2][0],
            unlabelled_positive: cell[2][1],
            empty: cell[2][2],
        }
    }

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

    /// All rows of the group.
    pub fn rows(&self) -> u64 {
        sum([self.predicted(), self.unpredicted_positive, self.unpredicted_negative, self.empty])
    }

    /// The rows that have a prediction: those of the selection rate.
    pub fn predicted(&self) -> u64 {
        sum([self.complete(), self.unlabelled_positive, self.unlabelled_negative])
    }

    /// The rows that have a label and a prediction: those of the confusion rates.
    pub fn complete(&self) -> u64 {
        sum([self.true_positive, self.false_positive, self.true_negative, self.false_negative])
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.true_positive, other.true_positive),
            (&mut self.false_positive, other.false_positive),
            (&mut self.true_negative, other.true_negative),
            (&mut self.false_negative, other.false_negative),
            (&mut self.unlabelled_positive, other.unlabelled_positive),
            (&mut self.unlabelled_negative, other.unlabelled_negative),
            (&mut self.unpredicted_positive, other.unpredicted_positive),
            (&mut self.unpredicted_negative, other.unpredicted_negative),
            (&mut self.empty, other.empty),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// A sum that stays at the largest number: hostile counts must not wrap around or panic.
fn sum<const N: usize>(counts: [u64; N]) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// A rate of a binary classifier: a count over a count.
///
/// A rate whose denominator is 0 is undefined, and says so: a group without positives has no
/// true-positive rate (fairlearn reports 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Positive predictions over all predictions. fairlearn: `selection_rate`.
    SelectionRate,
    /// Positive labels over all labels.
    BaseRate,
    /// TP / (TP + FN): recall, sensitivity. fairlearn: `true_positive_rate`.
    TruePositiveRate,
    /// FP / (FP + TN). fairlearn: `false_positive_rate`.
    FalsePositiveRate,
    /// TN / (FP + TN): specificity. fairlearn: `true_negative_rate`.
    TrueNegativeRate,
    /// FN / (TP + FN). fairlearn: `false_negative_rate`.
    FalseNegativeRate,
    /// TP / (TP + FP): precision.
    PositivePredictiveValue,
    /// TN / (TN + FN).
    NegativePredictiveValue,
    /// (TP + TN) over all that have a label and a prediction.
    Accuracy,
}

impl Metric {
    /// Every metric, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::SelectionRate,
        Self::BaseRate,
        Self::TruePositiveRate,
        Self::FalsePositiveRate,
        Self::TrueNegativeRate,
        Self::FalseNegativeRate,
        Self::PositivePredictiveValue,
        Self::NegativePredictiveValue,
        Self::Accuracy,
    ];

    /// The literature's name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SelectionRate => "selection_rate",
            Self::BaseRate => "base_rate",
            Self::TruePositiveRate => "true_positive_rate",
            Self::FalsePositiveRate => "false_positive_rate",
            Self::TrueNegativeRate => "true_negative_rate",
            Self::FalseNegativeRate => "false_negative_rate",
            Self::PositivePredictiveValue => "positive_predictive_value",
            Self::NegativePredictiveValue => "negative_predictive_value",
            Self::Accuracy => "accuracy",
        }
    }

    /// Why it is undefined where it is.
    const fn undefined_because(self) -> &'static str {
        match self {
            Self::SelectionRate => "no predictions",
            Self::BaseRate => "no labels",
            Self::TruePositiveRate | Self::FalseNegativeRate => "no positive labels",
            Self::FalsePositiveRate | Self::TrueNegativeRate => "no negative labels",
            Self::PositivePredictiveValue => "no positive predictions",
            Self::NegativePredictiveValue => "no negative predictions",
            Self::Accuracy => "no rows with a label and a prediction",
        }
    }

    /// The rate in these counts.
    ///
    /// ```
    /// use mlops_fairness::{Counts, Metric};
    /// let counts = Counts::confusion(8, 1, 9, 2);
    /// assert_eq!(Metric::TruePositiveRate.of(&counts).value, Some(0.8));
    /// let none = Metric::TruePositiveRate.of(&Counts::confusion(0, 1, 9, 0));
    /// assert_eq!(none.value, None);
    /// assert_eq!(none.to_string(), "undefined (no positive labels)");
    /// ```
    pub fn of(self, counts: &Counts) -> Rate {
        let c = counts;
        let positive = sum([c.true_positive, c.false_negative]);
        let negative = sum([c.true_negative, c.false_positive]);
        let (numerator, denominator) = match self {
            Self::SelectionRate => {
                let selected = sum([c.true_positive, c.false_positive, c.unlabelled_positive]);
                let not = sum([c.true_negative, c.false_negative, c.unlabelled_negative]);
                (selected, sum([selected, not]))
            }
            Self::BaseRate => {
                let positive = sum([positive, c.unpredicted_positive]);
                (positive, sum([positive, negative, c.unpredicted_negative]))
            }
            Self::TruePositiveRate => (c.true_positive, positive),
            Self::FalsePositiveRate => (c.false_positive, negative),
            Self::TrueNegativeRate => (c.true_negative, negative),
            Self::FalseNegativeRate => (c.false_negative, positive),
            Self::PositivePredictiveValue => {
                (c.true_positive, sum([c.true_positive, c.false_positive]))
            }
            Self::NegativePredictiveValue => {
                (c.true_negative, sum([c.true_negative, c.false_negative]))
            }
            Self::Accuracy => (sum([c.true_positive, c.true_negative]), sum([positive, negative])),
        };
        Rate {
            metric: self,
            numerator,
            denominator,
            value: (denominator > 0).then(|| numerator as f64 / denominator as f64),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A rate with the counts that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rate {
    /// Which rate.
    pub metric: Metric,
    /// The rows that count.
    pub numerator: u64,
    /// The rows that could.
    pub denominator: u64,
    /// One over the other, in `[0, 1]`; `None` where nothing could count.
    pub value: Option<f64>,
}

impl Rate {
    /// Wilson's score interval; `None` where the rate is undefined.
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        wilson(self.numerator, self.denominator, confidence).ok()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{value:.4} ({}/{})", self.numerator, self.denominator),
            None => write!(f, "undefined ({})", self.metric.undefined_because()),
        }
    }
}
