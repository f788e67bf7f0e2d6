//! Stages one after the other: `extract >> transform >> load`.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Shr;
use std::sync::Arc;

use super::graph::{Node, Pipeline};
use super::runner::Runner;
use super::stage::{ErasedStage, FnStage, Stage};
use crate::Result;

/// Stages one after the other, from an input to an output: what `>>` makes. That each takes what
/// the one before makes is checked by the compiler.
///
/// A chain that starts with a [`Stage`] of your own begins with [`Chain::new`].
///
/// ```compile_fail
/// use mlops_core::pipeline::stage;
/// let extract = stage("extract", |()| Ok(vec![1.0]));
/// let count = stage("count", |text: &String| Ok(text.len()));
/// let chain = extract >> count; // a String is wanted, a Vec<f64> is given
/// ```
pub struct Chain<I, O> {
    pub(super) stages: Vec<Box<dyn ErasedStage>>,
    types: PhantomData<fn(&I) -> O>,
}

impl<I: Send + Sync + 'static, O: Send + Sync + 'static> Chain<I, O> {
    /// A chain of this stage alone.
    pub fn new(stage: impl Stage<Input = I, Output = O>) -> Self {
        Self { stages: vec![Box::new(stage)], types: PhantomData }
    }
}

impl<O: Send + Sync + 'static> Chain<(), O> {
    /// Runs the stages and gives the last one's output.
    ///
    /// # Errors
    /// That of the stage that failed, with its name.
    pub fn run(self, runner: &Runner<'_>) -> Result<Arc<O>> {
        let (pipeline, last) = self.into_pipeline();
        runner.run(&pipeline)?.get(last)
    }

    /// The chain as a pipeline, and the node of its last stage.
    pub fn into_pipeline(self) -> (Pipeline, Node<O>) {
        let mut pipeline = Pipeline::new();
        let last = pipeline.add_chain(self, ());
        (pipeline, last)
    }
}

impl<I, O> fmt::Debug for Chain<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|s| s.name())).finish()
    }
}

impl<I, M, S> Shr<S> for Chain<I, M>
where
    S: Stage<Input = M>,
{
    type Output = Chain<I, S::Output>;

    fn shr(mut self, next: S) -> Self::Output {
        self.stages.push(Box::new(next));
        Chain { stages: self.stages, types: PhantomData }
    }
}

impl<I, M, S> Shr<S> for FnStage<I, M>
where
    I: Send + Sync + 'static,
    M: Send + Sync + 'static,
    S: Stage<Input = M>,
{
    type Output = Chain<I, S::Output>;

    fn shr(self, next: S) -> Self::Output {
        Chain::new(self) >> next
    }
}
