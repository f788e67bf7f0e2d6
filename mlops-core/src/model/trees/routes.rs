//! Every question as `bin < cut`: what a row answers is decided by small integers, exactly.
//!
//! The thresholds that an ensemble asks of a feature cut the numbers into bins; a row is binned
//! once, and then no question looks at a float, knows whether it is of numbers or categories, or
//! what becomes of missing values. Where one feature's missing values go left in some splits and
//! right in others, the feature is binned twice; each kind of bin is a slot.

use std::collections::HashMap;
use std::fmt::Debug;
use std::ops::Range;

use arrow::array::Array;
use multiversion::multiversion;

use super::tree::category_of;
use super::{CategorySet, Columns, Feature, Node, Question, Side, Split, Tree};

/// An integer that bins are kept in: `u8`, `u16` or `u32`.
pub trait Bin: Copy + Ord + Default + Debug + Send + Sync + 'static {
    /// The integer's width.
    const WIDTH: BinWidth;
    /// The integer of a bin that fits its width.
    fn of(bin: u32) -> Self;
}

macro_rules! bin {
    ($($type:ty, $width:ident);*) => {$(
        impl Bin for $type {
            const WIDTH: BinWidth = BinWidth::$width;
            #[inline]
            fn of(bin: u32) -> Self {
                bin as Self
            }
        }
    )*};
}
bin!(u8, U8; u16, U16; u32, U32);

/// How wide integers must be to hold the bins of an ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BinWidth {
    /// Bins of at most 255: `u8`.
    U8,
    /// Of at most 65,535: `u16`.
    U16,
    /// `u32`.
    U32,
}

/// The questions of an ensemble as comparisons `bin[slot] < cut`, which mean left.
#[derive(Debug)]
pub struct Routes {
    slots: Vec<Slot>,
    /// Of tree `t`, the questions begin at `first[t]`.
    first: Vec<usize>,
    questions: Vec<(u32, u32)>,
    asked: Vec<bool>,
    width: BinWidth,
}

/// One way of binning a feature.
#[derive(Debug)]
struct Slot {
    feature: u32,
    bins: Bins,
}

#[derive(Debug)]
enum Bins {
    /// The bin of a number is how many thresholds are at most it.
    Numbers {
        /// Ascending, without +∞, filled up with NaN.
        thresholds: Vec<f64>,
        steps: u32,
        missing: u32,
        zero_is_missing: bool,
    },
    /// Bin 0 is left, bin 1 right.
    Set { members: Members, inside: u32, missing: u32, zero_is_missing: bool },
}

/// The categories of a set: as bits where that takes no more room.
#[derive(Debug)]
enum Members {
    Bits { first: u32, bits: Vec<u64> },
    List(Vec<u32>),
}

impl Members {
    fn of(set: &CategorySet) -> Self {
        let list = set.categories();
        let (Some(&first), Some(&last)) = (list.first(), list.last()) else {
            return Self::List(Vec::new());
        };
        let words = (last - first) as usize / 64 + 1;
        if words > 4 * list.len() + 4 {
            return Self::List(list.to_vec());
        }
        let mut bits = vec![0; words];
        for c in list {
            bits[((c - first) / 64) as usize] |= 1u64 << ((c - first) % 64);
        }
        Self::Bits { first, bits }
    }

    fn contains(&self, c: u32) -> bool {
        match self {
            Self::Bits { first, bits } => c.checked_sub(*first).is_some_and(|c| {
                bits.get((c / 64) as usize).is_some_and(|word| word >> (c % 64) & 1 == 1)
            }),
            Self::List(list) => list.binary_search(&c).is_ok(),
        }
    }
}

/// What makes two questions of numbers ask for the same bins.
type NumbersKey = (u32, bool, Side);

