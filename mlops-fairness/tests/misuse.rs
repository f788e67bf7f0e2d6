//! Slips of the pen: an error, or an undefined number, that says what to do; never a number that
//! looks right.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops_core::arrow::array::{Float64Array, Int32Array, RecordBatch, StringArray};
use mlops_core::model::{ArrayModel, LinearModel};
use mlops_core::stats::{Draws, Resampling};
use mlops_core::{DataSourceExt, Error, MemorySource, batch};
use mlops_fairness::attribution::{
    AttributionReport, AttributionSummary, Background, ExplainedSource, KernelExplainer, Labels,
    LinearExplainer, MaskedModel, pictures,
};
use mlops_fairness::mitigation::{Parity, ThresholdOptimizer};
use mlops_fairness::uncertainty::abroca_null;
use mlops_fairness::{
    Bins, FairnessGate, GapKind, Group, GroupCounts, GroupScores, Measure, Metric, Operation,
    Question, ScoreMetric, gap,
};

/// Scores that go with labels, put through a function.
fn scored(to: impl Fn(f64) -> f64) -> MemorySource {
    let mut draws = Draws::new(1, 0, 0);
    let (mut sex, mut paid, mut score) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..6000 {
        let u = draws.uniform();
        sex.push(if draws.bernoulli(0.4) { "F" } else { "M" });
        paid.push(i32::from(draws.bernoulli(u)));
        score.push(to(u));
    }
    let rows = batch! {
        "sex" => StringArray::from(sex),
        "paid" => Int32Array::from(paid),
        "score" => Float64Array::from(score),
    };
    MemorySource::from(rows.unwrap())
}

type To = fn(f64) -> f64;

#[test]
fn scores_outside_of_the_bins_have_no_auc_that_looks_right() {
    let by = GroupScores::new("paid", "1", "score", ["sex"]);
    let probabilities = scored(|u| u).measure(&by).unwrap();
    let right = probabilities.value(ScoreMetric::RocAuc).unwrap();
    assert!((right - 0.83).abs() < 0.02, "{right}");
    let tables: [(&str, To, f64, f64); 4] = [
        ("credit scores", |u| 300.0 + 550.0 * u, 300.0, 850.0),
        ("margins", |u| (u / (1.0 - u)).ln(), -12.0, 12.0),
        ("fraud", |u| u / 1000.0, 0.0, 0.001),
        ("negative", |u| u - 5.0, -5.0, -4.0),
    ];
    for (what, to, low, high) in tables {
        let rows = scored(to);
        let frame = rows.measure(&by).unwrap();
        for (group, counts) in frame.groups() {
            let reason = ScoreMetric::RocAuc.value(counts).unwrap_err().reason;
            assert!(reason.contains("with_score_bins"), "{what}, {group}: {reason}");
            assert_eq!(reason.contains("lie outside"), what != "fraud", "{reason}");
            assert!(counts.roc_curve().is_err() && counts.at(0.0).is_err() == (what != "fraud"));
            // The bounds hold all the same.
            let area = counts.roc_auc().unwrap();
            assert!(area.low < right && right < area.high, "{what}: {area}");
        }
        assert!(frame.abroca().is_err());
        let (a, b) = (frame.groups().next().unwrap().1, frame.groups().nth(1).unwrap().1);
        assert!(abroca_null(a, b, Resampling::new(1, 20)).is_err());
        let error = ThresholdOptimizer::new(Parity::EqualizedOdds).fit(&rows, &by).unwrap_err();
        assert!(error.to_string().contains("with_score_bins"), "{error}");
        // With bins that fit it is what it is of probabilities.
        let bins = by.clone().with_score_bins(Bins::new(1000, low, high).unwrap());
        let found = rows.measure(&bins).unwrap().value(ScoreMetric::RocAuc).unwrap();
        assert!((found - right).abs() < 0.005, "{what}: {found}");
        assert!(ThresholdOptimizer::new(Parity::EqualizedOdds).fit(&rows, &bins).is_ok());
    }
    for (n, low, high) in [(0, 0.0, 1.0), (1 << 17, 0.0, 1.0), (10, 1.0, 1.0), (10, 0.0, f64::NAN)]
    {
        assert!(Bins::new(n, low, high).is_err());
    }
    assert!(Bins::new(10, f64::NEG_INFINITY, 0.0).is_err());
}

