//! The fairness gate: gaps held against bounds, at their confidence limits.

use mlops_core::{Assessment, Error, Finding, Result, Verdict};
use serde::{Deserialize, Serialize};

use super::frames::Frames;
use super::judging::Judging;
use super::rule::{Rule, is_default};
use crate::gap::{DifferenceLimits, Limits, RatioLimits};
use crate::measure::Question;

/// What becomes of groups that are too small to say anything about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmallGroups {
    /// They make the rule inconclusive, and the gate blocks.
    #[default]
    Inconclusive,
    /// The rule is judged without them, and a warning names them as not measured.
    SetAside,
}

/// Rules over group metrics, judged at confidence limits: a policy.
///
/// **Pass**: the confidence limit lies within the bound. **Fail**: the other limit lies outside.
/// **Inconclusive**: otherwise, or undefined, or a group is too small. The gate blocks on anything
/// but a pass, and a gate without rules is inconclusive.
///
/// Where the counts have control features a rule is judged within every cell of them, at limits
/// that hold for all cells together.
///
/// How many rows that asks for: a bound of 0.1 on the difference of selection rates, 30 % selected
/// (at twice the bound: 50 % in one group). 1,000 draws each, by `tests/coverage.rs`:
///
/// | rows a group | blocked at parity, 2 groups | 5 groups | passed at twice the bound, 2 or 5 |
/// |---:|---:|---:|---:|
/// | 50 | 100.0 % | 100.0 % | 0.0 % |
/// | 100 | 100.0 % | 100.0 % | 0.0 % |
/// | 200 | 81.0 % | 100.0 % | 0.0 % |
/// | 500 | 13.6 % | 96.4 % | 0.0 % |
/// | 1,000 | 0.3 % | 24.4 % | 0.0 % |
/// | 2,000 | 0.0 % | 0.1 % | 0.0 % |
/// | 5,000 | 0.0 % | 0.0 % | 0.0 % |
///
/// So a bound of 0.1 wants about 1,000 rows in each of two groups and 2,000 in each of five; with
/// fewer, the gate says that it does not know, and how many rows would do. Limits at 95 % hold the
/// true difference of two groups in 95.6 % of cases on average and nowhere in less than 93.6 % (50
/// rows each, rates from 5 % to 95 %, every outcome enumerated); of five groups, by simulation, in
/// 95.6 to 99.8 %.
///
/// ```
/// use mlops_core::Verdict;
/// use mlops_fairness::{Counts, FairnessGate, GapKind, Group, MetricFrame};
///
/// let group = |name: &str| Group { values: vec![Some(name.into())] };
/// let frame = MetricFrame::new(vec!["sex".into()], [
///     (group("F"), Counts::confusion(300, 100, 500, 100)), // 40 % selected
///     (group("M"), Counts::confusion(310, 100, 490, 100)), // 41 %
/// ]);
/// let gate = FairnessGate::new("fairness").rule(GapKind::DemographicParityDifference, "sex", 0.1);
/// assert_eq!(gate.judge(&frame).verdict, Verdict::Pass);
/// ```
///
/// As a file, JSON or with the feature `yaml` YAML (see [`load`](Self::load)):
///
/// ```
/// use mlops_fairness::FairnessGate;
/// let gate = FairnessGate::from_json(r#"{
///     "name": "hiring",
///     "min_group_size": 50,
///     "rules": [
///         {"metric": "demographic_parity", "operation": "ratio", "features": ["sex"], "bound": 0.8,
///          "description": "the four-fifths rule, at the confidence limit"},
///         {"metric": "accuracy", "operation": "group_min", "features": ["sex", "race"], "bound": 0.7}
///     ]
/// }"#)?;
/// assert_eq!(gate.rules.len(), 2);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FairnessGate {
    /// The gate's name.
    pub name: String,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The confidence of the limits, in (0, 1).
    #[serde(default = "default_confidence")]
    pub confidence: f64,
    /// The rows that a group must have: with a prediction, and with a label where the rule needs
    /// it. Rows without them are named in a warning.
    #[serde(default = "default_min_group_size")]
    pub min_group_size: u64,
    /// What becomes of smaller groups.
    #[serde(default)]
    pub small_groups: SmallGroups,
    /// Which limits differences have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub difference_limits: DifferenceLimits,
    /// Which limits ratios have.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ratio_limits: RatioLimits,
}

const fn default_confidence() -> f64 {
    0.95
}

const fn default_min_group_size() -> u64 {
    30
}

