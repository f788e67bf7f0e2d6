//! Labels of more than two classes by group: a table of labels and predictions for each.

use std::collections::{BTreeMap, BTreeSet};

use mlops_core::states::Moments;
use mlops_core::{Analyzer, Description, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::group_counts::{GroupCountsState, Tab};
use crate::groups::{group, grouped};
use crate::value::TOO_HEAVY;
use crate::{
    Counts, Group, GroupCell, GroupMetric, Groups, Method, Metric, MetricFrame, Undefined, Value,
};

/// Counts labels and predictions of any number of classes by group.
///
/// All is as in [`GroupCounts`](crate::GroupCounts), but no label is the positive one: each class
/// can be, against the rest ([`MetricFrame::one_vs_rest`]).
///
/// ```
/// use mlops_core::arrow::array::StringArray;
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_fairness::{GroupClasses, Metric};
///
/// let source = MemorySource::from(batch! {
///     "sex" => StringArray::from(vec!["F", "F", "F", "M", "M", "M"]),
///     "grade" => StringArray::from(vec!["a", "b", "c", "a", "b", "c"]),
///     "said" => StringArray::from(vec!["a", "b", "b", "a", "b", "c"]),
/// }?);
/// let frame = source.measure(&GroupClasses::new("grade", "said", ["sex"]))?;
/// let c = frame.one_vs_rest("c");
/// let rates: Vec<_> = c.by_group(Metric::TruePositiveRate).map(|(_, r)| r.value).collect();
/// assert_eq!(rates, [Some(0.0), Some(1.0)]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupClasses {
    /// The column of labels.
    pub y_true: String,
    /// The column of predicted labels.
    pub y_pred: String,
    /// The column of weights; without it every row weighs the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// What makes the groups.
    pub groups: Groups,
}

grouped!(GroupClasses);

impl GroupClasses {
    /// Counts these columns by group.
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

    fn tab(&self) -> Tab<'_> {
        Tab {
            groups: &self.groups,
            outcomes: vec![&self.y_true, &self.y_pred],
            positive: None,
            weight: self.weight.as_deref(),
        }
    }
}

impl Analyzer for GroupClasses {
    type State = GroupCountsState;
    type Output = MetricFrame<ClassCounts>;

    fn columns(&self) -> Vec<String> {
        self.tab().columns()
    }

    fn start(&self) -> GroupCountsState {
        self.tab().start()
    }

    fn update(&self, state: &mut GroupCountsState, rows: &Rows<'_>) -> Result<()> {
        self.tab().update(state, rows)
    }

    fn finish(&self, state: GroupCountsState) -> Result<Self::Output> {
        let n = self.groups.len();
        let mut groups: BTreeMap<Group, ClassCounts> = BTreeMap::new();
        for (labels, tally) in self.tab().cells(state)? {
            let text = |at: usize| labels[n + at].as_ref().map(ToString::to_string);
            let counts = groups.entry(group(&labels[..n])).or_default();
            counts.cells.push(ClassCell {
                label: text(0),
                predicted: text(1),
                rows: tally.rows,
                weights: tally.weights.map(|weights| weights.moments),
            });
        }
        Ok(self.groups.frame(groups))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<GroupCountsState> {
        self.tab().decode(bytes)
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("group_classes", 1, self))
    }
}

/// Rows of one group with a label and a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassCell {
    /// The label, `None` where there is none.
    pub label: Option<String>,
    /// The predicted label.
    pub predicted: Option<String>,
    /// How many rows there are.
    pub rows: u64,
    /// Σw and Σw², where rows are weighted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Moments>,
}

/// Rows of one group by label and prediction, of any number of classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Ordered by label and prediction.
    cells: Vec<ClassCell>,
}

/// How the values of classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Their mean: every class counts the same.
    Macro,
    /// Their mean by the rows, or the weight, that have the class as label.
    Weighted,
}

impl ClassCounts {
    /// The cells that have rows, in order of label and prediction.
    pub fn cells(&self) -> &[ClassCell] {
        &self.cells
    }

    /// The classes that are labels or predictions of rows that have both, in order.
    pub fn classes(&self) -> BTreeSet<&str> {
        let complete = self
            .cells
            .iter()
            .filter_map(|cell| cell.label.as_deref().zip(cell.predicted.as_deref()));
        complete.flat_map(|(label, predicted)| [label, predicted]).collect()
    }

    /// The counts with this class as the positive one and all others as the negative.
    pub fn one_vs_rest(&self, class: &str) -> Counts {
        let mut counts = Counts::default();
        let at =
            |text: &Option<String>| text.as_deref().map_or(2, |text| usize::from(text == class));
        for cell in &self.cells {
            let (label, predicted) = (at(&cell.label), at(&cell.predicted));
            let rows = counts.at(label, predicted);
            *rows = rows.saturating_add(cell.rows);
            if let Some(weights) = &cell.weights {
                counts.weights.get_or_insert_default().set(label, predicted, weights);
            }
        }
        counts
    }

