//! Trees in units: pieces of a tree in which a few bits of a row decide on all that it gets.
//!
//! The bits of a unit are, for every feature that the path to it asks, whether the row satisfies
//! all of the path's edges of that feature, and for every split within it whether the row goes
//! left. A row's attributions from the unit's leaves depend on nothing but these bits and on how
//! many background rows have which, so that a table of them can be made once.

use std::collections::HashMap;

use multiversion::multiversion;

use super::kernel::{Bins, ask};
use super::legendre::{QuadratureNode, gauss_legendre};
use super::program::{Outline, Places, Test};

/// The most bits of a unit of several leaves.
pub(super) const UNIT_BITS: usize = 8;
/// The most bits of a table; leaves of more distinct features keep lists.
pub(super) const TABLE_BITS: usize = 12;
/// Rows whose masks are made at once.
pub(super) const GROUP: usize = 64;

/// A split's answer.
#[derive(Clone, Copy, Debug)]
struct Edge {
    split: u32,
    left: bool,
}

/// A bit: whether all these answers are so.
type Bit = Vec<Edge>;

/// The splits of a unit on the way to a node of it: their bits, whether left, their features.
type Way = Vec<(u16, bool, u32)>;

/// A leaf of a unit.
#[derive(Clone, Debug)]
struct Leaf {
    value: f64,
    /// For each distinct feature of its path the place in the unit's features, and the bits of the
    /// unit that must be set and those that must not.
    features: Vec<(usize, u16, u16)>,
}

#[derive(Clone, Debug)]
struct Unit {
    bits: Vec<Bit>,
    /// The features, as places among those that are used.
    features: Vec<u32>,
    leaves: Vec<Leaf>,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    /// The weight of the background rows of each pattern; then the attributions of each.
    Table(Vec<f64>),
    /// The patterns of background rows with their weight, in the order of their first row.
    List { places: HashMap<Box<[u64]>, u32>, weights: Vec<f64> },
}

/// A tree of one output in units.
#[derive(Clone, Debug)]
pub(super) struct Units {
    tests: Vec<Test>,
    units: Vec<Unit>,
}

/// Where a thread keeps masks and patterns.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Split after split.
    masks: Vec<[u8; GROUP]>,
    /// Unit after unit.
    patterns: Vec<[u16; GROUP]>,
}

enum Walk {
    Enter(usize),
    Turn,
    Leave,
}

impl Units {
    /// Cuts a tree; leaves of more than `table_bits` distinct features keep lists.
    pub(super) fn new(outline: &Outline<'_>, places: Places<'_>, table_bits: usize) -> Self {
        Self::cut(outline, places, UNIT_BITS, table_bits.max(UNIT_BITS))
    }

    /// Cuts a tree into units of so many bits, if they have several leaves.
    fn cut(outline: &Outline<'_>, places: Places<'_>, unit_bits: usize, table_bits: usize) -> Self {
        let mut out = Self { tests: Vec::new(), units: Vec::new() };
        let sizes = outline.splits_below();
        // The way from the root, with the feature that each edge asks.
        let mut path: Vec<(Edge, u32)> = Vec::new();
        let mut walk = vec![Walk::Enter(0)];
        while let Some(step) = walk.pop() {
            match step {
                Walk::Enter(at) => {
                    let mut distinct: Vec<u32> = Vec::new();
                    for (_, feature) in &path {
                        if !distinct.contains(feature) {
                            distinct.push(*feature);
                        }
                    }
                    let small = distinct.len() + sizes[at] as usize <= unit_bits;
                    match outline.split(at) {
                        Some(split) if !small => {
                            let number = out.tests.len() as u32;
                            out.tests.push(places.test(at));
                            path.push((Edge { split: number, left: true }, places.feature(split)));
                            walk.push(Walk::Leave);
                            walk.push(Walk::Enter(split.right as usize));
                            walk.push(Walk::Turn);
                            walk.push(Walk::Enter(split.left as usize));
                        }
                        _ => out.add(outline, places, at, &path, distinct, table_bits),
                    }
                }
                Walk::Turn => {
                    if let Some((edge, _)) = path.last_mut() {
                        edge.left = false;
                    }
                }
                Walk::Leave => drop(path.pop()),
            }
        }
        out
    }

