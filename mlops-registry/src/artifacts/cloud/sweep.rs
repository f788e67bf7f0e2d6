//! The sweep of a bucket.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mlops_core::{Digest, Error, Result, Timestamp};
use object_store::PutMode;
use object_store::path::Path;

use super::super::files::{look, remove};
use super::super::gc::{Gc, Swept, sweep_runs};
use super::super::store::{Stored, Transfer};
use super::bucket::{Below, is_missing, is_passing};
use super::leases::{Known, LASTS, Released};
use super::upload::wait;
use super::{CloudStore, is_left_over};

/// How many blobs are removed while putters wait.
const BATCH: usize = 64;

/// An object that is removed at the end, however it goes.
struct Marker<'a> {
    store: &'a CloudStore,
    at: Path,
}

impl Drop for Marker<'_> {
    fn drop(&mut self) {
        let (at, bucket) = (&self.at, &self.store.bucket);
        let gone = self.store.persist(at, &Transfer::new(), || bucket.delete(at));
        if !matches!(gone, Ok(Ok(()))) {
            tracing::warn!(%at, store = self.store.name, "it could not be removed and runs out later");
        }
    }
}

impl CloudStore {
    /// Creates an object where none is, or takes over one that is older than this; `None` where
    /// somebody has it.
    fn mark(&self, at: Path, dead_after: i64) -> Result<Option<Marker<'_>>> {
        let none = Transfer::new();
        let owner = super::random_name()?.into_bytes();
        let put = |mode: PutMode| {
            self.persist(&at, &none, || self.bucket.put(&at, owner.clone(), mode.clone()))
        };
        match put(PutMode::Create)? {
            Ok(()) => return Ok(Some(Marker { store: self, at })),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. }
                | object_store::Error::NotImplemented { .. },
            ) => {}
            Err(error) => return Err(self.error(&at, &error)),
        }
        let meta = match self.persist(&at, &none, || self.bucket.head(&at))? {
            Ok(meta) => Some(meta),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(self.error(&at, &error)),
        };
        if let Some(meta) = meta {
            // Of a try whose answer was lost, it is ours.
            let found = self
                .persist(&at, &none, || self.bucket.range(&at, 0..meta.size.clamp(1, 64), None))?;
            if found.is_ok_and(|found| found == owner) {
                return Ok(Some(Marker { store: self, at }));
            }
            if self.server_time()?.saturating_sub(meta.modified) <= dead_after {
                return Ok(None);
            }
        }
        put(PutMode::Overwrite)?.map_err(|e| self.error(&at, &e))?;
        Ok(Some(Marker { store: self, at }))
    }

    /// Does this while no putter believes that something is there which it removes; it is told
    /// what leases hold.
    pub(super) fn alone<T>(&self, work: impl FnOnce(&HashSet<Digest>) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let _lock = loop {
            if let Some(lock) = self.mark(self.lock_path(), self.patience.lock_millis())? {
                break lock;
            }
            if start.elapsed() > self.patience.lock * 2 {
                return Err(Error::Blocked {
                    what: format!("removal in {}", self.name),
                    reasons: vec!["somebody else is removing".into()],
                });
            }
            wait(Duration::from_millis(50), &Transfer::new())?;
        };
        let after = self.server_time()?.saturating_sub(LASTS);
        let (held, _) = self.leases_now(after, Released::LetGo, &mut Known::new())?;
        work(&held)
    }

    /// The leases, of which one may change while it is read.
    fn leases_now(
        &self,
        after: i64,
        released: Released,
        known: &mut Known,
    ) -> Result<(HashSet<Digest>, Vec<Path>)> {
        let mut tries = 0;
        loop {
            match self.read_leases(after, released, known) {
                Err(_) if tries < 10 => tries += 1,
                answer => return answer,
            }
        }
    }

    pub(super) fn sweep_all(
        &self,
        marks: &mut dyn FnMut() -> Result<HashSet<Digest>>,
        gc: &Gc<'_>,
    ) -> Result<Swept> {
        let Some(running) = self.mark(self.running_path(), self.patience.silence_millis())? else {
            return Err(sweep_runs(&self.name));
        };
        let begun = self.server_time()?;
        let after = begun.saturating_sub(LASTS);
        if !gc.is_dry_run() {
            self.bury()?;
        }
        let mut lost = marks()?;
        let marked = lost.clone();
        let mut swept = Swept::begin(gc);
        let mut known = Known::new();
        let mut told = Instant::now();
        let mut batch = Vec::with_capacity(BATCH);
        self.each_blob(&mut |stored| {
            gc.check()?;
            lost.remove(&stored.digest);
            if gc.condemns(&stored, &marked, &mut swept) {
                batch.push(stored);
            }
            if told.elapsed() > self.patience.silence / 12 {
                let again = || self.bucket.put(&running.at, b"again".to_vec(), PutMode::Overwrite);
                self.persist(&running.at, &Transfer::new(), again)?
                    .map_err(|e| self.error(&running.at, &e))?;
                told = Instant::now();
            }
            if batch.len() == BATCH {
                self.remove_batch(&mut batch, gc, after, &mut known, &mut swept)?;
            }
            Ok(())
        })?;
        self.remove_batch(&mut batch, gc, after, &mut known, &mut swept)?;
        self.sweep_leftovers(gc, after, &mut known, &mut swept)?;
        swept.missing = lost.into_iter().collect();
        swept.missing.sort_unstable();
        Ok(swept)
    }

    fn remove_batch(
        &self,
        batch: &mut Vec<Stored>,
        gc: &Gc<'_>,
        after: i64,
        known: &mut Known,
        swept: &mut Swept,
    ) -> Result<()> {
        while !batch.is_empty() {
            let start = Instant::now();
            let Some(_lock) = self.mark(self.lock_path(), self.patience.lock_millis())? else {
                wait(Duration::from_millis(50), &Transfer::new())?;
                gc.check()?;
                continue;
            };
            let (held, _) = self.leases_now(after, Released::Hold, known)?;
            // Nobody waits longer than the lock is respected, and nothing is removed after that.
            while start.elapsed() < self.patience.lock / 10
                && let Some(stored) = batch.pop()
            {
                if held.contains(&stored.digest) {
                    swept.leased.add(stored.size);
                    continue;
                }
                if !gc.is_dry_run() {
                    let at = self.blob_path(stored.digest);
                    // Without pauses: a request that is tried for long would outlive the lock.
                    let mut gone = self.bucket.delete(&at);
                    for _ in 1..self.tries {
                        if !gone.as_ref().is_err_and(is_passing) {
                            break;
                        }
                        gone = self.bucket.delete(&at);
                    }
                    gone.or_else(|e| if is_missing(&e) { Ok(()) } else { Err(e) })
                        .map_err(|e| self.error(&at, &e))?;
                }
                swept.removed.add(stored.size);
            }
        }
        Ok(())
    }

    /// Leases that ran out, and what died in the scratch directory.
    fn sweep_leftovers(
        &self,
        gc: &Gc<'_>,
        after: i64,
        known: &mut Known,
        swept: &mut Swept,
    ) -> Result<()> {
        let (_, old) = self.leases_now(after, Released::Hold, known)?;
        if !gc.is_dry_run() {
            for at in old {
                self.bucket.delete(&at).ok();
            }
        }
        let io = |e| Error::io(&self.scratch, e);
        for entry in std::fs::read_dir(&self.scratch).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let Some(meta) = look(&path)? else { continue };
            let modified = meta.modified().ok().and_then(|at| at.elapsed().ok());
            // By the local clock, a day: a file is locked only a moment after it is made.
            let old = modified.is_some_and(|age| age > Duration::from_secs(24 * 3600));
            if old && is_left_over(&path)? {
                swept.leftovers.add(meta.len());
                if !gc.is_dry_run() {
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Every blob, of one prefix after the other.
    pub(super) fn each_blob(&self, each: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        let root = self.at(&["blobs", "sha256"]);
        let below = |at: &Path| -> Result<Below> {
            let none = Transfer::new();
            let below = self.persist(at, &none, || self.bucket.below(at))?;
            below.map_err(|e| self.error(at, &e))
        };
        for prefix in below(&root)?.prefixes {
            for (at, meta) in below(&prefix)?.objects {
                let digest = at.filename().and_then(|hex| hex.parse::<Digest>().ok());
                let Some(digest) = digest.filter(|digest| self.blob_path(*digest) == at) else {
                    continue;
                };
                each(Stored::new(digest, meta.size, Timestamp::from_millis(meta.modified)))?;
            }
        }
        Ok(())
    }
}
