//! How a feature's values and its attributions lie together: counts in bins that merge.
//!
//! Bins are `[i · 2^e, (i + 1) · 2^e)`, with the least e at which the range that was seen takes no
//! more than so many. A wider range has a larger e, whose bins are unions of smaller ones, so that
//! counts, and sums, are functions of the multiset of rows.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array};
use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u8, put_u64, take_count, take_len, take_str, take_u8,
    take_u64,
};
use mlops_core::states::Sum;
use mlops_core::{Categories, Result, State};

/// Most bins of a feature's values.
pub(super) const VALUE_BINS: i64 = 32;
/// Most bins of its attributions.
pub(super) const PHI_BINS: i64 = 64;
/// Categories that are told apart: the first by name.
pub(super) const CATEGORIES: usize = 64;

/// The least and the largest number that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Range(Option<(f64, f64)>);

impl Range {
    fn see(&mut self, x: f64) {
        let x = x + 0.0; // −0 is 0
        self.0 = Some(self.0.map_or((x, x), |(low, high)| (low.min(x), high.max(x))));
    }

    fn join(&mut self, other: Self) {
        if let Some((low, high)) = other.0 {
            self.see(low);
            self.see(high);
        }
    }

    pub(super) fn ends(self) -> Option<(f64, f64)> {
        self.0
    }

    /// The binary logarithm of a bin's width.
    fn exponent(self, bins: i64) -> i32 {
        let Some((low, high)) = self.0 else { return LEAST };
        let largest = low.abs().max(high.abs());
        // No finer than 2^40 bins up to the largest number: bins stay far within an i64.
        let finest = log2(largest).saturating_sub(40).max(LEAST);
        let span = log2(high / 2.0 - low / 2.0).saturating_add(1);
        let mut e = finest.max(span - 64_i32.min(log2(bins as f64) + 3));
        while bin(high, e) - bin(low, e) >= bins {
            e += 1;
        }
        e
    }

    fn encode(self, out: &mut Vec<u8>) {
        match self.0 {
            None => put_u8(out, 0),
            Some((low, high)) => {
                put_u8(out, 1);
                put_u64(out, low.to_bits());
                put_u64(out, high.to_bits());
            }
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        match take_u8(bytes)? {
            0 => Ok(Self(None)),
            1 => {
                let [low, high] = [take_u64(bytes)?, take_u64(bytes)?].map(f64::from_bits);
                let canonical = |x: f64| x.is_finite() && (x + 0.0).to_bits() == x.to_bits();
                if !(canonical(low) && canonical(high) && low <= high) {
                    return Err(bad(bytes, "a finite range", format!("{low} to {high}")));
                }
                Ok(Self(Some((low, high))))
            }
            tag => Err(bad(bytes, "0 or 1", tag)),
        }
    }
}

/// Widths below that of the least positive number are not needed.
const LEAST: i32 = -1074;

/// The floor of the binary logarithm of a positive number; of 0 the least.
fn log2(x: f64) -> i32 {
    let exponent = (x.to_bits() >> 52 & 0x7ff) as i32;
    if exponent == 0 { LEAST } else { exponent - 1023 }
}

/// The bin of width 2^e that a number stands in.
fn bin(x: f64, e: i32) -> i64 {
    // 2^−e in two steps, neither of which leaves the range.
    let half = -e / 2;
    let scaled = x * f64::from(half).exp2() * f64::from(-e - half).exp2();
    // What is too small to stay a number keeps its side of 0.
    if x < 0.0 && scaled == 0.0 { -1 } else { scaled.floor() as i64 }
}

/// The lower edge of a bin.
fn edge(at: i64, e: i32) -> f64 {
    let half = e / 2;
    at as f64 * f64::from(half).exp2() * f64::from(e - half).exp2()
}

/// A bin after its width was doubled so many times.
fn coarser(at: i64, doublings: i32) -> i64 {
    at >> doublings.min(63)
}

/// Where a value belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Below,
    Bin(i64),
    Above,
    Category(String),
    Other,
    Missing,
}

/// What the rows of one place have.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    sum: Sum,
    phi: BTreeMap<i64, u64>,
}

impl Cell {
    fn join(&mut self, other: Self) {
        self.sum.merge(other.sum).unwrap_or_default();
        for (at, n) in other.phi {
            add_count(self.phi.entry(at).or_default(), n);
        }
    }
}

