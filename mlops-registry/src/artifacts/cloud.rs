//! A store in an object store.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mlops_core::{Digest, Error, OnProgress, Progress, Result, Timestamp};
use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;

use super::files::{create_new, directory, look, random_name, remove};
use super::gc::{Gc, Swept};
use super::lease::Lease;
use super::store::{ArtifactStore, Blob, Stored, Transfer};
use super::verified::{VerifiedReader, fill, pump};
use super::{held, no_blob};

mod bucket;
mod leases;
mod runtime;
mod sweep;
mod upload;
mod url;

#[cfg(test)]
mod tests;

use bucket::{Bucket, Remote, is_missing};
pub use url::CloudOptions;

/// How much is fetched by one request.
const FETCH: u64 = 4 << 20;

/// A store in S3, Google Cloud Storage, Azure Blob Storage, or whatever `object_store` speaks to.
///
/// ```text
/// <prefix>/blobs/sha256/ab/<hex>    the bytes
/// <prefix>/leases/…                 who holds what, for a day after its last put
/// <prefix>/sweep/…                  the sweep that runs
/// ```
///
/// Calls are blocking and safe from any thread: requests run on a runtime of the store's own.
/// What is put is first written to `scratch`, a directory on a local disk, because its name is its
/// digest; then it is sent, in parts where it is large, and each part is tried again where a
/// failure may pass. What stops halfway stays in `scratch`: putting the same bytes again, or
/// [`resume`](Self::resume), takes it up, also in another process. After the upload the bytes are
/// read back and compared, unless [`trust_uploads`](Self::trust_uploads) says not to.
///
/// It relies on reads seeing all earlier writes, which S3, GCS and Azure promise, and on creating
/// an object only where none is, for one sweep at a time. Parts that nobody takes up again cost
/// money until the bucket's own rule for unfinished uploads removes them: set one. The BLAKE3 is
/// not kept: what checking takes here is the way through the network.
///
/// ```
/// use std::sync::Arc;
/// use mlops_registry::artifacts::{ArtifactStoreExt, CloudStore};
///
/// # let dir = tempfile::tempdir().map_err(|e| mlops_core::Error::io("a directory", e))?;
/// let bucket = Arc::new(object_store::memory::InMemory::new());
/// let store = CloudStore::new(bucket, "models", dir.path())?;
/// let blob = store.put_bytes(b"weights")?;
/// assert_eq!(store.get_bytes(blob.digest, 1024)?, b"weights");
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CloudStore {
    bucket: Arc<dyn Bucket>,
    /// What it is called in errors and records: no credentials.
    name: String,
    prefix: Path,
    scratch: PathBuf,
    part_size: u64,
    parallel: usize,
    tries: usize,
    pause: Duration,
    reads_back: bool,
    patience: Patience,
}

/// How long what somebody left behind who died is respected, by the server's clock.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// The lock under which blobs are removed; a batch of removals takes no longer than a tenth.
    lock: Duration,
    /// The mark that a sweep runs, which it renews.
    silence: Duration,
}

impl Patience {
    fn lock_millis(&self) -> i64 {
        i64::try_from(self.lock.as_millis()).unwrap_or(i64::MAX)
    }

    fn silence_millis(&self) -> i64 {
        i64::try_from(self.silence.as_millis()).unwrap_or(i64::MAX)
    }
}

impl CloudStore {
    /// A store below this prefix of a bucket.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad prefix; [`Error::Io`] where the scratch directory can't be
    /// made.
    pub fn new<S: ObjectStore + MultipartStore>(
        store: Arc<S>,
        prefix: &str,
        scratch: impl AsRef<FilePath>,
    ) -> Result<Self> {
        let name = format!("{store}/{prefix}");
        let remote = Remote::new(store).map_err(|e| Error::other("a thread for requests", e))?;
        Self::on(Arc::new(remote), name, prefix, scratch.as_ref())
    }

