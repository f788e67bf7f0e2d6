//! No value stands twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use mlops_core::bytes::{
    add_count, bad, put_len, put_str, put_u64, put_u128, take_count, take_len, take_str, take_u64,
    take_u128,
};
use mlops_core::{Analyzer, Description, Result, RowId, Rows, State};
use serde::{Deserialize, Serialize};

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, RowRule};
use crate::failing_rows::FailingRows;
use crate::record::Value;
use crate::row_test::{Answer, RowTest, Tested};
use crate::value_test::unsupported;
use crate::values::{Domain, domain, value_type};

/// No two rows have the same value; *every* row of a group of equal ones is unexpected.
///
/// Exact: every distinct value is remembered, which takes about 100 bytes each, and its text
/// besides. Nulls are left out; all NaN are one value, and so are 0 and −0. Great Expectations:
/// `expect_column_values_to_be_unique`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Unique {
    /// The column.
    pub column: String,
}

/// Expects no value to stand twice: [`Unique`].
pub fn unique(column: impl Into<String>) -> Expectation {
    Unique { column: column.into() }.into()
}

impl Kind for Unique {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let data_type = to.value_type(&self.column)?.clone();
        if domain(&data_type).is_none() {
            return to.wrong_type(&self.column, "a column of numbers, text, dates or booleans");
        }
        let handle = to.add(Distinct { column: self.column.clone(), data_type });
        let column = self.column.clone();
        let rule = RowRule::AfterAll(Arc::new(move |m| {
            let duplicates = m.get(&handle)?.clone();
            Ok(Arc::new(StandsOnce { column: column.clone(), duplicates }))
        }));
        Ok(to.row_judge("values that stand once", "rows with a value", rule, handle, |found| {
            (found.with_value, &found.failing)
        }))
    }
}

/// Whether a row's value stands in no other row: known only after all have been seen.
#[derive(Debug)]
struct StandsOnce {
    column: String,
    duplicates: Duplicates,
}

impl RowTest for StandsOnce {
    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn params(&self) -> serde_json::Value {
        serde_json::json!({"unique": self.column})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let column = rows.column(&self.column)?;
        let failing = self.duplicates.failing(column)?;
        Ok(Tested { looked_at: crate::values::present(column), failing: Some(failing) })
    }

    fn test_record(&self, _: &[Value<'_>]) -> Answer {
        Answer::Skip
    }
}

/// A value in the form in which it is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key<'a> {
    Number(u128),
    Text(&'a str),
}

/// Shows every value that is not null, with its row.
pub(crate) fn keys(array: &ArrayRef, mut each: impl FnMut(usize, Key<'_>)) -> Result<()> {
    let data_type = value_type(array.data_type());
    let array =
        if array.data_type() == data_type { array.clone() } else { cast(array, data_type)? };
    let valid = |row: &usize| array.is_valid(*row);
    let rows = 0..array.len();
    macro_rules! texts {
        ($strings:expr) => {{
            let strings = $strings;
            rows.filter(valid).for_each(|row| each(row, Key::Text(strings.value(row))));
        }};
    }
    match data_type {
        DataType::Utf8 => texts!(array.as_string::<i32>()),
        DataType::LargeUtf8 => texts!(array.as_string::<i64>()),
        DataType::Utf8View => texts!(array.as_string_view()),
        DataType::Boolean => {
            let values = array.as_boolean();
            rows.filter(valid).for_each(|row| each(row, Key::Number(values.value(row).into())));
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values();
            rows.filter(valid).for_each(|row| each(row, Key::Number(values[row].into())));
        }
        DataType::Float32 | DataType::Float64 => {
            let values = cast(&array, &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>().values();
            let bits = |v: f64| if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() };
            rows.filter(valid).for_each(|row| each(row, Key::Number(bits(values[row]).into())));
        }
        other if other.is_integer() || other.is_temporal() => {
            let values = crate::values::counts(&array)?;
            let values = values.as_primitive::<Int64Type>().values();
            // As the same 64 bits, so that dates before 1970 are no wider than others.
            rows.filter(valid).for_each(|row| each(row, Key::Number((values[row] as u64).into())));
        }
        // Decimals and half floats, by the text that they print as.
        other if other.is_numeric() => {
            let text = cast(&array, &DataType::Utf8)?;
            let strings = text.as_string::<i32>();
            rows.filter(valid).for_each(|row| each(row, Key::Text(strings.value(row))));
        }
        _ => return unsupported(&array),
    }
    Ok(())
}

/// Every distinct value of a column with the rows that it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Distinct {
    pub(crate) column: String,
    pub(crate) data_type: DataType,
}

/// The values that stand more than once, and the first of their rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Duplicates {
    pub(crate) with_value: u64,
    pub(crate) failing: FailingRows,
    numbers: HashSet<u128>,
    texts: HashSet<Box<str>>,
}

