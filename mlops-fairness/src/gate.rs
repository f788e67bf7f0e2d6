//! The fairness gate: gaps held against bounds, at their confidence limits.

use std::fmt;

use arrow::datatypes::Schema;
use mlops_core::{Assessment, Error, Finding, Judge, Plan, Result, Severity, Validator, Verdict};
use serde::de::{Error as DeError, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::estimate::{Estimates, Scale};
use crate::gap::{self, DifferenceLimits, Limits, RatioLimits};
use crate::measure::{Measure, Operation, Question};
use crate::{Frames, Gap, Group, Measured, Method, MetricFrame};

/// What is held against the bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum At {
    /// The confidence limit: it passes where it is sure.
    #[default]
    ConfidenceLimit,
    /// The value itself, however few rows it comes from.
    Point,
}

/// What a group is that has no value: no positives, no rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenUndefined {
    /// It makes the rule inconclusive, and the gate blocks.
    #[default]
    Inconclusive,
    /// It makes the rule fail.
    Fail,
    /// The rule is judged without it, and a warning names it as not measured.
    SetAside,
}

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

/// One rule of a gate.
///
/// ```
/// use mlops_fairness::{GapKind, Measure, Metric, Operation, Rule};
/// let parity = Rule::new(GapKind::DemographicParityDifference, ["sex"], 0.1);
/// let accurate = Rule::new((Measure::Rate(Metric::Accuracy), Operation::GroupMin), ["sex"], 0.8);
/// assert_eq!(accurate.name(), "accuracy_group_min");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// The metric or criterion.
    pub metric: Measure,
    /// Of more than two classes the one that is the positive one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How the groups' values become one.
    #[serde(default)]
    pub operation: Operation,
    /// What groups are compared with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub method: Method,
    /// The sensitive feature whose values are the groups; several for their intersections.
    #[serde(deserialize_with = "list")]
    pub features: Vec<String>,
    /// The most that a difference or the highest value may be, the least that a ratio or the lowest
    /// value must be.
    pub bound: f64,
    /// What is held against it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at: At,
    /// The rows that a group must have, where the gate's own number will not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_group_size: Option<u64>,
    /// What a group without a value is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub undefined: WhenUndefined,
    /// How much it matters; only critical rules block.
    #[serde(default, skip_serializing_if = "is_default")]
    pub severity: Severity,
    /// Why it is there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A list of names; a name alone is told how to become one.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of features, as `[sex]`")
        }

        fn visit_str<E: DeError>(self, name: &str) -> Result<Vec<String>, E> {
            Err(E::custom(format_args!("expected a list of features: `[{name}]`")))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = items.next_element()? {
                names.push(name);
            }
            Ok(names)
        }
    }

    from.deserialize_any(List)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Rule {
    /// A rule on the groups of these features, at the confidence limit.
    pub fn new<S: Into<String>>(
        question: impl Into<Question>,
        features: impl IntoIterator<Item = S>,
        bound: f64,
    ) -> Self {
        let Question { metric, operation, method } = question.into();
        Self {
            metric,
            class: None,
            operation,
            method,
            features: features.into_iter().map(Into::into).collect(),
            bound,
            at: At::default(),
            min_group_size: None,
            undefined: WhenUndefined::default(),
            severity: Severity::default(),
            description: None,
        }
    }

    /// The same with this class, of more than two, as the positive one.
    #[must_use]
    pub fn class(mut self, class: impl Into<String>) -> Self {
        self.class = Some(class.into());
        self
    }

    /// The same, its value itself held against the bound.
    #[must_use]
    pub fn at_point(mut self) -> Self {
        self.at = At::Point;
        self
    }

    /// The same for groups of at least this many rows.
    #[must_use]
    pub fn min_group_size(mut self, rows: u64) -> Self {
        self.min_group_size = Some(rows);
        self
    }

    /// The same, where a group without a value is this.
    #[must_use]
    pub fn undefined(mut self, what: WhenUndefined) -> Self {
        self.undefined = what;
        self
    }

    /// The same, mattering this much.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// What it asks.
    pub fn question(&self) -> Question {
        Question { metric: self.metric, operation: self.operation, method: self.method }
    }

    /// Its name: `equalized_odds_difference`.
    pub fn name(&self) -> String {
        self.question().name()
    }

    /// What it is asked of: `sex × race`, `sex, class c`.
    fn subject(&self) -> String {
        let features = self.features.join(" × ");
        match &self.class {
            None => features,
            Some(class) => format!("{features}, class {class}"),
        }
    }

    fn check(&self) -> Result<()> {
        let (bound, name, scale) = (self.bound, self.name(), self.metric.scale());
        // What nothing can break is no rule.
        let share = bound > 0.0 && bound <= 1.0;
        let (useful, expected) = match (self.operation, scale) {
            (Operation::Ratio, _) | (Operation::GroupMin, Scale::Unit) => {
                (share, "a number in (0, 1]")
            }
            (Operation::Difference | Operation::GroupMax, Scale::Unit) => {
                ((0.0..1.0).contains(&bound), "a number in [0, 1)")
            }
            (Operation::GroupMin, Scale::Positive) => {
                (bound > 0.0 && bound.is_finite(), "a number above 0")
            }
            (Operation::GroupMin | Operation::GroupMax, Scale::Signed) => {
                (bound.is_finite(), "a number")
            }
            (Operation::Difference, _) | (Operation::GroupMax, Scale::Positive) => {
                (bound >= 0.0 && bound.is_finite(), "a number that is not negative")
            }
        };
        if !useful {
            return Err(Error::invalid(format!("bound of {name}"), expected, bound));
        }
        if self.features.is_empty() {
            let what = format!("features of {name}");
            return Err(Error::invalid(what, "a sensitive feature", "none"));
        }
        if self.class.is_some() && matches!(self.metric, Measure::Score(_) | Measure::Error(_)) {
            let what = format!("class of {name}");
            let expected = "none: only counts of labels and predictions have classes";
            return Err(Error::invalid(what, expected, self.class.as_deref().unwrap_or_default()));
        }
        if !self.operation.compares() && self.method != Method::BetweenGroups {
            let what = format!("method of {name}");
            return Err(Error::invalid(what, "none: it compares no groups", "to_overall"));
        }
        self.question().check()
    }

    pub(crate) fn judge(&self, gap: &Gap) -> Verdict {
        let floor = self.operation.has_floor();
        let inside = |x: f64| if floor { x >= self.bound } else { x <= self.bound };
        let (good, bad) = match self.at {
            At::Point => (gap.value, gap.value),
            At::ConfidenceLimit if floor => (gap.interval.low, gap.interval.high),
            At::ConfidenceLimit => (gap.interval.high, gap.interval.low),
        };
        if inside(good) {
            Verdict::Pass
        } else if inside(bad) {
            Verdict::Inconclusive
        } else {
            Verdict::Fail
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.operation.has_floor() { "≥" } else { "≤" };
        write!(f, "{} by {} {sign} {}", self.name(), self.subject(), self.bound)
    }
}

impl From<(Measure, Operation)> for Question {
    fn from((metric, operation): (Measure, Operation)) -> Self {
        Self::new(metric, operation)
    }
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

    /// The gate as a validator of a table that has the columns of labels, predictions or scores, and
    /// sensitive features: of [`GroupCounts`](crate::GroupCounts), and with
    /// [`also`](FairnessValidator::also) of further measurements.
    pub fn on(self, measured: impl Into<Measured>) -> FairnessValidator {
        FairnessValidator { gate: self, measured: measured.into() }
    }

    /// The rules that are inconclusive for want of rows: each with the rows of its smallest group
    /// now, and how many it takes if the values stay as they are; `None` where the value lies at
    /// the bound itself, so that no number would do.
    pub fn unsettled<'a>(&self, measured: impl Into<Frames<'a>>) -> Vec<(&Rule, u64, Option<u64>)> {
        let measured = measured.into();
        let needs = |rule| {
            let see = Judging { gate: self, rule };
            see.needs(&measured).map(|(now, then)| (rule, now, then))
        };
        self.rules.iter().filter_map(needs).collect()
    }
}

