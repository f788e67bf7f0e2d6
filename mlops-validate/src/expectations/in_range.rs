//! Values lie between bounds.

use std::ops::{Bound, RangeBounds};

use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use mlops_core::{Error, Plan, Result};
use serde::{Deserialize, Serialize};

use crate::Scalar;
use crate::expectation::{Check, Compiled, Expectation};
use crate::values::{Domain, domain, temporal, test_text, unsupported, value_type};

/// Every value lies between two bounds, of which one may be open.
///
/// Integers are compared exactly, whatever the bound; floats (and decimals, as `f64`) as floats
/// of the column's width; text by its bytes; dates and timestamps with a bound that is text, read
/// in the column's own type, so that the bound `2026-01-31` of a timestamp is its midnight. Nulls
/// are left out; NaN lies in no range. Great Expectations:
/// `expect_column_values_to_be_between`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InRange {
    /// The column.
    pub column: String,
    /// The least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Scalar>,
    /// The greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Scalar>,
    /// Whether `min` itself lies outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_min: bool,
    /// Whether `max` itself lies outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_max: bool,
}

/// Expects every value to lie in the range: `18..=99`, `0.0..1.0` (1 outside), `"2026-01-01"..`.
pub fn in_range<T>(column: impl Into<String>, range: impl RangeBounds<T>) -> Expectation
where
    T: Clone + Into<Scalar>,
{
    let end = |bound: Bound<&T>| match bound {
        Bound::Included(value) => (Some(value.clone().into()), false),
        Bound::Excluded(value) => (Some(value.clone().into()), true),
        Bound::Unbounded => (None, false),
    };
    let (min, strict_min) = end(range.start_bound());
    let (max, strict_max) = end(range.end_bound());
    Expectation::new(Check::InRange(InRange {
        column: column.into(),
        min,
        max,
        strict_min,
        strict_max,
    }))
}

impl InRange {
    pub(crate) fn check_usable(&self) -> Result<()> {
        let bad = |expected: &str, found: String| Err(Error::invalid("range", expected, found));
        for bound in [&self.min, &self.max].into_iter().flatten() {
            if matches!(bound, Scalar::Bool(_)) {
                return bad("bounds that are numbers or text", bound.to_string());
            }
            if matches!(bound, Scalar::Float(v) if !v.is_finite()) {
                return bad("finite bounds", bound.to_string());
            }
        }
        let as_f64 = |s: &Scalar| match s {
            Scalar::Int(v) => Some(*v as f64),
            Scalar::Float(v) => Some(*v),
            _ => None,
        };
        match (&self.min, &self.max) {
            (None, None) => return bad("a `min`, a `max` or both", "neither".into()),
            (Some(min), Some(max)) => {
                let both_text = matches!((min, max), (Scalar::Text(_), Scalar::Text(_)));
                let strict = self.strict_min || self.strict_max;
                match (as_f64(min), as_f64(max)) {
                    (Some(low), Some(high)) if low > high || (strict && low == high) => {
                        return bad("a range that holds something", self.words());
                    }
                    (Some(_), Some(_)) => {}
                    _ if both_text => {}
                    _ => return bad("bounds of one type", self.words()),
                }
            }
            _ => {}
        }
        if (self.strict_min && self.min.is_none()) || (self.strict_max && self.max.is_none()) {
            return bad("a bound where it is strict", self.words());
        }
        Ok(())
    }

    fn words(&self) -> String {
        let or_more = if self.strict_min { ">" } else { ">=" };
        let or_less = if self.strict_max { "<" } else { "<=" };
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!("{or_more} {min} and {or_less} {max}"),
            (Some(min), None) => format!("{or_more} {min}"),
            (None, Some(max)) => format!("{or_less} {max}"),
            (None, None) => "anything".into(),
        }
    }

    pub(crate) fn compile(
        &self,
        of: &Expectation,
        schema: &Schema,
        plan: &mut Plan,
    ) -> Result<Compiled> {
        let data_type = value_type(schema.field_with_name(&self.column)?.data_type()).clone();
        let words = format!("values {}", self.words());
        let of_values = |plan: &mut Plan, passes| {
            of.of_values(words.clone(), &self.column, schema, plan, passes)
        };
        Ok(match domain(&data_type) {
            Some(Domain::Int) => match self.of_integers(&data_type) {
                Some((low, high)) => of_values(plan, integers(low, high)),
                None => of.wrong_type(schema, &format!("{words}, comparable with them")),
            },
            Some(Domain::Float) => match (float(self.min.as_ref()), float(self.max.as_ref())) {
                (Ok(min), Ok(max)) => {
                    of_values(plan, floats(min, max, self.strict_min, self.strict_max))
                }
                _ => of.wrong_type(schema, &format!("{words}, comparable with them")),
            },
            Some(Domain::Text) => match (text(self.min.as_ref()), text(self.max.as_ref())) {
                (Ok(min), Ok(max)) => {
                    of_values(plan, texts(min, max, self.strict_min, self.strict_max))
                }
                _ => of.wrong_type(schema, &format!("{words}, comparable with them")),
            },
            Some(Domain::Bool) | None => {
                of.wrong_type(schema, "a column of numbers, text, dates or timestamps")
            }
        })
    }

    /// The smallest and the largest integer inside; `None` if a bound can't be compared.
    fn of_integers(&self, data_type: &DataType) -> Option<(i128, i128)> {
        let step = i128::from;
        let low = match &self.min {
            None => i128::MIN,
            Some(bound) if data_type.is_temporal() => {
                temporal(bound, data_type)? + step(self.strict_min)
            }
            Some(Scalar::Int(v)) => v + step(self.strict_min),
            Some(Scalar::Float(v)) if self.strict_min => v.floor() as i128 + 1,
            Some(Scalar::Float(v)) => v.ceil() as i128,
            Some(_) => return None,
        };
        let high = match &self.max {
            None => i128::MAX,
            Some(bound) if data_type.is_temporal() => {
                temporal(bound, data_type)? - step(self.strict_max)
            }
            Some(Scalar::Int(v)) => v - step(self.strict_max),
            Some(Scalar::Float(v)) if self.strict_max => v.ceil() as i128 - 1,
            Some(Scalar::Float(v)) => v.floor() as i128,
            Some(_) => return None,
        };
        Some((low, high))
    }
}

