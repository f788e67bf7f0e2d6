//! One tree: its questions, its leaves, and what makes a list of nodes a tree.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One of the two children of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first child.
    Left,
    /// The other.
    Right,
}

impl Side {
    /// `Left` if it is so, else `Right`.
    pub fn left_if(is_left: bool) -> Self {
        if is_left { Self::Left } else { Self::Right }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        Self::left_if(self == Self::Right)
    }
}

/// What a split asks of its feature.
///
/// All libraries' comparisons are this one with another threshold, exactly: see
/// [`below`](Self::below), [`at_most`](Self::at_most), [`below_f32`](Self::below_f32),
/// [`at_most_f32`](Self::at_most_f32).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question {
    /// Is `x < threshold`? Then left. A threshold of +∞ sends every number left, +∞ too.
    Below(f64),
    /// Is the category in this set of the tree's [`sets`](Tree::sets)? The set says which side
    /// that is.
    Among(u32),
}

impl Question {
    /// Left where `x < threshold`. `None` if the threshold is NaN or +∞.
    pub fn below(threshold: f64) -> Option<Self> {
        (threshold < f64::INFINITY).then_some(Self::Below(threshold))
    }

    /// Left where `x ≤ threshold`. `None` if the threshold is NaN or the greatest finite number,
    /// which no other threshold can stand for.
    pub fn at_most(threshold: f64) -> Option<Self> {
        (!threshold.is_nan() && threshold != f64::MAX).then(|| Self::Below(threshold.next_up()))
    }

    /// Left where `(f32)x < threshold`, the number first rounded to the nearest `f32`, as of
    /// libraries whose features are single-precision. `None` if the threshold is NaN.
    pub fn below_f32(threshold: f32) -> Option<Self> {
        (!threshold.is_nan()).then(|| Self::Below(rounds_to_at_least(threshold)))
    }

    /// Left where `(f32)x ≤ threshold`. `None` if the threshold is NaN.
    pub fn at_most_f32(threshold: f32) -> Option<Self> {
        if threshold == f32::INFINITY {
            return Some(Self::Below(f64::INFINITY));
        }
        Self::below_f32(threshold.next_up())
    }
}

/// The least `f64` that rounds to this `f32` or one above it, ties to even: below it, and only
/// there, numbers round to what is below the threshold.
fn rounds_to_at_least(threshold: f32) -> f64 {
    // Nothing is below −∞, and `x < −∞` says so, too.
    if threshold == f32::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    // −0 and +0 are one number; the neighbour below both is the same.
    let below = threshold.next_down();
    // 2¹²⁸ stands where the next `f32` would be; halves of neighbours are exact in `f64`.
    let wide = |x: f32| match x {
        f32::INFINITY => 2f64.powi(128),
        f32::NEG_INFINITY => -2f64.powi(128),
        x => f64::from(x),
    };
    let middle = f64::midpoint(wide(below), wide(threshold));
    if middle as f32 >= threshold { middle } else { middle.next_up() }
}

/// Categories that go to one side; all others, known or not, go to the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CategorySet {
    categories: Vec<u32>,
    inside: Side,
}

impl CategorySet {
    /// The greatest category that may be in a set: 2²⁴ − 1.
    pub const MAX: u32 = (1 << 24) - 1;

    /// A set of these categories, in any order, which go to the side `inside`.
    pub fn new(mut categories: Vec<u32>, inside: Side) -> Self {
        categories.sort_unstable();
        categories.dedup();
        categories.shrink_to_fit();
        Self { categories, inside }
    }

    /// The categories, ascending.
    pub fn categories(&self) -> &[u32] {
        &self.categories
    }

    /// Where its categories go.
    pub fn inside(&self) -> Side {
        self.inside
    }

    /// Whether this number is one of its categories: a number that is no whole one is in no set.
    pub fn contains(&self, x: f64) -> bool {
        category_of(x).is_some_and(|c| self.categories.binary_search(&c).is_ok())
    }
}

/// The category that a number stands for.
pub(super) fn category_of(x: f64) -> Option<u32> {
    (x >= 0.0 && x <= f64::from(CategorySet::MAX) && x.fract() == 0.0).then_some(x as u32)
}

/// A question and where its answers lead; children are indices into the tree's nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// The index of the feature in the ensemble.
    pub feature: u32,
    /// What is asked of it.
    pub question: Question,
    /// Where rows go that have no value there (null or NaN).
    pub missing: Side,
    /// Whether numbers of at most [`Split::ZERO`] in size are missing, too: LightGBM's
    /// `zero_as_missing`.
    pub zero_is_missing: bool,
    /// The index of the left child.
    pub left: u32,
    /// The index of the right child.
    pub right: u32,
    /// The weight of the training rows that came here.
    pub cover: f64,
}

impl Split {
    /// What LightGBM takes for zero: 10⁻³⁵ as an `f32`.
    pub const ZERO: f64 = 1.0000000180025095e-35;

    /// The side that a value goes to; NaN is missing.
    pub fn side(&self, x: f64, sets: &[CategorySet]) -> Side {
        if x.is_nan() || (self.zero_is_missing && x.abs() <= Self::ZERO) {
            return self.missing;
        }
        match self.question {
            Question::Below(t) => Side::left_if(x < t || t == f64::INFINITY),
            Question::Among(set) => match sets.get(set as usize) {
                Some(set) if set.contains(x) => set.inside,
                Some(set) => set.inside.other(),
                None => self.missing,
            },
        }
    }
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// A question.
    Split(Split),
    /// An answer.
    Leaf {
        /// Which of the tree's rows of [`values`](Tree::values) it is.
        value: u32,
        /// The weight of the training rows that came here.
        cover: f64,
    },
}

