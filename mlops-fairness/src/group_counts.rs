//! One pass over labels, predictions and sensitive features into counts by group: the state that
//! every count-based fairness metric derives from.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::Array;
use mlops_core::bytes::{
    bad, put_len, put_str, put_u8, put_u64, take_len, take_str, take_u8, take_u64,
};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::combinations::Combinations;
use crate::outcomes::{MISSING, is_number, outcomes, plain};
use crate::{Counts, Group, MetricFrame};

/// Counts labels and predictions by group.
///
/// A group is a combination of values of the sensitive features; null is a group of its own, and
/// a number with a whole value is the group of the integer (`1.0` is `1`).
///
/// Labels and predictions may be of different types. Numbers are compared as numbers (`1.0` is
/// `1`), booleans are `true` and `false` or `1` and `0`, all else is compared as text (`>50K`).
/// Whatever is not the positive label is the negative one: a third label is an error that names
/// it, and so is a positive label that the column's type cannot hold.
///
/// Rows whose label or prediction is null or NaN are counted apart and enter no rate that needs
/// it.
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

/// Adds up; counts that no machine can hold stay at the largest number, in any order.
fn add(mine: &mut Cell, theirs: &Cell) {
    for (mine, theirs) in mine.iter_mut().flatten().zip(theirs.iter().flatten()) {
        *mine = mine.saturating_add(*theirs);
    }
}

/// The cell of each combination.
fn count(groups: &Combinations, labels: &[u8], predicted: &[u8]) -> Vec<Cell> {
    // Neighbours are often of one group and outcome, and a count that was just written is slow to
    // read again: few combinations are counted in several tables in turn.
    const LANES: usize = 4;
    const CELLS: usize = 16;
    let lanes = if groups.len <= 256 { LANES } else { 1 };
    let mut tables = vec![0_u64; groups.len * CELLS * lanes];
    let at = |group: u32, label: u8, predicted: u8| {
        // Sixteen places for nine counts: shifts instead of products.
        (group as usize) << 4 | usize::from(label & 3) << 2 | usize::from(predicted & 3)
    };
    let rows = groups.of_row.iter().zip(labels.iter().zip(predicted));
    let lane = groups.len * CELLS;
    for (row, (&group, (&label, &predicted))) in rows.enumerate() {
        tables[(row & (lanes - 1)) * lane + at(group, label, predicted)] += 1;
    }
    (0..groups.len)
        .map(|group| {
            let mut cell = Cell::default();
            for (label, counts) in cell.iter_mut().enumerate() {
                for (predicted, n) in counts.iter_mut().enumerate() {
                    let at = at(group as u32, label as u8, predicted as u8);
                    *n = tables.iter().skip(at).step_by(lane).sum();
                }
            }
            cell
        })
        .collect()
}

