//! Exact attributions of tree ensembles.

mod against;
mod binned;
mod interaction_values;
mod interactions;
mod interventional;
mod kernel;
mod lanes;
mod legendre;
mod machine;
mod program;
mod rescaled;
mod steps;
#[cfg(test)]
mod testing;
mod tree_shap;
mod unfolded;
mod units;

pub use interaction_values::Interactions;
pub use interactions::InteractionExplainer;
pub use interventional::InterventionalExplainer;
pub use rescaled::RescaledExplainer;
pub use tree_shap::{Precision, TreeExplainer};
