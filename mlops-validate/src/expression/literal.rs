//! What a literal is beside values of a kind.

use super::ast::{Comparison, Literal};
use super::kind::Kind;
use super::scalar::Datum;
use super::test::Test;

/// A literal where nothing else decides on its type.
pub(super) fn constant(literal: &Literal) -> Datum<'static> {
    match literal {
        Literal::Null => Datum::Null,
        Literal::Bool(v) => Datum::Bool(*v),
        Literal::Int(v) => match (i64::try_from(*v), u64::try_from(*v)) {
            (Ok(v), _) => Datum::Int(v),
            (_, Ok(v)) => Datum::UInt(v),
            _ => Datum::Null,
        },
        Literal::Float(v) => Datum::Float(*v),
        Literal::Text(v) => Datum::Text(v.clone().into()),
        Literal::Date(text) | Literal::Timestamp(text) => {
            let Kind::Time(clock) = Kind::of_literal(literal) else { return Datum::Null };
            let count = clock.count(text).and_then(|(count, _)| i64::try_from(count).ok());
            count.map_or(Datum::Null, Datum::Int)
        }
    }
}

pub(super) fn power(scale: i8) -> i128 {
    10_i128.saturating_pow(u32::try_from(scale).unwrap_or(0))
}

/// The comparison with a number, given the whole number at or below it.
pub(super) fn whole_test(op: Comparison, floor: i128, exact: bool) -> Test {
    match (op, exact) {
        (_, true) => Test::Whole(op, floor),
        (Comparison::Lt | Comparison::LtEq, _) => Test::Whole(Comparison::LtEq, floor),
        (Comparison::Gt | Comparison::GtEq, _) => Test::Whole(Comparison::Gt, floor),
        (op, _) => Test::Always(op == Comparison::NotEq),
    }
}

/// The comparison of a float with an integer, which need not be a float.
pub(super) fn float_test(op: Comparison, bound: i128) -> Test {
    let nearest = bound as f64;
    let above = match (nearest as i128).cmp(&bound) {
        std::cmp::Ordering::Equal => return Test::Float(op, nearest),
        order => order.is_gt(),
    };
    // No float lies between the bound and the nearest.
    match op {
        Comparison::Lt | Comparison::LtEq if above => Test::Float(Comparison::Lt, nearest),
        Comparison::Lt | Comparison::LtEq => Test::Float(Comparison::LtEq, nearest),
        Comparison::Gt | Comparison::GtEq if above => Test::Float(Comparison::GtEq, nearest),
        Comparison::Gt | Comparison::GtEq => Test::Float(Comparison::Gt, nearest),
        op => Test::Always(op == Comparison::NotEq),
    }
}

/// The number that a literal was written as, in units of a scale, rounded down, and whether
/// nothing was lost: `0.1` is a tenth.
pub(super) fn decimal_floor(value: f64, scale: i8) -> (i128, bool) {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
    let digits: i128 = mantissa.replace('.', "").parse().unwrap_or(0);
    let shift = exponent - places + i32::from(scale);
    let Ok(finer) = u32::try_from(shift) else {
        return match 10_i128.checked_pow(shift.unsigned_abs()) {
            Some(power) => (digits.div_euclid(power), digits.rem_euclid(power) == 0),
            None => (if digits < 0 { -1 } else { 0 }, digits == 0),
        };
    };
    (digits.saturating_mul(10_i128.saturating_pow(finer)), true)
}
