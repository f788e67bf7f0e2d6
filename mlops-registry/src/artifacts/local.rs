//! A store in a directory.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use mlops_core::{Digest, Error, Result, Timestamp, sync_directory_of};

use super::files::{
    create_new, directory, look, open_regular, random_name, refuse_other_than_file, remove,
};
use super::gc::{Gc, Swept};
use super::lease::Lease;
use super::store::{ArtifactStore, Blake3, Blob, Stored, Transfer};
use super::verified::{VerifiedReader, fill, pump};
use super::{held, no_blob};

mod leases;
mod sweep;

use leases::Dead;

/// What a store's directory is known by.
const MARKER: &str = "mlops-artifacts";
const FORMAT: &str = "mlops-artifacts 1\n";

/// A store in a directory of a file system: a file per blob.
///
/// ```text
/// mlops-artifacts          says what this directory is
/// blobs/sha256/ab/<hex>    the bytes, read-only
/// blake3/ab/<hex>          their BLAKE3, beside
/// tmp/                     what is being written
/// leases/, lock, sweep*    who holds what; locks of the operating system, gone with their process
/// ```
///
/// A put writes to a random name in `tmp/`, syncs the file, links it to its digest (which never
/// replaces anything), and syncs the directory: after a crash at any instant a blob is there
/// whole or not at all. Any number of threads and processes may share one directory; on network
/// file systems that needs locks that work between machines (NFS 4 has them).
///
/// Links in the place of its directories and files are refused. On a full or read-only disk a put
/// is an [`Error::Io`] and leaves nothing.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// Opens the store in this directory, and makes it where there is none or it is empty.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file, a directory of other things (it is left as it is), or a
    /// store of a newer release; [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        let root = path.canonicalize().map_err(|e| Error::io(path, e))?;
        let store = Self { root };
        if !store.is_marked()? {
            store.refuse_foreign()?;
            store.mark()?;
        }
        for name in ["blobs", "blobs/sha256", "blake3", "tmp", "leases"] {
            directory(&store.root.join(name))?;
        }
        // Who made them may not have synced them yet.
        for name in ["", "blobs", "blobs/sha256"] {
            sync_directory_of(store.root.join(name))?;
        }
        Ok(store)
    }

    /// Its directory, without links.
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn is_marked(&self) -> Result<bool> {
        let path = self.root.join(MARKER);
        if look(&path)?.is_none() {
            return Ok(false);
        }
        let mut text = String::new();
        open_regular(&path)?
            .take(100)
            .read_to_string(&mut text)
            .map_err(|e| Error::io(&path, e))?;
        if text == FORMAT {
            return Ok(true);
        }
        let expected = format!("`{}`; a newer release may have made it", FORMAT.trim_end());
        Err(Error::invalid(path.display().to_string(), expected, text.escape_debug()))
    }

    fn refuse_foreign(&self) -> Result<()> {
        let io = |e| Error::io(&self.root, e);
        for entry in fs::read_dir(&self.root).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            // Another process may be making it at this moment.
            if !name.to_string_lossy().starts_with(MARKER) && !self.is_marked()? {
                let expected = "a store of artifacts, or an empty directory";
                let found = format!("a directory with `{}` in it", name.display());
                return Err(Error::invalid(self.root.display().to_string(), expected, found));
            }
        }
        Ok(())
    }

    fn mark(&self) -> Result<()> {
        let temp = self.root.join(format!("{MARKER}.{}.tmp", random_name()?));
        let written = || {
            let mut file = create_new(&temp)?;
            let io = |e| Error::io(&temp, e);
            file.write_all(FORMAT.as_bytes()).map_err(io)?;
            file.sync_all().map_err(io)
        };
        // Whoever is second writes the same.
        let marker = self.root.join(MARKER);
        let done = written()
            .and_then(|()| fs::rename(&temp, &marker).map_err(|e| Error::io(&marker, e)))
            .and_then(|()| sync_directory_of(&marker));
        if done.is_err() {
            remove(&temp).ok();
        }
        done
    }

    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn blob_path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    fn blake3_path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blake3").join(&hex[..2]).join(hex)
    }

    /// Runs alone among all threads and processes; only ever for a moment.
    fn alone<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.root.join("lock");
        let lock = lock_file(&path)?;
        lock.lock().map_err(|e| Error::io(&path, e))?;
        let result = work();
        drop(lock);
        result
    }

    /// The file of a blob, if it is there.
    fn open_blob(&self, digest: Digest) -> Result<Option<(File, Stored)>> {
        let path = self.blob_path(digest);
        let Some(parent) = path.parent() else { return Ok(None) };
        match look(parent)? {
            None => return Ok(None),
            Some(meta) if !meta.is_dir() => {
                let what = parent.display().to_string();
                return Err(Error::invalid(what, "a directory", "a link or a file"));
            }
            Some(_) => {}
        }
        if look(&path)?.is_none() {
            return Ok(None);
        }
        let file = match open_regular(&path) {
            Ok(file) => file,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let meta = file.metadata().map_err(|e| Error::io(&path, e))?;
        let stored = Stored::new(digest, meta.len(), modified(&meta));
        Ok(Some((file, stored)))
    }

    /// Gives the temporary file its name. What has the name already stays if it is whole.
    fn link(&self, temp: &Temp, blob: &Blob) -> Result<()> {
        let path = self.blob_path(blob.digest);
        if let Some(parent) = path.parent() {
            directory(parent)?;
        }
        let linked = fs::hard_link(&temp.path, &path);
        match linked {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                // What has rotted, or can't be made young again, is replaced: these bytes are what
                // it says it is.
                if !self.is_whole(blob)? || !self.touch(blob.digest)? {
                    fs::rename(&temp.path, &path).map_err(|e| Error::io(&path, e))?;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Err(Error::io(&path, e)),
            // Not every file system has hard links. Whatever is replaced has the same bytes, or
            // should have.
            Err(_) => fs::rename(&temp.path, &path).map_err(|e| Error::io(&path, e))?,
        }
        // Another process may have linked it, or made its directory, and not synced yet: this is
        // for that, too.
        sync_directory_of(&path)?;
        path.parent().map_or(Ok(()), sync_directory_of)
    }

    /// Whether what stands under the digest is these bytes.
    fn is_whole(&self, blob: &Blob) -> Result<bool> {
        let path = self.blob_path(blob.digest);
        let meta = look(&path)?;
        let Some(meta) = meta else { return Ok(false) };
        refuse_other_than_file(&path, &meta)?;
        if meta.len() != blob.size {
            return Ok(false);
        }
        let mut file = open_regular(&path)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; super::verified::CHUNK];
        loop {
            // A sector that can't be read is no reason to keep it.
            let Ok(n) = fill(&mut file, &mut buffer) else { return Ok(false) };
            hasher.update(&buffer[..n]);
            if n < buffer.len() {
                return Ok(hasher.finalize().as_bytes() == blob.blake3.as_bytes());
            }
        }
    }

    /// A blob that is put again is young again; `false` where it is somebody else's file.
    fn touch(&self, digest: Digest) -> Result<bool> {
        let path = self.blob_path(digest);
        match open_regular(&path)?.set_modified(std::time::SystemTime::now()) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            Err(e) => Err(Error::io(&path, e)),
        }
    }

    /// Writes the BLAKE3 beside. It may be missing, and one that is torn counts as missing, so
    /// nothing waits for the disk.
    fn note_blake3(&self, blob: &Blob) -> Result<()> {
        let path = self.blake3_path(blob.digest);
        if self.noted_blake3(blob.digest) == Some(blob.blake3) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            directory(parent)?;
        }
        let mut note = self.create_temp()?;
        let mut text = blob.blake3.to_string();
        text.push('\n');
        note.file.write_all(text.as_bytes()).map_err(|e| Error::io(&path, e))?;
        fs::rename(&note.path, &path).map_err(|e| Error::io(&path, e))
    }

    fn noted_blake3(&self, digest: Digest) -> Option<Blake3> {
        let file = open_regular(&self.blake3_path(digest)).ok()?;
        let mut text = String::new();
        file.take(100).read_to_string(&mut text).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    }
}

