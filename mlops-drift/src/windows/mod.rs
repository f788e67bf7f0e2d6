//! Drift over time.

pub(crate) mod over_time;
