//! Labels and predictions as positive, negative or missing, whatever the type of their column.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::DataType;
use mlops_core::{Categories, Error, Result, Rows};

/// The negative class, as an index into a cell.
pub(crate) const NEGATIVE: u8 = 0;
/// The positive class.
pub(crate) const POSITIVE: u8 = 1;
/// Neither: null, or NaN.
pub(crate) const MISSING: u8 = 2;

/// For each row its class; the labels of the negative class are noted, the smallest two of them:
/// two are enough to know that something is wrong, and which.
///
/// Numbers are compared as numbers, so that `1.0` meets `1`; booleans are `true` and `false`, or
/// `1` and `0`; all else is compared as text.
pub(crate) fn outcomes(
    rows: &Rows<'_>,
    column: &str,
    positive: &str,
    negatives: &mut BTreeSet<String>,
) -> Result<Vec<u8>> {
    let array = rows.column(column)?;
    match array.data_type() {
        DataType::Boolean => of_booleans(array.as_boolean(), column, positive, negatives),
        other if is_number(other) => {
            let numbers = rows.numbers(column)?;
            if is_wide(other) && numbers.values().iter().any(|x| x.abs() >= WHOLE) {
                let positive = whole_text(column, positive)?;
                return Ok(of_categories(rows.categories(column)?, &positive, negatives));
            }
            of_numbers(numbers, column, positive, negatives)
        }
        _ => Ok(of_categories(rows.categories(column)?, positive, negatives)),
    }
}

/// Adds a label and keeps the smallest two.
pub(crate) fn note(negatives: &mut BTreeSet<String>, label: String) {
    negatives.insert(label);
    if negatives.len() > 2 {
        negatives.pop_last();
    }
}

/// A label as it is compared with others and shown: a number with a whole value is the text of
/// the integer, whatever the width of its column.
pub(crate) fn plain(label: &str) -> String {
    // Integers stay as they are: those beyond 2⁵³ are no `f64`.
    let decimal = label.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'))
        && label.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match label.parse::<f64>() {
        Ok(number) if decimal => number_text(number),
        _ => label.to_owned(),
    }
}

/// Whether the labels of such a column are numbers; dates and times are not.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_number(value),
        other => other.is_numeric(),
    }
}

/// 2⁵³: from here on several integers are one `f64`, and labels have to be told apart as text.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Whether the integers of such a column can reach [`WHOLE`].
fn is_wide(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_wide(value),
        other => matches!(other, DataType::Int64 | DataType::UInt64),
    }
}

/// A number as a column of integers prints it.
fn whole_text(column: &str, positive: &str) -> Result<String> {
    let positive = positive.trim();
    match (positive.parse::<i128>(), positive.parse::<f64>()) {
        (Ok(whole), _) => Ok(whole.to_string()),
        (_, Ok(number)) if !number.is_nan() => Ok(number_text(number)),
        _ => Err(unfit(column, "a number, as the column holds", positive)),
    }
}

fn number_text(number: f64) -> String {
    // Beyond 2⁵³ the digits would be made up.
    if number.fract() == 0.0 && number.abs() < WHOLE {
        (number as i64).to_string()
    } else {
        number.to_string()
    }
}

fn unfit(column: &str, expected: &str, positive: &str) -> Error {
    Error::invalid(
        format!("the positive label of `{column}`"),
        expected,
        format_args!("`{positive}`"),
    )
}

fn of_booleans(
    array: &BooleanArray,
    column: &str,
    positive: &str,
    negatives: &mut BTreeSet<String>,
) -> Result<Vec<u8>> {
    // The other label is said in the words of the positive one: it must meet that of a column of
    // numbers or text.
    let (wanted, other) = match plain(positive).as_str() {
        "true" => (true, "false"),
        "1" => (true, "0"),
        "false" => (false, "true"),
        "0" => (false, "1"),
        _ => return Err(unfit(column, "`true`, `false`, `1` or `0`, for booleans", positive)),
    };
    let mut outcomes: Vec<u8> =
        array.values().iter().map(|value| u8::from(value == wanted)).collect();
    set_missing(&mut outcomes, array);
    if outcomes.contains(&NEGATIVE) {
        note(negatives, other.to_owned());
    }
    Ok(outcomes)
}

