//! Values lie between bounds.

use std::ops::{Bound, RangeBounds};

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::value_test::{Texts, ValueTest, over_floats, over_integers};
use crate::values::{Domain, domain, temporal};
use crate::{Expectation, Scalar};

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
    InRange { column: column.into(), min, max, strict_min, strict_max }.into()
}

impl Kind for InRange {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
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

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let words = format!("values {}", self.words());
        let column = self.column.as_str();
        let data_type = to.value_type(column)?;
        let (strict_min, strict_max) = (self.strict_min, self.strict_max);
        match domain(data_type) {
            Some(Domain::Int) => {
                if let Some((low, high)) = self.of_integers(data_type) {
                    return to.values(words, column, IntegerRange { low, high });
                }
            }
            Some(Domain::Float) => {
                if let (Ok(min), Ok(max)) = (float(self.min.as_ref()), float(self.max.as_ref())) {
                    // An open side lets infinity pass; NaN compares with nothing.
                    let low = min.unwrap_or(f64::NEG_INFINITY);
                    let high = max.unwrap_or(f64::INFINITY);
                    let range = if *data_type == DataType::Float32 {
                        let (low, high) = ((low as f32).into(), (high as f32).into());
                        FloatRange { low, high, strict_min, strict_max }
                    } else {
                        FloatRange { low, high, strict_min, strict_max }
                    };
                    return to.values(words, column, range);
                }
            }
            Some(Domain::Text) => {
                if let (Ok(min), Ok(max)) = (text(self.min.as_ref()), text(self.max.as_ref())) {
                    let passes = move |value: &str| {
                        let min = min.as_deref();
                        let max = max.as_deref();
                        min.is_none_or(|min| min < value || (!strict_min && min == value))
                            && max.is_none_or(|max| value < max || (!strict_max && max == value))
                    };
                    return to.values(words, column, Texts(passes));
                }
            }
            Some(Domain::Bool) | None => {
                return to.wrong_type(column, "a column of numbers, text, dates or timestamps");
            }
        }
        to.wrong_type(column, format!("{words}, comparable with them"))
    }
}

impl InRange {
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

/// From the smallest to the largest integer inside.
struct IntegerRange {
    low: i128,
    high: i128,
}

impl ValueTest for IntegerRange {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let (low, high) = (self.low, self.high);
        over_integers!(array, |values: &[Native]| {
            let (least, most) = (i128::from(Native::MIN), i128::from(Native::MAX));
            if low > most || high < least || low > high {
                BooleanBuffer::new_unset(values.len())
            } else {
                // Clamped, so each fits.
                let (low, high) = (low.max(least) as Native, high.min(most) as Native);
                BooleanBuffer::collect_bool(values.len(), |row| {
                    (low <= values[row]) & (values[row] <= high)
                })
            }
        })
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        let range = self.low..=self.high;
        match value {
            Value::Int(v) => range.contains(&v.into()),
            Value::UInt(v) => range.contains(&v.into()),
            _ => false,
        }
    }
}

/// Bounds that are floats of the column's width.
struct FloatRange {
    low: f64,
    high: f64,
    strict_min: bool,
    strict_max: bool,
}

impl ValueTest for FloatRange {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        over_floats!(array, |values: &[Native]| {
            let (low, high) = (self.low as Native, self.high as Native);
            let n = values.len();
            match (self.strict_min, self.strict_max) {
                (false, false) => BooleanBuffer::collect_bool(n, |row| {
                    (low <= values[row]) & (values[row] <= high)
                }),
                (true, false) => BooleanBuffer::collect_bool(n, |row| {
                    (low < values[row]) & (values[row] <= high)
                }),
                (false, true) => BooleanBuffer::collect_bool(n, |row| {
                    (low <= values[row]) & (values[row] < high)
                }),
                (true, true) => {
                    BooleanBuffer::collect_bool(n, |row| (low < values[row]) & (values[row] < high))
                }
            }
        })
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        let Value::Float(v) = value else { return false };
        let above = if self.strict_min { self.low < v } else { self.low <= v };
        let below = if self.strict_max { v < self.high } else { v <= self.high };
        above && below
    }
}
