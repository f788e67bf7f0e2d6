//! Leases as objects: who holds what, for a day after its last put.
//!
//! There are no locks that end with their process, so the order of writes and reads has to do. A
//! putter writes what it holds and then looks for `sweep/lock`; a sweep creates `sweep/lock` and
//! then reads what is held. Whichever comes second sees the other: the putter waits until what
//! was about to go is gone, the sweep leaves what is held.
//!
//! A lease that ends while a sweep runs only says so, with a byte behind its digests: the marks of
//! that sweep may be from before. The next one removes it before it asks for its own. All times
//! are the server's.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mlops_core::{Digest, Error, Result};
use object_store::PutMode;
use object_store::path::Path;

use super::super::files::random_name;
use super::super::lease::{Held, Lease};
use super::super::store::Transfer;
use super::CloudStore;
use super::bucket::{Below, is_missing};
use super::upload::wait;

/// How long a lease lasts after its last put, in milliseconds.
pub(super) const LASTS: i64 = 24 * 3600 * 1000;
/// How many digests a lease may hold.
const MOST: usize = 100_000;

#[derive(Debug)]
struct CloudLease {
    store: CloudStore,
    at: Path,
    held: Mutex<BTreeSet<Digest>>,
}

/// Whether leases count that ended while a sweep ran.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Released {
    /// They do not.
    LetGo,
    /// They do, for the sweep that runs.
    Hold,
}

/// Whether an object of this size is a lease that ended.
fn has_ended(size: u64) -> bool {
    !size.is_multiple_of(32)
}

/// What is held, by lease; those that did not change are not read again.
pub(super) type Known = HashMap<String, (i64, Option<String>, HashSet<Digest>)>;

impl CloudStore {
    pub(super) fn new_lease(&self) -> Result<Lease> {
        let at = self.at(&["leases", &random_name()?]);
        let lease = CloudLease { store: self.clone(), at, held: Mutex::default() };
        Ok(Lease::new(self.name.clone(), Box::new(lease)))
    }

    /// Everything held by leases from after this time; the names of the others.
    pub(super) fn read_leases(
        &self,
        after: i64,
        released: Released,
        known: &mut Known,
    ) -> Result<(HashSet<Digest>, Vec<Path>)> {
        let none = Transfer::new();
        let below = self.leases_below()?;
        let (mut held, mut old) = (HashSet::new(), Vec::new());
        for (at, meta) in below.objects {
            if meta.modified < after {
                old.push(at);
                continue;
            }
            if released == Released::LetGo && has_ended(meta.size) {
                continue;
            }
            let fresh = known.get(at.as_ref()).filter(|(modified, tag, _)| {
                tag.is_some() && (*modified, tag) == (meta.modified, &meta.e_tag)
            });
            if let Some((_, _, digests)) = fresh {
                held.extend(digests);
                continue;
            }
            // By what it is now: it may have grown since it was listed.
            let now = self.persist(&at, &none, || self.bucket.head(&at))?;
            let meta = match now {
                Err(error) if is_missing(&error) => continue,
                now => now.map_err(|e| self.error(&at, &e))?,
            };
            let most = (MOST * 32) as u64 + 1;
            let read = self.persist(&at, &none, || {
                self.bucket.range(&at, 0..meta.size.clamp(1, most), meta.e_tag.as_deref())
            })?;
            let bytes = match read {
                Err(error) if is_missing(&error) => continue,
                // It changed at this moment; the caller tries again.
                read => read.map_err(|e| self.error(&at, &e))?,
            };
            let digests: HashSet<_> = bytes
                .chunks_exact(32)
                .filter_map(|digest| Some(Digest::from_bytes(digest.try_into().ok()?)))
                .collect();
            held.extend(&digests);
            known.insert(at.to_string(), (meta.modified, meta.e_tag, digests));
        }
        Ok((held, old))
    }

