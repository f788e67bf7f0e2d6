//! Between batches and matrices: features as an ndarray, and models over one.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use ndarray::{Array1, Array2, ArrayView2};

use super::function::check_len;
use super::{Model, Predictions};
use crate::{Error, Result, Rows};

/// What becomes of a null where a matrix has no place for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nulls {
    /// An error that names its column and row.
    #[default]
    Refuse,
    /// NaN, for models that know what to do with it.
    Nan,
}

/// Columns as a matrix of shape `(n_rows, n_features)`, rows in memory one after the other; the
/// numbers are those of [`Rows::numbers`].
///
/// ```
/// use arrow::array::{Float64Array, Int32Array};
/// use mlops_core::batch;
/// use mlops_core::model::{Nulls, features};
/// let rows = batch! {
///     "a" => Int32Array::from(vec![1, 2]),
///     "b" => Float64Array::from(vec![Some(0.5), None]),
/// }?;
/// let x = features(&rows, &["b", "a"], Nulls::Nan)?;
/// assert_eq!((x[[0, 0]], x[[1, 1]]), (0.5, 2.0));
/// let error = features(&rows, &["b"], Nulls::Refuse).unwrap_err();
/// assert_eq!(error.to_string(), "column `b`, row 1: expected a number, found null");
/// # Ok::<(), mlops_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::ColumnNotFound`], [`Error::ColumnType`], and [`Error::Value`] for a null that is
/// refused, with its row in the batch.
pub fn features<S: AsRef<str>>(
    batch: &RecordBatch,
    names: &[S],
    nulls: Nulls,
) -> Result<Array2<f64>> {
    let rows = Rows::new(batch);
    let mut x = Array2::zeros((batch.num_rows(), names.len()));
    for (name, mut out) in names.iter().zip(x.columns_mut()) {
        let name = name.as_ref();
        let column = rows.numbers(name)?;
        if column.null_count() == 0 {
            for (out, &value) in out.iter_mut().zip(column.values()) {
                *out = value;
            }
            continue;
        }
        for (row, (out, value)) in out.iter_mut().zip(column).enumerate() {
            *out = match (value, nulls) {
                (Some(value), _) => value,
                (None, Nulls::Nan) => f64::NAN,
                (None, Nulls::Refuse) => {
                    return Err(Error::Value {
                        column: name.to_owned(),
                        row: row as u64,
                        expected: "a number".into(),
                        found: "null".into(),
                    });
                }
            };
        }
    }
    Ok(x)
}

/// A matrix of shape `(n_rows, n_features)` as a batch of `f64` columns of these names.
///
/// # Errors
/// [`Error::Invalid`] if there is not one name for each column.
pub fn to_batch<S: AsRef<str>>(x: ArrayView2<'_, f64>, names: &[S]) -> Result<RecordBatch> {
    if names.len() != x.ncols() {
        let expected = format!("{} names", x.ncols());
        return Err(Error::invalid("columns of a matrix", expected, names.len()));
    }
    let columns = x
        .columns()
        .into_iter()
        .map(|column| Arc::new(Float64Array::from_iter_values(column.iter().copied())) as ArrayRef);
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(x.nrows()));
    Ok(RecordBatch::try_new_with_options(schema_of(names), columns.collect(), &options)?)
}

