//! Summaries of attributions: contracts, gaps between groups, and φ as any other data.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops_core::arrow::array::{AsArray, Float64Array, Int32Array, RecordBatch, StringArray};
use mlops_core::model::{LinearModel, Link};
use mlops_core::report::Report;
use mlops_core::stats::Draws;
use mlops_core::{Analyzer, Cancel, DataSourceExt, MemorySource, Plan, batch, conformance};
use mlops_fairness::attribution::{
    AttributionParts, AttributionReport, AttributionSummary, Attributions, Background,
    ExplainedSource, GapOf, InteractionExplainer, Labels, LinearExplainer, PartialDependence,
    Space, Summary, ValuePlace, pictures,
};
use proptest::prelude::*;

/// φ and their data, with all that can go wrong in them.
fn nasty() -> RecordBatch {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let phi = |x: Vec<Option<f64>>| Float64Array::from(x);
    batch! {
        "phi:x" => phi(vec![
            Some(0.5), Some(-0.0), Some(1e300), Some(-1e-300), None, Some(nan), Some(2.5), Some(0.5),
            Some(3.0), Some(-7.0), Some(1e-320), Some(0.25),
        ]),
        "phi:city" => phi((0..12).map(|i| Some(f64::from(i) - 6.0)).collect()),
        "phi_base" => Float64Array::from(vec![1.0; 12]),
        "phi_prediction" => phi((0..12).map(|i| Some(f64::from(i % 5) - 1.0)).collect()),
        "phi:x*city" => Float64Array::from_iter_values((0..12).map(|i| f64::from(i % 2) - 0.5)),
        "x" => phi(vec![
            Some(1.0), Some(inf), Some(-inf), Some(nan), Some(3.0), Some(1.0), None, Some(-0.0),
            Some(5e-324), Some(1e308), Some(-1e308), Some(17.0),
        ]),
        "city" => StringArray::from(vec![
            Some("Oslo"), None, Some(""), Some("Oslo"), Some("Bergen"), None, Some("Oslo"),
            Some("Bergen"), Some("Oslo"), Some("Bergen"), Some("Narvik"), Some("Oslo"),
        ]),
        "sex" => Int32Array::from(vec![
            Some(1), Some(2), None, Some(1), Some(2), Some(1), Some(2), Some(1), Some(2), Some(1),
            None, Some(2),
        ]),
    }
    .unwrap()
}

fn analyzer() -> AttributionSummary {
    AttributionSummary::new(&["x", "city"], &["y".to_owned()], "y").unwrap()
}

#[test]
fn keeps_the_contract() {
    conformance::analyzer(&analyzer(), &nasty());
    conformance::analyzer(&analyzer().by(["sex"]).threshold(1.5), &nasty());
    let all = analyzer().by(["sex", "city"]).interaction(("x", "city"), "phi:x*city");
    conformance::analyzer(&all, &nasty());
    conformance::analyzer(&analyzer().without_values(), &nasty());
}

#[test]
fn what_is_left_out_is_counted_and_missing_values_have_a_place() {
    let summary = MemorySource::from(nasty()).measure(&analyzer().by(["sex"])).unwrap();
    assert_eq!((summary.rows, summary.skipped), (10, 2));
    let x = summary.features.iter().find(|f| f.feature == "x").unwrap();
    let rows = |wanted: &ValuePlace| {
        x.values.iter().filter(|v| v.place == *wanted).map(|v| v.rows).sum::<u64>()
    };
    assert_eq!(rows(&ValuePlace::NegativeInfinity), 1);
    assert_eq!(rows(&ValuePlace::PositiveInfinity), 1);
    // NaN of a row that is there, and a null.
    assert_eq!(rows(&ValuePlace::Missing), 2);
    assert_eq!(x.values.iter().map(|v| v.rows).sum::<u64>(), 10);
    for value in &x.values {
        assert_eq!(value.counts.len() + 1, x.phi_edges.len());
        assert_eq!(value.counts.iter().sum::<u64>(), value.rows);
    }
    let city = summary.features.iter().find(|f| f.feature == "city").unwrap();
    let oslo = city.values.iter().find(|v| v.place == ValuePlace::Category("Oslo".into())).unwrap();
    assert_eq!((oslo.rows, oslo.mean), (5, (-6.0 - 3.0 + 0.0 + 2.0 + 5.0) / 5.0));
    assert_eq!(summary.cohorts.len(), 3);
    assert_eq!(summary.cohorts.iter().map(|c| c.rows).sum::<u64>(), 10);
    let json = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);

    let none = MemorySource::from(nasty().slice(0, 0)).measure(&analyzer()).unwrap();
    assert!(none.rows == 0 && none.mean_prediction.is_none() && none.features[0].range.is_none());
    let missing = MemorySource::from(nasty().project(&[0, 1]).unwrap());
    assert!(missing.measure(&analyzer()).is_err());
}

