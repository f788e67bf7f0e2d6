//! Trees in units: pieces of a tree in which a few bits of a row decide on all that it gets.
//!
//! The bits of a unit are, for every feature that the path to it asks, whether the row satisfies
//! all of the path's edges of that feature, and for every split within it whether the row goes
//! left. A row's attributions from the unit's leaves depend on nothing but these bits and on how
//! many background rows have which, so that a table of them can be made once.

use std::collections::{BTreeSet, HashMap};

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

/// Bits, each of which says whether all of some answers are so.
#[derive(Clone, Debug, Default)]
struct Bits {
    /// Bit after bit; a leaf may have thousands, so they stand together.
    edges: Vec<Edge>,
    ends: Vec<u32>,
}

impl Bits {
    /// A bit for each of so many features of a path, given with their number from 1.
    fn of_path(path: &[(Edge, u32)], seats: &[u32], features: usize) -> Self {
        let mut ends = vec![0; features];
        let seat = |feature: u32| seats[feature as usize] as usize - 1;
        for (_, feature) in path {
            ends[seat(*feature)] += 1;
        }
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        let mut edges = vec![Edge { split: 0, left: false }; path.len()];
        for (edge, feature) in path {
            let at = &mut ends[seat(*feature)];
            edges[*at as usize] = *edge;
            // Each start moves on to its end.
            *at += 1;
        }
        Self { edges, ends }
    }

    fn push(&mut self, edge: Edge) {
        self.edges.push(edge);
        self.ends.push(self.edges.len() as u32);
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = &[Edge]> {
        let mut start = 0;
        self.ends
            .iter()
            .map(move |&end| &self.edges[std::mem::replace(&mut start, end) as usize..end as usize])
    }
}

/// The splits of a unit on the way to a node of it: their bits, whether left, their features.
type Way = Vec<(u16, bool, u32)>;

/// A leaf of a unit.
#[derive(Clone, Debug)]
struct Leaf {
    value: f64,
    /// How many distinct features its path asks.
    distinct: usize,
    /// For each of them the place in the unit's features, and the bits of the unit that must be set
    /// and those that must not; nothing for a leaf that is too deep for a table.
    features: Vec<(usize, u16, u16)>,
}

#[derive(Clone, Debug)]
struct Unit {
    bits: Bits,
    /// The features, as places among those that are used.
    features: Vec<u32>,
    /// The pairs of features that meet in a leaf, as places in `features`, and where they stand
    /// among all pairs, behind the features; none where only features are asked for.
    pairs: Vec<(Pair, u32)>,
    leaves: Vec<Leaf>,
    kept: Kept,
}

/// Two places in ascending order.
type Pair = (usize, usize);

#[derive(Clone, Debug)]
enum Kept {
    /// The weight of the background rows of each pattern.
    Counts(Vec<f64>),
    /// Of each pattern what it is worth to features and pairs.
    Table(Vec<f64>),
    /// The weight of the background rows of each pattern that is there.
    Seen(HashMap<Box<[u64]>, f64>),
    /// The patterns that are there, ascending, each with its share of the background by the value
    /// of the leaf.
    List(Vec<(Box<[u64]>, f64)>),
}

impl Kept {
    fn is_table(&self) -> bool {
        matches!(self, Self::Counts(_) | Self::Table(_))
    }
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
        Self::cut(outline, places, UNIT_BITS.min(table_bits), table_bits)
    }

