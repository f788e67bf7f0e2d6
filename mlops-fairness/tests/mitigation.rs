//! Mitigations against fairlearn, and their contracts. `tests/golden/make_mitigation.py` makes the
//! golden values.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops_core::arrow::array::{
    Array, AsArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
};
use mlops_core::arrow::datatypes::{DataType, Field, Float64Type, Int8Type, Int32Type, Schema};
use mlops_core::model::{FnModel, Predictions};
use mlops_core::{Error, MemorySource, Model, batch, column, conformance, with_column};
use mlops_fairness::mitigation::{
    Bound, Comparison, Constraint, CorrelationRemover, Decision, ExponentiatedGradient,
    GroupThresholds, LogisticFit, Objective, Parity, ThresholdOptimizer, Training, hold_out,
};
use mlops_fairness::{Group, GroupScores};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/mitigation.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn rows(golden: &Value) -> RecordBatch {
    let rows = &golden["rows"];
    let group = rows["group"].as_array().unwrap().iter().map(|g| g.as_str().unwrap());
    let label = rows["y"].as_array().unwrap().iter().map(|y| y.as_i64().unwrap() as i32);
    batch! {
        "group" => StringArray::from_iter_values(group),
        "x" => Float64Array::from(numbers(&rows["x"])),
        "z" => Float64Array::from(numbers(&rows["z"])),
        "y" => Int32Array::from_iter_values(label),
        "score" => Float64Array::from(numbers(&rows["score"])),
    }
    .unwrap()
}

/// A model whose score is the column `score`.
fn given() -> impl Model {
    let schema = Arc::new(Schema::new(vec![Field::new("score", DataType::Float64, true)]));
    FnModel::new("given", schema, |rows| {
        let scores = rows.column(0).as_primitive::<Float64Type>();
        Ok(Predictions::binary("0", "1", scores))
    })
}

fn counts() -> GroupScores {
    GroupScores::new("y", "1", "score", ["group"])
}

#[test]
fn thresholds_are_fairlearns() {
    let golden = golden();
    let rows = rows(&golden);
    let source = MemorySource::from(rows.clone());
    for case in golden["thresholds"].as_array().unwrap() {
        let (constraint, objective) =
            (case["constraint"].as_str().unwrap(), case["objective"].as_str().unwrap());
        let parity = match constraint {
            "demographic_parity" => Parity::DemographicParity,
            "true_positive_rate_parity" => Parity::TruePositiveRate,
            "false_positive_rate_parity" => Parity::FalsePositiveRate,
            "true_negative_rate_parity" => Parity::TrueNegativeRate,
            "false_negative_rate_parity" => Parity::FalseNegativeRate,
            _ => Parity::EqualizedOdds,
        };
        let best = match objective {
            "accuracy_score" => Objective::Accuracy,
            "balanced_accuracy_score" => Objective::BalancedAccuracy,
            _ => Objective::TruePositiveRate,
        };
        let optimizer = ThresholdOptimizer::new(parity).objective(best).grid(200);
        let rule = optimizer.fit(&source, &counts()).unwrap();
        let target = case["target"].as_f64().unwrap();
        assert!((rule.target - target).abs() < 1e-12, "{constraint} {objective}: {}", rule.target);
        let chance = rule.apply_to(given()).unwrap().probability(&rows).unwrap();
        for (row, (ours, theirs)) in
            chance.values().iter().zip(numbers(&case["probability"])).enumerate()
        {
            assert!(
                (ours - theirs).abs() < 1e-12,
                "{constraint} {objective} {row}: {ours} {theirs}"
            );
        }
    }
}

