//! What holds of all ensembles, over random ones.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;
use crate::model::{Link, Model, Predictions};
use crate::stats::Draws;
use crate::{batch, conformance};

/// Splits grown at random places: of four features, of which the last has categories.
fn random_tree(seed: u64, splits: usize, width: usize) -> Tree {
    let mut draws = Draws::new(seed, 0, 0);
    let mut below = |n: usize| draws.below(n as u64) as usize;
    let mut nodes = vec![None];
    let mut open = vec![0];
    let mut sets = Vec::new();
    for _ in 0..splits {
        let at = open.swap_remove(below(open.len()));
        let (left, right) = (nodes.len() as u32, nodes.len() as u32 + 1);
        let feature = below(4) as u32;
        let question = if feature == 3 {
            let categories = (0..below(5)).map(|_| below(9) as u32).collect();
            sets.push(CategorySet::new(categories, Side::left_if(below(2) == 0)));
            Question::Among(sets.len() as u32 - 1)
        } else {
            let edges = [-1.0, -0.0, 0.0, 0.5, 1.0, 2.5, f64::INFINITY, f64::NEG_INFINITY];
            Question::Below(edges[below(edges.len())])
        };
        let missing = Side::left_if(below(2) == 0);
        let zero_is_missing = feature == 1 && below(2) == 0;
        let split = Split { feature, question, missing, zero_is_missing, left, right, cover: 1.0 };
        nodes[at] = Some(Node::Split(split));
        open.extend([nodes.len(), nodes.len() + 1]);
        nodes.extend([None, None]);
    }
    let mut leaves = 0;
    let nodes: Vec<Node> = nodes
        .into_iter()
        .map(|node| {
            node.unwrap_or_else(|| {
                leaves += 1;
                Node::Leaf { value: leaves - 1, cover: 1.0 }
            })
        })
        .collect();
    let values = (0..leaves as usize * width).map(|_| below(1000) as f64 / 64.0 - 7.0).collect();
    let target = if width == 1 { Target::One(0) } else { Target::All };
    Tree { nodes, values, sets, target, weight: 0.5 }
}

fn features() -> Vec<Feature> {
    vec![
        Feature::number("a"),
        Feature::number("b"),
        Feature::number("c"),
        Feature::category("d", None),
    ]
}

fn ensemble(seed: u64, sizes: &[usize], outputs: usize) -> TreeEnsemble {
    let trees = sizes
        .iter()
        .enumerate()
        .map(|(i, &splits)| {
            let width = if i % 2 == 0 { outputs } else { 1 };
            let target = Target::One((i % outputs) as u32);
            let tree = random_tree(seed + i as u64, splits, width);
            if width == 1 { Tree { target, ..tree } } else { tree }
        })
        .collect();
    let link = if outputs == 1 {
        Link::Identity
    } else {
        Link::Softmax { classes: (0..outputs).map(|k| k.to_string()).collect() }
    };
    TreeEnsemble::new(features(), trees, (0..outputs).map(|k| k as f64 * 0.1).collect(), link)
        .unwrap()
}

fn rows(n: usize) -> RecordBatch {
    let nasty = [
        Some(0.0),
        Some(-0.0),
        Some(1e-36),
        Some(-1.0),
        Some(0.5),
        None,
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(2.5),
        Some(1e300),
        Some(0.49999),
    ];
    let column = |step: usize| -> ArrayRef {
        Arc::new((0..n).map(|i| nasty[(i * step + i / 12) % 12]).collect::<Float64Array>())
    };
    let d: Int64Array = (0..n).map(|i| (i % 13 != 0).then_some((i * 5 % 12) as i64 - 1)).collect();
    RecordBatch::try_from_iter([
        ("a", column(1)),
        ("b", column(5)),
        ("c", column(7)),
        ("d", Arc::new(d) as ArrayRef),
    ])
    .unwrap()
}

