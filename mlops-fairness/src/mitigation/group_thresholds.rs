//! Thresholds by group: a rule that is a file, and a model that decides by it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mlops_core::model::Predictions;
use mlops_core::stats::Draws;
use mlops_core::{Error, Model, Result, Rows};
use serde::{Deserialize, Serialize};

use super::groups::RowGroups;
use super::row_key::RowKeys;
use super::threshold_optimizer::{Decision, ThresholdOptimizer};
use super::tradeoff::{Cut, labels};
use crate::{Group, Groups, ScoreCounts};

/// A decision that does not look at the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// The share of rows that are decided so, in \[0, 1\].
    pub ignored: f64,
    /// Their probability of the positive class, in \[0, 1\].
    pub probability: f64,
}

/// The thresholds of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupRule {
    /// The group.
    pub group: Group,
    /// Two thresholds; equal ones decide without a draw.
    pub cuts: [Cut; 2],
    /// The share of rows that the first decides, in \[0, 1\].
    pub share: f64,
    /// What some rows get whatever their score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Constant>,
    /// What is expected of it, from the rows of the fit.
    pub expected: Expected,
}

/// Rates that a rule is expected to give a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Expected {
    /// Rows of the fit.
    pub rows: u64,
    /// The share of positive decisions.
    pub selection_rate: f64,
    /// Among positive labels.
    pub true_positive_rate: f64,
    /// Among negative labels.
    pub false_positive_rate: f64,
    /// The share of right decisions.
    pub accuracy: f64,
}

impl GroupRule {
    pub(super) fn new(
        group: Group,
        cuts: [Cut; 2],
        share: f64,
        constant: Option<Constant>,
        scores: &ScoreCounts,
    ) -> Self {
        let expected = Expected {
            rows: 0,
            selection_rate: 0.0,
            true_positive_rate: 0.0,
            false_positive_rate: 0.0,
            accuracy: 0.0,
        };
        let mut rule = Self { group, cuts, share, constant, expected };
        let (mut tp, mut fp) = (0.0, 0.0);
        for at in scores.points() {
            let p = rule.probability(at.score);
            tp += p * at.positives as f64;
            fp += p * at.negatives as f64;
        }
        let (negatives, positives) = labels(scores);
        // Neither is 0: such a group has no thresholds.
        let (p, n) = (positives as f64, negatives as f64);
        rule.expected = Expected {
            rows: positives.saturating_add(negatives),
            selection_rate: (tp + fp) / (p + n),
            true_positive_rate: tp / p,
            false_positive_rate: fp / n,
            accuracy: (tp + n - fp) / (p + n),
        };
        rule
    }

    /// The probability of a positive decision at a score.
    pub fn probability(&self, score: f64) -> f64 {
        let [first, second] = self.cuts.map(|cut| f64::from(u8::from(cut.selects(score))));
        let mixed =
            if first == second { first } else { self.share * first + (1.0 - self.share) * second };
        match self.constant {
            Some(Constant { ignored, probability }) => {
                ignored * probability + (1.0 - ignored) * mixed
            }
            None => mixed,
        }
    }

    fn check(&self) -> Result<()> {
        let mut shares = vec![("share", self.share)];
        if let Some(Constant { ignored, probability }) = self.constant {
            shares.extend([("share that is ignored", ignored), ("probability", probability)]);
        }
        for (what, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                let what = format!("{what} of group {}", self.group);
                return Err(Error::invalid(what, "a number in [0, 1]", share));
            }
        }
        if self.cuts.iter().any(|cut| matches!(cut, Cut::Above(at) if !at.is_finite())) {
            let what = format!("threshold of group {}", self.group);
            return Err(Error::invalid(what, "a finite number", "another"));
        }
        Ok(())
    }
}

/// Thresholds by group, chosen by a [`ThresholdOptimizer`]: a file, and with
/// [`apply_to`](Self::apply_to) a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupThresholds {
    /// How they were chosen.
    pub optimizer: ThresholdOptimizer,
    /// What makes the groups.
    pub by: Groups,
    /// The positive label.
    pub positive: String,
    /// The common rate.
    pub target: f64,
    /// The objective at it, on the rows of the fit.
    pub value: f64,
    /// The column that names a row, for its draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_id: Option<String>,
    groups: Vec<GroupRule>,
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'a str,
    version: u32,
    thresholds: &'a GroupThresholds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    format: String,
    version: u32,
    thresholds: GroupThresholds,
}

