//! Sources, sinks, transforms and splits on Apache Arrow.

mod sink;
mod source;
mod split;
mod transform;

pub use mlops_core::MemorySource;
pub use sink::{ParquetSink, Sink, Written, write_all};
pub use source::{
    CsvOptions, CsvSource, FilesSource, Filtered, InferredColumn, InferredSchema, ParquetSource,
    Projected, Prune, Reading, RuledOut, open,
};
pub use split::{Cut, Split, TrainTest};
pub use transform::{
    ColumnPipeline, Encoder, Fill, FittedPipeline, Imputer, MinMaxScaler, NullPolicy, NumericStep,
    NumericSteps, OneHotEncoder, OrdinalEncoder, PipelineFit, Record, StandardScaler, Unseen,
    Value, WithTransforms,
};
