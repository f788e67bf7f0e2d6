//! The JSON schema of a suite's text, made of the kinds themselves so that it can't go stale.

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Value, json};

use crate::Suite;
use crate::check::Check;
use crate::expectation::Beside;

impl Suite {
    /// The [JSON schema](https://json-schema.org/draft/2020-12/schema) of suites, for editors and
    /// for checks of YAML and JSON before they get here: the kinds, the fields that each may have,
    /// and what stands beside them. `mlops-validate/suite.schema.json` is this, written down.
    ///
    /// What values a field takes is said only where all kinds agree on it;
    /// [`from_yaml`](Self::from_yaml) says the rest, with its place.
    pub fn json_schema() -> Value {
        let text = json!({"type": "string"});
        let known = json!({
            "expectation": {"enum": Check::KINDS},
            "column": text,
            "columns": {"type": "array"},
            "column_a": text,
            "column_b": text,
            "regex": {"type": ["string", "array"]},
            "mostly": {"type": "number", "minimum": 0, "maximum": 1},
            "severity": {"enum": ["info", "warning", "critical"]},
            "nulls": {"enum": ["skip", "pass", "fail"]},
            "ignore_rows": {"enum": ["all_missing", "any_missing", "never"]},
            "where": text,
            "id": text,
            "description": text,
            "meta": {"type": "object"},
        });
        let kinds = Check::fields().into_iter().filter_map(|(kind, fields)| {
            let mut names = vec!["expectation"];
            names.extend(fields?);
            names.extend(Beside::FIELDS);
            names.sort_unstable();
            Some(json!({
                "if": {"properties": {"expectation": {"const": kind}}},
                "then": {"propertyNames": {"enum": names}},
            }))
        });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A suite of expectations",
            "type": "object",
            "required": ["name", "expectations"],
            "additionalProperties": false,
            "properties": {
                "name": text,
                "meta": {"type": "object"},
                "expectations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["expectation"],
                        "properties": known,
                        "allOf": kinds.collect::<Vec<_>>(),
                    },
                },
            },
        })
    }
}

/// The fields that a kind reads; `None` of those that take another's fields among their own.
pub(crate) fn fields_of<'de, T: Deserialize<'de>>() -> Option<&'static [&'static str]> {
    let mut fields = None;
    // It tells its fields and is refused.
    drop(T::deserialize(Probe(&mut fields)));
    fields
}

/// Hears which fields a struct asks for.
struct Probe<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("nothing is here to be read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(fields);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/suite.schema.json");
        let ours = serde_json::to_string_pretty(&Suite::json_schema()).unwrap() + "\n";
        if std::env::var_os("MLOPS_BLESS").is_some() {
            std::fs::write(path, &ours).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), ours, "MLOPS_BLESS=1 writes it anew");
    }

    #[test]
    fn it_tells_suites_from_what_is_none() {
        let schema = jsonschema::validator_for(&Suite::json_schema()).unwrap();
        let suite = |expectation: Value| json!({"name": "s", "expectations": [expectation]});
        let good = [
            json!({"expectation": "not_null", "column": "a", "mostly": 0.9, "where": "b > 1"}),
            json!({"expectation": "in_range", "column": "a", "min": 0, "strict_min": true}),
            json!({"expectation": "mean", "column": "a", "min": 0.5, "severity": "warning"}),
            json!({"expectation": "pair_equal", "column_a": "a", "column_b": "b"}),
            json!({"expectation": "row_count", "max": 9, "meta": {"owner": "somebody"}}),
        ];
        for good in good {
            assert!(schema.is_valid(&suite(good.clone())), "{good}");
            Suite::from_json(&suite(good.clone()).to_string()).unwrap();
        }
        let bad = [
            json!({"expectation": "not_nul", "column": "a"}),
            json!({"expectation": "not_null", "column": 3}),
            json!({"expectation": "not_null", "column": "a", "most": 0.9}),
            json!({"expectation": "not_null", "column": "a", "mostly": 9}),
            json!({"column": "a"}),
        ];
        for bad in bad {
            assert!(!schema.is_valid(&suite(bad.clone())), "{bad}");
            assert!(Suite::from_json(&suite(bad).to_string()).is_err());
        }
        assert!(!schema.is_valid(&json!({"name": "s"})));
        assert!(!schema.is_valid(&json!({"name": "s", "expectations": [], "more": 1})));
        let told = Check::fields().into_iter().filter(|(_, fields)| fields.is_some()).count();
        assert!(told >= 30, "{told}");
    }
}
