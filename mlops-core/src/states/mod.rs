//! The states that measurements share. Each is a function of the multiset of rows.

mod bins;
mod category_counts;
mod central_moments;
mod confusion_counts;
mod counters;
mod distinct;
mod dyadic;
mod grid;
mod histogram;
mod kernel;
mod moments;
mod numeric_summary;
mod quantiles;
mod row_count;
mod sum;
mod values;
mod wide;

pub use category_counts::{CategoryCounts, CategoryState, CategoryTable};
pub use central_moments::{CentralMoments, CentralMomentsState, Shape};
pub use confusion_counts::{Confusion, ConfusionCounts, ConfusionState};
pub use counters::Counters;
pub use distinct::{Distinct, DistinctCount, DistinctState};
pub use histogram::{Histogram, HistogramCounts, HistogramState};
pub use moments::Moments;
pub use numeric_summary::{NumericSummary, Summary};
pub use quantiles::{QuantileState, QuantileTable, Quantiles};
pub use row_count::RowCount;
pub use sum::Sum;
