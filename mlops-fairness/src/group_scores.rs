//! Scores and labels by group: what ROC curves, calibration and losses come from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::Array;
use mlops_core::bytes::{
    add_count, bad, put_f64, put_len, put_u8, put_u32, put_u64, take_count, take_f64, take_len,
    take_u8, take_u32,
};
use mlops_core::states::{Moments, Sum};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::{Deserialize, Serialize};

use crate::codes::{Codes, Keys, Label, Positive, outcomes};
use crate::cross_tab::{Cell, CrossTab};
use crate::groups::{bad_weights, group, grouped, numbers, weights};
use crate::scores::{Bins, ScoreCounts, Side, WeightedSide};
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

/// Rows of one score, or of one bin of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    pub(crate) rows: u64,
    /// Of a bin Σs; of one score nothing, because it is known.
    pub(crate) scores: Sum,
    pub(crate) weight: Sum,
}

impl Entry {
    pub(crate) fn merge(&mut self, other: &Self) {
        add_count(&mut self.rows, other.rows);
        // Merging sums never fails.
        let _ = self.scores.merge(other.scores);
        let _ = self.weight.merge(other.weight);
    }
}

/// A number so many times, as if it had been added so often.
pub(crate) fn times(x: f64, n: u64) -> Sum {
    let (mut all, mut power) = (Sum::new(), Sum::new());
    power.add(x);
    let mut left = n;
    while left > 0 {
        if left & 1 == 1 {
            let _ = all.merge(power);
        }
        let _ = power.merge(power);
        left >>= 1;
    }
    all
}

/// Scores with their rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Table {
    /// By the bits of the score.
    Exact(HashMap<u64, Entry>),
    Binned(Vec<Entry>),
}

impl Default for Table {
    fn default() -> Self {
        Self::Exact(HashMap::new())
    }
}

/// What is known of the scores of one group and label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scores {
    pub(crate) side: Side,
    pub(crate) table: Table,
}

impl Scores {
    /// Takes in rows of a score, a weight and the class: negative, positive or none.
    fn take(&mut self, rows: &[(f64, f64, u8)], bins: &Bins, weighted: bool) {
        self.side.take(rows, weighted);
        for &(score, weight, class) in rows {
            if class < 2 && !score.is_nan() && weight.is_finite() {
                self.add(score + 0.0, weight, weighted, bins);
            }
        }
    }

    fn add(&mut self, score: f64, weight: f64, weighted: bool, bins: &Bins) {
        let entry = match &mut self.table {
            Table::Exact(scores) => scores.entry(score.to_bits()).or_default(),
            Table::Binned(entries) => {
                let entry = &mut entries[bins.of(score)];
                entry.scores.add(score);
                entry
            }
        };
        add_count(&mut entry.rows, 1);
        if weighted {
            entry.weight.add(weight);
        }
        if matches!(&self.table, Table::Exact(scores) if scores.len() > bins.n as usize) {
            self.table.bin(bins);
        }
    }
}

impl Table {
    /// By bins from here on.
    pub(crate) fn bin(&mut self, bins: &Bins) {
        let Self::Exact(scores) = self else { return };
        let mut entries = vec![Entry::default(); bins.n as usize];
        for (&bits, entry) in scores.iter() {
            let score = f64::from_bits(bits);
            let scores = times(score, entry.rows);
            entries[bins.of(score)].merge(&Entry { scores, ..*entry });
        }
        *self = Self::Binned(entries);
    }
}

impl Cell for Scores {
    /// The bins, and whether there are weights.
    type Options = (Bins, bool);
    const BYTES: usize = 40;

    fn is_empty(&self) -> bool {
        self.side.rows == 0
    }