impl State for GroupCountsState {
    fn merge(&mut self, other: Self) -> Result<()> {
        for (group, theirs) in other.cells {
            add(self.cells.entry(group).or_default(), &theirs);
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
        let [label_names, prediction_names] = &mut state.negatives;
        let predicted = outcomes(rows, &self.y_pred, &self.positive, prediction_names)?;
        let labels = match &self.y_true {
            Some(column) => outcomes(rows, column, &self.positive, label_names)?,
            None => vec![MISSING; rows.len()],
        };
        let features: Vec<_> = self
            .sensitive_features
            .iter()
            .map(|column| rows.categories(column))
            .collect::<Result<_>>()?;
        let numbers: Vec<_> = self
            .sensitive_features
            .iter()
            .map(|column| rows.column(column).map(|array| is_number(array.data_type())))
            .collect::<Result<_>>()?;
        let Some(groups) = Combinations::of(&features, rows.len(), Self::MAX_GROUPS) else {
            return limit(Self::MAX_GROUPS + 1);
        };

        // On the codes of the batch: names are looked up once per combination that is there.
        for (at, cell) in count(&groups, &labels, &predicted).into_iter().enumerate() {
            if cell == Cell::default() {
                continue;
            }
            let codes = groups.codes(at);
            let values = codes.iter().zip(features.iter().zip(&numbers));
            let values = values
                .map(|(&code, (feature, &number))| {
                    let labels = feature.labels();
                    let label = (labels.len() > code as usize).then(|| labels.value(code as usize));
                    label.map(|label| if number { plain(label) } else { label.to_owned() })
                })
                .collect();
            add(state.cells.entry(Group { values }).or_default(), &cell);
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
            && plain(label) != plain(predicted)
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
            if cell == Cell::default() {
                return Err(bad(bytes, "a group that has rows", &group));
            }
            last = Some(group.clone());
            state.cells.insert(group, cell);
        }
        limit(state.cells.len())?;
        for negatives in &mut state.negatives {
            let n = take_len(bytes, 8)?;
            for _ in 0..n {
                let label = take_str(bytes)?;
                let ascends = negatives.last().is_none_or(|last| *last < label);
                if !ascends || negatives.len() == 2 || label == self.positive {
                    return Err(bad(bytes, "at most two negative labels, ascending", label));
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
    use mlops_core::arrow::array::{BooleanArray, Float64Array, Int32Array, StringArray};
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

    #[test]
    fn labels_and_predictions_of_different_types_meet() {
        let group = || StringArray::from(vec!["a", "a", "b", "b"]);
        let expected = Counts::confusion(1, 1, 1, 1);
        for positive in ["1", "1.0"] {
            let rows = batch! {
                "g" => group(),
                "y" => Int32Array::from(vec![1, 0, 0, 1]),
                "p" => Float64Array::from(vec![1.0, 1.0, 0.0, 0.0]),
                "b" => BooleanArray::from(vec![true, true, false, false]),
            }
            .unwrap();
            for said in ["p", "b"] {
                let counts = GroupCounts::new(said, positive, ["g"]).with_labels("y");
                conformance::analyzer(&counts, &rows);
                let frame = MemorySource::from(rows.clone()).measure(&counts).unwrap();
                assert_eq!(frame.total(), expected, "{said} {positive}");
            }
        }
        let rows = batch! {
            "g" => group(),
            "y" => StringArray::from(vec!["1", "0", "0", "1"]),
            "p" => Float64Array::from(vec![1.0, 1.0, 0.0, 0.0]),
        }
        .unwrap();
        let counts = GroupCounts::new("p", "1", ["g"]).with_labels("y");
        assert_eq!(MemorySource::from(rows).measure(&counts).unwrap().total(), expected);
    }

    #[test]
    fn the_group_of_a_number_is_the_number() {
        let rows = batch! {
            "g" => Float64Array::from(vec![Some(1.0), Some(0.0), Some(-0.0), Some(0.5), None]),
            "p" => BooleanArray::from(vec![true, false, true, true, true]),
        }
        .unwrap();
        let counts = GroupCounts::new("p", "true", ["g"]);
        conformance::analyzer(&counts, &rows);
        let frame = MemorySource::from(rows).measure(&counts).unwrap();
        let groups: Vec<_> = frame.groups().map(|(g, c)| (g.to_string(), c.rows())).collect();
        let expected = [("(null)", 1), ("0", 2), ("0.5", 1), ("1", 1)];
        assert_eq!(groups, expected.map(|(g, n)| (g.to_owned(), n)));
    }

    #[test]
    fn ten_thousand_groups_and_not_one_more() {
        let rows = |n: u32| {
            let ids = StringArray::from_iter_values((0..n).map(|i| (i % 100).to_string()));
            let more = StringArray::from_iter_values((0..n).map(|i| (i / 100).to_string()));
            let said: BooleanArray = (0..n).map(|i| Some(i % 3 == 0)).collect();
            batch! { "a" => ids, "b" => more, "p" => said }.unwrap()
        };
        let counts = GroupCounts::new("p", "1", ["a", "b"]);
        let frame = MemorySource::from(rows(10_000)).measure(&counts).unwrap();
        assert_eq!((frame.groups().len(), frame.total().rows()), (10_000, 10_000));
        let error = MemorySource::from(rows(10_001)).measure(&counts).unwrap_err().to_string();
        assert!(error.contains("at most 10000 groups"), "{error}");
        // Over several batches, too.
        let batches = MemorySource::new(rows(1).schema(), vec![rows(10_001)]).unwrap();
        let scan = mlops_core::Scan::new(&batches).batch_size(777);
        assert!(scan.run(&counts).is_err());
    }

    #[test]
    fn counts_that_no_machine_can_hold_do_not_wrap() {
        let mut state = counts().start();
        counts().update(&mut state, &Rows::new(&people())).unwrap();
        for cell in state.cells.values_mut() {
            *cell = [[u64::MAX; 3]; 3];
        }
        let again = state.clone();
        state.merge(again).unwrap();
        let frame = counts().finish(state).unwrap();
        assert_eq!(frame.total().rows(), u64::MAX);
        for metric in Metric::ALL {
            assert!(frame.overall(metric).value.is_some_and(|v| (0.0..=1.0).contains(&v)));
        }
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
