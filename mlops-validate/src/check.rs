//! What is asked: the kinds of expectations, and what each of them must be able to say.

use std::fmt;

use mlops_core::Result;
use serde::{Deserialize, Serialize};

use crate::compile::{Compiled, Compiler};
use crate::expectations::Withheld;
use crate::expectations::{
    ApproxDistinct, ColumnCount, ColumnsEqual, Completeness, CompoundUnique, Correlation,
    CustomAggregate, CustomRows, DatasetMatch, DateFormat, DateParseable, Decreasing,
    DistinctContainsSet, DistinctEqualsSet, DistinctInSet, DuplicateCount, Entropy, Finite,
    Freshness, HasFormat, InRange, InSet, Increasing, Iqr, IsNull, JensenShannon, Json, JsonSchema,
    KlDivergence, Kurtosis, LInfinity, Like, ListLength, MatchesRegex, Max, MaxLength, Mean,
    Median, Min, MinLength, MostCommonInSet, MutualInformation, NormalizedAbsDifference, NotInSet,
    NotLike, NotMatchesRegex, NotNan, NotNull, NotOutliers, OfType, PairEqual, PairGreaterThan,
    PairInSet, ProportionUnique, Quantile, Quantiles, Range, ReferentialIntegrity, RowCount,
    RowCountEqualsOther, Satisfies, SchemaMatch, Skewness, Stdev, StringLength, Sum, SumEquals,
    TableSchema, Unique, UniqueCount, UniqueValueRatio, UniqueWithinRecord, Uniqueness, ValueCount,
    ValueFrequency, Variance, ZScore, ZerosCount,
};
use crate::expression::Expression;

