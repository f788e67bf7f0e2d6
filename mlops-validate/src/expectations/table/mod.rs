//! Questions about the table as a whole.

mod row_count;
mod schema;

pub use row_count::{RowCount, row_count};
pub use schema::{ColumnSchema, ColumnType, TableSchema, column, schema};
