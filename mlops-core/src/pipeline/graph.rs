//! The graph of stages, and its check before a run.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chain::Chain;
use super::stage::{ErasedStage, Stage, Value};
use crate::{Error, Result};

/// Stages and what each needs: an acyclic graph.
///
/// Adding a stage gives a typed [`Node`], which later stages take as their input; so types are
/// checked by the compiler, and cycles can't be made. Where a graph is put together from names
/// ([`named`](Self::named)), [`check`](Self::check) does both before anything runs.
///
/// ```
/// use std::sync::Arc;
/// use mlops_core::pipeline::{Pipeline, Runner, stage};
///
/// let mut p = Pipeline::new();
/// let numbers = p.add(stage("numbers", |()| Ok(vec![3.0, 4.0])));
/// let sum = p.add_after(stage("sum", |x: &Vec<f64>| Ok(x.iter().sum::<f64>())), numbers);
/// let count = p.add_after(stage("count", |x: &Vec<f64>| Ok(x.len())), numbers);
/// let mean = stage("mean", |(sum, n): &(Arc<f64>, Arc<usize>)| Ok(**sum / **n as f64));
/// let mean = p.add_after(mean, (sum, count)); // `sum` and `count` run side by side
///
/// let run = Runner::new().run(&p)?;
/// assert_eq!(*run.get(mean)?, 3.5);
/// println!("{}", run.report());
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub struct Pipeline {
    id: u64,
    pub(super) members: Vec<Member>,
    references: Vec<Reference>,
}

pub(super) struct Member {
    pub(super) stage: Box<dyn ErasedStage>,
    pub(super) gather: fn(&[Value]) -> Option<Value>,
    inputs: Vec<Target>,
    /// Stages that must have finished, and whose output is not an input.
    after: Vec<Target>,
    output: TypeId,
    output_name: &'static str,
}

/// A stage by a name that may be added later.
struct Reference {
    name: String,
    output: TypeId,
    output_name: &'static str,
}

/// What a [`Node`] points at.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Target {
    pipeline: u64,
    to: To,
}

#[derive(Clone, Copy, Debug)]
enum To {
    Member(usize),
    Reference(usize),
}

/// A stage of a pipeline, and the type of its output.
pub struct Node<T> {
    target: Target,
    output: PhantomData<fn() -> T>,
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Node<T> {}

impl<T> Node<T> {
    /// The member that it means in the pipeline of this id, with these references.
    pub(super) fn index(self, pipeline: u64, references: &[Option<usize>]) -> Option<usize> {
        match self.target.to {
            _ if self.target.pipeline != pipeline => None,
            To::Member(at) => Some(at),
            To::Reference(at) => references.get(at).copied().flatten(),
        }
    }
}

impl<T> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?})", self.target.to)
    }
}

/// What a stage can take as its input: `()` for nothing, a [`Node`] for the output of one stage, a
/// tuple of nodes for a tuple of `Arc`s of outputs, a `Vec` of nodes of one type for a `Vec` of
/// them.
pub trait Inputs: Sized {
    /// The input of the stage.
    type Value: Send + Sync + 'static;

    #[doc(hidden)]
    fn targets(self) -> Vec<Target>;

    #[doc(hidden)]
    fn gather(values: &[Value]) -> Option<Value>;
}

impl Inputs for () {
    type Value = ();

    fn targets(self) -> Vec<Target> {
        Vec::new()
    }

    fn gather(_: &[Value]) -> Option<Value> {
        Some(Arc::new(()))
    }
}

impl<T: Send + Sync + 'static> Inputs for Node<T> {
    type Value = T;

    fn targets(self) -> Vec<Target> {
        vec![self.target]
    }

    fn gather(values: &[Value]) -> Option<Value> {
        values.first().cloned()
    }
}

