//! What metrics are taken of, checked once.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};

use crate::rows::{is_numeric, is_text, to_numbers};
use crate::{Categories, Error, Result};

/// True labels and predicted ones.
#[derive(Clone, Copy, Debug)]
pub struct Classified<'a> {
    /// What came true: text, booleans or numbers.
    pub y_true: &'a dyn Array,
    /// What was predicted.
    pub y_pred: &'a dyn Array,
    /// The label that counts as positive, in words: `"yes"`, `"1"`, `"true"`. All others are
    /// negative. A number is compared as a number.
    pub positive: &'a str,
}

/// True labels and scores that are larger for the positive.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// What came true: text, booleans or numbers.
    pub y_true: &'a dyn Array,
    /// The score: a number; for [`log_loss`](super::log_loss) and [`brier`](super::brier) the
    /// probability of the positive.
    pub y_score: &'a dyn Array,
    /// The label that counts as positive, as in [`Classified::positive`].
    pub positive: &'a str,
}

/// True numbers and predicted ones.
#[derive(Clone, Copy, Debug)]
pub struct Estimated<'a> {
    /// What came true: a number.
    pub y_true: &'a dyn Array,
    /// What was predicted.
    pub y_pred: &'a dyn Array,
}

fn same_length(left: &dyn Array, right: &dyn Array, right_name: &str) -> Result<()> {
    if left.len() == right.len() {
        return Ok(());
    }
    Err(Error::Length {
        left: "y_true".into(),
        left_len: left.len(),
        right: right_name.into(),
        right_len: right.len(),
    })
}

fn bad_value(column: &str, row: usize, expected: &str, found: &dyn ToString) -> Error {
    Error::Value {
        column: column.into(),
        row: row as u64,
        expected: expected.into(),
        found: found.to_string(),
    }
}

fn no_nulls(name: &str, array: &dyn Array, expected: &str) -> Result<()> {
    // Dictionaries may hide a null among their values.
    match array.logical_nulls() {
        Some(nulls) if nulls.null_count() > 0 => {
            let row = nulls.iter().position(|valid| !valid).unwrap_or(0);
            Err(bad_value(name, row, expected, &"null"))
        }
        _ => Ok(()),
    }
}

/// The values of an array of integers, or of a dictionary of them, without nulls.
fn integers(array: &dyn Array) -> Result<Option<Vec<i128>>> {
    let values = match array.data_type() {
        DataType::Dictionary(_, values) => values,
        plain => plain,
    };
    Ok(if values == &DataType::UInt64 {
        let wide = cast(array, &DataType::UInt64)?;
        Some(wide.as_primitive::<UInt64Type>().values().iter().map(|&x| x.into()).collect())
    } else if values.is_integer() {
        let wide = cast(array, &DataType::Int64)?;
        Some(wide.as_primitive::<Int64Type>().values().iter().map(|&x| x.into()).collect())
    } else {
        None
    })
}

/// Which rows have the positive label.
fn labels(name: &str, array: &dyn Array, positive: &str) -> Result<Vec<bool>> {
    no_nulls(name, array, "a label")?;
    let unfit = |expected: &str| {
        Error::invalid(
            format!("the positive label of `{name}`"),
            expected,
            format_args!("`{positive}`"),
        )
    };
    if array.data_type() == &DataType::Boolean {
        let wanted = match positive {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(unfit("`true` or `false`")),
        };
        return Ok(array.as_boolean().iter().map(|value| value == Some(wanted)).collect());
    }
    if let Some(integers) = integers(array)? {
        // As integers: beyond 2⁵³ several of them are one f64. No fraction is one of them.
        let wanted = if let Ok(wanted) = positive.parse::<i128>() {
            Some(wanted)
        } else {
            let wanted: f64 = positive.parse().map_err(|_| unfit("a number"))?;
            (wanted.fract() == 0.0).then_some(wanted as i128)
        };
        return Ok(integers.iter().map(|&value| Some(value) == wanted).collect());
    }
    if is_numeric(array.data_type()) {
        let wanted: f64 = positive.parse().map_err(|_| unfit("a number"))?;
        let numbers = to_numbers(name, array)?;
        if let Some(row) = numbers.values().iter().position(|value| value.is_nan()) {
            return Err(bad_value(name, row, "a label", &"NaN"));
        }
        return Ok(numbers.values().iter().map(|&value| value == wanted).collect());
    }
    if !is_text(array.data_type()) {
        return Err(Error::column_type(name, "text, booleans or numbers", array.data_type()));
    }
    let array: ArrayRef = make_array(array.to_data());
    let categories = Categories::of(name, &array)?;
    let code = categories.labels().iter().position(|label| label == Some(positive));
    Ok(categories
        .codes()
        .values()
        .iter()
        .map(|&c| code.is_some_and(|code| c as usize == code))
        .collect())
}

/// Numbers without nulls, NaN and infinities.
fn finite(name: &str, array: &dyn Array) -> Result<Float64Array> {
    no_nulls(name, array, "a number")?;
    let numbers = to_numbers(name, array)?;
    match numbers.values().iter().position(|value| !value.is_finite()) {
        Some(row) => Err(bad_value(name, row, "a finite number", &numbers.value(row))),
        None => Ok(numbers),
    }
}

