//! Where rows come from: files of several formats.

mod civil;
mod contain;
mod csv;
mod csv_column;
mod csv_records;
mod infer;
mod parquet;

pub use csv::{CsvOptions, CsvSource};
pub use infer::{InferredColumn, InferredSchema, Reading, RuledOut};
pub use parquet::{ParquetSource, Prune};
