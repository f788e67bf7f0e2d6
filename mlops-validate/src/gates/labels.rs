//! Labels and scores as the statistics want them.

use arrow::array::{Array, ArrayRef, make_array};
use arrow::datatypes::DataType;
use mlops_core::{Categories, Error, Result, is_text, to_numbers};

/// For every row whether it has the positive label, `None` where it has none.
pub(crate) fn labels(name: &str, array: &dyn Array, positive: &str) -> Result<Vec<Option<bool>>> {
    let array: ArrayRef = make_array(array.to_data());
    let mut positive = positive.to_owned();
    if !is_text(array.data_type())
        && let Ok(wanted) = match positive.as_str() {
            "true" => Ok(1.0),
            "false" => Ok(0.0),
            text => text.parse::<f64>(),
        }
    {
        let numbers = to_numbers(name, &array)?;
        // From 2⁵³ on several integers are one f64: they are told apart as the text they print as.
        let wide = |x: &f64| x.abs() >= 9_007_199_254_740_992.0;
        if !is_integer(array.data_type()) || !numbers.values().iter().any(wide) {
            return Ok(numbers
                .iter()
                .map(|v| v.filter(|v| !v.is_nan()).map(|v| v == wanted))
                .collect());
        }
        positive = match positive.parse::<i128>() {
            Ok(whole) => whole.to_string(),
            Err(_) if wanted.fract() == 0.0 => (wanted as i128).to_string(),
            Err(_) => positive,
        };
    }
    let categories = Categories::of(name, &array)?;
    Ok((0..array.len()).map(|row| categories.label(row).map(|l| l == positive)).collect())
}

fn is_integer(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_integer(values),
        other => other.is_integer(),
    }
}

/// The labels of rows that all have one, and of which some are positive and some are not.
pub(crate) fn known(name: &str, array: &dyn Array, positive: &str) -> Result<Vec<bool>> {
    labels(name, array, positive)?
        .into_iter()
        .enumerate()
        .map(|(row, label)| {
            label.ok_or_else(|| Error::Value {
                column: name.into(),
                row: row as u64,
                expected: "a label".into(),
                found: "none".into(),
            })
        })
        .collect()
}

/// Booleans as 0 and 1.
pub(super) fn numbers(array: &ArrayRef) -> Result<arrow::array::Float64Array> {
    to_numbers("y_pred", array)
}

/// Scores without gaps.
pub(crate) fn scores(name: &str, array: &dyn Array) -> Result<Vec<f64>> {
    let array = make_array(array.to_data());
    let numbers = to_numbers(name, &array)?;
    (0..numbers.len())
        .map(|row| match numbers.is_valid(row).then(|| numbers.value(row)) {
            Some(v) if v.is_finite() => Ok(v),
            found => Err(Error::Value {
                column: name.into(),
                row: row as u64,
                expected: "a finite number".into(),
                found: found.map_or_else(|| "null".into(), |v| v.to_string()),
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, UInt64Array};

    #[test]
    fn integers_that_are_one_float_are_told_apart() {
        let array = UInt64Array::from(vec![Some(u64::MAX - 1), Some(u64::MAX), None]);
        let found = labels("y", &array, "18446744073709551614").unwrap();
        assert_eq!(found, [Some(true), Some(false), None]);
        let array = Int64Array::from(vec![1, 0, i64::MAX]);
        assert_eq!(labels("y", &array, "1.0").unwrap(), [Some(true), Some(false), Some(false)]);
    }
}
