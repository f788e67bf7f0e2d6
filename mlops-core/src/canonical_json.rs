//! Canonical JSON: RFC 8785, the JSON Canonicalization Scheme.

use std::fmt::Write as _;

use serde_json::{Number, Value};

use crate::{Error, Result};

/// How deep values may nest; `serde_json` reads no more than 128.
const DEPTH: usize = 100;

/// The one text of a JSON value: no spaces, keys in the order of their UTF-16 code units, numbers
/// and strings as ECMAScript writes them (RFC 8785).
///
/// Numbers of JSON are IEEE doubles. An integer that a double can't hold would have the text of
/// its neighbour, and two values one hash: it is refused, as RFC 7493 wants it written as a
/// string. All integers up to 2⁵³ either way are fine.
///
/// ```
/// use mlops_core::canonical_json;
/// let value = serde_json::json!({"b": [1e21, 0.002, 100.0], "a": "€\n"});
/// assert_eq!(canonical_json(&value)?, r#"{"a":"€\n","b":[1e+21,0.002,100]}"#);
/// assert!(canonical_json(&serde_json::json!(9_007_199_254_740_993_u64)).is_err());
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] for such an integer, and for values nested deeper than 100.
pub fn canonical_json(value: &Value) -> Result<String> {
    let mut out = String::new();
    put_value(&mut out, value, 0)?;
    Ok(out)
}

/// Writes integers that no double may hold as strings, wherever they stand in the value, so that
/// it has a canonical form.
///
/// ```
/// use mlops_core::{canonical_json, integers_as_text};
/// let mut value = serde_json::json!({"rows": [u64::MAX, 7]});
/// integers_as_text(&mut value);
/// assert_eq!(canonical_json(&value)?, r#"{"rows":["18446744073709551615",7]}"#);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn integers_as_text(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let integer = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
            if integer.is_some_and(|n| n > 1 << 53) {
                *value = Value::String(number.to_string());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(integers_as_text),
        Value::Object(fields) => fields.values_mut().for_each(integers_as_text),
        _ => {}
    }
}