    fn merge(&mut self, mut other: Self, (bins, _): &(Bins, bool)) {
        self.side.merge(&other.side);
        let joined = match (&mut self.table, &mut other.table) {
            (Table::Exact(mine), Table::Exact(theirs)) => {
                for (&bits, entry) in theirs.iter() {
                    mine.entry(bits).or_default().merge(entry);
                }
                mine.len() <= bins.n as usize
            }
            _ => false,
        };
        if joined {
            return;
        }
        let both_exact = matches!((&self.table, &other.table), (Table::Exact(_), Table::Exact(_)));
        self.table.bin(bins);
        if both_exact {
            // Theirs is among mine.
            return;
        }
        other.table.bin(bins);
        if let (Table::Binned(mine), Table::Binned(theirs)) = (&mut self.table, &other.table) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.merge(theirs));
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.side.encode(out);
        let weight = |out: &mut Vec<u8>, entry: &Entry| {
            if self.side.weighted.is_some() {
                entry.weight.encode(out);
            }
        };
        match &self.table {
            Table::Exact(scores) => {
                put_u8(out, 0);
                let mut sorted: Vec<_> =
                    scores.iter().map(|(&bits, entry)| (f64::from_bits(bits), entry)).collect();
                sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
                put_len(out, sorted.len());
                for (score, entry) in sorted {
                    put_f64(out, score);
                    put_u64(out, entry.rows);
                    weight(out, entry);
                }
            }
            Table::Binned(entries) => {
                put_u8(out, 1);
                let there = || (0_u32..).zip(entries).filter(|(_, entry)| entry.rows > 0);
                put_len(out, there().count());
                for (bin, entry) in there() {
                    put_u32(out, bin);
                    put_u64(out, entry.rows);
                    entry.scores.encode(out);
                    weight(out, entry);
                }
            }
        }
    }

    fn decode(bytes: &mut &[u8], (bins, weighted): &(Bins, bool)) -> Result<Self> {
        let side = Side::decode(bytes, *weighted)?;
        let weight = |bytes: &mut &[u8]| {
            if side.weighted.is_some() { Sum::decode(bytes) } else { Ok(Sum::new()) }
        };
        let exact = match take_u8(bytes)? {
            0 => true,
            1 => false,
            tag => return Err(bad(bytes, "0 or 1", tag)),
        };
        let n = take_len(bytes, 12)?;
        let (mut rows, mut last) = (0_u64, None);
        let mut table = if exact {
            if n > bins.n as usize {
                return Err(bad(bytes, format!("at most {} scores", bins.n), n));
            }
            Table::default()
        } else {
            Table::Binned(vec![Entry::default(); bins.n as usize])
        };
        for _ in 0..n {
            let at = if exact { take_f64(bytes)? } else { f64::from(take_u32(bytes)?) };
            let count = take_count(bytes)?;
            let scores = if exact { Sum::new() } else { Sum::decode(bytes)? };
            let entry = Entry { rows: count, scores, weight: weight(bytes)? };
            if at.is_nan()
                || (at == 0.0 && at.is_sign_negative())
                || last.is_some_and(|last| at <= last)
                || count == 0
            {
                return Err(bad(bytes, "scores in ascending order that have rows", at));
            }
            last = Some(at);
            rows = rows.saturating_add(count);
            match &mut table {
                Table::Exact(found) => drop(found.insert(at.to_bits(), entry)),
                Table::Binned(entries) => {
                    let Some(place) = entries.get_mut(at as usize) else {
                        return Err(bad(bytes, format!("one of {} bins", bins.n), at));
                    };
                    *place = entry;
                }
            }
        }
        if rows != side.scored() {
            return Err(bad(bytes, format!("scores of {} rows", side.scored()), rows));
        }
        if !exact && n == 0 {
            return Err(bad(bytes, "bins that have rows", "none"));
        }
        Ok(Self { side, table })
    }

    fn size(&self) -> usize {
        let entries = match &self.table {
            Table::Exact(scores) => scores.len(),
            Table::Binned(entries) => entries.len(),
        };
        size_of::<Self>() + entries * size_of::<Entry>()
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

impl Side {
    /// Takes in rows of a score, a weight and the class: negative, positive or none.
    fn take(&mut self, rows: &[(f64, f64, u8)], weighted: bool) {
        add_count(&mut self.rows, rows.len() as u64);
        let mut columns: [Vec<f64>; 3] = Default::default();
        let mut weights = Vec::new();
        for &(score, weight, class) in rows {
            if !weight.is_finite() {
                self.invalid += 1;
                continue;
            }
            if class > 1 || score.is_nan() {
                self.unscored += 1;
                continue;
            }
            if weighted {
                weights.push(weight);
            }
            if !(0.0..=1.0).contains(&score) {
                self.outside += 1;
                continue;
            }
            let residual = score - f64::from(class);
            // As far from 0 and 1 as scikit-learn keeps them.
            let p = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            let loss = -if class == 1 { p.ln() } else { (-p).ln_1p() };
            let square = residual * residual;
            for (column, x) in columns.iter_mut().zip([residual, square, loss]) {
                column.push(x);
            }
            if weighted {
                let sums = &mut self.weighted.get_or_insert_default().sums;
                let terms = [1.0, residual, square, square * square, loss, loss * loss];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    sum.add(weight * term);
                }
            }
        }
        let [residuals, squares, losses] = columns;
        self.residuals.add_slice(&residuals);
        self.squares.add_slice(&squares);
        self.losses.add_slice(&losses);
        if weighted {
            self.weighted.get_or_insert_default().weights.add_slice(&weights);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.unscored, other.unscored);
        add_count(&mut self.invalid, other.invalid);
        add_count(&mut self.outside, other.outside);
        // Merging sums never fails.
        let _ = self.residuals.merge(other.residuals);
        let _ = self.squares.merge(other.squares);
        let _ = self.losses.merge(other.losses);
        if let Some(theirs) = &other.weighted {
            let mine = self.weighted.get_or_insert_default();
            let _ = mine.weights.merge(theirs.weights);
            for (mine, theirs) in mine.sums.iter_mut().zip(theirs.sums) {
                let _ = mine.merge(theirs);
            }
        }
    }

    /// Rows that have a score.
    pub(crate) fn scored(&self) -> u64 {
        self.residuals.n().saturating_add(self.outside)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for n in [self.rows, self.unscored, self.invalid, self.outside] {
            put_u64(out, n);
        }
        for moments in [&self.residuals, &self.squares, &self.losses] {
            moments.encode(out);
        }
        if let Some(weighted) = &self.weighted {
            weighted.weights.encode(out);
            weighted.sums.iter().for_each(|sum| sum.encode(out));
        }
    }

    fn decode(bytes: &mut &[u8], weighted: bool) -> Result<Self> {
        let mut side = Self {
            rows: take_count(bytes)?,
            unscored: take_count(bytes)?,
            invalid: take_count(bytes)?,
            outside: take_count(bytes)?,
            residuals: Moments::decode(bytes)?,
            squares: Moments::decode(bytes)?,
            losses: Moments::decode(bytes)?,
            weighted: None,
        };
        let known = side.scored().saturating_add(side.unscored).saturating_add(side.invalid);
        let n = side.residuals.n();
        if known != side.rows || side.squares.n() != n || side.losses.n() != n {
            return Err(bad(bytes, format!("scores of {} rows", side.rows), known));
        }
        if weighted {
            let weights = Moments::decode(bytes)?;
            if weights.n() != side.scored() {
                let expected = format!("weights of {} rows", side.scored());
                return Err(bad(bytes, expected, weights.n()));
            }
            let mut sums: [Sum; 6] = Default::default();
            for sum in &mut sums {
                *sum = Sum::decode(bytes)?;
            }
            side.weighted = Some(Box::new(WeightedSide { weights, sums }));
        }
        Ok(side)
    }
}
