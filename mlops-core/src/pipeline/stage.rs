//! What a pipeline is made of: a named piece of work, and what it is told while it runs.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::event::EventKind;
use crate::{Cancel, Error, OnProgress, Progress, Result};

/// A named piece of work, from an input to an output.
///
/// # Contract
/// - `run` depends on nothing but its input and what the stage was made with, so that it may be
///   run again: after an error (see [`retry`](Self::retry)), or in another process.
/// - The input is shared with other stages: it is read, never changed.
/// - Long work asks [`Context::check`] now and then whether it should stop.
pub trait Stage: Send + Sync + 'static {
    /// What it reads: `()` for a stage that starts, an output of the stage before, or a tuple or
    /// list of `Arc`s of outputs (see [`Inputs`](super::Inputs)).
    type Input: Send + Sync + 'static;
    /// What it makes.
    type Output: Send + Sync + 'static;

    /// Its name, unique in a pipeline.
    fn name(&self) -> &str;

    /// Does the work.
    ///
    /// # Errors
    /// Whatever went wrong. The stages that need the output are then skipped.
    fn run(&self, input: &Self::Input, context: &Context<'_>) -> Result<Self::Output>;

    /// How often it is tried; once by default.
    fn retry(&self) -> Retry {
        Retry::never()
    }

    /// A name of the code and parameters that make the output, which changes when they do. Two
    /// runs with equal versions and equal inputs have equal outputs. `None`, the default, says
    /// that nobody knows.
    fn version(&self) -> Option<String> {
        None
    }
}

/// What a stage is told while it runs, and where it says how far it is.
///
/// It is an [`OnProgress`], so that a [`Scan`](crate::Scan) in a stage can report to it.
pub struct Context<'a> {
    pub(super) cancel: &'a Cancel,
    pub(super) attempt: u32,
    pub(super) notes: &'a Mutex<Vec<String>>,
    pub(super) emit: &'a (dyn Fn(EventKind<'_>) + Sync),
}

impl Context<'_> {
    /// The switch that stops the run.
    pub fn cancel(&self) -> &Cancel {
        self.cancel
    }

    /// What long work calls at every step.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the run should stop.
    pub fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// A line for whoever watches, which the report of the run keeps: what was made or found.
    pub fn note(&self, text: impl Into<String>) {
        let text = text.into();
        (self.emit)(EventKind::Note { text: &text });
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

impl OnProgress for Context<'_> {
    fn on_progress(&self, progress: &Progress) {
        (self.emit)(EventKind::Progress { progress });
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("attempt", &self.attempt)
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

/// How often a stage is tried, and how long to wait in between: before attempt `k + 1`,
/// `base_delay · factor^(k − 1)`, at most `max_delay`.
///
/// A panic and a cancellation are never retried.
///
/// ```
/// use std::time::Duration;
/// use mlops_core::pipeline::Retry;
/// let retry = Retry::times(4).base_delay(Duration::from_secs(1)).factor(3.0);
/// assert_eq!(retry.delay_after(1), Duration::from_secs(1));
/// assert_eq!(retry.delay_after(3), Duration::from_secs(9));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    max_attempts: u32,
    base_delay: Duration,
    factor: f64,
    max_delay: Duration,
}

impl Retry {
    /// One attempt.
    pub const fn never() -> Self {
        Self::times(1)
    }

    /// At most this many attempts (at least one), 1 s apart, twice that after each, at most 1 min.
    pub const fn times(max_attempts: u32) -> Self {
        Self {
            max_attempts: if max_attempts == 0 { 1 } else { max_attempts },
            base_delay: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_secs(60),
        }
    }

    /// The same with this first delay.
    #[must_use]
    pub const fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = delay;
        self
    }

    /// The same with delays that grow by this factor.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The same with no delay longer than this.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// The most attempts.
    pub const fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// How long to wait after this many failed attempts.
    pub fn delay_after(&self, failures: u32) -> Duration {
        let times = self.factor.powf(f64::from(failures.saturating_sub(1)));
        let seconds = self.base_delay.as_secs_f64() * times;
        // What is no duration (a negative or infinite factor) waits as long as is allowed.
        Duration::try_from_secs_f64(seconds).map_or(self.max_delay, |d| d.min(self.max_delay))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::never()
    }
}

