//! Labels and scores as the statistics want them.

use arrow::array::{Array, ArrayRef, make_array};
use mlops_core::{Categories, Error, Result, is_text, to_numbers};

/// For every row whether it has the positive label, `None` where it has none.
pub(crate) fn labels(name: &str, array: &dyn Array, positive: &str) -> Result<Vec<Option<bool>>> {
    let array: ArrayRef = make_array(array.to_data());
    if !is_text(array.data_type())
        && let Ok(wanted) = match positive {
            "true" => Ok(1.0),
            "false" => Ok(0.0),
            text => text.parse::<f64>(),
        }
    {
        let numbers = to_numbers(name, &array)?;
        return Ok(numbers
            .iter()
            .map(|v| v.filter(|v| !v.is_nan()).map(|v| v == wanted))
            .collect());
    }
    let categories = Categories::of(name, &array)?;
    Ok((0..array.len()).map(|row| categories.label(row).map(|l| l == positive)).collect())
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
