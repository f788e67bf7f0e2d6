//! The seams of `mlops`: measurements and the one scan that feeds them, models, metrics, verdicts,
//! reports and pipelines. The other crates of the house stand on this one and not on each other.
//!
//! **A measurement is a mergeable state.** An [`Analyzer`] describes what to measure; it starts a
//! [`State`], updates it with rows, and turns the finished state into a result. States merge in any
//! order and write themselves as bytes, so threads, files, days and machines all meet in one
//! place, and a number is the same bits whichever way it came about. A [`Plan`] holds any number
//! of analyzers, and a [`Scan`] feeds them all in one pass over a [`DataSource`]:
//!
//! ```
//! use mlops_core::arrow::array::{Float64Array, StringArray};
//! use mlops_core::states::{CategoryCounts, NumericSummary};
//! use mlops_core::{DataSourceExt, MemorySource, Plan, batch};
//!
//! let source = MemorySource::from(batch! {
//!     "age" => Float64Array::from(vec![Some(31.0), Some(47.0), None]),
//!     "city" => StringArray::from(vec!["Oslo", "Bergen", "Oslo"]),
//! }?);
//! let mut plan = Plan::new();
//! let age = plan.add(NumericSummary::new("age"));
//! let city = plan.add(CategoryCounts::new("city"));
//!
//! let measured = source.scan().run(&plan)?;
//! assert_eq!(measured.get(&age)?.mean(), Some(39.0));
//! assert_eq!(measured.get(&city)?.count("Oslo"), 2);
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! **The seams** are five traits, small and object-safe: [`DataSource`], [`Validator`], [`Model`],
//! [`DriftDetector`] and [`Registry`]. Each says its contract in its docs, and [`conformance`] has
//! functions that test whether an implementation keeps it. A validator and a detector add to a
//! plan and judge its results, so that any number of them ride on one scan.
//!
//! **Verdicts** have three values: an [`Assessment`] is a pass, a fail, or inconclusive, and
//! [`Assessment::require_pass`] lets nothing but a pass through. Bad *data* are a [`Finding`]; an
//! [`Error`] says that a question could not be asked.
//!
//! | module | what is in it |
//! |---|---|
//! | [`states`] | sums, moments, summaries, histograms, category and confusion counts |
//! | [`stats`] | tails, intervals, multiple testing, resampling, seeded draws |
//! | [`model`] | models as plain data: linear, trees of XGBoost, LightGBM, CatBoost, scikit-learn and ONNX, closures; linfa trains some (feature `linfa`) |
//! | [`metrics`] | metrics of predictions, and reports of them with limits |
//! | [`pipeline`] | stages, their graph and its run |
//! | [`report`] | documents for the terminal, Markdown, JSON and one HTML file |
//! | [`alert`] | what is not a pass, sent to a log, a file or a webhook (feature `webhook`) |
//! | [`calendar`] | days since 1970 and their dates |
//! | [`bytes`] | reading and writing the canonical bytes of states |

pub mod alert;
pub mod bytes;
pub mod calendar;
pub mod conformance;
pub mod metrics;
pub mod model;
pub mod pipeline;
pub mod report;
pub mod states;
pub mod stats;

mod analyzer;
mod atomic_file;
mod batch;
mod canonical_json;
mod digest;
mod error;
mod extent;
mod plan;
mod progress;
mod registry;
mod rows;
mod scan;
mod source;
mod statistics;
mod text_codes;
mod time;
mod validator;
mod verdict;

// The types of every seam; use these, and the versions meet.
pub use arrow;
pub use ndarray;

pub use analyzer::{Analyzer, Description, State};
pub use atomic_file::{AtomicFile, sync_directory_of};
pub use batch::{column, with_column};
pub use canonical_json::{canonical_json, integers_as_text};
pub use digest::{Digest, Hasher};
pub use error::{Error, Result};
pub use extent::{Extent, Span};
pub use model::{Model, Predictions};
pub use plan::{Handle, Judge, Kinds, Measurements, Plan, PlanState, Settled};
pub use progress::{Cancel, OnProgress, Progress};
pub use registry::{
    Alias, AliasChange, Approval, Artifact, ChangeKind, GateEvidence, Lineage, Lineup, Listing,
    NewVersion, Promotion, PromotionPolicy, Registry, RegistryExt, Request, Roles, Rollback,
    SetPolicy, Signature, Stage, Unset, Version, Why, Withdrawal, Withdrawn, check_name,
    check_new_name, check_paths, history_flaws, is_erased, manifest_digest, same_person,
};
pub use rows::{Categories, Names, Rows, Selected, is_numeric, is_text, to_numbers};
pub use scan::Scan;
pub use source::{Batches, DataSource, DataSourceExt, MemorySource, Partition, RowGroup};
pub use statistics::{ColumnStatistics, Limit, Statistics};
pub use time::Timestamp;
pub use validator::{DriftDetector, DriftDetectorExt, Validator, ValidatorExt};
pub use verdict::{Assessment, Finding, GateReport, RowId, Severity, Verdict};