impl Routes {
    /// The questions of checked trees.
    pub(super) fn new(features: &[Feature], trees: &[Tree]) -> Self {
        let mut numbers: HashMap<NumbersKey, Vec<f64>> = HashMap::new();
        let mut asked = vec![false; features.len()];
        for split in trees.iter().flat_map(|t| &t.nodes).filter_map(split_of) {
            asked[split.feature as usize] = true;
            if let Question::Below(t) = split.question {
                let all = numbers.entry(key_of(split)).or_default();
                // What everybody is below is no edge; −0 and +0 are one.
                if t < f64::INFINITY {
                    all.push(t + 0.0);
                }
            }
        }
        // The same slots in the same order, whatever a hash map says.
        let mut keys: Vec<NumbersKey> = numbers.keys().copied().collect();
        keys.sort_unstable();
        let mut slots = Vec::new();
        let mut slot_of_numbers = HashMap::new();
        let mut greatest = 1;
        for key in keys {
            let mut edges = numbers.remove(&key).unwrap_or_default();
            edges.sort_unstable_by(f64::total_cmp);
            edges.dedup();
            greatest = greatest.max(edges.len() + 1);
            slot_of_numbers.insert(key, (slots.len() as u32, edges.clone()));
            let (feature, zero_is_missing, side) = key;
            // Right of all cuts, of which the last is one above the number of thresholds.
            let missing = if side == Side::Left { 0 } else { edges.len() as u32 + 1 };
            let steps = fill(&mut edges);
            let bins = Bins::Numbers { thresholds: edges, steps, missing, zero_is_missing };
            slots.push(Slot { feature, bins });
        }
        let mut sets: HashMap<(NumbersKey, &CategorySet), u32> = HashMap::new();
        let mut first = Vec::with_capacity(trees.len());
        let mut questions = Vec::with_capacity(trees.iter().map(|t| t.nodes.len()).sum());
        for tree in trees {
            first.push(questions.len());
            questions.extend(tree.nodes.iter().map(|node| {
                let Some(split) = split_of(node) else { return (0, 0) };
                match split.question {
                    Question::Below(t) => {
                        let (slot, edges) = &slot_of_numbers[&key_of(split)];
                        // The number of thresholds at most `t`, itself one of them.
                        (*slot, edges.partition_point(|&e| e < t) as u32 + 1)
                    }
                    Question::Among(set) => {
                        let set = &tree.sets[set as usize];
                        let slot = sets.entry((key_of(split), set)).or_insert_with(|| {
                            let bins = Bins::Set {
                                members: Members::of(set),
                                inside: u32::from(set.inside() == Side::Right),
                                missing: u32::from(split.missing == Side::Right),
                                zero_is_missing: split.zero_is_missing,
                            };
                            slots.push(Slot { feature: split.feature, bins });
                            slots.len() as u32 - 1
                        });
                        (*slot, 1)
                    }
                }
            }));
        }
        let width = match greatest {
            0..=255 => BinWidth::U8,
            256..=65_535 => BinWidth::U16,
            _ => BinWidth::U32,
        };
        Self { slots, first, questions, asked, width }
    }

    /// How wide integers must be to hold the bins.
    pub fn width(&self) -> BinWidth {
        self.width
    }

    /// How many slots a row has.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The feature of a slot.
    pub fn feature_of(&self, slot: usize) -> Option<u32> {
        self.slots.get(slot).map(|slot| slot.feature)
    }

    /// The slot and the cut of a split, which rows with `bin[slot] < cut` pass to the left; 0 and 0
    /// for a leaf. `None` for a tree or node that is not there.
    pub fn question(&self, tree: usize, node: usize) -> Option<(u32, u32)> {
        let first = *self.first.get(tree)?;
        let end = self.first.get(tree + 1).copied().unwrap_or(self.questions.len());
        self.questions.get(first..end)?.get(node).copied()
    }

    pub(super) fn asks_for(&self, feature: usize) -> bool {
        self.asked.get(feature) == Some(&true)
    }

    /// Bins rows: those of slot `s` are written to `out[s * stride..]`, one after the other. What
    /// lies between the end of the rows and the stride is left alone.
    ///
    /// # Panics
    /// For rows beyond the columns, more rows than the stride, an `out` that is shorter than
    /// `slots · stride`, or integers narrower than [`width`](Self::width).
    pub fn bin<B: Bin>(&self, columns: &Columns, rows: Range<usize>, stride: usize, out: &mut [B]) {
        assert!(rows.len() <= stride && B::WIDTH >= self.width, "bins have room");
        let n = rows.len();
        let mut x = vec![0.0; n];
        let mut ranks = vec![0u32; n];
        let mut at_hand = None;
        for (slot, out) in self.slots.iter().zip(out.chunks_exact_mut(stride.max(1))) {
            if at_hand != Some(slot.feature) {
                copy(columns, slot.feature, rows.clone(), &mut x);
                at_hand = Some(slot.feature);
            }
            match &slot.bins {
                Bins::Numbers { thresholds, steps, missing, zero_is_missing } => {
                    rank(&x, thresholds, *steps, &mut ranks);
                    for ((out, &rank), &x) in out.iter_mut().zip(&ranks).zip(&x) {
                        let gone = x.is_nan() || (*zero_is_missing && x.abs() <= Split::ZERO);
                        *out = B::of(if gone { *missing } else { rank });
                    }
                }
                Bins::Set { members, inside, missing, zero_is_missing } => {
                    for (out, &x) in out.iter_mut().zip(&x) {
                        let gone = x.is_nan() || (*zero_is_missing && x.abs() <= Split::ZERO);
                        let is_in = category_of(x).is_some_and(|c| members.contains(c));
                        *out = B::of(match (gone, is_in) {
                            (true, _) => *missing,
                            (false, true) => *inside,
                            (false, false) => 1 - *inside,
                        });
                    }
                }
            }
        }
    }
}