#[test]
fn more_categories_than_are_told_apart() {
    let names = (0..200).map(|i| format!("{:03}", i * 7 % 200));
    let rows = batch! {
        "phi:c" => Float64Array::from_iter_values((0..200).map(f64::from)),
        "phi_prediction" => Float64Array::from(vec![0.0; 200]),
        "c" => StringArray::from_iter_values(names),
    }
    .unwrap();
    let analyzer = AttributionSummary::new(&["c"], &["y".to_owned()], "y").unwrap();
    conformance::analyzer(&analyzer, &rows);
    let summary = MemorySource::from(rows).measure(&analyzer).unwrap();
    let values = &summary.features[0].values;
    assert_eq!(values.len(), 65);
    assert_eq!(values[63].place, ValuePlace::Category("063".into()));
    assert_eq!((&values[64].place, values[64].rows), (&ValuePlace::OtherCategories, 136));
}

fn people(n: usize, seed: u64) -> RecordBatch {
    let mut draws = Draws::new(seed, 0, 0);
    let (mut sex, mut years, mut income) = (vec![], vec![], vec![]);
    for _ in 0..n {
        let woman = draws.uniform() < 0.4;
        sex.push(if woman { "F" } else { "M" });
        years.push(if woman { 5.0 } else { 8.0 } * draws.uniform());
        income.push(draws.normal());
    }
    batch! {
        "sex" => StringArray::from(sex),
        "years" => Float64Array::from(years),
        "income" => Float64Array::from(income),
    }
    .unwrap()
}

fn explained(rows: &RecordBatch) -> ExplainedSource {
    let source = MemorySource::from(rows.clone());
    let model = LinearModel::logistic(["years", "income"], [0.5, 1.0], -2.0, "no", "yes").unwrap();
    let explainer = LinearExplainer::new(&model, &source).unwrap();
    ExplainedSource::new(Arc::new(source), Arc::new(explainer)).unwrap()
}

#[test]
fn an_explained_source_is_a_source() {
    let rows = people(37, 1);
    let source = explained(&rows);
    conformance::data_source(&source);
    let halves = MemorySource::new(rows.schema(), [rows.slice(0, 20), rows.slice(20, 17)]).unwrap();
    let halves = ExplainedSource::new(Arc::new(halves), source.explainer().clone()).unwrap();
    conformance::data_source(&halves);
    assert_eq!(halves.collect().unwrap(), source.collect().unwrap());
    // A column of the source that has the name of an attribution.
    let taken = batch! {
        "years" => Float64Array::from(vec![1.0]),
        "income" => Float64Array::from(vec![1.0]),
        "phi:years" => Float64Array::from(vec![1.0]),
    };
    let taken = MemorySource::from(taken.unwrap());
    assert!(ExplainedSource::new(Arc::new(taken), source.explainer().clone()).is_err());
    let narrow = MemorySource::from(rows.project(&[0, 1]).unwrap());
    let error = ExplainedSource::new(Arc::new(narrow), source.explainer().clone());
    assert!(error.unwrap_err().to_string().contains("income"));
}