    /// Adds the unit below a node.
    fn add(
        &mut self,
        outline: &Outline<'_>,
        places: Places<'_>,
        at: usize,
        path: &[(Edge, u32)],
        distinct: Vec<u32>,
        table_bits: usize,
    ) {
        let bit_of = |feature: u32| -> Bit {
            path.iter().filter(|(_, f)| *f == feature).map(|(edge, _)| *edge).collect()
        };
        let mut bits: Vec<Bit> = distinct.iter().map(|f| bit_of(*f)).collect();
        let above = distinct.len();
        let mut features = distinct;
        let mut leaves = Vec::new();
        // Within a unit of several leaves there are at most `UNIT_BITS` splits on a way.
        let mut open: Vec<(usize, Way)> = vec![(at, Vec::new())];
        while let Some((at, way)) = open.pop() {
            if let Some(split) = outline.split(at) {
                let feature = places.feature(split);
                let number = self.tests.len() as u32;
                self.tests.push(places.test(at));
                let bit = bits.len() as u16;
                bits.push(vec![Edge { split: number, left: true }]);
                for (child, left) in [(split.right, false), (split.left, true)] {
                    let mut way = way.clone();
                    way.push((bit, left, feature));
                    open.push((child as usize, way));
                }
                if !features.contains(&feature) {
                    features.push(feature);
                }
                continue;
            }
            let mut asked: Vec<(usize, u16, u16)> = Vec::new();
            if bits.len() <= TABLE_BITS {
                asked.extend((0..above).map(|j| (j, 1 << j, 0)));
            }
            for (bit, left, feature) in way {
                let place = features.iter().position(|f| *f == feature).unwrap_or_default();
                let (set, clear) = if left { (1 << bit, 0) } else { (0, 1 << bit) };
                match asked.iter_mut().find(|(p, ..)| *p == place) {
                    Some(known) => (known.1, known.2) = (known.1 | set, known.2 | clear),
                    None => asked.push((place, set, clear)),
                }
            }
            leaves.push(Leaf { value: outline.value(at).unwrap_or_default(), features: asked });
        }
        let kept = if bits.len() <= table_bits {
            Kept::Table(vec![0.0; 1 << bits.len()])
        } else {
            Kept::List { places: HashMap::new(), weights: Vec::new() }
        };
        self.units.push(Unit { bits, features, leaves, kept });
    }

    /// What the finished tables take, in bytes, of this tree.
    pub(super) fn table_bytes(&self) -> usize {
        let of = |unit: &Unit| match unit.kept {
            Kept::Table(_) => (8usize << unit.bits.len()) * unit.features.len().max(1),
            Kept::List { .. } => 0,
        };
        self.units.iter().map(of).sum()
    }

    /// What the lists take, in bytes.
    pub(super) fn list_bytes(&self) -> usize {
        let of = |unit: &Unit| match &unit.kept {
            Kept::List { weights, .. } => weights.len() * (unit.bits.len().div_ceil(64) * 8 + 40),
            Kept::Table(_) => 0,
        };
        self.units.iter().map(of).sum()
    }

    /// Counts background rows.
    pub(super) fn count(
        &mut self,
        bins: Bins<'_>,
        rows: usize,
        weight: impl Fn(usize) -> f64,
        scratch: &mut Scratch,
    ) {
        for first in (0..rows).step_by(GROUP) {
            self.patterns(bins, first, scratch);
            let here = GROUP.min(rows - first);
            for (unit, patterns) in self.units.iter_mut().zip(&scratch.patterns) {
                match &mut unit.kept {
                    Kept::Table(table) => {
                        for (lane, &pattern) in patterns[..here].iter().enumerate() {
                            table[usize::from(pattern)] += weight(first + lane);
                        }
                    }
                    Kept::List { places, weights } => {
                        for lane in 0..here {
                            let pattern = words(&unit.bits, &scratch.masks, lane);
                            let new = weights.len() as u32;
                            let place = *places.entry(pattern).or_insert(new);
                            if place == new {
                                weights.push(0.0);
                            }
                            weights[place as usize] += weight(first + lane);
                        }
                    }
                }
            }
        }
    }

