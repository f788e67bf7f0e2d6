//! What a model takes and what it gives.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The longest text of a type, in bytes; it bounds how deep the types nest.
const TYPE_BYTES: usize = 2000;
/// The most columns on one side.
const COLUMNS: usize = 100_000;

/// What a model takes and what it gives, as Arrow schemas.
///
/// As JSON it is `{"inputs": [{"name": "age", "type": "Int64", "nullable": false}, …], "outputs":
/// […]}`, with types as Arrow prints them. Metadata of schemas and fields is left out.
///
/// ```
/// use mlops_core::Signature;
/// use mlops_core::arrow::datatypes::{DataType, Field, Schema};
///
/// let inputs = Schema::new(vec![Field::new("age", DataType::Int64, false)]);
/// let outputs = Schema::new(vec![Field::new("score", DataType::Float64, false)]);
/// let signature = Signature::new(&inputs, &outputs);
/// assert_eq!(signature.to_string(), "(age: Int64) → (score: Float64)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Sides", into = "Sides")]
#[non_exhaustive]
pub struct Signature {
    /// The columns that it takes.
    pub inputs: SchemaRef,
    /// The columns that it gives.
    pub outputs: SchemaRef,
}

#[derive(Serialize, Deserialize)]
struct Sides {
    inputs: Vec<Column>,
    outputs: Vec<Column>,
}

#[derive(Serialize, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nullable: bool,
}

impl Signature {
    /// The signature of a model that takes and gives these columns.
    pub fn new(inputs: &Schema, outputs: &Schema) -> Self {
        let bare = |schema: &Schema| {
            let fields = schema.fields().iter();
            let bare = fields.map(|f| Field::new(f.name(), f.data_type().clone(), f.is_nullable()));
            Arc::new(Schema::new(bare.collect::<Vec<_>>()))
        };
        Self { inputs: bare(inputs), outputs: bare(outputs) }
    }

    /// Whether it is read back as it is written.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a type that Arrow does not read back from its text, or that is
    /// nested too deep, and for more than 100,000 columns.
    pub fn check(&self) -> Result<()> {
        for schema in [&self.inputs, &self.outputs] {
            if schema.fields().len() > COLUMNS {
                let found = schema.fields().len();
                return Err(Error::invalid("signature", "at most 100000 columns", found));
            }
            for field in schema.fields() {
                if read_type(&field.data_type().to_string())? != *field.data_type() {
                    return Err(Error::invalid(
                        format!("signature, column `{:.60}`", field.name()),
                        "a type that can be read back from its text",
                        format!("{:.200}", field.data_type().to_string()),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn read_type(text: &str) -> Result<DataType> {
    let bad = || Error::invalid("signature", "a type of Arrow", format!("`{text:.200}`"));
    if text.len() > TYPE_BYTES {
        return Err(bad());
    }
    DataType::from_str(text).map_err(|_| bad())
}

impl From<Signature> for Sides {
    fn from(signature: Signature) -> Self {
        let side = |schema: &Schema| {
            let fields = schema.fields().iter();
            let column = fields.map(|f| Column {
                name: f.name().clone(),
                kind: f.data_type().to_string(),
                nullable: f.is_nullable(),
            });
            column.collect()
        };
        Self { inputs: side(&signature.inputs), outputs: side(&signature.outputs) }
    }
}

impl TryFrom<Sides> for Signature {
    type Error = Error;

    fn try_from(sides: Sides) -> Result<Self> {
        let schema = |columns: Vec<Column>| -> Result<SchemaRef> {
            let field = |c: Column| Ok(Field::new(c.name, read_type(&c.kind)?, c.nullable));
            let fields = columns.into_iter().map(field).collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(Schema::new(fields)))
        };
        Ok(Self { inputs: schema(sides.inputs)?, outputs: schema(sides.outputs)? })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |schema: &Schema| {
            let column = |f: &Arc<Field>| {
                let null = if f.is_nullable() { " or null" } else { "" };
                format!("{}: {}{null}", f.name(), f.data_type())
            };
            schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
        };
        write!(f, "({}) → ({})", side(&self.inputs), side(&self.outputs))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn signatures_come_back_from_their_json() {
        let types = [
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt64,
            DataType::Float32,
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::Binary,
            DataType::FixedSizeBinary(16),
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())),
            DataType::Decimal128(12, 2),
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true))),
            DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float32, false)), 8),
            DataType::Struct(vec![Field::new("a b", DataType::Int64, true)].into()),
        ];
        let fields = types.into_iter().enumerate();
        let fields: Vec<_> =
            fields.map(|(n, kind)| Field::new(format!("c {n}"), kind, n % 2 == 0)).collect();
        let signature = Signature::new(&Schema::new(fields), &Schema::empty());
        signature.check().unwrap();
        let json = serde_json::to_string(&signature).unwrap();
        assert!(json.starts_with(r#"{"inputs":[{"name":"c 0","type":"Boolean","nullable":true}"#));
        assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
    }

    #[test]
    fn hostile_types_are_errors() {
        let deep = "List(".repeat(100_000);
        for kind in ["", "Int65", "List(", &deep] {
            let json = format!(
                r#"{{"inputs":[{{"name":"a","type":"{kind}","nullable":true}}],"outputs":[]}}"#
            );
            assert!(serde_json::from_str::<Signature>(&json).is_err(), "{kind:.20}");
        }
        let mut kind = DataType::Int8;
        for _ in 0..1000 {
            kind = DataType::List(Arc::new(Field::new_list_field(kind, true)));
        }
        let inputs = Schema::new(vec![Field::new("a", kind, true)]);
        assert!(Signature::new(&inputs, &Schema::empty()).check().is_err());
    }
}
