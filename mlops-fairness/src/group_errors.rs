//! Estimated numbers by group: how far off, in which direction, for whom.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use mlops_core::bytes::{add_count, bad, put_u64, take_count};
use mlops_core::states::{Moments, Sum};
use mlops_core::{Analyzer, Description, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::codes::Label;
use crate::cross_tab::{Cell, CrossTab};
use crate::estimate::Spread;
use crate::groups::{bad_weights, group, grouped, numbers, weights};
use crate::value::ratio;
use crate::{Group, GroupCell, GroupMetric, Groups, MetricFrame, Undefined, Value};

/// The moments of errors of estimated numbers by group.
///
/// The groups are made as [`Groups`] says. A row whose label or prediction is null, NaN or
/// infinite is counted apart. With weights, means are of Σw; a weight that is null, NaN, infinite
/// or negative is an error that names the group.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, StringArray};
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_fairness::{ErrorMetric, GroupErrors, Method};
///
/// let source = MemorySource::from(batch! {
///     "sex" => StringArray::from(vec!["F", "F", "M", "M"]),
///     "wage" => Float64Array::from(vec![10.0, 20.0, 10.0, 20.0]),
///     "said" => Float64Array::from(vec![9.0, 17.0, 11.0, 19.0]),
/// }?);
/// let frame = source.measure(&GroupErrors::new("wage", "said", ["sex"]))?;
/// // Women are estimated 2 too low, men right on average.
/// assert_eq!(frame.difference(ErrorMetric::MeanError, Method::BetweenGroups), Ok(2.0));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupErrors {
    /// The column of true numbers.
    pub y_true: String,
    /// The column of estimated ones.
    pub y_pred: String,
    /// The column of weights; without it every row weighs the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// What makes the groups.
    pub groups: Groups,
}

grouped!(GroupErrors);

impl GroupErrors {
    /// The errors of these columns by group.
    pub fn new<S: Into<String>>(
        y_true: impl Into<String>,
        y_pred: impl Into<String>,
        sensitive_features: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            y_true: y_true.into(),
            y_pred: y_pred.into(),
            weight: None,
            groups: Groups::by(sensitive_features),
        }
    }
}

/// What is known of the errors of a group; sums are exact until they are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorCounts {
    rows: u64,
    /// Rows without a finite label and prediction.
    left_out: u64,
    /// Rows whose weight is none.
    invalid: u64,
    y_true: Moments,
    y_pred: Moments,
    error: Moments,
    absolute: Moments,
    squared: Moments,
    weighted: Option<Box<Weighted>>,
}

/// The same sums by weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Weighted {
    weight: Moments,
    y_true: Sum,
    y_true_squared: Sum,
    y_pred: Sum,
    y_pred_squared: Sum,
    error: Sum,
    squared: Sum,
    fourth: Sum,
    absolute: Sum,
}

impl Weighted {
    fn sums(&mut self) -> [&mut Sum; 8] {
        [
            &mut self.y_true,
            &mut self.y_true_squared,
            &mut self.y_pred,
            &mut self.y_pred_squared,
            &mut self.error,
            &mut self.squared,
            &mut self.fourth,
            &mut self.absolute,
        ]
    }
}

impl ErrorCounts {
    /// Rows with a finite label and prediction: those of the metrics.
    pub fn complete(&self) -> u64 {
        self.error.n()
    }

    /// How a metric that is a mean of rows is spread, of the root of a mean that mean; `None` without
    /// rows, and for R².
    pub(crate) fn spread(&self, metric: ErrorMetric) -> Option<Spread> {
        use ErrorMetric as M;
        if let Some(sums) = self.weighted.as_deref() {
            let (sum, square) = match metric {
                M::MeanAbsoluteError => (&sums.absolute, &sums.squared),
                M::MeanSquaredError | M::RootMeanSquaredError => (&sums.squared, &sums.fourth),
                M::MeanError => (&sums.error, &sums.squared),
                M::MeanPrediction => (&sums.y_pred, &sums.y_pred_squared),
                M::MeanLabel => (&sums.y_true, &sums.y_true_squared),
                M::R2 => return None,
            };
            return Spread::weighted(&sums.weight, sum.value(), square.value());
        }
        Spread::plain(match metric {
            M::MeanAbsoluteError => &self.absolute,
            M::MeanSquaredError | M::RootMeanSquaredError => {
                // All of them, or what is left says nothing.
                Some(&self.squared).filter(|squared| squared.n() == self.error.n())?
            }
            M::MeanError => &self.error,
            M::MeanPrediction => &self.y_pred,
            M::MeanLabel => &self.y_true,
            M::R2 => return None,
        })
    }

