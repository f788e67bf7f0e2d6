//! MLflow: a client for a real server, a registry on it, and its file formats (feature `mlflow`).
//!
//! - [`MlflowClient`] speaks REST to a server from 2.22 to the newest: experiments, runs, batches
//!   cut to what a server takes, metric history, datasets, artifacts streamed through the server's
//!   proxy, logged models (3.0 and later), registered models, versions, aliases, stages.
//! - [`MlflowRegistry`] is a [`Registry`](mlops_core::Registry) there: compare-and-set, gates,
//!   approvals and history, which MLflow itself does not have; its docs say what it cannot promise.
//! - [`ModelFile`] writes and reads `MLmodel`, so that Python loads an ONNX model that Rust
//!   registered.
//! - [`sync_runs`] sends the runs of an embedded store to a server, as often as one likes.
//! - [`export_mlruns`] writes the `mlruns/` that `mlflow migrate-filestore` imports
//!   ([`MlrunsWriter`] does so piece by piece).
//! - [`import_runs`] reads experiments and runs from a server, from its SQLite file, or from
//!   `mlruns/`, and changes nothing there.
//!
//! # A real server is not to be trusted
//!
//! Answers are bounded in size, depth, time and number of pages; paths that a server names are
//! checked before they are used; redirects are not followed; proxies of the environment are not
//! used. Credentials are sent to the server's own URL alone and shown nowhere. What a server
//! refuses comes back with its `error_code` and message ([`MlflowError`]).
//!
//! # Numbers
//!
//! NaN is sent as `"NaN"`, infinities as `"Infinity"` and `"-Infinity"`; a server with a database
//! keeps NaN, makes ±[`f64::MAX`] of an infinity and 0 of −0. Points that are equal in key, step,
//! time and value are kept once, which is why logging is safe to repeat.
//!
//! ```
//! use mlops_registry::mlflow::{MlflowClient, MlflowOptions};
//!
//! // Nothing is asked before the first call.
//! let client = MlflowClient::new(MlflowOptions::new("http://localhost:5000")?);
//! println!("{client:?}");
//! # Ok::<(), mlops_registry::mlflow::MlflowError>(())
//! ```

mod artifacts;
mod batch;
mod change;
mod client;
#[cfg(feature = "sqlite")]
mod database;
mod error;
mod export;
mod http;
mod import;
mod json;
mod ledger;
mod model_file;
mod models;
mod options;
mod registered;
mod registry;
mod runs;
mod source;
mod sync;
mod transfer;
mod url;
mod yaml;

pub use artifacts::{ArtifactFile, ArtifactReader};
pub use client::{MlflowClient, ServerInfo};
#[cfg(feature = "sqlite")]
pub use database::MlflowDatabase;
pub use error::{MlflowError, MlflowResult};
pub use export::MlrunsWriter;
pub use import::Mlruns;
pub use json::KeyValue;
pub use model_file::{ColumnSpec, ModelFile, Signature};
pub use models::{
    LoggedModel, LoggedModelData, LoggedModelInfo, LoggedModelStatus, NewLoggedModel,
};
pub use options::MlflowOptions;
pub use registered::{ModelAlias, ModelVersion, NewModelVersion, RegisteredModel};
pub use registry::MlflowRegistry;
pub use runs::{
    Dataset, DatasetInput, Experiment, Metric, NewRun, Run, RunBatch, RunData, RunInfo, RunInputs,
    Search,
};
pub use source::{Imported, MlflowSource, import_runs};
pub use sync::{Synced, sync_runs};
pub use transfer::export_mlruns;
