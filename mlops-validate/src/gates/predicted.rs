//! What was predicted of rows, and what came true.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt64Array, make_array};
use arrow::compute::take;
use mlops_core::metrics::{Classified, Estimated, Scored};
use mlops_core::{Categories, Error, Model, Predictions, Result};
use serde::{Deserialize, Serialize};

/// Predictions beside what came true.
#[derive(Clone, Copy, Debug)]
pub enum Predicted<'a> {
    /// Scores of a binary classifier.
    Scores {
        /// The scores and the labels.
        rows: Scored<'a>,
        /// From this score on a row is predicted positive.
        threshold: f64,
    },
    /// Answered labels.
    Labels(Classified<'a>),
    /// Answered numbers.
    Values(Estimated<'a>),
}

impl<'a> From<Classified<'a>> for Predicted<'a> {
    fn from(rows: Classified<'a>) -> Self {
        Self::Labels(rows)
    }
}

impl<'a> From<Estimated<'a>> for Predicted<'a> {
    fn from(rows: Estimated<'a>) -> Self {
        Self::Values(rows)
    }
}

/// The arrays of some rows of [`Predicted`].
pub(super) struct Taken {
    y_true: ArrayRef,
    predicted: ArrayRef,
}

impl<'a> Predicted<'a> {
    /// Labels or numbers that came true, and what was predicted.
    fn arrays(self) -> (&'a dyn Array, &'a dyn Array) {
        match self {
            Self::Scores { rows, .. } => (rows.y_true, rows.y_score),
            Self::Labels(rows) => (rows.y_true, rows.y_pred),
            Self::Values(rows) => (rows.y_true, rows.y_pred),
        }
    }

    /// That every row has its label: forgotten ones are told apart from other slips.
    pub(super) fn check(self) -> Result<()> {
        let (y_true, predicted) = self.arrays();
        check_labels(y_true, predicted.len())
    }

    pub(super) fn len(self) -> usize {
        self.arrays().0.len()
    }

    pub(super) fn take(self, rows: &UInt64Array) -> Result<Taken> {
        let (y_true, predicted) = self.arrays();
        Ok(Taken { y_true: take(y_true, rows, None)?, predicted: take(predicted, rows, None)? })
    }

    pub(super) fn of<'b>(self, taken: &'b Taken) -> Predicted<'b>
    where
        'a: 'b,
    {
        let (y_true, predicted): (&dyn Array, &dyn Array) = (&taken.y_true, &taken.predicted);
        match self {
            Self::Scores { rows, threshold } => Predicted::Scores {
                rows: Scored { y_true, y_score: predicted, positive: rows.positive },
                threshold,
            },
            Self::Labels(rows) => {
                Predicted::Labels(Classified { y_true, y_pred: predicted, positive: rows.positive })
            }
            Self::Values(_) => Predicted::Values(Estimated { y_true, y_pred: predicted }),
        }
    }
}

/// That labels were not forgotten: none at all, or none for some rows.
pub(super) fn check_labels(y_true: &dyn Array, rows: usize) -> Result<()> {
    let expected = || format!("a label for each of the {rows} rows");
    if y_true.is_empty() && rows > 0 {
        return Err(Error::invalid("y_true", expected(), "none: were the labels forgotten?"));
    }
    match y_true.logical_nulls() {
        Some(nulls) if nulls.null_count() > 0 => {
            let missing = nulls.null_count();
            let first = nulls.iter().position(|valid| !valid).unwrap_or(0);
            let found = format!(
                "{missing} without one, the first of them row {first}; leave out rows whose label \
                 is not known"
            );
            Err(Error::invalid("y_true", expected(), found))
        }
        _ => Ok(()),
    }
}

/// The column that a model predicts, and how its predictions are read.
///
/// ```
/// use mlops_validate::Target;
/// let defaulted = Target::new("defaulted").positive("yes").threshold(0.3);
/// let price = Target::new("price");
/// # assert_ne!(defaulted, price);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    label: String,
    positive: Option<String>,
    threshold: f64,
}

