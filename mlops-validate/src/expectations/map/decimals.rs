//! Decimals, compared exactly with what a suite writes.

use arrow::array::{ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, i256,
};
use mlops_core::Result;

use crate::Scalar;
use crate::record::Value;
use crate::value_test::{ValueTest, unsupported};

/// The scale of a decimal type.
pub(super) fn scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

/// A number in units of a scale: between which two it lies, or which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) floor: i256,
    pub(super) ceil: i256,
}

impl Units {
    /// A number as it is written: a float by its shortest digits, so that `0.1` is a tenth.
    pub(super) fn of(scalar: &Scalar, scale: i8) -> Option<Self> {
        match scalar {
            Scalar::Int(v) => Self::parse(&v.to_string(), scale),
            Scalar::Float(v) => Self::parse(&v.to_string(), scale),
            Scalar::Text(text) => Self::parse(text, scale),
            Scalar::Bool(_) => None,
        }
    }

    fn parse(text: &str, scale: i8) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let mut all = [whole, fraction].concat();
        // As many digits as stand before the scale's point; none where the unit is larger.
        let kept = usize::try_from(whole.len() as i64 + i64::from(scale)).unwrap_or(0);
        let exact = all.bytes().skip(kept).all(|b| b == b'0');
        all.truncate(kept);
        while all.len() < kept {
            all.push('0');
        }
        let digits = all.trim_start_matches('0');
        let units = match digits.len() {
            0 => i256::ZERO,
            // Beyond what any decimal holds.
            77.. => i256::MAX,
            _ => i256::from_string(digits)?,
        };
        let away = if exact { units } else { units.checked_add(i256::ONE).unwrap_or(i256::MAX) };
        Some(if negative {
            Self { floor: away.wrapping_neg(), ceil: units.wrapping_neg() }
        } else {
            Self { floor: units, ceil: away }
        })
    }

    /// The number itself, if it is one of the scale.
    pub(super) fn exact(self) -> Option<i256> {
        (self.floor == self.ceil).then_some(self.floor)
    }

    /// The smallest that is not less, or that is more.
    pub(super) fn least(self, strict: bool) -> i256 {
        match self.exact() {
            Some(v) if strict => v.checked_add(i256::ONE).unwrap_or(i256::MAX),
            _ => self.ceil,
        }
    }

    /// The greatest that is not more, or that is less.
    pub(super) fn most(self, strict: bool) -> i256 {
        match self.exact() {
            Some(v) if strict => v.checked_sub(i256::ONE).unwrap_or(i256::MIN),
            _ => self.floor,
        }
    }
}

/// A test of decimals in units of their scale.
pub(super) struct Decimals<F> {
    pub(super) scale: i8,
    pub(super) passes: F,
    /// Whether what passes is an interval.
    pub(super) is_interval: bool,
}

impl<F: Fn(i256) -> bool + Send + Sync + 'static> ValueTest for Decimals<F> {
    fn of_array(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        macro_rules! over {
            ($type:ty, $wide:expr) => {{
                let values = array.as_primitive::<$type>().values();
                Ok(BooleanBuffer::collect_bool(values.len(), |row| {
                    (self.passes)($wide(values[row]))
                }))
            }};
        }
        match array.data_type() {
            DataType::Decimal32(..) => over!(Decimal32Type, |v: i32| i256::from_i128(v.into())),
            DataType::Decimal64(..) => over!(Decimal64Type, |v: i64| i256::from_i128(v.into())),
            DataType::Decimal128(..) => over!(Decimal128Type, i256::from_i128),
            DataType::Decimal256(..) => over!(Decimal256Type, |v: i256| v),
            _ => unsupported(array),
        }
    }

    fn is_interval(&self) -> bool {
        self.is_interval
    }

    fn of_value(&self, value: Value<'_>) -> bool {
        let one = 10_f64.powi(self.scale.into());
        let units = match value {
            Value::Int(v) => whole(v.into(), self.scale),
            Value::UInt(v) => whole(v.into(), self.scale),
            // The decimal of the column's scale that the float stands for.
            Value::Float(v) if v.is_finite() => Some(i256::from_i128((v * one).round() as i128)),
            _ => None,
        };
        units.is_some_and(&self.passes)
    }
}

/// A whole number in units of the scale.
fn whole(value: i128, scale: i8) -> Option<i256> {
    let value = i256::from_i128(value);
    let ten = i256::from_i128(10);
    let unit = ten.checked_pow(scale.unsigned_abs().into())?;
    if scale >= 0 {
        return value.checked_mul(unit);
    }
    (value.checked_rem(unit)? == i256::ZERO).then(|| value.checked_div(unit))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_exact() {
        let units = |text: &str, scale| {
            Units::parse(text, scale).map(|u| (u.floor.to_string(), u.ceil.to_string()))
        };
        let both = |floor: &str, ceil: &str| Some((floor.to_owned(), ceil.to_owned()));
        assert_eq!(units("3.01", 2), both("301", "301"));
        assert_eq!(units("3", 2), both("300", "300"));
        assert_eq!(units("3.015", 2), both("301", "302"));
        assert_eq!(units("-3.015", 2), both("-302", "-301"));
        assert_eq!(units("-0.0", 2), both("0", "0"));
        assert_eq!(units("1234", -2), both("12", "13"));
        assert_eq!(units("34", -4), both("0", "1"));
        let many = "9".repeat(76);
        assert_eq!(units(&many, 0), both(&many, &many));
        assert!(units(&"9".repeat(400), 3).is_some());
        for text in ["", ".5", "1e3", "x", "1.2.3", "-", "inf", "1_0", "٣"] {
            assert_eq!(units(text, 2), None, "{text}");
        }
    }
}
