//! Margins at speed: trees of few leaves are answered for 64 rows at once, from the leaves up to
//! the root, without a branch that depends on a row; others are walked.

use std::ops::Range;

use arrow::array::Float64Array;
use arrow::buffer::NullBuffer;
use multiversion::multiversion;
use rayon::prelude::*;

use super::{Bin, BinWidth, Columns, Node, Routes, Target, Tree};

/// Rows that are answered at once.
const LANES: usize = 64;
/// Rows whose bins are made at once: they stay in the near caches while all trees pass.
const TILE: usize = 512;
/// The most bins, and the most sums, that are made at once, unless 64 rows have more.
const MOST_BINS: usize = 1 << 20;
/// A tree of at most so many leaves is answered for all lanes at once: its leaves fit a `u8`.
const FEW: usize = 256;

/// So few rows are walked one by one: lanes would be empty.
pub(super) const ALONE: usize = 4;

/// The margins of a few rows, shape `(n_rows, n_outputs)`: the same sums in the same order.
pub(super) fn walk_alone(trees: &[Tree], columns: &Columns, base: &[f64]) -> Float64Array {
    let outputs = base.len();
    let mut margins = base.repeat(columns.len());
    for (row, margins) in margins.chunks_exact_mut(outputs).enumerate() {
        let values: Vec<f64> =
            (0..columns.features() as u32).map(|feature| columns.value(feature, row)).collect();
        for tree in trees {
            let leaf = tree.leaf_of(|feature| values[feature as usize]);
            let Some(Node::Leaf { value, .. }) = tree.nodes.get(leaf) else { continue };
            match tree.target {
                Target::One(k) => {
                    margins[k as usize] += tree.values[*value as usize] * tree.weight;
                }
                Target::All => {
                    let values = &tree.values[*value as usize * outputs..][..outputs];
                    for (margin, value) in margins.iter_mut().zip(values) {
                        *margin += value * tree.weight;
                    }
                }
            }
        }
    }
    Float64Array::new(margins.into(), known(columns, outputs))
}

/// The rows that have margins, once for each output.
fn known(columns: &Columns, outputs: usize) -> Option<NullBuffer> {
    let known = columns.known()?.iter();
    Some(known.flat_map(|known| std::iter::repeat_n(known, outputs)).collect())
}

/// The trees of an ensemble, made ready.
#[derive(Debug)]
pub(super) struct Prepared {
    trees: Vec<Ready>,
}

#[derive(Debug)]
struct Ready {
    target: Target,
    /// What the leaves add: the values by their weight, filled up to a power of two.
    values: Vec<f64>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Only a root.
    Constant,
    /// From the leaves up: the children's answers stand before their parents'.
    Up(Vec<Choice>),
    /// From the root down.
    Down(Vec<Step>),
}

/// An answer for all lanes: those of one child or the other.
#[derive(Debug, Clone, Copy)]
struct Choice {
    slot: u32,
    cut: u32,
    left: Child,
    right: Child,
}

#[derive(Debug, Clone, Copy)]
enum Child {
    Leaf(u8),
    Choice(u8),
}

/// A node on the way down; a leaf leads to itself, and has the place of its value for a cut.
#[derive(Debug, Clone, Copy)]
struct Step {
    slot: u32,
    cut: u32,
    left: u32,
    right: u32,
}

impl Prepared {
    pub(super) fn new(trees: &[Tree], routes: &Routes, base: &[f64]) -> Self {
        let outputs = base.len();
        Self { trees: (0..trees.len()).map(|t| ready(trees, t, routes, outputs)).collect() }
    }

    /// The margins of all rows, shape `(n_rows, n_outputs)`.
    pub(super) fn margins(&self, routes: &Routes, columns: &Columns, base: &[f64]) -> Float64Array {
        let (n, outputs) = (columns.len(), base.len());
        let mut margins = vec![0.0; n * outputs];
        // A tile more or less changes no row.
        let fair = n.div_ceil(rayon::current_num_threads()).next_multiple_of(LANES);
        let most = MOST_BINS / routes.slots().max(outputs).max(1) / LANES * LANES;
        let tile = fair.min(TILE).min(most).max(LANES);
        let one = |(at, out): (usize, &mut [f64])| {
            let rows = at * tile..(at * tile + out.len() / outputs);
            match routes.width() {
                BinWidth::U8 => self.tile::<u8>(routes, columns, base, rows, out),
                BinWidth::U16 => self.tile::<u16>(routes, columns, base, rows, out),
                BinWidth::U32 => self.tile::<u32>(routes, columns, base, rows, out),
            }
        };
        if n <= tile {
            margins.chunks_mut(tile * outputs).enumerate().for_each(one);
        } else {
            margins.par_chunks_mut(tile * outputs).enumerate().for_each(one);
        }
        Float64Array::new(margins.into(), known(columns, outputs))
    }

