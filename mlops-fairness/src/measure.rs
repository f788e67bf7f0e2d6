//! What a gap is a gap of: a rate or a criterion, and how groups are compared.

use std::fmt;

use mlops_core::{Error, Result};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Deserialize as De, Serialize, Serializer};

use crate::estimate::Scale;
use crate::gap::{self, Limits};
use crate::{Composite, ErrorMetric, Gap, Metric, MetricFrame, ScoreMetric};

/// How the groups' values become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, De)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// The largest difference; 0 is parity.
    #[default]
    Difference,
    /// The smallest ratio, the lower over the higher; 1 is parity.
    Ratio,
    /// The lowest value of any group.
    GroupMin,
    /// The highest value of any group.
    GroupMax,
}

impl Operation {
    /// The name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Difference => "difference",
            Self::Ratio => "ratio",
            Self::GroupMin => "group_min",
            Self::GroupMax => "group_max",
        }
    }

    /// Whether more is better: a bound on it is a least value.
    pub const fn has_floor(self) -> bool {
        matches!(self, Self::Ratio | Self::GroupMin)
    }

    /// Whether groups are compared with something, so that there must be two of them.
    pub const fn compares(self) -> bool {
        matches!(self, Self::Difference | Self::Ratio)
    }
}

/// A number that groups are compared by: a criterion of the literature, or a metric of counts, of
/// scores, or of errors of estimated numbers.
///
/// In a policy it is its name: `selection_rate`, `equalized_odds`, `roc_auc`. [`Measure::all`] are
/// those that a gate can judge, because limits of them are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Measure {
    /// The selection rate.
    DemographicParity,
    /// The true-positive rate.
    EqualOpportunity,
    /// The false-positive rate.
    PredictiveEquality,
    /// The positive predictive value.
    PredictiveParity,
    /// The true-positive and the false-positive rate, the worse of them.
    EqualizedOdds,
    /// Their mean.
    MeanEqualizedOdds,
    /// A rate.
    Rate(Metric),
    /// What is no rate but comes from the same counts.
    Composite(Composite),
    /// A metric of scores.
    Score(ScoreMetric),
    /// A metric of estimated numbers.
    Error(ErrorMetric),
}

impl Measure {
    const CRITERIA: [Self; 6] = [
        Self::DemographicParity,
        Self::EqualOpportunity,
        Self::PredictiveEquality,
        Self::PredictiveParity,
        Self::EqualizedOdds,
        Self::MeanEqualizedOdds,
    ];

    /// What has limits besides rates: the others have none that hold for few rows.
    const FURTHER: [Self; 14] = [
        Self::Composite(Composite::BalancedAccuracy),
        Self::Composite(Composite::F1),
        Self::Composite(Composite::TreatmentRatio),
        Self::Score(ScoreMetric::RocAuc),
        Self::Score(ScoreMetric::LogLoss),
        Self::Score(ScoreMetric::Brier),
        Self::Score(ScoreMetric::CalibrationError),
        Self::Score(ScoreMetric::MeanPrediction),
        Self::Error(ErrorMetric::MeanAbsoluteError),
        Self::Error(ErrorMetric::MeanSquaredError),
        Self::Error(ErrorMetric::RootMeanSquaredError),
        Self::Error(ErrorMetric::MeanError),
        Self::Error(ErrorMetric::MeanPrediction),
        Self::Error(ErrorMetric::MeanLabel),
    ];

