//! What kinds of column there are, and which of them can be compared.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// A family of Arrow types whose values mean the same: within one, widths and encodings may
/// change between reference and current data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Family {
    /// Nothing but nulls, of no type.
    Null,
    /// Booleans.
    Boolean,
    /// Signed and unsigned integers of any width. Beyond 2⁵³ they are read as the nearest `f64`,
    /// and neighbours that fall on the same one are one value.
    Integer,
    /// Floating-point numbers, and decimals as the nearest `f64`.
    Float,
    /// Text: `Utf8`, `LargeUtf8`, `Utf8View`, and dictionaries of them.
    Text,
    /// Dates in days.
    Days,
    /// Dates, times, timestamps or durations in seconds. A timestamp is an instant, whatever its
    /// time zone.
    Seconds,
    /// The same in milliseconds.
    Millis,
    /// The same in microseconds.
    Micros,
    /// The same in nanoseconds.
    Nanos,
}

impl Family {
    /// Every family, in the order of their codes in bytes.
    const ALL: [Self; 10] = [
        Self::Null,
        Self::Boolean,
        Self::Integer,
        Self::Float,
        Self::Text,
        Self::Days,
        Self::Seconds,
        Self::Millis,
        Self::Micros,
        Self::Nanos,
    ];

    /// The family of a type; `None` for those that are not compared: nested, binary, intervals.
    pub fn of(data_type: &DataType) -> Option<Self> {
        let by_unit = |unit: &TimeUnit| match unit {
            TimeUnit::Second => Self::Seconds,
            TimeUnit::Millisecond => Self::Millis,
            TimeUnit::Microsecond => Self::Micros,
            TimeUnit::Nanosecond => Self::Nanos,
        };
        Some(match data_type {
            DataType::Dictionary(_, values) => return Self::of(values),
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Date32 => Self::Days,
            DataType::Date64 => Self::Millis,
            DataType::Timestamp(unit, _)
            | DataType::Time32(unit)
            | DataType::Time64(unit)
            | DataType::Duration(unit) => by_unit(unit),
            other if other.is_integer() => Self::Integer,
            other if other.is_floating() || other.is_decimal() => Self::Float,
            _ => return None,
        })
    }

    /// Whether values of the other family can be counted in cells made for this one.
    pub(crate) fn takes(self, other: Self, categorical: bool) -> bool {
        self == other
            || other == Self::Null
            || self == Self::Null
            // 3.0 is the label 3: a column of integers with nulls often comes as floats.
            || matches!((self, other), (Self::Integer, Self::Float))
            || (!categorical && matches!((self, other), (Self::Float, Self::Integer)))
    }

    pub(crate) fn code(self) -> u8 {
        Self::ALL.iter().position(|f| *f == self).unwrap_or(0) as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Days => "days",
            Self::Seconds => "seconds",
            Self::Millis => "milliseconds",
            Self::Micros => "microseconds",
            Self::Nanos => "nanoseconds",
        })
    }
}
