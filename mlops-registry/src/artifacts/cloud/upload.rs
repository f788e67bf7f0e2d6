//! Bytes on their way into an object store: in one request or in parts, tried again, taken up
//! where they stopped.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mlops_core::{Digest, Error, Result};
use object_store::PutMode;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::super::files::{look, open_regular, random_name, remove};
use super::super::store::{Blob, Transfer};
use super::super::verified::fill;
use super::CloudStore;
use super::bucket::{Answer, is_missing, is_passing};

/// The largest number of parts that every store takes.
const PARTS: u64 = 10_000;
const MIB: u64 = 1 << 20;
/// How many bytes of parts are in memory at once, if a single part is not more.
const IN_FLIGHT: u64 = 32 * MIB;

/// What is known of an upload that is under way; kept beside the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) store: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) part_size: u64,
    pub(super) upload: String,
    /// What the store calls the parts that it has.
    pub(super) parts: Vec<Option<String>>,
}

impl Record {
    /// The record in this file, if it is one of this upload.
    fn read(path: &FilePath, store: &str, digest: Digest, size: u64) -> Option<Self> {
        let mut text = String::new();
        open_regular(path).ok()?.take(64 * MIB).read_to_string(&mut text).ok()?;
        let found: Self = serde_json::from_str(&text).ok()?;
        let fits = found.part_size > 0
            && found.parts.len() as u64 == found.size.div_ceil(found.part_size)
            && (found.store.as_str(), found.digest, found.size) == (store, digest, size);
        fits.then_some(found)
    }

    /// Whole, but not synced: one that a power cut tears is not believed, and nothing is lost by
    /// it but the way.
    fn write(&self, path: &FilePath) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|e| Error::other("upload", e))?;
        let temp = path.with_file_name(format!("{}.tmp", random_name()?));
        let written = std::fs::write(&temp, json).and_then(|()| std::fs::rename(&temp, path));
        if written.is_err() {
            remove(&temp).ok();
        }
        written.map_err(|e| Error::io(path, e))
    }
}

/// Where the bytes of a large upload wait, and its record.
pub(super) fn waiting(scratch: &FilePath, digest: Digest) -> (PathBuf, PathBuf) {
    let hex = digest.hex();
    (scratch.join(format!("{hex}.bytes")), scratch.join(format!("{hex}.upload")))
}

