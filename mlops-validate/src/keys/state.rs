//! What is remembered of the keys that were seen.

use std::sync::Arc;

use mlops_core::bytes::{add_count, bad, put_u64, take_count, too_many};
use mlops_core::{Error, Result, State};

use super::Missing;
use super::chunk::{Chunk, Folded, Group};
use super::column::Form;
use super::fold::{First, fold};
use super::spill::{Budget, PARTS, Spilled};

/// What states of one key set have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) form: Form,
    pub(super) missing: Missing,
    pub(super) budget: Arc<Budget>,
    /// All ones but in tests of colliding hashes.
    pub(super) mask: u64,
}

/// What [`Keys`](super::Keys) has seen so far.
///
/// Batches are held as they came, without a copy, until memory runs out or the end comes; what it
/// means and the bytes that it writes depend on the rows alone.
#[derive(Clone, Debug)]
pub struct KeysState {
    pub(super) shared: Arc<Shared>,
    pub(super) rows: u64,
    pub(super) any_null: u64,
    pub(super) all_null: u64,
    pub(super) chunks: Vec<Chunk>,
    pub(super) spilled: Vec<Spilled>,
    /// The first rows of keys that are known to stand more than once; those of keys that stand in
    /// several chunks are found when these are folded.
    pub(super) first: First,
    /// Chunks that are small when there were so many that they were looked at.
    small: usize,
    next_look: usize,
}

/// Chunks of one size are folded together when there are this many.
const FEW: usize = 64;
/// A batch of fewer rows is not worth a chunk of its own.
const SMALL: usize = 4096;
/// Rows that are folded at a time when memory runs out.
const FOLDED_ROWS: usize = 1 << 20;

/// Chunks that are folded together: small ones, and folded ones of about the same size.
fn tier(chunk: &Chunk) -> Option<u32> {
    match chunk {
        chunk if chunk.len() < SMALL => Some(0),
        Chunk::Raw(_) => None,
        Chunk::Folded(folded) => Some(folded.len().ilog2() / 3),
    }
}

