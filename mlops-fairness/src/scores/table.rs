//! Scores of one group and label as they are counted: each by itself, or by bin once there are many.

use std::collections::HashMap;

use mlops_core::bytes::{
    add_count, bad, put_f64, put_len, put_u8, put_u32, put_u64, take_count, take_f64, take_len,
    take_u8, take_u32,
};
use mlops_core::states::Sum;
use mlops_core::{Result, State};

use super::{Bins, Side};
use crate::cross_tab::Cell;

/// Rows of one score, or of one bin of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    pub(crate) rows: u64,
    /// Of a bin Σs; of one score nothing, because it is known.
    pub(crate) scores: Sum,
    pub(crate) weight: Sum,
}

impl Entry {
    pub(crate) fn merge(&mut self, other: &Self) {
        add_count(&mut self.rows, other.rows);
        // Merging sums never fails.
        let _ = self.scores.merge(other.scores);
        let _ = self.weight.merge(other.weight);
    }
}

/// A number so many times, as if it had been added so often.
pub(crate) fn times(x: f64, n: u64) -> Sum {
    let (mut all, mut power) = (Sum::new(), Sum::new());
    power.add(x);
    let mut left = n;
    while left > 0 {
        if left & 1 == 1 {
            let _ = all.merge(power);
        }
        let _ = power.merge(power);
        left >>= 1;
    }
    all
}

/// Scores with their rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Table {
    /// By the bits of the score.
    Exact(HashMap<u64, Entry>),
    Binned(Vec<Entry>),
}

impl Default for Table {
    fn default() -> Self {
        Self::Exact(HashMap::new())
    }
}

/// What is known of the scores of one group and label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scores {
    pub(crate) side: Side,
    pub(crate) table: Table,
}

impl Scores {
    /// Takes in rows of a score, a weight and the class: negative, positive or none.
    pub(crate) fn take(&mut self, rows: &[(f64, f64, u8)], bins: &Bins, weighted: bool) {
        self.side.take(rows, weighted);
        for &(score, weight, class) in rows {
            if class < 2 && !score.is_nan() && weight.is_finite() {
                self.add(score + 0.0, weight, weighted, bins);
            }
        }
    }

    fn add(&mut self, score: f64, weight: f64, weighted: bool, bins: &Bins) {
        let entry = match &mut self.table {
            Table::Exact(scores) => scores.entry(score.to_bits()).or_default(),
            Table::Binned(entries) => {
                let entry = &mut entries[bins.of(score)];
                entry.scores.add(score);
                entry
            }
        };
        add_count(&mut entry.rows, 1);
        if weighted {
            entry.weight.add(weight);
        }
        if matches!(&self.table, Table::Exact(scores) if scores.len() > bins.n as usize) {
            self.table.bin(bins);
        }
    }
}

impl Table {
    /// By bins from here on.
    pub(crate) fn bin(&mut self, bins: &Bins) {
        let Self::Exact(scores) = self else { return };
        let mut entries = vec![Entry::default(); bins.n as usize];
        for (&bits, entry) in scores.iter() {
            let score = f64::from_bits(bits);
            let scores = times(score, entry.rows);
            entries[bins.of(score)].merge(&Entry { scores, ..*entry });
        }
        *self = Self::Binned(entries);
    }
}

impl Cell for Scores {
    /// The bins, and whether there are weights.
    type Options = (Bins, bool);
    const BYTES: usize = 40;

    fn is_empty(&self) -> bool {
        self.side.rows == 0
    }

    fn merge(&mut self, mut other: Self, (bins, _): &(Bins, bool)) {
        self.side.merge(&other.side);
        let joined = match (&mut self.table, &mut other.table) {
            (Table::Exact(mine), Table::Exact(theirs)) => {
                for (&bits, entry) in theirs.iter() {
                    mine.entry(bits).or_default().merge(entry);
                }
                mine.len() <= bins.n as usize
            }
            _ => false,
        };
        if joined {
            return;
        }
        let both_exact = matches!((&self.table, &other.table), (Table::Exact(_), Table::Exact(_)));
        self.table.bin(bins);
        if both_exact {
            // Theirs is among mine.
            return;
        }
        other.table.bin(bins);
        if let (Table::Binned(mine), Table::Binned(theirs)) = (&mut self.table, &other.table) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.merge(theirs));
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.side.encode(out);
        let weight = |out: &mut Vec<u8>, entry: &Entry| {
            if self.side.weighted.is_some() {
                entry.weight.encode(out);
            }
        };
        match &self.table {
            Table::Exact(scores) => {
                put_u8(out, 0);
                let mut sorted: Vec<_> =
                    scores.iter().map(|(&bits, entry)| (f64::from_bits(bits), entry)).collect();
                sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
                put_len(out, sorted.len());
                for (score, entry) in sorted {
                    put_f64(out, score);
                    put_u64(out, entry.rows);
                    weight(out, entry);
                }
            }
            Table::Binned(entries) => {
                put_u8(out, 1);
                let there = || (0_u32..).zip(entries).filter(|(_, entry)| entry.rows > 0);
                put_len(out, there().count());
                for (bin, entry) in there() {
                    put_u32(out, bin);
                    put_u64(out, entry.rows);
                    entry.scores.encode(out);
                    weight(out, entry);
                }
            }
        }
    }

    fn decode(bytes: &mut &[u8], (bins, weighted): &(Bins, bool)) -> Result<Self> {
        let side = Side::decode(bytes, *weighted)?;
        let weight = |bytes: &mut &[u8]| {
            if side.weighted.is_some() { Sum::decode(bytes) } else { Ok(Sum::new()) }
        };
        let exact = match take_u8(bytes)? {
            0 => true,
            1 => false,
            tag => return Err(bad(bytes, "0 or 1", tag)),
        };
        let n = take_len(bytes, 12)?;
        let (mut rows, mut last) = (0_u64, None);
        let mut table = if exact {
            if n > bins.n as usize {
                return Err(bad(bytes, format!("at most {} scores", bins.n), n));
            }
            Table::default()
        } else {
            Table::Binned(vec![Entry::default(); bins.n as usize])
        };
        for _ in 0..n {
            let at = if exact { take_f64(bytes)? } else { f64::from(take_u32(bytes)?) };
            let count = take_count(bytes)?;
            let scores = if exact { Sum::new() } else { Sum::decode(bytes)? };
            let entry = Entry { rows: count, scores, weight: weight(bytes)? };
            if at.is_nan()
                || (at == 0.0 && at.is_sign_negative())
                || last.is_some_and(|last| at <= last)
                || count == 0
            {
                return Err(bad(bytes, "scores in ascending order that have rows", at));
            }
            last = Some(at);
            rows = rows.saturating_add(count);
            match &mut table {
                Table::Exact(found) => drop(found.insert(at.to_bits(), entry)),
                Table::Binned(entries) => {
                    let Some(place) = entries.get_mut(at as usize) else {
                        return Err(bad(bytes, format!("one of {} bins", bins.n), at));
                    };
                    *place = entry;
                }
            }
        }
        if rows != side.scored() {
            return Err(bad(bytes, format!("scores of {} rows", side.scored()), rows));
        }
        if !exact && n == 0 {
            return Err(bad(bytes, "bins that have rows", "none"));
        }
        Ok(Self { side, table })
    }

    fn size(&self) -> usize {
        let entries = match &self.table {
            Table::Exact(scores) => scores.len(),
            Table::Binned(entries) => entries.len(),
        };
        size_of::<Self>() + entries * size_of::<Entry>()
    }
}
