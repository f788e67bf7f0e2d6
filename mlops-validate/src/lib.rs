//! Data expectations, suites, quarantine and model quality gates, for `mlops`.

mod expectation;
mod expectations;
mod failing_rows;
mod quarantine;
mod scalar;
mod suite;
mod unexpected;
mod values;

pub use expectation::{Check, Expectation};
pub use expectations::{
    ColumnSchema, ColumnType, InRange, InSet, MatchesRegex, NotNull, RowCount, StringLength,
    TableSchema, Unique, column, in_range, in_set, matches_regex, not_null, row_count, schema,
    string_length, unique,
};
pub use quarantine::{Quarantine, QuarantineFiles, Quarantined, quarantine};
pub use scalar::Scalar;
pub use suite::Suite;
