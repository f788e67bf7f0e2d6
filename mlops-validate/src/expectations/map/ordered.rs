//! Values rise or fall from row to row.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal32Type, Decimal64Type, Decimal128Type};
use mlops_core::bytes::{
    add_count, bad, put_i128, put_len, put_str, put_u8, put_u64, take_count, take_i128, take_len,
    take_str, take_u8, take_u64,
};
use mlops_core::{Analyzer, Description, Error, Result, RowId, Rows, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, RowRule};
use crate::failing_rows::{FailingRows, value_at};
use crate::place::Place;
use crate::record::Value;
use crate::row_test::{Answer, NullPolicy, RowTest, Tested};
use crate::value_test::{over_floats, over_integers};
use crate::values::{Domain, domain, physical, present, value_type};

/// No value is less than the one before it in the order of the rows; with `strictly` none is
/// equal to it either.
///
/// A row without a value is left out: the next one is compared with the last value before it. The
/// first value of an origin (a file, a table) passes; origins have no order among each other. The
/// row that is named is the later of two. Text goes by its bytes; NaN is neither less nor more, so
/// it fails, and the value behind it. The answer is the same for any cutting of the rows into
/// batches, threads and parts, as long as they keep their numbers.
///
/// Great Expectations: `expect_column_values_to_be_increasing`, which refuses text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Increasing {
    /// The column.
    pub column: String,
    /// Whether equal neighbours fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strictly: bool,
}

/// Expects values not to fall from row to row: [`Increasing`].
pub fn increasing(column: impl Into<String>) -> Expectation {
    Increasing { column: column.into(), strictly: false }.into()
}

/// Expects values to rise from row to row: [`Increasing`].
pub fn strictly_increasing(column: impl Into<String>) -> Expectation {
    Increasing { column: column.into(), strictly: true }.into()
}

/// No value is more than the one before it in the order of the rows: [`Increasing`] turned around.
///
/// Great Expectations: `expect_column_values_to_be_decreasing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Decreasing {
    /// The column.
    pub column: String,
    /// Whether equal neighbours fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strictly: bool,
}

/// Expects values not to rise from row to row: [`Decreasing`].
pub fn decreasing(column: impl Into<String>) -> Expectation {
    Decreasing { column: column.into(), strictly: false }.into()
}

/// Expects values to fall from row to row: [`Decreasing`].
pub fn strictly_decreasing(column: impl Into<String>) -> Expectation {
    Decreasing { column: column.into(), strictly: true }.into()
}

impl Kind for Increasing {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        compile(to, &self.column, Order { falling: false, strictly: self.strictly })
    }
}

impl Kind for Decreasing {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        compile(to, &self.column, Order { falling: true, strictly: self.strictly })
    }
}

