//! Trees and rows that nobody would train or send, and what becomes of them: the right numbers, or an
//! error that says why, in bounded time and memory.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use mlops_core::arrow::array::{ArrayRef, Float64Array, RecordBatch, RecordBatchOptions};
use mlops_core::arrow::datatypes::Schema;
use mlops_core::model::trees::{Feature, Node, Question, Side, Split, Tree, TreeEnsemble};
use mlops_core::model::{LinearModel, Link};
use mlops_core::{Cancel, MemorySource, OnProgress, Progress};
use mlops_fairness::attribution::{
    Background, Explainer, InteractionExplainer, InterventionalExplainer, LinearExplainer,
    Precision, RescaledExplainer, TreeExplainer, Watch,
};

fn split(feature: u32, cut: f64, children: (u32, u32), cover: f64) -> Node {
    Node::Split(Split {
        feature,
        question: Question::Below(cut),
        missing: Side::Right,
        zero_is_missing: false,
        left: children.0,
        right: children.1,
        cover,
    })
}

/// A chain of splits, of which each asks another feature of so many; it ends in 1, else 0.
fn chain(depth: usize, features: usize) -> Tree {
    let mut nodes = Vec::new();
    for at in 0..depth {
        let left = nodes.len() as u32 + 2;
        let cut = (depth - at) as f64;
        nodes.push(split((at % features) as u32, cut, (left, left - 1), (depth - at + 1) as f64));
        nodes.push(Node::Leaf { value: 0, cover: 1.0 });
    }
    nodes.push(Node::Leaf { value: 1, cover: 1.0 });
    Tree::new(nodes, vec![0.0, 1.0])
}

fn logistic(features: usize, trees: Vec<Tree>) -> TreeEnsemble {
    let features = (0..features).map(|f| Feature::number(format!("x{f}"))).collect();
    let link = Link::Logistic { negative: "0".into(), positive: "1".into() };
    TreeEnsemble::new(features, trees, vec![0.25], link).unwrap()
}

