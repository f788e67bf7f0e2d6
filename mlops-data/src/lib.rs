//! Data in, data out, and what becomes of it in between, on Apache Arrow.
//!
//! - **Sources** ([`open`], [`CsvSource`], [`ParquetSource`], [`IpcSource`], [`FilesSource`],
//!   [`MemorySource`]): rows in partitions that are read side by side. CSV types are inferred, and
//!   [`InferredSchema`] says why. A file that is cut off, ragged or damaged is an error that names
//!   it, never a panic. [`Projected`] and [`Filtered`] narrow any source.
//! - **Sinks** ([`ParquetSink`], [`IpcSink`], [`CsvSink`]): files that are there whole or not at
//!   all, each with its digest.
//! - **Transforms** ([`ColumnPipeline`]): imputers, scalers and encoders fitted by one scan,
//!   applied to batches and to single records by the same code, and saved with the model
//!   ([`WithTransforms`]).
//! - **Splits** ([`Split`]): at random, stratified, by group, by time; the same for any number of
//!   threads and any cutting into partitions.
//! - **Identity** ([`digest`]): 32 bytes for a table's content, whatever the order and the format.
//!
//! Matrices go in and out by [`features`] and [`to_batch`]; data frames of polars, with the feature
//! `polars`, by `from_polars` and `to_polars`.
//!
//! ```
//! use std::sync::Arc;
//! use mlops_data::{ColumnPipeline, Imputer, OneHotEncoder, Split, StandardScaler, Unseen, open};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("loans.csv");
//! # let rows = (0..200).map(|i| format!("{},{}\n", if i % 9 == 0 { "".into() } else { i.to_string() }, ["rent", "own"][i % 2]));
//! # std::fs::write(&path, format!("income,home\n{}", rows.collect::<String>()))?;
//! let parts = Split::random(0.25, 42)?.split(Arc::from(open(&path)?))?;
//! let transforms = ColumnPipeline::new()
//!     .numeric(["income"], (Imputer::median(), StandardScaler))
//!     .categorical(["home"], OneHotEncoder::new().unseen(Unseen::Other))
//!     .fit(&parts.train)?;
//! let x = transforms.source_features(&parts.train)?;
//! assert_eq!(transforms.feature_names(), ["income", "home=own", "home=rent", "home=<other>"]);
//! assert_eq!(x.dim(), (parts.train.rows() as usize, 4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod digest;
#[cfg(feature = "polars")]
mod polars;
mod sink;
mod source;
mod split;
mod transform;

#[cfg(feature = "polars")]
pub use self::polars::{from_polars, to_polars};
pub use digest::{DatasetDigest, DigestState, digest};
pub use mlops_core::MemorySource;
pub use mlops_core::model::{Nulls, features, to_batch};
pub use sink::{CsvSink, IpcSink, ParquetSink, Sink, Written, write_all};
pub use source::{
    CsvOptions, CsvSource, FilesSource, Filtered, InferredColumn, InferredSchema, IpcSource,
    ParquetSource, Projected, Prune, Reading, RuledOut, open,
};
pub use split::{Cut, Split, TrainTest};
pub use transform::{
    ColumnPipeline, Encoder, Fill, FittedPipeline, Imputer, MinMaxScaler, NullPolicy, NumericStep,
    NumericSteps, OneHotEncoder, OrdinalEncoder, PipelineFit, Record, StandardScaler, Unseen,
    Value, WithTransforms, load_model,
};
