//! Keys as they are held: rows as they came, or folded into groups.

use std::ops::Range;
use std::sync::Arc;

use arrow::buffer::{NullBuffer, ScalarBuffer};
use mlops_core::bytes::{
    bad, put_len, put_str, put_u32, put_u64, take, take_len, take_u32, take_u64,
};
use mlops_core::{Result, Rows};
use xxhash_rust::xxh3::xxh3_64;

use super::column::Bytes;
use super::spill::Held;

/// 2⁶⁴ over the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A bijection whose first bits depend on all bits of the key.
#[inline]
pub(super) fn mix(word: i64) -> u64 {
    let word = word as u64;
    (word ^ (word >> 32)).wrapping_mul(GOLDEN)
}

/// The word that [`mix`] made this of.
pub(super) fn unmix(hash: u64) -> i64 {
    /// By Newton's method, which doubles the bits that are right.
    const INVERSE: u64 = {
        let mut x = GOLDEN;
        let mut i = 0;
        while i < 6 {
            x = x.wrapping_mul(2u64.wrapping_sub(GOLDEN.wrapping_mul(x)));
            i += 1;
        }
        x
    };
    let word = hash.wrapping_mul(INVERSE);
    (word ^ (word >> 32)) as i64
}

/// The hash of bytes; the mask is all ones but in tests of colliding hashes.
#[inline]
pub(super) fn hash_bytes(bytes: &[u8], mask: u64) -> u64 {
    xxh3_64(bytes) & mask
}

/// The keys of a batch's rows.
#[derive(Debug)]
pub(super) enum RawKeys {
    Words(ScalarBuffer<i64>),
    /// With their hashes.
    Bytes(Bytes, Vec<u64>),
}

/// The numbers of a batch's rows in their origin; they ascend.
#[derive(Debug)]
pub(super) enum Numbers {
    /// From this one on.
    From(u64),
    /// Those of a selection.
    These(Vec<u64>),
}

impl Numbers {
    pub(super) fn of(rows: &Rows<'_>) -> Self {
        let Some(last) = rows.len().checked_sub(1) else { return Self::From(0) };
        let (from, to) = (rows.row_number(0), rows.row_number(last));
        if to.saturating_sub(from) <= last as u64 {
            return Self::From(from);
        }
        Self::These((0..rows.len()).map(|index| rows.row_number(index)).collect())
    }

    pub(super) fn row(&self, index: usize) -> u64 {
        match self {
            Self::From(first) => first.saturating_add(index as u64),
            Self::These(numbers) => numbers[index],
        }
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Self::From(_) => 0,
            Self::These(numbers) => size_of_val(numbers.as_slice()),
        }
    }
}

/// The rows of a batch, not looked at further.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) keys: RawKeys,
    /// The rows that count.
    pub(super) valid: Option<NullBuffer>,
    pub(super) origin: Arc<str>,
    pub(super) numbers: Numbers,
    /// Whether the words ascend strictly, and the least and greatest; `None` without rows.
    pub(super) shape: Option<Shape>,
    pub(super) held: Held,
}

/// What one look at a batch of words tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) ascending: bool,
    pub(super) min: i64,
    pub(super) max: i64,
}

impl Raw {
    pub(super) fn len(&self) -> usize {
        match &self.keys {
            RawKeys::Words(words) => words.len(),
            RawKeys::Bytes(bytes, _) => bytes.len(),
        }
    }

    /// How many rows count.
    pub(super) fn count(&self) -> usize {
        self.len() - self.valid.as_ref().map_or(0, NullBuffer::null_count)
    }

    /// Shows the hash of every row that counts.
    #[inline]
    pub(super) fn each_hash(&self, mut each: impl FnMut(usize, u64)) {
        match (&self.keys, &self.valid) {
            (RawKeys::Words(words), None) => {
                for (row, &word) in words.iter().enumerate() {
                    each(row, mix(word));
                }
            }
            (RawKeys::Words(words), Some(valid)) => {
                for row in valid.valid_indices() {
                    each(row, mix(words[row]));
                }
            }
            (RawKeys::Bytes(_, hashes), None) => {
                for (row, &hash) in hashes.iter().enumerate() {
                    each(row, hash);
                }
            }
            (RawKeys::Bytes(_, hashes), Some(valid)) => {
                for row in valid.valid_indices() {
                    each(row, hashes[row]);
                }
            }
        }
    }