/// Rows of so many features, whose numbers are what `x` says of row and feature.
fn rows(n: usize, features: usize, x: impl Fn(usize, usize) -> f64) -> RecordBatch {
    let column = |f| Arc::new(Float64Array::from_iter_values((0..n).map(|row| x(row, f))));
    let columns = (0..features).map(|f| (format!("x{f}"), column(f) as ArrayRef));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// What every kind of explainer of trees says of rows, or why it does not.
fn all(model: &TreeEnsemble, background: &RecordBatch, batch: &RecordBatch) -> Vec<String> {
    let background = Background::new(background.clone()).unwrap();
    let explainers: Vec<mlops_core::Result<Box<dyn Explainer>>> = vec![
        TreeExplainer::new(model).map(|e| Box::new(e) as Box<dyn Explainer>),
        TreeExplainer::with_precision(model, Precision::Single).map(|e| Box::new(e) as _),
        InterventionalExplainer::new(model, &background).map(|e| Box::new(e) as _),
        InteractionExplainer::new(model).map(|e| Box::new(e) as _),
        InteractionExplainer::against(model, &background).map(|e| Box::new(e) as _),
        RescaledExplainer::new(model, &background).map(|e| Box::new(e) as _),
    ];
    let said = explainers.into_iter().map(|explainer| {
        match explainer.and_then(|e| e.explain_with(batch, Watch::new())) {
            Ok(explained) => {
                assert_eq!(explained.len(), batch.num_rows());
                assert!(explained.values.iter().all(|v| v.is_finite()));
                String::new()
            }
            Err(error) => error.to_string(),
        }
    });
    said.collect()
}

#[test]
fn deep_trees() {
    let of = |depth: usize, features: usize, far: f64| {
        let model = logistic(features, vec![chain(depth, features)]);
        let others = rows(3, features, |row, f| far * (row * 7 + f) as f64 / 20.0);
        all(&model, &others, &rows(2, features, |row, _| row as f64 - 1.0))
    };
    // One feature again and again; few; and each split its own.
    assert_eq!(of(1000, 1, 1.0), [""; 6]);
    assert_eq!(of(200, 20, 1.0), [""; 6]);
    let said = of(70, 70, 1.0);
    assert_eq!(said[..5], [""; 5].map(str::to_owned));
    assert!(said[5].contains("64 distinct features"), "{}", said[5]);
    let model = logistic(2100, vec![chain(2100, 2100)]);
    let error = InteractionExplainer::new(&model).err().unwrap().to_string();
    assert!(error.contains("bytes"), "{error}");
    let background = Background::new(rows(1, 2100, |_, _| 0.0)).unwrap();
    let error = InteractionExplainer::against(&model, &background).err().unwrap().to_string();
    assert!(error.contains("pairs of features"), "{error}");
    let explainer = InterventionalExplainer::new(&model, &background).unwrap();
    assert!(explainer.explain(&rows(1, 2100, |_, _| 1e9)).is_ok());
}

#[test]
fn wide_rows_and_no_rows() {
    let n = 5000;
    let trees = (0..20)
        .map(|t| {
            let cut = |f: usize, left, right| split((f * 249 % n) as u32, 0.5, (left, right), 4.0);
            let leaf = |value| Node::Leaf { value, cover: 2.0 };
            let nodes = vec![cut(t, 1, 2), cut(t + 1, 3, 4), leaf(0), leaf(1), leaf(2)];
            Tree::new(nodes, vec![1.0, -2.0, 0.5])
        })
        .collect();
    let model = logistic(n, trees);
    let others = rows(5, n, |row, f| ((row + f) % 3) as f64);
    for batch in [rows(1, n, |_, f| (f % 2) as f64), rows(0, n, |_, _| 0.0), others.clone()] {
        assert_eq!(all(&model, &others, &batch), [""; 6]);
    }
    // Nothing is asked, and there may be no columns at all.
    let leaf = Tree::new(vec![Node::Leaf { value: 0, cover: 1.0 }], vec![1.5]);
    for features in [0, 2] {
        let model = logistic(features, vec![leaf.clone(), leaf.clone()]);
        let others = rows(4, 2, |row, f| (row + f) as f64);
        assert_eq!(all(&model, &others, &rows(3, 2, |_, _| f64::NAN)), [""; 6]);
    }
    let model = logistic(0, Vec::new());
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let empty = Arc::new(Schema::empty());
    let no_columns = RecordBatch::try_new_with_options(empty, vec![], &options).unwrap();
    let explained =
        InterventionalExplainer::new(&model, &Background::new(no_columns.clone()).unwrap());
    assert_eq!(explained.unwrap().explain(&no_columns).unwrap().predictions, [0.25; 3]);
}

#[test]
fn numbers_at_the_edges() {
    // The f32 thresholds of XGBoost, at which the f64 neighbours of a middle part.
    let cuts = [f32::MIN_POSITIVE, 0.1, -0.0, 1.0e38, f32::MAX, -f32::MAX];
    let leaf = |value| Node::Leaf { value, cover: 1.0 };
    let trees = cuts.iter().map(|&cut| {
        let Some(Question::Below(cut)) = Question::below_f32(cut) else { panic!("a threshold") };
        Tree::new(vec![split(0, cut, (1, 2), 2.0), leaf(0), leaf(1)], vec![1.0, 3.0])
    });
    let model = logistic(1, trees.collect());
    let mut x = vec![
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        5e-324,
        f64::MIN_POSITIVE,
    ];
    for cut in cuts {
        let wide = f64::from(cut);
        let middle = f64::midpoint(wide, f64::from(cut.next_down()));
        x.extend([wide, wide.next_up(), wide.next_down()]);
        x.extend([middle, middle.next_up(), middle.next_down()]);
    }
    let batch = rows(x.len(), 1, |row, _| x[row]);
    assert_eq!(all(&model, &batch, &batch), [""; 6]);
    let margins = model.margin(&batch).unwrap();
    for (x, margin) in x.iter().zip(margins.values()) {
        // XGBoost: `(float)x < cut`; missing is on the right here.
        let each = cuts.iter().map(|cut| if (*x as f32) < *cut { 1.0 } else { 3.0 });
        assert_eq!(*margin, 0.25 + each.sum::<f64>(), "{x:e}");
    }
}

#[test]
fn leaves_that_overflow_are_errors_and_large_ones_cancel() {
    let of = |values: [f64; 2]| {
        let leaf = |value| Node::Leaf { value, cover: 1.0 };
        let tree = Tree::new(vec![split(0, 0.5, (1, 2), 2.0), leaf(0), leaf(1)], values.to_vec());
        let model = logistic(1, vec![tree.clone(), tree]);
        let batch = rows(2, 1, |row, _| row as f64);
        all(&model, &batch, &batch)
    };
    let said = of([1e300, -1e300]);
    // No f32 has such numbers.
    assert!(said[1].contains("attribution of row"), "{}", said[1]);
    assert!(said.iter().enumerate().all(|(at, said)| at == 1 || said.is_empty()), "{said:?}");
    for said in of([f64::MAX, -f64::MAX]) {
        assert!(
            said.is_empty()
                || said.contains("overflow")
                || said.contains("add up")
                || said.contains("attribution of row")
                || said.contains("interactions of row"),
            "{said}"
        );
    }
}

/// Throws the switch as soon as it is told of anything.
#[derive(Debug)]
struct Stop(Cancel);

impl OnProgress for Stop {
    fn on_progress(&self, _: &Progress) {
        self.0.cancel();
    }
}

#[test]
fn work_is_stopped_in_the_middle() {
    let model = logistic(3, vec![chain(6, 3); 40]);
    let batch = rows(5000, 3, |row, f| ((row * 31 + f * 17) % 13) as f64 / 2.0);
    let background = Background::new(batch.slice(0, 50)).unwrap();
    let linear = LinearModel::regression(["x0", "x1"], [1.0, -1.0], 0.0).unwrap();
    let source = MemorySource::from(batch.clone());
    let explainers: Vec<Box<dyn Explainer>> = vec![
        Box::new(TreeExplainer::new(&model).unwrap()),
        Box::new(InterventionalExplainer::new(&model, &background).unwrap()),
        Box::new(InteractionExplainer::new(&model).unwrap()),
        Box::new(InteractionExplainer::against(&model, &background).unwrap()),
        Box::new(RescaledExplainer::new(&model, &background).unwrap()),
        Box::new(LinearExplainer::new(&linear, &source).unwrap()),
    ];
    for explainer in explainers {
        // Tables are nothing to look at.
        assert!(format!("{explainer:?}").len() < 100_000);
        let cancel = Cancel::new();
        let stop = Stop(cancel.clone());
        let watch = Watch::new().cancel(&cancel).on_progress(&stop);
        let error = explainer.explain_with(&batch, watch).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    }
}

#[test]
fn missing_values_of_linear_models_add_nothing_where_the_model_says_so() {
    let model = LinearModel::regression(["x0", "x1"], [2.0, -1.0], 0.5).unwrap();
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "x0",
            Arc::new(Float64Array::from(vec![Some(3.0), None, Some(f64::NAN)])) as ArrayRef,
            true,
        ),
        ("x1", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])) as ArrayRef, true),
    ])
    .unwrap();
    let source = MemorySource::from(batch.clone());
    assert!(LinearExplainer::new(&model, &source).unwrap().explain(&batch).is_err());
    let model = model.with_missing_as_zero();
    let explained = LinearExplainer::new(&model, &source).unwrap().explain(&batch).unwrap();
    // The means are 1 and 2.
    assert_eq!(explained.base_values, [0.5]);
    assert_eq!(explained.values, [4.0, 1.0, -2.0, 0.0, -2.0, -1.0]);
}