impl<T: Send + Sync + 'static> Inputs for Vec<Node<T>> {
    type Value = Vec<Arc<T>>;

    fn targets(self) -> Vec<Target> {
        self.iter().map(|node| node.target).collect()
    }

    fn gather(values: &[Value]) -> Option<Value> {
        let values: Option<Vec<Arc<T>>> =
            values.iter().map(|v| v.clone().downcast::<T>().ok()).collect();
        Some(Arc::new(values?))
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))+) => {$(
        impl<$($name: Send + Sync + 'static),+> Inputs for ($(Node<$name>,)+) {
            type Value = ($(Arc<$name>,)+);

            fn targets(self) -> Vec<Target> {
                vec![$(self.$index.target),+]
            }

            fn gather(values: &[Value]) -> Option<Value> {
                Some(Arc::new(($(values.get($index)?.clone().downcast::<$name>().ok()?,)+)))
            }
        }
    )+};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

impl Default for Pipeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Pipeline {
    /// A pipeline without stages.
    pub fn new() -> Self {
        static PIPELINES: AtomicU64 = AtomicU64::new(0);
        let id = PIPELINES.fetch_add(1, Ordering::Relaxed);
        Self { id, members: Vec::new(), references: Vec::new() }
    }

    /// Adds a stage that needs nothing.
    pub fn add<S: Stage<Input = ()>>(&mut self, stage: S) -> Node<S::Output> {
        self.add_after(stage, ())
    }

    /// Adds a stage that takes the outputs of others.
    pub fn add_after<S, N>(&mut self, stage: S, inputs: N) -> Node<S::Output>
    where
        S: Stage<Input = N::Value>,
        N: Inputs,
    {
        self.push(Box::new(stage), inputs.targets(), N::gather, of::<S::Output>())
    }

    /// Adds the stages of a chain, and gives the last one's node.
    pub fn add_chain<I, O, N>(&mut self, chain: Chain<I, O>, inputs: N) -> Node<O>
    where
        I: Send + Sync + 'static,
        O: Send + Sync + 'static,
        N: Inputs<Value = I>,
    {
        let mut next = (inputs.targets(), N::gather as fn(&[Value]) -> Option<Value>);
        let mut last = Target { pipeline: self.id, to: To::Member(self.members.len()) };
        for stage in chain.stages {
            // `>>` has checked what they hand over.
            last = self.push::<O>(stage, next.0, next.1, of::<O>()).target;
            next = (vec![last], |values| values.first().cloned());
        }
        Node { target: last, output: PhantomData }
    }

    fn push<T>(
        &mut self,
        stage: Box<dyn ErasedStage>,
        inputs: Vec<Target>,
        gather: fn(&[Value]) -> Option<Value>,
        (output, output_name): (TypeId, &'static str),
    ) -> Node<T> {
        let to = To::Member(self.members.len());
        let after = Vec::new();
        self.members.push(Member { stage, gather, inputs, after, output, output_name });
        Node { target: Target { pipeline: self.id, to }, output: PhantomData }
    }

    /// The stage of this name, which may be added later, with an output of this type: for graphs
    /// put together from a file or by several hands. [`check`](Self::check) finds a name that
    /// nobody has and a type that is another.
    pub fn named<T: Send + Sync + 'static>(&mut self, name: impl Into<String>) -> Node<T> {
        let to = To::Reference(self.references.len());
        let (output, output_name) = of::<T>();
        self.references.push(Reference { name: name.into(), output, output_name });
        Node { target: Target { pipeline: self.id, to }, output: PhantomData }
    }

    /// Lets the stage `later` run only after `first` has finished, though it takes nothing of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `later` is not a stage that was added to this pipeline.
    pub fn order<A, B>(&mut self, first: Node<A>, later: Node<B>) -> Result<()> {
        match later.target {
            Target { pipeline, to: To::Member(at) } if pipeline == self.id => {
                self.members[at].after.push(first.target);
                Ok(())
            }
            _ => Err(Error::invalid("later stage", "one added to this pipeline", "another")),
        }
    }