#[test]
fn gaps_are_split_exactly_and_the_limits_cover() {
    let rows = people(400, 2);
    let source = explained(&rows);
    let analyzer = AttributionSummary::of(source.explainer()).unwrap();
    let analyzer = analyzer.by(["sex"]).threshold(0.0);
    let summary = source.measure(&analyzer).unwrap();
    let gap = summary.gap("M", "F", 0.95).unwrap();
    assert!(gap.is_exact && gap.residual.abs() < 1e-13, "{gap}");
    let years = &gap.parts[0];
    assert_eq!(years.feature, "years");
    // Half of the difference in years, by hand.
    let mean = |sex: &str| {
        let column = |name: &str| mlops_core::column(&rows, name).unwrap().clone();
        let (sexes, years) = (column("sex"), column("years"));
        let sexes = sexes.as_string::<i32>();
        let years: &Float64Array = years.as_primitive();
        let of: Vec<f64> =
            (0..400).filter(|&i| sexes.value(i) == sex).map(|i| years.value(i)).collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert!((years.difference - 0.5 * (mean("M") - mean("F"))).abs() < 1e-12);
    assert!(years.interval.as_ref().unwrap().contains(0.75));
    assert!(gap.parts[1].interval.as_ref().unwrap().contains(0.0));

    let selected = summary.selection_gap("M", "F", 0.95).unwrap();
    assert_eq!((selected.of, selected.is_exact), (GapOf::SelectionRate, false));
    assert!(selected.residual.abs() < 1e-12 && selected.difference > 0.1, "{selected}");
    assert!(selected.parts[0].feature == "years" && selected.parts[0].difference > 0.1);
    assert!(summary.gap("M", "X", 0.95).is_err() && summary.gap("M", "F", 1.0).is_err());
    let plain = source.measure(&AttributionSummary::of(source.explainer()).unwrap()).unwrap();
    assert!(plain.gap("M", "F", 0.95).is_err());
    let without = AttributionSummary::of(source.explainer()).unwrap().by(["sex"]);
    assert!(source.measure(&without).unwrap().selection_gap("M", "F", 0.95).is_err());
}

#[test]
fn the_limits_of_a_gap_hold_as_often_as_they_say() {
    // The truth: 0.5 · (8/2 − 5/2) = 0.75 for years, 0 for income; both must be inside.
    let model = LinearModel::regression(["years", "income"], [0.5, 1.0], 0.0).unwrap();
    let explainer = Arc::new(LinearExplainer::with_means(model, vec![3.0, 0.0]).unwrap());
    let analyzer = AttributionSummary::of(&explainer).unwrap().without_values().by(["sex"]);
    let times = 400;
    let covered = (0..times)
        .filter(|&seed| {
            let source = MemorySource::from(people(60, seed + 100));
            let source = ExplainedSource::new(Arc::new(source), explainer.clone()).unwrap();
            let gap = source.measure(&analyzer).unwrap().gap("M", "F", 0.9).unwrap();
            gap.parts.iter().all(|part| {
                let truth = if part.feature == "years" { 0.75 } else { 0.0 };
                part.interval.as_ref().unwrap().contains(truth)
            })
        })
        .count();
    // 90 % of 400 with four standard errors of 1.5 %; Bonferroni may cover more.
    assert!((336..=396).contains(&covered), "{covered} of {times}");
}

#[test]
fn summaries_ride_on_one_scan_with_anything() {
    let source = explained(&people(100, 3));
    let mut plan = Plan::new();
    let summary = AttributionSummary::of(source.explainer()).unwrap();
    let all = plan.add(summary.clone());
    let again = plan.add(summary.clone());
    let years = plan.add(mlops_core::states::NumericSummary::new("phi:years"));
    let measured = source.scan().run(&plan).unwrap();
    assert_eq!(plan.len(), 2);
    let mean = measured.get(&years).unwrap().mean().unwrap();
    let found = measured.get(&all).unwrap();
    let feature = found.features.iter().find(|f| f.feature == "years").unwrap();
    assert_eq!(feature.mean, mean);
    assert_eq!(measured.get(&again).unwrap(), found);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn hostile_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let analyzer = analyzer().by(["sex"]);
        if let Ok(state) = analyzer.decode(&mut bytes.as_slice()) {
            drop(analyzer.finish(state));
        }
    }

    #[test]
    fn changed_states_do_no_harm(at in 0usize..4000, byte in any::<u8>()) {
        use mlops_core::State as _;
        let analyzer = analyzer().by(["sex"]);
        let state = MemorySource::from(nasty()).scan().state(&analyzer).unwrap();
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(mut other) = analyzer.decode(&mut bytes.as_slice()) {
            drop(other.merge(state));
            drop(analyzer.finish(other));
        }
    }
}