/// Margins by walking each tree for each row.
fn walked(model: &TreeEnsemble, rows: &RecordBatch) -> Vec<f64> {
    let columns = model.columns(rows).unwrap();
    let mut all = Vec::new();
    for row in 0..rows.num_rows() {
        let mut margin = model.base().to_vec();
        for tree in model.trees() {
            let leaf = tree.leaf_of(|f| columns.value(f, row));
            let Node::Leaf { value, .. } = tree.nodes[leaf] else { panic!("a leaf") };
            let width = tree.width(model.outputs());
            let values = &tree.values[value as usize * width..][..width];
            match tree.target {
                Target::One(k) => margin[k as usize] += values[0] * tree.weight,
                Target::All => {
                    margin.iter_mut().zip(values).for_each(|(m, v)| *m += v * tree.weight);
                }
            }
        }
        all.extend(margin);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_way_of_predicting_is_walking(
        seed in any::<u32>(),
        sizes in prop::collection::vec(prop_oneof![0usize..8, 60usize..70, 250usize..300], 1..5),
        outputs in 1usize..4,
        n in prop_oneof![0usize..4, 60usize..70, 500usize..700],
    ) {
        let model = ensemble(seed.into(), &sizes, outputs);
        let rows = rows(n);
        let margins = model.margin(&rows).unwrap();
        prop_assert_eq!(margins.values(), &walked(&model, &rows)[..]);
        prop_assert_eq!(&TreeEnsemble::from_bytes(&model.to_bytes()).unwrap(), &model);
    }

    #[test]
    fn single_precision_is_a_threshold(t in any::<f32>(), near in -3i32..4, x in any::<f64>()) {
        prop_assume!(!t.is_nan());
        let below = |q: Option<Question>, x: f64| match q {
            Some(Question::Below(t)) => x < t || t == f64::INFINITY,
            _ => panic!("a threshold"),
        };
        let mut x = [x, f64::from(t), f64::from(t.next_down()), f64::from(t.next_up()),
            f64::midpoint(f64::from(t), f64::from(t.next_down())),
            f64::midpoint(f64::from(t), f64::from(t.next_up()))];
        for x in &mut x {
            for _ in 0..near.abs() {
                *x = if near < 0 { x.next_down() } else { x.next_up() };
            }
            if x.is_nan() {
                continue;
            }
            prop_assert_eq!(below(Question::below_f32(t), *x), (*x as f32) < t, "{:e} < {:e}", x, t);
            prop_assert_eq!(below(Question::at_most_f32(t), *x), (*x as f32) <= t, "{:e} <= {:e}", x, t);
            if let Some(q) = Question::at_most(f64::from(t)) {
                prop_assert_eq!(below(Some(q), *x), *x <= f64::from(t));
            }
        }
    }

    #[test]
    fn changed_bytes_never_panic(at in 0usize..2000, byte in any::<u8>(), fix in any::<bool>()) {
        let mut bytes = ensemble(5, &[3, 9], 2).to_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if fix && at >= 22 {
            let sum = xxhash_rust::xxh3::xxh3_64(&bytes[22..]);
            bytes[14..22].copy_from_slice(&sum.to_le_bytes());
        }
        if let Ok(model) = TreeEnsemble::from_bytes(&bytes) {
            drop(model.predict(&rows(3)));
            prop_assert_eq!(model.to_bytes(), bytes);
        }
    }
}

#[test]
fn extremes_of_single_precision() {
    let q = |t: f32| match Question::below_f32(t) {
        Some(Question::Below(t)) => t,
        _ => f64::NAN,
    };
    for t in [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::from_bits(1)] {
        for x in [
            f64::from(t),
            f64::from(t).next_down(),
            f64::from(t).next_up(),
            0.0,
            -0.0,
            1e-46,
            -1e-46,
            0.7e-45,
            0.70064923216240853e-45,
            -0.70064923216240853e-45,
            f64::MAX,
            f64::MIN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            3.4028235677973366e38,
            3.4028235677973362e38,
        ] {
            assert_eq!(x < q(t), (x as f32) < t, "{x:e} < {t:e}");
        }
    }
    assert!(Question::at_most(f64::MAX).is_none() && Question::below(f64::INFINITY).is_none());
}

#[test]
fn keeps_the_contract() {
    let nasty = rows(150);
    conformance::model(&ensemble(1, &[0, 5, 30, 300], 1), &nasty);
    conformance::model(&ensemble(2, &[7, 7, 260, 3], 3), &nasty);
    conformance::model(&ensemble(3, &[], 1), &nasty);
}

#[test]
fn threads_and_tiles_change_nothing() {
    let model = ensemble(9, &[20, 280, 40], 2);
    let rows = rows(3000);
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let one = pool(1).install(|| model.margin(&rows).unwrap());
    let four = pool(4).install(|| model.margin(&rows).unwrap());
    assert_eq!(one, four);
}

#[test]
fn what_is_no_ensemble_is_refused() {
    let leaf = |value| Node::Leaf { value, cover: 1.0 };
    let split = |left, right| {
        Node::Split(Split {
            feature: 0,
            question: Question::Below(0.0),
            missing: Side::Left,
            zero_is_missing: false,
            left,
            right,
            cover: 2.0,
        })
    };
    let of = |nodes: Vec<Node>, values: Vec<f64>| {
        TreeEnsemble::new(
            vec![Feature::number("a")],
            vec![Tree::new(vec![leaf(0)], vec![1.0]), Tree::new(nodes, values)],
            vec![0.0],
            Link::Identity,
        )
    };
    let refused = |nodes: Vec<Node>, word: &str| {
        let error = of(nodes, vec![1.0, 2.0]).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("tree 1"), "{error}");
    };
    assert!(of(vec![split(1, 2), leaf(0), leaf(1)], vec![1.0, 2.0]).is_ok());
    refused(vec![], "1 to");
    refused(vec![split(0, 1), leaf(0)], "node 0: expected a child above 0 and below 2, found 0");
    refused(vec![split(1, 1), leaf(0)], "another node's");
    refused(vec![split(1, 9), leaf(0), leaf(1)], "found 9");
    refused(vec![leaf(0), leaf(1)], "node 1: expected a node that another leads to");
    refused(vec![leaf(2)], "one of 2 leaves' values, found 2");
    refused(vec![Node::Leaf { value: 0, cover: f64::NAN }], "cover");
    let mut nan = split(1, 2);
    if let Node::Split(split) = &mut nan {
        split.question = Question::Below(f64::NAN);
    }
    refused(vec![nan, leaf(0), leaf(1)], "NaN");
    if let Node::Split(split) = &mut nan {
        split.question = Question::Among(0);
    }
    refused(vec![nan, leaf(0), leaf(1)], "one of 0 sets");
    if let Node::Split(split) = &mut nan {
        split.feature = 1;
    }
    refused(vec![nan, leaf(0), leaf(1)], "one of 1 features");
    let deep = (0..5000u32).flat_map(|i| [split(2 * i + 1, 2 * i + 2), leaf(0)]).chain([leaf(0)]);
    refused(deep.collect(), "a depth of at most 4096");
    assert!(of(vec![leaf(0)], vec![f64::INFINITY]).is_err());
}

