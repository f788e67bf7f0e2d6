//! What a gate judges: frames of several kinds, and how they are measured.

use mlops_core::{Error, Measurements, Plan, Result};
use serde::{Deserialize, Serialize};

use crate::estimate::Estimates;
use crate::{
    ClassCounts, Counts, ErrorCounts, GroupClasses, GroupCounts, GroupErrors, GroupScores, Measure,
    MetricFrame, ScoreCounts,
};

/// What was measured by group, as a gate judges it: counts, scores, errors of estimated numbers,
/// classes; any of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames<'a> {
    counts: Option<&'a MetricFrame>,
    scores: Option<&'a MetricFrame<ScoreCounts>>,
    errors: Option<&'a MetricFrame<ErrorCounts>>,
    classes: Option<&'a MetricFrame<ClassCounts>>,
}

/// The frame that a rule is about.
pub(crate) enum Frame<'a> {
    Counts(&'a MetricFrame),
    /// A class against the rest.
    OneClass(MetricFrame),
    Classes(&'a MetricFrame<ClassCounts>),
    Scores(&'a MetricFrame<ScoreCounts>),
    Errors(&'a MetricFrame<ErrorCounts>),
}

/// Does the same with a frame of any kind.
macro_rules! with_frame {
    ($rule:expr, $measured:expr, |$frame:ident| $do:expr, |$why:ident| $else:expr) => {
        match $measured.of($rule.metric, $rule.class.as_deref()) {
            Ok($crate::gate::frames::Frame::Counts($frame)) => $do,
            Ok($crate::gate::frames::Frame::OneClass($frame)) => {
                let $frame = &$frame;
                $do
            }
            Ok($crate::gate::frames::Frame::Classes($frame)) => $do,
            Ok($crate::gate::frames::Frame::Scores($frame)) => $do,
            Ok($crate::gate::frames::Frame::Errors($frame)) => $do,
            Err($why) => $else,
        }
    };
}
pub(super) use with_frame;

/// What a measure is measured by.
fn needs(measure: Measure, class: Option<&str>) -> &'static str {
    match measure {
        Measure::Score(_) => ScoreCounts::WHAT,
        Measure::Error(_) => ErrorCounts::WHAT,
        _ if class.is_some() => ClassCounts::WHAT,
        _ => Counts::WHAT,
    }
}

impl<'a> Frames<'a> {
    /// The same with these counts.
    #[must_use]
    pub fn counts(mut self, frame: &'a MetricFrame) -> Self {
        self.counts = Some(frame);
        self
    }

    /// The same with these scores.
    #[must_use]
    pub fn scores(mut self, frame: &'a MetricFrame<ScoreCounts>) -> Self {
        self.scores = Some(frame);
        self
    }

    /// The same with these errors of estimated numbers.
    #[must_use]
    pub fn errors(mut self, frame: &'a MetricFrame<ErrorCounts>) -> Self {
        self.errors = Some(frame);
        self
    }

    /// The same with these counts of more than two classes.
    #[must_use]
    pub fn classes(mut self, frame: &'a MetricFrame<ClassCounts>) -> Self {
        self.classes = Some(frame);
        self
    }

    /// The rows of the frame that has most.
    pub(crate) fn rows(&self) -> u64 {
        use crate::GroupCell;
        let rows = [
            self.counts.map(|frame| frame.total().rows()),
            self.scores.map(|frame| frame.total().rows()),
            self.errors.map(|frame| frame.total().rows()),
            self.classes.map(|frame| frame.total().rows()),
        ];
        rows.into_iter().flatten().max().unwrap_or(0)
    }

    /// The frame that has a measure, or why there is none.
    pub(crate) fn of(&self, measure: Measure, class: Option<&str>) -> Result<Frame<'a>, String> {
        let missing = || {
            let there = [
                self.counts.map(|_| Counts::WHAT),
                self.scores.map(|_| ScoreCounts::WHAT),
                self.errors.map(|_| ErrorCounts::WHAT),
                self.classes.map(|_| ClassCounts::WHAT),
            ];
            let there: Vec<_> = there.into_iter().flatten().collect();
            let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
            format!("{measure} comes from {}; measured: {there}", needs(measure, class))
        };
        match (measure, class) {
            (Measure::Score(_), _) => self.scores.map(Frame::Scores).ok_or_else(missing),
            (Measure::Error(_), _) => self.errors.map(Frame::Errors).ok_or_else(missing),
            (_, Some(class)) => {
                let frame = self.classes.ok_or_else(missing)?;
                let known = frame.classes();
                if known.iter().all(|known| known != class) {
                    return Err(format!(
                        "there is no class `{class}`; the classes are {}",
                        known.join(", ")
                    ));
                }
                Ok(Frame::OneClass(frame.one_vs_rest(class)))
            }
            (_, None) => match (self.counts, self.classes) {
                (Some(frame), _) => Ok(Frame::Counts(frame)),
                (None, Some(frame)) if ClassCounts::has(measure) => Ok(Frame::Classes(frame)),
                (None, Some(frame)) => Err(format!(
                    "{measure} is of one class against the rest: the rule names none of {}",
                    frame.classes().join(", ")
                )),
                (None, None) => Err(missing()),
            },
        }
    }
}

macro_rules! frames_from {
    ($($cell:ty, $part:ident, $analyzer:ty;)*) => {$(
        impl<'a> From<&'a MetricFrame<$cell>> for Frames<'a> {
            fn from(frame: &'a MetricFrame<$cell>) -> Self {
                Self::default().$part(frame)
            }
        }

        impl From<$analyzer> for Measured {
            fn from(analyzer: $analyzer) -> Self {
                Self { $part: Some(analyzer), ..Self::default() }
            }
        }
    )*};
}

