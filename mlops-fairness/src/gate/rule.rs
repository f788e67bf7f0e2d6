//! A rule of a gate: which gap, of whose groups, is held against which bound.

use std::fmt;

use mlops_core::{Error, Result, Severity, Verdict};
use serde::de::{Error as DeError, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::estimate::Scale;
use crate::measure::{Measure, Operation, Question};
use crate::{Gap, Method};

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

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
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
    pub(super) fn subject(&self) -> String {
        let features = self.features.join(" × ");
        match &self.class {
            None => features,
            Some(class) => format!("{features}, class {class}"),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
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

    pub(super) fn judge(&self, gap: &Gap) -> Verdict {
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