#[test]
fn depth_1000_and_a_million_nodes() {
    let split = |i: u32| {
        Node::Split(Split {
            feature: 0,
            question: Question::Below(f64::from(i)),
            missing: Side::Left,
            zero_is_missing: false,
            left: 2 * i + 1,
            right: 2 * i + 2,
            cover: 2.0,
        })
    };
    let chain: Vec<Node> = (0..1000)
        .flat_map(|i| [split(i), Node::Leaf { value: i, cover: 1.0 }])
        .chain([Node::Leaf { value: 1000, cover: 1.0 }])
        .collect();
    let values: Vec<f64> = (0..=1000).map(f64::from).collect();
    let wide: Vec<Node> = (0..(1 << 19) - 1)
        .map(split)
        .chain((0..1 << 19).map(|value| Node::Leaf { value, cover: 1.0 }))
        .collect();
    let wide = Tree::new(wide, vec![0.25; 1 << 19]);
    let model = TreeEnsemble::new(
        vec![Feature::number("a")],
        vec![Tree::new(chain, values), wide],
        vec![0.0],
        Link::Identity,
    )
    .unwrap();
    assert_eq!((model.depth(), model.routes().width()), (1000, BinWidth::U32));
    let rows = batch! { "a" => Float64Array::from(vec![-1.0, 0.5, 998.5, 1e9, f64::NAN]) }.unwrap();
    let margins = model.margin(&rows).unwrap();
    assert_eq!(margins.values()[..], [0.25, 1.25, 999.25, 1000.25, 0.25]);
}

