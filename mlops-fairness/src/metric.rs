//! The rates that a group has, from its counts.

use std::borrow::Cow;
use std::fmt;

use mlops_core::stats::{Interval, wilson};
use serde::{Deserialize, Serialize};

use crate::counts::{Weight, cell};
use crate::value::TOO_HEAVY;
use crate::{Counts, Undefined, Value};

/// A number that each group has: what a [`MetricFrame`](crate::MetricFrame) compares.
///
/// [`Metric`] and [`Composite`] are such, and so is a function of the counts, alone or with its
/// name:
///
/// ```
/// use mlops_fairness::{Counts, Group, Method, MetricFrame, Undefined};
///
/// let group = |name: &str| Group { values: vec![Some(name.into())] };
/// let frame = MetricFrame::new(vec!["sex".into()], [
///     (group("F"), Counts::confusion(30, 10, 50, 10)),
///     (group("M"), Counts::confusion(30, 20, 40, 10)),
/// ]);
/// // What the errors cost, a wrong selection three times as much as a wrong rejection.
/// let cost = ("cost", |c: &Counts| match c.complete() {
///     0 => Err(Undefined::new("no rows")),
///     n => Ok((3 * c.false_positive + c.false_negative) as f64 / n as f64),
/// });
/// assert!((frame.difference(cost, Method::BetweenGroups).unwrap() - 0.3).abs() < 1e-15);
/// ```
pub trait GroupMetric<C = Counts> {
    /// Its name in reports.
    fn metric_name(&self) -> Cow<'static, str>;

    /// Its value for a group, or why there is none.
    ///
    /// # Errors
    /// [`Undefined`], with the reason.
    fn measure(&self, cell: &C) -> Value;
}

impl<C, F: Fn(&C) -> Value> GroupMetric<C> for F {
    fn metric_name(&self) -> Cow<'static, str> {
        "user metric".into()
    }

    fn measure(&self, cell: &C) -> Value {
        self(cell)
    }
}

impl<C, F: Fn(&C) -> Value> GroupMetric<C> for (&'static str, F) {
    fn metric_name(&self) -> Cow<'static, str> {
        self.0.into()
    }

    fn measure(&self, cell: &C) -> Value {
        self.1(cell)
    }
}

/// A rate of a binary classifier: rows that count over rows that could, or their weights.
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
    /// TP / (TP + FP): precision. scikit-learn: `precision_score`.
    PositivePredictiveValue,
    /// TN / (TN + FN).
    NegativePredictiveValue,
    /// FP / (TP + FP).
    FalseDiscoveryRate,
    /// FN / (TN + FN).
    FalseOmissionRate,
    /// (TP + TN) over all that have a label and a prediction.
    Accuracy,
    /// (FP + FN) over all that have a label and a prediction. scikit-learn: `zero_one_loss`.
    ZeroOneLoss,
}

type Cells = &'static [(usize, usize)];

impl Metric {
    /// Every metric, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::SelectionRate,
        Self::BaseRate,
        Self::TruePositiveRate,
        Self::FalsePositiveRate,
        Self::TrueNegativeRate,
        Self::FalseNegativeRate,
        Self::PositivePredictiveValue,
        Self::NegativePredictiveValue,
        Self::FalseDiscoveryRate,
        Self::FalseOmissionRate,
        Self::Accuracy,
        Self::ZeroOneLoss,
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
            Self::FalseDiscoveryRate => "false_discovery_rate",
            Self::FalseOmissionRate => "false_omission_rate",
            Self::Accuracy => "accuracy",
            Self::ZeroOneLoss => "zero_one_loss",
        }
    }

    /// Why it is undefined where it is.
    const fn undefined_because(self) -> &'static str {
        match self {
            Self::SelectionRate => "no predictions",
            Self::BaseRate => "no labels",
            Self::TruePositiveRate | Self::FalseNegativeRate => "no positive labels",
            Self::FalsePositiveRate | Self::TrueNegativeRate => "no negative labels",
            Self::PositivePredictiveValue | Self::FalseDiscoveryRate => "no positive predictions",
            Self::NegativePredictiveValue | Self::FalseOmissionRate => "no negative predictions",
            Self::Accuracy | Self::ZeroOneLoss => "no rows with a label and a prediction",
        }
    }

    /// Whether labels make a difference to it.
    pub const fn needs_labels(self) -> bool {
        !matches!(self, Self::SelectionRate)
    }

    /// The cells that count, and those that could.
    const fn cells(self) -> (Cells, Cells) {
        use cell::{
            FN, FP, TN, TP, UNLABELLED_NEGATIVE, UNLABELLED_POSITIVE, UNPREDICTED_NEGATIVE,
            UNPREDICTED_POSITIVE,
        };
        const COMPLETE: Cells = &[TP, FN, TN, FP];
        match self {
            Self::SelectionRate => (
                &[TP, FP, UNLABELLED_POSITIVE],
                &[TP, FP, UNLABELLED_POSITIVE, TN, FN, UNLABELLED_NEGATIVE],
            ),
            Self::BaseRate => (
                &[TP, FN, UNPREDICTED_POSITIVE],
                &[TP, FN, UNPREDICTED_POSITIVE, TN, FP, UNPREDICTED_NEGATIVE],
            ),
            Self::TruePositiveRate => (&[TP], &[TP, FN]),
            Self::FalsePositiveRate => (&[FP], &[FP, TN]),
            Self::TrueNegativeRate => (&[TN], &[FP, TN]),
            Self::FalseNegativeRate => (&[FN], &[TP, FN]),
            Self::PositivePredictiveValue => (&[TP], &[TP, FP]),
            Self::NegativePredictiveValue => (&[TN], &[TN, FN]),
            Self::FalseDiscoveryRate => (&[FP], &[TP, FP]),
            Self::FalseOmissionRate => (&[FN], &[TN, FN]),
            Self::Accuracy => (&[TP, TN], COMPLETE),
            Self::ZeroOneLoss => (&[FP, FN], COMPLETE),
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
        let (part, whole) = self.cells();
        let (part, whole) = (counts.mass(part), counts.mass(whole));
        // Weights may sum to more than an f64 can hold.
        let defined = whole.rows > 0 && whole.value() > 0.0 && whole.value().is_finite();
        Rate {
            metric: self,
            numerator: part.rows,
            denominator: whole.rows,
            // Rounding of the two sums must not leave [0, 1].
            value: defined.then(|| (part.value() / whole.value()).min(1.0)),
            weights: part.weight.zip(whole.weight),
            unlabelled: whole.rows == 0 && self.needs_labels() && counts.lack_labels(),
        }
    }

    /// Its value in these counts, or why there is none.
    ///
    /// # Errors
    /// [`Undefined`] where nothing could count.
    pub fn value(self, counts: &Counts) -> Value {
        self.of(counts).defined()
    }
}

