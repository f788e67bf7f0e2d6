//! What earlier runs found: their numbers, and the states of files that did not change.

mod state_store;

pub use state_store::{Reuse, StateStore, StoredState};
