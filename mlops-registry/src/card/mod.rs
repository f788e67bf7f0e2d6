//! Model cards: what a version is, how it was measured and judged, and what it is for, from the
//! registry's own record.
//!
//! ```
//! use mlops_core::{NewVersion, Registry, Timestamp};
//! use mlops_registry::MemoryRegistry;
//! use mlops_registry::card::ModelCard;
//!
//! let registry = MemoryRegistry::new();
//! let new = NewVersion::new("loans", "ana")
//!     .with_artifact("model.json", "{}")
//!     .with_metric("roc_auc", 0.81)
//!     .with_tag("card.license", "apache-2.0")
//!     .with_tag("card.intended_use", "Ranks applications for a person to look at.");
//! registry.register(new, Timestamp::from_millis(0))?;
//!
//! let card = ModelCard::read(&registry, "loans", 1)?;
//! assert!(card.to_markdown().contains("Ranks applications"));
//! assert!(card.to_hugging_face().contains("model-index:"));
//! assert_eq!(card.to_cyclonedx()["specVersion"], "1.6");
//! # Ok::<(), mlops_core::Error>(())
//! ```
//!
//! # Tags
//!
//! What a registry does not measure is said in tags of the version:
//!
//! | tag | says |
//! |---|---|
//! | `card.description` | what it is, in a paragraph |
//! | `card.task` | its task, as Hugging Face names them: `tabular-classification` |
//! | `card.dataset` | the name of the data that it was trained on |
//! | `card.license` | an SPDX identifier |
//! | `card.language` | the language of its inputs, as `en` |
//! | `card.intended_use` | what it is for |
//! | `card.limitations` | what it is not for, and where it fails |
//! | `card.ethics` | whom it may harm, and what is done about it |
//! | `fairness.…` | a summary of fairness each, by the name after the dot |
//! | `attribution.…` | a summary of what its predictions rest on, likewise |

mod bom;
mod hugging_face;
mod model_card;

pub use model_card::ModelCard;
