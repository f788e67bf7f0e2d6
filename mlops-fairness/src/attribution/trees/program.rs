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
//! before. Nothing is divided at run time, and the sum over q is exact with half as many nodes as
//! there are distinct features on a path, rounded up (Wettenstein, Mitchell & Yu 2026,
//! arXiv:2605.04497; arXiv:2602.11623).
//!
//! The last two splits of a path are done at once, unless they repeat a feature: there S is a
//! polynomial of degree 2 in t, so that of C only Σ C and Σ t·C count. Nodes lie symmetrically
//! about ½; with `v = (t − ½) / a`, where the outermost are ±1, both are sums and differences, and
//! so are the polynomial's values. The weights are divided by a, for `d/dv = a · d/dt`.

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
pub(super) const MAX_NODES: usize = 6;

/// One tree of one output, in one of the sizes that there are kernels for.
#[derive(Clone, Debug)]
pub(super) enum Program<T> {
    Of1(Steps<T, 1>),
    Of2(Steps<T, 2>),
    Of3(Steps<T, 3>),
    Of4(Steps<T, 4>),
    Of5(Steps<T, 5>),
    Of6(Steps<T, 6>),
}

/// What is done, in this order, with `Q` quadrature nodes.
#[derive(Clone, Debug)]
pub(super) struct Steps<T, const Q: usize> {
    pub(super) order: Vec<Step>,
    pub(super) splits: Vec<Shares<T, Q>>,
    pub(super) linear: Vec<Linear<T>>,
    pub(super) pairs: Vec<Leaves<T, Q>>,
    pub(super) repeats: Vec<Repeat<T, Q>>,
    /// The weights of the quadrature nodes, by the scale of `v`.
    pub(super) weights: [T; Q],
    pub(super) basis: Basis<T>,
    /// How many slots C and S need.
    pub(super) slots: usize,
    /// How many levels of masks.
    pub(super) levels: usize,
}

/// The places of the nodes in the variable `v = (t − ½) / a`, where the nodes, which lie
/// symmetrically, begin at −1 and end at 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Basis<T> {
    /// Of the other positive ones, from the outermost.
    pub(super) inner: [T; MAX_NODES / 2 - 1],
    pub(super) squares: [T; MAX_NODES / 2 - 1],
}

/// A step. A split's `own` slot holds C until S replaces it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// The depth of the split.
    pub(super) depth: u16,
    pub(super) own: u16,
    /// Its [`Shares`], [`Leaves`] or [`Linear`].
    pub(super) at: u32,
    /// Its [`Repeat`].
    pub(super) repeat: u32,
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

/// What the children get: of two numbers the first where the row goes right, the second where it
/// goes left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares<T, const Q: usize> {
    /// The first child's share. The first child is the left one, unless that is a leaf and the
    /// right one is none.
    pub(super) share: [[T; 2]; Q],
    /// `a·(m − r)` of the first child.
    pub(super) out: [T; 2],
    /// The value of the second child if it is a leaf.
    pub(super) leaf: T,
    pub(super) test: Test,
    /// The place of the feature among those that are used.
    pub(super) feature: u32,
}

/// A split of a feature that the path asks nowhere else, which passes on `middle + slope·v`; or,
/// with two leaves below it, whose S that is. A leaf is its own middle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear<T> {
    pub(super) middle: [T; 2],
    pub(super) slope: [T; 2],
    pub(super) test: Test,
    pub(super) feature: u32,
}

