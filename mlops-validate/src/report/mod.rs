//! What a suite found, for people and for machines: documents, the forms that others read, and what
//! of them may leave the house.

mod data_docs;
mod great_expectations;
mod mask;
mod redaction;

pub use data_docs::DataDocs;
pub use mask::{HashKey, Mask, MaskedCount};
pub use redaction::{RedactedSuite, Redaction};