fn of_numbers(
    numbers: &Float64Array,
    column: &str,
    positive: &str,
    negatives: &mut BTreeSet<String>,
) -> Result<Vec<u8>> {
    let wanted: f64 = positive
        .trim()
        .parse()
        .ok()
        .filter(|number: &f64| !number.is_nan())
        .ok_or_else(|| unfit(column, "a number, as the column holds", positive))?;
    let class = |x: f64| {
        if x == wanted { POSITIVE } else { u8::from(x.is_nan()) * MISSING }
    };
    let mut outcomes: Vec<u8> = numbers.values().iter().map(|&x| class(x)).collect();
    set_missing(&mut outcomes, numbers);
    // One pass tells whether there is one negative label, which is so in all good data.
    let others = || {
        let rows = numbers.values().iter().zip(&outcomes);
        rows.filter(|&(_, &class)| class == NEGATIVE).map(|(&x, _)| x + 0.0)
    };
    if let Some(first) = others().next() {
        // Counted, not searched: without a way out of the loop it runs on whole vectors.
        let rows = numbers.values().iter().zip(&outcomes);
        let unlike = rows.map(|(&x, &class)| u64::from(class == NEGATIVE) & u64::from(x != first));
        if unlike.sum::<u64>() == 0 {
            note(negatives, number_text(first));
        } else {
            let mut all: Vec<f64> = others().collect();
            all.sort_by(f64::total_cmp);
            all.dedup();
            for number in all {
                note(negatives, number_text(number));
            }
        }
    }
    Ok(outcomes)
}

fn of_categories(column: &Categories, positive: &str, negatives: &mut BTreeSet<String>) -> Vec<u8> {
    let (labels, codes) = (column.labels(), column.codes());
    if labels.is_empty() {
        return vec![MISSING; codes.len()];
    }
    let class: Vec<u8> = labels.iter().map(|label| u8::from(label == Some(positive))).collect();
    // What lies under a null may be any code.
    let last = labels.len() - 1;
    let mut outcomes: Vec<u8> =
        codes.values().iter().map(|&code| class[(code as usize).min(last)]).collect();
    set_missing(&mut outcomes, codes);

    let others = || (0..labels.len()).filter(|&code| class[code] == NEGATIVE);
    if outcomes.contains(&NEGATIVE) {
        // A dictionary may have labels that no row has.
        let mut seen = vec![others().count() == 1; labels.len()];
        if !seen[0] {
            for (&code, &outcome) in codes.values().iter().zip(&outcomes) {
                if outcome == NEGATIVE {
                    seen[code as usize] = true;
                }
            }
        }
        for code in others().filter(|&code| seen[code]) {
            note(negatives, labels.value(code).to_owned());
        }
    }
    outcomes
}