fn compile(to: &mut Compiler<'_>, column: &str, order: Order) -> Result<Compiled> {
    let wanted = "a column of numbers, text, dates or times, with an order";
    let Some(place) = Place::find(to.schema, column) else {
        return to.wrong_type(column, wanted);
    };
    let data_type = value_type(&place.data_type);
    let readable = match data_type {
        DataType::Null => true,
        DataType::Decimal256(..) => false,
        other => matches!(domain(other), Some(Domain::Int | Domain::Float | Domain::Text)),
    };
    if !readable || place.has_items() {
        let found = format!("column `{column}` of type {}", place.data_type);
        return Ok(to.refused(wanted, found));
    }
    let words = match (order.falling, order.strictly) {
        (false, false) => "values that do not fall",
        (false, true) => "values that rise",
        (true, false) => "values that do not rise",
        (true, true) => "values that fall",
    };
    let ordered = Ordered { place, order, nulls: to.of.nulls };
    let handle = to.add(ordered.clone());
    let rule = RowRule::AfterAll(Arc::new(move |_| {
        Ok(Arc::new(InOrder { of: ordered.clone(), last: Mutex::default() }))
    }));
    Ok(to.row_judge(words, "rows with a value", rule, handle, |found| {
        (found.looked_at, &found.failing)
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Order {
    falling: bool,
    strictly: bool,
}

impl Order {
    fn holds<T: PartialOrd>(self, before: T, after: T) -> bool {
        let (low, high) = if self.falling { (after, before) } else { (before, after) };
        if self.strictly { low < high } else { low <= high }
    }
}

/// A value that stands at an end of some rows.
#[derive(Clone, Debug)]
enum Edge {
    Int(i128),
    Float(f64),
    Text(Box<str>),
}

impl Edge {
    fn at(array: &ArrayRef, row: usize) -> Result<Self> {
        match array.data_type() {
            DataType::Float32 | DataType::Float64 => {
                over_floats!(array, |values: &[Native]| Self::Float(f64::from(values[row])))
            }
            DataType::Utf8 => Ok(Self::Text(array.as_string::<i32>().value(row).into())),
            DataType::LargeUtf8 => Ok(Self::Text(array.as_string::<i64>().value(row).into())),
            DataType::Utf8View => Ok(Self::Text(array.as_string_view().value(row).into())),
            DataType::Decimal32(..) => {
                Ok(Self::Int(array.as_primitive::<Decimal32Type>().value(row).into()))
            }
            DataType::Decimal64(..) => {
                Ok(Self::Int(array.as_primitive::<Decimal64Type>().value(row).into()))
            }
            DataType::Decimal128(..) => {
                Ok(Self::Int(array.as_primitive::<Decimal128Type>().value(row)))
            }
            _ => over_integers!(array, |values: &[Native]| Self::Int(values[row].into())),
        }
    }

    fn holds(&self, order: Order, after: &Self) -> bool {
        match (self, after) {
            (Self::Int(a), Self::Int(b)) => order.holds(a, b),
            (Self::Float(a), Self::Float(b)) => order.holds(a, b),
            (Self::Text(a), Self::Text(b)) => order.holds(a, b),
            _ => false,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(v) => {
                put_u8(out, 0);
                put_i128(out, *v);
            }
            Self::Float(v) => {
                put_u8(out, 1);
                put_u64(out, v.to_bits());
            }
            Self::Text(v) => {
                put_u8(out, 2);
                put_str(out, v);
            }
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        Ok(match take_u8(bytes)? {
            0 => Self::Int(take_i128(bytes)?),
            1 => Self::Float(f64::from_bits(take_u64(bytes)?)),
            2 => Self::Text(take_str(bytes)?.into()),
            other => return Err(bad(bytes, "a kind of value", other)),
        })
    }
}

/// Which rows of an array fail, and where its first and last values stand.
struct Steps {
    failing: BooleanBuffer,
    ends: Option<(usize, usize)>,
}

/// Compares every value with the one before it, the first with `before`.
fn steps(array: &ArrayRef, before: Option<&Edge>, order: Order) -> Result<Steps> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let (n, nulls) = (array.len(), nulls.as_ref());
    let int = match before {
        Some(Edge::Int(v)) => Some(*v),
        _ => None,
    };
    let text = match before {
        Some(Edge::Text(v)) => Some(&**v),
        _ => None,
    };
    macro_rules! decimals {
        ($type:ty, $native:ty) => {{
            let values = array.as_primitive::<$type>().values();
            let before = int.and_then(|v| <$native>::try_from(v).ok());
            Ok(walk(n, nulls, |row| values[row], before, order))
        }};
    }
    match array.data_type() {
        DataType::Float32 | DataType::Float64 => over_floats!(array, |values: &[Native]| {
            let before = match before {
                Some(Edge::Float(v)) => Some(*v as Native),
                _ => None,
            };
            walk(n, nulls, |row| values[row], before, order)
        }),
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Ok(walk(n, nulls, |row| values.value(row), text, order))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            Ok(walk(n, nulls, |row| values.value(row), text, order))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            Ok(walk(n, nulls, |row| values.value(row), text, order))
        }
        DataType::Decimal32(..) => decimals!(Decimal32Type, i32),
        DataType::Decimal64(..) => decimals!(Decimal64Type, i64),
        DataType::Decimal128(..) => decimals!(Decimal128Type, i128),
        DataType::Null => Ok(Steps { failing: BooleanBuffer::new_unset(n), ends: None }),
        _ => over_integers!(array, |values: &[Native]| {
            let before = int.and_then(|v| Native::try_from(v).ok());
            walk(n, nulls, |row| values[row], before, order)
        }),
    }
}

fn walk<T: PartialOrd + Copy>(
    n: usize,
    nulls: Option<&NullBuffer>,
    value: impl Fn(usize) -> T,
    before: Option<T>,
    order: Order,
) -> Steps {
    let Some(nulls) = nulls else {
        let failing = BooleanBuffer::collect_bool(n, |row| match row {
            0 => before.is_some_and(|before| !order.holds(before, value(0))),
            row => !order.holds(value(row - 1), value(row)),
        });
        return Steps { failing, ends: n.checked_sub(1).map(|last| (0, last)) };
    };
    let (mut before, mut ends) = (before, None);
    let failing = BooleanBuffer::collect_bool(n, |row| {
        if nulls.is_null(row) {
            return false;
        }
        ends = Some((ends.map_or(row, |(first, _)| first), row));
        let now = value(row);
        before.replace(now).is_some_and(|before| !order.holds(before, now))
    });
    Steps { failing, ends }
}

/// Which rows do not keep the order.
#[derive(Clone, Debug)]
struct Ordered {
    place: Place,
    order: Order,
    nulls: NullPolicy,
}

impl Ordered {
    /// The values, as the types that can be compared.
    fn values(&self, rows: &Rows<'_>) -> Result<ArrayRef> {
        let array = self.place.shown(rows.column(&self.place.column)?)?;
        match array.data_type() {
            DataType::Dictionary(..) => physical(&cast(&array, value_type(array.data_type()))?),
            _ => physical(&array),
        }
    }
}

/// The rows seen so far, as stretches without a gap between them, and which of them fail.
#[derive(Clone, Debug)]
struct OrderedState {
    order: Order,
    looked_at: u64,
    failing: FailingRows,
    /// By origin and the number of the first row.
    stretches: BTreeMap<Box<str>, BTreeMap<u64, Stretch>>,
}

/// Rows that follow each other, up to `end`.
#[derive(Clone, Debug)]
struct Stretch {
    end: u64,
    ends: Option<(First, Edge)>,
}

/// The first value of a stretch: it may fail once the rows before are known.
#[derive(Clone, Debug)]
struct First {
    row: u64,
    value: Edge,
    /// As a failing row is shown: JSON.
    shown: serde_json::Value,
}

impl OrderedState {
    /// Takes in a stretch, and joins it with its neighbours.
    fn insert(&mut self, origin: &str, start: u64, mut stretch: Stretch) -> Result<()> {
        let known = match self.stretches.get_mut(origin) {
            Some(known) => known,
            None => self.stretches.entry(origin.into()).or_default(),
        };
        let before = known.range(..=start).next_back().map(|(at, s)| (*at, s.end));
        let after = known.range(start..).next().map(|(at, _)| *at);
        let overlaps = before.is_some_and(|(_, end)| end > start)
            || after.is_some_and(|after| after < stretch.end);
        if overlaps {
            let found = format!("rows of {origin} from {start} are there already");
            return Err(Error::merge("ordered values", found));
        }
        let mut broken = Vec::new();
        let order = self.order;
        let mut join = |left: Stretch, right: Stretch| {
            if let (Some((_, last)), Some((first, _))) = (&left.ends, &right.ends)
                && !last.holds(order, &first.value)
            {
                broken.push((first.row, first.shown.clone()));
            }
            let ends = match (left.ends, right.ends) {
                (Some((first, _)), Some((_, last))) => Some((first, last)),
                (one, other) => one.or(other),
            };
            Stretch { end: right.end, ends }
        };
        let mut at = start;
        if let Some((before, end)) = before
            && end == start
            && let Some(left) = known.remove(&before)
        {
            stretch = join(left, stretch);
            at = before;
        }
        if let Some(right) = known.remove(&stretch.end) {
            stretch = join(stretch, right);
        }
        known.insert(at, stretch);
        for (row, shown) in broken {
            self.failing.add(1);
            self.failing.keep_row(RowId { origin: origin.to_owned(), row }, &[shown]);
        }
        Ok(())
    }
}

impl Analyzer for Ordered {
    type State = OrderedState;
    type Output = OrderedState;

    fn columns(&self) -> Vec<String> {
        vec![self.place.column.clone()]
    }

    fn start(&self) -> OrderedState {
        OrderedState {
            order: self.order,
            looked_at: 0,
            failing: FailingRows::default(),
            stretches: BTreeMap::new(),
        }
    }

    fn update(&self, state: &mut OrderedState, rows: &Rows<'_>) -> Result<()> {
        let values = self.values(rows)?;
        let steps = steps(&values, None, self.order)?;
        if rows.span().is_empty() {
            return Ok(());
        }
        let shown = self.place.shown(rows.column(&self.place.column)?)?;
        let ends = match steps.ends {
            Some((first, last)) => {
                let first = First {
                    row: rows.row_number(first),
                    value: Edge::at(&values, first)?,
                    shown: value_at(&shown, first)?,
                };
                Some((first, Edge::at(&values, last)?))
            }
            None => None,
        };
        // Rows that a condition left out are no gap.
        let span = rows.span();
        state.insert(rows.origin(), span.start, Stretch { end: span.end, ends })?;
        let tested = Tested::of_values(Some(steps.failing), present(&shown), self.nulls);
        let looked_at = tested.looked_at.map_or(rows.len(), |rows| rows.count_set_bits());
        add_count(&mut state.looked_at, looked_at as u64);
        match tested.failing {
            Some(failing) => state.failing.update(rows, &[shown], &failing),
            None => Ok(()),
        }
    }

    fn finish(&self, state: OrderedState) -> Result<OrderedState> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<OrderedState> {
        let mut state = self.start();
        state.looked_at = take_count(bytes)?;
        state.failing = FailingRows::decode(bytes)?;
        if state.failing.count() > state.looked_at {
            let expected = format!("at most {} failing rows", state.looked_at);
            return Err(bad(bytes, expected, state.failing.count()));
        }
        for _ in 0..take_len(bytes, 16)? {
            let origin: Box<str> = take_str(bytes)?.into();
            if state.stretches.last_key_value().is_some_and(|(last, _)| *last >= origin) {
                return Err(bad(bytes, "origins in order", origin));
            }
            let n = take_len(bytes, 17)?;
            if n == 0 {
                return Err(bad(bytes, "some rows", 0));
            }
            let mut known: BTreeMap<u64, Stretch> = BTreeMap::new();
            for _ in 0..n {
                let (start, end) = (take_u64(bytes)?, take_u64(bytes)?);
                // Neighbours would have been joined.
                let apart = known.last_key_value().is_none_or(|(_, last)| last.end < start);
                if start >= end || !apart {
                    return Err(bad(bytes, "rows in order, with gaps between them", start));
                }
                let ends = match take_u8(bytes)? {
                    0 => None,
                    1 => {
                        let row = take_u64(bytes)?;
                        if !(start..end).contains(&row) {
                            return Err(bad(bytes, format!("a row of {start}..{end}"), row));
                        }
                        let value = Edge::decode(bytes)?;
                        let shown = take_str(bytes)?;
                        let read = serde_json::from_str::<serde_json::Value>(&shown);
                        let written = read.as_ref().map(ToString::to_string).unwrap_or_default();
                        let (Ok(read), true) = (read, written == shown) else {
                            return Err(bad(bytes, "a value as JSON", shown));
                        };
                        let shown = read;
                        Some((First { row, value, shown }, Edge::decode(bytes)?))
                    }
                    other => return Err(bad(bytes, "0 or 1", other)),
                };
                known.insert(start, Stretch { end, ends });
            }
            state.stretches.insert(origin, known);
        }
        Ok(state)
    }

    fn description(&self) -> Option<Description> {
        let params = json!({
            "place": format!("{:?}", self.place),
            "order": self.order,
            "nulls": self.nulls,
        });
        Some(Description::new("validate/ordered", 1, &params))
    }
}

impl State for OrderedState {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.order != other.order {
            return Err(Error::merge("ordered values", "the other state is of another order"));
        }
        for (origin, stretches) in other.stretches {
            for (start, stretch) in stretches {
                self.insert(&origin, start, stretch)?;
            }
        }
        add_count(&mut self.looked_at, other.looked_at);
        self.failing.merge(other.failing)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.looked_at);
        self.failing.encode(out);
        put_len(out, self.stretches.len());
        for (origin, stretches) in &self.stretches {
            put_str(out, origin);
            put_len(out, stretches.len());
            for (start, stretch) in stretches {
                put_u64(out, *start);
                put_u64(out, stretch.end);
                put_u8(out, stretch.ends.is_some().into());
                if let Some((first, last)) = &stretch.ends {
                    put_u64(out, first.row);
                    first.value.encode(out);
                    put_str(out, &first.shown.to_string());
                    last.encode(out);
                }
            }
        }
    }

    fn size(&self) -> usize {
        let stretches = self.stretches.values().map(BTreeMap::len).sum::<usize>();
        size_of::<Self>() + self.failing.size() + stretches * (size_of::<Stretch>() + 64)
    }
}

/// The same question of rows that come in their order: what the last one was is remembered.
#[derive(Debug)]
struct InOrder {
    of: Ordered,
    last: Mutex<Last>,
}

/// The origin and the number of the row that would come next, and the last value.
#[derive(Debug, Default)]
struct Last {
    origin: Box<str>,
    next: u64,
    value: Option<Edge>,
}

impl RowTest for InOrder {
    fn columns(&self) -> Vec<String> {
        self.of.columns()
    }

    fn params(&self) -> serde_json::Value {
        json!({"ordered": self.of.description().map(|d| d.params)})
    }

    fn test(&self, rows: &Rows<'_>) -> Result<Tested> {
        let values = self.of.values(rows)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let span = rows.span();
        let follows = *last.origin == *rows.origin() && last.next == span.start;
        if !follows {
            *last = Last { origin: rows.origin().into(), next: 0, value: None };
        }
        let steps = steps(&values, last.value.as_ref(), self.of.order)?;
        last.next = span.end;
        if let Some((_, at)) = steps.ends {
            last.value = Some(Edge::at(&values, at)?);
        }
        Ok(Tested::of_values(Some(steps.failing), present(&values), self.of.nulls))
    }

    fn judges_records(&self) -> bool {
        false
    }

    fn test_record(&self, _: &[Value<'_>]) -> Answer {
        Answer::Skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
    use mlops_core::{Names, batch};
    use proptest::prelude::*;

    fn ordered(batch: &RecordBatch, column: &str, falling: bool, strictly: bool) -> Ordered {
        let place = Place::find(&batch.schema(), column).unwrap();
        Ordered { place, order: Order { falling, strictly }, nulls: NullPolicy::Skip }
    }

    /// Not by `conformance::analyzer`, which shows rows twice and in an order of its own: that is
    /// refused here.
    #[test]
    fn the_same_bits_for_any_cutting_and_no_harm_from_bytes() {
        let nasty = [Some(0.0), Some(-0.0), None, Some(f64::NAN), Some(1.0), Some(f64::INFINITY)];
        let batch = batch! {
            "i" => (0..60).map(|i| (i % 7 != 3).then_some(i * 37 % 11)).collect::<Int64Array>(),
            "f" => (0..60).map(|i| nasty[i * i % 6]).collect::<Float64Array>(),
            "t" => (0..60).map(|i| Some(format!("é{}", i / 9 % 3))).collect::<StringArray>(),
        }
        .unwrap();
        let names = Names::of(&batch.schema());
        for (column, falling, strictly) in [
            ("i", false, false),
            ("i", true, true),
            ("f", false, true),
            ("f", true, false),
            ("t", false, false),
            ("t", true, true),
        ] {
            let ordered = ordered(&batch, column, falling, strictly);
            let part = |at: usize, n: usize| {
                let part = batch.slice(at, n);
                let mut state = ordered.start();
                let rows = Rows::of(&part, names.clone(), "memory", at as u64);
                ordered.update(&mut state, &rows).unwrap();
                state
            };
            let encoded = |state: &OrderedState| {
                let mut bytes = Vec::new();
                state.encode(&mut bytes);
                bytes
            };
            let expected = encoded(&part(0, 60));
            for step in [1, 2, 7, 59] {
                let starts: Vec<_> = (0..60).step_by(step).collect();
                // Forwards, backwards, and every other one first.
                let (even, odd): (Vec<_>, Vec<_>) =
                    starts.iter().partition(|at| *at / step % 2 == 0);
                for order in
                    [starts.clone(), starts.iter().rev().copied().collect(), [even, odd].concat()]
                {
                    let mut whole = ordered.start();
                    for at in order {
                        whole.merge(part(at, step.min(60 - at))).unwrap();
                    }
                    assert_eq!(encoded(&whole), expected, "{column} in steps of {step}");
                }
            }
            // A gap stays in the bytes.
            let mut apart = part(40, 20);
            apart.merge(part(0, 20)).unwrap();
            let bytes = encoded(&apart);
            let read = ordered.decode(&mut bytes.as_slice()).unwrap();
            assert_eq!(encoded(&read), bytes);
            for n in 0..bytes.len() {
                assert!(ordered.decode(&mut &bytes[..n]).is_err(), "{n} bytes");
                let mut damaged = bytes.clone();
                damaged[n] ^= 0x41;
                if let Ok(mut state) = ordered.decode(&mut damaged.as_slice()) {
                    drop(state.merge(part(20, 20)));
                    drop(ordered.finish(state));
                }
            }
        }
    }

    #[test]
    fn rows_seen_twice_are_refused() {
        let batch = batch! { "i" => Int64Array::from(vec![1, 2, 3]) }.unwrap();
        let ordered = ordered(&batch, "i", false, false);
        let mut state = ordered.start();
        ordered.update(&mut state, &Rows::new(&batch)).unwrap();
        assert!(state.merge(state.clone()).is_err());
        assert!(ordered.update(&mut state, &Rows::new(&batch)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn any_cutting_and_order_gives_the_naive_answer(
            values in prop::collection::vec(prop::option::weighted(0.8, 0i64..5), 1..40),
            cuts in prop::collection::vec(0usize..40, 0..6),
            shuffle in any::<u64>(),
            falling in any::<bool>(),
            strictly in any::<bool>(),
        ) {
            let batch = batch! { "i" => Int64Array::from(values.clone()) }.unwrap();
            let ordered = ordered(&batch, "i", falling, strictly);
            let mut before = None;
            let mut expected = Vec::new();
            for (row, value) in values.iter().enumerate() {
                let Some(now) = *value else { continue };
                if let Some(before) = before.replace(now) {
                    let holds = match (falling, strictly) {
                        (false, false) => before <= now,
                        (false, true) => before < now,
                        (true, false) => before >= now,
                        (true, true) => before > now,
                    };
                    if !holds {
                        expected.push(row as u64);
                    }
                }
            }
            let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(values.len())).collect();
            cuts.extend([0, values.len()]);
            cuts.sort_unstable();
            let names = Names::of(&batch.schema());
            let mut parts: Vec<_> = cuts.windows(2).map(|cut| {
                let part = batch.slice(cut[0], cut[1] - cut[0]);
                let mut state = ordered.start();
                let rows = Rows::of(&part, names.clone(), "memory", cut[0] as u64);
                ordered.update(&mut state, &rows).unwrap();
                state
            }).collect();
            let n = parts.len();
            parts.rotate_left((shuffle % n as u64) as usize);
            if shuffle & 1 == 1 {
                parts.reverse();
            }
            let mut whole = ordered.start();
            for part in parts {
                whole.merge(part).unwrap();
            }
            prop_assert_eq!(whole.failing.count(), expected.len() as u64);
            let found: Vec<_> = whole.failing.samples().iter().map(|s| s.row.row).collect();
            expected.truncate(20);
            prop_assert_eq!(found, expected.clone());
            // Rows asked in their order, in the same pieces.
            let in_order = InOrder { of: ordered, last: Mutex::default() };
            let mut found = Vec::new();
            for cut in cuts.windows(2) {
                let part = batch.slice(cut[0], cut[1] - cut[0]);
                let rows = Rows::of(&part, names.clone(), "memory", cut[0] as u64);
                let failing = in_order.test(&rows).unwrap().failing.unwrap();
                found.extend(failing.set_indices().map(|row| (cut[0] + row) as u64));
            }
            found.truncate(20);
            prop_assert_eq!(found, expected);
        }
    }
}
