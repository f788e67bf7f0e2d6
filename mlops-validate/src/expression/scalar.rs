//! The meaning of every operator, on single values: rows one by one and whole batches both end
//! here or in a kernel that says the same.

use std::borrow::Cow;
use std::cmp::Ordering;

use mlops_core::calendar::date_of_day;

use super::ast::{Comparison, Function, Operator, Target};
use super::kind::{Clock, Kind, Sort, Zone};
use super::time::{DAY_NANOS, NANOS};

/// A value; which of the variants it is follows from the [`Kind`], but for `Null`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum<'a> {
    Null,
    Bool(bool),
    /// An integer, or a count of time.
    Int(i64),
    UInt(u64),
    Float(f64),
    /// A decimal, in units of its scale.
    Wide(i128),
    Text(Cow<'a, str>),
}

impl Datum<'_> {
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(v) => Some(*v),
            _ => None,
        }
    }

    /// An integer or decimal as it is counted.
    pub(super) fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(v) => Some((*v).into()),
            Self::UInt(v) => Some((*v).into()),
            Self::Wide(v) => Some(*v),
            _ => None,
        }
    }

    /// The same, borrowed.
    pub(super) fn borrowed(&self) -> Datum<'_> {
        match self {
            Self::Null => Datum::Null,
            Self::Bool(v) => Datum::Bool(*v),
            Self::Int(v) => Datum::Int(*v),
            Self::UInt(v) => Datum::UInt(*v),
            Self::Float(v) => Datum::Float(*v),
            Self::Wide(v) => Datum::Wide(*v),
            Self::Text(v) => Datum::Text(Cow::Borrowed(v)),
        }
    }
}

impl From<Option<bool>> for Datum<'_> {
    fn from(value: Option<bool>) -> Self {
        value.map_or(Self::Null, Self::Bool)
    }
}

/// Where an integer of 64 bits stands to a float, exactly; `None` for NaN.
fn order_exactly(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // 2⁶⁵ is beyond all of them, and far within what i128 can hold.
    let bounded = float.clamp(-36893488147419103232.0, 36893488147419103232.0);
    let truncated = bounded.trunc();
    Some(match whole.cmp(&(truncated as i128)) {
        Ordering::Equal => truncated.partial_cmp(&bounded)?,
        other => other,
    })
}

/// Where one value stands to another; `None` if one is NaN.
fn order(left: &Datum<'_>, right: &Datum<'_>) -> Option<Ordering> {
    match (left, right) {
        (Datum::Int(l), Datum::Int(r)) => Some(l.cmp(r)),
        (Datum::Float(l), Datum::Float(r)) => l.partial_cmp(r),
        (Datum::Text(l), Datum::Text(r)) => Some(l.as_bytes().cmp(r.as_bytes())),
        (Datum::Bool(l), Datum::Bool(r)) => Some(l.cmp(r)),
        (whole, Datum::Float(float)) => order_exactly(whole.whole()?, *float),
        (Datum::Float(float), whole) => {
            order_exactly(whole.whole()?, *float).map(Ordering::reverse)
        }
        (left, right) => Some(left.whole()?.cmp(&right.whole()?)),
    }
}

/// `left op right`; floats as IEEE 754 has it.
pub(super) fn compare(op: Comparison, left: &Datum<'_>, right: &Datum<'_>) -> Option<bool> {
    let equal = |order| order == Some(Ordering::Equal);
    if left.is_null() || right.is_null() {
        let same = left.is_null() && right.is_null();
        return match op {
            Comparison::Distinct => Some(!same),
            Comparison::NotDistinct => Some(same),
            _ => None,
        };
    }
    let order = order(left, right);
    Some(match op {
        Comparison::Eq | Comparison::NotDistinct => equal(order),
        Comparison::NotEq | Comparison::Distinct => !equal(order),
        Comparison::Lt => order == Some(Ordering::Less),
        Comparison::LtEq => order.is_some_and(Ordering::is_le),
        Comparison::Gt => order == Some(Ordering::Greater),
        Comparison::GtEq => order.is_some_and(Ordering::is_ge),
    })
}

