//! The statistics themselves: of two tables of counts, of counts at edges, of two arrays.
//!
//! Each is a pure function that works without a profile or a monitor. What counts at edges only
//! enclose comes as an interval that certainly holds the exact number, and has a function of two
//! arrays beside it that gives the number.

pub(crate) mod alternative;
pub(crate) mod beta_binomial;
pub(crate) mod bins;
pub(crate) mod chi_square;
pub(crate) mod density;
pub(crate) mod dirichlet_multinomial;
pub(crate) mod draw;
pub(crate) mod fisher_exact;
pub(crate) mod g_test;
pub(crate) mod hellinger;
pub(crate) mod hypergeometric;
pub(crate) mod jensen_shannon;
pub(crate) mod ks;
pub(crate) mod ks_buckets;
pub(crate) mod kullback_leibler;
pub(crate) mod l_infinity;
pub(crate) mod monte_carlo;
pub(crate) mod out_of_range;
pub(crate) mod permutation_p;
pub(crate) mod psi;
pub(crate) mod sample_moments;
pub(crate) mod shares;
pub(crate) mod t_test;
pub(crate) mod tables;
pub(crate) mod total_variation;
pub(crate) mod two_proportion_z;
pub(crate) mod unseen;
pub(crate) mod variance_tests;

pub use alternative::Alternative;
pub use bins::{BinCounts, Bins, bin_counts, equal_width_runs};
pub use chi_square::{ChiSquare, ReferenceShares, chi_square, chi_square_goodness_of_fit};
pub use dirichlet_multinomial::{DirichletMultinomial, Threshold};
pub use fisher_exact::{FisherExact, fisher_exact};
pub use g_test::g_test;
pub use hellinger::hellinger;
pub use jensen_shannon::{JensenShannon, jensen_shannon};
pub use ks::{KsBounds, KsTest, ks_from_cells, ks_two_sample};
pub use kullback_leibler::{KullbackLeibler, kullback_leibler};
pub use l_infinity::l_infinity;
pub use monte_carlo::{MonteCarlo, SimulatedP};
pub use out_of_range::{OutOfRange, Outside, out_of_range};
pub use permutation_p::permutation_p;
pub use psi::{PSI_FOLKLORE_MAJOR, PSI_FOLKLORE_MODERATE, PsiTest, psi, psi_test};
pub use sample_moments::SampleMoments;
pub use shares::{LogBase, ZeroCells};
pub use t_test::{TTest, pooled_t, welch_t};
pub use total_variation::{TotalVariation, total_variation};
pub use two_proportion_z::{ProportionVariance, TwoProportionZ, two_proportion_z};
pub use unseen::UnseenMass;
pub use variance_tests::{Centre, VarianceTest, bartlett, f_test, levene};
