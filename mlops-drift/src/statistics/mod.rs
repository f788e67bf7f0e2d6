//! The statistics themselves: of two tables of counts, of counts at edges, of two arrays.
//!
//! Each is a pure function that works without a profile or a monitor. What counts at edges only
//! enclose comes as an interval that certainly holds the exact number, and has a function of two
//! arrays beside it that gives the number.
//!
//! **Tables of counts** (`(reference, current)`, the same cells in the same order) have distances
//! ([`psi`], [`jensen_shannon`], [`kullback_leibler`], [`hellinger`], [`total_variation`],
//! [`l_infinity`]) and tests ([`chi_square`], [`chi_square_goodness_of_fit`], [`g_test`], and of two
//! shares [`fisher_exact`] and [`two_proportion_z`]); [`bin_counts`] makes them of numbers. Any of
//! these distances has a p-value and a threshold for both sample sizes: exactly, by exchanging rows
//! ([`permutation_p`]), or by the law of bins between reference quantiles
//! ([`DirichletMultinomial`]). What the reference never saw is judged by [`UnseenMass`] and
//! [`out_of_range`]. **Moments** ([`SampleMoments`]) have [`welch_t`], [`pooled_t`], [`f_test`] and
//! [`bartlett`]; [`levene`] takes the values.
//!
//! **Numbers in order** have an exact function of two arrays ([`ks_two_sample`], [`ks_one_sided`],
//! [`kuiper_two_sample`], [`cramer_von_mises_two_sample`], [`anderson_darling_two_sample`],
//! [`mann_whitney`], [`wasserstein_two_sample`], [`energy_two_sample`], [`epps_singleton`]) and, but for
//! the last, a `…_from_counts` of an [`EdgePair`]: both samples counted at the same edges
//! ([`EdgeCounts`]), which encloses the exact number.
//!
//! ```
//! use mlops_drift::statistics::{MonteCarlo, ZeroCells, chi_square, permutation_p, psi};
//! let (reference, current) = ([700, 200, 90, 10], [50, 30, 15, 5]);
//! let index = |r: &[u64], c: &[u64]| psi(r, c, ZeroCells::AddHalf);
//! // 0.22 is "moderate" by folklore. By chance alone it comes about less than once in 200 times.
//! assert!((0.21..0.23).contains(&index(&reference, &current)?));
//! assert!(permutation_p(&reference, &current, index, MonteCarlo::new(1))?.p_value < 0.005);
//! assert!(chi_square(&reference, &current)?.p_value < 0.001);
//! # Ok::<(), mlops_core::Error>(())
//! ```

pub(crate) mod alternative;
pub(crate) mod anderson_darling;
pub(crate) mod beta_binomial;
pub(crate) mod bins;
pub(crate) mod bridge_square;
pub(crate) mod chi_square;
pub(crate) mod cramer_von_mises;
pub(crate) mod density;
pub(crate) mod dirichlet_multinomial;
pub(crate) mod distance_law;
pub(crate) mod draw;
pub(crate) mod edge_counts;
pub(crate) mod energy;
pub(crate) mod epps_singleton;
pub(crate) mod fisher_exact;
pub(crate) mod g_test;
pub(crate) mod hellinger;
pub(crate) mod hypergeometric;
pub(crate) mod jensen_shannon;
pub(crate) mod ks;
pub(crate) mod ks_buckets;
pub(crate) mod ks_cut;
pub(crate) mod ks_p;
pub(crate) mod ks_sources;
pub(crate) mod kuiper;
pub(crate) mod kullback_leibler;
pub(crate) mod l_infinity;
pub(crate) mod mann_whitney;
pub(crate) mod monte_carlo;
pub(crate) mod out_of_range;
pub(crate) mod permutation_p;
pub(crate) mod psi;
pub(crate) mod sample_moments;
pub(crate) mod shares;
pub(crate) mod t_test;
pub(crate) mod tables;
pub(crate) mod tied_law;
pub(crate) mod total_variation;
pub(crate) mod two_proportion_z;
pub(crate) mod two_samples;
pub(crate) mod unseen;
pub(crate) mod variance_tests;
pub(crate) mod wasserstein;

pub use alternative::Alternative;
pub use anderson_darling::{
    AndersonDarlingBounds, AndersonDarlingTest, AndersonDarlingTies, anderson_darling_from_counts,
    anderson_darling_two_sample,
};
pub use bins::{BinCounts, Bins, bin_counts, equal_width_runs};
pub use chi_square::{ChiSquare, ReferenceShares, chi_square, chi_square_goodness_of_fit};
pub use cramer_von_mises::{
    CramerVonMisesBounds, CramerVonMisesTest, cramer_von_mises_from_counts,
    cramer_von_mises_two_sample,
};
pub use dirichlet_multinomial::{DirichletMultinomial, Threshold};
pub use edge_counts::{EdgeCounts, EdgePair};
pub use energy::{EnergyBounds, EnergyTest, energy_from_counts, energy_two_sample};
pub use epps_singleton::{EppsSingletonTest, epps_singleton};
pub use fisher_exact::{FisherExact, fisher_exact};
pub use g_test::g_test;
pub use hellinger::hellinger;
pub use jensen_shannon::{JensenShannon, jensen_shannon};
pub use ks::{KsBounds, KsTest, ks_from_cells, ks_one_sided, ks_two_sample};
pub use ks_p::{KsP, ks_p_value};
pub use ks_sources::ks_two_sources;
pub use kuiper::{KuiperBounds, KuiperTest, kuiper_from_counts, kuiper_p_value, kuiper_two_sample};
pub use kullback_leibler::{KullbackLeibler, kullback_leibler};
pub use l_infinity::l_infinity;
pub use mann_whitney::{
    MannWhitneyBounds, MannWhitneyTest, mann_whitney, mann_whitney_from_counts,
};
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
pub use wasserstein::{
    WassersteinBounds, WassersteinTest, wasserstein_from_counts, wasserstein_two_sample,
};
