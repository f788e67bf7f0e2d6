//! From clean rows to a candidate that gates have judged.

use std::sync::Arc;

use mlops::arrow::array::{Float64Array, RecordBatch, StringArray};
use mlops::arrow::compute::{filter_record_batch, is_not_null};
use mlops::core::metrics::{ClassificationReport, Scored};
use mlops::core::model::LinearModel;
use mlops::core::model::linfa::{LogisticOptions, logistic_regression};
use mlops::core::{Assessment, DataSourceExt, MemorySource, Model, Result, column, with_column};
use mlops::data::{
    ColumnPipeline, FittedPipeline, Imputer, OneHotEncoder, Split, StandardScaler, Unseen,
    WithTransforms,
};
use mlops::drift::{ProfileOptions, ReferenceProfile};
use mlops::fairness::attribution::{Attributions, LinearExplainer};
use mlops::fairness::{FairnessGate, GapKind, GroupCounts, MetricFrame, SmallGroups};
use mlops::validate::{ChallengerGate, InferOptions, Metric, ModelPair, QualityGate, Suite};

use crate::story::Story;

/// The share of the rows that is held out to judge a model on.
const HOLD_OUT: f64 = 0.25;
/// The confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;
/// The least ROC AUC that a model must show, at its confidence limit.
const LEAST_AUC: f64 = 0.6;
/// The probability from which on a row is predicted to be positive.
pub const THRESHOLD: f64 = 0.5;
/// By how much a challenger's ROC AUC may be worse than the champion's.
const MARGIN: f64 = 0.01;
/// Groups smaller than this are named, not judged.
const SMALL_GROUP: u64 = 100;
/// The column of predictions beside the rows that were predicted.
const PREDICTED: &str = "predicted label";

/// The scored model: transforms and coefficients, one thing to save.
pub type LoanModel = WithTransforms<LinearModel>;

/// Rows to train on and rows to judge on.
#[derive(Clone, Debug)]
pub struct Halves {
    pub train: RecordBatch,
    pub hold_out: RecordBatch,
}

impl Halves {
    /// Stratified by the label.
    pub fn of(story: &Story, rows: RecordBatch, seed: u64) -> Result<Self> {
        let split = Split::stratified(&story.label, HOLD_OUT, seed)?;
        let parts = split.split(Arc::new(MemorySource::from(rows)))?;
        Ok(Self { train: parts.train.collect()?, hold_out: parts.test.collect()? })
    }
}

/// The transforms that a story's features go through.
pub fn fit_transforms(story: &Story, rows: &RecordBatch) -> Result<FittedPipeline> {
    ColumnPipeline::new()
        .numeric(story.numeric.clone(), (Imputer::median(), StandardScaler))
        .categorical(story.categorical.clone(), OneHotEncoder::new().unseen(Unseen::Ignore))
        .fit(&MemorySource::from(rows.clone()))
}

/// A logistic regression on the transformed rows.
pub fn fit_model(
    story: &Story,
    transforms: FittedPipeline,
    rows: &RecordBatch,
) -> Result<LoanModel> {
    let features = transforms.transform(rows)?;
    let label = column(rows, &story.label)?;
    let known = is_not_null(label)?;
    let features = with_column(&features, &story.label, label.clone())?;
    let features = filter_record_batch(&features, &known)?;
    let names = transforms.feature_names().to_vec();
    let model = logistic_regression(&features, &names, &story.label, &LogisticOptions::default())?;
    WithTransforms::new(transforms, model)
}

/// What the hold-out said of a model.
#[derive(Debug)]
pub struct Judged {
    pub report: ClassificationReport,
    pub quality: Assessment,
    pub frame: MetricFrame,
    pub fairness: Assessment,
}

/// The probability of the positive class, and the label that it makes.
pub fn predict(
    story: &Story,
    model: &dyn Model,
    rows: &RecordBatch,
) -> Result<(Float64Array, StringArray)> {
    let predictions = model.predict(rows)?;
    Ok((predictions.score_of(&story.positive)?, predictions.labels()?))
}