/// A rule of a gate, being judged.
struct Judging<'a> {
    gate: &'a FairnessGate,
    rule: &'a Rule,
}

/// Does the same with a frame of any kind.
macro_rules! with_frame {
    ($rule:expr, $measured:expr, |$frame:ident| $do:expr, |$why:ident| $else:expr) => {
        match $measured.of($rule.metric, $rule.class.as_deref()) {
            Ok(crate::frames::Frame::Counts($frame)) => $do,
            Ok(crate::frames::Frame::OneClass($frame)) => {
                let $frame = &$frame;
                $do
            }
            Ok(crate::frames::Frame::Classes($frame)) => $do,
            Ok(crate::frames::Frame::Scores($frame)) => $do,
            Ok(crate::frames::Frame::Errors($frame)) => $do,
            Err($why) => $else,
        }
    };
}
pub(crate) use with_frame;

impl Judging<'_> {
    fn judge(&self, measured: &Frames<'_>, findings: &mut Vec<Finding>) {
        with_frame!(self.rule, measured, |frame| self.judge_frame(frame, findings), |why| {
            let say = speaker(self.rule, self.rule.subject(), self.gate.confidence);
            findings.push(say(Verdict::Inconclusive, why));
        });
    }

    fn judge_frame<C: Estimates>(&self, frame: &MetricFrame<C>, findings: &mut Vec<Finding>) {
        let Self { gate, rule } = *self;
        let say = speaker(rule, rule.subject(), gate.confidence);
        let frame = match frame.features_of(&rule.features) {
            Ok(frame) => frame,
            Err(error) => {
                findings.push(say(Verdict::Inconclusive, error.to_string()));
                return;
            }
        };
        if frame.control_features().is_empty() {
            self.judge_cell(&frame, gate.limits(), &say, findings);
            return;
        }
        let cells = frame.by_control();
        if cells.is_empty() {
            findings.push(say(Verdict::Inconclusive, "there are no rows".to_owned()));
        }
        let mut limits = gate.limits();
        limits.confidence = 1.0 - (1.0 - gate.confidence) / cells.len().max(1) as f64;
        let controls = frame.control_features().join(" × ");
        for (cell, frame) in &cells {
            let subject = format!("{} where {controls} is {cell}", rule.subject());
            let say = speaker(rule, subject, limits.confidence);
            self.judge_cell(frame, limits, &say, findings);
        }
    }

    /// The groups that are large enough, and the names of the others.
    fn large<C: Estimates>(&self, frame: &MetricFrame<C>) -> (MetricFrame<C>, Vec<Group>) {
        let least = self.rule.min_group_size.unwrap_or(self.gate.min_group_size);
        frame.split(|cell| cell.asked(self.rule.metric) >= least)
    }

    fn judge_cell<C: Estimates>(
        &self,
        frame: &MetricFrame<C>,
        limits: Limits,
        say: &dyn Fn(Verdict, String) -> Finding,
        findings: &mut Vec<Finding>,
    ) {
        let Self { gate, rule } = *self;
        let question = rule.question();
        let missing: Vec<_> = frame
            .groups()
            .map(|(group, cell)| (group, cell.rows().saturating_sub(cell.asked(rule.metric))))
            .filter(|(_, rows)| *rows > 0)
            .map(|(group, rows)| format!("{rows} in {group}"))
            .collect();
        let warn = |observed: String| {
            say(Verdict::Inconclusive, observed).with_severity(rule.severity.min(Severity::Warning))
        };
        if !missing.is_empty() {
            let observed = format!("rows without a label or prediction: {}", few(&missing));
            findings.push(warn(observed));
        }
        let (mut kept, small) = self.large(frame);
        if !small.is_empty() {
            let least = rule.min_group_size.unwrap_or(gate.min_group_size);
            let observed = format!("fewer than {least} rows in: {}", few(&names(&small)));
            match gate.small_groups {
                SmallGroups::Inconclusive => {
                    findings.push(say(Verdict::Inconclusive, observed));
                    return;
                }
                SmallGroups::SetAside => findings.push(warn(format!("not measured, {observed}"))),
            }
        }
        if rule.undefined != WhenUndefined::Inconclusive {
            let parts = rule.metric.parts();
            let (defined, without) =
                kept.split(|cell| parts.iter().all(|&part| cell.estimate(part, 1.0).is_ok()));
            if !without.is_empty() {
                let observed = format!("it is undefined in: {}", few(&names(&without)));
                if rule.undefined == WhenUndefined::Fail {
                    findings.push(say(Verdict::Fail, observed));
                    return;
                }
                findings.push(warn(format!("not measured, {observed}")));
                kept = defined;
            }
        }
        let gap = match gap::of(&kept, question, limits) {
            Ok(gap) => gap,
            Err(error) => {
                findings.push(say(Verdict::Inconclusive, error.to_string()));
                return;
            }
        };
        let verdict = rule.judge(&gap);
        let mut observed = gap.to_string();
        if verdict == Verdict::Inconclusive
            && let Some(times) = rows_needed(rule, &kept, limits)
        {
            observed = format!(
                "{observed}; about {times:.1} times the rows would settle it at these values"
            );
        }
        let (low, high) = (gap.interval.low, gap.interval.high);
        findings.push(say(verdict, observed).with_value(gap.value).with_interval(low, high));
    }

    fn needs(&self, measured: &Frames<'_>) -> Option<(u64, Option<u64>)> {
        with_frame!(self.rule, measured, |frame| self.needs_of(frame), |_why| None)
    }

    fn needs_of<C: Estimates>(&self, frame: &MetricFrame<C>) -> Option<(u64, Option<u64>)> {
        let Self { gate, rule } = *self;
        let frame = frame.features_of(&rule.features).ok()?;
        if !frame.control_features().is_empty() {
            return None;
        }
        let (kept, _) = self.large(&frame);
        let smallest = kept.groups().map(|(_, cell)| cell.asked(rule.metric)).min()?;
        let gap = gap::of(&kept, rule.question(), gate.limits()).ok()?;
        if rule.judge(&gap) != Verdict::Inconclusive {
            return None;
        }
        let times = rows_needed(rule, &kept, gate.limits());
        Some((smallest, times.map(|times| (smallest as f64 * times).ceil() as u64)))
    }
}

