//! A batch seen through names looked up once, with the views that analyzers share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, RecordBatchOptions,
    StringArray, UInt32Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, FilterPredicate, cast, take};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, DataType, Date32Type, Date64Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::text_codes::TextCodes;
use crate::verdict::RowId;
use crate::{Error, Extent, Result};

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

/// A batch of rows, or some rows of a batch, as an analyzer sees it.
///
/// Views that several analyzers want ([`numbers`](Self::numbers),
/// [`categories`](Self::categories), [`extent`](Self::extent), and whatever they agree on by
/// [`shared`](Self::shared)) are made once per batch.
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
    held: Held<'a>,
    names: Names,
    origin: &'a str,
}

/// What the rows stand in.
#[derive(Debug)]
enum Held<'a> {
    Batch {
        batch: &'a RecordBatch,
        first_row: u64,
        views: Views,
    },
    /// With its own views, which all that look at the selection share.
    Selected(&'a Selected),
}

/// What was made of a batch so far.
#[derive(Debug)]
struct Views {
    columns: Vec<ColumnViews>,
    shared: Shared,
}

#[derive(Debug, Default)]
struct ColumnViews {
    numbers: OnceLock<Float64Array>,
    categories: OnceLock<Categories>,
    extent: OnceLock<Extent>,
}

impl Views {
    fn of(columns: usize) -> Self {
        let columns = std::iter::repeat_with(ColumnViews::default).take(columns).collect();
        Self { columns, shared: Shared::default() }
    }
}

impl<'a> Rows<'a> {
    /// A batch of its own: its rows are named `memory:0`, `memory:1`, …
    pub fn new(batch: &'a RecordBatch) -> Self {
        Self::of(batch, Names::of(batch.schema_ref()), "memory", 0)
    }

    /// A batch with the names of its schema, the origin of its rows, and the number of the first
    /// of them there.
    pub fn of(batch: &'a RecordBatch, names: Names, origin: &'a str, first_row: u64) -> Self {
        let views = Views::of(batch.num_columns());
        Self { held: Held::Batch { batch, first_row, views }, names, origin }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.held {
            Held::Batch { batch, .. } => batch.num_rows(),
            Held::Selected(selected) => selected.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All columns that were read, of these rows.
    ///
    /// # Errors
    /// A column of which some rows can't be selected.
    pub fn batch(&self) -> Result<&'a RecordBatch> {
        match &self.held {
            Held::Batch { batch, .. } => Ok(batch),
            Held::Selected(selected) => selected.batch(),
        }
    }

    /// The name of the thing that the rows stand in: a file, a table, `memory`.
    pub fn origin(&self) -> &'a str {
        self.origin
    }

    /// The numbers, in their origin, of the rows that these were selected from, whether or not
    /// they were: without a gap to the rows of the next batch.
    pub fn span(&self) -> Range<u64> {
        let (first, n) = match &self.held {
            Held::Batch { batch, first_row, .. } => (*first_row, batch.num_rows()),
            Held::Selected(selected) => (selected.first_row, selected.source.num_rows()),
        };
        first..first.saturating_add(n as u64)
    }

    /// The number in its origin of the row at this index. Numbers ascend with the index.
    ///
    /// # Panics
    /// For an index that is none of a selection.
    pub fn row_number(&self, index: usize) -> u64 {
        match &self.held {
            Held::Batch { first_row, .. } => first_row.saturating_add(index as u64),
            Held::Selected(selected) => selected.row_numbers()[index],
        }
    }

    /// The name of the row at this index.
    ///
    /// # Panics
    /// For an index that is none of a selection.
    pub fn row_id(&self, index: usize) -> RowId {
        RowId { origin: self.origin.to_owned(), row: self.row_number(index) }
    }