#[test]
fn groups_say_what_is_missing() {
    let rows = scored(|u| u);
    let typo = GroupCounts::new("paid", "1", ["score"]).with_bins("scoer", [0.5]);
    let error = rows.measure(&typo).unwrap_err().to_string();
    assert!(error.contains("`scoer`") && error.contains("makes groups: score"), "{error}");

    let unlabelled = rows.measure(&GroupCounts::new("paid", "1", ["sex"])).unwrap();
    let rate = unlabelled.overall(Metric::TruePositiveRate);
    assert!(rate.unlabelled && rate.to_string().contains("with_labels"), "{rate}");
    assert!(!unlabelled.overall(Metric::SelectionRate).unlabelled);

    let everyone = GroupCounts::new("paid", "1", Vec::<String>::new());
    let everyone = rows.measure(&everyone).unwrap();
    assert_eq!(everyone.to_string().matches("everyone").count(), 1, "{everyone}");
    let weighted = GroupCounts::new("paid", "1", ["sex"]).with_weights("score");
    let weighted = rows.measure(&weighted).unwrap().overall(Metric::SelectionRate);
    assert!(
        weighted.to_string().contains("(weights ") && weighted.to_string().contains("6000 rows")
    );
}

#[test]
fn rows_of_others_are_not_shown_as_those_explained() {
    let x = |n: usize| -> RecordBatch {
        batch! {
            "a" => Float64Array::from_iter_values((0..n).map(|i| i as f64)),
            "b" => Float64Array::from_iter_values((0..n).map(|i| (i % 3) as f64)),
            "sex" => StringArray::from_iter_values((0..n).map(|i| ["F", "M"][i % 2])),
        }
        .unwrap()
    };
    let (rows, labels) = (x(20), Labels::new());
    let source = MemorySource::from(rows.clone());
    let model = LinearModel::regression(["a", "b"], [1.0, 2.0], 0.0).unwrap();
    let explainer = Arc::new(LinearExplainer::new(&model, &source).unwrap());
    let found = explainer.explain(&rows).unwrap();
    let is_length = |error: Error| assert!(matches!(error, Error::Length { .. }), "{error}");
    for other in [x(19), x(21), x(0)] {
        is_length(pictures::waterfall(&found, 2, Some(&other), &labels).unwrap_err());
        is_length(pictures::force(&found, 2, Some(&other), &labels).unwrap_err());
        is_length(pictures::scatter(&found, "a", None, &other, &labels).unwrap_err());
    }
    let explained = ExplainedSource::new(Arc::new(source), explainer.clone()).unwrap();
    let analyzer = AttributionSummary::of(&explainer).unwrap();
    let summary = explained.measure(&analyzer).unwrap();
    let page = AttributionReport::new("A", summary.clone());
    is_length(page.clone().rows(found.clone(), x(10)).to_report().unwrap_err());
    assert!(page.rows(found, rows.clone()).to_report().is_ok());

    // Gaps without cohorts, and without a threshold.
    let error = summary.gap("F", "M", 0.95).unwrap_err().to_string();
    assert!(error.contains("no cohorts") && error.contains("by("), "{error}");
    let error = summary.selection_gap("F", "M", 0.95).unwrap_err().to_string();
    assert!(error.contains("threshold("), "{error}");
    assert!(summary.to_string().starts_with("attributions of predictions over 20 rows"));
}

