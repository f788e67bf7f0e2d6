//! One pass over labels, predictions and sensitive features into counts by group: the state that
//! every count-based fairness metric derives from.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use mlops_core::bytes::{add_count, bad, put_u64, take_count};
use mlops_core::states::Moments;
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::codes::{Codes, Label, Positive, is_number, outcomes, plain};
use crate::cross_tab::{Cell, CrossTab};
use crate::groups::{bad_weights, group, grouped, weights};
use crate::{Counts, Group, Groups, MetricFrame};

/// Counts labels and predictions by group.
///
/// The groups are made as [`Groups`] says: combinations of values of the sensitive features, null
/// one of them.
///
/// Labels and predictions may be of different types. Numbers are compared as numbers (`1.0` is
/// `1`), booleans are `true` and `false` or `1` and `0`, all else is compared as text (`>50K`).
/// Whatever is not the positive label is the negative one: a third label is an error that names
/// it and a group that has it, and so is a positive label that the column's type cannot hold. For
/// more labels see [`GroupClasses`](crate::GroupClasses).
///
/// Rows whose label or prediction is null or NaN are counted apart and enter no rate that needs
/// it. With weights, rates are of Σw instead of rows; a weight that is null, NaN, infinite or
/// negative is an error that names the group.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupCounts {
    /// The column of labels; without it only selection rates are defined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y_true: Option<String>,
    /// The column of predicted labels.
    pub y_pred: String,
    /// The positive label, as text.
    pub positive: String,
    /// The column of weights; without it every row weighs the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// What makes the groups.
    pub groups: Groups,
}

grouped!(GroupCounts);

impl GroupCounts {
    /// The most groups that are told apart; see [`Groups::MAX`].
    pub const MAX_GROUPS: usize = Groups::MAX;

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
            weight: None,
            groups: Groups::by(sensitive_features),
        }
    }

    /// The same, with the column of labels.
    #[must_use]
    pub fn with_labels(mut self, y_true: impl Into<String>) -> Self {
        self.y_true = Some(y_true.into());
        self
    }

    fn tab(&self) -> Tab<'_> {
        Tab {
            groups: &self.groups,
            outcomes: self.y_true.iter().chain([&self.y_pred]).collect(),
            positive: Some(&self.positive),
            weight: self.weight.as_deref(),
        }
    }
}

/// Rows of one combination of groups, label and prediction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) weights: Option<Box<Weights>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Weights {
    pub(crate) moments: Moments,
    /// Rows whose weight is none.
    invalid: u64,
}

impl Cell for Tally {
    /// Whether there are weights.
    type Options = bool;
    const BYTES: usize = 8;

    fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn merge(&mut self, other: Self, _: &bool) {
        add_count(&mut self.rows, other.rows);
        if let Some(theirs) = other.weights {
            let mine = self.weights.get_or_insert_default();
            add_count(&mut mine.invalid, theirs.invalid);
            // Merging moments never fails.
            let _ = mine.moments.merge(theirs.moments);
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.rows);
        if let Some(weights) = &self.weights {
            put_u64(out, weights.invalid);
            weights.moments.encode(out);
        }
    }

    fn decode(bytes: &mut &[u8], weighted: &bool) -> Result<Self> {
        let rows = take_count(bytes)?;
        let weights = if *weighted {
            let invalid = take_count(bytes)?;
            let moments = Moments::decode(bytes)?;
            if moments.n().saturating_add(invalid) != rows {
                return Err(bad(bytes, format!("weights of {rows} rows"), moments.n()));
            }
            Some(Box::new(Weights { moments, invalid }))
        } else {
            None
        };
        Ok(Self { rows, weights })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.weights.as_ref().map_or(0, |_| size_of::<Weights>())
    }
}

/// What [`GroupCounts`] and [`GroupClasses`](crate::GroupClasses) remember: the rows of each
/// combination of groups, label and prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupCountsState(pub(crate) CrossTab<Tally>);

