//! Any number of measurements known at run time, as one analyzer, and the judges of its results.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bytes::{add_count, bad, put_len, put_str, put_u8, take_len, take_str, take_u8};
use crate::{Analyzer, Description, Digest, Error, Result, Rows, State, Statistics};

/// A list of measurements that one scan makes: itself an analyzer.
///
/// Members of equal [`Description`] are measured once. A member that fails (its column is missing,
/// say) fails alone: [`Measurements::get`] tells whoever asks for it, and the others go on.
///
/// ```
/// use arrow::array::Int32Array;
/// use mlops_core::{DataSourceExt, MemorySource, batch, Plan, states::RowCount};
///
/// let mut plan = Plan::new();
/// let rows = plan.add(RowCount);
/// let source = MemorySource::from(batch! { "x" => Int32Array::from(vec![1, 2, 3]) }?);
/// let measured = source.measure(&plan)?;
/// assert_eq!(*measured.get(&rows)?, 3);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    id: u64,
    members: Vec<Arc<dyn ErasedAnalyzer>>,
    known: HashMap<(TypeId, Digest), usize>,
}

/// Where in a plan a measurement stands, and the type of its result.
pub struct Handle<T> {
    plan: u64,
    index: usize,
    output: PhantomData<fn() -> T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.index)
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// A plan that measures nothing yet.
    pub fn new() -> Self {
        static PLANS: AtomicU64 = AtomicU64::new(0);
        let id = PLANS.fetch_add(1, Ordering::Relaxed);
        Self { id, members: Vec::new(), known: HashMap::new() }
    }

    /// Adds a measurement; one that is there already (same type, equal description) is found, not
    /// added again.
    pub fn add<A: Analyzer>(&mut self, analyzer: A) -> Handle<A::Output>
    where
        A::Output: Sync,
    {
        let key = analyzer.identity().map(|identity| (TypeId::of::<A>(), identity));
        let next = self.members.len();
        let index = match key {
            Some(key) => *self.known.entry(key).or_insert(next),
            None => next,
        };
        if index == next {
            self.members.push(Arc::new(analyzer));
        }
        Handle { plan: self.id, index, output: PhantomData }
    }

    /// How many measurements there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member that has no [`Description`], as it prints itself: the reason why the plan has
    /// none, and why its states can't leave the process.
    pub fn undescribed(&self) -> Option<String> {
        self.members.iter().find(|m| m.description().is_none()).map(|m| format!("{m:?}"))
    }

    /// A plan read back from its description, by the kinds that this program knows.
    /// [`add`](Self::add) an equal analyzer to get the handle of a member.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not the description of a plan, or of a kind or version that is
    /// not in the map.
    pub fn from_description(description: &Description, kinds: &Kinds) -> Result<Self> {
        if description.kind != "plan" || description.version != 1 {
            let found = format!("version {} of `{}`", description.version, description.kind);
            return Err(Error::invalid("description", "version 1 of `plan`", found));
        }
        let mut plan = Self::new();
        for member in description.parse::<Vec<Description>>()? {
            let (type_id, analyzer) = kinds.build(&member)?;
            let next = plan.members.len();
            let identity = analyzer.identity().unwrap_or_else(|| member.digest());
            if *plan.known.entry((type_id, identity)).or_insert(next) == next {
                plan.members.push(analyzer);
            }
        }
        Ok(plan)
    }
}

impl Plan {
    /// Each member that can takes the partition in; which have.
    pub(crate) fn settle_each(&self, state: &mut PlanState, statistics: &Statistics) -> Vec<bool> {
        let slots = self.members.iter().zip(&mut state.slots).zip(&mut state.settled);
        let settle =
            |((member, slot), settled): ((&Arc<dyn ErasedAnalyzer>, &mut Slot), &mut Settled)| {
                // A member that failed needs no rows.
                let Ok(one) = slot else { return true };
                match member.settle(one.as_mut(), statistics) {
                    Ok(true) => {
                        add_count(&mut settled.partitions, 1);
                        add_count(&mut settled.rows, statistics.rows());
                        true
                    }
                    Ok(false) => false,
                    Err(error) => {
                        *slot = Err(Arc::new(error));
                        true
                    }
                }
            };
        slots.map(settle).collect()
    }

