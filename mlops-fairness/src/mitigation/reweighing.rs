//! Weights under which labels and groups are independent.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::{Float64Array, RecordBatch};
use mlops_core::bytes::{add_count, bad, put_len, put_u64, take_count, take_len};
use mlops_core::{Analyzer, DataSource, Description, Error, Result, Rows, Scan, State};
use serde::{Deserialize, Serialize};

use super::groups::{RowGroups, put_group, take_group};
use crate::Group;

/// Fits [`Reweighing`]: counts rows by group and label. Any number of labels; null is one, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCounts {
    /// The column of labels.
    pub y_true: String,
    /// The columns whose values make the groups.
    pub sensitive_features: Vec<String>,
}

/// The most cells of groups and labels.
const CELLS: usize = 100_000;

impl LabelCounts {
    /// Counts rows by group and label.
    pub fn new<S: Into<String>>(
        y_true: impl Into<String>,
        sensitive_features: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            y_true: y_true.into(),
            sensitive_features: sensitive_features.into_iter().map(Into::into).collect(),
        }
    }

    /// The features, and the label as the last of them.
    fn all(&self) -> Vec<String> {
        self.sensitive_features.iter().chain([&self.y_true]).cloned().collect()
    }
}

/// What [`LabelCounts`] remembers: rows by the values of the features and the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelCountsState(BTreeMap<Group, u64>);

fn limit(cells: usize) -> Result<()> {
    if cells > CELLS {
        let expected = format!("at most {CELLS} combinations");
        return Err(Error::invalid("groups and labels", expected, format!("{cells} or more")));
    }
    Ok(())
}

impl State for LabelCountsState {
    fn merge(&mut self, other: Self) -> Result<()> {
        for (cell, rows) in other.0 {
            add_count(self.0.entry(cell).or_default(), rows);
        }
        limit(self.0.len())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for (cell, rows) in &self.0 {
            put_group(out, cell);
            put_u64(out, *rows);
        }
    }

    fn size(&self) -> usize {
        self.0.keys().map(|c| 64 + c.values.iter().flatten().map(String::len).sum::<usize>()).sum()
    }
}

impl Analyzer for LabelCounts {
    type State = LabelCountsState;
    type Output = Reweighing;

    fn columns(&self) -> Vec<String> {
        self.all()
    }

    fn start(&self) -> LabelCountsState {
        LabelCountsState::default()
    }

    fn update(&self, state: &mut LabelCountsState, rows: &Rows<'_>) -> Result<()> {
        let cells = RowGroups::of(rows, &self.all())?;
        let mut counts = vec![0_u64; cells.groups.len()];
        for &cell in &cells.of_row {
            counts[cell as usize] += 1;
        }
        for (cell, rows) in cells.groups.into_iter().zip(counts).filter(|(_, rows)| *rows > 0) {
            add_count(state.0.entry(cell).or_default(), rows);
        }
        limit(state.0.len())
    }

    fn finish(&self, state: LabelCountsState) -> Result<Reweighing> {
        let mut groups: BTreeMap<Group, u64> = BTreeMap::new();
        let mut labels: BTreeMap<Option<String>, u64> = BTreeMap::new();
        let mut all = 0_u64;
        let split = |mut cell: Group| {
            let label = cell.values.pop().flatten();
            (cell, label)
        };
        for (cell, rows) in &state.0 {
            let (group, label) = split(cell.clone());
            add_count(groups.entry(group).or_default(), *rows);
            add_count(labels.entry(label).or_default(), *rows);
            add_count(&mut all, *rows);
        }
        if all == 0 {
            return Err(Error::undefined("reweighing", "there are no rows"));
        }
        let weights = state.0.into_iter().map(|(cell, rows)| {
            let (group, label) = split(cell);
            let expected = u128::from(groups[&group]) * u128::from(labels[&label]);
            let found = u128::from(all) * u128::from(rows);
            let weight = expected as f64 / found as f64;
            CellWeight { group, label, rows, weight }
        });
        Ok(Reweighing {
            y_true: self.y_true.clone(),
            sensitive_features: self.sensitive_features.clone(),
            weights: weights.collect(),
        })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<LabelCountsState> {
        let width = self.sensitive_features.len() + 1;
        let mut state = LabelCountsState::default();
        for _ in 0..take_len(bytes, 8 + width)? {
            let cell = take_group(bytes, width)?;
            let rows = take_count(bytes)?;
            let ascends = state.0.last_key_value().is_none_or(|(last, _)| *last < cell);
            if !ascends || rows == 0 {
                return Err(bad(bytes, "cells that have rows, ascending", &cell));
            }
            state.0.insert(cell, rows);
        }
        limit(state.0.len())?;
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("label_counts", 1, self))
    }
}

/// The weight of the rows of a group with a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CellWeight {
    /// The group.
    pub group: Group,
    /// The label.
    pub label: Option<String>,
    /// How many rows there were.
    pub rows: u64,
    /// P(group) · P(label) / P(group, label).
    pub weight: f64,
}

