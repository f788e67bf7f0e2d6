//! Logging that does not keep the training waiting: a queue, and a thread that commits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mlops_core::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Logged, Metric};
use super::tracker::Tracker;

/// What a [`Logger`] does when its queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Waits until there is room. The default.
    #[default]
    Wait,
    /// Returns an error; what was to be logged is not.
    Refuse,
}

/// How a [`Logger`] queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggerOptions {
    /// How many calls may wait to be stored.
    pub queue: usize,
    /// How many things are stored in one step, at most; a larger batch of the caller goes whole.
    pub batch: usize,
    /// What a call does when the queue is full.
    pub when_full: WhenFull,
}

impl Default for LoggerOptions {
    /// 8192 calls, 20,000 things in a step; a call waits.
    fn default() -> Self {
        Self { queue: 8192, batch: 20_000, when_full: WhenFull::Wait }
    }
}

/// Logs to a run from a queue on a thread of its own: a call returns at once, and whatever came
/// while the disk was busy is stored in one step. Nothing is ever dropped silently: a full queue
/// waits or refuses, an error of the store comes back from the next call, from
/// [`flush`](Self::flush) and from [`finish`](Self::finish).
///
/// A child that was forked has no thread to store what it logs: there every call is an error.
///
/// What was queued and not flushed is lost if the process dies. Dropping a logger waits until all
/// is stored, but has nobody to tell of an error: call `finish`.
///
/// ```
/// use std::sync::Arc;
/// use mlops_core::Timestamp;
/// use mlops_registry::MemoryRegistry;
/// use mlops_registry::tracking::{Logger, LoggerOptions, NewRun, Tracker, TrackerExt};
///
/// let tracker = Arc::new(MemoryRegistry::new());
/// let at = Timestamp::from_millis(0);
/// let experiment = tracker.open_experiment("loans", at)?.id;
/// let run = tracker.create_run(NewRun::new(experiment), at)?.id;
///
/// let logger = Logger::new(tracker.clone(), &run, LoggerOptions::default())?;
/// for step in 0..1000 {
///     logger.metric("loss", 1.0 / (step + 1) as f64, step, at)?;
/// }
/// assert_eq!(logger.finish()?.points, 1000);
/// assert_eq!(tracker.metric_history(&run, "loss")?.len(), 1000);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub struct Logger {
    run: String,
    when_full: WhenFull,
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Mutex<Shared>>,
    /// Whose thread stores; a forked child has the queue, and nobody who empties it.
    process: u32,
}

enum Message {
    Batch(Batch),
    Metric(Metric),
    /// Everything before it is to be stored; then the sender hears of it.
    Flush(SyncSender<()>),
}

#[derive(Default)]
struct Shared {
    /// What was stored since the last flush.
    logged: Logged,
    /// The first error; nothing is stored after it.
    error: Option<Arc<Error>>,
    /// Calls whose content was not stored because of it.
    lost: u64,
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Logger {
    /// A logger of this run.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such run; [`Error::Invalid`] for an empty queue or
    /// batch; [`Error::Other`] where the system gives no thread.
    pub fn new(
        tracker: Arc<dyn Tracker>,
        run: impl Into<String>,
        options: LoggerOptions,
    ) -> Result<Self> {
        let run = run.into();
        if options.queue == 0 || options.batch == 0 {
            return Err(Error::invalid("queue of a logger", "room for one thing or more", 0));
        }
        tracker.run(&run)?;
        let (sender, receiver) = sync_channel(options.queue);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let worker =
            Worker { tracker, run: run.clone(), most: options.batch, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name("mlops-logger".into())
            .spawn(move || worker.work(&receiver))
            .map_err(|e| Error::other("the thread of a logger", e))?;
        let (sender, thread) = (Some(sender), Some(thread));
        let process = std::process::id();
        Ok(Self { run, when_full: options.when_full, sender, thread, shared, process })
    }

    /// The run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Queues a point of a metric.
    ///
    /// # Errors
    /// As [`log`](Self::log).
    pub fn metric(
        &self,
        key: impl Into<String>,
        value: f64,
        step: i64,
        at: Timestamp,
    ) -> Result<()> {
        let key = key.into();
        super::limits::check_key("metric", &key)?;
        self.send(Message::Metric(Metric::new(key, value, step, at)))
    }

    /// Queues a batch. It is stored in one step, alone or with others.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a batch that no store takes, and for a full queue where that is to
    /// be an error: it was not queued. The error of the store, if what was queued before could
    /// not be stored: this was not queued either.
    pub fn log(&self, batch: Batch) -> Result<()> {
        batch.check()?;
        self.send(Message::Batch(batch))
    }

    fn same_process(&self) -> Result<()> {
        let here = std::process::id();
        if here == self.process {
            return Ok(());
        }
        Err(Error::invalid(
            format!("logger of run {}", self.run),
            format!("use in the process that made it, {}", self.process),
            format!("process {here}, forked from it: make one anew"),
        ))
    }

    fn send(&self, message: Message) -> Result<()> {
        self.same_process()?;
        self.check()?;
        let Some(sender) = &self.sender else { return Err(Self::gone()) };
        match self.when_full {
            WhenFull::Wait => sender.send(message).map_err(|_| Self::gone()),
            WhenFull::Refuse => sender.try_send(message).map_err(|e| match e {
                TrySendError::Full(_) => Error::invalid(
                    format!("queue of the logger of run {}", self.run),
                    "room",
                    "none; it was not logged",
                ),
                TrySendError::Disconnected(_) => Self::gone(),
            }),
        }
    }

    fn gone() -> Error {
        Error::invalid("the thread of a logger", "one that works", "one that has ended")
    }

    /// The error that stopped it.
    fn check(&self) -> Result<()> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = &shared.error else { return Ok(()) };
        let context =
            format!("logging to run {}; {} queued calls were not stored", self.run, shared.lost);
        Err(Error::Within { context, source: Arc::clone(error) })
    }

    /// Waits until everything that was queued is stored, and says what was since the last flush.
    ///
    /// # Errors
    /// The error of the store; it comes back from every later call, too.
    pub fn flush(&self) -> Result<Logged> {
        self.same_process()?;
        let (done, wait) = sync_channel(1);
        if let Some(sender) = &self.sender {
            sender.send(Message::Flush(done)).map_err(|_| Self::gone())?;
            wait.recv().map_err(|_| Self::gone())?;
        }
        self.check()?;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut shared.logged))
    }

    /// Flushes, and ends the thread.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn finish(self) -> Result<Logged> {
        self.flush()
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        self.sender = None;
        // In a forked child the thread is none, and would never end.
        if let Some(thread) = self.thread.take().filter(|_| self.process == std::process::id()) {
            // A panic of the store's was said by `flush`, or was said to nobody.
            let _ = thread.join();
        }
    }
}

