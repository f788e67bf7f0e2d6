//! Gates of a model: its quality, its difference to the champion, its hold-out, leaks, behaviour,
//! and the skew between training and serving.

mod auc_difference_limits;
mod behaviour;
mod challenger;
mod difference;
mod estimate;
mod flagged;
mod holdout;
mod labels;
mod leakage;
mod metric;
mod options;
mod overlap;
mod pair;
mod predicted;
mod quality_gate;
mod row_hash;
mod skew;
mod slices;
mod time_order;

pub use behaviour::{Behaviour, Direction, Perturbation};
pub use challenger::{ChallengerGate, Requirement};
pub use holdout::{HoldoutLedger, HoldoutUse, Spending};
pub(crate) use leakage::known_columns;
pub use leakage::{LeakageOptions, leakage};
pub use metric::{Bound, Metric};
pub use overlap::{HashedRows, OverlapOptions, RowHashState, RowHashes, overlap};
pub use pair::{Contest, ModelPair, Pair, ValuePair};
pub use predicted::{Predicted, Target};
pub use quality_gate::QualityGate;
pub use skew::{SkewOptions, skew};
pub use slices::SliceRule;
pub use time_order::{TimeOrder, time_order};