/// Weights that make the label independent of the group: P(g)·P(y)/P(g, y).
///
/// A learner that honours weights then sees every group with one base rate. The weights sum to the
/// number of rows. Kamiran and Calders 2012, doi:10.1007/s10115-011-0463-8; AIF360: `Reweighing`.
///
/// ```
/// use mlops_core::arrow::array::{Int32Array, StringArray};
/// use mlops_core::{MemorySource, batch};
/// use mlops_fairness::mitigation::Reweighing;
///
/// let rows = batch! {
///     "sex" => StringArray::from(vec!["F", "F", "F", "F", "M", "M", "M", "M"]),
///     "hired" => Int32Array::from(vec![1, 0, 0, 0, 1, 1, 1, 0]),
/// }?;
/// let fitted = Reweighing::fit(&MemorySource::from(rows.clone()), "hired", ["sex"])?;
/// let weights = fitted.weights(&rows)?;
/// assert_eq!(weights.value(0), 2.0); // a hired woman
/// assert_eq!(weights.values().iter().sum::<f64>(), 8.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Reweighing {
    /// The column of labels.
    pub y_true: String,
    /// The columns whose values make the groups.
    pub sensitive_features: Vec<String>,
    /// The weights of the cells that have rows, in order.
    pub weights: Vec<CellWeight>,
}

impl Reweighing {
    /// Counts a source, in one pass.
    ///
    /// # Errors
    /// Those of the scan; [`Error::Undefined`] without rows.
    pub fn fit<S: Into<String>>(
        source: &dyn DataSource,
        y_true: impl Into<String>,
        sensitive_features: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        Scan::new(source).run(&LabelCounts::new(y_true, sensitive_features))
    }

    /// The weight of each row.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; [`Error::Value`] for a row whose group never had such a label
    /// where the weights were fitted.
    pub fn weights(&self, batch: &RecordBatch) -> Result<Float64Array> {
        let columns: Vec<String> =
            self.sensitive_features.iter().chain([&self.y_true]).cloned().collect();
        let cells = RowGroups::of(&Rows::new(batch), &columns)?;
        let known: BTreeMap<(&Group, Option<&str>), f64> = self
            .weights
            .iter()
            .map(|cell| ((&cell.group, cell.label.as_deref()), cell.weight))
            .collect();
        let of_cell: Vec<Option<f64>> = cells
            .groups
            .iter()
            .map(|cell| {
                let (label, values) = cell.values.split_last()?;
                let group = Group { values: values.to_vec() };
                known.get(&(&group, label.as_deref())).copied()
            })
            .collect();
        let weights = cells.of_row.iter().enumerate().map(|(row, &cell)| {
            of_cell[cell as usize].ok_or_else(|| Error::Value {
                column: columns.join(", "),
                row: row as u64,
                expected: "a group and label that the weights were fitted on".into(),
                found: cells.groups[cell as usize].to_string(),
            })
        });
        Ok(weights.collect::<Result<Vec<_>>>()?.into())
    }
}

impl fmt::Display for Reweighing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weights by {} and {}", self.sensitive_features.join(", "), self.y_true)?;
        for CellWeight { group, label, rows, weight } in &self.weights {
            let label = label.as_deref().unwrap_or("(null)");
            write!(f, "\n  {group}, {label}: {weight:.4} ({rows} rows)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Int32Array, StringArray};
    use mlops_core::{MemorySource, batch, conformance};
    use proptest::prelude::*;

    use super::*;

    fn people(rows: &[(Option<&str>, Option<i32>)]) -> RecordBatch {
        batch! {
            "sex" => rows.iter().map(|r| r.0).collect::<StringArray>(),
            "y" => rows.iter().map(|r| r.1).collect::<Int32Array>(),
        }
        .unwrap()
    }

    #[test]
    fn keeps_the_contract() {
        let rows = people(&[
            (Some("F"), Some(1)),
            (None, Some(0)),
            (Some("M"), None),
            (Some("F"), Some(2)),
        ]);
        conformance::analyzer(&LabelCounts::new("y", ["sex"]), &rows);
        conformance::analyzer(&LabelCounts::new("y", ["sex"]), &rows.slice(0, 0));
        let none = MemorySource::from(rows.slice(0, 0));
        assert!(matches!(Reweighing::fit(&none, "y", ["sex"]), Err(Error::Undefined { .. })));
    }

    #[test]
    fn a_cell_that_was_not_there_has_no_weight() {
        let source = MemorySource::from(people(&[(Some("F"), Some(1)), (Some("M"), Some(0))]));
        let fitted = Reweighing::fit(&source, "y", ["sex"]).unwrap();
        let error = fitted.weights(&people(&[(Some("F"), Some(1)), (Some("F"), Some(0))]));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("row 1") && text.contains("F, 0"), "{text}");
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<Reweighing>(&text).unwrap(), fitted);
    }

    proptest! {
        #[test]
        fn under_the_weights_all_groups_have_one_base_rate(
            rows in prop::collection::vec((0usize..3, 0i32..2), 1..60),
        ) {
            let names = ["a", "b", "c"];
            let rows: Vec<_> = rows.iter().map(|&(g, y)| (Some(names[g]), Some(y))).collect();
            let batch = people(&rows);
            let fitted = Reweighing::fit(&MemorySource::from(batch.clone()), "y", ["sex"]).unwrap();
            let weights = fitted.weights(&batch).unwrap();
            let sum = |name: Option<&str>, label: Option<i32>| -> f64 {
                rows.iter()
                    .zip(weights.values())
                    .filter(|(r, _)| name.is_none_or(|n| r.0 == Some(n)) && label.is_none_or(|y| r.1 == Some(y)))
                    .map(|(_, w)| w)
                    .sum()
            };
            // Cells without rows have no weight to give.
            prop_assert!(sum(None, None) <= rows.len() as f64 + 1e-9);
            let all = rows.iter().filter(|r| r.1 == Some(1)).count() as f64 / rows.len() as f64;
            for name in names {
                let (of, hit) = (sum(Some(name), None), sum(Some(name), Some(1)));
                let both = [0, 1].map(|y| rows.contains(&(Some(name), Some(y))));
                if both == [true, true] {
                    prop_assert!((hit / of - all).abs() < 1e-9);
                }
            }
        }
    }
}
