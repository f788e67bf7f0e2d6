//! The seam: bytes by their digest.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use mlops_core::{Cancel, Digest, Error, OnProgress, Progress, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::gc::{Gc, Roots, Swept};
use super::lease::Lease;
use super::manifest::{Limits, Manifest};
use super::verified::VerifiedReader;

/// The BLAKE3 of some bytes; prints as `blake3:` and 64 hexadecimal digits.
///
/// It stands beside the SHA-256, which is what names bytes, because it is several times as fast
/// to take.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Blake3([u8; 32]);

impl Blake3 {
    /// The digest of these bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(blake3::hash(bytes.as_ref()).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl Debug for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Blake3 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("blake3:").unwrap_or(text);
        let hash = blake3::Hash::from_hex(hex);
        hash.map(|hash| Self(hash.into()))
            .map_err(|_| Error::invalid("digest", "blake3: and 64 hexadecimal digits", text))
    }
}

impl TryFrom<String> for Blake3 {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Blake3> for String {
    fn from(digest: Blake3) -> Self {
        digest.to_string()
    }
}

/// Bytes that were stored: their names and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Blob {
    /// Their SHA-256: the name under which the store has them.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// Their BLAKE3.
    pub blake3: Blake3,
}

impl Blob {
    /// What these bytes are called.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let (digest, blake3) = (Digest::of(bytes), Blake3::of(bytes));
        Self { digest, size: bytes.len() as u64, blake3 }
    }

    pub(super) fn new(digest: Digest, size: u64, blake3: Blake3) -> Self {
        Self { digest, size, blake3 }
    }
}

impl fmt::Display for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.digest, self.size)
    }
}

/// Bytes that a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stored {
    /// Their SHA-256.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// When they were last put, by the clock of the file system or server that has them.
    pub modified: Timestamp,
}

impl Stored {
    /// What a store says of bytes that it has.
    pub fn new(digest: Digest, size: u64, modified: Timestamp) -> Self {
        Self { digest, size, modified }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, {})", self.digest, self.size, self.modified)
    }
}

/// How bytes are moved: who hears of it, who may stop it, and what is known of them beforehand.
///
/// ```
/// use mlops_core::{Cancel, Progress};
/// use mlops_registry::artifacts::{ArtifactStore, MemoryStore, Transfer};
///
/// let cancel = Cancel::new(); // hand a clone to whoever may stop it
/// let show = |p: &Progress| assert!(p.bytes <= 5);
/// let transfer = Transfer::new().on_progress(&show).cancel(&cancel).total(5);
/// let blob = MemoryStore::new().put(&mut &b"bytes"[..], &transfer)?;
/// assert_eq!(blob.size, 5);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Transfer<'a> {
    pub(super) progress: Option<&'a dyn OnProgress>,
    pub(super) cancel: Option<&'a Cancel>,
    pub(super) lease: Option<&'a Lease>,
    pub(super) total: Option<u64>,
    pub(super) expect: Option<Digest>,
    pub(super) at_most: Option<u64>,
}

impl<'a> Transfer<'a> {
    /// Nobody hears of it, nobody stops it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who hears how far it is, in bytes.
    #[must_use]
    pub fn on_progress(mut self, listener: &'a dyn OnProgress) -> Self {
        self.progress = Some(listener);
        self
    }

    /// The switch that stops it.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// What is put stays until this lease ends, whatever collects garbage meanwhile. A lease of
    /// another store is refused.
    #[must_use]
    pub fn under(mut self, lease: &'a Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    /// How many bytes there will be, for the [`Progress`] of a put.
    #[must_use]
    pub fn total(mut self, bytes: u64) -> Self {
        self.total = Some(bytes);
        self
    }

    /// A put of bytes with another digest stores nothing.
    #[must_use]
    pub fn expect(mut self, digest: Digest) -> Self {
        self.expect = Some(digest);
        self
    }

    /// A put of more bytes than this stores nothing.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.at_most = Some(bytes);
        self
    }

    /// Says how far it is; [`Error::Cancelled`] once the switch is thrown.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn step(&self, bytes: u64, total: Option<u64>) -> Result<()> {
        if let Some(cancel) = self.cancel {
            cancel.check()?;
        }
        if let Some(listener) = self.progress {
            let mut progress = Progress::default();
            progress.bytes = bytes;
            progress.bytes_total = total;
            listener.on_progress(&progress);
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<()> {
        self.cancel.map_or(Ok(()), Cancel::check)
    }
}

impl Debug for Transfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer")
            .field("lease", &self.lease)
            .field("total", &self.total)
            .field("expect", &self.expect)
            .field("at_most", &self.at_most)
            .finish_non_exhaustive()
    }
}

