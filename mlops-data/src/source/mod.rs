//! Where rows come from: files of several formats.

mod civil;
mod contain;
mod csv;
mod csv_column;
mod csv_records;
mod files;
mod infer;
mod ipc;
mod narrow;
mod parquet;
mod parquet_statistics;
mod stamp;

pub(crate) use civil::timestamp;
pub use csv::{CsvOptions, CsvSource};
pub use files::{FilesSource, open};
pub use infer::{InferredColumn, InferredSchema, Reading, RuledOut};
pub use ipc::IpcSource;
pub(crate) use narrow::collect;
pub use narrow::{Filtered, Projected};
pub use parquet::{ParquetSource, Prune};