impl CloudStore {
    /// Does a request, and again while it fails in a way that may pass.
    pub(super) fn persist<T>(
        &self,
        what: &Path,
        transfer: &Transfer<'_>,
        mut request: impl FnMut() -> Answer<T>,
    ) -> Result<Answer<T>> {
        let mut pause = self.pause;
        for _ in 1..self.tries {
            transfer.check()?;
            match request() {
                Err(error) if is_passing(&error) => {
                    tracing::debug!(%what, "a request failed and is tried again");
                    wait(pause, transfer)?;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
                answer => return Ok(answer),
            }
        }
        transfer.check()?;
        Ok(request())
    }

    /// Puts the bytes of this file under their digest.
    pub(super) fn upload(
        &self,
        from: &FilePath,
        blob: &Blob,
        transfer: &Transfer<'_>,
    ) -> Result<()> {
        let at = self.blob_path(blob.digest);
        if blob.size <= self.part_size {
            let mut bytes = Vec::new();
            let file = open_regular(from)?;
            let read = file.take(blob.size + 1).read_to_end(&mut bytes);
            read.map_err(|e| Error::io(from, e))?;
            return self.put_whole(&at, &bytes, transfer);
        }
        self.put_in_parts(&at, from, blob, transfer)
    }

    /// Creates an object; whoever was first made the same.
    fn put_whole(&self, at: &Path, bytes: &[u8], transfer: &Transfer<'_>) -> Result<()> {
        let put = |mode: PutMode| {
            self.persist(at, transfer, || self.bucket.put(at, bytes.to_vec(), mode.clone()))
        };
        let answer = match put(PutMode::Create)? {
            // Not every store can.
            Err(object_store::Error::NotImplemented { .. }) => put(PutMode::Overwrite)?,
            // Another writer's, or that of a try whose answer was lost; what it is, is looked at
            // by the caller.
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(()),
            answer => answer,
        };
        answer.map_err(|e| self.error(at, &e))
    }

    fn put_in_parts(
        &self,
        at: &Path,
        from: &FilePath,
        blob: &Blob,
        transfer: &Transfer<'_>,
    ) -> Result<()> {
        let (_, path) = waiting(&self.scratch, blob.digest);
        let known = Record::read(&path, &self.name, blob.digest, blob.size);
        if let Some(record) = known {
            match self.send_parts(at, from, record.clone(), &path, transfer) {
                // It was given up, or too long ago.
                Err(Sent::Gone) => {}
                Err(Sent::Failed(error)) => return Err(error),
                Ok(()) => return remove(&path).map(drop),
            }
        }
        remove(&path)?;
        let part_size = match blob.size.div_ceil(self.part_size) {
            ..=PARTS => self.part_size,
            _ => blob.size.div_ceil(PARTS).next_multiple_of(MIB),
        };
        let parts = usize::try_from(blob.size.div_ceil(part_size)).unwrap_or(usize::MAX);
        let upload = self.persist(at, transfer, || self.bucket.begin(at))?;
        let record = Record {
            store: self.name.clone(),
            digest: blob.digest,
            size: blob.size,
            part_size,
            upload: upload.map_err(|e| self.error(at, &e))?,
            parts: vec![None; parts],
        };
        let kept = record.write(&path);
        if kept.is_err() {
            // What nobody would find again is given up at once.
            self.bucket.abort(at, &record.upload).ok();
        }
        kept?;
        match self.send_parts(at, from, record, &path, transfer) {
            // It is no upload any more, whatever becomes of the bytes.
            Ok(()) => remove(&path).map(drop),
            Err(Sent::Failed(error)) => Err(error),
            Err(Sent::Gone) => {
                let what = format!("upload of {}", blob.digest);
                Err(Error::NotFound { existing: Vec::new(), what, name: at.to_string() })
            }
        }
    }

    fn send_parts(
        &self,
        at: &Path,
        from: &FilePath,
        record: Record,
        path: &FilePath,
        transfer: &Transfer<'_>,
    ) -> Result<(), Sent> {
        let (size, part_size, upload) = (record.size, record.part_size, record.upload.clone());
        let next = AtomicUsize::new(0);
        let shared = Mutex::new((record, None::<Sent>));
        let workers = (IN_FLIGHT / part_size).clamp(1, self.parallel as u64);
        let total = Some(size);
        let work = || {
            let mut file = open_regular(from)?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                {
                    let state = lock(&shared);
                    if index >= state.0.parts.len() || state.1.is_some() {
                        return Ok(());
                    }
                    if state.0.parts[index].is_some() {
                        continue;
                    }
                }
                let start = index as u64 * part_size;
                let length = part_size.min(size - start);
                let bytes = read_part(&mut file, from, start, length)?;
                let sent = self.persist(at, transfer, || {
                    self.bucket.part(at, &upload, index, bytes.clone())
                })?;
                let id = sent.map_err(|e| self.sent_error(at, &e))?;
                let mut state = lock(&shared);
                state.0.parts[index] = Some(id);
                // Under the lock, so that a later record is never overwritten by an earlier.
                state.0.write(path)?;
                let done = state.0.parts.iter().filter(|part| part.is_some()).count() as u64;
                transfer.step((done * part_size).min(size), total)?;
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    if let Err(error) = work() {
                        lock(&shared).1.get_or_insert(error);
                    }
                });
            }
        });
        let (record, failed) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = failed {
            return Err(failed);
        }
        let parts: Vec<_> = record.parts.into_iter().flatten().collect();
        let done = self.persist(at, transfer, || self.bucket.finish(at, &upload, &parts))?;
        if let Err(error) = done {
            // The answer of a try may have been lost after the store had done it.
            if self.bucket.head(at).is_ok_and(|meta| meta.size == size) {
                return Ok(());
            }
            return Err(self.sent_error(at, &error));
        }
        transfer.step(size, total)?;
        Ok(())
    }

    fn sent_error(&self, at: &Path, error: &object_store::Error) -> Sent {
        if is_missing(error) { Sent::Gone } else { Sent::Failed(self.error(at, error)) }
    }
}

/// Why the parts of an upload could not be sent.
enum Sent {
    /// The store knows no such upload any more.
    Gone,
    Failed(Error),
}

impl From<Error> for Sent {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_part(file: &mut File, path: &FilePath, start: u64, length: u64) -> Result<Vec<u8>> {
    let mut read = || {
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        if fill(file, &mut bytes)? < bytes.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    };
    read().map_err(|e| Error::io(path, e))
}

/// Waits, but not longer than until somebody stops it.
pub(super) fn wait(pause: Duration, transfer: &Transfer<'_>) -> Result<()> {
    let step = Duration::from_millis(50);
    let mut left = pause;
    while !left.is_zero() {
        transfer.check()?;
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
    transfer.check()
}

/// Whether bytes of this upload wait to be taken up again.
pub(super) fn is_waiting(scratch: &FilePath, digest: Digest) -> Result<bool> {
    let (bytes, record) = waiting(scratch, digest);
    Ok(look(&bytes)?.is_some() && look(&record)?.is_some())
}