/// A store of bytes under their SHA-256.
///
/// # Contract
/// - When `put` returns, the bytes are durable under their digest. When it fails or the process
///   dies, no bytes stand under a digest that is not theirs, and what is left over of the attempt
///   is swept later. Bytes that are there already are not stored twice; if what is there has
///   rotted, it is replaced.
/// - A reader from `get` gives the bytes of that digest or an error: whoever has read all of them
///   has read verified ones.
/// - `put` and `get` need memory that does not grow with the bytes, `list` none that grows with
///   their number (but where the store is memory itself).
/// - What was put under a [`Lease`] stays until the lease ends; `delete` says so and `sweep`
///   leaves it.
/// - `sweep` asks for the marks after it has begun, so that bytes whose lease ended before are
///   among them; bytes of leases that end while it runs are kept.
/// - Any number of threads and processes may work on one store at once.
///
/// [`conformance`](super::conformance) tests all of this.
pub trait ArtifactStore: Debug + Send + Sync + 'static {
    /// Stores what this reader gives, up to its end.
    ///
    /// # Errors
    /// Those of the reader and the store; [`Error::Invalid`] for other bytes than expected or
    /// more than allowed; [`Error::Cancelled`].
    fn put(&self, bytes: &mut dyn Read, transfer: &Transfer<'_>) -> Result<Blob>;

    /// A reader of these bytes that verifies them on the way.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a store that can't be read.
    fn get<'a>(&self, digest: Digest, transfer: &Transfer<'a>) -> Result<VerifiedReader<'a>>;

    /// What the store knows of these bytes without reading them; `None` if it has them not.
    ///
    /// # Errors
    /// A store that can't be read.
    fn stat(&self, digest: Digest) -> Result<Option<Stored>>;

    /// Removes these bytes, referenced or not; whether they were there.
    ///
    /// # Errors
    /// [`Error::Blocked`] if a lease holds them; a store that can't be written.
    fn delete(&self, digest: Digest) -> Result<bool>;

    /// Shows everything that is there, in no order. Errors of the callback end it.
    ///
    /// # Errors
    /// Those of the callback; a store that can't be read.
    fn list(&self, each: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()>;

    /// A lease: what is put under it stays until it ends.
    ///
    /// # Errors
    /// A store that can't be written.
    fn lease(&self) -> Result<Lease>;

    /// Removes what is not marked, not held by a lease and older than the grace, and what
    /// crashes left over.
    ///
    /// `marks` is called once, after the sweep has begun: what it gives must hold every digest
    /// that is referenced at that time. [`ArtifactStoreExt::collect_garbage`] is what programs
    /// call.
    ///
    /// # Errors
    /// Those of `marks` (then nothing is removed); [`Error::Blocked`] if another sweep runs; a
    /// store that can't be written.
    fn sweep(
        &self,
        marks: &mut dyn FnMut() -> Result<HashSet<Digest>>,
        gc: &Gc<'_>,
    ) -> Result<Swept>;

    /// Reads these bytes and compares them with their digest, by the fastest way that the store
    /// has; gives how many they are.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Decode`] if they are not what was stored.
    fn check(&self, digest: Digest, transfer: &Transfer<'_>) -> Result<u64> {
        let mut reader = self.get(digest, transfer)?;
        reader.drain()
    }
}

/// What every [`ArtifactStore`] can do.
pub trait ArtifactStoreExt: ArtifactStore {
    /// Whether the store has these bytes.
    ///
    /// # Errors
    /// A store that can't be read.
    fn has(&self, digest: Digest) -> Result<bool> {
        Ok(self.stat(digest)?.is_some())
    }

    /// How many these bytes are; `None` if the store has them not.
    ///
    /// # Errors
    /// A store that can't be read.
    fn size(&self, digest: Digest) -> Result<Option<u64>> {
        Ok(self.stat(digest)?.map(|stored| stored.size))
    }

    /// Stores these bytes.
    ///
    /// # Errors
    /// Those of [`ArtifactStore::put`].
    fn put_bytes(&self, bytes: &[u8]) -> Result<Blob> {
        self.put(&mut &*bytes, &Transfer::new().total(bytes.len() as u64))
    }

