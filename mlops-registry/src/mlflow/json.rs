//! The forms that MLflow's JSON has: whole numbers as numbers or text, floats that are not finite
//! as text, lists that are left out.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::error::MlflowResult;
use crate::tracking::Page;

/// What a float is in a request.
pub(super) fn float(value: f64) -> Value {
    if value.is_nan() {
        Value::from("NaN")
    } else if value.is_infinite() {
        Value::from(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        Value::from(value)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Float(f64),
    Text(String),
}

/// A 64-bit integer: `1` or `"1"`.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let bad = |what: &dyn std::fmt::Display| {
        serde::de::Error::custom(format!("expected a whole number, found {what}"))
    };
    match Number::deserialize(from)? {
        Number::Whole(n) => Ok(n),
        // Some languages have no integers.
        Number::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => Ok(x as i64),
        Number::Float(x) => Err(bad(&x)),
        Number::Text(t) => t.parse().map_err(|_| bad(&t.chars().take(40).collect::<String>())),
    }
}

/// The same, left out or null.
pub(super) fn maybe_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] i64);
    Ok(Option::<Whole>::deserialize(from)?.map(|w| w.0))
}

/// A float: a number, or `"NaN"`, `"Infinity"`, `"-Infinity"`.
pub(super) fn real<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    match Number::deserialize(from)? {
        Number::Whole(n) => Ok(n as f64),
        Number::Float(x) => Ok(x),
        // Rust reads all the forms that there are: NaN, nan, inf, Infinity, 1e5.
        Number::Text(t) => t.parse().map_err(|_| {
            let shown: String = t.chars().take(40).collect();
            serde::de::Error::custom(format!("expected a number, found `{shown}`"))
        }),
    }
}

/// A pair, as parameters and tags come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyValue {
    /// The name.
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: String,
}

impl<K: Into<String>, V: Into<String>> From<(K, V)> for KeyValue {
    fn from((key, value): (K, V)) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// A page of answers; an empty token is none.
pub(super) fn page<T>(items: Vec<T>, next: Option<String>) -> Page<T> {
    Page::new(items, next.filter(|token| !token.is_empty()))
}

/// The most items that a listing over all pages gives.
const MOST_ITEMS: usize = 10_000_000;

/// All items of all pages.
pub(super) fn all_pages<T>(
    what: &str,
    mut page: impl FnMut(Option<String>) -> MlflowResult<Page<T>>,
) -> MlflowResult<Vec<T>> {
    let mut items = Vec::new();
    let mut token = None;
    loop {
        let Page { items: some, next } = page(token.clone())?;
        let none = some.is_empty();
        items.extend(some);
        // A server that pages in circles must not hold us for ever.
        if next.is_some() && (none || next == token || items.len() > MOST_ITEMS) {
            return Err(super::http::answer(what, "pages that end", "pages without end"));
        }
        match next {
            None => return Ok(items),
            next => token = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Probe {
        #[serde(default, deserialize_with = "maybe_whole")]
        n: Option<i64>,
        #[serde(deserialize_with = "real")]
        x: f64,
    }

    fn probe(text: &str) -> Result<(Option<i64>, f64), String> {
        let probe: Probe = serde_json::from_str(text).map_err(|e| e.to_string())?;
        Ok((probe.n, probe.x))
    }

    #[test]
    fn every_form_of_a_number() {
        assert_eq!(probe(r#"{"x": 1}"#), Ok((None, 1.0)));
        assert_eq!(probe(r#"{"n": null, "x": "Infinity"}"#), Ok((None, f64::INFINITY)));
        assert_eq!(probe(r#"{"n": "-7", "x": "-Infinity"}"#), Ok((Some(-7), f64::NEG_INFINITY)));
        assert_eq!(probe(r#"{"n": 5.0, "x": 0.30000000000000004}"#), Ok((Some(5), 0.1 + 0.2)));
        assert_eq!(
            probe(r#"{"n": 9223372036854775807, "x": 5e-324}"#),
            Ok((Some(i64::MAX), 5e-324))
        );
        assert!(probe(r#"{"x": "NaN"}"#).unwrap().1.is_nan());
        for bad in [r#"{"n": 1.5, "x": 1}"#, r#"{"n": "x", "x": 1}"#, r#"{"x": "no"}"#, "{}"] {
            assert!(probe(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn floats_come_back() {
        for x in [0.0, -0.0, 0.1 + 0.2, f64::MAX, 5e-324, f64::INFINITY, f64::NEG_INFINITY] {
            let back = probe(&format!("{{\"x\": {}}}", float(x))).unwrap().1;
            assert_eq!(back.to_bits(), x.to_bits());
        }
        assert_eq!(float(f64::NAN), "NaN");
    }
}
