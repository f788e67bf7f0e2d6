//! An expectation in the making: the flat map that a suite's text would have.

use serde_json::{Map, Value};

use super::tree::{Read, Wrong};
use crate::expression::Expression;
use crate::{Check, Expectation};

/// The words of an expectation, as a suite writes them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask(Map<String, Value>);

impl Ask {
    pub(super) fn new(kind: &str) -> Self {
        Self(Map::from_iter([("expectation".into(), kind.into())]))
    }

    pub(super) fn of(kind: &str, column: &str) -> Self {
        Self::new(kind).with("column", column)
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.put(key, value);
        self
    }

    /// The same, where there is a value.
    pub(super) fn with_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The same, where it is true.
    pub(super) fn with_flag(self, key: &str, flag: bool) -> Self {
        if flag { self.with(key, true) } else { self }
    }

    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Keeps something that means nothing here.
    pub(super) fn keep(&mut self, key: &str, value: impl Into<Value>) {
        let meta = self.0.entry("meta").or_insert_with(|| Value::Object(Map::new()));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert(key.to_owned(), value.into());
        }
    }

    /// Narrows it to rows for which a condition is true, besides those that it has.
    pub(super) fn narrow(&mut self, condition: &str) {
        let both = match self.0.get("where").and_then(Value::as_str) {
            Some(first) => format!("({first}) AND ({condition})"),
            None => condition.to_owned(),
        };
        self.put("where", both);
    }

    pub(super) fn build(self, place: &dyn std::fmt::Display) -> Read<Expectation> {
        let kind = self.0.get("expectation").and_then(Value::as_str).unwrap_or_default();
        if !Check::KINDS.contains(&kind) {
            let why = format!("there is no expectation `{kind}` here");
            return Err(Wrong { place: place.to_string(), why });
        }
        serde_json::from_value(Value::Object(self.0))
            .map_err(|e| Wrong { place: place.to_string(), why: e.to_string() })
    }
}

/// A column's name in an expression.
pub(super) fn name(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// A value in an expression; `None` for what is no scalar.
pub(super) fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "NULL".into(),
        Value::Bool(true) => "TRUE".into(),
        Value::Bool(false) => "FALSE".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// A condition in SQL that we can read, as it stands.
pub(super) fn condition(text: &str, place: &dyn std::fmt::Display) -> Read<String> {
    let text = text.trim();
    match Expression::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Wrong { place: place.to_string(), why: error.to_string() }),
    }
}
