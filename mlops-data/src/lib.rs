//! Sources, sinks, transforms and splits on Apache Arrow.

mod sink;
mod source;

pub use mlops_core::MemorySource;
pub use sink::{ParquetSink, Sink, Written, write_all};
pub use source::{
    CsvOptions, CsvSource, FilesSource, InferredColumn, InferredSchema, ParquetSource, Prune,
    Reading, RuledOut, open,
};