#[test]
fn a_rule_is_a_file_and_a_model() {
    let golden = golden();
    let rows = rows(&golden);
    let source = MemorySource::from(rows.clone());
    let rule =
        ThresholdOptimizer::new(Parity::EqualizedOdds).seed(3).fit(&source, &counts()).unwrap();
    assert!(rule.is_randomized());
    let bytes = rule.to_bytes().unwrap();
    let read = GroupThresholds::from_bytes(&bytes).unwrap();
    assert_eq!(read, rule);
    assert_eq!(read.to_bytes().unwrap(), bytes);
    // Cut and changed files are errors or usable rules.
    for at in 0..bytes.len() {
        assert!(GroupThresholds::from_bytes(&bytes[..at]).is_err());
        for to in [b'9', b'"', b'-', 0] {
            let mut changed = bytes.clone();
            changed[at] = to;
            if let Ok(rule) = GroupThresholds::from_bytes(&changed) {
                assert!(rule.apply_to(given()).is_ok());
            }
        }
    }
    let fair = rule.clone().apply_to(given()).unwrap();
    conformance::model(&fair, &rows);
    // The draws meet the chances.
    let chance = fair.probability(&rows).unwrap();
    let ids = StringArray::from_iter_values((0..rows.num_rows()).map(|i| format!("row {i}")));
    let named = with_column(&rows, "id", Arc::new(ids)).unwrap();
    let drawn = rule.row_id("id").apply_to(given()).unwrap();
    conformance::model(&drawn, &named);
    let said = drawn.predict(&named).unwrap().score_of("1").unwrap();
    let sure = chance.values().iter().zip(said.values());
    assert!(sure.clone().all(|(p, d)| (*p > 0.0 || *d == 0.0) && (*p < 1.0 || *d == 1.0)));
    let (expected, found): (f64, f64) = sure.fold((0.0, 0.0), |sum, (p, d)| (sum.0 + p, sum.1 + d));
    assert!((expected - found).abs() < 4.0 * (400.0_f64 / 4.0).sqrt(), "{expected} {found}");
}

#[test]
fn one_threshold_a_group_keeps_its_tolerance() {
    let golden = golden();
    let rows = rows(&golden);
    let source = MemorySource::from(rows.clone());
    for parity in [Parity::DemographicParity, Parity::TruePositiveRate, Parity::FalsePositiveRate] {
        let optimizer = ThresholdOptimizer::new(parity).deterministic(0.06);
        let rule = optimizer.fit(&source, &counts()).unwrap();
        assert!(!rule.is_randomized());
        let rates: Vec<f64> = (0..3)
            .map(|group| {
                let expected = rule.expected(group);
                match parity {
                    Parity::DemographicParity => expected.selection_rate,
                    Parity::TruePositiveRate => expected.true_positive_rate,
                    _ => expected.false_positive_rate,
                }
            })
            .collect();
        let spread =
            rates.iter().copied().fold(0.0, f64::max) - rates.iter().copied().fold(1.0, f64::min);
        assert!(spread <= 0.06 + 1e-12, "{parity}: {rates:?}");
        // A mixture may not do worse than the best that is allowed to be drawn.
        let drawn = ThresholdOptimizer::new(parity).fit(&source, &counts()).unwrap();
        assert!(rule.value > drawn.value - 0.03, "{} {}", rule.value, drawn.value);
        conformance::model(&rule.apply_to(given()).unwrap(), &rows);
    }
    let odds = ThresholdOptimizer::new(Parity::EqualizedOdds).deterministic(0.1);
    assert!(matches!(odds.fit(&source, &counts()), Err(Error::Invalid { .. })));
    assert_eq!(odds.decision, Decision::Deterministic { tolerance: 0.1 });
}

#[test]
fn what_has_no_threshold_is_said() {
    let rows = |groups: Vec<Option<&str>>, scores: Vec<Option<f64>>, labels: Vec<i32>| {
        batch! {
            "group" => StringArray::from(groups),
            "score" => Float64Array::from(scores),
            "y" => Int32Array::from(labels),
        }
        .unwrap()
    };
    let fit = |rows: &RecordBatch| {
        ThresholdOptimizer::new(Parity::DemographicParity)
            .fit(&MemorySource::from(rows.clone()), &counts())
    };
    let one_label = rows(vec![Some("a"), Some("a"), Some("b")], vec![Some(0.1); 3], vec![0, 1, 1]);
    let error = fit(&one_label).unwrap_err().to_string();
    assert!(error.contains("group b"), "{error}");
    assert!(fit(&one_label.slice(0, 0)).is_err());
    // Groups and scores that were not there are predicted null; null is a group.
    let fitted = rows(
        vec![Some("a"), Some("a"), None, None],
        vec![Some(0.1), Some(0.9), Some(0.2), Some(0.8)],
        vec![0, 1, 0, 1],
    );
    let fair = fit(&fitted).unwrap().apply_to(given()).unwrap();
    let other = rows(
        vec![Some("z"), None, Some("a"), Some("a")],
        vec![Some(0.9), Some(0.9), None, Some(f64::NAN)],
        vec![1; 4],
    );
    let found = fair.predict(&other).unwrap().labels().unwrap();
    let found: Vec<_> = found.iter().collect();
    assert_eq!(found, [None, Some("1"), None, None]);
    // A dictionary is the text that it stands for.
    let dictionary: DictionaryArray<Int8Type> = vec!["a", "a"].into_iter().collect();
    let same = batch! { "group" => dictionary, "score" => Float64Array::from(vec![0.05, 0.95]) };
    let found = fair.predict(&same.unwrap()).unwrap().labels().unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [Some("0"), Some("1")]);
}

