//! What a statistic must be.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds};

use arrow::datatypes::DataType;
use mlops_core::{Error, Result, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Scalar;
use crate::measures::print_count;
use crate::values::temporal;

/// The bounds of a statistic, of which one may be open; in a suite's text `min`, `max`,
/// `strict_min` and `strict_max` beside the column.
///
/// Integers and decimals are compared exactly with bounds that are whole, floats as `f64`; text by
/// its bytes; dates and timestamps with a bound that is text, read in the column's own type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bounds {
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

impl Bounds {
    /// The bounds of a range: `0.2..=0.3`, `..100`, `"2026-01-01"..`.
    pub fn of<T: Clone + Into<Scalar>>(range: impl RangeBounds<T>) -> Self {
        let end = |bound: Bound<&T>| match bound {
            Bound::Included(value) => (Some(value.clone().into()), false),
            Bound::Excluded(value) => (Some(value.clone().into()), true),
            Bound::Unbounded => (None, false),
        };
        let (min, strict_min) = end(range.start_bound());
        let (max, strict_max) = end(range.end_bound());
        Self { min, max, strict_min, strict_max }
    }

    /// Whether something can lie inside.
    pub(crate) fn check_usable(&self, numbers_only: bool) -> Result<()> {
        let bad = |expected: &str, found: String| Err(Error::invalid("bounds", expected, found));
        for bound in [&self.min, &self.max].into_iter().flatten() {
            match bound {
                Scalar::Bool(_) => return bad("numbers or text", bound.to_string()),
                Scalar::Text(_) if numbers_only => return bad("numbers", bound.to_string()),
                Scalar::Float(v) if !v.is_finite() => return bad("finite", bound.to_string()),
                _ => {}
            }
        }
        match (&self.min, &self.max) {
            (None, None) => return bad("a `min`, a `max` or both", "neither".into()),
            (Some(Scalar::Text(_)), Some(Scalar::Text(_))) => {}
            (Some(min), Some(max)) => {
                let strict = self.strict_min || self.strict_max;
                match Quantity::of_number(min).zip(Quantity::of_number(max)) {
                    None => return bad("bounds of one type", self.words()),
                    Some((min, max)) => match min.compare(&max) {
                        Some(Ordering::Less) => {}
                        Some(Ordering::Equal) if !strict => {}
                        _ => return bad("bounds that hold something", self.words()),
                    },
                }
            }
            _ => {}
        }
        if (self.strict_min && self.min.is_none()) || (self.strict_max && self.max.is_none()) {
            return bad("a bound where it is strict", self.words());
        }
        Ok(())
    }

    /// As `>= 2 and < 3`.
    pub(crate) fn words(&self) -> String {
        let or_more = if self.strict_min { ">" } else { ">=" };
        let or_less = if self.strict_max { "<" } else { "<=" };
        match (&self.min, &self.max) {
            (Some(min), Some(max)) if min == max => format!("= {min}"),
            (Some(min), Some(max)) => format!("{or_more} {min} and {or_less} {max}"),
            (Some(min), None) => format!("{or_more} {min}"),
            (None, Some(max)) => format!("{or_less} {max}"),
            (None, None) => "of any value".into(),
        }
    }

    /// The bounds in the terms of a column's type; `None` if they can't be compared with it.
    pub(crate) fn resolve(&self, data_type: &DataType) -> Option<Resolved> {
        let text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let one = |bound: &Option<Scalar>| match bound {
            None => Some(None),
            Some(bound) if data_type.is_temporal() => {
                temporal(bound, data_type).map(|count| Some(Quantity::Whole(count)))
            }
            Some(Scalar::Text(bound)) => text.then(|| Some(Quantity::Text(bound.clone()))),
            Some(bound) => (!text).then(|| Quantity::of_number(bound)).flatten().map(Some),
        };
        Some(Resolved {
            min: one(&self.min)?,
            max: one(&self.max)?,
            strict_min: self.strict_min,
            strict_max: self.strict_max,
        })
    }

    /// The bounds of a number.
    pub(crate) fn of_numbers(&self) -> Resolved {
        let number = |bound: &Option<Scalar>| bound.as_ref().and_then(Quantity::of_number);
        Resolved {
            min: number(&self.min),
            max: number(&self.max),
            strict_min: self.strict_min,
            strict_max: self.strict_max,
        }
    }
}

/// Bounds in the terms of what they are compared with.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    min: Option<Quantity>,
    max: Option<Quantity>,
    strict_min: bool,
    strict_max: bool,
}

impl Resolved {
    /// Whether the value lies inside; NaN does not.
    pub(crate) fn contain(&self, value: &Quantity) -> bool {
        let above = self.min.as_ref().is_none_or(|min| match min.compare(value) {
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => !self.strict_min,
            _ => false,
        });
        let below = self.max.as_ref().is_none_or(|max| match value.compare(max) {
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => !self.strict_max,
            _ => false,
        });
        above && below
    }

