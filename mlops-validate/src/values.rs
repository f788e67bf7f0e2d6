//! How a test sees a column: dictionaries by their values, dates by their counts.

use arrow::array::{Array, ArrayRef, AsArray, StringArray, make_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, UInt64Type};
use mlops_core::Result;

use crate::Scalar;
use crate::value_test::ValueTest;

/// What the values of a column are to a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    /// Whole numbers, and dates and times as counts of their unit.
    Int,
    /// Floats and decimals.
    Float,
    /// Text.
    Text,
    /// Booleans.
    Bool,
}

/// The type of a column's values: that of a dictionary's.
pub(crate) fn value_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, value) => value_type(value),
        other => other,
    }
}

/// What a test sees in a column of this type; `None` for nested types and bytes.
pub(crate) fn domain(data_type: &DataType) -> Option<Domain> {
    match value_type(data_type) {
        DataType::Boolean => Some(Domain::Bool),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Domain::Text),
        DataType::Interval(_) => None,
        other if other.is_integer() || other.is_temporal() => Some(Domain::Int),
        other if other.is_numeric() => Some(Domain::Float),
        _ => None,
    }
}

/// The values as one of the types that tests know: dates and times are their counts, half floats
/// are `f32`.
pub(crate) fn physical(array: &ArrayRef) -> Result<ArrayRef> {
    let data_type = array.data_type();
    let counts = match data_type {
        DataType::Date32 | DataType::Time32(_) => DataType::Int32,
        DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(_, _)
        | DataType::Duration(_) => DataType::Int64,
        DataType::Float16 => return Ok(cast(array, &DataType::Float32)?),
        _ => return Ok(array.clone()),
    };
    // The same buffers under another name.
    Ok(make_array(array.to_data().into_builder().data_type(counts).build()?))
}

/// For every row whether its value passes `test`; what stands where a row is null means nothing.
///
/// Of a dictionary the test sees every value once.
pub(crate) fn apply(array: &ArrayRef, test: &dyn ValueTest) -> Result<BooleanBuffer> {
    let DataType::Dictionary(_, _) = array.data_type() else {
        return test.of_array(&physical(array)?);
    };
    let dictionary = array.as_any_dictionary();
    let values = apply(dictionary.values(), test)?;
    // Most often all values are well, or none is.
    match values.count_set_bits() {
        0 => return Ok(BooleanBuffer::new_unset(array.len())),
        n if n == values.len() => return Ok(BooleanBuffer::new_set(array.len())),
        _ => {}
    }
    let keys = cast(dictionary.keys(), &DataType::UInt64)?;
    let keys = keys.as_primitive::<UInt64Type>().values();
    // The key of a null row may be anything.
    Ok(BooleanBuffer::collect_bool(keys.len(), |row| {
        values.len() as u64 > keys[row] && values.value(keys[row] as usize)
    }))
}

/// The rows that have a value: of a dictionary those whose value is there, too.
pub(crate) fn present(array: &ArrayRef) -> Option<BooleanBuffer> {
    array.logical_nulls().filter(|n| n.null_count() > 0).map(|n| n.inner().clone())
}

/// Signed integers, dates and times as `i64`.
pub(crate) fn counts(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(&physical(array)?, &DataType::Int64)?)
}

/// What [`counts`] made of a date or time type, back.
pub(crate) fn from_counts(
    counts: &arrow::array::Int64Array,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let counts: ArrayRef = match data_type {
        DataType::Date32 | DataType::Time32(_) => cast(counts, &DataType::Int32)?,
        _ => std::sync::Arc::new(counts.clone()),
    };
    Ok(make_array(counts.to_data().into_builder().data_type(data_type.clone()).build()?))
}

/// A bound or member as a count of a date or time type's unit; `None` where it is no such thing.
///
/// A timestamp without an offset is read in the column's zone. Durations are ISO 8601 (`PT1H30M`)
/// or friendly (`1h 30m`).
pub(crate) fn temporal(scalar: &Scalar, data_type: &DataType) -> Option<i128> {
    let Scalar::Text(text) = scalar else { return None };
    if let DataType::Duration(unit) = data_type {
        let nanos = text.parse::<jiff::SignedDuration>().ok()?.as_nanos();
        let unit = match unit {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        };
        // What the column can't hold is no bound of it.
        return (nanos % unit == 0).then_some(nanos / unit);
    }
    let text = StringArray::from(vec![text.as_str()]);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let parsed = cast_with_options(&text, data_type, &strict).ok()?;
    let counts = physical(&parsed).ok()?;
    let counts = cast(&counts, &DataType::Int64).ok()?;
    let counts = counts.as_primitive::<arrow::datatypes::Int64Type>();
    counts.is_valid(0).then(|| counts.value(0).into())
}