impl KeysState {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            rows: 0,
            any_null: 0,
            all_null: 0,
            chunks: Vec::new(),
            spilled: Vec::new(),
            first: First::default(),
            small: 0,
            next_look: FEW,
        }
    }

    /// The rows that have a key.
    pub(super) fn keyed(&self) -> u64 {
        let without = match self.shared.missing {
            Missing::Any => self.any_null,
            Missing::All => self.all_null,
            Missing::Never => 0,
        };
        self.rows - without.min(self.rows)
    }

    pub(super) fn push(&mut self, chunk: Chunk) -> Result<()> {
        self.small += usize::from(tier(&chunk).is_some());
        self.chunks.push(chunk);
        self.tidy()
    }

    fn tidy(&mut self) -> Result<()> {
        if self.small >= self.next_look {
            self.join_small();
        }
        let budget = &self.shared.budget;
        if budget.is_exceeded() {
            // Of many states each gives up its own; one that holds next to nothing waits.
            let held: usize = self.chunks.iter().map(Chunk::held).sum();
            if held as u64 > budget.limit / 64 {
                self.shed()?;
            }
        }
        Ok(())
    }

    fn fold(&mut self, chunks: &[Chunk]) -> Folded {
        let mut folded = fold(self.shared.form.is_words(), chunks, &mut self.first);
        folded.held = Some(self.shared.budget.hold(folded.size()));
        folded
    }

    fn join_small(&mut self) {
        loop {
            let mut counts = [0; 32];
            for tier in self.chunks.iter().filter_map(tier) {
                counts[tier as usize] += 1;
            }
            let Some(full) = counts.iter().position(|&n| n >= FEW) else {
                self.small = counts.iter().sum();
                self.next_look = self.small + FEW;
                return;
            };
            let (join, rest): (Vec<_>, _) = std::mem::take(&mut self.chunks)
                .into_iter()
                .partition(|chunk| tier(chunk) == Some(full as u32));
            self.chunks = rest;
            let folded = self.fold(&join);
            self.chunks.push(Chunk::Folded(folded.into()));
        }
    }

    /// Gives up memory: repeated keys become groups, the others go to a file.
    fn shed(&mut self) -> Result<()> {
        let mut chunks = std::mem::take(&mut self.chunks);
        while !chunks.is_empty() {
            let mut rows = 0;
            let n = chunks
                .iter()
                .take_while(|chunk| {
                    rows += chunk.len();
                    rows <= FOLDED_ROWS
                })
                .count();
            let some: Vec<_> = chunks.drain(..n.max(1)).collect();
            let held: usize = some.iter().map(Chunk::held).sum();
            let folded = self.fold(&some);
            if folded.size() <= held / 4 {
                self.chunks.push(Chunk::Folded(folded.into()));
            } else {
                self.spill(&folded)?;
            }
        }
        self.small = self.chunks.iter().filter(|chunk| tier(chunk).is_some()).count();
        self.next_look = self.small + FEW;
        Ok(())
    }

    fn spill(&mut self, folded: &Folded) -> Result<()> {
        let file = self.shared.budget.file()?;
        let mut parts = Vec::with_capacity(PARTS);
        let mut bytes = Vec::new();
        for part in 0..PARTS {
            let from = bytes.len();
            let range = range_of(folded, part);
            if !range.is_empty() {
                folded.slice(range).encode(&mut bytes);
            }
            parts.push((from as u64, (bytes.len() - from) as u64));
        }
        let at = file.append(&bytes)?;
        for part in &mut parts {
            part.0 += at;
        }
        self.spilled.push(Spilled { file, parts: parts.into() });
        Ok(())
    }

    fn load(&self, (at, n): (u64, u64), spilled: &Spilled) -> Result<Chunk> {
        let bytes = spilled.file.read(at, n)?;
        let shared = &self.shared;
        let folded = Folded::decode(shared.form.is_words(), shared.mask, &mut bytes.as_slice())?;
        Ok(Chunk::Folded(folded.into()))
    }

    /// Shows all keys, ordered by hash, in pieces that each fit in memory.
    pub(super) fn each_folded(&mut self, mut each: impl FnMut(Folded) -> Result<()>) -> Result<()> {
        let chunks = std::mem::take(&mut self.chunks);
        let memory = self.fold(&chunks);
        drop(chunks);
        if self.spilled.is_empty() {
            return each(memory);
        }
        let spilled = std::mem::take(&mut self.spilled);
        for part in 0..PARTS {
            let mine = memory.slice(range_of(&memory, part));
            let mut pieces = vec![Chunk::Folded(mine.into())];
            for spilled in &spilled {
                let place = spilled.parts[part];
                if place.1 > 0 {
                    pieces.push(self.load(place, spilled)?);
                }
            }
            if pieces.iter().all(|piece| piece.len() == 0) {
                continue;
            }
            each(fold(self.shared.form.is_words(), &pieces, &mut self.first))?;
        }
        self.spilled = spilled;
        Ok(())
    }

    pub(super) fn decode(shared: Arc<Shared>, bytes: &mut &[u8]) -> Result<Self> {
        let mut state = Self::new(shared);
        match mlops_core::bytes::take_u8(bytes)? {
            0 => {}
            1 => return Err(Error::Recorded { message: mlops_core::bytes::take_str(bytes)? }),
            tag => return Err(bad(bytes, "0 or 1", tag)),
        }
        state.rows = take_count(bytes)?;
        state.any_null = take_count(bytes)?;
        state.all_null = take_count(bytes)?;
        if !(state.all_null <= state.any_null && state.any_null <= state.rows) {
            return Err(bad(bytes, "no more nulls than rows", state.any_null));
        }
        state.first = First::decode(bytes)?;
        let (is_words, mask) = (state.shared.form.is_words(), state.shared.mask);
        let folded = Folded::decode(is_words, mask, bytes)?;
        let (mut keyed, mut repeated) = (0u64, 0u64);
        for group in &folded.groups {
            keyed = keyed.checked_add(group.count()).ok_or_else(|| too_many(bytes))?;
            if let Group::Often(count) = group {
                repeated += count;
            }
        }
        if keyed != state.keyed() {
            return Err(bad(bytes, format!("{} rows with a key", state.keyed()), keyed));
        }
        let shown = repeated.min(First::KEPT as u64);
        if shown != state.first.0.len() as u64 {
            return Err(bad(bytes, format!("{shown} rows"), state.first.0.len()));
        }
        for place in &state.first.0 {
            let known = folded.find(&place.key, is_words, mask);
            if !known.is_some_and(|i| matches!(folded.groups[i], Group::Often(_))) {
                return Err(bad(bytes, "rows of repeated keys", place.row));
            }
        }
        if folded.len() > 0 {
            let mut folded = folded;
            folded.held = Some(state.shared.budget.hold(folded.size()));
            state.push(Chunk::Folded(folded.into()))?;
        }
        Ok(state)
    }
}

fn range_of(folded: &Folded, part: usize) -> std::ops::Range<usize> {
    let before = |part: usize| folded.hashes.partition_point(|h| ((h >> 56) as usize) < part);
    before(part)..before(part + 1)
}

impl State for KeysState {
    fn merge(&mut self, mut other: Self) -> Result<()> {
        let (mine, theirs) = (&self.shared, &other.shared);
        if (&mine.form, mine.missing, mine.mask) != (&theirs.form, theirs.missing, theirs.mask) {
            return Err(Error::merge("keys", "they are of other columns, types or nulls"));
        }
        add_count(&mut self.rows, other.rows);
        add_count(&mut self.any_null, other.any_null);
        add_count(&mut self.all_null, other.all_null);
        self.small += other.small;
        if self.chunks.len() < other.chunks.len() {
            std::mem::swap(&mut self.chunks, &mut other.chunks);
        }
        self.chunks.append(&mut other.chunks);
        self.spilled.append(&mut other.spilled);
        self.first.merge(other.first);
        self.tidy()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut state = self.clone();
        let mut pieces = Vec::new();
        let read = state.each_folded(|folded| {
            pieces.push(Chunk::Folded(folded.into()));
            Ok(())
        });
        // A file that is gone: whoever reads the bytes is told.
        if let Err(error) = read {
            mlops_core::bytes::put_u8(out, 1);
            mlops_core::bytes::put_str(out, &error.to_string());
            return;
        }
        mlops_core::bytes::put_u8(out, 0);
        put_u64(out, self.rows);
        put_u64(out, self.any_null);
        put_u64(out, self.all_null);
        state.first.encode(out);
        match pieces.as_slice() {
            [Chunk::Folded(whole)] => whole.encode(out),
            // The parts share no key, so folding them again only joins them.
            pieces => fold(self.shared.form.is_words(), pieces, &mut state.first).encode(out),
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.chunks.iter().map(Chunk::held).sum::<usize>()
    }
}