    /// The column of this name.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`].
    pub fn column(&self, name: &str) -> Result<&'a ArrayRef> {
        self.at(self.index(name)?)
    }

    /// The column of this name as `f64`: integers, floats, decimals, booleans (0 and 1), dates,
    /// times and timestamps (in their own unit), and dictionaries of these; a column of type `Null`
    /// is all nulls. Integers beyond 2⁵³ round. No copy where the column is `f64` already.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], or [`Error::ColumnType`] for text and nested types.
    pub fn numbers(&self, name: &str) -> Result<&Float64Array> {
        let index = self.index(name)?;
        let view = &self.views().columns[index].numbers;
        if let Some(numbers) = view.get() {
            return Ok(numbers);
        }
        let numbers = to_numbers(name, self.at(index)?)?;
        Ok(view.get_or_init(|| numbers))
    }

    /// The column of this name as category codes: strings, booleans, integers, dates, and
    /// dictionaries of these; numbers are the text that they print as.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`], or [`Error::ColumnType`] for types that have no text.
    pub fn categories(&self, name: &str) -> Result<&Categories> {
        let index = self.index(name)?;
        let view = &self.views().columns[index].categories;
        if let Some(categories) = view.get() {
            return Ok(categories);
        }
        let categories = Categories::of(name, self.at(index)?)?;
        Ok(view.get_or_init(|| categories))
    }

    /// What the values of the column of this name span: a range check that it answers needs no
    /// look at single rows.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`]; as [`Extent::of`].
    pub fn extent(&self, name: &str) -> Result<Extent> {
        let index = self.index(name)?;
        let view = &self.views().columns[index].extent;
        if let Some(extent) = view.get() {
            return Ok(*extent);
        }
        let extent = Extent::of(name, self.at(index)?)?;
        Ok(*view.get_or_init(|| extent))
    }

    /// What analyzers have agreed to make only once of these rows: a mask, a hash of keys, a
    /// selection. What `make` gives is kept under its type and the key, which must say all that it
    /// depends on besides the rows; an error is not kept. `make` may ask for other shared things.
    ///
    /// ```
    /// use arrow::array::{Array, Int32Array};
    /// use mlops_core::{Rows, batch};
    /// let batch = batch! { "age" => Int32Array::from(vec![31, 47]) }?;
    /// let rows = Rows::new(&batch);
    /// let sum = |rows: &Rows<'_>| -> mlops_core::Result<f64> {
    ///     Ok(rows.numbers("age")?.values().iter().sum())
    /// };
    /// assert_eq!(*rows.shared("sum of age", || sum(&rows))?, 78.0);
    /// // This one is found, not made.
    /// assert_eq!(*rows.shared("sum of age", || Ok(0.0_f64))?, 78.0);
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `make`.
    pub fn shared<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        self.views().shared.get(key, make)
    }

    /// The rows for which the mask is true (not null), under their own names and numbers.
    ///
    /// A column is copied when it is first asked for. What several analyzers select should be
    /// [`shared`](Self::shared); they then share its views, too:
    ///
    /// ```
    /// use arrow::array::{BooleanArray, Int32Array};
    /// use mlops_core::{Rows, batch};
    /// let batch = batch! { "age" => Int32Array::from(vec![31, 12, 47]) }?;
    /// let rows = Rows::new(&batch);
    /// let grown_up = BooleanArray::from(vec![true, false, true]);
    /// let selected = rows.shared("where age >= 18", || rows.select(&grown_up))?;
    /// let rows = selected.rows();
    /// assert_eq!(rows.numbers("age")?.values()[..], [31.0, 47.0]);
    /// assert_eq!(rows.row_id(1).to_string(), "memory:2");
    /// # Ok::<(), mlops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if the mask has not a value for every row.
    pub fn select(&self, mask: &BooleanArray) -> Result<Selected> {
        if mask.len() != self.len() {
            return Err(Error::Length {
                left: "the batch".into(),
                left_len: self.len(),
                right: "the choice of its rows".into(),
                right_len: mask.len(),
            });
        }
        let chosen = match mask.nulls() {
            Some(nulls) => mask.values() & nulls.inner(),
            None => mask.values().clone(),
        };
        let (batch, first_row, kept) = match &self.held {
            Held::Batch { batch, first_row, .. } => (*batch, *first_row, chosen),
            // Of some of the rows some: their bits among those of the whole batch.
            Held::Selected(of) => {
                let mut chosen = chosen.iter();
                let kept = of.kept.iter().map(|kept| kept && chosen.next() == Some(true));
                (&of.source, of.first_row, kept.collect())
            }
        };
        Ok(Selected::new(batch.clone(), kept, self.names.clone(), self.origin, first_row))
    }

    fn views(&self) -> &Views {
        match &self.held {
            Held::Batch { views, .. } => views,
            Held::Selected(selected) => &selected.views,
        }
    }

    fn at(&self, index: usize) -> Result<&'a ArrayRef> {
        match &self.held {
            Held::Batch { batch, .. } => Ok(batch.column(index)),
            Held::Selected(selected) => selected.column(index),
        }
    }

    fn index(&self, name: &str) -> Result<usize> {
        self.names.0.by_name.get(name).copied().ok_or_else(|| Error::ColumnNotFound {
            column: name.to_owned(),
            available: self.names.0.available.clone(),
        })
    }
}