    /// Cuts a tree into units of so many bits, if they have several leaves.
    fn cut(outline: &Outline<'_>, places: Places<'_>, unit_bits: usize, table_bits: usize) -> Self {
        let mut out = Self { tests: Vec::new(), units: Vec::new() };
        let sizes = outline.splits_below();
        // Of each feature of a path its number there, from 1; else 0.
        let mut seats = vec![0; places.used.len()];
        // The way from the root, with the feature that each edge asks.
        let mut path: Vec<(Edge, u32)> = Vec::new();
        let mut walk = vec![Walk::Enter(0)];
        while let Some(step) = walk.pop() {
            match step {
                Walk::Enter(at) => {
                    let mut distinct: Vec<u32> = Vec::new();
                    for (_, feature) in &path {
                        let seat = &mut seats[*feature as usize];
                        if *seat == 0 {
                            distinct.push(*feature);
                            *seat = distinct.len() as u32;
                        }
                    }
                    let bits = Bits::of_path(&path, &seats, distinct.len());
                    for feature in &distinct {
                        seats[*feature as usize] = 0;
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
                        _ => out.add(outline, places, at, bits, distinct, table_bits),
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
        mut bits: Bits,
        distinct: Vec<u32>,
        table_bits: usize,
    ) {
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
                bits.push(Edge { split: number, left: true });
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
            let distinct = asked.len().max(above);
            let value = outline.value(at).unwrap_or_default();
            leaves.push(Leaf { value, distinct, features: asked });
        }
        let kept = if bits.len() <= table_bits {
            Kept::Counts(vec![0.0; 1 << bits.len()])
        } else {
            Kept::Seen(HashMap::new())
        };
        self.units.push(Unit { bits, features, pairs: Vec::new(), leaves, kept });
    }

    /// At most so many pairs of features meet in leaves.
    pub(super) fn most_pairs(&self) -> usize {
        let leaves = self.units.iter().flat_map(|unit| &unit.leaves);
        leaves.map(|leaf| leaf.distinct * leaf.distinct.saturating_sub(1) / 2).sum()
    }

    /// Asks for pairs of features, too: those that meet in a leaf are added to `all`.
    pub(super) fn add_pairs(&mut self, all: &mut BTreeSet<(u32, u32)>) {
        for unit in &mut self.units {
            let mut pairs = BTreeSet::new();
            for leaf in &unit.leaves {
                let places = leaf.places();
                for (at, &a) in places.iter().enumerate() {
                    pairs.extend(places[at + 1..].iter().map(|&b| (a.min(b), a.max(b))));
                }
            }
            all.extend(pairs.iter().map(|&pair| unit.used(pair)));
            unit.pairs = pairs.into_iter().map(|pair| (pair, 0)).collect();
        }
    }

    /// Gives pairs their places: behind as many features as are `used`, in the order of `all`.
    pub(super) fn number_pairs(&mut self, all: &[(u32, u32)], used: usize) {
        for unit in &mut self.units {
            for at in 0..unit.pairs.len() {
                let pair = unit.used(unit.pairs[at].0);
                let place = all.binary_search(&pair).unwrap_or_default();
                unit.pairs[at].1 = (used + place) as u32;
            }
        }
    }

    /// What the finished tables take, in bytes, of this tree.
    pub(super) fn table_bytes(&self) -> usize {
        let of = |unit: &Unit| {
            if unit.kept.is_table() { (8usize << unit.bits.len()) * unit.width().max(1) } else { 0 }
        };
        self.units.iter().map(of).sum()
    }

    /// What the lists take, in bytes.
    pub(super) fn list_bytes(&self) -> usize {
        let of = |unit: &Unit| match &unit.kept {
            Kept::Seen(seen) => seen.len() * (unit.bits.len().div_ceil(64) * 8 + 40),
            _ => 0,
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
                    Kept::Counts(counts) => {
                        for (lane, &pattern) in patterns[..here].iter().enumerate() {
                            counts[usize::from(pattern)] += weight(first + lane);
                        }
                    }
                    Kept::Seen(seen) => {
                        for lane in 0..here {
                            let pattern = words(&unit.bits, &scratch.masks, lane);
                            *seen.entry(pattern).or_default() += weight(first + lane);
                        }
                    }
                    Kept::Table(_) | Kept::List(_) => {}
                }
            }
        }
    }

    /// Makes tables of counts; the mean over the background of what the tree says.
    pub(super) fn finish(&mut self, total: f64) -> f64 {
        self.units.iter_mut().fold(0.0, |mean, unit| mean + unit.finish(total))
    }

    /// Adds what the tree gives to a group of rows, row after row, `width` places to each: the used
    /// features and behind them the pairs.
    pub(super) fn explain(
        &self,
        bins: Bins<'_>,
        first: usize,
        scratch: &mut Scratch,
        phi: &mut [f64],
        width: usize,
    ) {
        self.patterns(bins, first, scratch);
        for (lane, phi) in phi.chunks_exact_mut(width).enumerate() {
            for (unit, patterns) in self.units.iter().zip(&scratch.patterns) {
                if let Kept::Table(table) = &unit.kept {
                    let from = usize::from(patterns[lane % GROUP]) * unit.width();
                    unit.add(&table[from..from + unit.width()], phi);
                }
            }
        }
        // Rows of one pattern get the same.
        for unit in &self.units {
            let Kept::List(list) = &unit.kept else { continue };
            let mut known: HashMap<Box<[u64]>, Vec<f64>> = HashMap::new();
            for (lane, phi) in phi.chunks_exact_mut(width).enumerate() {
                let pattern = words(&unit.bits, &scratch.masks, lane);
                let worth =
                    known.entry(pattern).or_insert_with_key(|pattern| unit.of_list(pattern, list));
                unit.add(worth, phi);
            }
        }
    }

    fn patterns(&self, bins: Bins<'_>, first: usize, scratch: &mut Scratch) {
        scratch.masks.resize(self.tests.len(), [0; GROUP]);
        scratch.patterns.resize(self.units.len(), [0; GROUP]);
        answers(&self.tests, bins, first, &mut scratch.masks);
        for (unit, pattern) in self.units.iter().zip(&mut scratch.patterns) {
            if unit.kept.is_table() {
                gather(&unit.bits, &scratch.masks, pattern);
            }
        }
    }
}

impl Unit {
    /// How many numbers a pattern is worth.
    fn width(&self) -> usize {
        self.features.len() + self.pairs.len()
    }