    /// Takes in rows of a label, a prediction and a weight.
    fn take(&mut self, rows: &[[f64; 3]], weighted: bool) {
        add_count(&mut self.rows, rows.len() as u64);
        let mut columns: [Vec<f64>; 5] = Default::default();
        for &[y_true, y_pred, weight] in rows {
            let error = y_pred - y_true;
            let square = error * error;
            let terms = [
                weight * y_true,
                weight * y_true * y_true,
                weight * y_pred,
                weight * y_pred * y_pred,
                weight * error,
                weight * square,
                weight * square * square,
                weight * error.abs(),
            ];
            if !weight.is_finite() {
                self.invalid += 1;
            } else if !(y_true.is_finite() && y_pred.is_finite() && error.is_finite())
                || (weighted && terms.iter().any(|term| !term.is_finite()))
            {
                self.left_out += 1;
            } else {
                let numbers = [y_true, y_pred, error, error.abs(), square];
                for (column, x) in columns.iter_mut().zip(numbers) {
                    column.push(x);
                }
                if weighted {
                    let sums = self.weighted.get_or_insert_default();
                    sums.weight.add(weight);
                    for (sum, term) in sums.sums().into_iter().zip(terms) {
                        sum.add(term);
                    }
                }
            }
        }
        let [y_true, y_pred, error, absolute, squared] = columns;
        self.y_true.add_slice(&y_true);
        self.y_pred.add_slice(&y_pred);
        self.error.add_slice(&error);
        self.absolute.add_slice(&absolute);
        // A square beyond the range of f64 is left out, and the limits of their mean with it.
        self.squared.add_slice(&squared);
    }

    fn join(&mut self, mut other: Self) {
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.left_out, other.left_out);
        add_count(&mut self.invalid, other.invalid);
        // Merging sums never fails.
        let _ = self.y_true.merge(other.y_true);
        let _ = self.y_pred.merge(other.y_pred);
        let _ = self.error.merge(other.error);
        let _ = self.absolute.merge(other.absolute);
        let _ = self.squared.merge(other.squared);
        if let Some(theirs) = &mut other.weighted {
            let mine = self.weighted.get_or_insert_default();
            let _ = mine.weight.merge(theirs.weight);
            for (mine, theirs) in mine.sums().into_iter().zip(theirs.sums()) {
                let _ = mine.merge(*theirs);
            }
        }
    }
}

impl GroupCell for ErrorCounts {
    fn add(&mut self, other: &Self) {
        self.join(other.clone());
    }

    fn rows(&self) -> u64 {
        self.rows
    }
}

impl Cell for ErrorCounts {
    /// Whether there are weights.
    type Options = bool;
    const BYTES: usize = 24;

    fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn merge(&mut self, other: Self, _: &bool) {
        self.join(other);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        put_u64(out, self.left_out);
        put_u64(out, self.invalid);
        self.y_true.encode(out);
        self.y_pred.encode(out);
        self.error.encode(out);
        self.absolute.encode(out);
        self.squared.encode(out);
        if let Some(weighted) = &self.weighted {
            weighted.weight.encode(out);
            weighted.clone().sums().iter().for_each(|sum| sum.encode(out));
        }
    }

    fn decode(bytes: &mut &[u8], weighted: &bool) -> Result<Self> {
        let mut counts = Self {
            rows: take_count(bytes)?,
            left_out: take_count(bytes)?,
            invalid: take_count(bytes)?,
            y_true: Moments::decode(bytes)?,
            y_pred: Moments::decode(bytes)?,
            error: Moments::decode(bytes)?,
            absolute: Moments::decode(bytes)?,
            squared: Moments::decode(bytes)?,
            weighted: None,
        };
        let known = counts.error.n().saturating_add(counts.left_out).saturating_add(counts.invalid);
        let n = counts.error.n();
        let same = [&counts.y_true, &counts.y_pred, &counts.absolute].iter().all(|m| m.n() == n);
        if known != counts.rows || !same || counts.squared.n() > n {
            return Err(bad(bytes, format!("errors of {} rows", counts.rows), known));
        }
        if *weighted && n > 0 {
            let weight = Moments::decode(bytes)?;
            if weight.n() != n {
                return Err(bad(bytes, format!("weights of {n} rows"), weight.n()));
            }
            let mut sums = Weighted { weight, ..Weighted::default() };
            for sum in sums.sums() {
                *sum = Sum::decode(bytes)?;
            }
            counts.weighted = Some(Box::new(sums));
        }
        Ok(counts)
    }
}

/// What [`GroupErrors`] remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupErrorsState(CrossTab<ErrorCounts>);

impl State for GroupErrorsState {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.0.merge(other.0, &false)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

impl Analyzer for GroupErrors {
    type State = GroupErrorsState;
    type Output = MetricFrame<ErrorCounts>;

    fn columns(&self) -> Vec<String> {
        let columns = self.groups.columns().chain([&self.y_true, &self.y_pred]);
        columns.chain(&self.weight).cloned().collect()
    }

    fn start(&self) -> GroupErrorsState {
        GroupErrorsState(CrossTab::new(self.groups.len()))
    }