    /// Rows that have a label and a prediction.
    pub fn complete(&self) -> u64 {
        let complete = self.cells.iter().filter(|c| c.label.is_some() && c.predicted.is_some());
        complete.fold(0, |rows, cell| rows.saturating_add(cell.rows))
    }

    /// Whether the prediction is the label, or is not, as a prediction that is positive where so.
    pub(crate) fn hits(&self, right: bool) -> Counts {
        let mut counts = Counts::default();
        for cell in self.cells.iter().filter(|c| c.label.is_some() && c.predicted.is_some()) {
            let hit = usize::from((cell.label == cell.predicted) == right);
            let rows = counts.at(2, hit);
            *rows = rows.saturating_add(cell.rows);
            if let Some(weights) = &cell.weights {
                counts.weights.get_or_insert_default().set(2, hit, weights);
            }
        }
        counts
    }

    /// The share of rows whose prediction is the label, in `[0, 1]`. scikit-learn:
    /// `accuracy_score`.
    ///
    /// # Errors
    /// [`Undefined`] without rows that have both.
    pub fn accuracy(&self) -> Value {
        let (mut right, mut all) = (Mass::default(), Mass::default());
        for cell in self.cells.iter().filter(|c| c.label.is_some() && c.predicted.is_some()) {
            all.add(cell);
            if cell.label == cell.predicted {
                right.add(cell);
            }
        }
        let whole = all.value();
        if whole.is_infinite() {
            Err(Undefined::new(TOO_HEAVY))
        } else if whole > 0.0 {
            Ok((right.value() / whole).min(1.0))
        } else {
            Err(Undefined::new("no rows with a label and a prediction"))
        }
    }

    /// A metric of each class against the rest as one number. scikit-learn: `average="macro"` and
    /// `average="weighted"`; the macro true-positive rate is `balanced_accuracy_score`.
    ///
    /// # Errors
    /// [`Undefined`] where a class has no value, or without rows that have a label and a
    /// prediction.
    #[expect(clippy::needless_pass_by_value, reason = "a metric is a name or a closure")]
    pub fn average(&self, metric: impl GroupMetric, average: Average) -> Value {
        let (mut sum, mut weight) = (0.0, 0.0);
        for class in self.classes() {
            let counts = self.one_vs_rest(class);
            let value = metric
                .measure(&counts)
                .map_err(|e| Undefined::new(format!("class {class}: {}", e.reason)))?;
            let [tp, _, _, fn_] = counts.weighted_confusion();
            let of_class = if average == Average::Macro { 1.0 } else { tp + fn_ };
            sum += of_class * value;
            weight += of_class;
        }
        if weight.is_infinite() {
            Err(Undefined::new(TOO_HEAVY))
        } else if weight > 0.0 {
            Ok(sum / weight)
        } else {
            Err(Undefined::new("no rows with a label and a prediction"))
        }
    }
}

/// Rows, or their weight.
#[derive(Default)]
struct Mass {
    rows: u64,
    weights: Option<Moments>,
}

impl Mass {
    fn add(&mut self, cell: &ClassCell) {
        self.rows = self.rows.saturating_add(cell.rows);
        if let Some(weights) = cell.weights {
            // Merging moments never fails.
            let _ = self.weights.get_or_insert_default().merge(weights);
        }
    }

    fn value(&self) -> f64 {
        self.weights.map_or(self.rows as f64, |weights| weights.sum())
    }
}

impl GroupCell for ClassCounts {
    fn add(&mut self, other: &Self) {
        if self.cells.is_empty() {
            self.cells.clone_from(&other.cells);
            return;
        }
        for cell in &other.cells {
            let key = (&cell.label, &cell.predicted);
            match self.cells.binary_search_by(|c| (&c.label, &c.predicted).cmp(&key)) {
                Err(at) => self.cells.insert(at, cell.clone()),
                Ok(at) => {
                    let mine = &mut self.cells[at];
                    mine.rows = mine.rows.saturating_add(cell.rows);
                    if let Some(weights) = cell.weights {
                        let _ = mine.weights.get_or_insert_default().merge(weights);
                    }
                }
            }
        }
    }

    fn rows(&self) -> u64 {
        self.cells.iter().fold(0, |rows, cell| rows.saturating_add(cell.rows))
    }
}

impl MetricFrame<ClassCounts> {
    /// All classes that occur, in order.
    pub fn classes(&self) -> Vec<String> {
        self.total().classes().into_iter().map(str::to_owned).collect()
    }

    /// The frame of this class against the rest: every metric of two classes.
    pub fn one_vs_rest(&self, class: &str) -> MetricFrame {
        self.map(|counts| counts.one_vs_rest(class))
    }

    /// The largest difference between groups of a metric of each class against the rest.
    pub fn differences(&self, metric: Metric, method: Method) -> Vec<(String, Value)> {
        let classes = self.classes().into_iter();
        classes
            .map(|class| {
                let value = self.one_vs_rest(&class).difference(metric, method);
                (class, value)
            })
            .collect()
    }
}
