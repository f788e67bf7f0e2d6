//! Models: an input schema, and a prediction for every row.
//!
//! A [`Model`] is anything that predicts: a closure ([`FnModel`]), a function of a matrix
//! ([`ArrayModel`]), or one of the models that the house can save and load by itself, so that no
//! training library is needed where they serve: [`LinearModel`],
//! [`TreeEnsemble`](trees::TreeEnsemble).
//!
//! ```
//! use arrow::array::Float64Array;
//! use mlops_core::{Model, batch};
//! use mlops_core::model::LinearModel;
//!
//! let price = LinearModel::regression(["area", "rooms"], [1.5, 10.0], 40.0)?;
//! let flats = batch! {
//!     "rooms" => Float64Array::from(vec![2.0, 3.0]),
//!     "area" => Float64Array::from(vec![50.0, 80.0]),
//! }?;
//! assert_eq!(price.predict(&flats)?.as_values()?.values(), &[135.0, 190.0]);
//! # Ok::<(), mlops_core::Error>(())
//! ```

mod file;
mod file_kind;
mod function;
mod linear;
mod link;
mod matrix;

#[cfg(feature = "linfa")]
pub mod linfa;
pub mod trees;

pub use function::FnModel;
pub use linear::LinearModel;
pub use link::{Link, sigmoid};
pub use matrix::{ArrayModel, Nulls, features, to_batch};

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use crate::{Error, Result};

/// What a model says of each row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Predictions {
    /// A number for each row, shape `(n_rows,)`: a regression.
    Values(Float64Array),
    /// A score for each row and class: a classification.
    Scores {
        /// The classes' labels, in the order of the scores.
        classes: Arc<[String]>,
        /// Shape `(n_rows, n_classes)`, row after row; probabilities where the model has them.
        scores: Float64Array,
    },
}

impl Predictions {
    /// A number for each row.
    pub fn values(values: impl Into<Float64Array>) -> Self {
        Self::Values(values.into())
    }

    /// Scores for the classes, row after row.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no classes, or scores that don't fill whole rows.
    pub fn scores(
        classes: impl Into<Arc<[String]>>,
        scores: impl Into<Float64Array>,
    ) -> Result<Self> {
        let (classes, scores) = (classes.into(), scores.into());
        if classes.is_empty() || !scores.len().is_multiple_of(classes.len()) {
            let expected = format!("a multiple of {} classes", classes.len());
            return Err(Error::invalid("scores", expected, scores.len()));
        }
        Ok(Self::Scores { classes, scores })
    }

    /// Scores of a binary model from the probability of its positive class.
    pub fn binary(negative: &str, positive: &str, probability: &Float64Array) -> Self {
        let scores = probability.iter().flat_map(|p| [p.map(|p| 1.0 - p), p]).collect();
        Self::Scores { classes: [negative.to_owned(), positive.to_owned()].into(), scores }
    }

    /// How many rows were predicted.
    pub fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Scores { classes, scores } => scores.len() / classes.len(),
        }
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values of a regression.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a classification.
    pub fn as_values(&self) -> Result<&Float64Array> {
        match self {
            Self::Values(values) => Ok(values),
            Self::Scores { .. } => Err(Error::invalid("predictions", "values", "class scores")),
        }
    }

    /// The scores of one class, shape `(n_rows,)`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a regression, or a class that the model does not know.
    pub fn score_of(&self, class: &str) -> Result<Float64Array> {
        match self {
            Self::Values(_) => Err(Error::invalid("predictions", "class scores", "values")),
            Self::Scores { classes, scores } => {
                let at = classes.iter().position(|c| c == class).ok_or_else(|| {
                    Error::invalid("class", format!("one of: {}", classes.join(", ")), class)
                })?;
                Ok(scores.iter().skip(at).step_by(classes.len()).collect())
            }
        }
    }

    /// The class of the highest score of each row; of equal ones the first; null where a score is.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a regression.
    pub fn labels(&self) -> Result<StringArray> {
        match self {
            Self::Values(_) => Err(Error::invalid("predictions", "class scores", "values")),
            Self::Scores { classes, scores } => Ok((0..self.len())
                .map(|row| {
                    let first = row * classes.len();
                    let mut best = 0;
                    for class in 0..classes.len() {
                        if scores.is_null(first + class) || scores.value(first + class).is_nan() {
                            return None;
                        }
                        if scores.value(first + class) > scores.value(first + best) {
                            best = class;
                        }
                    }
                    Some(classes[best].as_str())
                })
                .collect()),
        }
    }
}

/// Something that predicts.
///
/// # Contract
/// - `predict` gives one prediction for every input row, in order, and depends on nothing but the
///   row: any cutting into batches gives the same bits.
/// - Columns are found by name; others may be there, in any order. A column that is missing or of
///   the wrong type is an error that names it.
/// - A null that the model can't take is a null prediction or an error that names the row; never
///   a silent number.
///
/// [`conformance::model`](crate::conformance::model) tests this.
pub trait Model: Debug + Send + Sync + 'static {
    /// The columns that the model reads.
    fn input_schema(&self) -> SchemaRef;

    /// A prediction for each row.
    ///
    /// # Errors
    /// Input that does not have the columns of the schema.
    fn predict(&self, batch: &RecordBatch) -> Result<Predictions>;
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Model + ?Sized> Model for $pointer<T> {
            fn input_schema(&self) -> SchemaRef {
                (**self).input_schema()
            }

            fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
                (**self).predict(batch)
            }
        }
    )*};
}

forward!(Arc, Box);

/// A model of this crate from the bytes that its `to_bytes` wrote, whichever format they are of.
///
/// A model behind transforms (`mlops_data::WithTransforms`) is the data crate's: programs that may
/// meet one call `mlops::load_model`, which reads both.
///
/// # Errors
/// [`Error::Invalid`] for a format or version that is not known, and bytes that are no whole and
/// valid model; of a file of XGBoost, LightGBM, … it names the loader in [`trees`] that reads it.
pub fn load(bytes: &[u8]) -> Result<Box<dyn Model>> {
    if bytes.starts_with(&trees::TreeEnsemble::MAGIC) {
        return Ok(Box::new(trees::TreeEnsemble::from_bytes(bytes)?));
    }
    if bytes.starts_with(b"MLWT") {
        let expected = "a model without transforms (mlops::load_model reads one with them)";
        return Err(Error::invalid("model file", expected, "one with them"));
    }
    let ours = "one that `to_bytes` wrote";
    let whose = |e| file_kind::whose(e, ours, file_kind::FileKind::OwnJson, bytes);
    let format = file::format_of(bytes).map_err(whose)?;
    match format.as_str() {
        LinearModel::FORMAT => Ok(Box::new(LinearModel::from_bytes(bytes)?)),
        _ => Err(whose(Error::invalid("format of a model file", LinearModel::FORMAT, format))),
    }
}

fn first_duplicate(names: &[String]) -> Option<&str> {
    let mut seen = std::collections::HashSet::with_capacity(names.len());
    names.iter().map(String::as_str).find(|name| !seen.insert(*name))
}
