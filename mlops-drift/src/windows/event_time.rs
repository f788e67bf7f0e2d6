//! The times of a column's rows.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Date64Type, Int64Type, TimeUnit};
use mlops_core::{Error, Result};

use super::calendar::DAY;

/// Microseconds since 1970-01-01T00:00:00Z; null where there is no time, or none within some
/// 36,000 years: near the ends of such numbers panes and windows would have none.
///
/// Dates begin at midnight, timestamps without a zone are UTC, nanoseconds round down, text is an
/// ISO 8601 date or date and time; of other text that begins with an ISO date that date counts.
pub(crate) fn event_times(name: &str, array: &ArrayRef) -> Result<Int64Array> {
    let times = any_times(name, array)?;
    let far = |t: &i64| t.checked_abs().is_none_or(|t| t > FARTHEST);
    if times.values().iter().any(far) {
        return Ok(times.unary_opt(|t: i64| (!far(&t)).then_some(t)));
    }
    Ok(times)
}

/// As far as the origin of windows may be.
pub(super) const FARTHEST: i64 = i64::MAX / 8;

fn any_times(name: &str, array: &ArrayRef) -> Result<Int64Array> {
    let wrong = || {
        Error::column_type(
            name,
            "a date, a timestamp, or text that begins with an ISO date",
            array.data_type(),
        )
    };
    match array.data_type() {
        DataType::Date32 => {
            Ok(array.as_primitive::<Date32Type>().unary_opt(|day| i64::from(day).checked_mul(DAY)))
        }
        DataType::Date64 => {
            Ok(array.as_primitive::<Date64Type>().unary_opt(|ms: i64| ms.checked_mul(1000)))
        }
        DataType::Timestamp(unit, _) => {
            let own = cast(array, &DataType::Int64).map_err(|_| wrong())?;
            let own = own.as_primitive::<Int64Type>();
            Ok(match unit {
                TimeUnit::Second => own.unary_opt(|t: i64| t.checked_mul(1_000_000)),
                TimeUnit::Millisecond => own.unary_opt(|t: i64| t.checked_mul(1000)),
                TimeUnit::Microsecond => own.clone(),
                TimeUnit::Nanosecond => own.unary(|t: i64| t.div_euclid(1000)),
            })
        }
        DataType::Dictionary(_, value) => {
            any_times(name, &cast(array, value).map_err(|_| wrong())?)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => of_text(array, wrong),
        _ => Err(wrong()),
    }
}

fn of_text(array: &ArrayRef, wrong: impl Fn() -> Error) -> Result<Int64Array> {
    let instants = DataType::Timestamp(TimeUnit::Microsecond, None);
    let text = cast(array, &DataType::Utf8).map_err(|_| wrong())?;
    let whole = cast(&cast(&text, &instants)?, &DataType::Int64)?;
    let whole = whole.as_primitive::<Int64Type>();
    if whole.null_count() == text.null_count() {
        return Ok(whole.clone());
    }
    // Arrow wants seconds, and nothing behind them.
    let heads = text.as_string::<i32>().iter().map(|t| {
        let t = t?;
        let minute = t.get(..16).filter(|_| t.len() == 16);
        minute.map(|m| format!("{m}:00")).or_else(|| t.get(..10).map(str::to_owned))
    });
    let heads: arrow::array::StringArray = heads.collect();
    let heads = cast(&cast(&heads, &instants)?, &DataType::Int64)?;
    let heads = heads.as_primitive::<Int64Type>();
    Ok(whole.iter().zip(heads).map(|(whole, head)| whole.or(head)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Date32Array, Date64Array, DictionaryArray, Int32Array, StringArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    #[test]
    fn a_time_is_the_same_in_every_type() {
        const T: i64 = 1_588_413_600_000_000; // 2020-05-02T10:00:00Z
        let midnight = T - T.rem_euclid(DAY);
        let arrays: [(ArrayRef, [Option<i64>; 2]); 8] = [
            (Arc::new(Date32Array::from(vec![Some(18_384), None])), [Some(midnight), None]),
            (Arc::new(Date32Array::from(vec![18_384, i32::MAX])), [Some(midnight), None]),
            (Arc::new(TimestampMicrosecondArray::from(vec![T, i64::MIN])), [Some(T), None]),
            (Arc::new(Date64Array::from(vec![Some(T / 1000), None])), [Some(T), None]),
            (Arc::new(TimestampSecondArray::from(vec![T / 1_000_000, i64::MAX])), [Some(T), None]),
            (
                Arc::new(TimestampNanosecondArray::from(vec![Some(T * 1000 + 7), None])),
                [Some(T), None],
            ),
            (
                Arc::new(TimestampMicrosecondArray::from(vec![T, -1]).with_timezone("+02:00")),
                [Some(T), Some(-1)],
            ),
            (
                Arc::new(DictionaryArray::new(
                    Int32Array::from(vec![Some(0), None]),
                    Arc::new(StringArray::from(vec!["2020-05-02T10:00:00Z"])),
                )),
                [Some(T), None],
            ),
        ];
        for (array, expected) in arrays {
            let found = event_times("t", &array).unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{}", array.data_type());
        }
        for (text, expected) in [
            ("2020-05-02 10:00:00", Some(T)),
            ("2020-05-02T12:00:00+02:00", Some(T)),
            ("2020-05-02 10:00", Some(T)),
            ("2020-05-02T10:00:00.000", Some(T)),
            ("2020-05-02", Some(midnight)),
            ("2020-05-02 in the morning", Some(midnight)),
            ("2020-5-2", None),
            ("", None),
            ("früher und später", None),
        ] {
            let array: ArrayRef = Arc::new(StringArray::from(vec![Some(text), None]));
            let found = event_times("t", &array).unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), [expected, None], "{text}");
        }
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert!(matches!(event_times("t", &numbers), Err(Error::ColumnType { .. })));
    }
}
