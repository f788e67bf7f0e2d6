//! The whole library held against the field's references, from cases that were written from the
//! documentation alone (`tests/golden/make_independent.py`), and every result taken on many paths:
//! whole, sliced, in batches, among nulls with garbage under them, on one thread and on two.
#![cfg(all(feature = "data", feature = "drift", feature = "fairness"))]

mod attribution;
mod cases;
mod columns;
mod drift;
mod fairness;
mod intervals;
mod metrics;
mod paths;
mod transforms;