    /// Makes tables of counts; the mean over the background of what the tree says.
    pub(super) fn finish(&mut self, total: f64) -> f64 {
        self.units.iter_mut().fold(0.0, |mean, unit| mean + unit.finish(total))
    }

    /// Adds what the tree gives to the attributions of a group of rows, row after row.
    pub(super) fn explain(
        &self,
        bins: Bins<'_>,
        first: usize,
        scratch: &mut Scratch,
        phi: &mut [f64],
        used: usize,
    ) {
        self.patterns(bins, first, scratch);
        for (lane, phi) in phi.chunks_exact_mut(used).enumerate() {
            for (unit, patterns) in self.units.iter().zip(&scratch.patterns) {
                let n = unit.features.len();
                if let Kept::Table(table) = &unit.kept {
                    let from = usize::from(patterns[lane % GROUP]) * n;
                    for (&feature, value) in unit.features.iter().zip(&table[from..from + n]) {
                        phi[feature as usize] += value;
                    }
                }
            }
        }
        // Rows of one pattern get the same.
        for unit in &self.units {
            let Kept::List { places, weights } = &unit.kept else { continue };
            let mut known: HashMap<Box<[u64]>, Vec<f64>> = HashMap::new();
            for (lane, phi) in phi.chunks_exact_mut(used).enumerate() {
                let pattern = words(&unit.bits, &scratch.masks, lane);
                let worth = known
                    .entry(pattern)
                    .or_insert_with_key(|pattern| unit.of_list(pattern, places, weights));
                for (&feature, value) in unit.features.iter().zip(worth) {
                    phi[feature as usize] += *value;
                }
            }
        }
    }

    fn patterns(&self, bins: Bins<'_>, first: usize, scratch: &mut Scratch) {
        scratch.masks.resize(self.tests.len(), [0; GROUP]);
        scratch.patterns.resize(self.units.len(), [0; GROUP]);
        answers(&self.tests, bins, first, &mut scratch.masks);
        for (unit, pattern) in self.units.iter().zip(&mut scratch.patterns) {
            if matches!(unit.kept, Kept::Table(_)) {
                gather(&unit.bits, &scratch.masks, pattern);
            }
        }
    }
}

impl Unit {
    /// The attributions of every pattern, of each feature; the mean over the background.
    fn finish(&mut self, total: f64) -> f64 {
        let n = self.features.len();
        match &mut self.kept {
            Kept::Table(table) => {
                let counts = std::mem::take(table);
                table.resize(counts.len() * n, 0.0);
                let mut mean = 0.0;
                for leaf in &self.leaves {
                    let d = leaf.features.len();
                    let of = |pattern: usize| -> usize {
                        let p = pattern as u16;
                        let satisfied =
                            |&(_, set, clear): &(usize, u16, u16)| p & set == set && p & clear == 0;
                        let bits = leaf.features.iter().enumerate();
                        bits.map(|(j, f)| usize::from(satisfied(f)) << j).sum()
                    };
                    let of: Vec<usize> = (0..counts.len()).map(of).collect();
                    let mut shares = vec![0.0; 1 << d];
                    for (&of, count) in of.iter().zip(&counts) {
                        shares[of] += count / total;
                    }
                    mean += leaf.value * shares[shares.len() - 1];
                    let worth = leaf_table(&shares, d, &gauss_legendre(d.div_ceil(2)));
                    for (&of, table) in of.iter().zip(table.chunks_exact_mut(n.max(1))) {
                        let worth = &worth[of * d..(of + 1) * d];
                        for (worth, (place, ..)) in worth.iter().zip(&leaf.features) {
                            table[*place] += leaf.value * worth;
                        }
                    }
                }
                mean
            }
            Kept::List { places, weights } => {
                let value = self.leaves.first().map_or(0.0, |leaf| leaf.value);
                let all = all_of(self.bits.len());
                for weight in weights.iter_mut() {
                    *weight *= value / total;
                }
                places.get(&all).map_or(0.0, |place| weights[*place as usize])
            }
        }
    }