    fn leases_below(&self) -> Result<Below> {
        let prefix = self.at(&["leases"]);
        let below = self.persist(&prefix, &Transfer::new(), || self.bucket.below(&prefix))?;
        below.map_err(|e| self.error(&prefix, &e))
    }

    /// Removes the leases that ended while an earlier sweep ran. Called when a sweep has begun,
    /// before it asks what is referred to.
    pub(super) fn bury(&self) -> Result<()> {
        for (at, meta) in self.leases_below()?.objects {
            if has_ended(meta.size) {
                let gone = self.persist(&at, &Transfer::new(), || self.bucket.delete(&at))?;
                gone.or_else(|e| if is_missing(&e) { Ok(()) } else { Err(e) })
                    .map_err(|e| self.error(&at, &e))?;
            }
        }
        Ok(())
    }

    /// The server's time now, in milliseconds.
    pub(super) fn server_time(&self) -> Result<i64> {
        let none = Transfer::new();
        let at = self.at(&["sweep", &format!("time-{}", random_name()?)]);
        let put = self
            .persist(&at, &none, || self.bucket.put(&at, b"time".to_vec(), PutMode::Overwrite))?;
        put.map_err(|e| self.error(&at, &e))?;
        let meta = self.persist(&at, &none, || self.bucket.head(&at))?;
        self.bucket.delete(&at).ok();
        Ok(meta.map_err(|e| self.error(&at, &e))?.modified)
    }

    pub(super) fn lock_path(&self) -> Path {
        self.at(&["sweep", "lock"])
    }

    pub(super) fn running_path(&self) -> Path {
        self.at(&["sweep", "running"])
    }

    /// Waits until nobody removes anything.
    fn wait_for_lock(&self) -> Result<()> {
        let (at, none) = (self.lock_path(), Transfer::new());
        let start = Instant::now();
        let mut pause = Duration::from_millis(2);
        let mut asked = None::<Instant>;
        loop {
            let lock = match self.persist(&at, &none, || self.bucket.head(&at))? {
                Err(error) if is_missing(&error) => return Ok(()),
                lock => lock.map_err(|e| self.error(&at, &e))?,
            };
            if asked.is_none_or(|at| at.elapsed() > self.patience.lock / 100) {
                // Whoever made it so long ago is dead.
                let age = self.server_time()?.saturating_sub(lock.modified);
                if age > self.patience.lock_millis() {
                    return Ok(());
                }
                asked = Some(Instant::now());
            }
            if start.elapsed() > self.patience.lock {
                return Ok(());
            }
            wait(pause, &none)?;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

impl CloudLease {
    fn write(&self, held: &BTreeSet<Digest>, ended: bool) -> Result<()> {
        let mut bytes: Vec<u8> = held.iter().flat_map(|digest| *digest.as_bytes()).collect();
        if ended {
            bytes.push(b'.');
        }
        let none = Transfer::new();
        let put = self.store.persist(&self.at, &none, || {
            self.store.bucket.put(&self.at, bytes.clone(), PutMode::Overwrite)
        })?;
        put.map_err(|e| self.store.error(&self.at, &e))
    }
}

impl Held for CloudLease {
    fn hold(&self, digest: Digest) -> Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MOST {
            return Err(Error::invalid("lease", format!("at most {MOST} digests"), "more"));
        }
        held.insert(digest);
        self.write(&held, false)?;
        drop(held);
        self.store.wait_for_lock()
    }

    fn release(self: Box<Self>) -> Result<()> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() {
            return Ok(());
        }
        let (running, none) = (self.store.running_path(), Transfer::new());
        let sweep = self.store.persist(&running, &none, || self.store.bucket.head(&running))?;
        match sweep {
            Err(error) if is_missing(&error) => {
                let gone =
                    self.store.persist(&self.at, &none, || self.store.bucket.delete(&self.at))?;
                match gone {
                    Err(error) if !is_missing(&error) => Err(self.store.error(&self.at, &error)),
                    _ => Ok(()),
                }
            }
            // It stays for the sweep that runs.
            _ => self.write(&held, true),
        }
    }
}
