//! A model that takes the rows as they come.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use mlops_core::bytes::{bad, put_len, put_u16, take, take_len, take_u16};
use mlops_core::model::{Model, Predictions};
use mlops_core::{Error, Result};

use super::pipeline::FittedPipeline;
use super::record::Record;

/// A model behind the transforms that it was trained with: raw rows in, predictions out. The two
/// are saved as one, so that neither is ever used with another.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::model::{LinearModel, Model};
/// use mlops_core::{MemorySource, batch};
/// use mlops_data::{ColumnPipeline, Record, StandardScaler, WithTransforms};
///
/// let rows = batch! { "x" => Float64Array::from(vec![10.0, 20.0, 30.0]) }?;
/// let transforms =
///     ColumnPipeline::new().numeric(["x"], StandardScaler).fit(&MemorySource::from(rows.clone()))?;
/// let model = LinearModel::regression(["x"], [2.0], 1.0)?;
/// let whole = WithTransforms::new(transforms, model)?;
/// assert_eq!(whole.predict(&rows)?.as_values()?.value(1), 1.0);
///
/// let bytes = whole.to_bytes(LinearModel::to_bytes)?;
/// let again = WithTransforms::from_bytes(&bytes, LinearModel::from_bytes)?;
/// assert_eq!(again.predict(&rows)?, whole.predict(&rows)?);
/// assert_eq!(again.predict_record(&Record::new().with("x", 20.0))?.as_values()?.value(0), 1.0);
/// # Ok::<(), mlops_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WithTransforms<M> {
    transforms: FittedPipeline,
    model: M,
}

const MAGIC: &[u8; 4] = b"MLWT";
const VERSION: u16 = 1;

impl<M: Model> WithTransforms<M> {
    /// The model behind these transforms.
    ///
    /// # Errors
    /// [`Error::ColumnNotFound`] if the model reads a feature that the transforms don't make.
    pub fn new(transforms: FittedPipeline, model: M) -> Result<Self> {
        for field in model.input_schema().fields() {
            if !transforms.feature_names().contains(field.name()) {
                return Err(Error::ColumnNotFound {
                    column: field.name().clone(),
                    available: transforms.feature_names().to_vec(),
                });
            }
        }
        Ok(Self { transforms, model })
    }

    /// The transforms.
    pub fn transforms(&self) -> &FittedPipeline {
        &self.transforms
    }

    /// The model of the features.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The prediction for one record: the same code and bits as in a batch.
    ///
    /// # Errors
    /// A column that the record does not speak of, and those of [`Model::predict`].
    pub fn predict_record(&self, record: &Record) -> Result<Predictions> {
        self.predict(&self.transforms.record_batch(record)?)
    }

    /// Transforms and model as bytes; `model` writes the model.
    ///
    /// # Errors
    /// Those of `model`.
    pub fn to_bytes(&self, model: impl FnOnce(&M) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        put_u16(&mut out, VERSION);
        for part in [self.transforms.to_json()?.into_bytes(), model(&self.model)?] {
            put_len(&mut out, part.len());
            out.extend_from_slice(&part);
        }
        Ok(out)
    }

    /// What [`to_bytes`](Self::to_bytes) wrote; `model` reads the model.
    ///
    /// # Errors
    /// [`Error::Decode`] for bytes that are cut off or something else; those of `model`.
    pub fn from_bytes(bytes: &[u8], model: impl FnOnce(&[u8]) -> Result<M>) -> Result<Self> {
        let rest = &mut &*bytes;
        let parts = (|| {
            let magic = take(rest, MAGIC.len())?;
            if magic != MAGIC {
                return Err(bad(rest, "the magic MLWT", format!("{magic:02x?}")));
            }
            let version = take_u16(rest)?;
            if version != VERSION {
                return Err(bad(rest, format!("version {VERSION}"), version));
            }
            let n = take_len(rest, 1)?;
            let transforms = take(rest, n)?;
            let n = take_len(rest, 1)?;
            let model = take(rest, n)?;
            if !rest.is_empty() {
                return Err(bad(rest, "the end", format!("{} more bytes", rest.len())));
            }
            Ok((transforms, model))
        })();
        let (transforms, inner) = parts.map_err(|e| match e {
            Error::Decode { offset, expected, found, .. } => Error::Decode {
                what: "model with transforms".into(),
                offset: (bytes.len() as u64).saturating_sub(offset),
                expected,
                found,
            },
            other => other,
        })?;
        let json =
            std::str::from_utf8(transforms).map_err(|e| Error::other("reading a pipeline", e))?;
        Self::new(FittedPipeline::from_json(json)?, model(inner)?)
    }
}

/// How deep models may stand in one another.
const NESTED: usize = 8;

/// A model of the house from the bytes that its `to_bytes` wrote, with or without transforms:
/// what [`mlops_core::model::load`] reads, and [`WithTransforms`] of that.
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::model::{LinearModel, Model};
/// use mlops_core::{MemorySource, batch};
/// use mlops_data::{ColumnPipeline, StandardScaler, WithTransforms, load_model};
///
/// let rows = batch! { "x" => Float64Array::from(vec![10.0, 20.0, 30.0]) }?;
/// let transforms =
///     ColumnPipeline::new().numeric(["x"], StandardScaler).fit(&MemorySource::from(rows.clone()))?;
/// let model = LinearModel::regression(["x"], [2.0], 1.0)?;
/// let whole = WithTransforms::new(transforms, model.clone())?;
///
/// let loaded = load_model(&whole.to_bytes(LinearModel::to_bytes)?)?;
/// assert_eq!(loaded.predict(&rows)?, whole.predict(&rows)?);
/// assert_eq!(load_model(&model.to_bytes()?)?.input_schema(), model.input_schema());
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] and [`Error::Decode`] for a format or version that is not known, and bytes
/// that are no whole and valid model.
pub fn load_model(bytes: &[u8]) -> Result<Box<dyn Model>> {
    load_within(bytes, NESTED)
}

fn load_within(bytes: &[u8], depth: usize) -> Result<Box<dyn Model>> {
    if !bytes.starts_with(MAGIC) {
        return mlops_core::model::load(bytes);
    }
    let Some(depth) = depth.checked_sub(1) else {
        let expected = format!("at most {NESTED} models in one another");
        return Err(Error::invalid("model with transforms", expected, "more"));
    };
    Ok(Box::new(WithTransforms::from_bytes(bytes, |inner| load_within(inner, depth))?))
}

impl<M: Model> Model for WithTransforms<M> {
    fn input_schema(&self) -> SchemaRef {
        self.transforms.input_schema()
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        self.model.predict(&self.transforms.transform(batch)?)
    }
}
