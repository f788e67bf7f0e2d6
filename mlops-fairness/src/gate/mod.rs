//! The gate: rules over what was measured by group, what they are held against, and the verdicts
//! that they come to.

mod evidence;
mod fairness_gate;
mod frames;
mod judging;
mod policy;
mod rule;
mod unsettled;
mod validator;

#[cfg(test)]
mod tests;

pub use fairness_gate::{FairnessGate, SmallGroups};
pub use frames::{Frames, Measured};
pub use rule::{At, Rule, WhenUndefined};
pub use validator::FairnessValidator;
