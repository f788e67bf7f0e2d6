//! The states that measurements share. Each is a function of the multiset of rows.

mod row_count;

pub use row_count::RowCount;