/// A feature's values and its attributions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Joint {
    pub(super) values: Range,
    pub(super) phi: Range,
    cells: BTreeMap<Key, Cell>,
}

/// The values of a batch.
pub(super) enum Values<'a> {
    Numbers(&'a Float64Array),
    Categories(&'a Categories),
    Unknown,
}

impl Joint {
    /// Takes in these rows of a batch, all of whose φ are finite.
    pub(super) fn update(&mut self, values: &Values<'_>, phi: &[f64], rows: &[usize]) {
        if rows.is_empty() {
            return;
        }
        let mut ranges = (Range::default(), Range::default());
        for &row in rows {
            ranges.1.see(phi[row]);
        }
        let number = |x: &Float64Array, row: usize| {
            (x.is_valid(row) && !x.value(row).is_nan()).then(|| x.value(row))
        };
        if let Values::Numbers(x) = values {
            rows.iter()
                .filter_map(|&row| number(x, row))
                .filter(|x| x.is_finite())
                .for_each(|x| ranges.0.see(x));
        }
        self.widen(ranges.0, ranges.1);
        let (ev, ep) = (self.values.exponent(VALUE_BINS), self.phi.exponent(PHI_BINS));

        // The places of this batch by number, counted in a table of their own.
        let mut keys: Vec<Key> = Vec::new();
        let place: Vec<usize> = match values {
            Values::Unknown => {
                keys.push(Key::Missing);
                vec![0; rows.len()]
            }
            Values::Numbers(x) => {
                let (low, high) = self.values.ends().unwrap_or_default();
                let (first, last) = (bin(low, ev), bin(high, ev));
                keys.extend((first..=last).map(Key::Bin));
                let beyond = keys.len();
                keys.extend([Key::Below, Key::Above, Key::Missing]);
                rows.iter()
                    .map(|&row| match number(x, row) {
                        None => beyond + 2,
                        Some(x) if x == f64::NEG_INFINITY => beyond,
                        Some(x) if x == f64::INFINITY => beyond + 1,
                        Some(x) => (bin(x, ev) - first) as usize,
                    })
                    .collect()
            }
            Values::Categories(x) => {
                keys.extend(x.labels().iter().map(|l| Key::Category(l.unwrap_or("").to_owned())));
                let missing = keys.len();
                keys.push(Key::Missing);
                let codes = x.codes();
                let code = |&row: &usize| {
                    if codes.is_valid(row) { codes.value(row) as usize } else { missing }
                };
                rows.iter().map(code).collect()
            }
        };
        let (low, high) = self.phi.ends().unwrap_or_default();
        let first = bin(low, ep);
        let width = (bin(high, ep) - first + 1) as usize;
        let mut counts = vec![0_u64; keys.len() * width];
        let mut by_place: Vec<Vec<f64>> = vec![Vec::new(); keys.len()];
        for (&row, &place) in rows.iter().zip(&place) {
            counts[place * width + (bin(phi[row], ep) - first) as usize] += 1;
            by_place[place].push(phi[row]);
        }
        for ((key, phis), counts) in keys.into_iter().zip(by_place).zip(counts.chunks_exact(width))
        {
            if phis.is_empty() {
                continue;
            }
            let counts = counts.iter().enumerate().filter(|(_, n)| **n > 0);
            let phi = counts.map(|(at, n)| (first + at as i64, *n)).collect();
            self.add(key, Cell { sum: Sum::of(&phis), phi });
        }
        self.trim();
    }

    fn add(&mut self, key: Key, cell: Cell) {
        match self.cells.entry(key) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(cell);
            }
            std::collections::btree_map::Entry::Occupied(mut taken) => taken.get_mut().join(cell),
        }
    }

    /// Widens the ranges, and with them the bins.
    fn widen(&mut self, values: Range, phi: Range) {
        let before = (self.values.exponent(VALUE_BINS), self.phi.exponent(PHI_BINS));
        let was_empty = (self.values.ends().is_none(), self.phi.ends().is_none());
        self.values.join(values);
        self.phi.join(phi);
        let after = (self.values.exponent(VALUE_BINS), self.phi.exponent(PHI_BINS));
        // Of nothing there are no bins to widen.
        let by = (
            if was_empty.0 { 0 } else { after.0 - before.0 },
            if was_empty.1 { 0 } else { after.1 - before.1 },
        );
        if by == (0, 0) {
            return;
        }
        for (key, cell) in std::mem::take(&mut self.cells) {
            let key = if let Key::Bin(at) = key { Key::Bin(coarser(at, by.0)) } else { key };
            let mut phi = BTreeMap::new();
            for (at, n) in cell.phi {
                add_count(phi.entry(coarser(at, by.1)).or_default(), n);
            }
            self.add(key, Cell { phi, ..cell });
        }
    }

    /// Keeps the first categories by name. A category that is not among the first of a part is not
    /// among the first of the whole, so none is lost that is kept in the end.
    fn trim(&mut self) {
        let is_category = |key: &&Key| matches!(key, Key::Category(_));
        let known = self.cells.keys().filter(is_category).count();
        if known <= CATEGORIES {
            return;
        }
        let gone: Vec<Key> =
            self.cells.keys().filter(is_category).skip(CATEGORIES).cloned().collect();
        for key in gone {
            if let Some(cell) = self.cells.remove(&key) {
                self.add(Key::Other, cell);
            }
        }
    }

    /// The edges of the bins of φ.
    pub(super) fn phi_edges(&self) -> Vec<f64> {
        let Some((low, high)) = self.phi.ends() else { return Vec::new() };
        let e = self.phi.exponent(PHI_BINS);
        (bin(low, e)..=bin(high, e) + 1).map(|at| edge(at, e)).collect()
    }

    /// Each place, its edges where it is a bin, the sum of φ, and counts in the bins of φ.
    pub(super) fn places(
        &self,
    ) -> impl Iterator<Item = (&Key, Option<(f64, f64)>, &Sum, Vec<u64>)> + '_ {
        let (low, high) = self.phi.ends().unwrap_or_default();
        let (ev, ep) = (self.values.exponent(VALUE_BINS), self.phi.exponent(PHI_BINS));
        let (first, last) = (bin(low, ep), bin(high, ep));
        self.cells.iter().map(move |(key, cell)| {
            let mut counts = vec![0; (last - first + 1) as usize];
            for (at, n) in &cell.phi {
                counts[(at - first) as usize] = *n;
            }
            let edges = match key {
                Key::Bin(at) => Some((edge(*at, ev), edge(at + 1, ev))),
                _ => None,
            };
            (key, edges, &cell.sum, counts)
        })
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        self.widen(other.values, other.phi);
        other.widen(self.values, self.phi);
        for (key, cell) in other.cells {
            self.add(key, cell);
        }
        self.trim();
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.values.encode(out);
        self.phi.encode(out);
        put_len(out, self.cells.len());
        for (key, cell) in &self.cells {
            match key {
                Key::Below => put_u8(out, 0),
                Key::Bin(at) => {
                    put_u8(out, 1);
                    put_u64(out, *at as u64);
                }
                Key::Above => put_u8(out, 2),
                Key::Category(name) => {
                    put_u8(out, 3);
                    put_str(out, name);
                }
                Key::Other => put_u8(out, 4),
                Key::Missing => put_u8(out, 5),
            }
            cell.sum.encode(out);
            put_len(out, cell.phi.len());
            for (at, n) in &cell.phi {
                put_u64(out, *at as u64);
                put_u64(out, *n);
            }
        }
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let (values, phi) = (Range::decode(bytes)?, Range::decode(bytes)?);
        let n = take_len(bytes, 10)?;
        let spans = |range: Range, bins: i64| {
            let e = range.exponent(bins);
            range.ends().map(|(low, high)| bin(low, e)..=bin(high, e))
        };
        let (of_values, of_phi) = (spans(values, VALUE_BINS), spans(phi, PHI_BINS));
        let mut joint = Self { values, phi, cells: BTreeMap::new() };
        for _ in 0..n {
            let key = match take_u8(bytes)? {
                0 => Key::Below,
                1 => Key::Bin(take_u64(bytes)? as i64),
                2 => Key::Above,
                3 => Key::Category(take_str(bytes)?),
                4 => Key::Other,
                5 => Key::Missing,
                tag => return Err(bad(bytes, "a place, 0 to 5", tag)),
            };
            let outside = match &key {
                Key::Bin(at) => !of_values.as_ref().is_some_and(|span| span.contains(at)),
                _ => false,
            };
            if outside || joint.cells.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(bad(bytes, "places in ascending order, in range", "another"));
            }
            let sum = Sum::decode(bytes)?;
            let mut cell = Cell { sum, phi: BTreeMap::new() };
            for _ in 0..take_len(bytes, 16)? {
                let at = take_u64(bytes)? as i64;
                let count = take_count(bytes)?;
                let ascends = cell.phi.last_key_value().is_none_or(|(last, _)| *last < at);
                let inside = of_phi.as_ref().is_some_and(|span| span.contains(&at));
                if !ascends || !inside || count == 0 {
                    return Err(bad(bytes, "bins in ascending order, in range, with rows", at));
                }
                cell.phi.insert(at, count);
            }
            if cell.phi.is_empty() {
                return Err(bad(bytes, "a place with rows", 0));
            }
            joint.cells.insert(key, cell);
        }
        let categories = joint.cells.keys().filter(|k| matches!(k, Key::Category(_))).count();
        if categories > CATEGORIES {
            return Err(bad(bytes, format!("at most {CATEGORIES} categories"), categories));
        }
        Ok(joint)
    }

    pub(super) fn size(&self) -> usize {
        self.cells.values().map(|cell| 120 + 40 * cell.phi.len()).sum::<usize>() + 64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(x: &[f64], phi: &[f64]) -> Joint {
        let mut joint = Joint::default();
        let rows: Vec<usize> = (0..x.len()).collect();
        joint.update(&Values::Numbers(&Float64Array::from(x.to_vec())), phi, &rows);
        joint
    }

    #[test]
    fn bins_cover_what_was_seen() {
        let nasty =
            [0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, f64::MAX, f64::MIN, 1.0, -3.5, 1e-300];
        for a in nasty {
            for b in nasty {
                let joint = of(&[a, b], &[b, a]);
                let edges = joint.phi_edges();
                assert!(edges.len() >= 2 && edges.len() <= PHI_BINS as usize + 1, "{a} {b}");
                let (low, high) = (a.min(b), a.max(b));
                let top = edges[edges.len() - 1];
                assert!(edges[0] <= low && high <= top, "{a} {b}: {edges:?}");
                let n: u64 = joint.places().map(|p| p.3.iter().sum::<u64>()).sum();
                assert_eq!(n, 2);
            }
        }
    }

    #[test]
    fn what_is_no_number_has_places_of_its_own() {
        let inf = f64::INFINITY;
        let joint = of(&[inf, -inf, f64::NAN, 1.0], &[1.0, 2.0, 3.0, 4.0]);
        let keys: Vec<_> = joint.places().map(|p| (p.0.clone(), p.2.value())).collect();
        assert_eq!(keys[0], (Key::Below, 2.0));
        assert!(matches!(keys[1].0, Key::Bin(_)));
        assert_eq!(keys[2], (Key::Above, 1.0));
        assert_eq!(keys[3], (Key::Missing, 3.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn a_function_of_the_multiset(
            rows in prop::collection::vec(
                ((-1.0..1.0f64, -300i32..300), (-1.0..1.0f64, -30i32..30)), 1..60),
            cut in 0usize..60,
        ) {
            let number = |(x, e): (f64, i32)| x * f64::from(e).exp2();
            let x: Vec<f64> = rows.iter().map(|r| number(r.0)).collect();
            let phi: Vec<f64> = rows.iter().map(|r| number(r.1)).collect();
            let whole = of(&x, &phi);
            let cut = cut.min(x.len());
            let mut merged = of(&x[cut..], &phi[cut..]);
            merged.merge(of(&x[..cut], &phi[..cut]));
            prop_assert_eq!(&merged, &whole);
            let mut one_by_one = Joint::default();
            for i in (0..x.len()).rev() {
                one_by_one.merge(of(&x[i..=i], &phi[i..=i]));
            }
            prop_assert_eq!(&one_by_one, &whole);
            let mut bytes = Vec::new();
            whole.encode(&mut bytes);
            prop_assert_eq!(Joint::decode(&mut bytes.as_slice()).unwrap(), whole);
        }
    }
}
