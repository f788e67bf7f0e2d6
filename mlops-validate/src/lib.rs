//! Data expectations, suites, quarantine and model quality gates, for `mlops`.
//!
//! A [`Suite`] is a list of [`Expectation`]s, written in Rust, YAML or JSON, or
//! [inferred](Suite::infer) from training data with tolerances that keep a budget of false alarms.
//! It is a [`Validator`](mlops_core::Validator): one scan answers all of it, alone or beside drift
//! and fairness, and names the failing rows. [`quarantine`] writes the good rows to one file and
//! the bad ones, with their reasons, to another. Names and semantics are those of Great
//! Expectations, with one honest difference: where nothing was measured, nothing passes.
//!
//! Of models: a [`QualityGate`] holds their metrics to bounds at their confidence limits, of all
//! rows and of slices; a [`ChallengerGate`] compares one with that in production on the same rows,
//! and a [`HoldoutLedger`] makes each look at a hold-out cost what it does. [`leakage`],
//! [`overlap`] and [`time_order`] find what training must not have known, [`Behaviour`] asks what
//! predictions must do when the input changes, [`skew`] compares features computed for training
//! with those computed for serving, and [`testing`] has assertions for a team's own tests.
//!
//! ```
//! use mlops_core::arrow::array::{Float64Array, StringArray};
//! use mlops_core::{MemorySource, ValidatorExt, batch};
//! use mlops_validate::Suite;
//!
//! let suite = Suite::from_yaml("
//! name: applications
//! expectations:
//! - {expectation: not_null, column: income, mostly: 0.99}
//! - {expectation: in_range, column: income, min: 0, max: 1000000}
//! - {expectation: in_set, column: country, values: [NO, SE, DK], severity: warning}
//! ")?;
//! let march = MemorySource::from(batch! {
//!     "income" => Float64Array::from(vec![52_000.0, -1.0, 48_500.0]),
//!     "country" => StringArray::from(vec!["NO", "SE", "XX"]),
//! }?);
//! let found = suite.validate(&march)?;
//! assert!(found.verdict.is_fail());
//! let failures: Vec<_> = found.failures().map(|f| (f.check.as_str(), f.rows[0].row)).collect();
//! assert_eq!(failures, [("in_range", 1), ("in_set", 2)]);
//! # Ok::<(), mlops_core::Error>(())
//! ```

pub mod history;
pub mod import;
pub mod testing;

mod between;
mod check;
mod compile;
mod condition;
mod context;
mod expectation;
mod expectations;
mod expression;
mod failing_rows;
mod gates;
mod infer;
mod keys;
mod measures;
mod outcome;
mod place;
mod profile;
mod quarantine;
mod record;
mod report;
mod row_test;
mod scalar;
mod suite;
mod suite_schema;
mod value_test;
mod values;

pub use check::Check;
pub use context::Context;
pub use expectation::Expectation;
pub use expectations::{
    Age, ApproxDistinct, Bounds, ColumnCount, ColumnSchema, ColumnType, ColumnsEqual, Completeness,
    CompoundUnique, Correlation, CustomAggregate, CustomRows, DatasetMatch, DateFormat,
    DateParseable, Decreasing, DistinctContainsSet, DistinctEqualsSet, DistinctInSet, Distribution,
    DuplicateCount, Entropy, Finite, Frequent, Freshness, HasFormat, IgnoreRows, InRange, InSet,
    Increasing, Interpolation, Iqr, IsNull, JensenShannon, Json, JsonSchema, KlDivergence,
    Kurtosis, LInfinity, Like, ListLength, MatchOn, MatchesRegex, Max, MaxLength, Mean, Median,
    Min, MinLength, MostCommonInSet, MutualInformation, NormalizedAbsDifference, NotInSet, NotLike,
    NotMatchesRegex, NotNan, NotNull, NotOutliers, OfType, OutlierMethod, PairEqual,
    PairGreaterThan, PairInSet, Patterns, ProportionUnique, Quantile, QuantileBounds, Quantiles,
    Range, ReferentialIntegrity, RowCount, RowCountEqualsOther, Satisfies, SchemaMatch, Skewness,
    Stdev, StringLength, Sum, SumEquals, TableSchema, TextFormat, Unique, UniqueCount,
    UniqueValueRatio, UniqueWithinRecord, Uniqueness, ValueCount, ValueFrequency, Variance,
    Withheld, ZScore, ZerosCount, approx_distinct, column, column_count, columns_equal,
    completeness, compound_unique, correlation, custom_aggregate, custom_rows, dataset_match,
    date_format, date_parseable, decreasing, distinct_contains_set, distinct_equals_set,
    distinct_in_set, duplicate_count, entropy, finite, freshness, has_format, in_range, in_set,
    increasing, iqr, is_null, jensen_shannon, json, json_schema, kl_divergence, kurtosis,
    l_infinity, like, list_length, matches_all_regexes, matches_regex, max, max_length, mean,
    median, min, min_length, most_common_in_set, mutual_information, normalized_abs_difference,
    not_in_set, not_like, not_matches_regex, not_nan, not_null, not_outliers, of_type, pair_equal,
    pair_greater_than, pair_in_set, proportion_unique, quantile, quantiles, range,
    referential_integrity, row_count, row_count_equals_other, satisfies, schema, schema_match,
    skewness, stdev, strictly_decreasing, strictly_increasing, string_length, sum, sum_equals,
    unique, unique_count, unique_value_ratio, unique_within_record, uniqueness, value_count,
    value_frequency, variance, z_score, zeros_count,
};
pub use expression::{BoundExpression, Expression};
pub use failing_rows::Sample;
pub use gates::{
    Behaviour, Bound, ChallengerGate, Contest, Direction, HashedRows, HoldoutLedger, HoldoutUse,
    LeakageOptions, Metric, ModelPair, OverlapOptions, Pair, Perturbation, Predicted, QualityGate,
    Requirement, RowHashState, RowHashes, SkewOptions, SliceRule, Spending, Target, TimeOrder,
    ValuePair, leakage, overlap, skew, time_order,
};
pub use infer::InferOptions;
pub use keys::{KeyCounts, Keys, KeysState, ListedKeys, Missing, MostCommon};
pub use outcome::{Measured, Outcome, Validation};
pub use profile::{ColumnProfile, Distinct, Profile, ProfileOptions, TextProfile, TextShape};
pub use quarantine::{Quarantine, QuarantineFiles, Quarantined, quarantine};
pub use record::{RecordJudge, Value};
pub use report::{DataDocs, HashKey, Mask, MaskedCount, RedactedSuite, Redaction};
pub use row_test::NullPolicy;
pub use scalar::Scalar;
pub use suite::Suite;