    /// Stores the bytes of this file.
    ///
    /// # Errors
    /// Those of [`ArtifactStore::put`]; [`Error::Io`] for a file that can't be read.
    fn put_file(&self, path: impl AsRef<Path>, transfer: &Transfer<'_>) -> Result<Blob> {
        let path = path.as_ref();
        let open = || {
            let file = std::fs::File::open(path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        let (mut file, size) = open().map_err(|e| Error::io(path, e))?;
        self.put(&mut file, &transfer.total(size))
    }

    /// All of these bytes, verified: for small ones. More than `at_most` are refused.
    ///
    /// # Errors
    /// Those of [`ArtifactStore::get`]; [`Error::Invalid`] if they are too many;
    /// [`Error::Decode`] if they are not what was stored.
    fn get_bytes(&self, digest: Digest, at_most: u64) -> Result<Vec<u8>> {
        self.get(digest, &Transfer::new())?.into_bytes(at_most)
    }

    /// Stores every file of a directory and then its manifest; gives the manifest and its name.
    ///
    /// # Errors
    /// Those of [`Manifest::of_directory`] and [`ArtifactStore::put`].
    fn put_directory(
        &self,
        directory: impl AsRef<Path>,
        transfer: &Transfer<'_>,
    ) -> Result<(Manifest, Blob)> {
        super::directory::put(self, directory.as_ref(), transfer)
    }

    /// The manifest that has this digest.
    ///
    /// # Errors
    /// Those of [`ArtifactStore::get`] and [`Manifest::from_json`].
    fn manifest(&self, digest: Digest, limits: &Limits) -> Result<Manifest> {
        let bytes = self.get_bytes(digest, limits.manifest_bytes)?;
        Manifest::from_json(&bytes, limits)
    }

    /// Writes the directory of this manifest under a name that is not there yet, all of it or
    /// nothing.
    ///
    /// # Errors
    /// Those of [`Manifest::materialise`].
    fn get_directory(
        &self,
        digest: Digest,
        into: impl AsRef<Path>,
        limits: &Limits,
        transfer: &Transfer<'_>,
    ) -> Result<Manifest> {
        let manifest = self.manifest(digest, limits)?;
        manifest.materialise(self, into, limits, transfer)?;
        Ok(manifest)
    }

    /// Removes what nothing refers to: marks what the roots name, and the files of the manifests
    /// among them, then [sweeps](ArtifactStore::sweep).
    ///
    /// `roots` is called once, after the sweep has begun; a manifest that is missing or damaged
    /// ends it before anything is removed.
    ///
    /// # Errors
    /// Those of `roots` and of the manifests; those of [`ArtifactStore::sweep`].
    fn collect_garbage(
        &self,
        mut roots: impl FnMut() -> Result<Roots>,
        gc: &Gc<'_>,
    ) -> Result<Swept> {
        self.sweep(&mut || roots()?.marks(self), gc)
    }
}

impl<T: ArtifactStore + ?Sized> ArtifactStoreExt for T {}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: ArtifactStore + ?Sized> ArtifactStore for $pointer<T> {
            fn put(&self, bytes: &mut dyn Read, transfer: &Transfer<'_>) -> Result<Blob> {
                (**self).put(bytes, transfer)
            }

            fn get<'a>(
                &self,
                digest: Digest,
                transfer: &Transfer<'a>,
            ) -> Result<VerifiedReader<'a>> {
                (**self).get(digest, transfer)
            }

            fn stat(&self, digest: Digest) -> Result<Option<Stored>> {
                (**self).stat(digest)
            }

            fn delete(&self, digest: Digest) -> Result<bool> {
                (**self).delete(digest)
            }

            fn list(&self, each: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
                (**self).list(each)
            }

            fn lease(&self) -> Result<Lease> {
                (**self).lease()
            }

            fn sweep(
                &self,
                marks: &mut dyn FnMut() -> Result<HashSet<Digest>>,
                gc: &Gc<'_>,
            ) -> Result<Swept> {
                (**self).sweep(marks, gc)
            }

            fn check(&self, digest: Digest, transfer: &Transfer<'_>) -> Result<u64> {
                (**self).check(digest, transfer)
            }
        }
    )*};
}

forward!(Arc, Box);