impl GroupMetric for Metric {
    fn metric_name(&self) -> Cow<'static, str> {
        (*self).name().into()
    }

    fn measure(&self, counts: &Counts) -> Value {
        self.value(counts)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad((*self).name())
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
    /// One over the other, of their weights where they are weighted, in `[0, 1]`; `None` where
    /// nothing could count.
    pub value: Option<f64>,
    /// Where rows are weighted: how much those weigh that count, and those that could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<(Weight, Weight)>,
    /// Whether it wants labels, and no row has one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlabelled: bool,
}

impl Rate {
    /// The value, or why there is none.
    ///
    /// # Errors
    /// [`Undefined`] where nothing could count.
    pub fn defined(&self) -> Value {
        if self.unlabelled {
            return Err(Undefined::new(
                "no labels: `GroupCounts::with_labels` names their column, if they are not all null",
            ));
        }
        self.value.ok_or_else(|| {
            let heavy = self.weights.is_some_and(|(_, whole)| !whole.sum.is_finite());
            Undefined::new(match self.denominator {
                0 => self.metric.undefined_because(),
                _ if heavy => TOO_HEAVY,
                _ => "all weights are 0",
            })
        })
    }

    /// How many rows of equal weight would know as much: Kish's (Σw)²/Σw² of the rows that could
    /// count; their number where nothing is weighted.
    pub fn effective_n(&self) -> f64 {
        self.weights
            .map_or(self.denominator as f64, |(_, whole)| whole.effective_n().unwrap_or(0.0))
    }

    /// Wilson's score interval of the rows, without a look at weights; `None` where the rate is
    /// undefined.
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        wilson(self.numerator, self.denominator, confidence).ok()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.defined(), self.weights) {
            (Ok(value), None) => write!(f, "{value:.4} ({}/{})", self.numerator, self.denominator),
            // The rows have another share than their weights.
            (Ok(value), Some((part, whole))) => {
                let rows = self.denominator;
                write!(f, "{value:.4} (weights {:.1}/{:.1}, {rows} rows)", part.sum, whole.sum)
            }
            (Err(undefined), _) => write!(f, "{undefined}"),
        }
    }
}

/// A metric of the counts that is no share of rows, so that it has no binomial interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Composite {
    /// All rows of the group, whatever they weigh. fairlearn: `count`.
    Count,
    /// The mean of the true-positive and the true-negative rate, in `[0, 1]`. scikit-learn:
    /// `balanced_accuracy_score`.
    BalancedAccuracy,
    /// 2 TP / (2 TP + FP + FN), in `[0, 1]`. scikit-learn: `f1_score`.
    F1,
    /// FN / FP, at least 0: treatment equality compares it. Berk et al. 2021,
    /// doi:10.1177/0049124118782533.
    TreatmentRatio,
}

impl Composite {
    /// Every one of them, in the order of reports.
    pub const ALL: [Self; 4] =
        [Self::Count, Self::BalancedAccuracy, Self::F1, Self::TreatmentRatio];

    /// The literature's name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::F1 => "f1",
            Self::TreatmentRatio => "treatment_ratio",
        }
    }

    /// Its value in these counts.
    ///
    /// # Errors
    /// [`Undefined`] where something is divided by 0.
    pub fn value(self, counts: &Counts) -> Value {
        let [tp, fp, _, fn_] = counts.weighted_confusion();
        let ratio = |part: f64, whole: f64, reason: &'static str| {
            if whole > 0.0 && whole.is_finite() && part.is_finite() {
                Ok(part / whole)
            } else {
                Err(Undefined::new(reason))
            }
        };
        match self {
            Self::Count => Ok(counts.rows() as f64),
            Self::BalancedAccuracy => {
                let tpr = Metric::TruePositiveRate.value(counts)?;
                Ok(f64::midpoint(tpr, Metric::TrueNegativeRate.value(counts)?))
            }
            Self::F1 => ratio(
                2.0 * tp,
                2.0 * tp + fp + fn_,
                "no positive labels and no positive predictions",
            ),
            Self::TreatmentRatio => ratio(fn_, fp, "no false positives"),
        }
    }
}

impl GroupMetric for Composite {
    fn metric_name(&self) -> Cow<'static, str> {
        (*self).name().into()
    }

    fn measure(&self, counts: &Counts) -> Value {
        self.value(counts)
    }
}

impl fmt::Display for Composite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad((*self).name())
    }
}