/// Integers: what overflows, and division by zero, is unknown.
pub(super) fn reckon_int(op: Operator, left: i64, right: i64) -> Option<i64> {
    match op {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Remainder if right == 0 => None,
        Operator::Remainder => Some(left.wrapping_rem(right)),
        Operator::Divide | Operator::Concat => None,
    }
}

/// Floats as IEEE 754 has it, but for division by zero, which is unknown.
pub(super) fn reckon_float(op: Operator, left: f64, right: f64) -> Option<f64> {
    match op {
        Operator::Add => Some(left + right),
        Operator::Subtract => Some(left - right),
        Operator::Multiply => Some(left * right),
        Operator::Divide if right != 0.0 => Some(left / right),
        Operator::Remainder if right != 0.0 => Some(left % right),
        _ => None,
    }
}

/// Two values of one kind, or texts.
pub(super) fn reckon<'a>(op: Operator, left: &Datum<'_>, right: &Datum<'_>) -> Datum<'a> {
    match (left, right) {
        (Datum::Int(l), Datum::Int(r)) => reckon_int(op, *l, *r).map_or(Datum::Null, Datum::Int),
        (Datum::Float(l), Datum::Float(r)) => {
            reckon_float(op, *l, *r).map_or(Datum::Null, Datum::Float)
        }
        (Datum::Text(l), Datum::Text(r)) => Datum::Text(format!("{l}{r}").into()),
        _ => Datum::Null,
    }
}

/// A change of kind that loses nothing, or says so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Conversion {
    /// To the nearest float, from an integer or from units of this scale.
    Float(i8),
    /// To a signed integer; what is beyond is unknown.
    Int,
    /// To 128 bits, in units that are so many times finer. It stops at the ends, which nothing
    /// that it is compared with reaches.
    Wide(i128),
}

pub(super) fn convert<'a>(conversion: Conversion, value: &Datum<'_>) -> Datum<'a> {
    let Some(whole) = value.whole() else {
        return match value {
            Datum::Float(v) => Datum::Float(*v),
            _ => Datum::Null,
        };
    };
    match conversion {
        Conversion::Float(scale) => Datum::Float(decimal_to_float(whole, scale)),
        Conversion::Int => i64::try_from(whole).map_or(Datum::Null, Datum::Int),
        Conversion::Wide(factor) => Datum::Wide(whole.saturating_mul(factor)),
    }
}

fn decimal_to_float(whole: i128, scale: i8) -> f64 {
    if scale == 0 { whole as f64 } else { whole as f64 / 10_f64.powi(scale.into()) }
}

/// A decimal number as it is written, in units of this scale; further digits must be zeros.
pub(super) fn parse_decimal(text: &str, scale: i8) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let mut whole = 0_i128;
    let mut places = None;
    let mut any = false;
    for &byte in digits {
        match (byte, places) {
            (b'.', None) => places = Some(0),
            (b'0'..=b'9', _) => {
                any = true;
                if let Some(places) = &mut places {
                    if *places == scale {
                        if byte != b'0' {
                            return None;
                        }
                        continue;
                    }
                    *places += 1;
                }
                whole = whole.checked_mul(10)?.checked_add((byte - b'0').into())?;
            }
            _ => return None,
        }
    }
    let missing = scale - places.unwrap_or(0);
    let whole = whole.checked_mul(10_i128.checked_pow(missing as u32)?)?;
    any.then_some(if negative { -whole } else { whole })
}

/// A part of a text, borrowed where the text is.
fn part<'a>(text: &Cow<'a, str>, of: impl Fn(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => {
            // The part lies within: its ends are offsets into the text that lives longer.
            let found = of(text);
            let start = found.as_ptr() as usize - text.as_ptr() as usize;
            Cow::Borrowed(&text[start..start + found.len()])
        }
        Cow::Owned(text) => Cow::Owned(of(text).to_owned()),
    }
}

