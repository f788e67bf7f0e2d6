//! Rows and groups to groups: sorting by hash and bytes, so that any keys at all are told apart.

use std::cmp::Ordering;
use std::sync::Arc;

use mlops_core::Result;
use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u64, take, take_len, take_str, take_u64,
};
use rayon::slice::ParallelSliceMut;

use super::chunk::{Chunk, Folded, Group, unmix};
use crate::failing_rows::FailingRows;

/// A row whose key stands in another row, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) origin: Arc<str>,
    pub(super) row: u64,
    pub(super) key: Vec<u8>,
}

/// The first rows, by origin and number, whose keys stand in others, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct First(pub(super) Vec<Place>);

impl First {
    pub(super) const KEPT: usize = FailingRows::KEPT;

    /// Whether a row may still get in.
    pub(super) fn wants(&self, origin: &str, row: u64) -> bool {
        self.0.get(Self::KEPT - 1).is_none_or(|last| (origin, row) <= (&*last.origin, last.row))
    }

    pub(super) fn keep(&mut self, origin: &Arc<str>, row: u64, key: impl FnOnce() -> Vec<u8>) {
        if self.wants(origin, row) {
            self.insert(Place { origin: origin.clone(), row, key: key() });
        }
    }

    pub(super) fn insert(&mut self, place: Place) {
        let at = self.0.partition_point(|p| *p <= place);
        self.0.insert(at, place);
        self.0.truncate(Self::KEPT);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for place in other.0 {
            self.insert(place);
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for place in &self.0 {
            put_str(out, &place.origin);
            put_u64(out, place.row);
            put_len(out, place.key.len());
            out.extend_from_slice(&place.key);
        }
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let mut first = Self::default();
        for _ in 0..take_len(bytes, 24)? {
            let origin: Arc<str> = take_str(bytes)?.into();
            let row = take_u64(bytes)?;
            let n = take_len(bytes, 1)?;
            let place = Place { origin, row, key: take(bytes, n)?.to_vec() };
            if first.0.last().is_some_and(|last| *last > place) {
                return Err(bad(bytes, "rows in order", row));
            }
            first.0.push(place);
        }
        if first.0.len() > Self::KEPT {
            return Err(bad(bytes, format!("{} rows", Self::KEPT), first.0.len()));
        }
        Ok(first)
    }
}

struct Entry {
    hash: u64,
    chunk: u32,
    index: u32,
}

/// All keys of these chunks, each once; the rows that turn out to share their key go to `first`.
pub(super) fn fold(is_words: bool, chunks: &[Chunk], first: &mut First) -> Folded {
    let mut entries: Vec<Entry> = Vec::with_capacity(chunks.iter().map(Chunk::len).sum());
    for (i, chunk) in chunks.iter().enumerate() {
        let mut push = |index: usize, hash| {
            entries.push(Entry { hash, chunk: i as u32, index: index as u32 });
        };
        match chunk {
            Chunk::Raw(raw) => raw.each_hash(push),
            Chunk::Folded(folded) => {
                folded.hashes.iter().enumerate().for_each(|(index, &hash)| push(index, hash));
            }
        }
    }
    let bytes = |e: &Entry| chunks[e.chunk as usize].key_bytes(e.index as usize);
    let order = |a: &Entry, b: &Entry| match a.hash.cmp(&b.hash) {
        Ordering::Equal if !is_words => bytes(a).cmp(bytes(b)),
        order => order,
    };
    entries.par_sort_unstable_by(order);

    // The origins of each chunk stand one after the other.
    let mut origins: Vec<Arc<str>> = Vec::new();
    let mut offsets = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        match chunk {
            // Batches of one origin follow each other.
            Chunk::Raw(raw) => {
                if origins.last() != Some(&raw.origin) {
                    origins.push(raw.origin.clone());
                }
                offsets.push(origins.len() - 1);
            }
            Chunk::Folded(folded) => {
                offsets.push(origins.len());
                origins.extend(folded.origins.iter().cloned());
            }
        }
    }
    let group_of = |e: &Entry| {
        let (offset, index) = (offsets[e.chunk as usize] as u32, e.index as usize);
        match &chunks[e.chunk as usize] {
            Chunk::Raw(raw) => Group::Once { origin: offset, row: raw.row(index) },
            Chunk::Folded(folded) => match folded.groups[index] {
                Group::Once { origin, row } => Group::Once { origin: origin + offset, row },
                often @ Group::Often(_) => often,
            },
        }
    };
    let mut folded = Folded::new(is_words);
    for same in entries.chunk_by(|a, b| order(a, b) == Ordering::Equal) {
        let key = bytes(&same[0]);
        let group = match same {
            [one] => group_of(one),
            same => {
                let mut count = 0;
                for group in same.iter().map(group_of) {
                    add_count(&mut count, group.count());
                    if let Group::Once { origin, row } = group {
                        first.keep(&origins[origin as usize], row, || {
                            if is_words {
                                unmix(same[0].hash).to_le_bytes().to_vec()
                            } else {
                                key.to_vec()
                            }
                        });
                    }
                }
                Group::Often(count)
            }
        };
        folded.push(same[0].hash, key, group);
    }
    folded.name_origins(&origins);
    folded
}
