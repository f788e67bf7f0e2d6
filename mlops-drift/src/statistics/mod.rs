//! The statistics themselves: of two tables of counts, of counts at edges, of two arrays.
//!
//! Each is a pure function that works without a profile or a monitor. What counts at edges only
//! enclose comes as an interval that certainly holds the exact number, and has a function of two
//! arrays beside it that gives the number.

pub(crate) mod chi_square;
pub(crate) mod ks;
pub(crate) mod psi;
pub(crate) mod tables;
pub(crate) mod total_variation;

pub use chi_square::{ChiSquare, chi_square};
pub use ks::{KsBounds, KsTest, ks_from_cells, ks_two_sample};
pub use psi::{PSI_FOLKLORE_MAJOR, PSI_FOLKLORE_MODERATE, PsiTest, ZeroCells, psi, psi_test};
pub use total_variation::{TotalVariation, total_variation};
