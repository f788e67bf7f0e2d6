//! A batch seen through names looked up once, with the views that analyzers share.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayAccessor, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray,
    UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Float64Type, Schema};
use xxhash_rust::xxh3::xxh3_64;

use crate::verdict::RowId;
use crate::{Error, Result};

/// The names of a schema, looked up once for all its batches.
#[derive(Clone, Debug)]
pub struct Names(Arc<Places>);

#[derive(Debug)]
struct Places {
    by_name: HashMap<String, usize>,
    /// What the source has, read or not: an error about a missing column lists it.
    available: Vec<String>,
}

impl Names {
    /// The names of this schema; of columns with one name the first counts.
    pub fn of(schema: &Schema) -> Self {
        Self::projected(schema, schema)
    }

    /// The names of the columns that are read, of those that there are.
    pub fn projected(read: &Schema, whole: &Schema) -> Self {
        let mut by_name = HashMap::with_capacity(read.fields().len());
        for (i, field) in read.fields().iter().enumerate() {
            by_name.entry(field.name().clone()).or_insert(i);
        }
        let available = whole.fields().iter().map(|f| f.name().clone()).collect();
        Self(Arc::new(Places { by_name, available }))
    }
}

/// A batch of rows as an analyzer sees it.
///
/// Views that several analyzers want ([`numbers`](Self::numbers),
/// [`categories`](Self::categories)) are made once per batch and column.
///
/// ```
/// use arrow::array::{Int32Array, StringArray};
/// use mlops_core::{Rows, batch};
/// let batch = batch! {
///     "age" => Int32Array::from(vec![31, 47]),
///     "city" => StringArray::from(vec!["Oslo", "Bergen"]),
/// }?;
/// let rows = Rows::new(&batch);
/// assert_eq!(rows.numbers("age")?.value(1), 47.0);
/// assert_eq!(rows.categories("city")?.label(0), Some("Oslo"));
/// assert!(rows.column("agee").is_err());
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Rows<'a> {
    batch: &'a RecordBatch,
    names: Names,
    origin: &'a str,
    first_row: u64,
    views: Vec<Views>,
}

#[derive(Debug, Default)]
struct Views {
    numbers: OnceLock<Float64Array>,
    categories: OnceLock<Categories>,
}

impl<'a> Rows<'a> {
    /// A batch of its own: its rows are named `memory:0`, `memory:1`, …
    pub fn new(batch: &'a RecordBatch) -> Self {
        Self::of(batch, Names::of(batch.schema_ref()), "memory", 0)
    }

    /// A batch with the names of its schema, the origin of its rows, and the number of the first
    /// of them there.
    pub fn of(batch: &'a RecordBatch, names: Names, origin: &'a str, first_row: u64) -> Self {
        let views = std::iter::repeat_with(Views::default).take(batch.num_columns()).collect();
        Self { batch, names, origin, first_row, views }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch itself.
    pub fn batch(&self) -> &'a RecordBatch {
        self.batch
    }

    /// The name of the thing that the rows stand in: a file, a table, `memory`.
    pub fn origin(&self) -> &'a str {
        self.origin
    }

    /// The number of the first row in its origin.
    pub fn first_row(&self) -> u64 {
        self.first_row
    }

    /// The name of the row at this index of the batch.
    pub fn row_id(&self, index: usize) -> RowId {
        RowId { origin: self.origin.to_owned(), row: self.first_row.saturating_add(index as u64) }
    }

    /// The column of this name.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`].
    pub fn column(&self, name: &str) -> Result<&'a ArrayRef> {
        Ok(self.batch.column(self.index(name)?))
    }

    /// The column of this name as `f64`: integers, floats, decimals, booleans (0 and 1), dates,
    /// times and timestamps (in their own unit), and dictionaries of these; a column of type `Null`
    /// is all nulls. Integers beyond 2⁵³ round. No copy where the column is `f64` already.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], or [`Error::ColumnType`] for text and nested types.
    pub fn numbers(&self, name: &str) -> Result<&Float64Array> {
        let index = self.index(name)?;
        let view = &self.views[index].numbers;
        if let Some(numbers) = view.get() {
            return Ok(numbers);
        }
        let numbers = to_numbers(name, self.batch.column(index))?;
        Ok(view.get_or_init(|| numbers))
    }

    /// The column of this name as category codes: strings, booleans, integers, dates, and
    /// dictionaries of these; numbers are the text that they print as.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], or [`Error::ColumnType`] for types that have no text.
    pub fn categories(&self, name: &str) -> Result<&Categories> {
        let index = self.index(name)?;
        let view = &self.views[index].categories;
        if let Some(categories) = view.get() {
            return Ok(categories);
        }
        let categories = Categories::of(name, self.batch.column(index))?;
        Ok(view.get_or_init(|| categories))
    }

    fn index(&self, name: &str) -> Result<usize> {
        self.names.0.by_name.get(name).copied().ok_or_else(|| Error::ColumnNotFound {
            column: name.to_owned(),
            available: self.names.0.available.clone(),
        })
    }
}

