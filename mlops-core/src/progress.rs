//! How long work tells where it is, and how it is stopped.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// Where a long work is. Totals are `None` where nobody knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows seen so far.
    pub rows: u64,
    /// Rows there will be.
    pub rows_total: Option<u64>,
    /// Bytes read so far.
    pub bytes: u64,
    /// Bytes there will be.
    pub bytes_total: Option<u64>,
    /// Partitions finished so far.
    pub partitions: u64,
    /// Partitions there will be.
    pub partitions_total: Option<u64>,
}

impl Progress {
    /// The share done, in `[0, 1]`: by rows where their total is known, else by bytes, else by
    /// partitions, else `None`.
    pub fn fraction(&self) -> Option<f64> {
        let of = |done: u64, total: Option<u64>| {
            total.map(|t| if t == 0 { 1.0 } else { (done as f64 / t as f64).min(1.0) })
        };
        of(self.rows, self.rows_total)
            .or_else(|| of(self.bytes, self.bytes_total))
            .or_else(|| of(self.partitions, self.partitions_total))
    }
}

/// Somebody who wants to know; every `Fn(&Progress)` is one.
///
/// Called from the threads that do the work, often: be quick, and never block.
pub trait OnProgress: Send + Sync {
    /// The work has come this far.
    fn on_progress(&self, progress: &Progress);
}

impl<F: Fn(&Progress) + Send + Sync> OnProgress for F {
    fn on_progress(&self, progress: &Progress) {
        self(progress);
    }
}

/// A switch that stops long work: clones share it.
///
/// ```
/// use mlops_core::Cancel;
/// let cancel = Cancel::new();
/// let seen_by_the_work = cancel.clone();
/// cancel.cancel();
/// assert!(seen_by_the_work.check().unwrap_err().is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A switch that is not thrown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop at its next step.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What the work calls at every step.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the switch is thrown.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