/// Every picture of these attributions, on one page.
fn page(rows: &RecordBatch, attributions: &Attributions, summary: &Summary) -> Report {
    let labels = Labels::new().feature("x", "<b>Height</b>", Some("m & cm")).explained("\"p\"");
    let mut report = AttributionReport::new("All <pictures>", summary.clone())
        .labels(labels.clone())
        .method("by hand")
        .rows(attributions.clone(), rows.clone());
    if let [a, b, ..] = &summary.cohorts[..] {
        let (a, b) = (a.group.to_string(), b.group.to_string());
        report = report.gap(summary.gap(&a, &b, 0.95).unwrap());
    }
    let mut page = report.to_report().unwrap();
    for feature in &attributions.features {
        page = page.figure(pictures::dependence(summary, feature, &labels).unwrap());
        if let Ok(scatter) = pictures::scatter(attributions, feature, Some("x"), rows, &labels) {
            page = page.figure(scatter);
        }
    }
    page
}

fn by_hand(names: &[&str], values: Vec<f64>) -> Attributions {
    let n = names.len().max(1);
    let predictions: Vec<f64> = values.chunks(n).map(|phi| phi.iter().sum::<f64>()).collect();
    let parts = AttributionParts {
        features: names.iter().map(|n| (*n).to_owned()).collect(),
        outputs: vec!["y".to_owned()],
        space: Space::Margin,
        base_values: vec![0.0],
        values,
        predictions,
    };
    Attributions::new(parts, None).unwrap()
}

fn beside(rows: &RecordBatch, attributions: &Attributions) -> RecordBatch {
    let phi = attributions.to_batch().unwrap();
    let columns = |b: &RecordBatch| -> Vec<(String, _)> {
        let names = b.schema_ref().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        names.into_iter().zip(b.columns().iter().cloned()).collect()
    };
    let all = columns(rows).into_iter().chain(columns(&phi));
    RecordBatch::try_from_iter_with_nullable(all.map(|(n, c)| (n, c, true))).unwrap()
}

#[test]
fn every_output_has_its_summary() {
    let rows = people(50, 9);
    let link = Link::Softmax { classes: vec!["a".into(), "b".into(), "c".into()] };
    let weights = vec![1.0, 2.0, -1.0, 0.5, 0.0, -3.0];
    let names = vec!["years".to_owned(), "income".to_owned()];
    let model = LinearModel::new(names, weights, vec![0.1, 0.2, 0.3], link).unwrap();
    let source = MemorySource::from(rows.clone());
    let explainer = Arc::new(LinearExplainer::new(&model, &source).unwrap());
    let explained = ExplainedSource::new(Arc::new(source), explainer.clone()).unwrap();
    conformance::data_source(&explained);
    assert!(AttributionSummary::of(&explainer).is_err());
    assert!(AttributionSummary::of_output(&explainer, "d").is_err());
    let attributions = explainer.explain(&rows).unwrap();
    for output in ["a", "b", "c"] {
        let analyzer = AttributionSummary::of_output(&explainer, output).unwrap().by(["sex"]);
        let summary = explained.measure(&analyzer).unwrap();
        let one = attributions.output(output).unwrap().importance().unwrap();
        for (ours, theirs) in summary.features.iter().zip(&one) {
            assert_eq!(ours.feature, theirs.feature);
            assert!((ours.mean_absolute - theirs.mean_absolute).abs() < 1e-14);
        }
        assert!(summary.gap("F", "M", 0.95).unwrap().residual.abs() < 1e-13);
    }
}

