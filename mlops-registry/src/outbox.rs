//! Telling others what happened: at least once, in the order in which it did.
//!
//! Every change appends its entry to the audit log in its own transaction. That entry is its row
//! in the outbox, too: it is there if and only if the change is, and its number is its place in
//! the line. A consumer (a webhook, a chat, a cache that reloads) is a name and the number of the
//! next entry that it is to get; [`drain`](OutboxExt::drain) delivers from there on and moves the
//! number after each. Who dies between the two delivers that entry again: receivers know it by its
//! number.
//!
//! ```
//! use std::time::Duration;
//! use mlops_core::alert::{AlertSink, MemorySink};
//! use mlops_core::{NewVersion, Registry, Timestamp};
//! use mlops_registry::MemoryRegistry;
//! use mlops_registry::outbox::{Outbox, OutboxExt, notice};
//!
//! let registry = MemoryRegistry::new();
//! registry.subscribe("ops", 0)?;
//! let now = Timestamp::from_millis(0);
//! registry.register(NewVersion::new("loans", "ana").with_artifact("model.json", "{}"), now)?;
//!
//! // Any sink: a webhook, a file, a chat. Call it from a timer, from as many processes as you like.
//! let sink = MemorySink::new();
//! let minute = Duration::from_secs(60);
//! registry.drain("ops", minute, &|| now, &mut |entry| sink.send(&notice(entry)))?;
//! assert_eq!(sink.alerts()[0].title, "register loans v1");
//! # Ok::<(), mlops_core::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mlops_core::alert::Alert;
use mlops_core::report::clean;
use mlops_core::{Error, Result, Severity, Timestamp, check_name};
use serde_json::Value;

use crate::MemoryRegistry;
use crate::audit::{Entry, Log};

/// How much of an error is kept, in characters.
const PROBLEM_CHARS: usize = 1000;
/// How many entries are read at a time.
const CHUNK: u64 = 256;

/// Who is told, and how far that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The number of the next entry that it is to get.
    pub next: u64,
    /// How often in a row that entry could not be delivered.
    pub failures: u64,
    /// Why, the last time.
    pub problem: Option<String>,
    /// When an entry was last delivered.
    pub delivered_at: Option<Timestamp>,
    /// Until when somebody has the turn to deliver.
    pub held_until: Option<Timestamp>,
}

impl Consumer {
    pub(crate) fn new(name: &str, next: u64) -> Self {
        let (failures, problem, delivered_at, held_until) = (0, None, None, None);
        Self { name: name.to_owned(), next, failures, problem, delivered_at, held_until }
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: next is entry {}", self.name, self.next)?;
        if let Some(at) = self.delivered_at {
            write!(f, ", the last delivered at {at}")?;
        }
        if let Some(problem) = &self.problem {
            write!(f, ", {} failures, the last: {}", self.failures, clean(problem))?;
        }
        Ok(())
    }
}

/// A turn to deliver to a consumer, which nobody else has until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// The consumer.
    pub consumer: String,
    /// What tells it from others' turns.
    pub holder: String,
    /// The number of the entry to be delivered next.
    pub next: u64,
}

impl Turn {
    pub(crate) fn new(consumer: &str, next: u64) -> Result<Self> {
        let holder = crate::tracking::random_id()?;
        Ok(Self { consumer: consumer.to_owned(), holder, next })
    }

    pub(crate) fn lost(&self) -> Error {
        Error::Conflict {
            what: format!("turn to deliver to `{}`, which somebody else has taken", self.consumer),
            expected: self.next,
            found: self.next,
        }
    }
}

/// What came of a turn so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of the next entry: all before it are delivered.
    pub next: u64,
    /// Why that one could not be delivered, if it was tried.
    pub problem: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Until when the turn goes on; `None` ends it.
    pub until: Option<Timestamp>,
}

impl Progress {
    /// What it makes of the consumer.
    pub(crate) fn apply(&self, consumer: &mut Consumer) {
        if self.next > consumer.next {
            (consumer.failures, consumer.problem) = (0, None);
            consumer.delivered_at = Some(self.at);
            consumer.next = self.next;
        }
        if let Some(problem) = &self.problem {
            consumer.failures += 1;
            consumer.problem = Some(problem.chars().take(PROBLEM_CHARS).collect());
        }
        consumer.held_until = self.until;
    }
}

