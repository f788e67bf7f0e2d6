//! A runtime on a thread of its own, so that callers need none and block none.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use object_store::Error;
use tokio::runtime::{Builder, Handle};

/// A single-threaded tokio runtime, driven by its own thread until it is dropped.
pub(super) struct Runtime {
    handle: Handle,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    /// A forked child has no such thread.
    process: u32,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

/// Ready once somebody says so.
#[derive(Clone, Default)]
struct Stop(Arc<Mutex<(bool, Option<Waker>)>>);

impl Stop {
    fn now(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl Future for Stop {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Runtime {
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = Stop::default();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("mlops-artifacts".into())
            .spawn(move || runtime.block_on(stopped))?;
        Ok(Self { handle, stop, thread: Some(thread), process: std::process::id() })
    }

    /// Runs this to its end on the thread, while the caller waits.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let failed = |source: &'static str| Error::NotSupported { source: source.into() };
        if std::process::id() != self.process {
            return Err(failed("the process was forked: open the store anew"));
        }
        let (answer, answered) = mpsc::sync_channel(1);
        drop(self.handle.spawn(async move {
            // Whoever asked is still there: it waits.
            answer.send(work.await).ok();
        }));
        answered.recv().unwrap_or_else(|_| Err(failed("the request ended without an answer")))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop.now();
        if std::process::id() != self.process {
            return;
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
