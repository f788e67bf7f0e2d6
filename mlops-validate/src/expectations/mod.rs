//! One file an expectation: its parameters as suites write them, and how it is compiled.

mod map;
mod table;

pub use map::{
    InRange, InSet, MatchesRegex, NotNull, StringLength, Unique, in_range, in_set, matches_regex,
    not_null, string_length, unique,
};
pub use table::{ColumnSchema, ColumnType, RowCount, TableSchema, column, row_count, schema};

pub(crate) use map::{Distinct, Duplicates};