impl State for GroupCountsState {
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

/// How the rows of combinations are counted: what the analyzers of two and of more labels share.
#[derive(Debug)]
pub(crate) struct Tab<'a> {
    pub(crate) groups: &'a Groups,
    /// The columns of labels and predictions.
    pub(crate) outcomes: Vec<&'a String>,
    pub(crate) positive: Option<&'a str>,
    pub(crate) weight: Option<&'a str>,
}

/// The most labels that are told apart.
pub(crate) const MAX_LABELS: usize = 1000;

impl Tab<'_> {
    pub(crate) fn columns(&self) -> Vec<String> {
        let columns = self.groups.columns().chain(self.outcomes.iter().copied()).cloned();
        columns.chain(self.weight.map(str::to_owned)).collect()
    }

    pub(crate) fn start(&self) -> GroupCountsState {
        GroupCountsState(CrossTab::new(self.groups.len() + self.outcomes.len()))
    }

    pub(crate) fn update(&self, state: &mut GroupCountsState, rows: &Rows<'_>) -> Result<()> {
        let tab = &mut state.0;
        let mut codes: Vec<Arc<Codes>> = self.groups.codes(rows)?;
        let mut labels: Vec<Vec<Label>> = codes.iter().map(|codes| codes.labels.clone()).collect();
        let types = self
            .outcomes
            .iter()
            .map(|column| rows.column(column).map(Array::data_type))
            .collect::<Result<Vec<_>>>()?;
        let as_numbers = types.iter().any(|data_type| is_number(data_type));
        let positive = self.positive.map_or(Positive::None { as_numbers }, Positive::Label);
        for (column, data_type) in self.outcomes.iter().zip(types) {
            let found = Codes::of(rows, column)?;
            labels.push(outcomes(column, data_type, &found.labels, positive)?);
            codes.push(found);
        }
        let columns: Vec<_> = codes.iter().map(|codes| &**codes).collect();
        let slices: Vec<_> = labels.iter().map(Vec::as_slice).collect();
        let counted = match self.weight {
            None => tab.count(&columns, &slices, rows.len(), |cell, n| {
                add_count(&mut cell.rows, n);
            }),
            Some(weight) => {
                let weights = weights(rows, Some(weight))?;
                tab.group(&columns, &slices, &weights, |cell, weights| {
                    add_count(&mut cell.rows, weights.len() as u64);
                    let mine = cell.weights.get_or_insert_default();
                    let invalid = mine.moments.add_slice(weights);
                    add_count(&mut mine.invalid, invalid);
                })
            }
        };
        counted.ok_or_else(|| self.groups.too_many())?;
        for (at, column) in self.outcomes.iter().enumerate() {
            if tab.labels(self.groups.len() + at) > MAX_LABELS {
                return Err(Error::invalid(
                    format!("labels in column `{column}`"),
                    format!("at most {MAX_LABELS} different ones"),
                    "more: is it a number to be estimated, or a score?",
                ));
            }
        }
        self.groups.limit(tab)
    }

    pub(crate) fn decode(&self, bytes: &mut &[u8]) -> Result<GroupCountsState> {
        let columns = self.groups.len() + self.outcomes.len();
        let tab = CrossTab::decode(columns, bytes, &self.weight.is_some())?;
        for at in 0..self.outcomes.len() {
            if tab.labels(self.groups.len() + at) > MAX_LABELS {
                return Err(bad(bytes, format!("at most {MAX_LABELS} labels"), "more"));
            }
        }
        self.groups.limit(&tab)?;
        Ok(GroupCountsState(tab))
    }

    /// The cells, if all weights are weights.
    pub(crate) fn cells(&self, state: GroupCountsState) -> Result<BTreeMap<Vec<Label>, Tally>> {
        let cells = state.0.into_cells();
        let invalid = |cell: &Tally| cell.weights.as_ref().map_or(0, |weights| weights.invalid);
        if let Some((labels, cell)) = cells.iter().find(|(_, cell)| invalid(cell) > 0) {
            let group = group(&labels[..self.groups.len()]);
            return Err(bad_weights(self.weight, &group, invalid(cell)));
        }
        Ok(cells)
    }
}

/// Which class a label is, as an index into a cell.
fn class(label: &Label, positive: &str) -> usize {
    label.as_ref().map_or(2, |label| usize::from(**label == *positive))
}

