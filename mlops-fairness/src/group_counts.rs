//! One pass over labels, predictions and sensitive features into counts by group: the state that
//! every count-based fairness metric derives from.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::Array;
use mlops_core::bytes::{
    bad, put_len, put_str, put_u8, put_u64, take_len, take_str, take_u8, take_u64,
};
use mlops_core::{Analyzer, Categories, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::{Counts, Group, MetricFrame};

/// Counts labels and predictions by group.
///
/// A group is a combination of values of the sensitive features; null is a group of its own.
/// Labels and predictions are compared as text (`1`, `true`, `>50K`), and whatever is not the
/// positive label is the negative one: a third label is an error that names it.
///
/// Rows whose label or prediction is null are counted apart and enter no rate that needs it.
///
/// ```
/// use mlops_core::arrow::array::{Int32Array, StringArray};
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_fairness::{GroupCounts, Metric};
///
/// let source = MemorySource::from(batch! {
///     "sex" => StringArray::from(vec!["F", "F", "M", "M"]),
///     "hired" => Int32Array::from(vec![1, 0, 1, 1]),
///     "said" => Int32Array::from(vec![1, 0, 1, 0]),
/// }?);
/// let frame = source.measure(&GroupCounts::new("said", "1", ["sex"]).with_labels("hired"))?;
/// assert_eq!(frame.overall(Metric::SelectionRate).value, Some(0.5));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupCounts {
    /// The column of labels; without it only selection rates are defined.
    pub y_true: Option<String>,
    /// The column of predicted labels.
    pub y_pred: String,
    /// The positive label, as text.
    pub positive: String,
    /// The columns whose values make the groups.
    pub sensitive_features: Vec<String>,
}

impl GroupCounts {
    /// The most groups that are told apart; more are an error, because a column with that many
    /// values is no sensitive feature but an identifier.
    pub const MAX_GROUPS: usize = 10_000;

    /// Counts predictions by group; without labels.
    pub fn new<S: Into<String>>(
        y_pred: impl Into<String>,
        positive: impl Into<String>,
        sensitive_features: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            y_true: None,
            y_pred: y_pred.into(),
            positive: positive.into(),
            sensitive_features: sensitive_features.into_iter().map(Into::into).collect(),
        }
    }

    /// The same, with the column of labels.
    #[must_use]
    pub fn with_labels(mut self, y_true: impl Into<String>) -> Self {
        self.y_true = Some(y_true.into());
        self
    }

    /// For each row: 0 negative, 1 positive, 2 null; new negative labels are noted.
    fn outcomes(&self, column: &Categories, negatives: &mut BTreeSet<String>) -> Vec<u8> {
        let labels = column.labels();
        let of_code: Vec<u8> =
            (0..labels.len()).map(|code| u8::from(labels.value(code) == self.positive)).collect();
        let mut seen = vec![false; labels.len()];
        let codes = column.codes();
        let outcomes = (0..codes.len())
            .map(|row| {
                if codes.is_null(row) {
                    return 2;
                }
                let code = codes.value(row) as usize;
                seen[code] = true;
                of_code[code]
            })
            .collect();
        for (code, seen) in seen.into_iter().enumerate() {
            // Two of them are enough to know that something is wrong, and which: the smallest two.
            if seen && of_code[code] == 0 {
                negatives.insert(labels.value(code).to_owned());
                if negatives.len() > 2 {
                    negatives.pop_last();
                }
            }
        }
        outcomes
    }
}

/// What [`GroupCounts`] remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCountsState {
    cells: BTreeMap<Group, Cell>,
    /// The smallest two labels other than the positive one, of labels and of predictions.
    negatives: [BTreeSet<String>; 2],
}

/// Rows by label (negative, positive, null) and prediction (same).
type Cell = [[u64; 3]; 3];

impl State for GroupCountsState {
    fn merge(&mut self, other: Self) -> Result<()> {
        for (group, theirs) in other.cells {
            let mine = self.cells.entry(group).or_default();
            for (mine, theirs) in mine.iter_mut().flatten().zip(theirs.iter().flatten()) {
                *mine += theirs;
            }
        }
        for (mine, theirs) in self.negatives.iter_mut().zip(other.negatives) {
            mine.extend(theirs);
            while mine.len() > 2 {
                mine.pop_last();
            }
        }
        limit(self.cells.len())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.cells.len());
        for (group, cell) in &self.cells {
            put_len(out, group.values.len());
            for value in &group.values {
                match value {
                    None => put_u8(out, 0),
                    Some(text) => {
                        put_u8(out, 1);
                        put_str(out, text);
                    }
                }
            }
            for &n in cell.iter().flatten() {
                put_u64(out, n);
            }
        }
        for negatives in &self.negatives {
            put_len(out, negatives.len());
            for label in negatives {
                put_str(out, label);
            }
        }
    }

    fn size(&self) -> usize {
        self.cells
            .keys()
            .map(|g| 120 + g.values.iter().flatten().map(String::len).sum::<usize>())
            .sum()
    }
}

