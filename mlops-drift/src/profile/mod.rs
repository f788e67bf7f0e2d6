//! What is kept of a reference: cells, and the counts in them.

pub(crate) mod cells;
pub(crate) mod counts;
pub(crate) mod edges;
pub(crate) mod family;
mod few;
pub(crate) mod fit;
pub(crate) mod found_edges;
mod keys;
mod look;
pub(crate) mod reference;