    /// Every one that a gate can judge, the criteria first.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        let rates = Metric::ALL.into_iter().map(Self::Rate);
        Self::CRITERIA.into_iter().chain(rates).chain(Self::FURTHER)
    }

    /// The name in snake case. The mean score is `mean_score`, the mean of estimated numbers
    /// `mean_prediction`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DemographicParity => "demographic_parity",
            Self::EqualOpportunity => "equal_opportunity",
            Self::PredictiveEquality => "predictive_equality",
            Self::PredictiveParity => "predictive_parity",
            Self::EqualizedOdds => "equalized_odds",
            Self::MeanEqualizedOdds => "mean_equalized_odds",
            Self::Rate(metric) => metric.name(),
            Self::Composite(metric) => metric.name(),
            Self::Score(ScoreMetric::MeanPrediction) => "mean_score",
            Self::Score(metric) => metric.name(),
            Self::Error(metric) => metric.name(),
        }
    }

    /// The rates that it is about; none where it is about something else.
    pub const fn metrics(self) -> &'static [Metric] {
        use Metric as M;
        match self {
            Self::DemographicParity | Self::Rate(M::SelectionRate) => &[M::SelectionRate],
            Self::EqualOpportunity | Self::Rate(M::TruePositiveRate) => &[M::TruePositiveRate],
            Self::PredictiveEquality | Self::Rate(M::FalsePositiveRate) => &[M::FalsePositiveRate],
            Self::PredictiveParity | Self::Rate(M::PositivePredictiveValue) => {
                &[M::PositivePredictiveValue]
            }
            Self::EqualizedOdds | Self::MeanEqualizedOdds => {
                &[M::TruePositiveRate, M::FalsePositiveRate]
            }
            Self::Rate(M::BaseRate) => &[M::BaseRate],
            Self::Rate(M::TrueNegativeRate) => &[M::TrueNegativeRate],
            Self::Rate(M::FalseNegativeRate) => &[M::FalseNegativeRate],
            Self::Rate(M::NegativePredictiveValue) => &[M::NegativePredictiveValue],
            Self::Rate(M::FalseDiscoveryRate) => &[M::FalseDiscoveryRate],
            Self::Rate(M::FalseOmissionRate) => &[M::FalseOmissionRate],
            Self::Rate(M::Accuracy) => &[M::Accuracy],
            Self::Rate(M::ZeroOneLoss) => &[M::ZeroOneLoss],
            Self::Composite(_) | Self::Score(_) | Self::Error(_) => &[],
        }
    }

    /// The single numbers that it is about.
    pub(crate) fn parts(self) -> Vec<Self> {
        match self.metrics() {
            [] => vec![self],
            rates => rates.iter().copied().map(Self::Rate).collect(),
        }
    }

    /// Where its values can lie.
    pub(crate) const fn scale(self) -> Scale {
        match self {
            Self::Composite(Composite::TreatmentRatio | Composite::Count)
            | Self::Score(ScoreMetric::LogLoss)
            | Self::Error(
                ErrorMetric::MeanAbsoluteError
                | ErrorMetric::MeanSquaredError
                | ErrorMetric::RootMeanSquaredError,
            ) => Scale::Positive,
            Self::Error(_) => Scale::Signed,
            _ => Scale::Unit,
        }
    }

    /// Whether limits of this operation on it are known.
    fn can(self, operation: Operation, method: crate::Method) -> bool {
        let known = Self::all().any(|known| known == self);
        let ratio =
            self.scale() != Scale::Signed && self != Self::Score(ScoreMetric::CalibrationError);
        // The mean over everyone is made of the means of the groups.
        let mean = matches!(
            self,
            Self::Score(ScoreMetric::LogLoss | ScoreMetric::Brier | ScoreMetric::MeanPrediction)
                | Self::Error(
                    ErrorMetric::MeanAbsoluteError
                        | ErrorMetric::MeanSquaredError
                        | ErrorMetric::MeanError
                        | ErrorMetric::MeanPrediction
                        | ErrorMetric::MeanLabel
                )
        );
        let to_overall = mean || !self.metrics().is_empty();
        known
            && (operation != Operation::Ratio || ratio)
            && (method == crate::Method::BetweenGroups || (operation.compares() && to_overall))
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Measure {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

fn names(measures: impl Iterator<Item = Measure>) -> String {
    measures.map(Measure::name).collect::<Vec<_>>().join(", ")
}

impl<'de> Deserialize<'de> for Measure {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::all().find(|measure| measure.name() == name).ok_or_else(|| {
            let hint = other_name(&name).map_or(String::new(), |own| format!(": {own}"));
            D::Error::custom(format_args!(
                "no metric `{name}` can be judged{hint}; those that can are {}",
                names(Self::all())
            ))
        })
    }
}

/// What a metric or a gap that goes by another name is called here.
fn other_name(name: &str) -> Option<String> {
    for (suffix, operation) in [("_difference", "difference"), ("_ratio", "ratio")] {
        let stem = name.strip_suffix(suffix);
        if let Some(measure) = stem.and_then(|stem| Measure::all().find(|m| m.name() == stem)) {
            return Some(format!("here it is `{measure}` with `operation: {operation}`"));
        }
    }
    let own = match name {
        "recall" | "sensitivity" | "tpr" | "hit_rate" => "true_positive_rate",
        "fpr" | "fall_out" => "false_positive_rate",
        "tnr" | "specificity" => "true_negative_rate",
        "fnr" | "miss_rate" => "false_negative_rate",
        "precision" | "ppv" => "positive_predictive_value",
        "npv" => "negative_predictive_value",
        "fdr" => "false_discovery_rate",
        "for" => "false_omission_rate",
        "error_rate" => "zero_one_loss",
        "accuracy_score" => "accuracy",
        "statistical_parity" => "demographic_parity",
        "disparate_impact" => "demographic_parity` with `operation: ratio",
        "auc" | "roc_auc_score" => "roc_auc",
        "f1_score" => "f1",
        "brier_score" | "brier_score_loss" => "brier",
        "ece" | "expected_calibration_error" => "calibration_error",
        "mae" => "mean_absolute_error",
        "mse" => "mean_squared_error",
        "rmse" => "root_mean_squared_error",
        _ => return None,
    };
    Some(format!("here it is `{own}`"))
}

/// A gap by the name of the function that measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, De)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapKind {
    /// [`gap::demographic_parity_difference`].
    DemographicParityDifference,
    /// [`gap::demographic_parity_ratio`].
    DemographicParityRatio,
    /// [`gap::equal_opportunity_difference`].
    EqualOpportunityDifference,
    /// [`gap::equal_opportunity_ratio`].
    EqualOpportunityRatio,
    /// [`gap::equalized_odds_difference`].
    EqualizedOddsDifference,
    /// [`gap::equalized_odds_ratio`].
    EqualizedOddsRatio,
    /// [`gap::predictive_parity_difference`].
    PredictiveParityDifference,
}

