//! The sweep of a directory.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;

use mlops_core::{Digest, Error, Result, sync_directory_of};

use super::super::files::{look, remove};
use super::super::gc::{Gc, Swept, sweep_runs};
use super::super::store::Stored;
use super::leases::{Dead, KEPT, SWEEP, is_abandoned};
use super::{LocalStore, lock_file, modified, try_lock};

/// How many blobs are removed while others wait.
const BATCH: usize = 64;

impl LocalStore {
    pub(super) fn sweep_all(
        &self,
        marks: &mut dyn FnMut() -> Result<HashSet<Digest>>,
        gc: &Gc<'_>,
    ) -> Result<Swept> {
        let _running = self.begin_sweep()?;
        // From here on, leases that end leave their digests to this sweep; so what is referred to
        // is either among the marks or held.
        let mut lost = marks()?;
        let marked = lost.clone();
        let mut swept = Swept::begin(gc);
        let mut batch = Vec::with_capacity(BATCH);
        self.each_blob(&mut |stored| {
            gc.check()?;
            lost.remove(&stored.digest);
            if gc.condemns(&stored, &marked, &mut swept) {
                batch.push(stored);
            }
            if batch.len() == BATCH {
                self.remove_batch(&mut batch, gc, &mut swept)?;
            }
            Ok(())
        })?;
        self.remove_batch(&mut batch, gc, &mut swept)?;
        self.sweep_leftovers(gc, &mut swept)?;
        swept.missing = lost.into_iter().collect();
        swept.missing.sort_unstable();
        Ok(swept)
    }

    fn begin_sweep(&self) -> Result<File> {
        self.alone(|| {
            let path = self.root.join(SWEEP);
            let lock = lock_file(&path)?;
            if !try_lock(&lock, &path)? {
                return Err(sweep_runs(&self.name()));
            }
            remove(&self.root.join(KEPT))?;
            self.bury()?;
            Ok(lock)
        })
    }

    fn remove_batch(&self, batch: &mut Vec<Stored>, gc: &Gc<'_>, swept: &mut Swept) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut directories = HashSet::new();
        self.alone(|| {
            let held = self.held_digests(Dead::Hold)?;
            for stored in batch.drain(..) {
                let path = self.blob_path(stored.digest);
                let Some(meta) = look(&path)? else { continue };
                // Put anew since it was seen, by somebody without a lease: it is young again.
                if held.contains(&stored.digest) {
                    swept.leased.add(stored.size);
                } else if gc.is_young(modified(&meta)) {
                    swept.young.add(stored.size);
                } else {
                    if !gc.is_dry_run() {
                        remove(&self.blake3_path(stored.digest))?;
                        remove(&path)?;
                        directories.insert(path);
                    }
                    swept.removed.add(stored.size);
                }
            }
            Ok(())
        })?;
        directories.iter().try_for_each(sync_directory_of)
    }

    /// What processes were writing when they died.
    fn sweep_leftovers(&self, gc: &Gc<'_>, swept: &mut Swept) -> Result<()> {
        let directory = self.root.join("tmp");
        for_each_entry(&directory, &mut |path| {
            gc.check()?;
            self.alone(|| {
                let Some(meta) = look(path)? else { return Ok(()) };
                if gc.is_young(modified(&meta)) || !is_abandoned(path)? {
                    return Ok(());
                }
                swept.leftovers.add(meta.len());
                if gc.is_dry_run() { Ok(()) } else { remove(path).map(drop) }
            })
        })?;
        for_each_entry(&self.root.join("blake3"), &mut |directory| {
            for_each_entry(directory, &mut |note| {
                let blob = note.file_name().and_then(|name| name.to_str());
                let digest = blob.and_then(|hex| hex.parse::<Digest>().ok());
                let Some(digest) = digest else { return Ok(()) };
                if look(&self.blob_path(digest))?.is_some() || gc.is_dry_run() {
                    return Ok(());
                }
                self.alone(|| {
                    let gone = look(&self.blob_path(digest))?.is_none();
                    if gone && !self.held_digests(Dead::Hold)?.contains(&digest) {
                        remove(note)?;
                    }
                    Ok(())
                })
            })
        })
    }

    /// Every blob, a directory at a time. Files with other names are not ours.
    pub(super) fn each_blob(&self, each: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        for_each_entry(&self.root.join("blobs/sha256"), &mut |directory| {
            for_each_entry(directory, &mut |path| {
                let name = path.file_name().and_then(|name| name.to_str());
                let digest = name.filter(|name| !name.contains(|c: char| c.is_ascii_uppercase()));
                let digest = digest.and_then(|hex| hex.parse::<Digest>().ok());
                let Some(digest) = digest.filter(|d| self.blob_path(*d) == path) else {
                    return Ok(());
                };
                match look(path)? {
                    Some(meta) if meta.is_file() => {
                        each(Stored::new(digest, meta.len(), modified(&meta)))
                    }
                    _ => Ok(()),
                }
            })
        })
    }
}

/// Every entry of a directory that is one; of what is none, nothing.
fn for_each_entry(directory: &Path, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    if !look(directory)?.is_some_and(|meta| meta.is_dir()) {
        return Ok(());
    }
    let io = |e| Error::io(directory, e);
    for entry in fs::read_dir(directory).map_err(io)? {
        each(&entry.map_err(io)?.path())?;
    }
    Ok(())
}
