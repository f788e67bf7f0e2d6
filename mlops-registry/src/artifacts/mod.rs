//! The bytes of models and reports, under their SHA-256: in a directory, in memory, or in an
//! object store.
//!
//! Bytes are named by what they are. Whoever has the digest can tell whether what came back is
//! what was stored, equal bytes are stored once, and nothing is ever overwritten. An
//! [`ArtifactStore`] takes bytes from a reader and gives them back through one that verifies them
//! on the way, both with memory that does not grow with the bytes.
//!
//! ```
//! use mlops_core::{Error, Timestamp};
//! use mlops_registry::artifacts::{
//!     ArtifactStore, ArtifactStoreExt, Gc, LocalStore, Roots, Transfer,
//! };
//! use std::time::Duration;
//!
//! # let dir = tempfile::tempdir().map_err(|e| Error::io("a temporary directory", e))?;
//! # let path = dir.path().join("artifacts");
//! let store = LocalStore::open(path)?;
//!
//! // From before the put until something refers to the bytes, a lease keeps them.
//! let lease = store.lease()?;
//! let weights = store.put(&mut &b"weights"[..], &Transfer::new().under(&lease))?;
//! let other = store.put_bytes(b"an attempt that nobody wants")?;
//! let registered = [weights.digest]; // here: a transaction of a registry
//! lease.release()?;
//!
//! let gc = Gc::new(Timestamp::now(), Duration::ZERO);
//! let swept = store.collect_garbage(|| Ok(Roots::of_blobs(registered)), &gc)?;
//! assert_eq!((swept.removed.count, swept.referenced.count), (1, 1));
//! assert!(store.has(weights.digest)? && !store.has(other.digest)?);
//!
//! let mut reader = store.get(weights.digest, &Transfer::new())?;
//! let mut bytes = Vec::new();
//! std::io::copy(&mut reader, &mut bytes).map_err(|e| Error::io("weights", e))?;
//! assert_eq!(bytes, b"weights");
//! # Ok::<(), Error>(())
//! ```
//!
//! A directory is a [`Manifest`]: canonical JSON of its files, whose digest speaks for all of
//! them.
//!
//! # What is never lost
//!
//! Bytes go in before the transaction that refers to them; a crash between the two leaves bytes
//! that nothing refers to, and collecting garbage removes them. It must not remove those whose
//! transaction is about to be committed: a [`Lease`] covers them from before the put to after
//! the commit, and a grace whoever has none. A sweep asks what is referred to after it has begun,
//! and leases that end while it runs leave to it what they held. So it never takes what a
//! transaction refers to, however the two interleave, with no clock to rely on.

pub mod conformance;

#[cfg(feature = "cloud")]
mod cloud;
mod directory;
mod files;
mod gc;
mod lease;
mod local;
mod manifest;
mod memory;
mod store;
mod verified;

use mlops_core::{Digest, Error};

#[cfg(feature = "cloud")]
pub use cloud::{CloudOptions, CloudStore};
pub use gc::{Gc, Roots, Swept, Tally};
pub use lease::{Held, Lease};
pub use local::LocalStore;
pub use manifest::{Entry, Limits, Manifest, Mode};
pub use memory::MemoryStore;
pub use store::{ArtifactStore, ArtifactStoreExt, Blake3, Blob, Stored, Transfer};
pub use verified::VerifiedReader;

fn no_blob(digest: Digest) -> Error {
    Error::NotFound { existing: Vec::new(), what: "artifact".into(), name: digest.to_string() }
}

fn held(digest: Digest) -> Error {
    Error::Blocked {
        what: format!("removal of {digest}"),
        reasons: vec!["a lease holds it".into()],
    }
}
