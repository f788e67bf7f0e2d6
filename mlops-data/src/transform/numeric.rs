//! Steps on columns of numbers: each number in, one number out.

use mlops_core::states::{CategoryTable, Summary};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Puts a value where there is none: null or NaN. `sklearn.impute.SimpleImputer`.
///
/// ```
/// use mlops_data::Imputer;
/// let imputer = Imputer::mean().with_indicator();
/// let unknown = Imputer::constant("unknown");
/// # let _ = (imputer, unknown);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Imputer {
    pub(crate) strategy: Strategy,
    pub(crate) indicator: bool,
}

/// What an imputer puts in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Strategy {
    Mean,
    Median,
    MostFrequent,
    Constant(Fill),
}

/// A constant that an [`Imputer`] puts in: a number, or a category.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fill {
    /// For columns of numbers.
    Number(f64),
    /// For columns of categories.
    Text(String),
}

impl From<f64> for Fill {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Fill {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl Imputer {
    fn new(strategy: Strategy) -> Self {
        Self { strategy, indicator: false }
    }

    /// The mean of the values that are there. Numbers only.
    pub fn mean() -> Self {
        Self::new(Strategy::Mean)
    }

    /// Their median: of an even number the mean of the middle two. Numbers only.
    pub fn median() -> Self {
        Self::new(Strategy::Median)
    }

    /// The most frequent value; of several the smallest.
    pub fn most_frequent() -> Self {
        Self::new(Strategy::MostFrequent)
    }

    /// Always this number or category.
    pub fn constant(value: impl Into<Fill>) -> Self {
        Self::new(Strategy::Constant(value.into()))
    }

    /// Adds a feature `NAME_missing` that is 1 where the value was missing, else 0.
    #[must_use]
    pub fn with_indicator(mut self) -> Self {
        self.indicator = true;
        self
    }
}

/// Scales to mean 0 and standard deviation 1 (divided by n): `(x − mean) / std`. A column without
/// spread is centred only. `sklearn.preprocessing.StandardScaler`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StandardScaler;

/// Scales the range that was seen to `[low, high]`, `[0, 1]` unless told otherwise; values beyond
/// that range land beyond `[low, high]`. A column without spread goes to `low`.
/// `sklearn.preprocessing.MinMaxScaler`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinMaxScaler {
    low: f64,
    high: f64,
}

impl Default for MinMaxScaler {
    fn default() -> Self {
        Self { low: 0.0, high: 1.0 }
    }
}

impl MinMaxScaler {
    /// To `[0, 1]`.
    pub fn new() -> Self {
        Self::default()
    }

    /// To `[low, high]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless both are finite and `low < high`.
    pub fn to(low: f64, high: f64) -> Result<Self> {
        if low.is_finite() && high.is_finite() && low < high {
            return Ok(Self { low, high });
        }
        Err(Error::invalid("range of MinMaxScaler", "low < high", format!("{low}, {high}")))
    }
}

/// A step on a column of numbers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NumericStep {
    /// Fills what is missing.
    Imputer(Imputer),
    /// Scales to mean 0 and standard deviation 1.
    StandardScaler(StandardScaler),
    /// Scales to a range.
    MinMaxScaler(MinMaxScaler),
}

/// Steps on a column of numbers, one after the other: a step, a tuple of them, a list, or `()`
/// for the numbers as they are.
pub trait NumericSteps {
    /// The steps, the first first.
    fn into_steps(self) -> Vec<NumericStep>;
}

macro_rules! steps {
    ($($step:ident),*) => {$(
        impl From<$step> for NumericStep {
            fn from(step: $step) -> Self {
                Self::$step(step)
            }
        }

        impl NumericSteps for $step {
            fn into_steps(self) -> Vec<NumericStep> {
                vec![self.into()]
            }
        }
    )*};
}

steps!(Imputer, StandardScaler, MinMaxScaler);

impl NumericSteps for () {
    fn into_steps(self) -> Vec<NumericStep> {
        Vec::new()
    }
}

impl NumericSteps for Vec<NumericStep> {
    fn into_steps(self) -> Self {
        self
    }
}

