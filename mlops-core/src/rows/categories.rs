//! A column as codes of labels.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, DataType, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::is_numeric;
use crate::text_codes::TextCodes;
use crate::{Error, Result};

/// Whether the type holds text, plainly or in a dictionary.
pub fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_text(value),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// A column as codes of labels: each label once, in order of first appearance in the batch.
///
/// The order is the batch's own; what leaves an analyzer is keyed by label, never by code.
#[derive(Clone, Debug)]
pub struct Categories {
    codes: UInt32Array,
    labels: StringArray,
}

impl Categories {
    /// The categories of an array, as [`Rows::categories`](crate::Rows::categories) reads them.
    ///
    /// # Errors
    /// [`Error::ColumnType`] for types that have no text.
    pub fn of(name: &str, array: &ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                // A slice of a large dictionary does not pay for all its values.
                if dictionary.values().len() > dictionary.keys().len() {
                    let plain = take(dictionary.values(), dictionary.keys(), None)?;
                    return Self::of(name, &plain);
                }
                let values = Self::of(name, dictionary.values())?;
                // Dictionaries may hold a value twice, or a null among the values.
                let keys = keys(dictionary.keys()).ok_or_else(|| wrong_type(name, array))?;
                Ok(Self { codes: through(&keys, &values.codes), labels: values.labels })
            }
            DataType::Boolean => Ok(Self::of_booleans(array.as_boolean())),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::of_text(name, array),
            DataType::Null => Ok(Self {
                codes: UInt32Array::new_null(array.len()),
                labels: StringArray::from(Vec::<String>::new()),
            }),
            other if is_numeric(other) => {
                let text = cast(array, &DataType::Utf8).map_err(|_| wrong_type(name, array))?;
                Self::of_text(name, &text)
            }
            _ => Err(wrong_type(name, array)),
        }
    }

    fn of_booleans(array: &BooleanArray) -> Self {
        let codes: Vec<u32> = array.values().iter().map(u32::from).collect();
        let codes = UInt32Array::new(codes.into(), array.nulls().cloned());
        Self { codes, labels: StringArray::from(vec!["false", "true"]) }
    }

    fn of_text(name: &str, array: &ArrayRef) -> Result<Self> {
        let text = TextCodes::of(array, usize::MAX);
        let (codes, labels) = text.ok_or_else(|| wrong_type(name, array))?.into_words();
        // Arrow's offsets would overflow, and panic.
        let bytes: usize = labels.iter().map(|label| label.len()).sum();
        if i32::try_from(bytes).is_err() {
            let what = format!("column `{name}`");
            let expected = "less than 2 GiB of different labels in a batch";
            return Err(Error::invalid(what, expected, format!("{bytes} bytes")));
        }
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let labels = StringArray::from(labels);
        Ok(Self { codes: UInt32Array::new(codes.into(), nulls), labels })
    }

    /// The codes of a column of text in a byte each, and their labels; what stands under a null is
    /// any code. `None` where it is no plain text, or has more than 255 labels.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow::array::{ArrayRef, StringArray};
    /// use mlops_core::Categories;
    /// let text: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "b"]));
    /// assert_eq!(Categories::byte_codes(&text), Some((vec![0, 1, 0], vec!["b", "a"])));
    /// ```
    pub fn byte_codes(array: &ArrayRef) -> Option<(Vec<u8>, Vec<&str>)> {
        TextCodes::of(array, 255)?.into_bytes()
    }

    /// A code for each row, null where the row is.
    pub fn codes(&self) -> &UInt32Array {
        &self.codes
    }

    /// The label of each code. A label may have no rows.
    pub fn labels(&self) -> &StringArray {
        &self.labels
    }

    /// How many rows each label has.
    pub fn counts(&self) -> Vec<u64> {
        // The same counter twice in a row would wait for itself.
        const TABLES: usize = 4;
        let labels = self.labels.len();
        let codes = self.codes.values();
        // No batch has 2³² rows of a label. What stands under a null may be any number; the last
        // counter is that of the nulls.
        let mut counters = vec![[0u32; TABLES]; labels + 1];
        let mut take_in = |codes: &[u32]| {
            let (fours, rest) = codes.as_chunks::<TABLES>();
            for four in fours {
                for (table, &code) in four.iter().enumerate() {
                    counters[code as usize][table] += 1;
                }
            }
            for &code in rest {
                counters[code as usize][0] += 1;
            }
        };
        match self.codes.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => take_in(codes),
            Some(nulls) => {
                let bits = nulls.inner().bit_chunks();
                let words = bits.iter().chain([bits.remainder_bits()]);
                let mut masked = [0; 64];
                for (codes, word) in codes.chunks(64).zip(words) {
                    for (i, (&code, masked)) in codes.iter().zip(&mut masked).enumerate() {
                        *masked = if word >> i & 1 == 1 { code } else { labels as u32 };
                    }
                    take_in(&masked[..codes.len()]);
                }
            }
        }
        counters.pop();
        counters.into_iter().map(|four| four.into_iter().map(u64::from).sum()).collect()
    }

    /// The label of a row, `None` where it is null.
    pub fn label(&self, row: usize) -> Option<&str> {
        self.codes.is_valid(row).then(|| self.labels.value(self.codes.value(row) as usize))
    }
}

fn wrong_type(name: &str, array: &ArrayRef) -> Error {
    Error::column_type(name, "text, a boolean, an integer or a date", array.data_type())
}