#[test]
fn pictures_of_anything() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let rows = batch! {
        "x" => Float64Array::from(vec![Some(1.0), None, Some(inf), Some(nan), Some(-2.5), Some(1e300)]),
        "city" => StringArray::from(vec![Some("</svg>"), None, Some(""), Some("b"), Some("b"), Some("c")]),
        "sex" => StringArray::from(vec![Some("F"), Some("M"), None, Some("F"), Some("M"), Some("F")]),
    }
    .unwrap();
    let cases = [
        vec![0.5, -0.25, 1.0, 2.0, -3.0, 0.0, 0.1, 0.2, -0.3, 0.4, 5.0, 6.0],
        vec![0.0; 12],
        vec![1e300, -1e300, 1e-300, 0.0, -0.0, 5e-324, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        vec![7.0; 12],
    ];
    for values in cases {
        for take in [6, 1, 0] {
            let rows = rows.slice(0, take);
            let attributions = by_hand(&["x", "city"], values[..2 * take].to_vec());
            let source = MemorySource::from(beside(&rows, &attributions));
            let summary = source.measure(&analyzer().by(["sex"])).unwrap();
            let page = page(&rows, &attributions, &summary);
            let html = page.to_html();
            assert!(!html.contains("NaN\"") && !html.contains("inf\""));
            assert!(!html.contains("<b>Height") && html.contains("&lt;b&gt;Height"), "escaped");
            // As text: NaN equals no NaN.
            let json = page.to_json().unwrap();
            assert!(Report::from_json(&json).unwrap().to_json().unwrap() == json, "JSON");
            assert!(page.to_terminal(80, false).contains("All <pictures>"));
        }
    }
    // Several outputs are no picture.
    let two = AttributionParts {
        features: vec!["x".into()],
        outputs: vec!["a".into(), "b".into()],
        space: Space::Margin,
        base_values: vec![0.0, 0.0],
        values: vec![1.0, 2.0],
        predictions: vec![1.0, 2.0],
    };
    let two = Attributions::new(two, None).unwrap();
    let labels = Labels::new();
    assert!(pictures::waterfall(&two, 0, None, &labels).is_err());
    assert!(pictures::decision(&two, &labels).is_err());
    let one = two.output("b").unwrap();
    assert!(pictures::waterfall(&one, 1, None, &labels).is_err());
    let text = batch! {
        "city" => StringArray::from(vec!["b", "a", "b"]),
        "x" => Float64Array::from(vec![1.0, 2.0, 3.0]),
    }
    .unwrap();
    let logistic = LinearModel::logistic(["x"], [1.0], 0.0, "no", "yes").unwrap();
    for feature in ["x", "city"] {
        let curve = PartialDependence::of(feature).measure(&logistic, &text).unwrap();
        let figure = pictures::curve(&curve, "yes", &labels).unwrap();
        assert!(Report::new("t").figure(figure).to_html().contains("3 of 3 rows"));
        assert!(pictures::curve(&curve, "maybe", &labels).is_err());
    }
    let figure = pictures::force(&one, 0, None, &labels).unwrap();
    assert_eq!(figure.to_table().rows.len(), 3);
}

