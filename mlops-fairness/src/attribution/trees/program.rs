//! A tree as a list of steps, compiled once.
//!
//! With a quadrature node t in (0, 1), a feature whose edges on a path have the product of cover
//! ratios z, and o = 1 where a row satisfies all of them, a leaf's weight in the Shapley integral
//! has the factor `z + (o − z)·t`. Along a path such a factor is a product over the feature's
//! splits, and siblings' shares add up to one. So with r the left child's share of the cover, and
//! m = 1 where the row goes left, a split passes on
//!
//! `f = r + β·(m − r)` to the left and `1 − f` to the right, where `β = t / (z + (1 − z)·t)` as
//! long as the row satisfies the feature's earlier edges (z their product; 1 at the first), else 0.
//!
//! Going down, C is the product of what was passed on; coming up, S is the mean of the leaves that
//! the shares make. Then a split adds `Σ_q w_q · C · f′ · (S_left − S_right)` to its feature, where
//! `f′ = (m − r) · z / (z + (1 − z)·t)²` is the derivative by t, 0 where the row left the path
//! before. Nothing is divided at run time, nothing cancels, and the sum over q is exact with half
//! as many nodes as there are distinct features on a path, rounded up (Wettenstein, Mitchell & Yu
//! 2026, arXiv:2605.04497; arXiv:2602.11623).

use mlops_core::model::trees::{Node, Routes, Split, Tree};

use super::lanes::Real;
use super::legendre::{QuadratureNode, gauss_legendre};

/// Rows with `bin[slot] < cut` go left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test {
    pub(super) slot: u32,
    pub(super) cut: u32,
}

/// Where what a tree asks stands among the bins, and where its features stand in the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    pub(super) routes: &'a Routes,
    /// The index of the tree.
    pub(super) tree: usize,
    /// Of each feature the place among those that are used.
    pub(super) used: &'a [u32],
}

impl Places<'_> {
    pub(super) fn test(&self, node: usize) -> Test {
        let (slot, cut) = self.routes.question(self.tree, node).unwrap_or_default();
        Test { slot, cut }
    }

    pub(super) fn feature(&self, split: &Split) -> u32 {
        self.used.get(split.feature as usize).copied().unwrap_or_default()
    }
}

/// Quadrature nodes that are worked on at once; more are done in several passes.
pub(super) const MAX_NODES: usize = 5;

/// One tree of one output, in one of the sizes that there are kernels for.
#[derive(Clone, Debug)]
pub(super) enum Program<T> {
    Of1(Steps<T, 1>),
    Of2(Steps<T, 2>),
    Of3(Steps<T, 3>),
    Of4(Steps<T, 4>),
    Of5(Steps<T, 5>),
}

/// What is done, in this order, with `Q` quadrature nodes.
#[derive(Clone, Debug)]
pub(super) struct Steps<T, const Q: usize> {
    pub(super) order: Vec<Step>,
    pub(super) splits: Vec<SplitConstants<T, Q>>,
    pub(super) pairs: Vec<PairConstants<T, Q>>,
    pub(super) repeats: Vec<Repeat<T, Q>>,
    /// The weights of the quadrature nodes.
    pub(super) weights: [T; Q],
    /// How many slots C and S need.
    pub(super) slots: usize,
    /// How many levels of masks.
    pub(super) levels: usize,
}

/// A step. A split's `own` slot holds C until S replaces it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// The depth of the split.
    pub(super) depth: u16,
    pub(super) own: u16,
    /// Its [`SplitConstants`], or [`PairConstants`] for [`Kind::Pair`].
    pub(super) split: u32,
    /// The [`PairConstants`] of children, or the [`Repeat`] of a repeated feature.
    pub(super) more: [u32; 2],
}