    /// A pair's features among those that are used, in ascending order.
    fn used(&self, (a, b): Pair) -> (u32, u32) {
        let (a, b) = (self.features[a], self.features[b]);
        (a.min(b), a.max(b))
    }

    /// Adds what a pattern is worth to the places of a row.
    #[inline]
    fn add(&self, worth: &[f64], phi: &mut [f64]) {
        let (of_features, of_pairs) = worth.split_at(self.features.len());
        for (&feature, value) in self.features.iter().zip(of_features) {
            phi[feature as usize] += value;
        }
        for (&(_, place), value) in self.pairs.iter().zip(of_pairs) {
            phi[place as usize] += value;
        }
    }

    /// Makes a table of counts, a list of what was seen; the mean over the background.
    fn finish(&mut self, total: f64) -> f64 {
        match std::mem::replace(&mut self.kept, Kept::List(Vec::new())) {
            Kept::Counts(counts) => {
                let mut table = vec![0.0; counts.len() * self.width()];
                let mut mean = 0.0;
                for leaf in &self.leaves {
                    mean += self.add_leaf(leaf, &counts, total, &mut table);
                }
                self.kept = Kept::Table(table);
                mean
            }
            Kept::Seen(seen) => {
                let value = self.leaves.first().map_or(0.0, |leaf| leaf.value);
                let mut list: Vec<_> =
                    seen.into_iter().map(|(pattern, n)| (pattern, n * value / total)).collect();
                // Not in the order of a hash map, nor of the rows.
                list.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                let all = all_of(self.bits.len());
                let mean = list.binary_search_by(|(pattern, _)| pattern.cmp(&all));
                let mean = mean.map_or(0.0, |at| list[at].1);
                self.kept = Kept::List(list);
                mean
            }
            kept => {
                self.kept = kept;
                0.0
            }
        }
    }

    /// Adds a leaf to the table; its mean over the background.
    fn add_leaf(&self, leaf: &Leaf, counts: &[f64], total: f64, table: &mut [f64]) -> f64 {
        let (n, width, d) = (self.features.len(), self.width().max(1), leaf.features.len());
        let of = |pattern: usize| -> usize {
            let p = pattern as u16;
            let satisfied = |&(_, set, clear): &(usize, u16, u16)| p & set == set && p & clear == 0;
            leaf.features.iter().enumerate().map(|(j, f)| usize::from(satisfied(f)) << j).sum()
        };
        let of: Vec<usize> = (0..counts.len()).map(of).collect();
        let mut shares = vec![0.0; 1 << d];
        for (&of, count) in of.iter().zip(counts) {
            shares[of] += count / total;
        }
        let worth = leaf_table(&shares, d, &gauss_legendre(d.div_ceil(2)));
        for (&of, table) in of.iter().zip(table.chunks_exact_mut(width)) {
            let worth = &worth[of * d..(of + 1) * d];
            for (worth, (place, ..)) in worth.iter().zip(&leaf.features) {
                table[*place] += leaf.value * worth;
            }
        }
        if self.pairs.is_empty() {
            return leaf.value * shares[shares.len() - 1];
        }
        let worth = pair_table(&shares, d, &gauss_legendre(d / 2));
        let pairs = d * d.saturating_sub(1) / 2;
        let places = leaf.places();
        for ((i, j), at) in pairs_of(d).zip(0..) {
            let (a, b) = (places[i], places[j]);
            let Ok(pair) = self.pairs.binary_search_by_key(&(a.min(b), a.max(b)), |(p, _)| *p)
            else {
                continue;
            };
            for (&of, table) in of.iter().zip(table.chunks_exact_mut(width)) {
                let both = leaf.value * worth[of * pairs + at];
                // What they share is not their own.
                table[n + pair] += both;
                table[a] -= both;
                table[b] -= both;
            }
        }
        leaf.value * shares[shares.len() - 1]
    }

