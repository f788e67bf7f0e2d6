//! A column as numbers.

use arrow::array::{Array, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::{Error, Result};

/// Whether [`Rows::numbers`](crate::Rows::numbers) can read a column of this type.
pub fn is_numeric(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_numeric(value),
        DataType::Boolean => true,
        other => other.is_numeric() || other.is_temporal(),
    }
}

/// An array as `f64`, as [`Rows::numbers`](crate::Rows::numbers) reads it.
///
/// # Errors
/// [`Error::ColumnType`] for text and nested types.
pub fn to_numbers(name: &str, array: &dyn Array) -> Result<Float64Array> {
    let wrong =
        || Error::column_type(name, "a number, boolean, date or timestamp", array.data_type());
    if let Some(numbers) = of_primitive(array) {
        return Ok(numbers);
    }
    match array.data_type() {
        // What a reader makes of a column without a single value.
        DataType::Null => Ok(Float64Array::new_null(array.len())),
        other if !is_numeric(other) => Err(wrong()),
        DataType::Dictionary(_, value) if **value != DataType::Float64 => {
            to_numbers(name, &cast(array, value)?)
        }
        _ => Ok(cast(array, &DataType::Float64)
            .map_err(|_| wrong())?
            .as_primitive::<Float64Type>()
            .clone()),
    }
}

/// Numbers, dates and times as the nearest floats: a loop without a check for each value, which
/// arrow's casts have. `None` for what is no primitive array, or not its own number.
#[expect(clippy::cast_lossless, reason = "one expression for all types, of which some round")]
fn of_primitive(array: &dyn Array) -> Option<Float64Array> {
    macro_rules! one_of {
        ($($pattern:pat => $type:ty,)*) => {
            match array.data_type() {
                DataType::Float64 => Some(array.as_primitive::<Float64Type>().clone()),
                $($pattern => {
                    Some(array.as_primitive::<$type>().unary(|x| x as f64))
                })*
                _ => None,
            }
        };
    }
    use DataType::{Duration, Time32, Time64, Timestamp};
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    one_of! {
        DataType::Int8 => Int8Type,
        DataType::Int16 => Int16Type,
        DataType::Int32 => Int32Type,
        DataType::Int64 => Int64Type,
        DataType::UInt8 => UInt8Type,
        DataType::UInt16 => UInt16Type,
        DataType::UInt32 => UInt32Type,
        DataType::UInt64 => UInt64Type,
        DataType::Float32 => Float32Type,
        DataType::Date32 => Date32Type,
        DataType::Date64 => Date64Type,
        Time32(Second) => Time32SecondType,
        Time32(Millisecond) => Time32MillisecondType,
        Time64(Microsecond) => Time64MicrosecondType,
        Time64(Nanosecond) => Time64NanosecondType,
        Timestamp(Second, _) => TimestampSecondType,
        Timestamp(Millisecond, _) => TimestampMillisecondType,
        Timestamp(Microsecond, _) => TimestampMicrosecondType,
        Timestamp(Nanosecond, _) => TimestampNanosecondType,
        Duration(Second) => DurationSecondType,
        Duration(Millisecond) => DurationMillisecondType,
        Duration(Microsecond) => DurationMicrosecondType,
        Duration(Nanosecond) => DurationNanosecondType,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_a_cast_makes_of_them() {
        let whole = [Some(i64::MIN), None, Some(-1), Some(0), Some((1 << 53) + 1), Some(i64::MAX)];
        let whole = arrow::array::Int64Array::from(whole.to_vec());
        let small = arrow::array::Int64Array::from(vec![Some(3), None, Some(127), Some(0)]);
        for unit in [TimeUnit::Second, TimeUnit::Nanosecond] {
            for other in [DataType::Timestamp(unit, Some("UTC".into())), DataType::Duration(unit)] {
                let times = cast(&whole, &other).unwrap();
                let want = cast(&whole, &DataType::Float64).unwrap();
                assert_eq!(&to_numbers("x", &times).unwrap(), want.as_primitive::<Float64Type>());
            }
        }
        for other in [
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float16,
            DataType::Float32,
            DataType::Float64,
            DataType::Decimal128(20, 3),
            DataType::Boolean,
        ] {
            let array = cast(&small, &other).unwrap();
            let want = cast(&array, &DataType::Float64).unwrap();
            assert_eq!(
                &to_numbers("x", &array).unwrap(),
                want.as_primitive::<Float64Type>(),
                "{other}"
            );
        }
        let days = cast(&cast(&small, &DataType::Int32).unwrap(), &DataType::Date32).unwrap();
        assert_eq!(to_numbers("x", &days).unwrap().value(2), 127.0);
    }
}
