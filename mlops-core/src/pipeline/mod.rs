//! Pipelines: stages, their graph, and its run, in the caller's process.
//!
//! A [`Stage`] is a named piece of work from an input to an output; closures are stages
//! ([`stage`], [`stage_with`]). Stages one after the other read `extract >> transform >> load`
//! ([`Chain`]); any other acyclic graph is put together in a [`Pipeline`]. What is handed over is
//! typed, checked by the compiler and shared, never copied. A [`Runner`] runs what can run side by
//! side, tries again what may be ([`Retry`]), tells a listener ([`Event`]), stops when asked
//! ([`Cancel`](crate::Cancel)), and reports what became of each stage ([`RunReport`]).
//!
//! ```
//! use mlops_core::pipeline::{Retry, Runner, Status, stage, stage_with};
//! use mlops_core::pipeline::Pipeline;
//!
//! let extract = stage("extract", |()| Ok(vec![4.0, 8.0])).retry(Retry::times(3));
//! let mean = stage_with("mean", |x: &Vec<f64>, context| {
//!     context.note(format!("{} numbers", x.len()));
//!     Ok(x.iter().sum::<f64>() / x.len() as f64)
//! });
//!
//! let mut pipeline = Pipeline::new();
//! let mean = pipeline.add_chain(extract >> mean, ());
//! let run = Runner::new().run(&pipeline)?;
//! assert_eq!(*run.get(mean)?, 6.0);
//! assert_eq!(run.report().stage("mean").map(|s| s.status), Some(Status::Finished));
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! # Where a cache, resuming and a schedule connect
//! All three stand on what makes an output the same: the stage's [`name`](Stage::name) and
//! [`version`](Stage::version), and the outputs that it takes. A cache and a resumed run wrap a
//! `Stage` of encodable input and output in another of the same types, which looks its output up
//! by a digest of these before it runs the inner one; the graph and the runner stay as they are. A
//! schedule calls [`Runner::run`], whose pipeline may run any number of times.

mod chain;
mod clock;
mod event;
mod graph;
mod report;
mod runner;
mod stage;

pub use chain::Chain;
pub use clock::{Clock, SystemClock};
pub use event::{Event, EventKind, OnEvent};
pub use graph::{Inputs, Node, Pipeline};
pub use report::{RunReport, StageReport, Status};
pub use runner::{Run, Runner};
pub use stage::{Context, FnStage, Retry, Stage, stage, stage_with};
