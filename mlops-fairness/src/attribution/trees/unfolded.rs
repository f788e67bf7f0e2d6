//! A tree as steps for interactions: besides C, each level keeps for every feature of the path the
//! product in which that feature's factor is replaced by its derivative.

#![expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
#![expect(clippy::needless_range_loop, reason = "rows index several arrays alike")]

use std::collections::BTreeMap;

use multiversion::multiversion;

use super::kernel::{Bins, ask};
use super::lanes::{Lanes, Mask, pick};
use super::legendre::QuadratureNode;
use super::program::{Earlier, Outline, Places, Test};

/// Rows that are explained at once.
pub(super) const LANES: usize = 16;
/// Quadrature nodes that are worked on at once.
const NODES: usize = 4;

/// A tree of one output.
#[derive(Clone, Debug)]
pub(super) struct Unfolded {
    /// Its quadrature nodes, a few at a time.
    passes: Vec<Pass>,
    steps: Vec<Step>,
    splits: Vec<Split>,
    /// Of each split the other features of its path: their places in the level, and the pairs.
    others: Vec<(u16, u32)>,
    levels: usize,
    distinct: usize,
}

#[derive(Clone, Debug)]
struct Pass {
    nodes: usize,
    /// Of each split and node: what the left child gets where the row goes left, where it goes
    /// right, and the slope.
    constants: Vec<[f64; 3]>,
    weights: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Left(u32),
    Right(u32),
    Up(u32),
    Leaf(u16, f64),
}

#[derive(Clone, Debug)]
struct Split {
    depth: u16,
    test: Test,
    feature: u32,
    share: f64,
    repeat: Option<Earlier>,
    /// The place of its feature in the children's levels.
    place: u16,
    /// How many features the path has before.
    distinct: u16,
    others: std::ops::Range<usize>,
}

/// Where a thread keeps levels and masks.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Level after level, in a level C and then the features' products, each of all nodes.
    products: Vec<Lanes<f64, LANES>>,
    /// S of the last subtree that was finished at each depth, and of left children.
    done: Vec<Lanes<f64, LANES>>,
    left_done: Vec<Lanes<f64, LANES>>,
    left: Vec<Mask<LANES>>,
    hot: Vec<Mask<LANES>>,
}

enum Walk {
    Enter(usize),
    Right(u32),
    Leave(usize, u32),
}

impl Unfolded {
    pub(super) fn new(
        outline: &Outline<'_>,
        nodes: &[QuadratureNode],
        places: Places<'_>,
        pairs: &mut BTreeMap<(u32, u32), u32>,
    ) -> Self {
        let mut out = Self {
            passes: Vec::new(),
            steps: Vec::new(),
            splits: Vec::new(),
            others: Vec::new(),
            levels: 1,
            distinct: outline.distinct,
        };
        let pass = |nodes: &[QuadratureNode]| Pass {
            nodes: nodes.len(),
            constants: Vec::new(),
            weights: nodes.iter().map(|node| node.weight).collect(),
        };
        out.passes.extend(nodes.chunks(NODES).map(pass));
        // The features of the path, in the order of their first split.
        let mut path: Vec<u32> = Vec::new();
        let mut walk = vec![Walk::Enter(0)];
        let mut depth = 0u16;
        while let Some(step) = walk.pop() {
            match step {
                Walk::Enter(at) => {
                    let Some(split) = outline.split(at) else {
                        out.steps.push(Step::Leaf(depth, outline.value(at).unwrap_or_default()));
                        continue;
                    };
                    let note = outline.note(at);
                    let feature = places.feature(split);
                    let distinct = path.len();
                    let place = match note.repeat {
                        None => distinct,
                        Some(_) => path.iter().position(|&f| f == feature).unwrap_or_default(),
                    };
                    let first = out.others.len();
                    for (p, &other) in (1..).zip(&path) {
                        if other != feature {
                            let met = pairs.len() as u32;
                            let pair = (feature.min(other), feature.max(other));
                            out.others.push((p, *pairs.entry(pair).or_insert(met)));
                        }
                    }
                    if note.repeat.is_none() {
                        path.push(feature);
                    }
                    for (pass, nodes) in out.passes.iter_mut().zip(nodes.chunks(NODES)) {
                        pass.constants.extend(nodes.iter().map(|node| {
                            let (towards, away) = Outline::passed(note, note.share, node.t);
                            [towards, away, note.slope(node.t)]
                        }));
                    }
                    let number = out.splits.len() as u32;
                    out.splits.push(Split {
                        depth: note.depth,
                        test: places.test(at),
                        feature,
                        share: note.share,
                        repeat: note.repeat,
                        place: place as u16 + 1,
                        distinct: distinct as u16,
                        others: first..out.others.len(),
                    });
                    out.steps.push(Step::Left(number));
                    depth += 1;
                    out.levels = out.levels.max(usize::from(depth) + 1);
                    walk.push(Walk::Leave(at, number));
                    walk.push(Walk::Enter(split.right as usize));
                    walk.push(Walk::Right(number));
                    walk.push(Walk::Enter(split.left as usize));
                }
                Walk::Right(number) => out.steps.push(Step::Right(number)),
                Walk::Leave(at, number) => {
                    out.steps.push(Step::Up(number));
                    depth -= 1;
                    if outline.note(at).repeat.is_none() {
                        path.pop();
                    }
                }
            }
        }
        out
    }