    fn tile<B: Lanes>(
        &self,
        routes: &Routes,
        columns: &Columns,
        base: &[f64],
        rows: Range<usize>,
        out: &mut [f64],
    ) {
        let (n, outputs) = (rows.len(), base.len());
        let stride = n.next_multiple_of(LANES);
        let mut bins = vec![B::default(); routes.slots() * stride];
        routes.bin(columns, rows, stride, &mut bins);
        // Output after output, each of all lanes.
        let mut sums = vec![0.0; outputs * stride];
        for (sums, &base) in sums.chunks_exact_mut(stride).zip(base) {
            sums.fill(base);
        }
        let mut leaves = vec![0u8; stride];
        let mut choices = vec![[0u8; LANES]; FEW];
        for tree in &self.trees {
            match &tree.way {
                Way::Constant => leaves.fill(0),
                Way::Up(up) => B::up(up, &bins, stride, &mut choices, &mut leaves),
                Way::Down(down) => {
                    walk(down, &bins, stride, tree, outputs, &mut sums);
                    continue;
                }
            }
            match tree.target {
                Target::One(k) => {
                    let sums = &mut sums[k as usize * stride..][..stride];
                    add(&tree.values, &leaves, sums);
                }
                Target::All => {
                    for (lane, &leaf) in leaves.iter().enumerate() {
                        let values = &tree.values[leaf as usize * outputs..][..outputs];
                        for (k, value) in values.iter().enumerate() {
                            sums[k * stride + lane] += value;
                        }
                    }
                }
            }
        }
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            for (k, out) in out.iter_mut().enumerate() {
                *out = sums[k * stride + row];
            }
        }
    }
}

fn ready(trees: &[Tree], at: usize, routes: &Routes, outputs: usize) -> Ready {
    let tree = &trees[at];
    let width = tree.width(outputs);
    let question = |node: usize| routes.question(at, node).unwrap_or_default();
    let mut values = Vec::new();
    let mut leaf_values = |value: u32| {
        let first = value as usize * width;
        values.extend(tree.values[first..first + width].iter().map(|v| v * tree.weight));
    };
    let leaves = tree.leaves();
    let way = if let [Node::Leaf { value, .. }] = tree.nodes[..] {
        leaf_values(value);
        Way::Constant
    } else if leaves <= FEW {
        // The number of a leaf or a choice, by node; choices from the last node to the first.
        let mut child = vec![Child::Leaf(0); tree.nodes.len()];
        let mut found = 0;
        for (i, node) in tree.nodes.iter().enumerate() {
            if let Node::Leaf { value, .. } = node {
                leaf_values(*value);
                child[i] = Child::Leaf(found as u8);
                found += 1;
            }
        }
        let mut up = Vec::with_capacity(leaves);
        for (i, node) in tree.nodes.iter().enumerate().rev() {
            if let Node::Split(split) = node {
                let (slot, cut) = question(i);
                child[i] = Child::Choice(up.len() as u8);
                let (left, right) = (child[split.left as usize], child[split.right as usize]);
                up.push(Choice { slot, cut, left, right });
            }
        }
        Way::Up(up)
    } else {
        let mut found = 0;
        let down = tree.nodes.iter().enumerate().map(|(i, node)| match node {
            Node::Split(split) => {
                let (slot, cut) = question(i);
                Step { slot, cut, left: split.left, right: split.right }
            }
            Node::Leaf { value, .. } => {
                leaf_values(*value);
                found += 1;
                Step { slot: 0, cut: found - 1, left: i as u32, right: i as u32 }
            }
        });
        Way::Down(down.collect())
    };
    if width == 1 && !matches!(way, Way::Down(_)) {
        // One of two sizes, whose index needs no check.
        values.resize(if values.len() <= SMALL { SMALL } else { FEW }, 0.0);
    }
    Ready { target: tree.target, values, way }
}

/// The smaller size of a table of leaves.
const SMALL: usize = 64;