/// A file that is locked, made if need be.
fn lock_file(path: &Path) -> Result<File> {
    if let Some(meta) = look(path)? {
        refuse_other_than_file(path, &meta)?;
    }
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(|e| Error::io(path, e))
}

/// Whether a lock was had; the others have it.
fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(Error::io(path, e)),
    }
}

fn modified(meta: &fs::Metadata) -> Timestamp {
    let since = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let millis = since.and_then(|since| i64::try_from(since.as_millis()).ok());
    Timestamp::from_millis(millis.unwrap_or(0))
}

/// A file that is being written; dropped, it is gone.
#[derive(Debug)]
struct Temp {
    path: PathBuf,
    file: File,
}

impl Drop for Temp {
    fn drop(&mut self) {
        remove(&self.path).ok();
    }
}

impl ArtifactStore for LocalStore {
    fn put(&self, bytes: &mut dyn Read, transfer: &Transfer<'_>) -> Result<Blob> {
        // What is being written is known by the lease of its writer, which ends with it.
        let own;
        let lease = if let Some(lease) = transfer.lease {
            lease.check(&self.name())?;
            lease
        } else {
            own = self.lease()?;
            &own
        };
        let mut temp = self.create_temp()?;
        let io = |e| Error::io(&self.root, e);
        let blob = pump(bytes, transfer, |piece| temp.file.write_all(piece).map_err(io))?;
        // Read-only from now on: a hand that slips meets an error.
        let mut permissions = temp.file.metadata().map_err(io)?.permissions();
        permissions.set_readonly(true);
        temp.file.set_permissions(permissions).map_err(io)?;
        temp.file.sync_all().map_err(io)?;
        transfer.check()?;
        lease.hold(blob.digest)?;
        self.note_blake3(&blob)?;
        self.link(&temp, &blob)?;
        Ok(blob)
    }

