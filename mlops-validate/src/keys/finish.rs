//! From the state to the result: at the speed of memory where all batches are still at hand, by
//! folding where they are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mlops_core::Result;
use rayon::prelude::*;

use super::chunk::{Chunk, Folded, Group, Key, Raw};
use super::counts::{Found, Index, KeyCounts, RowCounts};
use super::fold::First;
use super::kernel::{Frequencies, Tally, tally};
use super::spill::Spilled;
use super::state::KeysState;
use super::{KeySetShared, Keys};

impl Keys {
    pub(super) fn found(&self, mut state: KeysState) -> Result<KeyCounts> {
        let rows = RowCounts {
            rows: state.rows,
            any_null: state.any_null,
            all_null: state.all_null,
            keyed: state.keyed(),
        };
        let shared: KeySetShared = state.shared.clone();
        let fast = if self.keeps_all() { None } else { of_batches(&state) };
        let found = match fast {
            Some(found) => found,
            None => self.of_groups(&mut state)?,
        };
        drop(state);
        found.result(self.clone(), &shared, &rows)
    }

    /// Any state at all.
    fn of_groups(&self, state: &mut KeysState) -> Result<Found> {
        let is_words = state.shared.form.is_words();
        let mut frequencies = Frequencies::default();
        let mut set = Folded::new(is_words);
        let mut all = Some(Folded::new(is_words));
        let keeps_all = self.keeps_all();
        state.each_folded(|folded| {
            let mut counts = vec![0u64; 256];
            for (at, &group) in folded.groups.iter().enumerate() {
                let count = group.count();
                match counts.get_mut(count as usize) {
                    Some(keys) => *keys += 1,
                    None => frequencies.add(count, 1),
                }
                if keeps_all || count > 1 {
                    set.push_from(&folded, at);
                }
            }
            for (count, keys) in (0..).zip(counts).filter(|&(_, keys)| keys > 0) {
                frequencies.add(count, keys);
            }
            let fits = all.as_ref().is_some_and(|all| all.len() + folded.len() <= Self::LISTED);
            match &mut all {
                Some(all) if fits => (0..folded.len()).for_each(|at| all.push_from(&folded, at)),
                all => *all = None,
            }
            Ok(())
        })?;
        let spilled_bytes = state.spilled.iter().map(Spilled::bytes).sum();
        let first = std::mem::take(&mut state.first);
        Ok(Found { frequencies, set, all, first, spilled_bytes })
    }
}

/// A state that still has all its batches; `None` for others, and where hashes of different keys
/// collide.
fn of_batches(state: &KeysState) -> Option<Found> {
    if !state.spilled.is_empty() {
        return None;
    }
    let mut raws: Vec<&Raw> = Vec::with_capacity(state.chunks.len());
    for chunk in &state.chunks {
        match chunk {
            Chunk::Raw(raw) => raws.push(raw),
            Chunk::Folded(_) => return None,
        }
    }
    let Tally { frequencies, repeated } = tally(&raws);
    let set = if state.shared.form.is_words() {
        let mut set = Folded::new(true);
        (set.hashes, set.groups) =
            repeated.into_par_iter().map(|(hash, n)| (hash, Group::Often(n))).unzip();
        set
    } else {
        verified(&raws, &repeated)?
    };
    let index = Index::new(&set.hashes);
    let first = first_rows(&mut raws, &set, &index);
    let counts = frequencies.clone().finish();
    let all = (counts.values().sum::<u64>() <= Keys::LISTED as u64).then(|| {
        let once = counts.get(&1).copied().unwrap_or(0);
        with_single_keys(&raws, &set, &index, once)
    });
    Some(Found { frequencies, set, all, first, spilled_bytes: 0 })
}

/// The repeated keys of repeated hashes, if every row with such a hash has the key of the others.
fn verified(raws: &[&Raw], repeated: &[(u64, u64)]) -> Option<Folded> {
    const NONE: u64 = u64::MAX;
    let mut set = Folded::new(false);
    if repeated.is_empty() {
        return Some(set);
    }
    let hashes: Vec<u64> = repeated.iter().map(|r| r.0).collect();
    let index = Index::new(&hashes);
    let known: Vec<AtomicU64> = hashes.iter().map(|_| AtomicU64::new(NONE)).collect();
    let key = |place: u64| raws[(place >> 32) as usize].key(place as u32 as usize);
    let collided = AtomicBool::new(false);
    raws.par_iter().enumerate().for_each(|(i, raw)| {
        raw.each_hash(|row, hash| {
            let Some(at) = index.find(&hashes, hash) else { return };
            let place = (i as u64) << 32 | row as u64;
            let mut other = known[at].load(Ordering::Relaxed);
            if other == NONE {
                let swapped =
                    known[at].compare_exchange(NONE, place, Ordering::Relaxed, Ordering::Relaxed);
                let Err(there) = swapped else { return };
                other = there;
            }
            if key(other) != raw.key(row) {
                collided.store(true, Ordering::Relaxed);
            }
        });
    });
    if collided.into_inner() {
        return None;
    }
    for (&(hash, count), place) in repeated.iter().zip(known) {
        if let Key::Bytes(bytes) = key(place.into_inner()) {
            set.push(hash, bytes, Group::Often(count));
        }
    }
    Some(set)
}

/// The first rows, by name, whose key is one of these.
fn first_rows(raws: &mut [&Raw], set: &Folded, index: &Index) -> First {
    let mut first = First::default();
    if set.len() == 0 {
        return first;
    }
    raws.sort_by(|a, b| (&a.origin, a.row(0)).cmp(&(&b.origin, b.row(0))));
    // Some at a time: where repeats are common few need to be looked at, where they are rare all.
    let mut width = 1;
    let mut rest = &*raws;
    while let Some(next) = rest.first()
        && first.wants(&next.origin, next.row(0))
    {
        let (some, later) = rest.split_at(width.min(rest.len()));
        let found: Vec<First> = some.par_iter().map(|raw| first_of(raw, set, index)).collect();
        for part in found {
            first.merge(part);
        }
        (rest, width) = (later, (width * 2).min(256));
    }
    first
}

fn first_of(raw: &Raw, set: &Folded, index: &Index) -> First {
    let mut first = First::default();
    for row in 0..raw.len() {
        if first.0.len() == First::KEPT {
            break;
        }
        if raw.hash(row).is_some_and(|hash| index.find(&set.hashes, hash).is_some()) {
            let origin: &Arc<str> = &raw.origin;
            first.keep(origin, raw.row(row), || raw.key(row).to_vec());
        }
    }
    first
}

/// The repeated keys, and those that stand once.
fn with_single_keys(raws: &[&Raw], set: &Folded, index: &Index, once: u64) -> Folded {
    let mut all = set.slice(0..set.len());
    if once == 0 {
        return all;
    }
    let singles: Vec<(u64, Key<'_>)> = raws
        .par_iter()
        .flat_map_iter(|raw| {
            (0..raw.len()).filter_map(|row| {
                let hash = raw.hash(row)?;
                index.find(&set.hashes, hash).is_none().then(|| (hash, raw.key(row)))
            })
        })
        .collect();
    for (hash, key) in singles {
        all.push(hash, key.bytes().unwrap_or_default(), Group::Once { origin: 0, row: 0 });
    }
    all
}