fn put_value(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    if depth > DEPTH {
        let expected = format!("JSON nested at most {DEPTH} deep");
        return Err(Error::invalid("canonical JSON", expected, "deeper"));
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => put_number(out, number)?,
        Value::String(text) => put_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                put_value(out, item, depth + 1)?;
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (i, (key, item)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                put_string(out, key);
                out.push(':');
                put_value(out, item, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Section 3.2.2.2.
fn put_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                // Writing to a string can't fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn put_number(out: &mut String, number: &Number) -> Result<()> {
    let double = || {
        let refused = || {
            let expected = "a finite number, and integers that a double holds";
            Error::invalid("number in canonical JSON", expected, number)
        };
        number.as_f64().filter(|x| x.is_finite()).ok_or_else(refused)
    };
    let integer = number.as_u64().map(i128::from).or(number.as_i64().map(i128::from));
    let Some(integer) = integer else {
        put_double(out, double()?);
        return Ok(());
    };
    if integer.unsigned_abs() <= 1 << 53 {
        let _ = write!(out, "{integer}");
        return Ok(());
    }
    // The digits of a double beyond 2⁵³ come back from a parser as an integer: what reads as
    // itself is good.
    let start = out.len();
    put_double(out, double()?);
    if out[start..] == integer.to_string() {
        return Ok(());
    }
    let expected = "an integer that a double holds, or a string";
    Err(Error::invalid("number in canonical JSON", expected, integer))
}

/// `Number::toString` of ECMAScript: the shortest digits that read back as the same double.
fn put_double(out: &mut String, x: f64) {
    if x == 0.0 {
        out.push('0');
        return;
    }
    let (digits, exponent) = shortest(x.abs());
    if x < 0.0 {
        out.push('-');
    }
    // The value is 0.digits × 10^point.
    let point = exponent + 1;
    let count = digits.len() as i32;
    match point {
        1..=21 if count <= point => {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', (point - count) as usize));
        }
        1..=21 => {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend([whole, ".", fraction]);
        }
        -5..=0 => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', -point as usize));
            out.push_str(&digits);
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            out.push_str(first);
            if !rest.is_empty() {
                out.extend([".", rest]);
            }
            let _ = write!(out, "e{exponent:+}");
        }
    }
}

/// The shortest digits that read back as `x > 0`, of these the closest to it, of two as close the
/// even one; and the power of ten of the first digit.
fn shortest(x: f64) -> (String, i32) {
    let (mut text, exponent) = digits(&format!("{x:e}"));
    // Rust gives all that but the last: of two as close it takes the larger.
    let even = match text.as_bytes().last() {
        Some(odd @ (b'3' | b'5' | b'7' | b'9')) => char::from(odd - 1),
        _ => return (text, exponent),
    };
    let kept = text.len() - 1;
    // Halfway is the even digit, a five and nothing more; no double has more digits than these.
    let is_half = |precision: usize| {
        let (exact, power) = digits(&format!("{x:.precision$e}"));
        let rest = exact.strip_prefix(&text[..kept]);
        let rest = rest.and_then(|r| r.strip_prefix(even)?.strip_prefix('5'));
        power == exponent && rest.is_some_and(|r| r.bytes().all(|b| b == b'0'))
    };
    if is_half(kept + 4) && is_half(780) {
        text.truncate(kept);
        text.push(even);
    }
    (text, exponent)
}

/// The digits and the exponent of a number in Rust's exponential form.
fn digits(text: &str) -> (String, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.chars().filter(|c| *c != '.').collect();
    (digits, exponent.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn double(x: f64) -> String {
        let mut out = String::new();
        put_double(&mut out, x);
        out
    }

    /// Appendix B of the RFC.
    #[test]
    fn numbers_of_the_rfc() {
        let table: [(u64, &str); 25] = [
            (0x0000000000000000, "0"),
            (0x8000000000000000, "0"),
            (0x0000000000000001, "5e-324"),
            (0x8000000000000001, "-5e-324"),
            (0x7fefffffffffffff, "1.7976931348623157e+308"),
            (0xffefffffffffffff, "-1.7976931348623157e+308"),
            (0x4340000000000000, "9007199254740992"),
            (0xc340000000000000, "-9007199254740992"),
            (0x4430000000000000, "295147905179352830000"),
            (0x44b52d02c7e14af5, "9.999999999999997e+22"),
            (0x44b52d02c7e14af6, "1e+23"),
            (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
            (0x444b1ae4d6e2ef4e, "999999999999999700000"),
            (0x444b1ae4d6e2ef4f, "999999999999999900000"),
            (0x444b1ae4d6e2ef50, "1e+21"),
            (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
            (0x3eb0c6f7a0b5ed8d, "0.000001"),
            (0x41b3de4355555553, "333333333.3333332"),
            (0x41b3de4355555554, "333333333.33333325"),
            (0x41b3de4355555555, "333333333.3333333"),
            (0x41b3de4355555556, "333333333.3333334"),
            (0x41b3de4355555557, "333333333.33333343"),
            (0xbecbf647612f3696, "-0.0000033333333333333333"),
            (0x43143ff3c1cb0959, "1424953923781206.2"),
            (0x3ff8000000000000, "1.5"),
        ];
        for (bits, text) in table {
            assert_eq!(double(f64::from_bits(bits)), text, "{bits:x}");
        }
    }

    /// Of two shortest texts as close, the even one; Python's `repr` agrees.
    #[test]
    fn halves_go_to_the_even_digit() {
        for (x, text) in [
            (1424953923781206.25, "1424953923781206.2"),
            (1424953923781206.75, "1424953923781206.8"),
            (1125899906842624.25, "1125899906842624.2"),
            (278056866429300.375, "278056866429300.38"),
            (853151079395760.25, "853151079395760.2"),
            (1080944969215990.75, "1080944969215990.8"),
            (4503599627370495.5, "4503599627370495.5"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(double(x), text);
            assert_eq!(double(-x), format!("-{text}"));
        }
    }

    /// Sections 3.2.2 and 3.2.3 of the RFC.
    #[test]
    fn objects_of_the_rfc() {
        let text = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            canonical_json(&value).unwrap(),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );

        let text = r#"{
            "\u20ac": "Euro Sign", "\r": "Carriage Return",
            "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"
        }"#;
        let value: Value = serde_json::from_str(text).unwrap();
        let canonical = canonical_json(&value).unwrap();
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let at: Vec<_> = order.iter().map(|name| canonical.find(name).unwrap()).collect();
        assert!(at.is_sorted(), "{canonical}");
    }

    #[test]
    fn integers_that_no_double_holds_are_refused() {
        for good in [json!(1_u64 << 53), json!(-(1_i64 << 53)), json!(10_u64.pow(19))] {
            assert_eq!(canonical_json(&good).unwrap(), good.to_string());
        }
        // 2^60 is a double, but not the shortest digits of one.
        for bad in [json!((1_u64 << 53) + 1), json!(1_u64 << 60), json!(u64::MAX), json!(i64::MIN)]
        {
            assert!(canonical_json(&bad).is_err(), "{bad}");
        }
        assert_eq!(canonical_json(&json!((1_u64 << 60) as f64)).unwrap(), "1152921504606847000");
        assert_eq!(canonical_json(&json!(-0.0)).unwrap(), "0");
    }

    #[test]
    fn deep_values_are_refused() {
        let nested = |depth| (0..depth).fold(json!(1), |value, _| json!([value]));
        assert!(canonical_json(&nested(DEPTH)).is_ok());
        assert!(canonical_json(&nested(DEPTH + 1)).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<f64>().prop_map(|x| json!(x)),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn doubles_come_back(bits: u64) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite() && x != 0.0);
            prop_assert_eq!(double(x).parse::<f64>().unwrap().to_bits(), bits);
            prop_assert_eq!(canonical_json(&serde_json::from_str(&double(x)).unwrap()).unwrap(), double(x));
        }

        #[test]
        fn the_text_is_a_fixed_point(value in any_json()) {
            let text = canonical_json(&value).unwrap();
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical_json(&again).unwrap(), text);
        }
    }
}