/// What an expectation is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject<'a> {
    /// The table as a whole.
    Table,
    /// One column.
    Column(&'a str),
    /// Several columns together.
    Columns(Vec<&'a str>),
    /// What an expression says of rows.
    Expression(&'a Expression),
}

/// One kind of expectation: its parameters, and how it is made ready for a schema.
pub(crate) trait Kind {
    /// What it is about.
    fn subject(&self) -> Subject<'_>;

    /// Whether each row answers by itself, so that `mostly` and `nulls` mean something.
    fn of_rows(&self) -> bool;

    /// Whether its column may be a path into structs and lists.
    fn reads_paths(&self) -> bool {
        false
    }

    /// Whether the question makes sense in itself.
    fn check_usable(&self) -> Result<()> {
        Ok(())
    }

    /// Adds what must be measured. Its columns are known to be there.
    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled>;
}

macro_rules! checks {
    ($($(#[$docs:meta])* $variant:ident($kind:ty) = $name:literal,)+) => {
        /// What is asked: one variant a kind, named as suites name it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "expectation")]
        #[non_exhaustive]
        pub enum Check {
            $($(#[$docs])* #[serde(rename = $name)] $variant($kind),)+
        }

        impl Check {
            /// The names of all kinds, as suites write them.
            pub const KINDS: &'static [&'static str] = &[$($name),+];

            /// The kind's name, as suites write it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// The fields of each kind, where they are its own.
            pub(crate) fn fields() -> Vec<(&'static str, Option<&'static [&'static str]>)> {
                vec![$(($name, crate::suite_schema::fields_of::<$kind>())),+]
            }

            pub(crate) fn kind(&self) -> &dyn Kind {
                match self {
                    $(Self::$variant(kind) => kind,)+
                }
            }
        }

        $(impl From<$kind> for Check {
            fn from(kind: $kind) -> Self {
                Self::$variant(kind)
            }
        })+
    };
}

checks! {
    // Questions about the table.
    /// The columns, their types, and whether they may be null.
    Schema(TableSchema) = "schema",
    /// How many columns there are.
    ColumnCount(ColumnCount) = "column_count",
    /// How many rows there are.
    RowCount(RowCount) = "row_count",

    // Questions about the values of a column, row by row.
    /// No value is missing.
    NotNull(NotNull) = "not_null",
    /// Every value is missing.
    IsNull(IsNull) = "is_null",
    /// The column is of a type.
    OfType(OfType) = "of_type",
    /// No value stands twice.
    Unique(Unique) = "unique",
    /// Values lie between bounds.
    InRange(InRange) = "in_range",
    /// Values are of a set.
    InSet(InSet) = "in_set",
    /// Values are of no such set.
    NotInSet(NotInSet) = "not_in_set",
    /// Numbers are finite.
    Finite(Finite) = "finite",
    /// Numbers are not NaN.
    NotNan(NotNan) = "not_nan",
    /// Texts match a pattern.
    MatchesRegex(MatchesRegex) = "matches_regex",
    /// Texts match no such pattern.
    NotMatchesRegex(NotMatchesRegex) = "not_matches_regex",
    /// Texts are like an SQL pattern.
    Like(Like) = "like",
    /// Texts are like no such SQL pattern.
    NotLike(NotLike) = "not_like",
    /// Texts have a length.
    StringLength(StringLength) = "string_length",
    /// Texts have a format that is known by name.
    HasFormat(HasFormat) = "has_format",
    /// Texts are dates of a format.
    DateFormat(DateFormat) = "date_format",
    /// Texts are dates in some form.
    DateParseable(DateParseable) = "date_parseable",
    /// Texts are JSON.
    Json(Json) = "json",
    /// Texts are JSON that a schema accepts.
    JsonSchema(JsonSchema) = "json_schema",
    /// Values do not fall from row to row.
    Increasing(Increasing) = "increasing",
    /// Values do not rise from row to row.
    Decreasing(Decreasing) = "decreasing",
    /// Values lie within so many standard deviations.
    ZScore(ZScore) = "z_score",
    /// Values are no outliers.
    NotOutliers(NotOutliers) = "not_outliers",
    /// Lists have a length.
    ListLength(ListLength) = "list_length",

    // Questions that each row answers by the values of several columns.
    /// The value of one column is greater than that of another.
    PairGreaterThan(PairGreaterThan) = "pair_greater_than",
    /// The values of two columns are equal.
    PairEqual(PairEqual) = "pair_equal",
    /// The values of two columns are one of the pairs of a set.
    PairInSet(PairInSet) = "pair_in_set",
    /// The values of several columns are equal.
    ColumnsEqual(ColumnsEqual) = "columns_equal",
    /// No value stands twice in a row.
    UniqueWithinRecord(UniqueWithinRecord) = "unique_within_record",
    /// The values of several columns add up to a total.
    SumEquals(SumEquals) = "sum_equals",
    /// No combination of values stands twice.
    CompoundUnique(CompoundUnique) = "compound_unique",
    /// An expression is true for every row.
    Satisfies(Satisfies) = "satisfies",
    /// A function of the host finds every row good.
    CustomRows(CustomRows) = "custom_rows",

    // Questions about a column as a whole.
    /// The smallest value lies between bounds.
    Min(Min) = "min",
    /// The largest value lies between bounds.
    Max(Max) = "max",
    /// The largest minus the smallest value lies between bounds.
    Range(Range) = "range",
    /// The mean lies between bounds.
    Mean(Mean) = "mean",
    /// The median lies between bounds.
    Median(Median) = "median",
    /// The standard deviation lies between bounds.
    Stdev(Stdev) = "stdev",
    /// The variance lies between bounds.
    Variance(Variance) = "variance",
    /// The sum lies between bounds.
    Sum(Sum) = "sum",
    /// A quantile lies between bounds.
    Quantile(Quantile) = "quantile",
    /// Several quantiles lie between bounds.
    Quantiles(Quantiles) = "quantiles",
    /// The interquartile range lies between bounds.
    Iqr(Iqr) = "iqr",
    /// The skewness lies between bounds.
    Skewness(Skewness) = "skewness",
    /// The excess kurtosis lies between bounds.
    Kurtosis(Kurtosis) = "kurtosis",
    /// The number of zeros lies between bounds.
    ZerosCount(ZerosCount) = "zeros_count",
    /// The share of rows with a value lies between bounds.
    Completeness(Completeness) = "completeness",
    /// The number of rows with a value lies between bounds.
    ValueCount(ValueCount) = "value_count",
    /// The length of the shortest text lies between bounds.
    MinLength(MinLength) = "min_length",
    /// The length of the longest text lies between bounds.
    MaxLength(MaxLength) = "max_length",
    /// About how many different values there are lies between bounds.
    ApproxDistinct(ApproxDistinct) = "approx_distinct",
    /// The number of different values lies between bounds.
    UniqueCount(UniqueCount) = "unique_count",
    /// The number of different values by that of all lies between bounds.
    ProportionUnique(ProportionUnique) = "proportion_unique",
    /// The share of values that stand once lies between bounds.
    Uniqueness(Uniqueness) = "uniqueness",
    /// The share of different values that stand once lies between bounds.
    UniqueValueRatio(UniqueValueRatio) = "unique_value_ratio",
    /// The number of rows with a repeated value lies between bounds.
    DuplicateCount(DuplicateCount) = "duplicate_count",
    /// The entropy lies between bounds.
    Entropy(Entropy) = "entropy",
    /// The most frequent value is of a set.
    MostCommonInSet(MostCommonInSet) = "most_common_in_set",
    /// The different values are of a set.
    DistinctInSet(DistinctInSet) = "distinct_in_set",
    /// The different values contain a set.
    DistinctContainsSet(DistinctContainsSet) = "distinct_contains_set",
    /// The different values are a set.
    DistinctEqualsSet(DistinctEqualsSet) = "distinct_equals_set",
    /// How often a value stands lies between bounds.
    ValueFrequency(ValueFrequency) = "value_frequency",
    /// The Kullback–Leibler divergence from a distribution is small.
    KlDivergence(KlDivergence) = "kl_divergence",
    /// The largest difference of shares from a distribution is small.
    LInfinity(LInfinity) = "l_infinity",
    /// The Jensen–Shannon divergence from a distribution is small.
    JensenShannon(JensenShannon) = "jensen_shannon",
    /// The largest difference of counts from a distribution is small.
    NormalizedAbsDifference(NormalizedAbsDifference) = "normalized_abs_difference",

    /// The latest date or timestamp is not too old.
    Freshness(Freshness) = "freshness",
    /// A measurement of the host satisfies its judge.
    CustomAggregate(CustomAggregate) = "custom_aggregate",

    // Questions about the table beside another source.
    /// Every key is among those of another source.
    ReferentialIntegrity(ReferentialIntegrity) = "referential_integrity",
    /// There are as many rows as in another source.
    RowCountEqualsOther(RowCountEqualsOther) = "row_count_equals_other",
    /// Every row stands in another source as well.
    DatasetMatch(DatasetMatch) = "dataset_match",
    /// The columns are those of another source.
    SchemaMatch(SchemaMatch) = "schema_match",

    // Questions about two columns together.
    /// The correlation of two columns lies between bounds.
    Correlation(Correlation) = "correlation",
    /// The mutual information of two columns lies between bounds.
    MutualInformation(MutualInformation) = "mutual_information",

    /// Not asked, but named: what a report says of an expectation whose parameters it withholds.
    Withheld(Withheld) = "withheld",
}

impl Subject<'_> {
    /// The columns that it is about.
    pub(crate) fn columns(&self) -> Vec<String> {
        match self {
            Self::Table => Vec::new(),
            Self::Column(column) => vec![(*column).to_owned()],
            Self::Columns(columns) => columns.iter().map(|&c| c.to_owned()).collect(),
            Self::Expression(expression) => expression.columns(),
        }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("table"),
            Self::Column(column) => f.write_str(column),
            Self::Columns(columns) => f.write_str(&columns.join(", ")),
            Self::Expression(expression) => expression.fmt(f),
        }
    }
}