/// The fairness gate: selection rates and error rates may not differ by more than this.
pub fn fairness_gate(story: &Story, max_gap: f64) -> FairnessGate {
    story
        .sensitive
        .iter()
        .fold(FairnessGate::new("fairness"), |gate, feature| {
            gate.rule(GapKind::DemographicParityDifference, feature, max_gap)
        })
        .confidence(CONFIDENCE)
        .min_group_size(SMALL_GROUP, SmallGroups::SetAside)
}

/// Judges a model on rows that it has not seen.
pub fn judge(
    story: &Story,
    model: &dyn Model,
    hold_out: &RecordBatch,
    max_gap: f64,
) -> Result<Judged> {
    let known = known_labels(story, hold_out)?;
    let (scores, labels) = predict(story, model, &known)?;
    let y_true = column(&known, &story.label)?;
    let rows = Scored { y_true, y_score: &scores, positive: &story.positive };
    let report = ClassificationReport::of_scores(rows, THRESHOLD, CONFIDENCE)?;
    let quality = QualityGate::new("quality")
        .at_least(Metric::RocAuc, LEAST_AUC)
        .judge_scores(rows, THRESHOLD)?;
    let predicted = with_column(&known, PREDICTED, Arc::new(labels))?;
    let counts =
        GroupCounts::new(PREDICTED, &story.positive, &story.sensitive).with_labels(&story.label);
    let frame = MemorySource::from(predicted).measure(&counts)?;
    let fairness = fairness_gate(story, max_gap).judge(&frame);
    Ok(Judged { report, quality, frame, fairness })
}

/// The outcomes themselves by group: what happened, not what was predicted.
pub fn outcome_gap(story: &Story, rows: &RecordBatch, max_gap: f64) -> Result<Assessment> {
    let known = known_labels(story, rows)?;
    let counts = GroupCounts::new(&story.label, &story.positive, &story.sensitive);
    let frame = MemorySource::from(known).measure(&counts)?;
    Ok(fairness_gate(story, max_gap).judge(&frame))
}

/// The rows whose label is known.
pub fn known_labels(story: &Story, rows: &RecordBatch) -> Result<RecordBatch> {
    let known = is_not_null(column(rows, &story.label)?)?;
    Ok(filter_record_batch(rows, &known)?)
}

/// Every prediction of these rows taken apart, by the columns of the raw data.
pub fn explain(
    model: &LoanModel,
    background: &RecordBatch,
    rows: &RecordBatch,
) -> Result<Attributions> {
    let transforms = model.transforms();
    let background = MemorySource::from(transforms.transform(background)?);
    let explainer = LinearExplainer::new(model.model(), &background)?;
    let columns = transforms
        .feature_names()
        .iter()
        .cloned()
        .zip(transforms.feature_columns().into_iter().map(str::to_owned));
    let columns: std::collections::BTreeMap<_, _> = columns.collect();
    let explained = explainer.explain(&transforms.transform(rows)?)?;
    Ok(explained.grouped(|name| columns.get(name).cloned().unwrap_or_else(|| name.to_owned())))
}

/// What rows must be like, learned from these.
pub fn infer_suite(story: &Story, rows: &RecordBatch, name: &str) -> Result<Suite> {
    let source = MemorySource::from(rows.clone()).named(name);
    let options = InferOptions::default().name("data").batch_rows(story.window_rows());
    let mut suite = Suite::infer(&source, &options)?;
    // Windows of a calendar hold as many rows as they happen to.
    suite.expectations.retain(|e| e.kind() != "row_count");
    Ok(suite)
}

/// The challenger against the champion on the same rows.
pub fn compare(
    story: &Story,
    champion: &dyn Model,
    challenger: &dyn Model,
    rows: &RecordBatch,
) -> Result<Assessment> {
    let (champion, _) = predict(story, champion, rows)?;
    let (challenger, _) = predict(story, challenger, rows)?;
    ChallengerGate::new("challenger", Metric::RocAuc).margin(MARGIN).confidence(CONFIDENCE).judge(
        ModelPair {
            y_true: column(rows, &story.label)?,
            positive: &story.positive,
            challenger: &challenger,
            champion: &champion,
            threshold: THRESHOLD,
        },
    )
}

/// A profile of the watched columns.
pub fn profile(story: &Story, rows: &RecordBatch) -> Result<ReferenceProfile> {
    let options = ProfileOptions::default().columns(story.watched());
    ReferenceProfile::fit(&MemorySource::from(rows.clone()), &options)
}
