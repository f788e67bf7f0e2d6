//! A registry for asynchronous programs.

use std::fmt;
use std::sync::Arc;

use mlops_core::{
    Alias, AliasChange, Approval, Error, GateReport, Lineup, NewVersion, Promotion, Registry,
    RegistryExt, Result, Rollback, Timestamp, Unset, Version, Why, Withdrawal,
};

use crate::tracking::{Batch, Logged, NewRun, Page, Query, Run, RunStatus, Tracker, TrackerExt};

/// A registry whose methods run on a thread where waiting is allowed (tokio's `spawn_blocking`),
/// for a program that may not wait where it stands.
///
/// A future that is dropped takes nothing back: what it asked for is done to its end, or not at
/// all, as for any caller. What has no method here goes through [`call`](Self::call).
///
/// ```
/// use std::sync::Arc;
/// use mlops_core::{NewVersion, Registry, Timestamp};
/// use mlops_registry::{AsyncRegistry, MemoryRegistry};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
/// # runtime.block_on(async {
/// let registry = AsyncRegistry::new(Arc::new(MemoryRegistry::new()));
/// let new = NewVersion::new("loans", "ana").with_artifact("model.json", "{}");
/// let version = registry.register(new, Timestamp::from_millis(0)).await?;
/// assert_eq!(version.number, 1);
/// assert_eq!(registry.call(|registry| registry.models()).await?, ["loans"]);
/// # Ok::<(), mlops_core::Error>(())
/// # })?;
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub struct AsyncRegistry<R: ?Sized> {
    inner: Arc<R>,
}

impl<R: ?Sized> Clone for AsyncRegistry<R> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<R: fmt::Debug + ?Sized> fmt::Debug for AsyncRegistry<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncRegistry").field(&&*self.inner).finish()
    }
}

impl<R: Send + Sync + ?Sized + 'static> AsyncRegistry<R> {
    /// One over this registry, which others may go on using.
    pub fn new(inner: Arc<R>) -> Self {
        Self { inner }
    }

    /// The registry itself.
    pub fn inner(&self) -> &Arc<R> {
        &self.inner
    }

    /// Does this on a thread where waiting is allowed.
    ///
    /// # Errors
    /// Those of the work; [`Error::Other`] if it panicked, or the runtime ended before it began.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&R) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|e| Error::other("a call of the registry", e))?
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:tt),*) -> $result:ty, $call:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Those of the method of this name, and of [`call`](Self::call).
        pub async fn $name(&self, $($arg: methods!(@given $type)),*) -> Result<$result> {
            $(let $arg = methods!(@own $type $arg);)*
            let call: fn(&R, $(methods!(@owned $type)),*) -> Result<$result> = $call;
            self.call(move |registry| call(registry, $($arg),*)).await
        }
    )*};
    // What is only looked at is borrowed from the caller, and copied for the other thread.
    (@given str) => { &str };
    (@given Batch) => { &Batch };
    (@given Query) => { &Query };
    (@given $type:tt) => { $type };
    (@own str $arg:ident) => { $arg.to_owned() };
    (@own Batch $arg:ident) => { $arg.clone() };
    (@own Query $arg:ident) => { $arg.clone() };
    (@own $type:tt $arg:ident) => { $arg };
    (@owned str) => { String };
    (@owned $type:tt) => { $type };
}

impl<R: Registry + ?Sized> AsyncRegistry<R> {
    methods! {
        /// [`Registry::register`].
        register(new: NewVersion, at: Timestamp) -> Version, |r, new, at| r.register(new, at);
        /// [`Registry::version`].
        version(model: str, number: u64) -> Version, |r, model, number| r.version(&model, number);
        /// [`Registry::artifact`].
        artifact(model: str, number: u64, name: str) -> Vec<u8>,
            |r, model, number, name| r.artifact(&model, number, &name);
        /// [`RegistryExt::load`].
        load(model: str, alias: str, artifact: str) -> (Version, Vec<u8>),
            |r, model, alias, artifact| r.load(&model, &alias, &artifact);
        /// [`Registry::record_gate`].
        record_gate(model: str, number: u64, report: GateReport) -> (),
            |r, model, number, report| r.record_gate(&model, number, report);
        /// [`Registry::approve`].
        approve(model: str, number: u64, approval: Approval) -> (),
            |r, model, number, approval| r.approve(&model, number, approval);
        /// [`Registry::withdraw`].
        withdraw(model: str, number: u64, withdrawal: Withdrawal) -> (),
            |r, model, number, withdrawal| r.withdraw(&model, number, withdrawal);
        /// [`Registry::promote`].
        promote(promotion: Promotion, at: Timestamp) -> Alias,
            |r, promotion, at| r.promote(promotion, at);
        /// [`Registry::rollback`].
        rollback(rollback: Rollback, at: Timestamp) -> Alias,
            |r, rollback, at| r.rollback(rollback, at);
        /// [`Registry::unset`].
        unset(unset: Unset, at: Timestamp) -> Alias, |r, unset, at| r.unset(unset, at);
        /// [`Registry::alias`].
        alias(model: str, alias: str) -> Option<Alias>,
            |r, model, alias| r.alias(&model, &alias);
        /// [`Registry::history`].
        history(model: str, alias: str) -> Vec<AliasChange>,
            |r, model, alias| r.history(&model, &alias);
        /// [`RegistryExt::lineup`].
        lineup(model: str) -> Lineup, |r, model| r.lineup(&model);
        /// [`RegistryExt::why`].
        why(model: str, alias: str, at: Timestamp) -> Why,
            |r, model, alias, at| r.why(&model, &alias, at);
    }
}

impl<R: Tracker + ?Sized + 'static> AsyncRegistry<R> {
    methods! {
        /// [`Tracker::create_run`].
        create_run(new: NewRun, at: Timestamp) -> Run, |r, new, at| r.create_run(new, at);
        /// [`Tracker::log`].
        log(run: str, batch: Batch) -> Logged, |r, run, batch| r.log(&run, &batch);
        /// [`TrackerExt::finish_run`].
        finish_run(run: str, status: RunStatus, at: Timestamp) -> Run,
            |r, run, status, at| r.finish_run(&run, status, at);
        /// [`Tracker::search`].
        search(query: Query) -> Page<Run>, |r, query| r.search(&query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryRegistry;

    #[test]
    fn a_dropped_future_and_a_panic_do_no_harm() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shared: Arc<dyn Registry> = Arc::new(MemoryRegistry::new());
            let registry = AsyncRegistry::new(shared);
            let at = Timestamp::from_millis(0);
            let new = || NewVersion::new("loans", "ana").with_artifact("m", "x");
            // Never polled: never asked for.
            drop(registry.register(new(), at));
            let error = registry.call(|_| -> Result<()> { panic!("on purpose") }).await;
            assert!(error.unwrap_err().to_string().contains("a call of the registry"));
            assert_eq!(registry.register(new(), at).await.unwrap().number, 1);
            let (version, bytes) = (
                registry.version("loans", 1).await.unwrap(),
                registry.artifact("loans", 1, "m").await.unwrap(),
            );
            assert_eq!((version.number, bytes.as_slice()), (1, &b"x"[..]));
            assert!(registry.version("loans", 2).await.is_err());
        });
    }
}