#[test]
fn a_waterfall_says_names_values_units_and_what_is_left() {
    let names: Vec<String> = (0..20).map(|i| format!("f{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let attributions = by_hand(&names, (0..20).map(|i| f64::from(i) - 7.5).collect());
    let rows = batch! {
        "f19" => Float64Array::from(vec![Some(1234.75)]),
        "f18" => Float64Array::from(vec![None]),
        "f17" => StringArray::from(vec![""]),
    }
    .unwrap();
    let labels = Labels::new().feature("f19", "Income", Some("EUR"));
    let html = |figure| Report::new("t").figure(figure).to_html();
    let page = html(pictures::waterfall(&attributions, 0, Some(&rows), &labels).unwrap());
    for words in ["Income", "= 1,235 EUR", "is missing", "= (empty)", "9 other features", "+11.5"] {
        assert!(page.contains(words), "{words}");
    }
    let force = html(pictures::force(&attributions, 0, Some(&rows), &labels).unwrap());
    assert!(force.contains("Income = 1,235 EUR: +11.5") && force.contains("pushes down"));
}

#[test]
fn features_that_act_together_are_shown() {
    use mlops_core::model::trees::{Feature, Node, Question, Side, Split, Tree, TreeEnsemble};
    let split = |feature, left, right, cover| {
        Node::Split(Split {
            feature,
            question: Question::Below(0.0),
            missing: Side::Left,
            zero_is_missing: false,
            left,
            right,
            cover,
        })
    };
    // 1 where a and b are not negative, else 0.
    let nodes = vec![
        split(0, 1, 2, 4.0),
        Node::Leaf { value: 0, cover: 2.0 },
        split(1, 3, 4, 2.0),
        Node::Leaf { value: 0, cover: 1.0 },
        Node::Leaf { value: 1, cover: 1.0 },
    ];
    let features = ["a", "b", "c"].map(Feature::number).to_vec();
    let tree = Tree::new(nodes, vec![0.0, 1.0]);
    let model = TreeEnsemble::new(features, vec![tree], vec![0.0], Link::Identity).unwrap();
    let x = || Float64Array::from(vec![-1.0, 1.0, 1.0]);
    let rows = batch! { "a" => x(), "b" => x(), "c" => x() }.unwrap();
    let explainer = InteractionExplainer::new(&model).unwrap();
    let found = explainer.explain(&rows).unwrap();
    let labels = Labels::new().feature("a", "Height", None);
    let figure = pictures::interactions(&found, 0, &labels).unwrap();
    let table = Report::new("t").figure(figure).to_markdown();
    // Both of a pair have half of v(ab) − v(a) − v(b) + v() = 1 − ½ − ½ + ¼, in every row.
    assert!(table.contains("Height × b") && table.contains("0.125"), "{table}");
    assert!(pictures::interactions(&found, 1, &labels).is_err());
    let none = explainer.explain(&rows.slice(0, 0)).unwrap();
    assert!(pictures::interactions(&none, 0, &labels).is_err());

    // As columns beside the data, of which no row is kept; path-dependent and against a background,
    // which has other shares.
    let against = InteractionExplainer::against(&model, &Background::new(rows.clone()).unwrap());
    for (explainer, share) in [(explainer, 0.125), (against.unwrap(), 2.0 / 9.0)] {
        let source = Arc::new(MemorySource::from(rows.clone()));
        let explained = ExplainedSource::new(source, Arc::new(explainer.clone())).unwrap();
        conformance::data_source(&explained);
        let summary = explained.measure(&AttributionSummary::of(&explainer).unwrap()).unwrap();
        let [pair] = &summary.interactions[..] else { panic!("one pair") };
        assert_eq!(pair.features, ("a".to_owned(), "b".to_owned()));
        let strongest = explainer.explain(&rows).unwrap().strongest(0).unwrap();
        assert_eq!((pair.mean_absolute, (0, 1)), (strongest[0].1, strongest[0].0));
        assert!((pair.mean_absolute - share).abs() < 1e-15, "{}", pair.mean_absolute);
        let phi = explainer.explain(&rows).unwrap().attributions().unwrap();
        let strongest = phi.importance().unwrap()[0].mean_absolute;
        assert!((summary.features[0].mean_absolute - strongest).abs() < 1e-15);
    }
}

#[test]
fn a_long_batch_is_stopped_within() {
    let cancel = Cancel::new();
    let explained = explained(&people(10, 1)).cancel(cancel.clone());
    assert!(explained.collect().is_ok());
    cancel.cancel();
    assert!(explained.collect().unwrap_err().is_cancelled());
}
