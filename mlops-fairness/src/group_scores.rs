//! Scores and labels by group: what ROC curves, calibration and losses come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::codes::{Codes, Keys, Label, Positive, outcomes};
use crate::cross_tab::CrossTab;
use crate::groups::{bad_weights, group, grouped, numbers, weights};
use crate::scores::{Bins, ScoreCounts, Scores};
use crate::{Group, Groups, MetricFrame};

/// Counts scores by group and label: ROC AUC, average precision, log loss, Brier score,
/// calibration and ABROCA come from it, and the counts at any threshold.
///
/// The groups are made as [`Groups`] says. Every different score of a group and label is kept
/// while there are at most as many as bins; beyond that its scores are counted by bin, of equal
/// width over a range: then an AUC is known up to bounds, about one in twice the number of bins.
/// The losses and means are exact in either case. A row whose label is null, or whose score is
/// null or NaN, is counted apart; a label that is not the positive one is negative.
///
/// With weights all is of Σw; a weight that is null, NaN, infinite or negative is an error that
/// names the group.
///
/// ```
/// use mlops_core::arrow::array::{Float64Array, Int32Array, StringArray};
/// use mlops_core::{DataSourceExt, MemorySource, batch};
/// use mlops_fairness::{GroupScores, ScoreMetric};
///
/// let source = MemorySource::from(batch! {
///     "sex" => StringArray::from(vec!["F", "F", "F", "M", "M", "M"]),
///     "paid" => Int32Array::from(vec![1, 0, 1, 1, 0, 0]),
///     "score" => Float64Array::from(vec![0.4, 0.5, 0.6, 0.9, 0.2, 0.1]),
/// }?);
/// let frame = source.measure(&GroupScores::new("paid", "1", "score", ["sex"]))?;
/// let auc: Vec<_> = frame.values(ScoreMetric::RocAuc).into_iter().map(|(_, v)| v).collect();
/// assert_eq!(auc, [Ok(0.5), Ok(1.0)]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupScores {
    /// The column of labels.
    pub y_true: String,
    /// The positive label, as text.
    pub positive: String,
    /// The column of scores, larger for the positive.
    pub y_score: String,
    /// The column of weights; without it every row weighs the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The bins of scores, as many as different scores are kept.
    #[serde(default)]
    pub score_bins: Bins,
    /// What makes the groups.
    pub groups: Groups,
}

grouped!(GroupScores);

impl GroupScores {
    /// Counts these columns by group, with 1,000 bins of `[0, 1]`.
    pub fn new<S: Into<String>>(
        y_true: impl Into<String>,
        positive: impl Into<String>,
        y_score: impl Into<String>,
        sensitive_features: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            y_true: y_true.into(),
            positive: positive.into(),
            y_score: y_score.into(),
            weight: None,
            score_bins: Bins::default(),
            groups: Groups::by(sensitive_features),
        }
    }

    /// The same with these bins of scores.
    #[must_use]
    pub fn with_score_bins(mut self, bins: Bins) -> Self {
        self.score_bins = bins;
        self
    }
}

/// What [`GroupScores`] remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupScoresState {
    tab: CrossTab<Scores>,
    options: (Bins, bool),
}

impl State for GroupScoresState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.options != other.options {
            return Err(Error::merge("scores by group", "their bins differ"));
        }
        self.tab.merge(other.tab, &self.options).ok_or_else(|| {
            Error::invalid("groups of two states", "combinations that fit a key", "more")
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.tab.encode(out);
    }

    fn size(&self) -> usize {
        self.tab.size()
    }
}

impl Analyzer for GroupScores {
    type State = GroupScoresState;
    type Output = MetricFrame<ScoreCounts>;

    fn columns(&self) -> Vec<String> {
        let columns = self.groups.columns().chain([&self.y_true, &self.y_score]);
        columns.chain(&self.weight).cloned().collect()
    }

    fn start(&self) -> GroupScoresState {
        GroupScoresState {
            tab: CrossTab::new(self.groups.len() + 1),
            options: (self.score_bins, self.weight.is_some()),
        }
    }

    fn update(&self, state: &mut GroupScoresState, rows: &Rows<'_>) -> Result<()> {
        self.score_bins.check()?;
        let mut codes: Vec<Arc<Codes>> = self.groups.codes(rows)?;
        let labels = Codes::of(rows, &self.y_true)?;
        let data_type = rows.column(&self.y_true)?.data_type();
        let found =
            outcomes(&self.y_true, data_type, &labels.labels, Positive::Label(&self.positive))?;
        // Which negative label it is makes no difference.
        let classes: Vec<u8> = found
            .iter()
            .map(|label| label.as_ref().map_or(2, |label| u8::from(**label == *self.positive)))
            .collect();
        let class_labels: Vec<Label> = classes
            .iter()
            .map(|&class| (class < 2).then(|| ["0", "1"][usize::from(class)].into()))
            .collect();
        let of_row: Vec<u8> = match &labels.rows {
            Keys::Bytes(codes) => codes.iter().map(|&code| classes[usize::from(code)]).collect(),
            Keys::Words(codes) => codes.iter().map(|&code| classes[code as usize]).collect(),
        };
        codes.push(labels);
        let columns: Vec<_> = codes.iter().map(|codes| &**codes).collect();
        let mut slices: Vec<&[Label]> =
            columns.iter().map(|codes| codes.labels.as_slice()).collect();
        slices.pop();
        slices.push(&class_labels);
        let scores = numbers(rows, &self.y_score)?;
        let weights = weights(rows, self.weight.as_deref())?;
        let values: Vec<_> = scores
            .into_iter()
            .zip(weights)
            .zip(of_row)
            .map(|((score, weight), class)| (score, weight, class))
            .collect();
        let weighted = self.weight.is_some();
        state
            .tab
            .group(&columns, &slices, &values, |cell, rows| {
                cell.take(rows, &self.score_bins, weighted);
            })
            .ok_or_else(|| self.groups.too_many())?;
        self.groups.limit(&state.tab)
    }

    fn finish(&self, state: GroupScoresState) -> Result<Self::Output> {
        let n = self.groups.len();
        let mut groups: BTreeMap<Group, ScoreCounts> = BTreeMap::new();
        for (labels, scores) in state.tab.into_cells() {
            let group = group(&labels[..n]);
            if scores.side.invalid > 0 {
                let rows = scores.side.invalid;
                return Err(bad_weights(self.weight.as_deref(), &group, rows));
            }
            let class = match labels[n].as_deref() {
                None => 2,
                Some("1") => 1,
                Some(_) => 0,
            };
            let counts = groups.entry(group).or_insert_with(|| ScoreCounts::new(self.score_bins));
            counts.set(class, scores);
        }
        Ok(self.groups.frame(groups))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<GroupScoresState> {
        let options = (self.score_bins, self.weight.is_some());
        self.score_bins.check()?;
        let tab = CrossTab::decode(self.groups.len() + 1, bytes, &options)?;
        self.groups.limit(&tab)?;
        Ok(GroupScoresState { tab, options })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("group_scores", 2, self))
    }
}
