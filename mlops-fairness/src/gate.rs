//! The fairness gate: gaps held against bounds, at their confidence limits.

use arrow::datatypes::Schema;
use mlops_core::{Assessment, Error, Finding, Judge, Plan, Result, Severity, Validator, Verdict};
use serde::{Deserialize, Serialize};

use crate::{Counts, Gap, GroupCounts, MetricFrame, gap};

/// The gap that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapKind {
    /// [`gap::demographic_parity_difference`].
    DemographicParityDifference,
    /// [`gap::demographic_parity_ratio`].
    DemographicParityRatio,
    /// [`gap::equal_opportunity_difference`].
    EqualOpportunityDifference,
    /// [`gap::equalized_odds_difference`].
    EqualizedOddsDifference,
    /// [`gap::equalized_odds_ratio`].
    EqualizedOddsRatio,
}

impl GapKind {
    /// The name of the function.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DemographicParityDifference => "demographic_parity_difference",
            Self::DemographicParityRatio => "demographic_parity_ratio",
            Self::EqualOpportunityDifference => "equal_opportunity_difference",
            Self::EqualizedOddsDifference => "equalized_odds_difference",
            Self::EqualizedOddsRatio => "equalized_odds_ratio",
        }
    }

    /// The rows of a group that the gap is about: those with a prediction, and a label if its
    /// rates need one.
    fn rows(self, counts: &Counts) -> u64 {
        match self {
            Self::DemographicParityDifference | Self::DemographicParityRatio => counts.predicted(),
            _ => counts.complete(),
        }
    }

    const fn is_ratio(self) -> bool {
        matches!(self, Self::DemographicParityRatio | Self::EqualizedOddsRatio)
    }

    /// The gap of this kind.
    ///
    /// # Errors
    /// [`Error::Undefined`] where it has no value.
    pub fn of(self, frame: &MetricFrame, confidence: f64) -> Result<Gap> {
        match self {
            Self::DemographicParityDifference => {
                gap::demographic_parity_difference(frame, confidence)
            }
            Self::DemographicParityRatio => gap::demographic_parity_ratio(frame, confidence),
            Self::EqualOpportunityDifference => {
                gap::equal_opportunity_difference(frame, confidence)
            }
            Self::EqualizedOddsDifference => gap::equalized_odds_difference(frame, confidence),
            Self::EqualizedOddsRatio => gap::equalized_odds_ratio(frame, confidence),
        }
    }
}

/// One rule of a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The gap.
    pub gap: GapKind,
    /// The sensitive feature whose values are the groups; several for their intersections.
    pub features: Vec<String>,
    /// The most that a difference may be, in [0, 1), or the least that a ratio must be, in (0, 1].
    pub bound: f64,
}

/// What becomes of groups that are too small to say anything about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmallGroups {
    /// They make the rule inconclusive, and the gate blocks.
    #[default]
    Inconclusive,
    /// The rule is judged without them, and a warning names them as not measured.
    SetAside,
}

