//! Texts are JSON, or JSON of a schema.

use jsonschema::{PatternOptions, Validator};
use mlops_core::{Error, Result};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::matches_regex::SIZE_LIMIT;
use crate::Expectation;
use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler};
use crate::value_test::Texts;

/// Every text is JSON (RFC 8259): one value, and white space around it.
///
/// `NaN` and `Infinity` are not JSON; a key twice, a lone surrogate and a number beyond any float
/// are. Nulls are left out. Great Expectations: `expect_column_values_to_be_json_parseable`, which
/// takes `NaN`, `Infinity` and `-Infinity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Json {
    /// The column.
    pub column: String,
}

/// Expects every text to be JSON: [`Json`].
pub fn json(column: impl Into<String>) -> Expectation {
    Json { column: column.into() }.into()
}

impl Kind for Json {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        to.values("JSON", &self.column, "a column of text", |data_type| {
            let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
            Ok(Texts::only(data_type, is_json))
        })
    }
}

/// Every text is JSON that a JSON schema accepts (drafts 4 to 2020-12, as `$schema` says; the
/// latest unless it does).
///
/// The schema stands in the suite whole: a `$ref` to another document is an error of the suite,
/// nothing is ever fetched or read. Patterns are of the `regex` crate, linear in the text.
/// `format` only annotates. A text that is not JSON, or nested deeper than 128 levels, is
/// unexpected. Nulls are left out.
///
/// Great Expectations: `expect_column_values_to_match_json_schema`, for which a text that is not
/// JSON is an error of the whole expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JsonSchema {
    /// The column.
    pub column: String,
    /// The schema.
    pub schema: Value,
}

/// Expects every text to be JSON that this JSON schema accepts: [`JsonSchema`].
///
/// ```
/// use mlops_core::arrow::array::StringArray;
/// use mlops_core::{MemorySource, batch};
/// use mlops_validate::{Suite, json_schema};
/// let schema = serde_json::json!({"type": "object", "required": ["age"]});
/// let data = MemorySource::from(batch! {
///     "request" => StringArray::from(vec![r#"{"age": 31}"#, "{}", "{"]),
/// }?);
/// let found = Suite::new("requests").expect(json_schema("request", schema)).check(&data)?;
/// assert_eq!(found.outcomes[0].finding.failing_rows, Some(2));
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub fn json_schema(column: impl Into<String>, schema: impl Into<Value>) -> Expectation {
    JsonSchema { column: column.into(), schema: schema.into() }.into()
}

impl JsonSchema {
    /// The most bytes of a schema.
    const LARGEST: usize = 1 << 20;

    fn validator(&self) -> Result<Validator> {
        let bad = |expected: &str, found: String| Error::invalid("JSON schema", expected, found);
        let size = self.schema.to_string().len();
        if size > Self::LARGEST {
            return Err(bad("at most 1 MiB", format!("{size} bytes")));
        }
        let patterns =
            PatternOptions::regex().size_limit(SIZE_LIMIT).dfa_size_limit(2 * SIZE_LIMIT);
        jsonschema::options()
            .offline()
            .should_validate_formats(false)
            .with_pattern_options(patterns)
            .build(&self.schema)
            .map_err(|e| bad("a schema without references to other documents", e.to_string()))
    }
}

impl Kind for JsonSchema {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        true
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn check_usable(&self) -> Result<()> {
        self.validator().map(drop)
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        to.values("JSON of the schema", &self.column, "a column of text", |data_type| {
            let validator = self.validator()?;
            Ok(Texts::only(data_type, move |text: &str| {
                serde_json::from_str::<Value>(text).is_ok_and(|value| validator.is_valid(&value))
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_documents_and_slow_patterns_are_refused() {
        let usable = |schema: Value| JsonSchema { column: "x".into(), schema }.check_usable();
        usable(serde_json::json!({"$ref": "#/$defs/a", "$defs": {"a": {}}})).unwrap();
        for schema in [
            serde_json::json!({"$ref": "http://example.com/schema.json"}),
            serde_json::json!({"$ref": "file:///etc/passwd"}),
            serde_json::json!({"$ref": "other.json"}),
            serde_json::json!({"type": "no such type"}),
            serde_json::json!({"pattern": "(a)\\1"}),
            serde_json::json!({"pattern": "(?:a{1000}){1000}"}),
        ] {
            assert!(usable(schema.clone()).is_err(), "{schema}");
        }
    }
}
