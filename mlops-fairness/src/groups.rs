//! Which columns make the groups, and how.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use mlops_core::{Error, Result, Rows};
use serde::{Deserialize, Serialize};

use crate::codes::{Codes, Label};
use crate::cross_tab::{Cell, CrossTab};
use crate::{Group, GroupCell, MetricFrame};

/// The columns that make the groups: sensitive features whose groups are compared, within each
/// cell of the control features if there are any.
///
/// A group is a combination of values of the sensitive features. Text, dictionaries, booleans,
/// numbers and dates are values as they are; a number with a whole value is that of the integer
/// (`1.0` is `1`), and a number with many values is best put into bins. Null is a value of its
/// own, and so is NaN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// The columns whose values make the groups. Without any there is only everyone, and nothing to
    /// compare: an error, or undefined, where groups are compared.
    pub sensitive_features: Vec<String>,
    /// The columns within whose cells the groups are compared: `department`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_features: Vec<String>,
    /// Ascending edges for columns of numbers: `[25, 65]` makes `< 25`, `[25, 65)` and `≥ 65`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bins: BTreeMap<String, Vec<f64>>,
    /// Whether rows with a null among their features belong to no group; they stay in what is
    /// measured over everyone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_nulls: bool,
}

impl Groups {
    /// The most groups that are told apart, over all control cells; more are an error, because a
    /// column with that many values is no sensitive feature but an identifier.
    pub const MAX: usize = 10_000;

    /// Groups by these sensitive features.
    pub fn by<S: Into<String>>(sensitive_features: impl IntoIterator<Item = S>) -> Self {
        let sensitive_features = sensitive_features.into_iter().map(Into::into).collect();
        Self { sensitive_features, ..Self::default() }
    }

    /// How many columns there are: first the controls, then the sensitive features.
    pub(crate) fn len(&self) -> usize {
        self.control_features.len() + self.sensitive_features.len()
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &String> {
        self.control_features.iter().chain(&self.sensitive_features)
    }

    /// That what is cut into bins makes groups.
    fn check(&self) -> Result<()> {
        match self.bins.keys().find(|feature| !self.columns().any(|column| column == *feature)) {
            None => Ok(()),
            Some(feature) => {
                let columns: Vec<_> = self.columns().map(String::as_str).collect();
                let expected = format!("a feature that makes groups: {}", columns.join(", "));
                Err(Error::invalid("bins of a feature", expected, format!("`{feature}`")))
            }
        }
    }

    pub(crate) fn codes(&self, rows: &Rows<'_>) -> Result<Vec<Arc<Codes>>> {
        self.check()?;
        self.columns()
            .map(|column| match self.bins.get(column) {
                None => Codes::of(rows, column),
                Some(edges) => {
                    if edges.iter().any(|edge| !edge.is_finite())
                        || edges.windows(2).any(|pair| pair[0] >= pair[1])
                    {
                        let what = format!("bins of `{column}`");
                        let expected = "finite edges in ascending order";
                        return Err(Error::invalid(what, expected, format!("{edges:?}")));
                    }
                    Codes::binned(rows, column, edges)
                }
            })
            .collect()
    }

    /// That there are not too many groups.
    pub(crate) fn limit<T: Cell>(&self, tab: &CrossTab<T>) -> Result<()> {
        let groups = tab.combinations(self.len(), Self::MAX);
        if groups > Self::MAX { Err(self.too_many()) } else { Ok(()) }
    }

    pub(crate) fn too_many(&self) -> Error {
        let columns: Vec<_> = self.columns().map(|column| format!("`{column}`")).collect();
        Error::invalid(
            format!("sensitive features {}", columns.join(", ")),
            format!("at most {} groups", Self::MAX),
            format!("{} or more", Self::MAX + 1),
        )
    }

    /// A frame of cells by control and sensitive values.
    pub(crate) fn frame<C: GroupCell>(
        &self,
        cells: impl IntoIterator<Item = (Group, C)>,
    ) -> MetricFrame<C> {
        MetricFrame::of_cells(
            self.control_features.clone(),
            self.sensitive_features.clone(),
            self.drop_nulls,
            cells,
        )
    }
}

/// The group of labels.
pub(crate) fn group(labels: &[Label]) -> Group {
    Group { values: labels.iter().map(|label| label.as_ref().map(ToString::to_string)).collect() }
}

/// The numbers of a column, NaN where they are null.
pub(crate) fn numbers(rows: &Rows<'_>, column: &str) -> Result<Vec<f64>> {
    let numbers = rows.numbers(column)?;
    let mut values = numbers.values().to_vec();
    if numbers.null_count() > 0 {
        for (row, value) in values.iter_mut().enumerate() {
            if numbers.is_null(row) {
                *value = f64::NAN;
            }
        }
    }
    Ok(values)
}

/// A heavier row, times what it is multiplied by, would be more than a number can hold.
const HEAVIEST: f64 = 1e303;

/// The weights of rows, NaN where there is none; all 1 without a column.
pub(crate) fn weights(rows: &Rows<'_>, column: Option<&str>) -> Result<Vec<f64>> {
    let Some(column) = column else { return Ok(vec![1.0; rows.len()]) };
    let mut weights = numbers(rows, column)?;
    for weight in &mut weights {
        if !(0.0..=HEAVIEST).contains(weight) {
            *weight = f64::NAN;
        }
    }
    Ok(weights)
}

/// The error of rows whose weight is none.
pub(crate) fn bad_weights(column: Option<&str>, group: &Group, rows: u64) -> Error {
    Error::invalid(
        format!("weights in column `{}`, group {group}", column.unwrap_or_default()),
        format!("numbers from 0 to {HEAVIEST:e}"),
        format!("{rows} that are negative, NaN, larger or null"),
    )
}

/// The options that all measurements by group have.
macro_rules! grouped {
    ($type:ty) => {
        impl $type {
            /// The same, with a column of weights.
            #[must_use]
            pub fn with_weights(mut self, weight: impl Into<String>) -> Self {
                self.weight = Some(weight.into());
                self
            }

            /// The same within each cell of these control features.
            #[must_use]
            pub fn with_control_features<S: Into<String>>(
                mut self,
                features: impl IntoIterator<Item = S>,
            ) -> Self {
                self.groups.control_features = features.into_iter().map(Into::into).collect();
                self
            }

            /// The same with a feature of numbers cut at these edges, in ascending order.
            #[must_use]
            pub fn with_bins(
                mut self,
                feature: impl Into<String>,
                edges: impl IntoIterator<Item = f64>,
            ) -> Self {
                self.groups.bins.insert(feature.into(), edges.into_iter().collect());
                self
            }

            /// The same with rows whose group is null in no group, but in what is measured over
            /// everyone.
            #[must_use]
            pub fn drop_nulls(mut self) -> Self {
                self.groups.drop_nulls = true;
                self
            }
        }
    };
}
pub(crate) use grouped;