    /// How many stages there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The stages' names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|m| m.stage.name())
    }

    /// Whether the graph can run: names are unique, every name and node means a stage of this
    /// pipeline with an output of the right type, and no stage needs itself. A run checks this
    /// first.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::NotFound`] with the stages' names; of a cycle, with all of
    /// it.
    pub fn check(&self) -> Result<()> {
        self.needs().map(drop)
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The member that each reference means, where it means one.
    pub(super) fn references(&self) -> Result<Vec<Option<usize>>> {
        let by_name = self.by_name()?;
        let target = |at| Target { pipeline: self.id, to: To::Reference(at) };
        Ok((0..self.references.len()).map(|at| self.resolve(target(at), &by_name).ok()).collect())
    }

    fn by_name(&self) -> Result<HashMap<&str, usize>> {
        let mut by_name = HashMap::with_capacity(self.members.len());
        for (at, name) in self.names().enumerate() {
            if by_name.insert(name, at).is_some() {
                let found = format!("`{name}` twice");
                return Err(Error::invalid("stages", "different names", found));
            }
        }
        Ok(by_name)
    }

    fn resolve(&self, target: Target, by_name: &HashMap<&str, usize>) -> Result<usize> {
        if target.pipeline != self.id {
            return Err(Error::invalid("node", "one of this pipeline", "one of another"));
        }
        let reference = match target.to {
            To::Member(at) => return Ok(at),
            To::Reference(at) => &self.references[at],
        };
        let at = *by_name.get(&*reference.name).ok_or_else(|| Error::NotFound {
            existing: Vec::new(),
            what: "stage".into(),
            name: reference.name.clone(),
        })?;
        let member = &self.members[at];
        if member.output != reference.output {
            return Err(Error::invalid(
                format!("output of stage `{}`", reference.name),
                reference.output_name,
                member.output_name,
            ));
        }
        Ok(at)
    }

    /// For each member the members whose output it takes, in order, and all that it must wait for.
    pub(super) fn needs(&self) -> Result<Vec<Needs>> {
        let by_name = self.by_name()?;
        let resolve = |targets: &[Target], member: &Member| -> Result<Vec<usize>> {
            let found: Result<Vec<usize>> =
                targets.iter().map(|&target| self.resolve(target, &by_name)).collect();
            found.map_err(|e| e.within(format!("stage `{}`", member.stage.name())))
        };
        let needs = self
            .members
            .iter()
            .map(|member| {
                let inputs = resolve(&member.inputs, member)?;
                let mut all = resolve(&member.after, member)?;
                all.extend(&inputs);
                all.sort_unstable();
                all.dedup();
                Ok(Needs { inputs, all })
            })
            .collect::<Result<Vec<_>>>()?;
        self.check_cycles(&needs)?;
        Ok(needs)
    }

    /// Takes away stages that need nothing until none is left; what can't be taken needs itself.
    fn check_cycles(&self, needs: &[Needs]) -> Result<()> {
        let mut waiting: Vec<usize> = needs.iter().map(|n| n.all.len()).collect();
        let mut needed_by = vec![Vec::new(); needs.len()];
        for (at, need) in needs.iter().enumerate() {
            need.all.iter().for_each(|&on| needed_by[on].push(at));
        }
        let mut free: Vec<usize> = (0..needs.len()).filter(|&at| waiting[at] == 0).collect();
        while let Some(at) = free.pop() {
            for &next in &needed_by[at] {
                waiting[next] -= 1;
                if waiting[next] == 0 {
                    free.push(next);
                }
            }
        }
        let Some(start) = waiting.iter().position(|&n| n > 0) else { return Ok(()) };
        // From need to need among what is left, until a stage comes again.
        let mut path = vec![start];
        let mut at = start;
        while let Some(&next) = needs[at].all.iter().find(|&&on| waiting[on] > 0) {
            if let Some(first) = path.iter().position(|&seen| seen == next) {
                path.drain(..first);
                path.push(next);
                break;
            }
            path.push(next);
            at = next;
        }
        let names: Vec<_> = path.iter().map(|&at| self.members[at].stage.name()).collect();
        let found = format!("a cycle: {}", names.join(" needs "));
        Err(Error::invalid("pipeline", "no stage that needs itself", found))
    }
}

/// What a member waits for.
pub(super) struct Needs {
    pub(super) inputs: Vec<usize>,
    pub(super) all: Vec<usize>,
}

fn of<T: 'static>() -> (TypeId, &'static str) {
    (TypeId::of::<T>(), type_name::<T>())
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("stages", &self.names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