fn some_rows(what: &str, array: &dyn Array) -> Result<()> {
    if array.is_empty() { Err(Error::undefined(what, "there are no rows")) } else { Ok(()) }
}

impl Classified<'_> {
    /// Which rows are positive, and which were predicted to be.
    pub(super) fn read(self) -> Result<(Vec<bool>, Vec<bool>)> {
        same_length(self.y_true, self.y_pred, "y_pred")?;
        let y_true = labels("y_true", self.y_true, self.positive)?;
        Ok((y_true, labels("y_pred", self.y_pred, self.positive)?))
    }
}

impl Scored<'_> {
    /// Which rows are positive, and their finite scores.
    pub(super) fn read(self) -> Result<(Vec<bool>, Float64Array)> {
        same_length(self.y_true, self.y_score, "y_score")?;
        let y_true = labels("y_true", self.y_true, self.positive)?;
        Ok((y_true, finite("y_score", self.y_score)?))
    }

    /// The same, where scores must be probabilities.
    pub(super) fn read_probabilities(self, what: &str) -> Result<(Vec<bool>, Float64Array)> {
        let (y_true, y_score) = self.read()?;
        some_rows(what, &y_score)?;
        check_probabilities(&y_score)?;
        Ok((y_true, y_score))
    }
}

/// That all scores lie in \[0, 1\].
pub(super) fn check_probabilities(y_score: &Float64Array) -> Result<()> {
    let outside = |value: &f64| !(0.0..=1.0).contains(value);
    match y_score.values().iter().position(outside) {
        Some(row) => Err(bad_value("y_score", row, "a probability in [0, 1]", &y_score.value(row))),
        None => Ok(()),
    }
}

impl Estimated<'_> {
    /// Finite numbers, at least one of each.
    pub(super) fn read(self, what: &str) -> Result<(Float64Array, Float64Array)> {
        same_length(self.y_true, self.y_pred, "y_pred")?;
        let pair = (finite("y_true", self.y_true)?, finite("y_pred", self.y_pred)?);
        some_rows(what, &pair.0)?;
        Ok(pair)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{
        BooleanArray, DictionaryArray, Int64Array, NullArray, StringArray, UInt64Array,
    };
    use arrow::datatypes::Int32Type;

    fn read(array: &dyn Array, positive: &str) -> Result<Vec<bool>> {
        labels("y_true", array, positive)
    }

    #[test]
    fn a_label_is_found_in_every_type() {
        let expected = [false, true, true];
        let text = StringArray::from(vec!["no", "yes", "yes"]);
        assert_eq!(read(&text, "yes").unwrap(), expected);
        let dictionary: DictionaryArray<Int32Type> = ["no", "yes", "yes"].into_iter().collect();
        assert_eq!(read(&dictionary, "yes").unwrap(), expected);
        assert_eq!(read(&BooleanArray::from(vec![false, true, true]), "1").unwrap(), expected);
        assert_eq!(read(&Float64Array::from(vec![0.0, 1.0, 1.0]), "1").unwrap(), expected);
        assert_eq!(read(&Int64Array::from(vec![7, -1, -1]), "-1.0").unwrap(), expected);
        // Neighbours that are one number as f64.
        let large = UInt64Array::from(vec![u64::MAX, u64::MAX - 1, u64::MAX - 1]);
        assert_eq!(read(&large, "18446744073709551614").unwrap(), expected);
        let large = Int64Array::from(vec![i64::MIN, i64::MIN + 1, i64::MIN + 1]);
        assert_eq!(read(&large, "-9223372036854775807").unwrap(), expected);
        let keys = arrow::array::Int32Array::from(vec![0, 1, 1]);
        let large = DictionaryArray::new(keys, Arc::new(large));
        assert_eq!(read(&large, "-9223372036854775807").unwrap(), expected);
        assert_eq!(read(&Int64Array::from(vec![0, 1]), "0.5").unwrap(), [false; 2]);
        assert_eq!(read(&text.slice(1, 2), "yes").unwrap(), [true, true]);
        assert_eq!(read(&text, "maybe").unwrap(), [false; 3]);
    }

    #[test]
    fn what_is_no_label_names_its_row() {
        let null = StringArray::from(vec![Some("no"), None]);
        assert!(matches!(read(&null, "no"), Err(Error::Value { row: 1, .. })));
        let nan = Float64Array::from(vec![0.0, 1.0, f64::NAN]);
        assert!(matches!(read(&nan, "1"), Err(Error::Value { row: 2, .. })));
        let values = StringArray::from(vec![Some("no"), None]);
        let keys = arrow::array::Int32Array::from(vec![0, 0, 1]);
        let hidden = DictionaryArray::new(keys, Arc::new(values));
        assert!(matches!(read(&hidden, "no"), Err(Error::Value { row: 2, .. })));
        assert!(matches!(read(&NullArray::new(2), "no"), Err(Error::Value { row: 0, .. })));
        assert!(matches!(read(&nan, "yes"), Err(Error::Invalid { .. })));
        assert!(matches!(read(&BooleanArray::from(vec![true]), "yes"), Err(Error::Invalid { .. })));
        for bad in [f64::NAN, f64::INFINITY] {
            let scores = Float64Array::from(vec![1.0, bad]);
            assert!(matches!(finite("y_score", &scores), Err(Error::Value { row: 1, .. })));
        }
    }
}