/// From a place counted from 1, or from the end if it is negative, so many characters.
fn substring(text: &str, start: i64, count: Option<i64>) -> &str {
    let from = if start < 0 {
        let length = text.chars().count() as i64;
        length.saturating_add(start)
    } else {
        start - 1
    };
    // Places before the first count, but have no characters.
    let until = count.map(|count| from.saturating_add(count.max(0)));
    let from = from.max(0);
    let offset = |place: i64| {
        usize::try_from(place)
            .ok()
            .and_then(|place| text.char_indices().nth(place))
            .map_or(text.len(), |(offset, _)| offset)
    };
    match until {
        Some(until) if until <= from => &text[..0],
        Some(until) => &text[offset(from)..offset(until)],
        None => &text[offset(from)..],
    }
}

fn round_to(value: f64, digits: i64) -> f64 {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let power = POWERS.get(digits.unsigned_abs() as usize);
    let rounded = match power {
        Some(power) if digits >= 0 => (value * power).round() / power,
        Some(power) => (value / power).round() * power,
        // Finer than a float is, or coarser than anything measured.
        None => return if digits > 0 { value } else { 0.0 },
    };
    if rounded.is_finite() { rounded } else { value }
}

/// The greater of two that are not null; NaN is the greatest.
fn is_greater(left: &Datum<'_>, right: &Datum<'_>) -> bool {
    match (left, right) {
        (Datum::Float(l), Datum::Float(r)) if l.is_nan() || r.is_nan() => l.is_nan() && !r.is_nan(),
        _ => order(left, right) == Some(Ordering::Greater),
    }
}

/// A function of values that the binder has brought to the kinds that it takes.
pub(super) fn call<'a>(function: Function, arguments: &[Datum<'a>]) -> Datum<'a> {
    use Datum::{Bool, Float, Int, Null, Text};
    match (function, arguments) {
        (Function::Coalesce, all) => all.iter().find(|v| !v.is_null()).cloned().unwrap_or(Null),
        (Function::Greatest | Function::Least, all) => {
            let mut best: Option<&Datum<'a>> = None;
            for value in all.iter().filter(|v| !v.is_null()) {
                let better = best.is_none_or(|best| match function {
                    Function::Greatest => is_greater(value, best),
                    _ => is_greater(best, value),
                });
                if better {
                    best = Some(value);
                }
            }
            best.cloned().unwrap_or(Null)
        }
        (Function::NullIf, [value, other]) => {
            if compare(Comparison::Eq, value, other) == Some(true) { Null } else { value.clone() }
        }
        (_, all) if all.iter().any(Datum::is_null) => Null,
        (Function::Abs, [Int(v)]) => v.checked_abs().map_or(Null, Int),
        (Function::Abs, [Float(v)]) => Float(v.abs()),
        (Function::Ceil, [Float(v)]) => Float(v.ceil()),
        (Function::Floor, [Float(v)]) => Float(v.floor()),
        (Function::Round, [Float(v)]) => Float(v.round()),
        (Function::Round, [Float(v), Int(digits)]) => Float(round_to(*v, *digits)),
        (Function::Sqrt, [Float(v)]) => {
            if *v < 0.0 {
                Null
            } else {
                Float(v.sqrt())
            }
        }
        (Function::IsNan, [Float(v)]) => Bool(v.is_nan()),
        (Function::IsInf, [Float(v)]) => Bool(v.is_infinite()),
        (Function::Length, [Text(v)]) => Int(v.chars().count() as i64),
        (Function::Lower, [Text(v)]) => {
            if v.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
                Text(v.clone())
            } else {
                Text(v.to_lowercase().into())
            }
        }
        (Function::Upper, [Text(v)]) => {
            if v.bytes().all(|b| b.is_ascii() && !b.is_ascii_lowercase()) {
                Text(v.clone())
            } else {
                Text(v.to_uppercase().into())
            }
        }
        (Function::Trim, [Text(v)]) => Text(part(v, |v| v.trim_matches(' '))),
        (Function::LTrim, [Text(v)]) => Text(part(v, |v| v.trim_start_matches(' '))),
        (Function::RTrim, [Text(v)]) => Text(part(v, |v| v.trim_end_matches(' '))),
        (Function::Contains, [Text(v), Text(of)]) => Bool(v.contains(&**of)),
        (Function::StartsWith, [Text(v), Text(of)]) => Bool(v.starts_with(&**of)),
        (Function::EndsWith, [Text(v), Text(of)]) => Bool(v.ends_with(&**of)),
        (Function::Substring, [Text(v), Int(start)]) => {
            Text(part(v, |v| substring(v, *start, None)))
        }
        (Function::Substring, [Text(v), Int(start), Int(count)]) => {
            Text(part(v, |v| substring(v, *start, Some(*count))))
        }
        _ => Null,
    }
}