/// Consumers of a [`Log`], and how far each has come. Every registry is one.
///
/// # Contract
/// - A consumer's place only grows but by [`seek`](Self::seek), and is durable when a method
///   returns.
/// - Of many that ask for the [`turn`](Self::turn) at once, one gets it. It is over with a
///   [`Progress`] that ends it, or at its time, so that nobody waits for the dead for ever; what
///   its former holder still says is [`Error::Conflict`].
pub trait Outbox: Log {
    /// Adds a consumer that is to get the entries from this number on: 0 for all that ever
    /// happened, [`len`](Log::len) for what is to come. One that is there stays where it is.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that can't be one; a store that can't be written.
    fn subscribe(&self, consumer: &str, from: u64) -> Result<()>;

    /// Moves a consumer, past an entry that can't be delivered or back to one that is wanted
    /// again.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a store that can't be written.
    fn seek(&self, consumer: &str, next: u64) -> Result<()>;

    /// Forgets a consumer. One that is not there is none already.
    ///
    /// # Errors
    /// A store that can't be written.
    fn unsubscribe(&self, consumer: &str) -> Result<()>;

    /// The consumers, by name.
    ///
    /// # Errors
    /// A store that can't be read.
    fn consumers(&self) -> Result<Vec<Consumer>>;

    /// Takes the turn to deliver to a consumer; `None` while somebody else has it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a store that can't be written.
    fn turn(&self, consumer: &str, at: Timestamp, until: Timestamp) -> Result<Option<Turn>>;

    /// Says how far a turn has come.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it was over and somebody else has taken it, or the consumer is
    /// gone; a store that can't be written.
    fn progress(&self, turn: &Turn, progress: &Progress) -> Result<()>;
}

/// What every [`Outbox`] can do.
pub trait OutboxExt: Outbox {
    /// Delivers every entry that a consumer has not got, in order, and says how many; `None` if
    /// somebody else is at it.
    ///
    /// An entry counts as delivered when `deliver` returns `Ok`. Its error ends this call; the
    /// consumer keeps it, and the next call begins with the same entry: none is left out. The turn
    /// is held for as long as `lease` after each entry, by the caller's clock: give it more than a
    /// delivery takes.
    ///
    /// # Errors
    /// [`Error::Within`] with the number of the entry and the error of `deliver`;
    /// [`Error::NotFound`] for a consumer that was not [added](Outbox::subscribe);
    /// [`Error::Conflict`] if the lease ran out and somebody else went on.
    fn drain(
        &self,
        consumer: &str,
        lease: Duration,
        clock: &dyn Fn() -> Timestamp,
        deliver: &mut dyn FnMut(&Entry) -> Result<()>,
    ) -> Result<Option<u64>> {
        let millis = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let until = || {
            let now = clock();
            (now, Timestamp::from_millis(now.millis().saturating_add(millis)))
        };
        let (at, end) = until();
        let Some(turn) = self.turn(consumer, at, end)? else { return Ok(None) };
        let len = self.len()?;
        let mut next = turn.next;
        while next < len {
            let entries = self.entries(next..len.min(next.saturating_add(CHUNK)))?;
            if entries.is_empty() {
                let expected = format!("entries up to {len}");
                return Err(Error::invalid("audit log", expected, format!("none from {next} on")));
            }
            for entry in &entries {
                if let Err(error) = deliver(entry) {
                    let problem = Some(error.to_string());
                    let progress = Progress { next, problem, at: clock(), until: None };
                    self.progress(&turn, &progress)?;
                    let context = format!("delivery of audit entry {next} to `{consumer}`");
                    return Err(Error::Within { context, source: Arc::new(error) });
                }
                next += 1;
                let (at, end) = until();
                let last = next >= len;
                let progress = Progress { next, problem: None, at, until: (!last).then_some(end) };
                self.progress(&turn, &progress)?;
            }
        }
        if next == turn.next {
            let progress = Progress { next, problem: None, at: clock(), until: None };
            self.progress(&turn, &progress)?;
        }
        Ok(Some(next.saturating_sub(turn.next)))
    }
}

