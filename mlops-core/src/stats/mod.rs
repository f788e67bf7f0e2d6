//! Distribution tails, intervals, multiple testing and seeded resampling, shared by the leaves.
//!
//! Everything here is a pure function of its arguments. What has no value is
//! [`Error::Undefined`](crate::Error::Undefined), never NaN or a silent 0.
//!
//! ```
//! use mlops_core::stats::{benjamini_hochberg, chi_square_sf, wilson};
//! let recall = wilson(180, 200, 0.95)?;
//! assert!(recall.low > 0.85 && recall.contains(0.9));
//! let adjusted = benjamini_hochberg(&[chi_square_sf(12.0, 3.0)?, 0.4])?;
//! assert!(adjusted[0] < 0.05);
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod auc_limits;
mod chi_square;
mod delong;
mod discrete_draws;
mod draws;
mod incomplete;
mod interval;
mod kolmogorov;
mod mcnemar;
mod multiple;
pub(crate) mod ranking;
mod resampling;
mod share;
mod tails;

pub use auc_limits::{FEW_FOR_DELONG, pair_mean_limits};
pub use chi_square::{ChiSquare, CountPair, chi_square_homogeneity};
pub use delong::{RocAuc, RocAucDifference, ScorePair, roc_auc_delong, roc_auc_difference};
pub use discrete_draws::Urn;
pub use draws::Draws;
pub use interval::{
    Interval, Proportion, ProportionPair, SampleMean, clopper_pearson, katz_log_ratio,
    mean_t_interval, miettinen_nurminen_difference, miettinen_nurminen_ratio, newcombe_difference,
    wilson,
};
pub use kolmogorov::{
    kolmogorov_sf, ks_two_sample_asymptotic, ks_two_sample_exact, ks_two_sample_p,
};
pub use mcnemar::{McNemar, PairedOutcomes, mcnemar, tango_difference};
pub use multiple::{
    Adjusted, Correction, adjust, benjamini_hochberg, benjamini_yekutieli, bonferroni, holm,
};
pub use resampling::{Bootstrap, Permutation, Resampling, bootstrap, permutation_test};
pub use share::{Share, kish_effective_n};
pub use tails::{
    beta_cdf, beta_quantile, binomial_cdf, binomial_pmf, binomial_sf, chi_square_sf, f_sf,
    normal_cdf, normal_quantile, normal_sf, normal_two_sided, student_t_quantile, student_t_sf,
    student_t_two_sided,
};