/// A split of a repeated feature with two leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaves<T, const Q: usize> {
    /// S.
    pub(super) values: [[T; 2]; Q],
    /// `a·(m − r)·(v_left − v_right)`.
    pub(super) out: [T; 2],
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
        passes(&gauss_legendre(self.distinct.div_ceil(2)))
            .iter()
            .map(|nodes| match nodes.len() {
                1 => Program::Of1(self.steps(nodes, places)),
                2 => Program::Of2(self.steps(nodes, places)),
                3 => Program::Of3(self.steps(nodes, places)),
                4 => Program::Of4(self.steps(nodes, places)),
                5 => Program::Of5(self.steps(nodes, places)),
                _ => Program::Of6(self.steps(nodes, places)),
            })
            .collect()
    }

    fn steps<T: Real, const Q: usize>(
        &self,
        nodes: &[QuadratureNode],
        places: Places<'_>,
    ) -> Steps<T, Q> {
        let nodes: [QuadratureNode; Q] = std::array::from_fn(|q| nodes[q]);
        // One node lies in the middle: any scale will do.
        let scale = if Q == 1 { 0.5 } else { nodes[Q - 1].t - 0.5 };
        let inner = |k: usize| if k + 1 < Q / 2 { (nodes[Q - 2 - k].t - 0.5) / scale } else { 0.0 };
        let mut out = Steps {
            order: Vec::new(),
            splits: Vec::new(),
            linear: Vec::new(),
            pairs: Vec::new(),
            repeats: Vec::new(),
            weights: nodes.map(|node| T::of(node.weight / scale)),
            basis: Basis {
                inner: std::array::from_fn(|k| T::of(inner(k))),
                squares: std::array::from_fn(|k| T::of(inner(k) * inner(k))),
            },
            slots: 1,
            levels: 1,
        };
        let add = Add { outline: self, nodes, scale, places };
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
                        at: 0,
                        repeat: 0,
                    };
                    out.levels = out.levels.max(usize::from(note.depth) + 1);
                    if note.repeat.is_some() {
                        step.repeat = out.repeats.len() as u32;
                    }
                    if let Some(values) = self.pair(at) {
                        if note.repeat.is_some() {
                            step.kind = Kind::PairR;
                            step.at = out.pairs.len() as u32;
                            add.repeated_pair(&mut out, at, values);
                        } else {
                            step.at = out.linear.len() as u32;
                            out.linear.extend(add.linear_of(at));
                        }
                        out.order.push(step);
                        continue;
                    }
                    let (l, r) = (split.left as usize, split.right as usize);
                    if let Some(children) = self.fusible(at) {
                        let both = children.iter().all(|&child| self.split(child).is_some());
                        step.kind = if both { Kind::Four } else { Kind::Three };
                        step.at = out.linear.len() as u32;
                        out.linear.push(add.linear(at, 1.0, 0.0, children[0] == r));
                        out.linear
                            .extend(children.iter().filter_map(|&child| add.linear_of(child)));
                        out.order.push(step);
                        continue;
                    }
                    step.at = out.splits.len() as u32;
                    add.split(&mut out, at);
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

    /// The children, if this split and they can be done at once: the first is a pair, the second a
    /// pair or a leaf, and none repeats a feature of the path.
    fn fusible(&self, at: usize) -> Option<[usize; 2]> {
        let split = self.split(at)?;
        let plain = |child: usize| self.pair(child).is_some() && self.notes[child].repeat.is_none();
        let (l, r) = (split.left as usize, split.right as usize);
        let both = match (self.split(l), self.split(r)) {
            (Some(_), Some(_)) if plain(l) && plain(r) => [l, r],
            (Some(_), None) if plain(l) => [l, r],
            (None, Some(_)) if plain(r) => [r, l],
            _ => return None,
        };
        self.notes[at].repeat.is_none().then_some(both)
    }

    /// What the first child gets where the row goes its way, and where it goes the other.
    pub(super) fn passed(note: Note, share: f64, t: f64) -> (f64, f64) {
        let beta = t / (note.z + (1.0 - note.z) * t);
        (share + beta * (1.0 - share), share - beta * share)
    }
}

/// The nodes of each pass: symmetrical, and as few passes as there can be.
fn passes(nodes: &[QuadratureNode]) -> Vec<Vec<QuadratureNode>> {
    let n = nodes.len();
    // Pairs from without to within; the node in the middle stands alone.
    let count = n.div_ceil(MAX_NODES);
    let pairs = (n / 2).div_ceil(count);
    let mut all: Vec<Vec<QuadratureNode>> = (0..n / 2)
        .collect::<Vec<_>>()
        .chunks(pairs.max(1))
        .map(|pairs| {
            let left = pairs.iter().map(|&k| nodes[k]);
            left.chain(pairs.iter().rev().map(|&k| nodes[n - 1 - k])).collect()
        })
        .collect();
    if n % 2 == 1 {
        let middle = nodes[n / 2];
        match all.last_mut() {
            Some(last) if last.len() < MAX_NODES => last.insert(last.len() / 2, middle),
            _ => all.push(vec![middle]),
        }
    }
    all
}

