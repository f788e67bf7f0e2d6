//! How features and what is explained are named to people.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use arrow::util::display::array_value_to_string;
use mlops_core::report::Cell;
use mlops_core::{is_numeric, to_numbers};

use super::Space;
use super::explainer::ONLY;

/// Names and units for pictures.
///
/// ```
/// use mlops_fairness::attribution::Labels;
/// let labels = Labels::new()
///     .feature("hours_per_week", "Working time", Some("h/week"))
///     .explained("log-odds of a high income");
/// assert_eq!(labels.name("hours_per_week"), "Working time");
/// assert_eq!(labels.name("age"), "age");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    features: BTreeMap<String, (String, Option<String>)>,
    explained: Option<String>,
}

impl Labels {
    /// Every feature by its own name, without a unit.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a feature shown under this name, and the unit of its values.
    #[must_use]
    pub fn feature(
        mut self,
        feature: impl Into<String>,
        name: impl Into<String>,
        unit: Option<&str>,
    ) -> Self {
        self.features.insert(feature.into(), (name.into(), unit.map(str::to_owned)));
        self
    }

    /// The same, with what is explained, and its unit: `log-odds of a loan that is paid back`.
    #[must_use]
    pub fn explained(mut self, what: impl Into<String>) -> Self {
        self.explained = Some(what.into());
        self
    }

    /// The name of a feature.
    pub fn name<'a>(&'a self, feature: &'a str) -> &'a str {
        self.features.get(feature).map_or(feature, |(name, _)| name)
    }

    /// The unit of its values.
    pub fn unit(&self, feature: &str) -> Option<&str> {
        self.features.get(feature).and_then(|(_, unit)| unit.as_deref())
    }

    /// The name with its unit: `Working time (h/week)`.
    pub(super) fn axis(&self, feature: &str) -> String {
        match self.unit(feature) {
            Some(unit) => format!("{} ({unit})", self.name(feature)),
            None => self.name(feature).to_owned(),
        }
    }

    /// What is explained.
    pub(super) fn what(&self, space: Option<Space>) -> String {
        match (&self.explained, space) {
            (Some(explained), _) => explained.clone(),
            (None, Some(space)) => space.to_string(),
            (None, None) => "prediction".to_owned(),
        }
    }

    /// What a page about this output tells of.
    pub(super) fn title(&self, output: &str) -> String {
        match &self.explained {
            Some(explained) => format!("What moves predictions: {explained}"),
            None if output == ONLY => "What moves predictions".to_owned(),
            None => format!("What moves the prediction of `{output}`"),
        }
    }

    /// The value of a row: `= 40 h/week`, `is missing`; nothing where there is no column.
    pub(super) fn value(&self, feature: &str, column: Option<&ArrayRef>, row: usize) -> String {
        let Some(column) = column.filter(|column| row < column.len()) else {
            return String::new();
        };
        match (value_text(feature, column, row), self.unit(feature)) {
            (None, _) => "is missing".to_owned(),
            (Some(value), Some(unit)) => format!("= {value} {unit}"),
            (Some(value), None) => format!("= {value}"),
        }
    }
}

/// A value as people read it; `None` where it is null or NaN.
fn value_text(feature: &str, column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let kind = column.data_type();
    if is_numeric(kind) && !kind.is_temporal() {
        let value = to_numbers(feature, &column.slice(row, 1)).ok()?;
        if value.is_null(0) || value.value(0).is_nan() {
            return None;
        }
        return Some(Cell::number(value.value(0), 4).to_string());
    }
    let text = array_value_to_string(column, row).ok()?;
    Some(if text.is_empty() { "(empty)".to_owned() } else { text })
}

/// A number with three digits.
pub(super) fn short(x: f64) -> String {
    Cell::number(x, 3).to_string()
}

/// The same with its sign.
pub(super) fn signed(x: f64) -> String {
    if x > 0.0 { format!("+{}", short(x)) } else { short(x) }
}
