//! Runs the stages of a graph, side by side where it allows.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::event::{Event, EventKind, OnEvent};
use super::graph::{Needs, Node, Pipeline};
use super::report::{RunReport, StageReport, Status};
use super::stage::{Context, Value};
use crate::{Cancel, Error, Result};

/// How pipelines are run: by how many threads, who listens, who may stop it, by which clock.
///
/// The calling thread is one of the threads; with one, all stages run on it, and so in its rayon
/// pool. Among the stages that can run the one added first is taken first.
///
/// ```
/// use mlops_core::Cancel;
/// use mlops_core::pipeline::{Event, Runner, stage};
///
/// let cancel = Cancel::new(); // hand a clone to whoever may stop it
/// let show = |event: &Event<'_>| println!("{event}"); // [1/2] extract: started
/// let runner = Runner::new().threads(2).cancel(&cancel).on_event(&show);
/// let extract = stage("extract", |()| Ok(20));
/// let double = stage("double", |n: &i32| Ok(n * 2));
/// assert_eq!(*(extract >> double).run(&runner)?, 40);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    threads: Option<usize>,
    listener: Option<&'a dyn OnEvent>,
    cancel: Option<&'a Cancel>,
    clock: Option<&'a dyn Clock>,
}

impl Default for Runner<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("threads", &self.threads)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl<'a> Runner<'a> {
    /// As many threads as the machine has cores, the machine's clock, and nobody who listens.
    pub fn new() -> Self {
        Self { threads: None, listener: None, cancel: None, clock: None }
    }

    /// Runs at most this many stages at a time (at least 1).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }

    /// Tells this listener what happens.
    #[must_use]
    pub fn on_event(mut self, listener: &'a dyn OnEvent) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Starts no more stages once this switch is thrown; the stages that run see it in their
    /// [`Context`].
    #[must_use]
    pub fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Measures and waits by this clock.
    #[must_use]
    pub fn clock(mut self, clock: &'a dyn Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Runs every stage once all it needs has finished. A stage that fails stops none but those
    /// that need it; what became of each is in the [`Run`]. Outputs are kept until it is dropped.
    ///
    /// # Errors
    /// Those of [`Pipeline::check`]; nothing runs then.
    ///
    /// # Panics
    /// If the listener does. A stage that panics is a stage that failed.
    pub fn run(&self, pipeline: &Pipeline) -> Result<Run> {
        let needs = pipeline.needs()?;
        let system = SystemClock::new();
        let cancel = self.cancel.cloned().unwrap_or_default();
        let clock = self.clock.unwrap_or(&system);
        let work = Work {
            pipeline,
            listener: self.listener,
            cancel: &cancel,
            clock,
            began: clock.now(),
            board: Mutex::new(Board::new(&needs)),
            changed: Condvar::new(),
            needs,
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or_else(cores).min(pipeline.len()).max(1);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // A machine that has no more threads to give runs the stages with those it gave.
                let thread = std::thread::Builder::new().name("pipeline".into());
                if thread.spawn_scoped(scope, || work.work()).is_err() {
                    break;
                }
            }
            work.work();
        });
        work.finish()
    }
}

/// What a run left: the outputs, and what became of each stage.
#[derive(Debug)]
pub struct Run {
    pipeline: u64,
    references: Vec<Option<usize>>,
    outcomes: Vec<Outcome>,
    report: RunReport,
}

