//! Texts have a length.

use std::ops::{RangeBounds, RangeInclusive};

use arrow::array::{Array, ArrayRef, AsArray, GenericStringArray, OffsetSizeTrait};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use mlops_core::{Result, is_text};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::between::Between;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::expectations::count_bounds::{bounds, check_bounds, words};
use crate::record::Value;
use crate::value_test::{ValueTest, of_text, test_text, unsupported};

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
        check_bounds("length", self.min, self.max)
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
                data_type if is_text(data_type) || data_type.is_integer() => {
                    Some(Box::new(Characters(lengths)))
                }
                _ => None,
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

/// How many characters a text has.
struct Characters(RangeInclusive<u64>);

impl Characters {
    fn fits(&self, text: &str) -> bool {
        // A text has no more characters than bytes, and no fewer than a quarter.
        let bytes = text.len() as u64;
        bytes >= *self.0.start()
            && bytes.div_ceil(4) <= *self.0.end()
            && self.0.contains(&characters(text))
    }

    /// The answers for texts of one byte a character, whose lengths are known; `None` if they are
    /// not.
    fn of_ascii<O: OffsetSizeTrait + Between>(
        &self,
        texts: &GenericStringArray<O>,
    ) -> Option<BooleanBuffer> {
        let ends = texts.value_offsets();
        let (first, last) = (ends.first()?.as_usize(), ends.last()?.as_usize());
        if !texts.value_data().get(first..last)?.is_ascii() {
            return None;
        }
        // No text is longer than an offset can say.
        let low = O::from_usize(usize::try_from(*self.0.start()).ok()?)?;
        let high = usize::try_from(*self.0.end()).unwrap_or(usize::MAX);
        let high = O::from_usize(high.min(O::MAX_OFFSET))?;
        let lengths: Vec<O> = ends.windows(2).map(|ends| ends[1] - ends[0]).collect();
        Some(O::between(&lengths, low, high))
    }
}

impl ValueTest for Characters {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let quickly = match array.data_type() {
            DataType::Utf8 => self.of_ascii(array.as_string::<i32>()),
            DataType::LargeUtf8 => self.of_ascii(array.as_string::<i64>()),
            _ => None,
        };
        match quickly {
            Some(answers) => Ok(answers),
            None => test_text(array, |text| self.fits(text)),
        }
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        of_text(value, |text| self.fits(text))
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