    fn on(bucket: Arc<dyn Bucket>, name: String, prefix: &str, scratch: &FilePath) -> Result<Self> {
        let prefix = Path::parse(prefix)
            .map_err(|e| Error::invalid("prefix", "parts with `/` between them", e))?;
        std::fs::create_dir_all(scratch).map_err(|e| Error::io(scratch, e))?;
        directory(scratch)?;
        let scratch = scratch.canonicalize().map_err(|e| Error::io(scratch, e))?;
        Ok(Self {
            bucket,
            name,
            prefix,
            scratch,
            part_size: 8 << 20,
            parallel: 4,
            tries: 5,
            pause: Duration::from_millis(100),
            reads_back: true,
            patience: Patience {
                lock: Duration::from_secs(600),
                silence: Duration::from_secs(3600),
            },
        })
    }

    /// How many bytes a part has, and how many are sent at once; 8 MiB and 4. Larger parts are
    /// used where there would be more than 10,000, and fewer at once where they would need more
    /// than 32 MiB of memory. Most stores take no part below 5 MiB but the last.
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0.
    pub fn with_parts(mut self, size: u64, parallel: usize) -> Result<Self> {
        if size == 0 || parallel == 0 {
            return Err(Error::invalid("parts", "at least 1", 0));
        }
        (self.part_size, self.parallel) = (size, parallel);
        Ok(self)
    }

    /// How often a request is tried, and how long the first pause is, which doubles up to 10 s;
    /// 5 and 100 ms. This is beside what the client of the store itself tries.
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0.
    pub fn with_tries(mut self, tries: usize, pause: Duration) -> Result<Self> {
        if tries == 0 {
            return Err(Error::invalid("tries", "at least 1", 0));
        }
        (self.tries, self.pause) = (tries, pause);
        Ok(self)
    }

    /// After an upload only the size is compared: half the traffic, for stores that check what
    /// they receive. What is read is verified in any case.
    #[must_use]
    pub fn trust_uploads(mut self) -> Self {
        self.reads_back = false;
        self
    }