/// What a step does. `R` is of a feature that the path has asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// From C to both children's C.
    Down2,
    Down2R,
    /// To the C of the child that is no leaf.
    Down1,
    Down1R,
    /// From both children's S to S.
    Up2,
    Up2R,
    /// From the S of the child that is no leaf.
    Up1,
    Up1R,
    /// Both children are leaves: all at once.
    Pair,
    PairR,
    /// One child is a pair, the other a leaf.
    Three,
    /// Both children are pairs.
    Four,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SplitConstants<T, const Q: usize> {
    /// What the first child gets where the row goes left, and where it goes right. The first child
    /// is the left one, unless that is a leaf and the right one is none.
    pub(super) left: [T; Q],
    pub(super) right: [T; Q],
    /// `m − r` of the first child where the row goes left, and where it goes right.
    pub(super) out_left: T,
    pub(super) out_right: T,
    /// The value of the second child if it is a leaf.
    pub(super) leaf: T,
    pub(super) test: Test,
    /// The place of the feature among those that are used.
    pub(super) feature: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PairConstants<T, const Q: usize> {
    /// S where the row goes left, and where it goes right.
    pub(super) left: [T; Q],
    pub(super) right: [T; Q],
    /// `(m − r)·(v_left − v_right)`.
    pub(super) out_left: T,
    pub(super) out_right: T,
    pub(super) test: Test,
    pub(super) feature: u32,
}

/// What a feature needs that the path has asked before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat<T, const Q: usize> {
    /// What the first child gets where the row left the path before: r; of a pair S.
    pub(super) cold: T,
    /// `z / (z + (1 − z)·t)²`.
    pub(super) slope: [T; Q],
    pub(super) earlier: Earlier,
}

/// What is known of a tree for one output before it is compiled.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    tree: &'a Tree,
    output: usize,
    outputs: usize,
    notes: Vec<Note>,
    /// The most distinct features on a path.
    pub(super) distinct: usize,
    /// The cover-weighted mean of the leaves.
    pub(super) mean: f64,
}

/// What is known of a split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) depth: u16,
    /// The left child's share of the cover.
    pub(super) share: f64,
    /// The product of shares of the feature's earlier edges.
    z: f64,
    pub(super) repeat: Option<Earlier>,
}

impl Note {
    /// `z / (z + (1 − z)·t)²`: what a step of the feature's factor is worth.
    pub(super) fn slope(self, t: f64) -> f64 {
        let passed = self.z + (1.0 - self.z) * t;
        self.z / (passed * passed)
    }
}

/// The split of the path that asked the same feature last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Earlier {
    pub(super) depth: u16,
    /// Whether the path goes left there.
    pub(super) left: bool,
    /// Whether that was a repetition itself.
    pub(super) repeats: bool,
}

/// How a walk over a tree goes on.
enum Walk {
    Enter(usize),
    Turn(usize),
    Leave(usize),
}

