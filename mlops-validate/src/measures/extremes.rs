//! The smallest and the largest value of a column of any ordered type, exactly.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, max, max_boolean, max_string, max_string_view};
use arrow::compute::{min, min_boolean, min_string, min_string_view};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use mlops_core::bytes::{
    add_count, bad, put_f64, put_i128, put_str, put_u8, put_u64, take_count, take_f64, take_i128,
    take_str, take_u8,
};
use mlops_core::{Analyzer, Description, Error, Result, Rows, State};
use serde::Serialize;

use crate::values::{counts, value_type};

/// How the values of a column are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Order {
    /// As integers: integers, booleans, and the counts of dates and times.
    Int,
    /// As the integers of which decimals of one scale are made.
    Decimal,
    /// As floats; NaN is counted apart.
    Float,
    /// By bytes.
    Text,
}

impl Order {
    /// How a column of this type is compared; `None` where it can't be.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        match value_type(data_type) {
            DataType::Boolean => Some(Self::Int),
            DataType::Interval(_) => None,
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
                Some(Self::Decimal)
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            other if other.is_integer() || other.is_temporal() => Some(Self::Int),
            other if other.is_numeric() => Some(Self::Float),
            _ => None,
        }
    }
}

/// One end of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// Of [`Order::Int`] and [`Order::Decimal`].
    Whole(i128),
    /// Never NaN, never −0.
    Float(f64),
    Text(String),
}

impl End {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            // States of one analyzer hold ends of one order.
            _ => Ordering::Equal,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(v) => put_i128(out, *v),
            Self::Float(v) => put_f64(out, *v),
            Self::Text(v) => put_str(out, v),
        }
    }
}

/// The range of a column; nulls are left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Extremes {
    pub(crate) column: String,
    pub(crate) order: Order,
}

/// The state and the result of [`Extremes`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ends {
    order: Order,
    /// Values that are NaN.
    pub(crate) nans: u64,
    /// The smallest and the largest of the others.
    pub(crate) range: Option<(End, End)>,
}

impl Ends {
    fn reach(&mut self, low: End, high: End) {
        self.range = Some(match self.range.take() {
            None => (low, high),
            Some((min, max)) => (
                if low.order(&min).is_lt() { low } else { min },
                if high.order(&max).is_gt() { high } else { max },
            ),
        });
    }
}

/// The smallest and the largest of an array of integers, booleans, dates or times.
fn whole_range(array: &ArrayRef) -> Result<Option<(i128, i128)>> {
    macro_rules! both {
        ($min:expr, $max:expr) => {
            $min.zip($max).map(|(low, high)| (i128::from(low), i128::from(high)))
        };
    }
    Ok(match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean();
            both!(min_boolean(array), max_boolean(array))
        }
        DataType::UInt64 => {
            let array = array.as_primitive::<UInt64Type>();
            both!(min(array), max(array))
        }
        _ => {
            let counts = counts(array)?;
            let array = counts.as_primitive::<Int64Type>();
            both!(min(array), max(array))
        }
    })
}

/// A dictionary as its values.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => Ok(cast(array, values)?),
        _ => Ok(array.clone()),
    }
}

/// A decimal of up to 128 bits as one of 128.
pub(super) fn as_decimal128(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
            Ok(cast(array, &DataType::Decimal128(38, *scale))?)
        }
        _ => Ok(array.clone()),
    }
}

impl Analyzer for Extremes {
    type State = Ends;
    type Output = Ends;

    fn columns(&self) -> Vec<String> {
        vec![self.column.clone()]
    }

    fn start(&self) -> Ends {
        Ends { order: self.order, nans: 0, range: None }
    }