#[test]
fn reductions_are_as_good_as_fairlearns() {
    let golden = golden();
    let rows = rows(&golden);
    let learner = LogisticFit::new(["x", "z"]);
    for case in golden["exponentiated_gradient"].as_array().unwrap() {
        let name = case["constraint"].as_str().unwrap();
        let (constraint, bound) = match name {
            "demographic_parity" => (Constraint::DemographicParity, Bound::Difference(0.02)),
            "equalized_odds" => (Constraint::EqualizedOdds, Bound::Difference(0.03)),
            "true_positive_rate" => (Constraint::TruePositiveRate, Bound::Difference(0.02)),
            "error_rate" => (Constraint::ErrorRate, Bound::Difference(0.01)),
            _ => (Constraint::DemographicParity, Bound::Ratio { ratio: 0.9, slack: 0.0 }),
        };
        let how = ExponentiatedGradient::new(constraint, ["group"]).bound(bound);
        let fair = how.fit(&learner, &rows, "y", "1").unwrap();
        let of = |key: &str| case[key].as_f64().unwrap();
        println!("{name}: {fair}; fairlearn error {}, violation {}", of("error"), of("violation"));
        // Both solve the same game; which of several best mixtures is found may differ by as much
        // as the gap at which both stop.
        let end = of("nu").max(of("gap")).max(fair.gap);
        assert!((fair.error - of("error")).abs() < end, "{name}");
        assert!((fair.violation - of("violation")).abs() < end, "{name}");
        assert!(fair.gap < of("nu").max(of("gap") + 1e-6), "{name}: {}", fair.gap);
        // What it says of itself is what it does.
        let chance = fair.probability(&rows).unwrap();
        let labels = column(&rows, "y").unwrap().as_primitive::<Int32Type>();
        let error: f64 = chance
            .values()
            .iter()
            .zip(labels.values())
            .map(|(p, y)| if *y == 1 { 1.0 - p } else { *p })
            .sum();
        assert!((error / 400.0 - fair.error).abs() < 1e-9);
        let weights: f64 = fair.parts().iter().map(|(w, _)| w).sum();
        assert!((weights - 1.0).abs() < 1e-9);
    }
    let how =
        ExponentiatedGradient::new(Constraint::DemographicParity, ["group"]).max_iterations(8);
    let fair = how.fit(&learner, &rows, "y", "1").unwrap();
    conformance::model(&fair, &rows);
    assert_eq!(how.fit(&learner, &rows, "y", "1").unwrap().error, fair.error);
}

#[test]
fn a_reduction_says_what_it_can_not_do() {
    let golden = golden();
    let rows = rows(&golden);
    let how = ExponentiatedGradient::new(Constraint::DemographicParity, ["group"]);
    let learner = LogisticFit::new(["x", "z"]);
    assert!(how.fit(&learner, &rows, "y", "3").is_err());
    assert!(how.fit(&learner, &rows, "group", "a").is_err());
    assert!(how.fit(&learner, &rows.slice(0, 0), "y", "1").is_err());
    assert!(how.clone().max_iterations(0).fit(&learner, &rows, "y", "1").is_err());
    assert!(how.clone().bound(Bound::Difference(-1.0)).fit(&learner, &rows, "y", "1").is_err());
    let failing = |_: &Training<'_>| -> mlops_core::Result<Arc<dyn Model>> {
        Err(Error::undefined("a model", "no learner"))
    };
    assert!(how.fit(&failing, &rows, "y", "1").is_err());
    // A learner that always says the same is beyond help, and no endless loop.
    let stubborn =
        |_: &Training<'_>| -> mlops_core::Result<Arc<dyn Model>> { Ok(Arc::new(given())) };
    let fair = how.fit(&stubborn, &rows, "y", "1").unwrap();
    assert!(fair.gap.is_finite() && fair.iterations <= 50, "{fair}");
}

