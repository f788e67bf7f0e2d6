//! One file an expectation: its parameters as suites write them, and how it is compiled.

mod columns;
mod map;
mod table;

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
pub use table::{
    ColumnCount, ColumnSchema, ColumnType, RowCount, TableSchema, column, column_count, row_count,
    schema,
};