    /// Shows the rows to these members.
    pub(crate) fn update_some(
        &self,
        state: &mut PlanState,
        rows: &Rows<'_>,
        wants: impl Fn(usize) -> bool,
    ) {
        for (i, (member, slot)) in self.members.iter().zip(&mut state.slots).enumerate() {
            if wants(i)
                && let Ok(one) = slot
                && let Err(error) = member.update(one.as_mut(), rows)
            {
                *slot = Err(Arc::new(error));
            }
        }
    }

    /// The columns of these members.
    pub(crate) fn columns_of(&self, wants: impl Fn(usize) -> bool) -> Vec<String> {
        let members = self.members.iter().enumerate().filter(|(i, _)| wants(*i));
        let mut columns: Vec<_> = members.flat_map(|(_, m)| m.columns()).collect();
        columns.sort();
        columns.dedup();
        columns
    }
}

/// The kinds of analyzers that a program can read back: an explicit map.
#[derive(Debug, Default)]
pub struct Kinds(BTreeMap<(String, u16), (TypeId, Build)>);

type Build = fn(&Description) -> Result<Arc<dyn ErasedAnalyzer>>;

impl Kinds {
    /// A map that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows this kind from now on.
    #[must_use]
    pub fn with<A>(mut self, kind: &str, version: u16) -> Self
    where
        A: Analyzer + DeserializeOwned,
        A::Output: Sync,
    {
        self.0.insert(
            (kind.to_owned(), version),
            (TypeId::of::<A>(), |d| Ok(Arc::new(d.parse::<A>()?))),
        );
        self
    }

    fn build(&self, description: &Description) -> Result<(TypeId, Arc<dyn ErasedAnalyzer>)> {
        let key = (description.kind.clone().into_owned(), description.version);
        let (type_id, build) = self.0.get(&key).ok_or_else(|| {
            let known: Vec<_> = self.0.keys().map(|(k, v)| format!("{k} v{v}")).collect();
            Error::invalid(
                "kind of analyzer",
                format!("one of: {}", known.join(", ")),
                format!("{} v{}", key.0, key.1),
            )
        })?;
        Ok((*type_id, build(description)?))
    }
}

impl Analyzer for Plan {
    type State = PlanState;
    type Output = Measurements;

    fn columns(&self) -> Vec<String> {
        self.columns_of(|_| true)
    }

    fn start(&self) -> PlanState {
        PlanState::of(self.members.iter().map(|m| Ok(m.start())).collect())
    }

    fn update(&self, state: &mut PlanState, rows: &Rows<'_>) -> Result<()> {
        self.update_some(state, rows, |_| true);
        Ok(())
    }

    fn settle(&self, state: &mut PlanState, statistics: &Statistics) -> Result<bool> {
        // All or none; a scan of the plan itself lets each member settle alone.
        let mut settled = state.clone();
        if self.settle_each(&mut settled, statistics).contains(&false) {
            return Ok(false);
        }
        *state = settled;
        Ok(true)
    }

    fn finish(&self, state: PlanState) -> Result<Measurements> {
        let outputs = self
            .members
            .iter()
            .zip(state.slots)
            .map(|(member, slot)| {
                let done = slot.and_then(|one| member.finish(one).map_err(Arc::new));
                done.map_err(|error| Failure { of: name_of(&**member), error })
            })
            .collect();
        Ok(Measurements { plan: self.id, outputs, settled: state.settled })
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<PlanState> {
        let n = take_len(bytes, 1)?;
        if n != self.members.len() {
            return Err(bad(bytes, format!("{} members", self.members.len()), n));
        }
        let decode = |member: &Arc<dyn ErasedAnalyzer>, bytes: &mut &[u8]| match take_u8(bytes)? {
            0 => Ok(Ok(member.decode(bytes)?)),
            1 => Ok(Err(Arc::new(Error::Recorded { message: take_str(bytes)? }))),
            tag => Err(bad(bytes, "0 or 1", tag)),
        };
        self.members.iter().map(|m| decode(m, bytes)).collect::<Result<_>>().map(PlanState::of)
    }

    fn description(&self) -> Option<Description> {
        let members: Option<Vec<_>> = self.members.iter().map(|m| m.description()).collect();
        Some(Description::new("plan", 1, &members?))
    }
}

/// The states of a plan's members.
#[derive(Debug, Clone)]
pub struct PlanState {
    slots: Vec<Slot>,
    /// How each member came to know the rows, in this process: no part of the state.
    settled: Vec<Settled>,
}

type Slot = Result<Box<dyn ErasedState>, Arc<Error>>;

/// How much of a measurement was settled from statistics, without reading a row: see
/// [`Measurements::settled`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settled {
    /// How many partitions.
    pub partitions: u64,
    /// How many rows these have.
    pub rows: u64,
}

