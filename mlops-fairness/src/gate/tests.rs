use mlops_core::arrow::array::{Int32Array, StringArray};
use mlops_core::{MemorySource, Severity, ValidatorExt, Verdict, batch};

use super::unsettled::rows_needed;
use super::{FairnessGate, Measured, Rule, SmallGroups, WhenUndefined};
use crate::estimate::Scale;
use crate::gap::Limits;
use crate::{Counts, GapKind, Group, GroupCounts, Measure, MetricFrame, Operation, Question};

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
    let counts =
        frame(&[("a", [300, 100, 500, 100]), ("b", [310, 100, 490, 100]), ("c", [0, 100, 500, 0])]);
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
        FairnessGate::new("f").rule((Measure::Rate(crate::Metric::Accuracy), operation), "g", bound)
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
            for question in
                [Question::new(measure, operation), Question::new(measure, operation).to_overall()]
            {
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
    assert!(FairnessGate::new("f").with(Rule::new(scored, ["g"], 0.6).class("a")).check().is_err());
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