impl Node {
    /// The weight of the training rows that came here.
    pub fn cover(&self) -> f64 {
        match self {
            Self::Split(split) => split.cover,
            Self::Leaf { cover, .. } => *cover,
        }
    }
}

/// What a tree's leaves are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One output; leaves have one value.
    One(u32),
    /// All outputs; leaves have a value for each.
    All,
}

/// A tree of an ensemble: nodes with the root first and every child behind its parent, the values
/// of the leaves, and the weight by which they count.
///
/// Plain data: [`TreeEnsemble::new`](super::TreeEnsemble::new) checks it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The values of the leaves, a row for each, as many to a row as the target has outputs.
    pub values: Vec<f64>,
    /// The sets of categories that questions name.
    pub sets: Vec<CategorySet>,
    /// What the leaves are added to.
    pub target: Target,
    /// What their values are multiplied with: 1 but for DART and averages of trees.
    pub weight: f64,
}

impl Tree {
    /// The greatest number of questions on the way to a leaf.
    pub const MAX_DEPTH: usize = 4096;
    /// The greatest number of nodes.
    pub const MAX_NODES: usize = 1 << 28;

    /// A tree of weight 1 for the only output.
    pub fn new(nodes: Vec<Node>, values: Vec<f64>) -> Self {
        Self { nodes, values, sets: Vec::new(), target: Target::One(0), weight: 1.0 }
    }

    /// How many values a leaf has, in an ensemble of so many outputs.
    pub fn width(&self, outputs: usize) -> usize {
        match self.target {
            Target::One(_) => 1,
            Target::All => outputs,
        }
    }

    /// The number of leaves.
    pub fn leaves(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, Node::Leaf { .. })).count()
    }

    /// The features of which some question is about categories.
    pub(super) fn categorical(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().filter_map(|node| match node {
            Node::Split(Split { feature, question: Question::Among(_), .. }) => {
                Some(*feature as usize)
            }
            _ => None,
        })
    }

    /// The index of the leaf that a row comes to, whose values are asked for by feature.
    pub fn leaf_of(&self, value: impl Fn(u32) -> f64) -> usize {
        let mut at = 0;
        // Every step goes to a greater index, so this ends.
        while let Some(Node::Split(split)) = self.nodes.get(at) {
            at = match split.side(value(split.feature), &self.sets) {
                Side::Left => split.left,
                Side::Right => split.right,
            } as usize;
        }
        at
    }

    /// Whether this is a tree for an ensemble of so many features and outputs; its depth.
    pub(super) fn check(&self, at: usize, features: usize, outputs: usize) -> Result<usize> {
        let wrong = |what: &str, expected: String, found: String| {
            Err(Error::invalid(format!("tree {at}{what}"), expected, found))
        };
        let n = self.nodes.len();
        if n == 0 || n > Self::MAX_NODES {
            return wrong("", format!("1 to {} nodes", Self::MAX_NODES), n.to_string());
        }
        if !self.weight.is_finite() {
            return wrong("", "a finite weight".into(), self.weight.to_string());
        }
        if let Target::One(k) = self.target
            && k as usize >= outputs
        {
            return wrong("", format!("an output below {outputs}"), k.to_string());
        }
        for (i, set) in self.sets.iter().enumerate() {
            if let Some(c) = set.categories.last().filter(|&&c| c > CategorySet::MAX) {
                let expected = format!("categories of at most {}", CategorySet::MAX);
                return wrong(&format!(", set {i}"), expected, c.to_string());
            }
        }
        let width = self.width(outputs);
        let mut depths = vec![u32::MAX; n];
        depths[0] = 0;
        let mut deepest = 0;
        for (i, node) in self.nodes.iter().enumerate() {
            let here = format_args!(", node {i}");
            let wrong = |expected: String, found: String| wrong(&here.to_string(), expected, found);
            let depth = depths[i];
            if depth == u32::MAX {
                return wrong("a node that another leads to".into(), "none does".into());
            }
            deepest = deepest.max(depth as usize);
            if deepest > Self::MAX_DEPTH {
                return wrong(format!("a depth of at most {}", Self::MAX_DEPTH), "more".into());
            }
            let cover = node.cover();
            if !(cover.is_finite() && cover >= 0.0) {
                return wrong("a finite cover of at least 0".into(), cover.to_string());
            }
            match node {
                Node::Leaf { value, .. } => {
                    let first = (*value as usize).saturating_mul(width);
                    let Some(values) = self.values.get(first..first.saturating_add(width)) else {
                        let rows = self.values.len() / width.max(1);
                        return wrong(format!("one of {rows} leaves' values"), value.to_string());
                    };
                    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                        return wrong("a finite value".into(), bad.to_string());
                    }
                }
                Node::Split(split) => {
                    if split.feature as usize >= features {
                        let expected = format!("one of {features} features");
                        return wrong(expected, split.feature.to_string());
                    }
                    match split.question {
                        Question::Below(t) if t.is_nan() => {
                            return wrong("a threshold".into(), "NaN".into());
                        }
                        Question::Among(set) if set as usize >= self.sets.len() => {
                            let expected = format!("one of {} sets", self.sets.len());
                            return wrong(expected, set.to_string());
                        }
                        _ => {}
                    }
                    for child in [split.left, split.right] {
                        let child = child as usize;
                        if child <= i || child >= n {
                            let expected = format!("a child above {i} and below {n}");
                            return wrong(expected, child.to_string());
                        }
                        if depths[child] != u32::MAX {
                            let expected = format!("children of its own, but node {child} is");
                            return wrong(expected, "another node's, too".into());
                        }
                        depths[child] = depth + 1;
                    }
                }
            }
        }
        Ok(deepest)
    }
}