impl<A: Into<NumericStep>, B: Into<NumericStep>> NumericSteps for (A, B) {
    fn into_steps(self) -> Vec<NumericStep> {
        vec![self.0.into(), self.1.into()]
    }
}

/// A step that knows its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FittedStep {
    /// `fill` where there is null or NaN.
    Impute { fill: f64 },
    /// `(x − mean) / scale`.
    Standard { mean: f64, scale: f64 },
    /// `(x − min) / range · (high − low) + low`: the difference first, so that nothing cancels
    /// where the range is small beside the numbers, and `min + range` lands on `high`.
    MinMax { min: f64, range: f64, low: f64, high: f64 },
}

impl FittedStep {
    pub(crate) fn apply(self, value: Option<f64>) -> Option<f64> {
        match self {
            Self::Impute { fill } => Some(value.filter(|x| !x.is_nan()).unwrap_or(fill)),
            Self::Standard { mean, scale } => value.map(|x| (x - mean) / scale),
            Self::MinMax { min, range, low, high } => {
                value.map(|x| (x - min) / range * (high - low) + low)
            }
        }
    }

    /// Whether it is one that fitting can give.
    pub(crate) fn is_valid(self) -> bool {
        match self {
            Self::Impute { fill } => fill.is_finite(),
            Self::Standard { mean, scale } => mean.is_finite() && scale.is_finite() && scale > 0.0,
            Self::MinMax { min, range, low, high } => {
                let finite = [min, range, low, high].iter().all(|x| x.is_finite());
                finite && range > 0.0 && low < high
            }
        }
    }
}

/// What is known of a column between two steps. Each step says what it does to it, so that one
/// scan of the raw rows fits them all.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Values that are there, and that are not.
    n: f64,
    missing: f64,
    mean: f64,
    /// Divided by n.
    variance: f64,
    min: f64,
    max: f64,
    median: Option<f64>,
    mode: Option<f64>,
}

/// The steps with their numbers, from what a scan measured of the raw column.
pub(crate) fn fit(
    column: &str,
    steps: &[NumericStep],
    summary: &Summary,
    counts: Option<&CategoryTable>,
) -> Result<Vec<FittedStep>> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let undefined =
        |reason: String| Error::undefined(format!("transform of column `{column}`"), reason);
    let infinite = summary.positive_infinities + summary.negative_infinities;
    if infinite > 0 {
        return Err(undefined(format!("{infinite} of its values are infinite")));
    }
    let values = counts.map(|counts| numbers(column, counts)).transpose()?.unwrap_or_default();
    let mut known = Known {
        n: summary.n() as f64,
        missing: (summary.nulls + summary.nans) as f64,
        mean: summary.mean().unwrap_or(f64::NAN),
        variance: summary.moments.variance(0).unwrap_or(f64::NAN),
        min: summary.min.unwrap_or(f64::NAN),
        max: summary.max.unwrap_or(f64::NAN),
        median: median(&values),
        mode: mode(&values),
    };
    let mut fitted = Vec::with_capacity(steps.len());
    for step in steps {
        let step = known.fit(column, step)?;
        if !step.is_valid() {
            let seen = format!("{} values, {} missing", summary.n(), known.missing);
            return Err(undefined(format!(
                "there are {seen}, or they are beyond the range of f64"
            )));
        }
        known.apply(step);
        fitted.push(step);
    }
    Ok(fitted)
}

impl Known {
    fn fit(&self, column: &str, step: &NumericStep) -> Result<FittedStep> {
        let constant = self.min == self.max;
        Ok(match step {
            NumericStep::Imputer(imputer) => FittedStep::Impute {
                fill: match &imputer.strategy {
                    Strategy::Mean => self.mean,
                    Strategy::Median => self.median.unwrap_or(f64::NAN),
                    Strategy::MostFrequent => self.mode.unwrap_or(f64::NAN),
                    Strategy::Constant(Fill::Number(value)) => *value,
                    Strategy::Constant(Fill::Text(text)) => {
                        let expected = format!("a number for column `{column}`");
                        return Err(Error::invalid("constant of Imputer", expected, text));
                    }
                },
            },
            NumericStep::StandardScaler(_) => {
                let spread = self.variance.sqrt();
                let scale = if constant || spread == 0.0 { 1.0 } else { spread };
                FittedStep::Standard { mean: self.mean, scale }
            }
            NumericStep::MinMaxScaler(MinMaxScaler { low, high }) => {
                let range = if constant { 1.0 } else { self.max - self.min };
                FittedStep::MinMax { min: self.min, range, low: *low, high: *high }
            }
        })
    }