/// Makes the findings of a rule about a subject.
fn speaker(rule: &Rule, subject: String, confidence: f64) -> impl Fn(Verdict, String) -> Finding {
    let sign = if rule.operation.has_floor() { "≥" } else { "≤" };
    let expected = match rule.at {
        // Two digits are enough of a share that was split.
        At::ConfidenceLimit => {
            let percent = (confidence * 1e4).round() / 100.0;
            format!("{sign} {} at the {percent} % limit", rule.bound)
        }
        At::Point => format!("{sign} {}, whatever its limits", rule.bound),
    };
    move |verdict, observed| {
        Finding::new(rule.name(), &subject, verdict, &expected, observed)
            .with_severity(rule.severity)
    }
}

/// How many times the rows would make an inconclusive rule pass or fail, if the values stayed as
/// they are; `None` beyond 10,000 times, as where the value lies at the bound itself.
fn rows_needed<C: Estimates>(rule: &Rule, frame: &MetricFrame<C>, limits: Limits) -> Option<f64> {
    // Limits of a closed form are near enough for an estimate, and many are asked for.
    let limits = limits.difference(DifferenceLimits::Newcombe).ratio(RatioLimits::Log);
    let settled = |times: f64| {
        let gap = gap::scaled(frame, rule.question(), limits, times).ok()?;
        Some(rule.judge(&gap) != Verdict::Inconclusive)
    };
    let mut high = 2.0;
    while !settled(high)? {
        high *= 2.0;
        if high > 10_000.0 {
            return None;
        }
    }
    let mut low = high / 2.0;
    while high / low > 1.02 {
        let middle = (low * high).sqrt();
        if settled(middle)? { high = middle } else { low = middle }
    }
    Some(high)
}

