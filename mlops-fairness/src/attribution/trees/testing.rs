//! Random ensembles with everything that they may have, and Shapley values by their definition.

use std::sync::Arc;

use mlops_core::arrow::array::{ArrayRef, Float64Array, RecordBatch};
use mlops_core::model::Link;
use mlops_core::model::trees::{
    CategorySet, Feature, Node, Question, Side, Split, Target, Tree, TreeEnsemble,
};
use mlops_core::stats::Draws;

use super::program::share;

pub(super) const FEATURES: usize = 6;
/// The last feature is of categories.
const CATEGORY: usize = FEATURES - 1;

/// What is random.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    pub(super) trees: usize,
    pub(super) depth: usize,
    pub(super) outputs: usize,
    /// Whether covers may be 0.
    pub(super) zero_covers: bool,
}

pub(super) fn ensemble(seed: u64, kinds: Kinds) -> TreeEnsemble {
    let mut draws = Draws::new(seed, 0, 0);
    let trees = (0..kinds.trees)
        .map(|at| {
            let all = kinds.outputs > 1 && draws.bernoulli(0.5);
            let width = if all { kinds.outputs } else { 1 };
            let mut tree = Tree::new(Vec::new(), Vec::new());
            tree.target = if all { Target::All } else { Target::One((at % kinds.outputs) as u32) };
            tree.weight = if draws.bernoulli(0.5) { 1.0 } else { 0.25 };
            grow(&mut tree, &mut draws, kinds, 0, width);
            tree
        })
        .collect();
    let mut features: Vec<_> = (0..CATEGORY).map(|f| Feature::number(format!("x{f}"))).collect();
    features.push(Feature::category("c", None));
    let base: Vec<f64> = (0..kinds.outputs).map(|k| k as f64 - 0.5).collect();
    let link = if kinds.outputs == 1 {
        Link::Identity
    } else {
        Link::Softmax { classes: (0..kinds.outputs).map(|k| format!("class {k}")).collect() }
    };
    TreeEnsemble::new(features, trees, base, link).unwrap()
}

/// Adds a node and all below it; its cover.
fn grow(tree: &mut Tree, draws: &mut Draws, kinds: Kinds, depth: usize, width: usize) -> f64 {
    let at = tree.nodes.len();
    if depth == kinds.depth || (depth > 0 && draws.bernoulli(0.2)) {
        let value = (tree.values.len() / width) as u32;
        tree.values.extend((0..width).map(|_| draws.uniform() * 4.0 - 2.0));
        let least = u64::from(!kinds.zero_covers || at == 1);
        let cover = (least + draws.below(5)) as f64;
        tree.nodes.push(Node::Leaf { value, cover });
        return cover;
    }
    tree.nodes.push(Node::Leaf { value: 0, cover: 0.0 });
    let feature = draws.below(FEATURES as u64) as usize;
    let side = |draws: &mut Draws| Side::left_if(draws.bernoulli(0.5));
    let question = if feature == CATEGORY {
        let categories = (0..5).filter(|_| draws.bernoulli(0.4)).collect();
        tree.sets.push(CategorySet::new(categories, side(draws)));
        Question::Among(tree.sets.len() as u32 - 1)
    } else {
        let cuts = [-0.5, 0.0, 0.25, 0.5, 1.0, 3.0, f64::INFINITY];
        Question::Below(cuts[draws.below(cuts.len() as u64) as usize])
    };
    let mut split = Split {
        feature: feature as u32,
        question,
        missing: side(draws),
        zero_is_missing: draws.bernoulli(0.25),
        left: at as u32 + 1,
        right: 0,
        cover: 0.0,
    };
    split.cover = grow(tree, draws, kinds, depth + 1, width);
    split.right = tree.nodes.len() as u32;
    split.cover += grow(tree, draws, kinds, depth + 1, width);
    let cover = split.cover;
    tree.nodes[at] = Node::Split(split);
    cover
}