    /// What a row with this pattern gets from a leaf, by the definition for each background
    /// pattern: where e features are satisfied by the row alone and r by the background alone,
    /// `(e−1)! r! / (e+r)!` for the first, `−e! (r−1)! / (e+r)!` for the others. Pairs get half of
    /// `(e−2)! r! / (e+r−1)!` where both are of the first kind, `e! (r−2)! / (e+r−1)!` where both
    /// are of the other, and `−(e−1)! (r−1)! / (e+r−1)!` where they differ.
    fn of_list(&self, row: &[u64], list: &[(Box<[u64]>, f64)]) -> Vec<f64> {
        let d = self.bits.len();
        let all = all_of(d);
        let mut worth = vec![0.0; self.width()];
        for (background, weight) in list {
            let mut words = row.iter().zip(background).zip(&all);
            if words.any(|((x, b), all)| x | b != *all) {
                continue;
            }
            let count = |f: fn(u64, u64) -> u64| -> u32 {
                row.iter().zip(background).map(|(x, b)| f(*x, *b).count_ones()).sum()
            };
            let (e, r) = (count(|x, b| x & !b), count(|x, b| b & !x));
            let (of_row, of_background) = (weight * first_of(e, r), -weight * first_of(r, e));
            let is_of_row = |j: usize| {
                let (word, bit) = (j / 64, j % 64);
                let (x, b) = (row[word] >> bit & 1, background[word] >> bit & 1);
                (x != b).then_some(x > b)
            };
            for (j, worth) in worth[..d].iter_mut().enumerate() {
                *worth += match is_of_row(j) {
                    Some(true) => of_row,
                    Some(false) => of_background,
                    None => 0.0,
                };
            }
            let both_of_row = 0.5 * weight * first_of(e.saturating_sub(1), r);
            let both_of_background = 0.5 * weight * first_of(r.saturating_sub(1), e);
            let of_each = -0.5 * weight * if r > 0 { first_of(e, r - 1) } else { 0.0 };
            for (at, &((i, j), _)) in self.pairs.iter().enumerate() {
                let both = match (is_of_row(i), is_of_row(j)) {
                    (Some(true), Some(true)) => both_of_row,
                    (Some(false), Some(false)) => both_of_background,
                    (Some(_), Some(_)) => of_each,
                    _ => continue,
                };
                worth[d + at] += both;
                worth[i] -= both;
                worth[j] -= both;
            }
        }
        worth
    }
}

impl Leaf {
    /// Where its features stand in the unit's.
    fn places(&self) -> Vec<usize> {
        if self.features.is_empty() {
            // Alone in its unit, whose features are its own.
            return (0..self.distinct).collect();
        }
        self.features.iter().map(|(place, ..)| *place).collect()
    }
}

/// The pairs of so many, in order.
fn pairs_of(d: usize) -> impl Iterator<Item = Pair> {
    (0..d).flat_map(move |i| (i + 1..d).map(move |j| (i, j)))
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
fn words(bits: &Bits, masks: &[[u8; GROUP]], lane: usize) -> Box<[u64]> {
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

/// What a leaf of value 1 gives to each pair of its d features, half of their interaction index, by
/// the pattern of the row, shape `(2ᵈ, d·(d − 1)/2)`.
///
/// As in [`leaf_table`], but of two features the derivative: 1 where only the row satisfies, −1
/// where only the background does. The pair itself stays as it is in the shares, where its bits are
/// those of the background.
fn pair_table(shares: &[f64], d: usize, nodes: &[QuadratureNode]) -> Vec<f64> {
    let pairs = d * d.saturating_sub(1) / 2;
    let mut table = vec![0.0; shares.len() * pairs];
    for node in nodes {
        let pass = |product: &mut [f64], feature: usize| {
            for pair in product.chunks_exact_mut(2 << feature) {
                let (without, with) = pair.split_at_mut(1 << feature);
                for (without, with) in without.iter_mut().zip(with) {
                    (*without, *with) = ((1.0 - node.t) * *with, node.t * *without + *with);
                }
            }
        };
        let mut at = 0;
        let mut before = shares.to_vec();
        for i in 0..d {
            let mut between = before.clone();
            for j in i + 1..d {
                let mut product = between.clone();
                (j + 1..d).for_each(|k| pass(&mut product, k));
                let both = 1 << i | 1 << j;
                for (pattern, table) in table.chunks_exact_mut(pairs).enumerate() {
                    let same = (pattern >> i ^ pattern >> j) & 1 == 0;
                    let worth = 0.5 * node.weight * product[pattern ^ both];
                    table[at] += if same { worth } else { -worth };
                }
                pass(&mut between, j);
                at += 1;
            }
            pass(&mut before, i);
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
fn gather(bits: &Bits, masks: &[[u8; GROUP]], pattern: &mut [u16; GROUP]) {
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
