//! What is kept of a reference: cells, and the counts in them.

pub(crate) mod cells;
pub(crate) mod counts;
pub(crate) mod edges;
pub(crate) mod family;
pub(crate) mod fit;
pub(crate) mod found_edges;
pub(crate) mod pages;
pub(crate) mod reference;
