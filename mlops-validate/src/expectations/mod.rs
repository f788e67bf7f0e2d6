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
    InRange, InSet, MatchesRegex, NotNull, StringLength, Unique, in_range, in_set, matches_regex,
    not_null, string_length, unique,
};
pub use table::{
    ColumnCount, ColumnSchema, ColumnType, RowCount, TableSchema, column, column_count, row_count,
    schema,
};