impl<'a> Outline<'a> {
    /// Looks through a tree; `features` is how many there are in the ensemble.
    pub(super) fn new(tree: &'a Tree, output: usize, outputs: usize, features: usize) -> Self {
        let nothing = Note { depth: 0, share: 0.5, z: 1.0, repeat: None };
        let mut notes = vec![nothing; tree.nodes.len()];
        // For each feature the last split on the path that asks it; for each split on the path
        // whether the path goes left, and what `last` was before.
        let mut last: Vec<Option<usize>> = vec![None; features];
        let mut before: Vec<Option<usize>> = vec![None; tree.nodes.len()];
        let mut left = vec![true; tree.nodes.len()];
        let mut walk = vec![Walk::Enter(0)];
        let (mut depth, mut distinct, mut most) = (0u16, 0usize, 0usize);
        while let Some(step) = walk.pop() {
            match step {
                Walk::Enter(at) => {
                    let Node::Split(split) = &tree.nodes[at] else { continue };
                    let earlier = last[split.feature as usize];
                    let mut note = Note { depth, share: share(tree, split), ..nothing };
                    if let Some(a) = earlier {
                        let there = notes[a];
                        let share = if left[a] { there.share } else { 1.0 - there.share };
                        note.z = there.z * share;
                        note.repeat = Some(Earlier {
                            depth: there.depth,
                            left: left[a],
                            repeats: there.repeat.is_some(),
                        });
                    } else {
                        distinct += 1;
                        most = most.max(distinct);
                    }
                    notes[at] = note;
                    before[at] = earlier;
                    last[split.feature as usize] = Some(at);
                    left[at] = true;
                    depth += 1;
                    walk.push(Walk::Leave(at));
                    walk.push(Walk::Enter(split.right as usize));
                    walk.push(Walk::Turn(at));
                    walk.push(Walk::Enter(split.left as usize));
                }
                Walk::Turn(at) => left[at] = false,
                Walk::Leave(at) => {
                    if let Node::Split(split) = &tree.nodes[at] {
                        last[split.feature as usize] = before[at];
                    }
                    distinct -= usize::from(before[at].is_none());
                    depth -= 1;
                }
            }
        }
        let mut outline = Self { tree, output, outputs, notes, distinct: most, mean: 0.0 };
        outline.mean = outline.mean();
        outline
    }

    fn mean(&self) -> f64 {
        // Children stand behind their parents.
        let mut means = vec![0.0; self.tree.nodes.len()];
        for (at, node) in self.tree.nodes.iter().enumerate().rev() {
            means[at] = match node {
                Node::Leaf { .. } => self.value(at).unwrap_or_default(),
                Node::Split(split) => {
                    let right: f64 = means[split.right as usize];
                    right + self.notes[at].share * (means[split.left as usize] - right)
                }
            };
        }
        means.first().copied().unwrap_or_default()
    }

    /// The value of a leaf.
    pub(super) fn value(&self, at: usize) -> Option<f64> {
        let Some(Node::Leaf { value, .. }) = self.tree.nodes.get(at) else { return None };
        let width = self.tree.width(self.outputs);
        let column = if width == 1 { 0 } else { self.output };
        let value = self.tree.values.get(*value as usize * width + column)?;
        Some(value * self.tree.weight)
    }

    /// The values of the leaves below a split that has only leaves.
    fn pair(&self, at: usize) -> Option<(f64, f64)> {
        let Some(Node::Split(split)) = self.tree.nodes.get(at) else { return None };
        Some((self.value(split.left as usize)?, self.value(split.right as usize)?))
    }

    /// Of each node how many splits there are below it, itself included.
    pub(super) fn splits_below(&self) -> Vec<u32> {
        let mut sizes = vec![0; self.tree.nodes.len()];
        for (at, node) in self.tree.nodes.iter().enumerate().rev() {
            if let Node::Split(split) = node {
                sizes[at] = 1 + sizes[split.left as usize] + sizes[split.right as usize];
            }
        }
        sizes
    }

    pub(super) fn note(&self, at: usize) -> Note {
        self.notes[at]
    }

    pub(super) fn split(&self, at: usize) -> Option<&Split> {
        match self.tree.nodes.get(at) {
            Some(Node::Split(split)) => Some(split),
            _ => None,
        }
    }

    /// The programs whose sum is the tree's attributions: none for a tree that asks nothing.
    pub(super) fn compile<T: Real>(&self, places: Places<'_>) -> Vec<Program<T>> {
        if self.split(0).is_none() {
            return Vec::new();
        }
        let nodes = gauss_legendre(self.distinct.div_ceil(2));
        let passes = nodes.len().div_ceil(MAX_NODES);
        nodes
            .chunks(nodes.len().div_ceil(passes))
            .map(|nodes| match nodes.len() {
                1 => Program::Of1(self.steps(nodes, places)),
                2 => Program::Of2(self.steps(nodes, places)),
                3 => Program::Of3(self.steps(nodes, places)),
                4 => Program::Of4(self.steps(nodes, places)),
                _ => Program::Of5(self.steps(nodes, places)),
            })
            .collect()
    }

