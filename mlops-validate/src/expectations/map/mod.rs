//! Questions that every value of a column answers by itself.

mod in_range;
mod in_set;
mod matches_regex;
mod not_null;
mod string_length;
mod unique;

pub use in_range::{InRange, in_range};
pub use in_set::{InSet, in_set};
pub use matches_regex::{MatchesRegex, matches_regex};
pub use not_null::{NotNull, not_null};
pub use string_length::{StringLength, string_length};
pub use unique::{Unique, unique};

pub(crate) use not_null::HasValue;
pub(crate) use unique::StandsOnce;