struct Worker {
    tracker: Arc<dyn Tracker>,
    run: String,
    most: usize,
    shared: Arc<Mutex<Shared>>,
}

impl Worker {
    fn work(&self, queue: &Receiver<Message>) {
        let mut gathered = Gathered::default();
        loop {
            // Waits only with empty hands: what is gathered is stored as soon as nothing more is
            // there, and more gathers meanwhile.
            let message = if gathered.calls == 0 {
                queue.recv().ok()
            } else {
                match queue.try_recv() {
                    Ok(message) => Some(message),
                    Err(TryRecvError::Empty) => {
                        self.store(&mut gathered);
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => None,
                }
            };
            match message {
                None => {
                    self.store(&mut gathered);
                    return;
                }
                Some(Message::Flush(done)) => {
                    self.store(&mut gathered);
                    // Whoever waited may have gone.
                    let _ = done.send(());
                }
                Some(Message::Metric(metric)) => {
                    gathered.batch.metrics.push(metric);
                    gathered.calls += 1;
                    gathered.things += 1;
                }
                Some(Message::Batch(batch)) => {
                    if !gathered.fits(&batch, self.most) {
                        self.store(&mut gathered);
                    }
                    gathered.add(batch);
                }
            }
            if gathered.things >= self.most {
                self.store(&mut gathered);
            }
        }
    }

    fn store(&self, gathered: &mut Gathered) {
        let Gathered { batch, calls, .. } = std::mem::take(gathered);
        if calls == 0 {
            return;
        }
        let lock = || self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = lock().error.is_some();
        let stored = if broken { None } else { Some(self.tracker.log(&self.run, &batch)) };
        let mut shared = lock();
        match stored {
            Some(Ok(logged)) => shared.logged.add(logged),
            Some(Err(error)) => {
                shared.error = Some(Arc::new(error));
                shared.lost += calls;
            }
            None => shared.lost += calls,
        }
    }
}

/// Calls that go to the store together.
#[derive(Default)]
struct Gathered {
    batch: Batch,
    calls: u64,
    things: usize,
}

impl Gathered {
    /// Whether this can go with the rest and mean the same: a parameter that differs is the
    /// store's to refuse, and not to be lost here.
    fn fits(&self, batch: &Batch, most: usize) -> bool {
        let same = |mine: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
            theirs.iter().all(|(key, value)| mine.get(key).is_none_or(|v| v == value))
        };
        self.things + batch.len() <= most && same(&self.batch.params, &batch.params)
    }