impl Target {
    /// This column. Of a classifier with two classes the last one is the positive unless told
    /// otherwise; of one with more only the accuracy is known.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), positive: None, threshold: 0.5 }
    }

    /// The same, with this class as the positive one, and all others negative.
    #[must_use]
    pub fn positive(mut self, class: impl Into<String>) -> Self {
        self.positive = Some(class.into());
        self
    }

    /// The same, predicting the positive class from this score on; 0.5 unless told otherwise.
    #[must_use]
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The column's name.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The labels of these rows, all of them.
    pub(super) fn labels<'b>(&self, data: &'b RecordBatch) -> Result<&'b ArrayRef> {
        let labels = mlops_core::column(data, &self.label)?;
        check_labels(labels, data.num_rows())
            .map_err(|error| error.within(format!("column `{}`", self.label)))?;
        Ok(labels)
    }

    /// What the model says of rows with labels.
    pub(super) fn read(&self, model: &dyn Model, data: &RecordBatch) -> Result<Answered> {
        let y_true = self.labels(data)?.clone();
        let predictions = model.predict(data)?;
        if predictions.len() != data.num_rows() {
            return Err(Error::Length {
                left: "the data".into(),
                left_len: data.num_rows(),
                right: "the predictions".into(),
                right_len: predictions.len(),
            });
        }
        match &predictions {
            Predictions::Values(values) => {
                Ok(Answered { y_true, output: Output::Values(Arc::new(values.clone())) })
            }
            Predictions::Scores { classes, .. } => {
                let positive = match (&self.positive, &classes[..]) {
                    (Some(positive), _) => Some(positive.clone()),
                    (None, [_, last]) => Some(last.clone()),
                    _ => None,
                };
                let output = if let Some(positive) = positive {
                    let scores = Arc::new(predictions.score_of(&positive)?);
                    Output::Scores { positive, scores, threshold: self.threshold }
                } else {
                    let right = right(&self.label, &y_true, &predictions)?;
                    let all = BooleanArray::from(vec![true; data.num_rows()]);
                    return Ok(Answered {
                        y_true: Arc::new(all),
                        output: Output::Right(Arc::new(right)),
                    });
                };
                Ok(Answered { y_true, output })
            }
            other => {
                Err(Error::invalid("predictions", "values or class scores", format!("{other:?}")))
            }
        }
    }
}

/// For each row whether the predicted class is the label.
fn right(name: &str, y_true: &ArrayRef, predictions: &Predictions) -> Result<BooleanArray> {
    let truth = Categories::of(name, &make_array(y_true.to_data()))?;
    let predicted = predictions.labels()?;
    (0..y_true.len())
        .map(|row| {
            if predicted.is_null(row) {
                return Err(Error::Value {
                    column: "y_pred".into(),
                    row: row as u64,
                    expected: "a prediction".into(),
                    found: "none".into(),
                });
            }
            Ok(Some(truth.label(row) == Some(predicted.value(row))))
        })
        .collect()
}

/// A model's predictions beside the labels, owned.
pub(super) struct Answered {
    pub(super) y_true: ArrayRef,
    pub(super) output: Output,
}

pub(super) enum Output {
    Scores {
        positive: String,
        scores: ArrayRef,
        threshold: f64,
    },
    /// Of more than two classes: whether the prediction is right.
    Right(ArrayRef),
    Values(ArrayRef),
}

impl Answered {
    pub(super) fn outcomes(&self) -> Predicted<'_> {
        let y_true = &self.y_true;
        match &self.output {
            Output::Scores { positive, scores, threshold } => Predicted::Scores {
                rows: Scored { y_true, y_score: scores, positive },
                threshold: *threshold,
            },
            Output::Right(right) => {
                Predicted::Labels(Classified { y_true, y_pred: right, positive: "true" })
            }
            Output::Values(values) => Predicted::Values(Estimated { y_true, y_pred: values }),
        }
    }
}