impl Analyzer for GroupCounts {
    type State = GroupCountsState;
    type Output = MetricFrame;

    fn columns(&self) -> Vec<String> {
        let mut columns = self.sensitive_features.clone();
        columns.push(self.y_pred.clone());
        columns.extend(self.y_true.clone());
        columns
    }

    fn start(&self) -> GroupCountsState {
        GroupCountsState::default()
    }

    fn update(&self, state: &mut GroupCountsState, rows: &Rows<'_>) -> Result<()> {
        let predicted = self.outcomes(rows.categories(&self.y_pred)?, &mut state.negatives[1]);
        let labels = match &self.y_true {
            Some(column) => self.outcomes(rows.categories(column)?, &mut state.negatives[0]),
            None => vec![2; rows.len()],
        };
        let features: Vec<_> = self
            .sensitive_features
            .iter()
            .map(|column| rows.categories(column))
            .collect::<Result<_>>()?;

        // Codes of the batch first, names once per combination that is really there.
        let mut slots: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
        let mut cells: Vec<Cell> = Vec::new();
        let strides: usize = features.iter().map(|f| f.labels().len() + 1).product();
        let dense = !features.is_empty() && strides <= 1 << 16;
        let mut table = vec![usize::MAX; if dense { strides } else { 0 }];
        let mut key = vec![0; features.len()];
        for row in 0..rows.len() {
            let mut at = 0;
            for (slot, feature) in key.iter_mut().zip(&features) {
                let codes = feature.codes();
                *slot = if codes.is_null(row) { u32::MAX } else { codes.value(row) };
                let dense_code =
                    if *slot == u32::MAX { feature.labels().len() } else { *slot as usize };
                at = at * (feature.labels().len() + 1) + dense_code;
            }
            let known = if dense {
                Some(table[at]).filter(|&i| i != usize::MAX)
            } else {
                slots.get(&key).copied()
            };
            let index = if let Some(index) = known {
                index
            } else {
                cells.push(Cell::default());
                slots.insert(key.clone(), cells.len() - 1);
                if dense {
                    table[at] = cells.len() - 1;
                }
                cells.len() - 1
            };
            cells[index][usize::from(labels[row])][usize::from(predicted[row])] += 1;
        }
        for (codes, index) in slots {
            let values = codes
                .iter()
                .zip(&features)
                .map(|(&code, f)| {
                    (code != u32::MAX).then(|| f.labels().value(code as usize).to_owned())
                })
                .collect();
            let mine = state.cells.entry(Group { values }).or_default();
            for (mine, n) in mine.iter_mut().flatten().zip(cells[index].iter().flatten()) {
                *mine += n;
            }
        }
        limit(state.cells.len())
    }