/// Some rows of a batch, for analyzers that look at no others: [`Rows::select`].
#[derive(Debug)]
pub struct Selected {
    source: RecordBatch,
    /// A bit for each row of `source`.
    kept: BooleanBuffer,
    filter: FilterPredicate,
    names: Names,
    origin: String,
    /// The number of the first row of `source`.
    first_row: u64,
    columns: Vec<OnceLock<ArrayRef>>,
    batch: OnceLock<RecordBatch>,
    row_numbers: OnceLock<Vec<u64>>,
    views: Views,
}

impl Selected {
    fn new(
        source: RecordBatch,
        kept: BooleanBuffer,
        names: Names,
        origin: &str,
        first_row: u64,
    ) -> Self {
        let filter = FilterBuilder::new(&BooleanArray::new(kept.clone(), None)).optimize().build();
        let n = source.num_columns();
        Self {
            source,
            kept,
            filter,
            names,
            origin: origin.to_owned(),
            first_row,
            columns: std::iter::repeat_with(OnceLock::new).take(n).collect(),
            batch: OnceLock::new(),
            row_numbers: OnceLock::new(),
            views: Views::of(n),
        }
    }

    /// The rows, for any number of analyzers, which share their views.
    pub fn rows(&self) -> Rows<'_> {
        Rows { held: Held::Selected(self), names: self.names.clone(), origin: &self.origin }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.filter.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn column(&self, index: usize) -> Result<&ArrayRef> {
        let place = &self.columns[index];
        if let Some(column) = place.get() {
            return Ok(column);
        }
        let column = self.filter.filter(self.source.column(index))?;
        Ok(place.get_or_init(|| column))
    }

    fn batch(&self) -> Result<&RecordBatch> {
        if let Some(batch) = self.batch.get() {
            return Ok(batch);
        }
        let columns = (0..self.columns.len()).map(|i| self.column(i).cloned());
        let columns = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        let batch = RecordBatch::try_new_with_options(self.source.schema(), columns, &options)?;
        Ok(self.batch.get_or_init(|| batch))
    }

    fn row_numbers(&self) -> &[u64] {
        self.row_numbers.get_or_init(|| {
            self.kept.set_indices().map(|i| self.first_row.saturating_add(i as u64)).collect()
        })
    }
}

/// What was made once for all that ask, by its type and a key.
#[derive(Default)]
struct Shared(Mutex<ByType>);