    fn apply(&mut self, step: FittedStep) {
        let through = |x: f64| step.apply(Some(x)).unwrap_or(x);
        match step {
            FittedStep::Impute { fill } if self.missing > 0.0 => {
                let all = self.n + self.missing;
                let (before, spread) =
                    if self.n > 0.0 { (self.mean, self.n * self.variance) } else { (fill, 0.0) };
                let mean = (self.n * before + self.missing * fill) / all;
                let moved = self.n * (before - mean).powi(2) + self.missing * (fill - mean).powi(2);
                // `min` and `max` pass over the NaN of a column without values.
                *self = Self {
                    n: all,
                    missing: 0.0,
                    mean,
                    variance: (spread + moved) / all,
                    min: self.min.min(fill),
                    max: self.max.max(fill),
                    median: None,
                    mode: None,
                };
            }
            FittedStep::Impute { .. } => {}
            FittedStep::Standard { scale: factor, .. } => {
                self.rescale(through, 1.0 / (factor * factor));
            }
            FittedStep::MinMax { range, low, high, .. } => {
                self.rescale(through, ((high - low) / range).powi(2));
            }
        }
    }

    fn rescale(&mut self, through: impl Fn(f64) -> f64, variance: f64) {
        *self = Self {
            mean: through(self.mean),
            variance: self.variance * variance,
            min: through(self.min),
            max: through(self.max),
            median: self.median.map(&through),
            mode: self.mode.map(&through),
            ..*self
        };
    }
}

/// The finite numbers of a column and how often each is there, ascending.
fn numbers(column: &str, counts: &CategoryTable) -> Result<Vec<(f64, u64)>> {
    if !counts.is_complete() {
        return Err(Error::undefined(
            format!("median or most frequent value of column `{column}`"),
            format!("it has more than {} distinct values", counts.counts.len()),
        ));
    }
    let number = |label: &str| match label {
        "true" => Some(1.0),
        "false" => Some(0.0),
        label => label.parse::<f64>().ok().filter(|x| x.is_finite()),
    };
    let mut numbers: Vec<_> =
        counts.counts.iter().filter_map(|(label, &n)| Some((number(label)?, n))).collect();
    numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(numbers)
}

fn median(values: &[(f64, u64)]) -> Option<f64> {
    let n: u64 = values.iter().map(|(_, n)| n).sum();
    let at = |rank: u64| {
        let mut before = 0;
        values.iter().find_map(|&(x, n)| {
            before += n;
            (rank < before).then_some(x)
        })
    };
    let (low, high) = (at(n.checked_sub(1)? / 2)?, at(n / 2)?);
    // Halved first: the sum of two huge numbers is infinite.
    Some(if low == high { low } else { low / 2.0 + high / 2.0 })
}

/// The most frequent, of several the smallest.
fn mode(values: &[(f64, u64)]) -> Option<f64> {
    let most = values.iter().map(|(_, n)| *n).max()?;
    values.iter().find(|(_, n)| *n == most).map(|(x, _)| *x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_modes_of_counted_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[(1.0, 1)]), Some(1.0));
        assert_eq!(median(&[(1.0, 1), (2.0, 1)]), Some(1.5));
        assert_eq!(median(&[(1.0, 1), (2.0, 2)]), Some(2.0));
        assert_eq!(median(&[(f64::MAX, 1), (f64::MAX / 2.0, 1)]), Some(f64::MAX * 0.75));
        assert_eq!(mode(&[(1.0, 2), (2.0, 2), (3.0, 1)]), Some(1.0));
    }
}