frames_from! {
    Counts, counts, GroupCounts;
    ScoreCounts, scores, GroupScores;
    ErrorCounts, errors, GroupErrors;
    ClassCounts, classes, GroupClasses;
}

/// What a gate measures in one scan: any of [`GroupCounts`], [`GroupScores`], [`GroupErrors`] and
/// [`GroupClasses`].
///
/// ```
/// use mlops_core::{MemorySource, ValidatorExt, Verdict, batch};
/// use mlops_core::arrow::array::{BooleanArray, Float64Array, StringArray};
/// use mlops_fairness::{FairnessGate, GroupCounts, GroupScores};
///
/// let people = batch! {
///     "sex" => StringArray::from_iter_values((0..4000).map(|i| ["F", "M"][i % 2])),
///     "paid" => (0..4000).map(|i| Some(i / 2 % 5 < 3)).collect::<BooleanArray>(),
///     "score" => Float64Array::from_iter_values((0..4000).map(|i| f64::from(i / 2 % 4) / 4.0)),
/// }?;
/// let gate = FairnessGate::from_json(r#"{"name": "lending", "rules": [
///     {"metric": "roc_auc", "features": ["sex"], "bound": 0.1}
/// ]}"#)?;
/// let scores = GroupScores::new("paid", "true", "score", ["sex"]);
/// let people = MemorySource::from(people);
/// assert_eq!(gate.clone().on(scores).validate(&people)?.verdict, Verdict::Pass);
/// // A gate on what its rules are not about is unusable.
/// let error = gate.on(GroupCounts::new("paid", "true", ["sex"])).validate(&people).unwrap_err();
/// assert!(error.to_string().contains("roc_auc"));
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Measured {
    /// Labels and predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<GroupCounts>,
    /// Scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<GroupScores>,
    /// Estimated numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<GroupErrors>,
    /// More than two classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<GroupClasses>,
}

/// Where the frames of a scan are found.
pub(crate) struct Handles {
    counts: Option<mlops_core::Handle<MetricFrame>>,
    scores: Option<mlops_core::Handle<MetricFrame<ScoreCounts>>>,
    errors: Option<mlops_core::Handle<MetricFrame<ErrorCounts>>>,
    classes: Option<mlops_core::Handle<MetricFrame<ClassCounts>>>,
}

impl Measured {
    /// The same with a further measurement; of one kind the last counts.
    #[must_use]
    pub fn with(self, further: impl Into<Self>) -> Self {
        let further = further.into();
        Self {
            counts: further.counts.or(self.counts),
            scores: further.scores.or(self.scores),
            errors: further.errors.or(self.errors),
            classes: further.classes.or(self.classes),
        }
    }

    /// That a measure can be judged of it.
    pub(crate) fn covers(&self, measure: Measure, class: Option<&str>) -> Result<()> {
        let there = match (measure, class) {
            (Measure::Score(_), _) => self.scores.is_some(),
            (Measure::Error(_), _) => self.errors.is_some(),
            (_, Some(_)) => self.classes.is_some(),
            (_, None) => {
                self.counts.is_some() || (self.classes.is_some() && ClassCounts::has(measure))
            }
        };
        if there {
            return Ok(());
        }
        let able = |has: fn(Measure) -> bool| {
            Measure::all().filter(move |m| m.parts().into_iter().all(has)).map(Measure::name)
        };
        let mut known: Vec<_> = Vec::new();
        known.extend(self.counts.iter().flat_map(|_| able(Counts::has)));
        known.extend(self.scores.iter().flat_map(|_| able(ScoreCounts::has)));
        known.extend(self.errors.iter().flat_map(|_| able(ErrorCounts::has)));
        known.extend(self.classes.iter().flat_map(|_| able(ClassCounts::has)));
        let of_classes = if self.classes.is_some() { "; any rate of a class" } else { "" };
        Err(Error::invalid(
            format!("a rule on {measure}, which comes from {}", needs(measure, class)),
            format!("what is measured: {}{of_classes}", known.join(", ")),
            measure.name(),
        ))
    }

    pub(crate) fn plan(&self, plan: &mut Plan) -> Handles {
        Handles {
            counts: self.counts.clone().map(|counts| plan.add(counts)),
            scores: self.scores.clone().map(|scores| plan.add(scores)),
            errors: self.errors.clone().map(|errors| plan.add(errors)),
            classes: self.classes.clone().map(|classes| plan.add(classes)),
        }
    }
}

/// What a scan found, or why it could not.
fn found<'m, T: 'static>(
    measured: &'m Measurements,
    handle: Option<&mlops_core::Handle<T>>,
    what: &'static str,
    broken: &mut Vec<(&'static str, String)>,
) -> Result<Option<&'m T>> {
    let Some(handle) = handle else { return Ok(None) };
    match measured.get(handle) {
        Ok(frame) => Ok(Some(frame)),
        // Of bad data an assessment tells.
        Err(error @ Error::Within { .. }) => {
            broken.push((what, error.to_string()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Handles {
    /// The frames that there are, and what could not be measured.
    pub(crate) fn frames<'m>(
        &self,
        measured: &'m Measurements,
    ) -> Result<(Frames<'m>, Vec<(&'static str, String)>)> {
        let mut broken = Vec::new();
        let frames = Frames {
            counts: found(measured, self.counts.as_ref(), "group_counts", &mut broken)?,
            scores: found(measured, self.scores.as_ref(), "group_scores", &mut broken)?,
            errors: found(measured, self.errors.as_ref(), "group_errors", &mut broken)?,
            classes: found(measured, self.classes.as_ref(), "group_classes", &mut broken)?,
        };
        Ok((frames, broken))
    }
}