    /// Whether a number that is known to lie in `low..=high` lies inside: inconclusive if that
    /// depends on where.
    pub(crate) fn verdict_of(&self, low: f64, high: f64) -> Verdict {
        let [low, high] = [low, high].map(Quantity::Float);
        if self.contain(&low) && self.contain(&high) {
            return Verdict::Pass;
        }
        let beyond = |value: &Quantity, of: &Option<Quantity>, strict: bool, way: Ordering| {
            of.as_ref().is_some_and(|bound| match value.compare(bound) {
                Some(Ordering::Equal) => strict,
                found => found == Some(way),
            })
        };
        let outside = beyond(&high, &self.min, self.strict_min, Ordering::Less)
            || beyond(&low, &self.max, self.strict_max, Ordering::Greater);
        if outside { Verdict::Fail } else { Verdict::Inconclusive }
    }
}

/// A value of a statistic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Quantity {
    /// An integer, or the count of a date or time.
    Whole(i128),
    /// `value · 10^−scale`.
    Decimal(i128, i8),
    Float(f64),
    Text(String),
}

impl Quantity {
    fn of_number(scalar: &Scalar) -> Option<Self> {
        match scalar {
            Scalar::Int(v) => Some(Self::Whole(*v)),
            Scalar::Float(v) => Some(Self::Float(*v)),
            _ => None,
        }
    }

    /// `None` for NaN, and for text beside a number.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Text(_), _) | (_, Self::Text(_)) => None,
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(b)),
            (Self::Whole(a), Self::Float(b)) => whole_with_float(*a, *b),
            (Self::Float(a), Self::Whole(b)) => whole_with_float(*b, *a).map(Ordering::reverse),
            (Self::Decimal(a, scale), Self::Whole(b)) => Some(decimal_with_whole(*a, *scale, *b)),
            (Self::Whole(a), Self::Decimal(b, scale)) => {
                Some(decimal_with_whole(*b, *scale, *a).reverse())
            }
            (a, b) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        }
    }

    /// As a float; `None` for text.
    pub(crate) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Whole(v) => Some(*v as f64),
            // Read as it prints, and so rounded once.
            Self::Decimal(..) => self.to_string().parse().ok(),
            Self::Float(v) => Some(*v),
            Self::Text(_) => None,
        }
    }

    /// As JSON shows it: dates and times as text, what is no number in JSON as text, too.
    pub(crate) fn to_json(&self, data_type: &DataType) -> Value {
        match self {
            Self::Whole(v) if data_type.is_temporal() => Value::String(self.print(data_type)),
            Self::Whole(v) => match (i64::try_from(*v), u64::try_from(*v)) {
                (Ok(v), _) => v.into(),
                (_, Ok(v)) => v.into(),
                _ => Value::String(v.to_string()),
            },
            Self::Float(v) if v.is_finite() => (*v).into(),
            other => Value::String(other.to_string()),
        }
    }

    /// In words.
    pub(crate) fn print(&self, data_type: &DataType) -> String {
        match self {
            Self::Whole(v) if data_type.is_temporal() => i64::try_from(*v)
                .ok()
                .and_then(|count| print_count(count, data_type))
                .unwrap_or_else(|| v.to_string()),
            Self::Text(text) => format!("`{}`", text.chars().take(64).collect::<String>()),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(v) => v.fmt(f),
            Self::Decimal(v, scale) if *scale > 0 => {
                let scale = usize::from(scale.unsigned_abs());
                let digits = format!("{:0>width$}", v.unsigned_abs(), width = scale + 1);
                let (whole, part) = digits.split_at(digits.len() - scale);
                write!(f, "{}{whole}.{part}", if *v < 0 { "-" } else { "" })
            }
            Self::Decimal(0, _) => f.write_str("0"),
            Self::Decimal(v, scale) => {
                write!(f, "{v}{}", "0".repeat(usize::from(scale.unsigned_abs())))
            }
            Self::Float(v) => v.fmt(f),
            Self::Text(v) => v.fmt(f),
        }
    }
}

/// Exactly, also beyond 2⁵³.
fn whole_with_float(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Beyond the range of integers the cast stops at its end, which orders rightly but for a tie.
    let floor = float.floor();
    Some(match whole.cmp(&(floor as i128)) {
        Ordering::Equal if floor >= 1.7e38 => Ordering::Less,
        Ordering::Equal if floor < -1.71e38 => Ordering::Greater,
        Ordering::Equal if float > floor => Ordering::Less,
        order => order,
    })
}

fn decimal_with_whole(mantissa: i128, scale: i8, whole: i128) -> Ordering {
    let power = 10i128.checked_pow(u32::from(scale.unsigned_abs()));
    let (left, right) = match (power, scale < 0) {
        (Some(power), false) => (Some(mantissa), whole.checked_mul(power)),
        (Some(power), true) => (mantissa.checked_mul(power), Some(whole)),
        (None, _) => (None, None),
    };
    match (left, right) {
        (Some(left), Some(right)) => left.cmp(&right),
        // The side that does not fit into 128 bits is the larger in size.
        (_, None) if scale >= 0 => 0.cmp(&whole),
        _ => mantissa.cmp(&0),
    }
}
