//! Alerts and the sinks that they go to.
