//! Where alerts go.

use std::fmt::Debug;
use std::sync::Arc;

use super::Alert;
use crate::Result;

/// Takes alerts somewhere.
///
/// # Contract
/// - When `send` returns `Ok`, the alert has arrived: it is written, or the receiver said so.
/// - The same alert may be sent again (at least once, not at most once): receivers fold repeats
///   by [`dedup_key`](Alert::dedup_key).
/// - `send` may be called from several threads at once; it ends in bounded time.
/// - Errors and logs never carry a secret of the sink: a header, a path or query of a webhook.
///
/// [`conformance::alert_sink`](crate::conformance::alert_sink) tests what can be tested from
/// outside.
pub trait AlertSink: Debug + Send + Sync + 'static {
    /// Delivers an alert.
    ///
    /// # Errors
    /// Where it could not be delivered.
    fn send(&self, alert: &Alert) -> Result<()>;
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: AlertSink + ?Sized> AlertSink for $pointer<T> {
            fn send(&self, alert: &Alert) -> Result<()> {
                (**self).send(alert)
            }
        }
    )*};
}

forward!(Arc, Box);
