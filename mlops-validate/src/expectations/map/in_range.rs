//! Values lie between bounds.

use std::ops::{Bound, RangeBounds};

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float16Type, i256};
use mlops_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::decimals::{Decimals, Units, scale};
use crate::between::Between;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::record::Value;
use crate::value_test::{TextInterval, ValueTest, over_floats, over_integers};
use crate::values::{Domain, domain, temporal};
use crate::{Expectation, Scalar};

/// Every value lies between two bounds, of which one may be open.
///
/// Integers and decimals are compared exactly, whatever the bound (a decimal with what is written:
/// `0.1` is a tenth, and text, `"0.1"`, holds more digits than a float); floats as floats of the
/// column's width; text by its bytes; dates, times, timestamps and durations with a bound that is
/// text, read in the column's own type: the bound `2026-01-31` of a timestamp is its midnight, one
/// without an offset is of the column's zone, one with an offset is that instant (of a column
/// without a zone: in UTC); a duration is ISO 8601 (`PT1H30M`) or friendly (`1h 30m`). Nulls are
/// left out; NaN lies in no range.
///
/// The column may be a path: a field of a struct (`address.city`), all items of a list
/// (`tags[]`, where the row fails that an item of fails). So may that of all checks of values.
///
/// Great Expectations: `expect_column_values_to_be_between`, which takes booleans for numbers (a
/// wrong type here) and refuses text. deequ: `isNonNegative`, `isPositive`, `isContainedIn` of a
/// range. pandera: `in_range`, `greater_than`, `less_than_or_equal_to`, …. TFDV:
/// `INT_TYPE_SMALL_INT`, `FLOAT_TYPE_BIG_FLOAT`, ….
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

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let wanted = "numbers, text, dates or times, and bounds that compare with them";
        to.values(format!("values {}", self.words()), &self.column, wanted, |t| Ok(self.test(t)))
    }
}

impl InRange {
    fn test(&self, data_type: &DataType) -> Option<Box<dyn ValueTest>> {
        let (strict_min, strict_max) = (self.strict_min, self.strict_max);
        if let Some(scale) = scale(data_type) {
            let low = match &self.min {
                Some(bound) => Units::of(bound, scale)?.least(strict_min),
                None => i256::MIN,
            };
            let high = match &self.max {
                Some(bound) => Units::of(bound, scale)?.most(strict_max),
                None => i256::MAX,
            };
            let passes = move |v| low <= v && v <= high;
            return Some(Box::new(Decimals { scale, passes, is_interval: true }));
        }
        match domain(data_type)? {
            Domain::Int => {
                let (low, high) = self.of_integers(data_type)?;
                Some(Box::new(IntegerRange { low, high }))
            }
            Domain::Float => {
                // An open side lets infinity pass; NaN compares with nothing.
                let low = float(self.min.as_ref(), f64::NEG_INFINITY)?;
                let high = float(self.max.as_ref(), f64::INFINITY)?;
                let [low, high] = [low, high].map(|bound| narrow(bound, data_type));
                Some(Box::new(FloatRange { low, high, strict_min, strict_max }))
            }
            Domain::Text => {
                let (min, max) = (text(self.min.as_ref()).ok()?, text(self.max.as_ref()).ok()?);
                let passes = move |value: &str| {
                    let (min, max) = (min.as_deref(), max.as_deref());
                    min.is_none_or(|min| min < value || (!strict_min && min == value))
                        && max.is_none_or(|max| value < max || (!strict_max && max == value))
                };
                Some(Box::new(TextInterval(passes)))
            }
            Domain::Bool => None,
        }
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

    /// The smallest and the largest integer inside; `None` if a bound can't be compared.
    fn of_integers(&self, data_type: &DataType) -> Option<(i128, i128)> {
        let step = i128::from;
        let low = match &self.min {
            None => i128::MIN,
            Some(bound) if data_type.is_temporal() => {
                temporal(bound, data_type)?.saturating_add(step(self.strict_min))
            }
            Some(Scalar::Int(v)) => v.saturating_add(step(self.strict_min)),
            Some(Scalar::Float(v)) if self.strict_min => (v.floor() as i128).saturating_add(1),
            Some(Scalar::Float(v)) => v.ceil() as i128,
            Some(_) => return None,
        };
        let high = match &self.max {
            None => i128::MAX,
            Some(bound) if data_type.is_temporal() => {
                temporal(bound, data_type)?.saturating_sub(step(self.strict_max))
            }
            Some(Scalar::Int(v)) => v.saturating_sub(step(self.strict_max)),
            Some(Scalar::Float(v)) if self.strict_max => (v.ceil() as i128).saturating_sub(1),
            Some(Scalar::Float(v)) => v.floor() as i128,
            Some(_) => return None,
        };
        Some((low, high))
    }
}

/// The bound, or what stands for none; `None` if it can't be compared with floats.
fn float(bound: Option<&Scalar>, none: f64) -> Option<f64> {
    match bound {
        None => Some(none),
        Some(Scalar::Int(v)) => Some(*v as f64),
        Some(Scalar::Float(v)) => Some(*v),
        Some(_) => None,
    }
}

/// A number as one of the column's width.
pub(super) fn narrow(value: f64, data_type: &DataType) -> f64 {
    match data_type {
        DataType::Float16 => <Float16Type as ArrowPrimitiveType>::Native::from_f64(value).to_f64(),
        DataType::Float32 => (value as f32).into(),
        _ => value,
    }
}

/// The bound, if there is one; an error if it is no text.
fn text(bound: Option<&Scalar>) -> Result<Option<String>, ()> {
    match bound {
        None => Ok(None),
        Some(Scalar::Text(v)) => Ok(Some(v.clone())),
        Some(_) => Err(()),
    }
}

/// From the smallest to the largest integer inside.
pub(super) struct IntegerRange {
    pub(super) low: i128,
    pub(super) high: i128,
}

impl ValueTest for IntegerRange {
    fn is_interval(&self) -> bool {
        true
    }

    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let (low, high) = (self.low, self.high);
        over_integers!(array, |values: &[Native]| {
            let (least, most) = (i128::from(Native::MIN), i128::from(Native::MAX));
            if low > most || high < least || low > high {
                BooleanBuffer::new_unset(values.len())
            } else {
                // Clamped, so each fits.
                let (low, high) = (low.max(least) as Native, high.min(most) as Native);
                Native::between(values, low, high)
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
            // The next float of the width is the first inside; beyond infinity there is none.
            let low = match self.strict_min {
                true if low == Native::INFINITY => Native::NAN,
                true => low.next_up(),
                false => low,
            };
            let high = match self.strict_max {
                true if high == Native::NEG_INFINITY => Native::NAN,
                true => high.next_down(),
                false => high,
            };
            Native::between(values, low, high)
        })
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        let Value::Float(v) = value else { return false };
        let above = if self.strict_min { self.low < v } else { self.low <= v };
        let below = if self.strict_max { v < self.high } else { v <= self.high };
        above && below
    }
}