    /// The hash of a row, where it counts.
    pub(super) fn hash(&self, row: usize) -> Option<u64> {
        if self.valid.as_ref().is_some_and(|valid| valid.is_null(row)) {
            return None;
        }
        Some(match &self.keys {
            RawKeys::Words(words) => mix(words[row]),
            RawKeys::Bytes(_, hashes) => hashes[row],
        })
    }

    pub(super) fn key(&self, row: usize) -> Key<'_> {
        match &self.keys {
            RawKeys::Words(words) => Key::Word(words[row]),
            RawKeys::Bytes(bytes, _) => Key::Bytes(bytes.value(row)),
        }
    }

    fn bytes(&self, row: usize) -> &[u8] {
        match &self.keys {
            RawKeys::Words(_) => &[],
            RawKeys::Bytes(bytes, _) => bytes.value(row),
        }
    }

    pub(super) fn row(&self, index: usize) -> u64 {
        self.numbers.row(index)
    }
}

/// Byte strings one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    ends: Vec<usize>,
    data: Vec<u8>,
}

impl Packed {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.ends.push(self.data.len());
    }

    pub(super) fn value(&self, index: usize) -> &[u8] {
        let from = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.data[from..self.ends[index]]
    }

    fn size(&self) -> usize {
        self.data.len() + self.ends.len() * 8
    }
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// It stands in this row of this origin alone.
    Once { origin: u32, row: u64 },
    /// It stands in this many rows, at least two.
    Often(u64),
}

impl Group {
    pub(super) fn count(self) -> u64 {
        match self {
            Self::Once { .. } => 1,
            Self::Often(count) => count,
        }
    }
}

/// Every key once, ordered by hash and then by its bytes.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) hashes: Vec<u64>,
    /// `None` for words, which their hashes tell.
    pub(super) bytes: Option<Packed>,
    pub(super) groups: Vec<Group>,
    /// The origins of single rows: sorted, each used.
    pub(super) origins: Vec<Arc<str>>,
    pub(super) held: Option<Held>,
}