fn schema_of<S: AsRef<str>>(names: &[S]) -> SchemaRef {
    let fields = names.iter().map(|name| Field::new(name.as_ref(), DataType::Float64, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

type Predict = dyn Fn(ArrayView2<'_, f64>) -> Result<Predictions> + Send + Sync;

/// A model over a matrix: the names of its columns, and a closure from shape
/// `(n_rows, n_features)` to a number or the classes' scores of each row.
///
/// Nulls are refused, or become NaN with [`with_nulls`](Self::with_nulls). The closure must look
/// at each row by itself; a matrix product whose rounding depends on the number of rows breaks the
/// contract of [`Model`].
///
/// ```
/// use arrow::array::Float64Array;
/// use mlops_core::{Model, batch};
/// use mlops_core::model::ArrayModel;
///
/// let total = ArrayModel::regression(["a", "b"], |x| x.rows().into_iter().map(|r| r.sum()).collect());
/// let rows = batch! {
///     "a" => Float64Array::from(vec![1.0, 2.0]),
///     "b" => Float64Array::from(vec![10.0, 20.0]),
/// }?;
/// assert_eq!(total.predict(&rows)?.as_values()?.values(), &[11.0, 22.0]);
/// # Ok::<(), mlops_core::Error>(())
/// ```
pub struct ArrayModel {
    features: Vec<String>,
    nulls: Nulls,
    predict: Box<Predict>,
}

impl ArrayModel {
    /// A model whose closure gives a number for each row, shape `(n_rows,)`.
    pub fn regression<S, F>(features: impl IntoIterator<Item = S>, predict: F) -> Self
    where
        S: Into<String>,
        F: Fn(ArrayView2<'_, f64>) -> Array1<f64> + Send + Sync + 'static,
    {
        Self::of(features, move |x| Ok(Predictions::values(predict(x).to_vec())))
    }

    /// A model whose closure gives the probability of the positive class, shape `(n_rows,)`.
    pub fn binary<S, F>(
        features: impl IntoIterator<Item = S>,
        negative: impl Into<String>,
        positive: impl Into<String>,
        predict: F,
    ) -> Self
    where
        S: Into<String>,
        F: Fn(ArrayView2<'_, f64>) -> Array1<f64> + Send + Sync + 'static,
    {
        let (negative, positive) = (negative.into(), positive.into());
        Self::of(features, move |x| {
            Ok(Predictions::binary(&negative, &positive, &predict(x).to_vec().into()))
        })
    }

    /// A model whose closure gives a score for each class, shape `(n_rows, n_classes)`.
    pub fn classification<S, C, F>(
        features: impl IntoIterator<Item = S>,
        classes: impl IntoIterator<Item = C>,
        predict: F,
    ) -> Self
    where
        S: Into<String>,
        C: Into<String>,
        F: Fn(ArrayView2<'_, f64>) -> Array2<f64> + Send + Sync + 'static,
    {
        let classes: Arc<[String]> = classes.into_iter().map(Into::into).collect();
        Self::of(features, move |x| {
            let scores = predict(x);
            if scores.ncols() != classes.len() {
                let expected = format!("{} columns, one for each class", classes.len());
                return Err(Error::invalid("scores", expected, scores.ncols()));
            }
            let scores = Float64Array::from_iter_values(scores.iter().copied());
            Predictions::scores(classes.clone(), scores)
        })
    }

    fn of<S: Into<String>>(
        features: impl IntoIterator<Item = S>,
        predict: impl Fn(ArrayView2<'_, f64>) -> Result<Predictions> + Send + Sync + 'static,
    ) -> Self {
        Self {
            features: features.into_iter().map(Into::into).collect(),
            nulls: Nulls::Refuse,
            predict: Box::new(predict),
        }
    }

    /// The same with this rule for nulls.
    #[must_use]
    pub fn with_nulls(mut self, nulls: Nulls) -> Self {
        self.nulls = nulls;
        self
    }
}

impl fmt::Debug for ArrayModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayModel")
            .field("features", &self.features)
            .field("nulls", &self.nulls)
            .finish_non_exhaustive()
    }
}

impl Model for ArrayModel {
    fn input_schema(&self) -> SchemaRef {
        schema_of(&self.features)
    }

    fn predict(&self, batch: &RecordBatch) -> Result<Predictions> {
        let x = features(batch, &self.features, self.nulls)?;
        let predictions = (self.predict)(x.view())?;
        check_len("the matrix model", &predictions, batch.num_rows())?;
        Ok(predictions)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use ndarray::array;

    use super::*;
    use crate::{batch, conformance};

    #[test]
    fn matrices_go_and_come_back() {
        let x = array![[1.0, f64::INFINITY], [-0.0, 4.0], [5.0, 1e-320]];
        let batch = to_batch(x.view(), &["a", "b"]).unwrap();
        assert_eq!(features(&batch, &["a", "b"], Nulls::Refuse).unwrap(), x);
        let sliced = features(&batch.slice(1, 2), &["b"], Nulls::Refuse).unwrap();
        assert_eq!(sliced, array![[4.0], [1e-320]]);
        assert!(to_batch(x.view(), &["a"]).is_err());
        let none = to_batch(Array2::zeros((3, 0)).view(), &[] as &[&str]).unwrap();
        assert_eq!(none.num_rows(), 3);
    }

    #[test]
    fn text_is_no_feature() {
        let rows = batch! { "city" => StringArray::from(vec!["Oslo"]) }.unwrap();
        let error = features(&rows, &["city"], Nulls::Nan).unwrap_err();
        assert!(error.to_string().starts_with("column `city`: expected a number"), "{error}");
    }

    #[test]
    fn matrix_models_keep_the_contract() {
        let rows = batch! {
            "a" => Float64Array::from(vec![1.0, -2.0, f64::NAN, 0.0, 1e300]),
            "b" => Float64Array::from(vec![3.0, 1.0, 2.0, -0.0, 1e300]),
        }
        .unwrap();
        conformance::model(&ArrayModel::regression(["a"], |x| x.column(0).to_owned()), &rows);
        conformance::model(
            &ArrayModel::binary(["b", "a"], "no", "yes", |x| {
                x.column(1).mapv(crate::model::sigmoid)
            }),
            &rows,
        );
        conformance::model(
            &ArrayModel::classification(["a", "b"], ["l", "r"], |x| x.to_owned()),
            &rows,
        );
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let rows = batch! { "a" => Float64Array::from(vec![1.0, 2.0]) }.unwrap();
        let narrow = ArrayModel::classification(["a"], ["l", "r"], |x| x.to_owned());
        assert!(narrow.predict(&rows).unwrap_err().to_string().contains("2 columns"));
        let short = ArrayModel::regression(["a"], |_| Array1::zeros(1));
        assert!(matches!(short.predict(&rows), Err(Error::Length { right_len: 1, .. })));
    }
}
