//! Texts have a length.

use std::ops::{Bound, RangeBounds, RangeInclusive};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::value_test::{Texts, ValueTest, unsupported};

/// Every text has between so many characters (Unicode scalar values), both bounds included.
///
/// So a letter with a combining accent may be two, and an emoji of a family five, as in Python.
/// Integers have the length that they print with, bytes (`Binary`) their number. Nulls are left
/// out.
///
/// Great Expectations: `expect_column_value_lengths_to_be_between` and
/// `expect_column_value_lengths_to_equal` (`min` and `max` alike). pandera: `str_length`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StringLength {
    /// The column.
    pub column: String,
    /// The fewest characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The most characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// Expects every text to have so many characters, as `1..`, `..=80` or `2..=2`:
/// [`StringLength`].
pub fn string_length(column: impl Into<String>, characters: impl RangeBounds<u64>) -> Expectation {
    let (min, max) = bounds(characters);
    StringLength { column: column.into(), min, max }.into()
}

impl Kind for StringLength {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        check_bounds(self.min, self.max)
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = words("characters", self.min, self.max);
        to.values(words, &self.column, "a column of text, bytes or integers", |data_type| {
            let lengths = self.min.unwrap_or(0)..=self.max.unwrap_or(u64::MAX);
            Ok(match data_type {
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                    Some(Box::new(ByteLength(lengths)) as Box<dyn ValueTest>)
                }
                _ => Texts::or_integers(data_type, move |value: &str| {
                    // A text has no more characters than bytes, and no fewer than a quarter.
                    let bytes = value.len() as u64;
                    if bytes < *lengths.start() || bytes.div_ceil(4) > *lengths.end() {
                        false
                    } else {
                        lengths.contains(&characters(value))
                    }
                }),
            })
        })
    }
}

/// How many characters there are: the bytes that do not continue one.
fn characters(text: &str) -> u64 {
    let bytes = text.as_bytes();
    if bytes.is_ascii() {
        return bytes.len() as u64;
    }
    bytes.iter().filter(|b| **b as i8 >= -0x40).count() as u64
}

/// A length in words.
pub(super) fn words(of: &str, min: Option<u64>, max: Option<u64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) if min == max => format!("{min} {of}"),
        (Some(min), Some(max)) => format!("{min} to {max} {of}"),
        (Some(min), None) => format!("at least {min} {of}"),
        (None, Some(max)) => format!("at most {max} {of}"),
        (None, None) => format!("any number of {of}"),
    }
}

/// A range of lengths as bounds, both included.
pub(super) fn bounds(range: impl RangeBounds<u64>) -> (Option<u64>, Option<u64>) {
    let min = match range.start_bound() {
        Bound::Included(n) => Some(*n),
        Bound::Excluded(n) => Some(n.saturating_add(1)),
        Bound::Unbounded => None,
    };
    match range.end_bound() {
        Bound::Included(n) => (min, Some(*n)),
        // Nothing is shorter than nothing: refused when used.
        Bound::Excluded(0) => (Some(1), Some(0)),
        Bound::Excluded(n) => (min, Some(*n - 1)),
        Bound::Unbounded => (min, None),
    }
}

/// Whether the bounds leave something.
pub(super) fn check_bounds(min: Option<u64>, max: Option<u64>) -> Result<()> {
    match (min, max) {
        (None, None) => Err(Error::invalid("length", "a `min`, a `max` or both", "neither")),
        (Some(min), Some(max)) if min > max => {
            Err(Error::invalid("length", "min <= max", format!("{min} > {max}")))
        }
        _ => Ok(()),
    }
}

/// How many bytes a value of bytes has.
struct ByteLength(RangeInclusive<u64>);

impl ValueTest for ByteLength {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        macro_rules! over {
            ($bytes:expr) => {{
                let bytes = $bytes;
                let fits = |row| self.0.contains(&(bytes.value(row).len() as u64));
                Ok(BooleanBuffer::collect_bool(bytes.len(), fits))
            }};
        }
        match array.data_type() {
            DataType::Binary => over!(array.as_binary::<i32>()),
            DataType::LargeBinary => over!(array.as_binary::<i64>()),
            DataType::BinaryView => over!(array.as_binary_view()),
            _ => unsupported(array),
        }
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        // A record has bytes only where they are a text.
        matches!(value, Value::Text(text) if self.0.contains(&(text.len() as u64)))
    }
}
