//! The life of a model in production, in process, on Apache Arrow.
//!
//! `mlops` is the one dependency that brings the parts together; each part is a crate of its own
//! and can be had alone.
//!
//! | part | what it does | feature |
//! |---|---|---|
//! | [`core`] | the seams, measurements and their scan, models, metrics, reports, pipelines | always |
#![cfg_attr(feature = "data", doc = "| [`data`] | sources, sinks, transforms, splits | `data` |")]
#![cfg_attr(
    feature = "validate",
    doc = "| [`validate`] | suites of expectations, written, inferred or imported; profiles, reports, quarantine, quality gates | `validate` |"
)]
#![cfg_attr(
    feature = "drift",
    doc = "| [`drift`] | reference profiles, drift statistics and monitors | `drift` |"
)]
#![cfg_attr(
    feature = "fairness",
    doc = "| [`fairness`] | group metrics, fairness gates, attribution | `fairness` |"
)]
#![cfg_attr(
    feature = "registry",
    doc = "| [`registry`] | versions, approvals, promotion, history | `registry` |"
)]
//!
//! # A first look
//!
//! ```
//! use mlops::arrow::array::{Float64Array, StringArray};
//! use mlops::core::{DataSourceExt, MemorySource, batch, states::NumericSummary};
//!
//! let source = MemorySource::from(batch! {
//!     "age" => Float64Array::from(vec![Some(31.0), Some(47.0), None]),
//!     "city" => StringArray::from(vec!["Oslo", "Bergen", "Oslo"]),
//! }?);
//! let age = source.measure(&NumericSummary::new("age"))?;
//! assert_eq!(age.mean(), Some(39.0));
//! assert_eq!(age.nulls, 1);
//! # Ok::<(), mlops::core::Error>(())
//! ```

#[doc(no_inline)]
pub use mlops_core as core;
#[doc(no_inline)]
pub use mlops_core::arrow;
#[cfg(feature = "data")]
#[doc(no_inline)]
pub use mlops_data as data;
#[cfg(feature = "data")]
pub use mlops_data::load_model;
#[cfg(feature = "drift")]
#[doc(no_inline)]
pub use mlops_drift as drift;
#[cfg(feature = "fairness")]
#[doc(no_inline)]
pub use mlops_fairness as fairness;
#[cfg(feature = "registry")]
#[doc(no_inline)]
pub use mlops_registry as registry;
#[cfg(feature = "validate")]
#[doc(no_inline)]
pub use mlops_validate as validate;

// The pages of the repository, held to what they say.
#[cfg(all(doctest, feature = "data", feature = "validate", feature = "drift"))]
#[cfg(all(feature = "fairness", feature = "registry"))]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/from-python.md")]
    struct FromPython;
    #[cfg(feature = "mlflow")]
    #[doc = include_str!("../docs/mlflow.md")]
    struct Mlflow;
    #[doc = include_str!("../docs/model-gates.md")]
    struct ModelGates;
    #[doc = include_str!("../docs/drift.md")]
    struct Drift;
    #[doc = include_str!("../docs/streaming-detectors.md")]
    struct StreamingDetectors;
    #[doc = include_str!("../docs/performance-without-labels.md")]
    struct PerformanceWithoutLabels;
    #[doc = include_str!("../docs/attribution.md")]
    struct Attribution;
    #[doc = include_str!("../docs/registry.md")]
    struct RegistryPage;
    #[doc = include_str!("../docs/tracking.md")]
    struct Tracking;
}