    /// What a row with this pattern gets from a leaf, by the definition for each background
    /// pattern: where e features are satisfied by the row alone and r by the background alone,
    /// `(e−1)! r! / (e+r)!` for the first, `−e! (r−1)! / (e+r)!` for the others.
    fn of_list(&self, row: &[u64], places: &HashMap<Box<[u64]>, u32>, weights: &[f64]) -> Vec<f64> {
        let d = self.bits.len();
        let all = all_of(d);
        // In the order of their first rows, not in that of a hash map.
        let mut patterns: Vec<(&u32, &[u64])> = places.iter().map(|(p, at)| (at, &**p)).collect();
        patterns.sort_unstable_by_key(|(at, _)| **at);
        let mut phi = vec![0.0; d];
        for (at, background) in patterns {
            let mut pairs = row.iter().zip(background).zip(&all);
            if pairs.any(|((x, b), all)| x | b != *all) {
                continue;
            }
            let count = |f: fn(u64, u64) -> u64| -> u32 {
                row.iter().zip(background).map(|(x, b)| f(*x, *b).count_ones()).sum()
            };
            let (e, r) = (count(|x, b| x & !b), count(|x, b| b & !x));
            let (of_row, of_background) = (first_of(e, r), first_of(r, e));
            let weight = weights[*at as usize];
            for (j, phi) in phi.iter_mut().enumerate() {
                let (word, bit) = (j / 64, j % 64);
                let (x, b) = (row[word] >> bit & 1, background[word] >> bit & 1);
                if x > b {
                    *phi += weight * of_row;
                } else if b > x {
                    *phi -= weight * of_background;
                }
            }
        }
        phi
    }
}

/// `(e−1)! r! / (e+r)! = 1 / (e · C(e + r, e))`; 0 for no e.
fn first_of(e: u32, r: u32) -> f64 {
    if e == 0 {
        return 0.0;
    }
    let k = e.min(r);
    let choose = (0..k).fold(1.0, |c, i| c * f64::from(e + r - i) / f64::from(i + 1));
    1.0 / (f64::from(e) * choose)
}

/// The pattern of all bits.
fn all_of(bits: usize) -> Box<[u64]> {
    (0..bits.div_ceil(64))
        .map(|word| match bits - word * 64 {
            64.. => u64::MAX,
            rest => (1 << rest) - 1,
        })
        .collect()
}

/// The pattern of a row in as many words as it needs.
fn words(bits: &[Bit], masks: &[[u8; GROUP]], lane: usize) -> Box<[u64]> {
    let mut words = vec![0u64; bits.len().div_ceil(64)];
    for (j, bit) in bits.iter().enumerate() {
        let is_set = bit.iter().all(|edge| (masks[edge.split as usize][lane] != 0) == edge.left);
        words[j / 64] |= u64::from(is_set) << (j % 64);
    }
    words.into()
}

/// What a leaf of value 1 gives to each of its d features, by the pattern of the row, shape
/// `(2ᵈ, d)`; `shares` are those of the background rows by their pattern.
///
/// For a quadrature node t, a feature that both satisfy has the factor 1, that only the row
/// satisfies t, only the background 1 − t, neither 0: their product over features, summed over
/// the background, is a Kronecker product applied to the shares. For the feature itself the factor
/// is 1, −1 or 0 instead, by the node's derivative.
fn leaf_table(shares: &[f64], d: usize, nodes: &[QuadratureNode]) -> Vec<f64> {
    let mut table = vec![0.0; shares.len() * d];
    let mut product = vec![0.0; shares.len()];
    for node in nodes {
        product.copy_from_slice(shares);
        for j in 0..d {
            for pair in product.chunks_exact_mut(2 << j) {
                let (without, with) = pair.split_at_mut(1 << j);
                for (without, with) in without.iter_mut().zip(with) {
                    (*without, *with) = ((1.0 - node.t) * *with, node.t * *without + *with);
                }
            }
        }
        let (t, rest) = (node.t, 1.0 - node.t);
        for (pattern, table) in table.chunks_exact_mut(d.max(1)).enumerate() {
            for (j, table) in table.iter_mut().enumerate() {
                // Without the feature the product is that of the background that has it.
                let having = product[pattern & !(1 << j)] / rest;
                let worth =
                    if pattern >> j & 1 == 1 { (product[pattern] - having) / t } else { -having };
                *table += node.weight * worth;
            }
        }
    }
    table
}