impl GapKind {
    /// What it is a gap of, and which.
    pub const fn parts(self) -> (Measure, Operation) {
        match self {
            Self::DemographicParityDifference => {
                (Measure::DemographicParity, Operation::Difference)
            }
            Self::DemographicParityRatio => (Measure::DemographicParity, Operation::Ratio),
            Self::EqualOpportunityDifference => (Measure::EqualOpportunity, Operation::Difference),
            Self::EqualOpportunityRatio => (Measure::EqualOpportunity, Operation::Ratio),
            Self::EqualizedOddsDifference => (Measure::EqualizedOdds, Operation::Difference),
            Self::EqualizedOddsRatio => (Measure::EqualizedOdds, Operation::Ratio),
            Self::PredictiveParityDifference => (Measure::PredictiveParity, Operation::Difference),
        }
    }

    /// The name of the function.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DemographicParityDifference => "demographic_parity_difference",
            Self::DemographicParityRatio => "demographic_parity_ratio",
            Self::EqualOpportunityDifference => "equal_opportunity_difference",
            Self::EqualOpportunityRatio => "equal_opportunity_ratio",
            Self::EqualizedOddsDifference => "equalized_odds_difference",
            Self::EqualizedOddsRatio => "equalized_odds_ratio",
            Self::PredictiveParityDifference => "predictive_parity_difference",
        }
    }

    /// The gap of this kind.
    ///
    /// # Errors
    /// [`Error::Undefined`](mlops_core::Error::Undefined) where it has no value.
    pub fn of(self, frame: &MetricFrame, limits: impl Into<Limits>) -> Result<Gap> {
        gap::of(frame, self.into(), limits)
    }
}

/// What is measured: of which measure, which operation, compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, De)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The rate or criterion.
    pub metric: Measure,
    /// How the groups' values become one.
    #[serde(default)]
    pub operation: Operation,
    /// What groups are compared with.
    #[serde(default)]
    pub method: crate::Method,
}

impl Question {
    /// Of this measure this operation, between groups.
    pub fn new(metric: Measure, operation: Operation) -> Self {
        Self { metric, operation, method: crate::Method::BetweenGroups }
    }

    /// The same, groups compared with everyone.
    #[must_use]
    pub fn to_overall(mut self) -> Self {
        self.method = crate::Method::ToOverall;
        self
    }

    /// Checks that its limits are known.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the measures of which this operation can be judged.
    pub fn check(&self) -> Result<()> {
        let Self { metric, operation, method } = *self;
        if metric.can(operation, method) {
            return Ok(());
        }
        let how = match method {
            crate::Method::BetweenGroups => operation.name().to_owned(),
            crate::Method::ToOverall => format!("{} to_overall", operation.name()),
        };
        let able = names(Measure::all().filter(|measure| measure.can(operation, method)));
        let expected = if able.is_empty() {
            "another operation: a single group is not compared with everyone".to_owned()
        } else {
            format!("one of {able}")
        };
        Err(Error::invalid(format!("the metric of a {how}"), expected, metric.name()))
    }

    /// Its name: `equalized_odds_difference`.
    pub fn name(&self) -> String {
        let to = match self.method {
            crate::Method::ToOverall if self.operation.compares() => "_to_overall",
            _ => "",
        };
        format!("{}_{}{to}", self.metric.name(), self.operation.name())
    }
}

impl From<GapKind> for Question {
    fn from(kind: GapKind) -> Self {
        let (metric, operation) = kind.parts();
        Self::new(metric, operation)
    }
}

impl From<(Measure, Operation)> for Question {
    fn from((metric, operation): (Measure, Operation)) -> Self {
        Self::new(metric, operation)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for measure in Measure::all() {
            let text = serde_json::to_string(&measure).unwrap();
            assert_eq!(serde_json::from_str::<Measure>(&text).unwrap(), measure);
            assert!(!measure.parts().is_empty());
        }
        let error = serde_json::from_str::<Measure>("\"selection\"").unwrap_err().to_string();
        assert!(error.contains("`selection`") && error.contains("selection_rate"), "{error}");
        for kind in [GapKind::DemographicParityDifference, GapKind::EqualizedOddsRatio] {
            assert_eq!(Question::from(kind).name(), kind.name());
        }
        let apart = Question::new(Measure::Rate(Metric::Accuracy), Operation::Difference);
        assert_eq!(apart.to_overall().name(), "accuracy_difference_to_overall");
    }
}