#[test]
fn columns_are_what_the_features_say() {
    let split = |question| {
        let missing = Side::Right;
        Node::Split(Split {
            feature: 0,
            question,
            missing,
            zero_is_missing: false,
            left: 1,
            right: 2,
            cover: 2.0,
        })
    };
    let tree = Tree {
        sets: vec![CategorySet::new(vec![1], Side::Left)],
        ..Tree::new(
            vec![
                split(Question::Among(0)),
                Node::Leaf { value: 0, cover: 1.0 },
                Node::Leaf { value: 1, cover: 1.0 },
            ],
            vec![1.0, 2.0],
        )
    };
    let of = |feature: Feature| {
        TreeEnsemble::new(vec![feature], vec![tree.clone()], vec![0.0], Link::Identity).unwrap()
    };
    let margins = |model: &TreeEnsemble, rows: &RecordBatch| {
        model.margin(rows).unwrap().iter().collect::<Vec<_>>()
    };
    let codes = of(Feature::category("c", None));
    let rows = batch! { "c" => Float64Array::from(vec![Some(0.0), Some(1.0), None, Some(-1.0), Some(1e99)]) };
    let rows = rows.unwrap();
    assert_eq!(margins(&codes, &rows), [2.0, 1.0, 2.0, 2.0, 2.0].map(Some));
    let half = batch! { "c" => Float64Array::from(vec![1.0, 0.5]) }.unwrap();
    let error = codes.margin(&half).unwrap_err().to_string();
    assert!(error.contains("column `c`, row 1: expected the number of a category"), "{error}");
    let text = batch! { "c" => StringArray::from(vec![Some("x"), Some("y"), Some("new"), None]) };
    let text = text.unwrap();
    assert!(codes.margin(&text).unwrap_err().to_string().contains("column `c`"));
    let labels = Labels::Text(vec!["x".into(), "y".into()]);
    let labelled = codes.clone().with_labels("c", labels).unwrap();
    assert_eq!(margins(&labelled, &text), [2.0, 1.0, 2.0, 2.0].map(Some));
    conformance::model(&labelled, &text);
    // Another library's numbers of the categories are no labels.
    let numbers = batch! { "c" => Int64Array::from(vec![0, 1]) }.unwrap();
    let error = labelled.margin(&numbers).unwrap_err();
    assert!(matches!(error, crate::Error::ColumnType { .. }), "{error}");
    assert!(error.to_string().contains("text, the categories' labels `x`, `y`"), "{error}");
    let truths = batch! { "c" => BooleanArray::from(vec![true]) }.unwrap();
    assert!(labelled.margin(&truths).is_err());
    let digits = Labels::Text(vec!["x".into(), "3".into()]);
    let digits = codes.clone().with_labels("c", digits).unwrap();
    assert_eq!(
        margins(&digits, &batch! { "c" => Int64Array::from(vec![3, 1]) }.unwrap()),
        [1.0, 2.0].map(Some)
    );
    let numbers = codes.clone().with_labels("c", Labels::Numbers(vec![30.0, 10.0])).unwrap();
    let rows = batch! { "c" => Int64Array::from(vec![10, 30, 99]) }.unwrap();
    assert_eq!(margins(&numbers, &rows), [1.0, 2.0, 2.0].map(Some));
    assert!(numbers.margin(&text).is_err());
    let required = of(Feature::category("c", None).required());
    let rows = batch! { "c" => Float64Array::from(vec![Some(1.0), None, Some(f64::NAN)]) }.unwrap();
    assert_eq!(margins(&required, &rows), [Some(1.0), None, None]);
    conformance::model(&required, &rows);
    assert!(codes.clone().with_labels("z", Labels::Numbers(vec![])).is_err());
    let renamed = codes.with_names(["z"]).unwrap();
    assert!(renamed.margin(&rows).unwrap_err().to_string().contains("column `z`"));
}

#[test]
fn covers_may_be_counted() {
    let model = ensemble(4, &[5, 12], 1);
    let counted = model.with_covers_of(&rows(500)).unwrap();
    for tree in counted.trees() {
        assert_eq!(tree.nodes[0].cover(), 500.0);
        for node in &tree.nodes {
            if let Node::Split(s) = node {
                let children = [s.left, s.right].map(|c| tree.nodes[c as usize].cover());
                assert_eq!(s.cover, children[0] + children[1]);
            }
        }
    }
    assert!(counted.has_covers() && !model.with_covers_of(&rows(0)).unwrap().has_covers());
}