impl GroupThresholds {
    /// The name of the file's format.
    pub const FORMAT: &str = "mlops.group_thresholds";
    const VERSION: u32 = 1;

    pub(super) fn new(
        optimizer: ThresholdOptimizer,
        (by, positive): (Groups, String),
        target: f64,
        value: f64,
        groups: Vec<GroupRule>,
    ) -> Result<Self> {
        let found = Self { optimizer, by, positive, target, value, row_id: None, groups };
        found.check()?;
        Ok(found)
    }

    /// The groups' rules, in the order of the groups.
    pub fn groups(&self) -> &[GroupRule] {
        &self.groups
    }

    /// What is expected of the group of this number.
    ///
    /// # Panics
    /// Where there is no such group, as an index does.
    pub fn expected(&self, group: usize) -> Expected {
        self.groups[group].expected
    }

    /// The same, drawing by the value of this column, which names a row; without it a row is drawn
    /// by the values of all columns that the model reads, so that equal rows are decided alike.
    #[must_use]
    pub fn row_id(mut self, column: impl Into<String>) -> Self {
        self.row_id = Some(column.into());
        self
    }

    /// Whether a decision may have to be drawn.
    pub fn is_randomized(&self) -> bool {
        self.groups.iter().any(|rule| {
            let mixed = rule.cuts[0] != rule.cuts[1] && rule.share > 0.0 && rule.share < 1.0;
            mixed || rule.constant.is_some_and(|c| c.ignored > 0.0 && c.probability > 0.0)
        })
    }

    /// A model that decides by these thresholds on the scores of another: it reads what that reads
    /// and the sensitive features, and gives the decided class a score of 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] for thresholds that are out of range.
    pub fn apply_to<M: Model>(self, model: M) -> Result<ThresholdedModel> {
        self.check()?;
        Ok(ThresholdedModel::new(self, Arc::new(model)))
    }

    /// The bytes of its file: JSON, the same for the same thresholds.
    ///
    /// # Errors
    /// Only what the serialiser raises.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let written = Written { format: Self::FORMAT, version: Self::VERSION, thresholds: self };
        serde_json::to_vec(&written).map_err(|e| Error::other("writing thresholds", e))
    }

    /// What [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Error::Invalid`] for bytes that are no whole and valid file of this format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let read: Read = serde_json::from_slice(bytes).map_err(|e| {
            Error::invalid("thresholds by group", "a whole and valid file of this format", e)
        })?;
        if read.format != Self::FORMAT || read.version != Self::VERSION {
            return Err(Error::invalid(
                "thresholds by group",
                format!("format `{}`, version {}", Self::FORMAT, Self::VERSION),
                format!("format `{}`, version {}", read.format, read.version),
            ));
        }
        read.thresholds.check()?;
        Ok(read.thresholds)
    }

    fn check(&self) -> Result<()> {
        let width = self.by.sensitive_features.len();
        let mut last: Option<&Group> = None;
        for rule in &self.groups {
            rule.check()?;
            if rule.group.values.len() != width {
                let what = format!("values of group {}", rule.group);
                return Err(Error::invalid(what, width.to_string(), rule.group.values.len()));
            }
            if last.is_some_and(|last| *last >= rule.group) {
                let found = &rule.group;
                return Err(Error::invalid("groups", "each once, in ascending order", found));
            }
            last = Some(&rule.group);
        }
        if self.groups.is_empty() {
            return Err(Error::invalid("groups", "at least one", "none"));
        }
        Ok(())
    }
}

impl fmt::Display for GroupThresholds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objective = self.optimizer.objective;
        write!(
            f,
            "{} at {:.3}, {objective:?} {:.4}",
            self.optimizer.parity, self.target, self.value
        )?;
        let cut = |cut: Cut| match cut {
            Cut::Never => "never".to_owned(),
            Cut::Above(at) => format!("above {at:.4}"),
            Cut::Always => "always".to_owned(),
        };
        for rule in &self.groups {
            write!(f, "\n  {}: {}", rule.group, cut(rule.cuts[0]))?;
            if rule.cuts[0] != rule.cuts[1] {
                let percent = rule.share * 100.0;
                write!(f, " in {percent:.1} %, else {}", cut(rule.cuts[1]))?;
            }
            if let Some(Constant { ignored, probability }) = rule.constant
                && ignored > 0.0
            {
                let (ignored, probability) = (ignored * 100.0, probability * 100.0);
                write!(
                    f,
                    "; {ignored:.1} % whatever the score, {probability:.1} % of them positive"
                )?;
            }
        }
        Ok(())
    }
}