impl Folded {
    pub(super) fn new(is_words: bool) -> Self {
        Self { bytes: (!is_words).then(Packed::default), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn size(&self) -> usize {
        let bytes = self.bytes.as_ref().map_or(0, Packed::size);
        self.len() * (8 + size_of::<Group>()) + bytes
    }

    pub(super) fn key(&self, index: usize) -> Key<'_> {
        match &self.bytes {
            None => Key::Word(unmix(self.hashes[index])),
            Some(bytes) => Key::Bytes(bytes.value(index)),
        }
    }

    fn key_bytes(&self, index: usize) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| bytes.value(index))
    }

    pub(super) fn push(&mut self, hash: u64, key: &[u8], group: Group) {
        self.hashes.push(hash);
        if let Some(bytes) = &mut self.bytes {
            bytes.push(key);
        }
        self.groups.push(group);
    }

    /// Appends a key of another, without its row.
    pub(super) fn push_from(&mut self, other: &Self, index: usize) {
        let group = match other.groups[index] {
            Group::Once { .. } => Group::Once { origin: 0, row: 0 },
            often @ Group::Often(_) => often,
        };
        self.push(other.hashes[index], other.key_bytes(index), group);
    }

    /// Leaves only the origins that are used, in order; `all` are those that groups refer to.
    pub(super) fn name_origins(&mut self, all: &[Arc<str>]) {
        let mut used = vec![false; all.len()];
        for group in &self.groups {
            if let Group::Once { origin, .. } = group {
                used[*origin as usize] = true;
            }
        }
        let mut order: Vec<usize> = (0..all.len()).filter(|&i| used[i]).collect();
        order.sort_by(|&a, &b| all[a].cmp(&all[b]));
        let mut places = vec![0; all.len()];
        self.origins.clear();
        for i in order {
            // Two states know one origin by two texts.
            if self.origins.last() != Some(&all[i]) {
                self.origins.push(all[i].clone());
            }
            places[i] = self.origins.len() as u32 - 1;
        }
        for group in &mut self.groups {
            if let Group::Once { origin, .. } = group {
                *origin = places[*origin as usize];
            }
        }
    }

    /// Where a key stands, by the bytes that [`Key::to_vec`] makes of it.
    pub(super) fn find(&self, key: &[u8], is_words: bool, mask: u64) -> Option<usize> {
        let hash = match (is_words, <[u8; 8]>::try_from(key)) {
            (true, Ok(word)) => mix(i64::from_le_bytes(word)),
            (true, Err(_)) => return None,
            (false, _) => hash_bytes(key, mask),
        };
        let from = self.hashes.partition_point(|&h| h < hash);
        let mut same = (from..self.len()).take_while(|&i| self.hashes[i] == hash);
        same.find(|&i| is_words || self.key_bytes(i) == key)
    }

    /// Some of the keys, for themselves.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let mut part = Self::new(self.bytes.is_none());
        for index in range {
            part.push(self.hashes[index], self.key_bytes(index), self.groups[index]);
        }
        part.name_origins(&self.origins);
        part
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.origins.len());
        for origin in &self.origins {
            put_str(out, origin);
        }
        put_len(out, self.len());
        for index in 0..self.len() {
            match &self.bytes {
                None => put_u64(out, self.hashes[index]),
                Some(bytes) => {
                    let value = bytes.value(index);
                    put_len(out, value.len());
                    out.extend_from_slice(value);
                }
            }
            match self.groups[index] {
                Group::Often(count) => {
                    put_u32(out, 0);
                    put_u64(out, count);
                }
                Group::Once { origin, row } => {
                    put_u32(out, origin + 1);
                    put_u64(out, row);
                }
            }
        }
    }

    pub(super) fn decode(is_words: bool, mask: u64, bytes: &mut &[u8]) -> Result<Self> {
        let mut origins: Vec<Arc<str>> = Vec::new();
        for _ in 0..take_len(bytes, 8)? {
            let origin: Arc<str> = mlops_core::bytes::take_str(bytes)?.into();
            if origins.last().is_some_and(|last| *last >= origin) {
                return Err(bad(bytes, "origins in order", origin));
            }
            origins.push(origin);
        }
        let mut used = vec![false; origins.len()];
        let mut folded = Self::new(is_words);
        for index in 0..take_len(bytes, 20)? {
            let (hash, key): (u64, &[u8]) = if is_words {
                (take_u64(bytes)?, &[])
            } else {
                let n = take_len(bytes, 1)?;
                let key = take(bytes, n)?;
                (hash_bytes(key, mask), key)
            };
            if index > 0 {
                let last = (folded.hashes[index - 1], folded.key_bytes(index - 1));
                if last >= (hash, key) {
                    return Err(bad(bytes, "keys in order", hash));
                }
            }
            let (tag, number) = (take_u32(bytes)?, take_u64(bytes)?);
            let group = match (tag as usize).checked_sub(1) {
                None if (2..=1 << 56).contains(&number) => Group::Often(number),
                None => return Err(bad(bytes, "a count from 2 to 2^56", number)),
                Some(origin) => match used.get_mut(origin) {
                    Some(used) => {
                        *used = true;
                        Group::Once { origin: origin as u32, row: number }
                    }
                    None => return Err(bad(bytes, format!("one of {} origins", used.len()), tag)),
                },
            };
            folded.push(hash, key, group);
        }
        if used.contains(&false) {
            return Err(bad(bytes, "origins that have rows", "one without"));
        }
        folded.origins = origins;
        Ok(folded)
    }
}

/// A key, seen for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Word(i64),
    Bytes(&'a [u8]),
}

impl<'a> Key<'a> {
    pub(super) fn word(self) -> Option<i64> {
        match self {
            Self::Word(word) => Some(word),
            Self::Bytes(_) => None,
        }
    }

    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Word(_) => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }

    pub(super) fn to_vec(self) -> Vec<u8> {
        match self {
            Self::Word(word) => word.to_le_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.to_vec(),
        }
    }
}

/// Some keys of a state.
#[derive(Clone, Debug)]
pub(super) enum Chunk {
    Raw(Arc<Raw>),
    Folded(Arc<Folded>),
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Raw(raw) => raw.len(),
            Self::Folded(folded) => folded.len(),
        }
    }

    pub(super) fn held(&self) -> usize {
        match self {
            Self::Raw(raw) => raw.held.bytes,
            Self::Folded(folded) => folded.held.as_ref().map_or(0, |held| held.bytes),
        }
    }

    /// The bytes of a key; none for words.
    pub(super) fn key_bytes(&self, index: usize) -> &[u8] {
        match self {
            Self::Raw(raw) => raw.bytes(index),
            Self::Folded(folded) => folded.key_bytes(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_loses_nothing() {
        for word in [0, 1, -1, i64::MIN, i64::MAX, 1 << 32, 0x0123_4567_89ab_cdef] {
            assert_eq!(unmix(mix(word)), word);
        }
    }
}