#[test]
fn a_budget_that_is_too_small_names_one_that_is_not() {
    let model =
        ArrayModel::regression(["a", "b", "c"], |x| &x.column(0) * &x.column(1) + x.column(2));
    let rows = |by: f64| {
        batch! {
            "a" => Float64Array::from(vec![by]),
            "b" => Float64Array::from(vec![by]),
            "c" => Float64Array::from(vec![by]),
        }
        .unwrap()
    };
    let masked = MaskedModel::new(model, &Background::new(rows(0.0)).unwrap()).unwrap();
    let kernel = KernelExplainer::new(masked);
    let error = kernel.clone().coalitions(1).explain(&rows(2.0)).unwrap_err().to_string();
    assert!(error.contains("1 coalitions") && error.contains("6 always do"), "{error}");
    assert!(kernel.coalitions(6).explain(&rows(2.0)).is_ok());
}

#[test]
fn gaps_tell_of_what_they_compare() {
    // Of 40 rows each: 30, 20 and 2 are selected.
    let selected = [30, 20, 2];
    let rows = batch! {
        "g" => StringArray::from_iter_values((0..120).map(|i| ["a", "b", "c"][i / 40])),
        "p" => Int32Array::from_iter_values((0..120).map(|i| i32::from(i % 40 < selected[i / 40]))),
        "w" => Float64Array::from_iter_values((0..120).map(|i| if i % 2 == 0 { 0.5 } else { 3.0 })),
    };
    let rows = MemorySource::from(rows.unwrap());
    let by = GroupCounts::new("p", "1", ["g"]);
    let frame = rows.measure(&by).unwrap();
    let parity = |operation| Question::new(Measure::DemographicParity, operation).to_overall();
    let everyone = Group::default();
    // `c` is farthest from everyone's 52/120.
    for operation in [Operation::Difference, Operation::Ratio] {
        let found = gap::of(&frame, parity(operation), 0.95).unwrap();
        assert_eq!((&found.highest.0, found.lowest.0.to_string()), (&everyone, "c".to_owned()));
        let (high, low) = (found.highest.1.value, found.lowest.1.value);
        let value = if operation == Operation::Ratio { low / high } else { high - low };
        assert!((found.value - value).abs() < 1e-12, "{found}");
        assert!(found.to_string().contains("of everyone is 0.4333 (52/120), of c 0.0500 (2/40)"));
    }
    // Weighted rows have no share that can be counted.
    let weighted = rows.measure(&by.with_weights("w")).unwrap();
    let found = gap::demographic_parity_difference(&weighted, 0.95).unwrap();
    assert!(
        found.to_string().contains("(40 rows)") && !found.to_string().contains("/40"),
        "{found}"
    );

    let error = gap::demographic_parity_difference(&frame, 95.0).unwrap_err().to_string();
    assert!(error.contains("found 95"), "{error}");
    let gate = FairnessGate::new("f").rule(GapKind::DemographicParityDifference, "g", 0.1).rule(
        GapKind::DemographicParityRatio,
        "g",
        0.8,
    );
    let found = gate.clone().confidence(95.0).judge(&frame);
    assert!(found.findings.len() == 1 && !found.to_string().contains('%'), "{found}");
    assert!(found.to_string().contains("0.95, found 95") && found.require_pass().is_err());

    let policy = gate.to_json().unwrap();
    for (from, to, hint) in [
        ("demographic_parity", "recall", "`true_positive_rate`"),
        ("demographic_parity", "equalized_odds_ratio", "`equalized_odds` with `operation: ratio`"),
        ("demographic_parity", "disparate_impact", "`demographic_parity` with `operation: ratio`"),
        ("demographic_parity", "auc", "`roc_auc`"),
    ] {
        let error = FairnessGate::from_json(&policy.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
    let alone =
        r#"{"name": "f", "rules": [{"metric": "accuracy", "features": "g", "bound": 0.1}]}"#;
    let error = FairnessGate::from_json(alone).unwrap_err().to_string();
    assert!(error.contains("list of features: `[g]`"), "{error}");
}