#[test]
fn weighted_logistic_regressions_are_scikit_learns() {
    let golden = golden();
    let rows = rows(&golden);
    let case = &golden["logistic"];
    let labels: Vec<bool> =
        golden["rows"]["y"].as_array().unwrap().iter().map(|y| y.as_i64() == Some(1)).collect();
    let weights = numbers(&case["weights"]);
    let training = Training::new(&rows, &labels, &weights, "0", "1");
    let model = LogisticFit::new(["x", "z"]).train(&training).unwrap();
    for (ours, theirs) in model.coefficients().iter().zip(numbers(&case["coefficients"])) {
        assert!((ours - theirs).abs() < 1e-7, "{ours} {theirs}");
    }
    let intercept = case["intercept"].as_f64().unwrap();
    assert!((model.intercepts()[0] - intercept).abs() < 1e-7);
    assert!(LogisticFit::new(["x"]).alpha(0.0).train(&training).is_err());
    let short = Training::new(&rows, &labels[1..], &weights, "0", "1");
    assert!(matches!(LogisticFit::new(["x"]).train(&short), Err(Error::Length { .. })));
    let no_rows = Training::new(&rows, &[], &[], "0", "1");
    assert!(LogisticFit::new(["x"]).train(&no_rows).is_err());
}

#[test]
fn residuals_are_fairlearns() {
    let golden = golden();
    let case = &golden["correlation_remover"];
    let of = |name: &str| Float64Array::from(numbers(&case["input"][name]));
    let rows = batch! { "s" => of("s"), "t" => of("t"), "f" => of("f"), "g" => of("g") }.unwrap();
    let source = MemorySource::from(rows.clone());
    let fitted = CorrelationRemover::fit(&source, ["s", "t"], ["f", "g"]).unwrap();
    for alpha in ["1.0", "0.6"] {
        let fair = fitted.clone().alpha(alpha.parse().unwrap()).unwrap().apply(&rows).unwrap();
        for feature in ["f", "g"] {
            let ours = column(&fair, feature).unwrap().as_primitive::<Float64Type>();
            let theirs = numbers(&case[format!("alpha {alpha}")][feature]);
            for (ours, theirs) in ours.values().iter().zip(theirs) {
                assert!((ours - theirs).abs() < 1e-10, "{feature} {alpha}: {ours} {theirs}");
            }
        }
    }
}

#[test]
fn before_and_after_on_rows_held_out() {
    let golden = golden();
    let rows = rows(&golden);
    let split = hold_out(&rows, 0.4, 2).unwrap();
    let rule = ThresholdOptimizer::new(Parity::DemographicParity)
        .fit(&MemorySource::from(split.fit.clone()), &counts())
        .unwrap();
    let fair = rule.apply_to(given()).unwrap();
    let compared = Comparison::on(&split.held_out, "y", "1", ["group"], &given(), &fair).unwrap();
    assert_eq!(compared.paired.n(), split.held_out.num_rows() as u64);
    let (change, limits) = compared.accuracy_change(0.95).unwrap();
    assert!(limits.contains(change));
    let text = compared.to_string();
    assert!(text.contains("demographic_parity_difference") && text.contains("accuracy"), "{text}");
    let page = mlops_core::report::Report::new("t").section(compared.section(0.95)).to_markdown();
    assert!(page.contains("Before and after"), "{page}");
    // Against itself nothing changes.
    let same = Comparison::on(&rows, "y", "1", ["group"], &given(), &given()).unwrap();
    assert_eq!(same.accuracy_change(0.95).unwrap().0, 0.0);
    assert_eq!(same.before, same.after);
    assert!(same.before.group(&Group::of("a")).is_some());
    assert!(Comparison::on(&rows, "none", "1", ["group"], &given(), &given()).is_err());
    assert_eq!(column(&rows, "y").unwrap().null_count(), 0);
}