/// Adds to each lane the value of its leaf.
fn add(values: &[f64], leaves: &[u8], sums: &mut [f64]) {
    if let Ok(values) = <&[f64; SMALL]>::try_from(values) {
        for (sum, &leaf) in sums.iter_mut().zip(leaves) {
            *sum += values[leaf as usize % SMALL];
        }
    } else if let Ok(values) = <&[f64; FEW]>::try_from(values) {
        for (sum, &leaf) in sums.iter_mut().zip(leaves) {
            *sum += values[leaf as usize];
        }
    }
}

/// Rows that are on their way down at once.
const WALKERS: usize = 8;

/// Walks all rows from the root to their leaves, some at once, and adds what stands there.
fn walk<B: Bin>(
    down: &[Step],
    bins: &[B],
    stride: usize,
    tree: &Ready,
    outputs: usize,
    sums: &mut [f64],
) {
    for first in (0..stride).step_by(WALKERS) {
        let mut at = [0u32; WALKERS];
        loop {
            let mut on_the_way = false;
            for (lane, at) in at.iter_mut().enumerate() {
                let step = down[*at as usize];
                let bin = bins[step.slot as usize * stride + first + lane];
                let next = if bin < B::of(step.cut) { step.left } else { step.right };
                on_the_way |= next != *at;
                *at = next;
            }
            if !on_the_way {
                break;
            }
        }
        for (lane, at) in at.iter().enumerate() {
            let leaf = down[*at as usize].cut as usize;
            match tree.target {
                Target::One(k) => sums[k as usize * stride + first + lane] += tree.values[leaf],
                Target::All => {
                    let values = &tree.values[leaf * outputs..][..outputs];
                    for (k, value) in values.iter().enumerate() {
                        sums[k * stride + first + lane] += value;
                    }
                }
            }
        }
    }
}

/// Bins that are compared in lanes.
trait Lanes: Bin {
    /// The leaf of every row of a tile.
    fn up(
        up: &[Choice],
        bins: &[Self],
        stride: usize,
        choices: &mut [[u8; LANES]],
        leaves: &mut [u8],
    );
}

macro_rules! lanes {
    ($($type:ty, $up:ident);*) => {$(
        impl Lanes for $type {
            fn up(
                up: &[Choice],
                bins: &[Self],
                stride: usize,
                choices: &mut [[u8; LANES]],
                leaves: &mut [u8],
            ) {
                $up(up, bins, stride, choices, leaves);
            }
        }

        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        fn $up(
            up: &[Choice],
            bins: &[$type],
            stride: usize,
            choices: &mut [[u8; LANES]],
            leaves: &mut [u8],
        ) {
            up_here(up, bins, stride, choices, leaves);
        }
    )*};
}
lanes!(u8, up_u8; u16, up_u16; u32, up_u32);

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn up_here<B: Bin>(
    up: &[Choice],
    bins: &[B],
    stride: usize,
    choices: &mut [[u8; LANES]],
    leaves: &mut [u8],
) {
    for (block, leaves) in leaves.chunks_exact_mut(LANES).enumerate() {
        for (i, choice) in up.iter().enumerate() {
            let first = choice.slot as usize * stride + block * LANES;
            let Ok(bins) = <&[B; LANES]>::try_from(&bins[first..first + LANES]) else { return };
            let cut = B::of(choice.cut);
            let (done, rest) = choices.split_at_mut(i);
            let out = &mut rest[0];
            match (choice.left, choice.right) {
                (Child::Leaf(l), Child::Leaf(r)) => pick(bins, cut, [l; LANES], [r; LANES], out),
                (Child::Leaf(l), Child::Choice(r)) => {
                    pick(bins, cut, [l; LANES], done[r as usize], out);
                }
                (Child::Choice(l), Child::Leaf(r)) => {
                    pick(bins, cut, done[l as usize], [r; LANES], out);
                }
                (Child::Choice(l), Child::Choice(r)) => {
                    pick(bins, cut, done[l as usize], done[r as usize], out);
                }
            }
        }
        // The root is the last that was answered.
        if let Some(root) = up.len().checked_sub(1) {
            leaves.copy_from_slice(&choices[root]);
        }
    }
}

/// What is left where the bin is below the cut. Masks, since of a choice between two places in
/// memory the compiler would make a branch.
#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn pick<B: Bin>(
    bins: &[B; LANES],
    cut: B,
    left: [u8; LANES],
    right: [u8; LANES],
    out: &mut [u8; LANES],
) {
    for lane in 0..LANES {
        let mask = u8::from(bins[lane] < cut).wrapping_neg();
        out[lane] = (left[lane] & mask) | (right[lane] & !mask);
    }
}
