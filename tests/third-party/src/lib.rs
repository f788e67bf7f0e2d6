//! What a crate of somebody else writes to plug into `mlops`: a measurement of its own, and each of
//! the five seams. The tests call the conformance functions, as such a crate would.

mod analyzer;
mod drift_detector;
mod model;
mod registry;
mod source;
mod validator;

pub use analyzer::Parity;
pub use drift_detector::ParityDrift;
pub use model::Threshold;
pub use registry::VecRegistry;
pub use source::Countdown;
pub use validator::MostlyEven;