impl PlanState {
    fn of(slots: Vec<Slot>) -> Self {
        let settled = vec![Settled::default(); slots.len()];
        Self { slots, settled }
    }

    /// What the members failed with that did.
    pub fn failures(&self) -> impl Iterator<Item = &Error> {
        self.slots.iter().filter_map(|slot| slot.as_ref().err().map(|error| &**error))
    }
}

impl State for PlanState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.slots.len() != other.slots.len() {
            let reason = format!("{} members and {}", self.slots.len(), other.slots.len());
            return Err(Error::merge("a plan", reason));
        }
        for (mine, theirs) in self.settled.iter_mut().zip(other.settled) {
            add_count(&mut mine.partitions, theirs.partitions);
            add_count(&mut mine.rows, theirs.rows);
        }
        for (mine, theirs) in self.slots.iter_mut().zip(other.slots) {
            match (&mut *mine, theirs) {
                (Ok(one), Ok(two)) => one.merge(two)?,
                // Of two errors the same one stays, whichever side it came from.
                (Err(one), Err(two)) if one.to_string() <= two.to_string() => {}
                (_, Err(two)) => *mine = Err(two),
                (Err(_), Ok(_)) => {}
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.slots.len());
        for slot in &self.slots {
            match slot {
                Ok(state) => {
                    put_u8(out, 0);
                    state.encode(out);
                }
                Err(error) => {
                    put_u8(out, 1);
                    put_str(out, &error.to_string());
                }
            }
        }
    }

    fn size(&self) -> usize {
        self.slots.iter().map(|s| s.as_ref().map_or(64, |s| s.size())).sum()
    }
}

/// The results of a plan, fetched by handle.
#[derive(Debug)]
pub struct Measurements {
    plan: u64,
    outputs: Vec<Result<Box<dyn Any + Send + Sync>, Failure>>,
    settled: Vec<Settled>,
}

/// What a measurement failed with.
#[derive(Debug)]
struct Failure {
    /// The measurement's kind.
    of: String,
    error: Arc<Error>,
}

/// The kind of a measurement, or the name of its type.
fn name_of(member: &dyn ErasedAnalyzer) -> String {
    let kind = member.description().map(|d| d.kind.into_owned());
    kind.unwrap_or_else(|| format!("{member:?}").chars().take(40).collect())
}

impl Measurements {
    /// The result of the measurement that this handle was given for.
    ///
    /// # Errors
    /// What the measurement failed with; [`Error::Invalid`] for a handle of another plan.
    pub fn get<T: 'static>(&self, handle: &Handle<T>) -> Result<&T> {
        if handle.plan != self.plan {
            return Err(Error::invalid("handle", "one of this plan", "one of another plan"));
        }
        match self.outputs.get(handle.index) {
            Some(Ok(output)) => output.downcast_ref().ok_or_else(|| {
                Error::invalid("handle", std::any::type_name::<T>(), "another type")
            }),
            Some(Err(failure)) => {
                Err(Error::Within { context: failure.of.clone(), source: failure.error.clone() })
            }
            None => Err(Error::invalid("handle", "one of this plan", handle.index)),
        }
    }

    /// How much of the measurement was settled from what the source knew, without reading a row.
    /// Of states that came from another process it is not known, and counts as nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a handle of another plan.
    pub fn settled<T>(&self, handle: &Handle<T>) -> Result<Settled> {
        let own = self.settled.get(handle.index).filter(|_| handle.plan == self.plan);
        own.copied().ok_or_else(|| Error::invalid("handle", "one of this plan", "one of another"))
    }
}

/// What turns the results of a plan into an answer; may be used again and again, as a monitor
/// does with every batch.
///
/// [`and`](Self::and) makes one judge of two, [`map`](Self::map) another answer of the same.
pub struct Judge<T>(Box<JudgeFn<T>>);

type JudgeFn<T> = dyn Fn(&Measurements) -> Result<T> + Send + Sync;