#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn answers(tests: &[Test], bins: Bins<'_>, first: usize, masks: &mut [[u8; GROUP]]) {
    for (test, mask) in tests.iter().zip(masks) {
        *mask = ask(*test, bins, first).0;
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn gather(bits: &[Bit], masks: &[[u8; GROUP]], pattern: &mut [u16; GROUP]) {
    let mut all = [0u16; GROUP];
    for (j, bit) in bits.iter().enumerate() {
        let mut is_set = [u8::MAX; GROUP];
        for edge in bit {
            let flip = if edge.left { 0 } else { u8::MAX };
            for (is_set, mask) in is_set.iter_mut().zip(&masks[edge.split as usize]) {
                *is_set &= mask ^ flip;
            }
        }
        let value = 1u16 << (j % 16);
        for (all, is_set) in all.iter_mut().zip(&is_set) {
            *all |= if *is_set == 0 { 0 } else { value };
        }
    }
    *pattern = all;
}

/// A tree of one output as leaves by themselves, of at most 64 distinct features each.
#[derive(Clone, Debug)]
pub(super) struct Leaves(Units);

impl Leaves {
    pub(super) fn new(outline: &Outline<'_>, places: Places<'_>) -> Self {
        Self(Units::cut(outline, places, 0, 0))
    }

    /// The features that each row satisfies, leaf after leaf and in a leaf row after row.
    pub(super) fn patterns(&self, bins: Bins<'_>, rows: usize, scratch: &mut Scratch) -> Vec<u64> {
        let mut patterns = vec![0; self.0.units.len() * rows];
        for first in (0..rows).step_by(GROUP) {
            self.0.patterns(bins, first, scratch);
            for (at, unit) in self.0.units.iter().enumerate() {
                for lane in 0..GROUP.min(rows - first) {
                    let words = words(&unit.bits, &scratch.masks, lane);
                    patterns[at * rows + first + lane] = words.first().copied().unwrap_or_default();
                }
            }
        }
        patterns
    }

    /// Adds for every pair of a row and a background row what the leaves give to the row's
    /// features, by the pair's scale, shape `(n_rows, n_background)`.
    pub(super) fn explain(
        &self,
        rows: &[u64],
        background: &[u64],
        scales: &[f64],
        phi: &mut [f64],
        used: usize,
    ) {
        let leaves = self.0.units.len().max(1);
        let (n, m) = (rows.len() / leaves, background.len() / leaves);
        for (leaf, unit) in self.0.units.iter().enumerate() {
            let value = unit.leaves.first().map_or(0.0, |leaf| leaf.value);
            let all = all_of(unit.bits.len()).first().copied().unwrap_or_default();
            for (row, &x) in rows[leaf * n..(leaf + 1) * n].iter().enumerate() {
                let others = &background[leaf * m..(leaf + 1) * m];
                for (&b, scale) in others.iter().zip(&scales[row * m..(row + 1) * m]) {
                    if x | b != all || x == b {
                        continue;
                    }
                    let (own, other) = (x & !b, b & !x);
                    let (e, r) = (own.count_ones(), other.count_ones());
                    let (more, less) =
                        (value * scale * first_of(e, r), value * scale * first_of(r, e));
                    for (j, &feature) in unit.features.iter().enumerate() {
                        let cell = &mut phi[row * used + feature as usize];
                        if own >> j & 1 == 1 {
                            *cell += more;
                        } else if other >> j & 1 == 1 {
                            *cell -= less;
                        }
                    }
                }
            }
        }
    }
}
