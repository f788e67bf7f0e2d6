//! Analyzers behind the expectations about a column as a whole: what core's states do not measure,
//! or not exactly.

mod extremes;
mod frequencies;
mod integer_sum;
mod lengths;
mod power_sums;
mod presence;

pub(crate) use extremes::{End, Ends, Extremes, Order};
pub(crate) use frequencies::{Frequencies, Frequency, label_of, print_count};
pub(crate) use integer_sum::IntegerSum;
pub(crate) use lengths::{LengthRange, Lengths};
pub(crate) use power_sums::{CrossSums, PowerSums};
pub(crate) use presence::Presence;
