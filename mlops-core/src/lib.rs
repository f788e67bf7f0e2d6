//! The seams of `mlops`.

pub mod alert;
pub mod bytes;
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
mod digest;
mod error;
mod plan;
mod progress;
mod registry;
mod rows;
mod scan;
mod source;
mod time;
mod validator;
mod verdict;

// The types of every seam; use these, and the versions meet.
pub use arrow;
pub use ndarray;

pub use analyzer::{Analyzer, Description, State, canonical};
pub use atomic_file::{AtomicFile, sync_directory_of};
pub use digest::{Digest, Hasher};
pub use error::{Error, Result};
pub use model::{Model, Predictions};
pub use plan::{Handle, Judge, Kinds, Measurements, Plan, PlanState};
pub use progress::{Cancel, OnProgress, Progress};
pub use registry::{
    Alias, AliasChange, Approval, Artifact, ChangeKind, Listing, NewVersion, Promotion,
    PromotionPolicy, Registry, RegistryExt, Rollback, Version, check_name, history_flaws,
    manifest_digest,
};
pub use rows::{Categories, Names, Rows, is_numeric, is_text, to_numbers};
pub use scan::Scan;
pub use source::{Batches, DataSource, DataSourceExt, MemorySource, Partition};
pub use time::Timestamp;
pub use validator::{DriftDetector, DriftDetectorExt, Validator, ValidatorExt};
pub use verdict::{Assessment, Finding, GateReport, RowId, Severity, Verdict};
