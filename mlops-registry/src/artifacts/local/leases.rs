//! Leases as files with a lock: who dies lets go.
//!
//! A lease is a file in `leases/` that its owner keeps locked and to which it adds digests. It is
//! made, added to and removed while the store's own lock is held, and so are blobs removed, so
//! whoever has added a digest knows that no sweep will remove it, and that one that did has done
//! it before. The digests of leases that end while a sweep runs go into `sweep-kept`, because its
//! marks may be from before.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mlops_core::{Digest, Error, Result};

use super::super::files::{create_new, look, open_regular, random_name, remove};
use super::super::lease::{Held, Lease};
use super::{LocalStore, Temp, lock_file, try_lock};

/// The lock of the sweep that runs.
pub(super) const SWEEP: &str = "sweep";
/// What leases held that ended while it runs.
pub(super) const KEPT: &str = "sweep-kept";

/// Whether the leases of processes that died count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dead {
    /// They do not.
    LetGo,
    /// They do, for the sweep that runs: the process may have died after its transaction was
    /// committed, which the marks may not know.
    Hold,
}

#[derive(Debug)]
struct LocalLease {
    store: LocalStore,
    path: PathBuf,
    /// The lock goes when this is closed.
    file: Mutex<File>,
    /// A forked child has a copy, and its end is not ours.
    process: u32,
}

impl LocalStore {
    pub(super) fn new_lease(&self) -> Result<Lease> {
        let path = self.root.join("leases").join(random_name()?);
        // Nobody may see it before it is locked.
        let file = self.alone(|| {
            let file = create_new(&path)?;
            let locked = file.lock().map_err(|e| Error::io(&path, e));
            if locked.is_err() {
                remove(&path).ok();
            }
            locked.map(|()| file)
        })?;
        let lease = LocalLease {
            store: self.clone(),
            path,
            file: Mutex::new(file),
            process: std::process::id(),
        };
        Ok(Lease::new(self.name(), Box::new(lease)))
    }

    /// A file to write to, locked as long as it is open.
    pub(super) fn create_temp(&self) -> Result<Temp> {
        let path = self.root.join("tmp").join(format!("{}.tmp", random_name()?));
        self.alone(|| {
            let temp = Temp { file: create_new(&path)?, path };
            temp.file.lock().map_err(|e| Error::io(&temp.path, e))?;
            Ok(temp)
        })
    }

    /// What leases hold, and what those held that ended while a sweep runs. Called with the
    /// store's lock.
    pub(super) fn held_digests(&self, dead: Dead) -> Result<HashSet<Digest>> {
        let mut held = HashSet::new();
        self.each_lease(&mut |path| {
            if dead == Dead::LetGo && is_abandoned(path)? {
                return Ok(());
            }
            add_digests(path, &mut held)
        })?;
        if self.sweep_runs()? {
            add_digests(&self.root.join(KEPT), &mut held)?;
        }
        Ok(held)
    }

    /// Removes the leases of the dead. Called with the store's lock, before anybody asks what is
    /// referred to.
    pub(super) fn bury(&self) -> Result<()> {
        self.each_lease(&mut |path| {
            if is_abandoned(path)? { remove(path).map(drop) } else { Ok(()) }
        })
    }

    fn each_lease(&self, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
        let directory = self.root.join("leases");
        let io = |e| Error::io(&directory, e);
        for entry in fs::read_dir(&directory).map_err(io)? {
            each(&entry.map_err(io)?.path())?;
        }
        Ok(())
    }

    /// Whether a sweep runs. Called with the store's lock.
    fn sweep_runs(&self) -> Result<bool> {
        let path = self.root.join(SWEEP);
        if look(&path)?.is_none() {
            return Ok(false);
        }
        Ok(!try_lock(&lock_file(&path)?, &path)?)
    }
}

/// Whether nobody has this file locked any more. Called with the store's lock.
pub(super) fn is_abandoned(path: &Path) -> Result<bool> {
    match look(path)? {
        None => return Ok(true),
        Some(meta) if !meta.is_file() => return Ok(false),
        Some(_) => {}
    }
    match open_regular(path) {
        Ok(file) => try_lock(&file, path),
        // Its owner is done with it at this moment.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// The digests in a file; a torn one at the end was never promised.
pub(super) fn add_digests(path: &Path, to: &mut HashSet<Digest>) -> Result<()> {
    if look(path)?.is_none() {
        return Ok(());
    }
    let mut file = std::io::BufReader::new(open_regular(path)?);
    let mut bytes = [0; 32];
    while super::fill(&mut file, &mut bytes).map_err(|e| Error::io(path, e))? == bytes.len() {
        to.insert(Digest::from_bytes(bytes));
    }
    Ok(())
}

impl LocalLease {
    fn with_file<T>(&self, work: impl FnOnce(&mut File) -> std::io::Result<T>) -> Result<T> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut file).map_err(|e| Error::io(&self.path, e))
    }
}

impl Held for LocalLease {
    fn hold(&self, digest: Digest) -> Result<()> {
        self.store.alone(|| {
            self.with_file(|file| {
                // After a write that failed halfway the next must stand where a digest begins.
                let end = file.seek(SeekFrom::End(0))?;
                file.seek(SeekFrom::Start(end - end % 32))?;
                file.write_all(digest.as_bytes())
            })
        })
    }

    fn release(self: Box<Self>) -> Result<()> {
        if std::process::id() != self.process {
            return Ok(());
        }
        let done = self.store.alone(|| {
            if self.store.sweep_runs()? {
                let digests = self.with_file(|file| {
                    let mut digests = Vec::new();
                    file.seek(SeekFrom::Start(0))?;
                    file.read_to_end(&mut digests)?;
                    digests.truncate(digests.len() / 32 * 32);
                    Ok(digests)
                })?;
                let path = self.store.root.join(KEPT);
                let append = || {
                    let mut kept = File::options().append(true).create(true).open(&path)?;
                    // A whole number of digests, and one write: nobody reads half of it, because
                    // whoever reads has the store's lock.
                    kept.write_all(&digests)
                };
                append().map_err(|e| Error::io(&path, e))?;
            }
            remove(&self.path).map(drop)
        });
        if done.is_err() {
            // What could not be handed to the sweep stays locked as long as the process lives.
            std::mem::forget(self);
        }
        done
    }
}