impl Analyzer for GroupCounts {
    type State = GroupCountsState;
    type Output = MetricFrame;

    fn columns(&self) -> Vec<String> {
        self.tab().columns()
    }

    fn start(&self) -> GroupCountsState {
        self.tab().start()
    }

    fn update(&self, state: &mut GroupCountsState, rows: &Rows<'_>) -> Result<()> {
        self.tab().update(state, rows)
    }

    fn finish(&self, state: GroupCountsState) -> Result<MetricFrame> {
        let n = self.groups.len();
        let cells = self.tab().cells(state)?;
        // Two classes, the same two in both columns.
        let mut other: Option<(String, &String, Group)> = None;
        let columns = self.y_true.iter().chain([&self.y_pred]);
        for (at, column) in columns.enumerate() {
            for labels in cells.keys() {
                let Some(label) = labels[n + at].as_deref().filter(|l| **l != *self.positive)
                else {
                    continue;
                };
                let label = plain(label);
                match &other {
                    None => other = Some((label, column, group(&labels[..n]))),
                    Some((known, _, _)) if *known == label => {}
                    Some((known, known_column, known_group)) => {
                        let found = group(&labels[..n]);
                        return Err(Error::invalid(
                            format!("labels in column `{column}`"),
                            format!("two classes, `{}` and one other", self.positive),
                            format!(
                                "`{known}` (column `{known_column}`, group {known_group}) and \
                                 `{label}` (group {found})"
                            ),
                        ));
                    }
                }
            }
        }
        let mut groups: BTreeMap<Group, Counts> = BTreeMap::new();
        for (labels, tally) in cells {
            let counts = groups.entry(group(&labels[..n])).or_default();
            let outcomes = &labels[n..];
            let label = match &self.y_true {
                Some(_) => class(&outcomes[0], &self.positive),
                None => 2,
            };
            let predicted = outcomes.last().map_or(2, |last| class(last, &self.positive));
            let rows = counts.at(label, predicted);
            *rows = rows.saturating_add(tally.rows);
            if let Some(weights) = tally.weights {
                let cells = counts.weights.get_or_insert_default();
                cells.set(label, predicted, &weights.moments);
            }
        }
        Ok(self.groups.frame(groups))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<GroupCountsState> {
        self.tab().decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("group_counts", 2, self))
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{
        BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    };
    use mlops_core::{DataSourceExt, MemorySource, batch, conformance};
    use proptest::prelude::*;

    use super::*;
    use crate::{GroupClasses, Metric};

    fn people() -> RecordBatch {
        batch! {
            "sex" => StringArray::from(vec![
                Some("F"), Some("M"), None, Some("F"), Some("M"), Some("F"), Some("M"), None,
            ]),
            "age" => Float64Array::from(vec![
                Some(20.0), Some(70.0), Some(f64::NAN), None, Some(65.0), Some(25.0), Some(-0.0),
                Some(f64::INFINITY),
            ]),
            "y" => Int32Array::from(vec![
                Some(1), Some(0), Some(1), Some(0), Some(1), Some(1), None, Some(0),
            ]),
            "p" => BooleanArray::from(vec![
                Some(true), Some(true), Some(false), Some(false), Some(false), None, Some(true),
                Some(true),
            ]),
            "w" => Float64Array::from(vec![1.0, 0.5, 2.0, 0.0, 1e-300, 3.0, 1e300, 0.1]),
        }
        .unwrap()
    }

    fn counts() -> GroupCounts {
        GroupCounts::new("p", "1", ["sex"]).with_labels("y")
    }

    #[test]
    fn keeps_the_contract() {
        let all = people();
        for rows in [all.clone(), all.slice(0, 0), all.slice(3, 1)] {
            conformance::analyzer(&counts(), &rows);
            conformance::analyzer(&counts().with_weights("w"), &rows);
            conformance::analyzer(&GroupCounts::new("p", "1", Vec::<String>::new()), &rows);
            let crossed = GroupCounts::new("p", "1", ["sex", "age"]).with_bins("age", [25.0, 65.0]);
            conformance::analyzer(&crossed.with_labels("y").drop_nulls(), &rows);
            let within = GroupCounts::new("p", "1", ["sex"]).with_control_features(["age"]);
            conformance::analyzer(&within, &rows);
            let classes = GroupClasses::new("y", "age", ["sex"]).with_weights("w");
            conformance::analyzer(&classes, &rows);
        }
    }

    #[test]
    fn null_is_a_group_unless_it_is_dropped_and_null_labels_enter_no_rate() {
        let frame = MemorySource::from(people()).measure(&counts()).unwrap();
        let groups: Vec<_> = frame.groups().map(|(g, _)| g.to_string()).collect();
        assert_eq!(groups, ["(null)", "F", "M"]);
        let men = frame.group(&Group::of("M")).unwrap();
        assert_eq!(Metric::SelectionRate.of(men).denominator, 3);
        assert_eq!(Metric::TruePositiveRate.of(men).denominator, 1);
        let dropped = MemorySource::from(people()).measure(&counts().drop_nulls()).unwrap();
        assert_eq!(dropped.groups().len(), 2);
        assert_eq!(dropped, frame.clone().without_nulls());
        // They are still people.
        assert_eq!((dropped.total(), dropped.total().rows()), (frame.total(), 8));
    }

    #[test]
    fn within_the_cells_of_control_features() {
        let within = GroupCounts::new("p", "1", ["sex"])
            .with_labels("y")
            .with_control_features(["age"])
            .with_bins("age", [65.0]);
        let frame = MemorySource::from(people()).measure(&within).unwrap();
        let cells = frame.by_control();
        let names: Vec<_> = cells.iter().map(|(cell, _)| cell.to_string()).collect();
        assert_eq!(names, ["(null)", "< 65", "NaN", "≥ 65"]);
        assert_eq!(cells.iter().map(|(_, f)| f.total().rows()).sum::<u64>(), 8);
        // Over all cells the groups are those that there are without them.
        let plain = MemorySource::from(people()).measure(&counts()).unwrap();
        assert!(frame.groups().eq(plain.groups()));
        let text = serde_json::to_string(&frame).unwrap();
        assert_eq!(serde_json::from_str::<MetricFrame>(&text).unwrap(), frame);
    }

    #[test]
    fn weights_make_rates_and_what_is_none_names_its_group() {
        let rows = batch! {
            "g" => StringArray::from(vec!["a", "a", "b", "b"]),
            "p" => Int32Array::from(vec![1, 0, 1, 0]),
            "w" => Float64Array::from(vec![1.0, 3.0, 0.0, 0.0]),
        }
        .unwrap();
        let counts = GroupCounts::new("p", "1", ["g"]).with_weights("w");
        let frame = MemorySource::from(rows.clone()).measure(&counts).unwrap();
        let rates: Vec<_> = frame.by_group(Metric::SelectionRate).map(|(_, rate)| rate).collect();
        assert_eq!(rates[0].value, Some(0.25));
        assert!((rates[0].effective_n() - 1.6).abs() < 1e-15);
        assert_eq!(rates[1].to_string(), "undefined (all weights are 0)");
        for bad in [Some(f64::NAN), Some(-1.0), Some(f64::INFINITY), None] {
            let weights = Float64Array::from(vec![Some(1.0), Some(1.0), bad, Some(1.0)]);
            let mut columns = rows.columns().to_vec();
            columns[2] = Arc::new(weights);
            let schema = Arc::new(arrow::datatypes::Schema::new(vec![
                rows.schema().field(0).clone(),
                rows.schema().field(1).clone(),
                rows.schema().field(2).clone().with_nullable(true),
            ]));
            let rows = RecordBatch::try_new(schema, columns).unwrap();
            let error = MemorySource::from(rows).measure(&counts).unwrap_err().to_string();
            assert!(error.contains("`w`") && error.contains("group b"), "{error}");
        }
    }

    #[test]
    fn a_third_label_is_an_error_that_names_it_and_its_group() {
        let batch = batch! {
            "g" => StringArray::from(vec!["a", "b", "a"]),
            "p" => StringArray::from(vec!["yes", "no", "maybe"]),
        }
        .unwrap();
        let error =
            MemorySource::from(batch).measure(&GroupCounts::new("p", "yes", ["g"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`p`") && text.contains("`maybe`"), "{text}");
        assert!(text.contains("`no`") && text.contains("group b"), "{text}");
    }

    #[test]
    fn labels_and_predictions_of_different_types_meet() {
        let group = || StringArray::from(vec!["a", "a", "b", "b"]);
        let expected = Counts::confusion(1, 1, 1, 1);
        for positive in ["1", "1.0", "+1", "1e0"] {
            let rows = batch! {
                "g" => group(),
                "y" => Int32Array::from(vec![1, 0, 0, 1]),
                "p" => Float64Array::from(vec![1.0, 1.0, 0.0, -0.0]),
                "b" => BooleanArray::from(vec![true, true, false, false]),
            }
            .unwrap();
            for said in ["p", "b"] {
                if said == "b" && positive == "+1" {
                    continue;
                }
                let counts = GroupCounts::new(said, positive, ["g"]).with_labels("y");
                conformance::analyzer(&counts, &rows);
                let frame = MemorySource::from(rows.clone()).measure(&counts).unwrap();
                assert_eq!(*frame.total(), expected, "{said} {positive}");
            }
        }
        let rows = batch! {
            "g" => group(),
            "y" => StringArray::from(vec!["1", "0", "0", "1"]),
            "p" => Float64Array::from(vec![1.0, 1.0, 0.0, 0.0]),
        }
        .unwrap();
        let counts = GroupCounts::new("p", "1", ["g"]).with_labels("y");
        assert_eq!(*MemorySource::from(rows).measure(&counts).unwrap().total(), expected);
    }

    #[test]
    fn integers_that_are_one_float_are_told_apart() {
        let rows = batch! {
            "p" => Int64Array::from(vec![Some(1 << 53), Some((1 << 53) + 1), None]),
        }
        .unwrap();
        let of = |positive: &str| {
            let counts = GroupCounts::new("p", positive, Vec::<String>::new());
            MemorySource::from(rows.clone()).measure(&counts)
        };
        let total = of("9007199254740993").unwrap();
        let total = total.total();
        assert_eq!((total.unlabelled_positive, total.unlabelled_negative), (1, 1));
        assert!(of("yes").unwrap_err().to_string().contains("`p`"));
        assert!(of("NaN").is_err());
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
            let ids = StringArray::from_iter_values((0..n).map(|i| (i % 101).to_string()));
            let more = StringArray::from_iter_values((0..n).map(|i| (i / 101).to_string()));
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
    fn a_number_is_no_label() {
        let rows = batch! {
            "p" => Float64Array::from_iter_values((0..1001).map(f64::from)),
        }
        .unwrap();
        let counts = GroupCounts::new("p", "1", Vec::<String>::new());
        let error = MemorySource::from(rows).measure(&counts).unwrap_err().to_string();
        assert!(error.contains("`p`") && error.contains("1000"), "{error}");
    }

    #[test]
    fn counts_that_no_machine_can_hold_do_not_wrap() {
        let analyzer = counts();
        let mut state = analyzer.start();
        analyzer.update(&mut state, &Rows::new(&people())).unwrap();
        for _ in 0..70 {
            let again = state.clone();
            state.merge(again).unwrap();
        }
        let frame = analyzer.finish(state).unwrap();
        assert!(frame.total().rows() > 1 << 62);
        for metric in Metric::ALL {
            assert!(frame.overall(metric).value.is_some_and(|v| (0.0..=1.0).contains(&v)));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = counts().decode(&mut bytes.as_slice());
            let _ = counts().with_weights("w").decode(&mut bytes.as_slice());
        }

        #[test]
        fn mutated_bytes_never_panic(at in 0usize..1000, to in any::<u8>(), weighted: bool) {
            let analyzer = if weighted { counts().with_weights("w") } else { counts() };
            let mut state = analyzer.start();
            analyzer.update(&mut state, &Rows::new(&people())).unwrap();
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(mut state) = analyzer.decode(&mut bytes.as_slice()) {
                let again = state.clone();
                let _ = state.merge(again);
                let _ = analyzer.finish(state);
            }
        }
    }
}