fn set_missing(outcomes: &mut [u8], array: &dyn Array) {
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        for (outcome, valid) in outcomes.iter_mut().zip(nulls) {
            if !valid {
                *outcome = MISSING;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mlops_core::arrow::array::{
        ArrayRef, Decimal128Array, DictionaryArray, Int8Array, Int64Array, RecordBatch,
        StringArray, UInt64Array,
    };

    use super::*;

    fn read(array: impl Array + 'static, positive: &str) -> Result<(Vec<u8>, Vec<String>)> {
        let column: ArrayRef = Arc::new(array);
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let mut negatives = BTreeSet::new();
        let outcomes = outcomes(&Rows::new(&batch), "x", positive, &mut negatives)?;
        Ok((outcomes, negatives.into_iter().collect()))
    }

    fn same(array: impl Array + 'static, positive: &str) {
        let (outcomes, negatives) = read(array, positive).unwrap();
        assert_eq!((outcomes, negatives), (vec![1, 0, 2, 1], vec!["0".to_owned()]));
    }

    #[test]
    fn a_number_is_the_same_number_in_every_type() {
        for positive in ["1", "1.0", "1e0", "+1"] {
            same(Int64Array::from(vec![Some(1), Some(0), None, Some(1)]), positive);
            same(Float64Array::from(vec![Some(1.0), Some(-0.0), None, Some(1.0)]), positive);
            same(Float64Array::from(vec![1.0, 0.0, f64::NAN, 1.0]), positive);
            let decimal = Decimal128Array::from(vec![Some(100), Some(0), None, Some(100)]);
            same(decimal.with_precision_and_scale(5, 2).unwrap(), positive);
            let values: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 1.0]));
            let keys = Int8Array::from(vec![Some(1), Some(0), None, Some(1)]);
            same(DictionaryArray::new(keys, values), positive);
        }
        same(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]), "1");
        same(StringArray::from(vec![Some("1"), Some("0"), None, Some("1")]), "1");
    }

    #[test]
    fn integers_that_are_one_float_are_told_apart() {
        let (most, next) = (u64::MAX, (u64::MAX - 1).to_string());
        let column = UInt64Array::from(vec![Some(most - 1), Some(most), None]);
        let expected = (vec![1, 0, 2], vec![most.to_string()]);
        assert_eq!(read(column, &next).unwrap(), expected);
        let column = Int64Array::from(vec![Some(1 << 53), Some((1 << 53) + 1), None]);
        let (outcomes, negatives) = read(column.clone(), "9007199254740993").unwrap();
        assert_eq!((outcomes, negatives), (vec![0, 1, 2], vec!["9007199254740992".to_owned()]));
        assert!(read(column, "yes").is_err());
        // Small labels stay numbers where garbage lies under a null, or one row is large.
        let column = Int64Array::from(vec![1, 0, i64::MAX]);
        assert_eq!(read(column, "1.0").unwrap().0, [1, 0, 0]);
    }

    #[test]
    fn dictionaries_may_hide_nulls_and_labels_of_no_row() {
        let values: ArrayRef =
            Arc::new(StringArray::from(vec![Some("maybe"), None, Some("no"), Some("yes")]));
        let keys = Int8Array::from(vec![Some(3), Some(1), None, Some(2), Some(3)]);
        let (outcomes, negatives) = read(DictionaryArray::new(keys, values), "yes").unwrap();
        assert_eq!(outcomes, [1, 2, 2, 0, 1]);
        assert_eq!(negatives, ["no"]);
    }

    #[test]
    fn a_positive_label_that_cannot_occur_is_an_error_that_names_the_column() {
        let text = |error: Error| error.to_string();
        let error = text(read(Int64Array::from(vec![1]), "yes").unwrap_err());
        assert!(error.contains("`x`") && error.contains("yes"), "{error}");
        assert!(read(BooleanArray::from(vec![true]), "yes").is_err());
        assert!(read(Float64Array::from(vec![1.0]), "NaN").is_err());
    }

    #[test]
    fn the_smallest_two_of_many_labels_are_kept() {
        let (_, negatives) = read(Int64Array::from(vec![5, 1, 3, 2, 5]), "1").unwrap();
        assert_eq!(negatives, ["2", "3"]);
        let (outcomes, negatives) = read(arrow::array::NullArray::new(2), "1").unwrap();
        assert_eq!((outcomes, negatives.len()), (vec![2, 2], 0));
    }

    #[test]
    fn labels_are_plain() {
        for (label, expected) in
            [("1.0", "1"), ("-0.0", "0"), ("1.50", "1.5"), ("1e3", "1000"), ("007", "007")]
        {
            assert_eq!(plain(label), expected);
        }
        for label in ["9007199254740993", "NaN", "inf", "e", ".", "", "2020-01-01"] {
            assert_eq!(plain(label), label);
        }
    }
}
