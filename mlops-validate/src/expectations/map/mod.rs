//! Questions that every value of a column answers by itself.

mod date_format;
mod date_parseable;
mod decimals;
mod finite;
mod has_format;
mod in_range;
mod in_set;
mod json;
mod like;
mod list_length;
mod matches_regex;
mod not_null;
mod of_type;
mod ordered;
mod outliers;
mod patterns;
mod string_length;
mod unique;

pub use date_format::{DateFormat, date_format};
pub use date_parseable::{DateParseable, date_parseable};
pub use finite::{Finite, NotNan, finite, not_nan};
pub use has_format::{HasFormat, TextFormat, has_format};
pub use in_range::{InRange, in_range};
pub use in_set::{InSet, NotInSet, in_set, not_in_set};
pub use json::{Json, JsonSchema, json, json_schema};
pub use like::{Like, NotLike, like, not_like};
pub use list_length::{ListLength, list_length};
pub use matches_regex::{
    MatchesRegex, NotMatchesRegex, matches_all_regexes, matches_regex, not_matches_regex,
};
pub use not_null::{IsNull, NotNull, is_null, not_null};
pub use of_type::{OfType, of_type};
pub use ordered::{
    Decreasing, Increasing, decreasing, increasing, strictly_decreasing, strictly_increasing,
};
pub use outliers::{NotOutliers, OutlierMethod, ZScore, not_outliers, z_score};
pub use patterns::{MatchOn, Patterns};
pub use string_length::{StringLength, string_length};
pub use unique::{Unique, unique};

pub(crate) use not_null::HasValue;
pub(crate) use unique::StandsOnce;