/// The bound, if there is one, as a float; an error if it can't be compared with floats.
fn float(bound: Option<&Scalar>) -> Result<Option<f64>, ()> {
    match bound {
        None => Ok(None),
        Some(Scalar::Int(v)) => Ok(Some(*v as f64)),
        Some(Scalar::Float(v)) => Ok(Some(*v)),
        Some(_) => Err(()),
    }
}

fn text(bound: Option<&Scalar>) -> Result<Option<String>, ()> {
    match bound {
        None => Ok(None),
        Some(Scalar::Text(v)) => Ok(Some(v.clone())),
        Some(_) => Err(()),
    }
}

type Passes = Box<dyn Fn(&arrow::array::ArrayRef) -> Result<BooleanBuffer> + Send + Sync>;

fn integers(low: i128, high: i128) -> Passes {
    Box::new(move |array| {
        macro_rules! over {
            ($type:ty, $native:ty) => {{
                let values = array.as_primitive::<$type>().values();
                let (least, most) = (i128::from(<$native>::MIN), i128::from(<$native>::MAX));
                if low > most || high < least || low > high {
                    return Ok(BooleanBuffer::new_unset(values.len()));
                }
                // Clamped, so each fits.
                let (low, high) = (low.max(least) as $native, high.min(most) as $native);
                Ok(BooleanBuffer::collect_bool(values.len(), |row| {
                    (low <= values[row]) & (values[row] <= high)
                }))
            }};
        }
        match array.data_type() {
            DataType::Int8 => over!(Int8Type, i8),
            DataType::Int16 => over!(Int16Type, i16),
            DataType::Int32 => over!(Int32Type, i32),
            DataType::Int64 => over!(Int64Type, i64),
            DataType::UInt8 => over!(UInt8Type, u8),
            DataType::UInt16 => over!(UInt16Type, u16),
            DataType::UInt32 => over!(UInt32Type, u32),
            DataType::UInt64 => over!(UInt64Type, u64),
            _ => unsupported(array),
        }
    })
}

fn floats(min: Option<f64>, max: Option<f64>, strict_min: bool, strict_max: bool) -> Passes {
    Box::new(move |array| {
        macro_rules! over {
            ($type:ty, $native:ty) => {{
                let values = array.as_primitive::<$type>().values();
                let low = min.map_or(<$native>::NEG_INFINITY, |v| v as $native);
                let high = max.map_or(<$native>::INFINITY, |v| v as $native);
                let n = values.len();
                // An open side lets infinity pass; NaN compares with nothing.
                Ok(match (strict_min, strict_max) {
                    (false, false) => BooleanBuffer::collect_bool(n, |row| {
                        (low <= values[row]) & (values[row] <= high)
                    }),
                    (true, false) => BooleanBuffer::collect_bool(n, |row| {
                        (low < values[row]) & (values[row] <= high)
                    }),
                    (false, true) => BooleanBuffer::collect_bool(n, |row| {
                        (low <= values[row]) & (values[row] < high)
                    }),
                    (true, true) => BooleanBuffer::collect_bool(n, |row| {
                        (low < values[row]) & (values[row] < high)
                    }),
                })
            }};
        }
        match array.data_type() {
            DataType::Float32 => over!(Float32Type, f32),
            DataType::Float64 => over!(Float64Type, f64),
            _ => unsupported(array),
        }
    })
}

fn texts(min: Option<String>, max: Option<String>, strict_min: bool, strict_max: bool) -> Passes {
    Box::new(move |array| {
        test_text(array, |value| {
            let above =
                min.as_deref().is_none_or(|min| min < value || (!strict_min && min == value));
            let below =
                max.as_deref().is_none_or(|max| value < max || (!strict_max && max == value));
            above && below
        })
    })
}