    fn steps<T: Real, const Q: usize>(
        &self,
        nodes: &[QuadratureNode],
        places: Places<'_>,
    ) -> Steps<T, Q> {
        let nodes: [QuadratureNode; Q] = std::array::from_fn(|q| nodes[q]);
        let mut out = Steps {
            order: Vec::new(),
            splits: Vec::new(),
            pairs: Vec::new(),
            repeats: Vec::new(),
            weights: nodes.map(|node| T::of(node.weight)),
            slots: 1,
            levels: 1,
        };
        // Where a split's C and S are, by its node; and its Up step, if it has gone down.
        let mut own = vec![0u16; self.tree.nodes.len()];
        let mut up: Vec<Option<Step>> = vec![None; self.tree.nodes.len()];
        let mut walk = vec![Walk::Enter(0)];
        while let Some(step) = walk.pop() {
            match step {
                Walk::Enter(at) => {
                    let Some(split) = self.split(at) else { continue };
                    let note = self.notes[at];
                    let mut step = Step {
                        kind: Kind::Pair,
                        depth: note.depth,
                        own: own[at],
                        split: 0,
                        more: [0; 2],
                    };
                    out.levels = out.levels.max(usize::from(note.depth) + 1);
                    if note.repeat.is_some() {
                        step.more[0] = out.repeats.len() as u32;
                    }
                    if let Some(values) = self.pair(at) {
                        step.kind = if note.repeat.is_some() { Kind::PairR } else { Kind::Pair };
                        step.split = self.add_pair(&mut out, at, values, &nodes, places);
                        out.order.push(step);
                        continue;
                    }
                    let (l, r) = (split.left as usize, split.right as usize);
                    step.split = self.add_split(&mut out, at, &nodes, places);
                    if let Some(pairs) = self.fusible(at) {
                        step.kind = if pairs[1].is_some() { Kind::Four } else { Kind::Three };
                        for (more, pair) in step.more.iter_mut().zip(pairs) {
                            if let Some(pair) = pair
                                && let Some(values) = self.pair(pair)
                            {
                                *more = self.add_pair(&mut out, pair, values, &nodes, places);
                            }
                        }
                        out.order.push(step);
                        continue;
                    }
                    let (first, second) = if self.split(l).is_some() { (l, r) } else { (r, l) };
                    let both = self.split(second).is_some();
                    let slot = 2 * note.depth + 1;
                    own[first] = slot;
                    own[second] = slot + 1;
                    out.slots = out.slots.max(usize::from(slot) + 2);
                    let repeats = note.repeat.is_some();
                    let (down, back) = match (both, repeats) {
                        (true, false) => (Kind::Down2, Kind::Up2),
                        (true, true) => (Kind::Down2R, Kind::Up2R),
                        (false, false) => (Kind::Down1, Kind::Up1),
                        (false, true) => (Kind::Down1R, Kind::Up1R),
                    };
                    out.order.push(Step { kind: down, ..step });
                    up[at] = Some(Step { kind: back, ..step });
                    walk.push(Walk::Leave(at));
                    if both {
                        walk.push(Walk::Enter(second));
                    }
                    walk.push(Walk::Enter(first));
                }
                Walk::Leave(at) => out.order.extend(up[at]),
                Walk::Turn(_) => {}
            }
        }
        out
    }

    /// The children that are pairs, if this split and they can be done at once: none repeats a
    /// feature of the path, and what they add to are three different features.
    fn fusible(&self, at: usize) -> Option<[Option<usize>; 2]> {
        let split = self.split(at)?;
        if self.notes[at].repeat.is_some() {
            return None;
        }
        let plain = |child: usize| self.pair(child).is_some() && self.notes[child].repeat.is_none();
        let (l, r) = (split.left as usize, split.right as usize);
        match (self.split(l), self.split(r)) {
            (Some(a), Some(b)) if plain(l) && plain(r) && a.feature != b.feature => {
                Some([Some(l), Some(r)])
            }
            (Some(_), None) if plain(l) => Some([Some(l), None]),
            (None, Some(_)) if plain(r) => Some([Some(r), None]),
            _ => None,
        }
    }