impl<T> Debug for Judge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Judge<{}>", std::any::type_name::<T>())
    }
}

impl<T: 'static> Judge<T> {
    /// A judge that does this.
    pub fn new(judge: impl Fn(&Measurements) -> Result<T> + Send + Sync + 'static) -> Self {
        Self(Box::new(judge))
    }

    /// The answer to these results.
    ///
    /// # Errors
    /// A measurement that failed where the judge can't do without it.
    pub fn judge(&self, measured: &Measurements) -> Result<T> {
        (self.0)(measured)
    }

    /// Both answers.
    pub fn and<U: 'static>(self, other: Judge<U>) -> Judge<(T, U)> {
        Judge::new(move |m| Ok((self.judge(m)?, other.judge(m)?)))
    }

    /// Another answer made of this one.
    pub fn map<U: 'static>(self, f: impl Fn(T) -> U + Send + Sync + 'static) -> Judge<U> {
        Judge::new(move |m| Ok(f(self.judge(m)?)))
    }

    /// The answers of all of these, in order.
    pub fn all(judges: Vec<Self>) -> Judge<Vec<T>> {
        Judge::new(move |m| judges.iter().map(|j| j.judge(m)).collect())
    }
}

/// An analyzer whose types are forgotten.
trait ErasedAnalyzer: Debug + Send + Sync {
    fn columns(&self) -> Vec<String>;
    fn start(&self) -> Box<dyn ErasedState>;
    fn update(&self, state: &mut dyn ErasedState, rows: &Rows<'_>) -> Result<()>;
    fn settle(&self, state: &mut dyn ErasedState, statistics: &Statistics) -> Result<bool>;
    fn finish(&self, state: Box<dyn ErasedState>) -> Result<Box<dyn Any + Send + Sync>>;
    fn decode(&self, bytes: &mut &[u8]) -> Result<Box<dyn ErasedState>>;
    fn description(&self) -> Option<Description>;
    fn identity(&self) -> Option<Digest>;
}

impl<A: Analyzer> ErasedAnalyzer for A
where
    A::Output: Sync,
{
    fn columns(&self) -> Vec<String> {
        Analyzer::columns(self)
    }

    fn start(&self) -> Box<dyn ErasedState> {
        Box::new(Analyzer::start(self))
    }

    fn update(&self, state: &mut dyn ErasedState, rows: &Rows<'_>) -> Result<()> {
        match state.as_any_mut().downcast_mut() {
            Some(state) => Analyzer::update(self, state, rows),
            None => Err(foreign::<A>()),
        }
    }

    fn settle(&self, state: &mut dyn ErasedState, statistics: &Statistics) -> Result<bool> {
        match state.as_any_mut().downcast_mut() {
            Some(state) => Analyzer::settle(self, state, statistics),
            None => Err(foreign::<A>()),
        }
    }

    fn finish(&self, state: Box<dyn ErasedState>) -> Result<Box<dyn Any + Send + Sync>> {
        match state.into_any().downcast() {
            Ok(state) => Ok(Box::new(Analyzer::finish(self, *state)?)),
            Err(_) => Err(foreign::<A>()),
        }
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Box<dyn ErasedState>> {
        Ok(Box::new(Analyzer::decode(self, bytes)?))
    }

    fn description(&self) -> Option<Description> {
        Analyzer::description(self)
    }

    fn identity(&self) -> Option<Digest> {
        Analyzer::identity(self)
    }
}

/// A state whose type is forgotten.
trait ErasedState: Debug + Send + Sync {
    fn merge(&mut self, other: Box<dyn ErasedState>) -> Result<()>;
    fn encode(&self, out: &mut Vec<u8>);
    fn size(&self) -> usize;
    fn boxed(&self) -> Box<dyn ErasedState>;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<S: State> ErasedState for S {
    fn merge(&mut self, other: Box<dyn ErasedState>) -> Result<()> {
        match other.into_any().downcast() {
            Ok(other) => State::merge(self, *other),
            Err(_) => Err(foreign::<S>()),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        State::encode(self, out);
    }

    fn size(&self) -> usize {
        State::size(self)
    }

    fn boxed(&self) -> Box<dyn ErasedState> {
        Box::new(self.clone())
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Clone for Box<dyn ErasedState> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

fn foreign<T>() -> Error {
    Error::merge(std::any::type_name::<T>(), "the other state is of another type")
}
