//! Which feature moved a prediction, and by how much.

mod linear;
mod values;

pub use linear::LinearExplainer;
pub use values::{Attributions, FeatureImportance};