/// A model with its decisions made by [`GroupThresholds`].
///
/// Rows of a group that has no thresholds, and rows without a score, are predicted null: a group
/// that was not there when thresholds were chosen has none that were chosen for it.
#[derive(Clone, Debug)]
pub struct ThresholdedModel {
    thresholds: GroupThresholds,
    rule_of: BTreeMap<Group, usize>,
    model: Arc<dyn Model>,
    schema: SchemaRef,
    keyed: Vec<String>,
}

impl ThresholdedModel {
    fn new(thresholds: GroupThresholds, model: Arc<dyn Model>) -> Self {
        let inner = model.input_schema();
        let mut fields: Vec<_> = inner.fields().iter().cloned().collect();
        let also = thresholds.by.sensitive_features.iter().chain(&thresholds.row_id);
        for name in also {
            if fields.iter().all(|field| field.name() != name) {
                fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
            }
        }
        let keyed = match &thresholds.row_id {
            Some(id) => vec![id.clone()],
            None => inner.fields().iter().map(|field| field.name().clone()).collect(),
        };
        let rules = thresholds.groups.iter().enumerate();
        Self {
            rule_of: rules.map(|(at, rule)| (rule.group.clone(), at)).collect(),
            schema: Arc::new(Schema::new(fields)),
            thresholds,
            model,
            keyed,
        }
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &GroupThresholds {
        &self.thresholds
    }

    /// The probability of a positive decision for each row, before anything is drawn; null where
    /// there is no score or no rule.
    ///
    /// # Errors
    /// Those of the model, and of columns that are not there.
    pub fn probability(&self, batch: &RecordBatch) -> Result<Float64Array> {
        self.chances(batch, &self.model.predict(batch)?)
    }

    fn chances(&self, batch: &RecordBatch, predicted: &Predictions) -> Result<Float64Array> {
        let scores = predicted.score_of(&self.thresholds.positive)?;
        let rows = Rows::new(batch);
        let groups = RowGroups::by(&rows, &self.thresholds.by)?;
        let rules: Vec<Option<&GroupRule>> = groups
            .groups
            .iter()
            .map(|group| self.rule_of.get(group).map(|&at| &self.thresholds.groups[at]))
            .collect();
        Ok(groups
            .of_row
            .iter()
            .zip(&scores)
            .map(|(&group, score)| {
                let score = score.filter(|score| !score.is_nan())?;
                rules[group as usize].map(|rule| rule.probability(score))
            })
            .collect())
    }
}

impl Model for ThresholdedModel {
    fn input_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let predicted = self.model.predict(batch)?;
        let probability = self.chances(batch, &predicted)?;
        let positive = &self.thresholds.positive;
        let negative = match &predicted {
            Predictions::Scores { classes, .. } => classes.iter().find(|class| *class != positive),
            _ => None,
        };
        let negative = negative.cloned().unwrap_or_else(|| format!("not {positive}"));
        let decided: Float64Array = match self.thresholds.optimizer.decision {
            Decision::Randomized { seed } if self.thresholds.is_randomized() => {
                let keys = RowKeys::of(batch, &self.keyed)?;
                let decide = |(row, p): (usize, Option<f64>)| {
                    // Most rows are sure.
                    p.map(|p| match p {
                        p if p <= 0.0 => 0.0,
                        p if p >= 1.0 => 1.0,
                        p => f64::from(u8::from(Draws::new(seed, 0, keys.key(row)).bernoulli(p))),
                    })
                };
                probability.iter().enumerate().map(decide).collect()
            }
            _ => probability.iter().map(|p| p.map(|p| f64::from(u8::from(p >= 0.5)))).collect(),
        };
        Ok(Predictions::binary(&negative, &self.thresholds.positive, &decided))
    }
}