    fn add_repeat<T: Real, const Q: usize>(
        &self,
        out: &mut Steps<T, Q>,
        at: usize,
        cold: f64,
        nodes: &[QuadratureNode; Q],
    ) {
        let note = self.notes[at];
        if let Some(earlier) = note.repeat {
            out.repeats.push(Repeat {
                cold: T::of(cold),
                slope: nodes.map(|node| T::of(note.slope(node.t))),
                earlier,
            });
        }
    }

    /// What the first child gets where the row goes its way, and where it goes the other.
    pub(super) fn passed(note: Note, share: f64, t: f64) -> (f64, f64) {
        let beta = t / (note.z + (1.0 - note.z) * t);
        (share + beta * (1.0 - share), share - beta * share)
    }

    fn add_split<T: Real, const Q: usize>(
        &self,
        out: &mut Steps<T, Q>,
        at: usize,
        nodes: &[QuadratureNode; Q],
        places: Places<'_>,
    ) -> u32 {
        let note = self.notes[at];
        let Some(split) = self.split(at) else { return 0 };
        // The first child is one that is no leaf.
        let left_is_first = self.split(split.left as usize).is_some();
        let share = if left_is_first { note.share } else { 1.0 - note.share };
        let passed = nodes.map(|node| Self::passed(note, share, node.t));
        let (towards, away) = (passed.map(|p| T::of(p.0)), passed.map(|p| T::of(p.1)));
        let (out_towards, out_away) = (T::of(1.0 - share), T::of(-share));
        let second = if left_is_first { split.right } else { split.left };
        let leaf = T::of(self.value(second as usize).unwrap_or_default());
        let (left, right, out_left, out_right) = if left_is_first {
            (towards, away, out_towards, out_away)
        } else {
            (away, towards, out_away, out_towards)
        };
        let (test, feature) = (places.test(at), places.feature(split));
        self.add_repeat(out, at, share, nodes);
        out.splits.push(SplitConstants { left, right, out_left, out_right, leaf, test, feature });
        out.splits.len() as u32 - 1
    }

    fn add_pair<T: Real, const Q: usize>(
        &self,
        out: &mut Steps<T, Q>,
        at: usize,
        (left, right): (f64, f64),
        nodes: &[QuadratureNode; Q],
        places: Places<'_>,
    ) -> u32 {
        let note = self.notes[at];
        let Some(split) = self.split(at) else { return 0 };
        let step = left - right;
        let passed = nodes.map(|node| Self::passed(note, note.share, node.t));
        self.add_repeat(out, at, right + note.share * step, nodes);
        out.pairs.push(PairConstants {
            left: passed.map(|p| T::of(right + p.0 * step)),
            right: passed.map(|p| T::of(right + p.1 * step)),
            out_left: T::of((1.0 - note.share) * step),
            out_right: T::of(-note.share * step),
            test: places.test(at),
            feature: places.feature(split),
        });
        out.pairs.len() as u32 - 1
    }
}

/// The left child's share of what covers both children; a half where nothing does.
pub(super) fn share(tree: &Tree, split: &Split) -> f64 {
    let cover = |child: u32| tree.nodes.get(child as usize).map_or(0.0, Node::cover);
    let (left, right) = (cover(split.left), cover(split.right));
    let both = left + right;
    // Halves, lest the sum overflow.
    if both.is_infinite() {
        return 0.5 * left / (0.5 * left + 0.5 * right);
    }
    if both > 0.0 { left / both } else { 0.5 }
}