/// Rules over group metrics, judged at confidence limits.
///
/// **Pass**: the confidence limit lies within the bound. **Fail**: the other limit lies outside.
/// **Inconclusive**: otherwise, or undefined, or a group is too small. The gate blocks on anything
/// but a pass, and a gate without rules is inconclusive.
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
/// fewer, the gate says that it does not know. Limits at 95 % hold the true difference of two
/// groups in 95.6 % of cases on average and nowhere in less than 93.6 % (50 rows each, rates from
/// 5 % to 95 %, every outcome enumerated); of five groups, by simulation, in 95.6 to 99.8 %.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
        }
    }

    /// The same with one more rule on one feature.
    #[must_use]
    pub fn rule(self, gap: GapKind, feature: impl Into<String>, bound: f64) -> Self {
        self.intersection(gap, [feature], bound)
    }

    /// The same with one more rule on the intersections of features.
    #[must_use]
    pub fn intersection<S: Into<String>>(
        mut self,
        gap: GapKind,
        features: impl IntoIterator<Item = S>,
        bound: f64,
    ) -> Self {
        let features = features.into_iter().map(Into::into).collect();
        self.rules.push(Rule { gap, features, bound });
        self
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

    /// Checks that the gate can be used.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a confidence or bound outside its range, a bound that nothing can
    /// break (a difference of 1, a ratio of 0), or a rule without features.
    pub fn check(&self) -> Result<()> {
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::invalid("confidence", "a share such as 0.95", self.confidence));
        }
        for rule in &self.rules {
            let (bound, ratio) = (rule.bound, rule.gap.is_ratio());
            let useful =
                if ratio { bound > 0.0 && bound <= 1.0 } else { (0.0..1.0).contains(&bound) };
            if !useful {
                let what = format!("bound of {}", rule.gap.name());
                let expected = if ratio { "a number in (0, 1]" } else { "a number in [0, 1)" };
                return Err(Error::invalid(what, expected, bound));
            }
            if rule.features.is_empty() {
                let what = format!("features of {}", rule.gap.name());
                return Err(Error::invalid(what, "a sensitive feature", "none"));
            }
        }
        Ok(())
    }

    /// The verdicts on these counts.
    pub fn judge(&self, frame: &MetricFrame) -> Assessment {
        let mut findings = Vec::new();
        for rule in &self.rules {
            self.judge_rule(rule, frame, &mut findings);
        }
        Assessment::new(&self.name, frame.total().rows(), findings)
    }

    /// The gate as a validator of a table that has the columns of labels, predictions and
    /// sensitive features.
    pub fn on(self, counts: GroupCounts) -> FairnessValidator {
        FairnessValidator { gate: self, counts }
    }

    fn judge_rule(&self, rule: &Rule, frame: &MetricFrame, findings: &mut Vec<Finding>) {
        let subject = rule.features.join(" × ");
        let sign = if rule.gap.is_ratio() { "≥" } else { "≤" };
        let percent = self.confidence * 100.0;
        let expected = format!("{sign} {} at the {percent} % limit", rule.bound);
        let say = |verdict: Verdict, observed: String| {
            Finding::new(rule.gap.name(), &subject, verdict, &expected, observed)
        };
        let frame = match self.check().and_then(|()| frame.features_of(&rule.features)) {
            Ok(frame) => frame,
            Err(error) => {
                findings.push(say(Verdict::Inconclusive, error.to_string()));
                return;
            }
        };
        let missing: Vec<_> = frame
            .groups()
            .map(|(group, counts)| (group, counts.rows() - rule.gap.rows(counts)))
            .filter(|(_, rows)| *rows > 0)
            .map(|(group, rows)| format!("{rows} in {group}"))
            .collect();
        if !missing.is_empty() {
            let observed = format!("rows without a label or prediction: {}", few(&missing));
            findings.push(say(Verdict::Inconclusive, observed).with_severity(Severity::Warning));
        }
        let (kept, small) = frame.split(|counts| rule.gap.rows(counts) >= self.min_group_size);
        let small: Vec<_> = small.iter().map(ToString::to_string).collect();
        if !small.is_empty() {
            let observed = format!("fewer than {} rows in: {}", self.min_group_size, few(&small));
            match self.small_groups {
                SmallGroups::Inconclusive => {
                    findings.push(say(Verdict::Inconclusive, observed));
                    return;
                }
                SmallGroups::SetAside => findings.push(
                    say(Verdict::Inconclusive, format!("not measured, {observed}"))
                        .with_severity(Severity::Warning),
                ),
            }
        }
        let gap = match rule.gap.of(&kept, self.confidence) {
            Ok(gap) => gap,
            Err(error) => {
                findings.push(say(Verdict::Inconclusive, error.to_string()));
                return;
            }
        };
        let (low, high) = (gap.interval.low, gap.interval.high);
        let verdict = match rule.gap.is_ratio() {
            true if low >= rule.bound => Verdict::Pass,
            true if high < rule.bound => Verdict::Fail,
            false if high <= rule.bound => Verdict::Pass,
            false if low > rule.bound => Verdict::Fail,
            _ => Verdict::Inconclusive,
        };
        findings.push(say(verdict, gap.to_string()).with_value(gap.value).with_interval(low, high));
    }
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
    counts: GroupCounts,
}

impl Validator for FairnessValidator {
    fn plan(&self, _: &Schema, plan: &mut Plan) -> Result<Judge<Assessment>> {
        self.gate.check()?;
        let handle = plan.add(self.counts.clone());
        let gate = self.gate.clone();
        Ok(Judge::new(move |measured| match measured.get(&handle) {
            Ok(frame) => Ok(gate.judge(frame)),
            Err(error @ Error::Within { .. }) => {
                let observed = error.to_string();
                let finding = Finding::new(
                    "group_counts",
                    &gate.name,
                    Verdict::Inconclusive,
                    "labels, predictions and groups that can be counted",
                    observed,
                );
                Ok(Assessment::new(&gate.name, 0, vec![finding]))
            }
            Err(error) => Err(error),
        }))
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::array::{Int32Array, StringArray};
    use mlops_core::{MemorySource, ValidatorExt, batch};

    use super::*;
    use crate::{Counts, Group};

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
}