/// Whether [`Rows::numbers`] can read a column of this type.
pub fn is_numeric(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_numeric(value),
        DataType::Boolean => true,
        other => other.is_numeric() || other.is_temporal(),
    }
}

/// Whether the type holds text, plainly or in a dictionary.
pub fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_text(value),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// An array as `f64`, as [`Rows::numbers`] reads it.
///
/// # Errors
/// [`Error::ColumnType`] for text and nested types.
pub fn to_numbers(name: &str, array: &dyn Array) -> Result<Float64Array> {
    let wrong =
        || Error::column_type(name, "a number, boolean, date or timestamp", array.data_type());
    match array.data_type() {
        DataType::Float64 => Ok(array.as_primitive::<Float64Type>().clone()),
        // What a reader makes of a column without a single value.
        DataType::Null => Ok(Float64Array::new_null(array.len())),
        other if !is_numeric(other) => Err(wrong()),
        other if other.is_temporal() => {
            // Arrow casts times to numbers only by way of integers of their own width.
            let whole = cast(array, &DataType::Int64)
                .or_else(|_| cast(&cast(array, &DataType::Int32)?, &DataType::Int64))
                .map_err(|_| wrong())?;
            Ok(cast(&whole, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
        }
        DataType::Dictionary(_, value) if **value != DataType::Float64 => {
            to_numbers(name, &cast(array, value)?)
        }
        _ => Ok(cast(array, &DataType::Float64)
            .map_err(|_| wrong())?
            .as_primitive::<Float64Type>()
            .clone()),
    }
}

/// xxh3 of a label: a few ns where the standard library's hash takes tens.
#[derive(Default)]
struct LabelHasher(u64);

impl Hasher for LabelHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    /// The end of a string, which its hash knows already.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
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
    /// The categories of an array, as [`Rows::categories`] reads them.
    ///
    /// # Errors
    /// [`Error::ColumnType`] for types that have no text.
    pub fn of(name: &str, array: &ArrayRef) -> Result<Self> {
        let wrong =
            || Error::column_type(name, "text, a boolean, an integer or a date", array.data_type());
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
                let keys = cast(dictionary.keys(), &DataType::UInt32).map_err(|_| wrong())?;
                let keys = keys.as_primitive::<arrow::datatypes::UInt32Type>();
                Ok(Self { codes: through(keys, &values.codes), labels: values.labels })
            }
            DataType::Boolean => Ok(Self::of_booleans(array.as_boolean())),
            DataType::Utf8 => Self::of_strings(name, array.as_string::<i32>()),
            DataType::LargeUtf8 => Self::of_strings(name, array.as_string::<i64>()),
            DataType::Utf8View => Self::of_strings(name, array.as_string_view()),
            DataType::Null => Ok(Self {
                codes: UInt32Array::new_null(array.len()),
                labels: StringArray::from(Vec::<String>::new()),
            }),
            other if is_numeric(other) => {
                let text = cast(array, &DataType::Utf8).map_err(|_| wrong())?;
                Self::of_strings(name, text.as_string::<i32>())
            }
            _ => Err(wrong()),
        }
    }

    fn of_booleans(array: &BooleanArray) -> Self {
        let codes: Vec<u32> = array.values().iter().map(u32::from).collect();
        let codes = UInt32Array::new(codes.into(), array.nulls().cloned());
        Self { codes, labels: StringArray::from(vec!["false", "true"]) }
    }

    fn of_strings<'s>(
        name: &str,
        array: impl ArrayAccessor<Item = &'s str> + Copy,
    ) -> Result<Self> {
        let mut known = Interner::default();
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let codes: Vec<u32> = match &nulls {
            None => (0..array.len()).map(|row| known.code(array.value(row))).collect(),
            Some(nulls) => nulls
                .iter()
                .enumerate()
                .map(|(row, valid)| if valid { known.code(array.value(row)) } else { 0 })
                .collect(),
        };
        // Arrow's offsets would overflow, and panic.
        let bytes: usize = known.labels.iter().map(|label| label.len()).sum();
        if i32::try_from(bytes).is_err() {
            let what = format!("column `{name}`");
            let expected = "less than 2 GiB of different labels in a batch";
            return Err(Error::invalid(what, expected, format!("{bytes} bytes")));
        }
        let labels = StringArray::from(known.labels);
        Ok(Self { codes: UInt32Array::new(codes.into(), nulls), labels })
    }

    /// A code for each row, null where the row is.
    pub fn codes(&self) -> &UInt32Array {
        &self.codes
    }

    /// The label of each code. A label may have no rows.
    pub fn labels(&self) -> &StringArray {
        &self.labels
    }

    /// The label of a row, `None` where it is null.
    pub fn label(&self, row: usize) -> Option<&str> {
        self.codes.is_valid(row).then(|| self.labels.value(self.codes.value(row) as usize))
    }
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