fn names(groups: &[Group]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

/// The first of many names, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = &names[..names.len().min(SHOWN)];
    match names.len() - shown.len() {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

/// A [`FairnessGate`] on the columns that it reads; see [`FairnessGate::on`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FairnessValidator {
    gate: FairnessGate,
    measured: Measured,
}

impl FairnessValidator {
    /// The same with a further measurement, in the same scan: scores beside counts. Of one kind the
    /// last counts.
    #[must_use]
    pub fn also(mut self, further: impl Into<Measured>) -> Self {
        self.measured = self.measured.with(further);
        self
    }

    /// The gate.
    pub fn gate(&self) -> &FairnessGate {
        &self.gate
    }

    /// What it measures.
    pub fn measured(&self) -> &Measured {
        &self.measured
    }
}

impl Validator for FairnessValidator {
    fn plan(&self, _: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        self.gate.check()?;
        for (at, rule) in self.gate.rules.iter().enumerate() {
            self.measured
                .covers(rule.metric, rule.class.as_deref())
                .map_err(|e| e.within(format!("rule {}", at + 1)))?;
        }
        let handles = self.measured.plan(plan);
        let gate = self.gate.clone();
        Ok(Judge::new(move |measured| {
            let (frames, broken) = handles.frames(measured)?;
            let mut found = gate.judge(frames);
            if !broken.is_empty() {
                let broken = broken.into_iter().map(|(what, error)| {
                    let expected = "labels, predictions and groups that can be counted";
                    Finding::new(what, &gate.name, Verdict::Inconclusive, expected, error)
                });
                let findings = broken.chain(found.findings).collect();
                found = Assessment::new(&gate.name, found.rows, findings);
            }
            Ok(found)
        }))
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Int32Array, StringArray};
    use mlops_core::{MemorySource, ValidatorExt, batch};

    use super::*;
    use crate::{Counts, GapKind, GroupCounts};

    fn frame(groups: &[(&str, [u64; 4])]) -> MetricFrame {
        MetricFrame::new(
            vec!["g".into()],
            groups.iter().map(|(name, [tp, fp, tn, fn_])| {
                (
                    Group { values: vec![Some((*name).to_owned())] },
                    Counts::confusion(*tp, *fp, *tn, *fn_),
                )
            }),
        )
    }

    fn gate() -> FairnessGate {
        FairnessGate::new("fairness").rule(GapKind::DemographicParityDifference, "g", 0.1)
    }

    #[test]
    fn three_verdicts() {
        let equal = frame(&[("a", [3000, 1000, 5000, 1000]), ("b", [3000, 1000, 5000, 1000])]);
        assert_eq!(gate().judge(&equal).verdict, Verdict::Pass);
        let apart = frame(&[("a", [3000, 1000, 5000, 1000]), ("b", [1000, 500, 7500, 1000])]);
        assert_eq!(gate().judge(&apart).verdict, Verdict::Fail);
        // The same shares, too few rows to say.
        let few = frame(&[("a", [15, 5, 25, 5]), ("b", [15, 5, 25, 5])]);
        assert_eq!(gate().judge(&few).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn nothing_measured_is_no_pass() {
        assert_eq!(FairnessGate::new("none").judge(&frame(&[])).verdict, Verdict::Inconclusive);
        assert_eq!(gate().judge(&frame(&[])).verdict, Verdict::Inconclusive);
        let one = frame(&[("a", [3000, 1000, 5000, 1000])]);
        let verdict = gate().judge(&one);
        assert_eq!(verdict.verdict, Verdict::Inconclusive);
        assert!(verdict.findings[0].observed.contains("only a"), "{verdict}");
    }

    #[test]
    fn small_groups_block_or_are_named() {
        let counts = frame(&[
            ("a", [3000, 1000, 5000, 1000]),
            ("b", [3000, 1000, 5000, 1000]),
            ("tiny", [1, 0, 2, 0]),
        ]);
        let blocked = gate().judge(&counts);
        assert_eq!(blocked.verdict, Verdict::Inconclusive);
        assert!(blocked.to_string().contains("tiny"));
        let aside = gate().min_group_size(30, SmallGroups::SetAside).judge(&counts);
        assert_eq!(aside.verdict, Verdict::Pass);
        assert!(aside.to_string().contains("tiny"));
    }

    #[test]
    fn a_group_is_as_large_as_what_was_measured_of_it() {
        // 5,000 rows of `b`, nearly all without a prediction.
        let mut counts = Counts::confusion(3, 1, 5, 1);
        counts.unpredicted_negative = 4990;
        let group = |name: &str| Group { values: vec![Some(name.to_owned())] };
        let frame = MetricFrame::new(
            vec!["g".into()],
            [(group("a"), Counts::confusion(3000, 1000, 5000, 1000)), (group("b"), counts)],
        );
        let blocked = gate().judge(&frame);
        assert_eq!(blocked.verdict, Verdict::Inconclusive);
        let text = blocked.to_string();
        assert!(text.contains("fewer than 30 rows in: b"), "{text}");
        assert!(text.contains("4990 in b"), "{text}");
    }

    #[test]
    fn a_rule_that_nothing_can_break_is_refused() {
        let equal = frame(&[("a", [3000, 1000, 5000, 1000]), ("b", [3000, 1000, 5000, 1000])]);
        let rules = [
            (GapKind::DemographicParityDifference, 1.0),
            (GapKind::EqualizedOddsRatio, 0.0),
            (GapKind::DemographicParityDifference, f64::NAN),
            (GapKind::DemographicParityDifference, -0.1),
            (GapKind::DemographicParityRatio, 1.25),
        ];
        for (gap, bound) in rules {
            let gate = FairnessGate::new("f").rule(gap, "g", bound);
            assert!(gate.check().is_err(), "{gap:?} {bound}");
            assert_eq!(gate.judge(&equal).verdict, Verdict::Inconclusive);
        }
        let none = FairnessGate::new("f").intersection(
            GapKind::DemographicParityDifference,
            Vec::<String>::new(),
            0.1,
        );
        assert!(none.check().is_err());
        assert_eq!(none.judge(&equal).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn what_was_not_measured_is_never_a_pass() {
        let rows = |groups: Vec<Option<&str>>, said: Vec<Option<i32>>| {
            batch! { "g" => StringArray::from(groups), "p" => Int32Array::from(said) }.unwrap()
        };
        let judge = |rows: arrow::array::RecordBatch, features: &[&str]| {
            let counts = GroupCounts::new("p", "1", features.iter().copied());
            gate().on(counts).validate(&MemorySource::from(rows)).unwrap()
        };
        let half = |i: usize| Some((i % 2) as i32);
        let good: Vec<_> = (0..9000).map(|i| Some(["a", "b"][i / 2 % 2])).collect();
        let said: Vec<_> = (0..9000).map(half).collect();
        assert_eq!(judge(rows(good.clone(), said.clone()), &["g"]).verdict, Verdict::Pass);
        for (what, rows, features) in [
            ("no rows", rows(vec![], vec![]), &["g"][..]),
            ("one row", rows(vec![Some("a")], vec![Some(1)]), &["g"]),
            ("no groups", rows(vec![None; 9000], said.clone()), &["g"]),
            ("no predictions", rows(good.clone(), vec![None; 9000]), &["g"]),
            ("three labels", rows(good.clone(), (0..9000).map(|i| Some(i % 3)).collect()), &["g"]),
            ("no such feature", rows(good.clone(), said), &[]),
        ] {
            let found = judge(rows, features);
            assert_eq!(found.verdict, Verdict::Inconclusive, "{what}: {found}");
        }
    }

    #[test]
    fn an_undefined_rate_is_inconclusive() {
        let counts = frame(&[("a", [300, 100, 500, 100]), ("b", [0, 100, 500, 0])]);
        let gate = FairnessGate::new("f").rule(GapKind::EqualizedOddsDifference, "g", 0.1);
        let assessment = gate.judge(&counts);
        assert_eq!(assessment.verdict, Verdict::Inconclusive);
        assert!(assessment.to_string().contains("no positive labels"), "{assessment}");
    }

    #[test]
    fn rides_on_a_scan_as_a_validator() {
        let rows = batch! {
            "g" => StringArray::from_iter_values((0..4000).map(|i| if i % 2 == 0 { "a" } else { "b" })),
            "p" => Int32Array::from_iter_values((0..4000).map(|i| i32::from(i % 2 == 0 && i % 4 == 0))),
        }
        .unwrap();
        let validator = gate().on(GroupCounts::new("p", "1", ["g"]));
        let verdict = validator.validate(&MemorySource::from(rows)).unwrap();
        assert_eq!(verdict.verdict, Verdict::Fail);
        assert_eq!(verdict.rows, 4000);
    }

    #[test]
    fn a_policy_file_round_trips_and_refuses_what_it_does_not_know() {
        let json = serde_json::to_string(&gate()).unwrap();
        assert_eq!(serde_json::from_str::<FairnessGate>(&json).unwrap(), gate());
        let typo = json.replace("min_group_size", "min_group_sizes");
        assert!(serde_json::from_str::<FairnessGate>(&typo).is_err());
        assert!(gate().confidence(1.0).check().is_err());
    }

    #[test]
    fn a_rule_at_the_point_needs_no_rows_and_one_at_the_limit_says_how_many() {
        let few = frame(&[("a", [15, 5, 25, 5]), ("b", [15, 5, 25, 5])]);
        let question = GapKind::DemographicParityDifference;
        let point = FairnessGate::new("f").with(Rule::new(question, ["g"], 0.1).at_point());
        let found = point.judge(&few);
        assert_eq!(found.verdict, Verdict::Pass);
        assert!(found.findings[0].expected.contains("whatever its limits"));
        let limit = gate().judge(&few);
        assert!(limit.findings[0].observed.contains("times the rows"), "{limit}");
        let times = rows_needed(&gate().rules[0], &few, Limits::new(0.95)).unwrap();
        let n = |k: f64| (k * times * 1.05).ceil() as u64;
        let more = [n(15.0), n(5.0), n(25.0), n(5.0)];
        assert_eq!(gate().judge(&frame(&[("a", more), ("b", more)])).verdict, Verdict::Pass);
        // At the bound itself no number of rows would do.
        let at = frame(&[("a", [20, 0, 80, 0]), ("b", [30, 0, 70, 0])]);
        assert_eq!(rows_needed(&gate().rules[0], &at, Limits::new(0.95)), None);
    }

    #[test]
    fn a_group_without_a_value_is_what_the_rule_says() {
        let counts = frame(&[
            ("a", [300, 100, 500, 100]),
            ("b", [310, 100, 490, 100]),
            ("c", [0, 100, 500, 0]),
        ]);
        let rule = || Rule::new(GapKind::EqualOpportunityDifference, ["g"], 0.2);
        let verdict = |rule: Rule| FairnessGate::new("f").with(rule).judge(&counts);
        assert_eq!(verdict(rule()).verdict, Verdict::Inconclusive);
        let fails = verdict(rule().undefined(WhenUndefined::Fail));
        assert_eq!(fails.verdict, Verdict::Fail);
        assert!(fails.to_string().contains("undefined in: c"), "{fails}");
        let aside = verdict(rule().undefined(WhenUndefined::SetAside));
        assert_eq!(aside.verdict, Verdict::Pass, "{aside}");
        assert!(aside.to_string().contains("not measured, it is undefined in: c"), "{aside}");
        assert_eq!(verdict(rule().severity(Severity::Warning)).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn least_and_most_are_rules_too() {
        let counts = frame(&[("a", [3000, 1000, 5000, 1000]), ("b", [3000, 2000, 4000, 1000])]);
        let gate = |operation, bound| {
            FairnessGate::new("f").rule(
                (Measure::Rate(crate::Metric::Accuracy), operation),
                "g",
                bound,
            )
        };
        assert_eq!(gate(Operation::GroupMin, 0.65).judge(&counts).verdict, Verdict::Pass);
        assert_eq!(gate(Operation::GroupMin, 0.75).judge(&counts).verdict, Verdict::Fail);
        assert_eq!(gate(Operation::GroupMax, 0.85).judge(&counts).verdict, Verdict::Pass);
        assert_eq!(gate(Operation::GroupMax, 0.7).judge(&counts).verdict, Verdict::Fail);
        assert!(gate(Operation::GroupMin, 0.0).check().is_err());
        let question = Question::new(Measure::DemographicParity, Operation::GroupMin).to_overall();
        assert!(FairnessGate::new("f").rule(question, "g", 0.5).check().is_err());
    }

    /// Scores, counts, errors and classes of two or three groups that are alike but for a shift.
    fn people(n: usize, shift: f64) -> MemorySource {
        use mlops_core::arrow::array::{BooleanArray, Float64Array};
        use mlops_core::stats::Draws;
        let mut draws = Draws::new(3, 0, 0);
        let (mut g, mut y, mut s, mut w) = (vec![], vec![], vec![], vec![]);
        for row in 0..n {
            let group = row % 2;
            let score = (draws.uniform() * 20.0).floor() / 20.0 + 0.025;
            let hit = draws.bernoulli(score);
            g.push(["a", "b"][group]);
            y.push(if group == 1 && draws.uniform() < shift { draws.bernoulli(0.5) } else { hit });
            s.push(score);
            w.push(10.0 + draws.normal() + group as f64 * shift);
        }
        let said: BooleanArray = s.iter().map(|s| Some(*s > 0.5)).collect();
        let grade = s.iter().map(|s| Some(["low", "middle", "high"][(s * 2.99) as usize]));
        let batch = batch! {
            "g" => StringArray::from(g),
            "y" => y.into_iter().map(Some).collect::<BooleanArray>(),
            "p" => said,
            "grade" => grade.collect::<StringArray>(),
            "said" => StringArray::from_iter_values((0..n).map(|i| ["low", "middle", "high"][i % 3])),
            "s" => Float64Array::from(s),
            "wage" => Float64Array::from_iter_values((0..n).map(|i| 10.0 + (i / 2 % 5) as f64 / 10.0)),
            "guess" => Float64Array::from(w),
        };
        MemorySource::from(batch.unwrap())
    }

    fn all_of_it() -> Measured {
        Measured::from(GroupCounts::new("p", "true", ["g"]).with_labels("y"))
            .with(crate::GroupScores::new("y", "true", "s", ["g"]))
            .with(crate::GroupErrors::new("wage", "guess", ["g"]))
            .with(crate::GroupClasses::new("grade", "said", ["g"]))
    }

    #[test]
    fn every_measure_is_judged_by_every_operation_or_refused_with_what_can_be() {
        let fair = people(6000, 0.0);
        for measure in Measure::all() {
            for operation in
                [Operation::Difference, Operation::Ratio, Operation::GroupMin, Operation::GroupMax]
            {
                for question in [
                    Question::new(measure, operation),
                    Question::new(measure, operation).to_overall(),
                ] {
                    let unit = measure.scale() == Scale::Unit;
                    let bound = match operation {
                        Operation::Difference => {
                            if unit {
                                0.25
                            } else {
                                2.0
                            }
                        }
                        Operation::Ratio => 0.5,
                        Operation::GroupMin => {
                            if measure.scale() == Scale::Signed {
                                -1.0
                            } else {
                                0.001
                            }
                        }
                        Operation::GroupMax => {
                            if unit {
                                0.999
                            } else {
                                99.0
                            }
                        }
                    };
                    let gate = FairnessGate::new("f").rule(question, "g", bound);
                    let found = gate.clone().on(all_of_it()).validate(&fair);
                    if let Err(error) = question.check() {
                        assert!(found.is_err() && gate.check().is_err(), "{question}");
                        let text = error.to_string();
                        assert!(text.contains("one of") || text.contains("another"), "{text}");
                        continue;
                    }
                    let found = found.unwrap();
                    // Nobody knows that scores are not calibrated.
                    let least = operation == Operation::GroupMin;
                    let zero = measure.name() == "calibration_error" && least;
                    let expected = if zero { Verdict::Inconclusive } else { Verdict::Pass };
                    assert_eq!(found.verdict, expected, "{question}: {found}");
                    let values: Vec<_> = found.findings.iter().filter_map(|f| f.interval).collect();
                    assert_eq!(values.len(), 1, "{question}: {found}");
                }
            }
        }
    }

    #[test]
    fn what_differs_by_group_fails() {
        let unfair = people(6000, 0.8);
        for (metric, bound) in [
            ("roc_auc", 0.05),
            ("brier", 0.02),
            ("log_loss", 0.05),
            ("calibration_error", 0.02),
            ("mean_prediction", 0.3),
            ("mean_error", 0.3),
            ("mean_squared_error", 0.1),
            ("f1", 0.05),
            ("balanced_accuracy", 0.05),
        ] {
            let text = format!(
                r#"{{"name": "f", "rules": [{{"metric": "{metric}", "features": ["g"], "bound": {bound}}}]}}"#
            );
            let gate = FairnessGate::from_json(&text).unwrap();
            let found = gate.on(all_of_it()).validate(&unfair).unwrap();
            assert_eq!(found.verdict, Verdict::Fail, "{metric}: {found}");
        }
    }

    #[test]
    fn classes_are_judged_one_by_one_and_by_what_they_have_together() {
        let source = people(9000, 0.0);
        let judge = |rule: Rule| {
            let gate = FairnessGate::new("f").with(rule);
            let classes = crate::GroupClasses::new("grade", "said", ["g"]);
            gate.on(classes).validate(&source)
        };
        let rule =
            |metric, bound| Rule::new((Measure::Rate(metric), Operation::Difference), ["g"], bound);
        let high = rule(crate::Metric::TruePositiveRate, 0.2).class("high");
        assert_eq!(high.to_string(), "true_positive_rate_difference by g, class high ≤ 0.2");
        let found = judge(high.clone()).unwrap();
        assert_eq!(found.verdict, Verdict::Pass, "{found}");
        assert_eq!(judge(rule(crate::Metric::Accuracy, 0.2)).unwrap().verdict, Verdict::Pass);
        let balanced = (Measure::Composite(crate::Composite::BalancedAccuracy), Operation::Ratio);
        assert_eq!(judge(Rule::new(balanced, ["g"], 0.6)).unwrap().verdict, Verdict::Pass);
        // Without a class there is no positive one; a class that nobody has is said.
        let error = judge(rule(crate::Metric::TruePositiveRate, 0.2)).unwrap_err().to_string();
        assert!(error.contains("rule 1") && error.contains("balanced_accuracy"), "{error}");
        let other = judge(rule(crate::Metric::Accuracy, 0.2).class("none")).unwrap();
        assert_eq!(other.verdict, Verdict::Inconclusive);
        assert!(other.to_string().contains("the classes are high, low, middle"), "{other}");
        let scored = Question::new(Measure::Score(crate::ScoreMetric::RocAuc), Operation::GroupMin);
        assert!(
            FairnessGate::new("f").with(Rule::new(scored, ["g"], 0.6).class("a")).check().is_err()
        );
        let text = serde_json::to_string(&high).unwrap();
        assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), high);
    }

    #[test]
    fn few_rows_and_rows_that_are_all_alike_are_no_pass() {
        use mlops_core::arrow::array::Float64Array;
        // Everyone is estimated without an error, which says nothing of the next.
        let rows = batch! {
            "g" => StringArray::from_iter_values((0..80).map(|i| ["a", "b"][i % 2])),
            "y" => Float64Array::from(vec![1.0; 80]),
        }
        .unwrap();
        let errors = crate::GroupErrors::new("y", "y", ["g"]);
        let error = |metric| Question::new(Measure::Error(metric), Operation::Difference);
        let gate = FairnessGate::new("f").rule(error(crate::ErrorMetric::MeanError), "g", 0.1);
        let source = MemorySource::from(rows);
        let found = gate.on(errors.clone()).validate(&source).unwrap();
        assert_eq!(found.verdict, Verdict::Inconclusive, "{found}");
        let rule = Rule::new(error(crate::ErrorMetric::MeanAbsoluteError), ["g"], 0.1).at_point();
        let found = FairnessGate::new("f").with(rule).on(errors).validate(&source).unwrap();
        assert_eq!(found.verdict, Verdict::Pass, "{found}");
        // Scores that separate few rows are no certainty.
        let few = people(80, 0.0);
        let auc = Question::new(Measure::Score(crate::ScoreMetric::RocAuc), Operation::Difference);
        let found = FairnessGate::new("f").rule(auc, "g", 0.1).on(all_of_it()).validate(&few);
        let found = found.unwrap();
        assert_eq!(found.verdict, Verdict::Inconclusive);
        assert!(found.to_string().contains("times the rows"), "{found}");
    }

    #[test]
    fn a_summary_changes_no_verdict() {
        let source = people(3000, 0.0);
        let frame = mlops_core::DataSourceExt::measure(
            &source,
            &GroupCounts::new("p", "true", ["g"]).with_labels("y"),
        )
        .unwrap();
        let gate = gate().rule(GapKind::EqualizedOddsDifference, "g", 0.2);
        let (plain, told) = (gate.judge(&frame), gate.judge_with_summary(&frame));
        assert_eq!((plain.verdict, plain.findings.len()), (told.verdict, 2));
        let told: Vec<_> = told.findings.iter().filter(|f| f.severity == Severity::Info).collect();
        // Three rates of two groups.
        assert_eq!(told.len(), 6);
        assert!(told.iter().all(|f| f.value.is_some() && f.interval.is_some()));
        assert_eq!(told[1].subject, "g b");
    }
}
