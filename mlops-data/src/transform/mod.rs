//! Transforms: fitted by a scan, applied to batches and to single records, saved with the model.

mod categorical;
mod numeric;
mod pipeline;
mod record;
mod with_transforms;

pub use categorical::{Encoder, NullPolicy, OneHotEncoder, OrdinalEncoder, Unseen};
pub use numeric::{Fill, Imputer, MinMaxScaler, NumericStep, NumericSteps, StandardScaler};
pub use pipeline::{ColumnPipeline, FittedPipeline, PipelineFit};
pub use record::{Record, Value};
pub use with_transforms::{WithTransforms, load_model};