    fn finish(&self, state: GroupCountsState) -> Result<MetricFrame> {
        let columns = [self.y_true.as_ref(), Some(&self.y_pred)];
        for (column, negatives) in columns.into_iter().zip(&state.negatives) {
            if negatives.len() > 1 {
                let found: Vec<_> = negatives.iter().map(|l| format!("`{l}`")).collect();
                return Err(Error::invalid(
                    format!("labels in column `{}`", column.map_or("", String::as_str)),
                    format!("two classes, `{}` and one other", self.positive),
                    found.join(" and "),
                ));
            }
        }
        if let (Some(label), Some(predicted)) =
            (state.negatives[0].first(), state.negatives[1].first())
            && label != predicted
        {
            return Err(Error::invalid(
                format!("negative label in column `{}`", self.y_pred),
                format!("`{label}`, as in the labels"),
                format!("`{predicted}`"),
            ));
        }
        let counts = state.cells.into_iter().map(|(group, cell)| (group, Counts::of(&cell)));
        Ok(MetricFrame::new(self.sensitive_features.clone(), counts))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<GroupCountsState> {
        let mut state = GroupCountsState::default();
        let mut last: Option<Group> = None;
        for _ in 0..take_len(bytes, 80)? {
            let n = take_len(bytes, 1)?;
            if n != self.sensitive_features.len() {
                return Err(bad(bytes, format!("{} values", self.sensitive_features.len()), n));
            }
            let values = (0..n)
                .map(|_| match take_u8(bytes)? {
                    0 => Ok(None),
                    1 => take_str(bytes).map(Some),
                    tag => Err(bad(bytes, "0 or 1", tag)),
                })
                .collect::<Result<_>>()?;
            let group = Group { values };
            if last.as_ref().is_some_and(|last| *last >= group) {
                return Err(bad(bytes, "groups in ascending order", &group));
            }
            let mut cell = Cell::default();
            for n in cell.iter_mut().flatten() {
                *n = take_u64(bytes)?;
            }
            // Totals must not overflow when groups are added up.
            if cell.iter().flatten().any(|&n| n > 1 << 48) {
                return Err(bad(bytes, "counts below 2^48", "a larger one"));
            }
            last = Some(group.clone());
            state.cells.insert(group, cell);
        }
        limit(state.cells.len())?;
        for negatives in &mut state.negatives {
            let n = take_len(bytes, 8)?;
            for _ in 0..n {
                let label = take_str(bytes)?;
                if negatives.last().is_some_and(|last| *last >= label) || negatives.len() == 2 {
                    return Err(bad(bytes, "at most two labels in ascending order", label));
                }
                negatives.insert(label);
            }
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("group_counts", 1, self))
    }
}

fn limit(groups: usize) -> Result<()> {
    if groups > GroupCounts::MAX_GROUPS {
        return Err(Error::invalid(
            "sensitive features",
            format!("at most {} groups", GroupCounts::MAX_GROUPS),
            format!("{groups} or more"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{BooleanArray, Int32Array, StringArray};
    use mlops_core::{DataSourceExt, MemorySource, batch, conformance};
    use proptest::prelude::*;

    use super::*;
    use crate::Metric;

    fn people() -> arrow::array::RecordBatch {
        batch! {
            "sex" => StringArray::from(vec![Some("F"), Some("F"), Some("M"), None, Some("M"), Some("F")]),
            "old" => BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true), Some(true)]),
            "y" => Int32Array::from(vec![Some(1), Some(0), Some(1), Some(1), None, Some(0)]),
            "p" => Int32Array::from(vec![Some(1), Some(1), Some(0), Some(1), Some(0), None]),
        }
        .unwrap()
    }

    fn counts() -> GroupCounts {
        GroupCounts::new("p", "1", ["sex", "old"]).with_labels("y")
    }

    #[test]
    fn keeps_the_contract() {
        conformance::analyzer(&counts(), &people());
        conformance::analyzer(&counts(), &people().slice(0, 0));
        conformance::analyzer(&GroupCounts::new("p", "1", Vec::<String>::new()), &people());
    }

    #[test]
    fn null_is_a_group_and_null_labels_enter_no_rate() {
        let frame = MemorySource::from(people()).measure(&counts()).unwrap();
        let sex = frame.feature("sex").unwrap();
        let groups: Vec<_> = sex.groups().map(|(g, _)| g.to_string()).collect();
        assert_eq!(groups, ["(null)", "F", "M"]);
        // M: two rows, both not selected; one has no label.
        let (_, men) = sex.groups().nth(2).unwrap();
        assert_eq!(Metric::SelectionRate.of(men).denominator, 2);
        assert_eq!(Metric::TruePositiveRate.of(men).denominator, 1);
        assert_eq!(Metric::FalsePositiveRate.of(men).value, None);
    }

    #[test]
    fn a_third_label_is_an_error_that_names_it() {
        let batch = batch! {
            "g" => StringArray::from(vec!["a", "b", "a"]),
            "p" => StringArray::from(vec!["yes", "no", "maybe"]),
        }
        .unwrap();
        let error =
            MemorySource::from(batch).measure(&GroupCounts::new("p", "yes", ["g"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`p`") && text.contains("maybe") && text.contains("no"), "{text}");
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = counts().decode(&mut bytes.as_slice());
        }

        #[test]
        fn mutated_bytes_never_panic(at in 0usize..200, to in any::<u8>()) {
            let mut state = counts().start();
            counts().update(&mut state, &Rows::new(&people())).unwrap();
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(state) = counts().decode(&mut bytes.as_slice()) {
                let _ = counts().finish(state);
            }
        }
    }
}