impl Duplicates {
    /// The rows whose value stands in another row, too.
    pub(crate) fn failing(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let mut failing = vec![false; array.len()];
        if self.failing.count() > 0 {
            keys(array, |row, key| {
                failing[row] = match key {
                    Key::Number(n) => self.numbers.contains(&n),
                    Key::Text(t) => self.texts.contains(t),
                };
            })?;
        }
        Ok(failing.into())
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DistinctState {
    numbers: HashMap<u128, Group>,
    texts: HashMap<Box<str>, Group>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    origin: Arc<str>,
    row: u64,
}

/// How often a value was seen, and the first rows that it stands in: most have one.
#[derive(Clone, Debug)]
struct Group {
    count: u64,
    first: Place,
    /// Sorted, all after `first`.
    more: Vec<Place>,
}

impl Group {
    fn new(place: Place) -> Self {
        Self { count: 1, first: place, more: Vec::new() }
    }

    fn add(&mut self, place: Place) {
        self.count += 1;
        self.keep(place);
    }

    fn keep(&mut self, mut place: Place) {
        if place < self.first {
            std::mem::swap(&mut place, &mut self.first);
        }
        let more = &mut self.more;
        let at = more.partition_point(|p| *p <= place);
        if at < FailingRows::KEPT - 1 {
            more.insert(at, place);
            more.truncate(FailingRows::KEPT - 1);
        }
    }

    fn merge(&mut self, other: Self) {
        add_count(&mut self.count, other.count);
        self.keep(other.first);
        for place in other.more {
            self.keep(place);
        }
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.count);
        for place in self.places() {
            put_str(out, &place.origin);
            put_u64(out, place.row);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let count = take_count(bytes)?;
        if count == 0 {
            return Err(bad(bytes, "a value that was seen", "a count of 0"));
        }
        let mut group: Option<Self> = None;
        for _ in 0..count.min(FailingRows::KEPT as u64) {
            let place = Place { origin: take_str(bytes)?.into(), row: take_u64(bytes)? };
            match &mut group {
                None => group = Some(Self::new(place)),
                Some(group) => {
                    if group.places().last().is_some_and(|last| *last > place) {
                        return Err(bad(bytes, "rows in order", place.row));
                    }
                    group.keep(place);
                }
            }
        }
        let mut group = group.ok_or_else(|| bad(bytes, "a row", "none"))?;
        group.count = count;
        Ok(group)
    }
}

impl Analyzer for Distinct {
    type State = DistinctState;
    type Output = Duplicates;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> DistinctState {
        DistinctState::default()
    }

    fn update(&self, state: &mut DistinctState, rows: &Rows<'_>) -> Result<()> {
        let origin: Arc<str> = rows.origin().into();
        keys(rows.column(&self.column)?, |row, key| {
            let place = Place { origin: origin.clone(), row: rows.row_number(row) };
            match key {
                Key::Number(n) => match state.numbers.get_mut(&n) {
                    Some(group) => group.add(place),
                    None => {
                        state.numbers.insert(n, Group::new(place));
                    }
                },
                Key::Text(t) => match state.texts.get_mut(t) {
                    Some(group) => group.add(place),
                    None => {
                        state.texts.insert(t.into(), Group::new(place));
                    }
                },
            }
        })
    }

    fn finish(&self, state: DistinctState) -> Result<Duplicates> {
        let mut found = Duplicates::default();
        let mut rows: Vec<(Place, Key<'_>)> = Vec::new();
        let numbers = state.numbers.iter().map(|(n, group)| (Key::Number(*n), group));
        let texts = state.texts.iter().map(|(t, group)| (Key::Text(t), group));
        for (key, group) in numbers.chain(texts) {
            add_count(&mut found.with_value, group.count);
            if group.count == 1 {
                continue;
            }
            found.failing.add(group.count);
            rows.extend(group.places().map(|place| (place.clone(), key)));
            match key {
                Key::Number(n) => found.numbers.insert(n),
                Key::Text(t) => found.texts.insert(t.into()),
            };
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.truncate(FailingRows::KEPT);
        for (place, key) in rows {
            let row = RowId { origin: place.origin.as_ref().to_owned(), row: place.row };
            found.failing.keep_row(row, &[self.print(key)?.into()]);
        }
        Ok(found)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<DistinctState> {
        let mut state = DistinctState::default();
        let mut last = None;
        for _ in 0..take_len(bytes, 40)? {
            let key = take_u128(bytes)?;
            if last.is_some_and(|last| last >= key) {
                return Err(bad(bytes, "numbers in order", key));
            }
            last = Some(key);
            state.numbers.insert(key, Group::decode(bytes)?);
        }
        let mut last = None;
        for _ in 0..take_len(bytes, 32)? {
            let key: Box<str> = take_str(bytes)?.into();
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(bad(bytes, "texts in order", key));
            }
            last = Some(key.clone());
            state.texts.insert(key, Group::decode(bytes)?);
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        let params = (&self.column, self.data_type.to_string());
        Some(Description::new("validate/distinct", 1, &params))
    }
}

impl Distinct {
    /// A value as text, from its key, so that it does not depend on which row came first.
    fn print(&self, key: Key<'_>) -> Result<String> {
        let text = match key {
            Key::Text(t) => t.to_owned(),
            Key::Number(n) => match domain(&self.data_type) {
                Some(Domain::Bool) => (n != 0).to_string(),
                Some(Domain::Float) => f64::from_bits(n as u64).to_string(),
                _ if self.data_type == DataType::UInt64 => n.to_string(),
                _ if self.data_type.is_temporal() => {
                    let count = Int64Array::from(vec![n as u64 as i64]);
                    let value = crate::values::from_counts(&count, &self.data_type)?;
                    let formatter =
                        ArrayFormatter::try_new(value.as_ref(), &FormatOptions::default())?;
                    formatter.value(0).to_string()
                }
                _ => (n as u64 as i64).to_string(),
            },
        };
        Ok(text.chars().take(64).collect())
    }
}

impl State for DistinctState {
    fn merge(&mut self, other: Self) -> Result<()> {
        // The smaller one moves.
        let (mut into, from) = if self.len() >= other.len() {
            (std::mem::take(self), other)
        } else {
            (other, std::mem::take(self))
        };
        for (key, group) in from.numbers {
            match into.numbers.get_mut(&key) {
                Some(known) => known.merge(group),
                None => {
                    into.numbers.insert(key, group);
                }
            }
        }
        for (key, group) in from.texts {
            match into.texts.get_mut(&key) {
                Some(known) => known.merge(group),
                None => {
                    into.texts.insert(key, group);
                }
            }
        }
        *self = into;
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut numbers: Vec<_> = self.numbers.iter().collect();
        numbers.sort_unstable_by_key(|(key, _)| **key);
        put_len(out, numbers.len());
        for (key, group) in numbers {
            put_u128(out, *key);
            group.encode(out);
        }
        let mut texts: Vec<_> = self.texts.iter().collect();
        texts.sort_unstable_by_key(|(key, _)| *key);
        put_len(out, texts.len());
        for (key, group) in texts {
            put_str(out, key);
            group.encode(out);
        }
    }

    fn size(&self) -> usize {
        self.len() * 100 + self.texts.keys().map(|t| t.len()).sum::<usize>()
    }
}

impl DistinctState {
    fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }
}