type ByType = HashMap<TypeId, ByKey, BuildHasherDefault<LabelHasher>>;
type ByKey = HashMap<Box<str>, Arc<dyn Any + Send + Sync>, BuildHasherDefault<LabelHasher>>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn get<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let typed = |any: Arc<dyn Any + Send + Sync>| {
            any.downcast().map_err(|_| Error::invalid("shared value", "its own type", "another"))
        };
        // Nothing is done under the lock that could panic and leave it half done.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&TypeId::of::<T>()).and_then(|keys| keys.get(key)).cloned();
        if let Some(known) = known {
            return typed(known);
        }
        // Made outside of the lock, since making it may ask for more.
        let made: Arc<dyn Any + Send + Sync> = Arc::new(make()?);
        typed(
            lock().entry(TypeId::of::<T>()).or_default().entry(key.into()).or_insert(made).clone(),
        )
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
    fn some_rows_keep_their_names_and_share_their_views() {
        let ten = crate::batch! {
            "x" => (0..10).map(|i| (i != 4).then_some(i)).collect::<arrow::array::Int64Array>(),
            "t" => (0..10).map(|i| Some(format!("t{i}"))).collect::<StringArray>(),
        }
        .unwrap();
        let rows = Rows::of(&ten, Names::of(ten.schema_ref()), "file", 100);
        // Null is not true.
        let even: BooleanArray = (0..10).map(|i| (i != 2).then_some(i % 2 == 0)).collect();
        let selected = rows.select(&even).unwrap();
        let even = selected.rows();
        assert_eq!((even.len(), even.origin(), even.is_empty()), (4, "file", false));
        let numbers =
            |rows: &Rows<'_>| (0..rows.len()).map(|i| rows.row_number(i)).collect::<Vec<_>>();
        assert_eq!(numbers(&even), [100, 104, 106, 108]);
        assert_eq!(even.row_id(1).to_string(), "file:104");
        assert_eq!(even.extent("x").unwrap().span, crate::Span::Int(Some((0, 8))));
        assert_eq!(even.extent("x").unwrap().nulls, 1);
        assert_eq!(even.categories("t").unwrap().label(3), Some("t8"));
        assert!(matches!(even.column("z"), Err(Error::ColumnNotFound { .. })));
        assert_eq!(even.batch().unwrap().num_rows(), 4);
        // Who looks again finds what was made.
        let again = selected.rows();
        assert!(std::ptr::eq(even.numbers("x").unwrap(), again.numbers("x").unwrap()));
        assert_eq!(*even.shared("k", || Ok(1)).unwrap(), 1);
        assert_eq!(*again.shared("k", || Ok(2)).unwrap(), 1);
        assert_eq!(*rows.shared("k", || Ok(3)).unwrap(), 3);
        // Some of some.
        let last = even.select(&BooleanArray::from(vec![false, false, true, true])).unwrap();
        assert_eq!(numbers(&last.rows()), [106, 108]);
        assert_eq!(last.rows().numbers("x").unwrap().values()[..], [6.0, 8.0]);
        let none = even.select(&BooleanArray::from(vec![false; 4])).unwrap();
        assert!(none.is_empty() && none.rows().batch().unwrap().num_rows() == 0);
        assert!(matches!(even.select(&BooleanArray::from(vec![true])), Err(Error::Length { .. })));
        // Without a column there are still rows.
        let bare = ten.project(&[]).unwrap();
        let bare = Rows::new(&bare).select(&BooleanArray::from(vec![true; 10])).unwrap();
        assert_eq!(bare.rows().batch().unwrap().num_rows(), 10);
    }

    #[test]
    fn what_is_shared_is_made_once_of_each_type_and_key() {
        let batch = crate::batch! { "x" => Float64Array::from(vec![1.0]) }.unwrap();
        let rows = Rows::new(&batch);
        let made = std::cell::Cell::new(0);
        let count = || {
            made.set(made.get() + 1);
            Ok(made.get())
        };
        let ask = |key: &str| *rows.shared::<i32>(key, count).unwrap();
        assert_eq!((ask("a"), ask("a"), ask("b"), ask("a")), (1, 1, 2, 1));
        let text = rows.shared("a", || Ok(format!("{}", ask("c")))).unwrap();
        assert_eq!((text.as_str(), made.get()), ("3", 3));
        let failed = rows.shared::<u8>("a", || Err(Error::Cancelled));
        assert!(failed.is_err());
        assert_eq!(*rows.shared::<u8>("a", || Ok(7)).unwrap(), 7);
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

    #[test]
    fn what_is_no_text_has_one() {
        let booleans: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        check(&booleans, &[Some("true"), None, Some("false")]);
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(0.5)]));
        check(&numbers, &[Some("1.0"), None, Some("0.5")]);
    }
}