    fn update(&self, state: &mut Ends, rows: &Rows<'_>) -> Result<()> {
        let column = rows.column(&self.column)?;
        if Order::of(column.data_type()) != Some(self.order) {
            let expected = format!("values that compare as {:?}", self.order);
            return Err(Error::column_type(&*self.column, expected, column.data_type()));
        }
        let range = match self.order {
            Order::Int => {
                whole_range(&plain(column)?)?.map(|(a, b)| (End::Whole(a), End::Whole(b)))
            }
            Order::Decimal => {
                let array = as_decimal128(&plain(column)?)?;
                let array = array.as_primitive::<Decimal128Type>();
                min(array).zip(max(array)).map(|(a, b)| (End::Whole(a), End::Whole(b)))
            }
            Order::Float => {
                let numbers = rows.numbers(&self.column)?;
                let mut range: Option<(f64, f64)> = None;
                let mut take = |x: f64| {
                    if x.is_nan() {
                        state.nans += 1;
                    } else {
                        // Adding 0 makes −0 the 0 that it counts as.
                        let x = x + 0.0;
                        range = Some(range.map_or((x, x), |(a, b)| (a.min(x), b.max(x))));
                    }
                };
                if numbers.null_count() == 0 {
                    numbers.values().iter().copied().for_each(&mut take);
                } else {
                    numbers.iter().flatten().for_each(&mut take);
                }
                range.map(|(a, b)| (End::Float(a), End::Float(b)))
            }
            Order::Text => {
                let array = plain(column)?;
                let both = match array.data_type() {
                    DataType::Utf8 => {
                        let array = array.as_string::<i32>();
                        min_string(array).zip(max_string(array))
                    }
                    DataType::LargeUtf8 => {
                        let array = array.as_string::<i64>();
                        min_string(array).zip(max_string(array))
                    }
                    _ => {
                        let array = array.as_string_view();
                        min_string_view(array).zip(max_string_view(array))
                    }
                };
                both.map(|(a, b)| (End::Text(a.to_owned()), End::Text(b.to_owned())))
            }
        };
        if let Some((low, high)) = range {
            state.reach(low, high);
        }
        Ok(())
    }

    fn finish(&self, state: Ends) -> Result<Ends> {
        Ok(state)
    }

    fn decode(&self, bytes: &mut &[u8]) -> Result<Ends> {
        let nans = take_count(bytes)?;
        let take = |bytes: &mut &[u8]| -> Result<End> {
            Ok(match self.order {
                Order::Int | Order::Decimal => End::Whole(take_i128(bytes)?),
                Order::Text => End::Text(take_str(bytes)?),
                Order::Float => {
                    let x = take_f64(bytes)?;
                    if x.is_nan() || (x == 0.0 && x.is_sign_negative()) {
                        return Err(bad(bytes, "a number, 0 without a sign", x));
                    }
                    End::Float(x)
                }
            })
        };
        let range = match take_u8(bytes)? {
            0 => None,
            1 => {
                let (low, high) = (take(bytes)?, take(bytes)?);
                if low.order(&high).is_gt() {
                    return Err(bad(bytes, "a range in order", format!("{low:?} > {high:?}")));
                }
                Some((low, high))
            }
            tag => return Err(bad(bytes, "0 or 1", tag)),
        };
        Ok(Ends { order: self.order, nans, range })
    }

    fn description(&self) -> Option<Description> {
        Some(Description::new("validate/extremes", 1, self))
    }
}

impl State for Ends {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.order != other.order {
            let reason = format!("one is of {:?}, the other of {:?}", self.order, other.order);
            return Err(Error::merge("extremes", reason));
        }
        add_count(&mut self.nans, other.nans);
        if let Some((low, high)) = other.range {
            self.reach(low, high);
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.nans);
        put_u8(out, u8::from(self.range.is_some()));
        if let Some((low, high)) = &self.range {
            low.encode(out);
            high.encode(out);
        }
    }

    fn size(&self) -> usize {
        let text = |end: &End| if let End::Text(t) = end { t.len() } else { 0 };
        size_of::<Self>() + self.range.as_ref().map_or(0, |(low, high)| text(low) + text(high))
    }
}
