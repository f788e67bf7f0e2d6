//! One file an expectation: its parameters as suites write them, and how it is compiled.

mod aggregate;
mod columns;
mod count_bounds;
mod map;
mod reference;
mod table;
mod withheld;

pub use aggregate::{
    Age, ApproxDistinct, Bounds, Completeness, Correlation, CustomAggregate, DistinctContainsSet,
    DistinctEqualsSet, DistinctInSet, Distribution, DuplicateCount, Entropy, Frequent, Freshness,
    Interpolation, Iqr, JensenShannon, KlDivergence, Kurtosis, LInfinity, Max, MaxLength, Mean,
    Median, Min, MinLength, MostCommonInSet, MutualInformation, NormalizedAbsDifference,
    ProportionUnique, Quantile, QuantileBounds, Quantiles, Range, Skewness, Stdev, Sum,
    UniqueCount, UniqueValueRatio, Uniqueness, ValueCount, ValueFrequency, Variance, ZerosCount,
    approx_distinct, completeness, correlation, custom_aggregate, distinct_contains_set,
    distinct_equals_set, distinct_in_set, duplicate_count, entropy, freshness, iqr, jensen_shannon,
    kl_divergence, kurtosis, l_infinity, max, max_length, mean, median, min, min_length,
    most_common_in_set, mutual_information, normalized_abs_difference, proportion_unique, quantile,
    quantiles, range, skewness, stdev, sum, unique_count, unique_value_ratio, uniqueness,
    value_count, value_frequency, variance, zeros_count,
};
pub use columns::{
    ColumnsEqual, CompoundUnique, CustomRows, IgnoreRows, PairEqual, PairGreaterThan, PairInSet,
    Satisfies, SumEquals, UniqueWithinRecord, columns_equal, compound_unique, custom_rows,
    pair_equal, pair_greater_than, pair_in_set, satisfies, sum_equals, unique_within_record,
};
pub use map::{
    DateFormat, DateParseable, Decreasing, Finite, HasFormat, InRange, InSet, Increasing, IsNull,
    Json, JsonSchema, Like, ListLength, MatchOn, MatchesRegex, NotInSet, NotLike, NotMatchesRegex,
    NotNan, NotNull, NotOutliers, OfType, OutlierMethod, Patterns, StringLength, TextFormat,
    Unique, ZScore, date_format, date_parseable, decreasing, finite, has_format, in_range, in_set,
    increasing, is_null, json, json_schema, like, list_length, matches_all_regexes, matches_regex,
    not_in_set, not_like, not_matches_regex, not_nan, not_null, not_outliers, of_type,
    strictly_decreasing, strictly_increasing, string_length, unique, z_score,
};
pub use reference::{
    DatasetMatch, ReferentialIntegrity, RowCountEqualsOther, SchemaMatch, dataset_match,
    referential_integrity, row_count_equals_other, schema_match,
};
pub use table::{
    ColumnCount, ColumnSchema, ColumnType, RowCount, TableSchema, column, column_count, row_count,
    schema,
};
pub use withheld::Withheld;
