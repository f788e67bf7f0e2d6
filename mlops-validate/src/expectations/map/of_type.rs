//! A column is of a type.

use mlops_core::{Result, Verdict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::check::{Kind, Subject};
use crate::compile::{Compiled, Compiler, Observation};
use crate::place::Place;
use crate::{ColumnType, Expectation};

/// The column is of this type, or of one of several: families or exact Arrow types, as
/// [`ColumnType`] writes them. It is decided on the schema, without a look at a row.
///
/// A boolean is no integer. Great Expectations: `expect_column_values_to_be_of_type`,
/// `expect_column_values_to_be_in_type_list` and `expect_column_type_to_be`, whose types are those
/// of its engine (`int64`, `str`, `datetime64[us]`). TFDV: `UNEXPECTED_DATA_TYPE`.
///
/// ```
/// use mlops_validate::{ColumnType, Expectation, of_type};
/// let text = r#"{"expectation": "of_type", "column": "age", "type": ["integer", "Float64"]}"#;
/// let read: Expectation = serde_json::from_str(text)?;
/// let float: ColumnType = "Float64".parse()?;
/// assert_eq!(read, of_type("age", [ColumnType::Integer, float]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OfType {
    /// The column.
    pub column: String,
    /// The type or types; in a suite one or a list.
    #[serde(rename = "type", serialize_with = "one_or_list", deserialize_with = "of_one_or_list")]
    pub types: Vec<ColumnType>,
}

/// Expects the column to be of one of these types: [`OfType`].
pub fn of_type<T: Into<ColumnType>>(
    column: impl Into<String>,
    types: impl IntoIterator<Item = T>,
) -> Expectation {
    let types = types.into_iter().map(Into::into).collect();
    OfType { column: column.into(), types }.into()
}

fn one_or_list<S: Serializer>(types: &[ColumnType], serializer: S) -> Result<S::Ok, S::Error> {
    match types {
        [one] => one.serialize(serializer),
        several => several.serialize(serializer),
    }
}

fn of_one_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ColumnType>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Several(Vec<String>),
    }
    let types = match Written::deserialize(from)? {
        Written::One(one) => vec![one],
        Written::Several(several) => several,
    };
    let parse = |text: String| ColumnType::try_from(text).map_err(serde::de::Error::custom);
    types.into_iter().map(parse).collect()
}

impl Kind for OfType {
    fn subject(&self) -> Subject<'_> {
        Subject::Column(&self.column)
    }

    fn of_rows(&self) -> bool {
        false
    }

    fn reads_paths(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Compiler<'_>) -> Result<Compiled> {
        let types: Vec<_> = self.types.iter().map(ToString::to_string).collect();
        let expected = match types.as_slice() {
            [] => "no type at all".to_owned(),
            types => format!("a column of type {}", types.join(" or ")),
        };
        let Some(place) = Place::find(to.schema, &self.column) else {
            return to.wrong_type(&self.column, expected);
        };
        let found = place.data_type;
        let matches = self.types.iter().any(|t| t.matches(&found));
        let verdict = Verdict::from_bool(matches);
        Ok(to.fixed(expected, Observation::new(verdict, found.to_string(), found.to_string())))
    }
}