/// What constants are made of.
struct Add<'a, 'b, const Q: usize> {
    outline: &'a Outline<'b>,
    nodes: [QuadratureNode; Q],
    /// `a`, what `v` is measured in.
    scale: f64,
    places: Places<'a>,
}

impl<const Q: usize> Add<'_, '_, Q> {
    fn repeat<T: Real>(&self, out: &mut Steps<T, Q>, at: usize, cold: f64) {
        let note = self.outline.note(at);
        if let Some(earlier) = note.repeat {
            out.repeats.push(Repeat {
                cold: T::of(cold),
                slope: self.nodes.map(|node| T::of(note.slope(node.t))),
                earlier,
            });
        }
    }

    fn split<T: Real>(&self, out: &mut Steps<T, Q>, at: usize) {
        let (outline, note) = (self.outline, self.outline.note(at));
        let Some(split) = outline.split(at) else { return };
        // The first child is one that is no leaf.
        let left_is_first = outline.split(split.left as usize).is_some();
        let share = if left_is_first { note.share } else { 1.0 - note.share };
        let sides = |towards: f64, away: f64| {
            if left_is_first {
                [T::of(away), T::of(towards)]
            } else {
                [T::of(towards), T::of(away)]
            }
        };
        let second = if left_is_first { split.right } else { split.left };
        self.repeat(out, at, share);
        out.splits.push(Shares {
            share: self.nodes.map(|node| {
                let (towards, away) = Outline::passed(note, share, node.t);
                sides(towards, away)
            }),
            out: sides(self.scale * (1.0 - share), -self.scale * share),
            leaf: T::of(outline.value(second as usize).unwrap_or_default()),
            test: self.places.test(at),
            feature: self.places.feature(split),
        });
    }

    fn repeated_pair<T: Real>(&self, out: &mut Steps<T, Q>, at: usize, (left, right): (f64, f64)) {
        let note = self.outline.note(at);
        let Some(split) = self.outline.split(at) else { return };
        let step = left - right;
        self.repeat(out, at, right + note.share * step);
        out.pairs.push(Leaves {
            values: self.nodes.map(|node| {
                let (towards, away) = Outline::passed(note, note.share, node.t);
                [T::of(right + away * step), T::of(right + towards * step)]
            }),
            out: [-note.share, 1.0 - note.share].map(|out| T::of(self.scale * out * step)),
            test: self.places.test(at),
            feature: self.places.feature(split),
        });
    }

    /// A pair, or a leaf.
    fn linear_of<T: Real>(&self, at: usize) -> Option<Linear<T>> {
        if let Some((left, right)) = self.outline.pair(at) {
            return Some(self.linear(at, left, right, false));
        }
        let value = T::of(self.outline.value(at)?);
        let test = Test { slot: 0, cut: 0 };
        Some(Linear { middle: [value; 2], slope: [T::default(); 2], test, feature: 0 })
    }

    /// The mean of what stands left and right of a split; `turned` has left and right changed.
    fn linear<T: Real>(&self, at: usize, left: f64, right: f64, turned: bool) -> Linear<T> {
        let note = self.outline.note(at);
        let (left, right) = if turned { (right, left) } else { (left, right) };
        let step = left - right;
        let (towards, away) = Outline::passed(note, note.share, 0.5);
        Linear {
            middle: [T::of(right + away * step), T::of(right + towards * step)],
            slope: [-note.share, 1.0 - note.share].map(|out| T::of(self.scale * out * step)),
            test: self.places.test(at),
            feature: self.outline.split(at).map_or(0, |split| self.places.feature(split)),
        }
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
