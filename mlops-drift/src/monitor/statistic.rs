//! Every statistic by name, and what is known about one.

use std::fmt;

use mlops_core::stats::Interval;
use serde::{Deserialize, Serialize};

/// What was computed. Of numbers: the statistics of order and of moments, and the distances of
/// counts in bins between reference quantiles. Of categories: the distances and tests of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Statistic {
    /// [Kolmogorov–Smirnov's D](crate::statistics::ks_from_cells).
    Ks,
    /// [Kuiper's V](crate::statistics::kuiper_from_counts).
    Kuiper,
    /// [Cramér and von Mises's T](crate::statistics::cramer_von_mises_from_counts).
    CramerVonMises,
    /// [Anderson and Darling's statistic](crate::statistics::anderson_darling_from_counts).
    AndersonDarling,
    /// [P of a current value above one of the reference](crate::statistics::mann_whitney_from_counts),
    /// ties by half: Mann and Whitney's `U / nm`. ½ where neither side is larger.
    MannWhitney,
    /// [Wasserstein-1 distance](crate::statistics::wasserstein_from_counts), in the column's unit.
    Wasserstein,
    /// The same in standard deviations of the reference.
    WassersteinNormalised,
    /// [Energy distance](crate::statistics::energy_from_counts).
    Energy,
    /// [Welch's t](crate::statistics::welch_t), current against reference.
    WelchT,
    /// [Student's t with pooled variance](crate::statistics::pooled_t).
    PooledT,
    /// [Ratio of variances](crate::statistics::f_test), current over reference, with the F test.
    VarianceRatio,
    /// [Bartlett's statistic](crate::statistics::bartlett) of equal variances.
    Bartlett,
    /// [Population stability index](crate::statistics::psi).
    Psi,
    /// [Jensen–Shannon distance](crate::statistics::jensen_shannon) to base 2, in \[0, 1\].
    JensenShannon,
    /// [Kullback–Leibler divergence](crate::statistics::kullback_leibler) of the current data from
    /// the reference, in nats, ½ added to every cell.
    KlFromReference,
    /// The same of the reference from the current data.
    KlFromCurrent,
    /// [Hellinger distance](crate::statistics::hellinger).
    Hellinger,
    /// [Total variation distance](crate::statistics::total_variation).
    TotalVariation,
    /// [Largest change of a share](crate::statistics::l_infinity).
    LInfinity,
    /// [Pearson's chi-square](crate::statistics::chi_square) of homogeneity.
    ChiSquare,
    /// [Pearson's chi-square of fit](crate::statistics::chi_square_goodness_of_fit) to the
    /// reference's shares, less what the reference's own sampling error adds.
    GoodnessOfFit,
    /// [G](crate::statistics::g_test), the likelihood ratio.
    GTest,
    /// [Fisher's exact test](crate::statistics::fisher_exact); the value is the odds ratio.
    FisherExact,
    /// [Two-proportion z](crate::statistics::two_proportion_z) with pooled variance.
    TwoProportionZ,
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ks => "ks",
            Self::Kuiper => "kuiper",
            Self::CramerVonMises => "cramer_von_mises",
            Self::AndersonDarling => "anderson_darling",
            Self::MannWhitney => "mann_whitney",
            Self::Wasserstein => "wasserstein",
            Self::WassersteinNormalised => "wasserstein_normalised",
            Self::Energy => "energy",
            Self::WelchT => "welch_t",
            Self::PooledT => "pooled_t",
            Self::VarianceRatio => "variance_ratio",
            Self::Bartlett => "bartlett",
            Self::Psi => "psi",
            Self::JensenShannon => "jensen_shannon",
            Self::KlFromReference => "kl_from_reference",
            Self::KlFromCurrent => "kl_from_current",
            Self::Hellinger => "hellinger",
            Self::TotalVariation => "total_variation",
            Self::LInfinity => "l_infinity",
            Self::ChiSquare => "chi_square",
            Self::GoodnessOfFit => "goodness_of_fit",
            Self::GTest => "g_test",
            Self::FisherExact => "fisher_exact",
            Self::TwoProportionZ => "two_proportion_z",
        })
    }
}

/// A statistic of a column with all that is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatisticResult {
    /// What was computed.
    pub statistic: Statistic,
    /// Its value; where the counts only enclose it, the bound that speaks least of drift.
    pub value: f64,
    /// The exact value certainly lies in here, where the counts only enclose it.
    pub bounds: Option<(f64, f64)>,
    /// The p-value (where it is only enclosed, the larger bound); `None` for a distance without a
    /// law, and where the law it comes from does not hold.
    pub p_value: Option<f64>,
    /// Confidence limits of the same quantity of the two populations, where it is an effect. Those
    /// of the population stability index have the samples' bias taken off, and are widened to hold
    /// the value; of categories with rare ones, the lower limit is that of pooled cells.
    pub interval: Option<Interval>,
    /// The floor that the effect must reach, where it decides.
    pub floor: Option<f64>,
}

impl StatisticResult {
    pub(crate) fn new(statistic: Statistic, value: f64) -> Self {
        Self { statistic, value, bounds: None, p_value: None, interval: None, floor: None }
    }

    /// Enclosed, with a value that grows with drift.
    pub(crate) fn enclosed(statistic: Statistic, bounds: (f64, f64)) -> Self {
        Self { bounds: Some(bounds), ..Self::new(statistic, bounds.0) }
    }

    pub(crate) fn p(self, p_value: f64) -> Self {
        Self { p_value: Some(p_value), ..self }
    }

    pub(crate) fn limits(self, interval: Interval) -> Self {
        Self { interval: Some(interval), ..self }
    }
}

/// The test that decides on a column, and why it is the one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DecidingTest {
    /// The statistic.
    pub statistic: Statistic,
    /// Why this one, and by which law its p-value comes.
    pub because: String,
    /// Its p-value.
    pub p_value: f64,
    /// The same after the rule's correction over all tests of all columns.
    pub adjusted_p_value: f64,
}

impl DecidingTest {
    pub(crate) fn new(statistic: Statistic, because: impl Into<String>, p_value: f64) -> Self {
        Self { statistic, because: because.into(), p_value, adjusted_p_value: p_value }
    }
}

impl fmt::Display for DecidingTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.statistic, self.because)
    }
}
