//! The `MLmodel` file: what makes a directory a model that MLflow loads.

use std::collections::BTreeMap;

use mlops_core::arrow::datatypes::{DataType, Schema};
use mlops_core::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::yaml::{from_yaml, to_yaml};

/// A column of a model's input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `double`, `float`, `long`, `integer`, `boolean`, `string`, `binary` or `datetime`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it must be there.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// What goes into a model and what comes out.
///
/// MLflow has tensors, too; [`tensor`](Self::tensor) makes the one that an ONNX model of numbers
/// has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// The inputs, as MLflow's JSON.
    pub inputs: Option<Value>,
    /// The outputs.
    pub outputs: Option<Value>,
}

impl Signature {
    /// Of columns: a table goes in.
    ///
    /// # Errors
    /// [`Error::ColumnType`] for a type that MLflow has no name for.
    pub fn of_schema(inputs: &Schema, outputs: Option<&Schema>) -> Result<Self> {
        Ok(Self { inputs: Some(columns(inputs)?), outputs: outputs.map(columns).transpose()? })
    }

    /// Of one tensor of this element type (numpy's name, as `float32`), `-1` for any length.
    pub fn tensor(name: Option<&str>, dtype: &str, shape: &[i64]) -> Value {
        let mut spec = json!({
            "type": "tensor",
            "tensor-spec": { "dtype": dtype, "shape": shape },
        });
        if let Some(name) = name {
            spec["name"] = name.into();
        }
        Value::Array(vec![spec])
    }
}

fn columns(schema: &Schema) -> Result<Value> {
    let column = |field: &mlops_core::arrow::datatypes::FieldRef| {
        let kind = match field.data_type() {
            DataType::Boolean => "boolean",
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::UInt8
            | DataType::UInt16 => "integer",
            DataType::Int64 | DataType::UInt32 => "long",
            DataType::Float16 | DataType::Float32 => "float",
            DataType::Float64 => "double",
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
            DataType::Dictionary(_, inner) if inner.is_string() => "string",
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary",
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => "datetime",
            other => {
                let expected = "a boolean, number, text, bytes or time";
                return Err(Error::column_type(field.name(), expected, other));
            }
        };
        let (name, required) = (Some(field.name().clone()), !field.is_nullable());
        Ok(json!(ColumnSpec { name, kind: kind.to_owned(), required }))
    };
    schema.fields().iter().map(column).collect::<Result<Vec<_>>>().map(Value::Array)
}

/// A model as its `MLmodel` file describes it.
///
/// ```
/// use mlops_core::Timestamp;
/// use mlops_registry::mlflow::ModelFile;
///
/// let at: Timestamp = "2026-01-31T12:00:00Z".parse()?;
/// let file = ModelFile::onnx("model.onnx", "1.17.0", at);
/// let text = file.to_yaml();
/// assert!(text.contains("loader_module: \"mlflow.onnx\""));
/// assert_eq!(ModelFile::from_yaml(&text)?, file);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelFile {
    /// How it can be loaded: `onnx`, `python_function`, or any other name, and what that takes.
    pub flavors: BTreeMap<String, Map<String, Value>>,
    /// Where it lies below its run's artifacts.
    pub artifact_path: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// The logged model that it is (MLflow 3).
    pub model_id: Option<String>,
    /// An id of this file's own.
    pub model_uuid: Option<String>,
    /// When it was made, in UTC: `2026-01-31 12:00:00.000000`.
    pub utc_time_created: Option<String>,
    /// The MLflow release whose format it is.
    pub mlflow_version: Option<String>,
    /// What goes in and what comes out.
    pub signature: Option<Signature>,
    /// Anything else that the file holds.
    pub other: Map<String, Value>,
}

impl ModelFile {
    /// A model with no flavor yet, made at this time.
    pub fn new(at: Timestamp) -> Self {
        // RFC 3339 in UTC: `2026-01-31T12:00:00Z`, with `.123` where there are milliseconds.
        let text = at.to_string();
        let plain = text.strip_suffix('Z').and_then(|t| t.split_once('T'));
        let created = plain.map(|(day, time)| {
            let (time, part) = time.split_once('.').unwrap_or((time, ""));
            format!("{day} {time}.{part:0<6}")
        });
        Self { utc_time_created: created, mlflow_version: Some("2.22.0".into()), ..Self::default() }
    }

    /// A model in an ONNX file beside it, made with this release of ONNX: `mlflow.onnx` and
    /// `mlflow.pyfunc` load it.
    pub fn onnx(data: &str, onnx_version: &str, at: Timestamp) -> Self {
        Self::new(at)
            .with_flavor(
                "onnx",
                json!({
                    "code": null,
                    "data": data,
                    "onnx_version": onnx_version,
                    "providers": ["CPUExecutionProvider"],
                }),
            )
            .with_flavor("python_function", json!({ "data": data, "loader_module": "mlflow.onnx" }))
    }

    /// A model that only Rust loads: Python reads what it is.
    pub fn rust(data: &str, kind: &str, at: Timestamp) -> Self {
        Self::new(at).with_flavor("mlops", json!({ "data": data, "kind": kind }))
    }

