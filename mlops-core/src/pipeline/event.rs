//! What a run tells while it goes on.

use std::fmt;
use std::time::Duration;

use super::report::seconds;
use crate::{Error, Progress};

/// Something that happened to a stage; prints as a line for whoever watches:
/// `[2/9] train: finished in 0.250 s`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The stage's name.
    pub stage: &'a str,
    /// Its place in the pipeline, from 0, in the order in which stages were added.
    pub index: usize,
    /// How many stages there are.
    pub stages: usize,
    /// When: the time since the run began.
    pub at: Duration,
    /// What.
    pub kind: EventKind<'a>,
}

/// What happened to a stage.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// It began, or began again.
    Started {
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// It has come this far.
    Progress {
        /// How far.
        progress: &'a Progress,
    },
    /// It has something to say: [`Context::note`](super::Context::note).
    Note {
        /// What.
        text: &'a str,
    },
    /// It failed, and will be tried again.
    Retried {
        /// Which attempt failed, from 1.
        attempt: u32,
        /// How.
        error: &'a Error,
        /// How long it will wait.
        delay: Duration,
    },
    /// Its output is there.
    Finished {
        /// How long it took, with all attempts and waits.
        elapsed: Duration,
        /// How many attempts.
        attempts: u32,
    },
    /// It failed for good.
    Failed {
        /// How long it took, with all attempts and waits.
        elapsed: Duration,
        /// How many attempts.
        attempts: u32,
        /// How the last one failed.
        error: &'a Error,
    },
    /// It can't run, because a stage that it needs failed or was skipped.
    Skipped {
        /// That stage.
        because_of: &'a str,
    },
    /// The run was stopped before it began or in its midst.
    Cancelled,
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}/{}] {}: ", self.index + 1, self.stages, self.stage)?;
        match self.kind {
            EventKind::Started { attempt: 1 } => write!(f, "started"),
            EventKind::Started { attempt } => write!(f, "started, attempt {attempt}"),
            EventKind::Progress { progress } => match progress.fraction() {
                Some(share) => write!(f, "{:.0} %", 100.0 * share),
                None => write!(f, "{} rows", progress.rows),
            },
            EventKind::Note { text } => f.write_str(text),
            EventKind::Retried { attempt, error, delay } => {
                write!(f, "attempt {attempt} failed, again in {}: {error}", seconds(delay))
            }
            EventKind::Finished { elapsed, .. } => write!(f, "finished in {}", seconds(elapsed)),
            EventKind::Failed { elapsed, error, .. } => {
                write!(f, "failed after {}: {error}", seconds(elapsed))
            }
            EventKind::Skipped { because_of } => write!(f, "skipped, `{because_of}` failed"),
            EventKind::Cancelled => write!(f, "cancelled"),
        }
    }
}

/// Somebody who wants to know; every `Fn(&Event<'_>)` is one.
///
/// Called from the threads that run the stages: be quick, and never block.
pub trait OnEvent: Send + Sync {
    /// This happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> OnEvent for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}