/// Gives each string the number of its first appearance.
///
/// A small cache stands before the map, found by the string's ends: most columns of categories
/// have few labels.
#[derive(Default)]
struct Interner<'s> {
    labels: Vec<&'s str>,
    codes: HashMap<&'s str, u32, BuildHasherDefault<LabelHasher>>,
    /// Of a string that was seen: its ends, its length and its code.
    cache: Vec<(u64, usize, u32)>,
}

impl<'s> Interner<'s> {
    const CACHE_BITS: u32 = 8;

    fn code(&mut self, label: &'s str) -> u32 {
        let bytes = label.as_bytes();
        let ends = ends(bytes);
        // 2⁶⁴ over the golden ratio: the top bits of the product depend on all bits of the ends.
        let hash = (ends ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = (hash >> (u64::BITS - Self::CACHE_BITS)) as usize;
        if let Some(&(known, len, code)) = self.cache.get(at)
            && known == ends
            && len == bytes.len()
            // Up to 8 bytes the ends are the whole.
            && (len <= 8 || self.labels[code as usize] == label)
        {
            return code;
        }
        let labels = &mut self.labels;
        let code = *self.codes.entry(label).or_insert_with(|| {
            labels.push(label);
            (labels.len() - 1) as u32
        });
        if self.cache.is_empty() {
            // No string is that long.
            self.cache = vec![(0, usize::MAX, 0); 1 << Self::CACHE_BITS];
        }
        self.cache[at] = (ends, bytes.len(), code);
        code
    }
}

/// A word of the first and the last bytes; with the length it tells strings of up to 8 bytes apart.
fn ends(bytes: &[u8]) -> u64 {
    // Of 8 bytes first and last are the same, and this would lose half of them.
    if bytes.len() > 8
        && let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
    {
        return u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(32);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match bytes {
        [] => 0,
        [a] => u64::from(*a),
        [a, b] => u64::from(*a) | u64::from(*b) << 8,
        [a, b, c, ..] => u64::from(*a) | u64::from(*b) << 8 | u64::from(*c) << 16,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int8Array, StringViewArray};

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
    fn what_is_no_text_has_one() {
        let booleans: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        check(&booleans, &[Some("true"), None, Some("false")]);
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(0.5)]));
        check(&numbers, &[Some("1.0"), None, Some("0.5")]);
    }
}
