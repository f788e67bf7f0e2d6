//! A store that lives and dies with its process.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlops_core::{Digest, Result, Timestamp};

use super::gc::{self, Gc, Swept};
use super::lease::{Held, Lease};
use super::store::{ArtifactStore, Blob, Stored, Transfer};
use super::verified::{VerifiedReader, pump};
use super::{held, no_blob};

/// A store in memory, for tests and for programs that decide in one run. Clones share it.
///
/// ```
/// use mlops_registry::artifacts::{ArtifactStoreExt, MemoryStore};
///
/// let store = MemoryStore::new();
/// let blob = store.put_bytes(b"weights")?;
/// assert_eq!(store.get_bytes(blob.digest, 1024)?, b"weights");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Shared,
}

type Shared = Arc<Mutex<State>>;

#[derive(Debug, Default)]
struct State {
    blobs: HashMap<Digest, (Arc<[u8]>, Timestamp)>,
    leases: HashMap<u64, HashSet<Digest>>,
    next_lease: u64,
    /// What leases held that ended while a sweep runs.
    sweep: Option<HashSet<Digest>>,
}

impl State {
    fn is_held(&self, digest: Digest) -> bool {
        self.leases.values().chain(&self.sweep).any(|held| held.contains(&digest))
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    // Every change is one step that can't fail in the middle.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn name(&self) -> String {
        format!("memory {:p}", Arc::as_ptr(&self.state))
    }
}

#[derive(Debug)]
struct MemoryLease {
    state: Shared,
    id: u64,
}

impl Held for MemoryLease {
    fn hold(&self, digest: Digest) -> Result<()> {
        lock(&self.state).leases.entry(self.id).or_default().insert(digest);
        Ok(())
    }

    fn release(self: Box<Self>) -> Result<()> {
        let mut state = lock(&self.state);
        let held = state.leases.remove(&self.id).unwrap_or_default();
        if let Some(sweep) = &mut state.sweep {
            sweep.extend(held);
        }
        Ok(())
    }
}

/// An `Arc` of bytes as bytes.
struct Bytes(Arc<[u8]>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ArtifactStore for MemoryStore {
    fn put(&self, bytes: &mut dyn Read, transfer: &Transfer<'_>) -> Result<Blob> {
        if let Some(lease) = transfer.lease {
            lease.check(&self.name())?;
        }
        let mut all = Vec::new();
        let blob = pump(bytes, transfer, |piece| {
            all.extend_from_slice(piece);
            Ok(())
        })?;
        if let Some(lease) = transfer.lease {
            lease.hold(blob.digest)?;
        }
        lock(&self.state).blobs.insert(blob.digest, (all.into(), Timestamp::now()));
        Ok(blob)
    }

    fn get<'a>(&self, digest: Digest, transfer: &Transfer<'a>) -> Result<VerifiedReader<'a>> {
        let found = lock(&self.state).blobs.get(&digest).map(|(bytes, _)| bytes.clone());
        let bytes = found.ok_or_else(|| no_blob(digest))?;
        let size = bytes.len() as u64;
        let source = std::io::Cursor::new(Bytes(bytes));
        Ok(VerifiedReader::new(Box::new(source), digest, size, transfer))
    }

    fn stat(&self, digest: Digest) -> Result<Option<Stored>> {
        let state = lock(&self.state);
        let found = state.blobs.get(&digest);
        Ok(found.map(|(bytes, at)| Stored::new(digest, bytes.len() as u64, *at)))
    }

    fn delete(&self, digest: Digest) -> Result<bool> {
        let mut state = lock(&self.state);
        if state.is_held(digest) {
            return Err(held(digest));
        }
        Ok(state.blobs.remove(&digest).is_some())
    }

    fn list(&self, each: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        // The callback may come back for the store.
        let all: Vec<_> = lock(&self.state)
            .blobs
            .iter()
            .map(|(digest, (bytes, at))| Stored::new(*digest, bytes.len() as u64, *at))
            .collect();
        all.into_iter().try_for_each(each)
    }

    fn lease(&self) -> Result<Lease> {
        let mut state = lock(&self.state);
        let id = state.next_lease;
        state.next_lease += 1;
        state.leases.insert(id, HashSet::new());
        drop(state);
        Ok(Lease::new(self.name(), Box::new(MemoryLease { state: self.state.clone(), id })))
    }

    fn sweep(
        &self,
        marks: &mut dyn FnMut() -> Result<HashSet<Digest>>,
        gc: &Gc<'_>,
    ) -> Result<Swept> {
        let mut state = lock(&self.state);
        if state.sweep.is_some() {
            return Err(gc::sweep_runs("memory"));
        }
        state.sweep = Some(HashSet::new());
        drop(state);
        let _end = End(&self.state);
        let marks = marks()?;
        let mut swept = Swept::begin(gc);
        let mut condemned = Vec::new();
        let mut seen = HashSet::new();
        self.list(&mut |stored| {
            seen.insert(stored.digest);
            if gc.condemns(&stored, &marks, &mut swept) {
                condemned.push(stored);
            }
            gc.check()
        })?;
        swept.missing = gc::missing(&marks, &seen);
        for stored in condemned {
            gc.check()?;
            let mut state = lock(&self.state);
            if state.is_held(stored.digest) {
                swept.leased.add(stored.size);
                continue;
            }
            // Put anew since it was listed: it is young again.
            let now = state.blobs.get(&stored.digest).map(|(_, at)| *at);
            if now.is_some_and(|at| at != stored.modified && gc.is_young(at)) {
                swept.young.add(stored.size);
                continue;
            }
            if gc.is_dry_run() || state.blobs.remove(&stored.digest).is_some() {
                swept.removed.add(stored.size);
            }
        }
        Ok(swept)
    }
}

/// Ends the sweep however it goes.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        lock(self.0).sweep = None;
    }
}
