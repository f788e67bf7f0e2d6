//! Questions about a column as a whole, or about two: a statistic, and what it must be.

mod association;
mod bounds;
mod custom_aggregate;
mod distinct;
mod distribution;
mod freshness;
mod kl_divergence;
mod quantile;
mod sets;
mod statistic;

pub use association::{Correlation, MutualInformation, correlation, mutual_information};
pub use bounds::Bounds;
pub use custom_aggregate::{CustomAggregate, custom_aggregate};
pub use distinct::{
    DuplicateCount, Entropy, ProportionUnique, UniqueCount, UniqueValueRatio, Uniqueness,
    duplicate_count, entropy, proportion_unique, unique_count, unique_value_ratio, uniqueness,
};
pub use distribution::{
    Distribution, JensenShannon, LInfinity, NormalizedAbsDifference, jensen_shannon, l_infinity,
    normalized_abs_difference,
};
pub use freshness::{Age, Freshness, freshness};
pub use kl_divergence::{KlDivergence, kl_divergence};
pub use quantile::{
    Interpolation, Iqr, Median, Quantile, QuantileBounds, Quantiles, iqr, median, quantile,
    quantiles,
};
pub use sets::{
    DistinctContainsSet, DistinctEqualsSet, DistinctInSet, Frequent, MostCommonInSet,
    ValueFrequency, distinct_contains_set, distinct_equals_set, distinct_in_set,
    most_common_in_set, value_frequency,
};
pub use statistic::{
    ApproxDistinct, Completeness, Kurtosis, Max, MaxLength, Mean, Min, MinLength, Range, Skewness,
    Stdev, Sum, ValueCount, Variance, ZerosCount, approx_distinct, completeness, kurtosis, max,
    max_length, mean, min, min_length, range, skewness, stdev, sum, value_count, variance,
    zeros_count,
};