    fn add(&mut self, batch: Batch) {
        self.calls += 1;
        self.things += batch.len();
        self.batch.metrics.extend(batch.metrics);
        self.batch.params.extend(batch.params);
        self.batch.tags.extend(batch.tags);
        self.batch.datasets.extend(batch.datasets);
        self.batch.models.extend(batch.models);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryRegistry;
    use crate::tracking::{NewRun, RunChange, TrackerExt};

    const AT: Timestamp = Timestamp::from_millis(0);

    fn run(options: LoggerOptions) -> (Arc<MemoryRegistry>, Logger) {
        let tracker = Arc::new(MemoryRegistry::new());
        let experiment = tracker.open_experiment("e", AT).expect("open_experiment").id;
        let run = tracker.create_run(NewRun::new(experiment), AT).expect("create_run").id;
        let logger = Logger::new(tracker.clone(), run, options).expect("a logger");
        (tracker, logger)
    }

    #[test]
    fn threads_log_and_nothing_is_lost() {
        let options = LoggerOptions { queue: 3, batch: 7, ..LoggerOptions::default() };
        let (tracker, logger) = run(options);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let logger = &logger;
                scope.spawn(move || {
                    for step in 0..100 {
                        logger.metric(format!("m{thread}"), 1.0, step, AT).expect("metric");
                        let tag = Batch::new().tag("last", step.to_string());
                        logger.log(tag).expect("log");
                    }
                });
            }
        });
        let run = logger.run().to_owned();
        let logged = logger.flush().expect("flush");
        assert_eq!(logged.points, 400, "every point");
        assert_eq!(logger.flush().expect("flush"), Logged::default(), "nothing since");
        logger.metric("m0", 1.0, 100, AT).expect("metric");
        assert_eq!(logger.finish().expect("finish").points, 1);
        assert_eq!(tracker.metric_history(&run, "m0").expect("history").len(), 101);
        assert_eq!(tracker.run(&run).expect("run").tags["last"], "99");
    }

    #[test]
    fn an_error_comes_back_from_every_later_call() {
        let (tracker, logger) = run(LoggerOptions::default());
        let run = logger.run().to_owned();
        logger.log(Batch::new().param("p", 1)).expect("log");
        logger.log(Batch::new().param("p", 2)).expect("queued");
        logger.metric("m", 1.0, 0, AT).ok();
        let error = logger.flush().expect_err("another value of a parameter");
        assert!(error.to_string().contains("parameter `p`"), "{error}");
        assert!(error.to_string().contains("queued calls were not stored"), "{error}");
        logger.metric("m", 1.0, 0, AT).expect_err("not queued");
        logger.finish().expect_err("said again");
        assert_eq!(tracker.run(&run).expect("run").params["p"], "1", "the first value");
        Logger::new(tracker, "none", LoggerOptions::default()).expect_err("no such run");
    }

    #[test]
    fn what_no_store_takes_is_refused_at_once() {
        let (_, logger) = run(LoggerOptions::default());
        logger.metric("a//b", 1.0, 0, AT).expect_err("a bad key");
        logger.log(Batch::new().tag("t", "\0")).expect_err("a bad value");
        logger.finish().expect("nothing was queued");
    }

    /// A store that waits until it is let go.
    #[derive(Debug)]
    struct Slow(MemoryRegistry, Mutex<()>);

    macro_rules! pass {
        ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
            fn $name(&self, $($arg: $type),*) -> Result<$out> { self.0.$name($($arg),*) }
        )*};
    }

    impl Tracker for Slow {
        pass! {
            create_experiment(new: crate::tracking::NewExperiment, at: Timestamp)
                -> crate::tracking::Experiment;
            experiment(id: u64) -> crate::tracking::Experiment;
            find_experiment(name: &str) -> Option<crate::tracking::Experiment>;
            experiments(view: crate::tracking::View) -> Vec<crate::tracking::Experiment>;
            change_experiment(id: u64, change: crate::tracking::ExperimentChange)
                -> crate::tracking::Experiment;
            delete_experiment(id: u64, at: Timestamp) -> ();
            restore_experiment(id: u64) -> ();
            create_run(new: NewRun, at: Timestamp) -> crate::tracking::Run;
            run(id: &str) -> crate::tracking::Run;
            change_run(id: &str, change: RunChange, at: Timestamp) -> crate::tracking::Run;
            metric_history(run: &str, key: &str) -> Vec<crate::tracking::Point>;
            search(query: &crate::tracking::Query)
                -> crate::tracking::Page<crate::tracking::Run>;
            delete_run(id: &str, at: Timestamp) -> ();
            restore_run(id: &str) -> ();
            collect_garbage(before: Timestamp) -> crate::tracking::Collected;
        }

        fn log(&self, run: &str, batch: &Batch) -> Result<Logged> {
            let _wait = self.1.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.log(run, batch)
        }
    }

    #[test]
    fn a_full_queue_refuses_where_it_is_told_to() {
        let slow = Arc::new(Slow(MemoryRegistry::new(), Mutex::new(())));
        let experiment = slow.open_experiment("e", AT).expect("open_experiment").id;
        let run = slow.create_run(NewRun::new(experiment), AT).expect("create_run").id;
        let options = LoggerOptions { queue: 2, batch: 1, when_full: WhenFull::Refuse };
        let logger = Logger::new(slow.clone(), &run, options).expect("a logger");
        let busy = slow.1.lock().expect("the store");
        let queued = (0..10).filter(|step| logger.metric("m", 0.0, *step, AT).is_ok()).count();
        assert!((2..=4).contains(&queued), "the queue and what the thread holds: {queued}");
        drop(busy);
        assert_eq!(logger.finish().expect("finish").points, queued as u64, "what was queued");
    }
}