    /// Gives pairs their final numbers.
    pub(super) fn renumber(&mut self, order: &[u32]) {
        for (_, pair) in &mut self.others {
            *pair = order[*pair as usize];
        }
    }

    /// Where a level begins, in a pass of so many nodes.
    fn level(&self, depth: usize, nodes: usize) -> usize {
        level(depth, nodes, self.distinct)
    }

    /// What a thread would keep for a tree, in bytes.
    pub(super) fn bytes(outline: &Outline<'_>) -> usize {
        let sizes = outline.splits_below();
        let splits = (0..sizes.len()).filter(|at| outline.split(*at).is_some());
        let depth = splits.map(|at| usize::from(outline.note(at).depth) + 1).max().unwrap_or(0);
        let nodes = outline.distinct.div_ceil(2).min(NODES);
        let levels = level(depth + 1, nodes, outline.distinct);
        (levels + 2 * (depth + 1) * nodes) * LANES * size_of::<f64>()
    }

    /// Adds what the tree gives to the attributions and interactions of a group of rows.
    pub(super) fn explain(
        &self,
        bins: Bins<'_>,
        row: usize,
        scratch: &mut Scratch,
        phi: &mut [Lanes<f64, LANES>],
        both: &mut [Lanes<f64, LANES>],
    ) {
        for pass in &self.passes {
            run(self, pass, bins, row, scratch, phi, both);
        }
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn run(
    tree: &Unfolded,
    pass: &Pass,
    bins: Bins<'_>,
    row: usize,
    scratch: &mut Scratch,
    phi: &mut [Lanes<f64, LANES>],
    both: &mut [Lanes<f64, LANES>],
) {
    let n = pass.nodes;
    let Scratch { products, done, left_done, left, hot } = scratch;
    let enough = |all: &mut Vec<Lanes<f64, LANES>>, len: usize| {
        if all.len() < len {
            all.resize(len, Lanes::default());
        }
    };
    enough(products, tree.level(tree.levels, n));
    enough(done, tree.levels * n);
    enough(left_done, tree.levels * n);
    if left.len() < tree.levels {
        left.resize(tree.levels, Mask::ALL);
        hot.resize(tree.levels, Mask::ALL);
    }
    for (c, &weight) in products.iter_mut().zip(&pass.weights) {
        *c = Lanes([weight; LANES]);
    }
    for step in &tree.steps {
        match *step {
            Step::Leaf(depth, value) => {
                let first = usize::from(depth) * n;
                done[first..first + n].fill(Lanes([value; LANES]));
            }
            Step::Left(number) => {
                let split = &tree.splits[number as usize];
                let depth = usize::from(split.depth);
                left[depth] = ask(split.test, bins, row);
                hot[depth] = match split.repeat {
                    None => Mask::ALL,
                    Some(earlier) => {
                        let flip = if earlier.left { 0 } else { u8::MAX };
                        let at = usize::from(earlier.depth);
                        let mut mask = hot[at];
                        for (mask, left) in mask.0.iter_mut().zip(&left[at].0) {
                            *mask &= left ^ flip;
                        }
                        mask
                    }
                };
                pass_on(tree, pass, number, products, &left[depth], &hot[depth], true);
            }
            Step::Right(number) => {
                let depth = usize::from(tree.splits[number as usize].depth);
                let child = (depth + 1) * n..(depth + 2) * n;
                left_done[depth * n..(depth + 1) * n].copy_from_slice(&done[child]);
                pass_on(tree, pass, number, products, &left[depth], &hot[depth], false);
            }
            Step::Up(number) => {
                let split = &tree.splits[number as usize];
                let depth = usize::from(split.depth);
                let (m, h) = (&left[depth], &hot[depth]);
                let constants = &pass.constants[number as usize * n..(number as usize + 1) * n];
                // What the split is worth at each node, in place of the left child's S.
                for (q, [towards, away, slope]) in constants.iter().enumerate() {
                    let right = done[(depth + 1) * n + q].0;
                    let own = &mut done[depth * n + q];
                    let step = &mut left_done[depth * n + q];
                    for i in 0..LANES {
                        let share = pick(h.0[i], pick(m.0[i], *towards, *away), split.share);
                        let difference = step.0[i] - right[i];
                        own.0[i] = right[i] + share * difference;
                        step.0[i] = difference * slope;
                    }
                }
                let mut out = Lanes::<f64, LANES>::default();
                for i in 0..LANES {
                    let towards = pick(m.0[i], 1.0 - split.share, -split.share);
                    out.0[i] = pick(h.0[i], towards, 0.0);
                }
                let worth = &left_done[depth * n..(depth + 1) * n];
                let level = &products[tree.level(depth, n)..];
                add(&level[..n], worth, &out, 1.0, &mut phi[split.feature as usize]);
                for &(place, pair) in &tree.others[split.others.clone()] {
                    let first = usize::from(place) * n;
                    let product = &level[first..first + n];
                    add(product, worth, &out, 0.5, &mut both[pair as usize]);
                }
            }
        }
    }
}

/// Where a level begins, of a tree of so many distinct features on a path.
fn level(depth: usize, nodes: usize, distinct: usize) -> usize {
    // Level k has at most min(k, distinct) features besides C.
    let rising = depth.min(distinct + 1);
    let flat = depth - rising;
    nodes * (rising * (rising + 1) / 2 + flat * (distinct + 1))
}

/// Adds `factor · Σ_q product · worth · out`.
#[inline(always)]
fn add(
    product: &[Lanes<f64, LANES>],
    worth: &[Lanes<f64, LANES>],
    out: &Lanes<f64, LANES>,
    factor: f64,
    to: &mut Lanes<f64, LANES>,
) {
    let mut sum = Lanes::<f64, LANES>::default();
    for (product, worth) in product.iter().zip(worth) {
        for i in 0..LANES {
            sum.0[i] += product.0[i] * worth.0[i];
        }
    }
    for i in 0..LANES {
        to.0[i] += factor * (sum.0[i] * out.0[i]);
    }
}

/// Fills a child's level.
#[inline(always)]
fn pass_on(
    tree: &Unfolded,
    pass: &Pass,
    number: u32,
    products: &mut [Lanes<f64, LANES>],
    left: &Mask<LANES>,
    hot: &Mask<LANES>,
    to_left: bool,
) {
    let n = pass.nodes;
    let split = &tree.splits[number as usize];
    let depth = usize::from(split.depth);
    let own = usize::from(split.place);
    let constants = &pass.constants[number as usize * n..(number as usize + 1) * n];
    let (here, child) = products[tree.level(depth, n)..]
        .split_at_mut(tree.level(depth + 1, n) - tree.level(depth, n));
    for (q, [towards, away, slope]) in constants.iter().enumerate() {
        let (mut share, mut slopes) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let left_share = pick(hot.0[i], pick(left.0[i], *towards, *away), split.share);
            let step = pick(left.0[i], 1.0 - split.share, -split.share) * slope;
            let left_slope = pick(hot.0[i], step, 0.0);
            share[i] = if to_left { left_share } else { 1.0 - left_share };
            slopes[i] = if to_left { left_slope } else { -left_slope };
        }
        for place in 0..=usize::from(split.distinct) {
            let (from, to) = (&here[place * n + q], &mut child[place * n + q]);
            for i in 0..LANES {
                to.0[i] = from.0[i] * share[i];
            }
        }
        let (c, to) = (&here[q], &mut child[own * n + q]);
        if own > usize::from(split.distinct) {
            *to = Lanes::default();
        }
        for i in 0..LANES {
            to.0[i] += c.0[i] * slopes[i];
        }
    }
}
