//! Questions about the table as a whole.

mod column_count;
mod row_count;
mod schema;

pub use column_count::{ColumnCount, column_count};
pub use row_count::{RowCount, row_count};
pub use schema::{ColumnSchema, ColumnType, TableSchema, column, schema};