type Run<I, O> = dyn Fn(&I, &Context<'_>) -> Result<O> + Send + Sync;

/// A closure as a [`Stage`]; made by [`stage`] and [`stage_with`].
pub struct FnStage<I, O> {
    name: String,
    retry: Retry,
    version: Option<String>,
    run: Box<Run<I, O>>,
}

/// A stage from a closure of its input.
///
/// ```
/// use mlops_core::pipeline::{Runner, stage};
/// let extract = stage("extract", |()| Ok(vec![3, 1, 2]));
/// let sum = stage("sum", |numbers: &Vec<i32>| Ok(numbers.iter().sum::<i32>()));
/// assert_eq!(*(extract >> sum).run(&Runner::new())?, 6);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn stage<I, O, F>(name: impl Into<String>, run: F) -> FnStage<I, O>
where
    I: Send + Sync + 'static,
    O: Send + Sync + 'static,
    F: Fn(&I) -> Result<O> + Send + Sync + 'static,
{
    stage_with(name, move |input: &I, _: &Context<'_>| run(input))
}

/// A stage from a closure of its input and the [`Context`] of its run: for work that shows its
/// progress, can be stopped, or leaves a note.
pub fn stage_with<I, O, F>(name: impl Into<String>, run: F) -> FnStage<I, O>
where
    I: Send + Sync + 'static,
    O: Send + Sync + 'static,
    F: Fn(&I, &Context<'_>) -> Result<O> + Send + Sync + 'static,
{
    FnStage { name: name.into(), retry: Retry::never(), version: None, run: Box::new(run) }
}

impl<I, O> FnStage<I, O> {
    /// The same, tried like this.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same with this [`Stage::version`].
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

impl<I, O> fmt::Debug for FnStage<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnStage")
            .field("name", &self.name)
            .field("retry", &self.retry)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl<I: Send + Sync + 'static, O: Send + Sync + 'static> Stage for FnStage<I, O> {
    type Input = I;
    type Output = O;

    fn name(&self) -> &str {
        &self.name
    }

    fn run(&self, input: &I, context: &Context<'_>) -> Result<O> {
        (self.run)(input, context)
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn version(&self) -> Option<String> {
        self.version.clone()
    }
}

/// What stages hand over.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

/// A stage whose types are known to its neighbours only.
pub(super) trait ErasedStage: Send + Sync {
    fn name(&self) -> &str;
    fn retry(&self) -> Retry;
    fn version(&self) -> Option<String>;
    fn run(&self, input: &Value, context: &Context<'_>) -> Result<Value>;
}

impl<S: Stage> ErasedStage for S {
    fn name(&self) -> &str {
        Stage::name(self)
    }

    fn retry(&self) -> Retry {
        Stage::retry(self)
    }

    fn version(&self) -> Option<String> {
        Stage::version(self)
    }

    fn run(&self, input: &Value, context: &Context<'_>) -> Result<Value> {
        let input = input.downcast_ref::<S::Input>().ok_or_else(|| {
            let expected = std::any::type_name::<S::Input>();
            Error::invalid(format!("input of stage `{}`", self.name()), expected, "another type")
        })?;
        Ok(Arc::new(Stage::run(self, input, context)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_are_bounded() {
        let second = Duration::from_secs(1);
        let retry = Retry::times(100);
        assert_eq!(retry.delay_after(0), second);
        assert_eq!(retry.delay_after(2), 2 * second);
        assert_eq!(retry.delay_after(7), 60 * second);
        assert_eq!(retry.delay_after(u32::MAX), 60 * second);
        assert_eq!(retry.factor(f64::NAN).delay_after(3), 60 * second);
        assert_eq!(retry.factor(0.0).delay_after(3), Duration::ZERO);
        assert_eq!(Retry::times(0).max_attempts(), 1);
    }
}