impl<T: Outbox + ?Sized> OutboxExt for T {}

/// An entry as an alert for people: what was done to what as the title, who and why as the
/// summary, the entry's number and its plain details as labels. A rollback, an unset and
/// an approval that is taken back are warnings.
pub fn notice(entry: &Entry) -> Alert {
    let who = entry.actor().value().filter(|actor| !actor.is_empty());
    let mut summary = who.map_or(String::new(), |who| format!("by {who}"));
    for (name, value) in entry.personal() {
        if let Some(value) = value.value().filter(|value| !value.is_empty()) {
            summary.push_str(if summary.is_empty() { "" } else { ", " });
            // Writing to a string can't fail.
            let _ = write!(summary, "{}: {value}", name.replace('_', " "));
        }
    }
    let severity = match entry.action() {
        "rollback" | "unset" | "withdraw" => Severity::Warning,
        _ => Severity::Info,
    };
    let title = format!("{} {}", entry.action(), entry.subject());
    let mut alert = Alert::new("registry", severity, title, summary, entry.at())
        .subject(entry.subject())
        .label("entry", entry.seq().to_string());
    for (name, value) in entry.detail().as_object().into_iter().flatten() {
        match value {
            Value::String(text) if name != "row" => alert = alert.label(name, text),
            Value::Number(number) => alert = alert.label(name, number.to_string()),
            _ => {}
        }
    }
    alert
}

pub(crate) fn no_consumer(name: &str) -> Error {
    Error::NotFound {
        existing: Vec::new(),
        what: "consumer of the outbox".into(),
        name: format!("{name:.128}"),
    }
}

/// The consumers of a [`MemoryRegistry`], and who has the turn.
#[derive(Debug, Default)]
pub(crate) struct Consumers(Mutex<BTreeMap<String, (Consumer, Option<String>)>>);

impl MemoryRegistry {
    fn with_consumers<T>(
        &self,
        work: impl FnOnce(&mut BTreeMap<String, (Consumer, Option<String>)>) -> T,
    ) -> T {
        work(&mut self.told().0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Outbox for MemoryRegistry {
    fn subscribe(&self, consumer: &str, from: u64) -> Result<()> {
        check_name("consumer", consumer)?;
        self.with_consumers(|all| {
            let new = || (Consumer::new(consumer, from), None);
            all.entry(consumer.to_owned()).or_insert_with(new);
        });
        Ok(())
    }

    fn seek(&self, consumer: &str, next: u64) -> Result<()> {
        self.with_consumers(|all| {
            let slot = all.get_mut(consumer).ok_or_else(|| no_consumer(consumer))?;
            // Who has the turn loses it.
            *slot = (Consumer::new(consumer, next), None);
            Ok(())
        })
    }

    fn unsubscribe(&self, consumer: &str) -> Result<()> {
        self.with_consumers(|all| all.remove(consumer));
        Ok(())
    }

    fn consumers(&self) -> Result<Vec<Consumer>> {
        Ok(self.with_consumers(|all| all.values().map(|(consumer, _)| consumer.clone()).collect()))
    }

    fn turn(&self, consumer: &str, at: Timestamp, until: Timestamp) -> Result<Option<Turn>> {
        self.with_consumers(|all| {
            let (found, holder) = all.get_mut(consumer).ok_or_else(|| no_consumer(consumer))?;
            if found.held_until.is_some_and(|until| until > at) {
                return Ok(None);
            }
            let turn = Turn::new(consumer, found.next)?;
            found.held_until = Some(until);
            *holder = Some(turn.holder.clone());
            Ok(Some(turn))
        })
    }

    fn progress(&self, turn: &Turn, progress: &Progress) -> Result<()> {
        self.with_consumers(|all| match all.get_mut(&turn.consumer) {
            Some((consumer, holder)) if holder.as_ref() == Some(&turn.holder) => {
                progress.apply(consumer);
                if progress.until.is_none() {
                    *holder = None;
                }
                Ok(())
            }
            _ => Err(turn.lost()),
        })
    }
}