pub(super) fn rows(seed: u64, n: usize) -> RecordBatch {
    let mut draws = Draws::new(seed, 1, 0);
    let values = [-2.0, -0.5, 0.0, -0.0, 1e-36, 0.3, 0.5, 0.75, 2.0, f64::NAN, f64::INFINITY];
    let columns = (0..FEATURES).map(|f| {
        let column: Float64Array = (0..n)
            .map(|_| {
                if draws.bernoulli(0.1) {
                    return None;
                }
                Some(if f == CATEGORY {
                    draws.below(7) as f64
                } else {
                    values[draws.below(values.len() as u64) as usize]
                })
            })
            .collect();
        let name = if f == CATEGORY { "c".to_owned() } else { format!("x{f}") };
        (name, Arc::new(column) as ArrayRef, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The numbers of a row, NaN where they are missing.
pub(super) fn row(model: &TreeEnsemble, batch: &RecordBatch, row: usize) -> Vec<f64> {
    let columns = model.columns(batch).unwrap();
    (0..model.features().len() as u32).map(|f| columns.value(f, row)).collect()
}

/// What a tree adds to an output where a coalition's features are the row's and others go both
/// ways.
pub(super) fn path_dependent(
    tree: &Tree,
    at: usize,
    x: &[f64],
    coalition: usize,
    (output, outputs): (usize, usize),
) -> f64 {
    let value = |value: u32| match tree.target {
        Target::One(k) if k as usize == output => tree.values[value as usize] * tree.weight,
        Target::One(_) => 0.0,
        Target::All => tree.values[value as usize * outputs + output] * tree.weight,
    };
    match &tree.nodes[at] {
        Node::Leaf { value: v, .. } => value(*v),
        Node::Split(split) => {
            let below =
                |child: u32| path_dependent(tree, child as usize, x, coalition, (output, outputs));
            if coalition >> split.feature & 1 == 1 {
                return match split.side(x[split.feature as usize], &tree.sets) {
                    Side::Left => below(split.left),
                    Side::Right => below(split.right),
                };
            }
            let share = share(tree, split);
            share * below(split.left) + (1.0 - share) * below(split.right)
        }
    }
}

/// The weighted mean over the background of what the trees add to an output for rows that have a
/// coalition's features from `x` and the others from the background.
pub(super) fn mixed(
    model: &TreeEnsemble,
    x: &[f64],
    background: &[(Vec<f64>, f64)],
    coalition: usize,
    output: usize,
) -> f64 {
    let of = |b: &[f64]| -> f64 {
        let trees = model.trees().iter().map(|tree| {
            let leaf = tree.leaf_of(|f| {
                let f = f as usize;
                if coalition >> f & 1 == 1 { x[f] } else { b[f] }
            });
            let Node::Leaf { value, .. } = tree.nodes[leaf] else { return 0.0 };
            let value = value as usize;
            tree.weight
                * match tree.target {
                    Target::One(k) if k as usize == output => tree.values[value],
                    Target::One(_) => 0.0,
                    Target::All => tree.values[value * model.outputs() + output],
                }
        });
        trees.sum()
    };
    let total: f64 = background.iter().map(|(_, w)| w).sum();
    background.iter().map(|(b, w)| w * of(b)).sum::<f64>() / total
}

/// Shapley values of a game of `n` players, by their definition.
pub(super) fn shapley(n: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
    let values: Vec<f64> = (0..1 << n).map(value).collect();
    (0..n)
        .map(|i| {
            let without = (0..1usize << n).filter(|s| s >> i & 1 == 0);
            without.map(|s| weight(s.count_ones(), n) * (values[s | 1 << i] - values[s])).sum()
        })
        .collect()
}

/// Shapley interaction values as shap has them: half the index of a pair, and on the diagonal what
/// is left of the feature's Shapley value.
pub(super) fn shapley_interactions(n: usize, value: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
    let values: Vec<f64> = (0..1 << n).map(&value).collect();
    let mut all = vec![vec![0.0; n]; n];
    for (i, phi) in shapley(n, &value).into_iter().enumerate() {
        let mut rest = phi;
        for j in (0..n).filter(|&j| j != i) {
            let (a, b) = (1usize << i, 1usize << j);
            let index: f64 = (0..1usize << n)
                .filter(|s| s & (a | b) == 0)
                .map(|s| {
                    let both = values[s | a | b] - values[s | a] - values[s | b] + values[s];
                    weight(s.count_ones(), n - 1) * both
                })
                .sum();
            all[i][j] = index / 2.0;
            rest -= index / 2.0;
        }
        all[i][i] = rest;
    }
    all
}

/// `s! (n − s − 1)! / n!`
fn weight(s: u32, n: usize) -> f64 {
    // 1 / (n · C(n − 1, s))
    let choose = (0..s).fold(1.0, |c, i| c * (n as f64 - 1.0 - f64::from(i)) / f64::from(i + 1));
    1.0 / (n as f64 * choose)
}