    fn update(&self, state: &mut GroupErrorsState, rows: &Rows<'_>) -> Result<()> {
        let codes = self.groups.codes(rows)?;
        let columns: Vec<_> = codes.iter().map(|codes| &**codes).collect();
        let labels: Vec<&[Label]> = columns.iter().map(|codes| codes.labels.as_slice()).collect();
        let (y_true, y_pred) = (numbers(rows, &self.y_true)?, numbers(rows, &self.y_pred)?);
        let weights = weights(rows, self.weight.as_deref())?;
        let values: Vec<[f64; 3]> = y_true
            .into_iter()
            .zip(y_pred)
            .zip(weights)
            .map(|((y_true, y_pred), weight)| [y_true, y_pred, weight])
            .collect();
        let weighted = self.weight.is_some();
        state
            .0
            .group(&columns, &labels, &values, |cell, rows| cell.take(rows, weighted))
            .ok_or_else(|| self.groups.too_many())?;
        self.groups.limit(&state.0)
    }

    fn finish(&self, state: GroupErrorsState) -> Result<Self::Output> {
        let mut groups: BTreeMap<Group, ErrorCounts> = BTreeMap::new();
        for (labels, counts) in state.0.into_cells() {
            let group = group(&labels);
            if counts.invalid > 0 {
                return Err(bad_weights(self.weight.as_deref(), &group, counts.invalid));
            }
            groups.insert(group, counts);
        }
        Ok(self.groups.frame(groups))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<GroupErrorsState> {
        let tab = CrossTab::decode(self.groups.len(), bytes, &self.weight.is_some())?;
        self.groups.limit(&tab)?;
        Ok(GroupErrorsState(tab))
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("group_errors", 2, self))
    }
}

/// A metric of estimated numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorMetric {
    /// The mean of |ŷ − y|. scikit-learn: `mean_absolute_error`.
    MeanAbsoluteError,
    /// The mean of (ŷ − y)². scikit-learn: `mean_squared_error`.
    MeanSquaredError,
    /// Its root. scikit-learn: `root_mean_squared_error`.
    RootMeanSquaredError,
    /// The mean of ŷ − y: above 0 where estimates are too high.
    MeanError,
    /// 1 − Σ(ŷ − y)² / Σ(y − ȳ)², at most 1. scikit-learn: `r2_score`.
    R2,
    /// The mean of ŷ. fairlearn: `mean_prediction`.
    MeanPrediction,
    /// The mean of y.
    MeanLabel,
}

impl ErrorMetric {
    /// Every one of them, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::MeanAbsoluteError,
        Self::MeanSquaredError,
        Self::RootMeanSquaredError,
        Self::MeanError,
        Self::R2,
        Self::MeanPrediction,
        Self::MeanLabel,
    ];

    /// The literature's name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MeanAbsoluteError => "mean_absolute_error",
            Self::MeanSquaredError => "mean_squared_error",
            Self::RootMeanSquaredError => "root_mean_squared_error",
            Self::MeanError => "mean_error",
            Self::R2 => "r2",
            Self::MeanPrediction => "mean_prediction",
            Self::MeanLabel => "mean_label",
        }
    }

    /// Its value for a group.
    ///
    /// # Errors
    /// [`Undefined`] without rows that have a label and a prediction; R² also where all labels
    /// are the same.
    pub fn value(self, counts: &ErrorCounts) -> Value {
        const NONE: &str = "no rows with a label and a prediction";
        let n = counts.complete();
        let plain = n as f64;
        let weighted = counts.weighted.as_deref();
        let weight = weighted.map_or(plain, |sums| sums.weight.sum());
        let mean = |sum: f64| ratio(sum, weight, NONE);
        let of = |whole: f64, part: fn(&Weighted) -> &Sum| {
            mean(weighted.map_or(whole, |sums| part(sums).value()))
        };
        let squared = || of(counts.error.sum_of_squares(), |sums| &sums.squared);
        match self {
            Self::MeanAbsoluteError => of(counts.absolute.sum(), |sums| &sums.absolute),
            Self::MeanSquaredError => squared(),
            Self::RootMeanSquaredError => squared().map(f64::sqrt),
            Self::MeanError => of(counts.error.sum(), |sums| &sums.error),
            Self::MeanPrediction => of(counts.y_pred.sum(), |sums| &sums.y_pred),
            Self::MeanLabel => of(counts.y_true.sum(), |sums| &sums.y_true),
            Self::R2 => {
                let variance = match weighted {
                    None => counts.y_true.variance(0).ok_or_else(|| Undefined::new(NONE))?,
                    Some(sums) => {
                        let mean_label = mean(sums.y_true.value())?;
                        mean(sums.y_true_squared.value())? - mean_label * mean_label
                    }
                };
                let scale = counts.y_true.variance(0).unwrap_or(0.0);
                if scale <= 0.0 || variance <= 0.0 {
                    return Err(Undefined::new(if n == 0 {
                        NONE
                    } else {
                        "all labels are the same"
                    }));
                }
                Ok(1.0 - squared()? / variance)
            }
        }
    }
}

impl GroupMetric<ErrorCounts> for ErrorMetric {
    fn metric_name(&self) -> Cow<'static, str> {
        (*self).name().into()
    }

    fn measure(&self, counts: &ErrorCounts) -> Value {
        self.value(counts)
    }
}

impl fmt::Display for ErrorMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad((*self).name())
    }
}
