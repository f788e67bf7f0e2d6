//! Attributions drift as any column drifts: a model whose inputs move where it does not look has none,
//! and one that leans on what moved has it.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops::core::arrow::array::Float64Array;
use mlops::core::model::Link;
use mlops::core::model::trees::{Feature, Node, Question, Side, Split, Tree, TreeEnsemble};
use mlops::core::stats::Draws;
use mlops::core::{DataSource, DataSourceExt, MemorySource, Verdict, batch};
use mlops::drift::{DriftMonitor, ProfileOptions, ReferenceProfile};
use mlops::fairness::attribution::{ExplainedSource, Explainer, TreeExplainer};

/// Reads `a` and `b`; `c` is a column that it does not ask.
fn model() -> TreeEnsemble {
    let split = |feature, left, right| {
        Node::Split(Split {
            feature,
            question: Question::Below(0.0),
            missing: Side::Left,
            zero_is_missing: false,
            left,
            right,
            cover: if left == 1 { 4.0 } else { 2.0 },
        })
    };
    let leaf = |value| Node::Leaf { value, cover: 1.0 };
    let nodes =
        vec![split(0, 1, 2), split(1, 3, 4), split(1, 5, 6), leaf(0), leaf(1), leaf(2), leaf(3)];
    let tree = Tree::new(nodes, vec![0.0, 1.0, 2.0, 5.0]);
    let features = ["a", "b", "c"].map(Feature::number).to_vec();
    TreeEnsemble::new(features, vec![tree], vec![0.0], Link::Identity).unwrap()
}

/// φ of rows whose `b` and `c` are moved by so much.
fn phi(seed: u64, b: f64, c: f64) -> MemorySource {
    let mut draws = Draws::new(seed, 0, 0);
    let mut column =
        |moved: f64| Float64Array::from_iter_values((0..4000).map(|_| draws.normal() + moved));
    let rows = batch! { "a" => column(0.0), "b" => column(b), "c" => column(c) }.unwrap();
    let explainer: Arc<dyn Explainer> = Arc::new(TreeExplainer::new(&model()).unwrap());
    let source = ExplainedSource::new(Arc::new(MemorySource::from(rows)), explainer).unwrap();
    let schema = source.schema();
    let is_phi = |at: &usize| schema.field(*at).name().starts_with("phi:");
    let columns: Vec<usize> = (0..schema.fields().len()).filter(is_phi).collect();
    MemorySource::from(source.collect().unwrap().project(&columns).unwrap())
}

#[test]
fn what_the_model_leans_on_drifts_and_nothing_else() {
    let profile = ReferenceProfile::fit(&phi(1, 0.0, 0.0), &ProfileOptions::default()).unwrap();
    let monitor = DriftMonitor::new(profile);
    let drifted = |source: &MemorySource| -> Vec<String> {
        let report = monitor.compare(source).unwrap();
        let failed = report.columns.iter().filter(|c| c.verdict == Verdict::Fail);
        failed.map(|c| c.column.clone()).collect()
    };
    assert!(drifted(&phi(2, 0.0, 0.0)).is_empty());
    // The inputs drift, the explanations don't.
    assert!(drifted(&phi(3, 0.0, 3.0)).is_empty());
    // `b` moved; what `a` is worth depends on it, too.
    let found = drifted(&phi(4, 1.0, 0.0));
    assert!(
        found.contains(&"phi:b".to_owned()) && !found.contains(&"phi:c".to_owned()),
        "{found:?}"
    );
}
