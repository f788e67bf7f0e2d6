//! One file an expectation: its parameters as suites write them, and how it is compiled.

mod in_range;
mod in_set;
mod matches_regex;
mod not_null;
mod row_count;
mod schema;
mod string_length;
mod unique;

pub use in_range::{InRange, in_range};
pub use in_set::{InSet, in_set};
pub use matches_regex::{MatchesRegex, matches_regex};
pub use not_null::{NotNull, not_null};
pub use row_count::{RowCount, row_count};
pub use schema::{ColumnSchema, ColumnType, TableSchema, column, schema};
pub use string_length::{StringLength, string_length};
pub use unique::{Unique, unique};

pub(crate) use unique::{Distinct, Duplicates};