#[test]
fn probes_say_where() {
    let model = ensemble(4, &[5, 12], 1);
    let rows = rows(20);
    let mut expected = model.margin(&rows).unwrap().values().to_vec();
    model.check(&rows, &expected, 0.0).unwrap();
    model.check_margin(&rows, &expected, 0.0).unwrap();
    expected[7] += 0.5;
    let error = model.check(&rows, &expected, 1e-6).unwrap_err().to_string();
    assert!(error.starts_with("prediction of row 7, output 0: expected"), "{error}");
    assert!(model.check(&rows, &expected[1..], 1e-6).is_err());
    // Of two classes the scores of the second are enough.
    let link = Link::Logistic { negative: "no".into(), positive: "yes".into() };
    let binary = model.with_link(link).unwrap();
    let Predictions::Scores { scores, .. } = binary.predict(&rows).unwrap() else { panic!() };
    let both = scores.values().to_vec();
    let mut positive: Vec<f64> = both.iter().skip(1).step_by(2).copied().collect();
    binary.check(&rows, &both, 0.0).unwrap();
    binary.check(&rows, &positive, 0.0).unwrap();
    assert!(binary.check(&rows, &positive[1..], 0.0).is_err());
    positive[3] += 0.5;
    let error = binary.check(&rows, &positive, 1e-6).unwrap_err().to_string();
    assert!(error.starts_with("prediction of row 3, output 0: expected"), "{error}");
}

#[test]
fn trees_after_the_best_iteration_are_left_out_and_told_of() {
    let file = include_bytes!("../../../tests/golden/trees/xgboost_early_stopped.json");
    let model = xgboost::load(file).unwrap();
    let best = xgboost::load_iterations(file, xgboost::Iterations::Best).unwrap();
    let all = xgboost::load_iterations(file, xgboost::Iterations::All).unwrap();
    assert_eq!(model, best);
    assert!(model.left_out() > 0 && all.left_out() == 0);
    assert_eq!(model.trees().len() + model.left_out(), all.trees().len());
    let told = format!("; {} trees of the file after the last iteration", model.left_out());
    assert!(model.to_string().contains(&told) && !all.to_string().contains("left out"));
    assert!(format!("{model:?}").contains("left_out"));
    // No part of the model.
    assert_eq!(TreeEnsemble::from_bytes(&model.to_bytes()).unwrap(), model);
}

#[test]
fn files_are_stable_and_not_trusted() {
    let model = ensemble(8, &[3, 1], 2);
    let bytes = model.to_bytes();
    for n in 0..bytes.len() {
        assert!(TreeEnsemble::from_bytes(&bytes[..n]).is_err());
    }
    let loaded = crate::model::load(&bytes).unwrap();
    assert_eq!(loaded.predict(&rows(9)).unwrap(), model.predict(&rows(9)).unwrap());
    let error = TreeEnsemble::from_bytes(b"MLTE\x02\x00").unwrap_err().to_string();
    assert!(error.contains("byte 6") && error.contains("version 1"), "{error}");
}

/// Two questions, of numbers and of categories, and leaves of two values.
pub(super) fn small() -> TreeEnsemble {
    let split = |feature, question, missing, left, right| {
        let zero_is_missing = false;
        Node::Split(Split { feature, question, missing, zero_is_missing, left, right, cover: 3.0 })
    };
    let leaf = |value| Node::Leaf { value, cover: 1.0 };
    let nodes = vec![
        split(0, Question::Below(0.5), Side::Right, 1, 2),
        leaf(0),
        split(1, Question::Among(0), Side::Left, 3, 4),
        leaf(1),
        leaf(2),
    ];
    let tree = Tree {
        sets: vec![CategorySet::new(vec![1, 5], Side::Right)],
        target: Target::All,
        weight: 0.25,
        ..Tree::new(nodes, vec![1.0, 0.0, 0.25, 0.75, 0.0, 1.0])
    };
    let cities = Labels::Text(vec!["Oslo".into(), "Bergen".into()]);
    let features = vec![Feature::number("age"), Feature::category("city", Some(cities))];
    let classes = vec!["no".into(), "yes".into()];
    TreeEnsemble::new(features, vec![tree], vec![0.0; 2], Link::Scores { classes }).unwrap()
}

#[test]
fn the_first_version_of_the_format_stays() {
    let hex = include_str!("../../../tests/vectors/tree_ensemble-1.hex").trim();
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    assert_eq!(small().to_bytes(), bytes);
    assert_eq!(TreeEnsemble::from_bytes(&bytes).unwrap(), small());
}