impl FairnessGate {
    /// A gate without rules, at 95 % confidence, for groups of at least 30 rows.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            rules: Vec::new(),
            confidence: default_confidence(),
            min_group_size: default_min_group_size(),
            small_groups: SmallGroups::default(),
            difference_limits: DifferenceLimits::default(),
            ratio_limits: RatioLimits::default(),
        }
    }

    /// The same with one more rule.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The same with one more rule on one feature.
    #[must_use]
    pub fn rule(
        self,
        question: impl Into<Question>,
        feature: impl Into<String>,
        bound: f64,
    ) -> Self {
        self.intersection(question, [feature], bound)
    }

    /// The same with one more rule on the intersections of features.
    #[must_use]
    pub fn intersection<S: Into<String>>(
        self,
        question: impl Into<Question>,
        features: impl IntoIterator<Item = S>,
        bound: f64,
    ) -> Self {
        self.with(Rule::new(question, features, bound))
    }

    /// The same at this confidence.
    #[must_use]
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// The same for groups of at least this many rows, and what becomes of smaller ones.
    #[must_use]
    pub fn min_group_size(mut self, rows: u64, small_groups: SmallGroups) -> Self {
        self.min_group_size = rows;
        self.small_groups = small_groups;
        self
    }

    /// The limits that gaps are judged at.
    pub fn limits(&self) -> Limits {
        Limits::new(self.confidence).difference(self.difference_limits).ratio(self.ratio_limits)
    }

    /// Checks that the gate can be used.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a confidence or bound outside its range, a bound that nothing can
    /// break (a difference of 1, a ratio of 0), or a rule without features; it names the rule.
    pub fn check(&self) -> Result<()> {
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::invalid("confidence", "a share such as 0.95", self.confidence));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            rule.check().map_err(|e| e.within(format!("rule {}", at + 1)))?;
        }
        Ok(())
    }

    /// The verdicts on what was measured: a frame of counts, of scores, of errors or of classes, or
    /// several ([`Frames`]). A rule about what was not measured is inconclusive.
    ///
    /// ```
    /// use mlops_core::Verdict;
    /// use mlops_core::arrow::array::{BooleanArray, Float64Array, StringArray};
    /// use mlops_core::{DataSourceExt, MemorySource, batch};
    /// use mlops_fairness::{FairnessGate, Frames, GroupCounts, GroupScores};
    ///
    /// let people = MemorySource::from(batch! {
    ///     "sex" => StringArray::from_iter_values((0..4000).map(|i| ["F", "M"][i % 2])),
    ///     "paid" => (0..4000).map(|i| Some(i / 2 % 5 < 3)).collect::<BooleanArray>(),
    ///     "score" => Float64Array::from_iter_values((0..4000).map(|i| f64::from(i / 2 % 4) / 4.0)),
    ///     "says" => (0..4000).map(|i| Some(i / 2 % 4 > 1)).collect::<BooleanArray>(),
    /// }?);
    /// let gate = FairnessGate::from_json(r#"{"name": "lending", "rules": [
    ///     {"metric": "demographic_parity", "features": ["sex"], "bound": 0.1},
    ///     {"metric": "roc_auc", "features": ["sex"], "bound": 0.1},
    ///     {"metric": "brier", "operation": "group_max", "features": ["sex"], "bound": 0.5}
    /// ]}"#)?;
    /// let counts = people.measure(&GroupCounts::new("says", "true", ["sex"]).with_labels("paid"))?;
    /// let scores = people.measure(&GroupScores::new("paid", "true", "score", ["sex"]))?;
    /// let found = gate.judge(Frames::from(&counts).scores(&scores));
    /// assert_eq!(found.verdict, Verdict::Pass);
    /// // What was not measured is no pass.
    /// assert_eq!(gate.judge(&counts).verdict, Verdict::Inconclusive);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    pub fn judge<'a>(&self, measured: impl Into<Frames<'a>>) -> Assessment {
        let measured = measured.into();
        let mut findings = Vec::new();
        if let Err(error) = self.check() {
            let expected = "a policy that can be judged";
            let found = error.to_string();
            let name = &self.name;
            findings.push(Finding::new("policy", name, Verdict::Inconclusive, expected, found));
            return Assessment::new(name, measured.rows(), findings);
        }
        for rule in &self.rules {
            let see = Judging { gate: self, rule };
            see.judge(&measured, &mut findings);
        }
        Assessment::new(&self.name, measured.rows(), findings)
    }
}
