//! What keeps bytes from being collected before anything refers to them.

use std::fmt::Debug;

use mlops_core::{Digest, Error, Result};

/// What was put under it stays until it ends: from before the put until the transaction that
/// refers to the bytes is committed.
///
/// It ends when it is [released](Self::release) or dropped, and with its process.
#[derive(Debug)]
pub struct Lease {
    store: String,
    held: Option<Box<dyn Held>>,
}

/// A store's own side of a [`Lease`]; dropped, it ends.
pub trait Held: Debug + Send + Sync {
    /// From now on no sweep removes these bytes. When this returns, one that was about to has
    /// done it.
    ///
    /// # Errors
    /// A store that can't be written.
    fn hold(&self, digest: Digest) -> Result<()>;

    /// Ends the lease.
    ///
    /// # Errors
    /// A store that can't be written; the lease may then last until its process ends or it runs
    /// out.
    fn release(self: Box<Self>) -> Result<()>;
}

impl Lease {
    /// A lease of the store with this name: what stores call.
    pub fn new(store: impl Into<String>, held: Box<dyn Held>) -> Self {
        Self { store: store.into(), held: Some(held) }
    }

    /// Whether this store may rely on it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a lease of another store.
    pub fn check(&self, store: &str) -> Result<()> {
        if self.store == store {
            return Ok(());
        }
        Err(Error::invalid("lease", format!("one of {store}"), format!("one of {}", self.store)))
    }

    /// From now on no sweep removes these bytes, whether they are there yet or not.
    ///
    /// # Errors
    /// A store that can't be written.
    pub fn hold(&self, digest: Digest) -> Result<()> {
        self.held.as_ref().map_or(Ok(()), |held| held.hold(digest))
    }

    /// Ends it.
    ///
    /// # Errors
    /// A store that can't be written; the lease may then last until its process ends or it runs
    /// out.
    pub fn release(mut self) -> Result<()> {
        self.held.take().map_or(Ok(()), Held::release)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.held.take().map(Held::release) {
            tracing::warn!(%error, store = self.store, "a lease did not end cleanly");
        }
    }
}
