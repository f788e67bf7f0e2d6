//! Scores and labels by group: what ROC curves, calibration and losses come from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::Array;
use mlops_core::bytes::{bad, put_len, put_str, put_u8, take_len, take_str, take_u8};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::codes::{Codes, Keys, Label, Positive, outcomes, plain};
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
/// null or NaN, is counted apart; a label that is not the positive one is negative. Where no row has
/// the positive one, what is undefined for it names the labels that there are.
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

/// Which labels there are, as long as none is the positive one.
#[derive(Clone, Debug, PartialEq)]
enum Labels {
    /// A row has the positive one.
    Positive,
    /// The first of the others.
    Others(BTreeSet<String>),
}

impl Labels {
    /// The most that are told of; one more is known.
    const TOLD: usize = 5;

    fn add(&mut self, label: &str, positive: &str) {
        let Self::Others(others) = self else { return };
        if label == positive {
            *self = Self::Positive;
        } else {
            others.insert(plain(label));
            if others.len() > Self::TOLD + 1 {
                others.pop_last();
            }
        }
    }

    fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Self::Positive) => *self = Self::Positive,
            (Self::Positive, _) => {}
            (Self::Others(mine), Self::Others(theirs)) => {
                mine.extend(theirs);
                while mine.len() > Self::TOLD + 1 {
                    mine.pop_last();
                }
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Positive => put_u8(out, 0),
            Self::Others(others) => {
                put_u8(out, 1);
                put_len(out, others.len());
                for label in others {
                    put_str(out, label);
                }
            }
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        match take_u8(bytes)? {
            0 => return Ok(Self::Positive),
            1 => {}
            tag => return Err(bad(bytes, "0 or 1", tag)),
        }
        let mut others = BTreeSet::new();
        let n = take_len(bytes, 8)?;
        for _ in 0..n {
            let label = take_str(bytes)?;
            if others.len() > Self::TOLD || others.last().is_some_and(|last| *last >= label) {
                return Err(bad(bytes, "a few labels in ascending order", format!("{label:?}")));
            }
            others.insert(label);
        }
        Ok(Self::Others(others))
    }

    /// That no row has the positive one, and which there are; `None` where one has it, or none has
    /// any.
    fn without(&self, positive: &str) -> Option<String> {
        let Self::Others(others) = self else { return None };
        if others.is_empty() {
            return None;
        }
        let told: Vec<_> =
            others.iter().take(Self::TOLD).map(|label| format!("`{label}`")).collect();
        let more = if others.len() > Self::TOLD { " and others" } else { "" };
        Some(format!("none is `{positive}`; there are {}{more}", told.join(", ")))
    }
}

/// What [`GroupScores`] remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupScoresState {
    tab: CrossTab<Scores>,
    labels: Labels,
    options: (Bins, bool),
}

impl State for GroupScoresState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.options != other.options {
            return Err(Error::merge("scores by group", "their bins differ"));
        }
        self.tab.merge(other.tab, &self.options)?;
        self.labels.merge(other.labels);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.tab.encode(out);
        self.labels.encode(out);
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
            labels: Labels::Others(BTreeSet::new()),
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
        if let Labels::Others(_) = state.labels {
            let there = found.iter().zip(labels.used()).filter(|(_, used)| *used);
            for label in there.filter_map(|(label, _)| label.as_deref()) {
                state.labels.add(label, &self.positive);
            }
        }
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
        let absent = state.labels.without(&self.positive);
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
            let counts = groups
                .entry(group)
                .or_insert_with(|| ScoreCounts::new(self.score_bins, absent.clone()));
            counts.set(class, scores);
        }
        Ok(self.groups.frame(groups))
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<GroupScoresState> {
        let options = (self.score_bins, self.weight.is_some());
        self.score_bins.check()?;
        let tab = CrossTab::decode(self.groups.len() + 1, bytes, &options)?;
        self.groups.limit(&tab)?;
        let labels = Labels::decode(bytes)?;
        Ok(GroupScoresState { tab, labels, options })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("group_scores", 3, self))
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Float64Array, Int32Array, StringArray};
    use mlops_core::{DataSourceExt, MemorySource, batch};

    use super::*;
    use crate::ScoreMetric;

    /// Why the area under the ROC curve is undefined.
    fn reason(labels: Vec<Option<&str>>, positive: &str) -> String {
        let n = labels.len();
        let rows = batch! {
            "g" => StringArray::from_iter_values((0..n).map(|i| ["a", "b"][i % 2])),
            "y" => StringArray::from(labels),
            "s" => Float64Array::from_iter_values((0..n).map(|i| i as f64 / n as f64)),
        };
        let source = MemorySource::from(rows.unwrap());
        let frame = source.measure(&GroupScores::new("y", positive, "s", ["g"])).unwrap();
        let both = frame.values(ScoreMetric::RocAuc).into_iter().map(|(_, value)| value);
        let mut both = both.chain([ScoreMetric::RocAuc.value(frame.total())]);
        let first = both.next().unwrap().unwrap_err();
        assert!(both.all(|value| value == Err(first.clone())));
        first.reason.into_owned()
    }

    #[test]
    fn a_positive_label_that_no_row_has_is_told_with_those_that_there_are() {
        let there = vec![Some("no"), Some("maybe"), None, Some("no"), Some("no")];
        let none = "no positive labels: none is `yes`; there are `maybe`, `no`";
        assert_eq!(reason(there, "yes"), none);
        let many: Vec<_> = ["f", "e", "d", "c", "b", "a", "g"].map(Some).to_vec();
        let told = reason([many.clone(), many].concat(), "1");
        assert!(told.ends_with("`a`, `b`, `c`, `d`, `e` and others"), "{told}");
        assert_eq!(reason(vec![None; 4], "yes"), "no positive labels");
        // Only one group lacks it.
        let rows = batch! {
            "g" => StringArray::from(vec!["a", "a", "b", "b"]),
            "y" => Int32Array::from(vec![0, 1, 0, 0]),
            "s" => Float64Array::from(vec![0.1, 0.9, 0.2, 0.3]),
        };
        let source = MemorySource::from(rows.unwrap());
        let frame = source.measure(&GroupScores::new("y", "1", "s", ["g"])).unwrap();
        let of_b = frame.values(ScoreMetric::AveragePrecision).remove(1).1;
        assert_eq!(of_b.unwrap_err().reason, "no positive labels");
    }
}