/// A part of a date or time; of a timestamp with a zone by the clock of that zone.
pub(super) fn date_part<'a>(part: Function, clock: Clock, value: &Datum<'_>) -> Datum<'a> {
    let Datum::Int(count) = value else { return Datum::Null };
    let ahead = match clock.sort {
        Sort::Timestamp(Zone::Fixed(ahead)) => i128::from(ahead) * NANOS,
        _ => 0,
    };
    let nanos = i128::from(*count) * clock.unit + ahead;
    let days = nanos.div_euclid(DAY_NANOS) as i64;
    let seconds = (nanos.rem_euclid(DAY_NANOS) / NANOS) as i64;
    Datum::Int(match part {
        Function::Year => date_of_day(days).0,
        Function::Month => date_of_day(days).1.into(),
        Function::Day => date_of_day(days).2.into(),
        Function::Hour => seconds / 3600,
        Function::Minute => seconds / 60 % 60,
        _ => seconds % 60,
    })
}

/// `CAST`: what can't be is unknown.
pub(super) fn cast<'a>(value: &Datum<'a>, from: Kind, to: Target) -> Datum<'a> {
    let null_or = |v: Option<Datum<'a>>| v.unwrap_or(Datum::Null);
    match (to, value) {
        (_, Datum::Null) => Datum::Null,
        (Target::Boolean, Datum::Bool(_)) | (Target::Text, Datum::Text(_)) => value.clone(),
        (Target::Boolean, Datum::Text(v)) => null_or(match v.trim() {
            "1" => Some(Datum::Bool(true)),
            "0" => Some(Datum::Bool(false)),
            v if v.eq_ignore_ascii_case("true") || v.eq_ignore_ascii_case("t") => {
                Some(Datum::Bool(true))
            }
            v if v.eq_ignore_ascii_case("false") || v.eq_ignore_ascii_case("f") => {
                Some(Datum::Bool(false))
            }
            _ => None,
        }),
        (Target::Boolean, Datum::Float(v)) => Datum::Bool(*v != 0.0),
        (Target::Boolean, other) => null_or(other.whole().map(|v| Datum::Bool(v != 0))),
        (Target::Bigint, Datum::Bool(v)) => Datum::Int((*v).into()),
        (Target::Bigint, Datum::Text(v)) => null_or(v.trim().parse().ok().map(Datum::Int)),
        // The ends of i64, of which the upper is no float.
        (Target::Bigint, Datum::Float(v)) => {
            let v = v.trunc();
            let fits = (-9223372036854775808.0..9223372036854775808.0).contains(&v);
            if fits { Datum::Int(v as i64) } else { Datum::Null }
        }
        (Target::Bigint, other) => {
            let scale = if let Kind::Decimal(scale) = from { scale } else { 0 };
            let power = 10_i128.checked_pow(scale as u32);
            let whole = other.whole().zip(power).map(|(v, power)| v / power);
            null_or(whole.and_then(|v| i64::try_from(v).ok()).map(Datum::Int))
        }
        (Target::Double, Datum::Bool(v)) => Datum::Float(f64::from(u8::from(*v))),
        (Target::Double, Datum::Text(v)) => null_or(v.trim().parse().ok().map(Datum::Float)),
        (Target::Double, Datum::Float(v)) => Datum::Float(*v),
        (Target::Double, other) => {
            let scale = if let Kind::Decimal(scale) = from { scale } else { 0 };
            convert(Conversion::Float(scale), other)
        }
        (Target::Text, other) => Datum::Text(to_text(other, from).into()),
        (Target::Date | Target::Timestamp, Datum::Text(v)) => {
            let clock = if to == Target::Date { Clock::DATE } else { Clock::MICROS };
            let count = clock.count(v.trim()).and_then(|(count, _)| i64::try_from(count).ok());
            null_or(count.map(Datum::Int))
        }
        (Target::Date | Target::Timestamp, Datum::Int(count)) => {
            let Kind::Time(clock) = from else { return Datum::Null };
            let ahead = match clock.sort {
                // The date is that of the zone's own calendar, the timestamp the instant in UTC.
                Sort::Timestamp(Zone::Fixed(ahead)) if to == Target::Date => {
                    i128::from(ahead) * NANOS
                }
                _ => 0,
            };
            let nanos = i128::from(*count) * clock.unit + ahead;
            let unit = if to == Target::Date { DAY_NANOS } else { Clock::MICROS.unit };
            null_or(i64::try_from(nanos.div_euclid(unit)).ok().map(Datum::Int))
        }
        _ => Datum::Null,
    }
}

