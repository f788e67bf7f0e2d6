//! How sure a number by group is: bootstraps of counts, nulls of maxima, tests between groups.
//!
//! Rates have Wilson limits, gaps simultaneous score limits ([`gap`](crate::gap)). What has none:
//!
//! - [`CountBootstrap`] draws counts anew: 10,000 draws of every difference between five groups
//!   take milliseconds, whatever the rows.
//! - [`maximum_null`], [`abroca_null`] and [`calibration_null`] say what a worst-case gap, an area
//!   between ROC curves or a calibration error is where nothing differs, and what is left of a
//!   value without that.
//! - [`GroupTests`] tests groups against the rest, each other or a reference, corrected by Holm or
//!   Benjamini and Hochberg; [`homogeneity`] tests all at once.

mod bootstrap;
mod group_tests;
mod maximum_null;

pub use bootstrap::{Bootstrapped, BootstrappedGap, CountBootstrap};
pub use group_tests::{Compare, GroupTest, GroupTestResults, GroupTests, Homogeneity, homogeneity};
pub use maximum_null::{MaximumNull, abroca_null, calibration_null, maximum_null};
