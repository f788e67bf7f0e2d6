//! Two models, and what they predict for the same rows.

use arrow::array::Array;
use mlops_core::Model;

/// The scores of two models for the same rows.
#[derive(Clone, Copy, Debug)]
pub struct ModelPair<'a> {
    /// What came true.
    pub y_true: &'a dyn Array,
    /// The label that counts as positive.
    pub positive: &'a str,
    /// The score of the positive by the model that wants to be promoted.
    pub challenger: &'a dyn Array,
    /// The score of the positive by the model in production.
    pub champion: &'a dyn Array,
    /// From this score on a row is predicted positive.
    pub threshold: f64,
}

/// The numbers that two models predict for the same rows.
#[derive(Clone, Copy, Debug)]
pub struct ValuePair<'a> {
    /// What came true.
    pub y_true: &'a dyn Array,
    /// What the model that wants to be promoted predicts.
    pub challenger: &'a dyn Array,
    /// What the model in production predicts.
    pub champion: &'a dyn Array,
}

/// What two models predict for the same rows.
#[derive(Clone, Copy, Debug)]
pub enum Pair<'a> {
    /// Two classifiers.
    Scores(ModelPair<'a>),
    /// Two regressors.
    Values(ValuePair<'a>),
}

impl<'a> From<ModelPair<'a>> for Pair<'a> {
    fn from(pair: ModelPair<'a>) -> Self {
        Self::Scores(pair)
    }
}

impl<'a> From<ValuePair<'a>> for Pair<'a> {
    fn from(pair: ValuePair<'a>) -> Self {
        Self::Values(pair)
    }
}

/// Two models, one of which is in production.
#[derive(Clone, Copy, Debug)]
pub struct Contest<'a> {
    /// The one that wants to be promoted.
    pub challenger: &'a dyn Model,
    /// The one in production.
    pub champion: &'a dyn Model,
}
