//! The numbers of fairlearn, to the edges: 0/0 is 0, and groups without rows are left out.
//!
//! For comparison with what was measured before, and for moving over one number at a time. Our own
//! numbers say where something is undefined; these do not.
//!
//! ```
//! use mlops_fairness::compat::Fairlearn;
//! use mlops_fairness::{Counts, Group, Method, Metric, MetricFrame};
//!
//! let frame = MetricFrame::new(vec!["sex".into()], [
//!     (Group::of("F"), Counts::confusion(0, 10, 50, 0)), // nobody is positive
//!     (Group::of("M"), Counts::confusion(30, 20, 40, 10)),
//! ]);
//! assert!(frame.difference(Metric::TruePositiveRate, Method::BetweenGroups).is_err());
//! let theirs = Fairlearn::of(frame);
//! assert_eq!(theirs.difference(Metric::TruePositiveRate, Method::BetweenGroups), 0.75);
//! ```

use std::collections::BTreeSet;

use crate::parity::Aggregate;
use crate::{Composite, Counts, Group, Method, Metric, MetricFrame};

/// A number as fairlearn has it, NaN where it says so.
pub trait FairlearnMetric: Copy {
    /// Its value for a group.
    fn value(&self, counts: &Counts) -> f64;
}

impl<F: Fn(&Counts) -> f64 + Copy> FairlearnMetric for F {
    fn value(&self, counts: &Counts) -> f64 {
        self(counts)
    }
}

impl FairlearnMetric for Metric {
    fn value(&self, counts: &Counts) -> f64 {
        let rate = self.of(counts);
        // Selection rates and means divide by the weights; scikit-learn's rates set 0/0 to 0.
        let mean = matches!(self, Self::SelectionRate | Self::BaseRate | Self::Accuracy)
            || *self == Self::ZeroOneLoss;
        rate.value.unwrap_or(if mean { f64::NAN } else { 0.0 })
    }
}

impl FairlearnMetric for Composite {
    fn value(&self, counts: &Counts) -> f64 {
        match self {
            // scikit-learn leaves out a class that no label has.
            Self::BalancedAccuracy => {
                let tpr = Metric::TruePositiveRate.of(counts).value;
                let tnr = Metric::TrueNegativeRate.of(counts).value;
                match (tpr, tnr) {
                    (Some(tpr), Some(tnr)) => f64::midpoint(tpr, tnr),
                    (one, None) | (None, one) => one.unwrap_or(f64::NAN),
                }
            }
            Self::F1 => Composite::value(*self, counts).unwrap_or(0.0),
            _ => Composite::value(*self, counts).unwrap_or(f64::NAN),
        }
    }
}

/// A frame as fairlearn sees it.
///
/// Control features: ask [`Fairlearn::of`] each frame of [`MetricFrame::by_control`].
#[derive(Clone, Debug, PartialEq)]
pub struct Fairlearn(MetricFrame);

impl Fairlearn {
    /// Fairlearn's view of the frame. Rows whose group is null, which fairlearn 0.15 refuses,
    /// belong to no group, but stay in what is measured over everyone.
    pub fn of(frame: MetricFrame) -> Self {
        Self(frame.without_nulls())
    }

    /// `MetricFrame.overall`.
    pub fn overall(&self, metric: impl FairlearnMetric) -> f64 {
        metric.value(self.0.total())
    }

    /// `MetricFrame.by_group`: of several features every combination of their values, NaN where
    /// it has no rows.
    pub fn by_group(&self, metric: impl FairlearnMetric) -> Vec<(Group, f64)> {
        if self.0.features().len() < 2 {
            return self.0.groups().map(|(g, counts)| (g.clone(), metric.value(counts))).collect();
        }
        let levels = (0..self.0.features().len()).map(|at| {
            self.0.groups().map(|(group, _)| group.values[at].clone()).collect::<BTreeSet<_>>()
        });
        let groups = levels.fold(vec![Vec::new()], |groups, levels| {
            let longer = groups.iter().flat_map(|group| {
                levels
                    .iter()
                    .map(move |level| [group.as_slice(), std::slice::from_ref(level)].concat())
            });
            longer.collect()
        });
        groups
            .into_iter()
            .map(|values| {
                let group = Group { values };
                let value = self.0.group(&group).map_or(f64::NAN, |counts| metric.value(counts));
                (group, value)
            })
            .collect()
    }