/// How a value is written.
fn to_text(value: &Datum<'_>, kind: Kind) -> String {
    match (value, kind) {
        (Datum::Null, _) => String::new(),
        (Datum::Bool(v), _) => v.to_string(),
        (Datum::Float(v), _) => format!("{v:?}"),
        (Datum::Text(v), _) => v.clone().into_owned(),
        (Datum::Int(v), Kind::Time(clock)) => {
            let ahead = match clock.sort {
                Sort::Timestamp(Zone::Fixed(ahead)) => ahead,
                _ => 0,
            };
            let nanos = i128::from(*v) * clock.unit + i128::from(ahead) * NANOS;
            let (year, month, day) = date_of_day(nanos.div_euclid(DAY_NANOS) as i64);
            let date = format!("{year:04}-{month:02}-{day:02}");
            let within = nanos.rem_euclid(DAY_NANOS);
            let seconds = within / NANOS;
            let mut clock_text =
                format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            if within % NANOS != 0 {
                let fraction = format!("{:09}", within % NANOS);
                clock_text.push('.');
                clock_text.push_str(fraction.trim_end_matches('0'));
            }
            match clock.sort {
                Sort::Date => date,
                Sort::TimeOfDay => clock_text,
                Sort::Timestamp(Zone::None) => format!("{date} {clock_text}"),
                Sort::Timestamp(_) => {
                    let sign = if ahead < 0 { '-' } else { '+' };
                    let ahead = ahead.unsigned_abs() / 60;
                    format!("{date} {clock_text}{sign}{:02}:{:02}", ahead / 60, ahead % 60)
                }
                Sort::Duration => v.to_string(),
            }
        }
        (Datum::Int(v), _) => v.to_string(),
        (Datum::UInt(v), _) => v.to_string(),
        (Datum::Wide(v), Kind::Decimal(scale)) if scale > 0 => {
            let digits = format!("{:0width$}", v.unsigned_abs(), width = scale as usize + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
            format!("{}{whole}.{fraction}", if *v < 0 { "-" } else { "" })
        }
        (Datum::Wide(v), _) => v.to_string(),
    }
}