impl Run {
    /// The output of a stage.
    ///
    /// # Errors
    /// The stage's own, with its name; of a stage that was skipped, that of the stage which
    /// failed; [`Error::Cancelled`] if it was stopped; [`Error::Invalid`] for a node of another
    /// pipeline.
    pub fn get<T: Send + Sync + 'static>(&self, node: Node<T>) -> Result<Arc<T>> {
        let foreign = || Error::invalid("node", "one of the pipeline that ran", "another");
        let at = node.index(self.pipeline, &self.references).ok_or_else(foreign)?;
        match self.outcomes.get(at).ok_or_else(foreign)? {
            Outcome::Finished(value) => value.clone().downcast().map_err(|_| foreign()),
            Outcome::Failed { stage, error } => {
                Err(Error::Within { context: format!("stage `{stage}`"), source: error.clone() })
            }
            Outcome::Cancelled => Err(Error::Cancelled),
        }
    }

    /// What became of each stage.
    pub fn report(&self) -> &RunReport {
        &self.report
    }

    /// The report, if every stage finished.
    ///
    /// # Errors
    /// That of the first stage that did not, in the order in which they were added.
    pub fn success(&self) -> Result<&RunReport> {
        for outcome in &self.outcomes {
            match outcome {
                Outcome::Finished(_) => {}
                Outcome::Failed { stage, error } => {
                    let context = format!("stage `{stage}`");
                    return Err(Error::Within { context, source: error.clone() });
                }
                Outcome::Cancelled => return Err(Error::Cancelled),
            }
        }
        Ok(&self.report)
    }
}

#[derive(Clone)]
enum Outcome {
    Finished(Value),
    /// It failed, or a stage that it needs did: this one.
    Failed {
        stage: String,
        error: Arc<Error>,
    },
    Cancelled,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished(_) => f.write_str("Finished"),
            Self::Failed { stage, error } => write!(f, "Failed({stage}: {error})"),
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

/// What all threads of a run share.
struct Work<'a> {
    pipeline: &'a Pipeline,
    needs: Vec<Needs>,
    listener: Option<&'a dyn OnEvent>,
    cancel: &'a Cancel,
    clock: &'a dyn Clock,
    began: Duration,
    board: Mutex<Board>,
    changed: Condvar,
}

/// Who waits for whom, and what is done.
struct Board {
    /// How many of its needs each member still waits for.
    waiting: Vec<usize>,
    needed_by: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
    settled: Vec<Option<(Outcome, StageReport)>>,
    left: usize,
    /// What a listener panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

impl Board {
    fn new(needs: &[Needs]) -> Self {
        let waiting: Vec<_> = needs.iter().map(|n| n.all.len()).collect();
        let mut needed_by = vec![Vec::new(); needs.len()];
        for (at, need) in needs.iter().enumerate() {
            need.all.iter().for_each(|&on| needed_by[on].push(at));
        }
        let ready = (0..needs.len()).filter(|&at| waiting[at] == 0).collect();
        let settled = needs.iter().map(|_| None).collect();
        Self { waiting, needed_by, ready, settled, left: needs.len(), panic: None }
    }

    fn settle(&mut self, at: usize, outcome: Outcome, report: StageReport) {
        self.settled[at] = Some((outcome, report));
        self.left -= 1;
        for next in std::mem::take(&mut self.needed_by[at]) {
            self.waiting[next] -= 1;
            if self.waiting[next] == 0 {
                self.ready.insert(next);
            }
        }
    }