    fn numbers(&self, metric: impl FairlearnMetric) -> Vec<f64> {
        let values = self.0.groups().map(|(_, counts)| metric.value(counts));
        values.filter(|value| !value.is_nan()).collect()
    }

    /// `MetricFrame.group_min`.
    pub fn group_min(&self, metric: impl FairlearnMetric) -> f64 {
        self.numbers(metric).into_iter().reduce(f64::min).unwrap_or(f64::NAN)
    }

    /// `MetricFrame.group_max`.
    pub fn group_max(&self, metric: impl FairlearnMetric) -> f64 {
        self.numbers(metric).into_iter().reduce(f64::max).unwrap_or(f64::NAN)
    }

    /// `MetricFrame.difference`.
    pub fn difference(&self, metric: impl FairlearnMetric, method: Method) -> f64 {
        let from = match method {
            Method::BetweenGroups => self.group_min(metric),
            Method::ToOverall => self.overall(metric),
        };
        let apart = self.numbers(metric).into_iter().map(|value| (value - from).abs());
        apart.filter(|value| !value.is_nan()).reduce(f64::max).unwrap_or(f64::NAN)
    }

    /// `MetricFrame.ratio`.
    pub fn ratio(&self, metric: impl FairlearnMetric, method: Method) -> f64 {
        match method {
            Method::BetweenGroups => self.group_min(metric) / self.group_max(metric),
            Method::ToOverall => {
                let overall = self.overall(metric);
                let below_one = |ratio: f64| if ratio > 1.0 { 1.0 / ratio } else { ratio };
                let ratios =
                    self.numbers(metric).into_iter().map(|value| below_one(value / overall));
                ratios.filter(|ratio| !ratio.is_nan()).reduce(f64::min).unwrap_or(f64::NAN)
            }
        }
    }

    /// `demographic_parity_difference`.
    pub fn demographic_parity_difference(&self, method: Method) -> f64 {
        self.difference(Metric::SelectionRate, method)
    }

    /// `demographic_parity_ratio`.
    pub fn demographic_parity_ratio(&self, method: Method) -> f64 {
        self.ratio(Metric::SelectionRate, method)
    }

    /// `equal_opportunity_difference`.
    pub fn equal_opportunity_difference(&self, method: Method) -> f64 {
        self.difference(Metric::TruePositiveRate, method)
    }

    /// `equal_opportunity_ratio`.
    pub fn equal_opportunity_ratio(&self, method: Method) -> f64 {
        self.ratio(Metric::TruePositiveRate, method)
    }

    /// `equalized_odds_difference`.
    pub fn equalized_odds_difference(&self, method: Method, aggregate: Aggregate) -> f64 {
        let tpr = self.difference(Metric::TruePositiveRate, method);
        let fpr = self.difference(Metric::FalsePositiveRate, method);
        match aggregate {
            // Python's `max` keeps the first where nothing compares.
            Aggregate::WorstCase => {
                if fpr > tpr {
                    fpr
                } else {
                    tpr
                }
            }
            Aggregate::Mean => mean(tpr, fpr),
        }
    }

    /// `equalized_odds_ratio`.
    pub fn equalized_odds_ratio(&self, method: Method, aggregate: Aggregate) -> f64 {
        let tpr = self.ratio(Metric::TruePositiveRate, method);
        let fpr = self.ratio(Metric::FalsePositiveRate, method);
        match aggregate {
            Aggregate::WorstCase => {
                if fpr < tpr {
                    fpr
                } else {
                    tpr
                }
            }
            Aggregate::Mean => mean(tpr, fpr),
        }
    }
}

/// The mean of what is a number, as pandas takes it.
fn mean(a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ => f64::midpoint(a, b),
    }
}