/// The keys of a dictionary that has at most 2³² values, in 32 bits.
fn keys(keys: &dyn Array) -> Option<UInt32Array> {
    fn of<K: ArrowDictionaryKeyType>(keys: &dyn Array) -> UInt32Array {
        keys.as_primitive::<K>().unary(|key| key.as_usize() as u32)
    }
    Some(match keys.data_type() {
        DataType::Int8 => of::<Int8Type>(keys),
        DataType::Int16 => of::<Int16Type>(keys),
        DataType::Int32 => of::<Int32Type>(keys),
        DataType::Int64 => of::<Int64Type>(keys),
        DataType::UInt8 => of::<UInt8Type>(keys),
        DataType::UInt16 => of::<UInt16Type>(keys),
        DataType::UInt32 => keys.as_primitive::<UInt32Type>().clone(),
        DataType::UInt64 => of::<UInt64Type>(keys),
        _ => return None,
    })
}

/// The codes of a dictionary's values where its keys point.
fn through(keys: &UInt32Array, values: &UInt32Array) -> UInt32Array {
    let in_order = (0..).zip(values.values()).all(|(i, &code)| i == code);
    if keys.null_count() == 0 && values.null_count() == 0 {
        if in_order {
            return keys.clone();
        }
        let values = values.values();
        let codes: Vec<u32> = keys.values().iter().map(|&key| values[key as usize]).collect();
        return UInt32Array::new(codes.into(), None);
    }
    let code = |key: u32| values.is_valid(key as usize).then(|| values.value(key as usize));
    keys.iter().map(|key| code(key?)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, Float64Array, Int8Array, StringViewArray};

    use super::*;

    /// What codes mean, found the slow way.
    fn check(array: &ArrayRef, expected: &[Option<&str>]) {
        for (from, len) in [(0, expected.len()), (1, expected.len().saturating_sub(2))] {
            let found = Categories::of("x", &array.slice(from, len)).unwrap();
            let expected = &expected[from..from + len];
            for (row, expected) in expected.iter().enumerate() {
                assert_eq!(found.label(row), *expected, "row {row}");
            }
            let mut distinct: Vec<_> = found.labels().iter().collect();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), found.labels().len(), "each label once");
        }
    }

    #[test]
    fn strings_of_every_length_are_told_apart() {
        // Strings that agree in their ends, and more of them than the cache has places.
        let mut texts: Vec<Option<String>> = Vec::new();
        for len in 0..24 {
            for i in 0..40 {
                let mut text = "a".repeat(len);
                if len > 0 {
                    text.replace_range(i % len..=i % len, "b");
                }
                if len > 2 {
                    text.replace_range(len / 2..=len / 2, ["c", "d", "e"][i % 3]);
                }
                texts.push((i % 7 != 3).then_some(text));
            }
        }
        texts.extend_from_within(..);
        texts.push(Some("eight by".into()));
        texts.push(Some("\0\0".into()));
        texts.push(Some("\0".into()));
        let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
        let plain: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        check(&plain, &texts);
        let view: ArrayRef = Arc::new(StringViewArray::from(texts.clone()));
        check(&view, &texts);
        let whole: Vec<_> = texts.iter().filter(|text| text.is_some()).copied().collect();
        let valid: ArrayRef = Arc::new(StringArray::from(whole.clone()));
        check(&valid, &whole);
    }

    #[test]
    fn dictionaries_are_read_through() {
        let keys = || Int8Array::from(vec![Some(2), Some(0), None, Some(1), Some(3)]);
        let of = |values: Vec<Option<&str>>, keys: Int8Array| -> ArrayRef {
            Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(values))))
        };
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        check(&of(vec![a, b, c, Some("d")], keys()), &[c, a, None, b, Some("d")]);
        // A value twice, and a null among the values.
        check(&of(vec![a, None, b, a], keys()), &[b, a, None, None, a]);
        check(&of(vec![a, b, a], Int8Array::from(vec![2, 0, 1])), &[a, a, b]);
        check(&of(vec![c, b, a], Int8Array::from(vec![2, 0, 1])), &[a, c, b]);
        check(&of(vec![], Int8Array::from(vec![None::<i8>, None])), &[None, None]);
    }

    #[test]
    fn labels_are_counted_and_what_stands_under_a_null_is_not() {
        let keys = [0, 1, -7, 2, 0, 100, 1];
        let valid = [true, true, false, true, true, false, true].repeat(40);
        let keys = Int8Array::new(keys.repeat(40).into(), Some(valid.into()));
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let array: ArrayRef = Arc::new(DictionaryArray::try_new(keys, values).unwrap());
        for (from, len) in [(0, 280), (3, 130), (65, 2), (2, 1)] {
            let found = Categories::of("x", &array.slice(from, len)).unwrap();
            let counts = found.counts();
            assert_eq!(counts.len(), found.labels().len());
            for (label, count) in found.labels().iter().zip(counts) {
                let rows = (0..len).filter(|&row| found.label(row) == label).count();
                assert_eq!(count, rows as u64, "{label:?} in {len} from {from}");
            }
        }
    }

    #[test]
    fn what_is_no_text_has_one() {
        let booleans: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        check(&booleans, &[Some("true"), None, Some("false")]);
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(0.5)]));
        check(&numbers, &[Some("1.0"), None, Some("0.5")]);
    }
}