    /// What waits to be taken up: uploads that stopped.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn unfinished(&self) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        let io = |e| Error::io(&self.scratch, e);
        for entry in std::fs::read_dir(&self.scratch).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(".upload"));
            if let Some(digest) = hex.and_then(|hex| hex.parse().ok())
                && upload::is_waiting(&self.scratch, digest)?
            {
                found.push(digest);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Takes an upload up where it stopped.
    ///
    /// # Errors
    /// [`Error::NotFound`] where none waits; [`Error::Decode`] if the bytes that wait are not
    /// those any more; those of a put.
    pub fn resume(&self, digest: Digest, transfer: &Transfer<'_>) -> Result<Blob> {
        let (bytes, record) = upload::waiting(&self.scratch, digest);
        if !upload::is_waiting(&self.scratch, digest)? {
            let (what, name) = ("unfinished upload".into(), digest.to_string());
            return Err(Error::NotFound { existing: Vec::new(), what, name });
        }
        let mut file = super::files::open_regular(&bytes)?;
        let quiet = Transfer { progress: None, ..*transfer };
        let blob = pump(&mut file, &quiet, |_| Ok(()))?;
        if blob.digest != digest {
            remove(&bytes)?;
            remove(&record)?;
            return Err(Error::Decode {
                what: bytes.display().to_string(),
                offset: 0,
                expected: digest.to_string(),
                found: blob.digest.to_string(),
            });
        }
        self.store(&bytes, &blob, transfer)?;
        Ok(blob)
    }

    /// Gives an upload up and removes what waits; whether there was one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn abandon(&self, digest: Digest) -> Result<bool> {
        let (bytes, path) = upload::waiting(&self.scratch, digest);
        let text = std::fs::read(&path).unwrap_or_default();
        if let Ok(record) = serde_json::from_slice::<upload::Record>(&text)
            && record.store == self.name
        {
            // The bucket's rule for unfinished uploads removes what this does not.
            self.bucket.abort(&self.blob_path(digest), &record.upload).ok();
        }
        let was = remove(&path)?;
        Ok(remove(&bytes)? || was)
    }

    fn at(&self, parts: &[&str]) -> Path {
        parts.iter().fold(self.prefix.clone(), |path, part| path.join(*part))
    }

    fn blob_path(&self, digest: Digest) -> Path {
        let hex = digest.hex();
        self.at(&["blobs", "sha256", &hex[..2], &hex])
    }

    /// The store's error in the words of the house, without what URLs carry behind `?`.
    fn error(&self, at: &Path, error: &object_store::Error) -> Error {
        let mut text = error.to_string();
        while let Some(start) = text.find('?') {
            let end = text[start..]
                .find(|c: char| c.is_whitespace() || "\"')>".contains(c))
                .map_or(text.len(), |end| start + end);
            text.replace_range(start..end, "…");
        }
        Error::other(format!("{}, {at}", self.name), text)
    }

    fn head(&self, digest: Digest, transfer: &Transfer<'_>) -> Result<Option<bucket::Meta>> {
        let at = self.blob_path(digest);
        match self.persist(&at, transfer, || self.bucket.head(&at))? {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.error(&at, &error)),
        }
    }

    /// Sends the bytes of a file, compares what came, and removes the file and its record.
    fn store(&self, from: &FilePath, blob: &Blob, transfer: &Transfer<'_>) -> Result<()> {
        let own;
        let lease = if let Some(lease) = transfer.lease {
            lease
        } else {
            own = self.lease()?;
            &own
        };
        lease.hold(blob.digest)?;
        let at = self.blob_path(blob.digest);
        let known = self.head(blob.digest, transfer)?;
        // Stands from before the first byte is sent until all were compared: what is there of a
        // put that ended between is looked at again.
        let unsure = self.scratch.join(format!("{}.unsure", blob.digest.hex()));
        let mut there = known.is_some_and(|meta| meta.size == blob.size);
        let mut tries = 0;
        while !there || look(&unsure)?.is_some() {
            if !there {
                std::fs::write(&unsure, b"").map_err(|e| Error::io(&unsure, e))?;
                self.upload(from, blob, transfer)?;
            }
            tries += 1;
            match self.compare(blob, transfer) {
                Ok(()) => {
                    remove(&unsure)?;
                    there = true;
                }
                Err(error @ Error::Decode { .. }) => {
                    // Nothing may stand under a digest that is not its own.
                    let gone = self.persist(&at, transfer, || self.bucket.delete(&at))?;
                    gone.or_else(|e| if is_missing(&e) { Ok(()) } else { Err(e) })
                        .map_err(|e| self.error(&at, &e))?;
                    there = false;
                    if tries >= self.tries {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let (bytes, record) = upload::waiting(&self.scratch, blob.digest);
        remove(&record)?;
        remove(&bytes)?;
        Ok(())
    }

    /// Whether what the store has now is what was sent.
    fn compare(&self, blob: &Blob, transfer: &Transfer<'_>) -> Result<()> {
        let found = self.head(blob.digest, transfer)?.map(|meta| meta.size);
        if found != Some(blob.size) {
            return Err(Error::Decode {
                what: format!("{} after its upload", blob.digest),
                offset: 0,
                expected: format!("{} bytes", blob.size),
                found: found.map_or("nothing".into(), |size| size.to_string()),
            });
        }
        if self.reads_back {
            let quiet = Transfer { progress: None, ..*transfer };
            self.get(blob.digest, &quiet)?.drain()?;
        }
        Ok(())
    }

    /// Writes what is read to a file, as its name is not known before.
    fn spool(&self, bytes: &mut dyn Read, transfer: &Transfer<'_>) -> Result<(Spool, Blob)> {
        use std::io::Write;
        let path = self.scratch.join(format!("{}.tmp", random_name()?));
        let mut file = create_new(&path)?;
        let spool = Spool(path);
        let io = |e| Error::io(&spool.0, e);
        // So that a sweep knows it from one that a crash left.
        file.lock().map_err(io)?;
        // Not synced: what a power cut leaves of it is verified before it is sent.
        let blob = pump(bytes, transfer, |piece| file.write_all(piece).map_err(io))?;
        Ok((spool, blob))
    }
}

/// A file of bytes to be sent; dropped, it is gone.
struct Spool(PathBuf);

impl Drop for Spool {
    fn drop(&mut self) {
        remove(&self.0).ok();
    }
}

/// Half of the way is to the disk, half to the store.
struct Half<'a> {
    to: Option<&'a dyn OnProgress>,
    second: bool,
    total: Option<u64>,
}

impl OnProgress for Half<'_> {
    fn on_progress(&self, progress: &Progress) {
        let Some(to) = self.to else { return };
        let mut whole = *progress;
        let before = progress.bytes_total.filter(|_| self.second).unwrap_or(0);
        whole.bytes = u64::midpoint(before, progress.bytes);
        whole.bytes_total = self.total;
        to.on_progress(&whole);
    }
}

impl ArtifactStore for CloudStore {
    fn put(&self, bytes: &mut dyn Read, transfer: &Transfer<'_>) -> Result<Blob> {
        if let Some(lease) = transfer.lease {
            lease.check(&self.name)?;
        }
        let first = Half { to: transfer.progress, second: false, total: transfer.total };
        let (spool, blob) = self.spool(bytes, &transfer.on_progress(&first))?;
        let total = transfer.total.or(Some(blob.size));
        let second = Half { to: transfer.progress, second: true, total };
        let sending = Transfer { total, ..*transfer };
        let sending = sending.on_progress(&second);
        if blob.size > self.part_size {
            // What stops from here on is kept and taken up again.
            let (bytes, _) = upload::waiting(&self.scratch, blob.digest);
            std::fs::rename(&spool.0, &bytes).map_err(|e| Error::io(&bytes, e))?;
            self.store(&bytes, &blob, &sending)?;
        } else {
            self.store(&spool.0, &blob, &sending)?;
        }
        // It is done: nothing stops it any more.
        Transfer { cancel: None, ..sending }.step(blob.size, total)?;
        Ok(blob)
    }

    fn get<'a>(&self, digest: Digest, transfer: &Transfer<'a>) -> Result<VerifiedReader<'a>> {
        let meta = self.head(digest, transfer)?.ok_or_else(|| no_blob(digest))?;
        let source = Fetch {
            store: self.clone(),
            at: self.blob_path(digest),
            size: meta.size,
            e_tag: meta.e_tag,
            transfer: Transfer { progress: None, lease: None, ..*transfer },
            fetched: 0,
            piece: io::Cursor::new(Vec::new()),
        };
        Ok(VerifiedReader::new(Box::new(source), digest, meta.size, transfer))
    }

    fn stat(&self, digest: Digest) -> Result<Option<Stored>> {
        let meta = self.head(digest, &Transfer::new())?;
        Ok(meta.map(|meta| Stored::new(digest, meta.size, Timestamp::from_millis(meta.modified))))
    }

    fn delete(&self, digest: Digest) -> Result<bool> {
        let at = self.blob_path(digest);
        self.alone(|held_now| {
            if held_now.contains(&digest) {
                return Err(held(digest));
            }
            if self.head(digest, &Transfer::new())?.is_none() {
                return Ok(false);
            }
            let gone = self.persist(&at, &Transfer::new(), || self.bucket.delete(&at))?;
            gone.map_err(|e| self.error(&at, &e))?;
            Ok(true)
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
}

/// Reads an object in pieces, each tried again where a failure may pass.
struct Fetch<'a> {
    store: CloudStore,
    at: Path,
    size: u64,
    e_tag: Option<String>,
    transfer: Transfer<'a>,
    fetched: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Fetch<'_> {
    fn fetch(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let tag = self.e_tag.as_deref();
        let bucket = &self.store.bucket;
        let wanted = range.end - range.start;
        let mut bytes = self
            .store
            .persist(&self.at, &self.transfer, || bucket.range(&self.at, range.clone(), tag))?
            .map_err(|e| self.store.error(&self.at, &e))?;
        // More than was asked for is no reason to believe any of it.
        bytes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        Ok(bytes)
    }
}

impl Read for Fetch<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.piece.read(out)?;
        if n > 0 || self.fetched == self.size || out.is_empty() {
            return Ok(n);
        }
        let end = self.fetched.saturating_add(FETCH).min(self.size);
        let bytes = self.fetch(self.fetched..end).map_err(io::Error::other)?;
        self.fetched += bytes.len() as u64;
        self.piece = io::Cursor::new(bytes);
        // Nothing where there should be something is the end; the reader above says what is amiss.
        fill(&mut self.piece, out)
    }
}

impl fmt::Display for CloudStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What crashes left in the scratch directory, told to the sweep.
fn is_left_over(path: &FilePath) -> Result<bool> {
    let Some(meta) = look(path)? else { return Ok(false) };
    if !meta.is_file() || path.extension().is_none_or(|e| e != "tmp") {
        return Ok(false);
    }
    match super::files::open_regular(path) {
        Ok(file) => Ok(file.try_lock().is_ok()),
        // Its owner is done with it at this moment.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