    fn outcome(&self, at: usize) -> Option<&Outcome> {
        self.settled[at].as_ref().map(|(outcome, _)| outcome)
    }
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes stages that can run until all are settled.
    fn work(&self) {
        let mut board = self.lock();
        while board.left > 0 && board.panic.is_none() {
            let Some(at) = board.ready.pop_first() else {
                board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let needs: Vec<_> =
                self.needs[at].all.iter().filter_map(|&on| board.outcome(on).cloned()).collect();
            let inputs: Vec<_> = self.needs[at]
                .inputs
                .iter()
                .filter_map(|&on| match board.outcome(on) {
                    Some(Outcome::Finished(value)) => Some(value.clone()),
                    _ => None,
                })
                .collect();
            drop(board);
            // What panics here is the listener: the other threads must not wait for ever.
            let settled = catch_unwind(AssertUnwindSafe(|| self.settle(at, &needs, &inputs)));
            board = self.lock();
            match settled {
                Ok((outcome, report)) => board.settle(at, outcome, report),
                Err(panic) => board.panic = Some(panic),
            }
            self.changed.notify_all();
        }
    }

    fn tell(&self, at: usize, kind: EventKind<'_>) {
        if let Some(listener) = self.listener {
            listener.on_event(&Event {
                stage: self.pipeline.members[at].stage.name(),
                index: at,
                stages: self.pipeline.len(),
                at: self.now(),
                kind,
            });
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().saturating_sub(self.began)
    }

    fn settle(&self, at: usize, needs: &[Outcome], inputs: &[Value]) -> (Outcome, StageReport) {
        let name = |at: usize| self.pipeline.members[at].stage.name().to_owned();
        let mut report = StageReport {
            name: name(at),
            version: self.pipeline.members[at].stage.version(),
            needs: self.needs[at].all.iter().map(|&on| name(on)).collect(),
            status: Status::Finished,
            attempts: 0,
            started: None,
            elapsed: Duration::ZERO,
            error: None,
            notes: Vec::new(),
        };
        for need in needs {
            if let Outcome::Failed { stage, .. } = need {
                self.tell(at, EventKind::Skipped { because_of: stage });
                report.status = Status::Skipped;
                report.error = Some(format!("`{stage}` failed"));
                return (need.clone(), report);
            }
        }
        if self.cancel.is_cancelled() || needs.iter().any(|n| matches!(n, Outcome::Cancelled)) {
            self.tell(at, EventKind::Cancelled);
            report.status = Status::Cancelled;
            return (Outcome::Cancelled, report);
        }
        let notes = Mutex::new(Vec::new());
        let started = self.now();
        let (attempts, result) = self.attempts(at, inputs, &notes);
        let elapsed = self.now().saturating_sub(started);
        report.attempts = attempts;
        report.started = Some(started);
        report.elapsed = elapsed;
        report.notes = notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let outcome = match result {
            Ok(value) => {
                self.tell(at, EventKind::Finished { elapsed, attempts });
                Outcome::Finished(value)
            }
            Err(error) if error.is_cancelled() => {
                self.tell(at, EventKind::Cancelled);
                report.status = Status::Cancelled;
                Outcome::Cancelled
            }
            Err(error) => {
                self.tell(at, EventKind::Failed { elapsed, attempts, error: &error });
                report.status = Status::Failed;
                report.error = Some(error.to_string());
                Outcome::Failed { stage: report.name.clone(), error: Arc::new(error) }
            }
        };
        (outcome, report)
    }

    /// Runs a stage until it succeeds or may not be tried again.
    fn attempts(
        &self,
        at: usize,
        inputs: &[Value],
        notes: &Mutex<Vec<String>>,
    ) -> (u32, Result<Value>) {
        let member = &self.pipeline.members[at];
        let Some(input) = (member.gather)(inputs) else {
            let what = format!("inputs of stage `{}`", member.stage.name());
            return (0, Err(Error::invalid(what, "the outputs that it takes", "others")));
        };
        let retry = member.stage.retry();
        let emit = |kind: EventKind<'_>| self.tell(at, kind);
        let mut attempt = 1;
        loop {
            self.tell(at, EventKind::Started { attempt });
            let context = Context { cancel: self.cancel, attempt, notes, emit: &emit };
            // The stage's own state is behind `&self`; what it left half-done there is its own.
            let result = catch_unwind(AssertUnwindSafe(|| member.stage.run(&input, &context)));
            let error = match result {
                Err(panic) => return (attempt, Err(panicked(panic.as_ref()))),
                Ok(Err(error)) if !error.is_cancelled() && attempt < retry.max_attempts() => error,
                Ok(result) => return (attempt, result),
            };
            let delay = retry.delay_after(attempt);
            self.tell(at, EventKind::Retried { attempt, error: &error, delay });
            if let Err(cancelled) = self.clock.sleep(delay, self.cancel) {
                return (attempt, Err(cancelled));
            }
            attempt += 1;
        }
    }

    fn finish(self) -> Result<Run> {
        let elapsed = self.now();
        let board = self.board.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(panic) = board.panic {
            resume_unwind(panic);
        }
        let (outcomes, stages) = board.settled.into_iter().flatten().unzip();
        Ok(Run {
            pipeline: self.pipeline.id(),
            references: self.pipeline.references()?,
            outcomes,
            report: RunReport { stages, elapsed },
        })
    }
}

/// A panic as an error that says what it said.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    Error::other("panicked", text.to_owned())
}