    /// The same, with this flavor; what is no JSON object is an empty one.
    #[must_use]
    pub fn with_flavor(mut self, name: impl Into<String>, fields: Value) -> Self {
        let fields = match fields {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        self.flavors.insert(name.into(), fields);
        self
    }

    /// The same, with this signature.
    #[must_use]
    pub fn with_signature(mut self, signature: Signature) -> Self {
        self.signature = Some(signature);
        self
    }

    /// The same, made by this run, at this path below its artifacts.
    #[must_use]
    pub fn of_run(mut self, run_id: impl Into<String>, artifact_path: impl Into<String>) -> Self {
        (self.run_id, self.artifact_path) = (Some(run_id.into()), Some(artifact_path.into()));
        self
    }

    /// The same, being this logged model.
    #[must_use]
    pub fn of_logged_model(mut self, model_id: impl Into<String>) -> Self {
        self.model_id = Some(model_id.into());
        self
    }

    /// The file's text.
    pub fn to_yaml(&self) -> String {
        let mut map = Map::new();
        let texts = [
            ("artifact_path", &self.artifact_path),
            ("mlflow_version", &self.mlflow_version),
            ("model_id", &self.model_id),
            ("model_uuid", &self.model_uuid),
            ("run_id", &self.run_id),
            ("utc_time_created", &self.utc_time_created),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                map.insert(name.into(), value.as_str().into());
            }
        }
        map.insert("flavors".into(), json!(self.flavors));
        if let Some(signature) = &self.signature {
            // JSON in a text in YAML: so MLflow has it.
            let text = |part: &Option<Value>| match part {
                Some(part) => Value::String(part.to_string()),
                None => Value::Null,
            };
            let (inputs, outputs) = (text(&signature.inputs), text(&signature.outputs));
            let signature = json!({ "inputs": inputs, "outputs": outputs, "params": null });
            map.insert("signature".into(), signature);
        }
        for (name, value) in &self.other {
            map.entry(name.clone()).or_insert_with(|| value.clone());
        }
        to_yaml(&Value::Object(map))
    }

    /// A model from its file's text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is not an `MLmodel`.
    pub fn from_yaml(text: &str) -> Result<Self> {
        let mut map: Map<String, Value> = from_yaml("MLmodel", text)?;
        let bad = |field: &str| Error::invalid("MLmodel", "MLflow's fields", format!("`{field}`"));
        let mut take = |name: &str| match map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(n)) => Ok(Some(n.to_string())),
            Some(_) => Err(bad(name)),
        };
        let mut file = Self {
            artifact_path: take("artifact_path")?,
            run_id: take("run_id")?,
            model_id: take("model_id")?,
            model_uuid: take("model_uuid")?,
            utc_time_created: take("utc_time_created")?,
            mlflow_version: take("mlflow_version")?,
            ..Self::default()
        };
        let flavors = map.remove("flavors").unwrap_or_default();
        file.flavors = serde_json::from_value(flavors).map_err(|_| bad("flavors"))?;
        if let Some(Value::Object(mut signature)) = map.remove("signature") {
            let mut part = |name: &str| match signature.remove(name) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => {
                    serde_json::from_str(&text).map(Some).map_err(|_| bad(name))
                }
                Some(_) => Err(bad(name)),
            };
            file.signature = Some(Signature { inputs: part("inputs")?, outputs: part("outputs")? });
        }
        file.other = map;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use mlops_core::arrow::datatypes::Field;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_mlflow_writes_is_read() {
        let text = "artifact_path: model\nflavors:\n  python_function:\n    env:\n      conda: \
                    conda.yaml\n      virtualenv: python_env.yaml\n    loader_module: mlflow.sklearn\n    \
                    model_path: model.pkl\n    python_version: 3.11.7\n  sklearn:\n    code: null\n    \
                    pickled_model: model.pkl\nmlflow_version: 3.1.4\nmodel_id: m-0f\nmodel_size_bytes: 897\n\
                    model_uuid: m-0f\nrun_id: abc\nsignature:\n  inputs: '[{\"type\": \"double\", \"name\": \
                    \"x\", \"required\": true}]'\n  outputs: null\n  params: null\n\
                    utc_time_created: '2026-01-31 12:00:00.123456'\n";
        let file = ModelFile::from_yaml(text).unwrap();
        assert_eq!(file.flavors["python_function"]["python_version"], "3.11.7");
        assert_eq!(file.utc_time_created.as_deref(), Some("2026-01-31 12:00:00.123456"));
        assert_eq!(file.other["model_size_bytes"], 897);
        let schema = Schema::new(vec![Field::new("x", DataType::Float64, false)]);
        assert_eq!(file.signature, Some(Signature::of_schema(&schema, None).unwrap()));
        assert_eq!(ModelFile::from_yaml(&file.to_yaml()).unwrap(), file);
    }

    #[test]
    fn a_time_and_a_type() {
        let file = ModelFile::new(Timestamp::from_millis(1_769_860_800_045));
        assert_eq!(file.utc_time_created.as_deref(), Some("2026-01-31 12:00:00.045000"));
        let field = Field::new(
            "x",
            DataType::Duration(mlops_core::arrow::datatypes::TimeUnit::Second),
            true,
        );
        assert!(Signature::of_schema(&Schema::new(vec![field]), None).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z_]{1,12}: ?(\\[|\\{|'|x|1|\\n| )*){0,8}") {
            if let Ok(file) = ModelFile::from_yaml(&text) {
                prop_assert_eq!(ModelFile::from_yaml(&file.to_yaml()).unwrap(), file);
            }
        }
    }
}
