//! A column of text turned into an Arrow array, value by value.

use std::sync::Arc;

use arrow::array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{
    ArrayRef, BooleanBuilder, LargeStringBuilder, PrimitiveBuilder, StringBuilder,
    StringDictionaryBuilder,
};
use arrow::datatypes::{ArrowPrimitiveType, DataType, TimeUnit};

use super::civil;

/// Takes the texts of one column.
pub(crate) trait Column: Send {
    fn null(&mut self);
    /// False if the text is not of the type; nothing is taken then.
    fn push(&mut self, text: &str) -> bool;
    fn finish(&mut self) -> ArrayRef;
    /// Whether it takes text as it stands.
    fn is_text(&self) -> bool {
        false
    }
}

/// The types that text can be read as.
pub(crate) const READABLE: &str = "a boolean, integer, float, date32, timestamp in microseconds \
     (without a zone or in UTC), text, or a dictionary of text with int32 keys";

/// A builder for the type, `None` if text can't be read as it.
pub(crate) fn column(data_type: &DataType) -> Option<Box<dyn Column>> {
    macro_rules! parsed {
        ($type:ty) => {
            Box::new(Parsed::<$type>::new(|text| text.parse().ok()))
        };
    }
    Some(match data_type {
        DataType::Boolean => Box::new(Booleans(BooleanBuilder::new())),
        DataType::Int8 => parsed!(Int8Type),
        DataType::Int16 => parsed!(Int16Type),
        DataType::Int32 => parsed!(Int32Type),
        DataType::Int64 => parsed!(Int64Type),
        DataType::UInt8 => parsed!(UInt8Type),
        DataType::UInt16 => parsed!(UInt16Type),
        DataType::UInt32 => parsed!(UInt32Type),
        DataType::UInt64 => parsed!(UInt64Type),
        DataType::Float32 => parsed!(Float32Type),
        DataType::Float64 => parsed!(Float64Type),
        DataType::Date32 => Box::new(Parsed::<Date32Type>::new(civil::date)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let utc = match zone.as_deref() {
                None => false,
                Some("UTC" | "+00:00") => true,
                Some(_) => return None,
            };
            // A text without its distance from UTC does not say which instant it means.
            let parse: fn(&str) -> Option<i64> = if utc {
                |text| civil::timestamp(text).filter(|t| t.1).map(|t| t.0)
            } else {
                |text| civil::timestamp(text).filter(|t| !t.1).map(|t| t.0)
            };
            let mut parsed = Parsed::<TimestampMicrosecondType>::new(parse);
            parsed.builder = parsed.builder.with_data_type(data_type.clone());
            Box::new(parsed)
        }
        DataType::Utf8 => Box::new(StringBuilder::new()),
        DataType::LargeUtf8 => Box::new(LargeStringBuilder::new()),
        DataType::Dictionary(key, value)
            if **key == DataType::Int32 && **value == DataType::Utf8 =>
        {
            Box::new(StringDictionaryBuilder::<Int32Type>::new())
        }
        _ => return None,
    })
}

struct Parsed<T: ArrowPrimitiveType> {
    builder: PrimitiveBuilder<T>,
    parse: fn(&str) -> Option<T::Native>,
}

impl<T: ArrowPrimitiveType> Parsed<T> {
    fn new(parse: fn(&str) -> Option<T::Native>) -> Self {
        Self { builder: PrimitiveBuilder::new(), parse }
    }
}

impl<T: ArrowPrimitiveType> Column for Parsed<T> {
    fn null(&mut self) {
        self.builder.append_null();
    }

    fn push(&mut self, text: &str) -> bool {
        match (self.parse)(text) {
            Some(value) => {
                self.builder.append_value(value);
                true
            }
            None => false,
        }
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

struct Booleans(BooleanBuilder);

impl Column for Booleans {
    fn null(&mut self) {
        self.0.append_null();
    }

    fn push(&mut self, text: &str) -> bool {
        let value = text.eq_ignore_ascii_case("true");
        let known = value || text.eq_ignore_ascii_case("false");
        if known {
            self.0.append_value(value);
        }
        known
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

macro_rules! text {
    ($($builder:ty),*) => {$(
        impl Column for $builder {
            fn null(&mut self) {
                self.append_null();
            }

            fn push(&mut self, text: &str) -> bool {
                self.append_value(text);
                true
            }

            fn finish(&mut self) -> ArrayRef {
                Arc::new(<$builder>::finish(self))
            }

            fn is_text(&self) -> bool {
                true
            }
        }
    )*};
}

text!(StringBuilder, LargeStringBuilder, StringDictionaryBuilder<Int32Type>);