    fn get<'a>(&self, digest: Digest, transfer: &Transfer<'a>) -> Result<VerifiedReader<'a>> {
        let (file, stored) = self.open_blob(digest)?.ok_or_else(|| no_blob(digest))?;
        Ok(VerifiedReader::new(Box::new(file), digest, stored.size, transfer))
    }

    fn stat(&self, digest: Digest) -> Result<Option<Stored>> {
        Ok(self.open_blob(digest)?.map(|(_, stored)| stored))
    }

    fn delete(&self, digest: Digest) -> Result<bool> {
        let path = self.blob_path(digest);
        self.alone(|| {
            if self.held_digests(Dead::LetGo)?.contains(&digest) {
                return Err(held(digest));
            }
            if look(&path)?.is_none() {
                return Ok(false);
            }
            remove(&self.blake3_path(digest))?;
            let removed = remove(&path)?;
            sync_directory_of(&path)?;
            Ok(removed)
        })
    }

    fn list(&self, each: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        self.each_blob(each)
    }

    fn lease(&self) -> Result<Lease> {
        self.new_lease()
    }

    fn sweep(
        &self,
        marks: &mut dyn FnMut() -> Result<HashSet<Digest>>,
        gc: &Gc<'_>,
    ) -> Result<Swept> {
        self.sweep_all(marks, gc)
    }

    /// By the BLAKE3 that stands beside, where it does; a difference is decided by the SHA-256.
    /// So accidents are found at several times the speed; whether somebody changed both files is
    /// what reading the bytes shows.
    fn check(&self, digest: Digest, transfer: &Transfer<'_>) -> Result<u64> {
        let Some(expected) = self.noted_blake3(digest) else {
            return self.get(digest, transfer)?.drain();
        };
        let (mut file, stored) = self.open_blob(digest)?.ok_or_else(|| no_blob(digest))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; super::verified::CHUNK];
        let mut seen = 0;
        loop {
            transfer.step(seen, Some(stored.size))?;
            let n =
                fill(&mut file, &mut buffer).map_err(|e| Error::io(self.blob_path(digest), e))?;
            hasher.update(&buffer[..n]);
            seen += n as u64;
            if n < buffer.len() {
                break;
            }
        }
        if hasher.finalize().as_bytes() == expected.as_bytes() {
            return Ok(seen);
        }
        self.get(digest, transfer)?.drain()
    }
}
