//! All that a registry of this crate is, as one bound.

use mlops_core::{Registry, Result, Timestamp};

use crate::audit::Log;
use crate::outbox::Outbox;
use crate::tracking::Tracker;
use crate::{Erased, MemoryRegistry};

/// A registry with its tracking, its outbox and its audit log: for programs that leave open which.
///
/// ```
/// use mlops_core::{NewVersion, Result, Timestamp};
/// use mlops_registry::tracking::TrackerExt;
/// use mlops_registry::{Backend, MemoryRegistry};
///
/// /// The number of changes that the log has after this one.
/// fn first(store: &dyn Backend, now: Timestamp) -> Result<u64> {
///     store.open_experiment("loans", now)?;
///     store.register(NewVersion::new("loans", "ana").with_artifact("m", "x"), now)?;
///     store.len()
/// }
/// assert_eq!(first(&MemoryRegistry::new(), Timestamp::from_millis(0))?, 1);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub trait Backend: Registry + Tracker + Outbox + Log {
    /// Erases a person, as `erase` of the backend says.
    ///
    /// # Errors
    /// [`Error::Invalid`](mlops_core::Error::Invalid) for an empty name, or a person who erases
    /// themselves; those of the store.
    fn erase_person(&self, person: &str, actor: &str, at: Timestamp) -> Result<Erased>;
}

macro_rules! backend {
    ($($registry:ty),*) => {$(
        impl Backend for $registry {
            fn erase_person(&self, person: &str, actor: &str, at: Timestamp) -> Result<Erased> {
                self.erase(person, actor, at)
            }
        }
    )*};
}

backend!(MemoryRegistry);
#[cfg(feature = "sqlite")]
backend!(crate::SqliteRegistry);
#[cfg(feature = "postgres")]
backend!(crate::PostgresRegistry);
