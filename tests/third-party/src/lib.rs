//! What a crate of somebody else writes.