fn split_of(node: &Node) -> Option<&Split> {
    match node {
        Node::Split(split) => Some(split),
        Node::Leaf { .. } => None,
    }
}

fn key_of(split: &Split) -> NumbersKey {
    (split.feature, split.zero_is_missing, split.missing)
}

/// The numbers of some rows, NaN where they are missing.
fn copy(columns: &Columns, feature: u32, rows: Range<usize>, out: &mut [f64]) {
    let Some(column) = columns.column(feature) else { return out.fill(f64::NAN) };
    out.copy_from_slice(&column.values()[rows.clone()]);
    if let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) {
        for (out, row) in out.iter_mut().zip(rows) {
            if nulls.is_null(row) {
                *out = f64::NAN;
            }
        }
    }
}

/// How many thresholds are at most each number, ascending and filled up by
/// [`fill`]. A search without branches: rows are independent, so that several are on
/// their way at once.
#[multiversion(targets(
    "x86_64+avx512f+avx512dq+avx512vl+avx512bw+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn rank(x: &[f64], thresholds: &[f64], steps: u32, out: &mut [u32]) {
    if let Ok(table) = <&[f64; FEW]>::try_from(thresholds) {
        rank_in(x, table, steps, out);
    } else if let Ok(table) = <&[f64; MANY]>::try_from(thresholds) {
        rank_in(x, table, steps, out);
    } else {
        out.fill(0);
        for step in (0..steps).rev().map(|step| 1 << step) {
            for (at, &x) in out.iter_mut().zip(x) {
                let probe = thresholds.get((*at + step) as usize - 1).copied();
                *at += if probe.is_some_and(|probe| probe <= x) { step } else { 0 };
            }
        }
    }
}

/// The sizes of tables whose places need no check: such are read several at once.
const FEW: usize = 16;
const MANY: usize = 256;

#[inline(always)]
#[expect(clippy::inline_always, reason = "must be compiled for the caller's target")]
fn rank_in<const N: usize>(x: &[f64], thresholds: &[f64; N], steps: u32, out: &mut [u32]) {
    out.fill(0);
    for step in (0..steps).rev().map(|step| 1 << step) {
        for (at, &x) in out.iter_mut().zip(x) {
            let probe = thresholds[(*at + step - 1) as usize % N];
            *at += if probe <= x { step } else { 0 };
        }
    }
}

/// Fills ascending thresholds up to a size that [`rank`] takes; the number of its steps.
fn fill(thresholds: &mut Vec<f64>) -> u32 {
    let room = (thresholds.len() + 1).next_power_of_two();
    let size = if room <= FEW { FEW } else { room.max(MANY) };
    thresholds.resize(size, f64::NAN);
    room.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count() {
        for n in [0usize, 1, 2, 3, 4, 7, 8, 15, 16, 100, 255, 256, 1000] {
            let mut edges: Vec<f64> = (0..n).map(|i| i as f64 * 0.5 - 3.0).collect();
            let x = [-10.0, -3.0, -2.9, 0.0, 0.5, 1e9, f64::INFINITY, f64::NEG_INFINITY];
            let expected: Vec<u32> =
                x.iter().map(|x| edges.iter().filter(|e| *e <= x).count() as u32).collect();
            let steps = fill(&mut edges);
            let mut out = [7; 8];
            rank(&x, &edges, steps, &mut out);
            assert_eq!(out[..], expected[..], "{n} thresholds");
        }
    }

    #[test]
    fn sets_are_bits_or_lists() {
        let near = CategorySet::new(vec![70, 3, 3, 64], Side::Left);
        let far = CategorySet::new(vec![0, CategorySet::MAX], Side::Left);
        assert!(matches!(Members::of(&near), Members::Bits { .. }));
        assert!(matches!(Members::of(&far), Members::List(_)));
        for set in [near, far, CategorySet::new(vec![], Side::Left)] {
            let members = Members::of(&set);
            for c in [0, 1, 3, 63, 64, 70, 71, 500, CategorySet::MAX] {
                assert_eq!(members.contains(c), set.contains(f64::from(c)), "{c} in {set:?}");
            }
        }
    }
}
